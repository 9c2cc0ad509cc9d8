//! Bulkheads, waiting rooms, concurrency limits and circuit breakers.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Ten requests a second of one second each, into two places.
const HELD: &str = r#"
[arrivals]
rate = "10/s"
process = "even"
[service.web]
before = ["bulkhead.b"]
[bulkhead.b]
limit.fixed = 2
[pool.pg]
service = "web"
database = "db"
size = 200
[database.db]
rtt = "0ms"
connect = "0ms"
cores = 1
cpu_share = "100%"
max_connections = 300
[operation.work]
share = 1
flow = [{ wait = "1s" }]
[operation.other]
share = 0
flow = [{ wait = "1s" }]
"#;

fn held(sets: &[&str]) -> Ran {
    run(HELD, sets)
}

#[test]
fn a_bulkhead_lets_so_many_in_at_once() {
    // Two in each second, from 0.1 s on; the last two are still there at 10.5 s.
    let ran = held(&[]);
    assert_eq!((ran.ok(), ran.failed(Failure::Shed)), (20, 105 - 22));
    assert_eq!(
        (ran.station("bulkhead.b").capacity, ran.station("bulkhead.b").busy_peak),
        (2.0, 2.0)
    );
    assert_eq!(held(&["bulkhead.b.limit.fixed=20"]).failed(Failure::Shed), 0);
    // Each worker has its own.
    assert_eq!(held(&["service.web.workers=3"]).station("bulkhead.b").busy_peak, 6.0);
    assert_eq!(held(&["service.web.before=[]"]).failed(Failure::Shed), 0);
    assert_eq!(held(&["bulkhead.b.except=['work']"]).failed(Failure::Shed), 0);
    assert!(held(&["bulkhead.b.except=['other']"]).failed(Failure::Shed) > 0);
}

#[test]
fn a_place_is_held_for_the_steps_within() {
    let flow = "operation.work.flow=[{bulkhead={of='b', flow=[{wait='100ms'}]}}, {wait='900ms'}]";
    let ran = held(&["service.web.before=[]", flow]);
    assert_eq!(ran.failed(Failure::Shed), 0);
    assert!((ran.station("bulkhead.b").busy_mean - 1.0).abs() < 0.05);
    let one =
        held(&["service.web.before=[]", flow, "bulkhead.b.limit.fixed=1", "arrivals.rate=20/s"]);
    assert!((one.failed(Failure::Shed) as f64 / one.offered() as f64 - 0.5).abs() < 0.02);
}

#[test]
fn a_refusal_of_a_bulkhead_is_answered_as_said() {
    let retried = |respond: &str| {
        let retry = "client.retry={fixed={on=[429], delay='10s', jitter='0%', attempts=2}}";
        held(&[retry, respond]).outcome.attempts.sent > 105
    };
    assert!(retried("bulkhead.b.respond={status=429, retry_after='1s'}"));
    assert!(!retried("bulkhead.b.respond={status=503}"));
}

#[test]
fn a_queue_has_a_size_and_a_timeout() {
    let queue = |queue: &str| held(&[&format!("bulkhead.b.queue={queue}"), "arrivals.rate=2/s"]);
    assert_eq!(queue("{}").failed(Failure::Shed), 0);
    let overloaded = |queue: &str| held(&[&format!("bulkhead.b.queue={queue}")]);
    let bounded = overloaded("{size=4}");
    // The places, then a full queue: each waits 2 s before its second inside.
    assert_eq!(bounded.station("bulkhead.b").waiting_peak, 4);
    assert!(bounded.longest() > ms(2_700) && bounded.longest() <= ms(3_000));
    assert_eq!(bounded.count("bulkhead.b", Counter::TimedOut), 0);
    let impatient = overloaded("{timeout='500ms'}");
    assert!(impatient.count("bulkhead.b", Counter::TimedOut) > 60);
    assert!(impatient.longest() <= ms(1_500));
    assert_eq!(impatient.count("bulkhead.b", Counter::Rejected), 0);
}

