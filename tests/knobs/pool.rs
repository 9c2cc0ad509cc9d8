//! Pools by the rules of their drivers.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, model, ms, run, us};

const ONE_READ: &str = r#"
[service.web]
[pool.pg]
service = "web"
database = "db"
[database.db]
rtt = "2ms"
connect = "0ms"
[operation.read]
share = 1
flow = [{ query = { pool = "pg", read = "10ms" } }]
"#;
/// Two statements side by side.
const TWO: &str = "operation.read.flow = [{ parallel = [\
    [{ query = { pool = 'pg', read = '10ms' } }], [{ query = { pool = 'pg', read = '10ms' } }]] }]";

fn read(sets: &[&str]) -> Ran {
    run(ONE_READ, sets)
}

/// A pool of SQLAlchemy with these options.
fn sqlalchemy(options: &str, sets: &[&str]) -> Ran {
    let driver = format!("pool.pg.driver={{ sqlalchemy = {{ {options} }} }}");
    read(&[&[driver.as_str()][..], sets].concat())
}

fn opened(ran: &Ran) -> u64 {
    ran.count("pool.pg", Counter::Opened)
}

#[test]
fn drivers_have_their_own_rules_and_defaults() {
    assert_eq!(read(&["pool.pg.driver=node-postgres"]).each(), ms(12));
    // BEGIN and ROLLBACK are round trips of their own.
    let ran = read(&["pool.pg.driver=sqlalchemy"]);
    assert_eq!(ran.each(), ms(16));
    assert_eq!(ran.station("pool.pg").capacity, 15.0);
    assert_eq!(ran.count("pool.pg", Counter::Closed), 0, "idle connections stay");
    let hold = "operation.read.flow=[{transaction={pool='pg', flow=[{wait='60s'}]}}]";
    let sets = ["pool.pg.size=1", "run.duration=40s", hold];
    let ran = sqlalchemy("max_overflow = 0", &sets);
    assert_eq!(ran.failed(Failure::AcquireTimeout), 9, "after 30 s");
    assert_eq!(ran.each_failed(), ms(30_000));
}

#[test]
fn the_pools_of_python_open_a_floor_and_grow_in_their_own_way() {
    let ran = read(&["pool.pg.driver=neon"]);
    assert_eq!((ran.each(), opened(&ran)), (ms(12), 1), "node-postgres over another wire");
    // asyncpg: ten at the start, no transaction, but a reset of one round trip.
    let ran = read(&["pool.pg.driver=asyncpg"]);
    assert_eq!((ran.each(), opened(&ran)), (ms(14), 10));
    assert_eq!(opened(&read(&["pool.pg.driver=asyncpg", "pool.pg.min=3"])), 3);
    // psycopg: four at the start, and a transaction.
    let ran = read(&["pool.pg.driver=psycopg"]);
    assert_eq!((ran.each(), opened(&ran)), (ms(16), 4));
    let ran = read(&["pool.pg.driver={psycopg={autocommit=true}}"]);
    assert_eq!(ran.each(), ms(12));
    // Two at once where one is open: psycopg grows for nobody in particular, and the second is given
    // whichever connection is there first.
    let sets = ["pool.pg.min=1", "pool.pg.size=2", "database.db.connect=300ms", TWO];
    let grows = read(&[&sets[..], &["pool.pg.driver={psycopg={autocommit=true}}"]].concat());
    assert_eq!((grows.longest(), opened(&grows)), (ms(24), 2));
}

#[test]
fn connections_are_worn_out_by_uses_and_by_age() {
    assert_eq!(opened(&read(&["pool.pg.max_uses=2"])), 5);
    // Idle for 2.5 s since they were opened: at 1, 4, 7 and 10 s.
    assert_eq!(opened(&read(&["pool.pg.max_lifetime=2500ms"])), 4);
    // SQLAlchemy looks at the next checkout, 3 s after the last opening.
    assert_eq!(opened(&sqlalchemy("", &["pool.pg.max_lifetime=2500ms"])), 4);
    assert_eq!(opened(&sqlalchemy("", &[])), 1);
}

