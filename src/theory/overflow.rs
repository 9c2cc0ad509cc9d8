//! Pools that keep some connections and open more on demand, such as SQLAlchemy's `QueuePool`.

/// A pool with overflow: Poisson arrivals hold a connection for an exponential time, take an idle one
/// first and open one if none is; beyond all of them they wait. Who gives one back hands it to a
/// waiter, lays it by if fewer than `kept` are idle, and closes it otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverflowPool {
    /// Requests per second (1/s).
    pub arrival_rate_per_s: f64,
    /// Mean time that a connection is held (s).
    pub hold_s: f64,
    /// Idle connections that are kept at most (`pool_size`).
    pub kept: u32,
    /// Connections beyond these at most (`max_overflow`).
    pub overflow: u32,
}

impl OverflowPool {
    /// Connections opened per second (1/s), and as many closed; infinite load opens none.
    ///
    /// # Model
    /// A birth and death chain over who is inside and who is idle. Nobody is idle while somebody
    /// waits, and the queue alone is that of M/M/c: it is a geometric tail of the state in which all
    /// connections are lent.
    pub fn openings_per_s(&self) -> f64 {
        let all = (self.kept + self.overflow) as usize;
        let load = self.arrival_rate_per_s * self.hold_s;
        let utilisation = load / all as f64;
        if utilisation >= 1.0 {
            return 0.0;
        }
        let width = self.kept as usize + 1;
        // The first state is that in which all are lent: every state leads there.
        let place = |inside: usize, idle: usize| (all - inside) * width + idle;
        let mut rates = vec![vec![0.0; (all + 1) * width]; (all + 1) * width];
        for inside in 0..=all {
            for idle in 0..width {
                let here = place(inside, idle);
                if inside < all {
                    rates[here][place(inside + 1, idle.saturating_sub(1))] += load;
                }
                if inside > 0 {
                    let rests = (idle + 1).min(width - 1);
                    rates[here][place(inside - 1, rests)] += inside as f64;
                }
            }
        }
        let chances = stationary(rates);
        let waiting = chances[place(all, 0)] * utilisation / (1.0 - utilisation);
        let opens: f64 = (0..all).map(|inside| chances[place(inside, 0)]).sum();
        self.arrival_rate_per_s * opens / (1.0 + waiting)
    }
}

/// The stationary probabilities of a Markov chain in continuous time, from `rates[from][to]`; from
/// every state the first can be reached.
///
/// # Model
/// States are taken out one by one, and the others take over their ways (Grassmann, Taksar and Heyman,
/// Operations Research 33, 1985): nothing is subtracted, so nothing is lost.
fn stationary(mut rates: Vec<Vec<f64>>) -> Vec<f64> {
    let count = rates.len();
    for last in (1..count).rev() {
        let (rest, gone) = rates.split_at_mut(last);
        let gone = &gone[0];
        let leaves: f64 = gone[..last].iter().sum();
        for (from, row) in rest.iter_mut().enumerate() {
            let share = row[last] / leaves;
            row[last] = share;
            for (to, rate) in row[..last].iter_mut().enumerate().filter(|(to, _)| *to != from) {
                *rate += share * gone[to];
            }
        }
    }
    let mut chances = vec![1.0; count];
    for state in 1..count {
        chances[state] = (0..state).map(|from| chances[from] * rates[from][state]).sum();
    }
    let total: f64 = chances.iter().sum();
    chances.iter_mut().for_each(|chance| *chance /= total);
    chances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_has_its_published_points() {
        let openings = |rate: f64, kept: u32, overflow: u32| {
            let pool = OverflowPool { arrival_rate_per_s: rate, hold_s: 0.1, kept, overflow };
            pool.openings_per_s()
        };
        let points = [
            (10.0, 0.03),
            (20.0, 0.55),
            (30.0, 1.71),
            (40.0, 3.08),
            (50.0, 4.54),
            (75.0, 8.01),
            (100.0, 9.14),
            (120.0, 6.89),
            (140.0, 2.50),
        ];
        for (rate, per_s) in points {
            let found = openings(rate, 5, 10);
            assert!((found - per_s).abs() <= 0.0051, "{rate}/s: {found}");
        }
        let found = openings(300.0, 20, 30);
        assert!((found - 4.04).abs() <= 0.0051, "{found}");
    }

    #[test]
    fn without_kept_connections_everybody_opens_one_who_need_not_wait() {
        // M/M/2 at 50 %: a third waits.
        let pool = OverflowPool { arrival_rate_per_s: 10.0, hold_s: 0.1, kept: 0, overflow: 2 };
        assert!((pool.openings_per_s() - 10.0 * 2.0 / 3.0).abs() < 1e-12);
        // And without overflow nobody does.
        let pool = OverflowPool { overflow: 0, kept: 2, ..pool };
        assert!(pool.openings_per_s() < 1e-9, "{}", pool.openings_per_s());
    }
}
