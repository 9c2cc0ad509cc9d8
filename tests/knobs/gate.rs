//! Limits and guards.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;
use loadbearing::topology::load;

use crate::support::{Ran, ms, run};

const LIMITED: &str = r#"
[service.web]
before = ["limit.l"]
[limit.l]
max = 5
[operation.work]
share = 1
flow = [{ cpu = "1ms" }]
[operation.other]
share = 0
flow = [{ cpu = "1ms" }]
"#;

fn limited(sets: &[&str]) -> Ran {
    run(LIMITED, sets)
}

#[test]
fn a_window_admits_exactly_so_many() {
    let ran = limited(&[]);
    assert_eq!((ran.ok(), ran.failed(Failure::Limited)), (5, 5));
    let ran = limited(&["limit.l.max=100", "arrivals.rate=150/min", "run.duration=60s"]);
    assert_eq!((ran.ok(), ran.failed(Failure::Limited)), (100, 50));
    assert_eq!(limited(&["limit.l.max=0"]).ok(), 0);
    // A window begins with the first request: 1, 2, 3 | 4, 5, 6 | 7, 8, 9 | 10.
    assert_eq!(limited(&["limit.l.max=2", "limit.l.window=3s"]).ok(), 7);
}

/// Two requests in 4 s, who come at 1, 2, ... 10 s: worked out by hand for each rule.
#[test]
fn an_algorithm_counts_as_it_says() {
    let ok = |algorithm: &str| {
        let algorithm = format!("limit.l.algorithm={algorithm}");
        let ran = limited(&["limit.l.max=2", "limit.l.window=4s", &algorithm]);
        (ran.ok(), ran.failed(Failure::Limited))
    };
    assert_eq!(ok("fixed-window"), (6, 4), "1 2, 5 6, 9 10");
    assert_eq!(ok("sliding-log"), (4, 6), "1 2, 6 7");
    assert_eq!(ok("sliding-counter"), (5, 5), "1 2, 5 7, 9");
    assert_eq!(ok("token-bucket"), (6, 4), "1 2 3, then every other one");
    assert_eq!(ok("gcra"), (6, 4));
    assert_eq!(ok("{token-bucket={burst=1}}"), (5, 5), "every other one");
    assert_eq!(ok("{gcra={burst=1}}"), (5, 5));
    assert_eq!(ok("leaky-bucket"), (5, 5));
    // With a place in the queue 1, 2, 3, 5, 7 and 9 pass, the last of them at 11 s.
    assert_eq!(ok("{leaky-bucket={queue=1}}"), (5, 4));
    assert_eq!(ok("{cycles={timeout='0s'}}"), (6, 4), "1 2, 4 5, 8 9");
}

/// 1,050 requests evenly in 10.5 s, and a limit that says of its rate what it is told to.
#[test]
fn cycles_have_the_rate_of_resilience4j() {
    let text = LIMITED.replace("max = 5\n", "");
    let come = ["arrivals.rate=100/s", "arrivals.process=even", "arrivals.users=1"];
    let refused = |sets: &[&str]| run(&text, &[&come[..], sets].concat()).failed(Failure::Limited);
    let cycles = "limit.l.algorithm={cycles={timeout='0s'}}";
    assert_eq!(refused(&[]), 1_050 - 5, "express-rate-limit's in a minute");
    assert_eq!(refused(&[cycles]), 0);
    // One permit for each 500 ns is enough; fifty for each of eleven seconds are not.
    assert_eq!(refused(&[cycles, "limit.l.max=1"]), 0);
    assert_eq!(refused(&[cycles, "limit.l.window=1s"]), 1_050 - 550);
    // One limiter has one count for whoever comes, unless users are said to be counted apart.
    let ten = [cycles, "limit.l.max=1", "limit.l.window=1s", "arrivals.users=10"];
    assert_eq!(refused(&ten), 1_050 - 11);
    assert_eq!(refused(&[&ten[..], &["limit.l.per=all"]].concat()), 1_050 - 11);
    let apart = refused(&[&ten[..], &["limit.l.per=user"]].concat());
    assert!((1_050 - 110..1_050 - 100).contains(&apart), "{apart}");
}

