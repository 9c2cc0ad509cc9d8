//! Services: balancers, instances, event loops, thread pools, autoscaling.
//!
//! A worker is a run-to-completion event loop (Node.js 20, libuv): callbacks wait first come first
//! served, and one runs until it awaits something. Whatever completes outside (an answer, a
//! connection, a timer) makes a callback ready; it goes on only when the loop is free. What a
//! callback hands to another request of the same process, such as a connection it releases, goes on
//! within the same callback, as `process.nextTick` does.

use super::balancing::Node;
use super::event::Kind;
use super::event_loop::Worker;
use super::function::FunctionState;
use super::host::HostState;
use super::meter::Counter;
use super::probing::KUBELET;
use super::scaling::Scaler;
use super::task::{DIALLED, DIALS, NONE, OK, Role, State, flag};
use super::world::World;
use crate::component::garbage::Heap;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::{DeployId, ServiceId};
use crate::model::tape::{Op, Pc};
use crate::model::{HandOut, OnSigterm, UnitKind};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};
use std::collections::VecDeque;

/// How often Linux sends a SYN again (ip-sysctl, tcp_syn_retries).
const SYN_RETRIES: u32 = 6;

/// How a request fails that a target has not answered.
const UNANSWERED: [Failure; 4] =
    [Failure::InstanceLost, Failure::Reset, Failure::UpstreamTimeout, Failure::Refused];

/// A service while it runs.
pub struct ServiceState {
    /// Its first instance.
    pub first_instance: u32,
    /// The nodes of its balancer.
    pub nodes: Vec<Node>,
    /// By instance: whether its balancer knows of it.
    pub registered: Vec<bool>,
    /// Instances that run.
    pub running: u32,
    /// Instances wanted; more than run while some start.
    pub wanted: u32,
    /// Sum of running instances over time (instance ticks).
    pub instance_ticks: u128,
    /// The same since the start of the run.
    pub all_ticks: u128,
    /// That sum at the autoscaler's last look.
    pub ticks_then: u128,
    /// When these sums were brought up to date.
    pub counted_to: Time,
    /// The autoscaler.
    pub autoscaler: Option<Scaler>,
    /// Busy core time at the autoscaler's last look.
    pub busy_then: u128,
    /// Requests that had come by then.
    pub arrived_then: u64,
    /// What periods were like that it does not know of yet.
    pub looks: VecDeque<Vec<f64>>,
    /// The deploy that is under way.
    pub deploying: Option<DeployId>,
    /// The version that new instances have.
    pub version: u32,
    /// How many versions there have been since the first.
    pub versions: u32,
    /// Its environments, if it is a function.
    pub function: Option<Box<FunctionState>>,
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
    /// Told to go; it still takes what reaches it.
    Leaving,
    /// It has closed its listening socket, and finishes what it has.
    Closing,
    /// It has died and is not back yet.
    Down,
}

impl Phase {
    /// Whether its processes run.
    pub fn runs(self) -> bool {
        matches!(self, Phase::Up | Phase::Draining | Phase::Leaving | Phase::Closing)
    }
    /// Whether somebody takes what reaches it: a process that starts has not opened its socket yet, so
    /// that what was on its way to the one before it is lost.
    pub fn listens(self) -> bool {
        !matches!(self, Phase::Off | Phase::Starting | Phase::Down | Phase::Closing)
    }
}

