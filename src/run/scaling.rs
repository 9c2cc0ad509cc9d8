//! How many instances a service has: autoscalers, starts and drains.

use super::event::Kind;
use super::meter::{Counter, MILLI};
use super::service::Phase;
use super::world::World;
use crate::component::autoscaler::{Autoscaler, Decision};
use crate::component::hpa::{Hpa, HpaPolicy, Pods};
use crate::component::step_scaling::StepScaler;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::ServiceId;
use crate::model::{Keda, Metric, Model, Rollout, Rule, Scaling};
use crate::units::{Duration, Time};

/// A share this little below a whole per cent is rounding.
const WHOLE: f64 = 1e-9;

/// In the number of an autoscaler's event: it knows what a period was like. Otherwise one ends.
pub(super) const KNOWN: u32 = 1;

/// In that number too: KEDA looks whether there is anything to do.
pub(super) const POLLED: u32 = 2;

impl Keda {
    /// How many workers there should be after a look of its operator, if that changes (KEDA 2
    /// `scale_scaledobjects.go`, `RequestScale`, `scaleToZero`, `scaleFromZero`).
    pub(super) fn polled(
        &self,
        now: Time,
        active: bool,
        wanted: u32,
        last: &mut Option<Time>,
    ) -> Option<u32> {
        if active {
            *last = Some(now);
            return (wanted == 0).then_some(self.min.max(1));
        }
        let cooled = last.is_none_or(|at| at + self.cooldown < now);
        (wanted > 0 && self.min == 0 && cooled).then_some(0)
    }
}

/// An autoscaler at work, whatever its rule.
pub enum Scaler {
    /// Target tracking, a policy for each metric.
    Tracking(Vec<Autoscaler>),
    /// The Horizontal Pod Autoscaler.
    Hpa(Hpa),
    /// Steps.
    Steps(StepScaler),
}

impl Scaler {
    /// Of a service with so many instances.
    pub fn new(rules: &[(Metric, Rule)], instances: u32) -> Scaler {
        match &rules[0].1 {
            Rule::Tracking(_) => {
                let policies = rules.iter().filter_map(|(_, rule)| match rule {
                    Rule::Tracking(policy) => Some(Autoscaler::new(*policy, instances)),
                    _ => None,
                });
                Scaler::Tracking(policies.collect())
            }
            Rule::Hpa(policy, _) => Scaler::Hpa(Hpa::new(policy.clone(), instances)),
            Rule::Steps(policy) => Scaler::Steps(StepScaler::new(policy.clone(), instances)),
        }
    }
    /// How many instances there should be; [`None`] if it does not say. Target tracking removes only
    /// what all of its policies would.
    pub(super) fn observe(&mut self, now: Time, metrics: &[Pods], wanted: u32) -> Option<u32> {
        match self {
            Scaler::Tracking(scalers) => {
                let mut decided = None;
                let mut silent = false;
                for (scaler, pods) in scalers.iter_mut().zip(metrics) {
                    match scaler.observe(now, pods.metric, pods.ready) {
                        Decision::To(to) => decided = decided.max(Some(to)),
                        Decision::None => silent = true,
                    }
                }
                decided.filter(|to| !silent || *to > wanted)
            }
            Scaler::Hpa(hpa) => Some(hpa.observe(now, metrics)),
            Scaler::Steps(scaler) => Some(scaler.observe(now, metrics[0].metric)),
        }
    }
    pub(super) fn settle(&mut self, desired: u32) {
        match self {
            Scaler::Tracking(scalers) => scalers.iter_mut().for_each(|it| it.settle(desired)),
            Scaler::Hpa(hpa) => hpa.settle(desired),
            Scaler::Steps(scaler) => scaler.settle(desired),
        }
    }
}

/// The bounds that a schedule sets by now, within what the model has room for.
pub(super) fn bounds_at(scaling: &Scaling, now: Time, most: u32) -> (u32, u32) {
    let due = scaling.schedule.iter().filter(|it| Time::ZERO + it.at <= now);
    match due.max_by_key(|it| it.at) {
        Some(appointment) => (appointment.min.min(most), appointment.max.min(most)),
        None => (0, most),
    }
}

