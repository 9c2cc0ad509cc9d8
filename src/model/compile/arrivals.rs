//! Streams that are more than a rate.

use super::super::ids::*;
use super::super::{Arrivals, Crowd, SessionFlow, Trace, TraceMode, Vus};
use super::Compiler;
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
