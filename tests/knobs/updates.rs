//! Writes through, around and behind a cache, and what becomes of them when one of the two fails.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Each request changes the one key, and then looks for it.
const BOTH: &str = r#"
[service.web]
[cache.c]
rtt = "2ms"
command = "1ms"
[store.s]
put = "10ms"
bandwidth = "1000Gbit/s"
[keys.k]
count = 1
"#;

fn updates(how: &str, more: &str, sets: &[&str]) -> Ran {
    let update = format!(
        "{{update={{in='c', keys='k', how='{how}', write=[{{put={{in='s', bytes='0B'}}}}]{more}}}}}"
    );
    let look = "{cache={in='c', keys='k', miss=[{wait='5ms'}]}}";
    let text = format!("{BOTH}[operation.work]\nshare = 1\nflow = [{update}, {look}]\n");
    run(&text, sets)
}

fn counts(ran: &Ran) -> [u64; 4] {
    let cache = |what| ran.count("cache.c", what);
    let written = ran.count("store.s", Counter::Writes);
    [cache(Counter::Writes), cache(Counter::Hits), cache(Counter::StaleReads), written]
}

#[test]
fn a_write_goes_through_around_or_behind_a_cache() {
    // The source, the SET, and the GET that finds what was set.
    let through = updates("through", "", &[]);
    assert_eq!((through.each(), counts(&through)), (ms(10 + 3 + 3), [10, 10, 0, 10]));
    // The GET of the first misses and is followed by a load and a SET; all others find that old value.
    let around = updates("around", "", &[]);
    assert_eq!(counts(&around), [1, 9, 9, 10]);
    assert_eq!((around.shortest(), around.longest()), (ms(10 + 3), ms(10 + 3 + 5 + 3)));
    // Nobody waits for the source, which is written all the same.
    let behind = updates("behind", "", &[]);
    assert_eq!((behind.each(), counts(&behind)), (ms(3 + 3), [10, 10, 0, 10]));
    // The last is due after the end.
    assert_eq!(counts(&updates("behind", ", after='1s'", &[])), [10, 10, 0, 9]);
    // What is written lives as long as is said.
    let short = updates("through", ", ttl='2ms'", &[]);
    assert_eq!(counts(&short)[1], 0, "{:?}", counts(&short));
}

#[test]
fn one_of_the_two_writes_may_fail() {
    // The SET of the fifth, which comes to the node at 5.011 s, fails: the GET finds the fourth's.
    let flaky = "fault.f={target='cache.c', what={flaky='100%'}, at='5010500us', for='1ms'}";
    let ran = updates("through", "", &[flaky]);
    assert_eq!((ran.ok(), counts(&ran)), (10, [9, 10, 1, 10]));
    // The source does not take the fifth: it fails, and the cache is not written.
    let refuses = "fault.f={target='store.s', what={flaky='100%'}, at='4900ms', for='200ms'}";
    let once = "store.s.attempts=1";
    let ran = updates("through", "", &[refuses, once]);
    assert_eq!((ran.failed(Failure::UpstreamError), counts(&ran)), (1, [9, 9, 0, 9]));
    // Behind the cache nobody learns of it.
    let ran = updates("behind", "", &[refuses, once]);
    assert_eq!((ran.ok(), counts(&ran)), (10, [10, 10, 0, 9]));
    assert_eq!(ran.count("cache.c", Counter::Lost), 1);
    // What waits to be written dies with its process.
    let dies = "fault.f={target='service.web', what='stop', at='5500ms', for='100ms'}";
    let ran = updates("behind", ", after='1s'", &[dies]);
    assert_eq!((ran.count("cache.c", Counter::Lost), counts(&ran)[3]), (1, 8));
}