/// A machine, task or pod.
pub struct Instance {
    /// Whose.
    pub service: ServiceId,
    /// Its first worker.
    pub first_worker: u32,
    /// The next worker to get a request: Node's cluster hands out in rotation.
    pub rotation: u32,
    /// How often a worker has taken what it was handed.
    pub freed: u32,
    /// Requests that it has accepted and not finished.
    pub open: u32,
    /// Requests that wait to be accepted.
    pub backlog: VecDeque<u32>,
    /// New connections that no loop has seen yet.
    pub unseen: u32,
    /// Requests on their way over connections that are open already, where they are counted.
    pub coming: u32,
    /// When it looks next whether there is room for those that wait.
    pub looks: Time,
    /// The machine whose cores it shares with others, or with itself where its loops and threads can
    /// want more than there are; [`NONE`] where each loop has a core.
    pub host: u32,
    /// Whether it takes requests.
    pub phase: Phase,
    /// When its balancer was told to send it nothing more, or it was told to go.
    pub draining_since: Time,
    /// What its processes do when they are told to end, since then.
    pub on_sigterm: OnSigterm,
    /// Of which version it is.
    pub version: u32,
    /// Since when the controller of a deploy has seen it ready.
    pub ready_since: Time,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Instances and workers, the autoscalers' maximum included.
    pub fn build_services(&mut self) {
        for (id, service) in self.model.services.enumerate() {
            let first_instance = self.instances.len() as u32;
            for index in 0..service.slots {
                let phase = if index < service.instances { Phase::Up } else { Phase::Off };
                let first_worker = self.workers.len() as u32;
                let host = match service.host {
                    Some(host) => host.0,
                    None if service.contended => {
                        self.hosts.push(HostState::own(service.cores, service.station));
                        self.hosts.len() as u32 - 1
                    }
                    None => NONE,
                };
                self.instances.push(Instance {
                    service: id,
                    first_worker,
                    rotation: 0,
                    freed: 0,
                    open: 0,
                    backlog: VecDeque::new(),
                    unseen: 0,
                    coming: 0,
                    looks: Time::ZERO,
                    host,
                    phase,
                    draining_since: Time::ZERO,
                    on_sigterm: OnSigterm::Finish,
                    version: 0,
                    ready_since: Time::ZERO,
                });
                for _ in 0..service.workers {
                    self.workers.push(Worker {
                        instance: first_instance + index,
                        service: id,
                        station: service.station,
                        running: NONE,
                        ready: VecDeque::new(),
                        open: 0,
                        jobs: 0,
                        sockets: 0,
                        socket_bytes: 0,
                        request_bytes: 0.0,
                        threads_busy: 0,
                        thread_queue: VecDeque::new(),
                        children: 0,
                        child_queue: VecDeque::new(),
                        busy_ticks: 0,
                        timers: Vec::new(),
                        polls_since: Time::ZERO,
                        left: Time::NEVER,
                        handed: NONE,
                        unseen: 0,
                        heap: Heap::default(),
                        pause: Duration::ZERO,
                        free_since: 0,
                        down: false,
                        answered: 0,
                        lives: 0,
                        leaving: false,
                        started: None,
                    });
                }
            }
            if let Some(scaling) = &service.autoscale {
                self.at(Time::ZERO + scaling.period, Kind::Autoscale, id.0);
                for appointment in &scaling.schedule {
                    self.at(Time::ZERO + appointment.at, Kind::Appointment, id.0);
                }
            }
            let nodes = self.build_balancer(id, first_instance);
            let registered = (0..service.slots).map(|it| it < service.instances).collect();
            self.services.push(ServiceState {
                first_instance,
                nodes,
                registered,
                running: service.instances,
                wanted: service.instances,
                instance_ticks: 0,
                all_ticks: 0,
                ticks_then: 0,
                counted_to: Time::ZERO,
                autoscaler: service
                    .autoscale
                    .as_ref()
                    .map(|scaling| Scaler::new(&scaling.rules, service.instances)),
                busy_then: 0,
                arrived_then: 0,
                looks: VecDeque::new(),
                deploying: None,
                version: 0,
                versions: 0,
                function: FunctionState::new(self.model, id),
            });
            self.meters[service.station].held.set(Time::ZERO, u64::from(service.instances));
        }
        self.build_capacity_units();
    }

