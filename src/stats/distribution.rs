//! Quantiles and probabilities of the normal, Student's t and the binomial distribution, the same
//! to the bit on every platform.

/// The probability that a standard normal value is at most `x`.
pub fn normal_probability(x: f64) -> f64 {
    0.5 * libm::erfc(-x / core::f64::consts::SQRT_2)
}

/// The `p`-quantile of the standard normal distribution; minus and plus infinity at 0 and 1.
///
/// # Model
/// Algorithm AS 241, PPND16 (Wichura 1988): rational approximations, relative error about 1e-16.
///
/// # Panics
/// If `p` is not between 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    assert!((0.0..=1.0).contains(&p), "a probability lies between 0 and 1, not at {p}");
    let centred = p - 0.5;
    if centred.abs() <= 0.425 {
        let r = 0.180625 - centred * centred;
        return centred * polynomial(&CENTRE.0, r) / polynomial(&CENTRE.1, r);
    }
    let tail = if centred < 0.0 { p } else { 1.0 - p };
    if tail == 0.0 {
        return if centred < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let r = (-libm::log(tail)).sqrt();
    let magnitude = if r <= 5.0 {
        polynomial(&SHOULDER.0, r - 1.6) / polynomial(&SHOULDER.1, r - 1.6)
    } else {
        polynomial(&TAIL.0, r - 5.0) / polynomial(&TAIL.1, r - 5.0)
    };
    if centred < 0.0 { -magnitude } else { magnitude }
}

/// A numerator and a denominator, each from the constant term up.
type Rational = ([f64; 8], [f64; 8]);

/// |p - 1/2| <= 0.425, in 0.180625 - (p - 1/2)^2.
#[allow(clippy::excessive_precision)] // The digits as published.
const CENTRE: Rational = (
    [
        3.387_132_872_796_366_608,
        133.141_667_891_784_377_45,
        1_971.590_950_306_551_442_7,
        13_731.693_765_509_461_125,
        45_921.953_931_549_871_457,
        67_265.770_927_008_700_853,
        33_430.575_583_588_128_105,
        2_509.080_928_730_122_672_7,
    ],
    [
        1.0,
        42.313_330_701_600_911_252,
        687.187_007_492_057_908_3,
        5_394.196_021_424_751_107_7,
        21_213.794_301_586_595_867,
        39_307.895_800_092_710_61,
        28_729.085_735_721_942_674,
        5_226.495_278_852_854_561,
    ],
);
/// Tails down to exp(-25), in sqrt(-ln tail) - 1.6.
#[allow(clippy::excessive_precision)] // The digits as published.
const SHOULDER: Rational = (
    [
        1.423_437_110_749_683_577_34,
        4.630_337_846_156_545_295_9,
        5.769_497_221_460_691_405_5,
        3.647_848_324_763_204_605_04,
        1.270_458_252_452_368_382_58,
        0.241_780_725_177_450_611_77,
        2.272_384_498_926_918_458_33e-2,
        7.745_450_142_783_414_076_4e-4,
    ],
    [
        1.0,
        2.053_191_626_637_758_821_87,
        1.676_384_830_183_803_849_4,
        0.689_767_334_985_100_004_55,
        0.148_103_976_427_480_074_59,
        1.519_866_656_361_645_719_66e-2,
        5.475_938_084_995_344_946e-4,
        1.050_750_071_644_416_843_24e-9,
    ],
);
/// Tails beyond, in sqrt(-ln tail) - 5.
#[allow(clippy::excessive_precision)] // The digits as published.
const TAIL: Rational = (
    [
        6.657_904_643_501_103_777_2,
        5.463_784_911_164_114_369_9,
        1.784_826_539_917_291_335_8,
        0.296_560_571_828_504_891_23,
        2.653_218_952_657_612_309_3e-2,
        1.242_660_947_388_078_438_6e-3,
        2.711_555_568_743_487_578_15e-5,
        2.010_334_399_292_288_132_65e-7,
    ],
    [
        1.0,
        0.599_832_206_555_887_937_69,
        0.136_929_880_922_735_805_31,
        1.487_536_129_085_061_485_25e-2,
        7.868_691_311_456_132_591e-4,
        1.846_318_317_510_054_681_8e-5,
        1.421_511_758_316_445_888_7e-7,
        2.044_263_103_389_939_785_64e-15,
    ],
);

fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// The regularised incomplete beta function I_x(a, b), for positive `a` and `b`.
///
/// # Model
/// The continued fraction of Abramowitz and Stegun 26.5.8 by Lentz's method, from the side where it
/// converges fast. Relative error about 1e-12 while `a` and `b` are below 10,000.
///
/// # Panics
/// If `a` or `b` is not positive, or `x` not between 0 and 1.
pub fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    assert!(a > 0.0 && b > 0.0, "the beta function needs positive parameters, not {a} and {b}");
    assert!((0.0..=1.0).contains(&x), "the beta distribution lives between 0 and 1, not at {x}");
    if x == 0.0 || x == 1.0 {
        return x;
    }
    let front = libm::exp(
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b)
            + a * libm::log(x)
            + b * libm::log1p(-x),
    );
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

/// The continued fraction of the incomplete beta function.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    /// Stands for a zero denominator in Lentz's method.
    const TINY: f64 = 1e-300;
    /// The fraction needs about sqrt(max(a, b)) steps; this is far beyond.
    const STEPS: u32 = 100_000;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// The probability that Student's t with `degrees` degrees of freedom is at most `t`.
///
/// # Panics
/// If `degrees` is not positive.
pub fn student_t_probability(t: f64, degrees: f64) -> f64 {
    let tail = student_t_tail(t.abs(), degrees);
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The probability that Student's t exceeds a `t` of at least zero.
fn student_t_tail(t: f64, degrees: f64) -> f64 {
    if t == f64::INFINITY {
        return 0.0;
    }
    0.5 * incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t))
}

/// The `p`-quantile of Student's t with `degrees` degrees of freedom (whole or not).
///
/// # Model
/// Up to 10,000 degrees by bisection of the tail's probability; beyond, by the expansion about the
/// normal quantile (Abramowitz and Stegun 26.7.5), whose error is then below 1e-12 out to five
/// standard deviations.
///
/// # Panics
/// If `p` is not between 0 and 1, or `degrees` not positive.
pub fn student_t_quantile(p: f64, degrees: f64) -> f64 {
    assert!(degrees > 0.0, "Student's t needs positive degrees of freedom, not {degrees}");
    let z = normal_quantile(p);
    if degrees > 10_000.0 || z.is_infinite() || z == 0.0 {
        return if z.is_finite() { student_t_expansion(z, degrees) } else { z };
    }
    let tail = if p < 0.5 { p } else { 1.0 - p };
    let (mut low, mut high) = (0.0, 1.0);
    while student_t_tail(high, degrees) > tail {
        (low, high) = (high, 2.0 * high);
    }
    // Halving leaves neighbouring floats after at most some sixty steps.
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return if p < 0.5 { -middle } else { middle };
        }
        if student_t_tail(middle, degrees) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
}

