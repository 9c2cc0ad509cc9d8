//! Several servers behind one queue: connections of a pool, threads, a bounded station, jobs.

use loadbearing::run::{Counter, StationOutcome};
use loadbearing::theory::{
    ErlangA, Mmc, Mmck, OverflowPool, cobham_waits_s, constant_patience_loss_ratio,
    fluid_loss_ratio, quantile_level_of_max,
};

use crate::{Runs, check, check_jointly};

/// A pool over a database that never contends: each connection is a server.
pub fn pool(
    replications: u32,
    connections: u32,
    rate_per_s: f64,
    hold_s: f64,
    seconds: u32,
    more: &[&str],
) -> Runs {
    let sets = [
        format!("pool.pg.size={connections}"),
        format!("pool.pg.min={connections}"),
        format!("arrivals.rate={rate_per_s}/s"),
        format!("run.duration={seconds}s"),
        format!(
            "operation.ask.flow=[{{ query = {{ pool = \"pg\", read.exponential = \"{}ms\" }} }}]",
            hold_s * 1e3
        ),
    ];
    let sets: Vec<&str> = sets.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Runs::over(replications, "pool.toml", &sets)
}

/// M/M/c at published points: who waits, how long, and the 95th percentile of the response.
#[test]
fn mmc() {
    for (servers, service_s, rate, seconds) in [
        (15, 0.1, 100.0, 400),
        (15, 0.1, 120.0, 400),
        (50, 0.1, 450.0, 300),
        (20, 0.02, 750.0, 120),
        (20, 0.02, 850.0, 120),
        (20, 0.02, 950.0, 300),
    ] {
        let runs = pool(16, servers, rate, service_s, seconds, &[]);
        let theory = |stretch: f64| Mmc {
            servers,
            arrival_rate_per_s: rate,
            service_s: service_s * stretch,
        };
        let what = |figure: &str| format!("M/M/{servers} at {rate}/s, {figure}");
        let waited = runs.waited("pool.pg");
        check(&what("who waits"), &waited, 0.03, |s| theory(s).wait_probability());
        let wait = runs.wait_mean_s("pool.pg");
        check(&what("wait"), &wait, 0.04, |s| theory(s).wait_mean_s());
        let p95 = runs.latency_quantile_s(0.95);
        check(&what("p95"), &p95, 0.03, |s| theory(s).response_quantile_s(0.95));
        let busy = runs.at("pool.pg", |station| station.busy_mean);
        check(&what("busy"), &busy, 0.03, |s| theory(s).offered_load());
    }
}

/// What the loss system M/M/c/K turns away, and how long the others stay: a service that accepts
/// c at once and has a backlog of K - c.
#[test]
fn mmck() {
    let bounded = |rate: f64, most: u32, backlog: u32, flow: &str| {
        let sets = [
            format!("arrivals.rate={rate}/s"),
            format!("service.web.max_connections={most}"),
            format!("service.web.backlog={backlog}"),
            format!("operation.ask.flow=[{{ {flow} }}]"),
        ];
        Runs::over(16, "bounded.toml", &sets.each_ref().map(String::as_str))
    };
    let theory = |rate: f64, servers, capacity, stretch: f64| Mmck {
        station: Mmc { servers, arrival_rate_per_s: rate, service_s: 10e-3 * stretch },
        capacity,
    };
    let runs = bounded(300.0, 4, 4, "wait.exponential = \"10ms\"");
    let lost = runs.ratio("service.web", Counter::Refused, Counter::Arrivals);
    check("M/M/4/8 loss", &lost, 0.03, |s| theory(300.0, 4, 8, s).loss_ratio());
    let stay = runs.latency_mean_s();
    check("M/M/4/8 stay", &stay, 0.03, |s| theory(300.0, 4, 8, s).response_mean_s());
    // One loop with room for five connections and a backlog of three: M/M/1/8.
    let runs = bounded(90.0, 5, 3, "cpu.exponential = \"10ms\"");
    let theory_1 = |stretch: f64| theory(90.0, 1, 8, stretch);
    check("M/M/1/8 loss", &runs.failed_ratio(), 0.05, |s| theory_1(s).loss_ratio());
    check("M/M/1/8 stay", &runs.latency_mean_s(), 0.05, |s| theory_1(s).response_mean_s());
}

#[test]
fn acquire_timeout_is_constant_patience() {
    for (rate, timeout_ms) in [(900.0, 20), (1000.0, 50), (1200.0, 200)] {
        let timeout = format!("pool.pg.acquire_timeout={timeout_ms}ms");
        let runs = pool(16, 20, rate, 0.02, 60, &[&timeout]);
        let loss = |stretch: f64| {
            let service_s = 0.02 * stretch;
            let station = Mmc { servers: 20, arrival_rate_per_s: rate, service_s };
            constant_patience_loss_ratio(station, f64::from(timeout_ms) / 1e3)
        };
        check(&format!("M/M/20+D {rate}/s"), &runs.failed_ratio(), 0.03, loss);
    }
    // Far beyond saturation the fluid limit holds, and those who give up have all waited the same.
    let runs = pool(12, 20, 1500.0, 0.02, 60, &["pool.pg.acquire_timeout=1s"]);
    check("fluid loss", &runs.failed_ratio(), 0.02, |s| fluid_loss_ratio(1.5 * s));
    for outcome in &runs.outcomes {
        let gone = &outcome.failed_latency;
        assert_eq!((gone.min(), gone.max()), (gone.max(), gone.quantile(1.0)));
        assert_eq!(gone.max().map(|it| it.seconds()), Some(1.0));
    }
}

