//! Deploys and zones: who is there while instances are replaced, and what is lost.

use loadbearing::failure::Failure;
use loadbearing::run::{Counter, DeployMark};
use loadbearing::units::{Duration, Time};

use crate::support::{Ran, ms, run};

/// Four instances, a request every 100 ms, each on its way for a second.
const FLEET: &str = r#"
[arrivals]
rate = "10/s"
process = "even"
users = 1
[service.web]
instances = 4
[operation.page]
share = 1
flow = [{ wait = "1s" }]
"#;

fn deploy(how: &str, more: &str, sets: &[&str]) -> Ran {
    deploy_of("", how, more, sets)
}

/// A deploy of a fleet with more around it.
fn deploy_of(around: &str, how: &str, more: &str, sets: &[&str]) -> Ran {
    let set = format!("deploy.new={{service='web', at='2s', start='2s', how={how}{more}}}");
    let sets = [&[set.as_str(), "run.duration=20s", "run.window=1s"], sets].concat();
    run(&format!("{FLEET}{around}"), &sets)
}

fn from_to(mark: DeployMark) -> (u64, Option<u64>, u32) {
    let at = |time: Time| time.since(Time::ZERO).0 / Duration::secs(1).0;
    (at(mark.from), mark.until.map(at), mark.units)
}

/// Instances that run in each of the first ten seconds.
fn running(ran: &Ran) -> Vec<f64> {
    ran.held("service.web").into_iter().take(10).collect()
}

#[test]
fn a_rolling_deploy_stays_within_its_bounds() {
    // Nobody stays behind: whoever is told to end takes nothing more and has nothing.
    let idle = ["operation.page.flow=[{cpu='0ms'}]"];
    let held = |how: &str| {
        let ran = deploy(how, "", &idle);
        assert_eq!(ran.count("service.web", Counter::Opened), 4);
        assert_eq!(ran.count("service.web", Counter::Closed), 4);
        (running(&ran), ran.station("service.web").held_peak, from_to(ran.outcome.deploys[0]))
    };
    let four = vec![4.0; 10];
    // ECS: four more, then the four old ones go.
    assert_eq!(held("'ecs'"), (four.clone(), 8, (2, Some(4), 4)));
    // Half may be missing and half as many be there besides: two go and four come at once, ...
    let (fewer, _, mark) = held("{ecs={min_healthy='50%', max_extra='50%'}}");
    assert_eq!((fewer, mark), (vec![4., 4., 2., 2., 4., 4., 4., 4., 4., 4.], (2, Some(4), 4)));
    // ... or two and two.
    let (fewer, most, _) = held("{ecs={min_healthy='50%', max_extra='0%'}}");
    assert_eq!((fewer, most), (vec![4., 4., 2., 2., 2., 2., 4., 4., 4., 4.], 4));
    // Kubernetes: one more and one fewer than four.
    let (fewer, _, mark) = held("'kubernetes'");
    assert_eq!((fewer, mark), (vec![4., 4., 3., 3., 3., 3., 4., 4., 4., 4.], (2, Some(6), 4)));
    let (fewer, most, _) = held("{kubernetes={max_surge='0%', max_unavailable='100%'}}");
    assert_eq!((fewer, most), (vec![4., 4., 0., 0., 4., 4., 4., 4., 4., 4.], 4));
    // None more: one by one in the place of the one that is missing. All four more: nobody is missing.
    let (fewer, most, _) = held("{kubernetes={max_surge='0%'}}");
    assert_eq!((fewer, most), (vec![4., 4., 3., 3., 3., 3., 3., 3., 3., 3.], 4));
    let (fewer, most, mark) = held("{kubernetes={max_surge='100%', max_unavailable='0%'}}");
    assert_eq!((fewer, most, mark), (four.clone(), 8, (2, Some(4), 4)));
    let later = deploy("'ecs'", "", &["deploy.new.at=3s", "deploy.new.start=4s"]);
    assert_eq!(from_to(later.outcome.deploys[0]), (3, Some(7), 4));
    // Another deploy of the same service waits for its turn.
    let second = "deploy.next_one={service='web', at='3s', start='2s'}";
    let both = deploy("'ecs'", "", &[idle[0], second]);
    assert_eq!(from_to(both.outcome.deploys[1]), (4, Some(6), 4));
}

