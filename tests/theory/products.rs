//! The rules of products as a run shows them, where arithmetic says what it must: health checks, slow
//! starts, bounded loads, autoscalers, CoDel, early refreshes, and cores that stand in one another's way.

use loadbearing::model::Model;
use loadbearing::run::{Counter, Outcome};
use loadbearing::theory::{ContentionLaw, EarlyRefresh};

use crate::{Runs, check, check_jointly};

/// What a component holds on average in each measured window.
fn held(model: &Model, outcome: &Outcome, path: &str) -> Vec<f64> {
    let found = model.stations.enumerate().find(|(_, station)| station.path == path);
    let place = found.expect("it is there").0.0 as usize;
    let measured = outcome.windows.iter().filter(|window| window.measured);
    measured.map(|window| window.stations[place].held).collect()
}

/// A target of an ALB that is gone: it is out after the second check that fails, at a uniform time from
/// 30 to 60 s later, and back after the fifth that succeeds, 120 to 150 s after it is there again. Two
/// hundred targets are as many phases.
#[test]
fn an_alb_takes_out_after_two_checks_and_back_after_five() {
    let topology = r#"
        version = 1
        run = { warmup = "100s", duration = "600s", window = "1s", attribution_every = 1000 }
        arrivals.rate = "1/s"
        balancer.front = { service = "web", kind = "alb", nodes = 1, hop = "0ms" }
        service.web = { instances = 200 }
        fault.f = { target = "service.web", what = "stop", count = 100, at = "0s", for = "300s" }
        operation.ask = { share = 1, flow = [{ wait = "1ms" }] }
    "#;
    let runs = Runs::of(12, topology);
    let mut out = Vec::new();
    let mut back = Vec::new();
    for outcome in &runs.outcomes {
        let there = held(&runs.model, outcome, "balancer.front");
        // None before 30 s, all by 60 s; none before 120 s after they are there again, all by 150 s.
        assert_eq!(
            (there[29], there[60], there[300 + 119], there[300 + 150]),
            (200., 100., 100., 200.)
        );
        // Targets that are still in, summed over time: how long each stays on average.
        out.push(there[..100].iter().map(|held| (held - 100.0) / 100.0).sum::<f64>());
        back.push(there[300..500].iter().map(|held| (200.0 - held) / 100.0).sum::<f64>());
    }
    check("out", &out, 0.05, |s| 45.0 * s);
    check("back", &back, 0.03, |s| 135.0 * s);
}

/// A new target takes turns with an old one in proportion to its weight, which grows from 0 to 1 over
/// the slow start: of the requests meanwhile it has 1 - ln 2, and 2 ((1/2) - ln(3/2)) of those in the
/// first half. Whoever draws takes part in the same proportion.
#[test]
fn a_slow_start_is_linear() {
    for policy in ["round-robin", "random"] {
        for (part, share) in [(1.0, 1.0 - libm::log(2.0)), (0.5, 1.0 - 2.0 * libm::log(1.5))] {
            let topology = format!(
                r#"
                version = 1
                run = {{ warmup = "20s", duration = "{}s", attribution_every = 1000 }}
                arrivals.rate = "100/s"
                balancer.front = {{ service = "web", policy = "{policy}", slow_start = "200s", hop = "0ms" }}
                [service.web]
                instances = 1
                [service.web.autoscale]
                min = 1
                max = 2
                start = "1us"
                metric.requests = "1_000_000/s"
                schedule = [{{ at = "0s", min = 2 }}]
                [operation.ask]
                share = 1
                flow = [{{ cpu = "100us" }}]
                "#,
                200.0 * part
            );
            let runs = Runs::of(24, &topology);
            let newer = runs.at("service.web", |station| {
                let (busiest, mean) = station.worker_busiest.expect("they work");
                1.0 - busiest / (2.0 * mean)
            });
            check(&format!("{policy}, {part}"), &newer, 0.06, |s| share * s);
        }
    }
}

/// Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam 2018): no target has more
/// than ceil(c x the mean) requests, one more included. Users of Zipf's popularity who all wait for a
/// second are a mean of 20 on each of eight targets.
#[test]
fn bounded_loads_are_bounded() {
    let most = |policy: &str| {
        let topology = format!(
            r#"
            version = 1
            run = {{ warmup = "5s", duration = "40s", attribution_every = 1000 }}
            users = {{ population = 160, think = "1ms" }}
            balancer.front = {{ service = "web", hop = "0ms", policy = {policy} }}
            [service.web]
            instances = 8
            max_connections = 24
            backlog = 1
            on_overflow = "refuse"
            [operation.ask]
            share = 1
            flow = [{{ wait.exponential = "1s" }}]
            "#
        );
        let runs = Runs::of(1, &topology);
        let refused =
            runs.outcomes[0].stations.iter().map(|it| it.counters[Counter::Refused as usize]);
        (refused.sum::<u64>(), runs.at("service.web", |it| it.waiting_peak as f64)[0])
    };
    // With c = 1.2 a target has at most ceil(1.2 x 160 / 8) = 24 places taken: nobody waits for a 25th.
    assert_eq!(most("{ consistent-hash = { bound = 1.2 } }"), (0, 0.0));
    assert_eq!(most("{ maglev = { bound = 1.2 } }"), (0, 0.0));
    // Teeth: four per cent more are 25, and somebody waits. Without a bound the busiest has far more.
    assert!(most("{ consistent-hash = { bound = 1.25 } }").1 > 0.0);
    assert!(most("'consistent-hash'").0 > 0);
}

/// X-Fetch: who reads a value d before its end loads it anew with probability exp(-d / (beta delta)).
#[test]
fn early_refreshes_follow_their_law() {
    let (rate, load_s, ttl_s) = (10.0, 0.1, 2.0);
    let points = [0.5, 1.0, 2.0];
    let runs = |beta: f64| {
        let topology = format!(
            r#"
            version = 1
            run = {{ warmup = "10s", duration = "2000s", attribution_every = 1000 }}
            arrivals.rate = "{rate}/s"
            service.web = {{}}
            keys.k = {{ count = 1 }}
            cache.store = {{ kind = "memory", service = "web", command = "0ms" }}
            [operation.ask]
            share = 1
            flow = [{{ cache = {{ in = "store", keys = "k", ttl = "{ttl_s}s", early = {beta}, single_flight = true, miss = [{{ wait = "{load_s}s" }}] }} }}]
            "#
        );
        Runs::of(12, &topology)
    };
    let theory = |beta: f64| EarlyRefresh { reads_per_s: rate, load_s, ttl_s, beta };
    let mut shares = Vec::new();
    let mut rates = Vec::new();
    for beta in points {
        let runs = runs(beta);
        let counter =
            |which: Counter| runs.at("cache.store", |it| it.counters[which as usize] as f64);
        let (early, loads) = (counter(Counter::Early), counter(Counter::Misses));
        let joined = counter(Counter::Joined);
        let loads: Vec<f64> = loads.iter().zip(&joined).map(|(all, joined)| all - joined).collect();
        shares.push((beta, early.iter().zip(&loads).map(|(early, all)| early / all).collect()));
        rates.push((beta, loads.iter().map(|all| all / 2_000.0).collect()));
    }
    check_jointly("early loads", &shares, 0.1, |beta, s| theory(beta * s).early_ratio());
    check_jointly("loads", &rates, 0.05, |beta, s| theory(beta * s).loads_per_s());
}

/// The universal scalability law. A closed crowd is a number of statements at once, and the throughput
/// is the law's; an open one is a birth and death process whose deaths follow it.
#[test]
fn statements_slow_one_another_by_the_universal_scalability_law() {
    let law = |stretch: f64| ContentionLaw {
        single_per_s: 100.0 / stretch,
        contention: 0.05,
        coherency: 0.002,
    };
    let topology = |workload: &str, most: u32, seconds: u32| {
        format!(
            r#"
            version = 1
            run = {{ warmup = "5s", duration = "{seconds}s", start.pools = "full", attribution_every = 1000 }}
            {workload}
            service.web = {{}}
            pool.pg = {{ service = "web", database = "main", size = {most}, min = {most} }}
            [database.main]
            cores = 1
            rtt = "0ms"
            contention = {{ sigma = 0.05, kappa = 0.002 }}
            max_connections = 200
            [operation.ask]
            share = 1
            flow = [{{ query = {{ pool = "pg", read.exponential = "10ms" }} }}]
            "#
        )
    };
    // On one core n statements do as much as one, less what they cost one another: X(n) / n of the law.
    let done = |at_once: f64, s: f64| law(s).throughput_per_s(at_once) / at_once;
    let seen: Vec<(f64, Vec<f64>)> = [1_u32, 2, 8, 32]
        .into_iter()
        .map(|users| {
            let crowd = format!("users = {{ population = {users}, think = \"0s\" }}");
            (f64::from(users), Runs::of(12, &topology(&crowd, 40, 60)).throughput_per_s())
        })
        .collect();
    check_jointly("a crowd", &seen, 0.04, done);
    // 50/s over at most six connections, the others waiting for them.
    let runs = Runs::of(16, &topology("arrivals.rate = \"50/s\"", 6, 300));
    check("open", &runs.latency_mean_s(), 0.05, |s| {
        let (mut weight, mut total, mut inside) = (1.0, 1.0, 0.0);
        for number in 1..4_000_u32 {
            weight *= 50.0 / done(f64::from(number.min(6)), s);
            total += weight;
            inside += f64::from(number) * weight;
        }
        inside / total / 50.0
    });
}

