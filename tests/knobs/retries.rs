//! The retry policies of products, of users and of services that call others.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;
use loadbearing::units::Duration;

use crate::support::{Ran, ms, run};

/// One request at 1 s, which fails after 100 ms.
const FAILS: &str = r#"
[arrivals]
process = "even"
users = 1
rate = "1/s"
stages = [{ for = "1500ms", to = "1/s" }, { for = "0s", to = "0/s" }]
[service.web]
[operation.work]
share = 1
flow = [{ wait = "100ms" }, { reply = { bytes = "0B", status = 503 } }]
"#;

fn fails(sets: &[&str]) -> Ran {
    run(FAILS, &[&["run.duration=300s"], sets].concat())
}
fn tried(retry: &str) -> (u64, Duration) {
    let ran = fails(&[&format!("client.retry={retry}")]);
    (ran.outcome.attempts.sent, ran.each_failed())
}
/// Attempts at a request that fails with this status.
fn answered(status: u32, retry: &str) -> u64 {
    let status = format!("operation.work.flow=[{{reply={{bytes='0B', status={status}}}}}]");
    fails(&[&status, &format!("client.retry={retry}")]).outcome.attempts.sent
}

#[test]
fn axios_retry_repeats_three_times_at_once() {
    assert_eq!(tried("axios-retry"), (4, ms(400)));
    assert_eq!(tried("{axios-retry={retries=1}}"), (2, ms(200)));
    assert_eq!(tried("{axios-retry={share='0%'}}"), (1, ms(100)));
    assert_eq!(tried("{axios-retry={delay='linear'}}"), (4, ms(400 + 100 + 200 + 300)));
    let (_, spread) = tried("{axios-retry={delay='exponential'}}");
    // 200 ms, 400 ms, 800 ms, each up to 20 % longer.
    assert!(spread > ms(400 + 1_400) && spread < ms(400 + 1_680), "{spread}");
    let counts = [400, 429, 500, 504, 599].map(|status| answered(status, "axios-retry"));
    assert_eq!(counts, [1, 4, 4, 4, 4]);
    assert_eq!(answered(500, "{axios-retry={on=[503]}}"), 1);
}

#[test]
fn axios_retry_repeats_a_post_only_where_there_was_no_answer() {
    let post = "operation.work.idempotent=false";
    let sent = |retry: &str, more: &[&str]| {
        let retry = format!("client.retry={retry}");
        fails(&[&[post, retry.as_str()], more].concat()).outcome.attempts.sent
    };
    assert_eq!(sent("axios-retry", &[]), 1);
    let full = [
        "service.web.max_connections=1",
        "service.web.backlog=1",
        "service.web.on_overflow=refuse",
    ];
    let many = "arrivals={process='even', rate='1_000/s', users=9, stages=[{for='3500us', to='1_000/s'}, {for='0s', to='0/s'}]}";
    let flow = "operation.work.flow=[{wait='100ms'}]";
    // The third of three finds no place, and its connection is refused four times.
    assert_eq!(sent("axios-retry", &[&full[..], &[many, flow]].concat()), 6);
    assert_eq!(sent("{fixed={on=[503]}}", &[]), 3, "others repeat what they are told to");
}

/// Attempts of three requests of which the third is refused, and of its repetition if there is one.
fn refused(balancer: &str, on: &str) -> u64 {
    let text = format!("{FAILS}{balancer}");
    let sets = [
        "service.web.max_connections=1",
        "service.web.backlog=1",
        "service.web.on_overflow=refuse",
        "arrivals={process='even', rate='1_000/s', users=9, stages=[{for='3500us', to='1_000/s'}, {for='0s', to='0/s'}]}",
        "operation.work.flow=[{wait='100ms'}]",
        "run.duration=10s",
        &format!("client.retry.fixed={{on=[{on}], attempts=2, delay='1ms', jitter='0%'}}"),
    ];
    run(&text, &sets).outcome.attempts.sent
}

#[test]
fn a_balancer_answers_for_a_target_that_refuses() {
    for kind in ["plain", "alb", "nginx", "envoy"] {
        let balancer = format!("[balancer.lb]\nservice = 'web'\nhop = '0ms'\nkind = '{kind}'\n");
        let (right, wrong) = if kind == "envoy" { ("503", "502") } else { ("502", "503") };
        let sent =
            ["'5xx'", right, wrong, "'refused'", "'network'"].map(|on| refused(&balancer, on));
        assert_eq!(sent, [4, 4, 3, 3, 3], "{kind}");
    }
    let sent = ["'5xx'", "502", "503", "'refused'", "'network'"].map(|on| refused("", on));
    assert_eq!(sent, [3, 3, 3, 4, 4]);
}

