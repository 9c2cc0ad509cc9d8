//! What formulas come to: a value for each replication, so that intervals follow.

use std::collections::BTreeMap;

use super::bench::{Bench, Point, Prepared, Ran};
use super::expression::{Call, Expression, Formula, Needs, Operator, si};
use crate::model::demand::demand;
use crate::model::ids::StationId;
use crate::model::{Model, Workload};
use crate::result::{Bearing, Estimate, Fold, Subject, metric};
use crate::run::Window;
use crate::theory::{Mmc, erlang_b, erlang_c, ttl_hit_ratio};
use crate::topology::{Named, Value};

/// What a formula comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// The same whatever happens.
    Fixed(f64),
    /// One value for each replication; not a number where there was nothing to measure.
    Each(Vec<f64>),
}

impl Sample {
    /// The mean with its interval.
    pub fn estimate(&self, confidence: f64) -> Estimate {
        match self {
            Sample::Fixed(value) => Estimate::exact(*value),
            Sample::Each(values) => {
                let known = |value: &f64| (!value.is_nan()).then_some(*value);
                let values: Vec<Option<f64>> = values.iter().map(known).collect();
                Estimate::fold(&values, Fold::Mean, confidence, &[])
            }
        }
    }
    /// One number for it.
    pub fn centre(&self) -> f64 {
        self.estimate(0.95).estimate.unwrap_or(f64::NAN)
    }
    fn map(self, of: impl Fn(f64) -> f64) -> Sample {
        match self {
            Sample::Fixed(value) => Sample::Fixed(of(value)),
            Sample::Each(values) => Sample::Each(values.into_iter().map(of).collect()),
        }
    }
    fn with(self, other: Sample, of: impl Fn(f64, f64) -> f64) -> Sample {
        match (self, other) {
            (Sample::Fixed(a), Sample::Fixed(b)) => Sample::Fixed(of(a, b)),
            (Sample::Fixed(a), other) => other.map(|b| of(a, b)),
            (this, Sample::Fixed(b)) => this.map(|a| of(a, b)),
            // Replications of one number met the same luck, so they make pairs.
            (Sample::Each(a), Sample::Each(b)) => {
                Sample::Each(a.into_iter().zip(b).map(|(a, b)| of(a, b)).collect())
            }
        }
    }
}

/// The scenarios and names that formulas are evaluated with.
#[derive(Clone)]
pub struct Setting<'a> {
    /// The point of each scenario.
    pub points: BTreeMap<&'a str, Point>,
    /// Named values of the claim.
    pub given: &'a [Named<Formula>],
    /// Values that stand for named ones.
    pub instead: BTreeMap<String, f64>,
}

/// Why a formula comes to nothing.
pub type Missing = String;

