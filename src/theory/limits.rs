//! What limiters turn away.

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
}
