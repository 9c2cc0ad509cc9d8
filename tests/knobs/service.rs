//! Services, balancers, autoscaling.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run, us};

const WEB: &str = r#"
[service.web]
[operation.work]
share = 1
flow = [{ cpu = "10ms" }]
"#;
/// A front that asks the service four times at once.
const FOUR_AT_ONCE: &str = r#"
[service.front]
[service.web]
[operation.work]
share = 1
service = "front"
flow = [{ parallel = [
  [{ call = { service = "web", flow = [{ cpu = "10ms" }] } }],
  [{ call = { service = "web", flow = [{ cpu = "10ms" }] } }],
  [{ call = { service = "web", flow = [{ cpu = "10ms" }] } }],
  [{ call = { service = "web", flow = [{ cpu = "10ms" }] } }],
] }]
"#;
/// Three requests, at 1, 2 and 3 ms.
const THREE: &[&str] = &[
    "arrivals.rate=1000/s",
    "arrivals.stages=[{for='3500us', to='1000/s'}, {for='0s', to='0/s'}]",
];

fn web(sets: &[&str]) -> Ran {
    run(WEB, sets)
}

#[test]
fn a_loop_that_has_polled_for_long_is_slow_to_wake() {
    // One request a second, which computes for 10 ms: the loop has polled for the rest of it.
    let alone = "[service.web]\n[operation.ask]\nshare = 1\nflow = [{ cpu = '10ms' }]\n";
    let each = |sets: &[&str]| run(alone, sets).outcome.latency;
    assert_eq!(each(&[]).max(), Some(ms(10)));
    let flat = ["service.web.wake.cpu=3ms", "service.web.wake.growth=0"];
    assert_eq!(each(&flat).max(), Some(ms(13)));
    // The first wakes after 1,000 ms, the others after 1,000 - 10 - 3.
    let linear = ["service.web.wake={cpu=\"3ms\", idle=\"1s\", growth=1}"];
    let latency = each(&linear);
    assert_eq!(latency.max(), Some(ms(13)));
    let second = latency.min().expect("served");
    assert!(second < ms(13) && second > us(12_950), "{second:?}");
    let slower = each(&["service.web.wake={cpu=\"3ms\", idle=\"1s\", growth=0.24}"]);
    assert!(slower.min() > Some(second));
}

#[test]
fn a_blocked_worker_is_handed_no_further_connection() {
    // Every 30 ms a request; every tenth or so blocks its worker for 200 ms.
    let blocked = "\
        [arrivals]\nrate = '33/s'\nprocess = 'even'\n\
        [service.web]\nworkers = 2\ncores = 2\n\
        [operation.quick]\nshare = 90\nflow = [{ cpu = '1ms' }]\n\
        [operation.block]\nshare = 10\nflow = [{ cpu = '200ms' }]\n";
    let mean = |set: &str| run(blocked, &[set]).outcome.latency.mean_s().expect("served");
    let in_turn = mean("service.web.hand_out=each-in-turn");
    let to_free = mean("service.web.hand_out=free-worker");
    // One connection waits with the blocked worker instead of every second one.
    assert!(to_free < 0.8 * in_turn, "{to_free} s, {in_turn} s");
}

#[test]
fn workers_share_the_cores_of_their_instance() {
    let each = |sets: &[&str]| run(FOUR_AT_ONCE, sets).each();
    assert_eq!(each(&[]), ms(40), "one loop");
    assert_eq!(each(&["service.web.workers=4", "service.web.cores=4"]), ms(10));
    assert_eq!(each(&["service.web.workers=4", "service.web.cores=1"]), ms(40));
    assert_eq!(each(&["service.web.workers=4", "service.web.cores=2"]), ms(20));
    assert_eq!(each(&["service.web.workers=1", "service.web.cores=4"]), ms(40));
    assert_eq!(each(&["service.web.cores=0.5"]), ms(80));
    assert_eq!(each(&["service.web.instances=4"]), ms(10));
    let ran = run(FOUR_AT_ONCE, &["service.web.workers=4", "service.web.cores=2"]);
    assert_eq!(ran.station("service.web").capacity, 2.0);
}

