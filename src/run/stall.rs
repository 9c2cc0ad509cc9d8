//! Locks of jobs: how they are kept, lost, and what becomes of jobs without one.
//!
//! A Bull or BullMQ worker locks the job that it works on for `lockDuration` (30 s) and renews the
//! lock by a timer on its event loop, Bull at half of that, BullMQ each quarter. A handler that computes in one piece keeps
//! the loop: no timer fires meanwhile, neither for its own lock nor for those of its process's other
//! jobs, and a renewal that comes after the lock has expired is refused. A job that ends without its
//! lock cannot be moved to the completed ones: it stays active (Bull 4.16.5 `processJob`,
//! `moveToFinished`: "Missing lock").
//!
//! Every `stalledInterval` (30 s) one worker looks at the active jobs: one that it found there at the
//! last check too, that has not renewed its lock since and has none any more, has stalled. It goes to
//! the head of the queue, and fails when that has happened more than `maxStalledCount` (1) times
//! (`moveStalledJobsToWait`). So a job whose process dies is run again 15 to 60 s later.

use crate::component::job_queue::Driver;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::Queue;
use crate::model::ids::QueueId;
use crate::units::{Duration, Time};

use super::event::Kind;
use super::job::JobState;
use super::meter::{Counter, MILLI};
use super::queue::Process;
use super::task::NONE;
use super::world::World;

