//! What must hold between pools, poolers and databases.

use super::check::{Cx, Diagnostics, error, find};
use super::check_pool;
use super::database::Database;
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
    found.extend(processes(cx));
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
        if pooler.spec.process.is_some() {
            continue; // counted with its process
        }
        let database = find(&cx.topology.databases, &pooler.spec.database.name);
        let mut total = 0u64;
        let mut terms = Vec::new();
        for (pool, _) in pooled(cx).filter(|(_, of)| process_of(of) == pooler.name) {
            let service = &find(&cx.topology.services, &pool.spec.service.name).spec;
            let instances = service.autoscale.as_ref().map_or(service.instances, |it| it.max);
            let to_replicas = cx.topology.reads_from(&pool.spec).len() as u32;
            let each = database.spec.most_shards()
                * (pool.spec.most() + to_replicas * pool.spec.most_to_replica());
            let workers = u64::from(instances) * u64::from(service.workers);
            let term = workers * u64::from(each);
            total += term;
            terms.push(format!("{workers} workers × {each} of `pool.{}` = {term}", pool.name));
        }
        found.extend(kept_sessions(cx, pooler, total, &terms));
        let Some(most) = pooler.spec.most_clients(&database.spec) else { continue };
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

/// The name of the pooler in whose process one is.
fn process_of(pooler: &Named<Pooler>) -> &str {
    pooler.spec.process.as_ref().map_or(&pooler.name, |process| &process.name)
}

/// In session mode a client keeps its connection to the server for as long as it is connected.
fn kept_sessions(
    cx: &Cx<'_>,
    pooler: &Named<Pooler>,
    clients: u64,
    terms: &[String],
) -> Option<Diagnostic> {
    let database = find(&cx.topology.databases, &pooler.spec.database.name);
    let nodes = database.spec.most_shards() * (1 + database.spec.all_replicas());
    let servers = u64::from(nodes * (pooler.spec.size(&database.spec) + pooler.spec.reserve));
    let alone = !cx.topology.poolers.iter().any(|it| it.spec.process.is_some());
    (pooler.spec.mode() == PoolMode::Session && alone && clients > servers).then(|| {
        let message = format!(
            "up to {clients} clients ({}), but `pooler.{}` has {servers} connections to the server, \
             and in session mode a client keeps its own for as long as it is connected",
            terms.join("; "),
            pooler.name
        );
        Diagnostic::warning("kept-sessions", pooler.place.clone(), message)
            .help("write `mode = \"transaction\"`, or make pools smaller: the surplus waits until it \
                   is disconnected")
    })
}

/// What poolers in the process of another may say, and who may limit the connections of all.
fn processes(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for pooler in &cx.topology.poolers {
        let path = |key: &str| format!("pooler.{}.{key}", pooler.name);
        let mut wrong = |key: &str, message: String, help: &str| {
            let place = cx.tree.place_of(&path(key));
            found.push(error("wrong-pooler", &place, message).help(help));
        };
        for (key, said) in [
            ("max_db_connections", pooler.spec.max_db_connections),
            ("max_user_connections", pooler.spec.max_user_connections),
        ] {
            if said.is_some() && !pooler.spec.is_pgbouncer() {
                let message = format!("`pooler.{}` is no PgBouncer", pooler.name);
                wrong(key, message, "leave it out, or write `size`");
            }
        }
        for (key, said, cure) in [
            ("query_timeout", pooler.spec.query_timeout, "a pool's `statement_timeout`"),
            (
                "idle_transaction_timeout",
                pooler.spec.idle_transaction_timeout,
                "the database's `idle_in_transaction_timeout`",
            ),
            (
                "transaction_timeout",
                pooler.spec.transaction_timeout,
                "the database's `statement_timeout`",
            ),
        ] {
            if said.is_some() && !pooler.spec.is_pgbouncer() {
                let message = format!(
                    "`pooler.{}` has no `{key}`: only PgBouncer does, and Neon's",
                    pooler.name
                );
                wrong(key, message, &format!("leave it out, or write {cure}"));
            }
        }
        let Some(process) = &pooler.spec.process else { continue };
        let other = find(&cx.topology.poolers, &process.name);
        if other.spec.process.is_some() || other.name == pooler.name {
            let message = format!("`pooler.{}` has no process of its own", other.name);
            wrong("process", message, "name the pooler whose process it is");
        }
        if !(pooler.spec.is_pgbouncer() && other.spec.is_pgbouncer()) {
            let message = "only PgBouncer has pools for several users in one process".to_string();
            wrong("process", message, "leave it out");
        }
        for key in ["clients", "cpu", "login_cpu", "max_db_connections", "max_user_connections"] {
            if cx.tree.at(&path(key)).is_some() {
                let message = format!(
                    "`pooler.{}` shares the `{key}` of `pooler.{}`",
                    pooler.name, other.name
                );
                wrong(key, message, "say it there");
            }
        }
    }
    found
}

/// Poolers before a database, each with the most connections to one server of those of its process that
/// have not been counted before.
pub(crate) fn server_connections<'a>(
    cx: &Cx<'a>,
    database: &Named<Database>,
) -> Vec<(&'a Named<Pooler>, u32)> {
    let mut left: Vec<(&str, u32)> = Vec::new();
    let before = cx.topology.poolers.iter().filter(|it| it.spec.database.name == database.name);
    before
        .map(|pooler| {
            let process = find(&cx.topology.poolers, process_of(pooler));
            let size = pooler.spec.size(&database.spec) + pooler.spec.reserve;
            let size = size.min(process.spec.max_user_connections.unwrap_or(u32::MAX));
            let Some(most) = process.spec.max_db_connections else { return (pooler, size) };
            if !left.iter().any(|(name, _)| *name == process.name) {
                left.push((&process.name, most));
            }
            let known = left.iter_mut().find(|(name, _)| *name == process.name);
            let room = &mut known.expect("it was just added").1;
            let size = size.min(*room);
            *room -= size;
            (pooler, size)
        })
        .collect()
}
