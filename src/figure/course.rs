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

/// At most so many steps of one line are drawn: neighbours are taken together.
const MOST_STEPS: usize = 240;

/// Neighbouring steps of each line as one, where there are more than a picture shows.
fn thinned(steps: &[Shown]) -> Vec<Shown> {
    let mut lines: Vec<Vec<&Shown>> = Vec::new();
    for step in steps {
        match lines.iter_mut().find(|line| line[0].whose == step.whose) {
            Some(line) => line.push(step),
            None => lines.push(vec![step]),
        }
    }
    let mean = |steps: &[&Shown], of: &dyn Fn(&Shown) -> Option<f64>| {
        let values: Vec<f64> = steps.iter().filter_map(|step| of(step)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let one = |together: &[&Shown]| Shown {
        at_s: mean(together, &|step| Some(step.at_s)).unwrap_or(0.0),
        whose: together[0].whose.clone(),
        spread: std::array::from_fn(|end| mean(together, &|step| step.spread[end])),
    };
    let line = |line: Vec<&Shown>| -> Vec<Shown> {
        line.chunks(line.len().div_ceil(MOST_STEPS)).map(one).collect()
    };
    lines.into_iter().flat_map(line).collect()
}

/// A quantity over time, with the time of the stress shaded.
pub fn course(words: &Words, steps: &[Shown], stress: (f64, f64), what: &str) -> Figure {
    let mut rows = Rows::default();
    let steps = thinned(steps);
    for step in &steps {
        let [low, Some(middle), high] = step.spread else { continue };
        rows.add(row(
            None,
            &[
                ("time_s", shown(step.at_s)),
                ("whose", json!(&step.whose)),
                ("value", shown(middle)),
                ("low", shown(low.unwrap_or(middle))),
                ("high", shown(high.unwrap_or(middle))),
            ],
        ));
    }
    let highest = steps.iter().filter_map(|step| step.spread[2]).fold(0.0, f64::max);
    let any_zero = steps.iter().any(|step| step.spread.iter().flatten().any(|it| *it <= 0.0));
    let scale = match words.unit {
        Unit::Ratio => json!({ "domain": [0, 1] }),
        Unit::Seconds if !any_zero => json!({ "type": "log", "nice": false }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_courses_are_thinned_line_by_line() {
        let step = |at: usize| Shown {
            at_s: at as f64,
            whose: if at.is_multiple_of(2) { "calm" } else { "stressed" }.into(),
            spread: [None, (at != 2).then_some(at as f64), Some(1.0)],
        };
        let all: Vec<Shown> = (0..2_000).map(step).collect();
        let few = thinned(&all);
        assert_eq!(few.len(), 2 * 200, "five of each thousand are one");
        assert_eq!((few[0].whose.as_str(), few[0].at_s), ("calm", 4.0));
        assert_eq!(few[0].spread, [None, Some((0.0 + 4.0 + 6.0 + 8.0) / 4.0), Some(1.0)]);
        assert_eq!(thinned(&all[..400]).len(), 400, "short ones stay as they are");
    }
}
