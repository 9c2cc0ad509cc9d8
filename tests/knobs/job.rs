//! Queues and jobs.

use loadbearing::failure::Failure;
use loadbearing::result::Summary;
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
    assert_eq!(each(&["queue.q.processes=2", "queue.q.concurrency=4"]), ms(200), "two at each");
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

#[test]
fn drivers_differ_in_priorities_and_delays() {
    let flow = "operation.work.flow=[{enqueue='j'}, {enqueue='j'}, {enqueue={job='k', wait=true}}]";
    let each = |driver: &str| {
        queued(&[flow, "job.k.priority=2", &format!("queue.q.driver={driver}")]).each()
    };
    assert_eq!((each("bull"), each("bullmq"), each("sqs")), (ms(200), ms(300), ms(300)));
    let failed = queued(&[
        "queue.q.driver=bullmq",
        "job.j.fail=100%",
        "job.j.attempts=3",
        "run.duration=12s",
        "arrivals.rate='0.4/s'",
        "job.j.backoff={exponential='200ms'}",
    ]);
    // 1 and 2 times the delay.
    assert_eq!(failed.each_failed(), ms(300 + 200 + 400));
}

/// One job at 200 s that takes 40 s; two processes.
fn long_job(sets: &[&str]) -> Ran {
    let basic = [
        "run.duration=390s",
        "arrivals.rate='0.005/s'",
        "queue.q.processes=2",
        "job.j.work=40s",
        "job.j.blocking=true",
    ];
    queued(&[&basic, sets].concat())
}

#[test]
fn a_job_that_keeps_its_loop_loses_its_lock() {
    // Checks every 30 s: seen at 210 s, stalled at 240 s; seen again at 270 s, failed at 300 s.
    assert_eq!(long_job(&[]).each_failed(), ms(100_000));
    assert_eq!(long_job(&["job.j.blocking=false"]).each(), ms(40_000));
    assert_eq!(long_job(&["queue.q.lock=50s"]).each(), ms(40_000));
    assert_eq!(long_job(&["queue.q.stalled_interval=20s"]).each_failed(), ms(80_000));
    assert_eq!(long_job(&["queue.q.max_stalled=2"]).each_failed(), ms(160_000));
    assert_eq!(long_job(&["queue.q.max_stalled=0"]).each_failed(), ms(40_000));
    // BullMQ looks at 7.5, 15, ... s: of a job of 206 s that is dead at 219 s Bull has renewed the lock never, BullMQ
    // at 217.5 s. So Bull's, locked until 236 s and seen at 210 s, is found at 240 s; BullMQ's, seen at 240 s, at 270 s.
    let dies = |driver: &str| {
        let driver = format!("queue.q.driver={driver}");
        let stop = "fault.f={target='queue.q', what='stop', at='219s', for='1s'}";
        let late = "operation.work.flow=[{wait='6s'}, {enqueue={job='j', wait=true}}]";
        long_job(&["job.j.blocking=false", &driver, stop, late]).each()
    };
    assert_eq!((dies("bull"), dies("bullmq")), (ms(80_000), ms(110_000)));
    // Its process does nothing else meanwhile: the second job waits for the loop.
    let two = "operation.work.flow=[{parallel=[[{enqueue={job='j', wait=true}}], [{enqueue={job='j', wait=true}}]]}]";
    let side = ["queue.q.processes=1", "queue.q.concurrency=2", "queue.q.lock=200s", two];
    assert_eq!(long_job(&side).each(), ms(80_000));
}

#[test]
fn a_message_that_is_not_deleted_shows_up_again() {
    let sqs =
        |sets: &[&str]| long_job(&[&["queue.q.driver=sqs", "queue.q.processes=4"], sets].concat());
    // Received at 200, 230 and 260 s; at 290 s it goes to the dead letters.
    let ran = sqs(&["queue.q.max_receives=3"]);
    assert_eq!((ran.each_failed(), ran.count("queue.q", Counter::TimedOut)), (ms(90_000), 3));
    assert_eq!(ran.count("queue.q", Counter::Wasted), 3, "each was worked at to its end");
    assert_eq!(sqs(&[]).count("queue.q", Counter::Rejected), 0, "without a limit, for ever");
    assert_eq!(sqs(&["queue.q.lock=60s"]).each(), ms(40_000));
    // One that fails is not seen before its time is over.
    let fails = ["job.j.work=1s", "job.j.fail=100%", "queue.q.max_receives=2"];
    assert_eq!(sqs(&fails).each_failed(), ms(31_000));
}