    /// A request reaches its instance: it is accepted, waits in the backlog, or is refused.
    pub fn place(&mut self, task: u32) {
        let index = self.workers[self.tasks[task].worker as usize].instance;
        let spec = &self.model.services[self.instances[index as usize].service];
        let kept = spec.counts_connections && self.comes_over_kept(task, index);
        let instance = &self.instances[index as usize];
        // Arrivals are requests: neither checks, nor connections that are tried again.
        let record = &self.tasks[task];
        if record.role != Role::Probe && record.pending & !DIALS == 0 && !self.is_counted(task) {
            self.meters[spec.station].count(Counter::Arrivals);
        }
        let is_probe = record.role == Role::Probe;
        let status = std::mem::replace(&mut self.tasks[task].status, OK);
        if status != OK {
            // It was not reached, or its connection was closed.
            return self.not_answered(task, index, Failure::ALL[status as usize]);
        }
        if !instance.phase.listens() {
            return self.not_answered(task, index, Failure::InstanceLost);
        }
        if is_probe && self.shakes_hands(task, index) {
            return;
        }
        let errors = self.condition(UnitKind::Instance, index).errors;
        if self.stumbles(errors) {
            self.count(
                self.model.services[self.instances[index as usize].service].station,
                Counter::Errors,
            );
            self.tasks[task].answered = 500;
            return self.fail(task, Failure::Answered);
        }
        let full = !kept && !self.has_room(index);
        if spec.sticky
            && !full
            && let Some(worker) = self.worker_of_connection(task, index)
        {
            return self.accept_at(task, worker);
        }
        let unseen = !full && spec.kernel_queues && self.is_unseen(task, index);
        if (full || unseen) && self.turns_away(task, index, full) {
            return;
        }
        let worker = if full { None } else { self.worker_for(task, index) };
        let Some(worker) = worker else {
            if unseen {
                self.wait_unseen(index);
            }
            self.instances[index as usize].backlog.push_back(task);
            let record = &mut self.tasks[task];
            (record.state, record.since) = (State::Backlog, self.now);
            self.meters[spec.station].enter(self.now);
            if full {
                self.looks_when_one_closes(index);
            }
            return;
        };
        if spec.sticky {
            self.connection_goes_to(task, worker);
        }
        self.accept_at(task, worker);
        if unseen {
            self.leave_unseen(self.tasks[task].worker);
        }
    }

    /// Whether all that is asked for is a connection: the kernel accepts it, unless the backlog is full.
    fn shakes_hands(&mut self, task: u32, index: u32) -> bool {
        let instance = &self.instances[index as usize];
        let spec = &self.model.services[instance.service];
        if !spec.health.connects_only || self.tasks[task].owner_epoch >= KUBELET {
            return false;
        }
        let full = !self.has_room(index);
        let unseen = !full && spec.kernel_queues && self.is_unseen(task, index);
        // Whom a process closes on at once has been connected.
        if !(full && !spec.closes || unseen) || !self.turns_away(task, index, full) {
            self.probe_over(task);
        }
        true
    }

    /// Whether an instance that is `full`, or whose loops are all busy, has no room for one more: its
    /// connection is closed, dropped or refused.
    #[cold]
    fn turns_away(&mut self, task: u32, index: u32, full: bool) -> bool {
        let instance = &self.instances[index as usize];
        let spec = &self.model.services[instance.service];
        let waiting = match spec.hand_out {
            HandOut::ReusePort if !full => {
                self.workers[self.hashed_worker(self.tasks[task].stream, index) as usize].unseen
            }
            _ if full || spec.hand_out == HandOut::Shared => instance.backlog.len() as u32,
            _ => instance.unseen,
        };
        let closes = full && spec.closes;
        if waiting < spec.backlog && !closes {
            return false;
        }
        self.count(spec.station, Counter::Refused);
        match (closes, spec.drops) {
            (true, _) => self.not_answered(task, index, Failure::Reset),
            (_, true) => self.syn_again(task, index),
            (_, false) => self.not_answered(task, index, Failure::Refused),
        }
        true
    }

