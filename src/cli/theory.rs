//! `loadbearing theory`

use clap::Args;
use loadbearing::experiment::coverage::coverage;
use loadbearing::experiment::sweep::on_threads;
use loadbearing::experiment::{Plan, replicate_all};
use loadbearing::model::Model;
use loadbearing::report::{believed, coverage_to_json, covered};
use loadbearing::run::{Ended, Outcome};
use loadbearing::validation::{CASES, Case, Finding, to_json};

use super::progress::Bar;
use super::{Failure, say, style_of_stdout};

/// Holds the simulator against queueing theory: formulas beside simulations, in a minute
///
/// Runs models that have an exact answer, and prints each figure by its closed form and as simulated,
/// with Student's t of the difference. Each model is an ordinary topology in topologies/theory.
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing theory               the table of docs/theory.md, byte for byte
  loadbearing theory --seed 7      with other luck
  loadbearing theory --quick       a quarter of the time, wider intervals
  loadbearing theory --coverage    how often the intervals cover the truth: the table of docs/coverage.md

Exit code 99 says that a row disagrees: something is wrong here, or six times in 100,000 it was luck.")]
pub struct Arguments {
    /// Added to the seeds of the files: other random numbers, the same truth
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Measures a quarter of the time
    #[arg(long)]
    quick: bool,
    /// Measures how often each kind of interval covers the truth, over so many repetitions
    #[arg(long, value_name = "REPETITIONS", num_args = 0..=1, default_missing_value = "1000",
          value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["seed", "quick"])]
    coverage: Option<u32>,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    /// Prints nothing: exit code only
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { seed, quick, threads, json, quiet, .. } = arguments;
    if let Some(repetitions) = arguments.coverage {
        return cover(repetitions as usize, arguments);
    }
    let models: Vec<Model> = CASES.iter().map(|case| case.compile(*seed, *quick)).collect();
    let bar = Bar::new(*quiet);
    let plan = Plan { threads: threads.map(usize::from), precision: None, progress: &bar };
    let models: Vec<&Model> = models.iter().collect();
    let outcomes =
        replicate_all(&models, &plan).map_err(|error| Failure::Failed(error.to_string()))?;
    bar.clear();
    let mut findings: Vec<Finding> = Vec::new();
    for ((case, model), outcomes) in CASES.iter().zip(models).zip(&outcomes) {
        in_order(case, outcomes)?;
        findings.extend(case.judge(model, outcomes));
    }
    if *json {
        say(&format!("{:#}\n", to_json(&findings)))?;
    } else if !quiet {
        say(&believed(&findings, style_of_stdout()))?;
    }
    if findings.iter().all(Finding::agrees) { Ok(()) } else { Err(Failure::NotMet) }
}

/// How often each kind of interval covers the truth.
fn cover(repetitions: usize, arguments: &Arguments) -> Result<(), Failure> {
    let bar = Bar::new(arguments.quiet);
    let threads = arguments.threads.map(usize::from);
    let study = on_threads(threads, || coverage(repetitions, &bar))
        .map_err(|error| Failure::Failed(error.to_string()))?;
    bar.clear();
    if arguments.json {
        say(&format!("{:#}\n", coverage_to_json(&study)))?;
    } else if !arguments.quiet {
        say(&covered(&study, style_of_stdout()))?;
    }
    Ok(())
}

/// Figures of a run that was cut short, or whose books do not add up, say nothing.
fn in_order(case: &Case, outcomes: &[Outcome]) -> Result<(), Failure> {
    for outcome in outcomes {
        let place = format!("{}, replication {}", case.path, outcome.replication);
        if outcome.ended != Ended::Completed {
            return Err(Failure::Failed(format!("{place}: the run was cut short")));
        }
        if let Some(broken) = outcome.audit.broken.first() {
            return Err(Failure::Failed(format!("{place}: {broken}")));
        }
    }
    Ok(())
}
