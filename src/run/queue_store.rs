//! The Redis that keeps a queue: what its jobs take there, and what becomes of them when it is gone.
//!
//! Workers claim, renew and end jobs by scripts in Redis. While it is gone their clients hold these
//! back (BullMQ demands `maxRetriesPerRequest: null`): handlers go on, but no job is begun, ended or
//! tried again. A lock that was not renewed in time is over when Redis is back, and its job has stalled.

use std::collections::{BTreeMap, VecDeque};

use crate::component::job_queue::Driver;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::Job;
use crate::model::ids::{CacheId, JobId, QueueId};
use crate::units::TICKS_PER_SECOND;

use super::job::JobState;
use super::meter::{Counter, MILLI};
use super::queue::QueueState;
use super::queue_scripts::Stage;
use super::world::World;

/// A job that is over and still in Redis.
#[derive(Clone, Copy)]
pub struct Finished {
    kind: JobId,
    completed: bool,
    /// When it ended (s).
    since: u32,
    bytes: u64,
}

/// What a queue has in Redis besides the jobs to be done.
#[derive(Default)]
pub struct Kept {
    /// Jobs that are over, by the order in which they have ended.
    finished: BTreeMap<u64, Finished>,
    /// The places there of those of each kind that have failed, and that have completed.
    alike: Vec<VecDeque<u64>>,
    /// How many have ended.
    ends: u64,
    /// Handlers that have ended while Redis was gone, with the numbers of their jobs.
    pub(super) ended: Vec<(u32, u32)>,
    /// Jobs whose next attempt was due meanwhile.
    pub(super) due: Vec<u32>,
}

impl QueueState {
    /// When the first of the finished jobs ended (s), and how many there are.
    pub(super) fn finished_first(&self) -> Option<(u32, u64)> {
        let (_, first) = self.kept.finished.first_key_value()?;
        Some((first.since, self.kept.finished.len() as u64))
    }

    /// The first of the finished jobs goes.
    pub(super) fn forget_oldest(&mut self) {
        let (_, gone) = self.kept.finished.pop_first().expect("asked before");
        self.kept.alike[gone.class()].pop_front(); // of its own kind it is the first, too
        self.bytes -= gone.bytes;
    }

    /// A job is over: it stays, as far as its kind says.
    fn finish(&mut self, job: Finished, kind: &Job) {
        let keep = if job.completed { kind.keep_completed } else { kind.keep_failed };
        let (place, class) = (self.kept.ends, job.class());
        self.kept.ends += 1;
        self.kept.finished.insert(place, job);
        if self.kept.alike.len() <= class {
            self.kept.alike.resize(class + 1, VecDeque::new());
        }
        let alike = &mut self.kept.alike[class];
        alike.push_back(place);
        if keep.is_some_and(|most| alike.len() > most as usize) {
            let oldest = alike.pop_front().expect("it is one itself");
            let gone = self.kept.finished.remove(&oldest).expect("it is kept");
            self.bytes -= gone.bytes;
        }
    }
}

impl Finished {
    /// Which jobs are kept together: those of a kind that ended alike.
    fn class(&self) -> usize {
        2 * self.kind.0 as usize + usize::from(self.completed)
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// What a job takes in its queue's Redis, where that is limited; zero elsewhere (bytes).
    fn bytes_of_job(&self, kind: JobId) -> u64 {
        let job = &self.model.jobs[kind];
        let Some(cache) = self.model.queues[job.queue].cache else { return 0 };
        let spec = &self.model.caches[cache].store;
        let limited = spec.memory.is_some();
        if limited { u64::from(job.size_bytes) + u64::from(spec.overhead_bytes) } else { 0 }
    }

    /// A job has been added to its queue.
    pub(super) fn hold_job(&mut self, kind: JobId) {
        let queue = self.model.jobs[kind].queue;
        self.queues[queue].bytes += self.bytes_of_job(kind);
    }

    /// A job has ended, well or badly.
    pub(super) fn keep_finished(&mut self, kind: JobId, completed: bool) {
        let bytes = self.bytes_of_job(kind);
        if bytes == 0 {
            return;
        }
        let spec = &self.model.jobs[kind];
        let since = (self.now.0 / TICKS_PER_SECOND) as u32;
        self.queues[spec.queue].finish(Finished { kind, completed, since, bytes }, spec);
    }

    fn queues_at(&self, cache: CacheId, node: u32) -> Vec<QueueId> {
        if node != self.node_of_queues(cache) {
            return Vec::new();
        }
        let queues = &self.model.caches[cache].queues;
        let locks = |id: &&QueueId| self.model.queues[**id].driver != Driver::Sqs;
        queues.iter().filter(locks).copied().collect()
    }

    /// A node of a cache is gone: its queues stand still.
    pub(super) fn queues_lose_store(&mut self, cache: CacheId, node: u32) {
        for queue in self.queues_at(cache, node) {
            let now = self.now;
            self.queues[queue].gone_since.get_or_insert(now);
        }
    }

    /// A node of a cache is there again, or a replica in its place.
    pub(super) fn queues_have_store(&mut self, cache: CacheId, node: u32) {
        if self.condition_of_cache(cache, node).down {
            return;
        }
        for queue in self.queues_at(cache, node) {
            if self.queues[queue].gone_since.is_some() {
                self.renew_all(queue);
                self.queues[queue].gone_since = None;
                let ended = std::mem::take(&mut self.queues[queue].kept.ended);
                for (job, number) in ended {
                    self.tell_redis(job, number);
                }
                for job in std::mem::take(&mut self.queues[queue].kept.due) {
                    self.job_retry(job);
                }
                self.start_jobs(queue);
            }
        }
    }

    /// A queue's Redis has come back empty: nothing waits any more, and what is at work has no job.
    pub(super) fn lose_jobs(&mut self, queue: QueueId) {
        let state = &mut self.queues[queue];
        state.bytes = 0;
        (state.kept.finished, state.kept.alike) = (BTreeMap::new(), Vec::new());
        if let Some(limiter) = &mut state.limiter {
            limiter.forget();
        }
        let waiting = state.queue.drain(self.now);
        let station = self.model.queues[queue].station;
        for job in waiting {
            self.meters[station].leave(self.now, self.jobs[job].queued);
            self.count(station, Counter::Lost);
            self.jobs[job].started = self.now; // all that its waiter did was to wait
            self.job_over(job, Some(Failure::JobFailed));
        }
        for job in 0..self.jobs.capacity() as u32 {
            let record = *self.jobs.peek(job);
            if record.state == JobState::Free || self.model.jobs[record.kind].queue != queue {
                continue;
            }
            match record.state {
                JobState::Orphan => {
                    self.count(station, Counter::Lost);
                    self.job_over(job, Some(Failure::JobFailed));
                }
                JobState::Running if record.stage == Stage::Claims => {
                    let (_, place) = self.process_place(record.process);
                    let process = &mut self.queues[queue].processes[place];
                    (process.handlers, process.slots) = (process.handlers - 1, process.slots - 1);
                    self.queues[queue].queue.finish();
                    self.meters[station].busy.add(self.now, -MILLI);
                    self.count(station, Counter::Lost);
                    self.job_over(job, Some(Failure::JobFailed));
                    self.worker_may_end(queue, place);
                }
                JobState::Running | JobState::Delayed => {
                    self.no_longer_delayed(job);
                    (self.jobs[job].erased, self.jobs[job].aside) = (true, false);
                }
                _ => {}
            }
        }
    }
}
