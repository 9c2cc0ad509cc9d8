//! Caches and keys.

use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

const CACHED: &str = r#"
[service.web]
[cache.c]
rtt = "0ms"
command = "0ms"
[keys.k]
count = 1
[operation.look]
share = 1
flow = [{ cache = { in = "c", keys = "k", miss = [{ cpu = "10ms" }] } }]
"#;
/// A thousand keys of 1 KB, asked for 100 times a second.
const MANY: &[&str] =
    &["keys.k.count=1000", "keys.k.size=1000B", "cache.c.overhead=0B", "arrivals.rate=100/s"];

fn cached(sets: &[&str]) -> Ran {
    run(CACHED, sets)
}

/// Misses and hits.
fn misses(ran: &Ran) -> (u64, u64) {
    (ran.count("cache.c", Counter::Misses), ran.count("cache.c", Counter::Hits))
}

#[test]
fn a_miss_loads_and_the_next_hit_does_not() {
    let ran = cached(&[]);
    assert_eq!((misses(&ran), ran.longest(), ran.shortest()), ((1, 9), ms(10), ms(0)));
    let flow = "operation.look.flow=[{cache={in='c', keys='k', write=false, miss=[{cpu='10ms'}]}}]";
    assert_eq!(misses(&cached(&[flow])), (10, 0), "nothing is put in");
    let flow =
        "operation.look.flow=[{cache={in='c', keys='k', ttl='2500ms', miss=[{cpu='10ms'}]}}]";
    assert_eq!(misses(&cached(&[flow])), (4, 6), "at 1, 4, 7 and 10 s");
}

#[test]
fn steps_use_the_cache_and_the_keys_they_name() {
    let text =
        format!("{CACHED}\n[cache.d]\nrtt='1ms'\ncommand='0ms'\n[keys.m]\ncount = 1_000_000\n");
    let flow = "operation.look.flow=[{cache={in='d', keys='m', miss=[{cpu='10ms'}]}}, {invalidate={in='c', keys='k'}}]";
    let ran = run(&text, &[flow]);
    assert_eq!((ran.count("cache.d", Counter::Misses), ran.each()), (10, ms(12)));
    assert_eq!(ran.count("cache.c", Counter::Arrivals), 10);
}

#[test]
fn an_invalidated_key_is_missed() {
    let flow = |keys: &str| {
        format!(
            "operation.look.flow=[{{cache={{in='c', keys='k'}}}}, {{invalidate={{in='c', keys='{keys}'}}}}]"
        )
    };
    assert_eq!(misses(&cached(&[&flow("k")])), (10, 0));
    let text = format!("{CACHED}\n[keys.other]\ncount = 1\n");
    assert_eq!(misses(&run(&text, &[&flow("other")])), (1, 9));
}

#[test]
fn a_command_takes_a_round_trip_and_time_on_its_node() {
    // A miss is a GET, the load and a SET.
    let ran = cached(&["cache.c.command=1ms"]);
    assert_eq!((ran.longest(), ran.shortest()), (ms(12), ms(1)));
    let ran = cached(&["cache.c.rtt=4ms"]);
    assert_eq!((ran.longest(), ran.shortest()), (ms(18), ms(4)));
}

#[test]
fn a_node_runs_one_command_at_a_time() {
    let eight = "[{cache={in='c', keys='k'}}], ".repeat(8);
    let flow = format!("operation.look.flow=[{{parallel=[{eight}]}}]");
    let sets = [flow.as_str(), "cache.c.command=1ms", "keys.k.count=100000", "arrivals.rate=5/s"];
    let one = cached(&sets);
    // Eight misses, each a GET and a SET.
    assert_eq!(one.longest(), ms(16));
    let four = cached(&[&sets[..], &["cache.c.nodes=4"]].concat());
    assert!(four.mean_s() < 0.010, "{}", four.mean_s());
    assert_eq!(four.station("cache.c").capacity, 4.0);
}

