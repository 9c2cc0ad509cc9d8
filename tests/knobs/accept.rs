//! Connections that wait to be accepted.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// A request of 5 s blocks the only loop from 1 s on; forty more come, ten a second.
const BLOCKED: &str = r#"
[arrivals]
process = "even"
rate = "10/s"
users = 1000
stages = [{ for = "1050ms", to = "10/s" }, { for = "4s", to = "10/s" }, { for = "0s", to = "0/s" }]
[cache.first]
kind = "memory"
service = "web"
command = "0ms"
eviction = "lru"
[keys.k]
count = 1
[service.web]
backlog = 25
[operation.work]
share = 1
flow = [{ cache = { in = "first", keys = "k", miss = [{ cpu = "5s" }] } }]
"#;
/// Each request of a user is on a connection of its own.
const NEW: &str = "client.connection={tls='none', keep_alive='1ms'}";

fn blocked(sets: &[&str]) -> Ran {
    run(BLOCKED, &[&["run.duration=30s", "service.web.on_overflow=refuse"], sets].concat())
}
fn refused(sets: &[&str]) -> u64 {
    blocked(sets).failed(Failure::Refused)
}

#[test]
fn new_connections_wait_in_the_kernel_while_the_loop_is_blocked() {
    let all = blocked(&[NEW]);
    // The first blocks the loop from 100 ms to 5.1 s: of all others 25 find a place.
    assert_eq!(all.failed(Failure::Refused), all.offered() - 1 - 25);
    assert_eq!(refused(&[NEW, "service.web.backlog=30"]), all.offered() - 1 - 30);
    assert_eq!(refused(&[NEW, "service.web.backlog=511"]), 0);
    // On connections that stay open nothing is new; with a new one for each request everything is.
    assert_eq!(refused(&["client.connection={tls='none'}", "arrivals.users=1"]), 0);
    assert_eq!(refused(&[]), 0);
    assert_eq!(refused(&["service.web.hand_out=free-worker"]), all.offered() - 1 - 25);
    // A SYN that is dropped is sent again, and finds the loop free.
    let dropped = blocked(&[NEW, "service.web.on_overflow=drop"]);
    assert_eq!((dropped.failed(Failure::Refused), dropped.ok()), (0, dropped.offered()));
}

#[test]
fn a_second_loop_accepts_and_so_does_the_primary_of_a_cluster() {
    assert_eq!(refused(&[NEW, "service.web.workers=2", "service.web.cores=2"]), 0);
    let uvicorn = "service.web.runtime=uvicorn";
    assert!(refused(&[NEW, uvicorn]) > 0);
    // Of two workers both are blocked by the first request that each gets, and nobody accepts for them.
    let two = blocked(&[NEW, uvicorn, "service.web.workers=2", "service.web.cores=2"]);
    assert_eq!(two.failed(Failure::Refused), two.offered() - 2 - 25);
}

#[test]
fn what_is_beyond_max_connections_waits_or_is_closed() {
    let most = ["service.web.max_connections=1", "service.web.backlog=511"];
    assert_eq!(blocked(&most).failed(Failure::Reset), 0);
    let closed = blocked(&[&most[..], &["service.web.on_max=close"]].concat());
    assert_eq!(closed.failed(Failure::Reset), closed.offered() - 1);
    assert_eq!(blocked(&[&most[..], &["service.web.on_max=wait"]].concat()).ok(), closed.offered());
}

/// Six requests of 100 ms, a millisecond apart, on two loops.
const SIX: &str = r#"
[arrivals]
process = "even"
rate = "1000/s"
users = 1000
stages = [{ for = "6500us", to = "1000/s" }, { for = "0s", to = "0/s" }]
[service.web]
runtime = "uvicorn"
workers = 2
cores = 2
[operation.work]
share = 1
flow = [{ cpu = "100ms" }]
"#;

