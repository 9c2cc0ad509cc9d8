//! Names of services, as users find them.

use crate::component::balancer::health::Checks;
use crate::units::Duration;

/// Names whose records follow health checks.
#[derive(Clone, Copy, Debug)]
pub struct FailoverDns {
    /// Health checkers of each service.
    pub checkers: u32,
    /// How often each asks, and what changes its mind.
    pub checks: Checks,
    /// A service is down when no more than this share of them find it well.
    pub quorum: f64,
    /// How long answers are kept.
    pub ttl: Duration,
    /// By which share of users longer, and for how long.
    pub stale: (f64, Duration),
}