#[test]
fn work_in_threads_leaves_the_loop_free_and_shares_the_cores() {
    let four = "operation.work.flow=[{parallel=[[{threads='10ms'}], [{threads='10ms'}], [{threads='10ms'}], [{threads='10ms'}]]}]";
    let each = |sets: &[&str]| web(&[&[four], sets].concat()).each();
    assert_eq!(each(&["service.web.cores=8"]), ms(10));
    assert_eq!(each(&["service.web.cores=8", "service.web.threads=1"]), ms(40));
    assert_eq!(each(&["service.web.cores=8", "service.web.threads=2"]), ms(20));
    assert_eq!(each(&["service.web.cores=1"]), ms(40));
    assert_eq!(each(&["service.web.cores=4"]), ms(10));
}

#[test]
fn connections_are_accepted_wait_or_are_refused() {
    let served = |sets: &[&str]| {
        let ran = web(&[THREE, &["service.web.on_overflow=refuse"], sets].concat());
        (ran.ok(), ran.failed(Failure::Refused))
    };
    assert_eq!(served(&[]), (3, 0));
    assert_eq!(served(&["service.web.max_connections=1", "service.web.backlog=1"]), (2, 1));
    assert_eq!(served(&["service.web.max_connections=1", "service.web.backlog=2"]), (3, 0));
    assert_eq!(served(&["service.web.max_connections=2", "service.web.backlog=1"]), (3, 0));
    let full = ["service.web.max_connections=1", "service.web.backlog=1"];
    let ran = web(&[THREE, &full, &["service.web.on_overflow=refuse"]].concat());
    assert_eq!(ran.each_failed(), ms(0), "refused at once");
}

#[test]
fn accepting_costs_computation() {
    let ran = web(&["service.web.accept_cpu=3ms"]);
    assert_eq!(ran.each(), ms(13));
    assert!((ran.station("service.web").busy_mean - 0.130 / 10.5).abs() < 1e-9);
}

#[test]
fn a_hop_leads_in_and_out() {
    assert_eq!(web(&["service.web.hop=2ms"]).each(), ms(14));
    // A call makes it too.
    assert_eq!(run(FOUR_AT_ONCE, &["service.web.hop=2ms"]).each(), ms(44));
}

#[test]
fn a_balancer_is_a_hop_of_its_own() {
    let text = format!("{WEB}\n[balancer.lb]\nservice = 'web'\n");
    assert_eq!(run(&text, &[]).each(), us(10_500));
    assert_eq!(run(&text, &["balancer.lb.hop=1ms"]).each(), ms(12));
    assert_eq!(run(&text, &["balancer.lb.hop=1ms", "service.web.hop=7ms"]).each(), ms(12));
    // One in front of another service does not matter here.
    let text = format!("{FOUR_AT_ONCE}\n[balancer.lb]\nservice = 'web'\nhop = '1ms'\n");
    assert_eq!(run(&text, &[]).each(), ms(42));
    assert_eq!(run(&text, &["balancer.lb.service=front"]).each(), ms(42));
    let ran = run(&text, &["balancer.lb.service=front", "service.web.hop=5ms"]);
    assert_eq!(ran.each(), ms(52));
}

#[test]
fn the_requests_of_operations_go_to_their_service() {
    let sets = ["operation.work.service=web", "operation.work.flow=[{cpu='1ms'}]"];
    let ran = run(FOUR_AT_ONCE, &sets);
    assert_eq!((ran.count("service.web", Counter::Served), ran.each()), (10, ms(1)));
}

/// Two instances behind a balancer, 80 % busy, with requests of very different lengths.
fn balanced(sets: &[&str]) -> Ran {
    let text = format!("{WEB}\n[balancer.lb]\nservice = 'web'\nhop = '0ms'\n");
    let basic = [
        "service.web.instances=2",
        "arrivals={rate='160/s', users=1000, process='poisson'}",
        "operation.work.flow=[{cpu={exponential='10ms'}}]",
        "run.duration=400s",
    ];
    run(&text, &[&basic[..], sets].concat())
}

