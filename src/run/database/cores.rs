//! The cores of a database's nodes: who is on them, when they leave, and the credits they spend.

use super::backend::STARTING;
use super::maintenance::MAINTENANCE;
use super::{BACKGROUND, REPLAY, Timer};
use crate::kernel::{PendingEvents, ProcessorSharing, Start};
use crate::model::ids::DatabaseId;
use crate::run::event::Kind;
use crate::run::meter::{Counter, MILLI};
use crate::run::task::NONE;
use crate::run::world::World;
use crate::units::{Duration, Time};

/// A thousandth of a core for a millisecond, in thousandths of a core times ticks.
const MILLI_MS: u128 = 1_000 * Duration::millis(1).0 as u128;
/// A microsecond in ticks.
const MICRO: u64 = Duration::micros(1).0;

/// What a burstable node has gathered since it was last counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// Time at the baseline (ticks).
    throttled: u64,
    /// Surplus spent, and paid back (thousandths of a core times ticks).
    surplus: u128,
    repaid: u128,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Changes who is on a node's cores, and keeps the meter of busy cores right.
    pub(super) fn change_cores<R>(
        &mut self,
        node: u32,
        change: impl FnOnce(&mut ProcessorSharing) -> R,
    ) -> R {
        let state = self.node_mut(node);
        let burstable = state.credits.is_some();
        let before = state.cores.busy_milli();
        if burstable {
            self.settle_credits(node, before);
        }
        let cores = &mut self.node_mut(node).cores;
        let result = change(cores);
        let mut after = cores.busy_milli();
        if burstable {
            self.throttle(node);
            after = self.node_mut(node).cores.busy_milli();
        }
        if after != before {
            self.note_busy(node, after as i64 - before as i64);
        }
        result
    }

    /// So many more cores of a node are busy, or fewer (thousandths).
    #[inline]
    fn note_busy(&mut self, node: u32, change: i64) {
        let home = &self.homes[node as usize];
        self.meters[home.station].add_busy(self.now, home.place, change);
    }

    /// Schedules the next departure from a node's cores.
    pub(super) fn arm_node(&mut self, node: u32) {
        let next = self.node_mut(node).cores.next_departure();
        self.arm_node_at(node, next);
    }

    #[inline]
    fn arm_node_at(&mut self, node: u32, next: Option<Time>) {
        let state = self.node_mut(node);
        if let Some(at) = next.filter(|at| *at != state.armed) {
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
        loop {
            let next = self.node_mut(node).cores.next_departure();
            if next.is_none_or(|at| at > now) {
                return self.arm_node_at(node, next);
            }
            let job = self.change_cores(node, |cores| cores.depart(now));
            self.done_on_node(node, job.expect("whose departure is due is there"));
        }
    }

    /// A job of a node is done with its cores.
    fn done_on_node(&mut self, node: u32, job: u32) {
        match job {
            REPLAY => self.replayed(node),
            BACKGROUND => {}
            job if job >= MAINTENANCE => self.maintenance_computed(job - MAINTENANCE),
            job if job >= STARTING => self.backend_started(node, job - STARTING),
            task => self.statement_computed(task, node),
        }
    }

    /// A job joins the cores of a node, or those of the machine that it shares.
    pub(super) fn onto_cores(&mut self, node: u32, cpu: Duration, job: u32) {
        let now = self.now;
        let host = self.node_mut(node).host;
        if host == NONE {
            self.change_cores(node, |cores| cores.add(now, cpu, job));
            return self.arm_node(node);
        }
        self.note_busy(node, MILLI);
        let job = self.job_of_node(host, node, job);
        let rank = self.model.databases[self.database_of(node)].rank;
        self.join_host(host, cpu, job, Start::anew(rank));
    }

    /// A job leaves them before its end: what was left of it, if it was there.
    pub(super) fn off_cores(&mut self, node: u32, job: u32) -> Option<Duration> {
        let now = self.now;
        let host = self.node_mut(node).host;
        if host == NONE {
            return self.change_cores(node, |cores| cores.remove(now, job));
        }
        let job = self.forget_job(host, node, job)?;
        self.note_busy(node, -MILLI);
        self.leave_host(host, job)
    }

    /// A job of a node is done with the cores of the machine that the node shares.
    pub(in crate::run) fn node_computed(&mut self, node: u32, job: u32) {
        self.note_busy(node, -MILLI);
        self.done_on_node(node, job);
    }

    /// Maintenance that nobody waits for takes its share of a primary's cores.
    pub fn background_statement(&mut self, database: DatabaseId, cpu: Duration) {
        self.background_on(self.databases[database].first, cpu);
    }

    /// Work that nobody waits for takes its share of a node's cores.
    pub(super) fn background_on(&mut self, node: u32, cpu: Duration) {
        if !cpu.is_zero() {
            self.onto_cores(node, cpu, BACKGROUND);
        }
    }

    /// Since the last change so much was busy: credits are earned and spent.
    fn settle_credits(&mut self, node: u32, busy_milli: u64) {
        let now = self.now;
        let state = self.node_mut(node);
        let credits = state.credits.as_mut().expect("asked of a burstable server");
        let settled = credits.settle(now, busy_milli);
        let since = std::mem::replace(&mut state.settled, now);
        if state.throttled {
            state.account.throttled += now.since(since).0;
        }
        state.account.surplus += settled.surplus;
        state.account.repaid += settled.repaid;
    }

    /// What has gathered in a node's account is counted, in whole units; the rest stays.
    fn count_account(&mut self, node: u32) {
        let account = &mut self.node_mut(node).account;
        let throttled = account.throttled / MICRO;
        let (surplus, repaid) = (account.surplus / MILLI_MS, account.repaid / MILLI_MS);
        account.throttled %= MICRO;
        account.surplus %= MILLI_MS;
        account.repaid %= MILLI_MS;
        let station = self.station_of_node(node);
        let meter = &mut self.meters[station];
        meter.add(Counter::ThrottledMicros, throttled);
        meter.add(Counter::SurplusMillis, surplus as u64);
        meter.add(Counter::RepaidMillis, repaid as u64);
    }

    /// A burstable server without credits keeps to its baseline.
    fn throttle(&mut self, node: u32) {
        let now = self.now;
        let full = self.model.databases[self.database_of(node)].cores;
        let state = self.node_mut(node);
        let credits = state.credits.expect("asked of a burstable server");
        let exhausted = credits.is_exhausted();
        if exhausted != state.throttled {
            state.throttled = exhausted;
            let cores = if exhausted { credits.baseline_cores() } else { full };
            state.cores.set_cores(now, cores);
        }
        let busy = state.cores.busy_milli();
        let Some(at) = credits.exhausted_at(busy) else { return };
        if at < state.credits_armed || state.credits_armed <= now {
            state.credits_armed = at;
            self.at_node(at, Timer::Credits, node);
        }
    }

    /// A server's credits may be used up by now.
    pub(super) fn credits_due(&mut self, node: u32) {
        let now = self.now;
        let state = self.node_mut(node);
        if state.credits_armed == now {
            state.credits_armed = Time::NEVER;
            self.change_cores(node, |_| ());
            self.arm_node(node);
        }
    }

    /// Brings all accounts up to date, before they are read.
    pub fn settle_databases(&mut self) {
        for database in self.databases.ids() {
            let first = self.databases[database].first;
            for node in first..first + self.databases[database].nodes.len() as u32 {
                if self.node_mut(node).credits.is_some() {
                    self.change_cores(node, |_| ());
                    self.count_account(node);
                }
                self.note_shown(node);
            }
        }
    }
}
