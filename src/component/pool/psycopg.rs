//! The connection pool of one process, as psycopg_pool keeps it (3.3.3, `pool_async.py`, `base.py`).
//!
//! - Idle connections are lent first in, first out; waiters are first come, first served, and a
//!   connection that comes back is *given* to the oldest: nobody can take it before.
//! - No request opens a connection. The pool grows beyond `min` **one connection at a time**, in the
//!   background, while somebody waits (`_maybe_grow_pool`), so a burst is served late.
//! - A connection that is too old, or broken, is replaced in the background.
//! - Every `max_idle` one connection above `min` is closed, if so many were idle all that time.
//! - A failed opening is tried again after 1 s, 2 s, 4 s, ... for five minutes.

use super::places::Places;
use super::{
    Acquire, ConnectFailed, Connected, Connection, Expired, PoolConfig, Released, Rules, Served,
    after,
};
use crate::units::{Duration, Time};
use std::collections::VecDeque;

/// Before the second attempt at an opening; twice as long before every further one.
const FIRST_DELAY: Duration = Duration::secs(1);
/// After so long the pool gives an opening up (`reconnect_timeout`).
const GIVE_UP: Duration = Duration::secs(300);

#[derive(Clone, Copy)]
struct Waiter {
    task: u32,
    deadline: Time,
}

/// An opening that has failed, and is tried again.
#[derive(Clone, Copy)]
struct Attempt {
    first: Time,
    next: Time,
    delay: Duration,
}

/// A pool of psycopg_pool.
pub struct Psycopg {
    config: PoolConfig,
    places: Places,
    waiters: VecDeque<Waiter>,
    /// Connections that there are or will be: in the pool, out of it, being prepared (`_nconns`).
    wanted: u32,
    /// It grows beyond what it had at the start, one by one.
    growing: bool,
    /// Openings that have failed.
    attempts: Vec<Attempt>,
    /// The fewest idle connections since the last look.
    least_idle: u32,
    /// When it looks next whether to shrink.
    next_look: Option<Time>,
}

impl Rules for Psycopg {
    fn new(config: PoolConfig) -> Psycopg {
        assert!(config.size > 0, "a pool has room for a connection");
        Psycopg {
            config,
            places: Places::default(),
            waiters: VecDeque::new(),
            wanted: config.min.min(config.size),
            growing: false,
            attempts: Vec::new(),
            least_idle: config.min,
            next_look: None,
        }
    }

    fn prefill(&mut self, now: Time, count: u32) {
        self.places.prefill(now, count);
        self.wanted = self.wanted.max(count);
    }

    #[inline]
    fn acquire(&mut self, now: Time, task: u32) -> Acquire {
        if let Some(connection) = self.places.take_cold() {
            self.least_idle = self.least_idle.min(self.places.idle());
            return Acquire::Granted(connection);
        }
        if self.config.max_waiting.is_some_and(|most| self.waiters.len() as u32 >= most) {
            return Acquire::TimedOut; // TooManyRequests
        }
        let deadline = after(now, self.config.acquire_timeout);
        self.waiters.push_back(Waiter { task, deadline });
        if self.wanted < self.config.size && !self.growing {
            self.growing = true;
            self.wanted += 1;
        }
        Acquire::Wait
    }

