//! Connection pools and poolers.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;
use loadbearing::topology::load;

use crate::support::{Ran, ms, run};

/// A pool in front of statements of 10 ms, without round trips.
const POOL: &str = r#"
[service.web]
[pool.pg]
service = "web"
database = "db"
[database.db]
cores = 1_000
rtt = "0ms"
connect = "0ms"
[operation.read]
share = 1
flow = [{ query = { pool = "pg", read = "10ms" } }]
"#;

fn pool(sets: &[&str]) -> Ran {
    run(POOL, sets)
}

/// Requests at 1, 2 and 3 ms, and then none.
const THREE: [&str; 2] = [
    "arrivals.rate=1000/s",
    "arrivals.stages=[{for='3500us', to='1000/s'}, {for='0s', to='0.001/s'}]",
];

/// Openings per second of SQLAlchemy's pool under Poisson arrivals and exponential holds, without time
/// for opening and closing: the stationary law of (busy, idle).
///
/// With all connections lent the queue is that of M/M/c, so the states with a queue weigh 1 / (1 - rho)
/// of the one without.
fn overflow_openings(rate: f64, hold_s: f64, size: usize, overflow: usize) -> f64 {
    let (most, mu) = (size + overflow, 1.0 / hold_s);
    let states: Vec<(usize, usize)> = (0..=most)
        .flat_map(|busy| (0..=size.min(most - busy)).map(move |idle| (busy, idle)))
        .collect();
    let place =
        |state: (usize, usize)| states.iter().position(|known| *known == state).expect("a state");
    let step = 1.0 / (rate + mu * most as f64);
    let ways: Vec<(usize, usize, f64)> = states
        .iter()
        .map(|&(busy, idle)| {
            let comes = match (busy, idle) {
                (_, 1..) => (busy + 1, idle - 1),
                // The queue: it empties into this state again.
                _ if busy == most => (busy, idle),
                _ => (busy + 1, idle),
            };
            let goes = match busy {
                0 => (busy, idle),
                _ if idle < size => (busy - 1, idle + 1),
                _ => (busy - 1, idle),
            };
            (place(comes), place(goes), mu * busy as f64)
        })
        .collect();
    let mut law = vec![1.0 / states.len() as f64; states.len()];
    for _ in 0..5_000 {
        let mut next = vec![0.0; states.len()];
        for (here, (&(comes, goes, leaves), weight)) in ways.iter().zip(&law).enumerate() {
            next[comes] += weight * rate * step;
            next[goes] += weight * leaves * step;
            next[here] += weight * (1.0 - (rate + leaves) * step);
        }
        law = next;
    }
    let full = place((most, 0));
    let queue = law[full] / (1.0 - rate * hold_s / most as f64) - law[full];
    let total: f64 = law.iter().sum::<f64>() + queue;
    let opens = states.iter().zip(&law).filter(|((busy, idle), _)| *idle == 0 && *busy < most);
    rate * opens.map(|(_, weight)| weight).sum::<f64>() / total
}

#[test]
fn t_18_the_closed_form_of_overflow_churn_has_its_published_values() {
    for (rate, opens) in [(20.0, 0.55), (50.0, 4.54), (75.0, 8.01), (100.0, 9.14), (140.0, 2.50)] {
        let computed = overflow_openings(rate, 0.1, 5, 10);
        assert!((computed - opens).abs() < 0.006, "{computed} at {rate}/s");
    }
}

/// Openings per second of a pool of SQLAlchemy, measured over 1,000 s.
fn measured_openings(rate: u32, options: &str) -> f64 {
    let ran = pool(&[
        "run.warmup=20s",
        "run.duration=1000s",
        &format!("arrivals.rate={rate}/s"),
        "arrivals.process=poisson",
        "operation.read.flow=[{ query = { pool = 'pg', read.exponential = '100ms' } }]",
        options,
    ]);
    ran.count("pool.pg", Counter::Opened) as f64 / 1_000.0
}

