//! Distributions of a non-negative quantity, by the parameters people know: mean and spread.

use super::sampler::Sampler;

/// The 99 % quantile of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874_040_841;

/// How a non-negative quantity is distributed; its unit is its owner's.
///
/// A spread is given as a coefficient of variation (cv): standard deviation over mean, so 1 for the
/// exponential.
#[derive(Clone, PartialEq, Debug)]
pub enum Law {
    /// Always the same value.
    Constant(f64),
    /// Every value between two bounds alike.
    Uniform {
        /// The least value.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// Memoryless; cv 1.
    Exponential {
        /// The mean.
        mean: f64,
    },
    /// The sum of equal exponential stages; cv 1/sqrt(stages).
    Erlang {
        /// How many stages.
        stages: u32,
        /// The mean of the whole sum.
        mean: f64,
    },
    /// Gamma: like Erlang with any cv.
    Gamma {
        /// The mean.
        mean: f64,
        /// The coefficient of variation.
        cv: f64,
    },
    /// The logarithm is normal; the usual shape of service and round-trip times.
    Lognormal {
        /// The mean.
        mean: f64,
        /// The coefficient of variation.
        cv: f64,
    },
    /// P(X > x) = exp(-(x/scale)^shape): a shape below 1 has a heavy tail, above 1 a light one.
    Weibull {
        /// The mean.
        mean: f64,
        /// The shape.
        shape: f64,
    },
    /// P(X > x) = (minimum/x)^shape: a power-law tail. The mean is infinite up to shape 1, the
    /// variance up to shape 2.
    Pareto {
        /// The least value.
        minimum: f64,
        /// The shape, also called tail index.
        shape: f64,
    },
    /// Two exponential phases with balanced means: each contributes half of the mean. cv 1 or more.
    Hyperexponential {
        /// The mean.
        mean: f64,
        /// The coefficient of variation.
        cv: f64,
    },
    /// Measured: points (level, value) of the quantile function from level 0 to level 1, straight
    /// in between. Equal values in a row are an atom, equal levels a jump over a gap.
    Empirical(Vec<(f64, f64)>),
    /// One of several laws, chosen by weight.
    Mixture(Vec<(f64, Law)>),
    /// Another law, rounded up to whole steps: what a timer makes of it that counts in them.
    Rounded {
        /// What is rounded.
        of: Box<Law>,
        /// One step.
        step: f64,
    },
    /// Another law, and so much more: what nothing is faster than, such as the way of a signal.
    Shifted {
        /// What comes to it.
        by: f64,
        /// The rest.
        of: Box<Law>,
    },
}

/// After so many steps what is left of a law is taken for smooth over one of them.
const STEPS_SUMMED: u32 = 100_000;

impl Law {
    /// The lognormal law with this median and 99 % quantile.
    ///
    /// # Errors
    /// One sentence for the author of a file, unless 0 < `median` < `p99`.
    pub fn lognormal_from_median_and_p99(median: f64, p99: f64) -> Result<Law, &'static str> {
        if !(0.0 < median && median < p99) {
            return Err("the median must be above zero, and the 99 % quantile above the median");
        }
        let sigma = libm::log(p99 / median) / NORMAL_P99;
        let variance = sigma * sigma;
        let mean = median * libm::exp(variance / 2.0);
        Ok(Law::Lognormal { mean, cv: libm::expm1(variance).sqrt() })
    }

    /// The law of measured samples, in any order.
    ///
    /// The i-th smallest of n stands at level (i - 1/2)/n (Hazen), so that the law has exactly the
    /// mean of the samples; it never leaves their range.
    pub fn from_samples(samples: &[f64]) -> Law {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let n = sorted.len() as f64;
        let middle = sorted.iter().enumerate().map(|(i, value)| ((i as f64 + 0.5) / n, *value));
        let least = sorted.first().map(|value| (0.0, *value));
        let greatest = sorted.last().map(|value| (1.0, *value));
        Law::Empirical(least.into_iter().chain(middle).chain(greatest).collect())
    }

