//! What each operation asks of each component, before anything is run: service demands, and the
//! bounds on throughput and response that follow from them (Denning and Buzen 1978).
//!
//! The tape only jumps forward, so one pass in order, carrying the expected number of visits, is
//! exact given the hit ratios; those are predicted from theory and found by iteration, since what a
//! cache is asked can depend on what another one misses.

mod flows;
mod front;
mod hits;
mod lending;
mod pieces;
mod statements;
mod stops;
mod strands;
mod uneven;
mod zones;

use std::collections::BTreeMap;

use super::ids::*;
use super::tape::{Op, Pc};
use super::{Model, Workload};
use crate::component::cache::Ttl;
use crate::kernel::Dense;

pub use flows::Sender;
use front::{Taken, Visit};
use lending::Lendings;
use statements::Held;
use strands::Parting;

/// The expected use of every component by one request.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Server time at each component (s), for a request of the mix.
    pub service_s: Dense<StationId, f64>,
    /// Visits to each component.
    pub visits: Dense<StationId, f64>,
    /// Squares of the pieces in which loops compute and pools lend (s^2), for a request of the mix: the
    /// sum over callbacks, or over holds, of the mean square of its length if nobody waits. [`None`]
    /// where the length of a hold depends on more than a row of steps.
    pub squares_s2: Dense<StationId, Option<f64>>,
    /// Time outside of any component with servers: network, storage, other people's services (s).
    pub elsewhere_s: f64,
    /// From the request to the answer if nobody waits (s): of what happens side by side the longest
    /// on average, and nothing that comes after the answer.
    pub response_s: f64,
    /// Predicted hit ratio of each cache's key sets, by (cache, key set).
    pub hits: BTreeMap<(u32, u32), f64>,
    /// Predicted hit ratio of each CDN.
    pub edge_hits: Vec<f64>,
    /// The share of jobs of each queue that find an idle place, which claims them.
    pub idle: Vec<f64>,
    /// What the busiest node, shard, partition or member of each component is asked over the mean of all:
    /// 1 where there is one, or all are asked alike.
    pub imbalance: Dense<StationId, f64>,
    /// Bytes of answers.
    pub bytes: f64,
    /// Who turns to whom, and how often for a request of the mix; users where nobody is named.
    pub flows: BTreeMap<(Sender, StationId), f64>,
}

/// What follows from the demands for the workload of the file.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Requests a second if nothing ever waited.
    pub offered_per_s: f64,
    /// The component that limits throughput, and the largest throughput it allows (1/s).
    pub bottleneck: Option<(StationId, f64)>,
    /// The least mean response time (s): nobody waits. Of branches side by side it takes the largest
    /// mean, which the mean of the slowest is never below.
    pub response_s: f64,
    /// Closed populations: users at which the bottleneck's bound meets the light-load bound.
    pub knee_users: Option<f64>,
}

/// The demand of one operation, or of the mix.
pub fn demand(model: &Model, operation: Option<OperationId>) -> Demand {
    let mut hits = BTreeMap::new();
    let mut edge_hits = vec![0.9; model.cdns.len()];
    let mut idle = vec![1.0; model.queues.len()];
    // The mix decides how often caches are asked; three rounds settle what depends on misses.
    for _ in 0..3 {
        let walk = Walk::over(model, None, &hits, &edge_hits, &idle);
        let found = walk.predict_idle();
        (hits, edge_hits) = walk.predict_hits();
        idle = found;
    }
    let mut walk = Walk::over(model, operation, &hits, &edge_hits, &idle);
    for (balancer, strands_s) in std::mem::take(&mut walk.sent_s) {
        walk.service_s[balancer] = walk.longest_s(strands_s);
    }
    let response_s = walk.longest_s(walk.strands_s.clone());
    Demand {
        response_s,
        imbalance: walk.imbalance(),
        service_s: walk.service_s,
        visits: walk.visits,
        squares_s2: walk.squares_s2,
        elsewhere_s: walk.elsewhere_s,
        bytes: walk.bytes,
        flows: walk.flows,
        hits,
        edge_hits,
        idle,
    }
}

