//! Connection pools in front of databases: the glue between [`component::pool`](crate::component)
//! and the events. One sub-pool per worker process, shard and database node.

mod lookup;
mod lost;
mod opening;
mod place;
mod start;
mod unanswered;

use crate::component::pool::{Acquire, Connection, Expired, Heard, Pool, Released, Served};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::{LawId, PoolId};
use crate::model::tape::{Op, Pc, Route};
use crate::model::{self, Discards};
use crate::units::{Duration, Time};

pub(super) use opening::{Begun, Opening};
pub(super) use unanswered::Unanswered;

use super::event::Kind;
use super::meter::{Counter, MILLI, Part};
use super::pooler::Behind;
use super::task::{Lease, OK, State};
use super::world::World;

/// Whether the server has cut a connection before it is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// It has, and has its slot back.
    Yes,
    /// It learns of the end by the handshake.
    No,
}

/// The pool of one process to one database node.
pub struct SubPool {
    /// Its state machine.
    pub pool: Pool,
    /// Its kind.
    pub kind: PoolId,
    /// The database node that it connects to.
    pub node: u32,
    /// What lies between its process and that node, or the pooler before it.
    pub route: LawId,
    /// The round trip of its statements, where that is always the same.
    pub trip: Option<Duration>,
    /// What it has of the pooler that it goes through.
    pub behind: Option<Box<Behind>>,
    /// When its next timer is scheduled.
    pub armed: Time,
    /// The replica that the next read of this process goes to (used in the primary's sub-pool).
    pub rotation: u32,
    /// Connections that are being opened, and what the server makes of them.
    opening: Vec<Begun>,
    /// Connections in use that the server has cut; their holders do not know yet.
    pub(super) cut: Vec<(Connection, Failure)>,
    /// Connections whose server is still at a statement that nobody waits for.
    pub(super) unanswered: Vec<Unanswered>,
    /// Connections opened so far: numbers its random draws.
    pub connects: u32,
}

