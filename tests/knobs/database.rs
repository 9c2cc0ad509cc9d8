//! Pools, databases, statements.

use loadbearing::component::pool::{Keeping, Lending};
use loadbearing::component::shard::shard_of;
use loadbearing::failure::Failure;
use loadbearing::run::Counter;
use loadbearing::units::Duration;

use crate::support::{ms, run, us};

const ONE_READ: &str = r#"
[service.web]
[pool.pg]
service = "web"
database = "db"
[database.db]
rtt = "0ms"
connect = "0ms"
[operation.read]
share = 1
flow = [{ query = { pool = "pg", read = "10ms" } }]
"#;
/// Two statements side by side.
const TWO: &str = "operation.read.flow = [{ parallel = [\
    [{ query = { pool = 'pg', read = '10ms' } }], [{ query = { pool = 'pg', read = '10ms' } }]] }]";
const WRITE: &str = "operation.read.flow = [{ query = { pool = 'pg', write = '10ms' } }]";

fn read(sets: &[&str]) -> crate::support::Ran {
    run(ONE_READ, sets)
}

#[test]
fn opening_a_connection_takes_its_time_once() {
    let ran = read(&["database.db.connect=50ms"]);
    assert_eq!((ran.longest(), ran.shortest()), (ms(60), ms(10)));
    assert_eq!(ran.count("pool.pg", Counter::Opened), 1);
}

#[test]
fn an_idle_connection_closes_after_its_timeout() {
    let ran = read(&["database.db.connect=50ms", "pool.pg.idle_timeout=500ms"]);
    assert_eq!(ran.each(), ms(60));
    assert_eq!(ran.count("pool.pg", Counter::Opened), 10);
    assert_eq!(ran.count("pool.pg", Counter::Closed), 9, "the last at 10.56 s");
    // Longer than the second between requests: it stays.
    let ran = read(&["pool.pg.idle_timeout=1100ms"]);
    assert_eq!(ran.count("pool.pg", Counter::Closed), 0);
}

#[test]
fn the_hot_connection_is_used_again_and_the_cold_ones_close() {
    let sets = [
        "arrivals.rate=20/s",
        "arrivals.stages=[{for='2s', to='20/s'}, {for='0s', to='1/s'}]",
        "operation.read.flow=[{query={pool='pg', read='90ms'}}]",
        "run.duration=30s",
    ];
    let ran = read(&sets);
    assert_eq!(ran.station("pool.pg").held_peak, 2);
    let held = ran.held("pool.pg");
    assert_eq!((held[5], held[28]), (2.0, 1.0));
}

#[test]
fn min_connections_are_not_closed() {
    let ran = read(&["pool.pg.idle_timeout=500ms", "pool.pg.min=1"]);
    assert_eq!(ran.count("pool.pg", Counter::Opened), 1);
    assert_eq!(ran.count("pool.pg", Counter::Closed), 0);
}

#[test]
fn the_size_bounds_connections() {
    assert_eq!(read(&[TWO]).each(), ms(10));
    let ran = read(&[TWO, "pool.pg.size=1"]);
    assert_eq!(ran.each(), ms(20));
    assert_eq!(ran.station("pool.pg").waiting_peak, 2, "one opens, one waits");
}

#[test]
fn waiting_for_a_connection_ends_at_the_acquire_timeout() {
    let hold = "operation.read.flow=[{transaction={pool='pg', flow=[{wait='60s'}]}}]";
    let ran = read(&[hold, "pool.pg.size=1", "pool.pg.acquire_timeout=2s"]);
    assert_eq!(ran.failed(Failure::AcquireTimeout), 7);
    assert_eq!(ran.each_failed(), ms(2_000));
    let ran = read(&[hold, "pool.pg.size=1"]);
    assert_eq!(ran.outcome.requests.in_flight_end, 10);
}

