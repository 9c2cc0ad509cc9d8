//! Balancers: how they choose, and whom they take for healthy.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Ten requests of 10 ms each, one a second, for two instances.
pub const TWO: &str = r#"
[arrivals]
process = "even"
rate = "1/s"
users = 1
[balancer.lb]
service = "web"
hop = "0ms"
[service.web]
instances = 2
[operation.work]
share = 1
flow = [{ cpu = "10ms" }]
"#;

fn two(sets: &[&str]) -> Ran {
    run(TWO, sets)
}
/// The busiest instance's work over the mean: 1 is even, 2 is all on one of two.
fn uneven(ran: &Ran) -> f64 {
    let (busiest, mean) = ran.station("service.web").worker_busiest.expect("it works");
    busiest / mean
}
fn near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 0.07, "{found} for {wanted}");
}

#[test]
fn weights_are_shares() {
    let many = "arrivals.rate=100/s";
    let weights = "balancer.lb.weights=[3, 1]";
    near(uneven(&two(&[many, "balancer.lb.policy=weighted-round-robin"])), 1.0);
    near(uneven(&two(&[many, weights, "balancer.lb.policy=weighted-round-robin"])), 1.5);
    near(uneven(&two(&[many, weights, "balancer.lb.policy=two-choices"])), 1.5);
    near(uneven(&two(&[many, weights])), 1.0);
    // Three instances: 3, 1, 3.
    let three =
        [many, weights, "service.web.instances=3", "balancer.lb.policy=weighted-round-robin"];
    near(uneven(&two(&three)), 3.0 / (7.0 / 3.0));
}

#[test]
fn a_user_whose_cookie_has_expired_is_placed_anew() {
    let sticky = |more: &str, sets: &[&str]| {
        let policy = format!("balancer.lb.policy={{sticky={{{more}}}}}");
        uneven(&two(&[&[policy.as_str()], sets].concat()))
    };
    // One user, once a second; two instances in turn.
    assert_eq!(sticky("", &[]), 2.0);
    assert_eq!(sticky("max_idle='1s'", &[]), 2.0, "every answer renews it");
    assert_eq!(sticky("max_idle='999ms'", &[]), 1.0);
    // Three on the first, three on the second, three on the first, one on the second.
    assert_eq!(sticky("max_life='2s'", &[]), 1.2);
    // ALB's cookie is valid for a day, and the user comes every 25 hours.
    let rare = ["arrivals.rate=0.04/h", "run.duration=251h", "run.window=1h"];
    let alb = [&rare[..], &["balancer.lb.kind=alb"]].concat();
    assert_eq!((sticky("", &rare), sticky("", &alb)), (2.0, 1.0));
    assert_eq!(sticky("max_idle='25h'", &alb), 2.0);
}

#[test]
fn two_choices_look_at_requests_in_flight() {
    let slow = [
        "arrivals.rate=100/s",
        "operation.work.flow=[{cpu='10us'}, {wait='1s'}]",
        "balancer.lb.weights=[3, 1]",
    ];
    let bias = |bias: &str| {
        uneven(&two(&[
            &slow[..],
            &[&format!("balancer.lb.policy={{two-choices={{bias={bias}}}}}")],
        ]
        .concat()))
    };
    near(bias("0"), 1.5);
    // weight / (n + 1) is even where n goes with the root of the weight.
    assert!(bias("1") < 1.35 && bias("3") < bias("1"), "{} {}", bias("1"), bias("3"));
    let busy = [
        "arrivals={process='poisson', rate='320/s', users=1}",
        "service.web.instances=4",
        "run.duration=60s",
    ];
    let wait = |choices: u32| {
        two(&[&busy[..], &[&format!("balancer.lb.policy={{two-choices={{choices={choices}}}}}")]]
            .concat())
        .mean_s()
    };
    assert!(wait(1) > 1.3 * wait(2) && wait(2) > wait(4), "{} {} {}", wait(1), wait(2), wait(4));
}