#[test]
fn memory_belongs_to_each_worker_and_computes_on_it() {
    let memory = ["cache.c.kind=memory", "cache.c.service=web", "cache.c.rtt=7ms"];
    let ran = cached(&[&memory[..], &["cache.c.command=1ms"]].concat());
    assert_eq!((ran.longest(), ran.shortest()), (ms(12), ms(1)), "no round trip");
    assert!((ran.station("service.web").busy_mean - (0.010 + 0.011) / 10.5).abs() < 1e-9);
    let four = "service.web.instances=4";
    assert_eq!(misses(&cached(&[&memory[..], &[four]].concat())), (4, 6), "four private caches");
    assert_eq!(misses(&cached(&[four, "cache.c.kind=redis"])), (1, 9), "a server is shared");
}

#[test]
fn a_full_cache_refuses_writes_or_lets_something_go() {
    let full = [MANY, &["cache.c.memory=10KB"]].concat();
    let fate = |sets: &[&str]| {
        let ran = cached(&[&full[..], sets].concat());
        // Redis looks before it writes: the last one may go beyond. Memory of a process does not.
        let peak = ran.station("cache.c").held_peak;
        assert!((10_000..=11_000).contains(&peak), "{sets:?}: {peak}");
        let count = |counter| ran.count("cache.c", counter);
        (count(Counter::Writes), count(Counter::Evicted), count(Counter::OutOfMemory) > 0)
    };
    assert_eq!(fate(&[]), (11, 0, true), "noeviction, the default");
    assert_eq!(fate(&["cache.c.eviction=noeviction"]), (11, 0, true));
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random", "lru", "fifo"] {
        let (writes, evicted, refused) = fate(&[&format!("cache.c.eviction={policy}")]);
        assert!(writes > 900 && (10..=11).contains(&(writes - evicted)) && !refused, "{policy}");
    }
    let expiring = "operation.look.flow=[{cache={in='c', keys='k', ttl='1h'}}]";
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let policy = format!("cache.c.eviction={policy}");
        assert_eq!(fate(&[&policy]), (11, 0, true), "nothing expires");
        let (writes, evicted, refused) = fate(&[&policy, expiring]);
        assert!(writes > 900 && (10..=11).contains(&(writes - evicted)) && !refused, "{policy}");
    }
}

#[test]
fn entries_take_their_size_and_overhead_or_are_counted() {
    let writes = |sets: &[&str]| cached(&[MANY, sets].concat()).count("cache.c", Counter::Writes);
    assert_eq!(writes(&["cache.c.memory=9999B"]), 10);
    assert_eq!(writes(&["cache.c.memory=9999B", "cache.c.overhead=1000B"]), 5);
    assert_eq!(writes(&["cache.c.memory=9999B", "keys.k.size=500B"]), 20);
    assert_eq!(writes(&["cache.c.max_entries=7"]), 7);
    assert!(writes(&[]) > 500);
}

/// The share of lookups that hit, with room for 100 of 1,000 keys by Zipf's law.
fn hit_ratio(sets: &[&str]) -> f64 {
    let basic = [
        "cache.c.max_entries=100",
        "keys.k.popularity={zipf={exponent=1.0}}",
        "arrivals.rate=20/s",
        "run.duration=2600s",
    ];
    // Slowly: Redis tells idle times apart by the second.
    let ran = cached(
        &[MANY, &basic, &["operation.look.flow=[{cache={in='c', keys='k'}}]"], sets].concat(),
    );
    let (misses, hits) = misses(&ran);
    hits as f64 / (hits + misses) as f64
}

