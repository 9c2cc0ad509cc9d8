//! Object storage, and what usage costs.

use loadbearing::failure::Failure;
use loadbearing::result::Summary;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

const UPLOADS: &str = r#"
[service.web]
[store.s3]
put = "100ms"
get = "50ms"
bandwidth = "80Mbit/s"
price = { monthly = "$23", per_gb_out = "$0.09", per_million_puts = "$5", per_million_gets = "$0.4", source = "S3" }
[operation.up]
share = 1
flow = [{ put = { in = "s3", bytes = "1MB" } }]
"#;

fn with(flow: &str, sets: &[&str]) -> Ran {
    let flow = format!("operation.up.flow=[{{{flow}}}]");
    run(UPLOADS, &[&[flow.as_str()], sets].concat())
}

#[test]
fn an_object_takes_its_first_byte_and_its_transfer() {
    let put = |more: &str| with(&format!("put={{in='s3', bytes='1MB'{more}}}"), &[]);
    assert_eq!(put("").each(), ms(100 + 100));
    assert_eq!(put(", parts=4").each(), ms(100 + 100 + 25 + 100));
    // Begun, four parts, completed.
    assert_eq!(put(", parts=4").count("store.s3", Counter::Writes), 60);
    assert_eq!(put(", line='8Mbit/s'").each(), ms(100 + 1_000));
    assert_eq!(put(", line='8Gbit/s'").each(), ms(100 + 100));
    let get = "get={in='s3', bytes='2MB'}";
    let read = with(get, &[]);
    assert_eq!((read.each(), read.count("store.s3", Counter::Reads)), (ms(50 + 200), 10));
    assert_eq!(read.count("store.s3", Counter::Bytes), 20_000_000);
    assert_eq!(with(get, &["store.s3.bandwidth=160Mbit/s"]).each(), ms(50 + 100));
    let slower = ["store.s3.put=1s", "store.s3.get=2s"];
    assert_eq!((with(get, &slower).each(), run(UPLOADS, &slower).each()), (ms(2_200), ms(1_100)));
}

#[test]
fn an_object_is_cut_into_parts_that_go_side_by_side() {
    let put = |more: &str, sets: &[&str]| {
        with(&format!("put={{in='s3', bytes='1MB', part_size={more}}}"), sets)
    };
    // Begun, four parts at once, completed.
    assert_eq!(put("'250KB'", &[]).each(), ms(100 + 125 + 100));
    assert_eq!(put("'250KB', at_once=2", &[]).each(), ms(100 + 2 * 125 + 100));
    assert_eq!(put("'100KB'", &[]).each(), ms(100 + 3 * 110 + 100), "ten by fours");
    assert_eq!(put("'1MB'", &[]).each(), ms(200), "one part is a plain PUT");
    assert_eq!(put("'250KB'", &[]).count("store.s3", Counter::Writes), 60);
    // Four share the line.
    assert_eq!(put("'250KB', line='8Mbit/s'", &[]).each(), ms(100 + 1_100 + 100));
    let get = with("get={in='s3', bytes='2MB', parts=4}", &[]);
    assert_eq!((get.each(), get.count("store.s3", Counter::Reads)), (ms(50 + 50), 40));
    // Each request is tried again by itself: ten of which each fails once in ten times.
    let flaky = ["fault.f={target='store.s3', what={flaky='10%'}, at='0s'}", "arrivals.rate=100/s"];
    let failed = |attempts: &str| {
        let ran = put("'125KB'", &[&flaky[..], &[attempts]].concat());
        ran.failed(Failure::UpstreamError) as f64 / ran.offered() as f64
    };
    let once = failed("store.s3.attempts=1");
    assert!((once - (1.0 - 0.9f64.powi(10))).abs() < 0.05, "{once}");
    let thrice = failed("store.s3.attempts=3");
    assert!(thrice < 0.025, "{thrice}: each with one in a thousand");
}

