//! Services: balancers, instances, event loops, thread pools, autoscaling.
//!
//! A worker is a run-to-completion event loop (Node.js 20, libuv): callbacks wait first come first
//! served, and one runs until it awaits something. Whatever completes outside (an answer, a
//! connection, a timer) makes a callback ready; it goes on only when the loop is free. What a
//! callback hands to another request of the same process, such as a connection it releases, goes on
//! within the same callback, as `process.nextTick` does.

use std::collections::VecDeque;

use crate::component::autoscaler::{Autoscaler, Decision};
use crate::component::balancer::{Balancer, Targets};
use crate::failure::Failure;
use crate::kernel::{PendingEvents, ProcessorSharing};
use crate::model::ids::ServiceId;
use crate::model::tape::{Draw, Op, Pc};
use crate::model::{Affinity, Model};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::{Counter, MILLI, Part};
use super::task::{NONE, State, flag};
use super::world::World;

/// A service while it runs.
pub struct ServiceState {
    /// Its first instance.
    pub first_instance: u32,
    /// Chooses instances.
    pub balancer: Balancer,
    /// What the balancer knows of them.
    pub targets: Targets,
    /// Instances that run.
    pub running: u32,
    /// Instances wanted; more than run while some start.
    pub wanted: u32,
    /// Sum of running instances over time (instance ticks).
    pub instance_ticks: u128,
    /// The same since the start of the run.
    all_ticks: u128,
    /// That sum at the autoscaler's last look.
    ticks_then: u128,
    /// When these sums were brought up to date.
    counted_to: Time,
    /// The autoscaler.
    pub autoscaler: Option<Autoscaler>,
    /// Busy core time at the autoscaler's last look.
    pub busy_then: u128,
}

/// Whether an instance takes requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Not there.
    Off,
    /// Starting.
    Starting,
    /// Taking requests.
    Up,
    /// Finishing what it has; the balancer sends it nothing new.
    Draining,
}

/// A machine, task or pod.
pub struct Instance {
    /// Whose.
    pub service: ServiceId,
    /// Its first worker.
    pub first_worker: u32,
    /// The next worker to get a request: Node's cluster hands out in rotation.
    pub rotation: u32,
    /// Requests that it has accepted and not finished.
    pub open: u32,
    /// Requests that wait to be accepted.
    pub backlog: VecDeque<u32>,
    /// Its cores, where loops and threads can want more than there are.
    pub host: Option<ProcessorSharing>,
    /// When the host's next departure is scheduled.
    pub armed: Time,
    /// Whether it takes requests.
    pub phase: Phase,
}

/// An event loop with its thread pool.
pub struct Worker {
    /// Its instance.
    pub instance: u32,
    /// The task whose callback runs; [`NONE`] when the loop polls.
    pub running: u32,
    /// Callbacks that are ready, in order.
    pub ready: VecDeque<u32>,
    /// Requests that it has accepted and not finished.
    pub open: u32,
    /// Threads at work.
    pub threads_busy: u32,
    /// Tasks that wait for a thread.
    pub thread_queue: VecDeque<u32>,
    /// Computation so far (ticks).
    pub busy_ticks: u64,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Instances and workers, the autoscalers' maximum included.
    pub fn build_services(&mut self) {
        for (id, service) in self.model.services.enumerate() {
            let first_instance = self.instances.len() as u32;
            for index in 0..service.max_instances {
                let phase = if index < service.instances { Phase::Up } else { Phase::Off };
                let first_worker = self.workers.len() as u32;
                let host =
                    service.contended.then(|| ProcessorSharing::new(service.cores, 0.0, 0.0));
                self.instances.push(Instance {
                    service: id,
                    first_worker,
                    rotation: 0,
                    open: 0,
                    backlog: VecDeque::new(),
                    host,
                    armed: Time::NEVER,
                    phase,
                });
                for _ in 0..service.workers {
                    self.workers.push(Worker {
                        instance: first_instance + index,
                        running: NONE,
                        ready: VecDeque::new(),
                        open: 0,
                        threads_busy: 0,
                        thread_queue: VecDeque::new(),
                        busy_ticks: 0,
                    });
                }
            }
            let mut targets = Targets::new(&vec![1; service.max_instances as usize]);
            for index in service.instances..service.max_instances {
                targets.set_available(index, false);
            }
            if let Some(scaling) = &service.autoscale {
                self.at(Time::ZERO + scaling.period, Kind::Autoscale, id.0);
            }
            let balancer = match service.sticky {
                true => Balancer::sticky(service.policy),
                false => Balancer::new(service.policy),
            };
            self.services.push(ServiceState {
                first_instance,
                balancer,
                targets,
                running: service.instances,
                wanted: service.instances,
                instance_ticks: 0,
                all_ticks: 0,
                ticks_then: 0,
                counted_to: Time::ZERO,
                autoscaler: service
                    .autoscale
                    .as_ref()
                    .map(|scaling| Autoscaler::new(scaling.policy, service.instances)),
                busy_then: 0,
            });
            self.meters[service.station].held.set(Time::ZERO, u64::from(service.instances));
        }
    }

