//! Options that several subcommands share.

use std::path::PathBuf;

use clap::{Args, Command};
use loadbearing::report::manifest::Request;
use loadbearing::units::{Quantity, Ratio};

use super::Failure;

/// Settings over the files.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Settings over the file")]
pub struct Settings {
    /// Replaces a value of the file; any key can be set, and this can be said many times
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Lets something fail, as 'cache.redis stop at=60s for=30s' or 'database.main slow=5'; this can
    /// be said many times
    #[arg(long, value_name = "FAULT", value_parser = fault)]
    pub fault: Vec<Said>,
    /// The seed of all random numbers (run.seed)
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Independent runs behind each estimate (run.replications)
    #[arg(long, value_name = "COUNT")]
    pub replications: Option<u32>,
    /// Measured time, as 60s or 5min (run.duration)
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Time before anything is measured (run.warmup)
    #[arg(long, value_name = "TIME")]
    pub warmup: Option<String>,
}

impl Settings {
    /// All of them as `path=value`; the named ones come last and win.
    pub fn sets(&self) -> Vec<String> {
        let named = [
            ("run.seed", self.seed.map(|it| it.to_string())),
            ("run.replications", self.replications.map(|it| it.to_string())),
            ("run.duration", self.duration.clone()),
            ("run.warmup", self.warmup.clone()),
        ];
        let named =
            named.into_iter().filter_map(|(path, value)| Some(format!("{path}={}", value?)));
        let faults = self.fault.iter().enumerate();
        let faults = faults.map(|(number, said)| format!("fault.said-{}={}", number + 1, said.0));
        self.set.iter().cloned().chain(faults).chain(named).collect()
    }
}

/// A fault as a table of TOML.
#[derive(Clone)]
pub struct Said(String);

impl Said {
    /// It as TOML.
    pub fn toml(&self) -> &str {
        &self.0
    }
}

/// `TARGET WHAT[=HOW] KEY=VALUE ...` as a table.
pub fn fault(text: &str) -> Result<Said, String> {
    let mut words = text.split_whitespace();
    let (Some(target), Some(what)) = (words.next(), words.next()) else {
        return Err("say what fails and how, as `cache.redis stop at=60s for=30s`".into());
    };
    let what = match what.split_once('=') {
        None => toml_of(what),
        Some(("cut", from)) => format!("{{ cut = {{ from = {} }} }}", toml_of(from)),
        Some((what, how)) => format!("{{ {what} = {} }}", toml_of(how)),
    };
    let mut table = format!("target = {}, what = {what}", toml_of(target));
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(format!("`{word}` says nothing; write `KEY=VALUE`, as `for=30s`"));
        };
        table.push_str(&format!(", {key} = {}", toml_of(value)));
    }
    Ok(Said(format!("{{ {table} }}")))
}

/// Numbers and truth as they are, all else as text.
fn toml_of(value: &str) -> String {
    let bare = value.parse::<f64>().is_ok() || matches!(value, "true" | "false");
    if bare { value.to_string() } else { format!("\"{value}\"") }
}

/// How the work is done.
#[derive(Args)]
#[command(next_help_heading = "Work")]
pub struct Effort {
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Goes on until the interval of every mean latency is this narrow, as 5%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub precision: Option<f64>,
}

impl Effort {
    /// As an experiment takes it.
    pub fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }
}

fn share(text: &str) -> Result<f64, String> {
    match Ratio::parse(text) {
        Ok(ratio) if ratio.0 > 0.0 => Ok(ratio.0),
        Ok(_) => Err("a precision is more than zero, as `5%`".into()),
        Err(error) => Err(format!("{}; {}", error.message, error.help)),
    }
}

/// Where results go.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub struct Outlet {
    /// The folder for the files [default: output/NAME]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Writes no files
    #[arg(long, conflicts_with = "output")]
    pub no_files: bool,
    /// Prints one JSON object, as `loadbearing schema` describes it
    #[arg(long)]
    pub json: bool,
    /// Prints no report and no progress: files and exit code only
    #[arg(long)]
    pub quiet: bool,
}

/// The options of a command of its own, as its manifest keeps them.
///
/// # Errors
/// If they are not options of that command.
pub fn said_again<T: Args>(request: &Request) -> Result<T, Failure> {
    let command = T::augment_args(Command::new("again").no_binary_name(true));
    let said = command.try_get_matches_from(&request.options);
    let said = said.and_then(|said| T::from_arg_matches(&said));
    said.map_err(|error| Failure::Failed(format!("the manifest's options: {error}")))
}