#[test]
fn connections_above_the_maximum_are_refused_at_once() {
    let full = ["pool.pg.size=2", "database.db.max_connections=4", "database.db.rtt=5ms", TWO];
    let ran = read(&[&full[..], &["database.db.connect=50ms"]].concat());
    assert_eq!(ran.failed(Failure::TooManyConnections), 10);
    assert_eq!(ran.outcome.failed_latency.min(), Some(ms(5)), "a round trip, not a connect");
    // Of four, three are reserved; with none reserved both fit.
    let ran = read(&[&full[..], &["database.db.reserved=0"]].concat());
    assert_eq!(ran.ok(), 10);
}

#[test]
fn a_statement_is_cancelled_at_its_timeout() {
    let ran = read(&["database.db.statement_timeout=4ms"]);
    assert_eq!((ran.failed(Failure::StatementTimeout), ran.each_failed()), (10, ms(4)));
    // Waiting for storage counts.
    let ran = read(&["database.db.statement_timeout=4ms", "database.db.cpu_share=20%"]);
    assert_eq!((ran.failed(Failure::StatementTimeout), ran.each_failed()), (10, ms(4)));
    assert_eq!(read(&["database.db.statement_timeout=11ms"]).each(), ms(10));
}

#[test]
fn a_failed_statement_destroys_its_connection_or_keeps_it() {
    let fails = "operation.read.flow=[{query={pool='pg', read='10ms', fail='100%'}}]";
    let ran = read(&[fails]);
    assert_eq!(ran.failed(Failure::QueryError), 10);
    assert_eq!(ran.count("pool.pg", Counter::Opened), 10);
    let ran = read(&[fails, "pool.pg.on_error=keep"]);
    assert_eq!(ran.failed(Failure::QueryError), 10);
    assert_eq!(ran.count("pool.pg", Counter::Opened), 1);
    // Who has taken a connection by hand gives it back, unless told otherwise.
    for bare in ["false", "true"] {
        let fails = format!(
            "operation.read.flow=[{{query={{pool='pg', read='1ms'}}}}, {{transaction={{pool='pg', bare={bare}, flow=[{{query={{pool='pg', read='10ms', fail='100%'}}}}]}}}}]"
        );
        assert_eq!(read(&[&fails]).count("pool.pg", Counter::Opened), 1);
        let told = read(&[&fails, "pool.pg.on_error=destroy"]);
        assert_eq!(told.count("pool.pg", Counter::Opened), 10);
    }
}

#[test]
fn some_statements_fail() {
    let fails = "operation.read.flow=[{query={pool='pg', read='1ms', fail='30%'}}]";
    let ran = read(&[fails, "arrivals.rate=200/s"]);
    // Binomial(2099, 0.3): deviation 21.
    assert!((ran.failed(Failure::QueryError) as f64 - 630.0).abs() < 84.0);
}

#[test]
fn reads_go_to_replicas_in_turn_and_writes_do_not() {
    let ran = read(&["database.db.replicas=2", "pool.pg.reads=primary"]);
    assert_eq!(ran.count("database.db", Counter::Reads), 10);
    let ran = read(&["database.db.replicas=2", "pool.pg.reads=replicas"]);
    assert_eq!(ran.count("database.db", Counter::Reads), 0);
    assert_eq!(ran.count("database.db.replicas", Counter::Reads), 10);
    assert_eq!(ran.count("pool.pg", Counter::Opened), 2, "one connection to each replica");
    let ran = read(&["database.db.replicas=2", "pool.pg.reads=replicas", WRITE]);
    assert_eq!(ran.count("database.db", Counter::Writes), 10);
}

#[test]
fn replicas_have_pools_of_their_own_size() {
    let sets = ["database.db.replicas=1", "pool.pg.reads=replicas", TWO];
    assert_eq!(read(&sets).each(), ms(10));
    assert_eq!(read(&[&sets[..], &["pool.pg.replica_size=1"]].concat()).each(), ms(20));
    assert_eq!(read(&[&sets[..], &["pool.pg.size=1"]].concat()).each(), ms(20), "as `size`");
}

