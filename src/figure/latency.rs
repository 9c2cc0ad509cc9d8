//! How latencies are distributed, with the objectives.

use serde_json::{Value, json};

use super::data::{Rows, row, shown};
use super::{Figure, seconds_axis};
use crate::result::Point;
use crate::stats::{Histogram, mean_interval};
use crate::topology::{LatencyStatistic, Metric};

/// The shares of requests at which the curve has a point: finer where tails are.
fn levels() -> Vec<f64> {
    let steps = |from: u32, to: u32, of: f64| (from..to).map(move |step| f64::from(step) / of);
    let mut levels: Vec<f64> = steps(1, 98, 100.0).collect();
    levels.extend(steps(980, 998, 1_000.0));
    levels.extend(steps(9_980, 10_000, 10_000.0));
    levels
}

/// The cumulative distribution of what users waited, of requests that ended well.
pub fn latency(points: &[Point<'_>]) -> Figure {
    let mut rows = Rows::default();
    let several = points.len() > 1;
    for point in points {
        let name = several.then_some(point.name);
        let mut all = Histogram::new();
        point.outcomes.iter().for_each(|outcome| all.merge(&outcome.latency));
        for level in levels() {
            // A quantile beyond the last request is only the maximum again.
            if (1.0 - level) * (all.count() as f64) < 1.0 {
                break;
            }
            let Some(at) = all.quantile(level) else { continue };
            let (low, high) = band(point, level).unwrap_or((at.seconds(), at.seconds()));
            rows.add(row(
                name,
                &[
                    ("latency_s", shown(at.seconds())),
                    ("low_s", shown(low)),
                    ("high_s", shown(high)),
                    ("share", shown(level)),
                ],
            ));
        }
    }
    let mut layers = vec![
        json!({
            "mark": { "type": "area", "orient": "horizontal", "opacity": 0.25, "clip": true },
            "encoding": coloured(several, json!({
                "y": share(),
                "x": { "field": "low_s", "type": "quantitative", "scale": { "type": "log", "nice": false },
                       "axis": seconds_axis("latency that users saw") },
                "x2": { "field": "high_s" },
            })),
        }),
        json!({
            "mark": { "type": "line", "strokeWidth": 2 },
            "encoding": coloured(several, json!({
                "y": share(),
                "x": { "field": "latency_s", "type": "quantitative", "scale": { "type": "log", "nice": false } },
                "order": { "field": "share", "type": "quantitative" },
                "tooltip": [
                    { "field": "share", "title": "share", "format": ".4~p" },
                    { "field": "latency_s", "title": "latency (s)", "format": ".4~r" },
                ],
            })),
        }),
    ];
    let marks = objectives(points);
    if !marks.is_empty() {
        layers.push(json!({
            "data": { "values": marks.clone() },
            "mark": { "type": "point", "shape": "cross", "size": 140, "strokeWidth": 2.5,
                      "color": { "expr": "objectiveColour" } },
            "encoding": {
                "x": { "field": "bound_s", "type": "quantitative" },
                "y": { "field": "share", "type": "quantitative" },
                "tooltip": [{ "field": "objective" }],
            },
        }));
        layers.push(json!({
            "data": { "values": marks },
            "mark": { "type": "text", "align": "right", "dx": -9, "dy": { "expr": "datum.down" },
                      "color": { "expr": "objectiveColour" } },
            "encoding": {
                "x": { "field": "bound_s", "type": "quantitative" },
                "y": { "field": "share", "type": "quantitative" },
                "text": { "field": "objective" },
            },
        }));
    }
    Figure::new(
        "latency",
        "How long users waited",
        "The share of requests that were answered within a time, with the interval over \
         replications. A cross is an objective: it is met where the curve passes above or to the \
         left of it.",
        rows,
        json!({ "height": 280, "params": [{ "name": "objectiveColour", "value": "#D55E00" }], "layer": layers }),
    )
}

fn share() -> Value {
    json!({
        "field": "share", "type": "quantitative", "scale": { "domain": [0, 1] },
        "axis": { "title": "share of requests", "format": ".0%" },
    })
}

/// Colours tell designs apart where there are several.
fn coloured(several: bool, mut encoding: Value) -> Value {
    if several {
        encoding["color"] =
            json!({ "field": "design", "type": "nominal", "sort": null, "title": null });
    }
    encoding
}

/// The interval of a quantile over replications (s).
fn band(point: &Point<'_>, level: f64) -> Option<(f64, f64)> {
    let values: Vec<f64> = point
        .outcomes
        .iter()
        .filter_map(|outcome| outcome.latency.quantile(level).map(|at| at.seconds()))
        .collect();
    let interval = mean_interval(&values, point.summary.confidence)?;
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    // A logarithmic axis has no zero: the band ends at the smallest value that was seen.
    Some((interval.low.max(least.min(interval.high)), interval.high))
}

/// The objectives on quantiles of latency, of all designs.
fn objectives(points: &[Point<'_>]) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    let all = points.iter().flat_map(|point| &point.model.objectives);
    for objective in all.filter(|it| it.operation.is_none()) {
        let Metric::Latency(LatencyStatistic::Quantile(level)) = objective.metric else { continue };
        let mark = json!({
            "objective": objective.text, "bound_s": shown(objective.bound), "share": shown(level),
        });
        if !found.contains(&mark) {
            found.push(mark);
        }
    }
    // Labels of neighbours stand below one another.
    for (number, mark) in found.iter_mut().enumerate() {
        mark["down"] = json!(12 + 14 * number);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_rise() {
        let levels = levels();
        assert!(levels.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(levels.iter().all(|level| (0.0..1.0).contains(level)));
    }
}
