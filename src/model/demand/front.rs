//! Where a walk over the tape goes on, and what a request holds while time passes there.

use super::Walk;
use super::statements::Held;
use crate::model::Service;
use crate::model::ids::{ServiceId, StationId};
use crate::model::tape::{AgentId, Op, Pc};

/// Where to go on.
pub(super) struct Visit {
    /// Expected visits.
    pub(super) weight: f64,
    /// Those of them whose request has not been answered yet: somebody waits.
    pub(super) awaited: f64,
    /// In which strand.
    pub(super) strand: usize,
    /// The queue one of whose places is taken.
    pub(super) place: Option<StationId>,
    pub(super) service: Option<ServiceId>,
    /// The connections that are held.
    pub(super) held: Vec<Held>,
    /// See [`Taken`].
    pub(super) taken: Taken,
    /// It is a call of another service, whose answers take no link.
    pub(super) called: bool,
}

/// What a request has taken until it is answered.
#[derive(Clone, Default)]
pub(super) struct Taken {
    /// The calls that it is part of, over limited connections.
    pub(super) calls: Vec<AgentId>,
    /// Its threads of pools for blocking work.
    pub(super) threads: Vec<StationId>,
    /// The balancers at whose targets it is one of the few that may be.
    pub(super) balancers: Vec<StationId>,
}

impl Walk<'_> {
    pub(super) fn go(&mut self, pc: Pc, weight: f64, service: Option<ServiceId>, held: &[Held]) {
        let (strand, place, called) = (self.strand, self.place, self.called);
        let held = || held.to_vec();
        let taken = self.taken.clone();
        let fresh = || Visit {
            weight: 0.0,
            awaited: 0.0,
            strand,
            place,
            service,
            held: held(),
            taken,
            called,
        };
        let entry = self.front.entry(pc).or_insert_with(fresh);
        entry.weight += weight;
        entry.awaited += self.awaited * (weight / self.weight);
    }

    /// Time passes for a request that holds these pools.
    pub(super) fn pass(&mut self, seconds: f64, weight: f64, held: &[Held]) {
        self.strands_s[self.strand] += self.awaited * seconds;
        for Held { pool, lent, replica } in held {
            self.lendings[*pool][usize::from(*replica)].held += weight * seconds;
            let pool = &self.model.pools[*pool];
            self.service_s[pool.station] += weight * seconds;
            if let Some(pooler) = pool.pooler.filter(|_| *lent) {
                self.service_s[self.model.poolers[pooler].station] += weight * seconds;
            }
        }
        for balancer in &self.taken.balancers {
            let strands_s = self.sent_s.entry(*balancer).or_default();
            strands_s.resize(self.strands_s.len(), 0.0);
            strands_s[self.strand] += self.awaited * seconds;
        }
        for call in &self.taken.calls {
            self.called_s[usize::from(call.0) - 1] += weight * seconds;
            if let Some(station) = self.model.client_of(*call).station {
                self.service_s[station] += weight * seconds;
            }
        }
        let taken = [self.within, self.place].into_iter().flatten();
        for taken in taken.chain(self.taken.threads.iter().copied()) {
            self.service_s[taken] += weight * seconds;
        }
    }

    /// A request comes to a service, over its balancer.
    pub(super) fn enter(&mut self, spec: &Service, weight: f64) {
        let Some(balancer) = spec.balancer_station else { return };
        if self.model.places(balancer) > 0.0 {
            self.visits[balancer] += weight;
            self.taken.balancers.push(balancer);
        }
    }

    pub(super) fn serve(&mut self, station: StationId, seconds: f64, weight: f64, held: &[Held]) {
        self.service_s[station] += weight * seconds;
        self.visits[station] += weight;
        self.pass(seconds, weight, held);
    }

    pub(super) fn elsewhere(&mut self, seconds: f64, weight: f64, held: &[Held]) {
        self.elsewhere_s += weight * seconds;
        self.pass(seconds, weight, held);
    }

    /// A thread is taken, or given back.
    pub(super) fn thread(&mut self, pc: Pc, weight: f64, service: Option<ServiceId>) {
        let spec = &self.model.services[service.expect("threads belong to a service")];
        if self.model.tape[pc.0 as usize] == Op::ThreadEnter {
            self.visits[spec.threads_station] += weight;
            self.taken.threads.push(spec.threads_station);
        } else {
            self.taken.threads.pop();
        }
    }

    /// Nobody waits any longer for what follows.
    pub(super) fn answered(&mut self) {
        self.awaited = 0.0;
        self.taken = Taken::default();
    }

    /// A task of its own writes to a source, for which nobody waits.
    pub(super) fn write_behind(&mut self, entry: Pc, weight: f64, service: Option<ServiceId>) {
        let awaited = std::mem::take(&mut self.awaited);
        let taken = std::mem::take(&mut self.taken);
        self.go(entry, weight, service, &[]);
        (self.awaited, self.taken) = (awaited, taken);
    }
}
