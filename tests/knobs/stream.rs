//! Streams of messages, and who consumes them.

use loadbearing::failure::Failure;
use loadbearing::model::Rules;
use loadbearing::model::ids::ConsumerId;
use loadbearing::run::Counter;

use crate::support::{Ran, model, ms, run};

/// A message a second, ten of them; everything at the broker takes a round time.
pub const TOPIC: &str = r#"
[service.web]
[keys.one]
count = 1
[stream.s]
kind.kafka = { rtt = "4ms", append = "1ms", replicate = "2ms" }
[consumer.c]
stream = "s"
work = "100ms"
[operation.work]
share = 1
flow = [{ publish = "s" }]
"#;
/// Four messages at once instead of one.
const FOUR: &str = "operation.work.flow=[{parallel=[[{publish='s'}], [{publish='s'}], [{publish='s'}], [{publish='s'}]]}]";
/// Ten messages at once, one after another within a request that comes every ten seconds.
const TEN: &str = "operation.work.flow=[{repeat={times=10, flow=[{publish='s'}]}}]";

fn topic(sets: &[&str]) -> Ran {
    run(TOPIC, sets)
}
fn of(ran: &Ran, counter: Counter) -> u64 {
    ran.count("consumer.c", counter)
}

#[test]
fn a_producer_waits_for_whom_its_acks_say() {
    let each = |sets: &[&str]| topic(sets).each();
    assert_eq!(each(&[]), ms(7));
    assert_eq!(each(&["stream.s.kind.kafka.acks=all"]), ms(7));
    assert_eq!(each(&["stream.s.kind.kafka.acks=leader"]), ms(5));
    assert_eq!(each(&["stream.s.kind.kafka.acks=none"]), ms(0));
    assert_eq!(each(&["stream.s.kind.kafka.replicas=1"]), ms(5), "no follower to wait for");
    assert_eq!(each(&["stream.s.kind.kafka.append=3ms"]), ms(9));
    assert_eq!(each(&["stream.s.kind.kafka.rtt=10ms"]), ms(13));
    assert_eq!(each(&["stream.s.kind.kafka.replicate=20ms"]), ms(25));
    // Two followers, exponential with a mean of 2 ms: the slower takes 3 ms on average.
    let mean = |replicas: &str| {
        let sets =
            ["stream.s.kind.kafka.replicate.exponential=2ms", "run.duration=2000s", replicas];
        topic(&sets).mean_s()
    };
    let (two, one) =
        (mean("stream.s.kind.kafka.replicas=3"), mean("stream.s.kind.kafka.replicas=2"));
    assert!((two - one - 1e-3).abs() < 0.3e-3, "{two} and {one}");
}

#[test]
fn a_leader_appends_one_request_after_another() {
    let longest = |sets: &[&str]| topic(&[&[FOUR], sets].concat()).longest();
    assert_eq!(longest(&[]), ms(10), "the fourth waits for three");
    assert_eq!(longest(&["stream.s.kind.kafka.partitions=4"]), ms(7));
    let one_key = ["stream.s.kind.kafka.partitions=4", "stream.s.kind.kafka.keys=one"];
    assert_eq!(longest(&one_key), ms(10), "a hot partition");
}

#[test]
fn a_producer_lingers_until_its_batch_is_full() {
    let linger = "stream.s.kind.kafka.linger=10ms";
    assert_eq!(topic(&[linger]).each(), ms(17));
    assert_eq!(topic(&[linger, FOUR]).longest(), ms(17), "one request for all four");
    assert_eq!(
        topic(&[linger, FOUR, "stream.s.kind.kafka.batch=4KB"]).each(),
        ms(7),
        "full at once"
    );
    let ran = topic(&[linger, "stream.s.kind.kafka.batch=4KB", "stream.s.message=4KB"]);
    assert_eq!((ran.each(), ran.count("stream.s", Counter::Bytes)), (ms(7), 40_000));
}

