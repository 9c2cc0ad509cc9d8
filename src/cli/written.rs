//! Is every command understood that is written somewhere? Blocks and code letters of the documents, and
//! the examples of `--help`. Whether they say what a page shows is asked by `tests/docs`.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::Arguments;

/// The words of a command line, as a shell splits them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars().chain([' ']) {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, ' ') => {
                words.extend(Some(std::mem::take(&mut word)).filter(|it| !it.is_empty()))
            }
            (None, '|' | '>' | ';' | '&' | '#' | '…') => break,
            _ => word.push(letter),
        }
    }
    words
}

/// Commands of ours in a text: lines of blocks, and what stands in code letters.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let text = text.replace("\\\n", " ");
    for line in text.lines() {
        let line = line.trim().trim_start_matches("$ ");
        let line = line.strip_prefix("cargo run --release -- ").unwrap_or(line);
        // The form of a command, as `loadbearing run [OPTIONS] <FILE>`, is none.
        let is_form = line.contains('<') || line.contains("[O") || line.contains("[F");
        if line.starts_with("loadbearing ") && !is_form {
            found.push(line.split("   ").next().unwrap_or(line).to_string());
        }
        let code = line.split('`').skip(1).step_by(2);
        found.extend(code.filter(|it| it.starts_with("loadbearing ")).map(String::from));
    }
    found
}

/// What is written somewhere of commands that the program does not understand.
fn misunderstood(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in commands(text) {
        let Err(error) = Arguments::try_parse_from(words(&line)) else { continue };
        let fine = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
        // Names of commands alone, as `loadbearing run`, ask for nothing.
        let short = words(&line).len() <= 3 && error.kind() == ErrorKind::MissingRequiredArgument;
        if !fine.contains(&error.kind()) && !short {
            wrong.push(format!("{line}\n{error}"));
        }
    }
    wrong
}

#[test]
fn every_command_that_is_written_somewhere_is_understood() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec!["README.md", "docs", "experiments", "topologies", "reality"]
        .into_iter()
        .map(|path| root.join(path))
        .collect::<Vec<_>>();
    let (mut count, mut wrong) = (0, Vec::new());
    let mut try_all = |place: String, text: &str| {
        count += commands(text).len();
        wrong.extend(misunderstood(text).into_iter().map(|it| format!("{place}: {it}")));
    };
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).expect("readable").flatten().map(|it| it.path()));
        } else if path.extension().is_some_and(|it| it == "md") {
            let text = std::fs::read_to_string(&path).expect("readable");
            try_all(path.display().to_string(), &text);
        }
    }
    let mut commands = vec![Arguments::command()];
    while let Some(command) = commands.pop() {
        let said = command.get_after_help().map(|it| it.to_string()).unwrap_or_default();
        try_all(format!("help of {}", command.get_name()), &said);
        commands.extend(command.get_subcommands().cloned());
    }
    assert!(wrong.is_empty(), "not understood:\n{}", wrong.join("\n"));
    assert!(count > 100, "only {count} commands were found");
    let planted = "Type `loadbearing run a.toml --sets b=c` or `loadbearing run`.\n\
                   $ loadbearing run a.toml --set 'x=[1, 2]' | head\n";
    assert_eq!(misunderstood(planted).len(), 1);
}
