//! Cells that nobody has measured: every setting that a measured server can vary is understood in values
//! between and beyond those measured, answers move in the direction that they must, and what the map
//! does not know is named.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use loadbearing::experiment::Silent;
use loadbearing::reality::{Cell, Figure, Measurements, Way, compare};

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// A measured cell, as its file has it, with other values at some places.
fn varied(base: &str, changes: &[(&str, Value)]) -> Cell {
    let cells = |file: &str| -> Vec<Value> {
        let text = fs::read_to_string(format!("reality/{file}")).expect("readable");
        serde_json::from_str(&text).expect("cells")
    };
    let all = ["params.json", "pooled_params.json"].into_iter().flat_map(cells);
    let mut cell = all.into_iter().find(|cell| cell["id"] == base).expect("a cell");
    cell["id"] = json!("unseen");
    cell["seeds"] = json!([1, 2]);
    for (path, value) in changes {
        *cell.pointer_mut(path).unwrap_or_else(|| panic!("{base} has no {path}")) = value.clone();
    }
    serde_json::from_value(cell).expect("a cell")
}

fn measurements() -> Measurements {
    let folder = Path::new("reality");
    Measurements::read(folder, folder).expect("measurements of the repository")
}

fn predicted(cell: &Cell, figure: Figure) -> Result<f64, String> {
    let found = compare(&measurements(), cell, Way::Replay(1), &mut read, &Silent)?;
    Ok(found[0].figure(figure).map_or(0.0, |it| it.simulated.mean))
}

/// Which way a figure goes while a setting grows.
#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Grows,
    Shrinks,
}
use Direction::{Grows, Shrinks};

fn sweep(base: &str, path: &str, values: &[Value], figure: Figure, way: Direction) {
    let at = |value: &Value| {
        let cell = varied(base, &[(path, value.clone())]);
        predicted(&cell, figure).unwrap_or_else(|why| panic!("{base}, {path} = {value}: {why}"))
    };
    let found: Vec<f64> = values.iter().map(at).collect();
    assert!(found.iter().all(|it| it.is_finite() && *it >= 0.0), "{base}, {path}: {found:?}");
    for pair in found.windows(2) {
        // Noise of two short runs aside, and with teeth: the whole sweep moves by more than it.
        let fine = match way {
            Grows => pair[1] >= 0.98 * pair[0],
            Shrinks => pair[1] <= 1.02 * pair[0],
        };
        assert!(fine, "{base}, {path} over {values:?}: {found:?}");
    }
    let (first, last) = (found[0], found[found.len() - 1]);
    let moved = if way == Grows { last > 1.05 * first } else { last < 0.95 * first };
    assert!(moved, "{base}, {path} over {values:?} moves nothing: {found:?}");
}

fn rates(rates: &[f64]) -> Vec<Value> {
    rates.iter().map(|rate| json!([[0, rate]])).collect()
}

fn numbers(values: &[u32]) -> Vec<Value> {
    values.iter().map(|value| json!(value)).collect()
}

#[test]
fn pools_of_other_sizes_under_other_loads() {
    let load = "/load/segments";
    sweep("R1-p10-rho60", load, &rates(&[20.0, 120.0, 180.0, 215.0, 235.0]), Figure::Mean, Grows);
    let sizes = numbers(&[4, 6, 8, 15, 40]);
    sweep("R1-p10-rho60", "/server/env/PG_MAX", &sizes, Figure::Quantile(95), Shrinks);
    let patience = numbers(&[20, 100, 400, 1_500]);
    sweep("R2-p10-x1.3", "/server/env/PG_CONN_TIMEOUT", &patience, Figure::Timeouts, Shrinks);
    sweep("R2-p10-x1.3", "/server/env/PG_CONN_TIMEOUT", &patience, Figure::Mean, Grows);
    sweep("R3-N50", "/load/users", &numbers(&[10, 100, 240, 400]), Figure::Throughput, Grows);
    sweep("R3-N250", "/load/think_ms", &numbers(&[200, 900, 2_000]), Figure::Mean, Shrinks);
}

