//! Locks, and what else a database server has to do with than statements.

use loadbearing::failure::Failure;
use loadbearing::run::{Counter, Unwatched, replicate};

use crate::support::{Ran, model, ms, run};

/// Transactions of 100 ms that write to one row.
const HOT: &str = r#"
[service.web]
[pool.pg]
service = "web"
database = "db"
size = 20
[database.db]
rtt = "0ms"
connect = "0ms"
[keys.rows]
count = 1
[relation.t]
database = "db"
rows = "rows"
[relation.u]
database = "db"
rows = "rows"
[operation.work]
share = 1
flow = [{ parallel = [[{ transaction = { pool = "pg", flow = [
  { query = { pool = "pg", write = "1ms", on = "t" } }, { wait = "99ms" }] } }],
  [{ transaction = { pool = "pg", flow = [
  { query = { pool = "pg", write = "1ms", on = "t" } }, { wait = "99ms" }] } }]] }]
"#;

fn hot(sets: &[&str]) -> Ran {
    run(HOT, sets)
}

/// Two branches, each one transaction with these steps.
fn both(first: &str, second: &str) -> String {
    let transaction = |steps: &str| format!("[{{transaction={{pool='pg', flow=[{steps}]}}}}]");
    format!("operation.work.flow=[{{parallel=[{}, {}]}}]", transaction(first), transaction(second))
}
const LOCK_T: &str = "{query={pool='pg', write='1ms', on='t'}}";
const LOCK_U: &str = "{query={pool='pg', write='1ms', on='u'}}";

#[test]
fn a_row_is_locked_until_its_transaction_ends() {
    let ran = hot(&[]);
    assert_eq!(ran.each(), ms(200), "one after the other");
    assert_eq!(ran.count("relation.t", Counter::Served), 20);
    assert_eq!(ran.station("relation.t").waiting_peak, 1);
    // Rows that nobody locks, and other rows, do not meet; nor do plain reads.
    let apart = both(&format!("{LOCK_T}, {{wait='99ms'}}"), &format!("{LOCK_U}, {{wait='99ms'}}"));
    assert_eq!(hot(&[&apart]).each(), ms(100));
    let plain = HOT.replace("database = \"db\"\nrows = \"rows\"", "database = \"db\"");
    assert_eq!(run(&plain, &[]).each(), ms(100));
    let reads = |more: &str| {
        let read = format!("{{query={{pool='pg', read='1ms', on='t'{more}}}}}, {{wait='99ms'}}");
        hot(&[&both(&read, &read)]).each()
    };
    assert_eq!(reads(""), ms(100));
    assert_eq!(reads(", for_update=true"), ms(200));
    // Outside of a transaction a write keeps its row as long as it runs.
    let alone = "operation.work.flow=[{parallel=[[{query={pool='pg', write='10ms', on='t'}}], \
                 [{query={pool='pg', write='10ms', on='t'}}]]}]";
    assert_eq!(hot(&[alone]).each(), ms(20));
}

#[test]
fn statements_of_a_request_with_one_number_work_on_one_row() {
    let deadlocks = |row: u32| {
        let second = format!("{{query={{pool='pg', write='1ms', on='t', row={row}}}}}");
        let flow = format!(
            "operation.work.flow=[{{transaction={{pool='pg', flow=[{LOCK_T}, {{wait='40ms'}}, {second}]}}}}]"
        );
        let ran = hot(&[
            &flow,
            "keys.rows.count=2",
            "arrivals.rate=40/s",
            "arrivals.users=100",
            "database.db.deadlock_timeout=50ms",
        ]);
        ran.count("relation.t", Counter::Deadlocks)
    };
    assert_eq!(deadlocks(0), 0);
    assert!(deadlocks(1) > 3);
}

