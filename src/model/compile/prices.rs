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

    /// What links and edges cost, by what they carry: of a link each way.
    fn usage_costs(&self, all: &mut Vec<Cost>) {
        let topology = self.topology;
        let links = topology.links.iter().map(|it| ("link", &it.name, &it.spec.price));
        let cdns = topology.cdns.iter().map(|it| ("cdn", &it.name, &it.spec.price));
        for (section, name, price) in links.chain(cdns) {
            let Some(price) = price else { continue };
            let path = format!("{section}.{name}");
            let monthly = dollars(price.monthly);
            let used = |path: String, monthly: f64, units: f64| Cost {
                per_gigabyte: dollars(price.per_gb),
                per_million: dollars(price.per_million),
                station: Some(self.station(&path)),
                ..Cost::fixed(path, monthly, units, price.source.clone())
            };
            let link = topology.links.iter().find(|it| section == "link" && it.name == *name);
            let into = link.map(|link| self.way_in(link)).filter(|into| *into != path);
            all.push(used(path, monthly, 1.0));
            all.extend(into.map(|into| used(into, 0.0, 0.0)));
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
        self.usage_costs(&mut all);
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
        self.server_costs(&mut all);
        self.socket_costs(&mut all);
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
            let executions = self.station(&format!("{path}.executions"));
            all.push(Cost {
                workers: function.autoscale.as_ref().map(|_| executions),
                per_billed_second: dollars(price.gb_second) * size,
                per_million: dollars(price.per_million),
                station: Some(executions),
                ..Cost::fixed(path, ready, units, price.source.clone())
            });
        }
    }

    /// Brokers of Kafka and what they keep; shards of Kinesis, and the payload units of what is put there.
    fn stream_costs(&self, all: &mut Vec<Cost>) {
        for stream in &self.topology.streams {
            let path = format!("stream.{}", stream.name);
            match &stream.spec.kind {
                topology::StreamKind::Kafka(its) => {
                    if let Some(price) = its.per_gb_month {
                        let copies = f64::from(its.replicas);
                        all.push(Cost {
                            per_gigabyte: price.0 * copies * months(its.retention),
                            station: Some(self.station(&path)),
                            ..Cost::fixed(format!("{path}.kept"), 0.0, 0.0, None)
                        });
                    }
                    if let Some(price) = &its.price {
                        all.push(Cost::unit(path, price, f64::from(its.all_brokers())));
                    }
                }
                topology::StreamKind::Kinesis(its) => {
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
                _ => {}
            }
        }
    }

    fn store_costs(&self, all: &mut Vec<Cost>) {
        for store in &self.topology.stores {
            let Some(price) = &store.spec.price else { continue };
            let path = format!("store.{}", store.name);
            // Without a rule, what comes in the first month is there for half of it.
            let left = store.spec.abort_incomplete.map_or(0.5, months);
            let kept = store.spec.expires_after.map_or(0.5, months);
            let per_gb_month = dollars(price.per_gb_month);
            let stored = per_gb_month * store.spec.stored.0 / 1e9;
            let monthly = dollars(price.monthly) + stored;
            all.push(Cost {
                per_gigabyte: dollars(price.per_gb_out),
                per_million_writes: dollars(price.per_million_puts),
                per_million_reads: dollars(price.per_million_gets),
                per_gigabyte_left: per_gb_month * left,
                per_gigabyte_stored: per_gb_month * kept,
                station: Some(self.station(&path)),
                ..Cost::fixed(path, monthly, 1.0, price.source.clone())
            });
        }
    }

    /// What is paid for by the cores or the size of servers: poolers and volumes.
    fn server_costs(&self, all: &mut Vec<Cost>) {
        let topology = self.topology;
        for pooler in &topology.poolers {
            let Some(price) = &pooler.spec.price else { continue };
            let database = &super::named(&topology.databases, &pooler.spec.database.name).spec;
            let cores = servers(database) * database.cores.max(LEAST_CORES);
            let monthly =
                dollars(price.monthly) + dollars(price.per_vcpu_hour) * cores * HOURS_PER_MONTH;
            let path = format!("pooler.{}", pooler.name);
            all.push(Cost::fixed(path, monthly, 1.0, price.source.clone()));
        }
        for database in &topology.databases {
            let storage = database.spec.storage.as_ref();
            let Some(price) = storage.and_then(|it| it.price.as_ref()) else { continue };
            let gigabytes = price.size.0 / 1_073_741_824.0;
            let iops = database.spec.volume_grants().map_or(0.0, |(iops, _)| iops.0);
            let beyond = (iops - database.spec.included(price).0).max(0.0);
            let monthly = price.per_gb_month.0 * gigabytes + dollars(price.per_iops_month) * beyond;
            let standbys = database.spec.standby.as_ref().map_or(0, |it| it.count);
            let volumes =
                servers(&database.spec) + f64::from(database.spec.most_shards() * standbys);
            let path = format!("database.{}.storage", database.name);
            all.push(Cost::fixed(path, monthly, volumes, price.source.clone()));
        }
    }

    /// Messages and connections of sockets.
    fn socket_costs(&self, all: &mut Vec<Cost>) {
        for socket in &self.topology.sockets {
            let Some(price) = &socket.spec.price else { continue };
            let path = format!("socket.{}", socket.name);
            let units = (socket.spec.size.0 / price.unit.0).ceil();
            let per_million = dollars(price.per_million_messages) * units;
            all.push(Cost {
                per_million_reads: per_million,
                per_million_served: per_million,
                per_million_minutes: dollars(price.per_million_minutes),
                station: Some(self.station(&path)),
                ..Cost::fixed(path, dollars(price.monthly), 1.0, price.source.clone())
            });
        }
    }
}

/// Cores that RDS Proxy charges for at least (Amazon RDS Proxy pricing).
const LEAST_CORES: f64 = 2.0;

/// Servers of a database that serve statements.
fn servers(database: &topology::Database) -> f64 {
    f64::from(database.most_shards() * (1 + database.all_replicas()))
}

/// How many months a time is.
fn months(length: crate::units::Duration) -> f64 {
    length.seconds() / (HOURS_PER_MONTH * 3_600.0)
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
            per_gigabyte_stored: 0.0,
            per_million_served: 0.0,
            per_million_minutes: 0.0,
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
