//! Databases: statements on the cores of a node, storage waits, replicas that replay, shards.
//!
//! A statement's time is part CPU, shared equally with the other statements on the node's cores
//! (PostgreSQL runs a process per connection), and part waiting for storage, which does not
//! contend. A write is replayed by one process on every replica; until then a replica's reads are
//! stale.

mod failover;
mod replication;

use std::collections::VecDeque;

use crate::failure::Failure;
use crate::kernel::{PendingEvents, ProcessorSharing};
use crate::model;
use crate::model::UnitKind;
use crate::model::ids::{DatabaseId, StationId};
use crate::model::tape::{Op, Pc, Statement};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::{Counter, MILLI, Part};
use super::task::{NONE, OK, State};
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
}

/// Their numbers.
const TIMERS: [Timer; 1] = [Timer::Up];

/// A database while it runs.
pub struct DatabaseState {
    /// Its nodes: per shard the primary, then the replicas.
    pub nodes: Vec<Node>,
    /// Number of its first node among all nodes of all databases.
    first: u32,
    /// When each user's last write was committed.
    last_write: Vec<Time>,
}

/// One database server.
pub struct Node {
    /// Its cores, and the statements on them.
    pub cores: ProcessorSharing,
    /// When its next departure is scheduled.
    pub armed: Time,
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
    /// Whether it is there.
    pub presence: Presence,
    /// When it will be there again.
    up_at: Time,
    /// How often it has come to be; connections of earlier ones are not its own.
    pub incarnation: u32,
}

/// A write on its way to a replica.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// When its log arrives.
    arrives: Time,
    /// When it was committed.
    committed: Time,
    /// What replaying it takes.
    cpu: Duration,
}

impl Node {
    /// One more connection, unless there are too many already.
    pub fn take_slot(&mut self) -> bool {
        let free = self.connections < self.slots;
        self.connections += u32::from(free);
        free
    }
    /// One connection less, unless it was to a server that is no more.
    pub fn free_slot_of(&mut self, incarnation: u32) {
        if incarnation == self.incarnation {
            self.free_slot();
        }
    }
    /// One connection less.
    pub fn free_slot(&mut self) {
        assert!(self.connections > 0, "a connection closes once");
        self.connections -= 1;
    }
}

