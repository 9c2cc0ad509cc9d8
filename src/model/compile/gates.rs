//! Guards and limits.

use super::{Compiler, find, most_instances, named, optional};
use crate::component::breaker::{BreakerConfig, OpossumConfig, Resilience4jConfig};
use crate::component::concurrency::{AimdConfig, Gradient2Config, LimitConfig, VegasConfig};
use crate::component::guard::FailMode;
use crate::component::limiter::{Keeper, Rule};
use crate::component::waiting_room::{CoDelConfig, Order, RoomConfig, Shedding};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{Breaker, Bulkhead, Guard, Limit, Per, Watch};
use crate::topology;
use crate::topology::{ConcurrencyLimit, Named, QueueOrder};
use crate::units::Duration;

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
                release: threshold * spec.release.0,
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
            topology::Watch::PoolDemand(pool) => {
                Watch::PoolDemand(find(&topology.pools, &pool.name))
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
        let (Watch::PoolTotal(pool)
        | Watch::PoolBusy(pool)
        | Watch::PoolWaiting(pool)
        | Watch::PoolDemand(pool)) = watch
        else {
            return f64::INFINITY;
        };
        let spec = &self.topology.pools[pool.0 as usize].spec;
        let database = &named(&self.topology.databases, &spec.database.name).spec;
        let replicas = self.topology.reads_from(spec).len() as u32;
        let each = spec.most() + replicas * spec.most_to_replica();
        f64::from(database.most_shards()) * f64::from(each)
    }

    /// Whether a limit sees the address of a proxy that its service does not trust.
    fn hides_users(&self, limit: &Named<topology::Limit>) -> bool {
        let topology = self.topology;
        let stands_before = |service: &Named<topology::Service>| {
            let at = |one: &topology::Address<_>| {
                one.section == topology::Section::Limit && one.name == limit.name
            };
            service.spec.before.iter().any(at)
        };
        let proxied = |service: &Named<topology::Service>| {
            let asks = |operation: &Named<topology::Operation>| {
                let asked = topology.service_of(&operation.spec);
                operation.spec.cdn.is_some() && asked.is_some_and(|it| it.name == service.name)
            };
            topology.balancers.iter().any(|balancer| balancer.spec.service.name == service.name)
                || topology.operations.iter().any(asks)
        };
        !limit.spec.trust_proxy
            && topology.services.iter().any(|service| stands_before(service) && proxied(service))
    }

    pub(super) fn limits(&self) -> Dense<LimitId, Limit> {
        let one = |limit: &Named<topology::Limit>| {
            let spec = &limit.spec;
            let (max, window) = spec.rate();
            Limit {
                name: limit.name.clone(),
                station: self.station(&format!("limit.{}", limit.name)),
                per: match spec.counts_apart() {
                    topology::LimitPer::Address if self.hides_users(limit) => Per::All,
                    topology::LimitPer::Address => Per::Address,
                    topology::LimitPer::User => Per::User,
                    topology::LimitPer::All => Per::All,
                },
                rule: rule(&spec.algorithm, max),
                window,
                max,
                per_process: spec.store == topology::LimitStore::Memory,
                skip_failed: spec.skip_failed && spec.uncounts(),
                skip_successful: spec.skip_successful && spec.uncounts(),
                cache: match &spec.store {
                    topology::LimitStore::Shared(shared) => {
                        shared.cache.as_ref().map(|cache| find(&self.topology.caches, &cache.name))
                    }
                    topology::LimitStore::Memory => None,
                },
                kept: self.kept(spec),
                status: spec.respond.status,
                retry_after: optional(spec.respond.retry_after),
                errors: spec.errors.0,
                fail_open: spec.fail == topology::FailMode::Open,
            }
        };
        self.topology.limits.iter().map(one).collect()
    }
}

impl Compiler<'_> {
    /// Who keeps the counts of a limit in fixed windows, where their memory may run out.
    fn kept(&self, spec: &topology::Limit) -> Option<(Keeper, u64)> {
        if spec.algorithm != topology::LimitAlgorithm::FixedWindow {
            return None;
        }
        match &spec.store {
            topology::LimitStore::Memory => {
                let bounded = self.topology.services.iter().any(|it| it.spec.memory.is_some());
                bounded.then_some((Keeper::Process, spec.key_memory().0 as u64))
            }
            topology::LimitStore::Shared(shared) => {
                let cache = &named(&self.topology.caches, &shared.cache.as_ref()?.name).spec;
                let bounded = cache.memory.is_some();
                bounded.then_some((Keeper::Redis, spec.key_memory().0 as u64))
            }
        }
    }

    pub(super) fn bulkheads(&self) -> Dense<BulkheadId, Bulkhead> {
        let one = |bulkhead: &Named<topology::Bulkhead>| {
            let spec = &bulkhead.spec;
            Bulkhead {
                name: bulkhead.name.clone(),
                station: self.station(&format!("bulkhead.{}", bulkhead.name)),
                limit: concurrency(&spec.limit),
                room: spec.queue.as_ref().map(room),
                drop_expired: spec.queue.as_ref().is_some_and(|queue| queue.drop_expired),
                status: spec.respond.status,
                retry_after: optional(spec.respond.retry_after),
            }
        };
        self.topology.bulkheads.iter().map(one).collect()
    }

    /// Places in all workers of the services that use a bulkhead; 0 if the limit is found as it goes.
    pub(super) fn places(&self, bulkhead: &Named<topology::Bulkhead>) -> f64 {
        let ConcurrencyLimit::Fixed(places) = bulkhead.spec.limit else { return 0.0 };
        let topology = self.topology;
        let uses = |service: &&Named<topology::Service>| {
            let before =
                service.spec.before.iter().any(|at| {
                    at.section == topology::Section::Bulkhead && at.name == bulkhead.name
                });
            before
                || topology.steps().iter().any(|(at, step)| match &step.value {
                    topology::Step::Bulkhead(inner) => {
                        inner.of.name == bulkhead.name && *at == Some(service.name.as_str())
                    }
                    _ => false,
                })
        };
        let workers = |service: &Named<topology::Service>| {
            f64::from(most_instances(self.topology, &service.spec))
                * f64::from(service.spec.workers)
        };
        f64::from(places) * topology.services.iter().filter(uses).map(workers).sum::<f64>()
    }

    pub(super) fn breakers(&self) -> Dense<BreakerId, Breaker> {
        let one = |breaker: &Named<topology::Breaker>| {
            let usual = match breaker.spec.product {
                topology::BreakerProduct::Opossum(_) => Some(Duration::secs(10)),
                topology::BreakerProduct::Resilience4j(_) => None,
            };
            Breaker {
                name: breaker.name.clone(),
                station: self.station(&format!("breaker.{}", breaker.name)),
                config: breaker_config(&breaker.spec.product),
                timeout: optional(breaker.spec.timeout.or(usual)),
            }
        };
        self.topology.breakers.iter().map(one).collect()
    }
}

