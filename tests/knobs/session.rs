//! Session stores.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run, us};

const TABLE: &str = r#"
[service.web]
before = ["session.s"]
[pool.pg]
service = "web"
database = "db"
[database.db]
rtt = "0ms"
connect = "0ms"
[session.s]
store.postgres = { pool = "pg", read = "5ms", write = "10ms" }
[operation.work]
share = 1
flow = [{ cpu = "1ms" }, { reply = "1KB" }]
"#;

fn table(sets: &[&str]) -> Ran {
    run(TABLE, sets)
}

/// Reads and writes of the database.
fn statements(ran: &Ran) -> (u64, u64) {
    (ran.count("database.db", Counter::Reads), ran.count("database.db", Counter::Writes))
}

#[test]
fn a_request_reads_its_session_and_touches_it() {
    let ran = table(&[]);
    assert_eq!(
        (statements(&ran), ran.each()),
        ((10, 10), ms(16)),
        "the answer waits for the touch"
    );
    let ran = table(&["session.s.resave=false", "session.s.touch=false"]);
    assert_eq!((statements(&ran), ran.each()), ((10, 0), ms(6)));
    let store = "session.s.store={postgres={pool='pg', read='1ms', write='2ms'}}";
    assert_eq!(table(&[store]).each(), ms(4));
}

#[test]
fn steps_after_the_answer_touch_nothing_again() {
    let flow = "operation.work.flow=[{cpu='1ms'}, {choose=[{share='100%', flow=[{reply='1KB'}]}]}, {cpu='1ms'}]";
    let ran = table(&[flow]);
    assert_eq!((statements(&ran), ran.each()), ((10, 10), ms(16)));
}

#[test]
fn a_login_makes_a_session() {
    let ran = table(&["operation.work.login=true"]);
    assert_eq!((statements(&ran), ran.count("session.s", Counter::Created)), ((0, 10), 10));
    // Saving it by hand does not save it twice: the end of the answer touches it.
    let flow = "operation.work.flow=[{session='save'}, {reply='1KB'}]";
    let ran = table(&["operation.work.login=true", flow]);
    assert_eq!((statements(&ran), ran.count("session.s", Counter::Created)), ((0, 20), 10));
}

#[test]
fn sessions_can_be_read_saved_and_destroyed_by_hand() {
    let flow = |what: &str| format!("operation.work.flow=[{{session='{what}'}}, {{reply='1KB'}}]");
    assert_eq!(statements(&table(&[&flow("read")])), (20, 10));
    assert_eq!(statements(&table(&[&flow("save")])), (10, 20));
    // After a logout the next request finds nothing and makes a session, which then is destroyed.
    let ran = table(&[&flow("destroy"), "session.s.resave=false", "session.s.touch=false"]);
    assert_eq!(statements(&ran), (10, 10));
    assert_eq!(
        (ran.count("session.s", Counter::Hits), ran.count("session.s", Counter::Misses)),
        (1, 9)
    );
}

#[test]
fn a_step_names_its_store() {
    let text = format!(
        "{TABLE}\n[session.t]\nstore.redis = {{ cache = 'c' }}\n[cache.c]\nrtt='0ms'\ncommand='3ms'\n"
    );
    let flow = "operation.work.flow=[{session={read={of='t'}}}, {reply='1KB'}]";
    let ran = run(&text, &[flow]);
    assert_eq!((ran.count("cache.c", Counter::Arrivals), ran.each()), (10, ms(18)));
}

#[test]
fn guests_make_sessions_or_none() {
    let guests = "session.s.guests=100%";
    let ran = table(&[guests]);
    assert_eq!((statements(&ran), ran.count("session.s", Counter::Created)), ((0, 10), 10));
    let ran = table(&[guests, "session.s.save_uninitialized=false"]);
    assert_eq!((statements(&ran), ran.each()), ((0, 0), ms(1)));
    let ran = table(&[
        "session.s.guests=30%",
        "session.s.save_uninitialized=false",
        "arrivals.rate=30/s",
    ]);
    assert!((60..130).contains(&(ran.offered() - ran.count("session.s", Counter::Reads))));
}

