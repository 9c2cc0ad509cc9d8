//! Hit ratios of caches under independent requests.

/// How a cache of limited size serves keys of given popularity.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheHits {
    /// The characteristic time, in requests to the cache: how long a key stays without being asked
    /// for (LRU) or at all (FIFO); infinite when all keys fit.
    pub characteristic_requests: f64,
    /// The share of requests that hit.
    pub hit_ratio: f64,
    /// The hit ratio of each key.
    pub per_key: Vec<f64>,
}

/// LRU, by Che's approximation.
///
/// `weights` are the keys' popularities, in any unit; `capacity` is how many keys fit.
///
/// # Model
/// Key i hits with 1 - exp(-q_i T), T such that these sum to the capacity (Che, Tung and Wang 2002;
/// Fricker, Robert and Roberts 2012): within a fraction of a per cent for thousands of keys.
///
/// # Panics
/// If a weight is negative, or all are zero.
pub fn lru_hits(weights: &[f64], capacity: usize) -> CacheHits {
    hits(weights, capacity, |requests| {
        let missed = libm::exp(-requests);
        (-libm::expm1(-requests), missed)
    })
}

/// FIFO and RANDOM eviction, which hit equally often.
///
/// # Model
/// Key i hits with q_i T / (1 + q_i T), T such that these sum to the capacity (Gelenbe 1973;
/// Fricker, Robert and Roberts 2012). Arguments and panics as [`lru_hits`].
pub fn fifo_hits(weights: &[f64], capacity: usize) -> CacheHits {
    hits(weights, capacity, |requests| {
        let missed = 1.0 / (1.0 + requests);
        (requests * missed, missed * missed)
    })
}

/// Solves sum hit(q_i T) = capacity for T; `hit` gives the ratio and its derivative.
fn hits(weights: &[f64], capacity: usize, hit: impl Fn(f64) -> (f64, f64)) -> CacheHits {
    let total: f64 = weights.iter().sum();
    assert!(
        total > 0.0 && weights.iter().all(|&weight| weight >= 0.0),
        "popularities are not negative, and some key is asked for"
    );
    let asked_for = weights.iter().filter(|&&weight| weight > 0.0).count();
    if capacity >= asked_for {
        let per_key = weights.iter().map(|&weight| if weight > 0.0 { 1.0 } else { 0.0 });
        return CacheHits {
            characteristic_requests: f64::INFINITY,
            hit_ratio: 1.0,
            per_key: per_key.collect(),
        };
    }
    // The sum is concave and at most T, so Newton's method from T = capacity climbs to the root and
    // never passes it; it has arrived when rounding no longer lets it climb.
    let mut time = capacity as f64;
    loop {
        let (mut filled, mut slope) = (0.0, 0.0);
        for weight in weights {
            let share = weight / total;
            let (ratio, derivative) = hit(share * time);
            filled += ratio;
            slope += share * derivative;
        }
        let next = time + (capacity as f64 - filled) / slope;
        if next <= time * (1.0 + 1e-13) {
            break;
        }
        time = next;
    }
    let per_key: Vec<f64> = weights.iter().map(|weight| hit(weight / total * time).0).collect();
    let hit_ratio =
        weights.iter().zip(&per_key).map(|(weight, ratio)| weight / total * ratio).sum();
    CacheHits { characteristic_requests: time, hit_ratio, per_key }
}

/// The hit ratio of a key under a time to live that runs from its being stored: x / (1 + x), where
/// x is the mean number of Poisson requests for it in one time to live.
pub fn ttl_hit_ratio(requests_per_ttl: f64) -> f64 {
    requests_per_ttl / (1.0 + requests_per_ttl)
}

/// The hit ratio of a key under a time to live that every hit renews (a sliding expiry): 1 -
/// exp(-x), with x as in [`ttl_hit_ratio`].
pub fn ttl_hit_ratio_renewed_at_hits(requests_per_ttl: f64) -> f64 {
    -libm::expm1(-requests_per_ttl)
}

/// A value that is loaded anew before it expires: who reads it d before its end does so with
/// probability exp(-d / (beta delta)), delta being how long a load takes (X-Fetch; Vattani, Chierichetti
/// and Lowenstein 2015). Reads are Poisson, and one load at a time is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyRefresh {
    /// Reads per second (1/s).
    pub reads_per_s: f64,
    /// How long a load takes (s).
    pub load_s: f64,
    /// How long a value lives (s).
    pub ttl_s: f64,
    /// How eagerly it is loaded anew; X-Fetch's own is 1.
    pub beta: f64,
}

