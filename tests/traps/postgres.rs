//! PostgreSQL as a server.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Reads of 10 ms for whoever comes, over a pool of this service.
const SHOP: &str = r#"
[arrivals]
rate = "300/s"
users = 1000
[client]
patience = "10s"
[service.web]
[pool.pg]
service = "web"
database = "db"
size = 10
[database.db]
cores = 4
max_connections = 1_000
rtt = "0ms"
connect = "1ms"
contention = { sigma = 0.02, kappa = 0.002 }
[operation.read]
share = 1
flow = [{ query = { pool = "pg", read.exponential = "10ms" } }]
"#;

fn throughput(ran: &Ran) -> f64 {
    ran.count("database.db", Counter::Served) as f64 / 20.0
}

/// T-24: more connections than cores lower throughput and move the queue into the database.
#[test]
fn t_24_more_connections_than_cores_serve_fewer() {
    let sets = ["arrivals.rate=600/s", "run.warmup=5s", "run.duration=20s"];
    let with = |size: &str| run(SHOP, &[&sets[..], &[size]].concat());
    let (few, many) = (with("pool.pg.size=8"), with("pool.pg.size=200"));
    // 8 on 4 cores: 1 / (1 + 0.02 x 4 + 0.002 x 5 x 4) = 0.893 of 400/s; 200: 1 / 81.2 of it.
    let law = |n: f64| {
        let m = n - 4.0 + 1.0;
        400.0 / (1.0 + 0.02 * (m - 1.0) + 0.002 * m * (m - 1.0))
    };
    assert!((throughput(&few) / law(8.0) - 1.0).abs() < 0.03, "{}", throughput(&few));
    assert!(throughput(&many) < 0.1 * throughput(&few), "{}", throughput(&many));
    let waits = |ran: &Ran| {
        let pool = ran.station("pool.pg").wait.mean_s().unwrap_or(0.0);
        (pool, ran.station("database.db").wait.mean_s().unwrap_or(0.0))
    };
    let ((pool, inside), (_, crowded)) = (waits(&few), waits(&many));
    assert!(pool > 10.0 * inside, "with few the queue stands before the pool: {pool}, {inside}");
    assert!(crowded > 100.0 * inside, "with many it stands on the cores: {crowded}");
    // The cure for the reader of one number: busy cores look the same.
    assert!(many.station("database.db").utilisation() > 0.99);
}

/// A view that a job refreshes for 2 s every 10 s; half of the requests read it.
const VIEW: &str = r#"
[arrivals]
rate = "100/s"
users = 1000
[service.web]
[pool.pg]
service = "web"
database = "db"
size = 20
acquire_timeout = "1s"
[database.db]
cores = 4
rtt = "0ms"
connect = "1ms"
[relation.board]
database = "db"
[maintenance.refresh]
database = "db"
every = "5s"
work = "2s"
lock = { on = "board", mode = "access-exclusive" }
[operation.board]
share = 50
flow = [{ query = { pool = "pg", read = "2ms", on = "board" } }]
[operation.order]
share = 50
flow = [{ query = { pool = "pg", read = "2ms" } }]
"#;

/// T-25: a plain refresh shuts readers out, and they fill the pool: those who want something else
/// wait as well. A concurrent one lets them pass, though it costs three times as much.
#[test]
fn t_25_a_plain_refresh_blocks_readers_who_fill_the_pool() {
    let plain = run(VIEW, &[]);
    assert!(plain.station("relation.board").waiting_peak >= 20);
    assert!(plain.failed(Failure::AcquireTimeout) > 50, "also requests that read no view");
    let orders = &plain.outcome.operations.iter().nth(1).expect("two operations");
    assert!(orders.failed > 20);
    let concurrent = ["maintenance.refresh.lock.mode=exclusive", "maintenance.refresh.work=3s"];
    let cured = run(VIEW, &concurrent);
    assert!(cured.ok() + 1 >= cured.offered(), "the last is under way");
    assert_eq!(cured.station("relation.board").waiting_peak, 0);
    assert!(cured.longest() < ms(10));
}

/// A primary that is written to, and a replica that is read.
const REPLICA: &str = r#"
[arrivals]
rate = "200/s"
users = 1000
[service.web]
[pool.pg]
service = "web"
database = "db"
size = 50
reads = "replicas"
[database.db]
cores = 8
replicas = 1
rtt = "0ms"
connect = "1ms"
lag = "5ms"
replay = "60%"
[maintenance.vacuum]
database = "db"
every = "10s"
work = "10ms"
[operation.write]
share = 1
flow = [{ query = { pool = "pg", write = "10ms" } }]
[operation.report]
share = 0
flow = [{ query = { pool = "pg", read = "20s" } }]
"#;

