//! Alarms: when they call, worked out by hand.

use loadbearing::result::{Alarmed, Monitored, Summary, monitor_courses};

use crate::monitor::BURSTS;
use crate::support::{Ran, run};

fn calls(text: &str, sets: &[&str]) -> Vec<f64> {
    let ran = run(text, &[&["run.duration=600s", "run.window=10s"], sets].concat());
    monitor_courses(&ran.model, &ran.outcome)[0].calls.clone()
}

#[test]
fn an_alarm_calls_when_so_many_of_the_last_periods_are_beyond_its_bound() {
    let at = |alarm: &str, more: &[&str]| {
        let monitor = format!("monitor.m={{of='service.web', shows='busy', alarm={{{alarm}}}}}");
        calls(BURSTS, &[&[monitor.as_str()], more].concat())
    };
    // By minute: 49, 49, 73, 49, 49 and then 98 %.
    assert_eq!(at("above='70%', points=1", &[]), [180.0, 360.0]);
    assert_eq!(at("above='70%', points=2", &[]), [420.0]);
    assert_eq!(at("above='70%', points=2, among=3", &[]), [420.0]);
    assert_eq!(at("above='70%', points=2, among=4", &[]), [360.0]);
    assert_eq!(at("above='70%'", &[]), [480.0]);
    assert_eq!(at("above='70%', points=3, among=5", &[]), [420.0]);
    // What must not be fallen below: the first two minutes, and the two after the third.
    assert_eq!(at("below='60%', points=2", &[]), [120.0, 300.0]);
    assert_eq!(at("below='60%', points=3", &[]), [0.0; 0]);
    assert_eq!(at("below='60%', points=3, among=4", &[]), [240.0]);
    // A minute is known when it has come.
    assert_eq!(at("above='70%', points=2", &["monitor.m.delay=95s"]), [515.0]);
    let late = run(
        BURSTS,
        &[
            "run.duration=600s",
            "run.window=10s",
            "monitor.m={of='service.web', shows='busy', alarm={above='70%', points=2}, delay='95s'}",
        ],
    );
    let alarm = alarm_of(&late);
    // The sixth minute begins at 300 s.
    assert_eq!((alarm.calls, alarm.false_alarms, alarm.missed), (1, 0, 1));
    assert_eq!(alarm.delay_mean_s, Some(215.0));
}

fn alarm_of(ran: &Ran) -> Alarmed {
    shown(ran).alarm.expect("it has one")
}

fn shown(ran: &Ran) -> Monitored {
    Summary::new(&ran.model, std::slice::from_ref(&ran.outcome)).monitors[0].clone()
}

/// Requests come in the first two minutes and in the seventh: no other has a latency.
const SILENCE: &str = r#"
[arrivals]
rate = "10/s"
process = "even"
stages = [{ for = "119500ms", to = "10/s" }, { for = "0s", to = "0/s" }, { for = "240500ms", to = "0/s" },
  { for = "0s", to = "10/s" }, { for = "59500ms", to = "10/s" }, { for = "0s", to = "0/s" }]
[service.web]
[monitor.m]
shows = "latency"
[operation.page]
share = 1
flow = [{ wait = "100ms" }]
"#;

#[test]
fn a_period_without_a_value_counts_as_the_alarm_says() {
    let at = |points: u32, missing: &str| {
        let alarm =
            format!("monitor.m.alarm={{above='50ms', points={points}, missing='{missing}'}}");
        calls(SILENCE, &[&alarm])
    };
    let unsaid = calls(SILENCE, &["monitor.m.alarm={above='50ms', points=2}"]);
    // Two minutes in a row; those two that are looked back at beside decide until the fourth. Then the
    // seventh is the only one of five, and with nothing after it as good as two.
    assert_eq!(unsaid, [120.0, 480.0]);
    assert_eq!(at(2, "missing"), unsaid);
    assert_eq!(at(2, "not-breaching"), [120.0]);
    assert_eq!(at(2, "ignore"), [120.0]);
    assert_eq!(at(2, "breaching"), [120.0]);
    // One that is beyond the bound is enough: it ends when nothing is known, or goes on.
    assert_eq!(at(1, "missing"), [60.0, 420.0]);
    assert_eq!(at(1, "not-breaching"), [60.0, 420.0]);
    assert_eq!(at(1, "ignore"), [60.0]);
    assert_eq!(at(1, "breaching"), [60.0]);
    // Three: of the first two and of what is missing after them.
    assert_eq!(at(3, "missing"), [540.0]);
    assert_eq!(at(3, "not-breaching"), [0.0; 0]);
    assert_eq!(at(3, "ignore"), [0.0; 0]);
    assert_eq!(at(3, "breaching"), [300.0]);
}

