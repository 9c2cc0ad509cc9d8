//! What products' own metrics would show, beside what was so.
//!
//! A monitor reads the timeline: its periods are made of the timeline's steps, so a sample is the mean of
//! the last step of its period. Quantiles by Prometheus' rule come from the true counts below its bucket
//! bounds (prometheus 2.53, promql/quantile.go, `bucketQuantile`).

use serde::Serialize;

use super::alarm;
use super::rate::rates;
use crate::model::ids::StationId;
use crate::model::{Model, Monitor, Reading, Shown};
use crate::run::{ByInstance, Outcome, Window};
use crate::stats::Histogram;
use crate::units::Duration;

/// Upper bounds of the default buckets of prom-client 15 and client_golang (s).
pub const BUCKETS_S: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What a monitor showed; means over replications.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Monitored {
    /// Its name.
    pub name: String,
    /// What it shows: `latency`, `oldest` or `lag` (s), `rate` or `evictions` (1/s), `bandwidth` (bit/s), `memory`
    /// (bytes), `waiting`, `held`, `delayed` or `in_flight` (things), or `busy`, `open`, `errors`, `hits`,
    /// `memory_share` or `uptime` (a share).
    pub what: &'static str,
    /// The mean of its values.
    pub shown_mean: f64,
    /// The greatest of them.
    pub shown_most: f64,
    /// The true mean over the measured time, or the true quantile.
    pub true_mean: f64,
    /// The greatest value of a step of the timeline, or the true quantile.
    pub true_most: f64,
    /// What its alarm did, if it has one.
    pub alarm: Option<Alarmed>,
    /// What an uptime leaves of its budget.
    pub budget: Option<UptimeBudget>,
}

/// The time that a promise leaves for being down, and what was used of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct UptimeBudget {
    /// What was promised, a share.
    pub target: f64,
    /// The time that it leaves in 30 days (s).
    pub allowed_s: f64,
    /// The time that was shown as down, mean over replications (s).
    pub used_s: f64,
}

/// Thirty days (s): the month of uptime budgets.
const MONTH_S: f64 = 30.0 * 86_400.0;

/// What an alarm did, in all replications.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Alarmed {
    /// How often it called somebody.
    pub calls: u32,
    /// Rows of steps in which the truth was beyond the bound.
    pub episodes: u32,
    /// Of these, those that never called anybody.
    pub missed: u32,
    /// Calls when nothing was beyond it.
    pub false_alarms: u32,
    /// Mean time from the beginning of an episode to the call (s), of those that called.
    pub delay_mean_s: Option<f64>,
}

/// What all monitors showed.
pub fn monitored(model: &Model, outcomes: &[Outcome]) -> Vec<Monitored> {
    (0..model.monitors.len()).map(|number| of(model, number, outcomes)).collect()
}

/// What a monitor showed over time, in one replication.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitorCourse {
    /// Its name.
    pub name: String,
    /// See [`Monitored::what`].
    pub what: &'static str,
    /// The end of each period, from the start of the measured time (s), and what was shown of it.
    pub shown: Vec<(f64, f64)>,
    /// The same of what was so: of each step of the timeline, or of each period.
    pub truth: Vec<(f64, f64)>,
    /// The bound of its alarm.
    pub alarm_at: Option<f64>,
    /// When it called somebody, from the start of the measured time (s).
    pub calls: Vec<f64>,
}

/// The courses of all monitors that have values over time.
pub fn monitor_courses(model: &Model, outcome: &Outcome) -> Vec<MonitorCourse> {
    let over_time =
        |monitor: &Monitor| !matches!(monitor.shows, Shown::Histogram(_) | Shown::FromSending(_));
    let numbers = (0..model.monitors.len()).filter(|number| over_time(&model.monitors[*number]));
    let course = |number: usize| {
        let monitor = &model.monitors[number];
        let shown = values(model, number, outcome);
        let calls = |alarm| alarm::calls(alarm, monitor, &shown, length_s(outcome));
        MonitorCourse {
            name: monitor.name.clone(),
            what: what(monitor),
            truth: truth(model, number, outcome),
            alarm_at: monitor.alarm.map(|alarm| alarm.bound),
            calls: monitor.alarm.as_ref().map(calls).unwrap_or_default(),
            shown,
        }
    };
    numbers.map(course).collect()
}

