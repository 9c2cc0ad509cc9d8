//! Several designs over the same time, one strip below the other: a picture as data.

use super::panel::Panel;
use crate::model::{Model, Workload};
use crate::result::{Point, Unit};
use crate::units::Duration;

/// A panel with its data.
#[derive(Clone, Debug)]
pub struct Strip {
    /// The heading.
    pub heading: String,
    /// What the values are measured in.
    pub unit: Unit,
    /// One course for each design, empty where a design has none: (time (s), value).
    pub lines: Vec<Vec<(f64, f64)>>,
    /// What is wanted, beside what is served.
    pub wanted: Option<Vec<(f64, f64)>>,
    /// What must not be passed, in words.
    pub bounds: Vec<(f64, String)>,
}

/// Something that happens for a while: a fault, a deploy, a spike of load.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Since when (s).
    pub from_s: f64,
    /// Until when (s).
    pub until_s: f64,
    /// What.
    pub what: String,
}

/// The designs over the measured time, one strip below the other.
#[derive(Clone, Debug)]
pub struct Board {
    /// The heading.
    pub title: String,
    /// The designs, in the order of the lines.
    pub designs: Vec<String>,
    /// The longest measured time (s).
    pub end_s: f64,
    /// What happens meanwhile.
    pub marks: Vec<Mark>,
    /// The strips.
    pub strips: Vec<Strip>,
}

impl Board {
    /// The measures of all designs over time.
    ///
    /// # Errors
    /// In words, if no design has what a panel is to show.
    pub fn new(title: &str, points: &[Point<'_>], panels: &[Panel]) -> Result<Board, String> {
        let count = points.len();
        let mut strips = Vec::new();
        for panel in panels {
            let lines: Vec<_> = points.iter().map(|point| panel.course(point, count)).collect();
            if lines.iter().all(Vec::is_empty) {
                return Err(format!("nothing was measured of `{panel}`{}", known(points)));
            }
            let mut bounds: Vec<(f64, String)> = Vec::new();
            for bound in points.iter().flat_map(|point| panel.bounds(point)) {
                if !bounds.contains(&bound) {
                    bounds.push(bound);
                }
            }
            let wanted = points.first().and_then(|point| panel.wanted(point, count));
            let (heading, unit) = (panel.heading(), panel.unit());
            strips.push(Strip { heading, unit, lines, wanted, bounds });
        }
        let end = points.iter().map(|it| it.model.plan.duration.seconds()).fold(0.0, f64::max);
        let designs = names(points);
        Ok(Board { title: title.into(), designs, end_s: end, marks: marks(points), strips })
    }
}

/// The components that could be drawn.
fn known(points: &[Point<'_>]) -> String {
    let mut paths: Vec<&str> = Vec::new();
    for station in points.iter().flat_map(|point| point.model.stations.iter()) {
        if !paths.contains(&station.path.as_str()) {
            paths.push(&station.path);
        }
    }
    format!("; the components are {}", paths.join(", "))
}

/// Titles where all designs have one and no two the same, otherwise the names of their files.
fn names(points: &[Point<'_>]) -> Vec<String> {
    let titles: Vec<&str> = points.iter().map(|it| it.summary.title.as_str()).collect();
    let told_apart = titles.iter().enumerate().all(|(at, it)| !titles[..at].contains(it));
    match told_apart && titles.iter().all(|it| !it.is_empty()) {
        true => titles.iter().map(|it| it.to_string()).collect(),
        false => points.iter().map(|it| it.name.to_string()).collect(),
    }
}

fn marks(points: &[Point<'_>]) -> Vec<Mark> {
    let mut found: Vec<Mark> = Vec::new();
    for mut mark in points.iter().flat_map(marks_of) {
        mark.from_s = mark.from_s.max(0.0);
        if mark.until_s > 0.0 && !found.contains(&mark) {
            found.push(mark);
        }
    }
    found.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    found
}

/// What happens to a design in its first replication, from the start of the measured time (s): jumps
/// of the load, faults and deploys.
pub(super) fn marks_of(point: &Point<'_>) -> Vec<Mark> {
    let (warmup, duration) = (point.model.plan.warmup, point.model.plan.duration.seconds());
    let first = point.summary.replications.first();
    let faults = point.summary.faults.iter().filter(|it| Some(&it.replication) == first);
    let seen = faults.map(|it| Mark {
        from_s: it.from_s - warmup.seconds(),
        until_s: it.until_s.map_or(duration, |until| until - warmup.seconds()).min(duration),
        what: it.what.clone(),
    });
    let all = spikes(point.model, warmup).into_iter().chain(seen);
    all.filter(|mark| mark.from_s < duration).collect()
}

/// Jumps of the load: up, and down again.
fn spikes(model: &Model, warmup: Duration) -> Vec<Mark> {
    let (Workload::Closed { population: curve, .. } | Workload::Open { rate: curve, .. }) =
        &model.workload
    else {
        return Vec::new();
    };
    let jump = |pair: &[(Duration, f64)]| {
        (pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1)
            .then_some((pair[0].0, pair[0].1, pair[1].1))
    };
    let jumps: Vec<(Duration, f64, f64)> = curve.knots.windows(2).filter_map(jump).collect();
    let pairs = jumps.windows(2).filter(|pair| pair[0].2 > pair[0].1 && pair[1].2 < pair[1].1);
    let seconds = |at: Duration| at.seconds() - warmup.seconds();
    pairs
        .map(|pair| Mark {
            from_s: seconds(pair[0].0),
            until_s: seconds(pair[1].0),
            what: format!("load x {:.3}", pair[0].2 / pair[0].1)
                .trim_end_matches('0')
                .trim_end_matches('.')
                .into(),
        })
        .collect()
}
