//! What keeps the loads of a cache few.

use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// A key that is read at 1, 2, ... 10 s, lives for 2.5 s and takes 10 ms to load.
const CACHED: &str = r#"
[service.web]
[cache.c]
rtt = "0ms"
command = "0ms"
[keys.k]
count = 1
[operation.look]
share = 1
flow = []
"#;

fn look(options: &str, sets: &[&str]) -> Ran {
    let flow = format!("operation.look.flow=[{{cache={{in='c', keys='k', {options}}}}}]");
    run(CACHED, &[&[flow.as_str()][..], sets].concat())
}

fn count(ran: &Ran, counter: Counter) -> u64 {
    ran.count("cache.c", counter)
}

const LOAD: &str = "miss=[{wait='10ms'}]";

#[test]
fn times_to_live_are_spread() {
    // A thousand keys, read again and again: by default those of one second expire together.
    let sets = ["keys.k.count=1000", "arrivals.rate=2000/s", "run.duration=30s"];
    let loads = |jitter: &str| {
        let ran = look(&format!("ttl='5s', jitter='{jitter}', {LOAD}"), &sets);
        (count(&ran, Counter::Misses), ran)
    };
    let (plain, _) = loads("0%");
    let (spread, _) = loads("40%");
    // The mean life is the same, so there are about as many loads.
    assert!((plain as f64 / spread as f64 - 1.0).abs() < 0.05, "{plain} {spread}");
    // One key: 2.5 s is three reads, and a life between 0 and 5 s is not.
    let one = |jitter: &str| {
        count(&look(&format!("ttl='2500ms', jitter='{jitter}', {LOAD}"), &[]), Counter::Misses)
    };
    assert_eq!(one("0%"), 4);
    assert_ne!(one("100%"), 4);
}

#[test]
fn that_there_is_nothing_is_kept_or_not() {
    let misses = |options: &str, absent: &str| {
        let ran = look(&format!("{options} {LOAD}"), &[&format!("keys.k.absent={absent}")]);
        (count(&ran, Counter::Misses), count(&ran, Counter::Writes))
    };
    assert_eq!(misses("", "0%"), (1, 1));
    assert_eq!(misses("", "100%"), (10, 0), "nothing is found, and nothing kept");
    assert_eq!(misses("negative_ttl='1h',", "100%"), (1, 1));
    assert_eq!(misses("negative_ttl='2500ms',", "100%"), (4, 4));
    assert_eq!(misses("single_flight=true,", "100%"), (10, 0));
    // Half of many keys.
    let ran = look(LOAD, &["keys.k.count=10000", "keys.k.absent=50%", "arrivals.rate=1000/s"]);
    let share = count(&ran, Counter::Writes) as f64 / count(&ran, Counter::Misses) as f64;
    assert!((0.36..0.44).contains(&share), "{share}: those that are there are loaded once");
}

/// Vattani et al. 2015: at a remaining life r a read loads with probability exp(-r / (delta beta)).
/// Reads come at rate l, so with D = delta beta the value is still the old one at age t with
/// S(t) = exp(-l D (exp(-(T - t) / D) - exp(-T / D))), and if it is at T, it is loaded at the next read.
#[test]
fn loads_come_early_as_the_paper_says() {
    let (ttl_s, delta_s, keys, rate, time_s) = (20.0_f64, 1.0_f64, 100.0, 200.0, 2_000.0);
    let expected = |beta: f64| {
        let (each, d) = (rate / keys, delta_s * beta);
        let left = |r: f64| libm::exp(-r / d);
        let survives = |t: f64| libm::exp(-each * d * (left(ttl_s - t) - left(ttl_s)));
        let steps = 20_000;
        let step = ttl_s / f64::from(steps);
        let life: f64 = (0..steps).map(|at| survives((f64::from(at) + 0.5) * step) * step).sum();
        time_s * keys / (life + survives(ttl_s) / each + delta_s)
    };
    let sets = [
        "keys.k.count=100",
        "arrivals={rate='200/s', process='poisson'}",
        "run.warmup=100s",
        "run.duration=2000s",
    ];
    let loads = |beta: f64| {
        let options = format!("ttl='20s', early={beta}, single_flight=true, miss=[{{wait='1s'}}]");
        let ran = look(&options, &sets);
        (count(&ran, Counter::Writes) as f64, count(&ran, Counter::Early))
    };
    for beta in [1.0, 2.0] {
        let (measured, early) = loads(beta);
        let error = measured / expected(beta) - 1.0;
        assert!(error.abs() < 0.006, "beta {beta}: {measured} loads, {} expected", expected(beta));
        let other = measured / expected(beta * 1.25) - 1.0;
        assert!(other.abs() > 0.006, "the check sees a beta that is a quarter off: {other}");
        assert!(early as f64 > 0.5 * measured, "{early}");
    }
    assert_eq!(loads(0.0).1, 0);
}

#[test]
fn a_stale_value_is_served_while_it_is_loaded() {
    let plain = look(&format!("ttl='2500ms', {LOAD}"), &[]);
    assert_eq!((count(&plain, Counter::Misses), plain.longest()), (4, ms(10)));
    assert!((plain.mean_s() - 0.004).abs() < 1e-9, "four of ten wait for a load");
    // At 4, 7 and 10 s the old value is served, and loaded anew behind it.
    let stale = look(&format!("ttl='2500ms', stale_while_revalidate='1s', {LOAD}"), &[]);
    assert_eq!((count(&stale, Counter::Stale), count(&stale, Counter::Writes)), (3, 4));
    assert!((stale.mean_s() - 0.001).abs() < 1e-9, "only the first waits: {}", stale.mean_s());
    // At 4 s the value is 490 ms beyond its time.
    let short = look(&format!("ttl='2500ms', stale_while_revalidate='400ms', {LOAD}"), &[]);
    assert_eq!((count(&short, Counter::Stale), count(&short, Counter::Misses)), (0, 4));
    // However many read it then, one load is made in a process.
    let busy = "ttl='2500ms', stale_while_revalidate='1s', miss=[{wait='300ms'}]";
    let busy = look(busy, &["arrivals.rate=100/s"]);
    assert!(count(&busy, Counter::Stale) > 80 && count(&busy, Counter::Writes) < 35);
}

