//! One replication: a model and a seed in, an [`Outcome`] out.
//!
//! `step.rs` is the whole simulator in one match; `world.rs` is all that changes; every kind of
//! component has its file. The engine knows no files, threads or clock: whoever runs it may look in
//! through [`Watcher`] now and then, and stop it.

mod accepting;
mod affinity;
mod agent;
mod answer;
mod arrivals;
mod audit;
mod balancing;
mod branch;
mod breaker;
mod bulkhead;
mod by_instance;
mod cache;
mod cache_store;
mod capacity_units;
mod carried;
mod checking;
mod child;
mod chunks;
mod cdn;
mod cdn_joined;
mod cdn_shield;
mod client;
mod course;
mod consumer;
mod cut;
mod database;
mod deadline;
mod deploy;
mod dns;
pub mod event;
mod event_loop;
mod fault;
mod flights;
mod function;
mod gate;
mod harm;
mod host;
mod interrupting;
mod job;
mod lifecycle;
mod link;
mod mapping;
pub mod meter;
mod observe;
mod open_connections;
pub mod outcome;
mod outdated;
mod passing;
mod pending;
mod policy;
mod polling;
mod pool;
mod pooler;
mod node_loss;
mod noted;
mod probing;
mod provisioned;
mod queue;
mod queue_limiter;
mod queue_requests;
mod queue_scripts;
mod queue_store;
mod recorded;
mod recycling;
mod redis_client;
mod redis_memory;
mod redis_persistence;
mod redis_seats;
mod redis_size;
mod retrying;
mod scaling;
mod service;
mod service_jobs;
mod session;
mod slots;
mod socket;
mod stall;
mod standby;
mod step;
mod store;
mod store_connections;
pub mod story;
mod stream;
mod task;
#[cfg(test)]
mod testing;
mod timer;
mod transport;
mod unseen;
mod upstream;
mod ways;
mod workers;
mod world;
mod zones;

pub use by_instance::ByInstance;
pub use cdn::cdn_of;
pub use dns::NameMark;
pub use meter::{Class, Counter, Part};
pub use observe::{OperationTally, happened};
pub use outcome::{
    Attempts, Audit, CrashMark, DeployMark, Ended, Fate, FaultMark, Outcome, Requests,
    StationOutcome, StationWindow, Window,
};
pub use task::{Role, State};

use crate::kernel::{EventList, PendingEvents, ReferenceEventList};
use crate::model::Model;
use crate::units::{Duration, Time};
use meter::MILLI;
use world::World;

/// Looks at a run now and then.
pub trait Watcher {
    /// Called every few thousand events with the simulated time, the end of it and the events so
    /// far; says whether to go on.
    fn watch(&mut self, now: Time, horizon: Time, events: u64) -> bool;
}

/// Nobody looks; nothing stops the run but its own limits.
pub struct Unwatched;
impl Watcher for Unwatched {
    fn watch(&mut self, _: Time, _: Time, _: u64) -> bool {
        true
    }
}

/// How many events pass between two looks.
const LOOK_EVERY: u64 = 1 << 14;

/// Runs one replication.
pub fn replicate(model: &Model, replication: u32, watcher: &mut dyn Watcher) -> Outcome {
    run_on(World::<EventList>::new(model, replication), replication, watcher)
}

/// Runs one replication on the simple reference event list; the outcome is the same.
pub fn replicate_on_reference(model: &Model, replication: u32) -> Outcome {
    run_on(World::<ReferenceEventList>::new(model, replication), replication, &mut Unwatched)
}

fn run_on<Q: PendingEvents>(
    mut world: World<Q>,
    replication: u32,
    watcher: &mut dyn Watcher,
) -> Outcome {
    let horizon = world.horizon();
    let plan = &world.model.plan;
    let (most_events, most_bytes) = (plan.max_events, plan.max_memory_bytes);
    let mut ended = Ended::Completed;
    let mut events: u64 = 0;
    while let Some(event) = world.events.pop() {
        if event.at() > horizon {
            break;
        }
        world.step(event);
        events += 1;
        if events.is_multiple_of(LOOK_EVERY) || events == most_events {
            if events >= most_events {
                ended = Ended::EventLimit;
            } else if world.bytes_in_flight() > most_bytes {
                ended = Ended::MemoryLimit;
            } else if !watcher.watch(world.now, horizon, events) {
                ended = Ended::Interrupted;
            }
            if ended != Ended::Completed {
                break;
            }
        }
    }
    if ended == Ended::Completed {
        world.now = horizon;
    }
    world.observer.events = events;
    conclude(world, replication, ended)
}

