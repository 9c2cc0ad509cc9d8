//! Balancers: where requests go, and whom a balancer takes for healthy.
//!
//! A balancer may have several nodes. Each knows only what it has sent itself, and asks the targets
//! itself.

use std::collections::VecDeque;

use super::carried::{Idle, Needed};
use super::event::Kind;
use super::fault::Condition;
use super::meter::Counter;
use super::passing::Listing;
use super::service::Phase;
use super::task::{NONE, OK, Role, Task, flag};
use super::world::World;
use crate::component::balancer::health::{Checked, Judge};
use crate::component::balancer::{Balancer, Targets};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::ServiceId;
use crate::model::tape::Op;
use crate::model::{Service, UnitKind};
use crate::units::{Duration, Time};

/// One node of a balancer while it runs.
pub struct Node {
    /// Chooses instances.
    balancer: Balancer,
    /// What it knows of them.
    pub targets: Targets,
    /// By target: what its checks say.
    pub(super) checked: Vec<Checked>,
    /// By target: the check that is under way, and its epoch; [`NONE`] for none.
    pub(super) asked: Vec<(u32, u16)>,
    /// By target: when that began.
    pub(super) begun: Vec<Time>,
    /// What the targets' answers say.
    pub(super) judge: Option<Judge>,
    /// By target: idle connections to it, the one used last at the end.
    pub(super) idle: Vec<VecDeque<Idle>>,
    /// Requests that wait for a connection or for a full target, each with its target; [`NONE`] is any.
    pub(super) pending: VecDeque<(u32, u32)>,
    /// By target: how many of them wait for it, where it may be full.
    pub(super) queued: Vec<u32>,
    /// Targets that have answered, while those that wait are sent.
    pub(super) freed: Vec<u32>,
    /// By target: what connections it has needed, where those that are not needed are closed.
    pub(super) needed: Vec<Needed>,
    /// Whether its address is in the balancer's name, where each node has its own zone.
    pub(super) listing: Listing,
}

/// What a timer of a target is for.
pub(super) mod phase {
    /// A check begins.
    pub const CHECK: u32 = 0;
    /// A check has taken too long.
    pub const LATE: u32 = 1;
    /// A target that was set aside gets another chance.
    pub const BACK: u32 = 2;
    /// An instance that was taken out has had time enough.
    pub const OUT: u32 = 3;
    /// Of a service: an interval of outlier detection ends.
    pub const JUDGE: u32 = 0;
    /// Of a service: requests that will have waited too long before the next look get a timer.
    pub const SWEEP: u32 = 1;
    /// Of a service: a health checker of its name asks.
    pub const NAME: u32 = 2;
    /// Of a service: connections that were not needed are closed.
    pub const PURGE: u32 = 3;
}

