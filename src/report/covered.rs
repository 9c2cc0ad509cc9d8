//! How often intervals cover the truth, as text and as JSON.

use serde_json::{Value, json};

use super::layout::{Cell, Grid, Look, Style};
use super::show;
use crate::experiment::coverage::{Covered, DIGESTED, Study};
use crate::result::Unit;

/// The table of a coverage study.
pub fn covered(study: &Study, style: Style) -> String {
    let mut grid =
        Grid::new("Interval of 95 %", &["of", "covers", "in truth", "half-width"]).left(2);
    for row in &study.rows {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let coverage = row.coverage();
        let between = coverage.map_or(show::NOTHING.into(), |it| {
            format!("{:.1} … {}", 100.0 * it.low, percent(it.high))
        });
        let look = if row.is_wrong { Look::Bad } else { Look::Usual };
        grid.row([
            Cell::new(row.method, look),
            Cell::from(row.of),
            Cell::from(coverage.map_or(show::NOTHING.into(), |it| percent(it.estimate))),
            Cell::new(between, Look::Dim),
            Cell::from(show::value(row.relative_half_width, Unit::Ratio)),
        ]);
    }
    let most = study.rows.iter().map(|row| row.repetitions).max().unwrap_or(0);
    let mut text = grid.render(style);
    text.push_str(&format!(
        "  M/M/1, 80 % busy; {} repetitions of each\n",
        show::value(most as f64, Unit::Count)
    ));
    for row in study.rows.iter().filter(|row| row.repetitions < most) {
        text.push_str(&format!(
            "  {}: the pilots of {} repetitions were too short to tell\n",
            row.method,
            most - row.repetitions
        ));
    }
    text.push_str(&format!("digest of the first {DIGESTED}: {}\n", study.digest));
    text
}

/// A coverage study as one object.
pub fn coverage_to_json(study: &Study) -> Value {
    let row = |row: &Covered| {
        let coverage = row.coverage();
        json!({
            "method": row.method, "of": row.of, "truth": row.truth,
            "covered": row.covered, "repetitions": row.repetitions,
            "coverage_ratio":
                coverage.map(|it| json!({ "estimate": it.estimate, "low": it.low, "high": it.high })),
            "relative_half_width": row.relative_half_width, "is_wrong": row.is_wrong,
        })
    };
    json!({ "rows": study.rows.iter().map(row).collect::<Vec<Value>>(), "digest": study.digest })
}