#[test]
fn the_order_of_a_queue_decides_who_waits() {
    let waits = |order: &str| {
        let ran = held(&[&format!("bulkhead.b.queue={{order={order}}}")]);
        (ran.longest(), ran.mean_s())
    };
    let (fifo, lifo) = (waits("'fifo'"), waits("'lifo'"));
    assert!(fifo.1 > 4.0, "{fifo:?}: all wait alike, longer and longer");
    assert!(lifo.1 < 1.2 && lifo.0 < ms(1_200), "{lifo:?}: the newest hardly wait");
    assert_eq!(waits("'adaptive-lifo'").0, lifo.0, "there is a backlog from the start");
    assert_eq!(waits("{adaptive-lifo={backlog='1h'}}"), fifo);
}

#[test]
fn a_queue_is_shed_by_its_waits() {
    let fate = |shed: &str| {
        let ran = held(&[&format!("bulkhead.b.queue={{shed={shed}}}"), "run.duration=60s"]);
        (ran.longest(), ran.count("bulkhead.b", Counter::TimedOut))
    };
    // CoDel drops at the head, slowly at first; controlled delay when a wait has been too long.
    let codel = fate("'codel'");
    let lax = fate("{codel={target='5s', interval='100ms'}}");
    assert!(codel.1 > 300, "{codel:?}");
    assert!(lax.0 > codel.0 + ms(1_000), "{lax:?} {codel:?}");
    assert!(fate("{codel={target='5ms', interval='20s'}}").1 < codel.1);
    let delay = fate("'controlled-delay'");
    assert!(delay.0 <= ms(1_100) && delay.1 > 450, "{delay:?}");
    let slow = fate("{controlled-delay={target='500ms', interval='2s'}}");
    assert!(slow.0 > ms(1_400) && slow.0 <= ms(3_000), "{slow:?}");
}

#[test]
fn a_series_of_codel_soon_after_another_goes_on_where_that_was() {
    // 500 at once, one place, 1 ms each: all wait longer than 5 ms from 5 ms on, so the first is dropped at
    // 106 ms, and others 100/sqrt(1), 100/sqrt(2) ... later: at 206, 277, 335, 385, 430 and 470 ms, before
    // the last is taken at 492 ms. A second later the first goes at 106 ms again, and as there were six
    // since the first, the next ones after 100/sqrt(6), 100/sqrt(7) ...: at 147, 185, 220, 254, 285, 316,
    // 344, 372, 399, 425, 450 and 474 ms; the last is taken at 486 ms.
    let crowds = |duration: &str| {
        let ran = held(&[
            "arrivals={process='even', rate='1/s', users=500, batch=500}",
            "operation.work.flow=[{wait='1ms'}]",
            "bulkhead.b.limit.fixed=1",
            "bulkhead.b.queue={shed={codel={target='5ms', interval='100ms'}}}",
            duration,
        ]);
        (ran.count("bulkhead.b", Counter::TimedOut), ran.longest())
    };
    assert_eq!(crowds("run.duration=1900ms"), (7, ms(493)));
    assert_eq!(crowds("run.duration=2900ms"), (7 + 13, ms(493)));
}

/// Users who wait 2 s on average: first come, first served, places are given to those who have gone.
#[test]
fn those_who_have_gone_are_passed_over_where_the_server_knows() {
    let run = |expired: bool| {
        let queue = format!("bulkhead.b.queue={{drop_expired={expired}}}");
        let flow = "operation.work.flow=[{wait='100ms'}]";
        let load = ["arrivals.rate=40/s", "client.patience={exponential='2s'}"];
        held(&[&load[..], &[flow, &queue]].concat())
    };
    let (blind, told) = (run(false), run(true));
    assert!(told.ok() > blind.ok() + 20, "{} {}", told.ok(), blind.ok());
    assert!(told.count("bulkhead.b", Counter::TimedOut) > 50);
}

