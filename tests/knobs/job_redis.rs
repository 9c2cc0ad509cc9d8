//! What jobs cost the Redis that keeps their queue.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

const KEPT: &str = r#"
[service.web]
[cache.c]
rtt = "4ms"
command = "5ms"
[queue.q]
cache = "c"
add = "1ms"
claim = "2ms"
finish = "3ms"
[job.j]
queue = "q"
work = "100ms"
[operation.work]
share = 1
flow = [{ enqueue = { job = "j", wait = true } }]
"#;

fn kept(sets: &[&str]) -> Ran {
    run(KEPT, sets)
}

fn commands(ran: &Ran) -> u64 {
    ran.count("cache.c", Counter::Served)
}

#[test]
fn workers_claim_and_end_jobs_by_scripts() {
    // Added: 2 + 1 + 2 ms. Woken and claimed: 2 + 2 + 2 + 2. Worked: 100. Ended: 2 + 3 + 2.
    let ran = kept(&[]);
    assert_eq!((ran.each(), commands(&ran)), (ms(5 + 8 + 100 + 7), 30));
    assert_eq!(kept(&["queue.q.add=9ms"]).each(), ms(128));
    assert_eq!(kept(&["queue.q.claim=9ms"]).each(), ms(127));
    assert_eq!(kept(&["queue.q.finish=9ms"]).each(), ms(126));
    let none = KEPT.replace("cache = \"c\"\nadd = \"1ms\"\nclaim = \"2ms\"\nfinish = \"3ms\"", "");
    assert_eq!(run(&none, &[]).each(), ms(100));
    // The slot is taken from the claim to the answer to the end.
    let busy = ran.station("queue.q").busy_mean;
    assert!((busy - 10.0 * 0.115 / 10.5).abs() < 1e-6, "{busy}");
}

#[test]
fn the_end_of_a_job_brings_the_next_along() {
    // Added at 5, 10 and 15 ms; one claim, then three times 100 + 7 ms.
    let three =
        "operation.work.flow=[{enqueue='j'}, {enqueue='j'}, {enqueue={job='j', wait=true}}]";
    let ran = |sets: &[&str]| {
        let ran = kept(&[&[three, "run.duration=10900ms"], sets].concat());
        let each = if ran.ok() > 0 { ran.each() } else { ran.each_failed() };
        (each, commands(&ran))
    };
    assert_eq!(ran(&[]), (ms(5 + 8 + 3 * 107), 10 * (3 + 1 + 3)));
    // After a failure Bull claims again, two times 8 ms; BullMQ only where it tries at once.
    let fails = "job.j.fail=100%";
    let mq = "queue.q.driver=bullmq";
    assert_eq!(ran(&[fails]), (ms(334 + 16), 90));
    assert_eq!(ran(&[fails, mq]), (ms(334), 70));
    let (took, sent) = ran(&[fails, mq, "job.j.attempts=2"]);
    // j1 fails and goes behind j2 and j3, and so on: 6 turns. The first three each end with one more claim,
    // the last three bring the next along.
    assert_eq!((took, sent), (ms(5 + 8 + 6 * 107 + 3 * 8), 10 * (3 + 1 + 3 + 6)));
    // Bull's limiter leaves no jobs to the end of another.
    let limited = "queue.q.limiter={max=9, duration='1s'}";
    assert_eq!(ran(&[limited]), (ms(334 + 16), 90));
    assert_eq!(ran(&[limited, mq]), (ms(334), 70));
}

#[test]
fn a_job_with_a_priority_is_looked_up_among_those_that_wait() {
    // One of four is at work when another kind comes, and three wait. To add one takes 2 + 1 + 2 ms.
    let text = format!("{KEPT}[job.first]\nqueue = \"q\"\nwork = \"1s\"\npriority = 2\n");
    let four = "operation.work.flow=[{repeat={times=4, flow=[{enqueue='j'}]}}, {enqueue='first'}]";
    let took = |sets: &[&str]| {
        let usual = [four, "run.duration=1500ms", "job.j.work=100s", "queue.q.insert=1ms"];
        run(&text, &[&usual[..], sets].concat()).each()
    };
    assert_eq!(took(&[]), ms(25 + 3));
    assert_eq!(took(&["queue.q.insert=7ms"]), ms(25 + 21));
    // Those of lower priority are looked through, not those that are before it.
    assert_eq!(took(&["job.j.priority=3"]), ms(25 + 3));
    assert_eq!(took(&["job.j.priority=1"]), ms(25));
    assert_eq!(took(&["job.first.priority=0"]), ms(25));
    // BullMQ has a sorted set, and what is due later stands elsewhere.
    assert_eq!(took(&["queue.q.driver=bullmq"]), ms(25));
    let later = "operation.work.flow=[{repeat={times=4, flow=[{enqueue='j'}]}}, \
                 {enqueue={job='first', delay='1s'}}]";
    assert_eq!(took(&[later]), ms(25));
}

