//! Locks of tables and rows, and who waits for them.
//!
//! A statement takes the lock of its table, then that of its row, before it computes; it keeps both
//! until its transaction ends, and waits in its database connection, which nobody else can use
//! meanwhile. A row's queue is first come, first served (PostgreSQL 15 `heapam.c`: waiters hold the
//! tuple's lock in turn). After `deadlock_timeout` a waiter looks whether it waits for itself.

use std::collections::VecDeque;

use crate::component::table_lock::{Mode, TableLock};
use crate::failure::Failure;
use crate::kernel::{Dense, PendingEvents};
use crate::model::ids::RelationId;
use crate::model::tape::{LocksId, Op, Statement};
use crate::model::{Relation, Want};
use crate::run::event::Kind;
use crate::run::meter::Counter;
use crate::run::task::{Lease, NONE, State, flag};
use crate::run::world::World;
use crate::units::{Duration, Time};

use super::maintenance::MAINTENANCE;

/// A lock: which table of which node, and which of its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lock {
    Table { table: u32, mode: Mode },
    Row { table: u32, row: u32 },
}

/// A lock that a task holds; they form a list.
#[derive(Clone, Copy, Debug)]
struct Hold {
    lock: Lock,
    next: u32,
}

/// A row that is locked.
#[derive(Clone, Debug, Default)]
struct RowLock {
    holder: u32,
    queue: VecDeque<u32>,
}

/// A task's transaction.
#[derive(Clone, Copy, Debug)]
struct Transaction {
    /// The first of the locks that it holds; [`NONE`] for none.
    first: u32,
    /// What it waits for.
    waits: Option<Lock>,
    /// When its last statement ended, if it goes on.
    idle_since: Time,
    /// The connection that it has.
    on: Lease,
}

/// All locks.
#[derive(Clone, Debug, Default)]
pub struct Locks {
    tables: Vec<TableLock>,
    /// By table: for each row the number of its lock, plus one; 0 is not locked.
    rows: Vec<Vec<u32>>,
    row_locks: Vec<RowLock>,
    free_rows: Vec<u32>,
    holds: Vec<Hold>,
    free_holds: Vec<u32>,
    /// By task.
    transactions: Vec<Transaction>,
    /// By relation.
    versions: Dense<RelationId, Versions>,
}

/// The row versions of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Versions {
    /// Writes so far.
    writes: u64,
    /// Rows that live.
    pub rows: u64,
    /// Versions that have died so far.
    died: u64,
    /// Those of them that have been cleaned up.
    cleaned: u64,
}

impl Versions {
    /// Versions that are dead, and not cleaned up.
    pub fn dead(&self) -> u64 {
        self.died - self.cleaned
    }
}

impl Locks {
    /// For so many locks of tables and so many relations.
    pub fn new(tables: usize, relations: &Dense<RelationId, Relation>) -> Locks {
        Locks {
            tables: vec![TableLock::default(); tables],
            rows: vec![Vec::new(); tables],
            versions: relations
                .iter()
                .map(|table| Versions { rows: table.count, ..Versions::default() })
                .collect(),
            ..Locks::default()
        }
    }
    /// Writes to a relation so far.
    pub fn written(&self, relation: RelationId) -> u64 {
        self.versions[relation].writes
    }
    /// The row versions of a relation.
    pub fn versions(&self, relation: RelationId) -> Versions {
        self.versions[relation]
    }
    /// Row versions of a relation that are dead by now.
    pub fn died(&self, relation: RelationId) -> u64 {
        self.versions[relation].died
    }
    /// So many of a relation's dead row versions are cleaned up, counted from the first.
    pub fn clean(&mut self, relation: RelationId, died: u64) {
        let versions = &mut self.versions[relation];
        versions.cleaned = versions.cleaned.max(died);
    }
    fn write(&mut self, want: Want) {
        let versions = &mut self.versions[want.relation];
        versions.writes += 1;
        versions.died += want.leaves_dead();
        versions.rows =
            (versions.rows + u64::from(want.inserts)).saturating_sub(want.deletes.into());
    }

