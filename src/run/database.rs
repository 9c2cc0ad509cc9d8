//! Databases: statements on the cores of a node, storage waits, replicas that replay, shards.
//!
//! A statement's time is part CPU, shared equally with the other statements on the node's cores
//! (PostgreSQL runs a process per connection), and part waiting for storage, which contends where a
//! volume limits it. Here is a statement's way through its server; each further concern has a file:
//! locks, the cores with their credits, replication, what a database does by itself, and servers
//! that fail.

mod backend;
mod buffer;
mod cores;
mod failover;
pub mod impatience;
pub mod locks;
pub mod maintenance;
pub mod memory;
mod promotion;
mod replication;
mod resharding;
mod silence;

use std::collections::VecDeque;

use crate::component::burst_credits::Credits;
use crate::component::volume::Volume;
use crate::failure::Failure;
use crate::kernel::{PendingEvents, ProcessorSharing};
use crate::model;
use crate::model::UnitKind;
use crate::model::ids::{DatabaseId, RegionId, StationId};
use crate::model::tape::{Op, Pc, Statement};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::{Counter, Part};
use super::task::{NONE, OK, State, flag};
use super::world::World;
pub use failover::{Presence, SYN_PATIENCE};

/// The job number of the replaying process among a node's statements.
const REPLAY: u32 = NONE;

/// The job number of background statements: maintenance that nobody waits for.
const BACKGROUND: u32 = NONE - 1;

/// What a timer of a node is for: the ordinal of its event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Timer {
    /// It is there again.
    Up,
    /// Its CPU credits may be used up.
    Credits,
    /// Replay has waited long enough for queries.
    Conflict,
    /// What moves to other shards is copied on.
    Copy,
    /// Its address answers again.
    Heard,
    /// It has no memory left.
    OutOfMemory,
}

/// Their numbers.
const TIMERS: [Timer; 6] =
    [Timer::Up, Timer::Credits, Timer::Conflict, Timer::Copy, Timer::Heard, Timer::OutOfMemory];

/// A database while it runs.
pub struct DatabaseState {
    /// Its nodes: per shard the primary, then the replicas.
    pub nodes: Vec<Node>,
    /// Number of its first node among all nodes of all databases.
    first: u32,
    /// When each user's last write was committed.
    last_write: Vec<Time>,
    /// Writes so far.
    written: u64,
    /// Those before the last checkpoint began.
    checkpointed: u64,
    /// Primaries that are lost, and the replicas that will take over from them.
    promotions: Vec<promotion::Promotion>,
    /// Replicas that are there no more: they have become primaries.
    promoted: u32,
    /// Servers that ran out of memory: since when they were away, and until when.
    pub crashes: Vec<(Time, Time)>,
}

/// One database server.
pub struct Node {
    /// Its cores, and the statements on them.
    pub cores: ProcessorSharing,
    /// The machine that it shares with others instead; [`NONE`] if it has cores of its own.
    pub host: u32,
    /// Where it stands.
    pub region: RegionId,
    /// It stands in the next zone, where its standby was.
    pub(super) stands_next_door: bool,
    /// When its next departure is scheduled.
    pub armed: Time,
    /// Processes that start on them for connections.
    starting: Vec<Option<backend::Start>>,
    /// Connections open.
    pub connections: u32,
    /// Connections at most.
    pub slots: u32,
    /// Writes that this replica has yet to replay, in the order of their commits.
    pub replay: VecDeque<Shipped>,
    /// When the write replayed last was committed.
    pub applied: Time,
    /// Whether the replaying process is on its cores.
    replaying: bool,
    /// Replay waits for queries that it conflicts with.
    paused: bool,
    /// Until when the lag that the product shows has been sampled.
    shown: Time,
    /// Its volume, where that limits.
    volume: Option<Volume>,
    /// Pages of its data that are in memory.
    resident: f64,
    /// What its processes take of its memory, where that may run out.
    memory: Option<Box<memory::NodeMemory>>,
    /// Its CPU credits, where it is burstable.
    credits: Option<Credits>,
    /// It computes at its baseline.
    throttled: bool,
    /// When its credits were last settled, and when they are looked at next.
    settled: Time,
    /// See `settled`.
    credits_armed: Time,
    /// What it has gathered for the meter.
    account: cores::Account,
    /// Whether it is there.
    pub presence: Presence,
    /// When it will be there again.
    up_at: Time,
    /// Until then nobody answers at its address.
    silent_until: Time,
    /// How often it has come to be; connections of earlier ones are not its own.
    pub incarnation: u32,
    /// A replica that has become a primary: nobody is there any more.
    promoted: bool,
}

