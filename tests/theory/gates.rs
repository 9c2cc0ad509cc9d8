//! Guards: a pool as a loss system, and what bulkheads, breakers and windows let through.

use loadbearing::run::Counter;
use loadbearing::theory::erlang_b;

use crate::{Runs, check};

/// A guard on busy connections makes the pool a loss system of 17 servers, whatever the law of the
/// holding time.
#[test]
fn guard_on_busy_is_erlang_b() {
    for (load, law) in [
        (7.0, "exponential = \"20ms\""),
        (8.0, "exponential = \"20ms\""),
        (10.0, "exponential = \"20ms\""),
        (12.0, "exponential = \"20ms\""),
        (17.0, "exponential = \"20ms\""),
        (15.0, "erlang = { stages = 9, mean = \"20ms\" }"),
        (20.0, "hyperexponential = { mean = \"20ms\", cv = 2 }"),
    ] {
        let rate = format!("arrivals.rate={}/s", load / 0.02);
        let flow = format!("operation.ask.flow=[{{ query = {{ pool = \"pg\", read.{law} }} }}]");
        let runs = Runs::over(12, "guard.toml", &[&rate, &flow]);
        let rejected = runs.ratio("guard.connections", Counter::Rejected, Counter::Arrivals);
        // The rarer rejections are, the wider is their share's interval.
        let share = match load {
            load if load < 8.0 => 0.1,
            load if load < 9.0 => 0.05,
            _ => 0.03,
        };
        check(&format!("busy at {load}, {law}"), &rejected, share, |s| erlang_b(17, load * s));
        assert_eq!(runs.at("pool.pg", |station| station.waiting_peak as f64), [0.0; 12]);
    }
}

/// A bulkhead is a loss system, whatever the law of the work.
#[test]
fn a_bulkhead_is_erlang_b() {
    for (places, law) in [(10, "exponential = \"100ms\""), (12, "uniform = [\"0ms\", \"200ms\"]")] {
        let topology = format!(
            r#"
            version = 1
            run = {{ warmup = "2s", duration = "100s", attribution_every = 1000 }}
            arrivals.rate = "100/s"
            service.web = {{ before = ["bulkhead.b"] }}
            bulkhead.b.limit.fixed = {places}
            [operation.ask]
            share = 1
            flow = [{{ wait.{law} }}]
            "#
        );
        let runs = Runs::of(12, &topology);
        check(&format!("{places} places, {law}"), &runs.failed_ratio(), 0.03, |s| {
            erlang_b(places, 10.0 * s)
        });
    }
}

/// Half of the requests may take 6 of 10 places only: a birth-death chain whose birth rate halves
/// there (trunk reservation).
#[test]
fn low_priority_is_a_reservation() {
    let topology = r#"
        version = 1
        run = { warmup = "2s", duration = "100s", attribution_every = 1000 }
        arrivals.rate = "100/s"
        service.web = { before = ["bulkhead.b"] }
        bulkhead.b = { limit.fixed = 10, low = [{ operations = ["search"], share = "60%" }] }
        [operation.buy]
        share = 1
        flow = [{ wait.exponential = "100ms" }]
        [operation.search]
        share = 1
        flow = [{ wait.exponential = "100ms" }]
    "#;
    let runs = Runs::of(12, topology);
    let lost = runs.ratio("bulkhead.b", Counter::Rejected, Counter::Arrivals);
    check("reservation", &lost, 0.04, |s| {
        let mut weights = vec![1.0];
        for state in 1..=10 {
            let births = if state <= 6 { 10.0 * s } else { 5.0 * s };
            weights.push(weights[state - 1] * births / state as f64);
        }
        let total: f64 = weights.iter().sum();
        let low: f64 = weights[6..].iter().sum::<f64>() / total;
        0.5 * low + 0.5 * weights[10] / total
    });
}

/// A breaker that opens at each failure, with one trial: with chance p of failure and a call each
/// 1/rate on average, it is closed for 1/(rate p), and open or on trial for (wait + 1/rate) / (1 - p).
#[test]
fn a_breaker_alternates() {
    let topology = r#"
        version = 1
        run = { warmup = "10s", duration = "600s", attribution_every = 1000 }
        arrivals.rate = "20/s"
        service.web = {}
        pool.pg = { service = "web", database = "main" }
        database.main = { rtt = "0ms", connect = "0ms" }
        breaker.b.product.resilience4j = { window = 1, volume = 1, trials = 1, reset = "500ms" }
        [operation.ask]
        share = 1
        flow = [{ breaker = { through = "b", flow = [{ query = { pool = "pg", read = "0ms", fail = "30%" } }] } }]
    "#;
    let runs = Runs::of(12, topology);
    let open = runs.at("breaker.b", |it| it.held_mean);
    check("share of the time not closed", &open, 0.06, |s| {
        let (rate, p) = (20.0, 0.3 * s);
        let closed = 1.0 / (rate * p);
        let open = (0.5 + 1.0 / rate) / (1.0 - p);
        open / (open + closed)
    });
}

/// A fixed window that starts with a key's first request: a user who comes at random gets through
/// `max` in a window and the time to the first request after it.
#[test]
fn a_fixed_window_admits_its_limit_each_cycle() {
    let topology = r#"
        version = 1
        run = { warmup = "100s", duration = "2000s", attribution_every = 1000 }
        arrivals = { rate = "50/s", users = 100 }
        service.web = { before = ["limit.l"] }
        limit.l = { per = "user", max = 2, window = "10s" }
        [operation.ask]
        share = 1
        flow = [{ cpu = "10us" }]
    "#;
    let runs = Runs::of(12, topology);
    let passed = runs.ratio("limit.l", Counter::Served, Counter::Arrivals);
    // Rate 0.5/s a user: cycles of 10 + 2 s. Of the N requests beyond the first, of mean 5, one passes
    // if there is one.
    check("fixed window", &passed, 0.02, |s| {
        let further = 0.5 * 10.0 * s;
        (1.0 + 1.0 - libm::exp(-further)) / (1.0 + further)
    });
}
