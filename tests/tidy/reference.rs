//! Reference pages that are made from the code: commands, metrics, diagnostics, components.

use std::process::Command;

use loadbearing::failure::Failure;
use loadbearing::result::metric::{self, Fold, Metric};
use loadbearing::topology::{Entry, Form, known, reference};
use loadbearing::{claims, experiment, topology};

use crate::generated::{fresh, row};
use crate::{Text, read, texts};

#[test]
fn the_manual_of_commands_is_fresh() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadbearing")).arg("manual").output();
    let output = output.expect("the program starts");
    assert!(output.status.success());
    fresh("docs/reference/commands.md", &String::from_utf8(output.stdout).expect("UTF-8"));
}

/// The sentence above a variant of a Rust enumeration.
fn sentence_above(source: &str, variant: &str) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let at = lines.iter().position(|line| line.trim() == format!("{variant},"));
    let at = at.unwrap_or_else(|| panic!("no variant {variant}"));
    let above = lines[..at].iter().rev().map_while(|line| line.trim().strip_prefix("/// "));
    let mut words: Vec<&str> = above.collect();
    words.reverse();
    words.join(" ")
}

#[test]
fn the_manual_of_metrics_is_fresh() {
    let mut page = String::from(
        "# The metrics, name by name\n\n\
         Made from `src/result/metric.rs` by `UPDATE=1 cargo test --test tidy`. Formulas and words are in \
         the\n[glossary](../glossary.md), files in [tables.md](tables.md).\n\n\
         A name ends in its unit. In `--json` a name is the path beside it. Several replications become \
         one number by\ntheir mean, with an interval, by their sum, or by the greatest of them. In \
         experiments a metric of an operation\nor component stands behind it: \
         `operation.buy.failed_ratio`, `pool.pg.utilisation_ratio`.\n",
    );
    let mut table = |title: &str, metrics: &[Metric]| {
        page.push_str(&format!(
            "\n## {title}\n\n| Name | Unit | Path in `--json` | Replications | Meaning |\n|---|---|---|---|---|\n"
        ));
        for it in metrics {
            // One line stands for all ways to fail; they have a table of their own.
            let kinds = ["requests.failed.", "failed_by_kind_ratio."];
            let kind = kinds.iter().find_map(|head| it.path.strip_prefix(head)).unwrap_or_default();
            let is_kind = Failure::ALL.iter().any(|failure| failure.slug() == kind);
            if is_kind && kind != Failure::ALL[0].slug() {
                continue;
            }
            let stands = |text: String| if is_kind { text.replace(kind, "KIND") } else { text };
            let fold = match it.fold {
                Fold::Mean => "mean",
                Fold::Greatest => "greatest",
                Fold::Total => "sum",
            };
            let sparse = if it.sparse { " Left out where it is zero." } else { "" };
            let meaning = stands(format!("{}{sparse}{}", it.meaning, first_at(&it.name())));
            let (name, path) = (stands(it.name()), stands(it.path.clone()));
            let (name, path) = (format!("`{name}`"), format!("`{path}`"));
            row(&[&name, it.unit.symbol(), &path, fold, &meaning], &mut page);
        }
    };
    table("Of the whole", &metric::overall());
    table("Of an operation", &metric::operation());
    table("Of a component", &metric::component());
    page.push_str(
        "\n## Ways to fail\n\nEach is a KIND above. The status is \
         what the client sees by default.\n\n| Name | Status | Meaning |\n|---|---|---|\n",
    );
    let source = read("src/failure.rs");
    for it in Failure::ALL {
        let meaning = sentence_above(&source, &format!("{it:?}"));
        row(&[&format!("`{}`", it.slug()), &it.status().to_string(), &meaning], &mut page);
    }
    fresh("docs/reference/metrics.md", &page);
}