#[test]
fn a_deadlock_is_seen_after_its_timeout_and_one_of_two_fails() {
    let cross = both(
        &format!("{LOCK_T}, {{wait='50ms'}}, {LOCK_U}"),
        &format!("{LOCK_U}, {{wait='50ms'}}, {LOCK_T}"),
    );
    let ran = hot(&[&cross]);
    assert_eq!(ran.failed(Failure::Deadlock), 9, "the tenth is still in it");
    let all =
        ran.count("relation.t", Counter::Deadlocks) + ran.count("relation.u", Counter::Deadlocks);
    assert_eq!(all, 9, "one of each two");
    let ran = hot(&[&cross, "database.db.deadlock_timeout=200ms"]);
    assert_eq!((ran.failed(Failure::Deadlock), ran.each_failed() < ms(300)), (10, true));
}

#[test]
fn who_stands_in_line_for_a_row_waits_for_those_before_too() {
    // Three transactions at each second. One locks t; at 100 ms another asks for t; a third has locked u, and
    // asks for t at 200 ms, behind the second; at 300 ms the first asks for u. When the second looks, 250 ms
    // after it began to wait, it stands before the third, and so for itself; when the third looks 100 ms later
    // the first still waits for it. The first goes on.
    let pause = |millis: u32| format!("{{wait='{millis}ms'}}");
    let steps = [
        format!("{LOCK_T}, {}, {LOCK_U}", pause(299)),
        format!("{}, {LOCK_T}", pause(100)),
        format!("{LOCK_U}, {}, {LOCK_T}", pause(199)),
    ];
    let branches =
        steps.map(|steps| format!("[{{transaction={{pool='pg', flow=[{steps}]}}}}]")).join(", ");
    let flow = format!("operation.work.flow=[{{parallel=[{branches}]}}]");
    let ran = hot(&[&flow, "database.db.deadlock_timeout=250ms"]);
    let deadlocks = |path: &str| ran.count(path, Counter::Deadlocks);
    assert_eq!((deadlocks("relation.t"), deadlocks("relation.u")), (20, 0));
}

#[test]
fn waiting_for_a_lock_ends_at_its_timeout_and_that_of_the_statement() {
    let ran = hot(&["database.db.lock_timeout=50ms"]);
    assert_eq!((ran.failed(Failure::LockTimeout), ran.ok()), (10, 0));
    assert_eq!(ran.count("relation.t", Counter::TimedOut), 10);
    assert_eq!(hot(&["database.db.lock_timeout=100ms"]).ok(), 10);
    let ran = hot(&["database.db.statement_timeout=50ms"]);
    assert_eq!(ran.failed(Failure::StatementTimeout), 10);
}

#[test]
fn an_idle_transaction_loses_its_connection_and_its_locks() {
    let steps = |wait: &str| {
        both(
            &format!("{LOCK_T}, {{wait='{wait}'}}, {LOCK_U}"),
            &format!("{{wait='1ms'}}, {LOCK_T}"),
        )
    };
    let limit = "database.db.idle_in_transaction_timeout=150ms";
    assert_eq!(hot(&[&steps("140ms"), limit]).ok(), 10);
    let ran = hot(&[&steps("400ms"), limit]);
    assert_eq!(ran.failed(Failure::IdleTransaction), 10);
    assert_eq!(ran.count("pool.pg", Counter::Closed), 10);
    // Who waits for the row has it after 150 ms, not after 400.
    let waited = ran.station("relation.t").wait.max().expect("somebody waited");
    assert!(waited > ms(145) && waited < ms(152), "{waited:?}");
}

/// A statement a second, and something that the database does for a second at 3.5 s and at 7 s.
const UPKEEP: &str = r#"
[service.web]
[pool.pg]
service = "web"
database = "db"
[database.db]
cores = 4
rtt = "0ms"
connect = "0ms"
[keys.rows]
count = 100
[relation.t]
database = "db"
rows = "rows"
[maintenance.job]
database = "db"
every = "3500ms"
work = "1s"
lock = { on = "t", mode = "access-exclusive" }
[operation.work]
share = 1
flow = [{ query = { pool = "pg", read = "10ms", on = "t" } }]
"#;

fn upkeep(sets: &[&str]) -> Ran {
    run(UPKEEP, sets)
}

