//! The scripts by which workers of Bull and BullMQ claim, end and keep their jobs in Redis.
//!
//! A worker without a job waits in a blocking command; when one comes it hears of it, and claims it by a
//! script (`moveToActive`). The script that ends a job brings the next one along, so a worker with a
//! backlog claims nothing (`moveToFinished`; Bull 4.16.5 queue.js, BullMQ 6.7.0 worker.js). After a failed
//! attempt Bull claims again (`moveToFailedArgs`: not to fetch), and so does BullMQ after one that is
//! tried again at once (`retryJob`); Bull with a limiter always does. The slot of a job is taken until the
//! answer to its last script is there.
//!
//! Bull renews the lock of each job by a script, half of its time after it was begun and again and again;
//! BullMQ looks at the jobs of a worker each quarter of that time, and renews those that are older by one
//! script (`LockManager`).

use crate::component::job_queue::Driver;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::{CacheId, JobId, QueueId};
use crate::model::tape::Pc;
use crate::stream::StreamKey;
use crate::units::{Duration, Time};
use std::collections::VecDeque;

use super::event::Kind;
use super::job::JobState;
use super::queue::QueueState;
use super::task::{NONE, OK, Role, State, Task, flag};
use super::world::World;

/// A timer of a queue: locks are renewed.
pub(super) const RENEW: u32 = 3;

/// After so long a script is tried again that was not run (Bull 4.16.5 `retryProcessDelay`, BullMQ 6.7.0
/// `runRetryDelay`).
fn pause(driver: Driver) -> Duration {
    Duration::secs(if driver == Driver::BullMq { 15 } else { 5 })
}

/// What a worker is at with a job that it has at work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stage {
    /// It claims it.
    Claims,
    /// It runs its handler.
    #[default]
    Works,
    /// It says that it has ended.
    Ends,
}

/// What the scripts of a queue need to know.
#[derive(Default)]
pub struct ScriptsState {
    /// The end of a job brings the next one along.
    pub(super) brings: bool,
    /// Bull's renewals to come: when, of which job, and its number.
    renewals: VecDeque<(Time, u32, u32)>,
    /// Jobs that BullMQ has begun, and may have ended since its last look: when, which, and its number.
    begun: Vec<(Time, u32, u32)>,
    /// How many there have been.
    renewed: u64,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A job is a worker's: it is claimed first, unless the end of the last one has brought it along.
    pub(super) fn begin_job(&mut self, job: u32, queue: QueueId, place: usize) {
        let brought = std::mem::take(&mut self.queues[queue].scripts.brings);
        if self.receive_message(job, queue, brought) {
            return;
        }
        match &self.model.queues[queue].scripts {
            Some(_) if !brought => self.ask_redis(job, Stage::Claims),
            _ => self.start_job(job, queue, place),
        }
    }

    /// How long Redis looks through the jobs that a new one of this kind is put before: Bull finds its place in the
    /// list by LINSERT, from the end at which jobs come in (Bull 4.16.5 addJob-6.lua).
    pub(super) fn looks_through(&self, job: JobId) -> Duration {
        let kind = &self.model.jobs[job];
        let behind = self.queues[kind.queue].queue.behind(kind.priority);
        self.model.queues[kind.queue].insert.scale(f64::from(behind))
    }

    /// Whether a handler that has ended is first to be ended in Redis.
    pub(super) fn ends_in_redis(&mut self, job: u32) -> bool {
        let queue = self.model.jobs[self.jobs[job].kind].queue;
        if self.delete_message(job, queue) {
            return true;
        }
        let record = &self.jobs[job];
        let asks = self.model.queues[queue].scripts.is_some()
            && record.stage == Stage::Works
            && record.state != JobState::Runaway;
        if asks {
            self.ask_redis(job, Stage::Ends);
        }
        asks
    }

    /// Whether the script that has ended an attempt has brought the next job along.
    pub(super) fn next_is_brought(&self, job: u32, fails: bool) -> bool {
        let record = &self.jobs[job];
        let kind = &self.model.jobs[record.kind];
        let spec = &self.model.queues[kind.queue];
        if spec.driver == Driver::Sqs {
            return spec.rtt.is_some(); // it asks for the next one
        }
        let (queue, place) = self.process_place(record.process);
        let by_script = record.stage == Stage::Ends;
        by_script
            && self.takes_jobs(queue, place) // one that closes fetches nothing
            && match spec.driver {
                Driver::BullMq => {
                    let next = kind.retry.next_delay(record.failed + 1);
                    !fails || next != Some(Duration::ZERO)
                }
                _ => !fails && spec.limiter.is_none(),
            }
    }