#[test]
fn hashes_keep_to_one_target_unless_it_has_too_much() {
    for policy in ["consistent-hash", "maglev"] {
        let set = format!("balancer.lb.policy={policy}");
        near(uneven(&two(&[&set])), 2.0);
        let many = ["arrivals={process='even', rate='200/s', users=1000}", &set];
        assert!(uneven(&two(&many)) < 1.3);
        // All requests are one user's, and in flight for a second: more than 125 % of the mean go on.
        let slow = ["arrivals.rate=100/s", "operation.work.flow=[{cpu='10us'}, {wait='1s'}]"];
        let bound = |bound: &str| {
            uneven(&two(
                &[&slow[..], &[&format!("balancer.lb.policy={{{policy}={{{bound}}}}}")]].concat()
            ))
        };
        near(bound(""), 2.0);
        near(bound("bound=1.25"), 1.25);
        // Ten at once: n of them are 0.75 n for each, rounded up: 1, 2, 3, 3, 4, 5, 6, 6, 7, 8. The fourth and the
        // eighth find as many there, so that eight of ten are at their target.
        let ten = "arrivals={process='even', rate='1_000/s', users=1, stages=[{for='10500us', to='1_000/s'}, {for='0s', to='0/s'}]}";
        let policy = format!("balancer.lb.policy={{{policy}={{bound=1.5}}}}");
        assert_eq!(uneven(&two(&[ten, slow[1], &policy])), 1.6);
    }
}

#[test]
fn rings_are_as_fine_as_the_product_makes_them() {
    let many = "arrivals={process='even', rate='1000/s', users=10000}";
    let ring = |kind: &str, sizes: &str| {
        let kind = format!("balancer.lb.kind={kind}");
        let policy = format!("balancer.lb.policy={{consistent-hash={{{sizes}}}}}");
        uneven(&two(&[many, &kind, &policy, "operation.work.flow=[{cpu='10us'}]"]))
    };
    // A ring of one point has one target.
    near(ring("envoy", "min_ring_size=1, max_ring_size=1"), 2.0);
    // Points of one hash are the same for all: 320 for two are what nginx has, at every kind that takes the next.
    let shared = ring("envoy", "min_ring_size=320");
    let same = |one: f64, other: f64| (one - other).abs() < 1e-9;
    assert!(same(ring("nginx", ""), shared) && same(ring("plain", ""), shared));
    assert!(same(ring("envoy", ""), ring("envoy", "min_ring_size=1024")));
    assert!(!same(ring("envoy", ""), shared) && !same(ring("haproxy", ""), shared));
}

/// Fifty products, which each of four instances remembers once it has looked one up.
const PRODUCTS: &str = r#"
[arrivals]
process = "even"
rate = "20/s"
users = 1000
[balancer.lb]
service = "web"
hop = "0ms"
policy = "consistent-hash"
[service.web]
instances = 4
[cache.memory]
kind = "memory"
service = "web"
[keys.product]
count = 50
popularity = "uniform"
[operation.work]
share = 1
service = "web"
flow = [{ cache = { in = "memory", keys = "product", miss = [{ cpu = "1ms" }] } }]
"#;

#[test]
fn a_hash_of_the_key_brings_all_requests_for_it_to_one_target() {
    let misses = |text: &str, sets: &[&str]| {
        run(text, sets).count("cache.memory", loadbearing::run::Counter::Misses)
    };
    // Of 200 requests about 49 of 50 products are asked for, and each is looked up once.
    let once = |found: u64| assert!((45..=50).contains(&found), "{found}");
    // By users, every instance comes to need every product.
    assert!(misses(PRODUCTS, &[]) > 100);
    let keys = "balancer.lb.by={keys='product'}";
    once(misses(PRODUCTS, &[keys]));
    once(misses(PRODUCTS, &[keys, "balancer.lb.policy=maglev"]));
    assert!(misses(PRODUCTS, &[keys, "balancer.lb.policy=round-robin"]) > 100, "nothing is hashed");
    // The key of another set says nothing of the product.
    let other = format!("{PRODUCTS}[keys.other]\ncount = 50\npopularity = 'uniform'\n");
    assert!(misses(&other, &["balancer.lb.by={keys='other'}"]) > 100);
    // Behind an edge it is the key that was asked for there, and a call has one of its own.
    let edge = format!("{PRODUCTS}[cdn.edge]\nkeys = 'product'\nttl = '1ms'\n");
    let at_edge = misses(&edge, &[keys, "operation.work.cdn=edge"]);
    assert!((40..=50).contains(&at_edge), "{at_edge}");
    let called = format!("{PRODUCTS}[service.front]\n");
    let call = "operation.work.flow=[{call={service='web', flow=[{cache={in='memory', keys='product', miss=[{cpu='1ms'}]}}]}}]";
    once(misses(&called, &[keys, "operation.work.service=front", call]));
}

