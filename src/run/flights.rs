//! Loads that others may join: who leads which, and what becomes of them when the leader fails.

use super::meter::{Counter, Part};
use super::task::{OK, State, flag};
use super::world::World;
use crate::component::cache::{Flight, Key};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::{CacheId, KeysId, StationId};
use crate::model::tape::{Catch, DrawId, Op, Pc};

/// Who leads a load.
#[derive(Clone, Copy)]
pub struct Leader {
    pub(super) task: u32,
    /// Its process.
    pub(super) scope: u32,
    pub(super) key: Key,
    /// Where it looked the key up.
    at: Pc,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Who loads the value that a task waits for.
    pub(super) fn leader_before(&self, task: u32) -> Option<u32> {
        let Op::CacheGet { cache, keys, key, .. } = self.op_at(task) else { return None };
        let (scope, key) = (self.tasks[task].worker, self.key_of(task, cache, keys, key));
        let leaders = &self.caches[cache].leaders;
        let leads = |leader: &&Leader| (leader.scope, leader.key) == (scope, key);
        leaders.iter().find(leads).map(|leader| leader.task)
    }

    /// A task leads a load that others may join.
    pub(super) fn lead(&mut self, task: u32, cache: CacheId, scope: u32, key: Key, at: Pc) {
        let led = self.caches[cache].flights.begin(scope, key, task);
        debug_assert_eq!(led, Flight::Lead, "nobody else loads it");
        self.caches[cache].leaders.push(Leader { task, scope, key, at });
        self.tasks[task].flags |= flag::LEADS;
    }

    pub(super) fn lead_or_join(&mut self, task: u32, cache: CacheId, scope: u32, key: Key) -> bool {
        let station = self.model.caches[cache].station;
        match self.caches[cache].flights.begin(scope, key, task) {
            Flight::Lead => {
                let at = self.tasks[task].pc;
                self.caches[cache].leaders.push(Leader { task, scope, key, at });
                let record = &mut self.tasks[task];
                record.flags |= flag::LEADS;
                record.pc.0 += 1;
                true
            }
            Flight::Join => {
                self.count(station, Counter::Joined);
                let record = &mut self.tasks[task];
                (record.state, record.since) = (State::Joined, self.now);
                record.flags |= flag::JOINED;
                false
            }
        }
    }

    /// A load that stores nothing is over.
    pub fn load_over(&mut self, task: u32, cache: CacheId, keys: KeysId, key: DrawId) {
        let key = self.key_of(task, cache, keys, key);
        self.land_flight(task, cache, self.tasks[task].worker, key, OK);
        self.tasks[task].pc.0 += 1;
    }

    /// A load has ended: those who joined it go on with its value, or fail as it did.
    pub(super) fn land_flight(
        &mut self,
        task: u32,
        cache: CacheId,
        scope: u32,
        key: Key,
        status: u8,
    ) {
        let state = &mut self.caches[cache];
        let led = |leader: &Leader| (leader.task, leader.scope, leader.key) == (task, scope, key);
        let place = state.leaders.iter().position(led);
        let Some(place) = place else { return }; // it did not lead: its miss came before the flight
        state.leaders.swap_remove(place);
        let mut joined = Vec::new();
        state.flights.finish(scope, key, |other| joined.push(other));
        if !self.caches[cache].leaders.iter().any(|leader| leader.task == task) {
            self.tasks[task].flags &= !flag::LEADS;
        }
        for other in joined {
            self.joined(other, self.model.caches[cache].station);
            if status == OK {
                let Op::CacheGet { hit, .. } = self.op_at(other) else {
                    unreachable!("a task joins a load where it looked the key up")
                };
                self.tasks[other].pc = hit;
            } else {
                self.tasks[other].status = status;
            }
            self.resume(other);
        }
    }

    /// A task has waited for somebody else's load: time of its own, not of the server's queue.
    pub(super) fn joined(&mut self, task: u32, station: StationId) {
        let length = self.now.since(self.tasks[task].since);
        self.spend(task, station, Part::Wait, length);
    }

    /// A task goes on under another number: so does what it leads.
    pub(super) fn new_leader(&mut self, task: u32, heir: u32) {
        for cache in self.caches.ids() {
            for leader in self.caches[cache].leaders.iter_mut().filter(|it| it.task == task) {
                leader.task = heir;
            }
            let before = (task, self.tasks[task].epoch);
            let epoch = self.tasks[heir].epoch;
            for lock in self.caches[cache].locks.values_mut() {
                lock.pass_on(before, (heir, epoch));
            }
        }
    }

    /// A failing task ends the loads that it leads.
    pub fn abandon_flights(&mut self, task: u32) {
        let whole = Catch { first: Pc(0), last: Pc(u32::MAX), to: Pc(0), leases: 0, stale: None };
        self.abandon_flights_within(task, whole);
    }

    /// A task whose failure is caught ends the loads that it has begun within that stretch.
    pub fn abandon_flights_within(&mut self, task: u32, stretch: Catch) {
        if !self.tasks[task].has(flag::LEADS) {
            return;
        }
        let status = self.tasks[task].status;
        let status = if status == OK { Failure::CacheError as u8 } else { status };
        for cache in self.caches.ids() {
            let begun = |leader: &&Leader| {
                leader.task == task && stretch.first <= leader.at && leader.at < stretch.last
            };
            while let Some(leader) = self.caches[cache].leaders.iter().find(begun).copied() {
                self.land_flight(task, cache, leader.scope, leader.key, status);
            }
        }
    }

    /// A process has died: nobody leads its loads any more, and a store of its own is empty.
    pub fn forget_cache(&mut self, cache: CacheId, worker: u32, own: Option<u32>) {
        let state = &mut self.caches[cache];
        while let Some(place) = state.leaders.iter().position(|leader| leader.scope == worker) {
            let Leader { scope, key, .. } = state.leaders.swap_remove(place);
            state.flights.finish(scope, key, |_| {}); // those who joined it die too
        }
        if let Some(own) = own {
            self.empty_store(cache, own);
        }
    }
}
