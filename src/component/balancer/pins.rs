//! Users who stay where a balancer has sent them.

use crate::units::{Duration, Time};

/// In the table of pinned targets: none yet.
pub(super) const UNPINNED: u32 = u32::MAX;

/// Whom a balancer has sent where, for those who stay.
pub(super) struct Pins {
    /// By user.
    pub all: Vec<Pin>,
    /// For how long they stay.
    pub rule: Stay,
}

/// Where a user stays.
#[derive(Clone, Copy)]
pub(super) struct Pin {
    pub target: u32,
    /// When the user was sent there first.
    pub made: Time,
    /// When last.
    pub used: Time,
    /// When its server closes its connection.
    pub closes: Time,
}

impl Pin {
    pub const NONE: Pin =
        Pin { target: UNPINNED, made: Time::ZERO, used: Time::ZERO, closes: Time::NEVER };
}

/// For how long a user stays with a target.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stay {
    /// As long as the cookie that says so is valid: every answer renews it (ALB; nginx, which puts it into
    /// every answer, `ngx_http_upstream_sticky_cookie_insert`; HAProxy's maxidle), unless it is older
    /// than any may become (maxlife).
    Cookie {
        /// How long after the last request.
        idle: Option<Duration>,
        /// How long after the first.
        life: Option<Duration>,
    },
    /// As long as the connection is open, which closes when idle for so long.
    Connection {
        /// So long.
        idle: Duration,
        /// Its server closes it after so long, give or take a tenth.
        life: Option<Duration>,
    },
}

impl Stay {
    /// When the server closes a connection that is made now; `draw` spreads it.
    pub(super) fn closes_at(self, now: Time, draw: impl FnOnce() -> u64) -> Time {
        match self {
            Stay::Connection { life: Some(life), .. } => {
                // A tenth less to a tenth more.
                let unit = draw() as f64 / u64::MAX as f64;
                now + life.scale(0.9 + 0.2 * unit)
            }
            _ => Time::NEVER,
        }
    }

    pub(super) fn is_over(self, pin: Pin, now: Time) -> bool {
        let exceeds =
            |most: Option<Duration>, since: Time| most.is_some_and(|it| now.since(since) > it);
        match self {
            Stay::Cookie { idle, life } => exceeds(idle, pin.used) || exceeds(life, pin.made),
            Stay::Connection { idle, .. } => exceeds(Some(idle), pin.used) || now >= pin.closes,
        }
    }
}
