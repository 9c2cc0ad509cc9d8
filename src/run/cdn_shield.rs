//! What edges do besides asking the origin for whoever waits: they ask a shield first, or give what is old
//! and ask for another.
//!
//! A shield is a cache for all edges that ask it. Edges that miss at the same time make one request there,
//! and what it has it gives as old as it is: an edge keeps that for what is left of its time (RFC 9111, 4.2.3,
//! the header `Age`).

use super::cdn::CdnState;
use super::event::Kind;
use super::meter::Counter;
use super::task::{ASKS_SHIELD, NONE, OK, SHIELD_HAS, State, Task, flag};
use super::world::World;
use crate::component::cache::{CacheStore, Flight, Key, KeysetTraffic, Lookup, Ttl};
use crate::kernel::PendingEvents;
use crate::model::ids::CdnId;
use crate::model::tape::{Op, Pc};
use crate::model::{Cdn, Shield};
use crate::units::{Duration, Time};

/// In the owner's epoch of an attempt: its edge asks for it, and nobody waits.
pub(super) const REFRESHES: u16 = u16::MAX - 1;

impl CdnState {
    fn age_at_shield(&self, count: u32, at: u32, key: Key) -> Option<Time> {
        self.left_origin.get((at * count + key.rank) as usize).copied()
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Shields in the state that the run starts from, and when what they have left the origin.
    pub(super) fn new_shields(&self, spec: &Cdn) -> (Vec<CacheStore>, Vec<Time>) {
        let Some(shield) = spec.shield else { return (Vec::new(), Vec::new()) };
        let keys = &self.model.keys[spec.keys];
        let left = vec![Time::ZERO; shield.count as usize * keys.count as usize];
        let ttl_s = spec.ttl.map_or(f64::INFINITY, Duration::seconds);
        // What is asked of a shield is what its edges have not: each has a key for a time after a miss.
        let asked = |key: Key| {
            let chance = match &keys.sampler {
                Some(sampler) => sampler.probability(key.rank),
                None => 1.0 / f64::from(keys.count),
            };
            chance / (1.0 + spec.rate_per_s / f64::from(spec.pops) * chance * ttl_s)
        };
        let one = |number: u32| {
            let mut store = self.cold_edge(spec);
            if self.model.plan.warm_caches {
                let rate_per_s = spec.rate_per_s / f64::from(shield.count);
                let traffic = KeysetTraffic { rate_per_s, ttl: Ttl::of(spec.ttl, false) };
                let stream = self.key.named("shield").named(&spec.name);
                let mut draws = stream.draw(u64::from(number));
                store.warm(Time::ZERO, &[traffic], asked, &mut || draws.next_u64());
            }
            store
        };
        ((0..shield.count).map(one).collect(), left)
    }

    /// One way between an edge and its shield.
    pub(super) fn way_to_shield(&self, task: u32, cdn: CdnId) -> Duration {
        match self.model.cdns[cdn].shield {
            Some(shield) => {
                self.model.draw_law(shield.rtt, self.tasks[task].stream, 0xed6e_541e).half()
            }
            None => Duration::ZERO,
        }
    }

    /// A request that its edge cannot answer goes to the shield.
    pub(super) fn ask_shield(&mut self, task: u32, shield: Shield) {
        let way = self.model.draw_law(shield.rtt, self.tasks[task].stream, 0xed6e_541e).half();
        self.travel(task, way);
        let record = &mut self.tasks[task];
        (record.state, record.since, record.pending) = (State::Away, self.now, ASKS_SHIELD);
        record.flags |= flag::EDGE_MISS;
        self.at_task(self.now + way, Kind::Edge, task);
    }

    /// A request has come to the shield, or is back from there with an answer.
    #[cold]
    pub(super) fn at_shield(&mut self, task: u32) {
        let record = self.tasks[task];
        let Op::Edge { cdn, key, hit } = self.op_at(task) else {
            unreachable!("behind an edge stands its shield")
        };
        let spec = &self.model.cdns[cdn];
        let shield = spec.shield.expect("asked before");
        let key = Key { keyset: 0, rank: self.rank_of(task, spec.keys, key) };
        let at = record.user % spec.pops % shield.count;
        self.tasks[task].pending = 0;
        if record.pending & SHIELD_HAS != 0 {
            let count = self.model.keys[spec.keys].count;
            let left = self.cdns[cdn].age_at_shield(count, at, key).unwrap_or(self.now);
            return self.back_from_shield(task, (cdn, key, hit), left);
        }
        self.count(shield.station, Counter::Arrivals);
        if self.cdns[cdn].shields[at as usize].get(self.now, key) == Lookup::Hit {
            self.count(shield.station, Counter::Hits);
            let way = self.way_to_shield(task, cdn);
            self.travel(task, way);
            self.tasks[task].pending = SHIELD_HAS;
            return self.at_task(self.now + way, Kind::Edge, task);
        }
        self.count(shield.station, Counter::Misses);
        let alone = !spec.collapse || self.is_refresher(task);
        if !alone && self.cdns[cdn].flights.begin(spec.pops + at, key, task) == Flight::Join {
            self.count(shield.station, Counter::Joined);
            let record = &mut self.tasks[task];
            (record.state, record.since) = (State::Joined, self.now);
            return;
        }
        self.note_asked(task, cdn, 1);
        self.forward_to_origin(task, cdn);
    }

    /// An edge has what its shield had: it keeps that for what is left of its time.
    fn back_from_shield(&mut self, task: u32, at: (CdnId, Key, Pc), left: Time) {
        if self.is_refresher(task) {
            return self.edge_has_another(task, at.0, at.1, left);
        }
        self.fill_pop(task, at, true, left);
        let record = &mut self.tasks[task];
        record.flags &= !flag::EDGE_MISS;
        record.pc = at.2;
        self.advance_away(task);
    }

    /// The shield keeps the answer to an edge, and answers all others that wait for it there; `from` is the
    /// answer as the origin gave it.
    pub(super) fn fill_shield(
        &mut self,
        task: u32,
        from: &Task,
        (cdn, key, hit): (CdnId, Key, Pc),
        kept: bool,
    ) {
        let spec = &self.model.cdns[cdn];
        let shield = spec.shield.expect("asked before");
        let at = from.user % spec.pops % shield.count;
        if from.status == OK && kept {
            self.store_at_shield(task, cdn, at, key);
        }
        if !self.cdns[cdn].flights.is_in_flight(spec.pops + at, key) {
            return;
        }
        let mut joined = Vec::new();
        self.cdns[cdn].flights.finish(spec.pops + at, key, |other| joined.push(other));
        for other in joined {
            self.joined(other, shield.station);
            if from.status == OK && !kept {
                // It was for whoever asked alone.
                self.asks_for_itself(other, cdn);
                continue;
            }
            let waiter = &mut self.tasks[other];
            (waiter.status, waiter.answered) = (from.status, from.answered);
            self.fill_pop(other, (cdn, key, hit), kept, self.now);
            let waiter = &mut self.tasks[other];
            waiter.flags &= !flag::EDGE_MISS;
            waiter.pc = hit;
            self.advance_away(other);
        }
    }

    fn store_at_shield(&mut self, task: u32, cdn: CdnId, at: u32, key: Key) {
        let spec = &self.model.cdns[cdn];
        let count = self.model.keys[spec.keys].count;
        let mut draws = self.tasks[task].stream.draw(0xed6e_5111);
        let now = self.now;
        let state = &mut self.cdns[cdn];
        state.left_origin[(at * count + key.rank) as usize] = now;
        let store = &mut state.shields[at as usize];
        store.set(now, key, Ttl::of(spec.ttl, false), &mut || draws.next_u64());
    }

    /// An edge gives an answer that is old, but not too old, and asks for another, if it does not yet.
    #[cold]
    pub(super) fn gives_stale(
        &mut self,
        task: u32,
        (cdn, pop, key): (CdnId, u32, Key),
        hit: Pc,
    ) -> bool {
        let spec = &self.model.cdns[cdn];
        let place = self.place_at_edge(cdn, pop, key);
        let fetched = self.cdns[cdn].fetched[place];
        let most = spec.ttl.unwrap_or(Duration::FOREVER).0.saturating_add(spec.revalidate.0);
        if fetched == Time::NEVER || self.now.since(fetched).0 > most {
            return false;
        }
        self.count(spec.station, Counter::Stale);
        let count = self.cdns[cdn].fetched.len();
        let refreshing = &mut self.cdns[cdn].refreshing;
        refreshing.resize(count, Time::ZERO);
        if refreshing[place] <= self.now || !spec.collapse {
            // Whatever becomes of it, it is waited for so long.
            let patience = spec.origin_timeout.0.saturating_mul(u64::from(spec.attempts));
            refreshing[place] = Time(self.now.0.saturating_add(patience));
            let record = self.tasks[task];
            let refresher = self.new_task(Task {
                leases: Default::default(),
                permit: 0,
                owner: NONE,
                row: NONE,
                owner_epoch: REFRESHES,
                ..record
            });
            if Q::TELLS {
                self.tell_split(task, refresher);
            }
            self.count(spec.station, Counter::Misses);
            match spec.shield {
                Some(shield) => self.ask_shield(refresher, shield),
                None => self.forward_to_origin(refresher, cdn),
            }
        }
        self.tasks[task].pc = hit;
        self.advance_away(task);
        true
    }

    /// Whether a task asks the origin for its edge alone.
    pub(super) fn is_refresher(&self, task: u32) -> bool {
        let record = &self.tasks[task];
        record.owner == NONE && record.owner_epoch == REFRESHES
    }

    /// The origin has answered an edge for whose request nobody waits.
    pub(super) fn refreshed(&mut self, task: u32, cdn: CdnId) {
        let record = self.tasks[task];
        let entry = self.model.operations[record.operation()].entry;
        let Op::Edge { key, .. } = self.model.tape[entry.0 as usize] else {
            unreachable!("only edges ask so")
        };
        let spec = &self.model.cdns[cdn];
        let key = Key { keyset: 0, rank: self.rank_of(task, spec.keys, key) };
        if record.status == OK && self.may_be_kept(&record, cdn) {
            if let Some(shield) = spec.shield {
                let at = record.user % spec.pops % shield.count;
                self.store_at_shield(task, cdn, at, key);
            }
            return self.edge_has_another(task, cdn, key, self.now);
        }
        let place = self.place_at_edge(cdn, record.user % spec.pops, key);
        self.cdns[cdn].refreshing[place] = Time::ZERO;
        self.end_task(task);
    }

    fn edge_has_another(&mut self, task: u32, cdn: CdnId, key: Key, left: Time) {
        let record = self.tasks[task];
        let pop = record.user % self.model.cdns[cdn].pops;
        self.store_at_edge(&record, (cdn, pop, key), left);
        let place = self.place_at_edge(cdn, pop, key);
        let state = &mut self.cdns[cdn];
        (state.refreshing[place], state.fetched[place]) = (Time::ZERO, left);
        self.end_task(task);
    }

    /// Whether the origin finds that what an edge asks for anew is what the edge has.
    #[cold]
    pub(super) fn is_unchanged(&self, task: u32, cdn: CdnId) -> bool {
        let record = &self.tasks[task];
        let entry = self.model.operations[record.operation()].entry;
        let Op::Edge { key, .. } = self.model.tape[entry.0 as usize] else { return false };
        let spec = &self.model.cdns[cdn];
        let key = Key { keyset: 0, rank: self.rank_of(task, spec.keys, key) };
        let place = self.place_at_edge(cdn, record.user % spec.pops, key);
        let known = self.cdns[cdn].fetched[place] != Time::NEVER;
        known && record.status == OK && record.stream.draw(0xed6e_0304).chance(spec.not_modified)
    }
}