#[test]
fn a_transaction_that_only_reads_may_go_to_a_replica() {
    let sets = ["database.db.replicas=1", "pool.pg.reads=replicas"];
    let flow = |write: bool| {
        format!(
            "operation.read.flow=[{{transaction={{pool='pg', write={write}, flow=[{{query={{pool='pg', read='10ms'}}}}]}}}}]"
        )
    };
    let ran = read(&[&sets[..], &[&flow(true)]].concat());
    assert_eq!(ran.count("database.db", Counter::Reads), 10);
    let ran = read(&[&sets[..], &[&flow(false)]].concat());
    assert_eq!(ran.count("database.db.replicas", Counter::Reads), 10);
}

#[test]
fn a_replica_is_behind_by_lag_and_replay() {
    let stale = |wait: &str, sets: &[&str]| {
        let flow = format!(
            "operation.read.flow=[{{query={{pool='pg', write='10ms'}}}}, {{wait='{wait}'}}, \
             {{query={{pool='pg', read='1ms'}}}}]"
        );
        let basic = ["database.db.replicas=1", "pool.pg.reads=replicas", &flow];
        let ran = read(&[&basic[..], sets].concat());
        let replayed = ran.count("database.db.replicas", Counter::Replayed);
        let lag_us = ran.count("database.db.replicas", Counter::LagMicros);
        (ran.count("database.db.replicas", Counter::StaleReads), lag_us / replayed)
    };
    // 20 ms on the way, and 30 % of 10 ms to replay.
    assert_eq!(stale("22ms", &[]), (10, 23_000));
    assert_eq!(stale("24ms", &[]), (0, 23_000));
    assert_eq!(stale("22ms", &["database.db.replay=0%"]), (0, 20_000));
    assert_eq!(stale("22ms", &["database.db.lag=5ms"]), (0, 8_000));
}

#[test]
fn statements_share_cores() {
    assert_eq!(read(&[TWO, "database.db.cores=1"]).each(), ms(20));
    assert_eq!(read(&[TWO, "database.db.cores=2"]).each(), ms(10));
    let ran = read(&["database.db.cores=4"]);
    assert_eq!(ran.station("database.db").capacity, 4.0);
}

#[test]
fn waiting_for_storage_does_not_contend() {
    let sets = [TWO, "database.db.cores=1"];
    let share = |share: &str| read(&[&sets[..], &[share]].concat()).each();
    assert_eq!(share("database.db.cpu_share=0%"), ms(10));
    assert_eq!(share("database.db.cpu_share=50%"), ms(15));
}

#[test]
fn statements_slow_each_other_down_by_contention() {
    // Two on one core, at 1 / (1 + sigma) or 1 / (1 + 2 kappa) of its speed together.
    let crowded = |contention: &str| {
        let took = read(&[TWO, "database.db.cores=1", contention]).each();
        (took.seconds() * 1e6).round() / 1e3
    };
    assert_eq!(crowded("database.db.contention.sigma=0.5"), 30.0);
    assert_eq!(crowded("database.db.contention.kappa=0.25"), 30.0);
    // One more than cores finds half of its caches gone, or a quarter; or as little of them as was measured.
    let caches = |said: &str| crowded(&format!("database.db.contention.caches={said}"));
    assert_eq!(caches("{most='100%', half=1.0}"), 30.0);
    assert_eq!(caches("{most='100%', half=3.0}"), 25.0);
    assert_eq!(caches("{most='20%', half=1.0}"), 22.0);
    assert_eq!(caches("{}"), 20.172);
    // Where nobody waits for a core nothing contends.
    assert_eq!(read(&[TWO, "database.db.contention={sigma=0.5, kappa=0.25}"]).each(), ms(10));
    assert_eq!(read(&["database.db.contention={sigma=0.5, kappa=0.25, caches={}}"]).each(), ms(10));
}

#[test]
fn every_statement_makes_a_round_trip() {
    assert_eq!(read(&["database.db.rtt=4ms"]).each(), ms(14));
    let flow =
        "operation.read.flow=[{transaction={pool='pg', flow=[{query={pool='pg', write='10ms'}}]}}]";
    let ran = read(&["database.db.rtt=4ms", flow]);
    assert_eq!(ran.each(), ms(22), "BEGIN and COMMIT are round trips");
    assert_eq!(ran.count("pool.pg", Counter::Arrivals), 10, "on one connection");
}

