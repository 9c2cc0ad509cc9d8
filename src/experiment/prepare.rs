//! From an experiment to points that can be run: what is set at each, and the digest of its model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::columns::{Column, Structure, columns};
use super::design::{Chosen, Dimension, points};
use super::file::{Experiment, Seeds, Texts, WarmUp};
use crate::diagnostic::{Diagnostic, Source};
use crate::model::{Model, compile};
use crate::result::RESULTS_VERSION;
use crate::topology::{DefaultInForce, Loaded, Node, Value, beside, load};
use crate::units::Duration;

/// Which engine's numbers these are: its version, the version of its numbers, and the digests of the
/// runs that it is tested to give.
pub fn engine() -> String {
    let golden = blake3::hash(include_bytes!("../../tests/golden.txt")).to_hex();
    let version = env!("CARGO_PKG_VERSION");
    format!("loadbearing {version}, results {RESULTS_VERSION}, golden {}", &golden[..16])
}

/// What cannot be run.
#[derive(Debug)]
pub enum Problem {
    /// A file is wrong: what, and in which texts.
    Wrong(Vec<Diagnostic>, Vec<Source>),
    /// The world is wrong, in words.
    Failed(String),
}

/// Files with something recorded that a topology plays back, by path.
pub(super) type Recordings = BTreeMap<String, String>;

/// Gives the text of a file, or why there is none.
pub type ReadFile<'a> = &'a (dyn Fn(&str) -> Result<String, String> + Sync);

/// The files of an experiment, each read once.
pub struct Files<'a> {
    read: ReadFile<'a>,
    kept: Mutex<BTreeMap<String, String>>,
}

impl<'a> Files<'a> {
    /// Files that somebody reads.
    pub fn new(read: ReadFile<'a>) -> Files<'a> {
        Files { read, kept: Mutex::new(BTreeMap::new()) }
    }
    /// The text of a file.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let mut kept = self.kept.lock().map_err(|error| error.to_string())?;
        if let Some(text) = kept.get(path) {
            return Ok(text.clone());
        }
        let text = (self.read)(path)?;
        kept.insert(path.into(), text.clone());
        Ok(text)
    }
    /// Every file that was read, with its text, sorted by path.
    pub fn all(&self) -> Vec<(String, String)> {
        let kept = self.kept.lock().expect("nobody panics while holding texts");
        kept.iter().map(|(path, text)| (path.clone(), text.clone())).collect()
    }
}

/// A point of an experiment, ready to be run.
#[derive(Clone, Debug)]
pub struct Point {
    /// The value of each axis.
    pub chosen: Vec<Chosen>,
    /// The topology file.
    pub file: String,
    /// The settings over it.
    pub sets: Vec<String>,
    /// What is merged over it, in order.
    pub overlays: Vec<String>,
    /// The digest of the model: whatever could change what a run measures, but its seed.
    pub key: Arc<str>,
    /// The root of its random numbers.
    pub seed: u64,
    /// How many replications it has at first.
    pub replications: u32,
}

/// An experiment that can be run.
pub struct Prepared<'a> {
    /// What was asked.
    pub experiment: Experiment,
    /// The axes.
    pub axes: Vec<Dimension>,
    /// The points, in their order.
    pub points: Vec<Point>,
    /// What is kept of each run.
    pub columns: Vec<Column>,
    /// Seeds of the replications, where they are listed.
    pub seeds: Option<Vec<u64>>,
    /// The objectives in force, of the first point.
    pub objectives: Vec<crate::topology::Objective>,
    /// What the topologies leave open, of the first point of each.
    pub defaults: Vec<(String, Vec<DefaultInForce>)>,
    /// What their authors assumed.
    pub assumptions: Vec<(String, Vec<crate::topology::Assumption>)>,
    /// Points at which pilots were too short to find the end of the warm-up.
    pub unsettled: Vec<usize>,
    /// What is doubtful about the topologies.
    pub doubts: Vec<(Vec<Diagnostic>, Vec<Source>)>,
    files: Files<'a>,
    /// Compiled models, where there are few points.
    models: BTreeMap<usize, Model>,
}

/// With more points than this, models are compiled again where they are needed.
const KEEP_MODELS: usize = 512;

