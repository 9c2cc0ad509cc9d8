//! Poolers between applications and databases.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;
use loadbearing::units::Duration;

use crate::support::{Ran, model, ms, run};

/// A user who comes every second and asks the database through a pooler.
pub const POOLED: &str = r#"
[service.web]
[pool.pg]
service = "web"
database = "db"
through = "b"
[pooler.b]
database = "db"
mode = "transaction"
cpu = "0s"
login_cpu = "0s"
rtt = "4ms"
connect = "10ms"
[database.db]
rtt = "2ms"
connect = "20ms"
[operation.read]
share = 1
flow = [{ query = { pool = "pg", read = "10ms" } }]
"#;
/// Two statements side by side.
const TWO: &str = "operation.read.flow = [{ parallel = [\
    [{ query = { pool = 'pg', read = '10ms' } }], [{ query = { pool = 'pg', read = '10ms' } }]] }]";
/// Two transactions of three seconds side by side.
const LONG: &str = "operation.read.flow = [{ parallel = [\
    [{ transaction = { pool = 'pg', flow = [{ wait = '3s' }] } }], \
    [{ transaction = { pool = 'pg', flow = [{ wait = '3s' }] } }]] }]";

fn pooled(sets: &[&str]) -> Ran {
    run(POOLED, sets)
}

fn opened(ran: &Ran) -> u64 {
    ran.count("pooler.b", Counter::Opened)
}

#[test]
fn a_statement_and_its_answer_pass_the_pooler() {
    let ran = pooled(&[]);
    // To the pooler 2 ms, to the server 1 ms, and back.
    assert_eq!(ran.shortest(), ms(16));
    // At first both connections have to be opened, one after the other.
    assert_eq!(ran.longest(), ms(46));
    assert_eq!((opened(&ran), ran.count("pool.pg", Counter::Opened)), (1, 1));
    assert_eq!(ran.count("pooler.b", Counter::Served), 10);
    let near = pooled(&["pooler.b.rtt=0ms", "pooler.b.connect=3ms"]);
    assert_eq!((near.shortest(), near.longest()), (ms(12), ms(35)));
    let straight =
        run(&POOLED.replace("through = \"b\"\n", "").replace("[pooler.b]", "[pooler.unused]"), &[]);
    assert_eq!((straight.shortest(), straight.longest()), (ms(12), ms(32)));
}

#[test]
fn a_core_is_as_fast_as_the_product() {
    let text = POOLED.replace("cpu = \"0s\"\nlogin_cpu = \"0s\"\n", "");
    let took = |kind: &str| {
        let ran = run(&text, &[&format!("pooler.b.kind={kind}")]);
        (ran.shortest().0 - ms(16).0, ran.longest().0 - ms(46).0)
    };
    // Both ways of a statement, and the login of the first.
    let us = |count: u64| Duration::micros(count).0;
    assert_eq!(took("pgbouncer"), (us(25), us(1_025)));
    assert_eq!(took("neon"), (us(20), us(220)));
    assert_eq!((took("supavisor"), took("rds-proxy")), ((0, 0), (0, 0)));
}

#[test]
fn the_mode_says_for_how_long_a_client_keeps_its_connection() {
    // One connection to the server for two of clients.
    let sets = ["pooler.b.size=1", "pooler.b.wait_timeout=500ms", TWO];
    let with = |mode: &str| pooled(&[&sets[..], &[&format!("pooler.b.mode={mode}")]].concat());
    for shared in ["transaction", "statement"] {
        let ran = with(shared);
        assert_eq!((ran.ok(), ran.shortest()), (10, ms(28)), "{shared}: one after the other");
    }
    let ran = with("session");
    let timed_out = ran.failed(Failure::AcquireTimeout);
    assert!(timed_out >= 5, "the second has none as long as the first is connected: {timed_out}");
    assert_eq!(ran.count("pooler.b", Counter::TimedOut), timed_out);
    // A session that ends is reset, and another has its connection.
    let ends = [&sets[..2], &["pooler.b.mode=session", "pool.pg.max_uses=1"]].concat();
    let ran = pooled(&ends);
    assert_eq!((ran.ok(), opened(&ran), ran.count("pool.pg", Counter::Opened)), (10, 1, 10));
}

