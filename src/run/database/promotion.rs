//! A primary that is lost for good: the replica of its shard that is ahead takes its place.
//!
//! Replication is asynchronous: what the primary has committed and the replica has not received is lost,
//! on all replicas, which follow the new primary. What it has received it replays before it opens
//! (PostgreSQL 15, "Failover"; Patroni promotes whoever is ahead in the log). Connections to the old
//! primary are cut, as are those of readers to the replica, which the vendor restarts (RDS user guide,
//! "Promoting a read replica to be a standalone DB instance"); pools find the new primary under the
//! address of the old one, and readers go to the replicas that are left, or to the primary.

use super::failover::Presence;
use super::{Counter, Shipped};
use crate::kernel::PendingEvents;
use crate::run::world::World;
use crate::units::Duration;

/// A primary that is lost.
pub(super) struct Promotion {
    /// Its node.
    primary: u32,
    /// Who takes over.
    replica: u32,
    /// It would, but for what it has to replay.
    due: bool,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A primary that has just gone down will not come back; if no replica is there it must.
    pub fn lose_primary(&mut self, node: u32) {
        let database = self.database_of(node);
        let replicas = node + 1..=node + self.model.databases[database].replicas;
        let now = self.now;
        // Who has received most of the log, and of those who has least to replay.
        let behind = |it: &u32| {
            let writes = self.node(*it).replay.iter().filter(|write| !write.conflict);
            let missing = |write: &&Shipped| write.arrives > now;
            let all = writes.clone().count();
            let missing = writes.filter(missing).count();
            (missing, all - missing)
        };
        let there = |it: &u32| {
            let state = self.node(*it);
            state.presence == Presence::Up && !state.promoted
        };
        let Some(replica) = replicas.clone().filter(there).min_by_key(behind) else { return };
        let lost = self.node(replica).replay.iter();
        let lost = lost.filter(|write| write.arrives > now && !write.conflict).count();
        let station = self.model.databases[database].station;
        self.meters[station].add(Counter::Lost, lost as u64);
        for replica in replicas {
            self.node_mut(replica).replay.retain(|write| write.arrives <= now);
        }
        let all = &mut self.databases[database].promotions;
        all.retain(|it| it.primary != node);
        all.push(Promotion { primary: node, replica, due: false });
    }

    /// Whether the replica that is to become this node has still something to replay; if not, or if
    /// nobody is to, it is there now.
    pub(super) fn awaits_replay(&mut self, node: u32) -> bool {
        let database = self.database_of(node);
        let place = self.databases[database].promotions.iter().position(|it| it.primary == node);
        let Some(place) = place else { return false };
        let replica = self.databases[database].promotions[place].replica;
        if self.node(replica).presence == Presence::Up && !self.node(replica).replay.is_empty() {
            self.databases[database].promotions[place].due = true;
            return true;
        }
        self.databases[database].promotions.swap_remove(place);
        // A replica that has failed meanwhile is no replica either: its machine came back as the primary.
        self.node_down(replica, Duration::FOREVER, Duration::ZERO);
        let state = self.node_mut(replica);
        (state.promoted, state.replay) = (true, Default::default());
        let region = state.region;
        if self.model.databases[database].spread {
            self.node_mut(node).region = region;
            self.node_has_moved(node);
        }
        self.databases[database].promoted += 1;
        false
    }

    /// A replica has replayed all that it has received: it may be awaited as a primary.
    pub(super) fn all_replayed(&mut self, node: u32) {
        let database = self.database_of(node);
        let waits = |it: &&Promotion| it.due && it.replica == node;
        let Some(promotion) = self.databases[database].promotions.iter().find(waits) else {
            return;
        };
        let primary = promotion.primary;
        let now = self.now;
        self.node_mut(primary).up_at = now;
        self.at_node(now, super::Timer::Up, primary);
    }

    /// Whether some replica of a database has become a primary.
    #[inline]
    pub(in crate::run) fn has_promoted(&self, database: crate::model::ids::DatabaseId) -> bool {
        self.databases[database].promoted > 0
    }

    /// Whether a node is there no more, since it has become a primary.
    pub(in crate::run) fn is_promoted(&self, node: u32) -> bool {
        self.node(node).promoted
    }

    fn node(&self, node: u32) -> &super::Node {
        let home = &self.homes[node as usize];
        &self.databases[home.database].nodes[home.place as usize]
    }
}
