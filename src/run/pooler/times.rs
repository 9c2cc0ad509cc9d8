//! How long the clients of a pooler may take: for a statement, between two, and for nothing at all.
//!
//! PgBouncer (git 13a344f, `janitor.c`) looks three times a second. A statement that takes too long is
//! given up: whoever waits for a connection is disconnected, and where it runs already, the connection to
//! the server is closed, of which the server learns when it has something to say (`disconnect_server`). A
//! transaction that lies idle loses both of its connections, and the server rolls it back. A client that
//! has no connection to the server is idle since its last packet (`request_time`), not since its answer.
//! RDS Proxy and Supavisor know idle clients alone, since the end of what they asked for.

use crate::component::pool::{Connection, Heard};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::tape::{Op, Pc};
use crate::model::{ClientTimes, PoolMode};
use crate::run::meter::Counter;
use crate::run::pool::Cut;
use crate::run::task::{Lease, NONE, OK, State};
use crate::run::world::World;
use crate::units::Time;

/// What a client of a pooler is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doing {
    /// It is not there, or may be at that for as long as it likes.
    Nothing,
    /// It asks for nothing.
    Rests,
    /// It waits for an answer.
    Asks,
    /// It has a transaction open, and asks for nothing.
    Pauses,
}

/// A client's connection to a pooler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Client {
    doing: Doing,
    since: Time,
    /// When the transaction began that it is in.
    begun: Time,
    /// Told from others at its place.
    generation: u32,
    /// Whose statement it is, or was.
    task: u32,
}

/// Nobody is connected.
const NOBODY: Client = Client {
    doing: Doing::Nothing,
    since: Time::ZERO,
    begun: Time::ZERO,
    generation: 0,
    task: NONE,
};

