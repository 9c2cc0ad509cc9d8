//! Real deployments that were measured, and what the engine says of them.
//!
//! A *cell* is a deployment under a load that was run several times. *Replay* gives the engine the
//! instants, classes, keys and nominal service times of each measured run, so that only what the
//! deployment did with them is compared; *forecast* gives it their laws.

mod cell;
mod forms;
mod map;
mod predict;
pub mod schedule;
mod store;

pub use cell::{Cell, Class, Figure, Law, Load, Measured, Mode, Retry, Server};
pub use forms::{Form, closed_form};
pub use map::Map;
pub use predict::{Playback, quantile};
pub use store::{Around, Measurements};

use std::path::Path;

use crate::diagnostic::render_plain;
use crate::experiment::{Plan, Progress, replicate_all};
use crate::model::{Model, compile};
use crate::run::{Ended, Outcome};
use crate::stats::student_t_quantile;
use crate::topology::{ReadText, load};

/// The confidence of the intervals.
const CONFIDENCE: f64 = 0.95;
/// Within this share of the measurement a replayed latency or rate is as good as can be seen.
pub const CLOSE: f64 = 0.05;
/// Within this a replayed share is.
pub const CLOSE_SHARE: f64 = 0.01;

/// How a cell is predicted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The requests of each measured run, each run so many times with other noise.
    Replay(u32),
    /// So many runs that were not measured, of the same laws.
    Forecast(u32),
}

/// Several values together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation; zero for one.
    pub spread: f64,
    /// Half the width of the interval of the mean.
    pub half: f64,
}

impl Level {
    fn of(values: &[f64]) -> Level {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        if values.len() < 2 {
            return Level { mean, spread: 0.0, half: 0.0 };
        }
        let squares: f64 = values.iter().map(|it| (it - mean) * (it - mean)).sum();
        let spread = libm::sqrt(squares / (count - 1.0));
        let t = student_t_quantile(1.0 - (1.0 - CONFIDENCE) / 2.0, count - 1.0);
        Level { mean, spread, half: t * spread / libm::sqrt(count) }
    }
    /// Values of several groups, each with noise of its own about its own mean.
    fn of_groups(groups: &[Vec<f64>]) -> Level {
        let each: Vec<Level> = groups.iter().map(|group| Level::of(group)).collect();
        let means: Vec<f64> = each.iter().map(|it| it.mean).collect();
        let runs: f64 = groups.iter().map(|group| group.len() as f64).sum();
        let degrees = runs - groups.len() as f64;
        let half = if degrees > 0.0 {
            let noise =
                each.iter().map(|it| it.spread * it.spread).sum::<f64>() / groups.len() as f64;
            let t = student_t_quantile(1.0 - (1.0 - CONFIDENCE) / 2.0, degrees);
            t * libm::sqrt(noise / runs)
        } else {
            0.0
        };
        Level { half, ..Level::of(&means) }
    }
}

/// A figure of one measured run, replayed.
#[derive(Clone, Copy, Debug)]
pub struct Replayed {
    /// Which run of the cell, from 1.
    pub run: u32,
    /// As measured.
    pub measured: f64,
    /// The mean of its simulated runs.
    pub simulated: f64,
}

/// A figure as measured and as simulated.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Which.
    pub figure: Figure,
    /// Over the measured runs; nothing where nothing was measured.
    pub measured: Option<Level>,
    /// Over the simulated ones.
    pub simulated: Level,
    /// What a closed form alone says.
    pub form: Option<f64>,
    /// Run by run; empty in a forecast, whose runs are none of those measured.
    pub runs: Vec<Replayed>,
}

impl Compared {
    /// By how much the simulation differs: a share of what was measured, or percentage points as a
    /// share of one.
    pub fn error(&self) -> Option<f64> {
        self.measured.map(|measured| self.against(self.simulated.mean, measured))
    }
    /// By how much the closed form differs.
    pub fn error_of_form(&self) -> Option<f64> {
        Some(self.against(self.form?, self.measured?))
    }
    fn against(&self, value: f64, measured: Level) -> f64 {
        if self.figure.is_share() { value - measured.mean } else { value / measured.mean - 1.0 }
    }
    /// As close as a replay can be expected to be.
    pub fn is_close(&self) -> Option<bool> {
        let bound = if self.figure.is_share() { CLOSE_SHARE } else { CLOSE };
        self.error().map(|error| error.abs() <= bound)
    }
    /// The intervals of both means meet.
    pub fn meets(&self) -> Option<bool> {
        let measured = self.measured?;
        let joint = libm::hypot(measured.half, self.simulated.half);
        Some((measured.mean - self.simulated.mean).abs() <= joint)
    }
}

