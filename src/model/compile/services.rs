//! Services with their balancers and scaling.

use super::hosts::rank_of;
use super::{
    Compiler, balancers, computes_in_threads, draw_id, find, instance_slots, most_instances,
};
use crate::component::autoscaler::TargetTracking;
use crate::component::balancer::Policy;
use crate::component::hpa::{Change, Direction, HpaPolicy, Pace, Select};
use crate::component::step_scaling::{Step, StepPolicy};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{
    Affinity, Appointment, Bodies, Function, HandOut, Health, Keda, Metric, ProvisionedScaling,
    Rule, Scaling, Service, Wake,
};
use crate::topology::{self, Named};
use crate::units::Duration;

impl Compiler<'_> {
    pub(super) fn services(&mut self) -> Dense<ServiceId, Service> {
        let topology = self.topology;
        let mut all = Dense::default();
        for (index, service) in topology.services.iter().enumerate() {
            let mut compiled = self.service(index, service);
            compiled.plain = compiled.is_plain();
            all.push(compiled);
        }
        all
    }

    fn service(&mut self, index: usize, service: &Named<topology::Service>) -> Service {
        let spec = &service.spec;
        let path = format!("service.{}", service.name);
        let threads = format!("{path}.threads");
        let uses_threads = self.stations.iter().any(|station| station.path == threads);
        let mut balancers = self.topology.balancers.iter();
        let balancer = balancers.find(|balancer| balancer.spec.service.name == service.name);
        let children = format!("{path}.children");
        let has_children = self.stations.iter().any(|station| station.path == children);
        let hop = balancer.map_or(&spec.hop, |balancer| &balancer.spec.hop);
        let (policy, stays) = match balancer {
            None => (Policy::RoundRobin, None),
            Some(balancer) => balancers::policy(self.topology, balancer, spec.keep_alive),
        };
        let station = |it: &Named<topology::Balancer>| format!("balancer.{}", it.name);
        Service {
            name: service.name.clone(),
            numbers: draw_id(&path).0,
            station: self.station(&path),
            threads_station: self.station(if uses_threads { &threads } else { &path }),
            children_station: self.station(if has_children { &children } else { &path }),
            children: spec.children,
            region: self.region(&spec.region),
            host: spec.host.as_ref().map(|host| find(&self.topology.hosts, &host.name)),
            rank: rank_of(&spec.priority),
            instances: spec.function.as_ref().map_or(spec.instances, |it| it.provisioned),
            max_instances: most_instances(self.topology, spec),
            slots: instance_slots(self.topology, service),
            workers: spec.workers,
            hand_out: match spec.hand_out {
                topology::HandOut::EachInTurn => HandOut::EachInTurn,
                topology::HandOut::FreeWorker => HandOut::FreeWorker,
                topology::HandOut::Shared(_) => HandOut::Shared,
                topology::HandOut::ReusePort => HandOut::ReusePort,
            },
            first_polls: match &spec.hand_out {
                topology::HandOut::Shared(socket) => socket.first.0,
                _ => 0.0,
            },
            sticky: self.follows_calls(service)
                || spec.workers > 1 && self.topology.keeps_connections(service),
            follows_calls: self.follows_calls(service),
            wake: spec.wake.as_ref().map(|wake| Wake {
                cpu: wake.cpu,
                idle: wake.idle,
                growth: wake.growth,
            }),
            cores: spec.core_count(),
            contended: computes_in_threads(self.topology, service)
                || f64::from(spec.workers) > spec.core_count(),
            polls_after_timers: matches!(spec.runtime, topology::Runtime::Node(_)),
            one_lock: spec.has_one_lock() && uses_threads,
            threads: spec.thread_count(),
            max_connections: spec.max_connections,
            counts_connections: self.counts_connections(service),
            backlog: spec.backlog_places(),
            kernel_queues: spec.kernel_queues() && self.topology.has_new_connections(service),
            closes: spec.on_max == topology::OnMax::Close,
            cancel_waiting: spec.cancel_waiting,
            policy,
            stays,
            weights: balancer.map_or(Vec::new(), |it| it.spec.weights.clone()),
            nodes: balancer.map_or(1, |it| self.topology.nodes_of(it)),
            health: match balancer {
                Some(balancer) => balancers::health(&balancer.spec),
                // Whoever invokes a function gets an answer of the platform.
                None if spec.function.is_some() => {
                    Health { broken_status: 502, ..Health::default() }
                }
                None => Health::default(),
            },
            plain: false, // see above
            keep_alive: spec.keep_alive,
            requests_per_connection: spec.requests_per_connection(),
            bodies: self.bodies(service),
            drops: spec.on_overflow == topology::Overflow::Drop,
            balancer_station: balancer.map(|it| self.station(&station(it))),
            affinity: match balancer.map(|balancer| &balancer.spec.by) {
                _ if balancer.is_some_and(|it| it.spec.is_of_processes()) => Affinity::Process,
                Some(topology::BalanceBy::Address) => Affinity::Address,
                Some(topology::BalanceBy::Network) => Affinity::Network,
                Some(topology::BalanceBy::Keys(keys)) => {
                    Affinity::Keys(find(&self.topology.keys, &keys.name))
                }
                Some(topology::BalanceBy::User) | None => Affinity::User,
            },
            hop: self.law(hop),
            zoned: self.is_zoned(service),
            link: self.link_of(service),
            warm_up: spec.warm_up.as_ref().map(|warm_up| (warm_up.times, warm_up.over)),
            replace: spec.replace,
            process: self.process(spec),
            queues: self.queues_of(&service.name),
            autoscale: spec.autoscale.as_ref().map(|scaling| self.scaling(spec.cores, scaling)),
            removal: super::deploys::removal(spec),
            function: self.function(service),
            pools: self.pools_of(index),
        }
    }
}

