//! Limits on the connections of HTTP clients: who waits, in what order, and for how long.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Services a round trip of 20 ms away; a request at 1 s, 2 s, ... 10 s.
const FAR: &str = r#"
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
[service.near]
region = "there"
[operation.work]
share = 1
service = "web"
"#;

/// Each request calls these services side by side; each call takes them so long.
fn calls(services: &[&str], client: &str, takes: &str, sets: &[&str]) -> Ran {
    let call = |to: &&str| {
        format!("[{{call={{service='{to}', client={client}, flow=[{{wait='{takes}'}}]}}}}]")
    };
    let calls: Vec<String> = services.iter().map(call).collect();
    // A branch of its own, so that one call is possible too.
    let flow =
        format!("operation.work.flow=[{{parallel=[[{{wait='1us'}}], {}]}}]", calls.join(", "));
    run(FAR, &[&[flow.as_str()], sets].concat())
}

fn at_once(count: usize, client: &str, sets: &[&str]) -> Ran {
    calls(&vec!["far"; count], client, "100ms", sets)
}

/// A single request.
const ONE: &str = "run.duration=1500ms";
const LONG: &str = "run.duration=30s";
const FIRST: &str = "arrivals.rate=0.06/s";

#[test]
fn as_many_calls_as_there_may_be_connections_go_at_once() {
    // Opening takes a round trip, each call 120 ms: three waves.
    for client in ["{httpx={max_connections=4}}", "{axios={per_host=4}}", "{fetch={per_host=4}}"] {
        let ran = at_once(12, client, &[ONE]);
        let name = &client[1..client.find('=').expect("a kind")];
        let path = format!("service.web.client.{name}");
        assert_eq!(ran.each(), ms(20 + 3 * 120), "{client}");
        let station = ran.station(&path);
        assert_eq!((station.waiting_peak, station.busy_peak, station.capacity), (8, 4.0, 4.0));
        assert_eq!(station.wait.max(), Some(ms(260)));
        let counted = [Counter::Arrivals, Counter::Served, Counter::Opened, Counter::TimedOut];
        assert_eq!(counted.map(|it| ran.count(&path, it)), [12, 12, 4, 0], "{client}");
    }
    // Each process has its own: one more, and nobody waits.
    assert_eq!(at_once(12, "{axios={per_host=12}}", &[ONE]).each(), ms(140));
    assert_eq!(at_once(12, "{axios={per_host=11}}", &[ONE]).each(), ms(260));
    let two = at_once(12, "{axios={per_host=4}}", &[ONE, "service.web.instances=2"]);
    assert_eq!(two.station("service.web.client.axios").capacity, 8.0);
}

#[test]
fn each_product_has_its_own_limits() {
    let waves = |client: &str, count: usize| {
        let took = at_once(count, client, &[ONE]).each();
        (took.0 - ms(20).0) / ms(120).0
    };
    for (client, most) in [
        ("'httpx'", 100),
        ("'aiohttp'", 100),
        ("'okhttp'", 5),
        ("{okhttp={per_host=1000}}", 64),
        ("'apache-httpclient'", 5),
        ("{apache-httpclient={per_host=1000}}", 25),
        ("{requests-session={per_host=20}}", 20),
        ("{go={per_host=20}}", 20),
        ("{aiohttp={per_host=20}}", 20),
    ] {
        assert_eq!((waves(client, most), waves(client, most + 1)), (1, 2), "{client}");
    }
    for client in ["'fetch'", "'axios'", "'go'", "'requests'", "'requests-session'"] {
        assert_eq!(waves(client, 300), 1, "{client}");
    }
}

