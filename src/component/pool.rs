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
//!
//! The pool never connects or closes anything itself: its answers say what its owner must start.
//! Requests are known by the number of their task. Task numbers may be used again as soon as the
//! pool has let go of them.

use crate::units::{Duration, Time};
use std::collections::VecDeque;

/// The options of a pool; the defaults are the product's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PoolConfig {
    /// The most connections at a time, opening ones included (`max`, 10).
    pub size: u32,
    /// How many connections the idle timeout leaves alone (`min`, 0). Opens nothing by itself.
    pub min: u32,
    /// How long a request waits in the queue, and how long an opening may take
    /// (`connectionTimeoutMillis`; 0, the default, is `None`: for ever).
    pub acquire_timeout: Option<Duration>,
    /// How long a connection stays open unused (`idleTimeoutMillis`, 10 s; 0 is `None`: for ever).
    pub idle_timeout: Option<Duration>,
    /// After how many uses a connection is closed (`maxUses`, none).
    pub max_uses: Option<u32>,
    /// At what age a connection is closed, once it is not in use (`maxLifetimeSeconds`, none).
    pub max_lifetime: Option<Duration>,
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig {
            size: 10,
            min: 0,
            acquire_timeout: None,
            idle_timeout: Some(Duration::secs(10)),
            max_uses: None,
            max_lifetime: None,
        }
    }
}

/// One connection of a pool, from the start of its opening on. Its slot is used again later, under
/// another generation, so that news about an opening that was given up is recognised as stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Its place in the pool: below the pool's size.
    pub slot: u32,
    /// How many connections had this place before.
    pub generation: u32,
}

/// What becomes of a request for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquire {
    /// It has this one at once.
    Granted(Connection),
    /// Start to open this one; the request is bound to it.
    Connect(Connection),
    /// It is in the queue.
    Wait,
}

/// What the oldest request of the queue gets when the queue is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Served {
    /// It has an idle connection.
    Granted {
        /// Whose wait has ended.
        task: u32,
        /// What it holds now.
        connection: Connection,
    },
    /// Start to open this one; the request is bound to it and keeps the deadline of its queuing.
    Connect {
        /// Who waits for it.
        task: u32,
        /// What to open.
        connection: Connection,
    },
}

/// What becomes of a connection that its holder gave back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Released {
    /// The oldest waiting request holds it now.
    Handed {
        /// Whose wait has ended.
        task: u32,
    },
    /// It lies idle.
    Idle,
    /// It is out of the pool: start to close it, and report [`Pool::closed`] afterwards.
    Close,
}

/// What becomes of a connection that has opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connected {
    /// The request that it was opened for holds it.
    Granted {
        /// Whose wait has ended.
        task: u32,
    },
    /// That request gave up before; the connection goes the way of one that was given back.
    Unclaimed(Released),
    /// The opening itself was given up before: the pool knows nothing of it any more.
    Stale,
}

/// What follows from an opening that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectFailed {
    /// Who gets the error, unless it gave up before.
    pub owner: Option<u32>,
    /// The queue was served once, *before* the owner learns of the error.
    pub served: Option<Served>,
}

/// A deadline that has passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expired {
    /// A request that queued gets "timeout exceeded when trying to connect". If a connection was
    /// already opening for it, that goes on without an owner.
    Acquire {
        /// Who gives up.
        task: u32,
    },
    /// An opening took too long and was cut off ("Connection terminated due to connection
    /// timeout").
    Connect {
        /// What was opening; what is still heard of it is stale.
        connection: Connection,
        /// Who gets the error and who is served: as for any failed opening.
        failed: ConnectFailed,
    },
}

#[derive(Clone, Copy)]
enum State {
    Free,
    Connecting { owner: Option<u32>, owner_deadline: Time, deadline: Time },
    Idle { since: Time },
    Busy,
}

#[derive(Clone, Copy)]
struct Slot {
    state: State,
    generation: u32,
    uses: u32,
    opened: Time,
}

#[derive(Clone, Copy)]
struct Waiter {
    task: u32,
    deadline: Time,
}

/// One pool: of one process, to one database.
pub struct Pool {
    config: PoolConfig,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots of idle connections, the one that was used last at the back.
    idle: VecDeque<u32>,
    waiters: VecDeque<Waiter>,
    total: u32,
    connecting: u32,
}

impl Pool {
    /// A pool without connections: `min` opens none.
    ///
    /// # Panics
    /// If the size is zero (which the product reads as "10").
    pub fn new(config: PoolConfig) -> Pool {
        assert!(config.size > 0, "a pool has room for a connection");
        Pool {
            config,
            slots: Vec::new(),
            free: Vec::new(),
            idle: VecDeque::new(),
            waiters: VecDeque::new(),
            total: 0,
            connecting: 0,
        }
    }

    /// Puts `count` idle connections into an empty pool: the initial state of a run that starts
    /// warm.
    pub fn prefill(&mut self, now: Time, count: u32) {
        assert!(self.total == 0 && count <= self.config.size, "a warm start fills an empty pool");
        for _ in 0..count {
            let slot = self.open(now, None, Time::NEVER).slot;
            self.connecting -= 1;
            self.slots[slot as usize].state = State::Idle { since: now };
            self.idle.push_back(slot);
        }
    }

