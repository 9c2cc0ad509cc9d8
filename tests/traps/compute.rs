//! Autoscaling, deployments, instances.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, run};

/// Two instances at 60 %; twice as much, which is more than they can do, for a minute.
const BURST: &str = r#"
[run]
duration = "600s"
[arrivals]
rate = "120/s"
spike = { at = "190s", for = "60s", times = 2.0 }
[client]
patience = "5s"
[service.web]
instances = 2
autoscale = { min = 2, max = 10 }
[operation.page]
share = 1
flow = [{ cpu.exponential = "10ms" }]
"#;

/// Runs with a plan of its own.
fn planned(text: &str, sets: &[&str]) -> Ran {
    let text = text.replace("[run]\n", "").replace("duration = \"600s\"\n", "");
    run(&text, &[&["run.duration=600s", "run.window=10s"], sets].concat())
}

#[test]
fn t_44_a_burst_is_over_before_an_instance_is_added() {
    let late = planned(BURST, &[]);
    assert_eq!(late.count("service.web", Counter::Opened), 0, "never three minutes above 70 %");
    assert!(late.failed(Failure::GaveUp) > 1_000, "{}", late.failed(Failure::GaveUp));
    // A burst that lasts is answered: three minutes, then a start.
    let long = planned(BURST, &["arrivals.spike.for=390s"]);
    let held = long.held("service.web");
    let first = held.iter().position(|held| *held > 2.0).expect("more at last") * 10;
    assert_eq!(first, 360 + 60, "the minutes that end at 240, 300 and 360 s, and a start");
    // Cures: be there before it comes, or have the room already.
    let ahead = "service.web.autoscale.schedule=[{at='120s', min=4}]";
    for cure in [ahead, "service.web.instances=4"] {
        let cured = planned(BURST, &[cure]);
        assert_eq!(cured.failed(Failure::GaveUp), 0, "{cure}");
    }
}

#[test]
fn t_45_the_database_fails_because_the_service_has_grown() {
    // 500/s hold a connection for 200 ms: they want 100, and four instances have 80.
    const GROWS: &str = r#"
[arrivals]
rate = "500/s"
[client]
patience = "20s"
[service.web]
instances = 4
autoscale = { min = 4, max = 8, target = "40%" }
[pool.pg]
service = "web"
database = "main"
size = 20
[database.main]
cpu_share = "0%"
max_connections = 100
[operation.page]
share = 1
flow = [{ cpu = "6ms" }, { query = { pool = "pg", read.exponential = "200ms" } }]
"#;
    let before = run(GROWS, &["run.duration=160s"]);
    assert_eq!(before.failed(Failure::TooManyConnections), 0, "they wait at the pools");
    let after = run(GROWS, &["run.duration=400s"]);
    assert!(after.count("service.web", Counter::Opened) >= 4);
    assert!(after.failed(Failure::TooManyConnections) > 100, "8 x 20 are more than 97");
    // Cure: pools for as many instances as there can be.
    let cured = run(GROWS, &["run.duration=400s", "pool.pg.size=12"]);
    assert_eq!(cured.failed(Failure::TooManyConnections), 0);
}

#[test]
fn t_45_new_instances_begin_with_cold_caches() {
    // Each process knows all of a thousand values; at 120 s two more come that know none, with half of 100/s.
    // The database, which nobody asked before, can do 40/s.
    const COLD: &str = r#"
[arrivals]
rate = "100/s"
[service.web]
instances = 2
autoscale = { min = 2, max = 4, start = "1s", schedule = [{ at = "120s", min = 4 }] }
[cache.values]
kind = "memory"
service = "web"
[keys.values]
count = 1_000
[pool.pg]
service = "web"
database = "main"
size = 20
acquire_timeout = "1s"
[database.main]
cores = 1
[operation.page]
share = 1
flow = [{ cache = { in = "values", keys = "values", miss = [{ query = { pool = "pg", read = "25ms" } }] } }]
"#;
    let until = |duration: &str, more: &[&str]| {
        let warm = ["run.start={caches='warm', sessions='cold'}", duration];
        run(COLD, &[&warm[..], more].concat())
    };
    let misses = |ran: &Ran| ran.count("cache.values", Counter::Misses);
    assert_eq!(misses(&until("run.duration=119s", &[])), 0);
    let grown = until("run.duration=181s", &[]);
    // 1,000 (1 - e^(-25 x 60 / 1,000)) = 777 of each; some are loaded twice while the database is behind.
    assert!((1_400..1_900).contains(&misses(&grown)), "{}", misses(&grown));
    assert!(grown.longest().seconds() > 0.2, "{} instead of microseconds", grown.longest());
    // The cure: values that they share.
    let shared = until("run.duration=181s", &["cache.values={kind='redis'}"]);
    assert_eq!(misses(&shared), 0);
    assert!(shared.longest().seconds() < 0.05, "{}", shared.longest());
}

