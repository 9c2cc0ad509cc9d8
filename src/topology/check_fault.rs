//! What a fault may strike, and how.

use super::cache::{Cache, CacheKind};
use super::check::{Cx, Diagnostics, error, find, names};
use super::fault::{Cut, Fault, Harm, Target};
use super::names::{Named, Section};
use super::stream::StreamKind;
use crate::diagnostic::{Diagnostic, Place};

/// What can happen to the components of a section.
fn possible(section: Section) -> &'static [&'static str] {
    match section {
        Section::Service => &["stop", "restart", "node-loss", "slow", "flaky", "cut"],
        Section::Database => &["stop", "restart", "failover", "promote", "slow", "flaky", "cut"],
        Section::Cache => &["stop", "restart", "failover", "slow", "flaky", "cut"],
        Section::Pooler => &["stop", "restart", "slow", "flaky", "cut"],
        Section::Host => &["stop", "restart", "slow", "cut"],
        Section::Region => &["stop", "restart", "slow", "flaky", "cut"],
        Section::Cdn | Section::Pool => &["stop", "restart", "slow", "flaky"],
        Section::Link | Section::Balancer | Section::Store => &["stop", "slow", "flaky"],
        Section::Consumer => &["stop", "restart", "slow", "cut"],
        Section::Queue => &["stop", "restart", "slow", "flaky", "cut"],
        Section::Stream => &["stop", "slow", "broker-loss"],
        Section::Socket => &["stop", "flaky"],
        _ => &[],
    }
}

fn word(harm: &Harm) -> &'static str {
    match harm {
        Harm::Stop => "stop",
        Harm::Restart => "restart",
        Harm::Failover(_) => "failover",
        Harm::Promote => "promote",
        Harm::NodeLoss(_) => "node-loss",
        Harm::BrokerLoss(_) => "broker-loss",
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
            found.extend(zone_of(cx, fault, target));
        }
        if fault.spec.count.is_some() && fault.spec.share.is_some() {
            let message = format!("`fault.{}` says both `count` and `share`", fault.name);
            found.push(error("one-of", &fault.place, message).help("keep one of the two"));
        }
        let cut_of_many = matches!(fault.spec.what, Harm::Cut(_))
            && (fault.spec.count.is_some()
                || fault.spec.share.is_some()
                || fault.spec.zone.is_some()
                || fault.spec.apart);
        if cut_of_many {
            let message = format!("`fault.{}` cuts off a part of a component", fault.name);
            let help =
                "leave out `count`, `share`, `zone` and `apart`: a network cut isolates the whole";
            found.push(error("bad-fault", &fault.place, message).help(help));
        }
    }
    found
}

/// A fault of a zone strikes a region that has it.
fn zone_of(cx: &Cx<'_>, fault: &Named<Fault>, target: &Target) -> Option<Diagnostic> {
    let zone = fault.spec.zone?;
    let topology = cx.topology;
    use Section::{Cache, Consumer, Database, Queue, Region, Service};
    if !matches!(target.section, Region | Service | Database | Cache | Queue | Consumer) {
        let message = format!(
            "`fault.{}` strikes a zone of a {}, which is in none",
            fault.name, target.section
        );
        let help = "leave out `zone`, or strike a region, a service, a database, a cache, a queue or \
                    a consumer";
        return Some(error("bad-fault", &target.place, message).help(help));
    }
    let zones = topology.place_of(target.section, &target.name).map_or(1, |it| it.spec.zones);
    let message = format!("`fault.{}` strikes zone {zone} of {zones}", fault.name);
    let help = "let `region.NAME.zones` say how many zones there are";
    (zone > zones).then(|| error("bad-fault", &fault.place, message).help(help))
}

/// A fault of a region strikes what stands there, so that everything must say where it does.
pub(crate) fn homeless_amid_faults(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let of_region = |fault: &Named<Fault>| match &fault.spec.what {
        Harm::Cut(Cut { from: Some(from), .. }) if from.section == Section::Region => true,
        _ => fault.spec.target.0.iter().any(|target| target.section == Section::Region),
    };
    let Some(fault) = topology.faults.iter().find(|it| of_region(it)) else { return Vec::new() };
    let queues = topology.queues.iter().map(|it| (Section::Queue, &it.name, &it.place));
    let streams = topology.streams.iter().map(|it| (Section::Stream, &it.name, &it.place));
    let stores = topology.stores.iter().map(|it| (Section::Store, &it.name, &it.place));
    let all = queues.chain(streams).chain(stores);
    let homeless = all.filter(|(section, name, _)| topology.place_of(*section, name).is_none());
    let several = topology.regions.len() > 1;
    let one = |(section, name, place): (Section, &String, &Place)| {
        let message = format!(
            "`{section}.{name}` does not say in which region it stands, and `fault.{}` strikes one",
            fault.name
        );
        error("ambiguous", place, message)
            .help(format!("add `region`, one of {}", names(&topology.regions)))
    };
    homeless.filter(|_| several).map(one).collect()
}

