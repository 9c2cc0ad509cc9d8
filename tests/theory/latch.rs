//! A guard on the open connections of a pool: how long until it latches, and what it then turns away.

use loadbearing::run::Counter;
use loadbearing::stats::student_t_quantile;
use loadbearing::theory::{Mmc, first_passage_connections_s};

use crate::{Runs, check_jointly, mean};

/// A guard on the open connections of a pool of twenty that opens them as they are needed, under so
/// many erlangs held for so many milliseconds each.
fn guarded(replications: u32, load: f64, hold_ms: u32, sets: &[&str]) -> Runs {
    let rate = format!("arrivals.rate={}/s", load * 1e3 / f64::from(hold_ms));
    let read = format!("{{ query = {{ pool = \"pg\", read.exponential = \"{hold_ms}ms\" }} }}");
    let flow = format!("operation.ask.flow=[{read}]");
    let always = [
        &*rate,
        "guard.connections.watch=pool.pg.total",
        &flow,
        "pool.pg.min=0",
        "run.start.pools=empty",
        "run.warmup=0s",
        "run.attribution_every=1000",
    ];
    Runs::over(replications, "guard.toml", &[&always, sets].concat())
}

/// Loads, and the seconds to the first passage that are published for holds of 10, 20, 50 and 100 ms.
const PASSAGES: [(f64, [f64; 4], f64); 7] = [
    (4.0, [894.0, 1_788.0, 4_471.0, 8_942.0], 1.0),
    (5.0, [60.0, 121.0, 301.0, 602.0], 1.0),
    (6.0, [8.2, 16.5, 41.0, 83.0], 1.0),
    (7.0, [1.9, 3.7, 9.3, 18.6], 0.1),
    (8.0, [0.6, 1.2, 3.0, 6.1], 0.1),
    (10.0, [0.1, 0.3, 0.7, 1.4], 0.1),
    (12.0, [0.1, 0.1, 0.3, 0.6], 0.1),
];

fn pool(load: f64, hold_s: f64) -> Mmc {
    Mmc { servers: 20, arrival_rate_per_s: load / hold_s, service_s: hold_s }
}

#[test]
fn the_first_passage_has_its_published_points() {
    for (load, printed, unit) in PASSAGES {
        for (hold_s, printed) in [0.01, 0.02, 0.05, 0.1].into_iter().zip(printed) {
            let exact = first_passage_connections_s(pool(load, hold_s), 17);
            let off = (exact - printed).abs();
            assert!(off <= 0.54 * unit, "{load} erlangs of {hold_s} s: {exact} for {printed}");
        }
    }
}

/// The mean of the first passage or of `horizon_s`, whichever comes first: the birth and death process
/// until 17 are busy, looked at as often as it changes at most (uniformisation; Jensen 1953).
fn passage_within_s(pool: Mmc, horizon_s: f64) -> f64 {
    let birth = pool.arrival_rate_per_s;
    let fastest = birth + 17.0 / pool.service_s;
    let looks = fastest * horizon_s;
    let mut busy = vec![0.0; 17];
    busy[0] = 1.0;
    let (mut total, mut at_most) = (0.0, 0.0);
    for look in 0..(looks + 12.0 * looks.sqrt() + 20.0) as u32 {
        let n = f64::from(look);
        at_most += libm::exp(n * libm::log(looks) - looks - libm::lgamma(n + 1.0));
        // Not there yet after so many looks, times the mean time at which so many have been made.
        total += busy.iter().sum::<f64>() * (1.0 - at_most).max(0.0) / fastest;
        let mut next = vec![0.0; 17];
        for (count, chance) in busy.iter().enumerate() {
            let death = count as f64 / pool.service_s;
            if count + 1 < 17 {
                next[count + 1] += chance * birth / fastest;
            }
            if count > 0 {
                next[count - 1] += chance * death / fastest;
            }
            next[count] += chance * (fastest - birth - death) / fastest;
        }
        busy = next;
    }
    total
}

