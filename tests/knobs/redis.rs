//! Clients of Redis: what becomes of commands while it is gone.

use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// One GET a second, 1 to 9 s; the server is gone from 499 ms on.
const GONE: &str = r#"
[service.web]
[cache.c]
rtt = "0ms"
command = "0ms"
client = "ioredis-5"
[keys.k]
count = 1
[operation.look]
share = 1
flow = [{ cache = { in = "c", keys = "k", write = false } }]
[fault.outage]
target = "cache.c"
what = "stop"
at = "499ms"
"#;

fn gone(sets: &[&str]) -> Ran {
    run(GONE, &[&["run.duration=9500ms"], sets].concat())
}

#[test]
fn commands_wait_in_their_client_or_fail_at_once() {
    // No client: whoever finds the server gone goes on without it.
    let text = GONE.replace("client = \"ioredis-5\"\n", "");
    let ideal = run(&text, &["run.duration=9500ms"]);
    assert_eq!((ideal.ok(), ideal.each()), (9, ms(0)));
    let said = gone(&["cache.c.client=ideal"]);
    assert_eq!((said.ok(), said.each()), (9, ms(0)));
    for client in ["ioredis-5", "ioredis-6", "node-redis"] {
        let client = format!("cache.c.client={{{client}={{offline_queue=false}}}}");
        let ran = gone(&[&client]);
        assert_eq!((ran.ok(), ran.each()), (9, ms(0)), "{client}");
        assert_eq!(ran.count("cache.c", Counter::Rejected), 9, "{client}");
        // With a queue they wait.
        let ran = gone(&[&client.replace("=false", "=true")]);
        assert!(ran.ok() < 9, "{client}");
        assert_eq!(ran.count("cache.c", Counter::Rejected), 0, "{client}");
    }
    // The server comes back, a third of a second before the next attempt: all go on then.
    let back = ["fault.outage.for=3s", "cache.c.client={ioredis-5={max_retries='unlimited'}}"];
    let ran = gone(&back);
    // Attempts begin 50 + 100 + ... ms after the loss; the eleventh, after 3.3 s, is answered.
    assert_eq!((ran.ok(), ran.longest()), (9, ms(499 + 3_300 - 1_000)));
    assert_eq!(ran.count("cache.c", Counter::Opened), 1);
}

#[test]
fn used_up_retries_fail_all_that_waits() {
    // Flushes come 0.3, 1.4, 3.3, 6.0 and 9.5 s after the loss: at 1.899, 3.799, 6.499 and 9.999 s.
    let ran = gone(&["cache.c.client={ioredis-5={max_retries=3}}"]);
    assert_eq!((ran.ok(), ran.longest(), ran.shortest()), (6, ms(2_499), ms(499)));
    let ran = gone(&["cache.c.client={ioredis-5={max_retries=3}}", "run.duration=10s"]);
    assert_eq!((ran.ok(), ran.longest()), (9, ms(2_999)));
    // The default flushes for the first time after 10.5 s.
    assert_eq!(gone(&[]).ok(), 0);
    let ran = gone(&["run.duration=11500ms"]);
    assert_eq!((ran.ok(), ran.longest(), ran.shortest()), (10, ms(9_999), ms(999)));
    // ioredis 6 doubles its pauses: for the first time after 350 ms and three times up to 200 ms.
    let six = gone(&["cache.c.client={ioredis-6={max_retries=3}}"]);
    assert!((1..9).contains(&six.ok()), "{}", six.ok());
    assert_eq!(gone(&["cache.c.client={ioredis-6={max_retries='unlimited'}}"]).ok(), 0);
}

