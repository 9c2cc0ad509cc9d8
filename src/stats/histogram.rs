//! A histogram of durations that records in a nanosecond, merges exactly and answers any quantile.

use crate::units::{Duration, TICKS_PER_SECOND};

/// Bits of a value kept below its leading one: 2^7 buckets to each octave (doubling).
const BITS: u32 = 7;
/// Buckets to an octave. Twice the 64 that suffice for a bucket's centre, because interpolating
/// within a bucket can be wrong by the whole of it.
const OCTAVE: usize = 1 << BITS;

/// The relative error that no quantile exceeds: one bucket's width over its lower edge, 1/128.
///
/// Durations below 256 ps are exact.
pub const RELATIVE_ERROR: f64 = 1.0 / OCTAVE as f64;

/// Durations, counted in log-linear buckets (128 to an octave), with exact integer moments.
///
/// # Model
/// The bucket of `v` is given by its leading one and the seven bits after it, so a bucket is at
/// most 1/128 (0.79 %) of its lower edge wide. Counts, the sum and the sum of squares are integers
/// wide enough for any run: merging is exact and independent of order, and so is every answer.
///
/// # Invariants
/// Only the octaves from the shortest to the longest recorded duration are stored (1 KiB each),
/// plus one counter for zero; equal recordings compare equal, in whatever order they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Counts of the buckets from `base` on: whole octaves.
    counts: Vec<u64>,
    /// The number of the first stored bucket, a multiple of [`OCTAVE`].
    base: usize,
    /// How many zeros: waits are often zero, and would stretch the stored octaves down to a tick.
    zeros: u64,
    count: u64,
    /// In ticks: 2^64 durations below 2^64 ticks fit.
    sum: u128,
    squares: Wide,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

impl Histogram {
    /// An empty histogram; it takes no memory until something is recorded.
    pub const fn new() -> Histogram {
        Histogram {
            counts: Vec::new(),
            base: 0,
            zeros: 0,
            count: 0,
            sum: 0,
            squares: Wide::ZERO,
            min: u64::MAX,
            max: 0,
        }
    }

    /// Counts one duration.
    #[inline]
    pub fn record(&mut self, duration: Duration) {
        let ticks = duration.0;
        self.count += 1;
        self.sum += u128::from(ticks);
        self.squares.add(u128::from(ticks) * u128::from(ticks));
        self.min = self.min.min(ticks);
        self.max = self.max.max(ticks);
        if ticks == 0 {
            self.zeros += 1;
            return;
        }
        let bucket = bucket_of(ticks);
        match self.counts.get_mut(bucket.wrapping_sub(self.base)) {
            Some(count) => *count += 1,
            None => {
                self.cover(bucket, bucket);
                self.counts[bucket - self.base] += 1;
            }
        }
    }

    /// Adds everything that `other` recorded, exactly.
    pub fn merge(&mut self, other: &Histogram) {
        if !other.counts.is_empty() {
            self.cover(other.base, other.base + other.counts.len() - 1);
            let offset = other.base - self.base;
            for (mine, theirs) in self.counts[offset..].iter_mut().zip(&other.counts) {
                *mine += theirs;
            }
        }
        self.zeros += other.zeros;
        self.count += other.count;
        self.sum += other.sum;
        self.squares.add_wide(other.squares);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Stores whole octaves from that of bucket `first` to that of bucket `last`, besides the
    /// present.
    #[cold]
    fn cover(&mut self, first: usize, last: usize) {
        let (mut low, mut high) = (first / OCTAVE * OCTAVE, (last / OCTAVE + 1) * OCTAVE);
        if !self.counts.is_empty() {
            low = low.min(self.base);
            high = high.max(self.base + self.counts.len());
        }
        let mut counts = vec![0; high - low];
        if !self.counts.is_empty() {
            let offset = self.base - low;
            counts[offset..offset + self.counts.len()].copy_from_slice(&self.counts);
        }
        self.counts = counts;
        self.base = low;
    }

    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all durations, in ticks; exact.
    pub fn sum_ticks(&self) -> u128 {
        self.sum
    }

    /// The shortest duration; `None` when empty. Exact.
    pub fn min(&self) -> Option<Duration> {
        (self.count > 0).then_some(Duration(self.min))
    }

    /// The longest duration; `None` when empty. Exact.
    pub fn max(&self) -> Option<Duration> {
        (self.count > 0).then_some(Duration(self.max))
    }

    /// The mean (s); `None` when empty. Exact but for the final rounding.
    pub fn mean_s(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64 / TICKS_PER_SECOND as f64)
    }