/// The sections at which a metric of a component is looked at first.
fn first_at(name: &str) -> String {
    let sections = known::METRICS.iter().filter(|(_, names)| names.contains(&name));
    let sections: Vec<String> = sections
        .filter(|(heading, _)| heading.ends_with(".NAME]"))
        .map(|(heading, _)| format!("[{}](components.md#{})", plain(heading), plain(heading)))
        .collect();
    if sections.is_empty() { String::new() } else { format!(" See: {}.", sections.join(", ")) }
}

/// `[pool.NAME]` as `pool`.
fn plain(heading: &str) -> &str {
    heading.trim_matches(['[', ']']).split('.').next().expect("a heading has a first part")
}

#[test]
fn the_manual_of_diagnostics_is_fresh() {
    let mut page = String::from(
        "# The diagnostics, word by word\n\n\
         Made from `tests/diagnostics` and `tests/claims` by `UPDATE=1 cargo test --test tidy`: every kind of \
         thing that can be\nwrong with a file, with a file that is wrong in this way and what `loadbearing \
         check` says of it. All that is wrong is\nsaid at once. An *error* ends with exit code 1; a *warning* \
         lets the run go on.\n",
    );
    let lists = [
        ("Topology files", "tests/diagnostics", topology::SLUGS),
        ("Experiment files", "tests/diagnostics/experiments", experiment::file::SLUGS),
        ("Claims files", "tests/claims", claims::SLUGS),
    ];
    for (title, folder, slugs) in lists {
        page.push_str(&format!(
            "\n## {title}\n\n| Kind | | What is said of the example |\n|---|---|---|\n"
        ));
        for slug in slugs {
            let said = read(&format!("{folder}/{slug}.txt"));
            let (severity, message) = message(&said, slug);
            row(&[&format!("[`{slug}`](#{slug})"), severity, message], &mut page);
        }
        for slug in slugs {
            let wrong = read(&format!("{folder}/{slug}.toml"));
            let said = read(&format!("{folder}/{slug}.txt"));
            page.push_str(&format!("\n### {slug}\n\n```text\n{}\n```\n", wrong.trim_end()));
            page.push_str(&format!("\n```text\n{}\n```\n", said.trim_end()));
        }
    }
    fresh("docs/reference/diagnostics.md", &page);
}

/// The severity and the message of a kind in what was said.
fn message<'a>(said: &'a str, slug: &str) -> (&'a str, &'a str) {
    let mark = format!("[{slug}]: ");
    let found = said.lines().find_map(|line| line.split_once(mark.as_str()));
    found.unwrap_or_else(|| panic!("{slug} is not said:\n{said}"))
}

/// Examples whose names do not begin with that of the section which they show.
const ELSEWHERE: &[(&str, &str)] = &[
    ("autoscale-cold-caches", "service"),
    ("autoscale-ecs", "service"),
    ("autoscale-hpa", "service"),
    ("autoscale-schedule", "service"),
    ("autoscale-steps", "service"),
    ("backlog-syn", "service"),
    ("call-connect", "service"),
    ("call-http2", "service"),
    ("call-limit", "service"),
    ("call-lookup", "service"),
    ("concurrency-limit", "bulkhead"),
    ("connections", "client"),
    ("fastapi-dependency", "service"),
    ("limiter", "limit"),
    ("monitors", "monitor"),
    ("object-storage", "store"),
    ("price", "service"),
    ("retry-jitter", "client"),
    ("retry-layers", "client"),
    ("retry-storm", "client"),
    ("shedding", "bulkhead"),
    ("uvicorn-threads", "service"),
    ("websockets", "socket"),
    ("zone-loss", "region"),
];

/// The section that an example shows.
fn section_of(path: &str) -> String {
    let stem = path.rsplit('/').next().and_then(|name| name.strip_suffix(".toml")).expect("a file");
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == stem);
    let first = stem.split('-').next().expect("a name has a first part");
    elsewhere.map_or(first, |(_, section)| section).into()
}