    /// Whether a request comes on a new connection that no loop of its instance sees at present: it
    /// stands in the kernel's queue.
    fn is_unseen(&self, task: u32, index: u32) -> bool {
        let record = &self.tasks[task];
        let spec = &self.model.services[self.instances[index as usize].service];
        let dialled = || {
            let alone = !spec.is_fronted() && record.role == Role::Attempt;
            alone && record.owner != NONE && self.journeys[record.owner].reloads & DIALLED != 0
        };
        let is_new = match spec.hand_out {
            HandOut::ReusePort => {
                return !self.polls(self.hashed_worker(self.tasks[task].stream, index));
            }
            HandOut::FreeWorker | HandOut::Shared => true,
            HandOut::EachInTurn => record.pending & DIALS != 0 || dialled(),
        };
        is_new && !self.workers_of(index).any(|worker| self.polls(worker))
    }

    /// The SYN of a connection was dropped: it is sent again, 1 s, 3 s, 7 s, ... after the first, until
    /// whoever connects gives up.
    fn syn_again(&mut self, task: u32, index: u32) {
        let service = self.instances[index as usize].service;
        let spec = &self.model.services[service];
        let record = &mut self.tasks[task];
        let tried = u32::from(record.pending & !DIALS);
        record.pending += 1;
        if spec.health.keep_alive.is_some() {
            record.pending |= DIALS; // whatever it came over before: it is opened anew
        }
        // So far 2^n - 1 seconds have passed.
        let so_far = Duration::secs((1 << tried) - 1);
        let wait = Duration::secs(1 << tried);
        let (left, late) = match spec.is_fronted() {
            true => {
                let limit = spec.health.connect_timeout;
                (
                    limit.map(|limit| Duration(limit.0.saturating_sub(so_far.0))),
                    Failure::UpstreamTimeout,
                )
            }
            false => (self.connect_time_left(task), Failure::Unreachable),
        };
        let record = &mut self.tasks[task];
        let (wait, why) = match left {
            Some(left) if wait > left => (left, Some(late)),
            _ if tried >= SYN_RETRIES => (wait, Some(late)), // ETIMEDOUT
            _ => (wait, None),
        };
        if let Some(why) = why {
            record.status = why as u8;
        }
        record.state = State::Away;
        self.travel(task, wait);
        self.at_task(self.now + wait, Kind::Place, task);
    }

    /// Whether a worker of the instance could be handed a request now.
    pub(super) fn has_worker(&self, index: u32) -> bool {
        match self.model.services[self.instances[index as usize].service].hand_out {
            HandOut::EachInTurn | HandOut::ReusePort => self.some_worker_takes(index),
            HandOut::FreeWorker => self.free_worker(index).is_some(),
            HandOut::Shared => self.workers_of(index).any(|worker| self.polls(worker)),
        }
    }

    /// The worker of an instance that has been free for a new connection for longest.
    fn free_worker(&self, index: u32) -> Option<u32> {
        let state = |worker: &u32| &self.workers[*worker as usize];
        let free = |worker: &u32| self.takes_requests(*worker) && state(worker).handed == NONE;
        self.workers_of(index).filter(free).min_by_key(|worker| state(worker).free_since)
    }

    /// A worker takes the connection that it was handed, and is free for the next.
    pub(super) fn taken(&mut self, worker: u32) {
        let state = &mut self.workers[worker as usize];
        let index = state.instance;
        let instance = &mut self.instances[index as usize];
        instance.freed += 1;
        (state.handed, state.free_since) = (NONE, instance.freed);
        if !instance.backlog.is_empty() {
            self.accept_waiting(index);
        }
    }

    /// The next of an instance's workers in rotation that takes requests, if one does.
    #[inline(always)]
    fn worker_in_turn(&mut self, index: u32) -> Option<u32> {
        let instance = &mut self.instances[index as usize];
        let workers = self.model.services[instance.service].workers;
        for _ in 0..workers {
            let worker = instance.first_worker + instance.rotation;
            instance.rotation += 1;
            if instance.rotation == workers {
                instance.rotation = 0;
            }
            let state = &self.workers[worker as usize];
            if !state.down && !state.leaving {
                return Some(worker);
            }
        }
        None
    }

