//! Circuit breakers: calls fail fast while what is called seems to be down. One file for each product.
//!
//! A breaker belongs to one process: each of `k` processes must learn by its own failures, and sends
//! its own trial calls.

mod opossum;
mod resilience4j;

pub use opossum::{Opossum, OpossumConfig};
pub use resilience4j::{Resilience4j, Resilience4jConfig};

use crate::units::{Duration, Time};

/// Why a call is not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejected {
    /// The breaker is open, or its trial calls are under way.
    Open,
    /// As many calls as it allows are under way.
    Full,
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Well.
    Success,
    /// With an error, or by the timeout.
    Failure,
}

/// What a breaker does at present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Lets calls through.
    Closed,
    /// Fails them at once.
    Open,
    /// Lets a few through, to see.
    HalfOpen,
}

/// How a breaker is set up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum BreakerConfig {
    /// opossum, for Node.js.
    Opossum(OpossumConfig),
    /// resilience4j, for the JVM.
    Resilience4j(Resilience4jConfig),
}

/// The breaker of one process.
pub enum Breaker {
    /// opossum, for Node.js.
    Opossum(Opossum),
    /// resilience4j, for the JVM.
    Resilience4j(Resilience4j),
}

impl Breaker {
    /// A closed breaker of a process that was started at `now`.
    pub fn new(config: BreakerConfig, now: Time) -> Breaker {
        match config {
            BreakerConfig::Opossum(config) => Breaker::Opossum(Opossum::new(config, now)),
            BreakerConfig::Resilience4j(config) => Breaker::Resilience4j(Resilience4j::new(config)),
        }
    }

    /// Somebody wants to call. After `Ok` the end must be told, once.
    pub fn begin(&mut self, now: Time) -> Result<(), Rejected> {
        match self {
            Breaker::Opossum(breaker) => breaker.begin(now),
            Breaker::Resilience4j(breaker) => breaker.begin(now),
        }
    }

    /// A call has ended after so long, or has run into its timeout.
    pub fn end(&mut self, now: Time, ended: Ended, took: Duration) {
        match self {
            Breaker::Opossum(breaker) => breaker.end(now, ended),
            Breaker::Resilience4j(breaker) => breaker.end(now, ended, took),
        }
    }

    /// How often it has opened, where timers of its own may open it unseen.
    pub fn openings(&self) -> Option<u32> {
        match self {
            Breaker::Opossum(_) => None,
            Breaker::Resilience4j(breaker) => Some(breaker.openings()),
        }
    }

    /// What it does at `now`.
    pub fn state(&self, now: Time) -> State {
        match self {
            Breaker::Opossum(breaker) => breaker.state(now),
            Breaker::Resilience4j(breaker) => breaker.state(),
        }
    }
}
