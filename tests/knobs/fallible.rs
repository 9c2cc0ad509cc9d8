//! Faults of what stands between and beside services: poolers, machines, stores, queues, streams,
//! consumers, sockets.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::pooler::POOLED;
use crate::stream::TOPIC;
use crate::support::{Ran, ms, run};

#[test]
fn a_pooler_that_stops_takes_all_connections_with_it() {
    let ran = run(POOLED, &["fault.f={target='pooler.b', what='stop', at='2500ms', for='3s'}"]);
    // Those who come at 3, 4 and 5 s are refused; the one of 6 s opens both connections again.
    assert_eq!((ran.failed(Failure::DatabaseDown), ran.ok()), (3, 7));
    assert_eq!(ran.count("pool.pg", Counter::Opened), 2);
    assert_eq!((ran.count("pooler.b", Counter::Opened), ran.longest()), (2, ms(46)));
    // A statement under way fails; whoever waits at the pooler is disconnected.
    let busy = "operation.read.flow=[{parallel=[[{query={pool='pg', read='400ms'}}], \
                [{query={pool='pg', read='400ms'}}]]}]";
    let stop = "fault.f={target='pooler.b', what='stop', at='2200ms', for='100ms'}";
    let ran = run(POOLED, &[busy, "pooler.b.size=1", stop]);
    assert_eq!((ran.failed(Failure::DatabaseDown), ran.ok()), (1, 8));
    // Pools of one process die together.
    let also = "[pooler.c]\ndatabase = 'db'\nmode = 'transaction'\nprocess = 'b'\n\
                [pool.also]\nservice = 'web'\ndatabase = 'db'\nthrough = 'c'\n";
    let ran = run(&format!("{POOLED}{also}"), &["fault.f={target='pooler.c', what='stop'}"]);
    assert_eq!((ran.failed(Failure::DatabaseDown), ran.outcome.faults[0].units), (10, 2));
}

#[test]
fn a_pooler_is_slow_or_flaky_or_cut_off() {
    let with = |what: &str, sets: &[&str]| {
        let fault = format!("fault.f={{target='pooler.b', {what}}}");
        run(POOLED, &[&[fault.as_str()], sets].concat())
    };
    // Its core, for the statement and for the answer; and opening.
    let slow = with("what={slow=3}", &["pooler.b.cpu=2ms"]);
    assert_eq!((slow.shortest(), slow.longest()), (ms(16 + 6), ms(46 + 6 + 20)));
    let flaky = with("what={flaky='30%'}", &["arrivals.rate=100/s"]);
    let share = flaky.failed(Failure::DatabaseDown) as f64 / flaky.offered() as f64;
    // A statement is refused, and often the connection that must be opened after it.
    assert!((share - 0.41).abs() < 0.06, "{share}");
    let cut = |from: &str, sets: &[&str]| {
        with(&format!("what={{cut={{{from}}}}}, at='2900ms', for='500ms'"), sets).longest()
    };
    // The statement of 3 s is sent again after 200, 400 and 800 ms.
    assert_eq!(cut("", &[]), ms(600 + 16));
    assert_eq!(cut("from='service.web'", &[]), ms(600 + 16));
    assert_eq!(cut("from='database.db'", &[]), ms(600 + 16));
    // One of its own connections has longer pauses: 1 s, then 2 s.
    let own = ["pooler.b.idle_timeout=100ms"];
    assert_eq!(cut("from='database.db'", &own), ms(1000 + 16 + 20));
}

/// A web service, a database and a cache on one machine; a user every second.
const BOX: &str = r#"
[host.box]
cores = 1
[service.web]
host = "box"
[pool.pg]
service = "web"
database = "db"
[database.db]
host = "box"
rtt = "2ms"
connect = "4ms"
[cache.redis]
host = "box"
rtt = "2ms"
command = "1ms"
[keys.k]
count = 1
[operation.read]
share = 1
flow = [
  { cache = { in = "redis", keys = "k" } },
  { query = { pool = "pg", read = "10ms" } },
  { cpu = "10ms" },
]
"#;

#[test]
fn a_machine_that_stops_comes_back_cold() {
    let stop = |what: &str| {
        run(BOX, &[&format!("fault.f={{target='host.box', what='{what}', at='2500ms', for='2s'}}")])
    };
    let ran = stop("stop");
    // Those of 3 and 4 s find nobody; the cache has forgotten its key, the pool its connections.
    assert_eq!((ran.failed(Failure::InstanceLost), ran.ok()), (2, 8));
    assert_eq!(ran.count("cache.redis", Counter::Misses), 2);
    assert_eq!(ran.count("pool.pg", Counter::Opened), 2);
    assert_eq!(stop("restart").outcome.digest, ran.outcome.digest);
    // A cache that stops by itself forgets nothing, also beside a machine that does.
    let beside = "fault.f={target=['host.box', 'cache.far'], what='stop', at='2500ms', for='2s'}";
    let far = "[cache.far]\n[keys.far]\ncount = 1\n";
    let flow =
        "operation.read.flow=[{cache={in='redis', keys='k'}}, {cache={in='far', keys='far'}}]";
    let ran = run(&format!("{BOX}{far}"), &[flow, beside]);
    let misses = ["cache.redis", "cache.far"].map(|it| ran.count(it, Counter::Misses));
    assert_eq!(misses, [2, 1]);
}

