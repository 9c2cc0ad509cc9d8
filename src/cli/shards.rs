//! `loadbearing sweep plan`, `run`, `status`, `merge` and `script`: a sweep on many machines.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use loadbearing::experiment::findings::Findings;
use loadbearing::experiment::plan::{self, Chunk, Planned};
use loadbearing::experiment::prepare::{Files, Prepared};
use loadbearing::experiment::store::Rows;
use loadbearing::experiment::sweep::on_threads;
use loadbearing::experiment::{Progress, Silent};
use loadbearing::report::manifest::{Request, quoted};

use super::options::Outlet;
use super::progress::Bar;
use super::study::{check_folder, default_folder, stem};
use super::sweep::{Work, failure, finish, held, open, prepare};
use super::{Failure, diagnose, say};

/// Cuts a sweep into chunks that any number of machines can run
///
/// One run is timed to choose the size of a chunk, some 30 s of computing. What is finished already
/// is not planned again.
#[derive(Args)]
pub struct Plan {
    /// The experiment file
    pub file: String,
    #[command(flatten)]
    pub work: Work,
    /// Runs to a chunk [default: 30 s of computing]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub chunk_runs: Option<u32>,
}

/// Runs chunks of a plan and publishes each when it is done; skips those that are there
#[derive(Args)]
pub struct Run {
    /// The folder of the plan
    folder: PathBuf,
    /// Every N-th chunk, from the i-th: 0/8 to 7/8
    #[arg(long, value_name = "i/N", value_parser = shard, conflicts_with = "chunk")]
    shard: Option<(usize, usize)>,
    /// These chunks alone, by number or name; can be said many times
    #[arg(long, value_name = "CHUNK")]
    chunk: Vec<String>,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Shows no progress
    #[arg(long)]
    quiet: bool,
}

/// Says how far a plan has come
#[derive(Args)]
pub struct Status {
    /// The folder of the plan
    folder: PathBuf,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    /// Prints the names of the chunks that are missing, one a line
    #[arg(long, conflicts_with = "json")]
    missing: bool,
}

/// Folds the chunks of a plan into the tables that one machine would have written
#[derive(Args)]
pub struct Merge {
    /// The folder of the plan
    folder: PathBuf,
    #[command(flatten)]
    outlet: Outlet,
}

/// Prints a job file that runs a plan
#[derive(Args)]
pub struct Script {
    /// For whom
    #[arg(value_enum)]
    scheduler: Scheduler,
    /// The folder of the plan, on storage that all machines share
    folder: PathBuf,
    /// Shards
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    shards: u32,
    /// Cores for each shard
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    cores: u16,
    /// The image that has the program (Kubernetes)
    #[arg(long, value_name = "IMAGE", default_value = "loadbearing:latest")]
    image: String,
    /// The volume claim that holds the plan (Kubernetes)
    #[arg(long, value_name = "CLAIM", default_value = "loadbearing")]
    claim: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scheduler {
    /// A job array of Slurm
    Slurm,
    /// An Indexed Job of Kubernetes
    K8s,
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(index, of)| {
        Some((index.trim().parse::<usize>().ok()?, of.trim().parse::<usize>().ok()?))
    });
    match parts {
        Some((index, of)) if index < of => Ok((index, of)),
        Some((_, of)) if of > 0 => Err(format!("shards of {of} are 0/{of} to {}/{of}", of - 1)),
        _ => Err("write the number of the shard and how many there are, as 0/8".into()),
    }
}

/// A chunk takes this long (s), if nobody says how many runs it has: enough that the cost of a task
/// is noise even under Slurm, short enough that little is lost with a machine.
const CHUNK_S: f64 = 30.0;

/// Plans a sweep; what a store has already is left out.
pub fn plan(arguments: &Plan) -> Result<(), Failure> {
    let (planned, per_run_s) = make_plan(arguments)?;
    let folder = arguments.work.folder(&arguments.file);
    let folder = quoted(&folder.display().to_string());
    let mut text = format!(
        "{} points, {} runs to make in {} chunks\n",
        planned.points, planned.runs, planned.chunks
    );
    if let Some(seconds) = per_run_s.filter(|_| planned.runs > 0) {
        text.push_str(&format!(
            "a run takes about {seconds:.3} s here: {:.2} core hours in all\n",
            seconds * planned.runs as f64 / 3_600.0
        ));
    }
    if planned.chunks > 0 {
        text.push_str(&format!(
            "run:    loadbearing sweep run {folder} --shard 0/{}\n",
            planned.chunks.min(100)
        ));
    }
    text.push_str(&format!("status: loadbearing sweep status {folder}\n"));
    text.push_str(&format!("merge:  loadbearing sweep merge {folder}\n"));
    say(&text)
}

