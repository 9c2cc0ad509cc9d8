//! Does the tool behave? Exit codes, the same bytes for any number of threads, files whole or not
//! at all, plain text where there is no terminal.
#![cfg(feature = "cli")]

mod capacity;
mod check;
mod reports;
mod schema;
mod sweep;
mod trace;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use schema::validate;
use serde_json::Value;

/// A folder of its own for each test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder =
            std::env::temp_dir().join(format!("loadbearing-cli-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        Scratch(folder)
    }
    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).expect("writable");
    }
    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).expect("readable")
    }
    fn has(&self, file: &str) -> bool {
        self.0.join(file).exists()
    }
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadbearing"));
        command.args(words).current_dir(&self.0);
        command
    }
    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the program starts")
    }
    /// Every file below a folder with its content, by path.
    fn tree(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let root = self.0.join(folder);
        let mut files = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("readable") {
                let path = entry.expect("readable").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(&root).expect("below").display().to_string();
                    files.push((name, fs::read(&path).expect("readable")));
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the program ends by itself")
}
fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}
fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A pool behind an event loop, small enough for many runs.
const SMALL: &str = r#"
version = 1
title = "A small shop"
[run]
warmup = "2s"
duration = "10s"
replications = 3
[arrivals]
rate = "100/s"
[service.web]
price = { monthly = "$30", source = "invented" }
[pool.pg]
service = "web"
database = "main"
size = 5
acquire_timeout = "1s"
[database.main]
price = { monthly = "$60", source = "invented" }
[operation.browse]
share = 1
flow = [{ cpu = "1ms" }, { query = { pool = "pg", read.exponential = "10ms" } }, { reply = "2KB" }]
"#;