#[test]
fn a_shared_socket_is_emptied_by_whoever_polls_first() {
    let longest = |set: &str| run(SIX, &[set]).longest();
    // Each loop has three; or the first to be done takes the four that wait, and the other idles.
    assert_eq!(longest("service.web.hand_out=each-in-turn"), ms(296));
    assert_eq!(longest("service.web.hand_out=shared"), ms(495));
    // Somebody polls whenever one comes; a hash sends it to the other just as well.
    let apart = ["arrivals.stages=[]", "arrivals.rate=18/s", "run.duration=20s"];
    let mean = |set: &str| run(SIX, &[&apart[..], &[set]].concat()).mean_s();
    assert_eq!(mean("service.web.hand_out=shared"), 0.1);
    let hashed = mean("service.web.hand_out=reuse-port");
    assert!(hashed > 0.15, "{hashed} s");
    // Connections wait in one queue for all, or in the worker's own.
    let refused = |sets: &[&str]| {
        run(SIX, &[&["service.web.on_overflow=refuse"], sets].concat()).failed(Failure::Refused)
    };
    assert_eq!(refused(&["service.web.hand_out=shared", "service.web.backlog=1"]), 3);
    assert_eq!(refused(&["service.web.hand_out=shared", "service.web.backlog=4"]), 0);
    let own = |backlog: u32| {
        let backlog = format!("service.web.backlog={backlog}");
        refused(&["service.web.hand_out=reuse-port", &backlog])
    };
    assert!(own(1) > 0 && own(1) < 5 && own(5) == 0, "{} {}", own(1), own(5));
}

/// A request of 1 ms every 10 ms, over connections that stay open.
const LEAKY: &str = r#"
[arrivals]
process = "even"
rate = "100/s"
[service.web]
workers = 2
cores = 2
[pool.pg]
service = "web"
database = "db"
[database.db]
[operation.work]
share = 1
flow = [{ cpu = "1ms" }]
"#;

#[test]
fn a_worker_that_has_answered_enough_is_replaced() {
    let ran = |uvicorn: &str| {
        run(LEAKY, &[&format!("service.web.runtime={{uvicorn={{{uvicorn}}}}}"), "run.duration=20s"])
    };
    let recycled = |ran: &Ran| ran.count("service.web", Counter::Recycled);
    let all = ran("");
    assert_eq!((recycled(&all), all.each(), all.ok()), (0, ms(1), 2_000 - 1));
    // Both have answered a hundred after two seconds, and end together: for 100 ms they look, for up to
    // 500 ms their parent does, and a second it takes to start. Whoever comes meanwhile waits.
    let together = ran("limit_max_requests=100");
    assert_eq!((together.ok(), together.failed(Failure::InstanceLost)), (all.ok(), 0));
    // The first to be back takes all that wait, and has answered enough at once.
    assert!((10..20).contains(&recycled(&together)), "{}", recycled(&together));
    assert!(together.longest() > ms(1_000) && together.longest() < ms(1_700));
    let slow = ran("limit_max_requests=100, worker_start='3s'");
    assert!(slow.longest() > ms(3_000), "{:?}", slow.longest());
    // With jitter they rarely meet: the other takes all meanwhile.
    let waits = |ran: &Ran| ran.outcome.latency.mean_s().expect("served");
    let apart = ran("limit_max_requests=100, limit_max_requests_jitter=200");
    assert!(recycled(&apart) > 4, "{}", recycled(&apart));
    assert!(waits(&apart) < 0.5 * waits(&together), "{} {}", waits(&apart), waits(&together));
    // Nobody starts a single one again, unless something does.
    let single = |more: &str| {
        run(
            LEAKY,
            &[
                "service.web.workers=1",
                "run.duration=20s",
                "service.web.runtime={uvicorn={limit_max_requests=100}}",
                more,
            ],
        )
    };
    assert!(single("service.web.cores=1").failed(Failure::InstanceLost) > 1_800);
    assert!(single("service.web.replace=1s").ok() > 900);
}

/// Three requests a minute in the memory of each of two workers; one user asks each second, ten times.
const KEPT: &str = r#"
[limit.l]
max = 3
window = "60s"
store = "memory"
[service.web]
workers = 2
cores = 2
before = ["limit.l"]
[operation.work]
share = 1
flow = [{ cpu = "1ms" }]
"#;

/// Behind a balancer that asks no questions of its own in the run.
fn balanced(kind: &str, sets: &[&str]) -> Ran {
    let balancer =
        format!("{KEPT}[balancer.lb]\nservice = 'web'\nkind = '{kind}'\nhop = '0ms'\nnodes = 1\n");
    run(&balancer, sets)
}

