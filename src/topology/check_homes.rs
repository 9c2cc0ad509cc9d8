//! What must hold where users of some regions do what others do not, or are answered elsewhere at times.

use super::check::{Cx, Diagnostics, error, find};
use super::file::Topology;
use super::flow::Operation;
use super::names::Named;
use super::region::Region;

/// Whether users of a region do an operation.
fn does(operation: &Operation, region: &str) -> bool {
    operation.users_in.is_empty() || operation.users_in.iter().any(|it| it.name == region)
}

/// From where operations are asked for: by those who do them, and by those for whom they stand in.
pub(crate) fn askers(topology: &Topology) -> Vec<(&Named<Operation>, &Named<Region>)> {
    let operations = &topology.operations;
    let mut found = Vec::new();
    for home in topology.regions.iter().filter(|region| topology.is_home(region)) {
        let mut asked = vec![false; operations.len()];
        for operation in operations.iter().filter(|it| does(&it.spec, &home.name)) {
            let mut next = Some(operation.name.as_str());
            while let Some(name) = next {
                let place = operations.iter().position(|it| it.name == name);
                let place = place.expect("what stands in is there");
                next = match std::mem::replace(&mut asked[place], true) {
                    true => None,
                    false => operations[place].spec.failover.as_ref().map(|it| it.name.as_str()),
                };
            }
        }
        let asked = operations.iter().zip(asked).filter(|(_, asked)| *asked);
        found.extend(asked.map(|(operation, _)| (operation, home)));
    }
    found
}

/// What must hold where not all users do the same.
pub(crate) fn homes(cx: &Cx<'_>) -> Diagnostics {
    [idle_regions(cx), strangers_next(cx), homes_of_traces(cx)].concat()
}

/// Users of every region do something.
fn idle_regions(cx: &Cx<'_>) -> Diagnostics {
    let operations = &cx.topology.operations;
    let idle =
        |region: &str| !operations.iter().any(|it| it.spec.share > 0.0 && does(&it.spec, region));
    let regions = cx.topology.regions.iter();
    let lived_in = regions.filter(|it| it.spec.users.is_some_and(|share| share.0 > 0.0));
    lived_in
        .filter(|region| idle(&region.name))
        .map(|region| {
            let name = &region.name;
            let message = format!("users live in `region.{name}`, but no operation is theirs");
            let help = format!(
                "add `{name}` to the `users_in` of an operation, or give one to all users by leaving its \
                 `users_in` away"
            );
            error("idle-region", &region.place, message).help(help)
        })
        .collect()
}

/// What follows an operation is done by all who do it.
fn strangers_next(cx: &Cx<'_>) -> Diagnostics {
    let (operations, regions) = (&cx.topology.operations, &cx.topology.regions);
    let mut found = Vec::new();
    for one in operations {
        for next in &one.spec.next {
            let then = find(operations, &next.to.name);
            let stray =
                regions.iter().find(|it| does(&one.spec, &it.name) && !does(&then.spec, &it.name));
            let Some(region) = stray else { continue };
            let place = cx.tree.place_of(&format!("operation.{}.next", one.name));
            let message = format!(
                "users in `region.{}` do `operation.{}`, but not `operation.{}`, which is to follow it",
                region.name, one.name, then.name
            );
            let help =
                format!("add `{}` to the `users_in` of `operation.{}`", region.name, then.name);
            found.push(error("idle-region", &place, message).help(help));
        }
    }
    found
}

/// A trace that says what is done does not say who does it.
fn homes_of_traces(cx: &Cx<'_>) -> Diagnostics {
    let trace = cx.topology.arrivals.as_ref().and_then(|arrivals| arrivals.trace.as_ref());
    let Some(trace) = trace else { return Vec::new() };
    let named = trace.file.rows.iter().filter_map(|row| row.operation.as_ref());
    let some_users = |name: &&String| {
        let operations = &cx.topology.operations;
        operations.iter().any(|it| it.name == **name && !it.spec.users_in.is_empty())
    };
    let Some(name) = named.into_iter().find(some_users) else { return Vec::new() };
    let place = cx.tree.place_of(&format!("operation.{name}.users_in"));
    let path = &trace.file.path;
    let message = format!("`{path}` says when `operation.{name}` is done, by users of any region");
    let help = "leave `users_in` away: users of a trace live where `region.NAME.users` says";
    vec![error("bad-trace", &place, message).help(help)]
}

/// What stands in for an operation is done by another service.
pub(crate) fn stand_ins(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    for operation in &topology.operations {
        let Some(other) = &operation.spec.failover else { continue };
        let place = cx.tree.place_of(&format!("operation.{}.failover", operation.name));
        let other = find(&topology.operations, &other.name);
        let services = (topology.service_of(&operation.spec), topology.service_of(&other.spec));
        let message = match services {
            (None, _) => {
                "nothing can fail here: the operation is answered by no service".to_string()
            }
            (Some(one), Some(another)) if one.name == another.name => {
                format!("both operations are answered by `service.{}`, and fail with it", one.name)
            }
            _ => continue,
        };
        let help = "name an operation of a service in another region, or leave `failover` away";
        found.push(error("no-stand-in", &place, message).help(help));
    }
    found
}