/// Sets how often each cache is asked and each pool lends, which decides their warm state.
pub fn settle(model: &mut Model) {
    hits::rate_edges(model); // what is behind a shield depends on it
    let found = demand(model, None);
    let walk = Walk::over(model, None, &found.hits, &found.edge_hits, &found.idle);
    let rate = model.nominal_rate().0;
    let gets = walk.gets.clone();
    let lendings = walk.lendings.clone();
    lending::settle(model, &lendings, rate);
    for database in 0..model.databases.len() {
        let id = DatabaseId(database as u32);
        model.databases[id].shard_shares = uneven::of_shards(model, &model.databases[id]);
    }
    for cache in 0..model.caches.len() {
        let id = CacheId(cache as u32);
        let traffic = model.caches[id].keysets.iter().map(|keys| {
            let (weight, ttl) =
                gets.get(&(cache as u32, keys.0)).copied().unwrap_or((0.0, Ttl::None));
            (weight * rate, ttl)
        });
        model.caches[id].traffic = traffic.collect();
    }
}

impl Demand {
    /// Demand over servers: how long one request of the mix keeps the whole component busy (s), or how long
    /// until as many more may begin.
    pub fn load_s(&self, model: &Model, station: StationId) -> f64 {
        let capacity = model.places(station);
        if capacity <= 0.0 {
            return 0.0;
        }
        let most_per_s = model.begins_per_s(station);
        (self.service_s[station] / capacity).max(self.visits[station] / most_per_s)
    }
    /// How long one request of the mix keeps the busiest part of a component busy (s).
    fn busiest_load_s(&self, model: &Model, station: StationId) -> f64 {
        self.load_s(model, station) * self.imbalance[station]
    }
    /// Components in the order in which they saturate as load grows, with the request rate at which
    /// the busiest part of each does (1/s).
    pub fn saturation(&self, model: &Model) -> Vec<(StationId, f64)> {
        let mut order: Vec<(StationId, f64)> = model
            .stations
            .ids()
            .filter(|id| self.load_s(model, *id) > 0.0)
            .map(|id| (id, 1.0 / self.busiest_load_s(model, id)))
            .collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        order
    }
    /// What follows for the model's workload.
    pub fn bounds(&self, model: &Model) -> Bounds {
        let response_s = self.response_s;
        let bottleneck = self.saturation(model).first().copied();
        let knee_users = match (&model.workload, bottleneck) {
            (Workload::Closed { think, .. }, Some((_, most))) => {
                Some(most * (model.laws[*think].mean + response_s))
            }
            _ => None,
        };
        Bounds { offered_per_s: model.nominal_rate().0, bottleneck, response_s, knee_users }
    }
}

/// One pass over the tape with expected visits.
struct Walk<'m> {
    model: &'m Model,
    hits: &'m BTreeMap<(u32, u32), f64>,
    edge_hits: &'m [f64],
    idle: &'m [f64],
    service_s: Dense<StationId, f64>,
    visits: Dense<StationId, f64>,
    squares_s2: Dense<StationId, Option<f64>>,
    elsewhere_s: f64,
    bytes: f64,
    /// Lookups per request by (cache, keys), with the time to live of what is stored.
    gets: BTreeMap<(u32, u32), (f64, Ttl)>,
    /// Removals per request by (cache, keys).
    deletes: BTreeMap<(u32, u32), f64>,
    edges: Vec<f64>,
    lendings: Lendings,
    /// Time per request of commands that go to the node of a key, by (cache, keys) (s).
    keyed: BTreeMap<(u32, u32), f64>,
    /// Time per request of commands for queues, by cache (s).
    queued: BTreeMap<u32, f64>,
    /// See [`Demand::flows`].
    flows: BTreeMap<(Sender, StationId), f64>,
    /// Where to go on.
    front: BTreeMap<Pc, Visit>,
    /// Time that passes in each strand of what happens side by side (s); the first one is the
    /// request's own.
    strands_s: Vec<f64>,
    /// Where strands part.
    partings: Vec<Parting>,
    /// The visits to the operation that is being looked at.
    weight: f64,
    /// See [`Visit::awaited`], of that operation.
    awaited: f64,
    /// See [`Visit::strand`], of that operation.
    strand: usize,
    /// Executions of the function that it is part of.
    within: Option<StationId>,
    /// See [`Visit::place`], of that operation.
    place: Option<StationId>,
    /// See [`Visit::taken`], of that operation.
    taken: Taken,
    /// Time at the targets of a balancer, in each strand, by the balancer's station (s).
    sent_s: BTreeMap<StationId, Vec<f64>>,
    /// See [`Visit::called`], of that operation.
    called: bool,
    /// Time per request for which connections of clients are in use, by agent (s).
    called_s: Vec<f64>,
}

