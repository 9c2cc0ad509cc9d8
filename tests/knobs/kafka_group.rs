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

#[test]
fn a_member_is_out_when_its_next_poll_is_late() {
    // A message each five seconds; to poll begins the time anew, whatever was before.
    let out = |sets: &[&str]| {
        let usual = ["consumer.c.members=1", "arrivals.rate='0.2/s'", "run.duration=60s"];
        of(&java(&[&usual, sets].concat()), Counter::TimedOut)
    };
    let poll = "consumer.c.kafka.poll=2s";
    assert_eq!(out(&[poll, "consumer.c.work=1990ms"]), 0);
    // The first comes at 5.005 s and is never done: out at 7.005 s, and each 2.01 s from then on, up to 59.265 s.
    assert_eq!(out(&[poll, "consumer.c.work=2010ms"]), 27);
    // From one message's end to the next one's are 5 s.
    assert_eq!(out(&["consumer.c.kafka.poll=4s", "consumer.c.work=3s"]), 0);
}

/// A group of one that is two from so many seconds on.
fn joined_at(second: &str) -> String {
    format!(
        "consumer.c.autoscale={{min=1, max=2, start='500ms', metric.lag=1_000_000, policy='hpa', \
         schedule=[{{at='{second}', min=2, max=2}}]}}"
    )
}
/// A group of two that is one from so many seconds on; who is told to end finishes.
fn left_at(second: &str) -> String {
    format!(
        "consumer.c={{stream='s', members=2, on_sigterm='finish', grace='60s', autoscale={{min=1, max=2, \
         metric.lag=1, policy='hpa', schedule=[{{at='{second}', min=1, max=1}}]}}}}"
    )
}
/// Brokers that take no time, and so many messages at once each ten seconds.
fn burst(count: usize) -> [String; 3] {
    let branches = vec!["[{publish='s'}]"; count].join(", ");
    let brokers = "stream.s.kind.kafka={rtt='0ms', append='0ms', replicate='0ms'}";
    let flow = format!("operation.work.flow=[{{parallel=[{branches}]}}]");
    [flow, brokers.into(), "arrivals.rate='0.1/s'".into()]
}
fn ran_with(sets: &[String], more: &[&str]) -> Ran {
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    run(TOPIC, &[&sets, more].concat())
}

#[test]
fn a_member_at_work_hears_of_a_rebalance_with_the_heartbeat_after_its_message() {
    // Six messages at 10 s, of 3.1 s each: a heartbeat is due 3 s after the last, and is sent after each of them.
    // Another member asks at 13.5 s, while the second is at work, until 16.2 s.
    let sets = [&burst(6)[..], &[joined_at("13s")]].concat();
    let ran = ran_with(&sets, &["consumer.c.work=3100ms", "run.duration=19s"]);
    // One for 16.2 s, two for 2.8 s.
    let held = ran.station("consumer.c").held_mean;
    assert!((held - 21.8 / 19.0).abs() < 1e-6, "{held}");
}

#[test]
fn the_end_of_a_batch_postpones_no_heartbeat() {
    // Six messages at 10 s, a second and a batch each. An idle member's last heartbeat was at 9 s, the next are at
    // the ends of messages at 12 s and 15 s, where it hears of the member that asks at 13.5 s.
    let sets = [&burst(6)[..], &[joined_at("13s")]].concat();
    let each = ["consumer.c.work=1s", "consumer.c.kafka.fetch=1", "run.duration=19s"];
    let held = ran_with(&sets, &each).station("consumer.c").held_mean;
    assert!((held - (15.0 + 2.0 * 4.0) / 19.0).abs() < 1e-6, "{held}");
    // A heartbeat each second tells it at 14 s; one each five seconds, after that of 10 s, at 15 s, too.
    let ran = |heartbeat: &str| ran_with(&sets, &[&each[..], &[heartbeat]].concat());
    let held = |heartbeat: &str| ran(heartbeat).station("consumer.c").held_mean;
    assert!((held("consumer.c.kafka.heartbeat=1s") - (14.0 + 2.0 * 5.0) / 19.0).abs() < 1e-6);
    assert!((held("consumer.c.kafka.heartbeat=5s") - (15.0 + 2.0 * 4.0) / 19.0).abs() < 1e-6);
}

