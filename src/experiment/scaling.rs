//! A topology under more or less load.

use crate::topology::Topology;

/// How the workload of a topology is scaled: all of its stages alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// The load of the file: users of a closed population, requests a second of an open stream.
    pub load: f64,
    /// It is a population, which is a whole number.
    pub closed: bool,
    /// The keys that carry the load, with their values.
    pub(super) keys: Vec<(String, f64)>,
}

impl Scaling {
    /// How a topology is scaled; [`None`] if nobody ever comes.
    pub fn of(topology: &Topology) -> Option<Scaling> {
        let mut keys = Vec::new();
        let stages = |of: &str, values: Vec<f64>| {
            let key = |(index, value)| (format!("{of}.stages.{index}.to"), value);
            values.into_iter().enumerate().map(key).collect::<Vec<_>>()
        };
        if let Some(users) = &topology.users {
            keys.push(("users.population".to_string(), users.population as f64));
            keys.extend(stages("users", users.stages.iter().map(|it| it.to as f64).collect()));
        } else if let Some(arrivals) = &topology.arrivals {
            keys.extend(arrivals.rate.map(|rate| ("arrivals.rate".to_string(), rate.0)));
            keys.extend(stages("arrivals", arrivals.stages.iter().map(|it| it.to.0).collect()));
        }
        let load = keys.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        (load > 0.0).then_some(Scaling { load, closed: topology.users.is_some(), keys })
    }

    /// The settings over the file (`users.population=2000`) that make its load this one.
    pub fn sets(&self, load: f64) -> Vec<String> {
        let scaled = |(path, value): &(String, f64)| {
            let value = value * (load / self.load);
            match self.closed {
                true if path == "users.population" => format!("{path}={}", whole(value)),
                true => format!("{path}={}", libm::round(value)),
                false => format!("{path}={value}/s"),
            }
        };
        self.keys.iter().map(scaled).collect()
    }

    /// A load that can be set and reads well: whole users, six digits of a rate.
    pub fn round(&self, load: f64) -> f64 {
        match self.closed {
            true => whole(load),
            false => format!("{load:.5e}").parse().expect("a number was just written"),
        }
    }
}

/// The nearest population; nobody is none.
fn whole(users: f64) -> f64 {
    libm::round(users).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_scaled_as_a_whole() {
        let keys = vec![("users.population".into(), 10.0), ("users.stages.0.to".into(), 40.0)];
        let scaling = Scaling { load: 40.0, closed: true, keys };
        assert_eq!(scaling.sets(100.0), ["users.population=25", "users.stages.0.to=100"]);
        assert_eq!(scaling.sets(1.0), ["users.population=1", "users.stages.0.to=1"]);
        let keys = vec![("arrivals.rate".into(), 80.0)];
        let rate = Scaling { load: 80.0, closed: false, keys };
        assert_eq!(rate.sets(80.25), ["arrivals.rate=80.25/s"]);
        assert_eq!(rate.round(81.234_567), 81.234_6);
    }
}