/// The guard latches for good once 17 of 20 have been opened, if idle ones are kept. What has passed
/// by then is what has come in a first passage, lambda times its time (Wald), since opening takes no
/// time here. Each replication ends after one and a half mean passages, which the theory knows.
/// Four erlangs, whose passage is of 360,000 requests, are left to the closed form.
#[test]
fn a_guard_on_total_latches_at_the_first_passage() {
    let points = [
        (5.0, 50, 16),
        (6.0, 100, 60),
        (7.0, 10, 120),
        (8.0, 20, 300),
        (10.0, 50, 400),
        (12.0, 100, 400),
    ];
    let horizon_s = |load: f64, hold_ms: u32| {
        let mean_s = first_passage_connections_s(pool(load, f64::from(hold_ms) * 1e-3), 17);
        (1.5 * mean_s * 1e3).round() * 1e-3
    };
    let seen: Vec<((f64, u32), Vec<f64>)> = points
        .into_iter()
        .map(|(load, hold_ms, replications)| {
            let duration = format!("run.duration={}ms", (horizon_s(load, hold_ms) * 1e3).round());
            let sets = [&*duration, "pool.pg.idle_timeout=10h", "database.main.connect=0ms"];
            let runs = guarded(replications, load, hold_ms, &sets);
            let served = |it: &loadbearing::run::StationOutcome| {
                it.counters[Counter::Served as usize] as f64
            };
            ((load, hold_ms), runs.at("guard.connections", served))
        })
        .collect();
    check_jointly("passed before the latch", &seen, 0.05, |(load, hold_ms), s| {
        let hold_s = f64::from(hold_ms) * 1e-3;
        let slower = Mmc { service_s: hold_s * s, ..pool(load, hold_s) };
        load / hold_s * passage_within_s(slower, horizon_s(load, hold_ms))
    });
    let far = passage_within_s(pool(8.0, 0.02), 60.0);
    assert!((far / first_passage_connections_s(pool(8.0, 0.02), 17) - 1.0).abs() < 1e-9);
}

/// The whole loop of pg-pool: idle connections close after 30 s, opening takes 50 ms. The shares of ten
/// minutes that are published are of one run each of another simulator of the same rules: a further
/// draw from the law of ours, and rounded. One table in a thousand would be rejected by chance; that
/// of a pool that closes idle connections after 12 s is.
#[test]
fn a_guard_on_total_turns_away_what_is_published() {
    let points = [
        (4.0, 0.000, 1e-3),
        (5.0, 0.21, 1e-2),
        (6.0, 0.73, 1e-2),
        (7.0, 0.95, 1e-2),
        (8.0, 0.98, 1e-2),
        (10.0, 0.996, 1e-3),
        (12.0, 0.998, 1e-3),
        (15.0, 0.999, 1e-3),
        (17.0, 0.999, 1e-3),
        (20.0, 0.999, 1e-3),
    ];
    let each = 1e-3 / points.len() as f64;
    let fits = |load: f64, share: f64, unit: f64, timeout: &str| {
        // Beyond eight erlangs every half minute is as the one before, and ten runs of a minute are one
        // of ten.
        let (replications, parts) = if load < 9.0 { (6, 1) } else { (24, 10) };
        let duration = format!("run.duration={}s", 600 / parts);
        let timeout = format!("pool.pg.idle_timeout={timeout}");
        let runs = guarded(replications, load, 20, &[&duration, &timeout]);
        let turned = runs.ratio("guard.connections", Counter::Rejected, Counter::Arrivals);
        let (count, mean) = (turned.len() as f64, mean(&turned));
        let squares = turned.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>();
        let deviation = (squares / (count - 1.0)).sqrt();
        let bound = student_t_quantile(1.0 - each / 2.0, count - 1.0);
        let room = bound * deviation * (1.0 / count + 1.0 / f64::from(parts)).sqrt();
        ((mean - share).abs() <= 0.501 * unit + room, mean)
    };
    for (load, share, unit) in points {
        let (fits, mean) = fits(load, share, unit, "30s");
        assert!(fits, "at {load}: {mean} is not {share}");
    }
    assert!(!fits(20.0, 0.999, 1e-3, "12s").0, "no teeth");
}
