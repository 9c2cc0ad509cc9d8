//! How many environments of a function are kept ready, where Application Auto Scaling decides that.
//!
//! It looks once a minute at how much of them was in use. Environments that are added are started one after
//! another, after a while in which Lambda prepares for it, and count against the account from the decision on.
//! Those that are taken away go when they have no request.

use super::event::Kind;
use super::function::{FunctionState, INIT};
use super::service::Phase;
use super::world::World;
use crate::component::autoscaler::{Autoscaler, Decision};
use crate::component::provisioned::Usage;
use crate::kernel::PendingEvents;
use crate::model::Function;
use crate::model::ids::ServiceId;
use crate::units::{Duration, Time};

/// From one data point of CloudWatch to the next.
const PERIOD: Duration = Duration::secs(60);

/// What decides how many are kept ready, while it runs.
pub struct Provision {
    scaler: Autoscaler,
    /// How many there should be.
    wanted: u32,
    /// How many were added.
    added: u64,
    pub(super) usage: Usage,
}

impl Provision {
    /// Of a function, if their number follows their use.
    pub fn new(function: &Function) -> Option<Provision> {
        let scaling = function.autoscale.as_ref()?;
        Some(Provision {
            scaler: Autoscaler::new(scaling.policy, function.provisioned),
            wanted: function.provisioned,
            added: 0,
            usage: Usage::new(function.provisioned),
        })
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Functions whose number of ready environments follows their use are looked at.
    pub(super) fn start_provisioning(&mut self) {
        let model = self.model;
        for (id, service) in model.services.enumerate() {
            let Some(function) = &service.function else { continue };
            let Some(scaling) = &function.autoscale else { continue };
            self.at(Time::ZERO + PERIOD, Kind::Autoscale, id.0);
            for appointment in &scaling.schedule {
                self.at(Time::ZERO + appointment.at, Kind::Appointment, id.0);
            }
            let kept = u64::from(function.provisioned);
            self.meters[function.executions].held.set(Time::ZERO, kept);
        }
    }

    fn function_of(&mut self, service: ServiceId) -> &mut FunctionState {
        self.services[service].function.as_mut().expect("it is a function")
    }

    /// A minute is over.
    pub(super) fn look_at_provisioned(&mut self, service: ServiceId) {
        self.at(self.now + PERIOD, Kind::Autoscale, service.0);
        let model = self.model;
        let function = model.services[service].function.as_ref().expect("it is a function");
        let scaling = function.autoscale.as_ref().expect("only those are looked at");
        let now = self.now;
        let its = self.function_of(service).provision.as_mut().expect("built with it");
        let running = its.usage.all();
        let Some((mean, greatest)) = its.usage.look(now) else { return };
        let metric = if scaling.maximum { greatest } else { mean };
        if let Decision::To(wanted) = its.scaler.observe(now, metric, running) {
            self.keep_ready(service, wanted);
        }
    }

    /// The bounds change: what is below or above them is set right at once.
    pub(super) fn keep_provisioned_appointment(&mut self, service: ServiceId) {
        let wanted = self.function_of(service).provision.as_ref().expect("it has one").wanted;
        self.keep_ready(service, wanted);
    }

    /// So many are to be kept ready, within the bounds.
    fn keep_ready(&mut self, service: ServiceId, wanted: u32) {
        let model = self.model;
        let spec = &model.services[service];
        let function = spec.function.as_ref().expect("it is a function");
        let scaling = function.autoscale.as_ref().expect("only then");
        let due = scaling.schedule.iter().filter(|it| Time::ZERO + it.at <= self.now);
        let bounds = due.max_by_key(|it| it.at).map(|it| (it.min, it.max));
        let (min, max) = bounds.unwrap_or((scaling.policy.min, scaling.policy.max));
        let wanted = wanted.clamp(min, max.max(min));
        let mut has = self.function_of(service).provision.as_ref().expect("it has one").wanted;
        let mut wait = scaling.start;
        while has < wanted && self.keep_one_more(service, function, wait) {
            has += 1;
            wait += scaling.pace;
        }
        while has > wanted {
            has -= 1;
            self.function_of(service).fleet.let_one_go();
        }
        let its = self.function_of(service).provision.as_mut().expect("it has one");
        its.wanted = has;
        its.scaler.settle(has);
        self.look_later(service);
    }

    /// One more is to be kept ready, and begins to start after that time.
    fn keep_one_more(&mut self, service: ServiceId, function: &Function, wait: Duration) -> bool {
        let first = self.services[service].first_instance;
        let mut state = self.services[service].function.take().expect("it is a function");
        let found = state.fleet.keep_one(|number| !self.is_kept_down(first + number));
        let added = found.map(|number| {
            let its = state.provision.as_mut().expect("it has one");
            its.added += 1;
            self.accounts[state.account].give(-1);
            (number, its.added)
        });
        self.services[service].function = Some(state);
        let Some((number, added)) = added else { return false };
        let name = &self.model.services[service].name;
        let key = self.key.named("provisioned").named(name).numbered(added);
        let init = self.model.draw_law(function.init, key, INIT);
        self.instances[(first + number) as usize].phase = Phase::Starting;
        self.at(self.now + wait + init, Kind::Boot, first + number);
        self.meters[function.executions].held.add(self.now, 1);
        true
    }

    /// An environment that is kept ready has a request, or is rid of it.
    pub(super) fn note_provisioned(&mut self, service: ServiceId, busy: i32, all: i32) {
        let now = self.now;
        if let Some(its) = &mut self.function_of(service).provision {
            its.usage.change(now, busy, all);
        }
    }

    /// One that was kept ready is gone, and not in order to come again.
    pub(super) fn keeps_one_less(&mut self, service: ServiceId) {
        let account = self.function_of(service).account;
        self.accounts[account].give(1);
        let function = self.model.services[service].function.as_ref().expect("it is a function");
        self.meters[function.executions].held.add(self.now, -1);
    }
}
