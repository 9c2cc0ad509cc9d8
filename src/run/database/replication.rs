//! Replication: committed writes are shipped to replicas, each of which replays them in one process.

use super::failover::Presence;
use super::{REPLAY, Shipped};
use crate::kernel::PendingEvents;
use crate::model::ids::DatabaseId;
use crate::run::event::Kind;
use crate::run::meter::Counter;
use crate::run::world::World;
use crate::units::{Duration, Time};

impl<Q: PendingEvents> World<'_, Q> {
    /// A committed write is shipped to the replicas of its shard.
    pub(super) fn ship(&mut self, task: u32, primary: u32, committed: Time, cpu: Duration) {
        let database = self.database_of(primary);
        let spec = &self.model.databases[database];
        let record = &self.tasks[task];
        let user = record.user as usize;
        let delay =
            self.model.draw_law(spec.lag, record.stream, self.op_at(task).numbers() ^ 0x1a6);
        let write = Shipped { arrives: committed + delay, committed, cpu: cpu.scale(spec.replay) };
        for replica in primary + 1..=primary + spec.replicas {
            let node = self.node_mut(replica);
            node.replay.push_back(write);
            if node.replay.len() == 1 {
                self.at(write.arrives, Kind::Replay, replica);
            }
        }
        let last = &mut self.databases[database].last_write;
        if last.len() <= user {
            last.resize(user + 1, Time::ZERO);
        }
        last[user] = committed;
    }

    /// The replaying process of a replica takes its next write.
    pub fn replay(&mut self, node: u32) {
        let now = self.now;
        let state = self.node_mut(node);
        if state.replaying || state.presence != Presence::Up {
            return; // it has begun already, or begins when the node is there again
        }
        let write = state.replay.front().copied();
        let cpu = write.expect("a replica replays what has been shipped to it").cpu;
        if cpu.is_zero() {
            return self.replayed(node);
        }
        self.node_mut(node).replaying = true;
        self.change_cores(node, |cores| cores.add(now, cpu, REPLAY));
        self.arm_node(node);
    }

    /// A replica has replayed a write: reads see it from now on.
    pub(super) fn replayed(&mut self, node: u32) {
        let now = self.now;
        let state = self.node_mut(node);
        state.replaying = false;
        let write = state.replay.pop_front().expect("what ends has begun");
        state.applied = write.committed;
        if let Some(next) = state.replay.front() {
            let at = next.arrives.max(now);
            self.at(at, Kind::Replay, node);
        }
        let station = self.station_of_node(node);
        self.meters[station].count(Counter::Replayed);
        self.meters[station].add(Counter::LagMicros, now.since(write.committed).0 / 1_000_000);
    }

    /// Whether a read on a replica may miss its user's own last write.
    pub(super) fn note_staleness(&mut self, task: u32, node: u32, database: DatabaseId) {
        let state = &self.databases[database];
        let replica = &state.nodes[(node - state.first) as usize];
        let user = self.tasks[task].user as usize;
        let is_primary =
            (node - state.first).is_multiple_of(1 + self.model.databases[database].replicas);
        let wrote = state.last_write.get(user).copied().unwrap_or(Time::ZERO);
        if !is_primary && wrote > replica.applied && wrote <= self.now {
            self.count(self.model.databases[database].replica_station, Counter::StaleReads);
        }
    }
}
