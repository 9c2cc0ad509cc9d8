//! Between a balancer and its targets: networks that are cut, connections, the next target.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::balancer::TWO;
use crate::support::{Ran, ms, run};

const CUT: &str = "fault.f={target='service.web', what='cut', at='2900ms', for='150s'}";

fn two(sets: &[&str]) -> Ran {
    run(TWO, sets)
}
/// Requests answered 504 while the service is cut off for 150 s.
fn cut(sets: &[&str]) -> Ran {
    two(&[&["run.duration=300s", CUT][..], sets].concat())
}

#[test]
fn a_service_that_is_cut_off_is_cut_off_from_its_balancer() {
    // Who opens a connection from 3 s on gives up after 10 s; one of 146 s is through after 1 + 2 + 4 s.
    // Those of 3 and 4 s are sent on open connections, and wait for an answer for a minute.
    let alb = cut(&["balancer.lb.kind=alb"]);
    let (shortest, longest) = (alb.outcome.failed_latency.min(), alb.outcome.failed_latency.max());
    assert_eq!(alb.failed(Failure::UpstreamTimeout), 143);
    assert_eq!((shortest, longest), (Some(ms(10_000)), Some(ms(60_000))));
    assert!(alb.longest() < ms(8_000), "all others are served: {:?}", alb.longest());
    let limit = cut(&["balancer.lb.kind=alb", "balancer.lb.connect_timeout=2s"]);
    // SYNs are repeated after 1 s and after 3 s: those of 152 s are through after 1 s.
    assert_eq!(limit.failed(Failure::UpstreamTimeout), 149);
    // Without a balancer, or with one that waits for ever, TCP repeats until the network heals.
    assert_eq!(cut(&[]).failed(Failure::UpstreamTimeout), 0);
    let patient = cut(&["balancer.lb.idle_timeout=60s"]);
    assert!(patient.failed(Failure::UpstreamTimeout) > 90, "{:?}", patient.outcome.requests);
    // From whom it is cut off decides: users are in the region of the balancer.
    let region = CUT.replace("what='cut'", "what={cut={from='region.here'}}");
    let text = format!("{TWO}\n[region.here]\nrtt = '0ms'\n");
    let users = run(&text, &["run.duration=300s", &region, "balancer.lb.kind=alb"]);
    assert_eq!(users.failed(Failure::UpstreamTimeout), 0);
}

#[test]
fn an_answer_that_cannot_set_out_is_waited_for_as_long_as_the_balancer_does() {
    let slow = "operation.work.flow=[{wait='2s'}]";
    let once = "arrivals={process='even', rate='1/s', users=1, stages=[{for='1500ms', to='1/s'}, {for='0s', to='0/s'}]}";
    // It comes at 1 s, is done at 3 s, and would be through after 204.6 s of repetitions.
    let ran = cut(&["balancer.lb.kind=alb", slow, once]);
    assert_eq!((ran.failed(Failure::UpstreamTimeout), ran.each_failed()), (1, ms(60_000)));
    assert_eq!(ran.outcome.attempts.late, 1, "it comes, and nobody waits for it");
    let ran = cut(&[slow, once]);
    assert_eq!(ran.each(), ms(2_000 + 204_600));
}

#[test]
fn checks_do_not_get_through_a_cut() {
    let checks = "balancer.lb.checks={interval='1s', timeout='500ms'}";
    let ran = cut(&[checks]);
    // Out after two failed checks, from 5 s on at the latest; back after five good ones.
    assert!(ran.failed(Failure::NoInstance) > 145, "{:?}", ran.outcome.requests);
    assert_eq!(cut(&[checks, "fault.f.what={slow=1}"]).failed(Failure::NoInstance), 0);
    let to_all = cut(&[checks, "balancer.lb.fail_open='0%'"]);
    assert_eq!(to_all.failed(Failure::NoInstance), 0);
}

