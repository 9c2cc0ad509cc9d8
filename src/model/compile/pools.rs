//! Connection pools, those of session stores included.

use super::{Compiler, find, named, optional, own_pool, own_pool_path};
use crate::component::pool::{Driver, PoolConfig};
use crate::component::pooler::PoolerConfig;
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{ClientTimes, Discards, Pool, PoolMode, Pooler};
use crate::topology::{self, OnError, PoolDriver};
use crate::units::Duration;

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
            let config = config(spec);
            let database = named(&topology.databases, &spec.database.name);
            let reads_from = topology.reads_from(spec);
            all.push(Pool {
                name: pool.name.clone(),
                station: self.station(&format!("pool.{}", pool.name)),
                service: find(&topology.services, &spec.service.name),
                database: find(&topology.databases, &spec.database.name),
                pooler: spec.through.as_ref().map(|it| find(&topology.poolers, &it.name)),
                config,
                replica_config: (!reads_from.is_empty()).then(|| PoolConfig {
                    size: spec.replica_size.unwrap_or(config.size),
                    ..config
                }),
                reads_from,
                lending: Default::default(), // follows from the flows
                lookup: None,                // compiled with the flows
                reshards: database.spec.reshard.is_some(),
                connect_timeout: optional(spec.opens_within()),
                query_timeout: optional(spec.query_timeout),
                cancels: spec.driver == PoolDriver::Asyncpg,
                statement_timeout: optional(spec.statement_timeout),
                discards: match (&spec.on_error, &spec.driver) {
                    (Some(OnError::Destroy), _) => Discards::Always,
                    (Some(OnError::Keep), _) => Discards::Never,
                    (None, PoolDriver::NodePostgres | PoolDriver::Neon) => Discards::Queries,
                    (None, _) => Discards::Never,
                },
                awaits_close: matches!(&spec.driver, PoolDriver::Sqlalchemy(its) if its.asyncio),
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
                pooler: None,
                config: PoolConfig {
                    size: own.size,
                    acquire_timeout: optional(own.acquire_timeout),
                    idle_timeout: Some(own.idle_timeout).filter(|length| !length.is_zero()),
                    ..node_postgres()
                },
                replica_config: None,
                reads_from: Vec::new(),
                lending: Default::default(), // follows from the flows
                lookup: None,                // compiled with the flows
                reshards: named(&topology.databases, &own.database.name).spec.reshard.is_some(),
                connect_timeout: None,
                query_timeout: None,
                cancels: false,
                statement_timeout: None,
                discards: Discards::Queries,
                awaits_close: false,
            });
        }
        all
    }
}

impl Compiler<'_> {
    pub(super) fn poolers(&mut self) -> Dense<PoolerId, Pooler> {
        let topology = self.topology;
        let one = |pooler: &topology::Named<topology::Pooler>| {
            let spec = &pooler.spec;
            let database = &named(&topology.databases, &spec.database.name).spec;
            let process =
                spec.process.as_ref().map_or(pooler, |it| named(&topology.poolers, &it.name));
            let size = spec.size(database);
            let some = |length: Duration| optional(Some(length)).filter(|length| !length.is_zero());
            // What takes longer than the run never happens, and is not watched.
            let ends = topology.run.warmup + topology.run.duration;
            let within = |length: Option<Duration>| length.and_then(some).filter(|it| *it < ends);
            let times = ClientTimes {
                query: within(spec.query_timeout),
                between: within(spec.idle_transaction_timeout),
                transaction: within(spec.transaction_timeout),
                idle: within(Some(spec.disconnects_idle())),
            };
            Pooler {
                name: pooler.name.clone(),
                station: self.station(&format!("pooler.{}", pooler.name)),
                database: find(&topology.databases, &spec.database.name),
                config: PoolerConfig {
                    size,
                    min: spec.min,
                    reserve: spec.reserve,
                    reserve_after: spec.reserve_after,
                    openings: if spec.is_pgbouncer() { 1 } else { size },
                    wait_timeout: optional(Some(spec.patience())),
                    idle_timeout: some(spec.closes_idle()),
                    spare: spec.keeps_idle(database),
                    check_after: optional(Some(spec.checks_idle())),
                    max_lifetime: some(spec.lifetime()),
                    login_retry: spec.retries_login(),
                    pgbouncer: spec.is_pgbouncer(),
                },
                lending: Default::default(), // follows from the flows
                mode: match spec.mode() {
                    topology::PoolMode::Session => PoolMode::Session,
                    topology::PoolMode::Transaction => PoolMode::Transaction,
                    topology::PoolMode::Statement => PoolMode::Statement,
                },
                process: find(&topology.poolers, &process.name),
                clients: process.spec.most_clients(database).unwrap_or(u32::MAX),
                at_most: process.spec.max_db_connections.unwrap_or(u32::MAX),
                user: (
                    find(&topology.poolers, user_of(topology, pooler, &process.name)),
                    process.spec.max_user_connections.unwrap_or(u32::MAX),
                ),
                core: process.spec.works().then(|| {
                    let cpu = process.spec.statement_cpu().half();
                    (cpu, self.station(&format!("pooler.{}.core", process.name)))
                }),
                login: process.spec.logs_in_for(),
                rtt: self.law(&spec.rtt),
                connect: self.law(&spec.connect),
                connect_timeout: spec.opens_within(),
                times: times.any().then_some(times),
            }
        };
        topology.poolers.iter().map(one).collect()
    }
}

