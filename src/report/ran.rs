//! The result of one model, for people: verdict first, evidence after.

use std::path::Path;

use super::Point;
use super::layout::{Cell, Grid, Look, Style, wrap};
use super::show::{self, NOTHING};
use super::spark::courses;
use crate::model::Workload;
use crate::result::metric::{Fold, Unit};
use crate::result::{Bearing, ClosedForm, Estimate, Saturation, Subject, Summary, Verdict};
use crate::units::{Quantity, Ratio};

/// Where the files of a result are, and how to make it again.
pub struct Written<'a> {
    /// The folder, if files were written.
    pub folder: Option<&'a Path>,
    /// What to type to get the same result.
    pub again: &'a str,
}

/// The result of one model as text of at most 100 columns.
pub fn ran(point: &Point<'_>, written: &Written<'_>, style: Style) -> String {
    let summary = point.summary;
    let sections = [
        head(point, style),
        verdicts(summary, style),
        warnings(summary, style),
        over_time(point, style),
        requests(summary).render(style),
        moved(summary),
        latency(summary).render(style),
        rendered(&operations(summary), style),
        rendered(&components(summary), style),
        attributed(summary, style),
        rendered(&growth(&summary.saturation), style),
        beside(summary, style),
        super::monitored::text(summary, style),
        costs(summary, style),
        foot(summary, written, style),
    ];
    let sections: Vec<String> = sections.into_iter().filter(|text| !text.is_empty()).collect();
    sections.join("\n")
}

/// The course as rows of little bars; only where somebody looks at a screen.
fn over_time(point: &Point<'_>, style: Style) -> String {
    match style {
        Style::Plain => String::new(),
        Style::Drawn | Style::Coloured => rendered(&courses(point), style),
    }
}

fn rendered(grid: &Grid, style: Style) -> String {
    if grid.is_empty() { String::new() } else { grid.render(style) }
}

fn head(point: &Point<'_>, style: Style) -> String {
    let title = if point.summary.title.is_empty() { point.name } else { &point.summary.title };
    format!("{}\n{}\n", style.paint(title, Look::Bold), style.paint(&setting(point), Look::Dim))
}

/// Who comes, for how long, how often.
pub(super) fn setting(point: &Point<'_>) -> String {
    let (model, summary) = (point.model, point.summary);
    let who = match &model.workload {
        Workload::Closed { think, population, .. } => format!(
            "{} users thinking {}",
            show::value(population.at(model.plan.warmup), Unit::Count),
            show::value(model.laws[*think].mean, Unit::Seconds)
        ),
        Workload::Open { rate, .. } => {
            format!("arrivals at {}", show::value(rate.at(model.plan.warmup), Unit::PerSecond))
        }
        Workload::Recorded(recording) => {
            let count = show::value(recording.len() as f64, Unit::Count);
            format!("{count} recorded requests")
        }
    };
    let count = summary.replications.len();
    format!(
        "{who}; {count} replication{} of {} after {}; seed {}; intervals at {}",
        if count == 1 { "" } else { "s" },
        summary.duration.show(),
        summary.warmup.show(),
        summary.seed,
        Ratio(summary.confidence).show(),
    )
}

fn verdicts(summary: &Summary, style: Style) -> String {
    let mut out = String::new();
    if !summary.verdicts.is_empty() {
        let (word, look) = match summary.is_met() {
            true => ("Objectives met", Look::Good),
            false => ("Objectives not met", Look::Bad),
        };
        let mut grid = Grid::new("", &[]).left(3);
        for verdict in &summary.verdicts {
            grid.row(verdict_row(summary, verdict));
        }
        out.push_str(&style.paint(word, look));
        out.push('\n');
        out.push_str(grid.render(style).trim_start_matches('\n'));
    }
    for line in bearing_lines(&summary.saturation) {
        out.push_str(&wrap(&line, 15));
        out.push('\n');
    }
    out
}

pub(super) fn verdict_row(summary: &Summary, verdict: &Verdict) -> Vec<Cell> {
    let (mark, look) = if verdict.met { ("met", Look::Good) } else { ("not met", Look::Bad) };
    let mut remark = show::estimate(&verdict.value, unit_of(summary, verdict));
    if verdict.value.estimate.is_none() {
        remark = "nothing was measured".into();
    } else if verdict.growing {
        remark.push_str(" of those that ended; more come than end");
    } else if !verdict.certain && verdict.value.low.is_some() {
        remark.push_str(" (too close to be certain)");
    }
    vec![Cell::from(verdict.objective.as_str()), Cell::new(mark, look), Cell::from(remark)]
}

