//! Messages of queues that a function gets (an event source mapping of AWS Lambda).
//!
//! A poller receives a batch, calls the function, and deletes the messages when it has succeeded. What
//! has failed shows up in the queue again when its time of being invisible is over. A call that is
//! throttled is made again until then; the handler does one message after the other.

use crate::component::event_pollers::Pollers;
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::Mapping;
use crate::model::ids::{ConsumerId, QueueId};
use crate::model::tape::Pc;
use crate::units::Time;

use super::event::Kind;
use super::job::JobState;
use super::meter::{Counter, MILLI};
use super::task::{NONE, OK, Role, Task};
use super::world::World;

/// What the timers of a queue are for, after those of its limiter: pollers look again, ...
pub(super) const POLL: u32 = 2;
/// ... and from here on the batch that has waited for more messages, or for the function.
pub(super) const BATCH: u32 = 16;

/// Messages in a request to SQS at most (ReceiveMessage, DeleteMessageBatch).
const BATCH_MOST: usize = 10;

/// A batch that a poller has under way.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    queue: QueueId,
    /// The lane whose batch it is, if it comes from a stream.
    lane: Option<(ConsumerId, u32)>,
    /// Its messages, with whether the function says that they have failed.
    messages: Vec<(u32, bool)>,
    /// The one that the handler is at.
    at: usize,
    /// How often its call was throttled.
    throttled: u32,
    /// When its present timer fires, if it has one.
    due: Time,
}

impl Batch {
    /// One of a lane, which has its records.
    pub(super) fn of_shard(group: ConsumerId, lane: u32) -> Batch {
        Batch { lane: Some((group, lane)), due: Time::NEVER, ..Batch::default() }
    }
}

/// A mapping while it runs.
pub struct MappingState {
    pollers: Pollers,
    /// The batch that messages are gathered for; [`NONE`]: none is.
    gathers: u32,
    /// When its pollers look next; [`Time::NEVER`]: when something happens.
    looks_at: Time,
}

