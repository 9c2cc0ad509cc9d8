//! One measure of several designs over the measured time: what a panel of a picture shows.

use std::fmt;

use super::timeline::{Step, seconds, steps};
use crate::model::ids::StationId;
use crate::model::{Database, Guard, Model, Station, StationKind, Watch};
use crate::result::{Point, Unit};
use crate::run::{StationWindow, Window};
use crate::topology::{LatencyStatistic, Metric, Objective};

/// What a panel shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Panel {
    /// Requests that ended well, beside those that were wanted (1/s).
    Served,
    /// The share of requests that ended badly.
    Failed,
    /// A latency of those that ended (s).
    Latency(Statistic),
    /// Requests in flight.
    InFlight,
    /// A level of a component.
    Level(String, Level),
    /// Connections to a database, of pools and poolers together.
    Connections(String),
}

/// A statistic of latency in a step of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The mean.
    Mean,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
}

/// A level of a component.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    /// Requests that wait.
    Waiting,
    /// Servers, connections or places in use.
    Busy,
    /// Busy ones as a share of all.
    Utilisation,
    /// Connections open, sessions alive, instances running.
    Held,
    /// Jobs that are due later.
    Delayed,
    /// The age of the oldest that waits.
    Oldest,
}

/// The whole of the deployment: name, panel.
const WHOLE: [(&str, Panel); 6] = [
    ("served", Panel::Served),
    ("failed", Panel::Failed),
    ("latency_mean", Panel::Latency(Statistic::Mean)),
    ("latency_p95", Panel::Latency(Statistic::P95)),
    ("latency_p99", Panel::Latency(Statistic::P99)),
    ("in_flight", Panel::InFlight),
];
/// Levels of components: name, level.
const LEVELS: [(&str, Level); 6] = [
    ("waiting", Level::Waiting),
    ("busy", Level::Busy),
    ("utilisation", Level::Utilisation),
    ("held", Level::Held),
    ("delayed", Level::Delayed),
    ("oldest", Level::Oldest),
];
const CONNECTIONS: &str = "connections";

impl Panel {
    /// What a word asks for: `failed`, `latency_p95`, `pool.pg.waiting`, `database.main.connections`.
    ///
    /// # Errors
    /// In words, with what there is.
    pub fn parse(word: &str) -> Result<Panel, String> {
        if let Some((_, panel)) = WHOLE.iter().find(|(name, _)| *name == word) {
            return Ok(panel.clone());
        }
        if let Some((path, level)) = word.rsplit_once('.') {
            if level == CONNECTIONS {
                return Ok(Panel::Connections(path.into()));
            }
            if let Some((_, level)) = LEVELS.iter().find(|(name, _)| *name == level) {
                return Ok(Panel::Level(path.into(), *level));
            }
        }
        let whole: Vec<&str> = WHOLE.iter().map(|it| it.0).collect();
        let levels: Vec<&str> = LEVELS.iter().map(|it| it.0).collect();
        Err(format!(
            "`{word}` cannot be drawn over time; say {}, or a component and one of {}, as `pool.pg.waiting`, or \
             `database.NAME.{CONNECTIONS}`",
            whole.join(", "),
            levels.join(", "),
        ))
    }

    /// What it is measured in.
    pub fn unit(&self) -> Unit {
        match self {
            Panel::Served => Unit::PerSecond,
            Panel::Failed | Panel::Level(_, Level::Utilisation) => Unit::Ratio,
            Panel::Latency(_) | Panel::Level(_, Level::Oldest) => Unit::Seconds,
            Panel::InFlight | Panel::Level(..) | Panel::Connections(_) => Unit::Count,
        }
    }

    /// Its heading, with the unit where numbers do not carry one.
    pub(super) fn heading(&self) -> String {
        match self {
            Panel::Served => "requests served a second".into(),
            Panel::Failed => "share of requests that failed".into(),
            Panel::Latency(Statistic::Mean) => "latency, mean".into(),
            Panel::Latency(Statistic::P95) => "latency, 95th percentile".into(),
            Panel::Latency(Statistic::P99) => "latency, 99th percentile".into(),
            Panel::InFlight => "requests in flight (count)".into(),
            Panel::Connections(path) => format!("connections to {path} (count)"),
            Panel::Level(path, level) => match level {
                Level::Waiting => format!("waiting at {path} (count)"),
                Level::Busy => format!("in use of {path} (count)"),
                Level::Utilisation => format!("utilisation of {path}"),
                Level::Held if path.starts_with("service.") => {
                    format!("instances of {path} (count)")
                }
                Level::Held if path.starts_with("pool") => {
                    format!("open connections of {path} (count)")
                }
                Level::Held => format!("held by {path} (count)"),
                Level::Delayed => format!("delayed at {path} (count)"),
                Level::Oldest => format!("age of the oldest waiting at {path}"),
            },
        }
    }

