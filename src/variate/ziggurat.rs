//! Exponential and normal variates by the ziggurat of Marsaglia and Tsang (Journal of Statistical
//! Software 5(8), 2000), with 256 layers and 53 bits within a layer.
//!
//! The area under the density is cut into 256 layers of equal area. One random word chooses a layer
//! and a place in it; 99 % of the places are under the density for certain.

use crate::stream::Draws;

/// Layers; eight bits of a random word choose one.
const LAYERS: usize = 256;
/// 2^-53.
const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;

/// The layers of an unnormalised density f that falls from f(0) = 1.
struct Layers {
    /// Right edges, from the base layer (widened so that its rectangle has the area of layer and
    /// tail) to the tip at 0.
    edge: [f64; LAYERS + 1],
    /// The density at each edge.
    height: [f64; LAYERS + 1],
}

/// Where the exponential tail begins: the ziggurat of 256 layers closes at the tip.
const EXPONENTIAL_TAIL: f64 = 7.697_117_470_131_05;
/// Area of every layer of the exponential.
const EXPONENTIAL_AREA: f64 = 3.949_659_822_581_557e-3;
/// Where the normal tail begins.
const NORMAL_TAIL: f64 = 3.654_152_885_361_009;
/// Area of every layer of the half normal exp(-x^2/2).
const NORMAL_AREA: f64 = 4.928_673_233_974_655e-3;

static EXPONENTIAL: Layers = layers(EXPONENTIAL_TAIL, EXPONENTIAL_AREA, false);
static NORMAL: Layers = layers(NORMAL_TAIL, NORMAL_AREA, true);

/// exp(x) for x >= 0 by its series, whose terms are all positive. For tables made by the compiler,
/// which cannot call `libm`.
const fn exp(x: f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1.0);
    while term > sum * 1e-18 {
        term *= x / n;
        sum += term;
        n += 1.0;
    }
    sum
}

/// -ln f(x): x for the exponential, x^2/2 for the normal.
const fn exponent(x: f64, normal: bool) -> f64 {
    if normal { x * x / 2.0 } else { x }
}

/// Cuts exp(-[`exponent`]) into layers of equal `area`, the lowest beginning its tail at `tail`.
const fn layers(tail: f64, area: f64, normal: bool) -> Layers {
    let mut edge = [0.0; LAYERS + 1];
    let mut height = [1.0; LAYERS + 1];
    edge[1] = tail;
    height[1] = 1.0 / exp(exponent(tail, normal));
    edge[0] = area / height[1];
    height[0] = 0.0;
    let mut i = 2;
    while i < LAYERS {
        height[i] = height[i - 1] + area / edge[i - 1];
        // Newton's method for f(x) = height, from the edge below.
        let mut x = edge[i - 1];
        let mut round = 0;
        while round < 12 {
            let slope = if normal { x } else { 1.0 };
            x -= (1.0 - 1.0 / (height[i] * exp(exponent(x, normal)))) / slope;
            round += 1;
        }
        edge[i] = x;
        i += 1;
    }
    Layers { edge, height }
}

impl Layers {
    /// True if a place at `x`, at a random height within `layer`, lies under `density`.
    #[inline]
    fn under(&self, draws: &mut Draws, layer: usize, density: f64) -> bool {
        let (low, high) = (self.height[layer], self.height[layer + 1]);
        low + (high - low) * draws.unit() < density
    }
}

/// An exponential variate of mean 1.
#[inline]
pub fn exponential(draws: &mut Draws) -> f64 {
    let bits = draws.next_u64();
    let layer = bits as usize % LAYERS;
    let x = (bits >> 11) as f64 * UNIT * EXPONENTIAL.edge[layer];
    if x < EXPONENTIAL.edge[layer + 1] { x } else { exponential_edge(draws, layer, x) }
}

/// The hundredth place: in the tail, or where a layer is only partly under the density.
#[cold]
#[inline(never)]
fn exponential_edge(draws: &mut Draws, layer: usize, x: f64) -> f64 {
    if layer == 0 {
        // The tail of an exponential is an exponential.
        EXPONENTIAL_TAIL - libm::log(draws.unit_open())
    } else if EXPONENTIAL.under(draws, layer, libm::exp(-x)) {
        x
    } else {
        exponential(draws)
    }
}

/// A normal variate of mean 0 and variance 1.
#[inline]
pub fn standard_normal(draws: &mut Draws) -> f64 {
    let bits = draws.next_u64();
    let layer = bits as usize % LAYERS;
    let x = (bits >> 11) as f64 * UNIT * NORMAL.edge[layer];
    let x = if x < NORMAL.edge[layer + 1] { x } else { normal_edge(draws, layer, x) };
    // Bit 8 chose neither layer nor place: it is the sign.
    f64::from_bits(x.to_bits() | (bits << 55) & (1 << 63))
}

