//! What the documents say must be so: their examples load, their quotations stand in the code, their
//! links lead somewhere, and the glossary knows every word of a result.

use std::fs;
use std::path::Path;

use loadbearing::diagnostic::{Severity, render_plain};
use loadbearing::failure::Failure;
use loadbearing::result::metric;
use loadbearing::run::Counter;
use loadbearing::topology::load;

use crate::{Text, none, read, root, texts};

/// All documents that people read.
fn documents() -> Vec<Text> {
    let mut pages = texts("docs", "md");
    let more = ["README.md", "CHANGELOG.md", "tests/README.md", "output/README.md"];
    pages.extend(more.map(|path| Text { path: path.into(), text: read(path) }));
    pages
}

/// The fenced blocks of a page in one language, each with its first line's number; blocks within lists
/// are indented.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<(usize, Vec<&'a str>)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, bool, Vec<&str>)> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(name), None) => open = Some((number + 2, name == language, Vec::new())),
            (Some(_), Some(_)) => {
                let (first, wanted, lines) = open.take().expect("just seen");
                if wanted {
                    found.push((first, lines));
                }
            }
            (None, Some((_, _, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    found
}

/// What is said about the topologies of a page. One with a `version` stands alone; any other extends
/// the last of those before it. A block that is a file by its first line is tried by `tests/docs`.
fn wrong_examples(page: &Text) -> Vec<String> {
    let mut whole = String::new();
    let mut found = Vec::new();
    for (first, lines) in blocks(&page.text, "toml") {
        let is_file = |line: &&str| line.starts_with("# ") && line.contains(".toml");
        if lines.first().is_some_and(is_file) {
            continue;
        }
        let mut text = lines.join("\n");
        if lines.iter().any(|line| line.starts_with("version")) {
            whole.clone_from(&text);
        } else {
            text = format!("extends = \"whole\"\n{text}");
        }
        let mut read = |path: &str| match path {
            "example" => Ok(text.clone()),
            "whole" => Ok(whole.clone()),
            _ => Err("no such file".into()),
        };
        let loaded = load("example", &[], &mut read);
        if !loaded.diagnostics.is_empty() {
            let said = render_plain(&loaded.diagnostics, &loaded.sources);
            found.push(format!("{}:{first}:\n{said}", page.path));
        }
    }
    found
}

/// Blocks of Rust that stand nowhere in the code. A line of three dots leaves something out.
fn wrong_quotations(page: &Text, code: &[Text]) -> Vec<String> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let code: Vec<String> = code.iter().map(|file| plain(&file.text)).collect();
    let mut found = Vec::new();
    for (first, lines) in blocks(&page.text, "rust") {
        for piece in lines.split(|line| line.trim() == "// ...") {
            let piece = plain(&piece.join("\n"));
            if !code.iter().any(|text| text.contains(&piece)) {
                found.push(format!("{}:{first}: {piece}", page.path));
            }
        }
    }
    found
}

/// Links, and paths in code letters, that lead nowhere.
fn wrong_paths(page: &Text, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = Path::new(&page.path).parent().expect("a file lies in a folder");
    let mut found = Vec::new();
    for (number, line) in page.text.lines().enumerate() {
        let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links = links.filter(|link| !link.starts_with('#') && !link.contains("://"));
        let linked = links.map(|link| {
            let path = link.split('#').next().expect("a link has a first part");
            folder.join(path).to_string_lossy().into_owned()
        });
        let code = line.split('`').skip(1).step_by(2).map(String::from);
        let roots = ["src/", "tests/", "docs/", "benches/", "topologies/"];
        let is_path = |text: &String| {
            roots.iter().any(|root| text.starts_with(root)) && !text.contains(['*', '<', ' ', '{'])
        };
        for path in linked.chain(code.filter(is_path)) {
            if !exists(&path) {
                found.push(format!("{}:{}: {path}", page.path, number + 1));
            }
        }
    }
    found
}

#[test]
fn every_example_is_sound() {
    let pages = documents();
    let count: usize = pages.iter().map(|page| blocks(&page.text, "toml").len()).sum();
    assert!(count >= 10, "only {count} examples were found");
    none("examples", pages.iter().flat_map(wrong_examples).collect());
}

#[test]
fn every_quotation_stands_in_the_code() {
    let code: Vec<Text> = ["src", "tests"].iter().flat_map(|folder| texts(folder, "rs")).collect();
    none("quotations", documents().iter().flat_map(|page| wrong_quotations(page, &code)).collect());
}

#[test]
fn every_link_leads_somewhere() {
    let exists = |path: &str| root().join(path).exists();
    none("paths", documents().iter().flat_map(|page| wrong_paths(page, exists)).collect());
}

#[test]
fn every_topology_is_sound() {
    let mut wrong = Vec::new();
    for file in texts("topologies", "toml") {
        let mut read =
            |path: &str| fs::read_to_string(root().join(path)).map_err(|error| error.to_string());
        let loaded = load(&file.path, &[], &mut read);
        if loaded.diagnostics.iter().any(|found| found.severity == Severity::Error) {
            wrong.push(render_plain(&loaded.diagnostics, &loaded.sources));
        }
        if !file.text.starts_with('#') {
            wrong.push(format!("{} does not begin by saying what it shows", file.path));
        }
    }
    none("topologies", wrong);
}

#[test]
fn the_glossary_knows_every_word_of_a_result() {
    let glossary = read("docs/glossary.md");
    let failure = |it: &Failure| format!("| `{}` | {} |", it.slug(), it.status());
    let counter = |it: &Counter| format!("| `{}` |", it.slug());
    let words = Failure::ALL.iter().map(failure).chain(Counter::ALL.iter().map(counter));
    let metrics = [metric::overall(), metric::operation(), metric::component()].concat();
    let metrics = metrics.iter().map(|it| format!("| `{}` |", family(&it.path, &it.name())));
    let words = words.chain(metrics);
    none("not in the glossary", words.filter(|word| !glossary.contains(word)).collect());
}

/// The name of a metric with a star for its statistic: `latency_p95_s` is one of `latency_*_s`.
fn family(path: &str, name: &str) -> String {
    match path.split_once('.') {
        Some((_, part)) => name.replacen(&part.replace('.', "_"), "*", 1),
        None => name.into(),
    }
}

#[test]
fn every_test_file_is_introduced() {
    let page = read("tests/README.md");
    let entries = fs::read_dir(root().join("tests")).expect("readable");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let silent = names.filter(|name| name != "README.md" && !page.contains(&format!("`{name}")));
    none("not in tests/README.md", silent.collect());
}

#[test]
fn integration_runs_the_test_command_of_the_readme() {
    let first_screen: Vec<String> = read("README.md").lines().take(40).map(String::from).collect();
    let commands: Vec<&String> = first_screen
        .iter()
        .filter(|line| line.starts_with("cargo ") || *line == "./test")
        .collect();
    assert_eq!(commands.len(), 2, "the first screen has two commands: {commands:?}");
    assert!(commands[0].contains("compare topologies/max-booster/phase-0.toml"), "{commands:?}");
    assert!(read(".ci/run").trim_end().ends_with("exec ./test"));
}

#[test]
fn planted_breaches_are_found() {
    let page = |text: &str| Text::planted("docs/page.md", text);
    let sound = "version = 1\n[users]\npopulation = 1\nthink = \"1s\"\n[service.web]\n\
                 [operation.ask]\nshare = 1\nflow = [{ cpu = \"1ms\" }]\n";
    let whole = format!("```toml\n{sound}```\n");
    assert_eq!(wrong_examples(&page(&whole)), [""; 0]);
    let wrong = format!("{whole}Text.\n```toml\n[users]\npopulatoin = 2\n```\n");
    assert_eq!(wrong_examples(&page(&wrong)).len(), 1);

    let code = [Text::planted("src/a.rs", "fn f() {\n    one();\n    two();\n    three();\n}\n")];
    let quote = |text: &str| wrong_quotations(&page(&format!("```rust\n{text}\n```\n")), &code);
    assert_eq!(quote("one();\n// ...\nthree();"), [""; 0]);
    assert_eq!(quote("one();\nthree();").len(), 1);

    let paths = |text: &str| wrong_paths(&page(text), |path| path == "docs/../README.md").len();
    assert_eq!(paths("[a](../README.md#top), [b](#here), `src/*.rs`"), 0);
    assert_eq!(paths("[a](../READMY.md)"), 1);
    assert_eq!(paths("see `src/nowhere.rs`"), 1);
}