#[test]
fn a_connection_that_stays_open_belongs_to_one_worker() {
    // Where connections cost nothing requests go to each worker in turn: both count to three.
    assert_eq!(run(KEPT, &[]).ok(), 6);
    // All go over the one connection that a balancer needs, to the worker that has taken it ...
    for hand_out in ["each-in-turn", "free-worker", "shared", "reuse-port"] {
        let hand_out = format!("service.web.hand_out={hand_out}");
        assert_eq!(balanced("alb", &[&hand_out]).ok(), 3, "{hand_out}");
    }
    // ... unless either end closes it between any two requests.
    assert_eq!(balanced("alb", &["service.web.keep_alive=900ms"]).ok(), 6);
    assert_eq!(balanced("nginx", &["balancer.lb.keep_alive=0s"]).ok(), 6);
    assert_eq!(balanced("nginx", &["balancer.lb.keep_alive=60s"]).ok(), 3);
    // A user has such a connection as well.
    let kept = |length| format!("client.connection={{tls='none', keep_alive='{length}'}}");
    assert_eq!(run(KEPT, &[&kept("4s")]).ok(), 3);
    assert_eq!(run(KEPT, &[&kept("900ms")]).ok(), 6);
}

#[test]
fn a_process_that_ends_closes_its_connections() {
    let opened = |sets: &[&str]| {
        let ran = balanced("alb", &[&["limit.l.max=100"], sets].concat());
        (ran.count("balancer.lb", Counter::Opened), ran.ok())
    };
    assert_eq!(opened(&[]), (1, 10));
    // It stops between the third request and the fourth, which finds nobody.
    let stop = "fault.f={target='service.web', what='stop', at='3500ms', for='1s'}";
    assert_eq!(opened(&[stop]), (3, 9), "the fourth connection was refused");
}

#[test]
fn sockets_come_to_workers_as_other_connections_do() {
    // Forty sockets of four workers, each of which may have so many that stay open.
    let text = r#"
[service.web]
workers = 4
cores = 4
[socket.ws]
service = "web"
opens = "10/s"
transport = "websocket"
lasts = "1h"
[operation.page]
share = 1
flow = [{ cpu = "1ms" }]
"#;
    for hand_out in ["each-in-turn", "free-worker", "shared", "reuse-port"] {
        let ran = run(text, &[&format!("service.web.hand_out={hand_out}")]);
        let opened = ran.count("socket.ws", Counter::Opened);
        assert!((90..120).contains(&opened), "{opened} with {hand_out}");
        assert_eq!(ran.ok(), 10, "{hand_out}");
    }
}

/// Five users who come back two seconds after each answer.
const RETURNING: &str = "[users]\npopulation = 5\nthink = '2s'\n[service.web]\n[operation.work]\nshare = 1\n\
                         flow = [{ wait = '10ms' }]\n";
const KEEPS: &str = "client.connection={tls='none', keep_alive='1h'}";

#[test]
fn connections_that_users_keep_count_idle_or_not() {
    let ran = |sets: &[&str]| {
        run(
            RETURNING,
            &[&["run.duration='20500ms'", "service.web.max_connections=3"], sets].concat(),
        )
    };
    let closes = "service.web.on_max=close";
    // Three have the three connections for good, and come ten times each; the others find them taken.
    let kept = ran(&[KEEPS, closes]);
    assert_eq!(
        (kept.ok() / 3, kept.failed(Failure::Reset) / 2),
        (10, 10),
        "{:?}",
        kept.outcome.requests
    );
    assert_eq!(kept.ok() + kept.failed(Failure::Reset), kept.offered());
    // Those of the server's that close after 2 ms, or nobody's, are not in the way.
    assert_eq!(ran(&[KEEPS, closes, "service.web.keep_alive=2ms"]).failed(Failure::Reset), 0);
    assert_eq!(ran(&[closes]).failed(Failure::Reset), 0);
    // The user's end closes them a way after it has been idle for so long.
    assert_eq!(ran(&["client.connection={tls='none', keep_alive='2ms'}", closes]).ok() / 5, 10);
    // uvicorn lets all connect: the third finds three, and so does everybody from then on.
    let limit = "service.web.runtime={uvicorn={limit_concurrency=3}}";
    let ran = run(RETURNING, &["run.duration='20500ms'", KEEPS, limit]);
    assert_eq!(ran.ok(), 2);
}

