//! Job queues: jobs that requests leave behind, and the processes that work them off.

use crate::component::job_limiter::JobLimiter;
use crate::component::job_queue::{Driver, JobQueue};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents, ProcessorSharing};
use crate::model;
use crate::model::UnitKind;
use crate::model::ids::{JobId, QueueId, StationId};
use crate::model::tape::{DrawId, PollId};
use crate::stats::{Level, NO_THRESHOLDS};
use crate::units::{Duration, Time};
use std::collections::VecDeque;

use super::event::Kind;
use super::job::{JobRecord, JobState};
use super::mapping::MappingState;
use super::meter::{Counter, MILLI, Part};
use super::queue_scripts::{ScriptsState, Stage};
use super::queue_store::Kept;
use super::task::{NONE, State};
use super::workers::{Crew, Life};
use super::world::World;

/// A queue while it runs.
pub struct QueueState {
    /// Who is next.
    pub(super) queue: JobQueue,
    /// Worker processes.
    pub(super) processes: Vec<Process>,
    /// Number of its first process among all processes of all queues.
    pub(super) first: u32,
    /// How many jobs it starts in a time, where that is bounded.
    pub(super) limiter: Option<JobLimiter>,
    /// Who calls a function with its messages.
    pub(super) mapping: Option<Box<MappingState>>,
    /// Its workers together.
    pub(super) crew: Crew,
    /// Jobs that are due later.
    pub(super) delayed: Level,
    /// A check for stalled jobs is due, and every process that could make it is busy.
    pub(super) check_is_due: bool,
    /// What its jobs take in its Redis, those that are over included (bytes).
    pub(super) bytes: u64,
    /// Since when that is gone, if it is.
    pub(super) gone_since: Option<Time>,
    /// What it has there besides.
    pub(super) kept: Kept,
    /// What its workers ask of that.
    pub(super) scripts: ScriptsState,
}

/// A worker process.
pub struct Process {
    /// Its cores, and the jobs on them.
    pub(super) cores: ProcessorSharing,
    /// When its next departure is scheduled, or its loop is free again.
    pub(super) armed: Time,
    /// Handlers at work.
    pub(super) handlers: u32,
    /// Slots taken.
    pub(super) slots: u32,
    /// The job that keeps its loop; [`NONE`] if it is free.
    pub(super) blocker: u32,
    /// Since when.
    pub(super) blocked_since: Time,
    /// Jobs that want the loop for themselves.
    pub(super) line: VecDeque<u32>,
    /// It is dead.
    pub(super) down: bool,
    /// Whether it is wanted, and told to end.
    pub(super) life: Life,
    /// When it was started, unless it was there from the beginning.
    pub(super) started: Option<Time>,
    /// How often it has been told to end.
    pub(super) lives: u32,
    /// CPU that it uses, where somebody looks.
    pub(super) cpu: Level,
}

impl Process {
    /// One with nothing to do.
    pub(super) fn idle(cores: f64) -> Process {
        Process {
            cores: ProcessorSharing::new(cores, 0.0, 0.0),
            armed: Time::NEVER,
            handlers: 0,
            slots: 0,
            blocker: NONE,
            blocked_since: Time::NEVER,
            line: VecDeque::new(),
            down: false,
            life: Life::Up,
            started: None,
            lives: 0,
            cpu: Level::new(Time::ZERO, NO_THRESHOLDS),
        }
    }
}

impl Process {
    /// Whether it begins jobs.
    pub(super) fn takes_jobs(&self) -> bool {
        !self.down && self.life.takes()
    }
}

