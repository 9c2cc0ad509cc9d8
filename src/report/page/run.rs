//! The page of one model's result.

use super::{Block, Page, Section, Tile, Tone};
use crate::figure::{diagram, latency, monitors, saturation, time, timelines};
use crate::report::layout::Grid;
use crate::report::ran::{
    CLOSED_FORMS_MEAN, attribution, bill, closed_forms, components, full_at, growth,
    latency as latencies, operations, requests, setting, verdict_row,
};
use crate::report::show;
use crate::result::{Bearing, Point, Summary, Unit};
use crate::topology::Assumption;

/// The page of one model's result; `again` is what to type to get it again.
pub fn run_page(point: &Point<'_>, again: &str) -> Page {
    let summary = point.summary;
    Page {
        title: title_of(point),
        lead: setting(point),
        tiles: verdict_tiles(summary).into_iter().chain(number_tiles(summary)).collect(),
        sections: vec![
            verdict_section(std::slice::from_ref(point)),
            Section {
                id: "deployment",
                heading: "The deployment, and where it is hot".into(),
                blocks: vec![Block::Diagrams(vec![diagram(point)])],
            },
            Section {
                id: "latency",
                heading: "Latency".into(),
                blocks: vec![
                    Block::Figure(latency(std::slice::from_ref(point))),
                    Block::Table(latencies(summary)),
                    Block::Table(requests(summary)),
                    Block::Table(operations(summary)),
                ],
            },
            timeline_section(std::slice::from_ref(point)),
            monitor_section(point),
            Section {
                id: "time",
                heading: "Where the time goes".into(),
                blocks: vec![Block::Figure(time(point)), Block::Table(attribution(summary))],
            },
            Section {
                id: "saturation",
                heading: "What gives first".into(),
                blocks: vec![
                    Block::Figure(saturation(point)),
                    Block::Table(growth(&summary.saturation)),
                    Block::Table(components(summary)),
                ],
            },
            Section {
                id: "theory",
                heading: "Beside closed forms".into(),
                blocks: beside(summary),
            },
            Section {
                id: "cost",
                heading: "Cost".into(),
                blocks: vec![Block::Table(bill(summary))],
            },
            assumption_section(std::slice::from_ref(point)),
            origin_section(std::slice::from_ref(point), again),
        ],
    }
}

pub(super) fn title_of(point: &Point<'_>) -> String {
    if point.summary.title.is_empty() { point.name.into() } else { point.summary.title.clone() }
}

/// Objectives, what gives first, what next, headroom.
pub(super) fn verdict_tiles(summary: &Summary) -> Vec<Tile> {
    let missed = summary.verdicts.iter().filter(|verdict| !verdict.met).count();
    let all = summary.verdicts.len();
    let objectives = match (all, missed) {
        (0, _) => Tile::new("Objectives", "none stated", "", Tone::Plain),
        (_, 0) => Tile::new("Objectives", "met", format!("all {all}"), Tone::Good),
        _ => Tile::new("Objectives", "not met", format!("{missed} of {all}"), Tone::Bad),
    };
    let mut tiles = vec![objectives];
    let order = &summary.saturation.order;
    for (what, bearing) in ["Gives first", "Then"].into_iter().zip(order) {
        tiles.push(Tile::new(what, &bearing.component, standing(bearing), tone_of(bearing)));
    }
    if let Some(first) = order.iter().find(|bearing| bearing.has_level()) {
        let factor = first.load_factor.at_100;
        let (value, tone) = match factor {
            factor if factor <= 1.0 => ("none".into(), Tone::Bad),
            factor if factor < 1.25 => (share_above(factor), Tone::Doubtful),
            factor => (share_above(factor), Tone::Plain),
        };
        let full = format!("{} is full at {}", first.component, full_at(first));
        tiles.push(Tile::new("Headroom", value, full, tone));
    }
    tiles
}

fn share_above(factor: f64) -> String {
    if factor >= 2.0 {
        format!("{} this load", show::factor(factor))
    } else {
        format!("+{}", show::value(factor - 1.0, Unit::Ratio))
    }
}

fn standing(bearing: &Bearing) -> String {
    crate::report::ran::bearing_words(bearing)
}

fn tone_of(bearing: &Bearing) -> Tone {
    match bearing.utilisation_ratio {
        _ if bearing.saturated_now => Tone::Bad,
        busy if busy >= 0.75 => Tone::Doubtful,
        _ => Tone::Plain,
    }
}

