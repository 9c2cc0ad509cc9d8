//! Models with an exact answer, run by the whole engine and held against it.
//!
//! The list is one: the command `theory` prints it, and a test asserts every row of it with its
//! false-alarm rate and its teeth. The topologies are ordinary files (`topologies/theory`), so that
//! `run` gives the same numbers.

mod caches;
mod cases;
mod observed;
mod products;
mod recoveries;

pub use cases::CASES;
pub use observed::Observed;

use serde_json::{Value, json};

use crate::model::{Model, compile};
use crate::result::{Estimate, Fold, Unit};
use crate::run::Outcome;
use crate::stats::student_t_quantile;
use crate::topology::load;

/// How often a row disagrees with a simulator that is right: what |z| < 4 is for the normal law.
pub const FALSE_ALARM: f64 = 6e-5;
/// The confidence of the intervals shown.
pub const CONFIDENCE: f64 = 0.95;

/// A topology with what theory says of it.
pub struct Case {
    /// The model in the words of the field.
    pub model: &'static str,
    /// The path of its file in the repository.
    pub path: &'static str,
    /// The text of that file.
    pub text: &'static str,
    /// What is set over the file, as `--set` has it.
    pub sets: &'static [&'static str],
    /// By which share its closed forms may be off; zero unless they are approximations.
    pub within: f64,
    /// Its figures.
    pub rows: &'static [Row],
}

/// A figure that has a closed form.
pub struct Row {
    /// What it is.
    pub figure: &'static str,
    /// The closed form. S is a mean service time, rho a utilisation, lambda a rate of arrivals.
    pub formula: &'static str,
    /// Who found it, and when.
    pub source: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Its value in one replication.
    pub observe: fn(&Observed<'_>) -> f64,
    /// Its value in theory, when the parameter that matters is so many times as large.
    pub theory: fn(f64) -> f64,
    /// By which share the parameter may be wrong before the row's test must notice.
    pub teeth: f64,
}

/// A row with what a simulation says to it.
pub struct Finding {
    /// Of which case.
    pub case: &'static Case,
    /// Which row of it.
    pub row: &'static Row,
    /// Its value in each replication.
    pub observations: Vec<f64>,
    /// All of them together.
    pub estimate: Estimate,
    /// The value in theory.
    pub theory: f64,
    /// Student's t of the observations' mean about the theory.
    pub t: f64,
    /// |t| of a right simulator is below this, but for one row in 1 / [`FALSE_ALARM`].
    pub bound: f64,
}

impl Case {
    /// The case as a model, its seed this much further; `quick` measures a quarter of the time.
    pub fn compile(&self, seed: u64, quick: bool) -> Model {
        let sound = |sets: &[String]| {
            let loaded = load(self.path, sets, &mut |_| Ok(self.text.into()));
            compile(&loaded.topology.expect("a test has loaded every case"))
        };
        let mut sets: Vec<String> = self.sets.iter().map(|set| set.to_string()).collect();
        let mut model = sound(&sets);
        if quick {
            sets.push(format!("run.duration=\"{}s\"", model.plan.duration.seconds() / 4.0));
            model = sound(&sets);
        }
        model.plan.seed = model.plan.seed.wrapping_add(seed);
        model
    }

    /// What the replications of the case say to each of its rows.
    pub fn judge(&'static self, model: &Model, outcomes: &[Outcome]) -> Vec<Finding> {
        let judge = |row: &'static Row| {
            let observe = |outcome| (row.observe)(&Observed { model, outcome });
            let observations: Vec<f64> = outcomes.iter().map(observe).collect();
            let known: Vec<Option<f64>> = observations.iter().copied().map(Some).collect();
            let theory = (row.theory)(1.0);
            Finding {
                case: self,
                row,
                estimate: Estimate::fold(&known, Fold::Mean, CONFIDENCE, &[]),
                theory,
                t: self.deviation(&observations, theory),
                bound: bound(observations.len()),
                observations,
            }
        };
        self.rows.iter().map(judge).collect()
    }

