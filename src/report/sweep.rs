//! What an experiment has found: tables for files, words for people, JSON for programs.

use serde_json::{Map, Value, json};

use super::layout::{Cell, Grid, Look, Style, WIDTH, wrap};
use super::sheet::{Sheet, SheetColumn, Typed};
use super::show;
use crate::experiment::columns::Column;
use crate::experiment::findings::{Finding, Findings, Influence, Paired};
use crate::experiment::prepare::Prepared;
use crate::experiment::store::ended_word;
use crate::result::metric::Unit;
use crate::result::{Estimate, RESULTS_VERSION};

const POINT: (&str, &str) =
    ("point", "number of the point, from 0, in the order of the design [count]");

const RUNS: &[(&str, &str)] = &[
    ("replication", "number of the replication of this point, from 0 [count]"),
    ("seed", "root of its random numbers"),
    ("ended", "completed, event_limit, memory_limit or interrupted"),
    ("measured_s", "measured simulated time [s]"),
    ("events", "events of the run, its warm-up included [count]"),
    ("grows", "requests in flight or a job queue grow without end"),
    ("collapsed", "most requests fail, more come than end, or a limit ended the run"),
    ("digest", "digest of every request of the run"),
];
const SUMMARY: &[(&str, &str)] = &[
    ("output", "name of the metric, with its unit at its end"),
    ("unit", "unit: s, 1/s, ratio, count or $ (a month)"),
    ("estimate", "over replications: mean (or median); counts: sum; peaks: greatest [unit]"),
    ("low", "lower end of the interval, where there is one [unit]"),
    ("high", "upper end of the interval, where there is one [unit]"),
    ("confidence_ratio", "confidence of the interval [ratio]"),
    ("replications", "replications in which it was measured [count]"),
    ("difference", "mean paired difference from the baseline [unit]"),
    ("difference_low", "lower end of its interval [unit]"),
    ("difference_high", "upper end of its interval [unit]"),
    ("p_value", "chance of such a difference if there is none, one by one [ratio]"),
    ("differs", "it differs, false alarms among all points held down (Holm)"),
];
const POINTS: &[(&str, &str)] = &[
    ("topology", "the topology file"),
    ("settings", "what is set over it, as `--set` takes it"),
    ("model", "digest of the engine and of the model"),
    ("replications", "replications [count]"),
    ("grows_ratio", "share of replications in which something grows without end [ratio]"),
    ("collapse_ratio", "share of replications that collapse [ratio]"),
    ("collapse_low_ratio", "lower end of its interval (Clopper and Pearson) [ratio]"),
    ("collapse_high_ratio", "upper end of its interval [ratio]"),
    ("objectives_met", "all objectives are met; empty without objectives"),
    ("objectives_certain", "no interval reaches across a bound; empty without objectives"),
];
const RANKING: &[(&str, &str)] = &[
    ("rank", "place by the estimate, from 1 [count]"),
    ("output", "the metric that is ranked by"),
    ("estimate", "its estimate [unit of the metric]"),
    ("possibly_best", "not worse than any other beyond doubt (Bonferroni over all pairs)"),
];
const SENSITIVITY: &[(&str, &str)] = &[
    ("output", "name of the metric"),
    ("axis", "name of the axis"),
    ("measure", "effect_mean, effect_size, effect_deviation (Morris); first, total (Sobol)"),
    ("value", "effects: [unit of the metric over the whole axis]; indices: [ratio]"),
    ("low", "lower end of the interval, where there is one"),
    ("high", "upper end of the interval, where there is one"),
];

/// The tables of an experiment with their columns, those of its axes and outputs left out.
pub const DOCUMENTED: &[(&str, &[(&str, &str)])] = &[
    ("runs.csv", RUNS),
    ("summary.csv", SUMMARY),
    ("points.csv", POINTS),
    ("ranking.csv", RANKING),
    ("sensitivity.csv", SENSITIVITY),
];

