//! Edges that ask a shield, give old answers while they ask for others, and are told that nothing has changed.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::connection::EDGE;
use crate::support::{Ran, ms, run};

fn asked(ran: &Ran) -> u64 {
    ran.count("service.web", Counter::Arrivals)
}

#[test]
fn a_shield_is_asked_by_all_edges_and_asks_once() {
    // A hundred users at once, at ten edges: each edge makes a request, and the shield one of all.
    let crowd = "arrivals={rate='0/s', users=100, crowd={at='1s', users=100}}";
    let shield = "cdn.edge.shield={rtt='20ms'}";
    let ran = run(EDGE, &[crowd, "cdn.edge.pops=10"]);
    assert_eq!((asked(&ran), ran.each()), (10, ms(100)));
    let ran = run(EDGE, &[crowd, "cdn.edge.pops=10", shield]);
    assert_eq!((asked(&ran), ran.ok()), (1, 100));
    assert_eq!(ran.count("cdn.edge.shield", Counter::Arrivals), 10);
    assert_eq!(ran.count("cdn.edge.shield", Counter::Joined), 9);
    // There, to the origin, and back: the shield lies beyond all of the way that there is.
    assert_eq!(ran.each(), ms(10 + 100));
    // Two shields make two requests.
    let ran = run(EDGE, &[crowd, "cdn.edge.pops=10", "cdn.edge.shield={count=2}"]);
    assert_eq!(asked(&ran), 2);
    // Edges that do not wait for each other ask apart, there and from there.
    let ran = run(EDGE, &[crowd, "cdn.edge.pops=10", shield, "cdn.edge.collapse=false"]);
    assert_eq!((asked(&ran), ran.ok()), (100, 100));
    // What may not be kept is for whoever asked.
    let ran = run(EDGE, &[crowd, "cdn.edge.pops=10", shield, "cdn.edge.uncacheable=100%"]);
    assert_eq!((asked(&ran), ran.ok()), (100, 100));
    // Failures are told to all who wait.
    let fails = "operation.get.flow=[{wait='100ms'}, {reply={bytes='0B', status=503}}]";
    let ran = run(EDGE, &[crowd, "cdn.edge.pops=10", shield, fails]);
    assert_eq!((asked(&ran), ran.ok()), (1, 0));
}

#[test]
fn what_a_shield_gives_is_as_old_as_it_is() {
    // Two users at two edges by turns, one of whom fetches: the other has the same until 4.6 s.
    let two = ["arrivals={process='even', rate='1/s', users=2}", "cdn.edge.pops=2"];
    let ran = run(EDGE, &[&two[..], &["cdn.edge.shield={rtt='20ms'}"]].concat());
    // At 1 s, and when what was fetched at 1.1 s is 3.5 s old everywhere: at 5 s, and at 9 s.
    assert_eq!(asked(&ran), 3);
    let shield = |what| ran.count("cdn.edge.shield", what);
    assert!(
        shield(Counter::Hits) >= 1 && shield(Counter::Misses) == 3,
        "{}",
        shield(Counter::Hits)
    );
}

#[test]
fn a_shield_makes_one_cache_of_many_for_the_origin() {
    // 200 keys, each asked for every 10 s at one of 50 edges, for 60 s: the origin sees what it would of
    // one cache, 1 / (1 + 6) of all; an edge does not have it when it is the first, or not asked since:
    // (1 + 49 (1 - exp(-0.12))) / 7.
    let many = [
        "arrivals={rate='20/s', users=1_000}",
        "run.duration=2000s",
        "keys.files.count=200",
        "cdn.edge.ttl=60s",
        "cdn.edge.pops=50",
        "cdn.edge.shield={rtt='0ms'}",
        "operation.get.flow=[{cpu='1us'}, {reply='10KB'}]",
        "run.start.caches=warm",
    ];
    let ran = run(EDGE, &many);
    let all = ran.count("cdn.edge", Counter::Arrivals) as f64;
    let beyond = asked(&ran) as f64 / all;
    assert!((beyond - 1.0 / 7.0).abs() < 0.006, "{beyond}");
    let at_edges = ran.count("cdn.edge", Counter::Misses) as f64 / all;
    let others = 5.541; // 49 (1 - exp(-0.12))
    assert!((at_edges - (1.0 + others) / 7.0).abs() < 0.01, "{at_edges}");
}

