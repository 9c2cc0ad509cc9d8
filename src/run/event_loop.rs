//! Event loops: callbacks run to completion, and the thread pools beside them.
//!
//! Callbacks wait first come first served, and one runs until it awaits something. Whatever completes
//! outside (an answer, a connection, a timer) makes a callback ready; it goes on only when the loop is
//! free. What a callback hands to another request of the same process, such as a connection it
//! releases, goes on within the same callback, as `process.nextTick` does (Node.js 20, libuv).

use super::event::Kind;
use super::meter::{Counter, MILLI, Part};
use super::task::{NONE, State, flag};
use super::world::World;
use crate::component::garbage::Heap;
use crate::failure::Failure;
use crate::kernel::{PendingEvents, Start};
use crate::model::UnitKind;
use crate::model::ids::{ServiceId, StationId};
use crate::model::tape::{Draw, Op, Pc};
use crate::units::{Duration, Time};
use std::collections::VecDeque;

/// After so long a thread of CPython gives its lock to another that waits for it
/// (`sys.getswitchinterval`, 5 ms).
const SWITCH_INTERVAL: Duration = Duration::millis(5);

/// Work on shared cores that is never done: who spins leaves by the clock.
pub(super) const FOREVER: Duration = Duration::secs(1_000_000);

/// An event loop with its thread pool.
pub struct Worker {
    /// Its instance.
    pub instance: u32,
    /// Its service.
    pub service: ServiceId,
    /// Where that is measured.
    pub station: StationId,
    /// The task whose callback runs; [`NONE`] when the loop polls.
    pub running: u32,
    /// Callbacks that are ready, in order.
    pub ready: VecDeque<u32>,
    /// Requests that it has accepted and not finished.
    pub open: u32,
    /// Handlers of jobs, and of messages of sockets, that it has at work.
    pub jobs: u32,
    /// WebSockets among them.
    pub sockets: u32,
    /// Memory that these take (bytes).
    pub socket_bytes: u64,
    /// What its requests take beyond what each is taken to take (bytes).
    pub request_bytes: f64,
    /// Threads at work.
    pub threads_busy: u32,
    /// Tasks that wait for a thread.
    pub thread_queue: VecDeque<u32>,
    /// Child processes that run.
    pub children: u32,
    /// Tasks that wait for one more.
    pub child_queue: VecDeque<u32>,
    /// Computation so far (ticks).
    pub busy_ticks: u64,
    /// When the loop last began to poll.
    pub polls_since: Time,
    /// When it last had a core that it shares.
    pub left: Time,
    /// The request that it was handed and has not taken yet; [`NONE`] if it is free for one.
    pub handed: u32,
    /// New connections that have come since it looked last.
    pub unseen: u32,
    /// When it became free, in the order of all of its instance.
    pub free_since: u32,
    /// What its flow has allocated since the last collections.
    pub heap: Heap,
    /// Collections that the loop stands still for at its next computation.
    pub pause: Duration,
    /// When its timers are due; [`Time::NEVER`] for one that is under way, or of a worker that is down.
    pub timers: Vec<Time>,
    /// It has died and is not back yet.
    pub down: bool,
    /// Requests that it has answered, where that may end it; how often it was started; and whether it
    /// takes no more.
    pub answered: u32,
    /// See `answered`.
    pub lives: u32,
    /// See `answered`.
    pub leaving: bool,
    /// When it was started; nothing if it has run for longer than the run.
    pub started: Option<Time>,
}

/// Callbacks that compute for less are in the way of no timer that keeps a job's lock.
const KEPT: Duration = Duration::millis(100);