#[test]
fn t_46_an_autoscaler_on_cpu_does_not_see_a_queue_for_connections() {
    // Two pools of five and 100 ms each carry 100/s of the 150/s that come; their loops are idle.
    const WAITS: &str = r#"
[arrivals]
rate = "150/s"
[client]
patience = "5s"
[service.web]
instances = 2
autoscale = { min = 2, max = 6 }
[pool.pg]
service = "web"
database = "main"
size = 5
acquire_timeout = "2s"
[database.main]
cpu_share = "0%"
[operation.page]
share = 1
flow = [{ cpu = "1ms" }, { query = { pool = "pg", read = "100ms" } }]
"#;
    let blind = planned(WAITS, &[]);
    assert_eq!(blind.count("service.web", Counter::Opened), 0);
    assert!(blind.station("service.web").utilisation() < 0.1);
    let lost = blind.failed(Failure::AcquireTimeout) as f64 / blind.offered() as f64;
    assert!((0.3..0.36).contains(&lost), "{lost}: a third");
    // Cure: scale by requests, of which an instance can do 50/s.
    let seeing = planned(WAITS, &["service.web.autoscale.metric={requests='45/s'}"]);
    assert!(seeing.count("service.web", Counter::Opened) >= 2);
    let late = seeing.outcome.windows.iter().rev().take(20).map(|it| it.failed).sum::<u64>();
    assert_eq!(late, 0, "all is well once they are there");
}

#[test]
fn t_47_the_hpa_reckons_with_what_pods_request() {
    // Pods of one core are 30 % busy, but request a quarter of one: 120 % of that.
    const PODS: &str = r#"
[arrivals]
rate = "120/s"
[service.web]
instances = 4
autoscale = { min = 2, max = 20, policy = "hpa", cpu_request = 0.25, start = "20s" }
[operation.page]
share = 1
flow = [{ cpu.exponential = "10ms" }]
"#;
    let instances = |sets: &[&str]| {
        let ran = planned(PODS, sets);
        *ran.held("service.web").last().expect("windows")
    };
    let wasteful = instances(&[]);
    assert!((6.0..=8.0).contains(&wasteful), "{wasteful}: 1.2 cores / (70 % of 0.25)");
    // Cure: request what they use.
    assert_eq!(instances(&["service.web.autoscale.cpu_request=1"]), 2.0);
}

#[test]
fn t_47_pods_that_are_not_ready_hold_growth_back() {
    // A step to four times the load on two pods whose successors need 100 s to become ready.
    const STEP: &str = r#"
[arrivals]
rate = "100/s"
spike = { at = "60s", for = "540s", times = 4.0 }
[client]
patience = "5s"
[service.web]
instances = 2
autoscale = { min = 2, max = 30, policy = "hpa", start = "100s" }
[operation.page]
share = 1
flow = [{ cpu.exponential = "10ms" }]
"#;
    let at_250_s = |sets: &[&str]| planned(STEP, sets).held("service.web")[25];
    // Two that are full show 100 % of 70 %: three are asked for. Until the third is ready it counts
    // as idle, 2 / 3 of 143 %: near enough to the target, so for 100 s nothing more is asked for.
    assert_eq!(at_250_s(&[]), 3.0);
    let quick = at_250_s(&["service.web.autoscale.start=1s"]);
    assert!(quick >= 6.0, "{quick}");
}
