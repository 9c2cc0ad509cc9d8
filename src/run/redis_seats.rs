//! Connections that a Redis server accepts (`maxclients`).
//!
//! One that comes when there is no room is accepted by the kernel, hears "-ERR max number of clients
//! reached" and is closed (Redis 7 networking.c, `acceptCommonHandler`). ioredis 5.11.1 and 6.0.0 and
//! node-redis 6.3.1 take that for a connection that was lost before it was ready: their replies to
//! what introduces a client (CLIENT SETINFO, HELLO) never come, and they try again as after any other
//! failed attempt; commands wait meanwhile, and are given up with the others. redis-py 8.1.0 raises a
//! `ConnectionError` (`_parsers/base.py`), as an ideal client here fails the command.
//!
//! A process connects with its first command. It has all of its connections, or none.

use super::meter::Counter;
use super::task::NONE;
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model;
use crate::model::ids::CacheId;

/// Who is connected to the nodes of a cache.
pub struct Seats {
    /// Connections that are open, by node.
    taken: Vec<u32>,
    /// By worker and node: whether that process has its connections.
    has: Vec<bool>,
}

impl Seats {
    /// Those of a cache, of which workers of its queues have theirs from the start.
    pub fn of(spec: &model::Cache, workers: usize) -> Seats {
        let nodes = spec.nodes as usize;
        Seats { taken: vec![spec.queue_clients; nodes], has: vec![false; workers * nodes] }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether a process is connected, or is now, to a node of a cache that accepts so many clients.
    pub(super) fn takes_seat(&mut self, cache: CacheId, worker: u32, node: u32) -> bool {
        let spec = &self.model.caches[cache];
        let Some(most) = spec.most_clients else { return true };
        let Some(seats) = &mut self.caches[cache].seats else { return true };
        let has = &mut seats.has[(worker * spec.nodes + node) as usize];
        let taken = &mut seats.taken[node as usize];
        if *has {
            return true;
        }
        if *taken + spec.connections > most {
            self.count(spec.station, Counter::Refused);
            return false;
        }
        (*has, *taken) = (true, *taken + spec.connections);
        true
    }

    /// The server closes the connections of a process, or finds them closed.
    pub(super) fn leaves_seat(&mut self, cache: CacheId, worker: u32, node: u32) {
        let spec = &self.model.caches[cache];
        let Some(seats) = &mut self.caches[cache].seats else { return };
        let has = &mut seats.has[(worker * spec.nodes + node) as usize];
        if std::mem::take(has) {
            seats.taken[node as usize] -= spec.connections;
        }
    }

    /// Whether a command comes from a process that the node does not let in, and whose client is not of
    /// those that see to it before.
    pub(super) fn finds_no_seat(&mut self, task: u32, cache: CacheId, node: u32) -> bool {
        let worker = self.tasks[task].worker;
        let waits = self.model.caches[cache].client.is_some_and(|rules| !rules.redirects);
        worker != NONE && !waits && !self.takes_seat(cache, worker, node)
    }
}