#[test]
fn requests_share_a_bandwidth() {
    let shared = ["store.s3.shared=8Mbit/s", "arrivals.rate=0.1/s", "run.duration=95s"];
    let one = with("put={in='s3', bytes='1MB'}", &shared);
    assert_eq!(one.each(), ms(1_000 + 100));
    let two = "parallel=[[{put={in='s3', bytes='1MB'}}], [{get={in='s3', bytes='1MB'}}]]";
    assert_eq!(with(two, &shared).each(), ms(2_000 + 100));
    assert_eq!(with(two, &shared[1..]).each(), ms(200));
    // What one request carries by itself is still a bound.
    let wide = ["store.s3.shared=800Mbit/s", "arrivals.rate=0.1/s", "run.duration=95s"];
    assert_eq!(with("put={in='s3', bytes='1MB'}", &wide).each(), ms(100 + 100));
    let parts = with("put={in='s3', bytes='1MB', parts=4}", &shared);
    assert_eq!(parts.each(), ms(1_000 + 300));
}

#[test]
fn a_prefix_slows_down_what_is_more_than_its_rate() {
    let even = ["arrivals.rate=100/s", "arrivals.process=even", "store.s3.attempts=1"];
    let slowed = |flow: &str, more: &[&str]| {
        let ran = with(flow, &[&even[..], more].concat());
        ran.failed(Failure::SlowDown) as f64 / ran.offered() as f64
    };
    let (put, get) = ("put={in='s3', bytes='0B'}", "get={in='s3', bytes='0B'}");
    // 50 a second of 1,050 in 10.5 s, and a second's worth that had been saved.
    let half = slowed(put, &["store.s3.put_rate=50/s"]);
    assert!((half - (1_050.0 - 575.0) / 1_050.0).abs() < 0.01, "{half}");
    assert_eq!(slowed(get, &["store.s3.put_rate=50/s"]), 0.0);
    assert!((slowed(get, &["store.s3.get_rate=50/s"]) - half).abs() < 0.01);
    let spread = slowed(put, &["store.s3.put_rate=50/s", "store.s3.prefixes=4"]);
    assert!(spread < 0.01, "{spread}");
    let again = slowed(put, &["store.s3.put_rate=80/s", "store.s3.attempts=6"]);
    assert!(again < slowed(put, &["store.s3.put_rate=80/s"]) / 2.0, "{again}");
    let split = slowed(put, &["store.s3.put_rate=50/s", "store.s3.split_after=3s"]);
    assert!((split - half * 0.35).abs() < 0.1, "{split}: 3 of the 9.5 s");
}

/// Dollars a month of a line of the bill.
fn dollars(ran: &Ran, of: &str) -> f64 {
    let summary = Summary::new(&ran.model, std::slice::from_ref(&ran.outcome));
    summary.costs.iter().find(|line| line.of == of).expect(of).dollars_month
}

/// The measured 10.5 s go so often into a month.
const MONTHS: f64 = 730.0 * 3_600.0 / 10.5;

fn near(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < 1e-9
}

