//! Distributions: each has the mean, the spread and the quantiles that its numbers say.

use loadbearing::model::compile;
use loadbearing::run::{Unwatched, replicate};
use loadbearing::topology::load;

use crate::support::{Ran, ms, run};

/// A hundred requests a second for 20 s.
const WAITS: &str = "version = 1\n[run]\nwarmup = '0s'\nduration = '20s'\n[arrivals]\nrate = '100/s'\nprocess = 'even'\nusers = 1\n";

const PLAIN: &str = r#"
[service.web]
[link.up]
bandwidth = "8Mbit/s"
carries = "service.web"
[operation.work]
share = 1
flow = [{ wait = "10ms" }]
"#;

/// Mean, coefficient of variation, median and 99th percentile of 10,499 latencies [ms].
fn shape(flow: &str) -> [f64; 4] {
    let ran = run(PLAIN, &[&format!("operation.work.flow=[{flow}]"), "arrivals.rate=1000/s"]);
    let latency = &ran.outcome.latency;
    let mean = latency.mean_s().expect("many");
    let deviation = latency.variance_s2().expect("many").sqrt();
    let quantile = |p: f64| latency.quantile(p).expect("many").seconds() * 1e3;
    [mean * 1e3, deviation / mean, quantile(0.5), quantile(0.99)]
}

/// Within 4 % of the mean, 10 % of the rest; a negative number stands for no claim.
fn check(law: &str, wanted: [f64; 4]) {
    let found = shape(&format!("{{wait={law}}}"));
    for (place, bound) in [0.04, 0.10, 0.10, 0.10].iter().enumerate() {
        let (found, wanted) = (found[place], wanted[place]);
        assert!(
            wanted < 0.0 || (found - wanted).abs() <= bound * wanted,
            "{law}: {found} for {wanted}"
        );
    }
}

#[test]
fn durations_follow_their_laws() {
    check("'10ms'", [10.0, 0.0, 10.0, 10.0]);
    check("{exponential='10ms'}", [10.0, 1.0, 6.93, 46.1]);
    check("{uniform=['5ms', '15ms']}", [10.0, 0.289, 10.0, 14.9]);
    check("{erlang={stages=4, mean='10ms'}}", [10.0, 0.5, 9.18, 25.1]);
    check("{erlang={stages=1, mean='5ms'}}", [5.0, 1.0, 3.47, 23.0]);
    check("{gamma={mean='10ms', cv=0.5}}", [10.0, 0.5, 9.18, 25.1]);
    check("{gamma={mean='20ms', cv=1}}", [20.0, 1.0, 13.9, 92.1]);
    check("{lognormal={mean='10ms', cv=1}}", [10.0, 1.0, 7.07, 49.0]);
    check("{lognormal={mean='30ms', cv=0.5}}", [30.0, 0.5, 26.8, 80.4]);
    check("{lognormal={median='10ms', p99='50ms'}}", [12.7, -1.0, 10.0, 50.0]);
    check("{lognormal={median='20ms', p99='40ms'}}", [20.9, -1.0, 20.0, 40.0]);
    check("{weibull={mean='10ms', shape=1}}", [10.0, 1.0, 6.93, 46.1]);
    check("{weibull={mean='10ms', shape=2}}", [10.0, 0.523, 9.39, 24.2]);
    check("{pareto={minimum='10ms', shape=3}}", [15.0, -1.0, 12.6, 46.4]);
    check("{pareto={minimum='5ms', shape=6}}", [6.0, -1.0, 5.61, 10.8]);
    check("{hyperexponential={mean='10ms', cv=2}}", [10.0, 2.0, -1.0, -1.0]);
    check("{hyperexponential={mean='10ms', cv=1}}", [10.0, 1.0, 6.93, 46.1]);
    check(
        "{empirical=[['0%', '0ms'], ['50%', '10ms'], ['100%', '40ms']]}",
        [15.0, -1.0, 10.0, 39.4],
    );
    check("{mixture=[{share='80%', of='5ms'}, {share='20%', of='30ms'}]}", [10.0, 1.0, 5.0, 30.0]);
    let rounded = |step| format!("{{rounded-up={{of={{exponential='10ms'}}, to='{step}ms'}}}}");
    check(&rounded(5), [12.7, 0.779, 10.0, 50.0]);
    check(&rounded(20), [23.1, 0.368, 20.0, 60.0]);
    // A minimum, and on top of it an exponential law.
    let shifted = |by| format!("{{shifted={{by='{by}ms', of={{gamma={{mean='10ms', cv=1}}}}}}}}");
    check(&shifted(20), [30.0, 0.333, 26.9, 66.1]);
    check(&shifted(5), [15.0, 0.667, 11.9, 51.1]);
}

