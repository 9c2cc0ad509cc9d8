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

#[test]
fn a_worker_that_is_back_begins_at_its_checkpoint_when_it_finds_its_lease_free() {
    // Ten records at 10.007 s, a second each: the first alone, and a batch of nine, of which the fourth is at work
    // when the worker is gone, from 14.5 s to 15.5 s. It looks at its lease then and 20.05 s later: at 35.55 s it
    // takes it, as nobody has renewed it since. The last of the batch is begun eight seconds later.
    let text = format!(
        "{STREAM}\n[fault.f]\ntarget = 'consumer.c'\nwhat = 'stop'\nat = '14500ms'\nfor = '1s'\n"
    );
    let [flow, ..] = at_once(10);
    let once = "arrivals={rate='0/s', crowd={at='10s', users=1}}";
    let ran = run(&text, &[&flow, once, "consumer.c.work=1s", "run.duration=60s"]);
    assert_eq!((of(&ran, Counter::Opened), of(&ran, Counter::Served)), (1, 10));
    assert_eq!((of(&ran, Counter::Retried), of(&ran, Counter::Wasted)), (4, 4));
    let wait = ran.station("consumer.c").wait.max().expect("records");
    assert_eq!(wait, ms(43_550 - 10_007));
}

#[test]
fn records_are_pushed_no_faster_than_a_shard_gives() {
    // The first of ten after 70 ms; one of 200 KB takes a tenth of a second, at 2 MB a second.
    let wait = |read: &str| {
        let large = [
            "stream.s.message=200KB",
            "stream.s.kind.kinesis.batch=5MB",
            "stream.s.kind.kinesis.write=80Mbit/s",
            "consumer.c.work=1ms",
        ];
        let ran = burst(10, &[&large[..], &[read]].concat());
        ran.station("consumer.c").wait.max().expect("records")
    };
    assert_eq!(wait("stream.s.kind.kinesis.read=16Mbit/s"), ms(70 + 900));
    assert_eq!(wait("stream.s.kind.kinesis.read=32Mbit/s"), ms(70 + 450));
}

#[test]
fn up_to_three_batches_are_read_ahead() {
    // A read each second: ten that find nothing, then one for the record at work, and three.
    let ran = burst(10, &[POLLS, "consumer.c.kinesis.records=1", "consumer.c.work=100s"]);
    assert_eq!(of(&ran, Counter::Reads), 14);
}

#[test]
fn a_batch_is_as_old_as_its_last_record() {
    // Ten records a second and a read each 717 ms: the mean of all phases is half of 100 ms.
    let often = [POLLS, "consumer.c.kinesis.poll=717ms", "arrivals.rate='10/s'"];
    let ran = stream(&[&often[..], &["consumer.c.work=1ms", "run.duration=200s"]].concat());
    let (ages, batches) = (of(&ran, Counter::LagShownMicros), of(&ran, Counter::LagShown));
    let mean = ages as f64 / 1e6 / batches as f64;
    assert!((278..=279).contains(&batches) && (mean - 0.05).abs() < 1e-3, "{batches} {mean}");
}

#[test]
fn who_is_refused_waits_for_up_to_a_second_at_first() {
    // Of 101 records at once a shard takes a hundred. The last one is put again up to a second later, and anew, up
    // to two later, if less than the 10 ms have gone that one takes: half a second, and a hundredth of one.
    let [flow, ..] = at_once(101);
    let sets = [
        flow.as_str(),
        "stream.s.kind.kinesis={put='7ms', records='100/s', attempts=99}",
        "arrivals.rate='0.5/s'",
        "run.duration=4000s",
    ];
    let mean = stream(&sets).mean_s() - 0.007;
    // Four standard deviations of the mean of 2,000 are 0.026 s.
    assert!((mean - 0.51).abs() < 0.026, "{mean}");
}

#[test]
fn who_finishes_leaves_its_leases_as_who_dies_does() {
    // Of two workers one is taken away at 200 s, idle or nearly so: its shard stands still until the other has
    // found twice, ten seconds apart, that its lease is not renewed.
    let waited = |end: &str| {
        let end = format!("consumer.c.on_sigterm={end}");
        let scaling = "consumer.c.autoscale={min=1, max=2, metric.lag=1, policy='hpa', \
                       schedule=[{at='200s', min=1, max=1}]}";
        let sets = ["stream.s.kind.kinesis.shards=2", "arrivals.rate=10/s", "consumer.c.members=2"];
        let more = ["run.duration=400s", "consumer.c.grace=60s", scaling, &end];
        stream(&[&sets[..], &more].concat())
            .station("consumer.c")
            .wait
            .max()
            .expect("they wait")
            .seconds()
    };
    let (finished, died) = (waited("finish"), waited("exit"));
    assert!(finished > 20.0 && (finished - died).abs() < 1.0, "{finished} s and {died} s");
}