fn concurrency(written: &ConcurrencyLimit) -> LimitConfig {
    match written {
        ConcurrencyLimit::Fixed(count) => LimitConfig::Fixed(*count),
        ConcurrencyLimit::Aimd(spec) => LimitConfig::Aimd(AimdConfig {
            initial: spec.initial,
            least: spec.min,
            most: spec.max,
            backoff: spec.backoff.0,
            slow: spec.slow,
        }),
        ConcurrencyLimit::Vegas(spec) => LimitConfig::Vegas(VegasConfig {
            initial: spec.initial,
            most: spec.max,
            probe: spec.probe,
        }),
        ConcurrencyLimit::Gradient2(spec) => LimitConfig::Gradient2(Gradient2Config {
            initial: spec.initial,
            least: spec.min,
            most: spec.max,
            queue: spec.queue,
            tolerance: spec.tolerance,
            smoothing: spec.smoothing.0,
            window: spec.window,
        }),
    }
}

fn room(written: &topology::WaitingRoom) -> RoomConfig {
    let times =
        |delay: &topology::Delay| CoDelConfig { target: delay.target, interval: delay.interval };
    RoomConfig {
        size: written.size.unwrap_or(u32::MAX),
        order: match &written.order {
            QueueOrder::Fifo => Order::Fifo,
            QueueOrder::Lifo => Order::Lifo,
            QueueOrder::AdaptiveLifo(spec) => Order::AdaptiveLifo(spec.backlog),
        },
        timeout: optional(written.timeout),
        shedding: match &written.shed {
            None => Shedding::None,
            Some(topology::Shedding::CoDel(delay)) => Shedding::CoDel(times(delay)),
            Some(topology::Shedding::ControlledDelay(delay)) => {
                Shedding::ControlledDelay(times(delay))
            }
        },
    }
}

fn breaker_config(written: &topology::BreakerProduct) -> BreakerConfig {
    match written {
        topology::BreakerProduct::Opossum(spec) => BreakerConfig::Opossum(OpossumConfig {
            threshold: spec.threshold.0,
            volume: spec.volume,
            reset: spec.reset,
            window: spec.window,
            buckets: spec.buckets,
            capacity: spec.capacity.unwrap_or(u32::MAX),
        }),
        topology::BreakerProduct::Resilience4j(spec) => {
            BreakerConfig::Resilience4j(Resilience4jConfig {
                threshold: spec.threshold.0,
                slow_threshold: spec.slow_threshold.0,
                slow: spec.slow,
                window: spec.window,
                in_seconds: spec.window_type == topology::WindowType::TimeBased,
                volume: spec.volume,
                reset: spec.reset,
                trials: spec.trials,
                half_opens_itself: spec.half_open_itself,
                most_half_open: optional(spec.max_half_open),
            })
        }
    }
}

fn rule(written: &topology::LimitAlgorithm, max: u32) -> Rule {
    match written {
        topology::LimitAlgorithm::FixedWindow => Rule::FixedWindow,
        topology::LimitAlgorithm::SlidingLog => Rule::SlidingLog,
        topology::LimitAlgorithm::SlidingCounter => Rule::SlidingCounter,
        topology::LimitAlgorithm::TokenBucket(bucket) => {
            Rule::TokenBucket { burst: bucket.burst.unwrap_or(max) }
        }
        topology::LimitAlgorithm::Gcra(bucket) => Rule::Gcra { burst: bucket.burst.unwrap_or(max) },
        topology::LimitAlgorithm::LeakyBucket(bucket) => Rule::LeakyBucket { queue: bucket.queue },
        topology::LimitAlgorithm::Cycles(cycles) => Rule::Cycles { timeout: cycles.timeout },
    }
}

fn fail_mode(written: &topology::FailMode) -> FailMode {
    match written {
        topology::FailMode::Open => FailMode::Open,
        topology::FailMode::Closed => FailMode::Closed,
    }
}