/// A fault takes a Redis away whose clients nobody has named: real ones let commands wait.
pub(crate) fn ideal_clients(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let takes_away = |cache: &Named<Cache>, fault: &Named<Fault>| {
        let of = |section, name: &str| match section {
            Section::Cache => name == cache.name,
            Section::Host => cache.spec.host.as_ref().is_some_and(|it| it.name == name),
            Section::Region => {
                let place = topology.place_of(Section::Cache, &cache.name);
                place.is_some_and(|it| it.name == name)
            }
            _ => false,
        };
        let struck = fault.spec.target.0.iter().any(|it| of(it.section, &it.name));
        match &fault.spec.what {
            Harm::Stop | Harm::Restart | Harm::Failover(_) => struck,
            Harm::Cut(cut) => {
                struck || cut.from.as_ref().is_some_and(|it| of(it.section, &it.name))
            }
            Harm::Promote
            | Harm::NodeLoss(_)
            | Harm::BrokerLoss(_)
            | Harm::Slow(_)
            | Harm::Flaky(_) => false,
        }
    };
    let warn = |cache: &Named<Cache>| {
        let spec = &cache.spec;
        if spec.kind == CacheKind::Memory || spec.client.is_some() {
            return None;
        }
        let fault = topology.faults.iter().find(|fault| takes_away(cache, fault))?;
        let message = format!(
            "`fault.{}` strikes `cache.{}`, whose commands then fail at once: it names no `client`",
            fault.name, cache.name
        );
        let help = "write `client = \"ioredis-5\"`, \"ioredis-6\" or \"node-redis\", which let commands wait \
                    while they reconnect, or \"ideal\" where the application sees to it that none waits";
        Some(Diagnostic::warning("ideal-client", cache.place.clone(), message).help(help))
    };
    topology.caches.iter().filter_map(warn).collect()
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
    found.extend(elsewhere(cx, fault, target, &path));
    if target.section == Section::Cache {
        let cache = find(&cx.topology.caches, &target.name);
        if cache.spec.kind == CacheKind::Memory {
            let message = format!("`{path}` is memory of its service's workers");
            let help = "let the fault strike the service: it takes its memory with it";
            found.push(error("bad-fault", &target.place, message).help(help));
        }
    }
    if let (Section::Cache, Harm::Failover(takeover)) = (target.section, &fault.spec.what)
        && !takeover.silent.is_zero()
    {
        let message = format!("`{path}` cannot be lost without a word: only a database can");
        let help = "leave out `silent`, or let a `cut` isolate the cache";
        found.push(error("bad-fault", &target.place, message).help(help));
    }
    if target.section == Section::Database && fault.spec.what == Harm::Promote {
        let database = find(&cx.topology.databases, &target.name);
        if target.replicas || database.spec.all_replicas() == 0 {
            let message = format!("`{path}` has nobody to promote");
            let help = "strike the primary of a database with `replicas`; a standby takes over in a \
                        `failover`";
            found.push(error("bad-fault", &target.place, message).help(help));
        }
    }
    let lonely = target.section == Section::Database
        && target.replicas
        && find(&cx.topology.databases, &target.name).spec.all_replicas() == 0;
    if lonely {
        let message = format!("`{path}` has no replicas that could fail");
        let help = "strike the database itself, or give it `replicas`";
        found.push(error("bad-fault", &target.place, message).help(help));
    }
    found
}

/// What is no thing of its own, or has another far end than is said.
fn elsewhere(cx: &Cx<'_>, fault: &Named<Fault>, target: &Target, path: &str) -> Diagnostics {
    let mut found = Vec::new();
    let mut wrong = |message: String, help: &str| {
        found.push(error("bad-fault", &target.place, message).help(help));
    };
    if target.section == Section::Stream {
        let stream = find(&cx.topology.streams, &target.name);
        if !matches!(stream.spec.kind, StreamKind::Kafka(_)) {
            wrong(
                format!("`{path}` has no brokers of its own: a Redis keeps it, or AWS"),
                "strike the cache that keeps it, or its consumers",
            );
        }
        if let (StreamKind::Kafka(topic), Harm::BrokerLoss(loss)) =
            (&stream.spec.kind, &fault.spec.what)
            && loss.broker > topic.all_brokers()
        {
            wrong(
                format!(
                    "`{path}` has {} brokers, and no number {}",
                    topic.all_brokers(),
                    loss.broker
                ),
                "count its `brokers` from 1",
            );
        }
    }
    if let (Section::Consumer, Harm::Cut(cut)) = (target.section, &fault.spec.what)
        && cut.from.is_some()
    {
        wrong(
            format!("`{path}` talks to nobody but the brokers of its stream"),
            "leave `from` out: a cut keeps consumers from their brokers",
        );
    }
    if target.section == Section::Host {
        let all = [("count", fault.spec.count.is_some()), ("share", fault.spec.share.is_some())];
        for (key, _) in all.into_iter().filter(|(_, said)| *said) {
            wrong(
                format!("`fault.{}` strikes a part of a machine: `{key}`", fault.name),
                "leave it out, or strike a service, a database or a cache that runs there",
            );
        }
    }
    found
}
