//! The stationary distribution of a birth-death chain, without overflow.

/// Weights below this share of the largest cannot move a sum.
const NEGLIGIBLE: f64 = 1e-40;

/// The stationary probabilities of the states 0, 1, 2, ... of a birth-death chain.
///
/// `ratio(k)` = birth rate in state k - 1 over death rate in state k, for k >= 1; it must not
/// increase with k, and be zero (or fall below one for good) in the end.
///
/// # Model
/// pi_k = pi_{k-1} ratio(k) (detailed balance). The largest state is found first and the others
/// follow from it outwards, every factor at most one: nothing overflows, and what underflows is
/// nothing.
pub(super) fn stationary(ratio: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut mode = 0;
    while ratio(mode + 1) > 1.0 {
        mode += 1;
    }
    let mut weights = vec![0.0; mode + 1];
    weights[mode] = 1.0;
    for state in (0..mode).rev() {
        weights[state] = weights[state + 1] / ratio(state + 1);
    }
    let mut weight = 1.0;
    loop {
        weight *= ratio(weights.len());
        if weight < NEGLIGIBLE {
            break;
        }
        weights.push(weight);
    }
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    weights
}

/// The sum of `value(k)` weighted by the probability of state k.
pub(super) fn expectation(probabilities: &[f64], value: impl Fn(f64) -> f64) -> f64 {
    probabilities.iter().enumerate().map(|(state, p)| p * value(state as f64)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infinite_server_station_is_poisson() {
        // Mean 1,000: the probability of none, exp(-1000), underflows; the rest must not notice.
        let states = stationary(|k| 1_000.0 / k as f64);
        assert!((expectation(&states, |k| k) - 1_000.0).abs() < 1e-9);
        assert!((expectation(&states, |k| k * k) - 1_001_000.0).abs() < 1e-6);
        let peak = libm::exp(1_000.0 * libm::log(1_000.0) - 1_000.0 - libm::lgamma(1_001.0));
        assert!((states[1_000] / peak - 1.0).abs() < 1e-10);
    }

    #[test]
    fn a_chain_of_one_state_stays_there() {
        assert_eq!(stationary(|_| 0.0), [1.0]);
    }
}
