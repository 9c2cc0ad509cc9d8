//! Reads a folder of measurements: `*params.json` (cells), `*runs.csv` (outcomes), `map.toml`.

use std::fs;
use std::path::{Path, PathBuf};

use super::cell::{Cell, Figure, Measured};
use super::map::Map;

/// A folder of measurements.
#[derive(Clone, Debug)]
pub struct Measurements {
    /// All cells, in the order of their files.
    pub cells: Vec<Cell>,
    /// The outcomes of all runs that were measured.
    pub runs: Vec<Measured>,
    /// How the cells are said in the language.
    pub map: Map,
    /// The folder of the map, from which its topologies are found.
    pub map_folder: PathBuf,
}

/// What there was on the machine of a cell beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Around {
    /// Requests a second of other deployments.
    pub per_s: f64,
    /// Cores that were busy with them.
    pub busy: f64,
    /// Cores that were busy with programs that nobody asked for.
    pub foreign: f64,
    /// For which share of the time in which cores were wanted the hypervisor had them elsewhere.
    pub stolen: f64,
}

impl Around {
    fn mean(all: impl Iterator<Item = Around>) -> Around {
        let all: Vec<Around> = all.collect();
        let mean =
            |of: fn(&Around) -> f64| all.iter().map(of).sum::<f64>() / (all.len() as f64).max(1.0);
        Around {
            per_s: mean(|it| it.per_s),
            busy: mean(|it| it.busy),
            foreign: mean(|it| it.foreign),
            stolen: mean(|it| it.stolen),
        }
    }
}

impl Measurements {
    /// Reads a folder; where it has no `map.toml`, that of `other` serves.
    ///
    /// # Errors
    /// In words with the path, if a file is missing or is not what it should be.
    pub fn read(folder: &Path, other: &Path) -> Result<Measurements, String> {
        let mut cells = Vec::new();
        for path in files(folder, "params.json")? {
            let text = text(&path)?;
            let more: Vec<Cell> = serde_json::from_str(&text).map_err(|e| said(&path, &e))?;
            cells.extend(more);
        }
        if cells.is_empty() {
            return Err(format!(
                "`{}` has no cells: no file ends in params.json",
                folder.display()
            ));
        }
        for cell in &cells {
            let Some(again) = &cell.again else { continue };
            if again == &cell.id || !cells.iter().any(|it| &it.id == again) {
                return Err(format!(
                    "cell `{}` of `{}` says that it is `{again}` measured again, and there is no other \
                     cell of that name; name one in `again`, or leave it out",
                    cell.id,
                    folder.display(),
                ));
            }
        }
        let mut runs = Vec::new();
        for path in files(folder, "runs.csv")? {
            runs.extend(outcomes(&path)?);
        }
        let map_folder = if folder.join("map.toml").exists() { folder } else { other };
        let path = map_folder.join("map.toml");
        let map = Map::read(&text(&path)?).map_err(|e| said(&path, &e))?;
        Ok(Measurements { cells, runs, map, map_folder: map_folder.into() })
    }

