//! What must hold between pools and the databases they connect to.

use super::check::{Cx, Diagnostics, error, find};
use super::check_pooler;
use super::check_replicas;
use super::check_reshard;
use super::database::Database;
use super::file::Topology;
use super::names::{Named, Section};
use super::pool::Reads;
use super::pooler::Pooler;
use super::service::Service;
use super::session::{Session, SessionStore};
use crate::diagnostic::{Diagnostic, Place};

pub(crate) fn replicas(cx: &Cx<'_>) -> Diagnostics {
    cx.topology
        .pools
        .iter()
        .filter(|pool| pool.spec.reads != Reads::Primary)
        .filter_map(|pool| {
            let database = find(&cx.topology.databases, &pool.spec.database.name);
            (database.spec.all_replicas() == 0).then(|| {
                let message = format!(
                    "`pool.{}` reads from replicas, but `database.{}` has none",
                    pool.name, database.name
                );
                error(
                    "no-replicas",
                    &cx.tree.place_of(&format!("pool.{}.reads", pool.name)),
                    message,
                )
                .help("write `replicas = 1` or more in the database, or `reads = \"primary\"`")
                .related(database.place.clone(), "the database")
            })
        })
        .chain(check_replicas::replicas(cx))
        .collect()
}

pub(crate) fn connection_bounds(cx: &Cx<'_>) -> Diagnostics {
    cx.topology
        .databases
        .iter()
        .filter(|database| database.spec.available() == 0)
        .map(|database| {
            let (reserved, max_connections) = (database.spec.keeps_back(), database.spec.accepts());
            let place = cx.tree.place_of(&format!("database.{}.max_connections", database.name));
            let message = format!(
                "`database.{}` keeps back {reserved} of its {max_connections} connections: \
                 none is left",
                database.name
            );
            error("out-of-range", &place, message).help("raise `max_connections` above `reserved`")
        })
        .chain(cx.topology.databases.iter().filter_map(|database| above_plan(cx, database)))
        .chain(check_reshard::resharding(cx))
        .collect()
}

/// A plan whose customers cannot raise its limit, and a higher one that is said.
fn above_plan(cx: &Cx<'_>, database: &Named<Database>) -> Option<Diagnostic> {
    let plan = database.spec.plan.as_ref().filter(|plan| plan.is_fixed())?;
    let (said, most) = (database.spec.max_connections?, plan.connections());
    (said > most).then(|| {
        let place = cx.tree.place_of(&format!("database.{}.max_connections", database.name));
        let message = format!(
            "`database.{}` is to accept {said} connections, but its `plan` has {most}, which \
             nobody can raise",
            database.name
        );
        Diagnostic::warning("above-plan", place, message)
            .help("leave out `max_connections`, or name a larger plan")
    })
}

/// The arithmetic of pools: instances x workers x size against what the server accepts.
pub(crate) fn too_many_connections(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for database in &cx.topology.databases {
        let mut primary = Demand::default();
        let mut replica = Demand::default();
        for pool in &cx.topology.pools {
            if pool.spec.database.name != database.name || pool.spec.through.is_some() {
                continue;
            }
            let service = find(&cx.topology.services, &pool.spec.service.name);
            primary.add(
                cx.topology,
                service,
                &format!("`pool.{}`", pool.name),
                pool.spec.most(),
                &pool.place,
            );
            if pool.spec.reads != Reads::Primary {
                let size = pool.spec.most_to_replica();
                replica.add(
                    cx.topology,
                    service,
                    &format!("`pool.{}`", pool.name),
                    size,
                    &pool.place,
                );
            }
        }
        for (pooler, size) in check_pooler::server_connections(cx, database) {
            primary.add_pooler(pooler, size);
            replica.add_pooler(pooler, if database.spec.all_replicas() > 0 { size } else { 0 });
        }
        for (session, size) in own_pools(cx.topology, database) {
            for service in services_before(cx.topology, session) {
                let name = format!("`session.{}`", session.name);
                primary.add(cx.topology, service, &name, size, &session.place);
            }
        }
        let available = database.spec.available();
        found.extend(primary.exceeds(available, database, ""));
        found.extend(replica.exceeds(available, database, " to each replica"));
    }
    found
}

/// Session stores with a pool of their own to a database, and its size.
fn own_pools<'a>(
    topology: &'a Topology,
    database: &Named<Database>,
) -> Vec<(&'a Named<Session>, u32)> {
    topology
        .sessions
        .iter()
        .filter_map(|session| match &session.spec.store {
            SessionStore::Postgres(store) => {
                let own = store.own.as_ref()?;
                (own.database.name == database.name).then_some((session, own.size))
            }
            _ => None,
        })
        .collect()
}

fn services_before<'a>(
    topology: &'a Topology,
    session: &'a Named<Session>,
) -> impl Iterator<Item = &'a Named<Service>> {
    topology.services.iter().filter(|service| {
        service
            .spec
            .before
            .iter()
            .any(|at| at.section == Section::Session && at.name == session.name)
    })
}

/// Connections that may be open to one server at once.
#[derive(Default)]
struct Demand {
    total: u64,
    terms: Vec<String>,
    places: Vec<(Place, String)>,
}

impl Demand {
    fn add(
        &mut self,
        topology: &Topology,
        service: &Named<Service>,
        who: &str,
        size: u32,
        place: &Place,
    ) {
        let Service { instances, workers, autoscale, function, .. } = &service.spec;
        let instances = match function {
            Some(function) => topology.environments(&service.spec, function),
            None => autoscale.as_ref().map_or(*instances, |scale| scale.max),
        };
        let term = u64::from(instances) * u64::from(*workers) * u64::from(size);
        self.total += term;
        let word =
            |count: u32, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        self.terms.push(format!(
            "{} × {} × {size} of {who} = {term}",
            word(instances, if function.is_some() { "environment" } else { "instance" }),
            word(*workers, "worker"),
        ));
        self.places.push((place.clone(), format!("up to {term} connections")));
    }

    fn add_pooler(&mut self, pooler: &Named<Pooler>, size: u32) {
        if size > 0 {
            self.total += u64::from(size);
            self.terms.push(format!("{size} of `pooler.{}`", pooler.name));
            self.places.push((pooler.place.clone(), format!("up to {size} connections")));
        }
    }

    fn exceeds(self, available: u32, database: &Named<Database>, to: &str) -> Option<Diagnostic> {
        if self.total <= u64::from(available) {
            return None;
        }
        let (reserved, max_connections) = (database.spec.keeps_back(), database.spec.accepts());
        let message = format!(
            "up to {} connections{to} ({}), but `database.{}` accepts {available} \
             ({max_connections} less {reserved} reserved)",
            self.total,
            self.terms.join("; "),
            database.name
        );
        let warning = Diagnostic::warning("too-many-connections", database.place.clone(), message)
            .help(
                "the surplus is refused, not queued: make pools smaller, or raise `max_connections`",
            );
        Some(
            self.places
                .into_iter()
                .fold(warning, |warning, (place, remark)| warning.related(place, remark)),
        )
    }
}
