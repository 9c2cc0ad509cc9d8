//! Where requests wait for a place, and which of them get it: order, length, and who is given up.

mod codel;

pub use codel::{CoDel, CoDelConfig};

use std::collections::VecDeque;

use crate::units::{Duration, Time};

/// Who comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Whoever came first.
    Fifo,
    /// Whoever came last.
    Lifo,
    /// The first, and the last while there is a backlog: the room has not been empty for so long
    /// (Maurer, "Fail at Scale", ACM Queue 2015).
    AdaptiveLifo(Duration),
}

/// Who is given up while they wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shedding {
    /// Nobody.
    None,
    /// By how long those have waited who come next.
    CoDel(CoDelConfig),
    /// After `target` if the room has not been empty for `interval`, else after `interval`: the
    /// "controlled delay" of Maurer 2015, decided when a request begins to wait.
    ControlledDelay(CoDelConfig),
}

/// How a room is set up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RoomConfig {
    /// Requests that may wait.
    pub size: u32,
    /// Who comes next.
    pub order: Order,
    /// The longest wait.
    pub timeout: Option<Duration>,
    /// Who is given up.
    pub shedding: Shedding,
}

/// Who comes next, and what becomes of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// They get the place.
    Serve(u32),
    /// They are given up.
    Drop(u32),
}

/// As many wait as there is room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// The waiting room of one process. Requests are numbers of the caller's.
pub struct WaitingRoom {
    config: RoomConfig,
    waiting: VecDeque<(u32, Time)>,
    codel: CoDel,
    /// When whoever found it empty came last: nobody waited until then.
    last_empty: Time,
}

impl WaitingRoom {
    /// An empty room.
    pub fn new(config: RoomConfig) -> WaitingRoom {
        let codel = match config.shedding {
            Shedding::CoDel(codel) => codel,
            _ => CoDelConfig { target: Duration::FOREVER, interval: Duration::FOREVER },
        };
        WaitingRoom {
            config,
            waiting: VecDeque::new(),
            codel: CoDel::new(codel),
            last_empty: Time::ZERO,
        }
    }

    /// Somebody wants to wait: until when at most, or that there is no room.
    pub fn join(&mut self, now: Time, who: u32) -> Result<Option<Time>, Full> {
        if self.waiting.len() >= self.config.size as usize {
            return Err(Full);
        }
        if self.waiting.is_empty() {
            self.last_empty = now;
        }
        let controlled = match self.config.shedding {
            Shedding::ControlledDelay(delay) => {
                let crowded = now.since(self.last_empty) > delay.interval;
                Some(if crowded { delay.target } else { delay.interval })
            }
            _ => None,
        };
        self.waiting.push_back((who, now));
        let longest = controlled.into_iter().chain(self.config.timeout).min();
        Ok(longest.map(|longest| now + longest))
    }

    /// A place is free: who comes next. Whoever is given up does not take it.
    pub fn next(&mut self, now: Time) -> Option<Next> {
        let newest = match self.config.order {
            Order::Fifo => false,
            Order::Lifo => true,
            Order::AdaptiveLifo(backlog) => {
                !self.waiting.is_empty() && now.since(self.last_empty) > backlog
            }
        };
        let taken = if newest { self.waiting.pop_back() } else { self.waiting.pop_front() };
        let Some((who, since)) = taken else {
            self.codel.empty();
            return None;
        };
        let drops = matches!(self.config.shedding, Shedding::CoDel(_))
            && self.codel.drops(now, now.since(since), self.waiting.is_empty());
        Some(if drops { Next::Drop(who) } else { Next::Serve(who) })
    }

    /// Somebody waits no longer; true if they did.
    pub fn leave(&mut self, who: u32) -> bool {
        let Some(place) = self.waiting.iter().position(|waiting| waiting.0 == who) else {
            return false;
        };
        self.waiting.remove(place);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: RoomConfig =
        RoomConfig { size: 100, order: Order::Fifo, timeout: None, shedding: Shedding::None };

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    fn order_of(config: RoomConfig) -> Vec<u32> {
        let mut room = WaitingRoom::new(config);
        (0..4).for_each(|who| assert_eq!(room.join(at(u64::from(who)), who), Ok(None)));
        let served = std::iter::from_fn(|| match room.next(at(200)) {
            Some(Next::Serve(who)) => Some(who),
            _ => None,
        });
        served.collect()
    }

    #[test]
    fn first_come_or_last_come_is_first_served() {
        assert_eq!(order_of(PLAIN), [0, 1, 2, 3]);
        assert_eq!(order_of(RoomConfig { order: Order::Lifo, ..PLAIN }), [3, 2, 1, 0]);
        let adaptive =
            |millis| RoomConfig { order: Order::AdaptiveLifo(Duration::millis(millis)), ..PLAIN };
        assert_eq!(order_of(adaptive(100)), [3, 2, 1, 0], "a backlog for 200 ms");
        assert_eq!(order_of(adaptive(300)), [0, 1, 2, 3], "none yet");
    }

    #[test]
    fn a_full_room_turns_away() {
        let mut room = WaitingRoom::new(RoomConfig { size: 2, ..PLAIN });
        assert_eq!(
            [room.join(at(0), 1), room.join(at(0), 2), room.join(at(0), 3)],
            [Ok(None), Ok(None), Err(Full)]
        );
        assert!(room.leave(1) && !room.leave(1));
        assert_eq!(room.join(at(0), 3), Ok(None));
    }

    /// Ben Maurer's rule: 100 ms at first, 5 ms once the room has not been empty for 100 ms.
    #[test]
    fn controlled_delay_shortens_the_wait_of_a_standing_queue() {
        let delay = CoDelConfig { target: Duration::millis(5), interval: Duration::millis(100) };
        let mut room =
            WaitingRoom::new(RoomConfig { shedding: Shedding::ControlledDelay(delay), ..PLAIN });
        assert_eq!(room.join(at(0), 0), Ok(Some(at(100))));
        assert_eq!(room.join(at(100), 1), Ok(Some(at(200))));
        assert_eq!(room.join(at(101), 2), Ok(Some(at(106))));
        room.leave(0);
        room.leave(1);
        room.leave(2);
        assert_eq!(room.join(at(107), 3), Ok(Some(at(207))), "it has been empty");
    }

    #[test]
    fn the_shorter_of_timeout_and_delay_ends_a_wait() {
        let delay = CoDelConfig { target: Duration::millis(5), interval: Duration::millis(100) };
        let timeout = Some(Duration::millis(50));
        let shedding = Shedding::ControlledDelay(delay);
        let mut room = WaitingRoom::new(RoomConfig { shedding, timeout, ..PLAIN });
        assert_eq!(room.join(at(0), 0), Ok(Some(at(50))));
    }
}
