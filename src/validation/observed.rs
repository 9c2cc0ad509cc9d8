//! What theory speaks of, read from one replication.

use crate::model::Model;
use crate::model::ids::StationId;
use crate::run::{Counter, Outcome, StationOutcome};
use crate::stats::Histogram;

/// One replication of a model.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// What was run.
    pub model: &'a Model,
    /// What came of it.
    pub outcome: &'a Outcome,
}

impl Observed<'_> {
    /// A component by its path.
    ///
    /// # Panics
    /// If there is none.
    pub fn at(&self, path: &str) -> &StationOutcome {
        &self.outcome.stations[self.id(path)]
    }
    /// The number of a component, by its path.
    ///
    /// # Panics
    /// If there is none.
    pub fn id(&self, path: &str) -> StationId {
        let found = self.model.stations.enumerate().find(|(_, station)| station.path == path);
        found.unwrap_or_else(|| panic!("there is no component {path}")).0
    }
    /// A counter of a component as a share of another one.
    pub fn ratio(&self, path: &str, part: Counter, whole: Counter) -> f64 {
        let counters = &self.at(path).counters;
        counters[part as usize] as f64 / counters[whole as usize] as f64
    }
    /// Mean latency of requests (s).
    pub fn latency_mean_s(&self) -> f64 {
        mean_s(&self.outcome.latency)
    }
    /// A quantile of the latency of requests (s).
    pub fn latency_quantile_s(&self, p: f64) -> f64 {
        self.outcome.latency.quantile(p).expect("requests have ended").seconds()
    }
    /// Mean latency of an operation, by name (s).
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn operation_mean_s(&self, name: &str) -> f64 {
        let found = self.model.operations.enumerate().find(|(_, it)| it.name == name);
        let (id, _) = found.unwrap_or_else(|| panic!("there is no operation {name}"));
        mean_s(&self.outcome.operations[id].latency)
    }
    /// Mean waiting time at a component (s).
    pub fn wait_mean_s(&self, path: &str) -> f64 {
        mean_s(&self.at(path).wait)
    }
    /// Share of those who had to wait at a component.
    pub fn waited(&self, path: &str) -> f64 {
        let (least, share) = self.at(path).wait.cumulative().next().expect("somebody came");
        if least == 0.0 { 1.0 - share } else { 1.0 }
    }
    /// Answers per second (1/s).
    pub fn throughput_per_s(&self) -> f64 {
        self.outcome.requests.ok as f64 / self.outcome.measured.seconds()
    }
    /// Failed requests as a share of those that ended.
    pub fn failed_ratio(&self) -> f64 {
        let failed = self.outcome.requests.failed_all() as f64;
        failed / (failed + self.outcome.requests.ok as f64)
    }
    /// Hits of a cache as a share of what was looked up.
    pub fn hit_ratio(&self, path: &str) -> f64 {
        let counters = &self.at(path).counters;
        let [hits, misses] =
            [Counter::Hits, Counter::Misses].map(|it| counters[it as usize] as f64);
        hits / (hits + misses)
    }
    /// Mean time between a write's commit and its replay on a replica (s).
    pub fn replica_lag_s(&self, path: &str) -> f64 {
        let counters = &self.at(path).counters;
        let [lag, replayed] =
            [Counter::LagMicros, Counter::Replayed].map(|it| counters[it as usize] as f64);
        // Each lag was rounded down to the microsecond.
        lag / replayed * 1e-6 + 0.5e-6
    }
}

fn mean_s(histogram: &Histogram) -> f64 {
    histogram.mean_s().expect("something was recorded")
}
