//! The self-audit at the end of every run. What it finds is a bug of ours, never of the file.

use crate::kernel::{Dense, PendingEvents};
use crate::model::StationKind;
use crate::model::ids::StationId;
use crate::model::tape::Op;

use super::meter::Still;
use super::outcome::Audit;
use super::task::{NONE, State, Task};
use super::world::World;

impl Audit {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.checks += 1;
        if !holds {
            self.broken.push(what());
        }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Checks that everything adds up at this instant.
    pub fn audit(&self) -> Audit {
        let mut audit = Audit::default();
        self.audit_requests(&mut audit);
        self.audit_queues(&mut audit);
        self.audit_connections(&mut audit);
        self.audit_servers(&mut audit);
        audit
    }

    /// Requests in = done + failed + interrupted + in flight.
    fn audit_requests(&self, audit: &mut Audit) {
        let observer = &self.observer;
        let ended = observer.ok + observer.failed.iter().sum::<u64>() + observer.interrupted;
        let inside = self.journeys.len() as u64;
        audit.check(observer.in_flight_then + observer.offered == ended + inside, || {
            format!(
                "requests: {} in flight at first + {} offered is not {ended} ended + {inside} in flight",
                observer.in_flight_then, observer.offered
            )
        });
        audit.check(observer.in_flight.value() == inside, || {
            format!("requests: {} counted in flight, {inside} there", observer.in_flight.value())
        });
    }

    /// Little's law, to the tick, for every queue: what the meters have summed up against who
    /// really stands there.
    fn audit_queues(&self, audit: &mut Audit) {
        let mut still: Dense<StationId, Still> =
            self.meters.iter().map(|_| Still::default()).collect();
        for slot in 0..self.tasks.capacity() as u32 {
            if let Some(station) = self.waits_at(self.tasks.peek(slot)) {
                still[station].add(self.tasks.peek(slot).since);
            }
        }
        for slot in 0..self.jobs.capacity() as u32 {
            if let Some((station, since)) = self.job_waits(slot) {
                still[station].add(since);
            }
        }
        self.streams_wait(&mut still);
        for (id, meter) in self.meters.enumerate() {
            let path = &self.model.stations[id].path;
            audit.check(meter.waiting.value() == still[id].count, || {
                format!(
                    "{path}: {} counted waiting, {} wait",
                    meter.waiting.value(),
                    still[id].count
                )
            });
            let error = meter.little_error(self.now, still[id]);
            audit.check(error == 0, || format!("{path}: Little's law is {error} ticks off"));
        }
    }

    /// In whose queue a task stands.
    fn waits_at(&self, task: &Task) -> Option<StationId> {
        let model = self.model;
        let op = || model.tape[task.pc.0 as usize];
        match task.state {
            State::Pending => match op() {
                Op::Enter { service, .. } => model.services[service].balancer_station,
                other => unreachable!("{other:?} waits for no target"),
            },
            State::Ready | State::Backlog => Some(self.station_of_worker(task.worker)),
            State::PlaceQueue => match op() {
                Op::Permit { bulkhead, .. } => Some(model.bulkheads[bulkhead].station),
                other => unreachable!("{other:?} waits for no place"),
            },
            State::ClientQueue => match model.tape[task.pc.0 as usize - 1] {
                Op::Call { agent, .. } => model.client_of(agent).station,
                other => unreachable!("{other:?} waits in no client"),
            },
            State::ThreadQueue => {
                Some(model.services[self.service_of_worker(task.worker)].threads_station)
            }
            State::ChildQueue => {
                Some(model.services[self.service_of_worker(task.worker)].children_station)
            }
            State::PoolQueue | State::Connecting => match op() {
                Op::Acquire { pool, .. } => Some(model.pools[pool].station),
                other => unreachable!("{other:?} waits for no connection"),
            },
            State::PoolerQueue => Some(self.pooler_station(task.lease())),
            State::LockQueue => match op() {
                Op::Query { locks, .. } => {
                    let want = model.wants[usize::from(locks.0) - 1];
                    Some(model.relations[want.relation].station)
                }
                other => unreachable!("{other:?} waits for no lock"),
            },
            State::CacheQueue | State::WithClient => match op() {
                Op::CacheGet { cache, .. }
                | Op::CacheSet { cache, .. }
                | Op::CacheDelete { cache, .. }
                | Op::CacheLock { cache, .. }
                | Op::CacheUnlock { cache, .. }
                | Op::Command { cache, .. } => Some(model.caches[cache].station),
                other => unreachable!("{other:?} waits for no cache"),
            },
            _ => None,
        }
    }

