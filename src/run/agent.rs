//! Connections that callers open for their calls, and keep.
//!
//! A call takes the idle connection of its worker that was used last. If there is none it opens one: a
//! round trip of TCP, those of TLS, and in a network that is cut the repetitions of the SYN, until the
//! client gives up.

use std::collections::VecDeque;

use crate::component::tcp::Packet;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::ServiceId;
use crate::model::tape::{AgentId, Op};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::task::{DIALS, NONE, OK, Role, Task};
use super::world::World;

impl<Q: PendingEvents> World<'_, Q> {
    /// No connection is open.
    pub(super) fn build_agents(&mut self) {
        let all = self.workers.len() * self.model.agents.len();
        self.idle_connections = vec![VecDeque::new(); all];
    }

    fn idle_at(&mut self, worker: u32, agent: AgentId) -> &mut VecDeque<(Time, u32)> {
        let place = worker as usize * self.model.agents.len() + usize::from(agent.0) - 1;
        &mut self.idle_connections[place]
    }

    /// A call leaves over a connection of its caller.
    pub(super) fn send_by_agent(&mut self, caller: u32, call: u32, agent: AgentId) {
        let spec = &self.model.agents[usize::from(agent.0) - 1];
        let way = self.way_between(caller, call);
        let keeps = self.keeps_open(spec.to);
        let passes = self.model.services[spec.to].health.passes;
        let forgotten = passes.map_or(keeps, |idle| idle.min(keeps));
        let taken = self.take_connection(caller, agent, keeps + way);
        if passes.is_some() {
            self.goes_over(call, taken.map_or(NONE, |(_, instance)| instance));
        }
        let extra = match taken {
            Some((since, _)) if self.now + way >= since + forgotten => {
                return self.give_up_on_way(call, way + way, Failure::Reset);
            }
            Some(_) => {
                let passage = self.passage_of_call(caller, spec.to, Packet::Data);
                if passage.lost {
                    return self.lose_on_way(call, passage.late);
                }
                passage.late
            }
            None => {
                let passage = self.passage_of_call(caller, spec.to, Packet::Syn);
                let took = passage.late + Duration(way.0 * 2 * u64::from(spec.rounds));
                match spec.connect_timeout.filter(|limit| took > *limit) {
                    Some(limit) => return self.lose_on_way(call, limit),
                    None if passage.lost => return self.lose_on_way(call, passage.late),
                    None => {}
                }
                if !self.model.services[spec.to].is_fronted() {
                    self.tasks[call].pending |= DIALS;
                }
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

    /// Takes the idle connection used last, of which none is older than is `known` to be closed; says
    /// since when it was idle, and where it ends.
    fn take_connection(
        &mut self,
        caller: u32,
        agent: AgentId,
        known: Duration,
    ) -> Option<(Time, u32)> {
        let (now, worker) = (self.now, self.tasks[caller].worker);
        let spec = &self.model.agents[usize::from(agent.0) - 1];
        let keep = spec.keep_alive.min(known);
        // Those of a process that is gone went with it.
        let started = self.workers[worker as usize].started.unwrap_or(Time::ZERO);
        let idle = self.idle_at(worker, agent);
        while idle.front().is_some_and(|(since, _)| now.since(*since) >= keep || *since < started) {
            idle.pop_front();
        }
        let mut taken = idle.pop_back();
        if self.model.services[spec.to].health.passes.is_some() {
            while taken.is_some_and(|(_, instance)| !self.is_open_to(spec.to, instance)) {
                taken = self.idle_at(worker, agent).pop_back();
            }
        }
        taken
    }

    /// A call has ended: its connection is idle from now on, unless it is broken.
    pub(super) fn keep_connection(&mut self, owner: u32, call: &Task) {
        let record = self.tasks[owner];
        let Op::Call { agent, .. } = self.model.tape[record.pc.0 as usize - 1] else { return };
        if agent == AgentId::default() || record.worker == NONE {
            return;
        }
        let spec = &self.model.agents[usize::from(agent.0) - 1];
        let broken: &[Failure] = match self.model.services[spec.to].is_fronted() {
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
        if call.status != OK && broken.iter().any(|why| *why as u8 == call.status) {
            return;
        }
        let end = match call.worker {
            NONE => NONE,
            worker => self.workers[worker as usize].instance,
        };
        let (now, most) = (self.now, spec.most_idle);
        let idle = self.idle_at(record.worker, agent);
        if idle.len() < most {
            idle.push_back((now, end));
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
                let limit = self.model.agents[usize::from(number) - 1].connect_timeout?;
                let so_far = self.now.since(self.tasks[record.owner].since);
                Some(Duration(limit.0.saturating_sub(so_far.0)))
            }
            _ => None,
        }
    }
}