fn what(monitor: &Monitor) -> &'static str {
    match monitor.shows {
        Shown::Busy(_) => "busy",
        Shown::Open(..) => "open",
        Shown::Rate(..) => "rate",
        Shown::Waiting(_) => "waiting",
        Shown::Held(_) => "held",
        Shown::Delayed(_) => "delayed",
        Shown::Oldest(_) => "oldest",
        Shown::Memory(_) => "memory",
        Shown::Bandwidth(..) => "bandwidth",
        Shown::Hits(_) => "hits",
        Shown::Evictions(_) => "evictions",
        Shown::Lag(_) => "lag",
        Shown::MemoryOfCache(_) | Shown::MemoryOfService(_) | Shown::MemoryOfDatabase(_) => {
            "memory_share"
        }
        Shown::InFlight => "in_flight",
        Shown::Errors => "errors",
        Shown::Uptime(..) => "uptime",
        Shown::MeanOfWindows
        | Shown::MeanOfInstances(..)
        | Shown::Histogram(_)
        | Shown::FromSending(_) => "latency",
    }
}

/// The end and the value of each period, as shown.
fn values(model: &Model, number: usize, outcome: &Outcome) -> Vec<(f64, f64)> {
    let monitor = &model.monitors[number];
    match monitor.shows {
        Shown::MeanOfInstances(..) => {
            by_instance(outcome, number).values.iter().map(|it| (it.0, it.1)).collect()
        }
        Shown::Rate(range, scrape) => {
            rates(&truth(model, number, outcome), range, scrape, monitor.every)
        }
        Shown::Uptime(down_above, _) => {
            let failed = truth(model, number, outcome).into_iter().map(|(end, ok)| (end, 1.0 - ok));
            let weights = weights(model, number, outcome);
            let periods = readings(monitor, &failed.collect::<Vec<_>>(), &weights).into_iter();
            let is_up = |failed: f64| if failed > down_above { 0.0 } else { 1.0 };
            periods.map(|(end, failed)| (end, is_up(failed))).collect()
        }
        _ => readings(monitor, &truth(model, number, outcome), &weights(model, number, outcome)),
    }
}

/// What each step of the timeline counts in a mean: shares of requests by the requests that ended, those of
/// look-ups by the look-ups.
fn weights(model: &Model, number: usize, outcome: &Outcome) -> Vec<f64> {
    let shows = model.monitors[number].shows;
    let measured = outcome.windows.iter().filter(|window| window.measured);
    let weight = |window: &Window| match shows {
        Shown::Errors | Shown::Uptime(..) => (window.ok + window.failed) as f64,
        Shown::MeanOfWindows if window.latency_p95_s.is_none() => 0.0,
        Shown::Hits(_) => window.noted[number].1,
        Shown::MemoryOfService(_) => window.noted[number].1,
        _ => 1.0,
    };
    let all = measured.map(weight);
    match shows {
        Shown::Uptime(..) => all.collect(),
        // Its truth has no step of which nothing is known.
        _ => all.filter(|weight| *weight > 0.0).collect(),
    }
}

fn by_instance(outcome: &Outcome, number: usize) -> &ByInstance {
    let found = outcome.by_instance.iter().find(|it| it.monitor == number);
    found.expect("every such monitor has its instances")
}

