//! Groups of a stream of Redis, and subscribers of its channels.

use super::super::meter::Counter;
use super::super::stream::purpose;
use super::super::world::World;
use super::{Entry, HandlerState};
use crate::component::output_buffer::OutputBuffer;
use crate::kernel::PendingEvents;
use crate::model::Rules;
use crate::model::ids::ConsumerId;

impl<Q: PendingEvents> World<'_, Q> {
    /// Messages go to whoever asks for them: the least busy first.
    pub(super) fn hand_out(&mut self, id: ConsumerId) {
        let spec = &self.model.consumers[id];
        loop {
            let group = &mut self.streams.groups[id];
            let members = group.members.iter().enumerate();
            let free = members.filter(|(_, it)| {
                !it.down && !it.away && !it.leaves && it.at_work < spec.concurrency
            });
            let Some((member, _)) = free.min_by_key(|(_, it)| it.at_work) else { return };
            let Some(entry) = group.logs[0].entries.pop_front() else { return };
            self.begin(id, 0, member as u32, entry);
        }
    }

    /// Somebody looks for messages that have been pending for too long.
    pub(in crate::run) fn claim(&mut self, id: ConsumerId) {
        let spec = &self.model.consumers[id];
        let Rules::RedisStream(rules) = &spec.rules else { return };
        self.time_stream(self.now + rules.claim_every, purpose::CLAIM, 0, id.0);
        let Some(after) = rules.claim_after else { return };
        if self.streams.groups[id].members.iter().all(|it| it.down || it.away) {
            return;
        }
        for slot in 0..self.streams.handlers.capacity() as u32 {
            let handler = *self.streams.handlers.peek(slot);
            let pending = matches!(handler.state, HandlerState::Running | HandlerState::Orphan);
            if !pending || handler.group != id || self.now.since(handler.started) < after {
                continue;
            }
            match handler.state {
                HandlerState::Orphan => drop(self.streams.handlers.remove(slot)),
                _ => self.streams.handlers[slot].state = HandlerState::Stale,
            }
            let mut entry = handler.entry;
            entry.deliveries += 1;
            if rules.deliveries.is_some_and(|most| u32::from(entry.deliveries) >= most) {
                self.count(spec.station, Counter::Rejected);
                continue;
            }
            entry.since = self.now;
            self.count(spec.station, Counter::Retried);
            self.meters[spec.station].enter(self.now);
            self.streams.groups[id].logs[0].entries.push_front(entry);
        }
        self.hand_out(id);
    }

    /// A subscriber is sent a message, if it is there; one that does not read is cut off.
    pub(super) fn push_to_subscriber(&mut self, id: ConsumerId, member: u32, entry: Entry) {
        let spec = &self.model.consumers[id];
        let Rules::RedisPubSub(rules) = &spec.rules else { return };
        let who = self.streams.groups[id].members[member as usize];
        if who.down || who.cut {
            return self.count(spec.station, Counter::Lost);
        }
        self.queue_message(id, member, entry);
        let message = self.model.streams[spec.stream].message;
        let group = &mut self.streams.groups[id];
        let waits = group.logs[member as usize].entries.len();
        let in_redis = waits.saturating_sub(rules.in_socket) as u64 * message;
        let buffer = &mut group.members[member as usize].buffer;
        if buffer.added(self.now, in_redis, &rules.limits) {
            group.members[member as usize].cut = true;
            self.lose_messages(id, member, rules.in_socket);
            self.count(spec.station, Counter::Closed);
            self.meters[spec.station].held.add(self.now, -1);
        }
        self.subscriber_goes_on(id, member);
    }

    /// What waits for a subscriber beyond so many messages is lost.
    pub(super) fn lose_messages(&mut self, id: ConsumerId, member: u32, kept: usize) {
        let station = self.model.consumers[id].station;
        while self.streams.groups[id].logs[member as usize].entries.len() > kept {
            let entries = &mut self.streams.groups[id].logs[member as usize].entries;
            let entry = entries.pop_back().expect("more than are kept");
            self.meters[station].leave(self.now, entry.since);
            self.count(station, Counter::Lost);
        }
    }

    /// A subscriber reads on; one that was cut off sees that only at the end of what it has.
    pub(super) fn subscriber_goes_on(&mut self, id: ConsumerId, member: u32) {
        let spec = &self.model.consumers[id];
        let Rules::RedisPubSub(rules) = &spec.rules else { return };
        let group = &mut self.streams.groups[id];
        let who = group.members[member as usize];
        if who.down || who.away || who.at_work > 0 {
            return;
        }
        match group.logs[member as usize].entries.pop_front() {
            Some(entry) => self.begin(id, member, member, entry),
            None if who.cut => {
                let (number, epoch) = (spec.first_member + member, who.epoch % purpose::NUMBERS);
                self.time_stream(self.now + rules.reconnect, purpose::BACK, epoch, number);
            }
            None => {}
        }
    }

    /// A subscriber is connected again.
    pub(in crate::run) fn subscriber_is_back(&mut self, number: u32, epoch: u32) {
        let (id, member) = self.member_place(number);
        let who = &mut self.streams.groups[id].members[member as usize];
        if who.down || !who.cut || who.epoch % purpose::NUMBERS != epoch {
            return;
        }
        (who.cut, who.buffer) = (false, OutputBuffer::default());
        let station = self.model.consumers[id].station;
        self.count(station, Counter::Opened);
        self.meters[station].held.add(self.now, 1);
    }
}
