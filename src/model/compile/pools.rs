//! Connection pools, those of session stores included.

use super::{Compiler, find, named, optional, own_pool, own_pool_path};
use crate::component::pool::PoolConfig;
use crate::kernel::Dense;
use crate::model::Pool;
use crate::model::ids::*;
use crate::topology;

impl Compiler<'_> {
    /// All pools in the model's order: those of the file, then those of session stores.
    pub(super) fn pools_of(&self, service: usize) -> Vec<PoolId> {
        let name = &self.topology.services[service].name;
        let written = self.topology.pools.iter().map(|pool| pool.spec.service.name == *name);
        let own = self.own_pools.iter().map(|(_, at)| *at == service);
        let all = written.chain(own).enumerate();
        all.filter(|(_, has)| *has).map(|(index, _)| PoolId(index as u32)).collect()
    }

    pub(super) fn pools(&self) -> Dense<PoolId, Pool> {
        let topology = self.topology;
        let mut all: Dense<PoolId, Pool> = Dense::default();
        for pool in &topology.pools {
            let spec = &pool.spec;
            let config = PoolConfig {
                size: spec.size,
                min: spec.min,
                acquire_timeout: optional(spec.acquire_timeout),
                idle_timeout: Some(spec.idle_timeout).filter(|length| !length.is_zero()),
                ..PoolConfig::default()
            };
            let database = named(&topology.databases, &spec.database.name);
            let to_replicas = spec.reads == topology::Reads::Replicas && database.spec.replicas > 0;
            all.push(Pool {
                name: pool.name.clone(),
                station: self.station(&format!("pool.{}", pool.name)),
                service: find(&topology.services, &spec.service.name),
                database: find(&topology.databases, &spec.database.name),
                config,
                replica_config: to_replicas
                    .then(|| PoolConfig { size: spec.replica_size.unwrap_or(spec.size), ..config }),
                destroy_on_error: spec.on_error == topology::OnError::Destroy,
            });
        }
        for (session, service) in &self.own_pools {
            let own = own_pool(&topology.sessions[*session].spec).expect("listed for it");
            let path = own_pool_path(topology, *session, *service);
            all.push(Pool {
                name: path.trim_start_matches("pool.").to_string(),
                station: self.station(&path),
                service: ServiceId(*service as u32),
                database: find(&topology.databases, &own.database.name),
                config: PoolConfig {
                    size: own.size,
                    acquire_timeout: optional(own.acquire_timeout),
                    idle_timeout: Some(own.idle_timeout).filter(|length| !length.is_zero()),
                    ..PoolConfig::default()
                },
                replica_config: None,
                destroy_on_error: true,
            });
        }
        all
    }
}
