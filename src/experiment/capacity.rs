//! The largest load that meets the objectives, with an interval, in few runs.
//!
//! # Model
//! The load is one number: the population of a closed workload, the rate of an open one. With stages
//! it is the largest of them, and all are scaled alike; a spike or a wave multiplies them as before.
//! Whatever depends on the load (addresses, warm sessions, warm caches) follows, since the topology
//! is read anew at each load. The distinct users behind an open stream stay as many as they are.
//!
//! Each replication has a capacity of its own: the largest load up to which it meets all objectives.
//! It is found by bisection on the replication's own random numbers, so that two loads differ by the
//! load and little else, until the two ends differ by [`RESOLUTION`] or by one user. The estimate is
//! the mean over replications, which are independent; the interval is Student's t of them, widened
//! by what the bisection leaves open. It says how well *this length of run* knows the capacity: runs
//! of seconds see few bursts, and long ones fail at a lower load.
//!
//! Runs are saved where something is known already. The first replication starts from the file's
//! load and from the asymptotic bounds of the service demands (Denning and Buzen 1978), between
//! which the answer usually lies; the others start close around what the first has found.
//!
//! A load also fails if requests come faster than they end, if a job queue grows without end, or if
//! a limit ends the run: what was measured then is of the few that got through.
//!
//! Bisection takes for granted that what fails at a load fails at every larger one. Guards that
//! latch, and objectives that ask for *more* (`throughput > 100/s`), need not behave so. The ends
//! of every bracket were run, and a load that was met above one that was not is told
//! ([`Disorder`]); the capacity is then that of the lowest failure.

use super::{NoThreads, Progress, Scaling, run_one};
use crate::model::demand::demand;
use crate::model::{Model, Workload};
use crate::result::{Estimate, Fold, NOT_STATIONARY, QUEUE_GROWS, Summary};
use crate::run::{Ended, Outcome};
use crate::stats::mean_interval;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Bisection ends when the larger load is at most this much above the smaller one: a smaller step
/// would cost runs and say nothing, since replications differ by more.
pub const RESOLUTION: f64 = 0.02;
/// The smallest load that is tried, as a share of the file's or of what the analysis allows.
const LEAST: f64 = 0.01;
/// The largest load that is tried, as a multiple of the file's.
const MOST: f64 = 1_000.0;
/// Steps towards an end that is not known yet.
const STRIDE: f64 = 4.0;
/// How far around the capacity of the first replication the others start.
const AROUND: f64 = 1.04;
/// How the first replication probes around the load at which the first component is full.
const PROBES: [f64; 2] = [1.1, 0.75];

/// One replication at one load.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The load.
    pub load: f64,
    /// The number of the replication.
    pub replication: u32,
    /// What each objective bounds, in its unit.
    pub values: Vec<Option<f64>>,
    /// Whether each value keeps its bound.
    pub kept: Vec<bool>,
    /// What grows without end, in words: requests in flight, or a job queue.
    pub growing: Option<String>,
    /// A limit ended the run.
    pub ended_early: bool,
}

impl Trial {
    fn new(model: &Model, load: f64, outcome: &Outcome) -> Trial {
        let summary = Summary::new(model, std::slice::from_ref(outcome));
        let values: Vec<Option<f64>> =
            summary.verdicts.iter().map(|verdict| verdict.value.estimate).collect();
        let kept = model.objectives.iter().zip(&values).map(|(objective, value)| {
            value.is_some_and(|value| objective.comparison.holds(value, objective.bound))
        });
        Trial {
            load,
            replication: outcome.replication,
            kept: kept.collect(),
            values,
            growing: growing(&summary),
            ended_early: outcome.ended != Ended::Completed,
        }
    }

    /// All objectives are met by a run that reached its end.
    pub fn met(&self) -> bool {
        self.kept.iter().all(|kept| *kept) && self.growing.is_none() && !self.ended_early
    }
}