/// Where a node belongs, by its number among all nodes of all databases.
pub struct Home {
    /// Its database.
    database: DatabaseId,
    /// Its number there.
    place: u32,
    /// Where it is measured: with the primaries, or with the replicas.
    station: StationId,
}

impl Home {
    /// Its database, and its number there.
    pub fn of_database(&self) -> (DatabaseId, u32) {
        (self.database, self.place)
    }
    /// Of all nodes of all databases, in order.
    pub fn of_all(model: &model::Model) -> Vec<Home> {
        let of = |(database, spec): (DatabaseId, &model::Database)| {
            let of_shard = 1 + spec.replicas;
            let (primaries, replicas) = (spec.station, spec.replica_station);
            (0..spec.shards * of_shard).map(move |place| {
                let station = if place.is_multiple_of(of_shard) { primaries } else { replicas };
                Home { database, place, station }
            })
        };
        model.databases.enumerate().flat_map(of).collect()
    }
}

/// A write on its way to a replica.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// When its log arrives.
    arrives: Time,
    /// When it was committed.
    pub(super) committed: Time,
    /// What replaying it takes.
    cpu: Duration,
    /// It is no write, but removes what queries that began before may still see.
    conflict: bool,
}

impl Node {
    /// One more connection, unless there are too many already.
    fn take_slot(&mut self) -> bool {
        let free = self.connections < self.slots;
        self.connections += u32::from(free);
        free
    }
    /// One connection less.
    fn free_slot(&mut self) {
        assert!(self.connections > 0, "a connection closes once");
        self.connections -= 1;
    }
}

impl DatabaseState {
    /// As it is at time zero.
    pub fn new(spec: &model::Database) -> DatabaseState {
        let region = |place: u32| match place % (1 + spec.replicas) {
            0 => spec.region,
            replica => spec.copies[replica as usize - 1].region,
        };
        let nodes = (0..spec.shards * (1 + spec.replicas))
            .map(|place| Node {
                region: region(place),
                stands_next_door: false,
                cores: ProcessorSharing::crowded(spec.cores, spec.contention),
                host: spec.host.map_or(NONE, |host| host.0),
                armed: Time::NEVER,
                starting: Vec::new(),
                connections: 0,
                slots: spec.slots,
                replay: VecDeque::new(),
                applied: Time::ZERO,
                replaying: false,
                paused: false,
                shown: Time::ZERO,
                volume: spec.volume.map(Volume::new),
                resident: spec.buffer.as_ref().map_or(0.0, |buffer| buffer.start),
                memory: spec.memory.map(|_| Box::default()),
                credits: spec.credits.map(Credits::new),
                throttled: false,
                settled: Time::ZERO,
                credits_armed: Time::NEVER,
                account: cores::Account::default(),
                presence: Presence::Up,
                up_at: Time::ZERO,
                silent_until: Time::ZERO,
                incarnation: 1,
                promoted: false,
            })
            .collect();
        DatabaseState {
            nodes,
            first: spec.first_node,
            last_write: Vec::new(),
            written: 0,
            checkpointed: 0,
            promotions: Vec::new(),
            promoted: 0,
            crashes: Vec::new(),
        }
    }
    /// Number of its first node among all nodes of all databases.
    pub fn first_node(&self) -> u32 {
        self.first
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// The database that a node belongs to.
    pub fn database_of(&self, node: u32) -> DatabaseId {
        self.homes[node as usize].database
    }
    /// Where a node is measured: with the primaries, or with the replicas.
    pub(super) fn station_of_node(&self, node: u32) -> StationId {
        self.homes[node as usize].station
    }
    /// Where a node stands.
    pub(super) fn region_of_node(&self, node: u32) -> RegionId {
        let home = &self.homes[node as usize];
        self.databases[home.database].nodes[home.place as usize].region
    }
    /// A node by its number among all nodes of all databases.
    pub fn node_mut(&mut self, node: u32) -> &mut Node {
        let home = &self.homes[node as usize];
        &mut self.databases[home.database].nodes[home.place as usize]
    }

    /// A running callback sends the statement that its tape stands at.
    pub fn send_statement(&mut self, task: u32) {
        if self.asked.is_some() {
            self.await_answer(task);
            if self.waits_in_client(task) {
                return;
            }
        }
        self.submit_statement(task);
    }

    /// A statement leaves its client.
    #[inline]
    pub(super) fn submit_statement(&mut self, task: u32) {
        let passage = self.passage_of_statement(task);
        let half = self.statement_rtt(task).half() + passage.late;
        self.travel(task, half);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Away, self.now);
        if passage.lost {
            record.status = Failure::DatabaseDown as u8;
            return self.at_task(self.now + passage.late, Kind::Resume, task);
        }
        let lease = record.lease();
        if let Some(why) = self.pools[lease.pool as usize].is_cut(lease.connection) {
            if why == silence::UNNOTICED {
                return self.sent_to_nobody(task, half);
            }
            // The socket is gone: the driver says so within the same turn of the loop.
            self.tasks[task].status = why as u8;
            return self.at_task(self.now, Kind::Resume, task);
        }
        if self.pools[lease.pool as usize].behind.is_some() {
            return self.at_task(self.now + half, Kind::AtPooler, task);
        }
        if half.is_zero() {
            return self.statement(task);
        }
        self.at_task(self.now + half, Kind::Statement, task);
    }

