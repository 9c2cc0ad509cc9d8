//! How many requests a prefix of an object store takes.
//!
//! Amazon S3 performance guidelines: "at least 3,500 PUT/COPY/POST/DELETE or 5,500 GET/HEAD requests per
//! second per partitioned Amazon S3 prefix"; beyond, 503 Slow Down, until the prefix has been split. A
//! second's worth may come at once.

use crate::units::{Duration, Time};

/// What may come at once, as time at the rate.
const BURST: Duration = Duration::secs(1);

/// One prefix, for one kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    /// Time from one request to the next at the rate.
    interval: Duration,
    /// When all that came would have come at the rate.
    due: Time,
    /// Since when it has slowed clients down without a pause.
    slow_since: Option<Time>,
}

impl Prefix {
    /// A prefix that takes so many requests a second.
    pub fn new(rate_per_s: f64) -> Prefix {
        let interval = Duration::from_secs_f64(1.0 / rate_per_s);
        Prefix { interval, due: Time::ZERO, slow_since: None }
    }
    /// Whether `count` requests are taken; a prefix that has been slow for `split_after` is split.
    pub fn take(&mut self, now: Time, count: u32, split_after: Option<Duration>) -> bool {
        if self.due <= now {
            (self.due, self.slow_since) = (now, None);
        }
        if self.due.since(now) < BURST {
            self.due = self.due + Duration(self.interval.0 * u64::from(count));
            return true;
        }
        let since = *self.slow_since.get_or_insert(now);
        if split_after.is_some_and(|after| now.since(since) >= after) {
            self.interval = Duration(self.interval.0.div_ceil(2));
            self.slow_since = None;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks at a rate for so many seconds; gives how many requests were taken in each.
    fn taken(prefix: &mut Prefix, rate: u64, seconds: u64, split: Option<Duration>) -> Vec<u64> {
        let gap = Duration::secs(1).0 / rate;
        let in_second = |second: u64, prefix: &mut Prefix| {
            let at = |n: u64| Time::ZERO + Duration::secs(second) + Duration(gap * n);
            (0..rate).filter(|n| prefix.take(at(*n), 1, split)).count() as u64
        };
        (0..seconds).map(|second| in_second(second, prefix)).collect()
    }

    #[test]
    fn a_prefix_takes_its_rate_and_a_second_more_at_once() {
        let seconds = taken(&mut Prefix::new(3_500.0), 7_000, 4, None);
        assert_eq!(seconds[0], 7_000, "a second's worth has been saved");
        assert!(seconds[1..].iter().all(|taken| taken.abs_diff(3_500) <= 1), "{seconds:?}");
        assert_eq!(taken(&mut Prefix::new(3_500.0), 3_400, 3, None), [3_400; 3]);
    }

    #[test]
    fn it_is_split_when_it_has_been_slow_for_long() {
        let seconds = taken(&mut Prefix::new(1_000.0), 4_000, 30, Some(Duration::secs(10)));
        assert!(seconds[5] <= 1_001 && seconds[15].abs_diff(2_000) <= 2, "{seconds:?}");
        assert!(seconds[25].abs_diff(4_000) <= 4, "{seconds:?}");
    }
}
