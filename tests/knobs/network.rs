//! Regions, routes, links, content delivery, prices.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, model, ms, run, us};

const TWO_REGIONS: &str = r#"
[region.east]
users = "100%"
rtt = "20ms"
[region.west]
users = "0%"
rtt = "60ms"
[route.east.west]
rtt = "80ms"
[service.web]
region = "east"
[pool.pg]
service = "web"
database = "db"
[database.db]
region = "east"
rtt = "0ms"
connect = "0ms"
[cache.c]
region = "east"
rtt = "0ms"
command = "0ms"
[keys.k]
count = 1
[operation.work]
share = 1
service = "web"
flow = [
  { query = { pool = "pg", read = "10ms" } },
  { invalidate = { in = "c", keys = "k" } },
]
"#;

fn two(sets: &[&str]) -> Ran {
    run(TWO_REGIONS, sets)
}

#[test]
fn the_way_to_a_region_is_paid_by_who_goes_it() {
    assert_eq!(two(&[]).each(), ms(30));
    assert_eq!(two(&["region.east.rtt=40ms"]).each(), ms(50));
    assert_eq!(
        two(&["service.web.region=west", "database.db.region=west", "cache.c.region=west"]).each(),
        ms(110)
    );
    assert_eq!(two(&["cache.c.region=west"]).each(), ms(110));
    assert_eq!(two(&["cache.c.region=west", "route.east.west.rtt=50ms"]).each(), ms(80));
    // A statement crosses once, opening its connection three times more.
    let ran = two(&["database.db.region=west"]);
    assert_eq!((ran.longest(), ran.shortest()), (ms(30 + 80 + 240), ms(30 + 80)));
}

#[test]
fn users_live_where_their_shares_say() {
    let ran = two(&[
        "region.east.users=25%",
        "region.west.users=75%",
        "arrivals.users=100_000",
        "arrivals.rate=200/s",
    ]);
    // From the west: 60 + 80 + 10.
    assert_eq!((ran.longest(), ran.shortest() < ms(40)), (ran.longest(), true));
    let far =
        ran.outcome.latency.cumulative().filter(|(value, _)| *value < 0.1).last().expect("some").1;
    assert!((far - 0.25).abs() < 0.04, "{far}");
}

#[test]
fn calls_cross_regions() {
    let text = r#"
[region.east]
users = "100%"
[region.west]
users = "0%"
[route.east.west]
rtt = "80ms"
[service.web]
region = "east"
[service.far]
region = "west"
[operation.work]
share = 1
service = "web"
flow = [{ call = { service = "far", flow = [{ cpu = "1ms" }] } }]
"#;
    assert_eq!(run(text, &[]).each(), ms(81));
    assert_eq!(run(text, &["service.far.region=east"]).each(), ms(1));
}

const LINKED: &str = r#"
[region.here]
[service.web]
[service.other]
[link.up]
bandwidth = "8Mbit/s"
carries = "service.web"
[operation.work]
share = 1
service = "web"
flow = [{ reply = "10KB" }]
"#;

#[test]
fn a_link_takes_bytes_over_bandwidth_and_is_shared() {
    assert_eq!(run(LINKED, &[]).each(), ms(10));
    assert_eq!(run(LINKED, &["link.up.bandwidth=4Mbit/s"]).each(), ms(20));
    assert_eq!(
        run(LINKED, &["operation.work.flow=[{transfer='5KB'}, {reply='10KB'}]"]).each(),
        ms(15)
    );
    let three = [
        "arrivals.rate=1000/s",
        "arrivals.stages=[{for='2500us', to='1000/s'}, {for='0s', to='0/s'}]",
    ];
    // Two bodies, the second a millisecond later: 1 + 2 x 9 for the first, 20 - 1 for the second.
    let ran = run(LINKED, &three);
    assert_eq!((ran.shortest(), ran.longest()), (ms(19), ms(19)));
    assert_eq!(ran.count("link.up", Counter::Bytes), 20_000);
}

