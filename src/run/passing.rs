//! Balancers that pass connections through (AWS Network Load Balancer).
//!
//! A balancer of layer 4 chooses once for each connection, and looks into none. Clients are connected to
//! their targets: they hear what these say, or that a connection was reset, and nothing of the balancer's.
//! It forgets a connection that has been idle for too long without a word, and whoever uses it next gets a
//! reset (User Guide, "Connection idle timeout"). Connections to a target that is taken for unhealthy are
//! closed (`target_health_state.unhealthy.connection_termination.enabled`, true), those to one that is
//! being taken out go on until its delay is over. A browser whose connection turns out to be closed sends
//! its request again over a new one (Chromium, http_network_transaction.cc, `ShouldResendRequest`).

use super::fault::Condition;
use super::meter::Counter;
use super::service::Phase;
use super::task::{DIALLED, NONE, Role, State, flag};
use super::world::World;
use crate::component::balancer::Targets;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::{ServiceId, StationId};
use crate::model::{Affinity, Service};
use crate::units::{Duration, Time};

/// How long users' resolvers keep the addresses of a balancer's zones (NLB, "DNS name": TTL of 60 s).
const TTL: Duration = Duration::secs(60);

/// Whether the address of a node is in its balancer's name.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    /// It is.
    listed: bool,
    /// Since when; [`None`] is from the start.
    since: Option<Time>,
}