#[test]
fn who_waits_for_a_connection_gets_one_when_an_idle_one_closes() {
    let ran = |keep: &str| {
        let keep = format!("service.web.keep_alive={keep}");
        let sets =
            ["users.population=2", "users.think=1s", "service.web.max_connections=1", KEEPS, &keep];
        run(RETURNING, &[&sets[..], &["run.duration='20500ms'"]].concat())
    };
    // The first comes back each second over the one connection that there may be; the other waits for ever.
    let never = ran("5s");
    assert_eq!((never.ok(), never.longest()), (20, ms(10)));
    // It closes after half a second: by turns each finds the other's open still, for 10 ms.
    let turns = ran("500ms");
    assert!(turns.longest() <= ms(510) && turns.ok() >= 38, "{:?} {}", turns.longest(), turns.ok());
    let late = turns.outcome.latency.quantile(0.5).expect("some were served").seconds();
    assert!((late - 0.02).abs() < 0.0002, "{late} s");
}

#[test]
fn connections_that_balancers_and_callers_keep_count() {
    // Requests come one at a time, and each of two nodes keeps a connection of its own.
    let alb = "[arrivals]\nprocess = 'even'\nrate = '1/s'\nusers = 1000\n[service.web]\nkeep_alive = '1h'\n\
               on_max = 'close'\n[balancer.lb]\nservice = 'web'\nkind = 'alb'\nnodes = 2\n\
               checks = { interval = '1h' }\n[operation.work]\nshare = 1\nflow = [{ wait = '10ms' }]\n";
    let refused = |most: u32| {
        let most = format!("service.web.max_connections={most}");
        run(alb, &[&most, "balancer.lb.keep_alive=1h", "run.duration='40500ms'"])
            .failed(Failure::Reset)
    };
    assert_eq!(refused(2), 0);
    let one = refused(1);
    assert!(one > 10 && one < 30, "those of one node: {one}");
    // The server closes its own after a tenth of a second, long before the next request.
    let closes = ["balancer.lb.keep_alive=1h", "service.web.keep_alive=100ms"];
    let sets = [&closes[..], &["service.web.max_connections=1", "run.duration='40500ms'"]].concat();
    assert_eq!(run(alb, &sets).failed(Failure::Reset), 0);
    // Two processes call by turns, each over a connection that it keeps; the second never gets one.
    let calls = "[service.web]\ninstances = 2\n[service.far]\nkeep_alive = '1h'\non_max = 'close'\n\
                 [operation.work]\nshare = 1\nservice = 'web'\n\
                 flow = [{ call = { service = 'far', client = 'fetch', flow = [{ cpu = '1ms' }] } }]\n";
    let failed = |most: u32| {
        let most = format!("service.far.max_connections={most}");
        run(calls, &[&most, "service.web.keep_alive=1h"]).failed(Failure::UpstreamError)
    };
    assert_eq!((failed(2), failed(1)), (0, 5));
    let closes = ["service.far.max_connections=1", "service.far.keep_alive=100ms"];
    assert_eq!(run(calls, &closes).failed(Failure::UpstreamError), 0);
}

#[test]
fn at_a_shared_socket_the_first_workers_take_most() {
    let text = "[arrivals]\nprocess = 'even'\nrate = '100/s'\nusers = 1000\n[service.web]\nworkers = 8\n\
                cores = 8\nbefore = ['limit.l']\n[limit.l]\nmax = 100\nwindow = '1h'\nper = 'all'\n\
                [operation.work]\nshare = 1\nflow = [{ cpu = '10us' }]\n";
    // Of 1,000 connections, one after another, each worker lets 100 through.
    let passed = |hand_out: &str| {
        let hand_out = format!("service.web.hand_out={hand_out}");
        run(text, &[&hand_out, "run.duration=10005ms"]).ok() as f64
    };
    assert!(passed("{shared='0%'}") > 780.0, "all have 125");
    // With 40 % for each in its turn the shares are 41, 24, 15, 9, 5, 3, 2 and 1 %.
    let expected = |first: f64| {
        let left: f64 = 1.0 - first;
        let share = |n: i32| first * left.powi(n) / (1.0 - left.powi(8));
        (0..8).map(|n| (share(n) * 1000.0).min(100.0)).sum::<f64>()
    };
    // Where nobody has won they race again: of two with 10 % each the shares are 53 and 47 %, and not 10 and 90.
    let two = ["service.web.workers=2", "service.web.hand_out={shared='10%'}", "limit.l.max=500"];
    assert!(run(text, &[&two[..], &["run.duration=10005ms"]].concat()).ok() > 900);
    for (hand_out, first) in [("shared", 0.4), ("{shared='60%'}", 0.6)] {
        let (passed, expected) = (passed(hand_out), expected(first));
        assert!((passed - expected).abs() < 30.0, "{hand_out}: {passed} of {expected}");
    }
}
