//! What happens near and beyond capacity: contention, retries, impatience, fan-out, two choices.

use super::stations::Mmc;

/// The universal scalability law: throughput against the number of requests worked on at once.
///
/// # Model
/// X(n) = gamma n / (1 + sigma (n - 1) + kappa n (n - 1)) (Gunther 2007).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContentionLaw {
    /// gamma: the throughput of one alone (1/s).
    pub single_per_s: f64,
    /// sigma: the share of the work that only one at a time can do.
    pub contention: f64,
    /// kappa: the cost of each pair keeping its data coherent, as a share of the work.
    pub coherency: f64,
}

impl ContentionLaw {
    /// The throughput (1/s) of `concurrency` requests at once.
    pub fn throughput_per_s(&self, concurrency: f64) -> f64 {
        let others = concurrency - 1.0;
        let slowing = 1.0 + self.contention * others + self.coherency * concurrency * others;
        self.single_per_s * concurrency / slowing
    }
    /// The concurrency of the highest throughput, sqrt((1 - sigma) / kappa); infinite without
    /// coherency cost.
    pub fn peak_concurrency(&self) -> f64 {
        ((1.0 - self.contention) / self.coherency).sqrt()
    }
}

/// Attempts for each request when each fails with probability `failure` and is retried at most
/// `retries` times: 1 + p + ... + p^r. Layers multiply.
pub fn retry_amplification(failure: f64, retries: u32) -> f64 {
    (0..retries).fold(1.0, |attempts, _| 1.0 + failure * attempts)
}

/// The share of requests lost by an overloaded station whose waiting requests give up: max(0, 1 -
/// 1/rho).
///
/// # Model
/// The fluid limit for many servers (Whitt 2006), whatever the patience's distribution; with a
/// constant patience (M/M/c+D, an acquire timeout) those served have waited all of it.
pub fn fluid_loss_ratio(utilisation: f64) -> f64 {
    if utilisation > 1.0 { 1.0 - 1.0 / utilisation } else { 0.0 }
}

/// M/M/c+D: the share of arrivals that give up after waiting for exactly `patience_s`, as behind an
/// acquire timeout.
///
/// # Model
/// The work that an arrival finds before it has density lambda p_{c-1} exp(-(c / S - lambda) x) up
/// to the patience, and from there falls as exp(-c x / S) (Baccelli and Hebuterne 1981); stable
/// under any load.
pub fn constant_patience_loss_ratio(station: Mmc, patience_s: f64) -> f64 {
    let load = station.offered_load();
    let drain = f64::from(station.servers) / station.service_s;
    let mut weight = 1.0;
    let mut below = 1.0;
    for k in 1..station.servers {
        weight *= load / f64::from(k);
        below += weight;
    }
    let slack = drain - station.arrival_rate_per_s;
    let entered = station.arrival_rate_per_s * weight;
    // All by the weight of those who wait for as long as they can: nothing overflows in overload.
    let others = libm::exp(slack.min(0.0) * patience_s);
    let at_patience = libm::exp(-slack.max(0.0) * patience_s);
    let up_to = if slack == 0.0 { patience_s } else { (others - at_patience) / slack };
    let beyond = at_patience / drain;
    entered * beyond / (below * others + entered * (up_to + beyond))
}

/// The quantile level of one branch that is the `p`-quantile of the slowest of `branches` equal,
/// independent ones: p^(1/n). The median of a fan-out to 100 is each branch's p99.3.
pub fn quantile_level_of_max(p: f64, branches: u32) -> f64 {
    libm::pow(p, 1.0 / f64::from(branches))
}

