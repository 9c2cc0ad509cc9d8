//! Zones of a region, and what lies between them.
//!
//! Instances, nodes of balancers and caches, and shards stand in the zones of their region in turn;
//! replicas in the zones after that of their primary. What stands in another zone than who asks is a
//! round trip between zones further away. A primary that fails over is in the next zone from then on,
//! and in its own again after another time (RDS user guide, "Failing over a Multi-AZ DB instance": the
//! standby of another zone becomes the primary, and the old primary the standby).

use super::task::{NONE, Role};
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::ids::{LawId, NO_TIME, PoolId, RegionId, ServiceId};
use crate::units::Duration;

impl<Q: PendingEvents> World<'_, Q> {
    /// What lies between a worker and what stands in a zone of a region.
    #[inline]
    pub(super) fn route_from(
        &self,
        worker: u32,
        there: RegionId,
        zone: impl FnOnce(&Self) -> u32,
    ) -> LawId {
        let here = self.model.services[self.service_of_worker(worker)].region;
        match here == there {
            true => self.within(there, |world| (world.zone_of_worker(worker), zone(world))),
            false => self.model.route(here, there),
        }
    }

    /// What lies between two zones of a region.
    #[inline]
    pub(super) fn within(
        &self,
        region: RegionId,
        zones: impl FnOnce(&Self) -> (u32, u32),
    ) -> LawId {
        let spec = &self.model.regions[region];
        if spec.between == NO_TIME {
            return NO_TIME;
        }
        let (near, far) = zones(self);
        if near % spec.zones == far % spec.zones { NO_TIME } else { spec.between }
    }

    fn zone_of_worker(&self, worker: u32) -> u32 {
        let worker = &self.workers[worker as usize];
        worker.instance - self.services[worker.service].first_instance
    }

    /// The zone of a database's node: of its shard, of the standby that has taken over, or one of those
    /// after it.
    pub(super) fn zone_of_node(&self, node: u32) -> u32 {
        let (database, place) = self.homes[node as usize].of_database();
        let each = 1 + self.model.databases[database].replicas;
        let moved = self.databases[database].nodes[place as usize].stands_next_door;
        place / each + place % each + u32::from(moved)
    }

    /// A primary's standby takes over, which stands in another zone.
    pub(super) fn change_zone(&mut self, node: u32) {
        let state = self.node_mut(node);
        state.stands_next_door = !state.stands_next_door;
        let region = state.region;
        if self.model.regions[region].between != NO_TIME {
            self.node_has_moved(node);
        }
    }

    /// What lies between the processes of a pool and what they are connected to: a node, or the pooler
    /// that stands beside its primary as the run starts, in the first zone.
    pub(super) fn route_of_pool(&self, kind: PoolId, worker: u32, node: u32) -> LawId {
        let spec = &self.model.pools[kind];
        match spec.pooler {
            Some(_) => self.route_from(worker, self.model.databases[spec.database].region, |_| 0),
            None => {
                let there = self.region_of_node(node);
                self.route_from(worker, there, |world| world.zone_of_node(node))
            }
        }
    }

    /// How much further an answer comes.
    #[inline(always)]
    pub(super) fn hop_back(&self, task: u32, service: ServiceId) -> Duration {
        if !self.model.services[service].zoned {
            return Duration::ZERO;
        }
        let record = &self.tasks[task];
        let instance = self.workers[record.worker as usize].instance;
        let target = instance - self.services[service].first_instance;
        let number = self.node_of_target(service, target, record.user) as u32;
        self.hop_between_zones(task, (service, number), instance)
    }

    /// How much further it is to an instance of another zone: from the node of its balancer, and for one
    /// who calls also to that node; without a balancer from who calls.
    pub(super) fn hop_between_zones(
        &self,
        task: u32,
        (service, number): (ServiceId, u32),
        instance: u32,
    ) -> Duration {
        let spec = &self.model.services[service];
        let record = &self.tasks[task];
        let target = instance - self.services[service].first_instance;
        let caller = match record.role {
            Role::Call if self.awaits(record.owner, record.owner_epoch) => {
                self.tasks[record.owner].worker
            }
            _ => NONE,
        };
        let half = |law: LawId, draw: u32| self.model.draw_law(law, record.stream, draw).half();
        let from_caller = |zone: u32| match caller {
            NONE => Duration::ZERO,
            worker if self.model.services[self.service_of_worker(worker)].region != spec.region => {
                Duration::ZERO
            }
            worker => half(self.route_from(worker, spec.region, |_| zone), 0x20e1),
        };
        match spec.balancer_station {
            None => from_caller(target),
            Some(_) => {
                let onwards = self.within(spec.region, |_| (number, target));
                from_caller(number) + half(onwards, 0x20e2)
            }
        }
    }
}
