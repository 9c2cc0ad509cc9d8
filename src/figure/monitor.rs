//! What products' own metrics show over time, beside what was so.

use serde_json::json;

use super::Figure;
use super::data::{Rows, row, shown};
use super::response::unit_axis;
use crate::result::{Point, Unit, monitor_courses};

/// One figure for each monitor that has values over time; of the first replication.
pub fn monitors(point: &Point<'_>) -> Vec<Figure> {
    let Some(outcome) = point.outcomes.first() else { return Vec::new() };
    let warmup = point.model.plan.warmup.seconds();
    let mut figures = Vec::new();
    for course in monitor_courses(point.model, outcome) {
        let mut rows = Rows::default();
        for (whose, values) in [("so it was", &course.truth), ("the monitor", &course.shown)] {
            for (end, value) in values {
                rows.add(row(
                    None,
                    &[
                        ("time_s", shown(warmup + end)),
                        ("whose", json!(whose)),
                        ("value", shown(*value)),
                    ],
                ));
            }
        }
        let unit = match course.what {
            "latency" | "oldest" | "lag" => Unit::Seconds,
            "rate" | "evictions" => Unit::PerSecond,
            "waiting" | "held" | "delayed" | "memory" | "bandwidth" | "in_flight" => Unit::Count,
            _ => Unit::Ratio,
        };
        let scale = match unit {
            Unit::Seconds if course.what == "latency" => json!({ "type": "log", "nice": false }),
            _ => json!({ "zero": true }),
        };
        let axis = unit_axis(course.what, unit);
        let whose = json!({ "field": "whose", "type": "nominal", "sort": null, "title": null,
            "scale": { "domain": ["so it was", "the monitor"], "range": ["#999999", "#D55E00"] } });
        let mut layer = vec![json!({
            "mark": { "type": "line", "strokeWidth": 1.75, "interpolate": "step-before" },
            "encoding": {
                "x": { "field": "time_s", "type": "quantitative", "scale": { "nice": false, "zero": false },
                       "axis": { "title": "simulated time (s)", "format": ",.4~r", "tickCount": 10 } },
                "y": { "field": "value", "type": "quantitative", "axis": axis, "scale": scale },
                "color": whose,
                "strokeDash": { "field": "whose", "type": "nominal", "sort": null, "title": null,
                    "scale": { "domain": ["so it was", "the monitor"], "range": [[1, 0], [6, 3]] } },
                "tooltip": [
                    { "field": "whose" }, { "field": "time_s", "format": ",.4~r" },
                    { "field": "value", "format": ",.4~r" },
                ],
            },
        })];
        if let Some(bound) = course.alarm_at {
            layer.push(json!({
                "data": { "values": [{ "value": shown(bound), "what": "the alarm's threshold" }] },
                "mark": { "type": "rule", "strokeDash": [2, 2], "color": "#0072B2" },
                "encoding": { "y": { "field": "value", "type": "quantitative" }, "tooltip": { "field": "what" } },
            }));
        }
        if !course.calls.is_empty() {
            let call =
                |at: &f64| json!({ "time_s": shown(warmup + at), "what": "the alarm calls" });
            layer.push(json!({
                "data": { "values": course.calls.iter().map(call).collect::<Vec<_>>() },
                "mark": { "type": "rule", "strokeDash": [2, 2], "color": "#D55E00" },
                "encoding": { "x": { "field": "time_s", "type": "quantitative" },
                    "tooltip": [{ "field": "what" }, { "field": "time_s", "format": ",.4~r" }] },
            }));
        }
        figures.push(Figure::new(
            &format!("monitor-{}", course.name),
            &format!("What `{}` shows", course.name),
            "A product's own metric beside what was so, step by step of the first replication; a value \
             stands for the period that ends with it.",
            rows,
            json!({ "height": 150, "layer": layer }),
        ));
    }
    figures.retain(Figure::has_data);
    figures
}