#[test]
fn clients_and_connections_are_counted() {
    let one = pooled(&["pooler.b.clients=1", TWO]);
    assert_eq!(one.failed(Failure::TooManyConnections), 10);
    assert_eq!(one.count("pooler.b", Counter::Refused), 10);
    let few = pooled(&["pooler.b.size=1", TWO]);
    assert_eq!((few.shortest(), few.station("pooler.b").capacity), (ms(28), 1.0));
    assert_eq!(pooled(&[TWO]).shortest(), ms(16));
    assert_eq!((opened(&pooled(&[])), opened(&pooled(&["pooler.b.min=3"]))), (1, 3));
    // The second of the line gets the reserve after two seconds, or waits for three.
    let long =
        |sets: &[&str]| pooled(&[&["pooler.b.size=1", "run.duration=29s", LONG], sets].concat());
    let seconds = |ran: &Ran| ran.longest().seconds();
    let reserved =
        long(&["pooler.b.reserve=1", "pooler.b.reserve_after=2s", "arrivals.rate=0.1/s"]);
    let without = long(&["arrivals.rate=0.1/s"]);
    // It waits from 10.012 s on, and nothing happens at the pooler until the look at 12.333 s.
    assert!((seconds(&reserved) - 5.37).abs() < 0.01, "{}", seconds(&reserved));
    assert!((seconds(&without) - 6.04).abs() < 0.03, "{}", seconds(&without));
}

#[test]
fn patience_idleness_age_and_failures_have_their_times() {
    let waits = pooled(&["pooler.b.size=1", "pooler.b.wait_timeout=1s", LONG]);
    assert!(waits.failed(Failure::AcquireTimeout) > 3);
    // It looks three times a second.
    let failed = waits.outcome.failed_latency.min().expect("some failed");
    assert!(failed >= ms(1_000) && failed < ms(1_400), "{failed:?}");
    assert_eq!(opened(&pooled(&["pooler.b.idle_timeout=300ms"])), 10);
    let aged = opened(&pooled(&["pooler.b.max_lifetime=2500ms"]));
    assert!((3..=5).contains(&aged), "{aged}");
    // Two of one age, opened by 10.1 s, are closed a part of their time for each place apart: one at the look
    // at 13.333 s, the other 1.5 s later at that at 15 s, or with four places 750 ms later at 14.333 s.
    let closed = |size: u32, until: &str| {
        let size = format!("pooler.b.size={size}");
        let sets = ["pooler.b.max_lifetime=3s", "arrivals.rate=0.1/s", TWO];
        pooled(&[&sets[..], &[&size, until]].concat()).count("pooler.b", Counter::Closed)
    };
    let two = ["13200ms", "13400ms", "14900ms", "15100ms"];
    assert_eq!(two.map(|until| closed(2, &format!("run.duration={until}"))), [0, 1, 1, 2]);
    let four = ["14200ms", "14400ms"];
    assert_eq!(four.map(|until| closed(4, &format!("run.duration={until}"))), [1, 2]);
    // The server is away from 0.5 s to 2.5 s; the next try is at 1 s and at a look so long after.
    let away = "fault.away={target='database.db', what='stop', at='500ms', for='2s'}";
    let tried = |retry: &str| pooled(&[away, &format!("pooler.b.login_retry={retry}")]);
    let (soon, late) = (tried("2s"), tried("5s"));
    assert!(soon.longest() > ms(2_350) && soon.longest() < ms(2_380), "{:?}", soon.longest());
    assert!(late.longest() > ms(5_350) && late.longest() < ms(5_380), "{:?}", late.longest());
    // Meanwhile whoever asks is turned away at once.
    assert_eq!((soon.failed(Failure::DatabaseDown), late.failed(Failure::DatabaseDown)), (2, 5));
}

