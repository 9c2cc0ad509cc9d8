//! A sweep cut into chunks that any number of machines can run, in any order and more than once.
//!
//! The folder of a plan is all that a machine needs: the files as they were, the list of chunks, and
//! the store that chunks are published to. Nobody holds a lock and nothing is negotiated: a chunk
//! that two machines run has the same bytes, and the second one changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::columns_named;
use super::file::read;
use super::prepare::{Files, Prepared, Problem, engine};
use super::store::{Rows, Store, chunk_name, put};
use super::sweep::Wanted;

/// The head of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Which engine's numbers these will be.
    pub engine: String,
    /// The experiment file, as it was named.
    pub experiment: String,
    /// The settings over all points.
    pub sets: Vec<String>,
    /// What is kept of each run.
    pub columns: Vec<String>,
    /// How many points there are.
    pub points: usize,
    /// How many runs are planned.
    pub runs: usize,
    /// How many chunks they are cut into.
    pub chunks: usize,
    /// Every file that was read: its path, and its content beside the plan.
    pub inputs: Vec<(String, String)>,
}

/// A chunk of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Its name in the store.
    pub name: String,
    /// Its runs, in order.
    pub runs: Vec<Wanted>,
}

/// A plan that can be run.
pub struct Planned<'a> {
    /// Its head.
    pub plan: Plan,
    /// Its chunks, in order.
    pub chunks: Vec<Chunk>,
    /// Its points.
    pub prepared: Prepared<'a>,
    /// Where its chunks go.
    pub store: Store,
}

const HEAD: &str = "plan.toml";
const CHUNKS: &str = "chunks.csv";
const POINTS: &str = "points.csv";

fn failed(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Problem {
    let text = format!("cannot {what} `{}`", path.display());
    move |error| Problem::Failed(format!("{text}: {error}"))
}

/// Cuts what an experiment wants and the store of a folder does not have into chunks of so many runs,
/// and writes the plan there.
///
/// # Errors
/// If the folder cannot be written.
pub fn write(
    folder: &Path,
    path: &str,
    sets: &[String],
    prepared: &Prepared<'_>,
    rows: &Rows,
    chunk_runs: usize,
) -> Result<Plan, Problem> {
    let missing = prepared.missing(rows);
    let chunks: Vec<Chunk> = missing
        .chunks(chunk_runs.max(1))
        .map(|runs| {
            let keys: Vec<_> = runs.iter().map(|run| prepared.run_key(*run)).collect();
            Chunk { name: chunk_name(&prepared.columns, keys.iter()), runs: runs.to_vec() }
        })
        .collect();
    let inputs = prepared.inputs();
    let kept = |index: usize, path: &str| {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        format!("inputs/{:02}-{name}", index + 1)
    };
    let plan = Plan {
        engine: engine(),
        experiment: path.into(),
        sets: sets.to_vec(),
        columns: prepared.columns.iter().map(|column| column.name.clone()).collect(),
        points: prepared.points.len(),
        runs: missing.len(),
        chunks: chunks.len(),
        inputs: inputs
            .iter()
            .enumerate()
            .map(|(index, (path, _))| (path.clone(), kept(index, path)))
            .collect(),
    };
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed("create", parent))?;
        }
        put(&path, text.as_bytes()).map_err(failed("write", &path))
    };
    for ((_, text), (_, name)) in inputs.iter().zip(&plan.inputs) {
        write(name, text)?;
    }
    let mut points = String::from("point,model,seed,replications\n");
    for (index, point) in prepared.points.iter().enumerate() {
        let wanted = prepared.replications(index, rows);
        points.push_str(&format!("{index},{},{},{wanted}\n", point.key, point.seed));
    }
    write(POINTS, &points)?;
    let mut list = String::from("chunk,name,runs,what\n");
    for (index, chunk) in chunks.iter().enumerate() {
        let count = chunk.runs.len();
        list.push_str(&format!("{index},{},{count},{}\n", chunk.name, spans(&chunk.runs)));
    }
    write(CHUNKS, &list)?;
    // The head comes last: with it, the plan is complete.
    write(HEAD, &toml::to_string(&plan).expect("a plan is made of texts and numbers"))?;
    Ok(plan)
}

/// Runs in short: `3:0-9 4:0` are ten replications of point 3 and one of point 4.
fn spans(runs: &[Wanted]) -> String {
    let mut spans: Vec<(usize, u32, u32)> = Vec::new();
    for (point, number) in runs {
        match spans.last_mut() {
            Some((last, _, to)) if last == point && *to + 1 == *number => *to = *number,
            _ => spans.push((*point, *number, *number)),
        }
    }
    let text = |(point, from, to): &(usize, u32, u32)| match from == to {
        true => format!("{point}:{from}"),
        false => format!("{point}:{from}-{to}"),
    };
    spans.iter().map(text).collect::<Vec<_>>().join(" ")
}

