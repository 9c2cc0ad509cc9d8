//! What must hold between pools, poolers and databases.

use super::check::{Cx, Diagnostics, error, find};
use super::check_pool;
use super::flow::Step;
use super::pooler::{PoolMode, Pooler};
use crate::diagnostic::Diagnostic;

use super::names::Named;
use super::pool::Pool;

/// Pools with the pooler that they go through.
fn pooled<'a>(cx: &Cx<'a>) -> impl Iterator<Item = (&'a Named<Pool>, &'a Named<Pooler>)> {
    let topology = cx.topology;
    topology.pools.iter().filter_map(|pool| {
        let through = pool.spec.through.as_ref()?;
        Some((pool, find(&topology.poolers, &through.name)))
    })
}

/// A pooler stands in front of one database, and lets through what its mode allows.
pub(crate) fn poolers(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for (pool, pooler) in pooled(cx) {
        let (wanted, there) = (&pool.spec.database.name, &pooler.spec.database.name);
        if wanted != there {
            let message = format!(
                "`pool.{}` goes to `database.{wanted}`, but `pooler.{}` stands in front of \
                 `database.{there}`",
                pool.name, pooler.name
            );
            let place = cx.tree.place_of(&format!("pool.{}.through", pool.name));
            found.push(
                error("wrong-pooler", &place, message)
                    .help("name the same database in both, or add a pooler for each")
                    .related(pooler.place.clone(), "the pooler"),
            );
        }
        if pooler.spec.mode() == PoolMode::Statement {
            found.extend(transactions(cx, pool, pooler));
        }
    }
    for pooler in &cx.topology.poolers {
        if !pooled(cx).any(|(_, of)| of.name == pooler.name) {
            let message = format!("nothing uses `pooler.{}`", pooler.name);
            found.push(
                Diagnostic::warning("unused-component", pooler.place.clone(), message)
                    .help("name it in the `through` of a pool, or remove it"),
            );
        }
    }
    found.extend(too_many_clients(cx));
    found.extend(check_pool::timeouts(cx));
    found
}

/// Transactions of several statements, which a pooler of statements refuses.
fn transactions(cx: &Cx<'_>, pool: &Named<Pool>, pooler: &Named<Pooler>) -> Diagnostics {
    let help = "write `mode = \"transaction\"`";
    let refused = |what: &str| {
        format!("`pooler.{}` lends connections for one statement, but {what}", pooler.name)
    };
    let steps = cx.topology.steps();
    let within = steps.iter().filter(|(_, step)| {
        matches!(&step.value, Step::Transaction(it) if it.pool.name == pool.name && !it.bare)
    });
    let mut found: Diagnostics = within
        .map(|(_, step)| {
            error("statement-mode", &step.place, refused("this is a transaction")).help(help)
        })
        .collect();
    if pool.spec.always_begins() {
        let what = format!("every use of `pool.{}` is a transaction", pool.name);
        found.push(error("statement-mode", &pool.place, refused(&what)).help(help));
    }
    found
}

/// The arithmetic of clients: instances x workers x size against what the pooler accepts.
fn too_many_clients(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for pooler in &cx.topology.poolers {
        let Some(most) = pooler.spec.most_clients() else { continue };
        let database = find(&cx.topology.databases, &pooler.spec.database.name);
        let mut total = 0u64;
        let mut terms = Vec::new();
        for (pool, _) in pooled(cx).filter(|(_, of)| of.name == pooler.name) {
            let service = &find(&cx.topology.services, &pool.spec.service.name).spec;
            let instances = service.autoscale.as_ref().map_or(service.instances, |it| it.max);
            let to_replicas = match pool.spec.reads {
                super::pool::Reads::Primary => 0,
                super::pool::Reads::Replicas => database.spec.replicas,
            };
            let each = database.spec.shards
                * (pool.spec.most() + to_replicas * pool.spec.most_to_replica());
            let workers = u64::from(instances) * u64::from(service.workers);
            let term = workers * u64::from(each);
            total += term;
            terms.push(format!("{workers} workers × {each} of `pool.{}` = {term}", pool.name));
        }
        if total > u64::from(most) {
            let message = format!(
                "up to {total} clients ({}), but `pooler.{}` accepts {most}",
                terms.join("; "),
                pooler.name
            );
            found.push(
                Diagnostic::warning("too-many-clients", pooler.place.clone(), message)
                    .help("the surplus is refused: raise `clients`, or make pools smaller"),
            );
        }
    }
    found
}
