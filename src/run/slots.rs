//! Targets that take so many requests at a time, and the queue before them (HAProxy, queue.c, backend.c;
//! nginx has it in its subscription).
//!
//! A policy that goes round, or takes the one with the fewest requests, passes over full targets; when all
//! are full the request waits for any (`assign_server`, SRV_STATUS_FULL). One that hashes, or a cookie,
//! names a target, and the request waits for that. A target that has answered takes whoever has waited
//! longest of both (`pendconn_process_next_strm`).

use super::meter::Counter;
use super::task::{DIALLED, NONE, OK, Role, flag};
use super::world::World;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::ServiceId;
use crate::model::{Full, Retries, Slots, UnitKind};
use crate::units::Duration;

impl<Q: PendingEvents> World<'_, Q> {
    fn slots_of(&self, service: ServiceId) -> Slots {
        self.model.services[service].health.slots.expect("its targets may be full")
    }

    /// How many requests a target may have, when the balancer has `more` than are at targets or wait
    /// (`srv_dynamic_maxconn`).
    fn slots_at(&self, service: ServiceId, number: usize, target: u32, more: u32) -> u32 {
        let spec = &self.model.services[service];
        let node = &self.services[service].nodes[number];
        let whole = spec.health.max_conns.expect("its targets may be full");
        let most = match self.slots_of(service).ramp {
            None => whole,
            Some((least, full)) => {
                let out = (0..node.targets.len()).map(|it| node.targets.get(it).outstanding);
                let all = out.sum::<u32>() + node.pending.len() as u32 + more;
                let ramp = u64::from(all) * u64::from(whole) / u64::from(full);
                if all >= full { whole } else { least.max(ramp as u32) }
            }
        };
        let part = node.targets.grown(target, self.now);
        if part >= 1.0 { most } else { ((f64::from(most) * part) as u32).max(1) }
    }

    /// Whether a request that comes now could not be sent to a target.
    fn is_full(&self, service: ServiceId, number: usize, target: u32) -> bool {
        let node = &self.services[service].nodes[number];
        let waits = node.queued[target as usize];
        waits > 0
            || node.targets.get(target).outstanding >= self.slots_at(service, number, target, 1)
    }

    /// Which targets take part in a choice, now that a request more or less is at one or waits.
    pub(super) fn note_slots(&mut self, service: ServiceId, number: usize) {
        let slots = self.slots_of(service);
        for target in 0..self.services[service].nodes[number].targets.len() {
            let node = &self.services[service].nodes[number];
            if !node.targets.get(target).available {
                continue;
            }
            let closed = match slots.full {
                Full::Drawn | Full::Kept => false,
                Full::Skipped => self.is_full(service, number, target),
                Full::SkippedWithQueue => {
                    let all = node.targets.get(target).outstanding + node.queued[target as usize];
                    all >= self.slots_at(service, number, target, 1) + slots.most.unwrap_or(0)
                }
            };
            self.services[service].nodes[number].targets.set_open(target, !closed);
        }
    }

    /// Whether a request waits, or has failed, whose target was chosen; otherwise it is sent.
    pub(super) fn waits_for_slot(
        &mut self,
        task: u32,
        (service, number, target): (ServiceId, usize, u32),
    ) -> bool {
        let slots = self.slots_of(service);
        // What has come before goes first.
        let overtakes =
            slots.full == Full::Skipped && !self.services[service].nodes[number].pending.is_empty();
        let stays = self.model.services[service].stays.is_some();
        if overtakes && !stays {
            return self.joins_line(task, (service, number, NONE), slots);
        }
        if !self.is_full(service, number, target) {
            return false;
        }
        let to = if slots.full == Full::Drawn && !stays { NONE } else { target };
        self.joins_line(task, (service, number, to), slots)
    }

    /// Whether a request waits, or has failed, that has found no target: all are full. With nobody there
    /// at all only nginx lets it wait.
    pub(super) fn waits_for_any(
        &mut self,
        task: u32,
        (service, number): (ServiceId, usize),
    ) -> bool {
        let slots = self.slots_of(service);
        let targets = &self.services[service].nodes[number].targets;
        let somebody = (0..targets.len()).any(|target| targets.get(target).available);
        (somebody || slots.of_all) && self.joins_line(task, (service, number, NONE), slots)
    }

    fn joins_line(
        &mut self,
        task: u32,
        (service, number, target): (ServiceId, usize, u32),
        slots: Slots,
    ) -> bool {
        let node = &mut self.services[service].nodes[number];
        let waiting = match node.queued.get(target as usize) {
            Some(queued) => *queued,
            None if slots.of_all => node.pending.len() as u32,
            None => 0,
        };
        if slots.most.is_some_and(|most| waiting >= most) {
            let station = self.model.services[service].balancer_station.expect("it is one");
            self.count(station, Counter::Rejected);
            self.tasks[task].answered = slots.status;
            self.fail(task, Failure::Overflow);
            return true;
        }
        node.pending.push_back((task, target));
        if let Some(queued) = node.queued.get_mut(target as usize) {
            *queued += 1;
        }
        self.enter_pending(task, service, slots.timeout);
        self.note_slots(service, number);
        true
    }

    /// A target has answered: whoever has waited longest for it, or for any, is sent.
    pub(super) fn slot_freed(&mut self, service: ServiceId, number: usize, target: u32) {
        let node = &mut self.services[service].nodes[number];
        node.freed.push(target);
        // Whoever is sent may fail at once, and free its slot before the next one is looked at.
        if node.freed.len() > 1 {
            return;
        }
        while let Some(&target) = self.services[service].nodes[number].freed.last() {
            let Some(task) = self.next_for(service, number, target) else {
                let freed = &mut self.services[service].nodes[number].freed;
                freed.retain(|other| *other != target);
                continue;
            };
            let spec = &self.model.services[service];
            self.leave_pending(task, service);
            if spec.stays.is_some() {
                let key = self.affinity_of(task, spec.affinity);
                let now = self.now;
                self.services[service].nodes[number].pin(key, target, now);
            }
            let times = self.sent_before(task);
            self.note_tried(task, times, times == 0, self.now);
            let condition = self.condition(UnitKind::Balancer, service.0);
            self.send_to_target(task, (service, number, target), (condition, false));
        }
        self.note_slots(service, number);
    }

    /// Who is next at a target that has room, out of the line.
    fn next_for(&mut self, service: ServiceId, number: usize, target: u32) -> Option<u32> {
        let node = &self.services[service].nodes[number];
        let known = node.targets.get(target);
        if node.pending.is_empty()
            || !known.available
            || known.outstanding >= self.slots_at(service, number, target, 0)
        {
            return None;
        }
        let node = &mut self.services[service].nodes[number];
        let place = node.pending.iter().position(|(_, to)| *to == target || *to == NONE)?;
        let (task, to) = node.pending.remove(place)?;
        if let Some(queued) = node.queued.get_mut(to as usize) {
            *queued -= 1;
        }
        Some(task)
    }

    /// Targets have come or gone: who waited for one that has gone chooses again (`pendconn_redistribute`),
    /// and those that have come take whom they can (`pendconn_grab_from_px`).
    pub(super) fn slots_change(&mut self, service: ServiceId, number: usize) {
        self.note_slots(service, number);
        let targets = self.services[service].nodes[number].targets.len();
        for target in 0..targets {
            if self.services[service].nodes[number].targets.get(target).available {
                self.slot_freed(service, number, target);
                continue;
            }
            while self.services[service].nodes[number].queued[target as usize] > 0 {
                let node = &mut self.services[service].nodes[number];
                let place = node.pending.iter().position(|(_, to)| *to == target);
                let found = place.and_then(|place| node.pending.remove(place));
                let (task, _) = found.expect("who is counted stands in the line");
                node.queued[target as usize] -= 1;
                self.leave_pending(task, service);
                let times = self.sent_before(task);
                self.choose_target(task, Some((times, target)));
            }
        }
    }
}

