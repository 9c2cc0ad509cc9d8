//! HTTP clients of services: who opens connections, keeps them, and gives up.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Calls over a round trip of 20 ms, once a second.
const CALLS: &str = r#"
[region.here]
users = "100%"
[region.there]
users = "0%"
[route.here.there]
rtt = "20ms"
[service.web]
region = "here"
[service.far]
region = "there"
[operation.work]
share = 1
service = "web"
flow = [{ call = { service = "far", client = "fetch", flow = [{ cpu = "1ms" }] } }]
"#;

fn calls(client: &str, sets: &[&str]) -> Ran {
    let flow = format!(
        "operation.work.flow=[{{call={{service='far', client={client}, flow=[{{cpu='1ms'}}]}}}}]"
    );
    run(CALLS, &[&[flow.as_str()], sets].concat())
}

#[test]
fn a_call_opens_a_connection_unless_one_is_idle() {
    let took = |client: &str, sets: &[&str]| {
        let ran = calls(client, sets);
        (ran.longest(), ran.shortest())
    };
    assert_eq!(took("'open'", &[]), (ms(21), ms(21)));
    for kept in ["'fetch'", "'axios'", "'httpx'"] {
        assert_eq!(took(kept, &[]), (ms(41), ms(21)), "{kept}: the first opens it");
    }
    assert_eq!(took("'requests'", &[]), (ms(41), ms(41)));
    assert_eq!(took("{fetch={keep_alive='900ms'}}", &[]), (ms(41), ms(41)));
    assert_eq!(took("{fetch={keep_alive='990ms'}}", &[]), (ms(41), ms(21)));
    assert_eq!(took("{requests={tls='1.3'}}", &[]), (ms(61), ms(61)));
    assert_eq!(took("{requests={tls='1.2'}}", &[]), (ms(81), ms(81)));
    // Each worker has its own.
    let two = calls("'fetch'", &["service.web.instances=2"]);
    assert_eq!((two.mean_s() * 1e4).round(), 250.0, "two of ten open one");
    // Who finds none idle opens another.
    let burst = ["arrivals.rate=100/s", "run.duration=55ms"];
    assert_eq!(calls("'fetch'", &burst).ok(), 1, "all of five wait for theirs");
}

#[test]
fn a_connection_that_closes_meanwhile_resets_the_call() {
    // Idle for 959 ms when the next call leaves, which takes 10 ms: closed on its way.
    let closing = ["service.far.keep_alive='965ms'"];
    let ran = calls("'axios'", &closing);
    assert_eq!(ran.failed(Failure::UpstreamError), 5, "every second one");
    assert_eq!(ran.each_failed(), ms(20));
    let known = calls("'axios'", &["service.far.keep_alive='940ms'"]);
    assert_eq!(known.each(), ms(41), "the client has heard of it");
}

#[test]
fn connecting_ends_at_its_timeout() {
    let cut = "fault.f={target='service.far', what={cut={from='service.web'}}, at='2500ms'}";
    let long = ["run.duration='200s'", "arrivals.rate='0.1/s'", cut];
    let fails = |client: &str| {
        let ran = calls(client, &long);
        assert!(ran.failed(Failure::UpstreamError) > 0, "{client}");
        ran.each_failed()
    };
    assert_eq!(fails("'fetch'"), ms(10_000));
    assert_eq!(fails("'httpx'"), ms(5_000));
    assert_eq!(fails("'axios'"), ms(127_000));
    assert_eq!(fails("'requests'"), ms(127_000));
    assert_eq!(fails("'requests-session'"), ms(127_000));
    assert_eq!(fails("'aiohttp'"), ms(30_000));
    assert_eq!(fails("'go'"), ms(30_000));
    assert_eq!(fails("'okhttp'"), ms(10_000));
    assert_eq!(fails("{apache-httpclient={connect_timeout='60s', per_host=20}}"), ms(60_000));
    assert_eq!(fails("{apache-httpclient={per_host=20}}"), ms(127_000), "its 3 min are longer");
    assert_eq!(fails("{requests={connect_timeout='3s'}}"), ms(3_000));
    // A machine that is gone, without a balancer before it that would notice.
    let gone = "fault.f={target='service.far', what={node-loss={}}, at='2500ms'}";
    let ran = calls("'fetch'", &["run.duration='200s'", "arrivals.rate='0.1/s'", gone]);
    // Until the node is not ready; then there is nobody to connect to.
    assert_eq!(ran.outcome.failed_latency.max(), Some(ms(10_000)));
}

