//! What a change makes, on common random numbers.

use serde_json::json;

use super::Figure;
use super::data::{Rows, row, shown};
use crate::result::{Difference, Summary};

/// `latency_p95_s` as people say it: without its unit, which the tooltip has.
fn in_words(metric: &str) -> String {
    let endings = ["_per_s", "_ratio", "_s"];
    let short = endings.into_iter().find_map(|end| metric.strip_suffix(end)).unwrap_or(metric);
    short.replace('_', " ")
}

/// Differences from the first design as shares of its values, with intervals.
pub fn differences(first: &Summary, others: &[(&str, Vec<Difference>)]) -> Figure {
    let mut rows = Rows::default();
    for (design, list) in others {
        for found in list {
            let base = first
                .overall
                .measures
                .iter()
                .find(|measure| measure.metric.name() == found.metric)
                .and_then(|measure| measure.estimate.estimate)
                .filter(|base| *base != 0.0);
            let (Some(base), Some(value)) = (base, found.difference.estimate) else { continue };
            let share = |value: Option<f64>| value.map_or(json!(null), |it| shown(it / base));
            rows.add(row(
                Some(design),
                &[
                    ("metric", json!(found.metric)),
                    ("measure", json!(in_words(&found.metric))),
                    ("change_ratio", share(Some(value))),
                    ("low_ratio", share(found.difference.low)),
                    ("high_ratio", share(found.difference.high)),
                    ("difference", shown(value)),
                    ("unit", json!(found.unit.symbol())),
                    ("pairs", json!(found.pairs)),
                ],
            ));
        }
    }
    let metrics = others.iter().map(|(_, list)| list.len()).max().unwrap_or(0);
    let metric = json!({ "field": "measure", "type": "nominal", "sort": null, "title": null,
                         "axis": { "labelLimit": 150 } });
    // Symmetric logarithm: a thousandfold and a few per cent share the axis.
    let change = |field: &str| {
        json!({
            "field": field, "type": "quantitative",
            "scale": { "type": "symlog", "constant": 0.1 },
            "axis": { "title": "change from the first design", "format": "+.2~p",
                      "values": [-1, -0.5, -0.1, 0, 0.1, 0.5, 1, 10, 100, 1000, 10000] },
        })
    };
    let design = json!({ "field": "design", "type": "nominal", "sort": null, "title": null });
    Figure::new(
        "differences",
        "What the change makes",
        "Each metric's change from the first design, as a share of the first design's value, \
         replication by replication on the same users and work, with the interval of the pairs.",
        rows,
        json!({
            "height": 14 * others.len().max(2) * metrics + 10,
            "layer": [
                { "mark": { "type": "rule", "strokeWidth": 2 },
                  "encoding": { "y": metric, "yOffset": design, "x": change("low_ratio"),
                                "x2": { "field": "high_ratio" }, "color": design } },
                { "mark": { "type": "point", "filled": true, "size": 70, "opacity": 1 },
                  "encoding": {
                      "y": metric, "yOffset": design, "x": change("change_ratio"), "color": design,
                      "tooltip": [
                          { "field": "design" }, { "field": "metric" },
                          { "field": "change_ratio", "format": "+.3~p", "title": "change" },
                          { "field": "difference", "format": ".4~r" }, { "field": "unit" },
                          { "field": "pairs" },
                      ] } },
                { "data": { "values": [{ "none": 0 }] },
                  "mark": { "type": "rule", "strokeDash": [5, 4], "color": "#999999" },
                  "encoding": { "x": { "field": "none", "type": "quantitative" } } },
            ],
        }),
    )
}