/// What a point needs of its model, once it is loaded.
struct Seen {
    key: String,
    seed: u64,
    replications: u32,
    structure: Structure,
    model: Option<Model>,
}

/// Where a rule for the warm-up keeps what it has found, so that pilots are run once.
pub trait Notes: Sync {
    /// What was found under a name.
    fn note(&self, name: &str) -> Option<String>;
    /// Keeps it.
    fn keep(&self, name: &str, text: &str);
}

impl<'a> Prepared<'a> {
    /// Loads every point of an experiment. `sets` are settings over all points, from the command line.
    ///
    /// # Errors
    /// If a file is wrong at some point; the first such point is told.
    pub fn new(
        path: &str,
        experiment: Experiment,
        sets: &[String],
        files: Files<'a>,
        notes: &dyn Notes,
    ) -> Result<Prepared<'a>, Problem> {
        let mut prepared = Prepared::bare(path, experiment, sets, files)?;
        let text = prepared.files.text(path).unwrap_or_default();
        let source = vec![Source { name: path.into(), text }];
        if let Some(WarmUp::Mser5(rule)) = prepared.experiment.warmup.clone() {
            super::pilot::warm_up(&mut prepared, rule.pilots, notes)?;
        }
        prepared.look_at_first()?;
        let keep = prepared.points.len() <= KEEP_MODELS;
        let seen: Result<Vec<Seen>, Problem> =
            prepared.points.par_iter().map(|point| prepared.see(point, keep)).collect();
        let mut structures = BTreeSet::new();
        let mut models = BTreeMap::new();
        let seen = seen?;
        for (index, seen) in seen.into_iter().enumerate() {
            let seed = match prepared.experiment.common_random_numbers {
                true => seen.seed,
                false => seed_of(seen.seed, &seen.key),
            };
            let point = &mut prepared.points[index];
            point.key = seen.key.into();
            point.seed = seed;
            point.replications =
                prepared.seeds.as_ref().map_or(seen.replications, |seeds| seeds.len() as u32);
            structures.insert(seen.structure);
            if let Some(mut model) = seen.model {
                model.plan.seed = seed;
                models.insert(index, model);
            }
        }
        prepared.models = models;
        prepared.columns = columns(&prepared.experiment, &prepared.objectives, &structures)
            .map_err(|found| Problem::Wrong(vec![found], source))?;
        Ok(prepared)
    }

    /// The points without their models: for who knows their digests already.
    ///
    /// # Errors
    /// If the design does not fit, or seeds cannot be read.
    pub fn bare(
        path: &str,
        experiment: Experiment,
        sets: &[String],
        files: Files<'a>,
    ) -> Result<Prepared<'a>, Problem> {
        let text = files.text(path).unwrap_or_default();
        let wrong = |found: Diagnostic| {
            Problem::Wrong(vec![found], vec![Source { name: path.into(), text: text.clone() }])
        };
        let axes = Dimension::all(&experiment);
        let designed = points(&experiment, &axes).map_err(wrong)?;
        let seeds = listed_seeds(path, &experiment, &files).map_err(wrong)?;
        let common = common_sets(&experiment);
        let Texts(topologies) = &experiment.topology;
        let first = topologies.first().map_or("", |file| file.value.as_str());
        let point = |chosen: Vec<Chosen>| {
            let file = chosen.iter().find_map(|it| it.file.clone()).unwrap_or(first.into());
            let own = chosen.iter().flat_map(|it| it.sets.iter().cloned());
            let all = common.iter().cloned().chain(own).chain(sets.iter().cloned());
            let overlays = experiment.overlay.iter().map(|text| text.value.clone());
            Point {
                file: beside(path, &file),
                sets: all.collect(),
                overlays: overlays
                    .chain(chosen.iter().filter_map(|it| it.overlay.clone()))
                    .collect(),
                key: "".into(),
                seed: 0,
                replications: 0,
                chosen,
            }
        };
        let points = designed.into_iter().map(point).collect();
        Ok(Prepared {
            axes,
            points,
            columns: Vec::new(),
            seeds,
            objectives: Vec::new(),
            defaults: Vec::new(),
            assumptions: Vec::new(),
            unsettled: Vec::new(),
            doubts: Vec::new(),
            files,
            models: BTreeMap::new(),
            experiment,
        })
    }

    /// Every file that was read, with its text.
    pub fn inputs(&self) -> Vec<(String, String)> {
        self.files.all()
    }

    /// Loads the topology of a point, and says what recordings it read.
    pub(super) fn load(&self, point: &Point) -> (Loaded, Recordings) {
        let mut path = point.file.clone();
        let mut overlaid = BTreeMap::new();
        for (index, overlay) in point.overlays.iter().enumerate() {
            let base = path.rsplit('/').next().unwrap_or_default().to_string();
            path = beside(&point.file, &format!("(overlay {} of {base})", index + 1));
            overlaid.insert(path.clone(), format!("extends = [{base:?}]\n{overlay}"));
        }
        let mut recordings = Recordings::new();
        let loaded = load(&path, &point.sets, &mut |path| match overlaid.get(path) {
            Some(text) => Ok(text.clone()),
            None => {
                let text = self.files.text(path)?;
                if !path.ends_with(".toml") {
                    recordings.insert(path.into(), text.clone());
                }
                Ok(text)
            }
        });
        (loaded, recordings)
    }

    /// The model of a point, with its seed.
    ///
    /// # Errors
    /// If the topology is not sound there.
    pub(super) fn model(&self, index: usize) -> Result<std::borrow::Cow<'_, Model>, Problem> {
        if let Some(model) = self.models.get(&index) {
            return Ok(std::borrow::Cow::Borrowed(model));
        }
        let point = &self.points[index];
        let (loaded, key) = self.sound(point)?;
        if *key != *point.key {
            return Err(Problem::Failed(format!(
                "point {index} is not what was planned: its files or the engine have changed"
            )));
        }
        let topology = loaded.topology.as_ref().expect("it is sound");
        let mut model = compile(topology);
        model.plan.seed = point.seed;
        Ok(std::borrow::Cow::Owned(model))
    }

    fn sound(&self, point: &Point) -> Result<(Loaded, String), Problem> {
        let (loaded, recordings) = self.load(point);
        if loaded.topology.is_none() {
            return Err(Problem::Wrong(loaded.diagnostics, loaded.sources));
        }
        let key = key_of(&loaded, &recordings);
        Ok((loaded, key))
    }

    fn see(&self, point: &Point, keep: bool) -> Result<Seen, Problem> {
        let (loaded, key) = self.sound(point)?;
        let topology = loaded.topology.as_ref().expect("it is sound");
        let model = compile(topology);
        Ok(Seen {
            key,
            seed: model.plan.seed,
            replications: model.plan.replications,
            structure: Structure::of(&model),
            model: keep.then_some(model),
        })
    }

    /// What the first point of each topology says of itself.
    pub(super) fn look_at_first(&mut self) -> Result<(), Problem> {
        let mut known = BTreeSet::new();
        for point in self.points.clone() {
            if !known.insert(point.file.clone()) {
                continue;
            }
            let (loaded, _) = self.load(&point);
            let Some(topology) = &loaded.topology else {
                return Err(Problem::Wrong(loaded.diagnostics, loaded.sources));
            };
            if self.defaults.is_empty() {
                self.objectives.clone_from(&topology.objectives);
            }
            self.defaults.push((point.file.clone(), loaded.defaults.clone()));
            self.assumptions.push((point.file.clone(), topology.assume.clone()));
            if !loaded.diagnostics.is_empty() {
                self.doubts.push((loaded.diagnostics, loaded.sources));
            }
        }
        Ok(())
    }
}