#[test]
fn a_slow_machine_slows_whatever_computes_there() {
    let each = |sets: &[&str]| run(BOX, &[&["run.start.caches=warm"], sets].concat()).shortest();
    let slow = "fault.f={target='host.box', what={slow=3}}";
    assert_eq!((each(&[]), each(&[slow])), (ms(2 + 1 + 2 + 10 + 10), ms(4 + 3 * 21)));
    // Others too: 100 pieces a second of 1 ms keep a core busy for a tenth of the time.
    let others = "host.box.others=[{rate='100/s', cpu='1ms'}]";
    let flow = "operation.read.flow=[{reply='0B'}]";
    let busy = |sets: &[&str]| {
        run(BOX, &[&[others, flow, "run.duration=100s"], sets].concat())
            .station("host.box")
            .busy_mean
    };
    assert!((busy(&[]) - 0.1).abs() < 0.01 && (busy(&[slow]) - 0.3).abs() < 0.03);
    // Cut off, its parts reach each other, and users do not reach them.
    let cut = "fault.f={target='host.box', what='cut', at='2900ms', for='500ms'}";
    assert_eq!(run(BOX, &[cut, "run.start.caches=warm"]).longest(), ms(25 + 600));
}

#[test]
fn a_store_that_errs_is_asked_again_soon() {
    let text = "[service.web]\n[store.s3]\nput = '100ms'\nbandwidth = '80Mbit/s'\n\
                [operation.up]\nshare = 1\nflow = [{ put = { in = 's3', bytes = '1MB' } }]\n";
    let with = |what: &str| run(text, &[&format!("fault.f={{target='store.s3', {what}}}")]);
    let down = with("what='stop', at='2500ms', for='3s'");
    assert_eq!((down.failed(Failure::UpstreamError), down.ok()), (3, 7));
    // Three attempts, and between them parts of 200 and 400 ms.
    assert_eq!(down.count("store.s3", Counter::Errors), 9);
    assert_eq!(down.count("store.s3", Counter::Retried), 6);
    let longest = down.outcome.failed_latency.max().expect("three have failed");
    assert!(longest <= ms(200 + 400) && longest >= ms(40), "{longest:?}");
    assert_eq!(with("what={slow=3}").each(), ms(600));
    let flaky = with("what={flaky='50%'}");
    assert!(flaky.count("store.s3", Counter::Errors) > 2 && flaky.ok() >= 6);
}

#[test]
fn a_queue_that_is_cut_off_gets_its_jobs_late() {
    let text = "[service.web]\n[queue.q]\n[job.j]\nqueue = 'q'\nwork = '100ms'\n\
                [operation.work]\nshare = 1\nflow = [{ enqueue = { job = 'j' } }]\n";
    let wait = "operation.work.flow=[{enqueue={job='j', wait=true}}]";
    let cut = |sets: &[&str], from: &str, lasts: &str| {
        let fault = format!(
            "fault.f={{target='queue.q', what={{cut={{{from}}}}}, at='2900ms', for='{lasts}'}}"
        );
        run(text, &[&[fault.as_str()], sets].concat())
    };
    // `queue.add` of 3 s answers after three repetitions.
    assert_eq!(cut(&[], "", "500ms").longest(), ms(600));
    assert_eq!(cut(&[wait], "", "500ms").longest(), ms(600 + 100));
    assert_eq!(cut(&[], "from='service.web'", "500ms").longest(), ms(600));
    // The job of 3 s is done in time, and nobody hears of it before the network heals.
    let fault = "fault.f={target='queue.q', what='cut', at='3050ms', for='500ms'}";
    assert_eq!(run(text, &[wait, fault]).longest(), ms(100 + 600));
    let for_ever = "fault.f={target='queue.q', what='cut', at='0s'}";
    let ran = run(text, &[for_ever, "run.duration=1100s", "arrivals.rate=0.01/s"]);
    assert_eq!((ran.failed(Failure::Unreachable), ran.each_failed()), (1, ms(924_600)));
    assert_eq!(ran.count("queue.q", Counter::Arrivals), 0);
}

