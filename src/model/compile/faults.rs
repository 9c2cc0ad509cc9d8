//! Faults: what they strike, unit by unit.

use super::{Compiler, find, most_instances};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{Extent, Fault, Harm, Side, Unit, UnitKind};
use crate::topology;
use crate::topology::{Named, Section, Target};
use crate::units::Duration;
use crate::variate::Law;

/// How long it takes until another server has taken over, where the file does not say.
/// Amazon RDS Multi-AZ: "failover times are typically 60-120 seconds".
const DATABASE_FAILOVER: Duration = Duration::secs(90);
/// Redis Sentinel: `down-after-milliseconds` 30 s, and about 3 s to agree and to promote.
const CACHE_FAILOVER: Duration = Duration::secs(33);

impl Compiler<'_> {
    pub(super) fn faults(&mut self) -> Dense<FaultId, Fault> {
        let topology = self.topology;
        let mut all = Dense::default();
        for fault in &topology.faults {
            let compiled = self.fault(fault);
            all.push(compiled);
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
                _ => spec.target.0.iter().map(|target| self.units(target)).collect(),
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
            apart: spec.apart,
        }
    }

    /// How long it lasts.
    fn length(&mut self, spec: &topology::Fault) -> Option<LawId> {
        if let Some(length) = &spec.length {
            return Some(self.law(length));
        }
        let takes_over = spec.what == topology::Harm::Failover;
        let usual = |target: &Target| match target.section {
            Section::Cache => CACHE_FAILOVER,
            _ => DATABASE_FAILOVER,
        };
        let longest = spec.target.0.iter().map(usual).max().filter(|_| takes_over)?;
        Some(self.add_law(Law::Constant(longest.seconds())))
    }

    fn harm(&self, spec: &topology::Fault) -> (Harm, &'static str) {
        match &spec.what {
            topology::Harm::Stop => (Harm::Stop, "stop"),
            topology::Harm::Restart => (Harm::Restart, "restart"),
            topology::Harm::Failover => (Harm::Failover, "failover"),
            topology::Harm::Slow(slow) => (Harm::Slow(slow.times), "slow"),
            topology::Harm::Flaky(share) => (Harm::Flaky(share.0), "flaky"),
            topology::Harm::Cut(cut) => {
                let near = spec.target.0.iter().map(|it| self.side(it.section, &it.name));
                let far = cut.from.as_ref().map(|far| self.side(far.section, &far.name));
                (Harm::Cut(near.collect(), far), "cut")
            }
        }
    }

    fn side(&self, section: Section, name: &str) -> Side {
        let topology = self.topology;
        match section {
            Section::Region => Side::Region(find(&topology.regions, name)),
            Section::Service => Side::Service(find(&topology.services, name)),
            Section::Database => Side::Database(find(&topology.databases, name)),
            _ => Side::Cache(find(&topology.caches, name)),
        }
    }

    /// The units of a target.
    fn units(&self, target: &Target) -> Vec<Unit> {
        match target.section {
            Section::Region => self.units_in(find(&self.topology.regions, &target.name)),
            section => self.units_of(section, &target.name, target.replicas),
        }
    }

    /// Everything that stands in a region.
    fn units_in(&self, region: RegionId) -> Vec<Unit> {
        let topology = self.topology;
        let mut all = Vec::new();
        for service in &topology.services {
            if self.region(&service.spec.region) == region {
                all.extend(self.units_of(Section::Service, &service.name, false));
            }
        }
        for database in &topology.databases {
            if self.region(&database.spec.region) == region {
                all.extend(self.units_of(Section::Database, &database.name, false));
                all.extend(self.units_of(Section::Database, &database.name, true));
            }
        }
        for cache in &topology.caches {
            if self.region(&cache.spec.region) == region {
                all.extend(self.units_of(Section::Cache, &cache.name, false));
            }
        }
        all
    }

    fn units_of(&self, section: Section, name: &str, replicas: bool) -> Vec<Unit> {
        let topology = self.topology;
        let range = |kind: UnitKind, first: u32, count: u32| {
            (first..first + count).map(|number| Unit { kind, number }).collect::<Vec<Unit>>()
        };
        match section {
            Section::Service => {
                let before = topology.services.iter().take_while(|service| service.name != name);
                let first = before.map(|service| most_instances(&service.spec)).sum();
                let service = super::named(&topology.services, name);
                range(UnitKind::Instance, first, most_instances(&service.spec))
            }
            Section::Database => {
                let before = topology.databases.iter().take_while(|database| database.name != name);
                let first: u32 = before.map(|it| it.spec.shards * (1 + it.spec.replicas)).sum();
                let spec = &super::named(&topology.databases, name).spec;
                let nodes = first..first + spec.shards * (1 + spec.replicas);
                let is_primary = |node: u32| (node - first).is_multiple_of(1 + spec.replicas);
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
                let first = before.map(|queue| queue.spec.processes).sum();
                let spec = &super::named(&topology.queues, name).spec;
                range(UnitKind::Process, first, spec.processes)
            }
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
