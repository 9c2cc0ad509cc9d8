//! Lengths of the pieces in which loops compute and pools lend, as far as a row of steps says them.

use super::Walk;
use crate::model::ids::{HostId, PoolId, ServiceId, StationId};
use crate::model::tape::{Op, Pc, Statement};
use crate::variate::Law;

/// Mean and variance of a length of time.
#[derive(Clone, Copy, Default)]
pub(super) struct Moments {
    mean_s: f64,
    variance_s2: f64,
}

impl Moments {
    /// Independent lengths add up.
    fn add(&mut self, law: &Law) {
        self.mean_s += law.mean();
        self.variance_s2 += law.variance();
    }
    fn square(self) -> f64 {
        self.mean_s * self.mean_s + self.variance_s2
    }
}

impl Walk<'_> {
    /// A piece of that mean and variance at a component; [`None`] makes the whole unknown.
    pub(super) fn square(&mut self, station: StationId, weight: f64, piece: Option<Moments>) {
        let sum = &mut self.squares_s2[station];
        *sum = sum.zip(piece).map(|(sum, piece)| sum + weight * piece.square());
    }

    /// The computation that begins here, up to where its loop is given up; nothing if it has begun
    /// before.
    pub(super) fn callback(&self, pc: Pc) -> Option<Moments> {
        let tape = &self.model.tape;
        let mut piece = Moments::default();
        if matches!(tape[..pc.0 as usize].last(), Some(Op::Cpu { .. } | Op::Spin { .. })) {
            return Some(piece);
        }
        for op in &tape[pc.0 as usize..] {
            let (Op::Cpu { work } | Op::Spin { work }) = op else { break };
            piece.add(&self.model.laws[work.law].law);
        }
        Some(piece)
    }

    /// Computing that others on the same machine feel.
    pub(super) fn computes(&mut self, at: StationId, host: Option<HostId>, seconds: f64) {
        self.service_s[at] += seconds;
        self.on_host(host, seconds);
    }

    /// The same of what is counted elsewhere.
    pub(super) fn on_host(&mut self, host: Option<HostId>, seconds: f64) {
        if let Some(host) = host {
            self.service_s[self.model.hosts[host].station] += seconds;
        }
    }

    /// How long a call takes, if a row of steps of one service says so.
    pub(super) fn call_length(&self, entry: Pc, from: Option<ServiceId>) -> Option<Moments> {
        let model = self.model;
        let Op::Enter { service: to, .. } = model.tape[entry.0 as usize] else { return None };
        let from = &model.services[from?];
        if from.zoned || model.services[to].zoned {
            return None;
        }
        let mut piece = Moments::default();
        piece.add(&model.laws[model.route(from.region, model.services[to].region)].law);
        for op in &model.tape[entry.0 as usize + 1..] {
            match op {
                Op::Cpu { work } | Op::Spin { work } => piece.add(&model.laws[work.law].law),
                Op::Wait { length, .. } => piece.add(&model.laws[length.law].law),
                Op::Reply { .. } | Op::End => return Some(piece),
                _ => return None,
            }
        }
        None
    }

    /// How long a connection is held, if a row of steps says so.
    pub(super) fn hold(&self, pool: PoolId, from: Pc) -> Option<Moments> {
        let model = self.model;
        let spec = &model.pools[pool];
        let database = &model.databases[spec.database];
        if model.services[spec.service].zoned {
            return None;
        }
        let here = model.services[spec.service].region;
        let reads_at = spec.reads_from.first().map(|it| database.copies[*it as usize - 1].region);
        let [route, to_copy] = [database.region, reads_at.unwrap_or(database.region)]
            .map(|there| model.route(here, there));
        let mut piece = Moments::default();
        for op in &model.tape[from.0 as usize..] {
            match op {
                Op::Cpu { work } | Op::Spin { work } => piece.add(&model.laws[work.law].law),
                Op::Wait { length, .. } => piece.add(&model.laws[length.law].law),
                Op::Query { work, kind, slowed_by: None, .. } => {
                    let route = if *kind == Statement::Read { to_copy } else { route };
                    for law in [work.law, database.rtt, route] {
                        piece.add(&model.laws[law].law);
                    }
                }
                Op::Release => return Some(piece),
                _ => return None,
            }
        }
        None
    }
}