#[test]
fn t_18_overflow_connections_churn_at_medium_load_and_a_larger_size_does_not() {
    let usual = "pool.pg.driver={sqlalchemy={autocommit=true}}";
    // About 4,500 and 6,900 openings, which come in bursts: three deviations are 5 %.
    for rate in [50, 120] {
        let theory = overflow_openings(f64::from(rate), 0.1, 5, 10);
        let measured = measured_openings(rate, usual);
        assert!((measured / theory - 1.0).abs() < 0.05, "{measured} for {theory} at {rate}/s");
        // A pool that kept one more would not pass.
        let six = overflow_openings(f64::from(rate), 0.1, 6, 9);
        assert!((measured / six - 1.0).abs() > 0.05, "{measured} for {six} at {rate}/s");
    }
    // As many connections, all of them kept.
    let kept = "pool.pg={driver={sqlalchemy={autocommit=true, max_overflow=0}}, size=15, service='web', database='db'}";
    assert_eq!(measured_openings(50, kept), 0.0, "all opened in the warm-up");
}

#[test]
fn t_19_who_gives_back_and_wants_again_overtakes_the_woken_waiter() {
    // Each request takes the only connection twice.
    let twice = "operation.read.flow=[{ query = { pool = 'pg', read = '10ms' } }, \
                 { query = { pool = 'pg', read = '10ms' } }]";
    let ran = |driver: &str| pool(&[&THREE[..], &[twice, "pool.pg.size=1", driver]].concat());
    let unfair = ran("pool.pg.driver={sqlalchemy={autocommit=true, max_overflow=0}}");
    assert_eq!((unfair.shortest(), unfair.longest()), (ms(20), ms(59)), "1 to 21, 2 to 61 ms");
    let fair = ran("pool.pg.driver=node-postgres");
    assert_eq!((fair.shortest(), fair.longest()), (ms(40), ms(58)), "they take turns");
}

#[test]
fn t_19_a_failed_opening_wakes_nobody() {
    // Until 0.5 s another pool has the only connection that the server grants.
    let full = [
        "pool.pg.size=1",
        "database.db.max_connections=1",
        "database.db.reserved=0",
        "database.db.rtt=100ms",
        "run.start.pools=full",
    ];
    let hog = "[pool.hog]\nservice = 'web'\ndatabase = 'db'\nsize = 1\nidle_timeout = '500ms'\n";
    let text = format!("{POOL}{hog}");
    let ran = |driver: &str| run(&text, &[&THREE[..], &full[..], &[driver]].concat());
    // The first is refused at 0.1 s. The second could try then, but waits for its 3 s; the third finds
    // it at work at the end of its own.
    let lost = ran("pool.pg={driver={sqlalchemy={autocommit=true, max_overflow=0}}, size=1, \
                    acquire_timeout='3s', service='web', database='db'}");
    assert_eq!((lost.failed(Failure::TooManyConnections), lost.ok()), (1, 1));
    assert_eq!(lost.failed(Failure::AcquireTimeout), 1);
    assert!(lost.shortest() >= ms(3_000), "{:?}", lost.shortest());
    // node-postgres lets the next in line try at once; here each is refused in its turn.
    let told = ran("pool.pg.driver=node-postgres");
    assert_eq!(told.failed(Failure::TooManyConnections), 3);
    assert!(told.outcome.failed_latency.max() < Some(ms(400)));
}

#[test]
fn t_20_round_trips_around_a_statement_are_part_of_the_hold() {
    let held = |options: &str| {
        let driver = format!("pool.pg.driver={{ sqlalchemy = {{ {options} }} }}");
        let read = "operation.read.flow=[{ query = { pool = 'pg', read = '5ms' } }]";
        let sets = ["database.db.rtt=5ms", "arrivals.rate=20/s", read, "pool.pg.size=1", &driver];
        pool(&sets).station("pool.pg").busy_mean
    };
    let close = |held: f64, ms_each: f64| (held - 20.0 * ms_each / 1_000.0).abs() < 0.01;
    // The statement: 5 ms there and back, 5 ms at work.
    assert!(close(held("autocommit = true, max_overflow = 0"), 10.0));
    // BEGIN and ROLLBACK double it.
    assert!(close(held("max_overflow = 0"), 20.0));
    // Trying the connection out first makes it three and a half times as long.
    assert!(close(held("max_overflow = 0, pre_ping = true"), 35.0));
}

