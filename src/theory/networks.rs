//! Networks of stations: closed populations, and open tandems.

use super::birth_death::{expectation, stationary};
use super::stations::Mmc;

/// The machine-repair model: a closed population that thinks and then asks one station.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MachineRepair {
    /// How many users.
    pub users: u32,
    /// Mean think time between a response and the next request (s), of any distribution.
    pub think_s: f64,
    /// How many servers.
    pub servers: u32,
    /// Mean service time (s), exponential.
    pub service_s: f64,
}

impl MachineRepair {
    /// Requests answered per second (1/s).
    ///
    /// # Model
    /// Birth-death on the number at the station: birth rate (N - k) / Z, death rate min(k, c) / S;
    /// `X = E[busy] / S`. Exact for a million users.
    pub fn throughput_per_s(&self) -> f64 {
        let (users, servers) = (self.users as usize, self.servers as usize);
        let probabilities = stationary(|k| {
            if k > users {
                return 0.0;
            }
            let asking = (users - k + 1) as f64 / self.think_s;
            asking * self.service_s / k.min(servers) as f64
        });
        expectation(&probabilities, |k| k.min(f64::from(self.servers))) / self.service_s
    }
    /// Mean response time (s): N / X - Z (the response time law).
    pub fn response_mean_s(&self) -> f64 {
        f64::from(self.users) / self.throughput_per_s() - self.think_s
    }
}

/// A queueing resource that every user's cycle visits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resource {
    /// How many servers.
    pub servers: u32,
    /// Mean service a cycle, all visits together (s).
    pub demand_s: f64,
}

/// A closed product-form network: a population cycles through a delay and several queues.
///
/// # Model
/// Product form holds for first come first served with exponential service, and for processor
/// sharing with any (Baskett, Chandy, Muntz and Palacios 1975).
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedNetwork {
    /// Mean time a cycle spent without queueing: thinking, network delays (s).
    pub think_s: f64,
    /// The queues.
    pub resources: Vec<Resource>,
}

/// The steady state of a [`ClosedNetwork`] with some population.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedSolution {
    /// Cycles per second (1/s).
    pub throughput_per_s: f64,
    /// Mean time a cycle at the queues (s), think time not included.
    pub response_mean_s: f64,
    /// The same for each resource, waiting and service (s).
    pub residence_s: Vec<f64>,
    /// Each resource's mean share of busy servers.
    pub utilisation: Vec<f64>,
}

/// Bounds on a throughput (1/s).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// It is at least this.
    pub low_per_s: f64,
    /// It is at most this.
    pub high_per_s: f64,
}

impl ClosedNetwork {
    /// The exact steady state with `population` users.
    ///
    /// # Model
    /// Buzen's convolution (1973): X(N) = G(N - 1) / G(N), and the distribution at a queue from G
    /// without it. It gives what mean value analysis gives, but adds positive terms only, where the
    /// load-dependent recursion subtracts and fails with many servers; in logarithms, so that no
    /// population overflows. Steps: one for each user at a single server, and their square at
    /// several servers.
    ///
    /// # Panics
    /// If the population is zero, or no resource nor thinking takes any time.
    pub fn solve(&self, population: u32) -> ClosedSolution {
        assert!(population > 0, "a closed network needs users");
        let last = population as usize;
        let all = self.normalisation(last, None);
        assert!(all[last] > f64::NEG_INFINITY, "some part of the cycle takes time");
        let throughput_per_s = libm::exp(all[last - 1] - all[last]);
        let mut residence_s = Vec::new();
        for (index, resource) in self.resources.iter().enumerate() {
            let number: f64 = if resource.servers == 1 {
                // P(at least k here) = D^k G(N - k) / G(N).
                let demand = libm::log(resource.demand_s);
                let reach = |k| libm::exp(k as f64 * demand + all[last - k] - all[last]);
                (1..=last).map(reach).sum()
            } else {
                let (own, others) =
                    (factors(resource, last), self.normalisation(last, Some(index)));
                let exactly = |k| libm::exp(own[k] + others[last - k] - all[last]);
                (1..=last).map(|k| k as f64 * exactly(k)).sum()
            };
            residence_s.push(number / throughput_per_s);
        }
        let busy = |resource: &Resource| {
            throughput_per_s * resource.demand_s / f64::from(resource.servers)
        };
        ClosedSolution {
            throughput_per_s,
            response_mean_s: residence_s.iter().sum(),
            utilisation: self.resources.iter().map(busy).collect(),
            residence_s,
        }
    }

