//! What reaches its capacity first, second, third as load grows.

use serde::Serialize;

use crate::model::demand::{Demand, demand};
use crate::model::ids::{PoolId, StationId};
use crate::model::{Guard, Model, StationKind, Watch, Workload};
use crate::run::{Counter, Outcome, StationOutcome};

use super::metric::{kind_name, turned_away};

/// The shares of capacity that are reported.
pub const LEVELS: [f64; 4] = [0.75, 0.85, 0.95, 1.0];
/// A component is saturated from this utilisation on: above it, random arrivals leave no slack.
const SATURATED: f64 = 0.95;
/// Or when it turns away at least this share of what comes.
const TURNS_AWAY: f64 = 0.001;

/// The order in which components reach their limits as the load grows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Saturation {
    /// Requests a second that the present load stands for.
    pub load_rate_per_s: f64,
    /// Users that the present load stands for, of a closed population.
    pub load_users: Option<f64>,
    /// By component, the first to reach its limit first.
    pub order: Vec<Bearing>,
}

/// How near a component is to its limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bearing {
    /// Its number in the model.
    #[serde(skip)]
    pub station: StationId,
    /// Its path.
    pub component: String,
    /// Its kind.
    pub kind: &'static str,
    /// Busy over capacity at the present load, of its busiest part where it has several; where only so many may
    /// begin within a time, those that did over those, if that is more; for a guard, what it watches over its threshold.
    pub utilisation_ratio: f64,
    /// What its busiest node, shard, partition or member works over the mean of all, where it has several: its
    /// utilisation is that of the busiest.
    pub imbalance_ratio: f64,
    /// It is at its limit now, or turns requests away.
    pub saturated_now: bool,
    /// Share of what comes to it that it turns away.
    pub turned_away_ratio: f64,
    /// Multiples of the present load at which it reaches each of [`LEVELS`].
    pub load_factor: Reached,
    /// Requests a second at which it does.
    pub rate_per_s: Reached,
    /// Users at which it does, of a closed population.
    pub users: Option<Reached>,
}

impl Bearing {
    /// It fills up as load grows; limits and session stores only turn away.
    pub fn has_level(&self) -> bool {
        !matches!(self.kind, "limit" | "session")
    }
}

/// A value for each of [`LEVELS`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reached {
    /// At 75 %.
    pub at_75: f64,
    /// At 85 %.
    pub at_85: f64,
    /// At 95 %.
    pub at_95: f64,
    /// At 100 %.
    pub at_100: f64,
}

impl Reached {
    fn times(self, factor: f64) -> Reached {
        let Reached { at_75, at_85, at_95, at_100 } = self;
        Reached {
            at_75: at_75 * factor,
            at_85: at_85 * factor,
            at_95: at_95 * factor,
            at_100: at_100 * factor,
        }
    }
}

/// Puts the components in the order in which they reach their limits.
///
/// # Model
/// The utilisation law, U = X D / c: while nothing is saturated, utilisation grows in proportion to
/// load, so a level is reached at (level / U) times the present load. Once something is saturated,
/// throughput no longer follows load, and what holds a connection holds it for longer; then the
/// service demands D of the analysis ([`demand`]) are taken to the rate that users would ask at if
/// nobody ever waited: as offered in an open stream, N / (Z + D) of a closed population (the
/// asymptotic bound of Denning and Buzen 1978). What the analysis does not know keeps
/// what was measured, taken to the same rate.
pub fn saturation(model: &Model, outcomes: &[Outcome]) -> Saturation {
    let load_users = match &model.workload {
        Workload::Closed { population, .. } => Some(population.at(model.plan.warmup)),
        Workload::Open { .. } | Workload::Recorded(_) => None,
    };
    let mean = |of: &dyn Fn(&Outcome) -> f64| mean_of(outcomes, of);
    let offered = mean(&|outcome| per_second(outcome, outcome.requests.offered));
    let ended =
        mean(&|outcome| per_second(outcome, outcome.requests.ok + outcome.requests.failed_all()));
    let mut order: Vec<Bearing> =
        model.stations.ids().filter_map(|id| bearing(model, outcomes, id)).collect();
    let mut load_rate_per_s = offered;
    if order.iter().any(|bearing| bearing.saturated_now) && ended > 0.0 {
        let asked = demand(model, None);
        if let Workload::Closed { think, .. } = &model.workload {
            let users = load_users.unwrap_or(0.0);
            let cycle = model.laws[*think].mean + asked.bounds(model).response_s;
            load_rate_per_s = load_rate_per_s.max(users / cycle);
        }
        for bearing in &mut order {
            let wanted = match load_of(model, &asked, bearing.station) {
                _ if !bearing.has_level() => 1.0,
                0.0 => bearing.utilisation_ratio * load_rate_per_s / ended,
                load_s => load_s * load_rate_per_s * bearing.imbalance_ratio,
            };
            bearing.load_factor = reached(wanted);
        }
    }
    for bearing in &mut order {
        bearing.rate_per_s = bearing.load_factor.times(load_rate_per_s);
        bearing.users = load_users.map(|users| bearing.load_factor.times(users));
    }
    order.sort_by(|a, b| a.load_factor.at_100.total_cmp(&b.load_factor.at_100));
    if order.first().is_some_and(|first| first.load_factor.at_100 > 1.0) {
        // By the analysis all of them carry this load: then what was seen to be full comes first.
        order.sort_by_key(|bearing| !bearing.saturated_now);
    }
    Saturation { load_rate_per_s, load_users, order }
}