#[test]
fn policies_differ_as_theory_says() {
    let mean = |policy: &str| balanced(&[&format!("balancer.lb.policy={policy}")]).mean_s();
    let (turns, random) = (mean("round-robin"), mean("random"));
    let (least, two) = (mean("least-outstanding"), mean("two-choices"));
    // M/M/1 at 0.8: 50 ms. Two servers, shortest queue: close to M/M/2, 27.8 ms.
    assert!((random - 0.050).abs() < 0.008, "{random}");
    assert!(least < two * 1.05 && two < turns && turns < random, "{least} {two} {turns} {random}");
    assert!((least - 0.029).abs() < 0.004, "{least}");
}

#[test]
fn hashing_and_sticking_keep_a_user_on_one_instance() {
    let busiest = |sets: &[&str]| {
        let ran = balanced(&[&["operation.work.flow=[{cpu='1ms'}]"], sets].concat());
        let (most, mean) = ran.station("service.web").worker_busiest.expect("a service");
        most / mean
    };
    let one = "arrivals.users=1";
    assert!((busiest(&["balancer.lb.policy=round-robin"]) - 1.0).abs() < 0.001);
    assert!((busiest(&[one, "balancer.lb.policy=consistent-hash"]) - 2.0).abs() < 1e-9);
    assert!((busiest(&[one, "balancer.lb.policy=sticky"]) - 2.0).abs() < 1e-9);
    assert!(busiest(&["balancer.lb.policy=consistent-hash"]) < 1.3);
    assert!(busiest(&["balancer.lb.policy=sticky"]) < 1.1);
}

#[test]
fn what_sticks_is_the_user_or_the_address() {
    for policy in ["consistent-hash", "sticky"] {
        let busiest = |by: &str| {
            let policy = format!("balancer.lb.policy={policy}");
            let ran = balanced(&[&policy, by, "client.addresses=1"]);
            let (most, mean) = ran.station("service.web").worker_busiest.expect("a service");
            most / mean
        };
        assert!(busiest("balancer.lb.by=user") < 1.3);
        assert!((busiest("balancer.lb.by=address") - 2.0).abs() < 1e-9);
    }
}

#[test]
fn new_users_are_placed_in_turn_at_random_or_where_little_is_in_flight() {
    // Every user comes about once, so placing is all there is.
    let mean = |then: &str| {
        let then = format!("balancer.lb.policy={{sticky={{then='{then}'}}}}");
        balanced(&[&then, "arrivals.users=1_000_000", "client.addresses=1_000_000"]).mean_s()
    };
    let (turns, random, least) = (mean("round-robin"), mean("random"), mean("least-outstanding"));
    assert!(least < turns && turns < random, "{least} {turns} {random}");
}

/// 90 % of one core; looked at in the steps of the autoscaler.
fn scaled(sets: &[&str]) -> Vec<f64> {
    let basic = [
        "operation.work.flow=[{cpu='900ms'}]",
        "service.web.autoscale={min=1, max=4}",
        "service.web.on_sigterm=finish",
        "run.duration=900s",
        "run.window=10s",
    ];
    let ran = web(&[&basic[..], sets].concat());
    ran.held("service.web")
}

/// The second from which so many instances run.
fn first(held: &[f64], many: f64) -> Option<usize> {
    held.iter().position(|held| *held == many).map(|window| window * 10)
}

#[test]
fn an_autoscaler_adds_an_instance_after_three_periods_and_a_start() {
    let at = |sets: &[&str]| first(&scaled(sets), 2.0);
    assert_eq!(at(&[]), Some(240), "three minutes above 70 %, one to start");
    assert_eq!(at(&["service.web.autoscale.period=30s"]), Some(150));
    assert_eq!(at(&["service.web.autoscale.start=10s"]), Some(190));
    // CloudWatch knows each minute 90 s after its end.
    assert_eq!(at(&["service.web.autoscale.delay=90s"]), Some(330));
    assert_eq!(at(&["service.web.autoscale.target=95%"]), None);
    assert_eq!(at(&["service.web.autoscale.max=1"]), None);
    // CPU is a share of all cores: a second one that no loop uses halves it.
    assert_eq!(at(&["service.web.cores=2"]), None);
    assert_eq!(
        at(&[
            "service.web.cores=2",
            "service.web.autoscale.metric=cpu",
            "service.web.autoscale.target=40%"
        ]),
        Some(240)
    );
}