    /// Student's t of the observations' mean about the nearest value that the theory allows.
    fn deviation(&self, observations: &[f64], theory: f64) -> f64 {
        let mean = observations.iter().sum::<f64>() / observations.len() as f64;
        let off = self.within * theory.abs();
        deviation(observations, mean.clamp(theory - off, theory + off))
    }
}

impl Finding {
    /// The simulation could have the theory as its mean, or one that is as near to it as its
    /// approximation should be.
    pub fn agrees(&self) -> bool {
        self.t.abs() < self.bound
    }
    /// The simulation rejects the theory of a model whose parameter is the row's share larger.
    pub fn has_teeth(&self) -> bool {
        let wrong = (self.row.theory)(1.0 + self.row.teeth);
        self.case.deviation(&self.observations, wrong).abs() >= self.bound
    }
}

/// All findings as one object.
pub fn to_json(findings: &[Finding]) -> Value {
    let row = |it: &Finding| {
        json!({
            "model": it.case.model,
            "topology": it.case.path,
            "sets": it.case.sets,
            "figure": it.row.figure,
            "formula": it.row.formula,
            "source": it.row.source,
            "approximate_within": it.case.within,
            "unit": it.row.unit.symbol(),
            "theory": it.theory,
            "simulated": it.estimate,
            "replications": it.observations.len(),
            "t": it.t,
            "t_bound": it.bound,
            "agrees": it.agrees(),
        })
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "confidence": CONFIDENCE,
        "false_alarm_ratio": FALSE_ALARM,
        "agrees": findings.iter().all(Finding::agrees),
        "rows": findings.iter().map(row).collect::<Vec<Value>>(),
    })
}

/// Student's t of the observations' mean about the expected value.
pub fn deviation(observations: &[f64], expected: f64) -> f64 {
    let count = observations.len() as f64;
    let mean = observations.iter().sum::<f64>() / count;
    let squares = observations.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>();
    let error = (squares / (count - 1.0) / count).sqrt();
    (mean - expected) / error
}

/// The |t| that so many observations exceed with the probability [`FALSE_ALARM`].
pub fn bound(observations: usize) -> f64 {
    student_t_quantile(1.0 - FALSE_ALARM / 2.0, observations as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::render_plain;

    #[test]
    fn every_case_loads_without_a_word_and_quick_is_a_quarter() {
        for case in CASES {
            let sets: Vec<String> = case.sets.iter().map(|set| set.to_string()).collect();
            let loaded = load(case.path, &sets, &mut |_| Ok(case.text.into()));
            assert_eq!(render_plain(&loaded.diagnostics, &loaded.sources), "", "{}", case.path);
            let (full, quick) = (case.compile(0, false), case.compile(3, true));
            assert_eq!(quick.plan.duration.seconds() * 4.0, full.plan.duration.seconds());
            assert_eq!(quick.plan.seed, full.plan.seed + 3);
        }
    }

    #[test]
    fn every_theory_has_a_value_and_depends_on_its_parameter() {
        for row in CASES.iter().flat_map(|case| case.rows) {
            let (right, wrong) = ((row.theory)(1.0), (row.theory)(1.0 + row.teeth));
            assert!(right.is_finite() && right > 0.0, "{}: {right}", row.formula);
            assert!((wrong / right - 1.0).abs() > 0.005, "{}: {right}, {wrong}", row.formula);
        }
    }

    #[test]
    fn a_mean_is_as_many_errors_away_as_it_is() {
        // Mean 3, standard error sqrt(2.5 / 5).
        let t = deviation(&[1.0, 2.0, 3.0, 4.0, 5.0], 2.0);
        assert!((t - 2.0_f64.sqrt()).abs() < 1e-12);
        // Many observations: nearly the normal law, where 4 is exceeded 6.3 times in 100,000.
        assert!((bound(100_000) - 4.0).abs() < 0.02);
        assert!(bound(16) > 5.0 && bound(16) < 6.0, "{}", bound(16));
    }
}
