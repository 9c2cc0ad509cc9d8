//! What a process holds of its sockets: places, connections at its balancer, memory.

use super::Link;
use crate::kernel::PendingEvents;
use crate::model::ids::SocketId;
use crate::run::meter::Counter;
use crate::run::world::World;

impl<Q: PendingEvents> World<'_, Q> {
    /// A connection more or less at a process, and at its balancer.
    pub(super) fn hold(&mut self, worker: u32, more: i32, bytes: u64) {
        let index = self.workers[worker as usize].instance;
        let instance = &mut self.instances[index as usize];
        let (service, open) = (instance.service, &mut instance.open);
        *open = open.wrapping_add_signed(more);
        let its = &mut self.workers[worker as usize];
        its.open = its.open.wrapping_add_signed(more);
        its.sockets = its.sockets.wrapping_add_signed(more);
        its.socket_bytes = its.socket_bytes.wrapping_add_signed(bytes as i64 * i64::from(more));
        let state = &mut self.services[service];
        let targets = &mut state.nodes[0].targets;
        let target = index - state.first_instance;
        match more {
            ..0 => targets.answered(target),
            _ => targets.sent(target),
        }
        if self.model.services[service].health.slots.is_some() {
            match more {
                ..0 => self.slot_freed(service, 0, target),
                _ => self.note_slots(service, 0),
            }
        }
        if more < 0 {
            return;
        }
        if let Some(process) = &self.model.services[service].process {
            self.look_at_memory(worker, process);
        }
    }

    /// So many messages pass through the balancer of a service, one way or the other.
    pub(super) fn carry_messages(&mut self, id: SocketId, count: u32) {
        let spec = &self.model.sockets[id];
        let station = self.model.services[spec.service].station;
        self.meters[station].add(Counter::Bytes, spec.wire * u64::from(count));
    }

    /// A message is larger than its server takes: it closes the connection of the client that has sent it, one
    /// of its process's, by its place among them.
    pub(super) fn close_too_large(&mut self, id: SocketId, worker: u32, place: u32) {
        let station = self.model.sockets[id].station;
        let mut place = place;
        for slot in 0..self.connections.capacity() as u32 {
            let client = *self.connections.peek(slot);
            if client.socket != id || client.link != Link::Open || client.worker != worker {
                continue;
            }
            if place == 0 {
                self.count(station, Counter::Errors);
                self.count(station, Counter::Lost);
                return self.come_back(slot);
            }
            place -= 1;
        }
    }
}
