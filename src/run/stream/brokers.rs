//! Brokers of Kafka that are down: producers try again, consumers stand still.
//!
//! A request that finds nobody is sent again after a pause: 300 ms at first, then twice as long, each up
//! to a fifth shorter or longer, five times (kafkajs 2.2.4, retry/defaults.js: retries 5, initialRetryTime
//! 300, factor 0.2, multiplier 2, maxRetryTime 30,000); then `send` throws. What a leader had taken but
//! not appended is sent again too. Members keep their memberships: the coordinator is a broker.

use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::UnitKind;
use crate::model::ids::{ConsumerId, StreamId};
use crate::run::meter::{Counter, Part};
use crate::run::task::NONE;
use crate::run::world::World;
use crate::units::Duration;

use super::purpose;

/// How often a request is sent again.
const RETRIES: u32 = 5;
/// The first pause, the most that one may last, and by what share each is spread.
const FIRST: Duration = Duration::millis(300);
const LONGEST: Duration = Duration::secs(30);
const SPREAD: f64 = 0.2;

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether the brokers of a stream are down.
    #[inline]
    pub(super) fn brokers_are_down(&self, stream: StreamId) -> bool {
        self.condition(UnitKind::Stream, stream.0).down
    }

    /// The brokers of a stream go down.
    pub(in crate::run) fn brokers_die(&mut self, stream: StreamId) {
        let station = self.model.streams[stream].station;
        let topic = self.topic(stream);
        let partitions = topic.first_partition..topic.first_partition + topic.partitions;
        for partition in partitions {
            let waiting = std::mem::take(&mut self.streams.leaders[partition as usize].queue);
            for slot in waiting {
                let since = self.streams.requests[slot as usize].arrived;
                self.meters[station].leave(self.now, since);
                self.find_nobody(slot);
            }
        }
        for group in self.groups_of(stream) {
            self.out_of_reach(group, false);
        }
    }

    /// They are back.
    pub(in crate::run) fn brokers_are_back(&mut self, stream: StreamId) {
        for group in self.groups_of(stream) {
            if !self.is_out_of_reach(group) {
                self.within_reach(group);
            }
        }
    }

    fn groups_of(&self, stream: StreamId) -> Vec<ConsumerId> {
        self.model.streams[stream].consumers.clone()
    }

    /// A request finds nobody: its producer tries again later, or gives up.
    pub(super) fn find_nobody(&mut self, slot: u32) {
        let request = &mut self.streams.requests[slot as usize];
        request.tries += 1;
        let (stream, tries) = (request.stream, request.tries);
        let station = self.model.streams[stream].station;
        if tries > RETRIES {
            return self.give_up_request(slot, Failure::Unreachable);
        }
        self.count(station, Counter::Retried);
        self.streams.drawn += 1;
        let key = self.key.named("stream").named("again").numbered(self.streams.drawn);
        let mut draws = key.draw(0);
        let mut around = |length: Duration| length.scale(1.0 + SPREAD * (2.0 * draws.unit() - 1.0));
        // Each pause is spread around the one before, which was spread itself (retry/index.js).
        let request = &mut self.streams.requests[slot as usize];
        let pause = if tries == 1 { around(FIRST) } else { request.pause };
        request.pause = around(pause).scale(2.0).min(LONGEST);
        self.time_stream(self.now + pause, purpose::ARRIVE, 0, slot);
    }

    /// A producer tries no more.
    pub(super) fn give_up_request(&mut self, slot: u32, why: Failure) {
        let request = &mut self.streams.requests[slot as usize];
        let stream = request.stream;
        let mut messages = std::mem::take(&mut request.messages);
        let station = self.model.streams[stream].station;
        for message in messages.drain(..) {
            self.count(station, Counter::Errors);
            if message.task != NONE {
                let waited = self.now.since(self.tasks[message.task].since);
                self.spend(message.task, station, Part::Wait, waited);
                self.tasks[message.task].status = why as u8;
                self.at_task(self.now, crate::run::event::Kind::Resume, message.task);
            }
        }
        let request = &mut self.streams.requests[slot as usize];
        (request.messages, request.tries) = (messages, 0);
        self.streams.free.push(slot);
    }
}
