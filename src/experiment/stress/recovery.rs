//! What is usual, and when a course has come back to it.

use super::{Twin, is_whole};
use crate::result::{Estimate, Fold};
use crate::run::{Outcome, Window};
use crate::units::{Duration, Time};

/// Windows of the timeline that are looked at together: one alone holds too few requests.
pub const SPAN_WINDOWS: usize = 5;
/// How far above the worst that calm replications show is still inside the band: this share of it,
/// and so many percentage points of failures.
pub const TOLERANCE: f64 = 0.1;
const TOLERANCE_POINTS: f64 = 0.01;
/// A replication has recovered from the first span on that is inside the band, if at least this share
/// of the spans from there to the end of the run is inside as well.
pub const STAYS: f64 = 0.95;
/// So much of the time that is watched must be left: what comes back at the very end has not stayed.
const LEFT: f64 = 0.1;

/// How a deployment is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels<T> {
    /// Latency of requests that end well (s): mean where it is usual, 95th percentile of a window
    /// where it is a peak.
    pub latency_s: T,
    /// Share of the requests that end which fail.
    pub failed_ratio: T,
    /// Requests in flight.
    pub in_flight: T,
}

impl Levels<Option<f64>> {
    /// What is usual in a calm replication.
    pub(super) fn usual(outcome: &Outcome) -> Levels<Option<f64>> {
        let failed = outcome.requests.failed_all();
        let ended = outcome.requests.ok + failed;
        Levels {
            latency_s: outcome.latency.quantile(0.95).map(Duration::seconds),
            failed_ratio: (ended > 0).then(|| failed as f64 / ended as f64),
            in_flight: Some(outcome.requests.in_flight_mean),
        }
    }
}

impl Levels<Estimate> {
    /// Means over replications.
    pub(super) fn mean(
        all: impl Iterator<Item = Levels<Option<f64>>>,
        confidence: f64,
    ) -> Levels<Estimate> {
        let all: Vec<Levels<Option<f64>>> = all.collect();
        let mean = |of: fn(&Levels<Option<f64>>) -> Option<f64>| {
            let values: Vec<Option<f64>> = all.iter().map(of).collect();
            Estimate::fold(&values, Fold::Mean, confidence, &[])
        };
        Levels {
            latency_s: mean(|it| it.latency_s),
            failed_ratio: mean(|it| it.failed_ratio),
            in_flight: mean(|it| it.in_flight),
        }
    }
}

/// What several windows say together.
fn span(windows: &[Window]) -> Levels<Option<f64>> {
    let sum = |of: fn(&Window) -> f64| windows.iter().map(of).sum::<f64>();
    let ok = sum(|it| it.ok as f64);
    let failed = sum(|it| it.failed as f64);
    let seconds = sum(|it| it.end.since(it.start).seconds());
    let latency = sum(|it| it.latency_mean_s.unwrap_or(0.0) * it.ok as f64);
    let in_flight = sum(|it| it.in_flight * it.end.since(it.start).seconds());
    Levels {
        latency_s: (ok > 0.0).then(|| latency / ok),
        failed_ratio: (ok + failed > 0.0).then(|| failed / (ok + failed)),
        in_flight: (seconds > 0.0).then(|| in_flight / seconds),
    }
}

/// Every span of the measured time of a replication, by its beginning.
fn spans(outcome: &Outcome) -> impl Iterator<Item = (Time, Levels<Option<f64>>)> + '_ {
    let measured = outcome.windows.iter().position(|window| window.measured);
    let windows = &outcome.windows[measured.unwrap_or(outcome.windows.len())..];
    windows.windows(SPAN_WINDOWS).map(|windows| (windows[0].start, span(windows)))
}

/// What counts as usual: whatever the calm replications show, and a little more.
///
/// # Model
/// Each limit is the largest value of a span of [`SPAN_WINDOWS`] windows in any calm replication, and
/// [`TOLERANCE`] of it more: mean latency, share of failures (and one percentage point), requests in
/// flight. Calm and stressed replications share their random numbers, so that a deployment which has
/// recovered sees the bursts that its calm twin has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Band {
    /// The limits.
    pub limits: Levels<f64>,
}

impl Band {
    pub(super) fn of(calm: &[Outcome]) -> Band {
        let mut worst = Levels::<f64>::default();
        for (_, levels) in calm.iter().flat_map(spans) {
            worst.latency_s = worst.latency_s.max(levels.latency_s.unwrap_or(0.0));
            worst.failed_ratio = worst.failed_ratio.max(levels.failed_ratio.unwrap_or(0.0));
            worst.in_flight = worst.in_flight.max(levels.in_flight.unwrap_or(0.0));
        }
        let more = |value: f64| value * (1.0 + TOLERANCE);
        Band {
            limits: Levels {
                latency_s: more(worst.latency_s),
                failed_ratio: more(worst.failed_ratio) + TOLERANCE_POINTS,
                in_flight: more(worst.in_flight),
            },
        }
    }

