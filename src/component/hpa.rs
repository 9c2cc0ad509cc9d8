//! How many pods should run: the Horizontal Pod Autoscaler of Kubernetes.
//!
//! Every 15 s it asks for `ceil(pods x metric / target)`, and does nothing within 10 % of the target
//! (`--horizontal-pod-autoscaler-tolerance`). Pods that are not ready have no usage: when there would
//! be more pods they count as idle, which damps the growth; when there would be fewer they are left
//! out (`replica_calculator.go`, `GetResourceReplicas`). For CPU a pod that has just become ready is not
//! either, until a whole sample was taken since (`groupPods`). Usage is a share of what pods *request*,
//! not of what they may take, in whole per cent. Of several metrics the one that wants the most decides.
//!
//! Defaults of `behavior` (`autoscaling/v2`): up at once by at most the larger of 100 % and 4 pods in
//! any 15 s; down only to the most that was asked for within the last 300 s.

use crate::units::{Duration, Time};
use std::collections::VecDeque;

/// Closer than this to the target nothing is done.
const TOLERANCE: f64 = 0.1;
/// A wanted count this little above a whole number is rounding, not demand.
const WHOLE: f64 = 1e-9;

/// The options of an autoscaler.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HpaPolicy {
    /// The fewest pods.
    pub min: u32,
    /// The most pods.
    pub max: u32,
    /// `scaleDown.stabilizationWindowSeconds` (300 s).
    pub stabilisation: Duration,
    /// For how long after its start a pod's readiness is in question (5 min).
    pub initialisation: Duration,
    /// Over how long its usage is measured (15 s).
    pub sample: Duration,
}

/// What the pods show.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pods {
    /// Mean of the metric over pods that are ready.
    pub metric: f64,
    /// The value to hold it at.
    pub target: f64,
    /// How many are.
    pub ready: u32,
    /// How many are not yet.
    pub unready: u32,
}

/// The autoscaler of one deployment at work.
pub struct Hpa {
    policy: HpaPolicy,
    desired: u32,
    /// What was asked for, and when, within the stabilisation window.
    asked: VecDeque<(Time, u32)>,
    /// How many pods there were, and when, within the last period of the scale-up limit.
    grown: VecDeque<(Time, u32)>,
}

impl Hpa {
    /// For a deployment with so many pods.
    pub fn new(policy: HpaPolicy, desired: u32) -> Hpa {
        Hpa { policy, desired, asked: VecDeque::new(), grown: VecDeque::new() }
    }

    /// A look at the pods, by each metric and its own target. Says how many there should be: the most
    /// that any of them wants; one that is not known wants what there is (`computeReplicasForMetrics`).
    pub fn observe(&mut self, now: Time, metrics: &[Pods]) -> u32 {
        let wanted = metrics.iter().map(|pods| self.wanted(*pods)).max();
        let asked = wanted.unwrap_or(self.desired).clamp(self.policy.min, self.policy.max);
        while let Some((at, _)) = self.asked.front()
            && now.since(*at) >= self.policy.stabilisation
        {
            self.asked.pop_front();
        }
        self.asked.push_back((now, asked));
        let most_asked = self.asked.iter().map(|(_, asked)| *asked).max().expect("just pushed");
        let next = if asked > self.desired {
            asked.min(self.limit(now))
        } else {
            most_asked.min(self.desired)
        };
        if next > self.desired {
            self.grown.push_back((now, next - self.desired));
        }
        self.desired = next;
        next
    }

    /// The deployment could only reach so many.
    pub fn settle(&mut self, desired: u32) {
        self.desired = desired;
    }

    /// The most pods that there may be now: twice, or four more than, those of 15 s ago.
    fn limit(&mut self, now: Time) -> u32 {
        while let Some((at, _)) = self.grown.front()
            && now.since(*at) >= Duration::secs(15)
        {
            self.grown.pop_front();
        }
        let added: u32 = self.grown.iter().map(|(_, added)| added).sum();
        let then = self.desired - added.min(self.desired);
        (2 * then).max(then + 4)
    }

