//! Values in words, and the sentence of why, made from what a run has measured.

use super::bench::{Bench, Ran, Sought};
use super::evaluate::Setting;
use super::expression::{Call, Expression, Formula, Needs};
use super::file::Counted;
use super::load::all_calls;
use crate::result::{Bearing, Estimate, Summary};
use crate::units::{Bytes, Duration, Quantity, Ratio, show_number};

/// A value with its unit: `4,980 users`, `12.3 ms`, `85 %`.
pub fn show(value: f64, unit: Counted) -> String {
    if value.is_nan() {
        return "-".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "never".into() } else { "-".into() };
    }
    match unit {
        Counted::Users => format!("{} users", show_number(value.round())),
        Counted::PerSecond => format!("{}/s", show_number(value)),
        Counted::Seconds if value < 0.0 => format!("-{}", seconds(-value)),
        Counted::Seconds => seconds(value),
        Counted::Share => percent(value),
        Counted::Times => format!("{}x", show_number(value)),
        Counted::Count => show_number(value),
        Counted::Dollars if value < 0.0 => format!("-${}", show_number(-value)),
        Counted::Dollars => format!("${}", show_number(value)),
        Counted::Bytes => Bytes(value).show(),
    }
}

fn seconds(value: f64) -> String {
    match value {
        // Simulated time ends after 213 days; documents go on.
        long if long > 1e7 => format!("{} days", show_number(long / 86_400.0)),
        value => Duration::from_secs_f64(value).show(),
    }
}

fn percent(value: f64) -> String {
    Ratio(value).show().replace('%', " %").replace("  ", " ")
}

/// An estimate with half of its interval: `4,980 ±60 users`.
pub fn show_estimate(estimate: &Estimate, unit: Counted) -> String {
    let Some(centre) = estimate.estimate else { return "-".into() };
    let text = show(centre, unit);
    match estimate.half_width().filter(|half| half.is_finite() && *half > 1e-3 * centre.abs()) {
        Some(half) => format!("{text} ± {}", show(half, unit)),
        None => text,
    }
}

/// A claimed value or range.
pub fn show_claimed(low: f64, high: f64, unit: Counted) -> String {
    if low == high {
        return show(low, unit);
    }
    let (low, high) = (show(low, unit), show(high, unit));
    let tail = |text: &str| text.rsplit(' ').next().map(String::from);
    match (tail(&low), tail(&high)) {
        (Some(a), Some(b)) if a == b && low.contains(' ') => {
            format!("{}-{high}", low.strip_suffix(&a).unwrap_or(&low).trim_end())
        }
        _ => format!("{low}-{high}"),
    }
}

/// The formula with what its calls came to.
pub fn worked(formula: &Formula, setting: &Setting<'_>, bench: &Bench<'_>) -> String {
    if matches!(formula.expression, Expression::Number(_)) {
        return String::new();
    }
    let mut parts: Vec<String> = Vec::new();
    let mut add = |part: String| {
        if !parts.contains(&part) {
            parts.push(part);
        }
    };
    for word in formula.names() {
        if let Ok(value) = setting.value(&named(word.text.clone()), bench) {
            add(format!("{} = {}", word.text, show_number(value.centre())));
        }
    }
    let is_bare = matches!(formula.expression, Expression::Call(_));
    for call in all_calls(formula, setting.given) {
        if call.function.needs == Needs::Nothing || is_bare {
            continue;
        }
        if let Ok(value) = setting.call(call, bench) {
            add(format!("{} = {}", written(call), show_number(value.centre())));
        }
    }
    match parts.is_empty() {
        true => formula.text.clone(),
        false => format!("{}, where {}", formula.text, parts.join(", ")),
    }
}

fn named(text: String) -> Formula {
    let word = super::expression::Word { text: text.clone(), place: Default::default() };
    Formula { expression: Expression::Name(word), text, place: Default::default() }
}

fn written(call: &Call) -> String {
    let mut words: Vec<String> = call.words().iter().map(|it| it.to_string()).collect();
    let values = call.arguments.iter().skip(call.function.words);
    words.extend(values.map(|it| match it {
        Expression::Number(value) => show_number(*value),
        _ => "…".into(),
    }));
    format!("{}({})", call.function.name, words.join(", "))
}

