//! What a deployment costs a month at the load that was measured.

use serde::Serialize;

use crate::model::{Cost, Model, StationKind};
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
        dollars_month: outcomes.iter().map(|outcome| month_of(model, cost, outcome)).sum::<f64>()
            / count,
        source: cost.source.clone(),
    };
    model.costs.iter().map(line).collect()
}

/// Dollars a month in one replication.
pub fn cost_month(model: &Model, outcome: &Outcome) -> f64 {
    // Not `sum`: that of nothing is -0.
    model.costs.iter().fold(0.0, |sum, cost| sum + month_of(model, cost, outcome))
}

/// Standing costs by running units, usage costs by what passed, scaled to a month whose mean load is so
/// much of the measured one.
fn month_of(model: &Model, cost: &Cost, outcome: &Outcome) -> f64 {
    let standing = standing_of(model, cost, outcome);
    let seconds = outcome.measured.seconds();
    if seconds == 0.0 {
        return standing;
    }
    let count = |counter: Counter| match cost.station {
        Some(station) => outcome.stations[station].counters[counter as usize] as f64,
        None => match counter {
            Counter::Arrivals => outcome.requests.offered as f64,
            counter => {
                let at = model.services.iter().map(|service| service.station);
                at.map(|it| outcome.stations[it].counters[counter as usize] as f64).sum()
            }
        },
    };
    let months = MONTH_S / seconds * model.plan.mean_load;
    let surplus_s = match cost.station {
        Some(_) => (count(Counter::SurplusMillis) - count(Counter::RepaidMillis)).max(0.0) / 1e3,
        None => 0.0,
    };
    let gigabytes = count(Counter::Bytes) / 1e9;
    let charged = |(service, hours): &(_, f64)| (cost.balanced == Some(*service)).then_some(*hours);
    let units_hours = outcome.capacity_units.iter().find_map(charged).unwrap_or(0.0);
    let billed_s = match cost.per_billed_second > 0.0 {
        true => count(Counter::BilledMillis) / 1e3,
        false => 0.0,
    };
    let held_minutes = match cost.station.filter(|_| cost.per_million_minutes > 0.0) {
        Some(station) => outcome.stations[station].held_mean * seconds / 60.0,
        None => 0.0,
    };
    // AWS charges for requests that a function has run, not for those that it has throttled.
    let function = cost.station.filter(|it| model.stations[*it].kind == StationKind::Executions);
    let throttled = function.map_or(0.0, |_| count(Counter::Rejected));
    let came = count(Counter::Arrivals) - throttled;
    standing
        + cost.per_billed_second * billed_s * months
        + cost.per_surplus_hour * (surplus_s / 3_600.0) * months
        + cost.per_gigabyte * gigabytes * months * cost.share
        + cost.per_million * (came / 1e6) * months * cost.share
        + cost.per_million_reads * (count(Counter::Reads) / 1e6) * months
        + cost.per_million_writes * (count(Counter::Writes) / 1e6) * months
        + cost.per_gigabyte_left * (count(Counter::Left) / 1e9) * months
        + cost.per_gigabyte_stored * (count(Counter::Stored) / 1e9) * months
        + cost.per_million_served * (count(Counter::Served) / 1e6) * months
        + cost.per_million_minutes * held_minutes / 1e6 * months
        + cost.per_lcu_hour * units_hours * months
}

/// What runs, whatever passes. What is committed to is paid for whether or not it runs.
fn standing_of(model: &Model, cost: &Cost, outcome: &Outcome) -> f64 {
    let (committed, reserved) = cost.committed;
    let (mean, station) = match (cost.service, cost.workers) {
        (Some(service), _) => (outcome.instances[service], model.services[service].station),
        (None, Some(station)) => (outcome.stations[station].held_mean, station),
        _ => return committed * reserved + cost.monthly * (cost.units - committed).max(0.0),
    };
    if committed == 0.0 {
        return cost.monthly * mean;
    }
    let station = station.0 as usize;
    let measured = outcome.windows.iter().filter(|window| window.measured);
    let (mut beyond, mut length) = (0.0, 0.0);
    for window in measured {
        let seconds = window.end.since(window.start).seconds();
        beyond += (window.stations[station].held - committed).max(0.0) * seconds;
        length += seconds;
    }
    committed * reserved + cost.monthly * if length > 0.0 { beyond / length } else { 0.0 }
}