    /// The sample variance [s^2] (divisor n - 1); `None` with fewer than two durations.
    ///
    /// # Model
    /// Deviations are taken from the whole-tick mean `m` in 192-bit integers, so nothing cancels:
    /// sum (x - m)^2 = sum x^2 - 2 m sum x + n m^2, then r^2/n less for the mean's fraction r/n.
    pub fn variance_s2(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        let count = u128::from(self.count);
        let centre = (self.sum / count) as u64;
        let rest = (self.sum % count) as f64;
        let mut deviations = self.squares;
        deviations.add_wide(Wide::product(u128::from(centre) * u128::from(centre), self.count));
        let crossed = Wide::product(self.sum, centre);
        deviations.subtract_wide(crossed);
        deviations.subtract_wide(crossed);
        let squares = deviations.value() - rest * rest / self.count as f64;
        let second = TICKS_PER_SECOND as f64;
        Some(squares.max(0.0) / (self.count - 1) as f64 / second / second)
    }

    /// The `p`-quantile by the nearest rank: the ceil(p n)-th shortest duration, to within
    /// [`RELATIVE_ERROR`]; `None` when empty.
    ///
    /// Durations within a bucket are taken as evenly spread. The answer never decreases with `p`;
    /// at 0 and 1 it is the exact minimum and maximum.
    ///
    /// # Panics
    /// If `p` is not between 0 and 1.
    pub fn quantile(&self, p: f64) -> Option<Duration> {
        assert!((0.0..=1.0).contains(&p), "a quantile lies between 0 and 1, not at {p}");
        if self.count == 0 {
            return None;
        }
        // A share such as 0.07 lies a rounding above itself; the factor keeps it at its own rank.
        let rank = ((p * self.count as f64 * (1.0 - 1e-12)).ceil() as u64).clamp(1, self.count);
        if rank == 1 || rank == self.count {
            return Some(Duration(if rank == 1 { self.min } else { self.max }));
        }
        let mut below = self.zeros;
        if rank <= below {
            return Some(Duration::ZERO);
        }
        for (index, &count) in self.counts.iter().enumerate() {
            if below + count >= rank {
                let (lower, width) = edges_of(self.base + index);
                let share = ((rank - below) as f64 - 0.5) / count as f64;
                // The values in a bucket one tick wide are all its lower edge.
                let ticks = lower + ((width - 1) as f64 * share) as u64;
                return Some(Duration(ticks.clamp(self.min, self.max)));
            }
            below += count;
        }
        unreachable!("the counts add up to the number recorded")
    }

    /// The cumulative distribution, for a plot: (value (s), share of durations at or below it), one
    /// point for each bucket in use; the shares rise to 1.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let zero = (self.zeros > 0).then_some((0, self.zeros));
        let used = self.counts.iter().enumerate().filter(|&(_, &count)| count > 0);
        let buckets = used.map(|(index, &count)| {
            let (lower, width) = edges_of(self.base + index);
            ((lower + (width - 1)).min(self.max), count)
        });
        let mut below = 0;
        zero.into_iter().chain(buckets).map(move |(ticks, count)| {
            below += count;
            (Duration(ticks).seconds(), below as f64 / self.count as f64)
        })
    }
}

/// The number of the bucket that holds `ticks`.
#[inline(always)]
fn bucket_of(ticks: u64) -> usize {
    // The first two octaves' worth of buckets are one tick wide, hence the floor under the shift.
    let shift = 63 - (ticks | OCTAVE as u64).leading_zeros() - BITS;
    ((shift as usize) << BITS) + (ticks >> shift) as usize
}

/// The lower edge and the width of a bucket, in ticks.
fn edges_of(bucket: usize) -> (u64, u64) {
    if bucket < 2 * OCTAVE {
        return (bucket as u64, 1);
    }
    let shift = bucket / OCTAVE - 1;
    (((bucket % OCTAVE + OCTAVE) as u64) << shift, 1 << shift)
}

/// A 192-bit integer: room for 2^64 squares of 64-bit numbers. Arithmetic is modulo 2^192.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wide {
    low: u128,
    high: u64,
}

impl Wide {
    const ZERO: Wide = Wide { low: 0, high: 0 };

    #[inline(always)]
    fn add(&mut self, value: u128) {
        let (low, carry) = self.low.overflowing_add(value);
        self.low = low;
        self.high += u64::from(carry);
    }
    fn add_wide(&mut self, other: Wide) {
        let (low, carry) = self.low.overflowing_add(other.low);
        self.low = low;
        self.high = self.high.wrapping_add(other.high).wrapping_add(u64::from(carry));
    }
    fn subtract_wide(&mut self, other: Wide) {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        self.low = low;
        self.high = self.high.wrapping_sub(other.high).wrapping_sub(u64::from(borrow));
    }
    fn product(a: u128, b: u64) -> Wide {
        let low = (a & u128::from(u64::MAX)) * u128::from(b);
        let high = (a >> 64) * u128::from(b);
        let mut product = Wide { low: high << 64, high: (high >> 64) as u64 };
        product.add(low);
        product
    }
    fn value(self) -> f64 {
        self.high as f64 * 2f64.powi(128) + self.low as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    fn lognormal(seed: u64, count: usize) -> Vec<Duration> {
        let mut sample = Sample(seed);
        (0..count)
            .map(|_| Duration::from_secs_f64(0.02 * libm::exp(1.5 * sample.normal())))
            .collect()
    }

    fn of(values: &[Duration]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|&value| histogram.record(value));
        histogram
    }

