//! Rules about who comes and how requests are spread.

use super::balancer::{BalanceBy, BalancePer, Balancer, BalancerKind, Policy, Reuse};
use super::check::{Cx, Diagnostics, error, names};
use super::flow::Step;
use super::names::Named;
use crate::diagnostic::Diagnostic;

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
        let times = spec.check_times().filter(|(interval, timeout, ..)| timeout > interval);
        if let Some(((interval, timeout, ..), checks)) = times.zip(spec.checks.as_ref()) {
            let message =
                format!("a check may take {timeout} and the next begins after {interval}");
            found.push(
                error("out-of-range", &checks.place, message).help("let `timeout` ≤ `interval`"),
            );
        }
        found.extend(queue(cx, balancer));
        found.extend(zones(cx, balancer));
        match spec.passes() {
            true => found.extend(layer_four(cx, balancer)),
            false => {
                let (why, help) =
                    ("only an NLB (`kind = \"nlb\"`) may end TLS at a price", "leave it out");
                found.extend(cx.no_effect(
                    &format!("balancer.{}.price.tls", balancer.name),
                    why,
                    help,
                ));
            }
        }
        found.extend(callers(cx, balancer));
        if let BalanceBy::Keys(_) = spec.by {
            let stays = matches!(spec.chooses(), Policy::Sticky(_)) || spec.connections().is_some();
            if stays {
                let message = format!(
                    "`balancer.{}` goes by keys, but sticks to a user or a connection",
                    balancer.name
                );
                let help =
                    "let `policy` be `hash`, `consistent-hash` or `maglev` and `per` be `request`";
                found.push(error("one-of", &place("by"), message).help(help));
            } else if !matches!(
                spec.chooses(),
                Policy::Hash | Policy::ConsistentHash(_) | Policy::Maglev(_)
            ) {
                let why = "this `policy` hashes nothing";
                let help = "let `policy` be `hash`, `consistent-hash` or `maglev`";
                found.extend(cx.no_effect(&format!("balancer.{}.by", balancer.name), why, help));
            }
        }
        let least = matches!(spec.chooses(), Policy::LeastOutstanding);
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

/// A balancer whose nodes know the targets of their own zone only has one in each of these.
fn zones(cx: &Cx<'_>, balancer: &Named<Balancer>) -> Option<Diagnostic> {
    let path = format!("balancer.{}", balancer.name);
    if !matches!(balancer.spec.kind, BalancerKind::Alb | BalancerKind::Nlb) {
        let why = "only ALB and NLB have a node in each zone";
        return cx.no_effect(&format!("{path}.cross_zone"), why, "leave it out");
    }
    let zones = cx.topology.zones_of(balancer);
    let nodes = cx.topology.nodes_of(balancer);
    (!balancer.spec.crosses_zones() && nodes != zones).then(|| {
        let message = format!(
            "`{path}` has {nodes} nodes, which each send to their own zone, in a region of {zones}"
        );
        let help = "let `region.NAME.zones` be as many, or say `cross_zone = true`";
        error("out-of-range", &balancer.place, message).help(help)
    })
}

/// What a balancer cannot do that looks into no request.
fn layer_four(cx: &Cx<'_>, balancer: &Named<Balancer>) -> Diagnostics {
    let (spec, path) = (&balancer.spec, format!("balancer.{}", balancer.name));
    let place = |key: &str| cx.tree.place_of(&format!("{path}.{key}"));
    let mut found = Vec::new();
    if spec.per == Some(BalancePer::Request) {
        let message = format!("`{path}` is an NLB, which does not see requests");
        let help = "leave out `per`, or let `kind` be `alb`";
        found.push(error("one-of", &place("per"), message).help(help));
    }
    let by_address =
        matches!(spec.policy, Some(Policy::Sticky(_))) && spec.by == BalanceBy::Address;
    if spec.policy.is_some() && spec.policy != Some(Policy::Random) && !by_address {
        let message = format!("`{path}` is an NLB, which chooses by a hash of each connection");
        let help = "leave out `policy`, or stick to addresses: `policy = \"sticky\"` with \
                    `by = \"address\"`";
        found.push(error("one-of", &place("policy"), message).help(help));
    }
    let why = "connections go through an NLB to their targets: it has none of its own, waits for no \
               answer and tries nothing again";
    for key in [
        "connect_timeout",
        "idle_timeout",
        "keep_alive",
        "keepalive_requests",
        "most_idle",
        "max_conns",
        "max_requests",
        "next_upstream",
        "ejection",
        "slow_start",
        "weights",
    ] {
        found.extend(cx.no_effect(&format!("{path}.{key}"), why, "leave it out"));
    }
    found
}

