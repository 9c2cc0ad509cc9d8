//! Databases.

use super::caches::key_sampler;
use super::hosts::rank_of;
use super::{Compiler, find, named, optional};
use crate::component::buffer::HitCurve;
use crate::component::burst_credits::CreditConfig;
use crate::component::vacuum::{PAGE, Table};
use crate::component::volume::{Burst, VolumeConfig};
use crate::kernel::{Crowding, Dense};
use crate::model::ids::*;
use crate::model::{Buffer, Database, Replica, Reshard, ServerMemory, Standby};
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
            let copies = spec.all_replicas();
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
                replica_station: if copies > 0 { self.station(&replicas) } else { station },
                first_node,
                region: self.region(&spec.region),
                host: spec.host.as_ref().map(|host| find(&topology.hosts, &host.name)),
                rank: rank_of(&spec.priority),
                cores: spec.cores,
                cpu_share: spec.cpu_share.0,
                contention: crowding(&spec.contention),
                rtt: self.law(&spec.rtt),
                connect: self.law(&spec.connect),
                connect_cpu: spec.connect_cpu,
                slots: spec.available(),
                replicas: copies,
                copies: (1..=copies).map(|it| self.copy(database, it)).collect(),
                spread: !spec.abroad.is_empty(),
                lag: self.law(&spec.lag),
                replay: spec.replay.0,
                shards: spec.most_shards(),
                shard_shares: Vec::new(), // follow from the flows
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
                volume: volume(spec),
                buffer: spec.buffer.as_ref().map(|it| self.buffer(database, it)),
                memory: spec.memory.as_ref().map(|memory| self.server_memory(memory)),
                credits: spec.credits.as_ref().map(|credits| earning(credits, spec.cores)),
                standby: spec.standby.as_ref().map(|standby| Standby {
                    count: standby.count,
                    quorum: standby.quorum.min(standby.count),
                    rtt: self.law(&standby.rtt),
                }),
                standby_delay: spec.standby_delay,
                conflicts: copies > 0 && !spec.standby_feedback && conflicting,
                full_pages: self.full_pages(database),
                locks: with_locks || spec.idle_in_transaction_timeout.is_some(),
            });
            first_node += spec.most_shards() * (1 + copies);
        }
        all
    }
}

impl Compiler<'_> {
    /// A replica of a shard, counted from 1: where it stands, and how long until a write sets out for it.
    fn copy(&mut self, database: &topology::Named<topology::Database>, number: u32) -> Replica {
        let spec = &database.spec;
        let there = spec.abroad_of(number);
        let region = match there {
            Some(there) => self.region(&Some(there.region.clone())),
            None => self.region(&spec.region),
        };
        let lag = there.and_then(|there| there.lag.as_ref()).unwrap_or(&spec.lag);
        Replica { region, lag: self.law(lag) }
    }

    /// The memory of each node of a database.
    fn server_memory(&mut self, memory: &topology::ServerMemory) -> ServerMemory {
        let bytes = |of: &crate::units::Bytes| of.0 as u64;
        let shared = bytes(&memory.shared_buffers);
        ServerMemory {
            machine: bytes(&memory.machine),
            fixed: shared + bytes(&memory.system),
            shared,
            per_connection: bytes(&memory.per_connection),
            kills: memory.full == topology::NoMemory::Kill,
            recovery: self.law(&memory.recovery),
        }
    }

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
        let memory = database.spec.memory.as_ref();
        let rest = memory.map_or(0.0, |memory| (memory.machine.0 - memory.system.0).max(0.0));
        let squeezed = buffer.memory.is_none();
        let pages = (buffer.memory.map_or(rest, |memory| memory.0) / PAGE).floor();
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
        Buffer { pages, squeezed, start, data, tables, hits, operation, misses }
    }
}

fn crowding(said: &topology::Contention) -> Crowding {
    let (sigma, kappa) = (said.sigma, said.kappa);
    let caches = said.caches.as_ref();
    let (most, half) = caches.map_or((0.0, 1.0), |caches| (caches.most.0, caches.half));
    Crowding { sigma, kappa, most, half }
}

fn volume(database: &topology::Database) -> Option<VolumeConfig> {
    let storage = database.storage.as_ref()?;
    let (iops, throughput) = database.volume_grants()?;
    let most_per_s = throughput.0 / 8.0 / storage.block.0;
    Some(VolumeConfig {
        rate_per_s: iops.0.min(most_per_s),
        operation: storage.operation,
        burst: storage.burst.as_ref().map(|burst| Burst {
            rate_per_s: burst.iops.0.max(iops.0).min(most_per_s),
            credits: burst.credits,
            start: burst.start.0,
        }),
    })
}

fn earning(credits: &topology::CpuCredits, cores: f64) -> CreditConfig {
    CreditConfig {
        baseline_milli: (credits.baseline.0 * cores * 1000.0 + 0.5) as u64,
        keeps: credits.keeps,
        start: credits.start.0,
        unlimited: credits.unlimited,
    }
}
