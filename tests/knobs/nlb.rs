//! Balancers that pass connections through.

use loadbearing::failure::Failure;
use loadbearing::model::demand::demand;
use loadbearing::run::Counter;

use crate::balancer::TWO;
use crate::support::{Ran, ms, run};

const QUICK: &str = "operation.work.flow=[{cpu='1ms'}]";
const NLB: &str = "balancer.lb.kind=nlb";

fn nlb(sets: &[&str]) -> Ran {
    run(TWO, &[&[NLB], sets].concat())
}
fn opened(ran: &Ran) -> u64 {
    ran.count("balancer.lb", Counter::Opened)
}
/// The busiest instance's work over the mean.
fn uneven(ran: &Ran) -> f64 {
    let (busiest, mean) = ran.station("service.web").worker_busiest.expect("it works");
    busiest / mean
}

#[test]
fn an_nlb_chooses_once_for_each_connection() {
    // One user, once a second; Node closes a connection that has been idle for 5 s.
    let kept = nlb(&[]);
    assert_eq!((opened(&kept), uneven(&kept), kept.ok()), (1, 2.0, 10));
    assert_eq!(opened(&nlb(&["service.web.keep_alive=500ms"])), 10);
    assert_eq!(opened(&nlb(&["balancer.lb.per={connection={idle='500ms'}}"])), 10);
    // Where users set connections up, it is those that are chosen for.
    let users = ["arrivals={process='even', rate='50/s', users=20}", "client.connection={}"];
    let ran = nlb(&users);
    assert_eq!((opened(&ran), ran.outcome.attempts.connections), (20, 20));
    let closes = nlb(&[&users[..], &["client.connection.keep_alive=100ms"]].concat());
    assert_eq!(opened(&closes), closes.outcome.attempts.connections);
    assert!(opened(&closes) > 300);
    // A hash is no rotation: shares of 5,000 connections differ by some per cent, and of 10 by a lot.
    let many = nlb(&["arrivals={process='even', rate='500/s', users=1_000_000}", QUICK]);
    assert!(uneven(&many) > 1.0 && uneven(&many) < 1.06, "{}", uneven(&many));
    // By addresses, all that share one come to the same target.
    let by_address = ["balancer.lb.policy=sticky", "balancer.lb.by=address", "client.addresses=1"];
    let many = "arrivals={process='even', rate='50/s', users=1_000}";
    let ran = nlb(&[&by_address[..], &[many]].concat());
    assert_eq!((opened(&ran), uneven(&ran)), (1, 2.0));
}

/// A user far away who comes nine times an hour, and whose connection both sides would keep.
const RARELY: &str = r#"
[arrivals]
process = "even"
rate = "9/h"
users = 1
[region.here]
rtt = "100ms"
[client.connection]
tls = "none"
keep_alive = "1h"
[balancer.lb]
service = "web"
kind = "nlb"
hop = "0ms"
[service.web]
keep_alive = "1h"
[operation.get]
share = 1
flow = [{ wait = "0ms" }]
"#;

#[test]
fn an_nlb_forgets_an_idle_connection_without_a_word() {
    // After 400 s it has forgotten it: what is sent is reset, and sent again over a new connection.
    let hour = "run.duration=1h";
    let ran = run(RARELY, &[hour]);
    assert_eq!((ran.shortest(), ran.longest()), (ms(200), ms(300)));
    assert_eq!(ran.outcome.attempts.connections, ran.offered());
    let patient = run(RARELY, &[hour, "balancer.lb.per={connection={idle='500s'}}"]);
    assert_eq!((patient.shortest(), patient.longest()), (ms(100), ms(200)));
    assert_eq!(patient.outcome.attempts.connections, 1);
    // Who was told that it is closed connects anew. One of two instances dies at 3.5 s: the user's is to one
    // of them, and only where that dies is there a second.
    let two = [
        "arrivals.rate=1/s",
        "service.web.instances=2",
        "region.here.zones=2",
        "balancer.lb.cross_zone=true",
        "balancer.lb.checks={interval='100ms', timeout='50ms', unhealthy=1}",
    ];
    let connections = |zone: u32| {
        let dies =
            format!("fault.f={{target='service.web', what='stop', at='3500ms', zone={zone}}}");
        let told = run(RARELY, &[&two[..], &[&dies]].concat());
        assert_eq!((told.ok(), told.longest()), (10, ms(200)));
        told.outcome.attempts.connections
    };
    assert_eq!(connections(1) + connections(2), 1 + 2);
    // Who closes it by themselves knows that it is closed.
    let closed = run(RARELY, &[hour, "service.web.keep_alive=5s"]);
    assert_eq!((closed.shortest(), closed.longest()), (ms(200), ms(200)));
}

