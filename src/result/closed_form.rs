//! What a closed form says beside what was simulated, so that a surprising number is seen at once.

use serde::Serialize;

use super::{Estimate, Summary};
use crate::component::concurrency::LimitConfig;
use crate::kernel::UNCROWDED;
use crate::model::demand::{Demand, demand};
use crate::model::ids::StationId;
use crate::model::{Model, PoolMode, StationKind, Workload};
use crate::run::{Counter, Outcome};
use crate::theory::{Mg1, Mmc, constant_patience_loss_ratio, erlang_b};

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
/// cores of a database and for links; Erlang's formula for threads and the processes of a queue. Where some are turned
/// away their share has a formula: Erlang's loss formula for places that nobody waits for, Baccelli and
/// Hebuterne's for a pool with an acquire timeout. The cores of a `[host]` are as busy as the file asks
/// (utilisation law). Variation is that of the laws in the file. Closed populations have the asymptotic
/// bounds of Denning and Buzen. What a formula leaves out (bursts, waits inside of
/// holds, limits, timeouts) is the difference between the two columns.
pub fn closed_forms(model: &Model, outcomes: &[Outcome], summary: &Summary) -> Vec<ClosedForm> {
    let asked = demand(model, None);
    let mut found = population_bounds(model, &asked, summary);
    for (id, station) in model.stations.enumerate() {
        let component = summary.component(&station.path);
        let simulated = component.map(|it| it.estimate("wait_s.mean")).unwrap_or_default();
        let Some(seen) = Seen::of(outcomes, id) else { continue };
        if let Some((name, metric, ratio)) = share(model, &asked, id, station.kind, &seen, summary)
        {
            let simulated = component.map(|it| it.estimate(metric)).unwrap_or_default();
            found.push(ClosedForm {
                component: station.path.clone(),
                model: name,
                metric,
                low: ratio,
                high: Some(ratio),
                simulated,
            });
        }
        if simulated.estimate.is_some()
            && let Some((name, wait_s)) = wait(model, &asked, id, station.kind, &seen)
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
    /// All that came, whatever became of them.
    arrivals_per_s: f64,
    busy: f64,
    capacity: f64,
    turned_away: u64,
    /// Of those that came, the share that was served.
    served_ratio: f64,
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
        let arrivals = counted(Counter::Arrivals);
        let seen = Seen {
            arrivals_per_s: arrivals as f64 / seconds,
            busy: mean(|it| it.busy_mean),
            capacity: mean(|it| it.capacity),
            turned_away,
            served_ratio: 1.0 - turned_away as f64 / arrivals.max(turned_away).max(1) as f64,
        };
        (seen.capacity > 0.0 && seen.utilisation() >= IDLE).then_some(seen)
    }
    fn utilisation(&self) -> f64 {
        self.busy / self.capacity
    }
    fn service_s(&self) -> f64 {
        self.busy / (self.arrivals_per_s * self.served_ratio)
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

/// The model of a component, and a share that it gives, where a closed form is known: of what is turned
/// away, or of the cores of a machine that are busy.
fn share(
    model: &Model,
    asked: &Demand,
    id: StationId,
    kind: StationKind,
    seen: &Seen,
    summary: &Summary,
) -> Option<(String, &'static str, f64)> {
    const AWAY: &str = "turned_away_ratio";
    if kind == StationKind::Host {
        let host = model.hosts.iter().find(|it| it.station == id)?;
        let asked = summary.estimate("offered_per_s").estimate? * asked.service_s[id];
        let others = host.others.iter().map(|it| it.per_s * model.laws[it.cpu].mean);
        let busy = (asked + others.sum::<f64>()) / host.cores;
        let whole = host.stolen.is_none() && host.others.iter().all(|it| it.at_most == u32::MAX);
        return whole.then(|| ("X D".into(), "utilisation_ratio", busy.min(1.0)));
    }
    if seen.turned_away == 0 || seen.served_ratio <= 0.0 {
        return None;
    }
    match kind {
        StationKind::Bulkhead => {
            let bulkhead = model.bulkheads.iter().find(|it| it.station == id)?;
            let LimitConfig::Fixed(places) = bulkhead.limit else { return None };
            let alone = bulkhead.room.is_none() && seen.capacity == f64::from(places);
            let load = seen.arrivals_per_s * seen.service_s();
            alone.then(|| (format!("M/G/{places}/{places}"), AWAY, erlang_b(places, load)))
        }
        StationKind::Executions => {
            let functions = model.services.iter().filter_map(|it| it.function.as_ref());
            let places = functions.into_iter().find(|it| it.executions == id)?.reserved?;
            let load = seen.arrivals_per_s * seen.service_s();
            // Short executions leave places free that nobody may take.
            let few = seen.arrivals_per_s < model.begins_per_s(id);
            few.then(|| (format!("M/G/{places}/{places}"), AWAY, erlang_b(places, load)))
        }
        StationKind::HttpClient => {
            let client = model.http_clients.iter().find(|it| it.station == Some(id))?;
            let (places, patience) = (client.places()?, client.pool_timeout?);
            let station = seen.each(seen.capacity / f64::from(places), places);
            let plain = (variation(asked, id)? - 1.0).abs() <= NEARLY_EXPONENTIAL;
            let lost = constant_patience_loss_ratio(station, patience.seconds());
            plain.then(|| (format!("M/M/{places}+D"), AWAY, lost))
        }
        StationKind::Pool => {
            let pool = model.pools.iter().find(|it| it.station == id)?;
            let patience = pool.config.acquire_timeout?;
            let size = pool.config.size;
            let station = seen.each(seen.capacity / f64::from(size), size);
            let law = variation(asked, id)?;
            let plain = pool.replica_config.is_none()
                && pool.config.overflow == 0
                && pool.config.max_waiting.is_none();
            let plain = plain && (law - 1.0).abs() <= NEARLY_EXPONENTIAL;
            let lost = constant_patience_loss_ratio(station, patience.seconds());
            plain.then(|| (format!("M/M/{size}+D"), AWAY, lost))
        }
        _ => None,
    }
}

/// The model of a component and its mean wait (s), where a closed form is known.
fn wait(
    model: &Model,
    asked: &Demand,
    id: StationId,
    kind: StationKind,
    seen: &Seen,
) -> Option<(String, f64)> {
    if seen.turned_away > 0 || seen.arrivals_per_s <= 0.0 {
        return None;
    }
    match kind {
        StationKind::Threads => {
            let service = model.services.iter().find(|it| it.threads_station == id)?;
            // Each thread, and each loop, has a core.
            let all = f64::from(service.workers * (service.threads + 1));
            let own = service.cores >= all && service.host.is_none() && !service.one_lock;
            let station = seen.each(seen.capacity / f64::from(service.threads), service.threads);
            own.then(|| pooled(station, None))
        }
        StationKind::Queue => {
            let station = seen.each(1.0, seen.capacity as u32);
            let alone = model.begins_per_s(id).is_infinite();
            (alone && seen.capacity.fract() == 0.0).then(|| pooled(station, None))
        }
        StationKind::Service => {
            let service = model.services.iter().find(|it| it.station == id)?;
            let visits = asked.visits[id];
            let alone = service.process.as_ref().is_none_or(|it| it.timers.is_empty());
            let handles = model
                .sockets
                .iter()
                .any(|it| it.flow.is_some() && model.services[it.service].station == id);
            let alone = alone && !handles && !service.contended && service.host.is_none();
            let square_s2 = asked.squares_s2[id].filter(|_| alone && visits > 0.0)?;
            // Only the squares are taken from the file: the rate and the busy share are measured.
            let squares_per_s = square_s2 / visits * seen.arrivals_per_s / seen.capacity;
            let idle = 1.0 - seen.utilisation();
            Some(("M/G/1".into(), squares_per_s / (2.0 * idle)))
        }
        StationKind::HttpClient => {
            let client = model.http_clients.iter().find(|it| it.station == Some(id))?;
            let places = client.places()?;
            let station = seen.each(seen.capacity / f64::from(places), places);
            Some(pooled(station, variation(asked, id)))
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
            let plain = database.contention == UNCROWDED && database.cores.fract() == 0.0;
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
