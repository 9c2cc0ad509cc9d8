//! Between a balancer and its targets: connections, networks that are cut, answers that do not come, and
//! what a balancer does then.
//!
//! A balancer stands before its service: a cut of the service lies behind it, and is met by its
//! connect timeout, its patience with an answer, and its checks.

use super::carried::Idle;
use super::cdn::GIVEN_UP;
use super::cut::{Party, Passage};
use super::event::Kind;
use super::fault::Condition;
use super::meter::{Counter, Part};
use super::task::{DIALS, NONE, OK, Role, State, Task, flag};
use super::world::World;
use std::collections::VecDeque;

use crate::component::tcp::Packet;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::Reuse;
use crate::model::ids::ServiceId;
use crate::model::tape::{Op, Pc};
use crate::units::{Duration, Time};

/// A request that its balancer sends to another target than the first.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tried {
    /// When the balancer sent it once more, or after it had waited; zero for never.
    at: Time,
    /// Whose attempt it is: the slot may have had another tenant.
    ordinal: u32,
    /// Targets that it has been sent to before; 0 for none.
    times: u32,
    /// The next one is to count it as a request that has come.
    uncounted: bool,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A balancer sends a request to the target that it has chosen.
    #[inline(always)]
    pub(super) fn send_to_target(
        &mut self,
        task: u32,
        (service, number, target): (ServiceId, usize, u32),
        (condition, at_once): (Condition, bool),
    ) {
        let spec = &self.model.services[service];
        let state = &mut self.services[service];
        let node = &mut state.nodes[number];
        node.targets.sent(target);
        let judges = node.judge.is_some();
        let instance = state.first_instance + target;
        if judges {
            self.note_chosen(service, number, target);
        }
        if spec.health.max_conns.is_some() {
            self.note_sent(service, number, target);
        }
        let record = &mut self.tasks[task];
        record.flags |= flag::OUTSTANDING;
        record.worker = self.instances[instance as usize].first_worker;
        self.travel_to_target(task, (service, number, target), (condition, at_once));
    }

    /// A request goes from its balancer to the target that it is for; not `at_once` where a process may be
    /// dying there, of which nobody has heard yet.
    #[inline(always)]
    pub(super) fn travel_to_target(
        &mut self,
        task: u32,
        (service, number, target): (ServiceId, usize, u32),
        (condition, at_once): (Condition, bool),
    ) {
        let spec = &self.model.services[service];
        let instance = self.services[service].first_instance + target;
        let stream = self.tasks[task].stream;
        let mut hop = condition.stretch(self.model.draw_law(spec.hop, stream, 0x0b0b));
        if spec.zoned {
            hop += self.hop_between_zones(task, (service, number as u32), instance);
        }
        let mut dials =
            spec.health.connect_timeout.is_some() || self.tasks[task].pending & DIALS != 0;
        if spec.health.keep_alive.is_some() {
            dials = self.connect_target(task, service, number, target, hop);
            if dials {
                self.tasks[task].pending |= DIALS;
                hop = Duration(3 * hop.0); // a round trip of TCP before it
            }
        }
        if self.faults.is_some() {
            hop = self.held_up(task, (service, instance), dials, hop);
        }
        if hop.is_zero() && at_once {
            return self.place(task);
        }
        self.tasks[task].since = self.now;
        self.spend(task, self.network, Part::Service, hop);
        self.at_task(self.now + hop, Kind::Place, task);
    }

    /// Takes an idle connection to a target, the one used last, or opens one, which takes a round trip;
    /// says whether it does. One that the target closes before the request is there resets it.
    fn connect_target(
        &mut self,
        task: u32,
        service: ServiceId,
        number: usize,
        target: u32,
        hop: Duration,
    ) -> bool {
        let spec = &self.model.services[service];
        let keep = spec.health.keep_alive.unwrap_or_default();
        let first = spec.health.reuse != Reuse::Always && self.is_first(task);
        let user = self.tasks[task].user;
        let now = self.now;
        let node = &mut self.services[service].nodes[number];
        let idle = &mut node.idle[target as usize];
        let open = idle.len() as i32;
        // Closed by the balancer, or by the target so long ago that the balancer has heard of it.
        let known = keep.min(spec.keep_alive + hop);
        while idle.front().is_some_and(|idle| now.since(idle.since) >= known) {
            idle.pop_front();
        }
        let gone = idle.len() as i32 - open;
        node.targets.connect(target, gone);
        let last = |suits: fn(&Idle, u32) -> bool, idle: &mut VecDeque<Idle>| {
            let place = idle.iter().rposition(|it| suits(it, user))?;
            idle.remove(place)
        };
        let kept = match (spec.health.reuse, first) {
            (Reuse::Always, _) | (Reuse::Safe | Reuse::Aggressive, false) => idle.pop_back(),
            (Reuse::Safe | Reuse::Never, true) => None,
            (Reuse::Aggressive, true) => last(|it, _| it.carried > 1, idle),
            (Reuse::Never, false) => last(|it, user| it.user == user, idle),
        };
        if !node.needed.is_empty() {
            let used = node.targets.get(target).connections - idle.len() as u32;
            node.needed[target as usize].uses(used + u32::from(kept.is_none()));
        }
        self.carry(task, service, kept.map_or(0, |kept| kept.carried));
        let Some(Idle { since, worker, .. }) = kept else {
            self.services[service].nodes[number].targets.connect(target, 1);
            if let Some(station) = spec.balancer_station {
                self.count(station, Counter::Opened);
            }
            return true;
        };
        self.tasks[task].worker = worker;
        if spec.counts_connections {
            self.instances[(self.services[service].first_instance + target) as usize].coming += 1;
        }
        if now + hop >= since + spec.keep_alive {
            // It is closed while the request is on its way: the answer is a reset.
            self.tasks[task].status = Failure::Reset as u8;
        }
        false
    }

    /// Idle connections that its balancer has to a worker.
    pub(super) fn idle_connections(&self, worker: u32) -> u32 {
        let index = self.workers[worker as usize].instance;
        let service = self.workers[worker as usize].service;
        let (spec, state) = (&self.model.services[service], &self.services[service]);
        let Some(keep) = spec.health.keep_alive else { return 0 };
        let keep = keep.min(spec.keep_alive);
        let target = (index - state.first_instance) as usize;
        let open = |idle: &&Idle| self.now.since(idle.since) < keep;
        let its_own = |idle: &&Idle| idle.worker == worker;
        let nodes = state.nodes.iter();
        let idle = nodes
            .map(|node| node.idle[target].iter().rev().take_while(open).filter(its_own).count());
        idle.sum::<usize>() as u32
    }

    /// How a packet gets from the balancer of a service to its instances, or back.
    fn passage_of_target(&self, service: ServiceId, packet: Packet) -> Passage {
        let spec = &self.model.services[service];
        if !spec.is_fronted() || spec.function.is_some() {
            return Passage::FREE;
        }
        self.passage(Party::Balancer(service), Party::Service(service), packet)
    }

    /// How long a request takes to its target, or until its balancer gives up to reach it.
    fn held_up(
        &mut self,
        task: u32,
        (service, instance): (ServiceId, u32),
        dials: bool,
        hop: Duration,
    ) -> Duration {
        let packet = if dials { Packet::Syn } else { Packet::Data };
        let passage = match self.is_silent(instance) {
            true => self.passage_to_nowhere(packet),
            false => self.passage_of_target(service, packet),
        };
        let of_balancer = self.model.services[service].health.connect_timeout.filter(|_| dials);
        let by_caller = of_balancer.is_none() && dials;
        let limit = if by_caller { self.connect_time_left(task) } else { of_balancer };
        let why = if by_caller { Failure::Unreachable } else { Failure::UpstreamTimeout };
        match limit.filter(|limit| passage.late > *limit) {
            Some(limit) => {
                self.tasks[task].status = why as u8;
                limit
            }
            None if passage.lost => {
                self.tasks[task].status = why as u8;
                passage.late
            }
            None => hop + passage.late,
        }
    }

    /// How long a check takes to an instance that its balancer cannot reach at present, and whether it
    /// gets there at all.
    pub(super) fn check_in_the_way(&self, index: u32, timeout: Duration) -> Passage {
        let service = self.instances[index as usize].service;
        let passage = match self.is_silent(index) {
            true => self.passage_to_nowhere(Packet::Syn),
            false => self.passage_of_target(service, Packet::Syn),
        };
        match passage.lost || passage.late >= timeout {
            true => Passage { late: timeout, lost: true },
            false => passage,
        }
    }

    /// Whether an answer of an instance could not set out to its balancer now.
    pub(super) fn is_cut_off(&self, service: ServiceId) -> bool {
        self.passage_of_target(service, Packet::Data) != Passage::FREE
    }

    /// An answer waits, at the instance's kernel, for the network between it and its balancer. The
    /// instance is done with it; the balancer still waits, and may not for long enough.
    pub(super) fn hold_answer(&mut self, task: u32, late: Duration) -> bool {
        // What a balancer says by itself has not far to go.
        if !self.tasks[task].has(flag::ADMITTED | flag::OUTSTANDING) {
            return false;
        }
        let service = self.service_of_worker(self.tasks[task].worker);
        let passage = self.passage_of_target(service, Packet::Data);
        if passage == Passage::FREE {
            return false;
        }
        self.tasks[task].flags &= !flag::OUTSTANDING;
        self.depart_instance(task);
        let wait = passage.late + late;
        self.travel(task, wait);
        let record = &mut self.tasks[task];
        record.flags |= flag::OUTSTANDING;
        (record.state, record.deadline) = (State::Answering, self.now + wait);
        if passage.lost {
            record.status = Failure::UpstreamTimeout as u8;
        }
        self.at_task(self.now + wait, Kind::Upstream, task);
        true
    }

    /// An answer that was held up reaches its balancer.
    fn answer_gets_through(&mut self, task: u32) {
        let record = &mut self.tasks[task];
        (record.state, record.deadline) = (State::Away, Time::NEVER);
        match record.role {
            Role::Attempt => self.answer_travels(task, Duration::ZERO),
            _ => self.answer(task, 0.0),
        }
    }

    /// When the request of a task reached its balancer, or was sent to its present target, as long as
    /// somebody waits for it.
    pub(super) fn landed_at(&self, task: u32, record: &Task) -> Option<Time> {
        let again = self.tried.get(task as usize).filter(|tried| tried.is_of(record));
        match record.role {
            Role::Attempt if record.owner != NONE => {
                if let Some(again) = again {
                    return Some(again.at);
                }
                let service = self.service_of_worker(record.worker);
                let region = self.model.services[service].region;
                let way = self.way_from_home(record, region);
                let set_up = self.set_up_took(record, region);
                Some(self.journeys[record.owner].started + way + set_up)
            }
            Role::Call if self.awaits(record.owner, record.owner_epoch) => {
                if let Some(again) = again {
                    return Some(again.at);
                }
                let services = &self.model.services;
                let from = self.service_of_worker(self.tasks[record.owner].worker);
                let to = self.service_of_worker(record.worker);
                let route = self.model.route(services[from].region, services[to].region);
                let way = self.model.draw_law(route, record.stream, 0xca11).half();
                Some(self.tasks[record.owner].since + way)
            }
            _ => None,
        }
    }

    /// Looks for requests that will have waited too long before the next look, and times them to the
    /// tick. Most are answered long before, and never need a timer.
    pub(super) fn sweep(&mut self, service: ServiceId) {
        let timeout = self.model.services[service].health.idle_timeout.expect("it has one");
        self.time_sweep(self.now + timeout, service);
        for slot in 0..self.tasks.capacity() as u32 {
            let record = *self.tasks.peek(slot);
            let out = record.state != State::Free && record.has(flag::OUTSTANDING);
            if !out || self.service_of_worker(record.worker) != service {
                continue;
            }
            if let Some(at) = self.landed_at(slot, &record).filter(|at| *at + timeout > self.now) {
                self.at_task(at + timeout, Kind::Upstream, slot);
            }
        }
    }

    /// A request may have waited too long for its target: the next one is asked, or the answer is 504.
    /// Or an answer that was held up gets through.
    pub fn upstream_timer(&mut self, task: u32, ordinal: u32) {
        let record = *self.tasks.peek(task);
        if record.state == State::Free || record.ordinal != ordinal {
            return;
        }
        if record.state == State::Pending {
            return self.pending_timer(task, record.deadline);
        }
        if record.state == State::Answering && record.worker != NONE && record.deadline == self.now
        {
            return self.answer_gets_through(task);
        }
        if self.origin_is_late(task) || !record.has(flag::OUTSTANDING) {
            return;
        }
        let index = self.workers[record.worker as usize].instance;
        let service = self.instances[index as usize].service;
        let timeout = self.model.services[service].health.idle_timeout;
        let due = self.landed_at(task, &record).zip(timeout).map(|(at, timeout)| at + timeout);
        if due != Some(self.now) {
            return;
        }
        let goes_on = self.may_try_next(task, index, true);
        let messenger = self.part_from_target(task, index);
        if let Some(station) = self.model.services[service].balancer_station {
            self.count(station, Counter::TimedOut);
        }
        match goes_on {
            true => self.begin_anew(task, messenger, index),
            false => self.reset(messenger, messenger, Failure::UpstreamTimeout, None),
        }
    }

    /// Nobody waits any more for what a target makes of a request; who has asked is told by another task.
    pub(super) fn part_from_target(&mut self, task: u32, index: u32) -> u32 {
        let record = *self.tasks.peek(task);
        // What it has of the process stays with what goes on there.
        let messenger = self.new_task(Task { leases: Default::default(), permit: 0, ..record });
        if Q::TELLS {
            self.tell_split(task, messenger);
        }
        self.tasks[messenger].flags &= !flag::LEADS;
        let row = record.row;
        let state = &mut self.tasks[task];
        state.flags &= !flag::OUTSTANDING;
        (state.owner, state.row) = (NONE, NONE);
        if record.has(flag::EDGE_MISS) {
            state.owner_epoch = GIVEN_UP; // its edge has the messenger's answer
        }
        if record.role == Role::Call {
            state.epoch = self.client.next_epoch(task);
        }
        debug_assert_eq!(self.tasks[messenger].row, row);
        self.tasks[messenger].flags &= !(flag::ADMITTED | flag::OUTSTANDING);
        self.target_answered(task, index, true);
        messenger
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A balancer sends a request once more, at such a time.
    pub(super) fn note_tried(&mut self, task: u32, times: u32, uncounted: bool, at: Time) {
        let slot = task as usize;
        if self.tried.len() <= slot {
            self.tried.resize(slot + 1, Tried::default());
        }
        let ordinal = self.tasks[task].ordinal;
        self.tried[slot] = Tried { at, ordinal, times, uncounted };
    }
}

