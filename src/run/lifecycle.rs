//! Processes that die, and come back: what is lost with them.
//!
//! A process that is killed takes its memory and its sockets with it. Every request that it has is
//! reset: whoever waits for the answer hears so one way later. Callbacks that were ready, threads,
//! queues for connections, caches and counters in memory are gone. What it has *sent* goes on without
//! it: a statement runs to its end, because PostgreSQL looks at the client's socket only when it reads
//! or writes (PostgreSQL 14 and later, `client_connection_check_interval` = 0), and Redis runs a command
//! that it has received. The server has a connection back when it learns that the socket is closed.
//!
//! Such a remainder is a *ghost*: a task on no worker for whom nobody waits. It keeps its slot until the
//! event that was under way for it, so that no event ever finds another task in its place.

use super::event::Kind;
use super::meter::{Counter, MILLI};
use super::pool::Cut;
use super::service::Phase;
use super::task::{NONE, OK, Role, State, Task, flag};
use super::world::World;
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::tape::{Op, Pc};
use crate::units::{Duration, Time};

impl<Q: PendingEvents> World<'_, Q> {
    /// A worker process dies at once, and stays down until [`World::restart_worker`]. Its instance goes
    /// on with its other workers; without any left it is down too, and loses its backlog.
    pub fn kill_worker(&mut self, worker: u32) {
        let phase = self.instances[self.workers[worker as usize].instance as usize].phase;
        if !phase.runs() || std::mem::replace(&mut self.workers[worker as usize].down, true) {
            return;
        }
        self.end_process(worker);
        let index = self.workers[worker as usize].instance;
        let workers = self.workers_of(index);
        if workers.clone().all(|worker| self.workers[worker as usize].down) {
            self.instance_down(index);
        } else {
            self.accept_waiting(index);
        }
        self.lose_sockets(worker);
    }

    /// Whatever a process has is gone: what it is at, what waits for it, its memory and connections.
    pub(super) fn end_process(&mut self, worker: u32) {
        let slots = 0..self.tasks.capacity() as u32;
        let dying: Vec<u32> = slots.filter(|task| self.dies_with(*task, worker)).collect();
        for task in &dying {
            self.stop_work(*task);
        }
        self.looks_up(worker);
        let state = &mut self.workers[worker as usize];
        state.running = NONE;
        state.handed = NONE;
        state.polls_since = self.now;
        state.ready.clear();
        state.thread_queue.clear();
        state.threads_busy = 0;
        state.child_queue.clear();
        state.children = 0;
        state.timers.clear();
        self.lose_memory(worker);
        for task in dying {
            self.lose(task);
        }
        self.lose_pools(worker);
        self.lose_handlers(worker);
        self.close_idle_connections(worker);
    }

    /// An instance dies at once with all of its workers and its backlog, and stays down until
    /// [`World::restart_instance`]; one that was finishing is gone for good. Balancers are told
    /// nothing: whoever sends a request there meanwhile finds it lost.
    pub fn kill_instance(&mut self, index: u32) {
        for worker in self.workers_of(index) {
            self.kill_worker(worker);
        }
    }

    /// A worker process is there again, with nothing in its memory.
    pub fn restart_worker(&mut self, worker: u32) {
        let state = &self.workers[worker as usize];
        let environment = self.services[state.service].function.is_some();
        if !state.down || environment && !self.instances[state.instance as usize].phase.runs() {
            return; // an environment that is gone or starting begins with its own boot
        }
        let state = &mut self.workers[worker as usize];
        (state.down, state.started) = (false, Some(self.now));
        (state.answered, state.lives, state.leaving) = (0, state.lives + 1, false);
        (state.heap, state.pause) = (state.heap.emptied(), Duration::ZERO);
        let index = state.instance;
        if self.instances[index as usize].phase == Phase::Down {
            let service = &self.model.services[self.instances[index as usize].service];
            let new = service.process.as_ref().is_some_and(|it| it.stops_unhealthy);
            self.instance_up(index, new);
        }
        self.start_pools(worker);
        self.start_timers(worker);
        self.accept_waiting(index);
        self.look_for_jobs(self.instances[index as usize].service);
    }

    /// An instance that is down is there again with all of its workers, cold, and its balancer sends
    /// it requests.
    pub fn restart_instance(&mut self, index: u32) {
        let down = self.instances[index as usize].phase == Phase::Down;
        if down && !self.is_kept_down(index) && !self.is_broken(index) {
            for worker in self.workers_of(index) {
                self.restart_worker(worker);
            }
        }
    }

    /// Which of its service's an instance is: what is drawn for it must not follow from other services.
    pub(super) fn place_of_instance(&self, index: u32) -> u64 {
        let service = self.instances[index as usize].service;
        u64::from(index - self.services[service].first_instance)
    }

    /// Which of its service's a worker is.
    pub(super) fn place_of_worker(&self, worker: u32) -> usize {
        let first = self.services[self.workers[worker as usize].service].first_instance;
        (worker - self.instances[first as usize].first_worker) as usize
    }

    /// The workers of an instance.
    pub fn workers_of(&self, index: u32) -> std::ops::Range<u32> {
        let instance = &self.instances[index as usize];
        let first = instance.first_worker;
        first..first + self.model.services[instance.service].workers
    }

    /// No worker of the instance is left.
    fn instance_down(&mut self, index: u32) {
        let waiting = std::mem::take(&mut self.instances[index as usize].backlog);
        let service = self.instances[index as usize].service;
        let station = self.model.services[service].station;
        self.count_instances(service);
        self.services[service].running -= 1;
        self.meters[station].count(Counter::Closed);
        self.meters[station].held.add(self.now, -1);
        // One that was finishing had been let go before.
        let is_function = self.model.services[service].function.is_some();
        let goes = is_function || self.instances[index as usize].phase != Phase::Up;
        self.instances[index as usize].phase = if goes { Phase::Off } else { Phase::Down };
        let replace = self.model.services[service].replace;
        let held_off = self.holds_off(index);
        // What a lost machine ran is replaced when it is taken for lost.
        if let Some(start) = replace.filter(|_| !goes && !self.is_silent(index)) {
            self.at(self.now + held_off + start, Kind::Restart, index);
        }
        for task in waiting {
            self.leave(task, station);
            self.closed_on(task, index);
        }
        if is_function {
            self.environment_died(index);
        }
    }

    /// An instance is gone, or closes a connection that it has not accepted.
    pub(super) fn closed_on(&mut self, task: u32, index: u32) {
        let service = self.instances[index as usize].service;
        self.tasks[task].answered = self.model.services[service].health.broken_status;
        self.fail(task, Failure::InstanceLost);
    }

    /// Whether a task is in a process: its flow runs there, or its answer has not yet left.
    fn dies_with(&self, task: u32, worker: u32) -> bool {
        let record = self.tasks.peek(task);
        let inside = match record.role {
            Role::Branch | Role::Protected | Role::Tail | Role::Socket | Role::Job => true,
            Role::Attempt | Role::Call | Role::Probe | Role::Batch => record.has(flag::ADMITTED),
        };
        record.state != State::Free && record.worker == worker && inside
    }

    /// Takes a task out of wherever it waits or works within its process, and off its link.
    fn stop_work(&mut self, task: u32) {
        let record = self.tasks[task];
        let index = self.workers[record.worker as usize].instance;
        let service = &self.model.services[self.instances[index as usize].service];
        if record.has(flag::THREAD) {
            self.meters[service.threads_station].busy.add(self.now, -MILLI);
        }
        match record.state {
            State::Ready => self.leave(task, service.station),
            State::ThreadQueue => self.leave(task, service.threads_station),
            State::ChildQueue => self.leave(task, service.children_station),
            State::InChild => {
                self.meters[service.children_station].busy.add(self.now, -MILLI);
                self.leave_cores(task);
            }
            State::PlaceQueue => {
                let Op::Permit { bulkhead, .. } = self.op_at(task) else {
                    unreachable!("a task waits for a place where its tape says so")
                };
                self.leave(task, self.model.bulkheads[bulkhead].station);
            }
            State::PoolQueue | State::Connecting => {
                let Op::Acquire { pool, .. } = self.op_at(task) else {
                    unreachable!("a task waits for a connection where its tape says so")
                };
                self.leave(task, self.model.pools[pool].station);
            }
            State::PoolerQueue => self.leave_pooler_queue(task),
            State::StatementQueue => self.leave_statement_queue(task),
            State::Computing if self.instances[index as usize].host == NONE => {
                self.meters[service.station].busy.add(self.now, -MILLI);
            }
            State::Computing => {
                if self.on_shared_host(index) {
                    self.meters[service.station].busy.add(self.now, -MILLI);
                }
                self.leave_cores(task);
            }
            State::InThread => {
                self.meters[service.threads_station].busy.add(self.now, -MILLI);
                self.leave_cores(task);
            }
            State::OnLink => self.cut_transfer(task),
            State::WithClient => self.leave_client(task),
            State::ClientQueue | State::Forked => self.drop_call(task),
            _ => {}
        }
    }

    /// A task of a dead process is over. Who waits for its answer is told that the connection was
    /// reset; what is under way for it becomes a ghost.
    fn lose(&mut self, task: u32) {
        let record = self.tasks[task];
        let silence = self.silence(task, self.workers[record.worker as usize].instance);
        self.leave_instance(task);
        self.forget_permits(task);
        let index = self.workers[record.worker as usize].instance as usize;
        // Whose computing ends by the clock: the end is still to come.
        let alone = self.instances[index].host == NONE || record.deadline == Time::NEVER;
        let haunts = match record.state {
            State::Away | State::InDatabase | State::Answering => true,
            State::LockQueue | State::Storing => true,
            State::CacheQueue | State::InCache | State::Returning => true,
            State::Computing => alone,
            _ => false,
        };
        let told = match record.role {
            Role::Attempt => record.owner != NONE || self.edge_waits_for(&record),
            Role::Call => self.awaits(record.owner, record.owner_epoch),
            Role::Batch => true,
            Role::Tail => {
                self.lose_write(&record);
                false
            }
            Role::Branch | Role::Protected | Role::Probe | Role::Job => false,
            Role::Socket => {
                self.socket_died(&record);
                false
            }
        };
        self.drop_leases(task);
        if haunts {
            if told {
                let leases = Default::default();
                let messenger = self.new_task(Task { leases, ..self.tasks[task] });
                if Q::TELLS {
                    self.tell_split(task, messenger);
                }
                self.reset(messenger, task, Failure::InstanceLost, silence);
            } else if record.row != NONE && record.role != Role::Attempt {
                self.attribution.close(record.row);
            }
            let ghost = &mut self.tasks[task];
            (ghost.role, ghost.owner, ghost.row) = (Role::Tail, NONE, NONE);
            (ghost.worker, ghost.epilogue, ghost.flags) = (NONE, Pc(0), flag::GHOST);
            if self.tasks[task].leases_held() > 0 {
                self.client_has_left(task);
            }
        } else if told {
            self.tasks[task].epoch = self.client.next_epoch(task);
            self.reset(task, task, Failure::InstanceLost, silence);
        } else {
            self.end_task(task);
        }
    }

    /// Another task has all that a task had, and is waited for in its place.
    pub(super) fn succeed(&mut self, task: u32) -> u32 {
        let record = self.tasks[task];
        let heir = self.new_task(record);
        self.answers_for(heir, task);
        if record.role == Role::Attempt && record.owner != NONE {
            self.journeys[record.owner].task = heir;
        }
        self.new_leader(task, heir);
        heir
    }

    /// Whoever waits for a task will have no answer: this one travels back to say why, or, where the
    /// machine is gone, they find out by themselves after this time.
    pub(super) fn reset(
        &mut self,
        messenger: u32,
        lost: u32,
        why: Failure,
        silence: Option<Duration>,
    ) {
        let service = self.service_of_worker(self.tasks[messenger].worker);
        let said = self.model.services[service].health.broken_status;
        let record = &mut self.tasks[messenger];
        (record.status, record.parked) = (why as u8, OK);
        record.answered = if why.is_silence() { said } else { 0 };
        (record.epilogue, record.deadline, record.state) = (Pc(0), Time::NEVER, State::Away);
        record.flags &= flag::EDGE_MISS | flag::GUEST;
        let record = *record;
        // All the time so far was for nothing.
        if record.role == Role::Attempt {
            if record.owner == NONE {
                return match silence {
                    Some(wait) => self.answer_in_vain(messenger, wait),
                    None => self.answer(messenger, 0.0),
                };
            }
            let journey = &mut self.journeys[record.owner];
            journey.task = messenger;
            let so_far = self.now.since(journey.intended);
            if record.row != NONE {
                self.attribution.lose(record.row, self.pauses, so_far);
            }
        } else if record.row != NONE {
            let so_far = self.now.since(self.tasks[record.owner].since);
            let station = self.station_of_worker(record.worker);
            self.attribution.lose(record.row, station, so_far);
        }
        debug_assert!(self.tasks[lost].leases[0].pool == NONE || messenger != lost);
        match silence {
            Some(wait) => self.answer_in_vain(messenger, wait),
            None => self.answer(messenger, 0.0),
        }
    }

    /// The instance has a request less, without having served it.
    fn leave_instance(&mut self, task: u32) {
        let record = &mut self.tasks[task];
        let (flags, worker) = (record.flags, record.worker);
        record.flags &= !(flag::ADMITTED | flag::OUTSTANDING);
        let index = self.workers[worker as usize].instance;
        if flags & flag::OUTSTANDING != 0 {
            self.target_answered(task, index, true);
        }
        if flags & flag::ADMITTED != 0 {
            self.instances[index as usize].open -= 1;
            self.workers[worker as usize].open -= 1;
            let service = self.workers[worker as usize].service;
            if let Some(process) = &self.model.services[service].process {
                self.weigh(task, worker, process, -1.0);
            }
        }
    }

    /// The connections that a task of a dead process held. One with a statement under way stays open
    /// at the server until that has ended.
    fn drop_leases(&mut self, task: u32) {
        let record = self.tasks[task];
        let sent = matches!(
            record.state,
            State::LockQueue | State::InDatabase | State::Storing | State::Answering
        ) || record.state == State::Away && matches!(self.op_at(task), Op::Query { .. });
        let mut kept = None;
        while let Some(lease) = self.tasks[task].pop_lease() {
            let kind = self.pools[lease.pool as usize].kind;
            self.meters[self.model.pools[kind].station].busy.add(self.now, -MILLI);
            let cut = self.pools[lease.pool as usize].how_cut(lease.connection) == Cut::Yes;
            let pooled = self.pools[lease.pool as usize].behind.is_some();
            if pooled {
                self.free_far_end(lease.pool);
            }
            match (cut, sent && kept.is_none()) {
                (true, _) => {}
                (_, true) if pooled => kept = self.orphan_server(lease).then_some(lease),
                (_, true) => kept = Some(lease),
                _ if pooled => self.drop_server(lease),
                _ => self.sever(lease.pool),
            }
        }
        if kept.is_none() {
            self.release_locks(task);
        }
        if let Some(lease) = kept {
            self.not_idle(task);
            self.tasks[task].push_lease(lease);
        }
    }

    /// A ghost has nothing more to do; a connection that it still had ends at its server, or is ready
    /// for the next statement.
    pub(super) fn bury(&mut self, ghost: u32) {
        self.release_locks(ghost);
        while let Some(lease) = self.tasks[ghost].pop_lease() {
            if !self.is_ready_again(ghost, lease) {
                let node = self.pools[lease.pool as usize].node;
                self.free_slot(node);
            }
        }
        self.end_task(ghost);
    }

    /// The socket of a connection closes: the server has its slot back one way later.
    fn sever(&mut self, sub: u32) {
        let state = &self.pools[sub as usize];
        if state.behind.is_some() {
            return self.free_far_end(sub);
        }
        let (node, spec) = (state.node, &self.model.pools[state.kind]);
        let stream = self.sub_pool_stream(sub).named("sever");
        let rtt = self.model.databases[spec.database].rtt;
        let took = self.model.draw_law(rtt, stream, self.now.0 as u32).half();
        let incarnation = self.node_mut(node).incarnation;
        self.events.push(Event::new(self.now + took, Kind::Severed as u8, incarnation, node));
    }

    /// A database node learns that a connection's client is gone.
    pub fn severed(&mut self, node: u32, incarnation: u32) {
        self.free_slot_of(node, incarnation);
    }

    /// The pools of a dead process are gone with their connections and queues.
    fn lose_pools(&mut self, worker: u32) {
        let model = self.model;
        for kind in &model.services[self.service_of_worker(worker)].pools {
            let first = self.first_sub_pool(*kind, worker);
            for sub in first..first + self.sub_pools_per_worker(*kind) {
                let state = &mut self.pools[sub as usize];
                // Whoever held a connection has given it up: what is still cut lay idle.
                let gone = if state.behind.is_some() { 0 } else { state.cut.len() };
                let gone = (gone + state.unanswered.len()) as u32;
                let unused = state.pool.idle() - gone + state.opening_granted();
                let total = state.lose_all();
                let meter = &mut self.meters[model.pools[*kind].station];
                meter.add(Counter::Closed, u64::from(total));
                meter.held.add(self.now, -i64::from(total));
                for _ in 0..unused {
                    self.sever(sub);
                }
                self.clients_let_go(sub);
            }
        }
    }

    /// Whatever a dead process kept in its memory: limiters' counts, guards' values, caches.
    fn lose_memory(&mut self, worker: u32) {
        self.forget_bulkheads(worker);
        self.forget_breakers(worker);
        self.forget_calls(worker);
        self.forget_clients(worker);
        self.empty_memory(worker);
    }

    /// What a process that has ended kept for later requests.
    pub(super) fn empty_memory(&mut self, worker: u32) {
        self.forget_gates(worker);
        self.forget_sessions(worker);
        self.forget_store_connections(worker);
        let service = self.service_of_worker(worker);
        let first = self.instances[self.services[service].first_instance as usize].first_worker;
        for (cache, spec) in self.model.caches.enumerate() {
            let own = (spec.service == Some(service)).then_some(worker - first);
            self.forget_cache(cache, worker, own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::task::State;
    use super::super::testing::{model, run_for};
    use super::super::world::World;
    use crate::kernel::EventList;
    use crate::units::Duration;

    /// Kills and restarts workers and instances in the middle of everything, 300 times, and checks
    /// that everything adds up before and after each.
    fn torment(text: &str) {
        let model = model(text);
        let mut world = World::<EventList>::new(&model, 0);
        let mut draws = world.key.named("torment").draw(0);
        for _ in 0..300 {
            run_for(&mut world, Duration::micros(u64::from(draws.below(120_000))));
            let worker = draws.below(world.workers.len() as u32);
            let instance = world.workers[worker as usize].instance;
            match draws.below(4) {
                0 => world.kill_worker(worker),
                1 => world.kill_instance(instance),
                2 => world.restart_worker(worker),
                _ => world.restart_instance(instance),
            }
            run_for(&mut world, Duration::ZERO);
        }
        for instance in 0..world.instances.len() as u32 {
            world.kill_instance(instance);
        }
        run_for(&mut world, Duration::secs(2));
        for node in world.databases.iter().flat_map(|database| &database.nodes) {
            assert_eq!(node.connections, 0, "every connection of the dead has ended");
        }
        let inside = |state| !matches!(state, State::Free | State::Away);
        let left = (0..world.tasks.capacity() as u32)
            .filter(|task| inside(world.tasks.peek(*task).state))
            .count();
        assert_eq!(left, 0, "nothing is left of the dead");
    }

    #[test]
    fn everything_adds_up_however_processes_die() {
        torment(include_str!("../../tests/topologies/pressure.toml"));
    }

    #[test]
    fn everything_adds_up_where_clients_are_kept_with_statements_under_way() {
        torment(
            "version = 1\narrivals.rate = '300/s'\n[service.web]\nworkers = 2\n[pool.pg]\n\
             service = 'web'\ndatabase = 'db'\nsize = 3\nidle_timeout = '20ms'\nmax_uses = 7\n\
             on_error = 'keep'\nquery_timeout = '5ms'\n[database.db]\nconnect = '2ms'\n\
             [operation.read]\nshare = 1\nflow = [{ query = { pool = 'pg', read = '8ms' } },\n\
             { transaction = { pool = 'pg', flow = [{ query = { pool = 'pg', write = '6ms' } }] } }]\n",
        );
    }

    #[test]
    fn everything_adds_up_where_calls_wait_for_connections() {
        let call = |to: &str, client: &str| {
            format!(
                "[{{ call = {{ service = '{to}', client = {client}, timeout = '30ms', \
                 flow = [{{ cpu = '2ms' }}, {{ wait.exponential = '15ms' }}] }} }}]"
            )
        };
        let (few, fewer) =
            ("{ okhttp = { per_host = 2, max_connections = 3 } }", "{ go = { per_host = 1 } }");
        let (a, b, c) = (call("far", few), call("near", few), call("far", fewer));
        torment(&format!(
            "version = 1\narrivals.rate = '300/s'\n[service.web]\nworkers = 2\n[service.far]\ninstances = 2\n\
             [service.near]\n[operation.read]\nshare = 1\nservice = 'web'\nflow = [{{ parallel = [{a}, {b}, {c}] }}]\n",
        ));
    }

    #[test]
    fn everything_adds_up_across_services_and_regions() {
        torment(include_str!("../../tests/topologies/spread.toml"));
    }
}
