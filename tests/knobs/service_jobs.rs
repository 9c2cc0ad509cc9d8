//! Jobs at which the loops of a service work.

use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

const LENT: &str = r#"
[service.web]
[service.jobs]
[database.db]
rtt = "0ms"
connect = "0ms"
[pool.pg]
service = "web"
database = "db"
size = 1
[queue.q]
service = "web"
[job.j]
queue = "q"
flow = [{ cpu = "100ms" }]
[operation.work]
service = "web"
share = 1
flow = [{ enqueue = { job = "j", wait = true } }]
"#;

fn lent(sets: &[&str]) -> Ran {
    run(LENT, sets)
}

#[test]
fn jobs_and_requests_keep_each_other_from_the_loop() {
    let elsewhere = "queue.q.service=jobs";
    let each = |sets: &[&str]| [lent(sets).each(), lent(&[sets, &[elsewhere]].concat()).each()];
    assert_eq!(each(&[]), [ms(100), ms(100)]);
    // The answer is ready after 50 ms, and computes 10 ms more.
    let page = "operation.work.flow=[{enqueue='j'}, {wait='50ms'}, {cpu='10ms'}]";
    assert_eq!(each(&[page]), [ms(110), ms(60)]);
    let beside =
        "operation.work.flow=[{parallel=[[{enqueue={job='j', wait=true}}], [{cpu='300ms'}]]}]";
    assert_eq!(each(&[beside]), [ms(400), ms(300)]);
    // A second loop has a core of its own, and the next job.
    let two = "operation.work.flow=[{parallel=[[{enqueue={job='j', wait=true}}], [{enqueue={job='j', wait=true}}]]}]";
    assert_eq!(each(&[two]), [ms(200), ms(200)]);
    let ran = lent(&[two, elsewhere, "service.jobs.workers=2", "service.jobs.cores=2"]);
    assert_eq!((ran.each(), ran.station("queue.q").capacity), (ms(100), 2.0));
    assert_eq!(lent(&[two, elsewhere, "service.jobs.instances=2"]).each(), ms(100));
}

#[test]
fn a_loop_has_so_many_jobs_under_way() {
    let two = "operation.work.flow=[{parallel=[[{enqueue={job='j', wait=true}}], [{enqueue={job='j', wait=true}}]]}]";
    let each = |flow: &str, concurrency: u32| {
        let (flow, concurrency) =
            (format!("job.j.flow={flow}"), format!("queue.q.concurrency={concurrency}"));
        lent(&[two, &flow, &concurrency]).each()
    };
    let waits = "[{wait='100ms'}]";
    assert_eq!((each(waits, 1), each(waits, 2)), (ms(200), ms(100)));
    assert_eq!(each("[{cpu='100ms'}]", 2), ms(200), "they share the loop");
}

#[test]
fn a_job_uses_what_its_service_has() {
    // It has the only connection for 30 ms; the page wants it after one.
    let page =
        "operation.work.flow=[{enqueue='j'}, {wait='1ms'}, {query={pool='pg', read='10ms'}}]";
    let query = "job.j.flow=[{query={pool='pg', read='30ms'}}]";
    let [alone, beside] =
        ["job.j.flow=[{wait='30ms'}]", query].map(|job| lent(&[page, job]).each());
    assert_eq!((alone, beside), (ms(11), ms(40)));
    // What fails its step fails its attempt.
    let down = ["fault.f={target='database.db', what='stop'}", query, "job.j.attempts=3"];
    let ran = lent(&down);
    let count = |counter| ran.count("queue.q", counter);
    assert_eq!(
        (count(Counter::Served), count(Counter::Rejected), count(Counter::Retried)),
        (0, 10, 20)
    );
}

/// One request at 50 s, whose job takes 4 s.
fn lasting(sets: &[&str]) -> Ran {
    let usual = [
        "arrivals.rate='0.02/s'",
        "run.duration=99s",
        "queue.q.service=jobs",
        "job.j.flow=[{wait='4s'}]",
    ];
    lent(&[&usual, sets].concat())
}

#[test]
fn what_ends_its_process_ends_a_job() {
    assert_eq!(lasting(&[]).each(), ms(4_000));
    // It is locked until 80 s, seen at 60 s and found at 90 s.
    let ran = lasting(&["fault.f={target='service.jobs', what='stop', at='52s', for='1s'}"]);
    assert_eq!((ran.each(), ran.count("queue.q", Counter::Stalled)), (ms(44_000), 1));
    let deployed = |sigterm: &str, grace: &str| {
        let deploy = format!(
            "deploy.d={{service='jobs', at='51s', start='1s', on_sigterm='{sigterm}', grace='{grace}'}}"
        );
        lasting(&[&deploy]).each()
    };
    assert_eq!(deployed("exit", "30s"), ms(44_000));
    assert_eq!(deployed("finish", "30s"), ms(4_000));
    assert_eq!(deployed("finish", "1s"), ms(44_000));
    // The job of 53 s goes to the new process while the old one finishes.
    let two = "operation.work.flow=[{enqueue='j'}, {wait='3s'}, {enqueue={job='j', wait=true}}]";
    let deploy = "deploy.d={service='jobs', at='51s', start='1s', on_sigterm='finish'}";
    assert_eq!((lasting(&[two, deploy]).each(), lasting(&[two]).each()), (ms(7_000), ms(8_000)));
}

#[test]
fn a_loop_that_is_kept_renews_no_lock() {
    // As processes of the queue's own: seen at 210 s, stalled at 240 s, seen again at 270 s, failed at 300 s.
    let long = |sets: &[&str]| {
        let usual = [
            "run.duration=390s",
            "arrivals.rate='0.005/s'",
            "queue.q.service=jobs",
            "service.jobs.instances=2",
            "job.j.flow=[{cpu='40s'}]",
        ];
        lent(&[&usual, sets].concat())
    };
    assert_eq!(long(&[]).each_failed(), ms(100_000));
    assert_eq!(long(&["job.j.flow=[{wait='40s'}]"]).each(), ms(40_000));
    assert_eq!(long(&["queue.q.lock=50s"]).each(), ms(40_000));
    // A request of 40 s does the same to a job that only waits beside it, and ends before it is found.
    let page = "operation.work.flow=[{enqueue='j'}, {wait='1s'}, {cpu='36s'}]";
    let beside =
        [page, "queue.q.service=web", "service.jobs.instances=1", "job.j.flow=[{wait='38s'}]"];
    let ran = long(&beside);
    assert_eq!((ran.each(), ran.count("queue.q", Counter::Wasted)), (ms(37_000), 1));
}

#[test]
fn a_service_that_works_at_jobs_may_follow_them() {
    let ran = lent(&[
        "arrivals.rate=2/s",
        "run.duration=390s",
        "run.window=10s",
        "queue.q.service=jobs",
        "operation.work.flow=[{enqueue='j'}]",
        "job.j.flow=[{wait='1s'}]",
        "service.jobs.autoscale={min=1, max=4, metric={backlog={queue='q', jobs=10}}}",
    ]);
    // As workers of the queue's own do: the third data point is at 180 s.
    let held = ran.held("service.jobs");
    let first = held.iter().position(|held| *held == 4.0);
    assert_eq!(first, Some(24));
    let mean = held.iter().sum::<f64>() / held.len() as f64;
    assert!((ran.station("queue.q").capacity - mean).abs() < 1e-9);
}
