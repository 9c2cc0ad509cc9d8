//! Connections that an instance has open: those that carry a request, and those that are kept for the next.
//!
//! What is limited are connections, idle or not. A socket beyond `server.maxConnections` is closed as soon as
//! it is accepted (Node.js 20, lib/net.js, `onconnection`: `self._connections >= self.maxConnections`); uvicorn
//! answers 503 to a request that finds so many at its worker (0.54.0, protocols/http/httptools_impl.py,
//! `on_headers_complete`: `len(self.connections) >= self.limit_concurrency`). A request over a connection that
//! is open already is never turned away for the number of them. Only who has such a limit, and whose
//! clients keep connections, is counted so (`Service::counts_connections`).

use super::event::Kind;
use super::probing::purpose;
use super::task::{DIALLED, DIALS, NONE, Role};
use super::world::World;
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::units::{Duration, Time};
use std::collections::BTreeSet;

/// Idle connections of users, at the workers that have them.
#[derive(Debug, Default)]
pub struct Held {
    /// By user: the worker that has their idle connection, and when it closes.
    of_users: Vec<(u32, Time)>,
    /// By worker: when each closes, and whose it is.
    at_workers: Vec<BTreeSet<(Time, u32)>>,
}

impl Held {
    /// A user has no idle connection any more: when it would have closed.
    fn take(&mut self, user: u32) -> Option<Time> {
        let entry = self.of_users.get_mut(user as usize)?;
        let (worker, closes) = std::mem::replace(entry, (NONE, Time::NEVER));
        if worker == NONE {
            return None;
        }
        self.at_workers[worker as usize].remove(&(closes, user));
        Some(closes)
    }

    fn keep(&mut self, user: u32, worker: u32, closes: Time) {
        self.take(user);
        let (place, at) = (user as usize, worker as usize);
        if self.of_users.len() <= place {
            self.of_users.resize(place + 1, (NONE, Time::NEVER));
        }
        if self.at_workers.len() <= at {
            self.at_workers.resize(at + 1, BTreeSet::new());
        }
        self.of_users[place] = (worker, closes);
        self.at_workers[at].insert((closes, user));
    }

    /// Idle connections at a worker, and when the first of them closes.
    fn at(&mut self, worker: u32, now: Time) -> (u32, Option<Time>) {
        let Some(all) = self.at_workers.get_mut(worker as usize) else { return (0, None) };
        while let Some((closes, user)) = all.first().copied().filter(|(closes, _)| *closes <= now) {
            all.remove(&(closes, user));
            self.of_users[user as usize] = (NONE, Time::NEVER);
        }
        (all.len() as u32, all.first().map(|(closes, _)| *closes))
    }

    /// Idle connections at a worker; the few that have closed since it was looked at last are passed over.
    fn count(&self, worker: u32, now: Time) -> u32 {
        let Some(all) = self.at_workers.get(worker as usize) else { return 0 };
        let closed = all.iter().take_while(|(closes, _)| *closes <= now).count();
        (all.len() - closed) as u32
    }

