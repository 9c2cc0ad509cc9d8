//! Faults: what, where, when, for how long, how many.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;
use loadbearing::units::Time;

use crate::support::{Ran, ms, run};

/// A user who comes every second and reads for 10 ms; everything within reach.
const SHOP: &str = r#"
[region.here]
rtt = "20ms"
[region.there]
users = "0%"
[route.here.there]
rtt = "60ms"
[region.here.users_]
[balancer.front]
service = "web"
hop = "0ms"
[service.web]
region = "here"
instances = 2
[service.far]
region = "there"
[pool.pg]
service = "web"
database = "main"
[database.main]
region = "here"
rtt = "2ms"
connect = "4ms"
replicas = 1
[cache.redis]
region = "here"
rtt = "2ms"
command = "1ms"
[keys.k]
count = 1
[link.up]
bandwidth = "8Mbit/s"
carries = "service.web"
[cdn.edge]
keys = "k"
edge_rtt = "10ms"
[queue.q]
region = "here"
[job.j]
queue = "q"
work = "100ms"
[operation.read]
share = 1
service = "web"
flow = [{ query = { pool = "pg", read = "10ms" } }, { reply = "0B" }]
"#;

fn shop(sets: &[&str]) -> Ran {
    let text = SHOP
        .replace("[region.here.users_]\n", "")
        .replace("rtt = \"20ms\"\n", "rtt = \"20ms\"\nusers = \"100%\"\n");
    run(&text, sets)
}

const CPU: &str = "operation.read.flow=[{cpu='10ms'}]";

#[test]
fn a_stopped_component_comes_back_after_its_time() {
    let fault = "fault.f={target='database.main', what='stop', at='2500ms', for='3s'}";
    let ran = shop(&[fault]);
    // Those who come at 3, 4 and 5 s; two instances, so two pools, and each has to connect again.
    assert_eq!(ran.failed(Failure::DatabaseDown), 3);
    assert_eq!((ran.ok(), ran.count("pool.pg", Counter::Opened)), (7, 4));
    assert_eq!(ran.count("pool.pg", Counter::Refused), 3);
    let mark = ran.outcome.faults[0];
    let at = |length| Time::ZERO + ms(length);
    assert_eq!((mark.from, mark.until, mark.units), (at(2500), Some(at(5500)), 1));
    // For ever, and from the start.
    let ran = shop(&["fault.f={target='database.main', what='stop'}"]);
    assert_eq!((ran.failed(Failure::DatabaseDown), ran.outcome.faults[0].until), (10, None));
    // The replicas are nobody's here.
    let ran = shop(&["fault.f={target='database.main.replicas', what='stop'}"]);
    assert_eq!(ran.ok(), 10);
    let both = "fault.f={target=['cache.redis', 'database.main'], what='stop'}";
    assert_eq!(shop(&[both]).outcome.faults[0].units, 2);
}

#[test]
fn a_fault_strikes_so_many_or_such_a_share() {
    let failed = |how: &str| {
        let fault = format!("fault.f={{target='service.web', what='stop'{how}}}");
        let ran = shop(&[CPU, &fault]);
        (ran.outcome.faults[0].units, ran.failed(Failure::InstanceLost))
    };
    assert_eq!(failed(""), (2, 10));
    assert_eq!(failed(", count=1"), (1, 5));
    assert_eq!(failed(", share='50%'"), (1, 5));
    assert_eq!(failed(", share='70%'"), (1, 5));
    assert_eq!(failed(", share='80%'"), (2, 10));
}

#[test]
fn a_fault_comes_again_and_each_unit_at_times_of_its_own() {
    let marks = |more: &str| {
        let fault =
            format!("fault.f={{target='service.web', what='stop', every='2s', for='500ms'{more}}}");
        let ran = shop(&[CPU, &fault]);
        let from = |mark: &loadbearing::run::FaultMark| mark.from.since(Time::ZERO).0 / ms(1).0;
        ran.outcome.faults.iter().map(from).collect::<Vec<u64>>()
    };
    // At first after 2 s, then 2 s after each end.
    assert_eq!(marks(""), [2000, 4500, 7000, 9500]);
    assert_eq!(marks(", at='1s'"), [1000, 3500, 6000, 8500]);
    assert_eq!(marks(", apart=true"), [2000, 2000, 4500, 4500, 7000, 7000, 9500, 9500]);
    assert_eq!(marks(", apart=true, count=1"), [2000, 4500, 7000, 9500]);
    let random = "fault.f={target='service.web', what='stop', every={exponential='2s'}, \
                  for={exponential='1s'}, apart=true}";
    let ran = shop(&[CPU, random]);
    let first = ran.outcome.faults[0];
    assert!(ran.outcome.faults.iter().any(|mark| mark.process != first.process));
}

