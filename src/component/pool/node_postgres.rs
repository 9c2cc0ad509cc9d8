//! The connection pool of one process, as node-postgres keeps it (pg-pool 3.14.0, `index.js`).
//!
//! A pool has at most `size` connections, a stack of idle ones (last in, first out) and a queue of
//! requests (first in, first out). What makes it behave unlike a textbook station:
//!
//! - A request that finds no idle connection and room in the pool opens a connection **for itself**
//!   and waits for exactly that one, whatever becomes idle meanwhile (`newClient`).
//! - A connection counts from the moment its opening starts, and no more from the moment its
//!   closing starts; the queue is served again only when the closing has ended (`_remove`).
//! - One clock, `connectionTimeoutMillis`, is used twice: for a queued request from the moment of
//!   queuing, and for every opening from its start. A request that opens a connection on arrival
//!   has only the second; one that queued first has both.
//! - `min` opens nothing: it only keeps the idle timeout from closing.

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

/// A pool of node-postgres.
pub struct NodePostgres {
    config: PoolConfig,
    places: Places,
    waiters: VecDeque<Waiter>,
}

impl Rules for NodePostgres {
    /// A pool without connections: `min` opens none.
    ///
    /// # Panics
    /// If the size is zero (which the product reads as "10").
    fn new(config: PoolConfig) -> NodePostgres {
        assert!(config.size > 0, "a pool has room for a connection");
        NodePostgres { config, places: Places::default(), waiters: VecDeque::new() }
    }

    fn prefill(&mut self, now: Time, count: u32) {
        assert!(count <= self.config.size, "a pool is full at its size");
        self.places.prefill(now, count);
    }

    /// A request wants a connection. It overtakes the queue where the pool has room (`connect`
    /// looks at the idle stack and at the size only).
    #[inline]
    fn acquire(&mut self, now: Time, task: u32) -> Acquire {
        if let Some(connection) = self.places.take_hot() {
            return Acquire::Granted(connection);
        }
        if self.places.total() < self.config.size {
            return Acquire::Connect(self.open(now, task, Time::NEVER));
        }
        let deadline = after(now, self.config.acquire_timeout);
        self.waiters.push_back(Waiter { task, deadline });
        Acquire::Wait
    }

    fn connected(&mut self, now: Time, connection: Connection) -> Connected {
        match self.places.opened(now, connection) {
            None => Connected::Stale,
            Some(Some(task)) => Connected::Granted { task },
            Some(None) => Connected::Unclaimed(self.release(now, connection)),
        }
    }

    fn connect_failed(&mut self, now: Time, connection: Connection) -> Option<ConnectFailed> {
        let owner = self.places.failed(connection)?;
        Some(ConnectFailed { owner, served: self.serve(now) })
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
        if let Some(waiter) = self.waiters.pop_front() {
            return Released::Handed { task: waiter.task };
        }
        self.places.rest(now, connection);
        Released::Idle
    }

    /// As `pool.query` does after *any* failed statement. The pool has room at once, but the queue is
    /// served only after [`Rules::closed`].
    fn discard(&mut self, _now: Time, connection: Connection) -> Option<Served> {
        self.places.forget(connection.slot);
        None
    }

    /// Serves the queue once: to no avail if the room was taken meanwhile.
    fn closed(&mut self, now: Time) -> Option<Served> {
        self.serve(now)
    }

    fn expire(&mut self, now: Time) -> Option<Expired> {
        let (deadline, what) = self.earliest_deadline()?;
        if deadline > now {
            return None;
        }
        let Some((connection, of_owner)) = what else {
            let waiter = self.waiters.pop_front().expect("its deadline was just read");
            return Some(Expired::Acquire { task: waiter.task });
        };
        if of_owner {
            return Some(Expired::Acquire { task: self.places.disown(connection.slot) });
        }
        let failed = self.connect_failed(now, connection).expect("it was connecting");
        Some(Expired::Connect { connection, failed })
    }

    /// Not in the product, whose `connect` takes no signal; applications race it against one.
    fn cancel(&mut self, task: u32) -> bool {
        let place = self.waiters.iter().position(|waiter| waiter.task == task);
        if let Some(place) = place {
            self.waiters.remove(place);
        }
        place.is_some()
    }

    /// All timeouts are equal, so only the oldest request of the queue counts, and the openings.
    fn next_deadline(&self) -> Option<Time> {
        self.earliest_deadline().map(|(deadline, _)| deadline)
    }

    fn expire_idle(&mut self, now: Time) -> Option<Connection> {
        let position = if self.idle_deadline()? <= now {
            0
        } else {
            let lifetime = self.config.max_lifetime;
            let old = |slot| after(self.places.age_of(slot), lifetime) <= now;
            self.places.idle_slots().position(old)?
        };
        Some(self.places.remove_idle(position))
    }

    fn next_idle_expiry(&self) -> Option<Time> {
        let mut next = self.idle_deadline()?;
        if let Some(lifetime) = self.config.max_lifetime {
            for slot in self.places.idle_slots() {
                next = next.min(after(self.places.age_of(slot), Some(lifetime)));
            }
        }
        (next < Time::NEVER).then_some(next)
    }

    /// Its end serves nobody (`makeIdleListener` removes without a callback).
    fn sever_idle(&mut self) -> Option<Connection> {
        self.places.sever_idle()
    }
    fn sever(&mut self, connection: Connection) -> bool {
        self.places.sever(connection)
    }

    fn lose_all(&mut self) -> u32 {
        self.waiters.clear();
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

impl NodePostgres {
    /// `_pulseQueue`: the oldest waiting request gets an idle connection, or a new one, or nothing.
    fn serve(&mut self, now: Time) -> Option<Served> {
        if self.places.idle() == 0 && self.places.total() >= self.config.size {
            return None;
        }
        let Waiter { task, deadline } = self.waiters.pop_front()?;
        Some(match self.places.take_hot() {
            Some(connection) => Served::Granted { task, connection },
            None => Served::Connect { task, connection: self.open(now, task, deadline) },
        })
    }

    fn open(&mut self, now: Time, task: u32, owner_deadline: Time) -> Connection {
        let deadline = after(now, self.config.acquire_timeout);
        self.places.open(now, Some(task), owner_deadline, deadline)
    }

    /// The earliest deadline, and whose it is: that of the head of the queue, or of an opening or its
    /// owner.
    fn earliest_deadline(&self) -> Option<(Time, Option<(Connection, bool)>)> {
        self.config.acquire_timeout?;
        let mut earliest = self.waiters.front().map(|waiter| (waiter.deadline, None));
        for (connection, owner_deadline, deadline) in self.places.opening() {
            let due = owner_deadline.min(deadline);
            if earliest.is_none_or(|(first, _)| due < first) {
                earliest = Some((due, Some((connection, owner_deadline <= deadline))));
            }
        }
        earliest
    }

    /// When the connection that was idle for longest has been so for too long, or `NEVER`; `None`
    /// when nothing is idle.
    ///
    /// The product arms a timer when a connection becomes idle, if there are more than `min` then,
    /// and asks once more when it fires. Asking only now is the same: while something is idle no
    /// connection is opened, so a pool that is not above `min` does not come above it.
    fn idle_deadline(&self) -> Option<Time> {
        let since = self.places.idle_since(0)?;
        Some(if self.places.total() > self.config.min {
            after(since, self.config.idle_timeout)
        } else {
            Time::NEVER
        })
    }
}

#[cfg(test)]
mod tests;
