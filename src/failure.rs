//! The ways in which a request can fail, each told apart from the others.

/// How many ways there are.
pub const FAILURES: usize = 34;

/// Why a request, or one attempt at it, was not served.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Failure {
    /// A rate limiter answered 429.
    Limited,
    /// A guard shed it (503).
    Guarded,
    /// A session guard let no new session in (503).
    SessionGuarded,
    /// A guard or limiter broke and failed closed (500).
    GuardError,
    /// The wait for a pooled connection timed out.
    AcquireTimeout,
    /// The database refused the connection: too many already.
    TooManyConnections,
    /// A statement was cancelled by its timeout.
    StatementTimeout,
    /// A statement failed.
    QueryError,
    /// The accept backlog was full and `on_overflow` refuses: connection refused.
    Refused,
    /// No instance to send it to (503).
    NoInstance,
    /// The instance that had it went away (502 from a balancer).
    InstanceLost,
    /// A call to another service took too long (504).
    UpstreamTimeout,
    /// A called service answered with an error.
    UpstreamError,
    /// A session could not be read or written.
    SessionError,
    /// A background job that the request waited for failed.
    JobFailed,
    /// The flow answered with an error status of its own.
    Answered,
    /// The user waited no longer.
    GaveUp,
    /// The cache failed a command that the request needs.
    CacheError,
    /// There was no place in a bulkhead, or the wait for it was given up (503).
    Shed,
    /// A circuit breaker failed the call at once (503).
    BreakerOpen,
    /// A call through a circuit breaker took too long (504).
    BreakerTimeout,
    /// The database was down, or the connection to it was lost.
    DatabaseDown,
    /// A statement waited too long for a lock.
    LockTimeout,
    /// A statement stood in a deadlock, and was cancelled.
    Deadlock,
    /// A transaction was idle for too long: the server, or a pooler, ended it and its connection.
    IdleTransaction,
    /// A query on a replica was in the way of replay, and was cancelled.
    ReplayConflict,
    /// No packet got through, and the sender gave up.
    Unreachable,
    /// The sender's own process turned it away: too few of its requests are accepted.
    Throttled,
    /// The connection to the instance was closed while the request was on its way (502 from a balancer).
    Reset,
    /// An object store answered 503 Slow Down to all attempts, or a shard that its throughput is exceeded.
    SlowDown,
    /// The driver, or a pooler, waited no longer for a statement, which goes on at the server.
    QueryTimeout,
    /// A balancer turned it away: too many at its targets, or waiting for them, or it has waited too long
    /// for one that was full (503).
    Overflow,
    /// The body of the request took too long to arrive (408).
    RequestTimeout,
    /// The wait for a connection of an HTTP client timed out.
    PoolTimeout,
}

impl Failure {
    /// All of them, in their order.
    pub const ALL: [Failure; FAILURES] = [
        Failure::Limited,
        Failure::Guarded,
        Failure::SessionGuarded,
        Failure::GuardError,
        Failure::AcquireTimeout,
        Failure::TooManyConnections,
        Failure::StatementTimeout,
        Failure::QueryError,
        Failure::Refused,
        Failure::NoInstance,
        Failure::InstanceLost,
        Failure::UpstreamTimeout,
        Failure::UpstreamError,
        Failure::SessionError,
        Failure::JobFailed,
        Failure::Answered,
        Failure::GaveUp,
        Failure::CacheError,
        Failure::Shed,
        Failure::BreakerOpen,
        Failure::BreakerTimeout,
        Failure::DatabaseDown,
        Failure::LockTimeout,
        Failure::Deadlock,
        Failure::IdleTransaction,
        Failure::ReplayConflict,
        Failure::Unreachable,
        Failure::Throttled,
        Failure::Reset,
        Failure::SlowDown,
        Failure::QueryTimeout,
        Failure::Overflow,
        Failure::RequestTimeout,
        Failure::PoolTimeout,
    ];

    /// Its name in files and results.
    pub fn slug(self) -> &'static str {
        match self {
            Failure::Limited => "limited",
            Failure::Guarded => "guarded",
            Failure::SessionGuarded => "session_guarded",
            Failure::GuardError => "guard_error",
            Failure::AcquireTimeout => "acquire_timeout",
            Failure::TooManyConnections => "too_many_connections",
            Failure::StatementTimeout => "statement_timeout",
            Failure::QueryError => "query_error",
            Failure::Refused => "refused",
            Failure::NoInstance => "no_instance",
            Failure::InstanceLost => "instance_lost",
            Failure::UpstreamTimeout => "upstream_timeout",
            Failure::UpstreamError => "upstream_error",
            Failure::SessionError => "session_error",
            Failure::JobFailed => "job_failed",
            Failure::Answered => "answered_error",
            Failure::GaveUp => "gave_up",
            Failure::CacheError => "cache_error",
            Failure::Shed => "shed",
            Failure::BreakerOpen => "breaker_open",
            Failure::BreakerTimeout => "breaker_timeout",
            Failure::DatabaseDown => "database_down",
            Failure::LockTimeout => "lock_timeout",
            Failure::Deadlock => "deadlock",
            Failure::IdleTransaction => "idle_transaction",
            Failure::ReplayConflict => "replay_conflict",
            Failure::Unreachable => "unreachable",
            Failure::Throttled => "throttled",
            Failure::Reset => "reset",
            Failure::SlowDown => "slow_down",
            Failure::QueryTimeout => "query_timeout",
            Failure::Overflow => "overflow",
            Failure::RequestTimeout => "request_timeout",
            Failure::PoolTimeout => "pool_timeout",
        }
    }

    /// Whether whoever connected to the service got no answer at all; a balancer before it answers.
    pub fn is_silence(self) -> bool {
        use Failure::{InstanceLost, Refused, Reset, Unreachable};
        matches!(self, Refused | Reset | InstanceLost | Unreachable)
    }

    /// The HTTP status that a client sees by default; 0 where it sees none.
    pub fn status(self) -> u16 {
        match self {
            Failure::Limited => 429,
            Failure::RequestTimeout => 408,
            Failure::Guarded
            | Failure::SessionGuarded
            | Failure::NoInstance
            | Failure::Overflow
            | Failure::Shed
            | Failure::SlowDown
            | Failure::BreakerOpen => 503,
            Failure::AcquireTimeout
            | Failure::PoolTimeout
            | Failure::TooManyConnections
            | Failure::StatementTimeout
            | Failure::QueryTimeout
            | Failure::QueryError
            | Failure::GuardError
            | Failure::SessionError
            | Failure::JobFailed
            | Failure::CacheError
            | Failure::DatabaseDown
            | Failure::LockTimeout
            | Failure::Deadlock
            | Failure::IdleTransaction
            | Failure::ReplayConflict
            | Failure::Answered => 500,
            Failure::UpstreamError => 502,
            Failure::UpstreamTimeout | Failure::BreakerTimeout => 504,
            Failure::GaveUp | Failure::Throttled => 0,
            Failure::Refused | Failure::InstanceLost | Failure::Reset | Failure::Unreachable => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique() {
        for (index, failure) in Failure::ALL.iter().enumerate() {
            assert_eq!(*failure as usize, index);
        }
        let mut slugs: Vec<_> = Failure::ALL.iter().map(|failure| failure.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), FAILURES);
    }
}
