//! Laws made ready to draw from: their parameters turned, once, into the constants a draw needs.

use super::alias::AliasTable;
use super::law::{Law, logarithm, phases, rounded_up, weibull_scale};
use super::ziggurat::{exponential, standard_normal};
use crate::stream::Draws;

/// Up to this many exponential stages are summed; for more, a gamma variate is faster.
const STAGES_SUMMED: u32 = 3;

/// A [`Law`] ready to draw from; made by [`Law::sampler`].
///
/// The same draws give a law and its multiple ([`Law::scaled`]) proportional values: a comparison
/// of two speeds meets the same luck.
#[derive(Clone, Debug)]
pub struct Sampler(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Constant(f64),
    Uniform { low: f64, width: f64 },
    Exponential { mean: f64 },
    Erlang { stages: u32, stage_mean: f64 },
    Gamma(Gamma),
    Lognormal { mu: f64, sigma: f64 },
    Weibull { scale: f64, exponent: f64 },
    Pareto { minimum: f64, exponent: f64 },
    Hyperexponential { first: f64, means: [f64; 2] },
    Empirical(Box<Empirical>),
    Mixture(Box<Mixture>),
    Rounded { of: Box<Sampler>, step: f64 },
    Shifted { by: f64, of: Box<Sampler> },
}

impl Sampler {
    /// The sampler of a law that was checked.
    pub(super) fn of(law: &Law) -> Sampler {
        Sampler(match law {
            Law::Constant(value) => Kind::Constant(*value),
            Law::Uniform { low, high } => Kind::Uniform { low: *low, width: high - low },
            Law::Exponential { mean } => Kind::Exponential { mean: *mean },
            Law::Erlang { stages, mean } if *stages <= STAGES_SUMMED => {
                Kind::Erlang { stages: *stages, stage_mean: mean / f64::from(*stages) }
            }
            Law::Erlang { stages, mean } => Kind::Gamma(Gamma::new(f64::from(*stages), *mean)),
            Law::Gamma { mean, cv } => Kind::Gamma(Gamma::new(1.0 / (cv * cv), *mean)),
            Law::Lognormal { mean, cv } => {
                let (mu, sigma) = logarithm(*mean, *cv);
                Kind::Lognormal { mu, sigma }
            }
            Law::Weibull { mean, shape } => {
                Kind::Weibull { scale: weibull_scale(*mean, *shape), exponent: 1.0 / shape }
            }
            Law::Pareto { minimum, shape } => {
                Kind::Pareto { minimum: *minimum, exponent: 1.0 / shape }
            }
            Law::Hyperexponential { mean, cv } => {
                let [(first, short), (_, long)] = phases(*mean, *cv);
                Kind::Hyperexponential { first, means: [long, short] }
            }
            Law::Empirical(points) => Kind::Empirical(Box::new(Empirical::new(points))),
            Law::Mixture(parts) => Kind::Mixture(Box::new(Mixture::new(parts))),
            Law::Rounded { of, step } => {
                Kind::Rounded { of: Box::new(Sampler::of(of)), step: *step }
            }
            Law::Shifted { by, of } => Kind::Shifted { by: *by, of: Box::new(Sampler::of(of)) },
        })
    }