/// One sentence of why a value is what it is, from what was measured; the arithmetic where nothing was.
pub fn why(formula: &Formula, setting: &Setting<'_>, bench: &Bench<'_>) -> String {
    for call in all_calls(formula, setting.given) {
        let Some(point) = call.scenario().and_then(|it| setting.points.get(it.text.as_str()))
        else {
            continue;
        };
        let alike = point.stands_for;
        let sentence = match call.function.needs {
            Needs::Capacity => bench.sought(point).map(|it| of_capacity(it, alike)),
            Needs::Run => bench.ran(point).map(|it| of_run(it, alike)),
            _ => None,
        };
        if let Some(sentence) = sentence.filter(|it| !it.is_empty()) {
            return sentence;
        }
    }
    worked(formula, setting, bench)
}

/// What limits a capacity, of so many alike.
pub fn of_capacity(sought: &Sought, alike: u32) -> String {
    let mut parts = Vec::new();
    match sought.limits.first() {
        _ if !sought.bounded && sought.loads.iter().all(|load| *load > 0.0) => {
            parts.push("no load that was tried is too large".to_string());
        }
        Some((limit, count)) => {
            parts.push(format!(
                "above it `{limit}` fails in {count} of {} replications",
                sought.loads.len()
            ));
        }
        None => {}
    }
    if !sought.bounded && sought.loads.contains(&0.0) {
        parts.push("some replications meet the objectives at no load".into());
    }
    parts.extend(first_to_give(&sought.at, alike));
    parts.extend(slowest(&sought.at));
    parts.join("; ")
}

/// What a run shows, of one of so many alike.
pub fn of_run(ran: &Ran, alike: u32) -> String {
    let mut parts = Vec::new();
    parts.extend(failures(&ran.summary));
    parts.extend(first_to_give(&ran.summary, alike));
    parts.extend(slowest(&ran.summary));
    parts.join("; ")
}

/// The share of requests that fail, and how most of them do.
fn failures(summary: &Summary) -> Option<String> {
    let failed = summary.estimate("failed_ratio").estimate.filter(|it| *it >= 0.001)?;
    let kinds = summary.overall.measures.iter().filter_map(|measure| {
        let kind = measure.metric.path.strip_prefix("failed_by_kind_ratio.")?;
        Some((kind, measure.estimate.estimate?))
    });
    let (kind, share) = kinds.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let most = if share > 0.99 * failed { "all" } else { "most" };
    Some(format!("{} of requests fail, {most} as `{kind}`", percent(failed)))
}

/// What fills up as load grows, in order; a guard that no request passes does not.
pub fn levels(summary: &Summary) -> impl Iterator<Item = &Bearing> {
    let passed = |it: &&Bearing| {
        let guard = summary.component(&it.component).filter(|_| it.kind == "guard");
        guard.is_none_or(|guard| guard.estimate("arrivals").estimate.is_some_and(|it| it > 0.0))
    };
    summary.saturation.order.iter().filter(|it| it.has_level()).filter(passed)
}

/// What is full first, and at which load of all that are alike.
fn first_to_give(summary: &Summary, alike: u32) -> Option<String> {
    let first = levels(summary).next()?;
    let load = match first.users {
        Some(users) => format!("{} users", show_number(round(users.at_100 * f64::from(alike)))),
        None => format!("{}/s", show_number(round(first.rate_per_s.at_100 * f64::from(alike)))),
    };
    let now = if first.saturated_now { "is at its limit now" } else { "gives first" };
    Some(format!("{} {now}, full from {load} on", first.component))
}

/// Where the slowest requests spend their time.
fn slowest(summary: &Summary) -> Option<String> {
    let times = &summary.attribution;
    let longest = |a: &&crate::result::TimePart, b: &&crate::result::TimePart| {
        a.slowest_s().total_cmp(&b.slowest_s())
    };
    let part = times.parts.iter().max_by(longest)?;
    let share = part.slowest_s() / times.slowest_s;
    if !(share.is_finite() && times.slowest_s > 0.0) {
        return None;
    }
    let doing = match part.wait_slowest_s > part.service_slowest_s {
        true => "waiting at",
        false => "being served at",
    };
    Some(format!(
        "the slowest 1 % spend {} of {} {doing} {}",
        percent(share.min(1.0)),
        seconds(times.slowest_s),
        part.component
    ))
}

/// Three digits: more would pretend to know.
pub fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let magnitude = libm::floor(libm::log10(value.abs())) as i32;
    let step = libm::pow(10.0, f64::from(magnitude - 2));
    (value / step).round() * step
}

/// The components in the order in which they reach their limits, each with the load at which it does.
pub fn order(summary: &Summary) -> Vec<(String, f64)> {
    let load = |it: &Bearing| it.users.map_or(it.rate_per_s.at_100, |it| it.at_100);
    levels(summary).map(|it| (it.component.clone(), load(it))).collect()
}