#[test]
fn each_direction_of_a_link_has_its_bandwidth() {
    // Two come together every second: their bodies of 10 KB share the way in for 20 ms.
    let two = "arrivals={process='even', rate='1/s', users=2, batch=2}";
    let both = |sets: &[&str]| run(LINKED, &[&[two], sets].concat());
    let up = "operation.work.flow=[{transfer='10KB'}]";
    let (half, full) = ("link.up.duplex=half", "link.up.duplex=full");
    assert_eq!((both(&[up]).each(), both(&[up, half]).each()), (ms(20), ms(20)));
    // One a millisecond before the other, both with a body of 10 ms each way.
    let apart = "operation.work.flow=[{transfer='10KB'}, {reply='10KB'}]";
    let stages = "arrivals.stages=[{for='2500us', to='1000/s'}, {for='0s', to='0/s'}]";
    let together = |how: &str| {
        let ran = run(LINKED, &[apart, how, "arrivals.rate=1000/s", stages]);
        (ran.shortest(), ran.longest())
    };
    // The first body is in after 1 + 2 x 9 ms, the second a millisecond later; so they go out.
    assert_eq!(together(full), (ms(38), ms(38)));
    // In half duplex the first answer shares with the rest of the second body until 21 ms, and then with the
    // second answer: 9 and 10 ms of work are left, so they are out at 39 and 40 ms.
    assert_eq!(together(half), (ms(39), ms(39)));
    // Ten at once, of whom some upload for 50 ms alone and the others get an answer of 10 ms.
    let text = format!(
        "{LINKED}[operation.put]\nshare = 1\nservice = 'web'\nflow = [{{ transfer = '50KB' }}]\n"
    );
    let ten = "arrivals={process='even', rate='1/s', users=10, batch=10}";
    let mixed = |how: &str| run(&text, &[ten, how]);
    let (ran, shared) = (mixed(full), mixed(half));
    assert!(ran.longest() < shared.longest());
    let bytes = |ran: &Ran, way: &str| ran.count(way, Counter::Bytes);
    let out = ran.count("link.up", Counter::Arrivals);
    assert_eq!(bytes(&ran, "link.up"), 10_000 * out);
    assert_eq!(bytes(&ran, "link.up.in"), 50_000 * (ran.offered() - out));
    assert_eq!(bytes(&shared, "link.up"), bytes(&ran, "link.up") + bytes(&ran, "link.up.in"));
    // What is lost is lost in the direction that is nearly full.
    let loss = "link.up.loss={share='100%', delay='300ms'}";
    let busy = ["arrivals={process='even', rate='90/s', users=9}", loss];
    let lost = |flow: &str| {
        let ran = run(LINKED, &[&busy[..], &[flow]].concat());
        (ran.count("link.up", Counter::Lost), ran.count("link.up.in", Counter::Lost))
    };
    let (out, into) = lost("operation.work.flow=[{transfer='1KB'}, {reply='10KB'}]");
    assert!(out > 800 && into == 0, "{out} {into}");
    let (out, into) = lost("operation.work.flow=[{transfer='10KB'}, {reply='1KB'}]");
    assert!(out == 0 && into > 800, "{out} {into}");
    // A link that nothing comes in over has one direction; a fault slows both.
    let paths = |sets: &[&str]| {
        let model = crate::support::model(LINKED, sets);
        model.stations.iter().filter(|it| it.path.starts_with("link.")).count()
    };
    assert_eq!((paths(&[]), paths(&[apart]), paths(&[apart, half])), (1, 2, 1));
    let slow = "fault.f={target='link.up', what={slow=2}}";
    let each = |how: &str| run(LINKED, &[apart, how, slow]).each();
    assert_eq!((each(full), each(half)), (ms(40), ms(40)));
    // And what it costs is for both.
    let price = "link.up.price={per_gb='$2'}";
    let costs = crate::support::model(LINKED, &[apart, price]).costs;
    let per_gb = costs.iter().map(|it| (it.path.as_str(), it.per_gigabyte)).collect::<Vec<_>>();
    assert_eq!(per_gb, [("link.up", 2.0), ("link.up.in", 2.0)]);
}

#[test]
fn a_link_carries_what_it_says() {
    assert_eq!(run(LINKED, &["link.up.carries=service.other"]).each(), ms(0));
    assert_eq!(run(LINKED, &["link.up.carries=region.here"]).each(), ms(10));
}

#[test]
fn a_nearly_full_link_loses() {
    let lost = |sets: &[&str]| {
        let basic = ["arrivals.rate=90/s", "link.up.loss={share='100%', delay='300ms'}"];
        run(LINKED, &[&basic[..], sets].concat())
    };
    // 90 % offered, more than 85 %: after the first second all are late by the delay.
    let ran = lost(&[]);
    assert!(ran.count("link.up", Counter::Lost) > 800);
    assert_eq!(ran.longest(), ms(310));
    assert_eq!(ran.shortest(), ms(10));
    assert_eq!(lost(&["link.up.loss.above=95%"]).each(), ms(10));
    assert_eq!(lost(&["link.up.loss.delay=1s"]).longest(), ms(1010));
    let some = lost(&["link.up.loss.share=10%"]).count("link.up", Counter::Lost);
    assert!((50..130).contains(&some), "{some}");
}