#[test]
fn a_limit_without_a_rate_of_its_own_says_one() {
    let file = format!("version = 1\n[arrivals]\nrate = '1/s'\n{LIMITED}");
    let said = |algorithm: &str| {
        let sets = [format!("limit.l.algorithm={algorithm}")];
        let found = load("test.toml", &sets, &mut |_| Ok(file.clone())).diagnostics;
        found.into_iter().find(|it| it.slug == "missing-key").map(|it| it.message)
    };
    assert_eq!((said("fixed-window"), said("cycles")), (None, None));
    let words = "`limit.l` needs `window`: its `algorithm` has no rate";
    for algorithm in ["sliding-log", "sliding-counter", "token-bucket", "gcra", "leaky-bucket"] {
        assert_eq!(said(algorithm).as_deref(), Some(words), "{algorithm}");
    }
}

#[test]
fn a_request_waits_for_its_turn_or_its_permit() {
    let ran = |algorithm: &str| {
        let algorithm = format!("limit.l.algorithm={algorithm}");
        limited(&["limit.l.max=2", "limit.l.window=4s", &algorithm])
    };
    // The second comes at 2 s and is let through at 3 s, the third from 3 s at 5 s.
    assert_eq!(ran("{leaky-bucket={queue=1}}").longest(), ms(2001));
    assert_eq!(ran("{cycles={timeout='1s'}}").longest(), ms(1001), "from 3 s to the next cycle");
    assert_eq!(ran("cycles").longest(), ms(3001), "up to 5 s, resilience4j's default");
}

#[test]
fn a_proxy_that_is_not_trusted_hides_its_users() {
    let text = format!("{LIMITED}[balancer.lb]\nservice = 'web'\nhop = '0ms'\n");
    let sets = ["limit.l.max=1", "arrivals.users=1000", "arrivals.rate=10/s"];
    let ok = |text: &str, more: &[&str]| run(text, &[&sets[..], more].concat()).ok();
    assert!(ok(&text, &[]) > 90);
    assert_eq!(ok(&text, &["limit.l.trust_proxy=false"]), 1);
    assert!(ok(LIMITED, &["limit.l.trust_proxy=false"]) > 90, "there is no proxy");
}

#[test]
fn counting_is_by_address_user_or_for_all() {
    let sets = ["limit.l.max=1", "arrivals.users=1000", "arrivals.rate=10/s"];
    let ok = |more: &[&str]| limited(&[&sets[..], more].concat()).ok();
    assert!(ok(&[]) > 90);
    assert!(ok(&["limit.l.per=user"]) > 90);
    assert_eq!(ok(&["limit.l.per=all"]), 1);
    // Behind shared addresses: one each.
    assert_eq!(ok(&["client.addresses=7"]), 7);
    assert!(ok(&["client.addresses=7", "limit.l.per=user"]) > 90);
}

#[test]
fn counters_in_memory_multiply_by_processes() {
    let sets = ["limit.l.max=2", "service.web.instances=2"];
    assert_eq!(limited(&sets).ok(), 4);
    assert_eq!(limited(&[&sets[..], &["limit.l.store=shared"]].concat()).ok(), 2);
    assert_eq!(limited(&["limit.l.max=2", "service.web.workers=3"]).ok(), 6);
}

#[test]
fn shared_counters_cost_a_command() {
    let text = format!("{LIMITED}\n[cache.c]\nrtt='4ms'\ncommand='1ms'\n");
    let ran = run(&text, &["limit.l.store={shared={cache='c'}}"]);
    assert_eq!((ran.each(), ran.count("cache.c", Counter::Arrivals)), (ms(6), 10));
    assert_eq!(run(&text, &["limit.l.store=shared"]).each(), ms(1));
}

