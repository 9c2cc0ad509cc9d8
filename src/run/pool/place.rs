//! Where sub-pools are: whose they are, and which one a statement goes through.

use crate::component::shard::shard_of;
use crate::kernel::PendingEvents;
use crate::model::ids::PoolId;
use crate::model::tape::{DrawId, Route};
use crate::run::task::Task;
use crate::run::world::World;
use crate::stream::StreamKey;

impl<Q: PendingEvents> World<'_, Q> {
    /// The random numbers of a sub-pool: by its name and place, whatever other pools there are.
    pub(in crate::run) fn sub_pool_stream(&self, sub: u32) -> StreamKey {
        let kind = self.pools[sub as usize].kind;
        let place = sub - self.pool_base[kind];
        self.key.named(&self.model.pools[kind].name).numbered(u64::from(place))
    }

    /// The worker process that a sub-pool belongs to.
    pub fn worker_of(&self, sub: u32) -> u32 {
        let kind = self.pools[sub as usize].kind;
        let spec = &self.model.pools[kind];
        let service = &self.services[spec.service];
        let first = self.instances[service.first_instance as usize].first_worker;
        first + (sub - self.pool_base[kind]) / self.sub_pools_per_worker(kind)
    }

    /// Sub-pools that each worker process has of this kind.
    pub fn sub_pools_per_worker(&self, kind: PoolId) -> u32 {
        let spec = &self.model.pools[kind];
        let database = &self.model.databases[spec.database];
        database.shards * (1 + spec.reads_from.len() as u32)
    }

    /// The first sub-pool of this kind in a worker process.
    pub fn first_sub_pool(&self, kind: PoolId, worker: u32) -> u32 {
        let service = &self.services[self.model.pools[kind].service];
        let first = self.instances[service.first_instance as usize].first_worker;
        self.pool_base[kind] + (worker - first) * self.sub_pools_per_worker(kind)
    }

    /// Which sub-pool a statement goes through: the user's shard or the branch's; a read goes to the
    /// replicas in rotation, where the pool has any.
    pub(super) fn choose_sub_pool(
        &mut self,
        task: u32,
        kind: PoolId,
        route: Route,
        write: bool,
    ) -> u32 {
        let spec = &self.model.pools[kind];
        let record = &self.tasks[task];
        let shards = self.model.databases[spec.database].shards;
        let shard = match route {
            _ if spec.reshards => self.shard_by_now(task, kind, route),
            Route::User if shards == 1 => 0,
            Route::User => shard_of(record.user, shards),
            Route::Random(draw) => record.stream.draw(u64::from(draw.0)).below(shards),
            Route::Keyed(draw) => shard_of(self.shard_key(record, kind, draw), shards),
            Route::Shard(shard) => u32::from(shard),
            Route::Branch => u32::from(record.branch),
        };
        let nodes = self.sub_pools_per_worker(kind) / shards;
        let primary = self.first_sub_pool(kind, record.worker) + shard * nodes;
        if write || nodes == 1 {
            return primary;
        }
        let database = spec.database;
        let state = &mut self.pools[primary as usize];
        state.rotation = state.rotation % (nodes - 1) + 1;
        let next = primary + state.rotation;
        if self.has_promoted(database) { self.other_replica(primary, nodes) } else { next }
    }

    /// The key that a statement is about: one of the keys that shards are chosen by, or the user.
    pub(in crate::run) fn shard_key(&self, record: &Task, kind: PoolId, draw: DrawId) -> u32 {
        let keys = self.model.databases[self.model.pools[kind].database].shard_keys;
        let sampler = keys.and_then(|keys| self.model.keys[keys].sampler.as_ref());
        let draw = || record.stream.draw(u64::from(draw.0));
        sampler.map_or(record.user, |keys| keys.draw(&mut draw()))
    }

    /// The next replica of the rotation that has not become a primary, or the primary itself.
    fn other_replica(&mut self, primary: u32, nodes: u32) -> u32 {
        for _ in 1..nodes {
            let next = primary + self.pools[primary as usize].rotation;
            if !self.is_promoted(self.pools[next as usize].node) {
                return next;
            }
            let state = &mut self.pools[primary as usize];
            state.rotation = state.rotation % (nodes - 1) + 1;
        }
        primary
    }
}
