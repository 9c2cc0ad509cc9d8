//! Whether a result may be taken at its word: drift, warm-up, early ends, disagreeing seeds.

use serde::Serialize;

use crate::model::ids::{DatabaseId, StationId};
use crate::model::{Curve, Model, Station, StationKind, Workload};
use crate::run::{Ended, Outcome, Window};
use crate::stats::{
    FALSE_ALARM, MSER5_LEAST, Weighed, independence, mser5, proportion_interval, trend,
};
use crate::units::{Duration, Quantity, Time, show_number};

use super::estimate::BATCHES;
use super::metric::latency_over_time;

/// Something that a reader of the result must know.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Warning {
    /// Its kind, a slug such as `not-stationary`.
    pub slug: &'static str,
    /// One sentence.
    pub message: String,
}

impl Warning {
    fn new(slug: &'static str, message: String) -> Warning {
        Warning { slug, message }
    }
}

/// The slug of the warning that requests come faster than they end.
pub const NOT_STATIONARY: &str = "not-stationary";
/// The slug of the warning that jobs come faster than they end.
pub const QUEUE_GROWS: &str = "queue-grows";
/// A replication that loses more than this share of its requests counts as collapsed.
const COLLAPSED: f64 = 0.5;
/// A level must gain this share of its mean over the measured time to matter.
const DRIFT: f64 = 0.1;
/// Latencies before and after the end of the warm-up must differ by this share to matter.
const BIAS: f64 = 0.05;

/// All that must be known about the runs of a model.
pub fn warnings(model: &Model, outcomes: &[Outcome]) -> Vec<Warning> {
    let mut found = ended_early(model, outcomes);
    let steady = is_steady(&model.workload);
    let growth: Vec<Option<f64>> = outcomes.iter().map(|it| growth(it, steady)).collect();
    let growing: Vec<f64> = growth.iter().copied().flatten().collect();
    if !growing.is_empty() && 2 * growing.len() >= outcomes.len() {
        let rate = growing.iter().sum::<f64>() / growing.len() as f64;
        let rate = show_number(rate);
        let message = format!("not stationary: requests in flight grow by {rate}/s");
        found.push(Warning::new(NOT_STATIONARY, message));
    }
    if steady {
        found.extend(growing_queues(model, outcomes));
    }
    found.extend(collapse(model, outcomes, &growth));
    found.extend(crashes(model, outcomes));
    if let [only] = outcomes {
        found.extend(one_replication(only, !growing.is_empty()));
    }
    // A fault or a deploy unsettles a run by design.
    if steady && model.faults.is_empty() && model.deploys.is_empty() {
        found.extend(short_warm_up(model, outcomes, !growing.is_empty()));
    }
    found
}

/// What one replication can say of its own error, and whether its batches are long enough for that.
fn one_replication(outcome: &Outcome, grows: bool) -> Vec<Warning> {
    let measured = outcome.windows.iter().filter(|window| window.measured);
    let series: Vec<Weighed> = measured.map(latency_over_time).collect();
    let message = match series.len() {
        few if few < BATCHES => {
            format!("one replication of {few} steps: nothing has an interval, {BATCHES} would do")
        }
        _ => "one replication: means have intervals by batch means, quantiles have none".into(),
    };
    let mut found = vec![Warning::new("one-replication", message)];
    let chance = independence(&series, BATCHES);
    if !grows && chance.is_some_and(|chance| chance < FALSE_ALARM) {
        let message = format!(
            "one replication is too short: {BATCHES} parts of it still follow one another (von \
             Neumann's ratio), so its intervals are too narrow; run longer, or several"
        );
        found.push(Warning::new("short-run", message));
    }
    found
}

/// One warning for each database whose servers ran out of memory.
fn crashes(model: &Model, outcomes: &[Outcome]) -> Vec<Warning> {
    let one = |(id, database): (DatabaseId, &crate::model::Database)| {
        let all = || outcomes.iter().flat_map(|it| &it.crashes).filter(|it| it.database == id);
        let first = all().map(|it| it.from).min()?;
        let away: u64 = all().map(|it| it.until.since(it.from).0).sum();
        let count = all().count();
        let times = if count == 1 { "once".into() } else { format!("{count} times") };
        let message = format!(
            "`database.{}` ran out of memory {times}, first {} after the start: the kernel killed a process, all \
             connections were lost, and the server was away for {} in all",
            database.name,
            first.since(Time::ZERO),
            Duration(away)
        );
        Some(Warning::new("out-of-memory", message))
    };
    model.databases.enumerate().filter_map(one).collect()
}