fn student_t_expansion(z: f64, degrees: f64) -> f64 {
    let square = z * z;
    let terms = [
        z,
        z * (square + 1.0) / 4.0,
        z * ((5.0 * square + 16.0) * square + 3.0) / 96.0,
        z * (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0,
    ];
    polynomial(&terms, 1.0 / degrees)
}

/// The probability of at most `successes` in `trials` independent trials, each a success with
/// probability `p`.
///
/// # Panics
/// If `p` is not between 0 and 1.
pub fn binomial_probability_at_most(successes: u64, trials: u64, p: f64) -> f64 {
    if successes >= trials {
        return 1.0;
    }
    incomplete_beta((trials - successes) as f64, (successes + 1) as f64, 1.0 - p)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten digits, as printed by SciPy 1.17.
    fn agree(ours: f64, theirs: f64) {
        let error = (ours - theirs).abs() / theirs.abs().max(1e-300);
        assert!(error < 1e-10 || ours == theirs, "{ours:e} for {theirs:e}");
    }

    #[test]
    fn normal_quantiles_agree_with_scipy() {
        for (p, z) in [
            (0.5, 0.0),
            (0.6, 2.5334710314e-01),
            (0.9, 1.2815515655e+00),
            (0.95, 1.6448536270e+00),
            (0.975, 1.9599639845e+00),
            (0.995, 2.5758293035e+00),
            (0.999, 3.0902323062e+00),
            (0.9999, 3.7190164855e+00),
            (0.025, -1.9599639845e+00),
            (1e-10, -6.3613409024e+00),
            (1e-300, -3.7047096299e+01),
        ] {
            agree(normal_quantile(p), z);
        }
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
    }

    #[test]
    fn student_quantiles_agree_with_scipy() {
        for (p, degrees, t) in [
            (0.975, 1.0, 1.2706204736e+01),
            (0.975, 2.0, 4.3026527297e+00),
            (0.975, 4.0, 2.7764451052e+00),
            (0.975, 9.0, 2.2621571628e+00),
            (0.975, 29.0, 2.0452296421e+00),
            (0.95, 3.5, 2.2224334936e+00),
            (0.995, 10.0, 3.1692726726e+00),
            (0.999, 5.0, 5.8934295314e+00),
            (0.9, 100.0, 1.2900747613e+00),
            (0.975, 999.0, 1.9623414611e+00),
            (0.975, 20_000.0, 1.9600826052e+00),
            (0.975, 1e6, 1.9599663568e+00),
            (0.9995, 7.0, 5.4078825209e+00),
            (0.6, 15.0, 2.5788530094e-01),
            (0.025, 9.0, -2.2621571628e+00),
        ] {
            agree(student_t_quantile(p, degrees), t);
        }
        assert_eq!(student_t_quantile(0.5, 3.0), 0.0);
    }

    #[test]
    fn incomplete_beta_agrees_with_scipy() {
        for (a, b, x, value) in [
            (0.5, 0.5, 0.3, 3.6901011957e-01),
            (2.0, 3.0, 0.4, 5.2480000000e-01),
            (10.0, 0.5, 0.9, 1.5164090963e-01),
            (5_000.0, 0.5, 0.9999, 3.1731050726e-01),
            (17.0, 84.0, 0.2, 8.0766241540e-01),
            (1.0, 1.0, 0.7, 7.0000000000e-01),
            (50.0, 60.0, 0.1, 7.8370811320e-22),
            (0.5, 200.0, 0.001, 4.7275589297e-01),
        ] {
            agree(incomplete_beta(a, b, x), value);
        }
    }

    #[test]
    fn probabilities_and_quantiles_are_inverse() {
        for degrees in [1.0, 2.5, 7.0, 60.0] {
            for t in [-30.0, -1.5, 0.0, 0.2, 4.0] {
                let p = student_t_probability(t, degrees);
                assert!((student_t_quantile(p, degrees) - t).abs() < 1e-7 * (1.0 + t.abs()));
            }
        }
        assert!((student_t_probability(1.0, 1.0) - 0.75).abs() < 1e-14);
    }

    #[test]
    fn binomial_probabilities_are_those_of_ten_coins() {
        assert!((binomial_probability_at_most(2, 10, 0.5) - 56.0 / 1024.0).abs() < 1e-14);
        assert!((binomial_probability_at_most(9, 10, 0.5) - 1023.0 / 1024.0).abs() < 1e-14);
        assert_eq!(binomial_probability_at_most(10, 10, 0.5), 1.0);
    }
}
