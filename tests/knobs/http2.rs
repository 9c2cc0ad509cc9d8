//! Calls over HTTP/2: one connection for all of a process, with so many streams.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// A hundred calls at once over a round trip of 20 ms, each for 100 ms; such a request each second.
fn calls(client: &str, more: &str, sets: &[&str]) -> Ran {
    let call = format!("[{{call={{service='far', client={client}, flow=[{{wait='100ms'}}]}}}}]");
    let all = vec![call; 100].join(", ");
    let text = format!(
        "[region.here]\nusers = '100%'\n[region.there]\nusers = '0%'\n[route.here.there]\nrtt = '20ms'\n\
         [service.web]\nregion = 'here'\n[service.far]\nregion = 'there'\nkeep_alive = '1h'\n[operation.work]\n\
         share = 1\nservice = 'web'\nflow = [{{ parallel = [{all}] }}]\n{more}"
    );
    run(&text, sets)
}

#[test]
fn all_calls_share_one_connection_with_so_many_streams() {
    let took = |client: &str, sets: &[&str]| {
        let ran = calls(client, "", sets);
        (ran.longest(), ran.shortest())
    };
    // Opened once, for which all wait; then nobody waits.
    assert_eq!(took("'http2'", &[]), (ms(140), ms(120)));
    assert_eq!(took("{http2={tls='1.3'}}", &[]), (ms(160), ms(120)));
    let ran = calls("{http2={streams=40}}", "", &[]);
    // Forty, forty and twenty: three times 120 ms.
    assert_eq!((ran.longest(), ran.shortest()), (ms(20 + 360), ms(360)));
    assert_eq!(ran.count("service.web.client.http2", Counter::Opened), 1);
    // Idle for 860 ms between two requests.
    assert_eq!(took("{http2={keep_alive='800ms'}}", &[]), (ms(140), ms(140)));
    // A call that is late ends its stream: the first waits for the connection as well, the others find it open.
    let text = "[region.here]\nusers = '100%'\n[region.there]\nusers = '0%'\n[route.here.there]\nrtt = '20ms'\n\
                [service.web]\nregion = 'here'\n[service.far]\nregion = 'there'\nkeep_alive = '1h'\n[operation.work]\n\
                share = 1\nservice = 'web'\nflow = [{ call = { service = 'far', client = 'http2', timeout = '130ms', \
                flow = [{ wait = '100ms' }] } }]\n";
    let ran = run(text, &[]);
    assert_eq!((ran.failed(Failure::UpstreamTimeout), ran.ok(), ran.each()), (1, 9, ms(120)));
    // An ALB and nginx allow 128 streams; Envoy as many as are asked for: five requests at a time are 500 calls.
    let streams = |kind: &str| {
        let balancer = format!("[balancer.b]\nservice = 'far'\nkind = '{kind}'\n");
        let ran = calls("'http2'", &balancer, &["arrivals.rate=100/s", "run.duration=100ms"]);
        let limited = ran.model.stations.iter().any(|it| it.path == "service.web.client.http2");
        limited.then(|| ran.station("service.web.client.http2").busy_peak)
    };
    assert_eq!(["alb", "nginx", "envoy"].map(streams), [Some(128.0), Some(128.0), None]);
}
