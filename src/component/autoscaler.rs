//! How many tasks should run: target tracking as Application Auto Scaling does it for ECS services.
//!
//! The policy owns two CloudWatch alarms on one-minute data points: *high*, above the target for 3
//! of 3 minutes, and *low*, below 0.9 of the target for 15 of 15. An alarm acts every minute while
//! it lasts. Both directions ask for `ceil(running x metric / target)` tasks, so that what is
//! removed is rounded down. A load that passes within three minutes is not seen at all. AWS says of
//! scaling in only that it is more gradual; that it goes there in one step is an assumption.
//!
//! Cooldowns (300 s each by default for ECS): after a scale-out, only a larger one may follow, and
//! it is measured from the tasks that ran before the first; nothing is removed. After a scale-in,
//! no further one may follow; a scale-out may at any time, and ends that cooldown.

use crate::units::{Duration, Time};

/// Minutes above the target that raise the high alarm.
const HIGH_POINTS: u32 = 3;
/// Minutes below the low threshold that raise the low alarm.
const LOW_POINTS: u32 = 15;
/// The low threshold as a share of the target, for ECS services; 0.7 for EC2 groups.
const LOW_SHARE: f64 = 0.9;
/// A wanted count this little above a whole number is rounding, not demand.
const WHOLE: f64 = 1e-9;

/// The options of a target-tracking policy.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TargetTracking {
    /// The value to hold the metric at, in the metric's own unit (70 for 70 % CPU).
    pub target: f64,
    /// The fewest tasks.
    pub min: u32,
    /// The most tasks.
    pub max: u32,
    /// The low threshold as a share of the target (0.9).
    pub low_share: f64,
    /// Whether tasks are removed (`DisableScaleIn` is false).
    pub scale_in: bool,
    /// After a scale-out (300 s).
    pub scale_out_cooldown: Duration,
    /// After a scale-in (300 s).
    pub scale_in_cooldown: Duration,
}

impl TargetTracking {
    /// A policy with the default cooldowns.
    pub fn new(target: f64, min: u32, max: u32) -> TargetTracking {
        TargetTracking {
            target,
            min,
            max,
            low_share: LOW_SHARE,
            scale_in: true,
            scale_out_cooldown: Duration::secs(300),
            scale_in_cooldown: Duration::secs(300),
        }
    }
}

/// What a policy decides after a data point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The desired count stays.
    None,
    /// The desired count becomes this.
    To(u32),
}

/// The policy of one service at work.
pub struct Autoscaler {
    policy: TargetTracking,
    desired: u32,
    high_points: u32,
    low_points: u32,
    /// What ran when the scale-out began that is cooling down.
    base: u32,
    out_until: Time,
    in_until: Time,
}

impl Autoscaler {
    /// A policy for a service that has `desired` tasks, with both alarms quiet.
    pub fn new(policy: TargetTracking, desired: u32) -> Autoscaler {
        Autoscaler {
            policy,
            desired,
            high_points: 0,
            low_points: 0,
            base: desired,
            out_until: Time::ZERO,
            in_until: Time::ZERO,
        }
    }

    /// A data point: the average of the metric over the minute that ends at `now`, and the tasks
    /// that run. To be called once a minute.
    pub fn observe(&mut self, now: Time, metric: f64, running: u32) -> Decision {
        let high = metric > self.policy.target;
        let low = metric < self.policy.low_share * self.policy.target;
        self.high_points = if high { self.high_points + 1 } else { 0 };
        self.low_points = if low { self.low_points + 1 } else { 0 };
        if self.high_points >= HIGH_POINTS {
            self.scale_out(now, metric, running)
        } else if self.policy.scale_in && self.low_points >= LOW_POINTS {
            self.scale_in(now, metric, running)
        } else {
            Decision::None
        }
    }

    /// The service could only reach `desired`: its other places are still draining, or nothing may be
    /// removed while a deploy is in progress. The policy goes on from there; a removal that was suspended
    /// has no cooldown.
    pub fn settle(&mut self, desired: u32) {
        if desired > self.desired {
            self.in_until = Time::ZERO;
        }
        self.desired = desired;
    }

    /// How many tasks should run.
    pub fn desired(&self) -> u32 {
        self.desired
    }

    fn scale_out(&mut self, now: Time, metric: f64, running: u32) -> Decision {
        let base = if now < self.out_until { self.base } else { running };
        let wanted = self.wanted(base, metric);
        if wanted <= self.desired {
            return Decision::None;
        }
        self.base = base;
        self.out_until = now + self.policy.scale_out_cooldown;
        self.in_until = now;
        self.desired = wanted;
        Decision::To(wanted)
    }

    fn scale_in(&mut self, now: Time, metric: f64, running: u32) -> Decision {
        let wanted = self.wanted(running, metric);
        if now < self.out_until || now < self.in_until || wanted >= self.desired {
            return Decision::None;
        }
        self.in_until = now + self.policy.scale_in_cooldown;
        self.desired = wanted;
        Decision::To(wanted)
    }