#[test]
fn envoy_answers_503_where_it_cannot_connect() {
    let again = "client.retry.fixed={on=[503], attempts=2, delay='1ms', jitter='0%'}";
    let attempts = |kind: &str| cut(&[kind, again]).outcome.attempts.sent;
    assert!(attempts("balancer.lb.kind=envoy") > 440);
    assert_eq!(attempts("balancer.lb.kind=alb"), 300);
}

/// One of two instances is far too slow.
const SLOW: &str = "fault.f={target='service.web', what={slow=1000}, at='0s', count=1}";

#[test]
fn nginx_asks_the_next_server_when_one_is_silent() {
    let ran = |sets: &[&str]| {
        let nginx = [
            "run.duration=10900ms",
            "balancer.lb.kind=nginx",
            "balancer.lb.idle_timeout=500ms",
            SLOW,
        ];
        two(&[&nginx[..], sets].concat())
    };
    let keep = "balancer.lb.ejection=never";
    let usual = ran(&[keep]);
    assert_eq!((usual.ok(), usual.longest()), (10, ms(510)));
    // The other one has had its turn each time, so the next request is the slow one's again.
    assert_eq!(usual.count("balancer.lb", Counter::TimedOut), 10);
    // The work that was begun goes on.
    assert_eq!(usual.count("service.web", Counter::Arrivals), 20);
    // What may not be done twice is not sent twice.
    let post = ran(&[keep, "operation.work.idempotent=false"]);
    assert_eq!((post.ok(), post.failed(Failure::UpstreamTimeout)), (5, 5));
    assert_eq!(ran(&[keep, "balancer.lb.next_upstream=false"]).ok(), 5);
    // A failure is a failure: the slow one is asked once in ten seconds.
    assert_eq!(ran(&[]).count("balancer.lb", Counter::TimedOut), 1);
}

#[test]
fn calls_through_nginx_are_repeated_like_requests_of_users() {
    let text = format!(
        "{}\n[service.front]\n[operation.page]\nservice = 'front'\nshare = 1\nflow = [{{ call = {{ service = 'web', idempotent = true, flow = [{{ cpu = '10ms' }}] }} }}]\n",
        TWO.replace("[operation.work]", "[operation.work]\nservice = 'web'")
            .replace("share = 1", "share = 0.000001")
    );
    let ran = |sets: &[&str]| {
        let nginx = [
            "run.duration=10900ms",
            "balancer.lb.kind=nginx",
            "balancer.lb.idle_timeout=500ms",
            "balancer.lb.ejection=never",
            SLOW,
        ];
        run(&text, &[&nginx[..], sets].concat()).ok()
    };
    assert_eq!(ran(&[]), 10);
    let post =
        "operation.page.flow=[{call={service='web', idempotent=false, flow=[{cpu='10ms'}]}}]";
    assert_eq!(ran(&[post]), 5);
}

#[test]
fn nginx_keeps_connections_unless_told_to_close_them() {
    let ran = |sets: &[&str]| two(&[&["balancer.lb.hop=5ms"], sets].concat());
    assert_eq!(ran(&[]).each(), ms(20));
    // A round trip of TCP before each.
    assert_eq!(ran(&["balancer.lb.kind=nginx", "balancer.lb.keep_alive=0s"]).each(), ms(30));
    let kept = ran(&["balancer.lb.kind=nginx"]);
    assert_eq!((kept.shortest(), kept.longest()), (ms(20), ms(30)));
}

#[test]
fn a_place_in_a_bulkhead_is_given_back_once_when_the_balancer_has_given_up() {
    let text = format!("{TWO}\n[bulkhead.b]\nlimit.fixed = 100\n");
    let slow = "operation.work.flow=[{bulkhead={of='b', flow=[{wait='5s'}]}}]";
    let ran = run(&text, &["balancer.lb.idle_timeout=1s", slow, "service.web.instances=1"]);
    assert_eq!(ran.failed(Failure::UpstreamTimeout), 9);
}