#[test]
fn what_a_process_does_when_it_is_told_decides_what_is_lost() {
    let lost = |how: &str, more: &str| {
        let ran = deploy(how, more, &[]);
        let lost = ran.failed(Failure::InstanceLost);
        assert_eq!(ran.outcome.requests.failed_all(), lost);
        (lost, ran.held("service.web"))
    };
    let at_once = "{kubernetes={heard_after='0s'}}";
    // Ten requests are under way; each instance has a quarter of them when it goes.
    let (gone, _) = lost(at_once, ", on_sigterm='exit'");
    assert!((8..=12).contains(&gone), "{gone}");
    assert_eq!(lost(at_once, ", on_sigterm='finish'").0, 0);
    // Who has not heard sends on for a second, and finds the socket closed.
    let (unheard, _) = lost("'kubernetes'", ", on_sigterm='finish'");
    assert!((8..=16).contains(&unheard), "{unheard}");
    // Cure: wait with the end until all have heard.
    assert_eq!(lost("{kubernetes={pre_stop='2s'}}", ", on_sigterm='finish'").0, 0);
    // Node itself exits, uvicorn finishes.
    assert!(lost(at_once, "").0 > 0);
    let uvicorn = deploy(at_once, "", &["service.web.runtime=uvicorn"]);
    assert_eq!(uvicorn.failed(Failure::InstanceLost), 0);
    // Who does not listen is killed in the end.
    let (gone, held) = lost(at_once, ", on_sigterm='ignore', grace='500ms'");
    assert!(gone > 0 && held[7] == 4.0, "{gone}");
    let (gone, held) = lost(at_once, ", on_sigterm='ignore', grace='10s'");
    assert!(gone == 0 && held[7] == 8.0 && held[17] == 4.0, "{held:?}");
    let (gone, _) = lost(at_once, ", on_sigterm='finish', grace='500ms'");
    assert!(gone > 0);
}

/// The fleet falls from four to one at 5.05 s. Of the ten requests that are under way then, the one that
/// stays has three.
fn removed(policy: &str, around: &str, sets: &[&str]) -> (u64, Vec<f64>) {
    let scaling = format!(
        "service.web.autoscale={{min=1, max=4, period='5050ms', start='1s', policy={{{policy}}}}}"
    );
    let sets = [&[scaling.as_str(), "run.duration=12s", "run.window=1s"], sets].concat();
    let ran = run(&format!("{FLEET}{around}"), &sets);
    (ran.outcome.requests.failed_all(), ran.held("service.web"))
}

#[test]
fn who_an_autoscaler_removes_ends_as_whoever_a_deploy_removes() {
    let hpa = |more: &str, sets: &[&str]| {
        let policy = format!("hpa={{down={{stabilisation='0s'}}, {more}}}");
        let (lost, held) = removed(&policy, "", sets);
        assert_eq!((held[4], held[11]), (4.0, 1.0));
        lost
    };
    let (exit, finish) = ("service.web.on_sigterm=exit", "service.web.on_sigterm=finish");
    // Seven are with those that end at once, and none with those that finish.
    assert_eq!(hpa("heard_after='0s'", &[]), 7, "Node exits");
    assert_eq!(hpa("heard_after='0s'", &["service.web.runtime=uvicorn"]), 0);
    assert_eq!(hpa("heard_after='0s'", &[exit]), 7);
    assert_eq!(hpa("heard_after='0s'", &[finish]), 0);
    // Of the ten that come in the next second eight are sent where nobody listens any more.
    assert_eq!(hpa("", &[exit]), 7 + 8);
    assert_eq!(hpa("", &[finish]), 8);
    // Cure: who is told after all have heard, and a request more, has nothing left.
    assert_eq!(hpa("pre_stop='2010ms'", &[exit]), 0);
    // Who does not listen is killed: after half a second four of the seven are still there.
    let ignore = "service.web.on_sigterm=ignore";
    assert_eq!(hpa("heard_after='0s'", &[ignore, "service.web.grace=500ms"]), 4);
    assert_eq!(hpa("heard_after='0s'", &[ignore, "service.web.grace=2s"]), 0);
    // A deploy tells them likewise, unless it says otherwise.
    let at_once = "{kubernetes={heard_after='0s'}}";
    let lost = |more: &str, set: &str| deploy(at_once, more, &[set]).outcome.requests.failed_all();
    assert!(lost("", exit) > 0 && lost(", on_sigterm='finish'", exit) == 0);
    assert_eq!(lost("", finish), 0);
    let killed =
        |more: &str| lost(&format!(", on_sigterm='ignore'{more}"), "service.web.grace=500ms");
    assert!(killed("") > 0 && killed(", grace='2s'") == 0);
}

