//! The whole simulator: one arm per kind of event, and the tape that tasks run along.

use super::event::Kind;
use super::scaling::{KNOWN, POLLED};
use super::task::{OK, State, flag};
use super::world::World;
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::{
    CacheId, CdnId, DeployId, LinkId, PoolerId, QueueId, RegionId, ServiceId, SessionId, StoreId,
};
use crate::model::tape::{Draw, Op, Pc};
use crate::units::Duration;

impl<Q: PendingEvents> World<'_, Q> {
    /// What happens at an event.
    #[inline]
    pub fn step(&mut self, event: Event) {
        let slot = event.slot();
        self.now = event.at();
        match Kind::from_number(event.kind()) {
            // Work ends.
            Kind::CpuDone => self.cpu_done(slot),
            Kind::Others => self.others(slot, event.ordinal()),
            Kind::HostDepart => self.host_depart(slot),
            Kind::ThreadDone => self.thread_done(slot),
            Kind::DatabaseDepart => self.database_depart(slot),
            Kind::ProcessDepart => self.process_depart(slot),
            Kind::JobDone => self.job_done(slot, event.ordinal()),
            Kind::StoreDepart => self.store_depart(StoreId(slot)),
            Kind::LinkDepart => self.link_depart(LinkId(slot / 2), slot as usize % 2),
            Kind::PoolerDone => self.pooler_done(PoolerId(slot)),
            Kind::Stored => self.stored(slot),
            Kind::Resume => self.resume(slot),
            // Connections change.
            Kind::Connected => self.connected(slot, event.ordinal()),
            Kind::Closed => self.closed(slot, event.ordinal()),
            Kind::Severed => self.severed(slot, event.ordinal()),
            // Requests travel.
            Kind::Edge => self.edge(slot),
            Kind::Land => self.land(slot),
            Kind::Place => self.place(slot),
            Kind::AtPooler => self.at_pooler(slot),
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
            Kind::LockTimer => self.lock_timer(slot, event.ordinal()),
            Kind::QueryTimeout => self.query_timeout(slot, event.ordinal()),
            Kind::CallTimeout => {
                if self.is_current(slot, event.ordinal(), event.at()) {
                    self.call_timeout(slot);
                }
            }
            Kind::PlaceTimeout => {
                if self.is_current(slot, event.ordinal(), event.at()) {
                    self.place_timeout(slot);
                }
            }
            Kind::Upstream => self.upstream_timer(slot, event.ordinal()),
            Kind::JobTimeout => self.job_timeout(slot, event.ordinal()),
            Kind::JobRetry => self.job_retry(slot),
            Kind::Patience => self.patience(slot, event.ordinal()),
            // Users.
            Kind::Retry => self.retry(slot),
            Kind::Think => self.think_done(slot),
            Kind::Poll => self.poll_job(slot),
            Kind::Candidate => self.candidate(),
            // The deployment around it.
            Kind::Target => self.target_timer(slot, event.ordinal()),
            Kind::Balancer => self.balancer_timer(ServiceId(slot), event.ordinal()),
            Kind::Origins => self.sweep_edges(CdnId(slot)),
            Kind::Probe => self.probe_event(slot, event.ordinal()),
            Kind::Expire => self.expire_cycle(CacheId(slot)),
            Kind::CacheNode => self.cache_node_event(slot, event.ordinal()),
            Kind::CacheClient => self.client_event(slot, event.ordinal()),
            Kind::Prune => self.prune(SessionId(slot), event.ordinal()),
            Kind::Stalled => self.queue_timer(QueueId(slot), event.ordinal()),
            Kind::Autoscale => match (self.crew_at(slot), event.ordinal()) {
                (Some(queue), KNOWN) => self.scale_workers_late(queue),
                (Some(queue), POLLED) => self.poll_workers(queue),
                (Some(queue), _) => self.autoscale_workers(queue),
                (None, KNOWN) => self.scale_late(ServiceId(slot)),
                (None, _) => self.autoscale(ServiceId(slot)),
            },
            Kind::Appointment => match self.crew_at(slot) {
                Some(queue) => self.keep_workers_appointment(queue),
                None => self.keep_appointment(ServiceId(slot)),
            },
            Kind::Boot => match slot.checked_sub(self.instances.len() as u32) {
                Some(number) => self.worker_due(number, event.ordinal()),
                None => self.boot(slot),
            },
            Kind::Fault => self.fault(slot, event.ordinal() == 1),
            Kind::Kill => self.kill_instance(slot),
            Kind::Restart => self.down_event(slot, event.ordinal()),
            Kind::Deploy => self.deploy(DeployId(slot)),
            Kind::Leaving => self.leaving(slot, event.ordinal()),
            Kind::Socket => self.socket_event(slot, event.ordinal()),
            Kind::Stream => self.stream_event(slot, event.ordinal()),
            Kind::Replay => self.replay(slot),
            Kind::Maintenance => self.maintenance_event(slot, event.ordinal()),
            Kind::NodeTimer => self.node_timer(slot, event.ordinal()),
            // Our looking at it.
            Kind::Window => self.window_ends(),
        }
    }

    /// Runs the callback of a task that is on its worker's loop until it awaits something.
    /// Says whether it computes, and so keeps the loop.
    pub fn advance(&mut self, task: u32) -> bool {
        let status = self.tasks[task].status;
        if status != OK && !self.has_failed(task, Failure::ALL[status as usize]) {
            return false;
        }
        self.tasks[task].state = State::Running;
        loop {
            let pc = self.tasks[task].pc;
            if Q::TELLS {
                self.tell_op(task);
            }
            match self.model.tape[pc.0 as usize] {
                Op::Cpu { work } => return self.compute(task, work, false),
                Op::Spin { work } => return self.compute(task, work, true),
                Op::Acquire { pool, route, write, .. } => {
                    if !self.acquire(task, pool, route, write) {
                        return false;
                    }
                }
                Op::Query { kind, .. } if self.is_spared(task, kind) => self.tasks[task].pc.0 += 1,
                Op::Query { .. } => {
                    self.send_statement(task);
                    return false;
                }
                Op::Release => {
                    let lease = self.tasks[task].pop_lease().expect("a release has a lease");
                    self.tasks[task].pc.0 += 1;
                    if let Some(closing) = self.release(lease) {
                        self.travel(task, closing);
                        let record = &mut self.tasks[task];
                        (record.state, record.since) = (State::Away, self.now);
                        self.at_task(self.now + closing, Kind::Resume, task);
                        return false;
                    }
                }
                Op::Jump { to } => self.tasks[task].pc = to,
                Op::IfHeld { depth, held, to } => self.jump_if_held(task, depth, held, to),
                Op::Chunks { .. } | Op::Chunked => {
                    if let Some(computes) = self.chunk_step(task) {
                        return computes;
                    }
                }
                Op::Choose { choice, draw } => {
                    let choice = &self.model.choices[choice as usize];
                    let mut draws = self.tasks[task].stream.draw(u64::from(draw.0));
                    let branch = choice.table.draw(&mut draws) as usize;
                    self.tasks[task].pc = choice.targets[branch];
                }
                Op::CacheGet { cache, .. }
                | Op::CacheSet { cache, .. }
                | Op::CacheDelete { cache, .. }
                | Op::CacheLock { cache, .. }
                | Op::CacheUnlock { cache, .. }
                | Op::Command { cache, .. } => {
                    if !self.send_command(task, cache) {
                        return false;
                    }
                }
                Op::CacheLand { cache, keys, key } => self.load_over(task, cache, keys, key),
                Op::CacheChanged { cache, keys, key } => self.changes(task, cache, keys, key),
                Op::WriteBehind { cache, slot, after } => {
                    self.write_behind(task, cache, slot, after);
                }
                Op::CacheRefreshed => {
                    if !self.load_is_over(task) {
                        return false;
                    }
                }
                Op::Limit { .. }
                | Op::Guard { .. }
                | Op::Deadline
                | Op::Inquire { .. }
                | Op::GuardBroken { .. }
                | Op::LimitBroken { .. } => {
                    if !self.pass_gate(task) {
                        return false;
                    }
                }
                Op::GuardFresh { guard, known } => self.guard_fresh(task, guard, known),
                Op::Permit { bulkhead, share } => {
                    if !self.enter_bulkhead(task, bulkhead, share) {
                        return false;
                    }
                }
                Op::PermitBack => self.give_permit_back(task),
                Op::Protect { breaker, entry, draw } => {
                    self.protect(task, breaker, entry, draw);
                    return false;
                }
                Op::Raise { why } => return self.raise(task, why),
                Op::SessionSeek { .. }
                | Op::SessionFound { .. }
                | Op::SessionEnd { .. }
                | Op::SessionKept { .. }
                | Op::SessionUnkept { .. }
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
                Op::Threads { .. }
                | Op::Child { .. }
                | Op::ThreadEnter
                | Op::ThreadBeside
                | Op::ThreadLeave => {
                    self.go_beside(task);
                    return false;
                }
                Op::ThreadFree => self.free_thread(task),
                Op::Emit => self.emit(task),
                Op::Again { timer } => self.set_timer(task, timer),
                Op::Message { failed } => {
                    if !self.message_over(task, failed) {
                        return false;
                    }
                }
                Op::Admit { most } => {
                    if !self.admit(task, most) {
                        return false;
                    }
                }
                Op::Dial { usage } | Op::Store { usage } => return self.ask_store(task, usage),
                Op::Wait { length, looks } => {
                    self.wait_outside(task, length, looks);
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
                Op::Call { .. } => {
                    self.call(task);
                    return false;
                }
                Op::Enqueue { job, draw, wait, poll, delay } => {
                    if !self.enqueue(task, job, (draw, poll), (wait, delay)) {
                        return false;
                    }
                }
                Op::Publish { stream, draw } => {
                    if !self.publish(task, stream, draw) {
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

    fn jump_if_held(&mut self, task: u32, depth: u8, held: bool, to: Pc) {
        let record = &mut self.tasks[task];
        let more = record.leases_held() > depth;
        record.pc = if more == held { to } else { Pc(record.pc.0 + 1) };
    }

    /// A task waits for somebody who is not simulated, and no longer than somebody waits for it if it
    /// `looks`.
    fn wait_outside(&mut self, task: u32, length: Draw, looks: bool) {
        let mut length = self.draw(length, task);
        if looks {
            length = length.min(self.wanted_until(task).since(self.now));
        }
        self.travel(task, length);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Away, self.now);
        record.pc.0 += 1;
        self.at_task(self.now + length, Kind::Resume, task);
    }

    /// A task that is on no worker goes on: it sets out, or comes to an end.
    pub fn advance_away(&mut self, task: u32) {
        let record = self.tasks[task];
        if record.has(flag::GHOST) {
            return self.bury(task);
        }
        if record.status == Failure::Unreachable as u8 {
            return self.never_arrived(task);
        }
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
        if Q::TELLS {
            self.tell_op(task);
        }
        let mut again = Duration::ZERO;
        let (way, kind, keeps) = match self.model.tape[record.pc.0 as usize] {
            Op::Edge { cdn, .. } => {
                (self.way_to_edge(task, cdn), Kind::Edge, (Duration::FOREVER, None))
            }
            Op::Enter { service, .. } => {
                let spec = &self.model.services[service];
                // Whoever the user is connected to: the balancer, or the process itself.
                let keeps = match (self.model.client.connection, spec.is_fronted()) {
                    (None, _) => (Duration::FOREVER, None), // nobody asks
                    (_, true) => (spec.health.client_keep_alive, spec.health.keepalive_requests),
                    (_, false) => (spec.keep_alive, spec.requests_per_connection),
                };
                let passage = self.passage_of_user(task, service);
                if passage.lost {
                    return self.lose_on_way(task, passage.late);
                }
                let way = self.way_to_user(task, spec.region);
                if spec.health.passes.is_some() {
                    again = self.look_at_flow(task, service, way);
                }
                (way + passage.late, Kind::Land, keeps)
            }
            other => unreachable!("a flow begins on its way, not with {other:?}"),
        };
        let way = way + again + self.set_up(task, way, keeps);
        if way.is_zero() {
            return if kind == Kind::Edge { self.edge(task) } else { self.land(task) };
        }
        self.travel(task, way);
        self.tasks[task].since = self.now;
        self.at_task(self.now + way, kind, task);
    }

    /// Round trip between a task's service and the region of what it uses, where that is another one.
    pub(super) fn way_to(&self, place: Option<RegionId>, task: u32) -> Duration {
        let Some(there) = place else { return Duration::ZERO };
        let record = &self.tasks[task];
        let here = self.model.services[self.service_of_worker(record.worker)].region;
        self.model.draw_law(self.model.route(here, there), record.stream, 0xfa_57)
    }

    /// The service that a worker belongs to.
    pub fn service_of_worker(&self, worker: u32) -> ServiceId {
        self.workers[worker as usize].service
    }

    /// The station of the service that a worker belongs to.
    pub fn station_of_worker(&self, worker: u32) -> crate::model::ids::StationId {
        self.workers[worker as usize].station
    }
}
