//! Processor sharing: database cores, links, the cores of an instance; and a replica's replay.

use loadbearing::theory::{Mg1, Mmc};

use crate::{Runs, check};

const LAWS: [&str; 3] =
    ["= \"1ms\"", ".exponential = \"1ms\"", ".hyperexponential = { mean = \"1ms\", cv = 2 }"];

/// A statement over a database with cores to share and more connections than anybody needs.
fn asking(law: &str) -> String {
    format!("operation.ask.flow=[{{ query = {{ pool = \"pg\", read{law} }} }}]")
}

fn sharing_mean_s(rate_per_s: f64, service_s: f64) -> f64 {
    Mg1 { arrival_rate_per_s: rate_per_s, service_s, service_scv: 1.0 }.sharing_response_mean_s()
}

/// The mean response of a shared core depends on the law of the work through its mean alone.
#[test]
fn one_core_is_insensitive() {
    for law in LAWS {
        let runs = Runs::over(16, "shared.toml", &[&asking(law)]);
        let what = format!("M/G/1-PS, {law}");
        check(&what, &runs.latency_mean_s(), 0.03, |s| sharing_mean_s(600.0, 1e-3 * s));
        let busy = runs.at("database.main", |station| station.utilisation());
        check(&what, &busy, 0.03, |s| 0.6 * s);
    }
}

/// A long computation is slowed down in the same proportion as a short one.
#[test]
fn slowdown_is_the_same_for_all_sizes() {
    let runs = Runs::of(
        20,
        r#"
        version = 1
        run = { warmup = "2s", duration = "60s" }
        arrivals.rate = "600/s"
        service.web = { cores = 1, threads = 200 }
        operation.short = { share = 9, flow = [{ threads = "0.5ms" }] }
        operation.long = { share = 1, flow = [{ threads = "5.5ms" }] }
        "#,
    );
    let slowed = |alone_s: f64, stretch: f64| alone_s * stretch / (1.0 - 0.6 * stretch);
    check("short", &runs.operation_mean_s("short"), 0.03, |s| slowed(0.5e-3, s));
    check("long", &runs.operation_mean_s("long"), 0.03, |s| slowed(5.5e-3, s));
}

/// c cores shared by exponential statements hold as many as M/M/c does.
#[test]
fn several_cores_hold_what_mmc_holds() {
    for law in LAWS {
        let sets = ["arrivals.rate=2400/s", "database.main.cores=3", &asking(law)];
        let runs = Runs::over(16, "shared.toml", &sets);
        check(&format!("M/G/3-PS, {law}"), &runs.latency_mean_s(), 0.03, |s| {
            let service_s = 1e-3 * s;
            Mmc { servers: 3, arrival_rate_per_s: 2_400.0, service_s }.response_mean_s()
        });
    }
}

/// Four loops on one core share it; with one request in each at most, so do their threads.
#[test]
fn threads_share_the_cores_of_their_instance() {
    let runs = Runs::of(
        16,
        r#"
        version = 1
        run = { warmup = "2s", duration = "60s" }
        arrivals.rate = "600/s"
        service.web = { cores = 1, threads = 200 }
        operation.hash = { share = 1, flow = [{ threads.exponential = "1ms" }] }
        "#,
    );
    check("threads", &runs.latency_mean_s(), 0.03, |s| sharing_mean_s(600.0, 1e-3 * s));
}

/// Answers share a link of 1 MB/s.
#[test]
fn link_is_insensitive() {
    for law in ["= \"1KB\"", ".exponential = \"1KB\"", ".lognormal = { mean = \"1KB\", cv = 2 }"] {
        let runs = Runs::of(
            16,
            &format!(
                r#"
                version = 1
                run = {{ warmup = "2s", duration = "100s" }}
                arrivals.rate = "600/s"
                service.web = {{}}
                link.out = {{ bandwidth = "8Mbit/s", carries = "service.web" }}
                operation.ask = {{ share = 1, flow = [{{ reply.bytes{law} }}] }}
                "#
            ),
        );
        let what = format!("link, {law}");
        check(&what, &runs.latency_mean_s(), 0.03, |s| sharing_mean_s(600.0, 1e-3 * s));
        let busy = runs.at("link.out", |station| station.utilisation());
        check(&what, &busy, 0.03, |s| 0.6 * s);
    }
}

/// Writes reach a replica as a Poisson stream (the output of M/G/infinity) and are replayed one by
/// one: its lag is the shipping delay and the response of M/G/1.
#[test]
fn replica_lag_is_mg1() {
    let law = "write.lognormal = { mean = \"4ms\", cv = 2 }";
    let flow = format!("operation.put.flow=[{{ query = {{ pool = \"pg\", {law} }} }}]");
    let runs = Runs::over(20, "replica.toml", &[&flow]);
    let lag = runs.observe(|it| it.replica_lag_s("database.main.replicas"));
    check("lag", &lag, 0.05, |s| {
        let queue = Mg1 { arrival_rate_per_s: 300.0, service_s: 2e-3 * s, service_scv: 4.0 };
        5e-3 + queue.wait_mean_s() + 2e-3 * s
    });
}
