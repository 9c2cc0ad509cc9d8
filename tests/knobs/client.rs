//! What users' devices do: patience and retries.

use loadbearing::failure::Failure;
use loadbearing::units::Duration;

use crate::support::{Ran, ms, run};

/// One request, which fails after 100 ms.
const FAILS: &str = r#"
[arrivals]
process = "even"
users = 1
rate = "1/s"
stages = [{ for = "1500ms", to = "1/s" }, { for = "0s", to = "0/s" }]
[service.web]
[operation.work]
share = 1
flow = [{ wait = "100ms" }, { reply = { bytes = "0B", status = 503 } }]
"#;

fn fails(sets: &[&str]) -> Ran {
    run(FAILS, &[&["run.duration=300s"], sets].concat())
}

/// Attempts and the whole time of the one request.
fn tried(retry: &str) -> (u64, Duration) {
    let ran = fails(&[&format!("client.retry={retry}")]);
    (ran.outcome.attempts.sent, ran.each_failed())
}

#[test]
fn users_give_up_and_the_work_goes_on() {
    let slow = "operation.work.flow=[{wait='3s'}, {cpu='1s'}]";
    let ran = fails(&[slow, "client.patience=500ms"]);
    assert_eq!((ran.failed(Failure::GaveUp), ran.each_failed()), (1, ms(500)));
    assert_eq!(ran.outcome.attempts.late, 1, "an answer for nobody");
    assert!((ran.station("service.web").busy_mean - 1.0 / 300.0).abs() < 1e-9);
    assert_eq!(fails(&[slow]).each(), ms(4_000), "without patience they wait");
    assert_eq!(fails(&[slow, "client.patience=4001ms"]).each(), ms(4_000));
    let spread = fails(&[slow, "client.patience={uniform=['1s', '2s']}"]).each_failed();
    assert!(spread > ms(1_000) && spread < ms(2_000));
}

#[test]
fn a_request_may_leave_later_than_it_was_meant_to() {
    let quick = "operation.work.flow=[{wait='3s'}]";
    assert_eq!(fails(&[quick, "client.lateness=20ms"]).each(), ms(3_020), "from when it was meant");
    // Patience begins when it has left, and a second attempt is not late again.
    let late = ["client.lateness=20ms", "client.patience=500ms"];
    let ran = fails(
        &[
            &late[..],
            &[quick, "client.retry={fixed={on=['timeout'], delay='1s', jitter='0%', attempts=2}}"],
        ]
        .concat(),
    );
    assert_eq!((ran.outcome.attempts.sent, ran.each_failed()), (2, ms(2_020)));
    let spread = fails(&[quick, "client.lateness={uniform=['0ms', '2ms']}"]).each();
    assert!(spread > ms(3_000) && spread < ms(3_002), "{spread:?}");
}

#[test]
fn a_failure_is_final_or_repeated_after_a_delay() {
    assert_eq!(tried("never"), (1, ms(100)));
    assert_eq!(tried("{fixed={on=[503], delay='1s', jitter='0%'}}"), (3, ms(2_300)));
    assert_eq!(tried("{fixed={on=[503], delay='7s', jitter='0%'}}"), (3, ms(14_300)));
    assert_eq!(tried("{fixed={on=[503], delay='1s', jitter='0%', attempts=5}}"), (5, ms(4_500)));
    assert_eq!(tried("{fixed={on=[500, 'timeout'], delay='1s'}}"), (1, ms(100)));
    assert_eq!(tried("{fixed={on=[503], share='0%'}}"), (1, ms(100)));
    let (_, spread) = tried("{fixed={on=[503], delay='1s', jitter='50%'}}");
    assert!(spread > ms(2_300) && spread < ms(3_300));
}

#[test]
fn delays_double_up_to_their_cap() {
    let exactly = |more: &str| {
        tried(&format!("{{exponential={{on=[503], jitter='none', attempts=5{more}}}}}"))
    };
    assert_eq!(exactly(""), (5, ms(500 + 100 + 200 + 400 + 800)));
    assert_eq!(exactly(", base='1s'"), (5, ms(500 + 1_000 + 2_000 + 4_000 + 8_000)));
    assert_eq!(exactly(", cap='300ms'"), (5, ms(500 + 100 + 200 + 300 + 300)));
    assert_eq!(tried("{exponential={on=[503], jitter='none', attempts=2}}"), (2, ms(300)));
    assert_eq!(tried("{exponential={on=[429]}}"), (1, ms(100)));
    assert_eq!(tried("{exponential={on=[503], share='0%'}}"), (1, ms(100)));
}

