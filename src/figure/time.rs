//! Where the time of requests goes: on average, and for the slowest 1 %.

use serde_json::json;

use super::data::{Rows, row, shown};
use super::{Figure, seconds_axis};
use crate::result::Point;

/// Components below this share of both times are left out.
const SMALL: f64 = 0.005;

/// Waiting and service by component, the mean request beside the slowest 1 %.
pub fn time(point: &Point<'_>) -> Figure {
    let found = &point.summary.attribution;
    let mut rows = Rows::default();
    let mut count = 0;
    for part in &found.parts {
        if part.mean_s() < SMALL * found.mean_s && part.slowest_s() < SMALL * found.slowest_s {
            continue;
        }
        count += 1;
        for (whose, what, value) in [
            ("all", "waiting", part.wait_mean_s),
            ("all", "being served", part.service_mean_s),
            ("slowest 1 %", "waiting", part.wait_slowest_s),
            ("slowest 1 %", "being served", part.service_slowest_s),
        ] {
            rows.add(row(
                None,
                &[
                    ("component", json!(part.component)),
                    ("requests", json!(whose)),
                    ("time", json!(what)),
                    ("seconds", shown(value)),
                ],
            ));
        }
    }
    Figure::new(
        &format!("time-{}", point.name.replace('/', "-")),
        "Where a request's time goes",
        "Each component's part of the mean request, and below it of the slowest 1 % of requests: \
         the difference is what makes them slow.",
        rows,
        json!({
            "height": 34 * count + 20,
            "mark": { "type": "bar" },
            "encoding": {
                "y": { "field": "component", "type": "nominal", "sort": null, "title": null,
                       "axis": { "labelLimit": 150 } },
                "yOffset": { "field": "requests", "type": "nominal", "sort": ["all", "slowest 1 %"] },
                "x": { "field": "seconds", "type": "quantitative", "stack": "zero",
                       "axis": seconds_axis("time in a request") },
                "color": { "field": "time", "type": "nominal", "title": null,
                           "sort": ["waiting", "being served"],
                           "scale": { "domain": ["waiting", "being served"], "range": ["#D55E00", "#0072B2"] } },
                "opacity": { "field": "requests", "type": "ordinal", "sort": ["all", "slowest 1 %"], "title": null,
                             "scale": { "domain": ["all", "slowest 1 %"], "range": [0.6, 1] } },
                "order": { "field": "time", "sort": "descending" },
                "tooltip": [
                    { "field": "component" }, { "field": "requests" }, { "field": "time" },
                    { "field": "seconds", "format": ".4~r", "title": "seconds" },
                ],
            },
        }),
    )
}
