//! `docs/validation.md` and its figure: what was measured, what was predicted, misses first.

use super::layout::Style;
use super::validated::{Validated, block, summary};
use crate::reality::{Compared, Comparison, Figure, Measurements};

/// The page, and the figure that it shows.
pub struct Page {
    /// Markdown.
    pub text: String,
    /// SVG: the errors of all cells.
    pub figure: String,
}

/// The page about a replay and a forecast of the same measurements.
///
/// # Errors
/// In words, if a cell is missed and nobody has said why.
pub fn page(
    measurements: &Measurements,
    replay: &Validated,
    forecast: &Validated,
    without: &Validated,
    figure_path: &str,
) -> Result<Page, String> {
    let mut text = head(replay, forecast, figure_path);
    text.push_str(&again(measurements, replay));
    text.push_str(&days(replay, without));
    text.push_str("## What is missed, and why\n\n");
    for comparison in replay.cells().filter(|it| it.holds() == Some(false)) {
        let notes: Vec<&str> = measurements.map.notes(&comparison.cell).collect();
        if notes.is_empty() {
            return Err(format!(
                "{} is missed, and the map has no note that says why",
                comparison.cell
            ));
        }
        text.push_str(&format!("### {}\n\n", comparison.cell));
        text.push_str(&format!("{}\n\n", wrapped(&notes.join(" "))));
        text.push_str(&fenced(&block(comparison, Style::Plain)));
    }
    text.push_str("## All cells, replayed\n\n");
    text.push_str(&fenced(&summary(replay, Style::Plain)));
    text.push_str("## All cells, forecast\n\n");
    text.push_str(&fenced(&summary(forecast, Style::Plain)));
    text.push_str("## Figure by figure\n\nReplayed, each class of requests.\n\n");
    for comparison in &replay.comparisons {
        text.push_str(&fenced(&block(comparison, Style::Plain)));
    }
    text.push_str("Forecast.\n\n");
    for comparison in forecast.cells() {
        text.push_str(&fenced(&block(comparison, Style::Plain)));
    }
    Ok(Page { text, figure: errors(replay) })
}

fn head(replay: &Validated, forecast: &Validated, figure_path: &str) -> String {
    let (held, cells) = replay.score();
    let (last_held, last) = replay.score_of_the_last();
    let once = match last == cells {
        true => String::new(),
        false => format!(
            "\nWhere each counts once, by its last measurement, it is **{last_held} of {last}** ([why](#measured-again))."
        ),
    };
    let (met, _) = forecast.score();
    let forms: Vec<(f64, f64)> = replay
        .cells()
        .filter_map(|it| it.figure(Figure::Mean))
        .filter_map(|it| Some((it.error()?.abs(), it.error_of_form()?.abs())))
        .collect();
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        100.0 * values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let ours = middle(forms.iter().map(|it| it.0).collect());
    let theirs = middle(forms.iter().map(|it| it.1).collect());
    format!(
        "\
# Is it true? Predictions beside measurements

Real deployments were measured on one machine: nginx, Node.js with Express and node-postgres, PostgreSQL,
Redis, FastAPI with SQLAlchemy ([what was run, how, and with which noise](../reality/README.md)). Each is an
ordinary topology in [topologies/reality](../topologies/README.md), whose times come from the same stack with
one request at a time, never from a loaded run. This page is made by

```sh
# minutes: the tests only parse it
loadbearing validate reality --page docs/validation.md
```

**Replay**: each measured run's own arrivals, classes, keys and nominal service times, made anew from its
seed, go through the simulated deployment: luck is out of the comparison, and what is left is what the
deployment did with them. **{held} of {cells} cells are within 5 % on mean and p95 and within 1 percentage
point on shares.** The machine's own noise is about 2 %.{once}

**Forecast**: other requests of the same laws, as for a deployment that nobody has measured. In **{met} of
{cells}** cells mean, p95 and shares all lie within the joint 95 % intervals.

**What simulating adds**: over the {count} cells whose mean a closed form gives, the middle error of the
replay is {ours:.1} %, that of the closed form {theirs:.1} %. A formula knows no finite run, no start from
empty, no timeouts together with retries, no order of callbacks.

![Errors of all cells]({figure_path})

Filled: replayed; hollow: the closed form. Within the band of 5 % a prediction is as good as can be seen.

",
        count = forms.len(),
    )
}

/// Cells that were measured again, beside their first measurement.
fn again(measurements: &Measurements, replay: &Validated) -> String {
    let both: Vec<(&Comparison, &Comparison)> = replay
        .cells()
        .filter_map(|it| {
            let first = it.again.as_deref()?;
            Some((replay.cells().find(|other| other.cell == first)?, it))
        })
        .collect();
    if both.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "## Measured again\n\n{}\n\n\
         | cell | error, first: mean | p95 | | again: mean | p95 | |\n|---|--:|--:|---|--:|--:|---|\n",
        wrapped(&measurements.map.again)
    );
    for (first, last) in both {
        text.push_str(&format!(
            "| {} | {} | {} |\n",
            first.cell,
            errors_of(first),
            errors_of(last)
        ));
    }
    text + "\n"
}