fn unit_of(summary: &Summary, verdict: &Verdict) -> Unit {
    let of_whole = summary.overall.measures.iter().find(|it| it.metric.name() == verdict.metric);
    of_whole.map_or(Unit::Ratio, |measure| measure.metric.unit)
}

/// What gives first, and what next.
pub(super) fn bearing_lines(saturation: &Saturation) -> Vec<String> {
    let mut lines = Vec::new();
    let words = ["Gives first", "then", "then"];
    for (word, bearing) in words.iter().zip(&saturation.order) {
        lines.push(format!("{word:<13}  {}: {}", bearing.component, bearing_words(bearing)));
    }
    lines
}

/// From here on a component's parts are worth telling apart.
const UNEVEN: f64 = 1.1;

/// Where a component stands: what it does now, and at which load it is full.
pub(super) fn bearing_words(bearing: &Bearing) -> String {
    let mut words = Vec::new();
    if bearing.saturated_now && bearing.turned_away_ratio > 0.0 {
        let away = show::value(bearing.turned_away_ratio, Unit::Ratio);
        words.push(format!("turns away {away} of what comes to it"));
    }
    if bearing.has_level() {
        let busy = show::value(bearing.utilisation_ratio, Unit::Ratio);
        let what = if bearing.kind == "guard" { "of its limit" } else { "busy" };
        // Full, though its own work would not fill it: what holds it waits for something else.
        let held_up = bearing.saturated_now && bearing.load_factor.at_100 > 1.0;
        let alone = if held_up { "by its own work " } else { "" };
        let what = match bearing.imbalance_ratio {
            even if even < UNEVEN => what.to_string(),
            uneven => {
                let mean = show::value(bearing.utilisation_ratio / uneven, Unit::Ratio);
                format!("{what} in its busiest part ({mean} on average)")
            }
        };
        words.push(format!("{busy} {what} now, {alone}full at {}", full_at(bearing)));
    }
    words.join(", ")
}

/// The load at which a component is full, in words.
pub(super) fn full_at(bearing: &Bearing) -> String {
    let times = show::factor(bearing.load_factor.at_100);
    match bearing.users {
        Some(users) => format!("{times} this load ({} users)", show::users(users.at_100)),
        None => format!("{times} this load ({}/s)", show::users(bearing.rate_per_s.at_100)),
    }
}

pub(super) fn requests(summary: &Summary) -> Grid {
    let mut grid = Grid::new("Requests", &["a second", "share", "in all"]);
    let count = |path: &str| show::optional(summary.estimate(path).estimate, Unit::Count);
    let rate = |path: &str| show::estimate(&summary.estimate(path), Unit::PerSecond);
    let offered = [rate("offered_per_s"), String::new(), count("requests.offered")];
    grid.row(std::iter::once("offered".into()).chain(offered.map(Cell::from)));
    let failed = summary.estimate("failed_ratio");
    let ok = Estimate {
        estimate: failed.estimate.map(|it| 1.0 - it),
        low: failed.high.map(|it| 1.0 - it),
        high: failed.low.map(|it| 1.0 - it),
    };
    let ok = [rate("throughput_per_s"), show::estimate(&ok, Unit::Ratio), count("requests.ok")];
    grid.row(std::iter::once("ok".into()).chain(ok.map(Cell::from)));
    let failures = failures(summary);
    if !failures.is_empty() {
        let look = Look::Bad;
        let all: f64 = failures
            .iter()
            .filter_map(|(slug, _)| summary.estimate(&format!("requests.failed.{slug}")).estimate)
            .sum();
        let cells = [
            "failed".into(),
            rate("failed_per_s"),
            show::estimate(&failed, Unit::Ratio),
            show::value(all, Unit::Count),
        ];
        grid.row(cells.map(|text: String| Cell::new(text, look)));
        for (slug, share) in failures {
            grid.row([
                Cell::from(format!("  {slug}")),
                Cell::default(),
                Cell::from(show::estimate(&share, Unit::Ratio)),
                Cell::from(count(&format!("requests.failed.{slug}"))),
            ]);
        }
    }
    grid
}

