//! Services with their balancers and scaling.

use super::{Compiler, computes_in_threads, draw_id, most_instances};
use crate::component::autoscaler::TargetTracking;
use crate::component::balancer::Policy;
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{Affinity, Scaling, Service, Wake};
use crate::topology;
use crate::topology::Named;

impl Compiler<'_> {
    pub(super) fn services(&mut self) -> Dense<ServiceId, Service> {
        let topology = self.topology;
        let mut all = Dense::default();
        for (index, service) in topology.services.iter().enumerate() {
            let compiled = self.service(index, service);
            all.push(compiled);
        }
        all
    }

    fn service(&mut self, index: usize, service: &Named<topology::Service>) -> Service {
        let spec = &service.spec;
        let path = format!("service.{}", service.name);
        let threads = format!("{path}.threads");
        let uses_threads = self.stations.iter().any(|station| station.path == threads);
        let balancer = self
            .topology
            .balancers
            .iter()
            .find(|balancer| balancer.spec.service.name == service.name);
        let hop = balancer.map_or(&spec.hop, |balancer| &balancer.spec.hop);
        let (policy, sticky) = balancer.map_or((Policy::RoundRobin, false), policy);
        Service {
            name: service.name.clone(),
            numbers: draw_id(&path).0,
            station: self.station(&path),
            threads_station: self.station(if uses_threads { &threads } else { &path }),
            region: self.region(&spec.region),
            instances: spec.instances,
            max_instances: most_instances(spec),
            workers: spec.workers,
            to_free_workers: spec.hand_out == topology::HandOut::FreeWorker,
            wake: spec.wake.as_ref().map(|wake| Wake {
                cpu: wake.cpu,
                idle: wake.idle,
                growth: wake.growth,
            }),
            cores: spec.cores,
            contended: computes_in_threads(self.topology, service)
                || f64::from(spec.workers) > spec.cores,
            one_lock: spec.has_one_lock() && uses_threads,
            threads: spec.thread_count(),
            max_connections: spec.max_connections,
            backlog: spec.backlog_places(),
            cancel_waiting: spec.cancel_waiting,
            policy,
            sticky,
            affinity: match balancer.map(|balancer| &balancer.spec.by) {
                Some(topology::BalanceBy::Address) => Affinity::Address,
                _ => Affinity::User,
            },
            hop: self.law(hop),
            link: self.link_of(service),
            autoscale: spec.autoscale.as_ref().map(|scaling| Scaling {
                policy: TargetTracking {
                    scale_out_cooldown: scaling.cooldown_out,
                    scale_in_cooldown: scaling.cooldown_in,
                    ..TargetTracking::new(scaling.target.0, scaling.min, scaling.max)
                },
                period: scaling.period,
                start: scaling.start,
            }),
            pools: self.pools_of(index),
        }
    }
}

fn policy(balancer: &Named<topology::Balancer>) -> (Policy, bool) {
    let first = |choice: &topology::FirstChoice| match choice {
        topology::FirstChoice::RoundRobin => Policy::RoundRobin,
        topology::FirstChoice::Random => Policy::Random,
        topology::FirstChoice::LeastOutstanding => Policy::LeastOutstanding,
    };
    match &balancer.spec.policy {
        topology::Policy::RoundRobin => (Policy::RoundRobin, false),
        topology::Policy::Random => (Policy::Random, false),
        topology::Policy::LeastOutstanding => (Policy::LeastOutstanding, false),
        topology::Policy::TwoChoices => (Policy::PowerOfTwoChoices, false),
        topology::Policy::ConsistentHash => (Policy::ConsistentHash, false),
        topology::Policy::Sticky(sticky) => (first(&sticky.then), true),
    }
}
