//! Streams of Kinesis whose records a function gets.

use loadbearing::run::Counter;

use crate::support::{Ran, run};

const MAPPED: &str = "
[keys.one]
count = 1
[service.web]
[service.count.function]
memory = '1769MiB'
init = '0ms'
timeout = '15min'
[stream.s]
message = '1B'
kind.kinesis = { put = '0ms' }
[consumer.c]
stream = 's'
mapping = 'count'
flow = [{ wait = '100ms' }]
[operation.work]
share = 1
service = 'web'
";
const CALLS: &str = "service.count.executions";
/// Records come at once.
const PUSHED: &str = "consumer.c.kinesis={fan_out=true, propagation='0ms'}";
const POISON: &str = "consumer.c.poison=100%";

/// So many records at 100 s, which are read within the next second.
fn mapped(records: usize, sets: &[&str]) -> Ran {
    let branches = vec!["[{ publish = 's' }]"; records].join(", ");
    let text = format!("{MAPPED}flow = [{{ parallel = [{branches}] }}]\n");
    run(&text, &[&["arrivals.rate='0.01/s'", "run.duration=199s"], sets].concat())
}
fn of(ran: &Ran, counter: Counter) -> u64 {
    ran.count("consumer.c", counter)
}
/// Records done, given up and handed out again, and calls that failed.
fn ends(ran: &Ran) -> [u64; 4] {
    [Counter::Served, Counter::Rejected, Counter::Retried, Counter::Errors].map(|it| of(ran, it))
}
fn calls(ran: &Ran) -> u64 {
    ran.count(CALLS, Counter::Arrivals)
}

#[test]
fn a_function_gets_the_records_of_each_shard_in_batches() {
    let ran = mapped(25, &["consumer.c.mapping.batch_size=10"]);
    assert_eq!((calls(&ran), ends(&ran)), (3, [25, 0, 0, 0]));
    // One after the other: two seconds and a half in all.
    let busy = ran.station("consumer.c").busy_mean * 199.0;
    assert!((busy - 2.5).abs() < 1e-6, "{busy}");
    assert_eq!(calls(&mapped(25, &[])), 1);
    let long = mapped(25, &["consumer.c.flow=[{ wait = '4s' }]"]);
    assert!((long.station("consumer.c").busy_mean * 199.0 - (199.0 - 100.5)).abs() < 0.6);
    assert_eq!(calls(&mapped(26, &["stream.s.kind.kinesis.shards=2"])), 2);
    // Of 1 MB, in base64, four are in 6 MB.
    let large = ["stream.s={message='1MB', kind.kinesis={write='800Mbit/s'}}"];
    assert_eq!(calls(&mapped(8, &large)), 2);
    // It reads each shard once a second, or is sent what comes.
    let reads = |sets: &[&str]| of(&mapped(1, sets), Counter::Reads);
    assert_eq!((reads(&[]), reads(&[PUSHED])), (199, 0));
}

#[test]
fn records_are_gathered_for_a_batch_that_is_not_full() {
    let wait = |records: usize, sets: &[&str]| {
        let ran = mapped(records, &[&[PUSHED], sets].concat());
        let longest = ran.station("consumer.c").wait.max().expect("records").seconds();
        (calls(&ran), (longest * 1e3).round())
    };
    assert_eq!(wait(3, &["consumer.c.mapping.batching_window=2s"]), (1, 2_000.0));
    let full = ["consumer.c.mapping.batching_window=2s", "consumer.c.mapping.batch_size=3"];
    // Three at once, and the other two after 2 s, or when the first three are done.
    assert_eq!(wait(3, &full), (1, 0.0));
    assert_eq!(wait(5, &full), (2, 2_300.0));
    assert_eq!(wait(6, &full), (2, 300.0));
}

#[test]
fn the_age_of_a_call_is_that_of_its_last_record() {
    let gathers = "consumer.c.mapping.batching_window=2s";
    let ran = mapped(3, &[PUSHED, gathers, POISON, "consumer.c.mapping.maximum_retry_attempts=1"]);
    // Called after 2 s, and again after an error of 0.1 s and a pause of a second.
    let ages = of(&ran, Counter::LagShownMicros);
    assert_eq!(of(&ran, Counter::LagShown), 2);
    assert!((5_099_900..=5_100_000).contains(&ages), "{ages}");
}

#[test]
fn a_batch_that_fails_holds_up_its_shard_until_it_is_given_up() {
    let twice = "consumer.c.mapping.maximum_retry_attempts=2";
    let fours = [POISON, "consumer.c.mapping.batch_size=4", PUSHED];
    let fours = [&fours[..], &["consumer.c.mapping.batching_window=1s"]].concat();
    let ran = |sets: &[&str]| mapped(8, &[&fours, sets].concat());
    // Each batch fails at 0.1 s, 1.2 s and 3.3 s: after its first record, a pause of a second, and one of two.
    assert_eq!(ends(&ran(&[twice])), [0, 8, 16, 6]);
    assert_eq!(ends(&ran(&[twice, "run.duration=103200ms"])), [0, 0, 8, 2]);
    assert_eq!(ends(&ran(&[twice, "run.duration=103350ms"])), [0, 4, 8, 3]);
    // The second batch begins at 3.3 s, and is given up at 6.6 s.
    assert_eq!(ends(&ran(&[twice, "run.duration=106500ms"])), [0, 4, 16, 5]);
    assert_eq!(ends(&ran(&["consumer.c.mapping.maximum_retry_attempts=0"])), [0, 8, 0, 2]);
    // Pauses of 5 s and 10 s; without a limit they are of 1, 2, 4, 8, 16, 32 and 60 s.
    let slow = [twice, "consumer.c.mapping.retry_pause=5s", "run.duration=115250ms"];
    assert_eq!(ends(&ran(&slow)), [0, 0, 8, 2]);
    assert_eq!(ends(&ran(&[])), [0, 0, 28, 7]);
    assert_eq!(ends(&ran(&["run.duration=223700ms"])), [0, 0, 28, 7]);
    assert_eq!(ends(&ran(&["run.duration=223900ms"])), [0, 0, 32, 8]);
}