impl Compiler<'_> {
    /// Whether callers keep connections to the processes of a service, of which there are several.
    fn follows_calls(&self, service: &Named<topology::Service>) -> bool {
        let mut balancers = self.topology.balancers.iter();
        let front = balancers.find(|it| it.spec.service.name == service.name);
        let several = service.spec.workers > 1 || instance_slots(self.topology, service) > 1;
        several
            && service.spec.function.is_none()
            && front.is_none_or(|it| it.spec.passes())
            && self.has_callers(&service.name)
    }

    /// Whether a service has a limit of connections, or memory that they take, and anybody keeps theirs open.
    fn counts_connections(&self, service: &Named<topology::Service>) -> bool {
        let spec = &service.spec;
        let limits = match &spec.runtime {
            topology::Runtime::Uvicorn(its) => its.limit_concurrency.is_some(),
            topology::Runtime::Node(_) => false,
        };
        let takes = spec.memory.as_ref().is_some_and(|memory| memory.per_connection.0 > 0.0);
        (limits || takes || spec.max_connections.is_some())
            && (self.topology.keeps_connections(service) || self.has_callers(&service.name))
    }

    /// How long bodies may take to come up to a service, where any could take longer in a run.
    fn bodies(&self, service: &Named<topology::Service>) -> Option<Bodies> {
        let topology::Runtime::Node(node) = &service.spec.runtime else { return None };
        let run = self.topology.run.warmup + self.topology.run.duration;
        let may_be_late = !node.request_timeout.is_zero()
            && run > node.request_timeout
            && self.topology.waits_for_bodies(service);
        let (timeout, check) = (node.request_timeout, node.connections_check);
        may_be_late.then_some(Bodies { timeout, check })
    }

    fn function(&mut self, service: &Named<topology::Service>) -> Option<Box<Function>> {
        let spec = service.spec.function.as_ref()?;
        let topology = self.topology;
        Some(Box::new(Function {
            executions: self.station(&format!("service.{}.executions", service.name)),
            reserved: spec.reserved,
            provisioned: spec.provisioned,
            autoscale: spec.autoscale.as_ref().map(|it| self.provisioned(it)),
            init: self.law(&spec.init),
            timeout: spec.timeout,
            idle: spec.idle,
            scaling: spec.scaling,
            account: topology.account(topology.region_of(&service.spec)),
        }))
    }

    /// How the number of environments that are kept ready follows their use.
    fn provisioned(&self, its: &topology::ProvisionedScaling) -> ProvisionedScaling {
        let warmup = self.topology.run.warmup;
        let one = |it: &topology::ScheduledScaling| Appointment {
            at: warmup + it.at,
            min: it.min,
            max: it.max.unwrap_or(its.max),
        };
        ProvisionedScaling {
            policy: TargetTracking {
                scale_in: its.scale_in,
                scale_out_cooldown: its.cooldown_out,
                scale_in_cooldown: its.cooldown_in,
                ..TargetTracking::new(its.target.0, its.min, its.max)
            },
            maximum: its.statistic == topology::Statistic::Maximum,
            start: its.start,
            pace: Duration(Duration::secs(60).0 / u64::from(its.pace)),
            schedule: its.schedule.iter().map(one).collect(),
        }
    }

    /// An autoscaler, of what has so many cores each.
    pub(super) fn scaling(&self, cores: f64, scaling: &topology::Autoscale) -> Scaling {
        let metrics = std::iter::once(&scaling.metric).chain(&scaling.also);
        let warmup = self.topology.run.warmup;
        let one = |it: &topology::ScheduledScaling| Appointment {
            at: warmup + it.at,
            min: it.min,
            max: it.max.unwrap_or(scaling.max),
        };
        let usual = match scaling.policy {
            topology::ScalePolicy::Hpa(_) | topology::ScalePolicy::Keda(_) => Duration::secs(15),
            _ => Duration::secs(60),
        };
        Scaling {
            rules: metrics.map(|metric| self.scaling_rule(scaling, metric)).collect(),
            period: scaling.period.unwrap_or(usual),
            delay: scaling.delay,
            start: scaling.start,
            requested: scaling.cpu_request.unwrap_or(cores),
            schedule: scaling.schedule.iter().map(one).collect(),
            keda: match &scaling.policy {
                topology::ScalePolicy::Keda(keda) => Some(Keda {
                    polling: keda.polling,
                    cooldown: keda.cooldown,
                    activation: f64::from(keda.activation),
                    min: scaling.min,
                }),
                _ => None,
            },
        }
    }

    fn scaling_rule(
        &self,
        scaling: &topology::Autoscale,
        metric: &topology::ScaleMetric,
    ) -> (Metric, Rule) {
        let (metric, target) = match metric {
            topology::ScaleMetric::Cpu => (Metric::Cpu, scaling.target.0),
            topology::ScaleMetric::Memory(share) => (Metric::Memory, share.0),
            topology::ScaleMetric::Requests(rate) => (Metric::Requests(rate.0), 1.0),
            topology::ScaleMetric::Backlog(backlog) => {
                let queue = find(&self.topology.queues, &backlog.queue.name);
                (Metric::Backlog(queue, f64::from(backlog.jobs)), 1.0)
            }
            topology::ScaleMetric::Lag(lag) => (Metric::Lag(f64::from(lag.messages)), 1.0),
            topology::ScaleMetric::Oldest(oldest) => {
                let queue = find(&self.topology.queues, &oldest.queue.name);
                (Metric::Oldest(queue, oldest.age.seconds()), 1.0)
            }
        };
        let (min, max) = (scaling.min, scaling.max);
        let rule = match &scaling.policy {
            topology::ScalePolicy::TargetTracking(its) => Rule::Tracking(TargetTracking {
                low_share: its.low.0,
                scale_in: its.scale_in,
                scale_out_cooldown: scaling.cooldown_out,
                scale_in_cooldown: scaling.cooldown_in,
                ..TargetTracking::new(target, min, max)
            }),
            topology::ScalePolicy::Hpa(hpa) => Rule::Hpa(hpa_policy(hpa, min, max), target),
            topology::ScalePolicy::Keda(keda) => {
                Rule::Hpa(hpa_policy(&keda.hpa, min.max(1), max), target)
            }
            topology::ScalePolicy::Steps(steps) => {
                let one = |step: &topology::ScaleStep| Step { beyond: step.at.0, change: step.by };
                Rule::Steps(StepPolicy {
                    points: steps.points,
                    out: steps.out.iter().map(one).collect(),
                    back: steps.back.iter().map(one).collect(),
                    cooldown: scaling.cooldown_out,
                    min,
                    max,
                })
            }
        };
        (metric, rule)
    }
}

