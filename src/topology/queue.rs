//! Queues and the jobs in them.

use super::cache::Cache;
use super::dist::Dist;
use super::names::Ref;
use super::price::Price;
use super::spec::spec;
use crate::units::{Bytes, Duration, Ratio};

spec! {
    /// A queue of jobs with the processes that work on them.
    component Queue {
        /// The product that it is.
        driver: QueueDriver = "\"bull\"" from "assumed: the queue of most Node applications";
        /// How many processes.
        processes: u32 = "1" from "assumed: one worker process", positive;
        /// Jobs that one process works on at once.
        concurrency: u32 = "1" from "Bull 4.16.5 and BullMQ 6.7.0 (concurrency)", positive;
        /// Cores of one process, shared by its jobs.
        cores: f64 = "1" from "assumed: one core", positive;
        /// How long a job at work is locked, renewed at half of it; in SQS how long a message that
        /// was received stays invisible, whatever its worker does.
        lock: Duration = "\"30s\""
            from "Bull 4.16.5 and BullMQ 6.7.0 (lockDuration), Amazon SQS (VisibilityTimeout)", positive;
        /// How often jobs without a lock are looked for; they are run again, before all others.
        stalled_interval: Duration = "\"30s\""
            from "Bull 4.16.5 and BullMQ 6.7.0 (stalledInterval)", positive;
        /// How often a job may be found without its lock before it fails.
        max_stalled: u32 = "1" from "Bull 4.16.5 and BullMQ 6.7.0 (maxStalledCount)";
        /// How often a message is received before it goes to the dead-letter queue.
        max_receives: Option<u32> = "again and again, while it is kept"
            from "Amazon SQS (no redrive policy)", positive;
        /// The most jobs that all workers together start within a time.
        limiter: Option<QueueLimiter> = "any number" from "Bull 4.16.5 and BullMQ 6.7.0 (limiter)";
        /// Which job is next.
        discipline: Discipline = "\"priority\"" from "Bull 4.16.5";
        /// The cache that holds the queue; adding a job then costs one command and one round trip.
        cache: Option<Ref<Cache>> = "adding a job costs no time"
            from "assumed: the document names no store";
        /// Price of one process.
        price: Option<Price>;
    }
}
spec! {
    /// A queueing product.
    choice QueueDriver {
        /// Bull 4: jobs without a priority come last; exponential delays are (2^n - 1) times the
        /// base.
        Bull = "bull";
        /// BullMQ 6: jobs without a priority come first; exponential delays are 2^(n-1) times the
        /// base; handlers have no timeout.
        BullMq = "bullmq";
        /// Amazon SQS, a standard queue: what fails or takes longer than its `lock` is received
        /// again, up to `max_receives` times; no priorities, no backoff.
        Sqs = "sqs";
    }
}
spec! {
    /// How many jobs a queue starts. In BullMQ all wait until the time is over that began with the
    /// first of them; Bull puts each aside for as long as those before it will need and a little more.
    table QueueLimiter {
        /// How many are started within the time.
        max: u32, positive;
        /// That time.
        duration: Duration, positive;
    }
}
spec! {
    /// Which job is next.
    choice Discipline {
        /// The one that came first.
        Fifo = "fifo";
        /// The one with the lowest priority number, then the one that came first; 0 is none and
        /// comes last.
        Priority = "priority";
    }
}
spec! {
    /// A kind of job.
    component Job {
        /// The queue it waits in.
        queue: Ref<Queue>;
        /// Time to do it on an idle machine.
        work: Dist;
        /// Share of that time that is CPU; the rest waits for others.
        cpu_share: Ratio = "\"100%\"" from "assumed: all of it computes";
        /// Whether it computes in one piece (synchronously): its process does nothing else
        /// meanwhile, not even renew locks.
        blocking: bool = "false" from "assumed: handlers await something now and then";
        /// A job that takes longer fails, though its work goes on.
        timeout: Option<Duration> = "none" from "Bull 4.16.5 (timeout)", positive;
        /// Attempts in all, the first included.
        attempts: u32 = "1" from "Bull 4.16.5 and BullMQ 6.7.0 (attempts)", positive;
        /// Time before a failed job is tried again.
        backoff: Backoff = "\"none\"" from "Bull 4.16.5";
        /// Share of that time that is left to chance.
        jitter: Ratio = "\"0%\"" from "BullMQ 6.7.0 (backoff.jitter)";
        /// Whether it is put before all that wait, unless it has a `priority`; an attempt that comes
        /// after a `backoff` is not.
        lifo: bool = "false" from "Bull 4.16.5 and BullMQ 6.7.0 (lifo)";
        /// 1 comes first, then 2, and so on; 0 is none.
        priority: u32 = "0" from "Bull 4.16.5 (priority)";
        /// What a job takes in the memory of the queue's cache, beside its `overhead`.
        size: Bytes = "\"1KB\"" from "assumed: its data and options as JSON";
        /// How many jobs that have completed stay there.
        keep_completed: Option<u32> = "all of them"
            from "Bull 4.16.5 and BullMQ 6.7.0 (removeOnComplete undefined)";
        /// How many that have failed for good stay there.
        keep_failed: Option<u32> = "all of them"
            from "Bull 4.16.5 and BullMQ 6.7.0 (removeOnFail undefined)";
        /// Share of attempts that fail.
        fail: Ratio = "\"0%\"" from "assumed: jobs succeed";
    }
}
spec! {
    /// Time before a failed job is tried again.
    choice Backoff {
        /// At once.
        None = "none";
        /// The same time after each attempt.
        Fixed(Duration) = "fixed";
        /// A time that doubles: (2^n - 1) x this after the n-th attempt.
        Exponential(Duration) = "exponential";
    }
}
