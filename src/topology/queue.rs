//! Queues and the jobs in them.

use super::cache::Cache;
use super::dist::Dist;
use super::names::Ref;
use super::price::Price;
use super::spec::spec;
use crate::units::{Duration, Ratio};

spec! {
    /// A queue of jobs with the processes that work on them.
    component Queue {
        /// How many processes.
        processes: u32 = "1" from "assumed: one worker process", positive;
        /// Jobs that one process works on at once.
        concurrency: u32 = "1" from "Bull 4.16.5 and BullMQ 6.7.0 (concurrency)", positive;
        /// Cores of one process, shared by its jobs.
        cores: f64 = "1" from "assumed: one core", positive;
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
        /// A job that takes longer fails, though its work goes on.
        timeout: Option<Duration> = "none" from "Bull 4.16.5 (timeout)", positive;
        /// Attempts in all, the first included.
        attempts: u32 = "1" from "Bull 4.16.5 and BullMQ 6.7.0 (attempts)", positive;
        /// Time before a failed job is tried again.
        backoff: Backoff = "\"none\"" from "Bull 4.16.5";
        /// 1 comes first, then 2, and so on; 0 is none.
        priority: u32 = "0" from "Bull 4.16.5 (priority)";
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
