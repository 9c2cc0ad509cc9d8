//! Steps of flows, operations and their shares.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

const PLAIN: &str = r#"
[service.web]
[service.far]
[operation.work]
share = 1
service = "web"
flow = [{ cpu = "10ms" }]
"#;

fn flow(flow: &str) -> Ran {
    run(PLAIN, &[&format!("operation.work.flow={flow}")])
}

#[test]
fn computing_keeps_the_loop_and_waiting_does_not() {
    let ran = flow("[{cpu='10ms'}, {cpu='5ms'}]");
    assert_eq!(ran.each(), ms(15));
    assert!((ran.station("service.web").busy_mean - 0.150 / 10.5).abs() < 1e-9);
    let ran = flow("[{wait='15ms'}]");
    assert_eq!((ran.each(), ran.station("service.web").busy_mean), (ms(15), 0.0));
    assert_eq!(flow("[{parallel=[[{wait='15ms'}], [{wait='5ms'}]]}]").each(), ms(15));
    assert_eq!(flow("[{parallel=[[{cpu='15ms'}], [{cpu='5ms'}]]}]").each(), ms(20));
}

#[test]
fn flows_repeat() {
    assert_eq!(flow("[{repeat={times=3, flow=[{cpu='2ms'}, {wait='1ms'}]}}]").each(), ms(9));
    assert_eq!(flow("[{repeat={times=1, flow=[{cpu='2ms'}]}}]").each(), ms(2));
}

#[test]
fn flows_choose_by_chance() {
    let choose = "operation.work.flow=[{choose=[{share='20%', flow=[{wait='2ms'}]}, {share='80%', flow=[{wait='1ms'}]}]}]";
    let ran = run(PLAIN, &[choose, "arrivals.rate=1000/s"]);
    assert_eq!((ran.shortest(), ran.longest()), (ms(1), ms(2)));
    // 10,498 requests: deviation of the mean 4 us.
    assert!((ran.mean_s() - 0.0012).abs() < 16e-6, "{}", ran.mean_s());
    assert_eq!(
        flow("[{choose=[{share='0%', flow=[{wait='2ms'}]}, {share='100%', flow=[]}]}]").each(),
        ms(0)
    );
}

#[test]
fn calls_wait_for_their_answer_or_their_timeout() {
    let call = |more: &str| {
        flow(&format!("[{{call={{service='far', flow=[{{wait='700ms'}}, {{cpu='1ms'}}]{more}}}}}]"))
    };
    let ran = call("");
    assert_eq!((ran.each(), ran.count("service.far", Counter::Served)), (ms(701), 9));
    let ran = call(", timeout='100ms'");
    assert_eq!((ran.failed(Failure::UpstreamTimeout), ran.each_failed()), (10, ms(100)));
    // The work goes on for nobody: nine of ten have computed when the run ends... and the tenth.
    assert!((ran.station("service.far").busy_mean - 0.009 / 10.5).abs() < 1e-9);
    assert_eq!(call(", timeout='702ms'").each(), ms(701));
}

#[test]
fn an_operation_answers_with_its_status() {
    let ran = flow("[{reply={bytes='1KB', status=404}}]");
    assert_eq!((ran.ok(), ran.failed(Failure::Answered)), (0, 10));
    assert_eq!(flow("[{reply={bytes='1KB', status=302}}]").ok(), 10);
    let retried = |on: u16| {
        let retry = format!("client.retry={{fixed={{on=[{on}], delay='10ms', attempts=2}}}}");
        let sets = ["operation.work.flow=[{reply={bytes='1KB', status=409}}]", &retry];
        run(PLAIN, &sets).outcome.attempts.sent
    };
    assert_eq!((retried(409), retried(500)), (20, 10));
}

#[test]
fn steps_after_the_answer_still_cost() {
    let ran = flow("[{cpu='1ms'}, {reply='1KB'}, {cpu='9ms'}]");
    assert_eq!(ran.each(), ms(1));
    assert!((ran.station("service.web").busy_mean - 0.100 / 10.5).abs() < 1e-9);
}

#[test]
fn bodies_are_as_large_as_said() {
    let ran = flow("[{transfer='3KB'}, {reply='20KB'}]");
    assert_eq!(ran.count("service.web", Counter::Bytes), 230_000);
    assert_eq!(flow("[{cpu='1ms'}]").count("service.web", Counter::Bytes), 0);
}

#[test]
fn operations_come_in_proportion_to_their_shares() {
    let text = format!(
        "{PLAIN}\n[operation.other]\nshare = 3\nservice = 'web'\nflow = [{{ cpu = '0ms' }}]\n"
    );
    let share = |sets: &[&str]| {
        let ran = run(&text, &[sets, &["arrivals.rate=50/s"]].concat());
        ran.shortest();
        let tallies: Vec<u64> = ran.outcome.operations.iter().map(|tally| tally.offered).collect();
        tallies[0] as f64 / (tallies[0] + tallies[1]) as f64
    };
    assert!((share(&[]) - 0.75).abs() < 0.06);
    assert!((share(&["operation.work.share=9"]) - 0.25).abs() < 0.06);
    assert_eq!(share(&["operation.work.share=0"]), 1.0);
}
