//! A pooler between application and server: clients share its connections to the server.
//!
//! PgBouncer's own rules (git 13a344f, `src/objects.c`, `src/janitor.c`) for one user and database:
//!
//! - Clients wait first come, first served; a server connection that comes back goes to the first of
//!   them, else on top of a stack, and the one on top is lent next (`server_round_robin` 0).
//! - **One connection is opened at a time** (`launch_new_connection`), and only when somebody waits, so
//!   that a cold pool of n is full after n openings.
//! - After a failed opening none is begun for `login_retry`, and while no connection is left, who asks
//!   is turned away at once (`check_fast_fail`).
//! - Beyond `size` there is a reserve, for when the first of the line has waited for `reserve_after`.
//! - Waits that take too long and connections idle or old for too long are looked for three times a
//!   second (`full_maint_period`); at the end of its patience the pooler *disconnects* the client.
//! - Old connections are closed as they come back, one per `lifetime / size` (`life_over`).
//! - A connection that has lain idle for `check_after` is set aside at one of these looks, and tried out for
//!   the next client that finds no other (`launch_recheck`); with 0 each is.
//! - At `max_db_connections` the pools of a process close for one another what has been idle for
//!   longest (`evict_connection`), but only for somebody who waits; the owner counts.
//!
//! Who waits is known by the number of its task. Nothing is opened or closed here: the answers say what
//! the owner must start.

use std::collections::VecDeque;

use crate::units::{Duration, Time};

/// How often it looks for what has taken too long.
const MAINTENANCE: u64 = Duration::secs(1).0 / 3;

/// Its options.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PoolerConfig {
    /// Server connections.
    pub size: u32,
    /// Server connections that stay open when idle, and are opened as soon as there are clients.
    pub min: u32,
    /// Further ones, for when somebody has waited for long.
    pub reserve: u32,
    /// For so long.
    pub reserve_after: Duration,
    /// Openings at a time.
    pub openings: u32,
    /// How long a client waits; for ever without one.
    pub wait_timeout: Option<Duration>,
    /// How long a connection stays open unused; for ever without one.
    pub idle_timeout: Option<Duration>,
    /// So many may be unused for that long, and stay open; RDS Proxy's.
    pub spare: u32,
    /// How long a connection has lain idle that is tried out before it is lent; none is without one.
    pub check_after: Option<Duration>,
    /// At what age a connection is closed; never without one.
    pub max_lifetime: Option<Duration>,
    /// How long after a failed opening the next begins.
    pub login_retry: Duration,
    /// It is a PgBouncer: while it cannot connect, who asks is turned away, and what has taken too long
    /// is looked for three times a second. Others let clients wait, and have a timer for each.
    pub pgbouncer: bool,
}

/// A connection to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Server {
    /// When it was opened.
    pub opened: Time,
}

/// What becomes of a client that needs a server connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// It has this one.
    Granted(Server),
    /// It waits.
    Wait,
    /// The server cannot be reached: it is disconnected at once.
    Refused,
}

/// What becomes of a server connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returned {
    /// The first that waits has it.
    Passed {
        /// Whose wait has ended.
        task: u32,
    },
    /// It lies idle.
    Idle,
    /// It is too old: start to close it.
    Close,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    task: u32,
    since: Time,
}

#[derive(Clone, Copy, Debug)]
struct Idle {
    server: Server,
    since: Time,
}

/// The connections to one server.
#[derive(Clone, Debug)]
pub struct Pooler {
    config: PoolerConfig,
    /// The one used last at the end.
    idle: Vec<Idle>,
    busy: u32,
    /// Of these, those that are being tried out.
    tested: u32,
    opening: u32,
    waiters: VecDeque<Waiter>,
    /// When the last opening failed, unless one has succeeded since.
    failed: Option<Time>,
    /// When a connection was last closed for its age.
    aged: Time,
}

