//! Connections to the server that nobody has: they are reset after a session, or tried out after a long rest.
//!
//! Either is a round trip to the server (PgBouncer: `server_reset_query`, DISCARD ALL, where a client keeps its
//! connection for its session; `server_check_query`, which does nothing).

use crate::component::pooler::Server;
use crate::kernel::PendingEvents;
use crate::run::meter::{Counter, MILLI};
use crate::run::task::Lease;
use crate::run::world::World;

/// What a connection is at that nobody has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Between {
    /// Its client is gone, and it is reset.
    Reset,
    /// It has lain idle for long, and is tried out.
    Check,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A session has ended: its connection is reset before the next has it.
    pub(super) fn reset_server(&mut self, lease: Lease, number: u32) {
        let behind = self.pools[lease.pool as usize].behind.as_mut().expect("it has a pooler");
        let server = behind.server_mut(lease.connection).take().expect("it has a server");
        self.set_aside(number, server, Between::Reset);
    }

    /// A connection to the server is nobody's for a round trip.
    fn set_aside(&mut self, number: u32, server: Server, why: Between) {
        let state = &mut self.poolers[number as usize];
        let database = &self.model.databases[self.model.poolers[state.kind].database];
        let name = match why {
            Between::Reset => "pooler-reset",
            Between::Check => "pooler-check",
        };
        let stream = self.key.named(name).numbered(u64::from(number));
        let took = self.model.draw_law(database.rtt, stream, self.now.0 as u32);
        state.between.push_back((self.now + took, server, why));
        let at = state.between.iter().map(|(at, ..)| *at).min().expect("one was just added");
        self.arm_pooler_at(number, at);
    }

    /// A connection has lain idle for long: it is tried out for somebody who waits.
    pub(super) fn try_out(&mut self, number: u32, server: Server) {
        let station = self.station_of_pooler(number);
        self.meters[station].busy.add(self.now, MILLI);
        self.set_aside(number, server, Between::Check);
    }

    /// Connections of a pooler that are somebody's again.
    pub(super) fn end_between(&mut self, number: u32) {
        let station = self.station_of_pooler(number);
        let now = self.now;
        while let Some(place) =
            self.poolers[number as usize].between.iter().position(|(at, ..)| *at <= now)
        {
            let state = &mut self.poolers[number as usize];
            let found = state.between.remove(place);
            let (_, server, why) = found.expect("its place was just found");
            self.meters[station].busy.add(now, -MILLI);
            let returned = match why {
                Between::Check => self.poolers[number as usize].pool.checked(now, server),
                Between::Reset => {
                    self.count(station, Counter::Served);
                    self.poolers[number as usize].pool.give_back(now, server)
                }
            };
            self.server_returned(number, server, returned);
        }
    }
}
