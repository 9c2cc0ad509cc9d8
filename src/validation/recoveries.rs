//! Rows for what fails and comes back: retries, breakers, locks, backlogs.

use super::Row;
use crate::result::Unit;
use crate::run::Counter;
use crate::theory::{Mg1, reopening_ratio, retry_amplification};

/// Attempts until one succeeds.
pub(super) const RETRIES: &[Row] = &[
    Row {
        figure: "attempts each",
        formula: "1 + p + p^2 + p^3",
        source: "geometric law",
        unit: Unit::Count,
        observe: |it| it.outcome.attempts.sent as f64 / it.outcome.requests.offered as f64,
        theory: |s| retry_amplification(0.3 * s, 3),
        teeth: 0.03,
    },
    Row {
        figure: "failed for good",
        formula: "p^4",
        source: "geometric law",
        unit: Unit::Ratio,
        observe: |it| it.failed_ratio(),
        theory: |s| libm::pow(0.3 * s, 4.0),
        teeth: 0.05,
    },
];

/// A breaker that opens at the first failure, and lets one call through after half a second.
pub(super) const TRIAL: &[Row] =
    &[not_closed("W / (1 - p), then 1 / (lambda p)", |s| share_not_closed(0.4 * s, 1))];

/// The same with ten calls, which are judged together.
pub(super) const TRIALS: &[Row] =
    &[not_closed("W / (1 - q), q the binomial tail", |s| share_not_closed(0.4 * s, 10))];

const fn not_closed(formula: &'static str, theory: fn(f64) -> f64) -> Row {
    Row {
        figure: "not closed",
        formula,
        source: "geometric and binomial laws",
        unit: Unit::Ratio,
        observe: |it| it.at("breaker.b").held_mean,
        theory,
        teeth: 0.05,
    }
}

/// Of 20 calls a second so many fail. It is closed until the first of them; then it waits for half a
/// second and for its trials, the first of which is the call that finds it ready, as often as these fail.
fn share_not_closed(failure: f64, trials: u32) -> f64 {
    let between_s = 1.0 / 20.0;
    let closed_s = between_s / failure;
    let round_s = 0.5 + f64::from(trials) * between_s;
    let open_s = round_s / (1.0 - reopening_ratio(trials, 0.5, failure));
    open_s / (open_s + closed_s)
}

/// Jobs that compute for longer than they are locked, and are given to another process.
pub(super) const TWICE: &[Row] = &[Row {
    figure: "done twice",
    formula: "P(S > lock)",
    source: "exponential law",
    unit: Unit::Ratio,
    observe: |it| {
        let counters = &it.at("queue.work").counters;
        let [stalled, queued] =
            [Counter::Stalled, Counter::Arrivals].map(|it| counters[it as usize] as f64);
        // Who stalls is put on the queue once more.
        stalled / (queued - stalled)
    },
    theory: |s| libm::exp(-0.3 / (0.1 * s)),
    teeth: 0.05,
}];

/// The time until a backlog is gone.
pub(super) const DRAIN: &[Row] = &[Row {
    figure: "caught up after",
    formula: "backlog / (mu - lambda)",
    source: "Takacs 1962",
    unit: Unit::Seconds,
    observe: |it| {
        let station = it.id("consumer.group").0 as usize;
        let mut windows = it.outcome.windows.iter();
        // The first window in which it has had nothing to do for a moment.
        let found = windows.find(|window| window.stations[station].busy < 1.0 - 1e-9);
        found.map_or(f64::NAN, |window| 0.5 * (window.start.seconds() + window.end.seconds()))
    },
    theory: |s| {
        let group = Mg1 { arrival_rate_per_s: 50.0, service_s: 10e-3 * s, service_scv: 0.0 };
        group.drain_mean_s(300.0)
    },
    teeth: 0.03,
}];