/// What a metric shows, as a share of what is wanted.
pub type Look = f64;

/// A metric as the Horizontal Pod Autoscaler has it; of so many pods it does not know the use of CPU yet.
pub(super) fn as_pods(metric: &Metric, plain: Pods, young: u32) -> Pods {
    let (ready, unready) = (plain.ready - young, plain.unready + young);
    // Resources are known in whole per cent.
    let in_per_cent = (plain.metric * 100.0 + WHOLE).floor() / 100.0;
    match metric {
        Metric::Cpu | Metric::Memory => Pods { metric: in_per_cent, ready, unready, ..plain },
        Metric::Requests(_) => Pods { ready, unready, ..plain },
        // Of an external metric each pod has its share, ready or not (`GetExternalPerPodMetricReplicas`).
        Metric::Backlog(..) | Metric::Lag(_) => {
            let all = ready + unready + plain.missing;
            let share = plain.metric * f64::from(plain.ready.max(1)) / f64::from(all.max(1));
            Pods { metric: share, ready: all, unready: 0, missing: 0, ..plain }
        }
        // One without shares is for the ready ones (`GetExternalMetricReplicas`).
        Metric::Oldest(..) => Pods { unready: 0, missing: 0, ..plain },
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// The autoscaler of a service looks at its metric.
    pub fn autoscale(&mut self, service: ServiceId) {
        let model: &Model = self.model;
        let spec = &model.services[service];
        if spec.function.is_some() {
            return self.look_at_provisioned(service);
        }
        let scaling = spec.autoscale.as_ref().expect("only autoscaled services look");
        self.count_instances(service);
        let values = self.scaling_values(service, scaling);
        self.at(self.now + scaling.period, Kind::Autoscale, service.0);
        if scaling.delay.is_zero() {
            return self.scale_by(service, &values);
        }
        self.services[service].looks.push_back(values);
        let known = self.now + scaling.delay;
        self.events.push(Event::new(known, Kind::Autoscale as u8, KNOWN, service.0));
    }

    /// The autoscaler of a service knows what a period was like.
    pub(super) fn scale_late(&mut self, service: ServiceId) {
        let values = self.services[service].looks.pop_front().expect("a period has ended");
        self.scale_by(service, &values);
    }

    fn scale_by(&mut self, service: ServiceId, values: &[f64]) {
        let model: &Model = self.model;
        let spec = &model.services[service];
        let scaling = spec.autoscale.as_ref().expect("only autoscaled services look");
        let metrics = self.scaling_pods(service, scaling, values);
        let state = &mut self.services[service];
        let scaler = state.autoscaler.as_mut().expect("built with the service");
        let asked = scaler.observe(self.now, &metrics, state.wanted);
        let (min, max) = bounds_at(scaling, self.now, spec.max_instances);
        let wanted = asked.unwrap_or(state.wanted).clamp(min, max);
        if asked.is_some() || wanted != state.wanted {
            self.scale_to(service, wanted, scaling.start);
            let state = &mut self.services[service];
            let reached = state.wanted;
            state.autoscaler.as_mut().expect("it has just decided").settle(reached);
        }
    }

    /// A schedule changes the bounds of a service: what is below or above them is set right at once.
    pub fn keep_appointment(&mut self, service: ServiceId) {
        let spec = &self.model.services[service];
        if spec.function.is_some() {
            return self.keep_provisioned_appointment(service);
        }
        let scaling = spec.autoscale.as_ref().expect("only autoscaled services have a schedule");
        let (min, max) = bounds_at(scaling, self.now, spec.max_instances);
        let wanted = self.services[service].wanted.clamp(min, max);
        self.scale_to(service, wanted, scaling.start);
        let state = &mut self.services[service];
        let reached = state.wanted;
        state.autoscaler.as_mut().expect("built with the service").settle(reached);
    }

    /// What the metrics show of the period that ends now: each in its own unit.
    fn scaling_values(&mut self, service: ServiceId, scaling: &Scaling) -> Vec<f64> {
        let spec = &self.model.services[service];
        let busy = self.meters[spec.station].busy.total(self.now);
        let arrived = self.meters[spec.station].counters[Counter::Arrivals as usize];
        let state = &mut self.services[service];
        let instance_ticks = (state.all_ticks - state.ticks_then) as f64;
        let worked = (busy - state.busy_then) as f64;
        // Counters begin anew when measuring does.
        let came = arrived.checked_sub(state.arrived_then).unwrap_or(arrived) as f64;
        (state.busy_then, state.ticks_then) = (busy, state.all_ticks);
        state.arrived_then = arrived;
        let running = state.running;
        let value = |metric| match metric {
            // CPU time counts against all cores, also those that too few workers cannot use.
            Metric::Cpu => worked / (instance_ticks * scaling.requested * MILLI as f64),
            Metric::Memory => self.memory_share(service),
            Metric::Requests(wanted) => {
                came / (instance_ticks / Duration::secs(1).0 as f64) / wanted
            }
            Metric::Backlog(..) | Metric::Oldest(..) => self.queue_metric(&metric, running),
            Metric::Lag(_) => 0.0,
        };
        scaling.rules.iter().map(|(metric, _)| value(*metric)).collect()
    }

    /// The same beside the pods that there are now.
    fn scaling_pods(&self, service: ServiceId, scaling: &Scaling, values: &[f64]) -> Vec<Pods> {
        let state = &self.services[service];
        let (ready, unready) = (state.running, state.wanted.saturating_sub(state.running));
        let pods = |((metric, rule), value): (&(Metric, Rule), &f64)| {
            let plain =
                Pods { metric: *value, target: 1.0, ready, unready, missing: 0, assumed: 0.0 };
            match rule {
                Rule::Hpa(policy, target) => {
                    let missing = self.pods_down(service).min(unready);
                    let plain = Pods { unready: unready - missing, missing, ..plain };
                    let young = match metric {
                        Metric::Cpu => self.young_pods(service, policy),
                        _ => 0,
                    };
                    // Of a resource all that is requested, of another metric the target.
                    let assumed = match metric {
                        Metric::Cpu | Metric::Memory => target.max(1.0),
                        _ => *target,
                    };
                    Pods { target: *target, assumed, ..as_pods(metric, plain, young) }
                }
                _ => plain,
            }
        };
        scaling.rules.iter().zip(values).map(pods).collect()
    }

    /// Pods whose container has died and is not back: there are no metrics of it.
    fn pods_down(&self, service: ServiceId) -> u32 {
        let first = self.services[service].first_instance;
        let all = first..first + self.model.services[service].slots;
        all.filter(|index| self.instances[*index as usize].phase == Phase::Down).count() as u32
    }

    /// Pods whose usage does not count yet: within the time of their initialisation those that have
    /// been ready for less than a sample, or are not.
    fn young_pods(&self, service: ServiceId, policy: &HpaPolicy) -> u32 {
        let first = self.services[service].first_instance;
        let all = first..first + self.model.services[service].slots;
        let is_young = |index: &u32| {
            let instance = &self.instances[*index as usize];
            let Some(started) = self.workers[instance.first_worker as usize].started else {
                return false;
            };
            let age = self.now.since(started);
            let unsure = age < policy.sample || !self.is_ready(*index);
            instance.phase == Phase::Up && age < policy.initialisation && unsure
        };
        all.filter(is_young).count() as u32
    }

    /// Memory that the running instances of a service take, as a share of what they have.
    pub(super) fn memory_share(&self, service: ServiceId) -> f64 {
        let process = self.model.services[service].process.as_ref();
        let Some(memory) = process.and_then(|it| it.memory) else { return 0.0 };
        let first = self.services[service].first_instance;
        let all = first..first + self.model.services[service].slots;
        let up = all.filter(|index| self.instances[*index as usize].phase == Phase::Up);
        let (mut taken, mut running) = (0.0, 0.0);
        for index in up {
            taken += self.workers_of(index).map(|it| self.memory_of(it, &memory)).sum::<f64>();
            running += 1.0;
        }
        if running == 0.0 { 0.0 } else { taken / running / memory.machine }
    }

    fn scale_to(&mut self, service: ServiceId, wanted: u32, start: Duration) {
        let first = self.services[service].first_instance;
        let most = self.model.services[service].slots;
        if let Some(deploy) = self.services[service].deploying {
            // The deploy's controller starts and stops; Amazon ECS suspends scaling in meanwhile.
            let state = &mut self.services[service];
            let rolls = matches!(self.model.deploys[deploy].rollout, Rollout::Kubernetes(..));
            state.wanted = if rolls { wanted } else { state.wanted.max(wanted) };
            return;
        }
        while self.services[service].wanted < wanted && self.start_instance(service, start) {
            self.services[service].wanted += 1;
        }
        while self.services[service].wanted > wanted {
            let up = (first..first + most)
                .rev()
                .find(|index| self.instances[*index as usize].phase == Phase::Up);
            let Some(index) = up else { break };
            self.services[service].wanted -= 1;
            self.retire(index, None);
        }
    }

    /// An instance begins to start, where there is room for one more.
    pub(super) fn start_instance(&mut self, service: ServiceId, start: Duration) -> bool {
        let state = &self.services[service];
        let (first, version) = (state.first_instance, state.version);
        let free = |index: &u32| {
            self.instances[*index as usize].phase == Phase::Off
                && !state.registered[(*index - first) as usize]
        };
        let slots = self.model.services[service].slots;
        let Some(index) = (first..first + slots).find(free) else { return false };
        let instance = &mut self.instances[index as usize];
        (instance.phase, instance.version) = (Phase::Starting, version);
        instance.ready_since = Time::NEVER;
        self.at(self.now + start, Kind::Boot, index);
        true
    }

    /// A draining instance that has nothing left, not even a request on its way, stops.
    #[inline(always)]
    pub(super) fn stop_if_drained(&mut self, index: u32) {
        if matches!(self.instances[index as usize].phase, Phase::Draining | Phase::Closing) {
            self.look_if_drained(index);
        }
    }

    #[cold]
    fn look_if_drained(&mut self, index: u32) {
        let instance = &self.instances[index as usize];
        let waits = instance.phase == Phase::Draining;
        if instance.open > 0 || self.has_jobs(index) {
            return;
        }
        let state = &self.services[instance.service];
        // Nobody knows that no more comes over connections that are open.
        if waits && self.model.services[instance.service].health.passes.is_some() {
            return;
        }
        let target = index - state.first_instance;
        let on_way = |node: &super::balancing::Node| node.targets.get(target).outstanding > 0;
        if !(waits && state.nodes.iter().any(on_way)) {
            self.stop_instance(index);
        }
    }

    /// A new instance is ready for requests.
    pub fn boot(&mut self, index: u32) {
        let service = self.instances[index as usize].service;
        if self.model.services[service].function.is_some() {
            return self.environment_ready(index);
        }
        if self.is_broken(index) {
            return self.failed_to_start(index);
        }
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
            self.start_timers(worker);
        }
        self.look_for_jobs(service);
    }

    /// An instance takes requests from now on.
    pub(super) fn instance_up(&mut self, index: u32, new: bool) {
        let service = self.instances[index as usize].service;
        self.count_instances(service);
        self.instances[index as usize].phase = Phase::Up;
        self.services[service].running += 1;
        self.begin_probes(index);
        if !self.is_held_back(index) && self.is_ready(index) {
            self.register(index, true, new);
        }
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
        for worker in self.workers_of(index) {
            self.empty_memory(worker);
            self.workers[worker as usize].timers.clear();
        }
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