#[test]
fn an_attempt_to_connect_lasts_until_its_timeout_where_nobody_answers() {
    // The server resets its connections, and its network is cut from then on.
    let text = format!("{GONE}\n[fault.cut]\ntarget = 'cache.c'\nwhat.cut = {{}}\nat = '500ms'\n");
    let first = |client: &str| {
        let ran = run(&text, &[client, "fault.outage.for=1ms", "run.duration=9500ms"]);
        (ran.ok(), ran.outcome.latency.max())
    };
    // The loss is a close, 50 ms later an attempt, and its end the next close, which fails all.
    let (ok, longest) = first("cache.c.client={ioredis-5={max_retries=0, connect_timeout='1s'}}");
    assert!(ok >= 7 && longest <= Some(ms(3_000)), "{ok} {longest:?}");
    let (ok, _) = first("cache.c.client={ioredis-5={max_retries=0}}");
    assert_eq!(ok, 0, "10 s by default");
    // node-redis fails nothing then, but what timed out meanwhile is not held up by it.
    let node = |timeout: &str| {
        let client = format!(
            "cache.c.client={{node-redis={{connect_timeout='{timeout}', command_timeout='60s'}}}}"
        );
        let sets =
            [client.as_str(), "fault.outage.for=1ms", "fault.cut.for=4s", "run.duration=9500ms"];
        run(&text, &sets).longest()
    };
    // Cut until 4.5 s: attempts of 300 ms are made anew at most 2.2 s later; one of 9 s goes on, and
    // its first packet is repeated 7 s after it.
    assert!(node("300ms") < ms(6_100));
    assert!(node("9s") > ms(6_500) && node("9s") < ms(6_900));
}

#[test]
fn a_command_is_given_up_wherever_it_is() {
    let limit = "cache.c.client={ioredis-5={command_timeout='200ms'}}";
    // In the offline queue.
    let ran = gone(&[limit]);
    assert_eq!((ran.ok(), ran.each()), (9, ms(200)));
    assert_eq!(ran.count("cache.c", Counter::TimedOut), 9);
    // On its way, in the queue of a node that takes 700 ms for each, and at work there.
    let well = "fault.outage.what={slow=1}";
    let ran = gone(&[limit, well, "cache.c.command=700ms", "arrivals.rate=2/s"]);
    assert_eq!((ran.ok(), ran.each()), (18, ms(200)));
    // The node does not know: it runs them all, one after another, for nobody.
    assert_eq!(ran.count("cache.c", Counter::Served), 12);
    let ran = gone(&[limit, well, "cache.c.rtt=1s"]);
    assert_eq!((ran.ok(), ran.each()), (9, ms(200)));
    // The node has run it after half a second, and the answer would be there after another.
    let limit = "cache.c.client={ioredis-5={command_timeout='800ms'}}";
    let ran = gone(&[limit, well, "cache.c.rtt=1s"]);
    assert_eq!((ran.ok(), ran.each(), ran.count("cache.c", Counter::Served)), (8, ms(800), 9));
    assert_eq!(gone(&[well, "cache.c.command=700ms"]).each(), ms(700));
}

#[test]
fn node_redis_gives_up_what_it_has_not_written() {
    let ran = gone(&["cache.c.client=node-redis"]);
    assert_eq!((ran.ok(), ran.each()), (4, ms(5_000)), "those of 1 to 4 s");
    let ran = gone(&["cache.c.client={node-redis={command_timeout='300ms'}}"]);
    assert_eq!((ran.ok(), ran.each()), (9, ms(300)));
    // What is written waits for its answer, however long.
    let slow = ["fault.outage.what={slow=1}", "cache.c.command=700ms"];
    let timeout = "cache.c.client={node-redis={command_timeout='300ms'}}";
    assert_eq!(gone(&[&slow[..], &[timeout]].concat()).each(), ms(700));
    // What is written when the connection is lost fails with it.
    let way = ["cache.c.rtt=1s", "fault.outage.at=1200ms"];
    let ran = gone(&[&way[..], &["cache.c.client=node-redis"]].concat());
    assert_eq!(ran.shortest(), ms(700), "the reset comes half a round trip after 1.2 s");
    assert_eq!(gone(&way).ok(), 0, "ioredis keeps it, to send it again");
    // One may wait: the second fails at once.
    let ran = gone(&["cache.c.client={node-redis={max_queue=1}}"]);
    assert_eq!((ran.shortest(), ran.longest()), (ms(0), ms(5_000)));
    // Those of 1 and 6 s wait for 4.5 s, and find room; seven others do not.
    let ran = gone(&["cache.c.client={node-redis={max_queue=1, command_timeout='4500ms'}}"]);
    assert_eq!((ran.ok(), ran.count("cache.c", Counter::Rejected)), (8, 7));
}

