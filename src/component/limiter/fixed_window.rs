//! So many requests of a key in a window that starts with its first one: express-rate-limit 8.7.4
//! (`MemoryStore.increment`; 7.5.1 and the Redis script of rate-limit-redis 6.0.1 count alike).
//!
//! The window of a key starts with the *first* request of that key, not at a full minute, and the
//! next window with the first request after its end. Rejected requests count too. A client may so
//! send up to twice the limit within an instant, around the end of its window.

use super::kept::{Keeper, Kept};
use super::{Verdict, entry, whole_seconds};
use crate::units::{Duration, Time};

/// Sixteen bytes: there may be a million clients. `reset_at` zero is a client that never came.
#[derive(Clone, Copy, Default)]
pub(super) struct Window {
    pub(super) reset_at: Time,
    hits: u32,
}

/// One limiter of one process. Keys are small numbers, as of client addresses; memory grows to the
/// largest key.
pub struct FixedWindow {
    limit: u32,
    window: Duration,
    keys: Vec<Window>,
    /// Which of them are kept, where their memory counts.
    kept: Option<Box<Kept>>,
}

impl FixedWindow {
    /// `limit` requests of each key (`limit`, 5 by default; 0 rejects all) in `window` (`windowMs`,
    /// 60 s by default).
    pub fn new(limit: u32, window: Duration) -> FixedWindow {
        FixedWindow { limit, window, keys: Vec::new(), kept: None }
    }

    /// From now on it counts the keys that somebody keeps.
    pub fn keep(&mut self, keeper: Keeper, now: Time) {
        self.kept = Some(Box::new(Kept::new(keeper, now, self.window)));
    }

    /// A request of `key` at `now`.
    #[inline]
    pub fn hit(&mut self, now: Time, key: u32) -> Verdict {
        let entry = entry(&mut self.keys, key);
        let new = entry.reset_at <= now;
        if new {
            *entry = Window { reset_at: now + self.window, hits: 0 };
        }
        entry.hits = entry.hits.saturating_add(1);
        if let Some(kept) = &mut self.kept {
            kept.hit(now, key, (entry.reset_at, new));
        }
        if entry.hits <= self.limit {
            return Verdict::NOW;
        }
        Verdict::Reject { retry_after: whole_seconds(entry.reset_at.since(now)) }
    }

    /// How many keys a process keeps, where that is counted.
    pub fn in_process(&self, now: Time) -> u64 {
        match self.kept.as_deref() {
            Some(Kept::Process(generations)) => generations.count(now),
            _ => 0,
        }
    }

    /// How many keys Redis keeps, where that is counted.
    pub fn in_redis(&mut self, now: Time) -> u64 {
        match self.kept.as_deref_mut() {
            Some(Kept::Redis(counters)) => counters.count(now, &self.keys),
            _ => 0,
        }
    }

    /// The key in Redis that an eviction would meet: which, how many seconds ago it was used, and when it
    /// expires.
    pub fn oldest(
        &mut self,
        now: Time,
        draw: &mut impl FnMut() -> u64,
    ) -> Option<(u32, u64, Time)> {
        match self.kept.as_deref_mut() {
            Some(Kept::Redis(counters)) => counters.oldest(now, &self.keys, draw),
            _ => None,
        }
    }

    /// Redis evicts a key: its next request begins a new window.
    pub fn evict(&mut self, key: u32) {
        self.keys[key as usize] = Window::default();
        if let Some(Kept::Redis(counters)) = self.kept.as_deref_mut() {
            counters.gone(key);
        }
    }

    /// When the present window of a key ends.
    pub fn resets_at(&self, key: u32) -> Time {
        self.keys.get(key as usize).map_or(Time::ZERO, |window| window.reset_at)
    }

