//! Job queues: jobs that requests leave behind, and the processes that work them off.

use crate::component::job_queue::{Driver, JobQueue};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents, ProcessorSharing};
use crate::model;
use crate::model::UnitKind;
use crate::model::ids::{JobId, QueueId, StationId};
use crate::model::tape::DrawId;
use crate::stream::StreamKey;
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::{Counter, MILLI, Part};
use super::task::{NONE, State};
use super::world::World;

/// A job that waits or runs.
#[derive(Clone, Copy, Debug)]
pub struct JobRecord {
    /// What kind.
    kind: JobId,
    /// Attempts that have failed.
    failed: u32,
    /// The task that waits for it; [`NONE`] when nobody does.
    waiter: u32,
    /// The waiter's epoch.
    waiter_epoch: u16,
    /// The process that works at it.
    process: u32,
    /// When it was put on the queue, first or again.
    queued: Time,
    /// Tells this job's events from those of the slot's earlier tenants, 31 bits.
    number: u32,
    /// When the present attempt, or the last, was begun.
    started: Time,
    /// It stands in the queue.
    waiting: bool,
    /// Its promise has rejected; the handler goes on for nothing.
    runaway: bool,
    /// The root of its random numbers.
    stream: StreamKey,
}

impl Default for JobRecord {
    /// Nobody's: what a free slot holds.
    fn default() -> Self {
        JobRecord {
            kind: JobId(0),
            failed: 0,
            waiter: NONE,
            waiter_epoch: 0,
            process: NONE,
            queued: Time::ZERO,
            started: Time::ZERO,
            number: 0,
            waiting: false,
            runaway: false,
            stream: StreamKey::default(),
        }
    }
}

/// A queue while it runs.
pub struct QueueState {
    /// Who is next.
    queue: JobQueue,
    /// Worker processes.
    processes: Vec<Process>,
    /// Number of its first process among all processes of all queues.
    first: u32,
}

/// A worker process.
struct Process {
    /// Its cores, and the jobs on them.
    cores: ProcessorSharing,
    /// When its next departure is scheduled.
    armed: Time,
    /// Handlers at work.
    handlers: u32,
}

