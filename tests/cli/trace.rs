//! Does `trace` behave?

use serde_json::Value;

use super::{SMALL, Scratch, code, stderr, stdout};

#[test]
fn a_trace_tells_one_request_and_writes_what_viewers_open() {
    let home = Scratch::new("trace");
    home.write("small.toml", SMALL);
    let output = home.run(&["trace", "small.toml", "--otlp", "o.json", "--chrome", "c.json"]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    for words in
        ["Request ", ": browse", "computes", "gives its connection back", "is answered 200"]
    {
        assert!(stdout(&output).contains(words), "no `{words}` in\n{}", stdout(&output));
    }
    for (file, key) in [("o.json", "resourceSpans"), ("c.json", "traceEvents")] {
        let json: Value = serde_json::from_str(&home.read(file)).expect("JSON");
        assert!(json[key].as_array().is_some_and(|it| !it.is_empty()), "{file}");
    }
    // The number that it names is the same request.
    let text = stdout(&output);
    let number: String = text
        .lines()
        .next()
        .into_iter()
        .flat_map(|line| line.chars())
        .filter(char::is_ascii_digit)
        .collect();
    let again = home.run(&["trace", "small.toml", "--request", &number]);
    assert_eq!(stdout(&again), text);
    let quiet = home.run(&["trace", "small.toml", "--quiet"]);
    assert_eq!((code(&quiet), stdout(&quiet)), (0, String::new()));

    let nobody = home.run(&["trace", "small.toml", "--failed"]);
    assert_eq!(code(&nobody), 3);
    assert!(stderr(&nobody).contains("no request failed"), "{}", stderr(&nobody));
    let wrong = home.run(&["trace", "small.toml", "--operation", "browze"]);
    assert_eq!(code(&wrong), 2);
    assert!(stderr(&wrong).contains("there are browse"), "{}", stderr(&wrong));
    assert_eq!(code(&home.run(&["trace", "small.toml", "--request", "1", "--failed"])), 2);
}