/// The hundredth place, as for the exponential; never negative.
#[cold]
#[inline(never)]
fn normal_edge(draws: &mut Draws, layer: usize, x: f64) -> f64 {
    if layer == 0 {
        // Marsaglia (Technometrics 6(1), 1964).
        loop {
            let beyond = -libm::log(draws.unit_open()) / NORMAL_TAIL;
            if -2.0 * libm::log(draws.unit_open()) > beyond * beyond {
                return NORMAL_TAIL + beyond;
            }
        }
    } else if NORMAL.under(draws, layer, libm::exp(-x * x / 2.0)) {
        x
    } else {
        standard_normal(draws).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::super::goodness::{ALARM, Fit};
    use super::*;
    use crate::stream::Seed;

    #[test]
    fn layers_have_equal_areas_and_close_at_the_tip() {
        for (layers, normal, area) in
            [(&EXPONENTIAL, false, EXPONENTIAL_AREA), (&NORMAL, true, NORMAL_AREA)]
        {
            for i in 1..LAYERS {
                let density = libm::exp(-exponent(layers.edge[i], normal));
                assert!((layers.height[i] / density - 1.0).abs() < 1e-13, "height {i}");
                let layer = layers.edge[i] * (layers.height[i + 1] - layers.height[i]);
                assert!((layer / area - 1.0).abs() < 1e-11, "layer {i}: {layer}");
            }
            let tail = layers.edge[1];
            let beyond = if normal {
                (std::f64::consts::PI / 2.0).sqrt() * libm::erfc(tail / 2.0_f64.sqrt())
            } else {
                libm::exp(-tail)
            };
            let base = tail * layers.height[1] + beyond;
            assert!((base / area - 1.0).abs() < 1e-13, "base {base}");
        }
    }

    #[test]
    fn variates_follow_their_distribution() {
        let key = Seed(11).replication(0).named("ziggurat");
        let mut draws = key.draw(0);
        let fit = Fit::of(100_000, || exponential(&mut draws));
        fit.assert_follows("exponential", |x| -libm::expm1(-x));
        fit.assert_rejects("exponential", |x| -libm::expm1(-x * 1.03));
        let fit = Fit::of(100_000, || standard_normal(&mut draws));
        let phi = |z: f64| libm::erfc(-z / 2.0_f64.sqrt()) / 2.0;
        fit.assert_follows("normal", phi);
        fit.assert_rejects("normal", |z| phi(z - 0.03));
        // A change of scale moves the normal's distribution function by 0.7 % only: larger sample.
        let fit = Fit::of(400_000, || standard_normal(&mut draws));
        fit.assert_follows("normal", phi);
        fit.assert_rejects("normal", |z| phi(z * 1.03));
    }

    #[test]
    fn tails_are_neither_cut_nor_heavy() {
        const COUNT: u32 = 20_000_000;
        let mut draws = Seed(12).replication(0).named("tails").draw(0);
        let (mut far, mut beyond, mut three, mut four) = (0, 0, 0, 0);
        for _ in 0..COUNT {
            let e = exponential(&mut draws);
            far += u32::from(e > EXPONENTIAL_TAIL);
            beyond += u32::from(e > EXPONENTIAL_TAIL + 2.0);
            let n = standard_normal(&mut draws);
            three += u32::from(n > 3.0);
            four += u32::from(n < -4.0);
        }
        let tail = libm::exp(-EXPONENTIAL_TAIL);
        for (what, seen, p) in [
            ("P(E > r)", far, tail),
            ("P(E > r + 2)", beyond, tail * libm::exp(-2.0)),
            ("P(N > 3)", three, 1.349_898_031_630_09e-3),
            ("P(N < -4)", four, 3.167_124_183_311_99e-5),
        ] {
            let mean = f64::from(COUNT) * p;
            let z = (f64::from(seen) - mean) / mean.sqrt();
            assert!(z.abs() < ALARM, "{what}: {seen} against {mean:.0}, z = {z}");
        }
    }

    #[test]
    fn values_are_stable() {
        let mut draws = Seed(42).replication(0).named("ziggurat").draw(0);
        let expected = [1.9664157084829483, 0.5876816921558973, 0.4491019068717628];
        assert_eq!([(); 3].map(|()| exponential(&mut draws)), expected);
        let expected = [-0.2420515044250097, -0.801264456645735, -2.7925628596194114];
        assert_eq!([(); 3].map(|()| standard_normal(&mut draws)), expected);
    }
}