/// The kinds of failure that happened, the most frequent first, each with its share.
pub(super) fn failures(summary: &Summary) -> Vec<(String, Estimate)> {
    let mut found: Vec<(String, Estimate)> = summary
        .overall
        .measures
        .iter()
        .filter_map(|measure| {
            let slug = measure.metric.path.strip_prefix("failed_by_kind_ratio.")?;
            Some((slug.to_string(), measure.estimate))
        })
        .collect();
    let share = |of: &Estimate| of.estimate.unwrap_or(0.0);
    found.sort_by(|a, b| share(&b.1).total_cmp(&share(&a.1)));
    found
}

pub(super) fn latency(summary: &Summary) -> Grid {
    let mut grid = Grid::new("Latency", &["users saw", "interval", "one attempt", "if it failed"]);
    for name in ["mean", "p50", "p90", "p95", "p99", "p999", "max"] {
        let seen = summary.estimate(&format!("latency_s.{name}"));
        let value = |head: &str| {
            show::optional(summary.estimate(&format!("{head}.{name}")).estimate, Unit::Seconds)
        };
        let label = if name == "p999" { "p99.9" } else { name };
        grid.row([
            Cell::from(label),
            Cell::from(show::optional(seen.estimate, Unit::Seconds)),
            Cell::new(show::interval(&seen, Unit::Seconds), Look::Dim),
            Cell::from(value("attempt_latency_s")),
            Cell::from(value("failed_latency_s")),
        ]);
    }
    grid
}

pub(super) fn operations(summary: &Summary) -> Grid {
    let columns = ["offered", "failed", "mean", "p50", "p95", "p99"];
    let mut grid = Grid::new("Operations", &columns);
    if summary.operations.len() < 2 {
        return grid;
    }
    for operation in &summary.operations {
        let seconds = |path: &str| cell(operation, path, Unit::Seconds);
        grid.row([
            Cell::from(operation.path.as_str()),
            cell(operation, "offered_per_s", Unit::PerSecond),
            cell(operation, "failed_ratio", Unit::Ratio),
            seconds("latency_s.mean"),
            seconds("latency_s.p50"),
            seconds("latency_s.p95"),
            seconds("latency_s.p99"),
        ]);
    }
    grid
}

fn cell(subject: &Subject, path: &str, unit: Unit) -> Cell {
    Cell::from(show::optional(subject.estimate(path).estimate, unit))
}

/// From these utilisations on, queues grow quickly: they stand out.
const BUSY: f64 = 0.75;
const FULL: f64 = 0.95;

pub(super) fn components(summary: &Summary) -> Grid {
    let columns =
        ["busy", "capacity", "utilised", "waiting", "wait mean", "wait p95", "turned away", "hits"];
    let mut grid = Grid::new("Components", &columns);
    for component in &summary.components {
        if matches!(component.kind, "network" | "client") || is_idle(component) {
            continue;
        }
        let utilised = component.estimate("utilisation_ratio").estimate;
        let look = match utilised {
            Some(share) if share >= FULL => Look::Bad,
            Some(share) if share >= BUSY => Look::Doubtful,
            _ => Look::Usual,
        };
        grid.row([
            Cell::from(component.path.as_str()),
            cell(component, "busy", Unit::Count),
            cell(component, "capacity", Unit::Count),
            Cell::new(show::optional(utilised, Unit::Ratio), look),
            cell(component, "waiting", Unit::Count),
            cell(component, "wait_s.mean", Unit::Seconds),
            cell(component, "wait_s.p95", Unit::Seconds),
            cell(component, "turned_away_ratio", Unit::Ratio),
            cell(component, "hit_ratio", Unit::Ratio),
        ]);
    }
    grid
}

/// Nothing ever happened at it.
fn is_idle(component: &Subject) -> bool {
    component.measures.iter().all(|measure| {
        let quiet = matches!(measure.metric.path.as_str(), "capacity" | "held" | "held_peak");
        quiet
            || measure.estimate.estimate == Some(0.0)
            || (measure.metric.fold == Fold::Mean && measure.estimate.estimate.is_none())
    })
}

/// Parts below this share of the time, of all and of the slowest, are summed up.
const SMALL: f64 = 0.01;