/// The first pooler of a process that is a pool of the same user.
fn user_of<'t>(
    topology: &'t topology::Topology,
    pooler: &'t topology::Named<topology::Pooler>,
    process: &str,
) -> &'t str {
    let in_process = |it: &&topology::Named<topology::Pooler>| {
        it.spec.process.as_ref().map_or(&*it.name, |of| &of.name) == process
    };
    let same = |it: &&topology::Named<topology::Pooler>| {
        it.spec.user.is_some() && it.spec.user == pooler.spec.user
    };
    topology.poolers.iter().filter(in_process).find(same).map_or(&pooler.name, |it| &it.name)
}

/// The options of a pool: what is said, over what its driver has.
fn config(spec: &topology::Pool) -> PoolConfig {
    let usual = match &spec.driver {
        PoolDriver::NodePostgres | PoolDriver::Neon => node_postgres(),
        // One queue for turns, the hot connection first (mobc 0.8.5, a fair semaphore and a stack).
        PoolDriver::Prisma(_) => PoolConfig {
            acquire_timeout: Some(Duration::secs(10)),
            idle_timeout: Some(Duration::secs(300)),
            ..node_postgres()
        },
        PoolDriver::Asyncpg => PoolConfig {
            driver: Driver::Asyncpg,
            min: 10,
            idle_timeout: Some(Duration::secs(300)),
            max_uses: Some(50_000),
            ..node_postgres()
        },
        PoolDriver::Psycopg(its) => PoolConfig {
            max_waiting: its.max_waiting,
            driver: Driver::Psycopg,
            min: 4,
            acquire_timeout: Some(Duration::secs(30)),
            idle_timeout: Some(Duration::secs(600)),
            max_lifetime: Some(Duration::secs(3_600)),
            ..node_postgres()
        },
        PoolDriver::Sqlalchemy(its) => PoolConfig {
            driver: Driver::Sqlalchemy,
            acquire_timeout: Some(Duration::secs(30)),
            idle_timeout: None,
            lifo: its.use_lifo,
            ..node_postgres()
        },
    };
    PoolConfig {
        size: spec.kept(),
        overflow: spec.overflow(),
        min: spec.min.unwrap_or(usual.min.min(spec.kept())),
        acquire_timeout: match spec.acquire_timeout {
            said @ Some(_) => optional(said),
            None => usual.acquire_timeout,
        },
        idle_timeout: match spec.idle_timeout {
            said @ Some(_) => optional(said).filter(|length| !length.is_zero()),
            None => usual.idle_timeout,
        },
        max_uses: spec.max_uses.or(usual.max_uses),
        max_lifetime: match spec.max_lifetime {
            said @ Some(_) => optional(said),
            None => usual.max_lifetime,
        },
        ..usual
    }
}

/// pg-pool 3.14.0 as it comes.
fn node_postgres() -> PoolConfig {
    PoolConfig {
        driver: Driver::NodePostgres,
        size: 10,
        overflow: 0,
        min: 0,
        acquire_timeout: None,
        idle_timeout: Some(Duration::secs(10)),
        max_uses: None,
        max_lifetime: None,
        lifo: true,
        max_waiting: None,
    }
}