#[test]
fn loops_that_block_for_longer_or_are_more() {
    let length = "/load/classes/1/svc/mean";
    sweep("R4-1w-20ms-r250", length, &numbers(&[2, 10, 25, 40]), Figure::Mean, Grows);
    sweep("R4-2w-20ms-r400", length, &numbers(&[5, 20, 45]), Figure::Quantile(95), Grows);
    let rate = varied("R4-2w-20ms-r400", &[("/load/segments", json!([[0, 200]]))]);
    assert!(predicted(&rate, Figure::Mean).expect("understood") > 10.0);
    sweep("R4-2w-20ms-r400", "/server/workers", &numbers(&[2, 3]), Figure::Mean, Shrinks);
}

#[test]
fn proxies_with_other_methods_before_more_or_fewer_processes() {
    sweep("R5-rr-r300", "/server/procs", &numbers(&[3, 4, 6]), Figure::Mean, Shrinks);
    sweep("R5-lc-r300", "/load/segments", &rates(&[100.0, 250.0, 320.0]), Figure::Mean, Grows);
    let method = |text: &str| {
        let cell = varied("R5-rr-r300", &[("/server/nginx", json!(text))]);
        predicted(&cell, Figure::Mean).expect("understood")
    };
    let (turns, least) = (method(""), method("least_conn;"));
    let (any, two) = (method("random;"), method("random two least_conn;"));
    assert!(least < 0.9 * turns && two < 0.9 * any && turns < any, "{turns} {least} {any} {two}");
}

#[test]
fn caches_that_keep_for_longer_or_hold_more() {
    let ttl = numbers(&[500, 5_000, 20_000]);
    sweep("R6-ttl-sf-r200", "/server/env/CACHE_TTL_MS", &ttl, Figure::Hits, Grows);
    let sizes = [200, 1_000, 3_000].map(|entries| {
        json!(["--maxmemory", 964_000 + 4_176 * entries, "--maxmemory-policy", "allkeys-lru"])
    });
    sweep("R6-lru1000-r300", "/server/redis", &sizes, Figure::Hits, Grows);
    let policy = |policy: &str| {
        let redis = json!(["--maxmemory", 5_140_000, "--maxmemory-policy", policy]);
        let cell = varied("R6-lru1000-r300", &[("/server/redis", redis)]);
        predicted(&cell, Figure::Hits).expect("understood")
    };
    assert!(policy("allkeys-lru") > policy("allkeys-random"));
    let skew = [0.6, 0.9, 1.2].map(|it| json!(it));
    sweep("R6-ttl-nosf-r200", "/load/zipf_s", &skew, Figure::Hits, Grows);
}

#[test]
fn guards_limits_and_retries_with_other_numbers() {
    let share = [0.5, 0.75, 0.95].map(|it| json!(it));
    sweep("R7-guard-x1.2", "/server/env/GUARD", &share, Figure::Rejected, Shrinks);
    let most = numbers(&[20, 100, 300]);
    sweep("R7-limit100", "/server/env/RATE_LIMIT", &most, Figure::Rejected, Shrinks);
    let window = numbers(&[10_000, 30_000, 60_000]);
    sweep("R7-limit100", "/server/env/RATE_WINDOW_MS", &window, Figure::Rejected, Grows);
    sweep(
        "R7-guard-x1.2-retry",
        "/load/retry/tries",
        &numbers(&[1, 2, 4]),
        Figure::Attempts,
        Grows,
    );
    let base = numbers(&[20, 200, 1_000]);
    sweep("R7-guard-x1.2-retry", "/load/retry/base_ms", &base, Figure::Mean, Grows);
}

#[test]
fn sqlalchemy_with_other_pools() {
    let rate = rates(&[40.0, 120.0, 140.0, 170.0]);
    sweep("R9-r60", "/load/segments", &rate, Figure::Mean, Grows);
    let overflow = |size: u32, more: u32| {
        let changes = [
            ("/server/env/POOL_SIZE", json!(size)),
            ("/server/env/MAX_OVERFLOW", json!(more)),
            ("/load/segments", json!([[0, 100]])),
        ];
        predicted(&varied("R9-r60", &changes), Figure::Mean).expect("understood")
    };
    let found = [overflow(5, 3), overflow(5, 5), overflow(5, 10), overflow(20, 10)];
    assert!(found.is_sorted_by(|a, b| 1.02 * a >= *b) && found[0] > 5.0 * found[3], "{found:?}");
    // Eleven connections are eleven, whoever keeps them; those that come and go take a little more.
    let (kept, come_and_go) = (overflow(15, 0), overflow(5, 10));
    assert!(come_and_go > kept && come_and_go < 1.1 * kept, "{kept} {come_and_go}");
    let timeout = numbers(&[1, 2, 4]);
    sweep("R9-r200", "/server/env/POOL_TIMEOUT", &timeout, Figure::Timeouts, Shrinks);
}