#[test]
fn additions_wait_for_their_cooldown() {
    let more = ["operation.work.flow=[{cpu='1900ms'}]"];
    let at = |sets: &[&str]| first(&scaled(&[&more[..], sets].concat()), 3.0);
    assert_eq!(at(&[]), Some(540), "at 180 s two, at 480 s three");
    let quick = at(&["service.web.autoscale.cooldown_out=0s"]).expect("three at last");
    assert!(quick < 540, "{quick}");
}

#[test]
fn removals_take_fifteen_periods_and_wait_for_their_cooldown() {
    let quiet = [
        "service.web.instances=4",
        "service.web.autoscale.period=10s",
        "operation.work.flow=[{cpu='500ms'}]",
        "arrivals.rate=3/s",
        "arrivals.stages=[{for='160s', to='3/s'}, {for='0s', to='1/s'}]",
    ];
    let held = scaled(&quiet);
    assert_eq!(first(&held, 3.0), Some(150), "1.5 cores at 70 %");
    assert_eq!(first(&held, 1.0), Some(450));
    let held = scaled(&[&quiet[..], &["service.web.autoscale.cooldown_in=0s"]].concat());
    assert_eq!(first(&held, 1.0), Some(180), "at 170 s, when it has finished what it had");
    let held = scaled(&[&quiet[..], &["service.web.autoscale.min=2"]].concat());
    assert_eq!((first(&held, 2.0), first(&held, 1.0)), (Some(450), None));
}

#[test]
fn a_deploy_of_ecs_suspends_removals() {
    // 1.5 cores at 70 % are three instances: one of four is removed at 150 s.
    let removed = |at: &str| {
        let text = format!("{WEB}[deploy.v2]\nservice = \"web\"\nat = \"{at}\"\n");
        let sets = [
            "operation.work.flow=[{cpu='500ms'}]",
            "service.web.autoscale={min=1, max=4, period='10s'}",
            "service.web.instances=4",
            "arrivals.rate=3/s",
            "run.duration=260s",
            "run.window=10s",
        ];
        first(&run(&text, &sets).held("service.web"), 3.0)
    };
    assert_eq!(removed("20s"), Some(150), "new ones are there at 80 s");
    // From 140 s to 200 s nothing is removed; the first look after it does, without a cooldown.
    assert_eq!(removed("140s"), Some(210));
}

#[test]
fn a_gone_user_leaves_the_queue_where_the_service_says_so() {
    const POOL: &str = r#"
[client]
patience = "100ms"
[service.web]
[pool.pg]
service = "web"
database = "main"
size = 1
[database.main]
[operation.work]
share = 1
flow = [{ query = { pool = "pg", read = "1s" } }]
"#;
    let reads = |sets: &[&str]| {
        let ran = run(POOL, &[THREE, sets].concat());
        assert_eq!(ran.outcome.requests.failed[Failure::GaveUp as usize], 3);
        ran.station("database.main").counters[Counter::Reads as usize]
    };
    assert_eq!(reads(&[]), 3, "what waits is served for nobody");
    assert_eq!(reads(&["service.web.cancel_waiting=true"]), 1);
}

#[test]
fn target_tracking_removes_below_its_low_threshold() {
    // Four instances at three quarters of their target: three would do.
    let at_last = |low: &str| {
        let scaling = format!(
            "service.web.autoscale={{min=1, max=4, target='30%', policy={{target-tracking={{{low}}}}}}}"
        );
        let held = scaled(&[&scaling, "service.web.instances=4", "run.duration=1200s"]);
        (first(&held, 3.0), held[119])
    };
    assert_eq!(at_last(""), (Some(910), 3.0), "fifteen minutes below 27 %");
    assert_eq!(at_last("low='70%'"), (None, 4.0), "an EC2 group removes below 21 %");
    assert_eq!(at_last("scale_in=false"), (None, 4.0));
}

