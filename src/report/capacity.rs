//! The largest load that a deployment carries: for people, as a table, as JSON and its schema.

use serde_json::{Value, json};

use super::Point;
use super::layout::{Cell, Grid, Look, Style, wrap};
use super::ran::{Written, bearing_lines, costs, growth, origin, setting, warnings};
use super::show;
use super::table::{Column, Rows, column, number, optional};
use crate::experiment::capacity::{Answer, AtLoad, Capacity, RESOLUTION};
use crate::model::Workload;
use crate::result::metric::Unit;
use crate::result::{Estimate, RESULTS_VERSION, schema};
use crate::topology::Metric;

/// In what a load is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadOf {
    /// Users of a closed population.
    Users,
    /// Requests a second.
    Rate,
    /// Visits begun a second.
    Visits,
}

impl LoadOf {
    /// How files write it.
    pub fn name(self) -> &'static str {
        match self {
            LoadOf::Users => "users",
            LoadOf::Rate => "rate",
            LoadOf::Visits => "visits",
        }
    }
    /// The unit of one at a point, as what carries the load is counted: rates of a closed population
    /// are those that were measured there.
    pub fn per_load(self, at: &AtLoad, closed: bool) -> f64 {
        let offered = at.summary.estimate("offered_per_s").estimate.unwrap_or(0.0);
        let rate = if closed { offered / at.load } else { 1.0 };
        match self {
            LoadOf::Users => 1.0,
            LoadOf::Rate => rate,
            LoadOf::Visits => rate * at.model.client.visit_chance,
        }
    }
    pub(super) fn show(self, load: f64) -> String {
        match self {
            LoadOf::Users => show::users(load),
            LoadOf::Rate | LoadOf::Visits => show::value(load, Unit::PerSecond),
        }
    }
    pub(super) fn named(self, load: f64) -> String {
        let what = match self {
            LoadOf::Users => "users",
            LoadOf::Rate => "requests",
            LoadOf::Visits => "visits",
        };
        match self {
            LoadOf::Users => format!("{} {what}", self.show(load)),
            _ => format!("{} {what}/s", self.show(load).trim_end_matches("/s")),
        }
    }
    /// What one is.
    fn meaning(self, at: &AtLoad) -> String {
        let whose = match &at.model.workload {
            Workload::Closed { think, .. } => {
                let think = show::value(at.model.laws[*think].mean, Unit::Seconds);
                format!("a closed population, each thinking {think} between answer and request")
            }
            Workload::Open { .. } => {
                "an open stream, which comes however long the answers take".to_string()
            }
            Workload::Recorded(_) => unreachable!("what is recorded does not grow"),
        };
        match self {
            LoadOf::Users => format!("users: {whose}"),
            LoadOf::Rate => format!("rate: requests begun a second, by {whose}"),
            LoadOf::Visits => format!("visits: visits begun a second, by {whose}"),
        }
    }
}

/// The name of the table.
pub const TABLE: &str = "capacity.csv";

/// The columns of the table.
pub const COLUMNS: &[Column] = &[
    column("load", "users of the closed population, or requests a second of the open stream"),
    column("load_factor", "the same as a multiple of the file's load"),
    column("replication", "number of the replication, from 0"),
    column("objective", "the objective, as it was written"),
    column("value", "what the objective bounds, in SI units; empty where nothing was measured"),
    column("bound", "the bound, in the same unit"),
    column("kept", "the value keeps the bound"),
    column("growing", "what grows without end: requests in flight or a job queue; else empty"),
    column("ended_early", "a limit ended the run"),
    column("met", "all objectives are met by a run that reached its end and does not grow"),
];

/// Every load that was tried, as CSV: one row for each replication and objective.
pub fn to_csv(found: &Capacity) -> Vec<u8> {
    let mut rows = Rows::new(COLUMNS);
    for trial in &found.trials {
        let objectives = found.at_file_load.model.objectives.iter();
        for ((objective, value), kept) in objectives.zip(&trial.values).zip(&trial.kept) {
            rows.add([
                number(trial.load),
                number(trial.load / found.scaling.load),
                trial.replication.to_string(),
                objective.text.clone(),
                optional(*value),
                number(objective.bound),
                kept.to_string(),
                trial.growing.clone().unwrap_or_default(),
                trial.ended_early.to_string(),
                trial.met().to_string(),
            ]);
        }
    }
    rows.into_bytes()
}

pub(super) fn point<'a>(name: &'a str, at: &'a AtLoad) -> Point<'a> {
    Point { name, model: &at.model, outcomes: &at.outcomes, summary: &at.summary }
}