#[test]
fn overflow_is_closed_when_it_comes_back() {
    let ran = sqlalchemy("max_overflow = 1, asyncio = false", &["pool.pg.size=1", TWO]);
    assert_eq!((ran.each(), opened(&ran)), (ms(16), 11));
    assert_eq!(ran.count("pool.pg", Counter::Closed), 10);
    let ran = sqlalchemy("max_overflow = 0", &["pool.pg.size=1", TWO]);
    assert_eq!((ran.each(), opened(&ran)), (ms(32), 1));
    // With asyncio the closing is awaited.
    let ran = sqlalchemy("max_overflow = 1", &["pool.pg.size=1", TWO]);
    assert_eq!(ran.each(), ms(18));
}

#[test]
fn a_used_connection_is_tried_out() {
    let span = |options: &str| {
        let ran = sqlalchemy(options, &[]);
        (ran.shortest(), ran.longest())
    };
    assert_eq!(span("pre_ping = true"), (ms(16), ms(22)));
    assert_eq!(span("pre_ping = true, asyncio = false"), (ms(16), ms(18)));
    assert_eq!(span("pre_ping = true, autocommit = true"), (ms(12), ms(14)));
    assert_eq!(span("autocommit = true"), (ms(12), ms(12)));
}

#[test]
fn idle_connections_are_lent_in_turn_or_the_hot_one_always() {
    // Two connections of 0 s. In turn, both are too old at 4 s, or 5 s, and 8 s, or 9 s.
    let sets = ["pool.pg.size=2", "pool.pg.max_lifetime=3500ms", "run.start.pools=full"];
    assert_eq!(opened(&sqlalchemy("use_lifo = false", &sets)), 4);
    assert_eq!(opened(&sqlalchemy("use_lifo = true", &sets)), 2);
}

#[test]
fn prisma_counts_the_cores_of_its_machine_and_gives_up_after_ten_seconds() {
    // Twenty at once, each for 6 s: three connections of one core serve two turns in ten seconds.
    let text = "[service.web]\n[pool.pg]\nservice = 'web'\ndatabase = 'db'\ndriver = 'prisma'\n\
                [database.db]\ncores = 64\nrtt = '0ms'\nconnect = '0ms'\n\
                [operation.ask]\nshare = 1\nflow = [{ query = { pool = 'pg', read = '6s' } }]\n";
    let ran = |sets: &[&str]| {
        let burst = [
            "arrivals.rate=1000/s",
            "arrivals.stages=[{for='20500us', to='1000/s'}, {for='0s', to='0/s'}]",
            "run.duration=60s",
        ];
        let ran = run(text, &[&burst[..], sets].concat());
        (ran.ok(), ran.failed(Failure::AcquireTimeout), ran.count("pool.pg", Counter::Opened))
    };
    assert_eq!(ran(&[]), (6, 14, 3));
    assert_eq!(ran(&["pool.pg.driver={prisma={cores=4}}"]), (18, 2, 9));
    assert_eq!(ran(&["pool.pg.acquire_timeout=15s"]), (9, 11, 3));
    assert_eq!(ran(&["pool.pg.size=20"]), (20, 0, 20));
    // A statement that fails leaves its connection as it is; that of node-postgres is closed.
    let closed = |driver: &str| {
        let sets = ["operation.ask.flow=[{query={pool='pg', read='1ms', fail='100%'}}]", driver];
        run(text, &sets).count("pool.pg", Counter::Closed)
    };
    assert_eq!(closed("pool.pg.driver=prisma"), 0);
    assert!(closed("pool.pg.driver=node-postgres") >= 9);
}

