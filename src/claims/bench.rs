//! Runs what formulas need, each thing once: scenarios compiled, run, searched for their capacity.

use std::collections::BTreeMap;

use super::file::Scenario;
use crate::experiment::capacity::{Answer, Failed, Search, capacity};
use crate::experiment::{NoThreads, Plan, Progress, Scaling, replicate_all};
use crate::model::{Model, compile};
use crate::result::Summary;
use crate::run::Window;
use crate::topology::{self, Loaded, Named, Node, beside};

/// A topology with settings over it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The path of the topology file.
    pub file: String,
    /// The settings over it.
    pub sets: Vec<String>,
    /// It is one of so many alike.
    pub stands_for: u32,
}

impl Point {
    /// The point of a scenario of a claims file at a path.
    pub fn of(claims_path: &str, scenario: &Named<Scenario>) -> Point {
        Point {
            file: beside(claims_path, &scenario.spec.topology),
            sets: scenario.spec.set.clone(),
            stands_for: scenario.spec.stands_for,
        }
    }
    /// The same with more settings.
    pub fn with(&self, sets: &[String]) -> Point {
        let sets = [self.sets.as_slice(), sets].concat();
        Point { file: self.file.clone(), sets, stands_for: self.stands_for }
    }
}

/// A scenario that was compiled.
pub struct Prepared {
    /// What can be run.
    pub model: Model,
    /// The merged file, for its values.
    pub tree: Node,
    /// How its load is scaled.
    pub scaling: Option<Scaling>,
}

/// A scenario that was run.
pub struct Ran {
    /// What was measured.
    pub summary: Summary,
    /// The timelines of all replications.
    pub timelines: Vec<Vec<Window>>,
}

/// A scenario whose capacity was searched.
pub struct Sought {
    /// The largest load that each replication carries.
    pub loads: Vec<f64>,
    /// No load was too large for some, or none small enough.
    pub bounded: bool,
    /// What fails just above it, the most frequent first, and how many replications say so.
    pub limits: Vec<(String, usize)>,
    /// What was measured there, or at the file's load where none is carried.
    pub at: Summary,
    /// The load is a population.
    pub closed: bool,
}

/// What goes wrong before anything is judged.
#[derive(Debug)]
pub enum Trouble {
    /// A topology is wrong; its diagnostics say how.
    Wrong(Box<Loaded>),
    /// Something else, in words.
    Other(String),
}

/// Everything that has been prepared, run or sought so far.
pub struct Bench<'a> {
    /// Texts of files.
    pub read: &'a dyn Fn(&str) -> Result<String, String>,
    /// Settings over everything, after those of scenarios.
    pub over: Vec<String>,
    /// Threads; nothing for as many as there are cores.
    pub threads: Option<usize>,
    /// Is told how far it has come.
    pub progress: &'a dyn Progress,
    prepared: BTreeMap<Point, Prepared>,
    ran: BTreeMap<Point, Ran>,
    sought: BTreeMap<Point, Sought>,
}

/// Runs of at most so many replications are in memory at once.
const AT_ONCE: usize = 8;