impl Listing {
    /// As it has been all along.
    pub fn new(listed: bool) -> Listing {
        Listing { listed, since: None }
    }
    /// There is somebody healthy in its zone, or nobody.
    pub fn becomes(&mut self, listed: bool, now: Time) {
        if self.listed != listed {
            *self = Listing { listed, since: Some(now) };
        }
    }
    /// What a resolver says that asks anew after this part of the time to live.
    fn is_known(self, part: f64, now: Time) -> bool {
        let old = self.since.is_some_and(|since| now < since + TTL.scale(part));
        self.listed != old
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A request comes to a balancer that passes connections through: it goes where its connection ends.
    pub(super) fn pass_through(&mut self, task: u32, service: ServiceId, condition: Condition) {
        let station = self.model.services[service].balancer_station.expect("it is a balancer");
        self.count(station, Counter::Arrivals);
        let flow = match self.flow_of_task(task, service) {
            Some(flow) => flow,
            None => match self.new_flow(task, service) {
                Some(flow) => {
                    self.count(station, Counter::Opened);
                    flow
                }
                None => {
                    self.count(station, Counter::Rejected);
                    return self.fail(task, Failure::Refused);
                }
            },
        };
        self.send_to_target(task, (service, flow.0, flow.1), (condition, true));
    }

    /// Where the connection ends that a request comes over, and the node in between; [`None`] if it is new.
    fn flow_of_task(&mut self, task: u32, service: ServiceId) -> Option<(usize, u32)> {
        let spec = &self.model.services[service];
        let record = &self.tasks[task];
        if record.role == Role::Call && spec.affinity != Affinity::Process {
            let worker = self.end_of_call(task)?;
            let index = self.workers[worker as usize].instance;
            let target = index - self.services[service].first_instance;
            return Some((self.node_of_target(service, target, record.user), target));
        }
        let dialled = record.role == Role::Attempt
            && record.owner != NONE
            && self.journeys[record.owner].reloads & DIALLED != 0;
        if dialled && !spec.sticks() {
            return None;
        }
        let key = self.affinity_of(task, spec.affinity);
        let (number, target) = self.flow_of(service, key, record.user)?;
        self.services[service].nodes[number].uses(key, self.now);
        Some((number, target))
    }

    /// Where the open connection of somebody ends, if they have one.
    fn flow_of(&self, service: ServiceId, key: u64, user: u32) -> Option<(usize, u32)> {
        let nodes = &self.services[service].nodes;
        let kept = |number: usize| {
            let target = nodes[number].kept(key, self.now)?;
            self.flow_holds(service, &nodes[number].targets, target).then_some((number, target))
        };
        match self.model.services[service].health.zonal {
            true => (0..nodes.len()).find_map(kept),
            false => kept(self.node_of(service, user)),
        }
    }

    /// Whether connections to a target stay open: it runs, and is not taken for unhealthy. One that is
    /// gone with its machine has closed none.
    fn flow_holds(&self, service: ServiceId, targets: &Targets, target: u32) -> bool {
        let index = self.services[service].first_instance + target;
        match self.instances[index as usize].phase {
            Phase::Draining => true,
            Phase::Up => targets.get(target).available,
            _ => targets.get(target).available && self.is_silent(index),
        }
    }

    /// A new connection: where it ends. A user's is kept, as is that of a process over which all its calls
    /// go; other callers have theirs in their agents.
    fn new_flow(&mut self, task: u32, service: ServiceId) -> Option<(usize, u32)> {
        let spec = &self.model.services[service];
        let record = self.tasks[task];
        let key = self.affinity_of(task, spec.affinity);
        let number = self.node_for(service, record.user);
        let kept = record.role != Role::Call || spec.affinity == Affinity::Process;
        let mut draws = record.stream.draw(u64::from(spec.numbers));
        let node = &mut self.services[service].nodes[number];
        let target = node.connects(key, kept, self.now, || draws.next_u64())?;
        Some((number, target))
    }

    /// The node through which a target is reached.
    pub(super) fn node_of_target(&self, service: ServiceId, target: u32, user: u32) -> usize {
        let spec = &self.model.services[service];
        match spec.health.zonal {
            true => (target % spec.nodes) as usize,
            false => self.node_of(service, user),
        }
    }

    /// The node that a user's resolver names: the one that they would have, if there is somebody healthy
    /// in its zone; else the next. If there is nobody anywhere, it names all.
    pub(super) fn node_for(&self, service: ServiceId, user: u32) -> usize {
        let first = self.node_of(service, user);
        if !self.model.services[service].health.zonal {
            return first;
        }
        let nodes = &self.services[service].nodes;
        let name = &self.model.services[service].name;
        let key = self.key.named("zones").named(name).numbered(u64::from(user));
        let known = |number: &usize| {
            nodes[*number].listing.is_known(key.draw(*number as u64).unit(), self.now)
        };
        let mut all = (0..nodes.len()).map(|step| (first + step) % nodes.len());
        all.find(known).unwrap_or(first)
    }

    /// A user is about to send a request: how much longer it takes because the balancer has forgotten their
    /// connection. One that has closed they know of.
    pub(super) fn look_at_flow(
        &mut self,
        task: u32,
        service: ServiceId,
        way: Duration,
    ) -> Duration {
        let spec = &self.model.services[service];
        let Some((idle, connection)) = spec.health.passes.zip(self.model.client.connection) else {
            return Duration::ZERO;
        };
        let user = self.tasks[task].user as usize;
        let Some(used) = self.client.used.get(user).copied().filter(|it| *it != Time::NEVER) else {
            return Duration::ZERO;
        };
        let unused = self.now.since(used.min(self.now));
        if unused >= connection.keep_alive.min(spec.keep_alive) {
            return Duration::ZERO;
        }
        let key = self.affinity_of(task, spec.affinity);
        let closed = self.flow_of(service, key, user as u32).is_none()
            || self.ended_with_process(user as u32, used);
        if closed || unused >= idle {
            self.client.used[user] = Time::NEVER;
        }
        if closed || unused < idle { Duration::ZERO } else { Duration(2 * way.0) }
    }

    /// Connections to a target are closed, and who waits for an answer is told so. What it is doing goes on for
    /// nobody.
    pub(super) fn close_flows(&mut self, index: u32, why: Failure) {
        for task in 0..self.tasks.capacity() as u32 {
            let record = *self.tasks.peek(task);
            let asks = record.state != State::Free
                && record.has(flag::OUTSTANDING)
                && matches!(record.role, Role::Attempt | Role::Call)
                && self.workers[record.worker as usize].instance == index;
            if asks && self.landed_at(task, &record).is_some() {
                let messenger = self.part_from_target(task, index);
                self.reset(messenger, messenger, why, None);
            }
        }
    }

    /// How much more an instance of its busiest zone works than the mean, where each zone has its own share of
    /// the connections.
    pub(super) fn uneven_zones(&self, station: StationId) -> Option<f64> {
        let all = self.model.services.enumerate();
        let zonal =
            |spec: &Service| spec.health.zonal && spec.nodes > 1 && spec.autoscale.is_none();
        let mut found = all.filter(|(_, spec)| spec.station == station && zonal(spec));
        let (service, spec) = found.next()?;
        let first = self.services[service].first_instance;
        let (mut work, mut count) =
            (vec![0.0; spec.nodes as usize], vec![0.0; spec.nodes as usize]);
        for target in 0..spec.instances {
            let zone = (target % spec.nodes) as usize;
            let workers = self.workers_of(first + target);
            work[zone] +=
                workers.map(|it| self.workers[it as usize].busy_ticks as f64).sum::<f64>();
            count[zone] += 1.0;
        }
        let mean = work.iter().sum::<f64>() / f64::from(spec.instances);
        let each = work.iter().zip(&count).filter(|(_, count)| **count > 0.0);
        let busiest = each.map(|(work, count)| work / count).fold(0.0, f64::max);
        (mean > 0.0).then_some(busiest / mean)
    }

    /// A call leaves over a connection that ends at this worker; [`NONE`] is a new one.
    pub(super) fn goes_over(&mut self, call: u32, worker: u32) {
        let (place, epoch) = (call as usize, self.tasks[call].epoch);
        let ends = &mut self.carried.ends;
        if ends.len() <= place {
            ends.resize(place + 1, (0, NONE));
        }
        ends[place] = (epoch, worker);
    }

    /// Whether a caller's connection to a worker, used last at that time, is open: whoever closed it has said
    /// so.
    pub(super) fn is_open_to(&self, service: ServiceId, worker: u32, since: Time) -> bool {
        if self.model.services[service].health.passes.is_none() {
            return self.keeps_connection(worker, since);
        }
        let instance = self.workers[worker as usize].instance;
        let target = instance - self.services[service].first_instance;
        let nodes = &self.services[service].nodes;
        let number = self.node_of_target(service, target, 0);
        self.flow_holds(service, &nodes[number].targets, target)
            && self.keeps_connection(worker, since)
    }
}