/// The capacity as text of at most 100 columns.
pub fn capacity(
    name: &str,
    found: &Capacity,
    (of, asked): (LoadOf, Option<&AtLoad>),
    written: &Written<'_>,
    style: Style,
) -> String {
    let file = &found.at_file_load;
    let title = if file.summary.title.is_empty() { name } else { &file.summary.title };
    let head = format!(
        "{}\n{}\n",
        style.paint(title, Look::Bold),
        style.paint(&setting(&point(name, file)), Look::Dim)
    );
    let mut sections = vec![head, answer(found, of, style)];
    sections.extend(asked.map(|at| room_at(found, of, at, style)));
    if let Some(at) = &found.at_capacity {
        let mut bearing = String::new();
        for line in bearing_lines(&at.summary.saturation) {
            bearing.push_str(&(wrap(&line, 15) + "\n"));
        }
        let mut objectives = objectives_grid(at).render(style);
        if at.summary.verdicts.iter().any(|verdict| !verdict.met) {
            objectives.push_str(OWN_CAPACITIES);
        }
        sections.push(objectives);
        sections.push(format!("{}\n{bearing}", style.paint("At the capacity", Look::Bold)));
        sections.push(growth(&at.summary.saturation).render(style));
        sections.push(costs(&at.summary, style));
        sections.push(warnings(&at.summary, style));
    }
    sections.push(foot(found, style) + &origin(written));
    sections.retain(|text| !text.is_empty());
    sections.join("\n")
}

/// The answer, what it is an answer to, and what it means for the load of the file.
fn answer(found: &Capacity, of: LoadOf, style: Style) -> String {
    let file = &found.at_file_load;
    let at = found.at_capacity.as_ref().unwrap_or(file);
    let scale = of.per_load(at, found.scaling.closed);
    let mut lines = Vec::new();
    let look = if found.carries_file_load() { Look::Good } else { Look::Bad };
    let first = match found.answer {
        Answer::Found(load) => {
            let interval = match (load.low, load.high) {
                (Some(low), Some(high)) => {
                    format!(" ({} … {})", of.show(low * scale), of.show(high * scale))
                }
                _ => " (one replication: no interval)".into(),
            };
            format!("Capacity: {}{interval}", of.named(load.estimate.unwrap_or(0.0) * scale))
        }
        Answer::NoLoad { least, replications } => no_load(found, least, replications),
        Answer::AnyLoad { most, replications } => format!(
            "No end was found: {replications} of {} replications meet the objectives at every load \
             that was tried, up to {} ({} the file's)",
            file.outcomes.len(),
            of.named(most * scale),
            show::factor(most / found.scaling.load),
        ),
    };
    lines.push(style.paint(&wrap(&first, 10), look));
    lines.push(wrap(&of.meaning(file), 2));
    if let Some(at) = &found.at_capacity {
        lines.push(equivalents(at, of));
    }
    let load = found.scaling.load * of.per_load(file, found.scaling.closed);
    let verdict = if file.is_met() { "meets them" } else { "does not meet them" };
    let room = found.headroom().map_or(String::new(), |room| {
        let ends = match (room.low, room.high) {
            (Some(low), Some(high)) => {
                format!(" ({} … {})", show::factor(low), show::factor(high))
            }
            _ => String::new(),
        };
        format!("; the capacity is {}{ends} this load", show::factor(room.estimate.unwrap_or(0.0)))
    });
    lines.push(wrap(&format!("the file's load, {}, {verdict}{room}", of.named(load)), 2));
    let all = file.outcomes.len();
    for (reason, count) in &found.limits {
        lines.push(wrap(&format!("just above fails: {reason} (in {count} of {all})"), 2));
    }
    lines.join("\n") + "\n"
}

/// What the capacity means for a load that is asked about.
fn room_at(found: &Capacity, of: LoadOf, at: &AtLoad, style: Style) -> String {
    let here = found.at_capacity.as_ref().unwrap_or(&found.at_file_load);
    let load = of.named(at.load * of.per_load(here, found.scaling.closed));
    let (verdict, look) = match at.is_met() {
        true => ("meets them", Look::Good),
        false => ("does not meet them", Look::Bad),
    };
    let room = found.headroom_at(at.load).map_or(String::new(), |room| {
        let ends = room.low.zip(room.high);
        let ends = ends.map_or(String::new(), |(low, high)| {
            format!(" ({} … {})", show::factor(low), show::factor(high))
        });
        let times = room.estimate.unwrap_or(0.0);
        format!("; headroom {}{ends}", show::factor(times))
    });
    let mut text = style.paint(&wrap(&format!("at {load}: {verdict}{room}"), 2), look) + "\n";
    for line in bearing_lines(&at.summary.saturation) {
        text.push_str(&format!("  {}\n", wrap(&line, 17)));
    }
    for verdict in at.summary.verdicts.iter().filter(|verdict| !verdict.met) {
        text.push_str(&wrap(&format!("  not met there: {}", verdict.objective), 2));
        text.push('\n');
    }
    text
}

