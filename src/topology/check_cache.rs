//! What caches, their copies and their policies need to make sense.

use super::cache::CacheKind;
use super::check::{Cx, Diagnostics, error, find, names};
use super::flow::Step;
use super::redis::{CacheFailover, CacheReads};

/// Clusters and their quorums, replicas that are read, and policies of look-ups.
pub(crate) fn caches(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for cache in &cx.topology.caches {
        let (spec, name) = (&cache.spec, format!("cache.{}", cache.name));
        let mut wrong = |message: String, help: &str| {
            found.push(error("bad-cache", &cache.place, message).help(help));
        };
        match &spec.failover {
            Some(CacheFailover::Cluster(_)) if spec.nodes < 3 => wrong(
                format!(
                    "`{name}` is a Redis Cluster of {} masters, which does not exist",
                    spec.nodes
                ),
                "a cluster has at least 3 masters, since most of them must agree on a failure: write \
                 `nodes = 3` or more, or use `failover = \"sentinel\"`",
            ),
            Some(CacheFailover::Sentinel(its)) if its.quorum > its.sentinels => wrong(
                format!("`{name}` wants {} of {} sentinels to agree", its.quorum, its.sentinels),
                "a quorum is at most the number of sentinels",
            ),
            _ => {}
        }
        let copies = spec.failover.is_some() || spec.reads != CacheReads::Primary;
        if copies && spec.kind == CacheKind::Memory {
            wrong(
                format!("`{name}` is memory of workers, which has no replicas"),
                "leave out `failover` and `reads`, or make it `kind = \"redis\"`",
            );
        }
        if spec.reads != CacheReads::Primary && spec.replicas == 0 {
            wrong(
                format!("`{name}` reads from replicas, and has none"),
                "write `replicas = 1` or more",
            );
        }
    }
    for (_, step) in cx.topology.steps() {
        if let Step::Command(own) = &step.value
            && find(&cx.topology.caches, &own.cache.name).spec.kind == CacheKind::Memory
        {
            let message = "memory of a worker runs no commands";
            let help = "write its time as `cpu`, or use a cache that is a server";
            found.push(error("bad-cache", &step.place, message.to_string()).help(help));
        }
        let Step::Cache(lookup) = &step.value else { continue };
        let mut wrong = |message: &str, help: &str| {
            found.push(error("bad-cache", &step.place, message.to_string()).help(help));
        };
        let expires = lookup.early > 0.0
            || lookup.jitter.0 > 0.0
            || !lookup.stale_while_revalidate.is_zero()
            || !lookup.stale_if_error.is_zero();
        if expires && (lookup.ttl.is_none() || !lookup.write) {
            let message =
                "a value that does not expire has no jitter, and is neither early nor stale";
            wrong(message, "give the look-up a `ttl`, and let it write");
        }
        let stale = lookup.early > 0.0
            || !lookup.stale_while_revalidate.is_zero()
            || !lookup.stale_if_error.is_zero();
        if lookup.sliding && stale {
            let message = "a value that each hit renews is never near its end when it is read";
            wrong(message, "leave out `sliding`, or `early` and what is stale");
        } else if lookup.sliding && (lookup.ttl.is_none() || !lookup.write) {
            let message = "what is `sliding` is a `ttl`, and there is none";
            wrong(message, "give the look-up a `ttl`, and let it write");
        }
        if let Some(lock) = &lookup.lock {
            if find(&cx.topology.caches, &lookup.cache.name).spec.kind == CacheKind::Memory {
                let message = "a lock in a worker's memory locks nobody else out";
                wrong(message, "use `single_flight = true`, or a cache that is a server");
            }
            if lock.wait.0 / lock.retry.0.max(1) > 255 {
                wrong(
                    "a lock is asked for more than 255 times",
                    "make `retry` longer or `wait` shorter",
                );
            }
        }
    }
    found
}

/// Memory belongs to the workers of a service.
pub(crate) fn memory_caches(cx: &Cx<'_>) -> Diagnostics {
    cx.topology
        .caches
        .iter()
        .filter(|cache| cache.spec.kind == CacheKind::Memory && cache.spec.service.is_none())
        .map(|cache| {
            let message = format!("`cache.{}` is memory, but of which service?", cache.name);
            error("ambiguous", &cache.place, message)
                .help(format!("add `service`, one of {}", names(&cx.topology.services)))
        })
        .collect()
}