/// Eight statements of 1 ms at one instant, and openings of 50 ms.
const BURST: [&str; 3] = [
    "database.db.connect=50ms",
    "pool.pg.size=20",
    "operation.read.flow=[{ parallel = [\
     [{query={pool='pg', read='1ms'}}], [{query={pool='pg', read='1ms'}}], \
     [{query={pool='pg', read='1ms'}}], [{query={pool='pg', read='1ms'}}], \
     [{query={pool='pg', read='1ms'}}], [{query={pool='pg', read='1ms'}}], \
     [{query={pool='pg', read='1ms'}}], [{query={pool='pg', read='1ms'}}]] }]",
];

#[test]
fn t_11_a_pool_waits_for_ever_unless_it_is_told_not_to() {
    let held = "operation.read.flow=[{transaction={pool='pg', flow=[{wait='60s'}]}}]";
    let ran = pool(&[held, "pool.pg.size=1"]);
    assert_eq!((ran.ok(), ran.outcome.requests.in_flight_end), (0, 10), "nobody hears anything");
    let ran = pool(&[held, "pool.pg.size=1", "pool.pg.acquire_timeout=2s"]);
    assert_eq!((ran.failed(Failure::AcquireTimeout), ran.each_failed()), (7, ms(2_000)));
}

#[test]
fn t_12_a_guard_on_total_count_stays_shut_and_one_on_busy_connections_is_a_loss_system() {
    // 10 Erlang of 20 connections; from 17 on the guard turns away.
    let guard = "[guard.g]\nwatch = 'pool.pg.total'\nreject_at = '85%'\n";
    let text =
        POOL.replace("[service.web]", &format!("{guard}[service.web]\nbefore = ['guard.g']"));
    let turned_away = |watch: &str| {
        let ran = run(
            &text,
            &[
                "run.warmup=20s",
                "run.duration=200s",
                "arrivals.rate=500/s",
                "arrivals.process=poisson",
                "pool.pg.size=20",
                "pool.pg.idle_timeout=30s",
                "database.db.connect=50ms",
                "operation.read.flow=[{query={pool='pg', read.exponential='20ms'}}]",
                &format!("guard.g.watch={watch}"),
            ],
        );
        ran.failed(Failure::Guarded) as f64 / ran.offered() as f64
    };
    let total = turned_away("pool.pg.total");
    assert!(total > 0.98, "the reference simulation has 0.996: {total}");
    // Erlang B(17, 10) = 0.0129: 1,290 of 100,000, four deviations of a bursty count are 15 %.
    let busy = turned_away("pool.pg.busy");
    assert!((busy / 0.0129 - 1.0).abs() < 0.15, "{busy}");
}

#[test]
fn t_12_idle_connections_keep_the_guard_shut() {
    // 500/s for five seconds, then one a second. At the seventeenth connection the guard shuts, within two
    // seconds; from then on nobody uses them, and they close 30 s later. All that time not one is busy.
    let guard = "[guard.g]\nwatch = 'pool.pg.total'\nreject_at = '85%'\n";
    let text =
        POOL.replace("[service.web]", &format!("{guard}[service.web]\nbefore = ['guard.g']"));
    let passed = |watch: &str, from: usize, to: usize| {
        let ran = run(
            &text,
            &[
                "run.duration=60s",
                "run.window=1s",
                "arrivals.rate=500/s",
                "arrivals.stages=[{for='5s', to='500/s'}, {for='0s', to='1/s'}]",
                "arrivals.process=poisson",
                "pool.pg.size=20",
                "pool.pg.idle_timeout=30s",
                "database.db.connect=50ms",
                "operation.read.flow=[{query={pool='pg', read.exponential='20ms'}}]",
                &format!("guard.g.watch={watch}"),
            ],
        );
        let windows = &ran.outcome.windows[from..to];
        let sum = |of: fn(&loadbearing::run::Window) -> u64| windows.iter().map(of).sum::<u64>();
        (sum(|it| it.ok), sum(|it| it.offered))
    };
    let (shut, offered) = passed("pool.pg.total", 6, 30);
    assert!(shut == 0 && offered > 10, "{shut} of {offered}");
    let (open, offered) = passed("pool.pg.total", 33, 60);
    assert!(open == offered && offered > 10, "{open} of {offered}: the idle ones are gone");
    // The cure: count those in use.
    let (busy, offered) = passed("pool.pg.busy", 6, 30);
    assert!(busy == offered && offered > 10, "{busy} of {offered}");
}

