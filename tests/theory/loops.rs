//! Run-to-completion event loops: single servers, first come first served.

use loadbearing::theory::{Mg1, Mm1, OpenStation, gim1_response_mean_s, jackson_response_mean_s};

use crate::{Runs, check};

/// One loop, Poisson arrivals.
fn event_loop(replications: u32, rate_per_s: f64, seconds: u32, work: &str) -> Runs {
    let rate = format!("arrivals.rate={rate_per_s}/s");
    let duration = format!("run.duration={seconds}s");
    let flow = format!("operation.ask.flow=[{{ {work} }}]");
    Runs::over(replications, "loop.toml", &[&rate, &duration, &flow])
}

#[test]
fn mm1() {
    for (rate, seconds) in [(500.0, 100), (800.0, 150)] {
        let runs = event_loop(20, rate, seconds, "cpu.exponential = \"1ms\"");
        let theory = |stretch: f64| Mm1 { arrival_rate_per_s: rate, service_s: 1e-3 * stretch };
        let what = |figure: &str| format!("M/M/1 at {rate}/s, {figure}");
        check(&what("mean"), &runs.latency_mean_s(), 0.03, |s| theory(s).response_mean_s());
        for p in [0.95, 0.99] {
            let observed = runs.latency_quantile_s(p);
            check(&what("quantile"), &observed, 0.04, |s| theory(s).response_quantile_s(p));
        }
        let busy = runs.at("service.web", |station| station.utilisation());
        check(&what("utilisation"), &busy, 0.02, |s| theory(s).utilisation());
        let in_flight = runs.each(|outcome| outcome.requests.in_flight_mean);
        check(&what("in flight"), &in_flight, 0.04, |s| rate * theory(s).response_mean_s());
    }
}

/// Pollaczek and Khinchine: the wait grows with the second moment of the work.
#[test]
fn mg1() {
    for (law, scv) in [
        ("cpu.erlang = { stages = 4, mean = \"1ms\" }", 0.25),
        ("cpu.lognormal = { mean = \"1ms\", cv = 1.5 }", 2.25),
        ("cpu.hyperexponential = { mean = \"1ms\", cv = 1.5 }", 2.25),
    ] {
        let runs = event_loop(20, 600.0, 40, law);
        let theory = |stretch: f64| {
            let service_s = 1e-3 * stretch;
            Mg1 { arrival_rate_per_s: 600.0, service_s, service_scv: scv }.wait_mean_s()
        };
        check(&format!("M/G/1 {law}"), &runs.wait_mean_s("service.web"), 0.05, theory);
    }
}

/// One request in a hundred blocks the loop for forty times as long: all wait for it alike.
#[test]
fn rare_blocking_operation() {
    let runs = Runs::over(20, "blocked.toml", &["run.duration=60s"]);
    let wait = |stretch: f64| {
        let (mean, square) = (0.99e-3 + 0.01 * 40e-3, 0.99e-6 + 0.01 * 1.6e-3);
        let (service_s, service_scv) = (mean * stretch, square / (mean * mean) - 1.0);
        Mg1 { arrival_rate_per_s: 400.0, service_s, service_scv }.wait_mean_s()
    };
    check("quick", &runs.operation_mean_s("quick"), 0.05, |s| wait(s) + 1e-3 * s);
    check("block", &runs.operation_mean_s("block"), 0.05, |s| wait(s) + 40e-3 * s);
}

/// Each request computes twice with a pause between: every visit queues as if it were alone.
#[test]
fn visits_to_the_same_loop() {
    let flow =
        r#"cpu.exponential = "1ms" }, { wait.exponential = "5ms" }, { cpu.exponential = "1ms""#;
    let runs = event_loop(16, 350.0, 40, flow);
    let theory = |stretch: f64| {
        let station = OpenStation { visits: 2.0, servers: 1, service_s: 1e-3 * stretch };
        5e-3 + jackson_response_mean_s(350.0, &[station])
    };
    check("two visits", &runs.latency_mean_s(), 0.03, theory);
}

/// Round robin over n loops makes every n-th arrival of a Poisson stream one of a loop: E_n/M/1.
#[test]
fn round_robin_is_en_m_1() {
    for n in [2_u32, 8] {
        let rate = 800.0 * f64::from(n);
        let sets = [
            format!("arrivals.rate={rate}/s"),
            format!("service.web.instances={n}"),
            format!("run.duration={}s", 40 / n),
        ];
        let runs = Runs::over(16, "rotation.toml", &sets.each_ref().map(String::as_str));
        let theory = |stretch: f64| {
            gim1_response_mean_s(1e-3 * stretch, |s| libm::pow(rate / (rate + s), f64::from(n)))
        };
        check(&format!("E_{n}/M/1"), &runs.latency_mean_s(), 0.03, theory);
    }
}

/// Workers of one instance are handed requests in rotation, as Node's cluster module does.
#[test]
fn cluster_is_en_m_1() {
    let runs = Runs::of(
        16,
        r#"
        version = 1
        run = { warmup = "2s", duration = "15s" }
        arrivals.rate = "3000/s"
        service.web = { workers = 4, cores = 4 }
        operation.ask = { share = 1, flow = [{ cpu.exponential = "1ms" }] }
        "#,
    );
    let theory = |stretch: f64| {
        gim1_response_mean_s(1e-3 * stretch, |s| libm::pow(3000.0 / (3000.0 + s), 4.0))
    };
    check("cluster", &runs.latency_mean_s(), 0.03, theory);
}

/// Arrivals at equal distances: D/M/1.
#[test]
fn even_arrivals_are_d_m_1() {
    let even = ["arrivals.process=even", "run.duration=40s"];
    let runs = Runs::over(16, "loop.toml", &even);
    let theory = |stretch: f64| gim1_response_mean_s(1e-3 * stretch, |s| libm::exp(-s / 800.0));
    check("D/M/1", &runs.latency_mean_s(), 0.03, theory);
}
