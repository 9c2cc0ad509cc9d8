//! Guards: a pool as a loss system, and the latch of a guard on open connections.

use loadbearing::run::Counter;
use loadbearing::theory::{Mmc, erlang_b, first_passage_connections_s};

use crate::{Runs, check, mean};

/// A guard on the open connections of a pool of twenty that opens them as they are needed.
fn guarded(replications: u32, load: f64, sets: &[&str]) -> Runs {
    let rate = format!("arrivals.rate={}/s", load / 0.02);
    let always = [
        &rate,
        "guard.connections.watch=pool.pg.total",
        "operation.ask.flow=[{ query = { pool = \"pg\", read.exponential = \"20ms\" } }]",
        "pool.pg.min=0",
        "run.start.pools=empty",
        "run.warmup=0s",
        "run.attribution_every=1000",
    ];
    Runs::over(replications, "guard.toml", &[&always, sets].concat())
}

fn rejected(runs: &Runs) -> Vec<f64> {
    runs.ratio("guard.connections", Counter::Rejected, Counter::Arrivals)
}

/// A guard on busy connections makes the pool a loss system of 17 servers, whatever the law of the
/// holding time.
#[test]
fn guard_on_busy_is_erlang_b() {
    for (load, law) in [
        (10.0, "exponential = \"20ms\""),
        (12.0, "exponential = \"20ms\""),
        (17.0, "exponential = \"20ms\""),
        (15.0, "erlang = { stages = 9, mean = \"20ms\" }"),
        (20.0, "hyperexponential = { mean = \"20ms\", cv = 2 }"),
    ] {
        let rate = format!("arrivals.rate={}/s", load / 0.02);
        let flow = format!("operation.ask.flow=[{{ query = {{ pool = \"pg\", read.{law} }} }}]");
        let runs = Runs::over(12, "guard.toml", &[&rate, &flow]);
        check(&format!("busy at {load}, {law}"), &rejected(&runs), 0.03, |s| {
            erlang_b(17, load * s)
        });
        assert_eq!(runs.at("pool.pg", |station| station.waiting_peak as f64), [0.0; 12]);
    }
}

/// A guard on open connections latches for good once 17 of 20 have been opened, if idle ones are
/// kept. What has passed until then is what has come in a first passage of a birth-death chain,
/// of mean lambda times its time (Wald), since opening takes no time here.
#[test]
fn guard_on_total_latches_at_the_first_passage() {
    let sets = ["run.duration=30s", "pool.pg.idle_timeout=1h", "database.main.connect=0ms"];
    let runs = guarded(600, 8.0, &sets);
    let passed = runs.at("guard.connections", |it| it.counters[Counter::Served as usize] as f64);
    check("passed before the latch", &passed, 0.05, |s| {
        let pool = Mmc { servers: 20, arrival_rate_per_s: 400.0, service_s: 0.02 * s };
        400.0 * first_passage_connections_s(pool, 17)
    });
}

/// The whole loop of pg-pool: idle connections close after 30 s, opening takes 50 ms. Shares of
/// ten minutes that another simulator of the same rules has found, in one run each.
#[test]
fn guard_on_total_of_an_idle_pool() {
    for (load, share, within) in [
        (4.0, 0.0, 0.05),
        (5.0, 0.21, 0.25),
        (6.0, 0.73, 0.15),
        (7.0, 0.95, 0.04),
        (8.0, 0.98, 0.02),
        (10.0, 0.996, 0.004),
    ] {
        let runs = guarded(6, load, &["run.duration=600s", "pool.pg.idle_timeout=30s"]);
        let mean = mean(&rejected(&runs));
        assert!((mean - share).abs() < within, "at {load}: {mean} is not {share}");
    }
}