impl<'m> Walk<'m> {
    fn over(
        model: &'m Model,
        operation: Option<OperationId>,
        hits: &'m BTreeMap<(u32, u32), f64>,
        edge_hits: &'m [f64],
        idle: &'m [f64],
    ) -> Walk<'m> {
        let zeros: Dense<StationId, f64> = model.stations.iter().map(|_| 0.0).collect();
        let mut walk = Walk {
            model,
            hits,
            edge_hits,
            idle,
            service_s: zeros.clone(),
            squares_s2: zeros.iter().map(|_| Some(0.0)).collect(),
            visits: zeros,
            elsewhere_s: 0.0,
            bytes: 0.0,
            gets: BTreeMap::new(),
            deletes: BTreeMap::new(),
            edges: vec![0.0; model.cdns.len()],
            lendings: model.pools.iter().map(|_| Default::default()).collect(),
            keyed: BTreeMap::new(),
            queued: BTreeMap::new(),
            flows: BTreeMap::new(),
            front: BTreeMap::new(),
            strands_s: vec![0.0],
            partings: Vec::new(),
            weight: 0.0,
            awaited: 0.0,
            strand: 0,
            within: None,
            place: None,
            taken: Taken::default(),
            sent_s: BTreeMap::new(),
            called: false,
            called_s: vec![0.0; model.agents.len()],
        };
        for (id, one) in model.operations.enumerate() {
            let weight = match operation {
                Some(wanted) => f64::from(u8::from(wanted == id)),
                None => one.share,
            };
            let visit = Visit {
                weight,
                awaited: weight,
                strand: 0,
                place: None,
                service: None,
                held: Vec::new(),
                taken: Taken::default(),
                called: false,
            };
            walk.front.insert(one.entry, visit);
        }
        if operation.is_none() {
            walk.begin_messages();
        }
        while let Some((pc, visit)) = walk.front.pop_first() {
            if visit.weight > 0.0 {
                (walk.weight, walk.awaited) = (visit.weight, visit.awaited);
                (walk.strand, walk.place) = (visit.strand, visit.place);
                (walk.taken, walk.called) = (visit.taken, visit.called);
                walk.within = visit.service.and_then(|service| {
                    let function = model.services[service].function.as_ref();
                    function.map(|function| function.executions)
                });
                walk.visit(pc, visit.weight, visit.service, visit.held);
            }
        }
        walk
    }

    fn mean(&self, law: LawId) -> f64 {
        self.model.laws[law].mean
    }

    fn visit(&mut self, pc: Pc, weight: f64, service: Option<ServiceId>, mut held: Vec<Held>) {
        let model = self.model;
        self.note_flow(pc, weight, service);
        let next = Pc(pc.0 + 1);
        match model.tape[pc.0 as usize] {
            Op::Edge { cdn, hit, .. } => return self.edge(cdn, hit, next, weight),
            Op::Enter { service: to, .. } => {
                let spec = &model.services[to];
                let way = match service {
                    Some(from) => self.mean(model.route(model.services[from].region, spec.region)),
                    None => self.way_to_users(pc, spec.region),
                };
                let way = way + self.zones_to(service, to);
                self.elsewhere(way, weight, &held);
                self.enter(spec, weight);
                self.elsewhere(2.0 * self.mean(spec.hop), weight, &held);
                self.visits[spec.station] += weight;
                if let Some(function) = &spec.function {
                    self.visits[function.executions] += weight;
                }
                return self.go(next, weight, Some(to), &held);
            }
            Op::Cpu { work } | Op::Spin { work } => {
                let spec = &model.services[service.expect("computing happens in a service")];
                let seconds = self.mean(work.law);
                self.computes(spec.station, spec.host, weight * seconds);
                self.square(spec.station, weight, self.callback(pc));
                self.pass(seconds, weight, &held);
            }
            Op::Threads { work } | Op::Child { work } => {
                self.beside(pc, self.mean(work.law), weight, service, &held);
            }
            Op::ThreadEnter | Op::ThreadFree => self.thread(pc, weight, service),
            Op::Chunks { .. } => self.chunks(pc, weight, service),
            Op::ThreadLeave | Op::ThreadBeside | Op::Chunked => {}
            Op::Admit { .. } | Op::Again { .. } | Op::Emit | Op::Dial { .. } => {}
            Op::IfHeld { depth, held: wanted, to } => {
                let to = if (held.len() > usize::from(depth)) == wanted { to } else { next };
                return self.go(to, weight, service, &held);
            }
            Op::Inquire { socket, sent, .. } => self.inquire(socket, sent, weight),
            Op::Wait { length, .. } => self.elsewhere(self.mean(length.law), weight, &held),
            Op::Store { usage } => self.ask_store(usage, service, weight, &held),
            Op::Acquire { pool, write, .. } => {
                let station = model.pools[pool].station;
                self.visits[station] += weight;
                self.square(station, weight, self.hold(pool, next));
                let replica = self.lend(pool, write, weight);
                held.push(Held { replica, ..self.holding(pool) });
            }
            Op::Query { work, kind, slowed_by, open, locks, pages, .. } => {
                let slowed = slowed_by.map_or(1.0, |session| self.slowdown(session));
                let slowed = slowed * self.table_slowdown(locks);
                let seconds = self.mean(work.law) * slowed;
                self.statement(seconds, (kind, open, pages), weight, &mut held);
            }
            Op::Release => {
                held.pop();
            }
            Op::CacheGet { cache, keys, hit, .. } => {
                let ratio = self.hits.get(&(cache.0, keys.0)).copied().unwrap_or(0.5);
                let extra = ratio * self.copied(cache, keys);
                self.keyed_command(cache, keys, extra, weight, service, &held);
                self.gets.entry((cache.0, keys.0)).or_insert((0.0, Ttl::None)).0 += weight;
                self.go(hit, weight * ratio, service, &held);
                return self.go(next, weight * (1.0 - ratio), service, &held);
            }
            Op::CacheSet { cache, keys, ttl, policy, .. } => {
                self.keyed_command(cache, keys, self.copied(cache, keys), weight, service, &held);
                let entry = self.gets.entry((cache.0, keys.0)).or_insert((0.0, Ttl::None));
                let ttl = model.ttl(ttl, policy);
                entry.1 = if ttl == Ttl::None { entry.1 } else { ttl };
            }
            Op::CacheDelete { cache, keys, .. } => {
                self.keyed_command(cache, keys, 0.0, weight, service, &held);
                *self.deletes.entry((cache.0, keys.0)).or_insert(0.0) += weight;
            }
            op @ (Op::CacheLock { cache, .. }
            | Op::CacheUnlock { cache, .. }
            | Op::Command { cache, .. }) => self.command_of(op, cache, weight, service, &held),
            Op::SessionSeek { session, none, .. } => {
                let fresh = self.fresh() * (1.0 - model.sessions[session].guests);
                let skips = model.sessions[session].guests + fresh;
                self.go(none, weight * skips, service, &held);
                return self.go(next, weight * (1.0 - skips), service, &held);
            }
            Op::SessionEnd { session, touch, nothing } => {
                let spec = &model.sessions[session];
                let saves = self.fresh() * (1.0 - spec.guests)
                    + if spec.save_uninitialized { spec.guests } else { 0.0 };
                let rest = 1.0 - self.fresh() * (1.0 - spec.guests) - spec.guests;
                let saves = saves + if spec.resave { rest } else { 0.0 };
                let touches = if spec.touch && !spec.resave { rest } else { 0.0 };
                self.go(touch, weight * touches, service, &held);
                self.go(nothing, weight * (1.0 - saves - touches), service, &held);
                return self.go(next, weight * saves, service, &held);
            }
            Op::Fork { first, count } => {
                let branches = first as usize..(first + count) as usize;
                self.part(&model.forks[branches], 1.0, weight, service, &held);
            }
            Op::Scatter { pool, entry } => {
                let shards = model.databases[model.pools[pool].database].shards;
                self.part(&[entry], f64::from(shards), weight, service, &[]);
            }
            Op::Call { entry, agent, .. } => self.call(entry, agent, weight, service, &held),
            Op::Choose { choice, .. } => {
                let choice = &model.choices[choice as usize];
                for (target, chance) in choice.targets.iter().zip(&choice.chances) {
                    self.go(*target, weight * chance, service, &held);
                }
                return;
            }
            Op::Jump { to } => return self.go(to, weight, service, &held),
            Op::Enqueue { job, wait, delay, .. } => {
                self.enqueue((job, wait, delay), service, weight, &held);
            }
            Op::Publish { stream, .. } => self.publish(stream, service, weight, &held),
            Op::Transfer { bytes } => self.link(service, (bytes.law, true), weight, &held),
            Op::Reply { bytes, .. } => {
                if !self.called {
                    self.bytes += weight * self.mean(bytes.law);
                    self.link(service, (bytes.law, false), weight, &held);
                }
                self.answered();
            }
            // Predictions are for the way on which nothing fails.
            Op::End
            | Op::Message { .. }
            | Op::Refuse
            | Op::GuardBroken { .. }
            | Op::LimitBroken { .. }
            | Op::SessionUnkept { .. }
            | Op::Raise { .. } => return,
            Op::GuardFresh { guard, known } => {
                let read = self.read_share(guard, weight, service);
                self.go(known, weight * (1.0 - read), service, &held);
                return self.go(next, weight * read, service, &held);
            }
            Op::Permit { bulkhead, .. } => {
                self.visits[model.bulkheads[bulkhead].station] += weight;
            }
            Op::PermitBack | Op::Deadline => {}
            Op::Protect { breaker, entry, .. } => {
                self.visits[model.breakers[breaker].station] += weight;
                self.part(&[entry], 1.0, weight, service, &held);
            }
            Op::Limit { limit, .. } => self.visits[model.limits[limit].station] += weight,
            Op::Guard { guard, .. } => self.visits[model.guards[guard].station] += weight,
            Op::CacheLand { .. } | Op::CacheRefreshed | Op::CacheChanged { .. } => {}
            Op::WriteBehind { slot, .. } => {
                self.write_behind(model.forks[slot as usize], weight, service);
            }
            Op::SessionFound { .. } | Op::SessionKept { .. } | Op::SessionGone { .. } => {}
        }
        self.go(next, weight, service, &held);
    }

    /// The share of requests that read a guard's value anew: one a worker and time that it is kept.
    fn read_share(&self, guard: GuardId, weight: f64, service: Option<ServiceId>) -> f64 {
        let Some(kept) = self.model.guards[guard].cache else { return 1.0 };
        let workers = service.map_or(1, |service| {
            let service = &self.model.services[service];
            (service.instances * service.workers).max(1)
        });
        let per_worker = self.model.nominal_rate().0 * weight / f64::from(workers);
        1.0 / (1.0 + per_worker * kept.seconds())
    }

    /// An edge answers what it has; for the rest it lies on the user's way to the service.
    fn edge(&mut self, cdn: CdnId, hit: Pc, next: Pc, weight: f64) {
        let model = self.model;
        let ratio = self.edge_hits[cdn.0 as usize];
        if let Some(shield) = model.cdns[cdn].shield {
            return self.shielded_edge(cdn, shield, (hit, next), weight);
        }
        let edge = self.mean(model.cdns[cdn].edge);
        let whole = match model.tape[next.0 as usize] {
            Op::Enter { service, .. } => self.way_to_users(next, model.services[service].region),
            _ => 0.0,
        };
        let beyond = (edge - whole).max(0.0);
        self.edges[cdn.0 as usize] += weight;
        self.visits[model.cdns[cdn].station] += weight;
        self.elsewhere(edge * ratio + beyond * (1.0 - ratio), weight, &[]);
        self.go(hit, weight * ratio, None, &[]);
        self.go(next, weight * (1.0 - ratio), None, &[]);
    }

    /// Mean round trip between a service and the region of what it uses.
    pub(super) fn way_to(&self, from: Option<ServiceId>, place: Option<RegionId>) -> f64 {
        let ends = from.zip(place);
        ends.map_or(0.0, |(from, there)| {
            self.mean(self.model.route(self.model.services[from].region, there))
        })
    }

    /// Mean round trip between a region and the users of the operation whose flow has that place.
    fn way_to_users(&self, place: Pc, region: RegionId) -> f64 {
        let model = self.model;
        let begun = model.operations.iter().filter(|operation| operation.entry <= place);
        let homes = begun.max_by_key(|operation| operation.entry).map(|it| &it.homes[..]);
        let ids = model.regions.enumerate();
        ids.map(|(home, spec)| {
            let way = self.mean(spec.access) + self.mean(model.route(home, region));
            let said = homes.and_then(|homes| homes.get(home.0 as usize));
            way * said.copied().unwrap_or_else(|| model.homes_share(home))
        })
        .sum()
    }

    /// The chance that a request brings no session.
    fn fresh(&self) -> f64 {
        let client = &self.model.client;
        let logins: f64 =
            self.model.operations.iter().filter(|one| one.login).map(|one| one.share).sum();
        logins + (1.0 - logins) * client.visit_chance * (1.0 - client.returning_chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::load;

    fn response_ms(flow: &str) -> f64 {
        let head =
            "version = 1\narrivals.rate = \"1/s\"\nregion.home.rtt = \"10ms\"\n[service.web]\n";
        let text = format!("{head}[operation.a]\nshare = 1\nflow = {flow}\n");
        let loaded = load("a.toml", &[], &mut |_| Ok(text.clone()));
        let model = super::super::compile(&loaded.topology.expect("sound"));
        1e3 * demand(&model, None).bounds(&model).response_s
    }

    #[test]
    fn side_by_side_takes_as_long_as_the_longest_and_answers_end_the_response() {
        let near = |flow: &str, expected: f64| {
            let found = response_ms(flow);
            assert!((found - expected).abs() < 1e-9, "{flow}: {found} for {expected}");
        };
        near("[{ wait = '10ms' }, { wait = '10ms' }]", 30.0);
        near("[{ parallel = [[{ wait = '10ms' }], [{ wait = '8ms' }, { cpu = '1ms' }]] }]", 20.0);
        let inner = "{ parallel = [[{ wait = '5ms' }], [{ wait = '7ms' }]] }";
        near(&format!("[{{ parallel = [[{{ wait = '10ms' }}], [{inner}, {inner}]] }}]"), 24.0);
        near("[{ wait = '3ms' }, { reply = '0B' }, { wait = '1s' }]", 13.0);
        let ways = "[{ share = '50%', flow = [{ reply = '0B' }] }, { share = '50%', flow = [] }]";
        near(&format!("[{{ choose = {ways} }}, {{ wait = '4ms' }}, {{ cpu = '2ms' }}]"), 13.0);
    }

    #[test]
    fn answers_of_calls_take_no_link() {
        let text = "version = 1\narrivals.rate = \"1/s\"\n[service.web]\n[service.api]\n\
                    [link.out]\nbandwidth = '8Mbit/s'\ncarries = 'service.CARRIED'\n[operation.a]\n\
                    service = 'web'\nflow = [{ call = { service = 'api', flow = [{ reply = '1MB' }] } }, \
                    { reply = '10KB' }]\n";
        let asked = |carried: &str| {
            let text = text.replace("CARRIED", carried);
            let loaded = load("a.toml", &[], &mut |_| Ok(text.clone()));
            let model = super::super::compile(&loaded.topology.expect("sound"));
            let found = demand(&model, None);
            let link = model.stations.ids().find(|id| model.stations[*id].path == "link.out");
            (found.service_s[link.expect("it is there")], found.bytes)
        };
        assert_eq!(asked("api"), (0.0, 10_000.0));
        assert!((asked("web").0 - 0.01).abs() < 1e-12);
    }
}