#[test]
fn usage_is_charged_by_what_was_used() {
    let puts = dollars(&run(UPLOADS, &[]), "store.s3");
    assert!(near(puts, 23.0 + 10e-6 * 5.0 * MONTHS), "{puts}");
    let gets = dollars(&with("get={in='s3', bytes='1MB'}", &[]), "store.s3");
    assert!(near(gets, 23.0 + (10e-6 * 0.4 + 0.01 * 0.09) * MONTHS), "{gets}");
    const PAGES: &str = r#"
[balancer.lb]
service = "web"
hop = "0ms"
price = { monthly = "$16", per_gb = "$1", per_million = "$2", per_lcu_hour = "$3", source = "ELB" }
[service.web]
instances = 4
price = { monthly = "$100", reserved = "$60", committed = 2 }
[price.nat]
what = "NAT gateway"
per_gb = "$0.045"
[price.zones]
what = "between zones"
monthly = "$1"
per_gb = "$0.02"
per_million = "$7"
of = "service.web"
share = "67%"
[operation.page]
share = 1
flow = [{ reply = "1MB" }]
"#;
    let cost = |of: &str, sets: &[&str]| dollars(&run(PAGES, sets), of);
    // 10 MB in 10.5 s are 3.4 GB an hour, and as many capacity units.
    let units = 0.01 / (10.5 / 3_600.0);
    let lb = 16.0 + (0.01 + 10e-6 * 2.0) * MONTHS + units * 730.0 * 3.0;
    assert!(near(cost("balancer.lb", &[]), lb), "{} {lb}", cost("balancer.lb", &[]));
    assert!(near(cost("price.nat", &[]), 0.01 * 0.045 * MONTHS));
    let zones = 1.0 + 0.67 * (0.01 * 0.02 + 10e-6 * 7.0) * MONTHS;
    assert!(near(cost("price.zones", &[]), zones));
    // Two are committed to, two on demand; what is committed to is paid for in any case.
    assert_eq!(cost("service.web", &[]), 2.0 * 60.0 + 2.0 * 100.0);
    assert_eq!(cost("service.web", &["service.web.price.committed=6"]), 360.0);
    assert_eq!(cost("service.web", &["service.web.price.committed=0"]), 400.0);
    assert_eq!(cost("service.web", &["service.web.price.reserved=$50"]), 300.0);
    let gone = "fault.f={target='service.web', what='stop', count=1, at='0s'}";
    assert_eq!(cost("service.web", &[gone]), 2.0 * 60.0 + 100.0);
    // A month's mean load is less than that of the hour that was measured; machines stay.
    let quiet = "run.mean_load=40%";
    assert!(near(cost("price.nat", &[quiet]), 0.4 * 0.01 * 0.045 * MONTHS));
    assert_eq!(cost("service.web", &[quiet]), 320.0);
}

#[test]
fn a_thousand_users_have_their_cost() {
    const USERS: &str = r#"
[users]
population = 500
think = "5s"
[service.web]
price = "$100"
[operation.page]
share = 1
flow = [{ cpu = "1ms" }]
"#;
    let each = |sets: &[&str]| {
        let ran = run(USERS, sets);
        let summary = Summary::new(&ran.model, std::slice::from_ref(&ran.outcome));
        summary.estimate("cost_per_thousand_users").estimate
    };
    assert_eq!(each(&[]), Some(200.0));
    assert_eq!(each(&["users.population=1000"]), Some(100.0));
}

#[test]
fn a_balancer_is_charged_for_what_went_through_it_by_the_hour() {
    const TWO: &str = r#"
[balancer.a]
service = "a"
hop = "0ms"
price = { per_lcu_hour = "$1" }
[balancer.b]
service = "b"
hop = "0ms"
price = { per_lcu_hour = "$1" }
[service.a]
[service.b]
[operation.a]
service = "a"
share = 0.5
next = [{ to = "b", share = "100%" }]
flow = [{ wait = "100ms" }, { reply = "1MB" }]
[operation.b]
service = "b"
share = 0.5
next = [{ to = "a", share = "100%" }]
flow = [{ wait = "100ms" }]
"#;
    // Units of a balancer, from a month of 730 hours of them.
    let units = |of: &str, sets: &[&str]| dollars(&run(TWO, sets), of) / 730.0;
    let (a, b) = (units("balancer.a", &[]), units("balancer.b", &[]));
    // Ten requests in 10.5 s, of which some are of a: a megabyte each. The others only were open.
    let per_request = 0.001 / (10.5 / 3_600.0);
    let of_a = (a / per_request).round();
    assert!(near(a, of_a * per_request) && (1.0..10.0).contains(&of_a), "{a} {of_a}");
    assert!(near(b, (10.0 - of_a) * 0.1 / 10.5 / 3_000.0), "{b} {of_a}");
    // Compared with 110 rules, ten of them free.
    let ruled = units("balancer.b", &["balancer.b.price.rules=110"]);
    assert!(near(ruled, (10.0 - of_a) / 10.5 * 100.0 / 1_000.0), "{ruled}");
    // Every user has a new connection.
    let new = units("balancer.b", &["client.connection={}", "arrivals.users=1_000_000"]);
    let opened = (new * 25.0 * 10.5).round();
    assert!(near(new, opened / 10.5 / 25.0) && opened >= 1.0, "{new}");
    // Sockets are open connections.
    let text =
        format!("{TWO}[socket.s]\nservice = 'b'\nconnections = 6_000\ntransport = 'websocket'\n");
    let sockets = dollars(&run(&text, &[]), "balancer.b") / 730.0;
    assert!((sockets - 2.0).abs() < 0.001, "{sockets}");
}

