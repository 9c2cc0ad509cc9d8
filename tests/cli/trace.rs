//! Does `trace` behave?

use serde_json::Value;

use super::schema::validate;
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

    // As data it is the same story, and as its schema says.
    let schema = home.run(&["schema", "trace"]);
    let schema: Value = serde_json::from_str(&stdout(&schema)).expect("JSON");
    let output = home.run(&["trace", "small.toml", "--json", "--count", "2"]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(validate(&json, &schema, &schema, "$"), [""; 0]);
    let stories = json["stories"].as_array().expect("stories");
    assert_eq!((stories.len(), stories[0]["request"].to_string()), (2, number));
    let latency = |story: &Value| story["latency_s"].as_f64().expect("it has ended");
    assert!(latency(&stories[0]) >= latency(&stories[1]), "the slowest comes first");
    let lines = stories[0]["lines"].as_array().expect("lines");
    let awaited = lines.iter().filter(|line| line["awaited"] == true);
    let sum: f64 = awaited.filter_map(|line| line["took_s"].as_f64()).sum();
    assert!((sum - latency(&stories[0])).abs() < 1e-9, "its lines fill its latency: {sum}");
    assert!(lines.iter().any(|line| text.contains(line["what"].as_str().expect("words"))));

    let nobody = home.run(&["trace", "small.toml", "--failed"]);
    assert_eq!(code(&nobody), 3);
    assert!(stderr(&nobody).contains("no request failed"), "{}", stderr(&nobody));
    let wrong = home.run(&["trace", "small.toml", "--operation", "browze"]);
    assert_eq!(code(&wrong), 2);
    assert!(stderr(&wrong).contains("there are browse"), "{}", stderr(&wrong));
    assert_eq!(code(&home.run(&["trace", "small.toml", "--request", "1", "--failed"])), 2);
}