#[test]
fn a_limits_store_fails_open_or_closed() {
    let ran = limited(&["limit.l.errors=100%"]);
    assert_eq!((ran.ok(), ran.failed(Failure::GuardError)), (0, 10));
    assert_eq!(limited(&["limit.l.errors=100%", "limit.l.fail=open"]).ok(), 10);
    let ran = limited(&["limit.l.errors=20%", "arrivals.rate=100/s", "limit.l.max=10_000"]);
    assert!((160..260).contains(&ran.failed(Failure::GuardError)));
}

#[test]
fn a_limit_counts_only_what_it_says() {
    assert_eq!(limited(&["limit.l.only=['other']"]).ok(), 10);
    assert_eq!(limited(&["limit.l.only=['work']"]).ok(), 5);
}

#[test]
fn what_is_not_before_a_service_turns_nothing_away() {
    assert_eq!(limited(&["service.web.before=[]"]).ok(), 10);
}

/// Every attempt after the first of a user is refused; the client repeats refusals.
const AGAIN: &[&str] = &[
    "limit.l.max=1",
    "arrivals.stages=[{for='2500ms', to='1/s'}, {for='0s', to='0/s'}]",
    "run.duration=200s",
];

#[test]
fn a_refusal_says_how_long_to_wait() {
    let retry = "client.retry={fixed={on=[429], delay='1s', jitter='0%', attempts=2}}";
    // The second request, at 2 s, is refused; the window ends at 61 s.
    let waited = |sets: &[&str]| limited(&[AGAIN, sets].concat()).longest();
    assert_eq!(waited(&[retry]), ms(59_001), "the rest of the window");
    let respond = "limit.l.respond={status=429, retry_after='90s'}";
    assert_eq!(waited(&[retry, respond]), ms(90_001));
    // From the moment the answer arrives.
    let far = "[region.here]\nrtt = '100ms'\n";
    let ran = run(&format!("{LIMITED}{far}"), &[AGAIN, &[retry, respond]].concat());
    assert_eq!(ran.longest(), ms(90_201));
}

#[test]
fn a_refusal_has_the_status_it_says() {
    let retried = |on: u16, status: u16| {
        let retry = format!("client.retry={{fixed={{on=[{on}], delay='1s', jitter='0%'}}}}");
        let respond = format!("limit.l.respond={{status={status}}}");
        let ran = limited(&[AGAIN, &[&retry, &respond]].concat());
        ran.outcome.attempts.sent > 2
    };
    assert!(retried(429, 429) && retried(503, 503));
    assert!(!retried(429, 503) && !retried(503, 429));
}

const GUARDED: &str = r#"
[service.web]
before = ["guard.g"]
[pool.pg]
service = "web"
database = "db"
size = 2
[database.db]
rtt = "0ms"
connect = "0ms"
[session.s]
store = "jwt"
[guard.g]
watch = "pool.pg.total"
reject_at = "50%"
[operation.work]
share = 1
flow = [{ query = { pool = "pg", read = "10ms" } }]
[operation.other]
share = 0
flow = [{ cpu = "1ms" }]
"#;

fn guarded(sets: &[&str]) -> Ran {
    run(GUARDED, sets)
}

/// One after the other, each holding a connection for 2.5 s.
const HELD: &str = "operation.work.flow=[{transaction={pool='pg', flow=[{wait='2500ms'}]}}]";

#[test]
fn a_guard_on_open_connections_latches_and_one_on_busy_ones_does_not() {
    // The first request leaves an idle connection behind: half of the pool, for 10 s.
    let ran = guarded(&[]);
    assert_eq!((ran.ok(), ran.failed(Failure::Guarded)), (1, 9));
    assert_eq!(guarded(&["guard.g.watch=pool.pg.busy"]).ok(), 10);
    assert_eq!(guarded(&["guard.g.reject_at=51%"]).ok(), 10, "from this share on");
    // Busy for 2.5 s: 1 passes, 2 and 3 do not, 4 passes...
    let ran = guarded(&["guard.g.watch=pool.pg.busy", HELD]);
    assert_eq!(ran.failed(Failure::Guarded), 6);
    let ran = guarded(&["guard.g.watch=pool.pg.busy", "guard.g.reject_at=100%", HELD]);
    assert_eq!(ran.failed(Failure::Guarded), 3);
}

