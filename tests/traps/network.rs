//! Content delivery: what spreading users over many caches does.

use crate::support::run;

/// A thousand requests a minute for 200 objects that stay fresh for a minute.
const EDGES: &str = r#"
[run]
[arrivals]
rate = "20/s"
users = 100_000
[service.web]
[cdn.edge]
keys = "files"
ttl = "60s"
edge_rtt = "0ms"
[keys.files]
count = 200
popularity = "uniform"
size = "10KB"
[operation.get]
share = 1
cdn = "edge"
flow = [{ cpu = "1ms" }, { reply = "10KB" }]
"#;

fn hits(pops: u32) -> f64 {
    let text = EDGES.replace("[run]\n", "");
    let ran = run(
        &text,
        &[&format!("cdn.edge.pops={pops}"), "run.duration=1200s", "run.start.caches=warm"],
    );
    let count = |counter| ran.count("cdn.edge", counter) as f64;
    use loadbearing::run::Counter::{Hits, Joined, Misses};
    count(Hits) / (count(Hits) + count(Misses) + count(Joined))
}

#[test]
fn t_36_the_hit_ratio_falls_as_users_are_spread_over_more_caches() {
    // h = r T / (1 + r T) for each object at each point of presence, r its rate there. 24,000 requests:
    // a deviation of 0.3 points at most.
    for (pops, found) in [1_u32, 10, 50].map(|pops| (pops, hits(pops))) {
        let rate = 20.0 / 200.0 / f64::from(pops);
        let wanted = rate * 60.0 / (1.0 + rate * 60.0);
        assert!((found - wanted).abs() < 0.013, "{pops}: {found} for {wanted}");
    }
    // Teeth: a fifth of the caches more would be seen.
    let other = |pops: f64| 6.0 / pops / (1.0 + 6.0 / pops);
    assert!((hits(10) - other(12.0)).abs() > 0.013);
}
