//! How many login sessions are alive after a long time, and of what age those are that users hold.
//!
//! Sessions are made at rate r and live for L: r L of them are alive (M/G/∞, Little's law). A user who
//! comes as a Poisson stream at rate λ holds a living one of life T
//!
//! - with probability 1 - exp(-λ T) where each request renews it: it is alive if the last request is
//!   younger than T, and its age is exponential, cut off at T;
//! - where nothing renews it, for T of each cycle E that ends with the first request after T, or with a
//!   request that makes a session anew, which come at rate φ: E = (1 - e^(-φT))/φ + e^(-φT)/λ.

use crate::units::Duration;

/// The users of a session store, and how each of them comes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Holders {
    /// Requests of one user that bring a session (1/s).
    pub rate_per_s: f64,
    /// Those that make a session anew though one is held: logins, visits without a cookie (1/s).
    pub anew_per_s: f64,
    /// Life of a session.
    pub ttl: Duration,
    /// Whether a request renews it: by a save or a touch.
    pub renewed: bool,
}

impl Holders {
    /// The share of users who hold a living session.
    pub fn alive(&self) -> f64 {
        let ttl_s = self.ttl.seconds();
        if self.renewed {
            return -libm::expm1(-self.rate_per_s * ttl_s);
        }
        young_s(self.anew_per_s, ttl_s) / self.cycle_s()
    }

    /// Sessions made by one user that run their life from being made on (1/s); with renewal only those
    /// that are made anew count, as the one that is held goes on.
    pub fn made_per_s(&self) -> f64 {
        if self.renewed { self.anew_per_s } else { 1.0 / self.cycle_s() }
    }

    /// How long the session of one user lives on, whose draw is uniform over 0..1; `None` if the last
    /// one has expired.
    pub fn remaining(&self, unit: f64) -> Option<Duration> {
        let alive = self.alive();
        if unit >= alive {
            return None;
        }
        let (ttl_s, decay) = (self.ttl.seconds(), self.decay());
        let age_s = match decay == 0.0 {
            true => ttl_s * unit / alive,
            false => -libm::log1p(unit / alive * libm::expm1(-decay * ttl_s)) / decay,
        };
        Some(Duration::from_secs_f64((ttl_s - age_s).max(0.0)))
    }

    /// By what rate older sessions are rarer than younger ones: ages are exponential, cut off at the
    /// life, and for zero uniform over it (1/s).
    pub fn decay(&self) -> f64 {
        if self.renewed { self.rate_per_s } else { self.anew_per_s }
    }

    /// Time from one session of a user to the next, where nothing renews them (s).
    fn cycle_s(&self) -> f64 {
        let ttl_s = self.ttl.seconds();
        let expires = libm::exp(-self.anew_per_s * ttl_s);
        young_s(self.anew_per_s, ttl_s) + expires / self.rate_per_s
    }
}

/// Mean of the smaller of a time to live and an exponential time.
fn young_s(rate_per_s: f64, ttl_s: f64) -> f64 {
    if rate_per_s == 0.0 { ttl_s } else { -libm::expm1(-rate_per_s * ttl_s) / rate_per_s }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holders(rate_per_s: f64, anew_per_s: f64, renewed: bool) -> Holders {
        Holders { rate_per_s, anew_per_s, ttl: Duration::secs(10), renewed }
    }

    /// Mean over a fine grid of draws: the share alive, and the mean life left of those (s).
    fn on_a_grid(holders: Holders) -> (f64, f64) {
        let grid = (0..100_000).map(|n| holders.remaining((f64::from(n) + 0.5) / 100_000.0));
        let left: Vec<f64> = grid.flatten().map(Duration::seconds).collect();
        (left.len() as f64 / 100_000.0, left.iter().sum::<f64>() / left.len() as f64)
    }

    #[test]
    fn rare_users_hold_rate_times_life() {
        // 100,000 users of 1/s in all: 10 sessions, whatever renews them; their ages are uniform.
        for renewed in [true, false] {
            let holders = holders(1e-5, 0.0, renewed);
            assert!((holders.alive() * 1e5 - 10.0).abs() < 0.002, "{}", holders.alive() * 1e5);
        }
        let (alive, left) = on_a_grid(holders(0.01, 0.0, false));
        assert!((alive - 1.0 / 11.0).abs() < 1e-4 && (left - 5.0).abs() < 1e-3, "{alive} {left}");
    }

    #[test]
    fn frequent_users_hold_one_each() {
        assert_eq!(holders(50.0, 0.0, true).alive(), 1.0);
        let (alive, left) = on_a_grid(holders(1.0, 0.0, true));
        // The age is exponential of mean 1 s, cut off at 10 s.
        assert!((alive - (1.0 - libm::exp(-10.0))).abs() < 1e-4);
        assert!((left - 9.0).abs() < 0.01, "{left}");
    }

    #[test]
    fn sessions_made_anew_are_young_where_nothing_renews_them() {
        let holders = holders(2.0, 0.5, false);
        let (alive, left) = on_a_grid(holders);
        assert!((alive - holders.alive()).abs() < 1e-4);
        // Age: exponential of rate 0.5, cut off at 10 s, so of mean 2 - 10 e^-5/(1 - e^-5).
        let mean = 2.0 - 10.0 * libm::exp(-5.0) / (1.0 - libm::exp(-5.0));
        assert!((left - (10.0 - mean)).abs() < 0.01, "{left}");
        // Little: what is made, times its life, is at least what is held.
        assert!(holders.made_per_s() * 10.0 > alive);
    }
}