/// What grows without end, in the words of the warning that says so.
fn growing(summary: &Summary) -> Option<String> {
    let grows = |slug| slug == NOT_STATIONARY || slug == QUEUE_GROWS;
    let warning = summary.warnings.iter().find(|it| grows(it.slug))?;
    let words = warning.message.split(" by ").next()?;
    Some(words.trim_start_matches("not stationary: ").to_string())
}

/// A replication that met the objectives above a load at which it did not.
#[derive(Clone, Debug, PartialEq)]
pub struct Disorder {
    /// Its number.
    pub replication: u32,
    /// The load at which it did not.
    pub not_met_at: f64,
    /// The larger load at which it did.
    pub met_at: f64,
}

/// What the search has found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// The capacity.
    Found(Estimate),
    /// So many replications meet the objectives at no load, down to this one.
    NoLoad {
        /// The smallest load that was tried.
        least: f64,
        /// How many replications.
        replications: usize,
    },
    /// So many replications meet them at every load, up to this one.
    AnyLoad {
        /// The largest load that was tried.
        most: f64,
        /// How many replications.
        replications: usize,
    },
}

/// All replications at one load.
pub struct AtLoad {
    /// The load.
    pub load: f64,
    /// What was run.
    pub model: Model,
    /// One for each replication.
    pub outcomes: Vec<Outcome>,
    /// All of them together.
    pub summary: Summary,
}

impl AtLoad {
    /// The objectives are met, and nothing grows without end or ended early.
    pub fn is_met(&self) -> bool {
        let completed = self.outcomes.iter().all(|outcome| outcome.ended == Ended::Completed);
        completed && self.summary.is_met() && growing(&self.summary).is_none()
    }
}

/// The largest load that meets the objectives, with what led to it.
pub struct Capacity {
    /// How the load was scaled.
    pub scaling: Scaling,
    /// The answer.
    pub answer: Answer,
    /// Every replication that was run, by load, then by its number.
    pub trials: Vec<Trial>,
    /// What fails just above the capacity, in how many replications; the most frequent first.
    pub limits: Vec<(String, usize)>,
    /// Evidence against a single threshold.
    pub disorder: Vec<Disorder>,
    /// At the load of the file.
    pub at_file_load: AtLoad,
    /// At the capacity, if one was found.
    pub at_capacity: Option<AtLoad>,
}

impl Capacity {
    /// The load of the file is one that the deployment carries.
    pub fn carries_file_load(&self) -> bool {
        self.at_file_load.is_met() && !matches!(self.answer, Answer::NoLoad { .. })
    }
    /// The capacity as a multiple of the file's load.
    pub fn headroom(&self) -> Option<Estimate> {
        self.headroom_at(self.scaling.load)
    }
    /// The capacity as a multiple of a load.
    pub fn headroom_at(&self, base: f64) -> Option<Estimate> {
        let Answer::Found(found) = self.answer else { return None };
        let times = |load: Option<f64>| load.map(|load| load / base);
        Some(Estimate {
            estimate: times(found.estimate),
            low: times(found.low),
            high: times(found.high),
        })
    }
    /// The mean over replications of what the so-manieth objective bounds, at a load.
    pub fn value_at(&self, load: f64, objective: usize) -> Estimate {
        let trials = self.trials.iter().filter(|trial| trial.load == load);
        let values: Vec<Option<f64>> = trials.map(|trial| trial.values[objective]).collect();
        Estimate::fold(&values, Fold::Mean, self.at_file_load.model.plan.confidence, &[])
    }
}

/// How the search is done.
pub struct Search<'a> {
    /// Threads; nothing for as many as there are cores.
    pub threads: Option<usize>,
    /// Is told how far it has come.
    pub progress: &'a dyn Progress,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failed {
    /// The threads cannot be started.
    NoThreads(NoThreads),
    /// The topology is not sound at this load.
    NotSound(f64),
}