#[test]
fn without_a_balancer_no_answer_is_no_status() {
    // The process dies at 1.05 s, with the request of 1 s, and stays away.
    let sent = |balancer: &str, retry: &str| {
        let text = format!("{FAILS}{balancer}");
        let dies = "fault.f={target='service.web', what='stop', at='1050ms', for='100s'}";
        let post = "operation.work.idempotent=false";
        let retry = format!("client.retry={retry}");
        run(&text, &[dies, post, &retry, "run.duration=90s"]).outcome.attempts.sent
    };
    let lb = "[balancer.lb]\nservice = 'web'\n";
    let fixed = |on: &str| format!("{{fixed={{on=[{on}], attempts=3, delay='1s', jitter='0%'}}}}");
    let both = |retry: &str| (sent("", retry), sent(lb, retry));
    assert_eq!(both(&fixed("'network'")), (3, 1));
    assert_eq!(both(&fixed("502")), (1, 3));
    assert_eq!(both(&fixed("'5xx'")), (1, 3));
    assert_eq!(both(&fixed("'refused', 'timeout'")), (1, 1));
    // A POST: ECONNRESET carries no response, a 502 does.
    assert_eq!(both("axios-retry"), (4, 1));
    assert_eq!(both("resilience4j"), (3, 3));
    assert_eq!(both("aws-sdk"), (3, 3));
    assert_eq!(both("envoy"), (2, 2));
}

#[test]
fn whoever_is_not_reached_tries_again_like_after_a_reset() {
    let cut = |retry: &str| {
        let text = format!("{FAILS}[region.here]\n");
        let fault = "fault.f={target='service.web', what={cut={from='region.here'}}, at='0s'}";
        let retry = format!("client.retry={retry}");
        let ran = run(&text, &[fault, &retry, "run.duration=4000s"]);
        (ran.outcome.attempts.sent, ran.failed(Failure::Unreachable), ran.each_failed())
    };
    // Each attempt ends when TCP gives up (tcp_retries2), and the pause is half a second.
    assert_eq!(cut("resilience4j"), (3, 1, ms(3 * 924_600 + 2 * 500)));
    assert_eq!(cut("{fixed={on=['5xx', 'timeout'], delay='1s'}}"), (1, 1, ms(924_600)));
}

#[test]
fn calls_that_find_nobody_are_repeated_as_network_errors() {
    let ran = |on: &str| {
        let down = "fault.f={target='service.inner', what='stop', at='0s', for='100s'}";
        let call = format!(
            "operation.work.flow=[{{call={{service='inner', flow=[{{wait='100ms'}}], \
             retry={{fixed={{on=[{on}], attempts=3, delay='1s', jitter='0%'}}}}}}}}]"
        );
        let ran = run(LAYERED, &[down, &call, "run.duration=60s"]);
        ran.count("service.inner", loadbearing::run::Counter::Arrivals)
    };
    assert_eq!((ran("'network'"), ran("'5xx'")), (3, 1));
}

#[test]
fn attempts_of_axios_share_one_timeout_unless_it_is_reset() {
    let sent = |more: &str| {
        let retry = format!("client.retry={{axios-retry={{on=['5xx', 'timeout']{more}}}}}");
        let ran = fails(&["client.patience=250ms", &retry]);
        (ran.outcome.attempts.sent, ran.each_failed())
    };
    // The third attempt is cut off after 50 ms, and nothing is left for a fourth.
    assert_eq!(sent(""), (3, ms(250)));
    assert_eq!(sent(", reset_timeout=true"), (4, ms(400)));
}

