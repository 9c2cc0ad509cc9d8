//! What a deploy can do.

use super::cache::CacheKind;
use super::check::{Cx, Diagnostics, error};
use super::deploy::Rollout;
use super::names::{Named, Section};
use super::process::{Liveness, Probe};
use super::service::{Runtime, Service};
use crate::component::rollout::Bounds;

/// A deploy must be able to go on: one instance more, or one fewer, at the least.
pub(crate) fn deploys(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for deploy in &cx.topology.deploys {
        let service = super::check::find(&cx.topology.services, &deploy.spec.service.name);
        let wanted = service.spec.instances;
        let bounds = match &deploy.spec.how {
            Rollout::Ecs(it) => Bounds::ecs(wanted, it.min_healthy.0, 1.0 + it.max_extra.0),
            Rollout::Kubernetes(it) => {
                Bounds::kubernetes(wanted, it.max_surge.0, it.max_unavailable.0)
            }
            Rollout::BlueGreen(_) => continue,
        };
        if bounds.most <= wanted && bounds.least >= wanted {
            let message = format!(
                "`deploy.{}` may neither start an instance beside the {wanted} of `service.{}` nor stop one",
                deploy.name, service.name
            );
            found.push(
                error("bad-deploy", &deploy.place, message)
                    .help("raise `max_extra` by at least one instance, or lower `min_healthy`"),
            );
        }
    }
    found.extend(rollbacks(cx));
    found.extend(purges(cx));
    found.extend(probes(cx));
    found.extend(memory(cx));
    found
}

/// A deploy that is rolled back in any case is a mistake.
fn rollbacks(cx: &Cx<'_>) -> Diagnostics {
    let hopeless = |deploy: &&Named<super::deploy::Deploy>| {
        deploy.spec.rollback_after.is_some_and(|after| after <= deploy.spec.start)
    };
    let say = |deploy: &Named<super::deploy::Deploy>| {
        let message = format!(
            "`deploy.{}` is rolled back before its first instance can be ready, {} after the beginning",
            deploy.name, deploy.spec.start
        );
        let place = cx.tree.place_of(&format!("deploy.{}.rollback_after", deploy.name));
        error("bad-deploy", &place, message).help("let `rollback_after` be longer than `start`")
    };
    cx.topology.deploys.iter().filter(hopeless).map(say).collect()
}

/// What is emptied is a server: memory of workers goes with them.
fn purges(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for deploy in &cx.topology.deploys {
        for purged in deploy.spec.purge.iter().filter(|it| it.section == Section::Cache) {
            let cache = super::check::find(&cx.topology.caches, &purged.name);
            if cache.spec.kind == CacheKind::Memory {
                let message = format!(
                    "`deploy.{}` empties `cache.{}`, which is memory of its service",
                    deploy.name, purged.name
                );
                let help = "leave it out: new processes begin with nothing in memory";
                found.push(error("bad-deploy", &purged.place, message).help(help));
            }
        }
    }
    found
}

/// Whoever kills also starts again, probes end before the next begins, and target groups exist.
fn probes(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for service in &cx.topology.services {
        let (spec, path) = (&service.spec, format!("service.{}", service.name));
        let place = |key: &str| cx.tree.place_of(&format!("{path}.{key}"));
        let late = |probe: &&Probe| probe.timeout > probe.interval;
        let live = match &spec.liveness {
            Some(Liveness::Kubelet(probe)) => Some(probe),
            _ => None,
        };
        for probe in live.into_iter().chain(&spec.readiness).filter(late) {
            let message = format!(
                "a probe may take {} and the next begins after {}",
                probe.timeout, probe.interval
            );
            let found_it = error("bad-process", &probe.place, message);
            found.push(found_it.help("let `timeout` ≤ `interval`"));
        }
        if spec.liveness.is_some() && spec.replace.is_none() {
            let message =
                format!("`{path}` is killed when it does not answer, and never started again");
            found.push(
                error("bad-process", &place("liveness"), message)
                    .help(format!("say how long a start takes: `{path}.replace = \"10s\"`")),
            );
        }
        let checked = cx.topology.balancers.iter().any(|balancer| {
            balancer.spec.service.name == service.name && balancer.spec.check_times().is_some()
        });
        if spec.liveness == Some(Liveness::TargetGroup) && !checked {
            let message = format!("no balancer checks the instances of `{path}`");
            found.push(
                error("bad-process", &place("liveness"), message)
                    .help("write `checks` for its balancer, or give it `kind = \"alb\"`"),
            );
        }
    }
    found
}

/// Without requests a worker lives.
fn memory(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for service in &cx.topology.services {
        let Some(memory) = &service.spec.memory else { continue };
        let heap = match &service.spec.runtime {
            Runtime::Node(node) => node.heap_limit(memory.machine).0,
            Runtime::Uvicorn(_) => f64::INFINITY,
        };
        let (base, workers) = (memory.base.0, f64::from(service.spec.workers));
        if base + memory.per_request.0 > heap
            || base * workers + memory.per_request.0 > memory.machine.0
        {
            let message =
                format!("`service.{}` has not the memory for a single request", service.name);
            found.push(error("bad-process", &memory.place, message).help(
                "let `base` of all workers and one `per_request` fit into `machine` and the heap",
            ));
        }
        found.extend(sockets(cx, service, base, heap.min(memory.machine.0)));
    }
    found
}

/// Clients that are connected from the start fit into memory.
fn sockets(cx: &Cx<'_>, service: &Named<Service>, base: f64, most: f64) -> Diagnostics {
    let spec = &service.spec;
    let its = cx.topology.sockets.iter().filter(|socket| socket.spec.service.name == service.name);
    let wrong = its.filter_map(|socket| {
        let each = f64::from(socket.spec.connections) / f64::from(spec.instances * spec.workers);
        let takes = base + each.ceil() * socket.spec.bytes(spec).0;
        let message = format!(
            "the clients of `socket.{}` that are connected at the start take {:.0} MB of each process of `service.{}`, which has {:.0} MB",
            socket.name, takes / 1e6, service.name, most / 1e6
        );
        let place = cx.tree.place_of(&format!("socket.{}.connections", socket.name));
        let help = "let fewer be connected, over more instances, or give `memory.machine` more";
        (takes > most).then(|| error("bad-process", &place, message).help(help))
    });
    wrong.collect()
}
