//! Hit ratios.

use loadbearing::theory::{fifo_hits, lru_hits, ttl_hit_ratio, ttl_hit_ratio_renewed_at_hits};

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

/// Replications of Redis with room for so many of 100,000 keys, 40,000 lookups each.
fn sampled(exponent: f64, entries: u32, samples: u32, rate: u32) -> Runs {
    // A key of 10 KB takes 90 bytes more.
    let memory = u64::from(entries) * 10_090;
    let cache = format!(
        "memory = \"{memory}B\", eviction = \"allkeys-lru\", samples = {samples}, \
         command = \"0ms\", rtt = \"0ms\""
    );
    let text = redis(100_000, exponent, 40_000 / rate, "", &cache);
    let rate = format!("arrivals.rate={rate}/s");
    Runs::set(8, &text, &[&rate, "run.warmup=1s", "run.attribution_every=1000"])
}

/// Redis compares entries chosen at random, five or ten beside the best candidates of earlier looks. At
/// 20/s its clock of whole seconds is fine: at all of the points it lies between chance and LRU, much
/// nearer to LRU, and ten come nearer than five.
#[test]
fn sampled_lru_lies_between() {
    let sums = [5, 10].map(|samples| {
        let hits = PUBLISHED.map(|(exponent, entries, lru, fifo)| {
            let hits = mean(&hit_ratio(&sampled(exponent, entries, samples, 20)));
            let what = format!("{samples} samples, {entries} of {exponent}: {hits}");
            assert!(fifo + 0.6 * (lru - fifo) < hits && hits < lru + 0.003, "{what}");
            hits
        });
        hits.iter().sum::<f64>()
    });
    let exact: f64 = PUBLISHED.iter().map(|(.., lru, _)| lru).sum();
    // A deviation of either sum is 0.1 points.
    assert!(sums[0] + 0.001 < sums[1] && sums[0] + 0.002 < exact, "{sums:?}, exact {exact}");
    assert!(sums[1] < exact + 0.003, "{sums:?}, exact {exact}");
}

/// The same points as a real Redis has them: redis-server 7.0.15 with `allkeys-lru`, keys drawn by Zipf's law,
/// 2,000 a second (1,800 at the two smallest sizes), a SET after each GET that found nothing; 160,000 lookups
/// after the first 20 s (90 s at the larger sizes): a deviation of 0.1 points. Zipf's exponent, the mean of
/// DBSIZE, the hit ratio with 5 and with 10 samples.
const MEASURED: [(f64, u32, f64, f64); 6] = [
    (0.8, 924, 0.1857, 0.1865),
    (0.8, 9_910, 0.4649, 0.4666),
    (0.8, 49_889, 0.8024, 0.8019),
    (1.0, 924, 0.4824, 0.4815),
    (1.0, 9_908, 0.7367, 0.7359),
    (1.0, 49_879, 0.9200, 0.9202),
];

/// At 2,000/s a thousand keys stay for half a second: to a clock of whole seconds most are of one age, and
/// the hit ratio falls nearly to that of chance. So it does in Redis.
#[test]
fn sampled_lru_hits_as_redis_does() {
    for (exponent, entries, five, ten) in MEASURED {
        let weights = zipf(100_000, exponent);
        let fit = entries as usize;
        let (lru, fifo) = (lru_hits(&weights, fit).hit_ratio, fifo_hits(&weights, fit).hit_ratio);
        for (samples, measured) in [(5, five), (10, ten)] {
            let hits = mean(&hit_ratio(&sampled(exponent, entries, samples, 2_000)));
            let off = hits - measured;
            let what = format!("{samples} samples, {entries} of {exponent}: {hits}, {measured}");
            assert!(off.abs() < 0.004, "{what}");
            // Teeth: neither LRU, where the clock is too coarse for it, nor chance, where it is not.
            let wrong = if entries < 1_000 { lru } else { fifo };
            assert!((wrong - measured).abs() > 0.01, "{what}: {wrong} would do");
        }
    }
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

/// LRU with a time to live that hits renew: a key stays for the shorter of both, that and Che's time.
#[test]
fn the_shorter_stay_decides() {
    let weights = zipf(100_000, 0.8);
    let total: f64 = weights.iter().sum();
    let lru = lru_hits(&weights, 10_000);
    // Che's time is 15,600 requests, 7.8 s at 2,000/s.
    assert!((lru.characteristic_requests / 15_600.0 - 1.0).abs() < 0.01);
    for ttl_s in [2.0, 20.0] {
        let step = "in = \"store\", keys = \"things\", miss = [], sliding = true";
        let flow = format!("operation.ask.flow=[{{ cache = {{ {step}, ttl = \"{ttl_s}s\" }} }}]");
        let runs = Runs::over(12, "cache.toml", &[&flow, "run.warmup=40s", "run.duration=20s"]);
        check(&format!("LRU, {ttl_s} s"), &hit_ratio(&runs), 0.15, |s| {
            let stay = f64::min(ttl_s * 2_000.0, lru.characteristic_requests) * s;
            let hits = weights
                .iter()
                .map(|it| it / total * ttl_hit_ratio_renewed_at_hits(it / total * stay));
            hits.sum()
        });
    }
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
