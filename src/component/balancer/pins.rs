//! Users who stay where a balancer has sent them.

use super::{Balancer, Targets};
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

/// Connections that are passed through.
impl Balancer {
    /// Where the connection of somebody ends, if they have one that is open as far as the rule says.
    pub fn kept(&self, key: u64, now: Time) -> Option<u32> {
        let pins = self.pins.as_ref()?;
        let pin = pins.all.get(usize::try_from(key).ok()?)?;
        (pin.target != UNPINNED && !pins.rule.is_over(*pin, now)).then_some(pin.target)
    }

    /// Somebody sends something over their connection.
    pub fn uses(&mut self, key: u64, now: Time) {
        if let Some(pins) = &mut self.pins {
            pins.all[key as usize].used = now;
        }
    }

    /// A new connection, which is kept for somebody or not: where it ends. [`None`] if nobody is there.
    pub fn connects(
        &mut self,
        targets: &mut Targets,
        (key, kept): (u64, bool),
        now: Time,
        mut draw: impl FnMut() -> u64,
    ) -> Option<u32> {
        if targets.available() == 0 {
            return None;
        }
        let target = self.chooser.choose_slowly(targets, key, now, &mut draw);
        let Some(pins) = self.pins.as_mut().filter(|_| kept) else { return Some(target) };
        let user = usize::try_from(key).expect("users are small numbers");
        if user >= pins.all.len() {
            pins.all.resize(user + 1, Pin::NONE);
        }
        if matches!(pins.rule, Stay::Connection { .. }) {
            if pins.all[user].target != UNPINNED {
                targets.connect(pins.all[user].target, -1);
            }
            targets.connect(target, 1);
        }
        let closes = pins.rule.closes_at(now, &mut draw);
        pins.all[user] = Pin { target, made: now, used: now, closes };
        Some(target)
    }
}
