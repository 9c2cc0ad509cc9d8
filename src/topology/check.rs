//! What must hold between the parts of a topology: one function for each rule.

use super::cache::{Cache, CacheKind};
use super::file::Topology;
use super::flow::Step;
use super::limit::LimitStore;
use super::names::{Named, Ref, Reference, Section};
use super::region::{Region, usual_round_trip};
use super::retry::{Cause, Retry};
use super::service::Service;
use super::session::SessionStore;
use super::spec::{Reader, Shape};
use super::tree::Node;
use super::{
    check_cache, check_circles, check_connections, check_deploy, check_edge, check_effect,
    check_fault, check_flow, check_function, check_gate, check_held, check_homes, check_host,
    check_limits, check_mapping, check_monitor, check_pooler, check_price, check_replicas,
    check_upkeep, merge,
};
use crate::diagnostic::{Diagnostic, Place, SourceId, did_you_mean};
use crate::units::{Duration, Ratio};
pub(crate) type Diagnostics = Vec<Diagnostic>;

/// All rules over a topology whose parts are each right.
pub(crate) fn all(topology: &Topology, tree: &Node, reader: &Reader) -> Diagnostics {
    let cx = Cx { topology, tree, reader };
    let rules: &[fn(&Cx<'_>) -> Diagnostics] = &[
        one_workload,
        something_to_do,
        region_shares,
        ambiguous_regions,
        ambiguous_services,
        check_flow::shares,
        check_homes::homes,
        check_homes::stand_ins,
        check_flow::ambiguous_sessions,
        one_of_pairs,
        check_limits::thresholds,
        check_cache::memory_caches,
        check_cache::caches,
        check_flow::foreign_components,
        check_flow::foreign_middleware,
        check_flow::foreign_reads,
        check_flow::branch_shares,
        check_flow::replies,
        check_flow::read_only_transactions,
        check_held::too_many_held,
        check_host::hosts,
        check_gate::rates,
        check_limits::times,
        check_limits::crowds,
        check_limits::stores,
        check_limits::machines,
        check_limits::unrolled,
        check_connections::replicas,
        super::check_scaling::scaling_bounds,
        super::check_scaling::paces,
        check_connections::connection_bounds,
        super::check_socket::sockets,
        retry_bounds,
        wave_bounds,
        run_bounds,
        check_connections::too_many_connections,
        check_pooler::poolers,
        single_roles,
        check_fault::faults,
        check_fault::homeless_amid_faults,
        check_fault::ideal_clients,
        check_deploy::deploys,
        check_function::functions,
        check_mapping::mappings,
        check_circles::circles,
        check_monitor::monitors,
        check_price::sources,
        check_upkeep::upkeep,
        routes,
        check_edge::balancers,
        check_edge::arrivals,
        never_happens,
        check_effect::no_effect,
        unused,
        knobs,
    ];
    rules.iter().flat_map(|rule| rule(&cx)).collect()
}

/// What the rules look at.
pub(crate) struct Cx<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) tree: &'a Node,
    pub(crate) reader: &'a Reader,
}

impl Cx<'_> {
    /// A warning of a key that is said and looked at by nobody.
    pub(crate) fn no_effect(&self, path: &str, why: &str, help: &str) -> Option<Diagnostic> {
        self.tree.at(path)?;
        let message = format!("`{path}` has no effect: {why}");
        Some(Diagnostic::warning("no-effect", self.tree.place_of(path), message).help(help))
    }
}

pub(crate) fn error(slug: &'static str, place: &Place, message: String) -> Diagnostic {
    Diagnostic::error(slug, place.clone(), message)
}

pub(crate) fn find<'a, T>(all: &'a [Named<T>], name: &str) -> &'a Named<T> {
    all.iter().find(|component| component.name == name).expect("references were checked")
}

pub(crate) fn names<T>(all: &[Named<T>]) -> String {
    all.iter().map(|one| format!("`{}`", one.name)).collect::<Vec<_>>().join(", ")
}

/// Every name that is referred to exists.
pub(crate) fn references(tree: &Node, references: &[Reference]) -> Diagnostics {
    let known = |section: Section| -> Vec<&str> {
        let entries = tree.entry(section.key()).and_then(Node::entries).unwrap_or(&[]);
        entries.iter().map(|(key, _)| key.name.as_str()).collect()
    };
    references
        .iter()
        .filter(|wanted| !known(wanted.section).contains(&wanted.name.as_str()))
        .map(|wanted| {
            let names = known(wanted.section);
            let listing = if names.is_empty() {
                format!("the file has none; add `[{}.{}]`", wanted.section, wanted.name)
            } else {
                format!("the file has: {}", names.join(", "))
            };
            let help = match did_you_mean(&wanted.name, names) {
                Some(guess) => format!("{guess} ({listing})"),
                None => listing,
            };
            let message = format!("there is no {} `{}`", wanted.section, wanted.name);
            error("unknown-component", &wanted.place, message).help(help)
        })
        .collect()
}

