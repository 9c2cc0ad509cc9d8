//! What must hold for functions, which are services of another kind.

use super::check::{Cx, Diagnostics, error};
use super::flow::{Flow, Step};
use super::function::{Function, ProvisionedScaling, UNRESERVABLE};
use super::names::Named;
use super::service::Service;
use crate::diagnostic::{Diagnostic, Place};
use crate::units::Duration;

/// What AWS allows, what functions have, and what they do after they have answered.
pub(crate) fn functions(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for service in &cx.topology.services {
        if service.spec.function.is_some() {
            found.extend(idle_keys(cx, service));
            found.extend(bounds(cx, service));
        }
    }
    found.extend(concurrency(cx));
    found.extend(attached(cx));
    found.extend(frozen_work(cx));
    found
}

fn is_function(cx: &Cx<'_>, name: &str) -> bool {
    let services = cx.topology.services.iter();
    services.filter(|it| it.name == name).any(|it| it.spec.function.is_some())
}

fn not_for_functions(place: &Place, message: String, help: &str) -> Diagnostic {
    error("not-for-functions", place, message).help(help)
}

/// Keys of instances that stay.
fn idle_keys(cx: &Cx<'_>, service: &Named<Service>) -> Diagnostics {
    const KEYS: [&str; 17] = [
        "instances",
        "workers",
        "hand_out",
        "cores",
        "host",
        "max_connections",
        "backlog",
        "on_overflow",
        "keep_alive",
        "replace",
        "memory",
        "timers",
        "liveness",
        "readiness",
        "crash_back_off",
        "autoscale",
        "price",
    ];
    let said = KEYS.iter().filter_map(|key| {
        let path = format!("service.{}.{key}", service.name);
        let help = match *key {
            "instances" | "autoscale" | "max_connections" | "backlog" => {
                "leave it out; `function.reserved` says how many may run at once"
            }
            "cores" | "memory" => "leave it out; `function.memory` says both memory and cores",
            "price" => "write `function.price`",
            _ => "leave it out",
        };
        let message = format!("`{path}` has no meaning: `service.{}` is a function", service.name);
        cx.tree.at(&path).map(|_| not_for_functions(&cx.tree.place_of(&path), message, help))
    });
    said.collect()
}

fn bounds(cx: &Cx<'_>, service: &Named<Service>) -> Diagnostics {
    let function = service.spec.function.as_ref().expect("asked for functions only");
    let place = |key: &str| cx.tree.place_of(&format!("service.{}.function.{key}", service.name));
    let mib = function.memory.0 / 1_048_576.0;
    let mut found = Vec::new();
    if !(128.0..=10_240.0).contains(&mib) {
        let message = format!("a function has 128 MiB to 10,240 MiB of memory, not {mib} MiB");
        let help = "write, for example, `memory = \"1024MiB\"`";
        found.push(error("out-of-range", &place("memory"), message).help(help));
    }
    if function.timeout > Duration::secs(900) {
        let message = format!("an execution lasts at most 15 min, not {}", function.timeout);
        let help = "write `timeout = \"15min\"` or less";
        found.push(error("out-of-range", &place("timeout"), message).help(help));
    }
    if let Some(scaling) = &function.autoscale {
        found.extend(scales(cx, service, function, scaling));
    }
    if let Some(reserved) = function.reserved.filter(|it| *it < function.provisioned) {
        let provisioned = function.provisioned;
        let message = format!("{provisioned} environments are kept ready, of {reserved} reserved");
        let help = "let `provisioned` ≤ `reserved`";
        found.push(error("function-concurrency", &place("provisioned"), message).help(help));
    }
    found
}