#[test]
fn what_is_slow_takes_so_many_times_as_long() {
    let slow = |target: &str, sets: &[&str]| {
        let fault = format!("fault.f={{target='{target}', what={{slow=3}}}}");
        shop(&[&[fault.as_str()], sets].concat()).longest()
    };
    assert_eq!(slow("service.web", &[CPU]), ms(20 + 30));
    // The statement, and what of opening the first connection is its CPU.
    let opens = |cpu: &str| format!("database.main.connect_cpu={cpu}");
    assert_eq!(slow("database.main", &[&opens("0s")]), ms(20 + 4 + 2 + 30));
    assert_eq!(slow("database.main", &[&opens("1ms")]), ms(20 + 3 + 3 + 2 + 30));
    assert_eq!(slow("database.main", &[]), ms(20 + 12 + 2 + 30));
    assert_eq!(slow("pool.pg", &[&opens("0s")]), ms(20 + 12 + 2 + 10));
    let cached = "operation.read.flow=[{cache={in='redis', keys='k'}}]";
    assert_eq!(slow("cache.redis", &[cached, "run.start.caches=warm"]), ms(20 + 2 + 3));
    let job = "operation.read.flow=[{enqueue={job='j', wait=true}}]";
    assert_eq!(slow("queue.q", &[job]), ms(20 + 300));
    let body = "operation.read.flow=[{reply='10KB'}]";
    let half = "fault.f={target='link.up', what={slow=2}}";
    assert_eq!(shop(&[body, half]).each(), ms(20 + 20));
    let edge = ["operation.read.cdn=edge", "operation.read.flow=[{cpu='10ms'}, {reply='0B'}]"];
    // Longer to the edge than to the service itself: the edge answers from there.
    assert_eq!(slow("cdn.edge", &edge), ms(30 + 10));
    assert_eq!(slow("balancer.front", &[CPU, "balancer.front.hop=1ms"]), ms(20 + 10 + 6));
    let fault = "fault.f={target='service.web', what={slow={times=2}}}";
    assert_eq!(shop(&[CPU, fault]).each(), ms(20 + 20));
    // A region is everything that stands in it.
    assert_eq!(slow("region.here", &[]), ms(20 + 12 + 2 + 30));
}

#[test]
fn what_is_flaky_fails_its_share_at_once() {
    let flaky = |target: &str, why: Failure, sets: &[&str]| {
        let fault = format!("fault.f={{target='{target}', what={{flaky='30%'}}}}");
        let more = ["arrivals.rate=100/s", fault.as_str()];
        let ran = shop(&[&more, sets].concat());
        (ran.failed(why) as f64 / ran.offered() as f64, ran)
    };
    let share = |(share, _): (f64, Ran)| (share - 0.3).abs() < 0.05;
    assert!(share(flaky("service.web", Failure::Answered, &[CPU])));
    assert!(share(flaky("database.main", Failure::QueryError, &[])));
    assert!(share(flaky("balancer.front", Failure::NoInstance, &[CPU])));
    let edge = ["operation.read.cdn=edge", "operation.read.flow=[{reply='0B'}]"];
    assert!(share(flaky("cdn.edge", Failure::UpstreamError, &edge)));
    let job = "operation.read.flow=[{enqueue={job='j', wait=true}}]";
    assert!(share(flaky("queue.q", Failure::JobFailed, &[job, "job.j.work=1ms"])));
    // A failed look-up is a miss, a refused connection a failed request, a lost packet a delay.
    let cached = "operation.read.flow=[{cache={in='redis', keys='k'}}]";
    let (_, ran) = flaky("cache.redis", Failure::CacheError, &[cached]);
    assert!(
        ran.count("cache.redis", Counter::Errors) > 200 && ran.outcome.requests.failed_all() == 0
    );
    let (_, ran) = flaky("pool.pg", Failure::DatabaseDown, &["pool.pg.idle_timeout=1ms"]);
    assert!((250..350).contains(&ran.failed(Failure::DatabaseDown)));
    let (_, ran) = flaky("link.up", Failure::GaveUp, &["operation.read.flow=[{reply='1KB'}]"]);
    assert_eq!((ran.shortest(), ran.longest()), (ms(21), ms(221)));
    let lost =
        ran.count("link.up", Counter::Lost) as f64 / ran.count("link.up", Counter::Arrivals) as f64;
    assert!((lost - 0.3).abs() < 0.05, "{lost}");
}

