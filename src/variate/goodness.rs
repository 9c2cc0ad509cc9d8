//! Whether samples follow a distribution: the checks that the tests of this module share.

/// |z| beyond this is a false alarm once in 10,000 checks.
pub const ALARM: f64 = 3.89;

/// A sample, sorted, for the test of Kolmogorov and Smirnov at a false-alarm rate of 1e-4.
pub struct Fit {
    sorted: Vec<f64>,
}

impl Fit {
    /// Draws a sample.
    pub fn of(count: usize, mut draw: impl FnMut() -> f64) -> Fit {
        let mut sorted: Vec<f64> = (0..count).map(|_| draw()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Fit { sorted }
    }
    /// sqrt(n) times the largest distance between the sample's distribution function and `cdf`,
    /// which may have jumps: it is compared only between groups of equal values.
    pub fn distance(&self, cdf: impl Fn(f64) -> f64) -> f64 {
        let n = self.sorted.len() as f64;
        let mut largest = 0.0_f64;
        let mut below = 0;
        for group in self.sorted.chunk_by(|a, b| a == b) {
            let upto = below + group.len();
            let p = cdf(group[0]);
            largest = largest.max((p - upto as f64 / n).abs());
            if group.len() == 1 {
                largest = largest.max((p - below as f64 / n).abs());
            }
            below = upto;
        }
        largest * n.sqrt()
    }
    /// Critical distance: 2 exp(-2 d^2) = 1e-4.
    const CRITICAL: f64 = 2.2253;

    /// Fails unless the sample follows `cdf`.
    pub fn assert_follows(&self, what: &str, cdf: impl Fn(f64) -> f64) {
        let distance = self.distance(cdf);
        assert!(distance < Self::CRITICAL, "{what}: distance {distance}");
    }
    /// Fails if the sample follows `cdf`, a distribution that is slightly wrong.
    pub fn assert_rejects(&self, what: &str, cdf: impl Fn(f64) -> f64) {
        let distance = self.distance(cdf);
        assert!(distance > Self::CRITICAL, "{what}: a wrong law passes, distance {distance}");
    }
    /// Mean and variance of the sample, each with its standard error.
    pub fn moments(&self) -> [(f64, f64); 2] {
        let n = self.sorted.len() as f64;
        let mean = self.sorted.iter().sum::<f64>() / n;
        let central = |power: u32| {
            let term = |x: &f64| (0..power).fold(1.0, |product, _| product * (x - mean));
            self.sorted.iter().map(term).sum::<f64>() / n
        };
        let (second, fourth) = (central(2), central(4));
        [(mean, (second / n).sqrt()), (second, ((fourth - second * second) / n).sqrt())]
    }
}
