//! From axes to points: which value each axis has at each point.

use super::file::{Axis, Design, Experiment, Range, Scale, Texts};
use super::level::Level;
use crate::diagnostic::Diagnostic;
use crate::stats::{
    Points, SOBOL_DIMENSIONS, latin_hypercube, morris_points, sobol_design, sobol_points,
};
use crate::stream::Seed;

/// One axis with all that it can be.
#[derive(Clone, Debug)]
pub struct Dimension {
    /// Its name in tables.
    pub name: String,
    /// What its value is of, in words.
    pub meaning: String,
    kind: DimensionKind,
}

#[derive(Clone, Debug)]
enum DimensionKind {
    /// Topology files.
    Files(Vec<String>),
    /// Values of paths, one by one.
    Values { paths: Vec<String>, levels: Vec<Level> },
    /// Values of paths between two ends.
    Between { paths: Vec<String>, range: Range },
    /// Named cases.
    Cases(Vec<super::file::Case>),
}

/// The value of one axis at a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// As tables show it.
    pub text: String,
    /// The number in it, if there is one.
    pub number: Option<f64>,
    /// The topology file, if the axis is of files.
    pub file: Option<String>,
    /// The settings.
    pub sets: Vec<String>,
    /// What is merged over the topology.
    pub overlay: Option<String>,
}

impl Dimension {
    /// All axes of an experiment: several topologies are the first.
    pub fn all(experiment: &Experiment) -> Vec<Dimension> {
        let Texts(files) = &experiment.topology;
        let files: Vec<String> = files.iter().map(|file| file.value.clone()).collect();
        let mut all = Vec::new();
        if files.len() > 1 {
            all.push(Dimension {
                name: "topology".into(),
                meaning: "name of the topology file".into(),
                kind: DimensionKind::Files(files),
            });
        }
        all.extend(experiment.axes.iter().map(Dimension::of));
        all
    }

    fn of(axis: &Axis) -> Dimension {
        let paths: Vec<String> = match &axis.path {
            Some(Texts(paths)) => paths.iter().map(|path| path.value.clone()).collect(),
            None => Vec::new(),
        };
        let meaning = match paths.is_empty() {
            true => format!("case of {}", axis.name()),
            false => format!("value of {}", paths.join(", ")),
        };
        let kind = match (&axis.range, &axis.values) {
            (Some(range), _) => DimensionKind::Between { paths, range: range.clone() },
            (None, Some(values)) => {
                let levels = values.iter().map(|level| level.value.clone()).collect();
                DimensionKind::Values { paths, levels }
            }
            (None, None) => DimensionKind::Cases(axis.cases.clone()),
        };
        Dimension { name: axis.name().into(), meaning, kind }
    }

    /// How many values it has one by one.
    fn count(&self) -> usize {
        match &self.kind {
            DimensionKind::Files(files) => files.len(),
            DimensionKind::Values { levels, .. } => levels.len(),
            DimensionKind::Between { range, .. } => range.steps as usize,
            DimensionKind::Cases(cases) => cases.len(),
        }
    }

    fn nth(&self, index: usize) -> Chosen {
        match &self.kind {
            DimensionKind::Between { range, .. } if range.steps > 1 => {
                self.at(index as f64 / f64::from(range.steps - 1))
            }
            DimensionKind::Between { .. } => self.at(0.0),
            DimensionKind::Files(files) => Chosen {
                text: name_of(&files[index], files),
                number: None,
                file: Some(files[index].clone()),
                sets: Vec::new(),
                overlay: None,
            },
            DimensionKind::Values { paths, levels } => chosen(paths, &levels[index]),
            DimensionKind::Cases(cases) => {
                let case = &cases[index];
                Chosen {
                    text: case.name.clone(),
                    number: None,
                    file: None,
                    sets: case.set.iter().map(|set| set.value.clone()).collect(),
                    overlay: case.overlay.as_ref().map(|text| text.value.clone()),
                }
            }
        }
    }

    /// The value at a place of the unit interval.
    fn at(&self, place: f64) -> Chosen {
        let DimensionKind::Between { paths, range } = &self.kind else {
            let count = self.count();
            return self.nth(((place * count as f64) as usize).min(count - 1));
        };
        let ends = (range.from.value.number(), range.to.value.number());
        let (from, to) = (ends.0.unwrap_or(0.0), ends.1.unwrap_or(0.0));
        let number = match range.scale {
            Scale::Linear => from + place * (to - from),
            Scale::Logarithmic => from * libm::pow(to / from, place),
        };
        chosen(paths, &range.from.value.like(number))
    }
}

fn chosen(paths: &[String], level: &Level) -> Chosen {
    Chosen {
        text: level.to_string(),
        number: level.number(),
        file: None,
        sets: paths.iter().map(|path| format!("{path}={}", level.toml())).collect(),
        overlay: None,
    }
}

