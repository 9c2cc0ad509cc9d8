//! What is left must carry the load: zones and deploys against M/M/1.

use loadbearing::theory::Mm1;

use crate::{Runs, check};

/// Six instances at half of what they can do, in three zones, each chosen at random.
const ZONES: &str = r#"
version = 1
[run]
warmup = "30s"
duration = "60s"
[region.here]
zones = 3
[arrivals]
rate = "1_500/s"
users = 1_000_000
[balancer.front]
service = "web"
policy = "random"
hop = "0ms"
[service.web]
region = "here"
instances = 6
[operation.page]
share = 1
flow = [{ cpu.exponential = "2ms" }]
"#;

/// Without one of N zones the others carry N / (N - 1) of what they did.
#[test]
fn the_zones_that_are_left_carry_the_load() {
    let mean = |left: f64| {
        move |stretch: f64| {
            let each = Mm1 { arrival_rate_per_s: 1_500.0 / left, service_s: 2e-3 * stretch };
            each.response_mean_s()
        }
    };
    let whole = Runs::set(10, ZONES, &[]);
    check("three zones", &whole.latency_mean_s(), 0.03, mean(6.0));
    let fault = "fault.az={target='region.here', what='stop', zone=2, at='0s'}";
    // Gone before anything is measured: what the balancer still sends there fails.
    let sets = [
        fault,
        "balancer.front.kind=nginx",
        "balancer.front.ejection={max-fails={timeout='10min'}}",
    ];
    let lost = Runs::set(10, ZONES, &sets);
    check("two zones", &lost.latency_mean_s(), 0.03, mean(4.0));
}

/// Clients who come at random and stay for a while: Poisson many, whatever the law of their stay.
#[test]
fn open_sockets_are_an_infinite_server() {
    const CHAT: &str = r#"
version = 1
[run]
warmup = "100s"
duration = "400s"
[arrivals]
rate = "1/s"
[service.web]
[socket.chat]
service = "web"
opens = "10/s"
lasts.exponential = "10s"
transport = "websocket"
connect_cpu = "10us"
ping_interval = "1s"
ping_cpu = "1ms"
[operation.page]
share = 1
flow = [{ wait = "1ms" }]
"#;
    for lasts in ["{exponential='10s'}", "10s", "{lognormal={mean='10s', cv=1}}"] {
        let runs = Runs::set(20, CHAT, &[&format!("socket.chat.lasts={lasts}")]);
        let held = runs.at("socket.chat", |station| station.held_mean);
        check(&format!("M/G/infinity {lasts}"), &held, 0.05, |stretch| 100.0 * stretch);
    }
    // Pings of a connection: one a second, the first after a second.
    let runs = Runs::set(20, CHAT, &["socket.chat.lasts=10.5s"]);
    let busy = runs.at("service.web", |station| station.busy_mean);
    check("pings", &busy, 0.05, |stretch| (10.0 * 10.0 * 1e-3 + 10.0 * 10e-6) * stretch);
}
