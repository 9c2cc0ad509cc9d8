//! Connections of users, and what edges do.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;
use loadbearing::units::Duration;

use crate::support::{Ran, ms, run};

const FAR: &str = r#"
[region.here]
rtt = "100ms"
[service.web]
keep_alive = "1h"
[operation.get]
share = 1
flow = [{ wait = "0ms" }, { reply = "10KB" }]
"#;

fn far(sets: &[&str]) -> Ran {
    run(FAR, sets)
}

#[test]
fn setting_up_a_connection_takes_round_trips() {
    assert_eq!(far(&[]).each(), ms(100));
    let first = |tls: &str| {
        let ran = far(&[&format!("client.connection={{tls='{tls}'}}")]);
        (ran.longest(), ran.shortest(), ran.outcome.attempts.connections)
    };
    assert_eq!(first("none"), (ms(200), ms(100), 1));
    assert_eq!(first("1.3"), (ms(300), ms(100), 1));
    assert_eq!(first("1.2"), (ms(400), ms(100), 1));
    let closes = |set: &str| far(&["client.connection={}", set]).outcome.attempts.connections;
    assert_eq!(closes("service.web.keep_alive=500ms"), 10);
    assert_eq!(closes("service.web.keep_alive=5s"), 1);
    assert_eq!(far(&["client.connection={keep_alive='500ms'}"]).outcome.attempts.connections, 10);
}

#[test]
fn large_bodies_start_slowly() {
    let each = |bytes: &str, more: &str| {
        let reply = format!("operation.get.flow=[{{reply='{bytes}'}}]");
        far(&[&reply, &format!("client.connection={{tls='none'{more}}}")]).shortest()
    };
    // 10 segments at once, 20 in the next round trip, 40 in the third: 14.6 KB, 43.8 KB, 102.2 KB.
    assert_eq!(each("14600B", ""), ms(100));
    assert_eq!(each("14601B", ""), ms(200));
    assert_eq!(each("43800B", ""), ms(200));
    assert_eq!(each("200KB", ""), ms(400));
    assert_eq!(each("200KB", ", window=137"), ms(100));
    // 1 MB at 8 Mbit/s is a second.
    assert_eq!(each("1MB", ", bandwidth='8Mbit/s'"), ms(1_100));
}

#[test]
fn lost_packets_cost_round_trips_or_the_timer() {
    let mean = |loss: &str| {
        let sets = [
            "arrivals={process='even', rate='50/s', users=1}",
            "operation.get.flow=[{reply='4380B'}]",
            &format!("client.connection={{tls='none', loss='{loss}'}}"),
            "run.duration=200s",
        ];
        far(&sets).mean_s()
    };
    // Three segments, none of which three others follow: 200 ms if any is lost, 1 - 0.9^3. 10,000
    // requests: a deviation of 0.9 ms.
    assert!((mean("0%") - 0.1).abs() < 1e-4);
    let lossy = mean("10%");
    assert!((lossy - 0.1 - 0.2 * 0.271).abs() < 0.004, "{lossy}");
    // Of nine segments the last three alone: the others cost a round trip of 10 ms each.
    let near = [
        "arrivals={process='even', rate='50/s', users=1}",
        "region.here.rtt=10ms",
        "operation.get.flow=[{reply='13140B'}]",
        "client.connection={tls='none', loss='10%'}",
        "run.duration=200s",
    ];
    let nine = far(&near).mean_s();
    assert!((nine - 0.01 - 0.2 * 0.271 - 6.0 * 0.1 * 0.01).abs() < 0.003, "{nine}");
    // One flow of 1 MB: at most MSS / (RTT sqrt(2p/3)), 179 KB/s at 1 %, beside the way, which the first goes
    // twice.
    let large =
        far(&["operation.get.flow=[{reply='1MB'}]", "client.connection={tls='none', loss='1%'}"]);
    let takes = 1e6 / 1_460.0 * 0.1 * (0.02_f64 / 3.0).sqrt();
    let is_near = |took: Duration, expected: f64| (took.seconds() - expected).abs() < 1e-6;
    assert!(is_near(large.shortest(), 0.1 + takes) && is_near(large.longest(), 0.2 + takes));
}