#[test]
fn a_group_handles_as_many_at_once_as_it_has_partitions() {
    let peak = |sets: &[&str]| topic(&[&[FOUR], sets].concat()).station("consumer.c").busy_peak;
    assert_eq!(peak(&[]), 1.0);
    assert_eq!(peak(&["consumer.c.members=4"]), 1.0, "three are idle");
    let four = "stream.s.kind.kafka.partitions=4";
    assert_eq!(peak(&[four]), 1.0);
    assert_eq!(peak(&[four, "consumer.c.members=4"]), 4.0);
    assert_eq!(peak(&[four, "consumer.c.concurrency=4"]), 4.0);
    let longest = |work: &str| topic(&[work]).station("consumer.c").busy_mean;
    assert!(longest("consumer.c.work=200ms") > 1.9 * longest("consumer.c.work=100ms"));
    let two = format!("{TOPIC}\n[stream.t]\nkind.kafka = {{}}\n");
    assert_eq!(
        of(&run(&two, &["consumer.c.stream=t"]), Counter::Served),
        0,
        "nobody publishes there"
    );
}

/// A member dies for good at 10.5 s, of two that share two partitions.
const DIES: &str = "\n[fault.f]\ntarget = 'consumer.c'\nwhat = 'stop'\nat = '10500ms'\ncount = 1\n";

fn dies(sets: &[&str]) -> Ran {
    let text = format!("{TOPIC}{DIES}");
    let usual = ["run.duration=100s", "consumer.c.members=2", "stream.s.kind.kafka.partitions=2"];
    run(&text, &[&usual, sets].concat())
}
fn longest_wait(ran: &Ran) -> f64 {
    ran.station("consumer.c").wait.max().expect("messages").seconds()
}

#[test]
fn a_dead_member_keeps_its_partition_until_its_session_ends() {
    let ran = dies(&[]);
    assert_eq!(of(&ran, Counter::TimedOut), 1);
    let wait = longest_wait(&ran);
    assert!(wait > 28.0 && wait < 33.0, "30 s, and a heartbeat of the other: {wait}");
    let wait = longest_wait(&dies(&["consumer.c.kafka.session=10s"]));
    assert!(wait > 8.0 && wait < 13.0, "{wait}");
    let wait = longest_wait(&dies(&["consumer.c.kafka.client=java"]));
    assert!(wait > 43.0 && wait < 48.0, "{wait}");
    let often = longest_wait(&dies(&["consumer.c.kafka.heartbeat=1s"]));
    let rarely = longest_wait(&dies(&["consumer.c.kafka.heartbeat=9s"]));
    assert!(rarely > often, "{rarely} and {often}");
}

#[test]
fn what_was_not_committed_is_handled_again() {
    // Ten messages in a batch at 100 s; the only member dies after five and a half of them.
    let text = format!(
        "{TOPIC}\n[fault.f]\ntarget = 'consumer.c'\nwhat = 'stop'\nat = '105500ms'\nfor = '5s'\n"
    );
    let usual = [
        "run.duration=190s",
        "arrivals={rate='0.01/s', process='even'}",
        TEN,
        "consumer.c.work=1s",
    ];
    let ran = |sets: &[&str]| run(&text, &[&usual, sets].concat());
    let quick = ran(&["stream.s.kind.kafka.acks=none"]);
    let counts = |ran: &Ran| (of(ran, Counter::Retried), of(ran, Counter::Served));
    // The first came alone and was a batch of its own.
    assert_eq!(counts(&quick), (5, 10), "one at work and four of the batch");
    let one = ran(&["stream.s.kind.kafka.acks=none", "consumer.c.kafka.fetch=1"]);
    assert_eq!(counts(&one), (1, 10));
    // A fetch holds three: the second of a batch is at work, and the first of it was done for nothing.
    let three = ran(&["stream.s.kind.kafka.acks=none", "consumer.c.kafka.fetch_bytes=3500B"]);
    assert_eq!(counts(&three), (2, 10));
}

