//! `loadbearing run`

use clap::Args;
use loadbearing::report::manifest::Request;
use loadbearing::report::{Written, ran};

use super::options::{Effort, Outlet, Settings};
use super::picture::Drawing;
use super::study::{Study, check_folder, default_folder, stem};
use super::{Failure, diagnose, say, style_of_stdout};

/// Simulates a topology: what it carries, what gives first, what it costs
///
/// Prints the verdict, latencies with intervals, failures by kind, where the time goes, and the
/// order in which components fill up as load grows. Writes manifest.toml, runs.csv, summary.csv and
/// timeline.csv.
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing run shop.toml
  loadbearing run shop.toml --set pool.pg.size=50 --set users.population=20_000
  loadbearing run shop.toml --duration 5min --precision 2%
  loadbearing run shop.toml --json --no-files | jq .latency_s.p99

Exit code 99 says that an objective of the file is not met, so a topology can be a gate in CI.")]
pub struct Arguments {
    /// The topology file
    file: String,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    outlet: Outlet,
    #[command(flatten)]
    drawing: Drawing,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { file, settings, effort, outlet, drawing } = arguments;
    let request = Request {
        command: "run",
        files: vec![file.clone()],
        sets: settings.sets(),
        precision: effort.precision,
        ..Request::default()
    };
    let study = Study::load(request, &mut diagnose::read)?;
    let folder = outlet.output.clone().unwrap_or_else(|| default_folder(&stem(file)));
    if !outlet.no_files {
        check_folder(&folder)?;
    }
    let studied = study.run(effort.threads(), outlet.quiet)?;
    if !outlet.no_files {
        studied.write(&folder)?;
    }
    let points = studied.points();
    drawing.draw(&points)?;
    let point = &points[0];
    if outlet.json {
        say(&format!("{:#}\n", point.summary.to_json()))?;
    } else if !outlet.quiet {
        let again = studied.again();
        let written =
            Written { folder: (!outlet.no_files).then_some(folder.as_path()), again: &again };
        say(&ran(point, &written, style_of_stdout()))?;
    }
    studied.verdict()
}
