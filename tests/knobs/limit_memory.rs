//! What the counts of limits take of the memory of a process or a Redis.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, run};

/// A request a second, each from an address of its own.
const STRANGERS: &str = r#"
[arrivals]
process = "even"
rate = "1/s"
users = 1_000_000
[service.web]
before = ["limit.l"]
memory = { machine = "100MB", base = "40MB", per_request = "1KB" }
runtime = { node = { heap = "100MB" } }
[limit.l]
key_memory = "1MB"
[operation.get]
share = 1
flow = [{ cpu = "1ms" }]
"#;

#[test]
fn a_process_keeps_the_counts_of_two_windows() {
    let out = |sets: &[&str]| {
        run(STRANGERS, &[&["run.duration=100500ms"], sets].concat())
            .count("service.web", Counter::OutOfMemory)
    };
    // The sixty-first key, in the second window of a minute, is too much; of twenty none is.
    assert_eq!(out(&[]), 1);
    assert_eq!(out(&["limit.l.window=10s"]), 0);
    assert_eq!(
        out(&["limit.l.window=35s"]),
        1,
        "of two windows at most 70 keys, and 61 are too many"
    );
    assert_eq!(out(&["limit.l.key_memory=200B"]), 0);
    // Forty keys up to 20 s and forty more from 62 s on: of one window and the next, or of the first and the third.
    let twice = "arrivals={process='even', rate='2/s', users=1_000_000, stages=[{for='20s', to='2/s'}, {for='0s', to='0/s'}, {for='42s', to='0/s'}, {for='0s', to='2/s'}, {for='20s', to='2/s'}, {for='0s', to='0/s'}]}";
    assert_eq!((out(&[twice]), out(&[twice, "limit.l.window=30s"])), (1, 0));
    // Who comes in both windows is kept once: forty who come all the time are forty, and seventy too many.
    let often = |users: u32| {
        let users = format!("arrivals={{process='even', rate='10/s', users={users}}}");
        out(&[&users, "limit.l.window=10s"])
    };
    assert_eq!((often(40), often(70)), (0, 1));
    assert_eq!(out(&["limit.l.store={shared={}}"]), 0);
}

/// Each of a hundred users may come once a minute, and they come ten times a second.
const COUNTED: &str = r#"
[arrivals]
process = "even"
rate = "10/s"
users = 100
[service.web]
before = ["limit.l"]
[cache.c]
rtt = "0ms"
[limit.l]
max = 1
per = "user"
key_memory = "1KB"
store.shared.cache = "c"
[operation.get]
share = 1
flow = [{ cpu = "1ms" }]
"#;

#[test]
fn a_redis_that_is_full_forgets_counts_or_refuses_them() {
    let counted = |sets: &[&str]| run(COUNTED, &[&["run.duration=50s"], sets].concat());
    let refused = |ran: &Ran| ran.failed(Failure::Limited);
    // Of 500 requests a hundred pass, near enough.
    let roomy = counted(&["cache.c.memory=1MB"]);
    assert!(roomy.ok() < 102 && refused(&roomy) > 390, "{:?}", roomy.outcome.requests);
    assert_eq!(refused(&counted(&[])), refused(&roomy));
    // There is room for ten of a hundred: who comes again has been forgotten, nine times out of ten.
    let full = ["cache.c.memory=10KB", "cache.c.eviction=allkeys-lru"];
    let forgets = counted(&full);
    assert!(forgets.ok() > 420 && refused(&forgets) < 80, "{:?}", forgets.outcome.requests);
    assert!(forgets.count("limit.l", Counter::Evicted) > 400);
    // Without evictions there is no room for more counts: closed is an error, open lets pass.
    let closed = counted(&["cache.c.memory=10KB"]);
    assert!(closed.count("cache.c", Counter::OutOfMemory) > 400);
    assert!(closed.failed(Failure::GuardError) > 400, "{:?}", closed.outcome.requests);
    let open = counted(&["cache.c.memory=10KB", "limit.l.fail=open"]);
    assert!(open.ok() > 400, "{:?}", open.outcome.requests);
}
