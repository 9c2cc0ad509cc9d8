//! The memory of a Redis that values, sessions and jobs share, and what becomes of them without it.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run, us};

/// Sessions of 5 KB that every request makes, and pages of 10 KB, in 100 KB.
const SHARED: &str = r#"
[service.web]
before = ["session.s"]
[cache.c]
rtt = "0ms"
overhead = "0B"
memory = "100KB"
[session.s]
store.redis.cache = "c"
[keys.k]
count = 50
[operation.login]
login = true
share = 0.5
flow = [{ reply = "1KB" }]
[operation.work]
share = 0.5
flow = [{ cache = { in = "c", keys = "k", ttl = "1h" } }, { reply = "1KB" }]
[arrivals]
rate = "10/s"
users = 1_000
"#;

#[test]
fn sessions_and_values_evict_each_other() {
    let ran =
        |policy: &str| run(SHARED, &["run.duration=60s", &format!("cache.c.eviction={policy}")]);
    let share = |ran: &Ran| {
        let sessions = ran.held("session.s").last().expect("windows") * 5e3;
        (sessions, *ran.held("cache.c").last().expect("windows"))
    };
    for policy in ["allkeys-lru", "volatile-lru", "allkeys-random", "volatile-ttl", "allkeys-lfu"] {
        let ran = ran(policy);
        let (sessions, values) = share(&ran);
        // One write may go over.
        assert!(sessions + values <= 111e3, "{policy}: {sessions} + {values}");
        assert!(sessions > 4e3 && ran.count("session.s", Counter::Evicted) > 100, "{policy}");
        assert_eq!(ran.count("cache.c", Counter::OutOfMemory), 0, "{policy}");
        // About a quarter of 300 requests come from users who were here before, most of them in vain.
        assert!(ran.count("session.s", Counter::Misses) > 50, "{policy}: users are logged out");
    }
    let roomy = run(SHARED, &["run.duration=60s", "cache.c.memory=1GB"]);
    assert_eq!(
        (roomy.count("session.s", Counter::Misses), roomy.count("cache.c", Counter::Evicted)),
        (0, 0)
    );
    // By the nearest expiry the sessions of a day outlive the pages of an hour.
    let (sessions, values) = share(&ran("volatile-ttl"));
    assert!(sessions > 90e3 && values < 20e3, "{sessions} + {values}");
    let full = ran("noeviction");
    assert!(full.count("cache.c", Counter::OutOfMemory) > 100);
    assert_eq!(full.count("session.s", Counter::Evicted), 0);
}

/// A job a second, whose queue is in a small Redis.
const JOBS: &str = r#"
[service.web]
[cache.c]
rtt = "0ms"
command = "0ms"
memory = "5KB"
[queue.q]
cache = "c"
[job.j]
queue = "q"
work = "100ms"
[operation.work]
share = 1
flow = [{ enqueue = "j" }]
"#;

#[test]
fn jobs_take_memory_while_they_are_kept() {
    let done = |sets: &[&str]| {
        let ran = run(JOBS, sets);
        let refused = ran.count("cache.c", Counter::OutOfMemory);
        assert_eq!(ran.failed(Failure::CacheError), refused, "`add` rejects");
        (ran.count("queue.q", Counter::Served), refused)
    };
    // 1 KB and 90 B each: five are more than 5 KB, and nothing goes.
    assert_eq!(done(&[]), (5, 5));
    assert_eq!(done(&["job.j.size=400B"]), (10, 0));
    assert_eq!(done(&["job.j.keep_completed=0"]), (10, 0));
    assert_eq!(done(&["job.j.keep_completed=3"]), (10, 0));
    let fails = "job.j.fail=100%";
    assert_eq!(done(&[fails, "job.j.keep_completed=0"]), (0, 5));
    assert_eq!(done(&[fails, "job.j.keep_failed=0"]), (0, 0));
    // A policy lets those go that are over.
    assert_eq!(done(&["cache.c.eviction=allkeys-lru"]), (10, 0));
    assert_eq!(done(&["cache.c.eviction=volatile-lru"]), (5, 5), "they do not expire");
}

#[test]
fn a_full_redis_refuses_to_count() {
    let limited = |fail: &str| {
        let text = format!(
            "{}\n[limit.l]\nmax = 100\nfail = '{fail}'\nstore.shared.cache = 'c'\n",
            JOBS.replace("[service.web]", "[service.web]\nbefore = ['limit.l']")
        );
        run(&text, &["operation.work.flow=[{choose=[{share='100%', flow=[{enqueue='j'}]}]}]"])
    };
    let ran = limited("closed");
    assert_eq!((ran.ok(), ran.failed(Failure::GuardError)), (5, 5));
    let ran = limited("open");
    assert_eq!((ran.ok(), ran.failed(Failure::CacheError)), (5, 5), "the job has no room either");
}