impl Node {
    fn new(spec: &Service, number: u32) -> Node {
        let most = spec.slots;
        let weight = |index: u32| match spec.weights.len() {
            0 => 1,
            count => spec.weights[index as usize % count],
        };
        let weights: Vec<u32> = (0..most).map(weight).collect();
        let mut targets = Targets::new(&weights);
        for index in 0..most {
            let here = index < spec.instances && spec.is_seen_by(number, index);
            targets.set_available(index, here);
            targets.set_member(index, here);
        }
        let listing = Listing::new(targets.available() > 0);
        targets.start_slowly(spec.health.slow_start);
        let balancer = match spec.stays {
            None => Balancer::new(spec.policy),
            Some(rule) => Balancer::staying(spec.policy, rule),
        };
        let count = most as usize;
        Node {
            balancer,
            targets,
            checked: vec![Checked::UP; count],
            asked: vec![(NONE, 0); if spec.health.checks.is_some() { count } else { 0 }],
            begun: vec![Time::ZERO; if spec.health.checks.is_some() { count } else { 0 }],
            judge: spec.health.ejection.map(|rule| Judge::new(rule, most)),
            idle: vec![VecDeque::new(); if spec.health.keep_alive.is_some() { count } else { 0 }],
            pending: VecDeque::new(),
            queued: vec![0; if spec.health.slots.is_some() { count } else { 0 }],
            freed: Vec::new(),
            needed: vec![Needed::default(); if spec.health.purge.is_some() { count } else { 0 }],
            listing,
        }
    }
    /// Chooses a target for a user.
    pub(super) fn pick(&mut self, key: u64, now: Time, draw: impl FnMut() -> u64) -> Option<u32> {
        self.balancer.pick(&mut self.targets, key, now, draw)
    }
    /// A user is sent to a target that had room first.
    pub(super) fn pin(&mut self, key: u64, target: u32, now: Time) {
        self.balancer.pin(key, target, &mut self.targets, now);
    }
    /// It keeps so many idle connections, and closes those that were not used for longest.
    fn keep_idle(&mut self, most: u32) {
        while self.idle.iter().map(VecDeque::len).sum::<usize>() > most as usize {
            let oldest = |target: &usize| self.idle[*target].front().map(|idle| idle.since);
            let all = (0..self.idle.len()).filter(|target| oldest(target).is_some());
            let target = all.min_by_key(oldest).expect("there are too many");
            self.idle[target].pop_front();
            self.targets.connect(target as u32, -1);
        }
    }
    /// Where the connection of somebody ends, if it is open as far as the rule says.
    pub(super) fn kept(&self, key: u64, now: Time) -> Option<u32> {
        self.balancer.kept(key, now)
    }
    /// Somebody sends something over their connection.
    pub(super) fn uses(&mut self, key: u64, now: Time) {
        self.balancer.uses(key, now);
    }
    /// A new connection, whether or not it is kept: where it ends.
    pub(super) fn connects(
        &mut self,
        key: u64,
        kept: bool,
        now: Time,
        draw: impl FnMut() -> u64,
    ) -> Option<u32> {
        self.balancer.connects(&mut self.targets, (key, kept), now, draw)
    }
    fn is_healthy(&self, target: u32) -> bool {
        let judged = self.judge.as_ref();
        self.checked[target as usize].up
            && judged.is_none_or(|judge| !judge.all[target as usize].is_ejected())
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// The nodes of a service's balancer, with their first timers.
    pub(super) fn build_balancer(&mut self, id: ServiceId, first_instance: u32) -> Vec<Node> {
        let spec = &self.model.services[id];
        let key = self.key.named("balancer").named(&spec.name);
        for node in 0..spec.nodes {
            if let Some((checks, _)) = &spec.health.checks {
                for index in (0..spec.slots).filter(|index| spec.is_seen_by(node, *index)) {
                    // Balancers do not start all checks at once.
                    let unit = key.numbered(u64::from(node)).draw(u64::from(index)).unit();
                    let at = Time::ZERO + checks.interval.scale(unit);
                    self.time_target(at, first_instance + index, node, phase::CHECK);
                }
            }
            if let Some(crate::component::balancer::health::Ejection::Outliers(rule)) =
                spec.health.ejection
            {
                self.time_node(Time::ZERO + rule.interval, id, node, phase::JUDGE);
            }
        }
        if let Some(timeout) = spec.health.idle_timeout {
            self.time_node(Time::ZERO + timeout, id, 0, phase::SWEEP);
        }
        if let Some(every) = spec.health.purge {
            self.time_node(Time::ZERO + every, id, 0, phase::PURGE);
        }
        if let Some(station) = spec.balancer_station {
            let seen = if spec.health.zonal { 1 } else { spec.nodes };
            let targets = u64::from(seen * spec.instances);
            self.meters[station].held.set(Time::ZERO, targets);
        }
        (0..spec.nodes).map(|number| Node::new(spec, number)).collect()
    }

    pub(super) fn time_target(&mut self, at: Time, index: u32, node: u32, phase: u32) {
        self.events.push(Event::new(at, Kind::Target as u8, node << 2 | phase, index));
    }
    pub(super) fn time_sweep(&mut self, at: Time, service: ServiceId) {
        self.time_node(at, service, 0, phase::SWEEP);
    }
    pub(super) fn time_purge(&mut self, at: Time, service: ServiceId) {
        self.time_node(at, service, 0, phase::PURGE);
    }
    pub(super) fn time_name(&mut self, at: Time, service: ServiceId, checker: u32) {
        self.time_node(at, service, checker, phase::NAME);
    }
    fn time_node(&mut self, at: Time, service: ServiceId, node: u32, phase: u32) {
        self.events.push(Event::new(at, Kind::Balancer as u8, node << 2 | phase, service.0));
    }

    /// The node that a user's requests go through.
    pub(super) fn node_of(&self, service: ServiceId, user: u32) -> usize {
        match self.model.services[service].nodes {
            1 => 0,
            nodes => {
                let key = self.client.requests.named("balancer-node");
                key.draw(u64::from(user)).below(nodes) as usize
            }
        }
    }

    /// A request reaches the balancer of the service that its task is about to enter.
    pub fn land(&mut self, task: u32) {
        self.comes_first(task);
        self.choose_target(task, None);
    }

    /// A balancer chooses where a request goes: not to the target that has not answered it, if there are
    /// others. `before` is how often it was sent before, and to which target last.
    pub(super) fn choose_target(&mut self, task: u32, before: Option<(u32, u32)>) {
        let Op::Enter { service, .. } = self.model.tape[self.tasks[task].pc.0 as usize] else {
            unreachable!("a task lands where its tape says so")
        };
        let spec = &self.model.services[service];
        let (user, stream) = (self.tasks[task].user, self.tasks[task].stream);
        let (key, number) = match spec.plain {
            true => (u64::from(user), 0),
            false => (self.affinity_of(task, spec.affinity), self.node_of(service, user)),
        };
        let condition = self.condition(UnitKind::Balancer, service.0);
        if condition.down || self.stumbles(condition.errors) {
            self.count(spec.balancer_station.unwrap_or(spec.station), Counter::Rejected);
            let why = match (condition.down, spec.health.passes) {
                (true, _) => Failure::Refused,
                (false, Some(_)) => Failure::Reset,
                (false, None) => Failure::NoInstance,
            };
            return self.fail(task, why);
        }
        if !spec.plain && self.does_not_choose(task, (service, number), condition) {
            return;
        }
        let stream = before.map_or(stream, |(times, _)| stream.numbered(u64::from(times)));
        let mut draws = None;
        let draw = || draws.get_or_insert_with(|| stream.draw(u64::from(spec.numbers))).next_u64();
        let node = &mut self.services[service].nodes[number];
        let avoided = before.and_then(|(_, last)| node.targets.avoid(last));
        let picked = node.balancer.pick(&mut node.targets, key, self.now, draw);
        if let Some(avoided) = avoided {
            node.targets.readmit(avoided);
        }
        if let Some(station) = spec.balancer_station {
            self.count(station, Counter::Arrivals);
        }
        let Some(target) = picked else {
            if spec.health.slots.is_some() && self.waits_for_any(task, (service, number)) {
                return;
            }
            self.count(spec.balancer_station.unwrap_or(spec.station), Counter::Rejected);
            self.tasks[task].answered = spec.health.nobody_status;
            return self.fail(task, Failure::NoInstance);
        };
        if !spec.plain && spec.health.lines && self.pends(task, (service, number, target)) {
            return;
        }
        self.send_to_target(task, (service, number, target), (condition, true));
    }

    /// The instance at which the connection of a call ends that its caller keeps.
    fn target_of_call(&self, task: u32, service: ServiceId) -> Option<u32> {
        let record = &self.tasks[task];
        if !self.model.services[service].follows_calls || record.role != Role::Call {
            return None;
        }
        let worker = self.end_of_call(task)?;
        self.keeps_connection(worker, self.now)
            .then(|| self.workers[worker as usize].instance - self.services[service].first_instance)
    }

    /// Whether nobody chooses for a request: it goes with its connection, to a function, or is one too many.
    fn does_not_choose(
        &mut self,
        task: u32,
        (service, number): (ServiceId, usize),
        condition: Condition,
    ) -> bool {
        let spec = &self.model.services[service];
        if spec.health.passes.is_some() {
            self.pass_through(task, service, condition);
        } else if spec.function.is_some() {
            self.invoke(task, service);
        } else if let Some(target) = self.target_of_call(task, service) {
            self.send_to_target(task, (service, number, target), (condition, true));
        } else if spec.health.max_requests.is_some_and(|most| self.has_sent(service, number, most))
        {
            let station = spec.balancer_station.unwrap_or(spec.station);
            self.count(station, Counter::Arrivals);
            self.count(station, Counter::Rejected);
            self.tasks[task].answered = spec.health.overflow_status;
            self.fail(task, Failure::Overflow);
        } else {
            return false;
        }
        true
    }

    /// A request has left its target, well or badly; `lost` where there was no answer.
    #[inline(always)]
    pub(super) fn target_answered(&mut self, task: u32, index: u32, lost: bool) {
        let service = self.instances[index as usize].service;
        let spec = &self.model.services[service];
        if !spec.plain {
            return self.target_heard(task, index, lost);
        }
        let state = &mut self.services[service];
        state.nodes[0].targets.answered(index - state.first_instance);
        self.count_answered(task, spec, lost);
    }

    /// What a balancer counts of a request that has left its target.
    #[inline(always)]
    fn count_answered(&mut self, task: u32, spec: &Service, lost: bool) {
        let Some(station) = spec.balancer_station else { return };
        if lost {
            self.meters[station].count(Counter::Errors);
        } else if self.has_gone(task) && spec.is_fronted() {
            self.meters[station].count(Counter::Wasted);
        }
    }

    /// The same where its balancer remembers more.
    fn target_heard(&mut self, task: u32, index: u32, lost: bool) {
        let service = self.instances[index as usize].service;
        if self.model.services[service].function.is_some() {
            return self.execution_over(index);
        }
        let (user, status) = (self.tasks[task].user, self.tasks[task].status);
        let first = self.services[service].first_instance;
        let number = self.node_of_target(service, index - first, user);
        let spec = &self.model.services[service];
        let now = self.now;
        let latency = match self.services[service].nodes[number].balancer.listens() {
            true => self.landed_at(task, &self.tasks[task]).map(|at| now.since(at)),
            false => None,
        };
        if spec.health.charged.is_some() {
            let record = self.tasks[task];
            self.charge_request(task, &record, service);
        }
        let stays = self.stays_open(task, service);
        let state = &mut self.services[service];
        let target = index - state.first_instance;
        let node = &mut state.nodes[number];
        node.targets.answered(target);
        if let Some(latency) = latency {
            node.balancer.heard(target, latency, now);
        }
        if let Some(idle) = node.idle.get_mut(target as usize) {
            let kept = !lost && spec.health.keep_alive != Some(Duration::ZERO);
            match stays.filter(|_| kept) {
                None => node.targets.connect(target, -1),
                Some(connection) => {
                    idle.push_back(connection);
                    if let Some(most) = spec.health.most_idle {
                        node.keep_idle(most);
                    }
                }
            }
        }
        self.count_answered(task, spec, lost);
        if spec.health.lines {
            self.line_moves(service, number, target);
        } else if spec.health.max_conns.is_some() {
            self.look_at_targets(service, number);
        }
        let Some(judge) = &mut self.services[service].nodes[number].judge else { return };
        // What a target has not answered counts as the 5xx that is answered for it.
        let silent = |status: u8| Failure::ALL[status as usize].is_silence();
        let error = status != OK && (silent(status) || status_of(&self.tasks[task]) >= 500);
        if judge.answered(target, error, lost, now) {
            self.target_judged(service, number, target);
        }
    }

    /// Whether the client of a request has gone before its answer: 460 of an ALB, 499 of nginx.
    #[inline]
    fn has_gone(&self, task: u32) -> bool {
        let record = &self.tasks[task];
        record.role == Role::Attempt && record.owner == NONE && !record.has(flag::EDGE_MISS)
    }

    /// Whether a node has so many requests at its targets.
    pub(super) fn has_sent(&self, service: ServiceId, number: usize, most: u32) -> bool {
        let sent = self.services[service].nodes[number].targets.all_outstanding();
        // Without a connection a request is only pending, and counted when it gets one.
        let connected = self.model.services[service].health.max_connections;
        sent >= most && connected.is_none_or(|connections| sent < connections)
    }

    /// A target has one request more; it may be full now.
    pub(super) fn note_sent(&mut self, service: ServiceId, number: usize, target: u32) {
        if self.model.services[service].health.slots.is_some() {
            return self.note_slots(service, number);
        }
        let most = self.model.services[service].health.max_conns;
        let now = self.services[service].nodes[number].targets.get(target).outstanding;
        if most.is_some_and(|most| now >= most) {
            self.look_at_targets(service, number);
        }
    }

    /// What a balancer's node remembers of a target that it has chosen.
    pub(super) fn note_chosen(&mut self, service: ServiceId, number: usize, target: u32) {
        let now = self.now;
        let judge = self.services[service].nodes[number].judge.as_mut().expect("it judges");
        if judge.chosen(target, now) {
            self.target_judged(service, number, target);
        }
    }

    /// A target is set aside by what it answers, or is back.
    fn target_judged(&mut self, service: ServiceId, number: usize, target: u32) {
        let state = &self.services[service];
        let judge = state.nodes[number].judge.as_ref().expect("it judges");
        if let Some(at) = judge.back_at(target) {
            let index = state.first_instance + target;
            self.time_target(at, index, number as u32, phase::BACK);
        }
        self.look_at_targets(service, number);
    }

    /// Whether every node of its balancer takes an instance for well.
    pub(super) fn is_passed(&self, index: u32) -> bool {
        let state = &self.services[self.instances[index as usize].service];
        let target = (index - state.first_instance) as usize;
        state.nodes.iter().all(|node| node.checked[target].up)
    }

    /// A target is registered with its balancer, or taken out. A new one must pass a check first.
    pub(super) fn register(&mut self, index: u32, registered: bool, new: bool) {
        let service = self.instances[index as usize].service;
        let target = index - self.services[service].first_instance;
        self.services[service].registered[target as usize] = registered;
        let checks = self.model.services[service].health.checks.is_some();
        for number in 0..self.services[service].nodes.len() {
            if !self.model.services[service].is_seen_by(number as u32, target) {
                continue;
            }
            self.services[service].nodes[number].targets.set_member(target, registered);
            if new && registered && checks {
                self.services[service].nodes[number].checked[target as usize] = Checked::NEW;
                self.begin_check(index, number);
            }
            self.look_at_targets(service, number);
        }
    }

    /// Whoever is registered and healthy may be chosen; if too few are, whoever is registered.
    pub(super) fn look_at_targets(&mut self, service: ServiceId, number: usize) {
        let spec = &self.model.services[service];
        let now = self.now;
        let state = &mut self.services[service];
        let node = &mut state.nodes[number];
        let there = |target: &u32| {
            state.registered[*target as usize] && spec.is_seen_by(number as u32, *target)
        };
        let all = (0..node.targets.len()).filter(there).count();
        let good = (0..node.targets.len()).filter(there).filter(|it| node.is_healthy(*it)).count();
        node.listing.becomes(good > 0, now);
        let to_all = spec
            .health
            .fail_open
            .is_some_and(|least| good == 0 || (good as f64) < least * all as f64);
        for target in 0..node.targets.len() {
            let full = |most: u32| node.targets.get(target).outstanding >= most;
            let closes = if spec.health.slots.is_some() { None } else { spec.health.max_conns };
            let wanted =
                there(&target) && (to_all || node.is_healthy(target)) && !closes.is_some_and(full);
            if wanted == node.targets.get(target).available {
                continue;
            }
            node.targets.set_available(target, wanted);
            if wanted && !to_all && closes.is_none() {
                node.targets.begins(target, now);
            }
        }
        if let Some(station) = spec.balancer_station {
            let available = state.nodes.iter().map(|node| u64::from(node.targets.available()));
            self.meters[station].held.set(now, available.sum());
        }
        if spec.health.slots.is_some() {
            self.slots_change(service, number);
        }
    }

    /// A timer of a target.
    pub fn target_timer(&mut self, index: u32, ordinal: u32) {
        let service = self.instances[index as usize].service;
        if self.model.services[service].function.is_some() {
            return self.execution_timeout(index, ordinal);
        }
        let (number, phase) = ((ordinal >> 2) as usize, ordinal & 3);
        let target = index - self.services[service].first_instance;
        match phase {
            phase::CHECK => {
                let (checks, _) = self.model.services[service].health.checks.expect("it checks");
                self.time_target(self.now + checks.interval, index, ordinal >> 2, phase::CHECK);
                self.begin_check(index, number);
            }
            phase::LATE => {
                let (check, epoch) = self.services[service].nodes[number].asked[target as usize];
                // Answered meanwhile, and perhaps the next is under way?
                let (checks, _) = self.model.services[service].health.checks.expect("it checks");
                let begun = self.now.since(Time::ZERO + checks.timeout);
                if self.awaits(check, epoch)
                    && self.services[service].nodes[number].begun[target as usize]
                        == Time::ZERO + begun
                {
                    self.tasks[check].owner = NONE;
                    self.check_over(index, number, false);
                }
            }
            phase::BACK => {
                let node = &mut self.services[service].nodes[number];
                let judge = node.judge.as_mut().expect("it judges");
                if judge.back_at(target) == Some(self.now) {
                    judge.back(target);
                    self.look_at_targets(service, number);
                }
            }
            _ => {
                let instance = &self.instances[index as usize];
                let delay = self.model.services[service].health.deregistration_delay;
                let due = delay.is_some_and(|delay| instance.draining_since + delay == self.now);
                if instance.phase == Phase::Draining && due {
                    self.has_drained(index, ordinal >> 2);
                }
            }
        }
    }

    /// An instance is being taken out: what it has not finished in time is cut off. `by` whom is for
    /// [`World::has_drained`].
    pub(super) fn deregister(&mut self, index: u32, by: u32) {
        self.register(index, false, false);
        self.instances[index as usize].draining_since = self.now;
        let service = self.instances[index as usize].service;
        if let Some(delay) = self.model.services[service].health.deregistration_delay {
            self.time_target(self.now + delay, index, by, phase::OUT);
        }
    }

    /// A timer of a node: outliers are judged, or slow answers looked for.
    pub fn balancer_timer(&mut self, service: ServiceId, ordinal: u32) {
        if ordinal & 3 == phase::NAME {
            return self.check_name(service, ordinal >> 2);
        }
        if self.model.services[service].function.is_some() {
            return self.reclaim(service);
        }
        let (number, phase) = ((ordinal >> 2) as usize, ordinal & 3);
        match phase {
            phase::SWEEP => return self.sweep(service),
            phase::PURGE => return self.purge(service),
            _ => {}
        }
        let now = self.now;
        let judge = self.services[service].nodes[number].judge.as_mut().expect("it judges");
        let moved = judge.interval(now);
        if let Some(crate::component::balancer::health::Ejection::Outliers(rule)) =
            self.model.services[service].health.ejection
        {
            self.time_node(now + rule.interval, service, ordinal >> 2, phase::JUDGE);
        }
        if !moved.is_empty() {
            self.look_at_targets(service, number);
        }
    }
}

/// The status code that a failed task is answered with.
fn status_of(record: &Task) -> u16 {
    match record.answered {
        0 => Failure::ALL[record.status as usize].status(),
        chosen => chosen,
    }
}
