//! How many tasks should run: step scaling of Application Auto Scaling, by alarms of one's own.
//!
//! Each step has a bound; when the metric has been beyond it for `points` data points in a row, the
//! step of the farthest bound that is passed changes the number of tasks. After a change nothing is
//! added again within the cooldown, unless a higher step asks for more than the last one did.

use crate::units::{Duration, Time};

/// A step: beyond that value, so many more (or fewer).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Step {
    /// The bound, in the metric's unit.
    pub beyond: f64,
    /// Tasks added or removed.
    pub change: u32,
}

/// The options of a policy.
#[derive(Clone, PartialEq, Debug)]
pub struct StepPolicy {
    /// Data points in a row that raise an alarm.
    pub points: u32,
    /// Steps upwards, by rising bound.
    pub out: Vec<Step>,
    /// Steps downwards, by falling bound.
    pub back: Vec<Step>,
    /// After a change.
    pub cooldown: Duration,
    /// The fewest tasks.
    pub min: u32,
    /// The most tasks.
    pub max: u32,
}

/// The policy of one service at work.
pub struct StepScaler {
    policy: StepPolicy,
    desired: u32,
    high: u32,
    low: u32,
    /// What the last change added, while it cools down.
    added: u32,
    cool_until: Time,
}

impl StepScaler {
    /// For a service that has so many tasks.
    pub fn new(policy: StepPolicy, desired: u32) -> StepScaler {
        StepScaler { policy, desired, high: 0, low: 0, added: 0, cool_until: Time::ZERO }
    }

    /// A data point. Says how many tasks there should be.
    pub fn observe(&mut self, now: Time, metric: f64) -> u32 {
        let up = self.policy.out.iter().rev().find(|step| metric > step.beyond).copied();
        let down = self.policy.back.iter().rev().find(|step| metric < step.beyond).copied();
        self.high = if up.is_some() { self.high + 1 } else { 0 };
        self.low = if down.is_some() { self.low + 1 } else { 0 };
        let cooling = now < self.cool_until;
        if let Some(step) = up.filter(|_| self.high >= self.policy.points) {
            let more = if cooling { step.change.saturating_sub(self.added) } else { step.change };
            let next = (self.desired + more).min(self.policy.max);
            if next > self.desired {
                self.added = if cooling { self.added + more } else { more };
                self.change(now, next);
            }
        } else if let Some(step) = down.filter(|_| self.low >= self.policy.points && !cooling) {
            let next = self.desired.saturating_sub(step.change).max(self.policy.min);
            if next < self.desired {
                self.added = 0;
                self.change(now, next);
            }
        }
        self.desired
    }

    fn change(&mut self, now: Time, next: u32) {
        self.desired = next;
        self.cool_until = now + self.policy.cooldown;
    }

    /// The service could only reach so many. A removal that was suspended has no cooldown.
    pub fn settle(&mut self, desired: u32) {
        if desired > self.desired {
            self.cool_until = Time::ZERO;
        }
        self.desired = desired;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(metrics: &[f64]) -> Vec<u32> {
        let step = |beyond, change| Step { beyond, change };
        let mut scaler = StepScaler::new(
            StepPolicy {
                points: 2,
                out: vec![step(0.6, 1), step(0.8, 3)],
                back: vec![step(0.3, 1)],
                cooldown: Duration::secs(180),
                min: 2,
                max: 10,
            },
            2,
        );
        let look = |(minute, metric): (usize, &f64)| {
            scaler.observe(Time::ZERO + Duration::secs(60 * minute as u64), *metric)
        };
        metrics.iter().enumerate().map(look).collect()
    }

    #[test]
    fn the_farthest_step_that_is_passed_counts() {
        assert_eq!(trace(&[0.7, 0.7]), [2, 3]);
        assert_eq!(trace(&[0.9, 0.9]), [2, 5]);
        assert_eq!(trace(&[0.9, 0.5, 0.9]), [2, 2, 2], "two in a row");
    }

    #[test]
    fn within_the_cooldown_only_a_higher_step_adds_what_it_adds_more() {
        assert_eq!(trace(&[0.7, 0.7, 0.7, 0.9, 0.9]), [2, 3, 3, 5, 5]);
        assert_eq!(trace(&[0.7, 0.7, 0.7, 0.7, 0.7]), [2, 3, 3, 3, 4], "three minutes later");
        assert_eq!(trace(&[0.7, 0.7, 0.1, 0.1, 0.1, 0.1]), [2, 3, 3, 3, 2, 2]);
    }
}
