//! Every metric, described once: files, the JSON result, its schema and the tables for people all
//! come from the lists here, so they cannot disagree.

use crate::failure::Failure;
use crate::model::ids::{OperationId, StationId};
use crate::model::{Model, StationKind};
use crate::run::{Counter, Outcome, StationOutcome, Window};
use crate::stats::{Histogram, Weighed};
use crate::units::Duration;

use super::cost::cost_month;

/// What a metric counts in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Events a second.
    PerSecond,
    /// A share of a whole, or a quotient of two like things.
    Ratio,
    /// A number of things.
    Count,
    /// US dollars.
    Dollars,
}

impl Unit {
    /// How files write it.
    pub fn symbol(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::PerSecond => "1/s",
            Unit::Ratio => "ratio",
            Unit::Count => "count",
            Unit::Dollars => "$",
        }
    }
}

/// How the values of several replications become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fold {
    /// Their mean, with an interval.
    Mean,
    /// The greatest of them; it has no interval.
    Greatest,
    /// Their sum; a count.
    Total,
}

/// Whose metric it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// The whole deployment's.
    All,
    /// That of an operation, by its name.
    Operation(String),
    /// That of a component, by its path.
    Component(String),
}

impl Whose {
    /// A metric's name with the path of whoever has it: `pool.pg.utilisation_ratio`.
    pub fn named(&self, metric: &str) -> String {
        match self {
            Whose::All => metric.into(),
            Whose::Operation(name) => format!("operation.{name}.{metric}"),
            Whose::Component(path) => format!("{path}.{metric}"),
        }
    }
}

/// A subject within a replication: the whole, an operation or a component.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What was run.
    pub model: &'a Model,
    /// What was measured.
    pub outcome: &'a Outcome,
    /// The number of the operation or component; nothing for the whole.
    pub subject: u32,
}

/// What nothing was measured of.
static NOTHING: Histogram = Histogram::new();

impl<'a> Seen<'a> {
    fn seconds(self) -> f64 {
        self.outcome.measured.seconds()
    }
    fn per_second(self, count: u64) -> Option<f64> {
        (self.seconds() > 0.0).then(|| count as f64 / self.seconds())
    }
    fn ended(self) -> u64 {
        self.outcome.requests.ok + self.outcome.requests.failed_all()
    }
    fn operation(self) -> &'a crate::run::OperationTally {
        &self.outcome.operations[OperationId(self.subject)]
    }
    fn station(self) -> &'a StationOutcome {
        &self.outcome.stations[StationId(self.subject)]
    }
    fn kind(self) -> StationKind {
        self.model.stations[StationId(self.subject)].kind
    }
    fn latency(self) -> &'a Histogram {
        &self.outcome.latency
    }
    fn failed_latency(self) -> &'a Histogram {
        &self.outcome.failed_latency
    }
    fn attempt_latency(self) -> &'a Histogram {
        &self.outcome.attempt_latency
    }
    fn operation_latency(self) -> &'a Histogram {
        &self.operation().latency
    }
    fn wait(self) -> &'a Histogram {
        if self.kind() == StationKind::Socket { &NOTHING } else { &self.station().wait }
    }
    /// How long the handlers of messages take: nobody waits at a socket.
    fn handling(self) -> &'a Histogram {
        if self.kind() == StationKind::Socket { &self.station().wait } else { &NOTHING }
    }
    fn counter(self, counter: Counter) -> u64 {
        self.station().counters[counter as usize]
    }
    /// Requests can stand in line at it.
    fn has_queue(self) -> bool {
        !matches!(
            self.kind(),
            StationKind::Network
                | StationKind::Client
                | StationKind::Guard
                | StationKind::Limit
                | StationKind::Breaker
                | StationKind::Cdn
                | StationKind::Balancer
                | StationKind::Session
                | StationKind::Socket
                | StationKind::Store
        )
    }
    /// Users, the network and other people's systems are not components that fill up.
    fn is_built(self) -> bool {
        !matches!(self.kind(), StationKind::Network | StationKind::Client)
    }
}

/// One metric.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Where the JSON result has it: `latency_s.p95`.
    pub path: String,
    /// What it counts in.
    pub unit: Unit,
    /// What it means, in one sentence.
    pub meaning: String,
    /// How replications are folded.
    pub fold: Fold,
    /// It is left out where it is zero in every replication.
    pub sparse: bool,
    index: usize,
    of: fn(Seen<'_>, usize) -> Option<f64>,
    /// The same in a step of the timeline and how much that step weighs in the whole, which gives an
    /// interval when there is only one replication.
    over_time: Option<fn(&Window) -> Weighed>,
}