#[test]
fn a_commit_is_heard_of_without_a_heartbeat() {
    // Four messages at 5 s, of 2.9 s each, and more before they are done. Heartbeats were sent at 4 s, and are at 10.8 s
    // and each 5.8 s, since one is due 4 s after the last. A session of 4.5 s lasts where each message is committed.
    let out = |fetch: &str| {
        let sets = ["consumer.c.kafka={heartbeat='4s', session='4500ms'}", fetch];
        let usual = ["consumer.c.work=2900ms", "run.duration=16s"];
        let mut burst = burst(4);
        burst[2] = "arrivals.rate='0.2/s'".into();
        of(&ran_with(&burst, &[&sets[..], &usual].concat()), Counter::TimedOut)
    };
    assert_eq!(out("consumer.c.kafka.fetch=1"), 0);
    // The first message is a batch by itself, three more are one: nothing is heard from 10.8 s to 15.3 s.
    assert_eq!(out("consumer.c.kafka.fetch=3"), 1);
}

#[test]
fn who_has_joined_a_cooperative_rebalance_goes_on() {
    // One of two is dead from 50.5 s to 53.5 s, and its old membership stands for 45 s. All have a message each
    // second, half of them for the other: by 90.5 s it has done with the even ones up to 50 s, and with all odd ones.
    let text = format!(
        "{TOPIC}\n[fault.f]\ntarget = 'consumer.c'\nwhat = 'stop'\nat = '50500ms'\nfor = '3s'\ncount = 1\n"
    );
    let served = |assignor: &str| {
        let sets = [
            "consumer.c.kafka.client=java",
            "consumer.c.members=2",
            "stream.s.kind.kafka.partitions=2",
            "run.duration=90500ms",
            assignor,
        ];
        of(&run(&text, &sets), Counter::Served)
    };
    let sticky = served("consumer.c.kafka.assignor=cooperative-sticky");
    let eager = served("consumer.c.kafka.assignor=eager");
    assert_eq!(sticky, 50 + 20);
    // Eager: it hears of the rebalance by 56.5 s, and waits.
    assert!((50..=53).contains(&eager), "{eager}");
}

#[test]
fn who_gives_back_several_partitions_joins_again_once() {
    // One member works at two of four partitions at a time, 9 s at each message: at the third and the fourth from
    // 46 s and 47 s on. Another asks at 50.5 s and is to have both. The first joins when the one batch is over,
    // at 55 s, and again when it has given both back, at 56 s: two rebalances of two.
    let sets = [
        "consumer.c.kafka={client='java', assignor='cooperative-sticky', fetch=1}",
        "consumer.c.concurrency=2",
        "consumer.c.work=9s",
        "stream.s.kind.kafka.partitions=4",
        "run.duration=120s",
    ];
    let ran = ran_with(&[joined_at("50s")], &sets);
    assert_eq!((of(&ran, Counter::Opened), of(&ran, Counter::Evicted)), (4, 2));
}

#[test]
fn a_member_with_an_id_does_not_say_that_it_ends() {
    let ran = |named: &str| {
        let sets = [
            "consumer.c.work=100ms",
            "consumer.c.kafka.client=java",
            "stream.s.kind.kafka.partitions=2",
            "run.duration=120s",
            named,
        ];
        let ran = ran_with(&[left_at("50s")], &sets);
        (of(&ran, Counter::Closed), of(&ran, Counter::TimedOut))
    };
    assert_eq!(ran("consumer.c.kafka.instance_id=false"), (1, 0));
    assert_eq!(ran("consumer.c.kafka.instance_id=true"), (0, 1));
}

