//! The memory of database servers: what takes of it, and whether it can be enough.

use super::check::{Cx, Diagnostics, error, find};
use super::database::{Database, NoMemory};
use super::flow::{Query, Step};
use super::names::Named;
use super::relation::Relation;
use crate::diagnostic::Diagnostic;
use crate::units::Bytes;

/// Memory of databases, their pages, and what statements say of both.
pub(crate) fn memory(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for (_, step) in cx.topology.steps() {
        let Step::Query(query) = &step.value else { continue };
        found.extend(pages(cx, query));
        found.extend(sorts(cx, query));
    }
    for database in &cx.topology.databases {
        found.extend(buffer(cx, database));
        found.extend(room(cx, database));
        let fails = database.spec.memory.as_ref().is_some_and(|it| it.full == NoMemory::Fail);
        let path = format!("database.{}.memory.recovery", database.name);
        let why = "with `full = \"fail\"` no process is killed";
        found.extend(cx.no_effect(&path, why, "leave it out").filter(|_| fails));
    }
    found
}

/// A buffer whose data, or whose memory, nobody knows.
fn buffer(cx: &Cx<'_>, database: &Named<Database>) -> Option<Diagnostic> {
    let buffer = database.spec.buffer.as_ref()?;
    let path = format!("database.{}.buffer", database.name);
    let lacks = |message: String, help: &str| {
        Some(error("missing-key", &cx.tree.place_of(&path), message).help(help))
    };
    if buffer.memory.is_none() && database.spec.memory.is_none() {
        let message = format!("`{path}` does not know how much memory there is for pages");
        return lacks(message, "add `memory` to it, or to its database");
    }
    let known = |table: &Named<Relation>| {
        table.spec.database.name == database.name && cx.topology.rows_of(&table.spec) > 0
    };
    if buffer.data.is_none() && !cx.topology.relations.iter().any(known) {
        let message = format!("`{path}` does not know how large the data are");
        return lacks(message, "add `data`, or `count` to the tables of its database");
    }
    None
}

/// A server whose connections do not fit into its memory, or who does not itself.
fn room(cx: &Cx<'_>, database: &Named<Database>) -> Option<Diagnostic> {
    let memory = database.spec.memory.as_ref()?;
    let path = format!("database.{}.memory", database.name);
    let place = cx.tree.place_of(&path);
    let fixed = memory.system.0 + memory.shared_buffers.0;
    if fixed + memory.per_connection.0 > memory.machine.0 {
        let message = format!(
            "`{path}` has no room for a connection: the system and `shared_buffers` take {} of {}",
            Bytes(fixed),
            memory.machine
        );
        let help = "give `machine` more, or `shared_buffers` less";
        return Some(error("out-of-range", &place, message).help(help));
    }
    let all = fixed + f64::from(database.spec.available()) * memory.per_connection.0;
    (all > memory.machine.0).then(|| {
        let fit = ((memory.machine.0 - fixed) / memory.per_connection.0).floor();
        let message = format!(
            "`database.{}` accepts {} connections of {} each, but beside the system and `shared_buffers` its \
             memory has room for {fit}",
            database.name,
            database.spec.available(),
            memory.per_connection,
        );
        let help = "lower `max_connections`, put a pooler in front, or give `machine` more";
        Diagnostic::warning("little-memory", place, message).help(help)
    })
}

/// Pages that nobody looks for in memory.
fn pages(cx: &Cx<'_>, query: &Query) -> Option<Diagnostic> {
    query.pages?;
    let database = database_of(cx, query);
    database.spec.buffer.is_none().then(|| {
        let message =
            format!("`pages` has no effect: `database.{}` has no `buffer`", database.name);
        Diagnostic::warning("no-effect", query.place.clone(), message)
            .help("leave it out, or say how much of its data is in memory")
    })
}

/// Sorts that take memory of a server that has enough of it anyway, and memory that is for no sort.
fn sorts(cx: &Cx<'_>, query: &Query) -> Option<Diagnostic> {
    let says_nothing = query.sorts == 0 && query.sort_memory.is_none();
    if says_nothing {
        return None;
    }
    let idle = |message: String, help: &str| {
        Some(Diagnostic::warning("no-effect", query.place.clone(), message).help(help))
    };
    let database = database_of(cx, query);
    if database.spec.memory.is_none() {
        let message =
            format!("`sorts` have no effect: `database.{}` has no `memory`", database.name);
        return idle(message, "leave them out, or say how much memory its servers have");
    }
    if query.sorts == 0 {
        let message = "`sort_memory` has no effect: the query has no `sorts`".to_string();
        return idle(message, "leave it out, or add `sorts = 1`");
    }
    None
}

fn database_of<'a>(cx: &Cx<'a>, query: &Query) -> &'a Named<Database> {
    let pool = find(&cx.topology.pools, &query.pool.name);
    find(&cx.topology.databases, &pool.spec.database.name)
}