/// Errors of mean and p95, and whether they are too large, as three columns of a table.
fn errors_of(it: &Comparison) -> String {
    let error = |figure| it.figure(figure).and_then(Compared::error).map(|it| 100.0 * it);
    let said = |figure| error(figure).map_or_else(String::new, |it| format!("{it:+.1} %"));
    let word = if it.holds() == Some(false) { "misses" } else { "" };
    format!("{} | {} | {word}", said(Figure::Mean), said(Figure::Quantile(95)))
}

/// Cells with times of their own day, beside what those of the topologies say.
fn days(replay: &Validated, without: &Validated) -> String {
    let all = without.cells().count();
    if all == 0 {
        return String::new();
    }
    let own = |it: &Comparison| replay.cells().find(|own| own.cell == it.cell);
    let held = without.cells().filter_map(own).filter(|it| it.holds() == Some(true)).count();
    let about = format!(
        "The topologies' times are those of R's days. The same programs on a machine of the same kind took others \
         when V and Q were measured: these cells are predicted from isolation runs of their own day (`[[times]]` in \
         [map.toml](../reality/map.toml), the runs in [isolation.csv](../reality/isolation.csv)); nothing else \
         differs. Of {all} cells {held} are predicted so, {} with the times of R's days.",
        without.score().0,
    );
    let mut text = format!(
        "## What a day does\n\n{}\n\n\
         | cell | its own day: mean | p95 | | R's days: mean | p95 | |\n|---|--:|--:|---|--:|--:|---|\n",
        wrapped(&about)
    );
    for it in without.cells() {
        let said = own(it).map(errors_of).unwrap_or_default();
        text.push_str(&format!("| {} | {said} | {} |\n", it.cell, errors_of(it)));
    }
    text + "\n"
}

fn fenced(text: &str) -> String {
    format!("```text\n{}\n```\n\n", text.trim_end())
}

/// Text broken at 110 columns.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= 110 {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.into());
        }
    }
    lines.join("\n")
}

/// Height of a cell's row.
const ROW: usize = 18;
/// Where the axis of no error is, and how wide one per cent is.
const AXIS: (f64, f64) = (400.0, 7.0);
/// Errors beyond are drawn at the edge (per cent).
const EDGE: f64 = 30.0;

/// A row for each cell: the errors of mean and p95, replayed and by closed form.
fn errors(replay: &Validated) -> String {
    let cells: Vec<&Comparison> = replay.cells().collect();
    let height = (cells.len() + 3) * ROW;
    let (zero, per_cent) = AXIS;
    let (left, right) = (zero - EDGE * per_cent, zero + EDGE * per_cent);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 {height}\" \
         font-family=\"sans-serif\" font-size=\"11\" role=\"img\">\n\
         <title>Errors of mean and p95, replayed and by closed form, by cell</title>\n\
         <rect width=\"640\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <rect x=\"{}\" y=\"{ROW}\" width=\"{}\" height=\"{}\" fill=\"#dbe9f6\"/>\n",
        zero - 5.0 * per_cent,
        10.0 * per_cent,
        cells.len() * ROW + 6,
    );
    for tick in [-30, -20, -10, -5, 0, 5, 10, 20, 30] {
        let x = zero + f64::from(tick) * per_cent;
        let bottom = cells.len() * ROW + ROW + 6;
        out.push_str(&format!(
            "<path d=\"M{x} {ROW}V{bottom}\" stroke=\"#b9c2cc\" stroke-width=\"{}\"/>\n\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" fill=\"#444\">{tick} %</text>\n",
            if tick == 0 { 1.5 } else { 0.5 },
            bottom + 14,
        ));
    }
    out.push_str(
        "<text x=\"8\" y=\"12\" fill=\"#222\">Error: circle mean, square p95; filled replay, hollow \
         closed form</text>\n",
    );
    for (place, cell) in cells.iter().enumerate() {
        let y = (place + 1) * ROW + 12;
        let missed = cell.holds() == Some(false);
        let weight = if missed { " font-weight=\"bold\"" } else { "" };
        out.push_str(&format!(
            "<text x=\"8\" y=\"{}\" fill=\"#222\"{weight}>{}</text>\n",
            y + 4,
            cell.cell
        ));
        for (figure, square) in [(Figure::Mean, false), (Figure::Quantile(95), true)] {
            let Some(it) = cell.figure(figure) else { continue };
            let marks = [(it.error_of_form(), false), (Compared::error(it), true)];
            for (error, filled) in marks {
                let Some(error) = error.filter(|it| it.is_finite()) else { continue };
                let x = (zero + 100.0 * error * per_cent).clamp(left, right);
                out.push_str(&mark(x, y as f64, square, filled));
            }
        }
    }
    out + "</svg>\n"
}

fn mark(x: f64, y: f64, square: bool, filled: bool) -> String {
    let colour = if square { "#b5520a" } else { "#0b5fa5" };
    let fill = if filled { colour } else { "none" };
    match square {
        true => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"6\" height=\"6\" fill=\"{fill}\" stroke=\"{colour}\"/>\n",
            x - 3.0,
            y - 3.0
        ),
        false => format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{fill}\" stroke=\"{colour}\"/>\n"
        ),
    }
}