impl Metric {
    fn new(
        path: impl Into<String>,
        unit: Unit,
        meaning: impl Into<String>,
        of: fn(Seen<'_>, usize) -> Option<f64>,
    ) -> Metric {
        Metric {
            path: path.into(),
            unit,
            meaning: meaning.into(),
            fold: Fold::Mean,
            sparse: false,
            index: 0,
            of,
            over_time: None,
        }
    }
    fn index(mut self, index: usize) -> Metric {
        self.index = index;
        self
    }
    fn fold(mut self, fold: Fold) -> Metric {
        self.fold = fold;
        self
    }
    fn sparse(mut self) -> Metric {
        self.sparse = true;
        self
    }
    fn over_time(mut self, of: fn(&Window) -> Weighed) -> Metric {
        self.over_time = Some(of);
        self
    }

    /// Its value in a replication; [`None`] where there is nothing to measure.
    pub fn value(&self, seen: Seen<'_>) -> Option<f64> {
        (self.of)(seen, self.index).filter(|value| value.is_finite())
    }

    /// Its value in each measured step of a replication, and what that weighs: empty where it has no
    /// course over time.
    pub fn series(&self, outcome: &Outcome) -> Vec<Weighed> {
        let Some(of) = self.over_time else { return Vec::new() };
        outcome.windows.iter().filter(|window| window.measured).map(of).collect()
    }

    /// It has a course over time, which gives an interval when there is only one replication.
    pub fn has_series(&self) -> bool {
        self.over_time.is_some()
    }

    /// Its name in files, with the unit at its end: `latency_s.p95` is `latency_p95_s`.
    pub fn name(&self) -> String {
        name_of(&self.path)
    }
}

/// The name of a metric by its path: `latency_p95_s` of `latency_s.p95`.
pub fn name_of(path: &str) -> String {
    let Some((head, rest)) = path.split_once('.') else { return path.into() };
    let suffix = ["_per_s", "_ratio", "_s"].into_iter().find(|unit| head.ends_with(unit));
    let stem = head.strip_suffix(suffix.unwrap_or("")).unwrap_or(head);
    format!("{stem}_{}{}", rest.replace('.', "_"), suffix.unwrap_or(""))
}

/// The mean latency (s) of the requests that ended well in a step, which weighs as many as they are.
pub fn latency_over_time(window: &Window) -> Weighed {
    (window.latency_mean_s.unwrap_or(0.0), window.ok as f64)
}

/// So many in a step (1/s), which weighs as long as it is.
fn rate_over_time(count: u64, window: &Window) -> Weighed {
    (count as f64 / length_s(window), length_s(window))
}

fn length_s(window: &Window) -> f64 {
    window.end.since(window.start).seconds()
}

/// Quantiles that are reported, by their names.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

/// Mean, quantiles and maximum of a histogram; `pick` says whose it is.
macro_rules! of_histogram {
    ($path:literal, $what:literal, $pick:path) => {{
        let quantile = |seen: Seen<'_>, index: usize| {
            let histogram: &Histogram = $pick(seen);
            histogram.quantile(QUANTILES[index].1).map(Duration::seconds)
        };
        let mut metrics = vec![Metric::new(
            concat!($path, ".mean"),
            Unit::Seconds,
            concat!("Mean ", $what, "."),
            |seen, _| $pick(seen).mean_s(),
        )];
        for (index, (name, share)) in QUANTILES.into_iter().enumerate() {
            let meaning = format!("{} % of {} are at most this.", 100.0 * share, $what);
            let path = format!("{}.{name}", $path);
            metrics.push(Metric::new(path, Unit::Seconds, meaning, quantile).index(index));
        }
        let greatest = Metric::new(
            concat!($path, ".max"),
            Unit::Seconds,
            concat!("The greatest of all ", $what, "."),
            |seen, _| $pick(seen).max().map(Duration::seconds),
        );
        metrics.push(greatest.fold(Fold::Greatest));
        metrics
    }};
}

mod component;

pub use component::component;
pub(super) use component::turned_away;