    /// Connections: what the pools have open is what the servers count, closing ones aside.
    fn audit_connections(&self, audit: &mut Audit) {
        for (kind, spec) in self.model.pools.enumerate() {
            let subs = self.pools.iter().filter(|sub| sub.kind == kind);
            let (mut total, mut busy) = (0, 0);
            for sub in subs {
                total += u64::from(sub.pool.total());
                busy += u64::from(sub.pool.busy());
                let config = sub.pool.config();
                audit.check(sub.pool.total() <= config.size + config.overflow, || {
                    format!("pool.{}: more connections than its size", spec.name)
                });
            }
            let meter = &self.meters[spec.station];
            audit.check(meter.held.value() == total, || {
                format!("pool.{}: {} counted, {total} open", spec.name, meter.held.value())
            });
            audit.check(meter.busy.value() == busy * 1000, || {
                format!(
                    "pool.{}: {} thousandths counted busy, {busy} are",
                    spec.name,
                    meter.busy.value()
                )
            });
        }
        for (kind, spec) in self.model.poolers.enumerate() {
            let of_kind = self.poolers.iter().filter(|state| state.kind == kind);
            let total: u64 = of_kind.clone().map(|state| u64::from(state.pool.total())).sum();
            let busy: u64 = of_kind.map(|state| u64::from(state.pool.busy())).sum();
            let meter = &self.meters[spec.station];
            audit.check(meter.held.value() == total && meter.busy.value() == busy * 1000, || {
                let (held, lent) = (meter.held.value(), meter.busy.value());
                format!(
                    "pooler.{}: {held} counted of {total}, {lent} / 1000 busy of {busy}",
                    spec.name
                )
            });
        }
        for (id, state) in self.databases.enumerate() {
            let spec = &self.model.databases[id];
            let mut stations = vec![spec.station, spec.replica_station];
            stations.dedup();
            let held: u64 = stations.iter().map(|station| self.meters[*station].held.value()).sum();
            let all: u64 = state.nodes.iter().map(|node| u64::from(node.connections)).sum();
            audit.check(held == all, || {
                format!("database.{}: {held} connections counted of {all}", spec.name)
            });
            for node in &state.nodes {
                audit.check(node.connections <= node.slots, || {
                    "a database has more connections than it grants".into()
                });
            }
        }
    }

    /// No more servers busy than there are; every running worker has its task.
    fn audit_servers(&self, audit: &mut Audit) {
        for (id, station) in self.model.stations.enumerate() {
            if matches!(station.kind, StationKind::Network | StationKind::Client)
                || station.capacity == 0.0
                || station.kind == StationKind::Queue
            {
                continue;
            }
            if station.kind == StationKind::Consumer {
                self.audit_handlers(id, audit);
                continue;
            }
            let peak = self.meters[id].busy.peak() as f64 / 1000.0;
            // In the middle of a deploy there are two fleets, each with bulkheads of its own.
            let fleets = |service: &crate::model::Service| {
                f64::from(service.slots) / f64::from(service.max_instances)
            };
            let fleets = match self.model.service_at(id) {
                Some(service) => fleets(&self.model.services[service]),
                None if station.kind == StationKind::Bulkhead => {
                    self.model.services.iter().map(fleets).fold(1.0, f64::max)
                }
                None => 1.0,
            };
            audit.check(peak <= station.capacity * fleets + 1e-3, || {
                format!("{}: {peak} servers busy of {}", station.path, station.capacity)
            });
        }
        for (id, service) in self.model.services.enumerate() {
            let Some(function) = &service.function else { continue };
            let counted = self.meters[function.executions].busy.value();
            let there = self.executions(id).unwrap_or(0);
            audit.check(counted == there * 1000, || {
                format!("{}: {counted} / 1000 executions counted of {there}", service.name)
            });
        }
        for worker in &self.workers {
            audit.check(
                worker.running == NONE
                    || !matches!(self.tasks[worker.running].state, State::Free | State::Ready),
                || "a worker runs a task that is not running".into(),
            );
        }
    }

    /// As many handlers are busy as there are. They may be more than there are partitions: who has lost one goes
    /// on with the message at hand, beside its new owner.
    fn audit_handlers(&self, id: StationId, audit: &mut Audit) {
        let (busy, there) = (self.meters[id].busy.value(), self.handlers_at(id));
        audit.check(busy == there * 1000, || {
            format!("{}: {busy} / 1000 handlers counted of {there}", self.model.stations[id].path)
        });
    }
}
