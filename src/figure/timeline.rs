//! The course of a run: load, latency, utilisation, queues, instances.

use serde_json::{Value, json};

use super::board::marks_of;
use super::data::{Rows, row, shown};
use super::{Figure, count_axis, ratio_axis, seconds_axis};
use crate::model::{Model, StationKind};
use crate::result::Point;
use crate::run::{StationWindow, Window};

/// At most so many steps are drawn: neighbours are taken together.
const MOST_STEPS: usize = 240;
/// Designs side by side share so many.
const ALL_STEPS: usize = 480;
/// Queues that stay below it are drawn on a linear axis.
const FEW: f64 = 8.0;
/// At most so many components in a figure: those that have most of it.
const MOST_COMPONENTS: usize = 7;

/// All figures of a run over time. Several designs share the first three; those by component are
/// one for each design.
pub fn timelines(points: &[Point<'_>]) -> Vec<Figure> {
    let mut figures = vec![load(points), latency(points), failures(points)];
    for point in points {
        for what in [&UTILISATION, &WAITING, &INSTANCES] {
            let figure = by_component(point, what, points.len());
            figures.push(if points.len() > 1 { figure.of(point.name) } else { figure });
        }
    }
    figures.retain(Figure::has_data);
    figures
}

/// A step of the drawn timeline: windows that stand together, of all replications.
pub(super) struct Step<'a> {
    pub start_s: f64,
    pub end_s: f64,
    pub windows: Vec<&'a Window>,
}

impl Step<'_> {
    pub fn mean(&self, of: impl Fn(&Window) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.windows.iter().filter_map(|window| of(window)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

/// The windows of all replications, side by side and, where there are many, taken together.
pub(super) fn steps<'a>(point: &Point<'a>, designs: usize) -> Vec<Step<'a>> {
    let Some(longest) = point.outcomes.iter().map(|outcome| outcome.windows.len()).max() else {
        return Vec::new();
    };
    let most = MOST_STEPS.min(ALL_STEPS / designs.max(1)).max(40);
    let together = longest.div_ceil(most).max(1);
    let step = |number: usize| {
        let range = |outcome: &'a crate::run::Outcome| {
            let end = outcome.windows.len().min((number + 1) * together);
            outcome.windows.get(number * together..end).unwrap_or(&[]).iter()
        };
        let windows: Vec<&Window> = point.outcomes.iter().flat_map(range).collect();
        let start_s = windows.first()?.start.seconds();
        let end_s = windows.iter().map(|window| window.end.seconds()).fold(start_s, f64::max);
        Some(Step { start_s, end_s, windows })
    };
    (0..longest.div_ceil(together)).filter_map(step).collect()
}

pub(super) fn seconds(window: &Window) -> f64 {
    window.end.since(window.start).seconds()
}

/// The time axis; simulated time from the start of the run.
fn time_axis() -> Value {
    json!({ "field": "time_s", "type": "quantitative", "scale": { "nice": false, "zero": false },
            "axis": { "title": "simulated time (s)", "format": ",.4~r", "tickCount": 10 } })
}

