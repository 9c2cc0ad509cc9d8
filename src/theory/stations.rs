//! One station: the classical queues.

use super::birth_death::{expectation, stationary};

/// Erlang's loss formula: the share of arrivals that find all `servers` busy and go away.
///
/// # Model
/// B(0) = 1, B(c) = a B(c-1) / (c + a B(c-1)), offered load `a` in erlangs (arrival rate times mean
/// service time). Insensitive to the service time's distribution (Erlang 1917; Sevastyanov 1957).
pub fn erlang_b(servers: u32, offered_load: f64) -> f64 {
    (1..=servers).fold(1.0, |blocked, count| {
        let carried = offered_load * blocked;
        if carried == 0.0 { 0.0 } else { carried / (f64::from(count) + carried) }
    })
}

/// Erlang's delay formula: the share of arrivals that must wait; 1 when overloaded.
///
/// # Model
/// C = B / (1 - rho (1 - B)), B from [`erlang_b`], rho = a / c (Erlang 1917).
pub fn erlang_c(servers: u32, offered_load: f64) -> f64 {
    let utilisation = offered_load / f64::from(servers);
    if utilisation >= 1.0 {
        return 1.0;
    }
    let blocked = erlang_b(servers, offered_load);
    blocked / (1.0 - utilisation * (1.0 - blocked))
}

/// M/M/1: Poisson arrivals, exponential service, one server, first come first served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mm1 {
    /// Arrivals per second (1/s).
    pub arrival_rate_per_s: f64,
    /// Mean service time (s).
    pub service_s: f64,
}

impl Mm1 {
    /// The share of time the server is busy; above 1 when overloaded.
    pub fn utilisation(&self) -> f64 {
        self.arrival_rate_per_s * self.service_s
    }
    /// Mean response time (waiting and service) (s): S / (1 - rho).
    pub fn response_mean_s(&self) -> f64 {
        over_slack(self.service_s, self.utilisation())
    }
    /// The `p`-quantile of the response time (s), which is exponential: -T ln(1 - p).
    pub fn response_quantile_s(&self, p: f64) -> f64 {
        -self.response_mean_s() * libm::log1p(-p)
    }
}

/// `amount` / (1 - utilisation), or infinity from a utilisation of one.
fn over_slack(amount: f64, utilisation: f64) -> f64 {
    if utilisation < 1.0 { amount / (1.0 - utilisation) } else { f64::INFINITY }
}

/// M/M/c: Poisson arrivals, exponential service, `servers` servers, one queue, first come first
/// served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mmc {
    /// How many servers.
    pub servers: u32,
    /// Arrivals per second (1/s).
    pub arrival_rate_per_s: f64,
    /// Mean service time (s).
    pub service_s: f64,
}

