//! Pages that are made from the code: the schema for editors and the manual of the language.

use std::fs;

use loadbearing::claims;
use loadbearing::experiment::file;
use loadbearing::experiment::store::FIXED;
use loadbearing::report::table::{Column, TABLES};
use loadbearing::report::{capacity, stress, sweep};
use loadbearing::result::metric;
use loadbearing::topology::known;
use loadbearing::topology::{ChoiceDoc, Entry, FieldDoc, Form, Kind, TableDoc, reference, schema};

use crate::root;

/// Compares a page with the one in the repository, or writes it.
pub fn fresh(path: &str, page: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("writable");
        fs::write(&file, page).expect("writable");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == page, "{path} is out of date: UPDATE=1 cargo test --test tidy");
}

#[test]
fn the_schema_is_fresh() {
    let page = serde_json::to_string_pretty(&schema()).expect("a schema is plain data");
    fresh("topologies/schema.json", &(page + "\n"));
}

#[test]
fn the_manual_is_fresh() {
    let head = "# The topology file, key by key\n\n\
                Made from `src/topology` by `UPDATE=1 cargo test --test tidy`. How to use all this is \
                told in\n[language.md](../language.md).\n";
    fresh("docs/reference/topology.md", &manual(head, &reference()));
}

#[test]
fn the_schema_of_experiments_is_fresh() {
    let page = serde_json::to_string_pretty(&file::schema()).expect("a schema is plain data");
    fresh("experiments/schema.json", &(page + "\n"));
}

#[test]
fn the_manual_of_experiments_is_fresh() {
    let head = "# The experiment file, key by key\n\n\
                Made from `src/experiment/file.rs` by `UPDATE=1 cargo test --test tidy`. How to use all \
                this is told in\n[experiments.md](../experiments.md).\n";
    fresh("docs/reference/experiment.md", &manual(head, &file::reference()));
}

#[test]
fn the_manual_of_tables_is_fresh() {
    let mut page = String::from(
        "# The tables, column by column\n\n\
         Made from `src/report` by `UPDATE=1 cargo test --test tidy`. Units stand in square brackets, \
         or in\nthe column `unit`; what the metrics mean is told in the [glossary](../glossary.md). \
         Every result\nhas the same in its `manifest.toml`.\n",
    );
    let mut table = |title: &str, columns: &[(&str, &str)]| {
        page.push_str(&format!("\n## {title}\n\n| Column | Holds |\n|---|---|\n"));
        for (name, meaning) in columns {
            row(&[&format!("`{name}`"), meaning], &mut page);
        }
    };
    let plain = |columns: &'static [Column]| -> Vec<(&str, &str)> {
        columns.iter().map(|column| (column.name, column.meaning)).collect()
    };
    for it in &TABLES {
        table(&format!("`{}` of `run` and `compare`", it.file), &plain(it.columns));
    }
    table("`capacity.csv`", &plain(capacity::COLUMNS));
    for (file, columns) in stress::DOCUMENTED {
        table(&format!("`{file}` of `stress`"), columns);
    }
    for (file, columns) in sweep::DOCUMENTED {
        let mut all = Vec::new();
        if *file != "sensitivity.csv" {
            all.push(("point", "number of the point, from 0, in the order of the design [count]"));
            all.push(("AXIS", "a column for each axis, under its name: its value at the point"));
        }
        all.extend(columns.iter());
        if *file == "runs.csv" {
            all.push((
                "OUTPUT",
                "a column for each output, under its name, which ends in its unit",
            ));
        }
        table(&format!("`{file}` of `sweep`"), &all);
    }
    table("the chunks of a sweep, and `OUTPUT` as in `runs.csv`", &FIXED);
    fresh("docs/reference/tables.md", &page);
}

#[test]
fn the_schema_of_claims_is_fresh() {
    let page = serde_json::to_string_pretty(&claims::schema()).expect("a schema is plain data");
    fresh("experiments/claims/schema.json", &(page + "\n"));
}

#[test]
fn the_manual_of_claims_is_fresh() {
    let head = "# The claims file, key by key\n\n\
                Made from `src/claims` by `UPDATE=1 cargo test --test tidy`. How to use all this is \
                told in\n[claims.md](../claims.md).\n";
    let mut page = manual(head, &claims::reference());
    page.push_str("\n## Functions of formulas\n\n");
    page.push_str(
        "Numbers may carry units: `85%`, `20ms`, `10/s`, `5KB`, `$50`. Names may contain ",
    );
    page.push_str("`-`, so a minus stands between spaces.\n\n| Function | Gives |\n|---|---|\n");
    for function in claims::FUNCTIONS {
        row(&[&format!("`{}`", function.form), function.meaning], &mut page);
    }
    fresh("docs/reference/claims.md", &page);
}

/// The reference manual of the language as a page.
fn manual(head: &str, entries: &[Entry]) -> String {
    let mut page = String::from(head);
    for entry in entries {
        let heading = match entry.heading.starts_with('[') {
            true => format!("`{}`", entry.heading),
            false => entry.heading.clone(),
        };
        page.push_str(&format!("\n## {heading}\n\n"));
        match &entry.form {
            Form::Table(doc) => {
                table(doc, entries, &mut page);
                known_of(&entry.heading, &mut page);
            }
            Form::Choice(doc) => choice(doc, entries, &mut page),
        }
    }
    page
}

