//! Is it right to the last tick? Integers against integers; nothing here has a tolerance.

mod runs;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use loadbearing::model::Model;
use loadbearing::model::tape::{Draw, Op};
use loadbearing::run::{Counter, Outcome, replicate_on_reference};
use loadbearing::stats::Histogram;
use loadbearing::stream::{Seed, StreamKey};
use loadbearing::units::{Duration, Time};
use loadbearing::variate::exponential;

/// The requests of an open Poisson stream as the engine draws them: when each comes, and the root
/// of the random numbers of its first attempt.
fn requests(model: &Model, replication: u32, rate_per_s: f64) -> Vec<(Time, StreamKey)> {
    let key = Seed(model.plan.seed).replication(replication);
    let (arrivals, requests) = (key.named("arrivals"), key.named("requests"));
    let end = horizon(model);
    let mut now = Time::ZERO;
    let mut all = Vec::new();
    for number in 0.. {
        let gap = exponential(&mut arrivals.draw(number)) * (1.0 / rate_per_s);
        now = now + Duration::from_secs_f64(gap);
        if now > end {
            break;
        }
        all.push((now, requests.numbered(number).numbered(1)));
    }
    all
}

fn horizon(model: &Model) -> Time {
    Time::ZERO + (model.plan.warmup + model.plan.duration)
}

/// The only work that the model's tape does.
fn work(model: &Model) -> Draw {
    let works = model.tape.iter().filter_map(|op| match op {
        Op::Cpu { work } | Op::Query { work, .. } => Some(*work),
        _ => None,
    });
    let works: Vec<Draw> = works.collect();
    assert_eq!(works.len(), 1, "one step works");
    works[0]
}

/// First come, first served by so many servers (Lindley 1952; Kiefer and Wolfowitz 1955): each
/// request starts when it has come and the first server is free. Latencies of those that end, and
/// waits of those that start, within the run.
fn recursion(model: &Model, replication: u32, rate_per_s: f64, servers: usize) -> [Histogram; 2] {
    let (end, work) = (horizon(model), work(model));
    let mut free: BinaryHeap<Reverse<Time>> = vec![Reverse(Time::ZERO); servers].into();
    let (mut latencies, mut waits) = (Histogram::new(), Histogram::new());
    for (comes, stream) in requests(model, replication, rate_per_s) {
        let Reverse(server) = free.pop().expect("there are servers");
        let starts = server.max(comes);
        let ends = starts + model.draw(work, stream);
        free.push(Reverse(ends));
        if starts <= end {
            waits.record(starts.since(comes));
        }
        if ends <= end {
            latencies.record(ends.since(comes));
        }
    }
    [latencies, waits]
}

fn assert_recursion(file: &str, rate_per_s: f64, servers: usize, queue: &str) {
    let model = runs::model(file, &[]);
    for replication in 0..3 {
        let outcome = runs::run(&model, replication);
        let [latencies, waits] = recursion(&model, replication, rate_per_s, servers);
        assert!(latencies.count() > 5_000 && waits.max() > Some(Duration::ZERO));
        assert_eq!(outcome.latency, latencies);
        let station = model.stations.enumerate().find(|(_, station)| station.path == queue);
        assert_eq!(outcome.stations[station.expect("it queues").0].wait, waits);
        // Teeth: another replication is another history.
        assert_ne!(outcome.latency, recursion(&model, replication + 1, rate_per_s, servers)[0]);
    }
}

#[test]
fn one_loop_follows_lindley() {
    for law in [".exponential = \"1ms\"", ".lognormal = { mean = \"1ms\", cv = 2 }", "= \"1ms\""] {
        let file = format!(
            r#"
            version = 1
            run = {{ warmup = "0s", duration = "20s" }}
            arrivals.rate = "900/s"
            service.web = {{}}
            operation.ask = {{ share = 1, flow = [{{ cpu{law} }}] }}
            "#
        );
        assert_recursion(&file, 900.0, 1, "service.web");
    }
}

