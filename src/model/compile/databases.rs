//! Databases.

use super::{Compiler, optional};
use crate::kernel::Dense;
use crate::model::Database;
use crate::model::ids::*;

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
            all.push(Database {
                name: database.name.clone(),
                station,
                replica_station: if spec.replicas > 0 { self.station(&replicas) } else { station },
                first_node,
                region: self.region(&spec.region),
                cores: spec.cores,
                cpu_share: spec.cpu_share.0,
                contention: (spec.contention.sigma, spec.contention.kappa),
                rtt: self.law(&spec.rtt),
                connect: self.law(&spec.connect),
                slots: spec.max_connections.saturating_sub(spec.reserved),
                replicas: spec.replicas,
                lag: self.law(&spec.lag),
                replay: spec.replay.0,
                shards: spec.shards,
                statement_timeout: optional(spec.statement_timeout),
            });
            first_node += spec.shards * (1 + spec.replicas);
        }
        all
    }
}