/// Metrics of the whole deployment.
pub fn overall() -> Vec<Metric> {
    let mut metrics = requests();
    metrics.extend(rates());
    let mut latency = of_histogram!(
        "latency_s",
        "latencies of requests that ended well, from the intended start, retries included",
        Seen::latency
    );
    latency[0].over_time = Some(latency_over_time);
    metrics.extend(latency);
    metrics.extend(of_histogram!(
        "failed_latency_s",
        "times from the intended start to the failure of requests that failed",
        Seen::failed_latency
    ));
    metrics.extend(of_histogram!(
        "attempt_latency_s",
        "times from the sending of an attempt to its answer, good or bad",
        Seen::attempt_latency
    ));
    metrics.push(Metric::new(
        "cost_month",
        Unit::Dollars,
        "Cost of a month at this load.",
        |seen, _| Some(cost_month(seen.model, seen.outcome)),
    ));
    metrics.push(Metric::new(
        "cost_per_thousand_users",
        Unit::Dollars,
        "Cost of a month for a thousand users of a closed population.",
        |seen, _| {
            let users = seen.model.population()?;
            Some(cost_month(seen.model, seen.outcome) / (users / 1e3))
        },
    ));
    metrics.push(Metric::new(
        "cost_per_million_ok",
        Unit::Dollars,
        "Cost of a million requests that ended well.",
        |seen, _| {
            // Of the same month as the bill, whose mean load is so much of the measured one.
            let month_s = super::cost::MONTH_S * seen.model.plan.mean_load;
            let ok_month = seen.per_second(seen.outcome.requests.ok)? * month_s;
            (ok_month > 0.0).then(|| cost_month(seen.model, seen.outcome) / (ok_month / 1e6))
        },
    ));
    metrics
}

fn requests() -> Vec<Metric> {
    let mut metrics = vec![
        Metric::new(
            "requests.offered",
            Unit::Count,
            "Requests that users wanted in the measured time of all replications.",
            |seen, _| Some(seen.outcome.requests.offered as f64),
        )
        .fold(Fold::Total),
        Metric::new(
            "requests.ok",
            Unit::Count,
            "Requests that ended well in the measured time of all replications.",
            |seen, _| Some(seen.outcome.requests.ok as f64),
        )
        .fold(Fold::Total),
    ];
    for failure in Failure::ALL {
        let metric = Metric::new(
            format!("requests.failed.{}", failure.slug()),
            Unit::Count,
            format!("Requests that failed with `{}`, in all replications.", failure.slug()),
            |seen, index| Some(seen.outcome.requests.failed[index] as f64),
        );
        metrics.push(metric.index(failure as usize).fold(Fold::Total).sparse());
    }
    metrics
}

fn rates() -> Vec<Metric> {
    let share = |path, meaning, of| Metric::new(path, Unit::Ratio, meaning, of);
    let rate = |path, meaning, of| Metric::new(path, Unit::PerSecond, meaning, of);
    let mut metrics = vec![
        rate("offered_per_s", "Requests that users wanted.", |seen, _| {
            seen.per_second(seen.outcome.requests.offered)
        })
        .over_time(|window| rate_over_time(window.offered, window)),
        rate("throughput_per_s", "Requests that ended well.", |seen, _| {
            seen.per_second(seen.outcome.requests.ok)
        })
        .over_time(|window| rate_over_time(window.ok, window)),
        rate("failed_per_s", "Requests that failed.", |seen, _| {
            seen.per_second(seen.outcome.requests.failed_all())
        })
        .over_time(|window| rate_over_time(window.failed, window)),
        rate("attempts_per_s", "Attempts sent, retries included.", |seen, _| {
            seen.per_second(seen.outcome.attempts.sent)
        }),
        rate("late_per_s", "Answers that nobody waited for any more.", |seen, _| {
            seen.per_second(seen.outcome.attempts.late)
        })
        .sparse(),
        rate("connections_per_s", "Connections that users had to set up.", |seen, _| {
            seen.per_second(seen.outcome.attempts.connections)
        })
        .sparse(),
        share(
            "elsewhere_ratio",
            "Share of attempts that went to a stand-in, as DNS took their service for down.",
            |seen, _| share_of(seen.outcome.attempts.elsewhere, seen.outcome.attempts.sent),
        )
        .sparse(),
        Metric::new(
            "dropped_iterations",
            Unit::Count,
            "Arrivals of a load generator that found no virtual user free, in all replications.",
            |seen, _| Some(seen.outcome.attempts.dropped as f64),
        )
        .fold(Fold::Total)
        .sparse(),
        Metric::new(
            "interrupted_iterations",
            Unit::Count,
            "Requests of a load generator that it interrupted, in all replications.",
            |seen, _| Some(seen.outcome.attempts.interrupted as f64),
        )
        .fold(Fold::Total)
        .sparse(),
        share("failed_ratio", "Share of ended requests that failed.", |seen, _| {
            share_of(seen.outcome.requests.failed_all(), seen.ended())
        }),
        share(
            "rejected_ratio",
            "Share of ended requests that a limit or a guard turned away.",
            |seen, _| share_of(failed_by(seen.outcome, &REJECTIONS), seen.ended()),
        ),
        share(
            "timeouts_ratio",
            "Share of ended requests that failed by a timeout, or that the user gave up.",
            |seen, _| share_of(failed_by(seen.outcome, &TIMEOUTS), seen.ended()),
        ),
        Metric::new("in_flight", Unit::Count, "Requests in flight on average.", |seen, _| {
            Some(seen.outcome.requests.in_flight_mean)
        })
        .over_time(|window| (window.in_flight, length_s(window))),
    ];
    for failure in Failure::ALL {
        let metric = Metric::new(
            format!("failed_by_kind_ratio.{}", failure.slug()),
            Unit::Ratio,
            format!("Share of ended requests that failed with `{}`.", failure.slug()),
            |seen, index| share_of(seen.outcome.requests.failed[index], seen.ended()),
        );
        metrics.push(metric.index(failure as usize).sparse());
    }
    metrics
}