#[test]
fn the_aws_sdk_jitters_fully_and_longer_when_throttled() {
    let many =
        ["arrivals.rate=1/s", "arrivals.stages=[{for='200s', to='1/s'}, {for='0s', to='0/s'}]"];
    let pauses = |attempts: u32, status: u32, more: &str| {
        let flow = format!("operation.work.flow=[{{reply={{bytes='0B', status={status}}}}}]");
        let retry = format!("client.retry={{aws-sdk={{attempts={attempts}{more}}}}}");
        let ran = fails(&[&many[..], &[&flow, &retry, "arrivals.users=1000"]].concat());
        ran.outcome.failed_latency.mean_s().expect("all fail")
    };
    let pause = |status, more| pauses(2, status, more);
    // Uniform from 0: 25 ms and 500 ms on average; 200 draws have deviations of 1 ms and 20 ms.
    assert!((pause(503, "") - 0.025).abs() < 0.0045);
    assert!((pause(429, "") - 0.500).abs() < 0.09);
    assert!((pause(503, ", sdk='js-2025'") - 0.050).abs() < 0.009);
    assert!((pause(429, ", sdk='js-2025'") - 0.250).abs() < 0.045);
    assert!((pause(503, ", base='400ms'") - 0.200).abs() < 0.036);
    assert!((pause(429, ", throttled_base='100ms'") - 0.050).abs() < 0.009);
    // The second would be up to twice as long as the first.
    assert!((pauses(3, 503, ", base='400ms'") - 0.600).abs() < 0.075);
    assert!((pauses(3, 503, ", base='400ms', cap='400ms'") - 0.400).abs() < 0.047);
    assert_eq!((answered(503, "aws-sdk"), answered(501, "aws-sdk")), (3, 1));
    assert_eq!(answered(501, "{aws-sdk={on=[501]}}"), 3);
    assert_eq!(answered(503, "{aws-sdk={share='0%'}}"), 1);
    let limited =
        format!("{FAILS}\n[limit.l]\nmax = 0\nrespond = {{ status = 429, retry_after = '30s' }}\n");
    let waited = |more: &str| {
        let retry = format!("client.retry={{aws-sdk={{attempts=2{more}}}}}");
        run(&limited, &["run.duration=300s", "service.web.before=['limit.l']", &retry])
            .each_failed()
    };
    // The own delay is up to 1 s; `Retry-After` adds 5 s to it at most.
    assert!(waited("") >= ms(5_000) && waited("") < ms(6_000));
    assert_eq!(waited(", retry_after_most='30s'"), ms(30_000));
    assert!(waited(", honour_retry_after=false") < ms(1_000));
}

#[test]
fn a_retry_that_is_throttled_costs_less_and_before_2026_both_cost_less() {
    // A bucket of 500: 14 a retry, or 5 after a 429; 10 and 5 in JavaScript before; one process.
    let retries = |status: u32, more: &str| {
        let flow = format!("operation.work.flow=[{{reply={{bytes='0B', status={status}}}}}]");
        outage(&format!("{{aws-sdk={{attempts=2{more}}}}}"), &["client.processes=1", flow.as_str()])
    };
    for js in ["", ", sdk='js'"] {
        assert_eq!((retries(503, js), retries(429, js)), (500 / 14, 100));
    }
    let before = ", sdk='js-2025'";
    assert_eq!((retries(503, before), retries(429, before)), (50, 100));
    let python = ", sdk='botocore'";
    assert_eq!((retries(503, python), retries(429, python)), (500 / 14, 100));
    assert_eq!(retries(429, ", throttled_cost=25"), 20);
    let mean_s = |status: u32| {
        let flow = format!("operation.work.flow=[{{reply={{bytes='0B', status={status}}}}}]");
        let retry = "client.retry={aws-sdk={attempts=2, sdk='botocore', tokens=100_000}}";
        let many = ["arrivals.rate=20/s", "arrivals.users=1000", &flow, retry];
        fails(&many).outcome.failed_latency.mean_s().expect("all fail")
    };
    // Uniform from 0 to 50 ms, and to 1 s; of 200 draws.
    assert!((mean_s(503) - 0.025).abs() < 0.0045 && (mean_s(429) - 0.5).abs() < 0.09);
}

/// Retries of 400 requests, one every 500 ms, all of which fail.
fn outage(retry: &str, more: &[&str]) -> u64 {
    let many =
        ["arrivals.rate=2/s", "arrivals.stages=[{for='200100ms', to='2/s'}, {for='0s', to='0/s'}]"];
    let retry = format!("client.retry={retry}");
    let ran = fails(&[&many[..], &[&retry, "arrivals.users=50"], more].concat());
    ran.outcome.attempts.sent - ran.offered()
}

