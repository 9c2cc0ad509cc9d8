//! Who comes, and when.

use crate::support::{Ran, ms, run};

const OPEN: &str = r#"
[service.web]
[operation.work]
share = 1
flow = [{ cpu = "1ms" }]
"#;
const CLOSED: &str = r#"
[users]
population = 10
think = "900ms"
[service.web]
[operation.work]
share = 1
flow = [{ wait = "100ms" }]
"#;

fn open(sets: &[&str]) -> Ran {
    run(OPEN, sets)
}
fn closed(sets: &[&str]) -> Ran {
    run(CLOSED, sets)
}

#[test]
fn even_arrivals_are_exactly_spaced_and_poisson_ones_are_not() {
    let ran = open(&["arrivals.rate=10/s", "run.window=100ms"]);
    let windows = ran.offered_by_window();
    // What comes at the boundary of two windows belongs to the earlier; users move before we look.
    assert!(windows[..105].iter().all(|offered| *offered == 1), "{windows:?}");
    let ran = open(&["arrivals.process=poisson", "arrivals.rate=100/s"]);
    let windows = ran.offered_by_window();
    let mean = ran.offered() as f64 / 10.5;
    let spread: f64 =
        windows[..10].iter().map(|one| (*one as f64 - mean).powi(2)).sum::<f64>() / 9.0;
    assert!((mean - 100.0).abs() < 13.0 && spread > 20.0, "{mean} {spread}");
}

#[test]
fn the_rate_is_the_rate() {
    assert_eq!(open(&["arrivals.rate=2/s"]).offered(), 21);
    assert_eq!(open(&["arrivals.rate=120/min"]).offered(), 21);
    assert_eq!(open(&["arrivals.rate=0/s"]).offered(), 0);
    assert_eq!(open(&["arrivals.rate=0/s", "arrivals.process=poisson"]).offered(), 0);
}

#[test]
fn stages_are_straight_lines() {
    // The integral: 5 s x (0 + 20)/2, then 5 s at 20, then half a second.
    let stages = "arrivals={rate='0/s', stages=[{for='5s', to='20/s'}]}";
    assert_eq!(open(&[stages]).offered(), 50 + 110);
    let stages = "arrivals={process='even', rate='20/s', stages=[{for='10s', to='0/s'}]}";
    let offered = open(&[stages]).offered();
    assert!((99..=100).contains(&offered), "the last one comes as the rate reaches nothing");
    let stages = "arrivals={process='poisson', stages=[{for='10s', to='200/s'}]}";
    let windows = open(&[stages]).offered_by_window();
    assert!(windows[1] < 60 && windows[9] > 140, "{windows:?}");
}

#[test]
fn a_spike_multiplies() {
    let spike = "arrivals.spike={at='4s', for='2s', times=10}";
    assert_eq!(open(&[spike, "arrivals.rate=2/s"]).offered_by_window()[3..8], [2, 20, 20, 2, 2]);
    // From the start of the measured time.
    let ran = open(&[spike, "arrivals.rate=2/s", "run.warmup=3s"]);
    assert_eq!(ran.offered_by_window()[6..11], [2, 20, 20, 2, 2]);
}

#[test]
fn a_wave_goes_up_and_down() {
    let wave = "arrivals.sinusoid={period='8s', amplitude='100%'}";
    for process in ["even", "poisson"] {
        let process = format!("arrivals.process={process}");
        let ran = open(&[wave, "arrivals.rate=1000/s", &process, "run.duration=8s"]);
        let windows = ran.offered_by_window();
        let (up, down): (u64, u64) = (windows[..4].iter().sum(), windows[4..].iter().sum());
        // 1000 x (4 s +- 8/pi): 6546 and 1454.
        assert!(up.abs_diff(6_546) < 330 && down.abs_diff(1_454) < 160, "{process} {up} {down}");
        let flat = open(&[
            "arrivals.sinusoid={period='8s', amplitude='10%'}",
            "arrivals.rate=1000/s",
            &process,
            "run.duration=8s",
        ]);
        let up: u64 = flat.offered_by_window()[..4].iter().sum();
        assert!(up.abs_diff(4_255) < 270, "{process} {up}");
    }
    let even = open(&[wave, "arrivals.rate=1000/s", "run.duration=8s"]);
    assert!(even.offered().abs_diff(8_000) <= 1);
}