impl Pooler {
    /// Without connections.
    pub fn new(config: PoolerConfig) -> Pooler {
        assert!(config.size > 0 && config.openings > 0, "a pooler can open a connection");
        Pooler {
            config,
            idle: Vec::new(),
            busy: 0,
            tested: 0,
            opening: 0,
            waiters: VecDeque::new(),
            failed: None,
            aged: Time::ZERO,
        }
    }
    /// Its options.
    pub fn config(&self) -> &PoolerConfig {
        &self.config
    }
    /// Connections that are opening, idle or lent.
    pub fn total(&self) -> u32 {
        self.opening + self.busy + self.idle.len() as u32
    }
    /// Connections that are lent.
    pub fn busy(&self) -> u32 {
        self.busy
    }
    /// Clients that wait.
    pub fn waiting(&self) -> u32 {
        self.waiters.len() as u32
    }

    /// Idle connections at the start of a run that starts warm.
    pub fn prefill(&mut self, now: Time, count: u32) {
        let server = Server { opened: now };
        self.idle.extend((0..count).map(|_| Idle { server, since: now }));
    }

    /// A client needs a connection.
    pub fn ask(&mut self, now: Time, task: u32) -> Asked {
        if let Some(idle) = self.idle.pop_if(|idle| !self.config.is_to_check(now, idle.since)) {
            self.busy += 1;
            return Asked::Granted(idle.server);
        }
        let none_left = self.busy == 0 && self.idle.is_empty();
        if self.config.pgbouncer && self.failed.is_some() && none_left {
            return Asked::Refused;
        }
        self.waiters.push_back(Waiter { task, since: now });
        Asked::Wait
    }

    /// An idle connection that is tried out from now on, for somebody who waits; to be asked until there is
    /// none.
    pub fn checks(&mut self) -> Option<Server> {
        if self.uncovered() == 0 {
            return None;
        }
        let idle = self.idle.pop()?;
        (self.busy, self.tested) = (self.busy + 1, self.tested + 1);
        Some(idle.server)
    }

    /// A connection was tried out, and is sound.
    pub fn checked(&mut self, now: Time, server: Server) -> Returned {
        self.tested -= 1;
        self.pass(now, server)
    }

    /// Clients that wait, and for whom no connection is being tried out.
    fn uncovered(&self) -> u32 {
        (self.waiters.len() as u32).saturating_sub(self.tested)
    }

    /// Somebody waits who would have a connection of the reserve after some time.
    #[inline]
    pub fn awaits_reserve(&self) -> bool {
        self.config.reserve > 0 && !self.waiters.is_empty()
    }

    /// Whether a connection is to be opened now; to be asked, and begun, until it is not.
    pub fn opens(&mut self, now: Time, clients: u32) -> bool {
        let opens = self.wants(now, clients);
        self.opening += u32::from(opens);
        opens
    }

    /// Whether it would have a connection opened now.
    pub fn wants(&self, now: Time, clients: u32) -> bool {
        let wants = match self.waiters.front() {
            Some(first) => {
                let reserve = now >= first.since + self.config.reserve_after;
                let reserve = if reserve { self.config.reserve } else { 0 };
                self.total() < self.config.size + reserve
                    && self.opening < self.config.openings.min(self.uncovered())
            }
            None => {
                clients > 0
                    && self.opening < self.config.openings
                    && self.total() < self.config.min.min(self.config.size)
            }
        };
        wants && self.failed.is_none_or(|at| now >= at + self.config.login_retry)
    }

    /// Since when the connection has been idle that has been so for longest.
    pub fn oldest_idle(&self) -> Option<Time> {
        self.idle.first().map(|idle| idle.since)
    }

    /// That connection is to be closed, to make room for one of another pool.
    pub fn evict(&mut self) -> Option<Server> {
        (!self.idle.is_empty()).then(|| self.idle.remove(0).server)
    }

