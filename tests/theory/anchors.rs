//! Points of the many-server queue that are published, those near capacity and those with patience,
//! and the infinite server whose arrivals come and go.

use loadbearing::run::Counter;
use loadbearing::theory::{ErlangA, InfiniteServer, Mmc};

use crate::pools::pool;
use crate::{Runs, agrees_within, check, check_jointly, mean};

/// M/M/c at 98.7 and 99 % of what it carries. A queue this long relaxes in 150, 80 and 40 s, of which
/// a run is but a few: its mean is skewed, and with it Student's t. Of 1,000 simulations each of the
/// birth and death process alone, with as many and as long replications, one or two had |t| > 6.
#[test]
fn mmc_near_capacity() {
    const BOUND: f64 = 6.5;
    for (servers, service_s, rate, warmup, seconds, share) in [
        (15, 0.1, 148.0, 300, 400, 0.01),
        (50, 0.1, 495.0, 160, 200, 0.007),
        (20, 0.02, 990.0, 80, 100, 0.007),
    ] {
        let warmup = format!("run.warmup={warmup}s");
        let sets = [&*warmup, "run.attribution_every=1000"];
        let runs = pool(16, servers, rate, service_s, seconds, &sets);
        let theory = |stretch: f64| Mmc {
            servers,
            arrival_rate_per_s: rate,
            service_s: service_s * stretch,
        };
        let what = |figure: &str| format!("M/M/{servers} at {rate}/s, {figure}");
        check(&what("who waits"), &runs.waited("pool.pg"), share, |s| {
            if theory(s).utilisation() < 1.0 { theory(s).wait_probability() } else { 1.0 }
        });
        let wait = runs.wait_mean_s("pool.pg");
        let p95 = runs.latency_quantile_s(0.95);
        for (figure, seen, right, wrong) in [
            ("wait", wait, theory(1.0).wait_mean_s(), theory(1.0 + share).wait_mean_s()),
            (
                "p95",
                p95,
                theory(1.0).response_quantile_s(0.95),
                theory(1.0 + share).response_quantile_s(0.95),
            ),
        ] {
            let what = what(figure);
            assert!(agrees_within(&seen, right, BOUND), "{what}: {} is not {right}", mean(&seen));
            assert!(!agrees_within(&seen, wrong, BOUND), "{what}: {} or {wrong}", mean(&seen));
        }
    }
}

/// Erlang-A with c = 20, 50/s each and a patience of 10 s (Garnett, Mandelbaum and Reiman 2002): who
/// leaves below, at and above what the servers carry. Above, the fluid limit 1 - 1/rho has the same
/// four digits.
#[test]
fn erlang_a_at_published_points() {
    let theory = |rate: f64, stretch: f64| {
        let station = Mmc { servers: 20, arrival_rate_per_s: rate, service_s: 0.02 * stretch };
        ErlangA { station, patience_s: 10.0 }
    };
    let points = [(900.0, 0.0005, 30), (1_000.0, 0.0076, 100), (1_200.0, 0.1667, 40)];
    let mut seen = Vec::new();
    for (rate, printed, seconds) in points {
        let exact = theory(rate, 1.0).abandonment_ratio();
        assert!((exact - printed).abs() < 0.00005, "{exact} is not {printed}");
        let sets = [
            "client.patience.exponential=10s",
            "service.web.cancel_waiting=true",
            "run.warmup=40s",
            "run.attribution_every=1000",
        ];
        let runs = pool(12, 20, rate, 0.02, seconds, &sets);
        seen.push((rate, runs.ratio("pool.pg", Counter::TimedOut, Counter::Arrivals)));
    }
    check_jointly("who leaves", &seen, 0.04, |rate, s| theory(rate, s).abandonment_ratio());
}

/// M_t/G/infinity: how many there are at a time is Poisson with the mean E[lambda(t - S_e)] E[S], the
/// rate's wave seen late and smoothed by the equilibrium law of the stay (Eick, Massey and Whitt 1993).
/// Four laws of one mean, which differ in how late and how smooth.
#[test]
fn an_infinite_server_follows_a_wave_late() {
    const WAVE: &str = r#"
        version = 1
        run = { warmup = "10s", duration = "400s", window = "1s", attribution_every = 1000 }
        [arrivals]
        rate = "100/s"
        sinusoid = { period = "8s", amplitude = "80%" }
        [service.web]
        [operation.ask]
        share = 1
        flow = [{ wait = "1s" }]
    "#;
    type Theory = fn(f64, f64) -> InfiniteServer;
    for (law, theory) in [
        ("{ wait = '1s' }", InfiniteServer::constant as Theory),
        ("{ wait.exponential = '1s' }", InfiniteServer::exponential),
        ("{ wait.erlang = { stages = 3, mean = '1s' } }", |s, t| InfiniteServer::erlang(3, s, t)),
        ("{ wait.hyperexponential = { mean = '1s', cv = 2 } }", |s, t| {
            InfiniteServer::hyperexponential(2.0, s, t)
        }),
    ] {
        let runs = Runs::set(12, WAVE, &[&format!("operation.ask.flow=[{law}]")]);
        // The eight seconds of a period, each seen fifty times in a replication.
        let seen: Vec<(f64, Vec<f64>)> = (0..8)
            .map(|second| {
                let level = runs.each(|outcome| {
                    let windows = outcome.windows.iter().filter(|it| it.measured);
                    let same = windows.enumerate().filter(|(at, _)| at % 8 == second);
                    let levels: Vec<f64> = same.map(|(_, window)| window.in_flight).collect();
                    mean(&levels)
                });
                (second as f64, level)
            })
            .collect();
        let within = |second: f64, s: f64| {
            100.0 * theory(s, 8.0).mean_between(0.8, second + WAVE_BEGINS, 1.0)
        };
        check_jointly(&format!("M_t/G/infinity, {law}"), &seen, 0.04, within);
        // Nor is it the rate of the moment times the mean stay.
        let at_once = |second: f64, _: f64| {
            100.0 * InfiniteServer::constant(1e-6, 8.0).mean_between(0.8, second, 1.0) / 1e-6
        };
        let differs =
            seen.iter().any(|(second, level)| !agrees_within(level, at_once(*second, 1.0), 10.0));
        assert!(differs, "no delay, no smoothing: {law}");
    }
}

/// The wave is that of the clock of the run, whose warm-up is 10 s: the first measured second is the
/// third of a period.
const WAVE_BEGINS: f64 = 10.0;
