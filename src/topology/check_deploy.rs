//! What a deploy can do.

use super::check::{Cx, Diagnostics, error};
use super::deploy::Rollout;
use crate::component::rollout::Bounds;

/// A deploy must be able to go on: one instance more, or one fewer, at the least.
pub(crate) fn deploys(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for deploy in &cx.topology.deploys {
        let service = super::check::find(&cx.topology.services, &deploy.spec.service.name);
        let wanted = service.spec.instances;
        let bounds = match &deploy.spec.how {
            Rollout::Ecs(it) => Bounds::ecs(wanted, it.min_healthy.0, 1.0 + it.max_extra.0),
            Rollout::Kubernetes(it) => {
                Bounds::kubernetes(wanted, it.max_surge.0, it.max_unavailable.0)
            }
            Rollout::BlueGreen(_) => continue,
        };
        if bounds.most <= wanted && bounds.least >= wanted {
            let message = format!(
                "`deploy.{}` may neither start an instance beside the {wanted} of `service.{}` nor stop one",
                deploy.name, service.name
            );
            found.push(
                error("bad-deploy", &deploy.place, message)
                    .help("raise `max_extra` by at least one instance, or lower `min_healthy`"),
            );
        }
    }
    found
}
