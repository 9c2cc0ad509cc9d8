//! The course of a deployment under stress, beside its calm twin.

use serde_json::json;

use super::Figure;
use super::data::{Rows, row, shown};
use super::response::{Words, unit_axis};
use crate::result::Unit;

/// What replications show in a step of time.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The middle of the step, from the start of the measured time (s).
    pub at_s: f64,
    /// Whose.
    pub whose: String,
    /// A tenth of the replications are below, half of them, nine tenths.
    pub spread: [Option<f64>; 3],
}

/// A quantity over time, with the time of the stress shaded.
pub fn course(words: &Words, steps: &[Shown], stress: (f64, f64), what: &str) -> Figure {
    let mut rows = Rows::default();
    for step in steps {
        let [low, Some(middle), high] = step.spread else { continue };
        rows.add(row(
            None,
            &[
                ("time_s", shown(step.at_s)),
                ("whose", json!(step.whose)),
                ("value", shown(middle)),
                ("low", shown(low.unwrap_or(middle))),
                ("high", shown(high.unwrap_or(middle))),
            ],
        ));
    }
    let highest = steps.iter().filter_map(|step| step.spread[2]).fold(0.0, f64::max);
    let scale = match words.unit {
        Unit::Ratio => json!({ "domain": [0, 1] }),
        Unit::Seconds => json!({ "type": "log", "nice": false }),
        _ if highest > 1000.0 => json!({ "type": "symlog", "constant": 10 }),
        _ => json!({ "zero": true }),
    };
    let axis = unit_axis(&words.measured, words.unit);
    let x = json!({ "field": "time_s", "type": "quantitative", "scale": { "nice": false, "zero": false },
        "axis": { "title": "time (s)", "format": ",.4~r", "tickCount": 10 } });
    let y = |field: &str| json!({ "field": field, "type": "quantitative", "axis": axis, "scale": scale });
    let whose = json!({ "field": "whose", "type": "nominal", "sort": null, "title": null });
    let (from, to) = stress;
    let layer = json!([
        { "data": { "values": [{ "from": shown(from), "to": shown(to), "what": what }] },
          "mark": { "type": "rect", "color": "#D55E00", "opacity": 0.12 },
          "encoding": { "x": { "field": "from", "type": "quantitative" }, "x2": { "field": "to" },
                        "tooltip": { "field": "what" } } },
        { "mark": { "type": "area", "opacity": 0.16 },
          "encoding": { "x": x, "y": y("low"), "y2": { "field": "high" }, "color": whose } },
        { "mark": { "type": "line", "strokeWidth": 1.75 },
          "encoding": { "x": x, "y": y("value"), "color": whose, "strokeDash": whose,
              "tooltip": [
                  { "field": "whose" }, { "field": "time_s", "format": ",.4~r" },
                  { "field": "value", "format": ",.4~r" },
                  { "field": "low", "format": ",.4~r" }, { "field": "high", "format": ",.4~r" },
              ] } },
    ]);
    Figure::new(
        &words.name,
        &words.title,
        &words.caption,
        rows,
        json!({ "height": 190, "layer": layer }),
    )
}