#[test]
fn a_task_that_is_removed_drains_if_it_has_a_balancer() {
    let steps = "steps={points=1, out=[{at='100%', by=1}], back=[{at='50%', by=3}]}";
    // Without one it is told at once.
    assert_eq!(removed(steps, "", &[]).0, 7);
    assert_eq!(removed(steps, "", &["service.web.on_sigterm=finish"]).0, 0);
    let alb = "[balancer.front]\nservice = 'web'\nkind = 'alb'\n";
    let (lost, held) = removed(steps, alb, &[]);
    assert_eq!((lost, held[4], held[7]), (0, 4.0, 1.0), "as soon as they have nothing left");
    // After half a second four of the seven are still there.
    assert_eq!(removed(steps, alb, &["balancer.front.deregistration_delay=500ms"]).0, 4);
}

/// One of two instances is removed at 5.05 s, with five requests that end at 5.2 s, 5.4 s, ... 6 s; at 5.55 s its
/// delay is over.
#[test]
fn a_task_whose_delay_is_over_is_told_and_has_its_grace() {
    // How many are lost to their users, and how many are not ended: at the end of the run ten are under way.
    let ended = |kind: &str, how: &[&str]| {
        let around = format!("[balancer.front]\nservice = 'web'\nkind = '{kind}'\n");
        let sets = [
            "service.web.instances=2",
            "service.web.autoscale={min=1, max=2, period='5050ms', start='1s', policy={steps={points=1, \
             out=[{at='100%', by=1}], back=[{at='50%', by=1}]}}}",
            "balancer.front.deregistration_delay=500ms",
            "balancer.front.hop=0ms",
            "run.duration=12s",
        ];
        let ran = run(&format!("{FLEET}{around}"), &[&sets[..], how].concat());
        let lost = ran.outcome.requests.failed_all();
        (lost, ran.offered() - ran.count("service.web", Counter::Served))
    };
    let on = |what: &str| format!("service.web.on_sigterm={what}");
    let alb = |what: &str, grace: &str| ended("alb", &[&on(what), grace]);
    let (long, short) = ("service.web.grace=30s", "service.web.grace=300ms");
    // An ALB answers 502 for the three that are left. Who finishes ends them all the same, for nobody.
    assert_eq!(
        (alb("exit", long), alb("finish", long), alb("ignore", long)),
        ((3, 13), (3, 10), (3, 10))
    );
    // Who is killed at 5.85 s does not end the last.
    assert_eq!((alb("finish", short), alb("ignore", short)), ((3, 11), (3, 11)));
    // An NLB lets connections go on: what is under way is answered within the grace.
    let nlb = |what: &str| ended("nlb", &[&on(what), "arrivals.users=1000"]);
    assert_eq!((nlb("exit"), nlb("finish")), ((1, 11), (0, 10)));
    // A deploy has a grace of its own: of four old tasks, each with two or three requests, all are cut after
    // half a second, and those that take longer than the grace are not ended.
    let front = "[balancer.front]\nservice = 'web'\nkind = 'alb'\nderegistration_delay = '500ms'\nhop = '0ms'\n";
    let deployed = |more: &str| {
        let ran = deploy_of(front, "'ecs'", &format!(", on_sigterm='finish'{more}"), &[]);
        (
            ran.outcome.requests.failed_all(),
            ran.offered() - ran.count("service.web", Counter::Served),
        )
    };
    let (all, some) = (deployed(""), deployed(", grace='250ms'"));
    assert_eq!((all.0, all.1, some.0), (5, 10, 5));
    assert!(some.1 > 10 && some.1 < 15, "{}", some.1);
}