fn one_workload(cx: &Cx<'_>) -> Diagnostics {
    match (&cx.topology.users, &cx.topology.arrivals) {
        (Some(users), Some(arrivals)) => vec![
            error("two-workloads", &arrivals.place, "there are `[users]` and `[arrivals]`".into())
                .help("keep `[users]` for a closed population, `[arrivals]` for an open stream")
                .related(users.place.clone(), "the other one"),
        ],
        (None, None) => vec![
            error("no-workload", &cx.tree.place, "nobody comes: there is no workload".into())
                .help("add `[users]` with `population` and `think`, or `[arrivals]` with `rate`"),
        ],
        _ => Vec::new(),
    }
}

fn something_to_do(cx: &Cx<'_>) -> Diagnostics {
    let Topology { operations, services, .. } = cx.topology;
    if operations.is_empty() || services.is_empty() {
        let (what, add) = if services.is_empty() {
            ("no service", "`[service.web]`")
        } else {
            ("no operation", "`[operation.browse]` with a `flow`")
        };
        let message = format!("there is {what}, so nothing can happen");
        return vec![error("nothing-to-do", &cx.tree.place, message).help(format!("add {add}"))];
    }
    Vec::new()
}

fn region_shares(cx: &Cx<'_>) -> Diagnostics {
    let regions = &cx.topology.regions;
    let stated: Vec<f64> =
        regions.iter().filter_map(|region| region.spec.users).map(|share| share.0).collect();
    let sum: f64 = stated.iter().sum();
    if regions.len() < 2 && stated.is_empty() || (sum - 1.0).abs() < 1e-9 {
        return Vec::new();
    }
    let message = format!("the regions' shares of users sum to {}", Ratio(sum));
    regions
        .iter()
        .take(1)
        .map(|region| {
            let place = cx.tree.place_of(&format!("region.{}.users", region.name));
            error("region-shares", &place, message.clone())
                .help("say for each region which share of the `users` live there: 100 % in all")
        })
        .collect()
}

fn ambiguous_regions(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    if topology.regions.len() < 2 {
        return Vec::new();
    }
    let mut homeless: Vec<(Section, &str, &Place)> = Vec::new();
    let mut note = |section, name, place, region: &Option<Ref<Region>>| {
        if region.is_none() {
            homeless.push((section, name, place));
        }
    };
    for it in &topology.services {
        note(Section::Service, it.name.as_str(), &it.place, &it.spec.region);
    }
    for it in &topology.databases {
        note(Section::Database, &it.name, &it.place, &it.spec.region);
    }
    // Memory stands where its service stands.
    for it in topology.caches.iter().filter(|cache| cache.spec.kind == CacheKind::Redis) {
        note(Section::Cache, &it.name, &it.place, &it.spec.region);
    }
    let all = names(&topology.regions);
    homeless
        .iter()
        .map(|(section, name, place)| {
            let message = format!("`{section}.{name}` does not say in which region it stands");
            error("ambiguous", place, message).help(format!("add `region`, one of {all}"))
        })
        .collect()
}

fn ambiguous_services(cx: &Cx<'_>) -> Diagnostics {
    let services = &cx.topology.services;
    cx.topology
        .operations
        .iter()
        .filter(|operation| services.len() > 1 && operation.spec.service.is_none())
        .map(|operation| {
            let message =
                format!("`operation.{}` does not say which service it asks", operation.name);
            error("ambiguous", &operation.place, message)
                .help(format!("add `service`, one of {}", names(services)))
        })
        .collect()
}

