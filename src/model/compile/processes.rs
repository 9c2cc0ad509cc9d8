//! Processes with their memory and their probes.

use super::Compiler;
use crate::component::garbage::Generations;
use crate::model::tape::Pc;
use crate::model::{Collecting, Memory, Probe, Process, Recycling};
use crate::topology::{self, CacheKind, LimitStore, Liveness, Runtime, SessionStore};

impl Compiler<'_> {
    /// Whether some processes keep caches or sessions in their memory.
    fn some_are_in_memory(&self) -> bool {
        let topology = self.topology;
        let of_sessions = |store: &SessionStore| matches!(store, SessionStore::Memory(_));
        topology.caches.iter().any(|cache| cache.spec.kind == CacheKind::Memory)
            || topology.sessions.iter().any(|session| of_sessions(&session.spec.store))
            || topology.limits.iter().any(|limit| limit.spec.store == LimitStore::Memory)
    }

    /// What may end or hold up the processes of a service; nothing where nothing is said. Probes and
    /// timers are compiled with the flows.
    pub(super) fn process(&mut self, spec: &topology::Service) -> Option<Box<Process>> {
        let node = match &spec.runtime {
            Runtime::Node(node) => Some(node),
            Runtime::Uvicorn(_) => None,
        };
        let kubelet = matches!(spec.liveness, Some(Liveness::Kubelet(_)));
        let process = Process {
            memory: spec.memory.as_ref().map(|memory| Memory {
                machine: memory.machine.0,
                heap: node.map_or(f64::INFINITY, |node| node.heap_limit(memory.machine).0),
                base: memory.base.0,
                per_request: memory.per_request.0,
                per_connection: memory.per_connection.0,
                varies: self.topology.operations.iter().any(|it| it.spec.memory.is_some()),
                keeps: self.some_are_in_memory(),
            }),
            gc: node.and_then(|node| node.gc.as_ref()).map(|gc| Collecting {
                allocates: gc.allocates.0,
                rule: Generations { young: gc.young.0, survives: gc.survives.0, old: gc.old.0 },
                minor: self.law(&gc.minor),
                major: self.law(&gc.major),
                live_byte_s: gc.major_per_mb.seconds() / 1e6,
            }),
            probes: [None, None],
            timers: Vec::new(),
            stops_unhealthy: spec.liveness == Some(Liveness::TargetGroup),
            backs_off: spec.crash_back_off.unwrap_or(kubelet),
            recycling: recycling(&spec.runtime),
        };
        let said = process.memory.is_some()
            || process.gc.is_some()
            || spec.liveness.is_some()
            || spec.readiness.is_some()
            || !spec.timers.is_empty()
            || process.backs_off
            || process.recycling.is_some();
        said.then(|| Box::new(process))
    }
}

/// After how many requests workers end.
fn recycling(runtime: &Runtime) -> Option<Recycling> {
    let Runtime::Uvicorn(its) = runtime else { return None };
    let (jitter, start) = (its.limit_max_requests_jitter, its.worker_start);
    its.limit_max_requests.map(|after| Recycling { after, jitter, start })
}

/// By what they decide, the probes of a service.
pub(super) fn probes(spec: &topology::Service) -> [(&'static str, Option<&topology::Probe>); 2] {
    let alive = match &spec.liveness {
        Some(Liveness::Kubelet(probe)) => Some(probe),
        _ => None,
    };
    [("liveness", alive), ("readiness", spec.readiness.as_ref())]
}

/// A probe whose flow begins there.
pub(super) fn probe(said: &topology::Probe, entry: Pc) -> Probe {
    Probe {
        interval: said.interval,
        timeout: said.timeout,
        failures: said.failures,
        delay: said.delay,
        entry,
    }
}
