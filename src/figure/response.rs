//! How a measure answers to what is varied: curves with bands, dots with intervals, maps of heat.

use serde_json::{Value, json};

use super::data::{Rows, row, shown};
use super::{Figure, ratio_axis, seconds_axis};
use crate::result::{Estimate, Unit};

/// Where a point stands on the axis of what is varied.
#[derive(Clone, Debug, PartialEq)]
pub enum At {
    /// A number.
    Number(f64),
    /// A name.
    Label(String),
}

/// A point of a response.
#[derive(Clone, Debug)]
pub struct Dot {
    /// Where.
    pub at: At,
    /// To which curve it belongs; empty where there is one.
    pub series: String,
    /// What was measured.
    pub value: Estimate,
}

/// What a response is of.
#[derive(Clone, Debug)]
pub struct Words {
    /// The stem of its file.
    pub name: String,
    /// The heading.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The axis of what is varied.
    pub varied: String,
    /// The axis of what is measured.
    pub measured: String,
    /// The unit of what is measured.
    pub unit: Unit,
}

/// An axis of a unit.
pub(crate) fn unit_axis(title: &str, unit: Unit) -> Value {
    match unit {
        Unit::Seconds => seconds_axis(title),
        Unit::Ratio => ratio_axis(title),
        Unit::PerSecond | Unit::Count => {
            json!({ "title": title, "format": ",.3~r", "tickCount": 6 })
        }
        Unit::Dollars => json!({ "title": title, "format": "$,.3~r", "tickCount": 6 }),
    }
}

/// A scale for values of these sizes: logarithmic where they lie far apart.
pub(crate) fn scale_of(values: impl Iterator<Item = f64>) -> Value {
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    for value in values.filter(|it| it.is_finite()) {
        (least, most) = (least.min(value), most.max(value));
    }
    if least > 0.0 && most > 30.0 * least {
        json!({ "type": "log", "nice": false, "padding": 8 })
    } else {
        json!({ "zero": true })
    }
}

fn text_of(at: &At) -> Value {
    match at {
        At::Number(number) => shown(*number),
        At::Label(label) => json!(label),
    }
}

fn dot_row(dot: &Dot) -> Value {
    let end = |value: Option<f64>| value.map_or(json!(null), shown);
    row(
        None,
        &[
            ("at", text_of(&dot.at)),
            ("series", json!(dot.series)),
            ("value", end(dot.value.estimate)),
            ("low", end(dot.value.low.or(dot.value.estimate))),
            ("high", end(dot.value.high.or(dot.value.estimate))),
        ],
    )
}

/// How a measure answers to one thing that is varied: a curve with a band for each series, or dots
/// with intervals where what is varied has names or values without an order.
pub fn response(words: &Words, dots: &[Dot], curve: bool) -> Figure {
    let mut rows = Rows::default();
    dots.iter().filter(|dot| dot.value.estimate.is_some()).for_each(|dot| rows.add(dot_row(dot)));
    let numbers: Vec<f64> = dots
        .iter()
        .filter_map(|dot| match dot.at {
            At::Number(number) => Some(number),
            At::Label(_) => None,
        })
        .collect();
    let numeric = numbers.len() == dots.len();
    let mut x = json!({
        "field": "at", "type": if numeric { "quantitative" } else { "nominal" }, "sort": null,
        "axis": { "title": words.varied, "format": ",.3~r", "tickCount": 7 },
    });
    if numeric {
        x["scale"] = scale_of(numbers.into_iter());
        if x["scale"]["zero"] == json!(true) {
            x["scale"] = json!({ "zero": false, "nice": false, "padding": 8 });
        }
    } else {
        x["axis"] = json!({ "title": words.varied, "labelAngle": -30, "labelLimit": 120 });
    }
    let axis = unit_axis(&words.measured, words.unit);
    let ends = dots.iter().flat_map(|dot| [dot.value.estimate, dot.value.low, dot.value.high]);
    let ends = ends.flatten();
    let scale = scale_of(ends);
    let y = |field: &str| json!({ "field": field, "type": "quantitative", "axis": axis, "scale": scale });
    let several = dots.iter().any(|dot| dot.series != dots[0].series);
    let color = match several {
        true => json!({ "field": "series", "type": "nominal", "sort": null, "title": null }),
        false => json!({ "value": "#0072B2" }),
    };
    let tooltip = json!([
        { "field": "at", "title": words.varied }, { "field": "series", "title": "with" },
        { "field": "value", "format": ",.4~r" },
        { "field": "low", "format": ",.4~r" }, { "field": "high", "format": ",.4~r" },
    ]);
    let mut layer = Vec::new();
    if curve && numeric {
        layer.push(json!({ "mark": { "type": "area", "opacity": 0.18 },
            "encoding": { "x": x, "y": y("low"), "y2": { "field": "high" }, "color": color } }));
        layer.push(json!({ "mark": { "type": "line", "strokeWidth": 2 },
            "encoding": { "x": x, "y": y("value"), "color": color } }));
    } else {
        layer.push(json!({ "mark": { "type": "rule", "strokeWidth": 2 },
            "encoding": { "x": x, "y": y("low"), "y2": { "field": "high" }, "color": color } }));
    }
    let mut points = json!({ "mark": { "type": "point", "filled": true, "size": 55, "opacity": 1 },
        "encoding": { "x": x, "y": y("value"), "color": color, "tooltip": tooltip } });
    if several {
        points["encoding"]["shape"] = color.clone();
    }
    layer.push(points);
    Figure::new(
        &words.name,
        &words.title,
        &words.caption,
        rows,
        json!({ "height": 220, "layer": layer }),
    )
}