/// Keys of which exactly one must be said.
fn one_of_pairs(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let mut check = |place: &Place, what: String, keys: [&str; 2], said: [bool; 2]| {
        if said[0] != said[1] {
            return;
        }
        let (either, or) = if said[0] { ("both", "and") } else { ("neither", "nor") };
        let message = format!("{what} says {either} `{}` {or} `{}`", keys[0], keys[1]);
        found.push(error("one-of", place, message).help("say exactly one of the two"));
    };
    for guard in &cx.topology.guards {
        let said = [guard.spec.reject_at.is_some(), guard.spec.limit.is_some()];
        check(&guard.place, format!("`guard.{}`", guard.name), ["reject_at", "limit"], said);
    }
    for session in &cx.topology.sessions {
        if let SessionStore::Postgres(store) = &session.spec.store {
            let said = [store.pool.is_some(), store.own.is_some()];
            check(&store.place, format!("`session.{}`", session.name), ["pool", "own"], said);
        }
    }
    for (_, step) in cx.topology.steps() {
        if let Step::Query(query) = &step.value {
            let said = [query.read.is_some(), query.write.is_some()];
            check(&step.place, "this query".into(), ["read", "write"], said);
        }
    }
    if let Some(arrivals) = &cx.topology.arrivals
        && arrivals.rate.is_none()
        && arrivals.stages.is_empty()
        && arrivals.trace.is_none()
    {
        check(&arrivals.place, "`arrivals`".into(), ["rate", "stages"], [false, false]);
    }
    found
}

fn run_bounds(cx: &Cx<'_>) -> Diagnostics {
    if cx.topology.run.confidence.0 < 1.0 {
        return Vec::new();
    }
    let message = "nothing short of all numbers is an interval of 100 % confidence".to_string();
    vec![
        error("out-of-range", &cx.tree.place_of("run.confidence"), message)
            .help("write for example `confidence = \"95%\"`"),
    ]
}

fn wave_bounds(cx: &Cx<'_>) -> Diagnostics {
    let arrivals = cx.topology.arrivals.as_ref();
    let Some(wave) = arrivals.and_then(|arrivals| arrivals.sinusoid.as_ref()) else {
        return Vec::new();
    };
    if wave.amplitude.0 <= 1.0 {
        return Vec::new();
    }
    let message = format!("a wave of {} takes the rate below nothing", wave.amplitude);
    vec![error("out-of-range", &wave.place, message).help("let `amplitude` be at most 100 %")]
}

fn retry_bounds(cx: &Cx<'_>) -> Diagnostics {
    let calls = cx.topology.steps();
    let calls = calls.iter().filter_map(|(_, step)| match &step.value {
        Step::Call(call) => Some(&call.retry),
        _ => None,
    });
    let delays = calls.chain([&cx.topology.client.retry]).filter_map(|retry| retry.delays());
    delays
        .filter(|(base, cap, _)| base > cap)
        .map(|(base, cap, place)| {
            let message = format!("the first delay {base} is above the longest {cap}");
            error("out-of-range", place, message).help("let `base` ≤ `cap`")
        })
        .collect()
}

/// Roles that only one component can fill.
fn single_roles(cx: &Cx<'_>) -> Diagnostics {
    let balancers = cx.topology.balancers.iter().map(|balancer| {
        (format!("balancer in front of `service.{}`", balancer.spec.service.name), &balancer.place)
    });
    let links = cx.topology.links.iter().map(|link| {
        let carries = &link.spec.carries;
        (format!("link that carries `{}.{}`", carries.section, carries.name), &link.place)
    });
    let mut seen: Vec<(String, &Place)> = Vec::new();
    let mut found = Vec::new();
    for (role, place) in balancers.chain(links) {
        match seen.iter().find(|(earlier, _)| *earlier == role) {
            Some((_, first)) => found.push(
                error("two-for-one", place, format!("this is the second {role}"))
                    .help("keep one of the two")
                    .related((*first).clone(), "the first"),
            ),
            None => seen.push((role, place)),
        }
    }
    found
}

/// Where the stores of a service's middleware stand, and what they hold.
fn stores_before<'a>(
    topology: &'a Topology,
    service: &'a Service,
) -> Vec<(&'a Option<Ref<Region>>, &'static str)> {
    let cache = |cache: &Ref<Cache>| &find(&topology.caches, &cache.name).spec.region;
    let database = |name: &str| &find(&topology.databases, name).spec.region;
    service
        .before
        .iter()
        .filter_map(|at| match at.section {
            Section::Limit => match &find(&topology.limits, &at.name).spec.store {
                LimitStore::Shared(store) => Some((cache(store.cache.as_ref()?), "counters")),
                LimitStore::Memory => None,
            },
            Section::Session => match &find(&topology.sessions, &at.name).spec.store {
                SessionStore::Redis(store) => Some((cache(&store.cache), "sessions")),
                // A pool that it shares is looked at with the pools.
                SessionStore::Postgres(store) => {
                    Some((database(&store.own.as_ref()?.database.name), "sessions"))
                }
                SessionStore::Jwt(store) => {
                    Some((cache(store.revocation.as_ref()?), "revoked tokens"))
                }
                SessionStore::Memory(_) => None,
            },
            _ => None,
        })
        .collect()
}