#[test]
fn only_pgbouncer_fails_fast_and_looks_three_times_a_second() {
    let failed = |kind: &str| {
        let sets = ["pooler.b.size=1", "pooler.b.wait_timeout=1s", LONG];
        pooled(&[&sets[..], &[&format!("pooler.b.kind={kind}")]].concat()).outcome.failed_latency
    };
    for kind in ["supavisor", "rds-proxy"] {
        // Patience ends to the tick, after ways of 4 ms and, for the first, connecting.
        assert_eq!((failed(kind).min(), failed(kind).max()), (Some(ms(1_004)), Some(ms(1_014))));
    }
    let away = "fault.away={target='database.db', what='stop', at='500ms', for='2s'}";
    let tried = |kind: &str| {
        let ran = pooled(&[away, &format!("pooler.b.kind={kind}"), "run.duration=30s"]);
        (ran.failed(Failure::DatabaseDown), ran.longest())
    };
    // PgBouncer tries again at 16 s and turns away everybody until then. Supavisor tries at 3.5 s and
    // RDS Proxy at 3 s; whoever comes meanwhile waits.
    let (turned_away, _) = tried("pgbouncer");
    assert!(turned_away >= 14, "{turned_away}");
    let (lost, longest) = tried("supavisor");
    assert!(lost <= 1 && longest > ms(2_400) && longest < ms(2_700), "{lost} {longest}");
    let (lost, longest) = tried("rds-proxy");
    assert!(lost <= 1 && longest > ms(1_900) && longest < ms(2_200), "{lost} {longest}");
}

#[test]
fn a_pooler_gives_up_on_an_opening_after_its_time() {
    let within = |time: &str| pooled(&[&format!("pooler.b.connect_timeout={time}")]);
    // The first waits for what is opened for it; the next nine are turned away until the next try, at 16 s.
    let late = within("15ms");
    assert_eq!((late.ok(), late.failed(Failure::DatabaseDown)), (0, 9));
    assert_eq!((late.count("pooler.b", Counter::Errors), opened(&late)), (1, 0));
    assert_eq!(within("25ms").ok(), 10);
    // A server that has given it a slot has that back: the next try gets it.
    let sets = [
        "pooler.b.connect_timeout=15ms",
        "pooler.b.login_retry=1s",
        "database.db.max_connections=4",
    ];
    assert_eq!(pooled(&sets).count("database.db", Counter::Refused), 0);
    let patience = |kind: &str| {
        let model = model(POOLED, &[&format!("pooler.b.kind={kind}")]);
        model.poolers.iter().next().expect("one").connect_timeout.seconds()
    };
    let all = ["pgbouncer", "neon", "supavisor", "rds-proxy"];
    assert_eq!(all.map(patience), [15.0, 15.0, 127.0, 1.0]);
}

#[test]
fn products_have_their_own_defaults() {
    let capacity = |kind: &str| {
        let ran = pooled(&[&format!("pooler.b.kind={kind}")]);
        ran.station("pooler.b").capacity
    };
    let all = ["pgbouncer", "supavisor", "rds-proxy", "neon"];
    assert_eq!(all.map(capacity), [20.0, 15.0, 97.0, 90.0]);
    let text = POOLED.replace("mode = \"transaction\"\n", "");
    let mode = |kind: &str| {
        let model = model(&text, &[&format!("pooler.b.kind={kind}")]);
        model.poolers.iter().next().map(|it| (it.mode, it.clients)).expect("one")
    };
    use loadbearing::model::PoolMode::{Session, Transaction};
    assert_eq!(mode("pgbouncer"), (Session, 100));
    assert_eq!(mode("supavisor"), (Transaction, 1_000));
    assert_eq!(mode("rds-proxy"), (Transaction, u32::MAX));
    assert_eq!(mode("neon"), (Transaction, 10_000));
}

#[test]
fn statements_and_answers_pass_one_core_after_another() {
    let core = |sets: &[&str]| pooled(&[&["pooler.b.cpu=2ms"], sets].concat());
    let one = core(&[]);
    assert_eq!((one.shortest(), one.station("pooler.b.core").capacity), (ms(18), 1.0));
    // The second statement of two waits for the first, and so does its answer.
    assert_eq!(core(&[TWO]).shortest(), ms(19));
    // More than it can do in a second: half as many statements pass as come.
    let flood = ["arrivals.rate=1000/s", "pool.pg.size=100", "database.db.cores=64"];
    let flooded = core(&[&flood[..], &["pooler.b.clients=1000", "pooler.b.size=90"]].concat());
    let ratio = flooded.ok() as f64 / flooded.offered() as f64;
    assert!((0.45..0.52).contains(&ratio), "{ratio}");
    assert!(flooded.station("pooler.b.core").busy_mean > 0.99);
}

