//! Groups of consumers, and workers, that come and go by what they are behind.

use loadbearing::diagnostic::Severity;
use loadbearing::run::Counter;
use loadbearing::topology::load;

use crate::support::{Ran, run};

/// One message at 25 s that takes ten, and a group that may be empty.
const TOPIC: &str = r#"
[arrivals]
process = "even"
rate = "0/s"
users = 1000
crowd = { at = "25s", users = 1 }
[service.web]
[stream.s]
kind.kafka = { rtt = "0ms", append = "0ms", replicate = "0ms", partitions = 4 }
[consumer.c]
stream = "s"
work = "10s"
on_sigterm = "finish"
autoscale = { min = 0, max = 4, metric.lag = 10, start = "5s", policy = "keda" }
[operation.work]
share = 1
flow = [{ publish = "s" }]
"#;

fn ran(text: &str, sets: &[&str]) -> Ran {
    run(text, &[&["run.duration=500s", "run.window=1s"], sets].concat())
}

/// The first second in which so many are there for all of it.
fn first(ran: &Ran, path: &str, many: f64) -> Option<usize> {
    ran.held(path).iter().position(|held| *held == many)
}

/// The same kept by a Redis.
fn in_redis(kind: &str) -> String {
    let (before, rest) = TOPIC.split_once("kind.kafka = {").expect("it says one");
    let (_, after) = rest.split_once("}\n").expect("it ends");
    format!("[cache.r]\n{before}kind.{kind}.cache = 'r'\n{after}")
}

fn wait_s(ran: &Ran, path: &str) -> f64 {
    ran.station(path).wait.max().expect("it waited").seconds()
}

#[test]
fn keda_starts_the_first_consumer_and_stops_the_last() {
    let gone = |sets: &[&str]| first(&ran(TOPIC, sets), "consumer.c", 0.0);
    // At 30 s there is something to do, at 60 s no more; more than 300 s after 30 s it is 360 s.
    assert_eq!(gone(&[]), Some(360));
    // One that exits is missed when its session of 30 s ends.
    assert_eq!(gone(&["consumer.c.on_sigterm=exit"]), Some(390));
    let keda = |what: &str| format!("consumer.c.autoscale.policy.keda={{{what}}}");
    assert_eq!(gone(&[&keda("cooldown='60s'")]), Some(120));
    // One that comes at 5 s is seen at 10 s, and no more at 20 s.
    let early = "arrivals.crowd={at='5s', users=1}";
    assert_eq!(gone(&[early, &keda("polling='10s', cooldown='60s'")]), Some(80));
    assert_eq!(gone(&["consumer.c.autoscale.min=1"]), None);
    // Whoever has never had anything to do goes at the first look. The message comes at 70 s, the look at
    // 90 s, and five later the process.
    let later = "arrivals.crowd={at='70s', users=1}";
    let waits = |sets: &[&str]| wait_s(&ran(TOPIC, &[&[later], sets].concat()), "consumer.c");
    assert!((waits(&[]) - 25.0).abs() < 0.01, "{}", waits(&[]));
    assert_eq!(gone(&[later]), Some(30));
    assert!((waits(&[&keda("polling='20s'")]) - 15.0).abs() < 0.01);
    let never = ran(TOPIC, &[later, &keda("activation=1")]);
    assert_eq!(never.count("consumer.c", Counter::Served), 0);
}

#[test]
fn members_follow_their_lag_up_to_their_partitions_with_keda() {
    let crowd = "arrivals.crowd={at='10s', users=1000}";
    let most = |sets: &[&str]| {
        let held = ran(TOPIC, &[&[crowd], sets].concat()).held("consumer.c");
        held.iter().fold(0.0, |most: f64, held| most.max(*held))
    };
    // A thousand are a hundred times ten; the Horizontal Pod Autoscaler takes four at once.
    let hpa = ["consumer.c.autoscale.policy=hpa", "consumer.c.autoscale.min=1"];
    assert_eq!((most(&["stream.s.kind.kafka.partitions=2"]), most(&hpa)), (2.0, 4.0));
    let two = [&hpa[..], &["stream.s.kind.kafka.partitions=2"]].concat();
    assert_eq!(most(&two), 4.0, "two of them have nothing to do");
    assert_eq!(most(&[&hpa[..], &["consumer.c.autoscale.metric.lag.messages=500"]].concat()), 2.0);
    // Looked at at 15 s, ready at 20 s; the first has a message until 20 s, and then all join.
    let ran = ran(TOPIC, &[&[crowd], &hpa[..]].concat());
    let at = first(&ran, "consumer.c", 4.0).expect("all are there");
    assert!((20..=31).contains(&at), "{at}");
    // One stream of Redis is worked at by whoever is there, without any rebalance.
    let redis = [crowd, "consumer.c.autoscale.policy=hpa", "consumer.c.autoscale.min=1"];
    let ran = self::ran(&in_redis("redis-stream"), &redis);
    assert_eq!(first(&ran, "consumer.c", 4.0), Some(20));
}