#[test]
fn a_run_without_objectives_ends_well_and_writes_its_files() {
    let home = Scratch::new("run");
    home.write("small.toml", SMALL);
    let output = home.run(&["run", "small.toml"]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    for words in ["A small shop", "Gives first", "p99.9", "Where the time goes", "audit: all"] {
        assert!(stdout(&output).contains(words), "no `{words}` in\n{}", stdout(&output));
    }
    assert!(stdout(&output).ends_with("files: output/small\nagain: loadbearing run small.toml\n"));
    let files: Vec<String> = home.tree("output/small").into_iter().map(|(name, _)| name).collect();
    let (figures, others): (Vec<String>, Vec<String>) =
        files.into_iter().partition(|file| file.starts_with("figures/"));
    assert!(
        figures.iter().all(|file| file.ends_with(".vl.json")) && figures.len() >= 5,
        "{figures:?}"
    );
    let expected = [
        "inputs/01-small.toml",
        "manifest.toml",
        "report.html",
        "runs.csv",
        "summary.csv",
        "timeline.csv",
    ];
    assert_eq!(others, expected);
    assert!(stdout(&output).lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn exit_codes_tell_what_kind_of_end_it_was() {
    let home = Scratch::new("codes");
    home.write("small.toml", SMALL);
    home.write("wrong.toml", "version = 1\n[pool.pg]\nsise = 3\n");
    let met = ["run", "small.toml", "--no-files", "--set", "objectives=['errors < 50%']"];
    assert_eq!(code(&home.run(&met)), 0);
    let unmet = ["run", "small.toml", "--no-files", "--set", "objectives=['latency_p95 < 1ms']"];
    let output = home.run(&unmet);
    assert_eq!(code(&output), 99);
    assert!(stdout(&output).starts_with("A small shop\n"), "the result is printed all the same");
    assert!(stdout(&output).contains("Objectives not met"));
    for command in ["run", "check", "explain"] {
        let output = home.run(&[command, "wrong.toml"]);
        assert_eq!((code(&output), stdout(&output)), (1, String::new()), "{command}");
        assert!(stderr(&output).contains("did you mean `size`?"), "{}", stderr(&output));
        assert!(stderr(&output).contains("wrong.toml:3:1"), "{}", stderr(&output));
    }
    assert_eq!(code(&home.run(&["run", "absent.toml"])), 1);
    assert_eq!(code(&home.run(&["run"])), 2);
    assert_eq!(code(&home.run(&["run", "small.toml", "--threads", "0"])), 2);
    assert_eq!(code(&home.run(&["run", "small.toml", "--precision", "5"])), 2);
    assert_eq!(code(&home.run(&["compare", "small.toml"])), 2);
    // A limit that ends every replication before it has measured anything.
    let limited = [
        "run",
        "small.toml",
        "--no-files",
        "--set",
        "run.max_events=1",
        "--set",
        "run.warmup='1h'",
    ];
    let output = home.run(&limited);
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("before anything was measured"), "{}", stderr(&output));
}

#[test]
fn an_early_end_keeps_what_was_measured_and_says_so() {
    let home = Scratch::new("early");
    home.write("small.toml", SMALL);
    let long =
        ["run", "small.toml", "--no-files", "--duration", "1h", "--set", "run.max_events=100_000"];
    let output = home.run(&long);
    assert_eq!(code(&output), 0);
    let warning = "3 of 3 replications ended early, at the limit of events (`run.max_events`)";
    assert!(stdout(&output).replace("\n         ", " ").contains(warning), "{}", stdout(&output));
}

#[test]
fn an_overload_is_said_to_be_not_stationary() {
    let home = Scratch::new("overload");
    home.write("small.toml", SMALL);
    let words = [
        "run",
        "small.toml",
        "--json",
        "--no-files",
        "--set",
        "arrivals.rate=1200/s",
        "--set",
        "pool.pg.acquire_timeout=1h",
        "--duration",
        "30s",
    ];
    let output = home.run(&words);
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let warnings = result["warnings"].as_array().expect("a list");
    let found = warnings.iter().find(|warning| warning["slug"] == "not-stationary");
    let message = found.expect("a warning")["message"].as_str().expect("words").to_string();
    assert!(message.starts_with("not stationary: requests in flight grow by "), "{message}");
    let order = result["saturation"].as_array().expect("a list");
    assert!(order.iter().any(|bearing| bearing["saturated_now"] == true));
    // Two cores that a query keeps busy for 10 ms carry 200 of the 1,200 requests a second.
    let full = order[0]["load_factor"]["at_100"].as_f64().expect("a number");
    assert!(order[0]["component"] == "database.main" && (full - 1.0 / 6.0).abs() < 0.01, "{full}");
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let home = Scratch::new("threads");
    home.write("small.toml", SMALL);
    home.write("larger.toml", "extends = 'small.toml'\nversion = 1\n[pool.pg]\nsize = 9\n");
    let mut results = Vec::new();
    for threads in ["1", "2", "8"] {
        let folder = format!("by-{threads}");
        let words = [
            "compare",
            "small.toml",
            "larger.toml",
            "--threads",
            threads,
            "--output",
            &folder,
            "--precision",
            "4%",
        ];
        let output = home.run(&words);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        results.push((stdout(&output).replace(&folder, "FOLDER"), home.tree(&folder)));
    }
    assert!(results[0].1.iter().any(|(name, _)| name == "inputs/02-small.toml"));
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "threads change the result");
    let other = home.run(&["run", "small.toml", "--json", "--no-files", "--seed", "2"]);
    let seeds = home.run(&["run", "small.toml", "--json", "--no-files", "--seed", "3"]);
    assert_ne!(stdout(&other), stdout(&seeds), "the seed must change the result");
}

#[test]
fn a_wanted_precision_adds_replications_and_keeps_the_earlier_ones() {
    let home = Scratch::new("precision");
    home.write("small.toml", SMALL);
    let rows = |folder: &str| {
        let text = home.read(&format!("{folder}/runs.csv"));
        let rows = text.lines().filter(|line| line.contains(",all,latency_mean_s,"));
        rows.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(code(&home.run(&["run", "small.toml", "--output", "few"])), 0);
    assert_eq!(code(&home.run(&["run", "small.toml", "--output", "more", "--precision", "2%"])), 0);
    let (few, more) = (rows("few"), rows("more"));
    assert!(few.len() == 3 && more.len() > 3, "{} and {}", few.len(), more.len());
    assert_eq!(few, more[..3]);
}

#[test]
fn a_rerun_is_identical_and_a_change_is_found() {
    let home = Scratch::new("rerun");
    home.write("small.toml", SMALL);
    let words = ["run", "small.toml", "--set", "pool.pg.size=4", "--output", "result"];
    assert_eq!(code(&home.run(&words)), 0);
    // The files as they were are beside the manifest: the original may change or go.
    fs::remove_file(home.0.join("small.toml")).expect("removable");
    let output = home.run(&["rerun", "result/manifest.toml"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("identical: runs.csv, summary.csv, timeline.csv"));

    let manifest = home.read("result/manifest.toml");
    home.write("result/manifest.toml", &manifest.replace("pool.pg.size=4", "pool.pg.size=3"));
    let output = home.run(&["rerun", "result"]);
    assert_eq!(code(&output), 3);
    assert!(stdout(&output).contains("runs.csv differs, first in line"), "{}", stdout(&output));

    home.write("result/manifest.toml", &manifest);
    home.write("result/inputs/01-small.toml", &SMALL.replace("100/s", "90/s"));
    let output = home.run(&["rerun", "result"]);
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("its digest differs"), "{}", stderr(&output));
}

#[test]
fn a_failed_write_leaves_nothing_half_written() {
    let home = Scratch::new("write");
    home.write("small.toml", SMALL);
    home.write("occupied", "a file, not a folder");
    let output = home.run(&["run", "small.toml", "--output", "occupied/result"]);
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("occupied"), "{}", stderr(&output));
    // What is no earlier result is never replaced.
    fs::create_dir(home.0.join("thesis")).expect("creatable");
    home.write("thesis/chapter.tex", "years of work");
    let output = home.run(&["run", "small.toml", "--output", "thesis"]);
    assert_eq!(code(&output), 3);
    assert_eq!(home.read("thesis/chapter.tex"), "years of work");
    let entries = fs::read_dir(&home.0).expect("readable");
    let mut names: Vec<String> =
        entries.map(|it| it.expect("readable").file_name().to_string_lossy().into()).collect();
    names.sort();
    assert_eq!(names, ["occupied", "small.toml", "thesis"]);
}

#[test]
fn a_killed_run_leaves_the_earlier_result() {
    let home = Scratch::new("killed");
    home.write("small.toml", SMALL);
    assert_eq!(code(&home.run(&["run", "small.toml"])), 0);
    let before = home.tree("output/small");
    let mut child = home
        .command(&["run", "small.toml", "--duration", "100h", "--quiet"])
        .spawn()
        .expect("the program starts");
    std::thread::sleep(milliseconds(300));
    child.kill().expect("it runs for long");
    child.wait().expect("it ends");
    assert_eq!(home.tree("output/small"), before);
}

#[allow(clippy::disallowed_types)] // The machine's own time, not simulated time.
fn milliseconds(count: u64) -> std::time::Duration {
    std::time::Duration::from_millis(count)
}

#[test]
fn text_for_pipes_is_plain_and_a_closed_pipe_is_no_error() {
    let home = Scratch::new("pipes");
    home.write("small.toml", SMALL);
    home.write("wrong.toml", "version = 2\n");
    for output in [
        home.run(&["run", "small.toml", "--no-files"]),
        home.run(&["run", "wrong.toml"]),
        home.command(&["explain", "small.toml"]).env("NO_COLOR", "1").output().expect("it starts"),
    ] {
        assert!(!stdout(&output).contains('\u{1b}') && !stderr(&output).contains('\u{1b}'));
    }
    let mut child = home
        .command(&["explain", "small.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
}

#[test]
fn quiet_says_nothing_and_no_files_writes_nothing() {
    let home = Scratch::new("quiet");
    home.write("small.toml", SMALL);
    let output = home.run(&["run", "small.toml", "--quiet", "--no-files"]);
    assert_eq!((stdout(&output), stderr(&output), code(&output)), Default::default());
    assert!(!home.has("output"));
}

#[test]
fn a_comparison_is_side_by_side_and_paired() {
    let home = Scratch::new("compare");
    home.write("small.toml", SMALL);
    home.write("twin.toml", &SMALL.replace("A small shop", "The same shop"));
    home.write("slow.toml", &SMALL.replace("cpu = \"1ms\"", "cpu = \"5ms\""));
    let output = home.run(&["compare", "small.toml", "twin.toml", "slow.toml", "--no-files"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    for words in
        ["offered", "served", "latency p99", "gives first", "cost a month", "Against small"]
    {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100));

    let output =
        home.run(&["compare", "small.toml", "twin.toml", "slow.toml", "--no-files", "--json"]);
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let difference = |index: usize, end: &str| {
        let metrics = &result["differences_from_first"][index]["metrics"];
        metrics["latency_mean_s"]["difference"][end].as_f64().expect("a number")
    };
    // The same design on the same users and work differs in nothing, to the last bit.
    assert_eq!([difference(0, "low"), difference(0, "high")], [0.0, 0.0]);
    // Four milliseconds more of computing cost at least those, whatever chance does.
    assert!(difference(1, "low") > 0.004 && difference(1, "high") < 0.02);
    let schema = home.run(&["schema", "result"]);
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    let faults = validate(&result, &schema["$defs"]["comparison"], &schema, "comparison");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_result_is_as_its_schema_says() {
    let home = Scratch::new("schema");
    home.write("small.toml", SMALL);
    let schema = home.run(&["schema", "result"]);
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    let overload = ["run", "small.toml", "--no-files", "--json", "--set", "arrivals.rate=800/s"];
    let single = [
        "run",
        "small.toml",
        "--no-files",
        "--json",
        "--replications",
        "1",
        "--set",
        "objectives=['latency_p95 < 1s', 'utilisation(pool.pg) < 85%']",
    ];
    for words in [&overload[..], &single[..]] {
        let output = home.run(words);
        let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let faults = validate(&result, &schema, &schema, "result");
        assert!(faults.is_empty(), "{faults:#?}");
        let requests = &result["requests"];
        let failed = requests["failed"].as_object().expect("by kind").values();
        let failed: u64 = failed.map(|count| count.as_u64().expect("a count")).sum();
        let ended = requests["ok"].as_u64().expect("a count") + failed;
        assert!(ended.abs_diff(requests["offered"].as_u64().expect("a count")) < ended / 2);
        let mut broken = result.clone();
        broken["latency_s"]["p95"]["estimate"] = Value::String("fast".into());
        broken["surprise"] = Value::Null;
        assert_eq!(validate(&broken, &schema, &schema, "result").len(), 2, "teeth");
    }
}

#[test]
fn a_new_topology_checks_and_runs_and_nothing_is_overwritten() {
    let home = Scratch::new("new");
    assert_eq!(code(&home.run(&["new", "shop"])), 0);
    let output = home.run(&["check", "shop.toml"]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    assert_eq!(code(&home.run(&["run", "shop.toml", "--duration", "20s"])), 0);
    let before = home.read("shop.toml");
    let output = home.run(&["new", "shop"]);
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("there already"), "{}", stderr(&output));
    assert_eq!(home.read("shop.toml"), before);
}

#[test]
fn theory_agrees_with_any_luck_and_any_number_of_threads() {
    let home = Scratch::new("theory");
    let quick = |more: &[&str]| home.run(&[&["theory", "--quick", "--json"], more].concat());
    let [one, two] = ["1", "2"].map(|threads| quick(&["--threads", threads]));
    assert_eq!((code(&one), code(&two)), (0, 0), "{}", stderr(&one));
    assert_eq!(one.stdout, two.stdout, "threads change the result");
    let other = quick(&["--seed", "5"]);
    assert_eq!(code(&other), 0);
    let [rows, others] = [&one, &other].map(|output| {
        let found: Value = serde_json::from_str(&stdout(output)).expect("JSON");
        assert_eq!(found["agrees"], true);
        found["rows"].as_array().expect("a list").clone()
    });
    for (row, other) in rows.iter().zip(&others) {
        assert_eq!(row["theory"], other["theory"]);
        assert_ne!(row["simulated"], other["simulated"], "{}: no luck in it", row["model"]);
    }
    assert_eq!(home.tree("."), [], "it writes no files");
}

#[test]
fn schemas_and_completions_are_printed_and_help_teaches() {
    let home = Scratch::new("printed");
    let schema = home.run(&["schema"]);
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    assert_eq!(schema["title"], "Loadbearing topology");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = home.run(&["completions", shell]);
        assert!(stdout(&output).contains("compare"), "{shell}");
    }
    for command in [
        "check",
        "run",
        "compare",
        "capacity",
        "stress",
        "explain",
        "rerun",
        "new",
        "schema",
        "completions",
    ] {
        let output = home.run(&[command, "--help"]);
        assert!(stdout(&output).contains("Examples:\n  loadbearing"), "{command}");
    }
}

#[test]
fn tables_are_tidy_and_agree_with_one_another() {
    let home = Scratch::new("tables");
    home.write("small.toml", SMALL);
    assert_eq!(code(&home.run(&["run", "small.toml", "--output", "result"])), 0);
    let rows = |file: &str| {
        let mut reader =
            csv::Reader::from_path(Path::new(&home.0).join("result").join(file)).expect("a table");
        let rows: Vec<Vec<String>> = reader
            .records()
            .map(|row| row.expect("as long as the head").iter().map(String::from).collect())
            .collect();
        rows
    };
    let (runs, summary, timeline) = (rows("runs.csv"), rows("summary.csv"), rows("timeline.csv"));
    let means: Vec<f64> = runs
        .iter()
        .filter(|row| row[2] == "all" && row[3] == "latency_mean_s")
        .map(|row| row[5].parse().expect("a number"))
        .collect();
    let row = summary.iter().find(|row| row[1] == "all" && row[3] == "latency_mean_s");
    let estimate: f64 = row.expect("a row")[5].parse().expect("a number");
    assert_eq!(means.len(), 3);
    assert!((means.iter().sum::<f64>() / 3.0 - estimate).abs() < 1e-12);
    // 12 windows of a second in each of three replications, two of them warm-up.
    let windows = timeline.iter().filter(|row| row[5] == "all" && row[6] == "offered_per_s");
    let measured: Vec<bool> = windows.map(|row| row[4] == "true").collect();
    assert_eq!((measured.len(), measured.iter().filter(|it| **it).count()), (36, 30));
}

#[test]
fn who_names_a_wrong_file_is_told_which_would_be_right() {
    let home = Scratch::new("wrong-file");
    home.write("small.toml", SMALL);
    let told = |words: &[&str]| {
        let output = home.run(words);
        assert_eq!(stdout(&output), "", "{words:?}");
        (code(&output), stderr(&output))
    };
    for (command, wanted) in [("sweep", "not an experiment"), ("claims", "not a file of claims")] {
        let (ended, said) = told(&[command, "small.toml"]);
        assert!(ended == 1 && said.contains(wanted), "{said}");
        assert!(said.contains("topologies are for `loadbearing run`"), "{said}");
    }
    let (ended, said) = told(&["run", "small"]);
    assert_eq!(ended, 1);
    assert!(said.contains("did you mean `small.toml`?"), "{said}");
    let (_, said) = told(&["check", "."]);
    assert!(said.contains("it is a folder"), "{said}");
    let (ended, said) = told(&["rerun", "nowhere"]);
    assert!(ended == 3 && said.contains("such as `output/shop`"), "{said}");
    let (ended, said) = told(&["new", "nowhere/shop"]);
    assert!(ended == 3 && said.contains("is not there"), "{said}");
}