impl<Q: PendingEvents> World<'_, Q> {
    /// Something that the task waited for outside its process is done: its callback is ready.
    pub fn resume(&mut self, task: u32) {
        let worker = self.tasks[task].worker;
        if worker == NONE {
            return self.advance_away(task);
        }
        let state = &mut self.workers[worker as usize];
        let station = state.station;
        if state.running == NONE {
            state.running = task;
            self.meters[station].pass();
            return self.wake(worker, task);
        }
        state.ready.push_back(task);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Ready, self.now);
        self.meters[station].enter(self.now);
    }

    /// A loop that polled has a callback to run; to wake may take it some time.
    #[inline]
    fn wake(&mut self, worker: u32, task: u32) {
        let state = &self.workers[worker as usize];
        let Some(wake) = &self.model.services[state.service].wake else {
            return self.run_loop(worker);
        };
        let work = wake.cost(self.now.since(state.polls_since));
        if work.is_zero() {
            return self.run_loop(worker);
        }
        self.take_loop(task, work, false);
    }

    /// Runs callbacks of a worker, the one that has the loop first, until one computes or none is
    /// ready.
    pub fn run_loop(&mut self, worker: u32) {
        loop {
            let task = self.workers[worker as usize].running;
            if self.workers[worker as usize].handed == task {
                self.taken(worker);
            }
            let mut computes = self.advance(task);
            self.inserted = 0;
            while let Some(other) = self.microtasks.pop_front() {
                // The task itself is among them when it goes on after a failure.
                computes |= self.advance(other);
            }
            if computes {
                return;
            }
            if self.workers[worker as usize].unseen != 0 {
                self.looks_up(worker);
            }
            let state = &mut self.workers[worker as usize];
            let Some(next) = state.ready.pop_front() else {
                state.running = NONE;
                state.polls_since = self.now;
                return;
            };
            state.running = next;
            let station = state.station;
            self.leave(next, station);
        }
    }

    /// A task goes on as soon as the running callback awaits something: before all callbacks that are
    /// ready, but after what that callback still computes.
    pub fn go_on_after(&mut self, task: u32) {
        let worker = self.tasks[task].worker;
        let state = &mut self.workers[worker as usize];
        if state.running == NONE {
            return self.resume(task);
        }
        state.ready.insert(self.inserted.min(state.ready.len()), task);
        self.inserted += 1;
        let station = state.station;
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Ready, self.now);
        self.meters[station].enter(self.now);
    }

    /// A running callback computes. Says whether it has the loop; a task that goes on within
    /// another's callback must wait, first in line. Who spins goes by the clock on the wall.
    pub fn compute(&mut self, task: u32, work: Draw, spins: bool) -> bool {
        let worker = self.tasks[task].worker;
        let state = &mut self.workers[worker as usize];
        let (index, service, station) = (state.instance, state.service, state.station);
        if state.running != task {
            // In the order in which they came to want it.
            state.ready.insert(self.inserted.min(state.ready.len()), task);
            self.inserted += 1;
            let record = &mut self.tasks[task];
            (record.state, record.since) = (State::Ready, self.now);
            self.meters[station].enter(self.now);
            return false;
        }
        let record = &self.tasks[task];
        let mut work = match record.has(flag::SLICED) {
            true => record.work,
            false => self.pace(record.worker, index, self.draw(work, task)),
        };
        let pause = std::mem::take(&mut self.workers[worker as usize].pause);
        work += pause;
        let one_lock = self.model.services[service].one_lock;
        if one_lock && work > SWITCH_INTERVAL {
            let record = &mut self.tasks[task];
            record.work = work - SWITCH_INTERVAL;
            record.flags |= flag::SLICED;
            work = SWITCH_INTERVAL;
        } else {
            let record = &mut self.tasks[task];
            record.flags &= !flag::SLICED;
            record.pc = Pc(record.pc.0 + 1);
        }
        self.take_loop(task, work, spins);
        true
    }

    /// The callback that has the loop computes for so long.
    fn take_loop(&mut self, task: u32, work: Duration, spins: bool) {
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Computing, self.now);
        let worker = record.worker;
        let state = &mut self.workers[worker as usize];
        state.busy_ticks += work.0;
        let (index, station, goes_on) = (state.instance, state.station, state.left == self.now);
        let host = self.instances[index as usize].host;
        self.tasks[task].deadline = self.now + work;
        if host == NONE {
            self.meters[station].busy.add(self.now, MILLI);
            return self.at_task(self.now + work, Kind::CpuDone, task);
        }
        let rank = self.model.services[self.instances[index as usize].service].rank;
        let from = Start { rank, goes_on };
        if self.on_shared_host(index) {
            self.meters[station].busy.add(self.now, MILLI);
        }
        if spins {
            self.tasks[task].deadline = Time::NEVER;
            self.join_host(host, FOREVER, task, from);
            return self.at_task(self.now + work, Kind::CpuDone, task);
        }
        self.join_host(host, work, task, from);
    }

    /// How long a computation takes at present: longer after a start, and on a slow machine.
    #[inline(always)]
    pub(super) fn pace(&self, worker: u32, index: u32, work: Duration) -> Duration {
        let work = self.condition(UnitKind::Instance, index).stretch(work);
        let state = &self.workers[worker as usize];
        match (self.model.services[state.service].warm_up, state.started) {
            (Some((times, over)), Some(started)) => {
                let age = self.now.since(started).seconds() / over.seconds();
                work.scale(1.0 + (times - 1.0) * (1.0 - age).max(0.0))
            }
            _ => work,
        }
    }

    /// A computation on a core of its own is over, or one by the clock; the callback goes on.
    pub fn cpu_done(&mut self, task: u32) {
        let record = &self.tasks[task];
        let (worker, since) = (record.worker, record.since);
        if worker == NONE {
            return self.bury(task);
        }
        let state = &self.workers[worker as usize];
        let (index, station) = (state.instance, state.station);
        let host = self.instances[index as usize].host;
        if host != NONE {
            self.workers[worker as usize].left = self.now;
            self.leave_host(host, task);
        }
        if host == NONE || self.on_shared_host(index) {
            self.meters[station].busy.add(self.now, -MILLI);
        }
        let length = self.now.since(since);
        self.spend(task, station, Part::Service, length);
        if length >= KEPT {
            self.loop_was_kept(worker, since);
        }
        self.offer_lock(task, worker);
        self.run_loop(worker);
    }

    /// Whoever has computed for the interpreter's switch interval lets others who wait for its lock
    /// go first: a thread all of them, a callback of the loop only a thread, since the loop goes on
    /// with the same callback.
    pub(super) fn offer_lock(&mut self, task: u32, worker: u32) {
        let record = &self.tasks[task];
        if !record.has(flag::SLICED) {
            return;
        }
        let in_thread = record.has(flag::IN_THREAD);
        let ready = &self.workers[worker as usize].ready;
        let next = match in_thread {
            true => (!ready.is_empty()).then_some(0),
            false => ready.iter().position(|other| self.tasks[*other].has(flag::IN_THREAD)),
        };
        let Some(next) = next else { return };
        let station = self.station_of_worker(worker);
        let ready = &mut self.workers[worker as usize].ready;
        let other = ready.remove(next).expect("its place was just found");
        match in_thread {
            true => ready.push_back(task),
            false => ready.push_front(task),
        }
        self.workers[worker as usize].running = other;
        self.leave(other, station);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Ready, self.now);
        self.meters[station].enter(self.now);
    }

    /// A task's process has died: it leaves the cores that it shared.
    pub(super) fn leave_cores(&mut self, task: u32) {
        let index = self.workers[self.tasks[task].worker as usize].instance;
        let left = self.leave_host(self.instances[index as usize].host, task);
        assert!(left.is_some(), "who computes on shared cores is among them");
    }

    /// A callback hands the rest of its flow to a thread, as soon as one is free (anyio 4.16.0: a
    /// limiter of so many tokens, first come first served).
    pub fn enter_thread(&mut self, task: u32) {
        let worker = self.tasks[task].worker;
        let state = &mut self.workers[worker as usize];
        let service = &self.model.services[state.service];
        let station = service.threads_station;
        if !self.tasks[task].has(flag::THREAD) {
            self.meters[station].count(Counter::Arrivals);
            if state.threads_busy >= service.threads {
                state.thread_queue.push_back(task);
                let record = &mut self.tasks[task];
                (record.state, record.since) = (State::ThreadQueue, self.now);
                return self.meters[station].enter(self.now);
            }
            state.threads_busy += 1;
            self.meters[station].pass();
            self.meters[station].busy.add(self.now, MILLI);
        }
        let record = &mut self.tasks[task];
        record.flags |= flag::THREAD | flag::IN_THREAD;
        record.pc = Pc(record.pc.0 + 1);
        self.resume(task);
    }

    /// A thread is done with its flow: a callback of the loop takes over.
    pub fn leave_thread(&mut self, task: u32) {
        let record = &mut self.tasks[task];
        record.flags &= !flag::IN_THREAD;
        record.pc = Pc(record.pc.0 + 1);
        self.resume(task);
    }

    /// The callback that took over gives the thread back.
    pub fn free_thread(&mut self, task: u32) {
        self.tasks[task].pc.0 += 1;
        self.drop_thread(task);
    }

    /// A task has its thread no longer: the oldest that waits has it from now on, and its callback is
    /// ready.
    pub fn drop_thread(&mut self, task: u32) {
        let record = &mut self.tasks[task];
        record.flags &= !(flag::THREAD | flag::IN_THREAD | flag::SLICED);
        let worker = record.worker;
        let index = self.workers[worker as usize].instance;
        let station = self.model.services[self.instances[index as usize].service].threads_station;
        self.meters[station].count(Counter::Served);
        self.meters[station].busy.add(self.now, -MILLI);
        match self.workers[worker as usize].thread_queue.pop_front() {
            Some(next) => {
                self.leave(next, station);
                self.take_thread(next, station);
            }
            None => self.workers[worker as usize].threads_busy -= 1,
        }
    }

    /// A task has the thread that another has left: it works there, or its callback hands its flow
    /// over.
    fn take_thread(&mut self, task: u32, station: StationId) {
        if matches!(self.op_at(task), Op::Threads { .. }) {
            return self.start_thread(task);
        }
        self.meters[station].busy.add(self.now, MILLI);
        self.tasks[task].flags |= flag::THREAD;
        self.resume(task);
    }

    /// Whether uvicorn lets a request pass: not if its worker has as many connections as it may, that of
    /// the request and idle ones included (`limit_concurrency`; httptools_impl, `len(self.connections)`).
    pub fn admit(&mut self, task: u32, most: u32) -> bool {
        let worker = self.tasks[task].worker;
        let idle = self.connections_idle(worker);
        if self.workers[worker as usize].open + idle < most {
            self.tasks[task].pc.0 += 1;
            return true;
        }
        let station = self.station_of_worker(worker);
        self.count(station, Counter::Rejected);
        self.refuse(task, 503, Duration::ZERO);
        self.fail(task, Failure::Guarded);
        false
    }

    /// A callback hands work to its process's thread pool.
    pub fn enter_threads(&mut self, task: u32) {
        let worker = self.tasks[task].worker;
        let state = &mut self.workers[worker as usize];
        let service = &self.model.services[state.service];
        let station = service.threads_station;
        self.meters[station].count(Counter::Arrivals);
        if state.threads_busy < service.threads {
            state.threads_busy += 1;
            self.meters[station].pass();
            return self.start_thread(task);
        }
        state.thread_queue.push_back(task);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::ThreadQueue, self.now);
        self.meters[station].enter(self.now);
    }

    fn start_thread(&mut self, task: u32) {
        let Op::Threads { work } = self.model.tape[self.tasks[task].pc.0 as usize] else {
            unreachable!("a task enters the thread pool where its tape says so")
        };
        let index = self.workers[self.tasks[task].worker as usize].instance;
        let work = self.pace(self.tasks[task].worker, index, self.draw(work, task));
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::InThread, self.now);
        record.deadline = self.now + work;
        let service = self.instances[index as usize].service;
        self.meters[self.model.services[service].threads_station].busy.add(self.now, MILLI);
        let host = self.instances[index as usize].host;
        if host != NONE {
            let from = Start::anew(self.model.services[service].rank);
            self.join_host(host, work, task, from);
        } else {
            self.at_task(self.now + work, Kind::ThreadDone, task);
        }
    }

    /// A thread with a core of its own is done.
    pub fn thread_done(&mut self, task: u32) {
        let record = &self.tasks[task];
        let (worker, since) = (record.worker, record.since);
        let index = self.workers[worker as usize].instance;
        let station = self.model.services[self.instances[index as usize].service].threads_station;
        self.spend(task, station, Part::Service, self.now.since(since));
        self.thread_freed(task);
    }

    /// The thread takes the next task; this one's callback is ready.
    pub(super) fn thread_freed(&mut self, task: u32) {
        let worker = self.tasks[task].worker;
        let index = self.workers[worker as usize].instance;
        let station = self.model.services[self.instances[index as usize].service].threads_station;
        self.meters[station].busy.add(self.now, -MILLI);
        self.meters[station].count(Counter::Served);
        match self.workers[worker as usize].thread_queue.pop_front() {
            Some(next) => {
                self.leave(next, station);
                self.take_thread(next, station);
            }
            None => self.workers[worker as usize].threads_busy -= 1,
        }
        let record = &mut self.tasks[task];
        record.pc = Pc(record.pc.0 + 1);
        self.resume(task);
    }
}