#[test]
fn what_was_on_its_way_goes_before_what_has_waited() {
    // Sent at 1 s, the command finds nobody at 1.1 s; the close of the server is heard of at 1.15 s. Attempts
    // last a round trip of 200 ms: at 1.2, 1.5, 1.85, 2.25, 2.7, 3.2 and 3.75 s. The last is answered, and
    // ready after three round trips, at 4.35 s.
    let way = ["cache.c.rtt=200ms", "fault.outage.at=1050ms", "fault.outage.for=2300ms"];
    let ran = |more: &str| gone(&[&way[..], &["cache.c.command=300ms", more]].concat());
    // Those of 1, 2, 3 and 4 s are there at 4.45 s, and take 300 ms each, the first one first.
    let both = ran("cache.c.client=ioredis-5");
    assert_eq!((both.longest(), both.count("cache.c", Counter::Closed)), (ms(3_850), 1));
    assert_eq!(both.count("cache.c", Counter::Opened), 1);
    // A wire that takes 100 ms for a value brings them in that order too: the first is there at 4.55 s.
    let text = GONE.replace("[service.web]", "[service.web]\nbefore = ['session.s']");
    let text = format!("{text}[session.s]\nstore.redis = {{ cache = 'c' }}\nsize = '1MB'\n");
    let login = [
        "operation.look={login=true, flow=[{cpu='0ms'}]}",
        "cache.c.bandwidth=80Mbit/s",
        "cache.c.per_kb=0s",
    ];
    let wire = run(&text, &[&way[..], &login, &["run.duration=9500ms"]].concat());
    assert_eq!((wire.ok(), wire.longest()), (9, ms(3_650)));
}

/// A loss of the first node at 500 ms, 100 reads a second.
const LOST: &str = r#"
[arrivals]
rate = "100/s"
process = "even"
[service.web]
[cache.c]
rtt = "0ms"
command = "0ms"
replicas = 1
[keys.k]
count = 3000
[operation.look]
share = 1
flow = [{ cache = { in = "c", keys = "k", write = false } }]
[fault.loss]
target = "cache.c"
what = "stop"
at = "500ms"
count = 1
"#;

/// Commands that have failed.
fn errors(sets: &[&str]) -> u64 {
    run(LOST, sets).count("cache.c", Counter::Errors)
}

#[test]
fn a_replica_takes_over_once_the_loss_is_seen() {
    assert!((998..=1_001).contains(&errors(&[])), "nobody takes over");
    let sentinel = |its: &str| errors(&[&format!("cache.c.failover={{sentinel={{{its}}}}}")]);
    // The patience of the sentinels, and 0.4 to 1.6 s to agree, to choose and to tell.
    let takes = sentinel("down_after='2s'");
    assert!((240..=360).contains(&takes), "{takes}");
    let longer = sentinel("down_after='5s'");
    assert_eq!(longer, takes + 300);
    // Nine of nine are later than the first of nine.
    let first = sentinel("down_after='2s', sentinels=9, quorum=1");
    assert!(sentinel("down_after='2s', sentinels=9, quorum=9") > first);
    assert_ne!(first, sentinel("down_after='2s', sentinels=90, quorum=1"));
    // Without a replica nobody can.
    assert_eq!(errors(&["cache.c.replicas=0", "cache.c.failover=sentinel"]), errors(&[]));
    // A failover lasts as long as its product takes.
    let failover = ["fault.loss.what=failover", "cache.c.failover={sentinel={down_after='2s'}}"];
    assert_eq!(errors(&failover), takes);
}

