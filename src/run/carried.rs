//! What servers let connections carry: so many requests, and bodies for so long.
//!
//! The last request that a connection may carry is answered with `Connection: close` (Node.js 20,
//! lib/_http_server.js, `maxRequestsPerSocket`; nginx, `keepalive_requests`), so whoever comes next
//! opens another. A body that has not come in time is given up with 408, at the server's next look
//! (`checkConnections`), and its connection closes.

use super::capacity_units::CapacityUnits;
use super::chunks::Readings;
use super::event::Kind;
use super::meter::Part;
use super::open_connections::Held;
use super::probing::purpose;
use super::task::{NONE, Role, State, flag};
use super::world::World;
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::ServiceId;
use crate::model::{Bodies, Reuse};
use crate::units::{Duration, Time};

/// An idle connection of a balancer to a target.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Since when it is idle.
    pub since: Time,
    /// Requests that it has carried, where they are counted.
    pub carried: u32,
    /// Whose request it has carried last.
    pub user: u32,
    /// The worker that it belongs to, where a target has several.
    pub worker: u32,
}

/// Connections to a target that its balancer has needed (HAProxy, server.c `srv_use_conn`,
/// `srv_cleanup_idle_conns`).
#[derive(Clone, Copy, Default, Debug)]
pub struct Needed {
    /// In use at most since it looked last.
    most: u32,
    /// What it expects to need.
    expected: u32,
}

impl Needed {
    /// So many are in use now.
    #[inline]
    pub fn uses(&mut self, used: u32) {
        self.most = self.most.max(used);
        self.expected = self.expected.max(used);
    }

    /// It looks while so many are in use and idle: how many of these it closes.
    pub fn closes(&mut self, used: u32, idle: u32) -> u32 {
        let beyond = (used + idle).saturating_sub(self.most.max(self.expected));
        self.expected = ((self.expected + self.most) / 2).max(self.most);
        self.most = used;
        beyond.div_ceil(2).min(idle)
    }
}

/// How many requests the connections of tasks and users have carried, where servers limit that.
#[derive(Debug, Default)]
pub struct Carried {
    /// By task: requests over its connection, itself included.
    of_task: Vec<u32>,
    /// By user: how many more their connection carries, once the present one is answered.
    left: Vec<u32>,
    /// By task: the worker at which the connection ends that its call goes over, where no balancer terminates
    /// it and there are several; and whose epoch that is.
    pub ends: Vec<(u16, u32)>,
    /// By user: the worker that their connection belongs to, where it is one of several.
    pub(super) workers: Vec<u32>,
    /// Bodies that are read chunk by chunk.
    pub(super) readings: Readings,
    /// Idle connections of users, where they are counted.
    pub(super) held: Held,
    /// What balancers are charged for by the hour.
    pub units: Vec<CapacityUnits>,
}

/// More than any limit: the connection closes whatever it has carried.
const CLOSES: u32 = u32::MAX;
/// As many as anybody sends.
const UNLIMITED: u32 = u32::MAX;

