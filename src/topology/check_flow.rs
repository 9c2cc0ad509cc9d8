//! What must hold within flows. One function per rule, each returning diagnostics.

use super::cache::{Cache, CacheKind};
use super::check::{Cx, Diagnostics, error, find, names};
use super::flow::{Flow, Query, Step, steps};
use super::guard::Watch;
use super::names::{Named, Ref, Section};
use super::pool::Pool;
use super::service::Service;
use super::session::SessionStore;
use crate::diagnostic::Place;
use crate::units::Ratio;

/// Some operation must have a share. Only one that is alone need not say it: beside shares of 60 and
/// 40, 1 would be a surprise.
pub(crate) fn shares(cx: &Cx<'_>) -> Diagnostics {
    let operations = &cx.topology.operations;
    if let Some(first) = operations.first()
        && operations.iter().all(|operation| operation.spec.share == 0.0)
    {
        let place = cx.tree.place_of(&format!("operation.{}.share", first.name));
        let message = "the shares of all operations are 0".into();
        let help = "shares are proportions: give at least one operation a share above 0";
        return vec![error("no-shares", &place, message).help(help)];
    }
    if operations.len() == 1 {
        return Vec::new();
    }
    let unsaid = |name: &str| cx.tree.at(&format!("operation.{name}.share")).is_none();
    operations
        .iter()
        .filter(|operation| unsaid(&operation.name))
        .map(|operation| {
            let message = format!("`operation.{}` does not say its `share`", operation.name);
            error("missing-key", &operation.place, message).help(
                "add `share = 10`: how often it is done, in proportion to the other operations' shares",
            )
        })
        .collect()
}

pub(crate) fn ambiguous_sessions(cx: &Cx<'_>) -> Diagnostics {
    let sessions = &cx.topology.sessions;
    let mut found = Vec::new();
    for (_, step) in cx.topology.steps() {
        if let Step::Session(usage) = &step.value
            && usage.which().of.is_none()
            && sessions.len() != 1
        {
            let message = format!("there are {} session stores; which is meant?", sessions.len());
            let help = match sessions.len() {
                0 => "add one, such as `[session.table]`".into(),
                _ => format!("add `of`, one of {}", names(sessions)),
            };
            found.push(error("ambiguous", &step.place, message).help(help));
        }
    }
    found
}

/// A flow uses pools and memory of the service that it runs on.
pub(crate) fn foreign_components(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for (service, step) in cx.topology.steps() {
        let Some(service) = service else { continue };
        let (what, owner, place) = match &step.value {
            Step::Query(Query { pool, .. }) => pool_owner(cx, pool),
            Step::Transaction(transaction) => pool_owner(cx, &transaction.pool),
            Step::Scatter(scatter) => pool_owner(cx, &scatter.pool),
            Step::Cache(lookup) => cache_owner(cx, &lookup.cache),
            Step::Invalidate(invalidate) => cache_owner(cx, &invalidate.cache),
            Step::Update(update) => cache_owner(cx, &update.cache),
            Step::FetchSockets(socket) => {
                let owner = &find(&cx.topology.sockets, &socket.name).spec.service;
                (format!("`socket.{}`", socket.name), Some(owner), &socket.place)
            }
            _ => continue,
        };
        let Some(owner) = owner.filter(|owner| owner.name != service) else { continue };
        let message = format!(
            "this step runs on service `{service}`, but {what} belongs to `{}`",
            owner.name
        );
        let is_pool = what.starts_with("`pool.");
        let section = if is_pool { "pool" } else { "cache" };
        let own: Vec<String> = match is_pool {
            true => own(&cx.topology.pools, |pool| pool.service.name == service),
            false => own(&cx.topology.caches, |cache| {
                let owner = cache.service.as_ref().filter(|_| cache.kind == CacheKind::Memory);
                owner.is_some_and(|owner| owner.name == service)
            }),
        };
        let wrap = format!("or wrap the step in a `call` of `{}`", owner.name);
        let help = match own.as_slice() {
            [] => format!(
                "`service.{service}` has no {section}{}: add one, `[{section}.NAME]` with \
                 `service = \"{service}\"`, {wrap}",
                if is_pool { "" } else { " in memory" }
            ),
            own => format!("`service.{service}` has {}: use that, {wrap}", own.join(", ")),
        };
        found.push(
            error("foreign-component", place, message)
                .help(help)
                .related(owner.place.clone(), "its owner is said here"),
        );
    }
    found
}

/// What stands before a service looks at that service, and keeps sessions through its own pool.
pub(crate) fn foreign_middleware(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    for service in &topology.services {
        for at in &service.spec.before {
            let owner = match at.section {
                Section::Guard => match &find(&topology.guards, &at.name).spec.watch {
                    Watch::PoolTotal(pool)
                    | Watch::PoolBusy(pool)
                    | Watch::PoolWaiting(pool)
                    | Watch::PoolDemand(pool) => &find(&topology.pools, &pool.name).spec.service,
                    Watch::InFlight(service) | Watch::Lag(service) => service,
                    Watch::SessionsLive(_) => continue,
                },
                Section::Session => match &find(&topology.sessions, &at.name).spec.store {
                    SessionStore::Postgres(store) => match &store.pool {
                        Some(pool) => &find(&topology.pools, &pool.name).spec.service,
                        None => continue,
                    },
                    _ => continue,
                },
                _ => continue,
            };
            if owner.name == service.name {
                continue;
            }
            let message = format!(
                "`{}.{}` stands before `service.{}`, but works with what belongs to `{}`",
                at.section, at.name, service.name, owner.name
            );
            found.push(
                error("foreign-component", &at.place, message)
                    .help(format!(
                        "put it before `service.{}`, or give this one its own",
                        owner.name
                    ))
                    .related(owner.place.clone(), "its owner is said here"),
            );
        }
    }
    found
}