#[test]
fn who_is_told_to_end_finishes_its_batch_or_its_message() {
    // Eight messages at 10 s for each of two members, a second each: the first is a batch of its own. Told to end
    // at 12.5 s, a member of the Java client has its batch of seven until 18 s; one of kafkajs its message until 13 s.
    let held = |client: &str| {
        let sets = [&burst(16)[..], &[left_at("12500ms")]].concat();
        let more =
            ["consumer.c.work=1s", "stream.s.kind.kafka.partitions=2", "run.duration=19s", client];
        ran_with(&sets, &more).station("consumer.c").held_mean
    };
    let (java, js) =
        (held("consumer.c.kafka.client=java"), held("consumer.c.kafka.client=kafkajs"));
    assert!((java - 37.0 / 19.0).abs() < 1e-6, "{java}");
    assert!((js - 32.0 / 19.0).abs() < 1e-6, "{js}");
}

#[test]
fn a_member_takes_its_partitions_in_turn() {
    // A message each second, in turn to two partitions, takes 1.5 s. In turn they are handled as they came: the
    // 40th, of 40 s, begins at 1 + 39 x 1.5 = 59.5 s.
    let sets = [
        "consumer.c.work=1500ms",
        "consumer.c.kafka.fetch=1",
        "stream.s.kind.kafka.partitions=2",
        "run.duration=60500ms",
    ];
    let ran = run(TOPIC, &sets);
    let longest = ran.station("consumer.c").wait.max().expect("messages").seconds();
    assert!((longest - 19.5).abs() < 0.02, "{longest}");
}

#[test]
fn what_is_handled_again_is_drawn_anew() {
    // One handling of a hundred takes a minute, and each half a minute the process restarts, which nobody else
    // hears of. A message that took as long again would hold up its partition for ever.
    let text = format!(
        "{TOPIC}\n[fault.f]\ntarget = 'consumer.c'\nwhat = 'stop'\nevery = '30s'\nfor = '1s'\n"
    );
    let sets = [
        "consumer.c.kafka={client='java', instance_id=true, fetch=1}",
        "consumer.c.work={mixture=[{share='99%', of='1ms'}, {share='1%', of='60s'}]}",
        "run.duration=1200s",
    ];
    let ran = run(&text, &sets);
    let (served, again) = (of(&ran, Counter::Served), of(&ran, Counter::Retried));
    // Of what came before the last two restarts nothing is left but by rare chance, and about twelve took so long.
    assert!(served >= 1_130 && (4..=24).contains(&again), "{served} {again}");
}

#[test]
fn a_process_counts_the_failures_that_it_has_seen_itself() {
    // A message at 20 s, each handling of which takes a second and fails.
    let ran = |fault: &str, group: &str| {
        let text = format!("{TOPIC}\n[fault.f]\ntarget = 'consumer.c'\nat = '24500ms'\n{fault}\n");
        let mut sets = burst(1).to_vec();
        sets[2] = "arrivals.rate='0.05/s'".into();
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let usual = ["consumer.c.poison=100%", "consumer.c.work=1s", "run.duration=39500ms", group];
        let ran = run(&text, &[&sets[..], &usual].concat());
        (of(&ran, Counter::Errors), of(&ran, Counter::Rejected))
    };
    let stopped = "what = 'stop'\nfor = '1s'";
    let named = "consumer.c.kafka={client='java', instance_id=true}";
    // Four failures by 24 s, the fifth handling dies. It begins anew at 25.5 s, with ten more: the last at 35.5 s.
    assert_eq!(ran(stopped, named), (4 + 10, 1));
    // Four failures are enough before it is stopped; five are not reached, and begin anew.
    let four = "consumer.c.kafka={client='java', instance_id=true, retries=3}";
    assert_eq!(ran(stopped, four), (4, 1));
    let five = "consumer.c.kafka={client='java', instance_id=true, retries=4}";
    assert_eq!(ran(stopped, five), (4 + 5, 1));
    // Out of the group from 30.5 s to 35 s, with five failures; it goes on from those, up to the tenth at 40 s, or
    // the ninth at 39 s.
    let cut = "what = 'cut'\nfor = '10500ms'";
    let session = "consumer.c.kafka={client='java', session='6s'}";
    assert_eq!(ran(cut, session), (5 + 4, 0));
    let nine = "consumer.c.kafka={client='java', session='6s', retries=8}";
    assert_eq!(ran(cut, nine), (5 + 4, 1));
}