#[test]
fn latency_is_remembered_and_forgotten() {
    let digest = |options: &str| {
        let policy = format!("balancer.lb.policy={{peak-ewma={{{options}}}}}");
        two(&["arrivals.rate=50/s", &policy]).outcome.digest
    };
    let picks = |options: &str| {
        let policy = format!("balancer.lb.policy={{peak-ewma={{{options}}}}}");
        uneven(&two(&["arrivals.rate=50/s", &policy]))
    };
    // A target that is never tried again is not forgiven by those who forget slowly.
    assert_ne!(picks("first='1s', decay='1h'"), picks("first='1s', decay='10ms'"));
    assert_ne!(picks("first='1us'"), picks("first='1s'"));
    assert_eq!(digest(""), digest("decay='10s', first='30ms'"));
}

#[test]
fn a_connection_is_balanced_once() {
    let per = |per: &str| uneven(&two(&[&format!("balancer.lb.per={per}")]));
    near(per("request"), 1.0);
    near(per("connection"), 2.0);
    near(per("{connection={idle='500ms'}}"), 1.0);
    // Fewest connections, not requests: ten users with one each, however much they ask.
    let users = "arrivals={process='even', rate='50/s', users=10}";
    let least = ["balancer.lb.per=connection", "balancer.lb.policy=least-connections", users];
    assert!(uneven(&two(&least)) < 1.3, "{}", uneven(&two(&least)));
}

#[test]
fn every_node_has_a_rotation_of_its_own() {
    // Forty users come once each; with a node for each of them, nearly all get the first instance.
    let once = ["arrivals={process='even', rate='4/s', users=1000000}"];
    near(uneven(&two(&once)), 1.0);
    let many = two(&[&once[..], &["balancer.lb.nodes=1000"]].concat());
    assert!(uneven(&many) > 1.8, "{}", uneven(&many));
}

#[test]
fn an_alb_has_a_node_in_each_of_two_zones_or_more() {
    // A request of 400 ms comes every 250 ms from a user who comes once, and a target takes one at a time.
    // Who knows of all that are in flight sends none to a target that is busy.
    let sets = [
        "arrivals={process='even', rate='4/s', users=1000000}",
        "operation.work.flow=[{wait='400ms'}]",
        "balancer.lb.policy=least-outstanding",
        "balancer.lb.checks={interval='1h'}",
        "service.web.max_connections=1",
        // What a node keeps would be the one connection that the other finds taken.
        "balancer.lb.keep_alive=0s",
        "run.duration=100s",
    ];
    let text = format!("{TWO}[region.here]\n");
    let ran = |more: &[&str]| run(&text, &[&sets[..], more].concat());
    let alb = |more: &str| ran(&["balancer.lb.kind=alb", more]);
    let [one, two, three] =
        ["balancer.lb.nodes=1", "region.here.zones=1", "region.here.zones=3"].map(alb);
    assert_eq!((one.longest(), ran(&[]).longest()), (ms(400), ms(400)));
    assert!(
        two.longest() > ms(400) && two.longest() < three.longest(),
        "{:?} {:?}",
        two.longest(),
        three.longest()
    );
    // Each node has both targets.
    let targets = [&one, &two, &three].map(|ran| ran.held("balancer.lb")[50]);
    assert_eq!(targets, [2.0, 4.0, 6.0]);
    assert_eq!(ran(&["balancer.lb.kind=envoy", "region.here.zones=3"]).longest(), ms(400));
}

/// The first request computes for 5 s and blocks the loop of the only instance; all others find the
/// value.
const BLOCKED: &str = r#"
[arrivals]
process = "even"
rate = "1/s"
users = 1
[balancer.lb]
service = "web"
hop = "0ms"
[service.web]
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

/// Requests turned away because no instance is healthy.
fn nobody(sets: &[&str]) -> u64 {
    run(BLOCKED, &[&["run.duration=20s"], sets].concat()).failed(Failure::NoInstance)
}

