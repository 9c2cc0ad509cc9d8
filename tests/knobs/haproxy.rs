//! HAProxy: the queue before its servers, connecting once more, connections that it keeps.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::balancer::TWO;
use crate::support::{Ran, ms, run};

/// Ten requests, a millisecond apart.
const BURST: &str = "arrivals={process='even', rate='1_000/s', users=10, stages=[{for='10500us', to='1_000/s'}, {for='0s', to='0/s'}]}";
const KIND: &str = "balancer.lb.kind=haproxy";

fn haproxy(sets: &[&str]) -> Ran {
    run(TWO, &[&[KIND], sets].concat())
}
/// The same for one target, whose requests take 100 ms.
fn one(sets: &[&str]) -> Ran {
    let flow = "operation.work.flow=[{wait='100ms'}]";
    haproxy(&[&[BURST, flow, "service.web.instances=1"], sets].concat())
}

#[test]
fn who_finds_all_targets_full_waits_in_its_queue() {
    assert_eq!(one(&[]).each(), ms(100));
    // Two at a time: those of 1 and 2 ms are followed by pairs 100 ms apart; the last goes at 402 ms.
    let two = one(&["balancer.lb.max_conns=2"]);
    assert_eq!((two.ok(), two.longest()), (10, ms(402 + 100 - 10)));
    assert_eq!(two.station("balancer.lb").waiting_peak, 8);
    // It waits for as long as connecting may take: then 503.
    let waits = |limit: &str| one(&["balancer.lb.max_conns=2", limit]);
    let short = waits("balancer.lb.connect_timeout=150ms");
    assert_eq!((short.ok(), short.failed(Failure::Overflow), short.each_failed()), (4, 6, ms(150)));
    let long = waits("balancer.lb.queue.timeout=250ms");
    assert_eq!((long.ok(), long.each_failed()), (6, ms(250)));
    // Nobody is there at all: that is known at once.
    let gone = "fault.f={target='service.web', what='stop', at='0s', for='60s'}";
    let checks = "balancer.lb.checks={interval='1s'}";
    let nobody = haproxy(&[gone, checks, "balancer.lb.max_conns=1", "service.web.instances=1"]);
    assert!(nobody.failed(Failure::NoInstance) >= 6, "{:?}", nobody.outcome.requests);
    // nginx has such a queue where its subscription is bought; it answers 502.
    let nginx = ["balancer.lb.kind=nginx", "balancer.lb.max_conns=2"];
    assert_eq!(one(&nginx).failed(Failure::NoInstance), 8);
    let some = one(&[&nginx[..], &["balancer.lb.queue.most=3"]].concat());
    assert_eq!((some.ok(), some.failed(Failure::Overflow)), (5, 5));
}

#[test]
fn a_user_who_has_gone_leaves_the_queue() {
    let sets = ["balancer.lb.max_conns=2", "client.patience=150ms"];
    let served =
        |more: &str| one(&[&sets[..], &[more]].concat()).count("service.web", Counter::Arrivals);
    // Two are served to their end; two more begin at 101 and 102 ms; the others have gone by 160 ms.
    assert_eq!(served("balancer.lb.hop=0ms"), 4);
    assert_eq!(served("balancer.lb.queue.leaves=false"), 10);
}

#[test]
fn who_is_kept_to_a_target_waits_for_that_one() {
    let slow = "operation.work.flow=[{wait='100ms'}]";
    let ran = |sets: &[&str]| haproxy(&[&[BURST, slow, "balancer.lb.max_conns=1"], sets].concat());
    // By turns each of two has five, one after another: the last comes at 10 ms and goes at 402 ms.
    assert_eq!(ran(&[]).longest(), ms(402 + 100 - 10));
    // One user, whom a hash or a cookie sends to one of the two: ten one after another.
    let alone = BURST.replace("users=10", "users=1");
    for policy in ["hash", "consistent-hash", "maglev", "sticky"] {
        let policy = format!("balancer.lb.policy={policy}");
        let kept = ran(&[&alone, &policy]);
        assert_eq!((kept.ok(), kept.longest()), (10, ms(901 + 100 - 10)), "{policy}");
        let few = ran(&[&alone, &policy, "balancer.lb.queue.most=4"]);
        assert_eq!((few.ok(), few.failed(Failure::Overflow)), (5, 5), "{policy}");
    }
    // Who has the fewest may let some wait for each, if that is limited.
    let least = "balancer.lb.policy=least-outstanding";
    assert_eq!(ran(&[least, "balancer.lb.queue.most=1"]).ok(), 10);
}

