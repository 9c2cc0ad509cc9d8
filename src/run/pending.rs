//! Envoy's limit of connections: who finds none free waits for one, and some are turned away.
//!
//! A request is for the target that the balancer has chosen, and takes one of its idle connections. If
//! there is none, one more is opened, unless the cluster has `max_connections` and the target at least
//! one; then the request is pending, first come first served, and gets the next connection of that
//! target. Beyond `max_pending` the answer is 503 with the flag UO
//! (common/conn_pool/conn_pool_base.cc, `tryCreateNewConnection`, `newStreamImpl`).

use super::event::Kind;
use super::meter::Counter;
use super::task::{State, flag};
use super::world::World;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::UnitKind;
use crate::model::ids::ServiceId;
use crate::model::tape::Op;
use crate::units::{Duration, Time};

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether a request does not go to its target now: it waits for a connection, or has failed.
    pub(super) fn pends(
        &mut self,
        task: u32,
        (service, number, target): (ServiceId, usize, u32),
    ) -> bool {
        let health = &self.model.services[service].health;
        if health.slots.is_some() {
            return self.waits_for_slot(task, (service, number, target));
        }
        if self.has_connection(service, number, target) {
            return false;
        }
        let station = self.model.services[service].balancer_station.expect("a balancer limits");
        let node = &mut self.services[service].nodes[number];
        if node.pending.len() as u32 >= health.max_pending {
            self.count(station, Counter::Rejected);
            self.fail(task, Failure::Overflow);
            return true;
        }
        node.pending.push_back((task, target));
        self.enter_pending(task, service, health.idle_timeout);
        true
    }

    /// A request waits in its balancer, for so long at most.
    pub(super) fn enter_pending(
        &mut self,
        task: u32,
        service: ServiceId,
        timeout: Option<Duration>,
    ) {
        let station = self.model.services[service].balancer_station.expect("a balancer limits");
        self.meters[station].enter(self.now);
        let deadline = timeout.map_or(Time::NEVER, |timeout| self.now + timeout);
        let record = &mut self.tasks[task];
        (record.state, record.since, record.deadline) = (State::Pending, self.now, deadline);
        if deadline < Time::NEVER {
            self.at_task(deadline, Kind::Upstream, task);
        }
    }

    /// A target has answered, or lost a connection: whoever waits for it may go.
    pub(super) fn line_moves(&mut self, service: ServiceId, number: usize, target: u32) {
        match self.model.services[service].health.slots {
            Some(_) => self.slot_freed(service, number, target),
            None => self.serve_pending(service, number, target),
        }
    }

    /// Whether a request for a target finds an idle connection, or may have one opened.
    fn has_connection(&mut self, service: ServiceId, number: usize, target: u32) -> bool {
        let spec = &self.model.services[service];
        let most = spec.health.max_connections.expect("it has a limit");
        let keep = spec.health.keep_alive.unwrap_or_default().min(spec.keep_alive);
        let now = self.now;
        let node = &mut self.services[service].nodes[number];
        let open = |node: &super::balancing::Node| {
            (0..node.targets.len()).map(|it| node.targets.get(it).connections).sum::<u32>()
        };
        if open(node) < most {
            return true;
        }
        // Those that have been closed for their idleness do not count.
        for (target, idle) in node.idle.iter_mut().enumerate() {
            let before = idle.len() as i32;
            while idle.front().is_some_and(|idle| now.since(idle.since) >= keep) {
                idle.pop_front();
            }
            node.targets.connect(target as u32, idle.len() as i32 - before);
        }
        open(node) < most
            || !node.idle[target as usize].is_empty()
            || node.targets.get(target).connections == 0
    }

    /// The first that waits for a connection to a target may be sent.
    fn serve_pending(&mut self, service: ServiceId, number: usize, target: u32) {
        let node = &self.services[service].nodes[number];
        let Some(place) = node.pending.iter().position(|(_, to)| *to == target) else { return };
        if !self.has_connection(service, number, target) {
            return;
        }
        let pending = &mut self.services[service].nodes[number].pending;
        let (task, _) = pending.remove(place).expect("its place was just found");
        self.leave_pending(task, service);
        let condition = self.condition(UnitKind::Balancer, service.0);
        self.send_to_target(task, (service, number, target), (condition, false));
    }

    pub(super) fn leave_pending(&mut self, task: u32, service: ServiceId) {
        let station = self.model.services[service].balancer_station.expect("a balancer limits");
        self.leave(task, station);
        let record = &mut self.tasks[task];
        (record.state, record.deadline) = (State::Away, Time::NEVER);
    }

    /// A request may have waited for as long as its answer may take.
    pub(super) fn pending_timer(&mut self, task: u32, deadline: Time) {
        if deadline != self.now {
            return;
        }
        let Op::Enter { service, .. } = self.op_at(task) else {
            unreachable!("a task waits for a target where its tape says so")
        };
        if self.tasks[task].has(flag::OUTSTANDING) {
            self.leave_pending(task, service);
            return self.dial_again(task);
        }
        self.leave_line(task, service);
        let spec = &self.model.services[service];
        let station = spec.balancer_station.expect("a balancer limits");
        self.count(station, Counter::TimedOut);
        if let Some(slots) = spec.health.slots {
            self.tasks[task].answered = slots.status;
            return self.fail(task, Failure::Overflow);
        }
        self.fail(task, Failure::UpstreamTimeout);
    }

    /// A request waits no longer in the line of its balancer.
    fn leave_line(&mut self, task: u32, service: ServiceId) {
        let number = self.node_of(service, self.tasks[task].user);
        let node = &mut self.services[service].nodes[number];
        let place = node.pending.iter().position(|(who, _)| *who == task);
        let place = place.expect("who waits stands in its line");
        let (_, target) = node.pending.remove(place).expect("its place was just found");
        if let Some(queued) = node.queued.get_mut(target as usize) {
            *queued -= 1;
        }
        self.leave_pending(task, service);
    }

    /// Nobody waits any more for a request that waits in its balancer: it goes to no target.
    pub(super) fn cancel_pending(&mut self, task: u32) {
        let Op::Enter { service, .. } = self.op_at(task) else {
            unreachable!("a task waits for a target where its tape says so")
        };
        let leaves = self.model.services[service].health.slots.is_none_or(|slots| slots.leaves);
        if !leaves || self.tasks[task].has(flag::OUTSTANDING) {
            return;
        }
        self.leave_line(task, service);
        self.fail(task, Failure::GaveUp);
    }
}