#[test]
fn an_old_task_drains_for_the_deregistration_delay() {
    let alb = "[balancer.front]\nservice = 'web'\nkind = 'alb'\nderegistration_delay = '500ms'\n";
    let cut = deploy_of(alb, "'ecs'", "", &[]);
    assert!(cut.failed(Failure::InstanceLost) > 0, "a second's work is not done in half of one");
    let longer = deploy_of(alb, "'ecs'", "", &["balancer.front.deregistration_delay=2s"]);
    assert_eq!(longer.outcome.requests.failed_all(), 0);
}

#[test]
fn a_blue_green_deploy_moves_everybody_at_once_and_keeps_the_old_fleet() {
    let ran = deploy("{blue-green={wait='1s', keep='2s'}}", "", &[]);
    assert_eq!(running(&ran), [4., 4., 4., 4., 8., 8., 8., 4., 4., 4.]);
    assert_eq!(from_to(ran.outcome.deploys[0]), (2, Some(5), 4));
    assert_eq!(ran.outcome.requests.failed_all(), 0);
    let kept = deploy("'blue-green'", "", &[]);
    assert_eq!(kept.held("service.web")[19], 8.0, "for an hour");
    // The memory of the new fleet is empty: what is in memory was loaded twice by each.
    let memory =
        "[cache.memory]\nkind = 'memory'\nservice = 'web'\nmax_entries = 10\n[keys.k]\ncount = 1\n";
    let misses = |at: &str| {
        let reads = ["operation.page.flow=[{cache={in='memory', keys='k'}}]", at];
        deploy_of(memory, "'blue-green'", "", &reads).count("cache.memory", Counter::Misses)
    };
    assert_eq!((misses("deploy.new.at=2s"), misses("deploy.new.at=19s")), (8, 4));
}

/// A new version that cannot start: what is left of the old one, and how it comes back.
#[test]
fn a_version_that_cannot_start_takes_what_may_be_missing_until_it_is_rolled_back() {
    let idle = ["operation.page.flow=[{cpu='0ms'}]"];
    let ran = |how: &str, more: &str| {
        let ran = deploy(how, &format!(", fails_to_start=true{more}"), &idle);
        let mark = ran.outcome.deploys[0];
        // Nobody is sent to it; of the old pod that goes Kubernetes' balancer hears a second later.
        let unheard = if how.contains("kubernetes") { 3 } else { 0 };
        assert_eq!(ran.outcome.requests.failed_all(), unheard);
        (running(&ran), from_to(mark), mark.failed)
    };
    let (four, quarter) = (vec![4.0; 10], vec![4., 4., 3., 3., 3., 3., 3., 3., 3., 3.]);
    // One of four may be missing and one be there besides: two pods fail, and it stays like that.
    assert_eq!(ran("'kubernetes'", ""), (quarter.clone(), (2, None, 2), 2));
    // After 4 s the two go, and one of the old version starts in 2 s.
    let back = ran("'kubernetes'", ", rollback_after='4s'");
    assert_eq!(back, (vec![4., 4., 3., 3., 3., 3., 3., 3., 4., 4.], (2, Some(8), 3), 2));
    // ECS with all of them healthy: four tasks fail every two seconds, and at the third it is enough.
    let (held, mark, failed) = ran("'ecs'", "");
    assert!(held == four && mark.1.is_none() && failed >= 4 * 5, "{mark:?} {failed}");
    let (held, mark, failed) = ran("{ecs={circuit_breaker=true}}", "");
    assert_eq!((held, mark, failed), (four.clone(), (2, Some(4), 4), 4));
    // One beside the four at a time: the third fails at 8 s, and is the one too many.
    let (_, mark, failed) = ran("{ecs={circuit_breaker=true, max_extra='25%'}}", "");
    assert_eq!((mark.1, failed), (Some(8), 3));
    // A fleet that is never ready is never switched to.
    let (held, mark, _) = ran("'blue-green'", "");
    assert_eq!((held, mark.1), (four.clone(), None));
    let (held, mark, _) = ran("'blue-green'", ", rollback_after='3s'");
    assert!(held == four && mark.1.is_some_and(|until| (5..=6).contains(&until)), "{mark:?}");
    // One that is over in time is not rolled back.
    let fine = deploy("'ecs'", ", rollback_after='3s'", &idle);
    assert_eq!(fine.outcome.deploys[0].undone, None);
    // One pod after another would take 8 s.
    let slow = deploy("{kubernetes={max_surge='0%'}}", ", rollback_after='3s'", &idle);
    let undone = slow.outcome.deploys[0].undone.map(|at| at.since(Time::ZERO));
    assert_eq!(undone, Some(Duration::secs(5)));
    assert_eq!(slow.held("service.web")[15], 4.0, "those that came up meanwhile are gone");
}

