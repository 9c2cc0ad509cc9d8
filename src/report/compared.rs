//! Several models side by side, for people.

use super::Point;
use super::layout::{Cell, Grid, Look, Style, WIDTH};
use super::ran::{Written, failures, origin, setting, warnings};
use super::show;
use super::spark::courses_side_by_side;
use crate::result::metric::Unit;
use crate::result::{Difference, Summary};

/// The results of several models as text of at most 100 columns: side by side in as many blocks as
/// they need, then what each differs in from the first.
pub fn compared(
    points: &[Point<'_>],
    differences: &[(&str, Vec<Difference>)],
    written: &Written<'_>,
    style: Style,
) -> String {
    let mut sections = vec![heads(points, style)];
    // As many side by side as fit; what is alone in its row is hard to compare.
    let mut most = points.len().min(6);
    while most > 1 && widest(&block(&points[..most]).render(Style::Plain)) > WIDTH {
        most -= 1;
    }
    while most > 1
        && points.chunks(most).any(|part| widest(&block(part).render(Style::Plain)) > WIDTH)
    {
        most -= 1;
    }
    sections.extend(points.chunks(most).map(|part| block(part).render(style)));
    sections
        .extend(differing(points[0].name, differences, most).iter().map(|grid| grid.render(style)));
    sections.push(over_time(points, style));
    sections.push(remarks(points, style));
    sections.push(audits(points, style) + &origin(written));
    sections.retain(|text| !text.is_empty());
    sections.join("\n")
}

/// The courses as rows of little bars; only where somebody looks at a screen.
fn over_time(points: &[Point<'_>], style: Style) -> String {
    let grid = match style {
        Style::Plain => return String::new(),
        Style::Drawn | Style::Coloured => courses_side_by_side(points),
    };
    if grid.is_empty() { String::new() } else { grid.render(style) }
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// The name and title of each, with who comes to it.
fn heads(points: &[Point<'_>], style: Style) -> String {
    let name_width = points.iter().map(|point| point.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for point in points {
        let name = format!("{:<name_width$}", point.name);
        out.push_str(&format!("{}  {}\n", style.paint(&name, Look::Bold), point.summary.title));
        let indent = " ".repeat(name_width + 2);
        out.push_str(&format!("{indent}{}\n", style.paint(&setting(point), Look::Dim)));
    }
    out
}

/// One column for each model.
pub(super) fn block(points: &[Point<'_>]) -> Grid {
    let names: Vec<&str> = points.iter().map(|point| point.name).collect();
    let mut grid = Grid::new("", &names);
    let mut row = |label: &str, look: Look, text: &dyn Fn(&Summary) -> String| {
        let cells = points.iter().map(|point| Cell::new(text(point.summary), look));
        grid.row(std::iter::once(Cell::from(label)).chain(cells));
    };
    let estimate = |path: &'static str, unit: Unit| {
        move |summary: &Summary| show::estimate(&summary.estimate(path), unit)
    };
    let of_the_ended = |path: &'static str, unit: Unit| {
        move |summary: &Summary| {
            let text = show::estimate(&summary.estimate(path), unit);
            if summary.is_growing() { format!("{text}*") } else { text }
        }
    };
    row("wanted, if none waits", Look::Dim, &|summary| {
        show::value(summary.saturation.load_rate_per_s, Unit::PerSecond)
    });
    row("offered", Look::Usual, &estimate("offered_per_s", Unit::PerSecond));
    row("served", Look::Usual, &estimate("throughput_per_s", Unit::PerSecond));
    row("latency mean", Look::Bold, &of_the_ended("latency_s.mean", Unit::Seconds));
    row("latency p95", Look::Bold, &of_the_ended("latency_s.p95", Unit::Seconds));
    row("latency p99", Look::Bold, &of_the_ended("latency_s.p99", Unit::Seconds));
    row("failed", Look::Usual, &of_the_ended("failed_ratio", Unit::Ratio));
    for slug in kinds_of_failure(points) {
        let path = format!("failed_by_kind_ratio.{slug}");
        row(&format!("  {slug}"), Look::Dim, &|summary| {
            show::estimate(&summary.estimate(&path), Unit::Ratio)
        });
    }
    for (place, label) in ["gives first", "then"].into_iter().enumerate() {
        let bearing = |summary: &Summary| summary.saturation.order.get(place).cloned();
        row(label, Look::Usual, &|summary| {
            bearing(summary).map_or(show::NOTHING.into(), |it| it.component)
        });
        row("  full at wanted", Look::Dim, &|summary| {
            bearing(summary).map_or(show::NOTHING.into(), |it| {
                if it.has_level() { show::factor(it.load_factor.at_100) } else { "now".into() }
            })
        });
    }
    if points.iter().any(|point| !point.summary.costs.is_empty()) {
        row("cost a month", Look::Usual, &estimate("cost_month", Unit::Dollars));
        row("  per million ok", Look::Dim, &|summary| {
            show::optional(summary.estimate("cost_per_million_ok").estimate, Unit::Dollars)
        });
    }
    if points.iter().any(|point| !point.summary.verdicts.is_empty()) {
        row("objectives", Look::Usual, &|summary| {
            let met = summary.verdicts.iter().filter(|verdict| verdict.met).count();
            match summary.verdicts.len() {
                0 => "none".into(),
                all if met == all => "met".into(),
                all => format!("{} of {all} not met", all - met),
            }
        });
    }
    grid
}

/// The kinds of failure that happened anywhere, the most frequent first.
fn kinds_of_failure(points: &[Point<'_>]) -> Vec<String> {
    let mut kinds: Vec<(String, f64)> = Vec::new();
    for (slug, share) in points.iter().flat_map(|point| failures(point.summary)) {
        let share = share.estimate.unwrap_or(0.0);
        match kinds.iter_mut().find(|(known, _)| *known == slug) {
            Some((_, most)) => *most = most.max(share),
            None => kinds.push((slug, share)),
        }
    }
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1));
    kinds.into_iter().map(|(slug, _)| slug).collect()
}

/// The differences from the first, a column for each further model.
fn differing(first: &str, differences: &[(&str, Vec<Difference>)], most: usize) -> Vec<Grid> {
    differences.chunks(most).map(|part| differing_block(first, part)).collect()
}

pub(super) fn differing_block(first: &str, differences: &[(&str, Vec<Difference>)]) -> Grid {
    let names: Vec<&str> = differences.iter().map(|(name, _)| *name).collect();
    let mut grid = Grid::new(&format!("Against {first}"), &names);
    let labels = [
        ("latency_mean_s", "latency mean"),
        ("latency_p95_s", "latency p95"),
        ("latency_p99_s", "latency p99"),
        ("throughput_per_s", "served"),
        ("failed_ratio", "failed"),
        ("cost_month", "cost a month"),
    ];
    for (metric, label) in labels {
        let cells = differences.iter().map(|(_, list)| {
            let found = list.iter().find(|it| it.metric == metric);
            found.map_or(Cell::from(show::NOTHING), |it| {
                let low = it.difference.low.unwrap_or(f64::NEG_INFINITY);
                let high = it.difference.high.unwrap_or(f64::INFINITY);
                // An interval that covers zero is no difference that could be relied on.
                let look = if low <= 0.0 && high >= 0.0 { Look::Dim } else { Look::Usual };
                Cell::new(show::difference(&it.difference, it.unit), look)
            })
        });
        grid.row(std::iter::once(Cell::from(label)).chain(cells));
    }
    grid
}

fn remarks(points: &[Point<'_>], style: Style) -> String {
    let mut out = String::new();
    if points.iter().any(|point| point.summary.is_growing()) {
        out.push_str("* of those that ended: more come than end\n");
    }
    for point in points {
        let text = warnings(point.summary, style);
        if !text.is_empty() {
            out.push_str(&format!("{}\n{text}", style.paint(point.name, Look::Bold)));
        }
    }
    out
}

fn audits(points: &[Point<'_>], style: Style) -> String {
    let checks: u64 = points.iter().map(|point| point.summary.checks).sum();
    let broken: Vec<String> = points
        .iter()
        .flat_map(|point| {
            point.summary.broken.iter().map(move |what| format!("  {}: {what}\n", point.name))
        })
        .collect();
    let checks = show::value(checks as f64, Unit::Count);
    if broken.is_empty() {
        return format!("audit: all {checks} checks hold\n");
    }
    let line = format!("audit: {} of {checks} checks are broken", broken.len());
    format!("{}\n{}", style.paint(&line, Look::Bad), broken.concat())
}