const STORES: &str = r#"
[service.web]
[cache.near]
kind = "memory"
service = "web"
memory = "10KB"
eviction = "lru"
overhead = "0B"
[keys.k]
count = 1
size = "1KB"
[monitor.m]
of = "cache.near"
shows = "hits"
every = "10s"
[operation.get]
share = 1
flow = [{ wait = "500ms" }, { cache = { in = "near", keys = "k" } }]
"#;

#[test]
fn a_cache_shows_its_hits_its_evictions_and_its_memory() {
    let ran = |sets: &[&str]| run(STORES, &[&["run.duration=60s", "run.window=1s"], sets].concat());
    // At 1.5 s, 2.5 s, ... one is looked up, and only the first is not there.
    let hits = ran(&["monitor.m.alarm={below='95%', points=1}"]);
    let course = &monitor_courses(&hits.model, &hits.outcome)[0];
    assert!((course.shown[0].1 - 8.0 / 9.0).abs() < 1e-9, "{course:?}");
    assert!(course.shown[1..].iter().all(|(_, value)| *value == 1.0));
    assert_eq!((course.calls.as_slice(), course.truth.len()), (&[10.0][..], 59));
    assert!((shown(&hits).true_mean - 58.0 / 59.0).abs() < 1e-9);
    // Ten of a million fit; after them each value that comes lets one go.
    let many = ["keys.k.count=1_000_000", "monitor.m.shows='evictions'"];
    let evicts = ran(&[&many[..], &["monitor.m.alarm={above='0.5/s', points=1}"]].concat());
    let course = &monitor_courses(&evicts.model, &evicts.outcome)[0];
    assert!(course.shown[0].1 == 0.0 && course.shown[2..].iter().all(|(_, rate)| *rate == 1.0));
    assert_eq!(course.calls, [20.0], "nine in the second ten seconds");
    let memory = ran(&[&many[..1], &["monitor.m.shows='memory'"]].concat());
    let course = &monitor_courses(&memory.model, &memory.outcome)[0];
    // Two have come by 3 s: a fifth.
    assert_eq!(course.truth[2], (3.0, 0.2));
    assert_eq!(course.truth[30].1, 1.0);
}

#[test]
fn memory_of_a_service_and_the_lag_of_a_replica_are_shown() {
    let web = "[service.web]\nmemory = { machine = '400MB', base = '100MB', per_request = '10MB' }\n\
               [monitor.m]\nof = 'service.web'\nshows = 'memory'\nevery = '1s'\n\
               [operation.page]\nshare = 1\nflow = [{ wait = '700ms' }, { wait = '600ms' }]\n";
    let ran = run(web, &["run.window=500ms"]);
    // Each second of the user's clock a request comes, for 1.3 s: at whole and half seconds there are two
    // and one.
    let course = &monitor_courses(&ran.model, &ran.outcome)[0];
    let at = |s: f64| course.truth.iter().find(|(end, _)| *end == s).expect("a step").1;
    assert!((at(2.5) - 0.275).abs() < 1e-9 && (at(0.5) - 0.25).abs() < 1e-9, "{course:?}");
    let database = "[service.web]\n[pool.pg]\nservice = 'web'\ndatabase = 'main'\n\
                    [database.main]\nreplicas = 1\nlag = '2s'\nreplay = '0%'\nrtt = '0ms'\nconnect = '0ms'\n\
                    [monitor.m]\nof = 'database.main'\nshows = 'lag'\nevery = '1s'\nreads = 'sample'\n\
                    [operation.page]\nshare = 1\nflow = [{ wait = '500ms' }, { query = { pool = 'pg', write = '100ms' } }]\n";
    let ran = run(database, &["run.window=500ms"]);
    let course = &monitor_courses(&ran.model, &ran.outcome)[0];
    let lag = |s: f64| course.truth.iter().find(|(end, _)| *end == s).expect("a step").1;
    // Writes are committed at 1.6 s, 2.6 s, ... and replayed two seconds later.
    for (at, behind) in [(1.5, 0.0), (2.0, 0.4), (3.0, 1.4), (3.5, 1.9), (4.0, 1.4), (4.5, 1.9)] {
        assert!((lag(at) - behind).abs() < 1e-2, "{at} {}", lag(at));
    }
    let (last, value) = course.shown[3];
    assert!(last == 4.0 && (value - 1.4).abs() < 1e-2, "{:?}", course.shown);
}
