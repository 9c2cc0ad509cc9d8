//! Zones of a region, and the way from one to another.

use crate::support::{ms, run};

/// Two of what asks, in two zones, and one of what is asked, in the first.
const APART: &str = r#"
[region.here]
zones = 2
zone_rtt = "4ms"
[service.web]
instances = 2
hop = "0ms"
[service.api]
hop = "0ms"
[pool.pg]
service = "web"
database = "main"
[database.main]
rtt = "0ms"
connect = "0ms"
connect_cpu = "0ms"
[cache.redis]
rtt = "0ms"
command = "0ms"
[keys.k]
count = 1
[operation.work]
share = 1
service = "web"
flow = [{ wait = "1ms" }]
"#;

fn mean_ms(flow: &str, sets: &[&str]) -> f64 {
    let flow = format!("operation.work.flow=[{flow}]");
    // What begins with a bracket is a further component.
    let (more, sets): (Vec<&str>, Vec<&str>) = sets.iter().partition(|it| it.starts_with('['));
    let text = format!("{APART}{}", more.concat());
    let ran = run(&text, &[&[flow.as_str()], &sets[..]].concat());
    assert_eq!(ran.ok(), 10);
    (ran.mean_s() * 1e5).round() / 1e2
}

#[test]
fn what_stands_in_another_zone_is_further_away() {
    let one = "region.here.zones=1";
    // Five requests of ten come to the instance of the other zone; its first opens a connection there.
    let statements = "{query={pool='pg', read='2ms'}}, {query={pool='pg', read='2ms'}}";
    assert_eq!(mean_ms(statements, &[one]), 4.0);
    assert_eq!(mean_ms(statements, &["region.here.zone_rtt=0ms"]), 4.0);
    assert_eq!(mean_ms(statements, &[]), 4.0 + (5.0 * 2.0 * 4.0 + 3.0 * 4.0) / 10.0);
    // A pooler stands beside its primary.
    let through = ["[pooler.p]\ndatabase='main'\nrtt='0ms'\nconnect='0ms'\n", "pool.pg.through=p"];
    assert_eq!(
        mean_ms(statements, &through),
        mean_ms(statements, &[through[0], through[1], one]) + 5.2
    );
    // Replicas stand in the zone after their primary.
    let reads = ["database.main.replicas=1", "pool.pg.reads=replicas", "service.web.instances=1"];
    assert_eq!(mean_ms(statements, &reads), 4.0 + (10.0 * 2.0 * 4.0 + 3.0 * 4.0) / 10.0);
    // Commands.
    let commands = "{ cache = { in='redis', keys='k', miss=[{ wait='1ms' }] } }";
    let cold = mean_ms(commands, &[one]);
    let crosses = mean_ms(commands, &["service.web.instances=1"]);
    assert_eq!(crosses, cold);
    let apart = mean_ms(commands, &[]);
    assert!((apart - cold - 0.5 * 4.0).abs() <= 0.4, "{apart} {cold}");
}

#[test]
fn calls_and_balancers_cross_zones() {
    let call = "{call={service='api', flow=[{wait='1ms'}]}}";
    // Who calls is in the other zone half of the time.
    assert_eq!(mean_ms(call, &["region.here.zones=1"]), 1.0);
    assert_eq!(mean_ms(call, &[]), 1.0 + 2.0);
    // So is who is called.
    assert_eq!(mean_ms(call, &["service.web.instances=1", "service.api.instances=2"]), 1.0 + 2.0);
    // The only node of a balancer stands in the first zone.
    let balancer = ["[balancer.lb]\nservice='web'\nhop='0ms'\n"];
    assert_eq!(mean_ms("{wait='1ms'}", &[]), 1.0);
    assert_eq!(mean_ms("{wait='1ms'}", &balancer), 1.0 + 2.0);
    let of_api = ["[balancer.lb]\nservice='api'\nhop='0ms'\n"];
    assert_eq!(mean_ms(call, &of_api), 1.0 + 2.0);
}

#[test]
fn a_standby_takes_over_in_another_zone() {
    let fault = "fault.f={target='database.main', what='failover', at='5500ms', for='100ms'}";
    let sets =
        ["service.web.instances=1", "operation.work.flow=[{query={pool='pg', read='2ms'}}]", fault];
    let ran = run(APART, &sets);
    assert_eq!((ran.shortest(), ran.longest()), (ms(2), ms(2 + 4 + 3 * 4)));
    // 1 to 5 s in the same zone; then one that opens a connection, and four.
    assert!((ran.mean_s() - 0.001 * (10.0 * 2.0 + 5.0 * 4.0 + 12.0) / 10.0).abs() < 1e-5);
}
