//! Faults: what they strike, unit by unit.

use super::{Compiler, find, instance_slots};
use crate::component::redis_failover;
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{BrokerLoss, Extent, Fault, Harm, NodeLoss, Side, Unit, UnitKind};
use crate::topology;
use crate::topology::{Named, Section, StreamKind, Target};
use crate::units::Duration;
use crate::variate::Law;

/// How long it takes until another server has taken over, where the file does not say.
/// Amazon RDS Multi-AZ: "failover times are typically 60-120 seconds".
const DATABASE_FAILOVER: Duration = Duration::secs(90);
/// The same of a Multi-AZ DB cluster, which has two standbys: "typically under 35 seconds".
const CLUSTER_FAILOVER: Duration = Duration::secs(35);
/// Patroni: a leader's key expires after `ttl`, 30 s; then its replicas race for it.
const PROMOTION: Duration = Duration::secs(30);
/// Redis Sentinel: `down-after-milliseconds` 30 s, and about 3 s to agree and to promote.
const CACHE_FAILOVER: Duration = Duration::secs(33);

/// How long it takes until a standby has taken over.
fn failover_takes(database: &topology::Database) -> Duration {
    match &database.standby {
        Some(standby) if standby.count > 1 => CLUSTER_FAILOVER,
        _ => DATABASE_FAILOVER,
    }
}

/// A unit and the zone that it stands in, counted from 0; [`None`] where it stands in several.
struct Placed {
    unit: Unit,
    zone: Option<u32>,
}