    /// A connection has opened.
    pub fn opened(&mut self, now: Time) -> (Server, Returned) {
        self.opening -= 1;
        self.busy += 1;
        self.failed = None;
        let server = Server { opened: now };
        (server, self.pass(now, server))
    }

    /// A connection could not be opened.
    pub fn opening_failed(&mut self, now: Time) {
        self.opening -= 1;
        self.failed = Some(now);
    }

    /// A connection comes back, ready for the next.
    pub fn give_back(&mut self, now: Time, server: Server) -> Returned {
        if self.is_old(now, server) {
            self.aged = now;
            self.busy -= 1;
            return Returned::Close;
        }
        if self.config.check_after == Some(Duration::ZERO) {
            self.busy -= 1;
            self.idle.push(Idle { server, since: now });
            return Returned::Idle;
        }
        self.pass(now, server)
    }

    fn pass(&mut self, now: Time, server: Server) -> Returned {
        match self.waiters.pop_front() {
            Some(Waiter { task, .. }) => Returned::Passed { task },
            None => {
                self.busy -= 1;
                self.idle.push(Idle { server, since: now });
                Returned::Idle
            }
        }
    }

    /// A lent connection is gone, or closed because its client is.
    pub fn lose(&mut self) {
        self.busy -= 1;
    }

    /// The server is gone: idle connections are too. Says how many there were.
    pub fn lose_idle(&mut self) -> u32 {
        let lost = self.idle.len() as u32;
        self.idle.clear();
        self.tested = 0;
        lost
    }

    /// The client that has waited for longest.
    pub fn first_waiter(&self) -> Option<u32> {
        self.waiters.front().map(|waiter| waiter.task)
    }

    /// A client waits no longer. Says whether it did.
    pub fn cancel(&mut self, task: u32) -> bool {
        let place = self.waiters.iter().position(|waiter| waiter.task == task);
        if let Some(place) = place {
            self.waiters.remove(place);
        }
        place.is_some()
    }

    /// A client that has waited for too long, to be disconnected; to be asked until there is none.
    pub fn expire(&mut self, now: Time) -> Option<u32> {
        let due = self.wait_ends()? <= now;
        due.then(|| self.waiters.pop_front().expect("its end was just read").task)
    }

    /// An idle connection to be closed for its idleness or age; to be asked until there is none.
    pub fn expire_idle(&mut self, now: Time) -> Option<Server> {
        let keep = self.config.min as usize;
        let place = if self.idle_ends()? <= now && self.total() as usize > keep {
            0
        } else {
            let place = self.idle.iter().position(|it| self.is_old(now, it.server))?;
            self.aged = now;
            place
        };
        Some(self.idle.remove(place).server)
    }

    /// When something is due next that no client and no server brings about, after what is due now
    /// has been done.
    pub fn next_due(&self, now: Time) -> Option<Time> {
        let first = self.waiters.front();
        let fits = self.total() < self.config.size + self.config.reserve;
        let reserve = first
            .filter(|_| self.config.reserve > 0 && fits && self.total() >= self.config.size)
            .map(|first| self.looked_at(first.since + self.config.reserve_after));
        let retry = self.failed.filter(|_| first.is_some());
        let retry = retry.map(|at| self.looked_at(at + self.config.login_retry));
        let above = self.total() > self.config.min;
        let idle = self.idle_ends().filter(|_| above);
        let old = self.idle.iter().filter_map(|it| self.old_at(it.server)).min();
        // What an opening is waited for with is over once its time has come: it has begun, or does not.
        let [reserve, retry] = [reserve, retry].map(|at| at.filter(|at| *at > now));
        [self.wait_ends(), reserve, retry, idle, old.map(|at| self.looked_at(at))]
            .into_iter()
            .flatten()
            .min()
    }

    fn wait_ends(&self) -> Option<Time> {
        let first = self.waiters.front()?;
        Some(self.looked_at(first.since + self.config.wait_timeout?))
    }

