//! Load over time.

use crate::units::Duration;

/// A piecewise-linear function of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Knots: (time, value), in order of time; constant before the first and after the last.
    /// Two knots at one time are a jump.
    pub knots: Vec<(Duration, f64)>,
    /// A sinusoid on top: value x (1 + amplitude sin(2 pi t / period)).
    pub wave: Option<(Duration, f64)>,
}

impl Curve {
    /// The same value for ever.
    pub fn constant(value: f64) -> Curve {
        Curve { knots: vec![(Duration::ZERO, value)], wave: None }
    }
    /// Its value at `at`.
    pub fn at(&self, at: Duration) -> f64 {
        let line = self.line_at(at);
        match self.wave {
            Some((period, amplitude)) => {
                let turn = at.seconds() / period.seconds() * std::f64::consts::TAU;
                line * (1.0 + amplitude * libm::sin(turn))
            }
            None => line,
        }
    }
    /// Its value at `at`, the wave aside.
    fn line_at(&self, at: Duration) -> f64 {
        let after = self.knots.partition_point(|(time, _)| *time <= at);
        match (after.checked_sub(1).map(|i| self.knots[i]), self.knots.get(after)) {
            (Some((t0, v0)), Some((t1, v1))) => {
                v0 + (v1 - v0) * ((at - t0).seconds() / (*t1 - t0).seconds())
            }
            (Some((_, v)), None) | (None, Some(&(_, v))) => v,
            (None, None) => 0.0,
        }
    }
    /// When the integral of the curve from `from` on reaches one: the next of evenly spaced arrivals.
    /// [`None`] if it never does.
    pub fn next_unit(&self, from: Duration) -> Option<Duration> {
        let mut left = 1.0;
        let mut start = from;
        loop {
            let (value, slope, end) = self.segment(start);
            let within = |length: Duration| self.area(start, value, slope, length.seconds());
            if let Some(end) = end {
                let whole = within(end - start);
                if whole < left {
                    left -= whole;
                    start = end;
                    continue;
                }
                return Some(start + self.invert(value, slope, left, end - start, within));
            }
            if value <= 0.0 {
                return None;
            }
            // A wave may hold back at most a period and what it is worth.
            let period = self.wave.map_or(Duration::ZERO, |(period, _)| period);
            let most = Duration::from_secs_f64(left / value) + period + period;
            return Some(start + self.invert(value, slope, left, most, within));
        }
    }
    /// When it first exceeds a level from then on, to the microsecond; [`None`] if it never does. The
    /// wave aside.
    pub fn exceeds(&self, level: f64, from: Duration) -> Option<Duration> {
        let mut start = from;
        loop {
            let (value, slope, end) = self.segment(start);
            if value > level {
                return Some(start);
            }
            let end = end?;
            if slope > 0.0 {
                let up = Duration::from_secs_f64((level - value) / slope) + Duration::micros(1);
                if start + up < end {
                    return Some(start + up);
                }
            }
            start = end;
        }
    }
    /// The straight line at `at`: its value there without the wave, its slope [1/s], and its end.
    fn segment(&self, at: Duration) -> (f64, f64, Option<Duration>) {
        let after = self.knots.partition_point(|(time, _)| *time <= at);
        let value = self.line_at(at);
        match self.knots.get(after) {
            Some((end, last)) => (value, (last - value) / (*end - at).seconds(), Some(*end)),
            None => (value, 0.0, None),
        }
    }
    /// The integral over `length_s` from `start` on of a straight line with the wave on it.
    fn area(&self, start: Duration, value: f64, slope: f64, length_s: f64) -> f64 {
        let line = value * length_s + slope * length_s * length_s / 2.0;
        let Some((period, amplitude)) = self.wave else { return line };
        let turn = std::f64::consts::TAU / period.seconds();
        let (from, to) = (turn * start.seconds(), turn * (start.seconds() + length_s));
        let last = value + slope * length_s;
        let wave = (value * libm::cos(from) - last * libm::cos(to)) / turn
            + slope * (libm::sin(to) - libm::sin(from)) / (turn * turn);
        line + amplitude * wave
    }
    /// The length at which the area is `left`: in closed form without a wave, by halving with one.
    fn invert(
        &self,
        value: f64,
        slope: f64,
        left: f64,
        most: Duration,
        area: impl Fn(Duration) -> f64,
    ) -> Duration {
        if self.wave.is_none() {
            // The root of value x + slope x^2 / 2 = left that does not cancel.
            let root = (value * value + 2.0 * slope * left).max(0.0).sqrt();
            return Duration::from_secs_f64(2.0 * left / (value + root));
        }
        let (mut low, mut high) = (Duration::ZERO, most);
        while high.0 - low.0 > 1 {
            let middle = low + (high - low).half();
            if area(middle) < left { low = middle } else { high = middle }
        }
        high
    }
    /// Its mean up to `until`, the wave aside.
    pub fn mean(&self, until: Duration) -> f64 {
        let mut sum = 0.0;
        let mut at = Duration::ZERO;
        while at < until {
            let (value, slope, end) = self.segment(at);
            let next = end.unwrap_or(until).min(until);
            let length_s = (next - at).seconds();
            sum += value * length_s + slope * length_s * length_s / 2.0;
            at = next;
        }
        sum / until.seconds()
    }
    /// No value is larger.
    pub fn maximum(&self) -> f64 {
        let top = self.knots.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        top * (1.0 + self.wave.map_or(0.0, |(_, amplitude)| amplitude))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_a_wave_are_where_its_integral_is_whole() {
        let mut curve = Curve::constant(100.0);
        curve.wave = Some((Duration::secs(8), 1.0));
        let integral = |s: f64| {
            let turn = std::f64::consts::TAU / 8.0;
            100.0 * (s + (1.0 - libm::cos(turn * s)) / turn)
        };
        let mut at = Duration::ZERO;
        for number in 1..=1_200 {
            at = curve.next_unit(at).expect("a wave goes on");
            assert!((integral(at.seconds()) - f64::from(number)).abs() < 1e-6, "{number}");
        }
    }

    /// 600 arrivals in three whole waves of any height, also on a line that falls and rises again.
    #[test]
    fn a_wave_changes_when_arrivals_come_and_not_how_many() {
        let knots = [(0, 10.0), (20, 5.0), (40, 5.0), (60, 20.0)];
        let knots = knots.map(|(s, value)| (Duration::secs(s), value));
        for amplitude in [0.1, 0.5, 0.9, 1.0] {
            let mut flat = Curve::constant(10.0);
            flat.wave = Some((Duration::secs(20), amplitude));
            assert_eq!(arrivals_until(&flat, 60), 600, "{amplitude}");
            let bent = Curve { knots: knots.to_vec(), wave: Some((Duration::secs(20), amplitude)) };
            // The wave of a line of slope b adds -b a P^2 / 2 pi in each period P.
            let wave = (0.25 - 0.75) * amplitude * 400.0 / std::f64::consts::TAU;
            let whole = (150.0 + 100.0 + 250.0 + wave) as usize;
            assert_eq!(arrivals_until(&bent, 60), whole, "{amplitude}");
        }
    }

    fn arrivals_until(curve: &Curve, end_s: u64) -> usize {
        // A microsecond for the rounding of each to a tick.
        let end = Duration::secs(end_s) + Duration::micros(1);
        let next = |at: &Duration| curve.next_unit(*at);
        std::iter::successors(next(&Duration::ZERO), next).take_while(|at| *at <= end).count()
    }

    #[test]
    fn the_mean_of_straight_lines_is_their_area_over_the_time() {
        let knots = vec![(Duration::ZERO, 0.0), (Duration::secs(10), 20.0)];
        let curve = Curve { knots, wave: None };
        assert!((curve.mean(Duration::secs(10)) - 10.0).abs() < 1e-12);
        assert!((curve.mean(Duration::secs(20)) - 15.0).abs() < 1e-12);
    }
}
