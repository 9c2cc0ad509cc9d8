//! What stands in a region: it is far from another one, and it fails with it.

use loadbearing::run::Counter;
use loadbearing::topology::load;

use crate::support::{model, ms, run};

/// Three of everything that has several, in three zones.
const WHOLE: &str = r#"
[region.here]
zones = 3
[service.web]
instances = 3
[database.main]
[pooler.bouncer]
database = "main"
[pool.pg]
service = "web"
database = "main"
through = "bouncer"
[queue.q]
processes = 3
[job.j]
queue = "q"
work = "900ms"
[stream.s]
kind.kafka = { append = "1ms", rtt = "2ms", replicas = 3, acks = "leader" }
[consumer.c]
stream = "s"
members = 3
work = "1ms"
[store.s3]
put = "100ms"
[operation.work]
share = 1
flow = [{ enqueue = { job = "j" } }, { publish = "s" }]
"#;

#[test]
fn a_region_fails_with_all_that_stands_in_it() {
    let struck = |fault: &str, sets: &[&str]| {
        let fault = format!("fault.f={{what='stop', at='3500ms', {fault}}}");
        let ran = run(WHOLE, &[&[fault.as_str()], sets].concat());
        (ran.outcome.faults[0].units, ran)
    };
    // Instances, the database, the pooler, processes, the brokers, members, the store.
    let (units, ran) = struck("target='region.here'", &[]);
    assert_eq!(units, 3 + 1 + 1 + 3 + 1 + 3 + 1);
    assert_eq!(ran.count("queue.q", Counter::Served), 2, "of 1 and 2 s; that of 3 s dies");
    let busy = ran.station("queue.q").busy_mean * 10.5;
    assert!((busy - (0.9 + 0.9 + 0.5)).abs() < 1e-3, "{busy}");
    // A zone takes the first of each; the topic has copies elsewhere, and an object store always.
    let zone = |number: u32, sets: &[&str]| {
        struck(&format!("target='region.here', zone={number}"), sets).0
    };
    assert_eq!((zone(1, &[]), zone(2, &[]), zone(3, &[])), (5, 3, 3));
    assert_eq!(zone(1, &["stream.s.kind.kafka.replicas=1"]), 6);
    assert_eq!(zone(1, &["pooler.bouncer.kind=rds-proxy"]), 4);
    assert_eq!(struck("target=['queue.q', 'consumer.c'], zone=2", &[]).0, 2);
    let one = ["region.here.zones=1"];
    assert_eq!(zone(1, &one), 13);
}

/// A service at home, and all else where it is told to be.
const FAR: &str = r#"
[region.home]
users = "100%"
[region.far]
[route.far.home]
rtt = "80ms"
[service.web]
region = "home"
[cache.redis]
region = "far"
rtt = "0ms"
command = "1us"
[queue.q]
[job.j]
queue = "q"
work = "100ms"
[stream.s]
kind.kafka = { append = "1ms", rtt = "2ms", acks = "leader" }
[consumer.c]
stream = "s"
work = "1ms"
[store.s3]
put = "100ms"
bandwidth = "80Mbit/s"
[operation.work]
share = 1
flow = [{ publish = "s" }]
"#;

#[test]
fn what_stands_in_another_region_is_a_route_away() {
    let each = |flow: &str, place: &str| {
        let flow = format!("operation.work.flow=[{{{flow}}}]");
        run(FAR, &[flow.as_str(), place]).each()
    };
    let put = "put={in='s3', bytes='1MB'}";
    assert_eq!(each(put, "store.s3.region=home"), ms(200));
    assert_eq!(each(put, "store.s3.region=far"), ms(200 + 80));
    assert_eq!(each("publish='s'", "stream.s.region=home"), ms(2 + 1));
    assert_eq!(each("publish='s'", "stream.s.region=far"), ms(2 + 1 + 80));
    let add = "enqueue={job='j'}";
    assert_eq!(each(add, "queue.q.region=home"), ms(0));
    assert_eq!(each(add, "queue.q.region=far"), ms(80));
    let wait = "enqueue={job='j', wait=true}";
    assert_eq!(each(wait, "queue.q.region=home"), ms(100));
    assert_eq!(each(wait, "queue.q.region=far"), ms(100 + 80));
}

#[test]
fn what_says_no_region_stands_beside_what_it_uses() {
    let stop = "fault.f={target='region.far', what='stop', at='3500ms'}";
    let beside = ["queue.q.cache=redis", "stream.s.region=far", "store.s3.region=home"];
    let struck = |more: &[&str]| {
        model(FAR, &[&[stop], &beside[..], more].concat())
            .faults
            .iter()
            .next()
            .map_or(0, |fault| fault.targets[0].len())
    };
    // The cache and the queue in it, the brokers and their consumer.
    assert_eq!(struck(&[]), 4);
    assert_eq!(struck(&["queue.q.region=home"]), 3);
    assert_eq!(struck(&["consumer.c.region=home"]), 3);
    assert_eq!(struck(&["store.s3.region=far"]), 5);
    let redis = "stream.s.kind={redis-stream={cache='redis'}}";
    let away = ["queue.q.region=home", "store.s3.region=home", redis];
    assert_eq!(
        model(FAR, &[&[stop], &away[..]].concat()).faults.iter().next().unwrap().targets[0].len(),
        2
    );
}

#[test]
fn a_region_that_is_cut_off_is_so_with_its_queues_and_consumers() {
    let cut = "fault.f={target='region.far', what='cut', at='2900ms', for='500ms'}";
    let homes = ["stream.s.region=home", "store.s3.region=home"];
    let add = "operation.work.flow=[{enqueue={job='j'}}]";
    // `queue.add` of 3 s is repeated three times, and goes there and back.
    let far = run(FAR, &[&[cut, add, "queue.q.region=far"], &homes[..]].concat());
    assert_eq!(far.longest(), ms(600 + 80));
    let near = run(FAR, &[&[cut, add, "queue.q.region=home"], &homes[..]].concat());
    assert_eq!(near.longest(), ms(0));
    // A session of a second ends while its members are cut off from brokers at home.
    let lasts = "fault.f={target='region.far', what='cut', at='2900ms', for='3s'}";
    let short = "consumer.c.kafka={session='1s', heartbeat='100ms'}";
    let out = |place: &str| {
        let sets = [lasts, short, place, "queue.q.region=home", "run.duration=20s"];
        run(FAR, &[&sets[..], &homes].concat()).count("consumer.c", Counter::TimedOut)
    };
    assert_eq!((out("consumer.c.region=far"), out("consumer.c.region=home")), (1, 0));
}

#[test]
fn amid_faults_of_a_region_everything_says_where_it_stands() {
    let said = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let file = format!("version = 1\n[arrivals]\nrate = '1/s'\n{FAR}");
        let loaded = load("test.toml", &sets, &mut |_| Ok(file.clone()));
        let found = loaded.diagnostics.iter().filter(|it| it.slug == "ambiguous");
        found.map(|it| it.message.clone()).collect::<Vec<String>>()
    };
    let stop = "fault.f={target='region.far', what='stop'}";
    let words = |what: &str| {
        format!("`{what}` does not say in which region it stands, and `fault.f` strikes one")
    };
    assert_eq!(said(&[]), Vec::<String>::new());
    assert_eq!(said(&[stop]), ["queue.q", "stream.s", "store.s3"].map(words));
    let beside = ["queue.q.cache=redis", "stream.s.region=far"];
    assert_eq!(said(&[&[stop], &beside[..]].concat()), [words("store.s3")]);
}