#[test]
fn delays_are_spread_as_said() {
    let spread = |jitter: &str| {
        let retry = format!(
            "client.retry={{exponential={{on=[503], base='1s', cap='1s', attempts=2, jitter='{jitter}'}}}}"
        );
        let many = "arrivals.stages=[{for='200s', to='1/s'}, {for='0s', to='0/s'}]";
        let ran = fails(&[&retry, many, "arrivals.rate=1/s"]);
        let latency = &ran.outcome.failed_latency;
        let seconds = |length: Option<Duration>| length.expect("some").seconds() - 0.2;
        (seconds(latency.min()), latency.mean_s().expect("some") - 0.2, seconds(latency.max()))
    };
    let near = |found: f64, wanted: f64| (found - wanted).abs() < 0.07;
    let check = |jitter: &str, wanted: [f64; 3]| {
        let (least, mean, most) = spread(jitter);
        assert!(
            near(least, wanted[0]) && near(mean, wanted[1]) && near(most, wanted[2]),
            "{jitter}: {least} {mean} {most}"
        );
    };
    check("none", [1.0, 1.0, 1.0]);
    check("full", [0.0, 0.5, 1.0]);
    check("equal", [0.5, 0.75, 1.0]);
    // Uniform from the base to three times the last, and no more than the cap.
    check("decorrelated", [1.0, 1.0, 1.0]);
    let retry = "client.retry={exponential={on=[503], base='1s', cap='9s', attempts=2, jitter='decorrelated'}}";
    let pause = fails(&[retry]).each_failed() - ms(200);
    assert!(pause >= ms(1_000) && pause <= ms(3_000));
}

#[test]
fn timeouts_and_refusals_are_repeated_by_name() {
    let slow = ["operation.work.flow=[{wait='60s'}]", "client.patience=500ms"];
    let sent = |sets: &[&str], on: &str| {
        let retry = format!("client.retry={{fixed={{on=[{on}], delay='1s', jitter='0%'}}}}");
        fails(&[sets, &[&retry]].concat()).outcome.attempts.sent
    };
    assert_eq!((sent(&slow, "'timeout'"), sent(&slow, "'refused'"), sent(&slow, "503")), (3, 1, 1));
    let full = [
        "service.web.max_connections=1",
        "service.web.backlog=1",
        "service.web.on_overflow=refuse",
        "operation.work.flow=[{wait='60s'}]",
        "arrivals.stages=[{for='3500ms', to='1/s'}, {for='0s', to='0/s'}]",
    ];
    assert_eq!((sent(&full, "'refused'"), sent(&full, "'timeout'")), (5, 3));
}

#[test]
fn retry_after_is_honoured_or_not() {
    let text =
        format!("{FAILS}\n[limit.l]\nmax = 0\nrespond = {{ status = 429, retry_after = '30s' }}\n");
    let waited = |retry: &str| {
        let sets = [
            "run.duration=300s",
            "service.web.before=['limit.l']",
            &format!("client.retry={retry}"),
        ];
        run(&text, &sets).each_failed()
    };
    assert_eq!(waited("{fixed={on=[429], delay='1s', jitter='0%'}}"), ms(60_000));
    assert_eq!(
        waited("{fixed={on=[429], delay='45s', jitter='0%'}}"),
        ms(90_000),
        "not sooner than its own"
    );
    assert_eq!(
        waited("{fixed={on=[429], delay='1s', jitter='0%', honour_retry_after=false}}"),
        ms(2_000)
    );
    assert_eq!(waited("{exponential={on=[429], jitter='none'}}"), ms(60_000));
    assert_eq!(
        waited("{exponential={on=[429], jitter='none', honour_retry_after=false}}"),
        ms(300)
    );
    // Together they would come back together: the delay is spread.
    let spread = waited("{fixed={on=[429], delay='1s', jitter='20%'}}");
    assert!(spread > ms(60_000) && spread < ms(72_000));
}

#[test]
fn some_users_try_again() {
    let many = "arrivals.stages=[{for='250s', to='4/s'}, {for='0s', to='0/s'}]";
    let retry = "client.retry={fixed={on=[503], share='30%', attempts=2}}";
    let ran = fails(&[many, retry, "arrivals.rate=4/s"]);
    let again = ran.outcome.attempts.sent - ran.offered();
    // Binomial(1000, 0.3): deviation 14.5.
    assert!((again as f64 - 300.0).abs() < 58.0, "{again}");
}