fn of(model: &Model, number: usize, outcomes: &[Outcome]) -> Monitored {
    let monitor = &model.monitors[number];
    let mean = |figure: &dyn Fn(&Outcome) -> f64| {
        outcomes.iter().map(figure).sum::<f64>() / outcomes.len().max(1) as f64
    };
    let steps = |outcome: &Outcome| truth(model, number, outcome);
    let values = |outcome: &Outcome| values(model, number, outcome);
    let seconds = |value: Option<Duration>| value.map_or(0.0, Duration::seconds);
    let quantile = match monitor.shows {
        Shown::Histogram(q) | Shown::FromSending(q) | Shown::MeanOfInstances(_, q) => q,
        _ => 0.95,
    };
    let exact = mean(&|outcome| match monitor.shows {
        Shown::MeanOfInstances(..) => {
            seconds(by_instance(outcome, number).whole.quantile(quantile))
        }
        _ => seconds(outcome.latency.quantile(quantile)),
    });
    let (shown_mean, shown_most) = match monitor.shows {
        Shown::Histogram(q) => {
            let shown = mean(&|outcome| bucket_quantile(&outcome.latency, q, &monitor.buckets));
            (shown, shown)
        }
        Shown::FromSending(q) => {
            let shown = mean(&|outcome| seconds(outcome.attempt_latency.quantile(q)));
            (shown, shown)
        }
        _ => (
            mean(&|outcome| average(values(outcome).iter().map(|(_, value)| *value))),
            mean(&|outcome| greatest(values(outcome).iter().map(|(_, value)| *value))),
        ),
    };
    let is_latency = what(monitor) == "latency";
    let (true_mean, true_most) = if let Shown::MeanOfInstances(..) = monitor.shows {
        (exact, mean(&|outcome| greatest(steps(outcome).iter().map(|(_, value)| *value))))
    } else if is_latency {
        (exact, exact)
    } else {
        (
            mean(&|outcome| {
                let values: Vec<f64> = steps(outcome).iter().map(|(_, value)| *value).collect();
                weighted(&values, &weights(model, number, outcome))
            }),
            mean(&|outcome| greatest(steps(outcome).iter().map(|(_, value)| *value))),
        )
    };
    let budget = match monitor.shows {
        Shown::Uptime(_, target) => Some(UptimeBudget {
            target,
            allowed_s: (1.0 - target) * MONTH_S,
            used_s: mean(&|outcome| {
                let down = values(outcome).iter().filter(|(_, up)| *up == 0.0).count();
                down as f64 * monitor.every.seconds()
            }),
        }),
        _ => None,
    };
    Monitored {
        budget,
        name: monitor.name.clone(),
        what: what(monitor),
        shown_mean,
        shown_most,
        true_mean,
        true_most,
        alarm: monitor.alarm.map(|alarm| {
            let each = outcomes.iter().map(|outcome| {
                let calls = alarm::calls(&alarm, monitor, &values(outcome), length_s(outcome));
                alarm::judged(&alarm, monitor, &all_steps(model, number, outcome), calls)
            });
            alarm::summed(each.collect())
        }),
    }
}

/// The end (s of the measured time) and the true value of each step of the timeline that has one.
fn truth(model: &Model, number: usize, outcome: &Outcome) -> Vec<(f64, f64)> {
    let known = |(end, value): (f64, Option<f64>)| Some((end, value?));
    all_steps(model, number, outcome).into_iter().filter_map(known).collect()
}

/// The same of all steps.
fn all_steps(model: &Model, number: usize, outcome: &Outcome) -> Vec<(f64, Option<f64>)> {
    let monitor = &model.monitors[number];
    if let Shown::MeanOfInstances(..) = monitor.shows {
        let values = &by_instance(outcome, number).values;
        return values.iter().map(|(end, _, truth)| (*end, Some(*truth))).collect();
    }
    let value = |window: &Window| match monitor.shows {
        Shown::Busy(station) => Some(share(model, station, window)),
        Shown::Open(station, most) => {
            Some(if most > 0.0 { window.stations[station.0 as usize].held / most } else { 0.0 })
        }
        Shown::Rate(..) => {
            Some((window.ok + window.failed) as f64 / window.end.since(window.start).seconds())
        }
        Shown::Waiting(station) => Some(window.stations[station.0 as usize].waiting),
        Shown::Oldest(station) => Some(window.stations[station.0 as usize].oldest_s),
        Shown::Delayed(station) => Some(window.stations[station.0 as usize].delayed),
        Shown::Held(station) | Shown::Memory(station) => {
            Some(window.stations[station.0 as usize].held)
        }
        Shown::Bandwidth(station, bits) => Some(window.stations[station.0 as usize].busy * bits),
        Shown::InFlight => Some(window.in_flight),
        Shown::Errors => {
            (window.ok + window.failed > 0).then(|| share_of(window.server_errors, window))
        }
        Shown::Hits(_)
        | Shown::Evictions(_)
        | Shown::Lag(_)
        | Shown::MemoryOfCache(_)
        | Shown::MemoryOfService(_)
        | Shown::MemoryOfDatabase(_) => {
            let (part, whole) = window.noted[number];
            (whole > 0.0).then(|| part / whole)
        }
        Shown::Uptime(..) => Some(1.0 - share_of(window.failed, window)),
        _ => window.latency_p95_s,
    };
    let measured = outcome.windows.iter().filter(|window| window.measured);
    let start = measured.clone().next().map(|window| window.start).unwrap_or_default();
    measured.map(|window| (window.end.since(start).seconds(), value(window))).collect()
}

