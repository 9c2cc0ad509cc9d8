//! Processes that are watched: probes that kill or set aside whoever does not answer, memory that runs
//! out, and garbage that is collected.
//!
//! The kubelet (Kubernetes, pkg/kubelet/prober/worker.go) asks every period over a new connection,
//! and takes an answer after the timeout for none. Its request waits for the event loop as all others
//! do: a loop that is kept busy for so many periods in a row is killed, with all that it has at work.
//! Probes of a container begin with its start, so those of several instances are spread.

use crate::component::crash_loop::CrashLoop;
use crate::component::limiter::Keeper;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::{ServiceId, SessionId};
use crate::model::{ALIVE, Memory, Probe, Process, READY, Session};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::Counter;
use super::service::Phase;
use super::task::{NONE, OK, Role, Task};
use super::world::World;

/// The owner's epoch of a probe of the kubelet, to which is added what it decides; nodes of balancers
/// are fewer.
pub(super) const KUBELET: u16 = u16::MAX - 1;

/// What an event of a probe is for: the lowest bit, above what the probe decides and the life of the
/// instance that it was meant for.
pub(super) mod purpose {
    /// The answer may be late.
    pub const LATE: u32 = 0;
    /// It is time to ask.
    pub const ASK: u32 = 1;
    /// In place of all that: a worker may have run out of memory.
    pub const EXHAUSTED: u32 = u32::MAX >> 8;
    /// See `EXHAUSTED`: a worker is there again.
    pub const RESPAWN: u32 = EXHAUSTED - 1;
    /// See `EXHAUSTED`: a worker that has answered enough looks, or whether it may end.
    pub const RETIRE: u32 = EXHAUSTED - 2;
    /// In place of all that: a service looks for bodies that take too long.
    pub const BODIES: u32 = EXHAUSTED - 3;
    /// See `EXHAUSTED`: an idle connection of an instance may have closed.
    pub const CLOSES: u32 = EXHAUSTED - 4;
    /// See `EXHAUSTED`: a timer of a worker is due; its number is added.
    pub const TIMER: u32 = EXHAUSTED + 1;
    /// Lives are counted up to so many, then from 0 again.
    pub const LIVES: u32 = 1 << 16;
}

/// What the kubelet knows of an instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watched {
    /// By what they decide: the probe that is under way, when it began, and failures in a row.
    asked: [Asked; 2],
    /// It has passed its readiness probe.
    ready: bool,
    /// How often it was started.
    life: u32,
    /// How long it is kept from starting again.
    crashes: CrashLoop,
}

/// A probe under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    task: u32,
    epoch: u16,
    begun: Time,
    failures: u32,
}

