//! The world: all that changes during one replication, one vector per kind of thing.

use std::collections::VecDeque;

use crate::component::function_fleet::Account;
use crate::component::http_client::Connections;
use crate::failure::Failure;
use crate::kernel::{Dense, Event, PendingEvents, Slab};
use crate::model::Model;
use crate::model::ids::{BreakerId, BulkheadId, CacheId, CdnId, DatabaseId, GuardId, LimitId};
use crate::model::ids::{DeployId, LinkId, PoolId, PoolerId, QueueId, RegionId};
use crate::model::ids::{ServiceId, SessionId, SocketId, StationId, StoreId};
use crate::model::tape::{Catch, Draw, Pc};
use crate::stream::{Seed, StreamKey};
use crate::units::{Duration, Time};

use super::arrivals::ArrivalState;
use super::breaker::BreakerState;
use super::bulkhead::{BulkheadState, Permit};
use super::by_instance::{ByInstance, watched};
use super::cache::CacheState;
use super::carried::Carried;
use super::cdn::CdnState;
use super::client::ClientState;
use super::course::Course;
use super::database::impatience::Asked;
use super::database::locks::Locks;
use super::database::maintenance::MaintenanceState;
use super::database::{DatabaseState, Home};
use super::deploy::Deploying;
use super::event::Kind;
use super::event_loop::Worker;
use super::fault::FaultState;
use super::function::accounts;
use super::gate::{GuardState, LimitState};
use super::host::HostState;
use super::interrupting::LettingGo;
use super::job::JobRecord;
use super::link::LinkState;
use super::mapping::Batch;
use super::meter::{Attribution, Counter, Meter, Meters, Part};
use super::observe::Observer;
use super::outdated::Ages;
use super::polling::Watches;
use super::pool::SubPool;
use super::pooler::{PoolerState, Process};
use super::probing::Watched;
use super::queue::QueueState;
use super::redis_client::CacheClient;
use super::retrying::Senders;
use super::service::{Instance, ServiceState};
use super::session::SessionState;
use super::socket::{Connection, Message, SocketState};
use super::store::StoreState;
use super::story::Recorder;
use super::stream::Streams;
use super::task::{Journey, NONE, OK, Role, State, Task, flag};
use super::upstream::Tried;

