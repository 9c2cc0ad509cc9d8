//! What a database does by itself: refreshing views, vacuuming, altering tables, checkpoints.
//!
//! Each job runs on the primary of its shard: it waits for its lock as a statement does, takes its
//! time on the cores and the volume, at an even pace if it is spread, and lets go of the lock. What
//! is spread comes in steps of 100 ms, the nap of PostgreSQL's checkpointer
//! (`CheckpointWriteDelay`).

use crate::component::checkpoint::CheckpointRules;
use crate::component::vacuum::Table;
use crate::kernel::{Event, PendingEvents};
use crate::model::Upkeep;
use crate::model::ids::{DatabaseId, RelationId};
use crate::model::tape::{Op, Statement};
use crate::run::event::Kind;
use crate::run::meter::{Counter, MILLI};
use crate::run::world::World;
use crate::units::{Duration, Time};

/// Jobs among a node's statements have numbers from here on.
pub(super) const MAINTENANCE: u32 = 0xf000_0000;

/// From one step of a spread job to the next.
const STEP: Duration = Duration::millis(100);

/// What a job's event is for: the lower bits of its ordinal, below its epoch.
const START: u32 = 0;
const NEXT_STEP: u32 = 1;
const DONE: u32 = 2;
const GIVE_UP: u32 = 3;

/// A job while the run goes on.
#[derive(Clone, Debug, Default)]
pub struct MaintenanceState {
    /// When the present one was due.
    due: Time,
    /// Where the job is.
    phase: Phase,
    /// Steps left, and what each takes.
    steps: u32,
    cpu: Duration,
    storage: Duration,
    /// Writes at the end of the one before.
    seen: u64,
    /// Row versions that were dead when it began.
    died: u64,
    /// Ones so far: numbers the draws, and tells events of earlier ones.
    epoch: u32,
}

/// What a job takes.
struct Takes {
    cpu: Duration,
    /// On an idle volume.
    storage: Duration,
    /// At least so long.
    spread: Duration,
}