#[test]
fn checks_wait_for_the_event_loop_and_count_in_a_row() {
    assert_eq!(nobody(&[]), 0);
    let checks =
        |more: &str| format!("balancer.lb.checks={{interval='1s', timeout='500ms'{more}}}");
    // Out after two failures, at 2.5 s and a phase; back after the five successes from 6 s on.
    let usual = nobody(&[&checks("")]);
    assert!(usual == 6 || usual == 8, "by its phase: {usual}");
    assert_eq!(nobody(&[&checks(", unhealthy=3")]), usual - 1);
    assert_eq!(nobody(&[&checks(", healthy=2")]), usual - 3);
    assert_eq!(nobody(&["balancer.lb.checks={interval='6s', timeout='5500ms'}"]), 0, "patient");
    let rare = nobody(&["balancer.lb.checks={interval='2s', timeout='500ms', unhealthy=1}"]);
    assert!(rare > usual, "five successes take ten seconds: {rare}");
    // A check that does more than answer fails for more reasons: this one takes longer than it may.
    assert!(nobody(&[&checks(", flow=[{wait='600ms'}]")]) >= 15);
    // With nobody healthy, all are asked.
    assert_eq!(nobody(&[&checks(""), "balancer.lb.fail_open='0%'"]), 0);
    assert_eq!(nobody(&[&checks(""), "balancer.lb.kind=alb"]), 0);
}

/// All requests are answered 503.
fn failing(ejection: &str, more: &[&str]) -> u64 {
    let flow = "operation.work.flow=[{cpu='1ms'}, {reply={bytes='0B', status=503}}]";
    let ejection = format!("balancer.lb.ejection={ejection}");
    let sets = ["run.duration=60500ms", flow, &ejection, "service.web.instances=1"];
    two(&[&sets[..], more].concat()).failed(Failure::NoInstance)
}

#[test]
fn outliers_are_ejected_for_longer_each_time() {
    let rule = |more: &str| format!("{{outliers={{most='100%'{more}}}}}");
    assert_eq!(failing("never", &[]), 0);
    assert_eq!(failing("{outliers={}}", &[]), 0, "10 % of one is none");
    assert_eq!(failing("{outliers={always_one=true}}", &[]), failing(&rule(""), &[]));
    // Out at 5 s; back at the interval's end after 30 s, at 40 s; out at 45 s.
    assert_eq!(failing(&rule(""), &[]), 35 + 15);
    assert_eq!(failing(&rule(", consecutive=10"), &[]), 30 + 10);
    assert_eq!(failing(&rule(", interval='1s', base='20s'"), &[]), 20 + 20 + 5);
    // Out at 1 s for 10 s, until 20 s; out at 21 s for 20 s, until 50 s.
    let often = ", consecutive=1, base='10s'";
    let short = ["run.duration=50500ms"];
    assert_eq!(failing(&rule(often), &short), 48);
    assert_eq!(failing(&rule(&format!("{often}, longest='10s'")), &short), 47);
    assert_eq!(failing(&rule(""), &["balancer.lb.kind=envoy"]), 0, "a panic: to all of them");
}

#[test]
fn success_rates_are_compared() {
    let some = "operation.work.flow=[{cpu='1ms'}, {choose=[{share='50%', flow=[{reply={bytes='0B', status=503}}]}, {share='50%', flow=[]}]}]";
    let uneven = |more: &str| {
        let rule = format!(
            "balancer.lb.ejection={{outliers={{most='50%', consecutive=1000, interval='2s', hosts=2, requests=10, deviations=0.5{more}}}}}"
        );
        let rule =
            rule.replacen("hosts=2, ", if more.contains("hosts") { "" } else { "hosts=2, " }, 1);
        let rule = rule.replacen(
            "requests=10, ",
            if more.contains("requests") { "" } else { "requests=10, " },
            1,
        );
        let rule = rule.replacen(
            "deviations=0.5, ",
            if more.contains("deviations") { "" } else { "deviations=0.5, " },
            1,
        );
        let rule = rule.replacen(
            "deviations=0.5,",
            if more.contains("deviations") { "" } else { "deviations=0.5," },
            1,
        );
        uneven(&two(&[some, "arrivals.rate=50/s", &rule]))
    };
    assert!(uneven("") > 1.2, "the worse of two is ejected");
    near(uneven(", hosts=3"), 1.0);
    near(uneven(", requests=1000"), 1.0);
    near(uneven(", deviations=1.5"), 1.0);
}

