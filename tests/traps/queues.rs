//! Job queues, streams and functions.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// A job every 200 s, of which the first is looked at; two worker processes.
const REPORTS: &str = r#"
[arrivals]
rate = "0.005/s"
process = "even"
[service.web]
[queue.reports]
processes = 2
[job.report]
queue = "reports"
work = "40s"
[operation.ask]
share = 1
flow = [{ enqueue = { job = "report", wait = true } }]
"#;

fn reports(sets: &[&str]) -> Ran {
    run(REPORTS, &[&["run.duration=390s"], sets].concat())
}

#[test]
fn t_49_a_report_that_computes_for_longer_than_its_lock_is_made_twice_and_fails() {
    // From 200 s on, in one piece of 40 s: the lock of 30 s is not renewed, the end is refused at
    // 240 s, the check then gives it to a worker again, and the second time it has failed.
    let ran = reports(&["job.report.blocking=true"]);
    assert_eq!((ran.failed(Failure::JobFailed), ran.each_failed()), (1, ms(100_000)));
    let counts = |ran: &Ran| {
        let of = |counter| ran.count("queue.reports", counter);
        (of(Counter::Stalled), of(Counter::Wasted), of(Counter::Served))
    };
    assert_eq!(counts(&ran), (1, 2, 0), "80 s of work for nothing");
    // Cures: give the loop back now and then, or lock for longer than the longest piece.
    for cure in ["job.report.blocking=false", "queue.reports.lock=90s"] {
        let ran = reports(&["job.report.blocking=true", cure]);
        assert_eq!((counts(&ran), ran.each()), ((0, 0, 1), ms(40_000)), "{cure}");
    }
}

#[test]
fn t_49_a_timeout_fails_the_job_and_not_the_handler() {
    // Reports that wait for others for 15 s, one every 10 s, one at a time. Bull rejects after 10 s
    // and takes the next; the handler goes on beside it, for nothing.
    let slow = [
        "job.report.work=15s",
        "job.report.cpu_share=0%",
        "queue.reports.processes=1",
        "arrivals.rate=0.1/s",
    ];
    let ran = reports(&[&slow[..], &["job.report.timeout=10s"]].concat());
    assert_eq!(ran.ok(), 0);
    assert!(ran.count("queue.reports", Counter::Wasted) > 35, "they all worked to their end");
    let at_work = ran.station("queue.reports").busy_mean;
    assert!(at_work > 1.4, "{at_work} handlers in one slot");
    // Without it one handler at a time is all there is.
    let ran = reports(&slow);
    assert!(ran.ok() > 20 && ran.station("queue.reports").busy_peak == 1.0);
}

#[test]
fn t_49_bullmq_lets_urgent_jobs_wait_for_all_that_have_no_priority() {
    const MAIL: &str = r#"
[service.web]
[queue.mail]
[job.bulk]
queue = "mail"
work = "100ms"
[job.urgent]
queue = "mail"
work = "100ms"
priority = 1
[operation.send]
share = 1
flow = [
  { enqueue = "bulk" }, { enqueue = "bulk" }, { enqueue = "bulk" },
  { enqueue = { job = "urgent", wait = true } },
]
"#;
    // One of the bulk is at work already.
    assert_eq!(run(MAIL, &[]).each(), ms(200), "Bull");
    assert_eq!(run(MAIL, &["queue.mail.driver=bullmq"]).each(), ms(400));
    // Cure: whatever waits has a priority.
    let cure = ["queue.mail.driver=bullmq", "job.bulk.priority=10"];
    assert_eq!(run(MAIL, &cure).each(), ms(200));
}

#[test]
fn t_49_a_worker_that_dies_leaves_its_job_to_the_check_of_another() {
    let dies = "fault.crash={target='queue.reports', what='stop', count=1, at='210s'}";
    // Begun at 200 s, locked until 230 s; the check of 210 s sees it at work, that of 240 s stalled.
    let ran = reports(&[dies]);
    assert_eq!((ran.count("queue.reports", Counter::Stalled), ran.each()), (1, ms(80_000)));
}

#[test]
fn t_50_attempts_are_a_total() {
    let worked = |attempts: &str| {
        let attempts = format!("job.report.attempts={attempts}");
        let ran = reports(&["job.report.fail=100%", "job.report.work=1s", &attempts]);
        assert_eq!(ran.failed(Failure::JobFailed), 1);
        (ran.each_failed(), ran.count("queue.reports", Counter::Retried))
    };
    assert_eq!(worked("1"), (ms(1000), 0), "no retry");
    assert_eq!(worked("3"), (ms(3000), 2), "\"3 attempts\" are two retries");
    assert_eq!(worked("4"), (ms(4000), 3), "three retries are four attempts");
}

/// A message every second to a topic of two partitions, whose two members each need 0.2 s for one.
const ORDERS: &str = r#"
[arrivals]
rate = "2/s"
process = "even"
[service.web]
[stream.orders]
kind.kafka = { partitions = 2 }
[consumer.billing]
stream = "orders"
members = 2
work = "200ms"
[operation.ask]
share = 1
flow = [{ publish = "orders" }]
"#;

#[test]
fn a_handler_longer_than_the_session_is_put_out_and_its_message_handled_for_ever() {
    // kafkajs sends heartbeats between messages only: one that takes 40 s costs the membership, and
    // whoever gets the partition has it before them again.
    let long = ["consumer.billing.work=40s", "run.duration=600s", "arrivals.rate=0.1/s"];
    let served = |ran: &Ran| ran.count("consumer.billing", Counter::Served);
    let ran = run(ORDERS, &long);
    assert!(ran.count("consumer.billing", Counter::TimedOut) >= 10);
    assert!(ran.count("consumer.billing", Counter::Wasted) >= 10);
    assert_eq!(served(&ran), 0, "nothing is ever committed");
    // Cures: a longer session, or a client whose heartbeats have a thread of their own and whose batch
    // takes less than its five minutes between polls.
    let java = "consumer.billing.kafka={client='java', fetch=1}";
    for cure in ["consumer.billing.kafka.session=2min", java] {
        let ran = run(ORDERS, &[&long[..], &[cure]].concat());
        assert!(served(&ran) > 20, "{cure}: {}", served(&ran));
        assert_eq!(ran.count("consumer.billing", Counter::TimedOut), 0, "{cure}");
    }
}

#[test]
fn one_key_makes_members_idle() {
    // All of it is one customer's: one partition, one member, however many there are.
    let text = format!("{ORDERS}\n[keys.customer]\ncount = 1\n");
    let sets = ["stream.orders.kind.kafka.partitions=8", "consumer.billing.members=8"];
    let hot = ["consumer.billing.work=600ms", "run.duration=100s"];
    let lag = |more: &[&str]| {
        let ran = run(&text, &[&sets[..], &hot, more].concat());
        ran.station("consumer.billing").waiting_peak
    };
    let skewed = lag(&["stream.orders.kind.kafka.keys=customer"]);
    assert!(skewed > 10, "{skewed} messages behind");
    assert!(lag(&[]) <= 1, "spread evenly, nobody waits");
}