/// The stem of a file, with as many of its folders as tell it from the others.
fn name_of(file: &str, all: &[String]) -> String {
    let whole = |file: &str| file.strip_suffix(".toml").unwrap_or(file).to_string();
    let end = |file: &str, parts: usize| {
        let whole = whole(file);
        let from = whole.rmatch_indices('/').nth(parts - 1).map_or(0, |(at, _)| at + 1);
        whole[from..].to_string()
    };
    let parts = file.split('/').count();
    let is_alone = |parts: &usize| {
        !all.iter().any(|other| other != file && end(other, *parts) == end(file, *parts))
    };
    end(file, (1..parts).find(is_alone).unwrap_or(parts))
}

/// The values of all axes at all points, in their order.
///
/// # Errors
/// If the design does not fit the axes.
pub fn points(experiment: &Experiment, axes: &[Dimension]) -> Result<Vec<Vec<Chosen>>, Diagnostic> {
    let count = planned(experiment, axes);
    let place = &experiment.place;
    if count > super::file::MOST_POINTS as f64 {
        let message = format!("{count:.0} points are more than {}", super::file::MOST_POINTS);
        let help = "take fewer values, or a `latin-hypercube` of as many points as you can afford";
        return Err(Diagnostic::error("too-many-points", place.clone(), message).help(help));
    }
    let wrong = |message: String, help: &str| {
        let found = Diagnostic::error("design-mismatch", place.clone(), message);
        Err(found.help(help))
    };
    let inputs = axes.len();
    let is_drawn = !matches!(experiment.design, Design::Grid | Design::List);
    if is_drawn && inputs == 0 {
        return wrong("there is no axis to draw from".into(), "add an `[[axis]]`");
    }
    let needed = match experiment.design {
        Design::Sobol(_) => inputs,
        Design::Sensitivity(_) => 2 * inputs,
        _ => 0,
    };
    if needed > SOBOL_DIMENSIONS {
        let message = format!("{inputs} axes are more than Sobol's sequence has numbers for");
        return wrong(message, "leave out axes that `morris` finds not to matter");
    }
    let stream = Seed(experiment.seed.unwrap_or(1)).replication(0).named("design");
    let drawn = |points: Points| {
        let at = |point: &Vec<f64>| {
            axes.iter().zip(point).map(|(axis, place)| axis.at(*place)).collect()
        };
        Ok(points.iter().map(at).collect())
    };
    match &experiment.design {
        Design::Grid => Ok(grid(axes)),
        Design::List => {
            let counts: Vec<usize> = axes.iter().map(Dimension::count).collect();
            let length = counts.first().copied().unwrap_or(1);
            if counts.iter().any(|count| *count != length) {
                let message = format!("a list needs axes of one length; these have {counts:?}");
                return wrong(message, "give each axis as many values as there are points");
            }
            let at = |index| axes.iter().map(|axis| axis.nth(index)).collect();
            Ok((0..length).map(at).collect())
        }
        Design::LatinHypercube(it) => drawn(latin_hypercube(it.points as usize, inputs, stream)),
        Design::Sobol(it) => drawn(sobol_points(it.points as usize, inputs, None)),
        Design::Morris(it) if !it.levels.is_multiple_of(2) => {
            wrong(format!("{} levels are an odd number", it.levels), "take 4 or 6 levels")
        }
        Design::Morris(it) => drawn(morris_points(it.walks as usize, it.levels, inputs, stream)),
        Design::Sensitivity(it) => drawn(sobol_design(it.points as usize, inputs, Some(stream))),
    }
}

/// How many points there will be.
fn planned(experiment: &Experiment, axes: &[Dimension]) -> f64 {
    let inputs = axes.len() as f64;
    match &experiment.design {
        Design::Grid => axes.iter().map(|axis| axis.count() as f64).product(),
        Design::List => axes.first().map_or(1.0, |axis| axis.count() as f64),
        Design::LatinHypercube(it) | Design::Sobol(it) => f64::from(it.points),
        Design::Morris(it) => f64::from(it.walks) * (inputs + 1.0),
        Design::Sensitivity(it) => f64::from(it.points) * (inputs + 2.0),
    }
}

/// Every combination, the last axis changing fastest.
fn grid(axes: &[Dimension]) -> Vec<Vec<Chosen>> {
    let mut points: Vec<Vec<Chosen>> = vec![Vec::new()];
    for axis in axes {
        let mut longer = Vec::with_capacity(points.len() * axis.count());
        for point in &points {
            for index in 0..axis.count() {
                let mut next = point.clone();
                next.push(axis.nth(index));
                longer.push(next);
            }
        }
        points = longer;
    }
    points
}
/// The points of the unit cube behind a design that finds sensitivities; the same as were run.
pub fn unit_points(experiment: &Experiment, inputs: usize) -> Option<Points> {
    let stream = Seed(experiment.seed.unwrap_or(1)).replication(0).named("design");
    match &experiment.design {
        Design::Morris(it) => Some(morris_points(it.walks as usize, it.levels, inputs, stream)),
        Design::Sensitivity(it) => Some(sobol_design(it.points as usize, inputs, Some(stream))),
        _ => None,
    }
}
