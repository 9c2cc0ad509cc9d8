//! What must hold where copies of a database stand in several regions.

use super::check::{Cx, Diagnostics, error, find};
use super::file::Topology;
use super::names::Section;
use super::pool::Reads;
use crate::diagnostic::Place;

/// Copies in other regions, and who reads from them.
pub(crate) fn replicas(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    for database in &topology.databases {
        let home = topology.place_of(Section::Database, &database.name);
        for there in &database.spec.abroad {
            if home.is_some_and(|home| home.name == there.region.name) {
                let message = format!(
                    "`database.{}` stands in `region.{}` itself",
                    database.name, there.region.name
                );
                let help = "add to its `replicas`, or name another region";
                found.push(error("duplicate", &there.region.place, message).help(help));
            }
        }
        let path = format!("database.{}.takeover", database.name);
        if database.spec.abroad.is_empty() {
            let why = "there is no copy in another region (`abroad`)";
            found.extend(cx.no_effect(&path, why, "leave it out, or add one"));
        }
        if let (Some(host), Some(first)) = (&database.spec.host, database.spec.abroad.first()) {
            let message = format!(
                "`database.{}` shares the machine `host.{}`, and has copies in other regions",
                database.name, host.name
            );
            let help = "leave out one of the two: a machine stands in one place";
            found.push(error("two-machines", &first.region.place, message).help(help));
        }
    }
    for pool in topology.pools.iter().filter(|pool| pool.spec.reads != Reads::Primary) {
        let database = find(&topology.databases, &pool.spec.database.name);
        let Some(through) = &pool.spec.through else { continue };
        if !database.spec.abroad.is_empty() {
            let message = format!(
                "`pool.{}` reads through `pooler.{}`, which stands beside the primary, and some copies of \
                 `database.{}` do not",
                pool.name, through.name, database.name
            );
            let help = "write `reads = \"primary\"`, and read over another pool that goes straight to the copies";
            found.push(error("wrong-pooler", &through.place, message).help(help));
        }
    }
    found
}

/// A way between two regions, who needs it, and why.
type Way<'a> = (Option<&'a str>, Option<&'a str>, &'a Place, String);

/// The ways that copies in other regions need: from their primaries, and to whoever reads from them.
pub(crate) fn ways(topology: &Topology) -> Vec<Way<'_>> {
    let mut needs = Vec::new();
    for database in &topology.databases {
        let home = topology.place_of(Section::Database, &database.name);
        let home = home.map(|home| home.name.as_str());
        for there in &database.spec.abroad {
            let (there, place) = (there.region.name.as_str(), &there.region.place);
            needs.push((home, Some(there), place, "writes are copied".to_string()));
            let readers = topology.pools.iter().filter(|pool| {
                pool.spec.reads != Reads::Primary && pool.spec.database.name == database.name
            });
            for pool in readers {
                let from = topology.place_of(Section::Service, &pool.spec.service.name);
                let why = format!("`pool.{}` reads", pool.name);
                needs.push((from.map(|it| it.name.as_str()), Some(there), place, why));
            }
        }
    }
    needs
}
