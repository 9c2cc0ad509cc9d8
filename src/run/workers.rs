//! The worker processes of a queue: how many there are, how they start, and how they end.
//!
//! A worker that is told to end (SIGTERM) and closes takes no more jobs and ends with the last that it has
//! (Bull `queue.close()`, BullMQ `worker.close()`). One that exits, or that is killed when its grace is
//! over, leaves its jobs to the check for stalled ones, and SQS to show its messages again.

use super::event::Kind;
use super::meter::{Counter, MILLI};
use super::queue::Process;
use super::scaling::{KNOWN, Look, POLLED, Scaler, as_pods, bounds_at};
use super::task::NONE;
use super::world::World;
use crate::component::hpa::{HpaPolicy, Pods};
use crate::component::job_queue;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::QueueId;
use crate::model::{Metric, OnSigterm, Queue, Rule, Scaling};
use crate::stats::{Level, NO_THRESHOLDS};
use crate::units::{Duration, Time};
use std::collections::VecDeque;

/// In the number of a worker's event: it is ready. Any other number kills the worker whose life that is.
const READY: u32 = 0;

/// What a worker process is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It is not there.
    Off,
    /// It starts.
    Starting,
    /// It takes jobs.
    Up,
    /// It has been told to end, and takes jobs until it is killed.
    Told,
    /// It has been told to end, and finishes what it has.
    Closing,
}

impl Life {
    /// Whether a process is there that runs.
    pub fn runs(self) -> bool {
        matches!(self, Life::Up | Life::Told | Life::Closing)
    }
    /// Whether it takes jobs.
    pub fn takes(self) -> bool {
        matches!(self, Life::Up | Life::Told)
    }
}

/// The workers of a queue together.
pub struct Crew {
    /// Workers wanted.
    pub wanted: u32,
    /// Workers that run.
    running: Level,
    /// The autoscaler.
    scaler: Option<Scaler>,
    /// Running workers and CPU used over time (ticks) by the autoscaler's last look.
    ticks_then: u128,
    cpu_then: u128,
    /// What periods were like that it does not know of yet.
    looks: VecDeque<Vec<f64>>,
    /// When there was last something to do, as far as KEDA has seen.
    active: Option<Time>,
}