    fn idle_ends(&self) -> Option<Time> {
        // Who has been idle for longest goes, as soon as there is one more of them than may be.
        let first = self.idle.get(self.config.spare as usize)?;
        Some(self.looked_at(first.since + self.config.idle_timeout?))
    }

    fn old_at(&self, server: Server) -> Option<Time> {
        let lifetime = self.config.max_lifetime?;
        let gap = Duration(lifetime.0 / u64::from(self.config.size));
        Some((server.opened + lifetime).max(self.aged + gap))
    }

    fn is_old(&self, now: Time, server: Server) -> bool {
        self.old_at(server).is_some_and(|at| at <= now)
    }

    /// When something that is due at that time is seen.
    pub fn looked_at(&self, due: Time) -> Time {
        self.config.looked_at(due)
    }
}

impl PoolerConfig {
    fn looked_at(&self, due: Time) -> Time {
        match self.pgbouncer {
            true => Time(due.0.div_ceil(MAINTENANCE) * MAINTENANCE),
            false => due,
        }
    }
    /// Whether a connection that has been idle since then is to be tried out.
    fn is_to_check(&self, now: Time, since: Time) -> bool {
        let due = |after: Duration| after.is_zero() || self.looked_at(since + after) <= now;
        self.check_after.is_some_and(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pgbouncer() -> Pooler {
        Pooler::new(PoolerConfig {
            size: 3,
            min: 0,
            reserve: 1,
            reserve_after: Duration::secs(5),
            openings: 1,
            wait_timeout: Some(Duration::secs(120)),
            idle_timeout: Some(Duration::secs(600)),
            spare: 0,
            check_after: Some(Duration::secs(30)),
            max_lifetime: Some(Duration::secs(3_600)),
            login_retry: Duration::secs(15),
            pgbouncer: true,
        })
    }
    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    #[test]
    fn one_connection_opens_at_a_time_and_serves_the_first_that_waits() {
        let mut pooler = pgbouncer();
        for task in 0..5 {
            assert_eq!(pooler.ask(at(0), task), Asked::Wait);
        }
        for task in 0..3 {
            let now = at(100 * u64::from(task));
            assert!(pooler.opens(now, 5) && !pooler.opens(now, 5));
            let (_, returned) = pooler.opened(now + Duration::millis(100));
            assert_eq!(returned, Returned::Passed { task });
        }
        assert!(!pooler.opens(at(300), 5), "the pool is full");
        assert!(!pooler.opens(at(4_999), 5) && pooler.opens(at(5_000), 5), "the reserve");
        assert_eq!((pooler.total(), pooler.busy(), pooler.waiting()), (4, 3, 2));
    }

    #[test]
    fn after_a_failure_nothing_opens_for_a_while_and_who_asks_is_turned_away() {
        let mut pooler = pgbouncer();
        assert_eq!(pooler.ask(at(0), 0), Asked::Wait);
        assert!(pooler.opens(at(0), 1));
        pooler.opening_failed(at(1));
        assert_eq!(pooler.ask(at(2), 1), Asked::Refused);
        assert_eq!(pooler.next_due(at(2)), Some(pooler.looked_at(at(15_001))), "who waited does");
        assert!(!pooler.opens(at(15_000), 1) && pooler.opens(at(15_001), 1));
        assert_eq!(pooler.opened(at(15_100)).1, Returned::Passed { task: 0 });
        assert_eq!(pooler.ask(at(15_200), 2), Asked::Wait, "it has been reached since");
    }

    #[test]
    fn what_was_idle_for_longest_makes_room() {
        let mut pooler = pgbouncer();
        assert_eq!((pooler.oldest_idle(), pooler.evict()), (None, None));
        for task in 0..2 {
            assert_eq!(pooler.ask(at(0), task), Asked::Wait);
            assert!(pooler.wants(at(0), 2) && pooler.opens(at(0), 2) && !pooler.wants(at(0), 2));
            pooler.opened(at(u64::from(task)));
        }
        let (first, second) = (Server { opened: at(0) }, Server { opened: at(1) });
        assert_eq!(pooler.give_back(at(10), second), Returned::Idle);
        assert_eq!(pooler.give_back(at(20), first), Returned::Idle);
        assert_eq!((pooler.oldest_idle(), pooler.evict()), (Some(at(10)), Some(second)));
        assert_eq!(pooler.total(), 1);
    }

    #[test]
    fn what_takes_too_long_is_found_within_a_third_of_a_second() {
        let mut pooler = pgbouncer();
        assert_eq!(pooler.ask(at(100), 7), Asked::Wait);
        let due = pooler.wait_ends().expect("it waits");
        assert!(due >= at(120_100) && due < at(120_434), "{due:?}");
        assert_eq!(pooler.expire(Time(due.0 - 1)), None);
        assert_eq!((pooler.expire(due), pooler.expire(due)), (Some(7), None));
    }

    #[test]
    fn the_last_one_used_is_lent_first_and_the_others_end() {
        let mut pooler = pgbouncer();
        for task in 0..2 {
            assert_eq!(pooler.ask(at(0), task), Asked::Wait);
            assert!(pooler.opens(at(0), 2));
            pooler.opened(at(u64::from(task)));
        }
        let (first, second) = (Server { opened: at(0) }, Server { opened: at(1) });
        assert_eq!(pooler.give_back(at(10), first), Returned::Idle);
        assert_eq!(pooler.give_back(at(20), second), Returned::Idle);
        assert_eq!(pooler.ask(at(30), 2), Asked::Granted(second));
        assert_eq!(pooler.give_back(at(500), second), Returned::Idle);
        let due = pooler.next_due(at(500)).expect("one is idle");
        assert!(due >= at(600_010) && due < at(600_344), "{due:?}");
        assert_eq!((pooler.expire_idle(due), pooler.expire_idle(due)), (Some(first), None));
        // The other has long been idle: it is tried out for the first of two who wait, and no other is opened for it.
        assert_eq!(pooler.ask(at(3_599_000), 3), Asked::Wait);
        assert_eq!((pooler.checks(), pooler.checks()), (Some(second), None));
        assert!(!pooler.wants(at(3_599_000), 2));
        assert_eq!(pooler.ask(at(3_599_001), 4), Asked::Wait);
        assert!(pooler.wants(at(3_599_001), 2) && pooler.cancel(4));
        assert_eq!(pooler.checked(at(3_599_002), second), Returned::Passed { task: 3 });
        // At its age it is closed as it comes back.
        assert_eq!(pooler.give_back(at(3_700_000), second), Returned::Close);
        assert_eq!(pooler.total(), 0);
    }

    #[test]
    fn rds_proxy_leaves_a_share_of_the_idle_ones_open() {
        let idle_timeout = Some(Duration::secs(1));
        let mut rules = PoolerConfig { idle_timeout, spare: 1, ..*pgbouncer().config() };
        (rules.pgbouncer, rules.max_lifetime) = (false, None);
        let mut pooler = Pooler::new(rules);
        // Three that have been idle since 0, 0.1 and 0.2 s.
        for since in [0, 100, 200] {
            pooler.idle.push(Idle { server: Server { opened: at(0) }, since: at(since) });
        }
        assert_eq!(pooler.next_due(at(200)), Some(at(1_100)), "the second has been idle for 1 s");
        assert!(pooler.expire_idle(at(1_099)).is_none());
        assert!(pooler.expire_idle(at(1_100)).is_some() && pooler.expire_idle(at(1_100)).is_none());
        assert_eq!(pooler.next_due(at(1_100)), Some(at(1_200)));
        assert!(pooler.expire_idle(at(1_200)).is_some());
        assert_eq!((pooler.total(), pooler.next_due(at(1_200))), (1, None));
    }
}