/// Why there is no load that would do.
fn no_load(found: &Capacity, least: f64, replications: usize) -> String {
    let file = &found.at_file_load;
    let objectives = file.model.objectives.iter().enumerate();
    let values = objectives.map(|(index, objective)| {
        let name = objective.text.split(['<', '>']).next().unwrap_or_default().trim();
        let value = found.value_at(least, index).estimate;
        format!("{name} is {}", show::optional(value, unit_of(&objective.metric)))
    });
    format!(
        "No load meets the objectives in {replications} of {} replications: at {} of the file's load \
         {}",
        file.outcomes.len(),
        show::value(least / found.scaling.load, Unit::Ratio),
        values.collect::<Vec<_>>().join(", "),
    )
}

pub(super) fn unit_of(metric: &Metric) -> Unit {
    match metric {
        Metric::Latency(_) | Metric::Lag(_) | Metric::Wait(..) => Unit::Seconds,
        Metric::Errors | Metric::Rejected | Metric::Timeouts | Metric::Utilisation(_) => {
            Unit::Ratio
        }
        Metric::Throughput => Unit::PerSecond,
        Metric::Cost => Unit::Dollars,
    }
}

/// The same load in other words.
fn equivalents(at: &AtLoad, of: LoadOf) -> String {
    let value = |path: &str, unit| show::optional(at.summary.estimate(path).estimate, unit);
    let mut words = Vec::new();
    if of != LoadOf::Users && matches!(at.model.workload, Workload::Closed { .. }) {
        words.push(LoadOf::Users.named(at.load));
    }
    words.push(format!("{} offered", value("offered_per_s", Unit::PerSecond)));
    words.push(format!("{} served", value("throughput_per_s", Unit::PerSecond)));
    if at.model.client.visit_chance > 0.0 && of != LoadOf::Visits {
        let rate = at.summary.estimate("offered_per_s").estimate.unwrap_or(0.0);
        let visits = LoadOf::Visits.named(rate * at.model.client.visit_chance);
        words.push(visits);
    }
    words.push(format!("{} in flight", value("in_flight", Unit::Count)));
    wrap(&format!("that is {}", words.join(", ")), 2)
}

/// Why an objective need not be met on average where the capacity is.
const OWN_CAPACITIES: &str = "  each replication has a capacity of its own: at their mean some meet these, and some do not\n";

/// What the objectives bound at the capacity, over all replications.
pub(super) fn objectives_grid(at: &AtLoad) -> Grid {
    let mut grid = Grid::new("Objectives", &["at the capacity", "interval"]);
    for (verdict, objective) in at.summary.verdicts.iter().zip(&at.model.objectives) {
        let unit = unit_of(&objective.metric);
        grid.row([
            Cell::from(verdict.objective.as_str()),
            Cell::from(show::optional(verdict.value.estimate, unit)),
            Cell::new(show::interval(&verdict.value, unit), Look::Dim),
        ]);
    }
    grid
}

/// How the answer was found, and what speaks against it.
fn foot(found: &Capacity, style: Style) -> String {
    let mut out = String::new();
    for one in &found.disorder {
        let text = format!(
            "warning: no single threshold: replication {} fails at {} of the file's load and not at \
             {}; the capacity is that of the lowest failure",
            one.replication,
            show::factor(one.not_met_at / found.scaling.load),
            show::factor(one.met_at / found.scaling.load),
        );
        out.push_str(&style.paint("warning", Look::Doubtful));
        out.push_str(wrap(&text, 9).trim_start_matches("warning"));
        out.push('\n');
    }
    let loads: std::collections::BTreeSet<u64> =
        found.trials.iter().map(|trial| trial.load.to_bits()).collect();
    let runs = format!(
        "{} runs at {} loads; each replication's own capacity is known to {}{}",
        show::value(found.trials.len() as f64, Unit::Count),
        loads.len(),
        show::value(RESOLUTION, Unit::Ratio),
        if found.scaling.closed { " or to one user" } else { "" },
    );
    out + &wrap(&runs, 2) + "\n"
}

