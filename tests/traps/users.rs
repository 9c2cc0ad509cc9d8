//! Users: they leave, they come whatever happens, and they come back together.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, run};

/// A process that can answer 10/s for a second of patience, asked 20/s for ten seconds.
const OVERLOADED: &str = r#"
[arrivals]
process = "even"
users = 100
rate = "20/s"
[client]
patience.exponential = "1s"
[service.web]
[pool.pg]
service = "web"
database = "db"
size = 1
[database.db]
connect = "0ms"
rtt = "0ms"
[operation.work]
share = 1
flow = [{ query = { pool = "pg", read = "100ms" } }]
"#;

#[test]
fn t_01_work_goes_on_for_users_who_have_left() {
    let served = |sets: &[&str]| {
        let ran = run(OVERLOADED, sets);
        (ran.ok(), ran.outcome.attempts.late)
    };
    // The database works all the time, soon only for those who are gone.
    let (ok, late) = served(&[]);
    assert!(ok < 35 && late > 60, "{ok} {late}");
    // The cure: a request whose user has gone leaves the queue, and the connection serves others.
    let (ok, late) = served(&["service.web.cancel_waiting=true"]);
    assert!(ok > 75, "{ok} {late}");
}

#[test]
fn t_03_retries_multiply_by_layer() {
    let text = r#"
        [arrivals]
        process = "even"
        users = 1
        rate = "1/s"
        stages = [{ for = "5500ms", to = "1/s" }, { for = "0s", to = "0/s" }]
        [service.edge]
        [service.api]
        [service.data]
        [operation.work]
        share = 1
        service = "edge"
        flow = [{ call = { service = "api", retry = "axios-retry", flow = [
          { call = { service = "data", retry = "axios-retry", flow = [
            { query = { pool = "pg", read = "1ms", fail = "100%" } },
          ] } },
        ] } }]
        [client]
        retry = "axios-retry"
        [pool.pg]
        service = "data"
        database = "db"
        [database.db]
    "#;
    let queries = |sets: &[&str]| {
        let ran = run(text, &[&["run.duration=60s"], sets].concat());
        (ran.count("service.data", Counter::Arrivals) as f64) / ran.offered() as f64
    };
    assert_eq!(queries(&[]), 64.0, "4 x 4 x 4");
    assert_eq!(queries(&["client.retry=never"]), 16.0);
    // The cure: a process that has few successes has few retries.
    let budget = "client.retry={aws-sdk={attempts=4, tokens=10}}";
    assert!(queries(&[budget, "client.processes=1"]) < 24.0);
}

/// All are turned away during the first second and told to come back in 5 s.
const TURNED_AWAY: &str = r#"
[arrivals]
process = "even"
users = 1000
rate = "100/s"
stages = [{ for = "2s", to = "100/s" }, { for = "0s", to = "0/s" }]
[limit.l]
per = "all"
window = "4s"
max = 20
respond = { status = 429, retry_after = "5s" }
[service.web]
before = ["limit.l"]
[operation.work]
share = 1
flow = [{ cpu = "1ms" }]
"#;

#[test]
fn t_03_a_constant_retry_after_brings_all_back_together() {
    let together = "{fixed={on=[429], attempts=2, delay='1s', jitter='0%'}}";
    let spread = "{fixed={on=[429], attempts=2, delay='1s', jitter='100%'}}";
    let ok = |retry: &str| {
        run(TURNED_AWAY, &[&format!("client.retry={retry}"), "run.duration=30s"]).ok()
    };
    // Those of the first 4 s come back within 2 s of one another, into one window of the limit, which
    // takes 20 of them. Spread over 5 s more they meet two windows.
    assert!(ok(spread) > ok(together), "{} {}", ok(spread), ok(together));
}

/// A spike of a minute at twice the capacity; users give up after 2 s and try again at once.
const SPIKE: &str = r#"
[run]
warmup = "0s"
duration = "300s"
[arrivals]
users = 10_000
rate = "70/s"
spike = { at = "30s", for = "30s", times = 2 }
[client]
patience = "2s"
[service.web]
[operation.work]
share = 1
flow = [{ cpu = "10ms" }]
"#;

