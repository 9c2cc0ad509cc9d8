//! Balancers: what they do not know, and whom they favour.

use loadbearing::failure::Failure;
use loadbearing::topology::load;

use crate::support::{Ran, run};

/// A Node process closes idle connections after 5 s, the balancer after 60 s.
const RARE: &str = r#"
[arrivals]
rate = "30/min"
users = 1000
[balancer.lb]
service = "web"
kind = "alb"
policy = "random"
hop = "5ms"
[service.web]
instances = 10
[operation.work]
share = 1
flow = [{ cpu = "1ms" }]
"#;

#[test]
fn t_04_a_server_that_closes_first_gives_502_now_and_then() {
    let resets = |sets: &[&str]| {
        let ran = run(RARE, &[&["run.duration=40000s"], sets].concat());
        (ran.failed(Failure::Reset), ran.offered())
    };
    let (bitten, offered) = resets(&[]);
    // A connection is met within 10 ms of its closing, 5 s after its last use: each instance is used
    // every 20 s, so about 1 request in 2,500 (exponential gaps: 10 ms x e^(-5/20) / 20 s).
    assert!(bitten > 1 && bitten < 40 && offered > 19_000, "{bitten} of {offered}");
    // The cure: the server keeps them longer than the balancer.
    assert_eq!(resets(&["service.web.keep_alive=65s"]).0, 0);
    // uvicorn closes after 5 s as well (--timeout-keep-alive).
    let (python, offered) = resets(&["service.web.runtime=uvicorn"]);
    assert!(python > 1 && python < 40, "{python} of {offered}");
}

/// One of four instances answers 500 at once; the others work for 100 ms.
const FLAKY: &str = r#"
[arrivals]
process = "even"
rate = "20/s"
users = 1000
[balancer.lb]
service = "web"
policy = "least-outstanding"
hop = "0ms"
[service.web]
instances = 4
[operation.work]
share = 1
flow = [{ wait = "400ms" }]
[fault.bad]
target = "service.web"
what = { flaky = "100%" }
at = "0s"
count = 1
"#;

#[test]
fn t_05_who_fails_at_once_looks_idle_and_gets_the_most() {
    let share = |sets: &[&str]| {
        let ran = run(FLAKY, &[&["run.duration=60s"], sets].concat());
        1.0 - ran.ok() as f64 / ran.offered() as f64
    };
    let (least, turns) = (share(&[]), share(&["balancer.lb.policy=round-robin"]));
    assert!(turns > 0.2 && turns < 0.3 && least > 1.5 * turns, "{least} {turns}");
    // The cure: whoever answers 5xx again and again is set aside.
    let cured = share(&["balancer.lb.ejection={outliers={most='50%'}}"]);
    assert!(cured < 0.1, "{cured}");
}

/// Both instances are busy for seconds at a time, and the checks with them.
const BUSY: &str = r#"
[arrivals]
rate = "3/s"
users = 1000
[balancer.lb]
service = "web"
kind = "alb"
hop = "0ms"
checks = { interval = "5s", timeout = "1s" }
[service.web]
instances = 2
[operation.work]
share = 1
flow = [{ cpu = "1s" }]
"#;

#[test]
fn t_06_an_alb_without_a_healthy_target_sends_to_all_of_them() {
    let ran = |sets: &[&str]| run(BUSY, &[&["run.duration=120s"], sets].concat());
    let opened = ran(&[]);
    assert_eq!(opened.failed(Failure::NoInstance), 0, "nobody is healthy, and all are asked");
    assert!(opened.station("balancer.lb").held_mean > 1.8);
    // What one may have expected instead: unhealthy targets get nothing.
    let strict = ran(&["balancer.lb.kind=plain"]);
    assert!(strict.failed(Failure::NoInstance) > 100);
}

#[test]
fn t_06_slow_start_is_for_targets_that_come_later() {
    let text = |slow: &str| {
        let text = RARE.replace("kind = \"alb\"", &format!("kind = \"alb\"\n{slow}"));
        run(&text, &["run.duration=100s", "arrivals.rate=100/s", "arrivals.process=even"])
    };
    let uneven = |ran: &Ran| {
        let (busiest, mean) = ran.station("service.web").worker_busiest.expect("it works");
        busiest / mean
    };
    // The first targets have their whole share at once: slow start does not spare them cold caches.
    let (with, without) = (uneven(&text("slow_start = \"100s\"")), uneven(&text("")));
    assert!((with - without).abs() < 0.01, "{with} {without}");
    // One of two is gone from 5 to 25 s, and healthy again after five checks, at about 50 s. With its whole
    // share it has half of the requests of 100 s; its share growing over these, about a quarter.
    let late = |slow: &str| {
        let checks = "checks = { interval = '5s', timeout = '1s' }";
        let kind = format!("kind = \"alb\"\n{checks}\n{slow}");
        let text = RARE.replace("kind = \"alb\"", &kind);
        let gone = "fault.f={target='service.web', what='stop', count=1, at='5s', for='20s'}";
        let load = ["arrivals.rate=100/s", "arrivals.process=even", "service.web.instances=2"];
        let sets = ["run.duration=150s", "balancer.lb.policy=round-robin", gone];
        uneven(&run(&text, &[&sets[..], &load].concat()))
    };
    let (with, without) = (late("slow_start = \"100s\""), late(""));
    // Of 150 s: 2.5 + 45 + 50 to 2.5 + 50, and 2.5 + 45 + 70 to 2.5 + 30.
    assert!((without - 1.30).abs() < 0.08 && (with - 1.57).abs() < 0.1, "{with} {without}");
}

#[test]
fn t_06_slow_start_and_least_outstanding_exclude_each_other_at_an_alb() {
    let refused = |kind: &str, policy: &str| {
        let text = format!(
            "version = 1\n{RARE}[balancer.own]\nservice = \"web\"\nkind = \"{kind}\"\n\
             policy = \"{policy}\"\nslow_start = \"60s\"\n"
        );
        let loaded = load("test.toml", &[], &mut |_| Ok(text.clone()));
        loaded
            .diagnostics
            .iter()
            .any(|found| found.slug == "one-of" && found.message.contains("which an ALB refuses"))
    };
    assert!(refused("alb", "least-outstanding"));
    assert!(!refused("alb", "round-robin") && !refused("plain", "least-outstanding"));
}

#[test]
fn t_06_nodes_know_only_what_they_have_sent_themselves() {
    let mean = |nodes: &str| {
        let text = r#"
            [arrivals]
            rate = "300/s"
            users = 10_000
            [balancer.lb]
            service = "web"
            policy = "least-outstanding"
            hop = "0ms"
            [service.web]
            instances = 4
            [operation.work]
            share = 1
            flow = [{ cpu.exponential = "10ms" }]
        "#;
        run(text, &[nodes, "run.duration=100s"]).mean_s()
    };
    let (one, eight) = (mean("balancer.lb.nodes=1"), mean("balancer.lb.nodes=8"));
    assert!(eight > 1.25 * one, "with eight nodes the least busy is a guess: {one} {eight}");
}
