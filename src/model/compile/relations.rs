//! Tables and views with their locks, and what databases do by themselves.

use super::super::tape::{DrawId, LocksId};
use super::super::{Maintenance, Relation, Upkeep, Want};
use super::{Compiler, find, named, optional};
use crate::component::checkpoint::CheckpointRules;
use crate::component::session_table::QueryLaw;
use crate::component::table_lock::Mode;
use crate::component::vacuum::{Table, VacuumRules};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::topology::{self, LockMode};
use crate::units::Duration;

impl Compiler<'_> {
    pub(super) fn relations(&self) -> Dense<RelationId, Relation> {
        let topology = self.topology;
        let mut first_table = 0;
        let one = |relation: &topology::Named<topology::Relation>| {
            let spec = &relation.spec;
            let database = &named(&topology.databases, &spec.database.name).spec;
            let first = first_table;
            first_table += database.most_shards() * (1 + database.all_replicas());
            Relation {
                name: relation.name.clone(),
                station: self.station(&format!("relation.{}", relation.name)),
                database: find(&topology.databases, &spec.database.name),
                first_table: first,
                rows: spec.rows.as_ref().map(|keys| find(&topology.keys, &keys.name)),
                count: topology.rows_of(spec),
                bloat: spec.bloat,
            }
        };
        topology.relations.iter().map(one).collect()
    }

    /// One for each primary.
    pub(super) fn maintenance(&mut self) -> Vec<Maintenance> {
        let topology = self.topology;
        let mut all = Vec::new();
        for job in &topology.maintenance {
            let spec = &job.spec;
            let work = self.law(&spec.work);
            let (on, mode) = match (&spec.kind, &spec.lock) {
                (topology::MaintenanceKind::Autovacuum(it), _) => {
                    (Some(&it.on), Mode::ShareUpdateExclusive)
                }
                (topology::MaintenanceKind::Checkpoint(_), _) | (_, None) => {
                    (None, Mode::AccessShare)
                }
                (topology::MaintenanceKind::Job, Some(lock)) => (Some(&lock.on), mode(&lock.mode)),
            };
            let lock = on.map(|on| Want {
                relation: find(&topology.relations, &on.name),
                mode,
                row: None,
                inserts: 0,
                deletes: 0,
                growth: None,
            });
            let kind = self.upkeep(spec);
            let (every, spread) = pace(spec);
            for shard in 0..named(&topology.databases, &spec.database.name).spec.most_shards() {
                all.push(Maintenance {
                    name: job.name.clone(),
                    station: self.station(&format!("maintenance.{}", job.name)),
                    database: find(&topology.databases, &spec.database.name),
                    shard,
                    kind,
                    every,
                    work,
                    per_write: spec.per_write,
                    threshold: spec.threshold,
                    spread,
                    lock,
                    lock_timeout: optional(spec.lock_timeout),
                    cleans: spec.cleans || matches!(kind, Upkeep::Vacuum { .. }),
                    conflicts: spec.conflicts,
                });
            }
        }
        all
    }

    /// What a job takes, as it says or as its product has it; of each shard its part.
    fn upkeep(&self, spec: &topology::Maintenance) -> Upkeep {
        match &spec.kind {
            topology::MaintenanceKind::Job => Upkeep::Job,
            topology::MaintenanceKind::Autovacuum(it) => {
                let table = &named(&self.topology.relations, &it.on.name).spec;
                let rules = VacuumRules {
                    threshold: it.threshold as f64,
                    scale_factor: it.scale_factor,
                    costs: [it.page_hit, it.page_miss, it.page_dirty].map(f64::from),
                    limit: it.cost_limit.into(),
                    delay: it.cost_delay,
                    cached: it.cached.0,
                    page_cpu: it.page_cpu,
                };
                Upkeep::Vacuum { rules, row_bytes: table.row_size.0, indexes: table.indexes.into() }
            }
            topology::MaintenanceKind::Checkpoint(it) => {
                Upkeep::Checkpoint(self.checkpoint(&spec.database.name, it), it.page_cpu)
            }
        }
    }

    /// The rules of a checkpoint on one of a database's shards.
    fn checkpoint(&self, database: &str, it: &topology::Checkpoint) -> CheckpointRules {
        let shards = f64::from(named(&self.topology.databases, database).spec.shards);
        let tables =
            self.topology.relations.iter().filter(|table| table.spec.database.name == database);
        let known = |table: &topology::Named<topology::Relation>| {
            let rows = self.topology.rows_of(&table.spec) as f64;
            let indexes = f64::from(table.spec.indexes);
            let table = Table { rows, row_bytes: table.spec.row_size.0, indexes };
            if rows > 0.0 { table.pages(0.0) + table.index_pages(0.0) } else { 0.0 }
        };
        let pages = it.pages.map_or_else(|| tables.map(known).sum(), |pages| pages as f64);
        let (changes, full_pages) = (f64::from(it.changes), it.full_page_writes);
        CheckpointRules { pages: pages / shards, changes, full_pages }
    }

    /// What the first change of a page after a checkpoint costs at a database, where that is looked at:
    /// whole pages are logged to a volume.
    pub(super) fn full_pages(
        &self,
        database: &topology::Named<topology::Database>,
    ) -> Option<CheckpointRules> {
        database.spec.storage.as_ref()?;
        let jobs = self.topology.maintenance.iter();
        let mut of_database = jobs.filter(|job| job.spec.database.name == database.name);
        of_database.find_map(|job| match &job.spec.kind {
            topology::MaintenanceKind::Checkpoint(it) if it.full_page_writes => {
                Some(self.checkpoint(&database.name, it))
            }
            _ => None,
        })
    }

    /// What a statement locks: its table in the mode that PostgreSQL takes, and perhaps a row.
    pub(super) fn wants(&mut self, query: &topology::Query, row: DrawId) -> LocksId {
        let Some(on) = &query.on else { return LocksId(0) };
        let relation = &named(&self.topology.relations, &on.name).spec;
        let mode = match (&query.write, query.for_update) {
            (Some(_), _) => Mode::RowExclusive,
            (None, true) => Mode::RowShare,
            (None, false) => Mode::AccessShare,
        };
        let row = (relation.rows.is_some() && mode != Mode::AccessShare).then_some(row);
        let relation = find(&self.topology.relations, &on.name);
        let (inserts, deletes) = match query.write {
            Some(_) => (query.inserts, query.deletes),
            None => (0, 0),
        };
        let growth = query.growth.as_ref().map(query_law);
        let want = Want { relation, mode, row, inserts, deletes, growth };
        let known = self.wants.iter().position(|known| *known == want);
        let place = known.unwrap_or_else(|| {
            self.wants.push(want);
            self.wants.len() - 1
        });
        LocksId(place as u16 + 1)
    }
}

