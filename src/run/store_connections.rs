//! Connections of processes to object stores, where opening one begins with looking a name up.
//!
//! Each request takes the connection that was used last, as Node.js' agent does (`scheduling: "lifo"`),
//! and opens one where none is idle. One that ends later than now is in use until then.

use super::task::{NONE, Role};
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::StoreUse;
use crate::model::tape::Op;
use crate::units::Time;

impl<Q: PendingEvents> World<'_, Q> {
    /// No connection is open.
    pub(super) fn build_store_connections(&mut self) {
        for (store, spec) in self.model.stores.enumerate() {
            if spec.keeps.is_some() {
                self.stores[store].connections = vec![Vec::new(); self.workers.len()];
            }
        }
    }

    /// A task takes the connections that it needs, unless it has them. False: some have to be opened first,
    /// and their names are looked up side by side.
    pub(super) fn connect_store(&mut self, task: u32, usage: &StoreUse) -> bool {
        if matches!(self.op_at(task), Op::Store { .. }) {
            return true;
        }
        let keeps = self.model.stores[usage.store].keeps.expect("compiled for such stores only");
        let record = self.tasks[task];
        let bytes = self.model.draw_bytes(usage.bytes, record.stream);
        let wanted = usage.parts_of(bytes).min(usage.at_once);
        let (now, worker) = (self.now, record.worker as usize);
        let open = &mut self.stores[usage.store].connections[worker];
        open.retain(|since| *since + keeps > now);
        let mut missing = wanted;
        while missing > 0
            && let Some(place) = last_used(open, now)
        {
            open.remove(place);
            missing -= 1;
        }
        if missing == 0 {
            self.tasks[task].pc.0 += 1;
            return true;
        }
        let entry = usage.lookup.expect("compiled behind its flow");
        self.await_children(task, missing as u16);
        for number in (0..missing).rev() {
            let stream = record.stream.named("lookup").numbered(u64::from(number));
            self.start_branch(task, Role::Branch, entry, number as u16, stream);
        }
        false
    }

    /// A request will be over then: its connections are idle from that time on.
    pub(super) fn free_connections(&mut self, task: u32, usage: &StoreUse, parts: u32, over: Time) {
        let worker = self.tasks[task].worker;
        if usage.lookup.is_some() && worker != NONE {
            let open = &mut self.stores[usage.store].connections[worker as usize];
            open.extend((0..parts.min(usage.at_once)).map(|_| over));
        }
    }

    /// An object is through the bandwidth that all share.
    pub(super) fn pipe_connections(&mut self, task: u32, over: Time) {
        let record = self.tasks[task];
        // Its task stands behind the request.
        if let Op::Store { usage } = self.model.tape[record.pc.0 as usize - 1] {
            let usage = self.model.store_uses[usage as usize];
            let bytes = self.model.draw_bytes(usage.bytes, record.stream);
            self.free_connections(task, &usage, usage.parts_of(bytes), over);
        }
    }

    /// A process has ended with its connections.
    pub(super) fn forget_store_connections(&mut self, worker: u32) {
        for (store, spec) in self.model.stores.enumerate() {
            if spec.keeps.is_some() {
                self.stores[store].connections[worker as usize].clear();
            }
        }
    }
}

/// The idle connection that was used last.
fn last_used(open: &[Time], now: Time) -> Option<usize> {
    let idle = open.iter().enumerate().filter(|(_, since)| **since <= now);
    idle.max_by_key(|(_, since)| **since).map(|(place, _)| place)
}