impl Mmc {
    /// The mean share of busy servers; above 1 when overloaded.
    pub fn utilisation(&self) -> f64 {
        self.offered_load() / f64::from(self.servers)
    }
    /// Arrival rate times mean service time (erlang).
    pub fn offered_load(&self) -> f64 {
        self.arrival_rate_per_s * self.service_s
    }
    /// The probability that an arrival waits: [`erlang_c`].
    pub fn wait_probability(&self) -> f64 {
        erlang_c(self.servers, self.offered_load())
    }
    /// The rate at which a wait ends, given that there is one (1/s): c / S - lambda.
    fn drain_rate(&self) -> f64 {
        f64::from(self.servers) / self.service_s - self.arrival_rate_per_s
    }
    /// Mean waiting time (s): C S / (c (1 - rho)).
    pub fn wait_mean_s(&self) -> f64 {
        if self.utilisation() < 1.0 {
            self.wait_probability() / self.drain_rate()
        } else {
            f64::INFINITY
        }
    }
    /// Mean waiting time (s) when arrivals and service have other squared coefficients of variation
    /// than 1: times (ca^2 + cs^2) / 2 (Allen and Cunneen; Kingman for one server). An
    /// approximation, exact for Poisson arrivals at one server.
    pub fn wait_mean_with_variation_s(&self, arrival_scv: f64, service_scv: f64) -> f64 {
        self.wait_mean_s() * (arrival_scv + service_scv) / 2.0
    }
    /// The `p`-quantile of the waiting time (s): zero up to 1 - C, then exponential.
    pub fn wait_quantile_s(&self, p: f64) -> f64 {
        if self.utilisation() >= 1.0 {
            return f64::INFINITY;
        }
        (libm::log(self.wait_probability() / (1.0 - p)) / self.drain_rate()).max(0.0)
    }
    /// Mean response time (s).
    pub fn response_mean_s(&self) -> f64 {
        self.wait_mean_s() + self.service_s
    }
    /// The probability that the response takes longer than `t_s` seconds.
    ///
    /// # Model
    /// With probability 1 - C service alone; else the sum of two exponentials of rates mu = 1 / S
    /// and theta = c mu - lambda, written about the slower of them so that equal rates are no
    /// special case.
    pub fn response_exceeds(&self, t_s: f64) -> f64 {
        if self.utilisation() >= 1.0 {
            return 1.0;
        }
        let (service, drain) = (1.0 / self.service_s, self.drain_rate());
        let (slow, fast) = (service.min(drain), service.max(drain));
        let apart = (fast - slow) * t_s;
        let between = if apart == 0.0 { 1.0 } else { -libm::expm1(-apart) / apart };
        let waited = libm::exp(-slow * t_s) * (1.0 + slow * t_s * between);
        let waits = self.wait_probability();
        (1.0 - waits) * libm::exp(-service * t_s) + waits * waited
    }
    /// The `p`-quantile of the response time (s).
    ///
    /// # Panics
    /// If `p` is not at least 0 and below 1.
    pub fn response_quantile_s(&self, p: f64) -> f64 {
        assert!((0.0..1.0).contains(&p), "a quantile lies from 0 to below 1, not at {p}");
        if self.utilisation() >= 1.0 {
            return f64::INFINITY;
        }
        let (mut low, mut high) = (0.0, self.service_s);
        while self.response_exceeds(high) > 1.0 - p {
            (low, high) = (high, 2.0 * high);
        }
        // Sixty halvings leave a rounding error of the bracket.
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.response_exceeds(middle) > 1.0 - p {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}

/// M/M/c/K: as M/M/c, but an arrival that finds `capacity` requests in the system is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mmck {
    /// The station without its bound.
    pub station: Mmc,
    /// The most requests in the system, waiting and in service; at least `servers`.
    pub capacity: u32,
}

impl Mmck {
    fn probabilities(&self) -> Vec<f64> {
        let (load, servers) = (self.station.offered_load(), self.station.servers as usize);
        let bound = self.capacity as usize;
        stationary(|k| if k > bound { 0.0 } else { load / k.min(servers) as f64 })
    }
    /// The share of arrivals lost: the probability of a full system.
    pub fn loss_ratio(&self) -> f64 {
        self.probabilities().get(self.capacity as usize).copied().unwrap_or(0.0)
    }
    /// The mean number in the system.
    pub fn number_mean(&self) -> f64 {
        expectation(&self.probabilities(), |number| number)
    }
    /// The mean response time (s) of those that enter, by Little's law.
    pub fn response_mean_s(&self) -> f64 {
        self.number_mean() / (self.station.arrival_rate_per_s * (1.0 - self.loss_ratio()))
    }
}

/// M/G/1: Poisson arrivals, any service time, one server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mg1 {
    /// Arrivals per second (1/s).
    pub arrival_rate_per_s: f64,
    /// Mean service time (s).
    pub service_s: f64,
    /// Squared coefficient of variation of the service time: 0 constant, 1 exponential.
    pub service_scv: f64,
}

impl Mg1 {
    /// The share of time the server is busy; above 1 when overloaded.
    pub fn utilisation(&self) -> f64 {
        self.arrival_rate_per_s * self.service_s
    }
    /// The mean wait until the service in progress ends (s): lambda E[S^2] / 2.
    pub fn residual_s(&self) -> f64 {
        self.utilisation() * self.service_s * (1.0 + self.service_scv) / 2.0
    }
    /// Mean waiting time, first come first served (s): lambda E[S^2] / (2 (1 - rho)) (Pollaczek
    /// 1930, Khinchine 1932).
    pub fn wait_mean_s(&self) -> f64 {
        over_slack(self.residual_s(), self.utilisation())
    }
    /// Mean time (s) until a server who has `backlog` requests before it, the one in service among them
    /// and fresh, is idle for the first time: backlog S / (1 - rho), which is backlog / (mu - lambda)
    /// (a delay busy period; Takacs 1962).
    pub fn drain_mean_s(&self, backlog: f64) -> f64 {
        over_slack(backlog * self.service_s, self.utilisation())
    }
    /// Mean response time under processor sharing (s): S / (1 - rho), whatever the distribution
    /// (Sakata, Noguchi and Oizumi 1971). A request of size x takes x / (1 - rho) in the mean.
    pub fn sharing_response_mean_s(&self) -> f64 {
        over_slack(self.service_s, self.utilisation())
    }
}