#[test]
fn an_old_answer_is_given_at_once_while_another_is_fetched() {
    let stale = |sets: &[&str]| {
        let ran = run(EDGE, sets);
        let counts = (asked(&ran), ran.count("cdn.edge", Counter::Stale));
        (counts, ran.longest(), ran.mean_s())
    };
    // Fetched at 1.1, 5.1 and 9.1 s, and whoever comes then waits.
    let ((origin, old), _, mean_s) = stale(&[]);
    assert_eq!((origin, old), (3, 0));
    assert!((mean_s - 0.03).abs() < 1e-9, "{mean_s}");
    // Only the first waits: at 5 and 9 s there is one that is 0.4 s too old.
    let ((origin, old), longest, mean_s) = stale(&["cdn.edge.stale_while_revalidate=1s"]);
    assert_eq!((origin, old, longest), (3, 2, ms(100)));
    assert!((mean_s - 0.01).abs() < 1e-9, "{mean_s}");
    // 0.4 s are more than this, and less than that.
    assert_eq!(stale(&["cdn.edge.stale_while_revalidate=390ms"]).0, (3, 0));
    assert_eq!(stale(&["cdn.edge.stale_while_revalidate=410ms"]).0, (3, 2));
    // Of five that come together one asks.
    let five = "arrivals={process='even', rate='1/s', users=5, batch=5}";
    let ((origin, old), ..) = stale(&[five, "cdn.edge.stale_while_revalidate=1s"]);
    assert_eq!((origin, old), (3, 10));
    let shield = "cdn.edge.shield={rtt='20ms'}";
    let ((origin, old), ..) = stale(&["cdn.edge.stale_while_revalidate=1s", shield]);
    assert_eq!((origin, old), (3, 2));
    // An origin that fails leaves what is old where it is, and is asked again.
    let down = "fault.f={target='service.web', what='stop', at='4s'}";
    let ran = run(EDGE, &[down, "cdn.edge.stale_while_revalidate=1h"]);
    assert_eq!((ran.ok(), ran.count("cdn.edge", Counter::Stale)), (10, 6));
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let text = format!("{EDGE}[link.up]\nbandwidth = '8Mbit/s'\ncarries = 'service.web'\n");
    let sent = |share: &str| {
        let share = format!("cdn.edge.not_modified={share}");
        let ran = run(&text, &[&share]);
        (asked(&ran), ran.count("link.up", Counter::Bytes), ran.count("cdn.edge", Counter::Bytes))
    };
    // Three requests of 10 KB, of which the edge has the last two already; users get all of theirs.
    assert_eq!(sent("0%"), (3, 30_000, 100_000));
    assert_eq!(sent("100%"), (3, 10_000, 100_000));
}

#[test]
fn a_shield_is_paid_for_by_what_it_is_asked() {
    let shield = "cdn.edge.shield={rtt='20ms', per_million='$9'}";
    let model = crate::support::model(EDGE, &[shield]);
    let cost = model.costs.iter().find(|cost| cost.path == "cdn.edge.shield").expect("it has one");
    assert_eq!((cost.per_million, cost.monthly), (9.0, 0.0));
    let station = cost.station.expect("it is charged by what comes");
    assert_eq!(model.stations[station].path, "cdn.edge.shield");
}

