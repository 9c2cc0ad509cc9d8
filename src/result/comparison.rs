//! The differences that a change makes, replication by replication on common random numbers.

use serde::Serialize;

use crate::stats::paired_difference;

use super::{Estimate, Summary, Unit};

/// What a design differs in from the first one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The metric's name.
    pub metric: String,
    /// Its unit.
    #[serde(skip)]
    pub unit: Unit,
    /// Its value minus the first one's.
    pub difference: Estimate,
    /// Pairs of replications.
    pub pairs: usize,
}

/// What is compared.
const COMPARED: [&str; 6] = [
    "latency_s.mean",
    "latency_s.p95",
    "latency_s.p99",
    "throughput_per_s",
    "failed_ratio",
    "cost_month",
];

/// Compares a design with the first one.
///
/// # Model
/// Both met the same users with the same work, replication by replication, so the differences of
/// pairs are taken, and Student's t of them. Only replications that both have, and in which both
/// measured the metric, make pairs.
pub fn compare(first: &Summary, other: &Summary) -> Vec<Difference> {
    COMPARED.iter().filter_map(|path| difference(first, other, path)).collect()
}

fn difference(first: &Summary, other: &Summary, path: &str) -> Option<Difference> {
    let (before, after) = (first.overall.measure(path)?, other.overall.measure(path)?);
    let mut pairs = (Vec::new(), Vec::new());
    for (replication, value) in first.replications.iter().zip(&before.values) {
        let twin = other.replications.iter().position(|number| number == replication);
        if let (Some(before), Some(Some(after))) = (value, twin.map(|index| after.values[index])) {
            pairs.0.push(*before);
            pairs.1.push(after);
        }
    }
    let count = pairs.0.len();
    let interval = paired_difference(&pairs.0, &pairs.1, first.confidence);
    let difference = match interval {
        Some(interval) => Estimate {
            estimate: Some(interval.estimate),
            low: Some(interval.low),
            high: Some(interval.high),
        },
        None => Estimate::exact(pairs.1.first()? - pairs.0.first()?),
    };
    Some(Difference {
        metric: before.metric.name(),
        unit: before.metric.unit,
        difference,
        pairs: count,
    })
}
