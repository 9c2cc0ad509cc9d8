//! Broadcasts through a Redis: published once, and heard by every process.

use super::super::meter::Counter;
use super::super::task::{OK, Task};
use super::super::world::World;
use super::{Callback, Message, callback, draw, of};
use crate::kernel::PendingEvents;
use crate::model::Broadcast;
use crate::model::ids::SocketId;
use crate::units::Duration;

impl<Q: PendingEvents> World<'_, Q> {
    /// The process that a message came to has written to its own members, and publishes it.
    pub(super) fn pass_on_message(&mut self, owner: u32, worker: u32, members: u32) {
        let Message { socket, .. } = self.messages[owner];
        let spec = &self.model.sockets[socket];
        match spec.publish {
            _ if spec.broadcast == Broadcast::Never => self.delivered(owner, 0),
            Some(entry) => {
                self.messages[owner].left += 1;
                self.written(owner, worker, members);
                let (stream, number) = self.sockets[socket].next(draw::PUBLISH);
                let stream = stream.numbered(u64::from(number));
                let what = callback::PUBLISH;
                let what = Callback { what, owner, members, stream, ..Callback::default() };
                self.call_back(worker, entry, Duration::ZERO, what);
            }
            None => {
                self.missed_elsewhere(socket, members);
                self.written(owner, worker, members);
            }
        }
    }

    /// A message reaches nobody but the members at its own process, of which there are so many.
    fn missed_elsewhere(&mut self, socket: SocketId, here: u32) {
        let spec = &self.model.sockets[socket];
        let everybody = spec.room.unwrap_or(u32::MAX).min(self.sockets[socket].open);
        let missed = everybody.saturating_sub(here);
        self.meters[spec.station].add(Counter::Wasted, u64::from(missed));
    }

    /// The adapter has it: every process gets it, and looks whether it has members.
    pub(super) fn published(&mut self, record: &Task) {
        let Message { socket, .. } = self.messages[record.owner];
        let spec = &self.model.sockets[socket];
        if record.status != OK {
            self.missed_elsewhere(socket, record.user);
            return self.delivered(record.owner, 0);
        }
        let service = &self.model.services[spec.service];
        let first = self.services[spec.service].first_instance;
        let first = self.instances[first as usize].first_worker;
        for place in 0..service.slots * service.workers {
            let worker = first + place;
            if !self.is_subscribed(worker) {
                continue;
            }
            // Its own process knows it already, and only throws it away.
            let members = match worker == record.worker {
                true => 0,
                false => self.members_at(socket, place as usize),
            };
            self.count(spec.station, Counter::Writes);
            self.messages[record.owner].left += 1;
            let work = spec.adapter_cpu + spec.write_cpu.scale(f64::from(members));
            let what = Callback { what: callback::DELIVER, members, ..of(record) };
            self.call_back(worker, spec.callback, work, what);
        }
        self.delivered(record.owner, 0);
    }

    /// Whether a process gets what the adapter publishes.
    pub(super) fn is_subscribed(&self, worker: u32) -> bool {
        let worker = &self.workers[worker as usize];
        self.instances[worker.instance as usize].phase.runs() && !worker.down
    }

    /// The processes of a socket that do.
    pub(super) fn subscribed(&self, socket: SocketId) -> impl Iterator<Item = u32> + '_ {
        let id = self.model.sockets[socket].service;
        let service = &self.model.services[id];
        let first = self.instances[self.services[id].first_instance as usize].first_worker;
        let all = first..first + service.slots * service.workers;
        all.filter(|worker| self.is_subscribed(*worker))
    }

    /// How many of the processes of a socket do.
    pub(in crate::run) fn processes_of_adapter(&self, socket: SocketId) -> u32 {
        self.subscribed(socket).count() as u32
    }
}