    /// What is wrong with the parameters, as one sentence for the author of a file.
    ///
    /// # Errors
    /// If a parameter is outside its range; every other method expects that none is.
    pub fn check(&self) -> Result<(), &'static str> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let require = |held: bool, sentence| if held { Ok(()) } else { Err(sentence) };
        const MEAN: &str = "the mean must be finite and above zero";
        const CV: &str = "the coefficient of variation must be between 0.0001 and 1000";
        match self {
            Law::Constant(value) => require(
                *value >= 0.0 && value.is_finite(),
                "a constant must be finite and not negative",
            ),
            Law::Uniform { low, high } => require(
                0.0 <= *low && low <= high && high.is_finite(),
                "the bounds must be finite and in order, and none negative",
            ),
            Law::Exponential { mean } => require(positive(*mean), MEAN),
            Law::Erlang { stages, mean } => {
                require(positive(*mean), MEAN)?;
                require(*stages > 0, "an Erlang law has at least one stage")
            }
            Law::Gamma { mean, cv } | Law::Lognormal { mean, cv } => {
                require(positive(*mean), MEAN)?;
                require((1e-4..=1e3).contains(cv), CV)
            }
            Law::Weibull { mean, shape } => {
                require(positive(*mean), MEAN)?;
                // Below it, the scale that belongs to the mean is too small for an f64.
                require(
                    *shape >= 0.01 && shape.is_finite(),
                    "the shape of a Weibull law must be finite and at least 0.01",
                )
            }
            Law::Pareto { minimum, shape } => {
                require(positive(*minimum), "the minimum must be finite and above zero")?;
                require(positive(*shape), "the shape must be finite and above zero")
            }
            Law::Hyperexponential { mean, cv } => {
                require(positive(*mean), MEAN)?;
                require(
                    (1.0..=1e3).contains(cv),
                    "a hyperexponential law has a coefficient of variation between 1 and 1000",
                )
            }
            Law::Empirical(points) => check_points(points),
            Law::Mixture(parts) => {
                let weights = || parts.iter().map(|(weight, _)| *weight);
                require(weights().all(|weight| weight >= 0.0), "no weight may be negative")?;
                require(
                    positive(weights().sum()),
                    "the sum of the weights must be finite and above zero",
                )?;
                parts.iter().try_for_each(|(_, part)| part.check())
            }
            Law::Rounded { of, step } => {
                require(positive(*step), "the step must be finite and above zero")?;
                of.check()
            }
            Law::Shifted { by, of } => {
                require(*by >= 0.0 && by.is_finite(), "a shift must be finite and not negative")?;
                of.check()
            }
        }
    }

    /// The law of the quantity times a positive factor.
    pub fn scaled(&self, factor: f64) -> Law {
        let mut law = self.clone();
        match &mut law {
            Law::Constant(value) => *value *= factor,
            Law::Uniform { low, high } => {
                *low *= factor;
                *high *= factor;
            }
            Law::Exponential { mean }
            | Law::Erlang { mean, .. }
            | Law::Gamma { mean, .. }
            | Law::Lognormal { mean, .. }
            | Law::Weibull { mean, .. }
            | Law::Hyperexponential { mean, .. } => *mean *= factor,
            Law::Pareto { minimum, .. } => *minimum *= factor,
            Law::Empirical(points) => points.iter_mut().for_each(|(_, value)| *value *= factor),
            Law::Mixture(parts) => {
                parts.iter_mut().for_each(|(_, part)| *part = part.scaled(factor));
            }
            Law::Rounded { of, step } => {
                **of = of.scaled(factor);
                *step *= factor;
            }
            Law::Shifted { by, of } => {
                *by *= factor;
                **of = of.scaled(factor);
            }
        }
        law
    }

    /// The mean; infinite for a Pareto law of shape 1 or less.
    pub fn mean(&self) -> f64 {
        match self {
            Law::Constant(value) => *value,
            Law::Uniform { low, high } => (low + high) / 2.0,
            Law::Exponential { mean }
            | Law::Erlang { mean, .. }
            | Law::Gamma { mean, .. }
            | Law::Lognormal { mean, .. }
            | Law::Weibull { mean, .. }
            | Law::Hyperexponential { mean, .. } => *mean,
            Law::Pareto { shape, .. } if *shape <= 1.0 => f64::INFINITY,
            Law::Pareto { minimum, shape } => minimum * shape / (shape - 1.0),
            Law::Empirical(points) => {
                segments(points).map(|(width, a, b)| width * (a + b) / 2.0).sum()
            }
            Law::Mixture(parts) => {
                weighted(parts).map(|(probability, part)| probability * part.mean()).sum()
            }
            Law::Shifted { by, of } => by + of.mean(),
            Law::Rounded { of, step } => {
                // E ceil(X) is the sum of P(X > k) over k from 0.
                let smooth = of.mean() + step / 2.0;
                steps(of, *step, |_, beyond| beyond).map_or(smooth, |sum| sum * step)
            }
        }
    }

    /// The variance; infinite for a Pareto law of shape 2 or less.
    pub fn variance(&self) -> f64 {
        match self {
            Law::Constant(_) => 0.0,
            Law::Uniform { low, high } => (high - low) * (high - low) / 12.0,
            Law::Exponential { mean } => mean * mean,
            Law::Erlang { stages, mean } => mean * mean / f64::from(*stages),
            Law::Gamma { mean, cv }
            | Law::Lognormal { mean, cv }
            | Law::Hyperexponential { mean, cv } => (mean * cv) * (mean * cv),
            Law::Weibull { mean, shape } => {
                let log_gamma = |power: f64| libm::lgamma(1.0 + power / shape);
                mean * mean * libm::expm1(log_gamma(2.0) - 2.0 * log_gamma(1.0))
            }
            Law::Pareto { shape, .. } if *shape <= 2.0 => f64::INFINITY,
            Law::Pareto { shape, .. } => {
                let mean = self.mean();
                mean * mean / (shape * (shape - 2.0))
            }
            Law::Empirical(points) => {
                let mean = self.mean();
                let square = |(width, a, b): (f64, f64, f64)| {
                    let (a, b) = (a - mean, b - mean);
                    width * (a * a + a * b + b * b) / 3.0
                };
                segments(points).map(square).sum()
            }
            Law::Mixture(parts) => {
                let mean = self.mean();
                let about = |(probability, part): (f64, &Law)| {
                    let shift = part.mean() - mean;
                    probability * (part.variance() + shift * shift)
                };
                // Two infinities apart would be no number.
                if mean.is_finite() { weighted(parts).map(about).sum() } else { f64::INFINITY }
            }
            Law::Shifted { of, .. } => of.variance(),
            Law::Rounded { of, step } => {
                let mean = self.mean() / step;
                let smooth = of.variance() + step * step / 12.0;
                // E ceil(X)^2 is the sum of (2 k + 1) P(X > k).
                steps(of, *step, |k, beyond| (2.0 * k + 1.0) * beyond)
                    .map_or(smooth, |squares| ((squares - mean * mean) * step * step).max(0.0))
            }
        }
    }

    /// The coefficient of variation: standard deviation over mean; zero for a constant, infinite
    /// where the variance is.
    pub fn cv(&self) -> f64 {
        let variance = self.variance();
        if variance == 0.0 || variance.is_infinite() {
            return variance;
        }
        variance.sqrt() / self.mean()
    }

    /// This law made ready to draw from.
    ///
    /// # Panics
    /// If [`Law::check`] finds a fault.
    pub fn sampler(&self) -> Sampler {
        if let Err(sentence) = self.check() {
            panic!("{sentence}: {self:?}");
        }
        Sampler::of(self)
    }
}

