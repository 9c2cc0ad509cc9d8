//! The whole simulator: one arm per kind of event, and the tape that tasks run along.

use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::{CacheId, LinkId, ServiceId, SessionId};
use crate::model::tape::{DrawId, Op, Pc, TtlId};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::Counter;
use super::meter::Part;
use super::task::{NONE, OK, Role, State, Task, flag};
use super::world::World;

impl<Q: PendingEvents> World<'_, Q> {
    /// What happens at an event.
    #[inline]
    pub fn step(&mut self, event: Event) {
        let slot = event.slot();
        self.now = event.at();
        match Kind::from_number(event.kind()) {
            // Work ends.
            Kind::CpuDone => self.cpu_done(slot),
            Kind::HostDepart => self.host_depart(slot),
            Kind::ThreadDone => self.thread_done(slot),
            Kind::DatabaseDepart => self.database_depart(slot),
            Kind::ProcessDepart => self.process_depart(slot),
            Kind::JobDone => self.job_done(slot),
            Kind::LinkDepart => self.link_depart(LinkId(slot)),
            Kind::Resume => self.resume(slot),
            // Connections change.
            Kind::Connected => self.connected(slot, event.ordinal()),
            Kind::Closed => self.closed(slot),
            // Requests travel.
            Kind::Edge => self.edge(slot),
            Kind::Land => self.land(slot),
            Kind::Place => self.place(slot),
            Kind::Statement => self.statement(slot),
            Kind::Command => self.command(slot),
            Kind::Returned => self.returned(slot),
            Kind::Respond => self.respond(slot),
            // Timers.
            Kind::PoolTimer => self.pool_timer(slot),
            Kind::StatementTimeout => {
                if self.is_current(slot, event.ordinal(), event.at()) {
                    self.statement_timeout(slot);
                }
            }
            Kind::CallTimeout => {
                if self.is_current(slot, event.ordinal(), event.at()) {
                    self.call_timeout(slot);
                }
            }
            Kind::JobTimeout => self.job_timeout(slot, event.ordinal()),
            Kind::JobRetry => self.job_retry(slot),
            Kind::Patience => self.patience(slot, event.ordinal()),
            // Users.
            Kind::Retry => self.retry(slot),
            Kind::Think => self.think_done(slot),
            Kind::Candidate => self.candidate(),
            // The deployment around it.
            Kind::Expire => self.expire_cycle(CacheId(slot)),
            Kind::Prune => self.prune(SessionId(slot)),
            Kind::Autoscale => self.autoscale(ServiceId(slot)),
            Kind::Boot => self.boot(slot),
            Kind::Replay => self.replay(slot),
            // Our looking at it.
            Kind::Window => self.window_ends(),
        }
    }

    /// Runs the callback of a task that is on its worker's loop until it awaits something.
    /// Says whether it computes, and so keeps the loop.
    pub fn advance(&mut self, task: u32) -> bool {
        let status = self.tasks[task].status;
        if status != OK {
            self.fail(task, Failure::ALL[status as usize]);
            return false;
        }
        self.tasks[task].state = State::Running;
        loop {
            let pc = self.tasks[task].pc;
            match self.model.tape[pc.0 as usize] {
                Op::Cpu { work } => return self.compute(task, work),
                Op::Acquire { pool, route, write } => {
                    if !self.acquire(task, pool, route, write) {
                        return false;
                    }
                }
                Op::Query { .. } => {
                    self.send_statement(task);
                    return false;
                }
                Op::Release => {
                    let lease = self.tasks[task].pop_lease().expect("a release has a lease");
                    self.release(lease);
                    self.tasks[task].pc.0 += 1;
                }
                Op::Jump { to } => self.tasks[task].pc = to,
                Op::Choose { choice, draw } => {
                    let choice = &self.model.choices[choice as usize];
                    let mut draws = self.tasks[task].stream.draw(u64::from(draw.0));
                    let branch = choice.table.draw(&mut draws) as usize;
                    self.tasks[task].pc = choice.targets[branch];
                }
                Op::CacheGet { cache, .. }
                | Op::CacheSet { cache, .. }
                | Op::CacheDelete { cache, .. }
                    if self.model.caches[cache].service.is_some() =>
                {
                    if !self.use_local_cache(task, cache) {
                        return false;
                    }
                }
                Op::CacheGet { cache, .. }
                | Op::CacheSet { cache, .. }
                | Op::CacheDelete { cache, .. }
                | Op::Command { cache, .. } => {
                    if !self.send_command(task, cache) {
                        return false;
                    }
                }
                Op::CacheLand { cache, keys, key } => self.load_over(task, cache, keys, key),
                Op::Limit { .. } | Op::Guard { .. } => {
                    if !self.pass_gate(task) {
                        return false;
                    }
                }
                Op::SessionSeek { .. }
                | Op::SessionFound { .. }
                | Op::SessionEnd { .. }
                | Op::SessionKept { .. }
                | Op::SessionGone { .. } => self.session_step(task),
                Op::Refuse => {
                    let record = &mut self.tasks[task];
                    record.status = std::mem::replace(&mut record.parked, OK);
                    self.answer(task, 0.0);
                    return false;
                }
                Op::Reply { bytes, status } => {
                    if !self.reply(task, bytes, status) {
                        return false;
                    }
                }
                Op::End => {
                    self.end_of_flow(task);
                    return false;
                }
                Op::Threads { .. } => {
                    self.enter_threads(task);
                    return false;
                }
                Op::Wait { length } => {
                    let length = self.draw(length, task);
                    self.travel(task, length);
                    let record = &mut self.tasks[task];
                    (record.state, record.since) = (State::Away, self.now);
                    record.pc.0 += 1;
                    self.at_task(self.now + length, Kind::Resume, task);
                    return false;
                }
                Op::Fork { first, count } => {
                    self.fork(task, first, count);
                    return false;
                }
                Op::Scatter { pool, entry } => {
                    self.scatter(task, pool, entry);
                    return false;
                }
                Op::Call { entry, timeout, draw } => {
                    self.call(task, entry, timeout, draw);
                    return false;
                }
                Op::Enqueue { job, draw, wait } => {
                    if !self.enqueue(task, job, draw, wait) {
                        return false;
                    }
                }
                Op::Transfer { bytes } => {
                    if !self.upload(task, bytes) {
                        return false;
                    }
                }
                Op::Edge { .. } | Op::Enter { .. } => {
                    unreachable!("a task on a loop has arrived at its service")
                }
            }
        }
    }

    /// A task that is on no worker goes on: it sets out, or comes to an end.
    pub fn advance_away(&mut self, task: u32) {
        let record = self.tasks[task];
        if record.status != OK {
            return self.fail(task, Failure::ALL[record.status as usize]);
        }
        match self.model.tape[record.pc.0 as usize] {
            Op::Jump { to } => {
                self.tasks[task].pc = to;
                self.advance_away(task);
            }
            Op::Edge { .. } | Op::Enter { .. } => self.set_out(task),
            Op::Reply { bytes, status } => {
                self.reply(task, bytes, status);
            }
            Op::End => self.end_of_flow(task),
            other => unreachable!("outside of services a task cannot do {other:?}"),
        }
    }

    /// A user's task sets out for its CDN's edge or its service.
    pub fn set_out(&mut self, task: u32) {
        let record = self.tasks[task];
        let (way, kind) = match self.model.tape[record.pc.0 as usize] {
            Op::Edge { cdn, .. } => (self.way_to_edge(task, cdn), Kind::Edge),
            Op::Enter { service, .. } => {
                (self.way_to_user(task, self.model.services[service].region), Kind::Land)
            }
            other => unreachable!("a flow begins on its way, not with {other:?}"),
        };
        if way.is_zero() {
            return if kind == Kind::Edge { self.edge(task) } else { self.land(task) };
        }
        self.travel(task, way);
        self.tasks[task].since = self.now;
        self.at_task(self.now + way, kind, task);
    }

    /// Starts branches side by side on the same worker; they run before other callbacks do.
    fn fork(&mut self, task: u32, first: u32, count: u32) {
        let record = self.tasks[task];
        self.await_children(task, count as u16);
        for branch in (0..count).rev() {
            let entry = self.model.forks[(first + branch) as usize];
            let stream = record.stream.numbered(u64::from(branch));
            self.start_branch(task, entry, branch as u16, stream);
        }
    }

    /// Starts one branch a shard.
    fn scatter(&mut self, task: u32, pool: crate::model::ids::PoolId, entry: Pc) {
        let shards = self.model.databases[self.model.pools[pool].database].shards;
        let stream = self.tasks[task].stream;
        self.await_children(task, shards as u16);
        for shard in (0..shards).rev() {
            self.start_branch(task, entry, shard as u16, stream.numbered(u64::from(shard)));
        }
    }

    fn await_children(&mut self, task: u32, children: u16) {
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Forked, self.now);
        // An earlier call's timer must not take this wait for its own.
        record.deadline = Time::NEVER;
        record.pending = children;
        record.pc.0 += 1;
    }

    fn start_branch(
        &mut self,
        owner: u32,
        entry: Pc,
        branch: u16,
        stream: crate::stream::StreamKey,
    ) {
        let record = self.tasks[owner];
        let child = self.child(owner, Role::Branch, entry, branch, stream);
        let station = self.station_of_worker(record.worker);
        let state = &mut self.tasks[child];
        (state.worker, state.state, state.since) = (record.worker, State::Ready, self.now);
        self.workers[record.worker as usize].ready.push_front(child);
        self.meters[station].enter(self.now);
    }

    /// A new task that its owner waits for.
    fn child(
        &mut self,
        owner: u32,
        role: Role,
        entry: Pc,
        branch: u16,
        stream: crate::stream::StreamKey,
    ) -> u32 {
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
    fn call(&mut self, task: u32, entry: Pc, timeout: TtlId, draw: DrawId) {
        let stream = self.tasks[task].stream.numbered(u64::from(draw.0));
        let child = self.child(task, Role::Call, entry, 0, stream);
        self.await_children(task, 1);
        if let Some(limit) = self.model.span(timeout) {
            self.tasks[task].deadline = self.now + limit;
            self.at_task(self.now + limit, Kind::CallTimeout, task);
        }
        let way = self.way_between(task, child);
        self.travel(child, way);
        self.at_task(self.now + way, Kind::Land, child);
    }

    /// One way between a caller and the service that it calls.
    fn way_between(&self, caller: u32, call: u32) -> Duration {
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

    /// A call takes too long: the caller fails, the call goes on for nobody.
    fn call_timeout(&mut self, task: u32) {
        let record = &mut self.tasks[task];
        if record.state != State::Forked {
            return;
        }
        record.epoch = self.client.next_epoch(task);
        record.deadline = Time::NEVER;
        let (since, call) = (record.since, Pc(record.pc.0 - 1));
        if let Op::Call { entry, .. } = self.model.tape[call.0 as usize]
            && let Op::Enter { service, .. } = self.model.tape[entry.0 as usize]
        {
            // Whatever the call has done, its caller has waited for that service.
            let station = self.model.services[service].station;
            self.spend(task, station, Part::Wait, self.now.since(since));
        }
        self.resume_failed(task, Failure::UpstreamTimeout);
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
        let last = parent.pending == 1 || record.status != OK;
        if last && record.row != NONE && parent.row != NONE {
            self.attribution.fold(record.row, parent.row);
        }
        self.end_task(child);
        self.tasks[owner].pending -= 1;
        if record.status != OK {
            // The others go on for nobody, as with Promise.all.
            self.tasks[owner].epoch = self.client.next_epoch(owner);
            let why = match record.role {
                Role::Call => Failure::UpstreamError,
                _ => Failure::ALL[record.status as usize],
            };
            self.tasks[owner].deadline = Time::NEVER;
            return self.resume_failed(owner, why);
        }
        if last {
            self.tasks[owner].deadline = Time::NEVER;
            match record.role {
                Role::Branch => self.go_on_within(owner),
                _ => self.resume(owner),
            }
        }
    }

    /// A task goes on within the running callback of its own process.
    pub fn go_on_within(&mut self, task: u32) {
        self.microtasks.push_back(task);
    }

    /// The answer leaves. Says whether the flow goes on in this task.
    fn reply(&mut self, task: u32, bytes: crate::model::tape::Draw, status: u16) -> bool {
        let record = self.tasks[task];
        let bytes = self.model.draw_bytes(bytes, record.stream);
        if status >= 400 {
            let record = &mut self.tasks[task];
            (record.status, record.answered) = (Failure::Answered as u8, status);
        }
        let next = Pc(record.pc.0 + 1);
        let more = !matches!(self.model.tape[next.0 as usize], Op::End);
        if more {
            // The answer travels as a task of its own; this one works on, for nobody.
            let mut answer = self.tasks[task];
            answer.leases = Default::default();
            // What it leads, it goes on to load.
            answer.flags &= !flag::LEADS;
            let answer = self.new_task(answer);
            if record.role == Role::Attempt && record.owner != NONE {
                self.journeys[record.owner].task = answer;
            }
            let worker = &mut self.tasks[task];
            (worker.role, worker.owner, worker.row) = (Role::Tail, NONE, NONE);
            worker.flags &= !(flag::ADMITTED | flag::OUTSTANDING);
            (worker.pc, worker.status, worker.answered) = (next, OK, 0);
            self.answer(answer, bytes);
            return true;
        }
        self.answer(task, bytes);
        false
    }

    /// Sends a task's answer to whoever waits for it: the flow is over for this task.
    pub fn answer(&mut self, task: u32, bytes: f64) {
        let record = self.tasks[task];
        match record.role {
            Role::Attempt => self.answer_user(task, bytes),
            Role::Call => {
                let caller_waits = self.awaits(record.owner, record.owner_epoch);
                if !caller_waits || record.worker == NONE {
                    self.depart_instance(task);
                    return self.child_over(task);
                }
                let service = self.service_of_worker(record.worker);
                let hop = self.model.services[service].hop;
                let hop = self.model.draw_law(hop, record.stream, 0x0b0c);
                let way = self.way_between(record.owner, task) + hop;
                self.travel(task, way);
                self.depart_instance(task);
                self.at_task(self.now + way, Kind::Returned, task);
            }
            Role::Branch => self.child_over(task),
            Role::Tail => self.end_task(task),
        }
    }

    /// Sends the answer to the user: through the service's link, then the network.
    fn answer_user(&mut self, task: u32, bytes: f64) {
        let record = self.tasks[task];
        if let Some(cdn) = self.cdn_of_operation(&record) {
            self.meters[self.model.cdns[cdn].station].add(Counter::Bytes, bytes as u64);
        }
        if record.worker == NONE {
            return self.answer_from_edge(task);
        }
        let service = self.service_of_worker(record.worker);
        self.meters[self.model.services[service].station].add(Counter::Bytes, bytes as u64);
        let link = self.model.services[service].link;
        match link.filter(|_| bytes > 0.0) {
            Some(link) => self.enter_link(task, link, bytes),
            None => self.answer_travels(task, Duration::ZERO),
        }
    }

    /// The answer has left the service's link: the instance is rid of it, the user gets it next.
    pub fn answer_travels(&mut self, task: u32, late: Duration) {
        let service = self.service_of_worker(self.tasks[task].worker);
        let spec = &self.model.services[service];
        let stream = self.tasks[task].stream;
        let hop = self.model.draw_law(spec.hop, stream, 0x0b0c);
        self.depart_instance(task);
        self.travel(task, hop);
        self.send_home(task, spec.region, self.now + hop + late);
    }

    /// An answer sets out from a region at that time, by way of the edge that waits for it.
    pub fn send_home(&mut self, task: u32, region: crate::model::ids::RegionId, at: Time) {
        let mut way = self.way_to_user(task, region);
        let mut kind = Kind::Respond;
        let record = self.tasks[task];
        if let Some(cdn) = self.cdn_of_operation(&record).filter(|_| record.has(flag::EDGE_MISS)) {
            way = Duration(way.0.saturating_sub(self.way_to_edge(task, cdn).0));
            kind = Kind::Edge;
        } else if at + way == self.now {
            return self.respond(task);
        }
        self.travel(task, way);
        self.tasks[task].state = State::Away;
        self.at_task(at + way, kind, task);
    }

    /// The flow of a task is over.
    fn end_of_flow(&mut self, task: u32) {
        self.answer(task, 0.0);
    }

    /// The service that a worker belongs to.
    pub fn service_of_worker(&self, worker: u32) -> ServiceId {
        self.instances[self.workers[worker as usize].instance as usize].service
    }
    /// The station of the service that a worker belongs to.
    pub fn station_of_worker(&self, worker: u32) -> crate::model::ids::StationId {
        self.model.services[self.service_of_worker(worker)].station
    }
}
