//! A database server whose machine is gone without a word.
//!
//! Nobody resets its connections. What is sent over one that seems sound is repeated at TCP's pauses
//! ([`component::tcp`](crate::component::tcp)), until somebody at the address knows nothing of the connection
//! and says so, or Linux gives up. Whose statement had reached the server has nothing to send: only
//! keepalives tell, after two hours and nine probes of 75 s (Linux, `tcp_keepalive_time`, `_probes`, `_intvl`;
//! libpq has them turned on, node-postgres, `keepAlive` false, would wait on). So the time-outs of drivers
//! decide. Who opens a connection repeats its SYN, and finds whoever is there then. A pooler is told of
//! its connections at once, which is simpler than the truth, as its clients have to wait for new ones.

use super::failover::Presence;
use super::{Node, Timer};
use crate::component::tcp::{Delivery, Packet};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::run::event::Kind;
use crate::run::pool::SubPool;
use crate::run::task::State;
use crate::run::world::World;
use crate::units::{Duration, Time};

/// Why a connection is cut of whose end its holder has not been told.
pub(super) const UNNOTICED: Failure = Failure::Unreachable;

/// How long Linux waits for keepalives to be answered: 7,200 s, and nine times 75 s.
const KEEPALIVE: Duration = Duration::secs(7_875);

impl Node {
    /// Whether nobody answers at its address.
    pub(super) fn is_silent(&self) -> bool {
        self.presence == Presence::Silent
    }
}

impl SubPool {
    /// How who holds a connection learns that its server is gone: a pooler says so, or is told so itself.
    pub(super) fn how_it_learns(&self, silent: bool) -> Failure {
        if silent && self.behind.is_none() { UNNOTICED } else { Failure::DatabaseDown }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A node that is about to go away does so without a word, for so long.
    pub(super) fn falls_silent(&mut self, node: u32, silent: Duration) {
        if silent.is_zero() {
            return;
        }
        let until = self.now + silent;
        let state = self.node_mut(node);
        (state.presence, state.silent_until) = (Presence::Silent, until);
        self.at_node(until, Timer::Heard, node);
    }

    /// The address of a node answers again: with refusals, unless it is there already.
    pub(super) fn heard_again(&mut self, node: u32) {
        let now = self.now;
        let state = self.node_mut(node);
        if state.presence == Presence::Silent && state.silent_until == now {
            state.presence = Presence::Refusing;
        }
    }

    /// How long it takes until a packet for a node's address is answered, beyond its way.
    pub(in crate::run) fn repeated_for(&mut self, node: u32, packet: Packet) -> Duration {
        let now = self.now;
        let state = self.node_mut(node);
        if state.is_silent() && state.silent_until <= now {
            state.presence = Presence::Refusing; // what says so is due now, too
        }
        if !state.is_silent() {
            return Duration::ZERO;
        }
        let (Delivery::After(late) | Delivery::Never(late)) =
            packet.sent_into_cut(now, state.silent_until);
        late
    }

    /// How long nobody hears of a statement that was at a node when that went away.
    pub(super) fn unanswered_for(&mut self, node: u32) -> Duration {
        if self.node_mut(node).is_silent() { KEEPALIVE } else { Duration::ZERO }
    }

    /// A statement sets out over a connection whose server is gone, which its sender does not know.
    pub(super) fn sent_to_nobody(&mut self, task: u32, half: Duration) {
        let node = self.pools[self.tasks[task].lease().pool as usize].node;
        let repeats = self.repeated_for(node, Packet::Data);
        self.travel(task, half + repeats);
        let record = &mut self.tasks[task];
        (record.status, record.state) = (Failure::DatabaseDown as u8, State::Away);
        let at: Time = self.now + half + half + repeats;
        self.at_task(at, Kind::Resume, task);
    }
}