fn hpa_policy(hpa: &topology::Hpa, min: u32, max: u32) -> HpaPolicy {
    HpaPolicy {
        min,
        max,
        up: Direction {
            stabilisation: hpa.up.stabilisation,
            tolerance: hpa.up.tolerance.0,
            paces: paces(&hpa.up.policies),
            select: select(&hpa.up.select),
        },
        down: Direction {
            stabilisation: hpa.down.stabilisation,
            tolerance: hpa.down.tolerance.0,
            paces: paces(&hpa.down.policies),
            select: select(&hpa.down.select),
        },
        initialisation: hpa.initialisation,
        sample: hpa.sample,
    }
}

fn paces(written: &[topology::HpaPace]) -> Vec<Pace> {
    let one = |pace: &topology::HpaPace| Pace {
        change: match (pace.percent, pace.pods) {
            (Some(share), _) => Change::Share(share.0),
            (None, pods) => Change::Pods(pods.unwrap_or(0)),
        },
        period: pace.period,
    };
    written.iter().map(one).collect()
}

fn select(written: &topology::HpaSelect) -> Select {
    match written {
        topology::HpaSelect::Max => Select::Max,
        topology::HpaSelect::Min => Select::Min,
        topology::HpaSelect::Disabled => Select::Disabled,
    }
}