#[test]
fn who_waits_for_which_mode() {
    let statements = ["read='10ms'", "read='10ms', for_update=true", "write='10ms'"];
    let waits = |mode: &str| {
        statements.map(|what| {
            let flow = format!("operation.work.flow=[{{query={{pool='pg', {what}, on='t'}}}}]");
            let ran = upkeep(&[&format!("maintenance.job.lock.mode={mode}"), &flow]);
            assert_eq!(ran.count("maintenance.job", Counter::Served), 2, "{mode}");
            ran.longest() > ms(500)
        })
    };
    for mode in ["access-share", "row-share", "row-exclusive", "share-update-exclusive"] {
        assert_eq!(waits(mode), [false, false, false], "{mode}");
    }
    assert_eq!(waits("share"), [false, false, true]);
    assert_eq!(waits("share-row-exclusive"), [false, false, true]);
    assert_eq!(waits("exclusive"), [false, true, true]);
    assert_eq!(waits("access-exclusive"), [true, true, true]);
}

#[test]
fn a_job_comes_every_so_often_and_takes_its_time() {
    let busy = |sets: &[&str]| {
        let ran = upkeep(sets);
        let station = ran.station("maintenance.job");
        (ran.count("maintenance.job", Counter::Served), (station.busy_mean * 10.5 * 1e3).round())
    };
    assert_eq!(busy(&[]), (2, 2_000.0), "at 3.5 s and 7 s, the next at the very end");
    assert_eq!(busy(&["maintenance.job.every=2s"]), (4, 4_490.0), "the last waits for a reader");
    assert_eq!(busy(&["maintenance.job.work=200ms"]), (2, 400.0));
    // A job that takes longer than its period delays the next.
    assert_eq!(busy(&["maintenance.job.every=2s", "maintenance.job.work=3s"]).0, 2);
    let write = "operation.work.flow=[{query={pool='pg', write='10ms', on='t'}}]";
    let by_writes = ["maintenance.job.work=0s", "maintenance.job.per_write=50ms", write];
    assert_eq!(
        busy(&by_writes),
        (2, 350.0),
        "three writes before the first, four before the second"
    );
    assert_eq!(busy(&[&by_writes[..], &["maintenance.job.threshold=4"]].concat()), (1, 350.0));
    // Another table's writes do not count.
    let other = "maintenance.job.lock={on='u', mode='share'}";
    let text = format!(
        "{UPKEEP}\n[relation.u]\ndatabase='db'\n[operation.more]\nshare=0\nflow=[{{query={{pool='pg', read='1ms', on='u'}}}}]\n"
    );
    let ran = run(&text, &[&by_writes[..], &[other, "maintenance.job.threshold=1"]].concat());
    assert_eq!(ran.count("maintenance.job", Counter::Served), 0);
}

#[test]
fn a_job_spreads_its_work() {
    let slow = |sets: &[&str]| {
        let flow = "operation.work.flow=[{query={pool='pg', read='10ms'}}]";
        let basic =
            ["database.db.cores=1", flow, "arrivals.rate=20/s", "maintenance.job.work=500ms"];
        upkeep(&[&basic[..], sets].concat())
    };
    assert!(slow(&[]).longest() == ms(20), "half the core each");
    let ran = slow(&["maintenance.job.spread=2s"]);
    assert!(ran.station("maintenance.job").busy_mean * 10.5 > 3.9);
    assert_eq!(ran.longest(), ms(20));
}

#[test]
fn a_job_gives_up_waiting_for_its_lock() {
    let long = "operation.work.flow=[{query={pool='pg', read='1800ms', on='t'}}]";
    let sets = [long, "arrivals.rate='0.5/s'"];
    let ran = upkeep(&sets);
    assert!(ran.longest() > ms(2_000), "readers queue behind the job that waits");
    let ran = upkeep(&[&sets[..], &["maintenance.job.lock_timeout=100ms"]].concat());
    assert!(ran.longest() < ms(2_000), "{:?}", ran.longest());
    assert!(ran.count("maintenance.job", Counter::TimedOut) >= 1);
}

