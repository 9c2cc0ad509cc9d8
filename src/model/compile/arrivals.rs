//! Streams that are more than a rate.

use super::super::ids::*;
use super::super::{Arrivals, Crowd, Model, SessionFlow, Trace, TraceMode, Vus};
use super::{Compiler, find};
use crate::topology::{self, Topology};
use crate::units::Time;

pub(super) fn arrivals(topology: &Topology, compiler: &mut Compiler) -> Arrivals {
    let Some(spec) = &topology.arrivals else {
        return Arrivals { batch: 1, ..Arrivals::default() };
    };
    let warmup = topology.run.warmup;
    Arrivals {
        phases: spec.phases.iter().map(|phase| (phase.times, phase.length)).collect(),
        batch: spec.batch,
        crowd: spec.crowd.as_ref().map(|crowd| Crowd {
            at: warmup + crowd.at,
            users: crowd.users,
            over: crowd.over,
        }),
        vus: spec.vus.as_ref().map(|vus| Vus {
            planned: vus.pre_allocated,
            most: vus.max.unwrap_or(vus.pre_allocated).max(vus.pre_allocated),
        }),
        session: spec.session.as_ref().map(|session| SessionFlow {
            pages: session.pages.max(1.0),
            mean_pages: session.pages.max(1.0),
            think: compiler.law(&session.think),
            abandons_after: session.abandons_after,
        }),
        trace: spec.trace.as_ref().map(|trace| recorded(topology, trace)),
    }
}

fn recorded(topology: &Topology, trace: &topology::Trace) -> Trace {
    let rows = &trace.file.rows;
    let faster = match &trace.mode {
        topology::TraceMode::Scaled(scaled) => scaled.times,
        _ => 1.0,
    };
    let at = |row: &topology::TraceRow| Time::ZERO + row.at.since(Time::ZERO).scale(1.0 / faster);
    let named = |name: &String| {
        let known = topology.operations.iter().position(|operation| operation.name == *name);
        OperationId(known.unwrap_or(0) as u32)
    };
    let operations: Vec<OperationId> =
        rows.iter().filter_map(|row| row.operation.as_ref().map(named)).collect();
    let users: Vec<u32> = rows.iter().filter_map(|row| row.user).collect();
    let gaps = matches!(trace.mode, topology::TraceMode::Resampled) && rows.len() > 1;
    Trace {
        times: rows.iter().map(at).collect(),
        users: if users.len() == rows.len() { users } else { Vec::new() },
        operations: if operations.len() == rows.len() { operations } else { Vec::new() },
        mode: if gaps { TraceMode::Gaps } else { TraceMode::Instants },
    }
}

/// The mean rate of recorded arrivals (1/s).
pub(super) fn rate_of(trace: &topology::Trace) -> f64 {
    let faster = match &trace.mode {
        topology::TraceMode::Scaled(scaled) => scaled.times,
        _ => 1.0,
    };
    let rows = &trace.file.rows;
    let span = rows.last().map_or(0.0, |last| last.at.seconds()) / faster;
    if span > 0.0 { (rows.len() - 1) as f64 / span } else { rows.len() as f64 }
}

/// What follows each operation in a session or for a user of a population; and, for analysis, how
/// often each is done in all.
pub(super) fn follow_on(topology: &Topology, model: &mut Model) {
    match (&topology.users, model.arrivals.session) {
        (Some(_), _) => follow_users(topology, model),
        (None, Some(session)) => follow_sessions(topology, model, session),
        (None, None) => {}
    }
}

fn note_next(topology: &Topology, model: &mut Model) {
    for (id, operation) in topology.operations.iter().enumerate() {
        let mut until = 0.0;
        let next = operation.spec.next.iter().map(|next| {
            until += next.share.0;
            (until, find(&topology.operations, &next.to.name))
        });
        model.operations[OperationId(id as u32)].next = next.collect();
    }
}

/// How often users of a population do each operation in the long run: the stationary law of the chain
/// in which whoever leaves, or does not say what follows, goes on by the shares.
fn follow_users(topology: &Topology, model: &mut Model) {
    note_next(topology, model);
    if model.operations.iter().all(|operation| operation.next.is_empty()) {
        return;
    }
    let first: Vec<f64> = model.operations.iter().map(|operation| operation.share).collect();
    let mut visits = first.clone();
    for _ in 0..10_000 {
        // A lazy chain has the same law, and does not swing between the parts of a cycle.
        let mut again: Vec<f64> = visits.iter().map(|there| there / 2.0).collect();
        for (id, operation) in model.operations.enumerate() {
            let there = visits[id.0 as usize] / 2.0;
            let mut before = 0.0;
            for (until, to) in &operation.next {
                again[to.0 as usize] += there * (until - before);
                before = *until;
            }
            again
                .iter_mut()
                .zip(&first)
                .for_each(|(sum, share)| *sum += there * (1.0 - before) * share);
        }
        let moved: f64 = again.iter().zip(&visits).map(|(new, old)| (new - old).abs()).sum();
        visits = again;
        if moved < 1e-12 {
            break;
        }
    }
    for (operation, visits) in model.operations.iter_mut().zip(&visits) {
        operation.share = *visits;
    }
}

fn follow_sessions(topology: &Topology, model: &mut Model, session: SessionFlow) {
    note_next(topology, model);
    // Expected visits: v = first + v P, where who does not say what follows goes on by the shares.
    let first: Vec<f64> = model.operations.iter().map(|operation| operation.share).collect();
    let mut visits = first.clone();
    for _ in 0..10_000 {
        let mut again = first.clone();
        for (id, operation) in model.operations.enumerate() {
            let there = visits[id.0 as usize];
            if operation.next.is_empty() {
                let goes_on = there * (1.0 - 1.0 / session.pages);
                again.iter_mut().zip(&first).for_each(|(sum, share)| *sum += goes_on * share);
            }
            let mut before = 0.0;
            for (until, to) in &operation.next {
                again[to.0 as usize] += there * (until - before);
                before = *until;
            }
        }
        let moved: f64 = again.iter().zip(&visits).map(|(new, old)| (new - old).abs()).sum();
        visits = again;
        if moved < 1e-12 {
            break;
        }
    }
    let pages: f64 = visits.iter().sum();
    for (operation, visits) in model.operations.iter_mut().zip(&visits) {
        operation.share = visits / pages;
    }
    if let Some(session) = &mut model.arrivals.session {
        session.mean_pages = pages;
    }
}