#[test]
fn a_consumer_that_is_told_to_end_finishes_exits_or_goes_on() {
    // Two members have a message each from 10 s to 100 s; from 50 s on there may be one.
    let scheduled = |sets: &[&str]| {
        let fewer = "consumer.c.autoscale={min=1, max=2, metric.lag=1, policy='hpa', \
                     schedule=[{at='50s', min=1, max=1}]}";
        let usual = [
            fewer,
            "arrivals.crowd={at='10s', users=2}",
            "consumer.c.members=2",
            "consumer.c.work=90s",
            "consumer.c.kafka.client=java",
        ];
        let ran = ran(TOPIC, &[&usual, sets].concat());
        let count = |counter| ran.count("consumer.c", counter);
        let alone = first(&ran, "consumer.c", 1.0);
        (count(Counter::Wasted), count(Counter::Served), alone)
    };
    let (wasted, served, alone) = scheduled(&["consumer.c.grace=2min"]);
    assert_eq!((wasted, served), (0, 2));
    assert!(alone.is_some_and(|at| (100..105).contains(&at)), "{alone:?}");
    // Who is killed loses its message, and another handles it again when the session of 45 s has ended.
    for (sets, killed) in [
        (&["consumer.c.grace=10s"][..], 60),
        (&["consumer.c.on_sigterm=exit"], 50),
        (&["consumer.c.on_sigterm=ignore"], 80),
    ] {
        let (wasted, served, alone) = scheduled(sets);
        assert_eq!((wasted, served), (1, 2), "{sets:?}");
        let alone = alone.expect("one is left");
        assert!((killed + 45..killed + 60).contains(&alone), "{sets:?} {alone}");
    }
}

const QUEUED: &str = r#"
[arrivals]
process = "even"
rate = "0/s"
users = 1000
crowd = { at = "70s", users = 1 }
[service.web]
[queue.q]
autoscale = { min = 0, max = 4, metric.backlog = { queue = "q", jobs = 10 }, start = "5s", policy = "keda" }
[job.j]
queue = "q"
work = "100s"
[operation.work]
share = 1
flow = [{ enqueue = "j" }]
"#;

#[test]
fn keda_starts_the_first_worker_of_a_queue_and_stops_the_last() {
    let usual = ran(QUEUED, &[]);
    assert_eq!(first(&usual, "queue.q", 0.0), Some(30));
    assert!((wait_s(&usual, "queue.q") - 25.0).abs() < 0.01);
    // The list that jobs wait in is empty while one is at work: its worker goes in the midst of it, five
    // minutes after it was last seen to wait (90 s), but not before 100 s of work are over.
    assert_eq!(usual.count("queue.q", Counter::Served), 1);
    let cool = "queue.q.autoscale.policy.keda={cooldown='30s'}";
    let short = ran(QUEUED, &[cool]);
    assert_eq!(short.count("queue.q", Counter::Served), 0, "killed at 150 s, again and again");
    // SQS counts what is at work.
    let sqs = ran(QUEUED, &[cool, "queue.q.driver=sqs", "queue.q.lock=200s"]);
    assert_eq!(sqs.count("queue.q", Counter::Served), 1);
    assert!(first(&sqs, "queue.q", 0.0).is_some());
    let many = ["arrivals.crowd={at='70s', users=100}", "job.j.work=1s"];
    let held = ran(QUEUED, &many).held("queue.q");
    assert_eq!(held.iter().fold(0.0, |most: f64, held| most.max(*held)), 4.0);
    // Without its tolerance the Horizontal Pod Autoscaler takes a second for the eleventh.
    let eleven = ["arrivals.crowd={at='70s', users=12}", "job.j.work=100s"];
    let most = |sets: &[&str]| {
        let held = ran(QUEUED, &[&eleven[..], sets].concat()).held("queue.q");
        held.iter().fold(0.0, |most: f64, held| most.max(*held))
    };
    let lax = "queue.q.autoscale.policy.keda={hpa={up={tolerance='50%'}}}";
    assert!(most(&[]) > most(&[lax]), "{} {}", most(&[]), most(&[lax]));
}

#[test]
fn what_cannot_be_scaled_so_is_said() {
    let said = |text: &str, sets: &[&str]| {
        let file = format!("version = 1\n{text}");
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let loaded = load("test.toml", &sets, &mut |_| Ok(file.clone()));
        let wrong = loaded.diagnostics.into_iter().find(|it| it.severity == Severity::Error);
        wrong.map(|it| it.slug)
    };
    assert_eq!(said(TOPIC, &[]), None);
    assert_eq!(said(TOPIC, &["consumer.c.autoscale.policy=hpa"]), Some("out-of-range"));
    assert_eq!(said(TOPIC, &["consumer.c.autoscale.metric=cpu"]), Some("bad-scaling"));
    let oldest = "queue.q.autoscale.metric={oldest={queue='q', age='5s'}}";
    assert_eq!(said(QUEUED, &[oldest]), Some("bad-scaling"));
    let web = "service.web.autoscale={min=1, max=2, policy='keda'}";
    assert_eq!(said(QUEUED, &[web]), Some("bad-scaling"));
    assert_eq!(said(&in_redis("redis-pubsub"), &[]), Some("bad-scaling"));
}