/// One statement for each of two users of the same PgBouncer.
const USERS: &str = r#"
[service.web]
[pool.one]
service = "web"
database = "db"
through = "b"
[pool.two]
service = "web"
database = "db"
through = "c"
[pooler.b]
database = "db"
mode = "transaction"
cpu = "0s"
login_cpu = "0s"
rtt = "4ms"
connect = "10ms"
[pooler.c]
database = "db"
mode = "transaction"
rtt = "4ms"
connect = "10ms"
process = "b"
[database.db]
rtt = "2ms"
connect = "20ms"
[operation.read]
share = 1
flow = [{ query = { pool = "one", read = "10ms" } }, { query = { pool = "two", read = "10ms" } }]
"#;

#[test]
fn pools_of_one_process_share_its_core_its_clients_and_its_room() {
    let users = |sets: &[&str]| run(USERS, sets);
    let opened = |ran: &Ran| ["pooler.b", "pooler.c"].map(|it| ran.count(it, Counter::Opened));
    let free = users(&[]);
    assert_eq!((free.shortest(), opened(&free)), (ms(32), [1, 1]));
    // Each closes the idle connection of the other, and opens its own anew, every time.
    let narrow = users(&["pooler.b.max_db_connections=1"]);
    assert_eq!((narrow.shortest(), opened(&narrow)), (ms(72), [10, 10]));
    assert_eq!(narrow.count("pooler.b", Counter::Closed), 10);
    assert_eq!(opened(&users(&["pooler.b.max_db_connections=2"])), [1, 1]);
    // So do the pools of one user, and those of two users do not.
    let (b, c) = ("pooler.b.user='app'", "pooler.c.user='app'");
    let one = "pooler.b.max_user_connections=1";
    assert_eq!(opened(&users(&[one])), [1, 1]);
    assert_eq!(opened(&users(&[one, b, c])), [10, 10]);
    assert_eq!(opened(&users(&["pooler.b.max_user_connections=2", b, c])), [1, 1]);
    // One that is in use is not closed: who waits has it when it is idle.
    let side = "operation.read.flow = [{ parallel = [[{ query = { pool = 'one', read = '10ms' } }], \
                [{ query = { pool = 'two', read = '10ms' } }]] }]";
    let beside = users(&["pooler.b.max_db_connections=1", side]);
    // To it 2 ms, opening 20, 1 + 10 + 1 at the server; twice; and back.
    assert_eq!((beside.shortest(), beside.ok()), (ms(48), 10));
    assert!(opened(&beside).iter().sum::<u64>() >= 18, "{:?}", opened(&beside));
    let refused = users(&["pooler.b.clients=1"]);
    assert_eq!(refused.failed(Failure::TooManyConnections), 10);
    assert_eq!(users(&["pooler.b.cpu=2ms"]).shortest(), ms(36));
}

/// Ten requests at once, each over a connection that has to be opened first.
const TEN: &str = r#"
[arrivals]
rate = "0/s"
users = 10
crowd = { at = "1s", users = 10 }
[service.web]
[pool.pg]
service = "web"
database = "db"
through = "b"
[pooler.b]
database = "db"
mode = "transaction"
cpu = "0s"
login_cpu = "0s"
rtt = "0ms"
connect = "0ms"
[database.db]
cores = 10
rtt = "0ms"
connect = "0ms"
[operation.read]
share = 1
flow = [{ query = { pool = "pg", read = "1ms" } }]
"#;

