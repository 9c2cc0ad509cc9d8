//! What a monitor can show.

use super::check::{Cx, Diagnostics, error};
use super::monitor::{Estimation, LatencyShown, Shows};
use super::names::Section;

/// A monitor shows what there is.
pub(crate) fn monitors(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let window = cx.topology.run.window;
    for monitor in &cx.topology.monitors {
        let spec = &monitor.spec;
        let name = &monitor.name;
        let mut wrong = |message: String, help: &str| {
            found.push(error("bad-monitor", &monitor.place, message).help(help));
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
            (Shows::Rate(_), None) if spec.alarm.is_some() => {
                let message = format!("the alarm of `monitor.{name}` bounds a share, not a rate");
                wrong(message, "leave out `alarm`");
            }
            (Shows::Busy | Shows::Open, None) => {
                let message = format!("`monitor.{name}` does not say what it looks at");
                wrong(message, "say `of`, such as `of = \"pool.pg\"`");
            }
            (Shows::Open, Some(of)) if of.section != Section::Pool => {
                let message = format!("`monitor.{name}` shows what is open of a {}", of.section);
                wrong(message, "let it look at a pool, or show `busy`");
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
        if spec.every < window {
            let message = format!("`monitor.{name}` reads more often than the timeline has steps");
            wrong(message, "let `every` be at least `run.window`");
        }
    }
    found
}