#[test]
fn a_driver_gives_up_on_a_statement_and_the_server_does_not() {
    let ran = read(&["pool.pg.query_timeout=4ms"]);
    assert_eq!((ran.each_failed(), ran.failed(Failure::QueryTimeout)), (ms(4), 10));
    // All the same every statement was run, each over a connection that was closed then.
    assert_eq!(ran.count("database.db", Counter::Served), 10);
    assert_eq!((ran.count("database.db", Counter::Wasted), opened(&ran)), (10, 10));
    assert_eq!(read(&["pool.pg.query_timeout=13ms"]).each(), ms(12));
    // The answer is on its way when the driver gives up: nothing more is done for nobody.
    let late = read(&["pool.pg.query_timeout=11500us"]);
    assert_eq!((late.each_failed(), late.count("database.db", Counter::Wasted)), (us(11_500), 0));
    // Its connection counts until the statement ends: every other request finds no place.
    let flow = "operation.read.flow=[{query={pool='pg', read='1900ms'}}]";
    let sets = ["database.db.max_connections=4", flow];
    let given_up = read(&[&sets[..], &["pool.pg.query_timeout=100ms"]].concat());
    let full = given_up.failed(Failure::TooManyConnections);
    assert_eq!((given_up.failed(Failure::QueryTimeout), full), (5, 5));
    // A server that looks every half second for its client ends the statement after that, at 500 of 1,900 ms, so that
    // all find a place. The last one begins at 10.001 s and is cut off by the end of the run at 10.5 s.
    let looks = |every: &str| {
        let check = format!("database.db.client_check={every}");
        let ran = read(&[&sets[..], &["pool.pg.query_timeout=100ms", &check]].concat());
        let busy = ran.station("database.db").busy_mean * 10.5;
        let counts = [Counter::TimedOut, Counter::Served].map(|it| ran.count("database.db", it));
        (ran.failed(Failure::TooManyConnections), counts, (busy * 1e3).round())
    };
    assert_eq!(looks("500ms"), (0, [9, 0], 4_999.0));
    assert_eq!(
        looks("30ms"),
        (0, [10, 0], 1_200.0),
        "the fourth look is the first that finds nobody"
    );
    assert_eq!(looks("2s"), (5, [0, 4], 9_099.0), "it has ended by then");
    // The server cancels what it knows to be too long.
    let cancelled = read(&[&sets[..], &["pool.pg.statement_timeout=100ms"]].concat());
    assert_eq!(cancelled.failed(Failure::StatementTimeout), 10);
    assert_eq!(cancelled.each_failed(), ms(102));
    let own = ["pool.pg.statement_timeout=50ms", "database.db.statement_timeout=100ms"];
    assert_eq!(read(&[&sets[..], &own].concat()).each_failed(), ms(52));
}

#[test]
fn an_opening_is_given_up_after_its_time() {
    // Each request opens a connection of its own, and gives it up; so do those of the next two seconds.
    let slow = ["database.db.connect=3s", "pool.pg.min=0", "run.duration=20s"];
    let asyncpg = |more: &[&str]| read(&[&slow[..], &["pool.pg.driver=asyncpg"], more].concat());
    let ran = asyncpg(&["pool.pg.connect_timeout=1500ms"]);
    assert_eq!((ran.ok(), ran.each_failed()), (0, ms(1_500)));
    let timed_out = ran.count("pool.pg", Counter::TimedOut);
    assert_eq!((ran.failed(Failure::AcquireTimeout), timed_out, opened(&ran)), (18, 18, 0));
    assert_eq!(asyncpg(&["pool.pg.connect_timeout=3100ms"]).failed(Failure::AcquireTimeout), 0);
    // The server has its slot back a round trip later: two are enough for 1.5 s each, and one is not.
    let slots = |most: &str| {
        let most = format!("database.db.max_connections={most}");
        asyncpg(&["pool.pg.connect_timeout=1500ms", &most]).failed(Failure::TooManyConnections)
    };
    assert_eq!((slots("5"), slots("4")), (0, 9));
    // Where nobody says so, each driver has its own patience; node-postgres has one time for all.
    let each = |driver: &str| {
        let model = model(ONE_READ, &[&format!("pool.pg.driver={driver}")]);
        model.pools.iter().next().and_then(|pool| pool.connect_timeout).map(|it| it.seconds())
    };
    let drivers = ["asyncpg", "psycopg", "prisma", "sqlalchemy", "{sqlalchemy={asyncio=false}}"];
    assert_eq!(drivers.map(each), [60.0, 130.0, 5.0, 60.0, 130.0].map(Some));
    assert_eq!(["node-postgres", "neon"].map(each), [None, None]);
    // Nobody answers: asyncpg gives up after a minute, libpq when Linux does, after 127 s.
    let cut = "fault.f={target='database.db', what='cut'}";
    let lost = |driver: &str, until: &str| read(&[cut, driver, "pool.pg.min=0", until]);
    let asyncpg = lost("pool.pg.driver=asyncpg", "run.duration=70500ms");
    assert_eq!((asyncpg.failed(Failure::AcquireTimeout), asyncpg.each_failed()), (10, ms(60_000)));
    let five = "pool.pg.driver={sqlalchemy={asyncio=false, max_overflow=0}}";
    let libpq = lost(five, "run.duration=150s");
    assert_eq!(libpq.failed(Failure::DatabaseDown), 5, "of five places");
}

