//! Whether the objectives of a topology are met.

use serde::Serialize;

use crate::topology::{LatencyStatistic, Metric, Objective};

use super::metric::{self, Whose};
use super::{Estimate, Summary};

/// Whether an objective is met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The objective as the file says it.
    pub objective: String,
    /// The name of the bounded metric in the result, after the path of the component or operation
    /// whose it is.
    pub metric: String,
    /// What was measured.
    pub value: Estimate,
    /// The bound, in the metric's unit.
    pub bound: f64,
    /// It is met; what could not be measured is not met, and neither is a bound on how requests end
    /// while they come faster than they end.
    pub met: bool,
    /// Requests come faster than they end: the value is of those few that have ended.
    pub growing: bool,
    /// The whole interval is on the same side of the bound as the estimate.
    pub certain: bool,
}

/// Judges every objective by its estimate.
pub fn judge(summary: &Summary, objectives: &[Objective]) -> Vec<Verdict> {
    objectives.iter().map(|objective| judge_one(summary, objective)).collect()
}

fn judge_one(summary: &Summary, objective: &Objective) -> Verdict {
    let (whose, path) = bounded(objective);
    let subject = match &whose {
        Whose::All => Some(&summary.overall),
        Whose::Operation(name) => summary.operations.iter().find(|it| it.path == *name),
        Whose::Component(path) => summary.component(path),
    };
    let value = subject.map(|it| it.estimate(&path)).unwrap_or_default();
    let holds = |value: f64| objective.comparison.holds(value, objective.bound);
    let about_ends = matches!(
        objective.metric,
        Metric::Latency(_) | Metric::Errors | Metric::Rejected | Metric::Timeouts
    );
    let growing = about_ends && summary.is_growing();
    let met = value.estimate.is_some_and(holds) && !growing;
    let ends = [value.low, value.high].into_iter().flatten();
    Verdict {
        objective: objective.text.clone(),
        metric: whose.named(&metric::name_of(&path)),
        value,
        bound: objective.bound,
        met,
        growing,
        certain: value.low.is_some() && ends.map(holds).all(|held| held == met),
    }
}

/// Whose metric an objective bounds, and its path among the metrics.
pub fn bounded(objective: &Objective) -> (Whose, String) {
    let of_requests = || match &objective.operation {
        Some(operation) => Whose::Operation(operation.name.clone()),
        None => Whose::All,
    };
    let of_component = |section, name: &str| Whose::Component(format!("{section}.{name}"));
    match &objective.metric {
        Metric::Latency(of) => (of_requests(), format!("latency_s.{}", statistic_name(*of))),
        Metric::Errors => (of_requests(), "failed_ratio".into()),
        Metric::Rejected => (of_requests(), "rejected_ratio".into()),
        Metric::Timeouts => (of_requests(), "timeouts_ratio".into()),
        Metric::Throughput => (of_requests(), "throughput_per_s".into()),
        Metric::Cost => (Whose::All, "cost_month".into()),
        Metric::Utilisation(of) => (of_component(of.section, &of.name), "utilisation_ratio".into()),
        Metric::Lag(of) => (of_component(of.section, &of.name), "lag_s".into()),
        Metric::Wait(statistic, of) => {
            (of_component(of.section, &of.name), format!("wait_s.{}", statistic_name(*statistic)))
        }
    }
}

fn statistic_name(statistic: LatencyStatistic) -> String {
    match statistic {
        LatencyStatistic::Mean => "mean".into(),
        LatencyStatistic::Max => "max".into(),
        // 0.95 is p95, 0.999 is p999.
        LatencyStatistic::Quantile(share) => {
            let digits = format!("{share}");
            let digits = digits.trim_start_matches("0.");
            format!("p{digits}{}", if digits.len() == 1 { "0" } else { "" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_have_the_names_of_the_result() {
        let names = [0.5, 0.9, 0.95, 0.99, 0.999]
            .map(|share| statistic_name(LatencyStatistic::Quantile(share)));
        assert_eq!(names, ["p50", "p90", "p95", "p99", "p999"]);
    }
}