#[test]
fn an_hpa_looks_every_15_s_and_goes_back_after_its_stabilisation() {
    let hpa = "service.web.autoscale={min=1, max=4, start='10s', policy='hpa'}";
    let at = |sets: &[&str]| first(&scaled(&[&[hpa], sets].concat()), 2.0);
    // 0.9 / 0.7 of one pod is two, at the first look.
    assert_eq!(at(&[]), Some(30));
    assert_eq!(at(&["service.web.autoscale.period=60s"]), Some(70));
    assert_eq!(at(&["service.web.autoscale.policy=target-tracking"]), Some(190));
    assert_eq!(at(&["service.web.autoscale.target=85%"]), None, "within a tenth of the target");
    // Two cores of which one loop uses one; pods request a quarter.
    assert_eq!(at(&["service.web.cores=2"]), None);
    assert_eq!(at(&["service.web.cores=2", "service.web.autoscale.cpu_request=1"]), Some(30));
    let falls = [
        "arrivals.stages=[{for='100s', to='1/s'}, {for='0s', to='0.1/s'}]",
        "service.web.autoscale.policy={hpa={down={stabilisation='60s'}}}",
    ];
    let held = scaled(&[&[hpa][..], &falls].concat());
    let back = |held: &[f64]| held.iter().rposition(|held| *held > 1.0).map(|window| window * 10);
    let quick = back(&held).expect("two for a while");
    let held = scaled(&[hpa, falls[0]]);
    let slow = back(&held).expect("two for a while");
    assert!((220..=260).contains(&(slow - quick)), "{quick} and {slow}");
}

#[test]
fn an_hpa_grows_as_its_behavior_says() {
    let hpa = "service.web.autoscale={min=1, max=4, start='10s', target='10%', policy='hpa'}";
    let grows = |to: f64, up: &str| {
        let up = format!("service.web.autoscale.policy={{hpa={{up={{{up}}}}}}}");
        first(&scaled(&[hpa, &up]), to)
    };
    // 90 % of one pod are nine: four at the first look, one and four more being allowed.
    assert_eq!(grows(4.0, ""), Some(30));
    assert_eq!(grows(4.0, "stabilisation='60s'"), Some(90));
    assert_eq!(grows(2.0, "select='disabled'"), None);
    let min = grows(4.0, "select='min'");
    assert!(min > Some(30), "first twice as many: {min:?}");
    let share = "policies=[{percent='100%', period='15s'}]";
    assert_eq!((grows(2.0, share), grows(4.0, share)), (Some(30), min));
    let one = "policies=[{pods=1, period='60s'}]";
    assert_eq!((grows(2.0, one), grows(3.0, one)), (Some(30), Some(90)));
    // The first look sees 12.6 s of 15, the second 90 %: 1.059 of the target.
    let near = ["service.web.autoscale.target=85%"];
    let tolerance = "service.web.autoscale.policy={hpa={up={tolerance='5%'}}}";
    assert_eq!(first(&scaled(&[hpa, near[0]]), 2.0), None);
    assert_eq!(first(&scaled(&[hpa, near[0], tolerance]), 2.0), Some(40));
}

