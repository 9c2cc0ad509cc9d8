//! Replication: committed writes are shipped to replicas, each of which replays them in one process.

use super::failover::Presence;
use super::{REPLAY, Shipped, Timer};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::DatabaseId;
use crate::run::cut::Party;
use crate::run::event::Kind;
use crate::run::meter::Counter;
use crate::run::task::{NONE, OK, State};
use crate::run::world::World;
use crate::units::{Duration, Time};

/// How often the product shows the lag.
const MINUTE: Duration = Duration::secs(60);
/// How often a primary on which nothing happens begins a new log segment.
const FORCED: Duration = Duration::secs(300);

impl<Q: PendingEvents> World<'_, Q> {
    /// A committed write is shipped to the replicas of its shard.
    pub(super) fn ship(&mut self, task: u32, primary: u32, committed: Time, cpu: Duration) {
        let database = self.database_of(primary);
        let spec = &self.model.databases[database];
        let record = &self.tasks[task];
        let user = record.user as usize;
        let delay =
            self.model.draw_law(spec.lag, record.stream, self.op_at(task).numbers() ^ 0x1a6);
        let arrives = committed + delay;
        let cpu = cpu.scale(spec.replay);
        let write = Shipped { arrives, committed, cpu, conflict: false };
        match spec.spread {
            true => self.ship_apart(task, primary, write),
            false => self.ship_to_all(primary, spec.replicas, write),
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
        let Some(write) = state.replay.front().copied().filter(|write| write.arrives <= now) else {
            return; // asked once too often
        };
        if write.conflict && self.must_wait(node, write) {
            return;
        }
        let cpu = write.cpu;
        if cpu.is_zero() {
            return self.replayed(node);
        }
        self.node_mut(node).replaying = true;
        self.onto_cores(node, cpu, REPLAY);
    }

    /// A replica has replayed a write: reads see it from now on.
    pub(super) fn replayed(&mut self, node: u32) {
        let now = self.now;
        self.note_shown(node);
        let state = self.node_mut(node);
        state.replaying = false;
        let write = state.replay.pop_front().expect("what ends has begun");
        state.applied = write.committed.max(state.applied);
        if let Some(next) = state.replay.front() {
            let at = next.arrives.max(now);
            self.at(at, Kind::Replay, node);
        } else {
            self.all_replayed(node);
        }
        if write.conflict {
            return;
        }
        let station = self.station_of_node(node);
        self.meters[station].count(Counter::Replayed);
        self.meters[station].add(Counter::LagMicros, now.since(write.committed).0 / 1_000_000);
    }

    fn ship_to_all(&mut self, primary: u32, replicas: u32, write: Shipped) {
        for replica in primary + 1..=primary + replicas {
            self.ship_to(replica, write);
        }
    }

    fn ship_to(&mut self, replica: u32, write: Shipped) {
        let node = self.node_mut(replica);
        if node.promoted {
            return;
        }
        node.replay.push_back(write);
        if node.replay.len() == 1 {
            self.at(write.arrives, Kind::Replay, replica);
        }
    }

    /// The same to replicas of several regions: to each by its own way, and in order. What meets a cut is sent
    /// again once that has healed.
    fn ship_apart(&mut self, task: u32, primary: u32, write: Shipped) {
        let database = self.database_of(primary);
        let here = self.region_of_node(primary);
        let numbers = self.op_at(task).numbers() ^ 0x1a6;
        for (copy, replica) in self.model.databases[database].copies.iter().zip(primary + 1..) {
            let there = self.region_of_node(replica);
            let stream = self.tasks[task].stream;
            let mut delay = self.model.draw_law(copy.lag, stream, numbers);
            if there != here {
                let stream = stream.numbered(u64::from(replica - primary));
                let way = self.model.draw_law(self.model.route(here, there), stream, 0xfc);
                delay += way.half();
            }
            let healed =
                self.cut_until(Party::Database(database, here), Party::Database(database, there));
            let behind =
                self.node_mut(replica).replay.back().map_or(Time::ZERO, |last| last.arrives);
            let arrives = (write.committed.max(healed) + delay).max(behind);
            self.ship_to(replica, Shipped { arrives, ..write });
        }
    }

    /// What a job of the primary has removed is removed on the replicas too.
    pub(super) fn ship_conflict(&mut self, primary: u32) {
        let database = self.database_of(primary);
        let spec = &self.model.databases[database];
        if !spec.conflicts {
            return;
        }
        let stream = self.key.named("conflict").numbered(u64::from(primary));
        let delay = self.model.draw_law(spec.lag, stream, (self.now.0 >> 32) as u32);
        let (arrives, committed) = (self.now + delay, self.now);
        let removal = Shipped { arrives, committed, cpu: Duration::ZERO, conflict: true };
        self.ship_to_all(primary, spec.replicas, removal);
    }

    /// Queries on a replica that began before something arrived which they conflict with.
    fn in_the_way(&self, node: u32, arrives: Time) -> Vec<u32> {
        let tasks = 0..self.tasks.capacity() as u32;
        let on_it = |task: &u32| {
            let record = self.tasks.peek(*task);
            matches!(record.state, State::InDatabase | State::Storing)
                && record.status == OK
                && record.since <= arrives
                && record.leases[0].pool != NONE
                && self.pools[record.lease().pool as usize].node == node
        };
        tasks.filter(on_it).collect()
    }

    /// Whether replay waits for queries (PostgreSQL 15 `standby.c`,
    /// `ResolveRecoveryConflictWithVirtualXIDs`): until they have ended, or the delay since the
    /// arrival is over.
    fn must_wait(&mut self, node: u32, removal: Shipped) -> bool {
        let spec = &self.model.databases[self.database_of(node)];
        let until = removal.arrives + spec.standby_delay;
        let waits = until > self.now && !self.in_the_way(node, removal.arrives).is_empty();
        if waits && !self.node_mut(node).paused {
            self.at_node(until, Timer::Conflict, node);
        }
        self.node_mut(node).paused = waits;
        waits
    }

    /// Replay has waited for as long as it may: queries in its way are cancelled.
    pub(super) fn conflict_due(&mut self, node: u32) {
        let delay = self.model.databases[self.database_of(node)].standby_delay;
        let now = self.now;
        let state = self.node_mut(node);
        let front = state.replay.front().copied().filter(|front| front.arrives + delay <= now);
        let Some(front) = front.filter(|front| state.paused && front.conflict) else { return };
        state.paused = false;
        for task in self.in_the_way(node, front.arrives) {
            let station = self.station_of_node(node);
            self.count(station, Counter::Conflicts);
            if self.tasks[task].state == State::InDatabase {
                self.cancel(task, Failure::ReplayConflict, Counter::Errors);
            } else {
                self.tasks[task].status = Failure::ReplayConflict as u8;
            }
        }
        self.replay(node);
    }

    /// The lag that the product shows is the time since the commit replayed last, looked at once a
    /// minute (RDS `ReplicaLag`). On an idle primary it grows for up to five minutes: then a new log
    /// segment is begun (RDS sets `archive_timeout` to 5 min), and replayed like a commit.
    pub(super) fn note_shown(&mut self, node: u32) {
        let database = self.database_of(node);
        let replicas = self.model.databases[database].replicas;
        if replicas == 0 || (node - self.databases[database].first).is_multiple_of(1 + replicas) {
            return;
        }
        let now = self.now;
        let state = self.node_mut(node);
        let from = std::mem::replace(&mut state.shown, now);
        let (applied, behind) = (state.applied, !state.replay.is_empty());
        let station = self.station_of_node(node);
        let minutes = from.0 / MINUTE.0 + 1..=now.0 / MINUTE.0;
        for minute in minutes {
            let at = minute * MINUTE.0;
            let forced = at / FORCED.0 * FORCED.0;
            let shown = if behind { applied.0 } else { applied.0.max(forced) };
            let lag_us = at.saturating_sub(shown) / Duration::micros(1).0;
            self.meters[station].count(Counter::LagShown);
            self.meters[station].add(Counter::LagShownMicros, lag_us);
        }
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