#[test]
fn scripts_keep_the_servers_thread_as_measured() {
    // 1,000 jobs a second to idle workers: added, claimed and ended they take 60 + 300 + 110 us each.
    let busy = |sets: &[&str]| {
        let text = KEPT.replace("add = \"1ms\"\nclaim = \"2ms\"\nfinish = \"3ms\"\n", "");
        let many = [
            "arrivals.rate=1000/s",
            "run.duration=2s",
            "cache.c.rtt=200us",
            "queue.q.concurrency=100",
            "job.j.cpu_share=0%",
            "job.j.work=1ms",
        ];
        let ran = run(&text, &[&many, sets].concat());
        (ran.station("cache.c").busy_mean, ran.count("queue.q", Counter::Served))
    };
    let (bull, _) = busy(&[]);
    assert!((bull - 0.470).abs() < 0.001, "{bull}");
    let (mq, _) = busy(&["queue.q.driver=bullmq"]);
    assert!((mq - 0.725).abs() < 0.001, "{mq}");
    // One worker for all: a job takes it 1 ms, a round trip of 0.2 ms and 0.11 ms, and it claims none.
    let (one, served) = busy(&["queue.q.concurrency=1"]);
    assert!((served as f64 / 2.0 * 1.31e-3 - 1.0).abs() < 0.02, "{served}");
    assert!((one - (0.060 + 0.110 / 1.31)).abs() < 0.003, "{one}");
}

#[test]
fn locks_are_renewed_by_scripts() {
    // One job, at 200 s; to add, to claim and to end it are three.
    let renewals = |sets: &[&str]| {
        let one = ["run.duration=390s", "arrivals.rate='0.005/s'", "job.j.work=38s"];
        commands(&kept(&[&one, sets].concat())) - 3
    };
    // Bull: after 15 and after 30 s.
    assert_eq!(renewals(&[]), 2);
    assert_eq!(renewals(&["job.j.work=14900ms"]), 0);
    assert_eq!(renewals(&["queue.q.lock=10s"]), 7);
    // BullMQ looks each 7.5 s: at 202.5 s it is too young, then come 210, 217.5, 225 and 232.5 s.
    assert_eq!(renewals(&["queue.q.driver=bullmq"]), 4);
    assert_eq!(renewals(&["queue.q.driver=bullmq", "queue.q.lock=10s"]), 14);
    // Two jobs at one worker are two scripts of Bull and one of BullMQ.
    let two = "operation.work.flow=[{parallel=[[{enqueue={job='j', wait=true}}], [{enqueue={job='j', wait=true}}]]}]";
    let side = ["queue.q.concurrency=2", "job.j.cpu_share=0%", two];
    assert_eq!(renewals(&side), 4 + 3);
    assert_eq!(renewals(&[&side[..], &["queue.q.driver=bullmq"]].concat()), 4 + 3);
    // A loop that is kept renews when it is free.
    assert_eq!(renewals(&["job.j.blocking=true", "queue.q.lock=60s"]), 1);
    assert_eq!(renewals(&["job.j.blocking=true", "queue.q.lock=80s"]), 0);
}

#[test]
fn scripts_wait_for_their_redis() {
    let stopped = |at: &str, what: &str| {
        kept(&[&format!("fault.f={{target='cache.c', what={what}, at='{at}', for='3s'}}")])
    };
    // The end of the job of second 2 sets out at 2.113 s, arrives at 2.115 s and is sent again at 5.05 s.
    let ran = stopped("2050ms", "'stop'");
    assert_eq!((ran.longest(), ran.failed(Failure::CacheError)), (ms(3_057), 3));
    // Its claim would have arrived at 2.009 s.
    let ran = stopped("2006ms", "'stop'");
    assert_eq!((ran.longest(), ran.ok()), (ms(3_006 + 8 + 100 + 7), 7));
    // A script that fails is sent again 5 s after its worker has heard of it.
    let flaky = "fault.f={target='cache.c', what={flaky='100%'}, at='2114ms', for='5ms'}";
    assert_eq!(kept(&[flaky, "queue.q.processes=9"]).longest(), ms(117 + 5_000 + 7));
    let mq = [flaky, "queue.q.processes=9", "queue.q.driver=bullmq", "run.duration=20500ms"];
    assert_eq!(kept(&mq).longest(), ms(117 + 15_000 + 7));
    // A Redis that comes back empty has no job that was to be claimed; its worker takes the next.
    let ran = stopped("2006ms", "'restart'");
    assert_eq!((ran.failed(Failure::JobFailed), ran.ok()), (1, 6));
    assert_eq!(ran.count("queue.q", Counter::Lost), 1);
}
