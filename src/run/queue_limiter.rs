//! Queues that start only so many jobs in a time.

use crate::kernel::{Event, PendingEvents};
use crate::model::ids::QueueId;

use super::event::Kind;
use super::mapping::POLL;
use super::queue_scripts::RENEW;
use super::world::World;

/// In the number of a queue's timer: its limiter's time is over. Otherwise stalled jobs are looked for.
const LIMIT_OVER: u32 = 1;

impl<Q: PendingEvents> World<'_, Q> {
    /// A timer of a queue.
    pub fn queue_timer(&mut self, queue: QueueId, what: u32) {
        match what {
            LIMIT_OVER => self.start_jobs(queue),
            RENEW if self.model.queues[queue].scripts.is_some() => self.renew_locks(queue),
            POLL.. => self.mapping_timer(queue, what),
            _ => self.check_stalled(queue),
        }
    }

    /// Whether workers leave what waits where it is, for a while; they then look again.
    pub(super) fn is_rate_limited(&mut self, queue: QueueId) -> bool {
        let state = &mut self.queues[queue];
        let Some(limiter) = &mut state.limiter else { return false };
        if state.queue.waiting() == 0 {
            return false;
        }
        let Some(unseen) = limiter.stops(self.now) else { return false };
        if unseen {
            let at = limiter.until();
            self.events.push(Event::new(at, Kind::Stalled as u8, LIMIT_OVER, queue.0));
        }
        true
    }

    /// A job would be started: whether Bull puts it aside instead.
    pub(super) fn puts_aside(&mut self, queue: QueueId, job: u32) -> bool {
        let now = self.now;
        let state = &mut self.queues[queue];
        let record = &mut self.jobs[job];
        let was_aside = std::mem::take(&mut record.aside);
        let limiter = state.limiter.as_mut().expect("only queues with a limiter ask");
        let Some(delay) = limiter.start(now, was_aside) else { return false };
        state.queue.finish();
        record.aside = true;
        self.delay_job(job, now + delay);
        true
    }
}