#[test]
fn dead_versions_slow_storage_down_until_they_are_cleaned_up() {
    let write = "operation.work.flow=[{query={pool='pg', write='10ms', on='t'}}]";
    let sets =
        ["database.db.cpu_share=0%", write, "maintenance.job.lock.mode=share-update-exclusive"];
    let longest = |sets_more: &[&str]| upkeep(&[&sets[..], sets_more].concat()).longest();
    assert_eq!(longest(&[]), ms(10));
    // The tenth write finds ten dead versions of a hundred rows, itself included.
    assert_eq!(longest(&["relation.t.bloat=10.0"]), ms(20));
    // Cleaned up at 4.5 s and at 8 s: never more than five.
    assert!(longest(&["relation.t.bloat=10.0", "maintenance.job.cleans=true"]) <= ms(15));
}

#[test]
fn tables_and_jobs_are_of_a_database() {
    let text = format!("{UPKEEP}\n[database.far]\nrtt='0ms'\nconnect='0ms'\n");
    let ran = run(
        &text,
        &["maintenance.job.database=far", "relation.t.database=far", "pool.pg.database=far"],
    );
    assert!(ran.station("database.far").busy_mean * 10.5 > 2.0);
    assert_eq!(ran.station("database.db").busy_mean, 0.0);
}

/// A read that waits for storage.
const STORED: &[&str] = &[
    "database.db.cpu_share=0%",
    "maintenance.job.work=0s",
    "maintenance.job.lock.mode=access-share",
    "run.duration=20s",
];

fn stored(sets: &[&str]) -> Ran {
    upkeep(&[STORED, sets].concat())
}

#[test]
fn a_volume_grants_so_many_operations_a_second() {
    let all = "operation.work.flow=[{parallel=[[{query={pool='pg', read='100ms'}}], \
               [{query={pool='pg', read='100ms'}}]]}]";
    assert_eq!(stored(&[all]).each(), ms(100));
    // 200 operations of 1 ms at 1,000 a second, at 500, and half as many of 2 ms.
    let volume = |storage: &str| stored(&[all, &format!("database.db.storage={storage}")]).each();
    assert_eq!(volume("{iops='1000/s'}"), ms(200));
    assert_eq!(volume("{iops='500/s'}"), ms(400));
    assert_eq!(volume("{iops='500/s', operation='2ms'}"), ms(200));
    assert_eq!(volume("{}"), ms(100));
    // Of 256 KiB each 125 MiB/s are 500 a second, and twice as much is 1,000.
    assert_eq!(volume("{block='256KiB'}"), ms(400));
    assert_eq!(volume("{block='256KiB', throughput='250MiB/s'}"), ms(200));
}

#[test]
fn a_compute_size_grants_less_than_its_volume() {
    let all = "operation.work.flow=[{parallel=[[{query={pool='pg', read='100ms'}}], \
               [{query={pool='pg', read='100ms'}}]]}]";
    let volume = |size: &str, storage: &str| {
        let plan = format!("database.db.plan={{supabase='{size}'}}");
        stored(&[all, &plan, &format!("database.db.storage={storage}")]).each()
    };
    // 200 operations at 250, 500 and 1,000 a second; or at what is said.
    let sizes = ["nano", "micro", "small", "medium"].map(|size| volume(size, "{}"));
    assert_eq!(sizes, [ms(800), ms(400), ms(200), ms(100)]);
    assert_eq!(volume("nano", "{iops='1000/s', throughput='125MiB/s'}"), ms(200));
    // 22 MB/s are 500 operations of 44 KB.
    assert_eq!(volume("small", "{block='44KB'}"), ms(400));
    assert_eq!(volume("small", "{block='44KB', throughput='44MB/s'}"), ms(200));
    // The volume itself grants 125 MiB/s, less than the 149 MB/s of this size.
    assert_eq!(volume("xl", "{block='256KiB'}"), ms(400));
}

