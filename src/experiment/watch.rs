//! Looks at a replication while it runs: the wall clock and how far it has come.

use std::time::Instant;

use crate::run::Watcher;
use crate::units::{Duration, Time};

/// Is told how far an experiment has come; from several threads.
pub trait Progress: Sync {
    /// So many replications are going to be run, on top of those known before.
    fn expect(&self, replications: usize);
    /// A replication has come further by this share of itself.
    fn advance(&self, share: f64);
    /// So many events have happened, in so much simulated time (s).
    fn happened(&self, _events: u64, _simulated_s: f64) {}
}

/// Nobody wants to know.
pub struct Silent;
impl Progress for Silent {
    fn expect(&self, _: usize) {}
    fn advance(&self, _: f64) {}
}

/// Stops a replication at its limit of wall time, and says how far it has come.
///
/// The clock decides only *whether* a run is cut short, which its outcome then says; never what a
/// run measures.
pub(super) struct Clocked<'a> {
    started: Instant,
    limit_s: f64,
    progress: &'a dyn Progress,
    reported: f64,
    events: u64,
}

impl Clocked<'_> {
    pub(super) fn new(limit: Duration, progress: &dyn Progress) -> Clocked<'_> {
        Clocked {
            started: Instant::now(),
            limit_s: limit.seconds(),
            progress,
            reported: 0.0,
            events: 0,
        }
    }
    /// The replication is over, however it ended.
    pub(super) fn finish(&mut self) {
        self.progress.advance(1.0 - self.reported);
        self.reported = 1.0;
    }
}

impl Watcher for Clocked<'_> {
    fn watch(&mut self, now: Time, horizon: Time, events: u64) -> bool {
        let share = now.seconds() / horizon.seconds();
        let simulated_s = (share - self.reported) * horizon.seconds();
        self.progress.happened(events - self.events, simulated_s);
        self.events = events;
        self.progress.advance(share - self.reported);
        self.reported = share;
        self.started.elapsed().as_secs_f64() < self.limit_s
    }
}
