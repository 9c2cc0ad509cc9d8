//! Timers of a worker: what a process does by itself every so often.
//!
//! The callback of a timer that is due waits for the loop as all others do. Its time runs anew from
//! when it begins (Node.js 20, lib/internal/timers.js: a repeated timer starts at the loop's present),
//! so a loop that is blocked makes up for nothing.

use super::event::Kind;
use super::probing::purpose;
use super::task::{NONE, Task};
use super::world::World;
use crate::kernel::{Event, PendingEvents};
use crate::units::{Duration, Time};

impl<Q: PendingEvents> World<'_, Q> {
    /// The timers of those that run from the start: they were started at different times. Functions have one that
    /// looks how many are kept ready.
    pub(super) fn start_all_timers(&mut self) {
        self.start_provisioning();
        for worker in 0..self.workers.len() as u32 {
            let index = self.workers[worker as usize].instance;
            if self.instances[index as usize].phase.runs() {
                let name = &self.model.services[self.workers[worker as usize].service].name;
                let key = self.key.named("timers").named(name);
                let mut draws = key.draw(self.place_of_worker(worker) as u64);
                self.start_timers_at(worker, |every| every.scale(draws.unit()));
            }
        }
    }

    /// A worker has started: so have its timers.
    pub(super) fn start_timers(&mut self, worker: u32) {
        self.start_timers_at(worker, |every| every);
    }

    fn start_timers_at(&mut self, worker: u32, mut first: impl FnMut(Duration) -> Duration) {
        let Some(process) = self.process_of(self.workers[worker as usize].instance) else { return };
        let all: Vec<Time> =
            process.timers.iter().map(|timer| self.now + first(timer.every)).collect();
        for (timer, at) in all.iter().enumerate() {
            let ordinal = purpose::TIMER + timer as u32;
            self.events.push(Event::new(*at, Kind::Probe as u8, ordinal, worker));
        }
        self.workers[worker as usize].timers = all;
    }

    /// A timer is due: its callback is ready.
    pub(super) fn timer_due(&mut self, worker: u32, timer: u32) {
        let state = &mut self.workers[worker as usize];
        let Some(due) = state.timers.get_mut(timer as usize).filter(|due| **due == self.now) else {
            return; // the worker has died, or was stopped
        };
        *due = Time::NEVER;
        let index = state.instance;
        let process = self.process_of(index).expect("it has timers");
        let entry = process.timers[timer as usize].entry;
        let name = &self.model.services[self.workers[worker as usize].service].name;
        let stream = self.key.named("timer").named(name).numbered(u64::from(timer));
        let stream = stream.numbered(self.place_of_worker(worker) as u64).numbered(self.now.0);
        let task = self.new_task(Task::aside(stream, entry, worker, self.now));
        let state = &mut self.workers[worker as usize];
        if state.running != NONE {
            return self.resume(task);
        }
        // What it takes the loop to wake is in the callback's own time.
        state.running = task;
        self.meters[state.station].pass();
        self.run_loop(worker);
    }

    /// A timer's callback begins: from now on its time runs anew.
    pub(super) fn set_timer(&mut self, task: u32, timer: u16) {
        let worker = self.tasks[task].worker;
        self.tasks[task].pc.0 += 1;
        let index = self.workers[worker as usize].instance;
        let process = self.process_of(index).expect("it has timers");
        let at = self.now + process.timers[usize::from(timer)].every;
        // A process that has closed meanwhile sets none.
        let timers = &mut self.workers[worker as usize].timers;
        let Some(due) = timers.get_mut(usize::from(timer)) else { return };
        *due = at;
        let ordinal = purpose::TIMER + u32::from(timer);
        self.events.push(Event::new(at, Kind::Probe as u8, ordinal, worker));
    }
}
