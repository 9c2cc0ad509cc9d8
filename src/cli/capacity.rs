//! `loadbearing capacity`

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Args, ValueEnum};
use loadbearing::experiment::Scaling;
use loadbearing::experiment::capacity::{
    AtLoad, Capacity, Failed, Search, at_load, capacity as seek,
};
use loadbearing::model::{Model, compile};
use loadbearing::report::capacity::{
    COLUMNS, LoadOf, TABLE, capacity as told, capacity_to_json, to_csv,
};
use loadbearing::report::folder::{self, Content, MANIFEST};
use loadbearing::report::manifest::{ColumnRecord, Described, Manifest, Request, input_path};
use loadbearing::report::page::capacity_page;
use loadbearing::report::{Written, as_written};
use loadbearing::topology::{self, DefaultInForce, ReadText};

use super::options::{Outlet, Settings, said_again};
use super::progress::Bar;
use super::study::{check_folder, default_folder, stem};
use super::{Failure, diagnose, say, style_of_stdout};

/// Finds the largest load that meets the objectives, with an interval
///
/// Scales the population of [users] or the rate of [arrivals] until the objectives fail, for each
/// replication on its own random numbers. Says what fails just above, what gives first and next
/// there, at which loads components are 75, 85, 95 and 100 % full, and how far the file's own load
/// is from it. Writes manifest.toml and capacity.csv, a row for every load that was tried.
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing capacity shop.toml
  loadbearing capacity shop.toml --slo 'p95<500ms' --slo 'errors<1%'
  loadbearing capacity shop.toml --at 2000              the headroom at 2,000 users
  loadbearing capacity shop.toml --of rate --replications 10 --duration 5min
  loadbearing capacity shop.toml --json --no-files | jq .capacity.estimate

Exit code 99 says that the file's own load, or that of --at, does not meet the objectives.")]
pub struct Arguments {
    /// The topology file
    file: String,
    /// What must hold, as 'errors<1%' or 'p95<500ms', instead of the file's objectives; can be said many times
    #[arg(long, value_name = "OBJECTIVE")]
    slo: Vec<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    settings: Settings,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Work")]
    threads: Option<u16>,
    #[command(flatten)]
    outlet: Outlet,
}

/// What is said about loads.
#[derive(Args, Clone)]
struct How {
    /// In what the load is said [default: users of a population, else rate]
    #[arg(long, value_enum)]
    of: Option<Of>,
    /// Says how much room there is at this load, as 2000/s, or 2000 for users
    #[arg(long, value_name = "LOAD")]
    at: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Of {
    /// Users of a closed population, who think between answer and request
    Users,
    /// Requests begun a second
    Rate,
    /// Visits begun a second
    Visits,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { file, slo, how, settings, threads, outlet } = arguments;
    let mut sets = settings.sets();
    if !slo.is_empty() {
        let objectives = toml::Value::from(slo.clone());
        sets.push(format!("objectives={objectives}"));
    }
    let files = vec![file.clone()];
    let options = how.words();
    let request = Request { command: "capacity", options, files, sets, ..Request::default() };
    let sought = Sought::load(request, how, &mut diagnose::read)?;
    let folder = outlet
        .output
        .clone()
        .unwrap_or_else(|| default_folder(&format!("{}-capacity", stem(file))));
    if !outlet.no_files {
        check_folder(&folder)?;
    }
    let done = sought.seek(threads.map(usize::from), outlet.quiet)?;
    if !outlet.no_files {
        done.write(&folder)?;
    }
    let asked = (done.sought.of, done.asked.as_ref());
    if outlet.json {
        say(&format!("{:#}\n", capacity_to_json(&done.found, asked.0, asked.1)))?;
    } else if !outlet.quiet {
        let again = done.sought.request.command_line();
        let written =
            Written { folder: (!outlet.no_files).then_some(folder.as_path()), again: &again };
        say(&told(&stem(file), &done.found, asked, &written, style_of_stdout()))?;
    }
    done.verdict()
}

/// A capacity again, from its manifest.
pub fn again(
    request: Request,
    read: ReadText<'_>,
    threads: Option<usize>,
    quiet: bool,
) -> Result<Done, Failure> {
    let how: How = said_again(&request)?;
    Sought::load(request, &how, read)?.seek(threads, quiet)
}

impl How {
    /// The same again, word by word.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(of) = self.of.and_then(|of| of.to_possible_value()) {
            words.extend(["--of".to_string(), of.get_name().to_string()]);
        }
        words.extend(self.at.iter().flat_map(|at| ["--at".to_string(), at.clone()]));
        words
    }
}