#[test]
fn a_pool_follows_kiefer_and_wolfowitz() {
    let file = r#"
        version = 1
        run = { warmup = "0s", duration = "20s", start.pools = "full" }
        arrivals.rate = "950/s"
        service.web = {}
        pool.pg = { service = "web", database = "main", size = 20, min = 20 }
        database.main = { rtt = "0ms", cpu_share = "0%" }
        operation.ask = { share = 1, flow = [{ query = { pool = "pg", read.exponential = "20ms" } }] }
    "#;
    assert_recursion(file, 950.0, 20, "pool.pg");
}

/// Small topologies that use much of the language.
fn rich() -> [(&'static str, &'static str); 2] {
    [
        ("pressure", include_str!("topologies/pressure.toml")),
        ("spread", include_str!("topologies/spread.toml")),
    ]
}

/// Everything that an outcome says.
fn said(outcome: &Outcome) -> String {
    format!("{outcome:?}")
}

/// When a run begins and ends empty, the area under the number in flight is the sum of all
/// latencies.
#[test]
fn littles_law_is_an_identity() {
    let file = r#"
        version = 1
        run = { warmup = "0s", duration = "30s" }
        client = { patience = "200ms", retry.fixed = { on = ["timeout"], delay = "50ms" } }
        service.web = { instances = 2 }
        operation.ask = { share = 1, flow = [{ cpu.exponential = "2ms" }] }
        arrivals.rate = "900/s"
        arrivals.stages = [{ for = "10s", to = "1200/s" }, { for = "1s", to = "0/s" }]
    "#;
    let model = runs::model(file, &[]);
    let outcome = runs::run(&model, 0);
    let requests = &outcome.requests;
    assert_eq!((requests.in_flight_start, requests.in_flight_end), (0, 0));
    assert!(requests.ok > 5_000 && requests.failed_all() > 100, "{requests:?}");
    let sum = outcome.latency.sum_ticks() + outcome.failed_latency.sum_ticks();
    let (area, ticks) = (requests.in_flight_mean, outcome.measured.0);
    assert_eq!(area, sum as f64 / ticks as f64);
    assert_ne!(area, (sum + u128::from(ticks)) as f64 / ticks as f64);
}

/// The fast event list and the simple one bring about the same, to the last digit.
#[test]
fn both_event_lists_agree() {
    for (name, file) in rich() {
        let model = runs::model(file, &[]);
        let outcome = runs::run(&model, 0);
        assert!(outcome.events > 20_000, "{name}: {} events", outcome.events);
        assert_eq!(said(&outcome), said(&replicate_on_reference(&model, 0)), "{name}");
    }
}

/// A replication depends on its number alone: not on how many there are, nor on those before it.
#[test]
fn adding_replications_keeps_the_earlier_ones() {
    for (name, file) in rich() {
        let few = runs::model(file, &[]);
        let many = runs::model(&format!("{file}\n"), &[]); // compiled anew
        let forward: Vec<String> = (0..3).map(|index| said(&runs::run(&few, index))).collect();
        let backward: Vec<String> =
            (0..4).rev().map(|index| said(&runs::run(&many, index))).collect();
        for (index, outcome) in forward.iter().enumerate() {
            assert_eq!(*outcome, backward[3 - index], "{name}, replication {index}");
        }
        assert_ne!(forward[0], forward[1].replace("replication: 1", "replication: 0"), "{name}");
    }
}

/// A longer run begins as the shorter one.
#[test]
fn a_longer_run_begins_as_the_shorter_one() {
    for (name, file) in rich() {
        let mut model = runs::model(file, &[]);
        let short = runs::run(&model, 0);
        model.plan.duration += Duration::secs(5);
        let long = runs::run(&model, 0);
        assert!(long.windows.len() > short.windows.len());
        let pairs = short.windows.iter().zip(&long.windows);
        for (number, (short, long)) in pairs.enumerate() {
            assert_eq!(format!("{short:?}"), format!("{long:?}"), "{name}, window {number}");
        }
    }
}