#[test]
fn a_lost_first_packet_is_sent_again_after_longer_and_longer() {
    let ran = far(&[
        "arrivals={process='even', rate='100/s', users=1_000_000}",
        "region.here.rtt=10ms",
        "operation.get.flow=[{wait='0ms'}]",
        "client.connection={tls='none', loss='10%'}",
        "run.duration=100s",
    ]);
    // After 1 s, and 2 s more, and 4 s more: 0.1 + 2 x 0.01 + 4 x 0.001 ... on average. Of 10,000 that has a
    // deviation of 5 ms; nobody waits 2 s.
    let mean = ran.mean_s();
    assert!((mean - 0.02 - 0.125).abs() < 0.012, "{mean}");
    let share_below = |seconds: f64| {
        let below = ran.outcome.latency.cumulative().filter(|(value, _)| *value < seconds);
        below.last().expect("most wait for nothing").1
    };
    assert_eq!(share_below(1.1), share_below(2.9));
    assert!((share_below(1.1) - 0.99).abs() < 0.004 && (share_below(3.2) - 0.999).abs() < 0.001);
}

#[test]
fn one_transfer_may_have_a_part_of_a_link() {
    let text = format!("{FAR}\n[link.up]\nbandwidth = '8Mbit/s'\ncarries = 'service.web'\n");
    assert_eq!(run(&text, &[]).each(), ms(110));
    assert_eq!(run(&text, &["link.up.per_flow=4Mbit/s"]).each(), ms(120));
    let ran = run(
        &text,
        &["link.up.per_flow=4Mbit/s", "arrivals={process='even', rate='1/s', users=9, batch=2}"],
    );
    assert_eq!(ran.each(), ms(120), "two at a time have half each");
    let ran = run(&text, &["arrivals={process='even', rate='1/s', users=9, batch=2}"]);
    assert_eq!(ran.each(), ms(120));
    assert!((ran.station("link.up").busy_mean - 10.0 * 0.02 / 10.5).abs() < 1e-3);
}

/// A request a second, which the origin answers in 100 ms; an edge has an answer for 3.5 s.
pub const EDGE: &str = r#"
[arrivals]
process = "even"
rate = "1/s"
users = 1
[service.web]
[cdn.edge]
keys = "files"
ttl = "3500ms"
edge_rtt = "0ms"
[keys.files]
count = 1
size = "10KB"
[operation.get]
share = 1
cdn = "edge"
flow = [{ wait = "100ms" }, { reply = "10KB" }]
"#;

#[test]
fn what_may_not_be_cached_is_fetched_one_after_another() {
    let crowd = "arrivals={rate='0/s', users=9, crowd={at='1s', users=5}}";
    let together = run(EDGE, &[crowd]);
    assert_eq!((together.each(), together.count("cdn.edge", Counter::Joined)), (ms(100), 4));
    let apart = run(EDGE, &[crowd, "cdn.edge.uncacheable=100%"]);
    assert_eq!((apart.longest(), apart.shortest(), apart.ok()), (ms(500), ms(100), 5));
}

#[test]
fn a_stale_answer_is_better_than_none() {
    let text = format!("{EDGE}\n[fault.down]\ntarget = 'service.web'\nwhat = 'stop'\nat = '4s'\n");
    // Fetched at 1 s, fresh until 4.6 s: from 5 s on there is nobody to ask.
    let stale = |set: &str| {
        let ran = run(&text, &[set]);
        (ran.ok(), ran.count("cdn.edge", Counter::StaleReads))
    };
    assert_eq!(stale("cdn.edge.stale_if_error=0s"), (4, 0));
    assert_eq!(stale("cdn.edge.stale_if_error=3s"), (7, 3));
    // CloudFront gives what it has for as long as it has it, whether it asks each time or not.
    assert_eq!(stale("cdn.edge.pops=1"), (10, 6));
    assert_eq!(stale("cdn.edge.error_ttl=0s"), (10, 6));
    // Of what may not be kept there is no old answer, and none of what was purged.
    assert_eq!(stale("cdn.edge.uncacheable=100%").1, 0);
    let purge = "fault.purge={target='cdn.edge', what='restart', at='4500ms', for='100ms'}";
    assert_eq!(stale(purge).1, 0);
}

