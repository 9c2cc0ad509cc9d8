//! Streams whose rate a Markov chain moves: how far their counts vary more than those of a steady one.

type Matrix = Vec<Vec<f64>>;

/// A Markov-modulated Poisson process: phases of exponential lengths, each with its own rate.
///
/// # Model
/// With the generator Q, its stationary law p (pi in Fischer and Meier-Hellstern, "The Markov-modulated
/// Poisson process (MMPP) cookbook", Performance Evaluation 18, 1993), rates r and D the integral of
/// exp(Q u) - 1 p over all u, which is (1 p - Q)^-1 - 1 p, the number of arrivals within t has the mean
/// p r t and the variance p r t + 2 p R (D t - D^2 (I - exp(Q t))) r, R the diagonal matrix of the rates.
#[derive(Clone, Debug, PartialEq)]
pub struct Mmpp {
    /// Arrivals a second in each phase.
    rates_per_s: Vec<f64>,
    /// From phase to phase (1/s).
    generator: Matrix,
    /// The share of time of each phase.
    shares: Vec<f64>,
}

impl Mmpp {
    /// Whose phases have such rates and mean lengths, and are followed with such probabilities.
    pub fn new(rates_per_s: &[f64], lengths_s: &[f64], next: &[&[f64]]) -> Mmpp {
        let size = rates_per_s.len();
        let rate = |from: usize, to: usize| {
            (next[from][to] - f64::from(u8::from(from == to))) / lengths_s[from]
        };
        let generator = square(size, rate);
        // p Q = 0 with p 1 = 1: p (1 1^T - Q) = 1^T, as the rows of 1 1^T are all ones.
        let ones = square(size, |from, to| 1.0 - generator[from][to]);
        let inverse = inverted(ones);
        let shares = (0..size).map(|to| inverse.iter().map(|row| row[to]).sum()).collect();
        Mmpp { rates_per_s: rates_per_s.to_vec(), generator, shares }
    }
    /// Arrivals a second on average.
    pub fn mean_per_s(&self) -> f64 {
        self.shares.iter().zip(&self.rates_per_s).map(|(share, rate)| share * rate).sum()
    }
    /// The index of dispersion of counts: the variance of how many come within a time, over its mean.
    pub fn dispersion(&self, within_s: f64) -> f64 {
        let size = self.shares.len();
        let drift = square(size, |from, to| self.shares[to] - self.generator[from][to]);
        let fundamental = inverted(drift);
        let deviation = square(size, |from, to| fundamental[from][to] - self.shares[to]);
        let left = self.after(within_s);
        let gone = square(size, |from, to| f64::from(u8::from(from == to)) - left[from][to]);
        let twice = product(&deviation, &product(&deviation, &gone));
        let mut covariance = 0.0;
        for from in 0..size {
            for to in 0..size {
                let lasting = deviation[from][to] * within_s - twice[from][to];
                covariance +=
                    self.shares[from] * self.rates_per_s[from] * lasting * self.rates_per_s[to];
            }
        }
        1.0 + 2.0 * covariance / (self.mean_per_s() * within_s)
    }
    /// exp(Q t): from each phase to each within a time, by a short Taylor series, squared again and again.
    fn after(&self, within_s: f64) -> Matrix {
        let size = self.shares.len();
        let fastest = (0..size).map(|at| -self.generator[at][at]).fold(0.0, f64::max);
        let mut step_s = within_s;
        let mut doublings = 0;
        while step_s * fastest > 0.01 {
            step_s *= 0.5;
            doublings += 1;
        }
        let unit = square(size, |from, to| f64::from(u8::from(from == to)));
        let (mut sum, mut term) = (unit.clone(), unit);
        for order in 1..8 {
            let next = product(&term, &self.generator);
            term = square(size, |from, to| next[from][to] * step_s / f64::from(order));
            sum = square(size, |from, to| sum[from][to] + term[from][to]);
        }
        (0..doublings).fold(sum, |half, _| product(&half, &half))
    }
}

fn square(size: usize, entry: impl Fn(usize, usize) -> f64) -> Matrix {
    (0..size).map(|from| (0..size).map(|to| entry(from, to)).collect()).collect()
}

fn product(left: &Matrix, right: &Matrix) -> Matrix {
    square(left.len(), |from, to| {
        left[from].iter().zip(right).map(|(entry, row)| entry * row[to]).sum()
    })
}

/// The inverse, by Gauss and Jordan with the greatest pivot of each column.
fn inverted(mut matrix: Matrix) -> Matrix {
    let size = matrix.len();
    let mut inverse = square(size, |from, to| f64::from(u8::from(from == to)));
    for column in 0..size {
        let greatest = |row: &usize| matrix[*row][column].abs();
        let pivot = (column..size)
            .max_by(|a, b| greatest(a).total_cmp(&greatest(b)))
            .expect("a column has a row");
        matrix.swap(column, pivot);
        inverse.swap(column, pivot);
        let scale = matrix[column][column];
        for to in 0..size {
            matrix[column][to] /= scale;
            inverse[column][to] /= scale;
        }
        for row in (0..size).filter(|row| *row != column) {
            let times = matrix[row][column];
            for to in 0..size {
                matrix[row][to] -= times * matrix[column][to];
                inverse[row][to] -= times * inverse[column][to];
            }
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_phases_have_the_known_closed_form() {
        let (rates, lengths) = ([300.0, 50.0], [2.0, 8.0]);
        let process = Mmpp::new(&rates, &lengths, &[&[0.0, 1.0], &[1.0, 0.0]]);
        assert!((process.mean_per_s() - 100.0).abs() < 1e-9);
        for within_s in [0.1, 1.0, 10.0, 1000.0] {
            // 1 + 2 p1 p2 (r1 - r2)^2 / (mean q) (1 - (1 - exp(-q t)) / (q t)), q = q1 + q2.
            let q = 1.0 / 2.0 + 1.0 / 8.0;
            let settled = 1.0 - (1.0 - libm::exp(-q * within_s)) / (q * within_s);
            let known = 1.0 + 2.0 * 0.2 * 0.8 * 250.0_f64.powi(2) / (100.0 * q) * settled;
            assert!((process.dispersion(within_s) / known - 1.0).abs() < 1e-9, "{within_s}");
        }
    }

    #[test]
    fn a_phase_that_follows_itself_lasts_so_much_longer() {
        let once = Mmpp::new(&[30.0, 5.0], &[2.0, 8.0], &[&[0.0, 1.0], &[1.0, 0.0]]);
        let often = Mmpp::new(&[30.0, 5.0], &[0.5, 4.0], &[&[0.75, 0.25], &[0.5, 0.5]]);
        assert!((once.mean_per_s() - often.mean_per_s()).abs() < 1e-9);
        assert!((once.dispersion(3.0) - often.dispersion(3.0)).abs() < 1e-9);
        // Equal rates are no modulation at all.
        let row: &[f64] = &[0.0, 0.5, 0.5];
        let steady = Mmpp::new(&[7.0; 3], &[1.0, 2.0, 3.0], &[row; 3]);
        assert!((steady.dispersion(5.0) - 1.0).abs() < 1e-9);
    }
}
