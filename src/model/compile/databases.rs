//! Databases.

use super::caches::key_sampler;
use super::hosts::rank_of;
use super::{Compiler, find, named, optional};
use crate::component::buffer::HitCurve;
use crate::component::burst_credits::CreditConfig;
use crate::component::vacuum::{PAGE, Table};
use crate::component::volume::{Burst, VolumeConfig};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{Buffer, Database, Reshard, Standby};
use crate::topology;
use crate::units::Duration;

impl Compiler<'_> {
    pub(super) fn databases(&mut self) -> Dense<DatabaseId, Database> {
        let topology = self.topology;
        let mut all = Dense::default();
        let mut first_node = 0;
        for database in &topology.databases {
            let spec = &database.spec;
            let path = format!("database.{}", database.name);
            let replicas = format!("{path}.replicas");
            let station = self.station(&path);
            let conflicting = topology
                .maintenance
                .iter()
                .any(|job| job.spec.conflicts && job.spec.database.name == database.name);
            let with_locks =
                topology.relations.iter().any(|it| it.spec.database.name == database.name);
            all.push(Database {
                name: database.name.clone(),
                station,
                replica_station: if spec.replicas > 0 { self.station(&replicas) } else { station },
                first_node,
                region: self.region(&spec.region),
                host: spec.host.as_ref().map(|host| find(&topology.hosts, &host.name)),
                rank: rank_of(&spec.priority),
                cores: spec.cores,
                cpu_share: spec.cpu_share.0,
                contention: (spec.contention.sigma, spec.contention.kappa),
                rtt: self.law(&spec.rtt),
                connect: self.law(&spec.connect),
                connect_cpu: spec.connect_cpu,
                slots: spec.available(),
                replicas: spec.replicas,
                lag: self.law(&spec.lag),
                replay: spec.replay.0,
                shards: spec.most_shards(),
                reshard: spec.reshard.as_ref().map(|it| {
                    let at = topology.run.warmup + it.at;
                    let copied = at + it.copy;
                    let ends = copied + it.pause;
                    let modulo = it.rule == topology::ReshardRule::Modulo;
                    Reshard {
                        from: spec.shards,
                        to: it.to,
                        at,
                        copied,
                        ends,
                        load: it.load,
                        modulo,
                    }
                }),
                shard_keys: match &spec.shard_by {
                    topology::ShardBy::Keys(keys) => Some(find(&topology.keys, &keys.name)),
                    _ => None,
                },
                statement_timeout: optional(spec.statement_timeout),
                client_check: optional(spec.client_check),
                lock_timeout: optional(spec.lock_timeout),
                deadlock_timeout: spec.deadlock_timeout,
                idle_timeout: optional(spec.idle_in_transaction_timeout),
                volume: spec.storage.as_ref().map(volume),
                buffer: spec.buffer.as_ref().map(|it| self.buffer(database, it)),
                credits: spec.credits.as_ref().map(|credits| earning(credits, spec.cores)),
                standby: spec.standby.as_ref().map(|standby| Standby {
                    count: standby.count,
                    quorum: standby.quorum.min(standby.count),
                    rtt: self.law(&standby.rtt),
                }),
                standby_delay: spec.standby_delay,
                conflicts: spec.replicas > 0 && !spec.standby_feedback && conflicting,
                full_pages: self.full_pages(database),
                locks: with_locks || spec.idle_in_transaction_timeout.is_some(),
            });
            first_node += spec.most_shards() * (1 + spec.replicas);
        }
        all
    }
}

impl Compiler<'_> {
    /// Pages that each node of a database keeps in memory.
    fn buffer(
        &self,
        database: &topology::Named<topology::Database>,
        buffer: &topology::Buffer,
    ) -> Buffer {
        let topology = self.topology;
        let shards = f64::from(database.spec.shards);
        let tables: Vec<_> = topology
            .relations
            .iter()
            .zip(0u32..)
            .filter(|(table, _)| table.spec.database.name == database.name)
            .filter(|(table, _)| topology.rows_of(&table.spec) > 0)
            .map(|(table, number)| {
                let indexes = f64::from(table.spec.indexes);
                (RelationId(number), table.spec.row_size.0, indexes)
            })
            .collect();
        let at_start = tables.iter().map(|(table, row_bytes, indexes)| {
            let rows = topology.rows_of(&topology.relations[table.0 as usize].spec) as f64 / shards;
            Table { rows, row_bytes: *row_bytes, indexes: *indexes }.all_pages(0.0)
        });
        let data = buffer.data.map(|data| (data.0 / PAGE / shards).max(1.0));
        let whole = data.unwrap_or_else(|| at_start.sum());
        let pages = (buffer.memory.0 / PAGE).floor();
        let hits = buffer.keys.as_ref().map_or(HitCurve::default(), |keys| {
            let keys = named(&topology.keys, &keys.name);
            match keys.spec.popularity {
                topology::Popularity::Uniform => HitCurve::default(),
                topology::Popularity::Zipf(_) => HitCurve::new(&key_sampler(&keys.spec)),
            }
        });
        let misses = 1.0 - hits.at(pages / whole);
        let storage = database.spec.storage.as_ref();
        let operation = storage.map_or(Duration::millis(1), |storage| storage.operation);
        let warm = topology.run.start.caches == topology::Warmth::Warm;
        let start = if warm { pages } else { 0.0 };
        Buffer { pages, start, data, tables, hits, operation, misses }
    }
}

fn volume(storage: &topology::Storage) -> VolumeConfig {
    let most_per_s = storage.throughput.0 / 8.0 / storage.block.0;
    VolumeConfig {
        rate_per_s: storage.iops.0.min(most_per_s),
        operation: storage.operation,
        burst: storage.burst.as_ref().map(|burst| Burst {
            rate_per_s: burst.iops.0.max(storage.iops.0).min(most_per_s),
            credits: burst.credits,
            start: burst.start.0,
        }),
    }
}

fn earning(credits: &topology::CpuCredits, cores: f64) -> CreditConfig {
    CreditConfig {
        baseline_milli: (credits.baseline.0 * cores * 1000.0 + 0.5) as u64,
        keeps: credits.keeps,
        start: credits.start.0,
        unlimited: credits.unlimited,
    }
}
