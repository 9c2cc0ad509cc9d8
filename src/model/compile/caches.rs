//! Caches and the keys in them.

use super::hosts::rank_of;
use super::{Compiler, find, optional};
use crate::component::cache::{CacheConfig, Eviction};
use crate::component::persistence::SavePoint;
use crate::component::redis_client::{ClientRules, Product};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::tape::{Command, Op};
use crate::model::{Cache, Failover, Keys, Model, Persistence, Reads, SMALL_BYTES};
use crate::topology;
use crate::topology::Named;
use crate::units::TICKS_PER_SECOND;
use crate::variate::{KeySampler, Law, Popularity};

impl Compiler<'_> {
    pub(super) fn caches(&mut self) -> Dense<CacheId, Cache> {
        let topology = self.topology;
        let mut all = Dense::default();
        for cache in &topology.caches {
            let spec = &cache.spec;
            let in_process = spec.kind == topology::CacheKind::Memory;
            let service = spec.service.as_ref().filter(|_| in_process);
            let eviction = match (&spec.eviction, in_process) {
                (Some(eviction), _) => eviction_of(eviction),
                (None, true) => Eviction::Lru,
                (None, false) => Eviction::NoEviction,
            };
            let nodes = if in_process { 1 } else { spec.nodes };
            all.push(Cache {
                name: cache.name.clone(),
                station: self.station(&format!("cache.{}", cache.name)),
                service: service.map(|service| find(&topology.services, &service.name)),
                region: self.region(&spec.region),
                host: spec.host.as_ref().map(|host| find(&topology.hosts, &host.name)),
                rank: rank_of(&spec.priority),
                nodes,
                store: CacheConfig {
                    memory: spec.memory.map(|bytes| bytes.0 as u64),
                    overhead_bytes: spec.overhead.0 as u32,
                    eviction,
                    samples: spec.samples,
                    max_entries: spec.max_entries.map(|most| most.min(u64::from(u32::MAX)) as u32),
                },
                keysets: Vec::new(),
                command: self.cache_command(spec),
                rtt: self.law(&spec.rtt),
                replicas: if in_process { 0 } else { spec.replicas },
                failover: spec.failover.as_ref().map(failover_of),
                reads: reads_of(&spec.reads),
                lag: spec.lag,
                client: spec
                    .client
                    .as_ref()
                    .filter(|_| !in_process)
                    .and_then(|it| client_of(it, spec)),
                lookups: Vec::new(), // compiled with the flows
                most_clients: Some(spec.accepts()).filter(|_| !in_process),
                connections: spec.connections,
                queue_clients: 0,
                io_threads: if in_process { 1 } else { spec.io_threads },
                io_share: spec.io_share.0,
                per_subscriber: spec.per_subscriber,
                per_kb: spec.per_kb,
                bytes_per_s: spec.bandwidth.filter(|_| !in_process).map(|rate| rate.0 / 8.0),
                weighs: !in_process && spec.io_threads > 1,
                expire_cycle: spec.expire_cycle && !in_process,
                slowlog: spec.slowlog,
                evicting: spec.evicting,
                expiring: spec.expiring,
                sessions: Vec::new(),
                limits: Vec::new(),
                queues: Vec::new(),
                traffic: Vec::new(),
                persistence: spec
                    .persistence
                    .as_ref()
                    .filter(|_| !in_process)
                    .map(|written| self.persistence(written)),
            });
        }
        all
    }

    fn persistence(&mut self, written: &topology::Persistence) -> Persistence {
        let point = |point: &topology::SavePoint| SavePoint {
            seconds: point.after.0 / TICKS_PER_SECOND,
            changes: point.changes,
        };
        Persistence {
            save: written.save.iter().map(point).collect(),
            fork: written.fork,
            disk_bytes_per_s: written.disk.0 / 8.0,
            fsync: written.fsync.as_ref().map(|law| self.law(law)),
        }
    }

    /// CPU time of a command: on the node of a server, on the worker for memory.
    pub(super) fn cache_command(&mut self, spec: &topology::Cache) -> LawId {
        let usual_s = match spec.kind {
            topology::CacheKind::Redis => 20e-6,
            topology::CacheKind::Memory => 1e-6,
        };
        match &spec.command {
            Some(said) => self.law(said),
            None => self.add_law(Law::Constant(usual_s)),
        }
    }

    pub(super) fn keys(&self) -> Dense<KeysId, Keys> {
        let one = |keys: &Named<topology::Keys>| {
            let spec = &keys.spec;
            let count = spec.count.min(u64::from(u32::MAX)) as u32;
            Keys {
                name: keys.name.clone(),
                count,
                sampler: (spec.by == topology::KeyBy::Popularity).then(|| key_sampler(spec)),
                given: None,
                size_bytes: spec.size.0 as u32,
                absent: spec.absent.0,
                removed: false,
            }
        };
        self.topology.keys.iter().map(one).collect()
    }
}

/// The keys of a set by their popularity.
pub(super) fn key_sampler(spec: &topology::Keys) -> KeySampler {
    let popularity = match &spec.popularity {
        topology::Popularity::Uniform => Popularity::Uniform,
        topology::Popularity::Zipf(zipf) => Popularity::Zipf { exponent: zipf.exponent },
    };
    KeySampler::new(spec.count.min(u64::from(u32::MAX)) as u32, popularity)
}

