//! Sweeps: whole or not at all, resumed, added to, on many machines, and always the same bytes.

use std::time::Instant;

use super::*;

/// Enough work for a second or so.
const EXPERIMENT: &str = r#"
version = 1
title = "Pool size"
topology = "small.toml"
replications = 4
duration = "200s"
outputs = ["latency_mean_s", "latency_p95_s", "throughput_per_s", "*.utilisation_ratio"]
rank = { by = "latency_p95_s" }
[[axis]]
name = "pool"
path = "pool.pg.size"
values = [2, 3, 5, 8]
[[axis]]
name = "rate"
path = "arrivals.rate"
values = ["60/s", "90/s", "120/s"]
"#;

fn home(name: &str) -> Scratch {
    let home = Scratch::new(name);
    home.write("small.toml", SMALL);
    home.write("pool.toml", EXPERIMENT);
    home
}

/// The tables of an output folder; the manifest names threads and places nowhere, so it is one.
fn tables(home: &Scratch, folder: &str) -> Vec<(String, Vec<u8>)> {
    let files = home.tree(folder);
    assert!(files.iter().any(|(name, _)| name == "runs.csv"), "{folder} is complete");
    files
}

fn sweep(home: &Scratch, more: &[&str]) -> Output {
    let mut words = vec!["sweep", "pool.toml", "--quiet"];
    words.extend(more);
    let output = home.run(&words);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{more:?}");
    output
}

fn chunks(home: &Scratch, work: &str) -> usize {
    fs::read_dir(home.0.join(work).join("chunks"))
        .map(|entries| {
            let names = entries.map(|entry| entry.expect("readable").file_name());
            names.filter(|name| name.to_string_lossy().ends_with(".csv")).count()
        })
        .unwrap_or(0)
}

#[test]
fn a_killed_sweep_goes_on_and_ends_in_the_same_bytes() {
    let home = home("killed");
    sweep(&home, &["--threads", "1", "--output", "whole", "--work", "whole.work"]);
    let words = ["sweep", "pool.toml", "--quiet", "--threads", "1", "--output", "o", "--work", "w"];
    // Longer, so that there is time to kill it.
    let long = ["--duration", "2000s"];
    let mut killed = 0;
    let mut child = home.command(&[&words[..], &long[..]].concat()).spawn().expect("starts");
    let started = Instant::now();
    while chunks(&home, "w") == 0 && started.elapsed().as_secs() < 120 {
        std::thread::yield_now();
        if child.try_wait().expect("known").is_some() {
            break;
        }
    }
    if child.try_wait().expect("known").is_none() {
        child.kill().expect("SIGKILL");
        killed += 1;
    }
    child.wait().expect("ended");
    assert_eq!(killed, 1, "it was killed while it ran");
    assert!(!home.has("o"), "a folder is whole or not there");
    let kept = chunks(&home, "w");
    assert!(kept > 0, "what was finished is kept");
    let resumed = home.run(&[&words[..], &long[..]].concat());
    assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));
    let fresh =
        ["sweep", "pool.toml", "--quiet", "--threads", "2", "--output", "f", "--work", "f.work"];
    assert_eq!(code(&home.run(&[&fresh[..], &long[..]].concat())), 0);
    assert_eq!(tables(&home, "o"), tables(&home, "f"));
    assert_ne!(home.read("o/runs.csv"), home.read("whole/runs.csv"));
    // Again with nothing to do: no chunk is added, nothing changes.
    let before = chunks(&home, "w");
    assert_eq!(code(&home.run(&[&words[..], &long[..]].concat())), 0);
    assert_eq!((chunks(&home, "w"), tables(&home, "o")), (before, tables(&home, "f")));
}

