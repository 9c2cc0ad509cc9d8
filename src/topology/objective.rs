//! What must hold: bounds on metrics, as `latency_p95 < 500ms`.

use std::fmt;

use super::kind::Kind;
use super::names::{Address, Scope, Section};
use super::shape::Item;
use super::spec::{Reader, Shape};
use super::tree::Node;
use crate::diagnostic::{Diagnostic, Place, meant_key};
use crate::units::{Duration, Money, Quantity, Rate, Ratio, UnitError};

/// A bound on a metric; a run that breaks it does not meet its objectives.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// What is bounded.
    pub metric: Metric,
    /// How.
    pub comparison: Comparison,
    /// The bound, in SI units: seconds, shares of 1, per second, dollars a month.
    pub bound: f64,
    /// As the file says it.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// What an objective may bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    /// Latency of all operations as users saw them, retries included (s).
    Latency(LatencyStatistic),
    /// Share of operations that failed, for whatever reason.
    Errors,
    /// Share of operations that a limit or a guard turned away.
    Rejected,
    /// Share of operations that failed by some timeout, or that the user gave up.
    Timeouts,
    /// Operations that succeeded (1/s).
    Throughput,
    /// Busy time over capacity of a component.
    Utilisation(Address<Utilised>),
    /// Mean time from a message's publishing until a group has handled it (s).
    Lag(Address<Lagging>),
    /// Cost (dollars a month).
    Cost,
}

/// A statistic of latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LatencyStatistic {
    /// The mean.
    Mean,
    /// The value that this share is below: 0.95 for p95.
    Quantile(f64),
    /// The greatest.
    Max,
}

/// How a metric is compared with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// What can lag behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Lagging;
impl Scope for Lagging {
    const SECTIONS: &'static [Section] = &[Section::Consumer, Section::Database, Section::Socket];
}

/// What has a utilisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Utilised;
impl Scope for Utilised {
    const SECTIONS: &'static [Section] = &[
        Section::Pool,
        Section::Service,
        Section::Database,
        Section::Cache,
        Section::Link,
        Section::Queue,
        Section::Stream,
        Section::Consumer,
    ];
}

impl Comparison {
    /// True if a value keeps the bound.
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Comparison::Less => value < bound,
            Comparison::AtMost => value <= bound,
            Comparison::More => value > bound,
            Comparison::AtLeast => value >= bound,
        }
    }
}
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::More => ">",
            Comparison::AtLeast => ">=",
        })
    }
}

/// The metrics by name, without `utilisation(…)`.
const METRICS: &[(&str, Metric)] = &[
    ("latency_mean", Metric::Latency(LatencyStatistic::Mean)),
    ("latency_p50", Metric::Latency(LatencyStatistic::Quantile(0.5))),
    ("latency_p90", Metric::Latency(LatencyStatistic::Quantile(0.9))),
    ("latency_p95", Metric::Latency(LatencyStatistic::Quantile(0.95))),
    ("latency_p99", Metric::Latency(LatencyStatistic::Quantile(0.99))),
    ("latency_p999", Metric::Latency(LatencyStatistic::Quantile(0.999))),
    ("latency_max", Metric::Latency(LatencyStatistic::Max)),
    ("errors", Metric::Errors),
    ("rejected", Metric::Rejected),
    ("timeouts", Metric::Timeouts),
    ("throughput", Metric::Throughput),
    ("cost", Metric::Cost),
];

/// Short names, as people type them: `p95<500ms`.
const SHORT: &[(&str, Metric)] = &[
    ("mean", Metric::Latency(LatencyStatistic::Mean)),
    ("p50", Metric::Latency(LatencyStatistic::Quantile(0.5))),
    ("p90", Metric::Latency(LatencyStatistic::Quantile(0.9))),
    ("p95", Metric::Latency(LatencyStatistic::Quantile(0.95))),
    ("p99", Metric::Latency(LatencyStatistic::Quantile(0.99))),
    ("p999", Metric::Latency(LatencyStatistic::Quantile(0.999))),
    ("max", Metric::Latency(LatencyStatistic::Max)),
];

impl Item for Objective {}
impl Shape for Objective {
    fn kind() -> Kind {
        Kind::Form { what: "a metric with its bound", example: "\"latency_p95 < 500ms\"" }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(text) = node.text() else {
            return reader.wrong_type(node, &Self::kind());
        };
        let Some((name, comparison, bound)) = split(text) else {
            let message = format!("`{text}` is not a metric with its bound");
            return reader
                .wrong(Diagnostic::error("bad-objective", node.place.clone(), message).help(
                "write a metric, one of `<`, `<=`, `>`, `>=`, and a bound: `latency_p95 < 500ms`",
            ));
        };
        let metric = read_metric(name, node, reader)?;
        match metric.parse_bound(bound) {
            Ok(bound) => Some(Objective {
                metric,
                comparison,
                bound,
                text: text.into(),
                place: node.place.clone(),
            }),
            Err(error) => reader.wrong(
                Diagnostic::error(
                    "bad-unit",
                    node.place.clone(),
                    format!("the bound of `{name}`: {}", error.message),
                )
                .help(error.help),
            ),
        }
    }
}

fn split(text: &str) -> Option<(&str, Comparison, &str)> {
    let at = text.find(['<', '>'])?;
    let (name, rest) = text.split_at(at);
    // The two-letter forms first: `<` is the beginning of `<=`.
    let forms = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("<", Comparison::Less),
        (">", Comparison::More),
    ];
    forms.iter().find_map(|(form, comparison)| {
        Some((name.trim(), *comparison, rest.strip_prefix(form)?.trim()))
    })
}

fn read_metric(name: &str, node: &Node, reader: &mut Reader) -> Option<Metric> {
    let mut known = METRICS.iter().chain(SHORT);
    if let Some((_, metric)) = known.find(|(known, _)| *known == name) {
        return Some(metric.clone());
    }
    if let Some(of) = name.strip_prefix("lag(").and_then(|rest| rest.strip_suffix(')')) {
        let inner =
            Node { value: super::tree::Value::String(of.trim().into()), place: node.place.clone() };
        return Address::read(&inner, reader).map(Metric::Lag);
    }
    if let Some(of) = name.strip_prefix("utilisation(").and_then(|rest| rest.strip_suffix(')')) {
        let inner =
            Node { value: super::tree::Value::String(of.trim().into()), place: node.place.clone() };
        return Address::read(&inner, reader).map(Metric::Utilisation);
    }
    let names = METRICS
        .iter()
        .map(|(known, _)| *known)
        .chain(["utilisation(pool.NAME)", "lag(consumer.NAME)"]);
    let help = meant_key(name, &names.clone().collect::<Vec<_>>())
        .unwrap_or_else(|| format!("metrics are {}", names.collect::<Vec<_>>().join(", ")));
    reader.wrong(
        Diagnostic::error(
            "unknown-metric",
            node.place.clone(),
            format!("there is no metric `{name}`"),
        )
        .help(help),
    )
}

impl Metric {
    /// Reads a bound in the unit of the metric; in SI units.
    fn parse_bound(&self, text: &str) -> Result<f64, UnitError> {
        match self {
            Metric::Latency(_) | Metric::Lag(_) => Duration::parse(text).map(Duration::seconds),
            Metric::Errors | Metric::Rejected | Metric::Timeouts | Metric::Utilisation(_) => {
                Ratio::parse(text).map(|ratio| ratio.0)
            }
            Metric::Throughput => Rate::parse(text).map(|rate| rate.0),
            Metric::Cost => Money::parse(text).map(|money| money.0),
        }
    }
}
