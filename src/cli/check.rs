//! `loadbearing check`

use clap::Args;
use loadbearing::explain::overload;
use loadbearing::model::compile;
use loadbearing::topology::load;

use super::options::Settings;
use super::{Failure, diagnose, say};

/// Says all that is wrong with topology files, each with its place and its cure; warns of a load that a
/// component cannot carry
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing check shop.toml
  loadbearing check topologies/*.toml
  loadbearing check shop.toml --set pool.pg.size=500")]
pub struct Arguments {
    /// The topology files
    #[arg(required = true)]
    files: Vec<String>,
    #[command(flatten)]
    settings: Settings,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let sets = arguments.settings.sets();
    let mut sound = true;
    for file in &arguments.files {
        let mut loaded = load(file, &sets, &mut diagnose::read);
        if let Some(topology) = &loaded.topology {
            let found = overload(&loaded, &compile(topology));
            loaded.diagnostics.extend(found);
        }
        diagnose::say_diagnostics(&loaded);
        let Some(topology) = &loaded.topology else {
            sound = false;
            continue;
        };
        let mut words = vec![counted(topology.operations.len(), "operation")];
        words.push(counted(topology.assume.len(), "stated assumption"));
        words.push(format!("{} in force", counted(loaded.defaults.len(), "default")));
        if !loaded.diagnostics.is_empty() {
            words.push(counted(loaded.diagnostics.len(), "warning"));
        }
        say(&format!("{file}: sound ({})\n", words.join(", ")))?;
    }
    if sound { Ok(()) } else { Err(Failure::WrongFile) }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