#[test]
fn the_limit_of_a_target_grows_with_the_requests_that_there_are() {
    let at_once = |sets: &[&str]| {
        let ran = one(&[&["balancer.lb.max_conns=4"], sets].concat());
        (ran.longest(), ran.station("balancer.lb").waiting_peak)
    };
    // Four at a time: the last two go at 201 and 202 ms.
    assert_eq!(at_once(&[]), (ms(202 + 100 - 10), 6));
    // With fewer than twenty a target has max(1, n x 4 / 20). When the tenth makes two of it, others wait
    // before it; when the first is done there are nine: one after another.
    let ramp = |full: u32| format!("balancer.lb.ramp={{least=1, full={full}}}");
    assert_eq!(at_once(&[&ramp(20)]), (ms(901 + 100 - 10), 9));
    // With five: when the first is done nine are there, and four go; four follow, and the last at 301 ms.
    assert_eq!(at_once(&[&ramp(5)]), (ms(301 + 100 - 10), 9));
    assert_eq!(at_once(&["balancer.lb.ramp={least=3, full=1_000}"]), (ms(301 + 100 - 10), 7));
}

#[test]
fn the_limit_of_a_target_that_is_back_grows() {
    // Fifty a second of 100 ms each, for a target that takes ten at a time. It dies at 2.9 s, and is back
    // when its checks have seen it twice.
    let sets = [
        "arrivals={process='even', rate='50/s', users=10}",
        "operation.work.flow=[{wait='100ms'}]",
        "service.web.instances=1",
        "fault.f={target='service.web', what='stop', at='2900ms', for='2s'}",
        "balancer.lb.checks={interval='500ms', unhealthy=1}",
        "balancer.lb.max_conns=10",
        "balancer.lb.queue.timeout=60s",
        "balancer.lb.retries=0",
        "run.duration=40s",
    ];
    let peak =
        |more: &str| haproxy(&[&sets[..], &[more]].concat()).station("balancer.lb").waiting_peak;
    assert_eq!(peak("balancer.lb.hop=0ms"), 0);
    // Over 20 s it takes one, two, ... at a time: with less than five more come than go.
    let slow = peak("balancer.lb.slow_start=20s");
    assert!((150..450).contains(&slow), "{slow}");
}

#[test]
fn connecting_is_tried_again_after_a_second() {
    // The only target is away from 2.9 s to 4.5 s: the request of 3 s is refused then and at 4 s, and
    // served at 5 s; that of 4 s at 5 s.
    let away = "fault.f={target='service.web', what='stop', at='2900ms', for='1600ms'}";
    let alone = ["service.web.instances=1", away, "balancer.lb.hop=0ms"];
    let ran = |sets: &[&str]| haproxy(&[&alone[..], sets].concat());
    let usual = ran(&[]);
    assert_eq!((usual.ok(), usual.longest()), (10, ms(2_010)));
    assert_eq!(usual.count("service.web", Counter::Arrivals), 10);
    let once = ran(&["balancer.lb.retries=1"]);
    assert_eq!((once.ok(), once.each_failed()), (9, ms(1_000)));
    assert_eq!(ran(&["balancer.lb.retries=0"]).ok(), 8);
    // Not for longer than connecting may take.
    let quick = ran(&["balancer.lb.connect_timeout=400ms"]);
    assert_eq!((quick.ok(), quick.each_failed()), (9, ms(1_200)));
    // The answer is 503.
    let again = "client.retry.fixed={on=[503], attempts=2, delay='1ms', jitter='0%'}";
    assert_eq!(ran(&["balancer.lb.retries=0", again]).outcome.attempts.sent, 12);
}

