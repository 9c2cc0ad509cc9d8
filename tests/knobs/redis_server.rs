//! What keeps a cache server from its commands, and how long it keeps values.

use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// A quick command every second, and beside each a long one on the same node.
const SERVER: &str = r#"
[service.web]
[cache.c]
rtt = "2ms"
command = "1ms"
per_kb = "0s"
[keys.k]
count = 1000
size = "1MB"
[operation.work]
share = 1
flow = [{ parallel = [[{ command = { in = "c", takes = "40ms" } }], [{ wait = "1us" }, { cache = { in = "c", keys = "k" } }]] }]
"#;

fn served(sets: &[&str]) -> Ran {
    run(SERVER, sets)
}

#[test]
fn a_long_command_keeps_all_others_waiting() {
    let ran = served(&[]);
    // It has the thread until 41 ms; then the GET and the SET of the miss, each with its way.
    assert_eq!(ran.longest(), ms(1 + 40 + 1 + 1 + 1 + 1 + 1));
    assert_eq!(ran.count("cache.c", Counter::Served), 30);
    let alone = "operation.work.flow=[{command={in='c', takes='40ms'}}]";
    assert_eq!(served(&[alone]).each(), ms(42));
    assert_eq!(served(&["operation.work.flow=[{command={in='c'}}]"]).each(), ms(3));
    // A cluster's other nodes go on.
    let spread = served(&["cache.c.nodes=3"]);
    assert!(spread.shortest() == ms(42) && spread.longest() == ms(46), "{}", spread.shortest());
}

#[test]
fn the_slow_log_has_what_keeps_the_thread_for_long() {
    let slow = |sets: &[&str]| served(sets).count("cache.c", Counter::Slow);
    // Ten commands of 40 ms; the GETs and SETs of 1 ms behind them wait as long, and are not slow.
    assert_eq!(slow(&[]), 10);
    assert_eq!((slow(&["cache.c.slowlog=40ms"]), slow(&["cache.c.slowlog=41ms"])), (10, 0));
    assert_eq!(slow(&["cache.c.slowlog=1ms"]), 30);
    // What a fault slows down is slow by the clock.
    let fault = "fault.f={target='cache.c', what={slow=20}, at='4500ms', for='1s'}";
    assert_eq!(slow(&[fault, "operation.work.flow=[{cache={in='c', keys='k'}}]"]), 2);
}

/// One value of a megabyte is set each second: a gigabyte of them at the start.
fn saved(persistence: &str, sets: &[&str]) -> Ran {
    let text = SERVER.replace("[keys.k]\n", &format!("persistence = {persistence}\n[keys.k]\n"));
    let flow = "operation.work.flow=[{cache={in='c', keys='k', miss=[]}}]";
    let warm = ["run.start.caches=warm", flow];
    run(&text, &[&warm[..], sets].concat())
}

#[test]
fn a_snapshot_forks_the_server() {
    let writes = "operation.work.flow=[{command={in='c', write=true}}]";
    let paused = |persistence: &str, sets: &[&str]| {
        saved(persistence, &[&[writes], sets].concat()).count("cache.c", Counter::PausedMicros)
    };
    let each = "save=[{after='2s', changes=1}]";
    // Changes at 1, 2, ... 10 s; looked at every tenth of a second. The store is empty.
    assert_eq!(paused(&format!("{{{each}}}"), &[]), 0);
    // A gigabyte takes 100 ms: at 3 s, and a second later its child is done; then every 3 s.
    let full = "operation.work.flow=[{cache={in='c', keys='k'}}, {command={in='c', write=true}}]";
    let forked = |more: &str| {
        let persistence = format!("{{{each}, fork='100ms', disk='8Gbit/s'{more}}}");
        let ran = saved(&persistence, &[full]);
        let micros = ran.count("cache.c", Counter::PausedMicros);
        assert_eq!(micros % 100_009, 0, "a thousand values of 1 MB and 90 B: {micros} us");
        micros / 100_009
    };
    assert_eq!(forked(""), 2, "at 3 and 7 s");
    let persistence = |save: &str| format!("{{save={save}, fork='100ms', disk='8Gbit/s'}}");
    let micros =
        |save: &str| saved(&persistence(save), &[full]).count("cache.c", Counter::PausedMicros);
    assert_eq!(micros("[]"), 0);
    assert_eq!(micros("[{after='2s', changes=1_000}]"), 0, "too few changes");
    assert!(micros("[{after='2s', changes=5}]") > 90_000);
    // Writing it takes longer over a slower disk: there is no second one.
    let slow = "{save=[{after='2s', changes=1}], fork='100ms', disk='800Mbit/s'}";
    assert!(saved(slow, &[full]).count("cache.c", Counter::PausedMicros) < 110_000);
    // Whoever comes then waits for it.
    assert!(saved(&persistence("[{after='2s', changes=1}]"), &[full]).longest() > ms(90));
}

