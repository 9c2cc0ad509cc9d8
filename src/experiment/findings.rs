//! What the runs of an experiment say together: estimates, differences, ranks and sensitivities.

use std::sync::Arc;

use super::columns::{Column, Row, column_of};
use super::design::unit_points;
use super::file::{Design, Experiment, Intervals, Prefer};
use super::level::for_people;
use super::precision::first_look;
use super::prepare::{Prepared, Problem};
use super::store::Rows;
use crate::diagnostic::{Diagnostic, Source};
use crate::result::{Estimate, Fold};
use crate::stats::{
    BatchMeans, Effect, Index, Interval, bootstrap_interval, holm, mean_and_error, mean_interval,
    morris, paired_difference, possibly_smallest, proportion_interval, quantile_interval,
    sobol_indices, student_t_probability,
};
use crate::stream::Seed;

/// Samples of a bootstrap.
const RESAMPLES: u32 = 2_000;
/// Samples of the design behind an interval of a sensitivity index.
const INDEX_RESAMPLES: u64 = 400;

/// What an experiment has found.
pub struct Findings {
    /// The axes: name, and what their values are of.
    pub axes: Vec<(String, String)>,
    /// What was measured.
    pub columns: Vec<Column>,
    /// One for each point, in order.
    pub points: Vec<Finding>,
    /// The point that the others are compared with.
    pub baseline: usize,
    /// The rank, if one was asked for.
    pub rank: Option<Ranking>,
    /// What each axis does to each output, if the design tells.
    pub sensitivities: Vec<Sensitivity>,
    /// Runs behind it.
    pub runs: usize,
    /// A digest of every request of every run.
    pub digest: String,
}

/// What was found at one point.
pub struct Finding {
    /// The value of each axis, as tables show it.
    pub labels: Vec<String>,
    /// The same for people, without digits that say nothing.
    pub shown: Vec<String>,
    /// The number in it, if there is one.
    pub numbers: Vec<Option<f64>>,
    /// One for each replication, in order.
    pub rows: Vec<Arc<Row>>,
    /// The seed and the number of each.
    pub keys: Vec<super::store::RunKey>,
    /// One for each column.
    pub estimates: Vec<Estimate>,
    /// One for each column: what it differs from the baseline in.
    pub differences: Vec<Option<Paired>>,
    /// Replications in which something grows without end.
    pub grows: usize,
    /// The probability that a replication collapses.
    pub collapse: Option<Interval>,
    /// Whether the objectives are met.
    pub verdicts: Vec<Judged>,
}

/// A difference from the baseline, pair by pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// The difference.
    pub difference: Estimate,
    /// How likely it is as large as this by chance, if there is none (two-sided, Student's t).
    pub p_value: f64,
    /// It is there, with the chance of any false alarm among all points held to 1 - confidence.
    pub differs: bool,
}

/// Whether an objective is met at a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The objective, as it was written.
    pub objective: String,
    /// The estimate of what it bounds.
    pub value: Estimate,
    /// The estimate keeps the bound.
    pub met: bool,
    /// The whole interval is on one side of the bound.
    pub certain: bool,
}

/// Which points may be the best.
pub struct Ranking {
    /// The column.
    pub column: usize,
    /// The smallest is the best.
    pub smallest: bool,
    /// The points that have the metric, the best first.
    pub order: Vec<usize>,
    /// Those that may be the best, at the confidence of the experiment.
    pub possibly_best: Vec<usize>,
}

/// What an axis does to an output.
pub struct Sensitivity {
    /// The column.
    pub column: usize,
    /// The axis.
    pub axis: usize,
    /// How it was found.
    pub found: Influence,
}

/// How much an axis matters.
pub enum Influence {
    /// By Morris's walks.
    Morris(Effect),
    /// By Sobol's indices, each with its interval.
    Sobol {
        /// Alone.
        first: Estimate,
        /// With its interactions.
        total: Estimate,
    },
}