fn head(found: &Findings, rest: &[(&str, &str)]) -> Vec<SheetColumn> {
    let axes = found.axes.iter().map(|(name, meaning)| SheetColumn::new(name, meaning));
    let mut columns = vec![SheetColumn::new(POINT.0, POINT.1)];
    columns.extend(axes);
    columns.extend(rest.iter().map(|(name, meaning)| SheetColumn::new(name, meaning)));
    columns
}

fn lead(index: usize, point: &Finding) -> Vec<Typed> {
    let mut cells = vec![Typed::Count(index as u64)];
    let labels = point.labels.iter().zip(&point.numbers);
    cells.extend(labels.map(|(label, number)| match number {
        // A bare number is a number; a quantity keeps its unit.
        Some(number) if label.parse::<f64>().is_ok() => Typed::Number(*number),
        _ => Typed::Text(label.clone()),
    }));
    cells
}

/// All tables of an experiment.
pub fn sheets(prepared: &Prepared<'_>, found: &Findings) -> Vec<Sheet> {
    let mut all = vec![runs(found), summary(prepared, found), points(prepared, found)];
    if found.rank.is_some() {
        all.push(ranking(found));
    }
    if !found.sensitivities.is_empty() {
        all.push(sensitivity(found));
    }
    all
}

fn runs(found: &Findings) -> Sheet {
    let mut columns = head(found, RUNS);
    columns.extend(found.columns.iter().map(|column| {
        let meaning = column.metric.meaning.trim_end_matches('.');
        let text = format!("{meaning} [{}]", column.metric.unit.symbol());
        SheetColumn::new(&column.name, &text)
    }));
    let mut rows = Vec::new();
    for (index, point) in found.points.iter().enumerate() {
        for (number, (row, key)) in point.rows.iter().zip(&point.keys).enumerate() {
            let mut cells = lead(index, point);
            cells.extend([
                Typed::Count(number as u64),
                Typed::Count(key.seed),
                Typed::Text(ended_word(row.ended).into()),
                Typed::Number(row.measured_s),
                Typed::Count(row.events),
                Typed::Flag(row.grows),
                Typed::Flag(row.collapsed),
                Typed::Text(format!("{:016x}", row.digest)),
            ]);
            cells.extend(row.values.iter().map(|value| Typed::optional(*value)));
            rows.push(cells);
        }
    }
    Sheet { name: "runs", columns, rows }
}

/// The estimates of all outputs at all points, and their differences from the baseline.
pub fn summary(prepared: &Prepared<'_>, found: &Findings) -> Sheet {
    let columns = head(found, SUMMARY);
    let confidence = prepared.experiment.confidence.0;
    let mut rows = Vec::new();
    for (index, point) in found.points.iter().enumerate() {
        for (number, column) in found.columns.iter().enumerate() {
            let estimate = point.estimates[number];
            if estimate.estimate.is_none() {
                continue;
            }
            let known = point.rows.iter().filter(|row| row.values[number].is_some()).count();
            let mut cells = lead(index, point);
            cells.extend([
                Typed::Text(column.name.clone()),
                Typed::Text(column.metric.unit.symbol().into()),
                Typed::optional(estimate.estimate),
                Typed::optional(estimate.low),
                Typed::optional(estimate.high),
                Typed::Number(confidence),
                Typed::Count(known as u64),
            ]);
            let paired = point.differences[number];
            let difference = paired.map(|it| it.difference).unwrap_or_default();
            cells.extend([
                Typed::optional(difference.estimate),
                Typed::optional(difference.low),
                Typed::optional(difference.high),
                Typed::optional(paired.map(|it| it.p_value)),
                paired.map_or(Typed::Nothing, |it| Typed::Flag(it.differs)),
            ]);
            rows.push(cells);
        }
    }
    Sheet { name: "summary", columns, rows }
}