#[test]
fn a_target_that_does_not_answer_is_left_out_for_a_while() {
    let silent = "operation.work.flow=[{wait='30s'}]";
    let limit = "balancer.lb.idle_timeout=500ms";
    let counts = |sets: &[&str]| {
        let all = ["run.duration=30500ms", silent, limit, "balancer.lb.next_upstream=false"];
        let ran = two(&[&all[..], sets].concat());
        (ran.failed(Failure::UpstreamTimeout), ran.failed(Failure::NoInstance))
    };
    assert_eq!(counts(&[]), (30, 0));
    // One failure sets each aside until more than ten whole seconds are over: asked at 1 and 2 s, 13
    // and 14 s, 25 and 26 s.
    assert_eq!(counts(&["balancer.lb.kind=nginx"]), (6, 24));
    assert_eq!(counts(&["balancer.lb.ejection={max-fails={}}"]), (6, 24));
    // Two failures: asked at 1 to 4 s; 15 and 16 s, where one is enough, 27 and 28 s.
    assert_eq!(counts(&["balancer.lb.ejection={max-fails={fails=2}}"]), (8, 22));
    assert_eq!(counts(&["balancer.lb.ejection={max-fails={timeout='4s'}}"]), (10, 20));
    assert_eq!(counts(&["balancer.lb.ejection={max-fails={fails=0}}"]), (30, 0));
    // The only server of a group is never set aside.
    assert_eq!(counts(&["balancer.lb.kind=nginx", "service.web.instances=1"]), (30, 0));
}

#[test]
fn slow_answers_are_cut_off_with_504_as_each_product_does() {
    let after = |kind: &str| {
        let sets = [
            "run.duration=200s",
            "operation.work.flow=[{wait='90s'}]",
            kind,
            "balancer.lb.ejection=never",
        ];
        two(&sets).each_failed()
    };
    // nginx asks the other one for another minute.
    assert_eq!(after("balancer.lb.kind=nginx"), ms(120_000));
    assert_eq!(after("balancer.lb.kind=alb"), ms(60_000));
    assert_eq!(after("balancer.lb.kind=envoy"), ms(15_000));
    let sets =
        ["run.duration=200s", "operation.work.flow=[{wait='90s'}]", "balancer.lb.kind=plain"];
    assert_eq!(two(&sets).each(), ms(90_000));
    let ran = two(&[
        "run.duration=200s",
        "operation.work.flow=[{wait='90s'}]",
        "balancer.lb.idle_timeout=7s",
    ]);
    assert_eq!((ran.each_failed(), ran.failed(Failure::UpstreamTimeout)), (ms(7_000), 193));
    assert_eq!(ran.count("balancer.lb", Counter::TimedOut), 193);
}

#[test]
fn an_idle_connection_is_closed_from_either_side() {
    let sets = [
        "run.duration=62s",
        "balancer.lb.hop=1ms",
        "service.web.instances=1",
        "arrivals.rate=12/min",
        "operation.work.flow=[{wait='0ms'}]",
    ];
    let counts = |more: &[&str]| {
        let ran = two(&[&sets[..], more].concat());
        (ran.failed(Failure::Reset), ran.count("balancer.lb", Counter::Opened))
    };
    assert_eq!(counts(&[]), (0, 0), "connections cost nothing");
    // A request every 5 s, on a connection that closes after 5 s: the first one after the opening is in time, the next meets the closing.
    assert_eq!(counts(&["balancer.lb.keep_alive=60s"]), (4, 4));
    assert_eq!(counts(&["balancer.lb.keep_alive=60s", "service.web.keep_alive=65s"]), (0, 1));
    assert_eq!(counts(&["balancer.lb.keep_alive=4s"]), (0, 12));
    assert_eq!(counts(&["balancer.lb.kind=alb"]), (4, 4));
    // It is idle for 4,997 ms after an opening and for 4,999 ms after that. Closed in the very last millisecond, it is
    // not known to be: the balancer hears of it a hop later.
    let closes = |after: &str| {
        counts(&["balancer.lb.keep_alive=60s", &format!("service.web.keep_alive={after}")])
    };
    assert_eq!((closes("4998500us"), closes("4996ms")), ((4, 4), (0, 12)));
    // Opening one takes a round trip more.
    let ran =
        two(&[&sets[..], &["balancer.lb.keep_alive=60s", "service.web.keep_alive=65s"]].concat());
    assert_eq!((ran.longest(), ran.shortest()), (ms(4), ms(2)));
}