#[test]
fn who_waits_is_counted_against_the_size_of_the_pool() {
    // The first two hold its connections, the third waits: half of its size.
    let held = "operation.work.flow=[{transaction={pool='pg', flow=[{wait='60s'}]}}]";
    let of = |watch: &str, share: &str| {
        let sets = [format!("guard.g.watch=pool.pg.{watch}"), format!("guard.g.reject_at={share}")];
        guarded(&[&sets[0], &sets[1], held]).failed(Failure::Guarded)
    };
    assert_eq!((of("waiting", "50%"), of("waiting", "100%")), (7, 6));
    assert_eq!((of("demand", "50%"), of("demand", "100%")), (9, 8));
}

/// The guard with an absolute bound.
fn limit_of(watch: &str, limit: &str, sets: &[&str]) -> Ran {
    let text = GUARDED.replace("reject_at = \"50%\"", &format!("limit = {limit}"));
    run(&text, &[&[format!("guard.g.watch={watch}").as_str()], sets].concat())
}

#[test]
fn a_guard_watches_what_it_says() {
    // One connection, then one waits, then nobody else may.
    let held = [
        HELD,
        "pool.pg.size=1",
        "operation.work.flow=[{transaction={pool='pg', flow=[{wait='60s'}]}}]",
    ];
    assert_eq!(limit_of("pool.pg.waiting", "1", &held).failed(Failure::Guarded), 8);
    assert_eq!(limit_of("pool.pg.waiting", "3", &held).failed(Failure::Guarded), 6);
    // Who has the connection, and who waits: the third is the first to find two.
    assert_eq!(limit_of("pool.pg.demand", "1", &held).failed(Failure::Guarded), 9);
    assert_eq!(limit_of("pool.pg.demand", "2", &held).failed(Failure::Guarded), 8);
    assert_eq!(limit_of("pool.pg.demand", "4", &held).failed(Failure::Guarded), 6);
    assert_eq!(limit_of("pool.pg.busy", "2", &held).failed(Failure::Guarded), 0, "one is busy");
    // The request itself is in flight.
    let long = "operation.work.flow=[{wait='60s'}]";
    assert_eq!(limit_of("service.web.in_flight", "4", &[long]).failed(Failure::Guarded), 7);
    let two = limit_of("service.web.in_flight", "4", &[long, "service.web.workers=2"]);
    assert_eq!(two.failed(Failure::Guarded), 4, "each worker sees its own");
    // A loop that is late by more than so much.
    let busy = ["operation.work.flow=[{cpu='1500ms'}]", "run.duration=30s"];
    assert_eq!(
        limit_of("service.web.lag", "'3s'", &["operation.work.flow=[{cpu='900ms'}]"]).ok(),
        9
    );
    assert!(limit_of("service.web.lag", "'3s'", &busy).failed(Failure::Guarded) > 3);
    assert!(limit_of("service.web.lag", "'60s'", &busy).failed(Failure::Guarded) == 0);
}

#[test]
fn a_guard_on_sessions_blocks_new_ones() {
    let text = GUARDED
        .replace("reject_at = \"50%\"", "limit = 3")
        .replace("store = \"jwt\"", "store.postgres = { pool = 'pg' }")
        .replace("[\"guard.g\"]", "[\"guard.g\", \"session.s\"]");
    let watch = "guard.g.watch=session.s.live";
    let new = ["operation.work.login=true", "arrivals.users=1000"];
    let ran = run(&text, &[&[watch], &new[..]].concat());
    assert_eq!((ran.ok(), ran.failed(Failure::Guarded)), (3, 7));
    let only_new = "guard.g.applies=new-sessions";
    let ran = run(&text, &[&[watch, only_new], &new[..]].concat());
    assert_eq!((ran.ok(), ran.failed(Failure::SessionGuarded)), (3, 7));
    // Three users with sessions: none is blocked unless it applies to all.
    let old = ["run.start.sessions=warm", "arrivals.users=3", "session.s.ttl=1day"];
    let warm = "[users]\npopulation = 3\nthink = '1s'\n";
    let text = format!("{text}{warm}");
    let old = &old[..1];
    assert!(run(&text, &[&[watch, only_new], old].concat()).ok() > 20);
    assert_eq!(run(&text, &[&[watch], old].concat()).ok(), 0);
}

