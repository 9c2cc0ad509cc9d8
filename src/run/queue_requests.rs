//! Requests to SQS: how many there are, and how long they take.
//!
//! A message is sent, received and deleted by a request each. A worker without one asks all the time (long
//! polling), so it has it half a round trip after it is there; one that has done a message deletes it
//! first, and then asks for the next. A failed one is not deleted.

use crate::component::job_queue::Driver;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::QueueId;
use crate::stream::StreamKey;
use crate::units::Duration;

use super::event::Kind;
use super::job::JobState;
use super::meter::Counter;
use super::queue_scripts::Stage;
use super::world::World;

impl<Q: PendingEvents> World<'_, Q> {
    /// So many requests have been made.
    pub(super) fn count_requests(&mut self, queue: QueueId, counter: Counter, many: usize) {
        self.meters[self.model.queues[queue].station].add(counter, many as u64);
    }

    fn request_takes(&self, queue: QueueId, stream: StreamKey, what: u32) -> Duration {
        let rtt = self.model.queues[queue].rtt;
        rtt.map_or(Duration::ZERO, |rtt| self.model.draw_law(rtt, stream.named("request"), what))
    }

    /// A message is sent; how long that takes.
    pub(super) fn send_message(&mut self, queue: QueueId, task: u32) -> Duration {
        if self.model.queues[queue].driver != Driver::Sqs {
            return Duration::ZERO;
        }
        self.count_requests(queue, Counter::Writes, 1);
        let record = &self.tasks[task];
        self.request_takes(queue, record.stream, record.pc.0)
    }

    /// A worker receives a message, which it has asked for before, or `asks` for now. True: it has yet to come.
    pub(super) fn receive_message(&mut self, job: u32, queue: QueueId, asks: bool) -> bool {
        if self.model.queues[queue].driver != Driver::Sqs {
            return false;
        }
        self.count_requests(queue, Counter::Reads, 1);
        if self.model.queues[queue].rtt.is_none() {
            return false;
        }
        let whole = self.request_takes(queue, self.jobs[job].attempt_stream(), 0);
        self.waits_for_sqs(job, Stage::Claims, if asks { whole } else { whole.half() });
        true
    }

    /// A handler that has ended well deletes its message first. True: it waits for that.
    pub(super) fn delete_message(&mut self, job: u32, queue: QueueId) -> bool {
        let record = self.jobs[job];
        let fails = record.broke || self.fails_by_chance(job);
        let deletes = self.model.queues[queue].driver == Driver::Sqs
            && record.stage == Stage::Works
            && record.state == JobState::Running
            && !fails;
        if !deletes {
            return false;
        }
        self.count_requests(queue, Counter::Writes, 1);
        if self.model.queues[queue].rtt.is_none() {
            return false;
        }
        let whole = self.request_takes(queue, record.attempt_stream(), 1);
        self.waits_for_sqs(job, Stage::Ends, whole);
        true
    }

    fn waits_for_sqs(&mut self, job: u32, stage: Stage, wait: Duration) {
        let at = self.now + wait;
        let record = &mut self.jobs[job];
        (record.stage, record.due) = (stage, at);
        self.events.push(Event::new(at, Kind::JobDone as u8, record.number, job));
    }
}