/// Runs all replications at one load, whatever its objectives make of it.
///
/// # Errors
/// If the threads cannot be started, or there is no model at the load.
pub fn at_load(
    load: f64,
    search: &Search<'_>,
    model_at: &mut dyn FnMut(f64) -> Option<Model>,
) -> Result<AtLoad, Failed> {
    let threads = ThreadPoolBuilder::new().num_threads(search.threads.unwrap_or(0)).build();
    let threads = threads.map_err(|error| Failed::NoThreads(NoThreads(error)))?;
    Runner { threads, progress: search.progress, model_at }.all_at(load)
}

/// Finds the largest load that meets the objectives of the models that `model_at` makes for a load.
///
/// # Errors
/// If the threads cannot be started, or there is no model at a load.
pub fn capacity(
    scaling: Scaling,
    search: &Search<'_>,
    model_at: &mut dyn FnMut(f64) -> Option<Model>,
) -> Result<Capacity, Failed> {
    let threads = ThreadPoolBuilder::new().num_threads(search.threads.unwrap_or(0)).build();
    let threads = threads.map_err(|error| Failed::NoThreads(NoThreads(error)))?;
    let mut runner = Runner { threads, progress: search.progress, model_at };
    let at_file_load = runner.all_at(scaling.load)?;
    let range = Range::new(scaling, &at_file_load.model);
    let mut trials = trials_of(&at_file_load);
    range.seek(&mut trials, &mut |jobs| runner.run(jobs))?;
    let answer = range.answer(&trials, at_file_load.model.plan.confidence);
    let limits = range.limits(&trials, &at_file_load.model);
    let mut at_capacity = None;
    if let Answer::Found(Estimate { estimate: Some(load), .. }) = answer {
        let at = runner.all_at(range.scaling.round(load))?;
        for trial in trials_of(&at) {
            let is_twin = |it: &Trial| it.load == trial.load && it.replication == trial.replication;
            if !trials.iter().any(is_twin) {
                trials.push(trial);
            }
        }
        at_capacity = Some(at);
    }
    trials.sort_by(|a, b| a.load.total_cmp(&b.load).then(a.replication.cmp(&b.replication)));
    let disorder = disorder(&trials);
    let scaling = range.scaling;
    Ok(Capacity { scaling, answer, trials, limits, disorder, at_file_load, at_capacity })
}

fn trials_of(at: &AtLoad) -> Vec<Trial> {
    at.outcomes.iter().map(|outcome| Trial::new(&at.model, at.load, outcome)).collect()
}

/// A load and the number of a replication.
type Job = (f64, u32);

/// Runs replications at loads, whatever makes them.
type RunJobs<'a, E> = &'a mut dyn FnMut(&[Job]) -> Result<Vec<Trial>, E>;

/// Runs replications at loads.
struct Runner<'a> {
    threads: ThreadPool,
    progress: &'a dyn Progress,
    model_at: &'a mut dyn FnMut(f64) -> Option<Model>,
}

impl Runner<'_> {
    fn model(&mut self, load: f64) -> Result<Model, Failed> {
        (self.model_at)(load).ok_or(Failed::NotSound(load))
    }

    /// All replications at one load.
    fn all_at(&mut self, load: f64) -> Result<AtLoad, Failed> {
        let model = self.model(load)?;
        let jobs: Vec<(&Model, u32)> =
            (0..model.plan.replications).map(|number| (&model, number)).collect();
        let outcomes = self.outcomes(&jobs);
        let summary = Summary::new(&model, &outcomes);
        Ok(AtLoad { load, model, outcomes, summary })
    }

    fn run(&mut self, jobs: &[Job]) -> Result<Vec<Trial>, Failed> {
        let models: Vec<Model> =
            jobs.iter().map(|(load, _)| self.model(*load)).collect::<Result<_, _>>()?;
        let runs: Vec<(&Model, u32)> = models
            .iter()
            .zip(jobs)
            .map(|(model, (_, replication))| (model, *replication))
            .collect();
        let outcomes = self.outcomes(&runs);
        let trials = models.iter().zip(jobs).zip(&outcomes);
        Ok(trials.map(|((model, (load, _)), outcome)| Trial::new(model, *load, outcome)).collect())
    }

    fn outcomes(&self, runs: &[(&Model, u32)]) -> Vec<Outcome> {
        let progress = self.progress;
        progress.expect(runs.len());
        self.threads.install(|| {
            let one = |(model, replication): &(&Model, u32)| run_one(model, *replication, progress);
            runs.par_iter().with_max_len(1).map(one).collect()
        })
    }
}