#[test]
fn a_client_that_is_kept_sends_the_next_statement_when_the_last_one_has_ended() {
    // Each second a request, over one connection; its statement takes 1,500 ms at the server.
    let flow = "operation.read.flow=[{query={pool='pg', read='1500ms'}}]";
    let keep = ["pool.pg.size=1", "pool.pg.on_error=keep", flow];
    let ran = read(&[&keep[..], &["pool.pg.query_timeout=900ms"]].concat());
    // Asked at 1 s and given up at 1.9 s, the first runs until 2.501 s and is answered at 2.502 s. The second
    // waits in the client from 2 s, is given up at 2.9 s, and answered at 4.004 s. The third comes at 3 s and
    // is given up at 3.9 s: the server has never heard of it. So it is with every third.
    assert_eq!((ran.failed(Failure::QueryTimeout), ran.each_failed()), (9, ms(900)));
    assert_eq!(opened(&ran), 1, "the connection is the same all the time");
    let at_server = [Counter::Arrivals, Counter::Served, Counter::Wasted];
    assert_eq!(at_server.map(|it| ran.count("database.db", it)), [7, 6, 6]);
    // Only the first is slow: the second waits for it from 2 s to 2.502 s, and takes 152 ms.
    let slow = "fault.f={target='database.db', what={slow=10}, at='500ms', for='1s'}";
    let brief = "operation.read.flow=[{query={pool='pg', read='150ms'}}]";
    let sets = ["pool.pg.query_timeout=900ms", slow, brief, "run.duration=2900ms"];
    let waited = read(&[&keep[..2], &sets].concat());
    assert_eq!((waited.failed(Failure::QueryTimeout), waited.each()), (1, ms(502 + 152)));
    // A transaction's connection is the application's to give back, and it keeps it.
    let flow = "operation.read.flow=[{transaction={pool='pg', flow=[{query={pool='pg', write='1500ms'}}]}}]";
    let alone = ["pool.pg.size=1", "pool.pg.query_timeout=900ms", flow];
    assert_eq!(opened(&read(&alone)), 1);
    assert_eq!(opened(&read(&[&alone[..], &["pool.pg.on_error=destroy"]].concat())), 10);
    // Closing a connection whose statement goes on destroys its socket: the server keeps its place.
    let used = read(&[&keep[..], &["pool.pg.query_timeout=900ms", "pool.pg.max_uses=1"]].concat());
    assert_eq!((opened(&used), used.count("pool.pg", Counter::Closed)), (10, 9));
    assert_eq!(used.count("database.db", Counter::Wasted), 9);
    // A server that goes away takes what waits with it.
    let fault = "fault.gone={target='database.db', what='stop', at='2400ms', for='100ms'}";
    let gone = read(&[&keep[..], &["pool.pg.query_timeout=900ms", fault]].concat());
    assert_eq!(gone.failed(Failure::DatabaseDown), 1);
}

#[test]
fn asyncpg_has_the_server_cancel_what_takes_too_long() {
    // The statement comes to the server after 1 ms and would end at 11 ms. The request to cancel it sets
    // out when the driver gives up, and is there two and a half round trips of 2 ms later.
    let ran = |timeout: &str| {
        let ran = read(&["pool.pg.driver=asyncpg", &format!("pool.pg.query_timeout={timeout}")]);
        let count = |counter| ran.count("database.db", counter);
        let counts = [count(Counter::Served), count(Counter::TimedOut), count(Counter::Wasted)];
        assert_eq!(opened(&ran), 10, "connections are kept");
        (ran, counts)
    };
    let (cancelled, counts) = ran("4ms");
    assert_eq!((cancelled.failed(Failure::QueryTimeout), counts), (10, [0, 10, 0]));
    assert_eq!(cancelled.each_failed(), ms(10), "cancelled after 9 ms, and half a trip back");
    // One that ends before the server has heard of it has failed too.
    let (ended, counts) = ran("8ms");
    assert_eq!((ended.each_failed(), counts), (ms(12), [0, 10, 0]));
    let (on_its_way, counts) = ran("11500us");
    assert_eq!((on_its_way.failed(Failure::QueryTimeout), counts), (10, [10, 0, 0]));
    assert_eq!(ran("13ms").0.each(), ms(14), "in time; the reset takes a trip");
}