    /// A request reaches the balancer of the service that its task is about to enter.
    pub fn land(&mut self, task: u32) {
        let Op::Enter { service, .. } = self.model.tape[self.tasks[task].pc.0 as usize] else {
            unreachable!("a task lands where its tape says so")
        };
        let spec = &self.model.services[service];
        let record = self.tasks[task];
        let key = match spec.affinity {
            Affinity::User => u64::from(record.user),
            Affinity::Address => u64::from(record.user % self.model.client.addresses),
        };
        let mut draws = record.stream.draw(u64::from(spec.numbers));
        let state = &mut self.services[service];
        let picked = state.balancer.pick(&state.targets, key, || draws.next_u64());
        let Some(target) = picked else {
            self.count(spec.station, Counter::Rejected);
            return self.fail(task, Failure::NoInstance);
        };
        state.targets.sent(target);
        let instance = state.first_instance + target;
        let record = &mut self.tasks[task];
        record.flags |= flag::OUTSTANDING;
        record.worker = self.instances[instance as usize].first_worker;
        let hop = self.model.draw_law(spec.hop, record.stream, 0x0b0b);
        if hop.is_zero() {
            return self.place(task);
        }
        record.since = self.now;
        self.spend(task, self.network, Part::Service, hop);
        self.at_task(self.now + hop, Kind::Place, task);
    }

    /// A request reaches its instance: it is accepted, waits in the backlog, or is refused.
    pub fn place(&mut self, task: u32) {
        let index = self.workers[self.tasks[task].worker as usize].instance;
        let instance = &mut self.instances[index as usize];
        let spec = &self.model.services[instance.service];
        self.meters[spec.station].count(Counter::Arrivals);
        if instance.phase == Phase::Off {
            return self.fail(task, Failure::InstanceLost);
        }
        if spec.max_connections.is_some_and(|most| instance.open >= most) {
            if instance.backlog.len() >= spec.backlog as usize {
                self.count(spec.station, Counter::Refused);
                return self.fail(task, Failure::Refused);
            }
            instance.backlog.push_back(task);
            let record = &mut self.tasks[task];
            (record.state, record.since) = (State::Backlog, self.now);
            self.meters[spec.station].enter(self.now);
            return;
        }
        self.accept(task, index);
    }