/// Makes the plan, and says how long a run takes if one was timed.
pub fn make_plan(arguments: &Plan) -> Result<(plan::Plan, Option<f64>), Failure> {
    let Plan { file, work, chunk_runs } = arguments;
    let folder = work.folder(file);
    let store = open(&folder)?;
    let sets = work.settings.sets();
    let disk = |path: &str| diagnose::read(path);
    let make = || {
        let prepared = prepare(file, &sets, &disk, &store)?;
        let rows = held(Some(&store), &prepared)?;
        let (size, timed) = match chunk_runs {
            Some(count) => (*count as usize, None),
            None => time_one(&prepared, &rows)?,
        };
        let plan = plan::write(&folder, file, &sets, &prepared, &rows, size).map_err(failure)?;
        Ok((plan, timed))
    };
    on_threads(work.threads(), make).map_err(|error| Failure::Failed(error.to_string()))?
}

/// How many runs take as long as a chunk should, by one run of the middle point.
fn time_one(prepared: &Prepared<'_>, rows: &Rows) -> Result<(usize, Option<f64>), Failure> {
    let missing = prepared.missing(rows);
    let Some(middle) = missing.get(missing.len() / 2) else { return Ok((1, None)) };
    let started = Instant::now();
    prepared.run(&[*middle], None, &Silent).map_err(failure)?;
    let seconds = started.elapsed().as_secs_f64().max(1e-6);
    Ok((((CHUNK_S / seconds) as usize).clamp(1, 10_000), Some(seconds)))
}

/// Runs the chunks of a shard.
pub fn run(arguments: &Run) -> Result<(), Failure> {
    let head = plan::head(&arguments.folder).map_err(failure)?;
    let read = plan::reader(arguments.folder.clone(), &head);
    let bar = Bar::new(arguments.quiet);
    let work = || {
        let planned = plan::open(&arguments.folder, head, Files::new(&read)).map_err(failure)?;
        let mut made = 0;
        let chunks = chosen(&planned, arguments)?;
        for chunk in &chunks {
            made += usize::from(planned.run(chunk, &bar as &dyn Progress).map_err(failure)?);
        }
        Ok((made, chunks.len()))
    };
    let threads = arguments.threads.map(usize::from);
    let (made, all) =
        on_threads(threads, work).map_err(|error| Failure::Failed(error.to_string()))??;
    bar.clear();
    if arguments.quiet { Ok(()) } else { say(&format!("{made} of {all} chunks were to be run\n")) }
}

fn chosen<'p>(planned: &'p Planned<'_>, arguments: &Run) -> Result<Vec<&'p Chunk>, Failure> {
    if arguments.chunk.is_empty() {
        let (index, of) = arguments.shard.unwrap_or((0, 1));
        return Ok(planned.shard(index, of).collect());
    }
    let find = |wanted: &String| {
        let by_number = wanted.parse::<usize>().ok().and_then(|it| planned.chunks.get(it));
        let by_name = || planned.chunks.iter().find(|chunk| chunk.name == *wanted);
        by_number
            .or_else(by_name)
            .ok_or_else(|| Failure::Usage(format!("the plan has no chunk `{wanted}`")))
    };
    arguments.chunk.iter().map(find).collect()
}

/// Says how far a plan has come.
pub fn status(arguments: &Status) -> Result<(), Failure> {
    let head = plan::head(&arguments.folder).map_err(failure)?;
    let read = plan::reader(arguments.folder.clone(), &head);
    let planned = plan::open(&arguments.folder, head, Files::new(&read)).map_err(failure)?;
    let missing: Vec<&Chunk> =
        planned.chunks.iter().filter(|chunk| !planned.store.has(&chunk.name)).collect();
    let runs: usize = missing.iter().map(|chunk| chunk.runs.len()).sum();
    if arguments.missing {
        let names: String = missing.iter().map(|chunk| format!("{}\n", chunk.name)).collect();
        return say(&names);
    }
    let all = planned.chunks.len();
    if arguments.json {
        let status = serde_json::json!({
            "chunks": all, "chunks_missing": missing.len(),
            "runs": planned.plan.runs, "runs_missing": runs,
            "complete": missing.is_empty(),
        });
        return say(&format!("{status:#}\n"));
    }
    let word = if missing.is_empty() { "complete" } else { "not complete" };
    say(&format!(
        "{word}: {} of {all} chunks are there, {runs} of {} runs are missing\n",
        all - missing.len(),
        planned.plan.runs
    ))
}

