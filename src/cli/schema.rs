//! `loadbearing schema`

use clap::{Args, ValueEnum};
use loadbearing::report::capacity::capacity_schema;
use loadbearing::report::stress::stress_schema;
use loadbearing::report::sweep_schema::sweep_schema;
use loadbearing::{claims, experiment, result, topology};

use super::{Failure, say};

/// Prints the JSON Schema of files (topologies, experiments, claims) or of JSON results
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing schema > topology.schema.json         editors complete topology files with it
  loadbearing schema result > result.schema.json    what `run --json` prints
  loadbearing schema capacity                       what `capacity --json` prints
  loadbearing schema experiment                     the same for experiment files")]
pub struct Arguments {
    /// Of what
    #[arg(value_enum, default_value = "topology")]
    of: Of,
}

#[derive(Clone, Copy, ValueEnum)]
enum Of {
    /// Topology files
    Topology,
    /// What `run --json` and `compare --json` print
    Result,
    /// What `capacity --json` prints
    Capacity,
    /// What `stress --json` prints
    Stress,
    /// What `sweep --json` prints
    Sweep,
    /// Experiment files
    Experiment,
    /// Claims files
    Claims,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let schema = match arguments.of {
        Of::Topology => topology::schema(),
        Of::Result => result::schema(),
        Of::Capacity => capacity_schema(),
        Of::Stress => stress_schema(),
        Of::Sweep => sweep_schema(),
        Of::Experiment => experiment::file::schema(),
        Of::Claims => claims::schema(),
    };
    say(&format!("{schema:#}\n"))
}