/// Settings that an experiment makes at all of its points.
fn common_sets(experiment: &Experiment) -> Vec<String> {
    let mut sets: Vec<String> = experiment.set.iter().map(|set| set.value.clone()).collect();
    if let Some(objectives) = &experiment.objectives {
        let texts: Vec<String> = objectives.iter().map(|it| it.text.clone()).collect();
        sets.push(format!("objectives={}", toml::Value::from(texts)));
    }
    let time = |key: &str, time: &Option<Duration>| {
        time.as_ref().map(|time| format!("run.{key}={}ps", time.0))
    };
    let warmup = match &experiment.warmup {
        Some(WarmUp::After(time)) => Some(*time),
        _ => None,
    };
    sets.extend(experiment.seed.map(|seed| format!("run.seed={seed}")));
    sets.extend(experiment.replications.map(|count| format!("run.replications={count}")));
    sets.extend(time("warmup", &warmup));
    sets.extend(time("duration", &experiment.duration));
    sets.extend(time("window", &experiment.window));
    sets
}

/// The seeds of an experiment that lists them.
fn listed_seeds(
    path: &str,
    experiment: &Experiment,
    files: &Files<'_>,
) -> Result<Option<Vec<u64>>, Diagnostic> {
    let (place, text) = match &experiment.seeds {
        None => return Ok(None),
        Some(Seeds::Listed(seeds)) if seeds.is_empty() => {
            (experiment.place.clone(), Err("the list is empty".to_string()))
        }
        Some(Seeds::Listed(seeds)) => return Ok(Some(seeds.clone())),
        Some(Seeds::InFile(name)) => (name.place.clone(), files.text(&beside(path, &name.value))),
    };
    let wrong = |why: String| {
        Diagnostic::error("seeds-missing", place.clone(), format!("there are no seeds: {why}"))
            .help("write one whole number a line; what follows `#` is a remark")
    };
    let text = text.map_err(wrong)?;
    let mut seeds = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let seed = line.parse::<u64>();
            seeds.push(seed.map_err(|_| wrong(format!("line {} is `{line}`", number + 1)))?);
        }
    }
    if seeds.is_empty() { Err(wrong("the file is empty".into())) } else { Ok(Some(seeds)) }
}

