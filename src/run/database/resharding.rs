//! Shards that become more or fewer while they serve.
//!
//! What moves is copied, which keeps a part of every primary's cores busy; then statements for it are
//! held back, as by a router that buffers (Vitess, "SwitchTraffic") or by a lock (Citus), until they go
//! to its new shard.

use super::Timer;
use crate::component::shard::{shard_after, shard_modulo, shard_of};
use crate::kernel::PendingEvents;
use crate::model::Reshard;
use crate::model::ids::PoolId;
use crate::model::tape::Route;
use crate::run::event::Kind;
use crate::run::meter::Part;
use crate::run::task::State;
use crate::run::world::World;
use crate::units::{Duration, Time};

use super::failover::Presence;

/// Copying takes its share of the cores piece by piece, one in each such time.
const PIECE: Duration = Duration::millis(100);

impl Reshard {
    /// The shard of a key when everything has moved.
    fn shard_afterwards(&self, key: u32) -> u32 {
        let rule = if self.modulo { shard_modulo } else { shard_after };
        rule(key, self.from, self.to)
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Copying begins when the file says so.
    pub fn start_resharding(&mut self) {
        for (database, spec) in self.model.databases.enumerate() {
            let Some(reshard) = spec.reshard else { continue };
            let first = self.databases[database].first;
            for shard in 0..spec.shards {
                let node = first + shard * (1 + spec.replicas);
                self.at_node(Time::ZERO + reshard.at, Timer::Copy, node);
            }
        }
    }

    /// The next piece is copied from a primary, or to it.
    pub(super) fn copy_on(&mut self, node: u32) {
        let spec = &self.model.databases[self.database_of(node)];
        let reshard = spec.reshard.expect("only what is resharded is copied");
        if self.now >= Time::ZERO + reshard.copied {
            return;
        }
        if self.node_mut(node).presence == Presence::Up {
            self.background_on(node, PIECE.scale(reshard.load));
        }
        self.at_node(self.now + PIECE, Timer::Copy, node);
    }

    /// The key that a route is chosen by; [`None`] where it names its shard.
    fn key_of_route(&self, task: u32, kind: PoolId, route: Route) -> Option<u32> {
        let record = &self.tasks[task];
        match route {
            Route::User => Some(record.user),
            Route::Random(id) => Some(record.stream.draw(u64::from(id.0)).below(u32::MAX)),
            Route::Keyed(id) => Some(self.shard_key(record, kind, id)),
            Route::Shard(_) | Route::Branch => None,
        }
    }

    /// The shard that a statement goes to, before and after some keys have moved.
    pub(in crate::run) fn shard_by_now(&self, task: u32, kind: PoolId, route: Route) -> u32 {
        let reshard = self.reshard_of(kind);
        let Some(key) = self.key_of_route(task, kind, route) else {
            unreachable!("the checker lets nobody ask all shards while they change")
        };
        match self.now < Time::ZERO + reshard.ends {
            true => shard_of(key, reshard.from),
            false => reshard.shard_afterwards(key),
        }
    }

    fn reshard_of(&self, kind: PoolId) -> Reshard {
        let database = self.model.pools[kind].database;
        self.model.databases[database].reshard.expect("its pool says so")
    }

    /// While traffic is switched, a task with a statement for a key that moves waits. Says whether.
    pub(in crate::run) fn waits_for_switch(
        &mut self,
        task: u32,
        kind: PoolId,
        route: Route,
    ) -> bool {
        let reshard @ Reshard { from, copied, ends, .. } = self.reshard_of(kind);
        if self.now < Time::ZERO + copied || self.now >= Time::ZERO + ends {
            return false;
        }
        let key = self.key_of_route(task, kind, route);
        if key.is_none_or(|key| shard_of(key, from) == reshard.shard_afterwards(key)) {
            return false;
        }
        let length = (Time::ZERO + ends).since(self.now);
        let station = self.model.databases[self.model.pools[kind].database].station;
        self.spend(task, station, Part::Wait, length);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Away, self.now);
        self.at_task(self.now + length, Kind::Resume, task);
        true
    }
}