impl Setting<'_> {
    /// What a formula needs to be run and to be searched.
    pub fn needs(&self, formula: &Formula, run: &mut Vec<Point>, seek: &mut Vec<Point>) {
        for call in super::load::all_calls(formula, self.given) {
            let Some(point) = call.scenario().and_then(|it| self.points.get(it.text.as_str()))
            else {
                continue;
            };
            let list = match call.function.needs {
                Needs::Run => &mut *run,
                Needs::Capacity => &mut *seek,
                Needs::Model | Needs::Nothing => continue,
            };
            if !list.contains(point) {
                list.push(point.clone());
            }
        }
    }

    /// What a formula comes to.
    ///
    /// # Errors
    /// If a component, a metric or a key that it names is not there.
    pub fn value(&self, formula: &Formula, bench: &Bench<'_>) -> Result<Sample, Missing> {
        self.of(&formula.expression, bench)
    }

    fn of(&self, expression: &Expression, bench: &Bench<'_>) -> Result<Sample, Missing> {
        Ok(match expression {
            Expression::Number(value) => Sample::Fixed(*value),
            Expression::Name(word) => {
                if let Some(value) = self.instead.get(&word.text) {
                    return Ok(Sample::Fixed(*value));
                }
                let named = self.given.iter().find(|it| it.name == word.text);
                let named = named.ok_or_else(|| format!("nothing is called `{}`", word.text))?;
                self.value(&named.spec, bench)?
            }
            Expression::Negative(inner) => self.of(inner, bench)?.map(|value| -value),
            Expression::Both(left, operator, right) => {
                let (left, right) = (self.of(left, bench)?, self.of(right, bench)?);
                left.with(right, |a, b| apply(*operator, a, b))
            }
            Expression::Call(call) => self.call(call, bench)?,
        })
    }

    /// What a call comes to.
    ///
    /// # Errors
    /// If a component, a metric or a key that it names is not there.
    pub fn call(&self, call: &Call, bench: &Bench<'_>) -> Result<Sample, Missing> {
        let words = call.words();
        let rest = call.arguments.iter().skip(call.function.words);
        let values: Vec<Sample> =
            rest.map(|it| self.of(it, bench)).collect::<Result<_, Missing>>()?;
        let Some(scenario) = call.scenario() else {
            return arithmetic(call.function.name, values);
        };
        let point = self.points.get(scenario.text.as_str());
        let point = point.ok_or_else(|| format!("there is no scenario `{}`", scenario.text))?;
        match call.function.needs {
            Needs::Capacity => {
                let sought = bench.sought(point).ok_or("it was not sought")?;
                Ok(Sample::Each(sought.loads.clone()))
            }
            Needs::Run => {
                let ran = bench.ran(point).ok_or("it was not run")?;
                measured(call.function.name, &words, &values, ran)
            }
            _ => {
                let prepared = bench.prepared(point).ok_or("it was not compiled")?;
                analysed(call.function.name, &words, prepared)
            }
        }
    }
}

fn apply(operator: Operator, a: f64, b: f64) -> f64 {
    match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::Power => libm::pow(a, b),
    }
}

/// Functions of nothing but their arguments.
fn arithmetic(name: &str, mut values: Vec<Sample>) -> Result<Sample, Missing> {
    let whole = |value: f64| value.round().max(0.0) as u32;
    if let "min" | "max" = name {
        let pick = if name == "min" { f64::min } else { f64::max };
        let all = values.into_iter().reduce(|a, b| a.with(b, pick));
        return all.ok_or_else(|| format!("`{name}` of nothing"));
    }
    let mut next = || values.remove(0);
    let first = next();
    Ok(match name {
        "sqrt" => first.map(f64::sqrt),
        "ln" => first.map(libm::log),
        "exp" => first.map(libm::exp),
        "ceil" => first.map(f64::ceil),
        "ttl-hits" => first.map(ttl_hit_ratio),
        "erlang-b" => first.with(next(), |servers, load| erlang_b(whole(servers), load)),
        "erlang-c" => first.with(next(), |servers, load| erlang_c(whole(servers), load)),
        "harmonic" => first.with(next(), |count, exponent| {
            (1..=whole(count)).map(|k| libm::pow(f64::from(k), -exponent)).sum()
        }),
        "moved" => first.with(next(), |a, b| {
            // Of all remainders of a common multiple, those that agree stay.
            let (a, b) = (whole(a).max(1), whole(b).max(1));
            1.0 - f64::from(a.min(b)) / (f64::from(a) * f64::from(b) / f64::from(gcd(a, b)))
        }),
        "wait-mmc" => {
            let (load, service) = (next(), next());
            let wait = |servers: f64, load: f64, service_s: f64| {
                let arrival_rate_per_s = load / service_s;
                Mmc { arrival_rate_per_s, service_s, servers: whole(servers) }.wait_mean_s()
            };
            let centre = (load.centre(), service.centre());
            first.map(|servers| wait(servers, centre.0, centre.1))
        }
        _ => return Err(format!("`{name}` is not known")),
    })
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Functions of a run.
fn measured(name: &str, words: &[&str], values: &[Sample], ran: &Ran) -> Result<Sample, Missing> {
    let number = |index: usize| values.get(index).map_or(f64::NAN, Sample::centre);
    match (name, words) {
        ("of", [_, metric]) => of(&ran.summary.overall, metric, &metric::overall()),
        ("of", [_, subject, metric]) => of_subject(ran, subject, metric),
        ("full", [_, component]) => {
            let share = if values.is_empty() { 1.0 } else { number(0) };
            let bearing = bearing(ran, component)?;
            Ok(Sample::Fixed(load_at_full(bearing) * share))
        }
        ("place", [_, component]) => {
            let own = bearing(ran, component)?.load_factor.at_100;
            let levels = super::words::levels(&ran.summary);
            let before = levels.filter(|it| it.load_factor.at_100 <= own).count();
            Ok(Sample::Fixed(before as f64))
        }
        ("after-first", [_, component]) => {
            let own = bearing(ran, component)?.load_factor.at_100;
            let levels = super::words::levels(&ran.summary);
            let first = levels.map(|it| it.load_factor.at_100).fold(f64::INFINITY, f64::min);
            Ok(Sample::Fixed(own / first))
        }
        ("reaches" | "leaves" | "during" | "highest", [_, subject, series]) => {
            let pick = series_of(ran, subject, series)?;
            let each = ran.timelines.iter().map(|windows| {
                let measured: Vec<&Window> = windows.iter().filter(|it| it.measured).collect();
                over_time(name, &measured, &pick, number(0), number(1))
            });
            Ok(Sample::Each(each.collect()))
        }
        _ => Err(format!("`{name}` is not known")),
    }
}

fn load_at_full(bearing: &Bearing) -> f64 {
    bearing.users.map_or(bearing.rate_per_s.at_100, |users| users.at_100)
}

fn bearing<'a>(ran: &'a Ran, component: &str) -> Result<&'a Bearing, Missing> {
    let order = &ran.summary.saturation.order;
    order.iter().find(|it| it.component == component).ok_or_else(|| {
        let names: Vec<&str> = order.iter().map(|it| it.component.as_str()).collect();
        format!("there is no component `{component}`; there is: {}", names.join(", "))
    })
}