/// A cell of a map.
#[derive(Clone, Debug)]
pub struct Cell {
    /// To the right.
    pub x: String,
    /// Upwards.
    pub y: String,
    /// What was measured there.
    pub value: f64,
}

/// Up to so many cells have their numbers written into them.
const WRITTEN: usize = 64;

/// How a measure answers to two things that are varied; `varied` of the words is the axis to the
/// right, `upwards` the other.
pub fn heat_map(words: &Words, upwards: &str, cells: &[Cell]) -> Figure {
    let mut rows = Rows::default();
    for cell in cells {
        let text = crate::figure::response::label(cell.value, words.unit);
        rows.add(row(
            None,
            &[
                ("x", json!(cell.x)),
                ("y", json!(cell.y)),
                ("value", shown(cell.value)),
                ("text", json!(text)),
            ],
        ));
    }
    let values = || cells.iter().map(|cell| cell.value);
    let mut scale = scale_of(values());
    if let Some(scale) = scale.as_object_mut() {
        scale.insert("scheme".into(), json!("viridis"));
        scale.insert("reverse".into(), json!(true));
        scale.remove("padding");
    }
    let (least, most) =
        values().fold((f64::INFINITY, 0.0_f64), |(low, high), it| (low.min(it), high.max(it)));
    let log = scale["type"] == json!("log");
    let middle = if log { libm::sqrt(least * most) } else { most / 2.0 };
    let x = json!({ "field": "x", "type": "ordinal", "sort": null,
                    "axis": { "title": words.varied, "labelAngle": 0, "labelLimit": 90, "labelOverlap": true } });
    let y = json!({ "field": "y", "type": "ordinal", "sort": null,
                    "axis": { "title": upwards, "labelLimit": 120 } });
    let mut legend = unit_axis(&words.measured, words.unit);
    if let Some(legend) = legend.as_object_mut() {
        legend.remove("tickCount");
        legend.insert("title".into(), json!(null));
        legend.insert("gradientLength".into(), json!(200));
    }
    let mut layer = vec![json!({
        "mark": { "type": "rect" },
        "encoding": {
            "x": x, "y": y,
            "color": { "field": "value", "type": "quantitative", "scale": scale, "legend": legend },
            "tooltip": [
                { "field": "x", "title": words.varied }, { "field": "y", "title": upwards },
                { "field": "text", "title": words.measured },
            ],
        },
    })];
    if cells.len() <= WRITTEN {
        layer.push(json!({
            "mark": { "type": "text", "fontSize": 11 },
            "encoding": {
                "x": x, "y": y, "text": { "field": "text" },
                "color": { "condition": { "test": format!("datum.value > {middle}"), "value": "white" },
                           "value": "black" },
            },
        }));
    }
    let mut ys: Vec<&str> = cells.iter().map(|cell| cell.y.as_str()).collect();
    ys.sort_unstable();
    ys.dedup();
    Figure::new(
        &words.name,
        &words.title,
        &words.caption,
        rows,
        json!({ "height": 34 * ys.len().max(2), "layer": layer }),
    )
}

/// A value as short text.
fn label(value: f64, unit: Unit) -> String {
    let digits = |value: f64| {
        let places = if value >= 100.0 {
            0
        } else if value >= 10.0 {
            1
        } else {
            2
        };
        format!("{value:.places$}")
    };
    match unit {
        Unit::Seconds if value < 1e-3 => format!("{} us", digits(value * 1e6)),
        Unit::Seconds if value < 1.0 => format!("{} ms", digits(value * 1e3)),
        Unit::Seconds => format!("{} s", digits(value)),
        Unit::Ratio => format!("{} %", digits(value * 100.0)),
        Unit::Dollars => format!("${}", digits(value)),
        Unit::PerSecond if value >= 1e6 => format!("{} M/s", digits(value / 1e6)),
        Unit::PerSecond if value >= 1e4 => format!("{} k/s", digits(value / 1e3)),
        Unit::PerSecond => format!("{}/s", digits(value)),
        Unit::Count if value >= 1e6 => format!("{} M", digits(value / 1e6)),
        Unit::Count if value >= 1e4 => format!("{} k", digits(value / 1e3)),
        Unit::Count => digits(value),
    }
}

/// A row of a figure of intervals.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Of what.
    pub label: String,
    /// What colours it.
    pub group: String,
    /// What was measured.
    pub value: Estimate,
}