impl<Q: PendingEvents> World<'_, Q> {
    /// The first checks for stalled jobs, where any can stall.
    pub fn start_checks(&mut self) {
        self.start_crews();
        for (queue, spec) in self.model.queues.enumerate() {
            self.start_renewals(queue);
            if spec.can_stall {
                self.at(Time::ZERO + spec.stalled_interval, Kind::Stalled, queue.0);
            }
        }
    }

    /// A job wants the loop of its process for all of its computing.
    pub(super) fn want_loop(&mut self, job: u32, queue: QueueId, place: usize) {
        let process = &mut self.queues[queue].processes[place];
        if process.blocker != NONE {
            return process.line.push_back(job);
        }
        self.keep_loop(job, queue, place);
    }

    /// A job has the loop: all others of its process stand still.
    fn keep_loop(&mut self, job: u32, queue: QueueId, place: usize) {
        let share = self.model.jobs[self.jobs[job].kind].cpu_share;
        let cpu = self.job_work(job).scale(share);
        let (now, number) = (self.now, self.queues[queue].first + place as u32);
        let process = &mut self.queues[queue].processes[place];
        process.cores.set_cores(now, 0.0);
        (process.blocker, process.blocked_since, process.armed) = (job, now, now + cpu);
        self.note_cpu(queue, place);
        self.at(now + cpu, Kind::ProcessDepart, number);
    }

    /// The loop of a process is free: timers fire that should have fired before.
    pub(super) fn leave_loop(&mut self, queue: QueueId, place: usize) {
        let number = self.queues[queue].first + place as u32;
        for job in self.jobs_of(number) {
            let since = self.queues[queue].processes[place].blocked_since;
            self.renew_late(job, queue, since);
            self.renew_after_block(job, queue);
        }
        let now = self.now;
        let cores = self.model.queues[queue].cores;
        let process = &mut self.queues[queue].processes[place];
        let job = std::mem::replace(&mut process.blocker, NONE);
        process.blocked_since = Time::NEVER;
        process.cores.set_cores(now, cores);
        let next = process.line.pop_front();
        self.note_cpu(queue, place);
        self.job_computed(job);
        if let Some(next) = next {
            self.keep_loop(next, queue, place);
        } else {
            self.arm_process(queue, place);
            if self.queues[queue].check_is_due {
                self.check_stalled(queue);
            }
        }
    }

    /// Jobs that a process has at work.
    pub(super) fn jobs_of(&self, process: u32) -> Vec<u32> {
        let slots = 0..self.jobs.capacity() as u32;
        let at_work = |job: &u32| {
            let record = self.jobs.peek(*job);
            record.process == process && record.state == JobState::Running
        };
        slots.filter(at_work).collect()
    }

    /// A renewal that was due while the loop was kept comes now; too late, it is refused for good.
    pub(super) fn renew_late(&mut self, job: u32, queue: QueueId, since: Time) {
        let spec = &self.model.queues[queue];
        let (lock, rule) = (spec.lock, Renewals::of(spec));
        let now = self.now;
        let record = &mut self.jobs[job];
        if record.lost {
            return;
        }
        let gone = self.queues[queue].gone_since;
        record.renewed = rule.last(record.renewed, since.min(gone.unwrap_or(since)));
        if gone.is_some() {
            record.lost = now >= record.renewed + lock;
        } else if rule.is_due(record.renewed, now) {
            record.lost = now >= record.renewed + lock;
            record.renewed = if record.lost { record.renewed } else { now };
        }
    }

    /// A queue's Redis is there again: locks are renewed that are not over.
    pub(super) fn renew_all(&mut self, queue: QueueId) {
        let spec = &self.model.queues[queue];
        let (now, lock, rule) = (self.now, spec.lock, Renewals::of(spec));
        let since = self.queues[queue].gone_since.unwrap_or(now);
        for place in 0..self.queues[queue].processes.len() {
            let kept = self.kept_since(queue, place);
            let (until, blocked) = (since.min(kept), kept < Time::NEVER);
            for job in self.jobs_of(self.queues[queue].first + place as u32) {
                let record = &mut self.jobs[job];
                if record.lost {
                    continue;
                }
                record.renewed = rule.last(record.renewed, until);
                if !blocked && rule.is_due(record.renewed, now) {
                    record.lost = now >= record.renewed + lock;
                    record.renewed = if record.lost { record.renewed } else { now };
                }
            }
        }
    }

    /// When the lock of a job at work was renewed last.
    fn last_renewal(&self, job: u32) -> Time {
        let record = &self.jobs[job];
        if record.state != JobState::Running || record.lost {
            return record.renewed;
        }
        let (queue, place) = self.process_place(record.process);
        let gone = self.queues[queue].gone_since.unwrap_or(self.now);
        let until = gone.min(self.kept_since(queue, place));
        Renewals::of(&self.model.queues[queue]).last(record.renewed, until)
    }

    /// Whether a job at work has no lock any more.
    pub(super) fn has_lost_lock(&self, job: u32) -> bool {
        let kind = &self.model.jobs[self.jobs[job].kind];
        self.jobs[job].lost && self.model.queues[kind.queue].can_stall
    }

    /// A worker looks for stalled jobs.
    pub fn check_stalled(&mut self, queue: QueueId) {
        let mut all = 0..self.queues[queue].processes.len();
        let is_free = |place: usize| self.queues[queue].processes[place].blocker == NONE;
        let can_look = all.any(|place| self.takes_jobs(queue, place) && is_free(place));
        self.queues[queue].check_is_due = !can_look;
        if !can_look {
            return; // the timer fires when a loop is free
        }
        let spec = &self.model.queues[queue];
        self.at(self.now + spec.stalled_interval, Kind::Stalled, queue.0);
        if self.queues[queue].gone_since.is_some() {
            return; // there is nobody to ask
        }
        for job in 0..self.jobs.capacity() as u32 {
            let record = *self.jobs.peek(job);
            let active = matches!(record.state, JobState::Running | JobState::Orphan);
            if !active || self.model.jobs[record.kind].queue != queue {
                continue;
            }
            let renewed = self.last_renewal(job);
            let was_there = record.suspect < Time::NEVER && renewed <= record.suspect;
            if was_there && renewed + spec.lock <= self.now {
                self.stalled(job, queue);
            } else {
                self.jobs[job].suspect = self.now;
            }
        }
        self.start_jobs(queue);
    }

    /// A job has stalled: it is run again before all others, or has failed.
    fn stalled(&mut self, job: u32, queue: QueueId) {
        let spec = &self.model.queues[queue];
        let record = self.jobs[job];
        let mut again = job;
        if record.state == JobState::Running {
            // Its handler goes on all the same, and keeps its slot.
            again = self.jobs.insert(record);
            let handler = &mut self.jobs[job];
            (handler.state, handler.waiter) = (JobState::Duplicate, NONE);
        }
        self.jobs[again].stalls += 1;
        if self.jobs[again].stalls > spec.max_stalled {
            self.count(spec.station, Counter::Rejected);
            return self.job_over(again, Some(Failure::JobFailed));
        }
        self.count(spec.station, Counter::Stalled);
        self.queue_up(again, queue);
        let now = self.now;
        self.queues[queue].queue.push_stalled(now, again);
    }

    /// A worker process dies: what it had at work is found by a check, later.
    pub(super) fn kill_process(&mut self, number: u32) {
        let (queue, place) = self.process_place(number);
        let spec = &self.model.queues[queue];
        for job in 0..self.jobs.capacity() as u32 {
            let record = *self.jobs.peek(job);
            if record.process != number {
                continue;
            }
            match record.state {
                JobState::Running if spec.driver == Driver::Sqs => {
                    self.queues[queue].queue.finish();
                    self.attempt_failed(job);
                }
                JobState::Running => {
                    let renewed = self.last_renewal(job);
                    let orphan = &mut self.jobs[job];
                    (orphan.state, orphan.renewed, orphan.process) =
                        (JobState::Orphan, renewed, NONE);
                    self.queues[queue].queue.finish();
                }
                JobState::Runaway => {
                    self.queues[queue].queue.runaway_ended();
                    self.jobs.remove(job);
                }
                JobState::Duplicate => {
                    self.queues[queue].queue.finish();
                    self.jobs.remove(job);
                }
                _ => continue,
            }
            self.count(spec.station, Counter::Wasted);
            self.meters[spec.station].busy.add(self.now, -MILLI);
        }
        let cpu = self.queues[queue].processes[place].cpu.clone();
        let Process { life, started, lives, .. } = self.queues[queue].processes[place];
        let idle = Process { life, started, lives, cpu, ..Process::idle(spec.cores) };
        let down = spec.service.is_none();
        self.queues[queue].processes[place] = Process { down, ..idle };
        self.note_cpu(queue, place);
        self.resize_queue(queue);
    }

    /// A worker process is there again.
    pub(super) fn restart_process(&mut self, number: u32) {
        let (queue, place) = self.process_place(number);
        self.queues[queue].processes[place].down = false;
        if !self.queues[queue].processes[place].life.runs() {
            return;
        }
        self.resize_queue(queue);
        self.start_jobs(queue);
        if self.queues[queue].check_is_due {
            self.check_stalled(queue);
        }
    }

    /// Slots come and go with processes.
    pub(super) fn resize_queue(&mut self, queue: QueueId) {
        let concurrency = self.model.queues[queue].concurrency;
        // One that closes has the places that its jobs take.
        let all = 0..self.queues[queue].processes.len();
        let places = all.map(|place| match self.takes_jobs(queue, place) {
            true => concurrency,
            false => self.queues[queue].processes[place].slots,
        });
        let places = places.sum();
        self.queues[queue].queue.resize(places);
    }
}

