//! What is done with a message by the process that holds its sender: queries, caches, jobs, messages on streams.
//!
//! It is a flow on the loop of that process, and holds what requests hold: connections of the same pools, places,
//! threads. Messages are handled side by side, those of one client too, as handlers of events are that await
//! something (socket.io 4, EventEmitter). What it writes to the members is part of its callbacks. A handler
//! whose process dies is over, and nobody sends its message again (socket.io 4, "Delivery guarantees": at most once).

use super::super::meter::Counter;
use super::super::task::{OK, Role, Task, flag};
use super::super::world::World;
use super::{Message, callback, draw};
use crate::kernel::PendingEvents;
use crate::model::Broadcast;
use crate::model::tape::Pc;
use crate::units::Duration;

/// What of a message's random numbers says whose it is.
const SENDER: u64 = 0x5e4d;

impl<Q: PendingEvents> World<'_, Q> {
    /// A process begins to handle a message; its flow begins there, with so much computing.
    pub(super) fn handle_message(
        &mut self,
        owner: u32,
        worker: u32,
        (entry, work): (Pc, Duration),
    ) {
        let Message { socket, .. } = self.messages[owner];
        let (stream, number) = self.sockets[socket].next(draw::FLOW);
        let stream = stream.numbered(u64::from(number));
        let work = self.pace(worker, self.workers[worker as usize].instance, work);
        let task = self.new_task(Task {
            owner,
            owner_epoch: callback::HANDLE,
            user: stream.draw(SENDER).below(self.model.users().max(1)),
            role: Role::Socket,
            work,
            // Its first computation is given, not drawn.
            flags: flag::SLICED,
            ..Task::aside(stream, entry, worker, self.now)
        });
        self.workers[worker as usize].jobs += 1;
        let service = self.model.sockets[socket].service;
        if let Some(process) = &self.model.services[service].process {
            self.take_memory(worker, process);
        }
        self.resume(task);
    }

    /// A handler comes to where it broadcasts its message.
    pub(in crate::run) fn emit(&mut self, task: u32) {
        let Task { owner, worker, .. } = self.tasks[task];
        self.tasks[task].pc.0 += 1;
        let Message { socket, here, .. } = self.messages[owner];
        let spec = &self.model.sockets[socket];
        if spec.broadcast == Broadcast::Before {
            // It has written to its own members, and goes on.
            self.messages[owner].left += 1;
            return self.pass_on_message(owner, worker, here);
        }
        let here = self.members_at(socket, self.place_of_worker(worker));
        self.messages[owner].here = here;
        let index = self.workers[worker as usize].instance;
        let work = self.pace(worker, index, spec.write_cpu.scale(f64::from(here)));
        let record = &mut self.tasks[task];
        record.work = work;
        record.flags |= flag::SLICED;
    }

    /// A handler is over, well or badly.
    pub(super) fn message_handled(&mut self, record: &Task) {
        let Task { owner, worker, status, .. } = *record;
        let Message { socket, sent, here, .. } = self.messages[owner];
        let spec = &self.model.sockets[socket];
        let (took, meter) = (self.now.since(sent), &mut self.meters[spec.station]);
        if status == OK {
            meter.count(Counter::Handled);
            meter.shared(took);
        } else {
            meter.count(Counter::Unhandled);
        }
        match spec.broadcast {
            Broadcast::After if status == OK => self.pass_on_message(owner, worker, here),
            _ => self.delivered(owner, 0),
        }
        self.workers[worker as usize].jobs -= 1;
        self.stop_if_drained(self.workers[worker as usize].instance);
    }
}
