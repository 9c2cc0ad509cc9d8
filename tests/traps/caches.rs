//! Redis, caches and their clients.

use loadbearing::model::demand::demand;
use loadbearing::run::Counter;

use crate::support::{Ran, model, run};

/// Keys of 1 KB that are asked for 100 times a second; room for ten of a thousand.
const FULL: &str = r#"
[arrivals]
rate = "100/s"
[service.web]
[cache.c]
rtt = "0ms"
command = "0ms"
memory = "10KB"
overhead = "0B"
[keys.k]
count = 1000
size = "1000B"
popularity.zipf = { exponent = 1.2 }
[operation.look]
share = 1
flow = [{ cache = { in = "c", keys = "k", miss = [{ wait = "10ms" }] } }]
"#;

fn hit_ratio(ran: &Ran) -> f64 {
    let count = |counter| ran.count("cache.c", counter) as f64;
    count(Counter::Hits) / (count(Counter::Hits) + count(Counter::Misses))
}

#[test]
fn t_31_a_full_redis_without_eviction_reads_and_does_not_write() {
    let full = run(FULL, &["run.duration=60s"]);
    assert!(full.count("cache.c", Counter::OutOfMemory) > 1_000, "every write fails");
    let kept = full.count("cache.c", Counter::Writes);
    // Ten keys fit; those whose first misses come together are written again.
    assert!(kept <= 20, "{kept}");
    // Whatever came first is still read, for ever, however little it is asked for.
    assert!(full.count("cache.c", Counter::Hits) > 500);
    let cured = run(FULL, &["run.duration=60s", "cache.c.eviction=allkeys-lru"]);
    assert_eq!(cured.count("cache.c", Counter::OutOfMemory), 0);
    assert!(cured.count("cache.c", Counter::Evicted) > 500);
    // volatile-* where nothing expires is noeviction by another name.
    let none = run(FULL, &["run.duration=60s", "cache.c.eviction=volatile-lru"]);
    assert!(none.count("cache.c", Counter::OutOfMemory) > 1_000);
}

#[test]
fn t_31_eviction_is_sampled() {
    // Of five entries the one unused for longest goes, which may be one that is used: exact LRU hits
    // more. Redis' cures are more samples, or counting uses.
    let hits = |more: &[&str]| {
        let sets = [
            "run.duration=2500s",
            "run.warmup=500s",
            "arrivals.rate=20/s",
            "cache.c.memory=200KB",
            "keys.k.popularity.zipf.exponent=0.8",
        ];
        hit_ratio(&run(FULL, &[&sets[..], more].concat()))
    };
    let with = |policy: &str, samples: u32| {
        let policy = format!("cache.c.eviction={policy}");
        hits(&[&policy, &format!("cache.c.samples={samples}")])
    };
    let exact = hits(&["cache.c={kind='memory', service='web', eviction='lru'}"]);
    let (one, five, ten) =
        (with("allkeys-lru", 1), with("allkeys-lru", 5), with("allkeys-lru", 10));
    let counted = with("allkeys-lfu", 5);
    assert!(one + 0.01 < five && five < exact - 0.002, "{one} < {five} < {exact}");
    assert!(ten > five && counted > exact, "{five} < {ten}, {exact} < {counted}");
}

#[test]
fn t_31_eviction_runs_in_the_path_of_commands() {
    // A report of 100 KB makes room by evicting a thousand small values: up to 500 us of each command
    // that writes, while all others wait for the only thread.
    const MIXED: &str = r#"
[arrivals]
rate = "1_000/s"
[service.web]
[cache.c]
rtt = "0ms"
command = "20us"
memory = "1MB"
overhead = "0B"
eviction = "allkeys-lru"
evicting = "5us"
[cache.reports]
rtt = "0ms"
command = "20us"
memory = "1MB"
overhead = "0B"
eviction = "allkeys-lru"
evicting = "5us"
[keys.small]
count = 50_000
size = "100B"
[keys.large]
count = 1_000
size = "100KB"
[operation.look]
share = 98
flow = [{ cache = { in = "c", keys = "small" } }]
[operation.report]
share = 2
flow = [{ cache = { in = "c", keys = "large" } }]
"#;
    let p99_us = |more: &[&str]| {
        let sets = ["run.start={caches='warm', sessions='cold'}", "run.duration=20s"];
        let ran = run(MIXED, &[&sets[..], more].concat());
        assert!(ran.count("cache.c", Counter::Evicted) > 1_000);
        ran.outcome.latency.quantile(0.99).expect("answers").seconds() * 1e6
    };
    let held_up = p99_us(&[]);
    assert!(held_up > 200.0, "{held_up} us: commands wait for evictions");
    // Cure: large values in a cache of their own, where room is made for one by one.
    let apart = "operation.report.flow=[{cache={in='reports', keys='large'}}]";
    let cured = p99_us(&[apart]);
    assert!(cured < 100.0, "{cured} us, not {held_up}");
}

