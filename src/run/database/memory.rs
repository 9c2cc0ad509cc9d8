//! The memory of a database server: who takes of it, and what becomes of everybody when none is left.
//!
//! A connection is a process, which takes memory of its own for as long as it is open; a sort or a hash takes
//! more while its statement runs. What they leave keeps pages of data: that is given up first, so that a crowd
//! of connections is felt as reads from storage long before anything fails. When nothing is left the kernel kills
//! a process, and the postmaster, who cannot know what that has left behind in shared memory, ends all others
//! and replays the log (PostgreSQL 15 `postmaster.c`, `HandleChildCrash`; `restart_after_crash`). Where the
//! kernel grants no more than there is, `malloc` or `fork` fails instead, and only who asked hears of it.

use crate::component::vacuum::PAGE;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ServerMemory;
use crate::model::ids::{DatabaseId, StationId};
use crate::model::tape::{Op, SORT_UNIT};
use crate::run::meter::Counter;
use crate::run::world::World;
use crate::stats::{Level, NO_THRESHOLDS};
use crate::units::{Duration, Time};

use super::failover::Presence;
use super::{Node, Timer};

/// A level counts in such units (bytes).
const UNIT: u64 = 1 << 10;

/// What the processes of a node take.
pub struct NodeMemory {
    /// Statements that sort or hash, and what each takes (bytes).
    sorting: Vec<(u32, u64)>,
    /// All of that.
    sorts: u64,
    /// What is taken in all, page cache aside.
    taken: Level,
    /// The kernel looks for somebody to kill.
    due: bool,
}

impl Default for NodeMemory {
    fn default() -> NodeMemory {
        let taken = Level::new(Time::ZERO, NO_THRESHOLDS);
        NodeMemory { sorting: Vec::new(), sorts: 0, taken, due: false }
    }
}