#[test]
fn t_13_a_burst_opens_as_many_connections_as_there_are_requests() {
    let burst = pool(&BURST);
    assert_eq!(burst.count("pool.pg", Counter::Opened), 8, "each request opens its own");
    assert_eq!(burst.longest(), ms(51), "and waits for that one");
    // psycopg grows by one while somebody waits, and gives whatever is there to the oldest.
    let grown =
        [&BURST[..], &["pool.pg.driver={psycopg={autocommit=true}}", "pool.pg.min=1"]].concat();
    let grown = pool(&grown);
    assert_eq!(grown.longest(), ms(8), "one connection serves all of them sooner");
}

#[test]
fn t_14_any_failed_query_destroys_its_connection() {
    let fails = "operation.read.flow=[{query={pool='pg', read='10ms', fail='100%'}}]";
    assert_eq!(pool(&[fails]).count("pool.pg", Counter::Opened), 10);
    // The application's own connect and release, without the error.
    assert_eq!(pool(&[fails, "pool.pg.on_error=keep"]).count("pool.pg", Counter::Opened), 1);
}

#[test]
fn t_14_a_query_timeout_leaves_the_servers_query_running() {
    // Ten statements of 500 ms, of which nobody waits for more than 100 ms.
    let slow = ["operation.read.flow=[{query={pool='pg', read='500ms'}}]"];
    let ran = |timeout: &str| pool(&[&slow[..], &[timeout]].concat());
    let busy = |ran: &Ran| (ran.station("database.db").busy_mean * 10.5 * 1e3).round();
    let driver = ran("pool.pg.query_timeout=100ms");
    assert_eq!((driver.failed(Failure::QueryTimeout), driver.each_failed()), (10, ms(100)));
    assert_eq!(driver.count("database.db", Counter::Wasted), 10, "finished for nobody");
    assert_eq!(busy(&driver), 5_000.0, "ms, as if nobody had given up");
    // The cure: the server's own timeout ends it.
    let server = ran("pool.pg.statement_timeout=100ms");
    assert_eq!((server.failed(Failure::StatementTimeout), busy(&server)), (10, 1_000.0));
}

#[test]
fn t_15_min_opens_nothing() {
    let cold = ["database.db.connect=50ms", "pool.pg.min=5"];
    let ran = pool(&cold);
    assert_eq!((ran.longest(), ran.count("pool.pg", Counter::Opened)), (ms(60), 1));
    // asyncpg's `min` is opened at the start.
    let ran = pool(&[&cold[..], &["pool.pg.driver=asyncpg"]].concat());
    assert_eq!((ran.longest(), ran.count("pool.pg", Counter::Opened)), (ms(10), 5));
}

#[test]
fn t_16_newcomers_overtake_those_who_wait_while_a_broken_connection_closes() {
    // Every statement fails, and a closing takes as long as the requests are apart.
    let broken = [
        "arrivals.rate=10/s",
        "pool.pg.size=1",
        "database.db.rtt=100ms",
        "operation.read.flow=[{query={pool='pg', read='1500us', fail='100%'}}]",
    ];
    let ran = pool(&broken);
    assert_eq!(ran.each_failed().0 / ms(1).0, 101, "who is answered at all has not waited");
    assert!(ran.outcome.requests.in_flight_end > 40, "the others still wait");
    let kept = pool(&[&broken[..], &["pool.pg.on_error=keep"]].concat());
    assert!(kept.outcome.failed_latency.max() > Some(ms(200)), "first come, first served");
    assert!(kept.outcome.requests.in_flight_end < 5);
}

#[test]
fn t_23_pools_multiply_and_the_surplus_is_refused() {
    // Each of six processes opens as many connections as its pool has room for.
    let all = [
        "service.web.instances=3",
        "service.web.workers=2",
        "service.web.cores=2",
        "arrivals.rate=60/s",
        "operation.read.flow=[{query={pool='pg', read='2s'}}]",
    ];
    let ran = pool(&[&all[..], &["pool.pg.size=20"]].concat());
    assert!(ran.failed(Failure::TooManyConnections) > 50, "120 for the 97 that there are");
    let ran = pool(&[&all[..], &["pool.pg.size=16"]].concat());
    assert_eq!(ran.failed(Failure::TooManyConnections), 0, "96 fit, and the others wait");
    // The arithmetic is done before anything is run.
    let warned = |size: &str| {
        let sets: Vec<String> = all.iter().chain([&size]).map(|set| set.to_string()).collect();
        let text = format!("version = 1\n[arrivals]\nrate = '1/s'\n{POOL}");
        let found = load("test.toml", &sets, &mut |_| Ok(text.clone())).diagnostics;
        found.into_iter().find(|it| it.slug == "too-many-connections").map(|it| it.message)
    };
    let message = warned("pool.pg.size=20").expect("120 are more than 97");
    assert!(message.contains("120") && message.contains("97"), "{message}");
    assert_eq!(warned("pool.pg.size=16"), None);
}