#[test]
fn a_fetch_holds_bytes_and_the_java_client_hands_out_so_many_at_once() {
    let batch = |sets: &[&str]| match &model(TOPIC, sets).consumers[ConsumerId(0)].rules {
        Rules::Kafka(rules) => rules.fetch,
        _ => unreachable!("it is a topic of Kafka"),
    };
    let java = "consumer.c.kafka.client=java";
    assert_eq!((batch(&[]), batch(&[java])), (1_048, 500), "1,048,576 B of 1,000 each");
    let large = "stream.s.message=10KB";
    assert_eq!((batch(&[large]), batch(&[large, java])), (104, 104));
    assert_eq!(batch(&["stream.s.message=2MB"]), 1, "one is always in it");
    assert_eq!(batch(&["consumer.c.kafka.fetch=2000", "consumer.c.kafka.fetch_bytes=10MB"]), 2_000);
}

#[test]
fn who_does_not_poll_in_time_is_out() {
    let out = |sets: &[&str]| {
        of(&topic(&[&["consumer.c.work=3s", "run.duration=60s"], sets].concat()), Counter::TimedOut)
    };
    assert_eq!(out(&[]), 0);
    assert!(out(&["consumer.c.kafka.session=2s"]) > 0, "no heartbeat within a message");
    let java = "consumer.c.kafka.client=java";
    assert_eq!(
        out(&[java, "consumer.c.kafka.session=2s"]),
        0,
        "heartbeats have a thread of their own"
    );
    assert!(out(&[java, "consumer.c.kafka.poll=2s"]) > 0);
    // When a member dies, the rebalance waits for the other's message of 26 s, or does not; the usual
    // client is kafkajs, with a minute.
    let out = |sets: &[&str]| {
        let long = ["consumer.c.work=26s", "consumer.c.kafka.client=kafkajs"];
        of(&dies(&[&long[..], sets].concat()), Counter::TimedOut)
    };
    assert_eq!(out(&[]), 1);
    assert!(out(&["consumer.c.kafka.rebalance=2s"]) > 1);
}

const REDIS: &str = r#"
[service.web]
[cache.r]
rtt = "4ms"
command = "1ms"
[stream.s]
kind.redis-stream = { cache = "r" }
[consumer.c]
stream = "s"
members = 2
work = "100ms"
[operation.work]
share = 1
flow = [{ publish = "s" }]
"#;

#[test]
fn a_stream_of_redis_is_handed_out_to_who_asks() {
    let ran = run(REDIS, &[]);
    assert_eq!((ran.each(), ran.count("cache.r", Counter::Arrivals)), (ms(5), 10));
    assert_eq!(of(&ran, Counter::Served), 10);
    let peak = |set: &str| {
        run(REDIS, &[FOUR, "cache.r.command=10us", set]).station("consumer.c").busy_peak
    };
    assert_eq!(peak("consumer.c.members=2"), 2.0);
    assert_eq!(peak("consumer.c.concurrency=2"), 4.0);
    let broken = format!("{REDIS}\n[fault.f]\ntarget = 'cache.r'\nwhat = 'stop'\n");
    assert_eq!(run(&broken, &[]).failed(Failure::CacheError), 10);
}

#[test]
fn what_is_pending_for_too_long_is_claimed_or_put_aside() {
    // One of two dies with a message that takes 3 s.
    let text = format!("{REDIS}{DIES}");
    let usual = ["run.duration=100s", "consumer.c.work=1500ms", "consumer.c.concurrency=2"];
    let ran = |sets: &[&str]| run(&text, &[&usual, sets].concat());
    let lost = ran(&[]);
    let (after, every) = ("consumer.c.pending.claim_after=5s", "consumer.c.pending.claim_every=1s");
    let claimed = ran(&[after, every]);
    assert_eq!(of(&lost, Counter::Retried), 0, "pending for ever");
    assert_eq!(of(&claimed, Counter::Retried), 1);
    assert_eq!(of(&claimed, Counter::Served), of(&lost, Counter::Served) + 1);
    let late = ran(&[after, "consumer.c.pending.claim_every=60s"]);
    assert!(longest_wait(&claimed) <= longest_wait(&late) + 1e-9);
    assert!(
        late.station("consumer.c").counters[Counter::LagMicros as usize]
            > claimed.station("consumer.c").counters[Counter::LagMicros as usize]
    );
    let aside = ran(&[after, every, "consumer.c.pending.deliveries=1"]);
    assert_eq!((of(&aside, Counter::Rejected), of(&aside, Counter::Retried)), (1, 0));
    // A handler that takes longer than that does its work twice.
    let twice = ran(&["consumer.c.pending.claim_after=1s", every]);
    assert!(of(&twice, Counter::Wasted) > 10);
}