#[test]
fn clients_log_in_one_after_another() {
    let ten = |sets: &[&str]| run(TEN, sets);
    assert_eq!(ten(&[]).each(), ms(1));
    // All ten come at once: the first statement stands behind the last login.
    let login = ten(&["pooler.b.login_cpu=10ms"]);
    assert_eq!(login.each(), ms(101));
    let busy = login.station("pooler.b.core").busy_mean * 10.5;
    assert!((busy - 0.1).abs() < 1e-6, "{busy}");
    let apart = "arrivals.crowd.over=200ms";
    let login_apart = ten(&["pooler.b.login_cpu=10ms", apart]);
    assert_eq!((login_apart.shortest(), login_apart.longest()), (ms(1), ms(11)), "one is enough");
    // Statements pass the same core, 1 ms each way: ten, and then ten answers.
    let both = ten(&["pooler.b.login_cpu=10ms", "pooler.b.cpu=2ms"]);
    assert_eq!(both.longest(), ms(100 + 10 + 10));
    let busy = both.station("pooler.b.core").busy_mean * 10.5;
    assert!((busy - 0.12).abs() < 1e-6, "{busy}");
}

#[test]
fn a_pool_looks_its_server_up_before_it_connects() {
    let straight = TEN.replace("through = \"b\"\n", "").replace("[pooler.b]", "[pooler.unused]");
    let ten = |sets: &[&str]| {
        let ran = run(&straight, &[&["pool.pg.lookup=50ms"][..], sets].concat());
        (ran.shortest(), ran.longest())
    };
    assert_eq!(run(&straight, &[]).each(), ms(1));
    // Four threads of libuv's pool: four, four and two names at a time.
    assert_eq!(ten(&[]), (ms(51), ms(151)));
    assert_eq!(ten(&["service.web.threads=10"]), (ms(51), ms(51)));
    assert_eq!(ten(&["service.web.threads=1"]), (ms(51), ms(501)));
    assert_eq!(
        ten(&["service.web.runtime=uvicorn"]),
        (ms(51), ms(51)),
        "asyncio has threads for it"
    );
    // Files wait for the same threads.
    let files = "operation.read.flow=[{query={pool='pg', read='1ms'}}, {threads='10ms'}]";
    let ran = run(&straight, &["pool.pg.lookup=50ms", files]);
    assert_eq!(ran.station("service.web.threads").waiting_peak, 6);
    // Through a pooler its own name is looked up, and what is connected is asked no more.
    let again = ["pool.pg.lookup=50ms", "arrivals.crowd.over=9s"];
    let ran = run(TEN, &again);
    assert_eq!((ran.shortest(), ran.longest()), (ms(1), ms(51)));
}

/// A third of a second, so often: when PgBouncer looks.
fn look(count: u64) -> Duration {
    Duration(Duration::secs(1).0 / 3 * count)
}

#[test]
fn clients_that_ask_for_nothing_are_disconnected() {
    let opened = |sets: &[&str]| pooled(sets).count("pool.pg", Counter::Opened);
    // Somebody comes every second: idle since he asked, for 500 ms, and seen at the next look.
    assert_eq!(opened(&[]), 1);
    assert_eq!(opened(&["pooler.b.client_idle_timeout=500ms"]), 10);
    assert_eq!(opened(&["pooler.b.client_idle_timeout=1500ms"]), 1);
    let ran = pooled(&["pooler.b.client_idle_timeout=500ms"]);
    assert_eq!(
        (ran.ok(), ran.count("pooler.b", Counter::TimedOut)),
        (10, 9),
        "the last is still there"
    );
    // The pooler's own connection stays: only the first request waits for that.
    assert_eq!((ran.longest(), ran.count("pooler.b", Counter::Opened)), (ms(46), 1));
    assert_eq!(ran.shortest(), ms(26), "the others connect to the pooler anew");
    // A pool that does not watch its connections lends it: whoever has it finds out, and the pool opens
    // another, which is idle again.
    let lent = pooled(&[
        "pooler.b.client_idle_timeout=500ms",
        "pool.pg.driver=psycopg",
        "pool.pg.min=0",
        "pool.pg.size=1",
    ]);
    assert_eq!((lent.ok(), lent.failed(Failure::DatabaseDown)), (1, 9));
    // A statement of 600 ms: PgBouncer counts from when it was sent, others from when it was answered.
    let long = "operation.read.flow=[{query={pool='pg', read='600ms'}}]";
    let by = |kind: &str, mode: &str| {
        let (kind, mode) = (format!("pooler.b.kind={kind}"), format!("pooler.b.mode={mode}"));
        opened(&["pooler.b.client_idle_timeout=630ms", long, &kind, &mode])
    };
    assert_eq!((by("pgbouncer", "transaction"), by("supavisor", "transaction")), (10, 1));
    // Who keeps a connection to the server is never idle at PgBouncer.
    let session = |kind: &str| {
        let kind = format!("pooler.b.kind={kind}");
        opened(&["pooler.b.client_idle_timeout=500ms", "pooler.b.mode=session", &kind])
    };
    assert_eq!((session("pgbouncer"), session("supavisor")), (1, 10));
    let idle = |kind: &str| {
        let model = model(POOLED, &[&format!("pooler.b.kind={kind}"), "run.duration=2000s"]);
        model.poolers.iter().next().and_then(|it| it.times?.idle)
    };
    let defaults = ["pgbouncer", "neon", "supavisor", "rds-proxy"].map(idle);
    assert_eq!(defaults, [None, None, None, Some(Duration::secs(1_800))]);
}