#[test]
fn a_replica_takes_over_but_once() {
    // Who has taken over is lost as well, at 5.5 s: the second of two replicas takes over, or nobody is left.
    let text = format!("{LOST}[fault.again]\ntarget = 'cache.c'\nwhat = 'stop'\nat = '5500ms'\n");
    let lost = |replicas: u32| {
        let replicas = format!("cache.c.replicas={replicas}");
        let sets = [&replicas, "cache.c.failover={sentinel={down_after='1s'}}"];
        run(&text, &sets).count("cache.c", Counter::Errors)
    };
    // A takeover lasts 1.4 to 2.6 s; the run ends 5 s after the second loss.
    let (one, two) = (lost(1), lost(2));
    assert!((640..=761).contains(&one), "{one}");
    assert!((280..=520).contains(&two), "{two}");
}

#[test]
fn a_cluster_without_most_of_its_masters_answers_nobody() {
    // Two of three are gone: the third cannot elect anybody, and a minority answers nobody, whatever it covers.
    let cluster = "cache.c.failover={cluster={node_timeout='1s', full_coverage=false}}";
    let gone = |count: u32| {
        let count = format!("fault.loss.count={count}");
        errors(&["cache.c.nodes=3", cluster, &count])
    };
    // Seen 1 to 2.5 s after 0.5 s; two thirds of 100 reads a second until then, and all of them until 10.5 s.
    let two = gone(2);
    assert!((905..=975).contains(&two), "{two}");
    // One of three is replaced within 3.6 s of its loss, and a third of the reads fails meanwhile.
    assert!(gone(1) < 125, "{}", gone(1));
}

#[test]
fn a_cluster_votes_and_may_stop_meanwhile() {
    let three = "cache.c.nodes=3";
    let third = errors(&[three]);
    assert!((280..390).contains(&third), "{third} of 1,000 ask the node that is gone");
    let cluster = |its: &str| errors(&[three, &format!("cache.c.failover={{cluster={{{its}}}}}")]);
    // A third of the reads fails until the loss is agreed upon, all of them during the election.
    let takes = cluster("node_timeout='2s', full_coverage=false");
    let stops = cluster("node_timeout='2s'");
    assert!(stops > takes + 20 && stops < takes + 100, "{takes} {stops}");
    assert!(cluster("node_timeout='4s', full_coverage=false") > takes + 50);
    // Without a replica a third of the slots is gone, or with them everything.
    let alone = |its: &str| {
        let failover = format!("cache.c.failover={{cluster={{node_timeout='2s', {its}}}}}");
        errors(&[three, "cache.c.replicas=0", &failover])
    };
    assert_eq!(alone("full_coverage=false"), third);
    assert!(alone("full_coverage=true") > 700);
    // ioredis asks again every 100 ms, and gives up after eight times.
    let ran = run(
        LOST,
        &[three, "cache.c.failover=cluster", "cache.c.client=ioredis-5", "run.duration=5s"],
    );
    assert_eq!((ran.longest(), ran.shortest()), (ms(800), ms(0)));
}