#[test]
fn a_transaction_on_one_pool_holds_its_connection_meanwhile() {
    let hold = "operation.read.flow=[{transaction={pool='pg', flow=[{wait='300ms'}]}}]";
    let busy = read(&[hold]).station("pool.pg").busy_mean;
    assert!((busy - 10.0 * 0.3 / 10.5).abs() < 1e-3, "{busy}");
}

#[test]
fn a_bare_transaction_is_a_connection_held() {
    let flow = "operation.read.flow=[{transaction={pool='pg', bare=true, \
                flow=[{query={pool='pg', write='10ms'}}, {cpu='5ms'}]}}]";
    let ran = read(&["database.db.rtt=4ms", flow]);
    assert_eq!(ran.each(), ms(19), "one round trip");
    let busy = ran.station("pool.pg").busy_mean;
    assert!((busy - 10.0 * 0.019 / 10.5).abs() < 1e-3, "held while computing: {busy}");
}

#[test]
fn users_have_their_shard_and_keys_are_anywhere() {
    let sets = ["database.db.shards=4", "arrivals.rate=10/s"];
    let ran = read(&sets);
    assert_eq!(ran.count("pool.pg", Counter::Opened), 1, "one user, one shard");
    let keyed = [&sets[..], &["database.db.shard_by=key"]].concat();
    assert_eq!(read(&keyed).count("pool.pg", Counter::Opened), 4);
    let flow =
        "operation.read.flow=[{transaction={pool='pg', flow=[{query={pool='pg', write='10ms'}}]}}]";
    assert_eq!(read(&[&sets[..], &[flow]].concat()).count("pool.pg", Counter::Opened), 1);
    assert_eq!(read(&[&keyed[..], &[flow]].concat()).count("pool.pg", Counter::Opened), 4);
    let many = [&sets[..], &["arrivals.users=1000"]].concat();
    assert_eq!(read(&many).count("pool.pg", Counter::Opened), 4);
    assert_eq!(ran.station("database.db").capacity, 8.0, "two cores each");
}

/// Four shards and Zipf's law of exponent 2 over 100 keys: the first key is asked for 1/1.635 of the
/// time, and its shard with it. Every key alike asks all shards alike.
#[test]
fn popular_keys_make_a_hot_shard() {
    let hottest = |law: &str, shards: &str| {
        let keys = format!("[keys.tenants]\ncount = 100\npopularity = {law}\n");
        let by = "database.db.shard_by={ keys = 'tenants' }";
        // One core each: a shard is busy as long as it computes, and the pool shows how long one waits.
        let one =
            ["database.db.cores=1", "arrivals.rate=200/s", "run.duration=60s", "pool.pg.size=50"];
        let ran = run(&format!("{keys}{ONE_READ}"), &[&one[..], &[by, shards]].concat());
        ran.outcome.latency.mean_s().expect("some end")
    };
    let even = hottest("'uniform'", "database.db.shards=4");
    let skewed = hottest("{ zipf = { exponent = 2.0 } }", "database.db.shards=4");
    let one = hottest("{ zipf = { exponent = 2.0 } }", "database.db.shards=1");
    // 200/s x 10 ms over four is 50 % each; the hot one is asked for more than it can do.
    assert!(even < 0.03 && skewed > 10.0 * even && one > skewed, "{even} {skewed} {one}");
}

#[test]
fn all_shards_are_read_one_by_one_or_side_by_side() {
    let all = "operation.read.flow=[{query={pool='pg', read='10ms', shard='all'}}]";
    assert_eq!(read(&["database.db.shards=4", all]).each(), ms(40));
    let scatter = "operation.read.flow=[{scatter={pool='pg', read='10ms'}}]";
    let ran = read(&["database.db.shards=4", scatter]);
    assert_eq!(ran.each(), ms(10));
    assert_eq!(ran.count("database.db", Counter::Reads), 40);
    assert_eq!(read(&["database.db.shards=1", scatter]).count("database.db", Counter::Reads), 10);
}

