//! Drivers that wait no longer for the answer to a statement (pg 8.16.3 `client.js`, `query_timeout`).
//!
//! The timer begins as the statement is sent. When it ends the promise is rejected, and `pool.query`
//! releases the connection with the error: the pool closes it, and as it has a statement under way its
//! socket is destroyed. The server does not notice before it has something to say: it goes on with the
//! statement for nobody, its locks held and its connection counted, until it ends. Who gives the client
//! back as it is has the next statement wait in it (`pool/unanswered.rs`).
//!
//! asyncpg (0.32.0 `protocol.pyx`, `_request_cancel`; `command_timeout`) asks the server to cancel the
//! statement, over another connection: a round trip of TCP, one that asks for TLS, and half of one. Who
//! gives the connection back waits until the server has answered on it, and keeps it.

use super::failover::Presence;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::Model;
use crate::model::ids::PoolId;
use crate::model::tape::Pc;
use crate::run::event::Kind;
use crate::run::meter::{Counter, Part};
use crate::run::pool::Unanswered;
use crate::run::task::{Lease, NONE, OK, State, Task, flag};
use crate::run::world::World;
use crate::units::{Duration, Time};

/// Statements whose answers are not waited for for ever, by their task.
#[derive(Default)]
pub struct Asked {
    /// Until when, and where on the tape the statement stands.
    until: Vec<(Time, Pc)>,
    /// Since when.
    since: Vec<Time>,
    /// What the row of the task said when it asked: a row for each task, one after the other.
    before: Vec<u64>,
}

