//! WebSockets: connections that stay, their heartbeats, broadcasts, and clients that come back.
//!
//! A connection counts among those that its process has open, so an instance with sockets drains only
//! when they are closed. Whatever they do is a callback on the loop of the process that holds them:
//! when it is blocked, pings are late, and a client that hears none for 45 s (engine.io 6: 25 s and
//! 20 s) closes and comes back. A broadcast is written to the members at its own process and published
//! once; every process gets it, and looks whether it has members (@socket.io/redis-adapter 8.3.0,
//! `psubscribe`).

mod adapter;
mod flow;
mod held;
mod idle;
mod inquiry;
mod wire;

use super::event::Kind;
use super::meter::Counter;
use super::task::{NONE, OK, Role, State, Task, flag};
use super::world::World;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::{ServiceId, SocketId};
use crate::model::tape::Pc;
use crate::model::{Model, UnitKind};
use crate::stream::{Draws, StreamKey};
use crate::units::{Duration, Time};

/// What an event of a connection is for; its ordinal is the connection's generation and this.
mod purpose {
    /// The client tries to connect.
    pub const TRY: u32 = 0;
    /// It has waited too long to be connected.
    pub const LATE: u32 = 1;
    /// The server's next ping is due.
    pub const PING: u32 = 2;
    /// The client may have heard nothing for too long.
    pub const SILENT: u32 = 3;
    /// The client has had enough.
    pub const GONE: u32 = 4;
    /// Of all sockets: another client comes.
    pub const OPEN: u32 = 5;
    /// Of all sockets: somebody says something.
    pub const MESSAGE: u32 = 6;
    /// The balancer may have seen nothing on the connection for too long.
    pub const IDLE: u32 = 7;
    /// Of a request of the adapter: who has not answered by now is too late.
    pub const ANSWERS: u32 = 8;
    /// How many bits they take.
    pub const BITS: u32 = 4;
}

/// What a callback of a socket is for.
mod callback {
    pub const CONNECT: u16 = 0;
    pub const PING: u16 = 1;
    pub const RECEIVE: u16 = 2;
    pub const PUBLISH: u16 = 3;
    pub const DELIVER: u16 = 4;
    /// In place of a callback: a message comes over the link.
    pub const COMES: u16 = 5;
    /// In place of a callback: copies of one go over the link.
    pub const GOES: u16 = 6;
    /// No callback, but what is done with a message beside receiving it.
    pub const HANDLE: u16 = 7;
    /// A process is asked by another through the adapter, and answers.
    pub const ASKED: u16 = 8;
    /// It hears such an answer.
    pub const HEARD: u16 = 9;
}

/// What is drawn for, so that turning one knob moves no other draw.
mod draw {
    pub const OPEN: usize = 0;
    pub const MESSAGE: usize = 1;
    pub const LASTS: usize = 2;
    pub const TARGET: usize = 3;
    pub const PAUSE: usize = 4;
    pub const WORK: usize = 5;
    pub const RECEIPT: usize = 6;
    pub const SENDER: usize = 7;
    pub const MEMBERS: usize = 8;
    pub const PHASE: usize = 9;
    pub const PUBLISH: usize = 10;
    pub const WIRE: usize = 11;
    pub const FLOW: usize = 12;
    pub const KINDS: usize = 13;
}

/// Generations that fit into an ordinal.
const GENERATIONS: u32 = 1 << (31 - purpose::BITS);

/// How a client is connected.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
enum Link {
    /// It is not.
    #[default]
    None,
    /// It is being connected.
    Connecting,
    /// It is.
    Open,
}

/// A client with its connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection {
    socket: SocketId,
    link: Link,
    /// The process that holds it.
    worker: u32,
    /// Tells its present connection from earlier ones, and its slot's tenants from one another.
    generation: u32,
    /// Attempts that have failed in a row.
    failed: u32,
    /// When it heard a ping last.
    heard: Time,
    /// When the client leaves for good.
    until: Time,
}

/// A message on its way to the members of a room, or a request to other processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message {
    socket: SocketId,
    sent: Time,
    /// Callbacks that have yet to write it.
    left: u32,
    /// Members at the process that handles it; of a request the answers that are yet to come.
    here: u32,
    /// Of a request: who waits for answers, and its epoch.
    asker: (u32, u16),
}

