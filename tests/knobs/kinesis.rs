//! Streams of Kinesis: what a shard takes and gives, and who reads it.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// A record a second, ten of them.
const STREAM: &str = r#"
[service.web]
[keys.one]
count = 1
[stream.s]
kind.kinesis = { put = "7ms" }
[consumer.c]
stream = "s"
work = "100ms"
[operation.work]
share = 1
flow = [{ publish = "s" }]
"#;
const POLLS: &str = "consumer.c.kinesis.fan_out=false";

fn stream(sets: &[&str]) -> Ran {
    run(STREAM, sets)
}
fn of(ran: &Ran, counter: Counter) -> u64 {
    ran.count("consumer.c", counter)
}

/// So many records at once, by one request that comes after ten seconds.
fn at_once(count: u32) -> [String; 3] {
    let branches = vec!["[{publish='s'}]"; count as usize].join(", ");
    let flow = format!("operation.work.flow=[{{parallel=[{branches}]}}]");
    [flow, "arrivals.rate='0.1/s'".into(), "run.duration=19s".into()]
}
fn burst(count: u32, sets: &[&str]) -> Ran {
    let usual = at_once(count);
    let usual: Vec<&str> = usual.iter().map(String::as_str).collect();
    run(STREAM, &[&usual, sets].concat())
}

#[test]
fn a_shard_takes_so_many_records_and_bytes_and_refuses_the_rest() {
    let ran = stream(&[]);
    let busy = |sets: &[&str]| (stream(sets).station("stream.s").busy_mean * 1e3).round();
    // A millisecond, or 50, of each second.
    assert_eq!(busy(&[]), 1.0);
    assert!((45.0..=50.0).contains(&busy(&["stream.s.kind.kinesis.records=20/s"])));
    assert_eq!((ran.each(), ran.count("stream.s", Counter::Served)), (ms(7), 10));
    assert_eq!(stream(&["stream.s.kind.kinesis.put=20ms"]).each(), ms(20));
    // Ten at once: a second's worth is taken, the rest at the next attempts.
    let refused = |sets: &[&str]| {
        let ran = burst(10, &[&["stream.s.kind.kinesis.attempts=1"], sets].concat());
        let seen = |it| ran.count("stream.s", it);
        assert_eq!(seen(Counter::Served) + seen(Counter::Rejected), 10);
        assert_eq!(ran.failed(Failure::SlowDown), u64::from(seen(Counter::Rejected) > 0));
        seen(Counter::Rejected)
    };
    assert_eq!(refused(&[]), 0);
    assert_eq!(refused(&["stream.s.kind.kinesis.records=4/s"]), 6);
    let two = ["stream.s.kind.kinesis.records=4/s", "stream.s.kind.kinesis.shards=2"];
    assert_eq!(refused(&two), 2, "five each");
    assert_eq!(refused(&[two[0], two[1], "stream.s.kind.kinesis.keys=one"]), 6, "a hot shard");
    // A megabyte is a second: ten records of 200 KB.
    let large = ["stream.s.message=200KB", "stream.s.kind.kinesis.batch=5MB"];
    assert_eq!(refused(&large), 5);
    assert_eq!(refused(&[large[0], large[1], "stream.s.kind.kinesis.write=16Mbit/s"]), 0);
    // Four a second are no more than four; whoever is refused tries again twice.
    let again =
        burst(10, &["stream.s.kind.kinesis.records=4/s", "stream.s.kind.kinesis.attempts=9"]);
    assert_eq!((again.ok(), again.count("stream.s", Counter::Served)), (1, 10));
    assert!(again.longest() > ms(1_000), "{:?}", again.longest());
    assert!(again.count("stream.s", Counter::Retried) >= 6);
}

#[test]
fn records_that_are_collected_are_put_together_and_refused_apart() {
    let linger = "stream.s.kind.kinesis.linger=50ms";
    assert_eq!(burst(10, &[linger]).each(), ms(57));
    assert_eq!(burst(10, &[linger, "stream.s.kind.kinesis.batch=2KB"]).each(), ms(7));
    let few = ["stream.s.kind.kinesis.records=4/s", "stream.s.kind.kinesis.attempts=1"];
    let ran = burst(10, &[&few[..], &[linger]].concat());
    let seen = |it| ran.count("stream.s", it);
    assert_eq!((seen(Counter::Served), seen(Counter::Rejected)), (4, 6));
}

#[test]
fn a_record_is_pushed_or_waits_for_the_next_read() {
    let wait = |sets: &[&str]| {
        let ran = stream(&[&["run.duration=200s"], sets].concat());
        assert!((198..=200).contains(&of(&ran, Counter::Served)));
        let wait = &ran.station("consumer.c").wait;
        (wait.mean_s().expect("records"), wait.max().expect("records").seconds())
    };
    let (mean, most) = wait(&[]);
    assert!((mean - 0.07).abs() < 1e-3 && most < 0.08, "{mean} {most}");
    let (mean, _) = wait(&["consumer.c.kinesis.propagation=200ms"]);
    assert!((mean - 0.2).abs() < 1e-3, "{mean}");
    // A record a second and a read each 717 ms: the mean of all phases is half of that.
    let (mean, most) = wait(&[POLLS, "consumer.c.kinesis.poll=717ms"]);
    assert!((mean - 0.3585).abs() < 0.02 && most < 0.718, "{mean} {most}");
    let ran = stream(&[POLLS]);
    let reads = of(&ran, Counter::Reads);
    assert!((9..=11).contains(&reads), "{reads}");
}

