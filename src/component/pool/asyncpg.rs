//! The connection pool of one process, as asyncpg keeps it (0.32.0, `pool.py`).
//!
//! A pool has `size` holders in a queue, each with a connection or without. What makes it behave unlike a
//! textbook station:
//!
//! - Who acquires takes a holder: one with a connection if there is any, the one used last; else one
//!   without, and opens a connection itself (`_PoolConnectionHolderQueue._get`).
//! - The queue is an `asyncio.LifoQueue`: a holder that comes back wakes the oldest waiter, and until its
//!   callback runs any other caller takes the holder; the waiter then queues again at the tail.
//! - There is no acquire timeout unless one is given; at its end the wait fails at once.
//! - `min` connections are opened at the start and whenever there are fewer; idle ones above `min` are
//!   closed after `max_inactive_connection_lifetime`.

use super::places::Places;
use super::{
    Acquire, ConnectFailed, Connected, Connection, Expired, PoolConfig, Released, Rules, Served,
    after,
};
use crate::units::Time;
use std::collections::VecDeque;

#[derive(Clone, Copy)]
struct Waiter {
    task: u32,
    deadline: Time,
}

/// A pool of asyncpg.
pub struct Asyncpg {
    config: PoolConfig,
    places: Places,
    waiters: VecDeque<Waiter>,
    /// Whose callback is ready, because a holder came back.
    woken: Vec<Waiter>,
    /// Openings to the floor go on: not after one has failed, until somebody opens with success.
    keeps_floor: bool,
}

impl Rules for Asyncpg {
    fn new(config: PoolConfig) -> Asyncpg {
        assert!(config.size > 0, "a pool has room for a connection");
        Asyncpg {
            config,
            places: Places::default(),
            waiters: VecDeque::new(),
            woken: Vec::new(),
            keeps_floor: true,
        }
    }

    fn prefill(&mut self, now: Time, count: u32) {
        assert!(count <= self.config.size, "a pool is full at its size");
        self.places.prefill(now, count);
    }

    #[inline]
    fn acquire(&mut self, now: Time, task: u32) -> Acquire {
        let woken = self.woken.iter().position(|waiter| waiter.task == task);
        let woken = woken.map(|place| self.woken.remove(place));
        if let Some(connection) = self.places.take_hot() {
            return Acquire::Granted(connection);
        }
        let deadline =
            woken.map_or_else(|| after(now, self.config.acquire_timeout), |it| it.deadline);
        if self.places.total() < self.config.size {
            let opening = self.places.open(now, Some(task), deadline, Time::NEVER);
            return Acquire::Connect(opening);
        }
        self.waiters.push_back(Waiter { task, deadline });
        Acquire::Wait
    }

    fn is_woken(&self, task: u32) -> bool {
        self.woken.iter().any(|waiter| waiter.task == task)
    }

    fn open_more(&mut self, now: Time) -> Option<Connection> {
        let wanted = self.keeps_floor && self.places.total() < self.config.min;
        wanted.then(|| self.places.open(now, None, Time::NEVER, Time::NEVER))
    }

    fn connected(&mut self, now: Time, connection: Connection) -> Connected {
        self.keeps_floor = true;
        match self.places.opened(now, connection) {
            None => Connected::Stale,
            Some(Some(task)) => Connected::Granted { task },
            Some(None) => Connected::Unclaimed(self.rest(now, connection)),
        }
    }

    /// The holder goes back into the queue, and wakes a waiter.
    fn connect_failed(&mut self, _now: Time, connection: Connection) -> Option<ConnectFailed> {
        let owner = self.places.failed(connection)?;
        self.keeps_floor = false;
        Some(ConnectFailed { owner, served: self.wake() })
    }

    #[inline]
    fn release(&mut self, now: Time, connection: Connection) -> Released {
        let (uses, opened) = self.places.used(connection);
        if self.config.max_uses.is_some_and(|most| uses >= most)
            || now >= after(opened, self.config.max_lifetime)
        {
            self.places.forget(connection.slot);
            return Released::Close;
        }
        self.rest(now, connection)
    }

    /// Its holder goes back without it.
    fn discard(&mut self, _now: Time, connection: Connection) -> Option<Served> {
        self.places.forget(connection.slot);
        self.wake()
    }

    /// `Connection.close` gives the holder back at its end.
    fn closed(&mut self, _now: Time) -> Option<Served> {
        self.wake()
    }

    fn expire(&mut self, now: Time) -> Option<Expired> {
        if let Some(place) = self.waiters.iter().position(|waiter| waiter.deadline <= now) {
            let waiter = self.waiters.remove(place).expect("its place was just found");
            return Some(Expired::Acquire { task: waiter.task });
        }
        // The time covers the opening; a connection that opens all the same stays.
        let late = self.places.opening().find(|(_, owner_deadline, _)| *owner_deadline <= now);
        let (connection, ..) = late?;
        Some(Expired::Acquire { task: self.places.disown(connection.slot) })
    }

