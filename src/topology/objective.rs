//! What must hold: bounds on metrics, as `latency_p95 < 500ms`, of all requests or of one operation's.

use std::fmt;

use super::flow::Operation;
use super::kind::Kind;
use super::names::{Address, Ref, Scope, Section};
use super::shape::Item;
use super::spec::{Reader, Shape};
use super::tree::{Node, Value};
use crate::diagnostic::{Diagnostic, Place, meant_key};
use crate::units::{Duration, Money, Quantity, Rate, Ratio, UnitError};

/// A bound on a metric; a run that breaks it does not meet its objectives.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// What is bounded.
    pub metric: Metric,
    /// Whose requests alone: those of one operation.
    pub operation: Option<Ref<Operation>>,
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
    /// Latency as users saw it, retries included (s).
    Latency(LatencyStatistic),
    /// Share of requests that failed, for whatever reason.
    Errors,
    /// Share of requests that a limit or a guard turned away.
    Rejected,
    /// Share of requests that failed by some timeout, or that the user gave up.
    Timeouts,
    /// Requests that succeeded (1/s).
    Throughput,
    /// Busy time over capacity of a component.
    Utilisation(Address<Utilised>),
    /// Mean time from a message's publishing until a group has handled it (s).
    Lag(Address<Lagging>),
    /// Time that whoever is served at a component has waited for it, zeros included (s).
    Wait(LatencyStatistic, Address<Waited>),
    /// Cost (dollars a month).
    Cost,
}

/// A statistic of latencies and waits.
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

/// What is waited for.
#[derive(Clone, Debug, PartialEq)]
pub struct Waited;
impl Scope for Waited {
    const SECTIONS: &'static [Section] = &[
        Section::Pool,
        Section::Queue,
        Section::Service,
        Section::Pooler,
        Section::Database,
        Section::Relation,
        Section::Cache,
        Section::Bulkhead,
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

/// The metrics of requests and the cost, by name.
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

/// Statistics by name: short for those of latency (`p95<500ms`), and after `wait_`.
const STATISTICS: &[(&str, LatencyStatistic)] = &[
    ("mean", LatencyStatistic::Mean),
    ("p50", LatencyStatistic::Quantile(0.5)),
    ("p90", LatencyStatistic::Quantile(0.9)),
    ("p95", LatencyStatistic::Quantile(0.95)),
    ("p99", LatencyStatistic::Quantile(0.99)),
    ("p999", LatencyStatistic::Quantile(0.999)),
    ("max", LatencyStatistic::Max),
];

/// Metrics of a component, as they are written.
const OF_COMPONENTS: [&str; 3] =
    ["utilisation(pool.NAME)", "wait_p95(pool.NAME)", "lag(consumer.NAME)"];

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
        let (metric, operation) = read_metric(name, node, reader)?;
        match metric.parse_bound(bound) {
            Ok(bound) => Some(Objective {
                metric,
                operation,
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

/// A metric, and the operation to whose requests it is kept: `errors(operation.NAME)`.
fn read_metric(
    text: &str,
    node: &Node,
    reader: &mut Reader,
) -> Option<(Metric, Option<Ref<Operation>>)> {
    let parts = text.strip_suffix(')').and_then(|rest| rest.split_once('('));
    let Some((name, of)) = parts else {
        let metric = of_requests(text).or_else(|| unknown(text, node, reader))?;
        return Some((metric, None));
    };
    let (name, of) = (name.trim(), of.trim());
    let inner = Node { value: Value::String(of.into()), place: node.place.clone() };
    if let Some(metric) = of_requests(name) {
        if !metric.is_known_by_operation() {
            let message = format!("`{name}` is not counted by operation");
            let found = Diagnostic::error("bad-objective", node.place.clone(), message);
            return reader.wrong(found.help(format!(
                "bound `{name}` of all requests, or latency, errors or throughput of `{of}`"
            )));
        }
        return Ref::read(&inner, reader).map(|operation| (metric, Some(operation)));
    }
    let waited = name.strip_prefix("wait_").and_then(statistic);
    let metric = match (name, waited) {
        ("lag", _) => Metric::Lag(Address::read(&inner, reader)?),
        ("utilisation", _) => Metric::Utilisation(Address::read(&inner, reader)?),
        (_, Some(statistic)) => Metric::Wait(statistic, Address::read(&inner, reader)?),
        _ => return unknown(text, node, reader),
    };
    Some((metric, None))
}

fn of_requests(name: &str) -> Option<Metric> {
    let named = METRICS.iter().find(|(known, _)| *known == name).map(|(_, metric)| metric.clone());
    named.or_else(|| statistic(name).map(Metric::Latency))
}

fn statistic(name: &str) -> Option<LatencyStatistic> {
    STATISTICS.iter().find(|(known, _)| *known == name).map(|(_, statistic)| *statistic)
}

fn unknown<T>(name: &str, node: &Node, reader: &mut Reader) -> Option<T> {
    let message = format!("there is no metric `{name}`");
    let found = Diagnostic::error("unknown-metric", node.place.clone(), message);
    let bare = name.split('(').next().unwrap_or(name);
    let of_component = |it: &&&str| {
        it.split('(').next() == Some(bare) || bare.starts_with("wait") && it.starts_with("wait")
    };
    if let Some(form) = OF_COMPONENTS.iter().find(of_component) {
        return reader.wrong(found.help(format!("write whose it is: `{form}`")));
    }
    let names = METRICS.iter().map(|(known, _)| *known).chain(OF_COMPONENTS);
    let help = meant_key(name, &names.clone().collect::<Vec<_>>())
        .unwrap_or_else(|| format!("metrics are {}", names.collect::<Vec<_>>().join(", ")));
    reader.wrong(found.help(help))
}

impl Metric {
    /// Operations have one of their own each.
    fn is_known_by_operation(&self) -> bool {
        matches!(self, Metric::Latency(_) | Metric::Errors | Metric::Throughput)
    }

    /// Reads a bound in the unit of the metric; in SI units.
    fn parse_bound(&self, text: &str) -> Result<f64, UnitError> {
        match self {
            Metric::Latency(_) | Metric::Lag(_) | Metric::Wait(..) => {
                Duration::parse(text).map(Duration::seconds)
            }
            Metric::Errors | Metric::Rejected | Metric::Timeouts | Metric::Utilisation(_) => {
                Ratio::parse(text).map(|ratio| ratio.0)
            }
            Metric::Throughput => Rate::parse(text).map(|rate| rate.0),
            Metric::Cost => Money::parse(text).map(|money| money.0),
        }
    }
}
