//! Connection pools in front of databases: the glue between [`component::pool`](crate::component)
//! and the events. One sub-pool per worker process, shard and database node.

use crate::component::pool::{
    Acquire, ConnectFailed, Connected, Connection, Expired, Pool, PoolConfig, Released, Served,
};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::UnitKind;
use crate::model::ids::PoolId;
use crate::model::tape::{Op, Pc, Route};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};

use super::database::{Presence, SYN_PATIENCE};
use super::event::Kind;
use super::meter::{Counter, MILLI, Part};
use super::task::{Lease, NONE, OK, State};
use super::world::World;

/// The pool of one process to one database node.
pub struct SubPool {
    /// Its state machine.
    pub pool: Pool,
    /// Its kind.
    pub kind: PoolId,
    /// The database node that it connects to.
    pub node: u32,
    /// When its next timer is scheduled.
    pub armed: Time,
    /// The replica that the next read of this process goes to (used in the primary's sub-pool).
    pub rotation: u32,
    /// Connections that are being opened, and what the server makes of them.
    opening: Vec<(Connection, Opening)>,
    /// Connections in use that the server has cut; their holders do not know yet.
    pub(super) cut: Vec<Connection>,
    /// Connections opened so far: numbers its random draws.
    pub connects: u32,
}

/// What a server makes of a connection that is being opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opening {
    /// It has a slot.
    Granted,
    /// There are too many already.
    Full,
    /// There is no server.
    Nobody,
}

