//! Guards and limits.

use super::{Compiler, find, named, optional};
use crate::component::guard::FailMode;
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{Guard, Limit, Per, Watch};
use crate::topology;
use crate::topology::Named;

impl Compiler<'_> {
    pub(super) fn guards(&self) -> Dense<GuardId, Guard> {
        let one = |guard: &Named<topology::Guard>| {
            let spec = &guard.spec;
            let watch = self.watch(&spec.watch);
            let threshold = match (spec.limit, spec.reject_at) {
                (Some(topology::Threshold::Count(count)), _) => count as f64,
                (Some(topology::Threshold::Lag(length)), _) => length.seconds(),
                (None, share) => {
                    share.map_or(f64::INFINITY, |share| share.0 * self.watched_size(watch))
                }
            };
            Guard {
                name: guard.name.clone(),
                station: self.station(&format!("guard.{}", guard.name)),
                watch,
                threshold,
                cache: Some(spec.sampled).filter(|length| !length.is_zero()),
                on_error: fail_mode(&spec.fail),
                status: spec.respond.status,
                retry_after: optional(spec.respond.retry_after),
                errors: spec.errors.0,
                new_sessions_only: spec.applies == topology::Applies::NewSessions,
            }
        };
        self.topology.guards.iter().map(one).collect()
    }

    fn watch(&self, watch: &topology::Watch) -> Watch {
        let topology = self.topology;
        match watch {
            topology::Watch::PoolTotal(pool) => Watch::PoolTotal(find(&topology.pools, &pool.name)),
            topology::Watch::PoolBusy(pool) => Watch::PoolBusy(find(&topology.pools, &pool.name)),
            topology::Watch::PoolWaiting(pool) => {
                Watch::PoolWaiting(find(&topology.pools, &pool.name))
            }
            topology::Watch::SessionsLive(session) => {
                Watch::SessionsLive(find(&topology.sessions, &session.name))
            }
            topology::Watch::InFlight(service) => {
                Watch::InFlight(find(&topology.services, &service.name))
            }
            topology::Watch::Lag(service) => Watch::Lag(find(&topology.services, &service.name)),
        }
    }

    /// The connections that one process's pool can have.
    fn watched_size(&self, watch: Watch) -> f64 {
        let (Watch::PoolTotal(pool) | Watch::PoolBusy(pool) | Watch::PoolWaiting(pool)) = watch
        else {
            return f64::INFINITY;
        };
        let spec = &self.topology.pools[pool.0 as usize].spec;
        let database = &named(&self.topology.databases, &spec.database.name).spec;
        let replicas = if spec.reads == topology::Reads::Replicas { database.replicas } else { 0 };
        let each = spec.most() + replicas * spec.most_to_replica();
        f64::from(database.shards) * f64::from(each)
    }

    pub(super) fn limits(&self) -> Dense<LimitId, Limit> {
        let one = |limit: &Named<topology::Limit>| {
            let spec = &limit.spec;
            Limit {
                name: limit.name.clone(),
                station: self.station(&format!("limit.{}", limit.name)),
                per: match spec.per {
                    topology::LimitPer::Address => Per::Address,
                    topology::LimitPer::User => Per::User,
                    topology::LimitPer::All => Per::All,
                },
                window: spec.window,
                max: spec.max,
                per_process: spec.store == topology::LimitStore::Memory,
                status: spec.respond.status,
                retry_after: optional(spec.respond.retry_after),
                errors: spec.errors.0,
                fail_open: spec.fail == topology::FailMode::Open,
            }
        };
        self.topology.limits.iter().map(one).collect()
    }
}

fn fail_mode(written: &topology::FailMode) -> FailMode {
    match written {
        topology::FailMode::Open => FailMode::Open,
        topology::FailMode::Closed => FailMode::Closed,
    }
}
