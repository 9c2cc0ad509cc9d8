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