/// A class of a cell's requests, as measured and as simulated.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The cell.
    pub cell: String,
    /// Its kind of deployment.
    pub scenario: String,
    /// The class of requests; `all` for all.
    pub class: String,
    /// How it was predicted.
    pub way: Way,
    /// The cell that was measured again.
    pub again: Option<String>,
    /// The closed form that comes closest.
    pub form: Option<&'static str>,
    /// Figure by figure.
    pub figures: Vec<Compared>,
}

impl Comparison {
    /// A figure.
    pub fn figure(&self, figure: Figure) -> Option<&Compared> {
        self.figures.iter().find(|it| it.figure == figure)
    }
    /// The figures by which a cell is judged: mean, p95, and shares.
    pub fn judged(&self) -> impl Iterator<Item = &Compared> {
        self.figures.iter().filter(|it| {
            it.figure.is_share_of_requests()
                || matches!(it.figure, Figure::Mean | Figure::Quantile(95))
        })
    }
    /// Whether the prediction holds: a replay is close, a forecast meets the measurement.
    pub fn holds(&self) -> Option<bool> {
        let holds = |it: &Compared| match self.way {
            Way::Replay(_) => it.is_close(),
            Way::Forecast(_) => it.meets(),
        };
        let judged: Vec<bool> = self.judged().filter_map(holds).collect();
        (!judged.is_empty()).then(|| judged.iter().all(|it| *it))
    }
    /// The largest error among the judged figures, in units of the closeness that is wanted.
    pub fn worst(&self) -> f64 {
        let of = |it: &Compared| {
            let bound = if it.figure.is_share() { CLOSE_SHARE } else { CLOSE };
            it.error().map_or(0.0, |error| error.abs() / bound)
        };
        self.judged().map(of).fold(0.0, f64::max)
    }
}