#[test]
fn a_store_has_its_own_pool_or_shares_one() {
    let hold =
        "operation.work.flow=[{transaction={pool='pg', flow=[{wait='700ms'}]}}, {reply='1KB'}]";
    let sets = ["arrivals.rate=2/s", hold, "pool.pg.size=1"];
    // Shared: the session's statements wait for the transaction's connection.
    assert!(table(&sets).longest() > ms(2_000));
    let own = |more: &str| {
        format!(
            "session.s.store={{postgres={{own={{database='db'{more}}}, read='5ms', write='10ms'}}}}"
        )
    };
    let text = TABLE.replace(
        "store.postgres = { pool = \"pg\", read = \"5ms\", write = \"10ms\" }",
        "store = 'jwt'",
    );
    let ran = run(&text, &[&sets[..1], &[&own(""), hold]].concat());
    assert_eq!(ran.each(), ms(715));
    assert_eq!(ran.station("pool.s-own").capacity, 10.0);
    let ran = run(&text, &[&own(", size=3")]);
    assert_eq!(ran.station("pool.s-own").capacity, 3.0);
    let ran = run(&text, &[&own(", idle_timeout='500ms'")]);
    assert_eq!(ran.count("pool.s-own", Counter::Opened), 10);
    let slow = "session.s.store={postgres={own={database='db', size=1, acquire_timeout='1500ms'}, read='4s'}}";
    let ran = run(&text, &[slow]);
    assert!(ran.failed(loadbearing::failure::Failure::AcquireTimeout) > 4);
    assert_eq!(ran.outcome.failed_latency.min(), Some(ms(1_500)));
    // In another database, its statements are there.
    let text = format!("{text}\n[database.apart]\nrtt='0ms'\nconnect='0ms'\n");
    let ran = run(&text, &[&own("").replace("'db'", "'apart'")]);
    assert_eq!((ran.count("database.apart", Counter::Reads), statements(&ran)), (10, (0, 0)));
}

#[test]
fn statements_grow_with_the_table() {
    // Ten times the time with as many rows as this; the one user holds the one row.
    let grown = |growth: &str| {
        table(&[
            &format!(
                "session.s.store={{postgres={{pool='pg', read='5ms', write='10ms', growth={growth}}}}}"
            ),
            "session.s.resave=false",
            "session.s.touch=false",
            "run.start.sessions=warm",
            "operation.work.flow=[{reply='1KB'}]",
        ])
    };
    assert_eq!(grown("{rows=1, times=10}").each(), ms(50));
    assert_eq!(grown("{rows=2, times=9}").each(), ms(25));
    assert_eq!(grown("{rows=2, times=9, power=2.0}").each(), ms(15));
    assert!(grown("{rows=1_000_000_000, times=10}").each() - us(5_000) < us(1));
}

