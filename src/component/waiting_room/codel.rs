//! CoDel: controlled delay by dropping at the head (Nichols and Jacobson 2012, RFC 8289; Linux
//! `include/net/codel_impl.h`, `codel_dequeue`), with requests in the place of packets.

use crate::units::{Duration, Time};

/// Its two times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoDelConfig {
    /// A wait below this is fine (5 ms).
    pub target: Duration,
    /// For so long waits may all be above it (100 ms).
    pub interval: Duration,
}

/// The state of one queue.
pub struct CoDel {
    config: CoDelConfig,
    /// When waits will have been above target for an interval.
    first_above: Option<Time>,
    dropping: bool,
    count: u32,
    last_count: u32,
    drop_next: Time,
    /// The one dropped last was the first of a series, which looks at the next one without dropping it.
    just_began: bool,
}

impl CoDel {
    /// Nothing has waited yet.
    pub fn new(config: CoDelConfig) -> CoDel {
        CoDel {
            config,
            first_above: None,
            dropping: false,
            count: 0,
            last_count: 0,
            drop_next: Time::ZERO,
            just_began: false,
        }
    }

    /// There was nobody to take.
    pub fn empty(&mut self) {
        (self.first_above, self.dropping, self.just_began) = (None, false, false);
    }

    /// Somebody is taken from the head after such a wait, and leaves the queue empty or not: are they
    /// dropped? If so, the caller takes the next.
    pub fn drops(&mut self, now: Time, waited: Duration, empty: bool) -> bool {
        let above = self.above(now, waited, empty);
        if std::mem::take(&mut self.just_began) {
            return false;
        }
        if self.dropping {
            if !above {
                self.dropping = false;
                return false;
            }
            if now < self.drop_next {
                return false;
            }
            self.count += 1;
            self.drop_next = self.control_law(self.drop_next);
            return true;
        }
        if !above {
            return false;
        }
        self.dropping = true;
        // A series soon after the last one goes on about where that one was.
        let delta = self.count - self.last_count;
        let soon = now < self.drop_next + Duration(self.config.interval.0.saturating_mul(16));
        self.count = if delta > 1 && soon { delta } else { 1 };
        self.last_count = self.count;
        self.drop_next = self.control_law(now);
        self.just_began = true;
        true
    }

    /// Whether waits have been above target for an interval (`codel_should_drop`).
    fn above(&mut self, now: Time, waited: Duration, empty: bool) -> bool {
        if waited < self.config.target || empty {
            self.first_above = None;
            return false;
        }
        let first_above = *self.first_above.get_or_insert(now + self.config.interval);
        now > first_above
    }

    fn control_law(&self, from: Time) -> Time {
        from + Duration((self.config.interval.0 as f64 / f64::from(self.count).sqrt()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: CoDelConfig =
        CoDelConfig { target: Duration::millis(5), interval: Duration::millis(100) };

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    /// Somebody is taken each millisecond after a wait of 50 ms: when are they dropped?
    #[test]
    fn drops_come_closer_by_the_square_root() {
        let mut codel = CoDel::new(CONFIG);
        let mut dropped = Vec::new();
        for milli in 0..500 {
            while codel.drops(at(milli), Duration::millis(50), false) {
                dropped.push(milli);
            }
        }
        // The first after an interval; then 100, 100/sqrt 2, 100/sqrt 3 ... later each.
        let mut expected = vec![101];
        let mut next: f64 = 201.0;
        for count in 2..20 {
            expected.push(next.ceil() as u64);
            next += 100.0 / f64::from(count).sqrt();
        }
        expected.retain(|milli| *milli < 500);
        assert_eq!(dropped, expected);
        assert_eq!(dropped.len(), 7);
    }

    #[test]
    fn a_wait_below_target_or_an_empty_queue_ends_it() {
        let mut codel = CoDel::new(CONFIG);
        let long = Duration::millis(50);
        assert!((0..=100).all(|milli| !codel.drops(at(milli), long, false)));
        assert!(codel.drops(at(101), long, false));
        assert!(!codel.drops(at(101), long, false), "the next one is served");
        assert!(!codel.drops(at(150), Duration::millis(4), false), "below target");
        assert!(!codel.drops(at(201), long, false), "above for no interval");
        assert!(!codel.drops(at(302), long, true), "the last one is not dropped");
    }

    #[test]
    fn a_series_soon_after_another_goes_on_where_that_was() {
        let mut codel = CoDel::new(CONFIG);
        let long = Duration::millis(50);
        let mut drops = |from: u64, to: u64| {
            (from..to).filter(|milli| codel.drops(at(*milli), long, false)).count()
        };
        assert_eq!(drops(0, 500), 7);
        assert!(!codel.drops(at(500), Duration::ZERO, false));
        let mut again = |from: u64, to: u64| {
            (from..to).filter(|milli| codel.drops(at(*milli), long, false)).count()
        };
        // After another interval above target it begins with the sixth step, 100/sqrt 6 = 41 ms.
        assert!(again(501, 901) > 7);
    }
}
