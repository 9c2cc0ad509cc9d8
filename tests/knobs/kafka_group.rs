//! Groups of Kafka whose rebalances are cooperative, and whose members have ids of their own.

use loadbearing::run::Counter;

use crate::stream::TOPIC;
use crate::support::{Ran, run};

fn java(sets: &[&str]) -> Ran {
    let usual = [
        "consumer.c.kafka.client=java",
        "consumer.c.members=2",
        "stream.s.kind.kafka.partitions=4",
        "run.duration=120s",
    ];
    run(TOPIC, &[&usual, sets].concat())
}
fn of(ran: &Ran, counter: Counter) -> u64 {
    ran.count("consumer.c", counter)
}

#[test]
fn only_what_moves_stands_still_in_a_cooperative_rebalance() {
    // Two members have two partitions each, whose messages take 9 s; a third comes at 50 s.
    let third = "consumer.c.autoscale={min=2, max=3, start='1s', metric.lag=1_000_000, \
                 policy='hpa', schedule=[{at='50s', min=3, max=3}]}";
    let ran = |assignor: &str| {
        let assignor = format!("consumer.c.kafka.assignor={assignor}");
        java(&[third, "consumer.c.work=9s", "consumer.c.kafka.fetch=1", &assignor])
    };
    let fewest = |ran: &Ran| {
        let held = ran.held("consumer.c");
        held.iter().copied().fold(9.0, f64::min)
    };
    let (eager, sticky) = (ran("eager"), ran("cooperative-sticky"));
    // Eager: whoever has joined waits for the others. Three join once.
    assert!(fewest(&eager) < 1.99, "{}", fewest(&eager));
    assert_eq!((of(&eager, Counter::Opened), of(&eager, Counter::Evicted)), (3, 0));
    // One of four partitions moves, by a second rebalance.
    assert!(fewest(&sticky) > 1.99, "{}", fewest(&sticky));
    assert_eq!((of(&sticky, Counter::Opened), of(&sticky, Counter::Evicted)), (6, 1));
    let last = |ran: &Ran| *ran.held("consumer.c").last().expect("windows");
    assert_eq!((last(&eager), last(&sticky)), (3.0, 3.0));
}

#[test]
fn what_a_dead_member_had_is_given_to_the_others_at_once() {
    let text = format!(
        "{TOPIC}\n[fault.f]\ntarget = 'consumer.c'\nwhat = 'stop'\nat = '50500ms'\ncount = 1\n"
    );
    let sets = [
        "consumer.c.kafka={client='java', session='6s', assignor='cooperative-sticky'}",
        "consumer.c.members=2",
        "stream.s.kind.kafka.partitions=4",
        "run.duration=120s",
    ];
    let ran = run(&text, &sets);
    assert_eq!((of(&ran, Counter::TimedOut), of(&ran, Counter::Evicted)), (1, 0));
    assert_eq!(of(&ran, Counter::Opened), 1, "one rebalance, of the one that is left");
    assert!(of(&ran, Counter::Served) >= 118);
}

#[test]
fn a_member_with_an_id_has_its_partitions_when_it_is_back() {
    let text = format!(
        "{TOPIC}\n[fault.f]\ntarget = 'consumer.c'\nwhat = 'stop'\nat = '50500ms'\nfor = '3s'\ncount = 1\n"
    );
    let ran = |sets: &[&str]| {
        let usual = [
            "consumer.c.kafka.client=java",
            "consumer.c.members=2",
            "stream.s.kind.kafka.partitions=2",
            "run.duration=120s",
        ];
        run(&text, &[&usual, sets].concat())
    };
    let wait = |ran: &Ran| ran.station("consumer.c").wait.max().expect("messages").seconds();
    let named = ran(&["consumer.c.kafka.instance_id=true"]);
    assert_eq!((of(&named, Counter::Opened), of(&named, Counter::TimedOut)), (0, 0));
    assert!((1.0..3.1).contains(&wait(&named)), "{}", wait(&named));
    // Without one its old membership stands for 45 s, and all wait for it.
    let plain = ran(&[]);
    assert!(wait(&plain) > 20.0 && of(&plain, Counter::Opened) > 0, "{}", wait(&plain));
    // Who is away for longer than the session is out.
    let late = ran(&["consumer.c.kafka.instance_id=true", "consumer.c.kafka.session=2s"]);
    assert_eq!(of(&late, Counter::TimedOut), 1);
}