#[test]
fn an_outage_empties_the_bucket_of_a_process() {
    // 500 tokens at 14 a retry: 35 retries, and then none. Users with a process each have 500 each.
    assert_eq!(outage("aws-sdk", &["client.processes=1"]), 35);
    assert_eq!(outage("aws-sdk", &[]), 800);
    assert_eq!(outage("aws-sdk", &["client.processes=10"]), 350);
    assert_eq!(outage("{aws-sdk={tokens=50}}", &["client.processes=1"]), 3);
    assert_eq!(outage("{aws-sdk={cost=50}}", &["client.processes=1"]), 10);
    let slow = ["client.processes=1", "client.patience=50ms"];
    assert_eq!(outage("aws-sdk", &slow), 35);
    assert_eq!(outage("{aws-sdk={timeout_cost=100}}", &slow), 5);
    // Half of the requests succeed and pay 10 each for the others.
    let half = "operation.work.flow=[{choose=[{share='50%', flow=[{reply={bytes='0B', status=503}}]}, {share='50%', flow=[]}]}]";
    let retries = |refund: &str| {
        outage(&format!("{{aws-sdk={{tokens=20{refund}}}}}"), &["client.processes=1", half])
    };
    assert!(
        retries(", refund=10") > retries("") + 50,
        "{} {}",
        retries(", refund=10"),
        retries("")
    );
}

/// Retries of 4,000 requests of which half take too long, and half of these again; one process, whose
/// bucket holds one retry.
fn half_take_too_long(rule: &str, of_users: bool) -> u64 {
    let slow = "choose=[{share='50%', flow=[{wait='10ms'}]}, {share='50%', flow=[]}]";
    let flow = format!("[{{{slow}}}]");
    let retry = format!("{{aws-sdk={{on=['timeout'], attempts=2, base='1ms', {rule}}}}}");
    let many = [
        "arrivals={process='even', users=100, rate='20/s', stages=[{for='200010ms', to='20/s'}, {for='0s', to='0/s'}]}",
        "run.duration=210s",
        "client.processes=1",
    ];
    if of_users {
        let flow = format!("operation.work.flow={flow}");
        let ran = fails(
            &[&many[..], &[&flow, &format!("client.retry={retry}"), "client.patience=5ms"]]
                .concat(),
        );
        return ran.outcome.attempts.sent - ran.offered();
    }
    let call = format!(
        "operation.work.flow=[{{call={{service='inner', flow={flow}, timeout='5ms', retry={retry}}}}}]"
    );
    let ran = run(
        &format!("{FAILS}[service.inner]\n"),
        &[&many[..], &[&call, "operation.work.service=web"]].concat(),
    );
    ran.count("service.inner", Counter::Arrivals) - ran.offered()
}

#[test]
fn a_retry_that_succeeds_gives_back_what_the_last_retry_took() {
    // A bucket of 10, and any success at the first attempt fills it. If a retry that succeeds gives back
    // its own 10, the bucket is empty only after one that fails: it is full f = 1 - f/4 - (1 - f)/2, 2/3
    // of the time, and a third of the requests are retried. If only what an error costs, 1, it is too empty
    // after every retry: half of the time, and a quarter of the requests are retried.
    for of_users in [true, false] {
        let own = half_take_too_long("tokens=10, refund=10, cost=1, timeout_cost=10", of_users);
        assert!((own as f64 - 1_333.0).abs() < 100.0, "{own}");
        let same = half_take_too_long("tokens=10, refund=10, cost=10", of_users);
        assert_eq!(own, same, "what an error would have cost does not matter");
        // First attempts give nothing back: 1,000 last for 100 retries that fail, and as many that do
        // not: a deviation of 14.
        let lasts = half_take_too_long("tokens=1_000, refund=0, timeout_cost=10", of_users);
        assert!(lasts.abs_diff(200) < 45, "{lasts}");
    }
}

#[test]
fn resilience4j_waits_the_same_or_longer_each_time() {
    assert_eq!(tried("resilience4j"), (3, ms(300 + 1_000)));
    assert_eq!(tried("{resilience4j={wait='1s', attempts=2}}"), (2, ms(200 + 1_000)));
    assert_eq!(tried("{resilience4j={multiplier=1.5}}"), (3, ms(300 + 500 + 750)));
    let (_, spread) = tried("{resilience4j={randomisation='50%'}}");
    assert!(spread > ms(300 + 500) && spread < ms(300 + 1_500) && spread != ms(1_300));
    assert_eq!(tried("{resilience4j={share='0%'}}").0, 1);
    assert_eq!((answered(404, "resilience4j"), answered(404, "{resilience4j={on=[404]}}")), (1, 3));
}

