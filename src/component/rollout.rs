//! How many new instances a rolling deploy starts, and how many old ones it stops.
//!
//! The rule of the Kubernetes deployment controller (1.31, pkg/controller/deployment/rolling.go):
//! `reconcileNewReplicaSet` starts as many as fit under `desired + maxSurge`;
//! `reconcileOldReplicaSets` stops old pods that are not ready first, then ready ones down to
//! `desired - maxUnavailable`, counting new pods that are not ready against it. Amazon ECS says the
//! same in other words: at least `minimumHealthyPercent` healthy, at most `maximumPercent` pending or
//! running.

/// Bounds of a rolling deploy, in instances.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// Instances that start or run at most.
    pub most: u32,
    /// Ready instances at least.
    pub least: u32,
}

impl Bounds {
    /// Of Amazon ECS: `minimumHealthyPercent` is rounded up, `maximumPercent` down.
    pub fn ecs(wanted: u32, min_healthy: f64, max: f64) -> Bounds {
        let of = |share: f64| f64::from(wanted) * share;
        Bounds { most: (of(max) + 1e-9) as u32, least: ceil(of(min_healthy)) }
    }
    /// Of Kubernetes: `maxSurge` is rounded up, `maxUnavailable` down; if both come to nothing, one may
    /// be unavailable (`ResolveFenceposts`).
    pub fn kubernetes(wanted: u32, max_surge: f64, max_unavailable: f64) -> Bounds {
        let surge = ceil(f64::from(wanted) * max_surge);
        let mut unavailable = (f64::from(wanted) * max_unavailable + 1e-9) as u32;
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        Bounds { most: wanted + surge, least: wanted.saturating_sub(unavailable) }
    }
}

/// Percentages are no exact binary numbers: what is whole but for that stays whole.
fn ceil(value: f64) -> u32 {
    (value - 1e-9).max(0.0).ceil() as u32
}

/// The instances of a service in the middle of a deploy; those told to end are not counted.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Fleet {
    /// How many are wanted.
    pub wanted: u32,
    /// Old ones that take requests.
    pub old_ready: u32,
    /// Old ones that start, or are down.
    pub old_unready: u32,
    /// New ones that take requests.
    pub new_ready: u32,
    /// New ones that start, or are down.
    pub new_unready: u32,
}

/// What to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Orders {
    /// New instances to start.
    pub start: u32,
    /// Old ones to stop that are not ready.
    pub stop_unready: u32,
    /// Old ones to stop that take requests.
    pub stop_ready: u32,
    /// New ones to stop, where fewer are wanted by now.
    pub stop_new: u32,
}

/// What a rolling deploy does with a fleet.
pub fn decide(bounds: Bounds, fleet: Fleet) -> Orders {
    let new = fleet.new_ready + fleet.new_unready;
    let old = fleet.old_ready + fleet.old_unready;
    let start = fleet.wanted.saturating_sub(new).min(bounds.most.saturating_sub(new + old));
    let new_unready = fleet.new_unready + start;
    // Stopping old ones that serve nobody costs nothing, but new ones must not be outrun.
    let spare = (new + start + old).saturating_sub(bounds.least + new_unready);
    let stop_unready = fleet.old_unready.min(spare);
    let ready = fleet.old_ready + fleet.new_ready;
    let stop_ready = fleet.old_ready.min(ready.saturating_sub(bounds.least));
    Orders { start, stop_unready, stop_ready, stop_new: new.saturating_sub(fleet.wanted) }
}

/// From how many failed starts on Amazon ECS' circuit breaker gives a deploy up: half of the tasks that are
/// wanted, at least 3 and at most 200 (Amazon ECS developer guide, deployment circuit breaker).
pub fn failures_allowed(wanted: u32) -> u32 {
    wanted.div_ceil(2).clamp(3, 200)
}

