//! What limits, guards and breakers forget, or hold on to for a while.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{ms, run};

#[test]
fn a_limit_takes_back_what_it_does_not_want_to_count() {
    const LIMITED: &str = "[service.web]\nbefore = ['limit.l']\n[limit.l]\nmax = 2\n\
                           [operation.work]\nshare = 1\nflow = [{ cpu = '1ms' }]\n";
    let limited = |sets: &[&str]| run(LIMITED, sets).failed(Failure::Limited);
    let fails = "operation.work.flow=[{reply={bytes='1KB', status=500}}]";
    let (failed, successful) = ("limit.l.skip_failed=true", "limit.l.skip_successful=true");
    assert_eq!([limited(&[]), limited(&[successful]), limited(&[failed])], [8, 0, 8]);
    assert_eq!([limited(&[fails]), limited(&[fails, successful])], [8, 8]);
    assert_eq!(limited(&[fails, failed]), 0);
    // While they take 3.5 s: with both it is a limit on what is in flight, and 3, 4, 7 and 8 are
    // refused. Refusals are counted, and taken back only as failures.
    let long = "operation.work.flow=[{wait='3500ms'}]";
    assert_eq!(limited(&[long, successful, failed]), 4);
    assert_eq!(limited(&[long, successful]), 8);
    // What was counted in a window that is over is not taken out of the next one: 1 and 2, 4 (as 1
    // and 2 have been answered too late for theirs) and 5, 7 and 8, 10.
    let short = "limit.l.window=3s";
    assert_eq!(limited(&[long, successful, short]), 3);
    // In one store for all, and behind a bulkhead.
    assert_eq!(limited(&["limit.l.store=shared", successful, "service.web.workers=2"]), 0);
}

#[test]
fn a_guard_with_hysteresis_stays_shut_for_longer() {
    const GUARDED: &str = "[service.web]\nbefore = ['guard.g']\n[guard.g]\nlimit = 4\n\
                           watch = 'service.web.in_flight'\n[operation.work]\nshare = 1\n\
                           flow = [{ wait = '4500ms' }]\n[run]\n";
    // Counted by hand: three pass and two do not; three and three; three and four.
    for (release, refused) in [("100%", 8), ("75%", 9), ("50%", 11)] {
        let release = format!("guard.g.release={release}");
        let text = GUARDED.replace("[run]\n", "");
        let ran = run(&text, &["run.duration=20500ms", &release]);
        assert_eq!(ran.failed(Failure::Guarded), refused, "{release}");
    }
}

/// A call every 10 s takes 19 s, which is slow: the first one opens the breaker at 29 s, for 5 s.
#[test]
fn resilience4j_half_opens_by_a_timer_and_does_not_wait_for_ever() {
    const CALLED: &str = "[service.web]\n[breaker.b]\n[operation.work]\nshare = 1\n\
                          flow = [{ breaker = { through = 'b', flow = [{ wait = '19s' }] } }]\n";
    let called = |options: &str| {
        let options = format!(
            "breaker.b.product={{resilience4j={{volume=1, trials=1, slow='1s', reset='5s'{options}}}}}"
        );
        let ran = run(CALLED, &[&options, "arrivals.rate=0.1/s", "run.duration=115s"]);
        (ran.count("breaker.b", Counter::Opened), ran.failed(Failure::BreakerOpen))
    };
    // Trials at 40, 70 and 100 s, whose slow ends open it again.
    assert_eq!(called(""), (3, 6));
    // It waits 8 s for them, and 5 s later the next one may come: every 20 s.
    assert_eq!(called(", max_half_open='8s'"), (5, 5));
    // Half-open from 34 s on, what was called at 20 s ends as a trial at 39 s.
    assert_eq!(called(", half_open_itself=true"), (4, 6));
}

/// A call of ten steps of 100 ms, for which its caller waits 250 ms.
#[test]
fn a_service_stops_when_nobody_waits_any_more() {
    const CALLED: &str = "[service.web]\n[service.far]\n[service.deep]\n[operation.work]\nshare = 1\n\
                          service = 'web'\nflow = [{ call = { service = 'far', timeout = '250ms', \
                          flow = [{ repeat = { times = 10, flow = [{ cpu = '100ms' }] } }] } }]\n";
    let far = "service.far.deadlines=true";
    let busy = |sets: &[&str]| {
        let ran = run(CALLED, sets);
        assert_eq!((ran.failed(Failure::UpstreamTimeout), ran.each_failed()), (10, ms(250)));
        let busy = |path: &str| (ran.station(path).busy_mean * 105.0).round() as u64;
        (busy("service.far"), busy("service.deep"), ran.count("service.far", Counter::TimedOut))
    };
    // The tenth is cut short by the end of the run, after 0.5 s of work or 0.3.
    assert_eq!(busy(&[]), (95, 0, 0));
    assert_eq!(busy(&[far]), (30, 0, 10), "three steps each");
    // The deadline goes on to those who are called on behalf of it.
    let deep = "operation.work.flow=[{call={service='far', timeout='250ms', flow=[{call={service='deep', \
                flow=[{repeat={times=10, flow=[{cpu='100ms'}]}}]}}]}}]";
    assert_eq!(busy(&[deep]), (0, 95, 0));
    assert_eq!(busy(&[deep, far]), (0, 95, 0), "the one below does not look");
    assert_eq!(busy(&[deep, "service.deep.deadlines=true"]), (0, 30, 0));
    // Users who give up are heard of too, and what goes on after an answer does.
    let user = [
        "operation.work.flow=[{repeat={times=10, flow=[{cpu='100ms'}]}}]",
        "client.patience=250ms",
    ];
    let worked = |sets: &[&str]| {
        let ran = run(CALLED, &[&user[..], sets].concat());
        (ran.station("service.web").busy_mean * 105.0).round() as u64
    };
    assert_eq!([worked(&[]), worked(&["service.web.deadlines=true"])], [95, 30]);
    let after = "operation.work.flow=[{reply='1B'}, {repeat={times=5, flow=[{cpu='100ms'}]}}]";
    assert_eq!(worked(&[after, "service.web.deadlines=true"]), 50);
}