const EDGE: &str = r#"
[region.here]
rtt = "100ms"
[service.web]
[cdn.edge]
keys = "pages"
[keys.pages]
count = 1
[operation.work]
share = 1
cdn = "edge"
flow = [{ cpu = "10ms" }, { reply = "1MB" }]
"#;

#[test]
fn an_edge_waits_for_its_origin_only_so_long() {
    let first = "arrivals={process='even', rate='1/s', users=1, stages=[{for='1500ms', to='1/s'}, {for='0s', to='0/s'}]}";
    let slow = "operation.work.flow=[{wait='10min'}, {reply='1KB'}]";
    let ran = |sets: &[&str]| run(EDGE, &[&[first, "run.duration=1000s"], sets].concat());
    let failed = |sets: &[&str]| {
        let ran = ran(&[&[slow], sets].concat());
        let asked = ran.count("service.web", Counter::Arrivals);
        assert_eq!(ran.failed(Failure::UpstreamTimeout), 1);
        (ran.each_failed(), asked)
    };
    // Three times 30 s, and the way to the edge and back.
    assert_eq!(failed(&[]), (ms(90_020), 3));
    assert_eq!(failed(&["cdn.edge.attempts=1"]), (ms(30_020), 1));
    assert_eq!(failed(&["cdn.edge.origin_timeout=5s"]), (ms(15_020), 3));
    assert_eq!(failed(&["operation.work.idempotent=false"]), (ms(30_020), 1));
    let patient = ran(&[slow, "cdn.edge.origin_timeout=11min"]);
    assert_eq!(patient.each(), ms(600_100));
    // The origin's network is cut: connecting is given up.
    let cut = "fault.f={target='service.web', what='cut', at='0s', for='900s'}";
    let gone = |sets: &[&str]| ran(&[&[cut], sets].concat()).each_failed();
    assert_eq!(gone(&[]), ms(30_020));
    assert_eq!(gone(&["cdn.edge.connect_timeout=2s"]), ms(6_020));
}

#[test]
fn an_edge_asks_again_while_somebody_waits_for_what_another_asked_for() {
    // At 1 s, and perhaps 2 s, who give up at 30.5 s and 31.5 s. The origin is late at 31.02 s, when the
    // first has gone.
    let asked = |until: &str| {
        let arrivals = format!(
            "arrivals={{process='even', rate='1/s', users=9, stages=[{{for='{until}', to='1/s'}}, {{for='0s', to='0/s'}}]}}"
        );
        let slow = "operation.work.flow=[{wait='10min'}, {reply='1KB'}]";
        let sets = ["client.patience=29500ms", "cdn.edge.attempts=2", "run.duration=100s"];
        let ran = run(EDGE, &[&[slow, &arrivals][..], &sets].concat());
        (ran.failed(Failure::GaveUp), ran.count("service.web", Counter::Arrivals))
    };
    assert_eq!((asked("1500ms"), asked("2500ms")), ((1, 1), (2, 2)));
}

#[test]
fn a_stale_answer_is_given_when_the_origin_does_not_answer_in_time() {
    let cut = "fault.f={target='service.web', what='cut', at='1500ms', for='900s'}";
    let sets = ["cdn.edge.ttl=500ms", "run.duration=60s", "arrivals.rate=0.1/s", cut];
    let ran = |more: &[&str]| {
        let all = [&sets[..], &["fault.f.at=15s"], more].concat();
        let ran = run(EDGE, &all);
        (ran.ok(), ran.failed(Failure::UpstreamTimeout))
    };
    // Those of 20, 30 s are given up at 50 and 60 s; with the old answer they end well.
    let (without, lost) = ran(&["cdn.edge.stale_if_error=0s"]);
    assert!(without <= 1 && lost >= 1, "{without} {lost}");
    let (with, none) = ran(&[]);
    assert!(with > without && none == 0, "{with} {none}");
}

#[test]
fn an_edge_answers_from_near_by_what_it_has() {
    let ran = run(EDGE, &[]);
    assert_eq!((ran.longest(), ran.shortest()), (ms(110), ms(20)));
    assert_eq!(ran.count("cdn.edge", Counter::Misses), 1);
    assert_eq!(run(EDGE, &["cdn.edge.edge_rtt=30ms"]).shortest(), ms(30));
    // An edge that is no detour takes nothing from the way; one that is one adds it.
    let ran = run(EDGE, &["cdn.edge.edge_rtt=30ms", "region.here.rtt=0ms"]);
    assert_eq!((ran.longest(), ran.shortest()), (ms(40), ms(30)));
    assert_eq!(run(EDGE, &["operation.work.cdn=edge", "cdn.edge.ttl=500ms"]).each(), ms(110));
}