/// Counts of Poisson streams, within four of their deviations (a false alarm in 16,000): two per cent are five.
#[test]
fn streams_are_as_fast_and_waves_as_high_as_they_say() {
    let idle = "operation.work.flow=[{cpu='0ms'}]";
    // 1,000/s, 160 s: 160,000 with a deviation of 400. Up less down is 160,000 x 0.8 x 2 / pi, with as much.
    let poisson = ["arrivals.rate=1000/s", "arrivals.process=poisson", "run.duration=160s", idle];
    let wave = ["arrivals.sinusoid={period='8s', amplitude='80%'}", "run.window=4s"];
    let ran = open(&[&poisson[..], &wave].concat());
    let mut windows = ran.offered_by_window().into_iter();
    let (mut up, mut down) = (0, 0);
    while let (Some(first), Some(second)) = (windows.next(), windows.next()) {
        (up, down) = (up + first, down + second);
    }
    assert_eq!(up + down, ran.offered());
    assert!(
        (up + down).abs_diff(160_000) < 1_600 && (up - down).abs_diff(81_487) < 1_600,
        "{up} {down}"
    );
    assert!(open(&poisson).offered().abs_diff(160_000) < 1_600);
    // 1,000 users who think for a second: 100,000 with a deviation of 316.
    let thinks =
        ["users.think={exponential='1s'}", "users.population=1000", "run.duration=100s", idle];
    let ran = closed(&thinks);
    assert!(ran.offered().abs_diff(100_000) < 1_265, "{}", ran.offered());
}

#[test]
fn as_many_users_as_said_stand_behind_a_stream() {
    let limit = "[limit.l]\nmax = 1\nper = 'user'\nwindow = '1h'\n";
    let text = format!("{OPEN}{limit}");
    let ok = |users: &str| {
        run(&text, &["service.web.before=['limit.l']", "arrivals.rate=100/s", users]).ok()
    };
    assert_eq!(ok("arrivals.users=1"), 1);
    assert_eq!(ok("arrivals.users=20"), 20);
    assert!(ok("arrivals.users=100_000") > 1_000);
}

#[test]
fn closed_users_think_and_wait() {
    // One request a second and user: 0.1 s waiting, 0.9 s thinking.
    let ran = closed(&[]);
    assert_eq!(ran.each(), ms(100));
    assert!((100..=110).contains(&ran.offered()), "{}", ran.offered());
    let ran = closed(&["users.population=30"]);
    assert!((300..=330).contains(&ran.offered()), "{}", ran.offered());
    let ran = closed(&["users.think=400ms"]);
    assert!((200..=220).contains(&ran.offered()), "{}", ran.offered());
    // A slower answer slows the users down.
    let ran = closed(&["operation.work.flow=[{wait='1100ms'}]"]);
    assert!((45..=60).contains(&ran.offered()), "{}", ran.offered());
    let ran = closed(&["users.think={exponential='900ms'}", "users.population=1000"]);
    assert!(ran.offered().abs_diff(10_500) < 350, "{}", ran.offered());
}

/// Requests in each second of a thousand users who ask once a second.
fn thousand(more: &[&str]) -> Vec<u64> {
    let sets = ["users.population=1000", "run.duration=20s"];
    closed(&[&sets[..], more].concat()).offered_by_window()
}

#[test]
fn populations_ramp_change_and_spike() {
    for think in ["users.think=900ms", "users.think={exponential='900ms'}"] {
        let near = |found: u64, wanted: u64| {
            assert!(found.abs_diff(wanted) < 140, "{think}: {found} for {wanted}")
        };
        let ramped = thousand(&[think, "users.ramp=10s"]);
        near(ramped[1], 150);
        near(ramped[5], 550);
        near(ramped[15], 1_000);
        let staged = thousand(&[think, "users.stages=[{for='5s', to=1000}, {for='10s', to=3000}]"]);
        near(staged[4], 1_000);
        near(staged[10], 2_100);
        near(staged[18], 3_000);
        let spiked = thousand(&[think, "users.spike={at='5s', for='5s', times=2.5}"]);
        near(spiked[3], 1_000);
        near(spiked[7], 2_500);
        near(spiked[14], 1_000);
    }
}