    /// A variate; never negative.
    #[inline]
    pub fn draw(&self, draws: &mut Draws) -> f64 {
        match &self.0 {
            Kind::Constant(value) => *value,
            Kind::Uniform { low, width } => low + width * draws.unit(),
            Kind::Exponential { mean } => mean * exponential(draws),
            Kind::Erlang { stages, stage_mean } => {
                stage_mean * (0..*stages).map(|_| exponential(draws)).sum::<f64>()
            }
            Kind::Gamma(gamma) => gamma.draw(draws),
            Kind::Lognormal { mu, sigma } => libm::exp(mu + sigma * standard_normal(draws)),
            // exp(ln(E)/shape) is E^(1/shape) at a fifth of the cost of `pow`.
            Kind::Weibull { scale, exponent } => {
                scale * libm::exp(exponent * libm::log(exponential(draws)))
            }
            // U^(-1/shape), since -ln(U) is exponential.
            Kind::Pareto { minimum, exponent } => {
                minimum * libm::exp(exponent * exponential(draws))
            }
            Kind::Hyperexponential { first, means } => {
                means[usize::from(draws.chance(*first))] * exponential(draws)
            }
            Kind::Empirical(empirical) => empirical.draw(draws),
            Kind::Mixture(mixture) => {
                let part = mixture.choice.draw(draws);
                mixture.parts[part as usize].draw(draws)
            }
            Kind::Shifted { by, of } => by + of.draw(draws),
            Kind::Rounded { of, step } => rounded_up(of.draw(draws) / step) * step,
        }
    }
}

/// Gamma variates by Marsaglia and Tsang (ACM Transactions on Mathematical Software 26(3), 2000).
#[derive(Clone, Copy, Debug)]
struct Gamma {
    /// The shape drawn by rejection, less a third: of the law, or of the law of shape + 1.
    d: f64,
    /// 1/sqrt(9 d).
    c: f64,
    scale: f64,
    /// 1/shape for shapes below 1, which are drawn as a power of a uniform times shape + 1; else 0.
    boost: f64,
}

impl Gamma {
    fn new(shape: f64, mean: f64) -> Gamma {
        let (drawn, boost) = if shape < 1.0 { (shape + 1.0, 1.0 / shape) } else { (shape, 0.0) };
        let d = drawn - 1.0 / 3.0;
        Gamma { d, c: 1.0 / (9.0 * d).sqrt(), scale: mean / shape, boost }
    }
    fn draw(&self, draws: &mut Draws) -> f64 {
        let variate = loop {
            let x = standard_normal(draws);
            let root = 1.0 + self.c * x;
            if root <= 0.0 {
                continue;
            }
            let v = root * root * root;
            let u = draws.unit_open();
            let square = x * x;
            if u < 1.0 - 0.0331 * square * square
                || libm::log(u) < 0.5 * square + self.d * (1.0 - v + libm::log(v))
            {
                break self.d * v * self.scale;
            }
        };
        if self.boost == 0.0 {
            variate
        } else {
            variate * libm::exp(-self.boost * exponential(draws))
        }
    }
}

/// A quantile function of straight pieces, found through a guide table (Chen and Asau, AIIE
/// Transactions 6(2), 1974): about one comparison a draw, however many pieces there are.
#[derive(Clone, Debug)]
struct Empirical {
    /// The pieces by rising level, and at the end level 1, where the last one stops.
    pieces: Box<[Piece]>,
    /// For level j/length, the last piece that begins at or below it.
    guide: Box<[u32]>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    level: f64,
    value: f64,
    slope: f64,
}

impl Empirical {
    fn new(points: &[(f64, f64)]) -> Empirical {
        let rising = points.windows(2).filter(|pair| pair[0].0 < pair[1].0).map(|pair| {
            let [(level, value), (next_level, next_value)] = [pair[0], pair[1]];
            Piece { level, value, slope: (next_value - value) / (next_level - level) }
        });
        let end =
            points.last().map(|(level, value)| Piece { level: *level, value: *value, slope: 0.0 });
        let pieces: Box<[Piece]> = rising.chain(end).collect();
        // A power of two: then u times the length is exact, and so is the place in the guide.
        let length = pieces.len().next_power_of_two();
        let last_from = |j: usize| {
            let level = j as f64 / length as f64;
            pieces.partition_point(|piece| piece.level <= level) as u32 - 1
        };
        let guide = (0..length).map(last_from).collect();
        Empirical { pieces, guide }
    }
    fn draw(&self, draws: &mut Draws) -> f64 {
        let u = draws.unit();
        let mut at = self.guide[(u * self.guide.len() as f64) as usize] as usize;
        while self.pieces[at + 1].level <= u {
            at += 1;
        }
        let piece = self.pieces[at];
        piece.value + piece.slope * (u - piece.level)
    }
}