#[test]
fn each_hour_counts_by_what_was_most_in_it() {
    const ONE: &str = r#"
[balancer.lb]
service = "web"
hop = "0ms"
price = { per_lcu_hour = "$1", rules = 10 }
[service.web]
[operation.page]
share = 1
flow = [{ reply = "1MB" }]
"#;
    // In the first hour all requests fail: they are compared with rules, and carry nothing.
    let fails = "fault.f={target='service.web', what={flaky='100%'}, at='0s', for='1h'}";
    let hours = ["run.duration=2h", "run.window=10min", fails];
    let units = |rules: u32| {
        let rules = format!("balancer.lb.price.rules={rules}");
        dollars(&run(ONE, &[&hours[..], &[&rules]].concat()), "balancer.lb") / 730.0
    };
    let close = |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 0.01, "{found}");
    // 3.6 GB in the second hour; and half as much as that in the first, for its requests.
    close(units(10), 3.6 / 2.0);
    close(units(1_810), (1.8 + 3.6) / 2.0);
    // A user's connection is open between their requests, too.
    let kept = ["client.connection={}", "operation.page.flow=[{cpu='1ms'}]"];
    let open = dollars(&run(ONE, &[&hours[..2], &kept[..]].concat()), "balancer.lb") / 730.0;
    close(open, 1.0 / 3_000.0);
}

#[test]
fn a_presigned_url_is_good_for_a_while() {
    // Ten parts of 100 KB, one after another: begun at 100, 210, 320, 430 and 540 ms.
    let put = |more: &str, sets: &[&str]| {
        let part = "bytes='1MB', part_size='100KB', at_once=1";
        with(&format!("put={{in='s3', {part}{more}}}"), sets)
    };
    let expired = |ran: &Ran| ran.count("store.s3", Counter::Expired);
    let left = |ran: &Ran| ran.count("store.s3", Counter::Left);
    let all = put("", &[]);
    assert_eq!((all.each(), expired(&all), left(&all)), (ms(100 + 10 * 110 + 100), 0, 0));
    assert_eq!(put(", expires='2s'", &[]).each(), all.each());
    let short = put(", expires='500ms'", &[]);
    // The last of ten is not over when the run is.
    assert_eq!((short.failed(Failure::Answered), short.each_failed()), (9, ms(540)));
    // Four parts have arrived each time, and stay.
    assert_eq!((expired(&short), left(&short)), (10, 10 * 400_000));
    // Who gives up after 320 ms has sent two of them.
    let gives_up = put(", expires='2s'", &["client.patience=320ms"]);
    assert_eq!((gives_up.failed(Failure::GaveUp), left(&gives_up)), (10, 10 * 200_000));
    assert_eq!(left(&put("", &["client.patience=320ms"])), 0, "the service goes on");
    // A user who does something else before finds it too late.
    let late = |lasts: &str| {
        let flow = format!("{{put={{in='s3', bytes='1MB', expires='{lasts}'}}}}");
        run(UPLOADS, &[&format!("operation.up.flow=[{{wait='1s'}}, {flow}]")])
    };
    assert_eq!(late("1s").each(), ms(1_000 + 200));
    assert_eq!((late("999ms").each_failed(), expired(&late("999ms"))), (ms(1_000), 9));
    // S3 answers 403, which is no 5xx and is tried again by nobody who does not name it.
    let answered = |on: &str| {
        let retry = format!("client.retry.fixed={{on=[{on}], attempts=2, delay='1ms'}}");
        let flow = "operation.up.flow=[{wait='1s'}, {put={in='s3', bytes='1MB', expires='999ms'}}]";
        let ran = run(UPLOADS, &[flow, &retry]);
        (ran.failed(Failure::Answered), expired(&ran))
    };
    assert_eq!(answered("'5xx'"), (9, 9));
    assert_eq!(answered("403"), (8, 17));
}