#[test]
fn calls_of_a_service_share_a_client_and_hosts_do_not_stand_in_each_others_way() {
    let three = ["far", "far", "near"];
    let waits = |client: &str| {
        let ran = calls(&three, client, "100ms", &[ONE]);
        let name = client[1..].split('=').next().expect("a kind");
        (ran.station(&format!("service.web.client.{name}")).waiting_peak, ran.each())
    };
    assert_eq!(waits("{okhttp={per_host=1}}"), (1, ms(260)));
    // All in all two; the third opens a connection to another host in place of an idle one.
    assert_eq!(waits("{httpx={max_connections=2}}"), (1, ms(280)));
    assert_eq!(waits("{apache-httpclient={max_connections=2}}"), (1, ms(280)));
    // The one that is full shows in how full the client is.
    let ran = calls(&three, "{axios={per_host=1}}", "100ms", &[ONE]);
    let station = ran.station("service.web.client.axios");
    assert_eq!((station.capacity, station.busy_mean), (2.0, (0.26 + 0.14) / 1.5));
    assert!((station.busiest() - 0.26 / 1.5).abs() < 1e-9, "{}", station.busiest());
    // Clients of other names have other connections.
    let named = |name: &str| {
        format!(
            "[{{call={{service='far', client={{axios={{per_host=1, name='{name}'}}}}, flow=[{{wait='100ms'}}]}}}}]"
        )
    };
    let flow = |a, b| format!("operation.work.flow=[{{parallel=[{}, {}]}}]", named(a), named(b));
    assert_eq!(run(FAR, &[&flow("a", "a"), ONE]).each(), ms(260));
    let apart = run(FAR, &[&flow("a", "b"), ONE]);
    assert_eq!(apart.each(), ms(140));
    assert_eq!(apart.station("service.web.client.b").capacity, 1.0);
}

#[test]
fn the_first_who_waits_is_the_first_who_goes() {
    // A request each 100 ms, of which each takes 120 ms, and the first 20 ms more: number k waits for
    // k x 20 ms, and number 87 is the last that leaves, at 10.44 s.
    let ran = at_once(1, "{axios={per_host=1}}", &["arrivals.rate=10/s"]);
    let wait = &ran.station("service.web.client.axios").wait;
    assert_eq!((wait.max(), wait.count()), (Some(ms(1_740)), 87));
}

#[test]
fn who_waits_too_long_has_no_connection() {
    // Calls of 3,020 ms one after another, the first with 20 ms more: the third would wait for 6,060 ms.
    let slow = |client: &str, sets: &[&str]| {
        calls(&["far"; 3], client, "3s", &[sets, &[LONG, FIRST]].concat())
    };
    let fails = |client: &str, why: Failure| {
        let ran = slow(client, &[]);
        assert_eq!(ran.failed(why), 1, "{client}: {:?}", ran.outcome.requests);
        ran.each_failed()
    };
    assert_eq!(fails("{httpx={max_connections=1}}", Failure::PoolTimeout), ms(5_000));
    let limited = |limit: &str| format!("{{httpx={{max_connections=1, pool_timeout='{limit}'}}}}");
    assert_eq!(fails(&limited("5.9s"), Failure::PoolTimeout), ms(5_900));
    assert_eq!(slow(&limited("6.1s"), &[]).each(), ms(20 + 3 * 3_020));
    let hasty = "{apache-httpclient={per_host=1, pool_timeout='2s'}}";
    assert_eq!(fails(hasty, Failure::PoolTimeout), ms(2_000));
    let ran = slow(hasty, &[]);
    assert_eq!(ran.count("service.web.client.apache-httpclient", Counter::TimedOut), 2);
    for patient in
        ["{apache-httpclient={per_host=1}}", "{axios={per_host=1}}", "{fetch={per_host=1}}"]
    {
        assert_eq!(slow(patient, &[]).each(), ms(9_080), "{patient}");
    }
}

#[test]
fn the_time_of_a_call_runs_while_it_waits_or_does_not() {
    let each = |client: &str| {
        let flow = format!(
            "[{{call={{service='far', client={client}, timeout='4s', flow=[{{wait='3s'}}]}}}}]"
        );
        let flow = format!("operation.work.flow=[{{parallel=[{flow}, {flow}, {flow}]}}]");
        run(FAR, &[&flow, LONG, FIRST])
    };
    for client in
        ["{axios={per_host=1}}", "{okhttp={per_host=1}}", "{apache-httpclient={per_host=1}}"]
    {
        assert_eq!(each(client).each(), ms(9_080), "{client}");
    }
    for client in ["{fetch={per_host=1}}", "{aiohttp={per_host=1}}", "{go={per_host=1}}"] {
        let ran = each(client);
        assert_eq!(ran.failed(Failure::UpstreamTimeout), 1, "{client}");
        assert_eq!(ran.each_failed(), ms(4_000), "{client}");
    }
}