#[test]
fn sessions_end_with_their_time_to_live_and_rows_with_the_prune() {
    let sets = |ttl: &str, prune: &str| {
        let store = format!("session.s.store={{postgres={{pool='pg', prune='{prune}'}}}}");
        let ttl = format!("session.s.ttl={ttl}");
        table(&[
            &ttl,
            &store,
            "operation.work.login=true",
            "arrivals.users=1000",
            "run.duration=60s",
        ])
    };
    // One new session a second: as many live as the time to live has seconds.
    assert!((sets("20s", "15min").held("session.s")[50] - 20.0).abs() <= 1.0);
    assert!((sets("5s", "15min").held("session.s")[50] - 5.0).abs() <= 1.0);
    assert_eq!(sets("5s", "15min").count("session.s", Counter::Expired), 0);
    let expired = sets("5s", "5s").count("session.s", Counter::Expired);
    assert!((45..56).contains(&expired), "{expired}");
    // A process that has died prunes no more: at 30 s it has last done so after 22.5 s, when 17 had expired.
    let dies = "[fault.dies]\ntarget = 'service.web'\nwhat = 'stop'\nat = '30s'\n";
    let ran = run(
        &format!("{TABLE}{dies}"),
        &[
            "session.s.ttl=5s",
            "session.s.store={postgres={pool='pg', prune='5s'}}",
            "operation.work.login=true",
            "arrivals.users=1000",
            "run.duration=60s",
        ],
    );
    let expired = ran.count("session.s", Counter::Expired);
    assert!((16..=25).contains(&expired), "{expired}");
    // A user whose session has ended makes another.
    let ran = table(&[
        "session.s.ttl=500ms",
        "session.s.resave=false",
        "session.s.touch=false",
        "arrivals.rate='0.2/s'",
        "run.duration=61s",
    ]);
    let count = |counter| ran.count("session.s", counter);
    assert!(count(Counter::Misses) >= 11 && count(Counter::Created) == count(Counter::Misses));
}

#[test]
fn deleting_rows_costs_the_database() {
    let busy = |row: &str| {
        let store =
            format!("session.s.store={{postgres={{pool='pg', prune='5s', prune_row='{row}'}}}}");
        let sets = [
            "session.s.ttl=5s",
            "operation.work.login=true",
            "arrivals.users=1000",
            "run.duration=60s",
            &store,
        ];
        let ran = table(&sets);
        (ran.count("session.s", Counter::Expired), ran.station("database.db").busy_mean * 60.0)
    };
    let ((rows, free), (same, costly)) = (busy("0ms"), busy("10ms"));
    assert_eq!(rows, same);
    let per_row_s = (costly - free) / rows as f64;
    assert!((per_row_s - 0.010).abs() < 0.0005, "{per_row_s}");
}

const REDIS: &str = r#"
[service.web]
before = ["session.s"]
[cache.c]
rtt = "2ms"
command = "1ms"
overhead = "0B"
[session.s]
store.redis = { cache = "c" }
[operation.work]
share = 1
flow = [{ cpu = "1ms" }, { reply = "1KB" }]
"#;

#[test]
fn sessions_in_redis_are_two_commands_and_take_memory() {
    let ran = run(REDIS, &[]);
    assert_eq!((ran.each(), ran.count("cache.c", Counter::Arrivals)), (ms(7), 20));
    let new = [
        "operation.work.login=true",
        "cache.c.memory=50KB",
        "arrivals.users=1000",
        "arrivals.rate=10/s",
    ];
    let made =
        |size: &str| run(REDIS, &[&new[..], &[size]].concat()).count("session.s", Counter::Created);
    assert_eq!(made("session.s.size=5KB"), 11);
    assert_eq!(made("session.s.size=1KB"), 51);
    let ran = run(REDIS, &new);
    // Redis writes while it is within its memory, so one more than fits; then SET is an error, and
    // the answer leaves all the same.
    assert_eq!(made("session.s.size=4900B"), 11);
    assert_eq!(ran.count("cache.c", Counter::OutOfMemory), ran.ok() - 11);
    assert_eq!(ran.count("session.s", Counter::Errors), ran.count("cache.c", Counter::OutOfMemory));
    assert_eq!(ran.ok() + ran.outcome.requests.in_flight_end, ran.offered());
}

#[test]
fn redis_sessions_are_in_the_cache_they_name() {
    let text = format!("{REDIS}\n[cache.d]\nrtt='4ms'\ncommand='1ms'\n");
    let ran = run(&text, &["session.s.store={redis={cache='d'}}"]);
    assert_eq!((ran.each(), ran.count("cache.d", Counter::Arrivals)), (ms(11), 20));
}

