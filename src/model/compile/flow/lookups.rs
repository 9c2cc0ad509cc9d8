//! Names that are looked up before connections are opened.

use super::super::super::Model;
use super::super::super::ids::*;
use super::super::super::tape::{Draw, Op};
use super::super::{Compiler, find};
use super::{Behind, Place};
use crate::topology::{self, Named, Runtime, Service};

/// Compiles how pools, and clients of caches, look up their servers.
pub(in super::super) fn lookups(compiler: &mut Compiler, model: &mut Model) {
    for (index, pool) in compiler.topology.pools.iter().enumerate() {
        let Some(lookup) = &pool.spec.lookup else { continue };
        let service: ServiceId = find(&compiler.topology.services, &pool.spec.service.name);
        let entry = compiler.here();
        compiler.look_up(lookup, &Place::alone(service, format!("pool.{}", pool.name)));
        compiler.emit(Op::End);
        model.pools[PoolId(index as u32)].lookup = Some(entry);
    }
    for (index, cache) in compiler.topology.caches.iter().enumerate() {
        let id = CacheId(index as u32);
        let lookup = cache.spec.lookup.as_ref().filter(|_| cache.spec.reconnects());
        let Some(lookup) = lookup else { continue };
        for service in model.services.ids() {
            let entry = compiler.here();
            compiler.look_up(lookup, &Place::alone(service, format!("cache.{}", cache.name)));
            compiler.emit(Op::End);
            model.caches[id].lookups.push(entry);
        }
    }
}

impl<'t> Compiler<'t> {
    /// Before a store is asked by a service, its name is looked up for each new connection.
    pub(super) fn connect_store(
        &mut self,
        said: &topology::StoreUse,
        usage: u32,
        place: &Place<'t>,
        behind: &mut Vec<Behind<'t>>,
    ) {
        let store: StoreId = find(&self.topology.stores, &said.store.name);
        let spec = &self.topology.stores[store.0 as usize].spec;
        // With a URL of their own users ask it over their own connections.
        if let Some(lookup) = spec.lookup.as_ref().filter(|_| said.expires.is_none()) {
            self.emit(Op::Dial { usage });
            behind.push(Behind::Lookup { usage, lookup, place: place.at("connect") });
        }
    }

    /// The flow of one look-up, which a connection to a store waits for.
    pub(super) fn store_lookup(&mut self, usage: u32, lookup: &topology::Dist, place: &Place<'t>) {
        self.store_uses[usage as usize].lookup = Some(self.here());
        self.look_up(lookup, place);
        self.emit(Op::End);
    }

    /// A name is looked up: a thread waits, of libuv's pool, or of one that nobody else wants.
    pub(super) fn look_up(&mut self, lookup: &topology::Dist, place: &Place<'t>) {
        let runtime = &self.topology.services[place.service].spec.runtime;
        let pooled = matches!(runtime, Runtime::Node(_)) && !place.in_thread;
        let length = Draw { law: self.law(lookup), id: place.draw("lookup") };
        if pooled {
            self.emit(Op::ThreadEnter);
        }
        self.emit(Op::Wait { length, looks: false });
        if pooled {
            self.emit(Op::ThreadLeave);
            self.emit(Op::ThreadFree);
        }
    }
}

impl topology::Topology {
    /// Whether connections that a service opens make threads of its pool look names up.
    pub(in super::super) fn looks_names_up(&self, service: &Named<Service>) -> bool {
        let by_pools = || {
            let own = |pool: &&Named<topology::Pool>| pool.spec.service.name == service.name;
            self.pools.iter().filter(own).any(|pool| pool.spec.lookup.is_some())
        };
        let by_stores = || {
            self.steps().iter().any(|(at, step)| match &step.value {
                topology::Step::Put(it) | topology::Step::Get(it) => {
                    let store = self.stores.iter().find(|known| known.name == it.store.name);
                    *at == Some(service.name.as_str())
                        && store.is_some_and(|known| known.spec.lookup.is_some())
                }
                _ => false,
            })
        };
        let by_caches = || {
            let asks = |cache: &Named<topology::Cache>| cache.spec.lookup.is_some();
            self.caches.iter().any(|cache| asks(cache) && cache.spec.reconnects())
        };
        matches!(service.spec.runtime, Runtime::Node(_))
            && (by_pools() || by_stores() || by_caches())
    }
}