fn topic(fault: &str, sets: &[&str]) -> Ran {
    run(TOPIC, &[&[format!("fault.f={{{fault}}}").as_str()], sets].concat())
}

#[test]
fn producers_try_again_while_brokers_are_down() {
    let ran = topic("target='stream.s', what='stop', at='2900ms', for='1500ms'", &[]);
    // That of 3 s finds nobody; 300, 600 and 1,200 ms bring it beyond 4.4 s, each a fifth more or less than
    // twice the one before, whatever that was.
    assert_eq!(ran.ok(), 10);
    let longest = ran.longest();
    assert!(longest > ms(1400) && longest < ms(3_300), "{longest:?}");
    assert!((5..=6).contains(&ran.count("stream.s", Counter::Retried)));
    assert_eq!(ran.count("consumer.c", Counter::Served), 10);
    // After five more attempts `send` throws.
    let ran = topic("target='stream.s', what='stop', at='0s'", &["run.duration=100s"]);
    assert!(ran.ok() == 0 && ran.failed(Failure::Unreachable) >= 88);
    let took = ran.outcome.failed_latency.mean_s().expect("all have failed");
    assert!((took - 9.3).abs() < 0.7, "{took}");
    // Spreads add up: with a fifth of 300 x 2^n each, all would take 7.44 to 11.16 s; so do three of five.
    let (shortest, longest) = (ran.outcome.failed_latency.min(), ran.outcome.failed_latency.max());
    assert!(shortest < Some(ms(7_000)) && longest > Some(ms(12_000)), "{shortest:?} {longest:?}");
    assert_eq!(topic("target='stream.s', what={slow=3}", &[]).each(), ms(9));
}

#[test]
fn consumers_that_are_cut_off_are_out_when_their_session_ends() {
    // From 2.95 to 4.95 s: messages of 3 and 4 s wait, and one is at work when the cut begins.
    let cut = "target='consumer.c', what='cut', at='3050ms', for='1900ms'";
    let ran = topic(cut, &["run.duration=20s"]);
    let of = |ran: &Ran, counter| ran.count("consumer.c", counter);
    assert_eq!((of(&ran, Counter::Wasted), of(&ran, Counter::Retried)), (0, 0));
    assert_eq!(of(&ran, Counter::TimedOut), 0);
    // A session of one second ends meanwhile: what was done and not committed is done again.
    let short = ["run.duration=20s", "consumer.c.kafka={session='1s', heartbeat='100ms'}"];
    let out = topic(cut, &short);
    assert_eq!((of(&out, Counter::TimedOut), of(&out, Counter::Retried)), (1, 1));
    assert_eq!(of(&out, Counter::Wasted), 1);
    assert_eq!(of(&out, Counter::Served), of(&ran, Counter::Served));
    // Subscribers of a channel lose nothing that Redis can hold.
    let redis = "[service.web]\n[cache.r]\n[stream.s]\nkind.redis-pubsub = { cache = 'r' }\n\
                 [consumer.c]\nstream = 's'\nwork = '1ms'\n\
                 [operation.work]\nshare = 1\nflow = [{ publish = 's' }]\n";
    let fault = "fault.f={target='consumer.c', what='cut', at='2900ms', for='3s'}";
    let ran = run(redis, &[fault]);
    assert_eq!((of(&ran, Counter::Served), of(&ran, Counter::Lost)), (10, 0));
    let wait = ran.station("consumer.c").wait.max().expect("some have waited");
    assert!((ms(2890)..ms(2910)).contains(&wait), "the message of 3 s waits until 5.9 s: {wait:?}");
}

#[test]
fn a_socket_that_stops_drops_its_clients() {
    let text = "[arrivals]\nrate = '1/s'\nprocess = 'even'\nusers = 1\n[service.web]\n\
                [socket.chat]\nservice = 'web'\nconnections = 10\n\
                [operation.page]\nshare = 1\nflow = [{ cpu = '1ms' }]\n";
    let with = |what: &str| {
        let fault = format!("fault.f={{target='socket.chat', {what}}}");
        run(text, &["run.duration=30s", &fault])
    };
    let ran = with("what='stop', at='5s', for='3s'");
    assert_eq!(ran.count("socket.chat", Counter::Lost), 10);
    assert_eq!(ran.count("socket.chat", Counter::Opened), 20 - 10);
    assert!(ran.count("socket.chat", Counter::Errors) > 10, "they are refused until 8 s");
    let flaky = run(
        text,
        &[
            "run.duration=30s",
            "fault.a={target='socket.chat', what='stop', at='5s', for='1ms'}",
            "fault.b={target='socket.chat', what={flaky='50%'}}",
        ],
    );
    assert!((3..30).contains(&flaky.count("socket.chat", Counter::Errors)));
}