    /// Whether a span is as usual. Where nothing ends, those in flight tell.
    fn holds(&self, levels: &Levels<Option<f64>>) -> bool {
        let within = |value: Option<f64>, limit: f64| value.is_none_or(|value| value <= limit);
        within(levels.latency_s, self.limits.latency_s)
            && within(levels.failed_ratio, self.limits.failed_ratio)
            && within(levels.in_flight, self.limits.in_flight)
    }
}

/// How one replication has taken it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovery {
    /// Its number.
    pub replication: u32,
    /// When the stress began, from the start of the run (s).
    pub begins_s: f64,
    /// When it ended, from the start of the run (s); [`None`] if it never did.
    pub ends_s: Option<f64>,
    /// From the end of the stress to the first instant from which on the deployment is back inside
    /// the band and stays there (s); zero if it never left; [`None`] if it does not come back while it
    /// is watched.
    pub time_to_recover_s: Option<f64>,
    /// The worst since the stress began.
    pub peak: Levels<Option<f64>>,
    /// Requests that failed.
    pub failed: u64,
    /// A limit ended the run.
    pub ended_early: bool,
}

impl Recovery {
    pub(super) fn of(
        band: &Band,
        outcome: &Outcome,
        (begin, end): (Duration, Option<Duration>),
    ) -> Recovery {
        let since = |at: Duration| {
            let at = Time::ZERO + at;
            outcome.windows.iter().filter(move |window| window.start >= at)
        };
        let greatest = |values: Vec<f64>| values.into_iter().max_by(f64::total_cmp);
        let begun = Time::ZERO + begin;
        let failed = spans(outcome).filter(|(start, _)| *start >= begun);
        Recovery {
            replication: outcome.replication,
            begins_s: begin.seconds(),
            ends_s: end.map(Duration::seconds),
            time_to_recover_s: end.and_then(|end| returns(band, outcome, end)),
            peak: Levels {
                latency_s: greatest(since(begin).filter_map(|it| it.latency_p95_s).collect()),
                failed_ratio: greatest(failed.filter_map(|(_, it)| it.failed_ratio).collect()),
                in_flight: greatest(since(begin).map(|it| it.in_flight).collect()),
            },
            failed: outcome.requests.failed_all(),
            ended_early: !is_whole(outcome),
        }
    }
}

/// How long after `end` a replication is back inside the band and stays there (s).
fn returns(band: &Band, outcome: &Outcome, end: Duration) -> Option<f64> {
    if !is_whole(outcome) {
        return None;
    }
    let end = Time::ZERO + end;
    let inside: Vec<(Time, bool)> = spans(outcome)
        .filter(|(start, _)| *start >= end)
        .map(|(start, levels)| (start, band.holds(&levels)))
        .collect();
    let all = inside.len();
    let mut left = inside.iter().filter(|(_, inside)| *inside).count();
    for (index, (start, is_inside)) in inside.iter().enumerate() {
        let rest = all - index;
        if (rest as f64) < LEFT * all as f64 {
            return None;
        }
        if *is_inside && left as f64 >= STAYS * rest as f64 && inside[all - 1].1 {
            return Some(start.since(end).seconds());
        }
        left -= usize::from(*is_inside);
    }
    None
}

/// The component at which most more wait under stress than without, with how many wait there in the
/// worst window; [`None`] where no queue grows.
pub(super) fn longest_queue(
    calm: &Twin,
    stressed: &Twin,
    begin: Duration,
) -> Option<(String, Estimate)> {
    let begun = Time::ZERO + begin;
    let peaks = |twin: &Twin, station: usize| -> Vec<Option<f64>> {
        let of = |outcome: &Outcome| {
            let windows = outcome.windows.iter().filter(|window| window.start >= begun);
            windows.map(|window| window.stations[station].waiting).max_by(f64::total_cmp)
        };
        twin.outcomes.iter().map(of).collect()
    };
    let mean = |values: &[Option<f64>]| {
        Estimate::fold(values, Fold::Mean, stressed.model.plan.confidence, &[])
    };
    let grown = |station: usize| {
        let value = |twin| mean(&peaks(twin, station)).estimate.unwrap_or(0.0);
        value(stressed) - value(calm)
    };
    let stations = stressed.model.stations.iter().enumerate();
    // Users and their devices have no queue that a deployment could shorten.
    let stations = stations.filter(|(_, station)| station.path.contains('.'));
    let (growth, station) = stations
        .map(|(number, _)| (grown(number), number))
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
    let path = stressed.model.stations.iter().nth(station)?.path.clone();
    (growth >= 1.0).then(|| (path, mean(&peaks(stressed, station))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_ends_is_told_by_those_in_flight() {
        let limits = Levels { latency_s: 1.0, failed_ratio: 0.1, in_flight: 10.0 };
        let band = Band { limits };
        let level = |in_flight| Levels { latency_s: None, failed_ratio: None, in_flight };
        assert!(band.holds(&level(Some(9.0))) && !band.holds(&level(Some(11.0))));
        let failing = Levels { failed_ratio: Some(0.2), ..level(Some(1.0)) };
        assert!(!band.holds(&failing));
    }
}