    fn of(&mut self, task: u32) -> &mut Transaction {
        let none =
            Transaction { first: NONE, waits: None, idle_since: Time::NEVER, on: Lease::default() };
        if self.transactions.len() <= task as usize {
            self.transactions.resize(task as usize + 1, none);
        }
        &mut self.transactions[task as usize]
    }
    fn peek(&self, task: u32) -> Option<&Transaction> {
        self.transactions.get(task as usize)
    }
    /// The locks that a task holds.
    fn held(&self, task: u32) -> impl Iterator<Item = Lock> + '_ {
        let mut at = self.peek(task).map_or(NONE, |one| one.first);
        std::iter::from_fn(move || {
            let hold = *self.holds.get(at as usize)?;
            at = hold.next;
            Some(hold.lock)
        })
    }
    fn hold(&mut self, task: u32, lock: Lock) {
        let next = self.of(task).first;
        let hold = Hold { lock, next };
        let place = match self.free_holds.pop() {
            Some(place) => {
                self.holds[place as usize] = hold;
                place
            }
            None => {
                self.holds.push(hold);
                self.holds.len() as u32 - 1
            }
        };
        self.of(task).first = place;
    }
    /// A task that waits for no lock goes on under another number, with all that it holds.
    pub(in crate::run) fn rename(&mut self, from: u32, to: u32) {
        if self.peek(from).is_none_or(|one| one.first == NONE) {
            return;
        }
        self.of(from.max(to));
        self.transactions.swap(from as usize, to as usize);
        for lock in self.row_locks.iter_mut().filter(|lock| lock.holder == from) {
            lock.holder = to;
        }
    }
    /// Takes one of the locks that a task holds off its list.
    fn unhold(&mut self, task: u32) -> Option<Lock> {
        let place = self.peek(task)?.first;
        let hold = *self.holds.get(place as usize)?;
        self.of(task).first = hold.next;
        self.free_holds.push(place);
        Some(hold.lock)
    }
    /// The modes of a table that a task holds, as bits.
    fn modes(&self, task: u32, table: u32) -> u8 {
        self.held(task).fold(0, |bits, lock| match lock {
            Lock::Table { table: other, mode } if other == table => bits | mode.bit(),
            _ => bits,
        })
    }
    /// Asks for a row; says whether the task has it.
    fn ask_row(&mut self, task: u32, table: u32, row: u32, rows: u32) -> bool {
        let all = &mut self.rows[table as usize];
        if all.is_empty() {
            all.resize(rows as usize, 0);
        }
        match all[row as usize] {
            0 => {
                let lock = RowLock { holder: task, queue: VecDeque::new() };
                let place = match self.free_rows.pop() {
                    Some(place) => {
                        self.row_locks[place as usize].holder = task;
                        place
                    }
                    None => {
                        self.row_locks.push(lock);
                        self.row_locks.len() as u32 - 1
                    }
                };
                self.rows[table as usize][row as usize] = place + 1;
                self.hold(task, Lock::Row { table, row });
                true
            }
            place => {
                let lock = &mut self.row_locks[place as usize - 1];
                if lock.holder != task {
                    lock.queue.push_back(task);
                }
                lock.holder == task
            }
        }
    }
    fn row_lock(&mut self, table: u32, row: u32) -> &mut RowLock {
        let place = self.rows[table as usize][row as usize];
        &mut self.row_locks[place as usize - 1]
    }
    /// A row is released; says who has it next.
    fn release_row(&mut self, table: u32, row: u32) -> Option<u32> {
        let place = self.rows[table as usize][row as usize] - 1;
        let lock = &mut self.row_locks[place as usize];
        match lock.queue.pop_front() {
            Some(next) => {
                lock.holder = next;
                self.hold(next, Lock::Row { table, row });
                Some(next)
            }
            None => {
                self.rows[table as usize][row as usize] = 0;
                self.free_rows.push(place);
                None
            }
        }
    }
    /// Whom somebody waits for directly.
    fn obstacles(&self, task: u32, all: &mut Vec<u32>) {
        match self.peek(task).and_then(|one| one.waits) {
            None => {}
            Some(Lock::Row { table, row }) => {
                let place = self.rows[table as usize][row as usize];
                let lock = &self.row_locks[place as usize - 1];
                all.push(lock.holder);
                all.extend(lock.queue.iter().take_while(|one| **one != task));
            }
            Some(Lock::Table { table, mode }) => {
                all.extend(self.tables[table as usize].ahead_of(task));
                let holders = (0..self.transactions.len() as u32).filter(|other| {
                    *other != task && self.modes(*other, table) & mode.conflicts() != 0
                });
                all.extend(holders);
            }
        }
    }
    /// Those whom a task waits for directly, in their order.
    pub fn before(&self, task: u32) -> Vec<u32> {
        let mut all = Vec::new();
        self.obstacles(task, &mut all);
        all
    }
    /// Whether a task waits, by whatever way round, for itself.
    fn in_deadlock(&self, task: u32) -> bool {
        let mut reached = Vec::new();
        self.obstacles(task, &mut reached);
        let mut next = 0;
        let mut seen = vec![false; self.transactions.len()];
        while let Some(one) = reached.get(next).copied() {
            next += 1;
            if one == task {
                return true;
            }
            // Jobs of the database hold one lock and wait for nobody while they do.
            if let Some(seen) = seen.get_mut(one as usize)
                && !std::mem::replace(seen, true)
            {
                self.obstacles(one, &mut reached);
            }
        }
        false
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// What the statement that a task stands at wants to lock.
    fn want(&self, task: u32) -> Option<(Want, Statement)> {
        let Op::Query { locks: LocksId(number), kind, .. } = self.op_at(task) else { return None };
        let place = usize::from(number).checked_sub(1)?;
        Some((self.model.wants[place], kind))
    }

    /// Number of a relation's lock on a node.
    fn table_on(&self, relation: RelationId, node: u32) -> u32 {
        let spec = &self.model.relations[relation];
        spec.first_table + (node - self.model.databases[spec.database].first_node)
    }

    /// A statement asks for the locks that it has not got yet. True: it has all.
    pub(super) fn lock_on(&mut self, task: u32, node: u32) -> bool {
        self.locks.of(task).idle_since = Time::NEVER;
        let Some((want, kind)) = self.want(task) else { return true };
        let table = self.table_on(want.relation, node);
        let own = self.locks.modes(task, table);
        let station = self.model.relations[want.relation].station;
        if own & want.mode.bit() == 0 {
            self.count(station, Counter::Arrivals);
            let lock = Lock::Table { table, mode: want.mode };
            if !self.locks.tables[table as usize].request(task, want.mode, own) {
                self.wait_for(task, lock, want.relation);
                return false;
            }
            self.locks.hold(task, lock);
        }
        if let Some(draw) = want.row {
            let keys = self.model.relations[want.relation].rows.expect("rows that are locked");
            let row = self.rank_of(task, keys, draw);
            if !self.locks.ask_row(task, table, row, self.model.keys[keys].count) {
                self.wait_for(task, Lock::Row { table, row }, want.relation);
                return false;
            }
        }
        if kind == Statement::Write {
            self.locks.write(want);
        }
        self.meters[station].pass();
        self.count(station, Counter::Served);
        true
    }

    /// A task begins to wait for a lock.
    fn wait_for(&mut self, task: u32, lock: Lock, relation: RelationId) {
        let spec = &self.model.databases[self.model.relations[relation].database];
        self.locks.of(task).waits = Some(lock);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::LockQueue, self.now);
        let first = spec
            .lock_timeout
            .map_or(spec.deadlock_timeout, |timeout| timeout.min(spec.deadlock_timeout));
        self.meters[self.model.relations[relation].station].enter(self.now);
        self.at_task(self.now + first, Kind::LockTimer, task);
    }

    /// A waiting task has got what it waited for; it asks for the rest, and begins.
    fn lock_granted(&mut self, task: u32) {
        self.end_wait(task);
        let node = self.pools[self.tasks[task].lease().pool as usize].node;
        if self.lock_on(task, node) {
            self.begin_statement(task, node);
        }
    }

    /// A task waits no longer.
    fn end_wait(&mut self, task: u32) {
        self.locks.of(task).waits = None;
        let (want, _) = self.want(task).expect("who waits wants something");
        self.leave(task, self.model.relations[want.relation].station);
    }

    /// A waiting statement fails: it leaves its queue, and its transaction gives back what it held.
    pub(super) fn lock_failed(&mut self, task: u32, why: Failure, counter: Counter) {
        let (want, _) = self.want(task).expect("who waits wants something");
        self.count(self.model.relations[want.relation].station, counter);
        self.waits_no_longer(task);
        self.release_locks(task);
        let node = self.pools[self.tasks[task].lease().pool as usize].node;
        self.statement_failed(task, node, why, counter);
    }

    /// A task that may wait for a lock leaves its queue; says whether it waited.
    pub(super) fn waits_no_longer(&mut self, task: u32) -> bool {
        let Some(lock) = self.locks.peek(task).and_then(|its| its.waits) else { return false };
        self.end_wait(task);
        match lock {
            Lock::Table { table, .. } => {
                self.locks.tables[table as usize].withdraw(task);
                self.grant_table(table);
            }
            Lock::Row { table, row } => {
                self.locks.row_lock(table, row).queue.retain(|one| *one != task);
            }
        }
        true
    }

    /// A timer of a task with locks: it has waited long enough, or its transaction was idle.
    pub fn lock_timer(&mut self, task: u32, ordinal: u32) {
        let record = *self.tasks.peek(task);
        if record.state == State::Free || record.ordinal != ordinal || record.leases[0].pool == NONE
        {
            return;
        }
        let node = self.pools[record.lease().pool as usize].node;
        let spec = &self.model.databases[self.database_of(node)];
        if record.state != State::LockQueue {
            let since = self.locks.of(task).idle_since;
            if spec.idle_timeout.is_some_and(|idle| since < Time::NEVER && since + idle == self.now)
            {
                let node = self.pools[self.locks.of(task).on.pool as usize].node;
                self.end_idle(task, node);
            }
            return;
        }
        let waited = self.now.since(record.since);
        if Some(waited) == spec.lock_timeout {
            self.lock_failed(task, Failure::LockTimeout, Counter::TimedOut);
        } else if waited == spec.deadlock_timeout {
            if self.locks.in_deadlock(task) {
                self.lock_failed(task, Failure::Deadlock, Counter::Deadlocks);
            } else if let Some(timeout) = spec.lock_timeout {
                self.at_task(record.since + timeout, Kind::LockTimer, task);
            }
        }
    }

    /// A transaction is idle from now on, until its next statement.
    pub(super) fn idle_from(&mut self, task: u32, since: Time, idle: Duration) {
        let on = self.tasks[task].lease();
        let its = self.locks.of(task);
        (its.idle_since, its.on) = (since, on);
        self.at_task(since + idle, Kind::LockTimer, task);
    }

    /// A transaction was idle for too long: the server ends it and its connection.
    fn end_idle(&mut self, task: u32, node: u32) {
        self.locks.of(task).idle_since = Time::NEVER;
        self.release_locks(task);
        // Its task may have got another connection meanwhile.
        let lease = self.locks.of(task).on;
        let sub = &mut self.pools[lease.pool as usize];
        if sub.is_cut(lease.connection).is_none() {
            sub.cut.push((lease.connection, Failure::IdleTransaction));
            self.free_slot(node);
            self.orphan_server(lease); // a pooler's: it has one less, and disconnects its client
            let station = self.station_of_node(node);
            self.count(station, Counter::TimedOut);
        }
    }

    /// Whether the server has ended the connection of a statement that was on its way, as its transaction was idle.
    pub(super) fn ended_on_its_way(&mut self, task: u32) -> bool {
        let record = &self.tasks[task];
        let lease = record.lease();
        let why = self.pools[lease.pool as usize].is_cut(lease.connection);
        let ended = why == Some(Failure::IdleTransaction) && !record.has(flag::GHOST);
        if ended {
            self.tasks[task].status = Failure::IdleTransaction as u8;
        }
        ended
    }

    /// The client of a transaction has gone, of which the server hears soon: it is not idle for long.
    pub fn not_idle(&mut self, task: u32) {
        if self.locks.peek(task).is_some() {
            self.locks.of(task).idle_since = Time::NEVER;
        }
    }

    /// A task's transaction is over: it gives back all its locks.
    pub fn release_locks(&mut self, task: u32) {
        if self.locks.peek(task).is_none() {
            return;
        }
        self.locks.of(task).idle_since = Time::NEVER;
        while let Some(lock) = self.locks.unhold(task) {
            match lock {
                Lock::Table { table, mode } => {
                    self.locks.tables[table as usize].release(mode);
                    self.grant_table(table);
                }
                Lock::Row { table, row } => {
                    if let Some(next) = self.locks.release_row(table, row) {
                        self.lock_granted(next);
                    }
                }
            }
        }
    }

    /// Those who can have a table's lock now get it.
    fn grant_table(&mut self, table: u32) {
        while let Some(waiter) = self.locks.tables[table as usize].grant() {
            if waiter.owner >= MAINTENANCE {
                self.begin_maintenance(waiter.owner - MAINTENANCE);
            } else {
                self.locks.hold(waiter.owner, Lock::Table { table, mode: waiter.mode });
                self.lock_granted(waiter.owner);
            }
        }
    }

    /// A job of the database asks for its lock. True: it has it.
    pub(super) fn lock_for_job(&mut self, job: u32, node: u32, want: Want) -> bool {
        let table = self.table_on(want.relation, node);
        self.locks.tables[table as usize].request(MAINTENANCE + job, want.mode, 0)
    }

    /// A job lets go of its lock, or of its place in the queue.
    pub(super) fn unlock_for_job(&mut self, job: u32, node: u32, want: Want, held: bool) {
        let table = self.table_on(want.relation, node);
        if held {
            self.locks.tables[table as usize].release(want.mode);
        } else {
            self.locks.tables[table as usize].withdraw(MAINTENANCE + job);
        }
        self.grant_table(table);
    }

    /// How much longer a statement waits for storage because of dead row versions.
    pub(super) fn bloat_at(&self, task: u32) -> f64 {
        let Some((want, _)) = self.want(task) else { return 1.0 };
        let spec = &self.model.relations[want.relation];
        let versions = self.locks.versions(want.relation);
        if spec.bloat == 0.0 || versions.rows == 0 {
            return 1.0;
        }
        1.0 + spec.bloat * versions.dead() as f64 / versions.rows as f64
    }

    /// How much longer a statement takes because its table has grown; of each shard's part.
    pub(super) fn table_slowdown(&self, task: u32) -> f64 {
        let Some((want, _)) = self.want(task) else { return 1.0 };
        let Some(law) = want.growth else { return 1.0 };
        let spec = &self.model.relations[want.relation];
        let shards = u64::from(self.model.databases[spec.database].shards);
        law.multiplier(self.locks.versions(want.relation).rows / shards)
    }
}