    /// The round trip of the statement that the task stands at, to whoever it is connected to.
    #[inline]
    pub(super) fn statement_rtt(&self, task: u32) -> Duration {
        match self.pools[self.tasks[task].lease().pool as usize].trip {
            Some(trip) => trip,
            None => self.rtt_of_statement(task, self.op_at(task)),
        }
    }

    /// The same, of a statement that it has stood at.
    pub(super) fn rtt_of_statement(&self, task: u32, statement: Op) -> Duration {
        let record = &self.tasks[task];
        let sub = &self.pools[record.lease().pool as usize];
        let spec = &self.model.pools[sub.kind];
        let database = &self.model.databases[spec.database];
        let far = self.model.draw_law(sub.route, record.stream, 0xfa);
        let near = spec.pooler.map_or(database.rtt, |pooler| self.model.poolers[pooler].rtt);
        self.model.draw_law(near, record.stream, statement.numbers() ^ 0xd_b000) + far
    }

    /// How long the statement that the task stands at takes on an idle server.
    fn statement_work(&self, task: u32) -> (Duration, Statement) {
        let Op::Query { work, kind, slowed_by, .. } = self.op_at(task) else {
            unreachable!("a statement is sent where the tape says so")
        };
        let node = self.pools[self.tasks[task].lease().pool as usize].node;
        let alone = self.condition(UnitKind::Node, node).stretch(self.draw(work, task));
        let database = &self.model.databases[self.database_of(node)];
        let slowed = match slowed_by {
            Some(session) => self.session_slowdown(session),
            None if database.locks => self.table_slowdown(task),
            None => 1.0,
        };
        (if slowed == 1.0 { alone } else { alone.scale(slowed) }, kind)
    }

    /// A statement reaches its node.
    pub fn statement(&mut self, task: u32) {
        if self.tasks[task].status != OK {
            return self.turned_back(task);
        }
        if self.tasks[task].leases_held() == 0 {
            return self.bury(task); // its process died when its server had ended the connection
        }
        let sub = &self.pools[self.tasks[task].lease().pool as usize];
        let (node, kind) = (sub.node, sub.kind);
        let database = self.model.pools[kind].database;
        let spec = &self.model.databases[database];
        if spec.locks && self.ended_on_its_way(task) {
            return self.turned_back(task);
        }
        let (work, statement) = self.statement_work(task);
        let station = self.station_of_node(node);
        if statement.works() {
            self.count(station, Counter::Arrivals);
        }
        match statement {
            Statement::Read => self.count(station, Counter::Reads),
            Statement::Write => {
                self.count(station, Counter::Writes);
                self.databases[database].written += 1;
            }
            Statement::Mark | Statement::Commit | Statement::Ping | Statement::Reset => {}
        }
        if statement == Statement::Read && spec.replicas > 0 {
            self.note_staleness(task, node, database);
        }
        let limit = self.model.pools[kind].statement_timeout.or(spec.statement_timeout);
        let deadline = limit.map_or(Time::NEVER, |timeout| self.now + timeout);
        let deadline = deadline.min(self.cancelled_at(task, kind));
        let record = &mut self.tasks[task];
        (record.work, record.deadline) = (work, deadline);
        if spec.locks && !self.lock_on(task, node) {
            self.arm_statement(task);
            return;
        }
        if self.begin_statement(task, node) {
            self.arm_statement(task);
        }
    }