/// Which caches have commands that take more than all take.
pub(super) fn heavy(model: &mut Model) {
    for op in &model.tape {
        let (cache, heavy) = match *op {
            Op::CacheGet { cache, keys, .. } | Op::CacheSet { cache, keys, .. } => {
                (cache, u64::from(model.keys[keys].size_bytes) > SMALL_BYTES)
            }
            Op::Command { command: Command::Publish(_) | Command::Broadcast(_), cache, .. } => {
                (cache, true)
            }
            Op::Command { cache, bytes, .. } => (cache, u64::from(bytes) > SMALL_BYTES),
            _ => continue,
        };
        model.caches[cache].weighs |= heavy;
    }
}

/// Which caches accept fewer connections than there may be: of all processes of all services, and of the
/// workers of their queues (Bull: `client` and `bclient`; BullMQ: `connection` and `blockingConnection`).
pub(super) fn crowded(model: &mut Model) {
    let workers: u64 =
        model.services.iter().map(|service| u64::from(service.slots * service.workers)).sum();
    for id in model.caches.ids() {
        let own = |queue: &&QueueId| model.queues[**queue].service.is_none();
        let processes: u32 =
            model.caches[id].queues.iter().filter(own).map(|it| model.queues[*it].slots).sum();
        let cache = &mut model.caches[id];
        cache.queue_clients = 2 * processes;
        let all = workers * u64::from(cache.connections) + u64::from(cache.queue_clients);
        cache.most_clients = cache.most_clients.filter(|most| all > u64::from(*most));
    }
}

/// Who shares the memory of each cache.
pub(super) fn lodgers(model: &mut Model) {
    for (id, session) in model.sessions.enumerate() {
        if let Some(cache) = session.cache {
            model.caches[cache].sessions.push(id);
        }
    }
    for (id, limit) in model.limits.enumerate() {
        if let Some(cache) = limit.cache.filter(|_| limit.kept.is_some()) {
            model.caches[cache].limits.push(id);
        }
    }
    for (id, queue) in model.queues.enumerate() {
        if let Some(cache) = queue.cache {
            model.caches[cache].queues.push(id);
        }
    }
}

/// Servers that run commands: a replica only where it is read from.
pub(super) fn reading_nodes(spec: &topology::Cache) -> u32 {
    match spec.reads {
        topology::CacheReads::Primary => spec.nodes,
        _ => spec.nodes * (1 + spec.replicas),
    }
}

fn failover_of(written: &topology::CacheFailover) -> Failover {
    match written {
        topology::CacheFailover::Sentinel(its) => Failover::Sentinel {
            down_after: its.down_after,
            sentinels: its.sentinels,
            quorum: its.quorum,
        },
        topology::CacheFailover::Cluster(its) => {
            Failover::Cluster { node_timeout: its.node_timeout, full_coverage: its.full_coverage }
        }
    }
}

fn reads_of(written: &topology::CacheReads) -> Reads {
    match written {
        topology::CacheReads::Primary => Reads::Primary,
        topology::CacheReads::Replicas => Reads::Replicas,
        topology::CacheReads::All => Reads::All,
    }
}

/// How a library goes about a server that is gone; an ideal one has no rules.
fn client_of(written: &topology::CacheClient, spec: &topology::Cache) -> Option<ClientRules> {
    let clustered = matches!(spec.failover, Some(topology::CacheFailover::Cluster(_)));
    let ioredis = |product, its: &topology::Ioredis| ClientRules {
        product,
        offline_queue: its.offline_queue,
        retries: its.max_retries.0,
        connect_timeout: its.connect_timeout,
        command_timeout: optional(its.command_timeout),
        most: None,
        redirects: clustered,
    };
    Some(match written {
        topology::CacheClient::Ideal => return None,
        topology::CacheClient::Ioredis5(its) => ioredis(Product::Ioredis5, its),
        topology::CacheClient::Ioredis6(its) => ioredis(Product::Ioredis6, its),
        topology::CacheClient::NodeRedis(its) => ClientRules {
            product: Product::NodeRedis,
            offline_queue: its.offline_queue,
            retries: None,
            connect_timeout: its.connect_timeout,
            command_timeout: optional(Some(its.command_timeout)),
            most: its.max_queue,
            redirects: false,
        },
    })
}

fn eviction_of(written: &topology::Eviction) -> Eviction {
    match written {
        topology::Eviction::NoEviction => Eviction::NoEviction,
        topology::Eviction::AllkeysLru => Eviction::AllKeysLru,
        topology::Eviction::VolatileLru => Eviction::VolatileLru,
        topology::Eviction::AllkeysRandom => Eviction::AllKeysRandom,
        topology::Eviction::AllkeysLfu => Eviction::AllKeysLfu,
        topology::Eviction::VolatileLfu => Eviction::VolatileLfu,
        topology::Eviction::VolatileRandom => Eviction::VolatileRandom,
        topology::Eviction::VolatileTtl => Eviction::VolatileTtl,
        topology::Eviction::Lru => Eviction::Lru,
        topology::Eviction::Fifo => Eviction::Fifo,
    }
}
