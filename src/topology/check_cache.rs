//! What caches, their copies and their policies need to make sense.

use super::cache::{Cache, CacheKind};
use super::check::{Cx, Diagnostics, error, find, names};
use super::file::Topology;
use super::flow::Step;
use super::names::{Named, Ref, Section};
use super::redis::{CacheClient, CacheFailover, CacheReads};
use super::service::Service;
use super::session::{Session, SessionStore};
use crate::diagnostic::Diagnostic;

/// Clusters and their quorums, replicas that are read, and policies of look-ups.
pub(crate) fn caches(cx: &Cx<'_>) -> Diagnostics {
    let mut found = too_many_clients(cx);
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

impl Cache {
    /// The most connections that a node accepts.
    pub fn accepts(&self) -> u32 {
        let files = self.open_files.map_or(u32::MAX, |files| files.saturating_sub(RESERVED_FILES));
        self.max_clients.min(files)
    }
    /// Whether processes have clients of it that connect again to a server that was lost.
    pub fn reconnects(&self) -> bool {
        let clustered = matches!(self.failover, Some(CacheFailover::Cluster(_)));
        let client = self.client.as_ref().filter(|_| self.kind != CacheKind::Memory);
        !clustered && client.is_some_and(|it| !matches!(it, CacheClient::Ideal))
    }
}

/// What Redis keeps of its open files for itself (server.h, CONFIG_MIN_RESERVED_FDS).
const RESERVED_FILES: u32 = 32;

/// The services whose processes connect to a cache, each once.
fn connected<'a>(topology: &'a Topology, cache: &Named<Cache>) -> Vec<&'a Named<Service>> {
    let is = |it: &Ref<Cache>| it.name == cache.name;
    let by_steps: Vec<&str> = topology
        .steps()
        .into_iter()
        .filter_map(|(service, step)| {
            let asks = match &step.value {
                Step::Cache(lookup) => is(&lookup.cache),
                Step::Invalidate(it) => is(&it.cache),
                Step::Update(it) => is(&it.cache),
                Step::Command(own) => is(&own.cache),
                _ => false,
            };
            service.filter(|_| asks)
        })
        .collect();
    let keeps = |session: &Session| match &session.store {
        SessionStore::Redis(store) => is(&store.cache),
        SessionStore::Jwt(jwt) => jwt.revocation.as_ref().is_some_and(is),
        _ => false,
    };
    let before = |service: &Named<Service>| {
        service.spec.before.iter().any(|at| {
            at.section == Section::Session && keeps(&find(&topology.sessions, &at.name).spec)
        })
    };
    let asks = |it: &&Named<Service>| by_steps.contains(&it.name.as_str()) || before(it);
    topology.services.iter().filter(asks).collect()
}

/// The arithmetic of connections: instances x workers x connections against what a node accepts.
fn too_many_clients(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for cache in cx.topology.caches.iter().filter(|it| it.spec.kind != CacheKind::Memory) {
        let (mut total, mut terms) = (0u64, Vec::new());
        for service in connected(cx.topology, cache) {
            let Service { instances, workers, autoscale, function, .. } = &service.spec;
            let instances = match function {
                Some(function) => cx.topology.environments(&service.spec, function),
                None => autoscale.as_ref().map_or(*instances, |scale| scale.max),
            };
            let each = cache.spec.connections;
            let term = u64::from(instances) * u64::from(*workers) * u64::from(each);
            total += term;
            terms.push(format!("{instances} × {workers} × {each} of `service.{}`", service.name));
        }
        let most = cache.spec.accepts();
        if total > u64::from(most) {
            let message = format!(
                "up to {total} connections ({}), but a node of `cache.{}` accepts {most}",
                terms.join("; "),
                cache.name
            );
            found.push(
                Diagnostic::warning("too-many-clients", cache.place.clone(), message).help(
                    "the surplus is closed: raise `max_clients` (and `open_files`), or have fewer processes",
                ),
            );
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
