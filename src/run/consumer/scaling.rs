//! How many processes a group has: autoscalers by lag, starts, and who is told to end.
//!
//! A new member of a group of Kafka asks to join, and one that finishes leaves, so that each begins a
//! rebalance. One that exits without a word keeps its partitions until its session ends. With KEDA the
//! Horizontal Pod Autoscaler works from one member on; an operator starts the first and stops the last.

use std::collections::VecDeque;

use super::super::meter::Counter;
use super::super::scaling::{KNOWN, POLLED, Scaler, as_pods, bounds_at};
use super::super::stream::purpose;
use super::super::world::World;
use super::HandlerState;
use crate::component::hpa::Pods;
use crate::kernel::PendingEvents;
use crate::model::ids::ConsumerId;
use crate::model::{Consumer, Metric, OnSigterm, Rule, Rules, Scaling, UnitKind};
use crate::units::Time;

/// The number of an autoscaler's event when a period is over.
const LOOK: u32 = 0;

/// The autoscaler of a group at work.
pub(super) struct Crew {
    scaler: Option<Scaler>,
    /// Processes wanted.
    wanted: u32,
    /// What periods were like that it does not know of yet.
    looks: VecDeque<Vec<f64>>,
    /// When there was last something to do, as far as KEDA has seen.
    active: Option<Time>,
}

