//! Do intervals cover the truth as often as they say? Every kind that this program makes, many times
//! over, on a queue whose answer is known.
//!
//! # Model
//! M/M/1 at a utilisation of 0.8 (`QUEUE`): values of one run are strongly correlated, and means of
//! short runs are skewed, which is what intervals of simulations fail at. One *repetition* is all that
//! a user does for one interval: replications, or one long run, with or without pilots. The coverage
//! is the share of repetitions whose interval holds the truth; an honest interval of 95 % covers in 93
//! to 97 % of a thousand, where chance alone leaves two standard deviations of 0.7 % each.

use rayon::prelude::*;

use super::precision::{FEWEST, enough};
use super::{Progress, run_one};
use crate::model::{Model, compile};
use crate::result::{BATCHES, Estimate, Fold, latency_over_time, settled};
use crate::run::Outcome;
use crate::stats::{
    Interval, Weighed, bootstrap_interval, mean_and_error, mean_interval, proportion_interval,
    quantile_interval, stopped_mean_interval,
};
use crate::stream::Seed;
use crate::topology::load;
use crate::units::Duration;

/// The queue: `topologies/examples/mm1.toml`.
const QUEUE: &str = include_str!("../../topologies/examples/mm1.toml");
/// Its mean response (s): 10 ms / (1 - 0.8).
const MEAN_S: f64 = 0.05;
/// Replications of a repetition.
const REPLICATIONS: u32 = 20;
/// Pilots that find the warm-up, and the replications after them.
const PILOTS: u32 = 3;
const AFTER_PILOTS: u32 = 10;
/// How far off the truth an estimate may be that decides itself how many replications it needs, and
/// how many it gets at most: those of the other rows, then others.
const WITHIN: f64 = 0.05;
const MOST: u32 = 60;
/// The first of those others.
const OTHERS: u32 = 1 << 24;
/// Of the intervals.
const CONFIDENCE: f64 = 0.95;
/// Repetitions whose intervals the digest is of: so few that a test makes them again.
pub const DIGESTED: usize = 1;

/// A kind of interval with how often it covers the truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Covered {
    /// What is done.
    pub method: &'static str,
    /// What is estimated.
    pub of: &'static str,
    /// The true value (s, or a share).
    pub truth: f64,
    /// Repetitions whose interval holds it.
    pub covered: u64,
    /// Repetitions that gave an interval.
    pub repetitions: u64,
    /// Half the width of the interval over the truth, on average.
    pub relative_half_width: f64,
    /// It is here to be seen to fail.
    pub is_wrong: bool,
}

impl Covered {
    /// The coverage with its interval (Clopper and Pearson).
    pub fn coverage(&self) -> Option<Interval> {
        proportion_interval(self.covered, self.repetitions, CONFIDENCE)
    }
}

/// What the study has found.
pub struct Study {
    /// One for each kind of interval.
    pub rows: Vec<Covered>,
    /// A digest of the ends of all intervals of the first repetitions.
    pub digest: String,
}

/// What a row is about.
const ROWS: [(&str, &str, bool); 9] = [
    ("Student's t, 20 replications", "mean latency", false),
    ("Student's t, 20 replications", "p95 of latency", false),
    ("Student's t, until within 5 %", "mean latency", false),
    ("bootstrap-t, 20 replications", "mean latency", false),
    ("order statistics, 20 replications", "median of means", false),
    ("Clopper-Pearson, 20 replications", "share above 55 ms", false),
    ("overlapping batch means, one run", "mean latency", false),
    ("MSER-5 in 3 pilots, 10 replications", "mean latency", false),
    ("wrong: steps of one run, as if independent", "mean latency", true),
];
/// From which mean on a replication counts among those above (s).
const ABOVE_S: f64 = 0.055;

/// One repetition: an interval for each row, and the mean latency of each replication.
struct Repetition {
    intervals: Vec<Option<Interval>>,
    means: Vec<f64>,
}

fn model(settings: &[&str]) -> Model {
    let sets: Vec<String> = settings.iter().map(|it| it.to_string()).collect();
    let loaded = load("mm1.toml", &sets, &mut |_| Ok(QUEUE.to_string()));
    compile(loaded.topology.as_ref().expect("it ships, and tests load it"))
}

