//! How many connections long use leaves open: the state that a run starts with, worked out instead of
//! waited for.

use super::{Driver, PoolConfig};
use crate::component::pooler::PoolerConfig;
use crate::units::Duration;

/// What long use is.
const LONG: Duration = Duration::secs(24 * 3600);

/// How connections are lent.
#[derive(Clone, Copy, Default, Debug)]
pub struct Lending {
    /// Requests for one a second (1/s).
    pub per_s: f64,
    /// Those that are lent at a time, on average.
    pub held: f64,
}

/// What closes connections, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// At most.
    pub size: u32,
    /// So many are there from the start on.
    pub floor: u32,
    /// So many stay, once they are open.
    pub stay: u32,
    /// For how long a further one stays open unused.
    pub unused: Duration,
}

impl Lending {
    /// This share of it.
    #[must_use]
    pub fn times(self, share: f64) -> Lending {
        Lending { per_s: self.per_s * share, held: self.held * share }
    }

    /// Connections that are open in the long run, if requests come independently (Poisson) and last in is
    /// first out, to the nearest whole one.
    ///
    /// The k-th stays open while the number N of lent ones comes up to k again within the idle timeout T.
    /// N is Poisson with mean a = `held` (M/G/∞); above a it comes up to k at rate λ P(N = k - 1), and of
    /// such a bundle of visits each is the last with probability 1 - a/k (a walk with up-rate a and
    /// down-rate k that does not come back; Aldous 1989, Poisson clumping). Bundles are rare and far
    /// apart, so that the connection is open with probability 1 - exp(-λ T P(N = k - 1) (1 - a/k)). Up to a
    /// all are open.
    pub fn left_open(self, keeping: Keeping) -> u32 {
        let mut ln_exactly = -self.held; // ln P(N = k - 1)
        let mut open = 0.0;
        for k in 1..=keeping.size {
            let level = f64::from(k);
            if level <= self.held {
                open += 1.0;
            } else {
                let unused = if k <= keeping.stay { LONG } else { keeping.unused };
                let bundles = self.per_s * libm::exp(ln_exactly) * (1.0 - self.held / level);
                let one = -libm::expm1(-bundles * unused.seconds());
                if one < 1e-6 {
                    break;
                }
                open += one;
            }
            ln_exactly += libm::log(self.held / level);
        }
        (open.round() as u32).clamp(keeping.floor.min(keeping.size), keeping.size)
    }
}

impl From<&PoolConfig> for Keeping {
    fn from(config: &PoolConfig) -> Keeping {
        let opens = matches!(config.driver, Driver::Asyncpg | Driver::Psycopg);
        Keeping {
            size: config.size,
            floor: if opens { config.min } else { 0 },
            stay: config.min,
            unused: shortest(config.idle_timeout, config.max_lifetime),
        }
    }
}

impl From<&PoolerConfig> for Keeping {
    fn from(config: &PoolerConfig) -> Keeping {
        Keeping {
            size: config.size,
            floor: config.min,
            stay: config.min.max(config.spare),
            unused: shortest(config.idle_timeout, config.max_lifetime),
        }
    }
}

/// A day is long where nothing is ever closed.
fn shortest(idle: Option<Duration>, lifetime: Option<Duration>) -> Duration {
    idle.into_iter().chain(lifetime).fold(LONG, Duration::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(per_s: f64, held: f64, size: u32, unused: Duration) -> u32 {
        Lending { per_s, held }.left_open(Keeping { size, floor: 0, stay: 0, unused })
    }

    #[test]
    fn what_is_used_within_the_timeout_stays_open() {
        // Nobody asks; somebody asks for one once a second, for a moment.
        assert_eq!(left(0.0, 0.0, 10, Duration::secs(10)), 0);
        assert_eq!(left(1.0, 1e-9, 10, Duration::secs(10)), 1);
        // Simulated apart, over 2,000 s: 8.0 to 8.2 open of 50/s x 40 ms with 10 s, 9.3 to 10.4 with 100 s;
        // 23.0 to 23.6 of 500/s x 20 ms, 73.6 to 74.4 of 500/s x 100 ms with 10 s; 356 to 358 of 1,000/s x
        // 300 ms with 30 s.
        assert_eq!(left(50.0, 2.0, 100, Duration::secs(10)), 8);
        assert_eq!(left(50.0, 2.0, 100, Duration::secs(100)), 10);
        assert_eq!(left(500.0, 10.0, 100, Duration::secs(10)), 23);
        assert_eq!(left(500.0, 50.0, 100, Duration::secs(10)), 74);
        assert!((357..=358).contains(&left(1_000.0, 300.0, 1_000, Duration::secs(30))));
        // More is wanted than there is; much more than exp() can say.
        assert_eq!(left(50.0, 20.0, 10, Duration::secs(10)), 10);
        assert_eq!(left(1e5, 2_000.0, 100, Duration::secs(10)), 100);
        assert!(left(100.0, 2_000.0, 5_000, Duration::secs(1)) >= 2_000);
    }
}
