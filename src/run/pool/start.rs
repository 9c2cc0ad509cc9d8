//! Pools as their processes start: empty, full, or with what they open by themselves.

use super::SubPool;
use crate::component::balancer::Policy;
use crate::component::pool::{Keeping, Lending, Pool, PoolConfig};
use crate::kernel::PendingEvents;
use crate::model::Fill;
use crate::model::ids::{DatabaseId, LawId, PoolId};
use crate::run::pooler::Behind;
use crate::run::service::Phase;
use crate::run::task::Lease;
use crate::run::world::World;
use crate::units::{Duration, Time};

impl<Q: PendingEvents> World<'_, Q> {
    /// One sub-pool per worker process, shard and node.
    pub fn build_pools(&mut self) {
        for (kind, spec) in self.model.pools.enumerate() {
            self.pool_base.push(self.pools.len() as u32);
            let service = &self.model.services[spec.service];
            let database = &self.model.databases[spec.database];
            let first_node = self.databases[spec.database].first_node();
            let first =
                self.instances[self.services[spec.service].first_instance as usize].first_worker;
            for worker in first..first + service.slots * service.workers {
                for shard in 0..database.shards {
                    let node = first_node + shard * (1 + database.replicas);
                    self.new_sub_pool((kind, worker), &spec.config, node);
                    if let Some(config) = &spec.replica_config {
                        for replica in &spec.reads_from {
                            self.new_sub_pool((kind, worker), config, node + replica);
                        }
                    }
                }
            }
        }
        let running = |sub: &u32| self.phase_of(self.worker_of(*sub)) == Phase::Up;
        let running: Vec<u32> = (0..self.pools.len() as u32).filter(running).collect();
        let wanted = |sub: &u32| match self.model.plan.pools {
            Fill::Empty => 0,
            Fill::Full => self.pools[*sub as usize].pool.config().size,
            Fill::Warm => self.left_open(*sub),
        };
        let wanted: Vec<u32> = running.iter().map(wanted).collect();
        for (sub, open) in running.iter().zip(self.grant_in_turn(&running, &wanted)) {
            self.fill(*sub, open);
            self.arm_pool(*sub);
        }
    }

    /// How many connections each of these pools gets at time zero, in turn: where the server has fewer than
    /// are wanted, all processes are short of some.
    fn grant_in_turn(&mut self, pools: &[u32], wanted: &[u32]) -> Vec<u32> {
        let mut granted = vec![0; pools.len()];
        let mut asking: Vec<usize> = (0..pools.len()).filter(|it| wanted[*it] > 0).collect();
        while !asking.is_empty() {
            asking.retain(|it| {
                let state = &self.pools[pools[*it] as usize];
                let gets = match state.behind.as_ref().map(|behind| behind.pooler) {
                    Some(pooler) => self.take_client(pooler),
                    None => self.take_slot(state.node),
                };
                granted[*it] += u32::from(gets);
                gets && granted[*it] < wanted[*it]
            });
        }
        granted
    }

    /// A process has started: its pools open what they want to have.
    pub fn start_pools(&mut self, worker: u32) {
        let model = self.model;
        for kind in &model.services[self.service_of_worker(worker)].pools {
            let first = self.first_sub_pool(*kind, worker);
            for sub in first..first + self.sub_pools_per_worker(*kind) {
                self.arm_pool(sub);
            }
        }
    }

    /// The phase of a worker's instance.
    fn phase_of(&self, worker: u32) -> Phase {
        self.instances[self.workers[worker as usize].instance as usize].phase
    }

    /// The round trip over a route to a node, or the pooler before it, if it is always the same.
    fn constant_trip(&self, kind: PoolId, route: LawId) -> Option<Duration> {
        let spec = &self.model.pools[kind];
        let near = match spec.pooler {
            Some(pooler) => self.model.poolers[pooler].rtt,
            None => self.model.databases[spec.database].rtt,
        };
        let [within, far] = [near, route].map(|law| self.model.laws[law].constant);
        Some(within? + far?)
    }

    /// A node stands elsewhere from now on: the ways to it are others.
    pub(in crate::run) fn node_has_moved(&mut self, node: u32) {
        for sub in 0..self.pools.len() as u32 {
            if self.pools[sub as usize].node == node {
                let kind = self.pools[sub as usize].kind;
                let route = self.route_of_pool(kind, self.worker_of(sub), node);
                let trip = self.constant_trip(kind, route);
                let state = &mut self.pools[sub as usize];
                (state.route, state.trip) = (route, trip);
            }
        }
    }

    fn new_sub_pool(&mut self, (kind, worker): (PoolId, u32), config: &PoolConfig, node: u32) {
        let spec = &self.model.pools[kind];
        let route = self.route_of_pool(kind, worker, node);
        let trip = self.constant_trip(kind, route);
        let behind = spec.pooler.map(|it| Box::new(Behind::new(self.pooler_to(it, node))));
        self.pools.push(SubPool {
            pool: Pool::new(*config),
            kind,
            route,
            trip,
            behind,
            node,
            armed: Time::NEVER,
            rotation: 0,
            opening: Vec::new(),
            cut: Vec::new(),
            unanswered: Vec::new(),
            connects: 0,
        });
    }

    /// How many connections of a pool long use leaves open: processes are taken to be asked by the weights of
    /// their instances, shards by the keys that decide on them, and replicas alike.
    fn left_open(&self, sub: u32) -> u32 {
        let state = &self.pools[sub as usize];
        let spec = &self.model.pools[state.kind];
        let readers = spec.reads_from.len() as u32;
        let lending = self.lending_of_server(spec.database, state.node, spec.lending, readers);
        lending.times(self.share_of_process(sub)).left_open(Keeping::from(state.pool.config()))
    }

    /// What of all that a service is asked comes to the process of a pool: of instances with weights, where its
    /// balancer looks at these.
    fn share_of_process(&self, sub: u32) -> f64 {
        let id = self.model.pools[self.pools[sub as usize].kind].service;
        let service = &self.model.services[id];
        let processes = f64::from(service.instances * service.workers);
        if service.weights.is_empty()
            || matches!(service.policy, Policy::RoundRobin | Policy::Random)
        {
            return 1.0 / processes;
        }
        let weight =
            |index: u32| f64::from(service.weights[index as usize % service.weights.len()]);
        let all: f64 = (0..service.instances).map(weight).sum();
        let instance = self.workers[self.worker_of(sub) as usize].instance;
        weight(instance - self.services[id].first_instance) / all / f64::from(service.workers)
    }

    /// What of all lending, to the primaries and to so many replicas of each, falls on one server.
    pub fn lending_of_server(
        &self,
        id: DatabaseId,
        node: u32,
        all: [Lending; 2],
        replicas: u32,
    ) -> Lending {
        let database = &self.model.databases[id];
        let place = node - self.databases[id].first_node();
        let each = 1 + database.replicas;
        let known = database.shard_shares.get((place / each) as usize);
        let shards = f64::from(database.shards);
        match place.is_multiple_of(each) {
            true => all[0].times(known.copied().unwrap_or(1.0 / shards)),
            false => {
                let replicas = f64::from(replicas);
                all[1].times(known.map_or(1.0 / (shards * replicas), |share| share / replicas))
            }
        }
    }

    /// So many connections, which its server has granted, are open and idle.
    fn fill(&mut self, sub: u32, open: u32) {
        self.pools[sub as usize].pool.prefill(Time::ZERO, open);
        for connection in self.pools[sub as usize].pool.idle_ones().collect::<Vec<_>>() {
            self.client_is_there(Lease { pool: sub, connection });
        }
        let station = self.model.pools[self.pools[sub as usize].kind].station;
        self.meters[station].held.add(Time::ZERO, i64::from(open));
    }

    /// Whether the process of a pool has ended.
    pub(super) fn is_ownerless(&self, sub: u32) -> bool {
        let worker = self.worker_of(sub);
        !self.phase_of(worker).runs() || self.workers[worker as usize].down
    }

    /// Connections that a pool opens for nobody in particular, while its process runs.
    pub(super) fn open_more(&mut self, sub: u32) {
        if self.is_ownerless(sub) {
            return;
        }
        while let Some(opening) = self.pools[sub as usize].pool.open_more(self.now) {
            self.connect(sub, opening, Duration::ZERO);
        }
    }
}
