//! Rows for what products do at their limits: limiters, bulkheads, functions, a cache's one thread,
//! patience, overflow, latches, contention; and what follows a wave.

use super::Row;
use crate::result::Unit;
use crate::run::Counter;
use crate::theory::{
    ContentionLaw, ErlangA, InfiniteServer, Mg1, Mmc, OverflowPool, erlang_b,
    first_passage_connections_s, fixed_window_loss_ratio,
};

/// A limiter that counts each key in windows of its own.
pub(super) const LIMITER: &[Row] = &[Row {
    figure: "turned away",
    formula: "(E N - E min(N, 24)) / (1 + E N)",
    source: "renewal theory; windows begin with a request",
    unit: Unit::Ratio,
    observe: |it| it.failed_ratio(),
    theory: |s| fixed_window_loss_ratio(25, 25.0 * s),
    teeth: 0.03,
}];

/// Places that nobody waits for.
pub(super) const BULKHEAD: &[Row] = &[Row {
    figure: "turned away",
    formula: "Erlang B, whatever the law",
    source: "Erlang 1917; Sevastyanov 1957",
    unit: Unit::Ratio,
    observe: |it| it.failed_ratio(),
    theory: |s| erlang_b(17, 15.0 * s),
    teeth: 0.03,
}];

/// Environments that take one request each.
pub(super) const FUNCTION: &[Row] = &[Row {
    figure: "throttled",
    formula: "Erlang B, whatever the law",
    source: "Erlang 1917; Sevastyanov 1957",
    unit: Unit::Ratio,
    observe: |it| it.failed_ratio(),
    theory: |s| erlang_b(20, 15.0 * s),
    teeth: 0.03,
}];

/// One thread that runs commands.
pub(super) const COMMANDS: &[Row] = &[Row {
    figure: "mean wait",
    formula: "lambda E[S^2] / (2 (1 - rho))",
    source: "Pollaczek 1930; Khinchine 1932",
    unit: Unit::Seconds,
    observe: |it| it.wait_mean_s("cache.redis"),
    theory: |s| {
        let redis = Mg1 { arrival_rate_per_s: 600.0, service_s: 1e-3 * s, service_scv: 0.0 };
        redis.wait_mean_s()
    },
    teeth: 0.05,
}];

/// Who leaves a queue that is as busy as can be.
pub(super) const IMPATIENT: &[Row] = &[Row {
    figure: "left",
    formula: "birth and death, theta L / lambda",
    source: "Palm 1943; Garnett, Mandelbaum and Reiman 2002",
    unit: Unit::Ratio,
    observe: |it| it.ratio("pool.pg", Counter::TimedOut, Counter::Arrivals),
    theory: |s| {
        let station = Mmc { servers: 20, arrival_rate_per_s: 1_000.0, service_s: 0.02 * s };
        ErlangA { station, patience_s: 10.0 }.abandonment_ratio()
    },
    teeth: 0.02,
}];

/// Connections that are opened and closed again.
pub(super) const OVERFLOW: &[Row] = &[opened(|s| churn(50.0, 0.1 * s, 5, 10), 0.06)];
/// The same of a larger pool.
pub(super) const LARGER_OVERFLOW: &[Row] = &[opened(|s| churn(300.0, 0.1 * s, 20, 30), 0.1)];

const fn opened(theory: fn(f64) -> f64, teeth: f64) -> Row {
    Row {
        figure: "opened",
        formula: "lambda P(none idle, some unlent)",
        source: "Grassmann, Taksar and Heyman 1985",
        unit: Unit::PerSecond,
        observe: |it| {
            let opened = it.at("pool.pg").counters[Counter::Opened as usize];
            opened as f64 / it.outcome.measured.seconds()
        },
        theory,
        teeth,
    }
}

fn churn(arrival_rate_per_s: f64, hold_s: f64, kept: u32, overflow: u32) -> f64 {
    OverflowPool { arrival_rate_per_s, hold_s, kept, overflow }.openings_per_s()
}

/// What has passed when a pool has been as full as its guard bears for the first time.
pub(super) const LATCH: &[Row] = &[Row {
    figure: "passed before it",
    formula: "lambda E[first passage to 17]",
    source: "Keilson 1965; Wald 1944",
    unit: Unit::Count,
    observe: |it| it.at("guard.connections").counters[Counter::Served as usize] as f64,
    theory: |s| {
        let pool = Mmc { servers: 20, arrival_rate_per_s: 500.0, service_s: 0.02 * s };
        500.0 * first_passage_connections_s(pool, 17)
    },
    teeth: 0.08,
}];

/// Eight statements at once on one core.
pub(super) const CONTENTION: &[Row] = &[Row {
    figure: "throughput",
    formula: "X(n) / n, X(n) of the law",
    source: "Gunther 2007",
    unit: Unit::PerSecond,
    observe: |it| it.throughput_per_s(),
    theory: |s| {
        let law = ContentionLaw { single_per_s: 100.0 / s, contention: 0.05, coherency: 0.002 };
        law.throughput_per_s(8.0) / 8.0
    },
    teeth: 0.03,
}];

/// The fullest second of a wave of eight.
pub(super) const WAVE: &[Row] = &[Row {
    figure: "in flight, top",
    formula: "lambda (S + a |H| sin(wt + arg H))",
    source: "Eick, Massey and Whitt 1993",
    unit: Unit::Count,
    observe: |it| {
        let measured = it.outcome.windows.iter().filter(|window| window.measured);
        let third = measured.enumerate().filter(|(at, _)| at % 8 == 2);
        let (sum, count) =
            third.fold((0.0, 0.0), |(sum, count), (_, it)| (sum + it.in_flight, count + 1.0));
        sum / count
    },
    theory: |s| 100.0 * InfiniteServer::exponential(s, 8.0).mean_between(0.8, 2.0, 1.0),
    teeth: 0.06,
}];
