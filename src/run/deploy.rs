//! Deploys: old instances give way to new ones.
//!
//! The controller of a deploy looks once a second while it lasts, and does what
//! [`crate::component::rollout`] says. An instance that is told to end drains, or closes and finishes,
//! or exits, as its process does; requests that its balancer still sends it find nobody.

use super::event::Kind;
use super::service::Phase;
use super::world::World;
use crate::component::rollout::{Fleet, decide, failures_allowed, is_over};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::{DeployId, ServiceId};
use crate::model::{Deploy, Exit, OnSigterm, Purge, Rollout};
use crate::units::{Duration, Time};

/// How often a controller looks at its deploy.
const LOOK: Duration = Duration::secs(1);

/// What an event of an instance that is leaving is for.
mod leaving {
    /// Its balancer has heard.
    pub const HEARD: u32 = 0;
    /// Its processes are told to end.
    pub const TOLD: u32 = 1;
    /// They are killed.
    pub const KILLED: u32 = 2;
    /// The old fleet has been kept long enough.
    pub const KEPT: u32 = 3;
}

/// A deploy while it runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deploying {
    /// Since when, once it has begun.
    pub from: Option<Time>,
    /// Until when, once it is over.
    pub until: Option<Time>,
    /// Since when it is rolled back.
    pub undone: Option<Time>,
    /// How many instances it has started.
    pub units: u32,
    /// How many of them have failed to start.
    pub failed: u32,
    /// The version before.
    before: u32,
    /// When all users are moved to the new fleet.
    switch: Option<Time>,
}

