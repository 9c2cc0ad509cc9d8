//! What a spike or a fault does to a deployment: for people, as tables, as JSON and its schema.

use serde_json::{Map, Value, json};

use super::Point;
use super::layout::{Cell, Grid, Look, Style, wrap};
use super::ran::{Written, origin, setting};
use super::sheet::{Sheet, SheetColumn, Typed};
use super::show;
use crate::experiment::stress::{
    Arm, Course, Levels, Recovery, SPAN_WINDOWS, STAYS, Shown, Spread, Stressed, TOLERANCE,
};
use crate::result::metric::Unit;
use crate::result::{Estimate, RESULTS_VERSION};
use crate::stats::Interval;

/// The columns of `recoveries.csv`.
pub const RECOVERIES: &[(&str, &str)] = &[
    ("arm", "`with retries` as in the file, or `without retries`"),
    ("replication", "number of the replication, from 0"),
    ("begins_s", "when the stress began, from the start of the run [s]"),
    ("ends_s", "when it ended, from the start of the run; empty if it never did [s]"),
    ("recovers", "it comes back inside the band of the baseline and stays there"),
    ("time_to_recover_s", "from the end of the stress to its return; empty if it does not [s]"),
    ("peak_latency_p95_s", "largest 95th percentile of latency in a window since it began [s]"),
    ("peak_failed_ratio", "largest share of failures in five windows since it began [ratio]"),
    ("peak_in_flight", "most requests in flight in a window since it began [count]"),
    ("failed", "requests that failed in the measured time [count]"),
    ("failed_calm", "the same in the calm twin [count]"),
    ("attempts_per_request", "attempts sent for each request [ratio]"),
    ("ended_early", "a limit ended the run"),
];

/// The columns of `course.csv`.
pub const COURSE: &[(&str, &str)] = &[
    ("arm", "`with retries` as in the file, or `without retries`"),
    ("stress", "false: the calm twin"),
    ("start_s", "start of the window, from the start of the measured time [s]"),
    ("end_s", "end of the window [s]"),
    ("metric", "offered_per_s, served_per_s, failed_ratio, latency_p95_s or in_flight"),
    ("low", "a tenth of the replications are below"),
    ("middle", "half of the replications are below"),
    ("high", "nine tenths of the replications are below"),
];

/// All tables of a stress with their columns.
pub const DOCUMENTED: &[(&str, &[(&str, &str)])] =
    &[("recoveries.csv", RECOVERIES), ("course.csv", COURSE)];

pub(super) fn arm_name(arm: &Arm) -> &'static str {
    if arm.retries { "with retries" } else { "without retries" }
}

fn columns(described: &[(&str, &str)]) -> Vec<SheetColumn> {
    described.iter().map(|(name, meaning)| SheetColumn::new(name, meaning)).collect()
}

/// The tables.
pub fn sheets(found: &Stressed) -> Vec<Sheet> {
    let recoveries = found.arms.iter().flat_map(recovery_rows).collect();
    let course = found.arms.iter().flat_map(|arm| course_rows(arm_name(arm), &arm.course));
    vec![
        Sheet { name: "recoveries", columns: columns(RECOVERIES), rows: recoveries },
        Sheet { name: "course", columns: columns(COURSE), rows: course.collect() },
    ]
}

fn recovery_rows(arm: &Arm) -> Vec<Vec<Typed>> {
    let twins = arm.calm.outcomes.iter().zip(&arm.stressed.outcomes);
    let row =
        |(it, (calm, stressed)): (&Recovery, (&crate::run::Outcome, &crate::run::Outcome))| {
            let offered = stressed.requests.offered as f64;
            let attempts = (offered > 0.0).then(|| stressed.attempts.sent as f64 / offered);
            vec![
                Typed::Text(arm_name(arm).into()),
                Typed::Count(u64::from(it.replication)),
                Typed::Number(it.begins_s),
                Typed::optional(it.ends_s),
                Typed::Flag(it.time_to_recover_s.is_some()),
                Typed::optional(it.time_to_recover_s),
                Typed::optional(it.peak.latency_s),
                Typed::optional(it.peak.failed_ratio),
                Typed::optional(it.peak.in_flight),
                Typed::Count(it.failed),
                Typed::Count(calm.requests.failed_all()),
                Typed::optional(attempts),
                Typed::Flag(it.ended_early),
            ]
        };
    arm.replications.iter().zip(twins).map(row).collect()
}