/// Where a job is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Phase {
    #[default]
    Idle,
    Locking,
    Running,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// All jobs are due after their time.
    pub fn build_maintenance(&mut self) {
        for (job, spec) in self.model.maintenance.iter().enumerate() {
            self.maintenance.push(MaintenanceState::default());
            self.at_job(Time::ZERO + spec.every, job as u32, START);
        }
    }

    fn at_job(&mut self, at: Time, job: u32, what: u32) {
        let ordinal = (self.maintenance[job as usize].epoch & 0xff_ffff) << 2 | what;
        self.events.push(Event::new(at, Kind::Maintenance as u8, ordinal, job));
    }

    /// The node that a job runs on.
    fn node_of_job(&self, job: u32) -> u32 {
        let spec = &self.model.maintenance[job as usize];
        let database = &self.model.databases[spec.database];
        database.first_node + spec.shard * (1 + database.replicas)
    }

    /// Something about a job is due.
    pub fn maintenance_event(&mut self, job: u32, ordinal: u32) {
        if ordinal >> 2 != self.maintenance[job as usize].epoch & 0xff_ffff {
            return; // of one that is over
        }
        match ordinal & 3 {
            START => self.start_maintenance(job),
            NEXT_STEP => self.step_maintenance(job),
            DONE => self.end_maintenance(job, true),
            _ => {
                if self.maintenance[job as usize].phase == Phase::Locking {
                    let station = self.model.maintenance[job as usize].station;
                    self.count(station, Counter::TimedOut);
                    self.end_maintenance(job, false);
                }
            }
        }
    }

    /// Writes that a job looks at: those to its table, or all.
    fn writes_for(&self, job: u32) -> u64 {
        let spec = &self.model.maintenance[job as usize];
        match spec.lock {
            Some(want) => self.locks.written(want.relation),
            None => self.databases[spec.database].written,
        }
    }

    fn start_maintenance(&mut self, job: u32) {
        let spec = &self.model.maintenance[job as usize];
        let node = self.node_of_job(job);
        let there = self.node_mut(node).presence == super::Presence::Up;
        let new = self.writes_for(job) - self.maintenance[job as usize].seen;
        let state = &mut self.maintenance[job as usize];
        state.due = self.now;
        if !there || new < spec.threshold || !self.is_due(job) {
            return self.schedule_maintenance(job);
        }
        self.count(spec.station, Counter::Arrivals);
        if let Some(want) = spec.lock {
            self.maintenance[job as usize].phase = Phase::Locking;
            if !self.lock_for_job(job, node, want) {
                if let Some(timeout) = spec.lock_timeout {
                    self.at_job(self.now + timeout, job, GIVE_UP);
                }
                return;
            }
        }
        self.begin_maintenance(job);
    }

    /// Whether a job has anything to do, as its product sees it.
    fn is_due(&self, job: u32) -> bool {
        let spec = &self.model.maintenance[job as usize];
        match (spec.kind, spec.lock) {
            (Upkeep::Vacuum { rules, .. }, Some(want)) => {
                let (rows, dead) = self.versions_on_shard(want.relation);
                rules.is_due(rows, dead)
            }
            _ => true,
        }
    }

    /// Live and dead row versions of a table on each of its shards.
    fn versions_on_shard(&self, relation: RelationId) -> (f64, f64) {
        let shards = self.model.databases[self.model.relations[relation].database].shards;
        let versions = self.locks.versions(relation);
        (versions.rows as f64 / f64::from(shards), versions.dead() as f64 / f64::from(shards))
    }

    /// What a job takes that begins now.
    fn job_takes(&mut self, job: u32) -> Takes {
        let spec = &self.model.maintenance[job as usize];
        let database = &self.model.databases[spec.database];
        let writes = self.writes_for(job);
        let new = writes - std::mem::replace(&mut self.maintenance[job as usize].seen, writes);
        // Without a volume storage has no limit, and nothing waits for it.
        let operation = database.volume.map_or(Duration::ZERO, |volume| volume.operation);
        match spec.kind {
            Upkeep::Job => {
                let number = self.maintenance[job as usize].epoch;
                let stream =
                    self.key.named("maintenance").named(&spec.name).numbered(spec.shard.into());
                let drawn = self.model.draw_law(spec.work, stream, number);
                let work = Duration(drawn.0.saturating_add(spec.per_write.0.saturating_mul(new)));
                let cpu = work.scale(database.cpu_share);
                Takes { cpu, storage: Duration(work.0 - cpu.0.min(work.0)), spread: spec.spread }
            }
            Upkeep::Vacuum { rules, row_bytes, indexes } => {
                let on = spec.lock.expect("a vacuum locks its table").relation;
                let (rows, dead) = self.versions_on_shard(on);
                let vacuum = rules.work(Table { rows, row_bytes, indexes }, dead);
                let reading = operation.scale(vacuum.reads);
                let storage = reading + operation.scale(vacuum.writes);
                Takes { cpu: vacuum.cpu, storage, spread: vacuum.cpu + reading + vacuum.naps }
            }
            Upkeep::Checkpoint(rules, page_cpu) => {
                self.databases[spec.database].checkpointed = writes;
                let pages = rules.changed(new / u64::from(database.shards));
                Takes {
                    cpu: page_cpu.scale(pages),
                    storage: operation.scale(pages),
                    spread: spec.spread,
                }
            }
        }
    }

    /// How long the whole pages that a statement logs keep it, as the first to change them after a
    /// checkpoint's beginning, on an idle volume.
    pub(super) fn full_pages(
        &self,
        task: u32,
        database: DatabaseId,
        rules: &CheckpointRules,
    ) -> Duration {
        let Op::Query { kind: Statement::Write, .. } = self.op_at(task) else {
            return Duration::ZERO;
        };
        let spec = &self.model.databases[database];
        let state = &self.databases[database];
        // It has been counted itself.
        let before = (state.written - state.checkpointed).saturating_sub(1);
        let operation = spec.volume.expect("whole pages are logged to a volume").operation;
        operation.scale(rules.logged(before / u64::from(spec.shards)))
    }

    /// A job has its lock, if it needs one.
    pub(super) fn begin_maintenance(&mut self, job: u32) {
        let spec = &self.model.maintenance[job as usize];
        let node = self.node_of_job(job);
        let Takes { cpu, storage, spread } = self.job_takes(job);
        let died = spec.lock.map_or(0, |want| self.locks.died(want.relation));
        let state = &mut self.maintenance[job as usize];
        let steps = spread.0.div_ceil(STEP.0).max(1);
        state.died = died;
        state.phase = Phase::Running;
        state.steps = steps as u32;
        state.cpu = Duration(cpu.0 / steps);
        state.storage = Duration(storage.0 / steps);
        let cpu = state.cpu;
        self.meters[spec.station].shared(self.now.since(state.due));
        self.meters[spec.station].busy.add(self.now, MILLI);
        if steps > 1 {
            return self.step_maintenance(job);
        }
        if cpu.is_zero() {
            return self.maintenance_computed(job);
        }
        self.onto_cores(node, cpu, MAINTENANCE + job);
    }

    /// A spread job does a little and naps.
    fn step_maintenance(&mut self, job: u32) {
        let node = self.node_of_job(job);
        let state = &mut self.maintenance[job as usize];
        state.steps -= 1;
        let (cpu, storage, last) = (state.cpu, state.storage, state.steps == 0);
        self.background_on(node, cpu);
        let now = self.now;
        if let Some(volume) = &mut self.node_mut(node).volume {
            volume.submit(now, storage);
        }
        self.at_job(self.now + STEP, job, if last { DONE } else { NEXT_STEP });
    }

    /// A job is done with the cores; what it wants of storage remains.
    pub(super) fn maintenance_computed(&mut self, job: u32) {
        let (now, node) = (self.now, self.node_of_job(job));
        let storage = self.maintenance[job as usize].storage;
        let ends = match &mut self.node_mut(node).volume {
            Some(volume) => volume.submit(now, storage),
            None => now + storage,
        };
        self.at_job(ends, job, DONE);
    }

    /// A job is over, well or not.
    fn end_maintenance(&mut self, job: u32, well: bool) {
        let spec = &self.model.maintenance[job as usize];
        let node = self.node_of_job(job);
        let state = &mut self.maintenance[job as usize];
        let phase = std::mem::take(&mut state.phase);
        state.epoch += 1;
        if phase == Phase::Running {
            self.meters[spec.station].busy.add(self.now, -MILLI);
        }
        if well {
            self.count(spec.station, Counter::Served);
            if let (true, Some(want)) = (spec.cleans, spec.lock) {
                let died = match spec.kind {
                    Upkeep::Job => self.locks.died(want.relation),
                    _ => self.maintenance[job as usize].died,
                };
                self.locks.clean(want.relation, died);
            }
            if spec.conflicts {
                self.ship_conflict(node);
            }
        }
        self.schedule_maintenance(job);
        if let Some(want) = spec.lock {
            self.unlock_for_job(job, node, want, phase == Phase::Running);
        }
    }

    fn schedule_maintenance(&mut self, job: u32) {
        let every = self.model.maintenance[job as usize].every;
        let at = (self.maintenance[job as usize].due + every).max(self.now);
        self.at_job(at, job, START);
    }

    /// The server of some jobs goes away, and with it what they were doing.
    pub(super) fn lose_maintenance(&mut self, node: u32) {
        for job in 0..self.maintenance.len() as u32 {
            if self.node_of_job(job) == node && self.maintenance[job as usize].phase != Phase::Idle
            {
                self.off_cores(node, MAINTENANCE + job);
                self.count(self.model.maintenance[job as usize].station, Counter::Errors);
                self.end_maintenance(job, false);
            }
        }
    }
}