const POOLED: &str = r#"
[service.web]
[pool.pg]
service = "web"
database = "db"
through = "b"
size = 20
[pooler.b]
database = "db"
mode = "transaction"
cpu = "0s"
login_cpu = "0s"
rtt = "0ms"
connect = "0ms"
[database.db]
cores = 16
rtt = "0ms"
connect = "50ms"
[operation.read]
share = 1
flow = [{ query = { pool = "pg", read = "1ms" } }]
"#;

#[test]
fn t_21_pgbouncer_opens_one_connection_at_a_time_and_waits_after_a_failure() {
    // Cold, with eight statements of 600 ms at once: the last begins after eight openings.
    let burst: Vec<String> =
        (0..8).map(|_| "[{query={pool='pg', read='600ms'}}]".to_string()).collect();
    let burst = format!("operation.read.flow=[{{parallel=[{}]}}]", burst.join(", "));
    let first = |kind: &str| run(POOLED, &[&format!("pooler.b.kind={kind}"), &burst]).longest();
    assert_eq!(first("pgbouncer"), ms(8 * 50 + 600));
    assert_eq!(first("supavisor"), ms(50 + 600), "all at once");
    // The server is away for 100 ms, just when it is first wanted: nobody is served for 15 s.
    let away = "fault.away={target='database.db', what='stop', at='950ms', for='100ms'}";
    let ran = run(POOLED, &[away, "run.duration=20s"]);
    assert!(ran.longest() > ms(15_000), "{:?}", ran.longest());
    assert_eq!(ran.failed(Failure::DatabaseDown), 15, "the others fail at once meanwhile");
    let ran = run(POOLED, &[away, "run.duration=20s", "pooler.b.login_retry=100ms"]);
    // It is due at 1.1 s and tried at the look at 1.333 s.
    assert!(ran.longest() < ms(400) && ran.failed(Failure::DatabaseDown) == 0);
    // Who waits for too long is disconnected, not only told: its connection is lost.
    let held = [
        "operation.read.flow=[{transaction={pool='pg', flow=[{wait='60s'}]}}]",
        "pooler.b.size=1",
        "pooler.b.wait_timeout=2s",
    ];
    let ran = run(POOLED, &held);
    assert!(ran.failed(Failure::AcquireTimeout) > 5);
    assert_eq!(ran.count("pool.pg", Counter::Closed), ran.failed(Failure::AcquireTimeout));
}

#[test]
fn t_22_a_client_that_is_gone_frees_its_place_at_the_pooler_though_its_query_goes_on() {
    // Twice as many statements of 9 s as the pooler has connections for; the process dies at 4.5 s.
    let text = POOLED.replace("read = \"1ms\"", "read = \"9s\"");
    let dies =
        "fault.dies={target='service.web', what='restart', count=1, at='4500ms', for='100ms'}";
    let peak = |sets: &[&str]| {
        let ran = run(&text, &[&["pooler.b.size=4", "arrivals.rate=2/s"], sets].concat());
        (ran.station("database.db").busy_peak, ran.station("pooler.b").busy_peak)
    };
    assert_eq!(peak(&[]), (4.0, 4.0), "never more than the pooler has connections");
    let (running, lent) = peak(&[dies]);
    assert!(running > 4.0 && lent == 4.0, "{running} at the server, {lent} lent");
    // Straight to the server, the connection counts there until its statement has ended.
    let straight = text.replace("through = \"b\"\n", "");
    let ran = run(&straight, &[dies, "arrivals.rate=2/s", "database.db.max_connections=7"]);
    assert!(ran.station("database.db").busy_peak <= 4.0);
}