impl Findings {
    /// Folds the runs of an experiment.
    ///
    /// # Errors
    /// If a run is missing, or the baseline is no point of the design.
    pub fn new(path: &str, prepared: &Prepared<'_>, rows: &Rows) -> Result<Findings, Problem> {
        let experiment = &prepared.experiment;
        let mut points = Vec::with_capacity(prepared.points.len());
        for (index, point) in prepared.points.iter().enumerate() {
            let count = prepared.replications(index, rows);
            let keys: Vec<_> = (0..count).map(|it| prepared.run_key((index, it))).collect();
            let found: Option<Vec<Arc<Row>>> =
                keys.iter().map(|key| rows.get(key).cloned()).collect();
            let found = found.ok_or_else(|| {
                Problem::Failed(format!("point {index} is not complete: some runs are missing"))
            })?;
            let mut finding = finding(prepared, found, point.replications);
            finding.labels = point.chosen.iter().map(|it| it.text.clone()).collect();
            finding.numbers = point.chosen.iter().map(|it| it.number).collect();
            finding.keys = keys;
            points.push(finding);
        }
        for axis in 0..prepared.axes.len() {
            let labels: Vec<&str> = points.iter().map(|it| it.labels[axis].as_str()).collect();
            let shown = for_people(&labels);
            points.iter_mut().zip(shown).for_each(|(point, label)| point.shown.push(label));
        }
        let baseline = baseline(path, prepared)?;
        compare(prepared, &mut points, baseline);
        let mut hash = blake3::Hasher::new();
        let mut runs = 0;
        for row in points.iter().flat_map(|point| &point.rows) {
            hash.update(&row.digest.to_le_bytes());
            runs += 1;
        }
        Ok(Findings {
            axes: prepared.axes.iter().map(|it| (it.name.clone(), it.meaning.clone())).collect(),
            rank: ranking(experiment, &prepared.columns, &points),
            sensitivities: sensitivities(prepared, &points),
            columns: prepared.columns.clone(),
            points,
            baseline,
            runs,
            digest: hash.finalize().to_hex()[..16].to_string(),
        })
    }

    /// All objectives are met at a point.
    pub fn is_met(&self, point: usize) -> bool {
        self.points[point].verdicts.iter().all(|it| it.met)
    }

    /// The estimate of an output at a point, by its name.
    pub fn estimate(&self, point: usize, output: &str) -> Option<Estimate> {
        let column = self.columns.iter().position(|it| it.name == output)?;
        Some(self.points[point].estimates[column])
    }
}

/// The estimate of a column over some runs, as the experiment wants it, of a point that began with so many
/// replications.
pub(super) fn estimate_of(
    experiment: &Experiment,
    column: &Column,
    rows: &[&Row],
    index: usize,
    begun: u32,
) -> Estimate {
    let values: Vec<Option<f64>> = rows.iter().map(|row| row.values[index]).collect();
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    let confidence = experiment.confidence.0;
    let first = if experiment.precision.is_some() { first_look(begun) } else { u32::MAX };
    let student = || Estimate::stopped(&values, column.metric.fold, confidence, &[], first);
    if column.metric.fold != Fold::Mean || known.is_empty() {
        return student();
    }
    if let ([only], Some((error, degrees))) = (rows, rows[0].error(index)) {
        let estimate = only.values[index].unwrap_or(0.0);
        return of(BatchMeans { estimate, error, degrees }.interval(confidence), &known);
    }
    let found = match experiment.intervals {
        Intervals::Student => return student(),
        Intervals::Bootstrap => {
            let stream = Seed(1).replication(0).named("bootstrap").named(&column.name);
            let found = bootstrap_interval(&known, mean_and_error, RESAMPLES, confidence, stream);
            // With few values, or hardly any that differ, Student's is the better one.
            let Some(found) = found else { return student() };
            Some(found)
        }
        Intervals::Median => quantile_interval(&known, 0.5, confidence),
    };
    match found {
        Some(interval) => of(interval, &known),
        None => Estimate { low: None, high: None, ..student() },
    }
}

/// An interval as an estimate; where no value is negative, neither is what they estimate.
fn of(interval: Interval, values: &[f64]) -> Estimate {
    let least = if values.iter().all(|value| *value >= 0.0) { 0.0 } else { f64::MIN };
    Estimate {
        estimate: Some(interval.estimate),
        low: Some(interval.low.max(least)),
        high: Some(interval.high),
    }
}

fn finding(prepared: &Prepared<'_>, shared: Vec<Arc<Row>>, begun: u32) -> Finding {
    let rows: Vec<&Row> = shared.iter().map(|row| &**row).collect();
    let experiment = &prepared.experiment;
    let columns = prepared.columns.iter().enumerate();
    let estimate =
        |(index, column): (usize, &Column)| estimate_of(experiment, column, &rows, index, begun);
    let estimates: Vec<Estimate> = columns.map(estimate).collect();
    let grows = rows.iter().filter(|row| row.grows).count();
    let collapsed = rows.iter().filter(|row| row.collapsed).count();
    let judge = |objective: &crate::topology::Objective| {
        let name = column_of(objective);
        let index = prepared.columns.iter().position(|it| it.name == name);
        let value = index.map(|index| estimates[index]).unwrap_or_default();
        let holds = |value: f64| objective.comparison.holds(value, objective.bound);
        // While more come than end, what ended says little about what will.
        let is_steady = 2 * grows < rows.len().max(1);
        let met = value.estimate.is_some_and(holds) && is_steady;
        let ends = [value.low, value.high].into_iter().flatten();
        Judged {
            objective: objective.text.clone(),
            value,
            met,
            certain: value.low.is_some() && ends.map(holds).all(|held| held == met),
        }
    };
    Finding {
        labels: Vec::new(),
        shown: Vec::new(),
        numbers: Vec::new(),
        keys: Vec::new(),
        differences: vec![None; estimates.len()],
        grows,
        collapse: proportion_interval(collapsed as u64, rows.len() as u64, experiment.confidence.0),
        verdicts: prepared.objectives.iter().map(judge).collect(),
        estimates,
        rows: shared,
    }
}

