//! A machine of Kubernetes that is gone without a word: who waits in vain, and for how long.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;
use loadbearing::units::Duration;

use crate::support::{Ran, ms, run};

/// A request a second over two pods, which answer at once.
const PODS: &str = r#"
[arrivals]
rate = "1/s"
process = "even"
users = 1
[client]
patience = "3s"
[service.web]
instances = 2
[operation.page]
share = 1
flow = [{ cpu = "1ms" }]
"#;

fn lost(sets: &[&str]) -> Ran {
    let fault = "fault.f={target='service.web', count=1, at='10500ms', what={node-loss={grace='20s', lease='0s', monitor='0s', toleration='30s', start='5s'}}}";
    run(PODS, &[&[fault, "run.duration=120500ms", "run.window=500ms"], sets].concat())
}

/// Half seconds after the loss at which the second pod is there again.
fn back(ran: &Ran) -> Option<f64> {
    let held = ran.held("service.web");
    let place = held.iter().skip(22).position(|held| *held == 2.0)?;
    Some((place as f64 + 1.0) / 2.0)
}

#[test]
fn kubernetes_finds_out_that_a_node_is_lost() {
    let ran = lost(&[]);
    // Those who come from 11 to 30 s, every other one, and nobody who comes later: the pod has left the
    // endpoints. They wait until they leave; nothing is refused.
    assert_eq!((ran.failed(Failure::GaveUp), ran.outcome.requests.failed_all()), (10, 10));
    assert_eq!(ran.outcome.failed_latency.max(), Some(ms(3_000)));
    // 20 s, 30 s and 5 s later another is there in its place, and has its share.
    assert_eq!(back(&ran), Some(55.0));
    assert_eq!(ran.count("service.web", Counter::Opened), 1);
    assert_eq!(lost(&["fault.f.what.node-loss.grace=40s"]).failed(Failure::GaveUp), 20);
    assert_eq!(back(&lost(&["fault.f.what.node-loss.toleration=60s"])), Some(85.0));
    assert_eq!(back(&lost(&["fault.f.what.node-loss.start=10s"])), Some(60.0));
    // What its processes would do about a crash is nothing to a pod whose machine is gone.
    assert_eq!(back(&lost(&["service.web.replace=2s"])), Some(55.0));
    // A machine that is back before its pods are replaced starts them itself.
    let short = lost(&["fault.f.for=25s"]);
    assert_eq!((back(&short), short.failed(Failure::GaveUp)), (Some(25.0), 10));
    // Without any machine left nobody starts anything; a stopped process is refused at once.
    assert_eq!(back(&lost(&["fault.f.count=2"])), Some(55.0), "two of two, on other machines");
    let stopped = run(PODS, &["fault.f={target='service.web', count=1, what='stop'}"]);
    assert_eq!((stopped.failed(Failure::GaveUp), stopped.failed(Failure::InstanceLost)), (0, 5));
    // By itself: 50 s, 300 s and 20 s.
    let usual = run(
        PODS,
        &[
            "fault.f={target='service.web', count=1, at='500ms', what={node-loss={lease='0s', monitor='0s'}}}",
            "run.duration=400s",
        ],
    );
    assert_eq!(usual.failed(Failure::GaveUp), 25);
    let held = usual.held("service.web");
    assert_eq!(held.iter().skip(1).position(|held| *held > 1.0), Some(369));
}

#[test]
fn an_answer_of_a_lost_node_is_waited_for_in_vain() {
    // A request is under way for two seconds when its machine is lost; others come to it after that.
    const ALB: &str = "[balancer.front]\nservice = 'web'\nkind = 'alb'\nhop = '0ms'\nchecks = \
                       { interval = '200s' }\n";
    let text = format!("{}{ALB}", PODS.replace("[client]\npatience = \"3s\"\n", ""));
    let after = |sets: &[&str]| {
        let fault = "fault.f={target='service.web', count=1, at='10500ms', what={node-loss={lease='0s', monitor='0s'}}}";
        let all = ["operation.page.flow=[{wait='900ms'}]", "run.duration=200s", fault];
        let ran = run(&text, &[&all[..], sets].concat());
        assert_eq!(ran.outcome.requests.failed_all(), ran.failed(Failure::UpstreamTimeout));
        (ran.failed(Failure::UpstreamTimeout), ran.outcome.failed_latency.max())
    };
    // 60 s from being sent: the one under way, if it was there; 10 s to connect for those who come.
    let (count, longest) = after(&[]);
    assert!((25..=26).contains(&count), "{count}");
    assert_eq!(longest, Some(Duration::secs(60)));
    let (_, longest) = after(&["balancer.front.idle_timeout=30s"]);
    assert_eq!(longest, Some(Duration::secs(30)));
    // A check is not refused either, and fails when it has taken too long: two of them, 2 s apart.
    let (quick, _) = after(&["balancer.front.checks={interval='2s', timeout='1s'}"]);
    assert!(quick <= 4, "{quick}");
}

#[test]
fn a_loss_falls_between_two_renewals_of_the_lease() {
    // One request a second until the pod has left the endpoints; half of them meet the lost one.
    let marked = |sets: &[&str]| -> Vec<f64> {
        let seeds = (1..=40).map(|seed| format!("run.seed={seed}"));
        let after = |seed: String| {
            let faster = ["arrivals.rate=100/s", "run.duration=60s", "client.patience=1s"];
            let ran = lost(&[&faster[..], &[seed.as_str()], sets].concat());
            ran.failed(Failure::GaveUp) as f64 / 50.0
        };
        seeds.map(after).collect()
    };
    let spread = |sets: &[&str]| {
        let all = marked(sets);
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        let most = all.iter().copied().fold(0.0, f64::max);
        (least, most, all.iter().sum::<f64>() / all.len() as f64)
    };
    let (least, most, _) = spread(&[]);
    assert!((least - 20.0).abs() < 0.1 && (most - 20.0).abs() < 0.1, "{least} {most}");
    let (least, most, mean) = spread(&["fault.f.what.node-loss.lease=10s"]);
    assert!(least > 9.9 && least < 11.5 && most < 20.1 && most > 18.5, "{least} {most}");
    assert!((mean - 15.0).abs() < 1.5, "{mean}");
    let (least, most, mean) = spread(&["fault.f.what.node-loss.monitor=5s"]);
    assert!(least > 19.9 && most < 25.1 && (mean - 22.5).abs() < 0.8, "{least} {most} {mean}");
}
