//! What a monitor can show.

use super::check::{Cx, Diagnostics, error, find};
use super::monitor::{Estimation, LatencyShown, Monitor, Shows, Watched};
use super::names::{Address, Named, Section};
use crate::diagnostic::Diagnostic;

/// A monitor shows what there is.
pub(crate) fn monitors(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let window = cx.topology.run.window;
    for monitor in &cx.topology.monitors {
        let spec = &monitor.spec;
        let name = &monitor.name;
        let mut all = Vec::new();
        let mut wrong = |message: String, help: &str| {
            all.push(error("bad-monitor", &monitor.place, message).help(help));
        };
        match (&spec.shows, &spec.of) {
            (Shows::Latency(LatencyShown { how: Estimation::MeanOfInstances, .. }), of) => {
                let service = of.as_ref().is_some_and(|of| of.section == Section::Service);
                if !service {
                    let message =
                        format!("`monitor.{name}` does not say whose instances it averages");
                    wrong(message, "say `of`, such as `of = \"service.web\"`");
                }
            }
            (Shows::Latency(_), Some(_)) => {
                let message = format!("`monitor.{name}` shows a latency of a component");
                wrong(message, "leave out `of`: latency is what users see");
            }
            (Shows::Rate(_), Some(_)) => {
                let message = format!("`monitor.{name}` shows a rate of a component");
                wrong(message, "leave out `of`: answers are counted at the edge");
            }
            (Shows::Rate(shown), None) if shown.scrape < window => {
                let message =
                    format!("`monitor.{name}` samples more often than the timeline has steps");
                wrong(message, "let `scrape` be at least `run.window`");
            }
            (Shows::InFlight | Shows::Errors | Shows::Uptime(_), Some(_)) => {
                let message = format!("`monitor.{name}` shows what users see of a component");
                wrong(message, "leave out `of`: it is counted at the edge");
            }
            (Shows::Uptime(_), None) if spec.alarm.is_some() => {
                let message = format!("`monitor.{name}` shows an uptime, which calls nobody");
                wrong(message, "let the alarm be of a monitor that shows `errors`");
            }
            (shows, None) if is_of_component(shows) => {
                let message = format!("`monitor.{name}` does not say what it looks at");
                wrong(message, "say `of`, such as `of = \"pool.pg\"`");
            }
            (Shows::Busy, Some(of)) if matches!(of.section, Section::Session | Section::Socket) => {
                let message = format!("`monitor.{name}` shows how busy a {} is", of.section);
                wrong(message, "it has no servers of its own: show what is `held`");
            }
            (Shows::Bandwidth, Some(of)) if of.section != Section::Link => {
                let message = format!("`monitor.{name}` shows the bandwidth of a {}", of.section);
                wrong(message, "let it look at a link");
            }
            (Shows::Delayed | Shows::Oldest, Some(of)) if of.section != Section::Queue => {
                let message = format!("`monitor.{name}` shows the jobs of a {}", of.section);
                wrong(message, "let it look at a queue");
            }
            (Shows::Held, Some(of)) if of.section == Section::Queue && !scales(cx, &of.name) => {
                let message = format!("`monitor.{name}` shows what a queue holds");
                wrong(
                    message,
                    "say which of its jobs: show what is `waiting`, `delayed` or `busy`; its workers are held where it has an `autoscale`",
                );
            }
            (Shows::Held, Some(of)) if !holds(of.section) => {
                let message = format!("`monitor.{name}` shows what a {} holds", of.section);
                wrong(message, "nothing is held there: show what is `busy` or `waiting`");
            }
            (Shows::Open, Some(of)) if !matches!(of.section, Section::Pool | Section::Database) => {
                let message = format!("`monitor.{name}` shows what is open of a {}", of.section);
                wrong(message, "let it look at a pool or a database, or show `busy`");
            }
            (Shows::Latency(shown), None) => {
                let by_window = shown.how == Estimation::MeanOfWindows;
                if by_window && (shown.quantile.0 - 0.95).abs() > 1e-9 {
                    let message =
                        format!("`monitor.{name}` averages a quantile that steps do not have");
                    wrong(
                        message,
                        "steps of the timeline have their p95; use `histogram` for others",
                    );
                }
                if spec.alarm.is_some() && !by_window {
                    let message = format!("`monitor.{name}` has an alarm without values over time");
                    wrong(message, "leave out `alarm`, or let `how` be `\"mean-of-windows\"`");
                }
            }
            _ => {}
        }
        found.extend(all);
        found.extend(of_its_kind(cx, monitor));
        found.extend(buckets(cx, monitor));
        found.extend(periods(cx, monitor));
    }
    found
}

