//! Is the largest load that meets an objective where theory puts it?
#![cfg(feature = "cli")]

use loadbearing::experiment::capacity::{Answer, Capacity, Search, capacity};
use loadbearing::experiment::{Scaling, Silent};
use loadbearing::model::compile;
use loadbearing::result::Estimate;
use loadbearing::topology::load;

/// The capacity of one event loop whose work is exponential with a mean of 10 ms, under an objective.
fn found(workload: &str, objective: &str) -> Capacity {
    let text = format!(
        r#"
        version = 1
        objectives = ["{objective}"]
        {workload}
        run = {{ warmup = "20s", duration = "400s", replications = 8, attribution_every = 1_000 }}
        [service.web]
        [operation.ask]
        share = 1
        flow = [{{ cpu.exponential = "10ms" }}]
        "#
    );
    let read = |sets: &[String]| load("loop.toml", sets, &mut |_| Ok(text.clone()));
    let loaded = read(&[]);
    let scaling = Scaling::of(loaded.topology.as_ref().expect("sound")).expect("somebody comes");
    let search = Search { threads: None, progress: &Silent };
    let mut model_at = |load: f64| read(&scaling.sets(load)).topology.as_ref().map(compile);
    capacity(scaling.clone(), &search, &mut model_at).expect("an answer")
}

fn estimate(found: &Capacity) -> (f64, f64, f64) {
    let Answer::Found(Estimate { estimate: Some(middle), low: Some(low), high: Some(high) }) =
        found.answer
    else {
        panic!("{:?}", found.answer)
    };
    (middle, low, high)
}

/// M/M/1: W = 1 / (1/S - rate) reaches 50 ms at 80/s. A loop whose work takes 4 % more would reach it
/// at 76.2/s. The interval covers the truth in 95 of 100 seeds.
#[test]
fn an_open_stream_meets_its_mean_latency_up_to_the_rate_of_the_formula() {
    let capacity_of = |work_s: f64| 1.0 / work_s - 1.0 / 0.050;
    let found = found("arrivals.rate = \"10/s\"", "latency_mean < 50ms");
    let (middle, low, high) = estimate(&found);
    let covers = |rate: f64| low <= rate && rate <= high;
    assert!(covers(capacity_of(0.010)), "{low} … {middle} … {high}");
    assert!(!covers(capacity_of(0.010_4)), "teeth: {low} … {high}");
    assert!(found.trials.len() < 70, "{} runs", found.trials.len());
    assert!(found.disorder.is_empty() && found.carries_file_load());
    assert_eq!(found.limits[0].0, "latency_mean < 50ms");
    // At the capacity the loop is 80 % busy, so it is full at 1.25 times that load.
    let at = found.at_capacity.as_ref().expect("found");
    let first = &at.summary.saturation.order[0];
    assert_eq!(first.component, "service.web");
    assert!((first.load_factor.at_100 - 1.25).abs() < 0.03, "{:?}", first.load_factor);
}

/// The machine repairman by mean value analysis: R(N) = S (1 + Q(N - 1)), Q = N R / (Z + R).
fn repairman_s(users: u32, work_s: f64, think_s: f64) -> f64 {
    let (mut response, mut queue) = (0.0, 0.0);
    for users in 1..=users {
        response = work_s * (1.0 + queue);
        queue = f64::from(users) * response / (think_s + response);
    }
    response
}

#[test]
fn a_population_meets_its_mean_latency_up_to_the_users_of_the_formula() {
    let capacity_of = |work_s: f64| {
        (1..).take_while(|users| repairman_s(*users, work_s, 1.0) < 0.050).count() as f64
    };
    let users = "users = { population = 400, think.exponential = \"1s\" }";
    let found = found(users, "latency_mean < 50ms");
    let (middle, low, high) = estimate(&found);
    let covers = |users: f64| low <= users && users <= high;
    assert!(covers(capacity_of(0.010)), "{low} … {middle} … {high}");
    assert!(!covers(capacity_of(0.010_4)), "teeth: {low} … {high}");
    assert!(!found.carries_file_load(), "400 users wait for seconds");
    assert!(found.headroom().and_then(|room| room.estimate).is_some_and(|room| room < 0.25));
}

#[test]
fn an_end_that_is_not_there_is_not_made_up() {
    let never = found("arrivals.rate = \"1/s\"", "latency_mean < 1ms");
    assert!(matches!(never.answer, Answer::NoLoad { replications: 8, .. }), "{:?}", never.answer);
    let least = never.trials[0].load;
    let value = never.value_at(least, 0).estimate.expect("measured");
    assert!(value > 0.005 && !never.carries_file_load(), "{value}");
}