/// Components in different regions that talk have a route between them.
fn routes(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    if topology.regions.len() < 2 {
        return Vec::new();
    }
    let mut needs: Vec<(Option<&str>, Option<&str>, &Place, String)> = Vec::new();
    let service = |name: &str| {
        find(&topology.services, name).spec.region.as_ref().map(|region| region.name.as_str())
    };
    let place =
        |section, name: &str| topology.place_of(section, name).map(|region| region.name.as_str());
    for (operation, home) in check_homes::askers(topology) {
        let Some(to) = topology.service_of(&operation.spec) else { continue };
        let why = format!("users ask `operation.{}`", operation.name);
        needs.push((Some(&home.name), service(&to.name), &operation.place, why));
    }
    for pool in &topology.pools {
        let to = find(&topology.databases, &pool.spec.database.name).spec.region.as_ref();
        let why = format!("`pool.{}` connects", pool.name);
        let from = service(&pool.spec.service.name);
        needs.push((from, to.map(|region| region.name.as_str()), &pool.place, why));
    }
    for (from, step) in topology.steps() {
        let to = match &step.value {
            Step::Call(call) => service(&call.service.name),
            Step::Cache(lookup) => place(Section::Cache, &lookup.cache.name),
            Step::Command(own) => place(Section::Cache, &own.cache.name),
            Step::Invalidate(invalidate) => place(Section::Cache, &invalidate.cache.name),
            Step::Update(update) => place(Section::Cache, &update.cache.name),
            Step::Put(it) | Step::Get(it) => place(Section::Store, &it.store.name),
            Step::Publish(stream) => place(Section::Stream, &stream.name),
            Step::FetchSockets(it) => {
                topology.adapter_of(it).and_then(|it| place(Section::Cache, it))
            }
            Step::Enqueue(it) => {
                let queue = &find(&topology.jobs, &it.job.name).spec.queue;
                match &find(&topology.queues, &queue.name).spec.cache {
                    Some(cache) => place(Section::Cache, &cache.name),
                    None => place(Section::Queue, &queue.name),
                }
            }
            _ => continue,
        };
        needs.push((from.and_then(service), to, &step.place, "this step asks".into()));
    }
    for from in &topology.services {
        for (to, what) in stores_before(topology, &from.spec) {
            let home = from.spec.region.as_ref().map(|region| region.name.as_str());
            let why = format!("`service.{}` asks for {what}", from.name);
            needs.push((home, to.as_ref().map(|to| to.name.as_str()), &from.place, why));
        }
    }
    let mut found: Vec<Diagnostic> = Vec::new();
    for (from, to, place, why) in needs.into_iter().chain(check_replicas::ways(topology)) {
        let (Some(from), Some(to)) = (from, to) else { continue };
        if from != to && topology.routes.between(from, to).is_none() {
            let message = format!("{why} from `{from}` to `{to}`, and there is no route");
            let (near, far) = (from.min(to), from.max(to));
            let usual = usual_round_trip(near, far);
            let help = format!("add `[route.{near}.{far}]` with `rtt`: {usual}");
            // One missing route is one thing to mend, however many need it.
            if found.iter().all(|other| other.help.as_ref() != Some(&help)) {
                found.push(error("no-route", place, message).help(help));
            }
        }
    }
    found
}

/// What is written but cannot come to pass.
fn never_happens(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    let mut after_end = |what: &str, at: Duration, place: &Place| {
        if at >= topology.run.duration {
            let message = format!(
                "this {what} comes at {at}, when the run of {} is over",
                topology.run.duration
            );
            found.push(
                Diagnostic::warning("never-happens", place.clone(), message)
                    .help("let it come earlier, or lengthen `run.duration`"),
            );
        }
    };
    let spikes = [
        topology.users.as_ref().and_then(|users| users.spike.as_ref()),
        topology.arrivals.as_ref().and_then(|arrivals| arrivals.spike.as_ref()),
    ];
    for spike in spikes.into_iter().flatten() {
        after_end("spike", spike.at, &spike.place);
    }
    for fault in &topology.faults {
        if let Some(at) = fault.spec.at {
            after_end("fault", at, &fault.place);
        }
    }
    for deploy in &topology.deploys {
        after_end("deploy", deploy.spec.at, &deploy.place);
    }
    let written = match &topology.client.retry {
        // Products that repeat timeouts unasked have none to repeat without patience.
        Retry::AwsSdk(_) | Retry::Resilience4j(_) => false,
        retry => retry.causes().contains(&Cause::Timeout),
    };
    if written && topology.client.patience.is_none() {
        let message = "clients retry on `timeout`, but they wait for ever".to_string();
        let place = cx.tree.place_of("client.retry");
        found.push(
            Diagnostic::warning("never-happens", place, message)
                .help("add `patience` to `[client]`, such as `patience = \"30s\"`"),
        );
    }
    found
}

