//! Limiters, guards, breakers, shedding.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, run};

const LIMITED: &str = r#"
[service.web]
before = ["limit.l"]
[limit.l]
per = "user"
window = "10s"
max = 50
[operation.work]
share = 1
flow = [{ cpu = "10us" }]
"#;

/// A first request at 1 s, then 100 a second from 10 s to 12 s: around the end of its window.
fn around_the_end(sets: &[&str]) -> Ran {
    let stages = "arrivals.stages=[{for='9500ms', to='1/s'}, {for='0s', to='100/s'}, {for='2s', to='100/s'}, {for='0s', to='0/s'}]";
    let arrivals = "[arrivals]\nrate = '1/s'\nprocess = 'even'\nusers = 1\n";
    let all = [&[stages, "run.duration=20s"][..], sets].concat();
    run(&format!("{arrivals}{LIMITED}"), &all)
}

/// What passes in two seconds of the burst.
fn passed_in_burst(ran: &Ran) -> u64 {
    ran.outcome.windows[9..13].iter().map(|window| window.ok).sum()
}

#[test]
fn t_37_a_fixed_window_lets_twice_its_limit_pass_around_its_end() {
    let fixed = passed_in_burst(&around_the_end(&[]));
    assert!((85..=100).contains(&fixed), "{fixed} of 50 a window, within two seconds");
    // The cure: count over the last ten seconds, whenever they begin.
    let sliding = passed_in_burst(&around_the_end(&["limit.l.algorithm=sliding-log"]));
    assert!(sliding <= 50, "{sliding}");
    let bucket = passed_in_burst(&around_the_end(&["limit.l.algorithm=token-bucket"]));
    assert!(bucket <= 61, "{bucket}: 50 and what comes back");
}

#[test]
fn t_37_windows_begin_with_each_keys_first_request() {
    // One at 1, 2, ... 10 s: the window of 10 s is from 1 s to 11 s, not by the clock.
    let ran = run(LIMITED, &["limit.l.max=9", "run.duration=20500ms"]);
    assert_eq!((ran.ok(), ran.failed(Failure::Limited)), (18, 2), "the tenth, and the twentieth");
}

#[test]
fn t_37_a_store_in_memory_multiplies_the_limit_by_processes() {
    let sets = ["arrivals.rate=50/s", "arrivals.users=1", "run.duration=9s"];
    let arrivals = "[arrivals]\nrate = '1/s'\nprocess = 'even'\nusers = 1\n";
    let text = format!("{arrivals}{LIMITED}");
    let ok = |more: &[&str]| run(&text, &[&sets[..], more].concat()).ok();
    assert_eq!(ok(&[]), 50);
    assert_eq!(ok(&["service.web.workers=4"]), 200);
    assert_eq!(ok(&["service.web.workers=2", "service.web.instances=3"]), 300);
    let shared = ok(&["service.web.workers=4", "limit.l.store=shared"]);
    assert_eq!(shared, 50, "one count for all");
}

/// Three hundred people, each far below the limit, and their addresses.
fn behind(sets: &[&str]) -> f64 {
    let arrivals = "[arrivals]\nrate = '60/s'\nusers = 300\n";
    let text = format!("{arrivals}{LIMITED}[balancer.lb]\nservice = 'web'\nhop = '0ms'\n");
    let ran = run(&text, &[&["limit.l.per=address", "run.duration=60s"][..], sets].concat());
    ran.failed(Failure::Limited) as f64 / ran.offered() as f64
}

#[test]
fn t_38_a_limit_by_address_is_one_for_all_behind_a_gateway() {
    assert_eq!(behind(&[]), 0.0, "2 of 50 in a window");
    let office = behind(&["client.addresses=1"]);
    assert!(office > 0.9, "{office}: an office with one address");
    assert_eq!(behind(&["client.addresses=1", "limit.l.per=user"]), 0.0, "the cure: by user");
}

#[test]
fn t_38_without_trust_proxy_all_users_share_one_key() {
    let untold = behind(&["limit.l.trust_proxy=false"]);
    assert!(untold > 0.9, "{untold}: all come from the balancer's address");
    assert_eq!(behind(&["limit.l.trust_proxy=true"]), 0.0);
}

#[test]
fn t_38_abuse_from_many_addresses_stays_below_each_limit() {
    // 400/s in all, from 10,000 addresses: not one of them is stopped, one address would be.
    let flood = ["arrivals.rate=400/s", "arrivals.users=10000", "run.duration=10s"];
    assert_eq!(behind(&flood), 0.0);
    assert!(behind(&[&flood[..], &["client.addresses=1"]].concat()) > 0.8);
    let all = behind(&[&flood[..], &["limit.l.per=all", "limit.l.max=1000"]].concat());
    assert!(all > 0.5, "{all}: a limit for all stops it");
}

