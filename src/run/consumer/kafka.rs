//! Groups of Kafka: partitions and their batches, heartbeats, rebalances, members that are out.

use super::super::meter::Counter;
use super::super::stream::purpose;
use super::super::task::NONE;
use super::super::world::World;
use crate::kernel::PendingEvents;
use crate::model::Rules;
use crate::model::ids::ConsumerId;
use crate::units::{Duration, Time};

impl<Q: PendingEvents> World<'_, Q> {
    /// The coordinator may hear nothing of a member for too long, if its work ends only then.
    pub(super) fn watch(&mut self, id: ConsumerId, member: u32, ends: Time) {
        let spec = &self.model.consumers[id];
        let Rules::Kafka(rules) = &spec.rules else { return };
        let its = &mut self.streams.groups[id].members[member as usize];
        if its.at_work == 1 && !rules.own_thread {
            // Until now it was idle, and its heartbeats came in time.
            its.beat = aligned(its.beat, rules.heartbeat, self.now);
            its.heard = its.heard.max(its.beat);
        }
        let last = its.heard + rules.patience;
        let epoch = its.epoch % purpose::NUMBERS;
        if ends > last && last >= self.now {
            self.time_stream(last, purpose::SILENT, epoch, spec.first_member + member);
        }
    }

    /// Whether a member takes messages now.
    pub(super) fn takes(&self, id: ConsumerId, member: u32) -> bool {
        let group = &self.streams.groups[id];
        let its = &group.members[member as usize];
        let stands = group.coordinator.has_joined(member) && !self.is_cooperative(id);
        let here = group.coordinator.has(member) && !stands;
        here && !its.down && !its.away && !its.joins && !its.returns && self.now >= its.resumes
    }

    /// The owner of a partition handles its next message, if it can.
    pub(in crate::run) fn work_at_partition(&mut self, id: ConsumerId, log: u32) {
        let spec = &self.model.consumers[id];
        let Rules::Kafka(rules) = &spec.rules else { return };
        let group = &self.streams.groups[id];
        let owner = group.logs[log as usize].owner;
        let idle = owner == NONE || !group.logs[log as usize].is_ready() || !self.takes(id, owner);
        if idle || self.is_headless(spec.stream, log) {
            return;
        }
        let group = &mut self.streams.groups[id];
        let who = &group.members[owner as usize];
        // Who has been told to end finishes its batch with the Java client, and its message with kafkajs.
        let batch = group.logs[log as usize].batch;
        let ends = who.leaves && !(rules.own_thread && batch > 0);
        let ends = ends || group.logs[log as usize].revoked && batch == 0;
        if who.at_work >= spec.concurrency || ends {
            return;
        }
        let its = &mut group.logs[log as usize];
        if its.batch == 0 {
            its.batch = rules.fetch.min((its.entries.len() - its.taken) as u32);
            if rules.own_thread {
                group.members[owner as usize].heard = self.now; // it has polled
            }
        }
        let entry = its.entries[its.taken];
        (its.taken, its.busy) = (its.taken + 1, true);
        self.begin(id, log, owner, entry);
    }

    /// After a message of a partition: the next one of its batch, or that of another partition.
    pub(super) fn partition_goes_on(&mut self, id: ConsumerId, log: u32, member: u32) {
        let spec = &self.model.consumers[id];
        let Rules::Kafka(rules) = &spec.rules else { return };
        let now = self.now;
        let group = &mut self.streams.groups[id];
        let its = &mut group.logs[log as usize];
        let taken = its.taken;
        its.entries[taken - 1].done = true;
        (its.busy, its.batch) = (false, its.batch.saturating_sub(1));
        let over = its.batch == 0;
        if over && !group.members[member as usize].away {
            its.entries.drain(..taken);
            its.taken = 0;
        }
        let rebalances = group.coordinator.is_rebalancing();
        let who = &mut group.members[member as usize];
        if who.away {
            return;
        }
        // It is heard of when it commits as well, which postpones no heartbeat (kafkajs 2.2.4, `lastRequest`).
        let beats = !rules.own_thread && now >= who.beat + rules.heartbeat;
        if beats {
            who.beat = now;
        }
        if over || beats {
            who.heard = now;
        }
        let polls = over || !rules.own_thread;
        if rebalances && polls && now >= who.notices {
            who.joins = true;
        }
        if who.joins && !rules.cooperative {
            return self.join_when_idle(id, member);
        }
        if rules.cooperative && over {
            self.joins_on(id, member);
            self.give_back(id, log);
        }
        if !over {
            return self.work_at_partition(id, log);
        }
        self.work_at_any(id, member);
    }

    /// A member looks at its partitions in turn.
    pub(super) fn work_at_any(&mut self, id: ConsumerId, member: u32) {
        let count = self.streams.groups[id].logs.len() as u32;
        let first = self.streams.groups[id].members[member as usize].turn;
        for step in 1..=count {
            let log = (first + step) % count;
            if self.streams.groups[id].logs[log as usize].owner == member {
                let before = self.streams.groups[id].members[member as usize].at_work;
                self.work_at_partition(id, log);
                let who = &mut self.streams.groups[id].members[member as usize];
                if who.at_work > before {
                    who.turn = log;
                }
            }
        }
    }

    /// A rebalance begins: members hear of it with their next heartbeats.
    pub(super) fn rebalance_begins(&mut self, id: ConsumerId) {
        let spec = &self.model.consumers[id];
        let Rules::Kafka(rules) = &spec.rules else { return };
        let group = &self.streams.groups[id];
        let round = group.coordinator.round() % purpose::NUMBERS;
        self.time_stream(self.now + rules.rebalance, purpose::GIVE_UP, round, id.0);
        for member in 0..spec.members {
            let group = &mut self.streams.groups[id];
            let who = &mut group.members[member as usize];
            let gone = who.down || who.returns || who.away;
            if group.coordinator.has(member) && !group.coordinator.has_joined(member) && !gone {
                let idle = who.at_work == 0 || rules.own_thread;
                let due = aligned(who.beat, rules.heartbeat, self.now);
                let due = if due < self.now { due + rules.heartbeat } else { due };
                let next = who.beat + rules.heartbeat;
                who.notices = if idle { due } else { next.max(self.now) };
                let notices = who.notices;
                let number = spec.first_member + member;
                self.time_stream(notices, purpose::BEAT, round, number);
            }
        }
        self.rebalance_may_end(id);
    }

    /// An idle member hears of a rebalance; one that is at work does after its message.
    pub(in crate::run) fn hears_of_rebalance(&mut self, number: u32, round: u32) {
        let (id, member) = self.member_place(number);
        let group = &mut self.streams.groups[id];
        let same = group.coordinator.round() % purpose::NUMBERS == round;
        let waits = group.coordinator.is_rebalancing() && !group.coordinator.has_joined(member);
        let who = &mut group.members[member as usize];
        let idle = who.at_work == 0 && self.now >= who.resumes;
        if same && waits && idle && !who.down && !who.away && !who.returns {
            who.joins = true;
            self.join_when_idle(id, member);
        }
    }

    /// A member commits what it has done and joins, when none of its handlers is at work.
    pub(super) fn join_when_idle(&mut self, id: ConsumerId, member: u32) {
        if self.is_cooperative(id) {
            return self.joins_on(id, member);
        }
        let group = &mut self.streams.groups[id];
        let who = &mut group.members[member as usize];
        if who.at_work > 0 || !group.coordinator.has(member) {
            return;
        }
        who.joins = false;
        group.coordinator.join(member);
        for log in group.logs.iter_mut().filter(|log| log.owner == member) {
            let taken = std::mem::take(&mut log.taken);
            log.entries.drain(..taken);
            log.batch = 0;
        }
        self.meters[self.model.consumers[id].station].held.add(self.now, -1);
        self.rebalance_may_end(id);
    }

    pub(super) fn rebalance_may_end(&mut self, id: ConsumerId) {
        if self.is_cooperative(id) {
            return self.cooperative_end(id);
        }
        let partitions = self.streams.groups[id].logs.len() as u32;
        let group = &mut self.streams.groups[id];
        let joined = (0..group.members.len() as u32)
            .filter(|member| group.coordinator.has_joined(*member))
            .count();
        let Some(owners) = group.coordinator.complete(partitions) else { return };
        for (log, owner) in group.logs.iter_mut().zip(owners) {
            log.owner = owner.unwrap_or(NONE);
        }
        let own_thread =
            matches!(&self.model.consumers[id].rules, Rules::Kafka(it) if it.own_thread);
        for who in &mut group.members {
            (who.heard, who.failed) = (self.now, 0);
            if own_thread {
                who.beat = self.now;
            }
        }
        let station = self.model.consumers[id].station;
        self.meters[station].held.add(self.now, joined as i64);
        self.meters[station].add(Counter::Opened, joined as u64);
        for log in 0..partitions {
            self.work_at_partition(id, log);
        }
    }

    /// A rebalance has waited for long enough: those who are still at work are out.
    pub(in crate::run) fn rebalance_gives_up(&mut self, id: ConsumerId, round: u32) {
        let coordinator = &mut self.streams.groups[id].coordinator;
        if !coordinator.is_rebalancing() || coordinator.round() % purpose::NUMBERS != round {
            return;
        }
        for member in coordinator.give_up() {
            self.member_out(id, member);
        }
        self.rebalance_may_end(id);
    }

    /// A member may have been silent for too long: at work, or dead.
    pub(in crate::run) fn silent(&mut self, number: u32, epoch: u32) {
        let (id, member) = self.member_place(number);
        let Rules::Kafka(rules) = &self.model.consumers[id].rules else { return };
        let group = &mut self.streams.groups[id];
        let who = &group.members[member as usize];
        let same = who.epoch % purpose::NUMBERS == epoch && group.coordinator.has(member);
        let dead = who.down || who.returns || who.away;
        let late = who.at_work > 0 && self.now >= who.heard + rules.patience;
        let joined = group.coordinator.has_joined(member);
        if !same || !(dead || (late && !joined)) {
            return;
        }
        let begins = group.coordinator.leave(member);
        if joined && !self.is_cooperative(id) {
            // Out of the count already.
            let station = self.model.consumers[id].station;
            self.meters[station].held.add(self.now, 1);
        }
        self.member_out(id, member);
        if self.streams.groups[id].members[member as usize].returns {
            self.member_returns(id, member);
        }
        match begins {
            true => self.rebalance_begins(id),
            false => self.rebalance_may_end(id),
        }
    }

    /// A member is out: what it has not committed is handled again by others.
    pub(super) fn member_out(&mut self, id: ConsumerId, member: u32) {
        self.count(self.model.consumers[id].station, Counter::TimedOut);
        self.lose_membership(id, member);
    }

    /// A member is not of the group any more, whoever wants it so.
    pub(super) fn lose_membership(&mut self, id: ConsumerId, member: u32) {
        let station = self.model.consumers[id].station;
        self.meters[station].held.add(self.now, -1);
        let now = self.now;
        let mut again = 0;
        let group = &mut self.streams.groups[id];
        let who = &mut group.members[member as usize];
        (who.epoch, who.joins) = (who.epoch + 1, false);
        for log in group.logs.iter_mut().filter(|log| log.owner == member) {
            for entry in log.entries.iter_mut().take(log.taken) {
                (entry.since, entry.deliveries) = (now, entry.deliveries.wrapping_add(1));
                again += 1;
            }
            (log.taken, log.batch, log.busy, log.owner) = (0, 0, false, NONE);
            log.revoked = false;
        }
        for _ in 0..again {
            self.meters[station].enter(now);
        }
        self.meters[station].add(Counter::Retried, again);
    }

    /// A member that was out is done with what it was at: it asks to join again.
    pub(super) fn evicted_is_done(&mut self, id: ConsumerId, member: u32) {
        let group = &self.streams.groups[id];
        let who = &group.members[member as usize];
        let free = who.at_work == 0 && self.now >= who.resumes;
        if free && !who.down && !who.away && !group.coordinator.has(member) {
            let begins = self.asks(id, member);
            match begins {
                true => self.rebalance_begins(id),
                false => self.rebalance_may_end(id),
            }
        }
    }

    /// A process that was down is known to have been: it joins the rebalance that this has begun.
    pub(super) fn member_returns(&mut self, id: ConsumerId, member: u32) {
        let group = &mut self.streams.groups[id];
        group.members[member as usize].returns = false;
        self.asks(id, member);
    }
}

/// The last of the instants at equal distances from `first` that is not after `now`.
fn aligned(first: Time, every: Duration, now: Time) -> Time {
    if now <= first || every.is_zero() {
        return first;
    }
    first + Duration(now.since(first).0 / every.0 * every.0)
}