impl Crew {
    /// Of a queue that begins.
    pub fn new(spec: &Queue) -> Crew {
        let scaler = spec.autoscale.as_ref().map(|it| Scaler::new(&it.rules, spec.processes));
        let mut running = Level::new(Time::ZERO, NO_THRESHOLDS);
        running.set(Time::ZERO, u64::from(spec.processes));
        let looks = VecDeque::new();
        let (ticks_then, cpu_then, active) = (0, 0, None);
        Crew { wanted: spec.processes, running, scaler, ticks_then, cpu_then, looks, active }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// The first looks of the autoscalers of workers.
    pub(super) fn start_crews(&mut self) {
        let model = self.model;
        for (queue, spec) in model.queues.enumerate() {
            let Some(scaling) = &spec.autoscale else { continue };
            self.meters[spec.station].held.set(Time::ZERO, u64::from(spec.processes));
            let slot = self.crew_slot(queue);
            self.at(Time::ZERO + scaling.period, Kind::Autoscale, slot);
            if let Some(keda) = &scaling.keda {
                let first = Time::ZERO + keda.polling;
                self.events.push(Event::new(first, Kind::Autoscale as u8, POLLED, slot));
            }
            for appointment in &scaling.schedule {
                self.at(Time::ZERO + appointment.at, Kind::Appointment, slot);
            }
        }
    }

    /// The number of a queue's autoscaler: they come after those of services.
    fn crew_slot(&self, queue: QueueId) -> u32 {
        self.model.services.len() as u32 + queue.0
    }

    /// The queue whose autoscaler has this number, if it is no service's.
    pub(super) fn crew_at(&self, slot: u32) -> Option<QueueId> {
        slot.checked_sub(self.model.services.len() as u32).map(QueueId)
    }

    /// The autoscaler of a queue's workers looks at its metrics.
    pub(super) fn autoscale_workers(&mut self, queue: QueueId) {
        let model = self.model;
        let spec = &model.queues[queue];
        let scaling = spec.autoscale.as_ref().expect("only autoscaled workers look");
        let values = self.worker_values(queue, scaling);
        let slot = self.crew_slot(queue);
        self.at(self.now + scaling.period, Kind::Autoscale, slot);
        if scaling.delay.is_zero() {
            return self.scale_workers_by(queue, &values);
        }
        self.queues[queue].crew.looks.push_back(values);
        self.events.push(Event::new(self.now + scaling.delay, Kind::Autoscale as u8, KNOWN, slot));
    }

    /// The autoscaler of a queue's workers knows what a period was like.
    pub(super) fn scale_workers_late(&mut self, queue: QueueId) {
        let values = self.queues[queue].crew.looks.pop_front().expect("a period has ended");
        self.scale_workers_by(queue, &values);
    }

    /// The operator of KEDA looks whether there are jobs: of SQS those at work count, of Redis the list that
    /// they wait in.
    pub(super) fn poll_workers(&mut self, queue: QueueId) {
        let spec = &self.model.queues[queue];
        let scaling = spec.autoscale.as_ref().expect("only autoscaled workers are polled for");
        let keda = scaling.keda.as_ref().expect("only KEDA polls");
        let next = self.now + keda.polling;
        let slot = self.crew_slot(queue);
        self.events.push(Event::new(next, Kind::Autoscale as u8, POLLED, slot));
        let state = &self.queues[queue];
        let at_work = match spec.driver {
            job_queue::Driver::Sqs => state.processes.iter().map(|it| it.slots).sum(),
            _ => 0,
        };
        let active = f64::from(state.queue.waiting() + at_work) > keda.activation;
        let crew = &mut self.queues[queue].crew;
        if let Some(to) = keda.polled(self.now, active, crew.wanted, &mut crew.active) {
            self.scale_workers_to(queue, to, scaling.start);
        }
    }

    fn scale_workers_by(&mut self, queue: QueueId, values: &[f64]) {
        let model = self.model;
        let spec = &model.queues[queue];
        let scaling = spec.autoscale.as_ref().expect("only autoscaled workers look");
        if scaling.keda.is_some() && self.queues[queue].crew.wanted == 0 {
            return; // the Horizontal Pod Autoscaler leaves what is scaled to nothing alone
        }
        let metrics = self.worker_pods(queue, scaling, values);
        let crew = &mut self.queues[queue].crew;
        let wanted = crew.wanted;
        let scaler = crew.scaler.as_mut().expect("built with the queue");
        let asked = scaler.observe(self.now, &metrics, wanted);
        let (min, max) = bounds_at(scaling, self.now, spec.slots);
        let to = asked.unwrap_or(wanted).clamp(min, max);
        if asked.is_some() || to != wanted {
            self.scale_workers_to(queue, to, scaling.start);
        }
    }

    /// A schedule changes the bounds of a queue's workers.
    pub(super) fn keep_workers_appointment(&mut self, queue: QueueId) {
        let spec = &self.model.queues[queue];
        let scaling = spec.autoscale.as_ref().expect("only autoscaled workers have a schedule");
        let (min, max) = bounds_at(scaling, self.now, spec.slots);
        let wanted = self.queues[queue].crew.wanted.clamp(min, max);
        self.scale_workers_to(queue, wanted, scaling.start);
    }

    fn worker_values(&mut self, queue: QueueId, scaling: &Scaling) -> Vec<f64> {
        let now = self.now;
        let cpu: u128 = self.queues[queue].processes.iter().map(|it| it.cpu.total(now)).sum();
        let crew = &mut self.queues[queue].crew;
        let all = crew.running.total(now);
        let ticks = (all - crew.ticks_then) as f64;
        let used = (cpu - crew.cpu_then) as f64;
        (crew.ticks_then, crew.cpu_then) = (all, cpu);
        let running = crew.running.value() as u32;
        let value = |metric: &Metric| match metric {
            Metric::Cpu if ticks > 0.0 => used / (ticks * scaling.requested * MILLI as f64),
            other => self.queue_metric(other, running),
        };
        scaling.rules.iter().map(|(metric, _)| value(metric)).collect()
    }

    fn worker_pods(&self, queue: QueueId, scaling: &Scaling, values: &[f64]) -> Vec<Pods> {
        let crew = &self.queues[queue].crew;
        let ready = crew.running.value() as u32;
        let unready = crew.wanted.saturating_sub(ready);
        let pods = |((metric, rule), value): (&(Metric, Rule), &f64)| {
            let plain =
                Pods { metric: *value, target: 1.0, ready, unready, missing: 0, assumed: 0.0 };
            match rule {
                Rule::Hpa(policy, target) => {
                    let young = match metric {
                        Metric::Cpu => self.young_workers(queue, policy),
                        _ => 0,
                    };
                    Pods { target: *target, ..as_pods(metric, plain, young) }
                }
                _ => plain,
            }
        };
        scaling.rules.iter().zip(values).map(pods).collect()
    }

    /// Workers whose usage does not count yet for the Horizontal Pod Autoscaler.
    fn young_workers(&self, queue: QueueId, policy: &HpaPolicy) -> u32 {
        let is_young = |process: &&Process| {
            let Some(started) = process.started else { return false };
            let age = self.now.since(started);
            process.life.runs() && age < policy.initialisation.min(policy.sample)
        };
        self.queues[queue].processes.iter().filter(is_young).count() as u32
    }

    fn scale_workers_to(&mut self, queue: QueueId, wanted: u32, start: Duration) {
        while self.queues[queue].crew.wanted < wanted && self.start_worker(queue, start) {
            self.queues[queue].crew.wanted += 1;
        }
        while self.queues[queue].crew.wanted > wanted {
            let up = |process: &Process| process.life == Life::Up;
            let Some(place) = self.queues[queue].processes.iter().rposition(up) else { break };
            self.queues[queue].crew.wanted -= 1;
            self.retire_worker(queue, place);
        }
        let reached = self.queues[queue].crew.wanted;
        let scaler = self.queues[queue].crew.scaler.as_mut().expect("it has just decided");
        scaler.settle(reached);
    }

    /// A worker begins to start, where there is room for one more.
    fn start_worker(&mut self, queue: QueueId, start: Duration) -> bool {
        let state = &mut self.queues[queue];
        let off = |process: &Process| process.life == Life::Off;
        let Some(place) = state.processes.iter().position(off) else { return false };
        state.processes[place].life = Life::Starting;
        let slot = self.instances.len() as u32 + state.first + place as u32;
        self.events.push(Event::new(self.now + start, Kind::Boot as u8, READY, slot));
        true
    }

    /// Something about a worker is due: it is ready, or it is killed.
    pub(super) fn worker_due(&mut self, number: u32, what: u32) {
        let (queue, place) = self.process_place(number);
        let process = &mut self.queues[queue].processes[place];
        if what == READY {
            (process.life, process.started) = (Life::Up, Some(self.now));
            self.count_workers(queue, 1, Counter::Opened);
            self.resize_queue(queue);
            return self.start_jobs(queue);
        }
        let leaves = matches!(process.life, Life::Told | Life::Closing);
        if leaves && process.lives == what {
            self.end_worker(queue, place);
        }
    }

    /// A worker is told to end.
    fn retire_worker(&mut self, queue: QueueId, place: usize) {
        let spec = &self.model.queues[queue];
        let state = &mut self.queues[queue];
        let process = &mut state.processes[place];
        process.lives += 1;
        let (number, lives) = (state.first + place as u32, process.lives);
        process.life = match spec.on_sigterm {
            OnSigterm::Exit => return self.end_worker(queue, place),
            OnSigterm::Finish => Life::Closing,
            OnSigterm::Ignore => Life::Told,
        };
        let slot = self.instances.len() as u32 + number;
        self.events.push(Event::new(self.now + spec.grace, Kind::Boot as u8, lives, slot));
        self.worker_may_end(queue, place);
    }

    /// A worker that closes ends when it has no job left.
    pub(super) fn worker_may_end(&mut self, queue: QueueId, place: usize) {
        if let Some(service) = self.model.queues[queue].service {
            return self.place_is_free(service, place);
        }
        let process = &self.queues[queue].processes[place];
        if process.life != Life::Closing {
            return;
        }
        match process.slots {
            0 => self.end_worker(queue, place),
            _ => self.resize_queue(queue),
        }
    }

    /// A worker is gone for good, with what it has.
    fn end_worker(&mut self, queue: QueueId, place: usize) {
        let number = self.queues[queue].first + place as u32;
        self.kill_process(number);
        let process = &mut self.queues[queue].processes[place];
        (process.down, process.life) = (false, Life::Off);
        self.count_workers(queue, -1, Counter::Closed);
        self.resize_queue(queue);
        self.start_jobs(queue);
    }

    fn count_workers(&mut self, queue: QueueId, change: i32, counter: Counter) {
        let now = self.now;
        self.queues[queue].crew.running.add(now, i64::from(change));
        let meter = &mut self.meters[self.model.queues[queue].station];
        meter.count(counter);
        meter.held.add(now, i64::from(change));
    }

    /// The cores of a process have more to do, or less.
    pub(super) fn note_cpu(&mut self, queue: QueueId, place: usize) {
        if self.model.queues[queue].autoscale.is_none() {
            return;
        }
        let now = self.now;
        let process = &mut self.queues[queue].processes[place];
        let blocked = process.blocker != NONE;
        let milli = if blocked { MILLI as u64 } else { process.cores.busy_milli() };
        process.cpu.set(now, milli);
    }

    /// What a metric that is a queue's shows to so many that work at it.
    pub(super) fn queue_metric(&self, metric: &Metric, running: u32) -> Look {
        match *metric {
            Metric::Backlog(queue, wanted) => {
                let waiting = f64::from(self.queues[queue].queue.waiting());
                waiting / f64::from(running.max(1)) / wanted
            }
            Metric::Oldest(queue, wanted_s) => {
                let oldest = self.queues[queue].queue.oldest_age(self.now);
                oldest.map_or(0.0, Duration::seconds) / wanted_s
            }
            _ => 0.0,
        }
    }
}
