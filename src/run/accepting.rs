//! Connections that wait in the kernel, and workers that take them from there by themselves.
//!
//! What no loop has seen yet is counted with the loop that will see it. On a socket that workers share
//! it may be any of them: whichever is done with its callback first takes all that wait, as a loop
//! accepts until there is nothing more (CPython selector_events.py, `_accept_connection`; libuv,
//! `uv__server_io`). With SO_REUSEPORT each connection belongs to one worker from the start.

use super::carried::place;
use super::task::{DIALLED, DIALS, NONE, Role};
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::HandOut;
use crate::stream::StreamKey;
use crate::units::Time;

/// Draws of a request: which worker polls first, and where its connection belongs.
const POLLS: u64 = 0xacc_e97;
const HASH: u64 = 0x5_09e0;

impl<Q: PendingEvents> World<'_, Q> {
    /// The worker that has the connection over which a request comes: a connection is handed out once,
    /// and whatever comes over it later is for the worker that took it, busy or not. [`None`] for a new
    /// connection, and for one whose worker is gone.
    pub(super) fn worker_of_connection(&self, task: u32, index: u32) -> Option<u32> {
        let record = &self.tasks[task];
        let spec = &self.model.services[self.instances[index as usize].service];
        let worker = match record.role {
            Role::Probe => return None,
            _ if spec.is_fronted() => (record.pending & DIALS == 0).then_some(record.worker),
            Role::Attempt if record.owner != NONE && self.model.client.connection.is_some() => {
                let is_new = self.journeys[record.owner].reloads & DIALLED != 0;
                let known = self.carried.workers.get(record.user as usize).copied();
                known.filter(|_| !is_new)
            }
            Role::Call if record.pending & DIALS == 0 => self.end_of_call(task),
            _ => None,
        };
        worker.filter(|worker| {
            self.workers_of(index).contains(worker) && self.takes_requests(*worker)
        })
    }

    /// A user's new connection belongs to a worker; what a balancer's belongs to is kept with it.
    pub(super) fn connection_goes_to(&mut self, task: u32, worker: u32) {
        let record = &self.tasks[task];
        let spec = &self.model.services[self.workers[worker as usize].service];
        if spec.is_fronted() {
            return;
        }
        match record.role {
            Role::Attempt if self.model.client.connection.is_some() => {
                let user = record.user;
                *place(&mut self.carried.workers, user, NONE) = worker;
            }
            Role::Call => self.line_goes_to(task, worker),
            _ => {}
        }
    }

    /// Whether the process still has a connection that was used last at that time: it has closed none, or its
    /// machine is gone and nobody else has.
    pub(super) fn keeps_connection(&self, worker: u32, used: Time) -> bool {
        let state = &self.workers[worker as usize];
        let is_another = state.started.is_some_and(|started| started > used);
        let listens = self.instances[state.instance as usize].phase.listens();
        self.takes_requests(worker) && listens && !is_another || self.is_silent(state.instance)
    }

    /// A process is gone, and with it its balancer's idle connections to it.
    pub(super) fn close_idle_connections(&mut self, worker: u32) {
        let index = self.workers[worker as usize].instance;
        let service = self.workers[worker as usize].service;
        self.carried.held.lose(worker);
        if self.model.services[service].health.keep_alive.is_none() || self.is_silent(index) {
            return;
        }
        let state = &mut self.services[service];
        let target = index - state.first_instance;
        for node in &mut state.nodes {
            let idle = &mut node.idle[target as usize];
            let before = idle.len() as i32;
            idle.retain(|connection| connection.worker != worker);
            let gone = idle.len() as i32 - before;
            node.targets.connect(target, gone);
        }
    }

    /// Whether a worker waits for something to come.
    pub(super) fn polls(&self, worker: u32) -> bool {
        let state = &self.workers[worker as usize];
        self.takes_requests(worker) && state.running == NONE
    }

    /// One of the workers that poll: all are woken, in the order in which they came to the socket, and one is
    /// first.
    pub(super) fn polling_worker(&self, stream: StreamKey, index: u32) -> u32 {
        let all = || self.workers_of(index).filter(|worker| self.polls(*worker));
        let first = self.model.services[self.instances[index as usize].service].first_polls;
        let mut draws = stream.draw(POLLS);
        let chosen = match all().count() as u32 {
            0 | 1 => 0,
            several if first == 0.0 => draws.below(several),
            // Where none of them has won, the race is run again.
            several => {
                let all_lose = libm::pow(1.0 - first, f64::from(several));
                let unit = draws.unit() * (1.0 - all_lose);
                let lost = libm::log(1.0 - unit) / libm::log(1.0 - first);
                (lost.max(0.0) as u32).min(several - 1)
            }
        };
        all().nth(chosen as usize).expect("who hands out has seen a worker that polls")
    }

    /// The worker that a connection belongs to, by a hash of its addresses.
    pub(super) fn hashed_worker(&self, stream: StreamKey, index: u32) -> u32 {
        let all = || self.workers_of(index).filter(|worker| self.takes_requests(*worker));
        let chosen = stream.draw(HASH).below((all().count() as u32).max(1));
        all().nth(chosen as usize).unwrap_or(self.instances[index as usize].first_worker)
    }

    /// A connection waits in the kernel until a certain loop looks.
    pub(super) fn leave_unseen(&mut self, worker: u32) {
        let state = &mut self.workers[worker as usize];
        state.unseen += 1;
        self.instances[state.instance as usize].unseen += 1;
    }

    /// A connection waits in the kernel and belongs to no loop: of a shared socket, all will look.
    pub(super) fn wait_unseen(&mut self, index: u32) {
        let service = self.instances[index as usize].service;
        let workers = self.workers_of(index);
        if self.model.services[service].hand_out != HandOut::Shared {
            return self.leave_unseen(workers.start);
        }
        for worker in workers {
            if self.workers[worker as usize].unseen == 0 {
                self.leave_unseen(worker);
            }
        }
    }

    /// A loop looks what has come, and accepts all of it.
    #[cold]
    pub(super) fn looks_up(&mut self, worker: u32) {
        let state = &mut self.workers[worker as usize];
        let (index, service) = (state.instance, state.service);
        self.instances[index as usize].unseen -= std::mem::take(&mut state.unseen);
        let spec = &self.model.services[service];
        if spec.hand_out != HandOut::Shared || !self.takes_requests(worker) {
            return;
        }
        loop {
            if !self.has_room(index) {
                return self.looks_when_one_closes(index);
            }
            let instance = &mut self.instances[index as usize];
            let Some(next) = instance.backlog.pop_front() else { return };
            self.leave(next, spec.station);
            self.accept_at(next, worker);
        }
    }
}