/// Hits, evictions, lags and memory are shown of what has them.
fn of_its_kind(cx: &Cx<'_>, monitor: &Named<Monitor>) -> Option<Diagnostic> {
    let (spec, name) = (&monitor.spec, &monitor.name);
    let of = spec.of.as_ref()?;
    let (message, help) = match &spec.shows {
        Shows::Hits if !matches!(of.section, Section::Cache | Section::Cdn) => (
            format!("`monitor.{name}` shows the hits of a {}", of.section),
            "let it look at a cache or a cdn",
        ),
        Shows::Evictions if of.section != Section::Cache => (
            format!("`monitor.{name}` shows what a {} evicts", of.section),
            "let it look at a cache",
        ),
        Shows::Lag if !has_replicas(cx, of) => (
            format!("`monitor.{name}` shows a lag, and nothing is replayed there"),
            "let it look at a database with `replicas`",
        ),
        Shows::Memory if !has_memory(cx, of) => (
            format!("`monitor.{name}` shows a share of memory that nobody says"),
            "let it look at a service, a database or a cache that says its `memory`",
        ),
        shows if of.section == Section::Cdn && *shows != Shows::Hits => {
            (format!("`monitor.{name}` looks at a cdn"), "only its `hits` are shown")
        }
        _ => return None,
    };
    Some(error("bad-monitor", &monitor.place, message).help(help))
}

/// Alarms are of what is shown, and periods no shorter than steps of the timeline.
fn periods(cx: &Cx<'_>, monitor: &Named<Monitor>) -> Diagnostics {
    let (spec, name) = (&monitor.spec, &monitor.name);
    let mut found = Vec::new();
    for alarm in spec.alarm.iter() {
        for (key, bound) in [("above", &alarm.above), ("below", &alarm.below)] {
            let Some(Err(why)) = bound.as_ref().map(|it| it.value(spec.measure())) else {
                continue;
            };
            let place = cx.tree.place_of(&format!("monitor.{name}.alarm.{key}"));
            let message = format!("`monitor.{name}.alarm.{key}`: {}", why.message);
            found.push(error("bad-unit", &place, message).help(why.help));
        }
        if alarm.above.is_some() == alarm.below.is_some() {
            let message = format!(
                "the alarm of `monitor.{name}` says both or neither of `above` and `below`"
            );
            let help = "say exactly one of the two, such as `above = \"90%\"`";
            found.push(error("one-of", &alarm.place, message).help(help));
        }
        if let Some(among) = alarm.among.filter(|among| *among < alarm.points) {
            let message =
                format!("{} of {among} periods can never be beyond a bound", alarm.points);
            let help = "let `among` be at least `points`";
            found.push(error("out-of-range", &alarm.place, message).help(help));
        }
    }
    if spec.every < cx.topology.run.window {
        let message = format!("`monitor.{name}` reads more often than the timeline has steps");
        let help = "let `every` be at least `run.window`";
        found.push(error("bad-monitor", &monitor.place, message).help(help));
    }
    found
}

/// Buckets ascend, and are those of a histogram.
fn buckets(cx: &Cx<'_>, monitor: &Named<Monitor>) -> Diagnostics {
    let Shows::Latency(shown) = &monitor.spec.shows else { return Vec::new() };
    let path = format!("monitor.{}.shows.latency.buckets", monitor.name);
    if shown.how != Estimation::Histogram {
        let help = "say `how = \"histogram\"`, or leave them out";
        return cx.no_effect(&path, "only a `histogram` has buckets", help).into_iter().collect();
    }
    if shown.buckets.is_sorted_by(|one, next| one < next) {
        return Vec::new();
    }
    let message = format!("the buckets of `monitor.{}` do not ascend", monitor.name);
    let help = "write them from the least to the greatest, each once";
    vec![error("bad-monitor", &cx.tree.place_of(&path), message).help(help)]
}

/// Whether the workers of a queue come and go.
fn scales(cx: &Cx<'_>, queue: &str) -> bool {
    let queue = cx.topology.queues.iter().find(|it| it.name == queue);
    queue.is_some_and(|it| it.spec.autoscale.is_some())
}

fn has_replicas(cx: &Cx<'_>, of: &Address<Watched>) -> bool {
    of.section == Section::Database
        && find(&cx.topology.databases, &of.name).spec.all_replicas() > 0
}

fn has_memory(cx: &Cx<'_>, of: &Address<Watched>) -> bool {
    match of.section {
        Section::Cache => find(&cx.topology.caches, &of.name).spec.memory.is_some(),
        Section::Service => find(&cx.topology.services, &of.name).spec.memory.is_some(),
        Section::Database => find(&cx.topology.databases, &of.name).spec.memory.is_some(),
        _ => false,
    }
}

/// Whether it is shown of a component, not of what users see.
fn is_of_component(shows: &Shows) -> bool {
    matches!(
        shows,
        Shows::Busy
            | Shows::Open
            | Shows::Waiting
            | Shows::Held
            | Shows::Delayed
            | Shows::Oldest
            | Shows::Bandwidth
            | Shows::Hits
            | Shows::Evictions
            | Shows::Lag
            | Shows::Memory
    )
}

/// Whether the components of a section hold something over time.
fn holds(section: Section) -> bool {
    matches!(
        section,
        Section::Service
            | Section::Pool
            | Section::Pooler
            | Section::Database
            | Section::Cache
            | Section::Session
            | Section::Socket
            | Section::Consumer
            | Section::Queue
    )
}
