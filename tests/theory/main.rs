//! Is it right? The whole engine against closed forms.
//!
//! Every check takes one figure of independent replications and asks whether their mean could be
//! what theory says: Student's t with R - 1 degrees of freedom, two-sided, at a false-alarm rate
//! of 6e-5 a check (what |z| < 4 is for the normal law), one in a hundred for all checks of this
//! folder together. Seeds are fixed, so a check that holds today holds until the engine changes.
//! Every check has teeth: the same figures must reject a theory perturbed by a few per cent.
//!
//! The rows that the command `theory` shows are checked in `list`; the other files go beyond them,
//! often with the same topologies:
//!
//! | Closed form | Test |
//! |---|---|
//! | M/M/1, M/D/1, M/G/1; D/M/1 | `list`, `loops::mm1`, `mg1`, `rare_blocking_operation`; `even_arrivals_are_d_m_1` |
//! | E_n/M/1 (each n-th of a Poisson stream) | `list`, `loops::round_robin_is_en_m_1`, `cluster_is_en_m_1` |
//! | M/G/1-PS, M/G/c-PS | `list`, `sharing::one_core_is_insensitive`, `several_cores_hold_what_mmc_holds`, `slowdown_is_the_same_for_all_sizes` |
//! | M/M/c at published points, up to 99 % busy; a pooler | `list`, `pools::mmc`, `anchors::mmc_near_capacity` |
//! | M/M/c/K, Erlang B | `list`, `pools::mmck`, `gates::guard_on_busy_is_erlang_b`, `a_bulkhead_is_erlang_b` |
//! | M/M/c + M (Erlang A), M/M/c + D | `pools::impatient_users_who_leave_the_queue_are_erlang_a`, `anchors::erlang_a_at_published_points`, `pools::acquire_timeout_is_constant_patience` |
//! | G/G/c (Kingman, Allen and Cunneen), within a tenth | `list` |
//! | M/G/infinity; its mean under a wave (M_t/G/infinity) | `list`, `deploys::open_sockets_are_an_infinite_server`; `anchors::an_infinite_server_follows_a_wave_late` |
//! | machine repair, closed networks | `list`, `closed::machine_repair`, `mean_value_analysis` |
//! | priorities (Cobham) | `list`, `pools::job_priorities_are_cobham` |
//! | fork and join, the slowest of n | `list`, `pools::scatter_waits_for_the_slowest_shard` |
//! | Jackson networks, visits to one loop | `list`, `loops::visits_to_the_same_loop` |
//! | the first passage of a pool's total | `latch` |
//! | openings of a pool with overflow, at published points | `list`, `pools::overflow_connections_churn_as_published` |
//! | a breaker with one trial, with ten; jobs that outlive their lock; a backlog that drains | `list`; `gates::a_breaker_alternates`, `pools::messages_are_received_twice`, `streams::a_backlog_drains` |
//! | Che, FIFO, random at published points; sampled LRU beside a real Redis, times to live, early refreshes | `list`, `caches`, `products::early_refreshes_follow_their_law` |
//! | the supermarket model; bounded loads | `list`, `networks::two_choices_are_the_supermarket_model`; `products::bounded_loads_are_bounded` |
//! | the universal scalability law | `products::statements_slow_one_another_by_the_universal_scalability_law` |
//! | rules of products: ALB's checks, slow starts, the HPA, CoDel | `products` |
//! | PgBouncer opens n connections in n times the time of one; ioredis flushes when its attempts are used up | `traps`: `t_21_...`; `t_33_...` |
//! | a window lets its limit pass, twice that around its end; Bull runs stalled jobs again after 30 to 60 s | `traps`: `t_37_...`; `t_49_...` |
//! | opossum opens above half; node-postgres' idle connections are LIFO, its waiters FIFO; SQLAlchemy closes the sixth idle one | the tests of `src/component` |
//! | Little's law | asserted to the tick in the audit of every run |

mod anchors;
mod caches;
mod closed;
mod deploys;
mod gates;
mod latch;
#[cfg(feature = "cli")]
mod list;
mod loops;
mod networks;
mod pools;
mod products;
#[path = "../runs/mod.rs"]
mod runs;
mod sharing;
mod streams;
mod upkeep;

use std::fs;

use loadbearing::model::Model;
use loadbearing::run::{Counter, Outcome, StationOutcome};
use loadbearing::stats::student_t_quantile;
use loadbearing::validation::{FALSE_ALARM, Observed, bound, deviation};

/// Replications of one topology.
struct Runs {
    model: Model,
    outcomes: Vec<Outcome>,
}

