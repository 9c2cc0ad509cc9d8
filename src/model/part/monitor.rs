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
    /// How long after its end a period is known.
    pub delay: Duration,
    /// When somebody is called.
    pub alarm: Option<Alarm>,
}

/// When somebody is called.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Alarm {
    /// The bound of the value.
    pub bound: f64,
    /// Whether it must not be fallen below, rather than exceeded.
    pub below: bool,
    /// How many periods must be beyond it.
    pub points: u32,
    /// Among how many.
    pub among: u32,
    /// What a period without a value counts as.
    pub missing: Missing,
}

impl Alarm {
    /// Whether a value is beyond the bound.
    pub fn is_beyond(&self, value: f64) -> bool {
        if self.below { value < self.bound } else { value > self.bound }
    }
}

/// What a period without a value counts as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// As nothing.
    Missing,
    /// As within the bound.
    NotBreaching,
    /// As beyond it.
    Breaching,
    /// As what was so before.
    Ignore,
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
    /// Look-ups that find something, as a share.
    Hits(StationId),
    /// Entries a second that are let go for lack of room.
    Evictions(StationId),
    /// How far the last replica is behind (s).
    Lag(DatabaseId),
    /// The bytes that a cache holds, as a share of what it may.
    MemoryOfCache(CacheId),
    /// Memory that the instances of a service take, as a share of theirs.
    MemoryOfService(ServiceId),
    /// What is taken of the memory of the fullest server of a database, as a share of it.
    MemoryOfDatabase(DatabaseId),
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

impl Shown {
    /// Whether steps of the timeline note it only where a monitor shows it.
    pub fn is_noted(&self) -> bool {
        matches!(
            self,
            Shown::Hits(_)
                | Shown::Evictions(_)
                | Shown::Lag(_)
                | Shown::MemoryOfCache(_)
                | Shown::MemoryOfService(_)
                | Shown::MemoryOfDatabase(_)
        )
    }
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
