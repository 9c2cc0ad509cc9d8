//! Components: each section of the file becomes one array of the model.

use super::super::ids::*;
use super::super::{
    Affinity, Cache, Cdn, Database, Guard, Job, Keys, Limit, Link, Per, Pool, Prune, Queue, Region,
    Scaling, Service, Session, Watch,
};
use super::workload::NO_TIME;
use super::{Compiler, draw_id, find, most_instances, named, optional, own_pool, own_pool_path};
use crate::component::autoscaler::TargetTracking;
use crate::component::balancer::Policy;
use crate::component::cache::{CacheConfig, Eviction};
use crate::component::guard::FailMode;
use crate::component::job_queue::{Driver, JobBackoff, RetryRule};
use crate::component::pool::PoolConfig;
use crate::component::session_table::QueryLaw;
use crate::kernel::Dense;
use crate::topology::{self, Named, Section};
use crate::variate::{KeySampler, Law, Popularity};

impl Compiler<'_> {
    pub(super) fn regions(&mut self) -> Dense<RegionId, Region> {
        let topology = self.topology;
        if topology.regions.is_empty() {
            return Dense::new(vec![Region { name: "here".into(), access: NO_TIME }]);
        }
        let one = |region: &Named<topology::Region>| Region {
            name: region.name.clone(),
            access: self.law(&region.spec.rtt),
        };
        topology.regions.iter().map(one).collect()
    }

    pub(super) fn routes(&mut self) -> Vec<LawId> {
        let topology = self.topology;
        let count = topology.regions.len().max(1);
        let mut routes = vec![NO_TIME; count * count];
        for (from, a) in topology.regions.iter().enumerate() {
            for (to, b) in topology.regions.iter().enumerate() {
                if let Some(route) =
                    topology.routes.between(&a.name, &b.name).filter(|_| from != to)
                {
                    routes[from * count + to] = self.law(&route.rtt);
                }
            }
        }
        routes
    }

    /// Shares of users by region; where none is said, all live in the first.
    pub(super) fn home_shares(&self) -> Vec<f64> {
        let regions = self.topology.regions.iter();
        let mut shares: Vec<f64> =
            regions.map(|region| region.spec.users.map_or(0.0, |share| share.0)).collect();
        if shares.is_empty() {
            shares.push(1.0);
        } else if shares.iter().sum::<f64>() == 0.0 {
            shares[0] = 1.0;
        }
        shares
    }

    pub(super) fn links(&self) -> Dense<LinkId, Link> {
        let one = |link: &Named<topology::Link>| Link {
            station: self.station(&format!("link.{}", link.name)),
            bandwidth: link.spec.bandwidth,
            loss: link.spec.loss.as_ref().map(|loss| (loss.above.0, loss.share.0, loss.delay)),
        };
        self.topology.links.iter().map(one).collect()
    }

    /// The link that a service's answers go out through: its own, or its region's.
    fn link_of(&self, service: &Named<topology::Service>) -> Option<LinkId> {
        let links = &self.topology.links;
        let carries = |section: Section, name: &str| {
            links.iter().position(|link| {
                link.spec.carries.section == section && link.spec.carries.name == name
            })
        };
        let region = self.region(&service.spec.region);
        let region = self.topology.regions.get(region.0 as usize).map(|region| region.name.clone());
        carries(Section::Service, &service.name)
            .or_else(|| carries(Section::Region, &region.unwrap_or_default()))
            .map(|index| LinkId(index as u32))
    }

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
            cores: spec.cores,
            contended: uses_threads || f64::from(spec.workers) > spec.cores,
            threads: spec.threads,
            max_connections: spec.max_connections,
            backlog: spec.backlog,
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

    /// All pools in the model's order: those of the file, then those of session stores.
    fn pools_of(&self, service: usize) -> Vec<PoolId> {
        let name = &self.topology.services[service].name;
        let written = self.topology.pools.iter().map(|pool| pool.spec.service.name == *name);
        let own = self.own_pools.iter().map(|(_, at)| *at == service);
        let all = written.chain(own).enumerate();
        all.filter(|(_, has)| *has).map(|(index, _)| PoolId(index as u32)).collect()
    }

    pub(super) fn pools(&self) -> Dense<PoolId, Pool> {
        let topology = self.topology;
        let mut all: Dense<PoolId, Pool> = Dense::default();
        for pool in &topology.pools {
            let spec = &pool.spec;
            let config = PoolConfig {
                size: spec.size,
                min: spec.min,
                acquire_timeout: optional(spec.acquire_timeout),
                idle_timeout: Some(spec.idle_timeout).filter(|length| !length.is_zero()),
                ..PoolConfig::default()
            };
            let database = named(&topology.databases, &spec.database.name);
            let to_replicas = spec.reads == topology::Reads::Replicas && database.spec.replicas > 0;
            all.push(Pool {
                name: pool.name.clone(),
                station: self.station(&format!("pool.{}", pool.name)),
                service: find(&topology.services, &spec.service.name),
                database: find(&topology.databases, &spec.database.name),
                config,
                replica_config: to_replicas
                    .then(|| PoolConfig { size: spec.replica_size.unwrap_or(spec.size), ..config }),
                destroy_on_error: spec.on_error == topology::OnError::Destroy,
            });
        }
        for (session, service) in &self.own_pools {
            let own = own_pool(&topology.sessions[*session].spec).expect("listed for it");
            let path = own_pool_path(topology, *session, *service);
            all.push(Pool {
                name: path.trim_start_matches("pool.").to_string(),
                station: self.station(&path),
                service: ServiceId(*service as u32),
                database: find(&topology.databases, &own.database.name),
                config: PoolConfig {
                    size: own.size,
                    acquire_timeout: optional(own.acquire_timeout),
                    idle_timeout: Some(own.idle_timeout).filter(|length| !length.is_zero()),
                    ..PoolConfig::default()
                },
                replica_config: None,
                destroy_on_error: true,
            });
        }
        all
    }

    pub(super) fn databases(&mut self) -> Dense<DatabaseId, Database> {
        let topology = self.topology;
        let mut all = Dense::default();
        let mut first_node = 0;
        for database in &topology.databases {
            let spec = &database.spec;
            let path = format!("database.{}", database.name);
            let replicas = format!("{path}.replicas");
            let station = self.station(&path);
            all.push(Database {
                name: database.name.clone(),
                station,
                replica_station: if spec.replicas > 0 { self.station(&replicas) } else { station },
                first_node,
                region: self.region(&spec.region),
                cores: spec.cores,
                cpu_share: spec.cpu_share.0,
                contention: (spec.contention.sigma, spec.contention.kappa),
                rtt: self.law(&spec.rtt),
                connect: self.law(&spec.connect),
                slots: spec.max_connections.saturating_sub(spec.reserved),
                replicas: spec.replicas,
                lag: self.law(&spec.lag),
                replay: spec.replay.0,
                shards: spec.shards,
                statement_timeout: optional(spec.statement_timeout),
            });
            first_node += spec.shards * (1 + spec.replicas);
        }
        all
    }

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
                expire_cycle: spec.expire_cycle && !in_process,
                traffic: Vec::new(),
            });
        }
        all
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
            let popularity = match &spec.popularity {
                topology::Popularity::Uniform => Popularity::Uniform,
                topology::Popularity::Zipf(zipf) => Popularity::Zipf { exponent: zipf.exponent },
            };
            Keys {
                name: keys.name.clone(),
                count,
                sampler: (spec.by == topology::KeyBy::Popularity)
                    .then(|| KeySampler::new(count, popularity)),
                given: None,
                size_bytes: spec.size.0 as u32,
            }
        };
        self.topology.keys.iter().map(one).collect()
    }

    pub(super) fn cdns(&mut self) -> Dense<CdnId, Cdn> {
        let topology = self.topology;
        let mut all = Dense::default();
        for cdn in &topology.cdns {
            let spec = &cdn.spec;
            all.push(Cdn {
                name: cdn.name.clone(),
                station: self.station(&format!("cdn.{}", cdn.name)),
                keys: find(&topology.keys, &spec.keys.name),
                pops: spec.pops,
                ttl: optional(Some(spec.ttl)),
                edge: self.law(&spec.edge_rtt),
                collapse: spec.collapse,
                store: CacheConfig {
                    memory: None,
                    overhead_bytes: 0,
                    eviction: Eviction::NoEviction,
                    samples: 5,
                    max_entries: None,
                },
                rate_per_s: 0.0,
            });
        }
        all
    }

    pub(super) fn sessions(&self) -> Dense<SessionId, Session> {
        let topology = self.topology;
        let one = |session: &Named<topology::Session>| {
            let spec = &session.spec;
            let (growth, prune) = match &spec.store {
                topology::SessionStore::Postgres(store) => {
                    let growth = store.growth.as_ref().map(|growth| QueryLaw {
                        rows_at: growth.rows,
                        times: growth.times,
                        power: growth.power,
                    });
                    (growth, Some(self.prune(store)))
                }
                _ => (None, None),
            };
            Session {
                name: session.name.clone(),
                station: self.station(&format!("session.{}", session.name)),
                ttl: spec.ttl,
                touch: spec.touch,
                size_bytes: spec.size.0 as u32,
                guests: spec.guests.0,
                save_uninitialized: spec.save_uninitialized,
                memory: self.session_memory(spec),
                growth,
                prune,
                warm: 0,
            }
        };
        topology.sessions.iter().map(one).collect()
    }

    fn prune(&self, store: &topology::PostgresSessions) -> Prune {
        let database = match (&store.own, &store.pool) {
            (Some(own), _) => &own.database.name,
            (None, pool) => {
                let pool = pool.as_ref().expect("checked: a pool, or one of its own");
                &named(&self.topology.pools, &pool.name).spec.database.name
            }
        };
        Prune {
            interval: store.prune,
            row: store.prune_row,
            database: find(&self.topology.databases, database),
        }
    }

    /// The Redis that sessions share with cached values, and how much all its nodes may hold.
    fn session_memory(&self, spec: &topology::Session) -> Option<(CacheId, u64)> {
        let topology::SessionStore::Redis(store) = &spec.store else { return None };
        let cache = named(&self.topology.caches, &store.cache.name);
        let memory = cache.spec.memory?;
        let all = memory.0 as u64 * u64::from(cache.spec.nodes);
        Some((find(&self.topology.caches, &store.cache.name), all))
    }

    pub(super) fn guards(&self) -> Dense<GuardId, Guard> {
        let one = |guard: &Named<topology::Guard>| {
            let spec = &guard.spec;
            let watch = self.watch(&spec.watch);
            let threshold = match (spec.limit, spec.reject_at) {
                (Some(topology::Threshold::Count(count)), _) => count as f64,
                (Some(topology::Threshold::Lag(length)), _) => length.seconds(),
                (None, share) => {
                    share.map_or(f64::INFINITY, |share| share.0 * self.watched_size(watch))
                }
            };
            Guard {
                name: guard.name.clone(),
                station: self.station(&format!("guard.{}", guard.name)),
                watch,
                threshold,
                cache: Some(spec.sampled).filter(|length| !length.is_zero()),
                on_error: fail_mode(&spec.fail),
                status: spec.respond.status,
                retry_after: optional(spec.respond.retry_after),
                errors: spec.errors.0,
                new_sessions_only: spec.applies == topology::Applies::NewSessions,
            }
        };
        self.topology.guards.iter().map(one).collect()
    }

    fn watch(&self, watch: &topology::Watch) -> Watch {
        let topology = self.topology;
        match watch {
            topology::Watch::PoolTotal(pool) => Watch::PoolTotal(find(&topology.pools, &pool.name)),
            topology::Watch::PoolBusy(pool) => Watch::PoolBusy(find(&topology.pools, &pool.name)),
            topology::Watch::PoolWaiting(pool) => {
                Watch::PoolWaiting(find(&topology.pools, &pool.name))
            }
            topology::Watch::SessionsLive(session) => {
                Watch::SessionsLive(find(&topology.sessions, &session.name))
            }
            topology::Watch::InFlight(service) => {
                Watch::InFlight(find(&topology.services, &service.name))
            }
            topology::Watch::Lag(service) => Watch::Lag(find(&topology.services, &service.name)),
        }
    }

    /// The connections that one process's pool can have.
    fn watched_size(&self, watch: Watch) -> f64 {
        let (Watch::PoolTotal(pool) | Watch::PoolBusy(pool) | Watch::PoolWaiting(pool)) = watch
        else {
            return f64::INFINITY;
        };
        let spec = &self.topology.pools[pool.0 as usize].spec;
        let database = &named(&self.topology.databases, &spec.database.name).spec;
        let replicas = if spec.reads == topology::Reads::Replicas { database.replicas } else { 0 };
        let each = spec.size + replicas * spec.replica_size.unwrap_or(spec.size);
        f64::from(database.shards) * f64::from(each)
    }

    pub(super) fn limits(&self) -> Dense<LimitId, Limit> {
        let one = |limit: &Named<topology::Limit>| {
            let spec = &limit.spec;
            Limit {
                name: limit.name.clone(),
                station: self.station(&format!("limit.{}", limit.name)),
                per: match spec.per {
                    topology::LimitPer::Address => Per::Address,
                    topology::LimitPer::User => Per::User,
                    topology::LimitPer::All => Per::All,
                },
                window: spec.window,
                max: spec.max,
                per_process: spec.store == topology::LimitStore::Memory,
                status: spec.respond.status,
                retry_after: optional(spec.respond.retry_after),
                errors: spec.errors.0,
                fail_open: spec.fail == topology::FailMode::Open,
            }
        };
        self.topology.limits.iter().map(one).collect()
    }

    pub(super) fn queues(&self) -> Dense<QueueId, Queue> {
        let mut all = Dense::default();
        let mut first_process = 0;
        for queue in &self.topology.queues {
            all.push(Queue {
                name: queue.name.clone(),
                station: self.station(&format!("queue.{}", queue.name)),
                processes: queue.spec.processes,
                concurrency: queue.spec.concurrency,
                cores: queue.spec.cores,
                first_process,
            });
            first_process += queue.spec.processes;
        }
        all
    }

    pub(super) fn jobs(&mut self) -> Dense<JobId, Job> {
        let topology = self.topology;
        let mut all = Dense::default();
        for job in &topology.jobs {
            let spec = &job.spec;
            let queue = &named(&topology.queues, &spec.queue.name).spec;
            let fifo = queue.discipline == topology::Discipline::Fifo;
            all.push(Job {
                name: job.name.clone(),
                queue: find(&topology.queues, &spec.queue.name),
                work: self.law(&spec.work),
                cpu_share: spec.cpu_share.0,
                timeout: optional(spec.timeout),
                retry: RetryRule {
                    attempts: spec.attempts,
                    backoff: match spec.backoff {
                        topology::Backoff::None => JobBackoff::None,
                        topology::Backoff::Fixed(delay) => JobBackoff::Fixed(delay),
                        topology::Backoff::Exponential(delay) => JobBackoff::Exponential(delay),
                    },
                    ..RetryRule::once(Driver::Bull)
                },
                priority: if fifo { 0 } else { spec.priority },
                fail: spec.fail.0,
            });
        }
        all
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

fn eviction_of(written: &topology::Eviction) -> Eviction {
    match written {
        topology::Eviction::NoEviction => Eviction::NoEviction,
        topology::Eviction::AllkeysLru => Eviction::AllKeysLru,
        topology::Eviction::VolatileLru => Eviction::VolatileLru,
        topology::Eviction::AllkeysRandom => Eviction::AllKeysRandom,
        topology::Eviction::VolatileTtl => Eviction::VolatileTtl,
        topology::Eviction::Lru => Eviction::Lru,
        topology::Eviction::Fifo => Eviction::Fifo,
    }
}

fn fail_mode(written: &topology::FailMode) -> FailMode {
    match written {
        topology::FailMode::Open => FailMode::Open,
        topology::FailMode::Closed => FailMode::Closed,
    }
}
