//! Prices: what the deployment costs a month, and by what it carries.

use super::super::Cost;
use super::super::ids::ServiceId;
use super::{Compiler, find};
use crate::topology;
use crate::units::{HOURS_PER_MONTH, Money};

impl Compiler<'_> {
    /// What shields of CDNs cost, by what they are asked.
    fn shield_costs(&self, all: &mut Vec<Cost>) {
        let topology = self.topology;
        for cdn in &topology.cdns {
            let asked = cdn.spec.shield.as_ref().and_then(|shield| shield.per_million);
            if let Some(price) = asked {
                let path = format!("cdn.{}.shield", cdn.name);
                let station = Some(self.station(&path));
                let per_million = price.0;
                all.push(Cost { per_million, station, ..Cost::fixed(path, 0.0, 1.0, None) });
            }
        }
    }

    /// What the deployment costs, as far as the file says.
    pub(super) fn costs(&self) -> Vec<Cost> {
        let topology = self.topology;
        let (mut all, mut costs_of_queues) = (Vec::new(), Vec::new());
        let mut fixed = |path: String, price: &Option<topology::Price>, units: f64| {
            if let Some(price) = price {
                all.push(Cost::unit(path, price, units));
            }
        };
        for database in &topology.databases {
            let spec = &database.spec;
            let path = format!("database.{}", database.name);
            let replicas = f64::from(spec.most_shards() * spec.all_replicas());
            fixed(format!("{path}.replicas"), &spec.replica_price, replicas);
            fixed(path, &spec.price, f64::from(spec.most_shards()));
        }
        for host in &topology.hosts {
            fixed(format!("host.{}", host.name), &host.spec.price, 1.0);
        }
        for cache in &topology.caches {
            let nodes = f64::from(cache.spec.nodes * (1 + cache.spec.replicas));
            fixed(format!("cache.{}", cache.name), &cache.spec.price, nodes);
        }
        for queue in &topology.queues {
            if let Some(price) = queue.spec.request_price {
                let station = Some(self.station(&format!("queue.{}", queue.name)));
                costs_of_queues.push(Cost {
                    per_million_reads: price.0,
                    per_million_writes: price.0,
                    station,
                    ..Cost::fixed(format!("queue.{}.requests", queue.name), 0.0, 0.0, None)
                });
            }
            let Some(price) = &queue.spec.price else { continue };
            let path = format!("queue.{}", queue.name);
            let workers = queue.spec.autoscale.as_ref().map(|_| self.station(&path));
            let cost = Cost::unit(path, price, f64::from(queue.spec.workers()));
            costs_of_queues.push(Cost { workers, ..cost });
        }
        all.extend(topology.consumers.iter().filter_map(|it| self.consumer_cost(it)));
        all.append(&mut costs_of_queues);
        for (index, service) in topology.services.iter().enumerate() {
            if let Some(price) = &service.spec.price {
                let units = f64::from(service.spec.instances);
                let path = format!("service.{}", service.name);
                let cost = Cost::unit(path, price, units);
                all.push(Cost { service: Some(ServiceId(index as u32)), ..cost });
            }
        }
        let links = topology.links.iter().map(|it| ("link", &it.name, &it.spec.price));
        let cdns = topology.cdns.iter().map(|it| ("cdn", &it.name, &it.spec.price));
        for (section, name, price) in links.chain(cdns) {
            let Some(price) = price else { continue };
            let path = format!("{section}.{name}");
            let monthly = dollars(price.monthly);
            let station = self.station(&path);
            all.push(Cost {
                per_gigabyte: dollars(price.per_gb),
                per_million: dollars(price.per_million),
                station: Some(station),
                ..Cost::fixed(path, monthly, 1.0, price.source.clone())
            });
        }
        self.shield_costs(&mut all);
        for database in &topology.databases {
            let Some(credits) = &database.spec.credits else { continue };
            let path = format!("database.{}", database.name);
            let source = Some("RDS pricing (CPU credits)".to_string());
            let replicas = (database.spec.all_replicas() > 0).then(|| format!("{path}.replicas"));
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
        self.balancer_costs(&mut all);
        self.function_costs(&mut all);
        self.store_costs(&mut all);
        self.stream_costs(&mut all);
        for price in &topology.prices {
            let source = Some(price.spec.what.clone());
            let path = format!("price.{}", price.name);
            let of = price.spec.of.as_ref();
            all.push(Cost {
                per_gigabyte: dollars(price.spec.per_gb),
                per_million: dollars(price.spec.per_million),
                share: price.spec.share.0,
                station: of.map(|of| self.station(&format!("{}.{}", of.section, of.name))),
                ..Cost::fixed(path, dollars(price.spec.monthly), 1.0, source)
            });
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }
}

impl Compiler<'_> {
    /// Processes of a group, those that run where their number follows something.
    fn consumer_cost(&self, consumer: &topology::Named<topology::Consumer>) -> Option<Cost> {
        let path = format!("consumer.{}", consumer.name);
        let station = consumer.spec.autoscale.as_ref().map(|_| self.station(&path));
        let cost =
            Cost::unit(path, consumer.spec.price.as_ref()?, f64::from(consumer.spec.members));
        Some(Cost { workers: station, ..cost })
    }

    /// Through a balancer goes what its service is asked and answers.
    fn balancer_costs(&self, all: &mut Vec<Cost>) {
        for balancer in &self.topology.balancers {
            let Some(price) = &balancer.spec.price else { continue };
            let service = format!("service.{}", balancer.spec.service.name);
            let path = format!("balancer.{}", balancer.name);
            all.push(Cost {
                per_gigabyte: dollars(price.per_gb),
                per_million: dollars(price.per_million),
                per_lcu_hour: dollars(price.per_lcu_hour),
                balanced: Some(find(&self.topology.services, &balancer.spec.service.name)),
                station: Some(self.station(&service)),
                ..Cost::fixed(path, dollars(price.monthly), 1.0, price.source.clone())
            });
        }
    }

    fn function_costs(&self, all: &mut Vec<Cost>) {
        for service in &self.topology.services {
            let Some(function) = &service.spec.function else { continue };
            let Some(price) = &function.price else { continue };
            let (path, size) = (format!("service.{}", service.name), function.gigabytes());
            let ready = dollars(price.provisioned_gb_second) * size * HOURS_PER_MONTH * 3_600.0;
            let units = f64::from(function.provisioned);
            all.push(Cost {
                per_billed_second: dollars(price.gb_second) * size,
                per_million: dollars(price.per_million),
                station: Some(self.station(&format!("{path}.executions"))),
                ..Cost::fixed(path, ready, units, price.source.clone())
            });
        }
    }

    /// Shards of Kinesis, and the payload units of what is put there.
    fn stream_costs(&self, all: &mut Vec<Cost>) {
        for stream in &self.topology.streams {
            let topology::StreamKind::Kinesis(its) = &stream.spec.kind else { continue };
            let path = format!("stream.{}", stream.name);
            if let Some(price) = its.unit_price {
                all.push(Cost {
                    per_million_writes: price.0,
                    station: Some(self.station(&path)),
                    ..Cost::fixed(format!("{path}.units"), 0.0, 0.0, None)
                });
            }
            if let Some(price) = &its.price {
                all.push(Cost::unit(path, price, f64::from(its.shards)));
            }
        }
    }

    fn store_costs(&self, all: &mut Vec<Cost>) {
        for store in &self.topology.stores {
            let Some(price) = &store.spec.price else { continue };
            let path = format!("store.{}", store.name);
            // Without a rule, what is left in the first month is there for half of it.
            let month_s = HOURS_PER_MONTH * 3_600.0;
            let kept_months = store.spec.abort_incomplete.map_or(0.5, |it| it.seconds() / month_s);
            all.push(Cost {
                per_gigabyte: dollars(price.per_gb_out),
                per_million_writes: dollars(price.per_million_puts),
                per_million_reads: dollars(price.per_million_gets),
                per_gigabyte_left: dollars(price.per_gb_month) * kept_months,
                station: Some(self.station(&path)),
                ..Cost::fixed(path, dollars(price.monthly), 1.0, price.source.clone())
            });
        }
    }
}

fn dollars(price: Option<Money>) -> f64 {
    price.map_or(0.0, |price| price.0)
}

impl Cost {
    /// Of so many units, of which some may be committed to.
    fn unit(path: String, price: &topology::Price, units: f64) -> Cost {
        let reserved = price.reserved.unwrap_or(price.monthly);
        Cost {
            committed: (f64::from(price.committed), reserved.0),
            ..Cost::fixed(path, price.monthly.0, units, price.source.clone())
        }
    }

    fn fixed(path: String, monthly: f64, units: f64, source: Option<String>) -> Cost {
        Cost {
            path,
            monthly,
            units,
            service: None,
            workers: None,
            per_gigabyte: 0.0,
            per_million: 0.0,
            per_surplus_hour: 0.0,
            per_million_reads: 0.0,
            per_million_writes: 0.0,
            per_gigabyte_left: 0.0,
            per_lcu_hour: 0.0,
            balanced: None,
            per_billed_second: 0.0,
            committed: (0.0, 0.0),
            share: 1.0,
            station: None,
            source,
        }
    }
}