impl Compiler<'_> {
    pub(super) fn faults(&mut self) -> Dense<FaultId, Fault> {
        let topology = self.topology;
        let mut all = Dense::default();
        for fault in &topology.faults {
            let mut compiled = self.fault(fault);
            let fails_over = self.failover_of(fault, &compiled);
            let machines = self.machines_of(fault, &mut compiled);
            let takeovers = self.takeovers_of(fault, &mut compiled);
            all.push(compiled);
            // After what it stands in for, so that copies in the lost region are gone by then.
            for takeover in takeovers {
                all.push(takeover);
            }
            if let Some(machines) = machines {
                all.push(machines);
            }
            if let Some(failover) = fails_over {
                all.push(failover);
            }
        }
        all
    }

    fn fault(&mut self, fault: &Named<topology::Fault>) -> Fault {
        let spec = &fault.spec;
        let (harm, verb) = self.harm(spec);
        let paths: Vec<String> = spec.target.0.iter().map(path).collect();
        let warmup = self.topology.run.warmup;
        let at = match (spec.at, &spec.every) {
            (Some(at), _) => Some(warmup + at),
            (None, None) => Some(warmup),
            (None, Some(_)) => None,
        };
        Fault {
            name: fault.name.clone(),
            label: format!("{} {verb}", paths.join(" + ")),
            targets: match harm {
                Harm::Cut(..) => Vec::new(),
                _ => spec.target.0.iter().map(|target| self.struck(spec, target)).collect(),
            },
            extent: match (spec.count, spec.share) {
                (Some(count), _) => Extent::Count(count),
                (None, Some(share)) => Extent::Share(share.0),
                (None, None) => Extent::All,
            },
            harm,
            at,
            every: spec.every.as_ref().map(|every| self.law(every)),
            lasts: self.length(spec),
            zonal: spec.zone.is_some(),
            regional: spec.target.0.iter().any(|it| it.section == Section::Region),
            apart: spec.apart,
        }
    }

    /// A machine that stops loses what is in its memory, as nothing else that stops does: where both
    /// are struck at once, it has a fault of its own.
    fn machines_of(&self, fault: &Named<topology::Fault>, whole: &mut Fault) -> Option<Fault> {
        let spec = &fault.spec;
        let is_host = |target: &Target| target.section == Section::Host;
        if spec.what != topology::Harm::Stop || !spec.target.0.iter().any(is_host) {
            return None;
        }
        if spec.target.0.iter().all(is_host) {
            whole.harm = Harm::Restart;
            return None;
        }
        let mut machines = Fault { harm: Harm::Restart, ..whole.clone() };
        for (place, target) in spec.target.0.iter().enumerate() {
            let other = if is_host(target) { &mut *whole } else { &mut machines };
            other.targets[place].clear();
        }
        Some(machines)
    }

    /// The units of a target that a fault can strike.
    fn struck(&self, spec: &topology::Fault, target: &Target) -> Vec<Unit> {
        let mut placed = self.units(target);
        if let Some(zone) = spec.zone {
            placed.retain(|it| it.zone == Some(zone - 1));
            if falls(&spec.what) {
                placed.retain(|it| !self.has_standby(it.unit));
            }
        }
        placed.iter().map(|it| it.unit).collect()
    }

    /// The primaries of a zone that is lost fail over to their standbys in other zones, for as long as
    /// their product takes.
    fn failover_of(&mut self, fault: &Named<topology::Fault>, whole: &Fault) -> Option<Fault> {
        let spec = &fault.spec;
        let zone = spec.zone.filter(|_| falls(&spec.what))? - 1;
        let of = |target: &Target| {
            let mut placed = self.units(target);
            placed.retain(|it| it.zone == Some(zone) && self.has_standby(it.unit));
            placed.iter().map(|it| it.unit).collect::<Vec<Unit>>()
        };
        let targets: Vec<Vec<Unit>> = spec.target.0.iter().map(of).collect();
        let longest = targets.iter().flatten().filter_map(|unit| self.database_of(*unit));
        let longest = longest.map(|(database, _)| failover_takes(database)).max()?;
        let lasts = Some(self.add_law(Law::Constant(longest.seconds())));
        Some(Fault {
            label: format!("primaries of zone {} failover", zone + 1),
            targets,
            harm: Harm::Failover(Duration::ZERO),
            lasts,
            ..whole.clone()
        })
    }

    /// The primaries of a region that is lost, where a copy in another region takes over before the region is
    /// back: each database in its own time.
    fn takeovers_of(&mut self, fault: &Named<topology::Fault>, whole: &mut Fault) -> Vec<Fault> {
        let spec = &fault.spec;
        if spec.zone.is_some() || !falls(&spec.what) {
            return Vec::new();
        }
        let back_after = spec.length.as_ref().map_or(f64::INFINITY, |length| length.law.mean());
        let mut found = Vec::new();
        for (place, target) in spec.target.0.iter().enumerate() {
            for database in &self.topology.databases {
                let home = self.topology.place_of(Section::Database, &database.name);
                let lost = target.section == Section::Region
                    && home.is_some_and(|home| home.name == target.name)
                    && !database.spec.abroad.is_empty();
                let Some(after) = database.spec.takeover.filter(|_| lost) else { continue };
                if after.seconds() >= back_after {
                    continue;
                }
                let units = self.units_of(Section::Database, &database.name, false);
                whole.targets[place].retain(|unit| !units.contains(unit));
                found.push(Fault {
                    label: format!("database.{} moves to another region", database.name),
                    targets: vec![units],
                    harm: Harm::Promote,
                    lasts: Some(self.add_law(Law::Constant(after.seconds()))),
                    ..whole.clone()
                });
            }
        }
        found
    }

    /// Whether a database node is a primary that another server can take the place of.
    fn has_standby(&self, unit: Unit) -> bool {
        self.database_of(unit).is_some_and(|(database, is_primary)| {
            is_primary && (database.replicas > 0 || database.standby.is_some())
        })
    }

    /// The database of a node, and whether the node is a primary.
    fn database_of(&self, unit: Unit) -> Option<(&topology::Database, bool)> {
        let mut first = 0;
        for database in &self.topology.databases {
            let each = 1 + database.spec.all_replicas();
            let next = first + database.spec.most_shards() * each;
            if unit.kind == UnitKind::Node && (first..next).contains(&unit.number) {
                return Some((&database.spec, (unit.number - first).is_multiple_of(each)));
            }
            first = next;
        }
        None
    }

    /// How long it lasts.
    fn length(&mut self, spec: &topology::Fault) -> Option<LawId> {
        if let Some(length) = &spec.length {
            return Some(self.law(length));
        }
        if spec.what == topology::Harm::Promote {
            return Some(self.add_law(Law::Constant(PROMOTION.seconds())));
        }
        let takes_over = matches!(spec.what, topology::Harm::Failover(_));
        let usual = |target: &Target| match target.section {
            Section::Cache => self.cache_failover(&target.name),
            Section::Database => {
                failover_takes(&super::named(&self.topology.databases, &target.name).spec)
            }
            _ => DATABASE_FAILOVER,
        };
        let longest = spec.target.0.iter().map(usual).max().filter(|_| takes_over)?;
        Some(self.add_law(Law::Constant(longest.seconds())))
    }

    /// How long the primary of a cache is away: longer than it takes a replica to be promoted.
    fn cache_failover(&self, name: &str) -> Duration {
        match &super::named(&self.topology.caches, name).spec.failover {
            None => CACHE_FAILOVER,
            Some(topology::CacheFailover::Sentinel(its)) => {
                redis_failover::sentinel_at_most(its.down_after) + Duration::secs(1)
            }
            Some(topology::CacheFailover::Cluster(its)) => {
                redis_failover::cluster_at_most(its.node_timeout) + Duration::secs(1)
            }
        }
    }

    fn harm(&self, spec: &topology::Fault) -> (Harm, &'static str) {
        match &spec.what {
            topology::Harm::Stop => (Harm::Stop, "stop"),
            topology::Harm::Restart => (Harm::Restart, "restart"),
            topology::Harm::Failover(it) => (Harm::Failover(it.silent), "failover"),
            topology::Harm::Promote => (Harm::Promote, "promote"),
            topology::Harm::NodeLoss(it) => {
                let (grace, lease, monitor) = (it.grace, it.lease, it.monitor);
                let (toleration, start) = (it.toleration, it.start);
                (Harm::NodeLoss(NodeLoss { grace, lease, monitor, toleration, start }), "node loss")
            }
            topology::Harm::BrokerLoss(it) => {
                let (broker, session, election) = (it.broker - 1, it.session, it.election);
                let planned = it.planned;
                (Harm::BrokerLoss(BrokerLoss { broker, planned, session, election }), "broker loss")
            }
            topology::Harm::Slow(slow) => (Harm::Slow(slow.times), "slow"),
            topology::Harm::Flaky(share) => (Harm::Flaky(share.0), "flaky"),
            topology::Harm::Cut(cut) => {
                let near = spec.target.0.iter().flat_map(|it| self.sides(it.section, &it.name));
                let far = cut.from.as_ref().map(|far| self.sides(far.section, &far.name)[0]);
                (Harm::Cut(near.collect(), far), "cut")
            }
        }
    }

    /// What stands on one side of a cut: one thing, or all that runs on a machine.
    fn sides(&self, section: Section, name: &str) -> Vec<Side> {
        let topology = self.topology;
        vec![match section {
            Section::Region => Side::Region(find(&topology.regions, name)),
            Section::Service => Side::Service(find(&topology.services, name)),
            Section::Database => Side::Database(find(&topology.databases, name)),
            Section::Pooler => Side::Pooler(find(&topology.poolers, name)),
            Section::Queue => Side::Queue(find(&topology.queues, name)),
            Section::Consumer => Side::Consumer(find(&topology.consumers, name)),
            Section::Host => {
                let all = self.on_host(name).into_iter();
                return all.flat_map(|(section, name)| self.sides(section, name)).collect();
            }
            _ => Side::Cache(find(&topology.caches, name)),
        }]
    }

    /// What runs on a machine.
    fn on_host(&self, host: &str) -> Vec<(Section, &str)> {
        let topology = self.topology;
        let on = |it: &Option<topology::Ref<topology::Host>>| {
            it.as_ref().is_some_and(|it| it.name == host)
        };
        let services = topology.services.iter().filter(|it| on(&it.spec.host));
        let databases = topology.databases.iter().filter(|it| on(&it.spec.host));
        let caches = topology.caches.iter().filter(|it| on(&it.spec.host));
        let services = services.map(|it| (Section::Service, it.name.as_str()));
        let databases = databases.map(|it| (Section::Database, it.name.as_str()));
        let caches = caches.map(|it| (Section::Cache, it.name.as_str()));
        services.chain(databases).chain(caches).collect()
    }

    /// The units of a target, each with its zone.
    fn units(&self, target: &Target) -> Vec<Placed> {
        match target.section {
            Section::Region => self.units_in(&target.name),
            Section::Host => {
                let all = self.units_on(&target.name).into_iter();
                all.map(|unit| Placed { unit, zone: None }).collect()
            }
            section => self.placed(section, &target.name, target.replicas),
        }
    }

    /// Everything that stands in a region.
    fn units_in(&self, region: &str) -> Vec<Placed> {
        let topology = self.topology;
        let mut all = Vec::new();
        let of = |section, name: &str| match topology.place_of(section, name) {
            Some(place) if place.name == region => self.placed(section, name, false),
            _ => Vec::new(),
        };
        for service in &topology.services {
            all.extend(of(Section::Service, &service.name));
        }
        for database in &topology.databases {
            all.extend(of(Section::Database, &database.name));
            all.extend(self.replicas_in(database, region));
        }
        for cache in &topology.caches {
            all.extend(of(Section::Cache, &cache.name));
        }
        // The first pool of a process stands for all of them.
        for pooler in topology.poolers.iter().filter(|it| it.spec.process.is_none()) {
            all.extend(of(Section::Pooler, &pooler.name));
        }
        for queue in &topology.queues {
            all.extend(of(Section::Queue, &queue.name));
        }
        // Streams of Redis are down with their server.
        let is_kafka = |it: &&Named<topology::Stream>| matches!(it.spec.kind, StreamKind::Kafka(_));
        for stream in topology.streams.iter().filter(is_kafka) {
            all.extend(of(Section::Stream, &stream.name));
        }
        for consumer in &topology.consumers {
            all.extend(of(Section::Consumer, &consumer.name));
        }
        for store in &topology.stores {
            all.extend(of(Section::Store, &store.name));
        }
        all
    }

    /// The replicas of a database that stand in a region.
    fn replicas_in(&self, database: &Named<topology::Database>, region: &str) -> Vec<Placed> {
        let topology = self.topology;
        let each = database.spec.all_replicas();
        let all = self.placed(Section::Database, &database.name, true).into_iter().zip(0u32..);
        let there = |number: u32| topology.region_of_node(database, 1 + number % each);
        let stands = |number: u32| there(number).is_some_and(|it| it.name == region);
        all.filter(|(_, number)| stands(*number)).map(|(one, _)| one).collect()
    }

    /// The units of a component, and in which zone of its region each stands: instances, nodes and
    /// processes in turn, the replicas of a primary in the zones after its own.
    fn placed(&self, section: Section, name: &str, replicas: bool) -> Vec<Placed> {
        let topology = self.topology;
        let zones = topology.place_of(section, name).map_or(1, |region| region.spec.zones);
        let outlives = zones > 1 && self.spans_zones(section, name);
        let copies = match (section, replicas) {
            (Section::Database, true) => {
                super::named(&topology.databases, name).spec.all_replicas()
            }
            _ => 1,
        };
        // One pooler is one process, however many pools it has.
        let apart = !matches!(section, Section::Pooler);
        let zone = |place: u32| match apart {
            true if replicas => (place / copies + 1 + place % copies) % zones,
            true => place % zones,
            false => 0,
        };
        let units = self.units_of(section, name, replicas).into_iter().zip(0..);
        let one = |(unit, place)| Placed { unit, zone: (!outlives).then(|| zone(place)) };
        units.map(one).collect()
    }

    /// Whether a product stands in several zones, so that it outlives one of them: object storage,
    /// managed poolers, topics of which there is another copy.
    fn spans_zones(&self, section: Section, name: &str) -> bool {
        let topology = self.topology;
        match section {
            // Amazon S3: objects are kept in at least three zones.
            Section::Store => true,
            Section::Stream => match &super::named(&topology.streams, name).spec.kind {
                StreamKind::Kafka(topic) => topic.replicas > 1,
                // Amazon Kinesis Data Streams: records are kept in three zones.
                StreamKind::Kinesis(_) => true,
                _ => false,
            },
            // Amazon RDS user guide: a proxy is deployed over several zones.
            Section::Pooler => {
                let kind = &super::named(&topology.poolers, name).spec.kind;
                *kind == topology::PoolerKind::RdsProxy
            }
            _ => false,
        }
    }

    /// Everything that runs on a machine, and the machine itself.
    fn units_on(&self, host: &str) -> Vec<Unit> {
        let number = position(&self.topology.hosts, host);
        let mut all = vec![Unit { kind: UnitKind::Host, number }];
        for (section, name) in self.on_host(host) {
            all.extend(self.units_of(section, name, false));
            if section == Section::Database {
                all.extend(self.units_of(section, name, true));
            }
        }
        all
    }

    /// The pools of the process that a pooler is part of: they fail together.
    fn pools_of_process(&self, name: &str) -> Vec<Unit> {
        let poolers = &self.topology.poolers;
        let process = |it: &Named<topology::Pooler>| match &it.spec.process {
            Some(process) => position(poolers, &process.name),
            None => position(poolers, &it.name),
        };
        let its = process(super::named(poolers, name));
        let all = poolers.iter().filter(|it| process(it) == its);
        let unit = |it: &Named<topology::Pooler>| position(poolers, &it.name);
        all.map(|it| Unit { kind: UnitKind::Pooler, number: unit(it) }).collect()
    }

    fn units_of(&self, section: Section, name: &str, replicas: bool) -> Vec<Unit> {
        let topology = self.topology;
        let range = |kind: UnitKind, first: u32, count: u32| {
            (first..first + count).map(|number| Unit { kind, number }).collect::<Vec<Unit>>()
        };
        match section {
            Section::Service => {
                let before = topology.services.iter().take_while(|service| service.name != name);
                let first = before.map(|service| instance_slots(topology, service)).sum();
                let service = super::named(&topology.services, name);
                range(UnitKind::Instance, first, instance_slots(topology, service))
            }
            Section::Database => {
                let before = topology.databases.iter().take_while(|database| database.name != name);
                let first: u32 =
                    before.map(|it| it.spec.most_shards() * (1 + it.spec.all_replicas())).sum();
                let spec = &super::named(&topology.databases, name).spec;
                let each = 1 + spec.all_replicas();
                let nodes = first..first + spec.most_shards() * each;
                let is_primary = |node: u32| (node - first).is_multiple_of(each);
                nodes
                    .filter(|node| is_primary(*node) != replicas)
                    .map(|number| Unit { kind: UnitKind::Node, number })
                    .collect()
            }
            Section::Cache => {
                let before = topology.caches.iter().take_while(|cache| cache.name != name);
                let first = before.map(|cache| nodes_of(&cache.spec)).sum();
                let spec = &super::named(&topology.caches, name).spec;
                range(UnitKind::CacheNode, first, nodes_of(spec))
            }
            Section::Queue => {
                let before = topology.queues.iter().take_while(|queue| queue.name != name);
                let first = before.map(|queue| self.most_workers(queue)).sum();
                let spec = &super::named(&topology.queues, name).spec;
                range(UnitKind::Process, first, spec.most_workers())
            }
            Section::Consumer => {
                let before = topology.consumers.iter().take_while(|it| it.name != name);
                let first = before.map(|it| it.spec.most_members()).sum();
                let spec = &super::named(&topology.consumers, name).spec;
                range(UnitKind::Member, first, spec.most_members())
            }
            Section::Pooler => self.pools_of_process(name),
            Section::Store => range(UnitKind::Store, position(&topology.stores, name), 1),
            Section::Stream => range(UnitKind::Stream, position(&topology.streams, name), 1),
            Section::Socket => range(UnitKind::Socket, position(&topology.sockets, name), 1),
            Section::Pool => range(UnitKind::Pool, position(&topology.pools, name), 1),
            Section::Link => range(UnitKind::Link, position(&topology.links, name), 1),
            Section::Cdn => range(UnitKind::Cdn, position(&topology.cdns, name), 1),
            _ => {
                let service = &super::named(&topology.balancers, name).spec.service.name;
                range(UnitKind::Balancer, position(&topology.services, service), 1)
            }
        }
    }
}

/// Whether what is struck is down.
fn falls(harm: &topology::Harm) -> bool {
    use topology::Harm::{NodeLoss, Restart, Stop};
    matches!(harm, Stop | Restart | NodeLoss(_))
}

/// Nodes of a cache server; memory of workers is none.
fn nodes_of(spec: &topology::Cache) -> u32 {
    match spec.kind {
        topology::CacheKind::Redis => spec.nodes,
        topology::CacheKind::Memory => 0,
    }
}

fn position<T>(all: &[Named<T>], name: &str) -> u32 {
    all.iter().position(|one| one.name == name).expect("the checker has looked names up") as u32
}

fn path(target: &Target) -> String {
    let replicas = if target.replicas { ".replicas" } else { "" };
    format!("{}.{}{replicas}", target.section, target.name)
}
