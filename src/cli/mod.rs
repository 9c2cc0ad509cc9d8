//! The command line: one file for each subcommand, and what they share.

mod capacity;
mod check;
mod claims;
mod compare;
mod completions;
mod diagnose;
mod engine;
mod explain;
mod manual;
mod new;
mod options;
mod picture;
mod progress;
mod rerun;
mod run;
mod schema;
mod shards;
mod stress;
mod study;
mod sweep;
mod theory;
mod trace;
mod validate;
#[cfg(test)]
mod written;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loadbearing::report::Style;

/// Which part of your deployment bears the load, and which gives first.
///
/// Simulates every request of a deployment described in a TOML file: users, network, caches,
/// balancers, event loops, connection pools, databases, queues.
#[derive(Parser)]
#[command(name = "loadbearing", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  loadbearing new shop                      write a first topology, shop.toml
  loadbearing explain shop.toml             what it means, before anything is run
  loadbearing run shop.toml                 what it carries, and what gives first
  loadbearing run shop.toml --set users.population=50_000
  loadbearing compare shop.toml bigger.toml the same users and work on both
  loadbearing trace shop.toml               the story of the slowest request, line by line
  loadbearing capacity shop.toml            the largest load that meets the objectives
  loadbearing stress shop.toml --spike 5x   whether it comes back, with and without retries
  loadbearing sweep pool-size.toml          the answer to an experiment, point by point
  loadbearing theory                        why believe any of it: formulas beside simulations
  loadbearing validate reality              and measured deployments beside predictions

Exit codes:
  0  fine, all objectives met      2  wrong usage
  1  a file is wrong               3  a run failed, or a rerun differs
  99 an objective is not met, a theory fails, or a deployment does not recover";

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Run(run::Arguments),
    Compare(compare::Arguments),
    Capacity(capacity::Arguments),
    Stress(stress::Arguments),
    Sweep(Box<sweep::Arguments>),
    Trace(trace::Arguments),
    Explain(explain::Arguments),
    Rerun(rerun::Arguments),
    Theory(theory::Arguments),
    Claims(claims::Arguments),
    Validate(validate::Arguments),
    New(new::Arguments),
    Schema(schema::Arguments),
    Completions(completions::Arguments),
    Manual(manual::Arguments),
}

/// Why a command does not end with 0.
enum Failure {
    /// A file is wrong, and it has been said where.
    WrongFile,
    /// What was asked for makes no sense, in words.
    Usage(String),
    /// The world or a run is wrong, in words.
    Failed(String),
    /// An objective is not met, or a theory; the result says which.
    NotMet,
    /// The same as [`Failure::Failed`], already said.
    Said,
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Failure::WrongFile => 1,
            Failure::Usage(_) => 2,
            Failure::Failed(_) | Failure::Said => 3,
            Failure::NotMet => 99,
        }
    }
}

/// Runs the command that the arguments ask for.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Capacity(arguments) => capacity::run(&arguments),
        Command::Stress(arguments) => stress::run(&arguments),
        Command::Sweep(arguments) => sweep::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Rerun(arguments) => rerun::run(&arguments),
        Command::Theory(arguments) => theory::run(&arguments),
        Command::Claims(arguments) => claims::run(&arguments),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::New(arguments) => new::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Manual(arguments) => manual::run(&arguments),
    };
    let Err(failure) = done else { return ExitCode::SUCCESS };
    if let Failure::Failed(why) | Failure::Usage(why) = &failure {
        complain(&format!("error: {why}\n"));
    }
    ExitCode::from(failure.code())
}

/// Writes a result to stdout. Nobody listening any more is no error: `| head` is common.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes what is not a result to stderr; there is nowhere to complain about failing to complain.
fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// How text on stdout looks: plain in files and pipes, and where `NO_COLOR` is set (no-color.org).
fn style_of_stdout() -> Style {
    style(io::stdout().is_terminal())
}

fn style_of_stderr() -> Style {
    style(io::stderr().is_terminal())
}

fn style(is_terminal: bool) -> Style {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match (is_terminal, unwanted) {
        (true, false) => Style::Coloured,
        (true, true) => Style::Drawn,
        (false, _) => Style::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }
}