/// Retries while 100 requests are in flight that all fail at once after 10 s.
fn burst(retry: &str) -> u64 {
    let sets = [
        "client.processes=1",
        "operation.work.flow=[{wait='10s'}, {reply={bytes='0B', status=503}}]",
        "arrivals={process='even', rate='1000/s', stages=[{for='100500us', to='1000/s'}, {for='0s', to='0/s'}]}",
        &format!("client.retry={retry}"),
    ];
    let ran = fails(&sets);
    assert_eq!(ran.offered(), 100);
    ran.outcome.attempts.sent - ran.offered()
}

#[test]
fn envoy_retries_once_within_its_breaker_or_its_budget() {
    assert_eq!(tried("envoy").0, 2);
    assert!(tried("envoy").1 < ms(200 + 25));
    assert_eq!(tried("{envoy={retries=3}}").0, 4);
    assert!(tried("{envoy={retries=3, base='1s', cap='1s'}}").1 > ms(400 + 150));
    assert_eq!(tried("{envoy={share='0%'}}").0, 1);
    assert_eq!((answered(404, "envoy"), answered(404, "{envoy={on=[404]}}")), (1, 2));
    // A budget counts what is in flight when an answer is there. By the time of the last failures few
    // are left, so the share is less than a fifth of all.
    // Three at once by its circuit breaker, whatever is in flight.
    assert_eq!((burst("envoy"), burst("{envoy={max_retries=0}}")), (3, 0));
    assert!(burst("{envoy={max_retries=60}}") > 50);
    let retries = burst("{envoy={budget='20%'}}");
    assert!((10..=21).contains(&retries), "{retries}");
    assert!(burst("{envoy={budget='50%'}}") > retries + 10);
    assert!(burst("{envoy={budget='0%'}}") >= 3, "three are always allowed");
    assert_eq!(burst("{envoy={budget='0%', least=0}}"), 0);
    assert!(burst("{envoy={budget='0%', least=60}}") > 50);
}

#[test]
fn a_process_turns_its_own_requests_away_while_few_are_accepted() {
    let sets = |throttle: &'static str| {
        let many = "arrivals={process='even', rate='20/s', users=10, stages=[{for='200s', to='20/s'}, {for='0s', to='0/s'}]}";
        fails(&[many, throttle, "client.processes=1"])
    };
    let all = sets("client.patience=60s");
    let some = sets("client.throttle={}");
    assert_eq!(all.failed(Failure::Throttled), 0);
    // Nothing is ever accepted: requests / (requests + 1) are turned away, so 1 in n + 1 is sent.
    // Of 4,000, of which the latest 2,300 or so are remembered: 1 + 1/2 + ... + 1/2400, and 1,600/2,300.
    // That is 9, with a deviation of 2.7.
    let sent = some.outcome.attempts.sent;
    assert_eq!(some.failed(Failure::Throttled) + sent, 4_000);
    assert!((4..=17).contains(&sent), "{sent}");
    // Everything is accepted: nothing is turned away.
    let fine = "operation.work.flow=[{wait='100ms'}]";
    assert_eq!(fails(&["client.throttle={}", fine]).failed(Failure::Throttled), 0);
    // Half of it is: k = 2 lets it pass, k = 1 turns half of the rest away.
    let half = "operation.work.flow=[{choose=[{share='50%', flow=[{reply={bytes='0B', status=503}}]}, {share='50%', flow=[]}]}]";
    let many = "arrivals={process='even', rate='20/s', users=10, stages=[{for='200s', to='20/s'}, {for='0s', to='0/s'}]}";
    let throttled = |throttle: &str| {
        fails(&[half, many, "client.processes=1", throttle]).failed(Failure::Throttled)
    };
    assert!(throttled("client.throttle={k=4}") < 10);
    assert!(throttled("client.throttle={k=1}") > 1_000);
    // A longer memory of better times is a longer patience.
    let (short, long) = (
        throttled("client.throttle={k=1.9, window='2s'}"),
        throttled("client.throttle={k=1.9, window='2min'}"),
    );
    assert_ne!(short, long);
}