#[test]
fn a_scatter_waits_for_the_slowest() {
    let flow = "operation.read.flow=[{scatter={pool='pg', read={uniform=['0ms', '100ms']}}}]";
    let mean = |shards: &str| {
        read(&[flow, shards, "arrivals.rate=100/s", "database.db.cores=90", "pool.pg.size=90"])
            .mean_s()
    };
    // The greatest of n uniforms has mean n / (n + 1).
    assert!((mean("database.db.shards=1") - 0.050).abs() < 0.004);
    assert!((mean("database.db.shards=9") - 0.090).abs() < 0.002);
}

#[test]
fn a_pool_belongs_to_a_service_and_a_database() {
    let two = "[service.other]\n[pool.more]\nservice='web'\ndatabase='far'\n[database.far]\nrtt='3ms'\nconnect='0ms'\n";
    let text = format!("{ONE_READ}{two}");
    let sets = ["operation.read.service=web"];
    assert_eq!(run(&text, &sets).each(), ms(10));
    let ran = run(&text, &[&sets[..], &["pool.pg.database=far"]].concat());
    assert_eq!(ran.each(), ms(13));
    assert_eq!(ran.count("database.far", Counter::Reads), 10);
    // Every worker has one of its own.
    let ran = run(&text, &[&sets[..], &["service.web.instances=3"]].concat());
    assert_eq!(ran.count("pool.pg", Counter::Opened), 3);
    assert_eq!(ran.station("pool.pg").capacity, 30.0);
    let sets = ["operation.read.service=other", "pool.pg.service=other"];
    assert_eq!(run(&text, &sets).count("service.other", Counter::Served), 10);
}

#[test]
fn reads_and_writes_are_told_apart() {
    let ran = read(&[WRITE]);
    assert_eq!((ran.each(), ran.count("database.db", Counter::Writes)), (ms(10), 10));
    let ran = read(&["operation.read.flow=[{query={pool='pg', read='250us'}}]"]);
    assert_eq!((ran.each(), ran.count("database.db", Counter::Reads)), (us(250), 10));
}

#[test]
fn pools_start_empty_or_full() {
    let sets = ["database.db.connect=50ms", "pool.pg.size=3"];
    assert_eq!(read(&sets).longest(), ms(60));
    let ran = read(&[&sets[..], &["run.start.pools=full"]].concat());
    assert_eq!(ran.each(), ms(10));
    assert_eq!(ran.station("pool.pg").held_peak, 3);
}

#[test]
fn pools_start_as_long_use_leaves_them() {
    // Two of a hundred are lent on average, and each closes after 10 s: N is Poisson with mean 2, the k-th
    // connection is open with 1 - exp(-500 P(N = k - 1) (1 - 2/k)), 8.09 in all; a run of 300 s is within 0.6.
    let long = [
        "arrivals.process=poisson",
        "arrivals.rate=50/s",
        "run.duration=400s",
        "database.db.cpu_share=0%",
        "pool.pg.size=100",
        "pool.pg.idle_timeout=10s",
        "operation.read.flow=[{query={pool='pg', read={exponential='40ms'}}}]",
    ];
    let mean = |held: &[f64]| held.iter().sum::<f64>() / held.len() as f64;
    let empty = read(&long).held("pool.pg");
    let in_the_end = mean(&empty[100..]);
    assert!((in_the_end - 8.09).abs() < 0.6, "{in_the_end}");
    let warm = read(&[&long[..], &["run.start.pools=warm"]].concat()).held("pool.pg");
    assert!((warm[0] - 8.0).abs() < 0.1 && empty[0] < 7.0, "{} {}", warm[0], empty[0]);
    // A pooler's, by the same rule; of sessions, one for each client; asyncpg opens its floor.
    let text = format!("{ONE_READ}[pooler.b]\ndatabase = 'db'\nkind = 'pgbouncer'\n");
    let through = ["pool.pg.through=b", "pooler.b.idle_timeout=10s", "run.start.pools=warm"];
    let pooled = [&long[..], &through[..]].concat();
    let servers = run(&text, &pooled).held("pooler.b")[0];
    assert!((7.0..=9.0).contains(&servers), "{servers}");
    let sessions = run(&text, &[&pooled[..], &["pooler.b.mode=session"]].concat());
    let both = (sessions.held("pooler.b")[0], sessions.held("pool.pg")[0]);
    assert!((both.0 - both.1).abs() < 0.1, "{both:?}");
    let floor =
        ["run.start.pools=warm", "pool.pg.driver=asyncpg", "pool.pg.min=7", "pool.pg.size=9"];
    assert_eq!(read(&floor).held("pool.pg")[0], 7.0);
    // Where nothing closes connections, a day's use; replicas and primary each have their own.
    let kept = ["run.start.pools=warm", "pool.pg.idle_timeout=0s", "pool.pg.size=9"];
    assert_eq!(read(&kept).held("pool.pg")[0], 3.0, "three of 86,400 came at once, on some day");
    let reads = ["database.db.replicas=2", "pool.pg.reads=replicas"];
    let ran = read(&[&kept[..], &reads[..]].concat());
    assert_eq!(ran.held("pool.pg")[0], 4.0, "two for each replica, none for the primary");
    assert_eq!(ran.count("pool.pg", Counter::Opened), 0);
}