impl SubPool {
    /// Why the server has cut this connection, if it has.
    #[inline(always)]
    pub fn is_cut(&self, connection: Connection) -> Option<Failure> {
        self.cut.iter().find(|(one, _)| *one == connection).map(|(_, why)| *why)
    }
    /// Its process has died: it has no connections and no queue. Says how many connections it had.
    pub fn lose_all(&mut self) -> u32 {
        self.opening.clear();
        self.cut.clear();
        self.unanswered.clear();
        self.armed = Time::NEVER;
        self.rotation = 0;
        self.pool.lose_all()
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A running callback wants a connection. True: it has one and goes on.
    pub fn acquire(&mut self, task: u32, kind: PoolId, route: Route, write: bool) -> bool {
        let spec = &self.model.pools[kind];
        if spec.reshards && self.waits_for_switch(task, kind, route) {
            return false;
        }
        let station = spec.station;
        let again = if spec.config.driver.wakes() { self.woken_at(task, kind) } else { None };
        let sub = again.unwrap_or_else(|| {
            self.meters[station].count(Counter::Arrivals);
            self.choose_sub_pool(task, kind, route, write)
        });
        let now = self.now;
        match self.pools[sub as usize].pool.acquire(now, task) {
            Acquire::Granted(connection) => {
                if again.is_none() {
                    self.meters[station].pass();
                }
                self.granted(task, sub, connection);
                return true;
            }
            Acquire::Connect(connection) => {
                self.tasks[task].state = State::Connecting;
                self.connect(sub, connection, Duration::ZERO);
            }
            Acquire::Reconnect { old, new } => {
                self.tasks[task].state = State::Connecting;
                let cut = self.pools[sub as usize].how_cut(old);
                let closed = self.start_closing(sub, cut, Heard::No);
                self.connect(sub, new, closed);
            }
            Acquire::Wait => self.tasks[task].state = State::PoolQueue,
            Acquire::TimedOut => {
                self.count(station, Counter::TimedOut);
                self.fail(task, Failure::AcquireTimeout);
                return false;
            }
        }
        self.tasks[task].since = now;
        self.meters[station].enter(now);
        if Q::TELLS {
            self.tell_asked(task, sub);
        }
        self.arm_pool(sub);
        false
    }

    /// The sub-pool that has woken a task, which asks again.
    fn woken_at(&self, task: u32, kind: PoolId) -> Option<u32> {
        let first = self.first_sub_pool(kind, self.tasks[task].worker);
        let mut subs = first..first + self.sub_pools_per_worker(kind);
        subs.find(|sub| self.pools[*sub as usize].pool.is_woken(task))
    }

    /// The task holds the connection from now on.
    fn granted(&mut self, task: u32, sub: u32, connection: Connection) {
        let station = self.model.pools[self.pools[sub as usize].kind].station;
        self.meters[station].busy.add(self.now, MILLI);
        let record = &mut self.tasks[task];
        record.push_lease(Lease { pool: sub, connection });
        record.pc = Pc(record.pc.0 + 1);
    }

    /// The pool serves the oldest request of its queue outside of any callback of that request.
    fn served(&mut self, sub: u32, served: Served) {
        match served {
            Served::Granted { task, connection } => {
                self.leave(task, self.model.pools[self.pools[sub as usize].kind].station);
                self.granted(task, sub, connection);
                self.resume(task);
            }
            Served::Connect { task, connection } => {
                self.tasks[task].state = State::Connecting;
                self.connect(sub, connection, Duration::ZERO);
            }
            Served::Woken { task } => {
                self.leave(task, self.model.pools[self.pools[sub as usize].kind].station);
                self.resume(task);
            }
        }
    }

    /// A running callback returns its connection, which may serve the oldest waiter. Says how long it
    /// waits for the end of the connection, if that is closed and the product waits.
    pub fn release(&mut self, lease: Lease) -> Option<Duration> {
        let now = self.now;
        let state = &mut self.pools[lease.pool as usize];
        let station = self.model.pools[state.kind].station;
        self.meters[station].busy.add(now, -MILLI);
        self.meters[station].count(Counter::Served);
        let spec = &self.model.pools[state.kind];
        let awaits_close = spec.awaits_close;
        if !state.cut.is_empty() && state.take_cut(lease.connection) {
            state.pool.invalidate(now, lease.connection);
            self.close_broken(lease, Cut::Yes);
            return None;
        }
        let released = state.pool.release(now, lease.connection);
        if state.behind.is_some() {
            self.client_lets_go(lease, released != Released::Close);
        }
        let closing = self.released(lease.pool, lease.connection, released);
        self.arm_pool(lease.pool);
        closing.filter(|_| awaits_close)
    }

    /// What became of a connection that its holder gave back. Says how long its closing takes.
    fn released(
        &mut self,
        sub: u32,
        connection: Connection,
        released: Released,
    ) -> Option<Duration> {
        match released {
            Released::Handed { task } => {
                // `pool.query` goes on in the callback that `release` calls; `await pool.connect()`
                // in a promise's, which runs when this callback awaits (pg-pool 3.14.0, `promisify`).
                let awaited = matches!(self.op_at(task), Op::Acquire { awaited: true, .. });
                self.leave(task, self.model.pools[self.pools[sub as usize].kind].station);
                self.granted(task, sub, connection);
                if awaited { self.go_on_after(task) } else { self.go_on_within(task) }
            }
            Released::Passed { task } => {
                self.leave(task, self.model.pools[self.pools[sub as usize].kind].station);
                self.granted(task, sub, connection);
                self.resume(task);
            }
            Released::Woken { task } => {
                self.leave(task, self.model.pools[self.pools[sub as usize].kind].station);
                self.resume(task);
            }
            Released::Idle => {}
            Released::Close => {
                let cut = self.pools[sub as usize].how_cut(connection);
                return Some(self.start_closing(sub, cut, Heard::Yes));
            }
        }
        None
    }

    /// A task that fails returns the connection that it took last. After a failed statement `pool.query`
    /// has the pool destroy it; who has taken it with `pool.connect` gives it back as it is.
    pub fn give_up_connection(&mut self, task: u32, lease: Lease, why: Failure) {
        let spec = &self.model.pools[self.pools[lease.pool as usize].kind];
        let statement = matches!(
            why,
            Failure::QueryError
                | Failure::StatementTimeout
                | Failure::QueryTimeout
                | Failure::LockTimeout
                | Failure::Deadlock
                | Failure::ReplayConflict
        );
        if !(statement && self.discards(task, spec, why)) {
            self.release(lease);
            return;
        }
        self.meters[spec.station].busy.add(self.now, -MILLI);
        let cut = self.pools[lease.pool as usize].how_cut(lease.connection);
        self.close_broken(lease, cut);
    }

    /// A connection that its holder has found broken, or made so, leaves its pool.
    fn close_broken(&mut self, lease: Lease, cut: Cut) {
        let sub = &mut self.pools[lease.pool as usize];
        let heard = sub.pool.config().driver.hears_of_discarded();
        let served = sub.pool.discard(self.now, lease.connection);
        self.client_lets_go(lease, false);
        self.start_closing(lease.pool, cut, heard);
        if let Some(served) = served {
            self.served(lease.pool, served);
        }
        self.arm_pool(lease.pool);
    }

    /// Whether the connection, the innermost, of a task whose statement has failed is destroyed.
    pub(super) fn discards(&self, task: u32, spec: &model::Pool, why: Failure) -> bool {
        match spec.discards {
            Discards::Never => false,
            // Poolers do not have clients whose answer is still to come.
            Discards::Queries if why == Failure::QueryTimeout && spec.pooler.is_some() => true,
            Discards::Queries => !self.took_by_hand(task),
            Discards::Always => true,
        }
    }

    /// Whether the connection that a task has just given up, the innermost, was taken by the application
    /// itself. Acquisitions and releases stand in pairs on the tape.
    fn took_by_hand(&self, task: u32) -> bool {
        let record = &self.tasks[task];
        // It has as many more left as acquisitions around that one.
        let mut inner = 0;
        for pc in (0..record.pc.0).rev() {
            match self.model.tape[pc as usize] {
                Op::Release => inner += 1,
                Op::Acquire { .. } if inner > 0 => inner -= 1,
                Op::Acquire { awaited, .. } => return awaited,
                _ => {}
            }
        }
        false
    }

    /// A connection has left the pool; after the close handshake the server has its slot back and
    /// the pool hears of it, unless it does not care. One that the server has cut has no slot there.
    /// Says how long that takes.
    pub(super) fn start_closing(&mut self, sub: u32, cut: Cut, heard: Heard) -> Duration {
        let state = &self.pools[sub as usize];
        let spec = &self.model.pools[state.kind];
        self.meters[spec.station].count(Counter::Closed);
        self.meters[spec.station].held.add(self.now, -1);
        let stream = self.sub_pool_stream(sub).named("close");
        let rtt = match spec.pooler {
            Some(pooler) => self.model.poolers[pooler].rtt,
            None => self.model.databases[spec.database].rtt,
        };
        let took = self.model.draw_law(rtt, stream, self.now.0 as u32);
        let node = state.node;
        let incarnation = match state.behind.as_ref().map(|behind| behind.pooler) {
            Some(pooler) => {
                self.free_client(pooler);
                0
            }
            None if cut == Cut::Yes => 0,
            None => self.node_mut(node).incarnation,
        };
        let told = incarnation << 1 | u32::from(heard == Heard::No);
        self.events.push(Event::new(self.now + took, Kind::Closed as u8, told, sub));
        took
    }

    /// The close handshake of a connection is over; only now is the queue served again.
    pub fn closed(&mut self, sub: u32, told: u32) {
        let node = self.pools[sub as usize].node;
        self.free_slot_of(node, told >> 1);
        if told & 1 != 0 {
            return;
        }
        if let Some(served) = self.pools[sub as usize].pool.closed(self.now) {
            self.served(sub, served);
        }
        self.arm_pool(sub);
    }

    /// Waiters whose time is up, openings that take too long, connections idle for too long.
    pub fn pool_timer(&mut self, sub: u32) {
        if let Some(pooler) = sub.checked_sub(self.pools.len() as u32) {
            return self.pooler_timer(pooler);
        }
        if self.pools[sub as usize].armed != self.now {
            return; // superseded
        }
        self.pools[sub as usize].armed = Time::NEVER;
        if self.is_frozen(sub) {
            return; // it looks again when it is thawed
        }
        let station = self.model.pools[self.pools[sub as usize].kind].station;
        while let Some(expired) = self.pools[sub as usize].pool.expire(self.now) {
            match expired {
                Expired::Acquire { task } => {
                    self.count(station, Counter::TimedOut);
                    self.leave(task, station);
                    self.resume_failed(task, Failure::AcquireTimeout);
                }
                Expired::Woken { task } => {
                    self.leave(task, station);
                    self.resume(task);
                }
                Expired::Connect { connection, failed } => {
                    self.count(station, Counter::TimedOut);
                    let opening = &mut self.pools[sub as usize].opening;
                    let place = opening.iter().position(|it| it.connection == connection);
                    let place = place.expect("what is cut off was being opened");
                    if opening.swap_remove(place).how.is_granted() {
                        self.start_closing(sub, Cut::No, Heard::Yes);
                    } else {
                        self.meters[station].held.add(self.now, -1);
                    }
                    self.connect_failed(sub, Some(failed), Failure::AcquireTimeout);
                }
            }
        }
        while let Some(connection) = self.pools[sub as usize].pool.expire_idle(self.now) {
            self.client_lets_go(Lease { pool: sub, connection }, false);
            let cut = self.pools[sub as usize].how_cut(connection);
            self.start_closing(sub, cut, Heard::Yes);
        }
        self.arm_pool(sub);
    }

    /// Has opened what the sub-pool wants opened, and schedules its next timer, if that is earlier than
    /// the one that is.
    pub(super) fn arm_pool(&mut self, sub: u32) {
        if self.pools[sub as usize].pool.config().driver.opens_by_itself() {
            // What a process had wanted to open is nobody's once it has ended.
            if self.is_ownerless(sub) {
                return;
            }
            self.open_more(sub);
        }
        let state = &mut self.pools[sub as usize];
        let deadline = state.pool.next_deadline().unwrap_or(Time::NEVER);
        let expiry = state.pool.next_idle_expiry().unwrap_or(Time::NEVER);
        // A waiter may queue again, behind a busy loop, when its time is already up.
        let at = deadline.min(expiry).max(self.now);
        if at < state.armed {
            state.armed = at;
            self.at(at, Kind::PoolTimer, sub);
        }
    }

    /// The user of a task has gone: where its service says so, it leaves the queue for a connection.
    pub fn cancel_waiting(&mut self, task: u32) {
        let record = &self.tasks[task];
        match record.state {
            State::PoolQueue => {}
            State::Pending => return self.cancel_pending(task),
            _ => return,
        }
        let worker = record.worker;
        let service = self.service_of_worker(worker);
        let Op::Acquire { pool: kind, .. } = self.op_at(task) else {
            unreachable!("a task waits for a connection where its tape says so")
        };
        if !self.model.services[service].cancel_waiting {
            return;
        }
        let first = self.first_sub_pool(kind, worker);
        let subs = first..first + self.sub_pools_per_worker(kind);
        let stood = subs.into_iter().any(|sub| self.pools[sub as usize].pool.cancel(task));
        assert!(stood, "a task in state PoolQueue stands in a queue of its worker");
        let station = self.model.pools[kind].station;
        self.count(station, Counter::TimedOut);
        self.leave(task, station);
        self.resume_failed(task, Failure::GaveUp);
    }

    /// An instance stops: its idle connections close.
    pub fn close_pools_of(&mut self, instance: u32) {
        let service = self.instances[instance as usize].service;
        let spec = &self.model.services[service];
        let first = self.instances[instance as usize].first_worker;
        for worker in first..first + spec.workers {
            for kind in &spec.pools {
                let base = self.first_sub_pool(*kind, worker);
                for sub in base..base + self.sub_pools_per_worker(*kind) {
                    while let Some(idle) = self.pools[sub as usize].pool.sever_idle() {
                        let cut = self.pools[sub as usize].how_cut(idle);
                        self.start_closing(sub, cut, Heard::No);
                    }
                }
            }
        }
    }

    /// What the task waited for has failed; its callback hears of it when the loop is free.
    pub fn resume_failed(&mut self, task: u32, why: Failure) {
        debug_assert_eq!(self.tasks[task].status, OK, "a task fails once");
        self.tasks[task].status = why as u8;
        self.resume(task);
    }

    /// The operation that a task stands at.
    pub fn op_at(&self, task: u32) -> Op {
        self.model.tape[self.tasks[task].pc.0 as usize]
    }

    /// Time spent on the way between a task and something outside.
    pub fn travel(&mut self, task: u32, length: Duration) {
        if !Q::TELLS && length.is_zero() {
            return;
        }
        let network = self.network;
        self.spend(task, network, Part::Service, length);
    }
}
