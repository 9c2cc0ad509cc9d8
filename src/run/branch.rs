//! Branches and calls: tasks that another task waits for.

use super::event::Kind;
use super::meter::Part;
use super::task::{ATTEMPT, NONE, OK, PAUSED, Role, State, Task};
use super::world::World;
use crate::component::tcp::Packet;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::tape::{AgentId, Op, Pc, RetryId, TtlId};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};

impl<Q: PendingEvents> World<'_, Q> {
    /// Starts branches side by side on the same worker; they run before other callbacks do.
    pub(super) fn fork(&mut self, task: u32, first: u32, count: u32) {
        let record = self.tasks[task];
        self.await_children(task, count as u16);
        for branch in (0..count).rev() {
            let entry = self.model.forks[(first + branch) as usize];
            let stream = record.stream.numbered(u64::from(branch));
            self.start_branch(task, Role::Branch, entry, branch as u16, stream);
        }
    }

    /// Starts one branch a shard.
    pub(super) fn scatter(&mut self, task: u32, pool: crate::model::ids::PoolId, entry: Pc) {
        let shards = self.model.databases[self.model.pools[pool].database].shards;
        let stream = self.tasks[task].stream;
        self.await_children(task, shards as u16);
        for shard in (0..shards).rev() {
            let stream = stream.numbered(u64::from(shard));
            self.start_branch(task, Role::Branch, entry, shard as u16, stream);
        }
    }

    pub(super) fn await_children(&mut self, task: u32, children: u16) {
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Forked, self.now);
        // An earlier call's timer must not take this wait for its own.
        record.deadline = Time::NEVER;
        record.pending = children;
        record.pc.0 += 1;
    }

    /// Starts a task on the worker of its owner, which waits for it; it runs before other callbacks do.
    pub(super) fn start_branch(
        &mut self,
        owner: u32,
        role: Role,
        entry: Pc,
        branch: u16,
        stream: StreamKey,
    ) {
        let record = self.tasks[owner];
        let child = self.child(owner, role, entry, branch, stream);
        let station = self.station_of_worker(record.worker);
        let state = &mut self.tasks[child];
        (state.worker, state.state, state.since) = (record.worker, State::Ready, self.now);
        self.workers[record.worker as usize].ready.push_front(child);
        self.meters[station].enter(self.now);
    }

    /// A new task that its owner waits for.
    fn child(&mut self, owner: u32, role: Role, entry: Pc, branch: u16, stream: StreamKey) -> u32 {
        let record = self.tasks[owner];
        let row = if record.row == NONE { NONE } else { self.attribution.open() };
        self.new_task(Task {
            stream,
            since: self.now,
            deadline: Time::NEVER,
            pc: entry,
            owner,
            owner_epoch: record.epoch,
            ordinal: record.ordinal,
            worker: NONE,
            user: record.user,
            row,
            branch,
            role,
            state: State::Away,
            status: OK,
            parked: OK,
            ..Task::default()
        })
    }

    /// Calls another service.
    pub(super) fn call(&mut self, task: u32) {
        self.await_children(task, 1);
        self.tasks[task].work = Duration::ZERO;
        self.begin_call(task);
    }

    /// Makes a call, for the first time or once more: `pending` says which attempt it is.
    fn begin_call(&mut self, task: u32) {
        let record = &mut self.tasks[task];
        (record.since, record.deadline) = (self.now, Time::NEVER);
        let stream = self.stream_of_call(task);
        let attempt = self.tasks[task].pending & ATTEMPT;
        if !self.send_call(task, attempt, stream) {
            return self.call_fails(task, Failure::Throttled);
        }
        let Op::Call { agent, timeout, retry, looks, .. } = self.call_of(task) else {
            unreachable!("a call is made where the tape says so")
        };
        let wanted = if looks { self.wanted_until(task) } else { Time::NEVER };
        if wanted <= self.now {
            return self.call_fails(task, Failure::UpstreamTimeout);
        }
        if agent != AgentId::default() {
            let counts = self.model.agents[usize::from(agent.0) - 1].counts_waiting;
            let until = self.call_until(task, (timeout, retry), self.now);
            let until = until.filter(|(_, shared)| counts || *shared && attempt > 1);
            let until = until.map_or(Time::NEVER, |(until, _)| until);
            if !self.may_call(task, agent, until.min(wanted)) {
                return;
            }
        }
        self.send_off(task, self.now);
    }

    fn call_of(&self, task: u32) -> Op {
        self.model.tape[self.tasks[task].pc.0 as usize - 1]
    }

    /// The random numbers of the present attempt at a call.
    fn stream_of_call(&self, task: u32) -> StreamKey {
        let record = &self.tasks[task];
        let Op::Call { draw, .. } = self.call_of(task) else {
            unreachable!("a call is made where the tape says so")
        };
        let stream = record.stream.numbered(u64::from(draw.0));
        match record.pending & ATTEMPT {
            attempt @ 2.. => stream.numbered(u64::from(attempt)),
            _ => stream,
        }
    }

    /// When an attempt ends whose time runs from `began` on, and whether all attempts share that.
    fn call_until(
        &self,
        task: u32,
        (timeout, retry): (TtlId, RetryId),
        began: Time,
    ) -> Option<(Time, bool)> {
        let limit = self.model.span(timeout)?;
        let record = &self.tasks[task];
        let shared = self.model.retries.get(usize::from(retry.0));
        let shared = shared.is_some_and(|call| call.rule.shares_timeout);
        // Earlier attempts may all have waited for a connection in vain: then nothing runs yet.
        let again = shared && record.pending & ATTEMPT > 1 && record.work != Duration::ZERO;
        Some((if again { Time(record.work.0) } else { began + limit }, shared))
    }

    /// Sends a call, whose time runs from `began` on.
    pub(super) fn send_off(&mut self, task: u32, began: Time) {
        let Op::Call { entry, timeout, retry, agent, looks, .. } = self.call_of(task) else {
            unreachable!("a call is made where the tape says so")
        };
        let stream = self.stream_of_call(task);
        let child = self.child(task, Role::Call, entry, 0, stream);
        let mut deadline = Time::NEVER;
        if let Some((until, shared)) = self.call_until(task, (timeout, retry), began) {
            deadline = until;
            if shared {
                self.tasks[task].work = Duration(until.0);
            }
        }
        if looks {
            self.tasks[task].deadline = Time::NEVER;
            deadline = deadline.min(self.wanted_until(task));
        }
        self.tasks[task].deadline = deadline;
        if deadline < Time::NEVER {
            self.at_task(deadline, Kind::CallTimeout, task);
        }
        let Op::Enter { service, .. } = self.op_at(child) else {
            unreachable!("a call begins on its way to a service")
        };
        if agent != AgentId::default() {
            return self.send_by_agent(task, child, agent);
        }
        let passage = self.passage_of_call(task, service, Packet::Data);
        if passage.lost {
            return self.lose_on_way(child, passage.late);
        }
        let way = self.way_between(task, child) + passage.late;
        self.travel(child, way);
        self.at_task(self.now + way, Kind::Land, child);
    }

    /// A call has failed for good.
    fn call_fails(&mut self, task: u32, why: Failure) {
        let record = &mut self.tasks[task];
        record.epoch = self.client.next_epoch(task);
        (record.deadline, record.answered) = (Time::NEVER, 0);
        self.resume_failed(task, why);
    }

    /// One way between a caller and the service that it calls.
    pub(super) fn way_between(&self, caller: u32, call: u32) -> Duration {
        let record = &self.tasks[call];
        let from = self.service_of_worker(self.tasks[caller].worker);
        let to = match self.model.tape[record.pc.0 as usize] {
            Op::Enter { service, .. } => service,
            _ => self.service_of_worker(record.worker),
        };
        let services = &self.model.services;
        let route = self.model.route(services[from].region, services[to].region);
        self.model.draw_law(route, record.stream, 0xca11).half()
    }

    /// A called service's answer reaches its caller, who may have given up.
    pub fn returned(&mut self, task: u32) {
        self.child_over(task);
    }

    /// A call takes too long, and goes on for nobody: the caller fails, or calls once more. Or the pause
    /// before that is over.
    pub(super) fn call_timeout(&mut self, task: u32) {
        let record = &mut self.tasks[task];
        if record.state == State::ClientQueue {
            let why = self.waited_in_client(task);
            if !self.call_over(task, Some(Failure::UpstreamTimeout), 0) {
                self.call_fails(task, why);
            }
            return;
        }
        if record.state != State::Forked {
            return;
        }
        if record.pending & PAUSED != 0 {
            record.pending = (record.pending & !PAUSED) + 1;
            return self.begin_call(task);
        }
        record.epoch = self.client.next_epoch(task);
        record.deadline = Time::NEVER;
        let (since, call) = (record.since, Pc(record.pc.0 - 1));
        if let Op::Protect { breaker, .. } = self.model.tape[call.0 as usize] {
            return self.protected_timeout(task, breaker);
        }
        if let Op::Call { entry, agent, .. } = self.model.tape[call.0 as usize]
            && let Op::Enter { service, .. } = self.model.tape[entry.0 as usize]
        {
            // Whatever the call has done, its caller has waited for that service.
            let station = self.model.services[service].station;
            self.spend(task, station, Part::Wait, self.now.since(since));
            self.close_connection(task, agent);
        }
        if !self.call_over(task, Some(Failure::UpstreamTimeout), 0) {
            self.call_fails(task, Failure::UpstreamTimeout);
        }
    }

    /// A branch or call is over: its owner goes on when it was the last, or fails with the first
    /// that failed.
    pub fn child_over(&mut self, child: u32) {
        let record = self.tasks[child];
        let waits = self.awaits(record.owner, record.owner_epoch)
            && self.tasks[record.owner].ordinal == record.ordinal;
        if !waits {
            return self.end_task(child);
        }
        let owner = record.owner;
        let parent = self.tasks[owner];
        if record.role == Role::Call {
            return self.answered_call(child);
        }
        let last = parent.pending == 1 || record.status != OK;
        if record.role == Role::Protected {
            self.protected_over(child, owner);
        }
        if last && record.row != NONE && parent.row != NONE {
            self.attribution.fold(record.row, parent.row);
        }
        self.end_task(child);
        self.tasks[owner].pending -= 1;
        if record.status != OK {
            // The others go on for nobody, as with Promise.all.
            self.tasks[owner].epoch = self.client.next_epoch(owner);
            self.tasks[owner].deadline = Time::NEVER;
            return self.resume_failed(owner, Failure::ALL[record.status as usize]);
        }
        if last {
            self.tasks[owner].deadline = Time::NEVER;
            self.go_on_within(owner);
        }
    }

    /// The answer of a call is there, good or bad.
    fn answered_call(&mut self, child: u32) {
        let record = self.tasks[child];
        let owner = record.owner;
        if self.timer_runs_first(owner, self.tasks[owner].deadline) {
            return self.end_task(child);
        }
        if !self.callers.is_empty() {
            self.keep_connection(owner, &record);
        }
        if record.row != NONE && self.tasks[owner].row != NONE {
            self.attribution.fold(record.row, self.tasks[owner].row);
        }
        self.end_task(child);
        self.tasks[owner].deadline = Time::NEVER;
        let why = (record.status != OK).then(|| Failure::ALL[record.status as usize]);
        if self.call_over(owner, why, record.answered) {
            return;
        }
        match why {
            Some(_) => self.call_fails(owner, Failure::UpstreamError),
            None => self.resume(owner),
        }
    }

    /// A task goes on within the running callback of its own process.
    pub fn go_on_within(&mut self, task: u32) {
        self.microtasks.push_back(task);
    }
}
