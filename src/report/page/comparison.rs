//! The page of a comparison.

use super::run::{
    assumption_section, origin_section, timeline_section, title_of, verdict_section, verdict_tiles,
};
use super::{Block, Page, Section, Tile, Tone};
use crate::figure::{Figure, diagram, differences as difference_figure, latency, saturation, time};
use crate::report::compared::{block, differing_block};
use crate::report::ran::setting;
use crate::report::show;
use crate::result::{Difference, Point, Unit};

/// The page of several models side by side; the first is what the others differ from.
pub fn comparison_page(
    points: &[Point<'_>],
    differences: &[(&str, Vec<Difference>)],
    again: &str,
) -> Page {
    let first = points[0].summary;
    let each = |what: fn(&Point<'_>) -> Figure| {
        points.iter().map(|point| Block::Figure(what(point).of(point.name))).collect()
    };
    Page {
        title: format!(
            "Comparison of {}",
            points.iter().map(|it| it.name).collect::<Vec<_>>().join(", ")
        ),
        lead: "The same users with the same work on each design, replication by replication."
            .into(),
        tiles: points.iter().map(design_tile).collect(),
        sections: vec![
            Section {
                id: "designs",
                heading: "Side by side".into(),
                blocks: vec![
                    Block::Table(block(points)),
                    Block::Words(
                        vec!["design", "title", "load"],
                        points.iter().map(design_row).collect(),
                    ),
                ],
            },
            verdict_section(points),
            Section {
                id: "differences",
                heading: format!("Against {}", points[0].name),
                blocks: vec![
                    Block::Figure(difference_figure(first, differences)),
                    Block::Table(differing_block(points[0].name, differences)),
                ],
            },
            Section {
                id: "deployment",
                heading: "The deployments, and where they are hot".into(),
                blocks: vec![Block::Diagrams(points.iter().map(diagram).collect())],
            },
            Section {
                id: "latency",
                heading: "Latency".into(),
                blocks: vec![Block::Figure(latency(points))],
            },
            timeline_section(points),
            Section { id: "time", heading: "Where the time goes".into(), blocks: each(time) },
            Section {
                id: "saturation",
                heading: "What gives first".into(),
                blocks: each(saturation),
            },
            assumption_section(points),
            origin_section(points, again),
        ],
    }
}

/// A design's verdict in a line or two.
fn design_tile(point: &Point<'_>) -> Tile {
    let tiles = verdict_tiles(point.summary);
    let objectives = &tiles[0];
    let mut words = Vec::new();
    if let Some(first) = point.summary.saturation.order.first() {
        words.push(format!("gives first: {}", first.component));
    }
    if !point.summary.costs.is_empty() {
        let cost = point.summary.estimate("cost_month").estimate;
        words.push(format!("{} a month", show::optional(cost, Unit::Dollars)));
    }
    let value = match objectives.tone {
        Tone::Good => "objectives met".to_string(),
        Tone::Bad => format!("{} objectives not met", objectives.more),
        _ => "no objectives".to_string(),
    };
    Tile::new(point.name, value, words.join("; "), objectives.tone)
}

fn design_row(point: &Point<'_>) -> Vec<String> {
    vec![point.name.into(), title_of(point), setting(point)]
}