fn points(prepared: &Prepared<'_>, found: &Findings) -> Sheet {
    let columns = head(found, POINTS);
    let mut rows = Vec::new();
    for (index, (point, of)) in found.points.iter().zip(&prepared.points).enumerate() {
        let count = point.rows.len();
        let judged = !point.verdicts.is_empty();
        let flag = |value: bool| if judged { Typed::Flag(value) } else { Typed::Nothing };
        let mut cells = lead(index, point);
        cells.extend([
            Typed::Text(of.file.clone()),
            Typed::Text(of.sets.join("; ")),
            Typed::Text(of.key.to_string()),
            Typed::Count(count as u64),
            Typed::Number(point.grows as f64 / count.max(1) as f64),
            Typed::optional(point.collapse.map(|it| it.estimate)),
            Typed::optional(point.collapse.map(|it| it.low)),
            Typed::optional(point.collapse.map(|it| it.high)),
            flag(found.is_met(index)),
            flag(point.verdicts.iter().all(|it| it.certain)),
        ]);
        rows.push(cells);
    }
    Sheet { name: "points", columns, rows }
}

fn ranking(found: &Findings) -> Sheet {
    let columns = head(found, RANKING);
    let mut rows = Vec::new();
    if let Some(rank) = &found.rank {
        for (place, index) in rank.order.iter().enumerate() {
            let point = &found.points[*index];
            let mut cells = lead(*index, point);
            cells.extend([
                Typed::Count(place as u64 + 1),
                Typed::Text(found.columns[rank.column].name.clone()),
                Typed::optional(point.estimates[rank.column].estimate),
                Typed::Flag(rank.possibly_best.contains(index)),
            ]);
            rows.push(cells);
        }
    }
    Sheet { name: "ranking", columns, rows }
}

fn sensitivity(found: &Findings) -> Sheet {
    let columns =
        SENSITIVITY.iter().map(|(name, meaning)| SheetColumn::new(name, meaning)).collect();
    let mut rows = Vec::new();
    for it in &found.sensitivities {
        let measures: Vec<(&str, Estimate)> = match &it.found {
            Influence::Morris(effect) => vec![
                ("effect_mean", Estimate::exact(effect.mean)),
                ("effect_size", Estimate::exact(effect.size)),
                ("effect_deviation", Estimate::exact(effect.deviation)),
            ],
            Influence::Sobol { first, total } => vec![("first", *first), ("total", *total)],
        };
        for (measure, value) in measures {
            rows.push(vec![
                Typed::Text(found.columns[it.column].name.clone()),
                Typed::Text(found.axes[it.axis].0.clone()),
                Typed::Text(measure.into()),
                Typed::optional(value.estimate),
                Typed::optional(value.low),
                Typed::optional(value.high),
            ]);
        }
    }
    Sheet { name: "sensitivity", columns, rows }
}

/// Points that are shown; all of them are in the files.
const SHOWN: usize = 48;

/// What an experiment has found, as text of at most 100 columns.
pub fn told(name: &str, prepared: &Prepared<'_>, found: &Findings, style: Style) -> String {
    let experiment = &prepared.experiment;
    let title = experiment.title.as_deref().unwrap_or(name);
    let mut text = style.paint(title, Look::Bold) + "\n";
    if let Some(question) = &experiment.question {
        text.push_str(&style.paint(&wrap(question, 0), Look::Dim));
        text.push('\n');
    }
    let setting = format!(
        "{} points, {} runs; intervals at {}",
        show::value(found.points.len() as f64, Unit::Count),
        show::value(found.runs as f64, Unit::Count),
        show::value(experiment.confidence.0, Unit::Ratio),
    );
    text.push_str(&format!("{}\n\n", style.paint(&setting, Look::Dim)));
    text.push_str(&estimates(found).render(style));
    if found.points.len() > SHOWN {
        text.push_str(&format!("  and {} more points\n", found.points.len() - SHOWN));
    }
    text.push_str(&remarks(prepared, found, style));
    text.push_str(&against(found, style));
    text.push_str(&ranked(found, style));
    text.push_str(&influences(found, style));
    let broken: u32 = found.points.iter().flat_map(|it| &it.rows).map(|row| row.broken).sum();
    text.push_str(&match broken {
        0 => "\naudit: all checks of all runs hold\n".to_string(),
        count => style.paint(&format!("\naudit: {count} checks are broken\n"), Look::Bad),
    });
    text
}