impl SubPool {
    /// Connections being opened that have a slot at their server.
    pub fn opening_granted(&self) -> u32 {
        self.opening.iter().filter(|(_, how)| *how == Opening::Granted).count() as u32
    }
    /// Whether the server has cut this connection.
    #[inline(always)]
    pub fn is_cut(&self, connection: Connection) -> bool {
        !self.cut.is_empty() && self.cut.contains(&connection)
    }
    /// The server is gone: nothing of what is being opened will be.
    pub fn lose_openings(&mut self) {
        self.opening.iter_mut().for_each(|(_, how)| *how = Opening::Nobody);
    }
    /// Its process has died: it has no connections and no queue. Says how many connections it had.
    pub fn lose_all(&mut self) -> u32 {
        self.opening.clear();
        self.cut.clear();
        self.armed = Time::NEVER;
        self.rotation = 0;
        self.pool.lose_all()
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// One sub-pool per worker process, shard and node.
    pub fn build_pools(&mut self) {
        for (kind, spec) in self.model.pools.enumerate() {
            self.pool_base.push(self.pools.len() as u32);
            let service = &self.model.services[spec.service];
            let database = &self.model.databases[spec.database];
            let first_node = self.databases[spec.database].first_node();
            for _worker in 0..service.max_instances * service.workers {
                for shard in 0..database.shards {
                    let node = first_node + shard * (1 + database.replicas);
                    self.new_sub_pool(kind, &spec.config, node);
                    if let Some(config) = &spec.replica_config {
                        for replica in 1..=database.replicas {
                            self.new_sub_pool(kind, config, node + replica);
                        }
                    }
                }
            }
        }
        if self.model.plan.full_pools {
            for sub in 0..self.pools.len() as u32 {
                self.fill(sub);
            }
        }
    }

    fn new_sub_pool(&mut self, kind: PoolId, config: &PoolConfig, node: u32) {
        self.pools.push(SubPool {
            pool: Pool::new(*config),
            kind,
            node,
            armed: Time::NEVER,
            rotation: 0,
            opening: Vec::new(),
            cut: Vec::new(),
            connects: 0,
        });
    }

    /// Opens all connections that the pool may have and the server grants, at time zero.
    fn fill(&mut self, sub: u32) {
        let worker = self.worker_of(sub);
        let instance = &self.instances[self.workers[worker as usize].instance as usize];
        if instance.phase != super::service::Phase::Up {
            return;
        }
        let state = &self.pools[sub as usize];
        let (node, size, kind) = (state.node, state.pool.config().size, state.kind);
        let granted = (0..size).take_while(|_| self.node_mut(node).take_slot()).count() as u32;
        self.pools[sub as usize].pool.prefill(Time::ZERO, granted);
        self.meters[self.model.pools[kind].station].held.add(Time::ZERO, i64::from(granted));
        self.arm_pool(sub);
    }

    /// The random numbers of a sub-pool: by its name and place, whatever other pools there are.
    pub(super) fn sub_pool_stream(&self, sub: u32) -> StreamKey {
        let kind = self.pools[sub as usize].kind;
        let place = sub - self.pool_base[kind];
        self.key.named(&self.model.pools[kind].name).numbered(u64::from(place))
    }

    /// The worker process that a sub-pool belongs to.
    pub fn worker_of(&self, sub: u32) -> u32 {
        let kind = self.pools[sub as usize].kind;
        let spec = &self.model.pools[kind];
        let service = &self.services[spec.service];
        let first = self.instances[service.first_instance as usize].first_worker;
        first + (sub - self.pool_base[kind]) / self.sub_pools_per_worker(kind)
    }

    /// Sub-pools that each worker process has of this kind.
    pub fn sub_pools_per_worker(&self, kind: PoolId) -> u32 {
        let spec = &self.model.pools[kind];
        let database = &self.model.databases[spec.database];
        let replicas = if spec.replica_config.is_some() { database.replicas } else { 0 };
        database.shards * (1 + replicas)
    }

    /// The first sub-pool of this kind in a worker process.
    pub fn first_sub_pool(&self, kind: PoolId, worker: u32) -> u32 {
        let service = &self.services[self.model.pools[kind].service];
        let first = self.instances[service.first_instance as usize].first_worker;
        self.pool_base[kind] + (worker - first) * self.sub_pools_per_worker(kind)
    }

    /// Which sub-pool a statement goes through: the user's shard or the branch's; a read goes to the
    /// replicas in rotation, where the pool has any.
    fn choose_sub_pool(&mut self, task: u32, kind: PoolId, route: Route, write: bool) -> u32 {
        let spec = &self.model.pools[kind];
        let record = &self.tasks[task];
        let shards = self.model.databases[spec.database].shards;
        let shard = match route {
            Route::User if shards == 1 => 0,
            Route::User => shard_of(record.user, shards),
            Route::Random(draw) => record.stream.draw(u64::from(draw.0)).below(shards),
            Route::Shard(shard) => u32::from(shard),
            Route::Branch => u32::from(record.branch),
        };
        let nodes = self.sub_pools_per_worker(kind) / shards;
        let primary = self.first_sub_pool(kind, record.worker) + shard * nodes;
        if write || nodes == 1 {
            return primary;
        }
        let state = &mut self.pools[primary as usize];
        state.rotation = state.rotation % (nodes - 1) + 1;
        primary + state.rotation
    }

    /// A running callback wants a connection. True: it has one and goes on.
    pub fn acquire(&mut self, task: u32, kind: PoolId, route: Route, write: bool) -> bool {
        let sub = self.choose_sub_pool(task, kind, route, write);
        let station = self.model.pools[kind].station;
        self.meters[station].count(Counter::Arrivals);
        let now = self.now;
        match self.pools[sub as usize].pool.acquire(now, task) {
            Acquire::Granted(connection) => {
                self.meters[station].pass();
                self.granted(task, sub, connection);
                return true;
            }
            Acquire::Connect(connection) => {
                self.tasks[task].state = State::Connecting;
                self.connect(sub, connection);
            }
            Acquire::Wait => self.tasks[task].state = State::PoolQueue,
        }
        self.tasks[task].since = now;
        self.meters[station].enter(now);
        self.arm_pool(sub);
        false
    }

    /// The task holds the connection from now on.
    fn granted(&mut self, task: u32, sub: u32, connection: Connection) {
        let station = self.model.pools[self.pools[sub as usize].kind].station;
        self.meters[station].busy.add(self.now, MILLI);
        let record = &mut self.tasks[task];
        record.push_lease(Lease { pool: sub, connection });
        record.pc = Pc(record.pc.0 + 1);
    }

    /// A connection begins to open: TCP, TLS, authentication, a new server process. Beyond
    /// `max_connections` the server answers with an error at once.
    fn connect(&mut self, sub: u32, connection: Connection) {
        let state = &self.pools[sub as usize];
        let (node, kind, number) = (state.node, state.kind, state.connects);
        let stream = self.sub_pool_stream(sub).named("connect");
        let database = &self.model.databases[self.model.pools[kind].database];
        let condition = self.condition(UnitKind::Pool, kind.0);
        let passage = self.passage_of_connect(kind);
        let broken = condition.down || passage.lost || self.stumbles(condition.errors);
        let server = self.node_mut(node);
        let presence = server.presence;
        let how = match presence {
            _ if broken => Opening::Nobody,
            Presence::Up if server.take_slot() => Opening::Granted,
            Presence::Up => Opening::Full,
            _ => Opening::Nobody,
        };
        let law = if how == Opening::Granted { database.connect } else { database.rtt };
        let here = self.model.services[self.model.pools[kind].service].region;
        let far = self.model.draw_law(self.model.route(here, database.region), stream, number);
        // Three round trips beyond those within a region: TCP, TLS, authentication.
        let took = match presence {
            Presence::Silent => SYN_PATIENCE,
            Presence::Refusing => self.model.draw_law(law, stream, number) + far,
            Presence::Up => self.model.draw_law(law, stream, number) + far + far + far,
        };
        let took = condition.stretch(took) + passage.late;
        let state = &mut self.pools[sub as usize];
        state.connects += 1;
        state.opening.push((connection, how));
        let number = number_of(connection);
        self.events.push(Event::new(self.now + took, Kind::Connected as u8, number, sub));
        self.meters[self.model.pools[kind].station].held.add(self.now, 1);
    }

    /// A connection is open, or was refused, unless the pool has stopped waiting for it.
    pub fn connected(&mut self, sub: u32, number: u32) {
        let opening = &mut self.pools[sub as usize].opening;
        let place = opening.iter().position(|(connection, _)| number_of(*connection) == number);
        let Some(place) = place else { return };
        let (connection, how) = opening.swap_remove(place);
        let station = self.model.pools[self.pools[sub as usize].kind].station;
        if how != Opening::Granted {
            let database = self.database_of(self.pools[sub as usize].node);
            self.count(station, Counter::Refused);
            self.count(self.model.databases[database].station, Counter::Refused);
            self.meters[station].held.add(self.now, -1);
            let failed = self.pools[sub as usize].pool.connect_failed(self.now, connection);
            let why = match how {
                Opening::Full => Failure::TooManyConnections,
                _ => Failure::DatabaseDown,
            };
            self.connect_failed(sub, failed, why);
            return self.arm_pool(sub);
        }
        self.count(station, Counter::Opened);
        match self.pools[sub as usize].pool.connected(self.now, connection) {
            Connected::Granted { task } => {
                self.leave(task, station);
                self.granted(task, sub, connection);
                self.resume(task);
            }
            // No callback of this process is running: the waiter's own becomes ready.
            Connected::Unclaimed(Released::Handed { task }) => {
                self.leave(task, station);
                self.granted(task, sub, connection);
                self.resume(task);
            }
            Connected::Unclaimed(released) => self.released(sub, connection, released),
            Connected::Stale => unreachable!("what is being opened is known to the pool"),
        }
        self.arm_pool(sub);
    }

    /// An opening has failed: its owner hears of it, the queue is served once.
    fn connect_failed(&mut self, sub: u32, failed: Option<ConnectFailed>, why: Failure) {
        let Some(ConnectFailed { owner, served }) = failed else { return };
        if let Some(served) = served {
            self.served(sub, served);
        }
        if let Some(task) = owner {
            self.leave(task, self.model.pools[self.pools[sub as usize].kind].station);
            self.resume_failed(task, why);
        }
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
                self.connect(sub, connection);
            }
        }
    }

    /// A running callback returns its connection; the oldest waiter goes on within this callback.
    pub fn release(&mut self, lease: Lease) {
        let now = self.now;
        let state = &mut self.pools[lease.pool as usize];
        let station = self.model.pools[state.kind].station;
        self.meters[station].busy.add(now, -MILLI);
        self.meters[station].count(Counter::Served);
        if !state.cut.is_empty() && state.take_cut(lease.connection) {
            state.pool.discard(lease.connection);
            self.start_closing(lease.pool, true);
            return self.arm_pool(lease.pool);
        }
        let released = state.pool.release(now, lease.connection);
        self.released(lease.pool, lease.connection, released);
        self.arm_pool(lease.pool);
    }

    /// What became of a connection that its holder gave back.
    fn released(&mut self, sub: u32, connection: Connection, released: Released) {
        match released {
            Released::Handed { task } => {
                // `pool.query` goes on in the callback that `release` calls; `await pool.connect()`
                // in a promise's, which runs when this callback awaits (pg-pool 3.14.0, `promisify`).
                let awaited = matches!(self.op_at(task), Op::Acquire { awaited: true, .. });
                self.leave(task, self.model.pools[self.pools[sub as usize].kind].station);
                self.granted(task, sub, connection);
                if awaited { self.go_on_after(task) } else { self.go_on_within(task) }
            }
            Released::Idle => {}
            Released::Close => self.start_closing(sub, false),
        }
    }

    /// A task that fails returns its connection; after a failed statement the pool destroys it.
    pub fn give_up_connection(&mut self, lease: Lease, why: Failure) {
        let spec = &self.model.pools[self.pools[lease.pool as usize].kind];
        let statement = matches!(why, Failure::QueryError | Failure::StatementTimeout);
        if !(statement && spec.destroy_on_error) {
            return self.release(lease);
        }
        self.meters[spec.station].busy.add(self.now, -MILLI);
        let sub = &mut self.pools[lease.pool as usize];
        let cut = sub.take_cut(lease.connection);
        sub.pool.discard(lease.connection);
        self.start_closing(lease.pool, cut);
        self.arm_pool(lease.pool);
    }

    /// A connection has left the pool; after the close handshake the server has its slot back and
    /// the pool serves its queue. One that the server has cut has no slot there.
    pub(super) fn start_closing(&mut self, sub: u32, cut: bool) {
        let state = &self.pools[sub as usize];
        let spec = &self.model.pools[state.kind];
        self.meters[spec.station].count(Counter::Closed);
        self.meters[spec.station].held.add(self.now, -1);
        let stream = self.sub_pool_stream(sub).named("close");
        let rtt = self.model.databases[spec.database].rtt;
        let took = self.model.draw_law(rtt, stream, self.now.0 as u32);
        let node = self.pools[sub as usize].node;
        let incarnation = if cut { 0 } else { self.node_mut(node).incarnation };
        self.events.push(Event::new(self.now + took, Kind::Closed as u8, incarnation, sub));
    }

    /// The close handshake of a connection is over; only now is the queue served again.
    pub fn closed(&mut self, sub: u32, incarnation: u32) {
        let node = self.pools[sub as usize].node;
        self.node_mut(node).free_slot_of(incarnation);
        if let Some(served) = self.pools[sub as usize].pool.closed(self.now) {
            self.served(sub, served);
        }
        self.arm_pool(sub);
    }

    /// Waiters whose time is up, openings that take too long, connections idle for too long.
    pub fn pool_timer(&mut self, sub: u32) {
        if self.pools[sub as usize].armed != self.now {
            return; // superseded
        }
        self.pools[sub as usize].armed = Time::NEVER;
        let station = self.model.pools[self.pools[sub as usize].kind].station;
        while let Some(expired) = self.pools[sub as usize].pool.expire(self.now) {
            self.count(station, Counter::TimedOut);
            match expired {
                Expired::Acquire { task } => {
                    self.leave(task, station);
                    self.resume_failed(task, Failure::AcquireTimeout);
                }
                Expired::Connect { connection, failed } => {
                    let opening = &mut self.pools[sub as usize].opening;
                    let place = opening.iter().position(|(known, _)| *known == connection);
                    let place = place.expect("what is cut off was being opened");
                    if opening.swap_remove(place).1 == Opening::Granted {
                        self.start_closing(sub, false);
                    } else {
                        self.meters[station].held.add(self.now, -1);
                    }
                    self.connect_failed(sub, Some(failed), Failure::AcquireTimeout);
                }
            }
        }
        while self.pools[sub as usize].pool.expire_idle(self.now).is_some() {
            self.start_closing(sub, false);
        }
        self.arm_pool(sub);
    }

    /// Schedules the sub-pool's next timer, if it is earlier than the one that is.
    fn arm_pool(&mut self, sub: u32) {
        let state = &mut self.pools[sub as usize];
        let deadline = state.pool.next_deadline().unwrap_or(Time::NEVER);
        let expiry = state.pool.next_idle_expiry().unwrap_or(Time::NEVER);
        let at = deadline.min(expiry);
        if at < state.armed {
            state.armed = at;
            self.at(at, Kind::PoolTimer, sub);
        }
    }

    /// The user of a task has gone: where its service says so, it leaves the queue for a connection.
    pub fn cancel_waiting(&mut self, task: u32) {
        let record = &self.tasks[task];
        if record.state != State::PoolQueue {
            return;
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
                    while self.pools[sub as usize].pool.sever_idle().is_some() {
                        self.start_closing(sub, false);
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
        let network = self.network;
        self.spend(task, network, Part::Service, length);
    }
}

/// A connection as an event's ordinal: 14 bits of slot, 17 of generation. Only openings are told
/// apart by it, and no pool opens 131,072 connections in one slot while one of them is opening.
fn number_of(connection: Connection) -> u32 {
    (connection.generation & 0x1_ffff) << 14 | connection.slot
}

/// The shard of a user: the hash that spreads them is a bijection, so shards are even.
pub fn shard_of(user: u32, shards: u32) -> u32 {
    debug_assert!(user != NONE);
    let mixed = (u64::from(user).wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((u128::from(mixed ^ (mixed >> 29)) * u128::from(shards)) >> 64) as u32
}
