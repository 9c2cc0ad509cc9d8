//! How many environments of a function are kept ready, where their use decides.

use loadbearing::result::cost_month;
use loadbearing::run::Counter;

use crate::support::{Ran, run};

/// Ten requests of a second at a time, of which those that are kept ready get the first.
const API: &str = r#"
[arrivals]
rate = "10/s"
process = "even"
users = 1
[region.here]
[service.api]
[service.api.function]
memory = "1024MiB"
init = "300ms"
provisioned = 2
autoscale = { min = 1, max = 50 }
[operation.work]
share = 1
flow = [{ wait = "1s" }]
"#;
const EXECUTIONS: &str = "service.api.executions";

fn api(sets: &[&str]) -> Ran {
    run(API, &[&["run.duration=900s", "run.window=60s"], sets].concat())
}

/// How many are kept ready in each minute.
fn kept(sets: &[&str]) -> Vec<f64> {
    api(sets).held(EXECUTIONS)
}

#[test]
fn three_minutes_above_the_target_keep_more_ready() {
    // All are in use until there are more than ten: x / 0.7, rounded up, when the last ones have started.
    let usual = kept(&[]);
    let expected = [2, 2, 2, 3, 3, 5, 5, 8, 8, 12, 12, 15, 15, 15, 15].map(f64::from);
    assert_eq!(usual, expected);
    // Those that start at once are known to the next minute.
    let at_once = kept(&["service.api.function.autoscale.start=0s"]);
    assert_eq!(at_once[..9], [2, 2, 2, 3, 5, 8, 12, 15, 15].map(f64::from));
    let half = kept(&["service.api.function.autoscale.target=50%"]);
    assert_eq!(half[..7], [2, 2, 2, 4, 4, 8, 8].map(f64::from));
    let bounded = kept(&["service.api.function.autoscale.max=6"]);
    assert_eq!(bounded[7..].iter().copied().fold(0.0, f64::max), 6.0);
    // While the first addition cools down nothing larger is wanted of the two that there were.
    let cooled = kept(&["service.api.function.autoscale.cooldown_out=300s"]);
    assert_eq!(cooled[..9], [2, 2, 2, 3, 3, 3, 3, 3, 5].map(f64::from));
    // Who waits for an environment in the end? The first eight, at the very beginning.
    let ran = api(&[]);
    assert_eq!(ran.station(EXECUTIONS).busy_peak, 10.0 + 3.0, "a cold start is three more");
    assert_eq!(ran.count("service.api", Counter::Opened), 11 + 13, "eleven cold, thirteen kept");
}

/// A request of a second every thirteen.
const FEW: &str = "arrivals.rate=0.0769/s";

#[test]
fn fifteen_minutes_below_keep_fewer_ready() {
    let four = ["service.api.function.provisioned=4", FEW, "run.duration=1200s"];
    let usual = kept(&four);
    assert_eq!((usual[14], usual[15], usual[19]), (4.0, 1.0, 1.0), "after 900 s");
    let two = kept(&[&four[..], &["service.api.function.autoscale.min=2"]].concat());
    assert_eq!(two[19], 2.0);
    let stays = kept(&[&four[..], &["service.api.function.autoscale.scale_in=false"]].concat());
    assert_eq!(stays[19], 4.0);
    // Nothing is known of minutes in which nobody comes.
    let silent = kept(&[&four[..], &["arrivals.rate=0.0001/s"]].concat());
    assert_eq!(silent[19], 4.0);
    // Four at a time of twenty keep six; one at a time from 1,000 s on keeps two, when that is allowed.
    let falls = |more: &str| {
        let stages = "arrivals.stages=[{for='1000s', to='4/s'}, {for='1s', to='1/s'}, \
                      {for='2000s', to='1/s'}]";
        let sets = ["arrivals.rate=4/s", stages, "service.api.function.provisioned=20"];
        kept(&[&sets[..], &["run.duration=2040s", more]].concat())
    };
    let usual = falls("run.seed=1");
    assert_eq!((usual[14], usual[15], usual[30], usual[31]), (20.0, 6.0, 6.0, 2.0));
    assert_eq!(falls("service.api.function.autoscale.cooldown_in=20min")[33], 6.0);
}

