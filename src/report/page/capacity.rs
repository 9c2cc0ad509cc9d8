//! The page of a capacity: what the deployment carries, what binds, and what it looks like there.

use super::run::{assumption_section, origin_section, timeline_section, title_of};
use super::{Block, Page, Section, Tile, Tone};
use crate::experiment::capacity::{Answer, AtLoad, Capacity};
use crate::figure::{Tried, capacity_curve, diagram, latency, saturation, time};
use crate::report::capacity::{LoadOf, objectives_grid, point, unit_of};
use crate::report::layout::{Grid, Look};
use crate::report::ran::{attribution, bearing_words, bill, components, growth, setting};
use crate::report::show;
use crate::result::{Estimate, Unit};

/// The page of a capacity; `again` is what to type to get it again.
pub fn capacity_page(
    found: &Capacity,
    (of, asked): (LoadOf, Option<&AtLoad>),
    again: &str,
) -> Page {
    let file = point("the file's load", &found.at_file_load);
    let there = found.at_capacity.as_ref().map(|at| point("at capacity", at));
    let mut points = vec![file];
    points.extend(there);
    points.extend(asked.map(|at| point("asked", at)));
    let shown = there.unwrap_or(file);
    let mut curve: Vec<Block> = curves(found, of).into_iter().map(Block::Figure).collect();
    if let Some(at) = &found.at_capacity {
        curve.push(Block::Table(objectives_grid(at)));
    }
    curve.push(Block::Table(limits(found)));
    if let Some(at) = found.at_capacity.as_ref().filter(|at| !at.summary.costs.is_empty()) {
        curve.push(Block::Table(bill(&at.summary)));
    }
    Page {
        title: format!("Capacity of {}", title_of(&file)),
        lead: setting(&file),
        tiles: tiles(found, of, asked),
        sections: vec![
            Section { id: "capacity", heading: "How much it carries".into(), blocks: curve },
            Section {
                id: "saturation",
                heading: format!("What binds, {}", shown.name),
                blocks: vec![
                    Block::Figure(saturation(&shown)),
                    Block::Table(growth(&shown.summary.saturation)),
                    Block::Table(components(shown.summary)),
                ],
            },
            Section {
                id: "deployment",
                heading: "The deployment, and where it is hot".into(),
                blocks: vec![Block::Diagrams(points.iter().map(diagram).collect())],
            },
            Section {
                id: "latency",
                heading: "Latency".into(),
                blocks: vec![Block::Figure(latency(&points))],
            },
            timeline_section(&[shown]),
            Section {
                id: "time",
                heading: "Where the time goes".into(),
                blocks: vec![Block::Figure(time(&shown)), Block::Table(attribution(shown.summary))],
            },
            assumption_section(&[file]),
            origin_section(&points, again),
        ],
    }
}

fn tiles(found: &Capacity, of: LoadOf, asked: Option<&AtLoad>) -> Vec<Tile> {
    let here = found.at_capacity.as_ref().unwrap_or(&found.at_file_load);
    let scale = of.per_load(here, found.scaling.closed);
    let capacity = match found.answer {
        Answer::Found(load) => {
            let ends = match (load.low, load.high) {
                (Some(low), Some(high)) => {
                    format!("{} to {}", of.show(low * scale), of.named(high * scale))
                }
                _ => String::new(),
            };
            let value = of.named(load.estimate.unwrap_or(0.0) * scale);
            Tile::new("Carries", value, ends, Tone::Plain)
        }
        Answer::NoLoad { least, .. } => {
            let down = format!("down to {}", of.named(least * scale));
            Tile::new("Carries", "no load", down, Tone::Bad)
        }
        Answer::AnyLoad { most, .. } => {
            let up = format!("up to {}", of.named(most * scale));
            Tile::new("Carries", "every load tried", up, Tone::Good)
        }
    };
    let mut tiles = vec![capacity];
    for (what, bearing) in ["Binds first", "Then"].into_iter().zip(&here.summary.saturation.order) {
        tiles.push(Tile::new(what, &bearing.component, bearing_words(bearing), Tone::Plain));
    }
    let mut room = |what: &str, load: f64, met: bool, room: Option<Estimate>| {
        let value = room.and_then(|it| it.estimate).map_or("unknown".into(), show::factor);
        let words = if met { "meets the objectives" } else { "does not meet the objectives" };
        let tone = if met { Tone::Good } else { Tone::Bad };
        tiles.push(Tile::new(what, value, format!("{}: {words}", of.named(load)), tone));
    };
    let file = &found.at_file_load;
    let own = found.scaling.load * of.per_load(file, found.scaling.closed);
    room("Capacity over the file's load", own, file.is_met(), found.headroom());
    if let Some(at) = asked {
        room(
            "Capacity over the load asked",
            at.load * scale,
            at.is_met(),
            found.headroom_at(at.load),
        );
    }
    tiles.extend(found.at_capacity.as_ref().and_then(cost));
    tiles
}

/// What a month costs at the capacity, where anything has a price.
fn cost(at: &AtLoad) -> Option<Tile> {
    let dollars = |path: &str| at.summary.estimate(path).estimate;
    let month = dollars("cost_month").filter(|_| !at.summary.costs.is_empty())?;
    let each = dollars("cost_per_million_ok").map_or(String::new(), |each| {
        format!("{} for a million requests that end well", show::value(each, Unit::Dollars))
    });
    let value = show::value(month, Unit::Dollars);
    Some(Tile::new("Cost a month at the capacity", value, each, Tone::Plain))
}

/// A curve for each objective that was measured.
fn curves(found: &Capacity, of: LoadOf) -> Vec<crate::figure::Figure> {
    let here = found.at_capacity.as_ref().unwrap_or(&found.at_file_load);
    let scale = of.per_load(here, found.scaling.closed);
    let times = |value: Option<f64>| value.map(|it| it * scale);
    let answer = match found.answer {
        Answer::Found(load) => Some(Estimate {
            estimate: times(load.estimate),
            low: times(load.low),
            high: times(load.high),
        }),
        _ => None,
    };
    let objectives = found.at_file_load.model.objectives.iter().enumerate();
    let curve = |(number, objective): (usize, &crate::topology::Objective)| {
        let tried: Vec<Tried> = found
            .trials
            .iter()
            .map(|trial| Tried {
                load: trial.load * scale,
                replication: trial.replication,
                value: trial.values[number],
                met: trial.met(),
            })
            .collect();
        let measured = (unit_of(&objective.metric), objective.bound);
        let load = match of {
            LoadOf::Users => "users",
            LoadOf::Rate => "requests a second",
            LoadOf::Visits => "visits a second",
        };
        capacity_curve(number, &objective.text, measured, load, &tried, answer)
    };
    objectives.map(curve).collect()
}

fn limits(found: &Capacity) -> Grid {
    let all = show::value(found.at_file_load.outcomes.len() as f64, Unit::Count);
    let mut grid = Grid::new("Fails just above", &["replications"]);
    for (reason, count) in &found.limits {
        let count = format!("{} of {all}", show::value(*count as f64, Unit::Count));
        grid.row([
            crate::report::layout::Cell::new(reason.as_str(), Look::Usual),
            crate::report::layout::Cell::from(count),
        ]);
    }
    grid
}
