//! More replications where the mean latency is least certain, until every mean is precise enough.

use std::cmp::Reverse;

use priority_queue::PriorityQueue;

use super::Job;
use super::sweep::more_replications;
use crate::model::Model;
use crate::result::{Estimate, Fold};
use crate::run::{Ended, Outcome};

/// Replications before a precision is judged at all.
///
/// # Model
/// Stopping at what the replications say of their own error stops too early where they happen to agree;
/// with ten to begin with that costs little coverage, with three to five it costs several per cent (Law,
/// *Simulation Modeling and Analysis*, section 9.4.1, and `docs/coverage.md`).
pub const FEWEST: u32 = 10;

/// How many replications were there when a precision was judged for the first time, of those that a plan
/// begins with. The freedom of every interval of such a plan is theirs, however many followed.
pub fn first_look(replications: u32) -> u32 {
    replications.max(FEWEST)
}

/// Replications more for which a precision must hold once it is reached, all of which count.
///
/// # Model
/// An interval that is narrow by luck widens with the next replications (Hoad, Robinson and Davies 2010,
/// who look five ahead).
pub const LOOK_AHEAD: u32 = 5;

/// How wide an interval may be over its own estimate, so that the estimate is within a share of the
/// truth: the truth may be the smaller of the two (Law, the same section).
pub(super) fn allowed(relative: f64) -> f64 {
    relative / (1.0 + relative)
}

/// How many replications there should be, by how wide the interval of the first so many of them is over
/// its estimate; that many, or more as soon as those are known. `width` has nothing to say where more
/// replications make nothing more precise.
pub(super) fn enough(
    from: u32,
    most: u32,
    relative: f64,
    known: u32,
    width: impl Fn(u32) -> Option<f64>,
) -> u32 {
    let target = allowed(relative);
    let mut count = first_look(from).min(most);
    while count < most && count <= known {
        let Some(here) = width(count) else { return count };
        if here > target {
            count = more_replications(count, here / target, most);
            continue;
        }
        let last = (count + LOOK_AHEAD).min(most);
        if last > known {
            return last;
        }
        let wide = |number: &u32| width(*number).is_some_and(|it| it > target);
        match (count + 1..=last).rev().find(wide) {
            Some(failed) => count = failed + 1,
            None => return last,
        }
    }
    count
}

/// How precise the mean latency of every model must become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// How far the mean may be off, as a share of the truth.
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
    /// instead of m, its width is taken to shrink as the square root of m/n. Before there are
    /// [`FEWEST`] and [`LOOK_AHEAD`] more, nothing is known of a width.
    pub(super) fn next_round(
        &self,
        models: &[&Model],
        outcomes: &[Vec<Outcome>],
    ) -> Option<Vec<Job>> {
        let widths: Vec<f64> = models
            .iter()
            .zip(outcomes)
            .map(|(model, outcomes)| relative_width(model, outcomes))
            .collect();
        let counts: Vec<u32> = outcomes.iter().map(|outcomes| outcomes.len() as u32).collect();
        let jobs = self.allot(&widths, &counts);
        (!jobs.is_empty()).then_some(jobs)
    }

    fn allot(&self, widths: &[f64], counts: &[u32]) -> Vec<Job> {
        let mut queue = PriorityQueue::new();
        let known = |model: usize| match counts[model] {
            few if few < FEWEST + LOOK_AHEAD && widths[model] > 0.0 => f64::INFINITY,
            _ => widths[model],
        };
        for (model, count) in counts.iter().enumerate() {
            if *count < self.most {
                self.push(&mut queue, model, known(model));
            }
        }
        let mut planned = counts.to_vec();
        let mut jobs = Vec::with_capacity(ROUND);
        while jobs.len() < ROUND {
            let Some((model, _)) = queue.pop() else { break };
            jobs.push(Job { model, replication: planned[model] });
            planned[model] += 1;
            let first_look = FEWEST + LOOK_AHEAD;
            let is_first_look = counts[model] < first_look && planned[model] >= first_look;
            if planned[model] < self.most && !is_first_look {
                let (had, has) = (f64::from(counts[model].max(1)), f64::from(planned[model]));
                self.push(&mut queue, model, known(model) * (had / has).sqrt());
            }
        }
        jobs
    }

    /// Queues a model that is not precise enough yet; among equals the first model wins.
    fn push(&self, queue: &mut Queue, model: usize, width: f64) {
        if width > allowed(self.relative) {
            // The bits of floats that are not negative are in the order of the floats.
            queue.push(model, (width.to_bits(), Reverse(model)));
        }
    }
}