#[test]
fn a_call_that_is_given_up_closes_its_connection_and_the_next_opens_one() {
    let flow = "operation.work.flow=[{parallel=[[{wait='1us'}], [{call={service='far', \
                client={axios={per_host=1}}, timeout='500ms', flow=[{wait='2s'}]}}]]}]";
    // Two requests a second: at 0.5, 1.0, ... s, each gives up when the next one comes.
    let ran = run(FAR, &[flow, "arrivals.rate=2/s", "run.duration=5250ms"]);
    assert_eq!(ran.failed(Failure::UpstreamTimeout), 9);
    assert_eq!(ran.count("service.web.client.axios", Counter::Opened), 10);
    assert_eq!(ran.station("service.web.client.axios").busy_peak, 1.0);
}

#[test]
fn so_many_idle_ones_are_kept() {
    // A wave a second: who finds an idle connection takes 120 ms.
    let later = |client: &str, count: usize| at_once(count, client, &[]).shortest();
    for (client, kept) in [
        ("'go'", 2),
        ("{go={idle_per_host=7}}", 7),
        ("{go={idle_per_host=7, max_idle=6}}", 6),
        ("'requests-session'", 10),
        ("{requests-session={idle_per_host=20}}", 20),
        ("'httpx'", 20),
        ("{httpx={max_idle=6}}", 6),
        ("{okhttp={per_host=64}}", 5),
        ("{okhttp={per_host=64, max_idle=20}}", 20),
        ("{axios={idle_per_host=20}}", 20),
        ("'axios'", 256),
    ] {
        assert_eq!((later(client, kept), later(client, kept + 1)), (ms(120), ms(140)), "{client}");
    }
    assert_eq!(later("'aiohttp'", 100), ms(120));
    // httpcore closes what falls idle while there are more in all, and who waits opens another.
    assert_eq!(at_once(12, "{httpx={max_connections=4, max_idle=4}}", &[ONE]).each(), ms(380));
    let ran = at_once(12, "{httpx={max_connections=4, max_idle=3}}", &[ONE]);
    assert_eq!(ran.each(), ms(3 * 140));
    assert_eq!(ran.count("service.web.client.httpx", Counter::Opened), 12);
}

#[test]
fn idle_ones_are_kept_for_as_long_as_their_product_keeps_them() {
    let later = |client: &str, every: u64| {
        let rate = format!("arrivals.rate={}/s", 1.0 / every as f64);
        let duration = format!("run.duration={}s", 2 * every + 2);
        let open = ["service.far.keep_alive=2h", rate.as_str(), duration.as_str()];
        at_once(1, client, &open).shortest()
    };
    for (client, kept) in [
        ("'aiohttp'", 15),
        ("'go'", 90),
        ("'okhttp'", 300),
        ("'apache-httpclient'", 180),
        ("{requests-session={keep_alive='200s'}}", 200),
    ] {
        // Idle from 120 or 140 ms after the last request on.
        assert_eq!((later(client, kept), later(client, kept + 1)), (ms(120), ms(140)), "{client}");
    }
    assert_eq!(later("'requests-session'", 3_600), ms(120));
}

#[test]
fn a_shared_timeout_runs_only_from_the_first_attempt_that_is_sent() {
    // The second call waits for a connection in vain for 100 ms, and again at once, twice more; then it has failed.
    // Nothing of its 2 s has run by then.
    let client = "{apache-httpclient={per_host=1, pool_timeout='100ms'}}";
    let call = format!(
        "[{{call={{service='far', client={client}, timeout='2s', retry.axios-retry={{on=['timeout'], retries=2}}, flow=[{{wait='1s'}}]}}}}]"
    );
    let ran = run(FAR, &[&format!("operation.work.flow=[{{parallel=[{call}, {call}]}}]"), ONE]);
    assert_eq!(ran.each_failed(), ms(300));
}
