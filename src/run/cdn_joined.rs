//! Those who wait at an edge, or at a shield, for an answer that somebody else has asked for.
//!
//! Whoever has gone meanwhile waits no longer: for them nobody is asked.

use super::task::NONE;
use super::world::World;
use crate::component::cache::Key;
use crate::kernel::PendingEvents;
use crate::model::ids::{CdnId, StationId};
use crate::model::tape::Op;

impl<Q: PendingEvents> World<'_, Q> {
    /// An answer that may not be cached is only for whoever asked: of those who wait, one goes to the
    /// origin, and the others wait for the next answer.
    pub(super) fn one_after_another(&mut self, cdn: CdnId, pop: u32, key: Key, joined: Vec<u32>) {
        let station = self.model.cdns[cdn].station;
        let joined = self.who_still_waits(joined, station);
        let Some((&first, others)) = joined.split_first() else { return };
        self.cdns[cdn].flights.begin(pop, key, first);
        for other in others {
            self.cdns[cdn].flights.begin(pop, key, *other);
        }
        self.joined(first, station);
        self.note_asked(first, cdn, 1);
        self.forward_to_origin(first, cdn);
    }

    /// Those of them whose users are still there; the others are let go.
    fn who_still_waits(&mut self, joined: Vec<u32>, station: StationId) -> Vec<u32> {
        let (here, gone): (Vec<u32>, Vec<u32>) =
            joined.into_iter().partition(|task| self.tasks[*task].owner != NONE);
        for task in gone {
            self.joined(task, station);
            self.observer.late += 1;
            self.end_task(task);
        }
        here
    }

    /// An edge that has waited at its shield for another's answer, which is not for it: it asks the origin by
    /// itself, if it still has somebody to ask for.
    pub(super) fn asks_for_itself(&mut self, task: u32, cdn: CdnId) {
        if self.tasks[task].owner == NONE && !self.others_wait_at_edge(task, cdn) {
            let station = self.model.cdns[cdn].station;
            let (pop, key) = self.place_of_flight(task, cdn);
            let mut joined = Vec::new();
            self.cdns[cdn].flights.finish(pop, key, |other| joined.push(other));
            self.who_still_waits(joined, station);
            self.observer.late += 1;
            return self.end_task(task);
        }
        self.note_asked(task, cdn, 1);
        self.forward_to_origin(task, cdn);
    }

    /// The point of presence and the key of what a task asks an edge for.
    fn place_of_flight(&self, task: u32, cdn: CdnId) -> (u32, Key) {
        let record = &self.tasks[task];
        let entry = self.model.operations[record.operation()].entry;
        let Op::Edge { key, .. } = self.model.tape[entry.0 as usize] else {
            unreachable!("only operations behind a CDN ask its edges")
        };
        let spec = &self.model.cdns[cdn];
        let key = Key { keyset: 0, rank: self.rank_of(task, spec.keys, key) };
        (record.user % spec.pops, key)
    }

    /// Whether somebody waits at an edge for what a request asks for.
    fn others_wait_at_edge(&self, task: u32, cdn: CdnId) -> bool {
        let (pop, key) = self.place_of_flight(task, cdn);
        let mut waiters = self.cdns[cdn].flights.waiters(pop, key);
        waiters.any(|other| self.tasks[other].owner != NONE)
    }

    /// Whether others wait for what a request asks for: at its edge, or at those that wait at its shield.
    pub(super) fn others_wait(&self, task: u32, cdn: CdnId) -> bool {
        if self.others_wait_at_edge(task, cdn) {
            return true;
        }
        let spec = &self.model.cdns[cdn];
        let Some(shield) = spec.shield else { return false };
        let (pop, key) = self.place_of_flight(task, cdn);
        let mut edges = self.cdns[cdn].flights.waiters(spec.pops + pop % shield.count, key);
        edges.any(|edge| self.tasks[edge].owner != NONE || self.others_wait_at_edge(edge, cdn))
    }
}