    /// A worker sends the script of a stage; the job goes on when it has the answer.
    fn ask_redis(&mut self, job: u32, stage: Stage) {
        let record = &mut self.jobs[job];
        (record.stage, record.due) = (stage, Time::NEVER);
        let record = *record;
        let queue = self.model.jobs[record.kind].queue;
        let scripts = self.model.queues[queue].scripts.expect("asked before");
        let (entry, ways) = match stage {
            // It hears of the job by the answer to its blocking command.
            Stage::Claims => (scripts.claim, 2),
            _ => (scripts.finish, 1),
        };
        let stream = record.attempt_stream().named("script").numbered(stage as u64);
        self.send_script(queue, entry, ways, (job, record.number), stream);
    }

    /// The end of an attempt whose worker waits for nothing: its time is over.
    pub(super) fn end_late_in_redis(&mut self, job: u32) {
        let record = self.jobs[job];
        let queue = self.model.jobs[record.kind].queue;
        if let Some(scripts) = self.model.queues[queue].scripts {
            let stream = record.attempt_stream().named("script").numbered(Stage::Ends as u64);
            self.send_script(queue, scripts.finish, 1, (NONE, 0), stream);
        }
    }

    fn send_script(
        &mut self,
        queue: QueueId,
        entry: Pc,
        ways: u64,
        (job, number): (u32, u32),
        stream: StreamKey,
    ) {
        let cache = self.model.queues[queue].cache.expect("its scripts run there");
        let rtt = self.script_rtt(queue, cache, stream);
        let task = self.new_task(Task {
            owner: job,
            ordinal: number,
            stream,
            since: self.now,
            deadline: Time::NEVER,
            pc: entry,
            worker: NONE,
            row: NONE,
            role: Role::Tail,
            state: State::Away,
            status: OK,
            parked: OK,
            flags: flag::GHOST,
            ..Task::default()
        });
        self.at_task(self.now + Duration(rtt.half().0 * ways), Kind::Command, task);
    }

    /// The round trip between a queue's workers and its Redis.
    fn script_rtt(&self, queue: QueueId, cache: CacheId, stream: StreamKey) -> Duration {
        let to = &self.model.caches[cache];
        let spec = &self.model.queues[queue];
        let loops = spec.service.map(|service| self.model.services[service].region);
        let from = loops.or(spec.region).unwrap_or(to.region);
        let far = self.model.draw_law(self.model.route(from, to.region), stream, 1);
        self.model.draw_law(to.rtt, stream, 0) + far
    }

    /// Redis has run a script, or could not.
    pub(super) fn script_over(&mut self, task: u32, cache: CacheId, run: bool) {
        let Task { owner: job, ordinal: number, stream, .. } = self.tasks[task];
        if job == NONE || !self.awaits_script(job, number) {
            return;
        }
        let queue = self.model.jobs[self.jobs[job].kind].queue;
        if !run && self.queues[queue].gone_since.is_some() {
            return self.queues[queue].kept.ended.push((job, number));
        }
        let answer = self.script_rtt(queue, cache, stream).half();
        let pause = pause(self.model.queues[queue].driver);
        let at = self.now + if run { answer } else { answer + pause };
        let record = &mut self.jobs[job];
        record.due = at;
        if !run {
            record.unheard = true;
        }
        self.events.push(Event::new(at, Kind::JobDone as u8, number, job));
    }

    /// Whether a worker waits for the answer to a script about a job.
    fn awaits_script(&self, job: u32, number: u32) -> bool {
        let record = self.jobs.peek(job);
        matches!(record.state, JobState::Running | JobState::Duplicate)
            && record.stage != Stage::Works
            && record.number == number
    }

    /// A script was not run, and it is time to send it again.
    pub(super) fn asks_again(&mut self, job: u32) -> bool {
        let unheard = std::mem::take(&mut self.jobs[job].unheard);
        if unheard {
            self.ask_redis(job, self.jobs[job].stage);
        }
        unheard
    }

