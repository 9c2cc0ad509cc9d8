//! Connection pools and poolers.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

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