/// The number of the point that the others are compared with.
fn baseline(path: &str, prepared: &Prepared<'_>) -> Result<usize, Problem> {
    let Some(wanted) = &prepared.experiment.baseline else { return Ok(0) };
    let text = prepared.inputs().into_iter().find(|(name, _)| name == path);
    let sources = vec![Source { name: path.into(), text: text.map(|it| it.1).unwrap_or_default() }];
    let wrong = |place: &crate::diagnostic::Place, message: String, help: String| {
        let found = Diagnostic::error("unknown-point", place.clone(), message).help(help);
        Err(Problem::Wrong(vec![found], sources.clone()))
    };
    let mut candidates: Vec<usize> = (0..prepared.points.len()).collect();
    for (name, level) in &wanted.levels {
        let Some(axis) = prepared.axes.iter().position(|axis| axis.name == *name) else {
            let names: Vec<&str> = prepared.axes.iter().map(|axis| axis.name.as_str()).collect();
            let message = format!("the baseline names `{name}`, which is no axis");
            return wrong(&level.place, message, format!("axes are {}", names.join(", ")));
        };
        let text = level.value.to_string();
        let chosen = |index: &usize| &prepared.points[*index].chosen[axis].text;
        let mut known: Vec<&str> = candidates.iter().map(|it| chosen(it).as_str()).collect();
        known.dedup();
        let help = format!("points there have {}", known.join(", "));
        candidates.retain(|index| *chosen(index) == text);
        if candidates.is_empty() {
            return wrong(&level.place, format!("no point has {name} = {text}"), help);
        }
    }
    Ok(candidates[0])
}

/// The differences of all points from one, replication by replication; Holm's correction over all
/// points of a column.
fn compare(prepared: &Prepared<'_>, points: &mut [Finding], baseline: usize) {
    let confidence = prepared.experiment.confidence.0;
    for column in 0..prepared.columns.len() {
        if prepared.columns[column].metric.fold != Fold::Mean {
            continue;
        }
        let values = |point: &Finding| -> Vec<Option<f64>> {
            point.rows.iter().map(|row| row.values[column]).collect()
        };
        let base = values(&points[baseline]);
        let mut found: Vec<(usize, Paired)> = Vec::new();
        for (index, point) in points.iter().enumerate() {
            if index == baseline {
                continue;
            }
            let pairs = base.iter().zip(values(point));
            let pairs: Vec<(f64, f64)> =
                pairs.filter_map(|(before, after)| (*before).zip(after)).collect();
            if let Some(paired) = paired(&pairs, confidence) {
                found.push((index, paired));
            }
        }
        let p_values: Vec<f64> = found.iter().map(|(_, paired)| paired.p_value).collect();
        let rejected = holm(&p_values, 1.0 - confidence);
        for ((index, mut paired), differs) in found.into_iter().zip(rejected) {
            paired.differs = differs;
            points[index].differences[column] = Some(paired);
        }
    }
}

fn paired(pairs: &[(f64, f64)], confidence: f64) -> Option<Paired> {
    let (before, after): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let difference = match paired_difference(&before, &after, confidence) {
        Some(interval) => Estimate {
            estimate: Some(interval.estimate),
            low: Some(interval.low),
            high: Some(interval.high),
        },
        None => {
            let only = after.first()? - before.first()?;
            return Some(Paired {
                difference: Estimate::exact(only),
                p_value: 1.0,
                differs: false,
            });
        }
    };
    let differences: Vec<f64> = pairs.iter().map(|(before, after)| after - before).collect();
    Some(Paired { difference, p_value: p_value(&differences), differs: false })
}