#[test]
fn an_edge_forgets_after_its_time_to_live() {
    // Fetched at 1 s, 4 s, 7 s, 10 s.
    assert_eq!(run(EDGE, &["cdn.edge.ttl=2500ms"]).count("cdn.edge", Counter::Misses), 4);
}

#[test]
fn every_point_of_presence_has_a_cache_of_its_own() {
    let misses = |pops: &str| {
        run(EDGE, &[pops, "arrivals.users=1000", "arrivals.rate=10/s"])
            .count("cdn.edge", Counter::Misses)
    };
    assert_eq!(misses("cdn.edge.pops=1"), 1);
    assert_eq!(misses("cdn.edge.pops=4"), 4);
}

#[test]
fn an_edge_asks_once_for_what_many_want() {
    let slow = ["operation.work.flow=[{wait='1s'}, {reply='1KB'}]", "arrivals.rate=100/s"];
    let ran = run(EDGE, &slow);
    assert_eq!(ran.count("service.web", Counter::Arrivals), 1);
    // From the edge to the service and back: 1080 ms, and one every 10 ms.
    assert_eq!(ran.count("cdn.edge", Counter::Joined), 107);
    let ran = run(EDGE, &[&slow[..], &["cdn.edge.collapse=false"]].concat());
    assert_eq!(ran.count("service.web", Counter::Arrivals), 108);
}

#[test]
fn an_edge_caches_the_keys_it_says() {
    let text = format!("{EDGE}\n[keys.many]\ncount = 1_000_000\n");
    assert_eq!(run(&text, &[]).count("cdn.edge", Counter::Misses), 1);
    assert_eq!(run(&text, &["cdn.edge.keys=many"]).count("cdn.edge", Counter::Misses), 10);
}

#[test]
fn warm_edges_have_what_their_traffic_left() {
    let ran = run(EDGE, &["run.start.caches=warm"]);
    assert_eq!(ran.count("cdn.edge", Counter::Misses), 0);
}

#[test]
fn everything_has_its_price() {
    let text = format!(
        "{EDGE}{}",
        r#"
[link.up]
bandwidth = "1Gbit/s"
carries = "service.web"
price = { monthly = "$1", per_gb = "$2", per_million = "$3", source = "list" }
[balancer.lb]
service = "web"
price = { monthly = "$20", per_gb = "$4", per_million = "$5" }
[pool.pg]
service = "web"
database = "db"
[database.db]
shards = 2
replicas = 3
price = { monthly = "$100", source = "list" }
replica_price = "$50"
[cache.c]
nodes = 2
replicas = 1
price = "$7"
[queue.q]
processes = 3
price = "$8"
[job.j]
queue = "q"
work = "1s"
[price.logs]
monthly = "$9"
what = "logs"
"#
    );
    let sets = ["service.web.instances=4", "service.web.price=$10", "cdn.edge.price=$6"];
    let model = model(&text, &sets);
    let cost = |path: &str| model.costs.iter().find(|cost| cost.path == path).expect(path);
    let fixed = |path: &str| cost(path).monthly * cost(path).units;
    let sums = [
        "service.web",
        "database.db",
        "database.db.replicas",
        "cache.c",
        "queue.q",
        "price.logs",
        "cdn.edge",
        "link.up",
        "balancer.lb",
    ];
    let sums = sums.map(fixed);
    assert_eq!(sums, [40.0, 200.0, 300.0, 28.0, 24.0, 9.0, 6.0, 1.0, 20.0]);
    assert_eq!((cost("link.up").per_gigabyte, cost("link.up").per_million), (2.0, 3.0));
    assert_eq!(cost("link.up").source.as_deref(), Some("list"));
    assert_eq!(cost("database.db").source.as_deref(), Some("list"));
    assert_eq!(cost("price.logs").source.as_deref(), Some("logs"));
    // What usage prices are charged for is counted where they say.
    let ran = run(&text, &sets);
    let used = |path: &str| {
        let station = cost(path).station.expect("a usage price has a station");
        let counters = &ran.outcome.stations[station].counters;
        (counters[Counter::Arrivals as usize], counters[Counter::Bytes as usize])
    };
    assert_eq!(used("cdn.edge"), (10, 10_000_000), "all that users got");
    assert_eq!(used("link.up"), (1, 1_000_000), "the one miss");
    assert_eq!(used("balancer.lb"), (1, 1_000_000));
}

#[test]
fn microseconds_count() {
    assert_eq!(
        run(LINKED, &["link.up.bandwidth=80Mbit/s", "operation.work.flow=[{reply='1KB'}]"]).each(),
        us(100)
    );
}
