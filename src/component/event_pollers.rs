//! How many batches an event source mapping has under way (AWS Lambda Developer Guide, "Configuring
//! scaling behavior for SQS event source mappings").
//!
//! Five to begin with. While messages are left over and all of these are under way there is one more
//! every 200 ms, which is the 300 a minute that AWS adds at most. AWS goes back to five when traffic is
//! low and says no figures: here as fast as up, while no message waits.

use crate::units::{Duration, Time};

/// Batches that every mapping may have under way.
const FEWEST: u32 = 5;
/// From one step to the next.
const STEP: Duration = Duration::millis(200);

/// Where the number of batches is going.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trend {
    Up,
    Down,
    Still,
}

/// The pollers of a mapping: each has one batch under way.
#[derive(Clone, Debug)]
pub struct Pollers {
    most: u32,
    there: u32,
    busy: u32,
    trend: Trend,
    since: Time,
}

impl Pollers {
    /// At most so many.
    pub fn new(most: u32) -> Pollers {
        Pollers { most, there: FEWEST.min(most), busy: 0, trend: Trend::Still, since: Time::ZERO }
    }
    /// Whether one could take a batch.
    pub fn has_free(&self) -> bool {
        self.busy < self.there
    }
    /// One has a batch under way.
    pub fn take(&mut self) {
        self.busy += 1;
    }
    /// A batch is over.
    pub fn free(&mut self) {
        self.busy -= 1;
    }
    /// Time has passed since the last look.
    pub fn pass(&mut self, now: Time) {
        let steps = match self.trend {
            Trend::Still => return,
            _ => now.since(self.since).0 / STEP.0,
        };
        self.since = self.since + Duration(steps * STEP.0);
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.there = match self.trend {
            Trend::Up => self.there.saturating_add(steps).min(self.most),
            _ => self.there.saturating_sub(steps).max(FEWEST.min(self.most)),
        };
    }
    /// Looks whether messages wait that no poller takes; says when to look again, if there will be one
    /// more then.
    pub fn look(&mut self, now: Time, wait: bool) -> Option<Time> {
        let trend = match wait {
            true if !self.has_free() && self.there < self.most => Trend::Up,
            true => Trend::Still,
            false => Trend::Down,
        };
        if trend != self.trend {
            (self.trend, self.since) = (trend, now);
        }
        (trend == Trend::Up).then(|| self.since + STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::millis(ms)
    }

    #[test]
    fn five_begin_and_five_more_come_a_second() {
        let mut pollers = Pollers::new(1_000);
        let fill = |pollers: &mut Pollers| {
            (0..)
                .take_while(|_| {
                    let free = pollers.has_free();
                    if free {
                        pollers.take()
                    }
                    free
                })
                .count()
        };
        assert_eq!(fill(&mut pollers), 5);
        assert_eq!(pollers.look(at(0), true), Some(at(200)));
        for step in 1..=300 {
            pollers.pass(at(200 * step));
            assert_eq!(fill(&mut pollers), 1);
            assert_eq!(pollers.look(at(200 * step), true), Some(at(200 * step + 200)));
        }
        assert_eq!(pollers.busy, 305, "after a minute");
    }

    #[test]
    fn they_go_while_nothing_waits_and_never_exceed_the_most() {
        let mut pollers = Pollers::new(7);
        (0..5).for_each(|_| pollers.take());
        assert_eq!(pollers.look(at(0), true), Some(at(200)));
        pollers.pass(at(10_000));
        assert_eq!(pollers.there, 7);
        (0..2).for_each(|_| pollers.take());
        assert_eq!(pollers.look(at(10_000), true), None);
        assert_eq!(pollers.look(at(10_000), false), None);
        pollers.pass(at(10_399));
        assert_eq!(pollers.there, 6);
        pollers.pass(at(60_000));
        assert_eq!(pollers.there, 5);
        assert_eq!(Pollers::new(2).there, 2);
    }
}
