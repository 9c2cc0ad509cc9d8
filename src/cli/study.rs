//! From topology files to summaries and output files: what `run`, `compare` and `rerun` share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loadbearing::experiment::{Plan, Precision, first_look, replicate_all};
use loadbearing::model::{Model, compile};
use loadbearing::report::folder::{self, Content, MANIFEST};
use loadbearing::report::manifest::{Described, Manifest, Request, input_path};
use loadbearing::report::page::{comparison_page, run_page};
use loadbearing::report::table::TABLES;
use loadbearing::report::{Point, as_written};
use loadbearing::result::{Summary, compare};
use loadbearing::run::Outcome;
use loadbearing::topology::{self, DefaultInForce, ReadText};

use super::Failure;
use super::diagnose::say_diagnostics;
use super::progress::Bar;

/// Models that are ready to run.
pub struct Study {
    /// What was asked for.
    pub request: Request,
    models: Vec<Named>,
    /// Every file that was read, with its text, sorted by path.
    inputs: Vec<(String, String)>,
}

struct Named {
    name: String,
    model: Model,
    defaults: Vec<DefaultInForce>,
}

/// Models with what came of them.
pub struct Studied {
    study: Study,
    results: Vec<(Vec<Outcome>, Summary)>,
}

impl Study {
    /// Reads and compiles the files of a request; says all that is wrong with them.
    pub fn load(request: Request, read: ReadText<'_>) -> Result<Study, Failure> {
        let mut texts = BTreeMap::new();
        let mut models = Vec::new();
        let names = names_of(&request.files);
        let mut sound = true;
        for (file, name) in request.files.iter().zip(names) {
            let loaded = topology::load(file, &request.sets, &mut |path| {
                let text = read(path)?;
                texts.insert(path.to_string(), text.clone());
                Ok(text)
            });
            say_diagnostics(&loaded);
            match &loaded.topology {
                Some(topology) => {
                    let model = compile(topology);
                    models.push(Named { name, model, defaults: loaded.defaults });
                }
                None => sound = false,
            }
        }
        if !sound {
            return Err(Failure::WrongFile);
        }
        Ok(Study { request, models, inputs: texts.into_iter().collect() })
    }

    /// Runs all replications of all models.
    pub fn run(self, threads: Option<usize>, quiet: bool) -> Result<Studied, Failure> {
        let bar = Bar::new(quiet);
        let models: Vec<&Model> = self.models.iter().map(|it| &it.model).collect();
        let precision = self.request.precision.map(Precision::new);
        let plan = Plan { threads, precision, progress: &bar };
        let outcomes =
            replicate_all(&models, &plan).map_err(|error| Failure::Failed(error.to_string()))?;
        bar.clear();
        let results: Vec<(Vec<Outcome>, Summary)> = models
            .iter()
            .zip(outcomes)
            .map(|(model, outcomes)| {
                let first = match precision {
                    Some(_) => first_look(model.plan.replications),
                    None => u32::MAX,
                };
                let summary = Summary::stopped(model, &outcomes, first);
                (outcomes, summary)
            })
            .collect();
        Ok(Studied { study: self, results })
    }
}

/// The name of each file in tables: its stem, with as much of its path before it as tells it apart.
fn names_of(files: &[String]) -> Vec<String> {
    let stem = |file: &String| file.strip_suffix(".toml").unwrap_or(file).to_string();
    let short = |file: &String| {
        let path = stem(file);
        path.rsplit('/').next().unwrap_or(&path).to_string()
    };
    let mut names: Vec<String> = Vec::new();
    for file in files {
        let is_unique = files.iter().filter(|other| short(other) == short(file)).count() == 1;
        let name = if is_unique { short(file) } else { stem(file) };
        let twins = names.iter().filter(|known| **known == name).count();
        names.push(if twins == 0 { name } else { format!("{name}#{}", twins + 1) });
    }
    names
}

