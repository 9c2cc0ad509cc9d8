//! Hit ratios.

use loadbearing::theory::{fifo_hits, lru_hits, ttl_hit_ratio};

use crate::{Runs, check, mean};

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

/// Che's approximation at published points; it is within a thousandth here.
#[test]
fn lru_is_che() {
    for (exponent, entries, printed) in
        [(0.8, 1_000, 0.204), (1.0, 1_000, 0.506), (1.0, 10_000, 0.737)]
    {
        let sets = [
            format!("keys.things.popularity={{ zipf.exponent = {exponent} }}"),
            format!("cache.store.max_entries={entries}"),
        ];
        let runs = Runs::over(10, "cache.toml", &sets.each_ref().map(String::as_str));
        let weights = zipf(100_000, exponent);
        let theory =
            |stretch: f64| lru_hits(&weights, (f64::from(entries) * stretch) as usize).hit_ratio;
        assert!((theory(1.0) - printed).abs() < 5e-4, "{} is not {printed}", theory(1.0));
        check(&format!("LRU {entries}, Zipf {exponent}"), &hit_ratio(&runs), 0.1, theory);
    }
}

/// Any at random hits as often as first in, first out.
#[test]
fn random_is_like_fifo() {
    let runs = Runs::over(10, "cache.toml", &["cache.store.eviction=allkeys-random"]);
    let weights = zipf(100_000, 0.8);
    let theory = |stretch: f64| fifo_hits(&weights, (10_000.0 * stretch) as usize).hit_ratio;
    check("random", &hit_ratio(&runs), 0.05, theory);
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
