//! Small deployments, run once.

use loadbearing::diagnostic::{Severity, render_plain};
use loadbearing::failure::Failure;
use loadbearing::model::{Model, compile};
use loadbearing::run::{Counter, Ended, Outcome, StationOutcome, Unwatched, replicate};
use loadbearing::topology::load;
use loadbearing::units::Duration;

/// One user who comes at 1 s, 2 s, ... 10 s, unless the text has a workload of its own.
const EVENLY: &str = "[arrivals]\nrate = '1/s'\nprocess = 'even'\nusers = 1\n";
const PLAN: &str = "version = 1\n[run]\nwarmup = '0s'\nduration = '10500ms'\nstart = { caches = 'cold', sessions = 'cold', pools = 'empty' }\n";

/// A run and what was run.
pub struct Ran {
    pub model: Model,
    pub outcome: Outcome,
}

/// The model of a text, with settings over it.
pub fn model(text: &str, sets: &[&str]) -> Model {
    let evenly = if text.contains("[users]") || text.contains("[arrivals]") { "" } else { EVENLY };
    let file = format!("{PLAN}{evenly}{text}");
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    let loaded = load("test.toml", &sets, &mut |_| Ok(file.clone()));
    let wrong = loaded.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert!(!wrong, "{}", render_plain(&loaded.diagnostics, &loaded.sources));
    compile(&loaded.topology.expect("nothing is wrong"))
}

/// Whatever comes of running a text with settings over it; everything must add up.
pub fn run_to_any_end(text: &str, sets: &[&str]) -> Ran {
    let model = model(text, sets);
    let outcome = replicate(&model, 0, &mut Unwatched);
    assert_eq!(outcome.audit.broken, Vec::<String>::new(), "{sets:?}");
    Ran { model, outcome }
}

/// Runs a text with settings over it to its end.
pub fn run(text: &str, sets: &[&str]) -> Ran {
    let ran = run_to_any_end(text, sets);
    assert_eq!(ran.outcome.ended, Ended::Completed);
    ran
}

impl Ran {
    /// What all served requests took; they must have taken the same, to the tick.
    pub fn each(&self) -> Duration {
        let latency = &self.outcome.latency;
        assert_eq!(latency.min(), latency.max(), "requests differ: {:?}", self.outcome.requests);
        latency.max().expect("something was served")
    }
    /// What all failed requests took, to the tick.
    pub fn each_failed(&self) -> Duration {
        let latency = &self.outcome.failed_latency;
        assert_eq!(latency.min(), latency.max(), "requests differ: {:?}", self.outcome.requests);
        latency.max().expect("something failed")
    }
    pub fn longest(&self) -> Duration {
        self.outcome.latency.max().expect("something was served")
    }
    pub fn shortest(&self) -> Duration {
        self.outcome.latency.min().expect("something was served")
    }
    pub fn mean_s(&self) -> f64 {
        self.outcome.latency.mean_s().expect("something was served")
    }
    pub fn ok(&self) -> u64 {
        self.outcome.requests.ok
    }
    pub fn offered(&self) -> u64 {
        self.outcome.requests.offered
    }
    pub fn failed(&self, why: Failure) -> u64 {
        self.outcome.requests.failed[why as usize]
    }
    pub fn station(&self, path: &str) -> &StationOutcome {
        let found = self.model.stations.enumerate().find(|(_, station)| station.path == path);
        let (id, _) = found.unwrap_or_else(|| panic!("no station {path}"));
        &self.outcome.stations[id]
    }
    pub fn count(&self, path: &str, counter: Counter) -> u64 {
        self.station(path).counters[counter as usize]
    }
    /// What a station holds on average in each window.
    pub fn held(&self, path: &str) -> Vec<f64> {
        let found = self.model.stations.enumerate().find(|(_, station)| station.path == path);
        let place = found.expect("a station").0.0 as usize;
        self.outcome.windows.iter().map(|window| window.stations[place].held).collect()
    }
    /// Requests begun in each window.
    pub fn offered_by_window(&self) -> Vec<u64> {
        self.outcome.windows.iter().map(|window| window.offered).collect()
    }
}

pub fn ms(count: u64) -> Duration {
    Duration::millis(count)
}
pub fn us(count: u64) -> Duration {
    Duration::micros(count)
}
