//! What one replication has measured.

use crate::failure::Failure;
use crate::kernel::Dense;
use crate::model::ids::{DatabaseId, DeployId, FaultId, OperationId, ServiceId, StationId};
use crate::stats::Histogram;
use crate::units::{Duration, Time};

use super::by_instance::ByInstance;
use super::dns::NameMark;
use super::meter::{COUNTERS, Class, FailureCounts};
use super::observe::OperationTally;

/// What one replication has measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which one.
    pub replication: u32,
    /// How it ended.
    pub ended: Ended,
    /// The measured time.
    pub measured: Duration,
    /// Events, the warm-up included.
    pub events: u64,
    /// Requests, as users see them.
    pub requests: Requests,
    /// Attempts at them.
    pub attempts: Attempts,
    /// From the intended start to the answer, retries included, of requests that ended well.
    pub latency: Histogram,
    /// The same, of requests that failed.
    pub failed_latency: Histogram,
    /// From the sending of an attempt to its answer, well or badly.
    pub attempt_latency: Histogram,
    /// By operation.
    pub operations: Dense<OperationId, OperationTally>,
    /// By component.
    pub stations: Dense<StationId, StationOutcome>,
    /// By service: time-average of running instances.
    pub instances: Dense<ServiceId, f64>,
    /// By service behind an Application Load Balancer that is charged by them: capacity units x hours.
    pub capacity_units: Vec<(ServiceId, f64)>,
    /// Over time, the warm-up included.
    pub windows: Vec<Window>,
    /// What went wrong by the scenario, in the order of its beginning.
    pub faults: Vec<FaultMark>,
    /// Deploys that have begun, in the order of the model.
    pub deploys: Vec<DeployMark>,
    /// When DNS took services for down.
    pub failovers: Vec<NameMark>,
    /// Database servers that ran out of memory, by database, in the order of their crashes.
    pub crashes: Vec<CrashMark>,
    /// Latency as instances measured it, for monitors that average over them.
    pub by_instance: Vec<ByInstance>,
    /// Where requests' time goes, by class of latency, fastest first.
    pub classes: Vec<Class>,
    /// Everything that must add up, and whether it does.
    pub audit: Audit,
    /// An order-independent digest of every request: when, how long, how it ended.
    pub digest: u64,
    /// What became of every request that has ended, the warm-up included, in the order of their
    /// ends; empty unless [`crate::model::Plan::keep_fates`] asks for it.
    pub fates: Vec<Fate>,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fate {
    /// Its number: of a recorded request its place in the recording.
    pub number: u32,
    /// When it was wanted.
    pub intended: Time,
    /// From then to what the user saw, retries included.
    pub latency: Duration,
    /// What was asked for.
    pub operation: OperationId,
    /// The failure that it ended with; [`None`] if it ended well.
    pub failure: Option<Failure>,
    /// The status code of its last answer: 200 if all was well, 0 if there was none.
    pub status: u16,
    /// Attempts.
    pub attempts: u16,
    /// A cache did not have what its last attempt looked up.
    pub missed: bool,
    /// Its last attempt has waited for somebody else's load.
    pub joined: bool,
}

/// How a replication ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// At its time.
    Completed,
    /// At its limit of events.
    EventLimit,
    /// At its limit of memory for requests in flight.
    MemoryLimit,
    /// It was told to stop: wall time, or the user.
    Interrupted,
}

/// Requests, as users see them, in the measured time.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// Begun.
    pub offered: u64,
    /// Ended well.
    pub ok: u64,
    /// Failed, by kind.
    pub failed: FailureCounts,
    /// In flight at the beginning.
    pub in_flight_start: u64,
    /// In flight at the end.
    pub in_flight_end: u64,
    /// In flight on average.
    pub in_flight_mean: f64,
}

impl Requests {
    /// Failed, whatever the kind.
    pub fn failed_all(&self) -> u64 {
        self.failed.iter().sum()
    }
}

/// Attempts in the measured time.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    /// Sent.
    pub sent: u64,
    /// Failed, by kind.
    pub failed: FailureCounts,
    /// Answers that nobody waited for any more.
    pub late: u64,
    /// Arrivals that found no virtual user free.
    pub dropped: u64,
    /// Requests whose virtual user was stopped before they were over.
    pub interrupted: u64,
    /// Connections that users had to set up.
    pub connections: u64,
    /// That went to a stand-in, as DNS took their service for down.
    pub elsewhere: u64,
}