pub(super) fn attribution(summary: &Summary) -> Grid {
    let found = &summary.attribution;
    let columns = ["wait", "service", "share", "wait, slowest 1 %", "service", "share"];
    let mut grid = Grid::new("Where the time goes", &columns);
    if found.requests == 0 {
        return grid;
    }
    let mut row = |name: &str, times: [f64; 4]| {
        let [wait, service, slow_wait, slow_service] = times;
        let seconds = |value: f64| match value {
            0.0 => Cell::from(NOTHING),
            _ => Cell::from(show::value(value, Unit::Seconds)),
        };
        let share = |part: f64, whole: f64| {
            let share = if whole > 0.0 { part / whole } else { 0.0 };
            Cell::new(format!("{:.0} %", 100.0 * share), Look::Bold)
        };
        grid.row([
            Cell::from(name),
            seconds(wait),
            seconds(service),
            share(wait + service, found.mean_s),
            seconds(slow_wait),
            seconds(slow_service),
            share(slow_wait + slow_service, found.slowest_s),
        ]);
    };
    let mut rest = [0.0; 4];
    for part in &found.parts {
        let times =
            [part.wait_mean_s, part.service_mean_s, part.wait_slowest_s, part.service_slowest_s];
        let is_small =
            part.mean_s() < SMALL * found.mean_s && part.slowest_s() < SMALL * found.slowest_s;
        if is_small {
            for (sum, time) in rest.iter_mut().zip(times) {
                *sum += time;
            }
        } else {
            row(&part.component, times);
        }
    }
    if rest.iter().any(|time| *time > 0.0) {
        row("the others", rest);
    }
    grid
}

/// What the shares of the attribution are shares of.
fn attributed(summary: &Summary, style: Style) -> String {
    let grid = attribution(summary);
    if grid.is_empty() {
        return String::new();
    }
    let found = &summary.attribution;
    let (mean, slowest) = (found.mean_s, found.slowest_s);
    format!(
        "{}  shares of {} on average, and of {} for the slowest 1 %\n",
        grid.render(style),
        show::value(mean, Unit::Seconds),
        show::value(slowest, Unit::Seconds)
    )
}

/// Components that need more than this many times the load to fill up are not told.
const FAR: f64 = 1_000.0;

pub(super) fn growth(saturation: &Saturation) -> Grid {
    let users = saturation.load_users.is_some();
    let columns =
        ["now", "75 % at", "85 % at", "95 % at", "full at", if users { "users" } else { "rate" }];
    let mut grid = Grid::new("As load grows", &columns);
    let levels = saturation.order.iter().filter(|it| it.load_factor.at_75 < FAR);
    for bearing in levels.filter(|it| it.has_level()) {
        let reached = bearing.load_factor;
        let at = |level: f64, factor: f64| match bearing.utilisation_ratio >= level {
            true => Cell::new("now", Look::Bad),
            false => Cell::from(show::factor(factor)),
        };
        let most = match bearing.users {
            Some(users) => show::users(users.at_100),
            None => format!("{}/s", show::users(bearing.rate_per_s.at_100)),
        };
        grid.row([
            Cell::from(bearing.component.as_str()),
            Cell::from(show::value(bearing.utilisation_ratio, Unit::Ratio)),
            at(0.75, reached.at_75),
            at(0.85, reached.at_85),
            at(0.95, reached.at_95),
            at(1.0, reached.at_100),
            Cell::from(most),
        ]);
    }
    grid
}

/// A simulated value this many times the formula's, or the other way, stands out.
const SURPRISING: f64 = 1.5;
/// Waits below this (s) surprise nobody.
const NEGLIGIBLE_S: f64 = 0.001;

/// What closed forms say of the same.
pub(super) fn closed_forms(summary: &Summary) -> Grid {
    let mut grid = Grid::new("Beside closed forms", &["simulated", "formula", "of"]);
    for found in &summary.closed_forms {
        let (what, unit) = match found.metric {
            "throughput_per_s" => ("throughput", Unit::PerSecond),
            "latency_s.mean" => ("mean latency", Unit::Seconds),
            "turned_away_ratio" => ("turned away", Unit::Ratio),
            "utilisation_ratio" => ("busy", Unit::Ratio),
            _ => ("mean wait", Unit::Seconds),
        };
        let name = match found.component.as_str() {
            "all" => what.to_string(),
            path => format!("{path}: {what}"),
        };
        let (low, high) = (found.low, found.high);
        let formula = match high {
            _ if !found.is_bound() => show::value(low, unit),
            Some(high) => format!("at most {}", show::value(high, unit)),
            None => format!("at least {}", show::value(low, unit)),
        };
        grid.row([
            Cell::from(name),
            Cell::new(
                show::estimate(&found.simulated, unit),
                if is_surprising(found) { Look::Doubtful } else { Look::Usual },
            ),
            Cell::from(formula),
            Cell::from(found.model.as_str()),
        ]);
    }
    grid
}

