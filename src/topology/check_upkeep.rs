//! What databases do by themselves, and the tables that they do it to.

use super::check::{Cx, Diagnostics, error, find};
use super::check_memory;
use super::flow::{Query, Step};
use super::names::{Named, Ref};
use super::relation::{Maintenance, MaintenanceKind, Relation};
use crate::diagnostic::Diagnostic;

/// Keys of jobs that are in the way of their kind, missing, or about a table that nobody knows.
pub(crate) fn upkeep(cx: &Cx<'_>) -> Diagnostics {
    let mut found: Diagnostics =
        cx.topology.maintenance.iter().flat_map(|job| one(cx, job)).collect();
    for (_, step) in cx.topology.steps() {
        let Step::Query(query) = &step.value else { continue };
        found.extend(of_query(cx, query));
    }
    found.extend(check_memory::memory(cx));
    found
}

/// What a statement says of a table whose size nobody knows, or of none.
fn of_query(cx: &Cx<'_>, query: &Query) -> Option<Diagnostic> {
    let sized = query.growth.is_some() || query.inserts > 0 || query.deletes > 0;
    if !sized {
        return None;
    }
    let Some(on) = &query.on else {
        let message = "a query that says how its table grows lacks `on`".to_string();
        let help = "name the table that it works on: `on = \"orders\"`";
        return Some(error("missing-key", &query.place, message).help(help));
    };
    let table = find(&cx.topology.relations, &on.name);
    let lacks = query.growth.is_some() && cx.topology.rows_of(&table.spec) == 0;
    lacks.then(|| no_rows(&on.place, &table.name))
}

fn one(cx: &Cx<'_>, job: &Named<Maintenance>) -> Diagnostics {
    let (spec, path) = (&job.spec, format!("maintenance.{}", job.name));
    let mut found = Vec::new();
    match &spec.kind {
        MaintenanceKind::Job => {
            if spec.every.is_none() {
                let message = format!("`{path}` lacks `every`");
                let help = "add `every`, or say that it is an `autovacuum` or a `checkpoint`";
                found.push(error("missing-key", &spec.place, message).help(help));
            }
            return found;
        }
        MaintenanceKind::Autovacuum(it) => {
            found.extend(foreign(cx, job, &it.on));
            let table = find(&cx.topology.relations, &it.on.name);
            if cx.topology.rows_of(&table.spec) == 0 {
                found.push(no_rows(&it.on.place, &table.name));
            }
        }
        MaintenanceKind::Checkpoint(it) => {
            let mut tables = cx.topology.relations.iter();
            let known = |table: &Named<Relation>| {
                table.spec.database.name == spec.database.name
                    && cx.topology.rows_of(&table.spec) > 0
            };
            if it.pages.is_none() && !tables.any(known) {
                let message = format!("`{path}` does not know how many pages writes fall on");
                let help = "add `pages`, or `count` to the tables of its database";
                found.push(error("missing-key", &spec.place, message).help(help));
            }
            let database = find(&cx.topology.databases, &spec.database.name);
            if database.spec.storage.is_none() {
                let why = "its database has no `storage`: nothing waits for a log";
                let key = format!("{path}.kind.checkpoint.full_page_writes");
                found.extend(cx.no_effect(&key, why, "leave it out, or add `storage`"));
            }
        }
    }
    for key in ["work", "per_write", "threshold", "spread", "lock", "cleans"] {
        let why = "what it takes, and when, follows from its `kind`";
        found.extend(cx.no_effect(
            &format!("{path}.{key}"),
            why,
            "leave it out, or leave `kind` out",
        ));
    }
    if matches!(spec.kind, MaintenanceKind::Checkpoint(_)) {
        let why = "a checkpoint locks no table";
        found.extend(cx.no_effect(&format!("{path}.lock_timeout"), why, "leave it out"));
    }
    found
}

fn foreign(cx: &Cx<'_>, job: &Named<Maintenance>, on: &Ref<Relation>) -> Option<Diagnostic> {
    let table = find(&cx.topology.relations, &on.name);
    let (of, its) = (&job.spec.database.name, &table.spec.database.name);
    let message =
        format!("`maintenance.{}` is of `{of}`, and the table `{}` in `{its}`", job.name, on.name);
    let help = "name a table of the same database";
    (of != its).then(|| error("foreign-component", &on.place, message).help(help))
}

fn no_rows(place: &crate::diagnostic::Place, table: &str) -> Diagnostic {
    let message = format!("nobody knows how many rows `relation.{table}` has");
    error("missing-key", place, message).help("add `count`, or the keys that its `rows` are")
}