#[test]
fn low_priority_gives_way_first() {
    let mixed = ["operation.other.share=1", "bulkhead.b.limit.fixed=10", "arrivals.rate=20/s"];
    let failed = |sets: &[&str], name: &str| {
        let ran = held(&[&mixed[..], sets].concat());
        let (id, _) =
            ran.model.operations.enumerate().find(|(_, it)| it.name == name).expect("there");
        let tally = &ran.outcome.operations[id];
        tally.failed as f64 / tally.offered as f64
    };
    let low = "bulkhead.b.low=[{operations=['other'], share='50%'}]";
    assert!((failed(&[], "work") - failed(&[], "other")).abs() < 0.15);
    assert!(failed(&[low], "work") < 0.25, "{}", failed(&[low], "work"));
    assert!(failed(&[low], "other") > 0.6, "{}", failed(&[low], "other"));
    let all = "bulkhead.b.low=[{operations=['other'], share='10%'}]";
    assert!(failed(&[all], "other") > failed(&[low], "other"));
}

/// More requests than a database of one core serves: each takes 18 ms times how many there are.
fn limited(limit: &str, sets: &[&str]) -> Ran {
    let flow = "operation.work.flow=[{query={pool='pg', read='18ms'}}]";
    let limit = format!("bulkhead.b.limit={limit}");
    let load = ["arrivals.rate=100/s", "run.duration=60s", flow, &limit];
    held(&[&load[..], sets].concat())
}

/// The limit on average over the last 30 s.
fn limit_at_last(ran: &Ran) -> f64 {
    let held = ran.held("bulkhead.b");
    held[30..].iter().sum::<f64>() / (held.len() - 30) as f64
}

#[test]
fn a_limit_by_additive_increase_moves_within_its_bounds() {
    let at = |spec: &str| limit_at_last(&limited(&format!("{{aimd={{{spec}}}}}"), &[]));
    assert!((at("max=40") - 40.0).abs() < 1.0, "{}", at("max=40"));
    // 25 at once take 450 ms.
    let slow = at("initial=1, min=1, slow='450ms'");
    assert!((15.0..30.0).contains(&slow), "{slow}");
    assert!(at("initial=1, min=1, slow='900ms'") > slow + 10.0);
    assert!(at("initial=1, min=1, slow='450ms', backoff='50%'") < slow);
    assert_eq!(at("initial=30, min=30, slow='1ms'"), 30.0);
}

#[test]
fn a_limit_learns_from_times_to_the_tick_and_not_from_errors() {
    let at = |slow: &str, flow: &str| {
        let limit = format!("bulkhead.b.limit.aimd={{initial=1, min=1, slow='{slow}'}}");
        let ran = held(&["arrivals.rate=5/s", "run.duration=60s", flow, &limit]);
        assert_eq!(ran.count("bulkhead.b", Counter::Rejected), 0);
        limit_at_last(&ran)
    };
    // One at a time, each 100 ms: it is half of a limit of 2, and less of 3. What is slower than it may
    // be leaves the least.
    let fine = "operation.work.flow=[{wait='100ms'}]";
    assert_eq!((at("100ms", fine), at("99ms", fine)), (3.0, 1.0));
    // An answer that failed by itself says nothing of who has room: neither more nor less.
    let fails = "operation.work.flow=[{query={pool='pg', read='100ms', fail='100%'}}]";
    assert_eq!(at("100ms", fails), 1.0);
}

#[test]
fn a_limit_after_vegas_keeps_the_queue_short() {
    let at = |spec: &str| limit_at_last(&limited(&format!("{{vegas={{{spec}}}}}"), &[]));
    // Between 3 and 6 more than a single one needs.
    let found = at("initial=1, probe=1000000");
    assert!((3.0..9.0).contains(&found), "{found}");
    assert_eq!(at("initial=2, max=2"), 2.0);
    assert!(at("initial=50, probe=1000000") < 12.0);
    assert!(at("initial=50, probe=1") > 12.0, "a queue that is taken for the best there is");
}

#[test]
fn a_limit_by_gradient_moves_by_its_queue() {
    let at = |spec: &str| limit_at_last(&limited(&format!("{{gradient2={{{spec}}}}}"), &[]));
    let usual = at("");
    assert!(usual > 20.0, "{usual}");
    assert_eq!(at("max=25"), 25.0);
    assert_eq!(at("min=60, initial=60, max=60"), 60.0);
    assert!(at("queue=0, initial=30, min=10") <= 30.0);
    let early =
        |spec: &str| limited(&format!("{{gradient2={{{spec}}}}}"), &[]).held("bulkhead.b")[1];
    let free = "tolerance=100.0";
    assert!(
        early(&format!("smoothing='100%', {free}")) > early(&format!("smoothing='1%', {free}"))
    );
    assert!(at("tolerance=1.0") <= at("tolerance=3.0"));
    assert!(early("window=2, tolerance=1.0, min=1") != early("window=10000, tolerance=1.0, min=1"));
}