/// How likely a mean is as far from zero as this by chance, if it is zero (two-sided, Student's t).
pub fn p_value(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let error = (squares / (count - 1.0) / count).sqrt();
    if error == 0.0 {
        return if mean == 0.0 { 1.0 } else { 0.0 };
    }
    2.0 * (1.0 - student_t_probability((mean / error).abs(), count - 1.0))
}

fn ranking(experiment: &Experiment, columns: &[Column], points: &[Finding]) -> Option<Ranking> {
    let rank = experiment.rank.as_ref()?;
    let column = columns.iter().position(|it| it.name == rank.by)?;
    let smallest = matches!(rank.prefer, Prefer::Smallest);
    let sign = if smallest { 1.0 } else { -1.0 };
    let known: Vec<(usize, Vec<f64>)> = points
        .iter()
        .enumerate()
        .filter_map(|(index, point)| {
            let values = point.rows.iter().map(|row| row.values[column].map(|it| sign * it));
            Some((index, values.collect::<Option<Vec<f64>>>()?))
        })
        .collect();
    let estimate = |index: usize| sign * points[index].estimates[column].estimate.unwrap_or(0.0);
    let mut order: Vec<usize> = known.iter().map(|(index, _)| *index).collect();
    order.sort_by(|a, b| estimate(*a).total_cmp(&estimate(*b)).then(a.cmp(b)));
    // Only replications that all points have make pairs.
    let common = known.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
    let possibly_best = match common {
        0 | 1 => order.clone(),
        _ => {
            let values: Vec<Vec<f64>> =
                known.iter().map(|(_, values)| values[..common].to_vec()).collect();
            let kept = possibly_smallest(&values, experiment.confidence.0);
            let kept = known.iter().zip(kept).filter(|(_, kept)| *kept);
            kept.map(|((index, _), _)| *index).collect()
        }
    };
    Some(Ranking { column, smallest, order, possibly_best })
}

fn sensitivities(prepared: &Prepared<'_>, points: &[Finding]) -> Vec<Sensitivity> {
    let inputs = prepared.axes.len();
    let Some(places) = unit_points(&prepared.experiment, inputs) else { return Vec::new() };
    let mut found = Vec::new();
    for column in 0..prepared.columns.len() {
        let outputs: Option<Vec<f64>> =
            points.iter().map(|point| point.estimates[column].estimate).collect();
        let Some(outputs) = outputs else { continue };
        match &prepared.experiment.design {
            Design::Sensitivity(design) => {
                let indices = sobol(&outputs, design.points as usize, inputs, prepared);
                for (axis, (first, total)) in indices.into_iter().enumerate() {
                    let found_here = Influence::Sobol { first, total };
                    found.push(Sensitivity { column, axis, found: found_here });
                }
            }
            _ => {
                for (axis, effect) in morris(&places, &outputs).into_iter().enumerate() {
                    found.push(Sensitivity { column, axis, found: Influence::Morris(effect) });
                }
            }
        }
    }
    found
}

/// Sobol's indices with percentile intervals over resampled rows of the design.
fn sobol(
    outputs: &[f64],
    base: usize,
    inputs: usize,
    prepared: &Prepared<'_>,
) -> Vec<(Estimate, Estimate)> {
    let all: Vec<usize> = (0..base).collect();
    let whole = sobol_indices(outputs, base, inputs, &all);
    let stream = Seed(1).replication(0).named("sobol-indices");
    let resampled: Vec<Vec<Index>> = (0..INDEX_RESAMPLES)
        .map(|number| {
            let mut draws = stream.draw(number);
            let rows: Vec<usize> = (0..base).map(|_| draws.below(base as u32) as usize).collect();
            sobol_indices(outputs, base, inputs, &rows)
        })
        .collect();
    let miss = (1.0 - prepared.experiment.confidence.0) / 2.0;
    let with_ends = |value: f64, mut others: Vec<f64>| {
        others.sort_by(f64::total_cmp);
        let at =
            |share: f64| others[((share * others.len() as f64) as usize).min(others.len() - 1)];
        Estimate { estimate: Some(value), low: Some(at(miss)), high: Some(at(1.0 - miss)) }
    };
    (0..inputs)
        .map(|input| {
            let first = resampled.iter().map(|indices| indices[input].first).collect();
            let total = resampled.iter().map(|indices| indices[input].total).collect();
            (with_ends(whole[input].first, first), with_ends(whole[input].total, total))
        })
        .collect()
}

/// Student's interval of some values, as an estimate.
pub fn student(values: &[f64], confidence: f64) -> Estimate {
    match mean_interval(values, confidence) {
        Some(interval) => of(interval, values),
        None => values.first().map(|only| Estimate::exact(*only)).unwrap_or_default(),
    }
}