/// How long the measured time was (s).
fn length_s(outcome: &Outcome) -> f64 {
    let mut measured = outcome.windows.iter().filter(|window| window.measured);
    let start = measured.clone().next().map(|window| window.start);
    let end = measured.next_back().map(|window| window.end);
    start.zip(end).map_or(0.0, |(start, end)| end.since(start).seconds())
}

/// A share of the requests that ended in a step.
fn share_of(count: u64, window: &Window) -> f64 {
    let ended = window.ok + window.failed;
    if ended == 0 { 0.0 } else { count as f64 / ended as f64 }
}

/// Busy servers of a component as a share of those that it has.
fn share(model: &Model, station: StationId, window: &Window) -> f64 {
    let at = window.stations[station.0 as usize];
    // Instances come and go: a product's share is of those that run.
    let capacity = model.stations[station].capacity;
    let capacity = match model.services.iter().find(|service| service.station == station) {
        Some(service) => capacity / f64::from(service.max_instances) * at.held,
        None => {
            match model.queues.iter().find(|it| it.station == station && it.autoscale.is_some()) {
                Some(queue) => f64::from(queue.concurrency) * at.held,
                None => capacity,
            }
        }
    };
    if capacity > 0.0 { at.busy / capacity } else { 0.0 }
}

/// The end and the value of each whole period.
pub(super) fn readings(
    monitor: &Monitor,
    steps: &[(f64, f64)],
    weights: &[f64],
) -> Vec<(f64, f64)> {
    let every = monitor.every.seconds();
    let mut all = Vec::new();
    let mut from = 0;
    while from < steps.len() {
        let period = ((steps[from].0 - 1e-9) / every).floor();
        let end = (period + 1.0) * every;
        let until = steps[from..].iter().take_while(|step| step.0 <= end + 1e-9).count() + from;
        let values = || steps[from..until].iter().map(|(_, value)| *value);
        let value = match monitor.reads {
            Reading::Average => weighted(&values().collect::<Vec<f64>>(), &weights[from..until]),
            Reading::Sample => steps[until - 1].1,
            Reading::Greatest => greatest(values()),
        };
        if steps[until - 1].0 >= end - 1e-9 {
            all.push((end, value));
        }
        from = until;
    }
    all
}

fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// A mean; of what counts nothing, nothing.
fn weighted(values: &[f64], weights: &[f64]) -> f64 {
    if weights.iter().all(|weight| *weight == 1.0) {
        return average(values.iter().copied());
    }
    let all: f64 = weights.iter().sum();
    let sum: f64 = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    if all > 0.0 { sum / all } else { 0.0 }
}

fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

/// `histogram_quantile` of Prometheus: the bucket that the rank falls into, and a straight line within
/// it; beyond the last bound, that bound.
fn bucket_quantile(latency: &Histogram, q: f64, buckets_s: &[f64]) -> f64 {
    let total = latency.count() as f64;
    if total == 0.0 {
        return 0.0;
    }
    let below = |bound: f64| {
        let shares = latency.cumulative().take_while(|(value, _)| *value <= bound);
        shares.last().map_or(0.0, |(_, share)| share * total)
    };
    let rank = q * total;
    let mut lower = (0.0, 0.0);
    for &bound in buckets_s {
        let count = below(bound);
        if count >= rank && count > lower.1 {
            return lower.0 + (bound - lower.0) * (rank - lower.1) / (count - lower.1);
        }
        lower = (bound, count);
    }
    lower.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_interpolates_within_a_bucket() {
        let mut latency = Histogram::new();
        for ms in 0..100 {
            latency.record(Duration::from_secs_f64(f64::from(ms) * 1e-3 + 0.5e-3));
        }
        // 50 of 100 are at most 50 ms and all at most 100 ms: p95 = 50 + 50 * 45 / 50.
        assert!((bucket_quantile(&latency, 0.95, &BUCKETS_S) - 0.095).abs() < 1e-3);
        // All alike at 30 ms: the bucket is 25 to 50 ms, whatever is in it.
        let mut alike = Histogram::new();
        (0..1000).for_each(|_| alike.record(Duration::millis(30)));
        assert!((bucket_quantile(&alike, 0.5, &BUCKETS_S) - 0.0375).abs() < 1e-9);
        assert!((bucket_quantile(&alike, 0.99, &BUCKETS_S) - 0.04975).abs() < 1e-9);
        // Beyond the last bound it knows nothing.
        let mut slow = Histogram::new();
        slow.record(Duration::secs(60));
        assert_eq!(bucket_quantile(&slow, 0.95, &BUCKETS_S), 10.0);
    }
}