/// A metric's name as a heading: without its unit.
pub(super) fn heading(column: &Column) -> String {
    let name = column.name.as_str();
    let endings = ["_per_s", "_ratio", "_s"];
    let short = endings.into_iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    short.replace('_', " ")
}

/// As many columns as fit, in the order of the experiment.
pub(super) fn columns_that_fit(found: &Findings) -> Vec<usize> {
    let shown = &found.points[..found.points.len().min(SHOWN)];
    let axes: usize = (0..found.axes.len())
        .map(|axis| {
            let widths = shown.iter().map(|point| point.shown[axis].chars().count());
            widths.max().unwrap_or(0).max(found.axes[axis].0.chars().count()) + 2
        })
        .sum();
    let mut left = WIDTH.saturating_sub(axes.max(22));
    let mut fitting = Vec::new();
    for (index, column) in found.columns.iter().enumerate() {
        let known = shown.iter().any(|point| point.estimates[index].estimate.is_some());
        let varies = {
            let mut values = shown.iter().map(|point| point.estimates[index].estimate);
            let first = values.next();
            shown.len() == 1 || values.any(|value| Some(value) != first)
        };
        let cells =
            shown.iter().map(|point| show::estimate(&point.estimates[index], column.metric.unit));
        let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        let width = width.max(heading(column).chars().count()) + 2;
        if known && varies && width <= left {
            left -= width;
            fitting.push(index);
        }
    }
    fitting
}

pub(super) fn estimates(found: &Findings) -> Grid {
    let fitting = columns_that_fit(found);
    let mut names: Vec<String> = found.axes.iter().skip(1).map(|(name, _)| name.clone()).collect();
    names.extend(fitting.iter().map(|index| heading(&found.columns[*index])));
    let judged = found.points.iter().any(|point| !point.verdicts.is_empty());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let first = found.axes.first().map_or("", |(name, _)| name.as_str());
    let mut grid = Grid::new(first, &names);
    for (index, point) in found.points.iter().take(SHOWN).enumerate() {
        let mut cells: Vec<Cell> =
            point.shown.iter().map(|label| Cell::from(label.as_str())).collect();
        if cells.is_empty() {
            cells.push(Cell::from("the topology"));
        }
        let look = match (judged, found.is_met(index)) {
            (true, true) => Look::Good,
            (true, false) => Look::Bad,
            _ => Look::Usual,
        };
        cells.extend(fitting.iter().map(|column| {
            let unit = found.columns[*column].metric.unit;
            Cell::new(show::estimate(&point.estimates[*column], unit), look)
        }));
        grid.row(cells);
    }
    grid
}

/// How a point is called in a sentence.
pub(super) fn called(found: &Findings, index: usize) -> String {
    let labels = &found.points[index].shown;
    let named = found.axes.iter().zip(labels).map(|((name, _), label)| format!("{name} {label}"));
    let named: Vec<String> = named.collect();
    if named.is_empty() { "the topology".into() } else { named.join(", ") }
}

/// What speaks against taking an estimate at its word, line by line.
pub(super) fn doubts(prepared: &Prepared<'_>, found: &Findings) -> Vec<String> {
    let mut lines = Vec::new();
    for index in &prepared.unsettled {
        let at = called(found, *index);
        lines.push(format!("warm-up not found at {at}: the pilots are too short for MSER-5"));
    }
    for (index, point) in found.points.iter().enumerate() {
        let all = point.rows.len();
        if 2 * point.grows >= all.max(1) {
            lines.push(format!("not stationary at {}: more come than end", called(found, index)));
        }
        let collapsed = point.rows.iter().filter(|row| row.collapsed).count();
        if let (Some(chance), true) = (point.collapse, collapsed > 0 && collapsed < all) {
            lines.push(format!(
                "seeds disagree at {}: {collapsed} of {all} replications collapse ({} to {})",
                called(found, index),
                show::value(chance.low, Unit::Ratio),
                show::value(chance.high, Unit::Ratio),
            ));
        }
    }
    lines
}