#[test]
fn a_population_that_a_spike_leaves_broken_asks_as_often_as_its_whole_part() {
    let sets = [
        "users.population=1",
        "users.think={exponential='100ms'}",
        "operation.work.flow=[]",
        "run.duration=100s",
    ];
    let spike = "users.spike={at='0s', for='100s', times=1.9}";
    let flow = "operation.work.flow=[{wait='0ms'}]";
    let ran = closed(&[&sets[..2], &[spike, flow, "run.duration=100s"]].concat());
    assert!(ran.offered().abs_diff(1_000) < 140, "{}", ran.offered());
}

#[test]
fn every_user_has_an_address_however_many_come() {
    let text = format!("{CLOSED}\n[limit.l]\nmax = 1\nwindow = '1h'\n");
    let ok = |sets: &[&str]| {
        let before = ["service.web.before=['limit.l']", "users.population=10"];
        run(&text, &[&before[..], sets].concat()).ok()
    };
    assert_eq!(ok(&[]), 10);
    assert_eq!(ok(&["users.stages=[{for='0s', to=40}]"]), 40);
    assert_eq!(ok(&["client.addresses=3"]), 3);
}

#[test]
fn who_does_not_think_asks_back_to_back() {
    let text = "[users]\npopulation = 1\nthink = '0s'\n[service.web]\n[operation.read]\nshare = 1\n\
                flow = [{ wait = '100ms' }]\n";
    let ran = |sets: &[&str]| run(text, sets);
    // Ten a second for each: 10.5 s.
    let one = ran(&[]);
    assert_eq!(one.ok(), 105);
    assert_eq!(ran(&["users.think.exponential=0s"]).ok(), 105);
    let said = loadbearing::result::Summary::new(&one.model, &[one.outcome]).to_json();
    assert!(said["requests"].is_object(), "it can be told");
    // Two more from 5 s on, and nobody of a thousand who come later costs an event before.
    let stages =
        "users.stages=[{for='5s', to=1}, {for='0s', to=3}, {for='1h', to=3}, {for='0s', to=1_000}]";
    let more = ran(&[stages]);
    assert!((more.ok() as i64 - (105 + 2 * 55)).abs() <= 2, "{}", more.ok());
    assert!(more.outcome.events < 10 * more.ok() + 1_500, "{}", more.outcome.events);
    // A line upwards: the second comes as soon as it rises, the third at 5 s.
    let line = ran(&["users.population=1", "users.stages=[{for='10s', to=3}]"]);
    assert!((line.ok() as i64 - (105 + 104 + 54)).abs() <= 2, "{}", line.ok());
    // What takes no time at all takes a millisecond.
    let nothing = ran(&["operation.read.flow=[{wait='0s'}]"]);
    assert!(nothing.ok() > 10_000 && nothing.ok() <= 10_501, "{}", nothing.ok());
}

/// Four virtual users whose iterations take 10 s, and who are let go.
const K6: &str = "[users]\npopulation = 4\nthink = '0s'\n[service.web]\n[operation.read]\nshare = 1\n\
                  flow = [{ wait = '10s' }]\n";