impl Asked {
    /// Nothing has been asked yet; [`None`] where every driver is patient.
    pub fn new(model: &Model) -> Option<Box<Asked>> {
        let impatient = model.pools.iter().any(|pool| pool.query_timeout.is_some())
            || model.poolers.iter().filter_map(|it| it.times).any(|its| its.gives_up());
        impatient.then(Box::default)
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A statement is sent: its driver may not wait for ever.
    pub(super) fn await_answer(&mut self, task: u32) {
        let record = self.tasks[task];
        let kind = self.pools[record.lease().pool as usize].kind;
        let until = self.model.pools[kind].query_timeout.map(|timeout| self.now + timeout);
        let asked = self.asked.as_mut().expect("somebody is impatient");
        let place = task as usize;
        if asked.until.len() <= place {
            asked.until.resize(place + 1, (Time::NEVER, Pc(0)));
            asked.since.resize(place + 1, Time::ZERO);
        }
        asked.until[place] = (until.unwrap_or(Time::NEVER), record.pc);
        asked.since[place] = self.now;
        if record.row != NONE {
            self.attribution.keep(record.row, place, &mut asked.before);
        }
        if let Some(until) = until {
            self.at_task(until, Kind::QueryTimeout, task);
        }
    }

    /// When the server hears that a statement which comes to it now is to be cancelled.
    #[inline]
    pub(super) fn cancelled_at(&self, task: u32, kind: PoolId) -> Time {
        let Some(asked) = self.asked.as_ref().filter(|_| self.model.pools[kind].cancels) else {
            return Time::NEVER;
        };
        match asked.until.get(task as usize) {
            Some((until, _)) if *until < Time::NEVER => {
                let rtt = self.statement_rtt(task);
                (*until + rtt + rtt + rtt.half()).max(self.now)
            }
            _ => Time::NEVER,
        }
    }

    /// A driver that has the server cancel its statement has waited for long enough: whatever the
    /// statement comes to now, it has failed. What is on the cores goes on until the server hears.
    fn given_up(&mut self, task: u32, at: Pc) {
        let record = &mut self.tasks[task];
        if record.status != OK {
            return;
        }
        match record.state {
            State::Answering => (record.status, record.pc) = (Failure::QueryTimeout as u8, at),
            State::InDatabase | State::Storing => record.status = Failure::StatementTimeout as u8,
            _ => {}
        }
    }

    /// Why a statement has failed that its server cancelled: by its own limit, or for its driver.
    pub(in crate::run) fn cancelled_for(&self, task: u32, why: Failure) -> Failure {
        let until = self.asked.as_ref().and_then(|asked| asked.until.get(task as usize));
        match (why, until) {
            (Failure::StatementTimeout, Some((until, _))) if *until <= self.now => {
                Failure::QueryTimeout
            }
            _ => why,
        }
    }

    /// Whether the statement that a task has sent then is still under way.
    fn is_asking(&self, record: &Task, at: Pc) -> bool {
        match record.state {
            State::Away
            | State::StatementQueue
            | State::PoolerQueue
            | State::LockQueue
            | State::InDatabase
            | State::Storing => record.pc == at,
            // The tape stands behind a statement that has succeeded.
            State::Answering => record.pc == at || record.pc.0 == at.0 + 1,
            _ => false,
        }
    }

    /// A driver has waited for long enough, unless the answer has been seen.
    pub fn query_timeout(&mut self, task: u32, ordinal: u32) {
        let record = *self.tasks.peek(task);
        let asked = self.asked.as_ref().expect("somebody is impatient");
        let (until, at) = asked.until[task as usize];
        if record.ordinal == ordinal
            && until == self.now
            && record.leases[0].pool != NONE
            && (record.pc == at || record.pc.0 == at.0 + 1)
            && self.is_answered_unseen(&record)
        {
            let failing = &mut self.tasks[task];
            (failing.status, failing.pc) = (Failure::QueryTimeout as u8, at);
            return;
        }
        let current = record.state != State::Free
            && record.ordinal == ordinal
            && record.leases[0].pool != NONE
            && until == self.now
            && !record.has(flag::GHOST)
            && self.is_asking(&record, at);
        if !current {
            return;
        }
        let lease = record.lease();
        let sub = &self.pools[lease.pool as usize];
        let (node, kind) = (sub.node, sub.kind);
        if self.model.pools[kind].cancels {
            return self.given_up(task, at);
        }
        let heir = match record.state {
            State::PoolerQueue => {
                self.leave_pooler_queue(task);
                task
            }
            State::StatementQueue => {
                self.leave_statement_queue(task);
                task
            }
            _ => self.give_statement_up(task, lease),
        };
        self.charge(heir, task, node);
        self.tasks[heir].status = OK;
        self.resume_failed(heir, Failure::QueryTimeout);
    }

    /// A statement goes on for nobody. Its connection is cut off from it, or waits for its end if the
    /// application keeps it. The number under which its task goes on.
    fn give_statement_up(&mut self, task: u32, lease: Lease) -> u32 {
        let spec = &self.model.pools[self.pools[lease.pool as usize].kind];
        let keeps = !self.discards(task, spec, Failure::QueryTimeout);
        let heir = self.disown_statement(task);
        let runs = self.tasks[task].leases_held() > 0;
        if runs && !keeps {
            self.client_has_left(task);
        }
        let sub = &mut self.pools[lease.pool as usize];
        let connection = lease.connection;
        if runs && keeps {
            sub.unanswered.push(Unanswered { connection, ghost: task, next: NONE });
        } else if sub.is_cut(connection).is_none() {
            sub.cut.push((connection, Failure::QueryTimeout));
        }
        heir
    }

    /// The connection of a statement's client has closed: where the server looks for that, the statement
    /// ends at the next multiple of `client_connection_check_interval` from when it began to run, or to
    /// wait for a lock (postgres.c `ProcessInterrupts`, CheckClientConnectionPending).
    pub(in crate::run) fn client_has_left(&mut self, task: u32) {
        let record = self.tasks[task];
        let kind = self.pools[record.lease().pool as usize].kind;
        let database = self.model.pools[kind].database;
        let Some(every) = self.model.databases[database].client_check else { return };
        if !matches!(record.state, State::InDatabase | State::LockQueue) {
            return;
        }
        let looked = self.now.since(record.since).0 / every.0;
        let next = record.since + Duration((looked + 1) * every.0);
        if next < record.deadline {
            self.tasks[task].deadline = next;
            self.at_task(next, Kind::StatementTimeout, task);
        }
    }

    /// Whatever has been noted since the statement was sent, its sender has waited for the server.
    pub(in crate::run) fn charge(&mut self, heir: u32, asked_as: u32, node: u32) {
        let row = self.tasks[heir].row;
        let station = self.station_of_node(node);
        if row != NONE {
            let asked = self.asked.as_ref().expect("somebody is impatient");
            let waited = self.now.since(asked.since[asked_as as usize]);
            self.attribution.put_back(row, asked_as as usize, &asked.before);
            self.attribution.spend(row, station, Part::Wait, waited);
        }
    }

    /// What is under way for a statement goes on as a ghost with the server's end of the connection.
    /// The number under which its task goes on.
    pub(in crate::run) fn disown_statement(&mut self, task: u32) -> u32 {
        let record = self.tasks[task];
        let lease = record.lease();
        let heir = self.succeed(task);
        if Q::TELLS {
            self.tell_split(task, heir);
        }
        self.tasks[heir].deadline = Time::NEVER;
        let sub = &self.pools[lease.pool as usize];
        let node = sub.node;
        let there = match &sub.behind {
            Some(_) => self.orphan_server(lease),
            None => sub.is_cut(lease.connection).is_none(),
        };
        let gone = !there || self.node_mut(node).presence != Presence::Up;
        // Nothing comes for who waited for a lock on a connection that its server has ended.
        let ends = gone && self.waits_no_longer(task);
        self.tasks[task] = self.tasks[task].ghost();
        if ends {
            self.tasks[task].state = State::Away;
            self.at_task(self.now, Kind::Resume, task);
        }
        if gone {
            self.release_locks(task);
            return heir;
        }
        self.tasks[task].push_lease(lease);
        if record.state != State::Answering {
            self.count(self.station_of_node(node), Counter::Wasted);
        }
        heir
    }
}
