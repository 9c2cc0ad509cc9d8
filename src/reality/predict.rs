//! What the engine says of a run whose requests are known, or of runs like it.

use crate::failure::Failure;
use crate::model::ids::{KeysId, OperationId, PoolId, StationId};
use crate::model::{Arrival, Model, Recording, Turn, Turns};
use crate::run::{Fate, Outcome, Window};
use crate::units::Duration;

use super::cell::{Cell, Figure, Measured};
use super::schedule::{Planned, Schedule, instant};

/// Requests that come before the end may take so much longer to be answered.
const DRAIN: Duration = Duration::secs(60);

/// The step of the timeline around a spike.
const CLOSELY: Duration = Duration::millis(10);

/// A model that plays back a run of a cell, with the numbers by which its requests are told apart.
pub struct Playback {
    /// Ready to run.
    pub model: Model,
    /// The class of each request.
    classes: Vec<usize>,
}

impl Playback {
    /// The model of a cell's topology meets the requests of the run with that seed.
    ///
    /// # Errors
    /// In words, if the topology lacks an operation that the cell's requests ask for.
    pub fn new(mut model: Model, cell: &Cell, seed: u64) -> Result<Playback, String> {
        let schedule = Schedule::new(cell, seed);
        let operations = operations(&model, cell)?;
        let recording = match &schedule {
            Schedule::Open(requests) => {
                let arrival = |it: &Planned| Arrival {
                    at: crate::units::Time::ZERO + it.after,
                    // A class of requests is one client: limits count by it.
                    user: it.class as u32,
                    operation: operations[it.class],
                };
                Recording::Open(requests.iter().map(arrival).collect())
            }
            Schedule::Closed(users) => {
                let turn = |it: &Planned| Turn { think: it.after, operation: operations[it.class] };
                let users: Vec<Vec<Turn>> =
                    users.iter().map(|turns| turns.iter().map(turn).collect()).collect();
                Recording::Closed(Turns::new(&users))
            }
        };
        model.play(recording);
        let work: Vec<Duration> = schedule.requests().map(|it| it.work).collect();
        for pool in 0..model.pools.len() as u32 {
            model.give_work(PoolId(pool), &work);
        }
        if cell.load.keys().is_some() && !model.keys.is_empty() {
            model.give_keys(KeysId(0), schedule.requests().map(|it| it.key).collect());
        }
        if let Some(retry) = &model.client.retry {
            let pauses = retry.attempts.saturating_sub(1).max(1);
            model.give_pauses(schedule.pauses(seed, pauses));
        }
        model.plan.warmup = instant(cell.warm_s).since(crate::units::Time::ZERO);
        model.plan.duration = Duration::from_secs_f64(cell.end_s - cell.warm_s) + DRAIN;
        model.plan.seed = seed;
        // One step of the timeline is the window that counts; a spike's end is looked at closely.
        model.plan.window = match cell.load.spike_ends_s() {
            Some(_) => CLOSELY,
            None => instant(cell.end_s).since(instant(cell.warm_s)),
        };
        model.plan.keep_fates = true;
        model.plan.attribution_every = u32::MAX;
        let classes = schedule.requests().map(|it| it.class).collect();
        Ok(Playback { model, classes })
    }

    /// What the run says of each class of requests, and of all of them.
    pub fn say(&self, cell: &Cell, run: usize, outcome: &Outcome) -> Vec<Measured> {
        let window = (instant(cell.warm_s), instant(cell.end_s));
        let all = |_: &Fate| true;
        let mut said = vec![figures(cell, "all", run, &outcome.fates, window, all)];
        said[0].figures.extend(self.of_pools(cell, outcome));
        if cell.load.keys().is_some() {
            let hit = |it: &Fate| !it.missed;
            let miss = |it: &Fate| it.missed && !it.joined;
            said.push(figures(cell, "hit", run, &outcome.fates, window, hit));
            said.push(figures(cell, "miss", run, &outcome.fates, window, miss));
            said.push(figures(cell, "joined", run, &outcome.fates, window, |it| it.joined));
        } else if cell.load.classes.len() > 1 {
            for (number, class) in cell.load.classes.iter().enumerate() {
                let of = |it: &Fate| self.classes[it.number as usize] == number;
                said.push(figures(cell, &class.name, run, &outcome.fates, window, of));
            }
        }
        said
    }
}

