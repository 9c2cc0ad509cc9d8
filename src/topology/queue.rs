//! Queues and the jobs in them.

use super::cache::Cache;
use super::deploy::OnSigterm;
use super::dist::Dist;
use super::flow::Flow;
use super::names::Ref;
use super::price::Price;
use super::region::Region;
use super::service::{Autoscale, Service};
use super::spec::spec;
use crate::units::{Bytes, Duration, Money, Ratio};

spec! {
    /// A queue of jobs with the processes that work on them.
    component Queue {
        /// The product that it is.
        driver: QueueDriver = "\"bull\"" from "assumed: the queue of most Node applications";
        /// Where its processes stand, and the queue itself if no `cache` holds it: a job from a service in
        /// another region is then a round trip away.
        region: Option<Ref<Region>> = "that of its `cache`, or the only region"
            from "assumed: workers stand beside their queue";
        /// The service whose processes work at its jobs, each `concurrency` at once beside all else that it does:
        /// what a job does is then a `flow`, and computes on their loops.
        service: Option<Ref<Service>> = "processes of its own, which do nothing else"
            from "assumed: workers are deployed by themselves";
        /// How many processes.
        processes: u32 = "1" from "assumed: one worker process", positive;
        /// How the number of processes follows a metric, such as `metric.backlog = { queue = "q", jobs = 10 }`.
        autoscale: Option<Autoscale> = "their number stays" from "assumed: a fixed number of workers";
        /// What a process does when it is told to end, because fewer are wanted.
        on_sigterm: OnSigterm = "\"exit\""
            from "Node.js 20 process (SIGTERM without a handler ends the process; one that calls `close` finishes its jobs)";
        /// Time that a process has to end by itself before it is killed.
        grace: Duration = "\"30s\""
            from "Amazon ECS (stopTimeout 30 s); Kubernetes (terminationGracePeriodSeconds 30)", positive;
        /// Jobs that one process works on at once.
        concurrency: u32 = "1" from "Bull 4.16.5 and BullMQ 6.7.0 (concurrency)", positive;
        /// Cores of one process, shared by its jobs.
        cores: f64 = "1" from "assumed: one core", positive;
        /// How long a job at work is locked, renewed at half of it, in BullMQ each quarter; in SQS how long a message that
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
        /// The function of AWS Lambda that gets its messages, in place of worker processes.
        mapping: Option<EventSourceMapping> = "worker processes take the messages"
            from "Amazon SQS (nobody is called unless a mapping says so)";
        /// The most jobs that all workers together start within a time.
        limiter: Option<QueueLimiter> = "any number" from "Bull 4.16.5 and BullMQ 6.7.0 (limiter)";
        /// Which job is next.
        discipline: Discipline = "\"priority\"" from "Bull 4.16.5";
        /// The cache that holds the queue; adding, claiming and ending a job then each cost a round trip and
        /// time of its server.
        cache: Option<Ref<Cache>> = "nothing of that costs time"
            from "assumed: the document names no store";
        /// Time of the server's thread by which a job is added.
        add: Option<Dist> = "60us for bull, 67us for bullmq"
            from "measured: Bull 4.16.5 and BullMQ 6.7.0 at redis-server 7.0.15 over loopback, 2,000 jobs of 500 B (CPU time \
            of the server: 60 and 67 us a job)";
        /// The same for each job that waits and that a job with a `priority` is put before: Bull finds its place by looking
        /// through them (LINSERT). BullMQ keeps such jobs in a sorted set, where the place is found at once.
        insert: Duration = "\"20ns\""
            from "measured: LINSERT of redis-server 7.0.15 into a list of 100,000 job ids";
        /// Time of the server's thread by which a worker that has no job gets one: it waits in a blocking
        /// command, is woken, and claims the job by a script.
        claim: Option<Dist> = "300us for bull, 500us for bullmq"
            from "measured: Bull 4.16.5 and BullMQ 6.7.0 at redis-server 7.0.15 over loopback, a job of 500 B each 30 ms (CPU \
            time of the server beyond that to add and to end one)";
        /// The same to end a job by a script, which brings the next one along if one waits. Each lock that
        /// is renewed is one command of the cache.
        finish: Option<Dist> = "110us for bull, 158us for bullmq"
            from "measured: Bull 4.16.5 and BullMQ 6.7.0 at redis-server 7.0.15 over loopback, a backlog of 2,001 jobs of \
            500 B (CPU time of the server: 110 and 158 us a job)";
        /// Round trip of a request to SQS: whoever sends a message waits for one, a worker that had none for the way
        /// back of one that it makes all the time (long polling), one that has ended a job for the deletion and
        /// for the next. Pollers of a `mapping` are AWS' own.
        rtt: Option<Dist> = "requests take no time" from "assumed: the document names no latency";
        /// Price of a million requests of SQS: each message is sent, received and deleted.
        request_price: Option<Money> = "not counted" from "Amazon SQS pricing ($0.40 for standard queues in us-east-1)";
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
    /// An event source mapping of AWS Lambda: it polls a queue of SQS and calls a function with batches
    /// of messages, five at once to begin with. While messages wait and all of these are under way, it
    /// has one more every 200 ms (300 a minute), and loses them as fast while none waits. The handler
    /// does one message after the other. A call that is throttled is made again, and the messages are
    /// invisible meanwhile for no longer than the queue's `lock`.
    table EventSourceMapping (short "function") {
        /// The function.
        function: Ref<Service>;
        /// Messages in a call at most; more than 10 need a `batching_window`.
        batch_size: u32 = "10" from "AWS Lambda (CreateEventSourceMapping, BatchSize)", positive;
        /// How long messages are gathered for a call that is not full.
        batching_window: Duration = "\"0s\""
            from "AWS Lambda (CreateEventSourceMapping, MaximumBatchingWindowInSeconds)";
        /// Calls at once at most.
        maximum_concurrency: Option<u32> = "1,000"
            from "AWS Lambda (services-sqs-scaling: batches at once of a mapping without ScalingConfig)";
        /// Whether the function says which messages have failed. If not, one that fails ends the call,
        /// and all messages of the batch are received again.
        report_batch_item_failures: bool = "false"
            from "AWS Lambda (CreateEventSourceMapping, FunctionResponseTypes)";
        /// Time before a call that was throttled is made again; it doubles.
        throttle_pause: Duration = "\"1s\""
            from "assumed: AWS Lambda 'gradually' backs off, and states no times", positive;
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
        /// Time to do it on an idle machine; where a function or a service does it, a `flow` says so instead.
        work: Option<Dist> = "its `flow` says it" from "assumed: what a function does with it";
        /// What is done with it, step by step, for queues with a `mapping` or a `service`.
        flow: Flow = "[]" from "assumed: worker processes do the `work`";
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

/// Batches that a mapping has under way at once at most, if nothing is said.
const BATCHES: u32 = 1_000;

impl EventSourceMapping {
    /// Calls at once at most.
    pub fn most(&self) -> u32 {
        self.maximum_concurrency.unwrap_or(BATCHES)
    }
}
impl Queue {
    /// Worker processes of its own: none where a function or a service does its jobs.
    pub fn workers(&self) -> u32 {
        if self.mapping.is_some() || self.service.is_some() { 0 } else { self.processes }
    }
    /// The most that there can be.
    pub fn most_workers(&self) -> u32 {
        let workers = self.workers();
        self.autoscale.as_ref().filter(|_| workers > 0).map_or(workers, |it| it.max.max(workers))
    }
}
