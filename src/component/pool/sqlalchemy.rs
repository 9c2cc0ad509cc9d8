//! The connection pool of one process, as SQLAlchemy keeps it (2.1.9: `pool/impl.py` QueuePool and
//! AsyncAdaptedQueuePool, `util/queue.py`; CPython's `asyncio.Queue`).
//!
//! A pool keeps up to `size` connections in a queue of idle ones (first in, first out unless
//! `use_lifo`) and lends up to `overflow` more, which are closed the moment they come back to a full
//! queue. What makes it behave unlike a textbook station:
//!
//! - A connection that comes back is put into the queue, and the oldest waiter's callback is made ready.
//!   Until that runs, any other caller takes the connection; the waiter then queues **at the tail**, with
//!   what is left of its time (`Queue.get`: `while self.empty()`).
//! - A waiter whose time is up looks once more whether the pool has room, and then opens a connection
//!   itself instead of failing (`_do_get`).
//! - A failed opening, and the closing of an overflow connection, make room and **wake nobody**.
//! - Nothing is ever closed for being idle; `recycle` closes at the next checkout.
//! - A connection that is invalidated leaves an empty record in the queue, which its next user fills. If
//!   that fails, the record goes back, and a waiter is woken (`_checkin_failed`).
//! - Nobody watches idle connections. Who finds one cut, by a ping or by a statement, invalidates all
//!   that began to open before: each is replaced at its next checkout (`Pool._invalidate`).

use super::places::Places;
use super::{
    Acquire, ConnectFailed, Connected, Connection, Expired, PoolConfig, Released, Rules, Served,
    after,
};
use crate::units::Time;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

#[derive(Clone, Copy, PartialEq, Eq)]
struct Waiter {
    task: u32,
    deadline: Time,
}

/// A pool of SQLAlchemy.
pub struct Sqlalchemy {
    config: PoolConfig,
    places: Places,
    waiters: VecDeque<Waiter>,
    /// Deadlines of waiters that have queued again, which are out of the queue's order; some may have
    /// been served since.
    out_of_order: BinaryHeap<Reverse<(Time, u32)>>,
    /// Whose callback is ready, because a connection came back.
    woken: Vec<Waiter>,
    /// Whose callback is ready, because their time is up.
    late: Vec<u32>,
    /// Records in the queue that have lost their connection.
    empty: u32,
    /// Places of the records that are being filled.
    filling: Vec<u32>,
    /// What began to open before is replaced at its next checkout (`_invalidate_time`).
    invalidated: Option<Time>,
    /// Connections being closed that still count (`_dec_overflow` comes after `close`).
    closing: u32,
}

impl Rules for Sqlalchemy {
    fn new(config: PoolConfig) -> Sqlalchemy {
        assert!(config.size > 0, "a pool has room for a connection");
        Sqlalchemy {
            config,
            places: Places::default(),
            waiters: VecDeque::new(),
            out_of_order: BinaryHeap::new(),
            woken: Vec::new(),
            late: Vec::new(),
            empty: 0,
            filling: Vec::new(),
            invalidated: None,
            closing: 0,
        }
    }

    fn prefill(&mut self, now: Time, count: u32) {
        assert!(count <= self.config.size, "a pool is full at its size");
        self.places.prefill(now, count);
    }

    /// `_do_get`, from the start or from where a woken waiter left it.
    #[inline]
    fn acquire(&mut self, now: Time, task: u32) -> Acquire {
        if let Some(place) = self.late.iter().position(|late| *late == task) {
            self.late.remove(place);
            // Not a look at the queue: what a waiter looked for is taken, or on its way to another.
            return match self.has_room() {
                true => Acquire::Connect(self.open(now, task)),
                false => Acquire::TimedOut,
            };
        }
        let woken = self.woken.iter().position(|waiter| waiter.task == task);
        let woken = woken.map(|place| self.woken.remove(place));
        if let Some(lent) = self.take(now, task) {
            return lent;
        }
        match woken {
            Some(waiter) => {
                // It waits in the queue and does not look at the room that there may be.
                self.out_of_order.push(Reverse((waiter.deadline, task)));
                self.waiters.push_back(waiter);
                Acquire::Wait
            }
            None if self.has_room() => Acquire::Connect(self.open(now, task)),
            None => {
                let deadline = after(now, self.config.acquire_timeout);
                self.waiters.push_back(Waiter { task, deadline });
                Acquire::Wait
            }
        }
    }

