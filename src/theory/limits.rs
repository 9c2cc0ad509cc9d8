//! What limiters turn away, and breakers.

/// The share of Poisson requests that a limiter of `limit` in each window turns away, where a window
/// begins with the first request after the last one and `offered` come in the time of a window on
/// average: of `1 + N` requests of a cycle, `1 + min(N, limit - 1)` are let through.
pub fn fixed_window_loss_ratio(limit: u32, offered: f64) -> f64 {
    let mut chance = libm::exp(-offered);
    let (mut below, mut mean) = (0.0, 0.0);
    let most = limit.saturating_sub(1);
    for count in 0..most {
        below += chance;
        mean += f64::from(count) * chance;
        chance *= offered / f64::from(count + 1);
    }
    let served = mean + f64::from(most) * (1.0 - below);
    1.0 - (1.0 + served) / (1.0 + offered)
}

/// How often a breaker opens again after its trial calls, of which each fails with probability
/// `failure`: the chance that at least the share `threshold` of them do (the binomial tail).
pub fn reopening_ratio(trials: u32, threshold: f64, failure: f64) -> f64 {
    let most_good = f64::from(trials) * (1.0 - threshold);
    // All fail, then all but one, and so on: C(n, good) p^(n - good) (1 - p)^good.
    let mut chance = libm::pow(failure, f64::from(trials));
    let mut sum = 0.0;
    let mut good = 0.0;
    while good <= most_good {
        sum += chance;
        chance *= (f64::from(trials) - good) / (good + 1.0) * (1.0 - failure) / failure;
        good += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_is_never_full_loses_nothing_and_one_of_one_all_but_the_first() {
        assert!(fixed_window_loss_ratio(100, 10.0).abs() < 1e-12);
        assert!((fixed_window_loss_ratio(1, 9.0) - 0.9).abs() < 1e-12);
        // Two: the second is lost only to those who come after it. E min(N, 1) = 1 - exp(-1).
        let two = 1.0 - (2.0 - libm::exp(-1.0)) / 2.0;
        assert!((fixed_window_loss_ratio(2, 1.0) - two).abs() < 1e-12);
    }

    #[test]
    fn trials_fail_together_by_the_binomial_tail() {
        assert!((reopening_ratio(1, 0.5, 0.3) - 0.3).abs() < 1e-15);
        // Two of four: 1 - 0.7^4 - 4 x 0.3 x 0.7^3.
        assert!((reopening_ratio(4, 0.5, 0.3) - 0.3483).abs() < 1e-12);
        // Of three, 1.5 is two: 3 x 0.2^2 x 0.8 + 0.2^3.
        assert!((reopening_ratio(3, 0.5, 0.2) - 0.104).abs() < 1e-12);
        assert!((reopening_ratio(10, 1e-9, 0.4) - (1.0 - libm::pow(0.6, 10.0))).abs() < 1e-12);
        assert_eq!(reopening_ratio(10, 0.5, 1.0), 1.0);
    }
}
