//! From a checked topology to a model: names become numbers, quantities ticks, flows a tape.
//!
//! Compiling cannot fail: what could be wrong has been said by `topology::load`.

mod arrivals;
mod balancers;
mod caches;
mod databases;
mod deploys;
mod faults;
mod flow;
mod gates;
mod hosts;
mod http_clients;
mod mix;
mod monitors;
mod network;
mod pools;
mod processes;
mod prices;
mod queues;
mod relations;
mod retries;
mod services;
mod sessions;
mod sockets;
mod statements;
mod stores;
mod streams;
mod workload;

use super::ids::*;
use super::tape::{Catch, DrawId, Op, Pc, Spans};
use super::{CompiledLaw, Model, Station, StationKind, demand};
use crate::kernel::{Dense, Id};
use crate::topology::{self, Named, Topology};
use crate::units::Duration;
use crate::variate::{AliasTable, Law};

/// Compiles a checked topology.
///
/// # Panics
/// If the topology was not checked: a name that is not there, a share that cannot be.
pub fn compile(topology: &Topology) -> Model {
    let mut compiler = Compiler::new(topology);
    compiler.name_stations();
    let workload = workload::workload(topology, &mut compiler);
    let mut model = Model {
        title: topology.title.clone().unwrap_or_default(),
        plan: workload::plan(&topology.run),
        client: workload::client(topology, &workload, &mut compiler),
        arrivals: arrivals::arrivals(topology, &mut compiler),
        workload,
        regions: compiler.regions(),
        routes: compiler.routes(),
        homes: AliasTable::new(&compiler.home_shares()),
        home_shares: compiler.home_shares(),
        links: compiler.links(),
        hosts: compiler.hosts(),
        services: compiler.services(),
        pools: compiler.pools(),
        poolers: compiler.poolers(),
        databases: compiler.databases(),
        relations: compiler.relations(),
        maintenance: compiler.maintenance(),
        wants: Vec::new(),
        caches: compiler.caches(),
        policies: Vec::new(),
        keys: compiler.keys(),
        cdns: compiler.cdns(),
        sessions: compiler.sessions(),
        stores: compiler.stores(),
        store_uses: Vec::new(),
        sockets: compiler.sockets(),
        guards: compiler.guards(),
        limits: compiler.limits(),
        bulkheads: compiler.bulkheads(),
        breakers: compiler.breakers(),
        streams: compiler.streams(),
        consumers: compiler.consumers(),
        polls: Vec::new(),
        agents: Vec::new(),
        http_clients: compiler.http_clients(),
        queues: compiler.queues(),
        jobs: compiler.jobs(),
        faults: compiler.faults(),
        deploys: compiler.deploys(),
        monitors: compiler.monitors(),
        operations: Dense::default(),
        mix: Vec::new(),
        tape: Vec::new(),
        catches: Vec::new(),
        forks: Vec::new(),
        choices: Vec::new(),
        laws: Dense::default(),
        spans: Spans::default(),
        retries: Vec::new(),
        once: Vec::new(),
        balanced: Vec::new(),
        stations: Dense::default(),
        costs: compiler.costs(),
        objectives: topology.objectives.clone(),
        assumptions: topology.assume.clone(),
    };
    flow::operations(&mut compiler, &mut model);
    flow::checks(&mut compiler, &mut model);
    flow::messages(&mut compiler, &mut model);
    flow::records(&mut compiler, &mut model);
    flow::of_sockets(&mut compiler, &mut model);
    flow::lookups(&mut compiler, &mut model);
    mix::follow_on(topology, &mut model);
    model.laws = Dense::new(compiler.laws);
    model.spans = compiler.spans;
    model.retries = compiler.retries;
    model.agents = compiler.agents;
    model.polls = compiler.polls;
    compiler.once.sort_unstable();
    model.once = compiler.once;
    compiler.balanced.sort_unstable_by_key(|(enter, _)| *enter);
    model.balanced = compiler.balanced;
    model.policies = compiler.policies;
    model.tape = compiler.tape;
    compiler.catches.sort_by_key(|catch| (catch.last.0 - catch.first.0, catch.first));
    model.catches = compiler.catches;
    model.forks = compiler.forks;
    model.choices = compiler.choices;
    model.wants = compiler.wants;
    model.store_uses = compiler.store_uses;
    model.stations = compiler.stations;
    demand::settle(&mut model);
    workload::warm_sessions(&mut model);
    caches::lodgers(&mut model);
    caches::crowded(&mut model);
    caches::heavy(&mut model);
    model
}