#[test]
fn a_connection_that_is_cut_as_it_goes_back_is_the_affair_of_its_pool() {
    let cut = |driver: &str, at: &str, sets: &[&str]| {
        let driver = format!("pool.pg.driver={driver}");
        let fault =
            format!("fault.f={{target='database.db', what='stop', at='{at}', for='100ms'}}");
        let ran = read(&[&[&driver, &fault, "pool.pg.min=1"], sets].concat());
        assert_eq!(ran.count("pool.pg", Counter::Closed), 1);
        (ran.failed(Failure::DatabaseDown), ran.ok())
    };
    // The request of 3 s: BEGIN until 3.002 s, the statement until 3.014 s, ROLLBACK until 3.016 s. SQLAlchemy
    // logs that its ROLLBACK has failed; what fails for the statement fails the request.
    assert_eq!(cut("sqlalchemy", "3014500us", &[]), (0, 10));
    assert_eq!(cut("sqlalchemy", "3010ms", &[]), (1, 9));
    // psycopg's COMMIT at the same time is the request's own.
    assert_eq!(cut("psycopg", "3014500us", &[]), (1, 9));
    // asyncpg resets until 3.014 s, and raises what goes wrong; one that it knows to be closed it does not reset.
    assert_eq!(cut("asyncpg", "3012500us", &[]), (1, 9));
    let holds = "operation.read.flow=[{transaction={pool='pg', bare=true, flow=[\
                 {query={pool='pg', read='10ms'}}, {cpu='50ms'}]}}]";
    assert_eq!(cut("asyncpg", "3030ms", &[holds]), (0, 10));
}

#[test]
fn a_plan_says_how_many_connections_its_server_accepts() {
    let left = |plan: &str| {
        let model = model(ONE_READ, &[&format!("database.db.plan={plan}")]);
        model.databases.iter().next().expect("one").slots
    };
    assert_eq!(left("{rds='8GiB'}"), 901 - 3);
    assert_eq!(left("{neon=0.25}"), 104 - 7);
    assert_eq!(left("{digitalocean='1GiB'}"), 22);
    assert_eq!(left("{cloud-sql='3.75GiB'}"), 100 - 3);
    let sizes = ["nano", "micro", "small", "medium", "large", "xl"]
        .map(|size| left(&format!("{{supabase='{size}'}}")));
    assert_eq!(sizes, [57, 57, 87, 117, 157, 237]);
    let larger =
        ["2xl", "4xl", "8xl", "12xl", "16xl"].map(|size| left(&format!("{{supabase='{size}'}}")));
    assert_eq!(larger, [377, 477, 487, 497, 497]);
    let heroku = ["essential-0", "essential-1", "essential-2"]
        .map(|plan| left(&format!("{{heroku='{plan}'}}")));
    assert_eq!(heroku, [20, 20, 40]);
    let standard = ["standard-0", "standard-2", "standard-3"]
        .map(|plan| left(&format!("{{heroku='{plan}'}}")));
    assert_eq!(standard, [120, 400, 500]);
    // What is said counts, and the rest is the plan's.
    let said = ["database.db.plan={heroku='essential-0'}", "database.db.max_connections=30"];
    let model = model(ONE_READ, &said);
    assert_eq!(model.databases.iter().next().expect("one").slots, 30);
}

#[test]
fn psycopg_lets_so_many_wait() {
    // Ten at once for one connection, which each has for 100 ms.
    let text = "[arrivals]\nprocess = 'even'\nrate = '1_000/s'\nusers = 10\n\
                stages = [{ for = '10500us', to = '1_000/s' }, { for = '0s', to = '0/s' }]\n\
                [service.web]\n[pool.pg]\nservice = 'web'\ndatabase = 'db'\nsize = 1\nmin = 1\n\
                driver.psycopg.autocommit = true\n[database.db]\nrtt = '0ms'\nconnect = '0ms'\n\
                [operation.read]\nshare = 1\nflow = [{ query = { pool = 'pg', read = '100ms' } }]\n";
    let failed = |more: &str| {
        let driver = format!("pool.pg.driver={{psycopg={{autocommit=true{more}}}}}");
        let ran = run(text, &["run.duration=30s", &driver]);
        (ran.failed(Failure::AcquireTimeout), ran.ok())
    };
    assert_eq!(failed(""), (0, 10));
    assert_eq!(failed(", max_waiting=4"), (5, 5));
    assert_eq!(failed(", max_waiting=20"), (0, 10));
}
