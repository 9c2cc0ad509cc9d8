//! Deadlines that travel with requests: who works on hears that nobody waits any more.
//!
//! A caller that has given up is normally not heard of: what it has asked for goes on. Where callers
//! send their deadlines along (gRPC does: grpc.io, "Deadlines": a call's deadline is passed on to the
//! calls that are made for it) or close their connection, a handler that looks can stop.
//!
//! It looks before each step, and what waits within a step waits no longer than anybody waits for it: a call
//! that it makes has what is left of its own time (grpc-go, `context.WithTimeout` of an incoming context;
//! an `AbortSignal` that is handed on), and so has somebody outside. A computation keeps its loop, and a
//! statement is not taken back: node-postgres 8 has no way to, and a thread hears of nothing.

use super::meter::Counter;
use super::task::{NONE, Role};
use super::world::World;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::units::{Duration, Time};

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

    /// When the first of those gives up who wait for a task, one behind the other. They do so before it hears
    /// of it, however short the way.
    pub(super) fn wanted_until(&self, mut task: u32) -> Time {
        const HEARD: Duration = Duration(1);
        let mut until = Time::NEVER;
        loop {
            let record = self.tasks.peek(task);
            match record.role {
                Role::Attempt if record.owner == NONE => return self.now,
                Role::Attempt => {
                    let patience = self.journeys[record.owner].deadline;
                    return if patience == Time::NEVER {
                        until
                    } else {
                        until.min(patience + HEARD)
                    };
                }
                Role::Branch | Role::Protected | Role::Call => {
                    if record.owner == NONE || !self.awaits(record.owner, record.owner_epoch) {
                        return self.now;
                    }
                    task = record.owner;
                    let given_up = self.tasks.peek(task).deadline;
                    if given_up != Time::NEVER {
                        until = until.min(given_up + HEARD);
                    }
                }
                Role::Tail | Role::Probe | Role::Batch | Role::Socket | Role::Job => return until,
            }
        }
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