/// An instance is added, or taken out, while requests are under way.
fn scaled(sets: &[&str]) -> Ran {
    let scaling = "service.web.autoscale={min=1, max=2, target='10%', period='1s', start='1s', cooldown_out='0s', cooldown_in='0s'}";
    two(&[&[scaling, "run.duration=60s"], sets].concat())
}

#[test]
fn a_new_target_gets_its_share_slowly() {
    let grown = ["arrivals.rate=50/s", "service.web.instances=1"];
    let at_once = uneven(&scaled(&grown));
    let slowly = uneven(&scaled(&[&grown[..], &["balancer.lb.slow_start=50s"]].concat()));
    assert!(at_once < 1.15 && slowly > 1.35, "{at_once} {slowly}");
    // All are taken for unhealthy, one after the other, and all are asked: the first is not new for that.
    let checks = "balancer.lb.checks={interval='1s', timeout='500ms', flow=[{wait='600ms'}]}";
    let to_all = ["arrivals.rate=50/s", "run.duration=100s", "balancer.lb.fail_open='0%'", checks];
    near(uneven(&two(&[&to_all[..], &["balancer.lb.slow_start=1h"]].concat())), 1.0);
}

#[test]
fn a_target_that_is_back_beside_one_that_still_grows_starts_as_its_product_does() {
    // The first is away from 1 to 2 s and grows over 20 s, p = t / 20 of a whole share: until 11 s it has had 9 -
    // 20 ln 1.45 = 1.57 s of the arrivals, the other 7.43. Then the other is away for a second.
    let uneven_of = |kind: &str| {
        let kind = format!("balancer.lb.kind={kind}");
        let sets = [
            kind.as_str(),
            "arrivals.rate=1000/s",
            "operation.work.flow=[{cpu='100us'}]",
            "balancer.lb.policy=random",
            "balancer.lb.slow_start=20s",
            "balancer.lb.checks={interval='100ms', timeout='50ms', unhealthy=1, healthy=1}",
            "run.duration=22s",
        ];
        let stops = "[region.here]\nzones = 2\n\
                     [fault.one]\nwhat = 'stop'\ntarget = 'region.here'\nzone = 1\nat = '1s'\nfor = '1s'\n\
                     [fault.two]\nwhat = 'stop'\ntarget = 'region.here'\nzone = 2\nat = '11s'\nfor = '1s'\n";
        uneven(&run(&format!("{TWO}{stops}"), &sets))
    };
    // At an ALB nobody has a whole share then, so that it has one at once: 10 - 20 ln (2 / 1.5) = 4.25 s are for the
    // first of the last ten: 14.69 of 22 s for the other. Elsewhere it grows, too, to half of one: 10.82 and 11.18.
    let (alb, haproxy, envoy) = (uneven_of("alb"), uneven_of("haproxy"), uneven_of("envoy"));
    assert!((alb - 1.335).abs() < 0.03, "{alb}");
    assert!((haproxy - 1.017).abs() < 0.03 && (envoy - 1.017).abs() < 0.03, "{haproxy} {envoy}");
}

#[test]
fn an_instance_that_is_taken_out_may_finish_for_so_long() {
    let long = ["operation.work.flow=[{wait='20s'}]", "balancer.lb.hop=0ms", "run.duration=1000s"];
    let lost = |more: &[&str]| scaled(&[&long[..], more].concat()).failed(Failure::InstanceLost);
    // Without a delay the process is told at once.
    assert!(lost(&[]) > 0);
    assert_eq!(lost(&["service.web.on_sigterm=finish"]), 0);
    assert!(lost(&["balancer.lb.deregistration_delay=5s"]) > 0);
    assert_eq!(lost(&["balancer.lb.deregistration_delay=25s"]), 0);
}

#[test]
fn a_request_that_finds_its_target_dead_goes_to_the_next() {
    let text = format!(
        "{TWO}\n[fault.dead]\ntarget = 'service.web'\nwhat = 'stop'\nat = '0s'\ncount = 1\n"
    );
    let counts = |sets: &[&str]| {
        let ran = run(&text, sets);
        (ran.ok(), ran.failed(Failure::InstanceLost))
    };
    assert_eq!(counts(&[]), (5, 5));
    assert_eq!(counts(&["balancer.lb.next_upstream=true"]), (10, 0));
    assert_eq!(counts(&["balancer.lb.kind=nginx", "balancer.lb.next_upstream=false"]), (9, 1));
    assert_eq!(counts(&["balancer.lb.kind=nginx"]), (10, 0));
}

