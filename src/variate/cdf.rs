//! Distribution functions and quantiles of laws.

use super::law::{Law, logarithm, phases, rounded_up, weibull_scale, weighted};

impl Law {
    /// P(X <= x).
    pub fn cdf(&self, x: f64) -> f64 {
        if x < 0.0 {
            return 0.0;
        }
        match self {
            Law::Constant(value) => f64::from(u8::from(x >= *value)),
            Law::Uniform { high, .. } if x >= *high => 1.0,
            Law::Uniform { low, high } => ((x - low) / (high - low)).max(0.0),
            Law::Exponential { mean } => -libm::expm1(-x / mean),
            Law::Erlang { stages, mean } => {
                let shape = f64::from(*stages);
                gamma_cdf(shape, x * shape / mean)
            }
            Law::Gamma { mean, cv } => {
                let shape = 1.0 / (cv * cv);
                gamma_cdf(shape, x * shape / mean)
            }
            Law::Lognormal { mean, cv } => {
                let (mu, sigma) = logarithm(*mean, *cv);
                normal_cdf((libm::log(x) - mu) / sigma)
            }
            Law::Weibull { mean, shape } => {
                -libm::expm1(-libm::pow(x / weibull_scale(*mean, *shape), *shape))
            }
            Law::Pareto { minimum, .. } if x <= *minimum => 0.0,
            Law::Pareto { minimum, shape } => -libm::expm1(shape * libm::log(minimum / x)),
            Law::Hyperexponential { mean, cv } => {
                phases(*mean, *cv).iter().map(|(p, mean)| -p * libm::expm1(-x / mean)).sum()
            }
            Law::Empirical(points) => empirical_cdf(points, x),
            Law::Mixture(parts) => weighted(parts).map(|(p, part)| p * part.cdf(x)).sum(),
            Law::Shifted { by, of } => of.cdf(x - by),
            Law::Rounded { of, step } => {
                let slack = 1.0 + 4.0 * f64::EPSILON;
                of.cdf(libm::floor(x / step * slack) * step * slack)
            }
        }
    }

    /// The least x with P(X <= x) >= p: closed where there is a closed form, else by bisection of
    /// [`Law::cdf`]. Level 0 gives the least value, level 1 the greatest (which may be infinite).
    ///
    /// # Panics
    /// If `p` is not between 0 and 1.
    pub fn quantile(&self, p: f64) -> f64 {
        assert!((0.0..=1.0).contains(&p), "level of a quantile: {p}");
        match self {
            Law::Constant(value) => *value,
            Law::Uniform { low, high } => low + (high - low) * p,
            Law::Exponential { mean } => -mean * libm::log1p(-p),
            Law::Lognormal { mean, cv } => {
                let (mu, sigma) = logarithm(*mean, *cv);
                libm::exp(mu + sigma * normal_quantile(p))
            }
            Law::Weibull { mean, shape } => {
                weibull_scale(*mean, *shape) * libm::pow(-libm::log1p(-p), 1.0 / shape)
            }
            Law::Pareto { minimum, shape } => minimum * libm::exp(-libm::log1p(-p) / shape),
            Law::Empirical(points) => empirical_quantile(points, p),
            Law::Mixture(parts) if p == 0.0 || p == 1.0 => {
                let ends = weighted(parts).map(|(_, part)| part.quantile(p));
                let choose = if p == 0.0 { f64::min } else { f64::max };
                ends.reduce(choose).expect("a checked mixture has a part")
            }
            Law::Shifted { by, of } => by + of.quantile(p),
            Law::Rounded { of, step } => rounded_up(of.quantile(p) / step) * step,
            Law::Erlang { .. } | Law::Gamma { .. } | Law::Hyperexponential { .. } if p == 1.0 => {
                f64::INFINITY
            }
            Law::Erlang { .. }
            | Law::Gamma { .. }
            | Law::Hyperexponential { .. }
            | Law::Mixture(_) => {
                if self.cdf(0.0) >= p {
                    return 0.0;
                }
                let mean = self.mean();
                let mut high = if mean.is_finite() { mean } else { 1.0 };
                while self.cdf(high) < p {
                    high *= 2.0;
                }
                bisect(0.0, high, |x| self.cdf(x) >= p)
            }
        }
    }
}

/// The least x in (low, high] where `reached`, which holds from some x on, and at `high`.
fn bisect(mut low: f64, mut high: f64, reached: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return high;
        }
        if reached(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
}

/// P(Z <= z) of the standard normal distribution.
fn normal_cdf(z: f64) -> f64 {
    libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2) / 2.0
}

/// The z with P(Z <= z) = p.
fn normal_quantile(p: f64) -> f64 {
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    // In the lower half, where a probability keeps all its digits. No f64 lies beyond 39
    // deviations.
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    bisect(-39.0, 0.0, |z| normal_cdf(z) >= p)
}

