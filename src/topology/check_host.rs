//! Machines that several components share.

use super::check::{Cx, Diagnostics, error};
use super::names::{Named, Ref};
use crate::diagnostic::{Diagnostic, Place};

/// Who runs on a shared machine has no cores of its own.
pub(super) fn hosts(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let mut own = |path: String, host: &Option<Ref<super::Host>>, keys: &[&str]| {
        let Some(host) = host else { return };
        for key in keys {
            let at = format!("{path}.{key}");
            if cx.tree.at(&at).is_some() {
                let message = format!(
                    "`{path}` runs on `host.{}`: `{key}` would be of a machine of its own",
                    host.name
                );
                let help = format!(
                    "leave `{key}` out, and say `cores` of `[host.{}]`; or leave `host` out",
                    host.name
                );
                found.push(error("two-machines", &cx.tree.place_of(&at), message).help(help));
            }
        }
    };
    let topology = cx.topology;
    let named: Vec<&str> = {
        let services = topology.services.iter().map(|it| &it.spec.host);
        let databases = topology.databases.iter().map(|it| &it.spec.host);
        let caches = topology.caches.iter().map(|it| &it.spec.host);
        let all = services.chain(databases).chain(caches);
        all.flatten().map(|host| host.name.as_str()).collect()
    };
    for Named { name, spec, .. } in &topology.services {
        own(format!("service.{name}"), &spec.host, &["cores"]);
    }
    for Named { name, spec, .. } in &topology.databases {
        own(format!("database.{name}"), &spec.host, &["cores", "contention", "credits"]);
    }
    for Named { name, spec, place } in &topology.caches {
        if let (Some(host), super::CacheKind::Memory) = (&spec.host, &spec.kind) {
            let place: &Place = place;
            let message = format!(
                "`cache.{name}` is memory of its service, and computes where that does, not on `host.{}`",
                host.name
            );
            let help = "leave `host` out, and say it of the service";
            found.push(error("two-machines", place, message).help(help));
        }
    }
    for host in topology.hosts.iter().filter(|host| !named.contains(&host.name.as_str())) {
        let message = format!("nothing uses `host.{}`", host.name);
        let help = "name it as the `host` of what computes on it, or remove it";
        let place = host.place.clone();
        found.push(Diagnostic::warning("unused-component", place, message).help(help));
    }
    found.extend(priorities(cx));
    found
}

/// Who goes first is said among those who share a machine.
fn priorities(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    let mut alone = |path: String, host: &Option<Ref<super::Host>>| {
        let at = format!("{path}.priority");
        if host.is_none() && cx.tree.at(&at).is_some() {
            let message = format!("`{path}` shares its cores with nobody who could go first");
            let help = format!(
                "name the `[host]` that `{path}` runs on with others, or leave `priority` out"
            );
            found.push(error("priority-alone", &cx.tree.place_of(&at), message).help(help));
        }
    };
    for Named { name, spec, .. } in &topology.services {
        alone(format!("service.{name}"), &spec.host);
    }
    for Named { name, spec, .. } in &topology.databases {
        alone(format!("database.{name}"), &spec.host);
    }
    for Named { name, spec, .. } in &topology.caches {
        alone(format!("cache.{name}"), &spec.host);
    }
    found
}