impl MappingState {
    /// One that has nothing under way.
    pub fn new(spec: &Mapping) -> MappingState {
        let pollers = Pollers::new(spec.most);
        MappingState { pollers, gathers: NONE, looks_at: Time::NEVER }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    fn mapping(&mut self, queue: QueueId) -> &mut MappingState {
        self.queues[queue].mapping.as_mut().expect("only queues with a mapping poll")
    }

    /// Pollers that are free receive what waits.
    pub(super) fn poll(&mut self, queue: QueueId, spec: &Mapping) {
        let now = self.now;
        self.mapping(queue).pollers.pass(now);
        while self.queues[queue].queue.waiting() > 0 {
            let gathers = self.mapping(queue).gathers;
            let batch = match gathers {
                NONE if self.mapping(queue).pollers.has_free() => self.begin_batch(queue, spec),
                NONE => break,
                _ => gathers,
            };
            let room = spec.batch_size as usize - self.batches[batch].messages.len();
            (0..room).for_each(|_| self.receive(queue, batch));
            if spec.window.is_zero() {
                self.call_function(batch);
            } else if self.batches[batch].messages.len() == spec.batch_size as usize {
                self.mapping(queue).gathers = NONE;
                self.call_function(batch);
            }
        }
        let waits = self.queues[queue].queue.waiting() > 0;
        let state = self.mapping(queue);
        if let Some(at) = state.pollers.look(now, waits).filter(|at| *at != state.looks_at) {
            state.looks_at = at;
            self.events.push(Event::new(at, Kind::Stalled as u8, POLL, queue.0));
        }
    }

    fn begin_batch(&mut self, queue: QueueId, spec: &Mapping) -> u32 {
        self.mapping(queue).pollers.take();
        let station = self.model.queues[queue].station;
        self.meters[station].busy.add(self.now, MILLI);
        let batch = self.batches.insert(Batch { queue, due: Time::NEVER, ..Batch::default() });
        if !spec.window.is_zero() {
            self.mapping(queue).gathers = batch;
            self.time_batch(batch, self.now + spec.window);
        }
        batch
    }

    fn time_batch(&mut self, batch: u32, at: Time) {
        self.batches[batch].due = at;
        let queue = self.batches[batch].queue;
        self.events.push(Event::new(at, Kind::Stalled as u8, BATCH + batch, queue.0));
    }

    /// The next message, if one is left, goes to a batch, and is invisible to others for a while.
    fn receive(&mut self, queue: QueueId, batch: u32) {
        let Some(started) = self.queues[queue].queue.start(self.now) else { return };
        let spec = &self.model.queues[queue];
        let record = &mut self.jobs[started.job];
        self.meters[spec.station].leave(self.now, record.queued);
        (record.state, record.started) = (JobState::Running, self.now);
        let number = record.number;
        self.batches[batch].messages.push((started.job, false));
        let visible = self.now + spec.lock;
        self.events.push(Event::new(visible, Kind::JobTimeout as u8, number, started.job));
    }

    /// A timer of a mapping: its pollers look again, or a batch goes to the function.
    pub(super) fn mapping_timer(&mut self, queue: QueueId, what: u32) {
        let model = self.model;
        let Some(spec) = &model.queues[queue].mapping else { return };
        if what == POLL {
            return self.poll(queue, spec);
        }
        let batch = what - BATCH;
        if self.batches.peek(batch).due != self.now {
            return; // it was full before
        }
        if self.mapping(queue).gathers == batch {
            self.mapping(queue).gathers = NONE;
        }
        self.call_function(batch);
    }

    /// The function is called with a batch, less what is visible again.
    fn call_function(&mut self, batch: u32) {
        let Batch { queue, messages, .. } = &mut self.batches[batch];
        let queue = *queue;
        let mut visible = Vec::new();
        let jobs = &self.jobs;
        messages.retain(|(job, _)| {
            let held = jobs[*job].state == JobState::Running;
            if !held {
                visible.push(*job);
            }
            held
        });
        for job in visible {
            self.jobs.remove(job);
            self.queues[queue].queue.finish();
        }
        self.batches[batch].due = Time::NEVER;
        if self.batches[batch].messages.is_empty() {
            return self.batch_over(batch);
        }
        let received = self.batches[batch].messages.len().div_ceil(BATCH_MOST);
        if self.batches[batch].throttled == 0 {
            self.count_requests(queue, Counter::Reads, received);
        }
        let model = self.model;
        let function = model.queues[queue].mapping.as_ref().expect("it calls it").function;
        let task = Task { owner: batch, role: Role::Batch, ..self.message_task(batch) };
        let task = self.new_task(task);
        self.invoke(task, function);
    }

    /// What the handler does with the message that a batch is at, from its beginning.
    fn message_task(&self, batch: u32) -> Task {
        let Batch { messages, at, throttled, .. } = &self.batches[batch];
        let record = &self.jobs[messages[*at].0];
        let entry = self.model.jobs[record.kind].entry;
        let stream = record.attempt_stream().numbered(u64::from(*throttled));
        Task { user: record.user, ..Task::aside(stream, entry, NONE, self.now) }
    }

    /// The handler is done with a message, or has caught its failure. Says whether another one follows.
    pub(super) fn message_over(&mut self, task: u32, failed: bool) -> bool {
        let batch = self.tasks[task].owner;
        if let Some(lane) = self.batches[batch].lane {
            return self.record_over(task, lane, failed);
        }
        let at = self.batches[batch].at;
        let record = &self.jobs[self.batches[batch].messages[at].0];
        let chance = self.model.jobs[record.kind].fail;
        if !failed && record.attempt_stream().draw(0xfa11_0000).chance(chance) {
            return self.raise(task, Failure::JobFailed);
        }
        let state = &mut self.batches[batch];
        state.messages[at].1 = failed;
        state.at += 1;
        if state.at == state.messages.len() {
            self.answer(task, 0.0);
            return false;
        }
        let next = self.message_task(batch);
        let record = &mut self.tasks[task];
        (record.stream, record.user, record.pc) = (next.stream, next.user, Pc(next.pc.0 + 1));
        true
    }

    /// A call of the function is over, or was throttled.
    pub(super) fn batch_answered(&mut self, task: u32) {
        let record = self.tasks[task];
        let batch = record.owner;
        if let Some(lane) = self.batches[batch].lane {
            return self.records_answered(task, lane);
        }
        if record.worker == NONE {
            self.end_task(task);
            return self.call_throttled(batch);
        }
        // First the messages, then its environment takes others.
        let all_failed = record.status != OK;
        let messages = &self.batches[batch].messages;
        let done = messages.iter().filter(|(_, failed)| !all_failed && !failed).count();
        let queue = self.batches[batch].queue;
        self.count_requests(queue, Counter::Writes, done.div_ceil(BATCH_MOST));
        for (job, failed) in std::mem::take(&mut self.batches[batch].messages) {
            self.end_message(job, !all_failed && !failed);
        }
        self.depart_instance(task);
        self.end_task(task);
        self.batch_over(batch);
    }

    /// A call that was throttled is made again after a pause, which doubles.
    fn call_throttled(&mut self, batch: u32) {
        let Batch { queue, throttled, .. } = &mut self.batches[batch];
        let (queue, times) = (*queue, *throttled);
        *throttled += 1;
        let pause = self.model.queues[queue].mapping.as_ref().expect("it calls it").pause;
        let pause = pause.scale(f64::from(1u32 << times.min(30)));
        self.time_batch(batch, self.now + pause);
    }

    fn end_message(&mut self, job: u32, ok: bool) {
        let record = self.jobs[job];
        let queue = self.model.jobs[record.kind].queue;
        let station = self.model.queues[queue].station;
        self.queues[queue].queue.finish();
        if record.state == JobState::Duplicate {
            self.count(station, Counter::Wasted);
            self.jobs.remove(job);
        } else if ok {
            self.count(station, Counter::Served);
            self.job_over(job, None);
        } else {
            self.attempt_failed(job);
        }
    }

    fn batch_over(&mut self, batch: u32) {
        let model = self.model;
        let queue = self.batches.remove(batch).queue;
        let spec = &model.queues[queue];
        self.meters[spec.station].busy.add(self.now, -MILLI);
        let state = self.mapping(queue);
        state.pollers.free();
        self.poll(queue, spec.mapping.as_ref().expect("it had a batch"));
    }
}