#[test]
fn t_39_a_limiter_fails_closed_when_its_store_does() {
    let broken = ["limit.l.store=shared", "limit.l.errors=100%"];
    let ran = run(LIMITED, &broken);
    assert_eq!((ran.ok(), ran.failed(Failure::GuardError)), (0, 10), "500 for everybody");
    // passOnStoreError: true.
    assert_eq!(run(LIMITED, &[&broken[..], &["limit.l.fail=open"]].concat()).ok(), 10);
}

/// A guard on busy connections, and a session in a table of the same database.
const GUARDED: &str = r#"
[arrivals]
rate = "200/s"
users = 1000
[client]
patience = "5s"
[service.web]
before = ["session.s", "guard.g"]
[pool.pg]
service = "web"
database = "db"
size = 10
acquire_timeout = "500ms"
[database.db]
rtt = "0ms"
connect = "0ms"
cores = 1
[session.s]
touch = false
resave = false
store.postgres = { own = { database = "db", size = 10 }, read = "3ms" }
[guard.g]
watch = "pool.pg.busy"
reject_at = "50%"
[operation.work]
share = 1
flow = [{ query = { pool = "pg", read = "20ms" } }]
"#;

#[test]
fn t_40_a_guard_behind_an_expensive_middleware_sheds_too_late() {
    let run =
        |before: &str| run(GUARDED, &[&format!("service.web.before={before}"), "run.duration=30s"]);
    let late = run("['session.s', 'guard.g']");
    let early = run("['guard.g', 'session.s']");
    // Whoever is turned away has been looked up before: the database is as busy as without a guard.
    let reads = |ran: &Ran| ran.count("session.s", Counter::Reads) as f64 / ran.offered() as f64;
    assert!(reads(&late) > 0.8 && reads(&early) < 0.6, "{} {}", reads(&late), reads(&early));
    let mean = |ran: &Ran| ran.mean_s();
    let guarded = |ran: &Ran| ran.failed(Failure::Guarded);
    assert!(
        guarded(&late) > 1_000 && guarded(&early) > 1_000,
        "{} {}",
        guarded(&late),
        guarded(&early)
    );
    assert!(early.ok() as f64 > 1.3 * late.ok() as f64, "{} {}", early.ok(), late.ok());
    assert!(mean(&early) < mean(&late), "{} {}", mean(&early), mean(&late));
}

#[test]
fn t_40_a_guard_that_fails_open_vanishes_under_overload() {
    // It counts what is live through the pool that is exhausted: its own statement times out.
    let reading = [
        "service.web.before=['guard.g']",
        "guard.g.read={pool='pg', time='5ms'}",
        "guard.g.watch=service.web.in_flight",
        "run.duration=30s",
    ];
    let text = GUARDED.replace("reject_at = \"50%\"", "limit = 40");
    let text = text.replace("session.s\", \"", "");
    let ran = |sets: &[&str]| run(&text, &[&reading[..], sets].concat());
    let open = ran(&[]);
    let broken = open.count("guard.g", Counter::Errors) as f64 / open.offered() as f64;
    assert!(broken > 0.3, "{broken} could not be read, and passed");
    // The cure: a value that is in the worker's memory.
    let memory: Vec<&str> = reading.iter().filter(|set| !set.contains("read=")).copied().collect();
    let cured = run(&text, &memory);
    assert_eq!(cured.count("guard.g", Counter::Errors), 0);
    assert!(cured.ok() as f64 > 1.2 * open.ok() as f64, "{} {}", cured.ok(), open.ok());
}

const CALLED: &str = r#"
[arrivals]
rate = "10/s"
process = "even"
[service.web]
[pool.pg]
service = "web"
database = "db"
size = 100
[database.db]
rtt = "0ms"
connect = "0ms"
cpu_share = "0%"
max_connections = 500
[breaker.b]
[operation.work]
share = 1
flow = [{ breaker = { through = "b", flow = [{ query = { pool = "pg", read = "10ms", fail = "100%" } }] } }]
"#;

fn flow(steps: &str) -> String {
    format!("operation.work.flow=[{{breaker={{through='b', flow=[{steps}]}}}}]")
}