/// Four messages of 1 MB at once, each second; a subscriber can handle one a second.
const CHANNEL: &str = r#"
[service.web]
[cache.r]
rtt = "0ms"
command = "10us"
[stream.s]
message = "1MB"
kind.redis-pubsub = { cache = "r", socket_buffer = "1MB" }
[consumer.c]
stream = "s"
work = "1s"
[operation.work]
share = 1
flow = [{ repeat = { times = 4, flow = [{ publish = "s" }] } }]
"#;

#[test]
fn a_subscriber_that_does_not_read_is_cut_off() {
    let ran = |sets: &[&str]| run(CHANNEL, &[&["run.duration=100s"], sets].concat());
    let counts = |ran: &Ran| (of(ran, Counter::Closed), of(ran, Counter::Lost));
    let (closed, lost) = counts(&ran(&[]));
    assert!(closed > 1 && lost > 100, "{closed} {lost}");
    assert_eq!(counts(&ran(&["consumer.c.work=1ms"])), (0, 0));
    let no_soft = "stream.s.kind.redis-pubsub.soft=1GB";
    let (fewer, _) = counts(&ran(&["stream.s.kind.redis-pubsub.hard=200MB", no_soft]));
    let (more, _) = counts(&ran(&["stream.s.kind.redis-pubsub.hard=2MB"]));
    assert!(fewer < closed && closed < more, "{fewer} {closed} {more}");
    assert_eq!(counts(&ran(&["stream.s.kind.redis-pubsub.hard=1GB", no_soft])), (0, 0));
    // 8 MiB for a minute is too much as well; for longer than the run it may be.
    let hard = "stream.s.kind.redis-pubsub.hard=1GB";
    assert_eq!(counts(&ran(&[hard])).0, 1);
    assert_eq!(counts(&ran(&[hard, "stream.s.kind.redis-pubsub.soft_for=1000s"])).0, 0);
    // What its sockets hold it still gets, and comes back only then.
    let few = of(&ran(&["stream.s.kind.redis-pubsub.socket_buffer=1MB"]), Counter::Served);
    let many = of(&ran(&["stream.s.kind.redis-pubsub.socket_buffer=30MB"]), Counter::Served);
    assert!(many > few, "{many} and {few}");
    let (_, at_once) = counts(&ran(&["stream.s.kind.redis-pubsub.reconnect=50ms"]));
    let (_, late) = counts(&ran(&["stream.s.kind.redis-pubsub.reconnect=30s"]));
    assert!(late > at_once, "{late} and {at_once}");
    // Every subscriber gets every message.
    assert_eq!(
        of(&ran(&["consumer.c.members=3", "consumer.c.work=1ms"]), Counter::Served),
        3 * 396
    );
}

#[test]
fn members_cost_their_price() {
    let text =
        format!("{TOPIC}\n[consumer.d]\nstream = 's'\nmembers = 3\nwork = '1ms'\nprice = '$7'\n");
    let costs = crate::support::model(&text, &[]).costs;
    let its = costs.iter().find(|cost| cost.path == "consumer.d").expect("a cost");
    assert_eq!((its.monthly, its.units), (7.0, 3.0));
}