/// The first sentence of the comment that a file opens with.
fn first_sentence(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
    let whole = lines.collect::<Vec<_>>().join(" ");
    let end = whole.find(". ").map_or(whole.len(), |end| end + 1);
    whole[..end].to_string()
}

#[test]
fn the_manual_of_components_is_fresh() {
    let metrics =
        metric::component().into_iter().chain(metric::overall()).chain(metric::operation());
    let metrics: Vec<Metric> = metrics.collect();
    let examples = texts("topologies/components", "toml");
    let mut page = String::from(
        "# The components\n\n\
         Made from `src/topology` and `topologies/components` by `UPDATE=1 cargo test --test tidy`. Each part of \
         a topology: what it\nis, what is measured of it, which traps the real products set there, and a small \
         topology that shows it. Its keys,\nwith their units, defaults and sources, are in \
         [topology.md](topology.md).\n",
    );
    let entries = reference();
    let sections: Vec<&Entry> = entries
        .iter()
        .filter(|it| known::METRICS.iter().any(|(heading, _)| *heading == it.heading))
        .collect();
    for example in &examples {
        let section = section_of(&example.path);
        let there = sections.iter().any(|it| plain(&it.heading) == section);
        assert!(there, "{}: name it after its section, or see ELSEWHERE", example.path);
    }
    for entry in sections {
        section(entry, &metrics, &examples, &mut page);
    }
    fresh("docs/reference/components.md", &page);
}

fn section(entry: &Entry, metrics: &[Metric], examples: &[Text], page: &mut String) {
    let name = plain(&entry.heading);
    let anchor: String = entry.heading.to_lowercase().replace(['[', ']', '.'], "");
    page.push_str(&format!("\n## {name}\n\n"));
    let Form::Table(doc) = &entry.form else { panic!("{name} is a table") };
    let must: Vec<String> =
        doc.fields.iter().filter(|it| it.is_required()).map(|it| format!("`{}`", it.key)).collect();
    let keys = if doc.fields.len() == 1 { "key" } else { "keys" };
    page.push_str(&format!("{} [{} {keys}](topology.md#{anchor})", doc.doc, doc.fields.len()));
    match must.is_empty() {
        true => page.push_str(", none of which must be said.\n"),
        false => page.push_str(&format!("; {} must be said.\n", must.join(", "))),
    }
    let first = known::METRICS.iter().find(|(heading, _)| *heading == entry.heading);
    let names = first.map_or(&[][..], |(_, names)| names);
    if !names.is_empty() {
        page.push_str("\n| To look at first | Unit | |\n|---|---|---|\n");
        for name in names {
            let found = metrics.iter().find(|it| it.name() == *name).expect("a metric");
            row(&[&format!("`{name}`"), found.unit.symbol(), &found.meaning], page);
        }
    }
    let traps = known::TRAPS.iter().filter(|(_, _, at)| at.contains(&entry.heading.as_str()));
    let traps: String = traps.map(|(id, sentence, _)| format!("- **{id}** {sentence}\n")).collect();
    if !traps.is_empty() {
        page.push_str(&format!("\nTraps:\n\n{traps}"));
    }
    let shown = examples.iter().filter(|it| section_of(&it.path) == name);
    let shown: String = shown
        .map(|it| {
            let file = it.path.rsplit('/').next().expect("a file");
            format!("- [{file}](../../{}) {}\n", it.path, first_sentence(&it.text))
        })
        .collect();
    if !shown.is_empty() {
        page.push_str(&format!("\nTo see it, `loadbearing run` one of these:\n\n{shown}"));
    }
}

#[test]
fn a_planted_variant_has_its_sentence() {
    let source =
        "enum It {\n    /// No.\n    One,\n    /// Half a\n    /// sentence.\n    Two,\n}\n";
    assert_eq!(sentence_above(source, "Two"), "Half a sentence.");
    assert_eq!(message("x\nwarning[empty]: nothing\n", "empty"), ("warning", "nothing"));
    assert_eq!(section_of("a/pool-sqlalchemy.toml"), "pool");
}