/// A connection of each calling process, where nobody calls.
fn callers(cx: &Cx<'_>, balancer: &Named<Balancer>) -> Diagnostics {
    let service = &balancer.spec.service.name;
    let calls = |step: &Step| matches!(step, Step::Call(call) if call.service.name == *service);
    if !balancer.spec.is_of_processes()
        || cx.topology.steps().iter().any(|(_, it)| calls(&it.value))
    {
        return Vec::new();
    }
    let why = "no step calls its service: users come to it";
    let help = "leave it out, or `call` the service";
    cx.no_effect(&format!("balancer.{}.per.connection.of", balancer.name), why, help)
        .into_iter()
        .collect()
}

/// What the queue of a balancer and its limit say must fit together.
fn queue(cx: &Cx<'_>, balancer: &Named<Balancer>) -> Diagnostics {
    let (spec, path) = (&balancer.spec, format!("balancer.{}", balancer.name));
    let mut found = Vec::new();
    let mut idle = |key: &str, why: &str, help: &str| {
        found.extend(cx.no_effect(&format!("{path}.{key}"), why, help));
    };
    let haproxy = spec.kind == BalancerKind::HaProxy;
    match spec.kind {
        BalancerKind::Alb | BalancerKind::Envoy | BalancerKind::Nlb => {
            let why = "an ALB or NLB lets no request wait, and Envoy those for a connection (`max_pending`)";
            idle("queue", why, "leave it out, or let `kind` be `haproxy` or `nginx`");
        }
        _ if spec.max_conns.is_none() => {
            let why = "nobody finds a target full: there is no `max_conns`";
            idle("queue", why, "say `max_conns`, or leave it out");
        }
        _ => {}
    }
    if !spec.queues() || spec.max_conns.is_none() {
        idle("ramp", "there is no queue of targets with `max_conns`", "say both, or leave it out");
    }
    for key in ["retries", "redispatch", "reuse", "purge"] {
        if !haproxy {
            let why = "only HAProxy does so; nginx has `next_upstream`";
            idle(key, why, "leave it out, or let `kind` be `haproxy`");
        }
    }
    if haproxy && spec.next_upstream == Some(true) {
        let why = "HAProxy repeats what was not sent (`retries`, `redispatch`), and nothing else";
        idle("next_upstream", why, "leave it out");
    }
    if haproxy
        && matches!(spec.reuse, Reuse::Safe | Reuse::Aggressive)
        && cx.topology.client.connection.is_none()
    {
        let why = "connections of users are not simulated: there is no `client.connection`";
        idle("reuse", why, "say `client.connection`, or leave it out");
    }
    if let Some((ramp, most)) = spec.ramp.as_ref().zip(spec.max_conns)
        && ramp.least > most
    {
        let message = format!("`{path}.ramp.least` is {}, but `max_conns` is {most}", ramp.least);
        let help = "let `least` be at most `max_conns`";
        found.push(error("out-of-range", &ramp.place, message).help(help));
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
    found.extend(phases(cx));
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

/// What follows a phase is one of them for certain, and each can come again from each.
fn phases(cx: &Cx<'_>) -> Diagnostics {
    let Some(arrivals) = &cx.topology.arrivals else { return Vec::new() };
    let phases = &arrivals.phases;
    let mut found = Vec::new();
    for (number, phase) in phases.iter().enumerate().filter(|(_, phase)| !phase.next.is_empty()) {
        let place = &phase.place;
        let sum: f64 = phase.next.iter().map(|share| share.0).sum();
        let path = format!("arrivals.phases.{number}.next");
        if phase.next.len() != phases.len() {
            let message = format!(
                "`{path}` has {} probabilities, and there are {} phases",
                phase.next.len(),
                phases.len()
            );
            let help = "say one for each phase of the list, 0 % for those that never follow";
            found.push(error("bad-phase", place, message).help(help));
        } else if (sum - 1.0).abs() > 1e-6 {
            let message = format!("`{path}` adds up to {} %", (sum * 1e4).round() / 1e2);
            found.push(error("bad-phase", place, message).help("let them add up to 100 %"));
        }
    }
    if !found.is_empty() {
        return found;
    }
    let rows: Vec<Vec<f64>> =
        phases.iter().enumerate().map(|(at, it)| it.following(at, phases.len())).collect();
    let reaches = |from: usize| {
        let (mut seen, mut open) = (vec![false; phases.len()], vec![from]);
        while let Some(at) = open.pop() {
            let follows = |to: &usize| rows[at][*to] > 0.0 && !seen[*to];
            let all: Vec<usize> = (0..phases.len()).filter(follows).collect();
            all.iter().for_each(|to| seen[*to] = true);
            open.extend(all);
        }
        seen.iter().all(|it| *it)
    };
    if let Some(number) = (0..phases.len()).find(|from| !reaches(*from)) {
        let message =
            format!("not every phase can come after `arrivals.phases.{number}`, however late");
        let help = "let `next` lead from each phase to each other, at once or through others";
        found.push(error("bad-phase", &phases[number].place, message).help(help));
    }
    found
}