#[test]
fn an_hpa_shrinks_as_its_behavior_says() {
    let hpa = "service.web.autoscale={min=1, max=4, target='90%', policy='hpa'}";
    let held = |down: &str| {
        let down = format!("service.web.autoscale.policy={{hpa={{down={{{down}}}}}}}");
        scaled(&[hpa, &down, "service.web.instances=4", "run.duration=300s"])
    };
    let falls = |down: &str, to: f64| held(down).iter().position(|held| *held <= to);
    // 22 % of four pods are one, at the first look.
    let at_once = "stabilisation='0s'";
    assert_eq!(falls(at_once, 1.0), Some(2));
    // The four that there are at the first look, after 15 s, count as asked for then, until that of 120 s.
    assert_eq!(falls("stabilisation='100s'", 1.0), Some(13));
    let one = "stabilisation='0s', policies=[{pods=1, period='60s'}]";
    assert_eq!((falls(one, 3.0), falls(one, 2.0), falls(one, 1.0)), (Some(2), Some(8), Some(14)));
    let half = "stabilisation='0s', policies=[{percent='50%', period='60s'}]";
    assert_eq!((falls(half, 2.0), falls(half, 1.0)), (Some(2), Some(8)));
    assert_eq!(falls("stabilisation='0s', select='disabled'", 3.0), None);
    assert_eq!(falls("stabilisation='0s', tolerance='80%'", 3.0), None);
}

#[test]
fn an_hpa_takes_pods_without_metrics_to_be_busy_before_it_shrinks() {
    // Two of four are down from 0.5 to 40.5 s, and what they are sent is lost. The others are at 17 % in the first
    // 15 s (six requests of 0.9 s in 32 s of pods), of a target of 60 %: that were one pod. With all that the two have
    // asked for they use (2 x 0.17 + 2) / 4 = 58.5 %, which is near enough. From the third look on all are known.
    let down = [
        "service.web.autoscale={min=1, max=4, target='60%', policy={hpa={down={stabilisation='0s'}}}}",
        "service.web.instances=4",
        "run.duration=100s",
        "fault.f={target='service.web', what='stop', at='500ms', for='40s', count=2}",
    ];
    let held = scaled(&down);
    assert_eq!((&held[1..4], held[5]), (&[2.0; 3][..], 1.0), "{held:?}");
}

#[test]
fn steps_add_and_remove_what_they_say() {
    let steps = "service.web.autoscale={min=1, max=4, start='10s', policy={steps={points=2, out=[{at='80%', by=3}], back=[{at='30%', by=1}]}}}";
    let at = |many: f64, sets: &[&str]| first(&scaled(&[&[steps], sets].concat()), many);
    assert_eq!(at(4.0, &[]), Some(130), "two minutes, and a start");
    assert_eq!(at(4.0, &["service.web.autoscale.policy.steps.points=1"]), Some(70));
    assert_eq!(at(4.0, &["service.web.autoscale.policy.steps.out=[{at='95%', by=3}]"]), None);
    assert_eq!(at(3.0, &["service.web.autoscale.policy.steps.out=[{at='80%', by=2}]"]), Some(130));
    // Four at 22 %: one less after the cooldown of the addition.
    let back = scaled(&[steps]);
    assert!(back.contains(&3.0));
    let stays = scaled(&[steps, "service.web.autoscale.policy.steps.back=[]"]);
    assert!(!stays.contains(&3.0));
}

#[test]
fn an_autoscaler_may_follow_requests() {
    let quiet = ["operation.work.flow=[{cpu='1ms'}]"];
    let at = |sets: &[&str]| first(&scaled(&[&quiet[..], sets].concat()), 2.0);
    assert_eq!(at(&[]), None);
    // 1/s is twice 30/min.
    assert_eq!(at(&["service.web.autoscale.metric={requests='30/min'}"]), Some(240));
    assert_eq!(at(&["service.web.autoscale.metric={requests='90/min'}"]), None);
}

#[test]
fn a_schedule_moves_the_bounds() {
    let quiet = "operation.work.flow=[{cpu='1ms'}]";
    let at = |schedule: &str| {
        let schedule = format!("service.web.autoscale.schedule=[{schedule}]");
        scaled(&[quiet, &schedule])
    };
    assert_eq!(first(&at("{at='100s', min=3}"), 3.0), Some(160), "a start later");
    assert_eq!(first(&at("{at='200s', min=3}"), 3.0), Some(260));
    let both = at("{at='100s', min=3}, {at='300s', min=1, max=2}");
    // The third finishes the request that comes at 300 s.
    assert_eq!(first(&both, 2.0), Some(310));
}