/// Users who want the same thing, four times a second, of an origin that takes 3 s for it and is stopped
/// while it fetches it for the first of them.
const FOR_MANY: &str = r#"
[arrivals]
process = "even"
rate = "4/s"
users = 1_000
[client]
patience = "2s"
[service.web]
[cdn.edge]
keys = "page"
edge_rtt = "0ms"
error_ttl = "0s"
[keys.page]
count = 1
[operation.get]
share = 1
service = "web"
cdn = "edge"
flow = [{ wait = "3s" }]
[fault.f]
target = "service.web"
what = "stop"
at = "2750ms"
for = "100ms"
"#;

#[test]
fn who_waits_for_what_another_fetches_hears_of_its_end() {
    // The first comes at 250 ms and goes at 2.25 s; the origin dies at 2.75 s. Those who have come since
    // 750 ms wait for its answer, and are told: 502. Whoever comes next fetches it anew, from 3 s to 6 s.
    let ran = run(FOR_MANY, &["service.web.replace=100ms"]);
    let told = ran.failed(Failure::InstanceLost);
    assert!((7..=9).contains(&told), "{:?}", ran.outcome.requests);
    assert_eq!(ran.count("service.web", Counter::Served), 1);
    assert!(ran.ok() > 25, "{:?}", ran.outcome.requests);
    // An origin that says nothing is given up after 1 s, whether or not the first still waits.
    let silent = [
        "cdn.edge.origin_timeout=1s",
        "cdn.edge.attempts=1",
        "fault.f.at=1h",
        "client.patience=500ms",
    ];
    let ran = run(FOR_MANY, &silent);
    assert!(ran.failed(Failure::UpstreamTimeout) > 10, "{:?}", ran.outcome.requests);
}

#[test]
fn nobody_is_asked_for_those_who_have_gone() {
    // Three at 1 s want what the origin takes 3 s for; each time it has 1 s.
    let three = [
        "arrivals={rate='0/s', users=9, crowd={at='1s', users=3}}",
        "cdn.edge.origin_timeout=1s",
        "cdn.edge.attempts=3",
        "fault.f.at=1h",
    ];
    let times = |sets: &[&str]| asked(&run(FOR_MANY, &[&three[..], sets].concat()));
    // At 1 s and 2 s; at 3 s all are gone.
    assert_eq!(times(&["client.patience=1900ms"]), 2);
    assert_eq!(times(&["client.patience=500ms"]), 1);
    assert_eq!(times(&["client.patience=5s"]), 3);
    // At a shield the edges of others wait.
    let shield = ["cdn.edge.pops=3", "cdn.edge.shield={rtt='0ms'}"];
    assert_eq!(times(&[&shield[..], &["client.patience=500ms"]].concat()), 1);
    assert_eq!(times(&[&shield[..], &["client.patience=1500ms"]].concat()), 2);
    // One at 600 ms, who is gone at 1.1 s, and one at 1.2 s, who is gone at 1.7 s: asked for at 600 ms and
    // at 1.6 s, not at 2.6 s.
    let two = "arrivals={process='even', rate='100/min', users=9, stages=[{for='1500ms', to='100/min'}, \
               {for='0s', to='0/s'}]}";
    assert_eq!(times(&[two, "client.patience=500ms"]), 2);
    assert_eq!(times(&[two, "client.patience=500ms", shield[0], shield[1]]), 2);
    // What may not be cached is fetched for one after the other, 100 ms each: the third is there no more
    // when it is answered, and for the other two nobody is asked.
    let five = [
        "arrivals={rate='0/s', users=9, crowd={at='1s', users=5}}",
        "cdn.edge.uncacheable=100%",
        "cdn.edge.error_ttl=0s",
    ];
    let times = |sets: &[&str]| asked(&run(EDGE, &[&five[..], sets].concat()));
    assert_eq!((times(&[]), times(&["client.patience=250ms"])), (5, 3));
    let apart = ["cdn.edge.pops=5", "cdn.edge.shield={rtt='0ms'}"];
    let patient = |patience: &str| times(&[apart[0], apart[1], patience]);
    assert_eq!((patient("client.patience=1s"), patient("client.patience=50ms")), (5, 1));
}
