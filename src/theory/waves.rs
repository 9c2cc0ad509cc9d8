//! Loads that come and go: how late, and how much smoother, what is in flight follows them.

use std::f64::consts::TAU;

/// M_t/G/infinity under a rate of lambda (1 + amplitude sin(2 pi t / period)): how many there are at a
/// time is Poisson, and its mean a wave too, later and flatter than the rate.
///
/// # Model
/// The mean is lambda times the integral of P(S > u) (1 + amplitude sin(w (t - u))) over u, that is
/// lambda (E S + amplitude |H| sin(w t + arg H)), H the integral of exp(-i w u) P(S > u) (Eick, Massey
/// and Whitt, Management Science 39, 1993).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InfiniteServer {
    /// Mean stay (s).
    stay_s: f64,
    /// 2 pi / period (1/s).
    frequency: f64,
    /// The real and imaginary parts of H (s).
    response: (f64, f64),
}

impl InfiniteServer {
    /// Whose stays are all of the same length: H = (1 - exp(-i w S)) / (i w).
    pub fn constant(stay_s: f64, period_s: f64) -> InfiniteServer {
        let frequency = TAU / period_s;
        let turn = frequency * stay_s;
        let response = (libm::sin(turn) / frequency, (libm::cos(turn) - 1.0) / frequency);
        InfiniteServer { stay_s, frequency, response }
    }
    /// Whose stays are exponential: H = S / (1 + i w S).
    pub fn exponential(stay_s: f64, period_s: f64) -> InfiniteServer {
        let frequency = TAU / period_s;
        let turn = frequency * stay_s;
        let size = stay_s / (1.0 + turn * turn);
        InfiniteServer { stay_s, frequency, response: (size, -turn * size) }
    }
    /// Whose stays are the sum of equal exponential stages: H = (1 - (1 + i w S / k)^-k) / (i w).
    pub fn erlang(stages: u32, stay_s: f64, period_s: f64) -> InfiniteServer {
        let frequency = TAU / period_s;
        let turn = frequency * stay_s / f64::from(stages);
        // (1 + i turn)^-k by its size and its angle.
        let size = libm::pow(1.0 + turn * turn, -0.5 * f64::from(stages));
        let angle = -libm::atan(turn) * f64::from(stages);
        let (real, imaginary) = (1.0 - size * libm::cos(angle), -size * libm::sin(angle));
        InfiniteServer { stay_s, frequency, response: (imaginary / frequency, -real / frequency) }
    }
    /// Whose stays are of one of two exponential phases, each of which contributes half of the mean
    /// (balanced means): the sum of both.
    pub fn hyperexponential(cv: f64, stay_s: f64, period_s: f64) -> InfiniteServer {
        let squared = cv * cv;
        let skew = ((squared - 1.0) / (squared + 1.0)).sqrt();
        let phases = [0.5 * (1.0 + skew), 0.5 * (1.0 - skew)].map(|share| {
            let phase = InfiniteServer::exponential(stay_s / (2.0 * share), period_s);
            (share * phase.response.0, share * phase.response.1)
        });
        let response = (phases[0].0 + phases[1].0, phases[0].1 + phases[1].1);
        InfiniteServer { stay_s, frequency: TAU / period_s, response }
    }
    /// The mean number in flight at a time (s), for each arrival per second on average (s).
    pub fn mean_at(&self, amplitude: f64, at_s: f64) -> f64 {
        let (turn, (real, imaginary)) = (self.frequency * at_s, self.response);
        self.stay_s + amplitude * (libm::sin(turn) * real + libm::cos(turn) * imaginary)
    }
    /// The same on average over a length of time from then on.
    pub fn mean_between(&self, amplitude: f64, from_s: f64, length_s: f64) -> f64 {
        let (start, end) = (self.frequency * from_s, self.frequency * (from_s + length_s));
        let (real, imaginary) = self.response;
        let sine = libm::cos(start) - libm::cos(end);
        let cosine = libm::sin(end) - libm::sin(start);
        let wave = (sine * real + cosine * imaginary) / (self.frequency * length_s);
        self.stay_s + amplitude * wave
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The integral of P(S > u) (1 + a sin(w (t - u))), by the midpoint rule.
    fn integral(stays: impl Fn(f64) -> f64, at_s: f64) -> f64 {
        let step = 1e-3;
        let term = |k: u32| {
            let u = (f64::from(k) + 0.5) * step;
            stays(u) * (1.0 + 0.8 * libm::sin(TAU / 8.0 * (at_s - u))) * step
        };
        (0..40_000).map(term).sum()
    }

    #[test]
    fn the_wave_is_the_integral() {
        for at_s in [0.0, 1.5, 3.0, 6.2] {
            let exponential = integral(|u| libm::exp(-u), at_s);
            assert!(
                (InfiniteServer::exponential(1.0, 8.0).mean_at(0.8, at_s) - exponential).abs()
                    < 1e-5
            );
            let constant = integral(|u| if u < 1.0 { 1.0 } else { 0.0 }, at_s);
            assert!(
                (InfiniteServer::constant(1.0, 8.0).mean_at(0.8, at_s) - constant).abs() < 1e-5
            );
            // Two stages of a half each; and two phases at a squared variation of 1.5, which have the
            // shares (1 +- sqrt(0.2)) / 2.
            let erlang = integral(|u| (1.0 + 2.0 * u) * libm::exp(-2.0 * u), at_s);
            assert!((InfiniteServer::erlang(2, 1.0, 8.0).mean_at(0.8, at_s) - erlang).abs() < 1e-5);
            let (more, less) = (0.5 + 0.05_f64.sqrt(), 0.5 - 0.05_f64.sqrt());
            let two =
                |u: f64| more * libm::exp(-2.0 * more * u) + less * libm::exp(-2.0 * less * u);
            let hyper = InfiniteServer::hyperexponential(1.5_f64.sqrt(), 1.0, 8.0);
            assert!((hyper.mean_at(0.8, at_s) - integral(two, at_s)).abs() < 1e-5);
        }
    }

    #[test]
    fn a_window_is_the_mean_of_its_moments() {
        let server = InfiniteServer::exponential(1.0, 8.0);
        let moments = (0..1_000).map(|k| server.mean_at(0.5, 2.0 + (f64::from(k) + 0.5) * 1e-3));
        let mean = moments.sum::<f64>() / 1_000.0;
        assert!((server.mean_between(0.5, 2.0, 1.0) - mean).abs() < 1e-6);
        // A whole period has the mean of a steady rate; a quick passage is as high as the rate.
        assert!((server.mean_between(0.5, 1.7, 8.0) - 1.0).abs() < 1e-12);
        let quick = InfiniteServer::constant(1e-6, 8.0);
        assert!((quick.mean_at(0.5, 2.0) / 1e-6 - 1.5).abs() < 1e-5);
    }
}
