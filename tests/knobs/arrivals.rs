//! Streams that are more than a rate: phases, batches, crowds, traces, virtual users, sessions.

use loadbearing::diagnostic::render_plain;
use loadbearing::model::compile;
use loadbearing::run::{Unwatched, replicate};
use loadbearing::theory::Mmpp;
use loadbearing::topology::load;

use crate::support::{Ran, model, ms, run};

const OPEN: &str = r#"
[arrivals]
process = "even"
rate = "1/s"
users = 1000
[service.web]
[operation.work]
share = 1
flow = [{ cpu = "1ms" }]
"#;

fn open(sets: &[&str]) -> Ran {
    run(OPEN, sets)
}

#[test]
fn phases_come_in_bursts() {
    let phases = |phases: &str| {
        let set = format!("arrivals={{process='poisson', rate='100/s', phases={phases}}}");
        open(&[&set, "run.duration=400s"])
    };
    let spread = |ran: &Ran| {
        let windows = ran.offered_by_window();
        let mean = ran.offered() as f64 / windows.len() as f64;
        let sum: f64 = windows.iter().map(|one| (*one as f64 - mean).powi(2)).sum();
        (mean, sum / windows.len() as f64 / mean)
    };
    let (mean, dispersion) = spread(&phases("[{times=0, for='8s'}, {times=2, for='8s'}]"));
    // On average as often as without; an index of dispersion far above the 1 of a Poisson stream.
    assert!((mean - 100.0).abs() < 45.0 && dispersion > 50.0, "{mean} {dispersion}");
    let (mean, dispersion) = spread(&phases("[]"));
    assert!((mean - 100.0).abs() < 3.0 && dispersion < 1.4, "{mean} {dispersion}");
    let (mean, _) = spread(&phases("[{times=3, for='1s'}]"));
    assert!((mean - 300.0).abs() < 5.0, "{mean}");
}

/// Phases that say what follows them, against the closed form: the mean rate, and the index of dispersion
/// of counts within a second and within ten.
#[test]
fn phases_follow_one_another_as_a_markov_chain_says() {
    let two = (
        "[{times=3, for='400ms', next=['40%', '60%']}, {times=0.5, for='2s', next=['100%', '0%']}]",
        Mmpp::new(&[60.0, 10.0], &[0.4, 2.0], &[&[0.4, 0.6], &[1.0, 0.0]]),
    );
    let rows: [&[f64]; 3] = [&[0.0, 0.9, 0.1], &[0.2, 0.0, 0.8], &[1.0, 0.0, 0.0]];
    let three = (
        "[{times=1, for='1s', next=['0%', '90%', '10%']}, {times=0, for='500ms', next=['20%', '0%', '80%']}, \
         {times=4, for='500ms'}]",
        Mmpp::new(&[20.0, 0.0, 80.0], &[1.0, 0.5, 0.5], &rows),
    );
    for (phases, theory) in [two, three] {
        let set = format!("arrivals={{process='poisson', rate='20/s', phases={phases}}}");
        let ran = open(&[&set, "run.duration=20000s"]);
        let counts: Vec<f64> = ran.offered_by_window().iter().map(|it| *it as f64).collect();
        let within = |seconds: usize| {
            let sums: Vec<f64> = counts.chunks(seconds).map(|it| it.iter().sum()).collect();
            let mean = sums.iter().sum::<f64>() / sums.len() as f64;
            let squares: f64 = sums.iter().map(|it| (it - mean).powi(2)).sum();
            (mean / seconds as f64, squares / sums.len() as f64 / mean)
        };
        let ((mean, second), (_, ten)) = (within(1), within(10));
        let expected = (theory.mean_per_s(), theory.dispersion(1.0), theory.dispersion(10.0));
        // 20,000 s: the mean deviates by sqrt(mean dispersion / 20,000), some 0.6 %.
        let near = |seen: f64, known: f64, by: f64| (seen / known - 1.0).abs() < by;
        assert!(near(mean, expected.0, 0.02), "{mean} {expected:?}");
        assert!(near(second, expected.1, 0.04), "{second} {expected:?}");
        assert!(near(ten, expected.2, 0.12), "{ten} {expected:?}");
    }
}

/// The first phase is drawn by the share of time of each: here the second has four fifths of it.
#[test]
fn a_chain_starts_in_a_phase_by_its_share_of_time() {
    let phases =
        "[{times=1, for='1h', next=['0%', '100%']}, {times=3, for='4h', next=['100%', '0%']}]";
    let set = format!("arrivals={{process='poisson', rate='100/s', phases={phases}}}");
    let model = model(OPEN, &[&set, "run.duration=5s"]);
    let outcomes = (0..200).map(|index| replicate(&model, index, &mut Unwatched));
    let busy = outcomes.filter(|outcome| outcome.requests.offered > 1_000).count();
    // 160 of 200, with a deviation of 5.7.
    assert!((140..180).contains(&busy), "{busy}");
    assert!((model.arrivals.requests_each() - 2.6).abs() < 1e-12);
    // Without `next` they come in turn from the first.
    let turns = open(&[
        "arrivals={process='poisson', rate='100/s', phases=[{times=1, for='1h'}, {times=3, for='4h'}]}",
    ]);
    assert!((turns.offered() as f64 - 1_050.0).abs() < 150.0, "{}", turns.offered());
}

