//! Did anything change? The digest of every request of every topology here, beside what it was.
//!
//! `UPDATE=1 cargo test --test golden` writes `tests/golden.txt` anew. A line that moves means that
//! results have changed: the commit says why.

use std::fs;
use std::path::{Path, PathBuf};

use loadbearing::diagnostic::render_plain;
use loadbearing::model::compile;
use loadbearing::run::{Ended, Unwatched, replicate};
use loadbearing::topology::load;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Large deployments are followed for this many events only.
const MOST_EVENTS: u64 = 200_000;

/// All topology files under a folder, by name.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(ROOT).join(&folder)).expect("readable") {
            let entry = entry.expect("readable");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "toml") {
                found.push(path.to_str().expect("plain names").replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

/// What two replications of a file come to.
fn lines(path: &str) -> String {
    let mut read = |path: &str| {
        fs::read_to_string(Path::new(ROOT).join(path)).map_err(|error| error.to_string())
    };
    let loaded = load(path, &[], &mut read);
    let said = render_plain(&loaded.diagnostics, &loaded.sources);
    let mut model =
        compile(&loaded.topology.unwrap_or_else(|| panic!("{path} is not sound:\n{said}")));
    model.plan.max_events = MOST_EVENTS;
    let mut lines = String::new();
    for replication in 0..2 {
        let outcome = replicate(&model, replication, &mut Unwatched);
        assert!(outcome.audit.broken.is_empty(), "{path}: {:?}", outcome.audit.broken);
        assert!(matches!(outcome.ended, Ended::Completed | Ended::EventLimit), "{path}");
        let requests = &outcome.requests;
        lines += &format!(
            "{path} replication={replication} digest={:016x} events={} offered={} ok={} failed={}\n",
            outcome.digest,
            outcome.events,
            requests.offered,
            requests.ok,
            requests.failed_all(),
        );
    }
    lines
}

#[test]
fn runs_are_what_they_were() {
    let folders = ["topologies", "tests/topologies", "tests/diagnostics/base"];
    let paths: Vec<String> = folders.into_iter().flat_map(files).collect();
    assert!(paths.len() >= 4, "{paths:?}");
    let now: String = paths.iter().map(|path| lines(path)).collect();
    let golden = Path::new(ROOT).join("tests/golden.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, &now).expect("writable");
    }
    let before = fs::read_to_string(&golden).unwrap_or_default();
    let moved: Vec<&str> =
        now.lines().filter(|line| !before.lines().any(|it| it == *line)).collect();
    assert!(moved.is_empty(), "results have changed:\n{}", moved.join("\n"));
    assert_eq!(now.lines().count(), before.lines().count(), "files are gone");
}