#[test]
fn t_32_expired_keys_occupy_memory_until_they_are_sampled() {
    let brief = "operation.look.flow=[{cache={in='c', keys='k', ttl='1s'}}]";
    let sets = ["run.duration=60s", "cache.c.memory=1GB", "keys.k.count=100_000", brief];
    let popular = ["keys.k.popularity=uniform"];
    let held = |more: &[&str]| {
        let ran = run(FULL, &[&sets[..], &popular, more].concat());
        *ran.held("cache.c").last().expect("windows")
    };
    // A hundred a second live for one second: 100 KB are alive.
    let lazy = held(&["cache.c.expire_cycle=false"]);
    assert!(lazy > 4_000_000.0, "{lazy}: removed only when they are asked for again");
    let active = held(&[]);
    assert!(active > 100_000.0 && active < 200_000.0, "{active}: a share of the dead is left");
}

#[test]
fn t_35_private_caches_do_not_add_up() {
    let private = ["cache.c.kind=memory", "cache.c.service=web", "run.duration=300s"];
    let ratio = |workers: u32, memory: &str| {
        let workers = format!("service.web.workers={workers}");
        let memory = format!("cache.c.memory={memory}");
        hit_ratio(&run(FULL, &[&private[..], &[&workers, &memory]].concat()))
    };
    let (one, eight, whole) = (ratio(1, "50KB"), ratio(8, "50KB"), ratio(1, "400KB"));
    assert!(eight < one + 0.01, "{eight}: eight times 50 KB hit like 50 KB, {one}");
    assert!(whole > eight + 0.15, "{whole}: one of 400 KB");
    // The cure: share them, for a round trip.
    let shared = hit_ratio(&run(
        FULL,
        &[
            "service.web.workers=8",
            "cache.c.memory=400KB",
            "cache.c.eviction=lru",
            "run.duration=300s",
        ],
    ));
    assert!((shared - whole).abs() < 0.02, "{shared}");
}

#[test]
fn t_35_a_single_flight_is_one_per_process() {
    let flow =
        "operation.look.flow=[{cache={in='c', keys='k', single_flight=true, miss=[{wait='1s'}]}}]";
    let loads = |workers: u32| {
        let workers = format!("service.web.workers={workers}");
        run(FULL, &[flow, "keys.k.count=1", &workers]).count("cache.c", Counter::Writes)
    };
    assert_eq!((loads(1), loads(6)), (1, 6));
}

/// What `explain` predicts with removals is what a run measures.
#[test]
fn removals_are_part_of_the_predicted_hit_ratio() {
    let steps = "{cache={in='c', keys='k', ttl='60s'}}";
    let often = format!(
        "operation.look.flow=[{steps}, {{choose=[{{share='30%', flow=[{{invalidate={{in='c', keys='k'}}}}]}}, {{share='70%', flow=[]}}]}}]"
    );
    let sets = [
        "cache.c.memory=1GB",
        "keys.k.count=100",
        "keys.k.popularity=uniform",
        "run.duration=300s",
    ];
    let predicted = |flow: &str| {
        let model = model(FULL, &[&sets[..], &[flow]].concat());
        let hits = demand(&model, None).hits;
        *hits.values().next().expect("one cache")
    };
    let plain = format!("operation.look.flow=[{steps}]");
    assert!(predicted(&plain) > 0.98, "{}", predicted(&plain));
    let measured = hit_ratio(&run(FULL, &[&sets[..], &[&often]].concat()));
    let expected = predicted(&often);
    assert!((measured - expected).abs() < 0.03, "{measured} measured, {expected} predicted");
    assert!(expected < 0.85, "{expected}");
}
