//! What the tests of jobs turn: a part of the list in `coverage.rs`.

/// See `coverage.rs`.
pub const SOURCES: &[(&str, &str)] = &[
    ("job", include_str!("job.rs")),
    ("job_redis", include_str!("job_redis.rs")),
    ("service_jobs", include_str!("service_jobs.rs")),
    ("workers", include_str!("workers.rs")),
];

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    ("job", "a_job_may_be_due_later", "Enqueue.delay"),
    ("job_redis", "a_job_with_a_priority_is_looked_up_among_those_that_wait", "Queue.insert"),
    ("job", "messages_are_sent_received_and_deleted_by_requests", "Queue.rtt Queue.request_price"),
    ("job", "the_job_that_waits_for_longest_has_an_age", "Shows:delayed Shows:oldest"),
    (
        "job",
        "an_answer_waits_for_a_job_or_does_not",
        "Step:enqueue Enqueue.job Enqueue.wait Job.work",
    ),
    (
        "job",
        "processes_and_handlers_work_side_by_side_on_cores",
        "Queue.processes Queue.concurrency Queue.cores Job.cpu_share",
    ),
    (
        "job",
        "priority_goes_first_and_none_goes_last",
        "Queue.discipline Discipline:fifo Discipline:priority Job.priority",
    ),
    ("job", "a_job_waits_in_its_own_queue", "Job.queue"),
    ("job", "attempts_are_counted_in_all", "Job.attempts Job.fail"),
    (
        "job",
        "tries_are_spaced_by_the_backoff",
        "Job.backoff Backoff:none Backoff:fixed Backoff:exponential",
    ),
    ("job", "a_job_that_times_out_goes_on_working", "Job.timeout"),
    (
        "job",
        "drivers_differ_in_priorities_and_delays",
        "Queue.driver QueueDriver:bull QueueDriver:bullmq QueueDriver:sqs",
    ),
    (
        "job",
        "a_job_that_keeps_its_loop_loses_its_lock",
        "Job.blocking Queue.lock Queue.stalled_interval Queue.max_stalled",
    ),
    ("job", "a_message_that_is_not_deleted_shows_up_again", "Queue.max_receives"),
    (
        "job_redis",
        "workers_claim_and_end_jobs_by_scripts",
        "Queue.cache Queue.add Queue.claim Queue.finish",
    ),
    ("service_jobs", "jobs_and_requests_keep_each_other_from_the_loop", "Queue.service"),
    (
        "workers",
        "workers_follow_the_jobs_that_wait",
        "Queue.autoscale ScaleMetric:backlog Backlog.queue Backlog.jobs ScaleMetric:oldest OldestJob.queue OldestJob.age",
    ),
    (
        "workers",
        "a_worker_that_is_told_to_end_exits_finishes_or_goes_on",
        "Queue.on_sigterm Queue.grace",
    ),
];
