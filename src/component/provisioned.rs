//! How much of what a function keeps ready is in use, minute by minute (AWS Lambda Developer Guide,
//! "Configuring provisioned concurrency": ProvisionedConcurrencyUtilization).
//!
//! Lambda knows it when requests come, and shows nothing of a minute without any. Application Auto Scaling
//! tracks the mean of a minute, or the maximum if a policy asks for that.

use crate::units::Time;

/// Environments that are kept ready, and those of them that have a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    busy: u32,
    all: u32,
    since: Time,
    /// Areas under both since the last look.
    areas: (u128, u128),
    peak: f64,
    came: bool,
}

impl Usage {
    /// Of so many that are idle.
    pub fn new(all: u32) -> Usage {
        Usage { all, ..Usage::default() }
    }
    /// How many are kept ready.
    pub fn all(&self) -> u32 {
        self.all
    }
    /// So many more have a request, or fewer; so many more are kept ready, or fewer.
    pub fn change(&mut self, now: Time, busy: i32, all: i32) {
        self.pass(now);
        self.busy = self.busy.checked_add_signed(busy).expect("who ends has begun");
        self.all = self.all.checked_add_signed(all).expect("who goes was there");
        self.came |= busy > 0;
        self.peak = self.peak.max(self.share());
    }
    /// The mean and the greatest share that was in use since the last look; [`None`] if nobody has come and
    /// none was at work.
    pub fn look(&mut self, now: Time) -> Option<(f64, f64)> {
        self.pass(now);
        let (busy, all) = std::mem::take(&mut self.areas);
        let known = self.came || busy > 0;
        let share = self.share();
        let peak = std::mem::replace(&mut self.peak, share);
        self.came = false;
        (known && all > 0).then(|| (busy as f64 / all as f64, peak))
    }
    fn share(&self) -> f64 {
        if self.all > 0 { f64::from(self.busy) / f64::from(self.all) } else { 0.0 }
    }
    fn pass(&mut self, now: Time) {
        let ticks = u128::from(now.since(self.since).0);
        self.areas.0 += ticks * u128::from(self.busy);
        self.areas.1 += ticks * u128::from(self.all);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Duration;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::secs(seconds)
    }

    #[test]
    fn a_minute_has_a_mean_and_a_greatest_share_unless_nobody_comes() {
        let mut usage = Usage::new(4);
        usage.change(at(10), 1, 0);
        usage.change(at(20), 2, 0);
        usage.change(at(25), -2, 0);
        // One from 10 to 60 s, two more for 5 s: 60 of 240.
        assert_eq!(usage.look(at(60)), Some((0.25, 0.75)));
        // One is at work all the time, of four and then of two.
        usage.change(at(90), 0, -2);
        assert_eq!(usage.look(at(120)), Some((60.0 / 180.0, 0.5)));
        usage.change(at(120), -1, 0);
        assert_eq!(usage.look(at(180)), None, "nobody comes, and none is at work");
        assert_eq!(usage.all(), 2);
    }
}