    /// ln G(0..=last), of all resources but the one `without`.
    fn normalisation(&self, last: usize, without: Option<usize>) -> Vec<f64> {
        let think = libm::log(self.think_s);
        let mut constants: Vec<f64> = (0..=last)
            .map(|n| if n == 0 { 0.0 } else { n as f64 * think - libm::lgamma(n as f64 + 1.0) })
            .collect();
        let kept = self.resources.iter().enumerate().filter(|(index, _)| Some(*index) != without);
        for (_, resource) in kept {
            if resource.servers == 1 {
                let demand = libm::log(resource.demand_s);
                for n in 1..=last {
                    constants[n] = add_logarithms(&[constants[n], demand + constants[n - 1]]);
                }
            } else {
                let own = factors(resource, last);
                let mut terms = Vec::new();
                for n in (0..=last).rev() {
                    terms.clear();
                    terms.extend((0..=n).map(|k| own[k] + constants[n - k]));
                    constants[n] = add_logarithms(&terms);
                }
            }
        }
        constants
    }

    fn total_demand_s(&self) -> f64 {
        self.resources.iter().map(|resource| resource.demand_s).sum()
    }

    /// Asymptotic bounds: N / (Z + N D) <= X <= min(N / (Z + D), min_i c_i / D_i) (Denning and
    /// Buzen 1978).
    pub fn asymptotic_bounds(&self, population: u32) -> Bounds {
        let (users, demand) = (f64::from(population), self.total_demand_s());
        let capacity = self
            .resources
            .iter()
            .map(|resource| f64::from(resource.servers) / resource.demand_s)
            .fold(f64::INFINITY, f64::min);
        Bounds {
            low_per_s: users / (self.think_s + users * demand),
            high_per_s: capacity.min(users / (self.think_s + demand)),
        }
    }

    /// Balanced job bounds, tighter; `None` when a resource has several servers, or none takes
    /// time.
    ///
    /// # Model
    /// N / (D + Z + (N-1) D_max / (1 + Z / (N D))) <= X <= min(1 / D_max, N / (D + Z + (N-1) D_avg
    /// / (1 + Z / D))) (Zahorjan, Sevcik, Eager and Galler 1982).
    pub fn balanced_job_bounds(&self, population: u32) -> Option<Bounds> {
        let (users, demand) = (f64::from(population), self.total_demand_s());
        if demand == 0.0 || self.resources.iter().any(|resource| resource.servers != 1) {
            return None;
        }
        let longest = self.resources.iter().map(|resource| resource.demand_s).fold(0.0, f64::max);
        let average = demand / self.resources.len() as f64;
        let with = |queueing_s: f64| users / (demand + self.think_s + (users - 1.0) * queueing_s);
        Some(Bounds {
            low_per_s: with(longest / (1.0 + self.think_s / (users * demand))),
            high_per_s: with(average / (1.0 + self.think_s / demand)).min(1.0 / longest),
        })
    }
}

/// ln of the product-form factor of 0..=last users at a queue: D^k / prod_{j <= k} min(j, c).
fn factors(resource: &Resource, last: usize) -> Vec<f64> {
    let mut factor = 0.0;
    let mut all = vec![factor];
    for k in 1..=last {
        let working = k.min(resource.servers as usize) as f64;
        factor += libm::log(resource.demand_s / working);
        all.push(factor);
    }
    all
}

/// ln of the sum of numbers given by their logarithms.
fn add_logarithms(terms: &[f64]) -> f64 {
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + libm::log(terms.iter().map(|term| libm::exp(term - largest)).sum())
}

/// A station of an open network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenStation {
    /// Mean visits of a request.
    pub visits: f64,
    /// How many servers.
    pub servers: u32,
    /// Mean service time of a visit (s), exponential.
    pub service_s: f64,
}