/// One warning for each limit that was reached.
fn ended_early(model: &Model, outcomes: &[Outcome]) -> Vec<Warning> {
    let limits = [
        (Ended::EventLimit, "the limit of events (`run.max_events`)"),
        (Ended::MemoryLimit, "the limit of memory (`run.max_memory`)"),
        (Ended::Interrupted, "the limit of time on the wall (`run.max_wall`)"),
    ];
    let one = |(ended, limit): (Ended, &str)| {
        let cut = || outcomes.iter().filter(|outcome| outcome.ended == ended);
        let (count, all) = (cut().count(), outcomes.len());
        let least = cut().map(|outcome| outcome.measured).min()?;
        let message = format!(
            "{count} of {all} replications ended early, at {limit}: of {} only {least} are measured",
            model.plan.duration
        );
        Some(Warning::new("ended-early", message))
    };
    limits.into_iter().filter_map(one).collect()
}

/// True if the load is the same all the time, so that drift is the system's own.
fn is_steady(workload: &Workload) -> bool {
    let flat = |curve: &Curve| {
        let first = curve.knots.first().map(|(_, value)| *value);
        curve.wave.is_none() && curve.knots.iter().all(|(_, value)| Some(*value) == first)
    };
    match workload {
        Workload::Closed { population, .. } => flat(population),
        Workload::Open { rate, .. } => flat(rate),
        Workload::Recorded(_) => false,
    }
}

/// The growth of requests in flight (1/s), if they grow and the load does not.
fn growth(outcome: &Outcome, steady: bool) -> Option<f64> {
    if steady { growth_of(outcome, |window| window.in_flight) } else { None }
}

/// The growth of a level over the measured windows [1/s], if it grows by as much as matters.
fn growth_of(outcome: &Outcome, level: impl Fn(&Window) -> f64) -> Option<f64> {
    let measured = || outcome.windows.iter().filter(|window| window.measured);
    let first = measured().next()?;
    let levels: Vec<f64> = measured().map(level).collect();
    let window = first.end.since(first.start);
    let found = trend(&levels, window);
    let gained = found.per_second * window.seconds() * levels.len() as f64;
    let mean = levels.iter().sum::<f64>() / levels.len() as f64;
    (found.grows() && gained > DRIFT * mean).then_some(found.per_second)
}

/// Jobs or messages can pile up in it while nobody waits for them.
fn is_backlog(kind: StationKind) -> bool {
    matches!(kind, StationKind::Queue | StationKind::Consumer)
}

/// Job queues that grow in at least half of the replications: nobody waits for them, so requests in
/// flight do not show it.
fn growing_queues(model: &Model, outcomes: &[Outcome]) -> Vec<Warning> {
    let queues = model.stations.enumerate().filter(|(_, it)| is_backlog(it.kind));
    let one = |(id, station): (StationId, &Station)| {
        let waiting = |window: &Window| window.stations[id.0 as usize].waiting;
        let rates: Vec<f64> =
            outcomes.iter().filter_map(|outcome| growth_of(outcome, waiting)).collect();
        let grows = !rates.is_empty() && 2 * rates.len() >= outcomes.len();
        grows.then(|| {
            let rate = show_number(rates.iter().sum::<f64>() / rates.len() as f64);
            let jobs = station.kind == StationKind::Queue;
            let what = if jobs { "jobs" } else { "messages" };
            let message = format!("not stationary: {} grows by {rate} {what}/s", station.path);
            Warning::new(QUEUE_GROWS, message)
        })
    };
    queues.filter_map(one).collect()
}

/// Something grows without end in a replication whose load does not: requests in flight, or the jobs
/// of a queue.
pub fn grows(model: &Model, outcome: &Outcome) -> bool {
    if !is_steady(&model.workload) {
        return false;
    }
    let mut queues = model.stations.enumerate().filter(|(_, it)| is_backlog(it.kind));
    growth(outcome, true).is_some()
        || queues.any(|(id, _)| {
            growth_of(outcome, |window| window.stations[id.0 as usize].waiting).is_some()
        })
}

/// A replication in which the deployment broke down: it loses more than half of its requests, more
/// come than end, or a limit ended it.
pub fn collapsed(model: &Model, outcome: &Outcome) -> bool {
    has_collapsed(outcome, growth(outcome, is_steady(&model.workload)))
}

fn has_collapsed(outcome: &Outcome, growth: Option<f64>) -> bool {
    let requests = &outcome.requests;
    let ended = requests.ok + requests.failed_all();
    growth.is_some()
        || outcome.ended != Ended::Completed
        || requests.failed_all() as f64 > COLLAPSED * ended as f64
}

