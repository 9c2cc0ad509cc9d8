//! `loadbearing validate`

use std::path::{Path, PathBuf};

use clap::Args;
use loadbearing::reality::{Cell, Comparison, Measurements, Way, compare};
use loadbearing::report::{Validated, by_run, page, validated};

use super::progress::Bar;
use super::{Failure, diagnose, say, style_of_stdout};

/// Predicts measured deployments and shows by how much it misses
///
/// Reads a folder of measurements: cells (files that end in params.json), the outcomes of their runs
/// (runs.csv) and how both are said in topologies (map.toml). Replays the requests of every measured
/// run, or forecasts runs of the same laws, and sets what comes of it beside what was measured, with
/// both spreads, and beside what a closed form alone says.
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing validate reality
  loadbearing validate reality --only R5 --by-run
  loadbearing validate reality --forecast --runs 40
  loadbearing validate my-measurements --map reality

Exit code 99 says that fewer than nine cells in ten are predicted: a replay within 5 % on mean and
p95 and 1 percentage point on shares, a forecast within the joint intervals.")]
pub struct Arguments {
    /// The folder of measurements
    #[arg(default_value = "reality")]
    folder: PathBuf,
    /// Plays the requests of each measured run (the default)
    #[arg(long, conflicts_with = "forecast")]
    replay: bool,
    /// Draws other requests of the same laws
    #[arg(long)]
    forecast: bool,
    /// Runs: of each measured run in a replay, of each cell in a forecast [default: 3, 20]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Cells whose name begins so
    #[arg(long, value_name = "PREFIX")]
    only: Option<String>,
    /// The folder whose map.toml serves where the measurements have none
    #[arg(long, value_name = "FOLDER", default_value = "reality")]
    map: PathBuf,
    /// Writes a page on replay and forecast, with its figure beside it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["forecast", "replay", "json"])]
    page: Option<PathBuf>,
    /// Shows each measured run beside its replay, where a cell is predicted and where it is not
    #[arg(long, conflicts_with_all = ["forecast", "brief", "json", "page", "quiet"])]
    by_run: bool,
    /// Prints the summary only
    #[arg(long)]
    brief: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    /// Prints nothing: exit code only
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let measurements =
        Measurements::read(&arguments.folder, &arguments.map).map_err(Failure::Failed)?;
    let only = arguments.only.as_deref();
    let wanted = |cell: &Cell| only.is_none_or(|prefix| cell.id.starts_with(prefix));
    let found = |way| {
        let found = comparisons(&measurements, wanted, way, arguments.quiet)?;
        if found.is_empty() {
            return Err(Failure::Usage("no cell has such a name".into()));
        }
        Ok(Validated::new(way, found))
    };
    if let Some(path) = &arguments.page {
        let (replay, forecast) = (found(Way::Replay(3))?, found(Way::Forecast(20))?);
        let name = path.with_extension("svg");
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let without = of_another_day(&measurements, wanted, replay.way, arguments.quiet)?;
        let page = page(&measurements, &replay, &forecast, &without, &name);
        let page = page.map_err(Failure::Failed)?;
        write(path, &page.text)?;
        return write(&path.with_file_name(name), &page.figure);
    }
    let way = match (arguments.forecast, arguments.runs) {
        (false, runs) => Way::Replay(runs.unwrap_or(3)),
        (true, runs) => Way::Forecast(runs.unwrap_or(20)),
    };
    let result = found(way)?;
    if arguments.json {
        say(&format!("{:#}\n", result.to_json()))?;
    } else if arguments.by_run {
        say(&by_run(&result, style_of_stdout()))?;
    } else if !arguments.quiet {
        say(&validated(&result, arguments.brief, style_of_stdout()))?;
    }
    if result.holds() { Ok(()) } else { Err(Failure::NotMet) }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::Failed(format!("`{}`: {error}", path.display())))
}

/// Those cells that have times of their own day, with the times of their topologies.
fn of_another_day(
    measurements: &Measurements,
    wanted: impl Fn(&Cell) -> bool,
    way: Way,
    quiet: bool,
) -> Result<Validated, Failure> {
    let mut without = measurements.clone();
    without.map.forget_times();
    let with_times = |cell: &Cell| measurements.map.has_times(cell) && wanted(cell);
    Ok(Validated::new(way, comparisons(&without, with_times, way, quiet)?))
}

fn comparisons(
    measurements: &Measurements,
    wanted: impl Fn(&Cell) -> bool,
    way: Way,
    quiet: bool,
) -> Result<Vec<Comparison>, Failure> {
    let bar = Bar::new(quiet);
    let mut found = Vec::new();
    for cell in measurements.cells.iter().filter(|cell| wanted(cell)) {
        let compared = compare(measurements, cell, way, &mut diagnose::read, &bar);
        found.extend(compared.map_err(Failure::Failed)?);
    }
    bar.clear();
    Ok(found)
}
