//! What hashes and cookies of balancers go by.

use super::task::Role;
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::Affinity;
use crate::model::ids::KeysId;
use crate::model::tape::DrawId;

impl<Q: PendingEvents> World<'_, Q> {
    /// What a hash or a cookie of a balancer goes by, for a request.
    #[inline]
    pub(super) fn affinity_of(&self, task: u32, affinity: Affinity) -> u64 {
        let user = self.tasks[task].user;
        match affinity {
            Affinity::User => u64::from(user),
            Affinity::Address => u64::from(user % self.model.client.addresses),
            Affinity::Network => u64::from(user % self.model.client.addresses / 256),
            Affinity::Keys(keys) => self.key_asked_for(task, keys),
            Affinity::Process => self.process_of_caller(task),
        }
    }

    /// The process whose connection a call goes over; a user has one as a process of its own.
    fn process_of_caller(&self, task: u32) -> u64 {
        let record = &self.tasks[task];
        match record.role {
            Role::Call if self.awaits(record.owner, record.owner_epoch) => {
                u64::from(self.tasks[record.owner].worker)
            }
            _ => self.workers.len() as u64 + u64::from(record.user),
        }
    }

    /// The key of a set that a request at its balancer is for.
    fn key_asked_for(&self, task: u32, keys: KeysId) -> u64 {
        let all = &self.model.balanced;
        let place = all.binary_search_by_key(&self.tasks[task].pc, |(enter, _)| *enter);
        let draw = place.map_or(DrawId(0), |place| all[place].1);
        u64::from(self.rank_of(task, keys, draw))
    }
}