fn number_tiles(summary: &Summary) -> Vec<Tile> {
    let known = |path: &str, unit| show::estimate(&summary.estimate(path), unit);
    let failed = summary.estimate("failed_ratio").estimate.unwrap_or(0.0);
    let offered = format!("of {} offered", known("offered_per_s", Unit::PerSecond));
    let mut tiles = vec![
        Tile::new("Served", known("throughput_per_s", Unit::PerSecond), offered, Tone::Plain),
        Tile::new(
            "Failed",
            known("failed_ratio", Unit::Ratio),
            "",
            if failed >= 0.01 { Tone::Bad } else { Tone::Plain },
        ),
        Tile::new(
            "Latency p95",
            known("latency_s.p95", Unit::Seconds),
            format!("p99 {}", known("latency_s.p99", Unit::Seconds)),
            Tone::Plain,
        ),
    ];
    if !summary.costs.is_empty() {
        let each = summary.estimate("cost_per_million_ok").estimate;
        let each = each.map_or(String::new(), |price| {
            format!("{} for a million that end well", show::value(price, Unit::Dollars))
        });
        tiles.push(Tile::new(
            "Cost a month",
            known("cost_month", Unit::Dollars),
            each,
            Tone::Plain,
        ));
    }
    tiles
}

/// Objectives one by one, and what a reader must know.
pub(super) fn verdict_section(points: &[Point<'_>]) -> Section {
    let mut blocks = Vec::new();
    for point in points {
        let name = if points.len() > 1 { point.name } else { "" };
        let mut grid = Grid::new(name, &["objective is", "measured"]).left(3);
        for verdict in &point.summary.verdicts {
            grid.row(verdict_row(point.summary, verdict));
        }
        blocks.push(Block::Table(grid));
        blocks.extend(point.summary.warnings.iter().map(|warning| {
            let whose = if name.is_empty() { String::new() } else { format!("{name}: ") };
            Block::Warning(format!("{whose}{}", warning.message))
        }));
    }
    Section { id: "verdict", heading: "Verdict".into(), blocks }
}

pub(super) fn timeline_section(points: &[Point<'_>]) -> Section {
    let blocks = timelines(points).into_iter().map(Block::Figure).collect();
    Section { id: "timeline", heading: "Over time".into(), blocks }
}

/// What products' own metrics show, beside what was so.
fn monitor_section(point: &Point<'_>) -> Section {
    let table = crate::report::monitored::grid(point.summary);
    let mut blocks: Vec<Block> = monitors(point).into_iter().map(Block::Figure).collect();
    if !table.is_empty() {
        blocks.push(Block::Table(table));
    }
    let budgets = crate::report::monitored::budgets(point.summary);
    blocks.extend(budgets.into_iter().map(Block::Text));
    Section { id: "monitors", heading: "What monitors show".into(), blocks }
}

fn beside(summary: &Summary) -> Vec<Block> {
    let grid = closed_forms(summary);
    if grid.is_empty() {
        return Vec::new();
    }
    vec![Block::Table(grid), Block::Text(CLOSED_FORMS_MEAN.into())]
}

/// What the files do not say and their authors assumed.
pub(super) fn assumption_section(points: &[Point<'_>]) -> Section {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let row = |it: &Assumption| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![it.what.clone(), it.value.clone(), text(&it.range), text(&it.why), text(&it.knob)]
    };
    for assumption in points.iter().flat_map(|point| &point.model.assumptions) {
        let row = row(assumption);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let columns = vec!["assumed", "value", "may lie between", "why", "knob"];
    Section {
        id: "assumptions",
        heading: "What was assumed".into(),
        blocks: vec![Block::Words(columns, rows)],
    }
}

/// The audit, the manifest, and the command that reproduces all of it.
pub(super) fn origin_section(points: &[Point<'_>], again: &str) -> Section {
    let mut blocks = Vec::new();
    let mut rows = Vec::new();
    for point in points {
        let summary = point.summary;
        let audit = match summary.broken.len() {
            0 => format!("all {} checks hold", show::value(summary.checks as f64, Unit::Count)),
            count => format!("{count} of {} checks are BROKEN", summary.checks),
        };
        rows.push(vec![
            point.name.to_string(),
            audit,
            show::value(summary.events as f64, Unit::Count),
            summary.seed.to_string(),
            summary.replications.len().to_string(),
            summary.digest_text(),
        ]);
        blocks.extend(summary.broken.iter().map(|what| Block::Warning(what.clone())));
    }
    let columns =
        vec!["design", "audit", "events", "seed", "replications", "digest of every request"];
    blocks.insert(0, Block::Words(columns, rows));
    blocks.push(Block::Text("To get this result again, byte for byte:".into()));
    blocks.push(Block::Code(again.into()));
    blocks.push(Block::Text(
        "manifest.toml beside this page says how it came about: every file that was read with its \
         digest, every default in force with its source. `loadbearing rerun manifest.toml` makes it \
         again and proves that it is the same."
            .into(),
    ));
    Section { id: "origin", heading: "Audit, and how to get it again".into(), blocks }
}
