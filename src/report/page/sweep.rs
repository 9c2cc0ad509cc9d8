//! The page of an experiment: how what is measured answers to what is varied.

use std::collections::BTreeSet;

use super::{Block, Page, Section, Tile, Tone};
use crate::experiment::columns::Column;
use crate::experiment::findings::{Findings, Influence};
use crate::experiment::prepare::Prepared;
use crate::figure::{At, Bar, Cell, Dot, Figure, Words, heat_map, intervals, response};
use crate::report::show;
use crate::report::sweep::{called, columns_that_fit, doubts, estimates, heading};
use crate::result::{Estimate, Unit};

/// At most so many measures have figures: the first of the experiment that differ between points.
const MOST_MEASURES: usize = 6;
/// At most so many rows of data stand behind the curves and maps together: a page must stay small.
const MOST_ROWS: usize = 6_000;
/// At most so many points stand in a figure of intervals.
const MOST_BARS: usize = 40;
/// At most so many curves share a figure.
const MOST_CURVES: usize = 7;

/// The page of an experiment; `again` is what to type to get it again.
pub fn sweep_page(name: &str, prepared: &Prepared<'_>, found: &Findings, again: &str) -> Page {
    let experiment = &prepared.experiment;
    let rows = found.points.len() * if is_grid(found) { 1 } else { found.axes.len().max(1) };
    let most = MOST_MEASURES.min(MOST_ROWS / rows.max(1));
    let measures: Vec<usize> = columns_that_fit(found).into_iter().take(most).collect();
    let remarks = doubts(prepared, found).into_iter().map(Block::Warning);
    let question = experiment.question.clone().unwrap_or_default();
    Page {
        title: experiment.title.clone().unwrap_or_else(|| name.to_string()),
        lead: question,
        tiles: tiles(prepared, found),
        sections: vec![
            Section {
                id: "answers",
                heading: "Point by point".into(),
                blocks: std::iter::once(Block::Table(estimates(found))).chain(remarks).collect(),
            },
            Section {
                id: "responses",
                heading: "How it responds".into(),
                blocks: match most {
                    0 => vec![Block::Text(
                        "There are too many points for a picture; `points.csv` has them all."
                            .into(),
                    )],
                    _ => responses(found, &measures).into_iter().map(Block::Figure).collect(),
                },
            },
            Section {
                id: "maps",
                heading: "Two things at once".into(),
                blocks: maps(found, &measures).into_iter().map(Block::Figure).collect(),
            },
            Section { id: "matters", heading: "What matters".into(), blocks: matters(found) },
            Section { id: "ranking", heading: "Which are the best".into(), blocks: ranking(found) },
            Section {
                id: "differences",
                heading: format!("Against {}", called(found, found.baseline)),
                blocks: differences(found, &measures),
            },
            Section {
                id: "origin",
                heading: "How it came about".into(),
                blocks: origin(found, again),
            },
        ],
    }
}

fn tiles(prepared: &Prepared<'_>, found: &Findings) -> Vec<Tile> {
    let count = |number: usize| show::value(number as f64, Unit::Count);
    let confidence = show::value(prepared.experiment.confidence.0, Unit::Ratio);
    let mut tiles = vec![Tile::new(
        "Points",
        count(found.points.len()),
        format!("{} runs; intervals at {confidence}", count(found.runs)),
        Tone::Plain,
    )];
    let judged = found.points.iter().filter(|point| !point.verdicts.is_empty()).count();
    if judged > 0 {
        let met = (0..found.points.len()).filter(|index| found.is_met(*index)).count();
        let tone = match met {
            0 => Tone::Bad,
            all if all == judged => Tone::Good,
            _ => Tone::Doubtful,
        };
        let objectives: Vec<&str> =
            found.points[0].verdicts.iter().map(|it| it.objective.as_str()).collect();
        let value = format!("{} of {} points", count(met), count(judged));
        tiles.push(Tile::new("Meet the objectives", value, objectives.join(", "), tone));
    }
    if let Some(rank) = &found.rank
        && let Some(best) = rank.order.first()
    {
        let column = &found.columns[rank.column];
        let value = show::estimate(&found.points[*best].estimates[rank.column], column.metric.unit);
        let what = if rank.smallest { "Smallest" } else { "Largest" };
        let more = match rank.possibly_best.len() {
            1 => format!("{value}; beyond doubt"),
            many => format!("{value}; {many} may be the best"),
        };
        let title = format!("{what} {}", heading(column));
        tiles.push(Tile::new(&title, called(found, *best), more, Tone::Plain));
    }
    let collapsing = found.points.iter().filter(|point| {
        let collapsed = point.rows.iter().filter(|row| row.collapsed).count();
        collapsed > 0
    });
    let collapsing = collapsing.count();
    if collapsing > 0 {
        let value = format!("{} of {} points", count(collapsing), count(found.points.len()));
        let more = "most requests fail, more come than end, or a limit ends the run";
        tiles.push(Tile::new("Collapse", value, more, Tone::Bad));
    }
    tiles
}