#[test]
fn a_read_has_so_many_records_and_all_who_read_share_the_reads() {
    // Ten records come; a read of three at a time needs four, a second apart.
    let took = |sets: &[&str]| {
        let ran = burst(10, &[&[POLLS, "consumer.c.work=1ms"], sets].concat());
        assert_eq!(of(&ran, Counter::Served), 10);
        ran.station("consumer.c").wait.max().expect("records").seconds()
    };
    let (all, three) = (took(&[]), took(&["consumer.c.kinesis.records=3"]));
    assert!(all < 1.1 && (three - all - 3.0).abs() < 0.1, "{all} {three}");
    // Each second ten reads, of which the shard grants five.
    let refused = |reads: &str| {
        let often = ["run.duration=100s", POLLS, "consumer.c.kinesis.poll=100ms", reads];
        of(&stream(&often), Counter::Refused)
    };
    let five = refused("stream.s.kind.kinesis.reads=5/s");
    assert!((480..=500).contains(&five), "{five}");
    assert_eq!(refused("stream.s.kind.kinesis.reads=20/s"), 0);
    // Reading 2 MB at 200 KB a second, it owes ten seconds.
    let slow = |read: &str| {
        let sets = [POLLS, "stream.s.message=200KB", "stream.s.kind.kinesis.write=80Mbit/s", read];
        of(&burst(10, &sets), Counter::Refused)
    };
    assert_eq!(slow("stream.s.kind.kinesis.read=16Mbit/s"), 0);
    let owed = slow("stream.s.kind.kinesis.read=1600kbit/s");
    assert!((7..=9).contains(&owed), "{owed}");
}

#[test]
fn a_handler_that_throws_skips_the_rest_of_its_batch() {
    // The batch is pushed while the first record, which came alone, is handled.
    let ran = burst(10, &["consumer.c.fail=100%"]);
    assert_eq!((of(&ran, Counter::Errors), of(&ran, Counter::Lost)), (2, 10));
    assert_eq!(of(&ran, Counter::Served), 0);
    let ran = burst(10, &["consumer.c.fail=100%", "consumer.c.kinesis.records=1"]);
    assert_eq!((of(&ran, Counter::Errors), of(&ran, Counter::Lost)), (10, 10));
}

#[test]
fn the_shards_of_a_dead_worker_are_taken_up_after_two_looks() {
    let text = format!(
        "{STREAM}\n[fault.f]\ntarget = 'consumer.c'\nwhat = 'stop'\nat = '50500ms'\ncount = 1\n"
    );
    let two = ["consumer.c.members=2", "stream.s.kind.kinesis.shards=2", "run.duration=200s"];
    let wait = |sets: &[&str]| {
        let ran = run(&text, &[&two[..], sets].concat());
        let held = ran.station("consumer.c").wait.max().expect("records").seconds();
        assert!(of(&ran, Counter::Opened) >= 1, "a lease was taken");
        held
    };
    // Looks are 20.05 s apart, and the second after its death finds the lease as the first did.
    let ten = wait(&[]);
    assert!((19.0..41.0).contains(&ten), "{ten}");
    let two_s = wait(&["consumer.c.kinesis.failover=2s"]);
    assert!((3.0..9.0).contains(&two_s), "{two_s}");
    // Whoever comes back takes one of the two from who has both.
    let back = run(&text, &[&two[..], &["fault.f.for=30s"]].concat());
    assert_eq!(of(&back, Counter::Opened), 2);
    // Who has lost a shard goes on with the record at hand, beside its new owner: three at work on two shards.
    let slow = ["fault.f.for=30s", "consumer.c.work=25s"];
    let beside = run(&text, &[&two[..], &slow].concat());
    assert!(of(&beside, Counter::Wasted) >= 1 && beside.station("consumer.c").busy_peak > 2.0);
}

#[test]
fn shards_and_their_payload_units_cost_their_price() {
    let usual = ["run.duration=100s", "stream.s.message=60KB", "stream.s.kind.kinesis.shards=4"];
    let prices = ["stream.s.kind.kinesis.price='$11'", "stream.s.kind.kinesis.unit_price='$1'"];
    let costs = crate::support::model(STREAM, &[&usual[..], &prices].concat()).costs;
    let cost = |path: &str| costs.iter().find(|cost| cost.path == path).expect("a cost");
    let (shards, units) = (cost("stream.s"), cost("stream.s.units"));
    assert_eq!((shards.monthly, shards.units, units.per_million_writes), (11.0, 4.0, 1.0));
    // A record of 60 KB is three units.
    assert_eq!(stream(&usual).count("stream.s", Counter::Writes), 300);
}