#[test]
fn a_kept_value_overshoots() {
    let long = "operation.work.flow=[{wait='60s'}]";
    let passed = |sampled: &str| {
        let ran = limit_of("service.web.in_flight", "4", &[long, sampled]);
        10 - ran.failed(Failure::Guarded)
    };
    assert_eq!(passed("guard.g.sampled=0s"), 3);
    // Read at 1 s, at 6 s: five in flight by then.
    assert_eq!(passed("guard.g.sampled=5s"), 5);
}

#[test]
fn a_guard_fails_open_or_closed() {
    assert_eq!(guarded(&["guard.g.errors=100%"]).ok(), 10);
    assert_eq!(guarded(&["guard.g.errors=100%", "guard.g.fail=closed"]).ok(), 0);
    let some = guarded(&["guard.g.errors=50%", "arrivals.rate=100/s"]).ok();
    assert!((400..650).contains(&some), "{some}");
}

/// A guard whose value is read through a pool of two, each statement 100 ms.
#[test]
fn reading_a_value_takes_a_statement_and_can_fail() {
    let read = "guard.g.read={pool='pg', time='100ms'}";
    let watch = "guard.g.watch=service.web.in_flight";
    let text = GUARDED.replace("reject_at = \"50%\"", "limit = 100");
    let each = |sets: &[&str]| run(&text, &[&[watch], sets].concat()).each();
    assert_eq!((each(&[]), each(&[read])), (ms(10), ms(110)));
    // A value that is kept is read once.
    let kept = run(&text, &[watch, read, "guard.g.sampled=1h"]);
    assert_eq!((kept.longest(), kept.shortest()), (ms(110), ms(10)));
    // Nobody gets a connection within 50 ms but the first two; then the guard has failed.
    let crowd = [
        watch,
        read,
        "pool.pg.acquire_timeout=50ms",
        "operation.work.flow=[{wait='1ms'}]",
        "guard.g.limit=1",
        "arrivals.rate=200/s",
    ];
    let open = run(&text, &crowd);
    assert!(open.ok() > 1500, "{}: it lets all pass whose reading fails", open.ok());
    let closed = run(&text, &[&crowd[..], &["guard.g.fail=closed"]].concat());
    assert_eq!(closed.ok(), 0);
    assert!(closed.failed(Failure::GuardError) > 1500);
    assert_eq!(closed.failed(Failure::AcquireTimeout), 0, "its failure is not the request's");
}

#[test]
fn some_operations_pass_a_guard_unseen() {
    assert_eq!(guarded(&["guard.g.except=['other']"]).ok(), 1);
    assert_eq!(guarded(&["guard.g.except=['work']"]).ok(), 10);
}

#[test]
fn a_guards_answer_has_its_status_and_its_retry_after() {
    let answered = |retry: &str, respond: &str| {
        let retry =
            format!("client.retry={{fixed={{on=[{retry}], delay='1s', jitter='0%', attempts=2}}}}");
        let stages = "arrivals.stages=[{for='2500ms', to='1/s'}, {for='0s', to='0/s'}]";
        let ran = guarded(&[&retry, respond, stages, "run.duration=100s"]);
        (ran.ok(), ran.longest())
    };
    // The second finds the connection of the first idle; after 10 s that has gone.
    assert_eq!(answered("503", "guard.g.respond={status=503}"), (1, ms(10)));
    assert_eq!(answered("503", "guard.g.respond={status=503, retry_after='20s'}"), (2, ms(20_010)));
    assert_eq!(answered("503", "guard.g.respond={status=529, retry_after='20s'}"), (1, ms(10)));
    assert_eq!(answered("529", "guard.g.respond={status=529, retry_after='20s'}"), (2, ms(20_010)));
}
