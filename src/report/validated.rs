//! Measured deployments beside what was predicted of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::layout::{Cell, Grid, Look, Style};
use super::show::digits;
use crate::reality::{Compared, Comparison, Figure, Level, Replayed, Way};

/// Of the cells, so many must be predicted.
pub const WANTED: f64 = 0.9;

/// All comparisons of a validation.
pub struct Validated {
    /// How the cells were predicted.
    pub way: Way,
    /// Cell by cell and class by class.
    pub comparisons: Vec<Comparison>,
}

impl Validated {
    /// What was found.
    pub fn new(way: Way, comparisons: Vec<Comparison>) -> Validated {
        Validated { way, comparisons }
    }
    /// Whole cells, not their classes.
    pub fn cells(&self) -> impl Iterator<Item = &Comparison> {
        self.comparisons.iter().filter(|it| it.class == "all")
    }
    /// How many cells are predicted, and how many were measured.
    pub fn score(&self) -> (usize, usize) {
        let judged: Vec<bool> = self.cells().filter_map(Comparison::holds).collect();
        (judged.iter().filter(|it| **it).count(), judged.len())
    }
    /// The same, where a cell that was measured again counts by its last measurement only.
    pub fn score_of_the_last(&self) -> (usize, usize) {
        let replaced: BTreeSet<&str> = self.cells().filter_map(|it| it.again.as_deref()).collect();
        let last = self.cells().filter(|it| !replaced.contains(it.cell.as_str()));
        let judged: Vec<bool> = last.filter_map(Comparison::holds).collect();
        (judged.iter().filter(|it| **it).count(), judged.len())
    }
    /// Nine cells in ten are predicted, each by its last measurement.
    pub fn holds(&self) -> bool {
        let (held, judged) = self.score_of_the_last();
        held as f64 >= WANTED * judged as f64
    }
    /// All of it as data.
    pub fn to_json(&self) -> Value {
        let level =
            |it: Level| json!({"mean": it.mean, "spread": it.spread, "half_width": it.half});
        let run = |it: &Replayed| json!({"run": it.run, "measured": it.measured, "simulated": it.simulated});
        let figure = |it: &Compared| {
            json!({
                "figure": it.figure.name(),
                "measured": it.measured.map(level),
                "simulated": level(it.simulated),
                "error": it.error(),
                "close": it.is_close(),
                "intervals_meet": it.meets(),
                "closed_form": it.form,
                "closed_form_error": it.error_of_form(),
                "by_run": it.runs.iter().map(run).collect::<Vec<Value>>(),
            })
        };
        let row = |it: &Comparison| {
            json!({
                "cell": it.cell,
                "class": it.class,
                "again": it.again,
                "holds": it.holds(),
                "closed_form": it.form,
                "figures": it.figures.iter().map(figure).collect::<Vec<Value>>(),
            })
        };
        let (held, judged) = self.score();
        let (last_held, last) = self.score_of_the_last();
        let (way, runs) = words(self.way);
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "way": way,
            "runs": runs,
            "cells_predicted": held,
            "cells": judged,
            "cells_predicted_by_the_last_measurement": last_held,
            "cells_by_the_last_measurement": last,
            "holds": self.holds(),
            "rows": self.comparisons.iter().map(row).collect::<Vec<Value>>(),
        })
    }
}

fn words(way: Way) -> (&'static str, u32) {
    match way {
        Way::Replay(runs) => ("replay", runs),
        Way::Forecast(runs) => ("forecast", runs),
    }
}

/// A validation as text of at most 100 columns: every cell figure by figure unless `brief`, and a
/// summary.
pub fn validated(result: &Validated, brief: bool, style: Style) -> String {
    let mut out = String::new();
    if !brief {
        for comparison in &result.comparisons {
            out.push_str(&block(comparison, style));
            out.push('\n');
        }
    }
    out.push_str(&summary(result, style));
    out
}

fn title(comparison: &Comparison) -> String {
    match comparison.class.as_str() {
        "all" => comparison.cell.clone(),
        class => format!("{}, {class}", comparison.cell),
    }
}

/// One class of one cell, figure by figure.
pub fn block(comparison: &Comparison, style: Style) -> String {
    let form = comparison.form.unwrap_or("closed form");
    let columns = ["measured", "simulated", "error", "", form, "error"];
    let mut grid = Grid::new(&title(comparison), &columns);
    for it in &comparison.figures {
        let judged = comparison.judged().any(|judged| judged.figure == it.figure);
        let held = match comparison.way {
            Way::Replay(_) => it.is_close(),
            Way::Forecast(_) => it.meets(),
        };
        let (word, look) = match held {
            _ if !judged => ("", Look::Usual),
            None => ("", Look::Usual),
            Some(true) => ("holds", Look::Good),
            Some(false) => ("MISSES", Look::Bad),
        };
        grid.row([
            Cell::from(format!("  {}", name(it.figure))),
            Cell::from(
                it.measured.map_or("-".into(), |level| with(it.figure, level.mean, level.spread)),
            ),
            Cell::from(with(it.figure, it.simulated.mean, it.simulated.half)),
            Cell::from(error(it.figure, it.error())),
            Cell::new(word, look),
            Cell::from(it.form.map_or("-".into(), |value| with(it.figure, value, 0.0))),
            Cell::from(error(it.figure, it.error_of_form())),
        ]);
    }
    grid.render(style)
}

