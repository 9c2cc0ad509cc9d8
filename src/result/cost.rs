//! What a deployment costs a month at the load that was measured.

use serde::Serialize;

use crate::model::{Cost, Model};
use crate::run::{Counter, Outcome};
use crate::units::HOURS_PER_MONTH;

/// Seconds in the month that prices are stated for (s).
pub const MONTH_S: f64 = HOURS_PER_MONTH * 3_600.0;

/// A line of the bill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostLine {
    /// The component's path, or the name of a further cost.
    pub of: String,
    /// Dollars a month, the mean over replications.
    pub dollars_month: f64,
    /// Where the price is stated.
    pub source: Option<String>,
}

/// The bill, line by line, in the order of the model.
pub fn bill(model: &Model, outcomes: &[Outcome]) -> Vec<CostLine> {
    let count = outcomes.len().max(1) as f64;
    let line = |cost: &Cost| CostLine {
        of: cost.path.clone(),
        dollars_month: outcomes.iter().map(|outcome| month_of(cost, outcome)).sum::<f64>() / count,
        source: cost.source.clone(),
    };
    model.costs.iter().map(line).collect()
}

/// Dollars a month in one replication.
pub fn cost_month(model: &Model, outcome: &Outcome) -> f64 {
    // Not `sum`: that of nothing is -0.
    model.costs.iter().fold(0.0, |sum, cost| sum + month_of(cost, outcome))
}

/// Standing costs by running units, usage costs by what passed, scaled to a month.
fn month_of(cost: &Cost, outcome: &Outcome) -> f64 {
    let units = cost.service.map_or(cost.units, |service| outcome.instances[service]);
    let standing = cost.monthly * units;
    let seconds = outcome.measured.seconds();
    if seconds == 0.0 {
        return standing;
    }
    let (bytes, requests) = match cost.station {
        Some(station) => {
            let counters = &outcome.stations[station].counters;
            (counters[Counter::Bytes as usize], counters[Counter::Arrivals as usize])
        }
        None => (0, outcome.requests.offered),
    };
    let months = MONTH_S / seconds;
    let surplus_s = cost.station.map_or(0.0, |station| {
        let counters = &outcome.stations[station].counters;
        let taken = counters[Counter::SurplusMillis as usize];
        taken.saturating_sub(counters[Counter::RepaidMillis as usize]) as f64 / 1e3
    });
    standing
        + cost.per_surplus_hour * (surplus_s / 3_600.0) * months
        + cost.per_gigabyte * (bytes as f64 / 1e9) * months
        + cost.per_million * (requests as f64 / 1e6) * months
}
