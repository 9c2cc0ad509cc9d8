//! Workers that end after so many requests, against memory that leaks (uvicorn `limit_max_requests`,
//! gunicorn `max_requests`).
//!
//! A worker looks every 100 ms whether it has answered enough (0.54.0 server.py, `on_tick`). Then it
//! takes nothing more, answers what it has, and ends; its parent, which looks every 500 ms, starts
//! another (supervisors/multiprocess.py, `keep_subprocess_alive`). The parent keeps the listening
//! socket, so that connections wait when all workers end together. A single worker has no parent.

use super::event::Kind;
use super::meter::Counter;
use super::probing::purpose;
use super::world::World;
use crate::kernel::{Event, PendingEvents};
use crate::model::Recycling;
use crate::units::{Duration, Time};

/// How often a worker looks.
const TICK: Duration = Duration::millis(100);
/// How often its parent does.
const LOOK: Duration = Duration::millis(500);

/// The first of the instants that lie so far apart which comes after a time.
fn next(now: Time, each: Duration) -> Time {
    Time((now.0 / each.0 + 1) * each.0)
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether a worker takes requests.
    #[inline]
    pub(super) fn takes_requests(&self, worker: u32) -> bool {
        let state = &self.workers[worker as usize];
        !state.down && !state.leaving
    }

    /// Whether any worker of an instance does.
    #[inline]
    pub(super) fn some_worker_takes(&self, index: u32) -> bool {
        self.workers_of(index).any(|worker| self.takes_requests(worker))
    }

    /// A worker has answered one more.
    pub(super) fn count_answer(&mut self, worker: u32, rule: Recycling) {
        self.workers[worker as usize].answered += 1;
        if self.workers[worker as usize].answered == self.answers_at_most(worker, rule) {
            self.time_retirement(worker);
        }
    }

    /// How many requests a worker answers before it ends.
    fn answers_at_most(&self, worker: u32, rule: Recycling) -> u32 {
        let state = &self.workers[worker as usize];
        let name = &self.model.services[state.service].name;
        let key = self.key.named("recycling").named(name);
        let stream = key.numbered(self.place_of_worker(worker) as u64);
        let more = stream.draw(u64::from(state.lives)).below(rule.jitter.saturating_add(1));
        rule.after.saturating_add(more)
    }

    fn time_retirement(&mut self, worker: u32) {
        let at = next(self.now, TICK);
        self.events.push(Event::new(at, Kind::Probe as u8, purpose::RETIRE, worker));
    }

    /// A worker that has answered enough takes no more, or has answered all that it had.
    pub(super) fn end_recycled(&mut self, worker: u32) {
        let process = self.process_of(self.workers[worker as usize].instance);
        let rule = process.and_then(|it| it.recycling).expect("its workers end by themselves");
        let enough = self.answers_at_most(worker, rule);
        let state = &mut self.workers[worker as usize];
        if state.down || state.answered < enough {
            return; // it has died meanwhile
        }
        let may_end = std::mem::replace(&mut state.leaving, true) && state.open + state.jobs == 0;
        let service = state.service;
        if !may_end {
            return self.time_retirement(worker);
        }
        self.count(self.model.services[service].station, Counter::Recycled);
        if self.model.services[service].workers == 1 {
            return self.kill_worker(worker);
        }
        self.workers[worker as usize].down = true;
        self.end_process(worker);
        self.lose_sockets(worker);
        let at = next(self.now, LOOK) + rule.start;
        self.events.push(Event::new(at, Kind::Probe as u8, purpose::RESPAWN, worker));
    }
}