    fn open_more(&mut self, now: Time) -> Option<Connection> {
        self.next_look.get_or_insert(after(now, self.config.idle_timeout));
        // A failed opening stays on the list until it succeeds; while it goes on it has no next time.
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.next <= now) {
            attempt.next = Time::NEVER;
        } else {
            let resting = self.attempts.iter().filter(|attempt| attempt.next < Time::NEVER);
            if self.places.total() + resting.count() as u32 >= self.wanted {
                return None;
            }
        }
        Some(self.places.open(now, None, Time::NEVER, Time::NEVER))
    }

    fn connected(&mut self, now: Time, connection: Connection) -> Connected {
        if self.places.opened(now, connection).is_none() {
            return Connected::Stale;
        }
        if let Some(place) = self.attempts.iter().position(|it| it.next == Time::NEVER) {
            self.attempts.remove(place);
        }
        let released = self.add(now, connection);
        if self.growing {
            let more = self.wanted < self.config.size && !self.waiters.is_empty();
            self.growing = more;
            self.wanted += u32::from(more);
        }
        Connected::Unclaimed(released)
    }

    fn connect_failed(&mut self, now: Time, connection: Connection) -> Option<ConnectFailed> {
        let owner = self.places.failed(connection)?;
        let known = self.attempts.iter().position(|it| it.next == Time::NEVER);
        let attempt = match known {
            Some(place) => self.attempts.remove(place),
            None => Attempt { first: now, next: now, delay: FIRST_DELAY },
        };
        if now.since(attempt.first) + attempt.delay < GIVE_UP {
            let next = now + attempt.delay;
            self.attempts.push(Attempt { next, delay: attempt.delay + attempt.delay, ..attempt });
        } else {
            self.wanted -= 1;
            self.growing = false;
        }
        Some(ConnectFailed { owner, served: None })
    }

    #[inline]
    fn release(&mut self, now: Time, connection: Connection) -> Released {
        let (_, opened) = self.places.used(connection);
        if now >= after(opened, self.config.max_lifetime) {
            self.places.forget(connection.slot);
            return Released::Close;
        }
        self.add(now, connection)
    }

    /// It is replaced in the background.
    fn discard(&mut self, _now: Time, connection: Connection) -> Option<Served> {
        self.places.forget(connection.slot);
        None
    }

    fn closed(&mut self, _now: Time) -> Option<Served> {
        None
    }

    fn expire(&mut self, now: Time) -> Option<Expired> {
        self.waiters.front().filter(|head| head.deadline <= now)?;
        let waiter = self.waiters.pop_front().expect("it was just looked at");
        Some(Expired::Acquire { task: waiter.task })
    }

    fn next_deadline(&self) -> Option<Time> {
        let waiting = self.waiters.front().map(|head| head.deadline);
        let retried = self.attempts.iter().map(|attempt| attempt.next);
        waiting.into_iter().chain(retried).min().filter(|deadline| *deadline < Time::NEVER)
    }

    fn cancel(&mut self, task: u32) -> bool {
        let place = self.waiters.iter().position(|waiter| waiter.task == task);
        if let Some(place) = place {
            self.waiters.remove(place);
        }
        place.is_some()
    }

    /// `_shrink_pool`: at most one connection at every look.
    fn expire_idle(&mut self, now: Time) -> Option<Connection> {
        if self.next_look? > now {
            return None;
        }
        self.next_look = Some(after(now, self.config.idle_timeout));
        let least = std::mem::replace(&mut self.least_idle, self.places.idle());
        if self.wanted <= self.config.min || least == 0 || self.places.idle() == 0 {
            return None;
        }
        self.wanted -= 1;
        self.least_idle -= 1;
        Some(self.places.remove_idle(0))
    }

    fn next_idle_expiry(&self) -> Option<Time> {
        // Without connections above the floor a look changes nothing.
        self.next_look.filter(|at| *at < Time::NEVER && self.wanted > self.config.min)
    }

    fn sever_idle(&mut self) -> Option<Connection> {
        self.places.sever_idle()
    }
    fn sever(&mut self, connection: Connection) -> bool {
        self.places.sever(connection)
    }

    fn lose_all(&mut self) -> u32 {
        let lost = self.places.lose_all();
        let places = std::mem::take(&mut self.places);
        *self = Psycopg { places, ..Psycopg::new(self.config) };
        lost
    }

    fn waiting(&self) -> u32 {
        self.waiters.len() as u32
    }
    fn places(&self) -> &Places {
        &self.places
    }
    fn config(&self) -> &PoolConfig {
        &self.config
    }
}

