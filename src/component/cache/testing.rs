//! What the tests of caches share: draws, a popularity law, and a reader that loads on a miss.

use super::*;

/// Raw draws (splitmix64).
pub(super) fn splitmix(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Popularity proportional to 1/(rank + 1)^exponent.
pub(super) struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    pub(super) fn new(count: u32, exponent: f64) -> Zipf {
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (0..count)
            .map(|rank| {
                sum += libm::pow(f64::from(rank + 1), -exponent);
                sum
            })
            .collect();
        cumulative.iter_mut().for_each(|entry| *entry /= sum);
        Zipf { cumulative }
    }
    pub(super) fn probability(&self, rank: u32) -> f64 {
        let before = if rank == 0 { 0.0 } else { self.cumulative[rank as usize - 1] };
        self.cumulative[rank as usize] - before
    }
    pub(super) fn draw(&self, draws: &mut impl FnMut() -> u64) -> u32 {
        let at = unit(draws);
        self.cumulative.partition_point(|&entry| entry < at).min(self.cumulative.len() - 1) as u32
    }
}

pub(super) fn exponential_s(rate_per_s: f64, draws: &mut impl FnMut() -> u64) -> f64 {
    -libm::log(unit(draws)) / rate_per_s
}

/// Poisson readers of one keyset who load and set what they miss.
pub(super) struct Readers<'a> {
    pub(super) zipf: &'a Zipf,
    pub(super) rate_per_s: f64,
    pub(super) ttl: Ttl,
}

impl Readers<'_> {
    /// Reads so many times from `now` on; gives the hit ratio and the time of the last read.
    pub(super) fn read(
        &self,
        store: &mut CacheStore,
        now: Time,
        reads: u64,
        draws: &mut impl FnMut() -> u64,
    ) -> (f64, Time) {
        let before = store.counters().hits;
        let mut now = now;
        for _ in 0..reads {
            now = now + Duration::from_secs_f64(exponential_s(self.rate_per_s, draws));
            let key = Key { keyset: 0, rank: self.zipf.draw(draws) };
            if store.get(now, key) == Lookup::Miss {
                store.set(now, key, self.ttl, draws);
            }
        }
        ((store.counters().hits - before) as f64 / reads as f64, now)
    }
}
