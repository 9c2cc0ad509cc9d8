//! Poolers: statements end at them, and go on over one of their own connections to the server.
//!
//! A client's connection is a pool's connection as ever; which server connection it has at the moment
//! stands beside it. With it, a statement passes at once; without, its client waits for one. On the way
//! back the answer passes the pooler again, where the connection is given to the next client: after the
//! statement, the transaction, or the client's own connection, by the mode. A client that goes away in
//! the middle costs its server connection, which is closed, though what runs on it goes on.

mod between;
mod death;
mod opening;
mod process;
mod times;

use std::collections::VecDeque;

use super::event::Kind;
use super::meter::{Counter, MILLI};
use super::pool::{Begun, Opening, SubPool};
use super::task::{Lease, OK, State, flag};
use super::world::World;
use crate::component::pool::{Connection, Keeping};
use crate::component::pooler::{Asked, Pooler, Returned, Server};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::PoolerId;
use crate::model::tape::Op;
use crate::model::{Fill, PoolMode, UnitKind};
use crate::units::{Duration, Time};

use between::Between;
use opening::Login;
pub use process::Process;

/// A pooler's connections to one server.
pub struct PoolerState {
    /// Which pooler.
    pub kind: PoolerId,
    /// The server, among all nodes of all databases.
    pub node: u32,
    /// Its rules.
    pub pool: Pooler,
    /// When its next timer is scheduled.
    armed: Time,
    /// What the server makes of the connections that are being opened, the oldest first.
    opening: Vec<Login>,
    /// Connections opened so far: numbers its random draws.
    opened: u32,
    /// Connections that nobody has, and until when.
    between: VecDeque<(Time, Server, Between)>,
    /// When a client may next have taken too long.
    look_at: Time,
}

/// What a pool has of the pooler that it goes through.
pub struct Behind {
    /// The pooler's connections to the pool's server, by number.
    pub pooler: u32,
    /// By the place of a connection: the server connection that it has.
    servers: Vec<Option<Server>>,
    /// By the same place: what its client is at, where that may take only so long.
    clients: Vec<times::Client>,
}

