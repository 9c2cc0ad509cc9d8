//! What fills up first as load grows.

use serde_json::json;

use super::Figure;
use super::data::{Rows, row, shown};
use crate::result::Point;

/// Components that need more than this many times the load are left out.
const FAR: f64 = 1_000.0;
/// At most so many components: the first to fill up.
const MOST: usize = 14;

/// For each component the loads at which it reaches 75, 85, 95 and 100 % of its capacity.
pub fn saturation(point: &Point<'_>) -> Figure {
    let found = &point.summary.saturation;
    let mut rows = Rows::default();
    let levelled = found.order.iter().filter(|it| it.has_level() && it.load_factor.at_75 < FAR);
    let mut count = 0;
    for bearing in levelled.take(MOST) {
        count += 1;
        let reached = bearing.load_factor;
        for (level, factor) in [
            ("75 %", reached.at_75),
            ("85 %", reached.at_85),
            ("95 %", reached.at_95),
            ("100 %", reached.at_100),
        ] {
            rows.add(row(
                None,
                &[
                    ("component", json!(bearing.component)),
                    ("level", json!(level)),
                    ("load_factor", shown(factor)),
                    ("rate_per_s", shown(factor * found.load_rate_per_s)),
                    ("users", found.load_users.map_or(json!(null), |users| shown(factor * users))),
                ],
            ));
        }
    }
    let load = |title: &str| {
        json!({
            "field": "load_factor", "type": "quantitative",
            "scale": { "type": "log", "nice": false, "padding": 12 },
            "axis": { "title": title, "tickCount": 6, "labelExpr": "format(datum.value, '.3~r') + 'x'" },
        })
    };
    let levels = json!({
        "field": "level", "type": "ordinal", "title": "busy",
        "scale": { "domain": ["75 %", "85 %", "95 %", "100 %"],
                   "range": ["#FDE725", "#35B779", "#31688E", "#440154"] },
    });
    let component = json!({ "field": "component", "type": "nominal", "sort": null, "title": null,
                            "axis": { "labelLimit": 150 } });
    Figure::new(
        &format!("saturation-{}", point.name.replace('/', "-")),
        "What gives first as load grows",
        "Multiples of the present load (the line at 1x) at which each component is 75, 85, 95 and \
         100 % busy; what is left of the line has already passed that level.",
        rows,
        json!({
            "height": 24 * count + 20,
            "layer": [
                { "mark": { "type": "line", "strokeWidth": 2, "color": "#999999" },
                  "encoding": { "y": component, "x": load("load, as a multiple of the present one"),
                                "detail": { "field": "component" } } },
                { "mark": { "type": "point", "filled": true, "size": 90, "opacity": 1,
                            "stroke": "#666666", "strokeWidth": 0.5 },
                  "encoding": {
                      "y": component, "x": load("load, as a multiple of the present one"),
                      "color": levels,
                      "tooltip": [
                          { "field": "component" }, { "field": "level", "title": "busy" },
                          { "field": "load_factor", "format": ".3~r", "title": "times this load" },
                          { "field": "rate_per_s", "format": ",.4~r", "title": "requests a second" },
                          { "field": "users", "format": ",.4~r" },
                      ] } },
                { "data": { "values": [{ "now": 1 }] },
                  "mark": { "type": "rule", "strokeDash": [5, 4], "color": "#D55E00" },
                  "encoding": { "x": { "field": "now", "type": "quantitative" } } },
            ],
        }),
    )
}
