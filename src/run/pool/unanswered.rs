//! Connections that went back to their pool before the answer to their last statement was there.
//!
//! After a `query_timeout` the promise of node-postgres is rejected, and its client goes on to wait for the
//! answer. An application that gives the client back as it is (`client.release()`) has the pool lend
//! one whose next statement stands in the client's queue until the server is ready (pg 8.23.1 client.js,
//! `_pulseQueryQueue`). The time of that statement runs all the same; when it is up, the statement leaves
//! the queue, and the server never hears of it. Who holds a client asks one thing after another, so one
//! place is the whole queue. Closing such a client destroys its socket (`end`), and the server's end of
//! the connection is left with the statement.

use crate::component::pool::Connection;
use crate::kernel::PendingEvents;
use crate::run::meter::Part;
use crate::run::task::{Lease, NONE, State};
use crate::run::world::World;

use super::SubPool;

/// A connection whose server is still at a statement that nobody waits for.
pub(in crate::run) struct Unanswered {
    /// Which.
    pub connection: Connection,
    /// What is under way, as a ghost.
    pub ghost: u32,
    /// Whose statement is to be sent next; [`NONE`] while there is none.
    pub next: u32,
}

impl SubPool {
    /// A connection is closed or cut: what its server is still at, if anything, is left with the server's
    /// end of it. Says whether there is something.
    pub(in crate::run) fn leave_to_server(&mut self, connection: Connection) -> bool {
        let place = self.unanswered.iter().position(|one| one.connection == connection);
        if let Some(place) = place {
            self.unanswered.swap_remove(place);
        }
        place.is_some()
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether the statement that a task stands at has to wait in its client, as the connection is not
    /// ready: it does from now on.
    pub(in crate::run) fn waits_in_client(&mut self, task: u32) -> bool {
        let lease = self.tasks[task].lease();
        let unanswered = &mut self.pools[lease.pool as usize].unanswered;
        let Some(entry) = unanswered.iter_mut().find(|one| one.connection == lease.connection)
        else {
            return false;
        };
        debug_assert_eq!(entry.next, NONE, "who holds a connection asks one thing after another");
        entry.next = task;
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::StatementQueue, self.now);
        true
    }

    /// A statement that waits in its client will not be sent.
    pub(in crate::run) fn leave_statement_queue(&mut self, task: u32) {
        let sub = self.tasks[task].lease().pool as usize;
        let entry = self.pools[sub].unanswered.iter_mut().find(|one| one.next == task);
        entry.expect("who waits in a client stands in its queue").next = NONE;
    }

    /// The answer to a statement that was given up is there. If its connection is one of its pool
    /// still, the next statement over it sets out; says so.
    pub(in crate::run) fn is_ready_again(&mut self, ghost: u32, lease: Lease) -> bool {
        let unanswered = &mut self.pools[lease.pool as usize].unanswered;
        let Some(place) = unanswered.iter().position(|one| one.ghost == ghost) else {
            return false;
        };
        let next = unanswered.swap_remove(place).next;
        if next != NONE {
            let node = self.pools[lease.pool as usize].node;
            let waited = self.now.since(self.tasks[next].since);
            self.spend(next, self.station_of_node(node), Part::Wait, waited);
            self.submit_statement(next);
        }
        true
    }
}