#[test]
fn a_signed_token_costs_computing_only() {
    let text = REDIS.replace("store.redis = { cache = \"c\" }", "store.jwt = { cpu = \"2ms\" }");
    let ran = run(&text, &[]);
    assert_eq!((ran.each(), ran.count("cache.c", Counter::Arrivals)), (ms(3), 0));
    assert!((ran.station("service.web").busy_mean - 0.030 / 10.5).abs() < 1e-9);
}

#[test]
fn visits_begin_with_a_session_unless_users_return_with_one() {
    let sets = ["arrivals.users=100", "arrivals.rate=100/s"];
    let made = |more: &[&str]| {
        let ran = table(&[&sets[..], more].concat());
        ran.count("session.s", Counter::Created) as f64 / ran.offered() as f64
    };
    assert_eq!(made(&["run.start.sessions=warm"]), 0.0);
    // A request a second and user; visits of four: one in four begins a visit.
    let visit = "arrivals.visit=4s";
    assert!((made(&[visit, "run.start.sessions=warm"]) - 0.25).abs() < 0.05);
    assert!(
        (made(&[visit, "arrivals.returning=60%", "run.start.sessions=warm"]) - 0.1).abs() < 0.04
    );
    // Also where the rate is said by stages.
    let stages = "[arrivals]\nusers = 100\nstages = [{ for = '0s', to = '100/s' }]\nvisit = '4s'\n";
    let ran = run(&format!("{TABLE}{stages}"), &["run.start.sessions=warm"]);
    let share = ran.count("session.s", Counter::Created) as f64 / ran.offered() as f64;
    assert!((share - 0.25).abs() < 0.05, "{share}");
}

#[test]
fn closed_users_have_visits_too() {
    let text = format!("{TABLE}\n[users]\npopulation = 100\nthink.exponential = '1s'\n");
    let made = |more: &[&str]| {
        let ran = run(&text, more);
        ran.count("session.s", Counter::Created) as f64 / ran.offered() as f64
    };
    assert_eq!(made(&[]), 0.0);
    assert!((made(&["users.visit=4s"]) - 0.25).abs() < 0.05);
    assert!((made(&["users.visit=4s", "users.returning=60%"]) - 0.1).abs() < 0.04);
}

#[test]
fn tables_start_warm_or_cold() {
    let held = |start: &str| {
        table(&[start, "operation.work.login=true", "session.s.ttl=1000s", "arrivals.users=1000"])
            .held("session.s")[0]
    };
    // 1/s x 1,000 s; the 632 of them that users hold are drawn, with a deviation of 15.
    assert!((held("run.start.sessions=warm") - 1000.0).abs() < 75.0);
    assert!(held("run.start.sessions=cold") < 2.0);
}

#[test]
fn live_sessions_are_new_ones_times_their_life() {
    // 10/s of 100,000 users who hardly ever come twice: 10/s x 20 s are alive, however the run starts.
    let live = |sets: &[&str]| {
        let basic = [
            "arrivals.rate=10/s",
            "arrivals.process=poisson",
            "arrivals.users=100000",
            "session.s.ttl=20s",
            "run.duration=620s",
            "run.window=20s",
        ];
        let held = table(&[&basic[..], sets].concat()).held("session.s");
        (held[0], held[10..].iter().sum::<f64>() / held[10..].len() as f64)
    };
    let warm = "run.start.sessions=warm";
    let fixed = ["session.s.resave=false", "session.s.touch=false", warm];
    for sets in [&["run.start.sessions=cold"][..], &[warm], &fixed] {
        let (first, later) = live(sets);
        // 200 and half a second more of each; 420 s are 21 lives of a Poisson number: deviation 4.4.
        assert!((later - 205.0).abs() < 15.0, "{sets:?}: {later}");
        assert!(sets[0].contains("cold") || (first - 205.0).abs() < 50.0, "{sets:?}: {first}");
    }
}