impl Tried {
    fn is_of(&self, record: &Task) -> bool {
        self.at > Time::ZERO && self.ordinal == record.ordinal
    }
}

/// One target after the other.
impl<Q: PendingEvents> World<'_, Q> {
    /// Which targets a request was sent to before its present one, if any.
    fn tried_before(&self, task: u32) -> Option<&Tried> {
        let tried = self.tried.get(task as usize)?;
        tried.is_of(&self.tasks[task]).then_some(tried)
    }

    /// A request comes to its balancer for the first time.
    #[inline]
    pub(super) fn comes_first(&mut self, task: u32) {
        if let Some(tried) = self.tried.get_mut(task as usize) {
            *tried = Tried::default();
        }
    }

    /// How often a request was sent before its present target.
    pub(super) fn sent_before(&self, task: u32) -> u32 {
        self.tried_before(task).map_or(0, |tried| tried.times)
    }

    /// Whether a request that comes to an instance has been counted as one that came to its service.
    #[inline]
    pub(super) fn is_counted(&self, task: u32) -> bool {
        !self.tried.is_empty() && self.tried_before(task).is_some_and(|tried| !tried.uncounted)
    }

    /// Whether a request may go to another target than the one that has not answered it. One that was
    /// `sent` may have had its effect: it is repeated only if that does no harm
    /// (`ngx_http_upstream_next`, NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT).
    fn may_try_next(&self, task: u32, index: u32, sent: bool) -> bool {
        let service = self.instances[index as usize].service;
        let spec = &self.model.services[service];
        let tries = self.sent_before(task) + 1;
        let role = self.tasks[task].role;
        spec.health.next_upstream
            && matches!(role, Role::Attempt | Role::Call)
            && tries < spec.max_instances
            && (!sent || self.may_be_repeated(task))
    }

    /// Whether what a request asks for may be done twice.
    pub(super) fn may_be_repeated(&self, task: u32) -> bool {
        let record = &self.tasks[task];
        match record.role {
            Role::Attempt => self.model.operations[record.operation()].idempotent,
            Role::Call if self.awaits(record.owner, record.owner_epoch) => {
                self.call_may_be_repeated(record.owner)
            }
            _ => false,
        }
    }

    /// Whether the call that a task stands behind may be made twice.
    pub(super) fn call_may_be_repeated(&self, caller: u32) -> bool {
        let call = Pc(self.tasks[caller].pc.0 - 1);
        self.model.once.binary_search(&call).is_err()
    }

    /// A request has not got an answer from a target: it goes to the next one, or has failed.
    pub(super) fn not_answered(&mut self, task: u32, index: u32, why: Failure) {
        let sent = why == Failure::Reset;
        if !sent && self.connects_again(task, index, why) {
            return;
        }
        if !self.may_try_next(task, index, sent) {
            let health = &self.model.services[self.instances[index as usize].service].health;
            self.tasks[task].answered = match why {
                Failure::UpstreamTimeout => health.unreached_status,
                Failure::Reset => health.broken_status,
                _ => health.refused_status,
            };
            return self.fail(task, why);
        }
        let record = &mut self.tasks[task];
        record.flags &= !flag::OUTSTANDING;
        record.status = why as u8;
        self.target_answered(task, index, true);
        let record = &mut self.tasks[task];
        (record.status, record.pending) = (OK, 0);
        self.try_next(task, task, index, false);
    }

    /// What was sent to a target is sent to another from its beginning.
    fn begin_anew(&mut self, before: u32, task: u32, index: u32) {
        let record = self.tasks[task];
        let mut pc = match record.role {
            Role::Attempt => self.model.operations[record.operation()].entry,
            _ => match self.model.tape[self.tasks[record.owner].pc.0 as usize - 1] {
                Op::Call { entry, .. } => entry,
                other => unreachable!("{other:?} is not called"),
            },
        };
        loop {
            pc = match self.model.tape[pc.0 as usize] {
                Op::Jump { to } => to,
                Op::Edge { .. } => Pc(pc.0 + 1),
                _ => break,
            };
        }
        let service = self.instances[index as usize].service;
        let spec = &self.model.services[service];
        let station = spec.balancer_station.unwrap_or(spec.station);
        let fresh = record.role == Role::Attempt
            && record.owner != NONE
            && self.journeys[record.owner].fresh;
        let since = match record.role {
            Role::Attempt => self.journeys[record.owner].intended,
            _ => self.tasks[record.owner].since,
        };
        if record.row != NONE {
            self.attribution.lose(record.row, station, self.now.since(since));
        }
        if record.role == Role::Attempt {
            self.journeys[record.owner].task = task;
        }
        let anew = &mut self.tasks[task];
        anew.begin_anew(pc, fresh);
        anew.since = self.now;
        // Another instance gets the request.
        self.try_next(before, task, index, true);
    }

    pub(super) fn try_next(&mut self, before: u32, task: u32, index: u32, uncounted: bool) {
        let times = self.sent_before(before) + 1;
        let last = index - self.services[self.instances[index as usize].service].first_instance;
        self.note_tried(task, times, uncounted, self.now);
        self.choose_target(task, Some((times, last)));
    }
}
