//! One small topology for each component: each runs, and shows what its comment says it shows.
//!
//! A file opens with a comment; its first sentence stands on the map (`topologies/components/README.md`,
//! written anew by `UPDATE=1 cargo test --test topologies`). Lines in it that begin with `shows:` are
//! run, one replication each, and what they say must be measured:
//!
//! ```text
//! # shows: errors < 1%, latency_p95 < 50ms, cache.redis.hit_ratio > 0.9
//! # shows with pool.pg.size=2 arrivals.rate=50/s: errors > 20%
//! ```
//!
//! A metric is a word of objectives, the name of a metric of the whole, or that of a component behind its
//! path; a bound is a number with `%`, `us`, `ms`, `s`, `/s`, or nothing behind it.

use std::fs;
use std::path::Path;

use loadbearing::diagnostic::{Severity, render_plain};
use loadbearing::model::compile;
use loadbearing::result::{Summary, metric};
use loadbearing::run::{Ended, Unwatched, replicate};
use loadbearing::topology::{Form, Kind, reference};

use crate::{FOLDER, files, load_with};

/// A run of an example may take so many events: they all run before every landing.
const MOST_EVENTS: u64 = 1_000_000;

/// One `shows` line: settings, and what is then measured.
struct Shown {
    sets: Vec<String>,
    claims: Vec<String>,
}

/// The comment that a file opens with, line by line.
fn comment(text: &str) -> Vec<&str> {
    text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect()
}

fn shown(text: &str) -> Vec<Shown> {
    let lines = comment(text).into_iter().filter_map(|line| {
        let (sets, claims) = line.strip_prefix("shows")?.split_once(": ")?;
        let sets = sets.trim().strip_prefix("with ").unwrap_or_default();
        let claims = claims.split(", ").map(String::from).collect();
        Some(Shown { sets: sets.split_whitespace().map(String::from).collect(), claims })
    });
    lines.collect()
}

/// The first sentence of the opening comment.
fn first_sentence(text: &str) -> String {
    let whole = comment(text).join(" ");
    let end = whole.find(". ").map_or(whole.len(), |end| end + 1);
    whole[..end].to_string()
}

fn bound(text: &str) -> f64 {
    let units = [("%", 0.01), ("us", 1e-6), ("ms", 1e-3), ("/s", 1.0), ("s", 1.0), ("", 1.0)];
    let number = |(unit, scale): &(&str, f64)| {
        let number: f64 = text.trim().strip_suffix(unit)?.replace('_', "").parse().ok()?;
        Some(number * scale)
    };
    units.iter().find_map(number).unwrap_or_else(|| panic!("`{text}` is no bound"))
}

fn measured(summary: &Summary, name: &str) -> Option<f64> {
    let name = match name {
        "errors" => "failed_ratio".into(),
        "rejected" | "timeouts" => format!("{name}_ratio"),
        "throughput" => "throughput_per_s".into(),
        "cost" => "cost_month".into(),
        latency if latency.starts_with("latency_") && !latency.ends_with("_s") => {
            format!("{latency}_s")
        }
        other => other.to_string(),
    };
    let (subject, name) = match name.rsplit_once('.') {
        Some((path, name)) => (summary.subjects().find(|it| it.path == path)?, name),
        None => (&summary.overall, name.as_str()),
    };
    // What is left out of a summary is zero: such metrics are counted only where there is something.
    let known = [metric::overall(), metric::operation(), metric::component()].concat();
    if !known.iter().any(|it| it.name() == name) {
        return None;
    }
    let found = subject.measures.iter().find(|it| it.metric.name() == name);
    Some(found.and_then(|it| it.estimate.estimate).unwrap_or(0.0))
}

/// What is wrong with a claim such as `errors < 1%`; nothing if it holds.
fn refuted(summary: &Summary, claim: &str) -> Option<String> {
    let words: Vec<&str> = claim.split_whitespace().collect();
    let &[name, comparison, limit] = words.as_slice() else {
        return Some(format!("`{claim}` is not a metric, a comparison and a bound"));
    };
    let Some(value) = measured(summary, name) else {
        return Some(format!("`{name}`: there is no such component or metric"));
    };
    let limit = bound(limit);
    let holds = match comparison {
        "<" => value < limit,
        "<=" => value <= limit,
        ">" => value > limit,
        ">=" => value >= limit,
        "=" => value == limit,
        other => return Some(format!("`{other}` compares nothing")),
    };
    (!holds).then(|| format!("`{claim}`: it is {value}"))
}

fn run(path: &Path, sets: &[String]) -> Summary {
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let loaded = load_with(path, &sets);
    let said = render_plain(&loaded.diagnostics, &loaded.sources);
    let wrong = loaded.diagnostics.iter().any(|it| it.severity == Severity::Error);
    assert!(!wrong, "{} with {sets:?}:\n{said}", path.display());
    let mut model = compile(&loaded.topology.expect("nothing is wrong"));
    model.plan.max_events = MOST_EVENTS;
    model.plan.replications = 1;
    let outcome = replicate(&model, 0, &mut Unwatched);
    let name = path.display();
    assert_ne!(outcome.ended, Ended::EventLimit, "{name} with {sets:?}: make its [run] shorter");
    assert!(outcome.audit.broken.is_empty(), "{name} with {sets:?}: {:?}", outcome.audit.broken);
    Summary::new(&model, &[outcome])
}

