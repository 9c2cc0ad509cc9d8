//! `loadbearing manual`

use clap::{Arg, ArgAction, Args, Command, CommandFactory};

use super::{Failure, say};

/// Prints all commands with their options, as a page in Markdown
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing manual > commands.md       docs/reference/commands.md")]
pub struct Arguments {}

pub fn run(_: &Arguments) -> Result<(), Failure> {
    say(&page())
}

/// A group of options under one heading, as rows of a table.
#[derive(Clone, PartialEq)]
struct Group {
    heading: String,
    rows: Vec<String>,
}

/// The page of all commands, made from what the program parses its arguments by.
pub fn page() -> String {
    let mut program = super::Arguments::command();
    program.build();
    let commands: Vec<&Command> = listed(&program).collect();
    let all: Vec<Group> = commands.iter().flat_map(|command| groups(command)).collect();
    // What several commands share is told once; a single option is sooner read than looked up.
    let is_shared = |group: &&Group| {
        let same = all.iter().filter(|other| other == group).count();
        same > 1 && group.rows.len() > 1 && !group.heading.is_empty()
    };
    let mut shared: Vec<&Group> = Vec::new();
    for group in all.iter().filter(is_shared) {
        if !shared.contains(&group) {
            shared.push(group);
        }
    }
    let mut page = String::from(
        "# The commands\n\nWhat `loadbearing manual` prints, made from the program's own definitions. \
         `loadbearing help run` says the same of\none command.\n\n| Command | Does |\n|---|---|\n",
    );
    for command in &commands {
        let link = command
            .get_display_name()
            .unwrap_or_default()
            .replace("loadbearing-", "")
            .replace(' ', "-");
        let name = name(command);
        page.push_str(&format!("| [`{name}`](#loadbearing-{link}) | {} |\n", about(command)));
    }
    let examples = program.get_after_help().map(|it| it.to_string()).unwrap_or_default();
    if let Some((_, codes)) = examples.split_once("Exit codes:\n") {
        page.push_str(&format!("\n## Exit codes\n\n```text\n{}\n```\n", codes.trim_end()));
    }
    for command in &commands {
        describe(command, &shared, &mut page);
    }
    for group in shared {
        page.push_str(&format!("\n## {}\n\n{}", group.heading, table(group)));
    }
    page
}

/// The subcommands, and theirs, but for `help`.
fn listed(program: &Command) -> impl Iterator<Item = &Command> {
    let shown = |command: &&Command| command.get_name() != "help" && !command.is_hide_set();
    program.get_subcommands().filter(shown).flat_map(move |command| {
        std::iter::once(command).chain(command.get_subcommands().filter(shown))
    })
}

/// `sweep plan`, without the program.
fn name(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    name.strip_prefix("loadbearing ").unwrap_or(name).to_string()
}

fn about(command: &Command) -> String {
    command.get_about().map(|it| it.to_string()).unwrap_or_default()
}

fn describe(command: &Command, shared: &[&Group], page: &mut String) {
    let name = name(command);
    page.push_str(&format!("\n## loadbearing {name}\n\n{}.\n", about(command)));
    let long = command.get_long_about().map(|it| it.to_string()).unwrap_or_default();
    if let Some((_, more)) = long.split_once("\n\n") {
        page.push_str(&format!("\n{more}\n"));
    }
    let usage = command.clone().render_usage().to_string();
    let usage: Vec<&str> = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect();
    page.push_str(&format!("\n```text\n{}\n```\n", usage.join("\n")));
    let mut elsewhere = Vec::new();
    for group in groups(command) {
        if shared.contains(&&group) {
            let anchor = group.heading.to_lowercase().replace(' ', "-");
            elsewhere.push(format!("[{}](#{anchor})", group.heading));
            continue;
        }
        if !group.heading.is_empty() {
            page.push_str(&format!("\n*{}*\n", group.heading));
        }
        page.push_str(&format!("\n{}", table(&group)));
    }
    if !elsewhere.is_empty() {
        page.push_str(&format!("\nAnd: {}.\n", elsewhere.join(", ")));
    }
    if let Some(examples) = command.get_after_help() {
        page.push_str(&format!("\n```text\n{}\n```\n", examples.to_string().trim_end()));
    }
}

fn table(group: &Group) -> String {
    format!("| Option | Default | Meaning |\n|---|---|---|\n{}", group.rows.concat())
}

/// The arguments of a command by their headings, those without one first.
fn groups(command: &Command) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for argument in command.get_arguments().filter(|it| !it.is_hide_set() && it.get_id() != "help")
    {
        let heading = argument.get_help_heading().unwrap_or_default();
        let at = groups.iter().position(|group| group.heading == heading).unwrap_or_else(|| {
            groups.push(Group { heading: heading.into(), rows: Vec::new() });
            groups.len() - 1
        });
        groups[at].rows.push(row(argument));
    }
    groups.sort_by_key(|group| !group.heading.is_empty());
    groups
}

/// An argument: how it is written, what it is if left out, what it means.
fn row(argument: &Arg) -> String {
    let values: Vec<String> = argument
        .get_value_names()
        .map(|names| names.iter().map(|name| name.to_string()).collect())
        .unwrap_or_default();
    let takes = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let word = match argument.get_long() {
        Some(long) if takes => format!("--{long} {}", values.join(" ")),
        Some(long) => format!("--{long}"),
        None => values.join(" "),
    };
    let help = argument.get_long_help().or(argument.get_help());
    let mut meaning = help.map(|it| it.to_string()).unwrap_or_default().replace('\n', " ");
    let mut default: Vec<String> =
        argument.get_default_values().iter().map(|it| it.to_string_lossy().into_owned()).collect();
    if !takes {
        default.clear();
    }
    if let Some((text, rest)) = meaning.clone().split_once(" [default: ") {
        default.extend(rest.strip_suffix(']').map(String::from));
        meaning = text.into();
    }
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|_| takes)
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}`: {help}", value.get_name()),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    if !possible.is_empty() {
        meaning.push_str(&format!(". {}", possible.join("; ")));
    }
    if argument.is_required_set() {
        default.push("**must be said**".into());
    }
    let cells = [format!("`{word}`"), default.join(", "), meaning].map(|it| it.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}