#[test]
fn copies_answer_reads_and_are_behind() {
    // Eight reads side by side, 1 ms each.
    let eight = "[{cache={in='c', keys='k', write=false}}], ".repeat(8);
    let flow = format!("operation.look.flow=[{{parallel=[{eight}]}}]");
    let sets =
        ["fault.loss.what={slow=1}", flow.as_str(), "cache.c.command=1ms", "arrivals.rate=5/s"];
    let mean = |more: &[&str]| run(LOST, &[&sets[..], more].concat()).mean_s();
    assert!((mean(&["cache.c.reads=primary"]) - 0.008).abs() < 1e-9);
    assert!(
        (mean(&["cache.c.reads=replicas"]) - 0.008).abs() < 1e-9,
        "the one replica has them all"
    );
    assert!(mean(&["cache.c.reads=all"]) < 0.007, "both share them");
    let wide = mean(&["cache.c.reads=replicas", "cache.c.replicas=8"]);
    assert!(wide < 0.004, "{wide}");
    // Written 10 ms ago: a replica that is a second behind has not heard of it.
    let stale = |lag: &str| {
        let flow = "operation.look.flow=[{cache={in='c', keys='k'}}]";
        let lag = format!("cache.c.lag={lag}");
        let sets =
            ["fault.loss.what={slow=1}", flow, "keys.k.count=1", "cache.c.reads=replicas", &lag];
        run(LOST, &sets).count("cache.c", Counter::StaleReads)
    };
    assert!(stale("0ms") == 0 && stale("1s") > 900, "{} {}", stale("0ms"), stale("1s"));
    // Behind by just as long as one read comes after the other, it has heard of what the last one set.
    assert!(stale("10ms") == 0 && stale("10001us") > 900, "{}", stale("10ms"));
    // What only the lost primary had is lost: the keys that were first written in the last 300 ms.
    let lost = |lag: &str| {
        let flow = "operation.look.flow=[{cache={in='c', keys='k'}}]";
        let lag = format!("cache.c.lag={lag}");
        let sets = [flow, "cache.c.failover={sentinel={down_after='1s'}}", &lag];
        run(LOST, &sets).count("cache.c", Counter::Lost)
    };
    assert_eq!(lost("0ms"), 0);
    assert!((28..=30).contains(&lost("300ms")), "{}", lost("300ms"));
}

#[test]
fn a_client_looks_its_server_up_before_it_connects_again() {
    // The server is gone from 1,499 ms on, for 3 s.
    let gone = |sets: &[&str]| {
        let outage = ["fault.outage.at=1499ms", "fault.outage.for=3s", "run.duration=9500ms"];
        run(GONE, &[&outage[..], sets].concat())
    };
    let known = gone(&[]);
    assert_eq!(known.longest(), ms(1_499 + 3_300 - 2_000));
    // Attempts begin 50 + 100 + ... ms after one another, and each takes 30 ms more: the tenth, 2,750 and
    // 300 ms after the loss, is answered.
    let ran = gone(&["cache.c.lookup=30ms"]);
    assert_eq!((ran.ok(), ran.longest()), (9, ms(1_499 + 3_050 - 2_000)));
    assert_eq!(ran.count("service.web.threads", Counter::Served), 10);
    assert_eq!(
        (ran.count("cache.c", Counter::Opened), ran.count("cache.c", Counter::Closed)),
        (1, 1)
    );
    // Who has sent no command yet connects, and looks nothing up.
    let early = ["fault.outage.at=99ms", "fault.outage.for=600ms", "cache.c.lookup=30ms"];
    let ran = run(GONE, &early);
    assert_eq!((ran.each(), ran.count("service.web.threads", Counter::Served)), (ms(0), 0));
    // The time to connect ends an attempt, and begins anew when the name is known.
    let opened = |limit: &str| {
        let client = format!("cache.c.client={{ioredis-5={{connect_timeout='{limit}'}}}}");
        gone(&["cache.c.lookup=100ms", "cache.c.rtt=60ms", &client])
            .count("cache.c", Counter::Opened)
    };
    assert_eq!((opened("90ms"), opened("110ms")), (0, 1));
    // A thread of libuv's pool waits for the name: where files have all of them it is never known.
    let files = "service.web.timers=[{every='1ms', flow=[{threads='20s'}]}]";
    let taken = ["cache.c.lookup=30ms", "service.web.threads=1", files];
    assert_eq!(gone(&taken).count("cache.c", Counter::Opened), 0);
    let with_own = [&taken[..], &["service.web.runtime=uvicorn"]].concat();
    assert_eq!(gone(&with_own).count("cache.c", Counter::Opened), 1);
}
