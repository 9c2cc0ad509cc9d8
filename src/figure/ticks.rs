//! Where logarithmic axes have their ticks: at numbers that people count in.
//!
//! A tool that draws would put them at 1 to 9 of every decade and drop what has no room: 2, 6, 10,
//! 50, 90, 400.

use serde_json::{Value, json};

/// From this span on ticks are at 1, 2 and 5 of each decade; below, evenly apart.
const WIDE: f64 = 8.0;

/// Sets the ticks of every logarithmic axis of a specification.
pub(super) fn set(spec: &mut Value) {
    for channel in ["x", "y"] {
        let mut fields = Vec::new();
        fields_of(spec, channel, &mut fields);
        let mut span = (f64::INFINITY, 0.0_f64);
        for row in spec["data"]["values"].as_array().into_iter().flatten() {
            for value in fields.iter().filter_map(|field| row[field.as_str()].as_f64()) {
                if value > 0.0 {
                    span = (span.0.min(value), span.1.max(value));
                }
            }
        }
        if span.0 < span.1 {
            put(spec, channel, &json!(between(span.0, span.1)));
        }
    }
}

/// The fields that a channel and its other end show.
fn fields_of(spec: &Value, channel: &str, found: &mut Vec<String>) {
    let encoding = &spec["encoding"];
    let both = [&encoding[channel], &encoding[format!("{channel}2")]];
    found.extend(both.iter().filter_map(|it| it["field"].as_str().map(String::from)));
    for layer in spec["layer"].as_array().into_iter().flatten() {
        fields_of(layer, channel, found);
    }
}

/// Puts the ticks where the scale is logarithmic and the axis has none of its own.
fn put(spec: &mut Value, channel: &str, ticks: &Value) {
    let shown = spec.get_mut("encoding").and_then(|it| it.get_mut(channel));
    if let Some(shown) = shown
        && shown.pointer("/scale/type").is_some_and(|it| it == "log")
        && let Some(axis) = shown.get_mut("axis").and_then(Value::as_object_mut)
        && !axis.contains_key("values")
    {
        axis.remove("tickCount");
        axis.insert("values".into(), ticks.clone());
    }
    for layer in spec.get_mut("layer").and_then(Value::as_array_mut).into_iter().flatten() {
        put(layer, channel, ticks);
    }
}

/// Ticks from one number to another, and one beyond either where the axis has room.
fn between(least: f64, most: f64) -> Vec<f64> {
    if most < WIDE * least {
        let step = step_of((most - least) / 5.0);
        let (first, last) = (libm::floor(least / step) as i64, libm::ceil(most / step) as i64);
        return (first.max(1)..=last).map(|count| exactly(count as f64 * step)).collect();
    }
    let decades = libm::floor(libm::log10(least)) as i32..=libm::ceil(libm::log10(most)) as i32;
    let ticks = decades.flat_map(|decade| {
        [1.0, 2.0, 5.0].map(|digit| exactly(digit * libm::pow(10.0, f64::from(decade))))
    });
    ticks.filter(|tick| least / 2.5 <= *tick && *tick <= most * 2.5).collect()
}

/// The next of 1, 2 and 5 of a decade.
fn step_of(about: f64) -> f64 {
    let decade = libm::pow(10.0, libm::floor(libm::log10(about)));
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * decade >= about * 0.999);
    exactly(digit.unwrap_or(10.0) * decade)
}

/// Without the noise of powers in the last digits.
fn exactly(number: f64) -> f64 {
    format!("{number:.6e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_numbers_that_people_count_in() {
        assert_eq!(between(0.003, 0.2), [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]);
        assert_eq!(between(0.87, 1.18), [0.8, 0.9, 1.0, 1.1, 1.2]);
        assert_eq!(between(100.0, 700.0), [200.0, 400.0, 600.0, 800.0]);
    }

    #[test]
    fn only_logarithmic_axes_are_touched() {
        let axis = |kind: &str| json!({ "field": "a", "scale": { "type": kind }, "axis": { "tickCount": 6 } });
        let mut spec = json!({
            "data": { "values": [{ "a": 1, "b": 2 }, { "a": 30, "b": 1000 }] },
            "layer": [{ "encoding": { "x": axis("log"), "x2": { "field": "b" }, "y": axis("linear") } },
                      { "mark": "rule" }],
        });
        set(&mut spec);
        let x = &spec["layer"][0]["encoding"]["x"]["axis"];
        assert_eq!(x["values"][0], 1.0);
        assert_eq!(x["values"].as_array().map(Vec::len), Some(11), "to 1,000 and one more: {x}");
        assert_eq!(spec["layer"][0]["encoding"]["y"]["axis"], json!({ "tickCount": 6 }));
        assert!(spec["layer"][1].get("encoding").is_none(), "{spec}");
    }
}