/// Closes the books.
fn conclude<Q: PendingEvents>(mut world: World<Q>, replication: u32, ended: Ended) -> Outcome {
    world.stop_observing();
    let audit = world.audit();
    let now = world.now;
    let start = Time::ZERO + world.model.plan.warmup;
    let measured = if world.observer.measuring { now.since(start) } else { Duration::ZERO };
    let stations = world.model.stations.ids().map(|id| world.station_outcome(id, measured));
    let stations = stations.collect();
    let ticks = measured.0.max(1) as f64;
    let instances =
        world.services.iter().map(|service| service.instance_ticks as f64 / ticks).collect();
    let capacity_units = world.capacity_unit_hours();
    let failovers = world.name_marks();
    let faults = world.faults.map(|state| state.marks).unwrap_or_default();
    let deploys = world.deploys.ids().filter_map(|id| {
        let deploy = &world.deploys[id];
        Some(DeployMark {
            deploy: id,
            from: deploy.from?,
            until: deploy.until,
            undone: deploy.undone,
            units: deploy.units,
            failed: deploy.failed,
        })
    });
    let deploys = deploys.collect();
    let crashes = world.databases.ids().flat_map(|database| {
        let of_one = world.databases[database].crashes.iter();
        of_one.map(move |(from, until)| CrashMark { database, from: *from, until: *until })
    });
    let crashes = crashes.collect();
    let by_instance = world.by_instance;
    let observer = world.observer;
    Outcome {
        replication,
        ended,
        measured,
        events: observer.events,
        requests: Requests {
            offered: observer.offered,
            ok: observer.ok,
            failed: observer.failed,
            in_flight_start: observer.in_flight_then,
            in_flight_end: observer.in_flight.value(),
            in_flight_mean: observer.in_flight.mean(now).unwrap_or(0.0),
        },
        attempts: Attempts {
            sent: observer.attempts,
            failed: observer.attempts_failed,
            late: observer.late,
            dropped: world.arrivals.dropped,
            interrupted: observer.interrupted,
            connections: observer.connections,
            elsewhere: observer.elsewhere,
        },
        latency: observer.latency(),
        failed_latency: observer.failed_latency,
        attempt_latency: observer.attempt_latency,
        operations: observer.operations,
        stations,
        instances,
        capacity_units,
        windows: observer.windows,
        faults,
        deploys,
        failovers,
        crashes,
        by_instance,
        classes: world.attribution.into_classes(),
        audit,
        digest: observer.digest,
        fates: observer.fates,
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    fn station_outcome(
        &self,
        id: crate::model::ids::StationId,
        measured: Duration,
    ) -> StationOutcome {
        let meter = &self.meters[id];
        let now = self.now;
        let ticks = measured.0.max(1) as f64;
        let milli = MILLI as f64;
        StationOutcome {
            busy_mean: meter.busy.mean(now).unwrap_or(0.0) / milli,
            busy_peak: meter.busy.peak() as f64 / milli,
            capacity: self.mean_capacity(id, ticks),
            waiting_mean: meter.waiting.mean(now).unwrap_or(0.0),
            waiting_peak: meter.waiting.peak(),
            held_mean: meter.held.mean(now).unwrap_or(0.0),
            held_peak: meter.held.peak(),
            oldest_s: self.queue_at(id).map(|queue| {
                let oldest = queue.queue.oldest();
                (oldest.mean_s(now).unwrap_or(0.0), oldest.peak(now).seconds())
            }),
            delayed: self
                .queue_at(id)
                .map(|queue| (queue.delayed.mean(now).unwrap_or(0.0), queue.delayed.peak())),
            wait: meter.wait.clone(),
            time_above: meter.busy.time_reached(now).map(|time| time.0 as f64 / ticks),
            counters: meter.counters,
            worker_busiest: self.busiest_worker(id, ticks),
            memory: self.memory_at(id),
            imbalance: meter.imbalance(now).or_else(|| self.uneven_zones(id)),
        }
    }

    fn queue_at(&self, id: crate::model::ids::StationId) -> Option<&queue::QueueState> {
        let (queue, _) = self.model.queues.enumerate().find(|(_, spec)| spec.station == id)?;
        Some(&self.queues[queue])
    }

    /// Servers on average: instances come and go where a service scales.
    fn mean_capacity(&self, id: crate::model::ids::StationId, ticks: f64) -> f64 {
        let whole = self.model.stations[id].capacity;
        let lent = self.model.queues.iter().find(|it| it.station == id);
        if let Some((queue, service)) = lent.and_then(|it| Some((it, it.service?))) {
            let spec = &self.model.services[service];
            let running = self.services[service].instance_ticks as f64 / ticks;
            return f64::from(queue.concurrency * spec.workers) * running;
        }
        let crew = self.model.queues.iter().find(|it| it.station == id && it.autoscale.is_some());
        if let Some(queue) = crew {
            let running = self.meters[id].held.mean(self.now).unwrap_or(0.0);
            return f64::from(queue.concurrency) * running;
        }
        let group =
            self.model.consumers.iter().find(|it| it.station == id && it.autoscale.is_some());
        if let Some(group) = group {
            let running = self.meters[id].held.mean(self.now).unwrap_or(0.0);
            return (f64::from(group.concurrency) * running).min(whole);
        }
        let Some(service) = self.model.service_at(id) else { return whole };
        let running = self.services[service].instance_ticks as f64 / ticks;
        whole / f64::from(self.model.services[service].max_instances) * running
    }

    fn busiest_worker(&self, id: crate::model::ids::StationId, ticks: f64) -> Option<(f64, f64)> {
        let (service, spec) =
            self.model.services.enumerate().find(|(_, spec)| spec.station == id)?;
        let first = self.instances[self.services[service].first_instance as usize].first_worker;
        let count = spec.max_instances * spec.workers;
        let workers = &self.workers[first as usize..(first + count) as usize];
        let busiest = workers.iter().map(|worker| worker.busy_ticks).max()?;
        let sum: u128 = workers.iter().map(|worker| u128::from(worker.busy_ticks)).sum();
        Some((busiest as f64 / ticks, sum as f64 / ticks / f64::from(count)))
    }
}