/// The rows of all chunks, without their heads.
fn rows(home: &Scratch, work: &str) -> Vec<String> {
    let files = home.tree(&format!("{work}/chunks"));
    let texts = files.into_iter().map(|(_, bytes)| String::from_utf8(bytes).expect("UTF-8"));
    let mut rows: Vec<String> = texts
        .flat_map(|text| {
            let lines = text.lines().skip(1).filter(|line| !line.starts_with('#'));
            lines.map(String::from).collect::<Vec<_>>()
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn added_points_and_replications_keep_the_earlier_ones() {
    let home = home("added");
    let short = ["--duration", "20s", "--work", "w"];
    sweep(&home, &[&short[..], &["--output", "few", "--replications", "2"]].concat());
    let first = rows(&home, "w");
    assert_eq!(first.len(), 24);
    sweep(&home, &[&short[..], &["--output", "many"]].concat());
    let second = rows(&home, "w");
    assert_eq!(second.len(), 48);
    assert!(first.iter().all(|row| second.contains(row)), "the earlier ones are there");
    home.write("pool.toml", &EXPERIMENT.replace("[2, 3, 5, 8]", "[1, 2, 3, 5, 8]"));
    sweep(&home, &[&short[..], &["--output", "more"]].concat());
    assert_eq!(rows(&home, "w").len(), 60, "only the new point was run");
    sweep(&home, &["--duration", "20s", "--work", "fresh", "--output", "at-once"]);
    assert_eq!(tables(&home, "more"), tables(&home, "at-once"));
    // A title is no result: nothing is run again.
    home.write("small.toml", &SMALL.replace("A small shop", "Another name"));
    sweep(&home, &[&short[..], &["--output", "renamed"]].concat());
    assert_eq!(rows(&home, "w").len(), 60);
    assert_eq!(home.read("renamed/runs.csv"), home.read("more/runs.csv"));
}

#[test]
fn shards_in_any_order_make_the_bytes_of_one_machine() {
    let home = home("shards");
    let duration = ["--duration", "20s"];
    sweep(&home, &[&duration[..], &["--output", "one", "--work", "one.work"]].concat());
    let plan = ["sweep", "plan", "pool.toml", "--work", "w", "--chunk-runs", "5"];
    let output = home.run(&[&plan[..], &duration[..]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("48 runs to make in 10 chunks"), "{}", stdout(&output));
    // The files as they were belong to the plan: what they become later changes nothing.
    home.write("small.toml", "version = 1\n");
    home.write("pool.toml", "nothing");
    let status = |words: &str| {
        let output = home.run(&["sweep", "status", "w"]);
        assert!(stdout(&output).contains(words), "{}", stdout(&output));
    };
    status("not complete: 0 of 10");
    let too_early = home.run(&["sweep", "merge", "w", "--output", "many"]);
    assert_eq!(code(&too_early), 3);
    assert!(stderr(&too_early).contains("48 runs are missing"), "{}", stderr(&too_early));
    for shard in ["2/3", "0/3", "2/3", "1/3"] {
        let output = home.run(&["sweep", "run", "w", "--shard", shard, "--quiet"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    status("complete: 10 of 10");
    let merged = home.run(&["sweep", "merge", "w", "--output", "many", "--quiet"]);
    assert_eq!(code(&merged), 0, "{}", stderr(&merged));
    let of = |folder: &str| -> Vec<(String, Vec<u8>)> { tables(&home, folder) };
    assert_eq!(of("many"), of("one"));
    assert_eq!(code(&home.run(&["sweep", "run", "w", "--shard", "3/3"])), 2);
}

#[test]
fn a_damaged_chunk_is_told_and_made_again() {
    let home = home("damaged");
    let words = ["--duration", "20s", "--work", "w"];
    sweep(&home, &[&words[..], &["--output", "a"]].concat());
    let (name, bytes) = home.tree("w/chunks").remove(0);
    fs::write(home.0.join("w/chunks").join(&name), &bytes[..bytes.len() / 2]).expect("writable");
    let again = ["sweep", "pool.toml", "--quiet", "--output", "b"];
    let output = home.run(&[&again[..], &words[..]].concat());
    assert_eq!(code(&output), 0);
    assert!(stderr(&output).contains("is damaged; its runs are made again"), "{}", stderr(&output));
    assert_eq!(tables(&home, "a"), tables(&home, "b"));
}

#[test]
fn a_full_disk_loses_nothing_that_was_published() {
    let home = home("full");
    // No file may grow beyond a block, which is what a full disk does to a chunk.
    let program = env!("CARGO_BIN_EXE_loadbearing");
    let limited = format!(
        "trap '' XFSZ; ulimit -f 1; exec {program} sweep pool.toml --quiet --duration 20s --work w"
    );
    let output = Command::new("sh").args(["-c", &limited]).current_dir(&home.0).output();
    let output = output.expect("a shell");
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot keep results"), "{}", stderr(&output));
    assert_eq!(home.tree("w/chunks"), [], "nothing half is left");
    sweep(&home, &["--duration", "20s", "--work", "w", "--output", "a"]);
    sweep(&home, &["--duration", "20s", "--work", "x", "--output", "b"]);
    assert_eq!(tables(&home, "a"), tables(&home, "b"));
}

#[test]
fn a_sweep_proves_itself_by_digest() {
    let home = home("proved");
    sweep(&home, &["--duration", "20s", "--replications", "2"]);
    let output = home.run(&["rerun", "output/pool/manifest.toml"]);
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert!(
        stdout(&output).starts_with("identical: runs.csv, summary.csv, points.csv, ranking.csv")
    );
    let path = home.0.join("output/pool/runs.csv");
    let text = fs::read_to_string(&path).expect("readable").replacen("completed", "finished", 1);
    fs::write(&path, text).expect("writable");
    let output = home.run(&["rerun", "output/pool"]);
    assert_eq!(code(&output), 3);
    assert!(stdout(&output).contains("runs.csv was changed"), "{}", stdout(&output));
}

#[test]
fn every_column_of_every_table_says_what_it_holds() {
    let home = home("columns");
    sweep(&home, &["--duration", "20s", "--replications", "2"]);
    let manifest: toml::Table = home.read("output/pool/manifest.toml").parse().expect("TOML");
    for (name, bytes) in home.tree("output/pool") {
        let Some(table) = name.strip_suffix(".csv") else { continue };
        let text = String::from_utf8(bytes).expect("UTF-8");
        let head = text.lines().next().expect("a head");
        let told = manifest["columns"][&name].as_array().expect("a list");
        let names: Vec<&str> = told.iter().map(|it| it["name"].as_str().expect("a name")).collect();
        assert_eq!(names.join(","), head, "{table}");
        assert!(told.iter().all(|it| it["meaning"].as_str().is_some_and(|it| it.len() > 5)));
        // A ratio, a time or a rate says its unit.
        for it in told {
            let (name, meaning) = (it["name"].as_str().unwrap(), it["meaning"].as_str().unwrap());
            let has_unit = name.ends_with("_s") || name.ends_with("_ratio");
            assert!(!has_unit || meaning.contains('['), "{table}.{name}: {meaning}");
        }
    }
}

#[test]
fn job_files_run_every_shard() {
    let home = home("scripts");
    let plan =
        ["sweep", "plan", "pool.toml", "--work", "w", "--chunk-runs", "5", "--duration", "9s"];
    assert_eq!(code(&home.run(&plan)), 0);
    let slurm = stdout(&home.run(&["sweep", "script", "slurm", "w", "--shards", "4"]));
    assert!(slurm.starts_with("#!/bin/bash\n") && slurm.contains("#SBATCH --array=0-3\n"));
    // Run as Slurm would run it, element by element.
    let script = home.0.join("job.sh");
    let program = Path::new(env!("CARGO_BIN_EXE_loadbearing")).parent().expect("a folder");
    fs::write(&script, &slurm).expect("writable");
    for element in 0..4 {
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        let mut job = Command::new("bash");
        job.arg(&script).env("PATH", path).env("SLURM_ARRAY_TASK_ID", element.to_string());
        let output = job.current_dir(&home.0).output().expect("a shell");
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    assert!(stdout(&home.run(&["sweep", "status", "w"])).starts_with("complete: 10 of 10"));
    let k8s = stdout(&home.run(&["sweep", "script", "k8s", "w", "--shards", "4"]));
    for line in ["completionMode: Indexed", "completions: 4", "backoffLimitPerIndex: 3"] {
        assert!(k8s.contains(line), "{k8s}");
    }
}

#[test]
fn a_sweep_is_data_too() {
    let home = home("sweep-json");
    let words = ["sweep", "pool.toml", "--no-files", "--json", "--duration", "20s"];
    let output = home.run(&words);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let found: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let schema = home.run(&["schema", "sweep"]);
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    let faults = validate(&found, &schema, &schema, "sweep");
    assert!(faults.is_empty(), "{faults:#?}");
    let answers = found["answers"].as_array().expect("sentences");
    assert!(
        answers.iter().any(|it| it.as_str().is_some_and(|it| it.contains("is lowest with rate ")))
    );
    assert_eq!(found["points"].as_array().map(Vec::len), Some(12));
    assert_eq!(found["points"][0]["levels"]["pool"]["number"], 2.0);
    assert!(found["points"][3]["estimates"]["latency_p95_s"]["high"].is_number());
    assert!(
        found["points"][3]["differences_from_baseline"]["latency_p95_s"]["p_value"].is_number()
    );
    assert!(found["rank"]["possibly_best"].as_array().is_some_and(|it| !it.is_empty()));
    assert!(!home.has("output"), "no files were wanted");
    let text = stdout(&home.run(&["sweep", "pool.toml", "--no-files", "--duration", "20s"]));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}
