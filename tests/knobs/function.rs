//! Functions: environments, their limits, their price, and what they do to a database.

use loadbearing::failure::Failure;
use loadbearing::result::cost_month;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

const FLOW: &str = "[{ cpu = '10ms' }, { wait = '90ms' }]";

/// A function with a core, whose environments start in 300 ms.
fn api(flow: &str, sets: &[&str]) -> Ran {
    let text = format!(
        "[region.here]\n[service.api]\n[service.api.function]\nmemory = '1769MiB'\ninit = '300ms'\n\
         [operation.work]\nshare = 1\nflow = {flow}\n"
    );
    run(&text, sets)
}

const EXECUTIONS: &str = "service.api.executions";

#[test]
fn a_request_that_finds_no_idle_environment_waits_for_one() {
    let ran = api(FLOW, &[]);
    assert_eq!((ran.longest(), ran.shortest()), (ms(400), ms(100)), "the first one waits");
    assert_eq!(ran.count("service.api", Counter::Opened), 1);
    let slow = api(FLOW, &["service.api.function.init=500ms"]);
    assert_eq!((slow.longest(), slow.shortest()), (ms(600), ms(100)));
    // An environment that is gone after half a second serves nobody twice.
    let forgetful = api(FLOW, &["service.api.function.idle=500ms"]);
    assert_eq!(forgetful.each(), ms(400));
    assert_eq!(forgetful.count("service.api", Counter::Opened), 10);
    assert_eq!(forgetful.count("service.api", Counter::Closed), 9);
    let patient = api(FLOW, &["service.api.function.idle=950ms"]);
    assert_eq!(patient.count("service.api", Counter::Opened), 1);
}

#[test]
fn memory_gives_cores() {
    let half = api(FLOW, &["service.api.function.memory=884.5MiB"]);
    assert_eq!(half.shortest(), ms(110));
    let tenth = api(FLOW, &["service.api.function.memory=176.9MiB"]);
    assert_eq!(tenth.shortest(), ms(190));
    let more = api(FLOW, &["service.api.function.memory=3538MiB"]);
    assert_eq!(more.shortest(), ms(100), "one thread computes on one core");
}

#[test]
fn an_execution_that_takes_too_long_takes_its_environment_with_it() {
    let flow = "[{ wait = '5s' }]";
    let usual = api(flow, &[]);
    assert_eq!(usual.each_failed(), ms(3_300));
    assert_eq!(usual.failed(Failure::InstanceLost), usual.count(EXECUTIONS, Counter::TimedOut));
    let short = api("[{ wait = '500ms' }]", &["service.api.function.timeout=400ms"]);
    assert_eq!(short.each_failed(), ms(700), "none is left to be used again");
    let long = api("[{ wait = '500ms' }]", &["service.api.function.timeout=600ms"]);
    assert_eq!(long.count(EXECUTIONS, Counter::TimedOut), 0);
}

#[test]
fn executions_at_once_are_bounded_by_what_is_reserved_or_the_account() {
    let flow = "[{ wait = '2500ms' }]";
    let free = api(flow, &[]);
    assert_eq!(free.failed(Failure::Limited), 0);
    // Requests at 1 s and 2 s are served until 3.8 s and 4.8 s, so that the one at 3 s is throttled.
    for set in ["service.api.function.reserved=2", "region.here.functions=2"] {
        let bounded = api(flow, &[set]);
        assert_eq!(bounded.station(EXECUTIONS).busy_peak, 2.0, "{set}");
        assert_eq!(bounded.failed(Failure::Limited), 3, "{set}: at 3 s, 6 s and 9 s");
        assert_eq!(bounded.count(EXECUTIONS, Counter::Rejected), 3);
    }
}

#[test]
fn environments_kept_ready_start_for_nobody() {
    let ready =
        api(FLOW, &["service.api.function.provisioned=1", "service.api.function.idle=500ms"]);
    assert_eq!(ready.each(), ms(100));
    assert_eq!(ready.count("service.api", Counter::Opened), 0);
    // Whoever finds it busy waits for another.
    let busy = api("[{ wait = '1500ms' }]", &["service.api.function.provisioned=1"]);
    assert_eq!((busy.longest(), busy.shortest()), (ms(1_800), ms(1_500)));
}

#[test]
fn environments_start_no_faster_than_the_scaling_rate() {
    let many = ["arrivals={rate='100/s',process='even'}", "run.duration=1s"];
    let free = api("[{ wait = '2s' }]", &many);
    assert_eq!(free.count(EXECUTIONS, Counter::Rejected), 0);
    let slow =
        api("[{ wait = '2s' }]", &[&many[..], &["service.api.function.scaling=20"]].concat());
    let came = slow.count(EXECUTIONS, Counter::Arrivals);
    let started = came - slow.count(EXECUTIONS, Counter::Rejected);
    assert_eq!(started, 20 + 1, "twenty at once, then two a second");
}