/// Whether the deploy is over.
pub fn is_over(fleet: Fleet) -> bool {
    fleet.old_ready + fleet.old_unready == 0 && fleet.new_ready >= fleet.wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_as_the_products_round_them() {
        let bounds = |most, least| Bounds { most, least };
        assert_eq!(Bounds::kubernetes(4, 0.25, 0.25), bounds(5, 3));
        assert_eq!(Bounds::kubernetes(10, 0.25, 0.25), bounds(13, 8));
        assert_eq!(Bounds::kubernetes(1, 0.25, 0.25), bounds(2, 1));
        assert_eq!(Bounds::kubernetes(3, 0.0, 0.0), bounds(3, 2), "ResolveFenceposts");
        assert_eq!(Bounds::ecs(4, 1.0, 2.0), bounds(8, 4));
        assert_eq!(Bounds::ecs(3, 0.5, 1.5), bounds(4, 2), "up and down");
        assert_eq!(Bounds::ecs(10, 0.7, 1.1), bounds(11, 7), "no dust of binary fractions");
    }

    #[test]
    fn the_circuit_breaker_opens_at_half_within_its_bounds() {
        let allowed = [1, 6, 7, 25, 400, 1_000].map(failures_allowed);
        assert_eq!(allowed, [3, 3, 4, 13, 200, 200]);
    }

    /// Runs a deploy of `wanted` instances to its end; every started instance is ready a step later.
    /// Gives the fewest that were ready, the most there were, and the steps.
    fn rolled(bounds: Bounds, wanted: u32) -> (u32, u32, u32) {
        let mut fleet = Fleet { wanted, old_ready: wanted, ..Fleet::default() };
        let (mut fewest, mut most, mut steps) = (wanted, wanted, 0);
        while !is_over(fleet) {
            let orders = decide(bounds, fleet);
            fleet.old_ready -= orders.stop_ready;
            fleet.new_unready += orders.start;
            fewest = fewest.min(fleet.old_ready + fleet.new_ready);
            most = most.max(fleet.old_ready + fleet.new_ready + fleet.new_unready);
            // Within the step nothing is ready, and the controller looks again.
            let again = decide(bounds, fleet);
            fleet.new_unready += again.start;
            assert_eq!(again.stop_ready, 0, "what may be stopped is stopped at once");
            most = most.max(fleet.old_ready + fleet.new_ready + fleet.new_unready);
            fleet.new_ready += std::mem::take(&mut fleet.new_unready);
            steps += 1;
            assert!(steps < 100, "it comes to an end");
        }
        (fewest, most, steps)
    }

    #[test]
    fn capacity_stays_within_the_bounds() {
        // 4 pods, one more, one fewer: 2 new; then 2 more and 2 old gone; then the last.
        assert_eq!(rolled(Bounds::kubernetes(4, 0.25, 0.25), 4), (3, 5, 3));
        assert_eq!(rolled(Bounds::kubernetes(10, 0.0, 1.0), 10), (0, 10, 1), "all at once");
        assert_eq!(rolled(Bounds::ecs(4, 1.0, 2.0), 4), (4, 8, 2));
        assert_eq!(rolled(Bounds::ecs(4, 0.5, 1.0), 4), (2, 4, 2));
        for wanted in 1..40 {
            for (surge, unavailable) in [(0.25, 0.25), (0.0, 0.1), (1.0, 0.0), (0.3, 0.6)] {
                let bounds = Bounds::kubernetes(wanted, surge, unavailable);
                let (fewest, most, _) = rolled(bounds, wanted);
                assert!(fewest >= bounds.least && most <= bounds.most, "{wanted} {bounds:?}");
            }
        }
    }

    #[test]
    fn what_is_not_ready_is_stopped_first_and_new_ones_are_not_outrun() {
        let bounds = Bounds::kubernetes(4, 0.25, 0.25);
        let fleet = Fleet { wanted: 4, old_ready: 2, old_unready: 2, ..Fleet::default() };
        let orders = decide(bounds, fleet);
        // One more fits at once. Below 3 ready nothing that serves is stopped.
        assert_eq!(orders, Orders { start: 1, stop_unready: 1, ..Orders::default() });
        let fewer = Fleet { wanted: 2, new_ready: 4, ..Fleet::default() };
        assert_eq!(decide(Bounds::kubernetes(2, 0.25, 0.25), fewer).stop_new, 2);
    }
}