/// A guard reads what it watches through a pool of the service that it stands before.
pub(crate) fn foreign_reads(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    for service in &topology.services {
        for at in service.spec.before.iter().filter(|at| at.section == Section::Guard) {
            let Some(read) = &find(&topology.guards, &at.name).spec.read else { continue };
            let owner = &find(&topology.pools, &read.pool.name).spec.service;
            if owner.name == service.name {
                continue;
            }
            let message = format!(
                "`guard.{}` stands before `service.{}`, but reads through a pool of `{}`",
                at.name, service.name, owner.name
            );
            let help = format!("let it read through a pool of `{}`", service.name);
            let wrong = error("foreign-component", &read.place, message).help(help);
            found.push(wrong.related(owner.place.clone(), "the pool's owner is said here"));
        }
    }
    found
}

type Owner<'a> = (String, Option<&'a Ref<Service>>, &'a Place);

fn pool_owner<'a>(cx: &Cx<'a>, pool: &'a Ref<Pool>) -> Owner<'a> {
    let owner = &find(&cx.topology.pools, &pool.name).spec.service;
    (format!("`pool.{}`", pool.name), Some(owner), &pool.place)
}

/// The names of those that belong to somebody.
fn own<T>(all: &[Named<T>], belongs: impl Fn(&T) -> bool) -> Vec<String> {
    all.iter().filter(|it| belongs(&it.spec)).map(|it| format!("`{}`", it.name)).collect()
}

fn cache_owner<'a>(cx: &Cx<'a>, cache: &'a Ref<Cache>) -> Owner<'a> {
    let spec = &find(&cx.topology.caches, &cache.name).spec;
    let owner = spec.service.as_ref().filter(|_| spec.kind == CacheKind::Memory);
    (format!("`cache.{}`", cache.name), owner, &cache.place)
}

pub(crate) fn branch_shares(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for (_, step) in cx.topology.steps() {
        if let Step::Choose(branches) = &step.value {
            let sum: f64 = branches.iter().map(|branch| branch.share.0).sum();
            if (sum - 1.0).abs() > 1e-9 {
                let message = format!("the shares of these ways sum to {}", Ratio(sum));
                found.push(error("branch-shares", &step.place, message).help(
                    "they must sum to 100 %; a way on which nothing happens has `flow = []`",
                ));
            }
        }
    }
    found
}

/// A request is answered at most once, and by itself.
pub(crate) fn replies(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for operation in &cx.topology.operations {
        count_replies(&operation.spec.flow, Answers::Once, &mut found);
    }
    found
}

#[derive(Clone, Copy, PartialEq)]
enum Answers {
    Once,
    Never(&'static str),
}

/// Whether some way through the flow replies; says replies that come second or cannot be.
fn count_replies(flow: &Flow, answers: Answers, found: &mut Diagnostics) -> Option<Place> {
    let mut first: Option<Place> = None;
    for step in flow {
        let replied = match &step.value {
            Step::Reply(_) => {
                if let Answers::Never(around) = answers {
                    let message = format!("a `reply` cannot stand within {around}");
                    found.push(
                        error("misplaced-reply", &step.place, message)
                            .help("put it after the step that contains it"),
                    );
                    None
                } else {
                    Some(step.place.clone())
                }
            }
            Step::Transaction(inner) => count_replies(&inner.flow, answers, found),
            Step::Cache(inner) => count_replies(&inner.miss, answers, found),
            // The called service answers its caller, which is another matter.
            Step::Call(inner) => {
                count_replies(&inner.flow, Answers::Once, found);
                None
            }
            Step::Blocking(flow) => count_replies(flow, Answers::Never("`blocking`"), found),
            Step::Repeat(inner) => count_replies(&inner.flow, Answers::Never("`repeat`"), found),
            Step::Breaker(inner) => {
                let flows = [Some(&inner.flow), inner.fallback.as_ref()];
                let within = |flow| count_replies(flow, Answers::Never("`breaker`"), found);
                flows.into_iter().flatten().filter_map(within).next()
            }
            Step::Bulkhead(inner) => {
                count_replies(&inner.flow, Answers::Never("`bulkhead`"), found)
            }
            Step::Parallel(flows) => flows
                .iter()
                .filter_map(|flow| count_replies(flow, Answers::Never("`parallel`"), found))
                .next(),
            Step::Choose(branches) => branches
                .iter()
                .filter_map(|branch| count_replies(&branch.flow, answers, found))
                .last(),
            _ => None,
        };
        if let (Some(first), Some(second)) = (&first, &replied) {
            found.push(
                error("two-replies", second, "this request was already answered".into())
                    .help("an operation replies once; let later steps only compute")
                    .related(first.clone(), "answered here"),
            );
        }
        first = first.or(replied);
    }
    first
}

pub(crate) fn read_only_transactions(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for (_, step) in cx.topology.steps() {
        let Step::Transaction(transaction) = &step.value else { continue };
        if transaction.write {
            continue;
        }
        for (_, inner) in steps(&transaction.flow, None) {
            if let Step::Query(query) = &inner.value
                && query.write.is_some()
                && query.pool.name == transaction.pool.name
            {
                let message = "this query writes within a transaction that only reads".into();
                found.push(
                    error("write-in-read", &inner.place, message)
                        .help("write `write = true` in the transaction")
                        .related(step.place.clone(), "the transaction"),
                );
            }
        }
    }
    found
}
