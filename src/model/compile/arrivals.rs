//! Streams that are more than a rate.

use super::super::ids::*;
use super::super::{Arrivals, Crowd, RatePhase, SessionFlow, Trace, TraceMode, Vus};
use super::Compiler;
use crate::topology::{self, Topology};
use crate::units::Time;

pub(super) fn arrivals(topology: &Topology, compiler: &mut Compiler) -> Arrivals {
    let Some(spec) = &topology.arrivals else {
        return Arrivals { batch: 1, ..Arrivals::default() };
    };
    let warmup = topology.run.warmup;
    Arrivals {
        phases: phases(&spec.phases),
        stationary: spec.phases.iter().any(|phase| !phase.next.is_empty()),
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

/// Phases with what follows them, and the share of time of each: its visits times its length.
fn phases(specs: &[topology::Phase]) -> Vec<RatePhase> {
    let visits = visits(specs);
    let time = |place: usize| visits[place] * specs[place].length.seconds();
    let whole: f64 = (0..specs.len()).map(time).sum();
    let phase = |(place, spec): (usize, &topology::Phase)| {
        let mut sum = 0.0;
        let mut next = Vec::new();
        for (to, share) in spec.following(place, specs.len()).into_iter().enumerate() {
            sum += share;
            if share > 0.0 {
                next.push((sum, to as u32));
            }
        }
        // What rounding leaves belongs to the last.
        next.last_mut().expect("something follows").0 = 1.0;
        RatePhase { times: spec.times, length: spec.length, next, share: time(place) / whole }
    };
    specs.iter().enumerate().map(phase).collect()
}

/// How often a chain is in each of its phases, by Grassmann, Taksar and Heyman's elimination: no
/// subtraction, and so no cancellation.
fn visits(specs: &[topology::Phase]) -> Vec<f64> {
    let size = specs.len();
    let mut rows: Vec<Vec<f64>> =
        specs.iter().enumerate().map(|(place, spec)| spec.following(place, size)).collect();
    for last in (1..size).rev() {
        let leaves: f64 = rows[last][..last].iter().sum();
        let (above, below) = rows.split_at_mut(last);
        for row in above {
            row[last] /= leaves;
            let through = row[last];
            for (entry, more) in row.iter_mut().zip(&below[0]).take(last) {
                *entry += through * more;
            }
        }
    }
    let mut visits = vec![1.0];
    while visits.len() < size {
        let place = visits.len();
        let seen: f64 = visits.iter().zip(&rows).map(|(often, row)| often * row[place]).sum();
        visits.push(seen);
    }
    visits
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
