//! Health checks of balancers.
//!
//! One is a request like any other: it waits for the event loop, and for whatever its flow needs. One that
//! asks for a connection only is answered by the kernel.

use super::balancing::phase;
use super::event::Kind;
use super::probing::KUBELET;
use super::task::{DIALS, NONE, OK, Role, Task};
use super::world::World;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::tape::Pc;
use crate::stream::StreamKey;

impl<Q: PendingEvents> World<'_, Q> {
    /// A node asks a target whether it is well.
    pub(super) fn begin_check(&mut self, index: u32, number: usize) {
        let service = self.instances[index as usize].service;
        let target = index - self.services[service].first_instance;
        let (checks, entry) = self.model.services[service].health.checks.expect("it checks");
        if !self.services[service].registered[target as usize] {
            return;
        }
        let silent = self.is_silent(index);
        if !self.instances[index as usize].phase.listens() && !silent {
            return self.check_over(index, number, false);
        }
        let name = &self.model.services[service].name;
        let stream = self.key.named("check").named(name).numbered(number as u64);
        let stream = stream.numbered(self.place_of_instance(index)).numbered(self.now.0);
        let task = self.new_probe(stream, entry, index, number as u16);
        if self.model.services[service].health.connects_only {
            self.tasks[task].pending |= DIALS;
        }
        let epoch = self.tasks[task].epoch;
        let node = &mut self.services[service].nodes[number];
        node.asked[target as usize] = (task, epoch);
        node.begun[target as usize] = self.now;
        self.time_target(self.now + checks.timeout, index, number as u32, phase::LATE);
        if self.faults.is_some() {
            let way = self.check_in_the_way(index, checks.timeout);
            if way.lost {
                self.tasks[task].status = Failure::UpstreamTimeout as u8;
            }
            if !way.late.is_zero() {
                return self.at_task(self.now + way.late, Kind::Place, task);
            }
        }
        self.place(task);
    }

    /// A request of whoever asks an instance whether it is well: a node of a balancer, or the kubelet.
    pub(super) fn new_probe(
        &mut self,
        stream: StreamKey,
        entry: Pc,
        instance: u32,
        asker: u16,
    ) -> u32 {
        let worker = self.instances[instance as usize].first_worker;
        let probe = Task::aside(stream, entry, worker, self.now);
        self.new_task(Task { owner: instance, owner_epoch: asker, role: Role::Probe, ..probe })
    }

    /// The answer to a check.
    pub(super) fn probe_over(&mut self, task: u32) {
        let record = self.tasks[task];
        self.depart_instance(task);
        self.end_task(task);
        if record.owner_epoch >= KUBELET {
            self.probe_answered(task, &record);
        } else if record.owner != NONE {
            // An answer that cannot set out is too late.
            let service = self.instances[record.owner as usize].service;
            let ok = record.status == OK && !self.is_cut_off(service);
            self.check_over(record.owner, usize::from(record.owner_epoch), ok);
        }
    }

    pub(super) fn check_over(&mut self, index: u32, number: usize, ok: bool) {
        let service = self.instances[index as usize].service;
        let spec = &self.model.services[service];
        let target = index - self.services[service].first_instance;
        let (checks, _) = spec.health.checks.expect("it checks");
        let node = &mut self.services[service].nodes[number];
        node.asked[target as usize] = (NONE, 0);
        if spec.health.slots.is_some() && spec.health.slow_start.is_some() {
            self.slot_freed(service, number, target); // it may have more room by now
        }
        let node = &mut self.services[service].nodes[number];
        if node.checked[target as usize].told(&checks, ok) {
            self.look_at_targets(service, number);
            let stops = spec.process.as_ref().is_some_and(|it| it.stops_unhealthy);
            let targets = &self.services[service].nodes[number].targets;
            if spec.health.passes.is_some() && !ok && !targets.get(target).available {
                self.close_flows(index, Failure::Reset);
            }
            if stops && !ok {
                self.stop_unhealthy(index);
            }
        }
    }
}
