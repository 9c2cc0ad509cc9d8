//! Looks into caches.

use super::super::super::Model;
use super::super::super::ids::*;
use super::super::super::tape::{Catch, Command, Draw, Op, Pc, PolicyId};
use super::super::super::{LoadLock, Policy};
use super::super::{Compiler, find, optional};
use super::{Behind, Place, Sessions};
use crate::topology;
use crate::units::Duration;

impl<'t> Compiler<'t> {
    /// Cache-aside: look up; on a miss do the steps and store the value.
    pub(super) fn cache(
        &mut self,
        lookup: &'t topology::CacheLookup,
        place: &Place<'t>,
        model: &mut Model,
        sessions: &Sessions,
        behind: &mut Vec<Behind<'t>>,
    ) {
        let cache: CacheId = find(&self.topology.caches, &lookup.cache.name);
        let keys = self.keyset(model, cache, &lookup.keys.name);
        // A miss of a tier asks the next one for the same key.
        let outer = place.keyed.filter(|(name, _)| *name == lookup.keys.name);
        let key = outer.map_or_else(|| place.draw("key"), |(_, key)| key);
        let single_flight = lookup.single_flight;
        let policy = self.policy(lookup);
        self.look_into_memory(cache, place, "get");
        let get = self.emit(Op::CacheGet { cache, keys, key, hit: Pc(0), single_flight, policy });
        if lookup.lock.is_some() {
            self.emit(Op::CacheLock { cache, keys, key, policy, get: Pc(get as u32) });
        }
        let inside = Place { keyed: Some((&lookup.keys.name, key)), ..place.at("miss") };
        self.flow(&lookup.miss, &inside, model, sessions, behind);
        let loaded = self.here();
        if lookup.write {
            let ttl = self.spans.id(optional(lookup.ttl));
            self.look_into_memory(cache, place, "set");
            self.emit(Op::CacheSet { cache, keys, key, ttl, single_flight, policy });
        } else if single_flight {
            self.emit(Op::CacheLand { cache, keys, key });
        }
        if lookup.lock.is_some() {
            self.emit(Op::CacheUnlock { cache, keys, key });
        }
        let hit = self.here();
        if !lookup.stale_while_revalidate.is_zero() {
            self.emit(Op::CacheRefreshed);
        }
        self.tape[get] = Op::CacheGet { cache, keys, key, hit, single_flight, policy };
        if !lookup.stale_if_error.is_zero() {
            let (first, leases) = (Pc(get as u32), place.held.len() as u8);
            let stale = Some(first);
            self.catches.push(Catch { first, last: loaded, to: hit, leases, stale });
        }
    }

    /// The policy of a look-up.
    fn policy(&mut self, lookup: &topology::CacheLookup) -> PolicyId {
        let policy = Policy {
            sliding: lookup.sliding,
            spread: lookup.jitter.0.min(1.0),
            early: lookup.early,
            revalidate: lookup.stale_while_revalidate,
            if_error: lookup.stale_if_error,
            negative: lookup.negative_ttl,
            lock: lookup.lock.as_ref().map(|lock| LoadLock {
                ttl: lock.ttl,
                retry: lock.retry,
                jitter: lock.jitter,
                tries: (lock.wait.0 / lock.retry.0) as u16,
                valid: lock.fenced.then(|| {
                    let drift = lock.ttl.scale(lock.drift.0) + Duration::millis(2);
                    Duration(lock.ttl.0.saturating_sub(drift.0))
                }),
            }),
        };
        let found = self.policies.iter().position(|known| *known == policy);
        PolicyId(found.unwrap_or_else(|| {
            self.policies.push(policy);
            self.policies.len() - 1
        }) as u16)
    }

    /// A write to the source of a key: through the cache, around it, or behind it.
    pub(super) fn update(
        &mut self,
        update: &'t topology::Update,
        place: &Place<'t>,
        model: &mut Model,
        sessions: &Sessions,
        behind: &mut Vec<Behind<'t>>,
    ) {
        let cache: CacheId = find(&self.topology.caches, &update.cache.name);
        let keys = self.keyset(model, cache, &update.keys.name);
        model.keys[keys].removed = true;
        let outer = place.keyed.filter(|(name, _)| *name == update.keys.name);
        let key = outer.map_or_else(|| place.draw("key"), |(_, key)| key);
        let inside = Place { keyed: Some((&update.keys.name, key)), ..place.at("write") };
        let is_behind = update.how == topology::WritePolicy::Behind;
        if !is_behind {
            self.flow(&update.write, &inside, model, sessions, behind);
        }
        self.emit(Op::CacheChanged { cache, keys, key });
        if update.how != topology::WritePolicy::Around {
            let ttl = self.spans.id(optional(update.ttl));
            self.look_into_memory(cache, place, "set");
            let policy = PolicyId::default();
            self.emit(Op::CacheSet { cache, keys, key, ttl, single_flight: false, policy });
        }
        if is_behind {
            let slot = self.forks.len();
            self.forks.push(Pc(0));
            let after = Draw { law: self.law(&update.after), id: place.draw("after") };
            self.emit(Op::WriteBehind { cache, slot: slot as u32, after });
            let place = Place { held: Vec::new(), in_thread: false, ..inside };
            behind.push(Behind::Fork { slot, flow: &update.write, place });
        }
    }

    /// A command to memory of the worker computes on the worker.
    pub(super) fn look_into_memory(&mut self, cache: CacheId, place: &Place, purpose: &str) {
        let spec = &self.topology.caches[cache.0 as usize].spec;
        let law = self.cache_command(spec);
        if spec.kind == topology::CacheKind::Memory && self.laws[law.0 as usize].mean > 0.0 {
            self.emit(Op::Cpu { work: Draw { law, id: place.draw(purpose) } });
        }
    }

    /// A command that the author describes.
    pub(super) fn own_command(&mut self, own: &topology::OwnCommand, place: &Place) {
        let cache: CacheId = find(&self.topology.caches, &own.cache.name);
        let takes = match &own.takes {
            Some(said) => self.law(said),
            None => self.cache_command(&self.topology.caches[cache.0 as usize].spec),
        };
        let command = Command::Own { takes, write: own.write };
        self.emit(Op::Command { cache, command, draw: place.draw("command"), bytes: 0 });
    }

    /// A cache's key sets are those that flows use it with.
    pub(super) fn keyset(&self, model: &mut Model, cache: CacheId, name: &str) -> KeysId {
        let keys = find(&self.topology.keys, name);
        let keysets = &mut model.caches[cache].keysets;
        if !keysets.contains(&keys) {
            keysets.push(keys);
        }
        keys
    }
}