/// From start to start of a job, and over which time it is spread.
fn pace(spec: &topology::Maintenance) -> (Duration, Duration) {
    let every = |usual: u64| spec.every.unwrap_or(Duration::secs(usual));
    match &spec.kind {
        topology::MaintenanceKind::Job => {
            (spec.every.expect("checked: a job says how often"), spec.spread)
        }
        topology::MaintenanceKind::Autovacuum(_) => (every(60), Duration::ZERO),
        topology::MaintenanceKind::Checkpoint(it) => {
            (every(300), every(300).scale(it.completion_target.0))
        }
    }
}

/// How statements on a table slow down as it grows.
pub(super) fn query_law(growth: &topology::Growth) -> QueryLaw {
    QueryLaw { rows_at: growth.rows, times: growth.times, power: growth.power }
}

fn mode(mode: &LockMode) -> Mode {
    match mode {
        LockMode::AccessShare => Mode::AccessShare,
        LockMode::RowShare => Mode::RowShare,
        LockMode::RowExclusive => Mode::RowExclusive,
        LockMode::ShareUpdateExclusive => Mode::ShareUpdateExclusive,
        LockMode::Share => Mode::Share,
        LockMode::ShareRowExclusive => Mode::ShareRowExclusive,
        LockMode::Exclusive => Mode::Exclusive,
        LockMode::AccessExclusive => Mode::AccessExclusive,
    }
}