#[test]
fn a_session_that_cannot_be_saved_does_not_keep_the_answer_back() {
    // express-session 1.19.0: `if (err) defer(next, err); writeend()`, whatever the store.
    let gone = "[fault.out]\ntarget = 'cache.c'\nwhat = 'stop'\nat = '0s'\n";
    let ran = run(&format!("{REDIS}{gone}"), &["operation.work.login=true"]);
    assert_eq!((ran.ok(), ran.count("session.s", Counter::Errors)), (10, 10));
    // Who brings one fails, since it cannot be read.
    let ran = run(&format!("{REDIS}{gone}"), &[]);
    assert_eq!((ran.ok(), ran.failed(Failure::SessionError)), (0, 10));
    // In a table the answer leaves when waiting for a connection has ended. The cookie names nothing.
    let busy =
        "\n[operation.keep]\nshare = 1\nflow = [{ query = { pool = 'pg', read = '60s' } }]\n";
    let ran = run(
        &format!("{TABLE}{busy}"),
        &[
            "pool.pg.size=1",
            "pool.pg.acquire_timeout=2s",
            "operation.work.login=true",
            "arrivals.rate=2/s",
        ],
    );
    let kept = ran.count("session.s", Counter::Errors);
    assert!(kept > 3 && ran.longest() > ms(2_000), "{kept} {:?}", ran.longest());
}

#[test]
fn checks_pass_the_middleware_where_they_say_so() {
    let lb = "[balancer.lb]\nservice = 'web'\nkind = 'alb'\n\
              [balancer.lb.checks]\ninterval = '1s'\ntimeout = '500ms'\nflow = [{ cpu = '1ms' }]\n";
    let made = |sets: &[&str]| {
        let ran = run(&format!("{TABLE}{lb}"), sets);
        (ran.count("session.s", Counter::Created), ran.count("session.s", Counter::Reads))
    };
    assert_eq!(made(&[]), (0, 10));
    let through = "balancer.lb.checks.middleware=true";
    let (rows, reads) = made(&[through]);
    assert!(rows >= 10 && reads == 10, "{rows}: a check a second and node");
    assert_eq!(made(&[through, "session.s.save_uninitialized=false"]), (0, 10));
    // The kubelet's probes alike.
    let kubelet = "[service.web.liveness.kubelet]\ninterval = '1s'\ntimeout = '500ms'\nflow = [{ cpu = '1ms' }]\n";
    let made = |sets: &[&str]| {
        run(&format!("{TABLE}{kubelet}"), &[&["service.web.replace=10s"], sets].concat())
            .count("session.s", Counter::Created)
    };
    assert_eq!(made(&[]), 0);
    assert!(made(&["service.web.liveness.kubelet.middleware=true"]) >= 9);
}

#[test]
fn a_token_takes_its_way_up_and_guests_bring_none() {
    let text = REDIS.replace("store.redis = { cache = \"c\" }", "store.jwt = { cpu = \"2ms\" }");
    let more = ["operation.work.flow=[{cpu='1ms'}]"];
    let plain = run(&text, &[]);
    let ran = run(&text, &["session.s.store={jwt={cpu='2ms', bytes='850B'}}"]);
    let bytes = |ran: &Ran| ran.count("service.web", Counter::Bytes);
    assert_eq!(bytes(&ran) - bytes(&plain), 8_500);
    // 850 B at 1 Mbit/s are 6.8 ms.
    let text = format!("{text}\n[link.l]\nbandwidth = '1Mbit/s'\ncarries = 'service.web'\n");
    let ran =
        run(&text, &[&more[..], &["session.s.store={jwt={cpu='2ms', bytes='850B'}}"]].concat());
    assert_eq!(ran.each(), us(9_800));
    let ran = run(&text, &[&more[..], &["session.s.guests=100%"]].concat());
    assert_eq!(ran.each(), ms(1));
}

