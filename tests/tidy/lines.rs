//! What no line, function or file may be.

use crate::layers::{module_of, modules};
use crate::{Text, is_name, none, read, texts};

/// What is not finished, or was left lying about. Written in halves, so as not to find itself.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!"),
    concat!("#[ig", "nore"),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
];

/// Modules of the library that may know files, threads and the clock.
const OUTSIDE_THE_ENGINE: &[&str] = &["experiment", "reality", "report"];
/// What a browser lacks.
const NOT_IN_THE_ENGINE: &[&str] = &[
    "std::fs",
    "std::thread",
    "std::time",
    "std::env",
    "std::process",
    "println!",
    "print!",
    "eprintln!",
    "rayon::",
    "clap::",
    "csv::",
    "indicatif::",
    "ariadne::",
    "blake3::",
    "priority_queue::",
];

/// A file has up to so many lines.
const FILE_LINES: usize = 600;
/// Files that have more, each with how many it may have. None is added without a reason in its
/// commit, and whoever shortens one strikes it off.
const LONG_FILES: &[(&str, usize)] = &[("tests/knobs/coverage.rs", 725)];

/// A function has up to so many lines; about 70 is the aim.
const FUNCTION_LINES: usize = 100;
/// Functions that have more, each with how many it may have. Tables in the form of a `match` are read
/// in one go however long they are.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[
    ("src/model/demand.rs", "visit", 160),
    ("src/run/step.rs", "advance", 170),
    ("src/explain.rs", "describe", 115),
];

/// The code of a line, without its comment.
fn code(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// Lines that contain one of some words.
fn words(files: &[Text], banned: &[&str], part: fn(&str) -> &str) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            let text = part(line);
            let has = |word: &&&str| {
                let begins = |at: usize| {
                    at == 0 || !(is_name(text.as_bytes()[at - 1]) || text[..at].ends_with("::"))
                };
                text.match_indices(**word).any(|(at, _)| begins(at))
            };
            if let Some(word) = banned.iter().find(has) {
                found.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    found
}

/// Functions that are too long: path, name, first line, lines. Formatted code closes a function at
/// the indentation that it began at.
fn long_functions(files: &[Text]) -> Vec<(String, String, usize, usize)> {
    let mut found = Vec::new();
    for file in files {
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = format!("{indent}}}");
            let length = lines[at..].iter().position(|line| *line == end).unwrap_or(0) + 1;
            if length > FUNCTION_LINES && !line.ends_with(';') {
                found.push((file.path.clone(), name.to_string(), at + 1, length));
            }
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in ["pub(crate) ", "pub(super) ", "pub ", "const "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    Some(&name[..name.bytes().position(|byte| !is_name(byte)).unwrap_or(name.len())])
}

/// The Rust of the repository.
fn rust() -> Vec<Text> {
    ["src", "tests", "benches"].iter().flat_map(|folder| texts(folder, "rs")).collect()
}

#[test]
fn nothing_is_unfinished() {
    none("unfinished", words(&rust(), UNFINISHED, |line| line));
}

#[test]
fn the_engine_knows_no_files_threads_or_clock() {
    let modules = modules(&read("src/lib.rs"));
    let mut files = texts("src", "rs");
    files.retain(|file| {
        module_of(&file.path, &modules).is_some_and(|module| !OUTSIDE_THE_ENGINE.contains(&module))
    });
    none("not in the engine", words(&files, NOT_IN_THE_ENGINE, code));
}

#[test]
fn files_are_short() {
    let mut breaches = Vec::new();
    for file in rust() {
        let lines = file.text.lines().count();
        let allowed = LONG_FILES.iter().find(|(path, _)| *path == file.path);
        let most = allowed.map_or(FILE_LINES, |(_, most)| *most);
        if lines > most {
            breaches.push(format!("{}: {lines} lines of {most}", file.path));
        } else if allowed.is_some() && lines <= FILE_LINES {
            breaches.push(format!("{}: short now, strike it off LONG_FILES", file.path));
        }
    }
    none("files", breaches);
}

#[test]
fn functions_are_short() {
    let found = long_functions(&rust());
    let mut breaches = Vec::new();
    for (path, name, line, length) in &found {
        let mut allowed = LONG_FUNCTIONS.iter().filter(|long| long.0 == path && long.1 == name);
        if !allowed.any(|(_, _, most)| length <= most) {
            breaches.push(format!("{path}:{line}: `{name}` has {length} lines"));
        }
    }
    for (path, name, _) in LONG_FUNCTIONS {
        if !found.iter().any(|long| long.0 == *path && long.1 == *name) {
            breaches.push(format!("{path}: `{name}` is short now, strike it off LONG_FUNCTIONS"));
        }
    }
    none("functions", breaches);
}

#[test]
fn planted_breaches_are_found() {
    let line = |text: &str| [Text::planted("src/run/x.rs", text)];
    for word in UNFINISHED {
        assert_eq!(words(&line(&format!("    // {word}")), UNFINISHED, |line| line).len(), 1);
    }
    let engine = |text: &str| words(&line(text), NOT_IN_THE_ENGINE, code).len();
    assert_eq!(engine("use std::fs::File;"), 1);
    assert_eq!(engine("    rayon::join(a, b);"), 1);
    assert_eq!(engine("    let csv = crate::report::csv::of(x); // std::time"), 0);
    let function = |lines: usize| {
        let body = "        work();\n".repeat(lines - 2);
        long_functions(&line(&format!("impl X {{\n    pub fn long() {{\n{body}    }}\n}}\n")))
    };
    assert_eq!(function(FUNCTION_LINES), []);
    assert_eq!(function(FUNCTION_LINES + 1), [("src/run/x.rs".into(), "long".into(), 2, 101)]);
}
