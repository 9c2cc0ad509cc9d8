//! Background jobs: priorities, slots and retries as Bull 4.16.5 and BullMQ 6.7.0 have them.
//!
//! A job waits in Redis until one of `workers x concurrency` slots is free. Among equals the order
//! is first in, first out, and a retry without a delay goes to the tail (`retryJob`). Priority 1 is
//! the highest; 0 is "none", which Bull serves *last* (`addJobWithPriority` inserts before it) and
//! BullMQ *first* (`moveToActive` looks at prioritised jobs only when the plain list is empty).
//!
//! A `timeout` (Bull only) rejects the promise of the handler and so ends the attempt and frees the
//! slot, but not the handler: it goes on, beside the job that the slot takes next (`processJob`).
//! So more handlers may run than there are slots.

use super::oldest::OldestAge;
use crate::units::{Duration, Time};
use std::collections::VecDeque;

/// Whose rules a queue follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// Bull 4.
    Bull,
    /// BullMQ 6.
    BullMq,
    /// Amazon SQS, a standard queue: no priorities, and no word of failures.
    Sqs,
}

/// A job that starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Started {
    /// Which.
    pub job: u32,
    /// How long it waited since it was last queued.
    pub waited: Duration,
}

#[derive(Clone, Copy)]
struct Waiting {
    job: u32,
    since: Time,
}

/// The jobs of one rank, the oldest at the front. A queue has few ranks, so they are a sorted list.
struct Lane {
    rank: u32,
    jobs: VecDeque<Waiting>,
}

/// One queue and the slots of all its workers.
pub struct JobQueue {
    driver: Driver,
    slots: u32,
    running: u32,
    runaway: u32,
    waiting: u32,
    /// Stalled jobs, and those that are put first: taken before all others, the last one first.
    head: VecDeque<Waiting>,
    lanes: Vec<Lane>,
    /// How old the oldest of those is that wait.
    oldest: OldestAge,
}

impl JobQueue {
    /// An empty queue with `slots` = workers x concurrency. In Bull the concurrency of a worker is
    /// the *sum* over its named processors.
    pub fn new(driver: Driver, slots: u32) -> JobQueue {
        JobQueue {
            driver,
            slots,
            running: 0,
            runaway: 0,
            waiting: 0,
            head: VecDeque::new(),
            lanes: Vec::new(),
            oldest: OldestAge::default(),
        }
    }

    /// Workers came or went. Jobs that run stay: where they are more than the slots, none starts
    /// until enough of them have ended.
    pub fn resize(&mut self, slots: u32) {
        self.slots = slots;
    }

    /// A job is queued: a new one, or one whose retry is due. `priority` 0 is none, 1 the highest.
    pub fn push(&mut self, now: Time, job: u32, priority: u32) {
        let rank = match (self.driver, priority) {
            (Driver::Bull, 0) => u32::MAX,
            _ => priority,
        };
        let index = match self.lanes.binary_search_by_key(&rank, |lane| lane.rank) {
            Ok(index) => index,
            Err(index) => {
                self.lanes.insert(index, Lane { rank, jobs: VecDeque::new() });
                index
            }
        };
        self.lanes[index].jobs.push_back(Waiting { job, since: now });
        self.one_more(now);
    }

    /// A job is put before all others: a new one with `lifo`, or one that is retried without a delay
    /// (`RPUSH`, at the end from which workers take).
    pub fn push_first(&mut self, now: Time, job: u32) {
        self.push_stalled(now, job);
    }

    /// A job whose worker died or lost its lock is queued again, before all others
    /// (`moveStalledJobsToWait`). Its slot went with the worker or goes with [`JobQueue::finish`].
    pub fn push_stalled(&mut self, now: Time, job: u32) {
        self.head.push_front(Waiting { job, since: now });
        self.one_more(now);
    }

    /// One more waits, for less long than all others.
    fn one_more(&mut self, now: Time) {
        if self.waiting == 0 {
            self.oldest.set(now, Some(now));
        }
        self.waiting += 1;
    }

    /// The next job, if a slot is free for it; to be asked until `None`.
    pub fn start(&mut self, now: Time) -> Option<Started> {
        if self.running >= self.slots || self.waiting == 0 {
            return None;
        }
        let next = self
            .head
            .pop_front()
            .or_else(|| self.lanes.iter_mut().find_map(|lane| lane.jobs.pop_front()))
            .expect("a job is waiting");
        self.waiting -= 1;
        self.running += 1;
        if self.oldest.since() == Some(next.since) {
            self.oldest.set(now, self.oldest_since());
        }
        Some(Started { job: next.job, waited: now.since(next.since) })
    }

    /// The jobs that wait, which do so no longer: their queue is lost.
    pub fn drain(&mut self, now: Time) -> Vec<u32> {
        self.waiting = 0;
        self.oldest.set(now, None);
        let lanes = self.lanes.iter_mut().flat_map(|lane| lane.jobs.drain(..));
        self.head.drain(..).chain(lanes).map(|waiting| waiting.job).collect()
    }

