//! What is kept of each run: the metrics that an experiment asks for, and how the run ended.

use std::collections::BTreeSet;

use super::file::Experiment;
use crate::diagnostic::{Diagnostic, Place, did_you_mean};
use crate::model::Model;
use crate::result::metric::{self, Seen, Whose};
use crate::result::{BATCHES, Metric, bounded, collapsed, grows};
use crate::run::{Ended, Outcome};
use crate::stats::{BatchMeans, overlapping_batch_ratio};
use crate::topology::Objective;

/// A metric of each run that is kept.
#[derive(Clone, Debug)]
pub struct Column {
    /// As outputs and tables name it: `pool.pg.utilisation_ratio`.
    pub name: String,
    /// Whose it is.
    pub whose: Whose,
    /// What it is.
    pub metric: Metric,
}

/// What a topology is made of: the names that outputs can have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Structure {
    components: Vec<String>,
    operations: Vec<String>,
}

impl Structure {
    /// That of a model.
    pub fn of(model: &Model) -> Structure {
        let operations = model.operations.iter().filter(|it| it.share > 0.0);
        Structure {
            components: model.stations.iter().map(|it| it.path.clone()).collect(),
            operations: operations.map(|it| it.name.clone()).collect(),
        }
    }
}

/// Metrics of which the whole, operations and components have each their own.
struct Known {
    overall: Vec<Metric>,
    operation: Vec<Metric>,
    component: Vec<Metric>,
}

impl Known {
    fn new() -> Known {
        Known {
            overall: metric::overall(),
            operation: metric::operation(),
            component: metric::component(),
        }
    }
    fn of(&self, whose: &Whose) -> &[Metric] {
        match whose {
            Whose::All => &self.overall,
            Whose::Operation(_) => &self.operation,
            Whose::Component(_) => &self.component,
        }
    }
    fn column(&self, whose: Whose, metric: &str) -> Option<Column> {
        let metric = self.of(&whose).iter().find(|it| it.name() == metric)?.clone();
        Some(Column { name: whose.named(&metric.name()), whose, metric })
    }
}

/// The columns that an experiment asks for, of topologies of some structures.
///
/// # Errors
/// If an output names no metric of any of them.
pub fn columns(
    experiment: &Experiment,
    objectives: &[Objective],
    structures: &BTreeSet<Structure>,
) -> Result<Vec<Column>, Diagnostic> {
    let known = Known::new();
    let mut found: Vec<Column> = Vec::new();
    let mut add = |text: &str, place: &Place| {
        let columns = matching(text, &known, structures);
        if columns.is_empty() {
            return Err(unknown(text, place, &known, structures));
        }
        for column in columns {
            if !found.iter().any(|other| other.name == column.name) {
                found.push(column);
            }
        }
        Ok(())
    };
    for output in &experiment.outputs {
        add(&output.value, &output.place)?;
    }
    for objective in objectives {
        add(&column_of(objective), &experiment.place)?;
    }
    if let Some(target) = &experiment.precision {
        add(&target.of, &target.place)?;
    }
    if let Some(rank) = &experiment.rank {
        add(&rank.by, &rank.place)?;
    }
    Ok(found)
}

/// The columns of some names; [`None`] if one is no column's.
pub fn columns_named(names: &[String]) -> Option<Vec<Column>> {
    let known = Known::new();
    let one = |name: &String| {
        let (whose, metric) = match name.rsplit_once('.') {
            None => (Whose::All, name.as_str()),
            Some((whose, metric)) => match whose.strip_prefix("operation.") {
                Some(operation) => (Whose::Operation(operation.into()), metric),
                None => (Whose::Component(whose.into()), metric),
            },
        };
        known.column(whose, metric)
    };
    names.iter().map(one).collect()
}

/// The column that an objective bounds.
pub fn column_of(objective: &Objective) -> String {
    let (whose, path) = bounded(objective);
    whose.named(&metric::name_of(&path))
}