/// P(X <= x) of the gamma distribution of this shape and scale 1: the series below the mean,
/// Legendre's continued fraction above (Abramowitz and Stegun 6.5.29 and 6.5.31). To about 1e-13 for
/// shapes up to 40; digits are lost as the logarithm of the factor in front grows with the shape.
fn gamma_cdf(shape: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x.is_infinite() {
        return 1.0;
    }
    let front = libm::exp(shape * libm::log(x) - x - libm::lgamma(shape));
    if x < shape + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / shape, 1.0 / shape, shape);
        while term > sum * f64::EPSILON / 4.0 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return front * sum;
    }
    // The convergents by the method of Lentz; here all of them are positive.
    let mut b = x + 1.0 - shape;
    let mut c = f64::INFINITY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for i in 1.. {
        let i = f64::from(i);
        let a = i * (shape - i);
        b += 2.0;
        d = 1.0 / (a * d + b);
        c = b + a / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < 2.0 * f64::EPSILON {
            break;
        }
    }
    1.0 - front * fraction
}

fn empirical_cdf(points: &[(f64, f64)], x: f64) -> f64 {
    // The first point beyond x, and the one before it.
    let beyond = points.partition_point(|(_, value)| *value <= x);
    match (beyond.checked_sub(1).map(|i| points[i]), points.get(beyond)) {
        (Some((level, value)), Some((next_level, next_value))) => {
            level + (next_level - level) * (x - value) / (next_value - value)
        }
        (None, _) => 0.0,
        (_, None) => 1.0,
    }
}

fn empirical_quantile(points: &[(f64, f64)], p: f64) -> f64 {
    let at = points.partition_point(|(level, _)| *level < p);
    let (level, value) = points[at];
    if at == 0 || level == p {
        return value;
    }
    let (previous_level, previous) = points[at - 1];
    previous + (value - previous) * (p - previous_level) / (level - previous_level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance * b.abs(), "{a} against {b}");
    }

    #[test]
    fn quantiles_invert_distribution_functions() {
        for (name, law) in Law::examples() {
            let mut previous = law.quantile(0.0);
            for p in [1e-9, 1e-4, 0.02, 0.3, 0.5, 0.77, 0.99, 0.9999, 1.0 - 1e-9] {
                let x = law.quantile(p);
                assert!(x >= previous, "{name}: quantiles rise");
                previous = x;
                // Just below x the level is not reached yet, just above it is: also at a jump.
                let (below, above) = (law.cdf(x * (1.0 - 1e-9)), law.cdf(x * (1.0 + 1e-9)));
                let slack = 1e-12;
                assert!(below <= p + slack && p <= above + slack, "{name} at {p}: {below} {above}");
            }
            assert!(law.quantile(1.0) >= previous, "{name}: quantiles rise to the end");
            assert_eq!(law.cdf(f64::INFINITY), 1.0, "{name}");
            assert_eq!(law.cdf(-1.0), 0.0, "{name}");
        }
    }

    #[test]
    fn distribution_functions_agree_with_closed_forms() {
        // Erlang: 1 - exp(-y) sum of y^i/i!, with y = stages x / mean.
        for stages in [1, 2, 5, 40] {
            let law = Law::Erlang { stages, mean: 3.0 };
            for x in [0.1, 1.0, 2.9, 3.5, 12.0] {
                let y = f64::from(stages) * x / 3.0;
                let (mut term, mut sum) = (1.0, 0.0);
                for i in 0..stages {
                    sum += term;
                    term *= y / f64::from(i + 1);
                }
                let exact = 1.0 - libm::exp(-y) * sum;
                assert!((law.cdf(x) - exact).abs() < 1e-13, "{stages} stages at {x}");
            }
        }
        // Gamma of shape 1/2 is the square of a normal.
        let half = Law::Gamma { mean: 0.5, cv: 2.0_f64.sqrt() };
        for x in [1e-6, 0.2, 1.4, 1.6, 9.0] {
            assert!((half.cdf(x) - libm::erf(f64::sqrt(x))).abs() < 1e-13, "shape 1/2 at {x}");
        }
        // A Weibull law of shape 2 with mean sqrt(pi)/2 has scale 1.
        let rayleigh = Law::Weibull { mean: std::f64::consts::PI.sqrt() / 2.0, shape: 2.0 };
        close(rayleigh.cdf(0.7), 1.0 - libm::exp(-0.49), 1e-13);
        close(normal_quantile(0.975), 1.959_963_984_540_054, 1e-15);
        close(normal_quantile(1e-10), -6.361_340_902_404_056, 1e-14);
        close(Law::Exponential { mean: 2.0 }.quantile(0.99), 2.0 * libm::log(100.0), 1e-14);
    }

    #[test]
    fn empirical_quantiles_are_straight_with_atoms_and_gaps() {
        // 30 % exactly 2; nothing between 3 and 5.
        let points = vec![(0.0, 1.0), (0.2, 2.0), (0.5, 2.0), (0.7, 3.0), (0.7, 5.0), (1.0, 8.0)];
        let law = Law::Empirical(points);
        assert_eq!([0.0, 0.1, 0.2, 0.4, 0.5].map(|p| law.quantile(p)), [1.0, 1.5, 2.0, 2.0, 2.0]);
        assert_eq!([0.7, 0.85, 1.0].map(|p| law.quantile(p)), [3.0, 6.5, 8.0]);
        assert_eq!([0.9, 1.0, 1.5, 2.0, 4.0].map(|x| law.cdf(x)), [0.0, 0.0, 0.1, 0.5, 0.7]);
        assert_eq!([5.0, 8.0, 9.0].map(|x| law.cdf(x)), [0.7, 1.0, 1.0]);
    }
}