fn of_subject(ran: &Ran, subject: &str, name: &str) -> Result<Sample, Missing> {
    let summary = &ran.summary;
    if subject == "all" {
        return of(&summary.overall, name, &metric::overall());
    }
    let operation = subject.strip_prefix("operation.").unwrap_or(subject);
    if let Some(found) = summary.operations.iter().find(|it| it.path == operation) {
        return of(found, name, &metric::operation());
    }
    let found = summary.component(subject).ok_or_else(|| {
        let names: Vec<&str> = summary.subjects().map(|it| it.path.as_str()).collect();
        format!("there is no `{subject}`; there is: {}", names.join(", "))
    })?;
    of(found, name, &metric::component())
}

fn of(subject: &Subject, name: &str, known: &[metric::Metric]) -> Result<Sample, Missing> {
    let is = |metric: &metric::Metric| metric.name() == name || metric.path == name;
    if let Some(measure) = subject.measures.iter().find(|it| is(&it.metric)) {
        let values = measure.values.iter().map(|value| value.unwrap_or(f64::NAN));
        return Ok(Sample::Each(values.collect()));
    }
    match known.iter().find(|it| is(it)) {
        Some(metric) if metric.sparse => Ok(Sample::Fixed(0.0)),
        Some(_) => Ok(Sample::Fixed(f64::NAN)),
        None => Err(format!("`{}` has no metric `{name}`", subject.path)),
    }
}

type Pick = Box<dyn Fn(&Window) -> Option<f64>>;

/// The series of the whole.
const OVERALL: [&str; 7] =
    ["offered", "ok", "failed", "failed_ratio", "latency_mean_s", "latency_p95_s", "in_flight"];

