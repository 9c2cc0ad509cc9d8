//! Hit ratios.

use loadbearing::theory::{fifo_hits, lru_hits, ttl_hit_ratio};

use crate::{Runs, check, check_jointly, mean};

/// One process that looks keys up in Redis, cache-aside.
fn redis(keys: u32, exponent: f64, seconds: u32, lookup: &str, cache: &str) -> String {
    format!(
        r#"
        version = 1
        run = {{ warmup = "20s", duration = "{seconds}s" }}
        arrivals.rate = "2000/s"
        service.web = {{}}
        keys.things = {{ count = {keys}, popularity.zipf = {{ exponent = {exponent} }} }}
        cache.store = {{ kind = "redis", {cache} }}
        [operation.ask]
        share = 1
        flow = [{{ cache = {{ in = "store", keys = "things", miss = []{lookup} }} }}]
        "#
    )
}

fn zipf(keys: u32, exponent: f64) -> Vec<f64> {
    (1..=keys).map(|rank| libm::pow(f64::from(rank), -exponent)).collect()
}

fn hit_ratio(runs: &Runs) -> Vec<f64> {
    runs.observe(|it| it.hit_ratio("cache.store"))
}

/// Published points of 100,000 keys (Che's approximation, within a thousandth here; Gelenbe's form for
/// what gives way in order of arrival, or at random): Zipf's exponent, how many fit, the hit ratio of LRU
/// and that of the others.
const PUBLISHED: [(f64, u32, f64, f64); 6] = [
    (0.8, 1_000, 0.204, 0.179),
    (0.8, 10_000, 0.469, 0.428),
    (0.8, 50_000, 0.804, 0.767),
    (1.0, 1_000, 0.506, 0.465),
    (1.0, 10_000, 0.737, 0.701),
    (1.0, 50_000, 0.918, 0.896),
];

#[test]
fn hit_ratios_have_their_published_points() {
    let weights = [0.8, 1.0].map(|exponent| zipf(100_000, exponent));
    let of = |exponent: f64| &weights[if exponent < 0.9 { 0 } else { 1 }];
    for (exponent, entries, lru, fifo) in PUBLISHED {
        let (weights, fit) = (of(exponent), entries as usize);
        for (exact, printed) in
            [(lru_hits(weights, fit).hit_ratio, lru), (fifo_hits(weights, fit).hit_ratio, fifo)]
        {
            assert!((exact - printed).abs() < 5.2e-4, "{entries} of {exponent}: {exact} {printed}");
        }
    }
    for policy in ["lru", "fifo", "allkeys-random"] {
        let seen: Vec<((f64, u32), Vec<f64>)> = PUBLISHED
            .iter()
            .map(|&(exponent, entries, ..)| {
                let sets = [
                    format!("keys.things.popularity={{ zipf.exponent = {exponent} }}"),
                    format!("cache.store.max_entries={entries}"),
                    format!("cache.store.eviction={policy}"),
                    "run.warmup=1s".into(),
                    "run.duration=10s".into(),
                    "run.attribution_every=1000".into(),
                ];
                let runs = Runs::over(8, "cache.toml", &sets.each_ref().map(String::as_str));
                ((exponent, entries), hit_ratio(&runs))
            })
            .collect();
        // Those of the same sizes as everybody else's, with the popularity as the parameter.
        check_jointly(policy, &seen, 0.02, |(exponent, entries), s| {
            let weights = zipf(100_000, exponent * s);
            let hits = if policy == "lru" { lru_hits } else { fifo_hits };
            hits(&weights, entries as usize).hit_ratio
        });
    }
}

/// Redis compares five entries chosen at random: better than chance, worse than LRU.
#[test]
fn sampled_lru_lies_between() {
    // A key of 10 KB takes 90 bytes more.
    let cache = format!("memory = \"{}B\", eviction = \"allkeys-lru\"", 10_000_u64 * 10_090);
    let runs = Runs::of(6, &redis(100_000, 0.8, 40, "", &cache));
    let weights = zipf(100_000, 0.8);
    let (fifo, lru) = (fifo_hits(&weights, 10_000).hit_ratio, lru_hits(&weights, 10_000).hit_ratio);
    let mean = mean(&hit_ratio(&runs));
    assert!(fifo + 0.003 < mean && mean < lru - 0.001, "{fifo} < {mean} < {lru}");
}

/// A time to live that hits do not renew: x / (1 + x) with x requests a lifetime.
#[test]
fn ttl_hits() {
    let commands = "command = \"1us\", rtt = \"0ms\"";
    let runs = Runs::of(10, &redis(1_000, 0.0, 40, ", ttl = \"500ms\"", commands));
    let theory = |stretch: f64| ttl_hit_ratio(2_000.0 / 1_000.0 * 0.5 * stretch);
    check("TTL", &hit_ratio(&runs), 0.02, theory);
    // Unequal keys: each hits in its own proportion.
    let ask = "{ cache = { in = \"store\", keys = \"things\", miss = [], ttl = \"3s\" } }";
    let flow = format!("operation.ask.flow=[{ask}]");
    let zipfian = "keys.things.popularity={ zipf.exponent = 0.9 }";
    let runs = Runs::over(10, "expiry.toml", &[zipfian, &flow]);
    let weights = zipf(1_000, 0.9);
    let sum: f64 = weights.iter().sum();
    check("TTL, Zipf", &hit_ratio(&runs), 0.02, |s| {
        weights.iter().map(|it| it / sum * ttl_hit_ratio(2_000.0 * it / sum * 3.0 * s)).sum()
    });
}

/// A command goes to its node and back by the same round trip, whatever the flow does next.
#[test]
fn a_command_and_its_answer_are_one_round_trip() {
    let commands = "command = \"0ms\", rtt.exponential = \"4ms\"";
    let runs = Runs::of(10, &redis(10, 0.0, 20, "", commands));
    // After the first seconds every lookup hits: one round trip, exponential as a whole.
    check("round trip", &runs.latency_mean_s(), 0.03, |s| 4e-3 * s);
    let tail = -libm::log(0.05);
    check("round trip p95", &runs.latency_quantile_s(0.95), 0.03, |s| 4e-3 * s * tail);
}