impl<'a> Bench<'a> {
    /// An empty bench.
    pub fn new(
        read: &'a dyn Fn(&str) -> Result<String, String>,
        over: Vec<String>,
        threads: Option<usize>,
        progress: &'a dyn Progress,
    ) -> Bench<'a> {
        let (prepared, ran, sought) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Bench { read, over, threads, progress, prepared, ran, sought }
    }

    /// Compiles a point.
    ///
    /// # Errors
    /// If its topology is wrong.
    pub fn prepare(&mut self, point: &Point) -> Result<&Prepared, Trouble> {
        if !self.prepared.contains_key(point) {
            let prepared = self.load(point, &[])?;
            self.prepared.insert(point.clone(), prepared);
        }
        Ok(&self.prepared[point])
    }

    fn load(&self, point: &Point, more: &[String]) -> Result<Prepared, Trouble> {
        let sets = [point.sets.as_slice(), &self.over, more].concat();
        let loaded = topology::load(&point.file, &sets, &mut |path| (self.read)(path));
        let Some(topology) = &loaded.topology else {
            return Err(Trouble::Wrong(Box::new(loaded)));
        };
        let (model, scaling) = (compile(topology), Scaling::of(topology));
        Ok(Prepared { model, scaling, tree: loaded.tree })
    }

    /// Runs all points that have not been run.
    ///
    /// # Errors
    /// If a topology is wrong or the threads cannot be started.
    pub fn run(&mut self, points: &[Point]) -> Result<(), Trouble> {
        let mut open: Vec<Point> = Vec::new();
        for point in points {
            if !self.ran.contains_key(point) && !open.contains(point) {
                self.prepare(point)?;
                open.push(point.clone());
            }
        }
        while !open.is_empty() {
            let mut count = 0;
            let mut batch = Vec::new();
            while let Some(point) = open.pop() {
                count += self.prepared[&point].model.plan.replications as usize;
                batch.push(point);
                if count >= AT_ONCE {
                    break;
                }
            }
            self.run_batch(batch)?;
        }
        Ok(())
    }

    fn run_batch(&mut self, batch: Vec<Point>) -> Result<(), Trouble> {
        let models: Vec<&Model> = batch.iter().map(|point| &self.prepared[point].model).collect();
        let plan = Plan { threads: self.threads, precision: None, progress: self.progress };
        let outcomes = replicate_all(&models, &plan).map_err(no_threads)?;
        let mut done = Vec::new();
        for (model, outcomes) in models.iter().zip(outcomes) {
            let summary = Summary::new(model, &outcomes);
            if let Some(broken) = summary.broken.first() {
                return Err(Trouble::Other(format!("the self-audit is broken: {broken}")));
            }
            let timelines = outcomes.into_iter().map(|outcome| outcome.windows).collect();
            done.push(Ran { summary, timelines });
        }
        self.ran.extend(batch.into_iter().zip(done));
        Ok(())
    }

    /// Searches the capacity of a point.
    ///
    /// # Errors
    /// If a topology is wrong, has no objectives or no load, or the threads cannot be started.
    pub fn seek(&mut self, point: &Point) -> Result<(), Trouble> {
        if self.sought.contains_key(point) {
            return Ok(());
        }
        let prepared = self.prepare(point)?;
        if prepared.model.objectives.is_empty() {
            let why = format!("`{}` has no objectives, so it has no capacity", point.file);
            return Err(Trouble::Other(why));
        }
        let Some(scaling) = prepared.scaling.clone() else {
            return Err(Trouble::Other(format!("nobody ever comes to `{}`", point.file)));
        };
        let this = &*self;
        let file_load = scaling.load;
        let mut model_at = |load: f64| {
            let more = if load == file_load { Vec::new() } else { scaling.sets(load) };
            this.load(point, &more).ok().map(|prepared| prepared.model)
        };
        let search = Search { threads: self.threads, progress: self.progress };
        let found = capacity(scaling.clone(), &search, &mut model_at).map_err(|it| match it {
            Failed::NoThreads(error) => no_threads(error),
            Failed::NotSound(load) => {
                Trouble::Other(format!("`{}` is not sound at a load of {load}", point.file))
            }
        })?;
        let replications = found.at_file_load.model.plan.replications;
        let largest = |number: u32| {
            let own = || found.trials.iter().filter(move |trial| trial.replication == number);
            let unmet = own().filter(|it| !it.met()).map(|it| it.load).min_by(f64::total_cmp);
            let below = |load: f64| unmet.is_none_or(|unmet| load < unmet);
            let met = own().filter(|it| it.met() && below(it.load)).map(|it| it.load);
            match (met.max_by(f64::total_cmp), unmet) {
                (Some(met), Some(unmet)) if found.scaling.closed => (met + (unmet - 1.0)) / 2.0,
                (Some(met), Some(unmet)) => (met + unmet) / 2.0,
                (Some(met), None) => met,
                (None, _) => 0.0,
            }
        };
        let at = found.at_capacity.as_ref().unwrap_or(&found.at_file_load);
        let sought = Sought {
            loads: (0..replications).map(largest).collect(),
            bounded: matches!(found.answer, Answer::Found(_)),
            limits: found.limits.clone(),
            at: at.summary.clone(),
            closed: found.scaling.closed,
        };
        self.sought.insert(point.clone(), sought);
        Ok(())
    }

    /// What was prepared.
    pub fn prepared(&self, point: &Point) -> Option<&Prepared> {
        self.prepared.get(point)
    }
    /// What was run.
    pub fn ran(&self, point: &Point) -> Option<&Ran> {
        self.ran.get(point)
    }
    /// What was sought.
    pub fn sought(&self, point: &Point) -> Option<&Sought> {
        self.sought.get(point)
    }
    /// Runs and searches so far, and the events of the runs.
    pub fn work(&self) -> (usize, usize) {
        (self.ran.len(), self.sought.len())
    }
}

fn no_threads(error: NoThreads) -> Trouble {
    Trouble::Other(error.to_string())
}
