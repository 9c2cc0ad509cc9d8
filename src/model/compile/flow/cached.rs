//! Looks into caches.

use super::super::super::Model;
use super::super::super::ids::*;
use super::super::super::tape::{Draw, Op, Pc};
use super::super::{Compiler, find, optional};
use super::{Behind, Place, Sessions};
use crate::topology;

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
        let key = place.draw("key");
        let single_flight = lookup.single_flight;
        self.look_into_memory(cache, place, "get");
        let get = self.emit(Op::CacheGet { cache, keys, key, hit: Pc(0), single_flight });
        self.flow(&lookup.miss, &place.at("miss"), model, sessions, behind);
        if lookup.write {
            let ttl = self.spans.id(optional(lookup.ttl));
            self.look_into_memory(cache, place, "set");
            self.emit(Op::CacheSet { cache, keys, key, ttl, single_flight });
        } else if single_flight {
            self.emit(Op::CacheLand { cache, keys, key });
        }
        let hit = self.here();
        self.tape[get] = Op::CacheGet { cache, keys, key, hit, single_flight };
    }

    /// A command to memory of the worker computes on the worker.
    pub(super) fn look_into_memory(&mut self, cache: CacheId, place: &Place, purpose: &str) {
        let spec = &self.topology.caches[cache.0 as usize].spec;
        let law = self.cache_command(spec);
        if spec.kind == topology::CacheKind::Memory && self.laws[law.0 as usize].mean > 0.0 {
            self.emit(Op::Cpu { work: Draw { law, id: place.draw(purpose) } });
        }
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
