//! What products' own metrics show, for people.

use crate::result::metric::Unit;
use crate::result::{Monitored, Summary};
use crate::units::{Bandwidth, Bytes, Quantity, Ratio};

use super::layout::{Cell, Grid, Style};
use super::show;

/// What monitors show beside the truth; nothing where there are none.
pub(super) fn text(summary: &Summary, style: Style) -> String {
    let grid = grid(summary);
    if grid.is_empty() {
        return String::new();
    }
    let lines = budgets(summary).into_iter().map(|line| format!("  {line}\n"));
    grid.render(style) + &lines.collect::<String>()
}

/// The same as a table.
pub(super) fn grid(summary: &Summary) -> Grid {
    let columns = ["shown", "at most", "true", "at most", "alarms", "missed", "false", "late by"];
    let mut grid = Grid::new("Beside what monitors show", &columns);
    for monitor in &summary.monitors {
        let value = |value: f64| Cell::from(shown(monitor, value));
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

/// What uptimes leave of their budgets, a line each.
pub(super) fn budgets(summary: &Summary) -> Vec<String> {
    let line = |monitor: &Monitored| {
        let budget = monitor.budget?;
        let time = |seconds| show::value(seconds, Unit::Seconds);
        Some(format!(
            "{}: down for {} of the {} that {} leave in 30 days",
            monitor.name,
            time(budget.used_s),
            time(budget.allowed_s),
            Ratio(budget.target).show(),
        ))
    };
    summary.monitors.iter().filter_map(line).collect()
}

fn shown(monitor: &Monitored, value: f64) -> String {
    let unit = match monitor.what {
        "bandwidth" => return Bandwidth(value).show(),
        "memory" => return Bytes(value).show(),
        "latency" | "oldest" | "lag" => Unit::Seconds,
        "rate" | "evictions" => Unit::PerSecond,
        "waiting" | "held" | "delayed" | "in_flight" => Unit::Count,
        _ => Unit::Ratio,
    };
    show::value(value, unit)
}