/// Folds what is there into tables.
pub fn merge(arguments: &Merge) -> Result<(), Failure> {
    let head = plan::head(&arguments.folder).map_err(failure)?;
    let file = head.experiment.clone();
    let sets = head.sets.clone();
    let read = plan::reader(arguments.folder.clone(), &head);
    let planned = plan::open(&arguments.folder, head, Files::new(&read)).map_err(failure)?;
    let output = arguments.outlet.output.clone().unwrap_or_else(|| default_folder(&stem(&file)));
    if !arguments.outlet.no_files {
        check_folder(&output)?;
    }
    let rows = held(Some(&planned.store), &planned.prepared)?;
    let missing = planned.prepared.missing(&rows).len();
    if missing > 0 {
        let more = match planned.prepared.experiment.precision {
            Some(_) => "run the missing chunks, or plan again: more are wanted for the precision",
            None => "`loadbearing sweep status` tells which chunks are missing",
        };
        return Err(Failure::Failed(format!("{missing} runs are missing\n  help: {more}")));
    }
    let found = Findings::new(&file, &planned.prepared, &rows).map_err(failure)?;
    let request = Request { command: "sweep", files: vec![file], sets, ..Request::default() };
    finish(&request, &planned.prepared, &found, &arguments.outlet, &output)
}

/// Prints a job file.
pub fn script(arguments: &Script) -> Result<(), Failure> {
    let head = plan::head(&arguments.folder).map_err(failure)?;
    let shards = (arguments.shards as usize).min(head.chunks.max(1));
    let name = stem(&head.experiment);
    say(&match arguments.scheduler {
        Scheduler::Slurm => slurm(arguments, shards, &name),
        Scheduler::K8s => kubernetes(arguments, shards, &name),
    })
}

fn slurm(arguments: &Script, shards: usize, name: &str) -> String {
    let folder = quoted(&arguments.folder.display().to_string());
    let cores = arguments.cores;
    format!(
        "#!/bin/bash\n\
         # A sweep as a job array: sbatch this file. An element that is lost is simply run again\n\
         # (sbatch --array=N this file): what is there already is skipped.\n\
         # A cluster's MaxArraySize (1001 unless it is set) limits the number of elements.\n\
         #SBATCH --job-name=loadbearing-{name}\n\
         #SBATCH --array=0-{last}\n\
         #SBATCH --ntasks=1\n\
         #SBATCH --cpus-per-task={cores}\n\
         #SBATCH --requeue\n\
         #SBATCH --output=loadbearing-{name}-%A-%a.log\n\
         set -euo pipefail\n\
         exec loadbearing sweep run {folder} --shard \"$SLURM_ARRAY_TASK_ID/{shards}\" \\\n    \
         --threads {cores} --quiet\n\
         # Afterwards: loadbearing sweep merge {folder}\n",
        last = shards - 1,
    )
}

/// A name as Kubernetes takes it (RFC 1123).
fn label(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(plain).collect::<String>().trim_matches('-').to_string()
}

fn kubernetes(arguments: &Script, shards: usize, name: &str) -> String {
    let Script { folder, cores, image, claim, .. } = arguments;
    let folder = folder.display();
    let parallel = shards.min(100);
    let label = label(name);
    format!(
        "# A sweep as an Indexed Job: kubectl apply -f this file. A pod that is lost is started\n\
         # again, and skips what is there already.\n\
         apiVersion: batch/v1\n\
         kind: Job\n\
         metadata:\n  name: loadbearing-{label}\n\
         spec:\n  completionMode: Indexed\n  completions: {shards}\n  parallelism: {parallel}\n  \
         backoffLimitPerIndex: 3\n  template:\n    spec:\n      restartPolicy: Never\n      \
         containers:\n        - name: sweep\n          image: {image:?}\n          \
         command: [\"sh\", \"-c\"]\n          args:\n            - >-\n              \
         exec loadbearing sweep run \"$PLAN\"\n              \
         --shard \"$JOB_COMPLETION_INDEX/{shards}\" --threads {cores} --quiet\n          \
         env:\n            - name: PLAN\n              value: {folder:?}\n          \
         resources:\n            requests: {{ cpu: \"{cores}\" }}\n            \
         limits: {{ cpu: \"{cores}\" }}\n          \
         volumeMounts:\n            - name: plan\n              mountPath: {folder:?}\n              \
         subPath: {stem:?}\n      \
         volumes:\n        - name: plan\n          persistentVolumeClaim:\n            \
         claimName: {claim:?}\n\
         # Afterwards, where the volume is mounted: loadbearing sweep merge {folder}\n",
        folder = folder.to_string(),
        stem = arguments
            .folder
            .file_name()
            .map(|it| it.to_string_lossy().into_owned())
            .unwrap_or_default(),
    )
}