#[test]
fn a_virtual_user_who_is_let_go_may_finish_for_so_long() {
    // All begin at 0 s. Users 3, 2, 1 and 0 are let go at 2, 4, 6 and 8 s.
    let counts = |sets: &[&str]| {
        let down = ["users.stages=[{for='8s', to=0}]", "run.duration=30s", "run.window=1s"];
        let ran = run(K6, &[&down[..], sets].concat());
        let requests = &ran.outcome.requests;
        assert_eq!(requests.failed_all(), 0, "what is interrupted has not failed");
        (ran.ok(), ran.outcome.attempts.interrupted)
    };
    assert_eq!(counts(&[]), (4, 0), "people finish what they are at");
    assert_eq!(counts(&["users.graceful_ramp_down=30s"]), (4, 0));
    // Those let go at 2 and 4 s would finish 8 and 6 s later, those at 6 and 8 s 4 and 2 s later.
    assert_eq!(counts(&["users.graceful_ramp_down=7s"]), (3, 1));
    assert_eq!(counts(&["users.graceful_ramp_down=5s"]), (2, 2));
    assert_eq!(counts(&["users.graceful_ramp_down=0s"]), (0, 4));
    // The plan is over at 8 s: a second later all are stopped.
    assert_eq!(counts(&["users.graceful_stop=1s"]), (0, 4));
    assert_eq!(counts(&["users.graceful_stop=2500ms"]), (4, 0));
    assert_eq!(counts(&["users.graceful_ramp_down=5s", "users.graceful_stop=1s"]), (0, 4));
    // The last user to go is answered late, and for nobody.
    let late = run(
        K6,
        &["users.stages=[{for='8s', to=0}]", "users.graceful_ramp_down=1s", "run.duration=30s"],
    );
    assert_eq!(late.outcome.attempts.late, 4);
}

#[test]
fn a_virtual_user_who_comes_back_in_time_is_not_interrupted() {
    let back = |sets: &[&str]| {
        let ran =
            run(K6, &[&["run.duration=19s", "users.graceful_ramp_down=5s"][..], sets].concat());
        (ran.ok(), ran.outcome.attempts.interrupted)
    };
    // Two go at 3 s, and are there again at 7 s or at 9 s: then they begin anew.
    assert_eq!(
        back(&[
            "users.stages=[{for='3s', to=4}, {for='0s', to=2}, {for='4s', to=2}, {for='0s', to=4}]"
        ]),
        (4, 0)
    );
    let late =
        "users.stages=[{for='3s', to=4}, {for='0s', to=2}, {for='5500ms', to=2}, {for='0s', to=4}]";
    assert_eq!(back(&[late]), (4, 2), "two end at 10 s, two at 18.5 s");
}

#[test]
fn a_generator_of_arrivals_stops_what_is_late_when_its_plan_is_over() {
    let text = "[arrivals]\nprocess = 'even'\nstages = [{ for = '0s', to = '1/s' }, { for = '5500ms', to = '1/s' }, \
                { for = '0s', to = '0/s' }]\nvus = { pre_allocated = 9 }\n[service.web]\n[operation.read]\n\
                share = 1\nflow = [{ wait = '40s' }]\n";
    let counts = |sets: &[&str]| {
        let ran = run(text, &[&["run.duration=100s"][..], sets].concat());
        (ran.ok(), ran.outcome.attempts.interrupted)
    };
    // They come from 1 to 5 s, and are over from 41 to 45 s; the plan ends at 5.5 s.
    assert_eq!(counts(&[]), (0, 5), "30 s later all are stopped");
    assert_eq!(counts(&["arrivals.vus.graceful_stop=37s"]), (2, 3));
    assert_eq!(counts(&["arrivals.vus.graceful_stop=1h"]), (5, 0));
    // Who is between two pages goes with the plan, too.
    let visits = ["arrivals.session={pages=1e9, think='8s'}", "operation.read.flow=[{wait='2s'}]"];
    let ran = run(text, &[&["run.duration=100s"][..], &visits].concat());
    // Five of four pages each by 35.5 s, of which two have just begun.
    assert_eq!((ran.ok(), ran.outcome.attempts.interrupted, ran.offered()), (18, 2, 20));
}

const CHAINED: &str = r#"
[users]
population = 10
think = "900ms"
[service.web]
[operation.a]
share = 1
next = [{ to = "b", share = "100%" }]
flow = [{ wait = "100ms" }]
[operation.b]
share = 0
next = [{ to = "c", share = "100%" }]
flow = [{ wait = "100ms" }]
[operation.c]
share = 0
flow = [{ wait = "100ms" }]
"#;

/// How often each operation of a chain was asked for.
fn chained(sets: &[&str]) -> Vec<u64> {
    let ran = run(CHAINED, &[&["run.duration=300s"], sets].concat());
    ran.outcome.operations.iter().map(|one| one.offered).collect()
}

