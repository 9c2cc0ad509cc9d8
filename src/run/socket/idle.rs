//! Connections that are quiet: a balancer closes what carries nothing for its idle timeout.

use super::super::meter::Counter;
use super::super::world::World;
use super::purpose;
use crate::kernel::PendingEvents;
use crate::units::Duration;

impl<Q: PendingEvents> World<'_, Q> {
    /// A balancer closes a connection on which nothing has passed for its idle timeout; the client
    /// comes back.
    pub(super) fn look_for_traffic(&mut self, slot: u32) {
        let client = self.connections[slot];
        let spec = &self.model.sockets[client.socket];
        let Some(idle) = spec.idle else { return };
        let spoken = self.sockets[client.socket].broadcast.max(client.heard);
        let quiet = self.now.since(spoken);
        if quiet >= idle {
            self.count(spec.station, Counter::Lost);
            return self.come_back(slot);
        }
        self.time_connection(slot, Duration(idle.0 - quiet.0), purpose::IDLE);
    }
}
