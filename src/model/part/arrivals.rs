//! Open streams of requests, beside their rate.

use crate::model::Trace;
use crate::model::ids::*;
use crate::units::Duration;

/// What an open stream is beside its rate.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// Phases of the rate.
    pub phases: Vec<RatePhase>,
    /// Whether the first is drawn by the share of time of each, and not the first of the list.
    pub stationary: bool,
    /// Users at each arrival.
    pub batch: u32,
    /// A crowd that comes once.
    pub crowd: Option<Crowd>,
    /// The virtual users of a load generator.
    pub vus: Option<Vus>,
    /// What each user does.
    pub session: Option<SessionFlow>,
    /// Recorded arrivals.
    pub trace: Option<Trace>,
}

impl Arrivals {
    /// The greatest multiple of the rate.
    pub fn greatest(&self) -> f64 {
        self.phases.iter().map(|phase| phase.times).reduce(f64::max).unwrap_or(1.0)
    }
    /// Requests for each unit of the rate, on average and without the crowd.
    pub fn requests_each(&self) -> f64 {
        let weighed: f64 = self.phases.iter().map(|phase| phase.times * phase.share).sum();
        let phases = if self.phases.is_empty() { 1.0 } else { weighed };
        let pages = self.session.as_ref().map_or(1.0, |session| session.mean_pages);
        phases * f64::from(self.batch) * pages
    }
}

/// A phase of an open stream.
#[derive(Clone, Debug)]
pub struct RatePhase {
    /// Multiple of the rate.
    pub times: f64,
    /// Mean length.
    pub length: Duration,
    /// The phases that may follow, each with the probability of it or one before.
    pub next: Vec<(f64, u32)>,
    /// The share of time that it takes.
    pub share: f64,
}

/// A crowd that comes once.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// When, from the start of the run.
    pub at: Duration,
    /// How many.
    pub users: u32,
    /// Over which time.
    pub over: Duration,
}

/// The virtual users of a load generator.
#[derive(Clone, Copy, Debug)]
pub struct Vus {
    /// There from the start.
    pub planned: u32,
    /// The most.
    pub most: u32,
}

/// A session: one page after another.
#[derive(Clone, Copy, Debug)]
pub struct SessionFlow {
    /// Pages on average where operations do not say what follows them.
    pub pages: f64,
    /// Pages on average, all told.
    pub mean_pages: f64,
    /// Time between an answer and the next page.
    pub think: LawId,
    /// Failures after which the user leaves.
    pub abandons_after: Option<u32>,
}