#[test]
fn pgbouncer_gives_up_on_statements_and_on_transactions_that_lie_idle() {
    // A statement reaches it after 2 ms: 1 s later its time is over, and the next look is the fourth after
    // that of the second. Its client hears of it after 2 ms more; the server goes on with it for nobody.
    let slow = "operation.read.flow=[{query={pool='pg', read='3s'}}]";
    let ran = pooled(&["pooler.b.query_timeout=1s", slow, "database.db.cores=64"]);
    assert_eq!((ran.ok(), ran.failed(Failure::QueryTimeout)), (0, 9));
    let failed = &ran.outcome.failed_latency;
    let (shortest, longest) = (failed.min().expect("ten"), failed.max().expect("ten"));
    assert!(
        longest <= look(4) + ms(2) && shortest.0 + 100 > (look(4) + ms(2)).0,
        "{shortest} {longest}"
    );
    // 1.31 s are over just before that look.
    let just = pooled(&["pooler.b.query_timeout=1310ms", slow, "database.db.cores=64"]);
    assert!(just.outcome.failed_latency.max() <= Some(look(4) + ms(2)));
    assert_eq!(ran.count("database.db", Counter::Wasted), 9);
    assert_eq!((opened(&ran), ran.count("pooler.b", Counter::Closed)), (10, 9));
    assert_eq!(ran.count("pooler.b", Counter::TimedOut), 9);
    assert_eq!(pooled(&[slow, "database.db.cores=64"]).ok(), 7, "off as it comes");
    // It counts while one waits for a connection, too: who waits does not get that of who is given up.
    let two = "operation.read.flow=[{parallel=[[{query={pool='pg', read='3s'}}], [{query={pool='pg', read='3s'}}]]}]";
    let ran = pooled(&["pooler.b.query_timeout=1s", two, "pooler.b.size=1", "arrivals.rate=0.2/s"]);
    let servers = ran.count("database.db", Counter::Arrivals);
    assert_eq!((servers, ran.count("pooler.b", Counter::TimedOut)), (2, 2), "at 5 s, and at 10 s");
    // Transactions of 3 s that lie idle: the first of two is over at the next look after one second, and the
    // other has a connection that is opened for it then, long before the first would have given its own back.
    let idle = |most: &str| {
        let most = format!("pooler.b.idle_transaction_timeout={most}");
        pooled(&["pooler.b.size=1", "arrivals.rate=0.1/s", "run.duration=29s", LONG, &most])
    };
    let ran = idle("1s");
    assert_eq!((ran.failed(Failure::IdleTransaction), ran.ok()), (2, 0));
    // Connecting 10 ms, to the pooler 2, opening 20, BEGIN at the server 2, back 2; the wait; and nothing is
    // sent over a connection that has been cut.
    assert_eq!(ran.each_failed(), ms(10 + 2 + 20 + 2 + 2 + 3_000));
    assert_eq!((ran.count("pooler.b", Counter::TimedOut), opened(&ran)), (4, 4));
    let patient = idle("4s");
    assert_eq!(
        (patient.ok(), patient.count("pooler.b", Counter::TimedOut), opened(&patient)),
        (2, 0, 1)
    );
    assert_eq!(idle("0s").ok(), 2);
    // It lies idle from 10.034 s on: 1.29 s later is just before the look at 11.333 s, 1.3 s just after it.
    let by_then = |most: &str| {
        let most = format!("pooler.b.idle_transaction_timeout={most}");
        let sets = ["pooler.b.size=1", "arrivals.rate=0.1/s", "run.duration=11350ms", LONG, &most];
        pooled(&sets).count("pooler.b", Counter::TimedOut)
    };
    assert_eq!((by_then("1290ms"), by_then("1300ms")), (1, 0));
}

