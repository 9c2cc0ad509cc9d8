//! Idle connections that their server has cut, in pools that do not watch them.
//!
//! node-postgres and asyncpg hear of the end of a socket at once, and take the connection out of the
//! pool. SQLAlchemy and psycopg_pool lend it: whoever gets it finds out. SQLAlchemy's pool then
//! replaces all others from before at their next checkout, so that one stop costs one error; a ping
//! (`pre_ping`) that fails costs none, as the connection is opened anew within the checkout
//! (2.1.9, pool/base.py, `_ConnectionFairy._checkout`).

use crate::component::pool::{Connection, Driver, Heard};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::tape::{Op, Statement};
use crate::run::meter::{Counter, MILLI};
use crate::run::task::{Lease, OK, State};
use crate::run::world::World;
use crate::units::Duration;

use super::{Cut, SubPool};

impl SubPool {
    /// Whether the server has cut a connection that is about to be closed, or keeps its end of it until
    /// a statement has ended; asked once.
    pub(in crate::run) fn how_cut(&mut self, connection: Connection) -> Cut {
        let gone = self.take_cut(connection) || self.leave_to_server(connection);
        if gone { Cut::Yes } else { Cut::No }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether a pool goes on to lend idle connections that its server has cut.
    pub(in crate::run) fn keeps_cut_ones(&self, sub: u32) -> bool {
        !self.pools[sub as usize].pool.config().driver.notices_cuts()
    }

    /// The server has cut all idle connections of a pool that does not notice. Says how many.
    pub(in crate::run) fn cut_idle(&mut self, sub: u32, why: Failure) -> u32 {
        let state = &mut self.pools[sub as usize];
        let before = state.cut.len();
        for idle in state.pool.idle_ones() {
            if !state.cut[..before].iter().any(|(known, _)| *known == idle) {
                state.cut.push((idle, why));
            }
        }
        (state.cut.len() - before) as u32
    }

    /// The server of a pool that was cut has one connection less, if it is the server's own.
    pub(in crate::run) fn free_slot_behind(&mut self, sub: u32) {
        let state = &self.pools[sub as usize];
        let node = state.node;
        if state.behind.is_none() {
            self.free_slot(node);
        }
    }

    /// Whether a statement that has to do with the connection itself is not sent: a new one is not tried
    /// out, and asyncpg gives one that has closed back as it is (pool.py, `release`: `is_closed`).
    #[inline]
    pub(in crate::run) fn is_spared(&self, task: u32, kind: Statement) -> bool {
        let lease = || self.tasks[task].lease();
        match kind {
            Statement::Ping => {
                let Lease { pool, connection } = lease();
                self.pools[pool as usize].pool.is_fresh(connection)
            }
            Statement::Reset => {
                let Lease { pool, connection } = lease();
                let sub = &self.pools[pool as usize];
                sub.pool.config().driver.notices_cuts() && sub.is_cut(connection).is_some()
            }
            _ => false,
        }
    }

    /// What a task stands at has failed. True: it was the affair of its pool, and the task goes on.
    pub(in crate::run) fn has_failed(&mut self, task: u32, why: Failure) -> bool {
        match self.op_at(task) {
            Op::Query { kind: Statement::Ping, .. } if why == Failure::DatabaseDown => {
                self.connect_instead(task);
                false
            }
            Op::Query { kind: Statement::Reset, .. } if self.logs_failed_resets(task) => {
                self.close_unreset(task);
                true
            }
            _ => {
                self.fail(task, self.cancelled_for(task, why));
                false
            }
        }
    }

    /// SQLAlchemy logs what goes wrong as a connection comes back, and invalidates that connection
    /// alone (pool/base.py, `_finalize_fairy`); asyncpg raises it.
    fn logs_failed_resets(&self, task: u32) -> bool {
        let sub = &self.pools[self.tasks[task].lease().pool as usize];
        sub.pool.config().driver == Driver::Sqlalchemy
    }

    /// A connection that could not be reset leaves its pool; its user goes on behind the release.
    fn close_unreset(&mut self, task: u32) {
        let lease = self.tasks[task].pop_lease().expect("it was giving that back");
        let record = &mut self.tasks[task];
        record.status = OK;
        record.pc.0 += 2;
        let station = self.model.pools[self.pools[lease.pool as usize].kind].station;
        self.meters[station].busy.add(self.now, -MILLI);
        self.count(station, Counter::Served);
        let cut = self.pools[lease.pool as usize].how_cut(lease.connection);
        self.close_broken(lease, cut);
    }

    /// A connection that was tried out was cut: another is opened in its stead, and all older ones are
    /// suspect.
    fn connect_instead(&mut self, task: u32) {
        let lease = self.tasks[task].pop_lease().expect("it tries out what it holds");
        let now = self.now;
        let record = &mut self.tasks[task];
        (record.status, record.state, record.since) = (OK, State::Connecting, now);
        while !matches!(self.model.tape[self.tasks[task].pc.0 as usize], Op::Acquire { .. }) {
            self.tasks[task].pc.0 -= 1; // it is granted a connection where it asked for one
        }
        let state = &mut self.pools[lease.pool as usize];
        let station = self.model.pools[state.kind].station;
        let new = state.pool.replace(now, lease.connection, task);
        let cut = state.how_cut(lease.connection);
        self.meters[station].busy.add(now, -MILLI);
        self.meters[station].enter(now);
        self.client_lets_go(lease, false);
        self.start_closing(lease.pool, cut, Heard::No);
        self.connect(lease.pool, new, Duration::ZERO);
        self.arm_pool(lease.pool);
    }
}