/// CoDel drops the first request when waits have been above 5 ms for 100 ms, and the next ones after
/// 100 / sqrt(k) ms each. One server that takes a millisecond has 1,300 requests a second to do: until it
/// drops 300 a second, the law says how many are gone by when.
#[test]
fn codel_drops_at_its_pace() {
    let topology = r#"
        version = 1
        run = { warmup = "0s", duration = "2s", window = "50ms" }
        arrivals = { rate = "1300/s", process = "even" }
        service.web = { before = ["bulkhead.b"] }
        bulkhead.b = { limit.fixed = 1, queue = { shed = "codel" } }
        operation.ask = { share = 1, flow = [{ wait = "1ms" }] }
    "#;
    let runs = Runs::of(1, topology);
    let mut dropped = 0;
    let gone: Vec<u64> = runs.outcomes[0]
        .windows
        .iter()
        .map(|window| {
            dropped += window.failed;
            dropped
        })
        .collect();
    let by_law = |interval_ms: f64, at_ms: f64| {
        // The wait has passed 5 ms once 22 requests have come, after 17 ms; the next are taken then.
        let first = 5.0 / (1.0 - 1.0 / 1.3) - 5.0 + interval_ms;
        let (mut next, mut count) = (first, 0_u64);
        while next <= at_ms {
            count += 1;
            next += interval_ms / (count as f64).sqrt();
        }
        count
    };
    let off = |interval_ms: f64| {
        let each = gone.iter().enumerate().map(|(at, gone)| {
            let law = by_law(interval_ms, (at as f64 + 1.0) * 50.0);
            gone.abs_diff(law)
        });
        each.max().expect("windows")
    };
    assert!(gone[39] > 50, "{gone:?}");
    assert!(off(100.0) <= 1, "{gone:?}");
    // Teeth: an interval of four per cent less or more is another course.
    assert!(off(96.0) > 1 && off(104.0) > 1);
}

/// The Horizontal Pod Autoscaler through a run: pods of one core each that are asked for by eight cores'
/// worth of evenly spaced work are all full until there are enough, and double; the load falls, and the
/// most that was wanted in five minutes stays.
#[test]
fn the_hpa_follows_its_rule_look_by_look() {
    let topology = r#"
        version = 1
        run = { warmup = "0s", duration = "900s", window = "15s" }
        [arrivals]
        rate = "800/s"
        process = "even"
        stages = [{ for = "300s", to = "800/s" }, { for = "1s", to = "200/s" }, { for = "600s", to = "200/s" }]
        [client]
        patience = "1s"
        [service.web]
        instances = 1
        backlog = 20
        max_connections = 20
        on_max = "close"
        autoscale = { min = 1, max = 40, policy.hpa = {}, target = "50%", start = "1us" }
        [operation]
        ask = { share = 1, flow = [{ cpu = "10ms" }] }
    "#;
    let pods = |sets: &[&str]| {
        let runs = Runs::set(1, topology, sets);
        let pods = held(&runs.model, &runs.outcomes[0], "service.web");
        pods.iter().map(|held| held.round() as u32).collect::<Vec<u32>>()
    };
    let seen = pods(&[]);
    // Twice as many at each look that a whole sample of the youngest has gone before: 100 % of 50 %.
    assert_eq!(seen[..8], [1, 2, 2, 4, 4, 8, 8, 16]);
    // Eight cores' worth on 16 pods is the target. What is asked for from 315 s on, ceil(16 x 13 / 50)
    // in the quarter of a minute in which the load falls and ceil(16 x 12 / 50) after it, counts when
    // the last look that asked for 16 is five minutes old.
    assert_eq!(seen[8..40], [16; 32]);
    assert_eq!((seen[40], &seen[41..]), (5, &[4; 19][..]));
    // Teeth: a target four per cent lower is a pod more, a shorter memory a look less.
    assert_eq!(pods(&["service.web.autoscale.target=48%"])[8], 17);
    assert_eq!(pods(&["service.web.autoscale.policy.hpa.down.stabilisation=285s"])[39], 5);
}