/// All that changes during one replication.
pub struct World<'m, Q> {
    /// What is run.
    pub model: &'m Model,
    /// The present instant.
    pub now: Time,
    /// The root of this replication's random numbers.
    pub key: StreamKey,
    /// What is going to happen.
    pub events: Q,
    /// Attempts, branches and calls in flight.
    pub tasks: Slab<Task>,
    /// What users want.
    pub journeys: Slab<Journey>,
    /// Tasks of the running callback that go on within it.
    pub microtasks: VecDeque<u32>,
    /// How many of them have been put in front of the ready callbacks.
    pub inserted: usize,
    /// Users.
    pub client: ClientState,
    /// What an open stream remembers.
    pub arrivals: ArrivalState,
    /// What sending processes remember.
    pub senders: Senders,
    /// Machines whose cores are shared: those with a name first.
    pub hosts: Vec<HostState>,
    /// Services.
    pub services: Dense<ServiceId, ServiceState>,
    /// Executions that functions may have at once, by region, and then for each that has its own.
    pub accounts: Vec<Account>,
    /// Their instances.
    pub instances: Vec<Instance>,
    /// Their event loops.
    pub workers: Vec<Worker>,
    /// What the kubelet knows of each instance, where something is probed or started again later.
    pub kubelet: Vec<Watched>,
    /// Connection pools: one per worker, shard and database node.
    pub pools: Vec<SubPool>,
    /// Where each kind of pool begins among them.
    pub pool_base: Dense<PoolId, u32>,
    /// Poolers' connections: one set per pooler and server of its database.
    pub poolers: Vec<PoolerState>,
    /// The processes that they are pools of.
    pub processes: Dense<PoolerId, Process>,
    /// Databases and their nodes.
    pub databases: Dense<DatabaseId, DatabaseState>,
    /// Where each node of them belongs.
    pub homes: Vec<Home>,
    /// Locks of tables and rows.
    pub locks: Locks,
    /// What databases do by themselves.
    pub maintenance: Vec<MaintenanceState>,
    /// Caches.
    pub caches: Dense<CacheId, CacheState>,
    /// Clients of caches: one for each process and node.
    pub clients: Vec<CacheClient>,
    /// Connections of HTTP clients: for each of them, and each worker of its service.
    pub callers: Vec<Vec<Connections>>,
    /// Content delivery networks.
    pub cdns: Dense<CdnId, CdnState>,
    /// Session stores.
    pub sessions: Dense<SessionId, SessionState>,
    /// Guards.
    pub guards: Dense<GuardId, GuardState>,
    /// Rate limiters.
    pub limits: Dense<LimitId, LimitState>,
    /// Bulkheads.
    pub bulkheads: Dense<BulkheadId, BulkheadState>,
    /// Places taken in them.
    pub permits: Slab<Permit>,
    /// How old cached values are, where that is asked.
    pub ages: Ages,
    /// Circuit breakers.
    pub breakers: Dense<BreakerId, BreakerState>,
    /// Links.
    pub links: Dense<LinkId, LinkState>,
    /// Job queues.
    pub queues: Dense<QueueId, QueueState>,
    /// Jobs that wait or run.
    pub jobs: Slab<JobRecord>,
    /// Jobs whose ends users ask for.
    pub watches: Watches,
    /// Batches of messages that functions are called with.
    pub batches: Slab<Batch>,
    /// What goes wrong, if anything does.
    pub faults: Option<Box<FaultState>>,
    /// Object stores.
    pub stores: Dense<StoreId, StoreState>,
    /// WebSockets.
    pub sockets: Dense<SocketId, SocketState>,
    /// Their clients.
    pub connections: Slab<Connection>,
    /// What is on its way to members of rooms.
    pub messages: Slab<Message>,
    /// The last number that a connection was given.
    pub socket_generation: u32,
    /// Streams of messages and who consumes them.
    pub streams: Streams,
    /// Deploys.
    pub deploys: Dense<DeployId, Deploying>,
    /// What is measured at each component.
    pub meters: Meters,
    /// Where requests' time goes.
    pub attribution: Attribution,
    /// What is measured overall.
    pub observer: Observer,
    /// Latency as instances measure it, where a monitor averages over them.
    pub by_instance: Vec<ByInstance>,
    /// By home and region: one way between users and services, where that is always the same.
    pub ways: Vec<Option<Duration>>,
    /// Network, as measured.
    pub network: StationId,
    /// Pauses of users between attempts, as measured.
    pub pauses: StationId,
    /// By task: where a balancer has sent its request before.
    pub tried: Vec<Tried>,
    /// What connections have carried, where servers limit that.
    pub carried: Carried,
    /// Which virtual users are interrupted next, where any are.
    pub letting_go: LettingGo,
    /// Users of a population whose requests follow one another.
    pub course: Course,
    /// Until when drivers wait for answers, where any does not wait for ever.
    pub asked: Option<Box<Asked>>,
    /// Who writes down what becomes of some requests, if somebody does.
    pub recorder: Option<Box<Recorder>>,
}