/// The first request at each of two instances blocks its loop for 5 s.
const BLOCKED: &str = r#"
[arrivals]
process = "even"
rate = "2/s"
users = 1
[balancer.lb]
service = "web"
kind = "nlb"
hop = "0ms"
checks = { interval = "1s", timeout = "500ms" }
[service.web]
instances = 2
[cache.values]
kind = "memory"
service = "web"
command = "0ms"
eviction = "lru"
[keys.value]
count = 1
[operation.work]
share = 1
flow = [{ cache = { in = "values", keys = "value", miss = [{ cpu = "5s" }] } }]
"#;

#[test]
fn a_loop_that_stands_still_passes_a_check_for_a_connection() {
    let tcp = run(BLOCKED, &[]);
    assert_eq!((tcp.failed(Failure::Reset), tcp.ok()), (0, tcp.offered()));
    assert!(tcp.held("balancer.lb").iter().all(|held| *held == 2.0));
    // A check that wants an answer gets none: its connections are closed, and with them what was asked.
    let http = run(BLOCKED, &["balancer.lb.checks.protocol=http"]);
    assert!(http.failed(Failure::Reset) > 3, "{}", http.failed(Failure::Reset));
    assert!(http.held("balancer.lb").iter().any(|held| *held < 2.0));
    // An edge in front hears of it once: what the loop makes of the request all the same is for nobody.
    let edge = format!("{BLOCKED}[cdn.edge]\nkeys = 'value'\nttl = '1ms'\n");
    let edge = run(&edge, &["balancer.lb.checks.protocol=http", "operation.work.cdn=edge"]);
    assert!(edge.failed(Failure::Reset) > 0, "{:?}", edge.outcome.requests);
    // An ALB may ask for no more, either.
    let alb = |protocol: &str| {
        let checks = format!("balancer.lb.checks.protocol={protocol}");
        let ran = run(BLOCKED, &["balancer.lb.kind=alb", &checks]);
        ran.held("balancer.lb").iter().all(|held| *held == ran.held("balancer.lb")[0])
    };
    assert!(alb("tcp") && !alb("http"));
    // HAProxy asks for no more, unless it is told what to ask for.
    let haproxy = |flow: &str| {
        let checks = format!("balancer.lb.checks={{interval='1s', timeout='500ms'{flow}}}");
        let ran = run(BLOCKED, &["balancer.lb.kind=haproxy", &checks]);
        ran.held("balancer.lb").iter().all(|held| *held == 2.0)
    };
    assert!(haproxy("") && !haproxy(", flow=[{cpu='1us'}], unhealthy=2"));
    // The kernel accepts no more connections than its queue has places.
    let crowd = ["arrivals={process='even', rate='20/s', users=1_000_000}", "client.connection={}"];
    let full = |backlog: &str| {
        let ran = run(BLOCKED, &[&crowd[..], &[backlog]].concat());
        ran.held("balancer.lb").iter().any(|held| *held < 2.0)
    };
    assert!(full("service.web.backlog=3") && !full("service.web.backlog=511"));
}

#[test]
fn a_node_of_an_nlb_sends_to_its_own_zone() {
    let text = format!("{TWO}[region.here]\nzones = 2\n");
    let many = "arrivals={process='even', rate='100/s', users=1_000_000}";
    // Two instances in the first zone, one in the second, and half of the users in each.
    let ran =
        |more: &str| run(&text, &[NLB, many, "service.web.instances=3", "run.duration=100s", more]);
    let (own, all) = (ran("run.seed=1"), ran("balancer.lb.cross_zone=true"));
    assert!((uneven(&own) - 1.5).abs() < 0.1, "{}", uneven(&own));
    assert!(uneven(&all) < 1.15, "{}", uneven(&all));
    assert_eq!((own.held("balancer.lb")[3], all.held("balancer.lb")[3]), (3.0, 6.0));
    // That is foreseen, and measured.
    let station = own.model.services.iter().next().expect("one").station;
    let foreseen = demand(&own.model, None).imbalance[station];
    let measured = own.station("service.web").imbalance.expect("zones");
    assert!(foreseen == 1.5 && (measured - 1.5).abs() < 0.05, "{foreseen} {measured}");
    assert_eq!(all.station("service.web").imbalance, None);
    // An ALB sends to all, unless its target group does not.
    let alb =
        |more: &str| uneven(&ran(&format!("balancer.lb={{kind='alb'{more}, service='web'}}")));
    assert!(alb("") < 1.1 && (alb(", cross_zone=false") - 1.5).abs() < 0.1);
}

