//! How it went over time, all replications together: what figures and tables are made of.

use crate::model::Model;
use crate::run::{Outcome, Window};
use crate::units::Time;

/// The course of calm and stressed replications, window by window.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// One for each window of the timeline, the warm-up included.
    pub steps: Vec<Step>,
}

/// A window of the timeline.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its beginning, from the start of the measured time (s); negative during the warm-up.
    pub start_s: f64,
    /// Its end (s).
    pub end_s: f64,
    /// What the calm replications show.
    pub calm: Shown,
    /// What those under stress show.
    pub stressed: Shown,
}

/// What replications show in one window: means over them, and how far they differ.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Requests begun a second.
    pub offered_per_s: Spread,
    /// Requests that ended well, a second.
    pub served_per_s: Spread,
    /// Share of the requests that ended which failed.
    pub failed_ratio: Spread,
    /// 95th percentile of the latency of those that ended well (s).
    pub latency_p95_s: Spread,
    /// Requests in flight.
    pub in_flight: Spread,
}

/// One quantity in one window, over replications: nothing where it was measured in none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// A tenth of the replications are below.
    pub low: Option<f64>,
    /// Half of them are.
    pub middle: Option<f64>,
    /// Nine tenths of them are.
    pub high: Option<f64>,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = values.len().checked_sub(1)?;
            values.get(libm::round(share * last as f64) as usize).copied()
        };
        Spread { low: at(0.1), middle: at(0.5), high: at(0.9) }
    }
}

impl Shown {
    fn of(windows: &[&Window]) -> Shown {
        let spread = |of: fn(&Window) -> Option<f64>| {
            Spread::of(windows.iter().filter_map(|window| of(window)).collect())
        };
        Shown {
            offered_per_s: spread(|it| Some(it.offered as f64 / seconds(it))),
            served_per_s: spread(|it| Some(it.ok as f64 / seconds(it))),
            failed_ratio: spread(|it| {
                let ended = it.ok + it.failed;
                (ended > 0).then(|| it.failed as f64 / ended as f64)
            }),
            latency_p95_s: spread(|it| it.latency_p95_s),
            in_flight: spread(|it| Some(it.in_flight)),
        }
    }
}

fn seconds(window: &Window) -> f64 {
    window.end.since(window.start).seconds()
}

impl Course {
    pub(super) fn of(calm: &[Outcome], stressed: &[Outcome], model: &Model) -> Course {
        let longest = calm.iter().chain(stressed).map(|it| it.windows.len()).max().unwrap_or(0);
        let warmup = model.plan.warmup.seconds();
        let since = |time: Time| time.since(Time::ZERO).seconds() - warmup;
        let step = |number: usize| {
            let at = |outcomes: &[Outcome]| {
                let windows = outcomes.iter().filter_map(|it| it.windows.get(number));
                Shown::of(&windows.collect::<Vec<_>>())
            };
            let any = calm.iter().chain(stressed).find_map(|it| it.windows.get(number))?;
            Some(Step {
                start_s: since(any.start),
                end_s: since(any.end),
                calm: at(calm),
                stressed: at(stressed),
            })
        };
        Course { steps: (0..longest).filter_map(step).collect() }
    }
}