/// At 8 Mbit/s a kilobyte takes a millisecond; what queues is left out by coming rarely.
fn bytes(law: &str) -> f64 {
    let sets = [
        &format!("operation.work.flow=[{{reply={law}}}]"),
        "arrivals.rate=10/s",
        "run.duration=200s",
    ];
    run(PLAIN, &[sets[0], sets[1], sets[2]]).mean_s() * 1e3
}

#[test]
fn amounts_follow_their_laws() {
    let check = |law: &str, wanted: f64| {
        let found = bytes(law);
        assert!((found - wanted).abs() < 0.08 * wanted, "{law}: {found} for {wanted}");
    };
    check("'10KB'", 10.0);
    check("{bytes={exponential='10KB'}}", 10.1);
    check("{bytes={uniform=['5KB', '15KB']}}", 10.0);
    check("{bytes={erlang={stages=4, mean='10KB'}}}", 10.0);
    check("{bytes={gamma={mean='10KB', cv=0.5}}}", 10.0);
    check("{bytes={lognormal={mean='10KB', cv=0.5}}}", 10.0);
    check("{bytes={lognormal={median='10KB', p99='50KB'}}}", 12.8);
    check("{bytes={weibull={mean='10KB', shape=2}}}", 10.0);
    check("{bytes={pareto={minimum='10KB', shape=3}}}", 15.1);
    check("{bytes={hyperexponential={mean='10KB', cv=1.5}}}", 10.3);
    check("{bytes={empirical=[['0%', '0KB'], ['50%', '10KB'], ['100%', '40KB']]}}", 15.0);
    check("{bytes={mixture=[{share='80%', of='5KB'}, {share='20%', of='30KB'}]}}", 10.1);
    check("{bytes={rounded-up={of='9KB', to='5KB'}}}", 10.0);
    check("{bytes={shifted={by='4KB', of={exponential='6KB'}}}}", 10.1);
    assert_eq!(run(PLAIN, &["operation.work.flow=[{reply={bytes='3KB'}}]"]).each(), ms(3));
}

/// A run of waits by a law that may name a file, `times.csv`, which says this.
fn waits(law: &str, file: &str) -> Ran {
    let sets = [format!("operation.work.flow=[{{wait={law}}}]")];
    let text = format!("{WAITS}{PLAIN}");
    let mut read = |path: &str| match path {
        "plans/test.toml" => Ok(text.clone()),
        "plans/data/times.csv" => Ok(file.to_string()),
        other => Err(format!("there is no {other}")),
    };
    let loaded = load("plans/test.toml", &sets, &mut read);
    let model = compile(&loaded.topology.expect("it is sound"));
    let outcome = replicate(&model, 0, &mut Unwatched);
    Ran { model, outcome }
}

#[test]
fn measured_samples_are_read_from_a_file() {
    let file = "{empirical={file='data/times.csv'}}";
    // Samples: all values between the least and the greatest, of their mean.
    let ran = waits(file, "# of March\nms\n20\n10\n60\n");
    assert!(ran.ok() > 1_500, "{}", ran.ok());
    assert_eq!((ran.shortest(), ran.longest()), (ms(10), ms(60)));
    assert!((ran.mean_s() - 0.030).abs() < 0.002, "{}", ran.mean_s());
    assert_eq!(waits(file, "s\n0.25\n").each(), ms(250));
    // Quantiles are those that can be written as well, to the digest.
    let read = waits(file, "quantile,us\n0,1000\n50%,3000\n1,20000\n");
    let written = waits("{empirical=[['0%', '1ms'], ['50%', '3ms'], ['100%', '20ms']]}", "");
    assert_eq!(read.outcome.digest, written.outcome.digest);
    let points =
        waits("{empirical={points=[['0%', '1ms'], ['50%', '3ms'], ['100%', '20ms']]}}", "");
    assert_eq!(points.outcome.digest, written.outcome.digest);
    // Within another law, too.
    let shifted = waits("{shifted={by='5ms', of={empirical={file='data/times.csv'}}}}", "ms\n7\n");
    assert_eq!(shifted.each(), ms(12));
}