/// What the parts of the compiler share.
pub(super) struct Compiler<'t> {
    topology: &'t Topology,
    laws: Vec<CompiledLaw>,
    spans: Spans,
    retries: Vec<super::CallRetry>,
    agents: Vec<super::Agent>,
    /// HTTP clients.
    shared: Vec<http_clients::Shared>,
    polls: Vec<super::Poll>,
    once: Vec<Pc>,
    balanced: Vec<(Pc, DrawId)>,
    policies: Vec<super::Policy>,
    tape: Vec<Op>,
    catches: Vec<Catch>,
    forks: Vec<Pc>,
    choices: Vec<super::Choice>,
    wants: Vec<super::Want>,
    store_uses: Vec<super::StoreUse>,
    stations: Dense<StationId, Station>,
    /// Pools that session stores open for themselves: (session, service).
    own_pools: Vec<(usize, usize)>,
}

impl<'t> Compiler<'t> {
    fn new(topology: &'t Topology) -> Compiler<'t> {
        Compiler {
            topology,
            // Law 0 is no time at all: the diagonal of routes, absent hops.
            laws: vec![CompiledLaw::new(Law::Constant(0.0))],
            spans: Spans::default(),
            retries: Vec::new(),
            agents: Vec::new(),
            shared: http_clients::shared(topology),
            polls: Vec::new(),
            once: Vec::new(),
            balanced: Vec::new(),
            policies: vec![super::Policy::default()],
            tape: Vec::new(),
            catches: Vec::new(),
            forks: Vec::new(),
            choices: Vec::new(),
            wants: Vec::new(),
            store_uses: Vec::new(),
            stations: Dense::default(),
            own_pools: own_pools(topology),
        }
    }

    /// The number of a distribution.
    fn law<Q>(&mut self, dist: &topology::Dist<Q>) -> LawId {
        self.add_law(dist.law.clone())
    }

    fn add_law(&mut self, law: Law) -> LawId {
        if let Some(known) = self.laws.iter().position(|known| known.law == law) {
            return LawId(known as u32);
        }
        self.laws.push(CompiledLaw::new(law));
        LawId(self.laws.len() as u32 - 1)
    }

    /// The region that something stands in: the one it names, or the only one.
    fn region(&self, name: &Option<topology::Ref<topology::Region>>) -> RegionId {
        match name {
            Some(name) => find(&self.topology.regions, &name.name),
            None => RegionId(0),
        }
    }

    /// The region that a component stands in, where the file says so.
    fn place_of(&self, section: topology::Section, name: &str) -> Option<RegionId> {
        let region = self.topology.place_of(section, name)?;
        Some(find(&self.topology.regions, &region.name))
    }

    /// The station of a component.
    fn station(&self, path: &str) -> StationId {
        let found = self.stations.enumerate().find(|(_, station)| station.path == path);
        found.unwrap_or_else(|| panic!("`{path}` has a station")).0
    }

    /// Every component as measurements know it, sorted by path, so that the order of the file does
    /// not matter.
    fn name_stations(&mut self) {
        let mut all = vec![
            station("network", StationKind::Network, 0.0),
            station("users", StationKind::Client, 0.0),
        ];
        self.computing_stations(&mut all);
        self.storing_stations(&mut all);
        all.sort_by(|a, b| a.path.cmp(&b.path));
        self.stations = Dense::new(all);
    }

    fn computing_stations(&self, all: &mut Vec<Station>) {
        let topology = self.topology;
        for host in &topology.hosts {
            all.push(station(&format!("host.{}", host.name), StationKind::Host, host.spec.cores));
        }
        for service in &topology.services {
            let spec = &service.spec;
            let most = f64::from(most_instances(topology, spec));
            let path = format!("service.{}", service.name);
            let uses_threads = topology.steps().iter().any(|(at, step)| {
                *at == Some(service.name.as_str())
                    && step.value.takes_threads(&service.spec.runtime)
            });
            let uses_threads = uses_threads || topology.looks_names_up(service);
            // Each loop can compute on one core, and so can each thread, unless a lock is in the way.
            let children = has_children(topology, service);
            let each = match computes_in_threads(topology, service) {
                _ if children && spec.children.is_none() => f64::INFINITY,
                true => f64::from(1 + spec.thread_count() + spec.children.unwrap_or(0)),
                false => 1.0,
            };
            let cores = match &spec.host {
                // On a shared machine only loops are counted here.
                Some(_) => f64::from(spec.workers) * most,
                None => spec.core_count().min(f64::from(spec.workers) * each) * most,
            };
            if uses_threads {
                let threads = f64::from(spec.workers * spec.thread_count()) * most;
                all.push(station(&format!("{path}.threads"), StationKind::Threads, threads));
            }
            if children {
                let most = f64::from(spec.workers * spec.children.unwrap_or(0)) * most;
                all.push(station(&format!("{path}.children"), StationKind::Threads, most));
            }
            if spec.function.is_some() {
                let executions = format!("{path}.executions");
                all.push(station(&executions, StationKind::Executions, most));
            }
            all.push(station(&path, StationKind::Service, cores));
        }
        self.client_stations(all);
        for queue in &topology.queues {
            let slots = match &queue.spec.mapping {
                Some(mapping) => f64::from(mapping.most()),
                None => {
                    let workers = match &queue.spec.service {
                        Some(service) => {
                            let spec = &named(&topology.services, &service.name).spec;
                            most_instances(topology, spec) * spec.workers
                        }
                        None => queue.spec.most_workers(),
                    };
                    f64::from(workers * queue.spec.concurrency)
                }
            };
            all.push(station(&format!("queue.{}", queue.name), StationKind::Queue, slots));
        }
        self.stream_stations(all);
        for guard in &topology.guards {
            all.push(station(&format!("guard.{}", guard.name), StationKind::Guard, 0.0));
        }
        for limit in &topology.limits {
            all.push(station(&format!("limit.{}", limit.name), StationKind::Limit, 0.0));
        }
        for bulkhead in &topology.bulkheads {
            let path = format!("bulkhead.{}", bulkhead.name);
            let places = self.places(bulkhead);
            all.push(station(&path, StationKind::Bulkhead, places));
        }
        for breaker in &topology.breakers {
            all.push(station(&format!("breaker.{}", breaker.name), StationKind::Breaker, 0.0));
        }
        for balancer in &topology.balancers {
            all.push(station(&format!("balancer.{}", balancer.name), StationKind::Balancer, 0.0));
        }
        for link in &topology.links {
            let path = format!("link.{}", link.name);
            let into = self.way_in(link);
            if into != path {
                all.push(station(&into, StationKind::Link, 1.0));
            }
            all.push(station(&path, StationKind::Link, 1.0));
        }
    }

    fn storing_stations(&self, all: &mut Vec<Station>) {
        let topology = self.topology;
        for pool in &topology.pools {
            let service = named(&topology.services, &pool.spec.service.name);
            let database = named(&topology.databases, &pool.spec.database.name);
            let workers = f64::from(most_instances(topology, &service.spec) * service.spec.workers);
            let replicas = topology.reads_from(&pool.spec).len() as u32;
            let each = pool.spec.most() + replicas * pool.spec.most_to_replica();
            let size = workers * f64::from(database.spec.most_shards()) * f64::from(each);
            all.push(station(&format!("pool.{}", pool.name), StationKind::Pool, size));
        }
        for (session, service) in &self.own_pools {
            let spec = &topology.services[*service].spec;
            let workers = f64::from(most_instances(topology, spec) * spec.workers);
            let own =
                own_pool(&topology.sessions[*session].spec).expect("listed because it has one");
            let path = own_pool_path(topology, *session, *service);
            // One pool for each shard, as everywhere.
            let shards = named(&topology.databases, &own.database.name).spec.most_shards();
            let size = workers * f64::from(shards * own.size);
            all.push(station(&path, StationKind::Pool, size));
        }
        for pooler in &topology.poolers {
            let database = &named(&topology.databases, &pooler.spec.database.name).spec;
            let servers = database.most_shards() * (1 + database.all_replicas());
            let each = pooler.spec.size(database) + pooler.spec.reserve;
            let path = format!("pooler.{}", pooler.name);
            all.push(station(&path, StationKind::Pooler, f64::from(servers * each)));
            if pooler.spec.works() {
                all.push(station(&format!("{path}.core"), StationKind::Pooler, 1.0));
            }
        }
        for database in &topology.databases {
            let spec = &database.spec;
            let path = format!("database.{}", database.name);
            // On a shared machine as many statements may compute as there are connections.
            let alone = if spec.host.is_some() { 0.0 } else { 1.0 };
            let primaries = alone * spec.cores * f64::from(spec.most_shards());
            if spec.all_replicas() > 0 {
                let replicas = primaries * f64::from(spec.all_replicas());
                all.push(station(&format!("{path}.replicas"), StationKind::Database, replicas));
            }
            all.push(station(&path, StationKind::Database, primaries));
        }
        for relation in &topology.relations {
            let path = format!("relation.{}", relation.name);
            all.push(station(&path, StationKind::Relation, 0.0));
        }
        for job in &topology.maintenance {
            let shards = named(&topology.databases, &job.spec.database.name).spec.most_shards();
            let path = format!("maintenance.{}", job.name);
            all.push(station(&path, StationKind::Maintenance, f64::from(shards)));
        }
        for cache in &topology.caches {
            let nodes = match cache.spec.kind {
                topology::CacheKind::Redis => f64::from(caches::reading_nodes(&cache.spec)),
                topology::CacheKind::Memory => 0.0,
            };
            all.push(station(&format!("cache.{}", cache.name), StationKind::Cache, nodes));
        }
        for cdn in &topology.cdns {
            all.push(station(&format!("cdn.{}", cdn.name), StationKind::Cdn, 0.0));
            if cdn.spec.shield.is_some() {
                all.push(station(&format!("cdn.{}.shield", cdn.name), StationKind::Cdn, 0.0));
            }
        }
        for session in &topology.sessions {
            all.push(station(&format!("session.{}", session.name), StationKind::Session, 0.0));
        }
        for store in &topology.stores {
            let pipe = f64::from(u8::from(store.spec.shared.is_some()));
            all.push(station(&format!("store.{}", store.name), StationKind::Store, pipe));
        }
        for socket in &topology.sockets {
            all.push(station(&format!("socket.{}", socket.name), StationKind::Socket, 0.0));
        }
    }
}

fn station(path: &str, kind: StationKind, capacity: f64) -> Station {
    Station { path: path.into(), kind, capacity }
}

/// The most instances that a service can have.
fn most_instances(topology: &Topology, spec: &topology::Service) -> u32 {
    if let Some(function) = &spec.function {
        return topology.environments(spec, function);
    }
    spec.autoscale.as_ref().map_or(spec.instances, |scaling| scaling.max.max(spec.instances))
}

/// How many instances of a service there can be at once: two fleets in the middle of a deploy.
fn instance_slots(topology: &Topology, service: &Named<topology::Service>) -> u32 {
    let is_deployed = topology.deploys.iter().any(|it| it.spec.service.name == service.name);
    most_instances(topology, &service.spec) * if is_deployed { 2 } else { 1 }
}

/// Whether threads of a service's workers compute beside their loops.
fn computes_in_threads(topology: &Topology, service: &Named<topology::Service>) -> bool {
    topology.steps().iter().any(|(at, step)| {
        let apart = matches!(step.value, topology::Step::Threads(_) | topology::Step::Child(_));
        *at == Some(service.name.as_str()) && apart
    })
}

/// Whether a flow of a service starts child processes.
fn has_children(topology: &Topology, service: &Named<topology::Service>) -> bool {
    topology.steps().iter().any(|(at, step)| {
        *at == Some(service.name.as_str()) && matches!(step.value, topology::Step::Child(_))
    })
}

/// Session stores that open a pool of their own, with each service that uses them.
fn own_pools(topology: &Topology) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (session, spec) in topology.sessions.iter().enumerate() {
        if own_pool(&spec.spec).is_none() {
            continue;
        }
        for (service, at) in topology.services.iter().enumerate() {
            let before = at.spec.before.iter().any(|before| {
                before.section == topology::Section::Session && before.name == spec.name
            });
            let by_hand = topology.steps().iter().any(|(on, step)| match &step.value {
                topology::Step::Session(usage) => {
                    let meant = usage.which().of.as_ref().is_none_or(|of| of.name == spec.name);
                    meant && *on == Some(at.name.as_str())
                }
                _ => false,
            });
            if before || by_hand {
                found.push((session, service));
            }
        }
    }
    found
}