/// Failures in which a limit or a guard did what it is for.
const REJECTIONS: [Failure; 5] = [
    Failure::Limited,
    Failure::Guarded,
    Failure::SessionGuarded,
    Failure::Shed,
    Failure::BreakerOpen,
];
/// Failures in which somebody waited too long.
const TIMEOUTS: [Failure; 7] = [
    Failure::AcquireTimeout,
    Failure::PoolTimeout,
    Failure::StatementTimeout,
    Failure::QueryTimeout,
    Failure::UpstreamTimeout,
    Failure::BreakerTimeout,
    Failure::GaveUp,
];

fn failed_by(outcome: &Outcome, kinds: &[Failure]) -> u64 {
    kinds.iter().map(|kind| outcome.requests.failed[*kind as usize]).sum()
}

fn share_of(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Metrics of an operation.
pub fn operation() -> Vec<Metric> {
    let rate = |path, meaning, of| Metric::new(path, Unit::PerSecond, meaning, of);
    let mut metrics = vec![
        rate("offered_per_s", "Requests that users wanted.", |seen, _| {
            seen.per_second(seen.operation().offered)
        }),
        rate("throughput_per_s", "Requests that ended well.", |seen, _| {
            seen.per_second(seen.operation().ok)
        }),
        rate("failed_per_s", "Requests that failed.", |seen, _| {
            seen.per_second(seen.operation().failed)
        }),
        Metric::new(
            "failed_ratio",
            Unit::Ratio,
            "Share of ended requests that failed.",
            |seen, _| {
                let tally = seen.operation();
                share_of(tally.failed, tally.ok + tally.failed)
            },
        ),
    ];
    metrics.extend(of_histogram!(
        "latency_s",
        "latencies of requests that ended well, from the intended start, retries included",
        Seen::operation_latency
    ));
    metrics
}

/// How results name a kind of component.
pub fn kind_name(kind: StationKind) -> &'static str {
    match kind {
        StationKind::Host => "host",
        StationKind::Service => "service",
        StationKind::Threads => "threads",
        StationKind::Executions => "executions",
        StationKind::HttpClient => "http-client",
        StationKind::Pool => "pool",
        StationKind::Pooler => "pooler",
        StationKind::Database => "database",
        StationKind::Cache => "cache",
        StationKind::Cdn => "cdn",
        StationKind::Session => "session",
        StationKind::Socket => "socket",
        StationKind::Store => "store",
        StationKind::Guard => "guard",
        StationKind::Limit => "limit",
        StationKind::Bulkhead => "bulkhead",
        StationKind::Breaker => "breaker",
        StationKind::Relation => "relation",
        StationKind::Maintenance => "maintenance",
        StationKind::Queue => "queue",
        StationKind::Stream => "stream",
        StationKind::Consumer => "consumer",
        StationKind::Link => "link",
        StationKind::Balancer => "balancer",
        StationKind::Network => "network",
        StationKind::Client => "client",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_end_in_their_unit() {
        for list in [overall(), operation(), component()] {
            let mut names: Vec<String> = list.iter().map(Metric::name).collect();
            for (metric, name) in list.iter().zip(&names) {
                let ending = match metric.unit {
                    Unit::Seconds => "_s",
                    Unit::PerSecond => "_per_s",
                    Unit::Ratio => "_ratio",
                    Unit::Count | Unit::Dollars => "",
                };
                assert!(name.ends_with(ending), "{name} ends in {ending}");
            }
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }

    #[test]
    fn a_path_is_a_name_with_its_unit_moved_to_the_end() {
        let name = |path: &str| Metric::new(path, Unit::Count, "", |_, _| None).name();
        assert_eq!(name("latency_s.p95"), "latency_p95_s");
        assert_eq!(name("time_above_ratio.75"), "time_above_75_ratio");
        assert_eq!(name("requests.failed.gave_up"), "requests_failed_gave_up");
        assert_eq!(name("throughput_per_s"), "throughput_per_s");
    }
}
