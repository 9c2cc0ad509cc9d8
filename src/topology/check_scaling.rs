//! Bounds of autoscalers, and what they follow.

use super::check::{Cx, Diagnostics, error};
use super::service::ScaleMetric;

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
