//! Balancers: what is said, and otherwise what their products do.

use super::optional;
use crate::component::balancer::{Points, Policy, SlowStart, Stay, health};
use crate::model::{Charged, Full, Health, Retries, Reuse, Slots};
use crate::topology::{self, BalancerKind, Named};
use crate::units::Duration;

/// How a balancer chooses, and for how long it keeps to that, before a service that keeps idle
/// connections for so long.
pub(super) fn policy(
    topology: &topology::Topology,
    balancer: &Named<topology::Balancer>,
    keep_alive: Duration,
) -> (Policy, Option<Stay>) {
    let passes = balancer.spec.passes();
    let first = |choice: &topology::FirstChoice| match choice {
        topology::FirstChoice::RoundRobin => Policy::RoundRobin,
        topology::FirstChoice::Random => Policy::Random,
        topology::FirstChoice::LeastOutstanding => Policy::LeastOutstanding,
    };
    let bound = |hash: &topology::HashBound| hash.bound;
    let stays = balancer.spec.connections().map(|connection| Stay::Connection {
        idle: match passes && !connection.of_processes {
            false => connection.idle,
            // Users know when theirs is open; where theirs cost nothing, whoever closes first counts.
            true if topology.client.connection.is_some() => Duration::FOREVER,
            true => connection.idle.min(keep_alive),
        },
        life: optional(connection.max_age),
    });
    let policy = match balancer.spec.chooses() {
        topology::Policy::RoundRobin => Policy::RoundRobin,
        topology::Policy::WeightedRoundRobin => Policy::WeightedRoundRobin,
        topology::Policy::Random => Policy::Random,
        topology::Policy::LeastOutstanding => Policy::LeastOutstanding,
        topology::Policy::LeastConnections => Policy::LeastConnections,
        topology::Policy::TwoChoices(_) if balancer.spec.kind == BalancerKind::Nginx => {
            Policy::RandomTwo
        }
        topology::Policy::Hash if balancer.spec.kind == BalancerKind::Nginx => Policy::Rehash,
        topology::Policy::TwoChoices(few) => Policy::Choices { count: few.choices, bias: few.bias },
        topology::Policy::Hash => Policy::Hash,
        topology::Policy::ConsistentHash(ring) => {
            let points = points(&balancer.spec.kind, ring);
            Policy::RingHash { bound: ring.bound, points }
        }
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
            let first = if passes { Policy::Random } else { first(&sticky.then) };
            return (first, Some(Stay::Cookie { idle, life }));
        }
    };
    (policy, stays)
}

/// How a product puts targets on its ring: HAProxy 3.0 src/lb_chash.c (BE_WEIGHT_SCALE 16; the nearest), nginx
/// ngx_http_upstream_hash_module.c (160 a weight).
fn points(kind: &BalancerKind, ring: &topology::HashRing) -> Points {
    match kind {
        BalancerKind::HaProxy => Points::Nearest { per_weight: 16 },
        BalancerKind::Envoy => Points::Shared {
            least: ring.min_ring_size,
            most: ring.max_ring_size.max(ring.min_ring_size),
        },
        _ => Points::Next { per_weight: 160 },
    }
}

/// What a kind of balancer does by itself.
fn of_kind(spec: &topology::Balancer) -> Health {
    let (secs, minute) = (Duration::secs, Duration::secs(60));
    let nginx = health::Ejection::MaxFails { fails: 1, timeout: secs(10) };
    let plain = Health {
        nobody_status: 503,
        unreached_status: 504,
        refused_status: 502,
        // ALB: "received a TCP RST from the target"; nginx: NGX_HTTP_UPSTREAM_FT_ERROR is 502.
        broken_status: 502,
        ..Health::default()
    };
    match spec.kind {
        BalancerKind::Plain => plain,
        BalancerKind::Alb => Health {
            connect_timeout: Some(secs(10)),
            fail_open: Some(0.0),
            idle_timeout: Some(minute),
            keep_alive: Some(minute),
            deregistration_delay: Some(secs(300)),
            ..plain
        },
        // What a client hears comes from its target, or is a reset.
        BalancerKind::Nlb => Health {
            passes: spec.connections().map(|it| it.idle),
            fail_open: Some(0.0),
            deregistration_delay: Some(secs(300)),
            ..Health::default()
        },
        BalancerKind::Nginx => Health {
            connect_timeout: Some(minute),
            ejection: Some(nginx),
            idle_timeout: Some(minute),
            // ngx_http_core_module.c: keepalive_timeout 75,000 ms, keepalive_requests 1000; for servers, in
            // ngx_http_upstream_keepalive_module.c, 60,000 and 1000.
            keep_alive: Some(minute),
            client_keep_alive: secs(75),
            keepalive_requests: Some(1_000),
            next_upstream: true,
            nobody_status: 502,
            most_idle: Some(spec.most_idle.unwrap_or(32)),
            // One connection of its user's, one to its server (ngx_event_connect_peer: NGX_ERROR, and so
            // NGX_HTTP_INTERNAL_SERVER_ERROR).
            max_requests: spec.worker_connections.map(|all| all.div_ceil(2)),
            overflow_status: 500,
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
            refused_status: 503,
            broken_status: 503,
            ..plain
        },
        BalancerKind::HaProxy => Health {
            // Without timeouts it waits for ever, and warns; these are of the package's haproxy.cfg (Debian,
            // Ubuntu), as is `timeout client`, which an idle connection of a user has.
            connect_timeout: Some(secs(5)),
            idle_timeout: Some(secs(50)),
            keep_alive: Some(Duration::FOREVER),
            client_keep_alive: secs(50),
            purge: Some(spec.purge.unwrap_or(secs(5))),
            reuse: match spec.reuse {
                topology::Reuse::Never => Reuse::Never,
                topology::Reuse::Safe => Reuse::Safe,
                topology::Reuse::Aggressive => Reuse::Aggressive,
                topology::Reuse::Always => Reuse::Always,
            },
            // http_ana.c, http_return_srv_error: 503 for whoever was not connected.
            unreached_status: 503,
            refused_status: 503,
            ..plain
        },
    }
}

