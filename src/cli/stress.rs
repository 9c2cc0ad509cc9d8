//! `loadbearing stress`

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use loadbearing::experiment::stress::{Failed, Stress, Stressed, What};
use loadbearing::report::Written;
use loadbearing::report::folder::{self, Content, MANIFEST};
use loadbearing::report::manifest::{Described, Manifest, Request, input_path};
use loadbearing::report::page::stress_page;
use loadbearing::report::sheet::{Sheet, described};
use loadbearing::report::stress::{sheets, to_json, told};
use loadbearing::topology::{self, DefaultInForce, ReadText, Topology};
use loadbearing::units::{Duration, Quantity};

use super::options::{Outlet, Settings, fault, said_again};
use super::progress::Bar;
use super::study::{check_folder, default_folder, stem};
use super::{Failure, diagnose, say, style_of_stdout};

/// Independent runs where nobody says: all of twenty recover if the probability is over 83 %.
const REPLICATIONS: u32 = 20;

/// Applies a spike or a fault, and says whether the deployment comes back: with and without retries
///
/// Runs the deployment calm and under stress with the same users and work, and both again with every
/// retry of the file switched off. Reports the baseline, the peak of latency, failures and queues, the
/// time to recover, and the probability that it recovers at all: a deployment that stays broken when
/// what broke it is gone is metastable. Writes manifest.toml, recoveries.csv and course.csv.
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing stress shop.toml                        three times the load for a minute
  loadbearing stress shop.toml --spike 5x --for 30s --watch 5min
  loadbearing stress shop.toml --fault primary-lost   the [fault.primary-lost] of the file, once
  loadbearing stress shop.toml --fault 'cache.redis restart for=30s'
  loadbearing stress shop.toml --replications 50 --json --no-files | jq .arms[].recovers_ratio

Recovered: from some moment after the stress on, mean latency, failures and requests in flight are
inside the band that the calm runs show, and stay there to the end of the time that is watched.

Exit code 99 says that it does not come back in every replication.")]
pub struct Arguments {
    /// The topology file
    file: String,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    settings: Base,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Work")]
    threads: Option<u16>,
    #[command(flatten)]
    outlet: Outlet,
}

/// What happens, and when.
#[derive(Args, Clone)]
#[command(next_help_heading = "Stress")]
struct How {
    /// Multiplies the load, as 5x [default: 3x, if no fault is given]
    #[arg(long, value_name = "TIMES", value_parser = times, conflicts_with = "fault")]
    spike: Option<f64>,
    /// A fault of the file by its name, or one as 'cache.redis stop for=30s'; can be said many times
    #[arg(long, value_name = "FAULT")]
    fault: Vec<String>,
    /// How long it lasts [default: as the fault says, else 60s]
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    lasts: Option<Duration>,
    /// When it begins, from the start of the measured time
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    at: Duration,
    /// How long the deployment is watched after it
    #[arg(long, value_name = "TIME", default_value = "3min", value_parser = time)]
    watch: Duration,
}

/// Settings over the file; the measured time follows from the stress.
#[derive(Args)]
#[command(next_help_heading = "Settings over the file")]
struct Base {
    /// Replaces a value of the file; any key can be set, and this can be said many times
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// The seed of all random numbers (run.seed)
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Independent runs: the more, the better is the probability known (run.replications) [default: 20]
    #[arg(long, value_name = "COUNT")]
    replications: Option<u32>,
    /// Time before anything is measured (run.warmup)
    #[arg(long, value_name = "TIME")]
    warmup: Option<String>,
}