/// The element, in a vector that grows to it with what is known of nobody.
pub(super) fn place(all: &mut Vec<u32>, index: u32, unknown: u32) -> &mut u32 {
    let index = index as usize;
    if all.len() <= index {
        all.resize(index + 1, unknown);
    }
    &mut all[index]
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Requests over a connection of a service's balancer to one of its instances.
    fn carries(&self, service: ServiceId) -> Option<u32> {
        let spec = &self.model.services[service];
        let both = spec.requests_per_connection.into_iter().chain(spec.health.keepalive_requests);
        both.min()
    }

    /// A task has its balancer's connection, which has carried so many before.
    #[inline]
    pub(super) fn carry(&mut self, task: u32, service: ServiceId, before: u32) {
        let counts = self.model.services[service].health.reuse == Reuse::Aggressive;
        if counts || self.carries(service).is_some() || !self.carried.of_task.is_empty() {
            *place(&mut self.carried.of_task, task, 0) = before + 1;
        }
    }

    /// A task answers on the connection of another.
    #[inline]
    pub(super) fn answers_for(&mut self, answer: u32, task: u32) {
        if let Some(carried) = self.carried.of_task.get(task as usize).copied() {
            *place(&mut self.carried.of_task, answer, 0) = carried;
        }
    }

    /// The connection over which a task has been answered, if it stays open.
    #[inline]
    pub(super) fn stays_open(&self, task: u32, service: ServiceId) -> Option<Idle> {
        let (user, worker) = (self.tasks[task].user, self.tasks[task].worker);
        if self.carried.of_task.is_empty() {
            return Some(Idle { since: self.now, carried: 0, user, worker });
        }
        let carried = self.carried.of_task.get(task as usize).copied().unwrap_or(0);
        let closes = carried >= self.carries(service).unwrap_or(CLOSES);
        (!closes).then_some(Idle { since: self.now, carried, user, worker })
    }

    /// A user sends a request to whoever lets a connection carry so many, over a new one or the last.
    #[inline]
    pub(super) fn user_sends(&mut self, user: u32, new: bool, limit: Option<u32>) {
        if limit.is_some() || !self.carried.left.is_empty() {
            let left = place(&mut self.carried.left, user, UNLIMITED);
            let before = if new { limit.unwrap_or(UNLIMITED) } else { *left };
            *left = before.saturating_sub(1);
        }
    }

    /// Whether a user's connection closes with the answer that they have got.
    #[inline]
    pub(super) fn user_is_let_go(&self, user: u32) -> bool {
        self.carried.left.get(user as usize) == Some(&0)
    }

    /// Services that give bodies up look for the first time.
    pub(super) fn start_body_checks(&mut self) {
        for (id, spec) in self.model.services.enumerate() {
            if let Some(bodies) = spec.bodies {
                self.time_body_check(id, bodies);
            }
        }
    }

    fn time_body_check(&mut self, service: ServiceId, bodies: Bodies) {
        let at = Time((self.now.0 / bodies.check.0 + 1) * bodies.check.0);
        self.events.push(Event::new(at, Kind::Probe as u8, purpose::BODIES, service.0));
    }

    /// A service looks for bodies on its link that have taken too long.
    pub(super) fn check_bodies(&mut self, service: ServiceId) {
        let bodies = self.model.services[service].bodies.expect("it looks for them");
        self.time_body_check(service, bodies);
        for task in 0..self.tasks.capacity() as u32 {
            let record = *self.tasks.peek(task);
            let comes = record.state == State::OnLink && record.has(flag::UPLOAD);
            if !comes
                || self.service_of_worker(record.worker) != service
                || record.since + bodies.timeout >= self.now
            {
                continue;
            }
            self.cut_transfer(task);
            let link = self.model.services[service].link.expect("a body is on its service's link");
            let so_far = self.now.since(record.since);
            self.spend(task, self.model.links[link].into, Part::Wait, so_far);
            self.give_body_up(task);
            self.resume(task);
        }
    }

    /// How much longer the rest of a body takes that began to arrive `at` and is through with its
    /// link: it may be given up meanwhile.
    pub(super) fn rest_of_body(&mut self, task: u32, at: Time, rest: Duration) -> Duration {
        let service = self.service_of_worker(self.tasks[task].worker);
        let bodies = self.model.services[service].bodies;
        match bodies.map(|bodies| bodies.given_up(at)).filter(|end| *end < self.now + rest) {
            Some(end) => {
                self.give_body_up(task);
                end.since(self.now)
            }
            None => rest,
        }
    }

    /// A body is given up: its request fails, and its connection closes.
    fn give_body_up(&mut self, task: u32) {
        let record = &mut self.tasks[task];
        record.flags &= !flag::UPLOAD;
        (record.state, record.deadline) = (State::Away, Time::NEVER);
        record.status = Failure::RequestTimeout as u8;
        let record = *record;
        let service = self.service_of_worker(record.worker);
        if record.has(flag::OUTSTANDING) && self.model.services[service].is_fronted() {
            *place(&mut self.carried.of_task, task, 0) = CLOSES;
        } else if record.role == Role::Attempt && record.owner != NONE {
            *place(&mut self.carried.left, record.user, UNLIMITED) = 0;
        }
    }
}
