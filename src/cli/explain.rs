//! `loadbearing explain`

use clap::Args;
use loadbearing::explain::explain;
use loadbearing::model::compile;
use loadbearing::topology::load;

use super::options::Settings;
use super::{Failure, diagnose, say};

/// Says what a topology means, without running it
///
/// Prints the compiled model, what each operation asks of each component, the bounds on throughput
/// and response time that follow, the stated assumptions, and every default in force with its
/// source.
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing explain shop.toml
  loadbearing explain shop.toml --set users.population=50_000 | less")]
pub struct Arguments {
    /// The topology file
    file: String,
    #[command(flatten)]
    settings: Settings,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = load(&arguments.file, &arguments.settings.sets(), &mut diagnose::read);
    diagnose::say_diagnostics(&loaded);
    let topology = loaded.topology.as_ref().ok_or(Failure::WrongFile)?;
    say(&explain(&loaded, &compile(topology)))
}