impl<'m, Q: PendingEvents> World<'m, Q> {
    /// The state at time zero of one replication.
    pub fn new(model: &'m Model, replication: u32) -> World<'m, Q> {
        let key = Seed(model.plan.seed).replication(replication);
        let station = |path: &str| {
            let found = model.stations.enumerate().find(|(_, station)| station.path == path);
            found.expect("every model has the network and its users").0
        };
        let nodes = |id: DatabaseId| {
            let spec = &model.databases[id];
            spec.shards * (1 + spec.replicas)
        };
        let tables: usize = model.relations.iter().map(|it| nodes(it.database) as usize).sum();
        let mut world = World {
            model,
            now: Time::ZERO,
            key,
            events: Q::default(),
            tasks: Slab::new(),
            journeys: Slab::new(),
            microtasks: VecDeque::new(),
            inserted: 0,
            client: ClientState::new(model, key),
            arrivals: ArrivalState::new(model),
            senders: Senders::new(model),
            hosts: Vec::new(),
            services: Dense::default(),
            accounts: accounts(model),
            instances: Vec::new(),
            workers: Vec::new(),
            kubelet: Vec::new(),
            pools: Vec::new(),
            pool_base: Dense::default(),
            poolers: Vec::new(),
            processes: Dense::default(),
            databases: model.databases.iter().map(DatabaseState::new).collect(),
            homes: Home::of_all(model),
            locks: Locks::new(tables, &model.relations),
            maintenance: Vec::new(),
            caches: Dense::default(),
            clients: Vec::new(),
            callers: Vec::new(),
            cdns: Dense::default(),
            sessions: Dense::default(),
            guards: model.guards.iter().map(|_| GuardState::default()).collect(),
            limits: model.limits.iter().map(|_| LimitState::default()).collect(),
            bulkheads: model.bulkheads.iter().map(|_| BulkheadState::default()).collect(),
            permits: Slab::new(),
            ages: Ages::default(),
            breakers: model.breakers.iter().map(|_| BreakerState::default()).collect(),
            links: model.links.iter().map(LinkState::new).collect(),
            queues: model.queues.iter().map(QueueState::new).collect(),
            jobs: Slab::new(),
            watches: Watches::default(),
            batches: Slab::new(),
            faults: FaultState::new(model, key),
            stores: model.stores.iter().map(StoreState::new).collect(),
            sockets: Dense::default(),
            connections: Slab::new(),
            messages: Slab::new(),
            socket_generation: 0,
            streams: Streams::default(),
            deploys: Dense::default(),
            meters: meters(model),
            attribution: Attribution::new(model.stations.len()),
            observer: Observer::new(model),
            by_instance: watched(model),
            ways: constant_ways(model),
            network: station("network"),
            pauses: station("users"),
            tried: Vec::new(),
            carried: Carried::default(),
            letting_go: LettingGo::default(),
            course: Course::new(model),
            asked: Asked::new(model),
            recorder: None,
        };
        world.build_hosts();
        world.build_services();
        world.build_callers();
        world.build_poolers();
        world.build_pools();
        world.fill_poolers();
        world.build_caches();
        world.build_clients();
        world.build_cdns();
        world.build_maintenance();
        world.build_sessions();
        world.build_sockets();
        world.streams = Streams::new(model, world.workers.len());
        world.build_consumers();
        world.start_checks();
        world.start_probes();
        world.start_all_timers();
        world.start_body_checks();
        world.start_users();
        world.start_faults();
        world.start_resharding();
        world.start_deploys();
        world.start_observing();
        world
    }

    /// Something will happen to a task.
    #[inline(always)]
    pub fn at_task(&mut self, at: Time, kind: Kind, task: u32) {
        let ordinal = self.tasks[task].ordinal;
        self.events.push(Event::new(at, kind as u8, ordinal, task));
    }
    /// Something will happen to a thing that is not a request.
    #[inline(always)]
    pub fn at(&mut self, at: Time, kind: Kind, slot: u32) {
        self.events.push(Event::new(at, kind as u8, 0, slot));
    }
    /// A length of time drawn for a task, or given to its recorded request.
    #[inline(always)]
    pub fn draw(&self, what: Draw, task: u32) -> Duration {
        let record = &self.tasks[task];
        match &self.model.laws[what.law].given {
            None => self.model.draw(what, record.stream),
            Some(given) => given[record.ordinal as usize],
        }
    }
    /// Counts at a component.
    #[inline(always)]
    pub fn count(&mut self, at: StationId, counter: Counter) {
        self.meters[at].count(counter);
    }
    /// Time that a task has spent at a component.
    #[inline(always)]
    pub fn spend(&mut self, task: u32, at: StationId, part: Part, length: Duration) {
        if Q::TELLS {
            self.tell_time(task, at, part, length);
        }
        let row = self.tasks[task].row;
        if row != NONE {
            self.attribution.spend(row, at, part, length);
        }
    }
    /// A task leaves a queue at a component, in which it has stood since `since`.
    #[inline(always)]
    pub fn leave(&mut self, task: u32, at: StationId) {
        let since = self.tasks[task].since;
        self.meters[at].leave(self.now, since);
        self.spend(task, at, Part::Wait, self.now.since(since));
    }
    /// The task that the event was scheduled for, unless the slot has another tenant by now.
    #[inline(always)]
    pub fn is_current(&self, task: u32, ordinal: u32, at: Time) -> bool {
        let record = self.tasks.peek(task);
        record.state != State::Free && record.ordinal == ordinal && record.deadline == at
    }
    /// Whether the task that somebody remembers by slot and epoch is there, and still waits for
    /// what they do.
    #[inline(always)]
    pub fn awaits(&self, task: u32, epoch: u16) -> bool {
        task != NONE && {
            let record = self.tasks.peek(task);
            record.state != State::Free && record.epoch == epoch
        }
    }
    /// A new task with a fresh slot; its epoch tells it from earlier tenants.
    pub fn new_task(&mut self, mut task: Task) -> u32 {
        task.epoch = self.client.next_epoch(self.tasks.next_slot());
        let slot = self.tasks.insert(task);
        if Q::TELLS {
            self.tell_task(slot);
        }
        slot
    }
    /// The task is over: its slot and its row are free.
    pub fn end_task(&mut self, task: u32) {
        if Q::TELLS {
            self.tell_end(task);
        }
        let record = &self.tasks[task];
        debug_assert!(record.leases[0].pool == NONE, "connections are returned before the end");
        debug_assert!(record.permit == 0, "places are given back before the end");
        if record.row != NONE && record.role != Role::Attempt {
            self.attribution.close(record.row);
        }
        self.tasks.remove(task);
    }
    /// The task's flow ends here, without success.
    pub fn fail(&mut self, task: u32, why: Failure) {
        if Q::TELLS {
            self.tell_failure(task, why);
        }
        if let Some(catch) = self.caught(task) {
            return self.go_on_at(task, why, catch);
        }
        self.abandon_flights(task);
        self.release_locks(task);
        while let Some(lease) = self.tasks[task].pop_lease() {
            self.give_up_connection(task, lease, why);
        }
        if self.tasks[task].has(flag::THREAD) {
            self.drop_thread(task);
        }
        let record = &mut self.tasks[task];
        let epilogue = std::mem::take(&mut record.epilogue);
        if epilogue != Pc(0) && record.has(flag::SEEN) && record.role != Role::Tail {
            // The middleware hooks the end of every response, that of an error too
            // (express-session 1.19.0 index.js, res.end): the answer waits for it.
            (record.pc, record.parked, record.status) = (epilogue, why as u8, OK);
            return self.go_on_within(task);
        }
        if record.parked != OK {
            // Keeping the session has failed as well; the first failure is what is answered.
            record.status = std::mem::replace(&mut record.parked, OK);
            return self.answer(task, 0.0);
        }
        record.status = why as u8;
        self.answer(task, 0.0);
    }

    /// Where the tape says that a task goes on whose flow fails where it stands.
    fn caught(&self, task: u32) -> Option<Catch> {
        let pc = self.tasks[task].pc;
        let around = |catch: &&Catch| catch.first <= pc && pc < catch.last;
        let catches = self.model.catches.iter().filter(around);
        catches.copied().find(|catch| catch.stale.is_none() || self.has_stale(task, catch))
    }

    /// A failure is caught: what the task has begun since is given up, and it goes on.
    fn go_on_at(&mut self, task: u32, why: Failure, catch: Catch) {
        self.tasks[task].status = why as u8;
        self.abandon_flights_within(task, catch);
        self.leave_bulkheads_within(task, catch);
        while self.tasks[task].leases_held() > catch.leases
            && let Some(lease) = self.tasks[task].pop_lease()
        {
            self.give_up_connection(task, lease, why);
        }
        let record = &mut self.tasks[task];
        (record.pc, record.status, record.answered) = (catch.to, OK, 0);
        record.deadline = Time::NEVER;
        self.go_on_within(task);
    }
}

/// By home and region: half of the access and route round trips, where both are always the same.
fn constant_ways(model: &Model) -> Vec<Option<Duration>> {
    let of = |home: RegionId, region: RegionId| {
        let access = model.laws[model.regions[home].access].constant?;
        let route = model.laws[model.route(home, region)].constant?;
        Some((access + route).half())
    };
    let pairs = model.regions.ids().flat_map(|home| model.regions.ids().map(move |it| (home, it)));
    pairs.map(|(home, region)| of(home, region)).collect()
}

/// A meter for each component; those whose parts cannot help one another know what each part works.
fn meters(model: &Model) -> Meters {
    let mut meters: Meters =
        model.stations.iter().map(|station| Meter::new(station.capacity)).collect();
    for cache in model.caches.iter() {
        meters[cache.station].divide(cache.nodes, cache.nodes);
    }
    for database in model.databases.iter() {
        let nodes = database.shards * (1 + database.replicas);
        if database.shards > 1 {
            meters[database.station].divide(nodes, database.shards);
        }
        if database.shards > 1 && database.replicas > 0 {
            meters[database.replica_station].divide(nodes, database.shards * database.replicas);
        }
    }
    for client in model.http_clients.iter().filter(|client| client.is_divided()) {
        if let Some(station) = client.station {
            let hosts = client.to.len() as u32;
            meters[station].divide(hosts, hosts);
        }
    }
    for stream in model.streams.iter() {
        let leaders = stream.topic.as_ref().map_or(1, |topic| topic.partitions);
        meters[stream.station].divide(leaders, leaders);
    }
    for consumer in model.consumers.iter() {
        meters[consumer.station].divide(consumer.parts.count, consumer.parts.servers);
    }
    meters
}
