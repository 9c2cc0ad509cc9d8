//! What products' own metrics show, for people.

use crate::result::metric::Unit;
use crate::result::{Monitored, Summary};

use super::layout::{Cell, Grid, Style};
use super::show;

/// What monitors show beside the truth; nothing where there are none.
pub(super) fn text(summary: &Summary, style: Style) -> String {
    let grid = grid(summary);
    if grid.is_empty() { String::new() } else { grid.render(style) }
}

/// The same as a table.
pub(super) fn grid(summary: &Summary) -> Grid {
    let columns = ["shown", "at most", "true", "at most", "alarms", "missed", "false", "late by"];
    let mut grid = Grid::new("Beside what monitors show", &columns);
    for monitor in &summary.monitors {
        let value = |value: f64| Cell::from(show::value(value, unit(monitor)));
        let count = |of: fn(&crate::result::Alarmed) -> u32| {
            let count = monitor.alarm.as_ref().map(of);
            Cell::from(count.map_or("-".to_string(), |count| count.to_string()))
        };
        let delay = monitor.alarm.as_ref().and_then(|alarm| alarm.delay_mean_s);
        grid.row([
            Cell::from(format!("{}: {}", monitor.name, monitor.what)),
            value(monitor.shown_mean),
            value(monitor.shown_most),
            value(monitor.true_mean),
            value(monitor.true_most),
            count(|alarm| alarm.episodes),
            count(|alarm| alarm.missed),
            count(|alarm| alarm.false_alarms),
            Cell::from(show::optional(delay, Unit::Seconds)),
        ]);
    }
    grid
}

fn unit(monitor: &Monitored) -> Unit {
    match monitor.what {
        "latency" => Unit::Seconds,
        "rate" => Unit::PerSecond,
        _ => Unit::Ratio,
    }
}
