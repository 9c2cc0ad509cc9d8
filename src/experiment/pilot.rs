//! Pilot runs that find where the warm-up of each point ends.

use rayon::prelude::*;

use super::file::WarmUp;
use super::prepare::{Notes, Point, Prepared, Problem, key_of};
use crate::model::compile;
use crate::result::settled;
use crate::run::{Outcome, Unwatched, replicate};
use crate::units::Duration;

/// Sets the warm-up of every point to where MSER-5 finds it to end, in pilots as long as the warm-up
/// and the measured time of the topology together. Where they are too short to tell, the warm-up of
/// the topology stays, and the answer says so.
pub(super) fn warm_up(
    prepared: &mut Prepared<'_>,
    pilots: u32,
    notes: &dyn Notes,
) -> Result<(), Problem> {
    let found: Result<Vec<Option<Duration>>, Problem> =
        prepared.points.par_iter().map(|point| one(prepared, point, pilots, notes)).collect();
    for (index, warmup) in found?.into_iter().enumerate() {
        match warmup {
            Some(warmup) => prepared.points[index].sets.push(format!("run.warmup={}ps", warmup.0)),
            None => prepared.unsettled.push(index),
        }
    }
    Ok(())
}

fn one(
    prepared: &Prepared<'_>,
    point: &Point,
    pilots: u32,
    notes: &dyn Notes,
) -> Result<Option<Duration>, Problem> {
    let wrong =
        |loaded: crate::topology::Loaded| Problem::Wrong(loaded.diagnostics, loaded.sources);
    let (loaded, _) = prepared.load(point);
    let Some(topology) = &loaded.topology else { return Err(wrong(loaded)) };
    let length = topology.run.warmup + topology.run.duration;
    let mut pilot = point.clone();
    pilot.sets.push("run.warmup=0s".into());
    pilot.sets.push(format!("run.duration={}ps", length.0));
    let (loaded, recordings) = prepared.load(&pilot);
    let Some(topology) = &loaded.topology else { return Err(wrong(loaded)) };
    let key = key_of(&loaded, &recordings);
    let name = format!("warmup-{key}-{pilots}-{}", topology.run.seed);
    if let Some(text) = notes.note(&name) {
        return Ok(text.trim().parse().ok().map(Duration));
    }
    let model = compile(topology);
    // Pilots are not among the replications: their numbers come from the other end.
    let run = |number: u32| replicate(&model, u32::MAX - number, &mut Unwatched);
    let outcomes: Vec<Outcome> = (0..pilots).map(run).collect();
    let warmup = settled(&outcomes);
    notes.keep(&name, &warmup.map_or("unsettled".into(), |it| it.0.to_string()));
    Ok(warmup)
}

impl Prepared<'_> {
    /// Sets the warm-ups that a rule found when a plan was made, from the notes beside it.
    pub(super) fn restore_warm_ups(&mut self, folder: &std::path::Path) -> Result<(), Problem> {
        let Some(WarmUp::Mser5(rule)) = self.experiment.warmup.clone() else { return Ok(()) };
        let store = super::store::Store::open(folder)
            .map_err(|error| Problem::Failed(format!("cannot open the plan: {error}")))?;
        warm_up(self, rule.pilots, &store)
    }
}
