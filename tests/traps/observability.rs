//! What a product's own metrics show.

use crate::support::{Ran, run};

/// A service at half of what it can do; for the 60 s from 930 s on at twice what it can do.
const BURST: &str = r#"
[arrivals]
rate = "50/s"
spike = { at = "930s", for = "60s", times = 4.0 }
[service.web]
[operation.page]
share = 1
flow = [{ cpu.exponential = "10ms" }]
"#;

fn minutes(sets: &[&str]) -> Ran {
    run(BURST, &[&["run.duration=3600s", "run.window=60s"], sets].concat())
}

#[test]
fn t_52_the_mean_of_the_p95_of_minutes_is_not_the_p95_of_the_hour() {
    let ran = minutes(&[]);
    let each: Vec<f64> =
        ran.outcome.windows.iter().filter_map(|window| window.latency_p95_s).collect();
    let shown = each.iter().sum::<f64>() / each.len() as f64;
    let truth = ran.outcome.latency.quantile(0.95).expect("requests").seconds();
    // Two minutes of sixty are terrible, but they have more than a twentieth of the requests.
    assert!(truth > 5.0 * shown, "{truth} s, and the dashboard shows {shown} s");
    // Without the burst the two agree.
    let ran = minutes(&["arrivals.spike.times=1"]);
    let each: Vec<f64> =
        ran.outcome.windows.iter().filter_map(|window| window.latency_p95_s).collect();
    let shown = each.iter().sum::<f64>() / each.len() as f64;
    let truth = ran.outcome.latency.quantile(0.95).expect("requests").seconds();
    assert!((truth / shown - 1.0).abs() < 0.1, "{truth} and {shown}");
}

#[test]
fn t_52_a_sample_a_minute_may_miss_a_minute_of_overload() {
    // Bursts of 20 s in the middle of a minute; a gauge that is read at full minutes.
    let burst = ["arrivals.spike={at='920s', for='20s', times=2.2}", "run.window=1s"];
    let ran = minutes(&burst);
    let in_flight: Vec<f64> = ran.outcome.windows.iter().map(|window| window.in_flight).collect();
    let most = in_flight.iter().copied().fold(0.0, f64::max);
    let sampled = in_flight.iter().step_by(60).copied().fold(0.0, f64::max);
    assert!(most > 100.0 && sampled < most / 3.0, "{most} at most, {sampled} seen");
    // Cure: look more often than the burst lasts.
    let often = in_flight.iter().step_by(10).copied().fold(0.0, f64::max);
    assert!(often > most / 2.0, "{often} of {most}");
}