impl Playback {
    /// How much of the pools is lent, and how soon after a spike nobody waits for them.
    fn of_pools(&self, cell: &Cell, outcome: &Outcome) -> Vec<(Figure, f64)> {
        let stations: Vec<_> = self.model.pools.iter().map(|pool| pool.station).collect();
        let capacity: f64 = stations.iter().map(|it| self.model.stations[*it].capacity).sum();
        let (from, to) = (instant(cell.warm_s), instant(cell.end_s));
        let (mut busy, mut whole) = (0.0, 0.0);
        for window in outcome.windows.iter().filter(|it| it.start >= from && it.end <= to) {
            let length = window.end.since(window.start).seconds();
            let of = |it: &StationId| window.stations[it.0 as usize].busy;
            busy += length * stations.iter().map(of).sum::<f64>();
            whole += length;
        }
        let mut figures = Vec::new();
        if capacity > 0.0 && whole > 0.0 {
            figures.push((Figure::PoolUse, busy / whole / capacity));
        }
        if let Some(ends) = cell.load.spike_ends_s().map(instant) {
            let quiet = |window: &&Window| {
                let waits = |it: &StationId| window.stations[it.0 as usize].waiting > 0.0;
                window.start >= ends && window.offered > 0 && !stations.iter().any(waits)
            };
            let first = outcome.windows.iter().find(quiet);
            figures.extend(first.map(|it| (Figure::Recovery, it.start.since(ends).seconds())));
        }
        figures
    }
}

/// Neither a wait that was too long nor turned away by a guard or a limiter: the server answered 500.
fn is_error(failure: Failure) -> bool {
    !matches!(failure, Failure::AcquireTimeout | Failure::Guarded | Failure::Limited)
}

/// The operation of the topology that each class of requests asks for.
fn operations(model: &Model, cell: &Cell) -> Result<Vec<OperationId>, String> {
    let find = |word: &str| {
        let found = model.operations.iter().position(|operation| operation.name == word);
        let found = found.map(|place| OperationId(place as u32));
        found.ok_or_else(|| format!("{}: the topology has no operation `{word}`", cell.id))
    };
    cell.load.classes.iter().map(|class| find(class.operation())).collect()
}

type Span = (crate::units::Time, crate::units::Time);

fn figures(
    cell: &Cell,
    class: &str,
    run: usize,
    fates: &[Fate],
    window: Span,
    belongs: impl Fn(&Fate) -> bool,
) -> Measured {
    let within = |at| at >= window.0 && at < window.1;
    let ok = |it: &&Fate| it.failure.is_none() && it.status == 200;
    let of_class: Vec<&Fate> = fates.iter().filter(|it| belongs(it)).collect();
    let scheduled: Vec<&Fate> = of_class.iter().copied().filter(|it| within(it.intended)).collect();
    let completed =
        of_class.iter().copied().filter(ok).filter(|it| within(it.intended + it.latency));
    let mut latencies: Vec<f64> =
        scheduled.iter().copied().filter(ok).map(|it| 1e3 * it.latency.seconds()).collect();
    latencies.sort_by(f64::total_cmp);
    let offered = scheduled.len() as f64;
    let share = |what: &dyn Fn(&Fate) -> bool| {
        scheduled.iter().filter(|it| what(it)).count() as f64 / offered
    };
    let mut figures = vec![
        (Figure::Throughput, completed.count() as f64 / window.1.since(window.0).seconds()),
        (Figure::Timeouts, share(&|it| it.failure == Some(Failure::AcquireTimeout))),
        (
            Figure::Rejected,
            share(&|it| matches!(it.failure, Some(Failure::Guarded | Failure::Limited))),
        ),
        (Figure::Failed, share(&|it| it.failure.is_some_and(is_error))),
    ];
    if !latencies.is_empty() {
        figures.push((Figure::Mean, latencies.iter().sum::<f64>() / latencies.len() as f64));
        let levels = Figure::ALL.into_iter().filter_map(|figure| match figure {
            Figure::Quantile(level) => Some((figure, f64::from(level) / 100.0)),
            _ => None,
        });
        figures.extend(levels.map(|(figure, level)| (figure, quantile(&latencies, level))));
    }
    if offered > 0.0 {
        let attempts: u32 = scheduled.iter().map(|it| u32::from(it.attempts)).sum();
        figures.push((Figure::Attempts, f64::from(attempts) / offered));
        if cell.load.keys().is_some() {
            figures.push((Figure::Hits, share(&|it| !it.missed)));
            figures.push((Figure::Joined, share(&|it| it.joined)));
        }
    }
    Measured {
        busy: None,
        stolen: None,
        cell: cell.id.clone(),
        run,
        class: class.into(),
        offered: scheduled.len() as u64,
        meanwhile: None,
        figures,
    }
}

/// A quantile of sorted values, linear between neighbours.
pub fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = level * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + part * (sorted[high] - sorted[low])
}
