//! Connections that are being opened: how long that takes, and what comes of it.

use super::{Cut, SubPool};
use crate::component::pool::{ConnectFailed, Connected, Connection, Heard, Released};
use crate::component::tcp::Packet;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::UnitKind;
use crate::run::database::{Presence, SYN_PATIENCE};
use crate::run::meter::Counter;
use crate::run::task::Lease;
use crate::run::world::World;
use crate::units::{Duration, Time};

/// What a server makes of a connection that is being opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::run) enum Opening {
    /// It has a slot.
    Granted,
    /// It has a slot, at a pooler whose core has still to log its client in.
    LogsIn,
    /// There are too many already.
    Full,
    /// There is no server.
    Nobody,
    /// Nobody has answered: by then its first packet is repeated, and somebody will.
    Repeated,
}

/// A connection that is being opened.
#[derive(Clone, Copy)]
pub(in crate::run) struct Begun {
    /// Which.
    pub connection: Connection,
    /// What comes of it.
    pub how: Opening,
    /// When its client gives up on it.
    pub patience: Time,
    /// CPU time that its server has still to spend on it.
    pub cpu: Duration,
}

impl Opening {
    pub(super) fn is_granted(self) -> bool {
        matches!(self, Opening::Granted | Opening::LogsIn)
    }
}

