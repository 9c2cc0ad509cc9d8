//! What a fault may strike, and how.

use super::cache::CacheKind;
use super::check::{Cx, Diagnostics, error, find};
use super::fault::{Fault, Harm, Target};
use super::names::{Named, Section};

/// What can happen to the components of a section.
fn possible(section: Section) -> &'static [&'static str] {
    match section {
        Section::Service => &["stop", "restart", "slow", "flaky", "cut"],
        Section::Database | Section::Cache => {
            &["stop", "restart", "failover", "slow", "flaky", "cut"]
        }
        Section::Region => &["stop", "restart", "slow", "flaky", "cut"],
        Section::Cdn | Section::Pool => &["stop", "restart", "slow", "flaky"],
        Section::Link | Section::Balancer => &["stop", "slow", "flaky"],
        Section::Queue => &["slow", "flaky"],
        _ => &[],
    }
}

fn word(harm: &Harm) -> &'static str {
    match harm {
        Harm::Stop => "stop",
        Harm::Restart => "restart",
        Harm::Failover => "failover",
        Harm::Slow(_) => "slow",
        Harm::Flaky(_) => "flaky",
        Harm::Cut(_) => "cut",
    }
}

/// Faults strike what can be struck so.
pub(crate) fn faults(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for fault in &cx.topology.faults {
        for target in &fault.spec.target.0 {
            found.extend(strikes(cx, fault, target));
        }
        if fault.spec.count.is_some() && fault.spec.share.is_some() {
            let message = format!("`fault.{}` says both `count` and `share`", fault.name);
            found.push(error("one-of", &fault.place, message).help("keep one of the two"));
        }
        let cut_of_many = matches!(fault.spec.what, Harm::Cut(_))
            && (fault.spec.count.is_some() || fault.spec.share.is_some() || fault.spec.apart);
        if cut_of_many {
            let message = format!("`fault.{}` cuts off a part of a component", fault.name);
            let help = "leave out `count`, `share` and `apart`: a network cut isolates the whole";
            found.push(error("bad-fault", &fault.place, message).help(help));
        }
    }
    found
}

fn strikes(cx: &Cx<'_>, fault: &Named<Fault>, target: &Target) -> Diagnostics {
    let mut found = Vec::new();
    let verb = word(&fault.spec.what);
    let path = format!("{}.{}", target.section, target.name);
    let may = possible(target.section);
    if !may.contains(&verb) {
        let message = format!("`{path}` cannot `{verb}`");
        let all: Vec<String> = may.iter().map(|verb| format!("`{verb}`")).collect();
        let help = format!("what can happen to a {}: {}", target.section, all.join(", "));
        found.push(error("bad-fault", &target.place, message).help(help));
    }
    if target.section == Section::Cache {
        let cache = find(&cx.topology.caches, &target.name);
        if cache.spec.kind == CacheKind::Memory {
            let message = format!("`{path}` is memory of its service's workers");
            let help = "let the fault strike the service: it takes its memory with it";
            found.push(error("bad-fault", &target.place, message).help(help));
        }
    }
    let lonely = target.section == Section::Database
        && target.replicas
        && find(&cx.topology.databases, &target.name).spec.replicas == 0;
    if lonely {
        let message = format!("`{path}` has no replicas that could fail");
        let help = "strike the database itself, or give it `replicas`";
        found.push(error("bad-fault", &target.place, message).help(help));
    }
    found
}