/// The seed of a point that shares its random numbers with no other.
fn seed_of(seed: u64, key: &str) -> u64 {
    let hash = blake3::hash(format!("{seed} {key}").as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    // Topologies write seeds as TOML's whole numbers, which have 63 bits.
    u64::from_le_bytes(first) >> 1
}

/// Keys of a topology that change no run.
const OF_NO_EFFECT: [&str; 7] =
    ["extends", "remove", "title", "source", "notes", "assume", "objectives"];
/// Keys of its `run` that say how often or how surely, not what is run.
const NOT_OF_A_RUN: [&str; 3] = ["seed", "replications", "confidence"];

/// The digest of whatever could change what a run of a topology measures, but its seed: the engine,
/// the merged file without its remarks, the defaults in force, and every recording that was read.
pub(super) fn key_of(loaded: &Loaded, recordings: &Recordings) -> String {
    let mut text = engine();
    text.push('\n');
    canonical(&loaded.tree, "", &mut text);
    for default in &loaded.defaults {
        let is_counted = !NOT_OF_A_RUN.iter().any(|key| default.path == format!("run.{key}"));
        if is_counted {
            text.push_str(&format!("\n{} = {}", default.path, default.value));
        }
    }
    for recording in recordings.values() {
        text.push_str(&format!("\n{recording}"));
    }
    blake3::hash(text.as_bytes()).to_hex()[..32].to_string()
}

/// A tree as text that does not depend on the order of the file.
fn canonical(node: &Node, path: &str, out: &mut String) {
    match &node.value {
        Value::Table(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|a, b| a.0.name.cmp(&b.0.name));
            out.push('{');
            for (key, inner) in sorted {
                let name = key.name.as_str();
                let skipped = (path.is_empty() && OF_NO_EFFECT.contains(&name))
                    || (path == "run" && NOT_OF_A_RUN.contains(&name));
                if !skipped {
                    out.push_str(&format!("{name:?}:"));
                    let inner_path = if path.is_empty() { name } else { "within" };
                    canonical(inner, inner_path, out);
                    out.push(',');
                }
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, "within", out);
                out.push(',');
            }
            out.push(']');
        }
        Value::String(text) | Value::Datetime(text) => out.push_str(&format!("{text:?}")),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&format!("{number:?}")),
        Value::Boolean(flag) => out.push_str(&flag.to_string()),
    }
}

impl Prepared<'_> {
    /// Every model is at hand.
    pub(super) fn keeps_models(&self) -> bool {
        self.models.len() == self.points.len()
    }
}