/// Mean response time (s) of an open network with Poisson arrivals from outside.
///
/// # Model
/// Each station is as if it were M/M/c alone (Jackson 1957): the sum of visits times response
/// times.
pub fn jackson_response_mean_s(arrival_rate_per_s: f64, stations: &[OpenStation]) -> f64 {
    let residence = |station: &OpenStation| {
        let alone = Mmc {
            servers: station.servers,
            arrival_rate_per_s: arrival_rate_per_s * station.visits,
            service_s: station.service_s,
        };
        station.visits * alone.response_mean_s()
    };
    stations.iter().map(residence).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(demand_s: f64) -> Resource {
        Resource { servers: 1, demand_s }
    }

    #[test]
    fn machine_repair_matches_its_anchors() {
        for (users, think_s, throughput, response_ms) in [
            (150, 1.0, 133.7, 121.0),
            (165, 1.0, 143.3, 152.0),
            (200, 1.0, 150.0, 334.0),
            (900, 6.0, 144.9, 209.0),
            (3_000, 20.0, 147.5, 339.0),
        ] {
            let model = MachineRepair { users, think_s, servers: 15, service_s: 0.1 };
            assert!((model.throughput_per_s() - throughput).abs() <= 0.05, "{users}");
            assert!((model.response_mean_s() * 1e3 - response_ms).abs() <= 0.5, "{users}");
            let network =
                ClosedNetwork { think_s, resources: vec![Resource { servers: 15, demand_s: 0.1 }] };
            let solved = network.solve(users);
            assert!((solved.throughput_per_s / model.throughput_per_s() - 1.0).abs() < 1e-9);
            assert!((solved.response_mean_s - model.response_mean_s()).abs() < 1e-8);
        }
    }

    #[test]
    fn a_million_users_are_a_fluid() {
        let model =
            MachineRepair { users: 1_000_000, think_s: 10.0, servers: 500, service_s: 0.01 };
        assert!((model.throughput_per_s() - 50_000.0).abs() < 1e-6, "saturated at c / S");
        assert!((model.response_mean_s() - 10.0).abs() < 1e-6, "N S / c - Z");
        let idle = MachineRepair { users: 1_000_000, think_s: 100.0, ..model };
        assert!((idle.throughput_per_s() / 1e6 * 100.01 - 1.0).abs() < 1e-9, "N / (Z + S)");
        let busy = MachineRepair { users: 3, think_s: 0.0, servers: 2, service_s: 0.5 };
        assert_eq!(busy.throughput_per_s(), 4.0);
    }

    #[test]
    fn convolution_is_mean_value_analysis() {
        let demands = [0.605, 2.1, 1.35];
        let (think_s, population) = (15.0, 60);
        // Reiser and Lavenberg 1980, single servers.
        let mut queues = [0.0; 3];
        let (mut throughput, mut residences) = (0.0, [0.0; 3]);
        for users in 1..=population {
            for station in 0..3 {
                residences[station] = demands[station] * (1.0 + queues[station]);
            }
            throughput = f64::from(users) / (think_s + residences.iter().sum::<f64>());
            queues = residences.map(|residence| throughput * residence);
        }
        let network = ClosedNetwork { think_s, resources: demands.map(single).to_vec() };
        let solved = network.solve(population);
        assert!((solved.throughput_per_s / throughput - 1.0).abs() < 1e-11);
        for (ours, theirs) in solved.residence_s.iter().zip(residences) {
            assert!((ours / theirs - 1.0).abs() < 1e-10);
        }
        assert!((solved.utilisation[1] - throughput * 2.1).abs() < 1e-10);
    }

    #[test]
    fn many_servers_keep_the_response_time_law() {
        let resources = vec![
            Resource { servers: 4, demand_s: 0.03 },
            single(0.004),
            Resource { servers: 20, demand_s: 0.12 },
        ];
        for think_s in [0.0, 1.0] {
            let network = ClosedNetwork { think_s, resources: resources.clone() };
            for population in [1, 5, 300] {
                let solved = network.solve(population);
                let cycle = think_s + solved.response_mean_s;
                let users = solved.throughput_per_s * cycle;
                assert!((users / f64::from(population) - 1.0).abs() < 1e-10);
                let bounds = network.asymptotic_bounds(population);
                let within = bounds.low_per_s * (1.0 - 1e-12)..=bounds.high_per_s * (1.0 + 1e-12);
                assert!(within.contains(&solved.throughput_per_s));
            }
            assert!((network.solve(1).response_mean_s - 0.154).abs() < 1e-12, "alone, no waiting");
            assert_eq!(network.balanced_job_bounds(5), None);
        }
    }

    #[test]
    fn balanced_job_bounds_enclose_and_tighten() {
        let network =
            ClosedNetwork { think_s: 2.0, resources: [0.3, 0.2, 0.25].map(single).to_vec() };
        for population in 1..60 {
            let exact = network.solve(population).throughput_per_s;
            let balanced = network.balanced_job_bounds(population).unwrap();
            let asymptotic = network.asymptotic_bounds(population);
            assert!(balanced.low_per_s <= exact * (1.0 + 1e-12), "{population}");
            assert!(exact <= balanced.high_per_s * (1.0 + 1e-12), "{population}");
            assert!(balanced.low_per_s >= asymptotic.low_per_s * (1.0 - 1e-12));
            assert!(balanced.high_per_s <= asymptotic.high_per_s * (1.0 + 1e-12));
        }
    }

    #[test]
    fn an_open_tandem_is_the_sum_of_its_stations() {
        let stations = [
            OpenStation { visits: 1.0, servers: 1, service_s: 0.005 },
            OpenStation { visits: 2.0, servers: 1, service_s: 0.004 },
        ];
        // 5 ms / 0.5 once, and 4 ms / 0.2 twice.
        assert!((jackson_response_mean_s(100.0, &stations) - 0.05).abs() < 1e-14);
        assert_eq!(jackson_response_mean_s(130.0, &stations), f64::INFINITY);
    }
}