#[test]
fn redispatch_sends_it_to_another_target() {
    // One of two is away: every other request comes to it.
    let away = "fault.f={target='service.web', what='stop', at='500ms', for='60s', count=1}";
    let ran = |sets: &[&str]| haproxy(&[&[away, "balancer.lb.hop=0ms"], sets].concat());
    let same = ran(&[]);
    assert_eq!((same.ok(), same.each_failed()), (5, ms(3_000)));
    let other = ran(&["balancer.lb.redispatch=true"]);
    assert_eq!((other.ok(), other.longest()), (10, ms(10)));
    // Who is kept to a target goes elsewhere with the last attempt only.
    let users = "arrivals.users=100";
    let stuck = ran(&["balancer.lb.redispatch=true", "balancer.lb.policy=hash", users]);
    assert_eq!((stuck.ok(), stuck.shortest(), stuck.longest()), (10, ms(10), ms(2_010)));
    assert!(ran(&["balancer.lb.policy=hash", users]).ok() < 10);
    // Checks see it after three of two seconds each, and then nobody comes to it any more.
    let checked = ran(&["balancer.lb.checks={}", "run.duration=60500ms"]);
    assert!(
        (2..=4).contains(&checked.outcome.requests.failed_all()),
        "{:?}",
        checked.outcome.requests
    );
}

#[test]
fn checks_of_haproxy_are_two_seconds_apart() {
    // Dead from 2.9 s on: three failed checks, at most 2 s + 2 x 2 s later. The user comes each second
    // and is tried for three seconds.
    let away = "fault.f={target='service.web', what='stop', at='2900ms', for='10s'}";
    let failed = |checks: &str| {
        let ran = haproxy(&[away, "run.duration=30s", "balancer.lb.retries=0", checks]);
        (ran.failed(Failure::InstanceLost), ran.failed(Failure::NoInstance))
    };
    let (unseen, known) = failed("balancer.lb.checks={}");
    assert!((4..=6).contains(&unseen) && known >= 5, "{unseen} {known}");
    // Back after two that succeed.
    assert!((10..=14).contains(&(unseen + known)), "{unseen} {known}");
    let (unseen, _) = failed("balancer.lb.checks={unhealthy=1}");
    assert!((0..=2).contains(&unseen), "{unseen}");
    let (unseen, known) = failed("balancer.lb.checks={healthy=5}");
    assert!(unseen + known >= 17, "{unseen} {known}");
}

#[test]
fn idle_connections_that_were_not_needed_are_closed_by_halves() {
    // Eight at once at 1 s, then one a second.
    let burst = "arrivals={process='even', rate='8_000/s', users=8, stages=[{for='1050us', to='8_000/s'}, {for='0s', to='0/s'}]}";
    let again = "arrivals={process='even', rate='8_000/s', users=8, stages=[{for='1050us', to='8_000/s'}, {for='0s', to='0/s'}, {for='12s', to='0/s'}, {for='0s', to='8_000/s'}, {for='1050us', to='8_000/s'}, {for='0s', to='0/s'}]}";
    let opened = |sets: &[&str]| {
        let flow = "operation.work.flow=[{wait='100ms'}]";
        let base =
            [flow, "service.web.instances=1", "service.web.keep_alive=1h", "run.duration=20s"];
        haproxy(&[&base[..], sets].concat()).count("balancer.lb", Counter::Opened)
    };
    assert_eq!(opened(&[burst]), 8);
    // At 5 s it has needed eight; at 10 s none, but expects (8 + 8) / 2: nothing is closed before 15 s.
    assert_eq!(opened(&[again]), 8);
    // Each second, from 1 s on, it expects 8, 8, 4, 2, 1 and 0, and closes half of what is beyond, rounded up: none,
    // none, 2 of 8, 2 of 6, 2 of 4, 1 of 2 and the last.
    let left = [
        ("1500ms", 8),
        ("2500ms", 8),
        ("3500ms", 6),
        ("4500ms", 4),
        ("5500ms", 2),
        ("6500ms", 1),
        ("7500ms", 0),
    ];
    for (pause, left) in left {
        let again = again.replace("12s", pause);
        assert_eq!(opened(&[&again, "balancer.lb.purge=1s"]), 8 + 8 - left, "after {pause}");
    }
}

