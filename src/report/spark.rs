//! The course of a run as rows of little bars, for terminals.

use super::Point;
use super::layout::{Cell, Grid, Look};
use super::show;
use crate::result::metric::Unit;
use crate::run::Window;

/// Steps of time that are shown.
const STEPS: usize = 48;
/// Eight heights, and a gap where nothing was measured.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Load, latency, failures and the busiest component over the measured time, with what each lies
/// between; nothing if there are too few steps to show a course.
pub fn courses(point: &Point<'_>) -> Grid {
    let mut grid = Grid::new("Over time", &["", "least", "most"]).left(2);
    let busiest = busiest(point);
    type Of<'a> = Box<dyn Fn(&Window) -> Option<f64> + 'a>;
    let seconds = |window: &Window| window.end.since(window.start).seconds();
    let mut rows: Vec<(String, Unit, Of<'_>)> = vec![
        (
            "offered".into(),
            Unit::PerSecond,
            Box::new(move |it| Some(it.offered as f64 / seconds(it))),
        ),
        ("latency p99".into(), Unit::Seconds, Box::new(|it| it.latency_p99_s)),
        (
            "failed".into(),
            Unit::Ratio,
            Box::new(|it| {
                let ended = it.ok + it.failed;
                (ended > 0).then(|| it.failed as f64 / ended as f64)
            }),
        ),
    ];
    if let Some((station, capacity, path)) = busiest {
        let busy = move |it: &Window| it.stations.get(station).map(|at| at.busy / capacity);
        rows.push((format!("{path} busy"), Unit::Ratio, Box::new(busy)));
    }
    for (name, unit, of) in rows {
        let course = course(point, &of);
        let known: Vec<f64> = course.iter().flatten().copied().collect();
        if known.len() < 4 {
            continue;
        }
        let least = known.iter().copied().fold(f64::INFINITY, f64::min);
        let most = known.iter().copied().fold(0.0, f64::max);
        if unit == Unit::Ratio && most == 0.0 {
            continue; // nothing failed
        }
        grid.row([
            Cell::from(name),
            Cell::new(bars(&course, most), Look::Bold),
            Cell::from(show::value(least, unit)),
            Cell::from(show::value(most, unit)),
        ]);
    }
    grid
}

/// The component with the highest utilisation: its number, its capacity, its path.
fn busiest<'a>(point: &Point<'a>) -> Option<(usize, f64, &'a str)> {
    let stations = point.model.stations.iter().enumerate();
    let known =
        stations.filter(|(_, station)| station.capacity > 0.0).filter_map(|(at, station)| {
            let component = point.summary.components.iter().find(|it| it.path == station.path)?;
            let busy = component.estimate("utilisation_ratio").estimate?;
            Some((busy, at, station))
        });
    let (_, at, station) = known.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
    Some((at, station.capacity, station.path.as_str()))
}

/// Means over replications of measured windows, neighbours taken together.
fn course(point: &Point<'_>, of: &dyn Fn(&Window) -> Option<f64>) -> Vec<Option<f64>> {
    let measured: Vec<Vec<&Window>> = point
        .outcomes
        .iter()
        .map(|outcome| outcome.windows.iter().filter(|window| window.measured).collect())
        .collect();
    let longest = measured.iter().map(Vec::len).max().unwrap_or(0);
    let steps = longest.min(STEPS);
    let step = |number: usize| {
        let (from, to) = (number * longest / steps, (number + 1) * longest / steps);
        let windows = measured.iter().flat_map(|windows| windows.get(from..to.min(windows.len())));
        let values: Vec<f64> = windows.flatten().filter_map(|window| of(window)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    (0..steps).map(step).collect()
}

/// A bar for each step, from nothing to the most.
fn bars(course: &[Option<f64>], most: f64) -> String {
    let bar = |value: &Option<f64>| match value {
        None => ' ',
        Some(_) if most <= 0.0 => BARS[0],
        Some(value) => {
            let height = (value / most * 7.0 + 0.5) as usize;
            BARS[height.min(7)]
        }
    };
    course.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_from_nothing_to_the_most() {
        assert_eq!(bars(&[Some(0.0), Some(3.5), None, Some(7.0)], 7.0), "▁▅ █");
        assert_eq!(bars(&[Some(0.0)], 0.0), "▁");
    }
}
