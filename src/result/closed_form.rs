//! What a closed form says beside what was simulated, so that a surprising number is seen at once.

use serde::Serialize;

use super::{Estimate, Summary};
use crate::model::demand::{Demand, demand};
use crate::model::ids::StationId;
use crate::model::{Model, PoolMode, StationKind, Workload};
use crate::run::{Counter, Outcome};
use crate::theory::{Mg1, Mmc};

/// Below this utilisation nothing waits, and nobody asks why.
const IDLE: f64 = 0.05;
/// Shorter waits than this (s) are none.
const LEAST_S: f64 = 1e-9;
/// Service times whose squared coefficient of variation is this near to 1 count as exponential.
const NEARLY_EXPONENTIAL: f64 = 0.005;

/// A number that a closed form gives for a component, beside the simulated one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClosedForm {
    /// The component's path, or `all`.
    pub component: String,
    /// The model in Kendall's notation, or the name of the bound.
    pub model: String,
    /// The metric that both are values of.
    pub metric: &'static str,
    /// What the formula says; the lower end if it is a bound.
    pub low: f64,
    /// The same; the upper end if it is a bound, none if there is none.
    pub high: Option<f64>,
    /// What was simulated.
    pub simulated: Estimate,
}

impl ClosedForm {
    /// The formula bounds the value rather than giving it.
    pub fn is_bound(&self) -> bool {
        self.high != Some(self.low)
    }
}

/// Closed forms for those components that have one.
///
/// # Model
/// Every station is taken by itself, as if Poisson arrivals came to it at the measured rate and its
/// service took as long as measured: Pollaczek and Khinchine for a loop or a cache server, Erlang's
/// formula with the correction of Allen and Cunneen for a pool or a pooler, processor sharing for the
/// cores of a database and for links. Variation is that of the laws in the file. Closed populations have the
/// asymptotic bounds of Denning and Buzen. What a formula leaves out (bursts, waits inside of
/// holds, limits, timeouts) is the difference between the two columns.
pub fn closed_forms(model: &Model, outcomes: &[Outcome], summary: &Summary) -> Vec<ClosedForm> {
    let asked = demand(model, None);
    let mut found = population_bounds(model, &asked, summary);
    for (id, station) in model.stations.enumerate() {
        let component = summary.component(&station.path);
        let simulated = component.map(|it| it.estimate("wait_s.mean")).unwrap_or_default();
        let Some(seen) = Seen::of(outcomes, id).filter(|_| simulated.estimate.is_some()) else {
            continue;
        };
        if let Some((name, wait_s)) = wait(model, &asked, id, station.kind, &seen)
            && wait_s.is_finite()
        {
            // Below the clock's meaning nobody waits.
            let wait_s = if wait_s < LEAST_S { 0.0 } else { wait_s };
            found.push(ClosedForm {
                component: station.path.clone(),
                model: name,
                metric: "wait_s.mean",
                low: wait_s,
                high: Some(wait_s),
                simulated,
            });
        }
    }
    found
}

/// The asymptotic bounds of a closed population whose users do not retry.
fn population_bounds(model: &Model, asked: &Demand, summary: &Summary) -> Vec<ClosedForm> {
    let Workload::Closed { think, population, .. } = &model.workload else { return Vec::new() };
    let users = population.at(model.plan.warmup);
    let steady = population.maximum() == users;
    let bounds = asked.bounds(model);
    let Some((_, most_per_s)) =
        bounds.bottleneck.filter(|_| steady && model.client.retry.is_none())
    else {
        return Vec::new();
    };
    let think_s = model.laws[*think].mean;
    let bound = |metric, low, high| ClosedForm {
        component: "all".into(),
        model: format!("{users} users"),
        metric,
        low,
        high,
        simulated: summary.estimate(metric),
    };
    let ends_per_s = most_per_s.min(users / (think_s + bounds.response_s));
    let response_s = bounds.response_s.max(users / most_per_s - think_s);
    vec![
        bound("throughput_per_s", 0.0, Some(ends_per_s)),
        bound("latency_s.mean", response_s, None),
    ]
}

/// A station as measured, over all replications.
struct Seen {
    arrivals_per_s: f64,
    busy: f64,
    capacity: f64,
    turned_away: u64,
}