/// What was measured at a component.
#[derive(Clone, Debug)]
pub struct StationOutcome {
    /// Busy servers on average.
    pub busy_mean: f64,
    /// Busy servers at most.
    pub busy_peak: f64,
    /// Servers on average (an autoscaled service's change).
    pub capacity: f64,
    /// Requests waiting on average.
    pub waiting_mean: f64,
    /// Requests waiting at most.
    pub waiting_peak: u64,
    /// Connections, sessions, bytes, instances or worker processes on average.
    pub held_mean: f64,
    /// Connections, sessions, bytes, instances or worker processes at most.
    pub held_peak: u64,
    /// The age of the oldest that waits, on average and at most (s; job queues only).
    pub oldest_s: Option<(f64, f64)>,
    /// Jobs that are due later, on average and at most (job queues only).
    pub delayed: Option<(f64, u64)>,
    /// Waiting times, zeros included.
    pub wait: Histogram,
    /// Share of the time with at least 75, 85, 95 and 100 % of the servers busy.
    pub time_above: [f64; 4],
    /// Everything that was counted, by number.
    pub counters: [u64; COUNTERS],
    /// The busiest worker's share of time computing, and the mean over workers (services only).
    pub worker_busiest: Option<(f64, f64)>,
    /// What is taken of its servers' memory, page cache aside, on average and at most of any of them
    /// (databases that say their memory only).
    pub memory: Option<(f64, f64)>,
    /// How much more its busiest node, shard, partition or member works than the mean (components with
    /// several only).
    pub imbalance: Option<f64>,
}

impl StationOutcome {
    /// Busy servers as a share of servers.
    pub fn utilisation(&self) -> f64 {
        if self.capacity > 0.0 { self.busy_mean / self.capacity } else { 0.0 }
    }
    /// Utilisation of its busiest part: its limit is reached when that is full.
    pub fn busiest(&self) -> f64 {
        self.utilisation() * self.imbalance.unwrap_or(1.0)
    }
}

/// A step of the timeline.
#[derive(Clone, Debug)]
pub struct Window {
    /// From.
    pub start: Time,
    /// To.
    pub end: Time,
    /// After the warm-up.
    pub measured: bool,
    /// Requests begun.
    pub offered: u64,
    /// Requests that ended well.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Of these, those that were answered with a 5xx status.
    pub server_errors: u64,
    /// Their mean latency (s).
    pub latency_mean_s: Option<f64>,
    /// Its 95th percentile (s).
    pub latency_p95_s: Option<f64>,
    /// Its 99th percentile (s).
    pub latency_p99_s: Option<f64>,
    /// Requests in flight on average.
    pub in_flight: f64,
    /// By component, by number.
    pub stations: Vec<StationWindow>,
    /// By monitor: what is noted for it, as a part of a whole; nothing of it is known where the whole is 0.
    /// Empty where no monitor asks.
    pub noted: Vec<(f64, f64)>,
}

/// A fault that has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultMark {
    /// Which.
    pub fault: FaultId,
    /// Which of its independent processes, among those of all faults.
    pub process: u32,
    /// Since when.
    pub from: Time,
    /// Until when; [`None`] if it lasted to the end of the run.
    pub until: Option<Time>,
    /// How many units it struck.
    pub units: u32,
}

/// A database server that ran out of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CrashMark {
    /// Of which database.
    pub database: DatabaseId,
    /// Since when.
    pub from: Time,
    /// Until when it was away.
    pub until: Time,
}

/// A deploy that has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeployMark {
    /// Which.
    pub deploy: DeployId,
    /// Since when.
    pub from: Time,
    /// Until when users were on the old version too; [`None`] if it was not over by the end.
    pub until: Option<Time>,
    /// Since when it was rolled back.
    pub undone: Option<Time>,
    /// How many instances it started.
    pub units: u32,
    /// How many of them failed to start.
    pub failed: u32,
}

/// A component in a step of the timeline.
#[derive(Clone, Copy, Debug)]
pub struct StationWindow {
    /// Busy servers on average.
    pub busy: f64,
    /// Requests waiting on average.
    pub waiting: f64,
    /// Connections, sessions, bytes, instances or worker processes on average.
    pub held: f64,
    /// The age of the oldest that waits on average (s); zero for what is no job queue.
    pub oldest_s: f64,
    /// Jobs that are due later on average.
    pub delayed: f64,
}

/// Everything that must add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Checks made.
    pub checks: u32,
    /// What is broken, in words; empty when all is well.
    pub broken: Vec<String>,
}
