//! Results as data: the outcomes of several replications become one [`Summary`].
//!
//! Nothing here knows files, threads or terminals: the command line and a browser read the same
//! summary. [`metric`] describes every number once; [`Summary::to_json`] and [`schema`] follow it.

mod alarm;
mod attribution;
mod closed_form;
mod comparison;
mod cost;
mod estimate;
mod fault;
mod json;
pub mod metric;
mod monitor;
mod rate;
mod saturation;
mod steadiness;
mod verdict;

pub use attribution::{Attribution, TimePart};
pub use closed_form::ClosedForm;
pub use comparison::{Difference, compare};
pub use cost::{CostLine, MONTH_S, cost_month};
pub use estimate::{BATCHES, Estimate};
pub use fault::Fault;
pub use json::{comparison_to_json, schema};
pub use metric::{Fold, Metric, Seen, Unit, kind_name, latency_over_time};
pub use monitor::{Alarmed, BUCKETS_S, MonitorCourse, Monitored, monitor_courses};
pub use saturation::{Bearing, LEVELS, Reached, Saturation};
pub use steadiness::{NOT_STATIONARY, QUEUE_GROWS, Warning, collapsed, grows, settled};
pub use verdict::{Verdict, bounded};

use crate::model::Model;
use crate::run::Outcome;
use crate::units::Duration;

/// The version of the numbers: it changes when the same files and seed give other results.
pub const RESULTS_VERSION: u32 = 2;

/// What the replications of one model say together.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The title of the topology.
    pub title: String,
    /// The root of all random numbers.
    pub seed: u64,
    /// Which replications these are, in order.
    pub replications: Vec<u32>,
    /// Confidence of the intervals, 0 to 1.
    pub confidence: f64,
    /// Time before anything is measured.
    pub warmup: Duration,
    /// Time measured in each replication.
    pub duration: Duration,
    /// Events of all replications.
    pub events: u64,
    /// The whole deployment.
    pub overall: Subject,
    /// By operation.
    pub operations: Vec<Subject>,
    /// By component, sorted by path.
    pub components: Vec<Subject>,
    /// Where the time goes.
    pub attribution: Attribution,
    /// What gives first.
    pub saturation: Saturation,
    /// What went wrong by the scenario.
    pub faults: Vec<Fault>,
    /// What closed forms say beside it.
    pub closed_forms: Vec<ClosedForm>,
    /// What monitors show.
    pub monitors: Vec<Monitored>,
    /// The bill.
    pub costs: Vec<CostLine>,
    /// Whether the objectives are met.
    pub verdicts: Vec<Verdict>,
    /// Checks made at the end of all replications.
    pub checks: u64,
    /// What of them is broken; a bug of ours if there is anything.
    pub broken: Vec<String>,
    /// What a reader must know.
    pub warnings: Vec<Warning>,
    /// A digest of every request of every replication.
    pub digest: u64,
}

/// One model of an experiment with what came of it.
#[derive(Clone, Copy)]
pub struct Point<'a> {
    /// Its name in files: the stem of its topology file.
    pub name: &'a str,
    /// What was run.
    pub model: &'a Model,
    /// One for each replication.
    pub outcomes: &'a [Outcome],
    /// All of them together.
    pub summary: &'a Summary,
}

/// The whole, an operation or a component with its measures.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its path; `all` for the whole.
    pub path: String,
    /// Its kind.
    pub kind: &'static str,
    /// What was measured of it.
    pub measures: Vec<Measure>,
}

/// A metric with its values.
#[derive(Clone, Debug)]
pub struct Measure {
    /// What it is.
    pub metric: Metric,
    /// One value for each replication, where there is one.
    pub values: Vec<Option<f64>>,
    /// All of them together.
    pub estimate: Estimate,
}

impl Subject {
    /// A measure by its metric's path.
    pub fn measure(&self, path: &str) -> Option<&Measure> {
        self.measures.iter().find(|measure| measure.metric.path == path)
    }
    /// The estimate of a metric; empty where it was not measured.
    pub fn estimate(&self, path: &str) -> Estimate {
        self.measure(path).map(|measure| measure.estimate).unwrap_or_default()
    }
}

impl Summary {
    /// Folds the outcomes of a model's replications, in their order, and judges the model's objectives.
    pub fn new(model: &Model, outcomes: &[Outcome]) -> Summary {
        Summary::stopped(model, outcomes, u32::MAX)
    }

