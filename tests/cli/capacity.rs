//! `capacity` and `stress`.

use serde_json::Value;

use super::schema::validate;
use super::{SMALL, Scratch, code, stderr, stdout};

#[test]
fn a_capacity_says_what_binds_and_is_the_same_for_any_threads() {
    let home = Scratch::new("capacity");
    home.write("small.toml", SMALL);
    let slo = ["capacity", "small.toml", "--slo", "latency_p95 < 100ms", "--slo", "errors < 1%"];
    let mut results = Vec::new();
    for threads in ["1", "2"] {
        let folder = format!("by-{threads}");
        let output = home.run(&[&slo[..], &["--threads", threads, "--output", &folder]].concat());
        assert_eq!((code(&output), stderr(&output)), (0, String::new()));
        results.push((stdout(&output).replace(&folder, "FOLDER"), home.tree(&folder)));
    }
    assert!(results[0] == results[1], "threads change the result");
    let (text, files) = &results[0];
    for words in [
        "Capacity: ",
        "requests/s (",
        "just above fails: latency_p95 < 100ms",
        "Gives first    database.main",
        "then           pool.pg",
        "As load grows",
        "the file's load, 100 requests/s, meets them; the capacity is 1.",
    ] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let names = files.iter().map(|(name, _)| name.as_str());
    let names: Vec<&str> = names.filter(|name| !name.starts_with("figures/")).collect();
    assert_eq!(names, ["capacity.csv", "inputs/01-small.toml", "manifest.toml", "report.html"]);
    let output = home.run(&["rerun", "by-1"]);
    assert!(stdout(&output).starts_with("identical: capacity.csv"), "{}", stdout(&output));

    let output = home.run(&[&slo[..], &["--json", "--no-files"]].concat());
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(result["asked"], Value::Null);
    let schema = home.run(&["schema", "capacity"]);
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    let faults = validate(&result, &schema, &schema, "capacity");
    assert!(faults.is_empty(), "{faults:#?}");
    // Two cores carry 200 queries of 10 ms a second; what is late is late before that.
    let end = |name: &str| result["capacity"][name].as_f64().expect("a number");
    assert!(100.0 < end("estimate") && end("estimate") < 200.0 && end("low") < end("high"));
    // The headroom at a load that is asked about, by the short names of objectives.
    let short =
        ["capacity", "small.toml", "--slo", "p95<100ms", "--slo", "errors<1%", "--no-files"];
    let output = home.run(&[&short[..], &["--at", "160/s", "--json"]].concat());
    let asked: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(code(&output) == 0 && validate(&asked, &schema, &schema, "capacity").is_empty());
    assert_eq!(asked["capacity"], result["capacity"]);
    let room = asked["asked"]["headroom_factor"]["estimate"].as_f64().expect("a number");
    assert!((room - end("estimate") / 160.0).abs() < 1e-9, "{room}");
    let output = home.run(&[&short[..], &["--at", "300/s"]].concat());
    let text = stdout(&output);
    assert!(
        code(&output) == 99 && text.contains("at 300 requests/s: does not meet them"),
        "{text}"
    );
    let output = home.run(&[&short[..], &["--at", "300"]].concat());
    assert!(code(&output) == 2 && stderr(&output).contains("write `--at 300/s`"), "{output:?}");
    let rows = home.read("by-1/capacity.csv").lines().count() as u64;
    assert_eq!(rows, 1 + 2 * result["runs"].as_u64().expect("a count"), "a row for each objective");
}

#[test]
fn a_stress_says_whether_it_comes_back_and_can_be_made_again() {
    let home = Scratch::new("stress");
    let retry = "[client]\npatience = \"1s\"\nretry.fixed.on = [\"timeout\", 503]\n";
    home.write("small.toml", &SMALL.replace("[service.web]", &format!("{retry}[service.web]")));
    let stress = ["stress", "small.toml", "--for", "5s", "--at", "5s", "--watch", "40s"];
    let stress = [&stress[..], &["--replications", "4", "--spike", "4x"]].concat();
    let output = home.run(&[&stress[..], &["--output", "result"]].concat());
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    let text = stdout(&output);
    for words in [
        "Stress: load x4 for 5 s from 5 s, then 40 s watched",
        "without retries it comes back in all 4 replications, after ",
        "baseline",
        "100 % (39.8 % … 100 %)",
        "Retries, pair by pair: +",
        "Back: mean latency up to ",
        "again: loadbearing stress small.toml --spike 4x --for 5s --at 5s --watch 40s",
    ] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100 || line.starts_with("again")));
    let rows = home.read("result/recoveries.csv");
    assert_eq!(rows.lines().count(), 1 + 2 * 4, "{rows}");
    let output = home.run(&["rerun", "result", "--json"]);
    let again: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((code(&output), &again["identical"]), (0, &Value::Bool(true)), "{again}");
    let output = home.run(&["rerun", "result"]);
    assert!(stdout(&output).starts_with("identical: recoveries.csv, course.csv"), "{output:?}");

    let output = home.run(&[&stress[..], &["--json", "--no-files"]].concat());
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let schema = home.run(&["schema", "stress"]);
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    let faults = validate(&result, &schema, &schema, "stress");
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(result["arms"][0]["replications"].as_array().map(Vec::len), Some(4));

    let output = home.run(&["stress", "small.toml", "--fault", "none", "--no-files"]);
    assert!(code(&output) == 2 && stderr(&output).contains("the file has no fault `none`"));
    let said = ["--fault", "database.main stop for=60s", "--watch", "10s", "--replications", "2"];
    let said = [&["stress", "small.toml", "--no-files"], &said[..]].concat();
    let output = home.run(&said);
    assert!(code(&output) == 0 && stdout(&output).contains("database.main stop"), "{output:?}");
}

