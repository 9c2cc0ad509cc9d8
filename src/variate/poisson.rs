//! Poisson variates: how many of very many things are in a state right now.

use super::ziggurat::exponential;
use crate::stream::Draws;

/// From this mean on, rejection costs less than counting arrivals.
const MANY: f64 = 10.0;

/// The largest mean: rounding then reaches a hundredth in the logarithm of a probability.
const MEAN_LARGEST: f64 = 1e12;

/// A Poisson variate of this mean, exact up to rounding, which is below 1e-5 in the logarithm of a
/// probability for means up to 1e9.
///
/// # Panics
/// If the mean is negative, not a number, or above 1e12.
pub fn poisson(mean: f64, draws: &mut Draws) -> u64 {
    assert!((0.0..=MEAN_LARGEST).contains(&mean), "mean of a Poisson variate: {mean}");
    if mean < MANY { count_arrivals(mean, draws) } else { reject(mean, draws) }
}

/// Arrivals of a process of rate 1 in a time of `mean`.
fn count_arrivals(mean: f64, draws: &mut Draws) -> u64 {
    let (mut count, mut clock) = (0, exponential(draws));
    while clock < mean {
        count += 1;
        clock += exponential(draws);
    }
    count
}

/// Transformed rejection with squeeze: algorithm PTRS of Hörmann, Insurance: Mathematics and
/// Economics 12(1), 1993. About 1.1 rounds of two uniforms.
fn reject(mean: f64, draws: &mut Draws) -> u64 {
    let log_mean = libm::log(mean);
    let b = 0.931 + 2.53 * mean.sqrt();
    let a = -0.059 + 0.024_83 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let squeeze = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let u = draws.unit() - 0.5;
        let v = draws.unit_open();
        let edge = 0.5 - u.abs();
        let k = ((2.0 * a / edge + b) * u + mean + 0.43).floor();
        if edge >= 0.07 && v <= squeeze {
            return k as u64;
        }
        if k < 0.0 || !k.is_finite() || (edge < 0.013 && v > edge) {
            continue;
        }
        let hat = libm::log(v * inverse_alpha / (a / (edge * edge) + b));
        if hat <= k * log_mean - mean - libm::lgamma(k + 1.0) {
            return k as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::goodness::ALARM;
    use super::*;
    use crate::stream::{Seed, tests::chi_squared_z};

    const COUNT: usize = 400_000;

    /// Chi-squared of draws of one mean against the probabilities of another; values that are
    /// expected less than 50 times are put together at both ends.
    fn z(drawn: f64, claimed: f64) -> f64 {
        let mut draws = Seed(5).replication(0).named("poisson").draw(drawn.to_bits());
        let probability =
            |k: f64| libm::exp(k * libm::log(claimed) - claimed - libm::lgamma(k + 1.0));
        let enough = |k: &u64| probability(*k as f64) * COUNT as f64 > 50.0;
        let low = (0..).find(enough).unwrap();
        let bins = (low..).take_while(enough).count();
        let mut observed = vec![0_u64; bins + 2];
        for _ in 0..COUNT {
            let k = poisson(drawn, &mut draws);
            observed[(k + 1).saturating_sub(low).min(bins as u64 + 1) as usize] += 1;
        }
        let mut expected = vec![0.0; bins + 2];
        for k in 0..low + 10 * bins as u64 {
            let bin = (k + 1).saturating_sub(low).min(bins as u64 + 1) as usize;
            expected[bin] += probability(k as f64) * COUNT as f64;
        }
        if low == 0 {
            observed.remove(0);
            expected.remove(0);
        }
        chi_squared_z(&observed, &expected)
    }

    #[test]
    fn frequencies_are_those_of_poisson() {
        for mean in [0.3, 4.0, 9.99, 10.0, 25.0, 700.0] {
            let deviate = z(mean, mean);
            assert!(deviate.abs() < ALARM, "mean {mean}: z = {deviate}");
            let perturbed = z(mean, mean * 1.03);
            assert!(perturbed > ALARM, "mean {mean}, teeth: z = {perturbed}");
        }
    }

    #[test]
    fn large_means_have_their_mean_and_variance() {
        for mean in [1e5, 1e9, 1e12] {
            let mut draws = Seed(6).replication(0).named("large").draw(0);
            let n = COUNT as f64;
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..COUNT {
                let deviate = (poisson(mean, &mut draws) as f64 - mean) / mean.sqrt();
                sum += deviate;
                squares += deviate * deviate;
            }
            assert!((sum / n.sqrt()).abs() < ALARM, "mean {mean}: {sum}");
            let z = (squares - n) / (2.0 * n).sqrt();
            assert!(z.abs() < ALARM, "mean {mean}: variance {}", squares / n);
        }
    }

    #[test]
    fn values_are_stable() {
        let mut draws = Seed(42).replication(0).named("poisson").draw(0);
        assert_eq!(poisson(0.0, &mut draws), 0);
        let means = [0.5, 5.0, 12.0, 150.0, 1e6, 1e12];
        assert_eq!(
            means.map(|mean| poisson(mean, &mut draws)),
            [0, 5, 10, 162, 1_000_201, 999_999_511_417]
        );
    }
}