/// What is said below the table of points.
fn remarks(prepared: &Prepared<'_>, found: &Findings, style: Style) -> String {
    let mut lines = doubts(prepared, found);
    let judged = found.points.iter().filter(|point| !point.verdicts.is_empty()).count();
    if judged > 0 {
        let met = (0..found.points.len()).filter(|index| found.is_met(*index)).count();
        let objectives: Vec<&str> =
            found.points[0].verdicts.iter().map(|it| it.objective.as_str()).collect();
        lines.insert(0, format!("{met} of {judged} points meet {}", objectives.join(", ")));
    }
    let more = lines.len().saturating_sub(12);
    let mut text: String = lines.iter().take(12).map(|line| wrap(line, 2) + "\n").collect();
    if more > 0 {
        text.push_str(&format!("and {more} more such points\n"));
    }
    if text.is_empty() { text } else { format!("\n{}", style.paint(&text, Look::Doubtful)) }
}

/// The differences from the baseline that are there beyond doubt, if there are few points.
fn against(found: &Findings, style: Style) -> String {
    if found.points.len() < 2 || found.points.len() > 16 {
        return String::new();
    }
    let columns: Vec<usize> = columns_that_fit(found).into_iter().take(3).collect();
    let names: Vec<String> = columns.iter().map(|it| heading(&found.columns[*it])).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut grid = Grid::new(&format!("Against {}", called(found, found.baseline)), &names);
    for (index, point) in found.points.iter().enumerate() {
        if index == found.baseline {
            continue;
        }
        let mut cells = vec![Cell::from(called(found, index))];
        cells.extend(columns.iter().map(|column| match point.differences[*column] {
            Some(Paired { difference, differs, .. }) => {
                let text = show::difference(&difference, found.columns[*column].metric.unit);
                match differs {
                    true => Cell::from(text),
                    false => Cell::new(format!("({text})"), Look::Dim),
                }
            }
            None => Cell::from(show::NOTHING),
        }));
        grid.row(cells);
    }
    let text = grid.render(style);
    let note = "  in brackets: within what chance allows, all points taken together\n";
    format!("\n{text}{}", style.paint(note, Look::Dim))
}

fn ranked(found: &Findings, style: Style) -> String {
    let Some(rank) = &found.rank else { return String::new() };
    let column = &found.columns[rank.column];
    let best = rank.possibly_best.iter().map(|index| {
        let value =
            show::estimate(&found.points[*index].estimates[rank.column], column.metric.unit);
        format!("{} ({value})", called(found, *index))
    });
    let best: Vec<String> = best.take(8).collect();
    let more = rank.possibly_best.len() - best.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = if rank.smallest { "smallest" } else { "largest" };
    let line = format!(
        "Possibly {what} {}: {}{more}; {} others are worse beyond doubt",
        heading(column),
        best.join("; "),
        rank.order.len() - rank.possibly_best.len()
    );
    format!("\n{}\n", style.paint(&wrap(&line, 2), Look::Bold))
}

fn influences(found: &Findings, style: Style) -> String {
    if found.sensitivities.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = found.axes.iter().map(|(name, _)| name.as_str()).collect();
    let mut grid = Grid::new("What matters", &names);
    let mut columns: Vec<usize> = found.sensitivities.iter().map(|it| it.column).collect();
    columns.dedup();
    for column in columns {
        let unit = found.columns[column].metric.unit;
        let of = found.sensitivities.iter().filter(|it| it.column == column);
        let all: Vec<&Influence> = of.map(|it| &it.found).collect();
        let is_nothing = all.iter().all(|it| match it {
            Influence::Morris(effect) => effect.size == 0.0,
            Influence::Sobol { total, .. } => total.estimate == Some(0.0),
        });
        if is_nothing {
            continue;
        }
        let cells = all.iter().map(|it| match it {
            Influence::Morris(effect) => Cell::from(format!(
                "{} σ {}",
                show::value(effect.size, unit),
                show::value(effect.deviation, unit)
            )),
            Influence::Sobol { first, total } => Cell::from(format!(
                "{:.2} / {:.2}",
                first.estimate.unwrap_or(0.0),
                total.estimate.unwrap_or(0.0)
            )),
        });
        grid.row(std::iter::once(Cell::from(heading(&found.columns[column]))).chain(cells));
    }
    let note = match &found.sensitivities[0].found {
        Influence::Morris(_) => "  mean size of the effect over the whole axis, and its deviation",
        Influence::Sobol { .. } => "  share of the variance: alone / with interactions",
    };
    format!("\n{}{}\n", grid.render(style), style.paint(note, Look::Dim))
}

