//! Consumers that do not reach their brokers: what they are at goes on, and nothing else is handed out.
//!
//! What they have done is committed when they reach them again. Of a group of Kafka nobody is heard of
//! meanwhile: members whose session ends are out, and what they have not committed is handled again.

use super::super::stream::purpose;
use super::super::world::World;
use crate::kernel::PendingEvents;
use crate::model::Rules;
use crate::model::ids::ConsumerId;

impl<Q: PendingEvents> World<'_, Q> {
    /// A group does not reach its brokers any more, which are there and notice, or are not.
    pub(in crate::run) fn out_of_reach(&mut self, id: ConsumerId, noticed: bool) {
        let spec = &self.model.consumers[id];
        for member in 0..spec.members {
            let who = &mut self.streams.groups[id].members[member as usize];
            who.away = true;
            let epoch = who.epoch % purpose::NUMBERS;
            if let (Rules::Kafka(rules), true) = (&spec.rules, noticed) {
                let at = self.now + rules.session;
                self.time_stream(at, purpose::SILENT, epoch, spec.first_member + member);
            }
        }
    }

    /// It reaches them again.
    pub(in crate::run) fn within_reach(&mut self, id: ConsumerId) {
        let spec = &self.model.consumers[id];
        for member in 0..spec.members {
            let number = spec.first_member + member;
            let who = &mut self.streams.groups[id].members[member as usize];
            who.away = false;
            if who.down {
                if !who.off && !self.condition(crate::model::UnitKind::Member, number).down {
                    self.restart_member(number);
                }
                continue;
            }
            match &spec.rules {
                Rules::Kafka(_) => self.member_reaches(id, member),
                Rules::Kinesis(_) | Rules::RedisStream(_) => {}
                Rules::RedisPubSub(_) => self.subscriber_goes_on(id, member),
            }
        }
        match &spec.rules {
            Rules::RedisStream(_) => self.hand_out(id),
            Rules::Kinesis(_) => {
                let shards = self.streams.groups[id].logs.len() as u32;
                (0..shards).for_each(|shard| self.work_at_shard(id, shard));
            }
            _ => {}
        }
    }

    /// A member of a group of Kafka commits what it has done, or hears that it is out.
    fn member_reaches(&mut self, id: ConsumerId, member: u32) {
        let group = &mut self.streams.groups[id];
        if !group.coordinator.has(member) {
            return self.evicted_is_done(id, member);
        }
        for log in group.logs.iter_mut().filter(|log| log.owner == member) {
            if !log.busy && log.batch == 0 {
                let taken = std::mem::take(&mut log.taken);
                log.entries.drain(..taken);
            }
        }
        let who = &mut group.members[member as usize];
        who.heard = self.now;
        if who.joins || group.coordinator.is_rebalancing() && !group.coordinator.has_joined(member)
        {
            group.members[member as usize].joins = true;
            return self.join_when_idle(id, member);
        }
        self.work_at_any(id, member);
    }
}