impl Client {
    fn due(&self, times: &ClientTimes) -> Option<Time> {
        let whole = times.transaction.filter(|_| self.is_within());
        self.due_by_itself(times).into_iter().chain(whole.map(|most| self.begun + most)).min()
    }
    /// The same, of what it is at alone.
    fn due_by_itself(&self, times: &ClientTimes) -> Option<Time> {
        let most = match self.doing {
            Doing::Nothing => None,
            Doing::Rests => times.idle,
            Doing::Asks => times.query,
            Doing::Pauses => times.between,
        };
        most.map(|most| self.since + most)
    }
    /// It is in a transaction, if only of one statement.
    fn is_within(&self) -> bool {
        matches!(self.doing, Doing::Asks | Doing::Pauses)
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// How long the clients of a pooler may take, where that is limited.
    #[inline]
    pub(super) fn times(&self, number: u32) -> Option<ClientTimes> {
        self.model.poolers[self.poolers[number as usize].kind].times
    }

    fn client(&mut self, lease: Lease) -> &mut Client {
        let behind = self.pools[lease.pool as usize].behind.as_mut().expect("it has a pooler");
        let place = lease.connection.slot as usize;
        if behind.clients.len() <= place {
            behind.clients.resize(place + 1, NOBODY);
        }
        &mut behind.clients[place]
    }

    /// A client is at something from then on.
    fn client_is_at(&mut self, lease: Lease, doing: Doing, since: Time, task: u32) {
        let number = self.pools[lease.pool as usize].behind.as_ref().expect("it has one").pooler;
        let Some(times) = self.times(number) else { return };
        let generation = lease.connection.generation;
        let place = self.client(lease);
        let goes_on = place.generation == generation && place.is_within();
        let begun = if goes_on { place.begun } else { since };
        let client = Client { doing, since, begun, generation, task };
        *place = client;
        let Some(due) = client.due(&times) else { return };
        let state = &mut self.poolers[number as usize];
        let at = state.pool.looked_at(due);
        if at < state.look_at {
            state.look_at = at;
            self.arm_pooler_at(number, at);
        }
    }

    /// A client has connected.
    pub(in crate::run) fn client_is_there(&mut self, lease: Lease) {
        if self.pools[lease.pool as usize].behind.is_some() {
            self.client_is_at(lease, Doing::Rests, self.now, NONE);
        }
    }

    /// A client is there no more.
    pub(super) fn client_is_gone(&mut self, lease: Lease) {
        self.client_is_at(lease, Doing::Nothing, self.now, NONE);
    }

    /// A statement reaches its pooler. Says no if that has disconnected its client meanwhile.
    pub(super) fn client_asks(&mut self, task: u32, lease: Lease) -> bool {
        if let Some(why) = self.pools[lease.pool as usize].is_cut(lease.connection) {
            self.tasks[task].status = why as u8;
            return false;
        }
        self.client_is_at(lease, Doing::Asks, self.now, task);
        true
    }

    /// Whether a client that keeps its connection to the server never counts as idle.
    fn spares_sessions(&self, number: u32) -> bool {
        let spec = &self.model.poolers[self.poolers[number as usize].kind];
        spec.mode == PoolMode::Session && spec.config.pgbouncer
    }

    /// An answer passes the pooler.
    pub(super) fn client_answered(&mut self, task: u32, lease: Lease, open: bool) {
        let asked = *self.client(lease);
        if asked.doing != Doing::Asks {
            return; // it has been disconnected
        }
        let number = self.pooler_of(task);
        let its = &self.model.poolers[self.poolers[number as usize].kind];
        let since = if its.config.pgbouncer { asked.since } else { self.now };
        let (doing, since) = match open && its.mode != PoolMode::Statement {
            true => (Doing::Pauses, self.now),
            false if self.spares_sessions(number) => (Doing::Nothing, self.now),
            false => (Doing::Rests, since),
        };
        self.client_is_at(lease, doing, since, task);
    }

    /// A client's connection goes back to its pool, or is closed.
    pub(super) fn client_rests(&mut self, lease: Lease, stays: bool) {
        if !stays {
            return self.client_is_gone(lease);
        }
        let number = self.pools[lease.pool as usize].behind.as_ref().expect("it has one").pooler;
        let spares = self.spares_sessions(number);
        let client = *self.client(lease);
        if matches!(client.doing, Doing::Asks | Doing::Pauses) {
            let doing = if spares { Doing::Nothing } else { Doing::Rests };
            self.client_is_at(lease, doing, self.now, NONE);
        }
    }

    /// Clients of a pooler that have taken too long are disconnected.
    pub(super) fn look_at_clients(&mut self, number: u32) {
        let Some(times) = self.times(number).filter(|_| self.is_to_look(number)) else { return };
        let mut next = Time::NEVER;
        let mut late = Vec::new();
        for (pool, sub) in self.pools.iter().enumerate() {
            let Some(behind) = sub.behind.as_ref().filter(|it| it.pooler == number) else {
                continue;
            };
            for (slot, client) in behind.clients.iter().enumerate() {
                let Some(due) = client.due(&times) else { continue };
                let connection = Connection { slot: slot as u32, generation: client.generation };
                let at = self.poolers[number as usize].pool.looked_at(due);
                let state = &self.poolers[number as usize].pool;
                let waits = client.doing == Doing::Asks
                    && self.tasks.peek(client.task).state == State::PoolerQueue;
                let own = client.due_by_itself(&times).map(|due| state.looked_at(due));
                if at <= self.now && waits && own.is_none_or(|own| own > self.now) {
                    // Its transaction is too old, but only those with a connection are looked at.
                    next = next.min(state.looked_at(Time(self.now.0 + 1)));
                } else if at <= self.now {
                    late.push((Lease { pool: pool as u32, connection }, *client));
                } else {
                    next = next.min(at);
                }
            }
        }
        self.poolers[number as usize].look_at = next;
        for (lease, client) in late {
            // What has befallen another may have changed it.
            if *self.client(lease) == client {
                self.client_too_slow(number, lease, client);
            }
        }
    }

    fn is_to_look(&self, number: u32) -> bool {
        self.poolers[number as usize].look_at <= self.now
    }

    /// A client has taken too long.
    fn client_too_slow(&mut self, number: u32, lease: Lease, client: Client) {
        self.client_is_gone(lease);
        let sub = &self.pools[lease.pool as usize];
        if !sub.pool.is_open(lease.connection) || sub.is_cut(lease.connection).is_some() {
            return; // it had gone by itself
        }
        let station = self.station_of_pooler(number);
        if client.doing == Doing::Rests {
            self.count(station, Counter::TimedOut);
            return self.disconnect_idle(lease);
        }
        let record = *self.tasks.peek(client.task);
        let holds = record.state != State::Free
            && record.leases_held() > 0
            && record.lease() == lease
            && record.worker != NONE;
        if !holds {
            return;
        }
        self.count(station, Counter::TimedOut);
        match client.doing {
            Doing::Asks => self.statement_too_slow(client.task),
            _ => self.pause_too_long(client.task, lease),
        }
    }

    /// A client that asks for nothing is disconnected. Its pool hears of it, or whoever uses it next does.
    fn disconnect_idle(&mut self, lease: Lease) {
        let sub = lease.pool;
        self.client_lets_go(lease, false);
        let watched = !self.keeps_cut_ones(sub);
        let state = &mut self.pools[sub as usize];
        if watched && state.pool.sever(lease.connection) {
            self.start_closing(sub, Cut::Yes, Heard::No);
            return self.arm_pool(sub);
        }
        state.cut.push((lease.connection, Failure::DatabaseDown));
    }

    /// A statement has waited, or run, for too long: its client is disconnected, and it goes on for
    /// nobody where it runs.
    fn statement_too_slow(&mut self, task: u32) {
        let record = self.tasks[task];
        if record.state == State::PoolerQueue {
            self.leave_pooler_queue(task);
            return self.turn_out(task, Failure::QueryTimeout);
        }
        let node = self.pools[record.lease().pool as usize].node;
        let heir = self.disown_statement(task);
        self.charge(heir, task, node);
        let given_up = &mut self.tasks[heir];
        if record.state == State::Answering && record.status == OK {
            given_up.pc = Pc(record.pc.0 - 1); // it stood behind the statement already
        }
        given_up.status = OK;
        self.turn_out(heir, Failure::QueryTimeout);
    }

    /// A transaction has lain idle for too long: it is rolled back, and its client finds that out.
    fn pause_too_long(&mut self, task: u32, lease: Lease) {
        self.release_locks(task);
        self.drop_server(lease);
        self.pools[lease.pool as usize].cut.push((lease.connection, Failure::IdleTransaction));
        let sent =
            self.tasks[task].state == State::Away && matches!(self.op_at(task), Op::Query { .. });
        if sent {
            self.tasks[task].status = Failure::IdleTransaction as u8;
        }
    }
}