    /// The outcomes of one class of a cell, run by run.
    pub fn of<'a>(&'a self, cell: &'a str, class: &'a str) -> impl Iterator<Item = &'a Measured> {
        self.runs.iter().filter(move |run| run.cell == cell && run.class == class)
    }

    /// What else there was on the machine during a run of a cell; on average over its runs where none
    /// is named.
    pub fn around(&self, cell: &Cell, run: Option<usize>) -> Around {
        let runs: Vec<&Measured> = self.of(&cell.id, "all").collect();
        let recorded: Vec<Around> = runs.iter().map(|it| self.recorded(it)).collect();
        // Where nothing was recorded beside a run, what was beside the cell's others serves: as far as
        // the machine can have been busy with it. So it does where less was recorded than ran.
        let together = self.map.together(cell);
        let known = recorded.iter().filter(|it| it.per_s > 0.0).copied();
        let more = |a: Around, b: Around| if b.busy > a.busy { b } else { a };
        let usual = match together {
            true => known.fold(Around::default(), more),
            false => Around::mean(known),
        };
        let completed = recorded.iter().zip(&runs).map(|(it, run)| {
            let busy = run.computing();
            let room = busy.map_or(0.0, |busy| self.map.room(busy, cell));
            let mut around = *it;
            if usual.busy > it.busy && (it.per_s <= 0.0 || together) {
                let fits = room.clamp(it.busy, usual.busy) / usual.busy;
                (around.per_s, around.busy) = (fits * usual.per_s, fits * usual.busy);
            }
            around.foreign = busy.map_or(0.0, |busy| self.map.foreign(busy, cell, around));
            around
        });
        let wanted = |(_, it): &(Around, &&Measured)| run.is_none_or(|run| it.run == run);
        Around::mean(completed.zip(&runs).filter(wanted).map(|(it, _)| it))
    }

    /// What is known to have been measured at the same time as a run.
    fn recorded(&self, of: &Measured) -> Around {
        let stolen = match (of.busy, of.stolen) {
            (Some(busy), Some(stolen)) if busy > 0.0 => stolen / busy,
            _ => 0.0,
        };
        let mut around = Around { stolen, ..Around::default() };
        let then = |it: &&Measured| it.meanwhile.is_some() && it.meanwhile == of.meanwhile;
        let other = |it: &&Measured| (&it.cell, it.run) != (&of.cell, of.run);
        let all = self.runs.iter().filter(|it| it.class == "all");
        for run in all.filter(then).filter(other) {
            let Some(cell) = self.cells.iter().find(|known| known.id == run.cell) else { continue };
            let per_s = run.offered as f64 / (cell.end_s - cell.warm_s);
            around.per_s += per_s;
            around.busy += per_s * self.map.neighbour_s(cell);
        }
        around
    }

    /// The classes of a cell that were measured, `all` first.
    pub fn classes(&self, cell: &str) -> Vec<&str> {
        let mut classes = vec!["all"];
        for run in self.runs.iter().filter(|run| run.cell == cell) {
            if !classes.contains(&run.class.as_str()) {
                classes.push(&run.class);
            }
        }
        classes
    }
}

/// What a run says of its machine.
fn meanwhile(busy: Option<&str>, stolen: Option<&str>, at: Option<&str>) -> Option<String> {
    let said = |text: &&str| !text.is_empty();
    Some(format!("{} {} {}", busy.filter(said)?, stolen.filter(said)?, at.unwrap_or_default()))
}

fn said(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("`{}`: {error}", path.display())
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| said(path, &error))
}

fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| said(folder, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| said(folder, &error))?.path();
        if path.to_string_lossy().ends_with(ending) && !path.ends_with("CAL_runs.csv") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The rows of a table of outcomes.
fn outcomes(path: &Path) -> Result<Vec<Measured>, String> {
    let mut table = csv::Reader::from_path(path).map_err(|error| said(path, &error))?;
    let heads = table.headers().map_err(|error| said(path, &error))?.clone();
    let mut runs = Vec::new();
    for row in table.records() {
        let row = row.map_err(|error| said(path, &error))?;
        let cell =
            |name: &str| heads.iter().position(|head| head == name).and_then(|at| row.get(at));
        let number = |name: &str| cell(name).and_then(|text| text.parse::<f64>().ok());
        let word = |name: &str| {
            cell(name).map(String::from).ok_or_else(|| said(path, &format!("no column `{name}`")))
        };
        let offered = number("n").unwrap_or(0.0);
        let share = |names: &[&str]| {
            let known: Vec<f64> = names.iter().filter_map(|name| number(name)).collect();
            (!known.is_empty() && offered > 0.0).then(|| known.iter().sum::<f64>() / offered)
        };
        let figure = |figure: Figure| match figure {
            Figure::Mean => number("mean"),
            Figure::Quantile(level) => number(&format!("p{level}")),
            Figure::Throughput => number("ok_per_s"),
            Figure::Timeouts => share(&["n_504"]),
            Figure::Rejected => share(&["n_503", "n_429"]),
            Figure::Failed => share(&["n_500"]),
            Figure::Hits => number("hit_ratio"),
            Figure::Joined => number("joined_frac"),
            Figure::Attempts => number("attempts_mean"),
            Figure::PoolUse => number("pool_util"),
            Figure::Recovery => number("recovery_s"),
        };
        let known = |it: Figure| figure(it).filter(|value| value.is_finite()).map(|v| (it, v));
        runs.push(Measured {
            cell: word("cell")?,
            run: number("rep").unwrap_or(1.0) as usize,
            class: word("class")?,
            offered: offered as u64,
            busy: number("machine_busy").filter(|it| it.is_finite()),
            stolen: number("machine_steal").filter(|it| it.is_finite()),
            meanwhile: meanwhile(cell("machine_busy"), cell("machine_steal"), cell("at")),
            figures: Figure::ALL.into_iter().filter_map(known).collect(),
        });
    }
    Ok(runs)
}