/// What a balancer does about the health of its targets: what is said, and otherwise what its kind does.
pub(super) fn health(spec: &topology::Balancer) -> Health {
    let of_kind = of_kind(spec);
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
    let connect_timeout = match spec.connect_timeout {
        Some(said) => optional(Some(said)),
        None => of_kind.connect_timeout,
    };
    let slots = slots(spec, connect_timeout);
    Health {
        checks: None, // compiled with the flows
        connects_only: spec.checks_connections(),
        passes: of_kind.passes,
        zonal: !spec.crosses_zones(),
        ejection,
        fail_open: spec.fail_open.map(|share| share.0).or(of_kind.fail_open),
        slow_start: spec.slow_start.map(|over| SlowStart {
            over,
            alone: matches!(spec.kind, BalancerKind::HaProxy | BalancerKind::Envoy),
        }),
        max_conns: spec.max_conns,
        max_requests: spec.max_requests.or(of_kind.max_requests),
        max_connections: of_kind.max_connections,
        max_pending: of_kind.max_pending,
        lines: of_kind.max_connections.is_some() || slots.is_some(),
        slots,
        charged: charged(spec),
        retries: retries(spec, connect_timeout),
        reuse: of_kind.reuse,
        most_idle: spec.most_idle.or(of_kind.most_idle),
        overflow_status: of_kind.overflow_status,
        purge: of_kind.purge,
        connect_timeout,
        idle_timeout: optional(spec.idle_timeout).or(of_kind.idle_timeout),
        keep_alive,
        keepalive_requests: spec.keepalive_requests.or(of_kind.keepalive_requests),
        client_keep_alive: match of_kind.client_keep_alive {
            Duration::ZERO => keep_alive.unwrap_or(Duration::FOREVER),
            known => known,
        },
        unreached_status: of_kind.unreached_status,
        refused_status: of_kind.refused_status,
        broken_status: of_kind.broken_status,
        deregistration_delay: optional(spec.deregistration_delay).or(of_kind.deregistration_delay),
        next_upstream: spec.next_upstream.unwrap_or(of_kind.next_upstream),
        nobody_status: of_kind.nobody_status,
    }
}

/// What its capacity units are (AWS, Elastic Load Balancing pricing).
fn charged(spec: &topology::Balancer) -> Option<Charged> {
    const FREE_RULES: u32 = 10;
    let price = spec.price.as_ref().filter(|price| price.per_lcu_hour.is_some())?;
    let (new, open) = match (&spec.kind, price.tls) {
        (BalancerKind::Nlb, false) => (800.0, 100_000.0),
        (BalancerKind::Nlb, true) => (50.0, 3_000.0),
        _ => (25.0, 3_000.0),
    };
    let rules = if spec.passes() { 0 } else { price.rules.saturating_sub(FREE_RULES) };
    Some(Charged { new, open, bytes: 1e9, rules })
}

/// The queue for requests that find their targets full.
fn slots(spec: &topology::Balancer, connect_timeout: Option<Duration>) -> Option<Slots> {
    let kind = &spec.kind;
    let has_none = matches!(kind, BalancerKind::Alb | BalancerKind::Envoy | BalancerKind::Nlb);
    if has_none || spec.max_conns.is_none() || !spec.queues() {
        return None;
    }
    let said = spec.queue.as_ref();
    let most = said.and_then(|queue| queue.most);
    let of_all = *kind == BalancerKind::Nginx;
    let usual = if of_all { Some(Duration::secs(60)) } else { connect_timeout };
    let full = match spec.chooses() {
        topology::Policy::Random | topology::Policy::TwoChoices(_) => Full::Drawn,
        topology::Policy::Hash
        | topology::Policy::ConsistentHash(_)
        | topology::Policy::Maglev(_) => Full::Kept,
        // lb_fwlc.c: served + queueslength < maxconn + maxqueue
        topology::Policy::LeastOutstanding if most.is_some() => Full::SkippedWithQueue,
        _ => Full::Skipped,
    };
    Some(Slots {
        timeout: said.and_then(|queue| queue.timeout).map_or(usual, |said| optional(Some(said))),
        most,
        of_all,
        leaves: said.is_none_or(|queue| queue.leaves),
        full: if of_all { Full::Skipped } else { full },
        ramp: spec.ramp.as_ref().map(|ramp| (ramp.least, ramp.full)),
        status: if of_all { 502 } else { 503 },
    })
}

/// How HAProxy connects once more (backend.c, `back_handle_st_cer`).
fn retries(spec: &topology::Balancer, connect_timeout: Option<Duration>) -> Option<Retries> {
    if spec.kind != BalancerKind::HaProxy {
        return None;
    }
    let second = Duration::secs(1);
    let keeps = matches!(
        spec.chooses(),
        topology::Policy::Hash
            | topology::Policy::ConsistentHash(_)
            | topology::Policy::Maglev(_)
            | topology::Policy::Sticky(_)
    );
    Some(Retries {
        count: spec.retries.unwrap_or(3),
        redispatch: spec.redispatch,
        any: !keeps && spec.connections().is_none(),
        pause: connect_timeout.map_or(second, |timeout| timeout.min(second)),
    })
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
    let (interval, timeout, healthy, unhealthy) = spec.check_times()?;
    Some(health::Checks { interval, timeout, healthy, unhealthy })
}
