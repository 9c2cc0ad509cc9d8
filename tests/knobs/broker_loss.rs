//! One broker of a topic that is gone while the others are there.

use loadbearing::diagnostic::Severity;
use loadbearing::failure::Failure;
use loadbearing::run::Counter;
use loadbearing::topology::load;

use crate::support::{Ran, ms, run};

/// A message a second, ten of them, to a topic of one partition with three copies.
const TOPIC: &str = r#"
[service.web]
[stream.s]
kind.kafka = { rtt = "0ms", append = "1ms", replicate = "2ms" }
[consumer.c]
stream = "s"
work = "100ms"
[operation.work]
share = 1
flow = [{ publish = "s" }]
"#;

fn lost(loss: &str, sets: &[&str]) -> Ran {
    let fault =
        format!("fault.f={{target='stream.s', what={{broker-loss={{{loss}}}}}, at='500ms'}}");
    run(
        TOPIC,
        &[
            &[
                "run.duration=30s",
                &fault,
                "arrivals.stages=[{for='10s', to='1/s'}, {for='0s', to='0/s'}]",
            ],
            sets,
        ]
        .concat(),
    )
}

#[test]
fn a_partition_has_no_leader_until_its_broker_is_missed() {
    let leader = "stream.s.kind.kafka.acks=leader";
    // Missed and replaced before the first message comes.
    let soon = lost("session='400ms', election='0s'", &[leader]);
    assert_eq!((soon.each(), soon.ok()), (ms(1), 10));
    // At 2,050 ms another leads: of the producer that came at 1 s the pauses of 300, 600 and 1,200 ms, each a
    // fifth more or less, are over at 3.1 s, and of the one at 2 s that of 300 ms.
    let later = lost("session='1450ms', election='100ms'", &[leader]);
    let longest = later.longest().seconds();
    assert!((1.3..3.3).contains(&longest) && later.ok() == 10, "{longest}");
    assert!((3..=5).contains(&later.count("stream.s", Counter::Retried)));
    let elected = lost("session='50ms', election='1500ms'", &[leader]);
    assert_eq!(elected.longest().seconds().round(), longest.round());
    // KRaft waits for 9 s: the first producer is done with its five retries by then, or not yet.
    assert!(lost("", &[leader]).longest().seconds() > 5.0);
    // A follower is gone: who asks the leader alone does not hear of it.
    assert_eq!(lost("broker=3", &[leader]).each(), ms(1));
}

#[test]
fn who_waits_for_all_copies_waits_for_one_that_is_gone_until_it_is_missed() {
    // At 5,500 ms the follower is out of sync: the first has waited for 4.5 s, then nobody waits.
    let follower = lost("broker=2, session='5s'", &[]);
    assert_eq!((follower.longest(), follower.shortest()), (ms(4_500), ms(3)));
    assert_eq!(follower.ok(), 10);
    // With two of three in sync who must have three is refused from then on, and gives up.
    let all = |least: &str| {
        let ran =
            lost("broker=2, session='5s'", &[&format!("stream.s.kind.kafka.min_insync={least}")]);
        (ran.ok(), ran.failed(Failure::Unreachable))
    };
    assert_eq!((all("2"), all("3")), ((10, 0), (5, 5)));
    // A broker that has no copy is missed by nobody.
    let spare = ["stream.s.kind.kafka.brokers=4"];
    assert_eq!(lost("broker=4", &spare).each(), ms(3));
    assert!(lost("broker=3", &spare).longest() > ms(3));
}

#[test]
fn consumers_of_a_partition_without_a_leader_stand_still() {
    let waits = |sets: &[&str]| {
        let usual = [
            "arrivals={rate='0/s', process='even', users=100, crowd={at='1s', users=10}}",
            "consumer.c.work=400ms",
            "stream.s.kind.kafka.append=0ms",
            "stream.s.kind.kafka.replicate=0ms",
            "fault.f.at=1500ms",
        ];
        let fault = "fault.f={target='stream.s', what={broker-loss={session='5s'}}}";
        let ran = run(TOPIC, &[&["run.duration=30s", fault], &usual[..], sets].concat());
        assert_eq!(ran.count("consumer.c", Counter::Served), 10);
        ran.station("consumer.c").wait.max().expect("it waited").seconds()
    };
    // Two have begun by 1.5 s; the third begins at 6.6 s, and seven more times 0.4 s later the tenth.
    assert!((waits(&[]) - 8.4).abs() < 0.05, "{}", waits(&[]));
    // Back before it is missed, it leads again.
    assert!((waits(&["fault.f.for=2s"]) - 5.3).abs() < 0.05, "{}", waits(&["fault.f.for=2s"]));
    // The only copy is gone with its broker, whoever misses it.
    let alone = waits(&["stream.s.kind.kafka.replicas=1", "fault.f.for=7s"]);
    assert!((alone - 10.3).abs() < 0.05, "{alone}");
}

#[test]
fn copies_lie_on_brokers_of_their_own() {
    let said = |sets: &[&str]| {
        let file = format!("version = 1\n[arrivals]\nrate = '1/s'\n{TOPIC}");
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let loaded = load("test.toml", &sets, &mut |_| Ok(file.clone()));
        let wrong = loaded.diagnostics.into_iter().find(|it| it.severity == Severity::Error);
        wrong.map(|it| it.slug)
    };
    assert_eq!(said(&["stream.s.kind.kafka.brokers=2"]), Some("out-of-range"));
    assert_eq!(said(&["stream.s.kind.kafka.min_insync=4"]), Some("out-of-range"));
    let fourth = "fault.f={target='stream.s', what={broker-loss={broker=4}}}";
    assert_eq!(said(&[fourth]), Some("bad-fault"));
    assert_eq!(said(&[fourth, "stream.s.kind.kafka.brokers=4"]), None);
}

#[test]
fn a_broker_that_is_stopped_as_planned_hands_its_partitions_over() {
    let leader = "stream.s.kind.kafka.acks=leader";
    let planned = lost("planned=true", &[leader]);
    assert_eq!((planned.each(), planned.ok()), (ms(1), 10));
    assert_eq!(planned.count("stream.s", Counter::Retried), 0);
    // Nobody waits for the copy that lay there either.
    for broker in ["planned=true", "planned=true, broker=2"] {
        assert_eq!(lost(broker, &[]).each(), ms(3));
    }
    assert!(lost("broker=2", &[]).longest() > ms(3_000), "one that is lost is waited for");
}