#[test]
fn a_large_volume_of_rds_is_four() {
    let all = "operation.work.flow=[{parallel=[[{query={pool='pg', read='100ms'}}], \
               [{query={pool='pg', read='100ms'}}]]}]";
    let volume = |gib: u32, storage: &str| {
        let price = format!("{{per_gb_month='$0.115', size='{gib}GiB', source='list'}}");
        let storage = format!("database.db.storage={{{storage}, price={price}}}");
        stored(&[all, "database.db.plan={rds='64GiB'}", &storage]).each()
    };
    // 200 operations of 512 KiB at 125 MiB/s, and at 500.
    assert_eq!(volume(399, "block='512KiB'"), ms(800));
    assert_eq!(volume(400, "block='512KiB'"), ms(200));
    assert_eq!(volume(400, "block='512KiB', throughput='125MiB/s'"), ms(800));
    // 2,000 operations at 3,000 a second, and at 12,000.
    let (one, four) = (volume(399, "operation='100us'"), volume(400, "operation='100us'"));
    assert!((one.seconds() * 3.0 / 2.0 - 1.0).abs() < 1e-3, "{one:?}");
    assert!((four.seconds() * 12.0 / 2.0 - 1.0).abs() < 1e-3, "{four:?}");
}

#[test]
fn a_volume_bursts_as_long_as_its_credits_last() {
    // 100 operations a second wanted, 50 granted, 1,000 in a burst.
    let read = "operation.work.flow=[{query={pool='pg', read='100ms'}}]";
    let with = |burst: &str| {
        stored(&[read, &format!("database.db.storage={{iops='50/s', burst={burst}}}")])
    };
    assert_eq!(with("{iops='1000/s'}").each(), ms(100));
    // 600 credits last 12 s, as 50 are spent a second more than are earned.
    let spent = with("{iops='1000/s', credits=600.0}");
    assert!(spent.longest() > ms(1_000) && spent.shortest() == ms(100));
    assert_eq!(with("{iops='1000/s', credits=1200.0}").each(), ms(100));
    assert!(with("{iops='1000/s', credits=1200.0, start='50%'}").longest() > ms(1_000));
    assert_eq!(with("{iops='500/s'}").each(), ms(200), "a burst of 500 a second is not enough");
}

/// A server that computes for 600 ms each second, with cores that earn 20 %.
const BURSTABLE: &[&str] = &[
    "database.db.cores=1",
    "maintenance.job.work=0s",
    "maintenance.job.lock.mode=access-share",
    "operation.work.flow=[{query={pool='pg', read='600ms'}}]",
    "run.duration=30s",
];

fn burstable(credits: &str) -> Ran {
    upkeep(&[BURSTABLE, &[&format!("database.db.credits={credits}")]].concat())
}

#[test]
fn credits_are_earned_at_the_baseline_and_spent_above_it() {
    // 4 core seconds kept: spending 0.4 a second more than is earned, they last 10 s.
    let ran = burstable("{unlimited=false, keeps='20s'}");
    assert_eq!(ran.shortest(), ms(600));
    assert!(ran.longest() > ms(2_000), "at a fifth of the speed");
    let throttled_s = ran.count("database.db", Counter::ThrottledMicros) as f64 / 1e6;
    assert!((18.0..21.0).contains(&throttled_s), "{throttled_s}");
    assert_eq!(burstable("{unlimited=false, keeps='1day'}").each(), ms(600));
    assert_eq!(burstable("{unlimited=false, keeps='20s', baseline='60%'}").each(), ms(600));
    let poor = burstable("{unlimited=false, keeps='20s', start='0%'}");
    assert!(poor.shortest() > ms(600));
}

#[test]
fn unlimited_instances_go_on_for_money() {
    let ran = burstable("{keeps='20s'}");
    assert_eq!((ran.each(), ran.count("database.db", Counter::ThrottledMicros)), (ms(600), 0));
    // 30 s with 0.4 core seconds too many each, 4 of which were there before.
    let owed = ran.count("database.db", Counter::SurplusMillis) as f64
        - ran.count("database.db", Counter::RepaidMillis) as f64;
    assert!((7_000.0..9_000.0).contains(&owed), "{owed}");
    let cost = |price: &str| {
        let credits = format!("database.db.credits={{start='0%'{price}}}");
        let sets = [BURSTABLE, &[credits.as_str()]].concat();
        let model = model(UPKEEP, &sets);
        let outcomes = [replicate(&model, 0, &mut Unwatched)];
        loadbearing::result::cost_month(&model, &outcomes[0])
    };
    let usual = cost("");
    // 29 x 0.6 s of 30 s, less 20 %, for 730 hours at $0.075.
    assert!((usual - 0.38 * 730.0 * 0.075).abs() < 0.1, "{usual}");
    assert!((cost(", core_hour='$0.15'") / usual - 2.0).abs() < 1e-9);
}