/// Repeats every kind of interval so many times, on the threads of the pool that this is called in.
pub fn coverage(repetitions: usize, progress: &dyn Progress) -> Study {
    let common = ["run.window=1s", "run.attribution_every=1000000000"];
    let with = |own: &[&'static str]| model(&[&common[..], own].concat());
    let short = with(&["run.warmup=20s", "run.duration=100s"]);
    let long = with(&["run.warmup=20s", "run.duration=1000s", "run.seed=2"]);
    let cold = with(&["run.warmup=0s", "run.duration=120s", "run.seed=3"]);
    let runs = repetitions * (1 + REPLICATIONS + PILOTS + AFTER_PILOTS) as usize;
    progress.expect(runs);
    let one = |number: usize| repetition(number as u32, [&short, &long, &cold], progress);
    let all: Vec<Repetition> = (0..repetitions).into_par_iter().with_max_len(1).map(one).collect();
    let mut means: Vec<f64> = all.iter().flat_map(|it| it.means.iter().copied()).collect();
    means.sort_by(f64::total_cmp);
    let count = means.len();
    let median = (means[(count - 1) / 2] + means[count / 2]) / 2.0;
    let above = means.iter().filter(|mean| **mean > ABOVE_S).count() as f64 / count as f64;
    let p95 = -libm::log(0.05) * MEAN_S;
    let truths = [MEAN_S, p95, MEAN_S, MEAN_S, median, above, MEAN_S, MEAN_S, MEAN_S];
    let rows = ROWS.iter().zip(truths).enumerate();
    let rows = rows.map(|(row, ((method, of, is_wrong), truth))| {
        let found: Vec<Interval> = all.iter().filter_map(|it| it.intervals[row]).collect();
        let half = |it: &Interval| (it.high - it.low) / 2.0 / truth;
        Covered {
            method,
            of,
            truth,
            covered: found.iter().filter(|it| it.covers(truth)).count() as u64,
            repetitions: found.len() as u64,
            relative_half_width: found.iter().map(half).sum::<f64>() / found.len() as f64,
            is_wrong: *is_wrong,
        }
    });
    Study { rows: rows.collect(), digest: digest(&all[..DIGESTED.min(repetitions)]) }
}

fn repetition(
    number: u32,
    [short, long, cold]: [&Model; 3],
    progress: &dyn Progress,
) -> Repetition {
    let run = |model: &Model, number: u32| run_one(model, number, progress);
    let first = number * REPLICATIONS;
    let outcomes: Vec<Outcome> =
        (first..first + REPLICATIONS).map(|number| run(short, number)).collect();
    let means: Vec<f64> = outcomes.iter().filter_map(|it| it.latency.mean_s()).collect();
    let p95 = |it: &Outcome| it.latency.quantile(0.95).map(Duration::seconds);
    let tails: Vec<f64> = outcomes.iter().filter_map(p95).collect();
    let stream = Seed(1).replication(number).named("coverage");
    let above = means.iter().filter(|mean| **mean > ABOVE_S).count() as u64;
    let intervals = vec![
        mean_interval(&means, CONFIDENCE),
        mean_interval(&tails, CONFIDENCE),
        until_precise(number, short, &means, progress),
        bootstrap_interval(&means, mean_and_error, 2_000, CONFIDENCE, stream),
        quantile_interval(&means, 0.5, CONFIDENCE),
        proportion_interval(above, means.len() as u64, CONFIDENCE),
        of_one(&run(long, number)),
        after_pilots(number, cold, progress),
        mean_interval(&unweighed(&outcomes[0]), CONFIDENCE),
    ];
    Repetition { intervals, means }
}

/// The mean latency of each measured step of the timeline.
fn steps(outcome: &Outcome) -> Vec<Weighed> {
    outcome.windows.iter().filter(|window| window.measured).map(latency_over_time).collect()
}

/// The same of those in which anybody was served, whoever many they were.
fn unweighed(outcome: &Outcome) -> Vec<f64> {
    let served = steps(outcome).into_iter().filter(|(_, weight)| *weight > 0.0);
    served.map(|(latency, _)| latency).collect()
}

/// The fewest replications that are believed, and more until the interval is as narrow as is wanted,
/// as a sweep does it.
fn until_precise(
    number: u32,
    model: &Model,
    all: &[f64],
    progress: &dyn Progress,
) -> Option<Interval> {
    let mut means = all[..FEWEST as usize].to_vec();
    loop {
        let known = means.len() as u32;
        let width = |count: u32| {
            let found =
                stopped_mean_interval(&means[..count as usize], FEWEST as usize, CONFIDENCE);
            found.map(|it| it.relative_half_width())
        };
        let count = enough(FEWEST, MOST, WITHIN, known, width);
        if count <= known {
            return stopped_mean_interval(&means[..count as usize], FEWEST as usize, CONFIDENCE);
        }
        for next in known..count {
            let other = || run_one(model, OTHERS + number * MOST + next, progress);
            let mean = match all.get(next as usize) {
                Some(mean) => *mean,
                None => other().latency.mean_s()?,
            };
            means.push(mean);
        }
    }
}

/// One long run, as `run` makes an interval of it.
fn of_one(outcome: &Outcome) -> Option<Interval> {
    let series = steps(outcome);
    debug_assert!(series.len() >= 2 * BATCHES);
    let found = Estimate::fold(&[outcome.latency.mean_s()], Fold::Mean, CONFIDENCE, &series);
    let (estimate, low, high) = (found.estimate?, found.low?, found.high?);
    Some(Interval { estimate, low, high, confidence: CONFIDENCE })
}

/// Pilots from an empty start find the warm-up; then replications with that warm-up.
fn after_pilots(number: u32, cold: &Model, progress: &dyn Progress) -> Option<Interval> {
    let pilots = |pilot: u32| u32::MAX - number * PILOTS - pilot;
    let pilots: Vec<Outcome> =
        (0..PILOTS).map(|pilot| run_one(cold, pilots(pilot), progress)).collect();
    let mut model = cold.clone();
    model.plan.warmup = settled(&pilots)?;
    model.plan.duration = Duration::secs(100);
    let first = number * AFTER_PILOTS;
    let run = |number: u32| run_one(&model, number, progress).latency.mean_s();
    let means: Vec<f64> = (first..first + AFTER_PILOTS).filter_map(run).collect();
    mean_interval(&means, CONFIDENCE)
}

fn digest(repetitions: &[Repetition]) -> String {
    let mut hash = blake3::Hasher::new();
    for interval in repetitions.iter().flat_map(|it| &it.intervals).flatten() {
        hash.update(&interval.low.to_le_bytes());
        hash.update(&interval.high.to_le_bytes());
    }
    hash.finalize().to_hex()[..16].to_string()
}