/// Jobs of three priorities, without preemption, on four handlers.
#[test]
fn job_priorities_are_cobham() {
    let sets = ["queue.work.concurrency=4", "arrivals.rate=340/s", "run.duration=70s"];
    let runs = Runs::over(20, "priorities.toml", &sets);
    let waits = |stretch: f64| {
        let service_s = 10e-3 * stretch;
        let station = Mmc { servers: 4, arrival_rate_per_s: 340.0, service_s };
        let residual = station.wait_probability() * service_s / 4.0;
        cobham_waits_s(residual, &[station.utilisation() / 3.0; 3])
    };
    for (class, name) in ["first", "second", "last"].into_iter().enumerate() {
        let observed = runs.operation_mean_s(name);
        check(&format!("{name} of M/M/4"), &observed, 0.03, |s| waits(s)[class] + 10e-3 * s);
    }
}

/// A statement on eight shards at once lasts as long as the slowest of eight.
#[test]
fn scatter_waits_for_the_slowest_shard() {
    let runs = Runs::over(16, "scatter.toml", &["run.warmup=2s"]);
    let harmonic: f64 = (1..=8).map(|k| 1.0 / f64::from(k)).sum();
    check("slowest of 8", &runs.latency_mean_s(), 0.01, |s| 10e-3 * s * harmonic);
    let level = quantile_level_of_max(0.5, 8);
    let observed = runs.latency_quantile_s(0.5);
    check("slowest of 8", &observed, 0.03, |s| -10e-3 * s * libm::log1p(-level));
}

/// Users of exponential patience who leave the queue: Erlang-A. Those who give up while they are
/// served change nothing for the others, since the work goes on.
#[test]
fn impatient_users_who_leave_the_queue_are_erlang_a() {
    for rate in [1000.0, 1200.0] {
        let sets = ["client.patience.exponential=100ms", "service.web.cancel_waiting=true"];
        let runs = pool(16, 20, rate, 0.02, 60, &sets);
        let theory = |stretch: f64| {
            let station = Mmc { servers: 20, arrival_rate_per_s: rate, service_s: 0.02 * stretch };
            ErlangA { station, patience_s: 0.1 }
        };
        let left = runs.ratio("pool.pg", Counter::TimedOut, Counter::Arrivals);
        check(&format!("M/M/20+M {rate}/s"), &left, 0.03, |s| theory(s).abandonment_ratio());
        let waiting = runs.at("pool.pg", |it| it.waiting_mean);
        check(&format!("M/M/20+M {rate}/s, line"), &waiting, 0.03, |s| theory(s).waiting_mean());
    }
}

/// SQLAlchemy's pool opens and closes connections beyond those it keeps: a birth and death chain over
/// who is inside and who is idle, at its published points, 5 + 10 at nine loads and 20 + 30.
#[test]
fn overflow_connections_churn_as_published() {
    let chain = |(kept, overflow, rate): (u32, u32, f64), stretch: f64| {
        OverflowPool { arrival_rate_per_s: rate, hold_s: 0.1 * stretch, kept, overflow }
            .openings_per_s()
    };
    let loads = [10.0, 20.0, 30.0, 40.0, 50.0, 75.0, 100.0, 120.0, 140.0];
    let points = loads.map(|rate| (5, 10, rate)).into_iter().chain([(20, 30, 300.0)]);
    let seen: Vec<((u32, u32, f64), Vec<f64>)> = points
        .map(|point| {
            let (kept, overflow, rate) = point;
            let sets = [
                format!("pool.pg.size={kept}"),
                format!("pool.pg.driver={{ sqlalchemy = {{ max_overflow = {overflow} }} }}"),
                format!("arrivals.rate={rate}/s"),
                format!("run.duration={}s", 6_000.0 / rate),
                "run.attribution_every=1000".into(),
            ];
            let runs = Runs::over(12, "overflow.toml", &sets.each_ref().map(String::as_str));
            let measured = runs.outcomes[0].measured.seconds();
            let opened = |it: &StationOutcome| it.counters[Counter::Opened as usize] as f64;
            (point, runs.at("pool.pg", |it| opened(it) / measured))
        })
        .collect();
    check_jointly("opened", &seen, 0.05, chain);
}

/// A message of SQS whose work takes longer than it is invisible is received once more, each time with the
/// same chance.
#[test]
fn messages_are_received_twice() {
    let sets = ["queue.work.driver=sqs", "queue.work.lock=200ms", "job.report.blocking=false"];
    let runs = Runs::over(16, "lock.toml", &sets);
    let again = runs.ratio("queue.work", Counter::TimedOut, Counter::Arrivals);
    check("P(S > visibility timeout)", &again, 0.05, |s| libm::exp(-0.2 / (0.1 * s)));
}