#[test]
fn a_syn_that_finds_no_room_is_sent_again_until_connecting_ends() {
    // The only loop computes for 30 s, and one connection waits in the kernel. The SYNs of the next
    // calls are dropped.
    let full = [
        "service.far.backlog=1",
        "service.far.max_connections=1",
        "service.far.on_max=wait",
        "run.duration='60s'",
        "arrivals.rate='0.2/s'",
    ];
    let flow = |client: &str| {
        format!(
            "operation.work.flow=[{{call={{service='far', client={client}, \
             flow=[{{cpu='200s'}}]}}}}]"
        )
    };
    let fails = |client: &str| run(CALLS, &[&[flow(client).as_str()], &full[..]].concat());
    assert_eq!(fails("'requests'").outcome.requests.failed_all(), 0, "SYNs go on for 127 s");
    let ran = fails("{requests={connect_timeout='10s'}}");
    assert_eq!(ran.each_failed(), ms(10_000));
}

#[test]
fn a_call_over_a_kept_connection_waits_for_an_answer() {
    let cut = "fault.f={target='service.far', what={cut={from='service.web'}}, at='2500ms'}";
    let after = |client: &str, timeout: &str| {
        let flow = format!(
            "operation.work.flow=[{{call={{service='far', client={client}{timeout}, \
             flow=[{{cpu='1ms'}}]}}}}]"
        );
        let ran = run(CALLS, &[&flow, cut, "run.duration='500s'", "arrivals.rate='0.5/s'"]);
        ran.outcome.failed_latency.max().expect("calls fail")
    };
    // Requests of 2, 4, ... s: that of 4 s finds the connection of the one before.
    assert_eq!(after("'fetch'", ""), ms(300_000));
    assert_eq!(after("'httpx'", ""), ms(5_000));
    assert_eq!(after("'aiohttp'", ""), ms(300_000));
    assert_eq!(after("'okhttp'", ""), ms(10_000));
    assert_eq!(after("'fetch'", ", timeout='20s'"), ms(20_000));
}

#[test]
fn a_connection_that_cannot_be_opened_may_be_tried_again() {
    let cut = "fault.f={target='service.far', what={cut={from='service.web'}}, at='2500ms'}";
    let flow = "operation.work.flow=[{call={service='far', client={fetch={connect_timeout='1s'}}, \
                retry={axios-retry={retries=2}}, flow=[{cpu='1ms'}]}}]";
    let ran = run(CALLS, &[flow, cut, "run.duration='99s'", "arrivals.rate='0.1/s'"]);
    assert_eq!(ran.each_failed(), ms(3_000));
}

/// So many connections opened by a client of this name.
fn opened(ran: &Ran, name: &str) -> u64 {
    ran.count(&format!("service.web.client.{name}"), Counter::Opened)
}

#[test]
fn the_idle_connection_used_last_or_first_is_used_next() {
    // Two at once, three one after another, two at once. Of two connections kept for 2.5 s the one is idle for
    // 3 s, unless they take turns.
    let opened = |product: &str| {
        let client = format!("{{{product}={{keep_alive='2500ms', max_connections=9}}}}");
        let call = format!("{{call={{service='far', client={client}, flow=[{{cpu='1ms'}}]}}}}");
        let flow = format!(
            "operation.work.flow=[{{parallel=[[{call}], [{call}]]}}, {{wait='1s'}}, {call}, {{wait='1s'}}, {call}, \
             {{wait='1s'}}, {call}, {{parallel=[[{call}], [{call}]]}}]"
        );
        opened(&run(CALLS, &[&flow, "run.duration=19s", "arrivals.rate='0.1/s'"]), product)
    };
    assert_eq!(["aiohttp", "okhttp", "apache-httpclient"].map(opened), [2, 3, 3]);
}

#[test]
fn an_idle_connection_is_closed_for_one_to_another_service() {
    let opened = |client: &str, name: &str| {
        let call = |to: &str| {
            format!("{{call={{service='{to}', client={client}, flow=[{{cpu='1ms'}}]}}}}")
        };
        let flow = format!("operation.work.flow=[{}, {}]", call("far"), call("near"));
        let text = format!("{CALLS}\n[service.near]\nregion = 'here'\n");
        opened(&run(&text, &[&flow]), name)
    };
    let most = |most: u32| {
        ["apache-httpclient", "httpx", "aiohttp"]
            .map(|name| opened(&format!("{{{name}={{max_connections={most}}}}}"), name))
    };
    // Ten requests call the one and then the other. Those of aiohttp that are idle do not count.
    assert_eq!((most(1), most(2)), ([20, 20, 2], [2, 2, 2]));
}