fn words(found: &Findings, column: usize, axis: usize, kind: &str) -> Words {
    let Column { name, metric, .. } = &found.columns[column];
    let (varied, meaning) = &found.axes[axis];
    Words {
        name: format!(
            "{kind}-{}-{}",
            name.replace(['.', '/'], "-"),
            varied.replace(['.', '/'], "-")
        ),
        title: format!("{} by {varied}", heading(&found.columns[column])),
        caption: format!("{varied}: {meaning}. Bands and lines are intervals."),
        varied: varied.clone(),
        measured: heading(&found.columns[column]),
        unit: metric.unit,
    }
}

/// Different values of an axis, in their order.
fn levels(found: &Findings, axis: usize) -> Vec<&str> {
    let mut seen = Vec::new();
    for point in &found.points {
        let label = point.shown[axis].as_str();
        if !seen.contains(&label) {
            seen.push(label);
        }
    }
    seen
}

/// Every combination of the axes' values is a point.
fn is_grid(found: &Findings) -> bool {
    let sizes = (0..found.axes.len()).map(|axis| levels(found, axis).len());
    sizes.product::<usize>() == found.points.len()
}

fn at(found: &Findings, point: usize, axis: usize) -> At {
    let all = found.points.iter().all(|it| it.numbers[axis].is_some());
    match found.points[point].numbers[axis] {
        Some(number) if all => At::Number(number),
        _ => At::Label(found.points[point].shown[axis].clone()),
    }
}

/// A figure for each measure and, where the points form no grid, for each axis.
fn responses(found: &Findings, measures: &[usize]) -> Vec<Figure> {
    if found.axes.is_empty() || found.points.len() < 2 {
        return Vec::new();
    }
    let grid = is_grid(found);
    // The axis with most values is drawn along; the others tell curves apart.
    let along = (0..found.axes.len()).max_by_key(|axis| {
        let numeric = matches!(at(found, 0, *axis), At::Number(_));
        (numeric, levels(found, *axis).len(), std::cmp::Reverse(*axis))
    });
    let axes: Vec<usize> = match (grid, along) {
        (true, Some(along)) => vec![along],
        _ => (0..found.axes.len()).collect(),
    };
    let others = |axis: usize, point: usize| {
        let labels = found.points[point].shown.iter().enumerate();
        let others = labels.filter(|(other, _)| grid && *other != axis);
        let named = others.map(|(other, label)| format!("{} {label}", found.axes[other].0));
        named.collect::<Vec<_>>().join(", ")
    };
    let mut figures = Vec::new();
    for column in measures {
        for axis in &axes {
            let dots: Vec<Dot> = (0..found.points.len())
                .map(|point| Dot {
                    at: at(found, point, *axis),
                    series: others(*axis, point),
                    value: found.points[point].estimates[*column],
                })
                .collect();
            let curves: BTreeSet<&str> = dots.iter().map(|dot| dot.series.as_str()).collect();
            if curves.len() <= MOST_CURVES {
                figures.push(response(&words(found, *column, *axis, "response"), &dots, grid));
            }
        }
    }
    figures
}

/// Maps of heat, where two axes form a grid.
fn maps(found: &Findings, measures: &[usize]) -> Vec<Figure> {
    if found.axes.len() != 2 || !is_grid(found) || found.points.len() < 4 {
        return Vec::new();
    }
    let map = |column: &usize| {
        let cells: Vec<Cell> = found
            .points
            .iter()
            .filter_map(|point| {
                let value = point.estimates[*column].estimate?;
                Some(Cell { x: point.shown[0].clone(), y: point.shown[1].clone(), value })
            })
            .collect();
        let mut words = words(found, *column, 0, "map");
        words.title = format!(
            "{} by {} and {}",
            heading(&found.columns[*column]),
            found.axes[0].0,
            found.axes[1].0
        );
        words.caption = "Each cell is a point; the darker, the more.".into();
        heat_map(&words, &found.axes[1].0, &cells)
    };
    measures.iter().map(map).collect()
}

