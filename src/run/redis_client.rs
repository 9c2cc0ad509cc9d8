//! Clients of cache servers: what becomes of commands while a process has no connection.
//!
//! The rules are [`component::redis_client`](crate::component::redis_client)'s. A command that finds its
//! server gone goes back to its client; it waits there with those that came later, until the client is
//! connected again or gives them up. A cache without a client has none of this.

use std::collections::VecDeque;

use crate::component::redis_client::Client;
use crate::component::tcp::Packet;
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::CacheId;
use crate::model::tape::{Op, Pc};
use crate::units::{Duration, Time};

use super::cut::Party;
use super::event::Kind;
use super::meter::{Counter, Part};
use super::task::{NONE, OK, RECONNECTS, State, Task};
use super::world::World;

/// The client of a process for one node of a cache.
pub struct CacheClient {
    cache: CacheId,
    node: u32,
    worker: u32,
    client: Client,
    /// Commands without an answer that wait for a connection, in the order in which they came.
    held: VecDeque<Held>,
    /// Commands that are timed, first due first.
    timed: VecDeque<Timed>,
    /// When the first of them is looked at.
    armed: Time,
    /// Tells events of its present connection from those of earlier ones.
    generation: u32,
    /// Its process has sent a command.
    used: bool,
}

/// A command that waits for a connection.
#[derive(Clone, Copy)]
struct Held {
    task: u32,
    /// It had been sent before.
    sent: bool,
}

/// A command that is given up at some time.
#[derive(Clone, Copy)]
struct Timed {
    due: Time,
    task: u32,
    epoch: u16,
    at: Pc,
}

/// What an event of a client is about.
const CLOSED: u32 = 0;
const DIAL: u32 = 1;
const KNOCK: u32 = 2;
const READY: u32 = 3;
const TIMEOUT: u32 = 4;
/// Events of so many generations are told apart.
const GENERATIONS: u32 = 1 << 27;

