//! Do the books balance whatever fails? Every component of topologies that use much of the language
//! fails in every way that it can, again and again at random, alone and with all others.

use loadbearing::model::compile;
use loadbearing::run::{Ended, Unwatched, replicate, replicate_on_reference};
use loadbearing::topology::load;

const PRESSURE: &str = include_str!("topologies/pressure.toml");
const SPREAD: &str = include_str!("topologies/spread.toml");
const CROWDED: &str = include_str!("topologies/crowded.toml");

/// Names of the components of a section, as the text writes them.
fn names(text: &str, section: &str) -> Vec<String> {
    let head = format!("[{section}.");
    let found = text.lines().filter_map(|line| line.strip_prefix(&head)?.split([']', '.']).next());
    let mut all: Vec<String> = found.map(|name| format!("{section}.{name}")).collect();
    all.dedup();
    all
}

const WAYS: &[(&str, &[&str])] = &[
    ("service", &["stop", "restart", "{slow=3}", "{flaky='20%'}", "cut"]),
    ("database", &["stop", "failover", "{slow=3}", "{flaky='20%'}", "cut"]),
    ("cache", &["stop", "restart", "failover", "{slow=300}", "{flaky='20%'}", "cut"]),
    ("pool", &["stop", "{slow=3}", "{flaky='50%'}"]),
    ("pooler", &["stop", "{slow=3}", "{flaky='20%'}", "cut"]),
    ("store", &["stop", "{slow=3}", "{flaky='50%'}"]),
    ("queue", &["stop", "{slow=3}", "{flaky='50%'}", "cut"]),
    ("stream", &["stop", "{slow=3}"]),
    ("consumer", &["stop", "{slow=3}", "cut"]),
    ("socket", &["stop", "{flaky='50%'}"]),
    ("host", &["stop", "{slow=2}", "cut"]),
    ("link", &["stop", "{slow=3}", "{flaky='50%'}"]),
    ("cdn", &["stop", "restart", "{slow=3}", "{flaky='50%'}"]),
    ("balancer", &["stop", "{slow=3}", "{flaky='50%'}"]),
    ("region", &["stop", "restart", "cut", "{slow=2}", "{flaky='10%'}"]),
];

/// Every fault that the components of a text allow, as settings.
fn faults(text: &str, law: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (section, ways) in WAYS {
        for target in names(text, section) {
            let is_no_server = |kind: &str| text.contains(&format!("[{target}]\nkind{kind}"));
            if is_no_server(" = \"memory\"") || is_no_server(".redis") {
                continue;
            }
            for way in *ways {
                let what = if way.starts_with('{') { way.to_string() } else { format!("'{way}'") };
                let name = all.len();
                all.push(format!("fault.f{name}={{target='{target}', what={what}, {law}}}"));
            }
        }
    }
    all
}

/// Runs with these settings; everything must add up, twice the same.
fn survives(text: &str, sets: &[String], reference: bool) {
    let loaded = load("test.toml", sets, &mut |_| Ok(text.to_string()));
    let said: Vec<&String> = loaded.diagnostics.iter().map(|found| &found.message).collect();
    let model = compile(&loaded.topology.unwrap_or_else(|| panic!("{sets:?}: {said:?}")));
    let outcome = replicate(&model, 0, &mut Unwatched);
    assert_eq!(outcome.audit.broken, Vec::<String>::new(), "{sets:?}");
    assert_eq!(outcome.ended, Ended::Completed, "{sets:?}");
    assert!(!outcome.faults.is_empty(), "{sets:?}: nothing failed");
    if reference {
        assert_eq!(replicate_on_reference(&model, 0).digest, outcome.digest, "{sets:?}");
    }
}

fn every_way_alone(text: &str) {
    for set in faults(text, "every={exponential='300ms'}, for={exponential='150ms'}") {
        survives(text, &[set], false);
    }
}

#[test]
fn everything_adds_up_in_every_fault_under_pressure() {
    every_way_alone(PRESSURE);
}

#[test]
fn everything_adds_up_in_every_fault_across_regions() {
    every_way_alone(SPREAD);
}

#[test]
fn everything_adds_up_in_every_fault_on_one_machine() {
    every_way_alone(CROWDED);
}

#[test]
fn everything_adds_up_when_all_fail_at_their_own_times() {
    for text in [PRESSURE, SPREAD, CROWDED] {
        let law = "every={exponential='3s'}, for={exponential='200ms'}";
        survives(text, &faults(text, law), true);
        let parts = "every={exponential='2s'}, for={exponential='200ms'}, apart=true";
        let apart: Vec<String> =
            faults(text, parts).into_iter().filter(|set| !set.contains("'cut'")).collect();
        survives(text, &apart, true);
    }
}