    /// The instance takes the request and hands it to the next of its workers in rotation.
    fn accept(&mut self, task: u32, index: u32) {
        let instance = &mut self.instances[index as usize];
        let workers = self.model.services[instance.service].workers;
        instance.open += 1;
        let worker = instance.first_worker + instance.rotation;
        instance.rotation = (instance.rotation + 1) % workers;
        let record = &mut self.tasks[task];
        let Op::Enter { epilogue, .. } = self.model.tape[record.pc.0 as usize] else {
            unreachable!("a task is accepted where its tape says so")
        };
        record.flags |= flag::ADMITTED;
        record.epilogue = epilogue;
        record.worker = worker;
        record.pc = Pc(record.pc.0 + 1);
        self.workers[worker as usize].open += 1;
        self.resume(task);
    }

    /// The service is done with the task's request: the next of its backlog is accepted.
    pub fn depart_instance(&mut self, task: u32) {
        let record = &mut self.tasks[task];
        let (flags, worker) = (record.flags, record.worker);
        record.flags &= !(flag::ADMITTED | flag::OUTSTANDING);
        if flags & (flag::ADMITTED | flag::OUTSTANDING) == 0 {
            return;
        }
        let index = self.workers[worker as usize].instance;
        let service = self.instances[index as usize].service;
        if flags & flag::OUTSTANDING != 0 {
            let target = index - self.services[service].first_instance;
            self.services[service].targets.answered(target);
        }
        if flags & flag::ADMITTED == 0 {
            return self.stop_if_drained(index);
        }
        let instance = &mut self.instances[index as usize];
        instance.open -= 1;
        self.workers[worker as usize].open -= 1;
        let station = self.model.services[service].station;
        self.count(station, Counter::Served);
        let instance = &mut self.instances[index as usize];
        if let Some(next) = instance.backlog.pop_front() {
            self.leave(next, station);
            self.accept(next, index);
        } else {
            self.stop_if_drained(index);
        }
    }