#[test]
fn a_transaction_that_lies_idle_gives_its_rows_up_when_it_is_rolled_back() {
    let text =
        format!("{POOLED}[keys.rows]\ncount = 1\n[relation.t]\ndatabase = 'db'\nrows = 'rows'\n");
    let steps = "[{transaction={pool='pg', flow=[{query={pool='pg', write='10ms', on='t'}}, {wait='3s'}]}}]";
    let both = format!("operation.read.flow=[{{parallel=[{steps}, {steps}]}}]");
    let idle = |more: &[&str]| {
        let ran =
            run(&text, &[&[&both[..], "arrivals.rate=0.1/s", "run.duration=19s"], more].concat());
        ran.station("relation.t").wait.max().expect("somebody waited")
    };
    // Connections are there at 10.032 s and 10.052 s, and the writes at their server 7 ms later. The first has
    // its answer after 10 ms and 3 on the way, and commits 3 s later, which takes 3 ms there.
    assert_eq!(idle(&[]), ms(39 + 10 + 3 + 3_000 + 3 - 59));
    // A second after its answer the first is over at the look at 11.333 s.
    let cut = idle(&["pooler.b.idle_transaction_timeout=1s"]);
    assert!((cut + ms(59)).0.abs_diff(look(4).0) < 1_000, "{cut}");
}

#[test]
fn a_transaction_may_take_so_long_in_all() {
    let with = |most: &str, more: &[&str]| {
        let most = format!("pooler.b.transaction_timeout={most}");
        pooled(&[&["database.db.cores=64", &most][..], more].concat())
    };
    // A statement is one, and its server goes on with it.
    let slow = "operation.read.flow=[{query={pool='pg', read='3s'}}]";
    let ran = with("1310ms", &[slow]);
    assert_eq!((ran.ok(), ran.failed(Failure::QueryTimeout)), (0, 9));
    assert!(ran.outcome.failed_latency.max() <= Some(look(4) + ms(2)));
    assert_eq!(ran.count("database.db", Counter::Wasted), 9);
    // Four statements, with pauses that are each short enough for PgBouncer's other times.
    let step = "{query={pool='pg', write='10ms'}}, {wait='400ms'}, ";
    let busy =
        format!("operation.read.flow=[{{transaction={{pool='pg', flow=[{}]}}}}]", step.repeat(4));
    assert_eq!(with("1s", &[&busy]).ok(), 0);
    assert!(with("2s", &[&busy]).ok() >= 8);
    let others = ["pooler.b.idle_transaction_timeout=1s", "pooler.b.query_timeout=1s"];
    assert!(with("0s", &[&[&busy[..]][..], &others].concat()).ok() >= 8);
    // Both begin at 10.012 s; by the look at 11.333 s only the one that has a connection is looked at.
    let by_then = |most: &str, end: &str| {
        let sets = ["pooler.b.size=1", "arrivals.rate=0.1/s", LONG, end];
        with(most, &sets).count("pooler.b", Counter::TimedOut)
    };
    let end = "run.duration=11350ms";
    assert_eq!((by_then("1320ms", end), by_then("1325ms", end)), (1, 0));
    // The other has a connection then, and is too old at the next look.
    assert_eq!(by_then("1320ms", "run.duration=11700ms"), 2);
}