impl Runs {
    /// Runs a topology so many times.
    fn of(replications: u32, topology: &str) -> Runs {
        Runs::set(replications, topology, &[])
    }
    /// Runs a file of `topologies/theory` so many times, with settings over it.
    fn over(replications: u32, file: &str, sets: &[&str]) -> Runs {
        let path = format!("{}/topologies/theory/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Runs::set(replications, &text, sets)
    }
    fn set(replications: u32, topology: &str, sets: &[&str]) -> Runs {
        let mut model = runs::model(topology, sets);
        model.plan.seed = seed_of(&format!("{topology}{}", sets.concat()));
        let outcomes = (0..replications).map(|index| runs::run(&model, index)).collect();
        Runs { model, outcomes }
    }
    /// A figure of each replication.
    fn each(&self, figure: impl Fn(&Outcome) -> f64) -> Vec<f64> {
        self.outcomes.iter().map(figure).collect()
    }
    /// What theory speaks of, in each replication.
    fn observe(&self, figure: impl Fn(Observed<'_>) -> f64) -> Vec<f64> {
        self.each(|outcome| figure(Observed { model: &self.model, outcome }))
    }
    /// A figure of a component in each replication.
    fn at(&self, path: &str, figure: impl Fn(&StationOutcome) -> f64) -> Vec<f64> {
        self.observe(|it| figure(it.at(path)))
    }
    /// A counter of a component as a share of another one, in each replication.
    fn ratio(&self, path: &str, part: Counter, whole: Counter) -> Vec<f64> {
        self.observe(|it| it.ratio(path, part, whole))
    }
    /// Mean latency [s] of each replication.
    fn latency_mean_s(&self) -> Vec<f64> {
        self.observe(|it| it.latency_mean_s())
    }
    /// A quantile of the latency [s] of each replication.
    fn latency_quantile_s(&self, p: f64) -> Vec<f64> {
        self.observe(|it| it.latency_quantile_s(p))
    }
    /// Mean latency [s] of an operation, by name, in each replication.
    fn operation_mean_s(&self, name: &str) -> Vec<f64> {
        self.observe(|it| it.operation_mean_s(name))
    }
    /// Mean waiting time [s] at a component in each replication.
    fn wait_mean_s(&self, path: &str) -> Vec<f64> {
        self.observe(|it| it.wait_mean_s(path))
    }
    /// Share of those who had to wait at a component, in each replication.
    fn waited(&self, path: &str) -> Vec<f64> {
        self.observe(|it| it.waited(path))
    }
    /// Answers per second in each replication.
    fn throughput_per_s(&self) -> Vec<f64> {
        self.observe(|it| it.throughput_per_s())
    }
    /// Failed requests as a share of those that ended, in each replication.
    fn failed_ratio(&self) -> Vec<f64> {
        self.observe(|it| it.failed_ratio())
    }
}

/// Every topology has a seed of its own (FNV-1a of its text, without the spaces that set it), so
/// that checks do not share their luck.
fn seed_of(topology: &str) -> u64 {
    topology
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        })
}

fn mean(observations: &[f64]) -> f64 {
    observations.iter().sum::<f64>() / observations.len() as f64
}

/// Whether the observations could have the expected value as their mean.
fn agrees(observations: &[f64], expected: f64) -> bool {
    deviation(observations, expected).abs() < bound(observations.len())
}

/// The same with a bound of its own.
fn agrees_within(observations: &[f64], expected: f64, bound: f64) -> bool {
    deviation(observations, expected).abs() < bound
}

/// A table whose points share a parameter: `theory(point, stretch)`. All of them agree, at the
/// false-alarm rate of a check for the whole table (Bonferroni); and with the parameter `share`
/// larger, or as much smaller, the table does not.
#[track_caller]
fn check_jointly<P: Copy + std::fmt::Debug>(
    what: &str,
    points: &[(P, Vec<f64>)],
    share: f64,
    theory: impl Fn(P, f64) -> f64,
) {
    let each = FALSE_ALARM / points.len() as f64;
    let fits = |point: P, observations: &[f64], stretch: f64| {
        let degrees = observations.len() as f64 - 1.0;
        let bound = student_t_quantile(1.0 - each / 2.0, degrees);
        agrees_within(observations, theory(point, stretch), bound)
    };
    for (point, seen) in points {
        let (mean, expected) = (mean(seen), theory(*point, 1.0));
        let t = deviation(seen, expected);
        assert!(fits(*point, seen, 1.0), "{what} at {point:?}: {mean} is not {expected}, t = {t}");
    }
    for stretch in [1.0 - share, 1.0 + share] {
        let all = points.iter().all(|(point, seen)| fits(*point, seen, stretch));
        assert!(!all, "{what}: no teeth, the parameter could be {stretch} times as large");
    }
}

/// The observations agree with the theory, and reject the theory of a model whose parameter is
/// `share` larger: `theory(stretch)` is the figure with the parameter times `stretch`.
#[track_caller]
fn check(what: &str, observations: &[f64], share: f64, theory: impl Fn(f64) -> f64) {
    let mean = mean(observations);
    let (expected, wrong) = (theory(1.0), theory(1.0 + share));
    let t = deviation(observations, expected);
    assert!(agrees(observations, expected), "{what}: {mean} is not {expected}, t = {t}");
    assert!(!agrees(observations, wrong), "{what}: no teeth, {mean} could be {wrong} as well");
}