fn table(doc: &TableDoc, entries: &[Entry], page: &mut String) {
    page.push_str(&format!("{}\n", doc.doc));
    if let Some(short) = doc.shorthand {
        page.push_str(&format!("The value of `{short}` may stand for the whole.\n"));
    }
    if doc.fields.is_empty() {
        return;
    }
    page.push_str("\n| Key | Value | If left out | Meaning |\n|---|---|---|---|\n");
    for field in &doc.fields {
        let value = value(&field.kind, entries);
        row(&[&format!("`{}`", field.key), &value, &absence(field), &field.doc], page);
    }
}

/// What is measured of a section, and the traps that are set there.
fn known_of(heading: &str, page: &mut String) {
    let metrics = known::METRICS.iter().find(|(section, _)| *section == heading);
    if let Some((_, names)) = metrics.filter(|(_, names)| !names.is_empty()) {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        page.push_str(&format!("\nMeasured: {} ([glossary](../glossary.md)).\n", names.join(", ")));
    }
    let traps = known::TRAPS.iter().filter(|(_, _, sections)| sections.contains(&heading));
    let traps: Vec<String> =
        traps.map(|(id, sentence, _)| format!("- **{id}** {sentence}\n")).collect();
    if !traps.is_empty() {
        page.push_str(&format!("\nTraps:\n\n{}", traps.concat()));
    }
}

/// Every section of components says what is measured of it, every metric exists, and the traps are the
/// 52, each at a section that there is.
#[test]
fn what_is_known_of_sections_is_whole() {
    let headings: Vec<String> = reference().into_iter().map(|entry| entry.heading).collect();
    let said = |heading: &str| known::METRICS.iter().any(|(section, _)| *section == heading);
    for heading in headings.iter().filter(|heading| heading.ends_with(".NAME]")) {
        assert!(said(heading), "src/topology/known.rs: what is measured of `{heading}`?");
    }
    let lists = [metric::overall(), metric::operation(), metric::component()];
    let metrics: Vec<String> = lists.iter().flatten().map(metric::Metric::name).collect();
    for (section, names) in known::METRICS {
        assert!(headings.iter().any(|heading| heading == section), "no section {section}");
        for name in *names {
            assert!(metrics.iter().any(|metric| metric == name), "{section}: no metric {name}");
        }
    }
    for (number, (id, _, sections)) in known::TRAPS.iter().enumerate() {
        assert_eq!(*id, format!("T-{:02}", number + 1));
        assert!(sections.iter().all(|it| headings.iter().any(|heading| heading == it)), "{id}");
    }
    assert_eq!(known::TRAPS.len(), 52);
}

fn choice(doc: &ChoiceDoc, entries: &[Entry], page: &mut String) {
    page.push_str(&format!("{} One of:\n\n| Name | With | Meaning |\n|---|---|---|\n", doc.doc));
    for variant in &doc.variants {
        let payload = variant.payload.as_ref().map(|kind| value(kind, entries));
        row(&[&format!("`{}`", variant.name), &payload.unwrap_or_default(), &variant.doc], page);
    }
}

pub fn row(cells: &[&str], page: &mut String) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    page.push_str(&format!("| {} |\n", cells.join(" | ")));
}

/// What takes the place of a key that is left out, and where that comes from.
fn absence(field: &FieldDoc) -> String {
    match (field.default, field.source) {
        _ if field.is_required() => "**must be said**".into(),
        (Some(default), Some(source)) if field.optional => format!("{default} ({source})"),
        (Some("{}" | "[]"), Some(_)) | (None, _) => "nothing".into(),
        (Some(default), Some(source)) => format!("`{default}` ({source})"),
        (Some(default), None) => format!("`{default}`"),
    }
}

/// The form of a value, with a link to where it is told.
fn value(kind: &Kind, entries: &[Entry]) -> String {
    match kind {
        Kind::Table(describe) => link(&describe().name, entries),
        Kind::Choice(describe) | Kind::Law(describe) => link(&describe().name, entries),
        Kind::List(inner) => format!("list of {}", value(inner, entries)),
        Kind::Pair(first, second) => {
            format!("`[` {} `,` {} `]`", value(first, entries), value(second, entries))
        }
        Kind::Named(inner) => format!("named tables: {}", value(inner, entries)),
        Kind::Either(short, full) => {
            format!("{} or {}", value(short, entries), value(full, entries))
        }
        Kind::Quantity { what, example, .. } => format!("{what}: `\"{example}\"`"),
        Kind::Form { what, example } => format!("{what}: `{example}`"),
        other => other.what(),
    }
}

fn link(name: &str, entries: &[Entry]) -> String {
    let named = |entry: &&Entry| match &entry.form {
        Form::Table(doc) => doc.name == name,
        Form::Choice(doc) => doc.name == name,
    };
    let entry = entries.iter().find(named).expect("the manual tells of every form");
    let kept = |letter: char| match letter {
        ' ' => Some('-'),
        _ => (letter.is_alphanumeric() || "-_".contains(letter)).then_some(letter),
    };
    let anchor: String = entry.heading.to_lowercase().chars().filter_map(kept).collect();
    format!("[{name}](#{anchor})")
}