fn check_points(points: &[(f64, f64)]) -> Result<(), &'static str> {
    let [(first, least), .., (last, greatest)] = points else {
        return Err("an empirical law needs samples, or points at level 0 and at level 1");
    };
    if *first != 0.0 || *last != 1.0 {
        return Err("the levels of an empirical law begin at 0 and end at 1");
    }
    if !(*least >= 0.0 && greatest.is_finite()) {
        return Err("the values of an empirical law must be finite and not negative");
    }
    if !points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1) {
        return Err("the levels and the values of an empirical law may not fall");
    }
    Ok(())
}

/// So many whole steps, for a quantity of so many; a quotient that misses a whole number by rounding
/// only is that number.
pub(super) fn rounded_up(steps: f64) -> f64 {
    libm::ceil(steps * (1.0 - 4.0 * f64::EPSILON))
}

/// The sum over k from 0 of `term(k, P(X > k steps))`; [`None`] if it does not end.
fn steps(of: &Law, step: f64, term: impl Fn(f64, f64) -> f64) -> Option<f64> {
    let mut sum = 0.0;
    for k in 0..STEPS_SUMMED {
        let k = f64::from(k);
        let beyond = 1.0 - of.cdf(k * step * (1.0 + 4.0 * f64::EPSILON));
        if beyond < 1e-13 {
            return Some(sum);
        }
        sum += term(k, beyond);
    }
    None
}

/// The straight pieces of a quantile function: (width in level, value at the left, at the right).
fn segments(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64, f64)> {
    points.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[0].1, pair[1].1))
}

/// The parts of a mixture that can occur, with their probabilities.
pub(super) fn weighted(parts: &[(f64, Law)]) -> impl Iterator<Item = (f64, &Law)> {
    let total: f64 = parts.iter().map(|(weight, _)| weight).sum();
    let possible = parts.iter().filter(|(weight, _)| *weight > 0.0);
    possible.map(move |(weight, part)| (weight / total, part))
}