impl Behind {
    /// Nothing is lent yet.
    pub fn new(pooler: u32) -> Behind {
        Behind { pooler, servers: Vec::new(), clients: Vec::new() }
    }
    fn server_mut(&mut self, connection: Connection) -> &mut Option<Server> {
        let place = connection.slot as usize;
        if self.servers.len() <= place {
            self.servers.resize(place + 1, None);
        }
        &mut self.servers[place]
    }
    /// Whether a connection has a server connection.
    pub fn has_server(&self, connection: Connection) -> bool {
        self.servers.get(connection.slot as usize).is_some_and(Option::is_some)
    }
    /// No connection has one any more.
    fn forget_servers(&mut self) {
        self.servers.clear();
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// One set of connections per pooler and server of its database.
    pub fn build_poolers(&mut self) {
        for (kind, spec) in self.model.poolers.enumerate() {
            self.processes.push(Process::default());
            let state = &self.databases[spec.database];
            for node in 0..state.nodes.len() as u32 {
                self.poolers.push(PoolerState {
                    kind,
                    node: state.first_node() + node,
                    pool: Pooler::new(spec.config),
                    armed: Time::NEVER,
                    opening: Vec::new(),
                    opened: 0,
                    between: VecDeque::new(),
                    look_at: Time::NEVER,
                });
            }
        }
    }

    /// Where the run starts warm, they are open.
    pub fn fill_poolers(&mut self) {
        for number in 0..self.poolers.len() as u32 {
            match self.model.plan.pools {
                Fill::Empty => {}
                Fill::Full => {
                    self.fill_pooler(number, self.poolers[number as usize].pool.config().size);
                }
                Fill::Warm => self.fill_pooler(number, self.left_open_behind(number)),
            }
        }
    }

    /// How many connections of a pooler to a server long use leaves open. Clients of sessions keep one each.
    fn left_open_behind(&self, number: u32) -> u32 {
        let state = &self.poolers[number as usize];
        let (spec, size) = (&self.model.poolers[state.kind], state.pool.config().size);
        if spec.mode == PoolMode::Session {
            let through =
                |pool: &&SubPool| pool.behind.as_ref().is_some_and(|it| it.pooler == number);
            let clients: u32 = self.pools.iter().filter(through).map(|it| it.pool.total()).sum();
            return clients.min(size);
        }
        let replicas = self.model.databases[spec.database].replicas;
        let lending = self.lending_of_server(spec.database, state.node, spec.lending, replicas);
        lending.left_open(Keeping::from(state.pool.config()))
    }

    fn fill_pooler(&mut self, number: u32, wanted: u32) {
        let node = self.poolers[number as usize].node;
        let wanted = wanted.min(self.room(number));
        let granted = (0..wanted).take_while(|_| self.take_slot(node)).count() as u32;
        let station = self.station_of_pooler(number);
        self.meters[station].held.add(self.now, i64::from(granted));
        self.poolers[number as usize].pool.prefill(self.now, granted);
        self.arm_pooler(number);
    }

    /// The connections of a pooler to a server.
    pub(super) fn pooler_to(&self, kind: PoolerId, node: u32) -> u32 {
        let to = |state: &PoolerState| state.kind == kind && state.node == node;
        self.poolers.iter().position(to).expect("a pooler has each server of its database") as u32
    }

    fn station_of_pooler(&self, number: u32) -> crate::model::ids::StationId {
        self.model.poolers[self.poolers[number as usize].kind].station
    }

    /// The pooler that a task's innermost connection goes through.
    fn pooler_of(&self, task: u32) -> u32 {
        let sub = &self.pools[self.tasks[task].lease().pool as usize];
        sub.behind.as_ref().expect("only what goes through a pooler comes here").pooler
    }

    /// The clients of its process.
    fn clients_mut(&mut self, number: u32) -> &mut u32 {
        let process = self.model.poolers[self.poolers[number as usize].kind].process;
        &mut self.processes[process].clients
    }

    /// A client connects. Says whether it may.
    pub(super) fn take_client(&mut self, number: u32) -> bool {
        let most = self.model.poolers[self.poolers[number as usize].kind].clients;
        let clients = self.clients_mut(number);
        let free = *clients < most;
        *clients += u32::from(free);
        if free {
            self.tend_pooler(number);
        } else {
            let station = self.station_of_pooler(number);
            self.count(station, Counter::Refused);
        }
        free
    }

    /// A client is gone.
    pub(super) fn free_client(&mut self, number: u32) {
        let clients = self.clients_mut(number);
        *clients = clients.checked_sub(1).expect("a client disconnects once");
    }

    /// The round trip between a pooler and its server, for the statement that a task stands at.
    fn server_rtt(&self, task: u32, number: u32) -> Duration {
        let spec = &self.model.poolers[self.poolers[number as usize].kind];
        let database = &self.model.databases[spec.database];
        let (stream, numbers) = (self.tasks[task].stream, self.op_at(task).numbers());
        let near = self.model.draw_law(database.rtt, stream, numbers ^ 0x9001);
        // The primary may have moved away, or stand in another zone.
        let node = self.poolers[number as usize].node;
        let there = if database.spread { self.region_of_node(node) } else { database.region };
        let route = match there == database.region {
            true => self.within(there, |world| (0, world.zone_of_node(node))),
            false => self.model.route(database.region, there),
        };
        near + self.model.draw_law(route, stream, 0xfb)
    }

    /// A connection that ends at a pooler begins to open: no server process is started for it.
    pub(super) fn connect_to_pooler(&mut self, sub: u32, begun: Begun, after: Duration) {
        // A connection that was at this place before may have left its server connection there.
        self.client_lets_go(Lease { pool: sub, connection: begun.connection }, false);
        let state = &self.pools[sub as usize];
        let (kind, number) = (state.kind, state.connects);
        let pooler = state.behind.as_ref().expect("it goes through one").pooler;
        let stream = self.sub_pool_stream(sub).named("connect");
        let condition = self.condition(UnitKind::Pool, kind.0);
        let process = self.condition_of_pooler(pooler);
        let passage = self.passage_of_connect(sub);
        let broken = condition.down || process.down || passage.lost;
        let broken = broken || self.stumbles(condition.errors) || self.stumbles(process.errors);
        let how = match broken {
            true => Opening::Nobody,
            false if self.take_client(pooler) => match self.login_takes(pooler) {
                Duration::ZERO => Opening::Granted,
                _ => Opening::LogsIn,
            },
            false => Opening::Full,
        };
        let spec = &self.model.pools[kind];
        let its = &self.model.poolers[spec.pooler.expect("it goes through one")];
        let far = self.model.draw_law(self.pools[sub as usize].route, stream, number);
        let refused = matches!(how, Opening::Full | Opening::Nobody);
        let law = if refused { its.rtt } else { its.connect };
        let took = after + self.model.draw_law(law, stream, number) + far + far + far;
        let took = process.stretch(condition.stretch(took)) + passage.late;
        self.begin_opening(sub, Begun { how, ..begun }, took);
    }

    /// Whether its clients keep a server connection for as long as they are connected.
    pub(super) fn keeps_sessions(&self, sub: u32) -> bool {
        let pooler = self.model.pools[self.pools[sub as usize].kind].pooler;
        pooler.is_some_and(|pooler| self.model.poolers[pooler].mode == PoolMode::Session)
    }

    /// A connection is gone at its far end: the server's, or the pooler's.
    pub(super) fn free_far_end(&mut self, sub: u32) {
        let state = &self.pools[sub as usize];
        let node = state.node;
        match state.behind.as_ref().map(|behind| behind.pooler) {
            Some(pooler) => self.free_client(pooler),
            None => self.free_slot(node),
        }
    }

    /// A pooler has looked at a statement or at an answer.
    pub(super) fn in_pooler(&mut self, task: u32) {
        let record = &self.tasks[task];
        if record.has(flag::GHOST) {
            return self.bury(task);
        }
        if record.state == State::Answering {
            return self.answer_passes(task);
        }
        if record.status != OK {
            return self.turned_away(task);
        }
        let lease = record.lease();
        let number = self.pooler_of(task);
        let station = self.station_of_pooler(number);
        if self.times(number).is_some() && !self.client_asks(task, lease) {
            return self.turned_away(task);
        }
        let behind = self.pools[lease.pool as usize].behind.as_mut().expect("it is at its pooler");
        if behind.has_server(lease.connection) {
            if self.poolers[number as usize].pool.awaits_reserve() {
                self.tend_pooler(number); // each turn of its loop looks
            }
            return self.pass_on(task, number);
        }
        self.count(station, Counter::Arrivals);
        let errors = self.condition_of_pooler(number).errors;
        if self.stumbles(errors) {
            self.count(station, Counter::Errors);
            self.turn_out(task, Failure::DatabaseDown);
            return self.tend_pooler(number);
        }
        match self.poolers[number as usize].pool.ask(self.now, task) {
            Asked::Granted(server) => {
                self.meters[station].pass();
                self.lend(task, number, server);
            }
            Asked::Wait => {
                let record = &mut self.tasks[task];
                (record.state, record.since) = (State::PoolerQueue, self.now);
                self.meters[station].enter(self.now);
            }
            Asked::Refused => {
                self.count(station, Counter::Rejected);
                self.turn_out(task, Failure::DatabaseDown);
            }
        }
        self.tend_pooler(number);
    }

    /// A client has a server connection from now on: its statement goes on.
    fn lend(&mut self, task: u32, number: u32, server: Server) {
        let lease = self.tasks[task].lease();
        let station = self.station_of_pooler(number);
        self.meters[station].busy.add(self.now, MILLI);
        self.place_server(lease, server);
        self.tasks[task].state = State::Away;
        self.pass_on(task, number);
    }

    fn place_server(&mut self, lease: Lease, server: Server) {
        let behind = self.pools[lease.pool as usize].behind.as_mut();
        *behind.expect("it is at its pooler").server_mut(lease.connection) = Some(server);
    }

    fn pass_on(&mut self, task: u32, number: u32) {
        let passage = self.passage_at_server(task);
        let half = self.server_rtt(task, number).half() + passage.late;
        self.travel(task, half);
        if passage.lost {
            self.tasks[task].status = Failure::DatabaseDown as u8;
            return self.at_task(self.now + half, Kind::AtPooler, task);
        }
        self.at_task(self.now + half, Kind::Statement, task);
    }

    /// The pooler has lost its patience with a client, or its server: the client is disconnected.
    fn turn_out(&mut self, task: u32, why: Failure) {
        let lease = self.tasks[task].lease();
        self.pools[lease.pool as usize].cut.push((lease.connection, why));
        self.client_is_gone(lease);
        self.tasks[task].status = why as u8;
        self.turned_away(task);
    }

    /// A statement comes no further than the pooler.
    fn turned_away(&mut self, task: u32) {
        let half = self.statement_rtt(task).half();
        self.travel(task, half);
        self.tasks[task].state = State::Answering;
        self.at_task(self.now + half, Kind::Resume, task);
    }

    /// How long the answer of the statement that a task stands at takes from the server, and where it
    /// arrives then.
    #[inline]
    pub(super) fn way_back(&self, task: u32) -> (Duration, Kind) {
        match &self.pools[self.tasks[task].lease().pool as usize].behind {
            None => (self.statement_rtt(task).half(), Kind::Resume),
            Some(behind) => (self.server_rtt(task, behind.pooler).half(), Kind::AtPooler),
        }
    }

    /// An answer reaches the pooler: the server connection may be another's from now on.
    fn answer_passes(&mut self, task: u32) {
        let number = self.pooler_of(task);
        let lease = self.tasks[task].lease();
        let mode = self.model.poolers[self.poolers[number as usize].kind].mode;
        let answered = self.answered_op(task);
        let Op::Query { open, .. } = answered else { unreachable!("{answered:?} is no statement") };
        let over = match mode {
            PoolMode::Session => false,
            PoolMode::Transaction => !open,
            PoolMode::Statement => true,
        };
        if over {
            self.return_server(lease);
        }
        if self.times(number).is_some() {
            self.client_answered(task, lease, open);
        }
        let passage = self.passage_of_statement(task);
        if passage.lost {
            self.tasks[task].status = Failure::DatabaseDown as u8;
        }
        let half = self.rtt_of_statement(task, answered).half() + passage.late;
        self.travel(task, half);
        self.at_task(self.now + half, Kind::Resume, task);
    }

    /// The statement whose answer is on its way: the task stands behind it already, unless it failed.
    fn answered_op(&self, task: u32) -> Op {
        let record = &self.tasks[task];
        match self.model.tape[record.pc.0 as usize] {
            failed @ Op::Query { .. } if record.status != OK => failed,
            _ => self.model.tape[record.pc.0 as usize - 1],
        }
    }

    /// A server connection is free for the next client.
    fn return_server(&mut self, lease: Lease) {
        let Some(behind) = &mut self.pools[lease.pool as usize].behind else { return };
        let number = behind.pooler;
        let Some(server) = behind.server_mut(lease.connection).take() else { return };
        let station = self.station_of_pooler(number);
        self.meters[station].busy.add(self.now, -MILLI);
        self.count(station, Counter::Served);
        let returned = self.poolers[number as usize].pool.give_back(self.now, server);
        self.server_returned(number, server, returned);
        self.tend_pooler(number);
    }

    fn server_returned(&mut self, number: u32, server: Server, returned: Returned) {
        let station = self.station_of_pooler(number);
        match returned {
            Returned::Idle => {}
            Returned::Close => self.close_server(number),
            Returned::Passed { task } => {
                self.leave(task, station);
                self.lend(task, number, server);
            }
        }
    }

    /// A client connection that goes back to its pool, in good order or not, or is closed. Only a
    /// session keeps its server connection, and only for as long as it is connected.
    pub(super) fn client_lets_go(&mut self, lease: Lease, stays: bool) {
        let Some(behind) = &self.pools[lease.pool as usize].behind else { return };
        let (number, has_server) = (behind.pooler, behind.has_server(lease.connection));
        if self.times(number).is_some() {
            self.client_rests(lease, stays);
        }
        if !has_server {
            return;
        }
        match self.model.poolers[self.poolers[number as usize].kind].mode {
            PoolMode::Session if stays => {}
            // Its session ends: DISCARD ALL takes a round trip before the next has it.
            PoolMode::Session => self.reset_server(lease, number),
            // A transaction that has failed is rolled back.
            PoolMode::Transaction | PoolMode::Statement if stays => self.return_server(lease),
            PoolMode::Transaction | PoolMode::Statement => self.drop_server(lease),
        }
    }

    /// A process has died: whatever its idle connections had is let go.
    pub(super) fn clients_let_go(&mut self, pool: u32) {
        let Some(behind) = &self.pools[pool as usize].behind else { return };
        for slot in 0..behind.servers.len() as u32 {
            let connection = Connection { slot, generation: 0 };
            self.client_lets_go(Lease { pool, connection }, false);
        }
    }

    /// A client has gone in the middle of something: its server connection is closed, and its place is
    /// free at once, whatever still runs on it.
    pub(super) fn drop_server(&mut self, lease: Lease) {
        let Some(behind) = &mut self.pools[lease.pool as usize].behind else { return };
        let number = behind.pooler;
        if behind.server_mut(lease.connection).take().is_none() {
            return;
        }
        self.lose_server(number);
        self.sever_node(self.poolers[number as usize].node);
        self.tend_pooler(number);
    }

    /// The same of a process that has died while its statement runs: the backend goes on with it, and
    /// keeps its place at the server until it notices.
    pub(super) fn orphan_server(&mut self, lease: Lease) -> bool {
        let Some(behind) = &mut self.pools[lease.pool as usize].behind else { return false };
        let number = behind.pooler;
        let had = behind.server_mut(lease.connection).take().is_some();
        if had {
            self.lose_server(number);
            self.tend_pooler(number);
        }
        had
    }

    fn lose_server(&mut self, number: u32) {
        let station = self.station_of_pooler(number);
        self.poolers[number as usize].pool.lose();
        let meter = &mut self.meters[station];
        meter.busy.add(self.now, -MILLI);
        meter.held.add(self.now, -1);
        meter.count(Counter::Closed);
    }

    /// A task waits no longer for a server connection.
    pub(super) fn leave_pooler_queue(&mut self, task: u32) {
        let number = self.pooler_of(task);
        let stood = self.poolers[number as usize].pool.cancel(task);
        assert!(stood, "who waits at a pooler stands in its line");
        let station = self.station_of_pooler(number);
        self.leave(task, station);
    }

    /// Where a task waits for a server connection.
    pub(super) fn pooler_station(&self, lease: Lease) -> crate::model::ids::StationId {
        let behind = self.pools[lease.pool as usize].behind.as_ref().expect("it waits there");
        self.station_of_pooler(behind.pooler)
    }

    /// Opens what is wanted, and schedules the next timer; the same for pools that share its room.
    fn tend_pooler(&mut self, number: u32) {
        self.tend_alone(number);
        self.tend_beside(number);
    }

    fn tend_alone(&mut self, number: u32) {
        while let Some(server) = self.poolers[number as usize].pool.checks() {
            self.try_out(number, server);
        }
        let clients = *self.clients_mut(number);
        while self.poolers[number as usize].pool.wants(self.now, clients)
            && self.makes_room(number)
            && self.poolers[number as usize].pool.opens(self.now, clients)
        {
            self.open_server(number);
        }
        self.arm_pooler(number);
    }

    /// A connection to the server is closed: a round trip later the server has its place back.
    fn close_server(&mut self, number: u32) {
        let station = self.station_of_pooler(number);
        let meter = &mut self.meters[station];
        meter.held.add(self.now, -1);
        meter.count(Counter::Closed);
        self.sever_node(self.poolers[number as usize].node);
    }

    /// A server hears that a connection is closed.
    fn sever_node(&mut self, node: u32) {
        let incarnation = self.node_mut(node).incarnation;
        self.events.push(Event::new(self.now, Kind::Severed as u8, incarnation, node));
    }

    fn arm_pooler(&mut self, number: u32) {
        let state = &self.poolers[number as usize];
        let between = state.between.iter().map(|(at, ..)| *at).min();
        let due = state.pool.next_due(self.now).into_iter().chain(between).min();
        let at = due.unwrap_or(Time::NEVER).min(state.look_at);
        if at < Time::NEVER {
            self.arm_pooler_at(number, at);
        }
    }

    fn arm_pooler_at(&mut self, number: u32, at: Time) {
        let at = at.max(self.now);
        let state = &mut self.poolers[number as usize];
        if at < state.armed {
            state.armed = at;
            let slot = self.pools.len() as u32 + number;
            self.at(at, Kind::PoolTimer, slot);
        }
    }

    /// Something may be due at a pooler.
    pub(super) fn pooler_timer(&mut self, number: u32) {
        if self.poolers[number as usize].armed != self.now {
            return; // superseded
        }
        self.poolers[number as usize].armed = Time::NEVER;
        let station = self.station_of_pooler(number);
        let now = self.now;
        self.end_between(number);
        self.look_at_clients(number);
        while let Some(task) = self.poolers[number as usize].pool.expire(now) {
            self.count(station, Counter::TimedOut);
            self.leave(task, station);
            self.turn_out(task, Failure::AcquireTimeout);
        }
        while self.poolers[number as usize].pool.expire_idle(now).is_some() {
            self.close_server(number);
        }
        self.tend_pooler(number);
    }
}