#[test]
fn a_warm_pool_has_what_its_own_share_leaves_open() {
    // 200 reads a second of 100 ms: twenty connections are lent at a time, of two servers or of two instances.
    let sets = [
        "arrivals.rate=200/s",
        "arrivals.users=100000",
        "run.start.pools=warm",
        "run.duration=4ms",
        "pool.pg.size=100",
        "operation.read.flow=[{query={pool='pg', read='100ms'}}]",
        "database.db.rtt=0ms",
        "database.db.cores=64",
    ];
    let open = |share: f64| {
        let lending = Lending { per_s: 200.0 * share, held: 20.0 * share };
        let keeping = Keeping { size: 100, floor: 0, stay: 0, unused: Duration::secs(10) };
        f64::from(lending.left_open(keeping))
    };
    let (even, skewed) = (2.0 * open(0.5), open(0.8) + open(0.2));
    assert_ne!(even, skewed);
    let held = |text: &str, more: &[&str]| {
        run(text, &[&sets[..], more].concat()).station("pool.pg").held_peak as f64
    };
    // Instances with weights, where the policy looks at them.
    let text = format!("{ONE_READ}[balancer.b]\nservice = \"web\"\nweights = [4, 1]\n");
    let by = |policy: &str| {
        held(&text, &["service.web.instances=2", &format!("balancer.b.policy={policy}")])
    };
    assert_eq!(by("weighted-round-robin"), skewed);
    assert_eq!(by("round-robin"), even);
    // Shards: of two keys that lie apart the first is asked four times as often.
    let keys = "[keys.k]\ncount = 2\npopularity = { zipf = { exponent = 2.0 } }\n";
    let text = format!("{ONE_READ}{keys}");
    let sharded = ["database.db.shards=2", "database.db.shard_by={keys='k'}"];
    let apart = shard_of(0, 2) != shard_of(1, 2);
    assert!(apart, "or these keys show nothing");
    assert_eq!(held(&text, &sharded), skewed);
    assert_eq!(held(ONE_READ, &sharded[..1]), even);
    // A shard that is added later has none.
    let later = ["database.db.reshard={to=2, at='5s', copy='1s'}"];
    assert_eq!(held(ONE_READ, &later), open(1.0));
}

