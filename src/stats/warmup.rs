//! Where the warm-up ends.

/// Where to cut a series so that the rest estimates its steady state best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truncation {
    /// How many values to drop from the front: a multiple of five.
    pub index: usize,
    /// The squared standard error of the mean of the rest, which the cut minimises; infinite when
    /// there are fewer than five values.
    pub statistic: f64,
    /// False when the best cut falls into the second half, or the series has fewer than sixty
    /// values: then the run was too short to say where its warm-up ends.
    pub sufficient: bool,
}

/// Values to a batch in MSER-5.
const BATCH: usize = 5;
/// Batches at the end that a cut may not reach: so few of them agree by chance (Hoad, Robinson and
/// Davies 2010).
const LAST: usize = 5;
/// The fewest batches whose second half still holds a permitted cut.
const FEWEST: usize = 12;
/// The shortest series that MSER-5 can say anything about.
pub const MSER5_LEAST: usize = FEWEST * BATCH;

/// The marginal standard error rule on batches of five, MSER-5.
///
/// # Model
/// Over the m batch means Z, choose the cut d that minimises sum_{i >= d} (Z_i - mean)^2 / (m -
/// d)^2 (White 1997; White, Cobb and Spratt 2000). The earliest wins among equals. Values beyond
/// the last whole batch are not looked at.
pub fn mser5(values: &[f64]) -> Truncation {
    let batches: Vec<f64> =
        values.chunks_exact(BATCH).map(|batch| batch.iter().sum::<f64>() / BATCH as f64).collect();
    let last = batches.len().saturating_sub(LAST);
    let (mut mean, mut deviations) = (0.0, 0.0);
    let mut best = (0, f64::INFINITY);
    // From the back, so that each cut adds one batch to the running mean and deviation (Welford).
    for (cut, batch) in batches.iter().enumerate().rev() {
        let count = (batches.len() - cut) as f64;
        let difference = batch - mean;
        mean += difference / count;
        deviations += difference * (batch - mean);
        let statistic = deviations / (count * count);
        if cut <= last && statistic <= best.1 {
            best = (cut, statistic);
        }
    }
    let sufficient = batches.len() >= FEWEST && best.0 <= batches.len() / 2;
    Truncation { index: best.0 * BATCH, statistic: best.1, sufficient }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::super::{mean, squared_deviations};
    use super::*;

    /// AR(1) about 10, on top of a start that decays with the time constant `decay`.
    fn transient(seed: u64, height: f64, decay: f64) -> Vec<f64> {
        let mut values = Sample(seed).autoregressive(0.5, 1_000);
        for (step, value) in values.iter_mut().enumerate() {
            *value += 10.0 + height * libm::exp(-(step as f64) / decay);
        }
        values
    }

    #[test]
    fn the_cut_removes_the_transient_and_little_more() {
        for seed in 0..20 {
            let values = transient(seed, 30.0, 25.0);
            let cut = mser5(&values);
            assert!(cut.sufficient);
            // At three time constants 1.5 of the 30 are left, above the noise; at ten, nothing.
            assert!((75..=250).contains(&cut.index), "seed {seed}: {cut:?}");
            assert!((mean(&values[cut.index..]) - 10.0).abs() < 0.25, "seed {seed}");
            assert!((mean(&values) - 10.0).abs() > 0.5, "uncut, the mean is biased");
        }
    }

    #[test]
    fn a_stationary_series_is_mostly_kept() {
        let dropped: usize = (0..20).map(|seed| mser5(&transient(seed, 0.0, 1.0)).index).sum();
        assert!(dropped < 20 * 150, "{dropped} of 20,000 dropped");
        assert_eq!(mser5(&[4.0; 100]), Truncation { index: 0, statistic: 0.0, sufficient: true });
    }

    #[test]
    fn a_series_that_never_settles_is_said_to_be_too_short() {
        let growing: Vec<f64> = (0..500).map(f64::from).collect();
        assert!(!mser5(&growing).sufficient);
        assert!(!mser5(&growing[..60]).sufficient);
        assert!(!mser5(&[1.0; 59]).sufficient);
        assert!(!mser5(&[]).sufficient);
    }

    #[test]
    fn the_statistic_is_the_defined_one() {
        let values = transient(3, 30.0, 25.0);
        let cut = mser5(&values);
        let batches: Vec<f64> = values.chunks_exact(5).map(mean).collect();
        let by_definition = |d: usize| {
            let rest = &batches[d..];
            squared_deviations(rest) / (rest.len() * rest.len()) as f64
        };
        assert!((cut.statistic / by_definition(cut.index / 5) - 1.0).abs() < 1e-10);
        assert!((0..195).all(|d| by_definition(d) >= cut.statistic * (1.0 - 1e-10)));
    }
}