const LAYERED: &str = r#"
[arrivals]
process = "even"
users = 1
rate = "1/s"
stages = [{ for = "1500ms", to = "1/s" }, { for = "0s", to = "0/s" }]
[service.web]
[service.inner]
[operation.work]
share = 1
service = "web"
flow = [{ call = { service = "inner", flow = [{ wait = "100ms" }, { query = { pool = "pg", read = "1ms", fail = "100%" } }] } }]
[pool.pg]
service = "inner"
database = "db"
[database.db]
connect = "0ms"
rtt = "0ms"
"#;

#[test]
fn calls_are_repeated_and_layers_multiply() {
    let call = |more: &str| {
        format!(
            "operation.work.flow=[{{call={{service='inner', flow=[{{wait='100ms'}}, {{query={{pool='pg', read='1ms', fail='100%'}}}}]{more}}}}}]"
        )
    };
    let ran = |more: &str, client: &str| {
        run(LAYERED, &[&call(more), &format!("client.retry={client}"), "run.duration=60s"])
    };
    let inner = |ran: &Ran| ran.count("service.inner", loadbearing::run::Counter::Arrivals);
    assert_eq!(inner(&ran("", "never")), 1);
    let once = ran(", retry='axios-retry'", "never");
    assert_eq!((inner(&once), once.each_failed()), (4, ms(4 * 101)));
    assert_eq!(once.failed(Failure::UpstreamError), 1);
    let both = ran(", retry='axios-retry'", "axios-retry");
    assert_eq!((inner(&both), both.each_failed()), (16, ms(16 * 101)));
    let waits = ran(", retry={resilience4j={attempts=2}}", "never");
    assert_eq!(waits.each_failed(), ms(2 * 101 + 500));
    // A timeout is repeated by those who do.
    let slow = ran(
        ", timeout='50ms', retry={fixed={on=['timeout'], attempts=3, delay='1s', jitter='0%'}}",
        "never",
    );
    assert_eq!((inner(&slow), slow.each_failed()), (3, ms(2_150)));
    assert_eq!(slow.failed(Failure::UpstreamTimeout), 1);
    let shared = ran(", timeout='250ms', retry={axios-retry={on=['5xx', 'timeout']}}", "never");
    assert_eq!((inner(&shared), shared.each_failed()), (3, ms(250)));
}

#[test]
fn a_decorrelated_pause_follows_from_the_last_one() {
    // Uniform between 1 s and three times the last: 2, 3.5, 5.75 and 9.125 s on average, 20.4 s in all. Their
    // deviation is 8.6 s, of the mean of 400 requests 0.43 s.
    let call = "operation.work.flow=[{call={service='inner', flow=[{wait='100ms'}, {query={pool='pg', \
                read='1ms', fail='100%'}}], retry={exponential={on=['5xx'], base='1s', cap='1h', \
                attempts=5, jitter='decorrelated'}}}}]";
    let many = "arrivals={process='even', rate='100/s', users=9, stages=[{for='4005ms', to='100/s'}, {for='0s', to='0/s'}]}";
    let ran = run(LAYERED, &[call, many, "run.duration=200s", "pool.pg.size=400"]);
    assert_eq!(ran.failed(Failure::UpstreamError), 400);
    let mean = ran.outcome.failed_latency.mean_s().expect("all fail");
    assert!((mean - 20.375 - 5.0 * 0.101).abs() < 1.3, "{mean}");
}

#[test]
fn a_caller_honours_retry_after_and_throttles_itself() {
    let limited = |retry: &str| {
        let text = format!(
            "{LAYERED}\n[limit.l]\nmax = 0\nrespond = {{ status = 429, retry_after = '7s' }}\n"
        );
        let flow = format!(
            "operation.work.flow=[{{call={{service='inner', flow=[{{wait='100ms'}}], retry={retry}}}}}, {{query={{pool='pg', read='1ms'}}}}]"
        );
        let flow = flow.replace(", {query={pool='pg', read='1ms'}}", "");
        run(&text, &[&flow, "service.inner.before=['limit.l']", "run.duration=60s"]).each_failed()
    };
    assert_eq!(limited("{fixed={on=[429], attempts=2, delay='1s', jitter='0%'}}"), ms(7_000));
    let many = "arrivals={process='even', rate='20/s', users=10, stages=[{for='100s', to='20/s'}, {for='0s', to='0/s'}]}";
    let flow = "operation.work.flow=[{call={service='inner', flow=[{query={pool='pg', read='1ms', fail='100%'}}], throttle={}}}]";
    let ran = run(LAYERED, &[many, flow, "run.duration=120s"]);
    assert!(ran.failed(Failure::Throttled) > 1_900, "{}", ran.failed(Failure::Throttled));
}