#[test]
fn a_process_that_ends_frees_the_connections_of_its_calls() {
    // The second of ten calls, of half a second, is under way when its process ends. The next finds room.
    let down = "fault.f={target='service.web', what='stop', at='2200ms', for='300ms'}";
    let flow = "operation.work.flow=[{call={service='far', client={aiohttp={max_connections=1}}, flow=[{wait='500ms'}]}}]";
    let ran = run(CALLS, &[flow, down, "run.duration=10900ms"]);
    assert_eq!((ran.ok(), ran.failed(Failure::InstanceLost)), (9, 1));
}

#[test]
fn a_balancer_that_passes_connections_through_forgets_idle_ones() {
    let text = format!("{CALLS}\n[balancer.lb]\nservice = 'far'\nkind = 'nlb'\nhop = '0ms'\n");
    let failed = |idle: &str| {
        let flow = "operation.work.flow=[{call={service='far', client='go', flow=[{cpu='1ms'}]}}]";
        let ran = run(&text, &[flow, &format!("balancer.lb.per={{connection={{idle='{idle}'}}}}")]);
        ran.failed(Failure::UpstreamError)
    };
    // The second call comes 969 ms after the answer to the first, and is reset; the third opens another.
    assert_eq!((failed("950ms"), failed("1s")), (5, 0));
}

#[test]
fn a_kept_connection_ends_at_one_worker_of_one_instance() {
    // How many times as much as the mean the busiest of four workers does.
    let uneven = |ran: &Ran| {
        let (busiest, mean) = ran.station("service.far").worker_busiest.expect("it works");
        (busiest / mean * 1e6).round() / 1e6
    };
    let four = ["service.far.workers=4", "service.far.cores=4"];
    let two = ["service.far.workers=2", "service.far.instances=2", "service.far.cores=2"];
    // Ten calls that do not meet need one connection; without one they go to all in turn: 3, 3, 2 and 2.
    for (client, factor) in [("'fetch'", 4.0), ("'requests'", 1.2), ("'open'", 1.2)] {
        assert_eq!(uneven(&calls(client, &four)), factor, "{client}");
        assert_eq!(uneven(&calls(client, &two)), factor, "{client}");
    }
    assert_eq!(uneven(&calls("'fetch'", &[four[0], four[1], "service.far.hand_out=shared"])), 4.0);
    // Fifty a second of 1 ms share one of HTTP/2, also those that leave while it is being opened.
    let many = ["arrivals.rate=50/s", "run.duration=10s"];
    assert_eq!(uneven(&calls("'http2'", &[&many[..], &four].concat())), 4.0);
    // Each of three callers has its own, and its own worker: one of four has nothing to do.
    let three =
        calls("'fetch'", &[&four[..], &["service.web.instances=3", "arrivals.rate=3/s"]].concat());
    assert!((uneven(&three) - 4.0 / 3.0).abs() < 0.1, "{}", uneven(&three));
    // Requests of users who keep no connections go to all in turn.
    let users = format!(
        "{CALLS}[operation.direct]\nshare = 1_000_000_000\nservice = 'far'\nflow = [{{ cpu = '1ms' }}]\n"
    );
    assert_eq!(uneven(&run(&users, &four)), 1.2);
}

#[test]
fn a_kept_connection_ends_with_its_process() {
    let dies = "fault.f={target='service.far', what='restart', at='3500ms', for='100ms'}";
    let opened = |sets: &[&str]| {
        let ran = calls("'fetch'", sets);
        assert_eq!(ran.ok(), 10);
        ((ran.mean_s() - 0.021) / 0.02 * 10.0).round()
    };
    assert_eq!((opened(&[]), opened(&[dies])), (1.0, 2.0));
    assert_eq!(opened(&[dies, "service.far.workers=2", "service.far.cores=2"]), 2.0);
    // A balancer keeps its connections to callers.
    let text = format!("{CALLS}[balancer.lb]\nservice = 'far'\nhop = '0ms'\n");
    assert_eq!((run(&text, &[dies]).mean_s() * 1e3).round(), 23.0);
}