    /// A statement that does not end at once may run into its timeout.
    fn arm_statement(&mut self, task: u32) {
        let deadline = self.tasks[task].deadline;
        if deadline < Time::NEVER {
            self.at_task(deadline, Kind::StatementTimeout, task);
        }
    }

    /// A statement has all its locks: it goes on its node's cores, if it computes at all. Says so.
    fn begin_statement(&mut self, task: u32, node: u32) -> bool {
        let spec = &self.model.databases[self.database_of(node)];
        if spec.memory.is_some() && !self.take_sorts(task, node) {
            return false;
        }
        let record = &mut self.tasks[task];
        let cpu = record.work.scale(spec.cpu_share);
        record.since = self.now;
        if cpu.is_zero() {
            self.statement_stored(task, node, cpu);
            return false;
        }
        self.tasks[task].state = State::InDatabase;
        self.onto_cores(node, cpu, task);
        true
    }

    /// A timer of a node.
    pub fn node_timer(&mut self, node: u32, what: u32) {
        match TIMERS[what as usize] {
            Timer::Up => self.node_up(node),
            Timer::Credits => self.credits_due(node),
            Timer::Conflict => self.conflict_due(node),
            Timer::Copy => self.copy_on(node),
            Timer::Heard => self.heard_again(node),
            Timer::OutOfMemory => self.out_of_memory(node),
        }
    }

    /// A statement is done with its node's cores.
    fn statement_computed(&mut self, task: u32, node: u32) {
        let database = self.database_of(node);
        let cpu = self.tasks[task].work.scale(self.model.databases[database].cpu_share);
        let on_cores = self.now.since(self.tasks[task].since);
        let station = self.station_of_node(node);
        // Rounding to the tick may end a statement one tick early.
        let waited = Duration(on_cores.0.saturating_sub(cpu.0));
        self.meters[station].shared(waited);
        self.spend(task, station, Part::Wait, waited);
        self.spend(task, station, Part::Service, on_cores - waited);
        self.statement_stored(task, node, cpu);
    }

    /// The CPU part of a statement is done; its storage waits and the way back remain.
    fn statement_stored(&mut self, task: u32, node: u32, cpu: Duration) {
        let now = self.now;
        let storage = self.storage_time(task, node, cpu);
        let granted = match &mut self.node_mut(node).volume {
            Some(volume) => volume.submit(now, storage),
            None => now + storage,
        };
        let ends = granted + self.standby_time(task, node);
        let station = self.station_of_node(node);
        let record = &mut self.tasks[task];
        let ends = if ends > record.deadline {
            record.status = Failure::StatementTimeout as u8;
            record.deadline.max(now)
        } else {
            ends
        };
        record.deadline = Time::NEVER;
        let took = ends.since(now);
        let alone = storage.min(took);
        self.spend(task, station, Part::Service, alone);
        self.spend(task, station, Part::Wait, took - alone);
        let spec = &self.model.databases[self.database_of(node)];
        if ends == now || !(spec.locks || spec.conflicts || spec.memory.is_some()) {
            return self.statement_over(task, node, ends);
        }
        self.tasks[task].state = State::Storing;
        self.at_task(ends, Kind::Stored, task);
    }

    /// How long a commit waits for standbys: for the quorum's slowest.
    fn standby_time(&self, task: u32, node: u32) -> Duration {
        let Op::Query { work, kind, within, .. } = self.op_at(task) else {
            unreachable!("a statement ends where it began")
        };
        let commits = kind == Statement::Commit || kind == Statement::Write && !within;
        let Some(standby) = &self.model.databases[self.database_of(node)].standby else {
            return Duration::ZERO;
        };
        if !commits {
            return Duration::ZERO;
        }
        let stream = self.tasks[task].stream.named("standby");
        let copy = |copy: u32| {
            self.model.draw_law(standby.rtt, stream.numbered(u64::from(copy)), work.id.0)
        };
        // The quorum-th of the copies, found without a list: few copies, counted one by one.
        let rank = |one: Duration| (0..standby.count).filter(|other| copy(*other) <= one).count();
        let enough = |one: &Duration| rank(*one) as u32 >= standby.quorum;
        (0..standby.count).map(copy).filter(enough).min().expect("a quorum of the copies")
    }