impl QueueState {
    /// An idle queue.
    pub fn new(spec: &model::Queue) -> QueueState {
        let slots = match spec.mapping {
            Some(_) => u32::MAX, // its pollers are bounded
            None => spec.processes * spec.concurrency,
        };
        QueueState {
            queue: JobQueue::new(spec.driver, slots),
            processes: (0..spec.slots)
                .map(|place| match place < spec.processes {
                    true => Process::idle(spec.cores),
                    false => Process { life: Life::Off, ..Process::idle(spec.cores) },
                })
                .collect(),
            first: spec.first_process,
            limiter: spec.limiter.map(|limiter| JobLimiter::new(spec.driver, limiter)),
            mapping: spec.mapping.as_ref().map(|it| Box::new(MappingState::new(it))),
            crew: Crew::new(spec),
            delayed: Level::new(Time::ZERO, NO_THRESHOLDS),
            check_is_due: false,
            bytes: 0,
            gone_since: None,
            kept: Kept::default(),
            scripts: ScriptsState::default(),
        }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A running callback puts a job on its queue. True: it does not wait for the job.
    pub fn enqueue(
        &mut self,
        task: u32,
        kind: JobId,
        (draw, poll): (DrawId, PollId),
        (wait, delay): (bool, Duration),
    ) -> bool {
        let record = self.tasks[task];
        let queue = self.model.jobs[kind].queue;
        let passage = self.passage_of_job(task, queue);
        if passage.lost {
            self.lose_on_way(task, passage.late);
            return false;
        }
        let waiter = if wait { task } else { NONE };
        let watch = if poll == PollId::default() { NONE } else { self.watch_job(task, kind, poll) };
        let job = self.jobs.insert(JobRecord {
            kind,
            waiter,
            waiter_epoch: record.epoch,
            watch,
            user: record.user,
            number: record.ordinal,
            stream: record.stream.numbered(u64::from(draw.0)),
            ..JobRecord::default()
        });
        let record = &mut self.tasks[task];
        record.pc.0 += 1;
        if wait {
            (record.state, record.since) = (State::JobQueue, self.now);
        }
        self.hold_job(kind);
        let far = self.way_to_queue(queue, task) + self.send_message(queue, task);
        let late = passage.late + far;
        let there = self.now + passage.late + far.half();
        if !delay.is_zero() {
            self.delay_job(job, there + delay);
        } else if late.is_zero() {
            self.queue_job(job);
        } else {
            self.on_queue_at(job, there);
        }
        if late.is_zero() {
            return !wait;
        }
        if !wait {
            self.travel(task, late);
            let record = &mut self.tasks[task];
            (record.state, record.since) = (State::Away, self.now);
            self.at_task(self.now + late, Kind::Resume, task);
        }
        false
    }

    /// A job is on its queue from then on.
    fn on_queue_at(&mut self, job: u32, at: Time) {
        self.jobs[job].state = JobState::Delayed;
        let number = self.jobs[job].number;
        self.events.push(Event::new(at, Kind::JobRetry as u8, number, job));
    }

    /// Its queue keeps a job until then among those that are due later.
    pub(super) fn delay_job(&mut self, job: u32, at: Time) {
        let record = &mut self.jobs[job];
        record.delayed = true;
        let queue = self.model.jobs[record.kind].queue;
        self.queues[queue].delayed.add(self.now, 1);
        self.on_queue_at(job, at);
    }

    /// A job is due, or lost. True: it was kept until now.
    pub(super) fn no_longer_delayed(&mut self, job: u32) -> bool {
        let record = &mut self.jobs[job];
        let queue = self.model.jobs[record.kind].queue;
        let was = std::mem::take(&mut record.delayed);
        if was {
            self.queues[queue].delayed.add(self.now, -1);
        }
        was
    }

    /// Round trip to a queue in another region; to one that a Redis holds, the command makes it.
    fn way_to_queue(&self, queue: QueueId, task: u32) -> Duration {
        let spec = &self.model.queues[queue];
        self.way_to(spec.region.filter(|_| spec.cache.is_none()), task)
    }

    fn queue_job(&mut self, job: u32) {
        let was_delayed = self.no_longer_delayed(job);
        let kind = &self.model.jobs[self.jobs[job].kind];
        // What was due later goes to the tail all the same.
        let first = kind.lifo && !was_delayed;
        self.queue_up(job, kind.queue);
        let queue = &mut self.queues[kind.queue].queue;
        match first {
            true => queue.push_first(self.now, job),
            false => queue.push(self.now, job, kind.priority),
        }
        self.start_jobs(kind.queue);
    }

    /// A job begins to wait in a queue.
    pub(super) fn queue_up(&mut self, job: u32, queue: QueueId) {
        let station = self.model.queues[queue].station;
        let record = &mut self.jobs[job];
        (record.state, record.queued, record.process) = (JobState::Waiting, self.now, NONE);
        self.count(station, Counter::Arrivals);
        self.meters[station].enter(self.now);
    }

    /// Free slots take the next jobs; of the processes that have one the least busy goes first.
    pub(super) fn start_jobs(&mut self, queue: QueueId) {
        let spec = &self.model.queues[queue];
        if let Some(mapping) = &spec.mapping {
            return self.poll(queue, mapping);
        }
        if self.queues[queue].gone_since.is_some() {
            return; // nothing can be claimed
        }
        if spec.service.is_some() {
            self.resize_queue(queue); // its instances come and go
        }
        while !self.is_rate_limited(queue)
            && let Some(started) = self.queues[queue].queue.start(self.now)
        {
            let job = started.job;
            self.meters[spec.station].leave(self.now, self.jobs[job].queued);
            if spec.limiter.is_some() && self.puts_aside(queue, job) {
                continue;
            }
            let free = |place: &usize| {
                let slots = self.queues[queue].processes[*place].slots;
                slots < spec.concurrency && self.takes_jobs(queue, *place)
            };
            let takers = (0..self.queues[queue].processes.len()).filter(free);
            let place = takers.min_by_key(|place| self.queues[queue].processes[*place].handlers);
            let place = place.expect("a job starts where there is a slot");
            let state = &mut self.queues[queue];
            let process = &mut state.processes[place];
            process.handlers += 1;
            process.slots += 1;
            self.meters[spec.station].busy.add(self.now, MILLI);
            let process = state.first + place as u32;
            let record = &mut self.jobs[job];
            (record.state, record.process) = (JobState::Running, process);
            (record.started, record.renewed) = (self.now, self.now);
            (record.suspect, record.lost) = (Time::NEVER, false);
            self.begin_job(job, queue, place);
        }
        self.queues[queue].scripts.brings = false;
    }

    pub(super) fn start_job(&mut self, job: u32, queue: QueueId, place: usize) {
        let record = &mut self.jobs[job];
        (record.stage, record.started) = (Stage::Works, self.now);
        let record = *record;
        self.renew_later(job, queue);
        let kind = &self.model.jobs[record.kind];
        let spec = &self.model.queues[queue];
        let limit = if spec.driver == Driver::Sqs { Some(spec.lock) } else { kind.timeout };
        if let Some(limit) = limit {
            let at = self.now + limit;
            self.events.push(Event::new(at, Kind::JobTimeout as u8, record.number, job));
        }
        if let Some(service) = spec.service {
            self.jobs[job].due = Time::NEVER;
            return self.start_flow(job, service, place);
        }
        let cpu = self.job_work(job).scale(kind.cpu_share);
        if cpu.is_zero() {
            return self.job_computed(job);
        }
        if kind.blocking {
            return self.want_loop(job, queue, place);
        }
        let now = self.now;
        self.queues[queue].processes[place].cores.add(now, cpu, job);
        self.arm_process(queue, place);
    }

    /// How long the present attempt takes with a core to itself.
    pub(super) fn job_work(&self, job: u32) -> Duration {
        let record = &self.jobs[job];
        let law = self.model.jobs[record.kind].work;
        let alone = self.model.draw_law(law, record.stream, record.failed);
        self.condition(UnitKind::Process, record.process).stretch(alone)
    }

    pub(super) fn arm_process(&mut self, queue: QueueId, place: usize) {
        let state = &mut self.queues[queue];
        let number = state.first + place as u32;
        self.note_cpu(queue, place);
        let process = &mut self.queues[queue].processes[place];
        if process.blocker != NONE {
            return; // its event is that of the job that has the loop
        }
        if let Some(at) = process.cores.next_departure().filter(|at| *at != process.armed) {
            process.armed = at;
            self.at(at, Kind::ProcessDepart, number);
        }
    }

    /// Where and since when a job waits, if it does.
    pub fn job_waits(&self, job: u32) -> Option<(StationId, Time)> {
        let record = self.jobs.peek(job);
        (record.state == JobState::Waiting).then(|| {
            let queue = self.model.jobs[record.kind].queue;
            (self.model.queues[queue].station, record.queued)
        })
    }

    /// The queue and the place in it of a process, by its number among all.
    pub(super) fn process_place(&self, number: u32) -> (QueueId, usize) {
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
        if self.queues[queue].processes[place].blocker != NONE {
            return self.leave_loop(queue, place);
        }
        let now = self.now;
        while let Some(job) = self.queues[queue].processes[place].cores.depart(now) {
            self.job_computed(job);
        }
        self.arm_process(queue, place);
    }

    /// The CPU part of a job is done; what it waits for outside remains.
    pub(super) fn job_computed(&mut self, job: u32) {
        let share = self.model.jobs[self.jobs[job].kind].cpu_share;
        let work = self.job_work(job);
        let rest = Duration(work.0.saturating_sub(work.scale(share).0));
        let record = &mut self.jobs[job];
        record.due = self.now + rest;
        self.events.push(Event::new(record.due, Kind::JobDone as u8, record.number, job));
    }

    /// A handler ends.
    pub fn job_done(&mut self, job: u32, number: u32) {
        let record = *self.jobs.peek(job);
        let works =
            matches!(record.state, JobState::Running | JobState::Runaway | JobState::Duplicate);
        if !works || record.number != number || record.due != self.now {
            return; // it died with its process
        }
        let kind = &self.model.jobs[record.kind];
        let station = self.model.queues[kind.queue].station;
        let (queue, place) = self.process_place(record.process);
        if self.asks_again(job) {
            return;
        }
        if record.stage == Stage::Claims {
            return self.start_job(job, queue, place);
        }
        if self.queues[queue].gone_since.is_some() {
            return self.queues[queue].kept.ended.push((job, number)); // nobody can be told
        }
        if self.ends_in_redis(job) {
            return;
        }
        self.queues[queue].processes[place].handlers -= 1;
        self.meters[station].busy.add(self.now, -MILLI);
        if record.state == JobState::Runaway {
            self.queues[queue].queue.runaway_ended();
            self.count(station, Counter::Wasted);
            self.jobs.remove(job);
            return;
        }
        self.queues[queue].processes[place].slots -= 1;
        self.queues[queue].queue.finish();
        if record.state == JobState::Duplicate {
            self.count(station, Counter::Wasted);
            self.jobs.remove(job);
        } else if record.erased {
            self.count(station, Counter::Lost);
            self.job_over(job, Some(Failure::JobFailed));
        } else if self.has_lost_lock(job) {
            // Its end is refused ("Missing lock for job"): it stays among the active ones.
            self.count(station, Counter::Wasted);
            self.jobs[job].state = JobState::Orphan;
        } else {
            let brings = self.attempt_ends(job);
            self.queues[queue].scripts.brings = brings;
        }
        self.worker_may_end(queue, place);
        self.start_jobs(queue);
    }

    /// Whether the present attempt is one of those that fail.
    pub(super) fn fails_by_chance(&self, job: u32) -> bool {
        let record = &self.jobs[job];
        let chance = self.model.jobs[record.kind].fail;
        record.stream.draw(0xfa11_0000 + u64::from(record.failed)).chance(chance)
    }

    /// An attempt has come to its own end. True: it has brought the next job along.
    fn attempt_ends(&mut self, job: u32) -> bool {
        let record = self.jobs[job];
        let kind = &self.model.jobs[record.kind];
        let errors = self.condition(UnitKind::Process, record.process).errors;
        let fails = self.stumbles(errors)
            || std::mem::take(&mut self.jobs[job].broke)
            || self.fails_by_chance(job);
        let brings = self.next_is_brought(job, fails);
        if fails {
            self.attempt_failed(job);
        } else {
            self.count(self.model.queues[kind.queue].station, Counter::Served);
            self.job_over(job, None);
        }
        brings
    }

    /// The promise of a job rejects. Its slot is free for another, but the handler goes on and
    /// keeps its share of the cores (Bull 4 `timeout`).
    pub fn job_timeout(&mut self, job: u32, number: u32) {
        let record = *self.jobs.peek(job);
        let works = record.state == JobState::Running && record.stage != Stage::Ends;
        if record.number != number || !works {
            return; // over, and perhaps another job is there
        }
        let kind = &self.model.jobs[record.kind];
        let spec = &self.model.queues[kind.queue];
        if spec.driver == Driver::Sqs {
            if record.started + spec.lock == self.now {
                self.visible_again(job);
            }
            return;
        }
        let length = kind.timeout.unwrap_or(Duration::ZERO);
        if record.started + length != self.now {
            return; // of an earlier attempt
        }
        let station = self.model.queues[kind.queue].station;
        self.count(station, Counter::TimedOut);
        let (queue, place) = self.process_place(record.process);
        self.queues[queue].queue.time_out();
        self.queues[queue].processes[place].slots -= 1;
        // The job goes on as a new record; this one is only the handler that still runs.
        let again = self.jobs.insert(JobRecord { process: NONE, ..record });
        let handler = &mut self.jobs[job];
        (handler.state, handler.waiter) = (JobState::Runaway, NONE);
        self.end_late_in_redis(job);
        self.attempt_failed(again);
        self.worker_may_end(queue, place);
        self.start_jobs(queue);
    }

    /// An attempt has failed: the job is tried again, or has failed for good.
    pub(super) fn attempt_failed(&mut self, job: u32) {
        let record = &mut self.jobs[job];
        record.failed += 1;
        (record.process, record.state, record.stage) = (NONE, JobState::Delayed, Stage::Works);
        let record = *record;
        let kind = &self.model.jobs[record.kind];
        let spec = &self.model.queues[kind.queue];
        let delay = match spec.driver {
            // Nobody tells SQS of a failure: the message shows up again when its time is over.
            Driver::Sqs => spec.receives_left(record.failed).then(|| {
                let visible = record.started + spec.lock;
                visible.since(self.now)
            }),
            _ => kind.retry.next_delay(record.failed).map(|delay| {
                let draw = || record.stream.draw(0x7177_0000 + u64::from(record.failed)).unit();
                kind.retry.jittered(delay, draw)
            }),
        };
        match delay {
            Some(delay) => {
                self.count(spec.station, Counter::Retried);
                if delay.is_zero() && kind.lifo {
                    return self.job_retry(job); // before its worker looks for the next one
                }
                let at = self.now + delay;
                match spec.driver {
                    Driver::Bull | Driver::BullMq if !delay.is_zero() => self.delay_job(job, at),
                    _ => self.on_queue_at(job, at),
                }
            }
            None => {
                self.count(spec.station, Counter::Rejected);
                self.job_over(job, Some(Failure::JobFailed));
            }
        }
    }

    /// A message has been worked at for longer than it is invisible: another worker gets it too.
    fn visible_again(&mut self, job: u32) {
        let record = self.jobs[job];
        let kind = &self.model.jobs[record.kind];
        self.count(self.model.queues[kind.queue].station, Counter::TimedOut);
        let again = self.jobs.insert(JobRecord { process: NONE, ..record });
        let handler = &mut self.jobs[job];
        (handler.state, handler.waiter) = (JobState::Duplicate, NONE);
        self.attempt_failed(again);
    }

    /// A failed job is put on its queue again.
    pub fn job_retry(&mut self, job: u32) {
        let record = self.jobs[job];
        let queue = self.model.jobs[record.kind].queue;
        if record.erased {
            self.count(self.model.queues[queue].station, Counter::Lost);
            return self.job_over(job, Some(Failure::JobFailed));
        }
        if self.queues[queue].gone_since.is_some() {
            return self.queues[queue].kept.due.push(job);
        }
        self.queue_job(job);
    }

    /// A job has ended, well or badly; whoever waited for it goes on.
    pub(super) fn job_over(&mut self, job: u32, failure: Option<Failure>) {
        let record = self.jobs.remove(job);
        if record.watch != NONE {
            self.watched_job_over(record.watch);
        }
        if !record.erased {
            self.keep_finished(record.kind, failure.is_none());
        }
        let waits = self.awaits(record.waiter, record.waiter_epoch);
        if !waits {
            return;
        }
        let queue = self.model.jobs[record.kind].queue;
        let station = self.model.queues[queue].station;
        let passage = self.passage_of_job(record.waiter, queue);
        let since = self.tasks[record.waiter].since;
        // The last attempt is service; queueing and earlier attempts are waiting.
        self.spend(record.waiter, station, Part::Wait, record.started.since(since));
        self.spend(record.waiter, station, Part::Service, self.now.since(record.started));
        let late = passage.late + self.way_to_queue(queue, record.waiter).half();
        if !late.is_zero() {
            self.travel(record.waiter, late);
            let waiter = &mut self.tasks[record.waiter];
            (waiter.state, waiter.since) = (State::Away, self.now);
            let lost = passage.lost.then_some(Failure::Unreachable);
            waiter.status = lost.or(failure).map_or(waiter.status, |why| why as u8);
            return self.at_task(self.now + late, Kind::Resume, record.waiter);
        }
        match failure {
            None => self.resume(record.waiter),
            Some(why) => self.resume_failed(record.waiter, why),
        }
    }
}