/// Where a replication changes from met to not met, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bracket {
    /// The largest load that was met below the first failure.
    met: Option<f64>,
    /// The smallest load that was not met.
    unmet: Option<f64>,
}

impl Bracket {
    fn of(trials: &[Trial], replication: u32) -> Bracket {
        let own = || trials.iter().filter(|trial| trial.replication == replication);
        let unmet = own().filter(|it| !it.met()).map(|it| it.load).min_by(f64::total_cmp);
        let below = |load: f64| unmet.is_none_or(|unmet| load < unmet);
        let met = own().filter(|it| it.met() && below(it.load)).map(|it| it.load);
        Bracket { met: met.max_by(f64::total_cmp), unmet }
    }
}

/// The loads that may be tried, and those from which the first replication starts.
struct Range {
    scaling: Scaling,
    least: f64,
    most: f64,
    probes: Vec<f64>,
}

impl Range {
    fn new(scaling: Scaling, model: &Model) -> Range {
        let asked = demand(model, None).bounds(model);
        let full = match (&model.workload, asked.bottleneck, asked.knee_users) {
            (Workload::Closed { population, .. }, _, Some(knee)) => {
                knee / population.at(model.plan.warmup)
            }
            (Workload::Open { .. }, Some((_, rate)), _) => rate / asked.offered_per_s,
            _ => f64::INFINITY,
        };
        let full = if full.is_finite() && full > 0.0 { full } else { 1.0 };
        let least = scaling.round(scaling.load * full.min(1.0) * LEAST);
        let most = scaling.round(scaling.load * MOST);
        let probe = |share: f64| scaling.round((scaling.load * full * share).clamp(least, most));
        Range { least, most, probes: PROBES.map(probe).to_vec(), scaling }
    }

    /// Adds trials until every replication of the first ones has its bracket.
    fn seek<E>(&self, trials: &mut Vec<Trial>, run: RunJobs<'_, E>) -> Result<(), E> {
        let replications = trials.len() as u32;
        while let Some(load) = self.next(Bracket::of(trials, 0), &self.probes) {
            trials.extend(run(&[(load, 0)])?);
        }
        let near = match Bracket::of(trials, 0) {
            Bracket { met: Some(met), unmet: Some(unmet) } => {
                let middle = (met * unmet).sqrt();
                vec![self.scaling.round(middle / AROUND), self.scaling.round(middle * AROUND)]
            }
            Bracket { met, .. } => vec![if met.is_some() { self.most } else { self.least }],
        };
        loop {
            let next = |number| Some((self.next(Bracket::of(trials, number), &near)?, number));
            let jobs: Vec<Job> = (1..replications).filter_map(next).collect();
            if jobs.is_empty() {
                return Ok(());
            }
            trials.extend(run(&jobs)?);
        }
    }

    /// The next load for a replication; [`None`] when its bracket is close enough, or an end of the
    /// range is reached. A probe is taken if it lies within the bracket.
    fn next(&self, bracket: Bracket, probes: &[f64]) -> Option<f64> {
        let Bracket { met, unmet } = bracket;
        if let (Some(met), Some(unmet)) = (met, unmet)
            && self.is_close(met, unmet)
        {
            return None;
        }
        let within =
            |load: f64| met.is_none_or(|met| load > met) && unmet.is_none_or(|unmet| load < unmet);
        if let Some(probe) = probes.iter().find(|probe| within(**probe)) {
            return Some(*probe);
        }
        let load = match (met, unmet) {
            (Some(met), Some(unmet)) => (met * unmet).sqrt(),
            (Some(met), None) => (met * STRIDE).min(self.most),
            (None, Some(unmet)) => (unmet / STRIDE).max(self.least),
            (None, None) => self.scaling.load,
        };
        Some(self.scaling.round(load)).filter(|load| within(*load))
    }