impl Psycopg {
    /// `_add_to_pool`: the oldest waiter gets it, or it lies idle.
    fn add(&mut self, now: Time, connection: Connection) -> Released {
        if let Some(waiter) = self.waiters.pop_front() {
            return Released::Passed { task: waiter.task };
        }
        self.places.rest(now, connection);
        Released::Idle
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, ms};
    use super::super::{Driver, Pool};
    use super::*;

    /// A pool whose floor has opened at 1 ms.
    fn with_floor(min: u32, size: u32) -> (Pool, Vec<Connection>) {
        let mut pool = Pool::new(PoolConfig { min, size, ..config(Driver::Psycopg) });
        let floor: Vec<_> = std::iter::from_fn(|| pool.open_more(ms(0))).collect();
        assert_eq!(floor.len() as u32, min);
        for connection in &floor {
            assert_eq!(pool.connected(ms(1), *connection), Connected::Unclaimed(Released::Idle));
        }
        (pool, floor)
    }

    #[test]
    fn idle_connections_are_lent_in_turn_and_given_to_the_oldest_waiter() {
        let (mut pool, floor) = with_floor(2, 2);
        assert_eq!(pool.acquire(ms(2), 1), Acquire::Granted(floor[0]));
        assert_eq!(pool.acquire(ms(2), 2), Acquire::Granted(floor[1]));
        assert_eq!(pool.acquire(ms(3), 3), Acquire::Wait);
        assert_eq!(pool.acquire(ms(3), 4), Acquire::Wait);
        assert_eq!(pool.release(ms(4), floor[1]), Released::Passed { task: 3 });
        assert_eq!(pool.acquire(ms(4), 5), Acquire::Wait, "nobody overtakes");
    }

    #[test]
    fn it_grows_by_one_connection_at_a_time() {
        let (mut pool, floor) = with_floor(1, 4);
        assert_eq!(pool.acquire(ms(2), 1), Acquire::Granted(floor[0]));
        for task in 2..6 {
            assert_eq!(pool.acquire(ms(2), task), Acquire::Wait);
        }
        for (at, task) in [(10, 2), (20, 3), (30, 4)] {
            let opening = pool.open_more(ms(at)).expect("it grows");
            assert_eq!(pool.open_more(ms(at)), None, "one at a time");
            let given = Connected::Unclaimed(Released::Passed { task });
            assert_eq!(pool.connected(ms(at + 9), opening), given);
        }
        assert_eq!((pool.open_more(ms(40)), pool.total()), (None, 4));
    }

    #[test]
    fn old_and_broken_connections_are_replaced() {
        let max_lifetime = Some(Duration::millis(50));
        let config = PoolConfig { min: 1, size: 1, max_lifetime, ..config(Driver::Psycopg) };
        let mut pool = Pool::new(config);
        let first = pool.open_more(ms(0)).expect("the floor");
        pool.connected(ms(1), first);
        assert_eq!(pool.acquire(ms(2), 1), Acquire::Granted(first));
        assert_eq!(pool.release(ms(60), first), Released::Close);
        assert!(pool.open_more(ms(60)).is_some());
    }

    #[test]
    fn a_failed_opening_is_tried_again_after_1_2_4_seconds() {
        let (mut pool, floor) = with_floor(1, 1);
        assert_eq!(pool.acquire(ms(2), 1), Acquire::Granted(floor[0]));
        pool.discard(ms(10), floor[0]);
        let mut now = ms(10);
        for seconds in [1, 2, 4] {
            let opening = pool.open_more(now).expect("it is tried again");
            assert!(pool.connect_failed(now, opening).is_some());
            assert_eq!(pool.open_more(now), None);
            assert_eq!(pool.next_deadline(), Some(now + Duration::secs(seconds)));
            now = now + Duration::secs(seconds);
        }
    }
}