#[test]
fn the_greatest_use_of_a_minute_may_decide() {
    // One is kept, and in use for a thirteenth of the time: all of it for a moment of each minute.
    let with = |statistic: &str| {
        let statistic = format!("service.api.function.autoscale.statistic={statistic}");
        kept(&[FEW, "service.api.function.provisioned=1", &statistic])[14]
    };
    assert_eq!((with("average"), with("maximum")), (1.0, 2.0));
    // A request of ten minutes, from 100 s on: in most of them nothing begins or ends, and all is in use.
    let long = |statistic: &str| {
        let statistic = format!("service.api.function.autoscale.statistic={statistic}");
        let once = "arrivals={process='even', rate='0.01/s', users=1, stages=[{for='105s', to='0.01/s'}, {for='0s', to='0/s'}]}";
        let flow = "operation.work.flow=[{wait='600s'}]";
        let its = ["service.api.function.provisioned=1", "service.api.function.timeout=15min"];
        kept(&[&its[..], &[once, flow, &statistic]].concat())[..7].to_vec()
    };
    // Above the target at 120, 180 and 240 s; the one that is added is there at 300.3 s, and all were in use before
    // that in this minute too.
    assert_eq!(long("maximum"), [1, 1, 1, 1, 2, 2, 3].map(f64::from));
}

#[test]
fn a_schedule_keeps_so_many_ready_and_they_are_paid_for() {
    let later = "service.api.function.autoscale.schedule=[{at='100s', min=6}]";
    let at_once = "service.api.function.autoscale.start=0s";
    let price = "service.api.function.price={provisioned_gb_second='$0.001'}";
    let nobody = ["arrivals.rate=0.0001/s", later, at_once, price];
    // Two for 100 s, and six for as long.
    let ran = api(&[&nobody[..], &["run.duration=200s"]].concat());
    let cost = cost_month(&ran.model, &ran.outcome);
    let expected = 4.0 * 0.001 * 730.0 * 3_600.0;
    assert!((cost - expected).abs() < 1e-6 * expected, "{cost} for {expected}");
    // Four are started, one every 10 ms, or every 30 s.
    let opened = |pace: &str| {
        let pace = format!("service.api.function.autoscale.pace={pace}");
        let ran = api(&[&nobody[..], &["run.duration=150s", &pace]].concat());
        ran.count("service.api", Counter::Opened)
    };
    assert_eq!((opened("6000"), opened("2")), (4, 2));
    // The last of four at 100 s and three times 30 s.
    let until = |length: &str| {
        let pace = "service.api.function.autoscale.pace=2";
        let ran = api(&[&nobody[..], &[pace, &format!("run.duration={length}")]].concat());
        ran.count("service.api", Counter::Opened)
    };
    assert_eq!((until("190s"), until("191s")), (3, 4));
    // What is kept ready is nobody else's: of 110 executions another function has 108, or 104.
    let text = format!(
        "{API}[service.other]\n[service.other.function]\ntimeout = '300s'\n[operation.long]\nshare = 9\n\
         service = 'other'\nflow = [{{ wait = '250s' }}]\n"
    );
    let peak = |sets: &[&str]| {
        let usual = ["region.here.functions=110", "operation.work.service=api", "run.duration=60s"];
        let bounds = "service.api.function.autoscale.max=6";
        let ran = run(&text, &[&usual[..], &[bounds], sets].concat());
        ran.station("service.other.executions").busy_peak
    };
    assert_eq!(peak(&[]), 108.0);
    assert_eq!(peak(&["service.api.function.autoscale.schedule=[{at='0s', min=6}]"]), 104.0);
    // Those that are let go are everybody's again.
    let falls =
        "service.api.function.autoscale.schedule=[{at='0s', min=6}, {at='20s', min=1, max=2}]";
    assert_eq!(peak(&[falls, at_once]), 108.0);
}