    /// A request wants a connection. It overtakes the queue where the pool has room (`connect`
    /// looks at the idle stack and at the size only).
    #[inline]
    pub fn acquire(&mut self, now: Time, task: u32) -> Acquire {
        if let Some(connection) = self.pop_idle() {
            return Acquire::Granted(connection);
        }
        if self.total < self.config.size {
            return Acquire::Connect(self.open(now, Some(task), Time::NEVER));
        }
        let deadline = after(now, self.config.acquire_timeout);
        self.waiters.push_back(Waiter { task, deadline });
        Acquire::Wait
    }

    /// A connection has opened.
    pub fn connected(&mut self, now: Time, connection: Connection) -> Connected {
        let Some(owner) = self.connecting_owner(connection) else { return Connected::Stale };
        self.connecting -= 1;
        let slot = &mut self.slots[connection.slot as usize];
        slot.state = State::Busy;
        slot.opened = now;
        match owner {
            Some(task) => Connected::Granted { task },
            None => Connected::Unclaimed(self.release(now, connection)),
        }
    }

    /// A connection could not be opened (refused, or too many at the server). `None`: the opening
    /// was given up before.
    pub fn connect_failed(&mut self, now: Time, connection: Connection) -> Option<ConnectFailed> {
        let owner = self.connecting_owner(connection)?;
        self.connecting -= 1;
        self.forget(connection.slot);
        Some(ConnectFailed { owner, served: self.serve(now) })
    }

    /// The holder gives a connection back in good order.
    #[inline]
    pub fn release(&mut self, now: Time, connection: Connection) -> Released {
        let slot = self.held(connection);
        slot.uses += 1;
        let (uses, opened) = (slot.uses, slot.opened);
        if self.config.max_uses.is_some_and(|most| uses >= most)
            || now >= after(opened, self.config.max_lifetime)
        {
            self.forget(connection.slot);
            return Released::Close;
        }
        if let Some(waiter) = self.waiters.pop_front() {
            return Released::Handed { task: waiter.task };
        }
        self.held(connection).state = State::Idle { since: now };
        self.idle.push_back(connection.slot);
        Released::Idle
    }

    /// The holder gives a connection back with an error, as `pool.query` does after *any* failed
    /// statement. The pool has room at once, but the queue is served only after [`Pool::closed`].
    pub fn discard(&mut self, connection: Connection) {
        debug_assert!(matches!(self.held(connection).state, State::Busy), "only a holder discards");
        self.forget(connection.slot);
    }

    /// The closing of a connection has ended. Serves the queue once: to no avail if the room was
    /// taken meanwhile.
    pub fn closed(&mut self, now: Time) -> Option<Served> {
        self.serve(now)
    }

    /// The next deadline of a request or an opening that has passed; to be asked until `None`.
    pub fn expire(&mut self, now: Time) -> Option<Expired> {
        let (deadline, place) = self.earliest_deadline()?;
        if deadline > now {
            return None;
        }
        let Some(slot) = place else {
            let waiter = self.waiters.pop_front().expect("its deadline was just read");
            return Some(Expired::Acquire { task: waiter.task });
        };
        let place = &mut self.slots[slot as usize];
        let connection = Connection { slot, generation: place.generation };
        match &mut place.state {
            State::Connecting { owner, owner_deadline, .. } if *owner_deadline <= now => {
                *owner_deadline = Time::NEVER;
                let task = owner.take().expect("only an owner has a deadline");
                Some(Expired::Acquire { task })
            }
            _ => {
                let failed = self.connect_failed(now, connection).expect("it was connecting");
                Some(Expired::Connect { connection, failed })
            }
        }
    }

    /// A queued request is not wanted any more: it leaves the queue. Says whether it stood there. Not
    /// in the product, whose `connect` takes no signal; applications race it against one.
    pub fn cancel(&mut self, task: u32) -> bool {
        let place = self.waiters.iter().position(|waiter| waiter.task == task);
        if let Some(place) = place {
            self.waiters.remove(place);
        }
        place.is_some()
    }

    /// When [`Pool::expire`] has something to say next. All timeouts are equal, so only the oldest
    /// request of the queue counts, and the openings.
    pub fn next_deadline(&self) -> Option<Time> {
        self.earliest_deadline().map(|(deadline, _)| deadline)
    }

    /// A connection that has been idle or alive for too long, now out of the pool: start to close
    /// it, and report [`Pool::closed`] afterwards. To be asked until `None`.
    pub fn expire_idle(&mut self, now: Time) -> Option<Connection> {
        let position = if self.idle_deadline()? <= now {
            0
        } else {
            let slots = &self.slots;
            let lifetime = self.config.max_lifetime;
            self.idle.iter().position(|&s| after(slots[s as usize].opened, lifetime) <= now)?
        };
        let slot = self.idle.remove(position).expect("the position was just found");
        Some(self.forget(slot))
    }