#[test]
fn a_process_that_is_started_anew_has_a_full_bucket() {
    // 500 tokens at 14 a retry: 35 of 400 calls that all fail are made again.
    let retries = |more: &[&str]| {
        let sets = [
            "arrivals.rate=2/s",
            "arrivals.stages=[{for='200100ms', to='2/s'}, {for='0s', to='0/s'}]",
            "operation.work.flow=[{call={service='inner', flow=[{query={pool='pg', read='1ms', fail='100%'}}], retry={aws-sdk={attempts=2}}}}]",
            "run.duration=210s",
        ];
        let ran = run(LAYERED, &[&sets[..], more].concat());
        ran.count("service.inner", Counter::Arrivals) - 400
    };
    assert_eq!(retries(&[]), 35);
    // One that is stopped between two requests has another; two processes have one each.
    let restart = "fault.f={target='service.web', what='stop', at='100200ms', for='100ms'}";
    assert_eq!(retries(&[restart]), 2 * 35);
    assert_eq!(retries(&["service.web.workers=2"]), 2 * 35);
}

#[test]
fn impatient_users_load_the_page_anew() {
    let slow = "operation.work.flow=[{wait='8s'}]";
    let ran = |reload: &str| fails(&[slow, reload]);
    let none = ran("client.patience=200s");
    assert_eq!((none.outcome.attempts.sent, none.each()), (1, ms(8_000)));
    let twice = ran("client.reload={share='100%'}");
    assert_eq!((twice.outcome.attempts.sent, twice.each()), (2, ms(13_000)));
    assert_eq!(twice.outcome.attempts.late, 1, "the first answer is for nobody");
    assert_eq!(ran("client.reload={share='100%', times=3}").each(), ms(23_000));
    assert_eq!(ran("client.reload={share='100%', after='3s'}").each(), ms(11_000));
    assert_eq!(ran("client.reload={share='0%'}").outcome.attempts.sent, 1);
    // A page that is loaded anew is no retry: of the three that Envoy's breaker grants none is taken by it,
    // and none given back. Each of ten requests is sent three times.
    let budget = [
        "operation.work.flow=[{wait='800ms'}, {reply={bytes='0B', status=503}}]",
        "arrivals={process='even', rate='1/s', users=1, stages=[{for='10500ms', to='1/s'}, {for='0s', to='0/s'}]}",
        "client.reload={share='100%', after='500ms'}",
        "client.retry.envoy={retries=2}",
    ];
    let ran = fails(&budget);
    assert_eq!((ran.offered(), ran.outcome.attempts.sent), (10, 30));
    // Nor is the first attempt a success that pays for a retry: of the ten one finds 14 tokens.
    let bucket = "client.retry.aws-sdk={attempts=3, tokens=14, cost=14, refund=14}";
    let ran = fails(&[&budget[..3], &[bucket, "client.processes=1"]].concat());
    assert_eq!((ran.offered(), ran.outcome.attempts.sent), (10, 21));
    let many = "arrivals={process='even', rate='5/s', users=10, stages=[{for='200s', to='5/s'}, {for='0s', to='0/s'}]}";
    let some = fails(&[slow, "client.reload={}", many]);
    let again = some.outcome.attempts.sent - some.offered();
    // Binomial(1000, 0.1): deviation 9.5.
    assert!(again.abs_diff(100) < 40, "{again}");
}

#[test]
fn a_call_has_so_many_attempts_at_most() {
    let wrong = |attempts: u32| {
        let text = format!(
            "version = 1\narrivals.rate = '1/s'\n[service.web]\n[service.far]\n[operation.a]\nshare = 1\n\
             service = 'web'\nflow = [{{ call = {{ service = 'far', flow = [{{ cpu = '1ms' }}], \
             retry.fixed = {{ on = [503], attempts = {attempts} }} }} }}]\n"
        );
        let found = loadbearing::topology::load("a.toml", &[], &mut |_| Ok(text.clone()));
        found.diagnostics.iter().any(|it| it.slug == "out-of-range")
    };
    // Numbered with 13 bits.
    assert_eq!([wrong(8_191), wrong(8_192)], [false, true]);
}
