//! Services with their balancers and scaling.

use super::hosts::rank_of;
use super::{
    Compiler, computes_in_threads, draw_id, find, instance_slots, most_instances, optional,
};
use crate::component::autoscaler::TargetTracking;
use crate::component::balancer::{Policy, Stay, health};
use crate::component::hpa::{Change, Direction, HpaPolicy, Pace, Select};
use crate::component::step_scaling::{Step, StepPolicy};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{
    Affinity, Appointment, Bodies, Function, HandOut, Health, Metric, Rule, Scaling, Service, Wake,
};
use crate::topology::{self, BalancerKind, Named};
use crate::units::Duration;

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
        let (policy, stays) = balancer.map_or((Policy::RoundRobin, None), policy);
        let station = |it: &Named<topology::Balancer>| format!("balancer.{}", it.name);
        Service {
            name: service.name.clone(),
            numbers: draw_id(&path).0,
            station: self.station(&path),
            threads_station: self.station(if uses_threads { &threads } else { &path }),
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
                topology::HandOut::Shared => HandOut::Shared,
                topology::HandOut::ReusePort => HandOut::ReusePort,
            },
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
            backlog: spec.backlog_places(),
            kernel_queues: spec.kernel_queues() && self.topology.has_new_connections(service),
            closes: spec.on_max == topology::OnMax::Close,
            cancel_waiting: spec.cancel_waiting,
            policy,
            stays,
            weights: balancer.map_or(Vec::new(), |it| it.spec.weights.clone()),
            nodes: balancer.map_or(1, |it| self.topology.nodes_of(it)),
            health: match balancer {
                Some(balancer) => health(&balancer.spec),
                // Whoever invokes a function gets an answer of the platform.
                None if spec.function.is_some() => {
                    Health { broken_status: 502, ..Health::default() }
                }
                None => Health::default(),
            },
            keep_alive: spec.keep_alive,
            requests_per_connection: spec.requests_per_connection(),
            bodies: self.bodies(service),
            drops: spec.on_overflow == topology::Overflow::Drop,
            balancer_station: balancer.map(|it| self.station(&station(it))),
            affinity: match balancer.map(|balancer| &balancer.spec.by) {
                Some(topology::BalanceBy::Address) => Affinity::Address,
                Some(topology::BalanceBy::Keys(keys)) => {
                    Affinity::Keys(find(&self.topology.keys, &keys.name))
                }
                Some(topology::BalanceBy::User) | None => Affinity::User,
            },
            hop: self.law(hop),
            link: self.link_of(service),
            warm_up: spec.warm_up.as_ref().map(|warm_up| (warm_up.times, warm_up.over)),
            replace: spec.replace,
            process: self.process(spec),
            queues: self.queues_of(&service.name),
            autoscale: spec.autoscale.as_ref().map(|scaling| self.scaling(spec.cores, scaling)),
            function: self.function(service),
            pools: self.pools_of(index),
        }
    }
}

impl Compiler<'_> {
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
            init: self.law(&spec.init),
            timeout: spec.timeout,
            idle: spec.idle,
            scaling: spec.scaling,
            account: topology.account(topology.region_of(&service.spec)),
        }))
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
            topology::ScalePolicy::Hpa(_) => Duration::secs(15),
            _ => Duration::secs(60),
        };
        Scaling {
            rules: metrics.map(|metric| self.scaling_rule(scaling, metric)).collect(),
            period: scaling.period.unwrap_or(usual),
            start: scaling.start,
            requested: scaling.cpu_request.unwrap_or(cores),
            schedule: scaling.schedule.iter().map(one).collect(),
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
            topology::ScalePolicy::Hpa(hpa) => Rule::Hpa(
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
                },
                target,
            ),
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

fn policy(balancer: &Named<topology::Balancer>) -> (Policy, Option<Stay>) {
    let first = |choice: &topology::FirstChoice| match choice {
        topology::FirstChoice::RoundRobin => Policy::RoundRobin,
        topology::FirstChoice::Random => Policy::Random,
        topology::FirstChoice::LeastOutstanding => Policy::LeastOutstanding,
    };
    let bound = |hash: &topology::HashBound| hash.bound;
    let stays = match &balancer.spec.per {
        topology::BalancePer::Request => None,
        topology::BalancePer::Connection(connection) => Some(Stay::Connection(connection.idle)),
    };
    let policy = match &balancer.spec.policy {
        topology::Policy::RoundRobin => Policy::RoundRobin,
        topology::Policy::WeightedRoundRobin => Policy::WeightedRoundRobin,
        topology::Policy::Random => Policy::Random,
        topology::Policy::LeastOutstanding => Policy::LeastOutstanding,
        topology::Policy::LeastConnections => Policy::LeastConnections,
        topology::Policy::TwoChoices(few) => Policy::Choices { count: few.choices, bias: few.bias },
        topology::Policy::ConsistentHash(hash) => Policy::RingHash { bound: bound(hash) },
        topology::Policy::Maglev(hash) => Policy::Maglev { bound: bound(hash) },
        topology::Policy::PeakEwma(peak) => {
            Policy::PeakEwma { decay: peak.decay, first: peak.first }
        }
        topology::Policy::Sticky(sticky) => {
            let of_kind = match balancer.spec.kind {
                BalancerKind::Alb => Some(Duration::secs(86_400)),
                _ => None,
            };
            let idle = optional(sticky.max_idle).or(of_kind);
            let life = optional(sticky.max_life);
            return (first(&sticky.then), Some(Stay::Cookie { idle, life }));
        }
    };
    (policy, stays)
}

