//! What stands before a service: guards and limits.

use crate::component::{breaker, concurrency, guard, limiter, waiting_room};
use crate::model::ids::*;
use crate::units::Duration;

/// A guard.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// What it looks at.
    pub watch: Watch,
    /// It turns requests away from this value on.
    pub threshold: f64,
    /// Once it does, until the value is below this.
    pub release: f64,
    /// How long a value is kept.
    pub cache: Option<Duration>,
    /// What it does when it cannot look.
    pub on_error: guard::FailMode,
    /// Status of its refusal.
    pub status: u16,
    /// Retry-After of its refusal.
    pub retry_after: Option<Duration>,
    /// Chance that looking fails.
    pub errors: f64,
    /// Only requests that would create a session are refused.
    pub new_sessions_only: bool,
}

/// What a guard looks at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Watch {
    /// Open connections of this process's pool: connecting, idle and busy.
    PoolTotal(PoolId),
    /// Busy connections of this process's pool.
    PoolBusy(PoolId),
    /// Requests that wait for a connection of this process's pool.
    PoolWaiting(PoolId),
    /// Both: busy connections of this process's pool, and requests that wait for one.
    PoolDemand(PoolId),
    /// Live sessions.
    SessionsLive(SessionId),
    /// Requests in flight in this process.
    InFlight(ServiceId),
    /// How long the oldest ready callback of this process has waited (s).
    Lag(ServiceId),
}

/// A rate limiter.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// What has its own count.
    pub per: Per,
    /// How requests are counted.
    pub rule: limiter::Rule,
    /// The window.
    pub window: Duration,
    /// Requests admitted in a window.
    pub max: u32,
    /// One count per worker process, rather than one for all.
    pub per_process: bool,
    /// What is answered with an error has not been counted.
    pub skip_failed: bool,
    /// What is answered well has not been counted.
    pub skip_successful: bool,
    /// The Redis that keeps that one.
    pub cache: Option<CacheId>,
    /// Who keeps its counts, and what each takes of their memory (bytes); nothing where that is not counted.
    pub kept: Option<(limiter::Keeper, u64)>,
    /// Status of its refusal.
    pub status: u16,
    /// Retry-After of its refusal; [`None`]: what is left of the window.
    pub retry_after: Option<Duration>,
    /// Chance that its store fails.
    pub errors: f64,
    /// A failing store lets requests pass.
    pub fail_open: bool,
}

/// What a rate limiter counts by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Per {
    /// The client's address.
    Address,
    /// The user.
    User,
    /// Everybody together.
    All,
}

/// A bulkhead.
#[derive(Clone, Debug)]
pub struct Bulkhead {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// How many may be inside at once, per worker.
    pub limit: concurrency::LimitConfig,
    /// Where the others wait.
    pub room: Option<waiting_room::RoomConfig>,
    /// Those whose user has gone are turned away when their turn comes.
    pub drop_expired: bool,
    /// Status of its refusal.
    pub status: u16,
    /// Retry-After of its refusal.
    pub retry_after: Option<Duration>,
}

/// A circuit breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// Whose rules it follows.
    pub config: breaker::BreakerConfig,
    /// How long a call may take.
    pub timeout: Option<Duration>,
}