    /// A running handler has ended, well or badly: its slot is free.
    pub fn finish(&mut self) {
        assert!(self.running > 0, "a job runs");
        self.running -= 1;
    }

    /// The timeout of a running job has passed: the attempt has failed and its slot is free, but
    /// the handler runs on until [`JobQueue::runaway_ended`].
    pub fn time_out(&mut self) {
        self.finish();
        self.runaway += 1;
    }

    /// A handler that went on after its timeout has ended. Its result is lost.
    pub fn runaway_ended(&mut self) {
        assert!(self.runaway > 0, "a handler ran on after its timeout");
        self.runaway -= 1;
    }

    /// Jobs that wait and come after a new one of this priority.
    pub fn behind(&self, priority: u32) -> u32 {
        let after = self.lanes.iter().filter(|lane| lane.rank > priority);
        after.map(|lane| lane.jobs.len() as u32).sum()
    }
    /// Jobs that wait for a slot.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }
    /// Jobs that hold a slot ("active").
    pub fn running(&self) -> u32 {
        self.running
    }
    /// Handlers that run although their job has timed out.
    pub fn runaway(&self) -> u32 {
        self.runaway
    }
    /// Handlers that run: what the workers' processors feel.
    pub fn handlers(&self) -> u32 {
        self.running + self.runaway
    }
    /// How long the job that was queued first of those that wait has waited.
    pub fn oldest_age(&self, now: Time) -> Option<Duration> {
        self.oldest_since().map(|since| now.since(since))
    }

    fn oldest_since(&self) -> Option<Time> {
        let lanes = self.lanes.iter().filter_map(|lane| lane.jobs.front());
        lanes.chain(self.head.back()).map(|waiting| waiting.since).min()
    }

    /// The same over time.
    pub fn oldest(&self) -> &OldestAge {
        &self.oldest
    }
    /// The warm-up is over.
    pub fn start_measuring(&mut self, now: Time) {
        self.oldest.reset(now);
    }
}

/// The wait before a failed job is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobBackoff {
    /// None: at once, at the tail of the queue.
    None,
    /// The same each time.
    Fixed(Duration),
    /// After failure `n` (from 1), `(2^n - 1) x delay` in Bull and `2^(n-1) x delay` in BullMQ.
    Exponential(Duration),
}

/// How often a job is tried, and how often it may stall.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RetryRule {
    /// Whose formula.
    pub driver: Driver,
    /// How often a job is tried *in total*, the first time included (`attempts`, 1).
    pub attempts: u32,
    /// The wait in between.
    pub backoff: JobBackoff,
    /// How often a job may stall before it fails (`maxStalledCount`, 1).
    pub max_stalled: u32,
    /// Share of the wait that is left to chance (BullMQ's `jitter`, 0).
    pub jitter: f64,
}

impl RetryRule {
    /// One attempt, one stall: the default of both products.
    pub fn once(driver: Driver) -> RetryRule {
        RetryRule { driver, attempts: 1, backoff: JobBackoff::None, max_stalled: 1, jitter: 0.0 }
    }

    /// The wait before the next attempt when `failed` of them have failed, the last one included;
    /// `None` when the job has failed for good.
    pub fn next_delay(&self, failed: u32) -> Option<Duration> {
        if failed >= self.attempts {
            return None;
        }
        let doubled = |times: u32| 1u64.checked_shl(times).unwrap_or(u64::MAX);
        Some(match (self.backoff, self.driver) {
            (JobBackoff::None, _) => Duration::ZERO,
            (JobBackoff::Fixed(delay), _) => delay,
            (JobBackoff::Exponential(delay), Driver::Bull) => {
                Duration(delay.0.saturating_mul(doubled(failed) - 1))
            }
            (JobBackoff::Exponential(delay), Driver::BullMq | Driver::Sqs) => {
                Duration(delay.0.saturating_mul(doubled(failed.saturating_sub(1))))
            }
        })
    }

    /// The wait with its part of chance: `unit` is uniform between 0 and 1.
    pub fn jittered(&self, delay: Duration, unit: impl FnOnce() -> f64) -> Duration {
        match self.jitter {
            0.0 => delay,
            share => delay.scale(1.0 - share + share * unit()),
        }
    }

    /// Whether a job that has stalled for the `stalls`th time is queued again.
    pub fn survives_stall(&self, stalls: u32) -> bool {
        stalls <= self.max_stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::secs(seconds)
    }
    fn drain(queue: &mut JobQueue, now: Time) -> Vec<u32> {
        std::iter::from_fn(|| queue.start(now).map(|started| started.job)).collect()
    }

    #[test]
    fn equals_are_first_in_first_out() {
        let mut queue = JobQueue::new(Driver::Bull, 2);
        for job in 0..5 {
            queue.push(at(u64::from(job)), job, 0);
        }
        assert_eq!(queue.start(at(10)), Some(Started { job: 0, waited: Duration::secs(10) }));
        assert_eq!(queue.start(at(10)), Some(Started { job: 1, waited: Duration::secs(9) }));
        assert_eq!(queue.start(at(10)), None, "two slots");
        assert_eq!((queue.waiting(), queue.running()), (3, 2));
        queue.finish();
        assert_eq!(drain(&mut queue, at(10)), [2]);
    }