/// What a balancer does about the health of its targets: what is said, and otherwise what its kind does.
pub(super) fn health(spec: &topology::Balancer) -> Health {
    let (secs, minute) = (Duration::secs, Duration::secs(60));
    let nginx = health::Ejection::MaxFails { fails: 1, timeout: secs(10) };
    let plain = Health {
        nobody_status: 503,
        unreached_status: 504,
        // ALB: "received a TCP RST from the target"; nginx: NGX_HTTP_UPSTREAM_FT_ERROR is 502.
        broken_status: 502,
        ..Health::default()
    };
    let of_kind = match spec.kind {
        BalancerKind::Plain => plain,
        BalancerKind::Alb => Health {
            connect_timeout: Some(secs(10)),
            fail_open: Some(0.0),
            idle_timeout: Some(minute),
            keep_alive: Some(minute),
            deregistration_delay: Some(secs(300)),
            ..plain
        },
        BalancerKind::Nginx => Health {
            connect_timeout: Some(minute),
            ejection: Some(nginx),
            idle_timeout: Some(minute),
            // ngx_http_core_module.c: keepalive_timeout 75,000 ms, keepalive_requests 1000; the latter
            // for servers in ngx_http_upstream_keepalive_module.c, too.
            keep_alive: Some(Duration::ZERO),
            client_keep_alive: secs(75),
            keepalive_requests: Some(1_000),
            next_upstream: true,
            nobody_status: 502,
            ..plain
        },
        BalancerKind::Envoy => Health {
            connect_timeout: Some(secs(5)),
            fail_open: Some(0.5),
            idle_timeout: Some(secs(15)),
            keep_alive: Some(secs(3600)),
            max_requests: Some(1_024),
            max_connections: Some(spec.max_connections.unwrap_or(1_024)),
            max_pending: spec.max_pending.unwrap_or(1_024),
            // Envoy docs, access logging: UF is an upstream connection failure in addition to 503, UC its
            // termination, UT an upstream request timeout in addition to 504.
            unreached_status: 503,
            broken_status: 503,
            ..plain
        },
    };
    let ejection = match &spec.ejection {
        None => of_kind.ejection,
        Some(topology::Ejection::Never) => None,
        Some(topology::Ejection::MaxFails(rule)) => {
            Some(health::Ejection::MaxFails { fails: rule.fails, timeout: rule.timeout })
        }
        Some(topology::Ejection::Outliers(rule)) => {
            Some(health::Ejection::Outliers(outliers(rule)))
        }
    };
    let keep_alive = optional(spec.keep_alive).or(of_kind.keep_alive);
    Health {
        checks: None, // compiled with the flows
        ejection,
        fail_open: spec.fail_open.map(|share| share.0).or(of_kind.fail_open),
        slow_start: spec.slow_start,
        max_conns: spec.max_conns,
        max_requests: spec.max_requests.or(of_kind.max_requests),
        max_connections: of_kind.max_connections,
        max_pending: of_kind.max_pending,
        connect_timeout: optional(spec.connect_timeout).or(of_kind.connect_timeout),
        idle_timeout: optional(spec.idle_timeout).or(of_kind.idle_timeout),
        keep_alive,
        keepalive_requests: spec.keepalive_requests.or(of_kind.keepalive_requests),
        client_keep_alive: match of_kind.client_keep_alive {
            Duration::ZERO => keep_alive.unwrap_or(Duration::FOREVER),
            known => known,
        },
        unreached_status: of_kind.unreached_status,
        broken_status: of_kind.broken_status,
        deregistration_delay: optional(spec.deregistration_delay).or(of_kind.deregistration_delay),
        next_upstream: spec.next_upstream.unwrap_or(of_kind.next_upstream),
        nobody_status: of_kind.nobody_status,
    }
}

fn outliers(rule: &topology::Outliers) -> health::Outliers {
    health::Outliers {
        consecutive: rule.consecutive,
        interval: rule.interval,
        base: rule.base,
        longest: rule.longest,
        most: rule.most.0,
        always_one: rule.always_one,
        hosts: rule.hosts,
        requests: rule.requests,
        deviations: rule.deviations,
    }
}

/// The health checks of a balancer, if it makes any.
pub(super) fn checks(spec: &topology::Balancer) -> Option<health::Checks> {
    let alb = health::Checks {
        interval: Duration::secs(30),
        timeout: Duration::secs(5),
        healthy: 5,
        unhealthy: 2,
    };
    match &spec.checks {
        Some(said) => Some(health::Checks {
            interval: said.interval,
            timeout: said.timeout,
            healthy: said.healthy,
            unhealthy: said.unhealthy,
        }),
        None => (spec.kind == BalancerKind::Alb).then_some(alb),
    }
}
