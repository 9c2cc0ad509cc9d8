//! What opening a connection costs its server: PostgreSQL starts a process for each.
//!
//! The process is forked, shakes hands, authenticates its client and reads the catalogs that every session
//! needs. All of that is CPU time, on the cores that statements share. Who gives up on an opening does not
//! end it: the process finds out when it has something to say.

use crate::kernel::{Event, PendingEvents};
use crate::model::UnitKind;
use crate::run::event::Kind;
use crate::run::world::World;
use crate::units::Duration;

/// Processes that start have numbers from here on among a node's jobs, below those of maintenance.
pub(super) const STARTING: u32 = 0xe000_0000;

/// A process that starts for a connection.
#[derive(Clone, Copy)]
pub(super) struct Start {
    /// Whose connection: the sub-pool, or behind all of them the pooler.
    slot: u32,
    /// Which of theirs.
    number: u32,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// One more connection to a node, unless there are too many already.
    pub(in crate::run) fn take_slot(&mut self, node: u32) -> bool {
        let taken = self.may_fork(node) && self.node_mut(node).take_slot();
        if taken {
            self.count_backends(node, 1);
        }
        taken
    }
    /// One connection less to a node, unless it was to a server that is no more.
    pub(in crate::run) fn free_slot_of(&mut self, node: u32, incarnation: u32) {
        if incarnation == self.node_mut(node).incarnation {
            self.free_slot(node);
        }
    }
    /// One connection less to a node.
    pub(in crate::run) fn free_slot(&mut self, node: u32) {
        self.node_mut(node).free_slot();
        self.count_backends(node, -1);
    }
    /// All connections to a node are gone.
    pub(super) fn free_all_slots(&mut self, node: u32) {
        let gone = std::mem::take(&mut self.node_mut(node).connections);
        self.count_backends(node, -i64::from(gone));
    }
    /// What the server shows as `pg_stat_database.numbackends`.
    fn count_backends(&mut self, node: u32, more: i64) {
        let station = self.station_of_node(node);
        self.meters[station].held.add(self.now, more);
        if self.node_mut(node).memory.is_some() {
            self.note_memory(node);
        }
    }

    /// A connection has reached its server, which starts a process for it.
    pub(in crate::run) fn start_backend(
        &mut self,
        node: u32,
        slot: u32,
        number: u32,
        cpu: Duration,
    ) {
        let starting = &mut self.node_mut(node).starting;
        let free = starting.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            starting.push(None);
            starting.len() - 1
        });
        starting[place] = Some(Start { slot, number });
        let cpu = self.condition(UnitKind::Node, node).stretch(cpu);
        self.onto_cores(node, cpu, STARTING + place as u32);
    }

    /// A process has started: its connection is open, if anybody still wants it.
    pub(super) fn backend_started(&mut self, node: u32, place: u32) {
        let start =
            self.node_mut(node).starting[place as usize].take().expect("it was on the cores");
        self.connected(start.slot, start.number);
    }

    /// A node goes away, with the processes that start there: who waits for them hears of it.
    pub(super) fn lose_starts(&mut self, node: u32) {
        for (place, start) in std::mem::take(&mut self.node_mut(node).starting).iter().enumerate() {
            let Some(start) = start else { continue };
            self.off_cores(node, STARTING + place as u32);
            self.events.push(Event::new(self.now, Kind::Connected as u8, start.number, start.slot));
        }
    }
}
