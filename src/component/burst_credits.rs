//! CPU credits of burstable instances (AWS T3 and T4g: EC2 user guide, "CPU credits and baseline
//! utilization for burstable performance instances").
//!
//! An instance earns credits at its baseline all the time and spends them while it computes; one
//! credit is one core for one minute. The balance grows to what a day earns. When it is used up a
//! *standard* instance computes at its baseline; an *unlimited* one goes on at full speed on surplus
//! credits, which later earnings pay back; what they do not is charged.

use crate::units::{Duration, Time};

/// How an instance earns and spends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CreditConfig {
    /// What it earns (thousandths of a core, all the time).
    pub baseline_milli: u64,
    /// The most it keeps, as the time it takes to earn that much: a day.
    pub keeps: Duration,
    /// Share of the most that it starts with, 0 to 1.
    pub start: f64,
    /// It goes on at full speed when it has none left.
    pub unlimited: bool,
}

/// The account of one instance. Balances are in thousandths of a core times ticks: exact.
#[derive(Clone, Copy, Debug)]
pub struct Credits {
    config: CreditConfig,
    balance: i128,
    most: i128,
    at: Time,
}

/// What has become of the account between two looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// Surplus spent (thousandths of a core times ticks).
    pub surplus: u128,
    /// Surplus paid back by earnings.
    pub repaid: u128,
}

impl Credits {
    /// As it is at time zero.
    pub fn new(config: CreditConfig) -> Credits {
        let most = i128::from(config.baseline_milli) * i128::from(config.keeps.0);
        let balance = (most as f64 * config.start) as i128;
        Credits { config, balance, most, at: Time::ZERO }
    }

    /// Brings the account up to date: since the last look so much was busy (thousandths of a core).
    pub fn settle(&mut self, now: Time, busy_milli: u64) -> Settled {
        let net = i128::from(self.config.baseline_milli) - i128::from(busy_milli);
        let wanted = self.balance + net * i128::from(now.since(self.at).0);
        self.at = now;
        let debt = |balance: i128| (-balance).max(0) as u128;
        let before = debt(self.balance);
        let floor = if self.config.unlimited { -self.most } else { 0 };
        self.balance = wanted.clamp(floor, self.most);
        if !self.config.unlimited {
            return Settled::default();
        }
        Settled {
            surplus: debt(wanted).saturating_sub(before),
            repaid: before.saturating_sub(debt(wanted)),
        }
    }

    /// Whether it must keep to its baseline: all is spent, as of the last look.
    pub fn is_exhausted(&self) -> bool {
        !self.config.unlimited && self.balance <= 0
    }

    /// When all will be spent if so much stays busy; `None` if never.
    pub fn exhausted_at(&self, busy_milli: u64) -> Option<Time> {
        let spends = busy_milli.checked_sub(self.config.baseline_milli).filter(|net| *net > 0)?;
        if self.config.unlimited || self.balance <= 0 {
            return None;
        }
        let ticks = (self.balance as u128).div_ceil(u128::from(spends));
        u64::try_from(ticks).ok()?.checked_add(self.at.0).map(Time)
    }

    /// Its baseline (cores).
    pub fn baseline_cores(&self) -> f64 {
        self.config.baseline_milli as f64 / 1000.0
    }

    /// The balance in credits: core minutes, negative when it owes.
    pub fn balance(&self) -> f64 {
        self.balance as f64 / (1000.0 * Duration::secs(60).0 as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t3_medium(start: f64, unlimited: bool) -> Credits {
        let keeps = Duration::secs(86_400);
        Credits::new(CreditConfig { baseline_milli: 400, keeps, start, unlimited })
    }
    fn minutes(count: u64) -> Time {
        Time::ZERO + Duration::secs(60 * count)
    }

    /// AWS's table: t3.medium earns 24 credits an hour and keeps 576.
    #[test]
    fn a_t3_medium_earns_24_an_hour_up_to_576() {
        let mut credits = t3_medium(0.0, false);
        credits.settle(minutes(60), 0);
        assert!((credits.balance() - 24.0).abs() < 1e-9);
        credits.settle(minutes(60 * 40), 0);
        assert!((credits.balance() - 576.0).abs() < 1e-9);
    }

    #[test]
    fn both_cores_at_full_speed_spend_a_full_balance_in_six_hours() {
        // 2 cores spend 120 an hour and earn 24: 576 / 96 = 6 h.
        let credits = t3_medium(1.0, false);
        assert_eq!(credits.exhausted_at(2_000), Some(minutes(360)));
        assert_eq!(credits.exhausted_at(400), None, "the baseline is free");
        let mut credits = credits;
        credits.settle(minutes(359), 2_000);
        assert!(!credits.is_exhausted());
        credits.settle(minutes(360), 2_000);
        assert!(credits.is_exhausted());
    }

    #[test]
    fn unlimited_goes_on_and_owes_and_earnings_pay_back() {
        let mut credits = t3_medium(0.0, true);
        let owed = credits.settle(minutes(60), 2_000);
        assert!(!credits.is_exhausted());
        let hour = 1_600 * u128::from(Duration::secs(3_600).0);
        assert_eq!(owed, Settled { surplus: hour, repaid: 0 });
        let paid = credits.settle(minutes(120), 0);
        assert_eq!(paid, Settled { surplus: 0, repaid: hour / 4 });
    }
}
