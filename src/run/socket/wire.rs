//! Messages on a link, where there is one before the service.
//!
//! What comes from a client is received when it is through, and what is written to the members at a process
//! reaches them when that is. The copies of one message are a single transfer: they have one share of the
//! link beside others, and each process sends its own.

use super::super::task::{NONE, OK, Role, State, Task, flag};
use super::super::world::World;
use super::{Message, callback, draw};
use crate::kernel::PendingEvents;
use crate::model::Broadcast;
use crate::model::ids::SocketId;
use crate::model::tape::Pc;
use crate::run::event::Kind;
use crate::units::{Duration, Time};

impl<Q: PendingEvents> World<'_, Q> {
    /// So many copies of a message set out over the link of a process, or come to it. False: there is none.
    pub(super) fn send_over_link(
        &mut self,
        worker: u32,
        (owner, what): (u32, u16),
        copies: u32,
    ) -> bool {
        let Message { socket, .. } = self.messages[owner];
        let spec = &self.model.sockets[socket];
        let Some(link) = self.model.services[spec.service].link.filter(|_| copies > 0) else {
            return false;
        };
        let (stream, number) = self.sockets[socket].next(draw::WIRE);
        let upload = if what == callback::COMES { flag::UPLOAD } else { 0 };
        let task = self.new_task(Task {
            since: self.now,
            deadline: Time::NEVER,
            owner,
            owner_epoch: what,
            user: copies,
            worker,
            stream: stream.numbered(u64::from(number)),
            row: NONE,
            role: Role::Socket,
            state: State::Away,
            status: OK,
            parked: OK,
            flags: flag::SLICED | upload,
            ..Task::default()
        });
        self.enter_link(task, link, (spec.wire * u64::from(copies)) as f64);
        true
    }

    /// A message is through with its link; what was lost comes later.
    pub(in crate::run) fn message_off_link(&mut self, task: u32, late: Duration) {
        if late.is_zero() {
            return self.socket_done(task);
        }
        let record = &mut self.tasks[task];
        let callback = self.model.sockets[self.messages[record.owner].socket].callback;
        record.state = State::Away;
        // A loop takes what comes; what has gone needs none.
        (record.worker, record.pc) = match record.owner_epoch {
            callback::COMES => (record.worker, callback),
            _ => (NONE, Pc(callback.0 + 1)),
        };
        self.at_task(self.now + late, Kind::Resume, task);
    }

    /// A process receives a message, and writes it to its own members, or begins to handle it.
    pub(super) fn read_message(&mut self, owner: u32, worker: u32) {
        let id: SocketId = self.messages[owner].socket;
        let spec = &self.model.sockets[id];
        let now = spec.broadcast == Broadcast::Before
            || spec.flow.is_none() && spec.broadcast == Broadcast::After;
        let local = if now { self.members_at(id, self.place_of_worker(worker)) } else { 0 };
        let (stream, number) = self.sockets[id].next(draw::RECEIPT);
        let receive = self.model.draw_law(spec.message_cpu, stream, number);
        let work = receive + spec.read_more + spec.write_cpu.scale(f64::from(local));
        if let Some(entry) = spec.flow {
            self.messages[owner].here = local;
            return self.handle_message(owner, worker, (entry, work));
        }
        let what = super::Callback {
            what: callback::RECEIVE,
            owner,
            members: local,
            ..super::Callback::default()
        };
        self.call_back(worker, spec.callback, work, what);
    }
}
