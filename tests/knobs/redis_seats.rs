//! How many connections a cache server accepts, and the threads that read and write.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Two processes, asked in turn, each of which has one command for the server.
const TWO: &str = r#"
[balancer.lb]
service = "web"
kind = "plain"
hop = "0ms"
[service.web]
instances = 2
[cache.c]
rtt = "1ms"
command = "1ms"
[operation.work]
share = 1
flow = [{ command = { in = "c" } }]
"#;

fn ran(sets: &[&str]) -> Ran {
    run(TWO, sets)
}

#[test]
fn a_process_without_room_at_the_server_is_refused() {
    let refused = |sets: &[&str]| {
        let ran = ran(sets);
        (ran.ok(), ran.failed(Failure::CacheError), ran.count("cache.c", Counter::Refused))
    };
    assert_eq!(refused(&[]), (10, 0, 0));
    assert_eq!(refused(&["cache.c.max_clients=2"]), (10, 0, 0));
    // The first has the only place, and keeps it; the other asks five times.
    assert_eq!(refused(&["cache.c.max_clients=1"]), (5, 5, 5));
    // A process that may open 33 files keeps 32 of them.
    assert_eq!(refused(&["cache.c.open_files=33"]), (5, 5, 5));
    assert_eq!(refused(&["cache.c.open_files=34"]), (10, 0, 0));
    assert_eq!(refused(&["cache.c.connections=2", "cache.c.max_clients=3"]), (5, 5, 5));
    assert_eq!(refused(&["cache.c.connections=2", "cache.c.max_clients=4"]), (10, 0, 0));
    // Each node has its own.
    let spread = ["cache.c.nodes=2", "cache.c.max_clients=2"];
    assert_eq!(refused(&spread), (10, 0, 0));
}

#[test]
fn a_client_that_is_refused_tries_again_as_after_a_lost_connection() {
    let once = "arrivals={process='even', users=1, rate='1/s', stages=[{for='2500ms', to='1/s'}, {for='0s', to='0/s'}]}";
    let failed = |client: &str| {
        let client = format!("cache.c.client={client}");
        let ran = ran(&[once, "cache.c.max_clients=1", &client]);
        assert_eq!((ran.ok(), ran.failed(Failure::CacheError)), (1, 1));
        ran.each_failed()
    };
    // Each attempt hears of it after two round trips; the fourth uses the retries up.
    assert_eq!(failed("{ioredis-5={max_retries=3}}"), ms(2 + 50 + 2 + 100 + 2 + 150 + 2));
    assert_eq!(failed("{ioredis-5={max_retries=0}}"), ms(2));
    // A command that is not written in 5 s is given up.
    assert_eq!(failed("node-redis"), ms(5_000));
}

#[test]
fn who_dies_makes_room() {
    // The one with the place is gone from 5.5 s on; the other finds room with its next attempt.
    let dies = |client: &str| {
        let text = format!("{TWO}[region.here]\nzones = 2\n");
        let fault = "fault.f={target='service.web', what='stop', at='5500ms', for='100s', zone=1}";
        let client = format!("cache.c.client={client}");
        let here = ["service.web.region=here", "cache.c.region=here", "cache.c.max_clients=1"];
        run(&text, &[&here[..], &[fault, &client]].concat())
    };
    let ran = dies("ideal");
    // 1, 3 and 5 s at the first; 2 and 4 s in vain at the other; then 6, 8 and 10 s there.
    assert_eq!((ran.ok(), ran.failed(Failure::CacheError)), (6, 2));
    assert_eq!(ran.count("cache.c", Counter::Refused), 2);
    // The two wait for the place.
    let ran = dies("{ioredis-5={max_retries='unlimited'}}");
    assert_eq!((ran.ok(), ran.failed(Failure::CacheError)), (8, 0));
    assert_eq!(ran.count("cache.c", Counter::Opened), 1);
    assert!(ran.longest() > ms(3_500) && ran.longest() < ms(5_600), "{}", ran.longest());
}

/// Sixteen commands at once.
fn sixteen(sets: &[&str]) -> Ran {
    let branches = vec!["[{command={in='c'}}]"; 16].join(", ");
    let flow = format!("operation.work.flow=[{{parallel=[{branches}]}}]");
    ran(&[&[flow.as_str()], sets].concat())
}

#[test]
fn threads_take_reading_and_writing_off_the_main_one_where_many_wait() {
    assert_eq!(sixteen(&[]).each(), ms(1 + 16));
    // The first is alone; with 15 to 8 of them waiting, for four threads, eight take half and a quarter of
    // the other half; the last seven are too few.
    let four = "cache.c.io_threads=4";
    assert_eq!(sixteen(&[four]).each(), ms(1 + 8 + 5));
    assert_eq!(sixteen(&[four, "cache.c.io_share=100%"]).each(), ms(1 + 8 + 2));
    assert_eq!(sixteen(&[four, "cache.c.io_share=0%"]).each(), ms(1 + 16));
    assert_eq!(sixteen(&["cache.c.io_threads=9"]).each(), ms(1 + 16));
}
