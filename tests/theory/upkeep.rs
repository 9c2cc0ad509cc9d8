//! Locks, volumes, credits and standbys of a database.

use loadbearing::theory::Mg1;

use crate::{Runs, check};

const SHOP: &str = r#"
    version = 1
    run = { warmup = "5s", duration = "100s" }
    [service.web]
    [pool.pg]
    service = "web"
    database = "main"
    size = 500
    [database.main]
    cores = 64
    max_connections = 1_000
    rtt = "0ms"
    connect = "0ms"
    [operation.ask]
    share = 1
"#;

fn mg1(rate_per_s: f64, service_s: f64, service_scv: f64) -> Mg1 {
    Mg1 { arrival_rate_per_s: rate_per_s, service_s, service_scv }
}

/// A row is a server whose service is the time to the end of the transaction: M/G/1, whatever the
/// number of cores. Here a statement of 1 ms and an exponential pause of 4 ms.
#[test]
fn a_hot_row_is_mg1() {
    let runs = Runs::of(
        20,
        &format!(
            r#"{SHOP}
            flow = [{{ transaction = {{ pool = "pg", flow = [
              {{ query = {{ pool = "pg", write = "1ms", on = "t" }} }},
              {{ wait.exponential = "4ms" }},
            ] }} }}]
            [arrivals]
            rate = "140/s"
            [keys.one]
            count = 1
            [relation.t]
            database = "main"
            rows = "one"
            "#
        ),
    );
    let scv = 16.0 / 25.0;
    check("hot row", &runs.latency_mean_s(), 0.05, |s| {
        mg1(140.0, 5e-3 * s, scv).wait_mean_s() + 5e-3 * s
    });
}

/// A volume serves the operations of statements first come, first served: M/D/1 when each
/// statement is one.
#[test]
fn a_volume_is_md1() {
    let runs = Runs::of(
        20,
        &format!(
            r#"{SHOP}
            flow = [{{ query = {{ pool = "pg", read = "1ms" }} }}]
            [database.main.storage]
            iops = "500/s"
            [arrivals]
            rate = "350/s"
            "#
        )
        .replace("cores = 64", "cpu_share = \"0%\""),
    );
    check("volume", &runs.latency_mean_s(), 0.03, |s| {
        mg1(350.0, 2e-3 * s, 0.0).wait_mean_s() + 2e-3 * s
    });
}

/// The first of three standbys that answer, and the second: order statistics of exponentials.
#[test]
fn a_quorum_is_an_order_statistic() {
    for (quorum, factor) in [(1, 1.0 / 3.0), (2, 1.0 / 3.0 + 1.0 / 2.0)] {
        let runs = Runs::of(
            12,
            &format!(
                r#"{SHOP}
                flow = [{{ query = {{ pool = "pg", write = "1ms" }} }}]
                [database.main.standby]
                count = 3
                quorum = {quorum}
                rtt.exponential = "6ms"
                [arrivals]
                rate = "300/s"
                "#
            ),
        );
        check("quorum", &runs.latency_mean_s(), 0.03, |s| 1e-3 + 6e-3 * s * factor);
    }
}