/// What an experiment has found, as one object; [`super::sweep_schema`] describes it.
pub fn to_json(name: &str, prepared: &Prepared<'_>, found: &Findings) -> Value {
    let experiment = &prepared.experiment;
    let outputs = found.columns.iter().map(|column| {
        json!({
            "name": column.name, "unit": column.metric.unit.symbol(),
            "meaning": column.metric.meaning,
        })
    });
    let axes = found.axes.iter().map(|(name, meaning)| json!({ "name": name, "meaning": meaning }));
    let rank = found.rank.as_ref().map(|rank| {
        json!({
            "output": found.columns[rank.column].name,
            "prefer": if rank.smallest { "smallest" } else { "largest" },
            "order": rank.order, "possibly_best": rank.possibly_best,
        })
    });
    let sensitivities = found.sensitivities.iter().map(|it| {
        let mut object = json!({
            "output": found.columns[it.column].name, "axis": found.axes[it.axis].0,
        });
        match &it.found {
            Influence::Morris(effect) => {
                object["effect_mean"] = json!(effect.mean);
                object["effect_size"] = json!(effect.size);
                object["effect_deviation"] = json!(effect.deviation);
            }
            Influence::Sobol { first, total } => {
                object["first"] = json!(first);
                object["total"] = json!(total);
            }
        }
        object
    });
    json!({
        "name": name,
        "title": experiment.title,
        "question": experiment.question,
        "version": env!("CARGO_PKG_VERSION"),
        "results_version": RESULTS_VERSION,
        "confidence": experiment.confidence.0,
        "axes": axes.collect::<Vec<Value>>(),
        "outputs": outputs.collect::<Vec<Value>>(),
        "points": found.points.iter().enumerate()
            .map(|(index, _)| point_to_json(prepared, found, index)).collect::<Vec<Value>>(),
        "baseline": found.baseline,
        "rank": rank,
        "sensitivities": sensitivities.collect::<Vec<Value>>(),
        "answers": super::sweep_page::answers(prepared, found),
        "runs": found.runs,
        "digest": found.digest,
    })
}

fn point_to_json(prepared: &Prepared<'_>, found: &Findings, index: usize) -> Value {
    let (point, of) = (&found.points[index], &prepared.points[index]);
    let mut levels = Map::new();
    for ((name, _), (label, number)) in
        found.axes.iter().zip(point.labels.iter().zip(&point.numbers))
    {
        levels.insert(name.clone(), json!({ "text": label, "number": number }));
    }
    let mut estimates = Map::new();
    let mut differences = Map::new();
    for (column, head) in found.columns.iter().enumerate() {
        if point.estimates[column].estimate.is_some() {
            estimates.insert(head.name.clone(), json!(point.estimates[column]));
        }
        if let Some(paired) = point.differences[column] {
            let difference = json!({
                "difference": paired.difference, "p_value": paired.p_value,
                "differs": paired.differs,
            });
            differences.insert(head.name.clone(), difference);
        }
    }
    let collapse =
        point.collapse.map(|it| json!({ "estimate": it.estimate, "low": it.low, "high": it.high }));
    let objectives = point.verdicts.iter().map(|it| {
        json!({ "objective": it.objective, "value": it.value, "met": it.met, "certain": it.certain })
    });
    json!({
        "levels": levels,
        "topology": of.file,
        "settings": of.sets,
        "model": &*of.key,
        "replications": point.rows.len(),
        "grows": point.grows,
        "collapse_ratio": collapse,
        "estimates": estimates,
        "differences_from_baseline": differences,
        "objectives": objectives.collect::<Vec<Value>>(),
    })
}