impl Studied {
    /// One point for each model, in the order of the request.
    pub fn points(&self) -> Vec<Point<'_>> {
        let models = self.study.models.iter();
        models
            .zip(&self.results)
            .map(|(named, (outcomes, summary))| Point {
                name: &named.name,
                model: &named.model,
                outcomes,
                summary,
            })
            .collect()
    }

    /// What to type for the same result.
    pub fn again(&self) -> String {
        self.study.request.command_line()
    }

    fn tables(&self) -> Vec<Content> {
        let points = self.points();
        let table = |it: &loadbearing::report::table::Table| Content {
            path: it.file.into(),
            bytes: it.to_csv(&points),
        };
        as_written(TABLES.iter().map(table).collect())
    }

    /// The tables, the report and its figures: all that is written but the manifest and its inputs.
    pub fn contents(&self) -> Vec<Content> {
        let mut contents = self.tables();
        contents.extend(self.page());
        contents
    }

    /// The report and its figures.
    fn page(&self) -> Vec<Content> {
        let points = self.points();
        let again = self.again();
        let page = match points.as_slice() {
            [only] => run_page(only, &again),
            [first, others @ ..] => {
                let differences: Vec<_> = others
                    .iter()
                    .map(|point| (point.name, compare(first.summary, point.summary)))
                    .collect();
                comparison_page(&points, &differences, &again)
            }
            [] => return Vec::new(),
        };
        page.contents()
    }

    /// Writes the tables, the report, the manifest and the files that were read.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let mut contents = self.contents();
        let points = self.points();
        let described: Vec<Described<'_>> = points
            .iter()
            .zip(&self.study.models)
            .map(|(point, named)| Described {
                name: point.name,
                summary: point.summary,
                defaults: &named.defaults,
                assumptions: &named.model.assumptions,
            })
            .collect();
        let inputs = &self.study.inputs;
        let manifest = Manifest::new(&self.study.request, &described, inputs, &contents);
        contents.push(Content { path: MANIFEST.into(), bytes: manifest.to_toml().into_bytes() });
        contents.extend(inputs.iter().enumerate().map(|(index, (path, text))| Content {
            path: input_path(index, path),
            bytes: text.clone().into_bytes(),
        }));
        folder::write(folder, &contents).map_err(|error| Failure::Failed(error.to_string()))
    }

    /// How the command ends: a broken audit or a run without results fails it, then objectives.
    pub fn verdict(&self) -> Result<(), Failure> {
        for point in self.points() {
            if !point.summary.broken.is_empty() {
                let why = "the self-audit is broken, which is a bug of this program: please report";
                return Err(Failure::Failed(format!("{}: {why}", point.name)));
            }
            if point.outcomes.iter().all(|outcome| outcome.measured.is_zero()) {
                let why = "every replication reached a limit before anything was measured";
                return Err(Failure::Failed(format!("{}: {why}", point.name)));
            }
        }
        let met = self.results.iter().all(|(_, summary)| summary.is_met());
        if met { Ok(()) } else { Err(Failure::NotMet) }
    }
}

/// Refuses a folder that could not be written, before time is spent on what should go there.
pub fn check_folder(folder: &Path) -> Result<(), Failure> {
    folder::check(folder).map_err(|error| Failure::Failed(error.to_string()))
}

/// The folder of a result that was given none.
pub fn default_folder(name: &str) -> PathBuf {
    Path::new("output").join(name)
}

/// The last part of a path, without `.toml`.
pub fn stem(file: &str) -> String {
    let path = Path::new(file);
    path.file_stem().map_or(file.into(), |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_stem_are_told_apart() {
        let names =
            |files: &[&str]| names_of(&files.iter().map(|it| it.to_string()).collect::<Vec<_>>());
        assert_eq!(names(&["a/x.toml", "a/y.toml"]), ["x", "y"]);
        assert_eq!(names(&["a/x.toml", "b/x.toml"]), ["a/x", "b/x"]);
        assert_eq!(names(&["x.toml", "x.toml"]), ["x", "x#2"]);
    }
}
