//! What poolers, volumes, brokers, sockets and objects cost, worked out by hand.

use loadbearing::result::Summary;
use loadbearing::run::Counter;

use crate::support::{Ran, run};

/// Minutes and hours of the month that prices are stated for.
const HOURS: f64 = 730.0;

/// Dollars a month of a line of the bill.
fn dollars(ran: &Ran, of: &str) -> f64 {
    let summary = Summary::new(&ran.model, std::slice::from_ref(&ran.outcome));
    summary.costs.iter().find(|line| line.of == of).expect(of).dollars_month
}

/// Where the price of a line is stated.
fn source(ran: &Ran, of: &str) -> Option<String> {
    ran.model.costs.iter().find(|cost| cost.path == of).expect(of).source.clone()
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6 * expected.max(1.0), "{found} for {expected}");
}

const SHOP: &str = r#"
[service.web]
[database.db]
cores = 4
shards = 2
replicas = 1
storage = { iops = "5_000/s" }
standby = {}
[pooler.proxy]
kind = "rds-proxy"
database = "db"
[pool.pg]
service = "web"
database = "db"
through = "proxy"
[operation.work]
share = 1
flow = [{ query = { pool = "pg", read = "1ms" } }]
"#;

#[test]
fn a_pooler_costs_by_the_cores_behind_it() {
    let price = |price: &str, cores: &str| {
        let price = format!("pooler.proxy.price={price}");
        dollars(&run(SHOP, &[&price, cores]), "pooler.proxy")
    };
    // Two primaries and a replica of each, of four cores.
    near(price("{ per_vcpu_hour = '$0.015' }", "run.seed=1"), 0.015 * 16.0 * HOURS);
    // Two cores at least.
    near(price("{ per_vcpu_hour = '$0.015' }", "database.db.cores=1"), 0.015 * 8.0 * HOURS);
    near(price("'$12'", "run.seed=1"), 12.0);
    let ran = run(SHOP, &["pooler.proxy.price={ monthly = '$1', source = 'list' }"]);
    assert_eq!(source(&ran, "pooler.proxy").as_deref(), Some("list"));
}

#[test]
fn a_volume_costs_by_its_size_and_what_it_grants() {
    let price = |price: &str| {
        let price = format!("database.db.storage.price={price}");
        dollars(&run(SHOP, &[&price]), "database.db.storage")
    };
    // Of each shard a primary, a replica and a standby.
    near(price("'$0.115'"), 6.0 * 20.0 * 0.115);
    near(price("{ per_gb_month = '$0.115', size = '100GiB' }"), 6.0 * 11.5);
    let beyond = price("{ per_gb_month = '$0', per_iops_month = '$0.02' }");
    near(beyond, 6.0 * 2_000.0 * 0.02);
    let fewer = price("{ per_gb_month = '$0', per_iops_month = '$0.02', included = '4_500/s' }");
    near(fewer, 6.0 * 500.0 * 0.02);
    // RDS includes 12,000 from 400 GiB on.
    let large = |sets: &[&str]| {
        let price = "database.db.storage.price={ per_gb_month = '$0', per_iops_month = '$0.02', size = '400GiB' }";
        let rds =
            ["database.db.plan={ rds = '64GiB' }", "database.db.storage.iops=13_000/s", price];
        dollars(&run(SHOP, &[&rds, sets].concat()), "database.db.storage")
    };
    near(large(&[]), 6.0 * 1_000.0 * 0.02);
    near(large(&["database.db.storage.price.size='399GiB'"]), 6.0 * 10_000.0 * 0.02);
    let ran = run(SHOP, &["database.db.storage.price={ per_gb_month = '$1', source = 'list' }"]);
    assert_eq!(source(&ran, "database.db.storage").as_deref(), Some("list"));
}

#[test]
fn brokers_and_what_they_keep_cost_their_price() {
    let text = "[service.web]\n[stream.s]\nkind.kafka = {}\n[operation.work]\nshare = 1\n\
                flow = [{ publish = 's' }]\n";
    let price = |sets: &[&str], of: &str| {
        let ran = run(text, sets);
        (dollars(&ran, of), ran.count("stream.s", Counter::Bytes) as f64)
    };
    let broker = "stream.s.kind.kafka.price='$150'";
    near(price(&[broker], "stream.s").0, 450.0);
    near(price(&[broker, "stream.s.kind.kafka.brokers=5"], "stream.s").0, 750.0);
    // Ten messages of 1 KB in 10.5 s, of which each of three brokers keeps those of a week.
    let kept = "stream.s.kind.kafka.per_gb_month='$100000'";
    let (found, bytes) = price(&[kept], "stream.s.kept");
    assert_eq!(bytes, 10_000.0);
    near(found, 10e3 / 10.5 * 7.0 * 86_400.0 / 1e9 * 3.0 * 1e5);
    let (day, _) = price(&[kept, "stream.s.kind.kafka.retention=1day"], "stream.s.kept");
    near(day, found / 7.0);
}

#[test]
fn sockets_cost_by_their_messages_and_minutes() {
    let text = "[service.web]\n[socket.chat]\nservice = 'web'\nconnections = 10\nmessages = '10/s'\n\
                [operation.work]\nshare = 1\nflow = [{ cpu = '0ms' }]\n";
    let price = |price: &str, more: &str| {
        let price = format!("socket.chat.price={price}");
        let ran = run(text, &[&price, more]);
        let messages = [Counter::Reads, Counter::Served].map(|it| ran.count("socket.chat", it));
        (dollars(&ran, "socket.chat"), messages.iter().sum::<u64>() as f64)
    };
    // Ten connections all the time.
    let (minutes, _) = price("{ per_million_minutes = '$0.25' }", "run.seed=1");
    near(minutes, 10.0 * HOURS * 60.0 / 1e6 * 0.25);
    let month = HOURS * 3_600.0 / 10.5;
    let (small, messages) = price("{ per_million_messages = '$1' }", "run.seed=1");
    assert!(messages > 900.0, "each to ten: {messages}");
    near(small, messages * month / 1e6);
    // Of 80 KB each is three.
    let (large, messages) = price("{ per_million_messages = '$1' }", "socket.chat.size=80KB");
    near(large, 3.0 * messages * month / 1e6);
    let (finer, messages) = price("{ per_million_messages = '$1', unit = '500B' }", "run.seed=1");
    near(finer, 2.0 * messages * month / 1e6);
    near(price("'$7'", "run.seed=1").0, 7.0);
    let ran = run(text, &["socket.chat.price={ monthly = '$1', source = 'list' }"]);
    assert_eq!(source(&ran, "socket.chat").as_deref(), Some("list"));
}

#[test]
fn objects_cost_for_as_long_as_they_are_kept() {
    let text = "[service.web]\n[store.s3]\n[operation.work]\nshare = 1\n\
                flow = [{ put = { in = 's3', bytes = '1MB' } }]\n";
    let price = |more: &str| {
        let ran = run(text, &["store.s3.price.per_gb_month='$23'", more]);
        (dollars(&ran, "store.s3"), ran.count("store.s3", Counter::Stored))
    };
    // Ten of 1 MB in 10.5 s, which stand for half of the first month.
    let (half, bytes) = price("run.seed=1");
    assert_eq!(bytes, 10_000_000);
    let month = 0.010 * HOURS * 3_600.0 / 10.5;
    near(half, month * 0.5 * 23.0);
    near(price("store.s3.expires_after=7day").0, month * 7.0 * 24.0 / HOURS * 23.0);
    near(price("store.s3.stored=500GB").0, half + 500.0 * 23.0);
}
