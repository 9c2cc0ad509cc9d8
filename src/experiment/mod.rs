//! Many replications of several models, side by side, with the same bytes for any number of threads.
//!
//! The only module with threads and a clock. Replications are collected by number and folded in
//! order; which replications are run is decided by results alone, never by who finished first.

pub mod capacity;
pub mod columns;
pub mod coverage;
pub mod design;
pub mod file;
pub mod findings;
mod level;
mod pilot;
pub mod plan;
mod precision;
pub mod prepare;
mod scaling;
pub mod store;
pub mod stress;
pub mod sweep;
mod watch;

pub use level::Level;
pub use precision::{Precision, first_look};
pub use scaling::Scaling;
pub use watch::{Progress, Silent};

use rayon::prelude::*;

use crate::model::Model;
use crate::run::{Outcome, replicate};
use watch::Clocked;

/// How an experiment is run.
pub struct Plan<'a> {
    /// Threads; nothing for as many as there are cores.
    pub threads: Option<usize>,
    /// Goes on until means are this precise, rather than with the replications of the model only.
    pub precision: Option<Precision>,
    /// Is told how far it has come.
    pub progress: &'a dyn Progress,
}

/// Why an experiment could not be run.
#[derive(Debug)]
pub struct NoThreads(rayon::ThreadPoolBuildError);

impl std::fmt::Display for NoThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "threads cannot be started: {}", self.0)
    }
}
impl std::error::Error for NoThreads {}

/// Runs every model's replications; for each model, its outcomes in the order of their numbers.
///
/// # Errors
/// Only if the threads cannot be started.
pub fn replicate_all(models: &[&Model], plan: &Plan<'_>) -> Result<Vec<Vec<Outcome>>, NoThreads> {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(plan.threads.unwrap_or(0));
    let threads = threads.build().map_err(NoThreads)?;
    Ok(threads.install(|| {
        let mut outcomes: Vec<Vec<Outcome>> = models.iter().map(|_| Vec::new()).collect();
        let first: Vec<Job> = models
            .iter()
            .enumerate()
            .flat_map(|(model, it)| {
                (0..it.plan.replications).map(move |replication| Job { model, replication })
            })
            .collect();
        run_jobs(models, &first, &mut outcomes, plan.progress);
        if let Some(precision) = plan.precision {
            while let Some(jobs) = precision.next_round(models, &outcomes) {
                run_jobs(models, &jobs, &mut outcomes, plan.progress);
            }
        }
        outcomes
    }))
}

/// One replication of one model.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Job {
    model: usize,
    replication: u32,
}

/// Runs jobs on all threads of the pool and files their outcomes in the order of the jobs.
fn run_jobs(
    models: &[&Model],
    jobs: &[Job],
    outcomes: &mut [Vec<Outcome>],
    progress: &dyn Progress,
) {
    progress.expect(jobs.len());
    let done: Vec<Outcome> = jobs
        .par_iter()
        .with_max_len(1)
        .map(|job| run_one(models[job.model], job.replication, progress))
        .collect();
    for (job, outcome) in jobs.iter().zip(done) {
        outcomes[job.model].push(outcome);
    }
}

/// Runs one replication, up to the model's limit of time on the wall.
fn run_one(model: &Model, replication: u32, progress: &dyn Progress) -> Outcome {
    let mut watcher = Clocked::new(model.plan.max_wall, progress);
    let outcome = replicate(model, replication, &mut watcher);
    watcher.finish();
    outcome
}