    /// The worker that takes a new connection, which is not handed to it: whoever asks does not wait for it.
    pub(super) fn next_worker(&mut self, index: u32, stream: StreamKey) -> Option<u32> {
        match self.model.services[self.instances[index as usize].service].hand_out {
            HandOut::EachInTurn => self.worker_in_turn(index),
            HandOut::FreeWorker => self.free_worker(index),
            _ if !self.has_worker(index) => None,
            HandOut::Shared => Some(self.polling_worker(stream, index)),
            HandOut::ReusePort => Some(self.hashed_worker(stream, index)),
        }
    }

    /// The worker that an instance hands a request to, if it has one for it now.
    #[inline(always)]
    fn worker_for(&mut self, task: u32, index: u32) -> Option<u32> {
        match self.model.services[self.instances[index as usize].service].hand_out {
            HandOut::EachInTurn => self.worker_in_turn(index),
            HandOut::FreeWorker => {
                let free = self.free_worker(index)?;
                self.workers[free as usize].handed = task;
                Some(free)
            }
            _ => self.next_worker(index, self.tasks[task].stream),
        }
    }

    /// The instance takes the request and hands it to one of its workers.
    pub(super) fn accept(&mut self, task: u32, index: u32) {
        let worker = self.worker_for(task, index).expect("who hands out has seen that some takes");
        if self.model.services[self.instances[index as usize].service].sticky {
            self.connection_goes_to(task, worker);
        }
        self.accept_at(task, worker);
    }

    /// A worker takes the request.
    #[inline(always)]
    pub(super) fn accept_at(&mut self, task: u32, worker: u32) {
        self.instances[self.workers[worker as usize].instance as usize].open += 1;
        let record = &mut self.tasks[task];
        let Op::Enter { epilogue, .. } = self.model.tape[record.pc.0 as usize] else {
            unreachable!("a task is accepted where its tape says so")
        };
        record.flags |= flag::ADMITTED;
        record.pending = 0;
        record.epilogue = epilogue.unwrap_or(Pc(0));
        record.worker = worker;
        record.pc = Pc(record.pc.0 + 1);
        self.workers[worker as usize].open += 1;
        if let Some(process) = &self.model.services[self.workers[worker as usize].service].process {
            self.weigh(task, worker, process, 1.0);
            self.take_memory(worker, process);
        }
        self.resume(task);
    }

    /// Requests of the backlog are accepted while there is room.
    pub(super) fn accept_waiting(&mut self, index: u32) {
        let service = self.instances[index as usize].service;
        let spec = &self.model.services[service];
        loop {
            if !self.has_room(index) {
                return self.looks_when_one_closes(index);
            }
            if !self.has_worker(index) {
                if spec.hand_out == HandOut::Shared
                    && !self.instances[index as usize].backlog.is_empty()
                {
                    self.wait_unseen(index);
                }
                return;
            }
            let instance = &mut self.instances[index as usize];
            let Some(next) = instance.backlog.pop_front() else { return };
            self.leave(next, spec.station);
            self.accept(next, index);
        }
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
        if !self.by_instance.is_empty() && flags & flag::ADMITTED != 0 {
            self.note_latency(task, index);
        }
        if flags & flag::OUTSTANDING != 0 {
            let why = self.tasks[task].status;
            let lost = UNANSWERED.iter().any(|lost| *lost as u8 == why);
            self.target_answered(task, index, lost && flags & flag::ADMITTED == 0);
        }
        if flags & flag::ADMITTED == 0 {
            return self.stop_if_drained(index);
        }
        let instance = &mut self.instances[index as usize];
        instance.open -= 1;
        self.workers[worker as usize].open -= 1;
        if let Some(process) = &self.model.services[service].process {
            self.weigh(task, worker, process, -1.0);
            if let Some(rule) = process.recycling {
                self.count_answer(worker, rule);
            }
        }
        if self.model.services[service].counts_connections {
            self.user_connection_idles(task);
        }
        let station = self.model.services[service].station;
        if self.tasks[task].role != Role::Probe {
            self.count(station, Counter::Served);
        }
        if self.instances[index as usize].backlog.is_empty() {
            self.stop_if_drained(index);
        } else {
            self.accept_waiting(index);
        }
    }
}