type Queue = PriorityQueue<usize, (u64, Reverse<usize>)>;

/// The relative half-width of the mean latency, the widest since [`LOOK_AHEAD`] replications. A model
/// whose replications are cut short, or in which nothing ends well, does not become more precise by
/// more of the same.
fn relative_width(model: &Model, outcomes: &[Outcome]) -> f64 {
    if outcomes.iter().any(|outcome| outcome.ended != Ended::Completed) {
        return 0.0;
    }
    let means: Vec<Option<f64>> = outcomes.iter().map(|outcome| outcome.latency.mean_s()).collect();
    if means.iter().all(Option::is_none) {
        return 0.0;
    }
    let (first, confidence) = (first_look(model.plan.replications), model.plan.confidence);
    let width = |count: usize| {
        let found = Estimate::stopped(&means[..count], Fold::Mean, confidence, &[], first);
        found.relative_half_width()
    };
    let first = means.len().saturating_sub(LOOK_AHEAD as usize).max(first as usize);
    (first.min(means.len())..=means.len()).map(width).fold(0.0, f64::max)
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
        // 0.2 with 20 falls to 0.2 sqrt(20/21) = 0.195, and to 0.169 with its 28th.
        let jobs = precision.allot(&[0.14, 0.2, 0.04], &[20, 20, 20]);
        assert_eq!(models_of(&jobs), [1, 1, 1, 1, 1, 1, 1, 1]);
        let jobs = precision.allot(&[0.198, 0.2, 0.04], &[20, 20, 20]);
        assert_eq!(models_of(&jobs), [1, 0, 1, 0, 1, 0, 1, 0]);
        assert_eq!(jobs[2], Job { model: 1, replication: 21 });
        // Within 5 % of a truth that may be 4.8 % less than the estimate.
        assert!(precision.allot(&[0.0476], &[15]).is_empty());
        assert!(!precision.allot(&[0.0477], &[15]).is_empty());
    }

    #[test]
    fn few_replications_are_not_believed_however_much_they_agree() {
        let precision = Precision { relative: 0.05, most: 100 };
        let jobs = precision.allot(&[0.001, 0.3], &[13, 13]);
        assert_eq!(models_of(&jobs), [0, 0, 1, 1], "up to 15 of each, and then one looks");
        // What is the same in all, or cut short, does not become more precise.
        assert!(precision.allot(&[0.0], &[3]).is_empty());
    }

    #[test]
    fn a_precision_must_hold_for_five_more() {
        let of =
            |known: u32, width: fn(u32) -> f64| enough(3, 100, 0.05, known, |it| Some(width(it)));
        assert_eq!(of(3, |_| 0.0), 10, "three say nothing");
        assert_eq!(of(10, |_| 0.01), 15);
        assert_eq!(of(15, |_| 0.01), 15);
        // Wide again with the thirteenth: five from the fourteenth on.
        assert_eq!(of(15, |it| if it == 13 { 0.06 } else { 0.01 }), 19);
        // Twice as wide as is allowed needs four times as many; twice as many at a time.
        assert_eq!(of(10, |_| 2.0 * 0.05 / 1.05), 20);
        assert_eq!(of(200, |_| 0.5), 100, "as many as it may have");
        assert_eq!(enough(3, 100, 0.05, 50, |_| None), 10, "more would not help");
    }

    #[test]
    fn one_replication_alone_is_infinitely_wide_and_a_maximum_is_kept() {
        let precision = Precision { relative: 0.05, most: 3 };
        let jobs = precision.allot(&[f64::INFINITY, 0.3], &[1, 2]);
        assert_eq!(models_of(&jobs), [0, 0, 1]);
        assert!(precision.allot(&[0.5, 0.04], &[3, 3]).is_empty());
    }
}