#[derive(Clone, Debug)]
struct Mixture {
    choice: AliasTable,
    parts: Box<[Sampler]>,
}

impl Mixture {
    fn new(parts: &[(f64, Law)]) -> Mixture {
        let weights: Vec<f64> = parts.iter().map(|(weight, _)| *weight).collect();
        let parts = parts.iter().map(|(_, part)| Sampler::of(part)).collect();
        Mixture { choice: AliasTable::new(&weights), parts }
    }
}

#[cfg(test)]
mod tests {
    use super::super::goodness::{ALARM, Fit};
    use super::*;
    use crate::stream::Seed;

    fn fit(name: &str, law: &Law, count: usize) -> Fit {
        let mut draws = Seed(21).replication(0).named(name).draw(0);
        let sampler = law.sampler();
        Fit::of(count, || sampler.draw(&mut draws))
    }

    #[test]
    fn draws_of_many_requests_follow_the_distribution_function() {
        for (name, law) in Law::examples() {
            // A change of scale by 3 % hardly shows in the widest laws: larger samples.
            let wide = ["gamma 1.7", "weibull 0.6"].contains(&name);
            let count = if wide { 1_000_000 } else { 100_000 };
            let (sampler, key) = (law.sampler(), Seed(20).replication(0).named(name));
            let mut requests = 0..;
            let fit = Fit::of(count, || {
                let request = requests.next().expect("requests are endless");
                sampler.draw(&mut key.draw(request))
            });
            fit.assert_follows(name, |x| law.cdf(x));
            let wrong = law.scaled(1.03);
            fit.assert_rejects(name, |x| wrong.cdf(x));
        }
    }

    #[test]
    fn draws_have_the_mean_and_spread_of_the_law() {
        for (name, law) in Law::examples() {
            let [(mean, mean_error), (variance, variance_error)] =
                fit(name, &law, 400_000).moments();
            let z = (mean - law.mean()) / mean_error;
            assert!(z.abs() < ALARM, "{name}: mean {mean}, z = {z}");
            assert!((mean - law.mean() * 1.03).abs() > ALARM * mean_error, "{name}: teeth");
            let z = (variance - law.variance()) / variance_error;
            assert!(z.abs() < ALARM, "{name}: variance {variance}, z = {z}");
        }
    }

    #[test]
    fn another_implementation_follows_the_same_distribution_functions() {
        use rand_distr::{Distribution, Gamma, LogNormal, Weibull};
        let mut draws = Seed(24).replication(0).draw(0);
        let law = Law::Gamma { mean: 6.0, cv: 0.5 };
        let gamma = Gamma::new(4.0, 1.5).unwrap();
        let fit = Fit::of(100_000, || gamma.sample(&mut draws));
        fit.assert_follows("gamma", |x| law.cdf(x));
        let law =
            Law::lognormal_from_median_and_p99(1.0, libm::exp(2.326_347_874_040_841)).unwrap();
        let lognormal = LogNormal::new(0.0, 1.0).unwrap();
        let fit = Fit::of(100_000, || lognormal.sample(&mut draws));
        fit.assert_follows("lognormal", |x| law.cdf(x));
        let law = Law::Weibull { mean: 2.0 * libm::tgamma(1.0 + 1.0 / 0.7), shape: 0.7 };
        let weibull = Weibull::new(2.0, 0.7).unwrap();
        let fit = Fit::of(100_000, || weibull.sample(&mut draws));
        fit.assert_follows("weibull", |x| law.cdf(x));
    }