fn runs_of(spans: &str) -> Option<Vec<Wanted>> {
    let mut runs = Vec::new();
    for span in spans.split(' ') {
        let (point, numbers) = span.split_once(':')?;
        let (from, to) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let point: usize = point.parse().ok()?;
        runs.extend((from.parse().ok()?..=to.parse().ok()?).map(|number| (point, number)));
    }
    Some(runs)
}

/// The files beside a plan, by the paths that they were read from.
fn input(folder: &Path, inputs: &[(String, String)], path: &str) -> Result<String, String> {
    let Some((_, kept)) = inputs.iter().find(|(known, _)| known == path) else {
        return Err("the plan does not hold it".into());
    };
    fs::read_to_string(folder.join(kept)).map_err(|error| error.to_string())
}

/// The head of the plan in a folder.
///
/// # Errors
/// If there is none, or it is another engine's.
pub fn head(folder: &Path) -> Result<Plan, Problem> {
    let path = folder.join(HEAD);
    let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
    let plan: Plan = toml::from_str(&text)
        .map_err(|error| Problem::Failed(format!("`{}` is no plan: {error}", path.display())))?;
    if plan.engine != engine() {
        let (was, is) = (&plan.engine, engine());
        return Err(Problem::Failed(format!(
            "the plan was made by {was}, and this is {is}: their numbers must not be mixed\n  \
             help: run `loadbearing sweep plan` again with this program"
        )));
    }
    Ok(plan)
}

/// Gives the text of a file that a plan holds.
pub fn reader(
    folder: PathBuf,
    plan: &Plan,
) -> impl Fn(&str) -> Result<String, String> + Sync + use<> {
    let inputs = plan.inputs.clone();
    move |path: &str| input(&folder, &inputs, path)
}

/// Opens the plan in a folder: its points as they were planned, without loading each.
///
/// # Errors
/// If something of it cannot be read.
pub fn open<'a>(folder: &Path, plan: Plan, files: Files<'a>) -> Result<Planned<'a>, Problem> {
    let text = files.text(&plan.experiment).map_err(Problem::Failed)?;
    let found = read(&plan.experiment, &text);
    let Some(experiment) = found.experiment else {
        return Err(Problem::Wrong(found.diagnostics, found.sources));
    };
    let mut prepared = Prepared::bare(&plan.experiment, experiment, &plan.sets, files)?;
    let damaged = |what: &str| Problem::Failed(format!("the plan's {what} is not as it was made"));
    prepared.columns = columns_named(&plan.columns).ok_or_else(|| damaged("list of columns"))?;
    let table = |name: &str| -> Result<Vec<csv::StringRecord>, Problem> {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.records().collect::<Result<_, _>>().map_err(|_| damaged(name))
    };
    let points = table(POINTS)?;
    if points.len() != prepared.points.len() {
        return Err(damaged(POINTS));
    }
    for (point, record) in prepared.points.iter_mut().zip(points) {
        let read = || -> Option<(Arc<str>, u64, u32)> {
            let number = |index: usize| record.get(index)?.parse::<u64>().ok();
            Some((record.get(1)?.into(), number(2)?, number(3)? as u32))
        };
        (point.key, point.seed, point.replications) = read().ok_or_else(|| damaged(POINTS))?;
    }
    let chunk = |record: &csv::StringRecord| -> Option<Chunk> {
        Some(Chunk { name: record.get(1)?.into(), runs: runs_of(record.get(3)?)? })
    };
    let chunks: Option<Vec<Chunk>> = table(CHUNKS)?.iter().map(chunk).collect();
    let chunks = chunks.ok_or_else(|| damaged(CHUNKS))?;
    prepared.restore_warm_ups(folder)?;
    prepared.look_at_first()?;
    let store = Store::open(folder).map_err(failed("open", folder))?;
    Ok(Planned { plan, chunks, prepared, store })
}

impl Planned<'_> {
    /// Runs a chunk and publishes it, unless it is there.
    ///
    /// # Errors
    /// If a topology is not sound, or the chunk cannot be written.
    pub fn run(&self, chunk: &Chunk, progress: &dyn super::Progress) -> Result<bool, Problem> {
        if self.store.has(&chunk.name) {
            progress.expect(chunk.runs.len());
            progress.advance(chunk.runs.len() as f64);
            return Ok(false);
        }
        let runs = self.prepared.run(&chunk.runs, None, progress)?;
        let name = self.store.publish(&self.prepared.columns, &runs);
        let name = name.map_err(failed("publish", &self.store.path(&chunk.name)))?;
        if name != chunk.name {
            return Err(Problem::Failed(format!("chunk {} turned out to be {name}", chunk.name)));
        }
        Ok(true)
    }

    /// The chunks of the so-manieth of several shards: every so-manieth chunk.
    pub fn shard(&self, index: usize, of: usize) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter().skip(index).step_by(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_in_short_read_back() {
        let runs = vec![(3, 0), (3, 1), (3, 2), (4, 0), (4, 5), (10, 6)];
        assert_eq!(spans(&runs), "3:0-2 4:0 4:5 10:6");
        assert_eq!(runs_of(&spans(&runs)), Some(runs));
        assert_eq!(runs_of("nonsense"), None);
    }
}
