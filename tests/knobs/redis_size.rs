//! What subscribers and large values take of a cache server, and of its wire.

use loadbearing::model::demand::demand;
use loadbearing::run::Counter;

use crate::support::{Ran, model, ms, run, us};

/// A message each second, for three who are subscribed.
const CHANNEL: &str = r#"
[service.web]
[cache.c]
rtt = "2ms"
command = "1ms"
[stream.s]
kind.redis-pubsub.cache = "c"
message = "100B"
[consumer.k]
stream = "s"
members = 3
work = "1us"
[operation.work]
share = 1
flow = [{ publish = "s" }]
"#;

#[test]
fn each_subscriber_of_a_channel_takes_its_time() {
    let ran = |sets: &[&str]| run(CHANNEL, sets);
    assert_eq!(ran(&[]).each(), us(3_012), "4 us each");
    assert_eq!(ran(&["cache.c.per_subscriber=2ms"]).each(), ms(9));
    assert_eq!(ran(&["cache.c.per_subscriber=2ms", "consumer.k.members=10"]).each(), ms(23));
    // Nobody is sent anything who is not there.
    let dead = "fault.f={target='consumer.k', what='stop', count=1, at='0s'}";
    assert_eq!(ran(&["cache.c.per_subscriber=2ms", dead]).each(), ms(7));
    // A stream has no subscribers, but a message of 116,384 B is 100 KB beyond the first 16 KiB.
    let stream = ["stream.s.kind={redis-stream={cache='c'}}", "stream.s.message=116384B"];
    let per_kb = "cache.c.per_kb=10us";
    assert_eq!(ran(&[&stream[..], &[per_kb]].concat()).each(), ms(4));
    // One is copied in, and one out to each of three.
    let large = ["stream.s.message=116384B", "cache.c.per_subscriber=0s", per_kb];
    assert_eq!(ran(&large).each(), ms(3 + 4));
    // What is predicted is what happens.
    let sets = [&large[..1], &["cache.c.per_subscriber=2ms", per_kb]].concat();
    let model = model(CHANNEL, &sets);
    let station = model.caches.iter().next().expect("one").station;
    let predicted = demand(&model, None).service_s[station];
    let busy = run(CHANNEL, &sets).station("cache.c").busy_mean * 10.5 / 10.0;
    assert!((predicted - 11e-3).abs() < 1e-9 && (busy - 11e-3).abs() < 1e-9, "{predicted} {busy}");
}

/// One value of 100 KB and 16 KiB, which is set by the first of ten requests.
const VALUES: &str = r#"
[service.web]
[cache.c]
rtt = "2ms"
command = "1ms"
[keys.k]
count = 1
size = "116384B"
[operation.work]
share = 1
flow = [{ cache = { in = "c", keys = "k" } }]
"#;

fn values(sets: &[&str]) -> Ran {
    run(VALUES, sets)
}

#[test]
fn each_kilobyte_of_a_large_value_takes_its_time() {
    // A GET that finds nothing and a SET, then GETs; 0.1 us a kilobyte.
    let usual = values(&[]);
    assert_eq!((usual.longest(), usual.shortest()), (us(3_000 + 3_010), us(3_010)));
    let slow = values(&["cache.c.per_kb=10us"]);
    assert_eq!((slow.longest(), slow.shortest()), (ms(3 + 4), ms(4)));
    // A small value is part of `command`.
    let small = values(&["cache.c.per_kb=10us", "keys.k.size=16384B"]);
    assert_eq!((small.longest(), small.shortest()), (ms(6), ms(3)));
    // A session is such a value: read, and not found the first time.
    let session = "[session.s]\nstore.redis.cache = \"c\"\nsize = \"116384B\"\ntouch = false\nresave = false\n";
    let text = format!("{VALUES}{session}")
        .replace("[service.web]", "[service.web]\nbefore = ['session.s']");
    let none = ["operation.work.flow=[{cpu='1us'}]", "run.start.sessions=warm"];
    let quick = run(&text, &none).shortest();
    let slow = run(&text, &[&none[..], &["cache.c.per_kb=10us"]].concat()).shortest();
    assert_eq!(slow.0 - quick.0, us(1_000 - 10).0);
}

#[test]
fn a_wire_carries_one_value_after_another_each_way() {
    // 100 MB/s: 10 ms for a megabyte.
    let wire = ["cache.c.bandwidth=800Mbit/s", "keys.k.size=1MB", "cache.c.per_kb=0s"];
    let ran = values(&wire);
    assert_eq!((ran.longest(), ran.shortest()), (ms(3 + 13), ms(13)));
    assert_eq!(ran.count("cache.c", Counter::Bytes), 10_000_000, "one in, nine out");
    // Two at once: the server has run the second at 3 ms, and its wire is free at 12.
    let pair = "operation.work.flow=[{parallel=[[{cache={in='c', keys='k'}}], [{cache={in='c', keys='k'}}]]}]";
    let both = values(&[&wire[..], &[pair]].concat());
    assert_eq!(both.shortest(), ms(1 + 1 + 20 + 1));
    assert_eq!(values(&[&wire[1..], &["run.duration=3s"]].concat()).longest(), ms(6), "no wire");
}