#[test]
fn a_pod_that_must_have_been_ready_for_a_while_counts_later() {
    let idle = ["operation.page.flow=[{cpu='0ms'}]"];
    let over = |min_ready: &str| {
        let how = format!("{{kubernetes={{max_surge='100%', max_unavailable='0%'{min_ready}}}}}");
        let ran = deploy(&how, "", &idle);
        (from_to(ran.outcome.deploys[0]).1, running(&ran))
    };
    assert_eq!(over(""), (Some(4), vec![4.0; 10]));
    // Ready at 4 s, and old ones go from 7 s on.
    let eight = vec![4., 4., 4., 4., 8., 8., 8., 4., 4., 4.];
    assert_eq!(over(", min_ready='3s'"), (Some(7), eight));
}

#[test]
fn a_deploy_empties_what_it_says_at_its_end() {
    // It begins at 2 s and is over at 4 s.
    const STORES: &str = "[cache.redis]\nrtt = '0ms'\ncommand = '0ms'\n[keys.k]\ncount = 1\n\
         [cdn.edge]\nkeys = 'k'\nedge_rtt = '0ms'\n";
    let misses = |what: &str, flow: &str, sets: &[&str]| {
        let all = ["operation.page.cdn=edge", "operation.page.flow=[{cpu='0ms'}]"];
        let flow = format!("operation.page.flow=[{flow}]");
        let edge = if what == "cdn.edge" { &all[..] } else { &[&*flow][..] };
        deploy_of(STORES, "'ecs'", "", &[edge, sets].concat()).count(what, Counter::Misses)
    };
    let look = "{cache={in='redis', keys='k'}}";
    for what in ["cache.redis", "cdn.edge"] {
        let purge = format!("deploy.new.purge=['{what}']");
        assert_eq!(misses(what, look, &[]), 1, "{what} keeps what it has");
        assert_eq!(misses(what, look, &[&purge]), 2, "{what}");
        assert_eq!(misses(what, look, &[&purge, "deploy.new.at=19s"]), 1, "not over yet");
    }
}

