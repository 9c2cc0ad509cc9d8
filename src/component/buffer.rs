//! How often a page is found in memory, by the share of all pages that is kept there.
//!
//! Of pages that are looked at independently, the one of popularity p is in memory after n look-ups with
//! 1 - exp(-p n), if nothing has been dropped; and an LRU cache that is full is in the state of n look-ups
//! such that these sum to its size (Che, Tung and Wang 2002). So a cache that fills up after a cold start and
//! one that has been full for long lie on the same curve: the hit ratio by the number of pages that are there.
//! PostgreSQL's clock sweep and Linux's two lists come close to LRU. Where all pages are looked at alike, the
//! curve is a straight line, whatever is dropped.

use crate::variate::KeySampler;

/// Points of a curve.
const POINTS: u32 = 400;
/// Ranks that are taken one by one; beyond them in groups, each by so much larger.
const SINGLE: u32 = 1_000;
const GROUP: f64 = 1.02;

/// The hit ratio by the share of pages in memory.
#[derive(Clone, Debug, Default)]
pub struct HitCurve {
    /// Share and hit ratio, both growing; none where all pages are looked at alike.
    points: Vec<(f64, f64)>,
}

impl HitCurve {
    /// Of pages that are as popular as these keys.
    pub fn new(keys: &KeySampler) -> HitCurve {
        let groups = groups(keys);
        let count: f64 = groups.iter().map(|(size, _)| size).sum();
        let total: f64 = groups.iter().map(|(size, each)| size * each).sum();
        let each = |(_, each): &(f64, f64)| each / total;
        let (first, last) = (each(&groups[0]), each(groups.last().expect("there is a key")));
        // From hardly a look-up at the first to many at the last.
        let (from, to) = (libm::log(1e-3 / first), libm::log(30.0 / last));
        let point = |step: u32| {
            let looks = libm::exp(from + (to - from) * f64::from(step) / f64::from(POINTS));
            let mut sums = (0.0, 0.0);
            for group in &groups {
                let there = group.0 * -libm::expm1(-each(group) * looks);
                sums.0 += there / count;
                sums.1 += there * each(group);
            }
            sums
        };
        HitCurve { points: (0..=POINTS).map(point).collect() }
    }

    /// How many look-ups find their page.
    pub fn at(&self, share: f64) -> f64 {
        let share = share.clamp(0.0, 1.0);
        if self.points.is_empty() || share == 1.0 {
            return share;
        }
        let above = self.points.partition_point(|(known, _)| *known < share);
        let origin = (0.0, 0.0);
        let low = if above == 0 { origin } else { self.points[above - 1] };
        let high = self.points.get(above).copied().unwrap_or((1.0, 1.0));
        if high.0 <= low.0 {
            return high.1;
        }
        low.1 + (high.1 - low.1) * (share - low.0) / (high.0 - low.0)
    }
}

/// How many keys there are of a popularity, from the most popular on.
fn groups(keys: &KeySampler) -> Vec<(f64, f64)> {
    let mut groups = Vec::new();
    let mut rank = 0;
    while rank < keys.count() {
        let grown = (f64::from(rank) * (GROUP - 1.0)) as u32;
        let size = if rank < SINGLE { 1 } else { grown.max(1) }.min(keys.count() - rank);
        groups.push((f64::from(size), keys.probability(rank + size / 2)));
        rank += size;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::lru_hits;
    use crate::variate::Popularity;

    #[test]
    fn a_curve_is_what_che_says_of_lru() {
        for (count, exponent) in [(200_u32, 0.8), (20_000, 0.99), (5_000, 1.2)] {
            let keys = KeySampler::new(count, Popularity::Zipf { exponent });
            let curve = HitCurve::new(&keys);
            let weights: Vec<f64> = (0..count).map(|rank| keys.probability(rank)).collect();
            for percent in [1, 5, 20, 50, 80, 95] {
                let kept = (count * percent / 100) as usize;
                let exact = lru_hits(&weights, kept).hit_ratio;
                let found = curve.at(kept as f64 / f64::from(count));
                assert!(
                    (found - exact).abs() < 0.003,
                    "{count} {exponent} {percent} %: {found} {exact}"
                );
            }
            assert_eq!((curve.at(0.0), curve.at(1.0)), (0.0, 1.0));
        }
    }

    #[test]
    fn pages_that_are_all_alike_are_found_as_often_as_they_are_there() {
        let even = HitCurve::default();
        assert_eq!([0.0, 0.25, 1.0, 2.0].map(|share| even.at(share)), [0.0, 0.25, 1.0, 1.0]);
    }
}
