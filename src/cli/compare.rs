//! `loadbearing compare`

use std::path::{Path, PathBuf};

use clap::Args;
use loadbearing::report::manifest::Request;
use loadbearing::report::{Written, compared};
use loadbearing::result::{Difference, compare, comparison_to_json};

use super::options::{Effort, Outlet, Settings};
use super::picture::Drawing;
use super::study::{Study, check_folder, default_folder};
use super::{Failure, diagnose, say, style_of_stdout};

/// Simulates several topologies under the same users and work, side by side
///
/// All of them draw on common random numbers, so the differences from the first are those of the
/// designs, not of chance; they are taken replication by replication, with intervals.
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing compare phase-0.toml phase-1.toml phase-2.toml
  loadbearing compare old.toml new.toml --replications 20
  loadbearing compare old.toml new.toml --precision 5% --json
  loadbearing compare old.toml new.toml --picture both.svg --panel latency_p95 --panel pool.pg.waiting")]
pub struct Arguments {
    /// The topology files; the first is what the others are compared with
    #[arg(required = true, num_args = 2..)]
    files: Vec<String>,
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
    let Arguments { files, settings, effort, outlet, drawing } = arguments;
    let request = Request {
        command: "compare",
        files: files.clone(),
        sets: settings.sets(),
        precision: effort.precision,
        ..Request::default()
    };
    let study = Study::load(request, &mut diagnose::read)?;
    let folder = outlet.output.clone().unwrap_or_else(|| usual_folder(files));
    if !outlet.no_files {
        check_folder(&folder)?;
    }
    let studied = study.run(effort.threads(), outlet.quiet)?;
    if !outlet.no_files {
        studied.write(&folder)?;
    }
    let points = studied.points();
    drawing.draw(&points)?;
    let first = points[0].summary;
    let differences: Vec<(&str, Vec<Difference>)> =
        points[1..].iter().map(|point| (point.name, compare(first, point.summary))).collect();
    if outlet.json {
        let results: Vec<_> = points.iter().map(|point| (point.name, point.summary)).collect();
        say(&format!("{:#}\n", comparison_to_json(&results, &differences)))?;
    } else if !outlet.quiet {
        let again = studied.again();
        let written =
            Written { folder: (!outlet.no_files).then_some(folder.as_path()), again: &again };
        say(&compared(&points, &differences, &written, style_of_stdout()))?;
    }
    studied.verdict()
}

/// Named after the folder of the first file.
fn usual_folder(files: &[String]) -> PathBuf {
    let parent = files.first().and_then(|file| Path::new(file).parent()?.file_name());
    match parent {
        Some(name) => default_folder(&format!("{}-compare", name.to_string_lossy())),
        None => default_folder("compare"),
    }
}