/// Ten requests a second whose call fails.
const CALLED: &str = r#"
[arrivals]
rate = "10/s"
process = "even"
[service.web]
[pool.pg]
service = "web"
database = "db"
size = 50
[database.db]
rtt = "0ms"
connect = "0ms"
[breaker.b]
[operation.work]
share = 1
flow = [{ breaker = { through = "b", flow = [{ query = { pool = "pg", read = "10ms", fail = "100%" } }] } }]
"#;

fn called(sets: &[&str]) -> Ran {
    run(CALLED, sets)
}

fn flow(more: &str, steps: &str) -> String {
    format!(
        "operation.work.flow=[{{breaker={{through='b', flow=[{steps}]{more}}}}}, {{cpu='1ms'}}]"
    )
}

const FAILING: &str = "{query={pool='pg', read='10ms', fail='100%'}}";

#[test]
fn a_breaker_opens_and_fails_fast() {
    let ran = called(&[]);
    // opossum opens at the first failure; in 30 s nothing else is called.
    assert_eq!((ran.failed(Failure::QueryError), ran.failed(Failure::BreakerOpen)), (1, 104));
    assert_eq!(ran.count("breaker.b", Counter::Opened), 1);
    let fine = called(&[&flow("", "{query={pool='pg', read='10ms'}}")]);
    assert_eq!((fine.ok(), fine.each()), (104, ms(11)), "the last is on its way");
    // Each worker learns by itself, and anew when it is started again: here between two requests.
    assert_eq!(called(&["service.web.workers=3"]).failed(Failure::QueryError), 3);
    let restart = "fault.f={target='service.web', what='stop', at='5050ms', for='20ms'}";
    let again = called(&[restart]);
    assert_eq!((again.failed(Failure::QueryError), again.failed(Failure::BreakerOpen)), (2, 103));
    assert_eq!(again.count("breaker.b", Counter::Opened), 2);
}

#[test]
fn a_fallback_takes_the_place_of_a_failed_call() {
    let ran = called(&[&flow(", fallback=[{wait='5ms'}]", FAILING)]);
    assert_eq!(ran.ok(), 104);
    assert_eq!((ran.longest(), ran.shortest()), (ms(16), ms(6)));
    // A connection that was held before is still held, one of the call is not.
    let inner = "{transaction={pool='pg', flow=[{breaker={through='b', flow=[{query={pool='pg', read='10ms', fail='100%'}}], fallback=[{query={pool='pg', read='3ms'}}]}}]}}";
    let ran = called(&[&format!("operation.work.flow=[{inner}]")]);
    assert_eq!((ran.ok(), ran.shortest()), (104, ms(3)));
    assert!(ran.station("pool.pg").busy_peak <= 2.0);
}

#[test]
fn a_call_that_takes_too_long_has_failed() {
    let slow = flow("", "{wait='2s'}");
    let ran = called(&[&slow, "breaker.b.timeout=500ms"]);
    // The first fails at 0.6 s, and is one of five; at 1.0 s it is five of nine.
    assert_eq!(ran.failed(Failure::BreakerTimeout), 9);
    assert_eq!(ran.failed(Failure::BreakerOpen), 96);
    let patient = called(&[&slow]);
    assert!(patient.ok() > 80 && patient.failed(Failure::BreakerTimeout) == 0, "10 s by default");
}