/// Sockets while they run.
pub struct SocketState {
    /// Its random numbers.
    stream: StreamKey,
    /// How many draws there were, by what they are for.
    draws: [u64; draw::KINDS],
    /// Connections of each process of its service.
    held: Vec<u32>,
    /// All of them.
    open: u32,
    /// When everybody was last written to.
    broadcast: Time,
}

impl SocketState {
    /// Before the first.
    pub fn new(model: &Model, id: SocketId, key: StreamKey) -> SocketState {
        let spec = &model.sockets[id];
        let service = &model.services[spec.service];
        SocketState {
            stream: key.named("socket").named(&spec.name),
            draws: [0; draw::KINDS],
            held: vec![0; (service.slots * service.workers) as usize],
            open: 0,
            broadcast: Time::ZERO,
        }
    }
    fn draw(&mut self, what: usize) -> Draws {
        self.draws[what] += 1;
        self.stream.numbered(what as u64).draw(self.draws[what])
    }
    /// A stream and a number for a law.
    fn next(&mut self, what: usize) -> (StreamKey, u32) {
        self.draws[what] += 1;
        (self.stream.numbered(what as u64), self.draws[what] as u32)
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Connects those who are there at the start, and schedules what comes.
    pub fn build_sockets(&mut self) {
        for (id, spec) in self.model.sockets.enumerate() {
            self.sockets.push(SocketState::new(self.model, id, self.key));
            let service = &self.model.services[spec.service];
            let first = self.services[spec.service].first_instance;
            for number in 0..spec.connections {
                let index = first + number % service.instances;
                let worker = self.instances[index as usize].first_worker
                    + number / service.instances % service.workers;
                let generation = self.generation();
                let slot = self.connections.insert(Connection {
                    socket: id,
                    link: Link::Connecting,
                    worker,
                    generation,
                    until: Time::NEVER,
                    ..Connection::default()
                });
                self.hold(worker, 1, spec.memory);
                let phase = self.sockets[id].draw(draw::PHASE).unit();
                self.client_connected(slot, spec.ping_interval.scale(phase));
            }
            self.meters[spec.station].counters = [0; super::meter::COUNTERS];
            self.come_again(id, purpose::OPEN, spec.opens);
            self.come_again(id, purpose::MESSAGE, spec.messages);
        }
    }

    fn come_again(&mut self, id: SocketId, purpose: u32, rate: Option<f64>) {
        let Some(rate) = rate else { return };
        let what = if purpose == purpose::OPEN { draw::OPEN } else { draw::MESSAGE };
        let unit = crate::variate::exponential(&mut self.sockets[id].draw(what));
        let pause = Duration::from_secs_f64(unit / rate);
        self.events.push(Event::new(self.now + pause, Kind::Socket as u8, purpose, id.0));
    }

    fn time_connection(&mut self, slot: u32, after: Duration, purpose: u32) {
        let at = self.now + after;
        if at < Time::NEVER {
            let ordinal = self.connections[slot].generation << purpose::BITS | purpose;
            self.events.push(Event::new(at, Kind::Socket as u8, ordinal, slot));
        }
    }

    /// Something about a socket is due.
    pub fn socket_event(&mut self, slot: u32, ordinal: u32) {
        let (generation, purpose) =
            (ordinal >> purpose::BITS, ordinal & ((1 << purpose::BITS) - 1));
        match purpose {
            purpose::OPEN => return self.client_comes(SocketId(slot)),
            purpose::MESSAGE => return self.say(SocketId(slot)),
            purpose::ANSWERS => return self.answers_late(slot),
            _ => {}
        }
        let client = *self.connections.peek(slot);
        if purpose == purpose::GONE {
            if client.until == self.now {
                self.disconnect(slot);
                self.connections.remove(slot);
            }
            return;
        }
        if client.generation != generation {
            return;
        }
        let spec = &self.model.sockets[client.socket];
        match purpose {
            purpose::TRY => self.try_to_connect(slot),
            purpose::LATE if client.link == Link::Connecting => {
                self.count(spec.station, Counter::TimedOut);
                self.come_back(slot);
            }
            purpose::PING => self.do_work(slot, callback::PING, spec.ping_cpu),
            purpose::IDLE if client.link == Link::Open => self.look_for_traffic(slot),
            purpose::SILENT if self.now.since(client.heard) >= spec.silence => {
                self.count(spec.station, Counter::Lost);
                self.come_back(slot);
            }
            _ => {}
        }
    }

    /// One more client.
    fn client_comes(&mut self, id: SocketId) {
        let spec = &self.model.sockets[id];
        self.come_again(id, purpose::OPEN, spec.opens);
        let (stream, draw) = self.sockets[id].next(draw::LASTS);
        let stays = spec.lasts.map(|law| self.model.draw_law(law, stream, draw));
        let until = stays.map_or(Time::NEVER, |stays| self.now + stays);
        let generation = self.generation();
        let client = Connection { socket: id, generation, until, ..Connection::default() };
        let slot = self.connections.insert(client);
        if let Some(stays) = stays {
            self.time_connection(slot, stays, purpose::GONE);
        }
        self.try_to_connect(slot);
    }

    /// A number that no connection has had for long.
    fn generation(&mut self) -> u32 {
        self.socket_generation = (self.socket_generation + 1) % GENERATIONS;
        self.socket_generation
    }

    /// The balancer chooses; all requests of the handshake must come to the same process.
    fn try_to_connect(&mut self, slot: u32) {
        let Connection { socket, .. } = self.connections[slot];
        let spec = &self.model.sockets[socket];
        self.count(spec.station, Counter::Arrivals);
        let condition = self.condition(UnitKind::Socket, socket.0);
        if condition.down || self.stumbles(condition.errors) {
            self.count(spec.station, Counter::Errors);
            return self.refused(slot);
        }
        let Some(first) = self.choose(spec.service, slot) else { return self.refused(slot) };
        for _ in 1..spec.requests {
            if self.choose(spec.service, slot) != Some(first) {
                // 400: another process does not know the session.
                self.count(spec.station, Counter::Errors);
                return self.refused(slot);
            }
        }
        let index = self.workers[first as usize].instance;
        if !self.has_room(index) {
            self.count(spec.station, Counter::Refused);
            return self.refused(slot);
        }
        let client = &mut self.connections[slot];
        (client.link, client.worker) = (Link::Connecting, first);
        self.hold(first, 1, spec.memory);
        self.time_connection(slot, spec.timeout, purpose::LATE);
        self.do_work(slot, callback::CONNECT, spec.connect_cpu);
    }

    /// The process that a request of a handshake comes to.
    fn choose(&mut self, service: ServiceId, slot: u32) -> Option<u32> {
        let socket = self.connections[slot].socket;
        let mut draws = self.sockets[socket].draw(draw::TARGET);
        let now = self.now;
        let spec = &self.model.services[service];
        let tries = if spec.health.next_upstream { spec.slots } else { 1 };
        for _ in 0..tries {
            let number = if spec.health.zonal { self.node_for(service, slot) } else { 0 };
            if spec.health.max_requests.is_some_and(|most| self.has_sent(service, number, most)) {
                return None; // an upgraded connection is a request that lasts
            }
            // Each request of a handshake comes over a connection of its own, where these are chosen for.
            let anew = spec.health.passes.is_some() && !spec.sticks();
            let state = &mut self.services[service];
            let node = &mut state.nodes[number];
            let key = u64::from(slot);
            let target = match anew {
                true => node.connects(key, false, now, || draws.next_u64())?,
                false => node.pick(key, now, || draws.next_u64())?,
            };
            let index = state.first_instance + target;
            let stream = self.sockets[socket].stream.numbered(u64::from(slot)).numbered(now.0);
            if self.instances[index as usize].phase.listens()
                && let Some(worker) = self.next_worker(index, stream)
            {
                return Some(worker);
            }
        }
        None
    }

    /// Whatever holds the connections of a socket drops them all.
    pub(super) fn drop_connections(&mut self, id: SocketId) {
        for slot in 0..self.connections.capacity() as u32 {
            let client = *self.connections.peek(slot);
            if client.socket == id && client.link != Link::None {
                self.count(self.model.sockets[id].station, Counter::Lost);
                self.come_back(slot);
            }
        }
    }

    /// An attempt has found nobody.
    fn refused(&mut self, slot: u32) {
        self.connections[slot].generation = self.generation();
        self.retry_later(slot);
    }

    /// A client that has lost its connection, or not got one in time, comes back.
    fn come_back(&mut self, slot: u32) {
        self.disconnect(slot);
        self.retry_later(slot);
    }

    fn retry_later(&mut self, slot: u32) {
        let Connection { socket, failed, .. } = self.connections[slot];
        let spec = &self.model.sockets[socket];
        let unit = self.sockets[socket].draw(draw::PAUSE).unit();
        let pause = spec.backoff.delay(failed.min(30), Duration::ZERO, unit).min(spec.longest);
        self.connections[slot].failed += 1;
        self.time_connection(slot, pause, purpose::TRY);
    }

    /// The connection of a client ends, whoever ends it.
    fn disconnect(&mut self, slot: u32) {
        let Connection { socket, link, worker, .. } = self.connections[slot];
        let generation = self.generation();
        let client = &mut self.connections[slot];
        (client.link, client.generation) = (Link::None, generation);
        if link == Link::None {
            return;
        }
        if link == Link::Open {
            let station = self.model.sockets[socket].station;
            self.count(station, Counter::Closed);
            self.meters[station].held.add(self.now, -1);
            self.sockets[socket].open -= 1;
            let place = self.place_of_worker(worker);
            self.sockets[socket].held[place] -= 1;
        }
        let bytes = self.model.sockets[socket].memory;
        self.hold(worker, -1, bytes);
        let index = self.workers[worker as usize].instance;
        if self.instances[index as usize].phase.runs() {
            self.accept_waiting(index);
            self.stop_if_drained(index);
        }
    }

    /// A client is connected; the first ping comes after so long.
    fn client_connected(&mut self, slot: u32, first_ping: Duration) {
        let now = self.now;
        let client = &mut self.connections[slot];
        (client.link, client.failed, client.heard) = (Link::Open, 0, now);
        let Connection { socket, worker, .. } = *client;
        let spec = &self.model.sockets[socket];
        self.count(spec.station, Counter::Opened);
        self.meters[spec.station].held.add(now, 1);
        self.sockets[socket].open += 1;
        let place = self.place_of_worker(worker);
        self.sockets[socket].held[place] += 1;
        self.time_connection(slot, first_ping, purpose::PING);
        self.time_connection(slot, spec.silence, purpose::SILENT);
        if let Some(idle) = spec.idle {
            self.time_connection(slot, idle, purpose::IDLE);
        }
    }

    /// A callback for a connection, at the process that holds it.
    fn do_work(&mut self, slot: u32, what: u16, law: crate::model::ids::LawId) {
        let Connection { socket, worker, generation, .. } = self.connections[slot];
        let (stream, draw) = self.sockets[socket].next(draw::WORK);
        let work = self.model.draw_law(law, stream, draw);
        let entry = self.model.sockets[socket].callback;
        let client = Callback { what, owner: slot, ordinal: generation, ..Callback::default() };
        self.call_back(worker, entry, work, client);
    }

    fn call_back(&mut self, worker: u32, entry: Pc, work: Duration, what: Callback) {
        let index = self.workers[worker as usize].instance;
        let work = self.pace(worker, index, work);
        let task = self.new_task(Task {
            since: self.now,
            deadline: Time::NEVER,
            work,
            pc: entry,
            owner: what.owner,
            owner_epoch: what.what,
            ordinal: what.ordinal,
            user: what.members,
            worker,
            stream: what.stream,
            row: NONE,
            role: Role::Socket,
            state: State::Away,
            status: OK,
            parked: OK,
            // Its computation is given, not drawn.
            flags: flag::SLICED,
            ..Task::default()
        });
        self.resume(task);
    }

    /// A callback of a socket has ended.
    pub(super) fn socket_done(&mut self, task: u32) {
        let record = self.tasks[task];
        self.end_task(task);
        match record.owner_epoch {
            callback::CONNECT | callback::PING => self.connection_served(&record),
            callback::RECEIVE => self.pass_on_message(record.owner, record.worker, record.user),
            callback::HANDLE => self.message_handled(&record),
            callback::ASKED => self.answered(&record),
            callback::HEARD => self.heard(&record),
            callback::PUBLISH => self.published(&record),
            callback::COMES => self.read_message(record.owner, record.worker),
            callback::GOES => self.delivered(record.owner, record.user),
            _ => self.written(record.owner, record.worker, record.user),
        }
    }

    fn connection_served(&mut self, record: &Task) {
        let slot = record.owner;
        let client = *self.connections.peek(slot);
        if client.generation != record.ordinal || client.link == Link::None {
            // The client has gone meanwhile.
            return;
        }
        let spec = &self.model.sockets[client.socket];
        if record.owner_epoch == callback::CONNECT {
            return self.client_connected(slot, spec.ping_interval);
        }
        self.connections[slot].heard = self.now;
        self.time_connection(slot, spec.ping_interval, purpose::PING);
        self.time_connection(slot, spec.silence, purpose::SILENT);
    }

    /// Somebody who is connected says something.
    fn say(&mut self, id: SocketId) {
        let spec = &self.model.sockets[id];
        self.come_again(id, purpose::MESSAGE, spec.messages);
        if self.sockets[id].open == 0 {
            return;
        }
        // One of those who are connected, chosen by their places at the processes.
        let state = &mut self.sockets[id];
        let mut place = state.draw(draw::SENDER).below(state.open);
        let at = state.held.iter().position(|held| match place.checked_sub(*held) {
            Some(rest) => {
                place = rest;
                false
            }
            None => true,
        });
        let at = at.expect("who is connected is held somewhere") as u32;
        let first = self.services[spec.service].first_instance;
        let worker = self.instances[first as usize].first_worker + at;
        self.carry_messages(id, 1);
        if spec.too_large {
            return self.close_too_large(id, worker, place);
        }
        self.count(spec.station, Counter::Reads);
        let message = Message { socket: id, sent: self.now, left: 1, ..Message::default() };
        let owner = self.messages.insert(message);
        if !self.send_over_link(worker, (owner, callback::COMES), 1) {
            self.read_message(owner, worker);
        }
    }

    /// How many members of a room are at a process: its share of them.
    fn members_at(&mut self, id: SocketId, place: usize) -> u32 {
        let spec = &self.model.sockets[id];
        let state = &mut self.sockets[id];
        let (held, open) = (state.held[place], state.open.max(1));
        match spec.room {
            None => held,
            Some(room) => {
                let share = f64::from(room.min(open)) * f64::from(held) / f64::from(open);
                let unit = state.draw(draw::MEMBERS).unit();
                share as u32 + u32::from(unit < share - f64::from(share as u32))
            }
        }
    }

    /// Members at a process have been written to: they have it, or it is on the way to them.
    fn written(&mut self, owner: u32, worker: u32, members: u32) {
        if !self.send_over_link(worker, (owner, callback::GOES), members) {
            self.delivered(owner, members);
        }
    }

    /// Members have a message, which may be everywhere by now.
    fn delivered(&mut self, owner: u32, members: u32) {
        let message = &mut self.messages[owner];
        message.left -= 1;
        let Message { socket, sent, left, .. } = *message;
        let late = self.now.since(sent).0 / Duration::micros(1).0;
        if members > 0 && self.model.sockets[socket].room.is_none() {
            self.sockets[socket].broadcast = self.now;
        }
        self.carry_messages(socket, members);
        let meter = &mut self.meters[self.model.sockets[socket].station];
        meter.add(Counter::Served, u64::from(members));
        meter.add(Counter::Replayed, u64::from(members));
        meter.add(Counter::LagMicros, late * u64::from(members));
        if left == 0 {
            self.messages.remove(owner);
        }
    }

    /// A process is gone, or has closed its sockets: its clients come back.
    pub(super) fn lose_sockets(&mut self, worker: u32) {
        if self.sockets.is_empty() {
            return;
        }
        for slot in 0..self.connections.capacity() as u32 {
            let client = *self.connections.peek(slot);
            if client.link != Link::None && client.worker == worker {
                self.come_back(slot);
            }
        }
    }

    /// A callback of a socket dies with its process: what it would have written is not.
    pub(super) fn socket_died(&mut self, record: &Task) {
        if record.owner_epoch == callback::HANDLE {
            let socket = self.messages[record.owner].socket;
            self.count(self.model.sockets[socket].station, Counter::Unhandled);
        }
        if record.owner_epoch >= callback::RECEIVE {
            self.delivered(record.owner, 0);
        }
    }
}

/// What a callback is for.
#[derive(Clone, Copy, Default)]
struct Callback {
    what: u16,
    owner: u32,
    ordinal: u32,
    members: u32,
    /// The root of its random numbers.
    stream: StreamKey,
}

fn of(record: &Task) -> Callback {
    let Task { owner, ordinal, user, .. } = *record;
    Callback { owner, ordinal, members: user, ..Callback::default() }
}