#[test]
fn an_edge_keeps_failures_for_a_while() {
    // Ten requests, a second apart; how often is the origin asked?
    let asked = |status: u32, sets: &[&str]| {
        let flow = format!(
            "operation.get.flow=[{{wait='100ms'}}, {{reply={{bytes='0B', status={status}}}}}]"
        );
        let ran = run(EDGE, &[&[flow.as_str()], sets].concat());
        assert_eq!(ran.ok(), 0);
        (ran.count("service.web", Counter::Arrivals), ran.count("cdn.edge", Counter::Errors))
    };
    assert_eq!(asked(503, &[]), (1, 9));
    // At 1, 5 and 9 s: what is answered at 1.1 s is kept until 4.1 s.
    assert_eq!(asked(503, &["cdn.edge.error_ttl=3s"]), (3, 7));
    assert_eq!(asked(503, &["cdn.edge.error_ttl=0s"]), (10, 0));
    // A purge makes it forget them.
    let purge = "fault.purge={target='cdn.edge', what='restart', at='4500ms', for='100ms'}";
    assert_eq!(asked(503, &[purge]), (2, 8));
    // CloudFront keeps what it lists only, and answers to what it may cache.
    assert_eq!([404, 410, 414, 500, 504].map(|status| asked(status, &[]).0), [1; 5]);
    assert_eq!([400, 401, 429, 505].map(|status| asked(status, &[]).0), [10; 4]);
    assert_eq!(asked(503, &["operation.get.idempotent=false"]), (10, 0));
    // It is the answer that the origin gave: who repeats after it does so twice as often.
    let retry = |on: u32| {
        let flow = "operation.get.flow=[{reply={bytes='0B', status=503}}]";
        let retry =
            format!("client.retry.fixed={{on=[{on}], attempts=2, delay='1ms', jitter='0%'}}");
        let ran = run(EDGE, &[flow, &retry]);
        (ran.outcome.attempts.sent, ran.count("service.web", Counter::Arrivals))
    };
    assert_eq!((retry(503), retry(502)), ((20, 1), (10, 1)));
    // Nobody there is a 502 of the edge's own.
    let text = format!("{EDGE}\n[fault.down]\ntarget = 'service.web'\nwhat = 'stop'\nat = '0s'\n");
    let none = |on: &str| {
        let retry =
            format!("client.retry.fixed={{on=[{on}], attempts=2, delay='1ms', jitter='0%'}}");
        run(&text, &[&retry]).outcome.attempts.sent
    };
    assert_eq!((none("502"), none("'network'")), (20, 10));
}

#[test]
fn a_connection_ends_with_the_process_that_it_leads_to() {
    let connect = "client.connection={tls='none'}";
    // How many connections are opened, and how many of ten requests pay a second round trip of 100 ms.
    let opened = |text: &str, sets: &[&str]| {
        let ran = run(text, &[&[connect], sets].concat());
        let slow = (ran.mean_s() - 0.1) / 0.1 * ran.ok() as f64;
        (ran.outcome.attempts.connections, slow.round() as u64, ran.ok())
    };
    let dies = "fault.f={target='service.web', what='restart', at='3500ms', for='100ms'}";
    assert_eq!(opened(FAR, &[]), (1, 1, 10));
    assert_eq!(opened(FAR, &[dies]), (2, 2, 10));
    // Of the request that it is at its user hears that the connection was reset; it is not used again.
    let at_work = [
        "operation.get.flow=[{wait='100ms'}]",
        "fault.f={target='service.web', what='restart', at='3100ms', for='1us'}",
    ];
    let ran = run(FAR, &[&[connect], &at_work[..]].concat());
    assert_eq!((ran.failed(Failure::InstanceLost), ran.outcome.attempts.connections), (1, 2));
    // Who is told to end closes what is idle, though it is still at something else.
    let deploy = "deploy.d={service='web', at='3500ms', start='100ms', on_sigterm='finish', \
                  how.kubernetes={max_surge='0%', max_unavailable='100%', heard_after='0s'}}";
    assert_eq!(opened(FAR, &[deploy]), (2, 2, 10));
    // A worker of uvicorn that has answered three ends, and the next one has the fourth.
    let recycles =
        ["service.web.workers=2", "service.web.runtime={uvicorn={limit_max_requests=3}}"];
    assert_eq!(opened(FAR, &recycles), (4, 4, 10));
    // An NLB passes connections through; whoever terminates them keeps the user's.
    let front =
        |kind: &str| format!("{FAR}[balancer.lb]\nservice = 'web'\nkind = '{kind}'\nhop = '0ms'\n");
    assert_eq!(opened(&front("nlb"), &[dies]), (2, 2, 10));
    assert_eq!(opened(&front("plain"), &[dies]), (1, 1, 10));
}
