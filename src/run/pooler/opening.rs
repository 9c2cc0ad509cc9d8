//! A pooler's own connections while they are being opened.

use crate::component::tcp::Packet;
use crate::kernel::{Event, PendingEvents};
use crate::run::database::Presence;
use crate::run::event::Kind;
use crate::run::meter::Counter;
use crate::run::world::World;
use crate::units::{Duration, Time};

/// A connection that is being opened.
pub(super) struct Login {
    /// Its number.
    pub number: u32,
    /// It has a slot at the server.
    pub granted: bool,
    /// Of which incarnation of the server.
    pub incarnation: u32,
    /// When the pooler gives up on it.
    patience: Time,
    /// CPU time that the server has still to spend on it.
    cpu: Duration,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A pooler begins to open a connection.
    pub(super) fn open_server(&mut self, number: u32) {
        let node = self.poolers[number as usize].node;
        let repeats = self.repeated_for(node, Packet::Syn);
        let server = self.node_mut(node);
        let incarnation = server.incarnation;
        let presence = server.presence;
        let kind = self.poolers[number as usize].kind;
        let passage = self.passage_of_pooler(number);
        let granted = presence == Presence::Up && !passage.lost && self.take_slot(node);
        let database = &self.model.databases[self.model.poolers[kind].database];
        let name = &self.model.poolers[kind].name;
        let stream = self.key.named("pooler").named(name).numbered(u64::from(node));
        let state = &mut self.poolers[number as usize];
        let opened = state.opened;
        state.opened += 1;
        let law = if granted { database.connect } else { database.rtt };
        let alone = self.model.draw_law(law, stream, opened);
        let cpu = if granted { alone.min(database.connect_cpu) } else { Duration::ZERO };
        let took = match presence {
            Presence::Silent => repeats,
            _ if passage.lost => passage.late,
            _ => alone - cpu + passage.late,
        };
        // Who opens is patient for so long; what the server gave is given back then.
        let patience = self.now + self.model.poolers[kind].connect_timeout;
        state.opening.push(Login { number: opened, granted, incarnation, patience, cpu });
        let slot = self.pools.len() as u32 + number;
        let at = (self.now + took).min(patience);
        self.events.push(Event::new(at, Kind::Connected as u8, opened, slot));
        if !cpu.is_zero() && at < patience {
            self.events.push(Event::new(patience, Kind::Connected as u8, opened, slot));
        }
        let station = self.station_of_pooler(number);
        self.meters[station].held.add(self.now, 1);
    }

    /// A connection of a pooler is open, or was refused.
    pub(in crate::run) fn server_connected(&mut self, number: u32, opened: u32) {
        let state = &mut self.poolers[number as usize];
        let place = state.opening.iter().position(|it| it.number == opened);
        // A pooler that has died meanwhile knows nothing of it.
        let Some(place) = place else { return };
        let node = state.node;
        let login = &mut state.opening[place];
        let (granted, incarnation) = (login.granted, login.incarnation);
        let too_slow = self.now >= login.patience;
        let cpu = std::mem::take(&mut login.cpu);
        let known = granted && self.node_mut(node).incarnation == incarnation;
        if known && !too_slow && !cpu.is_zero() {
            return self.start_backend(node, self.pools.len() as u32 + number, opened, cpu);
        }
        self.poolers[number as usize].opening.remove(place);
        let station = self.station_of_pooler(number);
        if known && too_slow {
            self.sever_node(node);
        }
        if !known || too_slow {
            self.poolers[number as usize].pool.opening_failed(self.now);
            let meter = &mut self.meters[station];
            meter.count(Counter::Errors);
            meter.held.add(self.now, -1);
            return self.tend_pooler(number);
        }
        self.count(station, Counter::Opened);
        let (server, returned) = self.poolers[number as usize].pool.opened(self.now);
        self.server_returned(number, server, returned);
        self.tend_pooler(number);
    }
}