    /// Something that the task waited for outside its process is done: its callback is ready.
    pub fn resume(&mut self, task: u32) {
        let worker = self.tasks[task].worker;
        if worker == NONE {
            return self.advance_away(task);
        }
        let state = &mut self.workers[worker as usize];
        let station = self.model.services[self.instances[state.instance as usize].service].station;
        if state.running == NONE {
            state.running = task;
            self.meters[station].pass();
            return self.run_loop(worker);
        }
        state.ready.push_back(task);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Ready, self.now);
        self.meters[station].enter(self.now);
    }

    /// Runs callbacks of a worker, the one that has the loop first, until one computes or none is
    /// ready.
    pub fn run_loop(&mut self, worker: u32) {
        loop {
            let task = self.workers[worker as usize].running;
            let computes = self.advance(task);
            self.inserted = 0;
            while let Some(other) = self.microtasks.pop_front() {
                self.advance(other);
            }
            if computes {
                return;
            }
            let state = &mut self.workers[worker as usize];
            let Some(next) = state.ready.pop_front() else {
                state.running = NONE;
                return;
            };
            state.running = next;
            let service = self.instances[state.instance as usize].service;
            self.leave(next, self.model.services[service].station);
        }
    }

    /// A running callback computes. Says whether it has the loop; a task that goes on within
    /// another's callback must wait, first in line.
    pub fn compute(&mut self, task: u32, work: Draw) -> bool {
        let worker = self.tasks[task].worker;
        let state = &mut self.workers[worker as usize];
        let index = state.instance;
        let station = self.model.services[self.instances[index as usize].service].station;
        if state.running != task {
            // In the order in which they came to want it.
            state.ready.insert(self.inserted.min(state.ready.len()), task);
            self.inserted += 1;
            let record = &mut self.tasks[task];
            (record.state, record.since) = (State::Ready, self.now);
            self.meters[station].enter(self.now);
            return false;
        }
        let work = self.draw(work, task);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Computing, self.now);
        record.pc = Pc(record.pc.0 + 1);
        self.workers[worker as usize].busy_ticks += work.0;
        if self.instances[index as usize].host.is_some() {
            self.tasks[task].deadline = self.now + work;
            self.share_cores(index, task, work);
        } else {
            self.meters[station].busy.add(self.now, MILLI);
            self.at_task(self.now + work, Kind::CpuDone, task);
        }
        true
    }

    /// A computation on cores of its own is over; the callback goes on.
    pub fn cpu_done(&mut self, task: u32) {
        let record = &self.tasks[task];
        let (worker, since) = (record.worker, record.since);
        let index = self.workers[worker as usize].instance;
        let station = self.model.services[self.instances[index as usize].service].station;
        self.meters[station].busy.add(self.now, -MILLI);
        self.spend(task, station, Part::Service, self.now.since(since));
        self.run_loop(worker);
    }

    /// A task joins those that share an instance's cores.
    fn share_cores(&mut self, index: u32, task: u32, work: Duration) {
        let now = self.now;
        self.with_host(index, |host| host.add(now, work, task));
        self.arm_host(index);
    }

    /// Changes who shares an instance's cores, and keeps the meter of busy cores right.
    fn with_host<R>(&mut self, index: u32, change: impl FnOnce(&mut ProcessorSharing) -> R) -> R {
        let instance = &mut self.instances[index as usize];
        let station = self.model.services[instance.service].station;
        let host = instance.host.as_mut().expect("only core-sharing instances have departures");
        let before = (host.busy_cores() * MILLI as f64) as i64;
        let result = change(host);
        let after = (host.busy_cores() * MILLI as f64) as i64;
        self.meters[station].busy.add(self.now, after - before);
        result
    }

    fn arm_host(&mut self, index: u32) {
        let instance = &mut self.instances[index as usize];
        let next = instance.host.as_ref().and_then(ProcessorSharing::next_departure);
        if let Some(at) = next.filter(|at| *at != instance.armed) {
            instance.armed = at;
            self.at(at, Kind::HostDepart, index);
        }
    }

    /// Computations of a core-sharing instance may be over.
    pub fn host_depart(&mut self, index: u32) {
        if self.instances[index as usize].armed != self.now {
            return; // a later arrival or departure has changed who is due when
        }
        self.instances[index as usize].armed = Time::NEVER;
        let now = self.now;
        while let Some(task) = self.with_host(index, |host| host.depart(now)) {
            let record = self.tasks[task];
            let service = self.instances[index as usize].service;
            let station = match record.state {
                State::InThread => self.model.services[service].threads_station,
                _ => self.model.services[service].station,
            };
            let alone = record.deadline.since(record.since);
            self.spend(task, station, Part::Service, alone);
            self.spend(task, station, Part::Wait, self.now.since(record.since) - alone);
            match record.state {
                State::InThread => self.thread_freed(task),
                _ => self.run_loop(record.worker),
            }
        }
        self.arm_host(index);
    }

    /// A callback hands work to its process's thread pool.
    pub fn enter_threads(&mut self, task: u32) {
        let worker = self.tasks[task].worker;
        let state = &mut self.workers[worker as usize];
        let service = &self.model.services[self.instances[state.instance as usize].service];
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
        let work = self.draw(work, task);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::InThread, self.now);
        record.deadline = self.now + work;
        let index = self.workers[record.worker as usize].instance;
        let service = self.instances[index as usize].service;
        self.meters[self.model.services[service].threads_station].busy.add(self.now, MILLI);
        if self.instances[index as usize].host.is_some() {
            self.share_cores(index, task, work);
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
    fn thread_freed(&mut self, task: u32) {
        let worker = self.tasks[task].worker;
        let index = self.workers[worker as usize].instance;
        let station = self.model.services[self.instances[index as usize].service].threads_station;
        self.meters[station].busy.add(self.now, -MILLI);
        self.meters[station].count(Counter::Served);
        match self.workers[worker as usize].thread_queue.pop_front() {
            Some(next) => {
                self.leave(next, station);
                self.start_thread(next);
            }
            None => self.workers[worker as usize].threads_busy -= 1,
        }
        let record = &mut self.tasks[task];
        record.pc = Pc(record.pc.0 + 1);
        self.resume(task);
    }

    /// The autoscaler of a service looks at its metric.
    pub fn autoscale(&mut self, service: ServiceId) {
        let model: &Model = self.model;
        let spec = &model.services[service];
        let scaling = spec.autoscale.as_ref().expect("only autoscaled services look");
        self.count_instances(service);
        let busy = self.meters[spec.station].busy.total(self.now);
        let state = &mut self.services[service];
        // CPU time counts against all cores, also those that too few workers cannot use.
        let capacity = (state.all_ticks - state.ticks_then) as f64 * spec.cores * MILLI as f64;
        let metric = (busy - state.busy_then) as f64 / capacity;
        (state.busy_then, state.ticks_then) = (busy, state.all_ticks);
        let running = state.running;
        let scaler = state.autoscaler.as_mut().expect("built with the service");
        let decision = scaler.observe(self.now, metric, running);
        self.at(self.now + scaling.period, Kind::Autoscale, service.0);
        if let Decision::To(wanted) = decision {
            self.scale_to(service, wanted.min(spec.max_instances), scaling.start);
            let state = &mut self.services[service];
            let reached = state.wanted;
            state.autoscaler.as_mut().expect("it has just decided").settle(reached);
        }
    }

    fn scale_to(&mut self, service: ServiceId, wanted: u32, start: Duration) {
        let first = self.services[service].first_instance;
        let most = self.model.services[service].max_instances;
        while self.services[service].wanted < wanted {
            let off = (first..first + most)
                .find(|index| self.instances[*index as usize].phase == Phase::Off);
            let Some(index) = off else { break };
            self.instances[index as usize].phase = Phase::Starting;
            self.services[service].wanted += 1;
            self.at(self.now + start, Kind::Boot, index);
        }
        while self.services[service].wanted > wanted {
            let up = (first..first + most)
                .rev()
                .find(|index| self.instances[*index as usize].phase == Phase::Up);
            let Some(index) = up else { break };
            self.services[service].wanted -= 1;
            self.services[service].targets.set_available(index - first, false);
            self.instances[index as usize].phase = Phase::Draining;
            self.stop_if_drained(index);
        }
    }

    /// A draining instance that has nothing left, not even a request on its way, stops.
    fn stop_if_drained(&mut self, index: u32) {
        let instance = &self.instances[index as usize];
        let state = &self.services[instance.service];
        let outstanding = state.targets.get(index - state.first_instance).outstanding;
        if instance.phase == Phase::Draining && instance.open == 0 && outstanding == 0 {
            self.stop_instance(index);
        }
    }

    /// A new instance is ready for requests.
    pub fn boot(&mut self, index: u32) {
        let service = self.instances[index as usize].service;
        self.count_instances(service);
        self.instances[index as usize].phase = Phase::Up;
        let state = &mut self.services[service];
        state.running += 1;
        state.targets.set_available(index - state.first_instance, true);
        let meter = &mut self.meters[self.model.services[service].station];
        meter.count(Counter::Opened);
        meter.held.add(self.now, 1);
    }

    fn stop_instance(&mut self, index: u32) {
        let service = self.instances[index as usize].service;
        self.count_instances(service);
        self.instances[index as usize].phase = Phase::Off;
        self.services[service].running -= 1;
        let meter = &mut self.meters[self.model.services[service].station];
        meter.count(Counter::Closed);
        meter.held.add(self.now, -1);
        self.close_pools_of(index);
    }

    /// Brings the sum of running instances over time up to date.
    pub fn count_instances(&mut self, service: ServiceId) {
        let state = &mut self.services[service];
        let length = self.now.since(state.counted_to);
        let ticks = u128::from(length.0) * u128::from(state.running);
        state.instance_ticks += ticks;
        state.all_ticks += ticks;
        state.counted_to = self.now;
    }
}
