//! Which key a request asks for.

use super::alias::AliasTable;
use crate::stream::Draws;

/// Up to this many keys are drawn from a table (8 bytes a key); beyond it, a table that has left
/// the cache costs as much as rejection, and memory besides.
const TABLE_LARGEST: u32 = 1 << 20;
/// Terms of the normaliser that are summed one by one; the rest by Euler and Maclaurin.
const TERMS: u32 = 10_000;

/// How unequally keys are asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Popularity {
    /// All alike.
    Uniform,
    /// The key of rank r = 1, 2, ... in proportion to r^-exponent.
    Zipf {
        /// Zero or more; web objects are near 0.6 to 1.
        exponent: f64,
    },
}

/// Draws keys, known by their rank: 0 is the most popular.
#[derive(Clone, Debug)]
pub struct KeySampler {
    count: u32,
    /// The exponent of Zipf's law; zero for uniform popularity.
    exponent: f64,
    /// Sum of r^-exponent over all keys.
    normaliser: f64,
    method: Method,
}

#[derive(Clone, Debug)]
enum Method {
    Uniform,
    Table(AliasTable),
    Rejection(Rejection),
}

impl KeySampler {
    /// A sampler of `count` keys.
    ///
    /// # Panics
    /// If there is no key, or an exponent is negative or not finite.
    pub fn new(count: u32, popularity: Popularity) -> KeySampler {
        assert!(count > 0, "there is a key to draw");
        let exponent = match popularity {
            Popularity::Uniform => 0.0,
            Popularity::Zipf { exponent } => exponent,
        };
        assert!(exponent >= 0.0 && exponent.is_finite(), "exponent of popularity: {exponent}");
        let method = if exponent == 0.0 {
            Method::Uniform
        } else if count <= TABLE_LARGEST {
            let weights: Vec<f64> = (1..=count).map(|rank| power(rank, exponent)).collect();
            Method::Table(AliasTable::new(&weights))
        } else {
            Method::Rejection(Rejection::new(count, exponent))
        };
        KeySampler { count, exponent, normaliser: normaliser(count, exponent), method }
    }
    /// A key.
    #[inline]
    pub fn draw(&self, draws: &mut Draws) -> u32 {
        match &self.method {
            Method::Uniform => draws.below(self.count),
            Method::Table(table) => table.draw(draws),
            Method::Rejection(rejection) => rejection.draw(draws),
        }
    }
    /// The share of requests that ask for the key of this rank; zero beyond the last key.
    pub fn probability(&self, rank: u32) -> f64 {
        if rank < self.count { power(rank + 1, self.exponent) / self.normaliser } else { 0.0 }
    }
    /// How many keys there are.
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// rank^-exponent, for ranks from 1.
fn power(rank: u32, exponent: f64) -> f64 {
    libm::pow(f64::from(rank), -exponent)
}

/// The integral of x^-exponent from 1 to `x`.
fn integral(x: f64, exponent: f64) -> f64 {
    let log = libm::log(x);
    log * ratio((1.0 - exponent) * log, libm::expm1)
}

/// `function(t) / t`, for a function that is t + O(t^2) near zero.
fn ratio(t: f64, function: fn(f64) -> f64) -> f64 {
    if t.abs() > 1e-300 { function(t) / t } else { 1.0 }
}

/// The sum of r^-exponent for r = 1 to `count`, to about 1e-12 of itself.
fn normaliser(count: u32, exponent: f64) -> f64 {
    let head: f64 = (1..=count.min(TERMS)).rev().map(|rank| power(rank, exponent)).sum();
    if count <= TERMS {
        return head;
    }
    let (first, last) = (power(TERMS, exponent), power(count, exponent));
    let slopes = exponent * (first / f64::from(TERMS) - last / f64::from(count));
    let area = integral(f64::from(count), exponent) - integral(f64::from(TERMS), exponent);
    head + area + (last - first) / 2.0 + slopes / 12.0
}

/// Rejection-inversion of Hörmann and Derflinger (ACM TOMACS 6(3), 1996): no memory, a little more
/// than one round.
#[derive(Clone, Copy, Debug)]
struct Rejection {
    count: u32,
    exponent: f64,
    /// The area under the hat, from the first key's left edge to the last key's right edge.
    area: [f64; 2],
    /// Places at most this far left of their key are accepted unseen.
    squeeze: f64,
}

impl Rejection {
    fn new(count: u32, exponent: f64) -> Rejection {
        let area = [integral(1.5, exponent) - 1.0, integral(f64::from(count) + 0.5, exponent)];
        let edge = integral(2.5, exponent) - power(2, exponent);
        let squeeze = 2.0 - Rejection::inverse(edge, exponent);
        Rejection { count, exponent, area, squeeze }
    }
    /// The x up to which [`integral`] is `area`.
    fn inverse(area: f64, exponent: f64) -> f64 {
        // Rounding may lead below -1, where there is no logarithm.
        let t = (area * (1.0 - exponent)).max(-1.0);
        libm::exp(area * ratio(t, libm::log1p))
    }
    fn draw(&self, draws: &mut Draws) -> u32 {
        let [left, right] = self.area;
        loop {
            let area = right + draws.unit() * (left - right);
            let x = Rejection::inverse(area, self.exponent);
            let rank = ((x + 0.5) as u32).clamp(1, self.count);
            let key = f64::from(rank);
            if key - x <= self.squeeze
                || area >= integral(key + 0.5, self.exponent) - power(rank, self.exponent)
            {
                return rank - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::goodness::ALARM;
    use super::*;
    use crate::stream::{Seed, tests::chi_squared_z};

    const DRAWS: u32 = 1_000_000;

    /// Chi-squared of drawn keys against the probabilities of `claimed`: the first ranks one by
    /// one, then bins of doubling width.
    fn z(drawn: &KeySampler, claimed: &KeySampler) -> f64 {
        let bin = |rank: u32| match rank {
            0..64 => rank as usize,
            _ => 58 + rank.ilog2() as usize,
        };
        let bins = bin(drawn.count - 1) + 1;
        let mut observed = vec![0_u64; bins];
        let mut draws = Seed(8).replication(0).named("keys").draw(u64::from(drawn.count));
        (0..DRAWS).for_each(|_| observed[bin(drawn.draw(&mut draws))] += 1);
        let mut expected = vec![0.0; bins];
        for rank in 0..claimed.count {
            expected[bin(rank)] += claimed.probability(rank) * f64::from(DRAWS);
        }
        chi_squared_z(&observed, &expected)
    }

    #[test]
    fn keys_come_as_often_as_zipf_says() {
        for (count, exponent) in
            [(1, 1.0), (100, 0.5), (10_000, 1.0), (1_000_000, 0.8), (1_500_000, 1.2)]
        {
            let zipf = KeySampler::new(count, Popularity::Zipf { exponent });
            let total: f64 = (0..count).rev().map(|rank| zipf.probability(rank)).sum();
            assert!((total - 1.0).abs() < 1e-11, "{count} keys, total {total}");
            if count == 1 {
                continue;
            }
            let deviate = z(&zipf, &zipf);
            assert!(deviate.abs() < ALARM, "{count} keys, exponent {exponent}: z = {deviate}");
            let wrong = KeySampler::new(count, Popularity::Zipf { exponent: exponent * 1.03 });
            let perturbed = z(&zipf, &wrong);
            assert!(perturbed > ALARM, "{count} keys, teeth: z = {perturbed}");
        }
    }

    #[test]
    fn rejection_follows_zipf_for_every_exponent() {
        for exponent in [0.3, 0.999_999, 1.0, 1.000_001, 2.5] {
            let mut keys = KeySampler::new(50_000, Popularity::Zipf { exponent });
            keys.method = Method::Rejection(Rejection::new(50_000, exponent));
            let deviate = z(&keys, &keys);
            assert!(deviate.abs() < ALARM, "exponent {exponent}: z = {deviate}");
        }
    }

    #[test]
    fn uniform_keys_are_all_alike() {
        let uniform = KeySampler::new(1000, Popularity::Uniform);
        assert_eq!((uniform.probability(0), uniform.probability(999)), (0.001, 0.001));
        assert_eq!(uniform.probability(1000), 0.0);
        assert!(z(&uniform, &uniform).abs() < ALARM);
        let zipf = KeySampler::new(1000, Popularity::Zipf { exponent: 0.03 });
        assert!(z(&uniform, &zipf) > ALARM, "teeth");
    }

    #[test]
    fn values_are_stable() {
        let mut draws = Seed(42).replication(0).named("keys").draw(0);
        let zipf = Popularity::Zipf { exponent: 0.9 };
        let samplers =
            [(1000, Popularity::Uniform), (1000, zipf), (100_000_000, zipf), (u32::MAX, zipf)]
                .map(|(count, popularity)| KeySampler::new(count, popularity));
        let expected = [
            [197, 873, 769, 115],
            [709, 591, 63, 1],
            [12_121_374, 333, 191, 2_442],
            [1_100_526_843, 78_056, 25_790_292, 588],
        ];
        assert_eq!(samplers.map(|keys| [(); 4].map(|()| keys.draw(&mut draws))), expected);
    }
}
