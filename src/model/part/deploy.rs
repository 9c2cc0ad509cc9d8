//! Deploys.

use crate::component::rollout::Bounds;
use crate::model::ids::*;
use crate::units::Duration;

/// A new version of a service.
#[derive(Clone, Debug)]
pub struct Deploy {
    /// Its name.
    pub name: String,
    /// What it does, in words: `service.web deploy`.
    pub label: String,
    /// Whose instances are replaced.
    pub service: ServiceId,
    /// When it begins, from the start of the run.
    pub at: Duration,
    /// How old instances give way.
    pub rollout: Rollout,
    /// From the start of an instance to its first request.
    pub start: Duration,
    /// Whether its processes end as they start.
    pub fails_to_start: bool,
    /// From its beginning until it is rolled back unless it is over.
    pub rollback_after: Option<Duration>,
    /// Whether many failed starts roll it back.
    pub circuit_breaker: bool,
    /// How long a new instance must have been ready to count.
    pub min_ready: Duration,
    /// How an old instance ends.
    pub exit: Exit,
    /// What is emptied at its end.
    pub purges: Vec<Purge>,
}

/// What a deploy empties.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purge {
    /// The edges of a content delivery network.
    Cdn(CdnId),
    /// The servers of a cache.
    Cache(CacheId),
}

/// How old instances give way to new ones.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rollout {
    /// Within the bounds of Amazon ECS: healthy at least, all at most, as shares of those wanted.
    Ecs(f64, f64),
    /// Within those of Kubernetes: more and fewer than wanted at most, as shares.
    Kubernetes(f64, f64),
    /// All at one instant: so long after all new ones are ready; the old ones are kept for so long.
    BlueGreen(Duration, Duration),
}

impl Rollout {
    /// The bounds of a rolling deploy of so many; [`None`] where nothing rolls.
    pub fn bounds(self, wanted: u32) -> Option<Bounds> {
        match self {
            Rollout::Ecs(least, most) => Some(Bounds::ecs(wanted, least, most)),
            Rollout::Kubernetes(more, fewer) => Some(Bounds::kubernetes(wanted, more, fewer)),
            Rollout::BlueGreen(..) => None,
        }
    }
}

/// How an instance ends that is told to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Exit {
    /// Until its balancer has heard; [`None`]: it is told first, and what it has sent may drain.
    pub heard_after: Option<Duration>,
    /// Until its processes are told.
    pub told_after: Duration,
    /// What they do then.
    pub on_sigterm: OnSigterm,
    /// From the beginning until they are killed.
    pub killed_after: Duration,
}

/// What a process does when it is told to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnSigterm {
    /// It takes nothing new, and ends when it has nothing left.
    Finish,
    /// It ends at once.
    Exit,
    /// It goes on.
    Ignore,
}