#[test]
fn parts_of_what_was_never_completed_are_kept_and_paid_for() {
    let flaky = ["fault.f={target='store.s3', what={flaky='30%'}, at='0s'}", "arrivals.rate=20/s"];
    let left = |more: &str| {
        let put = format!("put={{in='s3', bytes='1MB', part_size='100KB'{more}}}");
        let ran = with(&put, &flaky);
        assert!(ran.failed(Failure::UpstreamError) > 10);
        ran.count("store.s3", Counter::Left)
    };
    // lib-storage aborts what has failed, unless it is told not to.
    assert_eq!(left(""), 0);
    assert!(left(", leave_parts=true") > 1_000_000);
    let price = |abort: &str| {
        let put = "put={in='s3', bytes='1MB', part_size='100KB', at_once=1, expires='500ms'}";
        let priced = |price: &str| {
            let price = format!("store.s3.price.per_gb_month={price}");
            dollars(&with(put, &[&price, abort]), "store.s3")
        };
        priced("$23") - priced("$0")
    };
    // 4 MB in 10.5 s, for half of the first month, or for seven days each.
    let gigabytes = 0.004 * MONTHS;
    let never = price("store.s3.put_rate=3_500/s");
    assert!(near(never, gigabytes * 0.5 * 23.0), "{never}");
    let week = price("store.s3.abort_incomplete=7day");
    assert!(near(week, gigabytes * 7.0 * 24.0 / 730.0 * 23.0), "{week}");
}

#[test]
fn a_store_is_looked_up_for_each_connection_that_is_opened() {
    let ran = |sets: &[&str]| run(UPLOADS, &[&["store.s3.lookup=30ms"], sets].concat());
    // An object takes 200 ms. The first opens a connection, which the second finds idle for 770 ms, and all
    // others for 800 ms.
    let kept = ran(&[]);
    assert_eq!((kept.shortest(), kept.longest()), (ms(200), ms(230)));
    assert_eq!(kept.count("service.web.threads", Counter::Served), 1);
    assert_eq!(ran(&["store.s3.keep_alive=769ms"]).each(), ms(230));
    let second = ran(&["store.s3.keep_alive=771ms"]);
    assert_eq!(
        second.count("service.web.threads", Counter::Served),
        5,
        "the others open one again"
    );
    // Ten users at once: four, four and two names at a time.
    let crowd = ["arrivals.rate=0/s", "arrivals.users=10", "arrivals.crowd={at='1s', users=10}"];
    let ten = |sets: &[&str]| {
        let ran = ran(&[&crowd[..], sets].concat());
        (ran.shortest(), ran.longest())
    };
    assert_eq!(ten(&[]), (ms(230), ms(290)));
    assert_eq!(ten(&["service.web.threads=10"]), (ms(230), ms(230)));
    assert_eq!(ten(&["service.web.threads=1"]), (ms(230), ms(500)));
    assert_eq!(ten(&["service.web.runtime=uvicorn", "service.web.threads=1"]), (ms(230), ms(230)));
    // Parts that go side by side have a connection each: 100 + 125 + 100 ms, and their names.
    let parts = |sets: &[&str]| {
        let flow = "operation.up.flow=[{put={in='s3', bytes='1MB', parts=4, line='8Gbit/s'}}]";
        ran(&[&[flow], sets].concat())
    };
    assert_eq!((parts(&[]).shortest(), parts(&[]).longest()), (ms(325), ms(355)));
    assert_eq!(parts(&["service.web.threads=1"]).longest(), ms(325 + 4 * 30));
    // Where all share a line they are idle when they are through it; and of a user's own nobody knows.
    let shared = ["store.s3.shared=40Mbit/s", "store.s3.keep_alive=701ms"];
    assert_eq!((ran(&shared).shortest(), ran(&shared).longest()), (ms(300), ms(330)));
    assert_eq!(ran(&["store.s3.shared=40Mbit/s", "store.s3.keep_alive=669ms"]).each(), ms(330));
    let own = "operation.up.flow=[{put={in='s3', bytes='1MB', expires='60s'}}]";
    assert_eq!(ran(&[own]).each(), ms(200));
    // A process that has died has none.
    let died = ran(&["fault.f={target='service.web', what='stop', at='4500ms', for='100ms'}"]);
    assert_eq!(died.count("service.web.threads", Counter::Served), 2);
}
