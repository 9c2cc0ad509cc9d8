//! Steps behind a circuit breaker, or within a bulkhead.

use super::super::super::Model;
use super::super::super::tape::{Catch, Op, Pc};
use super::super::{Compiler, find};
use super::{Behind, Place, Sessions};
use crate::topology::{InBulkhead, ThroughBreaker};

impl<'t> Compiler<'t> {
    /// A call through a breaker, and what happens instead if it fails.
    pub(super) fn breaker(
        &mut self,
        call: &'t ThroughBreaker,
        place: &Place<'t>,
        model: &mut Model,
        sessions: &Sessions,
        behind: &mut Vec<Behind<'t>>,
    ) {
        let breaker = find(&self.topology.breakers, &call.through.name);
        let first = self.here();
        let at = self.emit(Op::Protect { breaker, entry: Pc(0), draw: place.draw("breaker") });
        let inside = Place { held: Vec::new(), ..place.at("breaker") };
        behind.push(Behind::Protect { at, flow: &call.flow, place: inside });
        let Some(fallback) = &call.fallback else { return };
        let over = self.emit(Op::Jump { to: Pc(0) });
        let to = self.here();
        let leases = place.held.len() as u8;
        self.catches.push(Catch { first, last: to, to, leases, stale: None });
        self.flow(fallback, &place.at("fallback"), model, sessions, behind);
        self.tape[over] = Op::Jump { to: self.here() };
    }

    /// Steps for which a place is held.
    pub(super) fn bulkhead(
        &mut self,
        inside: &'t InBulkhead,
        place: &Place<'t>,
        model: &mut Model,
        sessions: &Sessions,
        behind: &mut Vec<Behind<'t>>,
    ) {
        let before = self.tape.len();
        self.permit(&inside.of.name, place);
        let takes = self.tape.len() > before;
        self.flow(&inside.flow, &place.at("bulkhead"), model, sessions, behind);
        if takes {
            self.emit(Op::PermitBack);
        }
    }
}
