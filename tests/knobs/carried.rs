//! What servers let connections carry: bodies for so long, and so many requests.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::balancer::TWO;
use crate::support::{Ran, ms, run};

/// 4 MB come up a line of 8 Mbit/s: 4 s.
const UPLOADS: &str = r#"
[arrivals]
process = "even"
rate = "0.2/s"
users = 1
[service.web]
keep_alive = "1h"
[operation.put]
share = 1
flow = [{ transfer = "4MB" }]
"#;
const LINK: &str = "[link.up]\nbandwidth = '8Mbit/s'\ncarries = 'service.web'\n";
const LINE: &str = "[client]\nconnection = { tls = 'none', bandwidth = '8Mbit/s' }\n";

/// What a body takes: to come, or to be given up.
fn body(way: &str, sets: &[&str]) -> (u64, u64, u64) {
    let text = format!("{UPLOADS}{way}");
    let ran = run(&text, &[&["run.duration=14500ms"][..], sets].concat());
    let took = if ran.ok() > 0 { ran.each() } else { ran.each_failed() };
    (ran.ok(), ran.failed(Failure::RequestTimeout), (took.seconds() * 1e3).round() as u64)
}

#[test]
fn a_body_that_does_not_come_in_time_is_answered_408_at_the_next_look() {
    for way in [LINK, LINE] {
        assert_eq!(body(way, &[]), (2, 0, 4_000), "they come at 5 and 10 s, and take 4 s");
        // Due 2 s after they began, at 7 and 12 s: the look of that very instant is too early.
        let node = |more: &str| {
            let set = format!("service.web.runtime.node={{request_timeout='2s'{more}}}");
            body(way, &[&set])
        };
        assert_eq!(node(", connections_check='1s'"), (0, 2, 3_000), "{way}");
        assert_eq!(node(", connections_check='500ms'"), (0, 2, 2_500), "{way}");
        assert_eq!(node(""), (2, 0, 4_000), "looked for every 30 s");
        let patient = "service.web.runtime.node={request_timeout='0s', connections_check='1s'}";
        assert_eq!(body(way, &[patient]), (2, 0, 4_000));
        let enough = "service.web.runtime.node={request_timeout='4s', connections_check='1s'}";
        assert_eq!(body(way, &[enough]), (2, 0, 4_000));
    }
    // By itself it waits for 300 s and looks every 30 s: what begins at 5 s is given up at 330 s.
    let large = ["operation.put.flow=[{transfer='400MB'}]", "run.duration=390s"];
    let once = "arrivals={process='even', rate='0.2/s', users=1, stages=[{for='6s', to='0.2/s'}, {for='0s', to='0/s'}]}";
    for way in [LINK, LINE] {
        assert_eq!(body(way, &[&large[..], &[once]].concat()), (0, 1, 325_000));
    }
    let uvicorn = ["service.web.runtime='uvicorn'", "run.duration=410s", once];
    assert_eq!(body(LINE, &[&large[..], &uvicorn].concat()), (1, 0, 400_000));
}

#[test]
fn a_body_that_was_given_up_takes_its_connection_with_it() {
    let connections = |sets: &[&str]| {
        let text = format!("{UPLOADS}{LINE}");
        let ran = run(&text, &[&["run.duration=14500ms"][..], sets].concat());
        ran.outcome.attempts.connections
    };
    let late = "service.web.runtime.node={request_timeout='2s', connections_check='1s'}";
    assert_eq!((connections(&[]), connections(&[late])), (1, 2));
    let opened = |sets: &[&str]| {
        let alb = "[balancer.lb]\nservice = 'web'\nkind = 'alb'\nhop = '0ms'\n";
        let text = format!("{UPLOADS}{LINK}{alb}");
        let ran = run(&text, &[&["run.duration=14500ms"][..], sets].concat());
        ran.count("balancer.lb", Counter::Opened)
    };
    assert_eq!((opened(&[]), opened(&[late])), (1, 2));
}