    fn wanted(&self, tasks: u32, metric: f64) -> u32 {
        let exact = f64::from(tasks) * metric / self.policy.target;
        ((exact - WHOLE).ceil() as u32).clamp(self.policy.min, self.policy.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(count: u64) -> Time {
        Time::ZERO + Duration::secs(60 * count)
    }

    /// Feeds one value a minute; tasks start `start_minutes` after they were asked for. Returns
    /// what was decided, by minute.
    fn trace(
        scaler: &mut Autoscaler,
        start_minutes: u64,
        metric: impl Fn(u64, u32) -> f64,
        minutes: u64,
    ) -> Vec<(u64, u32)> {
        let mut decided = Vec::new();
        let mut running = scaler.desired();
        let mut coming: Option<(u64, u32)> = None;
        for now in 1..=minutes {
            if let Some((at, count)) = coming
                && now >= at
            {
                running = count;
                coming = None;
            }
            if let Decision::To(count) = scaler.observe(minute(now), metric(now, running), running)
            {
                decided.push((now, count));
                coming = Some((now + start_minutes, count));
            }
        }
        decided
    }

    #[test]
    fn a_step_is_answered_after_three_minutes() {
        // Work for 8.4 tasks at 70 %, which 4 tasks show as 100 % at most.
        let load = |_, running: u32| (8.4 * 70.0 / f64::from(running)).min(100.0);
        let mut scaler = Autoscaler::new(TargetTracking::new(70.0, 2, 20), 4);
        let decided = trace(&mut scaler, 1, load, 30);
        // 4 x 100/70 -> 6; then nothing larger from the base of 4 until 300 s are over; 6 -> 9.
        assert_eq!(decided, [(3, 6), (8, 9)]);
    }

    #[test]
    fn t44_a_burst_of_two_minutes_is_not_seen() {
        let burst = |now: u64, _| if now.is_multiple_of(3) { 60.0 } else { 500.0 };
        let mut scaler = Autoscaler::new(TargetTracking::new(70.0, 2, 20), 4);
        assert_eq!(trace(&mut scaler, 1, burst, 60), []);
    }

    #[test]
    fn the_target_itself_and_nine_tenths_of_it_are_quiet() {
        for metric in [70.0, 63.0] {
            let mut scaler = Autoscaler::new(TargetTracking::new(70.0, 2, 20), 4);
            assert_eq!(trace(&mut scaler, 1, |_, _| metric, 60), [], "{metric}");
        }
    }

    #[test]
    fn a_larger_scale_out_may_follow_within_the_cooldown() {
        let mut scaler = Autoscaler::new(TargetTracking::new(70.0, 1, 50), 4);
        let metric = |now: u64, _| if now < 5 { 105.0 } else { 140.0 };
        // 4 x 1.5 = 6 at 3; at 5, 4 x 2 = 8 (from 4, although 6 run by then), and no more.
        assert_eq!(trace(&mut scaler, 1, metric, 9), [(3, 6), (5, 8)]);
    }

    #[test]
    fn scale_in_takes_fifteen_minutes_and_then_one_step_a_cooldown() {
        // Work for 3 tasks at 70 %; ten run. What is removed is rounded down.
        let load = |_, running: u32| 3.0 * 70.0 / f64::from(running);
        let mut scaler = Autoscaler::new(TargetTracking::new(70.0, 2, 20), 10);
        assert_eq!(trace(&mut scaler, 1, load, 60), [(15, 3)]);
        // An idle service goes to its minimum, not to zero.
        let mut scaler = Autoscaler::new(TargetTracking::new(70.0, 2, 20), 10);
        assert_eq!(trace(&mut scaler, 1, |_, _| 0.0, 60), [(15, 2)]);
        // 60 of 70: ceil(10 x 6/7) = 9, then every 300 s one less, until ceil(6 x 6/7) is 6.
        let mut scaler = Autoscaler::new(TargetTracking::new(70.0, 2, 20), 10);
        let decided = trace(&mut scaler, 1, |_, _| 60.0, 60);
        assert_eq!(decided, [(15, 9), (20, 8), (25, 7), (30, 6)]);
    }

    #[test]
    fn a_scale_out_ends_the_cooldown_of_a_scale_in_and_blocks_the_next() {
        let mut policy = TargetTracking::new(70.0, 1, 20);
        policy.scale_in_cooldown = Duration::secs(3_600);
        policy.scale_out_cooldown = Duration::secs(20 * 60);
        let mut scaler = Autoscaler::new(policy, 10);
        let metric = |now: u64, _| if (16..19).contains(&now) { 140.0 } else { 35.0 };
        // In at 15 (10 -> 5), out at 18 although its hour has just begun (5 -> 10), and in again
        // when the twenty minutes of the scale-out are over: the hour of the first scale-in is
        // void.
        assert_eq!(trace(&mut scaler, 1, metric, 50), [(15, 5), (18, 10), (38, 5)]);
    }

    #[test]
    fn counts_stay_within_bounds_and_whole_demands_are_not_rounded_up() {
        let mut scaler = Autoscaler::new(TargetTracking::new(0.7, 1, 12), 10);
        assert_eq!(trace(&mut scaler, 1, |_, _| 5.0, 30), [(3, 12)]);
        for tasks in 1..1_000 {
            let scaler = Autoscaler::new(TargetTracking::new(0.7, 1, 10_000), 1);
            assert_eq!(scaler.wanted(tasks, 0.7), tasks);
            assert_eq!(scaler.wanted(tasks, 2.1), 3 * tasks);
        }
    }
}