#[test]
fn a_stale_value_is_served_if_its_load_fails() {
    let text = format!(
        "{CACHED}\n[pool.pg]\nservice='web'\ndatabase='main'\n[database.main]\n\
         [fault.gone]\ntarget='database.main'\nwhat='stop'\nat='2500ms'\n"
    );
    let ok = |options: &str| {
        let miss = "miss=[{query={pool='pg', read='1ms'}}]";
        let flow =
            format!("operation.look.flow=[{{cache={{in='c', keys='k', {options} {miss}}}}}]");
        run(&text, &[&flow]).ok()
    };
    assert_eq!(ok("ttl='2500ms',"), 3, "those at 1, 2 and 3 s");
    assert_eq!(ok("ttl='2500ms', stale_if_error='3s',"), 6, "until 3.5 + 3 s");
    assert_eq!(ok("ttl='2500ms', stale_if_error='1h',"), 10);
    assert_eq!(ok("ttl='2500ms', stale_if_error='1h', single_flight=true,"), 10);
    assert_eq!(ok("ttl='2500ms', stale_while_revalidate='3s',"), 6, "the loads behind it fail");
    // Whose load fails has a value, too, that somebody else has loaded meanwhile and that is not stale at all.
    let both = |options: &str| {
        let look = |miss: &str| {
            format!("[{{cache={{in='c', keys='k', ttl='100ms', {options} miss=[{miss}]}}}}]")
        };
        let fails = look("{query={pool='pg', read='50ms', fail='100%'}}");
        let flow =
            format!("operation.look.flow=[{{parallel=[{fails}, {}]}}]", look("{wait='20ms'}"));
        run(&text, &[&flow, "fault.gone.at=1h"]).ok()
    };
    assert_eq!((both(""), both("stale_if_error='1s',")), (0, 10));
}

#[test]
fn a_lock_lets_one_process_load() {
    // Ten a second, four processes, a load of a second.
    let sets = ["arrivals.rate=10/s", "service.web.workers=4", "run.duration=3s"];
    let looks = |lock: &str| {
        let ran = look(&format!("{lock} miss=[{{wait='1s'}}]"), &sets);
        (count(&ran, Counter::Writes), ran.longest())
    };
    assert!((10..=11).contains(&looks("").0), "a load for each that comes meanwhile");
    let (writes, longest) = looks("lock={jitter='0ms'},");
    assert_eq!(writes, 1);
    // 200 ms later they look again: the second of all, at 0.2 s, at 0.4, ..., 1.2 s.
    assert_eq!(longest, ms(1_000));
    assert_eq!(
        looks("lock={retry='700ms', jitter='0ms'},").1,
        ms(1_400),
        "the third look is after the load"
    );
    let (writes, longest) = looks("lock={wait='400ms', jitter='0ms'},");
    assert!(writes > 4 && longest == ms(1_400), "{writes} {longest:?}");
    assert!(looks("lock={ttl='300ms'},").0 > 1, "the lock ends before the load");
}

#[test]
fn who_finds_a_key_locked_looks_again_at_times_of_its_own() {
    let sets = ["arrivals.rate=10/s", "service.web.workers=4", "run.duration=3s"];
    let longest = |lock: &str| look(&format!("{lock} miss=[{{wait='1s'}}]"), &sets).longest();
    let steady = longest("lock={retry='700ms', jitter='0ms'},");
    let spread = longest("lock={retry='700ms', jitter='300ms'},");
    assert!(steady == ms(1_400) && spread != steady && spread < ms(2_000), "{spread:?}");
    assert_ne!(longest("lock={retry='700ms'},"), steady, "redlock spreads by 100 ms");
}

#[test]
fn who_may_have_lost_its_lock_stores_nothing() {
    let stored = |lock: &str| {
        let sets = ["arrivals.rate=1/s", "run.duration=3500ms"];
        let ran = look(&format!("lock={{{lock}}}, miss=[{{wait='1s'}}]"), &sets);
        (count(&ran, Counter::Writes) > 0, count(&ran, Counter::Wasted) > 0)
    };
    assert_eq!(stored("ttl='300ms'"), (true, false), "it looks at nothing");
    assert_eq!(stored("ttl='300ms', fenced=true"), (false, true));
    assert_eq!(stored("ttl='1100ms', fenced=true"), (true, false));
    // Of 1,100 ms a tenth and 2 ms are not to be relied upon.
    assert_eq!(stored("ttl='1100ms', fenced=true, drift='10%'"), (false, true));
    assert_eq!(stored("ttl='1001ms', fenced=true, drift='0%'"), (false, true), "2 ms");
}

#[test]
fn a_tier_asks_the_next_for_the_same_key() {
    let text = format!("{CACHED}\n[cache.l1]\nkind='memory'\nservice='web'\ncommand='0ms'\n");
    let flow =
        "operation.look.flow=[{cache={in='l1', keys='k', miss=[{cache={in='c', keys='k'}}]}}]";
    let ran = run(&text, &[flow, "keys.k.count=100", "arrivals.rate=100/s"]);
    // Each key is missed once in either: never is the second asked for another key.
    assert_eq!(count(&ran, Counter::Hits), 0);
    assert_eq!(count(&ran, Counter::Misses), ran.count("cache.l1", Counter::Misses));
}