/// Mean response time (s) of GI/M/1: independent times between arrivals of any law, exponential
/// service, one server. `transform(r)` is the mean of exp(-r A), A the time between arrivals.
///
/// # Model
/// S / (1 - x), x the root below 1 of x = transform((1 - x) / S) (Kendall 1953). Only for a
/// stable queue: the iteration that finds the root has then arrived long before its 500 steps.
pub fn gim1_response_mean_s(service_s: f64, transform: impl Fn(f64) -> f64) -> f64 {
    let found = (0..500).fold(0.5, |root, _| transform((1.0 - root) / service_s));
    over_slack(service_s, found)
}

/// Erlang-A, M/M/c+M: those who wait give up after an exponential patience.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErlangA {
    /// The station without impatience.
    pub station: Mmc,
    /// Mean patience (s).
    pub patience_s: f64,
}

impl ErlangA {
    /// The mean number waiting.
    ///
    /// # Model
    /// Birth-death with death rate min(k, c) / S + max(k - c, 0) / patience (Palm 1957; Garnett,
    /// Mandelbaum and Reiman 2002); stable under any load.
    pub fn waiting_mean(&self) -> f64 {
        let servers = f64::from(self.station.servers);
        let probabilities = stationary(|k| {
            let busy = servers.min(k as f64);
            let death = busy / self.station.service_s + (k as f64 - busy) / self.patience_s;
            self.station.arrival_rate_per_s / death
        });
        expectation(&probabilities, |number| (number - servers).max(0.0))
    }
    /// The share of arrivals that give up: those waiting leave at the rate 1 / patience each.
    pub fn abandonment_ratio(&self) -> f64 {
        self.wait_mean_s() / self.patience_s
    }
    /// The mean time spent waiting (s), over those served and those who gave up (Little's law).
    pub fn wait_mean_s(&self) -> f64 {
        self.waiting_mean() / self.station.arrival_rate_per_s
    }
}

/// Mean waiting times (s) of priority classes, the first class foremost, without preemption; each
/// class is given by the share of the station's capacity that it takes.
///
/// # Model
/// W_k = W_0 / ((1 - s_{k-1}) (1 - s_k)), s_k the utilisation of classes 1 to k (Cobham 1954). W_0
/// is the mean wait for a server with nobody queueing ahead: [`Mg1::residual_s`] summed over the
/// classes at one server; [`erlang_c`] S / c at c servers with one exponential service time for
/// all.
pub fn cobham_waits_s(residual_s: f64, utilisations: &[f64]) -> Vec<f64> {
    let mut above = 0.0;
    utilisations
        .iter()
        .map(|utilisation| {
            let ahead = above;
            above += utilisation;
            over_slack(over_slack(residual_s, ahead), above)
        })
        .collect()
}

/// Mean response time (s) of a fork into two equal M/M/1 queues and the join of both.
///
/// # Model
/// T = (12 - rho) / 8 x S / (1 - rho), exact (Nelson and Tantawi 1988).
pub fn fork_join_pair_mean_s(branch: Mm1) -> f64 {
    (12.0 - branch.utilisation()) / 8.0 * branch.response_mean_s()
}

