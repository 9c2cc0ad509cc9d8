//! `loadbearing sweep`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use loadbearing::experiment::file::read;
use loadbearing::experiment::findings::Findings;
use loadbearing::experiment::prepare::{Files, Notes, Prepared, Problem};
use loadbearing::experiment::store::{NoNotes, Rows, Store};
use loadbearing::experiment::sweep::on_threads;
use loadbearing::report::folder::{self, Content, MANIFEST};
use loadbearing::report::manifest::{Manifest, Request, input_path};
use loadbearing::report::page::sweep_page;
use loadbearing::report::sheet::{Sheet, described};
use loadbearing::report::sweep::{sheets, summary, to_json, told};
use loadbearing::report::sweep_page::page;

use super::options::{Outlet, Settings};
use super::progress::Bar;
use super::study::{check_folder, default_folder, stem};
use super::{Failure, diagnose, engine, say, shards, style_of_stdout};

/// Answers the question of an experiment file: every point, every replication, with intervals
///
/// Finished runs are kept in a folder beside the output, whole or not at all: whoever stops a sweep,
/// however rudely, starts it again and loses a second of work; whoever adds points or replications
/// finds the earlier ones. The final tables have the same bytes either way.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  loadbearing sweep experiments/pool-size.toml
  loadbearing sweep experiments/pool-size.toml --replications 20    keeps those it has
  loadbearing sweep experiments/pool-size.toml --engine dask://scheduler:8786
  loadbearing sweep plan experiments/pool-size.toml                 for many machines:
  loadbearing sweep run output/pool-size.work --shard 3/100         on each of them
  loadbearing sweep status output/pool-size.work
  loadbearing sweep merge output/pool-size.work
  loadbearing sweep script slurm output/pool-size.work > sweep.sbatch")]
pub struct Arguments {
    #[command(subcommand)]
    step: Option<Step>,
    /// The experiment file
    #[arg(required = true)]
    file: Option<String>,
    #[command(flatten)]
    work: Work,
    /// Writes a page with the answer in sentences and the points, and its table beside it as CSV
    #[arg(long, value_name = "FILE.md", help_heading = "Output")]
    page: Option<PathBuf>,
    /// Who runs it: `local`, or a Dask scheduler, as dask://host:8786
    #[arg(long, value_name = "ENGINE", default_value = "local", value_parser = engine::parse, help_heading = "Work")]
    engine: engine::Engine,
    #[command(flatten)]
    outlet: Outlet,
}

#[derive(Subcommand)]
enum Step {
    Plan(shards::Plan),
    Run(shards::Run),
    Status(shards::Status),
    Merge(shards::Merge),
    Script(shards::Script),
}

/// What is run, and where finished runs are kept.
#[derive(Args)]
pub struct Work {
    #[command(flatten)]
    pub settings: Settings,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Work")]
    pub threads: Option<u16>,
    /// The folder for finished runs [default: output/NAME.work]
    #[arg(long, value_name = "DIR", help_heading = "Work")]
    pub work: Option<PathBuf>,
}

impl Work {
    /// The folder for finished runs of an experiment.
    pub fn folder(&self, file: &str) -> PathBuf {
        self.work.clone().unwrap_or_else(|| default_folder(&format!("{}.work", stem(file))))
    }
    /// Threads, as an experiment takes them.
    pub fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.step {
        Some(Step::Plan(step)) => shards::plan(step),
        Some(Step::Run(step)) => shards::run(step),
        Some(Step::Status(step)) => shards::status(step),
        Some(Step::Merge(step)) => shards::merge(step),
        Some(Step::Script(step)) => shards::script(step),
        None => sweep(arguments),
    }
}

fn sweep(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { file, work, outlet, .. } = arguments;
    let file = file.as_deref().unwrap_or_default();
    let output = outlet.output.clone().unwrap_or_else(|| default_folder(&stem(file)));
    if !outlet.no_files {
        check_folder(&output)?;
    }
    if let engine::Engine::Dask(scheduler) = &arguments.engine {
        engine::run_on_dask(scheduler, file, work, outlet.quiet)?;
    }
    let store = match outlet.no_files {
        true => None,
        false => Some(open(&work.folder(file))?),
    };
    let sets = work.settings.sets();
    let disk = |path: &str| diagnose::read(path);
    let bar = Bar::new(outlet.quiet);
    let (prepared, found) = answer(file, &sets, &disk, store.as_ref(), work.threads(), &bar)?;
    bar.clear();
    if let Some(path) = &arguments.page {
        write_page(path, file, &prepared, &found)?;
    }
    let request =
        Request { command: "sweep", files: vec![file.into()], sets, ..Request::default() };
    finish(&request, &prepared, &found, outlet, &output)
}

/// Writes the answer as a page, and the points as a table beside it.
fn write_page(
    path: &Path,
    file: &str,
    prepared: &Prepared<'_>,
    found: &Findings,
) -> Result<(), Failure> {
    let name = stem(&path.to_string_lossy());
    let name = name.strip_suffix(".md").unwrap_or(&name);
    let write = |path: &Path, bytes: &[u8]| {
        std::fs::write(path, bytes)
            .map_err(|error| Failure::Failed(format!("`{}`: {error}", path.display())))
    };
    write(path, page(name, file, prepared, found).as_bytes())?;
    let table = summary(prepared, found).to_csv();
    write(&path.with_file_name(format!("{name}.csv")), &table.bytes)
}

