//! Deadlines that travel with requests: who works on hears that nobody waits any more.
//!
//! A caller that has given up is normally not heard of: what it has asked for goes on. Where callers
//! send their deadlines along (gRPC does: grpc.io, "Deadlines": a call's deadline is passed on to the
//! calls that are made for it) or close their connection, a handler that looks can stop.

use super::meter::Counter;
use super::task::{NONE, Role};
use super::world::World;
use crate::failure::Failure;
use crate::kernel::PendingEvents;

impl<Q: PendingEvents> World<'_, Q> {
    /// A task is about to begin a step of a service that looks at deadlines. Says whether it goes on.
    pub(super) fn pass_deadline(&mut self, task: u32) -> bool {
        if self.is_wanted(task) {
            self.tasks[task].pc.0 += 1;
            return true;
        }
        let station = self.station_of_worker(self.tasks[task].worker);
        self.count(station, Counter::TimedOut);
        self.fail(task, Failure::UpstreamTimeout);
        false
    }

    /// Whether all who wait for a task, one behind the other, still do.
    fn is_wanted(&self, mut task: u32) -> bool {
        loop {
            let record = self.tasks.peek(task);
            match record.role {
                Role::Attempt => return !self.user_has_gone(task),
                Role::Branch | Role::Protected | Role::Call => {
                    if record.owner == NONE || !self.awaits(record.owner, record.owner_epoch) {
                        return false;
                    }
                    task = record.owner;
                }
                Role::Tail | Role::Probe | Role::Batch | Role::Socket | Role::Job => return true,
            }
        }
    }
}
