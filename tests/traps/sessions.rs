//! Session stores.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

const SHOP: &str = r#"
[service.web]
before = ["session.s"]
[pool.pg]
service = "web"
database = "db"
size = 20
acquire_timeout = "1s"
[database.db]
cores = 4
rtt = "0ms"
connect = "1ms"
[session.s]
store.postgres = { own = { database = "db" }, read = "5ms", write = "10ms" }
[operation.work]
share = 1
flow = [{ query = { pool = "pg", read = "1ms" } }, { reply = "1KB" }]
"#;

/// T-17: a store that is given an address opens a pool of its own, of ten and without a timeout: the
/// database has ten connections more than the application counts, a guard on the application's pool
/// does not see them, and requests wait for them without end.
#[test]
fn t_17_a_store_with_its_own_pool_is_out_of_sight() {
    let sets = ["arrivals.rate=900/s", "arrivals.users=1000", "run.duration=20s"];
    let bites = run(SHOP, &sets);
    // 15 ms of ten connections: 667 a second at most, fewer on 4 cores.
    assert!(bites.station("pool.s-own").waiting_mean > 500.0);
    assert!(bites.station("pool.pg").utilisation() < 0.2, "what a guard would look at");
    assert_eq!(bites.failed(Failure::AcquireTimeout), 0, "they wait for ever");
    let open = bites.station("pool.s-own").held_peak + bites.station("pool.pg").held_peak;
    assert!(bites.station("pool.s-own").held_peak == 10 && open > 10);
    // A guard on the application's pool turns nobody away meanwhile.
    let guard = "[guard.g]\nwatch = 'pool.pg.busy'\nreject_at = '85%'\n";
    let guarded = SHOP.replace("[\"session.s\"]", "[\"session.s\", \"guard.g\"]");
    let blind = run(&format!("{guarded}{guard}"), &sets);
    assert_eq!(blind.failed(Failure::Guarded), 0);
    assert!(blind.station("pool.s-own").waiting_mean > 500.0);
    // Thirty connections where the application counts twenty.
    let all = run(SHOP, &[&sets[..], &["run.start.pools=full", "pool.pg.min=20"]].concat());
    let held = ["pool.pg", "pool.s-own"].map(|path| all.station(path).held_peak);
    assert_eq!(held, [20, 10]);
    // The cure: the application's pool for both, with its timeout.
    let shared = SHOP.replace("own = { database = \"db\" }", "pool = \"pg\"");
    let cured = run(&shared, &sets);
    assert!(cured.failed(Failure::AcquireTimeout) > 100);
    assert!(cured.station("pool.pg").utilisation() > 0.9, "what a guard looks at now");
}

/// T-28: by default every request writes, and every bot makes a session.
#[test]
fn t_28_defaults_write_on_every_request_and_keep_bots() {
    let sets = ["arrivals.rate=10/s", "arrivals.users=1000", "session.s.guests=80%"];
    let count = |more: &[&str]| {
        let ran = run(SHOP, &[&sets[..], more].concat());
        (
            ran.offered(),
            ran.count("session.s", Counter::Created),
            ran.count("database.db", Counter::Writes),
        )
    };
    let (offered, made, writes) = count(&[]);
    assert!(made > 70 && writes + 1 >= offered, "{made} sessions, {writes} writes of {offered}");
    // Each of the two writes by itself. Who has a session has it saved again by every request, ...
    let (no_bots, no_resave) = ("session.s.save_uninitialized=false", "session.s.resave=false");
    let no_touch = "session.s.touch=false";
    let known = "session.s.guests=0%";
    let (offered, made, writes) = count(&[known, no_bots, no_touch]);
    assert!(made == 0 && writes + 1 >= offered, "{made} sessions, {writes} writes of {offered}");
    assert_eq!(count(&[known, no_bots, no_touch, no_resave]), (offered, 0, 0));
    // ... and a bot has a new one each time.
    let bots = "session.s.guests=100%";
    let (offered, made, writes) = count(&[bots, no_resave, no_touch]);
    assert!(made + 1 >= offered && writes + 1 >= offered, "{made} sessions of {offered}");
    assert_eq!(count(&[bots, no_resave, no_touch, no_bots]), (offered, 0, 0));
    let (_, made, writes) = count(&[no_bots, no_resave, no_touch]);
    assert_eq!((made, writes), (0, 0));
}

/// T-29: the answer waits for the session's write.
#[test]
fn t_29_a_slow_store_slows_every_answer() {
    let with = |store: &str, more: &[&str]| {
        let store = format!("session.s.store={{postgres={{own={{database='db'}}, {store}}}}}");
        run(SHOP, &[&[store.as_str()], more].concat())
    };
    let took = |ran: Ran| ran.shortest();
    assert_eq!(took(with("read='5ms', write='10ms'", &[])), ms(16));
    assert_eq!(took(with("read='5ms', write='500ms'", &[])), ms(506));
    let quiet = ["session.s.resave=false", "session.s.touch=false"];
    assert_eq!(took(with("read='5ms', write='500ms'", &quiet)), ms(6));
}

/// T-30: every process prunes by its own timer, 450 to 1,350 s after its first request and then
/// again; live sessions follow new ones x time to live, not those who are there.
#[test]
fn t_30_pruning_is_a_timer_for_each_process() {
    let sets = [
        "arrivals.rate=1/s",
        "arrivals.process=even",
        "arrivals.users=100000",
        "operation.work.login=true",
        "session.s.ttl=600s",
        "run.duration=7200s",
        "run.window=60s",
        "client.patience=60s",
    ];
    let with = |more: &[&str]| run(SHOP, &[&sets[..], more].concat());
    let one = with(&[]);
    assert!(one.station("service.web").busy_mean < 0.01, "nobody is there, and yet");
    assert!((one.held("session.s")[100] - 600.0).abs() < 3.0, "{}", one.held("session.s")[100]);
    // Twelve processes delete what one deletes, but twelve times as often.
    let work = |ran: &Ran| ran.count("session.s", Counter::Expired);
    let many = with(&["service.web.instances=12"]);
    assert!(work(&many) > work(&one), "less is left over: {} {}", work(&many), work(&one));
    // Reading and waiting delete nothing.
    let never = "session.s.store={postgres={own={database='db'}, prune='10day'}}";
    assert_eq!(work(&with(&[never])), 0);
}
