//! What is done to the stores of caches: entries are looked up, set, removed, and expire.

use super::event::Kind;
use super::meter::Counter;
use super::redis_memory::NO_ROOM;
use super::task::{OK, flag};
use super::world::World;
use crate::component::cache::{CacheStore, Key, Lookup, Stored, Ttl};
use crate::kernel::PendingEvents;
use crate::model::ids::CacheId;
use crate::model::tape::Op;

impl<Q: PendingEvents> World<'_, Q> {
    /// A store has lost all that it held.
    pub(super) fn empty_store(&mut self, cache: CacheId, index: u32) {
        let spec = &self.model.caches[cache];
        let empty = self.cold_store(spec);
        let store = &mut self.caches[cache].stores[index as usize];
        let lost = std::mem::replace(store, empty).used_bytes();
        self.meters[spec.station].held.add(self.now, -(lost as i64));
        if spec.service.is_none() {
            self.empty_lodgings(cache, index);
        }
    }

    /// A running callback uses a store of its own process. True: it goes on at once.
    pub(super) fn use_local_cache(&mut self, task: u32, cache: CacheId) -> bool {
        let worker = self.tasks[task].worker;
        let service = self.service_of_worker(worker);
        let first = self.instances[self.services[service].first_instance as usize].first_worker;
        self.count(self.model.caches[cache].station, Counter::Arrivals);
        self.use_store(task, cache, worker - first, worker)
    }

    /// Does to the store what the tape says. False: the task has joined somebody else's load.
    pub(super) fn use_store(&mut self, task: u32, cache: CacheId, store: u32, scope: u32) -> bool {
        let station = self.model.caches[cache].station;
        match self.op_at(task) {
            Op::CacheGet { keys, key, hit, single_flight, policy, .. } => {
                let key = self.key_of(task, cache, keys, key);
                let mut found = self.look_up(cache, store, key);
                if self.caches[cache].standby.is_some() && found == Lookup::Hit {
                    found = self.seen_by_copy(task, cache, store, key);
                }
                if policy.0 != 0 {
                    found = self.look_by_policy(task, cache, (store, scope), key, found);
                }
                if found == Lookup::Hit {
                    self.count(station, Counter::Hits);
                    self.finds_value(task, (cache, store), key);
                    self.tasks[task].pc = hit;
                    return true;
                }
                self.count(station, Counter::Misses);
                self.begins_load(task, cache, key);
                self.tasks[task].flags |= flag::MISSED;
                if single_flight {
                    return self.lead_or_join(task, cache, scope, key);
                }
                self.tasks[task].pc.0 += 1;
            }
            Op::CacheSet { keys, key: draw, ttl, single_flight, policy, .. } => {
                let key = self.key_of(task, cache, keys, draw);
                let mut ttl = Some(self.model.span(ttl));
                if policy.0 != 0 || self.model.keys[keys].absent > 0.0 {
                    let by = (policy, draw);
                    ttl = self.kept_for(task, keys, key.rank, by, ttl.flatten());
                }
                let is_server = self.model.caches[cache].service.is_none();
                if is_server && self.tasks[task].work.0 & NO_ROOM != 0 {
                    self.count(station, Counter::OutOfMemory);
                } else if let Some(ttl) = ttl {
                    let sliding = self.model.policies[usize::from(policy.0)].sliding
                        && !self.model.keys[keys].is_absent(key.rank);
                    self.ends_load(task, (cache, store), key);
                    self.store_value(cache, store, key, Ttl::of(ttl, sliding));
                    if policy.0 != 0 {
                        self.note_load(task, cache, store, key);
                    }
                }
                self.tasks[task].pc.0 += 1;
                if single_flight || self.tasks[task].has(flag::LEADS) {
                    self.land_flight(task, cache, scope, key, OK);
                }
            }
            Op::CacheDelete { keys, key, .. } => {
                let key = self.key_of(task, cache, keys, key);
                self.source_changes(cache, key);
                self.remove_value(cache, store, key);
                self.tasks[task].pc.0 += 1;
            }
            other => unreachable!("{other:?} uses no store"),
        }
        true
    }

    fn look_up(&mut self, cache: CacheId, store: u32, key: Key) -> Lookup {
        let state = &mut self.caches[cache];
        let stream = state.reads;
        state.looks += 1;
        let mut draws = stream.draw(state.looks);
        state.stores[store as usize].get_drawn(self.now, key, &mut || draws.next_u64())
    }

    fn store_value(&mut self, cache: CacheId, store: u32, key: Key, ttl: Ttl) {
        let (now, place) = (self.now, store);
        let state = &mut self.caches[cache];
        state.draws += 1;
        let mut draws = state.stream.draw(state.draws);
        let store = &mut state.stores[store as usize];
        let (used, expired) = (store.used_bytes(), store.counters().expired);
        let stored = store.set(now, key, ttl, &mut || draws.next_u64());
        let grown = store.used_bytes() as i64 - used as i64;
        let meter = &mut self.meters[self.model.caches[cache].station];
        meter.add(Counter::Expired, store.counters().expired - expired);
        meter.held.add(now, grown);
        if let Some(standby) = &mut self.caches[cache].standby {
            standby.wrote(place, key, now, &self.model.caches[cache]);
        }
        let meter = &mut self.meters[self.model.caches[cache].station];
        match stored {
            Stored::Ok { evicted } => {
                meter.count(Counter::Writes);
                meter.add(Counter::Evicted, u64::from(evicted));
            }
            Stored::OutOfMemory => meter.count(Counter::OutOfMemory),
        }
    }

    /// A value goes. Whether there was one.
    pub(super) fn remove_value(&mut self, cache: CacheId, store: u32, key: Key) -> bool {
        let store = &mut self.caches[cache].stores[store as usize];
        let used = store.used_bytes();
        let was_there = store.remove(key);
        let grown = store.used_bytes() as i64 - used as i64;
        self.meters[self.model.caches[cache].station].held.add(self.now, grown);
        was_there
    }

    /// All nodes of a cache run their expiry cycle.
    pub fn expire_cycle(&mut self, cache: CacheId) {
        let now = self.now;
        let expires = self.model.caches[cache].expire_cycle;
        for node in 0..if expires { self.caches[cache].stores.len() } else { 0 } {
            self.expire_node(cache, node);
        }
        self.persist(cache);
        self.at(now + CacheStore::EXPIRE_CYCLE_INTERVAL, Kind::Expire, cache.0);
    }
}