    /// When [`Pool::expire_idle`] has something to say next.
    pub fn next_idle_expiry(&self) -> Option<Time> {
        let mut next = self.idle_deadline()?;
        if let Some(lifetime) = self.config.max_lifetime {
            for &slot in &self.idle {
                next = next.min(after(self.slots[slot as usize].opened, Some(lifetime)));
            }
        }
        (next < Time::NEVER).then_some(next)
    }

    /// The server has cut an idle connection: it is out of the pool, and its end serves nobody
    /// (`makeIdleListener` removes without a callback). To be asked until `None` when a server
    /// dies.
    pub fn sever_idle(&mut self) -> Option<Connection> {
        let slot = self.idle.pop_front()?;
        Some(self.forget(slot))
    }

    /// The process has died: all connections are gone, and so is the queue. Says how many connections
    /// there were. News of openings that were under way is stale.
    pub fn lose_all(&mut self) -> u32 {
        let total = self.total;
        for slot in 0..self.slots.len() as u32 {
            if !matches!(self.slots[slot as usize].state, State::Free) {
                self.forget(slot);
            }
        }
        self.idle.clear();
        self.waiters.clear();
        self.connecting = 0;
        total
    }

    /// Connections that are opening, idle or in use (`totalCount`).
    pub fn total(&self) -> u32 {
        self.total
    }
    /// Connections that nobody uses (`idleCount`).
    pub fn idle(&self) -> u32 {
        self.idle.len() as u32
    }
    /// Connections that somebody holds.
    pub fn busy(&self) -> u32 {
        self.total - self.connecting - self.idle()
    }
    /// Connections that are opening.
    pub fn connecting(&self) -> u32 {
        self.connecting
    }
    /// Requests in the queue (`waitingCount`); those that wait for their own connection are not.
    pub fn waiting(&self) -> u32 {
        self.waiters.len() as u32
    }
    /// The options it was made with.
    pub fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// `_pulseQueue`: the oldest waiting request gets an idle connection, or a new one, or nothing.
    fn serve(&mut self, now: Time) -> Option<Served> {
        if self.idle.is_empty() && self.total >= self.config.size {
            return None;
        }
        let Waiter { task, deadline } = self.waiters.pop_front()?;
        Some(match self.pop_idle() {
            Some(connection) => Served::Granted { task, connection },
            None => {
                let connection = self.open(now, Some(task), deadline);
                Served::Connect { task, connection }
            }
        })
    }

    fn open(&mut self, now: Time, owner: Option<u32>, owner_deadline: Time) -> Connection {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { state: State::Free, generation: 0, uses: 0, opened: now });
            self.slots.len() as u32 - 1
        });
        let deadline = after(now, self.config.acquire_timeout);
        let place = &mut self.slots[slot as usize];
        place.state = State::Connecting { owner, owner_deadline, deadline };
        place.uses = 0;
        place.opened = now;
        self.total += 1;
        self.connecting += 1;
        Connection { slot, generation: place.generation }
    }

    fn pop_idle(&mut self) -> Option<Connection> {
        let slot = self.idle.pop_back()?;
        let place = &mut self.slots[slot as usize];
        place.state = State::Busy;
        Some(Connection { slot, generation: place.generation })
    }

    fn forget(&mut self, slot: u32) -> Connection {
        let place = &mut self.slots[slot as usize];
        let connection = Connection { slot, generation: place.generation };
        place.state = State::Free;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        self.total -= 1;
        connection
    }

    fn held(&mut self, connection: Connection) -> &mut Slot {
        let slot = &mut self.slots[connection.slot as usize];
        debug_assert!(slot.generation == connection.generation, "that connection is gone");
        debug_assert!(matches!(slot.state, State::Busy), "nobody holds that connection");
        slot
    }

    fn connecting_owner(&self, connection: Connection) -> Option<Option<u32>> {
        let slot = &self.slots[connection.slot as usize];
        match slot.state {
            State::Connecting { owner, .. } if slot.generation == connection.generation => {
                Some(owner)
            }
            _ => None,
        }
    }

    /// The earliest deadline, and the slot that it belongs to, or `None` for the head of the queue.
    fn earliest_deadline(&self) -> Option<(Time, Option<u32>)> {
        self.config.acquire_timeout?;
        let mut earliest = self.waiters.front().map(|waiter| (waiter.deadline, None));
        if self.connecting > 0 {
            for (slot, place) in self.slots.iter().enumerate() {
                if let State::Connecting { owner_deadline, deadline, .. } = place.state {
                    let due = owner_deadline.min(deadline);
                    if earliest.is_none_or(|(first, _)| due < first) {
                        earliest = Some((due, Some(slot as u32)));
                    }
                }
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
        let oldest = self.slots[*self.idle.front()? as usize].state;
        Some(match oldest {
            State::Idle { since } if self.total > self.config.min => {
                after(since, self.config.idle_timeout)
            }
            _ => Time::NEVER,
        })
    }
}

/// The end of a timeout; for ever without one.
fn after(start: Time, timeout: Option<Duration>) -> Time {
    match timeout {
        Some(length) if length < Duration::FOREVER => start + length,
        _ => Time::NEVER,
    }
}

#[cfg(test)]
mod tests;