#[test]
fn an_error_of_kafkajs_pauses_the_member_and_the_sixth_restarts_it() {
    let poison =
        |sets: &[&str]| topic(&[&["consumer.c.poison=100%", "run.duration=100s"], sets].concat());
    let ran = poison(&[]);
    assert_eq!(of(&ran, Counter::Served), 0, "the first message holds up all others");
    // 0.3, 0.6, 1.2, 2.4 and 4.8 s, each by at most a fifth more or less, and a restart 9.6 s later.
    let (errors, restarts) = (of(&ran, Counter::Errors), of(&ran, Counter::Closed));
    assert!((24..=44).contains(&errors) && (4..=7).contains(&restarts), "{errors} {restarts}");
    assert_eq!((of(&ran, Counter::Retried), of(&ran, Counter::TimedOut)), (errors, 0));
    let nervous = poison(&["consumer.c.kafka.retries=0"]);
    let (errors, restarts) = (of(&nervous, Counter::Errors), of(&nervous, Counter::Closed));
    assert!(errors > 100 && restarts == errors, "every error restarts it: {errors} {restarts}");
    let slow = poison(&["consumer.c.kafka.retry_delay=20s"]);
    assert!(
        (4..=6).contains(&of(&slow, Counter::Errors)),
        "at most 30 s: {}",
        of(&slow, Counter::Errors)
    );
    // What fails now and then is handled in the end, and nothing before it twice.
    let some = topic(&["consumer.c.fail=30%", "consumer.c.work=10ms", "run.duration=300s"]);
    let (errors, served) = (of(&some, Counter::Errors), of(&some, Counter::Served));
    assert!(errors > 60 && served > 180 && of(&some, Counter::Wasted) == 0, "{errors} {served}");
    assert_eq!(of(&topic(&["consumer.c.fail=0%"]), Counter::Errors), 0);
}

#[test]
fn an_error_of_the_java_client_is_tried_ten_times_and_put_aside() {
    let java = ["consumer.c.kafka.client=java", "consumer.c.poison=100%", "consumer.c.work=10ms"];
    let ran = topic(&java);
    assert_eq!((of(&ran, Counter::Errors), of(&ran, Counter::Rejected)), (100, 10));
    let twice = topic(&[&java[..], &["consumer.c.kafka.retries=1"]].concat());
    assert_eq!((of(&twice, Counter::Errors), of(&twice, Counter::Rejected)), (20, 10));
    let pauses = ["consumer.c.kafka.retries=1", "consumer.c.kafka.retry_delay=3s"];
    let slow = topic(&[&java[..], &pauses].concat());
    // At 1 s, 4 s, then a pause again: the next message at 7 s and 10 s.
    assert_eq!((of(&slow, Counter::Errors), of(&slow, Counter::Rejected)), (4, 2));
}

#[test]
fn an_error_leaves_a_message_pending_or_lost() {
    let of_kind = |kind: &str, sets: &[&str]| {
        let text =
            TOPIC.replace("kind.kafka = { rtt = '4ms', append = '1ms', replicate = '2ms' }", kind);
        let text = text
            .replace("kind.kafka = { rtt = \"4ms\", append = \"1ms\", replicate = \"2ms\" }", kind);
        run(&format!("{text}[cache.redis]\n"), &[&["consumer.c.poison=100%"], sets].concat())
    };
    let stream = |sets: &[&str]| of_kind("kind.redis-stream = { cache = 'redis' }", sets);
    let left = stream(&[]);
    assert_eq!((of(&left, Counter::Errors), of(&left, Counter::Retried)), (10, 0));
    let claims =
        ["consumer.c.pending={ claim_after = '900ms', claim_every = '1s', deliveries = 2 }"];
    let claimed = stream(&claims);
    let (errors, aside) = (of(&claimed, Counter::Errors), of(&claimed, Counter::Rejected));
    assert!((16..20).contains(&errors) && (6..=9).contains(&aside), "{errors} {aside}");
    let channel = of_kind("kind.redis-pubsub = { cache = 'redis' }", &[]);
    assert_eq!((of(&channel, Counter::Errors), of(&channel, Counter::Served)), (10, 0));
}
