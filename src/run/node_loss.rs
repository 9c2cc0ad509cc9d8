//! A machine of Kubernetes that is gone without a word, with the pods that it ran.
//!
//! Nobody resets a connection and nobody refuses one: who waits for an answer waits on, and who opens a
//! connection repeats its SYN. The node's lease is not renewed, and after the grace period the node is
//! marked as not ready: its pods leave the endpoints. They are deleted, and others started in their
//! place, when their toleration of the node's taint is over (kube-controller-manager, node lifecycle
//! and taint eviction controllers; `DefaultTolerationSeconds`). A machine that is back before that has its
//! pods' containers started again by its own kubelet.

use super::event::Kind;
use super::task::{NONE, State, Task, flag};
use super::world::World;
use crate::component::tcp::{Delivery, Packet};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::{Harm, NodeLoss, Unit, UnitKind};
use crate::units::{Duration, Time};

/// What is due for an instance that is down.
mod due {
    /// It starts again, or another in its place.
    pub const RESTART: u32 = 0;
    /// Its node is marked as not ready.
    pub const NOT_READY: u32 = 1;
    /// Another is ready in its place.
    pub const REPLACED: u32 = 2;
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether an instance is gone without a word, with its machine.
    #[inline(always)]
    pub(super) fn is_silent(&self, index: u32) -> bool {
        #[cold]
        #[inline(never)]
        fn rarely(silent: bool, down: bool) -> bool {
            silent && down
        }
        match &self.faults {
            None => false,
            Some(_) => {
                let silent = self.condition(UnitKind::Instance, index).silent;
                let first = self.instances[index as usize].first_worker as usize;
                silent && rarely(silent, self.workers[first].down)
            }
        }
    }

    /// The machine of an instance is lost.
    pub(super) fn node_lost(&mut self, index: u32, loss: NodeLoss) {
        self.instances[index as usize].draining_since = self.now;
        let unready = self.now + self.noticed_after(index, loss);
        let replaced = unready + loss.toleration + loss.start;
        self.due_at(unready, index, due::NOT_READY);
        self.due_at(replaced, index, due::REPLACED);
    }

    /// How long after its loss a node is marked as not ready: the last renewal of its lease is up to one
    /// interval old, and the controller has seen it at its next look (`NodeLifecycleController`, which
    /// counts from when it saw the lease change).
    fn noticed_after(&self, index: u32, loss: NodeLoss) -> Duration {
        let lost = self.instances[index as usize].draining_since;
        let name = &self.model.services[self.instances[index as usize].service].name;
        let key = self.key.named("lease").named(name).numbered(self.place_of_instance(index));
        let key = key.numbered(lost.0);
        let mut draws = key.draw(0);
        let (age, seen) = (loss.lease.scale(draws.unit()), loss.monitor.scale(draws.unit()));
        Duration((loss.grace + seen).0.saturating_sub(age.0))
    }

    fn due_at(&mut self, at: Time, index: u32, what: u32) {
        if at < Time::NEVER {
            self.events.push(Event::new(at, Kind::Restart as u8, what, index));
        }
    }

    /// Something about an instance that is down is due.
    pub fn down_event(&mut self, index: u32, what: u32) {
        if what == due::RESTART {
            return self.restart_instance(index);
        }
        let Some(loss) = self.loss_of(index).filter(|_| self.is_silent(index)) else { return };
        // A machine that was back, and is lost again, has times of its own.
        let since = self.instances[index as usize].draining_since;
        let unready = self.noticed_after(index, loss);
        let after = match what {
            due::NOT_READY => unready,
            _ => unready + loss.toleration + loss.start,
        };
        if since + after != self.now {
            return;
        }
        if what == due::NOT_READY {
            return self.register(index, false, false);
        }
        if !self.is_kept_down(index) {
            let unit = Unit { kind: UnitKind::Instance, number: index };
            let model = self.model;
            let state = self.faults.as_mut().expect("a machine was lost");
            state.forget_machine(unit, model);
            self.restart_instance(index);
        }
    }

    fn loss_of(&self, index: u32) -> Option<NodeLoss> {
        let unit = Unit { kind: UnitKind::Instance, number: index };
        match self.faults.as_ref()?.harm_of(unit, self.model) {
            Some(Harm::NodeLoss(loss)) => Some(*loss),
            _ => None,
        }
    }

    /// How long who waits for an answer of a task waits in vain: as long as its balancer does, or until
    /// TCP gives up.
    pub(super) fn silence(&self, task: u32, index: u32) -> Option<Duration> {
        if !self.is_silent(index) {
            return None;
        }
        let record: &Task = &self.tasks[task];
        let service = self.instances[index as usize].service;
        let timeout = self.model.services[service].health.idle_timeout;
        let due = self.landed_at(task, record).zip(timeout).map(|(at, timeout)| at + timeout);
        Some(match (due, Packet::Data.sent_into_cut(self.now, Time::NEVER)) {
            (Some(due), _) => due.since(self.now),
            (None, Delivery::After(wait) | Delivery::Never(wait)) => wait,
        })
    }

    /// The answer that never comes is given up after this time.
    pub(super) fn answer_in_vain(&mut self, messenger: u32, wait: Duration) {
        self.travel(messenger, wait);
        let record = &mut self.tasks[messenger];
        debug_assert!(record.worker != NONE && !record.has(flag::OUTSTANDING | flag::ADMITTED));
        record.status = Failure::UpstreamTimeout as u8;
        (record.state, record.deadline) = (State::Answering, self.now + wait);
        self.at_task(self.now + wait, Kind::Upstream, messenger);
    }
}