#[test]
fn an_execution_is_charged_by_the_started_millisecond() {
    let price = "service.api.function.price={ gb_second = '$0.001', per_million = '$3', \
                 provisioned_gb_second = '$0.0001', source = 'a page' }";
    let month = 730.0 * 3_600.0;
    let gigabytes = 1_769.0 / 1_024.0;
    let cost = |ran: &Ran| cost_month(&ran.model, &ran.outcome);
    // 90 ms and a half are charged as 91.
    let ran = api("[{ wait = '90500us' }]", &[price]);
    let seconds = (10.0 * 0.091 + 0.300) / 10.5;
    let expected = month * (seconds * gigabytes * 0.001 + 10.0 / 10.5 * 3e-6);
    assert!((cost(&ran) - expected).abs() < 1e-6 * expected, "{} for {expected}", cost(&ran));
    assert_eq!(ran.count(EXECUTIONS, Counter::BilledMillis), 1_210);
    assert_eq!(ran.model.costs[0].source.as_deref(), Some("a page"));
    let ready = api("[{ wait = '90500us' }]", &[price, "service.api.function.provisioned=2"]);
    let kept = month * gigabytes * 2.0 * 0.0001;
    let expected = expected - month * 0.300 / 10.5 * gigabytes * 0.001 + kept;
    assert!((cost(&ready) - expected).abs() < 1e-6 * expected, "{} for {expected}", cost(&ready));
    // Who is throttled is not charged: seven of ten run, one for each 2.5 s.
    let per_million = "service.api.function.price={ gb_second = '$0', per_million = '$3', \
                       provisioned_gb_second = '$0', source = 'a page' }";
    let bounded = api("[{ wait = '2500ms' }]", &[per_million, "service.api.function.reserved=2"]);
    let expected = month * 7.0 / 10.5 * 3e-6;
    assert!((cost(&bounded) - expected).abs() < 1e-6 * expected, "{}", cost(&bounded));
}

/// A function with a pool, and the same as a process that stays.
fn with_pool(service: &str, sets: &[&str]) -> Ran {
    let text = format!(
        "{service}\n[pool.pg]\nservice = 'api'\ndatabase = 'main'\nidle_timeout = '100ms'\n\
         [database.main]\nconnect = '0ms'\nrtt = '0ms'\n[operation.work]\nshare = 1\n\
         flow = [{{ query = {{ pool = 'pg', read = '10ms' }} }}, {{ wait = '1500ms' }}]\n"
    );
    run(&text, sets)
}

#[test]
fn a_frozen_environment_keeps_its_connection_and_each_has_its_own() {
    let stays = with_pool("[service.api]", &[]);
    assert!(stays.station("pool.pg").held_mean < 0.2, "closed after a tenth of a second");
    let function = with_pool("[service.api.function]\ntimeout = '10s'", &[]);
    // Two environments at once from the second request on; timers do run while one is at work.
    assert_eq!(function.station("service.api").held_peak, 2);
    assert_eq!(function.count("pool.pg", Counter::Opened), 10);
    let quick = ["operation.work.flow=[{ query = { pool = 'pg', read = '10ms' } }]"];
    let stays = with_pool("[service.api]", &quick);
    let function = with_pool("[service.api.function]", &quick);
    let held = |ran: &Ran| ran.station("pool.pg").held_mean;
    assert!(held(&stays) < 0.2 && held(&function) > 0.8, "{} {}", held(&stays), held(&function));
    // What was due while it was frozen happens when it is thawed: the connection is replaced.
    assert_eq!(function.count("pool.pg", Counter::Opened), 10);
    let patient = with_pool("[service.api.function]", &[quick[0], "pool.pg.idle_timeout=5s"]);
    assert_eq!(patient.count("pool.pg", Counter::Opened), 1);
}

#[test]
fn environments_that_are_kept_ready_take_ten_requests_a_second_each() {
    // 40 requests a second of 5 ms never meet: one environment would do, but takes a burst of ten and ten a
    // second. The eleventh of the first second starts another one.
    let many = "arrivals={ rate = '40/s', process = 'even' }";
    let one = api("[{ wait = '5ms' }]", &["service.api.function.provisioned=1", many]);
    assert_eq!((one.longest(), one.shortest()), (ms(305), ms(5)));
    assert!(one.count("service.api", Counter::Opened) >= 1, "for those beyond ten a second");
    let four = api("[{ wait = '5ms' }]", &["service.api.function.provisioned=4", many]);
    assert_eq!((four.each(), four.count("service.api", Counter::Opened)), (ms(5), 0));
}

#[test]
fn environments_that_are_restarted_are_gone_and_others_start_at_once() {
    // The fourth request comes at 4 s, and the fault never ends: its environment starts in 300 ms.
    let faulty = |what: &str, more: &str| {
        let fault = format!("fault.f={{target='service.api', what='{what}', at='3500ms'{more}}}");
        let ran = api(FLOW, &[&fault]);
        let cold = (ran.mean_s() - 0.1) / 0.3 * ran.ok() as f64;
        (ran.ok(), cold.round() as u64, ran.count("service.api", Counter::Opened))
    };
    assert_eq!(faulty("restart", ""), (10, 2, 2));
    assert_eq!(faulty("restart", ", for='3s'"), (10, 2, 2));
    // What is stopped answers nobody: those of 4, 5 and 6 s.
    assert_eq!(faulty("stop", ", for='3s'"), (7, 2, 2));
    // One that is at work goes with its request, and those that are kept ready start anew.
    let at_work = ["fault.f={target='service.api', what='restart', at='3050ms'}"];
    let ran = api(FLOW, &at_work);
    assert_eq!((ran.failed(Failure::InstanceLost), ran.ok()), (1, 9));
    let kept = api(FLOW, &[at_work[0], "service.api.function.provisioned=1"]);
    assert_eq!((kept.ok(), kept.each()), (9, ms(100)));
    // A region that restarts is away for so long.
    let region =
        api(FLOW, &["fault.f={target='region.here', what='restart', at='3500ms', for='3s'}"]);
    assert_eq!(region.ok(), 7);
}
