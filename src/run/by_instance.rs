//! Latency as each instance of a service measures it, for monitors that average over instances.

use super::task::{OK, Role};
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::ids::ServiceId;
use crate::model::{Model, Shown};
use crate::stats::Histogram;
use crate::units::{Duration, Time};

/// What the instances of a service have measured.
#[derive(Clone, Debug)]
pub struct ByInstance {
    /// Which of the model's monitors reads it.
    pub monitor: usize,
    /// At the end of each period (from the start of the measured time, s): the mean over instances of
    /// their quantile (s), and the quantile of all their requests together (s).
    pub values: Vec<(f64, f64, f64)>,
    /// All requests of the measured time.
    pub whole: Histogram,
    service: ServiceId,
    quantile: f64,
    every: Duration,
    since: Time,
    instances: Vec<Histogram>,
}

/// For each monitor that looks at instances.
pub fn watched(model: &Model) -> Vec<ByInstance> {
    let one = |(monitor, spec): (usize, &crate::model::Monitor)| {
        let Shown::MeanOfInstances(service, quantile) = spec.shows else { return None };
        Some(ByInstance {
            monitor,
            values: Vec::new(),
            whole: Histogram::new(),
            service,
            quantile,
            every: spec.every,
            since: Time::ZERO,
            instances: vec![Histogram::new(); model.services[service].slots as usize],
        })
    };
    model.monitors.iter().enumerate().filter_map(one).collect()
}

impl ByInstance {
    /// A period is over. Instances without a request have no quantile and are not averaged.
    fn close(&mut self, at_s: f64) {
        let seconds = |it: &Histogram| it.quantile(self.quantile).map(Duration::seconds);
        let mut together = Histogram::new();
        let (mut sum, mut count) = (0.0, 0);
        for instance in &mut self.instances {
            if let Some(value) = seconds(instance) {
                (sum, count) = (sum + value, count + 1);
            }
            together.merge(instance);
            *instance = Histogram::new();
        }
        if let Some(truth) = seconds(&together) {
            self.values.push((at_s, sum / f64::from(count), truth));
        }
        self.whole.merge(&together);
    }
    fn forget(&mut self, now: Time) {
        self.instances.iter_mut().for_each(|instance| *instance = Histogram::new());
        self.since = now;
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// An instance has answered a request.
    pub(super) fn note_latency(&mut self, task: u32, index: u32) {
        let record = &self.tasks[task];
        if record.status != OK || record.role == Role::Probe {
            return;
        }
        let Some(at) = self.landed_at(task, record) else { return };
        let (service, latency) = (self.instances[index as usize].service, self.now.since(at));
        let target = (index - self.services[service].first_instance) as usize;
        for watched in self.by_instance.iter_mut().filter(|it| it.service == service) {
            watched.instances[target].record(latency);
        }
    }

    /// A step of the timeline is over: so may be a period of a monitor.
    pub(super) fn close_periods(&mut self, now: Time) {
        let start = Time::ZERO + self.model.plan.warmup;
        for watched in &mut self.by_instance {
            if now <= start {
                watched.forget(now);
            } else if now.since(watched.since) >= watched.every {
                watched.since = now;
                watched.close(now.since(start).seconds());
            }
        }
    }
}