fn lag_s(ran: &Ran) -> f64 {
    let count = |counter| ran.count("database.db.replicas", counter) as f64;
    count(Counter::LagMicros) / count(Counter::Replayed) / 1e6
}
fn shown_s(ran: &Ran) -> f64 {
    let count = |counter| ran.count("database.db.replicas", counter) as f64;
    count(Counter::LagShownMicros) / count(Counter::LagShown) / 1e6
}

/// T-26: one process replays what many have written: a primary with time to spare leaves its
/// replica ever further behind.
#[test]
fn t_26_replay_is_single_threaded() {
    // 200/s x 6 ms are more than one process has time for; the primary's 8 cores are idle by 75 %.
    let ran = run(REPLICA, &["run.duration=60s"]);
    assert!(ran.station("database.db").utilisation() < 0.3);
    let behind = lag_s(&ran);
    assert!((behind / 5.0 - 1.0).abs() < 0.15, "falls behind by a sixth of 60 s: {behind}");
    let cured = run(REPLICA, &["run.duration=60s", "database.db.replay=30%"]);
    assert!(lag_s(&cured) < 0.05, "{}", lag_s(&cured));
}

/// T-26: the metric grows on an idle primary although nothing is missing.
#[test]
fn t_26_the_lag_metric_grows_on_an_idle_primary() {
    let idle = ["run.duration=600s", "arrivals.rate='0.01/s'", "database.db.replay=30%"];
    let ran = run(REPLICA, &idle);
    assert!(lag_s(&ran) < 0.02);
    assert!(shown_s(&ran) > 20.0, "{}", shown_s(&ran));
    // The cure: a heartbeat that writes once a second.
    let ran = run(REPLICA, &["run.duration=600s", "arrivals.rate=1/s", "arrivals.process=even"]);
    assert!(shown_s(&ran) <= 1.1, "{}", shown_s(&ran));
}

/// T-26: a long query on a replica holds replay up, for 30 s at most.
#[test]
fn t_26_a_long_query_pauses_replay() {
    let reports = ["operation.report.share=0.001", "database.db.replay=10%", "run.duration=60s"];
    let fine = run(REPLICA, &reports);
    assert!(lag_s(&fine) < 0.1, "{}", lag_s(&fine));
    let vacuumed = [&reports[..], &["maintenance.vacuum.conflicts=true"]].concat();
    let ran = run(REPLICA, &vacuumed);
    assert!(lag_s(&ran) > 3.0, "{}", lag_s(&ran));
    assert_eq!(ran.failed(Failure::ReplayConflict), 0, "20 s are less than 30");
    // Less patience cancels the query; feedback keeps what it sees on the primary.
    let ran = run(REPLICA, &[&vacuumed[..], &["database.db.standby_delay=1s"]].concat());
    assert!(ran.failed(Failure::ReplayConflict) > 0 && lag_s(&ran) < 1.0, "{}", lag_s(&ran));
    let ran = run(REPLICA, &[&vacuumed[..], &["database.db.standby_feedback=true"]].concat());
    assert!(ran.failed(Failure::ReplayConflict) == 0 && lag_s(&ran) < 0.1);
}

/// T-27: what a burstable instance can do depends on what it did before, or on money.
#[test]
fn t_27_burst_credits_run_out() {
    let text = SHOP
        .replace("contention = { sigma = 0.02, kappa = 0.002 }\n", "")
        .replace("cores = 4", "cores = 2\ncredits = { unlimited = false, keeps = \"30s\" }");
    let sets = ["arrivals.rate=100/s", "run.warmup=0s", "run.duration=60s", "run.window=5s"];
    let with = |more: &str| run(&text, &[&sets[..], &[more]].concat());
    let standard = with("database.db.credits.start=100%");
    let (first, last) = (&standard.outcome.windows[1], &standard.outcome.windows[11]);
    // 12 core seconds kept, 0.6 a second spent above the 0.4 earned: 20 s.
    assert!(first.ok as f64 / 5.0 > 95.0 && (last.ok as f64) / 5.0 < 50.0, "{first:?} {last:?}");
    let tired = with("database.db.credits.start=0%");
    assert!(tired.outcome.windows[1].ok as f64 / 5.0 < 50.0);
    // The cures: unlimited mode, for money; or cores of one's own.
    let unlimited = with("database.db.credits.unlimited=true");
    assert!(unlimited.outcome.windows[11].ok as f64 / 5.0 > 85.0);
    assert!(unlimited.count("database.db", Counter::SurplusMillis) > 20_000);
    let whole = with("database.db.credits.baseline=100%");
    assert_eq!(whole.count("database.db", Counter::ThrottledMicros), 0);
}