#[test]
fn a_capacity_without_an_answer_says_why() {
    let home = Scratch::new("no-capacity");
    home.write("small.toml", SMALL);
    let capacity = |words: &[&str]| {
        let words = [&["capacity", "small.toml", "--no-files"], words].concat();
        let output = home.run(&words);
        (code(&output), stdout(&output).replace("\n         ", ""), stderr(&output))
    };
    let (code, _, said) = capacity(&[]);
    assert!(code == 2 && said.contains("--slo 'latency_p95 < 500ms'"), "{said}");
    let (code, _, said) = capacity(&["--slo", "latencyp95 < 1s"]);
    assert!(code == 1 && said.contains("did you mean `latency_p95`?"), "{said}");
    let (code, _, said) = capacity(&["--slo", "errors < 1%", "--of", "users"]);
    assert!(code == 2 && said.contains("an open stream has no population"), "{said}");
    let (code, _, said) = capacity(&["--slo", "errors < 1%", "--of", "visits"]);
    assert!(code == 2 && said.contains("how long a visit is"), "{said}");
    let (code, text, _) = capacity(&["--slo", "latency_p95 < 1ms"]);
    assert!(code == 99 && text.contains("No load meets the objectives in 3 of 3"), "{text}");
    assert!(text.contains("at 1 % of the file's load latency_p95 is "), "{text}");
    // Above the capacity, which there is.
    let beyond = ["--slo", "latency_p95 < 100ms", "--set", "arrivals.rate=300/s"];
    let (code, text, _) = capacity(&beyond);
    assert!(code == 99 && text.contains("300 requests/s, does not meet them"), "{text}");
    // What no objective bounds is bounded all the same.
    let (code, text, _) = capacity(&["--slo", "cost < $1000"]);
    assert!(code == 0 && text.contains("just above fails: requests in flight grow"), "{text}");
}

#[test]
fn a_capacity_has_its_price() {
    let home = Scratch::new("capacity-price");
    let priced = "[price.requests]\nwhat = \"requests\"\nper_million = \"$1\"\n";
    home.write("small.toml", &format!("{SMALL}{priced}"));
    let asked = ["capacity", "small.toml", "--slo", "p95<100ms", "--slo", "errors<1%"];
    let text = stdout(&home.run(&[&asked[..], &["--output", "out"]].concat()));
    let result = home.run(&[&asked[..], &["--no-files", "--json"]].concat());
    let result: Value = serde_json::from_slice(&result.stdout).expect("JSON");
    let rate = result["at_capacity"]["offered_per_s"]["estimate"].as_f64();
    let rate = rate.expect("a number");
    // A dollar for each million requests at the capacity, not at the 100 a second of the file, which
    // would be $263; 730 hours a month.
    let requests = rate * 730.0 * 3_600.0 / 1e6;
    assert!(requests > 300.0, "{rate}");
    for line in [
        "database.main            $60".to_string(),
        "service.web              $30".to_string(),
        format!("price.requests          ${requests:.0}"),
        format!("in all              ${:.0} ", requests + 90.0),
        format!("${:.1} for a million requests", 1.0 + 90.0 / requests),
    ] {
        assert!(text.contains(&line), "no `{line}` in\n{text}");
    }
    let page = home.tree("out").into_iter().find(|(name, _)| name == "report.html");
    let (_, page) = page.expect("a page");
    assert!(String::from_utf8_lossy(&page).contains("Cost a month at the capacity"));
    // A month of half the load has half the requests, for each of which a dollar in a million is paid.
    let run = ["run", "small.toml", "--no-files", "--json", "--set", "run.mean_load=\"50%\""];
    let result: Value = serde_json::from_slice(&home.run(&run).stdout).expect("JSON");
    let of = |name: &str| result[name]["estimate"].as_f64().expect("a number");
    let month = of("throughput_per_s") * 0.5 * 730.0 * 3_600.0 / 1e6;
    assert!((of("cost_per_million_ok") - (1.0 + 90.0 / month)).abs() < 0.05);
    // A file without prices has no bill.
    let free: Vec<&str> = SMALL.lines().filter(|line| !line.starts_with("price")).collect();
    home.write("small.toml", &free.join("\n"));
    let text = stdout(&home.run(&[&asked[..], &["--no-files"]].concat()));
    assert!(text.contains("Capacity: ") && !text.contains("a month"), "{text}");
}