impl Seen {
    /// [`None`] for what is idle, or has no servers.
    fn of(outcomes: &[Outcome], id: StationId) -> Option<Seen> {
        let seconds: f64 = outcomes.iter().map(|outcome| outcome.measured.seconds()).sum();
        let count = outcomes.len().max(1) as f64;
        let counted = |counter: Counter| -> u64 {
            outcomes.iter().map(|outcome| outcome.stations[id].counters[counter as usize]).sum()
        };
        let mean = |of: fn(&crate::run::StationOutcome) -> f64| {
            outcomes.iter().map(|outcome| of(&outcome.stations[id])).sum::<f64>() / count
        };
        let turned_away =
            [Counter::Rejected, Counter::TimedOut, Counter::Refused].map(counted).iter().sum();
        let seen = Seen {
            arrivals_per_s: counted(Counter::Arrivals) as f64 / seconds,
            busy: mean(|it| it.busy_mean),
            capacity: mean(|it| it.capacity),
            turned_away,
        };
        (seen.capacity > 0.0 && seen.utilisation() >= IDLE && seen.arrivals_per_s > 0.0)
            .then_some(seen)
    }
    fn utilisation(&self) -> f64 {
        self.busy / self.capacity
    }
    fn service_s(&self) -> f64 {
        self.busy / self.arrivals_per_s
    }
    /// One of `stations` equal ones, each with `servers` servers.
    fn each(&self, stations: f64, servers: u32) -> Mmc {
        let arrival_rate_per_s = self.arrivals_per_s / stations;
        Mmc { servers, arrival_rate_per_s, service_s: self.service_s() }
    }
}

/// The squared coefficient of variation of a component's service times, if the file says it.
fn variation(asked: &Demand, id: StationId) -> Option<f64> {
    let (visits, mean_s) = (asked.visits[id], asked.service_s[id]);
    let square_s2 = asked.squares_s2[id]?;
    Some(square_s2 / visits / (mean_s / visits * (mean_s / visits)) - 1.0)
}

/// Connections that are lent: Erlang's formula, corrected for laws that are not nearly exponential.
fn pooled(station: Mmc, scv: Option<f64>) -> (String, f64) {
    let (name, scv) = match scv {
        Some(scv) if (scv - 1.0).abs() > NEARLY_EXPONENTIAL => ("M/G/", scv),
        _ => ("M/M/", 1.0),
    };
    (format!("{name}{}", station.servers), station.wait_mean_with_variation_s(1.0, scv))
}

/// The model of a component and its mean wait (s), where a closed form is known.
fn wait(
    model: &Model,
    asked: &Demand,
    id: StationId,
    kind: StationKind,
    seen: &Seen,
) -> Option<(String, f64)> {
    if seen.turned_away > 0 {
        return None;
    }
    match kind {
        StationKind::Service => {
            let service = model.services.iter().find(|it| it.station == id)?;
            let visits = asked.visits[id];
            let alone = service.process.as_ref().is_none_or(|it| it.timers.is_empty());
            let alone = alone && !service.contended && service.host.is_none();
            let square_s2 = asked.squares_s2[id].filter(|_| alone && visits > 0.0)?;
            // Only the squares are taken from the file: the rate and the busy share are measured.
            let squares_per_s = square_s2 / visits * seen.arrivals_per_s / seen.capacity;
            let idle = 1.0 - seen.utilisation();
            Some(("M/G/1".into(), squares_per_s / (2.0 * idle)))
        }
        StationKind::Pool => {
            let pool = model.pools.iter().find(|it| it.station == id)?;
            if pool.replica_config.is_some() {
                return None;
            }
            let size = pool.config.size + pool.config.overflow;
            let station = seen.each(seen.capacity / f64::from(size), size);
            Some(pooled(station, variation(asked, id)))
        }
        StationKind::Pooler => {
            let (pooler, its) = model.poolers.enumerate().find(|(_, it)| it.station == id)?;
            // A transaction keeps a server connection for as long as it keeps the pool's.
            let mut behind = model.pools.iter().filter(|pool| pool.pooler == Some(pooler));
            let law = behind.next().and_then(|pool| variation(asked, pool.station));
            let law = law.filter(|_| behind.next().is_none());
            let size = its.config.size;
            let station = seen.each(seen.capacity / f64::from(size), size);
            (its.mode == PoolMode::Transaction).then(|| pooled(station, law))
        }
        StationKind::Database => {
            let database = model.databases.iter().find(|it| it.station == id)?;
            let plain = database.contention == (0.0, 0.0) && database.cores.fract() == 0.0;
            let servers = database.cores as u32;
            let station = seen.each(seen.capacity / database.cores, servers);
            plain.then(|| (format!("M/M/{servers}-PS"), station.wait_mean_s()))
        }
        StationKind::Cache => {
            let cache = model.caches.iter().find(|it| it.station == id && it.service.is_none())?;
            let each = seen.each(seen.capacity, 1);
            let law = &model.laws[cache.command].law;
            let service_scv = law.variance() / (law.mean() * law.mean());
            let station = Mg1 {
                arrival_rate_per_s: each.arrival_rate_per_s,
                service_s: each.service_s,
                service_scv,
            };
            Some(("M/G/1".into(), station.wait_mean_s()))
        }
        StationKind::Link => {
            let station = seen.each(1.0, 1);
            Some(("M/G/1-PS".into(), station.wait_mean_s()))
        }
        _ => None,
    }
}
