//! nginx: how it hashes, which connections it keeps, and how many it has.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::balancer::TWO;
use crate::support::{Ran, run};

fn nginx(sets: &[&str]) -> Ran {
    run(TWO, &[&["balancer.lb.kind=nginx"], sets].concat())
}
fn uneven(ran: &Ran) -> f64 {
    let (busiest, mean) = ran.station("service.web").worker_busiest.expect("it works");
    busiest / mean
}

#[test]
fn ip_hash_goes_by_the_first_three_octets() {
    let hash = |by: &str, addresses: u32| {
        uneven(&nginx(&[
            "arrivals={process='even', rate='50/s', users=1_000_000}",
            "operation.work.flow=[{cpu='1ms'}]",
            "run.duration=100s",
            "balancer.lb.policy=hash",
            &format!("balancer.lb.by={by}"),
            &format!("client.addresses={addresses}"),
        ]))
    };
    // 256 addresses are one network, and go to one server; a thousand networks are spread.
    assert_eq!(hash("network", 256), 2.0);
    assert!(hash("address", 256) < 1.2);
    assert!(hash("network", 256_000) < 1.2);
}

#[test]
fn a_server_that_is_out_moves_only_its_own_keys() {
    // Two hundred users come for a minute each second, and one of four servers is out from 20 s on. Of
    // what each server remembers of users, those whose server is there need nothing new.
    const USERS: &str = r#"
[arrivals]
process = "even"
rate = "100/s"
users = 200
[balancer.lb]
service = "web"
kind = "nginx"
hop = "0ms"
policy = "hash"
[service.web]
instances = 4
[cache.memory]
kind = "memory"
service = "web"
[keys.user]
count = 200
by = "user"
[operation.work]
share = 1
flow = [{ cache = { in = "memory", keys = "user", miss = [{ cpu = "1ms" }] } }]
[fault.f]
target = "service.web"
what = "stop"
at = "20s"
count = 1
"#;
    let misses = |kind: &str| {
        let kind = format!("balancer.lb.kind={kind}");
        let checks = "balancer.lb.checks={interval='100ms', timeout='50ms'}";
        let ran = run(USERS, &["run.duration=60s", &kind, checks]);
        ran.count("cache.memory", Counter::Misses) as f64
    };
    // Two hundred, and again a quarter of them; or three quarters of those that were not lost, too.
    let (nginx, haproxy) = (misses("nginx"), misses("haproxy"));
    assert!((nginx - 250.0).abs() < 25.0, "{nginx}");
    assert!((haproxy - 350.0).abs() < 30.0, "{haproxy}");
}

#[test]
fn it_keeps_so_many_idle_connections() {
    // Forty at once each second, which all need one.
    let batches = "arrivals={process='even', rate='40/s', batch=40, users=1_000}";
    let opened = |more: &[&str]| {
        let base = [batches, "operation.work.flow=[{wait='10ms'}]", "service.web.keep_alive=1h"];
        let ran = nginx(&[&base[..], more].concat());
        (ran.offered(), ran.count("balancer.lb", Counter::Opened))
    };
    let (offered, usual) = opened(&[]);
    let batches = offered / 40;
    assert_eq!(usual, 40 + (batches - 1) * 8);
    assert_eq!(opened(&["balancer.lb.most_idle=10"]).1, 40 + (batches - 1) * 30);
    assert_eq!(opened(&["balancer.lb.most_idle=64"]).1, 40);
    assert_eq!(opened(&["balancer.lb.keep_alive=0s"]).1, offered);
}

#[test]
fn a_request_takes_two_connections_of_its_worker() {
    // Three hundred at once.
    let crowd = "arrivals={rate='0/s', users=300, crowd={at='1s', users=300}}";
    let base = [crowd, "operation.work.flow=[{wait='500ms'}]"];
    let turned = |more: &[&str]| {
        let ran = nginx(&[&base[..], more].concat());
        assert_eq!(ran.offered(), 300);
        ran.failed(Failure::Overflow)
    };
    assert_eq!(turned(&[]), 0);
    assert_eq!(turned(&["balancer.lb.worker_connections=512"]), 300 - 256);
    assert_eq!(turned(&["balancer.lb.worker_connections=1024"]), 0);
    assert_eq!(turned(&["balancer.lb.worker_connections=101"]), 300 - 51, "the last has no second");
    // They are answered 500, which is tried again here.
    let retry = "client.retry={fixed={on=[500], delay='1s', attempts=2}}";
    assert_eq!(turned(&["balancer.lb.worker_connections=512", retry]), 0);
}