/// The mean time (s), from idle, until `connections` requests are first in progress at once: when a
/// pool that opens connections on demand has opened that many.
///
/// # Model
/// Birth-death with death rate min(k, c) / S. The mean time from k to k + 1 is h_k = 1 / lambda +
/// (death_k / lambda) h_{k-1} (Keilson 1965): a sum of positive terms.
pub fn first_passage_connections_s(pool: Mmc, connections: u32) -> f64 {
    let mut step = 0.0;
    let mut total = 0.0;
    for busy in 0..connections {
        let death = f64::from(busy.min(pool.servers)) / pool.service_s;
        step = (1.0 + death * step) / pool.arrival_rate_per_s;
        total += step;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Within half a unit of the last printed digit.
    fn prints(value: f64, printed: f64, unit: f64) {
        assert!((value - printed).abs() <= 0.5 * unit * 1.0001, "{value} for {printed}");
    }

    #[test]
    fn erlang_b_matches_the_loss_of_a_guard_on_busy_connections() {
        prints(erlang_b(17, 10.0), 0.0129, 1e-4);
        prints(erlang_b(17, 15.0), 0.113, 1e-3);
        prints(erlang_b(17, 17.0), 0.171, 1e-3);
        prints(erlang_b(17, 20.0), 0.256, 1e-3);
        assert_eq!((erlang_b(0, 3.0), erlang_b(5, 0.0)), (1.0, 0.0));
        assert!((erlang_b(100_000, 200_000.0) - 0.5).abs() < 1e-4, "fluid: 1 - 1/rho");
    }

    #[test]
    fn the_multi_server_queue_matches_its_anchors() {
        // servers, S [ms], load (1/s), P(wait), mean wait [ms] and unit, p95 response [ms] and
        // unit.
        for (servers, service_ms, load, waits, wait, wait_unit, p95, p95_unit) in [
            (15, 100.0, 100.0, 0.102, 2.0, 0.1, 302.0, 1.0),
            (15, 100.0, 120.0, 0.319, 10.6, 0.1, 314.0, 1.0),
            (15, 100.0, 140.0, 0.722, 72.0, 1.0, 443.0, 1.0),
            (15, 100.0, 148.0, 0.940, 470.0, 1.0, 1_579.0, 1.0),
            (50, 100.0, 450.0, 0.364, 7.3, 0.1, 308.0, 1.0),
            (50, 100.0, 495.0, 0.917, 183.0, 1.0, 718.0, 1.0),
            (20, 20.0, 750.0, 0.160, 0.64, 0.01, 60.7, 0.1),
            (20, 20.0, 850.0, 0.385, 2.6, 0.1, 63.4, 0.1),
            (20, 20.0, 950.0, 0.755, 15.1, 0.1, 89.4, 0.1),
            (20, 20.0, 990.0, 0.948, 94.8, 0.1, 317.0, 1.0),
        ] {
            let station =
                Mmc { servers, arrival_rate_per_s: load, service_s: service_ms / 1_000.0 };
            prints(station.wait_probability(), waits, 1e-3);
            prints(station.wait_mean_s() * 1e3, wait, wait_unit);
            prints(station.response_quantile_s(0.95) * 1e3, p95, p95_unit);
        }
    }

    #[test]
    fn one_server_is_the_same_by_every_formula() {
        let (arrival_rate_per_s, service_s) = (80.0, 0.01);
        let single = Mm1 { arrival_rate_per_s, service_s };
        let many = Mmc { servers: 1, arrival_rate_per_s, service_s };
        let general = Mg1 { arrival_rate_per_s, service_s, service_scv: 1.0 };
        assert!((single.response_mean_s() - 0.05).abs() < 1e-15);
        assert!((many.response_mean_s() - 0.05).abs() < 1e-15);
        assert!((general.wait_mean_s() - 0.04).abs() < 1e-15);
        assert!((general.sharing_response_mean_s() - 0.05).abs() < 1e-15);
        for p in [0.1, 0.5, 0.95, 0.999] {
            let exact = single.response_quantile_s(p);
            assert!((many.response_quantile_s(p) / exact - 1.0).abs() < 1e-12);
            // P(T > t) = exp(-t (1 - rho) / S)
            assert!((libm::exp(-exact * 20.0) - (1.0 - p)).abs() < 1e-12);
        }
        assert!((many.wait_quantile_s(0.9) - libm::log(8.0) / 20.0).abs() < 1e-14);
        assert_eq!(many.wait_quantile_s(0.1), 0.0);
        // One request alone begins a busy period: S / (1 - rho); with rho = 0.8 it is five times its own.
        assert!((general.drain_mean_s(1.0) - 0.05).abs() < 1e-15);
        assert!((general.drain_mean_s(300.0) - 300.0 / (100.0 - 80.0)).abs() < 1e-12);
        let constant = Mg1 { service_scv: 0.0, ..general };
        assert!((constant.wait_mean_s() - 0.02).abs() < 1e-15);
        assert!((many.wait_mean_with_variation_s(1.0, 0.0) - 0.02).abs() < 1e-15);
    }

    #[test]
    fn general_arrivals_match_their_special_cases() {
        let poisson = gim1_response_mean_s(0.01, |r| 80.0 / (80.0 + r));
        assert!((poisson - 0.05).abs() < 1e-12, "M/M/1: {poisson}");
        // D/M/1 at 80 %: x = exp(-1.25 (1 - x)) = 0.628_628...
        let even = gim1_response_mean_s(1.0, |r| libm::exp(-1.25 * r));
        let root = 1.0 - 1.0 / even;
        assert!((root - libm::exp(-1.25 * (1.0 - root))).abs() < 1e-12 && even < 3.0, "{even}");
    }

    #[test]
    fn an_overloaded_queue_has_no_mean() {
        let station = Mmc { servers: 4, arrival_rate_per_s: 40.0, service_s: 0.1 };
        assert_eq!(station.wait_probability(), 1.0);
        assert_eq!(station.response_mean_s(), f64::INFINITY);
        assert_eq!(station.response_quantile_s(0.5), f64::INFINITY);
        assert_eq!(station.wait_quantile_s(0.5), f64::INFINITY);
        assert_eq!(
            Mm1 { arrival_rate_per_s: 3.0, service_s: 0.5 }.response_mean_s(),
            f64::INFINITY
        );
    }

    #[test]
    fn the_bounded_queue_lies_between_loss_and_delay() {
        let station = Mmc { servers: 15, arrival_rate_per_s: 140.0, service_s: 0.1 };
        let loss = Mmck { station, capacity: 15 };
        assert!((loss.loss_ratio() / erlang_b(15, 14.0) - 1.0).abs() < 1e-12);
        assert!((loss.response_mean_s() - 0.1).abs() < 1e-12, "no waiting room, no waiting");
        let vast = Mmck { station, capacity: 2_000 };
        assert!(vast.loss_ratio() < 1e-30);
        assert!((vast.response_mean_s() / station.response_mean_s() - 1.0).abs() < 1e-9);
        // M/M/1/2 by hand at rho = 2: probabilities 1/7, 2/7, 4/7.
        let small = Mmc { servers: 1, arrival_rate_per_s: 2.0, service_s: 1.0 };
        let small = Mmck { station: small, capacity: 2 };
        assert!((small.loss_ratio() - 4.0 / 7.0).abs() < 1e-15);
        assert!((small.number_mean() - 10.0 / 7.0).abs() < 1e-15);
    }

    #[test]
    fn impatience_matches_its_anchors() {
        for (load, printed) in [(900.0, 0.0005), (1_000.0, 0.0076), (1_200.0, 0.1667)] {
            let station = Mmc { servers: 20, arrival_rate_per_s: load, service_s: 0.02 };
            let queue = ErlangA { station, patience_s: 10.0 };
            prints(queue.abandonment_ratio(), printed, 1e-4);
        }
        // Patience equal to service makes every state leave at k / S: Poisson, whatever c.
        let station = Mmc { servers: 2, arrival_rate_per_s: 3.0, service_s: 1.0 };
        let poisson = ErlangA { station, patience_s: 1.0 };
        let tail = |k: f64| libm::exp(k * libm::log(3.0) - 3.0 - libm::lgamma(k + 1.0));
        let waiting: f64 = (3..60).map(|k| f64::from(k - 2) * tail(f64::from(k))).sum();
        assert!((poisson.waiting_mean() - waiting).abs() < 1e-12);
    }

    #[test]
    fn priorities_obey_the_conservation_law() {
        let utilisations = [0.2, 0.3, 0.4];
        let waits = cobham_waits_s(0.009, &utilisations);
        // sum rho_k W_k = rho W_fcfs (Kleinrock 1965).
        let weighted: f64 = utilisations.iter().zip(&waits).map(|(rho, wait)| rho * wait).sum();
        assert!((weighted - 0.9 * 0.009 / 0.1).abs() < 1e-15);
        assert!((waits[0] - 0.009 / 0.8).abs() < 1e-15 && waits[0] < waits[1]);
        let over = cobham_waits_s(0.009, &[0.5, 0.6]);
        assert!(over[0].is_finite() && over[1].is_infinite());
    }

    #[test]
    fn a_fork_of_two_takes_three_halves_when_idle() {
        let at =
            |arrival_rate_per_s| fork_join_pair_mean_s(Mm1 { arrival_rate_per_s, service_s: 1.0 });
        assert_eq!(at(0.0), 1.5);
        assert!((at(0.8) - 11.2 / 8.0 * 5.0).abs() < 1e-12);
    }

    #[test]
    fn first_passage_matches_its_table() {
        // Until 17 of 20 are open; seconds by hold and erlangs, with the unit of the last digit.
        let loads = [4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0];
        let units_fine = [1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.1];
        let units_coarse = [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1];
        for (hold_s, times, units) in [
            (0.01, [894.0, 60.0, 8.2, 1.9, 0.6, 0.1, 0.1], units_fine),
            (0.02, [1_788.0, 120.0, 16.5, 3.7, 1.2, 0.3, 0.1], units_fine),
            (0.05, [4_471.0, 301.0, 41.0, 9.3, 3.0, 0.7, 0.3], units_coarse),
            (0.10, [8_942.0, 602.0, 82.0, 18.6, 6.1, 1.4, 0.6], units_coarse),
        ] {
            for ((load, time), unit) in loads.into_iter().zip(times).zip(units) {
                let arrival_rate_per_s = load / hold_s;
                let pool = Mmc { servers: 20, arrival_rate_per_s, service_s: hold_s };
                prints(first_passage_connections_s(pool, 17), time, unit);
            }
        }
    }
}
