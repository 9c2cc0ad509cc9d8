//! The course of a run as rows of little bars, for terminals.

use super::Point;
use super::layout::{Cell, Grid, Look, WIDTH};
use super::show;
use crate::result::metric::Unit;
use crate::run::Window;

/// Steps of time that are shown.
const STEPS: usize = 48;
/// Eight heights, and a gap where nothing was measured.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A row of little bars: its label, its unit, its value in a window.
type Row<'a> = (String, Unit, Box<dyn Fn(&Window) -> Option<f64> + 'a>);

/// What is shown of a design, its busiest component last.
fn rows<'a>(point: &Point<'a>) -> Vec<Row<'a>> {
    let seconds = |window: &Window| window.end.since(window.start).seconds();
    let mut rows: Vec<Row<'a>> = vec![
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
    if let Some((station, capacity, path)) = busiest(point) {
        let busy = move |it: &Window| it.stations.get(station).map(|at| at.busy / capacity);
        rows.push((format!("{path} busy"), Unit::Ratio, Box::new(busy)));
    }
    rows
}

/// The least and the most of a course; nothing where there are too few steps to show one.
fn range(course: &[Option<f64>]) -> Option<(f64, f64)> {
    let known: Vec<f64> = course.iter().flatten().copied().collect();
    let least = known.iter().copied().fold(f64::INFINITY, f64::min);
    (known.len() >= 4).then(|| (least, known.iter().copied().fold(0.0, f64::max)))
}

fn cells(label: String, course: &[Option<f64>], highest: f64, unit: Unit) -> Option<[Cell; 4]> {
    let (least, most) = range(course)?;
    Some([
        Cell::from(label),
        Cell::new(bars(course, highest), Look::Bold),
        Cell::from(show::value(least, unit)),
        Cell::from(show::value(most, unit)),
    ])
}

/// Load, latency, failures and the busiest component over the measured time, with what each lies
/// between; nothing if there are too few steps to show a course.
pub fn courses(point: &Point<'_>) -> Grid {
    let mut grid = Grid::new("Over time", &["", "least", "most"]).left(2);
    for (label, unit, of) in rows(point) {
        let course = course(point, STEPS, &of);
        let most = range(&course).map_or(0.0, |it| it.1);
        if unit == Unit::Ratio && most == 0.0 {
            continue; // nothing failed
        }
        if let Some(row) = cells(label, &course, most, unit) {
            grid.row(row);
        }
    }
    grid
}

/// The same of several designs, measure by measure. The bars of a measure are of one scale, so that designs
/// can be compared by eye; where all of one would be too low to be seen, each has its own.
pub fn courses_side_by_side(points: &[Point<'_>]) -> Grid {
    let mut grid = Grid::new("Over time", &["", "least", "most"]).left(2);
    let all: Vec<Vec<Row<'_>>> = points.iter().map(rows).collect();
    let letters = |text: &str| text.chars().count();
    let with_busiest = |(point, rows): (&Point<'_>, &Vec<Row<'_>>)| {
        letters(point.name) + rows.get(3).map_or(0, |it| 2 + letters(&it.0))
    };
    let longest = points.iter().zip(&all).map(with_busiest).max().unwrap_or(0);
    // Beside the label and the bars stand two numbers.
    let steps = WIDTH.saturating_sub(longest.max(20) + 30).clamp(8, STEPS);
    for measure in 0..3 {
        let found: Vec<Vec<Option<f64>>> = points
            .iter()
            .zip(&all)
            .map(|(point, rows)| course(point, steps, &rows[measure].2))
            .collect();
        let most: Vec<f64> = found.iter().map(|it| range(it).map_or(0.0, |it| it.1)).collect();
        let highest = most.iter().copied().fold(0.0, f64::max);
        let (label, unit) = (&all[0][measure].0, all[0][measure].1);
        if highest == 0.0 {
            continue;
        }
        let scale = match unit {
            Unit::PerSecond if most.iter().any(|it| *it < highest / 20.0) => None,
            _ => Some(highest),
        };
        let title =
            if scale.is_some() { label.clone() } else { format!("{label}, each by its own most") };
        grid.row([Cell::from(title)]);
        for (at, point) in points.iter().enumerate() {
            let label = format!("  {}", point.name);
            grid.row(
                cells(label, &found[at], scale.unwrap_or(most[at]), unit).into_iter().flatten(),
            );
        }
    }
    let busiest: Vec<[Cell; 4]> = points
        .iter()
        .zip(&all)
        .filter_map(|(point, rows)| {
            let (label, unit, of) = rows.get(3)?;
            cells(format!("  {}, {label}", point.name), &course(point, steps, of), 1.0, *unit)
        })
        .collect();
    if !busiest.is_empty() {
        grid.row([Cell::from("busiest")]);
        busiest.into_iter().for_each(|row| grid.row(row));
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
fn course(
    point: &Point<'_>,
    steps: usize,
    of: &dyn Fn(&Window) -> Option<f64>,
) -> Vec<Option<f64>> {
    let measured: Vec<Vec<&Window>> = point
        .outcomes
        .iter()
        .map(|outcome| outcome.windows.iter().filter(|window| window.measured).collect())
        .collect();
    let longest = measured.iter().map(Vec::len).max().unwrap_or(0);
    let steps = longest.min(steps);
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