impl Default for Asked {
    fn default() -> Asked {
        Asked { task: NONE, epoch: 0, begun: Time::ZERO, failures: 0 }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    pub(super) fn process_of(&self, index: u32) -> Option<&Process> {
        self.model.services[self.instances[index as usize].service].process.as_deref()
    }

    fn probe_of(&self, index: u32, what: usize) -> Option<Probe> {
        self.process_of(index).and_then(|process| process.probes[what])
    }

    /// The first probes of those that run from the start: they were started at different times, and
    /// have passed.
    pub(super) fn start_probes(&mut self) {
        if self.model.services.iter().all(|service| service.process.is_none()) {
            return;
        }
        self.kubelet = vec![Watched { ready: true, ..Watched::default() }; self.instances.len()];
        for index in 0..self.instances.len() as u32 {
            for what in [ALIVE, READY] {
                let running = self.instances[index as usize].phase == Phase::Up;
                let Some(probe) = self.probe_of(index, what).filter(|_| running) else { continue };
                let name = &self.model.services[self.instances[index as usize].service].name;
                let mut draws = self
                    .key
                    .named("probe")
                    .named(name)
                    .numbered(what as u64)
                    .draw(self.place_of_instance(index));
                let at = Time::ZERO + probe.interval.scale(draws.unit());
                self.time_probe(at, index, what, purpose::ASK);
            }
        }
    }

    /// An instance has started: so have its probes.
    pub(super) fn begin_probes(&mut self, index: u32) {
        if self.process_of(index).is_none() || self.kubelet.is_empty() {
            return;
        }
        let state = &mut self.kubelet[index as usize];
        state.life = (state.life + 1) % purpose::LIVES;
        state.asked = Default::default();
        for what in [ALIVE, READY] {
            let Some(probe) = self.probe_of(index, what) else { continue };
            self.kubelet[index as usize].ready &= what != READY;
            self.time_probe(self.now + probe.delay, index, what, purpose::ASK);
        }
    }

    /// Whether an instance has passed its readiness probe, if it has one.
    pub(super) fn is_ready(&self, index: u32) -> bool {
        self.kubelet.get(index as usize).is_none_or(|state| state.ready)
    }

    fn time_probe(&mut self, at: Time, index: u32, what: usize, purpose: u32) {
        let life = self.kubelet[index as usize].life;
        let ordinal = (life << 2) | ((what as u32) << 1) | purpose;
        self.events.push(Event::new(at, Kind::Probe as u8, ordinal, index));
    }

    /// Something about a probe, or the memory of a worker, is due.
    pub fn probe_event(&mut self, slot: u32, ordinal: u32) {
        match ordinal {
            purpose::EXHAUSTED => return self.run_out(slot),
            purpose::RESPAWN => return self.respawn(slot),
            purpose::RETIRE => return self.end_recycled(slot),
            purpose::BODIES => return self.check_bodies(ServiceId(slot)),
            purpose::CLOSES => return self.one_has_closed(slot),
            timer if timer >= purpose::TIMER => {
                return self.timer_due(slot, timer - purpose::TIMER);
            }
            _ => {}
        }
        let (life, what, purpose) = (ordinal >> 2, (ordinal >> 1 & 1) as usize, ordinal & 1);
        let alive = self.instances[slot as usize].phase.runs();
        if life != self.kubelet[slot as usize].life || !alive {
            return;
        }
        match purpose {
            purpose::ASK => self.ask(slot, what),
            _ => self.late(slot, what),
        }
    }

    /// The kubelet asks an instance whether it is well.
    fn ask(&mut self, index: u32, what: usize) {
        let probe = self.probe_of(index, what).expect("it is probed");
        self.time_probe(self.now + probe.interval, index, what, purpose::ASK);
        let name = &self.model.services[self.instances[index as usize].service].name;
        let stream = self.key.named("probe").named(name).numbered(what as u64);
        let stream = stream.numbered(self.place_of_instance(index)).numbered(self.now.0);
        let task = self.new_probe(stream, probe.entry, index, KUBELET + what as u16);
        let epoch = self.tasks[task].epoch;
        let asked = &mut self.kubelet[index as usize].asked[what];
        (asked.task, asked.epoch, asked.begun) = (task, epoch, self.now);
        self.time_probe(self.now + probe.timeout, index, what, purpose::LATE);
        self.place(task);
    }

    /// The answer to a probe, if the kubelet still waits for it.
    pub(super) fn probe_answered(&mut self, task: u32, record: &Task) {
        let what = usize::from(record.owner_epoch - KUBELET);
        if record.owner == NONE {
            return;
        }
        let asked = &self.kubelet[record.owner as usize].asked[what];
        if (asked.task, asked.epoch) == (task, record.epoch) {
            self.hear(record.owner, what, record.status == OK);
        }
    }

    /// The answer may be late.
    fn late(&mut self, index: u32, what: usize) {
        let probe = self.probe_of(index, what).expect("it is probed");
        let asked = self.kubelet[index as usize].asked[what];
        if self.awaits(asked.task, asked.epoch) && asked.begun + probe.timeout == self.now {
            self.tasks[asked.task].owner = NONE;
            self.hear(index, what, false);
        }
    }

    /// What a probe says of an instance.
    fn hear(&mut self, index: u32, what: usize, ok: bool) {
        let probe = self.probe_of(index, what).expect("it is probed");
        let state = &mut self.kubelet[index as usize];
        let asked = &mut state.asked[what];
        asked.task = NONE;
        asked.failures = if ok { 0 } else { asked.failures + 1 };
        let failed = asked.failures >= probe.failures;
        if what == ALIVE {
            if failed {
                self.stop_unhealthy(index);
            }
            return;
        }
        let ready = if ok { true } else { state.ready && !failed };
        if std::mem::replace(&mut state.ready, ready) != ready {
            let up = self.instances[index as usize].phase == Phase::Up;
            if !ready || up && !self.is_held_back(index) {
                self.register(index, ready, false);
            }
        }
    }

    /// An instance that does not answer is killed.
    pub(super) fn stop_unhealthy(&mut self, index: u32) {
        if !self.instances[index as usize].phase.runs() {
            return;
        }
        let state = &mut self.kubelet[index as usize];
        // What was asked of it dies with it, unheard.
        state.asked = Default::default();
        state.life = (state.life + 1) % purpose::LIVES;
        let service = self.instances[index as usize].service;
        self.count(self.model.services[service].station, Counter::Killed);
        self.kill_instance(index);
    }

    /// How long an instance that has died is kept from starting again.
    pub(super) fn holds_off(&mut self, index: u32) -> Duration {
        match self.process_of(index) {
            Some(process) if process.backs_off => {
                self.kubelet[index as usize].crashes.ended(self.now)
            }
            _ => Duration::ZERO,
        }
    }

    /// A worker has accepted a request, which takes memory and leaves garbage.
    pub(super) fn take_memory(&mut self, worker: u32, process: &Process) {
        if let Some(gc) = &process.gc {
            let memory = process.memory.as_ref();
            let live = memory.map_or(0.0, |memory| self.memory_of(worker, memory));
            let room = memory.map_or(f64::INFINITY, |memory| memory.heap - live);
            let place = self.place_of_worker(worker) as u64;
            let state = &mut self.workers[worker as usize];
            let before = state.heap.collected;
            let due = state.heap.allocate(gc.allocates, &gc.rule, room);
            let name = &self.model.services[state.service].name;
            let stream = self.key.named("gc").named(name).numbered(place);
            let mut pause = Duration::ZERO;
            for number in 0..due.minor {
                pause += self.model.draw_law(gc.minor, stream, before + number);
            }
            for number in 0..due.major {
                let stream = stream.named("major");
                pause += self.model.draw_law(gc.major, stream, before + number);
                pause += Duration::from_secs_f64(live * gc.live_byte_s);
            }
            if due.minor > 0 {
                let state = &mut self.workers[worker as usize];
                state.pause += pause;
                let meter = &mut self.meters[state.station];
                meter.add(Counter::Collections, u64::from(due.minor + due.major));
                meter.add(Counter::PausedMicros, pause.0 / Duration::micros(1).0);
            }
        }
        self.look_at_memory(worker, process);
    }

    /// A worker has a request more, or less, whose operation may say what it takes.
    pub(super) fn weigh(&mut self, task: u32, worker: u32, process: &Process, more: f64) {
        let Some(memory) = process.memory.filter(|memory| memory.varies) else { return };
        let record = &self.tasks[task];
        if record.role == Role::Attempt
            && let Some(bytes) = self.model.operations[record.operation()].memory
        {
            let beyond = bytes - memory.per_request;
            self.workers[worker as usize].request_bytes += more * beyond;
        }
    }

    /// A worker has taken more memory: perhaps more than there is.
    pub(super) fn look_at_memory(&mut self, worker: u32, process: &Process) {
        if process.memory.is_some_and(|memory| self.overdraws(worker, &memory).is_some()) {
            // The request is still being accepted: its process ends when that is done.
            let ordinal = purpose::EXHAUSTED;
            self.events.push(Event::new(self.now, Kind::Probe as u8, ordinal, worker));
        }
    }

    /// The memory that a worker takes (bytes).
    pub(super) fn memory_of(&self, worker: u32, memory: &Memory) -> f64 {
        let state = &self.workers[worker as usize];
        let requests = f64::from(state.open - state.sockets + state.jobs) * memory.per_request;
        let mut held = requests + state.request_bytes + state.socket_bytes as f64;
        if memory.per_connection > 0.0 {
            let idle = self.connections_idle(worker);
            held += f64::from(state.open - state.sockets + idle) * memory.per_connection;
        }
        let kept = if memory.keeps { self.kept_in_memory(worker) } else { 0.0 };
        if state.down { 0.0 } else { memory.base + held + kept }
    }

    /// What a worker keeps for later requests: caches of its own, sessions that were made in it, counts of its
    /// limits (bytes).
    fn kept_in_memory(&self, worker: u32) -> f64 {
        let service = self.service_of_worker(worker);
        let first = self.instances[self.services[service].first_instance as usize].first_worker;
        let own = self.model.caches.enumerate().filter(|(_, spec)| spec.service == Some(service));
        let cached: u64 =
            own.map(|(id, _)| self.caches[id].stores[(worker - first) as usize].used_bytes()).sum();
        let sessions = self.model.sessions.enumerate().filter(|(_, spec)| spec.in_memory);
        let bytes = |(id, spec): (SessionId, &Session)| {
            u64::from(self.sessions[id].kept_by(worker)) * u64::from(spec.size_bytes)
        };
        let limits = self.model.limits.enumerate();
        let counted = limits.filter_map(|(id, spec)| match spec.kept {
            Some((Keeper::Process, bytes)) => {
                Some(self.limits[id].in_process(worker, self.now) * bytes)
            }
            _ => None,
        });
        (cached + sessions.map(bytes).sum::<u64>() + counted.sum::<u64>()) as f64
    }

    /// Which worker ends because a worker or its instance takes more memory than there is: that one,
    /// or the one of its instance that takes the most, as the kernel chooses.
    fn overdraws(&self, worker: u32, memory: &Memory) -> Option<u32> {
        let takes = |worker: u32| self.memory_of(worker, memory);
        if takes(worker) > memory.heap {
            return Some(worker);
        }
        let workers = self.workers_of(self.workers[worker as usize].instance);
        if workers.clone().map(takes).sum::<f64>() <= memory.machine {
            return None;
        }
        workers.max_by(|a, b| takes(*a).total_cmp(&takes(*b)).then(b.cmp(a)))
    }

    /// A worker may have run out of memory.
    fn run_out(&mut self, worker: u32) {
        let index = self.workers[worker as usize].instance;
        let memory = self.process_of(index).and_then(|process| process.memory);
        let memory = memory.expect("only bounded memory runs out");
        let Some(victim) = self.overdraws(worker, &memory) else { return };
        if self.workers[victim as usize].down {
            return;
        }
        let station = self.workers[victim as usize].station;
        self.count(station, Counter::OutOfMemory);
        self.count(station, Counter::Killed);
        self.kill_worker(victim);
        let service = self.instances[index as usize].service;
        if let Some(start) = self.model.services[service].replace
            && self.instances[index as usize].phase.runs()
        {
            let at = self.now + start;
            self.events.push(Event::new(at, Kind::Probe as u8, purpose::RESPAWN, victim));
        }
    }

    /// A worker that has died is forked again by those that have not.
    fn respawn(&mut self, worker: u32) {
        let index = self.workers[worker as usize].instance;
        if self.instances[index as usize].phase.runs() {
            self.restart_worker(worker);
        }
    }
}