impl DatabaseState {
    /// As it is at time zero.
    pub fn new(spec: &model::Database) -> DatabaseState {
        let (sigma, kappa) = spec.contention;
        let nodes = (0..spec.shards * (1 + spec.replicas))
            .map(|_| Node {
                cores: ProcessorSharing::new(spec.cores, sigma, kappa),
                armed: Time::NEVER,
                connections: 0,
                slots: spec.slots,
                replay: VecDeque::new(),
                applied: Time::ZERO,
                replaying: false,
                presence: Presence::Up,
                up_at: Time::ZERO,
                incarnation: 1,
            })
            .collect();
        DatabaseState { nodes, first: spec.first_node, last_write: Vec::new() }
    }
    /// Number of its first node among all nodes of all databases.
    pub fn first_node(&self) -> u32 {
        self.first
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// The database that a node belongs to.
    pub fn database_of(&self, node: u32) -> DatabaseId {
        let after = self.databases.iter().take_while(|state| state.first <= node).count();
        DatabaseId(after as u32 - 1)
    }
    /// Where a node is measured: with the primaries, or with the replicas.
    fn station_of_node(&self, node: u32) -> StationId {
        let database = self.database_of(node);
        let spec = &self.model.databases[database];
        let is_primary = (node - spec.first_node).is_multiple_of(1 + spec.replicas);
        if is_primary { spec.station } else { spec.replica_station }
    }
    /// A node by its number among all nodes of all databases.
    pub fn node_mut(&mut self, node: u32) -> &mut Node {
        let database = self.database_of(node);
        let state = &mut self.databases[database];
        &mut state.nodes[(node - state.first) as usize]
    }

    /// A running callback sends the statement that its tape stands at.
    pub fn send_statement(&mut self, task: u32) {
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
        if self.pools[lease.pool as usize].is_cut(lease.connection) {
            // The socket is gone: the driver says so within the same turn of the loop.
            self.tasks[task].status = Failure::DatabaseDown as u8;
            return self.at_task(self.now, Kind::Resume, task);
        }
        if half.is_zero() {
            return self.statement(task);
        }
        self.at_task(self.now + half, Kind::Statement, task);
    }

    /// The round trip of the statement that the task stands at.
    fn statement_rtt(&self, task: u32) -> Duration {
        let record = &self.tasks[task];
        let sub = &self.pools[record.lease().pool as usize];
        let spec = &self.model.pools[sub.kind];
        let database = &self.model.databases[spec.database];
        let here = self.model.services[spec.service].region;
        let far = self.model.draw_law(self.model.route(here, database.region), record.stream, 0xfa);
        self.model.draw_law(database.rtt, record.stream, self.op_at(task).numbers() ^ 0xd_b000)
            + far
    }

    /// How long the statement that the task stands at takes on an idle server.
    fn statement_work(&self, task: u32) -> (Duration, Statement) {
        let Op::Query { work, kind, slowed_by, .. } = self.op_at(task) else {
            unreachable!("a statement is sent where the tape says so")
        };
        let node = self.pools[self.tasks[task].lease().pool as usize].node;
        let alone = self.condition(UnitKind::Node, node).stretch(self.draw(work, task));
        let slowed = slowed_by.map_or(1.0, |session| self.session_slowdown(session));
        (if slowed == 1.0 { alone } else { alone.scale(slowed) }, kind)
    }

    /// A statement reaches its node.
    pub fn statement(&mut self, task: u32) {
        if self.tasks[task].status != OK {
            return self.turned_back(task);
        }
        let sub = &self.pools[self.tasks[task].lease().pool as usize];
        let (node, kind) = (sub.node, sub.kind);
        let database = self.model.pools[kind].database;
        let spec = &self.model.databases[database];
        let (work, statement) = self.statement_work(task);
        let counter = if statement == Statement::Write { Counter::Writes } else { Counter::Reads };
        if statement.works() {
            let station = self.station_of_node(node);
            self.count(station, counter);
            self.count(station, Counter::Arrivals);
        }
        if statement == Statement::Read && spec.replicas > 0 {
            self.note_staleness(task, node, database);
        }
        let cpu = work.scale(spec.cpu_share);
        let record = &mut self.tasks[task];
        (record.since, record.work) = (self.now, work);
        if cpu.is_zero() {
            return self.statement_stored(task, node, cpu);
        }
        self.tasks[task].state = State::InDatabase;
        let now = self.now;
        if let Some(timeout) = spec.statement_timeout {
            self.tasks[task].deadline = self.now + timeout;
            self.at_task(self.now + timeout, Kind::StatementTimeout, task);
        }
        self.change_cores(node, |cores| cores.add(now, cpu, task));
        self.arm_node(node);
    }

    /// A timer of a node.
    pub fn node_timer(&mut self, node: u32, what: u32) {
        match TIMERS[what as usize] {
            Timer::Up => self.node_up(node),
        }
    }

    /// Changes who is on a node's cores, and keeps the meter of busy cores right.
    fn change_cores<R>(&mut self, node: u32, change: impl FnOnce(&mut ProcessorSharing) -> R) -> R {
        let now = self.now;
        let database = self.database_of(node);
        let state = &mut self.databases[database];
        let cores = &mut state.nodes[(node - state.first) as usize].cores;
        let before = (cores.busy_cores() * MILLI as f64) as i64;
        let result = change(cores);
        let after = (cores.busy_cores() * MILLI as f64) as i64;
        let station = self.station_of_node(node);
        self.meters[station].busy.add(now, after - before);
        result
    }

    fn arm_node(&mut self, node: u32) {
        let state = self.node_mut(node);
        if let Some(at) = state.cores.next_departure().filter(|at| *at != state.armed) {
            state.armed = at;
            self.at(at, Kind::DatabaseDepart, node);
        }
    }

    /// Statements of a node may be done with its cores.
    pub fn database_depart(&mut self, node: u32) {
        let now = self.now;
        if self.node_mut(node).armed != now {
            return; // superseded
        }
        self.node_mut(node).armed = Time::NEVER;
        while let Some(task) = self.change_cores(node, |cores| cores.depart(now)) {
            match task {
                REPLAY => self.replayed(node),
                BACKGROUND => {}
                task => self.statement_computed(task, node),
            }
        }
        self.arm_node(node);
    }

    /// Maintenance that nobody waits for takes its share of a primary's cores.
    pub fn background_statement(&mut self, database: DatabaseId, cpu: Duration) {
        if !cpu.is_zero() {
            let node = self.databases[database].first;
            let now = self.now;
            self.change_cores(node, |cores| cores.add(now, cpu, BACKGROUND));
            self.arm_node(node);
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
        let storage = Duration(self.tasks[task].work.0.saturating_sub(cpu.0));
        let so_far = self.now.since(self.tasks[task].since);
        let database = self.database_of(node);
        let spec = &self.model.databases[database];
        let station = self.station_of_node(node);
        let Op::Query { work, kind, fail, .. } = self.op_at(task) else {
            unreachable!("a statement ends where it began")
        };
        let passage = self.passage_of_statement(task);
        let back = self.statement_rtt(task).half() + passage.late;
        self.travel(task, back);
        let errors = self.condition(UnitKind::Node, node).errors;
        let stumbles = self.stumbles(errors);
        let over = spec.statement_timeout.filter(|timeout| so_far + storage > *timeout);
        let storage = over.map_or(storage, |timeout| timeout - so_far);
        self.spend(task, station, Part::Service, storage);
        let record = &mut self.tasks[task];
        record.state = State::Answering;
        record.deadline = Time::NEVER;
        let ends = self.now + storage;
        if passage.lost {
            record.status = Failure::DatabaseDown as u8;
        } else if over.is_some() {
            record.status = Failure::StatementTimeout as u8;
            self.meters[station].count(Counter::TimedOut);
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
                self.ship(task, node, ends, cpu);
            }
            let record = &mut self.tasks[task];
            record.pc = Pc(record.pc.0 + 1);
        }
        self.at_task(ends + back, Kind::Resume, task);
    }

    /// A statement has run for as long as it may: it is cancelled.
    pub fn statement_timeout(&mut self, task: u32) {
        if self.tasks[task].state != State::InDatabase {
            return;
        }
        let sub = &self.pools[self.tasks[task].lease().pool as usize];
        let node = sub.node;
        let station = self.station_of_node(node);
        let now = self.now;
        let left = self.change_cores(node, |cores| cores.remove(now, task));
        assert!(left.is_some(), "a statement in the database is on its cores");
        self.arm_node(node);
        let spent = self.now.since(self.tasks[task].since);
        self.spend(task, station, Part::Service, spent);
        self.statement_failed(task, node, Failure::StatementTimeout, Counter::TimedOut);
    }
}
