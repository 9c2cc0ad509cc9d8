//! How many pods should run: the Horizontal Pod Autoscaler of Kubernetes.
//!
//! Every 15 s it asks for `ceil(pods x metric / target)`, and does nothing within a tolerance of the
//! target (10 %). Pods that are not ready have no usage: when there would
//! be more pods they count as idle, which damps the growth; when there would be fewer they are left
//! out (`replica_calculator.go`, `GetResourceReplicas`). Pods whose metrics are missing, since their container
//! is down, count as idle in the one case, and in the other as using all that they request. For CPU a pod that has just become ready is not
//! either, until a whole sample was taken since (`groupPods`). Usage is a share of what pods *request*,
//! not of what they may take, in whole per cent. Of several metrics the one that wants the most decides.
//!
//! `behavior` (`autoscaling/v2`) bounds both directions. A count within the least that was asked for in
//! the window for growing (0 s) and the most in that for shrinking (300 s) stays, others go to the
//! nearer of the two; and within each policy's period only so many pods come or go (`horizontal.go`,
//! `stabilizeRecommendationWithBehaviors`, `convertDesiredReplicasWithBehaviorRate`). How many there are at
//! the first look counts as asked for then: nothing shrinks in the first window (`recordInitialRecommendation`).

use crate::units::{Duration, Time};
use std::collections::VecDeque;

/// A wanted count this little above a whole number is rounding, not demand.
const WHOLE: f64 = 1e-9;

/// By how many pods a policy lets a count change within its period.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Change {
    /// A share of those at the beginning.
    Share(f64),
    /// A number.
    Pods(u32),
}

/// One of `policies`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pace {
    /// By how many.
    pub change: Change,
    /// Within which time (`periodSeconds`).
    pub period: Duration,
}

/// Which of several policies counts (`selectPolicy`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Select {
    /// The one that changes most.
    Max,
    /// The one that changes least.
    Min,
    /// Nothing changes.
    Disabled,
}

/// One direction of `behavior`.
#[derive(Clone, PartialEq, Debug)]
pub struct Direction {
    /// `stabilizationWindowSeconds`.
    pub stabilisation: Duration,
    /// Closer than this to the target nothing is done.
    pub tolerance: f64,
    /// By how many pods at most.
    pub paces: Vec<Pace>,
    /// Which of them counts.
    pub select: Select,
}

impl Direction {
    /// What growing (`true`) or shrinking comes to by the `counts` of all policies.
    fn bound(&self, now: u32, counts: impl Iterator<Item = f64>, grows: bool) -> u32 {
        let bound = match (self.select, grows) {
            (Select::Disabled, _) => None,
            (Select::Max, true) | (Select::Min, false) => counts.reduce(f64::max),
            (Select::Min, true) | (Select::Max, false) => counts.reduce(f64::min),
        };
        bound.map_or(now, |bound| bound.max(0.0) as u32)
    }
}

/// The options of an autoscaler.
#[derive(Clone, PartialEq, Debug)]
pub struct HpaPolicy {
    /// The fewest pods.
    pub min: u32,
    /// The most pods.
    pub max: u32,
    /// `scaleUp`.
    pub up: Direction,
    /// `scaleDown`.
    pub down: Direction,
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
    /// Of how many others there is no metric.
    pub missing: u32,
    /// What each of these is taken to use before there are to be fewer pods.
    pub assumed: f64,
}

/// The autoscaler of one deployment at work.
pub struct Hpa {
    policy: HpaPolicy,
    desired: u32,
    /// It has looked before.
    begun: bool,
    /// What was asked for, and when, within the longer stabilisation window: at first what there was.
    asked: VecDeque<(Time, u32)>,
    /// By how many pods the count changed, and when, within the longest period.
    changed: VecDeque<(Time, i64)>,
}

impl Hpa {
    /// For a deployment with so many pods.
    pub fn new(policy: HpaPolicy, desired: u32) -> Hpa {
        Hpa { policy, desired, begun: false, asked: VecDeque::new(), changed: VecDeque::new() }
    }