#[test]
fn sessions_that_are_only_read_change_nothing() {
    let paused = |touch: bool| {
        let save = "{save=[{after='2s', changes=1}], fork='100ms', disk='8Gbit/s'}";
        let text = SERVER.replace("[keys.k]\n", &format!("persistence = {save}\n[keys.k]\n"));
        let text = text.replace("[service.web]", "[service.web]\nbefore = ['session.s']");
        let text = format!("{text}[session.s]\nstore.redis = {{ cache = 'c' }}\nresave = false\n");
        let touch = format!("session.s.touch={touch}");
        let sets =
            ["run.start.caches=warm", "operation.work.flow=[{cache={in='c', keys='k'}}]", &touch];
        run(&text, &sets).count("cache.c", Counter::PausedMicros)
    };
    assert_eq!(paused(false), 0);
    // Touched at 1, 2, ... 10 s, as a change a second is above.
    assert!((200_000..202_000).contains(&paused(true)), "{} us", paused(true));
}

#[test]
fn an_fsync_of_more_than_two_seconds_blocks_the_server() {
    let writes = ["operation.work.flow=[{command={in='c', write=true}}]", "arrivals.rate=10/s"];
    let stalled = |fsync: &str| {
        let ran = saved(&format!("{{save=[], fsync='{fsync}'}}"), &writes);
        (ran.count("cache.c", Counter::PausedMicros), ran.longest())
    };
    assert_eq!(stalled("900ms"), (0, ms(3)));
    assert_eq!(stalled("1900ms"), (0, ms(3)));
    let (micros, longest) = stalled("3s");
    assert!(micros > 2_000_000 && longest > ms(800), "{micros} {longest}");
    let reads = ["operation.work.flow=[{command={in='c'}}]", "arrivals.rate=10/s"];
    let ran = saved("{save=[], fsync='3s'}", &reads);
    assert_eq!(ran.count("cache.c", Counter::PausedMicros), 0, "nothing is written");
}

#[test]
fn a_hit_renews_what_is_sliding() {
    // One key every second, which lives for 1.5 s.
    let read = |more: &str, rate: &str| {
        let flow =
            format!("operation.work.flow=[{{cache={{in='c', keys='k', ttl='1500ms'{more}}}}}]");
        let ran = served(&[&flow, "keys.k.count=1", rate]);
        (ran.count("cache.c", Counter::Hits), ran.count("cache.c", Counter::Misses))
    };
    assert_eq!(read("", "arrivals.rate=1/s"), (5, 5));
    assert_eq!(read(", sliding=true", "arrivals.rate=1/s"), (9, 1));
    assert_eq!(read(", sliding=true", "arrivals.rate=0.5/s"), (0, 5), "not if it comes too late");
}

/// A value that takes 300 ms to load, one key; its source changes 100 ms after each look-up.
#[test]
fn values_can_be_out_of_date() {
    let stale = |flow: &str| {
        let text = SERVER.replace(
            "[keys.k]",
            "[cache.l]\nkind = 'memory'\nservice = 'web'\ncommand = '0ms'\n[keys.k]",
        );
        let flow = format!("operation.work.flow={flow}");
        let ran = run(&text, &[&flow, "keys.k.count=1", "cache.c.rtt=0ms", "cache.c.command=0ms"]);
        ["cache.c", "cache.l"].map(|path| ran.count(path, Counter::StaleReads))
    };
    let raced = |after: &str, more: &str| {
        stale(&format!(
            "[{{parallel=[[{{cache={{in='c', keys='k', miss=[{{wait='300ms'}}]{more}}}}}], \
             [{{wait='{after}'}}, {{invalidate={{in='c', keys='k'}}}}]]}}]"
        ))
    };
    // Missed at 1, 3, ... 9 s, and stored after the removal: at 2, 4, ... 10 s the old value is there.
    assert_eq!(raced("100ms", ""), [5, 0]);
    assert_eq!(raced("400ms", ""), [0, 0], "removed after it has been stored");
    assert_eq!(raced("100ms", ", ttl='500ms'"), [0, 0], "a time to live bounds it");
    // The memory before it is told nothing.
    let tiers = "[{cache={in='l', keys='k', miss=[{cache={in='c', keys='k', miss=[{wait='1ms'}]}}]}}, \
                 {invalidate={in='c', keys='k'}}]";
    assert_eq!(stale(tiers), [0, 9]);
    assert_eq!(stale(&tiers.replace("{in='c', keys='k'}}]", "{in='l', keys='k'}}]")), [9, 0]);
}