impl EarlyRefresh {
    /// The share of loads that begin before the value has expired: 1 - exp(-r b (1 - exp(-ttl / b))),
    /// b = beta delta.
    pub fn early_ratio(&self) -> f64 {
        -libm::expm1(-self.hazard(self.ttl_s))
    }
    /// Loads per second (1/s): one for each time until somebody begins one, and the load itself.
    ///
    /// # Model
    /// The first to load comes at a rate of r exp(-(ttl - t) / b) at age t, and of r after the end. The
    /// mean is the integral of the chance that nobody has, by Simpson's rule.
    pub fn loads_per_s(&self) -> f64 {
        const STEPS: u32 = 4_000;
        let step = self.ttl_s / f64::from(STEPS);
        let term = |k: u32| {
            let weight = match k {
                0 | STEPS => 1.0,
                odd if odd % 2 == 1 => 4.0,
                _ => 2.0,
            };
            weight * libm::exp(-self.hazard(f64::from(k) * step))
        };
        let until_end = (0..=STEPS).map(term).sum::<f64>() * step / 3.0;
        let after = libm::exp(-self.hazard(self.ttl_s)) / self.reads_per_s;
        1.0 / (until_end + after + self.load_s)
    }
    /// Mean number of reads up to an age that would load it anew.
    fn hazard(&self, age_s: f64) -> f64 {
        let scale = self.beta * self.load_s;
        let at = |age_s: f64| libm::exp((age_s - self.ttl_s) / scale);
        self.reads_per_s * scale * (at(age_s) - at(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_refreshes_have_their_limits() {
        let eager = |beta: f64| EarlyRefresh { reads_per_s: 10.0, load_s: 0.1, ttl_s: 2.0, beta };
        // Reads and loads of one a second each: 1 - 1/e of the loads are early.
        assert!((eager(1.0).early_ratio() - (1.0 - libm::exp(-1.0))).abs() < 1e-8);
        // Without it a value stands for its life and until the next read.
        let never = eager(1e-3);
        assert!(never.early_ratio() < 1.1e-3);
        assert!((never.loads_per_s() - 1.0 / 2.2).abs() < 1e-3, "{}", never.loads_per_s());
        assert!(eager(2.0).loads_per_s() > eager(1.0).loads_per_s());
    }

    fn zipf(exponent: f64) -> Vec<f64> {
        (1..=100_000).map(|rank| libm::pow(f64::from(rank), -exponent)).collect()
    }

    #[test]
    fn hit_ratios_match_their_anchors() {
        for (exponent, capacity, lru, fifo) in [
            (0.8, 1_000, 0.204, 0.179),
            (0.8, 10_000, 0.469, 0.428),
            (0.8, 50_000, 0.803, 0.767),
            (1.0, 1_000, 0.506, 0.465),
            (1.0, 10_000, 0.737, 0.701),
            (1.0, 50_000, 0.918, 0.896),
        ] {
            let weights = zipf(exponent);
            let (by_age, by_turn) = (lru_hits(&weights, capacity), fifo_hits(&weights, capacity));
            assert!((by_age.hit_ratio - lru).abs() <= 0.000_5, "{exponent} {capacity}");
            assert!((by_turn.hit_ratio - fifo).abs() <= 0.000_5, "{exponent} {capacity}");
            for solved in [by_age, by_turn] {
                let filled: f64 = solved.per_key.iter().sum();
                assert!((filled / capacity as f64 - 1.0).abs() < 1e-9, "the cache is full");
                assert!(solved.per_key[0] > solved.per_key[99_999]);
            }
        }
    }

    #[test]
    fn equal_keys_hit_as_often_as_they_are_stored() {
        let weights = vec![3.0; 200];
        for solved in [lru_hits(&weights, 50), fifo_hits(&weights, 50)] {
            assert!((solved.hit_ratio - 0.25).abs() < 1e-12);
        }
        assert_eq!(lru_hits(&weights, 0).hit_ratio, 0.0);
        let all = fifo_hits(&[1.0, 0.0, 2.0], 2);
        assert_eq!((all.hit_ratio, all.per_key), (1.0, vec![1.0, 0.0, 1.0]));
    }

    #[test]
    fn a_sliding_time_to_live_hits_more() {
        assert_eq!(ttl_hit_ratio(1.0), 0.5);
        assert!((ttl_hit_ratio_renewed_at_hits(1.0) - 0.632_120_558_828_557_7).abs() < 1e-15);
        assert_eq!((ttl_hit_ratio(0.0), ttl_hit_ratio_renewed_at_hits(0.0)), (0.0, 0.0));
    }
}
