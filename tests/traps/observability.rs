//! What a product's own metrics show.

use loadbearing::result::{Monitored, Summary};

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

/// What a monitor shows of an hour, and the hour.
fn shown(monitor: &str, sets: &[&str]) -> (Monitored, Ran) {
    let monitor = format!("monitor.m={monitor}");
    let ran = run(BURST, &[&["run.duration=3600s", "run.window=1s", &monitor], sets].concat());
    let summary = Summary::new(&ran.model, std::slice::from_ref(&ran.outcome));
    (summary.monitors[0].clone(), ran)
}

#[test]
fn t_52_the_mean_of_the_p95_of_minutes_is_not_the_p95_of_the_hour() {
    let dashboard = |sets: &[&str]| {
        let steps = [&["run.window=60s"], sets].concat();
        shown("{shows='latency'}", &steps).0
    };
    // Two minutes of sixty are terrible, but they have more than a twentieth of the requests.
    let one = dashboard(&[]);
    assert!(one.true_mean > 5.0 * one.shown_mean, "{one:?}");
    // Without the burst the two agree.
    let calm = dashboard(&["arrivals.spike.times=1"]);
    assert!((calm.true_mean / calm.shown_mean - 1.0).abs() < 0.1, "{calm:?}");
    // Cure: a histogram of the whole hour, which says what it can: beyond its last bound of 10 s.
    let (histogram, _) = shown("{shows={latency={how='histogram'}}}", &[]);
    assert!(histogram.shown_mean == 10.0 && histogram.true_mean > 10.0, "{histogram:?}");
    assert!(one.shown_mean < 6.0, "{one:?}");
}

#[test]
fn t_52_a_sample_a_minute_may_miss_a_minute_of_overload() {
    // Bursts of 20 s in the middle of a minute; a gauge that is read at full minutes.
    let burst = ["arrivals.spike={at='920s', for='20s', times=2.2}"];
    let gauge = |every: &str| {
        let alarm = "alarm={above=60, points=1}";
        let monitor = format!("{{shows='in-flight', reads='sample', every='{every}', {alarm}}}");
        shown(&monitor, &burst).0
    };
    let minute = gauge("60s");
    assert!(minute.true_most > 100.0 && minute.shown_most < minute.true_most / 3.0, "{minute:?}");
    let alarm = minute.alarm.expect("it has one");
    assert_eq!((alarm.episodes, alarm.missed), (1, 1));
    // Cure: look more often than the burst lasts.
    let often = gauge("10s");
    assert!(often.shown_most > often.true_most / 2.0, "{often:?}");
    assert_eq!(often.alarm.expect("it has one").missed, 0);
}