    /// Its value in a window of a design; nothing if the design has no such component or nothing was
    /// measured.
    fn value(&self, model: &Model, window: &Window) -> Option<f64> {
        match self {
            Panel::Served => Some(window.ok as f64 / seconds(window)),
            Panel::Failed => {
                let ended = window.ok + window.failed;
                (ended > 0).then(|| window.failed as f64 / ended as f64)
            }
            Panel::Latency(Statistic::Mean) => window.latency_mean_s,
            Panel::Latency(Statistic::P95) => window.latency_p95_s,
            Panel::Latency(Statistic::P99) => window.latency_p99_s,
            Panel::InFlight => Some(window.in_flight),
            Panel::Connections(path) => connections(model, path, window),
            Panel::Level(path, level) => {
                let (id, station) = model.stations.enumerate().find(|it| it.1.path == *path)?;
                let seen = window.stations.get(id.0 as usize)?;
                level_of(station, *level, seen, most_of(model, id))
            }
        }
    }

    /// The course of a design over the measured time: (middle of a step (s), mean over replications).
    pub fn course(&self, point: &Point<'_>, designs: usize) -> Vec<(f64, f64)> {
        let whole = |step: &Step<'_>| step.mean(|window| self.value(point.model, window));
        course(point, designs, whole)
    }

    /// What is wanted, beside what is served.
    pub(super) fn wanted(&self, point: &Point<'_>, designs: usize) -> Option<Vec<(f64, f64)>> {
        let offered = |window: &Window| Some(window.offered as f64 / seconds(window));
        let wanted = || course(point, designs, |step| step.mean(offered));
        (*self == Panel::Served).then(wanted)
    }

    /// What must not be passed: limits of the deployment and objectives.
    pub(super) fn bounds(&self, point: &Point<'_>) -> Vec<(f64, String)> {
        let model = point.model;
        match self {
            Panel::Latency(statistic) => objectives(model, *statistic),
            Panel::Failed => bounds_on(model, &Metric::Errors),
            Panel::Connections(path) => {
                let found = model.databases.iter().filter(|it| path_of(model, it.station) == path);
                let slots = |it: &Database| f64::from(it.slots * it.shards);
                found.map(|it| (slots(it), format!("{path} accepts {}", slots(it)))).collect()
            }
            Panel::Level(path, level) => {
                let mut bounds = guards(model, path, *level);
                let station = model.stations.iter().find(|it| it.path == *path);
                let capacity = station.map_or(0.0, |it| it.capacity);
                let is_pool = path.starts_with("pool.");
                if is_pool && matches!(level, Level::Busy | Level::Held) && capacity > 0.0 {
                    bounds.push((capacity, format!("{path} has {capacity}")));
                }
                bounds
            }
            Panel::Served | Panel::InFlight => Vec::new(),
        }
    }
}

impl fmt::Display for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Panel::Level(path, level) => {
                let name = LEVELS.iter().find(|it| it.1 == *level).map_or("", |it| it.0);
                write!(f, "{path}.{name}")
            }
            Panel::Connections(path) => write!(f, "{path}.{CONNECTIONS}"),
            whole => f.write_str(WHOLE.iter().find(|it| it.1 == *whole).map_or("", |it| it.0)),
        }
    }
}

fn path_of(model: &Model, station: StationId) -> &str {
    &model.stations[station].path
}

/// What comes and goes at a station, instances of a service or workers of a queue: how many there can be.
fn most_of(model: &Model, station: StationId) -> Option<f64> {
    let service = model.services.iter().find(|it| it.station == station);
    let queue = model.queues.iter().find(|it| it.station == station && it.autoscale.is_some());
    service.map(|it| it.max_instances).or(queue.map(|it| it.slots)).map(f64::from)
}