    fn is_close(&self, met: f64, unmet: f64) -> bool {
        unmet <= met * (1.0 + RESOLUTION) || (self.scaling.closed && unmet - met <= 1.0)
    }

    fn answer(&self, trials: &[Trial], confidence: f64) -> Answer {
        let brackets = brackets(trials);
        let replications = brackets.iter().filter(|it| it.met.is_none()).count();
        if replications > 0 {
            return Answer::NoLoad { least: self.least, replications };
        }
        let replications = brackets.iter().filter(|it| it.unmet.is_none()).count();
        if replications > 0 {
            return Answer::AnyLoad { most: self.most, replications };
        }
        // The largest population that meets them is at most one below the first that does not.
        let step = if self.scaling.closed { 1.0 } else { 0.0 };
        let ends = brackets.iter().filter_map(|it| Some((it.met?, it.unmet? - step)));
        let (middles, halves): (Vec<f64>, Vec<f64>) =
            ends.map(|(met, most)| ((met + most) / 2.0, (most - met) / 2.0)).unzip();
        let count = middles.len() as f64;
        let open = halves.iter().sum::<f64>() / count;
        let spread = mean_interval(&middles, confidence);
        Answer::Found(Estimate {
            estimate: Some(middles.iter().sum::<f64>() / count),
            low: spread.map(|it| it.low - open),
            high: spread.map(|it| it.high + open),
        })
    }

    /// Why the smallest load that fails does so, by how many replications say so.
    fn limits(&self, trials: &[Trial], model: &Model) -> Vec<(String, usize)> {
        let mut found: Vec<(String, usize)> = Vec::new();
        for (number, bracket) in brackets(trials).iter().enumerate() {
            let first = trials.iter().find(|trial| {
                trial.replication == number as u32 && Some(trial.load) == bracket.unmet
            });
            let Some(first) = first else { continue };
            let broken = model.objectives.iter().zip(&first.kept).filter(|(_, kept)| !**kept);
            let mut reasons: Vec<String> = broken.map(|(it, _)| it.text.clone()).collect();
            reasons.extend(first.growing.clone());
            reasons.extend(first.ended_early.then(|| "a limit ended the run".to_string()));
            for reason in reasons {
                match found.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, count)) => *count += 1,
                    None => found.push((reason, 1)),
                }
            }
        }
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        found
    }
}

/// The brackets of all replications, by number.
fn brackets(trials: &[Trial]) -> Vec<Bracket> {
    let count = trials.iter().map(|trial| trial.replication + 1).max().unwrap_or(0);
    (0..count).map(|number| Bracket::of(trials, number)).collect()
}