/// Every run of every class on a line, as measured and as simulated.
pub fn by_run(result: &Validated, style: Style) -> String {
    let shown = [Figure::Mean, Figure::Quantile(50), Figure::Quantile(95)];
    let mut out = String::new();
    for comparison in &result.comparisons {
        let columns = [
            "mean",
            "simulated",
            "error",
            "p50",
            "simulated",
            "error",
            "p95",
            "simulated",
            "error",
        ];
        let mut grid = Grid::new(&title(comparison), &columns);
        let Some(means) = comparison.figure(Figure::Mean) else { continue };
        for run in means.runs.iter().map(|it| it.run) {
            let mut row = vec![Cell::from(format!("  run {run}"))];
            for figure in shown {
                let runs = comparison.figure(figure).map_or(&[][..], |it| &it.runs);
                let found = runs.iter().find(|it| it.run == run);
                let say = |value: Option<f64>| value.map_or("-".into(), |it| with(figure, it, 0.0));
                row.push(Cell::from(say(found.map(|it| it.measured))));
                row.push(Cell::from(say(found.map(|it| it.simulated))));
                let off = found.map(|it| it.simulated / it.measured - 1.0);
                row.push(Cell::from(error(figure, off)));
            }
            grid.row(row);
        }
        out.push_str(&grid.render(style));
        out.push('\n');
    }
    out
}

/// All cells on a line each, the worst first, and the score.
pub fn summary(result: &Validated, style: Style) -> String {
    let columns = ["mean", "p50", "p95", "p99", "timeouts", "rejected", "failed", "hits", ""];
    let mut grid = Grid::new("Error of the simulation", &columns);
    let mut sorted: Vec<&Comparison> = result.cells().collect();
    sorted.sort_by(|a, b| b.worst().total_cmp(&a.worst()));
    for it in sorted {
        let one = |figure: Figure| {
            let found = it.figure(figure);
            Cell::from(error(figure, found.and_then(Compared::error)))
        };
        let (word, look) = match it.holds() {
            None => ("", Look::Usual),
            Some(true) => ("holds", Look::Good),
            Some(false) => ("MISSES", Look::Bad),
        };
        grid.row([
            Cell::from(it.cell.as_str()),
            one(Figure::Mean),
            one(Figure::Quantile(50)),
            one(Figure::Quantile(95)),
            one(Figure::Quantile(99)),
            one(Figure::Timeouts),
            one(Figure::Rejected),
            one(Figure::Failed),
            one(Figure::Hits),
            Cell::new(word, look),
        ]);
    }
    let (held, judged) = result.score();
    let look = if result.holds() { Look::Good } else { Look::Bad };
    let rule = match result.way {
        Way::Replay(_) => "within 5 % on mean and p95 and within 1 percentage point on shares",
        Way::Forecast(_) => "mean, p95 and shares within the joint 95 % intervals",
    };
    let (last_held, last) = result.score_of_the_last();
    let once = match last == judged {
        true => String::new(),
        false => {
            format!("{last_held} of {last} where each counts once, by its last measurement;\n")
        }
    };
    let (way, runs) = words(result.way);
    let of = if way == "replay" { "each measured run" } else { "each cell" };
    format!(
        "{}\n{}\n{once}{rule}; {way}, {runs} simulated runs of {of}.\n\
         Measured: mean ± standard deviation between runs. Simulated: mean ± half the 95 % interval.\n",
        grid.render(style),
        style.paint(&format!("{held} of {judged} cells are predicted:"), look),
    )
}

fn name(figure: Figure) -> &'static str {
    match figure {
        Figure::Mean => "mean",
        Figure::Quantile(50) => "p50",
        Figure::Quantile(90) => "p90",
        Figure::Quantile(95) => "p95",
        Figure::Quantile(_) => "p99",
        Figure::Throughput => "served",
        Figure::Timeouts => "timeouts",
        Figure::Rejected => "rejected",
        Figure::Failed => "failed",
        Figure::Hits => "hits",
        Figure::Joined => "joined",
        Figure::Attempts => "attempts",
        Figure::PoolUse => "pool use",
        Figure::Recovery => "recovery",
    }
}

/// A value with its spread in the unit of its figure.
fn with(figure: Figure, value: f64, spread: f64) -> String {
    let (factor, unit) = match figure {
        it if it.is_share() => (100.0, " %"),
        Figure::Throughput => (1.0, "/s"),
        Figure::Attempts => (1.0, ""),
        Figure::Recovery => (1.0, " s"),
        _ => (1.0, " ms"),
    };
    let number = digits(value * factor, 4);
    match spread > 0.0 {
        true => format!("{number} ±{}{unit}", digits(spread * factor, 2)),
        false => format!("{number}{unit}"),
    }
}

/// An error: relative, or in percentage points.
fn error(figure: Figure, error: Option<f64>) -> String {
    let unit = if figure.is_share() { "pp" } else { "%" };
    error.filter(|it| it.is_finite()).map_or("-".into(), |it| format!("{:+.1} {unit}", 100.0 * it))
}
