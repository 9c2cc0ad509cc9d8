//! Rows for what products do at their limits: limiters, bulkheads, functions, a cache's one thread.

use super::Row;
use crate::result::Unit;
use crate::theory::{Mg1, erlang_b, fixed_window_loss_ratio};

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