/// A topology whose capacity is asked for.
pub struct Sought {
    request: Request,
    scaling: Scaling,
    of: LoadOf,
    /// The load that is asked about.
    at: Option<f64>,
    defaults: Vec<DefaultInForce>,
    /// Every file that was read, with its text.
    texts: BTreeMap<String, String>,
}

/// A topology with its capacity.
pub struct Done {
    sought: Sought,
    found: Capacity,
    /// All replications at the load that was asked about.
    asked: Option<AtLoad>,
}

/// A load as it is typed: `2000/s`, or `2000` users.
fn load(text: &str, of: LoadOf) -> Result<f64, Failure> {
    let wrong = |why: String| Err(Failure::Usage(why));
    let bare = text.strip_suffix("/s").unwrap_or(text).replace('_', "");
    let Some(load) = bare.trim().parse::<f64>().ok().filter(|it| *it > 0.0 && it.is_finite())
    else {
        return wrong(format!(
            "`{text}` is no load\n  help: write `--at 2000/s`, or `--at 2000` users"
        ));
    };
    match (of, text.ends_with("/s")) {
        (LoadOf::Users, true) => wrong(format!(
            "the load is said in users\n  help: write `--at {load}`, or add `--of rate`"
        )),
        (LoadOf::Rate | LoadOf::Visits, false) => wrong(format!(
            "the load is said in {} a second\n  help: write `--at {load}/s`",
            if of == LoadOf::Rate { "requests" } else { "visits" }
        )),
        _ => Ok(load),
    }
}

/// In what the load is said, which must be something that the file has.
fn load_of(wanted: Option<Of>, closed: bool, visits: bool) -> Result<LoadOf, Failure> {
    let wrong = |why: &str| Err(Failure::Usage(why.into()));
    match wanted {
        None if closed => Ok(LoadOf::Users),
        None | Some(Of::Rate) => Ok(LoadOf::Rate),
        Some(Of::Users) if closed => Ok(LoadOf::Users),
        Some(Of::Users) => wrong(
            "an open stream has no population\n  help: write `--of rate`, or describe [users] \
             instead of [arrivals]",
        ),
        Some(Of::Visits) if visits => Ok(LoadOf::Visits),
        Some(Of::Visits) => wrong(
            "the file does not say how long a visit is, so none ever begins\n  help: give \
             [users] or [arrivals] a `visit`, as `visit = \"10min\"`",
        ),
    }
}

impl Sought {
    /// Reads the file of a request; says all that is wrong with it.
    fn load(request: Request, how: &How, read: ReadText<'_>) -> Result<Sought, Failure> {
        let file = request.files.first().ok_or(Failure::WrongFile)?;
        let mut texts = BTreeMap::new();
        let loaded = topology::load(file, &request.sets, &mut |path| {
            let text = read(path)?;
            texts.insert(path.to_string(), text.clone());
            Ok(text)
        });
        diagnose::say_diagnostics(&loaded);
        let topology = loaded.topology.as_ref().ok_or(Failure::WrongFile)?;
        if topology.objectives.is_empty() {
            let why = format!(
                "`{file}` has no objectives, so no load would be too large\n  \
                 help: write `--slo 'latency_p95 < 500ms' --slo 'errors < 1%'`, or \
                 `objectives = [\"latency_p95 < 500ms\"]` in the file"
            );
            return Err(Failure::Usage(why));
        }
        let scaling = Scaling::of(topology).ok_or_else(|| {
            Failure::Usage(format!("nobody ever comes to `{file}`: give it a population or a rate"))
        })?;
        let visits = compile(topology).client.visit_chance > 0.0;
        let of = load_of(how.of, scaling.closed, visits)?;
        let at = how.at.as_deref().map(|text| load(text, of)).transpose()?;
        Ok(Sought { scaling, of, at, defaults: loaded.defaults, request, texts })
    }

