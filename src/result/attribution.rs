//! Where the time of requests goes, component by component, for all and for the slowest 1 %.

use serde::Serialize;

use crate::model::Model;
use crate::run::{Class, Outcome};
use crate::units::TICKS_PER_SECOND;

/// Where the time of requests goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Attribution {
    /// Requests whose path was measured.
    pub requests: u64,
    /// Their mean time from the intended start to the end (s).
    pub mean_s: f64,
    /// The same of the slowest 1 % of them (s).
    pub slowest_s: f64,
    /// By component, the largest share of the mean first; those without any time left out.
    pub parts: Vec<TimePart>,
}

/// What requests spend at a component, on average over those in question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimePart {
    /// Its path.
    pub component: String,
    /// Waiting, over all requests (s).
    pub wait_mean_s: f64,
    /// Being served, over all requests (s).
    pub service_mean_s: f64,
    /// Waiting, over the slowest 1 % (s).
    pub wait_slowest_s: f64,
    /// Being served, over the slowest 1 % (s).
    pub service_slowest_s: f64,
}

impl TimePart {
    /// Waiting and service over all requests (s).
    pub fn mean_s(&self) -> f64 {
        self.wait_mean_s + self.service_mean_s
    }
    /// Waiting and service over the slowest 1 % (s).
    pub fn slowest_s(&self) -> f64 {
        self.wait_slowest_s + self.service_slowest_s
    }
}

/// The slowest share of requests that is looked at apart.
const SLOWEST: f64 = 0.01;

/// Merges the classes of all replications and divides them.
///
/// # Model
/// Classes are sums of integers over requests of like latency (an eighth of an octave), so merging
/// is exact. The slowest 1 % are the uppermost classes; of the class that the border falls into, as
/// large a part of every sum is taken as of its requests. Parallel branches may add up to more than
/// the latency.
pub fn attribute(model: &Model, outcomes: &[Outcome]) -> Attribution {
    let classes = merged(outcomes);
    let requests: u64 = classes.iter().map(|class| class.requests).sum();
    if requests == 0 {
        return Attribution::default();
    }
    let columns = model.stations.len() * 2;
    let all = mean_of(&classes, requests as f64, columns);
    let slowest = mean_of(&classes, (requests as f64 * SLOWEST).max(1.0), columns);
    let mut parts: Vec<TimePart> = model
        .stations
        .iter()
        .enumerate()
        .map(|(index, station)| TimePart {
            component: station.path.clone(),
            wait_mean_s: all.spent_s[2 * index],
            service_mean_s: all.spent_s[2 * index + 1],
            wait_slowest_s: slowest.spent_s[2 * index],
            service_slowest_s: slowest.spent_s[2 * index + 1],
        })
        .filter(|part| part.mean_s() > 0.0 || part.slowest_s() > 0.0)
        .collect();
    // Stations are sorted by path, and the sort is stable: ties have one order.
    parts.sort_by(|a, b| b.mean_s().total_cmp(&a.mean_s()));
    Attribution { requests, mean_s: all.latency_s, slowest_s: slowest.latency_s, parts }
}

fn merged(outcomes: &[Outcome]) -> Vec<Class> {
    let mut all: Vec<Class> = Vec::new();
    for outcome in outcomes {
        if all.len() < outcome.classes.len() {
            all.resize(outcome.classes.len(), Class::default());
        }
        for (sum, class) in all.iter_mut().zip(&outcome.classes) {
            sum.requests += class.requests;
            sum.latency += class.latency;
            if sum.spent.len() < class.spent.len() {
                sum.spent.resize(class.spent.len(), 0);
            }
            for (sum, spent) in sum.spent.iter_mut().zip(&class.spent) {
                *sum += spent;
            }
        }
    }
    all
}

struct MeanRequest {
    latency_s: f64,
    spent_s: Vec<f64>,
}

/// The mean of the slowest `count` requests.
fn mean_of(classes: &[Class], count: f64, columns: usize) -> MeanRequest {
    let mut left = count;
    let mut mean = MeanRequest { latency_s: 0.0, spent_s: vec![0.0; columns] };
    let scale = 1.0 / count / TICKS_PER_SECOND as f64;
    for class in classes.iter().rev().filter(|class| class.requests > 0) {
        let share = (left / class.requests as f64).min(1.0);
        mean.latency_s += class.latency as f64 * share * scale;
        for (sum, spent) in mean.spent_s.iter_mut().zip(&class.spent) {
            *sum += *spent as f64 * share * scale;
        }
        left -= class.requests as f64;
        if left <= 0.0 {
            break;
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(requests: u64, latency_s: u128, waited_s: u128) -> Class {
        let ticks = u128::from(TICKS_PER_SECOND);
        Class { requests, latency: latency_s * ticks, spent: vec![waited_s * ticks, 0] }
    }

    #[test]
    fn the_border_class_is_split_in_proportion() {
        // 100 requests of 1 s, 2 of 10 s that wait 9 s: the slowest 1 % is 1.02 of the latter.
        let classes = [class(100, 100, 0), Class::default(), class(2, 20, 18)];
        let slowest = mean_of(&classes, 1.02, 2);
        assert!((slowest.latency_s - 10.0).abs() < 1e-12);
        assert!((slowest.spent_s[0] - 9.0).abs() < 1e-12);
        // The slowest 4 are those 2 and 2 of the others.
        let four = mean_of(&classes, 4.0, 2);
        assert!((four.latency_s - 5.5).abs() < 1e-12);
        assert!((four.spent_s[0] - 4.5).abs() < 1e-12);
        let all = mean_of(&classes, 102.0, 2);
        assert!((all.latency_s - 120.0 / 102.0).abs() < 1e-12);
    }
}