#[test]
fn who_is_cut_off_cuts_off_nobody_else() {
    let text =
        format!("{UPLOADS}{LINE}[operation.get]\nshare = 99\nflow = [{{ wait = '200ms' }}]\n");
    let ran = run(
        &text,
        &[
            "arrivals={process='even', rate='20/s', users=50}",
            "client.connection.keep_alive=1h",
            "service.web.runtime.node={request_timeout='1s', connections_check='500ms'}",
            "run.duration=300s",
        ],
    );
    let cut_off = ran.failed(Failure::RequestTimeout);
    assert!(cut_off > 30, "{cut_off}");
    let opened = ran.outcome.attempts.connections;
    assert!(opened > 50 + cut_off / 2 && opened <= 50 + cut_off, "{opened} with {cut_off}");
}

#[test]
fn a_connection_carries_so_many_requests() {
    // Ten requests, one a second. The last that a connection carries is answered, and it closes.
    let direct = |more: &str| {
        let node = format!("service.web.runtime.node={{{more}}}");
        let quick = "operation.work.flow=[{wait='0ms'}]";
        let sets = ["client.connection={tls='none'}", "service.web.keep_alive=1h", quick, &node];
        let text = "[service.web]\n[operation.work]\nshare = 1\nflow = []\n";
        let ran = run(text, &sets);
        (ran.ok(), ran.outcome.attempts.connections)
    };
    assert_eq!(direct(""), (10, 1));
    assert_eq!(direct("max_requests_per_socket=3"), (10, 4));
    assert_eq!(direct("max_requests_per_socket=1"), (10, 10));
    let balanced = |sets: &[&str]| -> Ran {
        let web = ["service.web={instances=1, keep_alive='1h'}", "balancer.lb.keep_alive=60s"];
        run(TWO, &[&web[..], sets].concat())
    };
    let opened = |sets: &[&str]| balanced(sets).count("balancer.lb", Counter::Opened);
    let node = "service.web.runtime.node.max_requests_per_socket=3";
    assert_eq!(opened(&[]), 1);
    assert_eq!(opened(&[node]), 4);
    assert_eq!(opened(&["balancer.lb.keepalive_requests=5"]), 2);
    assert_eq!(opened(&[node, "balancer.lb.keepalive_requests=5"]), 4, "whoever closes first");
    let split = "operation.work.flow=[{cpu='10ms'}, {reply='1KB'}, {wait='1ms'}]";
    assert_eq!(opened(&[node, split]), 4, "the answer has the connection, not what goes on");
}

#[test]
fn nginx_closes_a_connection_after_a_thousand_requests() {
    let opened = |sets: &[&str]| {
        let many = ["client.connection={tls='none'}", "arrivals.rate=250/s"];
        let quick = "operation.work.flow=[{wait='0ms'}]";
        let ran = run(TWO, &[&many[..], &[quick, "balancer.lb.kind=nginx"], sets].concat());
        assert_eq!(ran.ok(), 2_625);
        ran.outcome.attempts.connections
    };
    assert_eq!(opened(&[]), 3);
    assert_eq!(opened(&["balancer.lb.keepalive_requests=500"]), 6);
    assert_eq!(opened(&["balancer.lb.kind=plain"]), 1);
}

#[test]
fn bodies_come_up_the_lines_of_users() {
    let each = |line: &str| {
        let text = format!("{UPLOADS}[region.here]\nrtt = '100ms'\n");
        run(&text, &["operation.put.flow=[{transfer='43801B'}]", line]).each()
    };
    // 10, 20 and 40 segments: 43.8 KB take two round trips, one byte more a third. The answer takes one.
    assert_eq!(each("client.connection={tls='none', keep_alive='1ms'}"), ms(100 + 100 + 200));
    assert_eq!(each("client.addresses=1"), ms(100), "lines are as fast as the network");
}