#[test]
fn an_instance_is_slower_when_it_is_cold() {
    let fault = "fault.f={target='service.web', what='stop', at='500ms', for='100ms'}";
    let slowest = |sets: &[&str]| web(&[&[fault], sets].concat()).longest();
    assert_eq!(slowest(&[]), ms(10));
    // Who comes at 1 s meets one that is 0.4 s old: 3 - 2 x 0.4 / 4 times as long.
    assert_eq!(slowest(&["service.web.warm_up={times=3, over='4s'}"]), ms(28));
    assert_eq!(slowest(&["service.web.warm_up={times=2, over='800ms'}"]), ms(15));
}

#[test]
fn a_dead_instance_is_replaced_where_somebody_does() {
    let lost = |sets: &[&str]| {
        let fault = "fault.f={target='service.web', what='stop', at='500ms', count=1}";
        web(&[&[fault], sets].concat()).failed(Failure::InstanceLost)
    };
    assert_eq!(lost(&[]), 10);
    assert_eq!(lost(&["service.web.replace=3s"]), 3);
}

/// Two flows side by side, each in a thread of its own.
fn two_threads(runtime: &str, inner: &str, sets: &[&str]) -> loadbearing::units::Duration {
    let text = format!(
        "[service.web]\nruntime = '{runtime}'\ncores = 4\n[operation.page]\nshare = 1\n\
         flow = [{{ parallel = [[{{ blocking = [{inner}] }}], [{{ blocking = [{inner}] }}]] }}]\n"
    );
    run(&text, sets).each()
}

#[test]
fn def_endpoints_wait_in_threads_and_compute_under_a_lock() {
    let one = &["service.web.threads=1"];
    for runtime in ["uvicorn", "node"] {
        assert_eq!(two_threads(runtime, "{ wait = '10ms' }", &[]), ms(10));
        assert_eq!(two_threads(runtime, "{ wait = '10ms' }", one), ms(20));
    }
    // Four cores, one lock.
    assert_eq!(two_threads("uvicorn", "{ cpu = '12ms' }", &[]), ms(24));
    // Each waits 10 ms and computes 12 ms, in turns of 5 ms: the second to begin ends at 34 ms.
    let mixed = "{ wait = '10ms' }, { cpu = '12ms' }";
    assert_eq!(two_threads("uvicorn", mixed, &[]), ms(34));
    // Of three each has its turn: the last computes from 10 ms to 14 ms, between two that are not through, and
    // then waits.
    let three = "operation.page.flow=[{parallel=[[{blocking=[{cpu='12ms'}]}], [{blocking=[{cpu='12ms'}]}], \
                 [{blocking=[{cpu='4ms'}, {wait='20ms'}]}]]}]";
    assert_eq!(two_threads("uvicorn", "{ wait = '10ms' }", &[three]), ms(34));
}