    /// The same of replications that went on until they were precise enough, of which there were at least
    /// `first`: their intervals make up for that.
    pub fn stopped(model: &Model, outcomes: &[Outcome], first: u32) -> Summary {
        let subject = |path: &str, kind, metrics: &[Metric], number: u32| {
            let measures = measure_all(model, outcomes, metrics, number, first);
            Subject { path: path.into(), kind, measures }
        };
        let of_operation = metric::operation();
        let operations = model.operations.iter().enumerate().filter(|(_, it)| it.share > 0.0);
        let operations = operations
            .map(|(number, it)| subject(&it.name, "operation", &of_operation, number as u32));
        let of_component = metric::component();
        let components = model.stations.iter().enumerate().map(|(number, it)| {
            subject(&it.path, metric::kind_name(it.kind), &of_component, number as u32)
        });
        let attribution = attribution::attribute(model, outcomes);
        let saturation = saturation::saturation(model, outcomes);
        let broken = outcomes.iter().flat_map(|outcome| {
            let replication = outcome.replication;
            let broken = outcome.audit.broken.iter();
            broken.map(move |what| format!("replication {replication}: {what}"))
        });
        let mut summary = Summary {
            title: model.title.clone(),
            seed: model.plan.seed,
            replications: outcomes.iter().map(|outcome| outcome.replication).collect(),
            confidence: model.plan.confidence,
            warmup: model.plan.warmup,
            duration: model.plan.duration,
            events: outcomes.iter().map(|outcome| outcome.events).sum(),
            overall: subject("all", "deployment", &metric::overall(), 0),
            operations: operations.collect(),
            components: components.collect(),
            faults: fault::faults(model, outcomes),
            closed_forms: Vec::new(),
            attribution,
            saturation,
            monitors: monitor::monitored(model, outcomes),
            costs: cost::bill(model, outcomes),
            verdicts: Vec::new(),
            checks: outcomes.iter().map(|outcome| u64::from(outcome.audit.checks)).sum(),
            broken: broken.collect(),
            warnings: steadiness::warnings(model, outcomes),
            digest: digest(outcomes),
        };
        summary.closed_forms = closed_form::closed_forms(model, outcomes, &summary);
        summary.verdicts = verdict::judge(&summary, &model.objectives);
        summary
    }

    /// A component by its path.
    pub fn component(&self, path: &str) -> Option<&Subject> {
        self.components.iter().find(|component| component.path == path)
    }
    /// The whole, then operations, then components.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        std::iter::once(&self.overall).chain(&self.operations).chain(&self.components)
    }
    /// The estimate of a metric of the whole.
    pub fn estimate(&self, path: &str) -> Estimate {
        self.overall.estimate(path)
    }
    /// Requests come faster than they end.
    pub fn is_growing(&self) -> bool {
        self.warnings.iter().any(|warning| warning.slug == steadiness::NOT_STATIONARY)
    }
    /// All objectives are met.
    pub fn is_met(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.met)
    }
    /// The digest as files write it.
    pub fn digest_text(&self) -> String {
        format!("{:016x}", self.digest)
    }
}

/// The measures of a subject; what was measured in no replication is left out.
fn measure_all(
    model: &Model,
    outcomes: &[Outcome],
    metrics: &[Metric],
    subject: u32,
    first: u32,
) -> Vec<Measure> {
    let mut measures = Vec::with_capacity(metrics.len());
    for metric in metrics {
        let values: Vec<Option<f64>> =
            outcomes.iter().map(|outcome| metric.value(Seen { model, outcome, subject })).collect();
        let nothing = |value: &Option<f64>| match value {
            None => true,
            Some(value) => metric.sparse && *value == 0.0,
        };
        if values.iter().all(nothing) {
            continue;
        }
        let series = match outcomes {
            [only] => metric.series(only),
            _ => Vec::new(),
        };
        let estimate =
            Estimate::stopped(&values, metric.fold, model.plan.confidence, &series, first);
        measures.push(Measure { metric: metric.clone(), values, estimate });
    }
    measures
}

/// The digests of all replications in order, each with its number.
fn digest(outcomes: &[Outcome]) -> u64 {
    outcomes.iter().fold(0, |sum: u64, outcome| {
        // Multiplication by an odd number loses nothing; the rotation makes order matter.
        let next = sum.rotate_left(23) ^ outcome.digest ^ u64::from(outcome.replication);
        next.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}
