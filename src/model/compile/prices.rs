//! Prices: what the deployment costs a month, and by what it carries.

use super::super::Cost;
use super::super::ids::ServiceId;
use super::{Compiler, named};
use crate::topology;

impl Compiler<'_> {
    /// What the deployment costs, as far as the file says.
    pub(super) fn costs(&self) -> Vec<Cost> {
        let topology = self.topology;
        let mut all = Vec::new();
        let mut fixed = |path: String, price: &Option<topology::Price>, units: f64| {
            if let Some(price) = price {
                all.push(Cost::fixed(path, price.monthly.0, units, price.source.clone()));
            }
        };
        for database in &topology.databases {
            let spec = &database.spec;
            let path = format!("database.{}", database.name);
            let replicas = f64::from(spec.shards * spec.replicas);
            fixed(format!("{path}.replicas"), &spec.replica_price, replicas);
            fixed(path, &spec.price, f64::from(spec.shards));
        }
        for host in &topology.hosts {
            fixed(format!("host.{}", host.name), &host.spec.price, 1.0);
        }
        for cache in &topology.caches {
            let nodes = f64::from(cache.spec.nodes * (1 + cache.spec.replicas));
            fixed(format!("cache.{}", cache.name), &cache.spec.price, nodes);
        }
        for queue in &topology.queues {
            let processes = f64::from(queue.spec.processes);
            fixed(format!("queue.{}", queue.name), &queue.spec.price, processes);
        }
        for (index, service) in topology.services.iter().enumerate() {
            if let Some(price) = &service.spec.price {
                let units = f64::from(service.spec.instances);
                let path = format!("service.{}", service.name);
                let cost = Cost::fixed(path, price.monthly.0, units, price.source.clone());
                all.push(Cost { service: Some(ServiceId(index as u32)), ..cost });
            }
        }
        let links = topology.links.iter().map(|it| ("link", &it.name, &it.spec.price));
        let cdns = topology.cdns.iter().map(|it| ("cdn", &it.name, &it.spec.price));
        let balancers = topology.balancers.iter().map(|it| ("balancer", &it.name, &it.spec.price));
        for (section, name, price) in links.chain(cdns).chain(balancers) {
            let Some(price) = price else { continue };
            let path = format!("{section}.{name}");
            let monthly = price.monthly.map_or(0.0, |price| price.0);
            let station = match section {
                // Through a balancer goes what its service is asked and answers.
                "balancer" => {
                    let balancer = named(&topology.balancers, name);
                    self.station(&format!("service.{}", balancer.spec.service.name))
                }
                _ => self.station(&path),
            };
            all.push(Cost {
                per_gigabyte: price.per_gb.map_or(0.0, |price| price.0),
                per_million: price.per_million.map_or(0.0, |price| price.0),
                station: Some(station),
                ..Cost::fixed(path, monthly, 1.0, price.source.clone())
            });
        }
        for database in &topology.databases {
            let Some(credits) = &database.spec.credits else { continue };
            let path = format!("database.{}", database.name);
            let source = Some("RDS pricing (CPU credits)".to_string());
            let replicas = (database.spec.replicas > 0).then(|| format!("{path}.replicas"));
            for path in [Some(path), replicas].into_iter().flatten() {
                let station = Some(self.station(&path));
                let path = format!("{path}.credits");
                all.push(Cost {
                    per_surplus_hour: credits.core_hour.0,
                    station,
                    ..Cost::fixed(path, 0.0, 0.0, source.clone())
                });
            }
        }
        for price in &topology.prices {
            let source = Some(price.spec.what.clone());
            let path = format!("price.{}", price.name);
            all.push(Cost::fixed(path, price.spec.monthly.0, 1.0, source));
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }
}

impl Cost {
    fn fixed(path: String, monthly: f64, units: f64, source: Option<String>) -> Cost {
        Cost {
            path,
            monthly,
            units,
            service: None,
            per_gigabyte: 0.0,
            per_million: 0.0,
            per_surplus_hour: 0.0,
            station: None,
            source,
        }
    }
}