/// How a series is read off a step of the timeline.
pub fn series_of(ran: &Ran, subject: &str, series: &str) -> Result<Pick, Missing> {
    let per_second =
        |count: u64, window: &Window| count as f64 / window.end.since(window.start).seconds();
    if subject == "all" {
        return Ok(match series {
            "offered" => Box::new(move |it| Some(per_second(it.offered, it))),
            "ok" => Box::new(move |it| Some(per_second(it.ok, it))),
            "failed" => Box::new(move |it| Some(per_second(it.failed, it))),
            "failed_ratio" => Box::new(|it| {
                let ended = it.ok + it.failed;
                (ended > 0).then(|| it.failed as f64 / ended as f64)
            }),
            "latency_mean_s" => Box::new(|it| it.latency_mean_s),
            "latency_p95_s" => Box::new(|it| it.latency_p95_s),
            "in_flight" => Box::new(|it| Some(it.in_flight)),
            _ => return Err(format!("there is no series `{series}`: {}", OVERALL.join(", "))),
        });
    }
    let components = &ran.summary.components;
    let station = components.iter().position(|it| it.path == subject);
    let station = station.ok_or_else(|| format!("there is no component `{subject}`"))?;
    Ok(match series {
        "busy" => Box::new(move |it| Some(it.stations.get(station)?.busy)),
        "waiting" => Box::new(move |it| Some(it.stations.get(station)?.waiting)),
        "held" => Box::new(move |it| Some(it.stations.get(station)?.held)),
        _ => return Err(format!("there is no series `{series}`: busy, waiting, held")),
    })
}

fn over_time(name: &str, windows: &[&Window], pick: &Pick, a: f64, b: f64) -> f64 {
    let Some(first) = windows.first() else { return f64::NAN };
    let after = |at: crate::units::Time| at.since(first.start).seconds();
    let reach = |it: &&&Window| pick(it).is_some_and(|value| value >= a);
    let values = || windows.iter().filter_map(|it| pick(it));
    match name {
        "reaches" => windows.iter().find(reach).map_or(f64::INFINITY, |it| after(it.start)),
        "leaves" => match windows.iter().rev().find(reach) {
            None => 0.0,
            // Still there at the end: it never does, as far as was seen.
            Some(last) if last.end == windows[windows.len() - 1].end => f64::INFINITY,
            Some(last) => after(last.end),
        },
        "during" => {
            let within = windows.iter().filter(|it| after(it.start) >= a && after(it.end) <= b);
            let found: Vec<f64> = within.filter_map(|it| pick(it)).collect();
            found.iter().sum::<f64>() / found.len() as f64
        }
        _ => values().fold(f64::NAN, f64::max),
    }
}

/// Functions of a file that was compiled.
fn analysed(name: &str, words: &[&str], prepared: &Prepared) -> Result<Sample, Missing> {
    let model = &prepared.model;
    if let ("knob", [_, path]) = (name, words) {
        let node = prepared.tree.at(path);
        let value = match node.map(|it| &it.value) {
            Some(Value::Integer(number)) => Some(*number as f64),
            Some(Value::Float(number)) => Some(*number),
            Some(Value::String(text)) => si(text),
            _ => None,
        };
        return value
            .map(Sample::Fixed)
            .ok_or_else(|| format!("`{path}` is no number of the file"));
    }
    let asked = demand(model, None);
    let rate = model.nominal_rate().0;
    let value = match (name, words) {
        ("rate", _) => rate,
        ("response", _) => asked.bounds(model).response_s,
        ("knee", _) => asked.bounds(model).knee_users.unwrap_or(f64::NAN),
        ("users", _) => match &model.workload {
            Workload::Closed { population, .. } => population.at(model.plan.warmup),
            _ => f64::NAN,
        },
        (_, [_, component]) => {
            let id = station(model, component)?;
            match name {
                "demand" => asked.service_s[id],
                "asked" => asked.service_s[id] * rate,
                "servers" => model.stations[id].capacity,
                _ => asked.visits[id],
            }
        }
        _ => return Err(format!("`{name}` is not known")),
    };
    Ok(Sample::Fixed(value))
}

fn station(model: &Model, component: &str) -> Result<StationId, Missing> {
    let found = model.stations.enumerate().find(|(_, it)| it.path == component);
    found.map(|(id, _)| id).ok_or_else(|| {
        let names: Vec<&str> = model.stations.iter().map(|it| it.path.as_str()).collect();
        format!("there is no component `{component}`; there is: {}", names.join(", "))
    })
}