#[test]
fn a_zone_without_anybody_leaves_the_name_of_an_nlb() {
    // One instance in each of two zones, and that of the second is gone for good after 20 s.
    let text = format!("{TWO}[region.here]\nzones = 2\n");
    let sets = [
        NLB,
        "arrivals={process='even', rate='100/s', users=1_000_000}",
        "operation.work.flow=[{cpu='1ms'}]",
        "balancer.lb.checks={interval='1s', timeout='500ms'}",
        "fault.f={target='service.web', what='stop', at='20s', zone=2}",
        "run.duration=120s",
    ];
    let ran = run(&text, &sets);
    // Half of the users ask for 1.5 s until it is found out, and for half a minute on average until
    // their resolvers ask again.
    let lost = (ran.offered() - ran.ok()) as f64 / 50.0;
    assert!((lost - 31.5).abs() < 2.0, "{lost}");
    let crosses = run(&text, &[&sets[..], &["balancer.lb.cross_zone=true"]].concat());
    let lost = (crosses.offered() - crosses.ok()) as f64 / 50.0;
    assert!((lost - 1.5).abs() < 0.7, "{lost}");
}

#[test]
fn connections_to_a_target_that_is_taken_out_go_on() {
    let deploy = "deploy.d={service='web', at='1s', start='100ms', on_sigterm='finish'}";
    let one = [
        "service.web.instances=1",
        "balancer.lb.checks={interval='100ms', timeout='50ms'}",
        deploy,
    ];
    let delay = |delay: &str| {
        let delay = format!("balancer.lb.deregistration_delay={delay}");
        nlb(&[&one[..], &[&delay]].concat())
    };
    let [long, short] = ["1min", "3s"].map(delay);
    assert_eq!((opened(&long), opened(&short)), (1, 2));
    assert_eq!((long.ok(), short.ok()), (10, 10));
    // It is there until its delay is over.
    assert!(long.held("service.web")[9] > 1.5 && short.held("service.web")[9] < 1.5);
}

#[test]
fn a_dead_target_is_a_reset_and_no_answer() {
    let dies = [
        "operation.work.flow=[{wait='900ms'}]",
        "fault.f={target='service.web', what='stop', at='3500ms', for='1s'}",
        "balancer.lb.checks={interval='1h'}",
        "client.retry={fixed={on=[502], delay='100ms', attempts=3}}",
    ];
    // Who is at work dies, and who comes at 4 s finds nobody; only a 502 is tried again.
    let ran = nlb(&dies);
    assert_eq!(ran.failed(Failure::InstanceLost), 2);
    let alb = run(TWO, &[&dies[..], &["balancer.lb.kind=alb"]].concat());
    assert!(alb.outcome.attempts.sent > alb.offered());
    assert_eq!(ran.outcome.attempts.sent, ran.offered());
}

#[test]
fn calls_go_where_their_connections_end() {
    const CALLS: &str = r#"
[arrivals]
process = "even"
rate = "50/s"
users = 1_000
[balancer.lb]
service = "web"
kind = "nlb"
hop = "0ms"
[service.front]
[service.web]
instances = 4
[operation.work]
share = 1
service = "front"
flow = [{ call = { service = "web", client = "fetch", flow = [{ cpu = "1ms" }] } }]
"#;
    // One connection is enough for calls that do not overlap, and one of four gets all of them.
    let ran = run(CALLS, &[]);
    assert_eq!((opened(&ran), uneven(&ran)), (1, 4.0));
    // And one of its workers.
    let two = run(CALLS, &["service.web.workers=2", "service.web.cores=2"]);
    assert_eq!((opened(&two), uneven(&two)), (1, 8.0));
    // Who opens one for each call spreads them.
    let each = CALLS.replace("fetch", "requests");
    let ran = run(&each, &[]);
    assert_eq!(opened(&ran), ran.offered());
    assert!(uneven(&ran) < 1.4, "{}", uneven(&ran));
    // Unless all calls of a process go over one.
    let one = run(&each, &["balancer.lb.per={connection={of='processes'}}"]);
    assert_eq!((opened(&one), uneven(&one)), (1, 4.0));
    // A connection to a process that dies is closed with it.
    let stop = "fault.f={target='service.web', what='stop', at='5s', for='1s'}";
    let ran = run(CALLS, &[stop, "balancer.lb.checks={interval='1h'}"]);
    assert!(opened(&ran) > 1);
}