/// The mean response time, in mean service times, when each request joins the shortest of `choices`
/// random queues among very many single-server ones with the given utilisation.
///
/// # Model
/// sum_{i >= 1} rho^((d^i - d) / (d - 1)), Poisson arrivals and exponential service (Vvedenskaya,
/// Dobrushin and Karpelevich 1996; Mitzenmacher 2001). One choice is M/M/1.
pub fn supermarket_response(utilisation: f64, choices: i32) -> f64 {
    if utilisation >= 1.0 {
        return f64::INFINITY;
    }
    let (mut term, mut sum) = (1.0f64, 0.0);
    // The exponents obey e' = d (e + 1).
    while term > 1e-18 {
        sum += term;
        term = (term * utilisation).powi(choices);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::erlang_b;

    #[test]
    fn two_choices_match_the_supermarket_anchors() {
        for (load, two, one) in [
            (0.5, 1.266, 2.0),
            (0.7, 1.614, 10.0 / 3.0),
            (0.9, 2.614, 10.0),
            (0.95, 3.383, 20.0),
            (0.99, 5.432, 100.0),
        ] {
            assert!((supermarket_response(load, 2) - two).abs() <= 0.000_5, "two at {load}");
            assert!((supermarket_response(load, 1) / one - 1.0).abs() < 1e-12, "one at {load}");
            assert!(supermarket_response(load, 3) < supermarket_response(load, 2));
        }
        assert_eq!(supermarket_response(1.0, 2), f64::INFINITY);
    }

    #[test]
    fn contention_peaks_where_the_law_says() {
        let law = ContentionLaw { single_per_s: 100.0, contention: 0.02, coherency: 0.000_2 };
        assert_eq!(law.throughput_per_s(1.0), 100.0);
        assert!((law.peak_concurrency() - 70.0).abs() < 1e-9);
        let peak = law.throughput_per_s(70.0);
        assert!((peak - 7_000.0 / (1.0 + 1.38 + 0.966)).abs() < 1e-9);
        assert!(peak > law.throughput_per_s(65.0) && peak > law.throughput_per_s(75.0));
        assert_eq!(ContentionLaw { coherency: 0.0, ..law }.peak_concurrency(), f64::INFINITY);
    }

    #[test]
    fn retries_multiply_the_load() {
        assert_eq!(retry_amplification(1.0, 3), 4.0);
        assert_eq!(retry_amplification(0.0, 3), 1.0);
        assert_eq!(retry_amplification(0.5, 2), 1.75);
        assert_eq!(retry_amplification(1.0, 3) * retry_amplification(1.0, 3), 16.0);
    }

    #[test]
    fn overload_loses_the_excess() {
        assert_eq!(fluid_loss_ratio(0.9), 0.0);
        // The anchor of the impatient queue at 1,200/s on 1,000/s of capacity.
        assert!((fluid_loss_ratio(1.2) - 0.1667).abs() < 0.000_05);
    }

    #[test]
    fn constant_patience_lies_between_loss_and_delay() {
        let station = |arrival_rate_per_s| Mmc { servers: 20, arrival_rate_per_s, service_s: 0.02 };
        // Without patience a loss system, with much of it the fluid limit.
        let loss = constant_patience_loss_ratio(station(900.0), 0.0);
        assert!((loss / erlang_b(20, 18.0) - 1.0).abs() < 1e-12);
        assert!(constant_patience_loss_ratio(station(900.0), 1.0) < 1e-30);
        let over = constant_patience_loss_ratio(station(1_200.0), 1.0);
        assert!((over - fluid_loss_ratio(1.2)).abs() < 1e-9, "{over}");
        let critical = constant_patience_loss_ratio(station(1_000.0), 0.05);
        let beside = constant_patience_loss_ratio(station(1_000.001), 0.05);
        assert!((critical / beside - 1.0).abs() < 1e-4, "{critical} {beside}");
    }

    #[test]
    fn the_slowest_of_many_sets_the_pace() {
        assert!((quantile_level_of_max(0.5, 100) - 0.993_092_495_437).abs() < 1e-12);
        assert!((quantile_level_of_max(0.99, 1) - 0.99).abs() < 1e-15);
    }
}