/// Components that nothing refers to.
fn unused(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    let mut look = |section: Section, all: Vec<(&str, &Place)>, help: &str| {
        for (name, place) in all {
            let used = cx
                .reader
                .references
                .iter()
                .any(|reference| reference.section == section && reference.name == name);
            if !used {
                let message = format!("nothing uses `{section}.{name}`");
                found.push(
                    Diagnostic::warning("unused-component", place.clone(), message).help(help),
                );
            }
        }
    };
    macro_rules! look {
        ($section:ident, $all:ident, $help:literal) => {
            let all = topology.$all.iter().map(|one| (one.name.as_str(), &one.place)).collect();
            look(Section::$section, all, $help);
        };
    }
    look!(Database, databases, "name it in the `database` of a pool, or remove it");
    look!(Pool, pools, "name it in a `query`, or remove it");
    look!(Cache, caches, "name it in a `cache` step, or remove it");
    look!(Keys, keys, "name them in a `cache` step, or remove them");
    look!(Session, sessions, "name it in the `before` of a service, or remove it");
    look!(Guard, guards, "name it in the `before` of a service, or remove it");
    look!(Limit, limits, "name it in the `before` of a service, or remove it");
    look!(Bulkhead, bulkheads, "name it in a `before` or a `bulkhead` step, or remove it");
    look!(Breaker, breakers, "name it in a `breaker` step, or remove it");
    look!(Cdn, cdns, "name it in the `cdn` of an operation, or remove it");
    look!(Relation, relations, "name it in the `on` of a query, or remove it");
    look!(Queue, queues, "name it in a job, or remove it");
    look!(Job, jobs, "name it in an `enqueue` step, or remove it");
    found
}

/// An assumption about a key that a base has and this file has not, or that a setting has replaced
/// with another, is dropped with the key.
pub(super) fn drop_orphans(topology: &mut Topology, tree: &Node, reader: &Reader, has_sets: bool) {
    topology.assume.retain(|assumption| {
        let replaceable = has_sets || assumption.place.source != SourceId(0);
        !replaceable || assumption.knob.as_ref().is_none_or(|knob| is_a_key(knob, tree, reader))
    });
}

fn is_a_key(path: &str, tree: &Node, reader: &Reader) -> bool {
    let in_force = reader
        .defaults
        .iter()
        .any(|default| default.path == path || default.path.starts_with(&format!("{path}.")));
    tree.at(path).is_some() || in_force
}

/// The knobs of assumptions are paths of keys that exist, or have a default.
fn knobs(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for assumption in &cx.topology.assume {
        let Some(knob) = &assumption.knob else { continue };
        if is_a_key(knob, cx.tree, cx.reader) {
            continue;
        }
        let (around, last) = knob.rsplit_once('.').unwrap_or(("", knob));
        let kind =
            around.split('.').try_fold(Topology::kind(), |kind, key| merge::inner(&kind, key));
        let keys: Vec<&str> = match kind {
            Some(super::kind::Kind::Table(describe)) => {
                describe().fields.iter().map(|field| field.key).collect()
            }
            _ => Vec::new(),
        };
        let help = if keys.contains(&last) {
            "this file does not say that key: say it, or leave the knob out".into()
        } else {
            did_you_mean(last, keys)
                .unwrap_or_else(|| "write the path of a key, such as `users.think`".into())
        };
        let mut place = assumption.place.clone();
        let all = (0..).map(|index| format!("assume.{index}"));
        let written = all
            .take_while(|path| cx.tree.at(path).is_some())
            .find(|path| cx.tree.place_of(path) == assumption.place);
        if let Some(path) = written {
            place = cx.tree.place_of(&format!("{path}.knob"));
        }
        found.push(error("unknown-path", &place, format!("there is no `{knob}`")).help(help));
    }
    found
}