    /// The Redis of a queue is there again: what had to wait for it goes on.
    pub(super) fn tell_redis(&mut self, job: u32, number: u32) {
        if self.awaits_script(job, number) {
            return self.ask_redis(job, self.jobs[job].stage);
        }
        if self.jobs.peek(job).number == number && self.jobs.peek(job).state != JobState::Free {
            self.jobs[job].due = self.now;
            self.job_done(job, number);
        }
    }

    /// The first renewals of BullMQ, whose workers look at their jobs again and again.
    pub(super) fn start_renewals(&mut self, queue: QueueId) {
        let spec = &self.model.queues[queue];
        if spec.scripts.is_some() && spec.driver == Driver::BullMq {
            self.renew_at(self.now + spec.lock.half().half(), queue);
        }
    }

    fn renew_at(&mut self, at: Time, queue: QueueId) {
        self.events.push(Event::new(at, Kind::Stalled as u8, RENEW, queue.0));
    }

    /// A job has been begun, or Bull has renewed its lock: that will be renewed.
    pub(super) fn renew_later(&mut self, job: u32, queue: QueueId) {
        let spec = &self.model.queues[queue];
        let number = self.jobs[job].number;
        if spec.scripts.is_none() || spec.driver != Driver::Bull {
            if spec.scripts.is_some() && spec.driver == Driver::BullMq {
                self.queues[queue].scripts.begun.push((self.now, job, number));
            }
            return;
        }
        let due = self.now + spec.lock.half();
        self.jobs[job].renews = due;
        let renewals = &mut self.queues[queue].scripts.renewals;
        renewals.push_back((due, job, number));
        if renewals.len() == 1 {
            self.renew_at(due, queue);
        }
    }

    /// It is time to renew locks.
    pub(super) fn renew_locks(&mut self, queue: QueueId) {
        let spec = &self.model.queues[queue];
        if spec.driver == Driver::BullMq {
            self.renew_at(self.now + spec.lock.half().half(), queue);
            return self.renew_together(queue);
        }
        while let Some((due, job, number)) = self.queues[queue].scripts.renewals.pop_front() {
            let record = self.jobs.peek(job);
            let stands = record.number == number
                && record.state == JobState::Running
                && record.stage != Stage::Claims
                && record.renews == due;
            if !stands {
                continue; // it has ended, and Bull has cleared its timer
            }
            let (_, place) = self.process_place(record.process);
            if due <= self.now && self.kept_since(queue, place) < Time::NEVER {
                continue; // its timer fires when the loop is free
            }
            if due > self.now {
                self.queues[queue].scripts.renewals.push_front((due, job, number));
                return self.renew_at(due, queue);
            }
            self.renew_by_script(queue);
            self.renew_later(job, queue);
        }
    }

    /// BullMQ: each worker renews the locks of all its jobs that are old enough. What has ended since the
    /// last look is forgotten.
    fn renew_together(&mut self, queue: QueueId) {
        let (now, age) = (self.now, self.model.queues[queue].lock.half().half());
        let first = self.queues[queue].first;
        let mut has = vec![false; self.queues[queue].processes.len()];
        let mut begun = std::mem::take(&mut self.queues[queue].scripts.begun);
        begun.retain(|(started, job, number)| {
            let record = self.jobs.peek(*job);
            let at_work = record.number == *number
                && record.started == *started
                && record.state == JobState::Running
                && record.stage != Stage::Claims;
            if at_work && *started + age < now {
                has[(record.process - first) as usize] = true;
            }
            at_work
        });
        self.queues[queue].scripts.begun = begun;
        for (place, has) in has.into_iter().enumerate() {
            if has && self.kept_since(queue, place) == Time::NEVER {
                self.renew_by_script(queue);
            }
        }
    }

    /// A loop is free, and a renewal was due before.
    pub(super) fn renew_after_block(&mut self, job: u32, queue: QueueId) {
        if self.model.queues[queue].driver == Driver::Bull && self.jobs[job].renews <= self.now {
            self.renew_by_script(queue);
            self.renew_later(job, queue);
        }
    }

    fn renew_by_script(&mut self, queue: QueueId) {
        let Some(scripts) = self.model.queues[queue].scripts else { return };
        let QueueState { scripts: state, gone_since, .. } = &mut self.queues[queue];
        if gone_since.is_some() {
            return; // they are renewed when it is there again
        }
        state.renewed += 1;
        let stream = self.key.named("renewal").numbered(state.renewed);
        self.send_script(queue, scripts.renew, 1, (NONE, 0), stream);
    }
}