#[test]
fn t_41_slow_failures_are_diluted_by_those_under_way() {
    let until_open = |read: &str| {
        let flow = flow(&format!("{{query={{pool='pg', read='{read}', fail='100%'}}}}"));
        let ran = run(CALLED, &[&flow, "run.duration=20s", "breaker.b.product.opossum.volume=5"]);
        ran.failed(Failure::QueryError)
    };
    // Every call fails. Quick ones open it at the fifth; of those that take 2 s, twenty are under
    // way at first, and failures are more than half of the fires only after 2 s more.
    assert_eq!(until_open("10ms"), 5);
    let slow = until_open("2s");
    assert!((35..=42).contains(&slow), "{slow}");
}

#[test]
fn t_41_rejections_for_lack_of_room_open_the_breaker() {
    // Nothing fails: thirty at once take a second each, and there is room for ten.
    let slow = flow("{wait='1s'}");
    let load = ["arrivals.rate=30/s", slow.as_str()];
    let full = run(CALLED, &[&load[..], &["breaker.b.product.opossum.capacity=10"]].concat());
    assert!(full.count("breaker.b", Counter::Opened) >= 1);
    assert!(full.ok() < 30, "{}: it stays open for 30 s", full.ok());
    // The cure: a bulkhead of its own, outside of the breaker.
    let outside = "operation.work.flow=[{bulkhead={of='h', flow=[{breaker={through='b', flow=[{wait='1s'}]}}]}}]";
    let text = format!("{CALLED}[bulkhead.h]\nlimit.fixed = 10\n");
    let cured = run(&text, &["arrivals.rate=30/s", outside]);
    assert_eq!(cured.count("breaker.b", Counter::Opened), 0);
    assert!(cured.ok() > 85, "{}", cured.ok());
}

#[test]
fn t_41_a_late_result_flips_a_half_open_breaker() {
    // Half of the calls fail at once, the others succeed after 8 s. The breaker opens within the
    // first second; when it half-opens after 3 s, old successes close it though every new call fails.
    let mixed = flow(
        "{choose=[{share='60%', flow=[{query={pool='pg', read='10ms', fail='100%'}}]}, \
         {share='40%', flow=[{wait='8s'}]}]}",
    );
    let sets = [mixed.as_str(), "breaker.b.product.opossum={volume=10, reset='3s'}"];
    let closings = |ran: &Ran| ran.count("breaker.b", Counter::Opened);
    let late = run(CALLED, &[&sets[..], &["run.duration=60s"]].concat());
    let quick = mixed.replace("8s", "10ms");
    let honest = run(CALLED, &[&quick, sets[1], "run.duration=60s"]);
    assert!(closings(&late) >= 3, "{}", closings(&late));
    assert!(closings(&honest) >= 3, "{}", closings(&honest));
    // A trial that waits 8 s keeps everybody out meanwhile, unless an old result comes first.
    assert!(late.failed(Failure::BreakerOpen) > honest.failed(Failure::BreakerOpen));
}

/// One call each second over a breaker that half-opens after 2 s, and faults of what it calls: slow ones make
/// 6.5 ms of it 6.5 s, flaky ones let it fail.
fn half_opened(faults: &[&str]) -> (u64, u64, u64, u64) {
    let flow = flow("{query={pool='pg', read='6500us'}}");
    let faults: Vec<String> = faults
        .iter()
        .enumerate()
        .map(|(number, fault)| format!("fault.f{number}={{target='database.db', {fault}}}"))
        .collect();
    let mut sets = vec![
        flow.as_str(),
        "arrivals.rate=1/s",
        "breaker.b.product.opossum={volume=0, reset='2s'}",
    ];
    sets.extend(faults.iter().map(String::as_str));
    let ran = run(CALLED, &sets);
    let opened = ran.count("breaker.b", Counter::Opened);
    (ran.ok(), ran.failed(Failure::QueryError), ran.failed(Failure::BreakerOpen), opened)
}

/// The call of 1 s takes 6.5 s.
const SLOW: &str = "what={slow=1000}, at='500ms', for='1s'";

#[test]
fn t_41_an_old_success_closes_a_breaker_whose_trial_is_under_way() {
    // Those of 2 and 3 s fail and open it until 5.0065 s. The trial of 6 s takes until 12.5 s, but the success
    // at 7.5 s is of the call of 1 s: from then on all pass.
    let opens = "what={flaky='100%'}, at='1500ms', for='2s'";
    let trial = "what={slow=1000}, at='5500ms', for='1s'";
    let (ok, failed, open, opened) = half_opened(&[SLOW, opens, trial]);
    assert_eq!((ok, failed), (4, 2), "1, 8, 9, 10; and 2, 3");
    assert_eq!((open, opened), (3, 1), "4, 5 and 7; not 8, 9 and 10");
}