#[test]
fn messages_are_sent_received_and_deleted_by_requests() {
    let sqs = |sets: &[&str]| queued(&[&["queue.q.driver=sqs", "queue.q.rtt=40ms"], sets].concat());
    let requests = |ran: &Ran| [Counter::Writes, Counter::Reads].map(|it| ran.count("queue.q", it));
    // It is there after 20 ms, at its worker after 40; deleting it takes 40 more.
    let ran = sqs(&[]);
    assert_eq!((ran.each(), requests(&ran)), (ms(40 + 100 + 40), [20, 10]));
    let left = sqs(&["operation.work.flow=[{enqueue='j'}]"]);
    assert_eq!(left.each(), ms(40), "who sends it waits for the answer");
    // The next is asked for when one has been deleted.
    let three =
        "operation.work.flow=[{enqueue='j'}, {enqueue='j'}, {enqueue={job='j', wait=true}}]";
    assert_eq!(sqs(&[three]).each(), ms(40 + 3 * 140 + 2 * 40));
    // What fails is not deleted.
    let ran = sqs(&["job.j.fail=100%", "queue.q.max_receives=1"]);
    assert_eq!((ran.each_failed(), requests(&ran)), (ms(140), [10, 10]));
    let free = queued(&["queue.q.driver=sqs"]);
    assert_eq!((free.each(), requests(&free)), (ms(100), [20, 10]));
    // 30 in 10.5 s are 7.5 million in a month of 730 h.
    let ran = sqs(&["queue.q.request_price='$0.40'"]);
    let costs = Summary::new(&ran.model, std::slice::from_ref(&ran.outcome)).costs;
    let month = 30.0 / 10.5 * 730.0 * 3_600.0 / 1e6 * 0.40;
    assert!((costs[0].dollars_month - month).abs() < 1e-9, "{costs:?}");
}

#[test]
fn the_last_one_goes_first_where_it_is_said() {
    let flow = "operation.work.flow=[{enqueue='j'}, {enqueue='j'}, {enqueue={job='k', wait=true}}]";
    let lifo = "job.k.lifo=true";
    assert_eq!([queued(&[flow]).each(), queued(&[flow, lifo]).each()], [ms(300), ms(200)]);
    let among = [flow, lifo, "queue.q.driver=bullmq", "job.k.priority=2"];
    assert_eq!(queued(&among).each(), ms(300), "a priority has its own order");
    // A retry at once goes first too, one after a delay does not.
    let fails = |backoff: &str| {
        let fails = [flow, lifo, "job.k.fail=100%", "job.k.attempts=2", backoff];
        queued(&fails).each_failed()
    };
    assert_eq!(fails("job.k.backoff=none"), ms(300));
    assert_eq!(fails("job.k.backoff={fixed='1ms'}"), ms(400));
    // One of nothing is none (Bull 4.16.5 lib/job.js, `moveToFailed`: `if (delay)`).
    assert_eq!(fails("job.k.backoff={fixed='0ms'}"), ms(300));
    assert_eq!(fails("job.k.backoff={exponential='0ms'}"), ms(300));
}

#[test]
fn a_part_of_the_backoff_is_chance() {
    let spread = |driver: &str, jitter: &str| {
        let (driver, jitter) =
            (format!("queue.q.driver={driver}"), format!("job.j.jitter={jitter}"));
        let fails = ["job.j.fail=100%", "job.j.attempts=2", "job.j.backoff={fixed='2s'}"];
        let often = ["arrivals.rate='0.4/s'", "run.duration=100s", driver.as_str(), &jitter];
        let latency = queued(&[&fails[..], &often].concat()).outcome.failed_latency;
        (latency.min().expect("all fail"), latency.max().expect("all fail"))
    };
    assert_eq!(spread("bullmq", "0%"), (ms(2_200), ms(2_200)));
    assert_eq!(spread("bull", "50%"), (ms(2_200), ms(2_200)), "Bull knows none");
    let (least, most) = spread("bullmq", "50%");
    assert!(least >= ms(1_200) && least < ms(1_300), "{least}");
    assert!(most < ms(2_200) && most > ms(2_100), "{most}");
}

