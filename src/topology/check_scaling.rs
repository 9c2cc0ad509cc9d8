//! Bounds of autoscalers, and what they follow.

use super::check::{Cx, Diagnostics, error};
use super::service::{ScaleMetric, ScalePolicy};

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
        let instances = service.spec.instances;
        if scale.min > scale.max || instances < scale.min || instances > scale.max {
            let message = format!(
                "`service.{}` starts with {instances} and scales from {} to {} instances",
                service.name, scale.min, scale.max
            );
            found.push(
                error("out-of-range", &scale.place, message)
                    .help("`min` ≤ `instances` ≤ `max` must hold"),
            );
        }
    }
    found
}

/// A pace of the Horizontal Pod Autoscaler is a share or a number.
pub(super) fn paces(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for service in &cx.topology.services {
        let Some(ScalePolicy::Hpa(hpa)) = service.spec.autoscale.as_ref().map(|it| &it.policy)
        else {
            continue;
        };
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
    for service in &cx.topology.services {
        let Some(scale) = &service.spec.autoscale else { continue };
        let owner = || format!("service.{}.autoscale", service.name);
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