#[test]
fn the_first_request_over_a_connection_gets_one_of_its_own() {
    // Two requests each of five users, on connections of theirs.
    let users = "arrivals={process='even', rate='1/s', users=5}";
    let opened = |sets: &[&str]| {
        let base =
            [users, "client.connection={}", "service.web.instances=1", "service.web.keep_alive=1h"];
        haproxy(&[&base[..], sets].concat()).count("balancer.lb", Counter::Opened)
    };
    let first = opened(&["balancer.lb.purge=1h", "balancer.lb.reuse=safe"]);
    let always = opened(&["balancer.lb.purge=1h", "balancer.lb.reuse=always"]);
    assert!(first >= 4 && always == 1, "{first} {always}");
    // Nobody has another user's; or the first request has one that has been used again.
    let never = opened(&["balancer.lb.purge=1h", "balancer.lb.reuse=never"]);
    let aggressive = opened(&["balancer.lb.purge=1h", "balancer.lb.reuse=aggressive"]);
    assert!(never == first && (always..first).contains(&aggressive), "{never} {aggressive}");
    // Of users who come once none sends a second request, so no connection has been used again.
    let once = ["arrivals={process='even', rate='1/s', users=1_000_000}", "balancer.lb.purge=1h"];
    assert_eq!(opened(&[&once[..], &["balancer.lb.reuse=aggressive"]].concat()), 10);
    let free = ["client.connection={keep_alive='1ms'}", "balancer.lb.purge=1h"];
    let each = |reuse: &str| opened(&[&free[..], &[reuse]].concat());
    // Where users open one for each request, all are first: those of their own are never found again.
    assert_eq!((each("balancer.lb.reuse=never"), each("balancer.lb.reuse=always")), (10, 1));
}

#[test]
fn hashes_spread_users() {
    let busiest = |policy: &str| {
        let sets = [
            KIND,
            "arrivals={process='even', rate='100/s', users=1_000}",
            "service.web.instances=4",
        ];
        let policy = format!("balancer.lb.policy={policy}");
        let ran = run(TWO, &[&sets[..], &[&policy]].concat());
        let (busiest, mean) = ran.station("service.web").worker_busiest.expect("it works");
        busiest / mean
    };
    assert!(busiest("hash") < 1.3);
}

#[test]
fn nothing_is_lost_whatever_happens_to_its_targets() {
    let base = [
        KIND,
        "run.duration=40s",
        "arrivals={process='poisson', rate='150/s', users=40}",
        "operation.work.flow=[{cpu='2ms'}, {wait='60ms'}]",
        "service.web.instances=4",
        "balancer.lb.max_conns=3",
        "balancer.lb.checks={}",
        "client.patience=900ms",
        "service.web.replace=3s",
        "fault.a={target='service.web', what='stop', at='5s', for='9s', count=2}",
        "fault.b={target='service.web', what='cut', at='20s', for='4s'}",
        "fault.c={target='service.web', what='restart', at='30s', count=1}",
    ];
    let policies = ["round-robin", "least-outstanding", "two-choices", "hash", "sticky", "random"];
    let kinds = ["haproxy", "nginx", "plain"];
    for (number, policy) in policies.into_iter().enumerate() {
        let policy = format!("balancer.lb.policy={policy}");
        let kind = format!("balancer.lb.kind={}", kinds[number % 3]);
        for more in [
            &["balancer.lb.hop=0ms", "balancer.lb.redispatch=true", "balancer.lb.queue.most=5"][..],
            &["balancer.lb.nodes=2", "balancer.lb.slow_start=5s", "balancer.lb.queue.leaves=false"],
            &[
                "balancer.lb.ramp={least=1, full=30}",
                "client.connection={}",
                "balancer.lb.purge=1s",
            ],
            &["balancer.lb.per=connection", "balancer.lb.queue.timeout=200ms", kind.as_str()],
        ] {
            let ran = run(TWO, &[&base[..], &[&policy], more].concat());
            assert!(ran.ok() > 500, "{policy} {more:?} {:?}", ran.outcome.requests);
        }
    }
}