#[test]
fn every_example_of_a_component_shows_what_it_says() {
    let mut wrong = Vec::new();
    for path in files("components") {
        let text = fs::read_to_string(&path).expect("readable");
        let name = path.file_name().expect("a file").to_string_lossy();
        assert!(text.starts_with("# "), "{name} does not say what it shows");
        let shown = shown(&text);
        if shown.is_empty() {
            wrong.push(format!("{name}: no line `# shows: METRIC < BOUND` that a run can check"));
        }
        for Shown { sets, claims } in shown {
            let summary = run(&path, &sets);
            let refuted = claims.iter().filter_map(|claim| refuted(&summary, claim));
            wrong.extend(refuted.map(|why| format!("{name} with {sets:?}: {why}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Choices whose possibilities need no example each.
const ALIKE: [(&str, &str); 3] = [
    ("WrittenOf", "laws of numbers, each shown by `tests/knobs/law.rs`"),
    ("SupabasePlan", "sizes of one plan"),
    ("HerokuPlan", "sizes of one plan"),
];

/// What the examples set, without what they tell.
fn what_examples_set() -> String {
    let mut all = String::new();
    for path in files("components") {
        let text = fs::read_to_string(&path).expect("readable");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        all.extend(lines.flat_map(|line| [line, "\n"]));
        all.extend(shown(&text).iter().flat_map(|it| &it.sets).flat_map(|set| [set, "\n"]));
    }
    all
}

/// Whether a name stands in a text as a value or a key, rather than as a part of another.
fn is_set(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn every_component_and_every_policy_has_an_example() {
    let text = what_examples_set();
    let entries = reference();
    let fields = || {
        let tables = entries.iter().filter_map(|entry| match &entry.form {
            Form::Table(table) => Some(table),
            Form::Choice(_) => None,
        });
        tables.flat_map(|table| &table.fields)
    };
    let mut missing = Vec::new();
    for entry in &entries {
        let section = entry.heading.strip_prefix('[').and_then(|it| it.split_once(".NAME"));
        let unseen = section.filter(|(it, _)| !text.contains(&format!("[{it}.")));
        missing.extend(unseen.map(|(it, _)| format!("[{it}]")));
        let Form::Choice(choice) = &entry.form else { continue };
        if ALIKE.iter().any(|(name, _)| choice.name.starts_with(name)) {
            continue;
        }
        // What is in force where nothing is said is shown by all that say nothing.
        let is_of = |kind: &Kind| match kind {
            Kind::Choice(describe) | Kind::Law(describe) => describe().name == choice.name,
            _ => false,
        };
        let defaults: Vec<&str> =
            fields().filter(|field| is_of(&field.kind)).filter_map(|field| field.default).collect();
        let is_default = |name: &str| defaults.iter().any(|it| is_set(it, name));
        let unset = choice.variants.iter().map(|variant| variant.name);
        let unset = unset.filter(|name| !is_set(&text, name) && !is_default(name));
        missing.extend(unset.map(|name| format!("{}:{name}", choice.name)));
    }
    assert!(missing.is_empty(), "no example in topologies/components has {missing:?}");
}

#[test]
fn the_map_of_the_components_is_fresh() {
    let mut map = String::from(
        "# A small topology for each component\n\n\
         Made from the files by `UPDATE=1 cargo test --test topologies`. What stands behind `shows:` in a\n\
         file's comment is run and measured by that test.\n\n| File | Shows |\n|---|---|\n",
    );
    for path in files("components") {
        let name = path.file_name().expect("a file").to_string_lossy();
        let text = fs::read_to_string(&path).expect("readable");
        let sentence = first_sentence(&text).replace('|', "\\|");
        map.push_str(&format!("| [{name}]({name}) | {sentence} |\n"));
    }
    let page = Path::new(FOLDER).join("components/README.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, &map).expect("writable");
    }
    let kept = fs::read_to_string(&page).unwrap_or_default();
    assert!(kept == map, "the map of the components: UPDATE=1 cargo test --test topologies");
}

#[test]
fn a_claim_that_is_not_so_is_refuted() {
    let summary = run(&Path::new(FOLDER).join("examples/hello.toml"), &[]);
    assert_eq!(refuted(&summary, "errors < 1%"), None);
    assert_eq!(refuted(&summary, "pool.pg.utilisation_ratio < 50%"), None);
    for claim in [
        "errors > 1%",
        "latency_p95 > 10s",
        "pool.pg.utilisation < 50%",
        "pool.pg.utilisation_ratio > 0.9",
        "errors",
    ] {
        assert!(refuted(&summary, claim).is_some(), "{claim}");
    }
    let shown =
        shown("# A thing. More.\n# shows with a.b=1 c=2: errors < 1%, x.y > 2ms\nversion = 1");
    assert_eq!(shown[0].sets, ["a.b=1", "c=2"]);
    assert_eq!(shown[0].claims, ["errors < 1%", "x.y > 2ms"]);
}