/// The phases (probability, mean) of a hyperexponential law with balanced means (Whitt, Operations
/// Research 30(1), 1982).
pub(super) fn phases(mean: f64, cv: f64) -> [(f64, f64); 2] {
    let square = cv * cv;
    let imbalance = ((square - 1.0) / (square + 1.0)).sqrt();
    [(1.0 + imbalance) / 2.0, (1.0 - imbalance) / 2.0].map(|p| (p, mean / (2.0 * p)))
}

/// Mean and standard deviation of the logarithm of a lognormal quantity.
pub(super) fn logarithm(mean: f64, cv: f64) -> (f64, f64) {
    let variance = libm::log1p(cv * cv);
    (libm::log(mean) - variance / 2.0, variance.sqrt())
}

/// The scale of a Weibull law.
pub(super) fn weibull_scale(mean: f64, shape: f64) -> f64 {
    mean / libm::exp(libm::lgamma(1.0 + 1.0 / shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Law {
        /// Every family, light and heavy, for tests.
        pub(in super::super) fn examples() -> Vec<(&'static str, Law)> {
            vec![
                ("uniform", Law::Uniform { low: 0.2, high: 1.0 }),
                ("exponential", Law::Exponential { mean: 0.01 }),
                ("erlang-2", Law::Erlang { stages: 2, mean: 3.0 }),
                ("erlang-12", Law::Erlang { stages: 12, mean: 3.0 }),
                ("gamma 0.6", Law::Gamma { mean: 20.0, cv: 0.6 }),
                ("gamma 1.7", Law::Gamma { mean: 20.0, cv: 1.7 }),
                ("lognormal 0.5", Law::Lognormal { mean: 0.07, cv: 0.5 }),
                ("lognormal 2", Law::Lognormal { mean: 0.07, cv: 2.0 }),
                ("weibull 0.6", Law::Weibull { mean: 5.0, shape: 0.6 }),
                ("weibull 3", Law::Weibull { mean: 5.0, shape: 3.0 }),
                ("pareto", Law::Pareto { minimum: 2.0, shape: 6.0 }),
                ("hyperexponential", Law::Hyperexponential { mean: 1.0, cv: 2.0 }),
                ("empirical", Law::Empirical(vec![(0.0, 1.0), (0.5, 1.2), (0.9, 2.0), (1.0, 9.0)])),
                (
                    "rounded",
                    Law::Rounded { of: Box::new(Law::Exponential { mean: 3.0 }), step: 1.0 },
                ),
                (
                    "shifted",
                    Law::Shifted { by: 4.0, of: Box::new(Law::Gamma { mean: 3.0, cv: 0.8 }) },
                ),
                (
                    "mixture",
                    Law::Mixture(vec![
                        (3.0, Law::Lognormal { mean: 1.0, cv: 0.4 }),
                        (1.0, Law::Exponential { mean: 10.0 }),
                    ]),
                ),
            ]
        }
    }

    #[test]
    fn moments_are_the_integrals_of_the_quantile_function() {
        for (name, law) in Law::examples() {
            law.check().unwrap();
            // Midpoints in t of p = 1 - (1 - t)^2, which crowds the upper tail.
            const STEPS: u32 = 40_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for i in 0..STEPS {
                let left = 1.0 - (f64::from(i) + 0.5) / f64::from(STEPS);
                let x = law.quantile(1.0 - left * left);
                let width = 2.0 * left / f64::from(STEPS);
                sum += x * width;
                squares += x * x * width;
            }
            let (mean, variance) = (law.mean(), law.variance());
            assert!((sum / mean - 1.0).abs() < 1e-5, "{name}: mean {mean} against {sum}");
            let integral = squares - sum * sum;
            assert!((integral / variance - 1.0).abs() < 2e-3, "{name}: {variance}, {integral}");
            assert!((law.cv() - variance.sqrt() / mean).abs() < 1e-12);
        }
    }

    #[test]
    fn samples_keep_their_mean() {
        let law = Law::from_samples(&[4.0, 1.0, 2.0, 2.0, 11.0]);
        law.check().unwrap();
        assert!((law.mean() - 4.0).abs() < 1e-12);
        assert_eq!((law.quantile(0.0), law.quantile(0.5), law.quantile(1.0)), (1.0, 2.0, 11.0));
        assert_eq!(Law::from_samples(&[3.0]).quantile(0.3), 3.0);
    }

    #[test]
    fn a_lognormal_meets_its_median_and_p99() {
        let law = Law::lognormal_from_median_and_p99(0.010, 0.180).unwrap();
        assert!(Law::lognormal_from_median_and_p99(0.180, 0.010).is_err());
        assert!((law.quantile(0.5) / 0.010 - 1.0).abs() < 1e-12);
        assert!((law.quantile(0.99) / 0.180 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn scaling_scales_every_quantile() {
        for (name, law) in Law::examples() {
            let scaled = law.scaled(2.5);
            assert!((scaled.mean() / law.mean() - 2.5).abs() < 1e-12, "{name}");
            for p in [0.1, 0.9] {
                let ratio = scaled.quantile(p) / law.quantile(p);
                assert!((ratio - 2.5).abs() < 1e-9, "{name}: {ratio}");
            }
        }
    }

    #[test]
    fn heavy_tails_have_infinite_moments() {
        let moments = |law: &Law| (law.mean(), law.variance(), law.cv());
        let infinite = f64::INFINITY;
        let heavy = Law::Pareto { minimum: 1.0, shape: 0.9 };
        assert_eq!(moments(&heavy), (infinite, infinite, infinite));
        let mixture = Law::Mixture(vec![(1.0, heavy), (1.0, Law::Constant(2.0))]);
        assert_eq!(moments(&mixture), (infinite, infinite, infinite));
        // Half of it is 2 or less, and so is a heavy part.
        assert!(mixture.quantile(0.9) > 2.0 && mixture.quantile(0.9).is_finite());
        let square = Law::Pareto { minimum: 1.0, shape: 2.0 };
        assert_eq!(moments(&square), (2.0, infinite, infinite));
        assert_eq!(moments(&Law::Constant(0.0)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn impossible_parameters_are_named() {
        let heavy = f64::INFINITY;
        for (law, word) in [
            (Law::Constant(-1.0), "constant"),
            (Law::Uniform { low: 2.0, high: 1.0 }, "bounds"),
            (Law::Exponential { mean: 0.0 }, "mean"),
            (Law::Erlang { stages: 0, mean: 1.0 }, "stage"),
            (Law::Gamma { mean: heavy, cv: 1.0 }, "mean"),
            (Law::Lognormal { mean: 1.0, cv: 0.0 }, "coefficient"),
            (Law::Weibull { mean: 1.0, shape: f64::NAN }, "shape"),
            (Law::Weibull { mean: 1.0, shape: 0.005 }, "shape"),
            (Law::Pareto { minimum: 1.0, shape: 0.0 }, "shape"),
            (Law::Pareto { minimum: 0.0, shape: 1.0 }, "minimum"),
            (Law::Hyperexponential { mean: 1.0, cv: 0.9 }, "between 1 and"),
            (Law::from_samples(&[]), "samples"),
            (Law::from_samples(&[1.0, f64::NAN]), "finite"),
            (Law::Empirical(vec![(0.0, 1.0), (0.5, 2.0)]), "end at 1"),
            (Law::Empirical(vec![(0.0, 1.0), (0.5, 0.5), (1.0, 2.0)]), "fall"),
            (Law::Mixture(vec![]), "sum of the weights"),
            (Law::Mixture(vec![(1.0, Law::Constant(-1.0))]), "constant"),
            (Law::Mixture(vec![(-1.0, Law::Constant(1.0))]), "negative"),
        ] {
            let sentence = law.check().unwrap_err();
            assert!(sentence.contains(word), "{law:?}: {sentence}");
        }
    }
    #[test]
    fn laws_at_the_ends_of_their_ranges_stay_numbers() {
        let mut draws = crate::stream::Seed(9).replication(0).draw(0);
        for law in [
            Law::Gamma { mean: 1.0, cv: 1e-4 },
            Law::Gamma { mean: 1.0, cv: 1e3 },
            Law::Lognormal { mean: 1.0, cv: 1e-4 },
            Law::Lognormal { mean: 1.0, cv: 1e3 },
            Law::Weibull { mean: 1.0, shape: 0.01 },
            Law::Weibull { mean: 1.0, shape: 1e300 },
            Law::Pareto { minimum: 1.0, shape: 0.001 },
            Law::Hyperexponential { mean: 1.0, cv: 1e3 },
            Law::Erlang { stages: u32::MAX, mean: 1.0 },
        ] {
            let sampler = law.sampler();
            for _ in 0..10_000 {
                let x = sampler.draw(&mut draws);
                assert!(x >= 0.0, "{law:?} draws {x}");
            }
            assert!(law.variance() >= 0.0 && law.quantile(0.5) >= 0.0, "{law:?}");
        }
    }
}