#[test]
fn what_waits_within_a_step_waits_no_longer_than_somebody_waits_for_it() {
    // A caller waits for 250 ms; who is called has a place in a bulkhead as long as it is at it.
    let held = |within: &str, sets: &[&str]| {
        const CALLED: &str = "[service.web]\n[service.far]\n[service.deep]\n[bulkhead.b]\n[operation.work]\n\
                              share = 1\nservice = 'web'\n";
        let flow = format!(
            "operation.work.flow=[{{call={{service='far', timeout='250ms', flow=[{{bulkhead={{of='b', \
             flow=[{within}]}}}}]}}}}]"
        );
        let ran = run(CALLED, &[&[flow.as_str()], sets].concat());
        assert_eq!((ran.failed(Failure::UpstreamTimeout), ran.each_failed()), (10, ms(250)));
        (ran.station("bulkhead.b").busy_mean * 10_500.0).round() as u64
    };
    let looks = "service.far.deadlines=true";
    let call = "{call={service='deep', flow=[{cpu='600ms'}]}}";
    let waits = "{wait='600ms'}";
    for step in [call, waits] {
        // Nine to the end, and the tenth until the run ends.
        assert_eq!(held(step, &[]), 9 * 600 + 500, "{step}");
        assert_eq!(held(step, &[looks]), 10 * 250, "{step}");
    }
    // Its own patience is shorter, or longer than what is left.
    let timed = |limit: &str| {
        format!(
            "{{call={{service='deep', timeout='{limit}', flow=[{{cpu='600ms'}}]}}}}, {{wait='9s'}}"
        )
    };
    assert_eq!(held(&timed("400ms"), &[looks]), 10 * 250);
    // A thread that waits, a computation and a queue for a connection: one hears of it, two do not.
    assert_eq!(held("{blocking=[{wait='600ms'}]}", &[looks]), 9 * 600 + 500);
    assert_eq!(held("{cpu='600ms'}", &[looks]), 9 * 600 + 500);
    let few = "{call={service='deep', client={axios={per_host=1}}, flow=[{cpu='600ms'}]}}";
    assert_eq!(held(&format!("{{parallel=[[{few}], [{few}]]}}"), &[looks]), 10 * 250);
    // Without anybody's patience nothing is cut.
    let flow = "operation.work.flow=[{call={service='far', flow=[{wait='600ms'}]}}]";
    const CALLED: &str = "[service.web]\n[service.far]\n[service.deep]\n[operation.work]\nshare = 1\nservice = 'web'\n";
    assert_eq!(run(CALLED, &[flow, looks]).each(), ms(600));
    // A user goes after 250 ms.
    let user = |looks: &str| {
        const ASKED: &str = "[service.web]\n[bulkhead.b]\n[operation.work]\nshare = 1\n\
                             flow = [{ bulkhead = { of = 'b', flow = [{ wait = '600ms' }] } }]\n";
        let ran = run(ASKED, &["client.patience=250ms", looks]);
        assert_eq!((ran.failed(Failure::GaveUp), ran.each_failed()), (10, ms(250)));
        (ran.station("bulkhead.b").busy_mean * 10_500.0).round() as u64
    };
    let web = ["service.web.deadlines=false", "service.web.deadlines=true"];
    assert_eq!(web.map(user), [9 * 600 + 500, 10 * 250]);
    // A retry is not begun when the time is over.
    let again = "operation.work.flow=[{call={service='far', timeout='250ms', flow=[{call={service='deep', \
                 timeout='200ms', retry={fixed={on=['timeout'], attempts=5, delay='100ms'}}, flow=[{cpu='1s'}]}}]}}]";
    let ran = run(CALLED, &[again, looks]);
    assert_eq!((ran.failed(Failure::UpstreamTimeout), ran.each_failed()), (10, ms(250)));
}
