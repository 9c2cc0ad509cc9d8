//! What a pool's driver can do.

use super::check::{Cx, Diagnostics, error, find};
use super::names::Named;
use super::pool::{OnError, Pool, PoolDriver};
use super::pooler::PoolerKind;
use crate::diagnostic::{Diagnostic, Place};

/// Time-outs that a driver has, and that what it goes through lets pass.
pub(crate) fn timeouts(cx: &Cx<'_>) -> Diagnostics {
    let pools = cx.topology.pools.iter();
    let of = |pool| [query_timeout(cx, pool), connect_timeout(cx, pool), at_start(cx, pool)];
    pools.flat_map(|pool| of(pool).into_iter().flatten()).collect()
}

/// pg hands one time to the pool and to its clients (`connectionTimeoutMillis`).
fn connect_timeout(cx: &Cx<'_>, pool: &Named<Pool>) -> Option<Diagnostic> {
    pool.spec.connect_timeout?;
    let pgs = matches!(pool.spec.driver, PoolDriver::NodePostgres | PoolDriver::Neon);
    pgs.then(|| {
        let place = cx.tree.place_of(&format!("pool.{}.connect_timeout", pool.name));
        let message = format!("the driver of `pool.{}` has no `connect_timeout` of its own", pool.name);
        error("bad-pool", &place, message)
            .help("write `acquire_timeout`: it is for waiting and for opening (`connectionTimeoutMillis`)")
    })
}

fn query_timeout(cx: &Cx<'_>, pool: &Named<Pool>) -> Option<Diagnostic> {
    pool.spec.query_timeout?;
    let place = cx.tree.place_of(&format!("pool.{}.query_timeout", pool.name));
    let pgs = matches!(pool.spec.driver, PoolDriver::NodePostgres | PoolDriver::Neon);
    if pool.spec.driver == PoolDriver::Asyncpg {
        return cancels_through(pool, &place);
    }
    if !pgs {
        let message = format!("the driver of `pool.{}` has no `query_timeout`", pool.name);
        let help = "only `node-postgres`, `neon` and `asyncpg` have it; `statement_timeout` lets the server \
                    cancel what takes too long";
        return Some(error("bad-pool", &place, message).help(help));
    }
    let keeps = pool.spec.on_error == Some(OnError::Keep) && pool.spec.through.is_some();
    keeps.then(|| {
        let message = format!(
            "how a client of `pool.{}` waits for the end of a statement that was given up is not \
             simulated through a pooler",
            pool.name
        );
        let help = "leave out `on_error`: a connection that is given up on is closed";
        error("bad-pool", &place, message).help(help)
    })
}

/// A pooler passes a request to cancel on only for who has one of its connections at that moment.
fn cancels_through(pool: &Named<Pool>, place: &Place) -> Option<Diagnostic> {
    pool.spec.through.as_ref().map(|_| {
        let message = format!(
            "how asyncpg cancels statements of `pool.{}` through a pooler is not simulated",
            pool.name
        );
        error("bad-pool", place, message)
            .help("leave out `query_timeout`, or write a `statement_timeout` in the database")
    })
}

/// PgBouncer refuses who brings a parameter that it does not know (`client.c`, "unsupported startup
/// parameter"), unless `ignore_startup_parameters` names it, which then has no effect.
fn at_start(cx: &Cx<'_>, pool: &Named<Pool>) -> Option<Diagnostic> {
    let through = pool.spec.through.as_ref()?;
    pool.spec.statement_timeout?;
    let pooler = find(&cx.topology.poolers, &through.name);
    (pooler.spec.kind == PoolerKind::Pgbouncer).then(|| {
        let place = cx.tree.place_of(&format!("pool.{}.statement_timeout", pool.name));
        let message = format!(
            "PgBouncer would refuse the connections of `pool.{}`: `statement_timeout` is a startup \
             parameter that it does not take",
            pool.name
        );
        error("bad-pool", &place, message)
            .help("write it in the database, where `ALTER ROLE ... SET` puts it")
            .related(pooler.place.clone(), "the pooler")
    })
}