impl Crew {
    pub(super) fn new(spec: &Consumer) -> Crew {
        let scaler = spec.autoscale.as_ref().map(|it| Scaler::new(&it.rules, spec.at_start));
        Crew { scaler, wanted: spec.at_start, looks: VecDeque::new(), active: None }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    pub(super) fn start_group_scaler(&mut self, id: ConsumerId) {
        let Some(scaling) = &self.model.consumers[id].autoscale else { return };
        self.time_stream(Time::ZERO + scaling.period, purpose::SCALE, LOOK, id.0);
        if let Some(keda) = &scaling.keda {
            self.time_stream(Time::ZERO + keda.polling, purpose::SCALE, POLLED, id.0);
        }
        for appointment in &scaling.schedule {
            // Whatever the metric says, the bounds hold from then on.
            self.time_stream(Time::ZERO + appointment.at, purpose::SCALE, POLLED + 1, id.0);
        }
    }

    /// An autoscaler has something to do.
    pub(in crate::run) fn group_scaler_due(&mut self, id: ConsumerId, number: u32) {
        let model = self.model;
        let scaling = model.consumers[id].autoscale.as_ref().expect("only such groups look");
        match number {
            LOOK => {
                let values = self.group_values(id, scaling);
                self.time_stream(self.now + scaling.period, purpose::SCALE, LOOK, id.0);
                if scaling.delay.is_zero() {
                    return self.scale_group_by(id, scaling, &values);
                }
                self.streams.groups[id].crew.looks.push_back(values);
                self.time_stream(self.now + scaling.delay, purpose::SCALE, KNOWN, id.0);
            }
            KNOWN => {
                let looks = &mut self.streams.groups[id].crew.looks;
                let values = looks.pop_front().expect("a period has ended");
                self.scale_group_by(id, scaling, &values);
            }
            POLLED => self.poll_group(id, scaling),
            _ => {
                let (min, max) = bounds_at(scaling, self.now, model.consumers[id].members);
                let wanted = self.streams.groups[id].crew.wanted.clamp(min, max);
                self.scale_group_to(id, scaling, wanted);
            }
        }
    }

    /// Messages that a group has not committed or acknowledged.
    fn lag_of_group(&self, id: ConsumerId) -> f64 {
        let group = &self.streams.groups[id];
        let in_logs: usize = group.logs.iter().map(|log| log.entries.len()).sum();
        let pending = match self.model.consumers[id].rules {
            // What a group of Kafka has handed out is in its log until it is committed.
            Rules::Kafka(_) | Rules::Kinesis(_) => 0,
            _ => {
                let slots = 0..self.streams.handlers.capacity() as u32;
                let all = slots.map(|slot| self.streams.handlers.peek(slot));
                all.filter(|it| it.group == id && it.state != HandlerState::Free).count()
            }
        };
        (in_logs + pending) as f64
    }

    /// Members that run, and those that start.
    fn processes_of(&self, id: ConsumerId) -> (u32, u32) {
        let members = &self.streams.groups[id].members;
        let running = members.iter().filter(|it| !it.off && !it.leaves && !it.told).count();
        let starting = members.iter().filter(|it| it.starting).count();
        (running as u32, starting as u32)
    }

    /// What the metrics show for each member that runs.
    fn group_values(&self, id: ConsumerId, scaling: &Scaling) -> Vec<f64> {
        let (running, _) = self.processes_of(id);
        let group = &self.streams.groups[id];
        let partitions = group.logs.len() as f64;
        let kafka = matches!(self.model.consumers[id].rules, Rules::Kafka(_));
        let lag = self.lag_of_group(id);
        let value = |(metric, _): &(Metric, Rule)| match metric {
            Metric::Lag(each) => {
                // KEDA wants no member that would have no partition (kafka_scaler.go, allowIdleConsumers).
                let most = partitions * each;
                let lag = if kafka && scaling.keda.is_some() { lag.min(most) } else { lag };
                lag / f64::from(running.max(1)) / each
            }
            _ => 0.0,
        };
        scaling.rules.iter().map(value).collect()
    }

    fn scale_group_by(&mut self, id: ConsumerId, scaling: &Scaling, values: &[f64]) {
        let (ready, unready) = self.processes_of(id);
        let wanted = self.streams.groups[id].crew.wanted;
        if scaling.keda.is_some() && wanted == 0 {
            return; // the Horizontal Pod Autoscaler leaves what is scaled to nothing alone
        }
        let pods = |((metric, rule), value): (&(Metric, Rule), &f64)| {
            let plain =
                Pods { metric: *value, target: 1.0, ready, unready, missing: 0, assumed: 0.0 };
            match rule {
                Rule::Hpa(_, target) => Pods { target: *target, ..as_pods(metric, plain, 0) },
                _ => plain,
            }
        };
        let metrics: Vec<Pods> = scaling.rules.iter().zip(values).map(pods).collect();
        let now = self.now;
        let scaler = self.streams.groups[id].crew.scaler.as_mut().expect("built with the group");
        let asked = scaler.observe(now, &metrics, wanted);
        let (min, max) = bounds_at(scaling, now, self.model.consumers[id].members);
        let to = asked.unwrap_or(wanted).clamp(min, max);
        if asked.is_some() || to != wanted {
            self.scale_group_to(id, scaling, to);
        }
    }

    /// The operator of KEDA looks whether there are messages.
    fn poll_group(&mut self, id: ConsumerId, scaling: &Scaling) {
        let keda = scaling.keda.as_ref().expect("only KEDA polls");
        self.time_stream(self.now + keda.polling, purpose::SCALE, POLLED, id.0);
        let active = self.lag_of_group(id) > keda.activation;
        let crew = &mut self.streams.groups[id].crew;
        if let Some(to) = keda.polled(self.now, active, crew.wanted, &mut crew.active) {
            self.scale_group_to(id, scaling, to);
        }
    }

    fn scale_group_to(&mut self, id: ConsumerId, scaling: &Scaling, wanted: u32) {
        let first = self.model.consumers[id].first_member;
        while self.streams.groups[id].crew.wanted < wanted {
            let members = &mut self.streams.groups[id].members;
            let free = members.iter().position(|it| it.off && !it.starting);
            let Some(member) = free else { break };
            members[member].starting = true;
            let lives = members[member].lives % purpose::NUMBERS;
            self.streams.groups[id].crew.wanted += 1;
            let ready = self.now + scaling.start;
            self.time_stream(ready, purpose::READY, lives, first + member as u32);
        }
        while self.streams.groups[id].crew.wanted > wanted {
            let members = &self.streams.groups[id].members;
            let up = members.iter().rposition(|it| !it.off && !it.leaves && !it.told);
            let Some(member) = up else { break };
            self.streams.groups[id].crew.wanted -= 1;
            self.retire_member(id, member as u32);
        }
        let reached = self.streams.groups[id].crew.wanted;
        let scaler = self.streams.groups[id].crew.scaler.as_mut();
        scaler.expect("it has just decided").settle(reached);
    }

    /// A process is ready: it joins its group.
    pub(in crate::run) fn member_is_ready(&mut self, number: u32, lives: u32) {
        let (id, member) = self.member_place(number);
        let who = &mut self.streams.groups[id].members[member as usize];
        if !who.starting || who.lives % purpose::NUMBERS != lives {
            return;
        }
        (who.starting, who.off) = (false, false);
        if !self.condition(UnitKind::Member, number).down {
            self.restart_member(number);
        }
    }

    /// A process is told to end.
    fn retire_member(&mut self, id: ConsumerId, member: u32) {
        let spec = &self.model.consumers[id];
        let number = spec.first_member + member;
        let who = &mut self.streams.groups[id].members[member as usize];
        let lives = who.lives % purpose::NUMBERS;
        match spec.on_sigterm {
            OnSigterm::Exit => return self.end_member(id, member),
            OnSigterm::Finish => who.leaves = true,
            OnSigterm::Ignore => who.told = true,
        }
        self.time_stream(self.now + spec.grace, purpose::KILL, lives, number);
        self.member_may_leave(id, member);
    }

    /// A process has had its time.
    pub(in crate::run) fn member_is_killed(&mut self, number: u32, lives: u32) {
        let (id, member) = self.member_place(number);
        let who = &self.streams.groups[id].members[member as usize];
        if (who.leaves || who.told) && who.lives % purpose::NUMBERS == lives {
            self.end_member(id, member);
        }
    }

    /// A process is gone, with what it has.
    fn end_member(&mut self, id: ConsumerId, member: u32) {
        let number = self.model.consumers[id].first_member + member;
        self.kill_member(number);
        self.is_off(id, member);
    }

    fn is_off(&mut self, id: ConsumerId, member: u32) {
        self.streams.groups[id].forget_failures(member);
        let who = &mut self.streams.groups[id].members[member as usize];
        (who.off, who.down, who.leaves, who.told) = (true, true, false, false);
        who.lives = who.lives.wrapping_add(1);
        if let Rules::RedisStream(_) = self.model.consumers[id].rules {
            self.hand_out(id);
        }
    }

    /// A process that has been told to end, and finishes, is gone when it has nothing left: it commits what
    /// it has done and leaves its group.
    pub(super) fn member_may_leave(&mut self, id: ConsumerId, member: u32) {
        let spec = &self.model.consumers[id];
        let group = &mut self.streams.groups[id];
        let who = &group.members[member as usize];
        if !who.leaves || who.at_work > 0 || who.away {
            return;
        }
        let station = spec.station;
        if let Rules::RedisStream(_) | Rules::Kinesis(_) = spec.rules {
            self.meters[station].held.add(self.now, -1);
            self.worker_dies(id, member);
            return self.is_off(id, member);
        }
        for log in group.logs.iter_mut().filter(|log| log.owner == member) {
            let taken = std::mem::take(&mut log.taken);
            log.entries.drain(..taken);
            log.batch = 0;
        }
        if group.coordinator.has(member) && self.has_names(id) {
            return self.end_member(id, member); // it does not say so
        }
        let group = &mut self.streams.groups[id];
        if group.coordinator.has(member) {
            let joined = group.coordinator.has_joined(member);
            let begins = group.coordinator.leave(member);
            if joined && !self.is_cooperative(id) {
                self.meters[station].held.add(self.now, 1); // it is out of the count already
            }
            self.count(station, Counter::Closed);
            self.lose_membership(id, member);
            self.is_off(id, member);
            return match begins {
                true => self.rebalance_begins(id),
                false => self.rebalance_may_end(id),
            };
        }
        self.is_off(id, member);
    }
}