    fn is_woken(&self, task: u32) -> bool {
        self.woken.iter().any(|waiter| waiter.task == task) || self.late.contains(&task)
    }

    fn connected(&mut self, now: Time, connection: Connection) -> Connected {
        self.was_filling(connection);
        match self.places.opened(now, connection) {
            None => Connected::Stale,
            Some(owner) => {
                Connected::Granted { task: owner.expect("who opens a connection waits for it") }
            }
        }
    }

    /// Of a new connection: the overflow counter goes down, and nobody is woken.
    fn connect_failed(&mut self, _now: Time, connection: Connection) -> Option<ConnectFailed> {
        let owner = self.places.failed(connection)?;
        let served = if self.was_filling(connection) { self.put_empty() } else { None };
        Some(ConnectFailed { owner, served })
    }

    #[inline]
    fn release(&mut self, now: Time, connection: Connection) -> Released {
        self.places.used(connection);
        if self.places.idle() + self.empty >= self.config.size {
            self.places.forget(connection.slot);
            self.closing += 1;
            return Released::Close;
        }
        self.places.rest(now, connection);
        match self.wake() {
            Some(task) => Released::Woken { task },
            None => Released::Idle,
        }
    }

    /// The connection is closed; its record goes back without one, if the queue has a place for it.
    fn discard(&mut self, _now: Time, connection: Connection) -> Option<Served> {
        self.places.forget(connection.slot);
        self.put_empty()
    }

    fn invalidate(&mut self, now: Time, connection: Connection) {
        let began = self.places.began(connection.slot);
        if self.invalidated.is_none_or(|before| before <= began) {
            self.invalidated = Some(now);
        }
    }

    fn replace(&mut self, now: Time, connection: Connection, task: u32) -> Connection {
        self.invalidate(now, connection);
        self.places.forget(connection.slot);
        self.fill(now, task)
    }

    /// Of an overflow connection: only now is there room again, and nobody is told.
    fn closed(&mut self, _now: Time) -> Option<Served> {
        self.closing -= 1;
        None
    }

    fn expire(&mut self, now: Time) -> Option<Expired> {
        while let Some(Reverse((deadline, task))) = self.out_of_order.peek().copied() {
            if deadline > now {
                break;
            }
            self.out_of_order.pop();
            let stands = |waiter: &Waiter| *waiter == Waiter { task, deadline };
            if let Some(place) = self.waiters.iter().position(stands) {
                self.waiters.remove(place);
                self.late.push(task);
                return Some(Expired::Woken { task });
            }
        }
        let task = self.waiters.front().filter(|head| head.deadline <= now)?.task;
        self.waiters.pop_front();
        self.late.push(task);
        Some(Expired::Woken { task })
    }

    fn next_deadline(&self) -> Option<Time> {
        let again = self.out_of_order.peek().map(|Reverse((deadline, _))| *deadline);
        let head = self.waiters.front().map(|head| head.deadline);
        let next = again.unwrap_or(Time::NEVER).min(head.unwrap_or(Time::NEVER));
        (next < Time::NEVER).then_some(next)
    }

    /// A task that is cancelled leaves the queue.
    fn cancel(&mut self, task: u32) -> bool {
        let place = self.waiters.iter().position(|waiter| waiter.task == task);
        if let Some(place) = place {
            self.waiters.remove(place);
        }
        place.is_some()
    }