    /// A request of `key` is taken out of the count of its window, which ended or ends at `reset_at`
    /// (`decrementKey`: nothing once that is over; never below zero).
    pub fn take_back(&mut self, now: Time, key: u32, reset_at: Time) {
        if now < reset_at {
            let entry = entry(&mut self.keys, key);
            entry.hits = entry.hits.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }
    fn admitted(limiter: &mut FixedWindow, key: u32, times: impl Iterator<Item = u64>) -> u32 {
        let passed = |t| matches!(limiter.hit(at(t), key), Verdict::Pass { .. });
        times.map(passed).map(u32::from).sum()
    }

    #[test]
    fn exactly_the_limit_is_admitted_in_each_window() {
        for limit in [0, 1, 5, 100] {
            let mut limiter = FixedWindow::new(limit, Duration::secs(60));
            // 200 requests a window, three windows: rejected ones count, but prolong nothing.
            let total = admitted(&mut limiter, 0, (0..600).map(|i| i * 300));
            assert_eq!(total, 3 * limit);
        }
    }

    #[test]
    fn t37_twice_the_limit_passes_around_the_end_of_a_window() {
        let mut limiter = FixedWindow::new(100, Duration::secs(60));
        assert_eq!(admitted(&mut limiter, 0, [0].into_iter()), 1);
        assert_eq!(admitted(&mut limiter, 0, std::iter::repeat_n(59_999, 500)), 99);
        assert_eq!(admitted(&mut limiter, 0, std::iter::repeat_n(60_000, 500)), 100);
        assert_eq!(admitted(&mut limiter, 0, std::iter::repeat_n(119_999, 9)), 0);
    }

    #[test]
    fn t37_the_window_of_a_key_starts_with_its_first_request() {
        let mut limiter = FixedWindow::new(1, Duration::secs(60));
        assert_eq!(limiter.hit(at(59_000), 3), Verdict::NOW);
        let retry_after = Duration::secs(59);
        assert_eq!(limiter.hit(at(60_000), 3), Verdict::Reject { retry_after });
        assert_eq!(limiter.hit(at(60_000), 0), Verdict::NOW, "another key");
        assert_eq!(limiter.hit(at(119_000), 3), Verdict::NOW);
        // The next window starts with the next request, not where the last one ended.
        assert_eq!(limiter.hit(at(200_000), 3), Verdict::NOW);
        assert!(matches!(limiter.hit(at(239_000), 3), Verdict::Reject { .. }));
    }

    #[test]
    fn retry_after_is_whole_seconds_rounded_up() {
        let mut limiter = FixedWindow::new(1, Duration::secs(60));
        limiter.hit(at(0), 0);
        let cases = [(1, 60), (1_000, 59), (59_001, 1), (59_999, 1)];
        for (millis, seconds) in cases {
            let retry_after = Duration::secs(seconds);
            assert_eq!(limiter.hit(at(millis), 0), Verdict::Reject { retry_after }, "{millis}");
        }
    }

    #[test]
    fn what_is_taken_back_leaves_room_in_its_own_window_only() {
        let mut limiter = FixedWindow::new(1, Duration::secs(60));
        assert_eq!(limiter.hit(at(0), 0), Verdict::NOW);
        let first = limiter.resets_at(0);
        limiter.take_back(at(10), 0, first);
        limiter.take_back(at(10), 0, first);
        assert_eq!(limiter.hit(at(20), 0), Verdict::NOW, "back to zero, and not below");
        assert!(matches!(limiter.hit(at(30), 0), Verdict::Reject { .. }));
        assert_eq!(limiter.hit(at(60_000), 0), Verdict::NOW);
        limiter.take_back(at(60_001), 0, first);
        assert!(matches!(limiter.hit(at(60_002), 0), Verdict::Reject { .. }), "the next window");
    }

    #[test]
    fn a_key_takes_sixteen_bytes() {
        assert_eq!(std::mem::size_of::<Window>(), 16);
    }

    #[test]
    fn a_process_keeps_the_keys_of_two_windows() {
        let mut limiter = FixedWindow::new(5, Duration::secs(60));
        limiter.keep(Keeper::Process, at(0));
        for key in 0..100 {
            limiter.hit(at(1_000), key);
        }
        // Ten come again in the next window, and twenty others.
        for key in 90..120 {
            limiter.hit(at(61_000), key);
        }
        assert_eq!(limiter.in_process(at(119_999)), 120);
        assert_eq!(limiter.in_process(at(120_000)), 30, "the first ninety are let go");
        assert_eq!(limiter.in_process(at(180_000)), 0);
    }

    #[test]
    fn redis_keeps_a_key_until_its_window_is_over_or_it_is_evicted() {
        let mut limiter = FixedWindow::new(1, Duration::secs(60));
        limiter.keep(Keeper::Redis, at(0));
        assert_eq!(limiter.hit(at(0), 3), Verdict::NOW);
        assert_eq!(limiter.hit(at(30_000), 4), Verdict::NOW);
        assert!(matches!(limiter.hit(at(40_000), 4), Verdict::Reject { .. }));
        assert_eq!(limiter.in_redis(at(50_000)), 2);
        let (key, idle_s, expires) = limiter.oldest(at(50_000), &mut || 0).expect("there are two");
        assert_eq!((key, idle_s, expires), (3, 50, at(60_000)));
        limiter.evict(4);
        assert_eq!(limiter.in_redis(at(50_000)), 1);
        assert_eq!(limiter.hit(at(50_001), 4), Verdict::NOW, "its limit is forgotten");
        assert_eq!(limiter.in_redis(at(60_000)), 1);
        assert_eq!(limiter.in_redis(at(110_001)), 0);
        // A window may begin before anybody has looked whether the one before it is over.
        assert_eq!(limiter.hit(at(200_000), 3), Verdict::NOW);
        assert_eq!(limiter.hit(at(270_000), 3), Verdict::NOW);
        assert_eq!(limiter.in_redis(at(270_000)), 1);
        assert_eq!(limiter.in_redis(at(330_000)), 0);
    }
}