    /// A process is gone with its connections.
    pub fn lose(&mut self, worker: u32) {
        let Some(all) = self.at_workers.get_mut(worker as usize) else { return };
        for (_, user) in std::mem::take(all) {
            self.of_users[user as usize] = (NONE, Time::NEVER);
        }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether an instance may have one connection more.
    pub(super) fn has_room(&mut self, index: u32) -> bool {
        let spec = &self.model.services[self.instances[index as usize].service];
        match spec.max_connections {
            None => true,
            Some(most) if spec.counts_connections => self.open_connections(index).0 < most,
            Some(most) => self.instances[index as usize].open < most,
        }
    }

    /// A request arrives: whether the connection that it comes over was open before.
    pub(super) fn comes_over_kept(&mut self, task: u32, index: u32) -> bool {
        let record = &self.tasks[task];
        let spec = &self.model.services[self.instances[index as usize].service];
        let dials = record.pending & DIALS != 0;
        match record.role {
            Role::Probe => false,
            _ if spec.is_fronted() => {
                let kept = !dials && spec.health.keep_alive.is_some();
                let coming = &mut self.instances[index as usize].coming;
                debug_assert!(!kept || *coming > 0, "who comes over a kept connection set out");
                *coming = coming.saturating_sub(u32::from(kept));
                kept
            }
            Role::Attempt => {
                let closes = self.carried.held.take(record.user);
                let dialled =
                    record.owner == NONE || self.journeys[record.owner].reloads & DIALLED != 0;
                !dialled && closes.is_some_and(|closes| closes > self.now)
            }
            Role::Call => !dials && self.call_has_agent(task),
            _ => false,
        }
    }

    /// Whether a call goes over a connection that its caller keeps.
    fn call_has_agent(&self, task: u32) -> bool {
        use crate::model::tape::{AgentId, Op};
        let record = &self.tasks[task];
        if !self.awaits(record.owner, record.owner_epoch) {
            return false;
        }
        let call = self.tasks[record.owner].pc.0 as usize - 1;
        matches!(self.model.tape[call], Op::Call { agent, .. } if agent != AgentId::default())
    }

    /// An instance is done with a request of a user: their connection to it is idle, unless it is closed.
    pub(super) fn user_connection_idles(&mut self, task: u32) {
        let record = self.tasks[task];
        let spec = &self.model.services[self.service_of_worker(record.worker)];
        let Some(connection) = self.model.client.connection else { return };
        let is_user = record.role == Role::Attempt && record.owner != NONE;
        if !is_user || spec.is_fronted() || self.is_closed_on(record.status, record.user) {
            return;
        }
        let way = self.way_to_user(task, spec.region);
        // The user's end closes so long after the answer has come, which is known one way later.
        let theirs = Duration(connection.keep_alive.0.saturating_add(2 * way.0));
        let closes = self.now + spec.keep_alive.min(theirs);
        self.carried.held.keep(record.user, record.worker, closes);
    }

    /// Whether a request that ended so has ended its user's connection, too.
    pub(super) fn is_closed_on(&self, status: u8, user: u32) -> bool {
        const CLOSED: [Failure; 4] =
            [Failure::Reset, Failure::Refused, Failure::InstanceLost, Failure::RequestTimeout];
        CLOSED.iter().any(|why| *why as u8 == status) || self.user_is_let_go(user)
    }

    /// Idle connections of users and of the balancer to a worker.
    pub(super) fn connections_idle(&self, worker: u32) -> u32 {
        let spec = &self.model.services[self.workers[worker as usize].service];
        match spec.counts_connections {
            true => self.idle_connections(worker) + self.carried.held.count(worker, self.now),
            false => 0,
        }
    }

    /// Connections that an instance has, and when the next of those that are idle closes.
    fn open_connections(&mut self, index: u32) -> (u32, Option<Time>) {
        let (model, now) = (self.model, self.now);
        let instance = &self.instances[index as usize];
        let (service, mut open) = (instance.service, instance.open + instance.coming);
        let spec = &model.services[service];
        let mut first = None;
        let mut more = |(count, closes): (u32, Option<Time>)| {
            open += count;
            first = [first, closes].into_iter().flatten().min();
        };
        for worker in self.workers_of(index) {
            more(self.carried.held.at(worker, now));
        }
        if let Some(keep) = spec.health.keep_alive {
            let keep = keep.min(spec.keep_alive);
            let state = &self.services[service];
            let target = (index - state.first_instance) as usize;
            for node in &state.nodes {
                let idle = &node.idle[target];
                let closed = idle.partition_point(|it| now.since(it.since) >= keep);
                let closes = idle.get(closed).map(|it| it.since + keep);
                more(((idle.len() - closed) as u32, closes));
            }
        }
        if !spec.is_fronted() {
            for (client, spec) in model.http_clients.iter().enumerate() {
                let Some(host) = spec.to.iter().position(|it| *it == service) else { continue };
                let keep = spec.config.keep_alive.min(model.services[service].keep_alive);
                let caller = self.services[spec.from].first_instance;
                let caller = self.instances[caller as usize].first_worker;
                for (place, connections) in self.callers[client].iter().enumerate() {
                    let started = self.workers[caller as usize + place].started;
                    let times = (now, keep, started.unwrap_or(Time::ZERO));
                    more(connections.idle_to(host as u16, self.workers_of(index), times));
                }
            }
        }
        (open, first)
    }

    /// Connections wait for room: an instance looks again when an idle one closes.
    #[cold]
    pub(super) fn looks_when_one_closes(&mut self, index: u32) {
        let spec = &self.model.services[self.instances[index as usize].service];
        if !spec.counts_connections || self.instances[index as usize].backlog.is_empty() {
            return;
        }
        let Some(at) = self.open_connections(index).1 else { return };
        let instance = &mut self.instances[index as usize];
        if instance.looks <= self.now || at < instance.looks {
            instance.looks = at;
            self.events.push(Event::new(at, Kind::Probe as u8, purpose::CLOSES, index));
        }
    }

    /// An idle connection of an instance may have closed.
    pub(super) fn one_has_closed(&mut self, index: u32) {
        if self.instances[index as usize].phase.runs() {
            self.accept_waiting(index);
        }
    }
}
