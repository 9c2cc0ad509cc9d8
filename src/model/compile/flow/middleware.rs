//! What stands before a service: limits, guards, bulkheads.

use super::super::super::ids::*;
use super::super::super::tape::{Catch, Command, Draw, Op, Pc, Route, Statement};
use super::super::{Compiler, find, named};
use super::Place;
use crate::topology;

impl Compiler<'_> {
    /// A limit; where its counters are kept by a cache, counting can fail.
    pub(super) fn limit(&mut self, name: &str, place: &Place) {
        let spec = &named(&self.topology.limits, name).spec;
        let concerned =
            spec.only.is_empty() || spec.only.iter().any(|one| one.name == place.operation);
        if !concerned {
            return;
        }
        let limit = find(&self.topology.limits, name);
        let shared = match &spec.store {
            topology::LimitStore::Shared(shared) => shared.cache.as_ref(),
            topology::LimitStore::Memory => None,
        };
        let Some(cache) = shared else {
            self.emit(Op::Limit { limit, draw: place.draw(name) });
            return;
        };
        let cache = find(&self.topology.caches, &cache.name);
        let draw = place.draw(&format!("{name}/count"));
        let first = self.here();
        self.emit(Op::Command { cache, command: Command::Count(limit), draw, bytes: 0 });
        let last = self.here();
        self.emit(Op::Limit { limit, draw: place.draw(name) });
        self.catch((first, last), 0, Op::LimitBroken { limit });
    }

    /// A guard, and the statement that reads its value.
    pub(super) fn guard(&mut self, name: &str, place: &Place) {
        let spec = &named(&self.topology.guards, name).spec;
        if spec.except.iter().any(|one| one.name == place.operation) {
            return;
        }
        let guard = find(&self.topology.guards, name);
        let draw = place.draw(name);
        let Some(read) = &spec.read else {
            self.emit(Op::Guard { guard, draw });
            return;
        };
        let fresh = self.emit(Op::GuardFresh { guard, known: Pc(0) });
        let first = self.here();
        let pool: PoolId = find(&self.topology.pools, &read.pool.name);
        self.emit(Op::Acquire { pool, route: Route::User, write: false, awaited: false });
        let law = self.law(&read.time);
        let work = Draw { law, id: place.draw(&format!("{name}/read")) };
        self.query(work, Statement::Read, 0.0, None);
        self.emit(Op::Release);
        let known = self.here();
        self.tape[fresh] = Op::GuardFresh { guard, known };
        self.emit(Op::Guard { guard, draw });
        self.catch((first, known), 0, Op::GuardBroken { guard });
    }

    /// What follows a failure between two places, before the tape goes on with so many connections.
    pub(super) fn catch(&mut self, (first, last): (Pc, Pc), leases: usize, broken: Op) {
        let over = self.emit(Op::Jump { to: Pc(0) });
        let leases = leases as u8;
        self.catches.push(Catch { first, last, to: self.here(), leases, stale: None });
        self.emit(broken);
        self.tape[over] = Op::Jump { to: self.here() };
    }

    /// A place in a bulkhead, held until the answer leaves.
    pub(super) fn permit(&mut self, name: &str, place: &Place) {
        let spec = &named(&self.topology.bulkheads, name).spec;
        if spec.except.iter().any(|one| one.name == place.operation) {
            return;
        }
        let bulkhead = find(&self.topology.bulkheads, name);
        let low = spec
            .low
            .iter()
            .find(|low| low.operations.iter().any(|operation| operation.name == place.operation));
        let share = low.map_or(1.0, |low| low.share.0);
        self.emit(Op::Permit { bulkhead, share: share as f32 });
    }

    /// A body comes up, and is read chunk by chunk where that costs something.
    pub(super) fn transfer(&mut self, said: &topology::Transfer, place: &Place) {
        let bytes = Draw { law: self.law(&said.bytes), id: place.draw("transfer") };
        self.emit(Op::Transfer { bytes });
        if !said.chunk_cpu.is_zero() {
            let (cpu, chunk) = (said.chunk_cpu, said.chunk.0.max(1.0) as u32);
            self.emit(Op::Chunks { cpu, chunk, bytes: bytes.law });
            self.emit(Op::Chunked);
        }
    }
}