/// Connecting once more (HAProxy, backend.c `back_handle_st_cer`, stream.h `stream_choose_redispatch`).
impl<Q: PendingEvents> World<'_, Q> {
    /// Whether an attempt to connect that has failed is made again.
    pub(super) fn connects_again(&mut self, task: u32, index: u32, why: Failure) -> bool {
        let service = self.instances[index as usize].service;
        let Some(retries) = self.model.services[service].health.retries else { return false };
        let times = self.sent_before(task);
        let asks = matches!(self.tasks[task].role, Role::Attempt | Role::Call);
        if times >= retries.count || !asks {
            return false;
        }
        let number = self.node_of(service, self.tasks[task].user);
        let targets = &self.services[service].nodes[number].targets;
        let target = index - self.services[service].first_instance;
        let known = targets.get(target);
        let others = (0..targets.len()).filter(|it| targets.get(*it).available).count();
        let last = times + 1 == retries.count;
        let elsewhere =
            retries.redispatch && (!known.available || last || retries.any && others > 1);
        let record = &mut self.tasks[task];
        (record.status, record.pending) = (OK, 0);
        if elsewhere && !(known.available && others == 1) {
            record.flags &= !flag::OUTSTANDING;
            record.status = why as u8;
            self.target_answered(task, index, true);
            self.tasks[task].status = OK;
            self.try_next(task, task, index, false);
            return true;
        }
        self.turn_around(task, (service, number, target), times + 1, (why, retries));
        true
    }

    /// The same target is asked again after a pause; whoever has waited in vain for an answer of it asks
    /// at once. The request keeps its slot.
    fn turn_around(
        &mut self,
        task: u32,
        (service, number, target): (ServiceId, usize, u32),
        times: u32,
        (why, retries): (Failure, Retries),
    ) {
        let pause = if why == Failure::UpstreamTimeout { Duration::ZERO } else { retries.pause };
        self.note_tried(task, times, false, self.now + pause);
        self.services[service].nodes[number].targets.connect(target, -1);
        self.enter_pending(task, service, Some(pause));
    }

    /// The pause is over.
    pub(super) fn dial_again(&mut self, task: u32) {
        let index = self.workers[self.tasks[task].worker as usize].instance;
        let service = self.instances[index as usize].service;
        let number = self.node_of(service, self.tasks[task].user);
        let target = index - self.services[service].first_instance;
        let condition = self.condition(UnitKind::Balancer, service.0);
        self.travel_to_target(task, (service, number, target), (condition, true));
    }

    /// Whether a request is the first over a connection of its user.
    pub(super) fn is_first(&self, task: u32) -> bool {
        let record = &self.tasks[task];
        record.role == Role::Attempt
            && record.owner != NONE
            && self.journeys[record.owner].reloads & DIALLED != 0
    }

    /// Half of the idle connections are closed that were not needed lately.
    pub(super) fn purge(&mut self, service: ServiceId) {
        let spec = &self.model.services[service];
        let every = spec.health.purge.expect("it purges");
        self.time_purge(self.now + every, service);
        let keep = spec.health.keep_alive.unwrap_or_default().min(spec.keep_alive);
        for node in &mut self.services[service].nodes {
            for (target, idle) in node.idle.iter_mut().enumerate() {
                let before = idle.len();
                while idle.front().is_some_and(|idle| self.now.since(idle.since) >= keep) {
                    idle.pop_front();
                }
                let open = node.targets.get(target as u32).connections;
                let used = open - before as u32;
                let closes = node.needed[target].closes(used, idle.len() as u32);
                idle.drain(..closes as usize);
                node.targets.connect(target as u32, idle.len() as i32 - before as i32);
            }
        }
    }
}