/// Compares a cell: one comparison for each class of its requests, `all` first.
///
/// # Errors
/// In words, if the cell cannot be said in the language, or a run does not end as it should.
pub fn compare(
    measurements: &Measurements,
    cell: &Cell,
    way: Way,
    read: ReadText<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Comparison>, String> {
    let mut model = |run: Option<usize>| {
        model_beside(measurements, cell, measurements.around(cell, run), &mut *read)
    };
    let (seeds, replications): (Vec<u64>, u32) = match way {
        Way::Replay(times) => (cell.seeds.clone(), times),
        Way::Forecast(runs) => {
            let first = cell.seeds.first().copied().unwrap_or(1);
            ((0..u64::from(runs)).map(|run| first + 1_000 + run).collect(), 1)
        }
    };
    let mut playbacks = Vec::new();
    for (place, seed) in seeds.iter().enumerate() {
        let run = matches!(way, Way::Replay(_)).then_some(place + 1);
        let mut playback = Playback::new(model(run)?, cell, *seed)?;
        playback.model.plan.replications = replications;
        playbacks.push(playback);
    }
    let form = closed_form(cell, &model(None)?);
    let models: Vec<&Model> = playbacks.iter().map(|it| &it.model).collect();
    let plan = Plan { threads: None, precision: None, progress };
    let outcomes = replicate_all(&models, &plan).map_err(|error| error.to_string())?;
    let mut said: Vec<Vec<Vec<Measured>>> = Vec::new();
    for (run, (playback, outcomes)) in playbacks.iter().zip(&outcomes).enumerate() {
        for outcome in outcomes {
            in_order(cell, outcome)?;
        }
        said.push(outcomes.iter().map(|it| playback.say(cell, run + 1, it)).collect());
    }
    let classes: Vec<String> = said[0][0].iter().map(|it| it.class.clone()).collect();
    let compared = |(place, class): (usize, String)| {
        let figures = Figure::ALL.into_iter().filter_map(|figure| {
            let mut found = one(measurements, cell, &class, place, figure, &said, form.as_ref())?;
            if matches!(way, Way::Replay(_)) {
                found.runs = by_run(measurements, cell, &class, place, figure, &said);
            }
            Some(found)
        });
        Comparison {
            cell: cell.id.clone(),
            scenario: cell.scenario.clone(),
            way,
            again: cell.again.clone(),
            form: form.as_ref().map(|form| form.name),
            figures: figures.collect(),
            class,
        }
    };
    Ok(classes.into_iter().enumerate().map(compared).collect())
}

fn one(
    measurements: &Measurements,
    cell: &Cell,
    class: &str,
    place: usize,
    figure: Figure,
    said: &[Vec<Vec<Measured>>],
    form: Option<&Form>,
) -> Option<Compared> {
    let of_run = |run: &Vec<Vec<Measured>>| -> Vec<f64> {
        run.iter().filter_map(|classes| classes[place].figure(figure)).collect()
    };
    let groups: Vec<Vec<f64>> = said.iter().map(of_run).filter(|it| !it.is_empty()).collect();
    if groups.is_empty() {
        return None;
    }
    let simulated = match groups.iter().all(|group| group.len() == 1) {
        true => Level::of(&groups.concat()),
        false => Level::of_groups(&groups),
    };
    let measured: Vec<f64> =
        measurements.of(&cell.id, class).filter_map(|run| run.figure(figure)).collect();
    let measured = (!measured.is_empty()).then(|| Level::of(&measured));
    if figure == Figure::PoolUse && measured.is_none() {
        return None;
    }
    // A share that neither has says nothing.
    let nothing = |level: Level| level.mean == 0.0 && level.spread == 0.0;
    if figure.is_share() && nothing(simulated) && measured.is_none_or(nothing) {
        return None;
    }
    if figure == Figure::Attempts && cell.load.retry.is_none() {
        return None;
    }
    let form = form.and_then(|form| form.figure(class, figure));
    Some(Compared { figure, measured, simulated, form, runs: Vec::new() })
}

/// A figure of each run that was measured and replayed.
fn by_run(
    measurements: &Measurements,
    cell: &Cell,
    class: &str,
    place: usize,
    figure: Figure,
    said: &[Vec<Vec<Measured>>],
) -> Vec<Replayed> {
    let pair = |measured: &Measured| {
        let played = said.get(measured.run.checked_sub(1)?)?;
        let values: Vec<f64> = played.iter().filter_map(|it| it[place].figure(figure)).collect();
        Some(Replayed {
            run: measured.run as u32,
            measured: measured.figure(figure)?,
            simulated: values.iter().sum::<f64>() / values.len().max(1) as f64,
        })
    };
    measurements.of(&cell.id, class).filter_map(pair).collect()
}

/// The model of a cell's topology, with nothing else on its machine.
///
/// # Errors
/// In words, if there is none.
pub fn model_of(
    measurements: &Measurements,
    cell: &Cell,
    read: ReadText<'_>,
) -> Result<Model, String> {
    model_beside(measurements, cell, Around::default(), read)
}

/// The same with what there was beside it.
fn model_beside(
    measurements: &Measurements,
    cell: &Cell,
    around: Around,
    read: ReadText<'_>,
) -> Result<Model, String> {
    let path = measurements.map_folder.join(measurements.map.file(cell)?);
    let mut sets = measurements.map.beside(cell, around);
    sets.extend(measurements.map.sets(cell)?);
    let path = plain(&path);
    let loaded = load(&path, &sets, read);
    match &loaded.topology {
        Some(topology) => Ok(compile(topology)),
        None => Err(format!("{}: {}", cell.id, render_plain(&loaded.diagnostics, &loaded.sources))),
    }
}

/// A path without `..` after a folder.
fn plain(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.to_string_lossy().split('/') {
        match part {
            ".." if parts.last().is_some_and(|last| last != "..") => {
                parts.pop();
            }
            "." => {}
            part => parts.push(part.into()),
        }
    }
    parts.join("/")
}

fn in_order(cell: &Cell, outcome: &Outcome) -> Result<(), String> {
    if outcome.ended != Ended::Completed {
        return Err(format!("{}: the run was cut short", cell.id));
    }
    match outcome.audit.broken.first() {
        Some(broken) => Err(format!("{}: {broken}", cell.id)),
        None => Ok(()),
    }
}