#[test]
fn opossum_has_its_options() {
    let with = |options: &str, sets: &[&str]| {
        called(&[&[format!("breaker.b.product.opossum={{{options}}}").as_str()], sets].concat())
    };
    let failures = |options: &str| with(options, &[]).failed(Failure::QueryError);
    assert_eq!(failures("volume=10"), 10);
    assert_eq!(failures("reset='1s'"), 10, "one trial a second");
    assert_eq!(failures("reset='2s'"), 5);
    assert_eq!(failures("threshold='100%'"), 104, "more than all cannot fail");
    // One in two fails.
    let half = flow("", "{query={pool='pg', read='10ms', fail='50%'}}");
    let opened = |options: &str| with(options, &[&half]).count("breaker.b", Counter::Opened);
    assert!(opened("threshold='90%', volume=20") == 0 && opened("threshold='20%', volume=5") > 0);
    // With a short window the volume is never reached.
    assert_eq!(with("volume=15, window='1s'", &[]).count("breaker.b", Counter::Opened), 0);
    assert_eq!(with("volume=15, window='2s'", &[]).count("breaker.b", Counter::Opened), 1);
    // Ten failures from 1.5 s on are more than half of the last two seconds, but a single bucket is
    // emptied at 2 s, between the first five and the others.
    let spell = [
        flow("", "{query={pool='pg', read='10ms'}}"),
        "fault.f={target='database.db', what={flaky='100%'}, at='1450ms', for='1s'}".into(),
    ];
    let spell = spell.each_ref().map(String::as_str);
    let opens = |buckets: u32| {
        let options = format!("volume=10, window='2s', buckets={buckets}");
        with(&options, &spell).count("breaker.b", Counter::Opened)
    };
    assert_eq!((opens(10), opens(1)), (1, 0));
    // Buckets begin with their process: of one from 0.5 s on ten have failed by 2.5 s, as many as have not.
    let restart = "fault.again={target='service.web', what='stop', at='450ms', for='50ms'}";
    let opens = |more: &[&str]| {
        let options = "threshold='40%', volume=10, window='2s', buckets=1";
        with(options, &[&spell[..], more].concat()).count("breaker.b", Counter::Opened)
    };
    assert_eq!((opens(&[]), opens(&[restart])), (0, 1));
    assert_eq!(with("volume=11, window='1500ms', buckets=1", &[]).failed(Failure::QueryError), 11);
    let full = with("capacity=2", &[&flow("", "{wait='1s'}")]);
    assert!(
        full.failed(Failure::BreakerOpen) > 90,
        "rejections for lack of room count as failures"
    );
}

#[test]
fn resilience4j_has_its_options() {
    let with = |options: &str, sets: &[&str]| {
        let product = format!("breaker.b.product={{resilience4j={{{options}}}}}");
        called(&[&[product.as_str()], sets].concat())
    };
    let failures = |options: &str| with(options, &[]).failed(Failure::QueryError);
    assert_eq!(failures(""), 100, "not before a hundred calls");
    assert_eq!(failures("volume=10"), 10);
    assert_eq!(
        failures("window=7, window_type='count-based'"),
        7,
        "no more than the window holds are needed"
    );
    // Ten trials, then again; one that comes after the wait begins them.
    assert_eq!(failures("volume=10, reset='2s', trials=3"), 10 + 4 * 3);
    assert_eq!(failures("volume=10, reset='2s', trials=1"), 10 + 4);
    // Two results are enough where two were before.
    assert_eq!(failures("volume=2, reset='2s', trials=3"), 2 + 4 * 2);
    // A second has ten calls: two seconds never hold twenty-five, and three do.
    assert_eq!(failures("volume=25, window=2, window_type='time-based'"), 104);
    assert_eq!(failures("volume=25, window=3, window_type='time-based'"), 25);
    let half = flow("", "{query={pool='pg', read='10ms', fail='50%'}}");
    let opened = |options: &str| with(options, &[&half]).count("breaker.b", Counter::Opened);
    assert!(opened("threshold='90%', volume=20") == 0 && opened("threshold='20%', volume=20") > 0);
    let slow = flow("", "{wait='200ms'}");
    let opened = |options: &str| with(options, &[&slow]).count("breaker.b", Counter::Opened);
    assert_eq!(opened("volume=10"), 0);
    assert_eq!(opened("volume=10, slow='100ms'"), 1);
    let mixed = flow("", "{wait={uniform=['50ms', '150ms']}}");
    let opened = |options: &str| with(options, &[&mixed]).count("breaker.b", Counter::Opened);
    assert_eq!(opened("volume=20, slow='100ms'"), 0, "half are slow, not all");
    assert_eq!(opened("volume=20, slow='100ms', slow_threshold='20%'"), 1);
}