#[test]
fn a_queue_starts_so_many_jobs_in_a_time() {
    let four = |driver: &str, limiter: &str| {
        let (driver, limiter) =
            (format!("queue.q.driver={driver}"), format!("queue.q.limiter={limiter}"));
        let rare = ["arrivals.rate='0.1/s'", "run.duration=95s", "queue.q.processes=4"];
        queued(&[&[FOUR, driver.as_str(), &limiter], &rare[..]].concat()).each()
    };
    let one = "{max=1, duration='1s'}";
    // BullMQ's begin at 0, 1, 2 and 3 s; Bull puts them aside until 1, 2.1 and 3.2 s.
    assert_eq!(four("bullmq", one), ms(3_100));
    assert_eq!(four("bull", one), ms(3_300));
    assert_eq!(four("bullmq", "{max=2, duration='1s'}"), ms(1_100));
    assert_eq!(four("bullmq", "{max=4, duration='1s'}"), ms(100));
    assert_eq!(four("bullmq", "{max=1, duration='300ms'}"), ms(1_000));
    // The counter begins with the first job that is started, not with the clock.
    let two = queued(&["queue.q.driver=bullmq", "queue.q.limiter={max=1, duration='1500ms'}"]);
    assert_eq!((two.shortest(), two.longest() > ms(2_500)), (ms(100), true));
}

#[test]
fn a_job_may_be_due_later() {
    let late = |job: &str| format!("operation.work.flow=[{{enqueue={job}}}]");
    let ran = queued(&[&late("{job='j', wait=true, delay='300ms'}")]);
    let (delayed, _) = ran.station("queue.q").delayed.expect("a queue has jobs");
    assert_eq!(ran.each(), ms(400));
    assert!((delayed - 10.0 * 0.3 / 10.5).abs() < 1e-9, "{delayed}");
    let sqs = ["queue.q.driver=sqs", &late("{job='j', wait=true, delay='2s'}")];
    assert_eq!(queued(&sqs).each(), ms(2_100));
    // It is of no use to be the last who came: at 50 ms another j waits already, and goes before.
    let flow = |delay: &str| {
        let k = format!("{{enqueue={{job='k', wait=true{delay}}}}}");
        queued(&[
            &format!("operation.work.flow=[{{enqueue='j'}}, {{enqueue='j'}}, {k}]"),
            "job.k.lifo=true",
        ])
        .each()
    };
    assert_eq!((flow(""), flow(", delay='50ms'")), (ms(200), ms(300)));
    // Before the next attempt it waits there too, unless that comes at once.
    let tried = |backoff: &str| {
        let backoff = format!("job.j.backoff={backoff}");
        let ran = queued(&["job.j.fail=100%", "job.j.attempts=2", &backoff]);
        ran.station("queue.q").delayed.expect("a queue has jobs")
    };
    assert_eq!(tried("none"), (0.0, 0));
    let (mean, most) = tried("{fixed='200ms'}");
    assert!((mean - 10.0 * 0.2 / 10.5).abs() < 1e-9 && most == 1, "{mean}");
}