/// The widest contradiction of each replication to a single threshold.
fn disorder(trials: &[Trial]) -> Vec<Disorder> {
    let one = |(number, bracket): (usize, &Bracket)| {
        let replication = number as u32;
        let own = trials.iter().filter(|it| it.replication == replication && it.met());
        let met_at = own.map(|trial| trial.load).max_by(f64::total_cmp)?;
        let not_met_at = bracket.unmet?;
        (met_at > not_met_at).then_some(Disorder { replication, not_met_at, met_at })
    };
    brackets(trials).iter().enumerate().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(load: f64, closed: bool, probes: &[f64]) -> Range {
        let key = if closed { "users.population" } else { "arrivals.rate" };
        let scaling = Scaling { load, closed, keys: vec![(key.into(), load)] };
        let (least, most) = (scaling.round(load * LEAST), scaling.round(load * MOST));
        Range { scaling, least, most, probes: probes.to_vec() }
    }
    fn trial((load, replication): Job, met: bool) -> Trial {
        let values = vec![Some(load)];
        Trial { load, replication, values, kept: vec![met], growing: None, ended_early: false }
    }
    /// What the search makes of replications that meet their objectives where `met` says so.
    fn sought(range: &Range, count: u32, met: &dyn Fn(f64, u32) -> bool) -> Vec<Trial> {
        let one = |job: &Job| trial(*job, met(job.0, job.1));
        let mut trials: Vec<Trial> = (0..count).map(|it| one(&(range.scaling.load, it))).collect();
        let found: Result<(), ()> =
            range.seek(&mut trials, &mut |jobs| Ok(jobs.iter().map(one).collect()));
        found.unwrap();
        trials
    }

    #[test]
    fn a_threshold_is_found_in_few_runs_wherever_it_lies() {
        for (threshold, most_runs) in [(80.0, 40), (100.0, 40), (3.0, 50), (9_000.0, 50)] {
            let range = range(10.0, false, &[110.0, 75.0]);
            let own = |replication: u32| threshold * (1.0 + 0.01 * f64::from(replication));
            let trials = sought(&range, 5, &|load, replication| load <= own(replication));
            assert!(trials.len() <= most_runs, "{threshold}: {} runs", trials.len());
            for (number, bracket) in brackets(&trials).iter().enumerate() {
                let (met, unmet) = (bracket.met.unwrap(), bracket.unmet.unwrap());
                let own = own(number as u32);
                assert!(met <= own && own < unmet && unmet <= 1.02 * met, "{bracket:?}");
            }
            let Answer::Found(found) = range.answer(&trials, 0.95) else { panic!("a threshold") };
            let mean = own(2);
            assert!(found.low < Some(mean) && Some(mean) < found.high, "{found:?}");
            assert!(disorder(&trials).is_empty());
        }
    }

    #[test]
    fn populations_are_found_to_the_user() {
        let range = range(10.0, true, &[]);
        let trials = sought(&range, 3, &|users, _| users <= 13.0);
        let Answer::Found(found) = range.answer(&trials, 0.95) else { panic!("a threshold") };
        assert_eq!(found, Estimate { estimate: Some(13.0), low: Some(13.0), high: Some(13.0) });
        let one = sought(&range, 1, &|users, _| users <= 1.0);
        assert_eq!(range.answer(&one, 0.95), Answer::Found(Estimate::exact(1.0)));
    }

    #[test]
    fn the_ends_of_the_range_are_told() {
        let range = range(10.0, false, &[]);
        let none = sought(&range, 2, &|_, _| false);
        assert_eq!(range.answer(&none, 0.95), Answer::NoLoad { least: 0.1, replications: 2 });
        let some = sought(&range, 2, &|_, replication| replication == 1);
        assert_eq!(range.answer(&some, 0.95), Answer::NoLoad { least: 0.1, replications: 1 });
        let all = sought(&range, 2, &|_, _| true);
        assert_eq!(range.answer(&all, 0.95), Answer::AnyLoad { most: 1e4, replications: 2 });
    }

    #[test]
    fn what_is_met_above_a_failure_is_told_and_not_believed() {
        let range = range(10.0, false, &[100.0, 40.0]);
        // It fails from 30 to 60 only; 100 is tried first and met, 40 is never within (100, ...).
        let trials = sought(&range, 1, &|load, _| !(30.0..=60.0).contains(&load) && load < 500.0);
        assert!(disorder(&trials).is_empty(), "what was not tried is not known");
        let mut trials = trials;
        trials.push(trial((40.0, 0), false));
        let found = disorder(&trials);
        assert_eq!((found[0].not_met_at, found[0].replication), (40.0, 0));
        assert!(found[0].met_at > 400.0);
        assert_eq!(Bracket::of(&trials, 0), Bracket { met: Some(10.0), unmet: Some(40.0) });
    }
}
