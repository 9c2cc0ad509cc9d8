//! Monitors.

use crate::model::ids::*;
use crate::units::Duration;

/// A metric as a product shows it.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// Its name.
    pub name: String,
    /// What it shows of what.
    pub shows: Shown,
    /// The period of one value.
    pub every: Duration,
    /// What becomes of a period.
    pub reads: Reading,
    /// Upper bounds of the buckets of a histogram (s).
    pub buckets: Vec<f64>,
    /// The value that calls somebody when it is passed in so many periods in a row.
    pub alarm: Option<(f64, u32)>,
}

/// What a monitor shows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shown {
    /// Busy servers of a component as a share.
    Busy(StationId),
    /// What it has open as a share of so many.
    Open(StationId, f64),
    /// Requests that wait there.
    Waiting(StationId),
    /// What it holds.
    Held(StationId),
    /// Jobs of a queue that are due later.
    Delayed(StationId),
    /// The age of the oldest that waits (s).
    Oldest(StationId),
    /// The bytes that a cache holds.
    Memory(StationId),
    /// What a link of so many bit/s carries.
    Bandwidth(StationId, f64),
    /// Requests of users under way.
    InFlight,
    /// Answers with a 5xx status as a share.
    Errors,
    /// The share of periods in which no more than a share of requests failed, and what was promised.
    Uptime(f64, f64),
    /// Answers a second by `rate()` over a range, of samples that far apart.
    Rate(Duration, Duration),
    /// The mean of the p95 of the timeline's steps.
    MeanOfWindows,
    /// The mean of a quantile of each instance's own requests.
    MeanOfInstances(ServiceId, f64),
    /// A quantile by Prometheus' interpolation.
    Histogram(f64),
    /// A quantile of attempts, from their sending.
    FromSending(f64),
}

/// What becomes of a period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// Its mean.
    Average,
    /// The value at its end.
    Sample,
    /// Its greatest value.
    Greatest,
}