#[test]
fn a_database_counts_its_backends() {
    // The backend of each request is there for 10 ms of work and 500 ms of idleness.
    let ran = read(&["pool.pg.idle_timeout=500ms"]);
    assert!(ran.held("database.db")[1..9].iter().all(|held| (held - 0.51).abs() < 1e-9));
    // Three processes with a pool of four each; none during a failover, one for each request after it.
    let full = [
        "run.start.pools=full",
        "pool.pg.size=4",
        "service.web.workers=3",
        "pool.pg.idle_timeout=1h",
    ];
    let ran = read(&full);
    assert!(ran.held("database.db").iter().all(|held| *held == 12.0));
    let gone = "fault.f={target='database.db', what='failover', at='4s', for='3s'}";
    let held = read(&[&full[..], &[gone]].concat()).held("database.db");
    assert_eq!((held[3], held[4], held[5], held[6]), (12.0, 0.0, 0.0, 0.0));
    assert!(held[9] > 1.0 && held[9] <= 3.0, "{held:?}");
    // Replicas count their own; a pooler's connections are counted, its clients are not.
    let reads = ["pool.pg.reads=replicas", "database.db.replicas=1", "pool.pg.idle_timeout=500ms"];
    let ran = read(&reads);
    let (primary, replica) = (ran.held("database.db"), ran.held("database.db.replicas"));
    assert!(
        (primary[4], (replica[4] - 0.51).abs() < 1e-9) == (0.0, true),
        "{primary:?} {replica:?}"
    );
}

#[test]
fn opening_a_connection_takes_time_on_the_cores_of_its_server() {
    let text = "[service.web]\n[pool.pg]\nservice = 'web'\ndatabase = 'db'\n[database.db]\ncores = 1\n\
                rtt = '2ms'\nconnect = '20ms'\n[pooler.b]\ndatabase = 'db'\nmode = 'transaction'\n\
                rtt = '0ms'\nconnect = '0ms'\ncpu = '0s'\nlogin_cpu = '0s'\n[operation.read]\nshare = 1\nflow = [{ parallel = [\
                [{ query = { pool = 'pg', read = '10ms' } }], [{ query = { pool = 'pg', read = '10ms' } }]] }]\n";
    let ran = |sets: &[&str]| run(text, sets);
    let cpu = "database.db.connect_cpu=10ms";
    let ran_free = |sets: &[&str]| ran(&[&["database.db.connect_cpu=0s"], sets].concat());
    // Two connections open side by side, then two statements share the core: 20 + 2 + 20 ms. Of the 20 ms ten
    // are the core's, which both share: 10 ms more.
    assert_eq!([ran_free(&[]).longest(), ran(&[cpu]).longest()], [ms(42), ms(52)]);
    assert_eq!([ran_free(&[]).shortest(), ran(&[cpu]).shortest()], [ms(22), ms(22)]);
    // Unless said, seven are the core's: 7 ms more for each other one that opens beside it.
    assert_eq!(ran(&[]).longest(), ms(49));
    // Alone it takes as long as before; more than all of it it cannot be.
    let alone = "operation.read.flow=[{query={pool='pg', read='10ms'}}]";
    for cpu in ["10ms", "1s"] {
        let ran = ran(&[alone, &format!("database.db.connect_cpu={cpu}")]);
        assert_eq!(ran.longest(), ms(32));
    }
    // The server that goes away takes the process that starts with it.
    let stop = "fault.f={target='database.db', what='stop', at='1015ms', for='100ms'}";
    let lost = ran(&[alone, cpu, stop]);
    assert_eq!((lost.failed(Failure::DatabaseDown), lost.each_failed()), (1, ms(15)));
    // What takes longer for the others' sake runs into the patience of the driver: both at 25 ms.
    let hurried = ["pool.pg.driver=asyncpg", "pool.pg.min=0", "pool.pg.connect_timeout=25ms"];
    assert_eq!(ran_free(&hurried).failed(Failure::AcquireTimeout), 0);
    let failed = ran(&[&hurried[..], &[cpu]].concat());
    assert!(failed.failed(Failure::AcquireTimeout) >= 8);
    assert_eq!(failed.outcome.failed_latency.min(), Some(ms(25)));
    // So does a pooler's own connection.
    let through = |sets: &[&str]| ran(&[&[alone, "pool.pg.through=b"], sets].concat());
    assert_eq!([through(&[]).longest(), through(&[cpu]).longest()], [ms(32), ms(32)]);
    let busy = ["database.db.connect_cpu=20ms", "pooler.b.connect_timeout=19ms"];
    assert_eq!(through(&busy).ok(), 0);
}