impl<Q: PendingEvents> World<'_, Q> {
    /// Clients of all processes, connected.
    pub fn build_clients(&mut self) {
        let workers = self.workers.len() as u32;
        for (cache, spec) in self.model.caches.enumerate() {
            self.caches[cache].first_client = self.clients.len() as u32;
            if spec.client.is_none() {
                continue;
            }
            for worker in 0..workers {
                for node in 0..spec.nodes {
                    self.clients.push(CacheClient {
                        cache,
                        node,
                        worker,
                        client: Client::connected(),
                        held: VecDeque::new(),
                        timed: VecDeque::new(),
                        armed: Time::NEVER,
                        generation: 0,
                        used: false,
                    });
                }
            }
        }
    }

    fn client_of(&self, cache: CacheId, worker: u32, node: u32) -> u32 {
        self.caches[cache].first_client + worker * self.model.caches[cache].nodes + node
    }

    fn client_at(&mut self, length: Duration, client: u32, what: u32) {
        let generation = self.clients[client as usize].generation % GENERATIONS;
        let ordinal = (what << 27) | generation;
        self.events.push(Event::new(self.now + length, Kind::CacheClient as u8, ordinal, client));
    }

    /// A running callback gives its client a command. True: it has failed at once.
    pub(super) fn send_through_client(&mut self, task: u32, cache: CacheId) -> bool {
        let rules = self.model.caches[cache].client.expect("asked before");
        if rules.redirects {
            let (_, node) = self.node_of_command(task);
            let number = self.client_of(cache, self.tasks[task].worker, node);
            self.time_command(task, number);
            self.transmit(task, cache);
            return false;
        }
        let (_, node) = self.node_of_command(task);
        let number = self.client_of(cache, self.tasks[task].worker, node);
        self.clients[number as usize].used = true;
        if self.caches[cache].seats.is_some() && self.clients[number as usize].client.is_ready() {
            self.first_command(number);
        }
        let client = &self.clients[number as usize];
        if client.client.is_ready() {
            if rules.times_all() {
                self.time_command(task, number);
            }
            self.transmit(task, cache);
            return false;
        }
        let full = rules.most.is_some_and(|most| client.held.len() as u32 >= most);
        if full || !rules.offline_queue {
            self.count(self.model.caches[cache].station, Counter::Rejected);
            self.command_failed(task, cache);
            let status = self.tasks[task].status;
            if status != OK {
                self.fail(task, Failure::ALL[status as usize]);
            }
            return status == OK;
        }
        self.time_command(task, number);
        self.hold_command(task, number, false);
        false
    }

    /// The first command of a process, at a server that may not let it in: it learns of that as of a
    /// connection that closes before it is ready.
    fn first_command(&mut self, number: u32) {
        let CacheClient { cache, node, worker, .. } = self.clients[number as usize];
        if !self.takes_seat(cache, worker, node) {
            self.clients[number as usize].client = Client::dialling();
            self.client_refused(number);
        }
    }

    /// A server has no room: the client hears of it after the round trips of TCP and of its answer.
    fn client_refused(&mut self, number: u32) {
        let round_trip = self.client_rtt(number);
        self.client_at(Duration(round_trip.0 * 2), number, CLOSED);
    }

    /// A command waits in its client.
    fn hold_command(&mut self, task: u32, number: u32, sent: bool) {
        let station = self.model.caches[self.clients[number as usize].cache].station;
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::WithClient, self.now);
        self.meters[station].enter(self.now);
        self.clients[number as usize].held.push_back(Held { task, sent });
    }

    /// A process dies with the commands in its clients.
    pub(super) fn leave_client(&mut self, task: u32) {
        let (cache, _) = self.node_of_command(task);
        self.leave(task, self.model.caches[cache].station);
    }

    fn time_command(&mut self, task: u32, number: u32) {
        let spec = &self.model.caches[self.clients[number as usize].cache];
        let Some(limit) = spec.client.and_then(|rules| rules.command_timeout) else { return };
        let record = &self.tasks[task];
        let due = self.now + limit;
        let timed = Timed { due, task, epoch: record.epoch, at: record.pc };
        let client = &mut self.clients[number as usize];
        client.timed.push_back(timed);
        if client.armed == Time::NEVER {
            client.armed = due;
            self.client_at(limit, number, TIMEOUT);
        }
    }

    /// A command will have no answer: its server is gone, or its connection. Its client keeps it, or
    /// it fails.
    pub(super) fn unanswered(&mut self, task: u32, cache: CacheId, node: u32) {
        let rules = self.model.caches[cache].client;
        let worker = self.tasks[task].worker;
        let Some(rules) = rules.filter(|_| worker != NONE) else {
            return self.fail_command(task, cache);
        };
        if rules.redirects {
            // On a node that is gone each turn is two errors: MOVED to it, and its closed connection.
            return match self.redirect(task, cache, 2) {
                true => {}
                false => self.fail_command(task, cache),
            };
        }
        let number = self.client_of(cache, worker, node);
        let ready = self.clients[number as usize].client.is_ready();
        if !rules.resends() && !ready {
            return self.fail_command(task, cache); // its socket has closed
        }
        self.hold_command(task, number, true);
        if ready && !self.condition_of_cache(cache, node).down {
            self.client_closed(number); // packets were lost until TCP gave the connection up
        }
    }

    /// A node has reset its connections: clients learn of it one way later.
    pub(super) fn reset_clients(&mut self, cache: CacheId, node: u32) {
        for worker in 0..self.workers.len() as u32 {
            self.leaves_seat(cache, worker, node);
        }
        if self.model.caches[cache].client.is_none_or(|rules| rules.redirects) {
            return;
        }
        for worker in 0..self.workers.len() as u32 {
            let number = self.client_of(cache, worker, node);
            if self.clients[number as usize].client.is_ready() {
                let way = self.client_rtt(number).half();
                self.client_at(way, number, CLOSED);
            }
        }
    }

    /// A round trip between a client and its node.
    fn client_rtt(&mut self, number: u32) -> Duration {
        let client = &self.clients[number as usize];
        let (cache, worker, node) = (client.cache, client.worker, client.node);
        let spec = &self.model.caches[cache];
        let state = &mut self.caches[cache];
        state.dials += 1;
        let draws = state.stream.named("client").numbered(u64::from(number));
        let far = self.route_from(worker, spec.region, |_| node);
        let dials = self.caches[cache].dials as u32;
        self.model.draw_law(far, draws, dials) + self.model.draw_law(spec.rtt, draws, dials)
    }

    /// Something about a client is due.
    pub(super) fn client_event(&mut self, number: u32, ordinal: u32) {
        let (what, generation) = (ordinal >> 27, ordinal % GENERATIONS);
        if what == TIMEOUT {
            return self.commands_due(number);
        }
        if self.clients[number as usize].generation % GENERATIONS != generation {
            return; // it is about an earlier connection, or an earlier process
        }
        match what {
            CLOSED => self.client_closed(number),
            DIAL => self.client_dials(number),
            KNOCK => self.client_knocks(number),
            READY if self.server_is_gone(number) => self.client_closed(number),
            READY => self.client_ready(number),
            other => unreachable!("clients know no event {other}"),
        }
    }

    fn server_is_gone(&self, number: u32) -> bool {
        let client = &self.clients[number as usize];
        self.condition_of_cache(client.cache, client.node).down
    }

    /// The socket has closed, or an attempt to connect has failed.
    fn client_closed(&mut self, number: u32) {
        let cache = self.clients[number as usize].cache;
        let spec = &self.model.caches[cache];
        let rules = spec.client.expect("it has clients");
        let state = &mut self.caches[cache];
        state.dials += 1;
        let unit = state.stream.named("pause").numbered(u64::from(number)).draw(state.dials).unit();
        let CacheClient { node, worker, .. } = self.clients[number as usize];
        self.leaves_seat(cache, worker, node);
        let client = &mut self.clients[number as usize];
        client.generation += 1;
        let was_ready = client.client.is_ready();
        let closed = client.client.closed(&rules, unit);
        if was_ready {
            self.meters[spec.station].count(Counter::Closed);
        }
        let over = match (closed.flush || !rules.offline_queue && !rules.resends(), rules.resends())
        {
            (true, _) => std::mem::take(&mut self.clients[number as usize].held),
            (false, true) => VecDeque::new(),
            (false, false) => {
                let held = std::mem::take(&mut self.clients[number as usize].held);
                let (sent, waiting) = held.into_iter().partition(|held| held.sent);
                self.clients[number as usize].held = waiting;
                sent
            }
        };
        for Held { task, .. } in over {
            self.leave(task, spec.station);
            self.reject_command(task, cache);
        }
        self.client_at(closed.retry_in, number, DIAL);
    }

    /// A client fails a command: nobody has to travel for that.
    fn reject_command(&mut self, task: u32, cache: CacheId) {
        self.tasks[task].state = State::Away;
        self.command_failed(task, cache);
        self.at_task(self.now, Kind::Resume, task);
    }

    /// An attempt to connect begins.
    fn client_dials(&mut self, number: u32) {
        let CacheClient { cache, worker, used, .. } = self.clients[number as usize];
        let process = &self.workers[worker as usize];
        let runs = !process.down && self.instances[process.instance as usize].phase.runs();
        match self.model.caches[cache].lookups.get(process.service.0 as usize) {
            Some(entry) if used && runs => self.look_up_cache(number, *entry),
            _ => self.client_sends_syn(number),
        }
    }

    /// The name of a server is looked up first. The time of an attempt runs, and begins anew with its answer.
    fn look_up_cache(&mut self, number: u32, entry: Pc) {
        let CacheClient { cache, worker, generation, .. } = self.clients[number as usize];
        let limit = self.model.caches[cache].client.expect("it has clients").connect_timeout;
        self.client_at(limit, number, CLOSED);
        let state = &mut self.caches[cache];
        state.dials += 1;
        let stream = state.stream.named("lookup").numbered(u64::from(number));
        let aside = Task::aside(stream.numbered(state.dials), entry, worker, self.now);
        // It has no request: in place of its user and ordinal are the client and its attempt.
        let task = Task { user: number, ordinal: generation, branch: RECONNECTS, ..aside };
        let task = self.new_task(task);
        self.resume(task);
    }

    /// A server's name is known, if its client still waits for it.
    pub(super) fn client_has_address(&mut self, task: u32) {
        let Task { user: number, ordinal: generation, .. } = self.tasks[task];
        let client = &mut self.clients[number as usize];
        if client.generation == generation {
            client.generation += 1; // its time begins anew
            self.client_sends_syn(number);
        }
    }

    fn client_sends_syn(&mut self, number: u32) {
        let client = &self.clients[number as usize];
        let (cache, worker) = (client.cache, client.worker);
        let limit = self.model.caches[cache].client.expect("it has clients").connect_timeout;
        let from = Party::Service(self.service_of_worker(worker));
        let passage = self.passage(from, Party::Cache(cache), Packet::Syn);
        let way = self.client_rtt(number).half();
        if passage.lost || way + passage.late >= limit {
            return self.client_at(limit, number, CLOSED);
        }
        self.client_at(way + passage.late, number, KNOCK);
    }

    /// The first packet of a connection has come to the server.
    fn client_knocks(&mut self, number: u32) {
        let way = self.client_rtt(number).half();
        if self.server_is_gone(number) {
            return self.client_at(way, number, CLOSED);
        }
        let CacheClient { cache, node, worker, .. } = self.clients[number as usize];
        if !self.takes_seat(cache, worker, node) {
            return self.client_at(Duration(way.0 * 3), number, CLOSED);
        }
        let rules = self.model.caches[cache].client.expect("it has clients");
        let further = Duration(way.0 * 2 * (rules.round_trips() - 1));
        self.client_at(way + further, number, READY);
    }

    /// A connection is there: what has waited is sent, and first what had been sent before.
    fn client_ready(&mut self, number: u32) {
        let client = &mut self.clients[number as usize];
        client.client.ready();
        let cache = client.cache;
        let held = std::mem::take(&mut client.held);
        let station = self.model.caches[cache].station;
        self.meters[station].count(Counter::Opened);
        let (before, waiting): (Vec<Held>, Vec<Held>) =
            held.into_iter().partition(|held| held.sent);
        for Held { task, .. } in before.into_iter().chain(waiting) {
            self.leave(task, station);
            self.transmit(task, cache);
        }
    }

    /// Commands may have taken too long.
    fn commands_due(&mut self, number: u32) {
        if self.clients[number as usize].armed != self.now {
            return;
        }
        while let Some(timed) = self.clients[number as usize].timed.front().copied()
            && timed.due <= self.now
        {
            self.clients[number as usize].timed.pop_front();
            if self.tasks.peek(timed.task).epoch == timed.epoch {
                self.command_times_out(timed, number);
            }
        }
        let client = &mut self.clients[number as usize];
        client.armed = client.timed.front().map_or(Time::NEVER, |timed| timed.due);
        if let Some(timed) = client.timed.front() {
            let length = timed.due.since(self.now);
            self.client_at(length, number, TIMEOUT);
        }
    }

    /// A client gives a command up, unless it has seen the answer.
    fn command_times_out(&mut self, timed: Timed, number: u32) {
        let Timed { task, at, .. } = timed;
        let cache = self.clients[number as usize].cache;
        let spec = &self.model.caches[cache];
        let times_all = spec.client.is_some_and(|rules| rules.times_all());
        let station = spec.station;
        let record = *self.tasks.peek(task);
        let late = match record.state {
            State::WithClient if record.pc == at => {
                self.clients[number as usize].held.retain(|held| held.task != task);
                self.leave(task, station);
                task
            }
            State::Away | State::CacheQueue | State::InCache if record.pc == at && times_all => {
                self.disown(task, station)
            }
            State::Returning if times_all && self.comes_after(at, record.pc) => {
                self.disown(task, station)
            }
            State::Ready if times_all && self.comes_after(at, record.pc) => {
                if self.is_answered_unseen(&record) {
                    self.tasks[task].pc = at;
                    self.count(station, Counter::TimedOut);
                    self.command_failed(task, cache);
                }
                return;
            }
            _ => return,
        };
        self.tasks[late].pc = at;
        self.count(station, Counter::TimedOut);
        self.reject_command(late, cache);
    }

    /// Whether the tape goes on there when the command at `at` has been run.
    fn comes_after(&self, at: Pc, pc: Pc) -> bool {
        let hit = match self.model.tape[at.0 as usize] {
            Op::CacheGet { hit, .. } => hit,
            _ => at,
        };
        pc.0 == at.0 + 1 || pc == hit && hit != at
    }

    /// A task gives its command up; what is under way for it goes on as a ghost. The number under which
    /// the task goes on.
    fn disown(&mut self, task: u32, station: crate::model::ids::StationId) -> u32 {
        let record = self.tasks[task];
        let so_far = self.now.since(record.since);
        let heir = self.succeed(task);
        if record.row != NONE {
            match record.state {
                State::Away | State::Returning => {
                    let ahead = Duration(record.work.0.saturating_sub(so_far.0));
                    self.attribution.refund(record.row, self.network, Part::Service, ahead);
                }
                _ => self.attribution.spend(record.row, station, Part::Wait, so_far),
            }
        }
        self.locks.rename(task, heir);
        self.tasks[task] = self.tasks[task].ghost();
        heir
    }

    /// A process has died: its clients know nothing any more, and the next process connects anew.
    pub(super) fn forget_clients(&mut self, worker: u32) {
        for cache in self.model.caches.ids() {
            for node in 0..self.model.caches[cache].nodes {
                self.leaves_seat(cache, worker, node);
            }
            let Some(rules) = self.model.caches[cache].client else { continue };
            for node in 0..self.model.caches[cache].nodes {
                let number = self.client_of(cache, worker, node);
                let gone = self.server_is_gone(number);
                let client = &mut self.clients[number as usize];
                client.generation += 1;
                client.used = false;
                client.held.clear();
                client.timed.clear();
                client.armed = Time::NEVER;
                client.client = Client::connected();
                if gone && !rules.redirects {
                    self.client_closed(number);
                }
            }
        }
    }
}
