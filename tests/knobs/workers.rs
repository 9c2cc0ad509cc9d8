//! Worker processes of queues that come and go.

use loadbearing::result::Summary;

use crate::support::{Ran, ms, run};

const QUEUED: &str = r#"
[service.web]
[queue.q]
[job.j]
queue = "q"
work = "1s"
[job.k]
queue = "q"
work = "1s"
[operation.work]
share = 1
flow = [{ enqueue = "j" }]
"#;

/// Twice as many jobs as one worker does, for 390 s.
fn scaled(sets: &[&str]) -> Ran {
    let usual = [
        "arrivals.rate=2/s",
        "run.duration=390s",
        "run.window=10s",
        "queue.q.autoscale={min=1, max=4, metric={backlog={queue='q', jobs=10}}}",
    ];
    run(QUEUED, &[&usual, sets].concat())
}

/// When the mean of a window is so many workers, first (s).
fn first(held: &[f64], many: f64) -> Option<usize> {
    held.iter().position(|held| *held == many).map(|window| 10 * window)
}

#[test]
fn workers_follow_the_jobs_that_wait() {
    let at = |many: f64, sets: &[&str]| first(&scaled(sets).held("queue.q"), many);
    // Some 180 wait at the third data point above ten; a task starts in a minute.
    assert_eq!(at(4.0, &[]), Some(240));
    assert_eq!(at(4.0, &["queue.q.autoscale.start=10s"]), Some(190));
    assert_eq!(at(2.0, &["queue.q.autoscale.metric={backlog={queue='q', jobs=1000}}"]), None);
    // At 120, 180 and 240 s the oldest is 60, 90 and 120 s old: 2.5 times 48 s are three workers.
    let oldest =
        |age: &str| format!("queue.q.autoscale.metric={{oldest={{queue='q', age='{age}'}}}}");
    assert_eq!(at(2.0, &[&oldest("200s")]), None);
    let (four, three) = (oldest("20s"), oldest("48s"));
    assert_eq!((at(4.0, &[&four]), at(3.0, &[&three])), (Some(240), Some(300)));
    // Its pods are looked at every 15 s: 15 jobs wait, half as many again as may.
    let hpa = ["queue.q.autoscale.policy=hpa", "queue.q.autoscale.start=5s"];
    assert_eq!(at(2.0, &hpa), Some(20));
    // What is known later is done later.
    assert_eq!(at(4.0, &["queue.q.autoscale.delay=70s"]), Some(310));
    let late = [&hpa[..], &["queue.q.autoscale.delay=40s"]].concat();
    assert_eq!(at(2.0, &late), Some(60));
    let ran = scaled(&[]);
    let (queue, held) = (ran.station("queue.q"), ran.held("queue.q"));
    let mean = held.iter().sum::<f64>() / held.len() as f64;
    assert!(
        (queue.capacity - mean).abs() < 1e-9 && (mean - (4.0 - 3.0 * 240.0 / 390.0)).abs() < 1e-9
    );
    let costs =
        Summary::new(&scaled(&["queue.q.price='$10'"]).model, std::slice::from_ref(&ran.outcome))
            .costs;
    let month = costs[0].dollars_month;
    assert!((month - 10.0 * mean).abs() < 1e-6, "{month}");
}

#[test]
fn workers_follow_what_their_handlers_compute() {
    let at = |sets: &[&str]| {
        let cpu = "queue.q.autoscale.metric=cpu";
        first(&scaled(&[&[cpu], sets].concat()).held("queue.q"), 2.0)
    };
    // All of a core is more than 70 % of it; half of it is not, and of two cores neither.
    assert_eq!((at(&[]), at(&["job.j.blocking=true"])), (Some(240), Some(240)));
    assert_eq!((at(&["job.j.cpu_share=50%"]), at(&["queue.q.cores=2"])), (None, None));
    assert_eq!(at(&["job.j.cpu_share=50%", "queue.q.autoscale.cpu_request=0.5"]), Some(240));
}

/// One request at 50 s; of its two workers one is told to end at 52 s.
fn retired(flow: &str, sets: &[&str]) -> Ran {
    let flow = format!("operation.work.flow=[{{parallel=[{flow}]}}]");
    let usual = [
        flow.as_str(),
        "arrivals.rate='0.02/s'",
        "run.duration=99s",
        "queue.q.processes=2",
        "queue.q.autoscale={min=1, max=2, metric={backlog={queue='q', jobs=10}}, schedule=[{at='52s', min=1, max=1}]}",
        "job.j.work=4s",
    ];
    run(QUEUED, &[&usual, sets].concat())
}

#[test]
fn a_worker_that_is_told_to_end_exits_finishes_or_goes_on() {
    let j = "[{enqueue={job='j', wait=true}}]";
    let two = format!("{j}, {j}");
    let each = |sets: &[&str]| retired(&two, sets).each();
    // Its job is locked until 80 s, seen at 60 s and found at 90 s.
    assert_eq!(each(&[]), ms(44_000));
    assert_eq!(each(&["queue.q.on_sigterm=finish"]), ms(4_000));
    assert_eq!(each(&["queue.q.on_sigterm=finish", "queue.q.grace=1s"]), ms(44_000));
    assert_eq!(each(&["queue.q.on_sigterm=ignore"]), ms(4_000));
    assert_eq!(each(&["queue.q.on_sigterm=ignore", "queue.q.grace=1s"]), ms(44_000));
    assert_eq!(each(&["queue.q.driver=sqs"]), ms(34_000), "it shows up at 80 s");
    // Who finishes begins nothing more: the other does the third and the fourth one by one.
    let four = format!("{two}, {two}");
    let each = |sets: &[&str]| retired(&four, sets).each();
    assert_eq!(each(&["queue.q.on_sigterm=finish"]), ms(12_000));
    assert_eq!(each(&["queue.q.on_sigterm=ignore"]), ms(8_000));
    // The other goes on beside it.
    let k = "{enqueue={job='k', wait=true}}";
    let beside = format!("[{k}, {{wait='2s'}}, {k}], {j}");
    let ran = retired(&beside, &["queue.q.on_sigterm=finish"]);
    assert_eq!(ran.each(), ms(4_000));
    assert_eq!((ran.held("queue.q").first(), ran.held("queue.q").last()), (Some(&2.0), Some(&1.0)));
}