/// Dots with intervals, one below the other, beside a line at `beside`, if there is one; `varied` of
/// the words is not used.
pub fn intervals(
    words: &Words,
    bars: &[Bar],
    beside: Option<f64>,
    groups: &[(&str, &str)],
) -> Figure {
    let mut rows = Rows::default();
    for bar in bars.iter().filter(|bar| bar.value.estimate.is_some()) {
        let end = |value: Option<f64>| value.map_or(json!(null), shown);
        rows.add(row(
            None,
            &[
                ("label", json!(bar.label)),
                ("group", json!(bar.group)),
                ("value", end(bar.value.estimate)),
                ("low", end(bar.value.low.or(bar.value.estimate))),
                ("high", end(bar.value.high.or(bar.value.estimate))),
            ],
        ));
    }
    let mut labels: Vec<&str> = bars.iter().map(|bar| bar.label.as_str()).collect();
    labels.sort_unstable();
    labels.dedup();
    let offset = labels.len() < bars.len();
    let y = json!({ "field": "label", "type": "nominal", "sort": null, "title": null,
                    "axis": { "labelLimit": 170 } });
    let ends = bars.iter().flat_map(|bar| [bar.value.estimate, bar.value.low, bar.value.high]);
    let mut scale = scale_of(ends.flatten());
    if scale["type"] != json!("log") {
        scale = json!({ "zero": beside.is_none() || beside == Some(0.0), "padding": 8 });
    }
    let axis = unit_axis(&words.measured, words.unit);
    let x = |field: &str| json!({ "field": field, "type": "quantitative", "axis": axis, "scale": scale });
    let mut color = json!({ "field": "group", "type": "nominal", "sort": null, "title": null });
    if !groups.is_empty() {
        let (domain, range): (Vec<&str>, Vec<&str>) = groups.iter().copied().unzip();
        color["scale"] = json!({ "domain": domain, "range": range });
    }
    // Of colours a shape knows only the names.
    let mut shape = json!({ "field": "group", "type": "nominal", "sort": null, "title": null });
    if !groups.is_empty() {
        shape["scale"] = json!({ "domain": color["scale"]["domain"] });
    }
    let with_offset = |mut encoding: Value| {
        if offset {
            encoding["yOffset"] = json!({ "field": "group", "type": "nominal", "sort": null });
        }
        encoding
    };
    let mut layer = vec![
        json!({ "mark": { "type": "rule", "strokeWidth": 2 },
                "encoding": with_offset(json!({ "y": y, "x": x("low"), "x2": { "field": "high" }, "color": color })) }),
        json!({ "mark": { "type": "point", "filled": true, "size": 70, "opacity": 1 },
                "encoding": with_offset(json!({
                    "y": y, "x": x("value"), "color": color, "shape": shape,
                    "tooltip": [
                        { "field": "label", "title": "of" }, { "field": "group", "title": "is" },
                        { "field": "value", "format": ",.4~r" },
                        { "field": "low", "format": ",.4~r" }, { "field": "high", "format": ",.4~r" },
                    ] })) }),
    ];
    // Nothing stands nowhere on a logarithmic axis.
    if let Some(at) = beside.filter(|at| *at > 0.0 || scale["type"] != json!("log")) {
        layer.push(json!({
            "data": { "values": [{ "at": at }] },
            "mark": { "type": "rule", "strokeDash": [5, 4], "color": "#999999" },
            "encoding": { "x": { "field": "at", "type": "quantitative" } },
        }));
    }
    let height = if offset { 13 * bars.len() } else { 20 * labels.len() };
    Figure::new(
        &words.name,
        &words.title,
        &words.caption,
        rows,
        json!({ "height": height.max(40) + 10, "layer": layer }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words {
            name: "x".into(),
            title: "X".into(),
            caption: "How.".into(),
            varied: "size".into(),
            measured: "p95".into(),
            unit: Unit::Seconds,
        }
    }

    #[test]
    fn curves_have_bands_and_names_have_dots() {
        let value = Estimate { estimate: Some(0.2), low: Some(0.1), high: Some(0.3) };
        let dot = |at| Dot { at, series: String::new(), value };
        let curve = response(&words(), &[dot(At::Number(1.0)), dot(At::Number(2.0))], true);
        assert_eq!(curve.spec["layer"][0]["mark"]["type"], "area");
        assert_eq!(curve.spec["data"]["values"][1]["high"], 0.3);
        let named = response(&words(), &[dot(At::Label("a".into()))], true);
        assert_eq!(named.spec["layer"][0]["mark"]["type"], "rule");
    }

    #[test]
    fn values_far_apart_share_a_logarithmic_scale() {
        assert_eq!(scale_of([1.0, 100.0].into_iter())["type"], "log");
        assert_eq!(scale_of([0.0, 100.0].into_iter())["zero"], true);
        assert_eq!(label(0.0123, Unit::Seconds), "12.3 ms");
        assert_eq!(label(123_456.0, Unit::PerSecond), "123 k/s");
    }
}