/// How long one request keeps a whole component busy [s]; for a guard on a pool, how long it keeps
/// the connections busy that its threshold stands for.
fn load_of(model: &Model, asked: &Demand, id: StationId) -> f64 {
    let guard = model.guards.iter().find(|guard| guard.station == id);
    match guard.map(|guard| (guard.watch, guard.threshold)) {
        Some((Watch::PoolBusy(pool) | Watch::PoolTotal(pool), threshold)) if threshold > 0.0 => {
            let pool = &model.pools[pool];
            asked.load_s(model, pool.station) * f64::from(pool.config.size) / threshold
        }
        _ => asked.load_s(model, id),
    }
}

fn mean_of(outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> f64 {
    outcomes.iter().map(of).sum::<f64>() / outcomes.len().max(1) as f64
}

fn per_second(outcome: &Outcome, requests: u64) -> f64 {
    let seconds = outcome.measured.seconds();
    if seconds > 0.0 { requests as f64 / seconds } else { 0.0 }
}

/// How near a component is to its limit at the present load; [`None`] for what has none.
fn bearing(model: &Model, outcomes: &[Outcome], id: StationId) -> Option<Bearing> {
    let station = &model.stations[id];
    if matches!(station.kind, StationKind::Network | StationKind::Client) {
        return None;
    }
    let turned_away_ratio =
        mean_of(outcomes, |outcome| turned_away(&outcome.stations[id]).unwrap_or(0.0));
    let turns_away = turned_away_ratio >= TURNS_AWAY;
    // What has no servers only turns away, and does so now.
    let level = level_of(model, outcomes, id).or(turns_away.then_some(1.0))?;
    (level > 0.0).then(|| Bearing {
        station: id,
        component: station.path.clone(),
        kind: kind_name(station.kind),
        utilisation_ratio: level,
        imbalance_ratio: mean_of(outcomes, |outcome| outcome.stations[id].imbalance.unwrap_or(1.0)),
        saturated_now: level >= SATURATED || turns_away,
        turned_away_ratio,
        load_factor: reached(level),
        rate_per_s: reached(level),
        users: None,
    })
}

fn reached(utilisation: f64) -> Reached {
    let [at_75, at_85, at_95, at_100] = LEVELS.map(|level| level / utilisation);
    Reached { at_75, at_85, at_95, at_100 }
}

/// How full a component is at the present load; [`None`] for what cannot fill up.
fn level_of(model: &Model, outcomes: &[Outcome], id: StationId) -> Option<f64> {
    match model.guards.iter().find(|guard| guard.station == id) {
        Some(guard) => guarded_level(model, outcomes, guard),
        None if model.stations[id].kind == StationKind::Balancer => {
            balanced_level(model, outcomes, id)
        }
        None => (model.stations[id].capacity > 0.0)
            .then(|| mean_of(outcomes, |outcome| outcome.stations[id].busiest()))
            .map(|busy| busy.max(begun_level(model, outcomes, id))),
    }
}

/// Requests at the targets of a balancer over those that it lets through: as long as the analysis says that each is
/// there if it waits for nobody.
fn balanced_level(model: &Model, outcomes: &[Outcome], id: StationId) -> Option<f64> {
    (model.places(id) > 0.0).then(|| {
        let offered = mean_of(outcomes, |outcome| per_second(outcome, outcome.requests.offered));
        demand(model, None).load_s(model, id) * offered
    })
}

/// Those who have begun over those who may, where only so many may within a time.
fn begun_level(model: &Model, outcomes: &[Outcome], id: StationId) -> f64 {
    let begun = |outcome: &Outcome| {
        let count = |counter: Counter| outcome.stations[id].counters[counter as usize];
        let begun = match model.stations[id].kind {
            StationKind::Queue => count(Counter::Served) + count(Counter::Retried),
            _ => count(Counter::Arrivals).saturating_sub(count(Counter::Rejected)),
        };
        per_second(outcome, begun)
    };
    mean_of(outcomes, begun) / model.begins_per_s(id)
}

/// What a guard watches, as a share of its threshold. A guard sees its own process only, for which
/// the mean over processes stands.
fn guarded_level(model: &Model, outcomes: &[Outcome], guard: &Guard) -> Option<f64> {
    let at = |station: StationId, of: fn(&StationOutcome) -> f64| {
        mean_of(outcomes, |outcome| of(&outcome.stations[station]))
    };
    let of_pool = |pool: PoolId, of: fn(&StationOutcome) -> f64| {
        let pool = &model.pools[pool];
        let processes = model.stations[pool.station].capacity / f64::from(pool.config.size.max(1));
        at(pool.station, of) / processes.max(1.0)
    };
    let level = match guard.watch {
        Watch::PoolBusy(pool) => of_pool(pool, |it| it.busy_mean),
        Watch::PoolTotal(pool) => of_pool(pool, |it| it.held_mean),
        Watch::PoolWaiting(pool) => of_pool(pool, |it| it.waiting_mean),
        Watch::PoolDemand(pool) => of_pool(pool, |it| it.busy_mean + it.waiting_mean),
        Watch::SessionsLive(session) => at(model.sessions[session].station, |it| it.held_mean),
        // Instants, not levels: their means say nothing about when they trip.
        Watch::InFlight(_) | Watch::Lag(_) => return None,
    };
    (guard.threshold > 0.0).then(|| level / guard.threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_reached_in_inverse_proportion_to_utilisation() {
        let half = reached(0.5);
        assert!((half.at_75 - 1.5).abs() < 1e-12 && (half.at_100 - 2.0).abs() < 1e-12);
        assert!((half.times(1_000.0).at_85 - 1_700.0).abs() < 1e-9);
    }
}
