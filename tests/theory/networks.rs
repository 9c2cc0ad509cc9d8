//! Balancers that look before they choose, and statements that fail.

use loadbearing::run::Counter;
use loadbearing::theory::supermarket_response;

use crate::{Runs, check};

/// The supermarket model: two random choices. Its closed form is for infinitely many loops; with n
/// the mean is larger in proportion to 1 / n, less than 0.5 % here.
#[test]
fn two_choices_are_the_supermarket_model() {
    for utilisation in [0.5, 0.95] {
        let rate = format!("arrivals.rate={}/s", utilisation * 100_000.0);
        let runs = Runs::over(8, "farm.toml", &[&rate]);
        check(&format!("supermarket at {utilisation}"), &runs.latency_mean_s(), 0.02, |s| {
            10e-3 * s * supermarket_response(utilisation * s, 2)
        });
    }
}

/// Whatever becomes of the request, each of its statements fails as often as the file says.
#[test]
fn statements_fail_as_often_as_said() {
    let runs = Runs::over(16, "retries.toml", &[]);
    let failed = runs.ratio("database.main", Counter::Errors, Counter::Arrivals);
    check("statements failed", &failed, 0.03, |s| 0.3 * s);
}