#[test]
fn a_full_backlog_refuses_or_drops() {
    let full = [
        "service.web.instances=1",
        "service.web.max_connections=1",
        "service.web.backlog=1",
        "operation.work.flow=[{wait='6s'}]",
        "arrivals={process='even', rate='1/s', users=1, stages=[{for='3500ms', to='1/s'}, {for='0s', to='0/s'}]}",
        "run.duration=60s",
    ];
    let ran = |more: &[&str]| two(&[&full[..], more].concat());
    assert_eq!(ran(&["service.web.on_overflow=refuse"]).failed(Failure::Refused), 1);
    // The third comes at 3 s and is tried again at 4, 6 and 10 s; it waits from 10 s on and is served
    // from 13 s to 19 s.
    let dropped = ran(&["service.web.on_overflow=drop"]);
    assert_eq!((dropped.ok(), dropped.longest()), (3, ms(16_000)));
    assert_eq!(ran(&[]).longest(), ms(16_000), "tcp_abort_on_overflow is 0");
    // ALB waits for a connection for 10 s and then answers 504, which ends at 13 s what came at 3 s: the
    // third would have been let in at 10 s. With 14 s for each it comes in vain at 4, 6 and 10 s.
    let long = "operation.work.flow=[{wait='14s'}]";
    let alb = ran(&["balancer.lb.kind=alb", "balancer.lb.nodes=1", long]);
    assert_eq!((alb.failed(Failure::UpstreamTimeout), alb.each_failed()), (1, ms(10_000)));
    // Nobody gives up: Linux does after 127 s, with ETIMEDOUT.
    let ever = ran(&["operation.work.flow=[{wait='200s'}]", "run.duration=500s"]);
    assert_eq!((ever.failed(Failure::UpstreamTimeout), ever.each_failed()), (1, ms(127_000)));
    // A balancer waits for a connection only so long.
    let ran = ran(&["balancer.lb.connect_timeout=5s"]);
    assert_eq!((ran.failed(Failure::UpstreamTimeout), ran.each_failed()), (1, ms(5_000)));
}

/// Two processes that call a service of four.
const CALLS: &str = r#"
[arrivals]
process = "even"
rate = "100/s"
users = 1_000
[balancer.l4]
service = "api"
hop = "0ms"
[service.web]
instances = 2
[service.api]
instances = 4
[operation.work]
share = 1
service = "web"
flow = [{ call = { service = "api", flow = [{ cpu = "1ms" }] } }]
"#;

#[test]
fn all_calls_of_a_process_go_over_its_one_connection() {
    let uneven = |per: &str| {
        let ran = run(CALLS, &[&format!("balancer.l4.per={per}")]);
        let (busiest, mean) = ran.station("service.api").worker_busiest.expect("it works");
        busiest / mean
    };
    near(uneven("request"), 1.0);
    assert!(uneven("{connection={of='users'}}") < 1.2);
    // Two of the four have it all; four connections would go round.
    near(uneven("{connection={of='processes'}}"), 2.0);
    let four =
        run(CALLS, &["balancer.l4.per={connection={of='processes'}}", "service.web.workers=2"]);
    let (busiest, mean) = four.station("service.api").worker_busiest.expect("it works");
    near(busiest / mean, 1.0);
    // A connection that is closed each second, more or less, has been with each of them two or three times.
    let aged = uneven("{connection={of='processes', max_age='1s'}}");
    assert!((1.0..1.5).contains(&aged), "{aged}");
    near(uneven("{connection={of='processes', max_age='1h'}}"), 2.0);
}

#[test]
fn clients_that_go_before_their_answer_are_counted() {
    // Ten requests of a second, each of which is given up after half of it.
    let slow = [
        "operation.work.flow=[{wait='700ms'}]",
        "run.duration=11s",
        "arrivals.stages=[{for='10500ms', to='1/s'}, {for='0s', to='0/s'}]",
    ];
    let gone = |patience: &str| {
        let patience = format!("client.patience={patience}");
        let ran = two(&[&slow[..], &["balancer.lb.kind=alb", &patience]].concat());
        ran.count("balancer.lb", Counter::Wasted)
    };
    assert_eq!((gone("500ms"), gone("2s")), (10, 0));
}