#[test]
fn a_commit_waits_for_its_standbys() {
    let write = "operation.work.flow=[{query={pool='pg', write='10ms'}}]";
    let transaction = "operation.work.flow=[{transaction={pool='pg', flow=[{query={pool='pg', write='5ms'}}, {query={pool='pg', write='5ms'}}]}}]";
    let took = |standby: &str, flow: &str| {
        upkeep(&[&format!("database.db.standby={standby}"), flow, "maintenance.job.work=0s"])
    };
    assert_eq!(took("{rtt='3ms'}", write).each(), ms(13));
    assert_eq!(took("{rtt='3ms'}", transaction).each(), ms(13), "once, at COMMIT");
    let read = "operation.work.flow=[{query={pool='pg', read='10ms'}}]";
    assert_eq!(took("{rtt='3ms'}", read).each(), ms(10));
    assert_eq!(took("{}", write).each(), ms(11));
    // The fastest of two, and the slower of two.
    let mean = |which: &str| {
        let ran = upkeep(&[
            &format!("database.db.standby={{{which}, rtt.exponential='10ms'}}"),
            "operation.work.flow=[{query={pool='pg', write='1ms'}}]",
            "maintenance.job.work=0s",
            "arrivals.rate=200/s",
            "database.db.cores=50",
        ]);
        ran.mean_s() - 0.001
    };
    assert!((mean("count=1") - 0.010).abs() < 0.001);
    assert!((mean("count=2") - 0.005).abs() < 0.0005);
    assert!((mean("count=2, quorum=2") - 0.015).abs() < 0.0012);
}

#[test]
fn replay_waits_for_older_queries_and_then_cancels_them() {
    let sets = [
        "database.db.replicas=1",
        "pool.pg.reads=replicas",
        "maintenance.job.lock.mode=access-share",
        "maintenance.job.work=1ms",
        "operation.work.flow=[{query={pool='pg', read='2500ms'}}]",
        "run.duration=20s",
        "database.db.cores=8",
    ];
    let with = |more: &[&str]| upkeep(&[&sets[..], more].concat());
    assert_eq!(with(&["database.db.standby_delay=500ms"]).failed(Failure::ReplayConflict), 0);
    let conflicts = "maintenance.job.conflicts=true";
    let ran = with(&[conflicts, "database.db.standby_delay=500ms"]);
    assert!(ran.failed(Failure::ReplayConflict) >= 5);
    assert_eq!(
        ran.count("database.db.replicas", Counter::Conflicts),
        ran.failed(Failure::ReplayConflict)
    );
    assert_eq!(with(&[conflicts]).failed(Failure::ReplayConflict), 0, "30 s are enough");
    let told =
        with(&[conflicts, "database.db.standby_delay=500ms", "database.db.standby_feedback=true"]);
    assert_eq!(told.failed(Failure::ReplayConflict), 0);
}

#[test]
fn the_lag_that_is_shown_grows_where_nothing_is_written() {
    let sets = [
        "database.db.replicas=1",
        "pool.pg.reads=replicas",
        "maintenance.job.work=0s",
        "run.duration=600s",
    ];
    let shown = |flow: &str| {
        let ran = upkeep(&[&sets[..], &[flow]].concat());
        let sum = ran.count("database.db.replicas", Counter::LagShownMicros) as f64 / 1e6;
        sum / ran.count("database.db.replicas", Counter::LagShown) as f64
    };
    let idle = shown("operation.work.flow=[{query={pool='pg', read='1ms'}}]");
    assert_eq!(idle, 120.0, "0 to 240 s, looked at once a minute");
    let busy = shown("operation.work.flow=[{query={pool='pg', write='1ms'}}]");
    assert!(busy <= 1.1, "{busy}");
}