#[test]
fn records_that_are_too_old_are_given_up() {
    let age = "consumer.c.mapping.maximum_record_age=1min";
    // Called after 0, 1.1, 3.2, 7.3, 15.4 and 31.5 s; after 63.6 s it is too old.
    let ran = mapped(1, &[POISON, PUSHED, age]);
    assert_eq!(ends(&ran), [0, 1, 6, 6]);
    assert_eq!(ends(&mapped(1, &[POISON, PUSHED])), [0, 0, 7, 7]);
}

/// A share of records that are poison by which one of eight is.
fn one_poisoned(sets: &[&str]) -> (Ran, String) {
    let none = ["consumer.c.mapping.maximum_retry_attempts=0", BISECTS];
    let share = (5..60).map(|share| format!("consumer.c.poison={share}%"));
    let mut one = share.filter(|share| {
        let ran = mapped(8, &[&none[..], &[share, SECOND, PUSHED]].concat());
        of(&ran, Counter::Rejected) == 1
    });
    let share = one.next().expect("some share is right");
    (mapped(8, &[sets, &[&share, SECOND, PUSHED]].concat()), share)
}
const BISECTS: &str = "consumer.c.mapping.bisect_batch_on_function_error=true";
const SECOND: &str = "consumer.c.mapping.batching_window=1s";

#[test]
fn halving_finds_the_record_that_cannot_be_handled() {
    let twice = "consumer.c.mapping.maximum_retry_attempts=2";
    let (ran, _) = one_poisoned(&[twice, BISECTS]);
    // 8, 4, 2 and 1 fail, the last twice more; the other halves do not. Each half that has failed or waited is
    // handed out again: 8, 4, 2, and the record itself twice.
    assert_eq!((ends(&ran), calls(&ran)), ([7, 1, 8 + 4 + 2 + 2, 4 + 2], 4 + 2 + 3));
    // All are given up with it otherwise.
    let (ran, _) = one_poisoned(&[twice]);
    assert_eq!((ends(&ran), calls(&ran)), ([0, 8, 16, 3], 3));
    assert_eq!(of(&ran, Counter::Wasted) % 3, 0);
    // All of eight: a tree of fifteen calls.
    let all = mapped(
        8,
        &[POISON, SECOND, PUSHED, BISECTS, "consumer.c.mapping.maximum_retry_attempts=0"],
    );
    assert_eq!((ends(&all), calls(&all)), ([0, 8, 24, 15], 15));
}

#[test]
fn what_comes_before_a_record_that_is_named_is_done() {
    let reports = "consumer.c.mapping.report_batch_item_failures=true";
    let once = "consumer.c.mapping.maximum_retry_attempts=1";
    let (whole, _) = one_poisoned(&[once]);
    // What was done in vain in each of two calls.
    let before = of(&whole, Counter::Wasted) / 2;
    assert!((1..7).contains(&before), "neither the first nor the last: {before}");
    let (ran, _) = one_poisoned(&[once, reports]);
    assert_eq!((ends(&ran), calls(&ran)), ([before, 8 - before, 8 - before, 2], 2));
    assert_eq!(of(&ran, Counter::Wasted), 0);
    // Split where it is named, and then in halves.
    let (ran, _) = one_poisoned(&[once, reports, BISECTS]);
    assert_eq!((of(&ran, Counter::Served), of(&ran, Counter::Rejected)), (7, 1));
    assert_eq!(of(&ran, Counter::Wasted), 0);
}

#[test]
fn a_shard_has_several_batches_at_once_but_one_of_a_key() {
    let ran = |factor: u32, sets: &[&str]| {
        let factor = format!("consumer.c.mapping.parallelization_factor={factor}");
        mapped(40, &[&[factor.as_str()], sets].concat())
    };
    let (one, ten) = (ran(1, &[]), ran(10, &[]));
    assert_eq!((calls(&one), ends(&one)), (1, [40, 0, 0, 0]));
    assert!((8..=10).contains(&calls(&ten)), "{}", calls(&ten));
    assert_eq!(ends(&ten), [40, 0, 0, 0]);
    let capacity = |ran: &Ran| {
        let all = ran.model.stations.iter().find(|it| it.path == "consumer.c");
        all.expect("it is there").capacity
    };
    assert_eq!((capacity(&one), capacity(&ten)), (1.0, 10.0));
    // One key is in one of them.
    assert_eq!(calls(&ran(10, &["stream.s.kind.kinesis.keys=one"])), 1);
}

#[test]
fn a_call_that_is_throttled_is_no_retry() {
    // The second of two shards is called while the function is at work for the first: at once, and 1, 3 and 7 s later.
    let sets = ["stream.s.kind.kinesis.shards=2", "service.count.function.reserved=1", PUSHED];
    let more = ["consumer.c.flow=[{ wait = '5s' }]", "consumer.c.mapping.maximum_retry_attempts=0"];
    let ran = mapped(2, &[&sets[..], &more].concat());
    assert_eq!(ends(&ran), [2, 0, 0, 0]);
    assert_eq!(ran.count(CALLS, Counter::Rejected), 3);
    assert_eq!(calls(&ran), 2 + 3);
}