    /// Finds the capacity, and runs the load that is asked about.
    fn seek(self, threads: Option<usize>, quiet: bool) -> Result<Done, Failure> {
        let bar = Bar::new(quiet);
        let search = Search { threads, progress: &bar };
        let found = seek(self.scaling.clone(), &search, &mut |load| self.model_at(load));
        let found = found.map_err(failure)?;
        let asked = self.at.map(|load| {
            let at = found.at_capacity.as_ref().unwrap_or(&found.at_file_load);
            let load = self.scaling.round(load / self.of.per_load(at, found.scaling.closed));
            at_load(load, &search, &mut |load| self.model_at(load)).map_err(failure)
        });
        bar.clear();
        Ok(Done { found, asked: asked.transpose()?, sought: self })
    }

    /// The model at a load.
    fn model_at(&self, load: f64) -> Option<Model> {
        let mut sets = self.request.sets.clone();
        // The file's own load is run from the file as it is.
        if load != self.scaling.load {
            sets.extend(self.scaling.sets(load));
        }
        let loaded = topology::load(&self.request.files[0], &sets, &mut |path| {
            self.texts.get(path).cloned().ok_or_else(|| "it was not read before".to_string())
        });
        if loaded.topology.is_none() {
            diagnose::say_diagnostics(&loaded);
        }
        loaded.topology.as_ref().map(compile)
    }
}

fn failure(failed: Failed) -> Failure {
    Failure::Failed(match failed {
        Failed::NoThreads(error) => error.to_string(),
        Failed::NotSound(load) => format!("the topology is not sound at a load of {load}"),
    })
}

impl Done {
    /// The digest of all replications at the capacity, or at the file's load if there is none.
    pub fn digest(&self) -> String {
        let at = self.found.at_capacity.as_ref().unwrap_or(&self.found.at_file_load);
        at.summary.digest_text()
    }

    /// The table, the report and its figures.
    pub fn contents(&self) -> Vec<Content> {
        let mut contents =
            as_written(vec![Content { path: TABLE.into(), bytes: to_csv(&self.found) }]);
        let again = self.sought.request.command_line();
        let page = capacity_page(&self.found, (self.sought.of, self.asked.as_ref()), &again);
        contents.extend(page.contents());
        contents
    }

    fn write(&self, folder: &Path) -> Result<(), Failure> {
        let mut contents = self.contents();
        let at = self.found.at_capacity.as_ref().unwrap_or(&self.found.at_file_load);
        let described = Described {
            name: &stem(&self.sought.request.files[0]),
            summary: &at.summary,
            defaults: &self.sought.defaults,
            assumptions: &at.model.assumptions,
        };
        let inputs: Vec<(String, String)> = self.sought.texts.clone().into_iter().collect();
        let mut manifest = Manifest::new(&self.sought.request, &[described], &inputs, &contents);
        let column = |it: &loadbearing::report::table::Column| ColumnRecord {
            name: it.name.into(),
            meaning: it.meaning.into(),
        };
        manifest.columns = [(TABLE.to_string(), COLUMNS.iter().map(column).collect())].into();
        contents.push(Content { path: MANIFEST.into(), bytes: manifest.to_toml().into_bytes() });
        contents.extend(inputs.into_iter().enumerate().map(|(index, (path, text))| Content {
            path: input_path(index, &path),
            bytes: text.into_bytes(),
        }));
        folder::write(folder, &contents).map_err(|error| Failure::Failed(error.to_string()))
    }

    /// How the command ends: a broken audit fails it, then whether the file's load is carried.
    fn verdict(&self) -> Result<(), Failure> {
        let found = &self.found;
        let all = std::iter::once(&found.at_file_load).chain(&found.at_capacity).chain(&self.asked);
        for at in all {
            if !at.summary.broken.is_empty() {
                let why = "the self-audit is broken, which is a bug of this program: please report";
                return Err(Failure::Failed(why.into()));
            }
        }
        let carries = self.asked.as_ref().map_or(found.carries_file_load(), AtLoad::is_met);
        if carries { Ok(()) } else { Err(Failure::NotMet) }
    }
}