#[test]
fn the_job_that_waits_for_longest_has_an_age() {
    // Three wait at first; the oldest is none after 0.3 s.
    let ran = queued(&[FOUR]);
    let (mean, most) = ran.station("queue.q").oldest_s.expect("a queue has jobs");
    let area = 10.0 * 0.3 * 0.3 / 2.0;
    assert!((mean - area / 10.5).abs() < 1e-9 && most == 0.3, "{mean} {most}");
    assert_eq!(ran.station("service.web").oldest_s, None);
    let shown = |what: &str, sets: &[&str]| {
        let monitor = format!("monitor.m={{of='queue.q', shows='{what}', every='1s'}}");
        let ran = queued(&[&[&monitor, "run.window=500ms"], sets].concat());
        let summary = Summary::new(&ran.model, std::slice::from_ref(&ran.outcome));
        summary.monitors[0].true_mean
    };
    assert!((shown("oldest", &[FOUR]) - area / 10.5).abs() < 1e-9);
    let tried = ["job.j.fail=100%", "job.j.attempts=2", "job.j.backoff={fixed='200ms'}"];
    assert!((shown("delayed", &tried) - 2.0 / 10.5).abs() < 1e-9);
    // The k that comes at 50 ms goes first; the j that waits until 200 ms is the oldest all the same.
    let ran = queued(&[
        "operation.work.flow=[{parallel=[[{enqueue={job='j', wait=true}}], [{enqueue={job='j', wait=true}}], [{wait='50ms'}, {enqueue={job='k', wait=true}}]]}]",
        "job.k.priority=1",
    ]);
    let (mean, most) = ran.station("queue.q").oldest_s.expect("a queue has jobs");
    assert!((mean - 10.0 * 0.2 * 0.2 / 2.0 / 10.5).abs() < 1e-9 && most == 0.2, "{mean} {most}");
}

/// One request at 100 s, that leaves a job of 3.5 s behind; its user asks for the end.
fn asked(poll: &str, sets: &[&str]) -> Ran {
    let flow = format!(
        "operation.work.flow=[{{enqueue={{job='j', poll={{operation='ask'{poll}}}}}}}, {{reply='1KB'}}]"
    );
    let text = format!("{QUEUED}\n[operation.ask]\nshare = 0\nflow = [{{ cpu = '1ms' }}]\n");
    let once = ["arrivals.rate='0.01/s'", "run.duration=199s", "job.j.work=3500ms"];
    run(&text, &[&[flow.as_str()], &once[..], sets].concat())
}

#[test]
fn a_user_asks_for_the_end_of_a_job() {
    let heard = |ran: &Ran| {
        let count = |counter| ran.count("queue.q", counter);
        (ran.offered() - 1, count(Counter::Replayed), count(Counter::LagMicros))
    };
    // Two seconds after an answer: at 2 s and 4.001 s, which is answered at 4.002 s.
    let usual = asked("", &[]);
    assert_eq!(heard(&usual), (2, 1, 4_002_000));
    assert_eq!(usual.ok(), 3, "questions are requests");
    // At 1, 2.001, 3.002 and 4.003 s.
    assert_eq!(heard(&asked(", every='1s'", &[])), (4, 1, 4_004_000));
    assert_eq!(heard(&asked(", every='1s', most=3", &[])), (3, 0, 0));
    assert_eq!(heard(&asked(", every='1s', most=4", &[])), (4, 1, 4_004_000));
    // The end is the end, a bad one too.
    assert_eq!(heard(&asked("", &["job.j.fail=100%"])), (2, 1, 4_002_000));
    let tried = ["job.j.fail=100%", "job.j.attempts=2"];
    assert_eq!(heard(&asked("", &tried)), (4, 1, 8_004_000));
    // A question that fails is followed by another.
    let refused = ["operation.ask.flow=[{ reply = { bytes = '1KB', status = 500 } }]"];
    assert_eq!(heard(&asked(", most=9", &refused)), (9, 0, 0));
    // Who has no answer does not know what to ask for.
    let lost = ["client.patience=1s", "operation.ask.flow=[{ cpu = '0ms' }]"];
    let slow = "[{enqueue={job='j', poll={operation='ask'}}}, {wait='5s'}, {reply='1KB'}]";
    let ran = asked("", &[&lost[..], &[&format!("operation.work.flow={slow}")]].concat());
    assert_eq!(heard(&ran), (0, 0, 0));
}

#[test]
fn users_of_a_population_ask_beside_what_they_do() {
    let closed = "[users]\npopulation = 1\nthink = '10s'\n";
    let text =
        format!("{closed}{QUEUED}\n[operation.ask]\nshare = 0\nflow = [{{ cpu = '1ms' }}]\n");
    let flow = "operation.work.flow=[{enqueue={job='j', poll={operation='ask', every='4s'}}}]";
    let ran = run(&text, &[flow, "run.duration=100s", "job.j.work=1s"]);
    // One turn every 10 s, and one question for each job; the last would come after the end.
    assert_eq!((ran.offered(), ran.count("queue.q", Counter::Served)), (19, 10));
}
