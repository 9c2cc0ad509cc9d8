//! Streams: partitions as queues of their own, and followers of whom the slowest decides.

use loadbearing::theory::Mg1;

use crate::{Runs, check};

const TOPIC: &str = r#"
    version = 1
    run = { warmup = "5s", duration = "200s" }
    arrivals.rate = "140/s"
    [service.web]
    [stream.s]
    kind.kafka = { rtt = "0ms", append = "0ms", replicate = "0ms" }
    [consumer.c]
    stream = "s"
    work = "5ms"
    [operation.ask]
    share = 1
    flow = [{ publish = "s" }]
"#;

/// A partition has one consumer at a time: M/G/1, however many members the group has.
#[test]
fn a_partition_is_mg1() {
    for (law, scv) in [("work=5ms", 0.0), ("work.exponential=5ms", 1.0)] {
        let runs = Runs::set(12, TOPIC, &[&format!("consumer.c.{law}"), "consumer.c.members=3"]);
        check(&format!("partition, {law}"), &runs.wait_mean_s("consumer.c"), 0.05, |s| {
            Mg1 { arrival_rate_per_s: 140.0, service_s: 5e-3 * s, service_scv: scv }.wait_mean_s()
        });
    }
}

/// The leader of a partition appends one request after another: M/D/1.
#[test]
fn a_leader_is_md1() {
    let sets = ["stream.s.kind.kafka.append=5ms", "stream.s.kind.kafka.acks=leader"];
    let runs = Runs::set(12, TOPIC, &sets);
    check("leader", &runs.latency_mean_s(), 0.03, |s| {
        let leader = Mg1 { arrival_rate_per_s: 140.0, service_s: 5e-3 * s, service_scv: 0.0 };
        leader.wait_mean_s() + 5e-3 * s
    });
}

/// With `acks = "all"` the slowest of n exponential followers decides: their mean times the n-th
/// harmonic number.
#[test]
fn the_slowest_follower_decides() {
    let sets = [
        "arrivals.rate=5/s",
        "run.duration=2000s",
        "stream.s.kind.kafka.replicas=4",
        "stream.s.kind.kafka.replicate.exponential=10ms",
    ];
    let runs = Runs::set(12, TOPIC, &sets);
    // A follower fetches in order, so now and then an answer waits for the one before it.
    check("slowest of three", &runs.latency_mean_s(), 0.1, |s| {
        let harmonic: f64 = (1..=3).map(|n| 1.0 / f64::from(n)).sum();
        let alone = 10e-3 * s * harmonic;
        alone + in_order_s(5.0, 10e-3 * s)
    });
}

/// How much longer an answer takes because the one before it is not visible yet, to first order: two
/// arrivals within x of one another, E[(M1 - M2 - gap)+] at rate lambda is lambda E[((M1 - M2)+)^2] / 2.
fn in_order_s(rate_per_s: f64, mean_s: f64) -> f64 {
    // Variance of the maximum of three exponentials: sum of 1/n^2.
    let variance: f64 = (1..=3).map(|n| 1.0 / f64::from(n * n)).sum::<f64>() * mean_s * mean_s;
    rate_per_s * variance / 2.0
}

/// A group that is behind has caught up after backlog / (mu - lambda), whatever the law of the work.
#[test]
fn a_backlog_drains() {
    let sets = ["consumer.group.work={ exponential = '10ms' }", "run.replications=1"];
    let busier = [&sets[..], &["arrivals.rate=70/s", "run.duration=40s"]].concat();
    for (sets, rate) in [(&sets[..], 50.0), (&busier, 70.0)] {
        let runs = Runs::over(120, "backlog.toml", sets);
        let caught_up = runs.observe(|it| {
            let station = it.id("consumer.group").0 as usize;
            let mut windows = it.outcome.windows.iter();
            let idle = windows.find(|window| window.stations[station].busy < 1.0 - 1e-9);
            let idle = idle.expect("it has caught up");
            0.5 * (idle.start.seconds() + idle.end.seconds())
        });
        check(&format!("backlog at {rate}/s"), &caught_up, 0.05, |s| {
            Mg1 { arrival_rate_per_s: rate, service_s: 10e-3 * s, service_scv: 1.0 }
                .drain_mean_s(300.0)
        });
    }
}