/// How to read it.
pub(super) const CLOSED_FORMS_MEAN: &str = "each part by itself, with Poisson arrivals at the rate and the \
     service time that were measured; what differs is what the formula leaves out";

fn beside(summary: &Summary, style: Style) -> String {
    let grid = closed_forms(summary);
    if grid.is_empty() {
        return String::new();
    }
    let meaning = wrap(&format!("  {CLOSED_FORMS_MEAN}"), 2);
    grid.render(style) + &meaning + "\n"
}

fn is_surprising(found: &ClosedForm) -> bool {
    let Some(simulated) = found.simulated.estimate else { return false };
    if found.is_bound() {
        let (least, most) =
            (found.simulated.high.unwrap_or(simulated), found.simulated.low.unwrap_or(simulated));
        return least < found.low || found.high.is_some_and(|high| most > high);
    }
    let (less, more) = (simulated.min(found.low), simulated.max(found.low));
    more > NEGLIGIBLE_S && more > SURPRISING * less
}

pub(super) fn bill(summary: &Summary) -> Grid {
    let mut grid = Grid::new("Cost", &["a month"]);
    for line in &summary.costs {
        let price = show::value(line.dollars_month, Unit::Dollars);
        grid.row([Cell::from(line.of.as_str()), Cell::from(price)]);
    }
    if !summary.costs.is_empty() {
        let whole = show::estimate(&summary.estimate("cost_month"), Unit::Dollars);
        grid.row([Cell::from("in all"), Cell::new(whole, Look::Bold)]);
    }
    grid
}

/// When DNS took services for down, and who went elsewhere.
fn moved(summary: &Summary) -> String {
    let mut out = String::new();
    let marks = summary.faults.iter().filter(|it| it.name == "dns" && it.replication == 0);
    for mark in marks {
        let seconds = |at: f64| show::value(at, Unit::Seconds);
        let until = mark.until_s.map_or("the end".into(), seconds);
        let users = show::value(f64::from(mark.units), Unit::Count);
        let what = mark.what.trim_start_matches("dns ");
        let text = format!(
            "DNS {what} from {} to {until} into the run: {users} users went elsewhere",
            seconds(mark.from_s)
        );
        out.push_str(&wrap(&text, 2));
        out.push('\n');
    }
    out
}

pub(super) fn costs(summary: &Summary, style: Style) -> String {
    if summary.costs.is_empty() {
        return String::new();
    }
    let mut text = bill(summary).render(style);
    if let Some(price) = summary.estimate("cost_per_million_ok").estimate {
        let price = show::value(price, Unit::Dollars);
        text.push_str(&format!("  {price} for a million requests that end well\n"));
    }
    text
}

/// What a reader must know, a line or two each.
pub(super) fn warnings(summary: &Summary, style: Style) -> String {
    let mut out = String::new();
    for warning in &summary.warnings {
        let text = wrap(&format!("warning: {}", warning.message), 9);
        out.push_str(&style.paint("warning", Look::Doubtful));
        out.push_str(text.trim_start_matches("warning"));
        out.push('\n');
    }
    out
}

fn foot(summary: &Summary, written: &Written<'_>, style: Style) -> String {
    let audit = match summary.broken.len() {
        0 => format!("audit: all {} checks hold", show::value(summary.checks as f64, Unit::Count)),
        count => {
            let broken = format!("audit: {count} of {} checks are broken", summary.checks);
            style.paint(&broken, Look::Bad)
        }
    };
    let events = show::value(summary.events as f64, Unit::Count);
    let mut out = format!("{audit}; {events} events; digest {}\n", summary.digest_text());
    for what in &summary.broken {
        out.push_str(&format!("  {what}\n"));
    }
    out + &origin(written)
}

/// Where the files are, and how to make them again.
pub(super) fn origin(written: &Written<'_>) -> String {
    let mut out = String::new();
    if let Some(folder) = written.folder {
        out.push_str(&format!("files: {}\n", folder.display()));
    }
    out.push_str(&format!("again: {}\n", written.again));
    out
}