#[test]
fn batches_and_crowds_come_together() {
    assert_eq!(open(&["arrivals.batch=7"]).offered(), 70);
    let crowd = |crowd: &str| open(&["arrivals.rate=0/s", &format!("arrivals.crowd={crowd}")]);
    // A hundred at once take a hundred times as long as one: the burst clears in N x S.
    let all = crowd("{at='2s', users=100}");
    assert_eq!((all.offered(), all.longest(), all.shortest()), (100, ms(100), ms(1)));
    let slowly = crowd("{at='2s', users=100, over='2s'}");
    assert_eq!((slowly.offered(), slowly.each()), (100, ms(1)));
    assert_eq!(slowly.offered_by_window()[..5], [0, 1, 50, 49, 0]);
    let later = open(&["arrivals.rate=0/s", "arrivals.crowd={at='2s', users=5}", "run.warmup=3s"]);
    assert_eq!(later.offered_by_window()[4], 5, "from the start of the measured time");
}

#[test]
fn an_arrival_without_a_free_virtual_user_is_dropped() {
    let slow = "operation.work.flow=[{wait='3500ms'}]";
    let ran = |vus: &str| {
        let ran = open(&[slow, &format!("arrivals.vus={vus}")]);
        (ran.offered(), ran.outcome.attempts.dropped)
    };
    // One every second, for 3.5 s each.
    assert_eq!(ran("{pre_allocated=4}"), (10, 0));
    assert_eq!(ran("{pre_allocated=1}"), (3, 7));
    // Each drop makes one more, up to the most.
    assert_eq!(ran("{pre_allocated=1, max=10}"), (7, 3));
    assert_eq!(ran("{pre_allocated=1, max=2}").1, 5);
}

const PAGES: &str = r#"
[arrivals]
rate = "20/s"
users = 1000
session = { pages = 4, think.exponential = "2s" }
[service.web]
[operation.look]
share = 1
flow = [{ wait = "100ms" }]
[operation.buy]
share = 0
flow = [{ wait = "100ms" }]
"#;

#[test]
fn a_session_is_pages_with_thinking_between() {
    let ran = |sets: &[&str]| run(PAGES, &[&["run.duration=400s"], sets].concat());
    let rate = |ran: &Ran| ran.offered() as f64 / 400.0;
    // 8,000 sessions of 4 pages: a deviation of 0.9 pages a second.
    let all = rate(&ran(&[]));
    assert!((all - 80.0).abs() < 3.5, "{all}");
    let few = rate(&ran(&["arrivals.session={pages=1, think='2s'}"]));
    assert!((few - 20.0).abs() < 1.0, "{few}");
    // Longer thinking moves pages past the end: a mean of 3 x 60 s is not small beside 400 s.
    assert!(rate(&ran(&["arrivals.session={pages=4, think={exponential='60s'}}"])) < 70.0);
    // Whoever fails leaves at the second failure.
    let fails = "operation.look.flow=[{reply={bytes='0B', status=500}}]";
    let fed_up =
        rate(&ran(&[fails, "arrivals.session={pages=1000000, think='1s', abandons_after=2}"]));
    assert!((fed_up - 40.0).abs() < 1.5, "{fed_up}");
}

#[test]
fn operations_may_say_what_follows_them() {
    let next = [
        "operation.look.next=[{to='look', share='50%'}, {to='buy', share='25%'}]",
        "operation.buy.next=[{to='buy', share='0%'}]",
        "run.duration=400s",
    ];
    let ran = run(PAGES, &next);
    let of = |number: u32| {
        ran.outcome.operations[loadbearing::model::ids::OperationId(number)].offered as f64 / 400.0
    };
    // Looks: 1 / (1 - 1/2) = 2 a session; purchases: a quarter of each.
    let (buys, looks) = (of(0), of(1));
    assert!((looks - 40.0).abs() < 2.0 && (buys - 10.0).abs() < 1.0, "{looks} {buys}");
}

const TRACED: &str = r#"version = 1
[run]
warmup = "0s"
duration = "100s"
[arrivals]
users = 5
[arrivals.trace]
file = "a.csv"
[service.web]
[operation.look]
share = 1
flow = [{ wait = "10ms" }]
[operation.buy]
share = 0
flow = [{ wait = "500ms" }]
"#;

fn traced(csv: &str, sets: &[&str]) -> (Vec<u64>, u64) {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    let mut read = |path: &str| match path {
        "folder/a.csv" => Ok(csv.to_string()),
        _ => Ok(TRACED.to_string()),
    };
    let loaded = load("folder/test.toml", &sets, &mut read);
    let said = render_plain(&loaded.diagnostics, &loaded.sources);
    let model = compile(&loaded.topology.unwrap_or_else(|| panic!("{said}")));
    let outcome = replicate(&model, 0, &mut Unwatched);
    assert!(outcome.audit.broken.is_empty());
    let slow = outcome.operations[loadbearing::model::ids::OperationId(0)].ok;
    (outcome.windows.iter().map(|window| window.offered).collect(), slow)
}

#[test]
fn a_trace_is_played_as_it_was_scaled_or_resampled() {
    let csv = "timestamp,operation\n1000.2,look\n1000.7,buy\n1002.9,look\n1004.3,buy\n";
    let (windows, bought) = traced(csv, &["arrivals.trace.mode=absolute"]);
    assert_eq!((&windows[..6], bought), (&[2, 0, 1, 0, 1, 0][..], 2), "exact counts by second");
    let (windows, _) = traced(csv, &["arrivals.trace.mode={scaled={times=2}}"]);
    assert_eq!(windows[..4], [2, 1, 1, 0]);
    let (windows, _) = traced(csv, &["arrivals.trace.mode=resampled"]);
    // Gaps of 0.5, 2.2 and 1.3 s, at random: one in 1.33 s on average, for the whole run.
    let all: u64 = windows.iter().sum();
    assert!(all.abs_diff(75) < 30 && all > 4, "{all}");
}