    /// A look at the pods, by each metric and its own target. Says how many there should be: the most
    /// that any of them wants; one that is not known wants what there is (`computeReplicasForMetrics`).
    pub fn observe(&mut self, now: Time, metrics: &[Pods]) -> u32 {
        let wanted = metrics.iter().map(|pods| self.wanted(*pods)).max();
        let asked = wanted.unwrap_or(self.desired).clamp(self.policy.min, self.policy.max);
        let next = match self.stabilised(now, asked) {
            next if next > self.desired => next.min(self.most(now)),
            next => next.max(self.fewest(now).max(self.policy.min).min(self.desired)),
        };
        if next != self.desired {
            self.changed.push_back((now, i64::from(next) - i64::from(self.desired)));
        }
        self.desired = next;
        next
    }

    /// What is left of a count that is asked for by those asked for lately.
    fn stabilised(&mut self, now: Time, asked: u32) -> u32 {
        let (up, down) = (self.policy.up.stabilisation, self.policy.down.stabilisation);
        if !std::mem::replace(&mut self.begun, true) {
            self.asked.push_back((now, self.desired));
        }
        while let Some((at, _)) = self.asked.front()
            && now.since(*at) >= up.max(down)
        {
            self.asked.pop_front();
        }
        self.asked.push_back((now, asked));
        let within = |window: Duration| {
            let recent = self.asked.iter().filter(move |(at, _)| now.since(*at) < window);
            recent.map(|(_, asked)| *asked)
        };
        let least = within(up).fold(asked, u32::min);
        let most = within(down).fold(asked, u32::max);
        self.desired.max(least).min(most)
    }

    /// The deployment could only reach so many.
    pub fn settle(&mut self, desired: u32) {
        self.desired = desired;
    }

    /// How many pods there were before the changes of a period.
    fn before(&self, now: Time, period: Duration) -> f64 {
        let recent = self.changed.iter().filter(|(at, _)| now.since(*at) < period);
        f64::from(self.desired) - recent.map(|(_, change)| *change as f64).sum::<f64>()
    }

    /// The most pods that there may be now.
    fn most(&mut self, now: Time) -> u32 {
        self.forget_changes(now);
        let up = &self.policy.up;
        let counts = up.paces.iter().map(|pace| {
            let before = self.before(now, pace.period);
            match pace.change {
                Change::Share(share) => (before * (1.0 + share)).ceil(),
                Change::Pods(pods) => before + f64::from(pods),
            }
        });
        up.bound(self.desired, counts, true).max(self.desired)
    }

    /// The fewest pods that there may be now.
    fn fewest(&mut self, now: Time) -> u32 {
        self.forget_changes(now);
        let down = &self.policy.down;
        let counts = down.paces.iter().map(|pace| {
            let before = self.before(now, pace.period);
            match pace.change {
                Change::Share(share) => (before * (1.0 - share)).floor(),
                Change::Pods(pods) => before - f64::from(pods),
            }
        });
        down.bound(self.desired, counts, false)
    }

    fn forget_changes(&mut self, now: Time) {
        let paces = self.policy.up.paces.iter().chain(&self.policy.down.paces);
        let longest = paces.map(|pace| pace.period).max().unwrap_or_default();
        while let Some((at, _)) = self.changed.front()
            && now.since(*at) >= longest
        {
            self.changed.pop_front();
        }
    }