/// Environments that are kept ready start within the bounds of their autoscaler, which AWS and the account allow.
fn scales(
    cx: &Cx<'_>,
    service: &Named<Service>,
    function: &Function,
    scaling: &ProvisionedScaling,
) -> Diagnostics {
    let place =
        |key: &str| cx.tree.place_of(&format!("service.{}.function.autoscale.{key}", service.name));
    let (min, max, at_start) = (scaling.min, scaling.max, function.provisioned);
    let mut found = Vec::new();
    if !(min..=max).contains(&at_start) {
        let message =
            format!("{at_start} environments are kept ready at first, and then {min} to {max}");
        let help = "let `min` ≤ `provisioned` ≤ `max`";
        found.push(error("out-of-range", &place("min"), message).help(help));
    }
    if !(0.1..=0.9).contains(&scaling.target.0) {
        let message = format!("the target is {}: AWS takes 10% to 90%", scaling.target);
        let help = "write, for example, `target = \"70%\"`";
        found.push(error("out-of-range", &place("target"), message).help(help));
    }
    let most = cx.topology.environments(&service.spec, function);
    let wants = scaling.schedule.iter().filter_map(|it| it.max).fold(max, u32::max);
    if wants > most {
        let message = format!(
            "up to {wants} environments are kept ready, and `service.{}` may have {most}",
            service.name
        );
        let help = "let `max` be less, or raise `reserved` or the region's `functions`";
        found.push(error("function-concurrency", &place("max"), message).help(help));
    }
    found
}

/// What is reserved leaves something to functions that have reserved nothing.
fn concurrency(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    let regions: Vec<_> = match topology.regions.is_empty() {
        true => vec![None],
        false => topology.regions.iter().map(Some).collect(),
    };
    for region in regions {
        let (left, all) = topology.account(region);
        let of = |service: &&Named<Service>| {
            let here = topology.region_of(&service.spec).map(|it| &it.name);
            let keeps =
                |it: &super::function::Function| it.reserved.is_some() || it.provisioned > 0;
            here == region.map(|it| &it.name) && service.spec.function.as_ref().is_some_and(keeps)
        };
        let Some(first) = topology.services.iter().find(of) else { continue };
        if left < UNRESERVABLE {
            let message = format!(
                "functions reserve {} of the {all} executions of the account: fewer than {UNRESERVABLE} are left",
                all - left
            );
            let place = cx.tree.place_of(&format!("service.{}.function", first.name));
            found.push(error("function-concurrency", &place, message).help(
                "reserve less, or say with `functions` of the region what AWS has granted the account",
            ));
        }
    }
    found
}

/// What is for instances that stay.
fn attached(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let balancers = topology.balancers.iter().map(|it| (&it.spec.service, "a balancer"));
    let deploys = topology.deploys.iter().map(|it| (&it.spec.service, "a deploy"));
    let sockets = topology.sockets.iter().map(|it| (&it.spec.service, "a WebSocket"));
    let all = balancers.chain(deploys).chain(sockets);
    let wrong = all.filter(|(service, _)| is_function(cx, &service.name)).map(|(service, what)| {
        let message =
            format!("{what} needs instances that stay: `service.{}` is a function", service.name);
        not_for_functions(&service.place, message, "let it serve another service, or remove it")
    });
    wrong.collect()
}

/// A function answers when its handler ends: then its environment is frozen.
fn frozen_work(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for operation in &cx.topology.operations {
        let service = cx.topology.service_of(&operation.spec);
        if service.is_some_and(|service| service.spec.function.is_some()) {
            look_for_replies(&operation.spec.flow, None, &mut found);
        }
    }
    for (_, step) in cx.topology.steps() {
        if let Step::Call(call) = &step.value
            && is_function(cx, &call.service.name)
        {
            look_for_replies(&call.flow, None, &mut found);
        }
    }
    found
}

/// Replies of a flow after which something else comes, within it or behind it.
fn look_for_replies(flow: &Flow, behind: Option<&Place>, found: &mut Diagnostics) {
    for (index, step) in flow.iter().enumerate() {
        let next = flow.get(index + 1).map(|step| &step.place).or(behind);
        match &step.value {
            Step::Reply(_) => {
                let Some(next) = next else { continue };
                let message = "a function is frozen when it has answered: this runs no more".into();
                let help = "put the `reply` last, or leave the work to a queue with `enqueue`";
                let one = not_for_functions(next, message, help);
                found.push(one.related(step.place.clone(), "answered here"));
            }
            // It commits when it has answered.
            Step::Transaction(inner) => look_for_replies(&inner.flow, Some(&step.place), found),
            Step::Cache(inner) => look_for_replies(&inner.miss, next, found),
            Step::Choose(branches) => {
                branches.iter().for_each(|it| look_for_replies(&it.flow, next, found));
            }
            _ => {}
        }
    }
}
