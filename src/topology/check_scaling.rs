//! Bounds of autoscalers, and what they follow.

use super::check::{Cx, Diagnostics, error};
use super::service::{Autoscale, ScaleMetric, ScalePolicy};

/// A service starts within the bounds of its autoscaler, and has what that follows.
pub(super) fn scaling_bounds(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for service in &cx.topology.services {
        let Some(scale) = &service.spec.autoscale else { continue };
        let mut metrics = std::iter::once(&scale.metric).chain(&scale.also);
        if metrics.any(|it| matches!(it, ScaleMetric::Memory(_))) && service.spec.memory.is_none() {
            let message = format!("`service.{}` follows memory, and has none", service.name);
            let help = format!("say `memory` of `[service.{}]`", service.name);
            found.push(error("unknown-memory", &scale.place, message).help(help));
        }
        let path = format!("service.{}", service.name);
        found.extend(bounds(&path, "instances", service.spec.instances, scale));
    }
    for queue in &cx.topology.queues {
        let Some(scale) = &queue.spec.autoscale else { continue };
        let path = format!("queue.{}", queue.name);
        found.extend(bounds(&path, "processes", queue.spec.processes, scale));
    }
    found.extend(follows(cx));
    found
}

fn bounds(path: &str, what: &str, at_start: u32, scale: &Autoscale) -> Diagnostics {
    let fits = scale.min <= at_start && at_start <= scale.max;
    let message = || {
        let (min, max) = (scale.min, scale.max);
        format!("`{path}` starts with {at_start} and scales from {min} to {max} {what}")
    };
    let help = || format!("`min` ≤ `{what}` ≤ `max` must hold");
    let wrong = (!fits).then(|| error("out-of-range", &scale.place, message()).help(help()));
    wrong.into_iter().collect()
}

/// What an autoscaler follows is what more instances, or more workers, would change.
fn follows(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let queue_of = |metric: &ScaleMetric| match metric {
        ScaleMetric::Backlog(it) => Some(it.queue.name.clone()),
        ScaleMetric::Oldest(it) => Some(it.queue.name.clone()),
        _ => None,
    };
    for service in &cx.topology.services {
        let Some(scale) = &service.spec.autoscale else { continue };
        let works = |queue: &String| {
            let spec = &super::check::find(&cx.topology.queues, queue).spec;
            spec.service.as_ref().is_some_and(|its| its.name == service.name)
        };
        let metrics = std::iter::once(&scale.metric).chain(&scale.also);
        for queue in metrics.filter_map(queue_of).filter(|it| !works(it)) {
            let message = format!(
                "`service.{}` follows the jobs of `queue.{queue}`, which its instances do not work at",
                service.name
            );
            let name = &service.name;
            let help = format!(
                "let the workers be scaled by `queue.{queue}.autoscale`, or let its jobs be done by `queue.{queue}.service = \"{name}\"`"
            );
            found.push(error("bad-scaling", &scale.place, message).help(help));
        }
    }
    for queue in &cx.topology.queues {
        let Some(scale) = &queue.spec.autoscale else { continue };
        let name = &queue.name;
        for metric in std::iter::once(&scale.metric).chain(&scale.also) {
            let (message, help) = match metric {
                ScaleMetric::Memory(_) | ScaleMetric::Requests(_) => (
                    format!(
                        "workers of `queue.{name}` have no requests, and nothing is known of their memory"
                    ),
                    format!(
                        "follow `cpu`, `backlog = {{ queue = \"{name}\", jobs = 10 }}` or `oldest`"
                    ),
                ),
                _ if queue_of(metric).is_some_and(|other| other != *name) => (
                    format!(
                        "workers of `queue.{name}` follow the jobs of another queue, at which they do not work"
                    ),
                    format!("let `queue` be \"{name}\""),
                ),
                _ => continue,
            };
            found.push(error("bad-scaling", &scale.place, message).help(help));
        }
    }
    found
}

/// Everything that is scaled, by its path.
fn scalers<'t>(cx: &Cx<'t>) -> Vec<(String, &'t Autoscale)> {
    let services = cx.topology.services.iter().map(|it| ("service", &it.name, &it.spec.autoscale));
    let queues = cx.topology.queues.iter().map(|it| ("queue", &it.name, &it.spec.autoscale));
    let one = |(section, name, scale): (&str, &String, &'t Option<Autoscale>)| {
        Some((format!("{section}.{name}"), scale.as_ref()?))
    };
    services.chain(queues).filter_map(one).collect()
}

/// A pace of the Horizontal Pod Autoscaler is a share or a number.
pub(super) fn paces(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for (_, scale) in scalers(cx) {
        let ScalePolicy::Hpa(hpa) = &scale.policy else { continue };
        for pace in hpa.up.policies.iter().chain(&hpa.down.policies) {
            if pace.percent.is_some() == pace.pods.is_some() {
                let message = "this policy says both or neither of `percent` and `pods`".into();
                let help = "say exactly one of the two; two policies stand side by side";
                found.push(error("one-of", &pace.place, message).help(help));
            }
        }
    }
    found
}

/// Keys that an autoscaler's policy does not look at.
pub(super) fn no_effect(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let mut idle = |owner: String, key: &str, why: &str| {
        found.extend(cx.no_effect(&format!("{owner}.{key}"), why, "leave it out"));
    };
    for (path, scale) in scalers(cx) {
        let owner = || format!("{path}.autoscale");
        let cpu = std::iter::once(&scale.metric).chain(&scale.also);
        let cpu = cpu.filter(|it| **it == ScaleMetric::Cpu).count() > 0;
        match scale.policy {
            ScalePolicy::TargetTracking(_) => {}
            ScalePolicy::Hpa(_) => {
                let why = "the Horizontal Pod Autoscaler has no cooldown for growing";
                idle(owner(), "cooldown_out", why);
                let why = "the Horizontal Pod Autoscaler has its `policy.hpa.down.stabilisation`";
                idle(owner(), "cooldown_in", why);
            }
            ScalePolicy::Steps(_) => {
                idle(owner(), "target", "steps have bounds of their own");
                idle(owner(), "cooldown_in", "the cooldown of steps is `cooldown_out`");
                idle(owner(), "also", "steps follow one metric");
            }
        }
        if !cpu {
            idle(owner(), "target", "it is that of CPU, and other metrics have their own");
            idle(owner(), "cpu_request", "CPU is no metric of it");
        }
    }
    found
}
