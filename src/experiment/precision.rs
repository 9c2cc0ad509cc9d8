//! More replications where the mean latency is least certain, until every mean is precise enough.

use std::cmp::Reverse;

use priority_queue::PriorityQueue;

use super::Job;
use crate::model::Model;
use crate::result::{Estimate, Fold};
use crate::run::{Ended, Outcome};

/// How precise the mean latency of every model must become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// The half-width of the interval over the mean, at most.
    pub relative: f64,
    /// Replications of a model at most.
    pub most: u32,
}

/// Replications in a round. A number of its own, not that of the threads: it decides which
/// replications are run, and those must not depend on the machine.
const ROUND: usize = 8;

impl Precision {
    /// This precision, and at most 200 replications: beyond, a longer run is the better cure.
    pub fn new(relative: f64) -> Precision {
        Precision { relative, most: 200 }
    }

    /// The next replications to run; [`None`] when every model is precise enough or has as many
    /// replications as it may.
    ///
    /// One at a time, they go to the model whose interval is the widest; with n replications planned
    /// instead of m, its width is taken to shrink as the square root of m/n.
    pub(super) fn next_round(
        &self,
        models: &[&Model],
        outcomes: &[Vec<Outcome>],
    ) -> Option<Vec<Job>> {
        let widths: Vec<f64> = models
            .iter()
            .zip(outcomes)
            .map(|(model, outcomes)| relative_width(outcomes, model.plan.confidence))
            .collect();
        let counts: Vec<u32> = outcomes.iter().map(|outcomes| outcomes.len() as u32).collect();
        let jobs = self.allot(&widths, &counts);
        (!jobs.is_empty()).then_some(jobs)
    }

    fn allot(&self, widths: &[f64], counts: &[u32]) -> Vec<Job> {
        let mut queue = PriorityQueue::new();
        for (model, width) in widths.iter().enumerate() {
            if counts[model] < self.most {
                self.push(&mut queue, model, *width);
            }
        }
        let mut planned = counts.to_vec();
        let mut jobs = Vec::with_capacity(ROUND);
        while jobs.len() < ROUND {
            let Some((model, _)) = queue.pop() else { break };
            jobs.push(Job { model, replication: planned[model] });
            planned[model] += 1;
            if planned[model] < self.most {
                let (had, has) = (f64::from(counts[model].max(1)), f64::from(planned[model]));
                self.push(&mut queue, model, widths[model] * (had / has).sqrt());
            }
        }
        jobs
    }

    /// Queues a model that is not precise enough yet; among equals the first model wins.
    fn push(&self, queue: &mut Queue, model: usize, width: f64) {
        if width > self.relative {
            // The bits of floats that are not negative are in the order of the floats.
            queue.push(model, (width.to_bits(), Reverse(model)));
        }
    }
}

type Queue = PriorityQueue<usize, (u64, Reverse<usize>)>;

/// The relative half-width of the mean latency. A model whose replications are cut short, or in
/// which nothing ends well, does not become more precise by more of the same.
fn relative_width(outcomes: &[Outcome], confidence: f64) -> f64 {
    if outcomes.iter().any(|outcome| outcome.ended != Ended::Completed) {
        return 0.0;
    }
    let means: Vec<Option<f64>> = outcomes.iter().map(|outcome| outcome.latency.mean_s()).collect();
    if means.iter().all(Option::is_none) {
        return 0.0;
    }
    Estimate::fold(&means, Fold::Mean, confidence, &[]).relative_half_width()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models_of(jobs: &[Job]) -> Vec<usize> {
        jobs.iter().map(|job| job.model).collect()
    }

    #[test]
    fn the_widest_gets_more_and_the_precise_get_nothing() {
        let precision = Precision { relative: 0.05, most: 100 };
        // 0.2 with 4 falls to 0.2 sqrt(4/5) = 0.179, and below 0.12 with its twelfth.
        let jobs = precision.allot(&[0.12, 0.2, 0.04], &[4, 4, 4]);
        assert_eq!(models_of(&jobs), [1, 1, 1, 1, 1, 1, 1, 1]);
        let jobs = precision.allot(&[0.19, 0.2, 0.04], &[4, 4, 4]);
        assert_eq!(models_of(&jobs), [1, 0, 1, 0, 1, 0, 1, 0]);
        assert_eq!(jobs[2], Job { model: 1, replication: 5 });
    }

    #[test]
    fn one_replication_alone_is_infinitely_wide_and_a_maximum_is_kept() {
        let precision = Precision { relative: 0.05, most: 3 };
        let jobs = precision.allot(&[f64::INFINITY, 0.3], &[1, 2]);
        assert_eq!(models_of(&jobs), [0, 0, 1]);
        assert!(precision.allot(&[0.5, 0.04], &[3, 1]).is_empty());
    }
}