#[test]
fn every_session_is_saved_again_unless_told_not_to() {
    // Nobody reads for longer than the session lives, so that its row is pruned: saving it again
    // brings it back, touching it does not.
    let writes = |sets: &[&str]| statements(&table(sets)).1;
    assert_eq!(writes(&["session.s.touch=false"]), 10, "saved whatever the touch");
    assert_eq!(writes(&["session.s.resave=false"]), 10, "touched instead");
    assert_eq!(writes(&["session.s.resave=false", "session.s.touch=false"]), 0);
}

#[test]
fn a_cookie_ends_at_its_age_unless_every_answer_renews_it() {
    let made = |sets: &[&str]| {
        let basic = ["operation.work.login=false", "run.duration=20500ms"];
        let ran = table(&[&basic[..], sets].concat());
        ran.count("session.s", Counter::Created)
    };
    assert_eq!(made(&[]), 0);
    // The first cookie is of any age; then one every five requests (4 s have passed at the fifth).
    let plain = made(&["session.s.cookie=4s"]);
    assert!((3..=5).contains(&plain), "{plain}");
    assert_eq!(made(&["session.s.cookie=4s", "session.s.rolling=true"]), 0);
}

#[test]
fn memory_of_a_worker_is_unknown_to_the_others() {
    let text = TABLE.replace(
        "store.postgres = { pool = \"pg\", read = \"5ms\", write = \"10ms\" }",
        "store.memory = { cpu = \"2ms\" }",
    );
    let text = text.replace(
        "[pool.pg]\nservice = \"web\"\ndatabase = \"db\"\n[database.db]\nrtt = \"0ms\"\nconnect = \"0ms\"\n",
        "",
    );
    let ran = run(&text, &["run.start.sessions=warm", "operation.work.login=true"]);
    assert_eq!(ran.each(), ms(3), "saved on the loop");
    let hits = |sets: &[&str]| {
        let ran = run(&text, sets);
        (ran.count("session.s", Counter::Hits), ran.count("session.s", Counter::Created))
    };
    // One user, in turns at two workers: each makes a session that the other does not know.
    assert_eq!(hits(&[]), (9, 1));
    assert_eq!(hits(&["service.web.workers=2", "service.web.cores=2"]), (0, 10));
}

#[test]
fn revoked_tokens_are_looked_up() {
    let text = REDIS.replace(
        "store.redis = { cache = \"c\" }",
        "store.jwt = { cpu = \"2ms\", revocation = \"c\" }",
    );
    let ran = run(&text, &[]);
    assert_eq!((ran.each(), ran.count("cache.c", Counter::Arrivals)), (ms(6), 10));
}

#[test]
fn sessions_in_memory_without_an_age_end_with_their_process_only() {
    let text = "[service.web]\nbefore = ['session.s']\n[session.s]\nstore.memory = {}\nttl = '2s'\n\
                [operation.work]\nshare = 1\nflow = [{ cpu = '1ms' }]\n";
    let every = ["arrivals={process='even', rate='0.2/s', users=1}", "run.duration=52s"];
    let ran = |sets: &[&str]| run(text, &[&every[..], sets].concat());
    let counts = |ran: &Ran| {
        (ran.count("session.s", Counter::Hits), ran.count("session.s", Counter::Created))
    };
    // One user who comes every 5 s: the session that the first request makes is there for all others.
    assert_eq!(counts(&ran(&[])), (9, 1));
    assert_eq!(counts(&ran(&["session.s.cookie=2s", "session.s.rolling=true"])), (0, 10));
    // The browser has forgotten that cookie as well: but for the first time nobody is asked for.
    let rolls = ran(&["session.s.cookie=2s", "session.s.rolling=true"]);
    assert!(rolls.count("session.s", Counter::Reads) <= 1);
    // Those of guests stay for good: ten of them in the end, where 2 s would leave none for the next.
    let peak = |sets: &[&str]| {
        let held = ran(&[&["session.s.guests=100%"], sets].concat()).held("session.s");
        held.into_iter().fold(0.0, f64::max)
    };
    assert_eq!(peak(&[]), 10.0);
    assert!(peak(&["session.s.cookie=2s"]) <= 1.0);
}
