//! Answers that a busy loop has not seen.
//!
//! While a callback runs nothing is read: an answer that comes waits in the socket. When the callback
//! is over libuv runs the timers that are due, and polls after them (`uv_run`), so a timer that became due
//! meanwhile gives up on an answer that is there. That is so for calls (`fetch`, an `AbortSignal`), for
//! `query_timeout` of node-postgres and for `commandTimeout` of ioredis (6.0.0 Command.js: the timer
//! rejects what is not settled). In asyncio the loop looks what has come before it runs its timers.

use super::task::{OK, State, Task};
use super::world::World;
use crate::kernel::PendingEvents;
use crate::units::Time;

impl<Q: PendingEvents> World<'_, Q> {
    /// Asked when an answer comes: whether the loop of a task will run its timer first, which is due then.
    pub(super) fn timer_runs_first(&self, task: u32, due: Time) -> bool {
        let worker = self.tasks[task].worker;
        if due == Time::NEVER || !self.keeps_loop_unread(worker) {
            return false;
        }
        let running = self.tasks.peek(self.workers[worker as usize].running);
        running.deadline != Time::NEVER && running.deadline >= due
    }

    /// Asked when a timer is due: whether the answer that a task waits for is there, and its loop has been
    /// busy with one callback since before that.
    pub(super) fn is_answered_unseen(&self, record: &Task) -> bool {
        if record.state != State::Ready || record.status != OK {
            return false;
        }
        let worker = &self.workers[record.worker as usize]; // who is ready waits for another
        self.keeps_loop_unread(record.worker)
            && self.tasks.peek(worker.running).since <= record.since
    }

    /// Whether a callback computes on a loop that runs its timers before it reads.
    fn keeps_loop_unread(&self, worker: u32) -> bool {
        let worker = &self.workers[worker as usize];
        worker.running != super::task::NONE
            && self.tasks.peek(worker.running).state == State::Computing
            && self.model.services[worker.service].polls_after_timers
    }
}