#[test]
fn a_zone_is_lost_with_what_stands_in_it() {
    const ZONES: &str = r#"
[region.here]
zones = 3
[arrivals]
rate = "10/s"
process = "even"
users = 1
[service.web]
region = "here"
instances = 6
replace = "3s"
[pool.pg]
service = "web"
database = "main"
[database.main]
region = "here"
replicas = 1
rtt = "0ms"
connect = "0ms"
[operation.page]
share = 1
flow = [{ query = { pool = "pg", read = "1ms" } }]
"#;
    let lost = |target: &str, zone: u32, more: &str| {
        let fault =
            format!("fault.az={{target='{target}', what='stop', at='5s', zone={zone}{more}}}");
        let more = ["run.duration=200s", "run.window=1s", fault.as_str()];
        let ran = run(ZONES, &more);
        let marks = ran.outcome.faults.clone();
        (ran, marks)
    };
    // Two of six instances, and the replica; they start again in other zones after 3 s.
    let (ran, marks) = lost("region.here", 2, "");
    assert_eq!((ran.held("service.web")[6], ran.held("service.web")[9]), (4.0, 6.0));
    assert_eq!((marks.len(), marks[0].units), (1, 2 + 1));
    assert_eq!(ran.failed(Failure::DatabaseDown), 0);
    // The primary is in the first zone: it fails over, in 90 s as RDS does.
    let (ran, marks) = lost("region.here", 1, "");
    let over = marks[1].until.expect("it ends").since(marks[1].from);
    assert_eq!((marks[0].units, marks[1].units, over), (2, 1, ms(90_000)));
    let down = ran.failed(Failure::DatabaseDown) as f64 / 900.0;
    assert!((0.9..1.1).contains(&down), "{down}");
    // The third has neither; and a zone that is whole again needs no replacement.
    assert_eq!(lost("region.here", 3, "").1[0].units, 2);
    let (ran, _) = lost("service.web", 3, ", for='1s'");
    assert_eq!((ran.held("service.web")[5], ran.held("service.web")[7]), (4.0, 6.0));
}

/// A request every 10 ms to pods that end the moment they are told to, of which their balancer hears later.
#[test]
fn a_balancer_that_tries_again_meets_processes_that_have_ended() {
    let lb = "[balancer.lb]\nservice = 'web'\nkind = 'haproxy'\n";
    let sets = ["arrivals.rate=100/s", "operation.page.flow=[{ cpu = '2ms' }]"];
    let ran = deploy_of(lb, "'kubernetes'", ", on_sigterm='exit'", &sets);
    // Until its balancer has heard, a second later, each of the four pods loses no more than its share.
    let lost = ran.offered() - ran.ok();
    assert!((1..=104).contains(&lost), "{lost} of {} are lost", ran.offered());
}

#[test]
fn each_fleet_of_a_deploy_has_bulkheads_of_its_own() {
    // Ten requests a second of 5 s each want 50 places, and a fleet has twelve. While the old one finishes what it has,
    // the new one is full as well.
    let around = "[bulkhead.b]\nlimit.fixed = 3\n";
    let sets = ["service.web.before=['bulkhead.b']", "operation.page.flow=[{ wait = '5s' }]"];
    assert_eq!(run(&format!("{FLEET}{around}"), &sets).station("bulkhead.b").busy_peak, 12.0);
    let ran = deploy_of(around, "'ecs'", ", on_sigterm='finish'", &sets);
    let peak = ran.station("bulkhead.b").busy_peak;
    assert!(peak > 18.0 && peak <= 24.0, "{peak}");
}

#[test]
fn a_timer_that_is_due_while_its_process_closes_is_not_set_again() {
    // Its callback waits behind requests when the process has answered its last one, and closes.
    let sets = [
        "arrivals.rate=60/s",
        "service.web.timers=[{ every = '30ms', flow = [{ cpu = '2ms' }] }]",
        "operation.page.flow=[{ cpu = '25ms' }]",
    ];
    let ran = deploy("'kubernetes'", ", on_sigterm='finish'", &sets);
    assert_eq!(running(&ran)[9], 4.0);
    assert!(ran.ok() > 1_000, "{}", ran.ok());
}

#[test]
fn a_pool_of_a_process_that_has_ended_opens_no_more() {
    // psycopg tries again and again while its database is down; the old process ends meanwhile.
    let around = "[pool.pg]\nservice = 'web'\ndatabase = 'db'\ndriver = 'psycopg'\nacquire_timeout = '300ms'\n\
                  [database.db]\n[fault.down]\ntarget = 'database.db'\nwhat = 'stop'\nat = '1s'\nfor = '9s'\n";
    let sets = [
        "service.web.runtime=uvicorn",
        "operation.page.flow=[{ query = { pool = 'pg', read = '5ms' } }]",
    ];
    let ran = deploy_of(around, "'ecs'", "", &sets);
    // From 1 s to 10 s nothing is served, and what comes then is.
    let lost = ran.offered() - ran.ok();
    assert!((85..=115).contains(&lost), "{lost} of {}", ran.offered());
}