#[test]
fn what_is_let_go_decides_on_hits() {
    let ratio = |policy: &str| hit_ratio(&[&format!("cache.c.eviction={policy}")]);
    let (lru, fifo, random) = (ratio("lru"), ratio("fifo"), ratio("allkeys-random"));
    assert!(lru > fifo + 0.02 && (fifo - random).abs() < 0.01, "{lru} {fifo} {random}");
    // What is used most often stays: better than LRU where popularity does not change.
    let lfu = ratio("allkeys-lfu");
    assert!(lfu > lru + 0.01, "{lfu} {lru}");
    let sampled = |samples: &str| hit_ratio(&["cache.c.eviction=allkeys-lru", samples]);
    let (one, five, ten) =
        (sampled("cache.c.samples=1"), sampled("cache.c.samples=5"), sampled("cache.c.samples=10"));
    assert!(
        random - 0.01 < one && one < five && five < ten && ten <= lru + 0.005,
        "{one} {five} {ten}"
    );
}

#[test]
fn popularity_and_count_decide_on_hits() {
    let lru = "cache.c.eviction=lru";
    let ratio = |exponent: &str| {
        hit_ratio(&[lru, &format!("keys.k.popularity={{zipf={{exponent={exponent}}}}}")])
    };
    // Uniform: 100 of 1,000.
    assert!((ratio("0.0") - 0.1).abs() < 0.01);
    assert!((hit_ratio(&[lru, "keys.k.popularity=uniform"]) - 0.1).abs() < 0.01);
    assert!(ratio("0.8") < ratio("1.0") - 0.05 && ratio("1.0") < ratio("1.2") - 0.05);
    assert!(hit_ratio(&[lru, "keys.k.count=200"]) > hit_ratio(&[lru]) + 0.1);
}

#[test]
fn a_key_may_be_the_users_own() {
    let sets = ["keys.k.count=1_000_000"];
    assert_eq!(misses(&cached(&sets)), (10, 0));
    assert_eq!(misses(&cached(&[&sets[..], &["keys.k.by=user"]].concat())), (1, 9));
}

#[test]
fn a_stampede_or_a_single_flight() {
    let flow = |more: &str| {
        format!("operation.look.flow=[{{cache={{in='c', keys='k', {more} miss=[{{wait='1s'}}]}}}}]")
    };
    let rate = "arrivals.rate=100/s";
    let ran = cached(&[rate, &flow("")]);
    assert_eq!(ran.count("cache.c", Counter::Writes), 100, "all that come within the load of 1 s");
    let ran = cached(&[rate, &flow("single_flight=true,")]);
    assert_eq!(
        (ran.count("cache.c", Counter::Writes), ran.count("cache.c", Counter::Joined)),
        (1, 99)
    );
    assert_eq!(ran.longest(), ms(1000));
    // Per process: two processes load twice.
    let ran = cached(&[rate, &flow("single_flight=true,"), "service.web.instances=2"]);
    assert_eq!(ran.count("cache.c", Counter::Writes), 2);
    // Also where nothing is kept: those who come within one second share one computation.
    let ran = cached(&[rate, &flow("single_flight=true, write=false,")]);
    assert_eq!(
        (ran.count("cache.c", Counter::Writes), ran.count("cache.c", Counter::Hits)),
        (0, 0)
    );
    let (misses, joined) =
        (ran.count("cache.c", Counter::Misses), ran.count("cache.c", Counter::Joined));
    assert_eq!((misses, misses - joined), (1050, 11));
}

#[test]
fn what_has_expired_is_removed_in_the_background() {
    let flow = "operation.look.flow=[{cache={in='c', keys='k', ttl='1s'}}]";
    let basic = [MANY, &[flow, "keys.k.count=1_000_000"]].concat();
    let held = |sets: &[&str]| cached(&[&basic[..], sets].concat()).held("cache.c")[10];
    // A hundred a second live for a second; one in four of those there may have expired.
    assert!(held(&[]) < 200_000.0, "{}", held(&[]));
    assert!(held(&["cache.c.expire_cycle=false"]) > 900_000.0);
}

#[test]
fn caches_start_warm_or_cold() {
    assert_eq!(misses(&cached(&["run.start.caches=cold"])), (1, 9));
    assert_eq!(misses(&cached(&["run.start.caches=warm"])), (0, 10));
}
