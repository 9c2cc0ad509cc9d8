//! Connections that callers open for their calls, keep, and wait for.
//!
//! A call takes an idle connection of its worker. If there is none it opens one: a round trip of TCP,
//! those of TLS, and in a network that is cut the repetitions of the SYN, until the client gives up. Where
//! the client may not have one more, the call waits: for as long as its product does
//! ([`crate::component::http_client`]).

use crate::component::http_client::Connections;
use crate::component::tcp::Packet;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::HttpClient;
use crate::model::ids::ServiceId;
use crate::model::tape::{AgentId, Op};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::{Counter, MILLI};
use super::task::{DIALS, NONE, OK, PAUSED, Role, State, Task};
use super::world::World;

impl<Q: PendingEvents> World<'_, Q> {
    /// No connection is open.
    pub(super) fn build_callers(&mut self) {
        let of = |client: &HttpClient| {
            let spec = &self.model.services[client.from];
            let workers = (spec.slots * spec.workers) as usize;
            vec![Connections::new(client.to.len() as u16); workers]
        };
        self.callers = self.model.http_clients.iter().map(of).collect();
        self.build_store_connections();
    }

    /// Where the connections of a worker are.
    fn caller(&self, worker: u32, agent: AgentId) -> (usize, usize) {
        let number = usize::from(self.model.agents[usize::from(agent.0) - 1].client);
        let service = &self.services[self.model.http_clients[number].from];
        let first = self.instances[service.first_instance as usize].first_worker;
        (number, (worker - first) as usize)
    }

    pub(super) fn connections_at(&self, worker: u32, agent: AgentId) -> &Connections {
        let (client, place) = self.caller(worker, agent);
        &self.callers[client][place]
    }

    fn connections_of(&mut self, worker: u32, agent: AgentId) -> &mut Connections {
        let (client, place) = self.caller(worker, agent);
        &mut self.callers[client][place]
    }

    /// Whether a call may leave; if not it waits for a connection, at most until then.
    pub(super) fn may_call(&mut self, task: u32, agent: AgentId, until: Time) -> bool {
        let model = self.model;
        let which = &model.agents[usize::from(agent.0) - 1];
        let client = &model.http_clients[usize::from(which.client)];
        let Some(station) = client.station else { return true };
        let (now, worker) = (self.now, self.tasks[task].worker);
        self.count(station, Counter::Arrivals);
        let connections = self.connections_of(worker, agent);
        if connections.has_room(which.host, &client.config) {
            self.meters[station].pass();
            return true;
        }
        connections.wait(task, which.host);
        self.meters[station].enter(now);
        let gives_up = client.pool_timeout.map_or(Time::NEVER, |limit| now + limit);
        let until = until.min(gives_up);
        let record = &mut self.tasks[task];
        (record.state, record.since, record.deadline) = (State::ClientQueue, now, until);
        if until < Time::NEVER {
            self.at_task(until, Kind::CallTimeout, task);
        }
        false
    }

    /// A call has waited too long for a connection. Says how it fails.
    pub(super) fn waited_in_client(&mut self, task: u32) -> Failure {
        let record = self.tasks[task];
        let Op::Call { agent, .. } = self.model.tape[record.pc.0 as usize - 1] else {
            unreachable!("a call waits where the tape says so")
        };
        let client = self.model.client_of(agent);
        let own = client.pool_timeout.is_some_and(|limit| record.since + limit == self.now);
        let station = client.station.expect("only limited connections are waited for");
        self.connections_of(record.worker, agent).withdraw(task);
        self.leave(task, station);
        self.count(station, Counter::TimedOut);
        let record = &mut self.tasks[task];
        (record.state, record.deadline) = (State::Forked, Time::NEVER);
        if own { Failure::PoolTimeout } else { Failure::UpstreamTimeout }
    }

    /// Whoever waits for a connection gets those that there is room for.
    fn let_calls_go(&mut self, worker: u32, agent: AgentId) {
        let model = self.model;
        let which = &model.agents[usize::from(agent.0) - 1];
        let client = &model.http_clients[usize::from(which.client)];
        let Some(station) = client.station else { return };
        while let Some(task) = self.connections_of(worker, agent).next(&client.config) {
            let began = self.tasks[task].since;
            self.leave(task, station);
            let record = &mut self.tasks[task];
            (record.state, record.since) = (State::Forked, self.now);
            let Op::Call { agent, .. } = model.tape[record.pc.0 as usize - 1] else {
                unreachable!("a call waits where the tape says so")
            };
            let counts = model.agents[usize::from(agent.0) - 1].counts_waiting;
            self.send_off(task, if counts { began } else { self.now });
        }
    }

    /// A process ends: its calls wait no more, and its connections are closed.
    pub(super) fn drop_call(&mut self, task: u32) {
        let record = self.tasks[task];
        if record.pc.0 == 0 || record.pending & PAUSED != 0 {
            return;
        }
        let Op::Call { agent, .. } = self.model.tape[record.pc.0 as usize - 1] else { return };
        if agent == AgentId::default() {
            return;
        }
        if record.state == State::ClientQueue {
            self.connections_of(record.worker, agent).withdraw(task);
            let station = self.model.client_of(agent).station;
            return self.leave(task, station.expect("only limited connections are waited for"));
        }
        self.connection_is_free(record.worker, agent, None);
    }

    /// A call leaves over a connection of its caller.
    pub(super) fn send_by_agent(&mut self, caller: u32, call: u32, agent: AgentId) {
        let model = self.model;
        let which = &model.agents[usize::from(agent.0) - 1];
        let client = &model.http_clients[usize::from(which.client)];
        let to = client.to[usize::from(which.host)];
        let way = self.way_between(caller, call);
        let keeps = self.keeps_open(to);
        let worker = self.tasks[caller].worker;
        // Those of a process that is gone went with it.
        let started = self.workers[worker as usize].started.unwrap_or(Time::ZERO);
        let passes = model.services[to].health.passes;
        let follows = passes.is_some() || model.services[to].follows_calls;
        let forgotten = passes.map_or(keeps, |idle| idle.min(keeps));
        let lent = self.lend_to(worker, agent, (self.now, keeps + way, started));
        if follows {
            self.goes_over(call, lent.map_or(NONE, |(_, worker)| worker));
        }
        if let Some(station) = client.station {
            self.meters[station].add_busy(self.now, u32::from(which.host), MILLI);
            if lent.is_none() {
                self.count(station, Counter::Opened);
            }
        }
        let extra = match lent {
            Some((since, _)) if self.now + way >= since + forgotten => {
                return self.give_up_on_way(call, way + way, Failure::Reset);
            }
            Some(_) => {
                let passage = self.passage_of_call(caller, to, Packet::Data);
                if passage.lost {
                    return self.lose_on_way(call, passage.late);
                }
                // One that is shared may still be being opened.
                passage.late + self.connections_at(worker, agent).opens_in(which.host, self.now)
            }
            None => {
                let passage = self.passage_of_call(caller, to, Packet::Syn);
                let took = passage.late + Duration(way.0 * 2 * u64::from(client.rounds));
                match client.connect_timeout.filter(|limit| took > *limit) {
                    Some(limit) => return self.lose_on_way(call, limit),
                    None if passage.lost => return self.lose_on_way(call, passage.late),
                    None => {}
                }
                if !model.services[to].is_fronted() {
                    self.tasks[call].pending |= DIALS;
                }
                let open = self.now + took;
                self.connections_of(worker, agent).opens_at(which.host, open);
                took
            }
        };
        self.travel(call, way + extra);
        self.at_task(self.now + way + extra, Kind::Land, call);
    }

    /// How long whoever answers the calls of a service keeps idle connections.
    fn keeps_open(&self, to: ServiceId) -> Duration {
        let spec = &self.model.services[to];
        match spec.is_fronted() {
            true => spec.health.client_keep_alive,
            false => spec.keep_alive,
        }
    }

    /// The idle connection that a call is lent, since when it was idle and where it ends.
    fn lend_to(
        &mut self,
        worker: u32,
        agent: AgentId,
        times: (Time, Duration, Time),
    ) -> Option<(Time, u32)> {
        let model = self.model;
        let which = &model.agents[usize::from(agent.0) - 1];
        let client = &model.http_clients[usize::from(which.client)];
        let to = client.to[usize::from(which.host)];
        let mut connections = std::mem::take(self.connections_of(worker, agent));
        let spec = &model.services[to];
        let ends = !spec.is_fronted() && spec.function.is_none();
        let is_open = |since, end| !ends || end == NONE || self.is_open_to(to, end, since);
        let lent = connections.lend(which.host, times, &client.config, is_open);
        *self.connections_of(worker, agent) = connections;
        lent
    }

    /// The answer to a call is there: its connection is idle from now on, unless it is broken.
    pub(super) fn keep_connection(&mut self, owner: u32, call: &Task) {
        let record = self.tasks[owner];
        let Op::Call { agent, .. } = self.model.tape[record.pc.0 as usize - 1] else { return };
        if agent == AgentId::default() || record.worker == NONE {
            return;
        }
        let which = &self.model.agents[usize::from(agent.0) - 1];
        let client = &self.model.http_clients[usize::from(which.client)];
        let to = client.to[usize::from(which.host)];
        let broken: &[Failure] = match self.model.services[to].is_fronted() {
            // The balancer answers for whoever does not.
            true => &[Failure::Unreachable, Failure::Reset],
            false => &[
                Failure::Unreachable,
                Failure::Reset,
                Failure::Refused,
                Failure::InstanceLost,
                Failure::UpstreamTimeout,
            ],
        };
        let late = call.status == Failure::UpstreamTimeout as u8;
        let broken = call.status != OK && broken.iter().any(|why| *why as u8 == call.status);
        // Of a connection that is shared only the stream of a call that is late ends.
        let broken = broken && !(late && client.config.shared);
        self.connection_is_free(record.worker, agent, (!broken).then_some(call.worker));
        self.let_calls_go(record.worker, agent);
    }

    /// The agent of the caller that a call is made for, and that caller's worker; [`None`] if its connections
    /// are not kept, or nobody waits any more.
    fn agent_of(&self, call: u32) -> Option<(u32, AgentId)> {
        let record = &self.tasks[call];
        if !self.awaits(record.owner, record.owner_epoch) {
            return None;
        }
        let caller = self.tasks.peek(record.owner);
        let Op::Call { agent, .. } = self.model.tape[caller.pc.0 as usize - 1] else { return None };
        (agent != AgentId::default() && caller.worker != NONE).then_some((caller.worker, agent))
    }

    /// The worker at which the connection ends that a call has come over, if that is known.
    pub(super) fn end_of_call(&self, call: u32) -> Option<u32> {
        let (epoch, worker) = *self.carried.ends.get(call as usize)?;
        if epoch != self.tasks[call].epoch {
            return None;
        }
        if worker != NONE {
            return Some(worker);
        }
        // One that all calls share had not been accepted when this one left.
        let (caller, agent) = self.agent_of(call)?;
        let which = &self.model.agents[usize::from(agent.0) - 1];
        let client = &self.model.http_clients[usize::from(which.client)];
        let end = self.connections_at(caller, agent).line_end(which.host);
        end.filter(|end| client.config.shared && *end != NONE)
    }

    /// A worker has accepted the connection that a call has come over, which others may share.
    pub(super) fn line_goes_to(&mut self, call: u32, worker: u32) {
        let Some((caller, agent)) = self.agent_of(call) else { return };
        let which = &self.model.agents[usize::from(agent.0) - 1];
        if self.model.http_clients[usize::from(which.client)].config.shared {
            self.connections_of(caller, agent).line_ends_at(which.host, worker);
        }
    }

    /// Nobody waits for the answer to a call any more: its connection is closed, unless others share it.
    pub(super) fn close_connection(&mut self, owner: u32, agent: AgentId) {
        let worker = self.tasks[owner].worker;
        if agent != AgentId::default() && worker != NONE {
            let which = &self.model.agents[usize::from(agent.0) - 1];
            let shared = self.model.http_clients[usize::from(which.client)].config.shared;
            let end = self.connections_at(worker, agent).line_end(which.host);
            self.connection_is_free(worker, agent, end.filter(|_| shared));
            self.let_calls_go(worker, agent);
        }
    }

    /// A connection is idle, and ends there, or it is closed.
    fn connection_is_free(&mut self, worker: u32, agent: AgentId, end: Option<u32>) {
        let model = self.model;
        let which = &model.agents[usize::from(agent.0) - 1];
        let client = &model.http_clients[usize::from(which.client)];
        let now = self.now;
        self.connections_of(worker, agent).give_back(which.host, now, end, &client.config);
        if let Some(station) = client.station {
            self.meters[station].add_busy(now, u32::from(which.host), -MILLI);
            self.count(station, Counter::Served);
        }
    }

    /// How long who makes a call goes on trying to open a connection for it.
    pub(super) fn connect_time_left(&self, task: u32) -> Option<Duration> {
        let record = &self.tasks[task];
        if record.role != Role::Call || !self.awaits(record.owner, record.owner_epoch) {
            return None;
        }
        match self.model.tape[self.tasks[record.owner].pc.0 as usize - 1] {
            Op::Call { agent: AgentId(number @ 1..), .. } => {
                let limit = self.model.client_of(AgentId(number)).connect_timeout?;
                let so_far = self.now.since(self.tasks[record.owner].since);
                Some(Duration(limit.0.saturating_sub(so_far.0)))
            }
            _ => None,
        }
    }
}
