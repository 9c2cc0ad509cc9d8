//! Whether the objectives of a topology are met.

use serde::Serialize;

use crate::topology::{LatencyStatistic, Metric, Objective, Section};

use super::{Estimate, Summary};

/// Whether an objective is met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The objective as the file says it.
    pub objective: String,
    /// The name of the bounded metric in the result, with the component's path before it if it is
    /// one's.
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
    let whole = |path: &str| {
        let measure = summary.overall.measure(path);
        measure.map(|measure| (measure.metric.name(), measure.estimate))
    };
    let found = match &objective.metric {
        Metric::Latency(statistic) => whole(&format!("latency_s.{}", statistic_name(*statistic))),
        Metric::Errors => whole("failed_ratio"),
        Metric::Rejected => whole("rejected_ratio"),
        Metric::Timeouts => whole("timeouts_ratio"),
        Metric::Throughput => whole("throughput_per_s"),
        Metric::Cost => whole("cost_month"),
        Metric::Utilisation(of) => of_component(summary, of.section, &of.name, "utilisation_ratio"),
        Metric::Lag(of) => of_component(summary, of.section, &of.name, "lag_s"),
    };
    let (metric, value) = found.unwrap_or_default();
    let holds = |value: f64| objective.comparison.holds(value, objective.bound);
    let about_ends = !matches!(
        objective.metric,
        Metric::Throughput | Metric::Cost | Metric::Utilisation(_) | Metric::Lag(_)
    );
    let growing = about_ends && summary.is_growing();
    let met = value.estimate.is_some_and(holds) && !growing;
    let ends = [value.low, value.high].into_iter().flatten();
    Verdict {
        objective: objective.text.clone(),
        metric,
        value,
        bound: objective.bound,
        met,
        growing,
        certain: value.low.is_some() && ends.map(holds).all(|held| held == met),
    }
}

fn of_component(
    summary: &Summary,
    section: Section,
    name: &str,
    metric: &str,
) -> Option<(String, Estimate)> {
    let path = format!("{section}.{name}");
    let measure = summary.component(&path).and_then(|it| it.measure(metric))?;
    Some((format!("{path}.{metric}"), measure.estimate))
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
