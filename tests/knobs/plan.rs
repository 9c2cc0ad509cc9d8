//! How a run is measured and when it stops.

use loadbearing::run::{Ended, Unwatched, replicate};

use crate::support::{model, ms, run, run_to_any_end};

const PLAIN: &str = r#"
[service.web]
[operation.work]
share = 1
flow = [{ cpu = "10ms" }]
"#;

#[test]
fn the_warm_up_is_not_measured() {
    let sets = ["operation.work.flow=[{cpu='10ms'}]", "run.warmup=4500ms"];
    let ran = run(PLAIN, &sets);
    assert_eq!((ran.offered(), ran.outcome.measured), (11, ms(10_500)), "from 5 s to 15 s");
    let windows = &ran.outcome.windows;
    assert_eq!(windows.iter().filter(|window| !window.measured).count(), 5);
    assert_eq!(run(PLAIN, &["run.duration=3s"]).offered(), 3);
}

#[test]
fn the_timeline_has_steps_of_the_window() {
    assert_eq!(run(PLAIN, &["run.duration=10s"]).outcome.windows.len(), 10);
    assert_eq!(run(PLAIN, &["run.duration=10s", "run.window=100ms"]).outcome.windows.len(), 100);
}

#[test]
fn a_seed_is_the_root_of_all_chance() {
    let digest = |sets: &[&str]| {
        let poisson = ["arrivals={rate='100/s', process='poisson'}"];
        run(PLAIN, &[&poisson[..], sets].concat()).outcome.digest
    };
    assert_eq!(digest(&[]), digest(&[]));
    assert_ne!(digest(&[]), digest(&["run.seed=2"]));
    let model = model(PLAIN, &["arrivals={rate='100/s', process='poisson'}"]);
    let other = replicate(&model, 1, &mut Unwatched);
    assert_ne!(
        other.digest,
        replicate(&model, 0, &mut Unwatched).digest,
        "and of each replication"
    );
}

#[test]
fn a_run_stops_at_its_limits_and_says_so() {
    let rate = "arrivals.rate=10000/s";
    let ran = run_to_any_end(PLAIN, &[rate, "run.max_events=1234"]);
    assert_eq!((ran.outcome.ended, ran.outcome.events), (Ended::EventLimit, 1234));
    let waiting = "operation.work.flow=[{wait='1h'}]";
    let ran = run_to_any_end(PLAIN, &[rate, waiting, "run.max_memory=1MB"]);
    assert_eq!(ran.outcome.ended, Ended::MemoryLimit);
    assert!(ran.outcome.requests.in_flight_end > 1_000, "with what it has measured");
    let ran = run_to_any_end(PLAIN, &[rate, waiting]);
    assert_eq!(ran.outcome.ended, Ended::Completed);
}

#[test]
fn every_nth_path_is_measured() {
    let measured = |every: &str| {
        let ran = run(
            PLAIN,
            &[
                "arrivals.rate=100/s",
                "run.duration=10005ms",
                "operation.work.flow=[{cpu='1ms'}]",
                every,
            ],
        );
        ran.outcome.classes.iter().map(|class| class.requests).sum::<u64>()
    };
    assert_eq!(measured("run.attribution_every=1"), 1_000);
    assert_eq!(measured("run.attribution_every=10"), 100);
    assert!(measured("run.attribution_every=4_000_000_000") <= 1);
}

#[test]
fn what_is_done_with_many_runs_is_passed_on() {
    let sets = ["run.replications=7", "run.confidence=90%", "run.max_wall=5min"];
    let plan = model(PLAIN, &sets).plan;
    assert_eq!((plan.replications, plan.confidence, plan.max_wall), (7, 0.9, ms(300_000)));
    let model = model(PLAIN, &["objectives=['latency_p95 < 500ms', 'errors < 1%']"]);
    assert_eq!(model.objectives.len(), 2);
}
