//! The places of a pool's connections: which are opening, idle or in use, under which generation.

use super::Connection;
use crate::units::Time;
use std::collections::VecDeque;

/// What is at a place.
#[derive(Clone, Copy)]
pub(super) enum State {
    /// Nothing.
    Free,
    /// A connection that is being opened, for whom, until when that waits and the opening may take.
    Connecting { owner: Option<u32>, owner_deadline: Time, deadline: Time },
    /// A connection that nobody uses.
    Idle { since: Time },
    /// A connection that somebody holds.
    Busy,
}

#[derive(Clone, Copy)]
struct Place {
    state: State,
    generation: u32,
    uses: u32,
    began: Time,
    opened: Time,
}

/// All places of a pool, and the line of idle ones: the one that was used last at the back.
#[derive(Default)]
pub struct Places {
    places: Vec<Place>,
    free: Vec<u32>,
    idle: VecDeque<u32>,
    total: u32,
    connecting: u32,
}

impl Places {
    /// A connection begins to open.
    pub(super) fn open(
        &mut self,
        now: Time,
        owner: Option<u32>,
        owner_deadline: Time,
        deadline: Time,
    ) -> Connection {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                state: State::Free,
                generation: 0,
                uses: 0,
                began: now,
                opened: now,
            });
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[slot as usize];
        place.state = State::Connecting { owner, owner_deadline, deadline };
        (place.uses, place.began, place.opened) = (0, now, now);
        self.total += 1;
        self.connecting += 1;
        Connection { slot, generation: place.generation }
    }

    /// Idle connections in an empty pool.
    pub(super) fn prefill(&mut self, now: Time, count: u32) {
        assert!(self.total == 0, "a warm start fills an empty pool");
        for _ in 0..count {
            let connection = self.open(now, None, Time::NEVER, Time::NEVER);
            self.opened(now, connection);
            self.rest(now, connection);
        }
    }

    /// For whom a connection is opening; `None` if that has been given up.
    pub(super) fn owner(&self, connection: Connection) -> Option<Option<u32>> {
        let place = &self.places[connection.slot as usize];
        match place.state {
            State::Connecting { owner, .. } if place.generation == connection.generation => {
                Some(owner)
            }
            _ => None,
        }
    }

    /// A connection has opened and is in somebody's hands. Says for whom it was; `None` as
    /// [`Places::owner`] does.
    pub(super) fn opened(&mut self, now: Time, connection: Connection) -> Option<Option<u32>> {
        let owner = self.owner(connection)?;
        self.connecting -= 1;
        let place = &mut self.places[connection.slot as usize];
        (place.state, place.opened) = (State::Busy, now);
        Some(owner)
    }

    /// An opening has failed: its place is free. Says for whom it was, as [`Places::owner`] does.
    pub(super) fn failed(&mut self, connection: Connection) -> Option<Option<u32>> {
        let owner = self.owner(connection)?;
        self.connecting -= 1;
        self.forget(connection.slot);
        Some(owner)
    }

    /// Who waits for this opening does so no longer: it goes on without an owner.
    pub(super) fn disown(&mut self, slot: u32) -> u32 {
        let place = &mut self.places[slot as usize];
        let State::Connecting { owner, owner_deadline, .. } = &mut place.state else {
            unreachable!("only an opening has an owner")
        };
        *owner_deadline = Time::NEVER;
        owner.take().expect("only an owner has a deadline")
    }

    /// One use more of a connection that its holder gives back: how many there were, and its age.
    pub(super) fn used(&mut self, connection: Connection) -> (u32, Time) {
        let place = self.held(connection);
        place.uses += 1;
        (place.uses, place.opened)
    }

    /// How often a connection has been used.
    pub(super) fn uses(&self, connection: Connection) -> u32 {
        self.places[connection.slot as usize].uses
    }

    /// When a connection was opened.
    pub(super) fn age_of(&self, slot: u32) -> Time {
        self.places[slot as usize].opened
    }

    /// When its opening began.
    pub(super) fn began(&self, slot: u32) -> Time {
        self.places[slot as usize].began
    }

    /// A connection that somebody holds.
    fn held(&mut self, connection: Connection) -> &mut Place {
        let place = &mut self.places[connection.slot as usize];
        debug_assert!(place.generation == connection.generation, "that connection is gone");
        debug_assert!(matches!(place.state, State::Busy), "nobody holds that connection");
        place
    }

    /// A connection that was held lies idle: at the back of the line.
    pub(super) fn rest(&mut self, now: Time, connection: Connection) {
        self.held(connection).state = State::Idle { since: now };
        self.idle.push_back(connection.slot);
    }

    /// Takes the connection that was used last.
    #[inline]
    pub(super) fn take_hot(&mut self) -> Option<Connection> {
        let slot = self.idle.pop_back()?;
        Some(self.take(slot))
    }

    /// Takes the connection that has been idle for longest.
    #[inline]
    pub(super) fn take_cold(&mut self) -> Option<Connection> {
        let slot = self.idle.pop_front()?;
        Some(self.take(slot))
    }

    fn take(&mut self, slot: u32) -> Connection {
        let place = &mut self.places[slot as usize];
        place.state = State::Busy;
        Connection { slot, generation: place.generation }
    }

    /// An idle connection leaves the pool.
    pub(super) fn remove_idle(&mut self, position: usize) -> Connection {
        let slot = self.idle.remove(position).expect("there are so many idle ones");
        self.forget(slot)
    }

    /// The connection that has been idle for longest leaves the pool.
    pub(super) fn sever_idle(&mut self) -> Option<Connection> {
        (!self.idle.is_empty()).then(|| self.remove_idle(0))
    }

    /// This connection leaves the pool, if it is idle. Says so.
    pub(super) fn sever(&mut self, connection: Connection) -> bool {
        let position = self.idle_ones().position(|one| one == connection);
        if let Some(position) = position {
            self.remove_idle(position);
        }
        position.is_some()
    }

    /// Whether this connection is open still, idle or in somebody's hands.
    pub(super) fn is_open(&self, connection: Connection) -> bool {
        self.places.get(connection.slot as usize).is_some_and(|place| {
            place.generation == connection.generation
                && matches!(place.state, State::Idle { .. } | State::Busy)
        })
    }

    /// Slots of idle connections, the one that was used last at the end.
    pub(super) fn idle_slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.idle.iter().copied()
    }

    /// Idle connections, the one that was used last at the end.
    pub(super) fn idle_ones(&self) -> impl Iterator<Item = Connection> + '_ {
        let one = |slot| Connection { slot, generation: self.places[slot as usize].generation };
        self.idle_slots().map(one)
    }

    /// Since when the connection at that place of the line has been idle.
    pub(super) fn idle_since(&self, position: usize) -> Option<Time> {
        match self.places[*self.idle.get(position)? as usize].state {
            State::Idle { since } => Some(since),
            _ => unreachable!("who stands in the line is idle"),
        }
    }

    /// A connection is out of the pool.
    pub(super) fn forget(&mut self, slot: u32) -> Connection {
        let place = &mut self.places[slot as usize];
        let connection = Connection { slot, generation: place.generation };
        place.state = State::Free;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        self.total -= 1;
        connection
    }

    /// All connections are gone. Says how many there were.
    pub(super) fn lose_all(&mut self) -> u32 {
        let total = self.total;
        for slot in 0..self.places.len() as u32 {
            if !matches!(self.places[slot as usize].state, State::Free) {
                self.forget(slot);
            }
        }
        self.idle.clear();
        self.connecting = 0;
        total
    }

    /// What opens, with its owner's deadline and its own.
    pub(super) fn opening(&self) -> impl Iterator<Item = (Connection, Time, Time)> + '_ {
        let places = if self.connecting > 0 { &self.places[..] } else { &[] };
        places.iter().enumerate().filter_map(|(slot, place)| match place.state {
            State::Connecting { owner_deadline, deadline, .. } => {
                let connection = Connection { slot: slot as u32, generation: place.generation };
                Some((connection, owner_deadline, deadline))
            }
            _ => None,
        })
    }

    /// Connections that are opening, idle or in use.
    pub(super) fn total(&self) -> u32 {
        self.total
    }
    /// Connections that nobody uses.
    pub(super) fn idle(&self) -> u32 {
        self.idle.len() as u32
    }
    /// Connections that somebody holds.
    pub(super) fn busy(&self) -> u32 {
        self.total - self.connecting - self.idle()
    }
    /// Connections that are opening.
    pub(super) fn connecting(&self) -> u32 {
        self.connecting
    }
}