/// The number of whoever tells an instance to end: 0 is its autoscaler.
fn number_of(by: Option<DeployId>) -> u32 {
    by.map_or(0, |id| id.0 + 1)
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Schedules the beginning of every deploy.
    pub fn start_deploys(&mut self) {
        for (id, deploy) in self.model.deploys.enumerate() {
            self.at(Time::ZERO + deploy.at, Kind::Deploy, id.0);
            self.deploys.push(Deploying::default());
        }
    }

    /// A deploy begins, or its controller looks.
    pub fn deploy(&mut self, id: DeployId) {
        let service = self.model.deploys[id].service;
        if self.deploys[id].from.is_none() {
            if self.services[service].deploying.is_some() {
                return self.at(self.now + LOOK, Kind::Deploy, id.0);
            }
            self.deploys[id].from = Some(self.now);
            let state = &mut self.services[service];
            state.deploying = Some(id);
            self.deploys[id].before = state.version;
            state.versions += 1;
            state.version = state.versions;
        }
        self.roll_back_if_due(id);
        let over = match self.model.deploys[id].rollout {
            Rollout::BlueGreen(wait, keep) => self.blue_green(id, wait, keep),
            _ => self.roll(id),
        };
        if !over {
            return self.at(self.now + LOOK, Kind::Deploy, id.0);
        }
        self.deploys[id].until = Some(self.now);
        self.services[service].deploying = None;
        if self.deploys[id].undone.is_some() {
            return;
        }
        let model = self.model;
        for purge in &model.deploys[id].purges {
            match *purge {
                Purge::Cdn(cdn) => self.purge_cdn(cdn),
                Purge::Cache(cache) => {
                    (0..model.caches[cache].nodes).for_each(|node| self.empty_store(cache, node));
                }
            }
        }
    }

    /// A deploy that takes too long, or too many of whose instances do not start, is rolled back.
    fn roll_back_if_due(&mut self, id: DeployId) {
        let Deploy { service, rollback_after, circuit_breaker, .. } = self.model.deploys[id];
        let deploying = self.deploys[id];
        let from = deploying.from.expect("it has begun");
        let late = rollback_after.is_some_and(|after| self.now >= from + after);
        let wanted = self.services[service].wanted;
        let broken = circuit_breaker && deploying.failed >= failures_allowed(wanted);
        if deploying.undone.is_some() || !(late || broken) || is_over(self.fleet(service)) {
            return;
        }
        self.deploys[id].undone = Some(self.now);
        self.services[service].version = deploying.before;
    }

    /// Whether an instance is of a version that cannot start.
    pub(super) fn is_broken(&self, index: u32) -> bool {
        let instance = &self.instances[index as usize];
        self.services[instance.service].deploying.is_some_and(|id| {
            self.model.deploys[id].fails_to_start && instance.version > self.deploys[id].before
        })
    }

    /// An instance of a version that cannot start has ended. A pod stays, to be tried again and again;
    /// a task of Amazon ECS is gone.
    pub(super) fn failed_to_start(&mut self, index: u32) {
        let id = self.services[self.instances[index as usize].service].deploying;
        let id = id.expect("its deploy goes on until it is gone");
        let rollout = self.model.deploys[id].rollout;
        let deploying = &mut self.deploys[id];
        deploying.failed += 1;
        let stays = matches!(rollout, Rollout::Kubernetes(..)) && deploying.undone.is_none();
        self.instances[index as usize].phase = if stays { Phase::Down } else { Phase::Off };
    }

    /// Notes which new instances are ready, where they must have been for a while to count.
    fn note_ready(&mut self, id: DeployId) {
        let Deploy { service, min_ready, .. } = self.model.deploys[id];
        if min_ready.is_zero() {
            return;
        }
        for index in self.pick(service, u32::MAX, |phase| phase == Phase::Up, true) {
            let ready = self.is_passed(index);
            let since = &mut self.instances[index as usize].ready_since;
            *since = if ready { self.now.min(*since) } else { Time::NEVER };
        }
    }

    /// Whether an instance that is ready has been for long enough to count.
    fn is_available(&self, index: u32) -> bool {
        let instance = &self.instances[index as usize];
        let deploying = self.services[instance.service].deploying;
        let min_ready = deploying.map_or(Duration::ZERO, |id| self.model.deploys[id].min_ready);
        min_ready.is_zero()
            || instance.ready_since < Time::NEVER && instance.ready_since + min_ready <= self.now
    }

    /// One look at a rolling deploy; says whether it is over.
    fn roll(&mut self, id: DeployId) -> bool {
        let Deploy { service, rollout, .. } = self.model.deploys[id];
        self.note_ready(id);
        // What one order makes possible is ordered at once.
        loop {
            let fleet = self.fleet(service);
            if is_over(fleet) {
                return true;
            }
            let bounds = rollout.bounds(fleet.wanted).expect("it rolls");
            let orders = decide(bounds, fleet);
            let started = self.start_new(id, orders.start);
            let lost = self.pick(service, orders.stop_unready, |phase| phase == Phase::Down, false);
            for index in &lost {
                self.instances[*index as usize].phase = Phase::Off;
                self.register(*index, false, false);
            }
            let old = self.pick(service, orders.stop_ready, |phase| phase == Phase::Up, false);
            let new = self.pick(service, orders.stop_new, |phase| phase == Phase::Up, true);
            for index in old.iter().chain(&new) {
                self.retire(*index, Some(id));
            }
            if started == 0 && lost.len() + old.len() + new.len() == 0 {
                return false;
            }
        }
    }

    /// One look at a blue-green deploy; says whether all users have been moved.
    fn blue_green(&mut self, id: DeployId, wait: Duration, keep: Duration) -> bool {
        let service = self.model.deploys[id].service;
        if self.deploys[id].undone.is_some() {
            // Nobody has been moved.
            for index in self.pick(service, u32::MAX, |phase| phase == Phase::Up, false) {
                self.retire(index, Some(id));
            }
            let fleet = self.fleet(service);
            return fleet.old_ready + fleet.old_unready == 0;
        }
        let fleet = self.fleet(service);
        self.start_new(id, fleet.wanted.saturating_sub(fleet.new_ready + fleet.new_unready));
        if fleet.new_ready < fleet.wanted {
            return false;
        }
        let at = *self.deploys[id].switch.get_or_insert(self.now + wait);
        if at > self.now {
            return false;
        }
        let all = |phase| phase == Phase::Up;
        let (old, new) =
            (self.pick(service, u32::MAX, all, false), self.pick(service, u32::MAX, all, true));
        self.services[service].deploying = None; // from now on what is up is sent requests
        for index in new {
            self.register(index, true, false);
        }
        for index in old {
            let instance = &mut self.instances[index as usize];
            (instance.phase, instance.draining_since) = (Phase::Leaving, self.now);
            self.register(index, false, false);
            self.leave_later(index, Some(id), keep, leaving::KEPT);
        }
        for index in self.pick(service, u32::MAX, |phase| phase == Phase::Down, false) {
            self.instances[index as usize].phase = Phase::Off;
        }
        true
    }

    /// Whether an instance that starts is not sent requests yet: it is of the new fleet of a
    /// blue-green deploy.
    pub(super) fn is_held_back(&self, index: u32) -> bool {
        let instance = &self.instances[index as usize];
        let state = &self.services[instance.service];
        state.deploying.is_some_and(|id| {
            matches!(self.model.deploys[id].rollout, Rollout::BlueGreen(..))
                && instance.version > self.deploys[id].before
        })
    }

    /// The instances of a service, by what they are to its deploy.
    fn fleet(&self, service: ServiceId) -> Fleet {
        let state = &self.services[service];
        let mut fleet = Fleet { wanted: state.wanted, ..Fleet::default() };
        let first = state.first_instance;
        for index in first..first + self.model.services[service].slots {
            let instance = &self.instances[index as usize];
            let new = instance.version == state.version;
            let count = match (instance.phase, new) {
                (Phase::Up, true) if self.is_passed(index) && self.is_available(index) => {
                    &mut fleet.new_ready
                }
                (Phase::Up, false) => &mut fleet.old_ready,
                (Phase::Up | Phase::Starting | Phase::Down, true) => &mut fleet.new_unready,
                (Phase::Starting | Phase::Down, false) => &mut fleet.old_unready,
                _ => continue,
            };
            *count += 1;
        }
        fleet
    }

    /// Up to so many instances of a service in a phase, of the new version or of older ones.
    fn pick(
        &self,
        service: ServiceId,
        count: u32,
        is: impl Fn(Phase) -> bool,
        new: bool,
    ) -> Vec<u32> {
        let state = &self.services[service];
        let slots = state.first_instance..state.first_instance + self.model.services[service].slots;
        let instance = |index: &u32| &self.instances[*index as usize];
        slots
            .filter(|index| is(instance(index).phase))
            .filter(|index| (instance(index).version == state.version) == new)
            .take(count as usize)
            .collect()
    }

    /// Starts up to so many instances of the new version; says how many.
    fn start_new(&mut self, id: DeployId, count: u32) -> u32 {
        let Deploy { service, start, .. } = self.model.deploys[id];
        let mut started = 0;
        while started < count && self.start_instance(service, start) {
            started += 1;
        }
        self.deploys[id].units += started;
        started
    }

    /// How an instance ends that a deploy or else its autoscaler removes.
    fn exit(&self, service: ServiceId, by: Option<DeployId>) -> Exit {
        by.map_or(self.model.services[service].removal, |id| self.model.deploys[id].exit)
    }

    /// An instance is told to end, by a deploy or else by its autoscaler.
    pub(super) fn retire(&mut self, index: u32, by: Option<DeployId>) {
        let service = self.instances[index as usize].service;
        let exit = self.exit(service, by);
        let instance = &mut self.instances[index as usize];
        (instance.draining_since, instance.on_sigterm) = (self.now, exit.on_sigterm);
        let Some(heard_after) = exit.heard_after else {
            self.instances[index as usize].phase = Phase::Draining;
            self.deregister(index, number_of(by));
            // Whoever drains is told when it has drained, or is cut off after the delay.
            if self.model.services[service].health.deregistration_delay.is_none() {
                self.leave_later(index, by, exit.killed_after, leaving::KILLED);
                self.told(index, exit.on_sigterm);
            }
            return self.stop_if_drained(index);
        };
        self.instances[index as usize].phase = Phase::Leaving;
        self.leave_later(index, by, heard_after, leaving::HEARD);
        self.leave_later(index, by, exit.told_after, leaving::TOLD);
        self.leave_later(index, by, exit.killed_after, leaving::KILLED);
    }

    /// The deregistration delay of an instance is over: a balancer that terminates connections answers for it
    /// (ALB, troubleshooting: "HTTP 502 ... deregistration delay period elapsed"), and its processes get SIGTERM
    /// and their grace (ECS, "Optimize load balancer connection draining": SIGTERM once the target is UNUSED,
    /// SIGKILL after `ECS_CONTAINER_STOP_TIMEOUT`).
    pub(super) fn has_drained(&mut self, index: u32, by: u32) {
        let by = by.checked_sub(1).map(DeployId);
        let service = self.instances[index as usize].service;
        let exit = self.exit(service, by);
        self.instances[index as usize].draining_since = self.now;
        if self.model.services[service].health.passes.is_none()
            && exit.on_sigterm != OnSigterm::Exit
        {
            self.close_flows(index, Failure::InstanceLost);
        }
        if self.instances[index as usize].phase.runs() {
            self.leave_later(index, by, exit.killed_after, leaving::KILLED);
            self.told(index, exit.on_sigterm);
        }
    }

    fn leave_later(&mut self, index: u32, by: Option<DeployId>, after: Duration, what: u32) {
        let at = self.now + after;
        let by = number_of(by);
        if at < Time::NEVER {
            self.events.push(Event::new(at, Kind::Leaving as u8, by << 2 | what, index));
        }
    }

    /// Something about an instance that is leaving is due.
    pub fn leaving(&mut self, index: u32, ordinal: u32) {
        let by = (ordinal >> 2).checked_sub(1).map(DeployId);
        let instance = &self.instances[index as usize];
        let exit = self.exit(instance.service, by);
        let (since, phase) = (instance.draining_since, instance.phase);
        let runs = phase != Phase::Up && phase.runs();
        match ordinal & 3 {
            leaving::HEARD if phase != Phase::Up => self.register(index, false, false),
            leaving::TOLD if runs && since + exit.told_after == self.now => {
                self.told(index, exit.on_sigterm);
            }
            leaving::KILLED if runs && since + exit.killed_after == self.now => {
                self.kill_instance(index);
            }
            leaving::KEPT if phase == Phase::Leaving => {
                let rollout = by.map(|id| self.model.deploys[id].rollout);
                if matches!(rollout, Some(Rollout::BlueGreen(_, keep)) if since + keep == self.now)
                {
                    self.retire(index, by);
                }
            }
            _ => {}
        }
    }

    /// The processes of an instance get SIGTERM.
    pub(super) fn told(&mut self, index: u32, on_sigterm: OnSigterm) {
        match on_sigterm {
            OnSigterm::Ignore => {}
            OnSigterm::Exit => self.kill_instance(index),
            OnSigterm::Finish => {
                let instance = &mut self.instances[index as usize];
                instance.phase = Phase::Closing;
                // The listening socket is closed with the connections that nobody has accepted.
                let waiting = std::mem::take(&mut instance.backlog);
                let station = self.model.services[instance.service].station;
                for task in waiting {
                    self.leave(task, station);
                    self.closed_on(task, index);
                }
                for worker in self.workers_of(index) {
                    self.lose_sockets(worker);
                }
                self.stop_if_drained(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, run_for};
    use super::super::world::World;
    use crate::kernel::EventList;
    use crate::units::Duration;

    /// Deploys of every kind, one after another, while workers and instances die: the books hold.
    #[test]
    fn everything_adds_up_however_instances_go() {
        let deploys = "\n[deploy.a]\nservice = 'web'\nat = '1s'\nstart = '2s'\nhow = 'kubernetes'\n\
             on_sigterm = 'finish'\n[deploy.b]\nservice = 'web'\nat = '2s'\nstart = '1s'\n\
             on_sigterm = 'ignore'\ngrace = '500ms'\n[deploy.c]\nservice = 'web'\nat = '3s'\n\
             start = '1s'\nhow.blue-green = { keep = '1s', wait = '300ms' }\n[deploy.d]\n\
             service = 'web'\nat = '4s'\nstart = '1s'\nhow.kubernetes = { max_surge = '0%', \
             max_unavailable = '100%', pre_stop = '200ms', heard_after = '700ms' }\n";
        let model =
            model(&format!("{}{deploys}", include_str!("../../tests/topologies/pressure.toml")));
        let mut world = World::<EventList>::new(&model, 0);
        let mut draws = world.key.named("torment").draw(0);
        for _ in 0..300 {
            run_for(&mut world, Duration::micros(u64::from(draws.below(120_000))));
            let worker = draws.below(world.workers.len() as u32);
            match draws.below(6) {
                0 => world.kill_worker(worker),
                1 => world.kill_instance(world.workers[worker as usize].instance),
                2 | 3 => world.restart_instance(world.workers[worker as usize].instance),
                _ => {}
            }
            run_for(&mut world, Duration::ZERO);
        }
        for _ in 0..100 {
            run_for(&mut world, Duration::secs(1));
            for index in 0..world.instances.len() as u32 {
                world.restart_instance(index);
            }
        }
        assert!(world.deploys.iter().all(|deploy| deploy.until.is_some()), "all come to an end");
    }
}