#[test]
fn poolers_with_other_numbers() {
    let of = |name: &str| format!("/server/pgbouncer/{name}");
    let size = numbers(&[6, 8, 12]);
    sweep("P-tx8-rho80", &of("default_pool_size"), &size, Figure::Mean, Shrinks);
    sweep("P-tx8-rho50", "/load/segments", &rates(&[40.0, 120.0, 180.0]), Figure::Mean, Grows);
    let patience = [0.5, 1.0, 2.0].map(|it| json!(it));
    sweep("P-wait1s-x1.3", &of("query_wait_timeout"), &patience, Figure::Mean, Grows);
    let clients = numbers(&[15, 20, 24, 30]);
    sweep("P-clients24-r190", &of("max_client_conn"), &clients, Figure::Failed, Shrinks);
    let reserve = numbers(&[1, 2, 4]);
    sweep("P-reserve3-x1.1", &of("reserve_pool_size"), &reserve, Figure::Mean, Shrinks);
    let after = [0.3, 1.0, 2.0].map(|it| json!(it));
    sweep("P-reserve3-x1.1", &of("reserve_pool_timeout"), &after, Figure::Quantile(95), Grows);
    let sessions = numbers(&[6, 9, 14]);
    sweep("P-session12-r150", &of("default_pool_size"), &sessions, Figure::Timeouts, Shrinks);
    // One process without a proxy is a deployment, too.
    let mut alone = varied("P-tx8-rho50", &[("/server/procs", json!(1))]);
    alone.server.more.remove("nginx");
    let beside = varied("P-tx8-rho50", &[("/server/procs", json!(1))]);
    let [alone, beside] =
        [alone, beside].map(|cell| predicted(&cell, Figure::Mean).expect("understood"));
    assert!(beside > alone && beside < alone + 1.0, "{beside} {alone}");
}

#[test]
fn what_the_map_does_not_know_is_named() {
    let refuse = |cell: &Cell| predicted(cell, Figure::Mean).expect_err("unknown");
    let mut cell = varied("R1-p10-rho60", &[]);
    cell.server.env.insert("PG_SSL".into(), json!(true));
    assert_eq!(refuse(&cell), "unseen: the map does not say what `PG_SSL` = `true` means");
    let nginx = varied("R5-rr-r300", &[("/server/nginx", json!("ip_hash;"))]);
    assert_eq!(refuse(&nginx), "unseen: the map does not say what `nginx` = `ip_hash;` means");
    let pooler = varied("P-tx8-rho50", &[("/server/pgbouncer/pool_mode", json!("transaction"))]);
    let mut unknown = pooler.clone();
    *unknown.server.more.get_mut("pgbouncer").expect("it has one") = json!({"query_timeout": 3});
    let why = "unseen: the map does not say what `pgbouncer.query_timeout` = `3` means";
    assert_eq!(refuse(&unknown), why);
    let kind = varied("R1-p10-rho60", &[("/server/kind", json!("deno"))]);
    assert_eq!(refuse(&kind), "unseen: the map has no topology for it");
    let path = varied("R1-p10-rho60", &[("/load/classes/0/path", json!("/upload?ms={ms}"))]);
    assert!(refuse(&path).contains("`/upload`"), "{}", refuse(&path));
    let redis = json!(["--maxmemory", 1_000_000, "--maxmemory-policy", "newest"]);
    let policy = varied("R6-lru1000-r300", &[("/server/redis", redis)]);
    assert!(refuse(&policy).contains("newest"), "{}", refuse(&policy));
}