    fn next_deadline(&self) -> Option<Time> {
        self.config.acquire_timeout?;
        let waiting = self.waiters.iter().map(|waiter| waiter.deadline);
        let opening = self.places.opening().map(|(_, owner_deadline, _)| owner_deadline);
        waiting.chain(opening).min().filter(|deadline| *deadline < Time::NEVER)
    }

    fn cancel(&mut self, task: u32) -> bool {
        let place = self.waiters.iter().position(|waiter| waiter.task == task);
        if let Some(place) = place {
            self.waiters.remove(place);
        }
        place.is_some()
    }

    fn expire_idle(&mut self, now: Time) -> Option<Connection> {
        (self.next_idle_expiry()? <= now).then(|| self.places.remove_idle(0))
    }

    fn next_idle_expiry(&self) -> Option<Time> {
        let since = self.places.idle_since(0)?;
        let above = self.places.total() > self.config.min;
        let end = after(since, self.config.idle_timeout);
        (above && end < Time::NEVER).then_some(end)
    }

    fn sever_idle(&mut self) -> Option<Connection> {
        self.places.sever_idle()
    }
    fn sever(&mut self, connection: Connection) -> bool {
        self.places.sever(connection)
    }

    fn lose_all(&mut self) -> u32 {
        self.waiters.clear();
        self.woken.clear();
        self.places.lose_all()
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

impl Asyncpg {
    /// A connection lies idle, and the oldest waiter's callback becomes ready.
    fn rest(&mut self, now: Time, connection: Connection) -> Released {
        self.places.rest(now, connection);
        match self.wake() {
            Some(Served::Woken { task }) => Released::Woken { task },
            _ => Released::Idle,
        }
    }

    fn wake(&mut self) -> Option<Served> {
        let waiter = self.waiters.pop_front()?;
        self.woken.push(waiter);
        Some(Served::Woken { task: waiter.task })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{all_busy, config, ms, opened};
    use super::super::{Driver, Pool};
    use super::*;
    use crate::units::Duration;

    #[test]
    fn live_connections_go_first_and_the_hot_one_before_others() {
        let (mut pool, held) = all_busy(config(Driver::Asyncpg), 3);
        for connection in &held {
            assert_eq!(pool.release(ms(1), *connection), Released::Idle);
        }
        for index in [2, 1, 0] {
            assert_eq!(pool.acquire(ms(2), 9), Acquire::Granted(held[index]));
        }
        assert!(matches!(pool.acquire(ms(2), 9), Acquire::Connect(_)));
    }

    #[test]
    fn a_newcomer_takes_what_woke_a_waiter() {
        let one = PoolConfig { size: 1, ..config(Driver::Asyncpg) };
        let (mut pool, held) = all_busy(one, 1);
        assert_eq!(pool.acquire(ms(1), 7), Acquire::Wait);
        assert_eq!(pool.release(ms(2), held[0]), Released::Woken { task: 7 });
        assert_eq!(pool.acquire(ms(2), 8), Acquire::Granted(held[0]));
        assert_eq!(pool.acquire(ms(2), 7), Acquire::Wait);
    }

    #[test]
    fn a_failed_opening_wakes_the_next_who_opens_for_itself() {
        let one = PoolConfig { size: 1, ..config(Driver::Asyncpg) };
        let mut pool = Pool::new(one);
        let Acquire::Connect(first) = pool.acquire(ms(0), 1) else { panic!("no room") };
        assert_eq!(pool.acquire(ms(1), 2), Acquire::Wait);
        let served = Some(Served::Woken { task: 2 });
        let failed = ConnectFailed { owner: Some(1), served };
        assert_eq!(pool.connect_failed(ms(5), first), Some(failed));
        assert!(matches!(pool.acquire(ms(5), 2), Acquire::Connect(_)));
    }

    #[test]
    fn the_floor_is_opened_at_the_start_and_kept() {
        let idle_timeout = Some(Duration::millis(100));
        let mut pool = Pool::new(PoolConfig { min: 2, idle_timeout, ..config(Driver::Asyncpg) });
        let floor: Vec<_> = std::iter::from_fn(|| pool.open_more(ms(0))).collect();
        assert_eq!((floor.len(), pool.total()), (2, 2));
        for connection in floor {
            assert_eq!(pool.connected(ms(1), connection), Connected::Unclaimed(Released::Idle));
        }
        assert_eq!(pool.next_idle_expiry(), None);
        let held = [1, 2].map(|task| match pool.acquire(ms(2), task) {
            Acquire::Granted(connection) => connection,
            other => panic!("{other:?}"),
        });
        let third = opened(&mut pool, ms(2), 3);
        for connection in [held[0], held[1], third] {
            assert_eq!(pool.release(ms(3), connection), Released::Idle);
        }
        assert_eq!(pool.expire_idle(ms(102)), None);
        assert!(pool.expire_idle(ms(103)).is_some());
        assert_eq!((pool.expire_idle(ms(1_000)), pool.total()), (None, 2));
        // One that breaks is replaced.
        let Acquire::Granted(broken) = pool.acquire(ms(200), 4) else { panic!("idle ones") };
        assert_eq!(pool.discard(ms(200), broken), None);
        assert!(pool.open_more(ms(200)).is_some());
    }
}