#[test]
fn shards_become_more_while_they_serve() {
    // A hundred statements a second, each of another user.
    let text = "[arrivals]\nrate = '100/s'\nprocess = 'even'\nusers = 100_000\n[service.web]\n\
                [pool.pg]\nservice = 'web'\ndatabase = 'db'\nsize = 500\n[database.db]\n\
                cores = 1\nrtt = '0ms'\nconnect = '0ms'\nmax_connections = 2000\n\
                [operation.read]\nshare = 1\n\
                flow = [{ query = { pool = 'pg', read = '1ms' } }]\n";
    let shards = |sets: &[&str]| run(text, sets);
    // Those whose keys move are held back from 2 s to 5 s, for 1.5 s on average.
    let paused = |to: u32| {
        let reshard =
            format!("database.db.reshard={{to={to}, at='1s', copy='1s', load=0.01, pause='3s'}}");
        let ran = shards(&[&reshard, "run.duration=10s", "database.db.cores=500"]);
        assert!(ran.longest() > ms(2_950) && ran.longest() < ms(3_002), "{:?}", ran.longest());
        ran.mean_s()
    };
    for (to, moving) in [(2, 0.5), (4, 0.75)] {
        let expected = 0.3 * moving * 1.5;
        let mean = paused(to) - 0.001;
        assert!((mean / expected - 1.0).abs() < 0.1, "to {to}: {mean} for {expected}");
    }
    // Where shards are remainders, from 2 to 3 two thirds move instead of one.
    let ruled = |rule: &str| {
        let reshard = format!(
            "database.db.reshard={{to=3, rule='{rule}', at='1s', copy='1s', load=0.01, pause='3s'}}"
        );
        let sets = [reshard.as_str(), "run.duration=10s", "database.db.cores=500"];
        let many = ["database.db.shards=2", "arrivals.rate=1000/s"];
        shards(&[&sets[..], &many].concat()).mean_s() - 0.001
    };
    for (rule, moving) in [("consistent", 1.0 / 3.0), ("modulo", 2.0 / 3.0)] {
        let (expected, mean) = (0.3 * moving * 1.5, ruled(rule));
        assert!((mean / expected - 1.0).abs() < 0.1, "{rule}: {mean} for {expected}");
    }
    // Copying takes one core of the one that a statement would have alone.
    let slow = ["operation.read.flow=[{query={pool='pg', read='10ms'}}]", "arrivals.rate=1/s"];
    let copied = |load: &str| {
        let copy =
            format!("database.db.reshard={{to=2, at='3500ms', copy='3s', pause='0s', {load}}}");
        let ran = shards(&[&slow[..], &[copy.as_str(), "run.duration=10s"]].concat());
        [ran.shortest(), ran.longest()].map(|it| (it.seconds() * 1e6).round() / 1e3)
    };
    // Half of every tenth of a second.
    assert_eq!(copied("load=0.5"), [10.0, 20.0]);
    assert_eq!(copied("load=0.001"), [10.0, 10.1]);
    // One server does a hundred of a hundred and fifty statements a second, two do all of them.
    let crowd = ["operation.read.flow=[{query={pool='pg', read='10ms'}}]", "arrivals.rate=150/s"];
    let served = |sets: &[&str]| shards(&[&crowd[..], &["run.duration=20s"], sets].concat()).ok();
    assert!(served(&[]) < 2_020, "{}", served(&[]));
    let moved = "database.db.reshard={to=2, copy='100ms', load=0.01, pause='0s'}";
    assert!(served(&[moved]) > 2_900, "{}", served(&[moved]));
    // And one does what two did before.
    let fewer = ["database.db.shards=2", "database.db.reshard={to=1, copy='100ms', pause='0s'}"];
    assert!(served(&fewer) < 2_060, "{}", served(&fewer));
}
