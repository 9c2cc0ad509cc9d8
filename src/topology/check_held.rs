//! Which connections a request holds at once.

use super::check::{Cx, Diagnostics, error, find};
use super::flow::{Flow, SessionUse, Step};
use super::names::{Named, Placed, Section};
use super::service::Service;
use super::session::{Session, SessionStore};
use crate::diagnostic::Place;

/// A request holds so many connections at once.
const HELD_AT_MOST: usize = 2;

/// Transactions within transactions take a connection each, and so does every use of another pool,
/// or of a session table, within them.
pub(crate) fn too_many_held(cx: &Cx<'_>) -> Diagnostics {
    let mut search = Search { cx, found: Vec::new() };
    for operation in &cx.topology.operations {
        if let Some(service) = cx.topology.service_of(&operation.spec) {
            let tables = search.tables_before(service);
            search.flow(&operation.spec.flow, &tables, &[]);
        }
    }
    search.found
}

/// A transaction around a step: its pool, and where it stands.
type Held<'a> = (&'a str, &'a Place);

struct Search<'a> {
    cx: &'a Cx<'a>,
    found: Diagnostics,
}

impl<'a> Search<'a> {
    /// What session tables before a service use: pools, or themselves where the pool is their own.
    fn tables_before(&self, service: &Named<Service>) -> Vec<String> {
        let sessions = service.spec.before.iter().filter(|at| at.section == Section::Session);
        sessions.filter_map(|at| table(find(&self.cx.topology.sessions, &at.name))).collect()
    }

    fn flow(&mut self, flow: &'a Flow, tables: &[String], held: &[Held<'a>]) {
        for step in flow {
            self.step(step, tables, held);
        }
    }

    fn step(&mut self, step: &'a Placed<Step>, tables: &[String], held: &[Held<'a>]) {
        let innermost = held.last().map(|(pool, _)| *pool);
        match &step.value {
            Step::Transaction(transaction) => {
                let pool = transaction.pool.name.as_str();
                if self.takes(step, &format!("`pool.{pool}`"), held) {
                    let within = [held, &[(pool, &step.place)]].concat();
                    self.flow(&transaction.flow, tables, &within);
                }
            }
            Step::Query(query) if innermost != Some(query.pool.name.as_str()) => {
                self.takes(step, &format!("`pool.{}`", query.pool.name), held);
            }
            Step::Reply(_) => {
                let _ = tables.iter().all(|table| self.takes(step, table, held));
            }
            Step::Session(SessionUse::Read(which) | SessionUse::Save(which))
            | Step::Session(SessionUse::Destroy(which)) => {
                let sessions = &self.cx.topology.sessions;
                let session = match &which.of {
                    Some(of) => find(sessions, &of.name),
                    None => &sessions[0],
                };
                if let Some(table) = table(session) {
                    self.takes(step, &table, held);
                }
            }
            // Branches and calls hold connections of their own.
            Step::Parallel(flows) => flows.iter().for_each(|flow| self.flow(flow, &[], &[])),
            Step::Breaker(breaker) => {
                self.flow(&breaker.flow, &[], &[]);
                breaker.fallback.iter().for_each(|flow| self.flow(flow, tables, held));
            }
            Step::Call(call) => {
                let called = find(&self.cx.topology.services, &call.service.name);
                let tables = self.tables_before(called);
                self.flow(&call.flow, &tables, &[]);
            }
            other => other.flows().iter().for_each(|(flow, _)| self.flow(flow, tables, held)),
        }
    }

    /// Whether one more connection may be taken; says so if not.
    fn takes(&mut self, step: &Placed<Step>, of: &str, held: &[Held<'a>]) -> bool {
        if held.len() < HELD_AT_MOST {
            return true;
        }
        let pools: Vec<String> = held.iter().map(|(pool, _)| format!("`pool.{pool}`")).collect();
        let message = format!(
            "this step takes a connection of {of} while those of {} are held",
            pools.join(" and ")
        );
        let help = match &step.value {
            Step::Reply(_) => {
                "a request holds at most two at once: reply after a transaction's end"
            }
            Step::Query(query) if held.iter().any(|(pool, _)| *pool == query.pool.name) => {
                "a query runs on the innermost transaction's connection, or takes another: put it \
                 directly into the transaction on its pool"
            }
            _ => "a request holds at most two at once: let one of the transactions end before",
        };
        let wrong = error("too-many-held", &step.place, message).help(help);
        let related = |wrong: crate::diagnostic::Diagnostic, (pool, place): &Held<'_>| {
            wrong.related((*place).clone(), format!("holds one of `pool.{pool}`"))
        };
        self.found.push(held.iter().fold(wrong, related));
        false
    }
}

/// What a session table takes its connections from.
fn table(session: &Named<Session>) -> Option<String> {
    match &session.spec.store {
        SessionStore::Postgres(store) => Some(match &store.pool {
            Some(pool) => format!("`pool.{}`", pool.name),
            None => format!("`session.{}`", session.name),
        }),
        SessionStore::Redis(_) | SessionStore::Memory(_) | SessionStore::Jwt(_) => None,
    }
}