/// Sensitivities, measure by measure.
fn matters(found: &Findings) -> Vec<Block> {
    let mut columns: Vec<usize> = found.sensitivities.iter().map(|it| it.column).collect();
    columns.dedup();
    let mut blocks = Vec::new();
    for column in columns.into_iter().take(MOST_MEASURES) {
        let mut bars = Vec::new();
        let mut sobol = false;
        for it in found.sensitivities.iter().filter(|it| it.column == column) {
            let label = &found.axes[it.axis].0;
            let mut add = |group: &str, value: Estimate| {
                bars.push(Bar { label: label.clone(), group: group.into(), value });
            };
            match &it.found {
                Influence::Morris(effect) => {
                    add("size of the effect", Estimate::exact(effect.size));
                    add("how much it depends on the others", Estimate::exact(effect.deviation));
                }
                Influence::Sobol { first, total } => {
                    sobol = true;
                    add("alone", *first);
                    add("with all that it interacts with", *total);
                }
            }
        }
        if bars.iter().all(|bar| bar.value.estimate == Some(0.0)) {
            continue;
        }
        let mut words = words(found, column, 0, "matters");
        words.name = format!("matters-{}", found.columns[column].name.replace(['.', '/'], "-"));
        words.title = format!("What matters for {}", heading(&found.columns[column]));
        words.caption = match sobol {
            true => "Sobol's indices: the share of the variance that each axis explains.".into(),
            false => "Morris's walks: the mean size of the change from one end of an axis to the \
                      other, and its deviation over the others' values."
                .into(),
        };
        if sobol {
            (words.unit, words.measured) = (Unit::Ratio, "share of the variance".into());
        }
        blocks.push(Block::Figure(intervals(&words, &bars, Some(0.0), &[])));
    }
    blocks
}

fn ranking(found: &Findings) -> Vec<Block> {
    let Some(rank) = &found.rank else { return Vec::new() };
    let bars: Vec<Bar> = rank
        .order
        .iter()
        .take(MOST_BARS)
        .map(|index| {
            let best = rank.possibly_best.contains(index);
            let group = if best { "may be the best" } else { "worse beyond doubt" };
            let value = found.points[*index].estimates[rank.column];
            Bar { label: called(found, *index), group: group.into(), value }
        })
        .collect();
    let mut words = words(found, rank.column, 0, "ranking");
    words.name = "ranking".into();
    words.title = format!("Points by {}", heading(&found.columns[rank.column]));
    let what = if rank.smallest { "smallest" } else { "largest" };
    words.caption = format!(
        "The {what} first. Intervals are those of each point; what is worse beyond doubt is judged \
         pair by pair, all pairs taken together."
    );
    let groups = [("may be the best", "#009E73"), ("worse beyond doubt", "#999999")];
    vec![Block::Figure(intervals(&words, &bars, None, &groups))]
}

fn differences(found: &Findings, measures: &[usize]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for column in measures.iter().take(3) {
        let bars: Vec<Bar> = found
            .points
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != found.baseline)
            .filter_map(|(index, point)| {
                let paired = point.differences[*column]?;
                let group = if paired.differs { "differs" } else { "within what chance allows" };
                let (label, value) = (called(found, index), paired.difference);
                Some(Bar { label, group: group.into(), value })
            })
            .take(MOST_BARS)
            .collect();
        if bars.is_empty() {
            continue;
        }
        let mut words = words(found, *column, 0, "difference");
        let what = heading(&found.columns[*column]);
        words.name = format!("difference-{}", found.columns[*column].name.replace(['.', '/'], "-"));
        words.title = format!("Difference in {what}");
        words.measured = format!("difference in {what}");
        words.caption = "Replication by replication on common random numbers; a point differs if \
                         that is no chance, all points taken together (Holm)."
            .into();
        let groups = [("differs", "#D55E00"), ("within what chance allows", "#999999")];
        blocks.push(Block::Figure(intervals(&words, &bars, Some(0.0), &groups)));
    }
    blocks
}

fn origin(found: &Findings, again: &str) -> Vec<Block> {
    let broken: u32 = found.points.iter().flat_map(|it| &it.rows).map(|row| row.broken).sum();
    let audit = match broken {
        0 => Block::Text("Audit: all checks of all runs hold.".into()),
        count => Block::Warning(format!("{count} checks of the audit are BROKEN")),
    };
    let axes = found.axes.iter().map(|(name, meaning)| vec![name.clone(), meaning.clone()]);
    vec![
        Block::Words(vec!["axis", "what is varied"], axes.collect()),
        audit,
        Block::Text(format!("Digest of all requests of all runs: {}", found.digest)),
        Block::Text(
            "Every run, every estimate and every point are in the tables beside this page.".into(),
        ),
        Block::Code(again.into()),
    ]
}