#[test]
fn uvicorn_turns_away_what_is_too_much_at_once() {
    let text = "[service.web]\nruntime = 'uvicorn'\n[operation.page]\nshare = 1\n\
                flow = [{ wait = '3500ms' }]\n";
    let refused = |limit: &str| {
        let ran = run(text, &[&format!("service.web.runtime={{uvicorn={{{limit}}}}}")]);
        ran.failed(loadbearing::failure::Failure::Guarded)
    };
    assert_eq!(refused(""), 0);
    // Each of four overlaps with the three before it. A request counts itself: with 2, one is served.
    assert_eq!(refused("limit_concurrency=2"), 7);
    assert_eq!(refused("limit_concurrency=3"), 4);
    assert_eq!(refused("limit_concurrency=5"), 0);
    // A connection that a balancer keeps open counts, idle as it is, for 5 s after its request.
    let kept = |limit: u32, sets: &[&str]| {
        let text = format!(
            "[service.web]\nruntime.uvicorn.limit_concurrency = {limit}\n[balancer.lb]\n\
             service = 'web'\nkind = 'alb'\nnodes = 1\nhop = '0ms'\nchecks = {{ interval = '1h' }}\n\
             [operation.page]\nshare = 1\nflow = [{{ parallel = [[{{ wait = '10ms' }}]] }}]\n"
        );
        // Three at once open three connections; one of those is used a second later.
        let burst = "arrivals={process='even', rate='1_000/s', users=9, stages=[{for='3500us', to='1_000/s'}, {for='0s', to='0/s'}, {for='1s', to='0/s'}, {for='0s', to='1/s'}]}";
        run(&text, &[&[burst, "run.duration=6s"], sets].concat())
            .failed(loadbearing::failure::Failure::Guarded)
    };
    // With 4: three at once and, later, one beside two idle ones are let in.
    assert_eq!(kept(4, &[]), 0);
    // With 3 the third at once is one too many, and later each finds two that are idle.
    assert!(kept(3, &[]) > 1, "{}", kept(3, &[]));
    // Each of two workers counts its own: of six at once three, and later one beside two that are idle.
    let six = "arrivals={process='even', rate='1_000/s', users=9, stages=[{for='6500us', to='1_000/s'}, {for='0s', to='0/s'}, {for='1s', to='0/s'}, {for='0s', to='1/s'}]}";
    let two = ["service.web.workers=2", "service.web.hand_out=each-in-turn", six];
    assert_eq!(kept(4, &two), 0);
    assert!(kept(3, &two) > 1, "{}", kept(3, &two));
}

#[test]
fn an_hpa_does_not_count_pods_that_have_just_become_ready() {
    let hpa = "service.web.autoscale={min=1, max=9, start='10s', target='30%', policy='hpa'}";
    let at = |sets: &[&str]| first(&scaled(&[&[hpa], sets].concat()), 4.0);
    // 90 % of one pod are three. Five seconds after two of them have come, the three show 54 %: of all
    // three that would be six, but of the two that are new nothing is known: 1.8 x 1 / 3 is enough.
    assert_eq!(at(&[]), None);
    // Use is known in whole per cent: 7.9 % are the seven that are wanted, and 8 % are more than a tenth too many.
    let share = |work: &str| {
        let hpa = "service.web.autoscale={min=1, max=2, start='10s', target='7%', policy='hpa'}";
        let flow = format!("operation.work.flow=[{{cpu='{work}'}}]");
        let ran = scaled(&[hpa, "arrivals.rate=10/s", &flow]);
        ran.iter().any(|held| *held > 1.0)
    };
    assert_eq!((share("7900us"), share("8020us")), (false, true));
    // Half a minute of a sample of a second counts them at once, and so does no initialisation.
    for early in ["sample='1s'", "initialisation='1s'"] {
        let sets = format!("service.web.autoscale.policy={{hpa={{{early}}}}}");
        let held = scaled(&[hpa, &sets]);
        assert!(held.iter().any(|held| *held > 4.0), "{early}: {held:?}");
    }
}

#[test]
fn memory_may_be_followed_alone_or_beside_cpu() {
    let busy = [
        "operation.work.flow=[{wait='5s'}]",
        "service.web.memory={machine='1GB', base='100MB', per_request='50MB'}",
        "arrivals.users=100",
    ];
    let at = |sets: &[&str]| first(&scaled(&[&busy[..], sets].concat()), 2.0);
    // Five requests at a time and the process take 35 %.
    assert_eq!(at(&["service.web.autoscale.metric={memory='30%'}"]), Some(240));
    assert_eq!(at(&["service.web.autoscale.metric={memory='70%'}"]), None);
    assert_eq!(at(&[]), None, "CPU is idle");
    assert_eq!(at(&["service.web.autoscale.also=[{memory='30%'}]"]), Some(240));
    // Nothing is removed that one of them still wants.
    let two = ["service.web.instances=2", "service.web.autoscale.period=10s"];
    let one = |also: &str| first(&scaled(&[&busy[..], &two, &[also]].concat()), 1.0);
    assert!(one("service.web.autoscale.also=[]").is_some());
    assert_eq!(one("service.web.autoscale.also=[{memory='23%'}]"), None);
}