/// The store in a folder.
pub fn open(folder: &Path) -> Result<Store, Failure> {
    Store::open(folder)
        .map_err(|error| Failure::Failed(format!("cannot open `{}`: {error}", folder.display())))
}

/// Says what went wrong.
pub fn failure(problem: Problem) -> Failure {
    match problem {
        Problem::Wrong(found, sources) => {
            diagnose::say(&found, &sources);
            Failure::WrongFile
        }
        Problem::Failed(why) => Failure::Failed(why),
    }
}

/// Reads an experiment and loads all of its points.
pub fn prepare<'a>(
    file: &str,
    sets: &[String],
    disk: &'a (dyn Fn(&str) -> Result<String, String> + Sync),
    notes: &dyn Notes,
) -> Result<Prepared<'a>, Failure> {
    let files = Files::new(disk);
    let text = files.text(file);
    let text = text.map_err(|why| Failure::Failed(format!("`{file}` cannot be read: {why}")))?;
    let found = read(file, &text);
    diagnose::say(&found.diagnostics, &found.sources);
    let experiment = found.experiment.ok_or(Failure::WrongFile)?;
    let prepared = Prepared::new(file, experiment, sets, files, notes).map_err(failure)?;
    for (doubts, sources) in &prepared.doubts {
        diagnose::say(doubts, sources);
    }
    Ok(prepared)
}

/// Runs what an experiment wants and a store does not have, and folds it.
pub fn answer<'a>(
    file: &str,
    sets: &[String],
    disk: &'a (dyn Fn(&str) -> Result<String, String> + Sync),
    store: Option<&Store>,
    threads: Option<usize>,
    bar: &Bar,
) -> Result<(Prepared<'a>, Findings), Failure> {
    let work = || {
        let notes: &dyn Notes = match store {
            Some(store) => store,
            None => &NoNotes,
        };
        let prepared = prepare(file, sets, disk, notes)?;
        let mut rows = held(store, &prepared)?;
        prepared.complete(&mut rows, store, bar).map_err(failure)?;
        let found = Findings::new(file, &prepared, &rows).map_err(failure)?;
        Ok((prepared, found))
    };
    on_threads(threads, work).map_err(|error| Failure::Failed(error.to_string()))?
}

/// The runs that a store has; chunks that are damaged are told and made again.
pub fn held(store: Option<&Store>, prepared: &Prepared<'_>) -> Result<Rows, Failure> {
    let Some(store) = store else { return Ok(Rows::new()) };
    let held = store
        .read(&prepared.columns)
        .map_err(|error| Failure::Failed(format!("cannot read finished runs: {error}")))?;
    for path in &held.damaged {
        let path = path.display();
        super::complain(&format!("warning: `{path}` is damaged; its runs are made again\n"));
    }
    Ok(held.rows)
}

/// Writes the tables of an experiment, and says what it has found.
pub fn finish(
    request: &Request,
    prepared: &Prepared<'_>,
    found: &Findings,
    outlet: &Outlet,
    output: &Path,
) -> Result<(), Failure> {
    let name = stem(&request.files[0]);
    if !outlet.no_files {
        let sheets = sheets(prepared, found);
        write(request, prepared, found, &sheets, output)?;
    }
    if outlet.json {
        say(&format!("{:#}\n", to_json(&name, prepared, found)))?;
    } else if !outlet.quiet {
        let mut text = told(&name, prepared, found, style_of_stdout());
        if !outlet.no_files {
            text.push_str(&format!("files: {}\n", output.display()));
        }
        text.push_str(&format!("again: {}\n", request.command_line()));
        say(&text)?;
    }
    if found.points.iter().flat_map(|point| &point.rows).any(|row| row.broken > 0) {
        let why = "the self-audit is broken, which is a bug of this program: please report";
        return Err(Failure::Failed(why.into()));
    }
    Ok(())
}

/// The tables, the report and its figures.
pub fn contents(
    request: &Request,
    prepared: &Prepared<'_>,
    found: &Findings,
    sheets: &[Sheet],
) -> Vec<Content> {
    let mut contents: Vec<Content> = sheets.iter().flat_map(Sheet::files).collect();
    let page = sweep_page(&stem(&request.files[0]), prepared, found, &request.command_line());
    contents.extend(page.contents());
    contents
}

fn write(
    request: &Request,
    prepared: &Prepared<'_>,
    found: &Findings,
    sheets: &[Sheet],
    output: &Path,
) -> Result<(), Failure> {
    let mut contents = contents(request, prepared, found, sheets);
    let inputs = prepared.inputs();
    let mut manifest = Manifest::new(request, &[], &inputs, &contents);
    manifest.of_experiment(prepared, found);
    manifest.columns = described(sheets);
    contents.push(Content { path: MANIFEST.into(), bytes: manifest.to_toml().into_bytes() });
    contents.extend(inputs.iter().enumerate().map(|(index, (path, text))| Content {
        path: input_path(index, path),
        bytes: text.clone().into_bytes(),
    }));
    folder::write(output, &contents).map_err(|error| Failure::Failed(error.to_string()))
}
