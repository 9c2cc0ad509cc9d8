//! Rows for caches.

use super::Row;
use crate::result::Unit;
use crate::run::Counter;
use crate::theory::{
    EarlyRefresh, fifo_hits, lru_hits, ttl_hit_ratio, ttl_hit_ratio_renewed_at_hits,
};

/// Least recently used.
pub(super) const LRU: &[Row] = &[Row {
    figure: "hit ratio",
    formula: "1 - exp(-q T), T fills the cache",
    source: "Che, Tung and Wang 2002",
    unit: Unit::Ratio,
    observe: |it| it.hit_ratio("cache.store"),
    theory: |s| lru_hits(&zipf(), (10_000.0 * s) as usize).hit_ratio,
    teeth: 0.1,
}];

/// First in, first out; or any at random.
pub(super) const FIFO: &[Row] = &[Row {
    figure: "hit ratio",
    formula: "q T / (1 + q T), T fills the cache",
    source: "Gelenbe 1973",
    unit: Unit::Ratio,
    observe: |it| it.hit_ratio("cache.store"),
    theory: |s| fifo_hits(&zipf(), (10_000.0 * s) as usize).hit_ratio,
    teeth: 0.05,
}];

/// A time to live that hits do not renew.
pub(super) const EXPIRY: &[Row] = &[Row {
    figure: "hit ratio",
    formula: "x / (1 + x), x asked in a lifetime",
    source: "Jung, Berger and Balakrishnan 2003",
    unit: Unit::Ratio,
    observe: |it| it.hit_ratio("cache.store"),
    theory: |s| ttl_hit_ratio(2_000.0 / 1_000.0 * 0.5 * s),
    teeth: 0.02,
}];

/// A time to live that hits renew.
pub(super) const SLIDING: &[Row] = &[Row {
    figure: "hit ratio",
    formula: "1 - exp(-x), x asked in a lifetime",
    source: "Fricker, Robert and Roberts 2012",
    unit: Unit::Ratio,
    observe: |it| it.hit_ratio("cache.store"),
    theory: |s| ttl_hit_ratio_renewed_at_hits(2_000.0 / 1_000.0 * 0.5 * s),
    teeth: 0.02,
}];

/// LRU where half of all keys fit.
pub(super) const ROOMY: &[Row] = &[Row {
    figure: "hit ratio",
    formula: "1 - exp(-q T), T fills the cache",
    source: "Che, Tung and Wang 2002",
    unit: Unit::Ratio,
    observe: |it| it.hit_ratio("cache.store"),
    theory: |s| lru_hits(&zipf(), (50_000.0 * s) as usize).hit_ratio,
    teeth: 0.05,
}];

/// Loads that begin before a value's end.
pub(super) const EARLY: &[Row] = &[Row {
    figure: "early loads",
    formula: "1 - exp(-r b (1 - exp(-ttl / b)))",
    source: "Vattani, Chierichetti and Lowenstein 2015",
    unit: Unit::Ratio,
    observe: |it| {
        let counters = &it.at("cache.store").counters;
        let [early, misses, joined] = [Counter::Early, Counter::Misses, Counter::Joined]
            .map(|it| counters[it as usize] as f64);
        early / (misses - joined)
    },
    theory: |s| early(s).early_ratio(),
    teeth: 0.1,
}];

fn early(stretch: f64) -> EarlyRefresh {
    EarlyRefresh { reads_per_s: 10.0, load_s: 0.1, ttl_s: 2.0, beta: stretch }
}

/// The popularity of 100,000 keys by Zipf's law with exponent 0.8.
fn zipf() -> Vec<f64> {
    (1..=100_000).map(|rank| libm::pow(f64::from(rank), -0.8)).collect()
}
