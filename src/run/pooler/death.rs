//! A pooler that dies: its clients lose their connections, and its own to the servers are closed.
//!
//! Who waits for a connection is disconnected, and statements under way fail. The process comes back
//! without a connection, and opens them again one by one as clients ask.

use crate::component::pooler::Pooler;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::UnitKind;
use crate::model::ids::{PoolId, PoolerId};
use crate::run::fault::Condition;
use crate::run::meter::{Counter, MILLI};
use crate::run::world::World;

impl<Q: PendingEvents> World<'_, Q> {
    /// In which condition the process of a pooler is.
    #[inline]
    pub(super) fn condition_of_pooler(&self, number: u32) -> Condition {
        self.condition(UnitKind::Pooler, self.poolers[number as usize].kind.0)
    }

    /// A pooler dies with all of its connections, to clients and to servers.
    pub(in crate::run) fn pooler_dies(&mut self, kind: PoolerId) {
        let its = |number: &u32| self.poolers[*number as usize].kind == kind;
        let numbers: Vec<u32> = (0..self.poolers.len() as u32).filter(its).collect();
        for number in &numbers {
            self.turn_all_out(*number);
        }
        for pool in 0..self.model.pools.len() as u32 {
            if self.model.pools[PoolId(pool)].pooler == Some(kind) {
                self.sever_pool(PoolId(pool));
            }
        }
        for number in numbers {
            self.lose_servers(number);
        }
    }

    /// Whoever waits at a pooler is disconnected.
    fn turn_all_out(&mut self, number: u32) {
        let station = self.station_of_pooler(number);
        while let Some(task) = self.poolers[number as usize].pool.first_waiter() {
            self.poolers[number as usize].pool.cancel(task);
            self.count(station, Counter::Errors);
            self.leave(task, station);
            self.turn_out(task, Failure::DatabaseDown);
        }
    }

    /// The servers of a pooler that has died have its places back.
    fn lose_servers(&mut self, number: u32) {
        for sub in &mut self.pools {
            if let Some(behind) = sub.behind.as_mut().filter(|it| it.pooler == number) {
                behind.forget_servers();
            }
        }
        let station = self.station_of_pooler(number);
        let state = &mut self.poolers[number as usize];
        let fresh = Pooler::new(*state.pool.config());
        let old = std::mem::replace(&mut state.pool, fresh);
        let opening = std::mem::take(&mut state.opening);
        state.between.clear();
        let (node, incarnation) =
            (state.node, self.node_mut(self.poolers[number as usize].node).incarnation);
        let places =
            opening.iter().filter(|it| it.granted && it.incarnation == incarnation).count();
        let open = old.total() - opening.len() as u32;
        for _ in 0..open + places as u32 {
            self.sever_node(node);
        }
        let meter = &mut self.meters[station];
        meter.busy.add(self.now, -(i64::from(old.busy()) * MILLI));
        meter.held.add(self.now, -i64::from(old.total()));
        meter.add(Counter::Closed, u64::from(open));
        meter.add(Counter::Errors, opening.len() as u64);
    }

    /// A server has died: so have all connections of poolers to it, and the clients that had one are
    /// disconnected. Their pools have been told already.
    pub(in crate::run) fn cut_poolers(&mut self, node: u32) {
        for number in 0..self.poolers.len() as u32 {
            if self.poolers[number as usize].node != node {
                continue;
            }
            let station = self.station_of_pooler(number);
            let state = &mut self.poolers[number as usize];
            let busy = state.pool.busy();
            (0..busy).for_each(|_| state.pool.lose());
            state.between.clear();
            let lost = busy + state.pool.lose_idle();
            let meter = &mut self.meters[station];
            meter.busy.add(self.now, -(i64::from(busy) * MILLI));
            meter.held.add(self.now, -i64::from(lost));
            meter.add(Counter::Closed, u64::from(lost));
            for sub in &mut self.pools {
                if let Some(behind) = sub.behind.as_mut().filter(|it| it.pooler == number) {
                    behind.forget_servers();
                }
            }
            self.tend_pooler(number);
        }
    }
}
