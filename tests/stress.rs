//! Does a deployment come back after a spike when arithmetic says so, and stay down when retries keep
//! it there?
#![cfg(feature = "cli")]

use loadbearing::experiment::Silent;
use loadbearing::experiment::stress::{Arm, Failed, Stress, Stressed, What};
use loadbearing::topology::load;
use loadbearing::units::Duration;

/// One event loop whose work is `work`, put under stress.
fn stressed(work: &str, rest: &str, replications: u32, stress: Stress) -> Stressed {
    let text = format!(
        r#"
        version = 1
        run = {{ warmup = "10s", replications = {replications}, attribution_every = 1_000 }}
        {rest}
        [service.web]
        cores = 1
        [operation.ask]
        share = 1
        flow = [{{ cpu = "{work}" }}]
        "#
    );
    let loaded = load("loop.toml", &[], &mut |_| Ok(text.clone()));
    let topology = loaded.topology.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    stress.run(&topology, None, &Silent).expect("it makes sense")
}

fn spike(times: f64, seconds: u64, watch: u64) -> Stress {
    Stress {
        what: What::Spike(times),
        at: Duration::secs(20),
        lasts: Some(Duration::secs(seconds)),
        watch: Duration::secs(watch),
    }
}

fn time(arm: &Arm) -> f64 {
    arm.time_to_recover_s.estimate.expect("it recovers")
}

/// Three times 50/s for 20 s before a loop that does 100/s leave 20 x (150 - 100) requests behind,
/// which drain at 100 - 50 a second: 20 s. A loop that is 4 % slower takes 23.3 s.
#[test]
fn a_backlog_drains_in_the_time_that_arithmetic_gives() {
    let even = "arrivals = { rate = \"50/s\", process = \"even\" }";
    let found = stressed("10ms", even, 2, spike(3.0, 20, 80));
    assert_eq!(found.words, "load x3");
    let [arm] = found.arms.as_slice() else { panic!("nothing tries again here") };
    // A step of the timeline is 1 s.
    assert!((time(arm) - 20.0).abs() <= 1.0, "{:?}", arm.time_to_recover_s);
    assert_eq!((arm.recovers.estimate, found.recovers()), (1.0, true));
    // The last who came in the spike found 1,000 before them.
    let peak = arm.peak.in_flight.estimate.expect("measured");
    assert!((peak - 975.0).abs() < 30.0, "{peak}: the mean of the last second of the spike");
    let slower = stressed("10.4ms", even, 2, spike(3.0, 20, 80));
    assert!((time(&slower.arms[0]) - 23.3).abs() <= 1.0, "teeth: {}", time(&slower.arms[0]));
}

#[test]
fn what_is_not_hurt_is_back_at_once_and_what_is_watched_too_briefly_is_not_back() {
    let poisson = "arrivals.rate = \"30/s\"";
    let unhurt = stressed("10ms", poisson, 4, spike(1.05, 10, 40));
    assert_eq!(time(&unhurt.arms[0]), 0.0);
    let even = "arrivals = { rate = \"50/s\", process = \"even\" }";
    let brief = stressed("10ms", even, 2, spike(3.0, 20, 18));
    let arm = &brief.arms[0];
    assert_eq!((arm.recovers.estimate, arm.slowest_s), (0.0, None));
    // None of two: Clopper and Pearson leave 1 - 0.025^(1/2).
    assert!((arm.recovers.high - 0.841_886).abs() < 1e-6, "{:?}", arm.recovers);
    assert!(!brief.recovers());
}

/// Users who give up after a second and ask again at once, before a loop that goes on working for
/// nobody: once it is behind, it has four times the work, and stays behind. Without retries the same
/// loop gets rid of what nobody waits for.
#[test]
fn retries_keep_a_deployment_down_that_comes_back_without_them() {
    let storm = r#"
        arrivals.rate = "60/s"
        client = { patience = "1s", retry.fixed = { on = ["timeout"], attempts = 4, delay = "50ms" } }
    "#;
    let found = stressed("10ms", storm, 8, spike(3.0, 20, 120));
    let [with, without] = found.arms.as_slice() else { panic!("two arms") };
    assert!(with.retries && !without.retries);
    assert_eq!((with.recovers.estimate, without.recovers.estimate), (0.0, 1.0));
    // 20 s of 80/s too many drain at 40/s.
    assert!((time(without) - 40.0).abs() < 6.0, "{:?}", without.time_to_recover_s);
    let attempts = |arm: &Arm| arm.attempts_per_request.estimate.expect("measured");
    assert!(attempts(with) > 2.0 && attempts(without) == 1.0, "{}", attempts(with));
    let retries = found.retries.expect("there are");
    assert_eq!((retries.only_with, retries.only_without), (0, 8));
    assert!(retries.lost.low > Some(0.0), "{:?}", retries.lost);
    let (path, waiting) = with.queue.as_ref().expect("a queue grows");
    assert!(path == "service.web" && waiting.estimate > Some(100.0), "{path} {waiting:?}");
    // The same users with the same work came to both, and to the calm twins.
    let offered =
        |arm: &Arm| arm.stressed.outcomes.iter().map(|it| it.requests.offered).sum::<u64>();
    assert_eq!(offered(with), offered(without));
}

#[test]
fn a_fault_of_the_file_strikes_once_and_when_it_is_asked_to() {
    let faults = r#"
        arrivals.rate = "50/s"
        [fault.flaky-loop]
        target = "service.web"
        what.flaky = "50%"
        at = "5s"
        every = "10s"
        for = "4s"
        [fault.other]
        target = "service.web"
        what = "stop"
    "#;
    let stress = |name: &str, lasts: Option<u64>| Stress {
        what: What::Faults(vec![name.into()]),
        at: Duration::secs(20),
        lasts: lasts.map(Duration::secs),
        watch: Duration::secs(40),
    };
    let found = stressed("10ms", faults, 2, stress("flaky-loop", None));
    let arm = &found.arms[0];
    assert_eq!(found.words, "service.web flaky");
    for replication in &arm.replications {
        // The warm-up takes 10 s.
        assert_eq!((replication.begins_s, replication.ends_s), (30.0, Some(34.0)));
    }
    let lost = arm.lost.estimate.expect("measured");
    assert!((lost - 100.0).abs() < 25.0, "half of 50/s for 4 s: {lost}");
    assert_eq!(arm.calm.outcomes.iter().map(|it| it.requests.failed_all()).sum::<u64>(), 0);
    let longer = stressed("10ms", faults, 2, stress("flaky-loop", Some(8)));
    assert_eq!(longer.arms[0].replications[0].ends_s, Some(38.0));

    let text = "version = 1\narrivals.rate = \"1/s\"\n[service.web]\n[operation.ask]\nshare = 1\n\
                flow = [{ cpu = \"1ms\" }]";
    let loaded = load("loop.toml", &[], &mut |_| Ok(text.into()));
    let topology = loaded.topology.expect("sound");
    let Err(Failed::Senseless(why)) = stress("none", None).run(&topology, None, &Silent) else {
        panic!("there is no such fault")
    };
    assert!(why.contains("no fault `none`; it has none\n  help: write `[fault.none]`"), "{why}");
}