/// Every tick of a request's latency is spent somewhere: the attribution adds up, and so it does
/// where users give up and try again.
#[test]
fn latency_is_the_sum_of_its_parts() {
    for (name, file) in rich() {
        for patience in ["100ms", "300ms", "10s"] {
            let file = file.replace("patience = \"2s\"", &format!("patience = \"{patience}\""));
            let outcome = runs::run(&runs::model(&file, &[]), 0);
            assert!(outcome.requests.ok > 1_000, "{name}: {:?}", outcome.requests);
            for class in &outcome.classes {
                let spent: u128 = class.spent.iter().sum();
                assert_eq!(spent, class.latency, "{name}, {patience}: {class:?}");
            }
        }
    }
}

/// An answer that leaves a link lets the next request of the backlog in, which may put its own
/// answer on the link within the same instant: the link has been busy all the time.
#[test]
fn a_link_refilled_by_its_own_departure_stays_one_server() {
    let file = r#"
        version = 1
        run = { warmup = "0s", duration = "20s" }
        arrivals.rate = "150/s"
        service.web = { max_connections = 1, backlog = 100 }
        link.out = { bandwidth = "8Mbit/s", carries = "service.web" }
        operation.ask = { share = 1, flow = [{ reply.bytes.exponential = "5KB" }] }
    "#;
    let model = runs::model(file, &[]);
    let outcome = runs::run(&model, 0);
    let link = model.stations.enumerate().find(|(_, station)| station.path == "link.out");
    let link = &outcome.stations[link.expect("it is in the file").0];
    assert_eq!(link.busy_peak, 1.0);
    assert!((0.5..1.0).contains(&link.busy_mean), "{}", link.busy_mean);
}

/// Timers are not taken back when what they were set for ends: a job, a call, a statement, a user's
/// wait. One that outlives it finds an empty slot, or another tenant, and does nothing.
#[test]
fn a_timer_that_outlives_its_record_finds_nobody() {
    let file = r#"
        version = 1
        run = { warmup = "0s", duration = "20s" }
        arrivals.rate = "20/s"
        client.patience.uniform = ["2s", "3s"]
        service.web = {}
        service.inner = {}
        pool.pg = { service = "web", database = "main" }
        database.main = { statement_timeout = "5s" }
        queue.mail = { concurrency = 20 }
        job.mail = { queue = "mail", work = "1ms", timeout = "4s" }
        [operation.ask]
        share = 1
        service = "web"
        flow = [
            { query = { pool = "pg", read = "1ms" } },
            { call = { service = "inner", timeout = "1s", flow = [{ cpu = "1ms" }] } },
            { enqueue = { job = "mail", wait = true } },
        ]
    "#;
    let model = runs::model(file, &[]);
    let outcome = runs::run(&model, 0);
    let requests = &outcome.requests;
    assert_eq!(
        (requests.failed_all(), requests.ok),
        (0, requests.offered - requests.in_flight_end)
    );
    let timed_out: u64 =
        outcome.stations.iter().map(|it| it.counters[Counter::TimedOut as usize]).sum();
    assert_eq!(timed_out, 0);
}

/// When one branch of several fails, the request fails at once; the others end later, for nobody.
#[test]
fn a_branch_that_outlives_its_request_ends_for_nobody() {
    let file = r#"
        version = 1
        run = { warmup = "0s", duration = "20s", start.pools = "full" }
        arrivals.rate = "20/s"
        service.web = {}
        pool.pg = { service = "web", database = "main", on_error = "keep" }
        database.main = { rtt = "0ms", cpu_share = "0%" }
        [operation.ask]
        share = 1
        flow = [{ parallel = [
            [{ query = { pool = "pg", read = "1ms", fail = "100%" } }],
            [{ wait = "1s" }, { cpu = "1ms" }],
        ] }]
    "#;
    let outcome = runs::run(&runs::model(file, &[]), 0);
    assert_eq!((outcome.requests.ok, outcome.requests.in_flight_end), (0, 0));
    assert!(outcome.failed_latency.max() < Some(Duration::millis(10)));
    let busy: f64 = outcome.stations.iter().map(|station| station.busy_peak).sum();
    assert!(busy >= 1.0, "the other branch computes");
}