impl Node {
    /// What its processes take of its memory (bytes).
    fn taken(&self, spec: &ServerMemory) -> u64 {
        let sorts = self.memory.as_ref().map_or(0, |memory| memory.sorts);
        spec.fixed + u64::from(self.connections) * spec.per_connection + sorts
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    fn memory_of_node(&self, node: u32) -> Option<ServerMemory> {
        self.model.databases[self.database_of(node)].memory
    }

    /// A node's memory is taken by more than before, or by fewer.
    pub(super) fn note_memory(&mut self, node: u32) {
        let Some(spec) = self.memory_of_node(node) else { return };
        let now = self.now;
        let state = self.node_mut(node);
        let taken = state.taken(&spec);
        let there = state.presence == Presence::Up;
        let memory = state.memory.as_mut().expect("its database says so");
        memory.taken.set(now, taken / UNIT);
        if taken > spec.machine && spec.kills && there && !memory.due {
            memory.due = true;
            self.at_node(now, Timer::OutOfMemory, node);
        }
    }

    /// Whether there is memory for the process of one more connection, where the kernel grants no more than
    /// there is.
    pub(super) fn may_fork(&mut self, node: u32) -> bool {
        let Some(spec) = self.memory_of_node(node).filter(|spec| !spec.kills) else { return true };
        let fits = self.node_mut(node).taken(&spec) + spec.per_connection <= spec.machine;
        if !fits {
            self.count(self.station_of_node(node), Counter::OutOfMemory);
        }
        fits
    }

    /// A statement begins, with its sorts and hashes. Says no if there is no memory for them: it has failed.
    pub(super) fn take_sorts(&mut self, task: u32, node: u32) -> bool {
        let Op::Query { sorts, .. } = self.op_at(task) else { return true };
        if sorts == 0 {
            return true;
        }
        let spec = self.memory_of_node(node).expect("only what has memory is asked for it");
        let bytes = u64::from(sorts) * SORT_UNIT;
        let state = self.node_mut(node);
        if !spec.kills && state.taken(&spec) + bytes > spec.machine {
            self.count(self.station_of_node(node), Counter::OutOfMemory);
            self.release_locks(task);
            self.statement_failed(task, node, Failure::QueryError, Counter::Errors);
            return false;
        }
        let memory = state.memory.as_mut().expect("its database says so");
        memory.sorting.push((task, bytes));
        memory.sorts += bytes;
        self.note_memory(node);
        true
    }

    /// A statement has ended, or failed: its sorts and hashes are no more.
    pub(super) fn free_sorts(&mut self, task: u32, node: u32) {
        let Some(memory) = &mut self.node_mut(node).memory else { return };
        let Some(place) = memory.sorting.iter().position(|(one, _)| *one == task) else { return };
        let (_, bytes) = memory.sorting.swap_remove(place);
        memory.sorts -= bytes;
        self.note_memory(node);
    }

    /// A node is gone, and with it all that its processes had.
    pub(super) fn forget_sorts(&mut self, node: u32) {
        if let Some(memory) = &mut self.node_mut(node).memory {
            (memory.sorting, memory.sorts, memory.due) = (Vec::new(), 0, false);
        }
    }

    /// Pages for which a node's processes leave room: shared buffers are always theirs.
    pub(super) fn pages_left(&mut self, node: u32) -> f64 {
        let Some(spec) = self.memory_of_node(node) else { return 0.0 };
        let cached = spec.machine.saturating_sub(self.node_mut(node).taken(&spec));
        (spec.shared + cached) as f64 / PAGE
    }

    /// A node has no memory left, if it still has not: the kernel kills a process, and the server all others.
    pub(super) fn out_of_memory(&mut self, node: u32) {
        let Some(spec) = self.memory_of_node(node) else { return };
        let state = self.node_mut(node);
        let memory = state.memory.as_mut().expect("its database says so");
        if !std::mem::take(&mut memory.due)
            || state.presence != Presence::Up
            || state.taken(&spec) <= spec.machine
        {
            return;
        }
        let times = state.incarnation;
        let database = self.database_of(node);
        let (name, first) =
            (&self.model.databases[database].name, self.databases[database].first_node());
        let stream = self.key.named("recovery").named(name).numbered(u64::from(node - first));
        let takes = self.model.draw_law(spec.recovery, stream, times);
        self.count(self.station_of_node(node), Counter::Killed);
        self.databases[database].crashes.push((self.now, self.now + takes));
        // Nothing is left of the page cache by now, and shared buffers begin anew: no page is there.
        self.node_down(node, takes, Duration::ZERO);
    }

    /// Meters of memory begin anew.
    pub(in crate::run) fn measure_memory(&mut self) {
        let now = self.now;
        for node in 0..self.homes.len() as u32 {
            if let Some(memory) = &mut self.node_mut(node).memory {
                memory.taken.reset(now);
            }
        }
    }

    /// What is taken of the memory of the fullest server of a database (a share).
    pub(in crate::run) fn memory_of_database(&self, database: DatabaseId) -> f64 {
        let Some(spec) = self.model.databases[database].memory else { return 0.0 };
        let nodes = self.databases[database].nodes.iter();
        let most = nodes.map(|node| node.taken(&spec)).max().unwrap_or(0);
        most as f64 / spec.machine as f64
    }

    /// What is taken of the memory of the servers of a station: on average, and at most of any of them.
    pub(in crate::run) fn memory_at(&self, station: StationId) -> Option<(f64, f64)> {
        let (mut sum, mut peak, mut count) = (0.0, 0.0_f64, 0.0);
        for home in self.homes.iter().filter(|home| home.station == station) {
            let spec = self.model.databases[home.database].memory?;
            let node = &self.databases[home.database].nodes[home.place as usize];
            let taken = &node.memory.as_ref()?.taken;
            let share = |units: f64| units * UNIT as f64 / spec.machine as f64;
            sum += share(taken.mean(self.now).unwrap_or(0.0));
            peak = peak.max(share(taken.peak() as f64));
            count += 1.0;
        }
        (count > 0.0).then_some((sum / count, peak))
    }
}
