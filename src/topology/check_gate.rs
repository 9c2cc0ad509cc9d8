//! What a limit must say for itself.

use super::check::{Cx, Diagnostics, error};

/// A limit whose product has no rate by itself says both of its parts.
pub(crate) fn rates(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for limit in cx.topology.limits.iter().filter(|limit| !limit.spec.has_rate()) {
        let spec = &limit.spec;
        let said = [("max", spec.max.is_some()), ("window", spec.window.is_some())];
        let missing: Vec<&str> =
            said.iter().filter(|(_, said)| !said).map(|(key, _)| *key).collect();
        if missing.is_empty() {
            continue;
        }
        let keys = missing.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
        let message = format!("`limit.{}` needs {keys}: its `algorithm` has no rate", limit.name);
        let help = "say how many (`max`) pass in which time (`window`); only express-rate-limit \
                    (`fixed-window`) and resilience4j (`cycles`) have both by themselves";
        found.push(error("missing-key", &limit.place, message).help(help));
    }
    found
}