#[test]
fn a_restarted_cache_has_forgotten_and_a_stopped_one_has_not() {
    let cached = "operation.read.flow=[{cache={in='redis', keys='k'}}]";
    let misses = |what: &str| {
        let fault =
            format!("fault.f={{target='cache.redis', what='{what}', at='4500ms', for='100ms'}}");
        shop(&[cached, &fault]).count("cache.redis", Counter::Misses)
    };
    assert_eq!((misses("stop"), misses("restart")), (1, 2));
    // An edge is purged.
    let edge = ["operation.read.cdn=edge", "operation.read.flow=[{reply='0B'}]"];
    let purge = "fault.f={target='cdn.edge', what='restart', at='4500ms', for='100ms'}";
    assert_eq!(shop(&[edge[0], edge[1], purge]).count("cdn.edge", Counter::Misses), 2);
}

#[test]
fn a_failover_takes_as_long_as_its_product_does() {
    let with = |target: &str, more: &str, standby: &str| {
        let fault = format!("fault.f={{target='{target}', what='failover', at='0s'{more}}}");
        let ran = shop(&["run.duration=100s", &fault, standby]);
        let mark = ran.outcome.faults[0];
        mark.until.expect("it ends").since(mark.from)
    };
    let lasts = |target: &str, more: &str| with(target, more, "run.seed=1");
    let standbys = ["database.main.standby={}", "database.main.standby={ count = 2 }"];
    let found = standbys.map(|standby| with("database.main", "", standby));
    assert_eq!(found, [ms(90_000), ms(35_000)], "an instance, and a cluster of three");
    assert_eq!(lasts("database.main", ""), ms(90_000));
    assert_eq!(lasts("cache.redis", ""), ms(33_000));
    assert_eq!(lasts("database.main", ", for='20s'"), ms(20_000));
}

/// A read each second over a database that is lost at 2.5 s, for 10 s.
fn lost_silently(silent: &str, sets: &[&str]) -> Ran {
    let text = "[service.web]\n[pool.pg]\nservice = 'web'\ndatabase = 'db'\n[database.db]\nrtt = '2ms'\n\
                connect = '0ms'\n[pooler.b]\ndatabase = 'db'\nmode = 'transaction'\nrtt = '0ms'\n\
                connect = '0ms'\n[operation.read]\nshare = 1\n\
                flow = [{ query = { pool = 'pg', read = '10ms' } }]\n";
    let what = format!("what={{failover={{silent='{silent}'}}}}, at='2500ms', for='10s'");
    let fault = format!("fault.f={{target='database.db', {what}}}");
    run(text, &[&[fault.as_str(), "run.duration=19s"], sets].concat())
}

#[test]
fn of_a_machine_that_is_gone_without_a_word_drivers_hear_nothing() {
    let longest = |ran: &Ran| ran.outcome.failed_latency.max().expect("some failed");
    let refused = lost_silently("0s", &[]);
    assert_eq!((refused.failed(Failure::DatabaseDown), longest(&refused)), (10, ms(2)));
    // Until 6.5 s nobody answers. The request of 3 s has a connection that seems sound: TCP repeats its
    // statement last after 6,200 ms, and whoever is there then knows nothing of the connection. Those of 4,
    // 5 and 6 s open connections: their SYN is refused when it is repeated after 3, 3 and 1 s; those from
    // 7 to 12 s are at once.
    let silent = lost_silently("4s", &[]);
    assert_eq!((silent.failed(Failure::DatabaseDown), longest(&silent)), (10, ms(6_202)));
    let mean = silent.outcome.failed_latency.mean_s().expect("some failed");
    assert_eq!((mean * 10_000.0).round() as u64, 6_202 + 3_002 + 3_002 + 1_002 + 6 * 2);
    assert!(silent.ok() >= 7, "it is there again");
    // The time-outs of the driver decide: of the pool for those who connect, of the client for the first.
    let sets = ["pool.pg.acquire_timeout=900ms", "pool.pg.query_timeout=1s"];
    let impatient = lost_silently("4s", &sets);
    let why = [Failure::AcquireTimeout, Failure::QueryTimeout, Failure::DatabaseDown];
    assert_eq!(why.map(|it| impatient.failed(it)), [3, 1, 6]);
    assert_eq!(longest(&impatient), ms(1_000));
    // A statement that had come to the server is never answered; its driver may give up on it.
    let under_way = "operation.read.flow=[{query={pool='pg', read='800ms'}}]";
    let hangs = |timeout: &[&str]| {
        let ran = lost_silently("4s", &[&[under_way, "run.duration=18900ms"], timeout].concat());
        (ran.failed(Failure::QueryTimeout), ran.outcome.requests.in_flight_end)
    };
    assert_eq!(hangs(&[]), (0, 1), "that of 2 s");
    assert_eq!(hangs(&["pool.pg.query_timeout=1s"]), (1, 0));
    // A pooler's openings take as long as it is patient, and its clients wait for as long as they may.
    let through = lost_silently("10s", &["pool.pg.through=b", "pooler.b.wait_timeout=3s"]);
    assert!(through.failed(Failure::AcquireTimeout) >= 5, "who waits at it is disconnected");
}