#[test]
fn eviction_takes_its_time_in_the_command() {
    // Values of 1 KB that all miss; each write has to evict one.
    let text = "[service.web]\n[cache.c]\nrtt = '0ms'\ncommand = '1ms'\nmemory = '2KB'\n\
                overhead = '0B'\neviction = 'allkeys-random'\n[keys.k]\ncount = 1_000_000\n\
                size = '1KB'\n[operation.work]\nshare = 1\n\
                flow = [{ cache = { in = 'c', keys = 'k' } }]\n";
    assert_eq!(run(text, &[]).longest(), ms(2));
    let ran = run(text, &["cache.c.evicting=100us"]);
    assert_eq!((ran.shortest(), ran.longest()), (ms(2), us(2_100)));
    assert_eq!(ran.count("cache.c", Counter::Evicted), 7, "three fit");
    // One that replaces eight small ones: a command evicts for 500 us at most, five of 100 us.
    let mixed = text.replace("memory = '2KB'", "memory = '8KB'")
        + "[keys.big]\ncount = 1_000_000\nsize = '9KB'\n";
    let flow = "operation.work.flow=[{cache={in='c', keys='k'}}, {cache={in='c', keys='big'}}]";
    let ran = run(&mixed, &[flow, "cache.c.evicting=100us"]);
    assert!(ran.longest() <= us(5_000), "{:?}", ran.longest());
    let long = run(&mixed, &[flow, "cache.c.evicting=400us"]);
    assert!(long.longest() > ran.longest());
}

#[test]
fn the_expiry_cycle_keeps_commands_waiting() {
    // All of 2,000 values expire together: their removal takes 25 ms of each 100 ms at most.
    let text = "[service.web]\n[cache.c]\nrtt = '0ms'\ncommand = '10us'\n[keys.k]\n\
                count = 100_000\nsize = '1KB'\n[operation.work]\nshare = 1\n\
                flow = [{ cache = { in = 'c', keys = 'k', ttl = '3s' } }]\n\
                [arrivals]\nrate = '2000/s'\nusers = 1\n";
    let longest = |cost: &str| run(text, &[&format!("cache.c.expiring={cost}")]).longest();
    assert!(longest("0us") < ms(1), "{:?}", longest("0us"));
    let long = longest("50us");
    assert!(long > ms(5) && long < ms(60), "{long:?}");
}

/// Jobs of a second, whose Redis is gone from 2.2 s on.
const GONE: &str = r#"
[service.web]
[cache.c]
rtt = "0ms"
command = "0ms"
client.ioredis-5.max_retries = "unlimited"
[queue.q]
driver = "bullmq"
cache = "c"
processes = 4
lock = "4s"
stalled_interval = "3s"
[job.j]
queue = "q"
work = "1s"
cpu_share = "0%"
[operation.work]
share = 1
flow = [{ enqueue = { job = "j", wait = true } }]
[fault.out]
target = "cache.c"
what = "stop"
at = "2200ms"
for = "2s"
"#;

#[test]
fn workers_stand_still_while_their_redis_is_gone() {
    let ran = run(GONE, &["run.duration=20s"]);
    // The job of 2 s is done at 3 s, and ends when Redis is back at 4.2 s.
    assert!(ran.longest() >= ms(2_200), "{:?}", ran.longest());
    assert_eq!(ran.count("queue.q", Counter::Stalled), 0, "its lock has held");
    let long = run(GONE, &["run.duration=40s", "fault.out.for=6s"]);
    // 6 s are longer than a lock: the job is found without one, and done again.
    assert_eq!(long.count("queue.q", Counter::Stalled), 1);
    assert!(long.count("queue.q", Counter::Wasted) >= 1);
    let apart = GONE.replace("cache = \"c\"\nprocesses", "processes");
    let flow = "operation.work.flow=[{cache={in='c', keys='k'}}, {enqueue={job='j', wait=true}}]";
    let ran = run(&format!("{apart}[keys.k]\ncount = 1\n"), &["run.duration=20s", flow]);
    assert_eq!(ran.count("queue.q", Counter::Stalled), 0, "a queue that is elsewhere");
}

#[test]
fn a_cold_restart_loses_sessions_counters_and_jobs() {
    let text = r#"
[service.web]
before = ["session.s", "limit.l"]
[cache.c]
rtt = "0ms"
[session.s]
store.redis.cache = "c"
[limit.l]
max = 3
window = "1h"
store.shared.cache = "c"
[operation.work]
share = 1
flow = [{ reply = "1KB" }]
[fault.out]
target = "cache.c"
at = "5500ms"
for = "100ms"
"#;
    let ran = |what: &str| {
        let ran = run(text, &[&format!("fault.out.what={what}")]);
        (
            ran.ok(),
            ran.count("session.s", Counter::Misses),
            ran.count("session.s", Counter::Created),
        )
    };
    assert_eq!(ran("stop"), (3, 0, 0), "what it held is there again");
    assert_eq!(ran("restart"), (6, 1, 1), "a new count, and a new login");
    let waiting = GONE.replace("what = \"stop\"", "what = \"restart\"");
    let sets = ["queue.q.processes=1", "job.j.work=5s", "run.duration=30s"];
    let lost = run(&waiting, &sets);
    assert!(lost.count("queue.q", Counter::Lost) >= 1);
    assert_eq!(lost.failed(Failure::JobFailed), lost.count("queue.q", Counter::Lost));
}
