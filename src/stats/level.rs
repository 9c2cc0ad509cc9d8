//! A level that changes at instants and is averaged over time: a queue's length, busy servers.

use crate::units::{Duration, Time};

/// Thresholds that no level reaches, for one that has no capacity.
pub const NO_THRESHOLDS: [u64; 4] = [u64::MAX; 4];

/// 75, 85, 95 and 100 % of a capacity, rounded up: the least levels that reach those shares.
pub fn thresholds_of_capacity(capacity: u64) -> [u64; 4] {
    [75, 85, 95, 100].map(|percent| (capacity * percent).div_ceil(100))
}

/// A whole-numbered level over time, with its exact integral.
///
/// # Model
/// Mean = (1/T) integral of level(t) dt. The integral is an integer (level times ticks), so that
/// Little's law holds as an identity of integers, and not only within rounding.
///
/// # Invariants
/// Calls come in the order of simulated time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    value: u64,
    /// When `value` was last accounted for.
    accounted: Time,
    start: Time,
    integral: u128,
    /// The integral up to `start`.
    before: u128,
    peak: u64,
    thresholds: [u64; 4],
    /// Ticks at or above each threshold.
    reached: [u64; 4],
}

impl Level {
    /// A level of zero from `now` on, which also measures the time at or above each threshold
    /// ([`thresholds_of_capacity`], or [`NO_THRESHOLDS`]); they ascend.
    pub fn new(now: Time, thresholds: [u64; 4]) -> Level {
        debug_assert!(thresholds.is_sorted(), "the first is the lowest");
        Level {
            value: 0,
            accounted: now,
            start: now,
            integral: 0,
            before: 0,
            peak: 0,
            thresholds,
            reached: [0; 4],
        }
    }

    /// The present level.
    #[inline(always)]
    pub fn value(&self) -> u64 {
        self.value
    }

    /// The level is `value` from `now` on.
    #[inline]
    pub fn set(&mut self, now: Time, value: u64) {
        self.account(now);
        self.value = value;
        self.peak = self.peak.max(value);
    }

    /// The level changes by `change` at `now`.
    ///
    /// # Panics
    /// If it would fall below zero: something was counted out that never came in.
    #[inline]
    pub fn add(&mut self, now: Time, change: i64) {
        let value = self.value.checked_add_signed(change).expect("a level never falls below zero");
        self.set(now, value);
    }

    #[inline(always)]
    fn account(&mut self, now: Time) {
        let ticks = now.since(self.accounted).0;
        if ticks == 0 {
            return; // most changes of an instant are one of several
        }
        self.accounted = now;
        self.integral += u128::from(self.value) * u128::from(ticks);
        if self.value < self.thresholds[0] {
            return; // most of the time: the thresholds ascend
        }
        for (reached, &threshold) in self.reached.iter_mut().zip(&self.thresholds) {
            *reached += if self.value >= threshold { ticks } else { 0 };
        }
    }

    /// Forgets the past at the end of the warm-up: the level stays, the integral and the times
    /// start again from zero, and the peak from the present level.
    pub fn reset(&mut self, now: Time) {
        *self = Level {
            value: self.value,
            peak: self.value,
            before: self.total(now),
            ..Level::new(now, self.thresholds)
        };
    }

    /// The integral since the level was made, whatever was forgotten since; exact.
    pub fn total(&self, now: Time) -> u128 {
        self.before + self.integral(now)
    }

    /// The integral of the level from the start to `now`, in level times ticks; exact.
    pub fn integral(&self, now: Time) -> u128 {
        let ticks = now.since(self.accounted).0;
        self.integral + u128::from(self.value) * u128::from(ticks)
    }

    /// The mean level from the start to `now`; `None` when no time has passed.
    pub fn mean(&self, now: Time) -> Option<f64> {
        let length = now.since(self.start);
        (!length.is_zero()).then(|| self.integral(now) as f64 / length.0 as f64)
    }

    /// The highest level since the start.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// The time from the start to `now` spent at or above each threshold.
    pub fn time_reached(&self, now: Time) -> [Duration; 4] {
        let mut seen = self.clone();
        seen.account(now);
        seen.reached.map(Duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_integrated_exactly() {
        let mut level = Level::new(Time(100), thresholds_of_capacity(10));
        assert_eq!(level.mean(Time(100)), None);
        level.add(Time(110), 8);
        level.set(Time(130), 10);
        level.add(Time(140), -9);
        assert_eq!(level.value(), 1);
        assert_eq!(level.integral(Time(150)), 8 * 20 + 10 * 10 + 10);
        assert_eq!(level.mean(Time(150)), Some(270.0 / 50.0));
        assert_eq!(level.peak(), 10);
        // 75 % of 10 is reached at 8, 85 % at 9, 95 % and 100 % at 10.
        assert_eq!(level.time_reached(Time(150)), [30, 10, 10, 10].map(Duration));
        assert_eq!(level.time_reached(Time(150)), [30, 10, 10, 10].map(Duration));
    }

    #[test]
    fn a_reset_keeps_the_level_and_forgets_the_past() {
        let mut level = Level::new(Time::ZERO, thresholds_of_capacity(4));
        level.set(Time(0), 9);
        level.set(Time(10), 3);
        level.reset(Time(20));
        assert_eq!((level.value(), level.peak()), (3, 3));
        assert_eq!(level.integral(Time(20)), 0);
        level.add(Time(30), 1);
        assert_eq!(level.mean(Time(40)), Some(3.5));
        assert_eq!(level.time_reached(Time(40)), [20, 10, 10, 10].map(Duration));
    }

    #[test]
    fn the_integral_equals_the_sum_of_sojourns() {
        let sojourns = [(3, 17), (4, 9), (8, 40), (9, 10), (22, 23)];
        let mut changes: Vec<(u64, i64)> =
            sojourns.iter().flat_map(|&(from, to)| [(from, 1), (to, -1)]).collect();
        changes.sort();
        let mut level = Level::new(Time::ZERO, NO_THRESHOLDS);
        changes.iter().for_each(|&(at, change)| level.add(Time(at), change));
        let total: u64 = sojourns.iter().map(|(from, to)| to - from).sum();
        assert_eq!(level.integral(Time(100)), u128::from(total));
        assert_eq!(level.time_reached(Time(100)), [Duration::ZERO; 4]);
    }

    #[test]
    #[should_panic(expected = "never falls below zero")]
    fn counting_out_what_never_came_in_is_refused() {
        Level::new(Time::ZERO, NO_THRESHOLDS).add(Time(1), -1);
    }
}