#[test]
fn a_replica_takes_over_without_what_it_has_not_received() {
    // A write at 1 s, 2 s, ... and a read of it from a replica.
    let text = "[service.web]\n[pool.pg]\nservice = 'web'\ndatabase = 'db'\nreads = 'replicas'\n\
                [database.db]\nreplicas = 1\nlag = '300ms'\nreplay = '0%'\nrtt = '2ms'\n\
                connect = '5ms'\n[operation.save]\nshare = 1\nflow = [\
                { query = { pool = 'pg', write = '10ms' } }, \
                { query = { pool = 'pg', read = '10ms' } }]\n";
    let struck = |sets: &[&str]| {
        let fault = "fault.f={target='database.db', what='promote', at='5030ms', for='1500ms'}";
        run(text, &[&[fault], sets].concat())
    };
    let ran = struck(&[]);
    // The write of 5 s is on its way; the request of 6 s finds nobody.
    assert_eq!(ran.count("database.db", Counter::Lost), 1);
    assert_eq!((ran.failed(Failure::DatabaseDown), ran.ok()), (1, 9));
    // Readers have nobody but the primary from then on.
    let reads = ["database.db.replicas", "database.db"].map(|it| ran.count(it, Counter::Reads));
    assert_eq!(reads, [5, 4]);
    let two = struck(&["database.db.replicas=2"]);
    let reads = ["database.db.replicas", "database.db"].map(|it| two.count(it, Counter::Reads));
    assert_eq!(reads, [9, 0]);
    let near = struck(&["database.db.lag=1ms"]);
    assert_eq!(near.count("database.db", Counter::Lost), 0);
    // What it has received it replays first: three writes of 1.5 s, one after another since 2.5 s, of
    // which the last is done at 7.02 s. Two more were at work when the primary was lost.
    let behind = |replay: &str| {
        let flow = "operation.save.flow=[{query={pool='pg', write='1500ms'}}]";
        let ran = struck(&[replay, flow, "database.db.lag=20ms", "database.db.cores=8"]);
        assert_eq!(ran.count("database.db", Counter::Lost), 0);
        ran.failed(Failure::DatabaseDown)
    };
    assert_eq!(behind("database.db.replay=0%"), 3);
    assert_eq!(behind("database.db.replay=100%"), 4);
    // Pools reconnect to who has taken over.
    assert!(ran.count("pool.pg", Counter::Opened) >= 3);
}