#[test]
fn an_nlb_is_charged_by_units_of_its_own() {
    use loadbearing::result::Summary;
    let dollars = |sets: &[&str]| {
        let ran = nlb(&[&["balancer.lb.price={per_lcu_hour='$1'}"], sets].concat());
        let summary = Summary::new(&ran.model, std::slice::from_ref(&ran.outcome));
        let line =
            summary.costs.iter().find(|line| line.of == "balancer.lb").expect("it is priced");
        line.dollars_month / 730.0
    };
    // Ten connections in 10.5 s, or 105 of 1 MB, an hour of which is 36 GB.
    let each = "service.web.keep_alive=500ms";
    let near = |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 0.01, "{found}");
    near(dollars(&[each]), 10.0 / 10.5 / 800.0);
    // Users who set them up have no others.
    near(dollars(&[each, "client.connection={}"]), 10.0 / 10.5 / 800.0);
    near(dollars(&[each, "balancer.lb.price.tls=true"]), 10.0 / 10.5 / 50.0);
    let large = "operation.work.flow=[{reply='1MB'}]";
    near(dollars(&[large]), 0.010 / 10.5 * 3_600.0);
}

/// Users, callers and sockets at six instances in three zones, of which some die, hang, are cut off or replaced.
const TORMENT: &str = r#"
[arrivals]
rate = "150/s"
users = 60
[client]
patience = "900ms"
[region.here]
zones = 3
rtt = "5ms"
[balancer.lb]
service = "web"
kind = "nlb"
checks = { interval = "1s", timeout = "500ms" }
deregistration_delay = "3s"
[service.front]
[service.web]
instances = 6
replace = "3s"
max_connections = 40
backlog = 5
[socket.chat]
service = "web"
connections = 30
opens = "3/s"
lasts = "5s"
[operation.page]
share = 0.5
service = "web"
flow = [{ cpu = "2ms" }, { wait = "60ms" }]
[operation.through]
share = 0.5
service = "front"
flow = [{ call = { service = "web", client = "fetch", timeout = "1s", flow = [{ cpu = "2ms" }, { wait = "60ms" }] } }]
[fault.a]
target = "service.web"
what = "stop"
at = "5s"
for = "9s"
count = 2
[fault.b]
target = "service.web"
what = "cut"
at = "20s"
for = "4s"
[fault.c]
target = "service.web"
what = "restart"
at = "30s"
count = 1
[fault.d]
target = "service.web"
what = { slow = { times = 40 } }
at = "33s"
for = "3s"
count = 3
[deploy.d]
service = "web"
at = "26s"
start = "1s"
on_sigterm = "finish"
"#;

#[test]
fn nothing_is_lost_whatever_happens_behind_an_nlb() {
    let calls = "operation.through.flow=[{call={service='web', timeout='1s', flow=[{cpu='2ms'}, {wait='60ms'}]}}]";
    let silent = "fault.a.what={node-loss={}}";
    let grows = "service.web.autoscale={min=2, max=9, target='20%', period='1s', start='1s', cooldown_out='1s', cooldown_in='1s'}";
    for more in [
        &["client.connection={}"][..],
        &["balancer.lb.cross_zone=true", calls],
        &[
            "balancer.lb.cross_zone=true",
            "balancer.lb.checks.protocol=http",
            "client.connection={}",
        ],
        &["balancer.lb.per={connection={of='processes', max_age='2s'}}", calls],
        &["balancer.lb.cross_zone=true", "balancer.lb.per={connection={of='processes'}}", calls],
        &["balancer.lb.policy=sticky", "balancer.lb.by=address", "client.addresses=7"],
        &["client.connection={keep_alive='100ms'}", silent],
        &[grows, "client.connection={}", "balancer.lb.checks.protocol=http"],
        &[
            "deploy.d.how=kubernetes",
            "deploy.d.on_sigterm=exit",
            "balancer.lb.price={per_lcu_hour='$1'}",
        ],
    ] {
        let ran = run(TORMENT, &[&["run.duration=40s"], more].concat());
        assert!(ran.ok() > 1_000, "{more:?} {:?}", ran.outcome.requests);
    }
}
