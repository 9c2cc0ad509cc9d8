//! Rules about who comes and how requests are spread.

use super::balancer::{BalanceBy, BalancePer, BalancerKind, Policy};
use super::check::{Cx, Diagnostics, error, names};

/// What a balancer cannot do.
pub(crate) fn balancers(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for balancer in &cx.topology.balancers {
        let spec = &balancer.spec;
        let place = |key: &str| cx.tree.place_of(&format!("balancer.{}.{key}", balancer.name));
        if spec.weights.contains(&0) {
            let message = format!("`balancer.{}.weights` has a weight of 0", balancer.name);
            let help = "give every instance a share, or take it out of the service";
            found.push(error("out-of-range", &place("weights"), message).help(help));
        }
        if let Some(checks) = spec.checks.as_ref().filter(|checks| checks.timeout > checks.interval)
        {
            let message = format!(
                "a check may take {} and the next begins after {}",
                checks.timeout, checks.interval
            );
            found.push(
                error("out-of-range", &checks.place, message).help("let `timeout` ≤ `interval`"),
            );
        }
        if let BalanceBy::Keys(_) = spec.by {
            let stays = matches!(spec.policy, Policy::Sticky(_)) || spec.per != BalancePer::Request;
            if stays {
                let message = format!(
                    "`balancer.{}` goes by keys, but sticks to a user or a connection",
                    balancer.name
                );
                let help = "let `policy` be `consistent-hash` or `maglev` and `per` be `request`";
                found.push(error("one-of", &place("by"), message).help(help));
            } else if !matches!(spec.policy, Policy::ConsistentHash(_) | Policy::Maglev(_)) {
                let why = "this `policy` hashes nothing";
                let help = "let `policy` be `consistent-hash` or `maglev`";
                found.extend(cx.no_effect(&format!("balancer.{}.by", balancer.name), why, help));
            }
        }
        let least = matches!(spec.policy, Policy::LeastOutstanding);
        if spec.kind == BalancerKind::Alb && least && spec.slow_start.is_some() {
            let message = format!(
                "`balancer.{}` says both `least-outstanding` and `slow_start`, which an ALB refuses",
                balancer.name
            );
            found.push(
                error("one-of", &place("slow_start"), message).help("say exactly one of the two"),
            );
        }
    }
    found
}

/// What sessions and traces name must be there.
pub(crate) fn arrivals(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    for operation in &topology.operations {
        let sum: f64 = operation.spec.next.iter().map(|next| next.share.0).sum();
        if sum > 1.0 + 1e-9 {
            let place = cx.tree.place_of(&format!("operation.{}.next", operation.name));
            let message =
                format!("what follows `operation.{}` adds up to more than 100 %", operation.name);
            let help = "let the shares add up to 100 % or less; with the rest users leave";
            found.push(error("branch-shares", &place, message).help(help));
        }
    }
    let trace = topology.arrivals.as_ref().and_then(|arrivals| arrivals.trace.as_ref());
    for row in trace.iter().flat_map(|trace| &trace.file.rows) {
        let Some(name) = &row.operation else { continue };
        if !topology.operations.iter().any(|operation| operation.name == *name) {
            let file = &trace.expect("it has rows").file;
            let message = format!("`{}` asks for `{name}`, which is no operation", file.path);
            let help = format!("the file has: {}", names(&topology.operations));
            found.push(error("bad-trace", &file.place, message).help(help));
            break;
        }
    }
    found
}