#[test]
fn a_cut_network_repeats_until_it_heals() {
    let cut = |target: &str, from: &str, sets: &[&str]| {
        let fault = format!(
            "fault.f={{target='{target}', what={{cut={{{from}}}}}, at='2900ms', for='500ms'}}"
        );
        let ran = shop(&[&[fault.as_str()], sets].concat());
        assert_eq!(ran.ok(), 10);
        ran.longest()
    };
    // The request of 3 s is sent again after 200, 400 and 800 ms: at 3.6 s it gets through.
    assert_eq!(cut("service.web", "", &[CPU]), ms(600 + 20 + 10));
    assert_eq!(cut("service.web", "from='region.here'", &[CPU]), ms(600 + 20 + 10));
    assert_eq!(cut("service.web", "from='region.there'", &[CPU]), ms(20 + 10));
    // The statement of 3.010 s.
    assert_eq!(cut("database.main", "", &[]), ms(600 + 20 + 2 + 10));
    assert_eq!(cut("database.main", "from='service.web'", &[]), ms(600 + 20 + 2 + 10));
    assert_eq!(cut("database.main", "from='service.far'", &[]), ms(20 + 4 + 2 + 10));
    let cached = "operation.read.flow=[{cache={in='redis', keys='k'}}]";
    assert_eq!(cut("cache.redis", "", &[cached]), ms(600 + 20 + 3));
    assert_eq!(cut("service.web", "from='cache.redis'", &[cached]), ms(600 + 20 + 3));
    let called = "operation.read.flow=[{call={service='far', flow=[{cpu='10ms'}]}}]";
    assert_eq!(cut("region.here", "from='region.there'", &[called]), ms(600 + 20 + 60 + 10));
    assert_eq!(cut("service.far", "from='service.web'", &[called]), ms(600 + 20 + 60 + 10));
    // Connecting has longer pauses: 1 s, then 2 s.
    let connect = [
        "pool.pg.idle_timeout=1ms",
        "fault.f={target='database.main', what='cut', at='2900ms', for='500ms'}",
    ];
    assert_eq!(shop(&connect).longest(), ms(1000 + 20 + 4 + 2 + 10));
}

#[test]
fn who_repeats_in_vain_gives_up_in_the_end() {
    let fault = "fault.f={target='service.web', what={cut={from='region.here'}}, at='0s'}";
    let ran = shop(&[CPU, fault, "run.duration=1100s", "arrivals.rate=0.01/s"]);
    // tcp_retries2: 924.6 s.
    assert_eq!((ran.failed(Failure::Unreachable), ran.each_failed()), (1, ms(924_600)));
    let fault = "fault.f={target='database.main', what='cut', at='0s'}";
    let ran = shop(&[fault, "run.duration=300s", "arrivals.rate=0.01/s"]);
    // tcp_syn_retries: 127 s.
    assert_eq!(ran.each_failed(), ms(127_000 + 20 + 2));
}

/// Three connections lie idle when the server is away for 100 ms, between two bursts of three.
const BACK: &str = r#"
[arrivals]
rate = "1/s"
process = "even"
stages = [
  { for = "900ms", to = "1/s" }, { for = "0s", to = "3000/s" }, { for = "1ms", to = "3000/s" },
  { for = "0s", to = "0/s" }, { for = "4s", to = "0/s" },
  { for = "0s", to = "100/s" }, { for = "30ms", to = "100/s" }, { for = "0s", to = "0/s" },
]
[service.web]
[pool.pg]
service = "web"
database = "db"
size = 3
[database.db]
cores = 8
rtt = "2ms"
connect = "2ms"
[fault.stop]
target = "database.db"
what = "stop"
at = "2s"
for = "100ms"
[operation.read]
share = 1
flow = [{ query = { pool = "pg", read = "5ms" } }]
"#;

#[test]
fn who_does_not_watch_idle_connections_finds_out_by_using_them() {
    let after = |driver: &str| {
        let set = format!("pool.pg.driver={driver}");
        let ran = run(BACK, &[&set, "run.duration=8s"]);
        assert_eq!(ran.offered(), 6);
        (ran.failed(Failure::DatabaseDown), ran.count("pool.pg", Counter::Opened))
    };
    // node-postgres has taken them out, and opens one, which is enough for the three.
    assert_eq!(after("node-postgres"), (0, 4));
    // SQLAlchemy: one error, then all older ones are replaced; with a ping not even that one.
    assert_eq!(after("{sqlalchemy={autocommit=true}}"), (1, 5));
    assert_eq!(after("{sqlalchemy={autocommit=true, pre_ping=true}}"), (0, 6));
    // psycopg_pool lends each of them, and opens others in the background.
    assert_eq!(after("{psycopg={autocommit=true}}"), (3, 6));
}

#[test]
fn a_server_that_looks_for_its_client_ends_what_a_dead_process_began() {
    let slow = "operation.read.flow=[{query={pool='pg', read='3s'}}]";
    let dies = "fault.f={target='service.web', what='stop', at='1500ms'}";
    let served = |check: &str| shop(&[slow, dies, check]).station("database.main").busy_mean * 10.5;
    // One statement was at work: it goes on until its end or until the server looks, one second after it began.
    let (ever, looks) =
        (served("database.main.client_check=1h"), served("database.main.client_check=1s"));
    assert!(ever - looks > 1.5, "{ever} {looks}");
}