fn own_pool(session: &topology::Session) -> Option<&topology::OwnPool> {
    match &session.store {
        topology::SessionStore::Postgres(store) => store.own.as_ref(),
        _ => None,
    }
}

/// What such a pool is called.
fn own_pool_path(topology: &Topology, session: usize, service: usize) -> String {
    let session = &topology.sessions[session].name;
    match topology.services.len() {
        1 => format!("pool.{session}-own"),
        _ => format!("pool.{session}-own-{}", topology.services[service].name),
    }
}

/// The number of a component by its name.
fn find<T, I: Id>(all: &[Named<T>], name: &str) -> I {
    let found = all.iter().position(|one| one.name == name);
    I::from_index(found.expect("the checker has looked names up"))
}

/// A component by its name.
fn named<'a, T>(all: &'a [Named<T>], name: &str) -> &'a Named<T> {
    all.iter().find(|one| one.name == name).expect("the checker has looked names up")
}

/// The random numbers of an operation of the tape, from its path in the file (FNV-1a).
fn draw_id(path: &str) -> DrawId {
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    DrawId((hash ^ (hash >> 32)) as u32)
}

/// An optional duration; the language's "for ever" is none.
fn optional(length: Option<Duration>) -> Option<Duration> {
    length.filter(|length| *length != Duration::FOREVER)
}
