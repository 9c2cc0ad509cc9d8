//! Queues and jobs.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

const QUEUED: &str = r#"
[service.web]
[queue.q]
[job.j]
queue = "q"
work = "100ms"
[job.k]
queue = "q"
work = "100ms"
[operation.work]
share = 1
flow = [{ enqueue = { job = "j", wait = true } }]
"#;
/// Four jobs side by side, waited for.
const FOUR: &str = "operation.work.flow=[{parallel=[[{enqueue={job='j', wait=true}}], [{enqueue={job='j', wait=true}}], [{enqueue={job='j', wait=true}}], [{enqueue={job='j', wait=true}}]]}]";

fn queued(sets: &[&str]) -> Ran {
    run(QUEUED, sets)
}

#[test]
fn an_answer_waits_for_a_job_or_does_not() {
    assert_eq!(queued(&[]).each(), ms(100));
    assert_eq!(queued(&["job.j.work=250ms"]).each(), ms(250));
    let ran = queued(&["operation.work.flow=[{enqueue='j'}]"]);
    assert_eq!((ran.each(), ran.count("queue.q", Counter::Served)), (ms(0), 10));
    assert_eq!(queued(&["operation.work.flow=[{enqueue={job='k', wait=false}}]"]).each(), ms(0));
}

#[test]
fn processes_and_handlers_work_side_by_side_on_cores() {
    let each = |sets: &[&str]| queued(&[&[FOUR], sets].concat()).each();
    assert_eq!(each(&[]), ms(400));
    assert_eq!(each(&["queue.q.processes=4"]), ms(100));
    assert_eq!(each(&["queue.q.processes=2"]), ms(200));
    assert_eq!(each(&["queue.q.concurrency=4", "queue.q.cores=4"]), ms(100));
    assert_eq!(each(&["queue.q.concurrency=4"]), ms(400), "they share one core");
    assert_eq!(each(&["queue.q.concurrency=4", "job.j.cpu_share=0%"]), ms(100));
    assert_eq!(each(&["queue.q.concurrency=4", "job.j.cpu_share=50%"]), ms(250));
}

#[test]
fn priority_goes_first_and_none_goes_last() {
    // j holds the process; then j and k wait, and k came later.
    let flow = "operation.work.flow=[{enqueue='j'}, {enqueue='j'}, {enqueue={job='k', wait=true}}]";
    let each = |sets: &[&str]| queued(&[&[flow], sets].concat()).each();
    assert_eq!(each(&[]), ms(300));
    assert_eq!(each(&["job.k.priority=2"]), ms(200), "none comes last");
    assert_eq!(each(&["job.k.priority=2", "job.j.priority=1"]), ms(300));
    assert_eq!(each(&["job.k.priority=1", "job.j.priority=2"]), ms(200));
    assert_eq!(each(&["job.k.priority=1", "queue.q.discipline=fifo"]), ms(300));
}

#[test]
fn a_job_waits_in_its_own_queue() {
    let text = format!("{QUEUED}\n[queue.r]\n");
    let flow = "operation.work.flow=[{enqueue='j'}, {enqueue={job='k', wait=true}}]";
    assert_eq!(run(&text, &[flow]).each(), ms(200));
    assert_eq!(run(&text, &[flow, "job.k.queue=r"]).each(), ms(100));
}

#[test]
fn adding_a_job_may_cost_a_command() {
    let text = format!("{QUEUED}\n[cache.c]\nrtt='4ms'\ncommand='1ms'\n");
    let ran = run(&text, &["queue.q.cache=c"]);
    assert_eq!((ran.each(), ran.count("cache.c", Counter::Arrivals)), (ms(105), 10));
}

#[test]
fn attempts_are_counted_in_all() {
    let ran = queued(&["job.j.fail=100%"]);
    assert_eq!((ran.failed(Failure::JobFailed), ran.each_failed()), (10, ms(100)));
    let ran = queued(&["job.j.fail=100%", "job.j.attempts=3"]);
    assert_eq!((ran.failed(Failure::JobFailed), ran.each_failed()), (10, ms(300)));
    assert_eq!(ran.count("queue.q", Counter::Retried), 20);
    let ran = queued(&["job.j.fail=50%", "arrivals.rate=5/s"]);
    assert!((12..40).contains(&ran.failed(Failure::JobFailed)));
}

#[test]
fn tries_are_spaced_by_the_backoff() {
    let each = |backoff: &str| {
        let backoff = format!("job.j.backoff={backoff}");
        queued(&[
            "job.j.fail=100%",
            "job.j.attempts=3",
            "run.duration=12s",
            "arrivals.rate='0.4/s'",
            &backoff,
        ])
        .each_failed()
    };
    assert_eq!(each("none"), ms(300));
    assert_eq!(each("{fixed='200ms'}"), ms(700));
    // (2^1 - 1) and (2^2 - 1) times the delay.
    assert_eq!(each("{exponential='200ms'}"), ms(300 + 200 + 600));
}

#[test]
fn a_job_that_times_out_goes_on_working() {
    let ran = queued(&["job.j.timeout=30ms"]);
    assert_eq!((ran.failed(Failure::JobFailed), ran.each_failed()), (10, ms(30)));
    assert_eq!(
        (ran.count("queue.q", Counter::TimedOut), ran.count("queue.q", Counter::Wasted)),
        (10, 10)
    );
    // The slot is free at once, but the next attempt shares the core with the runaway: both run
    // longer, and time out again.
    let ran = queued(&["job.j.timeout=30ms", "job.j.attempts=2"]);
    assert_eq!((ran.each_failed(), ran.count("queue.q", Counter::Wasted)), (ms(60), 20));
    assert_eq!(queued(&["job.j.timeout=101ms"]).each(), ms(100));
}
