//! `loadbearing capacity`

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Args, ValueEnum};
use loadbearing::experiment::Scaling;
use loadbearing::experiment::capacity::{Capacity, Failed, Search, capacity as seek};
use loadbearing::model::compile;
use loadbearing::report::Written;
use loadbearing::report::capacity::{
    COLUMNS, LoadOf, TABLE, capacity as told, capacity_to_json, to_csv,
};
use loadbearing::report::folder::{self, Content, MANIFEST};
use loadbearing::report::manifest::{ColumnRecord, Described, Manifest, Request, input_path};
use loadbearing::topology::{self, DefaultInForce, ReadText};

use super::options::{Outlet, Settings};
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
  loadbearing capacity shop.toml --slo 'latency_p95 < 500ms' --slo 'errors < 1%'
  loadbearing capacity shop.toml --of rate --replications 10 --duration 5min
  loadbearing capacity shop.toml --json --no-files | jq .capacity.estimate

Exit code 99 says that the file's own load does not meet the objectives.")]
pub struct Arguments {
    /// The topology file
    file: String,
    /// What must hold, as 'errors < 1%', instead of the file's objectives; can be said many times
    #[arg(long, value_name = "OBJECTIVE")]
    slo: Vec<String>,
    /// In what the load is said [default: users of a population, else rate]
    #[arg(long, value_enum)]
    of: Option<Of>,
    #[command(flatten)]
    settings: Settings,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    #[command(flatten)]
    outlet: Outlet,
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
    let Arguments { file, slo, of, settings, threads, outlet } = arguments;
    let mut sets = settings.sets();
    if !slo.is_empty() {
        let objectives = toml::Value::from(slo.clone());
        sets.push(format!("objectives={objectives}"));
    }
    let request = Request { command: "capacity", files: vec![file.clone()], sets, precision: None };
    let sought = Sought::load(request, &mut diagnose::read)?;
    let of = sought.load_of(*of)?;
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
    if outlet.json {
        say(&format!("{:#}\n", capacity_to_json(&done.found, of)))?;
    } else if !outlet.quiet {
        let mut again = done.sought.request.command_line();
        if let Some(of) = arguments.of.and_then(|of| of.to_possible_value()) {
            again.push_str(&format!(" --of {}", of.get_name()));
        }
        let written =
            Written { folder: (!outlet.no_files).then_some(folder.as_path()), again: &again };
        say(&told(&stem(file), &done.found, of, &written, style_of_stdout()))?;
    }
    done.verdict()
}

/// A topology whose capacity is asked for.
pub struct Sought {
    request: Request,
    scaling: Scaling,
    visits: bool,
    defaults: Vec<DefaultInForce>,
    /// Every file that was read, with its text.
    texts: BTreeMap<String, String>,
}

/// A topology with its capacity.
pub struct Done {
    sought: Sought,
    found: Capacity,
}

impl Sought {
    /// Reads the file of a request; says all that is wrong with it.
    pub fn load(request: Request, read: ReadText<'_>) -> Result<Sought, Failure> {
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
        Ok(Sought { scaling, visits, defaults: loaded.defaults, request, texts })
    }

    /// In what the load is said, which must be something that the file has.
    fn load_of(&self, wanted: Option<Of>) -> Result<LoadOf, Failure> {
        let wrong = |why: &str| Err(Failure::Usage(why.into()));
        match wanted {
            None if self.scaling.closed => Ok(LoadOf::Users),
            None | Some(Of::Rate) => Ok(LoadOf::Rate),
            Some(Of::Users) if self.scaling.closed => Ok(LoadOf::Users),
            Some(Of::Users) => wrong(
                "an open stream has no population\n  help: write `--of rate`, or describe [users] \
                 instead of [arrivals]",
            ),
            Some(Of::Visits) if self.visits => Ok(LoadOf::Visits),
            Some(Of::Visits) => wrong(
                "the file does not say how long a visit is, so none ever begins\n  help: give \
                 [users] or [arrivals] a `visit`, as `visit = \"10min\"`",
            ),
        }
    }

    /// Finds the capacity.
    pub fn seek(self, threads: Option<usize>, quiet: bool) -> Result<Done, Failure> {
        let bar = Bar::new(quiet);
        let file = &self.request.files[0];
        let mut model_at = |load: f64| {
            let mut sets = self.request.sets.clone();
            // The file's own load is run from the file as it is.
            if load != self.scaling.load {
                sets.extend(self.scaling.sets(load));
            }
            let loaded = topology::load(file, &sets, &mut |path| {
                self.texts.get(path).cloned().ok_or_else(|| "it was not read before".to_string())
            });
            if loaded.topology.is_none() {
                diagnose::say_diagnostics(&loaded);
            }
            loaded.topology.as_ref().map(compile)
        };
        let search = Search { threads, progress: &bar };
        let found = seek(self.scaling.clone(), &search, &mut model_at);
        bar.clear();
        let found = found.map_err(|failed| match failed {
            Failed::NoThreads(error) => Failure::Failed(error.to_string()),
            Failed::NotSound(load) => {
                Failure::Failed(format!("the topology is not sound at a load of {load}"))
            }
        })?;
        Ok(Done { sought: self, found })
    }
}

impl Done {
    /// The digest of all replications at the capacity, or at the file's load if there is none.
    pub fn digest(&self) -> String {
        let at = self.found.at_capacity.as_ref().unwrap_or(&self.found.at_file_load);
        at.summary.digest_text()
    }

    /// The tables.
    pub fn tables(&self) -> Vec<Content> {
        vec![Content { path: TABLE.into(), bytes: to_csv(&self.found) }]
    }

    fn write(&self, folder: &Path) -> Result<(), Failure> {
        let mut contents = self.tables();
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
        for at in std::iter::once(&found.at_file_load).chain(&found.at_capacity) {
            if !at.summary.broken.is_empty() {
                let why = "the self-audit is broken, which is a bug of this program: please report";
                return Err(Failure::Failed(why.into()));
            }
        }
        if found.carries_file_load() { Ok(()) } else { Err(Failure::NotMet) }
    }
}
