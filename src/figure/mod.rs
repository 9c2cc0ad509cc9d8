//! Results as pictures, written as data: Vega-Lite specifications, and the deployment as a graph.
//!
//! A figure is a JSON value with its data inside, so that it can be tested, downloaded, and opened
//! in any tool that reads Vega-Lite. Who draws it sets width, font and colours of light and dark;
//! nothing here knows files or a page, because a browser draws the same figures.

mod board;
mod capacity;
mod course;
mod data;
mod diagram;
mod difference;
mod latency;
mod monitor;
mod panel;
mod response;
mod saturation;
mod time;
mod timeline;

pub use board::{Board, Mark, Strip};
pub use capacity::{Tried, capacity_curve};
pub use course::{Shown as CourseShown, course};
pub use data::Rows;
pub use diagram::diagram;
pub use difference::differences;
pub use latency::latency;
pub use monitor::monitors;
pub use panel::{Level, Panel, Statistic};
pub use response::{At, Bar, Cell, Dot, Words, heat_map, intervals, response};
pub use saturation::saturation;
pub use time::time;
pub use timeline::timelines;

use serde_json::{Value, json};

/// The schema that every figure follows.
pub const SCHEMA: &str = "https://vega.github.io/schema/vega-lite/v6.json";

/// A picture with its words.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The stem of its file: `latency`, `timeline-load`.
    pub name: String,
    /// What it shows, as a heading.
    pub title: String,
    /// How to read it, in a sentence or two.
    pub caption: String,
    /// The Vega-Lite specification, data included.
    pub spec: Value,
}

impl Figure {
    /// A figure of one view; its width is left to whoever draws it.
    pub fn new(name: &str, title: &str, caption: &str, data: Rows, body: Value) -> Figure {
        let mut spec = json!({
            "$schema": SCHEMA,
            "description": format!("{title}. {caption}"),
            "width": "container",
            "data": { "values": data.into_values() },
        });
        if let (Some(spec), Value::Object(body)) = (spec.as_object_mut(), body) {
            spec.extend(body);
        }
        Figure { name: name.into(), title: title.into(), caption: caption.into(), spec }
    }

    /// The figure of one design among several: its title says which.
    pub fn of(mut self, design: &str) -> Figure {
        self.title = format!("{}: {design}", self.title);
        self
    }

    /// The figure as a file.
    pub fn to_file(&self) -> String {
        format!("{:#}\n", self.spec)
    }

    /// There is something to see.
    pub fn has_data(&self) -> bool {
        self.spec["data"]["values"].as_array().is_some_and(|rows| !rows.is_empty())
    }
}

/// Time on an axis: its title, and numbers as people write them.
pub(crate) fn seconds_axis(title: &str) -> Value {
    let label = "abs(datum.value) >= 1 ? format(datum.value, ',.3~r') + ' s' : \
                 abs(datum.value) >= 0.001 ? format(datum.value * 1000, '.3~r') + ' ms' : \
                 datum.value == 0 ? '0' : \
                 format(datum.value * 1e6, '.3~r') + ' us'";
    json!({ "title": title, "labelExpr": label, "tickCount": 6 })
}

/// Counts on an axis whose scale is logarithmic above one and linear below.
pub(crate) fn count_axis(title: &str) -> Value {
    let values: Vec<u64> =
        std::iter::once(0).chain((0..9).map(|power| 10_u64.pow(power))).collect();
    json!({ "title": title, "format": ",~r", "values": values })
}

/// Shares on an axis.
pub(crate) fn ratio_axis(title: &str) -> Value {
    json!({ "title": title, "format": ".3~p", "tickCount": 5 })
}
