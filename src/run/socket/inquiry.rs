//! Requests of the adapter (`fetchSockets`): a process asks all others through Redis, and waits for their answers.
//!
//! It asks how many processes subscribe (PUBSUB NUMSUB), and if it is not alone publishes its request to all. Each
//! other one looks what it has, and publishes its answer on a channel that all of them subscribe to, so that
//! every process decodes every answer (@socket.io/redis-adapter 8.3.0, `publishOnSpecificResponseChannel` false).
//! Who has not had all answers by `requestsTimeout` fails: one process whose loop stands still is enough.

use super::super::event::Kind;
use super::super::meter::{Counter, Part};
use super::super::task::{NONE, OK, State, Task};
use super::super::world::World;
use super::{Callback, Message, callback, purpose};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::tape::Op;

impl<Q: PendingEvents> World<'_, Q> {
    /// A flow asks the other processes. Says whether it goes on at once.
    pub(in crate::run) fn inquire(&mut self, task: u32) -> bool {
        let Op::Inquire { socket, sent, done } = self.op_at(task) else {
            unreachable!("a flow asks where its tape says so")
        };
        let worker = self.tasks[task].worker;
        let others: Vec<u32> = self.subscribed(socket).filter(|other| *other != worker).collect();
        if others.is_empty() {
            self.tasks[task].pc = done;
            return true;
        }
        if !sent {
            self.tasks[task].pc.0 += 1;
            return true;
        }
        let spec = &self.model.sockets[socket];
        let (wanted, epoch) = (others.len() as u32, self.tasks[task].epoch);
        let owner = self.messages.insert(Message {
            socket,
            sent: self.now,
            // The timer is one of them.
            left: wanted + 1,
            here: wanted,
            asker: (task, epoch),
        });
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::JobQueue, self.now);
        let at = self.now + spec.requests_timeout;
        self.events.push(Event::new(at, Kind::Socket as u8, purpose::ANSWERS, owner));
        let entry = spec.answer.expect("it asks through an adapter");
        for other in others {
            let what = Callback { what: callback::ASKED, owner, ..Callback::default() };
            self.call_back(other, entry, spec.adapter_cpu + spec.answer_cpu, what);
        }
        false
    }

    /// A process has published its answer, and all decode it.
    pub(super) fn answered(&mut self, record: &Task) {
        let Message { socket, asker, .. } = self.messages[record.owner];
        if record.status == OK {
            let spec = &self.model.sockets[socket];
            let waits = self.waits_for_answers(asker);
            let its = if waits { self.tasks[asker.0].worker } else { NONE };
            for worker in self.subscribed(socket).collect::<Vec<u32>>() {
                self.messages[record.owner].left += 1;
                let members = u32::from(worker == its);
                let (what, owner) = (callback::HEARD, record.owner);
                let what = Callback { what, owner, members, ..Callback::default() };
                self.call_back(worker, spec.callback, spec.adapter_cpu, what);
            }
        }
        self.delivered(record.owner, 0);
    }

    /// An answer has been decoded, perhaps by who waits for it.
    pub(super) fn heard(&mut self, record: &Task) {
        let message = &mut self.messages[record.owner];
        message.here -= record.user;
        let Message { here, asker, .. } = *message;
        if here == 0 && record.user == 1 && self.waits_for_answers(asker) {
            self.messages[record.owner].asker = (NONE, 0);
            self.go_on_answered(record.owner, asker.0, None);
        }
        self.delivered(record.owner, 0);
    }

    /// The time is over for answers to a request.
    pub(super) fn answers_late(&mut self, owner: u32) {
        let Message { socket, asker, .. } = self.messages[owner];
        if self.waits_for_answers(asker) {
            self.messages[owner].asker = (NONE, 0);
            self.count(self.model.sockets[socket].station, Counter::TimedOut);
            self.go_on_answered(owner, asker.0, Some(Failure::UpstreamTimeout));
        }
        self.delivered(owner, 0);
    }

    /// Whether who has asked is still there, and waits.
    fn waits_for_answers(&self, (task, epoch): (u32, u16)) -> bool {
        self.awaits(task, epoch) && self.tasks[task].state == State::JobQueue
    }

    fn go_on_answered(&mut self, owner: u32, task: u32, failure: Option<Failure>) {
        let station = self.model.sockets[self.messages[owner].socket].station;
        let waited = self.now.since(self.tasks[task].since);
        self.spend(task, station, Part::Wait, waited);
        let record = &mut self.tasks[task];
        record.state = State::Away;
        match failure {
            Some(why) => record.status = why as u8,
            None => record.pc.0 += 1,
        }
        self.resume(task);
    }
}