/// The share of those offered in the last minute who are served.
fn recovered(sets: &[&str]) -> f64 {
    let text = SPIKE.replace("[run]\nwarmup = \"0s\"\nduration = \"300s\"\n", "");
    let ran: Ran = run(&text, &[&["run.duration=300s"], sets].concat());
    let last = &ran.outcome.windows[240..];
    let ok: u64 = last.iter().map(|window| window.ok).sum();
    let offered: u64 = last.iter().map(|window| window.offered).sum();
    ok as f64 / offered as f64
}

#[test]
fn t_03_with_retries_the_system_does_not_recover_from_a_spike() {
    let storm = "client.retry={fixed={on=['timeout'], attempts=4, delay='0s', jitter='0%'}}";
    assert!(
        recovered(&[storm]) < 0.1,
        "four minutes after the spike nobody is served: {}",
        recovered(&[storm])
    );
    assert!(recovered(&[]) > 0.98, "without retries it is over with the spike: {}", recovered(&[]));
    // The cure: a process that is not answered has soon no retries left.
    let budget = "client.retry={aws-sdk={on=['timeout'], attempts=4}}";
    let cured = recovered(&[budget, "client.processes=10"]);
    assert!(cured > 0.98, "{cured}");
    let ran = run(OVERLOADED, &["client.retry=never"]);
    assert!(ran.failed(Failure::GaveUp) > 0);
}

/// A service that answers 20/s, asked 30/s.
const LOADED: &str = r#"
[service.web]
[operation.work]
share = 1
flow = [{ cpu = "50ms" }]
"#;

#[test]
fn t_02_a_closed_generator_slows_down_with_what_it_tests() {
    let open = format!("[arrivals]\nprocess = 'even'\nrate = '30/s'\nusers = 100\n{LOADED}");
    let open_run = run(&open, &["run.duration=60s"]);
    assert!(open_run.longest().seconds() > 15.0, "the queue grows as long as the test lasts");
    // Thirty users who ask, wait and think for a second would be 30/s, were there no waiting.
    let closed = format!("[users]\npopulation = 30\nthink = '950ms'\n{LOADED}");
    let closed_run = run(&closed, &["run.duration=60s"]);
    let (rate, longest) = (closed_run.offered() as f64 / 60.0, closed_run.longest());
    assert!(rate < 21.0 && longest.seconds() < 1.6, "{rate}/s, {longest}: nothing seems wrong");
}

#[test]
fn t_02_k6_drops_what_no_virtual_user_is_free_for() {
    let text = format!("[arrivals]\nprocess = 'even'\nrate = '30/s'\nusers = 100\n{LOADED}");
    let vus = |vus: &str| run(&text, &["run.duration=60s", &format!("arrivals.vus={vus}")]);
    let few = vus("{pre_allocated=10}");
    // Ten virtual users, 50 ms each in turn: half a second, and a third of the load is never sent.
    assert!(few.longest().seconds() < 0.56);
    assert!(few.outcome.attempts.dropped.abs_diff(590) < 15, "{}", few.outcome.attempts.dropped);
    let many = vus("{pre_allocated=1000}");
    assert_eq!(many.outcome.attempts.dropped, 0);
    assert!(many.longest().seconds() > 15.0);
}

#[test]
fn t_02_k6_spaces_its_arrivals_evenly_and_sees_no_queue() {
    // 80 % busy. An arrival rate of k6 comes every 62.5 ms to work of 50 ms; people who know nothing of each
    // other wait for 0.8 x 50 ms / (2 x 0.2) = 100 ms on average (M/D/1).
    let mean_s = |process: &str| {
        let arrivals = format!("[arrivals]\nprocess = '{process}'\nrate = '16/s'\nusers = 100\n");
        run(&format!("{arrivals}{LOADED}"), &["run.duration=4000s"]).mean_s()
    };
    assert_eq!(mean_s("even"), 0.05);
    let people = mean_s("poisson");
    assert!((people / 0.15 - 1.0).abs() < 0.06, "{people} s");
}