#[test]
fn what_has_long_been_idle_is_tried_out() {
    // Idle from 2.014 s to 3.002 s: at the look at 3 s 980 ms are over, and 990 ms are not. That is a round trip
    // of 2 ms more, for all but the first two (46 and 16 ms); nothing is opened for who waits meanwhile.
    let took = |sets: &[&str]| {
        let ran = pooled(sets);
        assert_eq!(opened(&ran), 1);
        (ran.mean_s() * 1e4).round() as u32
    };
    assert_eq!(took(&["pooler.b.check_after=980ms"]), 46 + 16 + 8 * 18);
    assert_eq!(took(&["pooler.b.check_after=990ms"]), 46 + 16 + 8 * 16);
    assert_eq!(took(&["pooler.b.check_after=0s"]), 46 + 9 * 18);
    // 987 ms are over at 3.001 s, which is after the look.
    assert_eq!(took(&["pooler.b.check_after=987ms"]), 46 + 16 + 8 * 16);
    // Others look at each as it is lent: after a trial the next one has been idle for 986 ms.
    let supavisor =
        |after: &str| took(&["pooler.b.kind=supavisor", &format!("pooler.b.check_after={after}")]);
    assert_eq!((supavisor("980ms"), supavisor("990ms")), (46 + 16 + 8 * 18, 46 + 16 + 8 * 16));
    assert_eq!(supavisor("987ms"), 46 + 16 + 4 * 18 + 4 * 16);
    // Two that come at once: the connection on top is tried out for each.
    let two = pooled(&["pooler.b.check_after=500ms", TWO]);
    assert_eq!((two.shortest(), opened(&two)), (ms(18), 2));
    // With 0 also one that comes back for somebody who waits: 26 and 2 ms, and 2 for the first.
    let line = ["pooler.b.check_after=0s", "pooler.b.size=1", TWO];
    assert_eq!(pooled(&line).shortest(), ms(32));
    let after = |kind: &str| {
        let model = model(POOLED, &[&format!("pooler.b.kind={kind}")]);
        model.poolers.iter().next().and_then(|it| it.config.check_after)
    };
    let half = Some(Duration::secs(30));
    assert_eq!(
        ["pgbouncer", "neon", "supavisor", "rds-proxy"].map(after),
        [half, half, None, None]
    );
}

#[test]
fn a_server_may_end_an_idle_transaction_behind_a_pooler() {
    // A transaction lies idle for 3 s; the server ends it after one, and both keep count of their connections.
    let once = "operation.read.flow = [{ transaction = { pool = 'pg', flow = [{ query = { pool = 'pg', read = '1ms' } }, \
        { wait = '3s' }, { query = { pool = 'pg', read = '1ms' } }] } }]";
    let ran = pooled(&[
        "database.db.idle_in_transaction_timeout=1s",
        "arrivals.rate=0.2/s",
        "run.duration=29s",
        once,
    ]);
    assert_eq!((ran.ok(), ran.failed(Failure::IdleTransaction)), (0, 5));
    assert_eq!((opened(&ran), ran.count("pooler.b", Counter::Closed)), (5, 5));
}

#[test]
fn rds_proxy_leaves_a_share_of_its_connections_open() {
    // Ten come at once, and four connections are opened, which nobody uses any more.
    let closed = |sets: &[&str]| {
        let four = ["pooler.b.kind=rds-proxy", "pooler.b.size=4", "pooler.b.idle_timeout=1s"];
        let ran = run(TEN, &[&four[..], sets].concat());
        assert_eq!((ran.ok(), opened(&ran)), (10, 4));
        (ran.count("pooler.b", Counter::Closed), ran.held("pooler.b").last().copied())
    };
    assert_eq!(closed(&[]), (2, Some(2.0)));
    assert_eq!(closed(&["pooler.b.idle_share=0%"]), (4, Some(0.0)));
    assert_eq!(closed(&["pooler.b.idle_share=76%"]), (1, Some(3.0)), "whole ones");
    assert_eq!(closed(&["pooler.b.idle_share=100%"]), (0, Some(4.0)));
    assert_eq!(closed(&["pooler.b.idle_timeout=60s", "pooler.b.idle_share=0%"]).0, 0);
    assert_eq!(closed(&["pooler.b.kind=supavisor"]).0, 4, "others close all");
    // By default half of what the server has for it, 97, after five minutes.
    let model = model(TEN, &["pooler.b.kind=rds-proxy"]);
    let config = model.poolers.iter().next().map(|it| it.config).expect("one");
    assert_eq!(
        (config.size, config.spare, config.idle_timeout),
        (97, 48, Some(Duration::secs(300)))
    );
}