    #[test]
    fn buckets_tile_the_line_within_the_stated_error() {
        let mut next = 0u128;
        for bucket in 0..=bucket_of(u64::MAX) {
            let (lower, width) = edges_of(bucket);
            assert_eq!(u128::from(lower), next, "bucket {bucket} starts where the last one ends");
            assert_eq!(bucket_of(lower), bucket);
            assert_eq!(bucket_of(lower + (width - 1)), bucket);
            assert!(width == 1 || width as f64 <= RELATIVE_ERROR * lower as f64);
            next += u128::from(width);
        }
        assert_eq!(next, 1u128 << 64);
    }

    #[test]
    fn quantiles_keep_to_the_stated_error_and_rise() {
        let mut values = lognormal(1, 100_000);
        let histogram = of(&values);
        values.sort();
        let mut last = Duration::ZERO;
        for step in 0..=100_000 {
            let p = f64::from(step) / 100_000.0;
            let exact = values[((step.max(1)) - 1) as usize];
            let answer = histogram.quantile(p).unwrap();
            let error = (answer.seconds() - exact.seconds()).abs() / exact.seconds();
            assert!(error <= RELATIVE_ERROR, "at {p}: {answer} for {exact}");
            assert!(answer >= last, "at {p}");
            last = answer;
        }
        assert_eq!(histogram.quantile(0.0), histogram.min());
        assert_eq!(histogram.quantile(1.0), Some(*values.last().unwrap()));
    }

    #[test]
    fn merging_is_exact_in_any_order_and_grouping() {
        let values = lognormal(2, 3_000);
        let whole = of(&values);
        let parts: Vec<Histogram> = values.chunks(700).map(of).collect();
        let mut forward = Histogram::new();
        parts.iter().for_each(|part| forward.merge(part));
        let mut backward = of(&[]);
        parts.iter().rev().for_each(|part| backward.merge(part));
        assert_eq!(forward, whole);
        assert_eq!(backward, whole);
        backward.record(Duration::ZERO);
        assert_ne!(backward, whole);
    }

    #[test]
    fn moments_are_exact_where_floats_would_cancel() {
        // A thousand seconds and one or two ticks more: the variance is that of 0, 1, 2.
        let histogram = of(&[0, 1, 2].map(|tick| Duration(1_000 * TICKS_PER_SECOND + tick)));
        let tick_squared = 1e-24;
        assert!((histogram.variance_s2().unwrap() / tick_squared - 1.0).abs() < 1e-12);
        assert_eq!(histogram.sum_ticks(), 3_000 * u128::from(TICKS_PER_SECOND) + 3);
        assert_eq!(histogram.mean_s(), Some(1_000.000_000_000_001));
        let wide = of(&[Duration::FOREVER, Duration::FOREVER, Duration::ZERO]);
        let third = wide.variance_s2().unwrap() * 3.0 / Duration::FOREVER.seconds();
        assert!((third / Duration::FOREVER.seconds() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn emptiness_and_constants_are_told_honestly() {
        let empty = Histogram::new();
        assert_eq!((empty.quantile(0.5), empty.mean_s(), empty.max()), (None, None, None));
        assert_eq!(empty.cumulative().count(), 0);
        let constant = of(&[Duration::millis(20); 1_000]);
        assert_eq!(constant.quantile(0.5), Some(Duration::millis(20)));
        assert_eq!(constant.quantile(0.99), Some(Duration::millis(20)));
        assert_eq!(constant.variance_s2(), Some(0.0));
        let small: Vec<Duration> = (0..10).map(Duration).collect();
        assert_eq!(of(&small).quantile(0.5), Some(Duration(4)));
        assert_eq!(of(&small).quantile(0.7), Some(Duration(6)));
    }

    #[test]
    fn memory_spans_only_the_octaves_in_use() {
        let mut values = vec![Duration::ZERO; 5];
        values.extend([Duration::millis(10), Duration::millis(75)]);
        assert_eq!(of(&values).counts.len(), 4 * OCTAVE);
    }

    #[test]
    fn the_cumulative_distribution_rises_to_one() {
        let mut histogram = of(&lognormal(3, 5_000));
        histogram.record(Duration::ZERO);
        let points: Vec<(f64, f64)> = histogram.cumulative().collect();
        assert_eq!(points[0], (0.0, 1.0 / 5_001.0));
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1));
        assert_eq!(*points.last().unwrap(), (histogram.max().unwrap().seconds(), 1.0));
    }
}
