//! Tables and views with their locks, and what databases do by themselves.

use super::super::tape::{DrawId, LocksId};
use super::super::{Maintenance, Relation, Want};
use super::{Compiler, find, named, optional};
use crate::component::table_lock::Mode;
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::topology::{self, LockMode};

impl Compiler<'_> {
    pub(super) fn relations(&self) -> Dense<RelationId, Relation> {
        let topology = self.topology;
        let mut first_table = 0;
        let one = |relation: &topology::Named<topology::Relation>| {
            let spec = &relation.spec;
            let database = &named(&topology.databases, &spec.database.name).spec;
            let first = first_table;
            first_table += database.most_shards() * (1 + database.replicas);
            Relation {
                name: relation.name.clone(),
                station: self.station(&format!("relation.{}", relation.name)),
                database: find(&topology.databases, &spec.database.name),
                first_table: first,
                rows: spec.rows.as_ref().map(|keys| find(&topology.keys, &keys.name)),
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
            let lock = spec.lock.as_ref().map(|lock| Want {
                relation: find(&topology.relations, &lock.on.name),
                mode: mode(&lock.mode),
                row: None,
            });
            for shard in 0..named(&topology.databases, &spec.database.name).spec.most_shards() {
                all.push(Maintenance {
                    name: job.name.clone(),
                    station: self.station(&format!("maintenance.{}", job.name)),
                    database: find(&topology.databases, &spec.database.name),
                    shard,
                    every: spec.every,
                    work,
                    per_write: spec.per_write,
                    threshold: spec.threshold,
                    spread: spec.spread,
                    lock,
                    lock_timeout: optional(spec.lock_timeout),
                    cleans: spec.cleans,
                    conflicts: spec.conflicts,
                });
            }
        }
        all
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
        let want = Want { relation: find(&self.topology.relations, &on.name), mode, row };
        let known = self.wants.iter().position(|known| *known == want);
        let place = known.unwrap_or_else(|| {
            self.wants.push(want);
            self.wants.len() - 1
        });
        LocksId(place as u16 + 1)
    }
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
