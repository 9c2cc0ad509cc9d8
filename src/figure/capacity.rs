//! What a deployment carries: every load that was tried, and the band of the answer.

use serde_json::json;

use super::Figure;
use super::data::{Rows, row, shown};
use super::response::{scale_of, unit_axis};
use crate::result::{Estimate, Unit};

/// One replication at one load.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// The load.
    pub load: f64,
    /// Its number.
    pub replication: u32,
    /// What the objective bounds.
    pub value: Option<f64>,
    /// All objectives were met.
    pub met: bool,
}

/// What an objective bounds at each load that was tried, with its bound and the capacity.
pub fn capacity_curve(
    number: usize,
    objective: &str,
    (unit, bound): (Unit, f64),
    load_name: &str,
    tried: &[Tried],
    answer: Option<Estimate>,
) -> Figure {
    let mut rows = Rows::default();
    for one in tried {
        let Some(value) = one.value else { continue };
        rows.add(row(
            None,
            &[
                ("load", shown(one.load)),
                ("value", shown(value)),
                ("replication", json!(one.replication)),
                ("all objectives", json!(if one.met { "met" } else { "not met" })),
            ],
        ));
    }
    let load = json!({ "field": "load", "type": "quantitative",
        "scale": { "zero": false, "nice": false, "padding": 10 },
        "axis": { "title": load_name, "format": ",.3~r", "tickCount": 7 } });
    let name = objective.split(['<', '>']).next().unwrap_or_default().trim();
    let values = tried.iter().filter_map(|one| one.value).chain([bound]);
    let value = json!({ "field": "value", "type": "quantitative",
        "axis": unit_axis(name, unit), "scale": scale_of(values) });
    let answer = answer.unwrap_or_default();
    let mut layer = Vec::new();
    if let (Some(low), Some(high)) = (answer.low, answer.high) {
        layer.push(json!({
            "data": { "values": [{ "from": shown(low), "to": shown(high),
                                   "what": "the capacity, with its interval" }] },
            "mark": { "type": "rect", "color": "#009E73", "opacity": 0.18 },
            "encoding": { "x": { "field": "from", "type": "quantitative" }, "x2": { "field": "to" },
                          "tooltip": { "field": "what" } },
        }));
    }
    if let Some(at) = answer.estimate {
        layer.push(json!({
            "data": { "values": [{ "at": shown(at) }] },
            "mark": { "type": "rule", "color": "#009E73", "strokeWidth": 2 },
            "encoding": { "x": { "field": "at", "type": "quantitative" } },
        }));
    }
    layer.push(json!({
        "mark": { "type": "line", "color": "#999999", "strokeWidth": 1.5 },
        "encoding": { "x": load, "y": { "field": "value", "aggregate": "mean", "type": "quantitative",
                      "axis": value["axis"], "scale": value["scale"] } },
    }));
    let met = json!({ "field": "all objectives", "type": "nominal", "title": "all objectives",
        "scale": { "domain": ["met", "not met"], "range": ["#0072B2", "#D55E00"] } });
    let shape = json!({ "field": "all objectives", "type": "nominal", "title": "all objectives",
        "scale": { "domain": ["met", "not met"] } });
    layer.push(json!({
        "mark": { "type": "point", "filled": true, "size": 60, "opacity": 0.85 },
        "encoding": {
            "x": load, "y": value, "color": met, "shape": shape,
            "tooltip": [
                { "field": "load", "format": ",.4~r" }, { "field": "value", "format": ",.4~r", "title": name },
                { "field": "replication" }, { "field": "all objectives" },
            ] },
    }));
    layer.push(json!({
        "data": { "values": [{ "bound": bound, "what": objective }] },
        "mark": { "type": "rule", "strokeDash": [5, 4], "color": "#D55E00" },
        "encoding": { "y": { "field": "bound", "type": "quantitative" },
                      "tooltip": { "field": "what" } },
    }));
    Figure::new(
        &format!("capacity-{}", number + 1),
        objective,
        "Every replication at every load that was tried, their mean, the bound (dashed), and the \
         capacity with its interval (green).",
        rows,
        json!({ "height": 220, "layer": layer }),
    )
}
