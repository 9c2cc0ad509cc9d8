//! Circuit breakers: calls that are made, watched and cut short, or fail at once.

use super::event::Kind;
use super::meter::{Counter, Part};
use super::task::{OK, Role, State};
use super::world::World;
use crate::component::breaker::{self, Breaker, Ended};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::BreakerId;
use crate::model::tape::{DrawId, Pc};
use crate::units::{Duration, Time};

/// A circuit breaker while it runs: one for each worker process, with whether it was not closed when
/// it was last used.
#[derive(Default)]
pub struct BreakerState {
    per_worker: Vec<Option<(Breaker, bool)>>,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Does something with the breaker of a worker, and keeps the meter of those not closed right.
    fn with_breaker<R>(
        &mut self,
        id: BreakerId,
        worker: u32,
        change: impl FnOnce(&mut Breaker, Time) -> R,
    ) -> R {
        let spec = &self.model.breakers[id];
        let place = worker as usize;
        let started = self.workers[place].started.unwrap_or(Time::ZERO);
        let all = &mut self.breakers[id].per_worker;
        if all.len() <= place {
            all.resize_with(place + 1, || None);
        }
        let (breaker, was_tripped) =
            all[place].get_or_insert_with(|| (Breaker::new(spec.config, started), false));
        let (before, openings) = (breaker.state(self.now), breaker.openings());
        let result = change(breaker, self.now);
        let after = breaker.state(self.now);
        let meter = &mut self.meters[spec.station];
        let opened = match (openings, breaker.openings()) {
            (Some(before), Some(after)) => after - before,
            _ => u32::from(after == breaker::State::Open && before != after),
        };
        meter.add(Counter::Opened, u64::from(opened));
        let is_tripped = after != breaker::State::Closed;
        if is_tripped != *was_tripped {
            meter.held.add(self.now, if is_tripped { 1 } else { -1 });
            *was_tripped = is_tripped;
        }
        result
    }

    /// A running callback calls through a breaker.
    pub fn protect(&mut self, task: u32, id: BreakerId, entry: Pc, draw: DrawId) {
        let spec = &self.model.breakers[id];
        let worker = self.tasks[task].worker;
        self.count(spec.station, Counter::Arrivals);
        if self.with_breaker(id, worker, |breaker, now| breaker.begin(now)).is_err() {
            self.count(spec.station, Counter::Rejected);
            return self.fail(task, Failure::BreakerOpen);
        }
        let stream = self.tasks[task].stream.numbered(u64::from(draw.0));
        self.await_children(task, 1);
        if let Some(limit) = spec.timeout {
            self.tasks[task].deadline = self.now + limit;
            self.at_task(self.now + limit, Kind::CallTimeout, task);
        }
        self.start_branch(task, Role::Protected, entry, id.0 as u16, stream);
    }

    /// A call through a breaker has ended in time.
    pub fn protected_over(&mut self, call: u32, owner: u32) {
        let (record, since) = (self.tasks[call], self.tasks[owner].since);
        let id = BreakerId(u32::from(record.branch));
        let ended = if record.status == OK { Ended::Success } else { Ended::Failure };
        self.call_ended(id, record.worker, ended, self.now.since(since));
    }

    fn call_ended(&mut self, id: BreakerId, worker: u32, ended: Ended, took: Duration) {
        let counter = if ended == Ended::Success { Counter::Served } else { Counter::Errors };
        self.count(self.model.breakers[id].station, counter);
        self.with_breaker(id, worker, |breaker, now| breaker.end(now, ended, took));
    }

    /// A call through a breaker takes too long: it has failed, and goes on for nobody. The caller's
    /// epoch has moved on, so that its end is not heard of.
    pub fn protected_timeout(&mut self, task: u32, id: BreakerId) {
        let record = self.tasks[task];
        debug_assert!(record.state == State::Forked, "who has called waits");
        let took = self.now.since(record.since);
        let station = self.model.breakers[id].station;
        self.count(station, Counter::TimedOut);
        self.spend(task, station, Part::Wait, took);
        self.call_ended(id, record.worker, Ended::Failure, took);
        self.resume_failed(task, Failure::BreakerTimeout);
    }

    /// A process has died with its breakers.
    pub fn forget_breakers(&mut self, worker: u32) {
        for (id, spec) in self.model.breakers.enumerate() {
            let state = self.breakers[id].per_worker.get_mut(worker as usize);
            if let Some((_, true)) = state.and_then(Option::take) {
                self.meters[spec.station].held.add(self.now, -1);
            }
        }
    }
}
