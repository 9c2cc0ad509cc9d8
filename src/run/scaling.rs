//! How many instances a service has: autoscalers, starts and drains.

use super::event::Kind;
use super::meter::{Counter, MILLI};
use super::service::Phase;
use super::world::World;
use crate::component::autoscaler::Decision;
use crate::kernel::PendingEvents;
use crate::model::Model;
use crate::model::ids::ServiceId;
use crate::units::Duration;

impl<Q: PendingEvents> World<'_, Q> {
    /// The autoscaler of a service looks at its metric.
    pub fn autoscale(&mut self, service: ServiceId) {
        let model: &Model = self.model;
        let spec = &model.services[service];
        let scaling = spec.autoscale.as_ref().expect("only autoscaled services look");
        self.count_instances(service);
        let busy = self.meters[spec.station].busy.total(self.now);
        let state = &mut self.services[service];
        // CPU time counts against all cores, also those that too few workers cannot use.
        let capacity = (state.all_ticks - state.ticks_then) as f64 * spec.cores * MILLI as f64;
        let metric = (busy - state.busy_then) as f64 / capacity;
        (state.busy_then, state.ticks_then) = (busy, state.all_ticks);
        let running = state.running;
        let scaler = state.autoscaler.as_mut().expect("built with the service");
        let decision = scaler.observe(self.now, metric, running);
        self.at(self.now + scaling.period, Kind::Autoscale, service.0);
        if let Decision::To(wanted) = decision {
            self.scale_to(service, wanted.min(spec.max_instances), scaling.start);
            let state = &mut self.services[service];
            let reached = state.wanted;
            state.autoscaler.as_mut().expect("it has just decided").settle(reached);
        }
    }

    fn scale_to(&mut self, service: ServiceId, wanted: u32, start: Duration) {
        let first = self.services[service].first_instance;
        let most = self.model.services[service].max_instances;
        while self.services[service].wanted < wanted {
            let off = (first..first + most)
                .find(|index| self.instances[*index as usize].phase == Phase::Off);
            let Some(index) = off else { break };
            self.instances[index as usize].phase = Phase::Starting;
            self.services[service].wanted += 1;
            self.at(self.now + start, Kind::Boot, index);
        }
        while self.services[service].wanted > wanted {
            let up = (first..first + most)
                .rev()
                .find(|index| self.instances[*index as usize].phase == Phase::Up);
            let Some(index) = up else { break };
            self.services[service].wanted -= 1;
            self.instances[index as usize].phase = Phase::Draining;
            self.deregister(index);
            self.stop_if_drained(index);
        }
    }

    /// A draining instance that has nothing left, not even a request on its way, stops.
    pub(super) fn stop_if_drained(&mut self, index: u32) {
        let instance = &self.instances[index as usize];
        let state = &self.services[instance.service];
        let target = index - state.first_instance;
        let sent = state.nodes.iter().map(|node| node.targets.get(target).outstanding);
        let outstanding: u32 = sent.sum();
        if instance.phase == Phase::Draining && instance.open == 0 && outstanding == 0 {
            self.stop_instance(index);
        }
    }

    /// A new instance is ready for requests.
    pub fn boot(&mut self, index: u32) {
        for worker in self.workers_of(index) {
            let state = &mut self.workers[worker as usize];
            (state.down, state.started) = (false, Some(self.now));
        }
        if self.is_kept_down(index) {
            for worker in self.workers_of(index) {
                self.workers[worker as usize].down = true;
            }
            self.instances[index as usize].phase = Phase::Down;
            return;
        }
        self.instance_up(index, true);
        for worker in self.workers_of(index) {
            self.start_pools(worker);
        }
    }

    /// An instance takes requests from now on.
    pub(super) fn instance_up(&mut self, index: u32, new: bool) {
        let service = self.instances[index as usize].service;
        self.count_instances(service);
        self.instances[index as usize].phase = Phase::Up;
        self.services[service].running += 1;
        self.register(index, true, new);
        let meter = &mut self.meters[self.model.services[service].station];
        meter.count(Counter::Opened);
        meter.held.add(self.now, 1);
    }

    fn stop_instance(&mut self, index: u32) {
        let service = self.instances[index as usize].service;
        self.count_instances(service);
        self.instances[index as usize].phase = Phase::Off;
        self.services[service].running -= 1;
        let meter = &mut self.meters[self.model.services[service].station];
        meter.count(Counter::Closed);
        meter.held.add(self.now, -1);
        self.close_pools_of(index);
    }

    /// Brings the sum of running instances over time up to date.
    pub fn count_instances(&mut self, service: ServiceId) {
        let state = &mut self.services[service];
        let length = self.now.since(state.counted_to);
        let ticks = u128::from(length.0) * u128::from(state.running);
        state.instance_ticks += ticks;
        state.all_ticks += ticks;
        state.counted_to = self.now;
    }
}