impl QueueState {
    /// An idle queue.
    pub fn new(spec: &model::Queue) -> QueueState {
        let processes = (0..spec.processes)
            .map(|_| Process {
                cores: ProcessorSharing::new(spec.cores, 0.0, 0.0),
                armed: Time::NEVER,
                handlers: 0,
            })
            .collect();
        QueueState {
            queue: JobQueue::new(Driver::Bull, spec.processes * spec.concurrency),
            processes,
            first: spec.first_process,
        }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A running callback puts a job on its queue. True: it does not wait for the job.
    pub fn enqueue(&mut self, task: u32, kind: JobId, draw: DrawId, wait: bool) -> bool {
        let record = self.tasks[task];
        let waiter = if wait { task } else { NONE };
        let job = self.jobs.insert(JobRecord {
            kind,
            failed: 0,
            waiter,
            waiter_epoch: record.epoch,
            process: NONE,
            queued: self.now,
            started: Time::ZERO,
            number: record.ordinal,
            waiting: false,
            runaway: false,
            stream: record.stream.numbered(u64::from(draw.0)),
        });
        let record = &mut self.tasks[task];
        record.pc.0 += 1;
        if wait {
            (record.state, record.since) = (State::JobQueue, self.now);
        }
        self.queue_job(job);
        !wait
    }

    fn queue_job(&mut self, job: u32) {
        let kind = &self.model.jobs[self.jobs[job].kind];
        let station = self.model.queues[kind.queue].station;
        self.jobs[job].queued = self.now;
        self.jobs[job].waiting = true;
        self.count(station, Counter::Arrivals);
        self.meters[station].enter(self.now);
        self.queues[kind.queue].queue.push(self.now, job, kind.priority);
        self.start_jobs(kind.queue);
    }

    fn start_jobs(&mut self, queue: QueueId) {
        let station = self.model.queues[queue].station;
        while let Some(started) = self.queues[queue].queue.start(self.now) {
            let job = started.job;
            self.meters[station].leave(self.now, self.jobs[job].queued);
            let state = &mut self.queues[queue];
            let handlers = state.processes.iter().map(|process| process.handlers);
            let least = handlers.enumerate().min_by_key(|(_, handlers)| *handlers);
            let place = least.expect("a queue has a process").0;
            state.processes[place].handlers += 1;
            self.meters[station].busy.add(self.now, MILLI);
            let process = state.first + place as u32;
            self.jobs[job].process = process;
            self.jobs[job].waiting = false;
            self.jobs[job].started = self.now;
            self.start_job(job, queue, place);
        }
    }

    fn start_job(&mut self, job: u32, queue: QueueId, place: usize) {
        let record = self.jobs[job];
        let kind = &self.model.jobs[record.kind];
        if let Some(timeout) = kind.timeout {
            let at = self.now + timeout;
            self.events.push(Event::new(at, Kind::JobTimeout as u8, record.number, job));
        }
        let cpu = self.job_work(job).scale(kind.cpu_share);
        if cpu.is_zero() {
            return self.job_computed(job);
        }
        let now = self.now;
        self.queues[queue].processes[place].cores.add(now, cpu, job);
        self.arm_process(queue, place);
    }

    /// How long the present attempt takes with a core to itself.
    fn job_work(&self, job: u32) -> Duration {
        let record = &self.jobs[job];
        let law = self.model.jobs[record.kind].work;
        let alone = self.model.draw_law(law, record.stream, record.failed);
        self.condition(UnitKind::Process, record.process).stretch(alone)
    }

    fn arm_process(&mut self, queue: QueueId, place: usize) {
        let state = &mut self.queues[queue];
        let number = state.first + place as u32;
        let process = &mut state.processes[place];
        if let Some(at) = process.cores.next_departure().filter(|at| *at != process.armed) {
            process.armed = at;
            self.at(at, Kind::ProcessDepart, number);
        }
    }

    /// Where and since when a job waits, if it does.
    pub fn job_waits(&self, job: u32) -> Option<(StationId, Time)> {
        let record = self.jobs.peek(job);
        record.waiting.then(|| {
            let queue = self.model.jobs[record.kind].queue;
            (self.model.queues[queue].station, record.queued)
        })
    }

    /// The queue and the place in it of a process, by its number among all.
    fn process_place(&self, number: u32) -> (QueueId, usize) {
        let after = self.queues.iter().take_while(|state| state.first <= number).count() as u32;
        let queue = QueueId(after - 1);
        (queue, (number - self.queues[queue].first) as usize)
    }

    /// Jobs of a process may be done with its cores.
    pub fn process_depart(&mut self, number: u32) {
        let (queue, place) = self.process_place(number);
        if self.queues[queue].processes[place].armed != self.now {
            return; // superseded
        }
        self.queues[queue].processes[place].armed = Time::NEVER;
        let now = self.now;
        while let Some(job) = self.queues[queue].processes[place].cores.depart(now) {
            self.job_computed(job);
        }
        self.arm_process(queue, place);
    }

    /// The CPU part of a job is done; what it waits for outside remains.
    fn job_computed(&mut self, job: u32) {
        let share = self.model.jobs[self.jobs[job].kind].cpu_share;
        let work = self.job_work(job);
        let rest = Duration(work.0.saturating_sub(work.scale(share).0));
        let event = Event::new(self.now + rest, Kind::JobDone as u8, self.jobs[job].number, job);
        self.events.push(event);
    }

    /// A handler ends.
    pub fn job_done(&mut self, job: u32) {
        let record = self.jobs[job];
        let kind = &self.model.jobs[record.kind];
        let station = self.model.queues[kind.queue].station;
        let (queue, place) = self.process_place(record.process);
        self.queues[queue].processes[place].handlers -= 1;
        self.meters[station].busy.add(self.now, -MILLI);
        if record.runaway {
            self.queues[queue].queue.runaway_ended();
            self.count(station, Counter::Wasted);
            self.jobs.remove(job);
            return;
        }
        self.queues[queue].queue.finish();
        let errors = self.condition(UnitKind::Process, record.process).errors;
        let fails = self.stumbles(errors)
            || record.stream.draw(0xfa11_0000 + u64::from(record.failed)).chance(kind.fail);
        if fails {
            self.attempt_failed(job);
        } else {
            self.count(station, Counter::Served);
            self.job_over(job, None);
        }
        self.start_jobs(queue);
    }

    /// The promise of a job rejects. Its slot is free for another, but the handler goes on and
    /// keeps its share of the cores (Bull 4 `timeout`).
    pub fn job_timeout(&mut self, job: u32, number: u32) {
        let record = *self.jobs.peek(job);
        if record.number != number || record.process == NONE || record.runaway {
            return; // over, and perhaps another job is there
        }
        let kind = &self.model.jobs[record.kind];
        let length = kind.timeout.unwrap_or(Duration::ZERO);
        if record.queued + length > self.now {
            return; // of an earlier attempt
        }
        let station = self.model.queues[kind.queue].station;
        self.count(station, Counter::TimedOut);
        let (queue, _) = self.process_place(record.process);
        self.queues[queue].queue.time_out();
        // The job goes on as a new record; this one is only the handler that still runs.
        let again = self.jobs.insert(JobRecord { process: NONE, ..record });
        self.jobs[job].runaway = true;
        self.jobs[job].waiter = NONE;
        self.attempt_failed(again);
        self.start_jobs(queue);
    }

    /// An attempt has failed: the job is tried again, or has failed for good.
    fn attempt_failed(&mut self, job: u32) {
        let record = &mut self.jobs[job];
        record.failed += 1;
        record.process = NONE;
        let record = *record;
        let kind = &self.model.jobs[record.kind];
        let station = self.model.queues[kind.queue].station;
        match kind.retry.next_delay(record.failed) {
            Some(delay) => {
                self.count(station, Counter::Retried);
                let at = self.now + delay;
                self.events.push(Event::new(at, Kind::JobRetry as u8, record.number, job));
            }
            None => {
                self.count(station, Counter::Rejected);
                self.job_over(job, Some(Failure::JobFailed));
            }
        }
    }

    /// A failed job is put on its queue again.
    pub fn job_retry(&mut self, job: u32) {
        self.queue_job(job);
    }

    /// A job has ended, well or badly; whoever waited for it goes on.
    fn job_over(&mut self, job: u32, failure: Option<Failure>) {
        let record = self.jobs.remove(job);
        let waits = self.awaits(record.waiter, record.waiter_epoch);
        if !waits {
            return;
        }
        let station = self.model.queues[self.model.jobs[record.kind].queue].station;
        let since = self.tasks[record.waiter].since;
        // The last attempt is service; queueing and earlier attempts are waiting.
        self.spend(record.waiter, station, Part::Wait, record.started.since(since));
        self.spend(record.waiter, station, Part::Service, self.now.since(record.started));
        match failure {
            None => self.resume(record.waiter),
            Some(why) => self.resume_failed(record.waiter, why),
        }
    }
}