    /// A statement's storage waits are over.
    pub fn stored(&mut self, task: u32) {
        if self.tasks[task].leases[0].pool == NONE {
            return self.bury(task); // a ghost whose server has failed
        }
        let node = self.pools[self.tasks[task].lease().pool as usize].node;
        self.statement_over(task, node, self.now);
    }

    /// A statement ends at its server at that time: its answer sets out.
    fn statement_over(&mut self, task: u32, node: u32, ends: Time) {
        let Op::Query { work, kind, fail, within, sorts, .. } = self.op_at(task) else {
            unreachable!("a statement ends where it began")
        };
        if sorts > 0 {
            self.free_sorts(task, node);
        }
        let station = self.station_of_node(node);
        let database = self.database_of(node);
        let spec = &self.model.databases[database];
        let passage = self.passage_at_server(task);
        let (way, arrives) = self.way_back(task);
        let back = way + passage.late;
        self.travel(task, back);
        let errors = self.condition(UnitKind::Node, node).errors;
        let stumbles = self.stumbles(errors);
        let record = &mut self.tasks[task];
        (record.state, record.deadline) = (State::Answering, Time::NEVER);
        let mut hangs = Duration::ZERO;
        if passage.lost {
            record.status = Failure::DatabaseDown as u8;
        } else if record.status == Failure::StatementTimeout as u8 {
            self.meters[station].count(Counter::TimedOut);
        } else if record.status != OK {
            self.meters[station].count(Counter::Errors);
            hangs = self.unanswered_for(node);
        } else if stumbles
            || fail > 0.0
                && record.stream.draw(u64::from(work.id.0) ^ 0xfa11).chance(f64::from(fail))
        {
            record.status = Failure::QueryError as u8;
            self.meters[station].count(Counter::Errors);
        } else {
            if kind.works() {
                self.meters[station].count(Counter::Served);
            }
            if kind == Statement::Write && spec.replicas > 0 {
                let cpu = record.work.scale(spec.cpu_share);
                self.ship(task, node, ends, cpu);
            }
            let record = &mut self.tasks[task];
            record.pc = Pc(record.pc.0 + 1);
        }
        if spec.locks {
            self.statement_left(task, within, spec.idle_timeout, ends);
        }
        if spec.conflicts && self.node_mut(node).paused {
            self.replay(node);
        }
        self.at_task(ends + back + hangs, arrives, task);
    }

    /// What becomes of the locks of a statement that has ended.
    fn statement_left(&mut self, task: u32, within: bool, idle: Option<Duration>, ends: Time) {
        let record = &self.tasks[task];
        if !within || record.status != OK || record.has(flag::GHOST) {
            self.release_locks(task);
        } else if let Some(idle) = idle {
            self.idle_from(task, ends, idle);
        }
    }

    /// A statement has run for as long as it may: it is cancelled.
    pub fn statement_timeout(&mut self, task: u32) {
        self.tasks[task].status = OK; // its driver may have given it up before
        match self.tasks[task].state {
            State::LockQueue => {
                self.lock_failed(task, Failure::StatementTimeout, Counter::TimedOut)
            }
            State::InDatabase => self.cancel(task, Failure::StatementTimeout, Counter::TimedOut),
            _ => {}
        }
    }

    /// A statement on its node's cores is cancelled.
    fn cancel(&mut self, task: u32, why: Failure, counter: Counter) {
        let node = self.pools[self.tasks[task].lease().pool as usize].node;
        let station = self.station_of_node(node);
        let left = self.off_cores(node, task);
        assert!(left.is_some(), "a statement in the database is on its cores");
        self.arm_node(node);
        let spent = self.now.since(self.tasks[task].since);
        self.spend(task, station, Part::Service, spent);
        self.release_locks(task);
        self.statement_failed(task, node, why, counter);
    }
}