#[test]
fn a_balancer_sheds_what_is_too_much_for_its_targets() {
    // Ten at once for two targets, which have each for a second.
    let burst = "arrivals={process='even', rate='1_000/s', users=10, stages=[{for='10500us', to='1_000/s'}, {for='0s', to='0/s'}]}";
    let ran = |more: &str| two(&[burst, "operation.work.flow=[{wait='1s'}]", more]);
    let shed = |more: &str| ran(more).failed(Failure::NoInstance);
    assert_eq!(shed("balancer.lb.kind=plain"), 0);
    assert_eq!((shed("balancer.lb.max_conns=3"), shed("balancer.lb.max_conns=4")), (4, 2));
    assert_eq!(ran("balancer.lb.max_requests=3").failed(Failure::Overflow), 7);
    assert_eq!(ran("balancer.lb.max_conns=3").count("service.web", Counter::Arrivals), 6);
    // What has been answered makes room.
    let later = two(&["balancer.lb.max_conns=1", "operation.work.flow=[{wait='900ms'}]"]);
    assert_eq!(later.failed(Failure::NoInstance), 0);
}

#[test]
fn envoy_has_so_many_connections_and_lets_so_many_wait_for_one() {
    // Ten, a millisecond apart, of 100 ms each, for one target.
    let burst = "arrivals={process='even', rate='1_000/s', users=10, stages=[{for='10500us', to='1_000/s'}, {for='0s', to='0/s'}]}";
    let envoy = ["balancer.lb.kind=envoy", "balancer.lb.hop=0ms", "service.web.instances=1"];
    let ran = |more: &[&str]| {
        two(&[&[burst, "operation.work.flow=[{wait='100ms'}]"], &envoy[..], more].concat())
    };
    assert_eq!(ran(&[]).each(), ms(100));
    // Two at a time: the fifth comes at 5 ms and goes at 201 ms, and five find three waiting.
    let few = ["balancer.lb.max_connections=2", "balancer.lb.max_pending=3"];
    let some = ran(&few);
    assert_eq!((some.failed(Failure::Overflow), some.longest()), (5, ms(296)));
    assert_eq!(some.count("balancer.lb", Counter::Opened), 2);
    let all = ran(&few[..1]);
    assert_eq!((all.failed(Failure::Overflow), all.longest()), (0, ms(492)));
    // Their patience with the target counts from the start: the first two, and two that waited.
    let patience = ran(&[few[0], "balancer.lb.idle_timeout=150ms"]);
    assert_eq!((patience.ok(), patience.failed(Failure::UpstreamTimeout)), (2, 8));
    // Who waits leaves with its user: two are served, two more have begun by 150 ms.
    let gone = ran(&[few[0], "client.patience=150ms"]);
    assert_eq!(gone.count("service.web", Counter::Arrivals), 4);
    // A target that has no connection gets one all the same.
    let two = ran(&["balancer.lb.max_connections=1", "service.web.instances=2"]);
    assert_eq!((two.count("balancer.lb", Counter::Opened), two.longest()), (2, ms(492)));
    // By itself it has 1,024 of each.
    let many = "arrivals={process='even', rate='10_000/s', users=10, stages=[{for='220ms', to='10_000/s'}, {for='0s', to='0/s'}]}";
    let shed = |more: &str| {
        ran(&[many, "operation.work.flow=[{wait='1s'}]", more]).failed(Failure::Overflow)
    };
    assert_eq!(shed("balancer.lb.nodes=1"), 2_200 - 2_048);
    assert_eq!(shed("balancer.lb.max_connections=1_100"), 2_200 - 1_024);
}

#[test]
fn a_name_is_looked_up_before_each_call() {
    let text = "[service.web]\n[service.far]\n[operation.ask]\nshare = 1\nservice = 'web'\n\
                flow = [{ call = { service = 'far', LOOKUPflow = [{ cpu = '10ms' }] } }]\n";
    let each = |lookup: &str| run(&text.replace("LOOKUP", lookup), &[]).each();
    assert_eq!(each(""), ms(10));
    assert_eq!(each("lookup = '7ms', "), ms(17));
}