/// The capacity as one object; [`capacity_schema`] describes it.
pub fn capacity_to_json(found: &Capacity, of: LoadOf, asked: Option<&AtLoad>) -> Value {
    let file = &found.at_file_load;
    let closed = found.scaling.closed;
    let scale = of.per_load(found.at_capacity.as_ref().unwrap_or(file), closed);
    let times = |load: Estimate| Estimate {
        estimate: load.estimate.map(|it| it * scale),
        low: load.low.map(|it| it * scale),
        high: load.high.map(|it| it * scale),
    };
    let (outcome, capacity) = match found.answer {
        Answer::Found(load) => ("found", Some(times(load))),
        Answer::NoLoad { .. } => ("no_load", None),
        Answer::AnyLoad { .. } => ("any_load", None),
    };
    let end = |load: Option<f64>| load.map(|it| it * scale);
    let limits = found.limits.iter();
    let limits = limits.map(|(what, count)| json!({ "what": what, "replications": count }));
    let disorder = found.disorder.iter().map(|it| {
        json!({
            "replication": it.replication,
            "not_met_at": it.not_met_at * scale, "met_at": it.met_at * scale,
        })
    });
    json!({
        "title": file.summary.title,
        "version": env!("CARGO_PKG_VERSION"),
        "results_version": RESULTS_VERSION,
        "load_of": of.name(),
        "load_meaning": of.meaning(file),
        "outcome": outcome,
        "capacity": capacity,
        "file_load": found.scaling.load * of.per_load(file, closed),
        "file_load_met": file.is_met(),
        "headroom_factor": found.headroom(),
        "least_tried": end(found.trials.first().map(|trial| trial.load)),
        "most_tried": end(found.trials.last().map(|trial| trial.load)),
        "resolution_ratio": RESOLUTION,
        "runs": found.trials.len(),
        "limits": limits.collect::<Vec<Value>>(),
        "disorder": disorder.collect::<Vec<Value>>(),
        "asked": asked.map(|at| json!({
            "load": at.load * scale, "met": at.is_met(),
            "headroom_factor": found.headroom_at(at.load), "result": at.summary.to_json(),
        })),
        "at_file_load": file.summary.to_json(),
        "at_capacity": found.at_capacity.as_ref().map(|at| at.summary.to_json()),
    })
}

/// The JSON Schema (2020-12) of what `capacity --json` prints.
pub fn capacity_schema() -> Value {
    let mut result = schema();
    let mut definitions = result["$defs"].take();
    // It speaks of results as the whole document, and is of `compare`.
    if let Some(definitions) = definitions.as_object_mut() {
        definitions.remove("comparison");
    }
    if let Some(result) = result.as_object_mut() {
        result.retain(|key, _| !key.starts_with('$'));
    }
    definitions["result"] = result;
    let number = |what: &str| json!({ "type": "number", "description": what });
    let text = |what: &str| json!({ "type": "string", "description": what });
    let count = |what: &str| json!({ "type": "integer", "minimum": 0, "description": what });
    let flag = |what: &str| json!({ "type": "boolean", "description": what });
    let or_null = |name: &str, what: &str| {
        json!({
            "oneOf": [{ "$ref": format!("#/$defs/{name}") }, { "type": "null" }],
            "description": what,
        })
    };
    let exact = |what: &str, properties: Value| {
        let names: Vec<String> =
            properties.as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default();
        json!({
            "type": "object", "description": what, "properties": properties, "required": names,
            "additionalProperties": false,
        })
    };
    let limit = exact(
        "One.",
        json!({
            "what": text("The objective, or what else went wrong."),
            "replications": count("How many replications say so."),
        }),
    );
    let disorder = exact(
        "One.",
        json!({
            "replication": count("Its number."),
            "not_met_at": number("The smallest load at which it does not meet the objectives."),
            "met_at": number("The larger load at which it does."),
        }),
    );
    let asked = exact(
        "What `--at` asks about.",
        json!({
            "load": number("The load."),
            "met": flag("It meets the objectives."),
            "headroom_factor": or_null("estimate", "The capacity over this load."),
            "result": { "$ref": "#/$defs/result" },
        }),
    );
    let mut whole = exact(
        "What `loadbearing capacity --json` prints. Loads are in the unit that `load_of` names.",
        json!({
            "title": text("The topology's title."),
            "version": text("The version of the program."),
            "results_version": count("Changes when the same files and seed give other numbers."),
            "load_of": text("users, rate (requests/s) or visits (visits/s)."),
            "load_meaning": text("What one of them is."),
            "outcome": text("found; no_load: none does; any_load: every one that was tried does."),
            "capacity": or_null("estimate", "The largest load that meets the objectives."),
            "file_load": number("The load of the file."),
            "file_load_met": flag("It meets the objectives."),
            "headroom_factor": or_null("estimate", "The capacity over the load of the file."),
            "least_tried": number("The smallest load that was tried."),
            "most_tried": number("The largest load that was tried."),
            "resolution_ratio": number("How closely each replication's capacity is bracketed."),
            "runs": count("Replications that were run, at whatever load."),
            "limits": json!({
                "type": "array", "items": limit, "description": "What fails just above.",
            }),
            "disorder": json!({
                "type": "array", "items": disorder,
                "description": "Replications that meet the objectives above a load that does not.",
            }),
            "asked": json!({ "oneOf": [asked, { "type": "null" }] }),
            "at_file_load": { "$ref": "#/$defs/result" },
            "at_capacity": or_null("result", "All replications at the capacity."),
        }),
    );
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["title"] = json!("Loadbearing capacity");
    whole["$defs"] = definitions;
    whole
}