/// When workers renew their locks, while their loops run.
#[derive(Clone, Copy)]
enum Renewals {
    /// Bull: each lock so long after it was taken or renewed.
    Each(Duration),
    /// BullMQ: at multiples of this, all locks that are older than it.
    Together(Duration),
}

impl Renewals {
    fn of(spec: &Queue) -> Renewals {
        match spec.driver {
            Driver::BullMq => Renewals::Together(spec.lock.half().half()),
            _ => Renewals::Each(spec.lock.half()),
        }
    }
    /// The last one up to a time, of a lock that was renewed before.
    fn last(self, renewed: Time, until: Time) -> Time {
        let (Renewals::Each(every) | Renewals::Together(every)) = self;
        if until <= renewed || every.is_zero() {
            return renewed;
        }
        match self {
            Renewals::Each(_) => renewed + Duration(until.since(renewed).0 / every.0 * every.0),
            Renewals::Together(_) => {
                let look = Time(until.0 / every.0 * every.0);
                if look > renewed + every { look } else { renewed }
            }
        }
    }
    /// Whether a loop that is free again renews the lock at once.
    fn is_due(self, renewed: Time, now: Time) -> bool {
        match self {
            Renewals::Each(every) => renewed + every <= now,
            Renewals::Together(every) => renewed + every < now,
        }
    }
}