fn level_of(
    station: &Station,
    level: Level,
    seen: &StationWindow,
    most: Option<f64>,
) -> Option<f64> {
    match level {
        Level::Waiting => Some(seen.waiting),
        Level::Busy => Some(seen.busy),
        Level::Held => Some(seen.held),
        Level::Delayed => (station.kind == StationKind::Queue).then_some(seen.delayed),
        Level::Oldest => (station.kind == StationKind::Queue).then_some(seen.oldest_s),
        // A capacity is that of all that there can be: fewer may run.
        Level::Utilisation => {
            let capacity = station.capacity * most.map_or(1.0, |most| seen.held / most);
            (capacity > 0.0).then(|| (seen.busy / capacity).min(1.0))
        }
    }
}

/// Connections of pools that go straight to a database, and of the poolers in front of it.
fn connections(model: &Model, path: &str, window: &Window) -> Option<f64> {
    let database =
        model.databases.enumerate().find(|(_, it)| path_of(model, it.station) == path)?;
    let direct = model.pools.iter().filter(|it| it.database == database.0 && it.pooler.is_none());
    let poolers = model.poolers.iter().filter(|it| it.database == database.0);
    let stations = direct.map(|it| it.station).chain(poolers.map(|it| it.station));
    Some(stations.filter_map(|it| window.stations.get(it.0 as usize)).map(|it| it.held).sum())
}

fn objectives(model: &Model, statistic: Statistic) -> Vec<(f64, String)> {
    let wanted = match statistic {
        Statistic::Mean => LatencyStatistic::Mean,
        Statistic::P95 => LatencyStatistic::Quantile(0.95),
        Statistic::P99 => LatencyStatistic::Quantile(0.99),
    };
    bounds_on(model, &Metric::Latency(wanted))
}

/// The objectives on a metric of all requests.
fn bounds_on(model: &Model, metric: &Metric) -> Vec<(f64, String)> {
    let on_all = |it: &&Objective| it.metric == *metric && it.operation.is_none();
    let found = model.objectives.iter().filter(on_all);
    found.map(|it| (it.bound, it.text.clone())).collect()
}

/// Where guards begin to turn requests away, all processes together.
fn guards(model: &Model, path: &str, level: Level) -> Vec<(f64, String)> {
    let watched = |guard: &Guard| {
        let (pool, watched) = match guard.watch {
            Watch::PoolTotal(pool) => (pool, Level::Held),
            Watch::PoolBusy(pool) => (pool, Level::Busy),
            Watch::PoolWaiting(pool) => (pool, Level::Waiting),
            Watch::PoolDemand(_) | Watch::SessionsLive(_) | Watch::InFlight(_) | Watch::Lag(_) => {
                return None;
            }
        };
        let pool = &model.pools[pool];
        let service = &model.services[pool.service];
        let processes = f64::from(service.instances) * f64::from(service.workers);
        let matches = watched == level && path_of(model, pool.station) == path;
        matches.then(|| (guard.threshold * processes, format!("guard.{} turns away", guard.name)))
    };
    model.guards.iter().filter_map(watched).collect()
}

/// The measured steps of a design, from the end of its warm-up on.
fn course(
    point: &Point<'_>,
    designs: usize,
    of: impl Fn(&Step<'_>) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let warmup = point.model.plan.warmup.seconds();
    let steps = steps(point, designs);
    let measured = steps.iter().filter(|step| step.windows.iter().all(|it| it.measured));
    let place = |step: &Step<'_>| (step.start_s + step.end_s) / 2.0 - warmup;
    measured.filter_map(|step| Some((place(step), of(step)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilisation_is_of_what_runs() {
        let station = |kind| Station { path: "x".into(), kind, capacity: 4.0 };
        let seen =
            StationWindow { busy: 1.0, waiting: 0.0, held: 2.0, oldest_s: 0.0, delayed: 0.0 };
        let level = |kind, most| level_of(&station(kind), Level::Utilisation, &seen, most);
        // Two of four run, with a core each.
        assert_eq!(level(StationKind::Service, Some(4.0)), Some(0.5));
        assert_eq!(level(StationKind::Database, None), Some(0.25));
    }
}
