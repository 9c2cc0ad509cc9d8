//! `loadbearing trace`

use std::path::{Path, PathBuf};

use clap::Args;
use loadbearing::model::{Model, compile};
use loadbearing::report::story::{Told, chrome, otlp, told};
use loadbearing::run::Watcher;
use loadbearing::run::story::{Story, Wanted, tell};
use loadbearing::topology::load;
use loadbearing::units::Time;
use serde_json::Value;

use super::options::Settings;
use super::progress::Bar;
use super::{Failure, diagnose, say, style_of_stdout};

/// Tells the story of one request: what happened to it, where it waited, and behind whom
///
/// A replication is always the same: it is run once to find the request that is asked for, and once
/// more to write down what becomes of it. Runs that are not traced cost nothing for it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing trace shop.toml                      the slowest request of the measured time
  loadbearing trace shop.toml --failed             the slowest of those that failed
  loadbearing trace shop.toml --operation buy      the slowest that buys
  loadbearing trace shop.toml --request 1234       that one, as other traces name it
  loadbearing trace shop.toml --count 10 --otlp trace.json       opens in Jaeger
  loadbearing trace shop.toml --count 10 --chrome trace.json     opens in ui.perfetto.dev")]
pub struct Arguments {
    /// The topology file
    file: String,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    which: Which,
    /// Writes OpenTelemetry's JSON, which Jaeger opens
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    otlp: Option<PathBuf>,
    /// Writes Chrome's trace events, which Perfetto opens
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    chrome: Option<PathBuf>,
    /// Prints no story and no progress: the files only
    #[arg(long, help_heading = "Output")]
    quiet: bool,
}

/// Which request.
#[derive(Args)]
#[command(next_help_heading = "Which request")]
struct Which {
    /// The one of this number
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["slowest", "failed", "operation", "count"])]
    request: Option<u32>,
    /// The slowest of the measured time [the default]
    #[arg(long)]
    slowest: bool,
    /// The slowest of those that failed
    #[arg(long)]
    failed: bool,
    /// The slowest of this operation
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// The slowest few
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Of this replication
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    replication: u32,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = load(&arguments.file, &arguments.settings.sets(), &mut diagnose::read);
    diagnose::say_diagnostics(&loaded);
    let model = compile(loaded.topology.as_ref().ok_or(Failure::WrongFile)?);
    let which = &arguments.which;
    let wanted = which.wanted(&model)?;
    let mut looking = Looking::new(arguments.quiet, which.request.is_none());
    let stories = tell(&model, which.replication, wanted, &mut looking);
    looking.bar.clear();
    if stories.is_empty() {
        return Err(Failure::Failed(which.nobody()));
    }
    let all: Vec<Told<'_>> = stories.iter().map(|story| with(&model, which, story)).collect();
    if let Some(path) = &arguments.otlp {
        write(path, &otlp(&all))?;
    }
    if let Some(path) = &arguments.chrome {
        write(path, &chrome(&all))?;
    }
    if arguments.quiet {
        return Ok(());
    }
    let texts: Vec<String> = all.iter().map(|it| told(it, style_of_stdout())).collect();
    say(&texts.join("\n\n"))
}

fn with<'a>(model: &'a Model, which: &Which, story: &'a Story) -> Told<'a> {
    Told { model, replication: which.replication, story }
}

impl Which {
    fn wanted(&self, model: &Model) -> Result<Wanted, Failure> {
        if let Some(number) = self.request {
            return Ok(Wanted::Number(number));
        }
        let operation = match &self.operation {
            None => None,
            Some(name) => {
                let found = model.operations.enumerate().find(|(_, it)| it.name == *name);
                let Some((id, _)) = found else {
                    let names: Vec<&str> =
                        model.operations.iter().map(|it| it.name.as_str()).collect();
                    let why =
                        format!("no operation is called `{name}`; there are {}", names.join(", "));
                    return Err(Failure::Usage(why));
                };
                Some(id)
            }
        };
        let count = usize::from(self.count);
        Ok(Wanted::Slowest { count, failed: self.failed, operation })
    }

    /// Why there is no story to tell.
    fn nobody(&self) -> String {
        match self.request {
            Some(number) => format!(
                "request {number} never came: not every number is used, and the run may be too short; \
                 `--slowest` finds one"
            ),
            None if self.failed => "no request failed in the measured time".into(),
            None => "no request ended in the measured time".into(),
        }
    }
}

/// Shows how far a run has come that is done twice.
struct Looking {
    bar: Bar,
    share: f64,
    then: f64,
    events: u64,
    runs: f64,
}

impl Looking {
    fn new(quiet: bool, twice: bool) -> Looking {
        use loadbearing::experiment::Progress;
        let bar = Bar::new(quiet);
        bar.expect(1);
        Looking { bar, share: 0.0, then: 0.0, events: 0, runs: if twice { 2.0 } else { 1.0 } }
    }
}

impl Watcher for Looking {
    fn watch(&mut self, now: Time, horizon: Time, events: u64) -> bool {
        use loadbearing::experiment::Progress;
        if events < self.events {
            self.then = 0.0; // the second run has begun
        }
        self.events = events;
        let share = now.seconds() / horizon.seconds().max(f64::MIN_POSITIVE);
        let more = (share - self.then) / self.runs;
        self.then = share;
        self.share += more;
        self.bar.advance(more);
        true
    }
}

/// Writes a file whole or not at all.
fn write(path: &Path, value: &Value) -> Result<(), Failure> {
    let part = PathBuf::from(format!("{}.part", path.display()));
    let failed = |error| Failure::Failed(format!("cannot write {}: {error}", path.display()));
    std::fs::write(&part, format!("{value:#}\n")).map_err(failed)?;
    std::fs::rename(&part, path).map_err(failed)
}