    #[test]
    fn t49_bull_serves_unprioritised_jobs_last_and_bullmq_first() {
        let priorities = [0, 3, 1, 0, 3, 2, 1];
        let cases =
            [(Driver::Bull, [2, 6, 5, 1, 4, 0, 3]), (Driver::BullMq, [0, 3, 2, 6, 5, 1, 4])];
        for (driver, expected) in cases {
            let mut queue = JobQueue::new(driver, 10);
            for (job, &priority) in priorities.iter().enumerate() {
                queue.push(at(0), job as u32, priority);
            }
            assert_eq!(drain(&mut queue, at(1)), expected, "{driver:?}");
        }
    }

    #[test]
    fn t49_a_timeout_frees_the_slot_and_the_handler_runs_on() {
        let mut queue = JobQueue::new(Driver::Bull, 1);
        queue.push(at(0), 0, 0);
        queue.push(at(0), 1, 0);
        assert_eq!(drain(&mut queue, at(0)), [0]);
        queue.time_out();
        assert_eq!(drain(&mut queue, at(5)), [1], "beside the handler of job 0");
        assert_eq!((queue.running(), queue.runaway(), queue.handlers()), (1, 1, 2));
        queue.runaway_ended();
        assert_eq!((queue.running(), queue.handlers()), (1, 1));
        assert_eq!(queue.start(at(6)), None);
    }

    #[test]
    fn t49_stalled_jobs_are_run_again_first_and_fail_at_the_second_stall() {
        let mut queue = JobQueue::new(Driver::Bull, 1);
        queue.push(at(0), 0, 0);
        queue.push(at(1), 1, 1);
        queue.push_stalled(at(2), 7);
        assert_eq!(queue.oldest_age(at(10)), Some(Duration::secs(10)));
        assert_eq!(drain(&mut queue, at(3)), [7]);
        let rule = RetryRule::once(Driver::Bull);
        assert!(rule.survives_stall(1) && !rule.survives_stall(2));
    }

    #[test]
    fn t50_attempts_are_a_total() {
        for driver in [Driver::Bull, Driver::BullMq] {
            assert_eq!(RetryRule::once(driver).next_delay(1), None, "the default never retries");
            let rule = RetryRule { attempts: 3, ..RetryRule::once(driver) };
            let delays = [1, 2, 3].map(|failed| rule.next_delay(failed));
            assert_eq!(delays, [Some(Duration::ZERO), Some(Duration::ZERO), None]);
        }
    }

    #[test]
    fn backoff_follows_each_product() {
        let second = Duration::secs(1);
        let delays = |driver, backoff| {
            let rule = RetryRule { attempts: 5, backoff, ..RetryRule::once(driver) };
            [1, 2, 3, 4].map(|failed| rule.next_delay(failed).map(|wait| wait.seconds()))
        };
        let exponential = JobBackoff::Exponential(second);
        assert_eq!(delays(Driver::Bull, exponential), [1.0, 3.0, 7.0, 15.0].map(Some));
        assert_eq!(delays(Driver::BullMq, exponential), [1.0, 2.0, 4.0, 8.0].map(Some));
        assert_eq!(delays(Driver::Bull, JobBackoff::Fixed(second)), [Some(1.0); 4]);
        let endless =
            RetryRule { attempts: u32::MAX, backoff: exponential, ..RetryRule::once(Driver::Bull) };
        assert_eq!(endless.next_delay(200), Some(Duration::FOREVER));
    }

    #[test]
    fn the_oldest_age_looks_at_every_rank() {
        let mut queue = JobQueue::new(Driver::Bull, 1);
        assert_eq!(queue.oldest_age(at(9)), None);
        queue.push(at(4), 0, 1);
        queue.push(at(2), 1, 0);
        queue.push(at(5), 2, 1);
        assert_eq!(queue.oldest_age(at(9)), Some(Duration::secs(7)));
        queue.push_stalled(at(6), 3);
        queue.push_stalled(at(8), 4);
        assert_eq!(drain(&mut queue, at(9)), [4], "the last one that stalled goes first");
        assert_eq!(queue.oldest_age(at(9)), Some(Duration::secs(7)));
    }

    #[test]
    fn fewer_slots_stop_no_running_job() {
        let mut queue = JobQueue::new(Driver::BullMq, 3);
        (0..6).for_each(|job| queue.push(at(0), job, 0));
        assert_eq!(drain(&mut queue, at(0)), [0, 1, 2]);
        queue.resize(1);
        queue.finish();
        queue.finish();
        assert_eq!(queue.start(at(1)), None, "one runs on the one slot");
        queue.finish();
        assert_eq!(drain(&mut queue, at(1)), [3]);
        queue.resize(3);
        assert_eq!(drain(&mut queue, at(1)), [4, 5]);
    }
}