#[test]
fn t_41_an_old_failure_opens_a_breaker_whose_trial_succeeds() {
    // All of the first three fail, that of 1 s at 7.5 s. The trial of 6 s ends well at 8.21 s: it is of no use,
    // the breaker is open until 9.5 s.
    let opens = "what={flaky='100%'}, at='500ms', for='3s'";
    let trial = "what={slow=340}, at='5500ms', for='1s'";
    let (ok, failed, open, opened) = half_opened(&[SLOW, opens, trial]);
    assert_eq!((ok, failed), (2, 3), "6, 10; and 1, 2, 3");
    assert_eq!((open, opened), (5, 2), "4, 5, 7, 8, 9; at 3 and at 7.5 s");
}

#[test]
fn t_41_rejections_count_as_calls() {
    // Opened by the failure of 1 s, it turns 2 and 3 away, and closes with 4. With those two the failures of 1,
    // 5 and 6 are 3 of 6, not more than half; that of 7 is the fourth of 7. Without them 2 of 3 would do.
    let faults =
        ["what={flaky='100%'}, at='500ms', for='1s'", "what={flaky='100%'}, at='4500ms', for='3s'"];
    let (ok, failed, open, opened) = half_opened(&faults);
    assert_eq!((ok, failed), (2, 4), "4, 10; and 1, 5, 6, 7");
    assert_eq!((open, opened), (4, 2), "2, 3, 8, 9");
}

#[test]
fn t_42_every_process_must_learn_and_sends_its_own_trials() {
    let calls = |workers: u32| {
        let workers = format!("service.web.workers={workers}");
        let product = "breaker.b.product.opossum={volume=5, reset='2s'}";
        let load = ["arrivals.rate=100/s", "run.duration=20s", product, &workers];
        run(CALLED, &load).failed(Failure::QueryError)
    };
    // Five to learn, then one each two seconds.
    let (one, eight) = (calls(1), calls(8));
    assert!((13..=15).contains(&one), "{one}");
    assert!(
        (7 * one..=8 * one).contains(&eight),
        "{eight}: eight times as many calls into the dark"
    );
}

/// A hundred a second at most, 150 wanted, by users who wait a second.
const CROWD: &str = r#"
[arrivals]
rate = "150/s"
users = 10000
[client]
patience = "1s"
[service.web]
before = ["bulkhead.b"]
[bulkhead.b]
limit.fixed = 10
queue = {}
[operation.work]
share = 1
flow = [{ wait.exponential = "100ms" }]
"#;

/// Answers a second that somebody waited for, once the queue is there.
fn goodput(queue: &str) -> f64 {
    let queue = format!("bulkhead.b.queue={queue}");
    let ran = run(CROWD, &[&queue, "run.warmup=20s", "run.duration=40s"]);
    ran.ok() as f64 / 40.0
}

#[test]
fn t_43_a_fifo_queue_serves_those_who_are_about_to_leave() {
    let fifo = goodput("{}");
    assert!(fifo < 5.0, "{fifo}/s of 100/s: everybody has waited for more than a second");
    let lifo = goodput("{order='lifo'}");
    let adaptive = goodput("{order='adaptive-lifo'}");
    assert!(lifo > 90.0 && adaptive > 90.0, "{lifo} {adaptive}: the newest still wait");
    let codel = goodput("{shed='codel'}");
    let controlled = goodput("{shed='controlled-delay'}");
    assert!(controlled > 90.0, "{controlled}");
    assert!(codel > 60.0, "{codel}: it takes a while to shed enough");
    let timeout = goodput("{timeout='300ms'}");
    assert!(timeout > 85.0, "{timeout}: a wait that leaves time for the work");
    // A timeout as long as the users' patience is none.
    let useless = goodput("{timeout='990ms'}");
    assert!(useless < 30.0, "{useless}");
    let bounded = goodput("{size=30}");
    assert!(bounded > 85.0, "{bounded}: a short queue");
}

#[test]
fn t_43_work_for_those_who_have_gone_fills_the_places() {
    let ran = run(CROWD, &["run.warmup=20s", "run.duration=20s"]);
    assert!(ran.station("bulkhead.b").utilisation() > 0.99);
    assert_eq!(ran.failed(Failure::Shed), 0, "nobody is turned away, nobody is served in time");
}