/// Lines over time above the shading of the warm-up.
fn lines(points: &[Point<'_>], encoding: Value, height: u32) -> Value {
    let end = points.iter().map(|point| point.model.plan.warmup.seconds()).fold(0.0, f64::max);
    let mut figure = json!({
        "height": height,
        "layer": [
            { "data": { "values": [{ "from": 0, "to": shown(end), "what": "warm-up, not measured" }] },
              "mark": { "type": "rect", "color": "#999999", "opacity": 0.15 },
              "encoding": { "x": { "field": "from", "type": "quantitative" },
                            "x2": { "field": "to" },
                            "tooltip": { "field": "what" } } },
            { "mark": { "type": "line", "strokeWidth": 1.75, "interpolate": "monotone" }, "encoding": encoding },
        ],
    });
    if let Some(layers) = figure["layer"].as_array_mut() {
        layers.splice(1..1, marks(points));
    }
    figure
}

/// At most so many faults and deploys are named on a timeline.
const MOST_NAMED: usize = 6;

/// The faults and deploys of the first replication of each design, and jumps of its load: shaded,
/// and named where there is room.
fn marks(points: &[Point<'_>]) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for point in points {
        let warmup = point.model.plan.warmup.seconds();
        for mark in marks_of(point) {
            let (from, until) = (shown(mark.from_s + warmup), shown(mark.until_s + warmup));
            let mark = json!({ "from": from, "to": until, "what": mark.what });
            if !found.contains(&mark) {
                found.push(mark);
            }
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let named = found.len() <= MOST_NAMED;
    let from = json!({ "field": "from", "type": "quantitative" });
    let mut layers = vec![
        json!({ "data": { "values": found }, "mark": { "type": "rect", "color": "#D55E00", "opacity": 0.13 },
                "encoding": { "x": from, "x2": { "field": "to" }, "tooltip": { "field": "what" } } }),
        json!({ "data": { "values": found }, "mark": { "type": "rule", "color": "#D55E00", "strokeDash": [3, 3] },
                "encoding": { "x": from, "tooltip": { "field": "what" } } }),
    ];
    if named {
        layers.push(json!({ "data": { "values": found },
            "mark": { "type": "text", "align": "left", "baseline": "top", "dx": 3, "fontSize": 11, "color": "#D55E00" },
            "encoding": { "x": from, "y": { "value": 3 }, "text": { "field": "what" } } }));
    }
    layers
}

/// A measure of the whole: its name, and its value in a window.
type OfWindow = (&'static str, fn(&Window) -> Option<f64>);

/// One line for each measure of the whole, or for each measure and design.
fn of_whole(points: &[Point<'_>], measures: &[OfWindow]) -> Rows {
    let mut rows = Rows::default();
    let several = points.len() > 1;
    for point in points {
        for step in steps(point, points.len()) {
            for (measure, of) in measures {
                let Some(value) = step.mean(of) else { continue };
                rows.add(row(
                    several.then_some(point.name),
                    &[
                        ("time_s", shown((step.start_s + step.end_s) / 2.0)),
                        ("measure", json!(measure)),
                        ("value", shown(value)),
                    ],
                ));
            }
        }
    }
    rows
}

fn whole_encoding(several: bool, axis: Value, scale: Value) -> Value {
    let mut encoding = json!({
        "x": time_axis(),
        "y": { "field": "value", "type": "quantitative", "axis": axis, "scale": scale },
        "color": { "field": "measure", "type": "nominal", "sort": null, "title": null },
        "tooltip": [
            { "field": "measure" }, { "field": "time_s", "format": ",.4~r" },
            { "field": "value", "format": ",.4~r" },
        ],
    });
    if several {
        encoding["strokeDash"] = encoding["color"].clone();
        encoding["color"] =
            json!({ "field": "design", "type": "nominal", "sort": null, "title": null });
    }
    encoding
}

fn load(points: &[Point<'_>]) -> Figure {
    let rows = of_whole(
        points,
        &[
            ("offered", |window| Some(window.offered as f64 / seconds(window))),
            ("ended well", |window| Some(window.ok as f64 / seconds(window))),
        ],
    );
    // Designs of very different size share a logarithmic axis.
    let rates: Vec<f64> =
        points.iter().filter_map(|it| it.summary.estimate("offered_per_s").estimate).collect();
    let most = rates.iter().copied().fold(0.0, f64::max);
    let apart = rates.iter().any(|rate| *rate > 0.0 && most > 20.0 * rate);
    let scale =
        if apart { json!({ "type": "symlog", "constant": 1 }) } else { json!({ "zero": true }) };
    let axis = json!({ "title": "requests a second", "format": ",.3~r", "tickCount": 6 });
    Figure::new(
        "timeline-load",
        "Load",
        "Requests that were wanted and requests that ended well, mean over replications.",
        rows,
        lines(points, whole_encoding(points.len() > 1, axis, scale), 180),
    )
}

fn latency(points: &[Point<'_>]) -> Figure {
    let rows = of_whole(
        points,
        &[("mean", |window| window.latency_mean_s), ("p95", |window| window.latency_p95_s)],
    );
    let scale = json!({ "type": "log", "nice": false });
    Figure::new(
        "timeline-latency",
        "Latency",
        "Of the requests that ended in each step, as users saw it.",
        rows,
        lines(points, whole_encoding(points.len() > 1, seconds_axis("latency"), scale), 180),
    )
}

fn failures(points: &[Point<'_>]) -> Figure {
    fn failed(window: &Window) -> Option<f64> {
        let ended = window.ok + window.failed;
        (ended > 0).then(|| window.failed as f64 / ended as f64)
    }
    let any = points
        .iter()
        .flat_map(|point| point.outcomes)
        .flat_map(|outcome| &outcome.windows)
        .any(|window| window.failed > 0);
    let rows = if any { of_whole(points, &[("failed", failed)]) } else { Rows::default() };
    let scale = json!({ "domain": [0, 1] });
    Figure::new(
        "timeline-failures",
        "Failures",
        "The share of requests that ended badly in each step.",
        rows,
        lines(points, whole_encoding(points.len() > 1, ratio_axis("failed"), scale), 140),
    )
}

/// A figure with a line for each component.
struct ByComponent {
    name: &'static str,
    title: &'static str,
    caption: &'static str,
    axis: fn() -> Value,
    scale: fn() -> Value,
    height: u32,
    /// The level of a component of that kind and capacity; [`None`] for what has none.
    level: fn(StationKind, f64, &StationWindow) -> Option<f64>,
    /// Lines that never pass this are not drawn.
    least: f64,
}

const UTILISATION: ByComponent = ByComponent {
    name: "timeline-utilisation",
    title: "Utilisation",
    caption: "Busy servers, connections or places as a share of all, the busiest components.",
    axis: || ratio_axis("busy"),
    scale: || json!({ "domain": [0, 1], "clamp": true }),
    height: 200,
    level: |_, capacity, window| (capacity > 0.0).then(|| window.busy / capacity),
    least: 0.02,
};

const WAITING: ByComponent = ByComponent {
    name: "timeline-waiting",
    title: "Queues",
    caption: "Requests, statements or jobs that wait at a component, the longest queues.",
    axis: || count_axis("waiting"),
    scale: || json!({ "type": "symlog", "constant": 1 }),
    height: 200,
    level: |kind, _, window| {
        let is_built = !matches!(kind, StationKind::Network | StationKind::Client);
        is_built.then_some(window.waiting)
    },
    least: 0.05,
};

const INSTANCES: ByComponent = ByComponent {
    name: "timeline-instances",
    title: "Instances",
    caption: "Running instances of services, and workers of queues, whose number changes.",
    axis: || json!({ "title": "instances", "tickMinStep": 1, "tickCount": 6 }),
    scale: || json!({ "zero": true }),
    height: 140,
    level: |kind, _, window| {
        let counted = matches!(kind, StationKind::Service | StationKind::Queue);
        counted.then_some(window.held)
    },
    least: 0.0,
};

fn by_component(point: &Point<'_>, what: &ByComponent, designs: usize) -> Figure {
    let model: &Model = point.model;
    let steps = steps(point, designs);
    let mut courses: Vec<(&str, Vec<f64>)> = Vec::new();
    for (number, station) in model.stations.iter().enumerate() {
        let level = |window: &Window| {
            (what.level)(station.kind, station.capacity, window.stations.get(number)?)
        };
        let course: Option<Vec<f64>> = steps.iter().map(|step| step.mean(level)).collect();
        let Some(course) = course else { continue };
        let (least, most) = course.iter().fold((f64::MAX, 0.0_f64), |(least, most), level| {
            (least.min(*level), most.max(*level))
        });
        let is_flat = most - least < 1e-9;
        if most > what.least && !(what.name == INSTANCES.name && is_flat) {
            courses.push((&station.path, course));
        }
    }
    courses.sort_by(|a, b| {
        let area = |course: &[f64]| course.iter().sum::<f64>();
        area(&b.1).total_cmp(&area(&a.1)).then(a.0.cmp(b.0))
    });
    courses.truncate(MOST_COMPONENTS);
    let mut rows = Rows::default();
    for (component, course) in &courses {
        for (step, level) in steps.iter().zip(course) {
            rows.add(row(
                None,
                &[
                    ("time_s", shown((step.start_s + step.end_s) / 2.0)),
                    ("component", json!(component)),
                    ("value", shown(*level)),
                ],
            ));
        }
    }
    let most = courses.iter().flat_map(|(_, course)| course).copied().fold(0.0, f64::max);
    let (axis, scale) = match (what.scale)() {
        // Below a few a logarithm has no ticks.
        scale if scale["type"] == "symlog" && most < FEW => {
            let mut axis = (what.axis)();
            if let Some(axis) = axis.as_object_mut() {
                axis.remove("values");
                axis.insert("tickCount".into(), json!(5));
            }
            (axis, json!({ "zero": true }))
        }
        scale => ((what.axis)(), scale),
    };
    let encoding = json!({
        "x": time_axis(),
        "y": { "field": "value", "type": "quantitative", "axis": axis, "scale": scale },
        "color": { "field": "component", "type": "nominal", "sort": null, "title": null },
        "strokeDash": { "field": "component", "type": "nominal", "sort": null, "title": null },
        "tooltip": [
            { "field": "component" }, { "field": "time_s", "format": ",.4~r" },
            { "field": "value", "format": ",.4~r" },
        ],
    });
    let name = format!("{}-{}", what.name, point.name.replace('/', "-"));
    let one = std::slice::from_ref(point);
    Figure::new(&name, what.title, what.caption, rows, lines(one, encoding, what.height))
}
