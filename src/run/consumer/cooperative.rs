//! Cooperative rebalances of Kafka (KIP-429, `CooperativeStickyAssignor`), and members that keep their
//! partitions while they restart (`group.instance.id`, KIP-345).
//!
//! Members join a rebalance as they poll, keep their partitions, and go on. When all have joined, partitions that
//! nobody has are given out; those that are to move are revoked: their owner ends its batch, commits, and joins
//! again, and a second rebalance gives them out. So nothing stands still but what moves. A member with an
//! instance id that comes back within its session has its partitions as before, and nobody else hears of it;
//! one that ends does not say so, and is missed when its session is over.

use super::super::meter::Counter;
use super::super::task::NONE;
use super::super::world::World;
use crate::component::consumer_group::sticky;
use crate::kernel::PendingEvents;
use crate::model::Rules;
use crate::model::ids::ConsumerId;

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether members of a group keep their partitions in a rebalance.
    pub(super) fn is_cooperative(&self, id: ConsumerId) -> bool {
        matches!(&self.model.consumers[id].rules, Rules::Kafka(rules) if rules.cooperative)
    }

    /// Whether the coordinator knows members of a group by names of their own.
    pub(super) fn has_names(&self, id: ConsumerId) -> bool {
        matches!(&self.model.consumers[id].rules, Rules::Kafka(rules) if rules.named)
    }

    /// Somebody who is not of the group asks to join. True: a rebalance begins with that.
    pub(super) fn asks(&mut self, id: ConsumerId, member: u32) -> bool {
        if self.is_cooperative(id) {
            // Others are out of the count until a rebalance is over.
            let station = self.model.consumers[id].station;
            self.meters[station].held.add(self.now, 1);
        }
        self.streams.groups[id].coordinator.ask(member)
    }

    /// A member that polls joins the rebalance under way, and goes on.
    pub(super) fn joins_on(&mut self, id: ConsumerId, member: u32) {
        let group = &mut self.streams.groups[id];
        group.members[member as usize].joins = false;
        let coordinator = &mut group.coordinator;
        let waits = coordinator.is_rebalancing() && coordinator.has(member);
        if waits && !coordinator.has_joined(member) {
            coordinator.join(member);
            self.rebalance_may_end(id);
        }
    }

    /// All have joined: what nobody has is given out, and what is to move is revoked.
    pub(super) fn cooperative_end(&mut self, id: ConsumerId) {
        let group = &mut self.streams.groups[id];
        let Some(joined) = group.coordinator.ends() else { return };
        let of = |owner: u32| (owner != NONE).then_some(owner);
        let owners: Vec<Option<u32>> = group.logs.iter().map(|log| of(log.owner)).collect();
        for (log, wanted) in group.logs.iter_mut().zip(sticky(&owners, &joined)) {
            match of(log.owner) {
                None => log.owner = wanted.unwrap_or(NONE),
                owner => log.revoked = owner != wanted,
            }
        }
        for who in &mut group.members {
            (who.heard, who.beat, who.failed) = (self.now, self.now, 0);
        }
        let station = self.model.consumers[id].station;
        self.meters[station].add(Counter::Opened, joined.len() as u64);
        for log in 0..self.streams.groups[id].logs.len() as u32 {
            self.give_back(id, log);
            self.work_at_partition(id, log);
        }
    }

    /// A partition that is revoked, and no batch of which is at hand, is given back. Who has given back all
    /// joins again.
    pub(super) fn give_back(&mut self, id: ConsumerId, log: u32) {
        let group = &mut self.streams.groups[id];
        let its = &mut group.logs[log as usize];
        if !its.revoked || its.busy || its.batch > 0 {
            return;
        }
        let owner = std::mem::replace(&mut its.owner, NONE);
        its.revoked = false;
        self.count(self.model.consumers[id].station, Counter::Evicted);
        let group = &mut self.streams.groups[id];
        if group.logs.iter().any(|log| log.revoked && log.owner == owner) {
            return;
        }
        let begins = group.coordinator.begin();
        group.coordinator.join(owner);
        match begins {
            true => self.rebalance_begins(id),
            false => self.rebalance_may_end(id),
        }
    }

    /// A process is there again within the session of its name: what it had not committed it handles anew.
    pub(super) fn named_member_returns(&mut self, id: ConsumerId, member: u32) {
        let now = self.now;
        let group = &mut self.streams.groups[id];
        let who = &mut group.members[member as usize];
        (who.epoch, who.returns) = (who.epoch + 1, false);
        (who.heard, who.beat) = (now, now);
        let mut again = 0;
        for log in group.logs.iter_mut().filter(|log| log.owner == member) {
            for entry in log.entries.iter_mut().take(log.taken) {
                (entry.since, entry.deliveries) = (now, entry.deliveries.wrapping_add(1));
                again += 1;
            }
            (log.taken, log.batch, log.busy) = (0, 0, false);
        }
        let waits = group.coordinator.is_rebalancing() && !group.coordinator.has_joined(member);
        let station = self.model.consumers[id].station;
        (0..again).for_each(|_| self.meters[station].enter(now));
        self.meters[station].add(Counter::Retried, again);
        if waits {
            self.streams.groups[id].members[member as usize].joins = true;
            return self.join_when_idle(id, member);
        }
        self.work_at_any(id, member);
    }
}