    #[test]
    fn atoms_and_gaps_are_drawn_as_often_as_they_weigh() {
        let points = vec![(0.0, 1.0), (0.2, 2.0), (0.5, 2.0), (0.7, 3.0), (0.7, 5.0), (1.0, 8.0)];
        let jumps = Law::Empirical(points);
        fit("jumps", &jumps, 100_000).assert_follows("jumps", |x| jumps.cdf(x));
        let measured: Vec<f64> = (1..=5000_u32).map(|i| libm::sqrt(f64::from(i))).collect();
        let measured = Law::from_samples(&measured);
        fit("measured", &measured, 100_000).assert_follows("measured", |x| measured.cdf(x));
        let sometimes = Law::Mixture(vec![
            (0.9, Law::Constant(0.0)),
            (0.0, Law::Constant(7.0)),
            (0.1, Law::Exponential { mean: 1.0 }),
        ]);
        let sample = fit("sometimes", &sometimes, 100_000);
        sample.assert_follows("sometimes", |x| sometimes.cdf(x));
        sample.assert_rejects("sometimes", |x| 0.92 + 0.08 * -libm::expm1(-x));
        let mut draws = Seed(22).replication(0).draw(0);
        assert_eq!(Law::Constant(4.0).sampler().draw(&mut draws), 4.0);
    }

    #[test]
    fn a_multiple_meets_the_same_luck() {
        let key = Seed(23).replication(0).named("service");
        for (name, law) in Law::examples() {
            let (one, three) = (law.sampler(), law.scaled(3.0).sampler());
            for request in 0..1000 {
                let (a, b) = (one.draw(&mut key.draw(request)), three.draw(&mut key.draw(request)));
                assert!((b / a - 3.0).abs() < 1e-12, "{name}: {a} and {b}");
            }
        }
    }

    #[test]
    fn values_are_stable() {
        let key = Seed(42).replication(0).named("law");
        let drawn: Vec<_> = Law::examples()
            .iter()
            .map(|(name, law)| {
                let (sampler, mut draws) = (law.sampler(), key.draw(0));
                (*name, [(); 3].map(|()| sampler.draw(&mut draws)))
            })
            .collect();
        let expected = [
            ("uniform", [0.6183710011655551, 0.3432778602908966, 0.7774321396271089]),
            ("exponential", [0.020785748991912524, 0.0075280224379419905, 0.011174059703216369]),
            ("erlang-2", [4.247065714478177, 1.798367109222858, 1.0141301290526026]),
            ("erlang-12", [1.9264345199817532, 3.9182314265994513, 2.825697199776802]),
            ("gamma 0.6", [6.512018319470058, 32.42496411451735, 16.415679650921838]),
            ("gamma 1.7", [0.4106836653917425, 13.167493311452187, 14.276395147984912]),
            ("lognormal 0.5", [0.033511837961830125, 0.050200997094276126, 0.10328013568073989]),
            ("lognormal 2", [0.005842717010406028, 0.017297344351602295, 0.12005959781693257]),
            ("weibull 0.6", [11.250335818670676, 2.0702566907167728, 3.9985972952169395]),
            ("weibull 3", [7.145792526034751, 5.0935684252856035, 5.8103037760606595]),
            ("pareto", [2.8280186150625264, 2.267355606082526, 2.409409047545939]),
            ("hyperexponential", [0.4242103328842433, 0.04592899177578925, 0.3045534492496208]),
            ("empirical", [1.2459275029138877, 1.0716389301454483, 1.6435803490677723]),
            ("rounded", [7.0, 3.0, 4.0]),
            ("shifted", [4.515355957046786, 9.410294984681023, 6.1381668946511425]),
            ("mixture", [7.52802243794199, 0.8150543582693508, 1.1463465035377376]),
        ];
        assert_eq!(drawn, expected);
    }

    #[test]
    #[should_panic(expected = "the mean must be finite")]
    fn an_unchecked_law_is_refused() {
        Law::Exponential { mean: -1.0 }.sampler();
    }
}