#[test]
fn a_user_of_a_population_does_what_follows() {
    // a, b, c, and again from the start, as the only operation with a share.
    for think in ["users.think=900ms", "users.think={exponential='900ms'}"] {
        let all = chained(&[think]);
        assert!(
            all.iter().all(|one| one.abs_diff(1_000) < 60 && one.abs_diff(all[0]) <= 10),
            "{all:?}"
        );
    }
    // Whoever has come to b stays there: ten users do a once.
    let all = chained(&["operation.b.next=[{to='b', share='100%'}]"]);
    assert!(all[0] == 10 && all[1].abs_diff(2_990) < 12 && all[2] == 0, "{all:?}");
    // With the rest of 100 % users leave, and others begin: one b for each two a.
    let all = chained(&["operation.a.next=[{to='b', share='50%'}]", "operation.b.next=[]"]);
    assert!(all[0].abs_diff(2_000) < 80 && all[1].abs_diff(1_000) < 80 && all[2] == 0, "{all:?}");
}

#[test]
fn what_is_expected_of_a_population_follows_its_chain() {
    let shares = |sets: &[&str]| -> Vec<f64> {
        crate::support::model(CHAINED, sets).operations.iter().map(|one| one.share).collect()
    };
    assert!(shares(&[]).iter().all(|share| (share - 1.0 / 3.0).abs() < 1e-9));
    let half = ["operation.a.next=[{to='b', share='50%'}]", "operation.b.next=[]"];
    let found = shares(&half);
    assert!(
        (found[0] - 2.0 / 3.0).abs() < 1e-9 && (found[1] - 1.0 / 3.0).abs() < 1e-9,
        "{found:?}"
    );
}

#[test]
fn a_user_of_a_population_leaves_after_failures() {
    // b fails and is done again and again, until the third failure: then somebody begins with a.
    let fails = "operation.b.flow=[{wait='100ms'}, {reply={bytes='0B', status=500}}]";
    let stays = "operation.b.next=[{to='b', share='100%'}]";
    let all = chained(&[fails, stays, "users.abandons_after=3"]);
    assert!(all[0].abs_diff(750) < 12 && all[1].abs_diff(2_250) < 22, "{all:?}");
    assert_eq!(chained(&[fails, stays])[0], 10);
}

#[test]
fn whoever_comes_in_the_place_of_a_user_has_a_session_to_make() {
    let text = format!("{CHAINED}[session.s]\nstore.memory = {{}}\n");
    let made = |sets: &[&str]| {
        let sets = [&["service.web.before=['session.s']", "run.duration=300s"], sets].concat();
        run(&text, &sets).count("session.s", loadbearing::run::Counter::Created)
    };
    // Without an end of visits each of ten users has one; the rest of c's 100 % ends a visit after three requests.
    let stay = made(&["operation.c.next=[{to='a', share='100%'}]"]);
    let leave = made(&["operation.c.next=[{to='a', share='0%'}]"]);
    assert!(stay == 10 && leave.abs_diff(1_000) < 30, "{stay} {leave}");
    let half = made(&["operation.c.next=[{to='a', share='0%'}]", "users.returning=50%"]);
    assert!(half.abs_diff(500) < 70, "{half}");
}

#[test]
fn what_nobody_follows_is_told() {
    let told = |text: &str| {
        let text = text.to_string();
        let file = format!("version = 1\n{text}[service.web]\n");
        let loaded = loadbearing::topology::load("test.toml", &[], &mut |_| Ok(file.clone()));
        loadbearing::diagnostic::render_plain(&loaded.diagnostics, &loaded.sources)
    };
    let chain = "[operation.a]\nflow = [{ cpu = '1ms' }]\nnext = [{ to = 'a', share = '10%' }]\n";
    let alone = told(&format!("[arrivals]\nrate = '1/s'\n{chain}"));
    assert!(alone.contains("`operation.a.next` has no effect"), "{alone}");
    let users = "[users]\npopulation = 1\nthink = '1s'\nabandons_after = 1\n";
    assert_eq!(told(&format!("{users}{chain}")), "");
    let same = told(&format!("{users}[operation.a]\nflow = [{{ cpu = '1ms' }}]\n"));
    assert!(same.contains("`users.abandons_after` has no effect"), "{same}");
}