/// A bistable system has no mean: what share of the seeds collapses, where they disagree, with the
/// interval of Clopper and Pearson.
fn collapse(model: &Model, outcomes: &[Outcome], growth: &[Option<f64>]) -> Option<Warning> {
    let collapsed = |(outcome, growth): &(&Outcome, &Option<f64>)| has_collapsed(outcome, **growth);
    let count = outcomes.iter().zip(growth).filter(collapsed).count();
    let all = outcomes.len();
    let chance = proportion_interval(count as u64, all as u64, model.plan.confidence)?;
    (count > 0 && count < all).then(|| {
        let percent = |share: f64| show_number(100.0 * share);
        let message = format!(
            "seeds disagree: {count} of {all} replications collapse ({} %, {} to {} %), so a mean \
             over them describes none of them",
            percent(chance.estimate),
            percent(chance.low),
            percent(chance.high),
        );
        Warning::new("seeds-disagree", message)
    })
}

/// When a run has settled, by MSER-5 on the course of runs that begin at time zero, averaged over
/// replications (Welch 1983): the later of what requests in flight and their latency say; [`None`]
/// where the runs are too short to tell.
pub fn settled(outcomes: &[Outcome]) -> Option<Duration> {
    let ends: Vec<Duration> =
        outcomes.first()?.windows.iter().map(|it| Duration(it.end.0)).collect();
    let latency: fn(&Window) -> Option<f64> = |window| window.latency_mean_s;
    let in_flight: fn(&Window) -> Option<f64> = |window| Some(window.in_flight);
    let cut = |of: fn(&Window) -> Option<f64>| {
        let course = course(outcomes, of);
        let values: Vec<f64> = course.iter().map(|(_, value)| *value).collect();
        let cut = mser5(&values);
        cut.sufficient.then(|| match cut.index {
            0 => Duration::ZERO,
            index => ends[course[index - 1].0],
        })
    };
    Some(cut(latency)?.max(cut(in_flight)?))
}

/// A value of every window, averaged over replications; windows in which nobody has one left out.
fn course(outcomes: &[Outcome], of: fn(&Window) -> Option<f64>) -> Vec<(usize, f64)> {
    let windows = outcomes.iter().map(|outcome| outcome.windows.len()).min().unwrap_or(0);
    let mean = |index: usize| {
        let values: Vec<f64> =
            outcomes.iter().filter_map(|outcome| of(&outcome.windows[index])).collect();
        let sum: f64 = values.iter().sum();
        (!values.is_empty()).then(|| (index, sum / values.len() as f64))
    };
    (0..windows).filter_map(mean).collect()
}

/// MSER-5 on the mean latency per window, averaged over replications (Welch 1983); where it cannot
/// tell, that is said.
fn short_warm_up(model: &Model, outcomes: &[Outcome], grows: bool) -> Option<Warning> {
    let windows = &outcomes.first()?.windows;
    let course: Vec<(Time, f64)> = course(outcomes, |window| window.latency_mean_s)
        .into_iter()
        .map(|(index, value)| (windows[index].end, value))
        .collect();
    let values: Vec<f64> = course.iter().map(|(_, value)| *value).collect();
    let cut = mser5(&values);
    if !cut.sufficient {
        return unknown_warm_up(model, &values, grows);
    }
    if cut.index == 0 || cut.index >= values.len() {
        return None;
    }
    let settled = Duration(course[cut.index - 1].0.0);
    let warmup = model.plan.warmup;
    if settled <= warmup {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let unsettled: Vec<f64> = course[..cut.index]
        .iter()
        .filter(|(end, _)| Duration(end.0) > warmup)
        .map(|(_, value)| *value)
        .collect();
    let after = mean(&values[cut.index..]);
    if (mean(&unsettled) - after).abs() <= BIAS * after {
        return None;
    }
    let message = format!(
        "warm-up too short: latency settles after {} (MSER-5), the warm-up is {}",
        settled.show(),
        warmup.show()
    );
    Some(Warning::new("short-warm-up", message))
}

/// What can be said of the warm-up of a run that is too short for MSER-5.
fn unknown_warm_up(model: &Model, values: &[f64], grows: bool) -> Option<Warning> {
    let unknown = |message: String| Some(Warning::new("warm-up-unknown", message));
    if values.len() < MSER5_LEAST {
        return unknown(format!(
            "whether the warm-up of {} is long enough is not known: MSER-5 needs {MSER5_LEAST} steps \
             of the timeline, there are {}; run longer, or let `run.window` be shorter",
            model.plan.warmup.show(),
            values.len(),
        ));
    }
    // A cut in the second half is often chance; a latency that goes on to fall is none, nor is one
    // that rises without anything growing.
    (!grows && trend(values, model.plan.window).significant).then(|| {
        let message = "latency still changes in the second half of the run (MSER-5): it is too short \
                       to say how long a warm-up must be";
        Warning::new("warm-up-unknown", message.into())
    })
}