fn times(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('x').parse::<f64>() {
        Ok(times) if times > 0.0 && times.is_finite() => Ok(times),
        _ => Err("say by how much the load is multiplied, as `5x`".into()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    match Duration::parse(text) {
        Ok(time) => Ok(time),
        Err(error) => Err(format!("{}; {}", error.message, error.help)),
    }
}

/// A time as it is typed, exactly.
fn exactly(time: Duration) -> String {
    let short = time.show().replace(' ', "");
    if Duration::parse(&short) == Ok(time) { short } else { format!("{}ps", time.0) }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { file, how, settings, threads, outlet } = arguments;
    let said = settings.set.iter().any(|set| set.starts_with("run.replications="));
    let sets = Settings {
        set: settings.set.clone(),
        seed: settings.seed,
        replications: settings.replications.or((!said).then_some(REPLICATIONS)),
        warmup: settings.warmup.clone(),
        ..Settings::default()
    };
    let request = Request {
        command: "stress",
        options: how.words(),
        files: vec![file.clone()],
        sets: sets.sets(),
        precision: None,
    };
    let folder =
        outlet.output.clone().unwrap_or_else(|| default_folder(&format!("{}-stress", stem(file))));
    if !outlet.no_files {
        check_folder(&folder)?;
    }
    let threads = threads.map(usize::from);
    let done = Done::new(request, how, &mut diagnose::read, threads, outlet.quiet)?;
    if !outlet.no_files {
        done.write(&folder)?;
    }
    if outlet.json {
        say(&format!("{:#}\n", to_json(&done.found)))?;
    } else if !outlet.quiet {
        let again = done.request.command_line();
        let written =
            Written { folder: (!outlet.no_files).then_some(folder.as_path()), again: &again };
        say(&told(&stem(file), &done.found, &written, style_of_stdout()))?;
    }
    done.verdict()
}

/// A stress again, from its manifest.
pub fn again(
    request: Request,
    read: ReadText<'_>,
    threads: Option<usize>,
    quiet: bool,
) -> Result<Done, Failure> {
    let how: How = said_again(&request)?;
    Done::new(request, &how, read, threads, quiet)
}

impl How {
    /// The same again, word by word.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut say = |option: &str, value: String| words.extend([option.to_string(), value]);
        if let Some(times) = self.spike {
            say("--spike", format!("{times}x"));
        }
        self.fault.iter().for_each(|fault| say("--fault", fault.clone()));
        if let Some(lasts) = self.lasts {
            say("--for", exactly(lasts));
        }
        say("--at", exactly(self.at));
        say("--watch", exactly(self.watch));
        words
    }

    /// What it says, and the settings that bring faults into the file which are said in full.
    fn stress(&self) -> Result<(Stress, Vec<String>), Failure> {
        let mut names = Vec::new();
        let mut sets = Vec::new();
        for (number, text) in self.fault.iter().enumerate() {
            if !text.contains(char::is_whitespace) {
                names.push(text.clone());
                continue;
            }
            let name = format!("said-{}", number + 1);
            let said = fault(text).map_err(Failure::Usage)?;
            sets.push(format!("fault.{name}={}", said.toml()));
            names.push(name);
        }
        let what = match names.is_empty() {
            true => What::Spike(self.spike.unwrap_or(3.0)),
            false => What::Faults(names),
        };
        Ok((Stress { what, at: self.at, lasts: self.lasts, watch: self.watch }, sets))
    }
}

/// A stress with what came of it.
pub struct Done {
    request: Request,
    found: Stressed,
    defaults: Vec<DefaultInForce>,
    inputs: Vec<(String, String)>,
}

impl Done {
    fn new(
        request: Request,
        how: &How,
        read: ReadText<'_>,
        threads: Option<usize>,
        quiet: bool,
    ) -> Result<Done, Failure> {
        let (stress, faults) = how.stress()?;
        let file = request.files.first().ok_or(Failure::WrongFile)?;
        let sets: Vec<String> = request.sets.iter().cloned().chain(faults).collect();
        let mut texts = BTreeMap::new();
        let loaded = topology::load(file, &sets, &mut |path| {
            let text = read(path)?;
            texts.insert(path.to_string(), text.clone());
            Ok(text)
        });
        diagnose::say_diagnostics(&loaded);
        let topology: &Topology = loaded.topology.as_ref().ok_or(Failure::WrongFile)?;
        let bar = Bar::new(quiet);
        let found = stress.run(topology, threads, &bar);
        bar.clear();
        let found = found.map_err(|failed| match failed {
            Failed::Senseless(why) => Failure::Usage(why),
            Failed::NoThreads(error) => Failure::Failed(error.to_string()),
        })?;
        let inputs = texts.into_iter().collect();
        Ok(Done { request, found, defaults: loaded.defaults, inputs })
    }

    /// The digests of all replications, model by model.
    pub fn digests(&self) -> Vec<String> {
        let twins = self.found.arms.iter().flat_map(|arm| [&arm.calm, &arm.stressed]);
        twins.map(|twin| twin.summary.digest_text()).collect()
    }

    /// The tables, the report and its figures.
    pub fn contents(&self) -> Vec<Content> {
        let mut contents: Vec<Content> =
            sheets(&self.found).iter().flat_map(Sheet::files).collect();
        contents.extend(stress_page(&self.found, &self.request.command_line()).contents());
        contents
    }

    fn write(&self, folder: &Path) -> Result<(), Failure> {
        let mut contents = self.contents();
        let names = ["calm", "stressed", "calm-without-retries", "stressed-without-retries"];
        let twins = self.found.arms.iter().flat_map(|arm| [&arm.calm, &arm.stressed]);
        let models: Vec<Described<'_>> = names
            .iter()
            .zip(twins)
            .map(|(name, twin)| Described {
                name,
                summary: &twin.summary,
                defaults: if *name == "calm" { &self.defaults } else { &[] },
                assumptions: if *name == "calm" { &twin.model.assumptions } else { &[] },
            })
            .collect();
        let mut manifest = Manifest::new(&self.request, &models, &self.inputs, &contents);
        manifest.columns = described(&sheets(&self.found));
        contents.push(Content { path: MANIFEST.into(), bytes: manifest.to_toml().into_bytes() });
        contents.extend(self.inputs.iter().enumerate().map(|(index, (path, text))| Content {
            path: input_path(index, path),
            bytes: text.clone().into_bytes(),
        }));
        folder::write(folder, &contents).map_err(|error| Failure::Failed(error.to_string()))
    }

    /// How the command ends: a broken audit fails it, then whether the deployment comes back.
    fn verdict(&self) -> Result<(), Failure> {
        let mut twins = self.found.arms.iter().flat_map(|arm| [&arm.calm, &arm.stressed]);
        if twins.any(|twin| !twin.summary.broken.is_empty()) {
            let why = "the self-audit is broken, which is a bug of this program: please report";
            return Err(Failure::Failed(why.into()));
        }
        if self.found.recovers() { Ok(()) } else { Err(Failure::NotMet) }
    }
}
