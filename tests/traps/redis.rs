//! Redis that is gone, and what stands in for it.

use loadbearing::run::Counter;
use loadbearing::topology::load;

use crate::support::{Ran, ms, run};

/// A limiter that fails open, and counts in Redis; Redis is gone for a minute.
const OUTAGE: &str = r#"
[arrivals]
rate = "100/s"
[service.web]
before = ["limit.api"]
[limit.api]
max = 1_000_000
fail = "open"
store.shared.cache = "redis"
[cache.redis]
[operation.look]
share = 1
flow = [{ cpu = "10us" }]
[fault.outage]
target = "cache.redis"
what = "stop"
at = "20s"
for = "60s"
"#;

fn outage(sets: &[&str]) -> Ran {
    run(OUTAGE, &[&["run.duration=78s"], sets].concat())
}

/// Failing open is meant to cost nothing. The client makes every request wait for its next flush:
/// 0.3 s at first, and half a minute into the outage uniformly up to 8 s.
#[test]
fn t_33_failing_open_costs_the_reconnects_of_the_client() {
    let three = "cache.redis.client={ioredis-5={max_retries=3}}";
    let early = outage(&[three, "run.duration=20350ms"]);
    let longest = early.longest();
    assert!((ms(270)..ms(320)).contains(&longest), "{longest:?}: the first flush, 300 ms later");
    // From about 40 s on four attempts are 2 s apart: between flushes 8 s pass.
    let late_only = [
        "arrivals.stages=[{for='0s', to='0/s'}, {for='60s', to='0/s'}, {for='0s', to='100/s'}, {for='96s', to='100/s'}, {for='0s', to='0/s'}]",
        "fault.outage.for=200s",
        "run.duration=180s",
    ];
    let late = outage(&[&late_only[..], &[three]].concat());
    let (mean, longest) = (late.mean_s(), late.longest().seconds());
    assert!((7.9..8.1).contains(&longest), "{longest} s");
    assert!((mean - 4.0).abs() < 0.2, "{mean} s: uniform between nothing and 8 s");
    let waiting = late.offered() - late.ok();
    assert_eq!(waiting, 0, "all of them pass, in the end");
    // ioredis 6: 4 x (5 s + 0.1 s on average) between flushes.
    let six = "cache.redis.client={ioredis-6={max_retries=3}}";
    let six = outage(&[&late_only[..], &[six]].concat()).longest().seconds();
    assert!((19.9..20.8).contains(&six), "{six} s");
    // The cures: no offline queue, or a timeout for each command.
    let without = outage(&["cache.redis.client={ioredis-5={offline_queue=false}}"]);
    assert!(without.longest() < ms(40), "{:?}", without.longest());
    let timed = outage(&["cache.redis.client={ioredis-5={command_timeout='100ms'}}"]);
    assert!(timed.longest() < ms(140), "{:?}", timed.longest());
}

/// A process that waits for Redis without end, as BullMQ demands it of its connections, has all of
/// the outage's requests inside it.
#[test]
fn t_33_the_offline_queue_hides_the_outage_until_it_is_over() {
    let for_ever = outage(&["cache.redis.client={ioredis-5={max_retries='unlimited'}}"]);
    let inside = for_ever.offered() - for_ever.ok();
    assert!(inside > 5_500, "{inside} of 5,800 wait");
}

/// Three masters, each with a third of the slots; one of them is lost.
const CLUSTER: &str = r#"
[arrivals]
rate = "300/s"
[service.web]
[cache.redis]
nodes = 3
failover = "cluster"
[keys.pages]
count = 10_000
[operation.look]
share = 1
flow = [{ cache = { in = "redis", keys = "pages", write = false, miss = [{ wait = "1ms" }] } }]
[fault.loss]
target = "cache.redis"
what = "stop"
at = "10s"
count = 1
"#;

/// The share of commands that fail, long after the loss.
fn fail_late(sets: &[&str]) -> f64 {
    let errors = |duration: &str| {
        let ran = run(CLUSTER, &[&[duration][..], sets].concat());
        let count = |counter| ran.count("cache.redis", counter) as f64;
        (count(Counter::Errors), count(Counter::Arrivals))
    };
    let (until_40, until_60) = (errors("run.duration=40s"), errors("run.duration=60s"));
    (until_60.0 - until_40.0) / (until_60.1 - until_40.1)
}

/// Some speak of a cluster of one master and two replicas. There is none: a cluster has three masters,
/// and without a replica for each the loss of one third of the slots is the loss of all.
#[test]
fn t_34_one_lost_range_of_slots_stops_the_whole_cluster() {
    let all = fail_late(&[]);
    assert!(all > 0.999, "{all}: everything fails, though two of three nodes are well");
    // The cures: let the rest answer, or have a replica for each master.
    let rest = fail_late(&["cache.redis.failover={cluster={full_coverage=false}}"]);
    assert!((rest - 1.0 / 3.0).abs() < 0.05, "{rest}");
    assert_eq!(fail_late(&["cache.redis.replicas=1"]), 0.0);
}

#[test]
fn t_34_a_cluster_of_one_master_and_two_replicas_does_not_exist() {
    let said = |failover: &str| {
        let text = CLUSTER
            .replace("nodes = 3", "nodes = 1\nreplicas = 2")
            .replace("\"cluster\"", failover);
        let text = format!("version = 1\n{text}");
        let loaded = load("test.toml", &[], &mut |_| Ok(text.clone()));
        loaded.diagnostics.iter().any(|it| it.slug == "bad-cache")
    };
    assert!(said("\"cluster\""));
    assert!(!said("\"sentinel\""), "that is what Sentinel watches");
}