    fn expire_idle(&mut self, _now: Time) -> Option<Connection> {
        None
    }
    fn next_idle_expiry(&self) -> Option<Time> {
        None
    }

    fn sever_idle(&mut self) -> Option<Connection> {
        self.places.sever_idle()
    }
    fn sever(&mut self, connection: Connection) -> bool {
        self.places.sever(connection)
    }

    fn lose_all(&mut self) -> u32 {
        self.waiters.clear();
        self.out_of_order.clear();
        self.woken.clear();
        self.late.clear();
        self.filling.clear();
        self.invalidated = None;
        (self.empty, self.closing) = (0, 0);
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

impl Sqlalchemy {
    /// `_overflow < _max_overflow`.
    fn has_room(&self) -> bool {
        self.places.total() + self.empty + self.closing < self.config.size + self.config.overflow
    }

    /// What is in the queue: a connection, one that is too old and is replaced, or an empty record.
    fn take(&mut self, now: Time, task: u32) -> Option<Acquire> {
        let lent = if self.config.lifo { self.places.take_hot() } else { self.places.take_cold() };
        let Some(connection) = lent else {
            self.empty = self.empty.checked_sub(1)?;
            return Some(Acquire::Connect(self.fill(now, task)));
        };
        let began = self.places.began(connection.slot);
        let invalid = self.invalidated.is_some_and(|at| at > began);
        if after(began, self.config.max_lifetime) < now || invalid {
            let old = self.places.forget(connection.slot);
            return Some(Acquire::Reconnect { old, new: self.fill(now, task) });
        }
        Some(Acquire::Granted(connection))
    }

    fn open(&mut self, now: Time, task: u32) -> Connection {
        self.places.open(now, Some(task), Time::NEVER, Time::NEVER)
    }

    /// The same for a record that is there.
    fn fill(&mut self, now: Time, task: u32) -> Connection {
        let connection = self.open(now, task);
        self.filling.push(connection.slot);
        connection
    }

    /// Whether an opening that has ended was to fill a record.
    fn was_filling(&mut self, connection: Connection) -> bool {
        let place = self.filling.iter().position(|slot| *slot == connection.slot);
        place.is_some_and(|place| {
            self.filling.swap_remove(place);
            true
        })
    }

    /// A record without a connection goes into the queue, if that has a place for it.
    fn put_empty(&mut self) -> Option<Served> {
        if self.places.idle() + self.empty >= self.config.size {
            return None;
        }
        self.empty += 1;
        self.wake().map(|task| Served::Woken { task })
    }

    /// The oldest waiter's callback becomes ready.
    fn wake(&mut self) -> Option<u32> {
        let waiter = self.waiters.pop_front()?;
        self.woken.push(waiter);
        Some(waiter.task)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{all_busy, config, ms, opened};
    use super::super::{Driver, Pool};
    use super::*;
    use crate::units::Duration;

    fn busy(size: u32, overflow: u32, timeout_ms: u64) -> (Pool, Vec<Connection>) {
        let config = PoolConfig {
            size,
            overflow,
            acquire_timeout: Some(Duration::millis(timeout_ms)),
            ..config(Driver::Sqlalchemy)
        };
        all_busy(config, size + overflow)
    }

    #[test]
    fn the_idle_queue_is_fifo_or_lifo() {
        for (lifo, order) in [(false, [1, 0, 2]), (true, [2, 0, 1])] {
            let config = PoolConfig { size: 3, lifo, ..config(Driver::Sqlalchemy) };
            let (mut pool, held) = all_busy(config, 3);
            for index in [1, 0, 2] {
                assert_eq!(pool.release(ms(1), held[index]), Released::Idle);
            }
            for index in order {
                assert_eq!(pool.acquire(ms(2), 9), Acquire::Granted(held[index]));
            }
        }
    }

    #[test]
    fn t18_the_sixth_idle_connection_is_closed_at_once() {
        let (mut pool, held) = busy(5, 10, 1_000);
        assert_eq!(pool.acquire(ms(0), 99), Acquire::Wait);
        assert!(pool.cancel(99));
        for connection in &held[..5] {
            assert_eq!(pool.release(ms(1), *connection), Released::Idle);
        }
        for connection in &held[5..] {
            assert_eq!(pool.release(ms(1), *connection), Released::Close);
        }
        assert_eq!((pool.total(), pool.idle()), (5, 5));
    }

    #[test]
    fn t19_a_closing_overflow_connection_counts_and_its_end_wakes_nobody() {
        let (mut pool, held) = busy(1, 1, 1_000);
        assert_eq!(pool.release(ms(1), held[0]), Released::Idle);
        assert_eq!(pool.release(ms(1), held[1]), Released::Close);
        assert_eq!(pool.acquire(ms(1), 5), Acquire::Granted(held[0]));
        assert_eq!(pool.acquire(ms(1), 6), Acquire::Wait, "`_dec_overflow` comes after the close");
        assert_eq!(pool.closed(ms(2)), None);
        assert!(matches!(pool.acquire(ms(3), 7), Acquire::Connect(_)), "a newcomer sees the room");
        assert_eq!(pool.waiting(), 1, "the waiter does not");
    }

    /// The order that SQLAlchemy 2.1.9 shows with a stub driver: one connection, waiters A and B, and a
    /// task that gives it back and wants it again at once.
    #[test]
    fn t19_who_takes_before_the_woken_waiter_runs_sends_it_to_the_tail() {
        let (mut pool, held) = busy(1, 0, 1_000);
        let (a, b, greedy) = (1, 2, 3);
        assert_eq!(pool.acquire(ms(1), a), Acquire::Wait);
        assert_eq!(pool.acquire(ms(2), b), Acquire::Wait);
        assert_eq!(pool.release(ms(3), held[0]), Released::Woken { task: a });
        assert_eq!(pool.acquire(ms(3), greedy), Acquire::Granted(held[0]));
        assert!(pool.is_woken(a));
        assert_eq!(pool.acquire(ms(3), a), Acquire::Wait);
        assert_eq!(pool.release(ms(4), held[0]), Released::Woken { task: b });
        assert_eq!(pool.acquire(ms(4), b), Acquire::Granted(held[0]));
        assert_eq!(pool.release(ms(5), held[0]), Released::Woken { task: a });
    }

    #[test]
    fn who_queues_again_keeps_its_deadline() {
        let (mut pool, held) = busy(1, 0, 100);
        assert_eq!(pool.acquire(ms(0), 1), Acquire::Wait);
        assert_eq!(pool.acquire(ms(50), 2), Acquire::Wait);
        assert_eq!(pool.release(ms(60), held[0]), Released::Woken { task: 1 });
        assert_eq!(pool.acquire(ms(60), 3), Acquire::Granted(held[0]));
        assert_eq!(pool.acquire(ms(60), 1), Acquire::Wait);
        assert_eq!(pool.next_deadline(), Some(ms(100)));
        assert_eq!(pool.expire(ms(99)), None);
        assert_eq!(pool.expire(ms(100)), Some(Expired::Woken { task: 1 }));
        assert_eq!(pool.expire(ms(100)), None);
        assert_eq!(pool.acquire(ms(100), 1), Acquire::TimedOut);
        assert_eq!(pool.next_deadline(), Some(ms(150)));
        assert_eq!(pool.expire(ms(150)), Some(Expired::Woken { task: 2 }));
    }

    /// One slot whose opening fails at 0.2 s: a waiter with 3 s is served only after those
    /// (SQLAlchemy 2.1.9 with a stub driver).
    #[test]
    fn t19_a_failed_opening_wakes_nobody_and_the_late_waiter_opens_for_itself() {
        let config = PoolConfig {
            size: 1,
            acquire_timeout: Some(Duration::secs(3)),
            ..config(Driver::Sqlalchemy)
        };
        let mut pool = Pool::new(config);
        let Acquire::Connect(first) = pool.acquire(ms(0), 1) else { panic!("no room") };
        assert_eq!(pool.acquire(ms(0), 2), Acquire::Wait);
        let failed = pool.connect_failed(ms(200), first);
        assert_eq!(failed, Some(ConnectFailed { owner: Some(1), served: None }));
        assert_eq!(pool.next_deadline(), Some(ms(3_000)));
        assert_eq!(pool.expire(ms(3_000)), Some(Expired::Woken { task: 2 }));
        assert!(matches!(pool.acquire(ms(3_000), 2), Acquire::Connect(_)));
    }

    #[test]
    fn an_invalidated_connection_leaves_a_record_that_the_next_user_fills() {
        let (mut pool, held) = busy(1, 0, 1_000);
        assert_eq!(pool.acquire(ms(1), 7), Acquire::Wait);
        assert_eq!(pool.discard(ms(2), held[0]), Some(Served::Woken { task: 7 }));
        assert_eq!((pool.total(), pool.waiting()), (0, 0));
        let Acquire::Connect(connection) = pool.acquire(ms(2), 7) else { panic!("a record") };
        assert_eq!(pool.connected(ms(3), connection), Connected::Granted { task: 7 });
    }

    #[test]
    fn an_old_connection_is_replaced_at_its_next_checkout() {
        let lifetime = Some(Duration::millis(50));
        let config = PoolConfig { size: 1, max_lifetime: lifetime, ..config(Driver::Sqlalchemy) };
        let mut pool = Pool::new(config);
        let first = opened(&mut pool, ms(0), 1);
        assert_eq!(pool.release(ms(10), first), Released::Idle);
        assert_eq!(pool.acquire(ms(50), 2), Acquire::Granted(first), "not older than 50 ms");
        assert_eq!(pool.release(ms(51), first), Released::Idle);
        assert!(matches!(pool.acquire(ms(51), 3), Acquire::Reconnect { .. }));
        assert_eq!(pool.total(), 1);
    }

    #[test]
    fn one_that_was_cut_invalidates_all_that_were_opened_before_it_was_found() {
        let (mut pool, held) = busy(3, 0, 1_000);
        for connection in &held {
            pool.release(ms(1), *connection);
        }
        let Acquire::Granted(first) = pool.acquire(ms(2), 1) else { panic!("idle ones") };
        let new = pool.replace(ms(2), first, 1);
        assert_eq!(pool.connected(ms(3), new), Connected::Granted { task: 1 });
        for (task, old) in [(2, held[1]), (3, held[2])] {
            let Acquire::Reconnect { old: closed, new } = pool.acquire(ms(4), task) else {
                panic!("invalid")
            };
            assert_eq!(closed, old);
            assert_eq!(pool.connected(ms(5), new), Connected::Granted { task });
        }
        // What was opened since is good, and one more that is old tells nothing new.
        pool.release(ms(6), new);
        assert!(matches!(pool.acquire(ms(6), 4), Acquire::Granted(_)));
        pool.invalidate(ms(7), new);
        pool.release(ms(7), new);
        assert!(matches!(pool.acquire(ms(8), 5), Acquire::Reconnect { .. }));
    }

    #[test]
    fn a_record_that_cannot_be_filled_goes_back_and_wakes_a_waiter() {
        let (mut pool, held) = busy(1, 0, 1_000);
        assert_eq!(pool.acquire(ms(1), 7), Acquire::Wait);
        let new = pool.replace(ms(2), held[0], 0);
        let served = Some(Served::Woken { task: 7 });
        assert_eq!(pool.connect_failed(ms(3), new), Some(ConnectFailed { owner: Some(0), served }));
        assert!(matches!(pool.acquire(ms(3), 7), Acquire::Connect(_)), "it fills the record");
    }
}