fn matching(text: &str, known: &Known, structures: &BTreeSet<Structure>) -> Vec<Column> {
    let Some((whose, metric)) = text.rsplit_once('.') else {
        return known.column(Whose::All, text).into_iter().collect();
    };
    let mut subjects: Vec<Whose> = Vec::new();
    for structure in structures {
        let operations = structure.operations.iter().map(|it| Whose::Operation(it.clone()));
        let components = structure.components.iter().map(|it| Whose::Component(it.clone()));
        for subject in operations.chain(components) {
            let is_meant = match &subject {
                Whose::All => false,
                Whose::Operation(name) => match whose.strip_prefix("operation.") {
                    Some(wanted) => wanted == "*" || wanted == name,
                    None => false,
                },
                // Users and the network are no components that a star would mean.
                Whose::Component(path) if whose == "*" => path.contains('.'),
                Whose::Component(path) => path == whose,
            };
            if is_meant && !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
    }
    subjects.into_iter().filter_map(|subject| known.column(subject, metric)).collect()
}

fn unknown(
    text: &str,
    place: &Place,
    known: &Known,
    structures: &BTreeSet<Structure>,
) -> Diagnostic {
    let mut names: Vec<String> = known.overall.iter().map(Metric::name).collect();
    if let Some((whose, metric)) = text.rsplit_once('.') {
        let of_operation = whose.starts_with("operation.");
        let metrics = if of_operation { &known.operation } else { &known.component };
        let has_metric = metrics.iter().any(|it| it.name() == metric);
        names = match has_metric {
            false => metrics.iter().map(|it| format!("{whose}.{}", it.name())).collect(),
            true => {
                let all = structures.iter().flat_map(|it| it.components.iter().cloned());
                let operations = structures.iter().flat_map(|it| it.operations.iter());
                let operations = operations.map(|name| format!("operation.{name}"));
                all.chain(operations).map(|whose| format!("{whose}.{metric}")).collect()
            }
        };
    }
    let help = did_you_mean(text, names.iter().map(String::as_str)).unwrap_or_else(|| {
        "outputs are named as in summary.csv: `latency_p95_s`, `pool.pg.utilisation_ratio`".into()
    });
    let message = format!("no topology here has the output `{text}`");
    Diagnostic::error("unknown-output", place.clone(), message).help(help)
}

/// What is kept of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Whether it reached its end, or which limit ended it.
    pub ended: Ended,
    /// The measured time (s).
    pub measured_s: f64,
    /// Events.
    pub events: u64,
    /// Something grows without end: requests in flight or a job queue.
    pub grows: bool,
    /// The deployment broke down: most requests fail, more come than end, or a limit ended the run.
    pub collapsed: bool,
    /// Checks of the audit that are broken.
    pub broken: u32,
    /// A digest of every request.
    pub digest: u64,
    /// The value of each column, where there is one.
    pub values: Vec<Option<f64>>,
    /// How far values may be off, by overlapping batch means over their course: the column, the
    /// standard error and its degrees of freedom, for a point of one long run.
    pub errors: Vec<(u32, f64, f64)>,
}

impl Row {
    /// What is kept of an outcome.
    pub fn of(model: &Model, outcome: &Outcome, columns: &[Column]) -> Row {
        let value = |column: &Column| {
            let subject = subject(model, &column.whose)?;
            column.metric.value(Seen { model, outcome, subject })
        };
        let error = |(index, column): (usize, &Column)| {
            if !column.metric.has_series() || column.whose != Whose::All {
                return None;
            }
            let series = column.metric.series(outcome);
            let BatchMeans { error, degrees, .. } =
                overlapping_batch_ratio(&series, series.len() / BATCHES)?;
            Some((index as u32, error, degrees))
        };
        Row {
            ended: outcome.ended,
            measured_s: outcome.measured.seconds(),
            events: outcome.events,
            grows: grows(model, outcome),
            collapsed: collapsed(model, outcome),
            broken: outcome.audit.broken.len() as u32,
            digest: outcome.digest,
            values: columns.iter().map(value).collect(),
            errors: columns.iter().enumerate().filter_map(error).collect(),
        }
    }

    /// The standard error of a column over the course of this one run, with its degrees of freedom.
    pub fn error(&self, column: usize) -> Option<(f64, f64)> {
        let found = self.errors.iter().find(|(index, ..)| *index as usize == column);
        found.map(|(_, error, degrees)| (*error, *degrees))
    }
}

/// The number of a subject in a model; [`None`] where the model lacks it.
fn subject(model: &Model, whose: &Whose) -> Option<u32> {
    let number = match whose {
        Whose::All => Some(0),
        Whose::Operation(name) => model.operations.iter().position(|it| it.name == *name),
        Whose::Component(path) => model.stations.iter().position(|it| it.path == *path),
    };
    number.map(|number| number as u32)
}