    fn wanted(&self, pods: Pods) -> u32 {
        if pods.ready == 0 {
            return self.desired; // no metrics: "unable to get metrics"
        }
        let ratio = pods.metric / pods.target;
        let near = |ratio: f64| (ratio - 1.0).abs() <= TOLERANCE;
        let times =
            |ratio: f64, pods: u32| (ratio * f64::from(pods) - WHOLE).ceil().max(0.0) as u32;
        if pods.unready == 0 || ratio <= 1.0 {
            return if near(ratio) { self.desired } else { times(ratio, pods.ready) };
        }
        let all = pods.ready + pods.unready;
        let damped = ratio * f64::from(pods.ready) / f64::from(all);
        let wanted = times(damped, all);
        if near(damped) || damped < 1.0 || wanted < self.desired {
            return self.desired;
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hpa(desired: u32) -> Hpa {
        let policy = HpaPolicy {
            min: 1,
            max: 100,
            stabilisation: Duration::secs(300),
            initialisation: Duration::secs(300),
            sample: Duration::secs(15),
        };
        Hpa::new(policy, desired)
    }
    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::secs(seconds)
    }
    fn pods(metric: f64, ready: u32, unready: u32) -> Pods {
        Pods { metric, target: 0.5, ready, unready }
    }

    #[test]
    fn the_formula_with_its_tolerance() {
        // The manual's own: 200m against 100m doubles, 50m halves.
        assert_eq!(hpa(4).observe(at(0), &[pods(1.0, 4, 0)]), 8);
        assert_eq!(hpa(4).observe(at(0), &[pods(0.25, 4, 0)]), 2);
        assert_eq!(hpa(4).observe(at(0), &[pods(0.54, 4, 0)]), 4);
        assert_eq!(hpa(4).observe(at(0), &[pods(0.56, 4, 0)]), 5);
        assert_eq!(hpa(4).observe(at(0), &[pods(0.449, 4, 0)]), 4, "ceil(3.6)");
    }

    #[test]
    fn growth_is_limited_to_twice_or_four_more_in_a_period() {
        let mut one = hpa(1);
        let grown: Vec<u32> =
            (0..4).map(|look| one.observe(at(15 * look), &[pods(50.0, 1, 0)])).collect();
        assert_eq!(grown, [5, 10, 20, 40]);
        let mut quick = hpa(4);
        assert_eq!(quick.observe(at(0), &[pods(5.0, 4, 0)]), 8);
        assert_eq!(quick.observe(at(5), &[pods(5.0, 8, 0)]), 8, "four were added 5 s ago");
        assert_eq!(quick.observe(at(15), &[pods(5.0, 8, 0)]), 16);
    }

    #[test]
    fn pods_go_only_when_none_has_been_wanted_for_five_minutes() {
        let mut hpa = hpa(10);
        let trace: Vec<u32> = (0..24)
            .map(|look| {
                hpa.observe(at(15 * look), &[pods(if look == 0 { 0.5 } else { 0.1 }, 10, 0)])
            })
            .collect();
        // ceil(10 x 0.2) = 2 once the first look, which asked for 10, is 300 s old.
        assert_eq!(trace[..20], [10; 20]);
        assert_eq!(trace[20], 2);
    }

    #[test]
    fn of_several_metrics_the_largest_counts() {
        let all = [pods(0.25, 4, 0), pods(1.0, 4, 0), pods(0.5, 4, 0)];
        assert_eq!(hpa(4).observe(at(0), &all), 8);
        assert_eq!(hpa(4).observe(at(0), &all[..1]), 2);
        assert_eq!(
            hpa(4).observe(at(0), &[pods(0.0, 0, 4), pods(0.25, 4, 0)]),
            4,
            "one is missing"
        );
        // Each has a target of its own: 30 jobs a pod of 10 want three times as many.
        let jobs = Pods { metric: 30.0, target: 10.0, ready: 4, unready: 0 };
        assert_eq!(hpa(4).observe(at(0), &[pods(0.75, 4, 0)]), 6);
        assert_eq!(hpa(4).observe(at(0), &[pods(0.75, 4, 0), jobs]), 8, "at most twice");
        let fewer = Pods { metric: 12.0, ..jobs };
        assert_eq!(
            hpa(4).observe(at(0), &[pods(0.75, 4, 0), fewer]),
            6,
            "the one wants 6, the other 5"
        );
    }

    #[test]
    fn t47_pods_that_are_not_ready_count_as_idle() {
        // Four at 90 % of a target of 50 %: eight. With four starting: 4 x 1.8 / 8 = 0.9, near enough.
        assert_eq!(hpa(4).observe(at(0), &[pods(0.9, 4, 0)]), 8);
        assert_eq!(hpa(8).observe(at(0), &[pods(0.9, 4, 4)]), 8);
        // At 200 % they are not enough: ceil(8 x 2) of the eight there are.
        assert_eq!(hpa(8).observe(at(0), &[pods(2.0, 4, 4)]), 16);
        // Those that are not ready are left out of shrinking.
        assert_eq!(hpa(8).observe(at(0), &[pods(0.2, 4, 4)]), 2);
    }
}