/// The quantities of a course, by name.
fn quantities(shown: &Shown) -> [(&'static str, Spread); 5] {
    [
        ("offered_per_s", shown.offered_per_s),
        ("served_per_s", shown.served_per_s),
        ("failed_ratio", shown.failed_ratio),
        ("latency_p95_s", shown.latency_p95_s),
        ("in_flight", shown.in_flight),
    ]
}

fn course_rows(arm: &'static str, course: &Course) -> Vec<Vec<Typed>> {
    let mut rows = Vec::new();
    for step in &course.steps {
        for (stress, shown) in [(false, &step.calm), (true, &step.stressed)] {
            for (metric, spread) in quantities(shown) {
                rows.push(vec![
                    Typed::Text(arm.into()),
                    Typed::Flag(stress),
                    Typed::Number(step.start_s),
                    Typed::Number(step.end_s),
                    Typed::Text(metric.into()),
                    Typed::optional(spread.low),
                    Typed::optional(spread.middle),
                    Typed::optional(spread.high),
                ]);
            }
        }
    }
    rows
}

/// What was found, as text of at most 100 columns.
pub fn told(name: &str, found: &Stressed, written: &Written<'_>, style: Style) -> String {
    let first = &found.arms[0];
    let (model, outcomes, summary) =
        (&first.stressed.model, first.stressed.outcomes.as_slice(), &first.stressed.summary);
    let title = if summary.title.is_empty() { name } else { &summary.title };
    let point = Point { name, model, outcomes, summary };
    let mut sections = vec![format!(
        "{}\n{}\n",
        style.paint(title, Look::Bold),
        style.paint(&setting(&point), Look::Dim)
    )];
    sections.push(answers(found, style));
    sections.push(table(found).render(style));
    sections.extend(found.retries.map(|_| of_retries(found)));
    sections.push(definition(first));
    sections.push(doubts(found, style) + &audit(found, style) + &origin(written));
    sections.retain(|text| !text.is_empty());
    sections.join("\n")
}

/// What happens, in words: `load x5 for 60 s from 30 s`.
pub(super) fn event(found: &Stressed) -> String {
    let stress = &found.stress;
    let seconds = |time: crate::units::Duration| show::value(time.seconds(), Unit::Seconds);
    let lasts = stress.lasts.map(|it| format!(" for {}", seconds(it))).unwrap_or_default();
    format!(
        "{}{lasts} from {}, then {} watched",
        found.words,
        seconds(stress.at),
        seconds(stress.watch)
    )
}

pub(super) fn percent(share: &Interval) -> String {
    let show = |value: f64| show::value(value, Unit::Ratio);
    format!("{} ({} … {})", show(share.estimate), show(share.low), show(share.high))
}

/// Whether it comes back, arm by arm.
fn answers(found: &Stressed, style: Style) -> String {
    let mut text = wrap(&format!("Stress: {}", event(found)), 8) + "\n";
    for arm in &found.arms {
        let all = arm.replications.len();
        let back = arm.replications.iter().filter(|it| it.time_to_recover_s.is_some()).count();
        let arm_is = match found.arms.len() {
            1 => "it".to_string(),
            _ => arm_name(arm).to_string() + " it",
        };
        let (words, look) = match back {
            0 => (format!("{arm_is} does not come back in any of {all} replications"), Look::Bad),
            _ if back == all && arm.slowest_s == Some(0.0) => (
                format!("{arm_is} is back as soon as it is over, in all {all} replications"),
                Look::Good,
            ),
            _ if back == all => {
                let time = show::estimate(&arm.time_to_recover_s, Unit::Seconds);
                (format!("{arm_is} comes back in all {all} replications, after {time}"), Look::Good)
            }
            _ => {
                let time = show::estimate(&arm.time_to_recover_s, Unit::Seconds);
                let words = format!(
                    "{arm_is} comes back in {back} of {all} replications, those after {time}"
                );
                (words, Look::Doubtful)
            }
        };
        let chance = format!("; the probability that it does is {}", percent(&arm.recovers));
        text.push_str(&style.paint(&wrap(&(words + &chance), 2), look));
        text.push('\n');
    }
    if found.arms.len() == 1 {
        text.push_str("  nothing in the file tries again, so there is no arm without retries\n");
    }
    text
}

pub(super) fn table(found: &Stressed) -> Grid {
    let mut names = vec!["baseline"];
    match found.arms.len() {
        1 => names.push("under stress"),
        _ => names.extend(found.arms.iter().map(arm_name)),
    }
    let mut grid = Grid::new("At the worst", &names);
    let first = &found.arms[0];
    let mut row = |name: &str, base: String, of: &dyn Fn(&Arm) -> String| {
        let cells = found.arms.iter().map(|arm| Cell::from(of(arm)));
        grid.row([Cell::from(name), Cell::new(base, Look::Dim)].into_iter().chain(cells));
    };
    let shown = |estimate: &Estimate, unit| show::estimate(estimate, unit);
    let base = &first.baseline;
    row("latency p95", shown(&base.latency_s, Unit::Seconds), &|arm| {
        shown(&arm.peak.latency_s, Unit::Seconds)
    });
    row("failed", shown(&base.failed_ratio, Unit::Ratio), &|arm| {
        shown(&arm.peak.failed_ratio, Unit::Ratio)
    });
    row("in flight", shown(&base.in_flight, Unit::Count), &|arm| {
        shown(&arm.peak.in_flight, Unit::Count)
    });
    row("longest queue", String::new(), &|arm| match &arm.queue {
        Some((path, waiting)) => format!("{} at {path}", shown(waiting, Unit::Count)),
        None => show::NOTHING.into(),
    });
    row("attempts a request", String::new(), &|arm| shown(&arm.attempts_per_request, Unit::Count));
    row("lost requests", String::new(), &|arm| shown(&arm.lost, Unit::Count));
    row("comes back", String::new(), &|arm| percent(&arm.recovers));
    row("after", String::new(), &|arm| shown(&arm.time_to_recover_s, Unit::Seconds));
    row("at the latest", String::new(), &|arm| show::optional(arm.slowest_s, Unit::Seconds));
    grid
}

/// What retries do, pair by pair.
fn of_retries(found: &Stressed) -> String {
    let Some(retries) = found.retries else { return String::new() };
    let mut words = vec![format!("{} requests lost", show::difference(&retries.lost, Unit::Count))];
    if retries.time_to_recover_s.estimate.is_some() {
        let time = show::difference(&retries.time_to_recover_s, Unit::Seconds);
        words.push(format!("{time} until it is back"));
    }
    for (count, which) in [(retries.only_without, "without"), (retries.only_with, "with")] {
        if count > 0 {
            let come = if count == 1 { " comes" } else { "s come" };
            words.push(format!("{count} replication{come} back only {which} them"));
        }
    }
    wrap(&format!("Retries, pair by pair: {}", words.join(", ")), 2) + "\n"
}

/// What coming back means here.
fn definition(arm: &Arm) -> String {
    let limits = &arm.band.limits;
    let text = format!(
        "Back: mean latency up to {}, failures up to {} and up to {} in flight over {SPAN_WINDOWS} \
         steps of the timeline, the worst of the calm runs and {} more; from then on in {} of all \
         steps and at the end",
        show::value(limits.latency_s, Unit::Seconds),
        show::value(limits.failed_ratio, Unit::Ratio),
        show::value(limits.in_flight, Unit::Count),
        show::value(TOLERANCE, Unit::Ratio),
        show::value(STAYS, Unit::Ratio),
    );
    wrap(&text, 2) + "\n"
}

/// What speaks against the answer.
fn doubts(found: &Stressed, style: Style) -> String {
    let mut out = String::new();
    let mut warn = |text: String| {
        out.push_str(&style.paint("warning", Look::Doubtful));
        out.push_str(wrap(&format!("warning: {text}"), 9).trim_start_matches("warning"));
        out.push('\n');
    };
    for arm in &found.arms {
        let name = arm_name(arm);
        if arm.calm.summary.is_growing() || !arm.calm.summary.is_met() {
            warn(format!(
                "{name} the calm deployment is not well either, so to come back means little"
            ));
        }
        let early = arm.replications.iter().filter(|it| it.ended_early).count();
        if early > 0 {
            warn(format!(
                "{name} a limit ended {early} replications, which count as not recovered"
            ));
        }
    }
    out
}

fn audit(found: &Stressed, style: Style) -> String {
    let twins = found.arms.iter().flat_map(|arm| [&arm.calm, &arm.stressed]);
    let (checks, broken) = twins.fold((0, 0), |(checks, broken), twin| {
        (checks + twin.summary.checks, broken + twin.summary.broken.len())
    });
    let checks = show::value(checks as f64, Unit::Count);
    match broken {
        0 => format!("audit: all {checks} checks hold\n"),
        count => style.paint(&format!("audit: {count} of {checks} checks are broken\n"), Look::Bad),
    }
}

fn levels(of: &Levels<Estimate>) -> Value {
    json!({
        "latency_p95_s": of.latency_s, "failed_ratio": of.failed_ratio, "in_flight": of.in_flight,
    })
}

fn chance(of: &Interval) -> Value {
    json!({ "estimate": of.estimate, "low": of.low, "high": of.high })
}

/// What was found as one object; [`stress_schema`] describes it.
pub fn to_json(found: &Stressed) -> Value {
    let first = &found.arms[0].stressed;
    let retries = found.retries.map(|it| {
        json!({
            "lost": it.lost, "time_to_recover_s": it.time_to_recover_s,
            "only_with": it.only_with, "only_without": it.only_without,
        })
    });
    json!({
        "title": first.summary.title,
        "version": env!("CARGO_PKG_VERSION"),
        "results_version": RESULTS_VERSION,
        "stress": found.words,
        "at_s": found.stress.at.seconds(),
        "for_s": found.stress.lasts.map(|it| it.seconds()),
        "watch_s": found.stress.watch.seconds(),
        "confidence": first.summary.confidence,
        "arms": found.arms.iter().map(arm_to_json).collect::<Vec<Value>>(),
        "retries": retries,
    })
}

fn arm_to_json(arm: &Arm) -> Value {
    let limits = &arm.band.limits;
    let queue = arm.queue.as_ref();
    let queue = queue.map(|(path, waiting)| json!({ "component": path, "waiting": waiting }));
    let replication = |it: &Recovery| {
        json!({
            "replication": it.replication,
            "time_to_recover_s": it.time_to_recover_s,
            "peak_latency_p95_s": it.peak.latency_s,
            "peak_failed_ratio": it.peak.failed_ratio,
            "peak_in_flight": it.peak.in_flight,
            "ended_early": it.ended_early,
        })
    };
    json!({
        "retries": arm.retries,
        "baseline": levels(&arm.baseline),
        "peak": levels(&arm.peak),
        "queue": queue,
        "band": {
            "latency_mean_s": limits.latency_s, "failed_ratio": limits.failed_ratio,
            "in_flight": limits.in_flight,
        },
        "recovers_ratio": chance(&arm.recovers),
        "time_to_recover_s": arm.time_to_recover_s,
        "slowest_s": arm.slowest_s,
        "lost": arm.lost,
        "attempts_per_request": arm.attempts_per_request,
        "replications": arm.replications.iter().map(replication).collect::<Vec<Value>>(),
        "calm_digest": arm.calm.summary.digest_text(),
        "stressed_digest": arm.stressed.summary.digest_text(),
    })
}

/// An object of which every property is there.
fn exact(what: &str, properties: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let all: Map<String, Value> =
        properties.iter().map(|(name, of)| (name.to_string(), of.clone())).collect();
    json!({
        "type": "object", "description": what, "properties": all, "required": names,
        "additionalProperties": false,
    })
}

/// The JSON Schema (2020-12) of what `stress --json` prints.
pub fn stress_schema() -> Value {
    let number = |what: &str| json!({ "type": "number", "description": what });
    let maybe = |what: &str| json!({ "type": ["number", "null"], "description": what });
    let text = |what: &str| json!({ "type": "string", "description": what });
    let count = |what: &str| json!({ "type": "integer", "minimum": 0, "description": what });
    let flag = |what: &str| json!({ "type": "boolean", "description": what });
    let estimate = |what: &str| json!({ "$ref": "#/$defs/estimate", "description": what });
    let list =
        |items: Value, what: &str| json!({ "type": "array", "items": items, "description": what });
    let or_null = |of: Value| json!({ "oneOf": [of, { "type": "null" }] });
    let levels = |what: &str| {
        exact(
            what,
            &[
                ("latency_p95_s", estimate("95th percentile of latency [s].")),
                ("failed_ratio", estimate("Share of the requests that end which fail.")),
                ("in_flight", estimate("Requests in flight.")),
            ],
        )
    };
    let band = exact(
        "What counts as usual, over five windows of the timeline.",
        &[
            ("latency_mean_s", number("Mean latency up to this [s].")),
            ("failed_ratio", number("Share of failures up to this.")),
            ("in_flight", number("Requests in flight up to this.")),
        ],
    );
    let queue = exact(
        "The queue that grows most.",
        &[
            ("component", text("The path of its component.")),
            ("waiting", estimate("How many wait there at the worst.")),
        ],
    );
    let replication = exact(
        "One.",
        &[
            ("replication", count("Its number.")),
            ("time_to_recover_s", maybe("From the end of the stress [s]; null: it does not.")),
            ("peak_latency_p95_s", maybe("The largest in a window [s].")),
            ("peak_failed_ratio", maybe("The largest share in five windows.")),
            ("peak_in_flight", maybe("The most in a window.")),
            ("ended_early", flag("A limit ended the run.")),
        ],
    );
    let arm = exact(
        "The deployment with the retries of its file, or without.",
        &[
            ("retries", flag("The retries of the file are in force.")),
            ("baseline", levels("Usual: means over the calm replications.")),
            ("peak", levels("The worst since the stress began, means over replications.")),
            ("queue", or_null(queue)),
            ("band", band),
            ("recovers_ratio", estimate("Probability to recover (Clopper and Pearson).")),
            ("time_to_recover_s", estimate("Of those that recover, from the stress's end [s].")),
            ("slowest_s", maybe("The longest of them [s].")),
            ("lost", estimate("Requests that failed because of the stress, by pairs.")),
            ("attempts_per_request", estimate("Attempts sent for each request.")),
            ("replications", list(replication, "All of them.")),
            ("calm_digest", text("Of every request of the calm twin.")),
            ("stressed_digest", text("Of every request under stress.")),
        ],
    );
    let retries = exact(
        "What retries do: with them minus without, by pairs.",
        &[
            ("lost", estimate("To requests that fail because of the stress.")),
            ("time_to_recover_s", estimate("To the time to recover, where both do [s].")),
            ("only_with", count("Replications that recover only with them.")),
            ("only_without", count("Replications that recover only without them.")),
        ],
    );
    let mut whole = exact(
        "What `loadbearing stress --json` prints.",
        &[
            ("title", text("The topology's title.")),
            ("version", text("The version of the program.")),
            ("results_version", count("Changes when the same files and seed give other numbers.")),
            ("stress", text("What happens.")),
            ("at_s", number("When it begins, from the start of the measured time [s].")),
            ("for_s", maybe("How long it lasts [s]; null: as long as the faults say.")),
            ("watch_s", number("How long the deployment is watched afterwards [s].")),
            ("confidence", number("Confidence of the intervals, 0 to 1.")),
            ("arms", list(arm, "With the file's retries first; then without, if it has any.")),
            ("retries", or_null(retries)),
        ],
    );
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["title"] = json!("Loadbearing stress");
    whole["$defs"] = json!({ "estimate": crate::result::schema()["$defs"]["estimate"] });
    whole
}