    fn wanted(&self, pods: Pods) -> u32 {
        if pods.ready == 0 {
            return self.desired; // no metrics: "unable to get metrics"
        }
        let ratio = pods.metric / pods.target;
        let (up, down) = (self.policy.up.tolerance, self.policy.down.tolerance);
        let near = |ratio: f64| ratio - 1.0 <= up && 1.0 - ratio <= down;
        let times =
            |ratio: f64, pods: u32| (ratio * f64::from(pods) - WHOLE).ceil().max(0.0) as u32;
        let grows_with_unready = pods.unready > 0 && ratio > 1.0;
        if !grows_with_unready && pods.missing == 0 {
            return if near(ratio) { self.desired } else { times(ratio, pods.ready) };
        }
        let (mut used, mut all) = (ratio * f64::from(pods.ready), pods.ready);
        if ratio < 1.0 {
            used += pods.assumed / pods.target * f64::from(pods.missing);
        }
        if ratio != 1.0 {
            all += pods.missing;
        }
        if grows_with_unready {
            all += pods.unready;
        }
        let damped = used / f64::from(all);
        let wanted = times(damped, all);
        let turns = (ratio < 1.0 && damped > 1.0) || (ratio > 1.0 && damped < 1.0);
        let against =
            (damped < 1.0 && wanted > self.desired) || (damped > 1.0 && wanted < self.desired);
        if near(damped) || turns || against { self.desired } else { wanted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(stabilisation: u64, paces: &[(Change, u64)]) -> Direction {
        let pace = |(change, period): &(Change, u64)| Pace {
            change: *change,
            period: Duration::secs(*period),
        };
        Direction {
            stabilisation: Duration::secs(stabilisation),
            tolerance: 0.1,
            paces: paces.iter().map(pace).collect(),
            select: Select::Max,
        }
    }
    fn hpa(desired: u32) -> Hpa {
        Hpa::new(usual(), desired)
    }
    fn usual() -> HpaPolicy {
        HpaPolicy {
            min: 1,
            max: 100,
            up: direction(0, &[(Change::Share(1.0), 15), (Change::Pods(4), 15)]),
            down: direction(300, &[(Change::Share(1.0), 15)]),
            initialisation: Duration::secs(300),
            sample: Duration::secs(15),
        }
    }
    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::secs(seconds)
    }
    fn pods(metric: f64, ready: u32, unready: u32) -> Pods {
        Pods { metric, target: 0.5, ready, unready, missing: 0, assumed: 1.0 }
    }

    /// One that shrinks at once.
    fn quick(desired: u32) -> Hpa {
        let mut policy = usual();
        policy.down.stabilisation = Duration::ZERO;
        Hpa::new(policy, desired)
    }

    #[test]
    fn the_formula_with_its_tolerance() {
        // The manual's own: 200m against 100m doubles, 50m halves.
        assert_eq!(hpa(4).observe(at(0), &[pods(1.0, 4, 0)]), 8);
        assert_eq!(quick(4).observe(at(0), &[pods(0.25, 4, 0)]), 2);
        assert_eq!(hpa(4).observe(at(0), &[pods(0.54, 4, 0)]), 4);
        assert_eq!(hpa(4).observe(at(0), &[pods(0.56, 4, 0)]), 5);
        assert_eq!(quick(4).observe(at(0), &[pods(0.449, 4, 0)]), 4, "ceil(3.6)");
    }

    #[test]
    fn growth_is_limited_to_twice_or_four_more_in_a_period() {
        let mut one = hpa(1);
        let grown: Vec<u32> =
            (0..4).map(|look| one.observe(at(15 * look), &[pods(50.0, 1, 0)])).collect();
        assert_eq!(grown, [5, 10, 20, 40]);
        let mut four = hpa(4);
        assert_eq!(four.observe(at(0), &[pods(5.0, 4, 0)]), 8);
        assert_eq!(four.observe(at(5), &[pods(5.0, 8, 0)]), 8, "four were added 5 s ago");
        assert_eq!(four.observe(at(15), &[pods(5.0, 8, 0)]), 16);
    }

    #[test]
    fn pods_go_only_when_none_has_been_wanted_for_five_minutes() {
        let mut hpa = hpa(10);
        let trace: Vec<u32> =
            (0..24).map(|look| hpa.observe(at(15 * look), &[pods(0.1, 10, 0)])).collect();
        // ceil(10 x 0.2) = 2 once the first look, which has found 10, is 300 s old.
        assert_eq!(trace[..20], [10; 20]);
        assert_eq!(trace[20], 2);
    }

    /// Looks every 15 s at so many per cent of the target's load, of the pods that there are.
    fn looks(policy: HpaPolicy, desired: u32, loads: &[f64]) -> Vec<u32> {
        let mut hpa = Hpa::new(policy, desired);
        let mut now = desired;
        let mut look = |(place, load): (u64, &f64)| {
            now = hpa.observe(at(15 * place), &[pods(0.5 * load, now, 0)]);
            now
        };
        (0..).zip(loads).map(&mut look).collect()
    }

    #[test]
    fn policies_bound_what_goes_within_their_periods() {
        // The manual's own: 10 % or 4 pods a minute, of 80 pods that ask for 10: eight go with the first.
        let mut policy = usual();
        policy.down = direction(0, &[(Change::Pods(4), 60), (Change::Share(0.1), 60)]);
        let idle = [0.1; 5];
        assert_eq!(looks(policy.clone(), 80, &idle), [72, 72, 72, 72, 64], "72 x 0.9 is 64.8");
        policy.down.select = Select::Min;
        assert_eq!(looks(policy.clone(), 80, &idle), [76, 76, 76, 76, 72]);
        policy.down.select = Select::Disabled;
        assert_eq!(looks(policy, 80, &idle), [80; 5]);
    }

    #[test]
    fn policies_bound_what_comes_within_their_periods() {
        let busy = [9.0; 5];
        let mut policy = usual();
        policy.up = direction(0, &[(Change::Pods(2), 30)]);
        assert_eq!(looks(policy.clone(), 4, &busy), [6, 6, 8, 8, 10]);
        policy.up = direction(0, &[(Change::Pods(2), 15), (Change::Share(0.1), 15)]);
        policy.up.select = Select::Min;
        assert_eq!(looks(policy.clone(), 4, &busy), [5, 6, 7, 8, 9], "ceil(4 x 1.1), and so on");
        policy.up.select = Select::Disabled;
        assert_eq!(looks(policy, 4, &busy), [4; 5]);
    }

    #[test]
    fn growth_waits_for_the_least_of_its_window() {
        let mut policy = usual();
        policy.up.stabilisation = Duration::secs(60);
        assert_eq!(looks(policy, 4, &[1.0, 2.0, 2.0, 2.0, 2.0, 2.0]), [4, 4, 4, 4, 8, 8]);
    }

    #[test]
    fn each_direction_has_its_tolerance() {
        let mut policy = usual();
        (policy.up.tolerance, policy.down.tolerance) = (0.0, 0.3);
        policy.down.stabilisation = Duration::ZERO;
        assert_eq!(looks(policy.clone(), 10, &[1.05]), [11]);
        assert_eq!(looks(policy, 10, &[0.75, 0.65]), [10, 7]);
    }

    #[test]
    fn of_several_metrics_the_largest_counts() {
        let all = [pods(0.25, 4, 0), pods(1.0, 4, 0), pods(0.5, 4, 0)];
        assert_eq!(hpa(4).observe(at(0), &all), 8);
        assert_eq!(quick(4).observe(at(0), &all[..1]), 2);
        assert_eq!(
            hpa(4).observe(at(0), &[pods(0.0, 0, 4), pods(0.25, 4, 0)]),
            4,
            "one is missing"
        );
        // Each has a target of its own: 30 jobs a pod of 10 want three times as many.
        let jobs = Pods { metric: 30.0, target: 10.0, ..pods(0.0, 4, 0) };
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
        assert_eq!(quick(8).observe(at(0), &[pods(0.2, 4, 4)]), 2);
    }

    #[test]
    fn pods_without_metrics_count_for_what_there_is_already() {
        let pods = |metric, ready, missing| Pods { missing, ..pods(metric, ready, 0) };
        // Fewer: six at 20 % of a target of 50 % would be ceil(6 x 0.4) = 3. With two of eight missing at 100 %
        // each they use (6 x 0.2 + 2) / 8 = 40 %, and 8 x 0.8 are 7.
        assert_eq!(quick(8).observe(at(0), &[pods(0.2, 6, 0)]), 3);
        assert_eq!(quick(8).observe(at(0), &[pods(0.2, 6, 2)]), 7);
        // With four of eight they would use (4 x 0.2 + 4) / 8 = 60 %: that would turn it round, and nothing is done.
        assert_eq!(quick(8).observe(at(0), &[pods(0.2, 4, 4)]), 8);
        // More: six at 90 % would be 11. With two that are idle, ceil(8 x 0.675 / 0.5) = 11 as well; at 60 % there
        // are 45 % then, which would turn it round.
        assert_eq!(hpa(8).observe(at(0), &[pods(0.9, 6, 2)]), 11);
        assert_eq!(hpa(8).observe(at(0), &[pods(0.6, 6, 2)]), 8);
        // Within the tolerance of those that are known it is what it is, with the others beside them.
        assert_eq!(quick(8).observe(at(0), &[pods(0.5, 6, 2)]), 8);
        // A target above what is requested is taken for what the missing ones use.
        let high = Pods { target: 1.5, assumed: 1.5, ..pods(0.6, 6, 2) };
        assert_eq!(quick(8).observe(at(0), &[high]), 5, "ceil(6 x 0.4 + 2)");
    }
}
