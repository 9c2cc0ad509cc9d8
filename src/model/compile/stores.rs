//! Object storage.

use super::{Compiler, find};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::tape::Draw;
use crate::model::tape::DrawId;
use crate::model::{Parts, Store, StoreUse};
use crate::topology::{self, Named};

impl Compiler<'_> {
    pub(super) fn stores(&mut self) -> Dense<StoreId, Store> {
        let topology = self.topology;
        topology.stores.iter().map(|store| self.store(store)).collect()
    }

    fn store(&mut self, store: &Named<topology::Store>) -> Store {
        let spec = &store.spec;
        Store {
            name: store.name.clone(),
            region: self.place_of(topology::Section::Store, &store.name),
            station: self.station(&format!("store.{}", store.name)),
            put_rate: spec.put_rate.0,
            get_rate: spec.get_rate.0,
            prefixes: spec.prefixes,
            split_after: spec.split_after,
            put: self.law(&spec.put),
            get: self.law(&spec.get),
            attempts: spec.attempts,
            shared: spec.shared.map(|bits| bits.0 / 8.0),
            keeps: spec.lookup.as_ref().map(|_| spec.keep_alive),
        }
    }

    /// The number of a use of a store: its law, and what its parts carry together.
    pub(super) fn store_use(&mut self, said: &topology::StoreUse, write: bool, id: DrawId) -> u32 {
        let store: StoreId = find(&self.topology.stores, &said.store.name);
        let spec = &self.topology.stores[store.0 as usize].spec;
        let one = spec.bandwidth.0 / 8.0;
        let (parts, at_once) = match said.part_size {
            Some(size) => (Parts::Size(size.0), said.at_once),
            None => (Parts::Number(said.parts), said.parts),
        };
        let together = one * f64::from(at_once);
        let all = said.line.map_or(together, |line| (line.0 / 8.0).min(together));
        let bytes = Draw { law: self.law(&said.bytes), id };
        self.store_uses.push(StoreUse {
            store,
            write,
            bytes,
            parts,
            at_once,
            bytes_per_s: (one, all),
            expires: said.expires,
            leaves: said.leave_parts || said.expires.is_some(),
            lookup: None, // compiled behind the flow
        });
        self.store_uses.len() as u32 - 1
    }
}