impl SubPool {
    /// Connections being opened that have a slot at their server.
    pub fn opening_granted(&self) -> u32 {
        self.opening.iter().filter(|it| it.how.is_granted()).count() as u32
    }
    /// The server is gone: nothing of what is being opened will be.
    pub fn lose_openings(&mut self, silent: bool) {
        let how = if silent { Opening::Repeated } else { Opening::Nobody };
        self.opening.iter_mut().for_each(|it| it.how = how);
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A connection begins to open, after something else: TCP, TLS, authentication, a new server
    /// process. Beyond `max_connections` the server answers with an error at once.
    pub(in crate::run) fn connect(&mut self, sub: u32, connection: Connection, after: Duration) {
        let timeout = self.model.pools[self.pools[sub as usize].kind].connect_timeout;
        let patience = timeout.map_or(Time::NEVER, |timeout| self.now + after + timeout);
        let cpu = Duration::ZERO;
        let begun = Begun { connection, how: Opening::Granted, patience, cpu };
        match self.pools[sub as usize].behind {
            Some(_) => self.connect_to_pooler(sub, begun, after),
            None => self.reach(sub, begun, after),
        }
    }

    /// The first packet of a connection sets out to the server.
    fn reach(&mut self, sub: u32, begun: Begun, after: Duration) {
        let state = &self.pools[sub as usize];
        let (node, kind, number) = (state.node, state.kind, state.connects);
        let repeats = self.repeated_for(node, Packet::Syn);
        let stream = self.sub_pool_stream(sub).named("connect");
        let database = &self.model.databases[self.model.pools[kind].database];
        let condition = self.condition(UnitKind::Pool, kind.0);
        let passage = self.passage_of_connect(sub);
        let broken = condition.down || passage.lost || self.stumbles(condition.errors);
        let presence = self.node_mut(node).presence;
        let how = match presence {
            _ if broken => Opening::Nobody,
            Presence::Up if self.take_slot(node) => Opening::Granted,
            Presence::Up => Opening::Full,
            Presence::Silent if repeats < SYN_PATIENCE => Opening::Repeated,
            _ => Opening::Nobody,
        };
        let law = if how == Opening::Granted { database.connect } else { database.rtt };
        let far = self.model.draw_law(self.pools[sub as usize].route, stream, number);
        let alone = self.model.draw_law(law, stream, number);
        let cpu =
            if how == Opening::Granted { alone.min(database.connect_cpu) } else { Duration::ZERO };
        // Three round trips beyond those within a region: TCP, TLS, authentication.
        let took = after
            + match presence {
                Presence::Silent => repeats,
                Presence::Refusing => alone + far,
                Presence::Up => alone - cpu + far + far + far,
            };
        let took = condition.stretch(took) + passage.late;
        self.begin_opening(sub, Begun { how, cpu, ..begun }, took);
    }

    /// A connection is open, or was refused, unless the pool has stopped waiting for it.
    pub fn connected(&mut self, sub: u32, number: u32) {
        if let Some(pooler) = sub.checked_sub(self.pools.len() as u32) {
            return self.server_connected(pooler, number);
        }
        let opening = &mut self.pools[sub as usize].opening;
        let place = opening.iter().position(|it| number_of(it.connection) == number);
        let Some(place) = place else { return };
        let too_slow = self.now >= opening[place].patience;
        if opening[place].how == Opening::LogsIn && !too_slow {
            opening[place].how = Opening::Granted;
            return self.log_in(sub, number);
        }
        let cpu = std::mem::take(&mut opening[place].cpu);
        if opening[place].how == Opening::Granted && !cpu.is_zero() && !too_slow {
            let node = self.pools[sub as usize].node;
            return self.start_backend(node, sub, number, cpu);
        }
        let begun = opening.swap_remove(place);
        let Begun { connection, how, .. } = begun;
        let station = self.model.pools[self.pools[sub as usize].kind].station;
        if how == Opening::Repeated && !too_slow {
            self.meters[station].held.add(self.now, -1);
            return self.reach(sub, begun, Duration::ZERO);
        }
        if too_slow {
            self.opening_too_slow(sub, how);
            let failed = self.pools[sub as usize].pool.connect_failed(self.now, connection);
            self.connect_failed(sub, failed, Failure::AcquireTimeout);
            return self.arm_pool(sub);
        }
        if how != Opening::Granted {
            let database = self.database_of(self.pools[sub as usize].node);
            self.count(station, Counter::Refused);
            if self.pools[sub as usize].behind.is_none() {
                self.count(self.model.databases[database].station, Counter::Refused);
            }
            self.meters[station].held.add(self.now, -1);
            let failed = self.pools[sub as usize].pool.connect_failed(self.now, connection);
            let why = match how {
                Opening::Full => Failure::TooManyConnections,
                _ => Failure::DatabaseDown,
            };
            self.connect_failed(sub, failed, why);
            return self.arm_pool(sub);
        }
        self.count(station, Counter::Opened);
        self.client_is_there(Lease { pool: sub, connection });
        match self.pools[sub as usize].pool.connected(self.now, connection) {
            // No callback of this process is running: the waiter's own becomes ready.
            Connected::Granted { task }
            | Connected::Unclaimed(Released::Handed { task } | Released::Passed { task }) => {
                self.leave(task, station);
                self.granted(task, sub, connection);
                self.resume(task);
            }
            Connected::Unclaimed(released) => {
                self.released(sub, connection, released);
            }
            Connected::Stale => unreachable!("what is being opened is known to the pool"),
        }
        self.arm_pool(sub);
    }

    /// An opening is given up on by its client: its server hears of that, if it knows of it.
    fn opening_too_slow(&mut self, sub: u32, how: Opening) {
        let station = self.model.pools[self.pools[sub as usize].kind].station;
        self.count(station, Counter::TimedOut);
        if how.is_granted() {
            self.start_closing(sub, Cut::No, Heard::No);
        } else {
            self.meters[station].held.add(self.now, -1);
        }
    }

    /// An opening has failed: its owner hears of it, the queue is served once.
    pub(super) fn connect_failed(&mut self, sub: u32, failed: Option<ConnectFailed>, why: Failure) {
        let Some(ConnectFailed { owner, served }) = failed else { return };
        if let Some(served) = served {
            self.served(sub, served);
        }
        if let Some(task) = owner {
            self.leave(task, self.model.pools[self.pools[sub as usize].kind].station);
            self.resume_failed(task, why);
        }
    }
}

/// A connection as an event's ordinal: 14 bits of slot, 17 of generation. Only openings are told
/// apart by it, and no pool opens 131,072 connections in one slot while one of them is opening.
pub(super) fn number_of(connection: Connection) -> u32 {
    (connection.generation & 0x1_ffff) << 14 | connection.slot
}
