//! The experiment file: what is varied, how often it is run, what is asked of the results.
//!
//! It is read with the machinery of topology files: the same places in messages, the same
//! suggestions, a schema and a manual made from the same words.

use super::level::Level;
use crate::diagnostic::{Diagnostic, Severity, Source, SourceId};
use crate::topology::file_kind::FileKind;
use crate::topology::kind::Kind;
use crate::topology::names::Placed;
use crate::topology::shape::Item;
use crate::topology::spec::{Reader, Shape, spec};
use crate::topology::tree::{Node, Value, parse};
use crate::topology::{Entry, Objective, Version, reference_of, schema_of};
use crate::units::{Duration, Ratio};

/// Every kind of diagnostic that reading an experiment makes beside those of the language itself;
/// `tests/diagnostics/experiments/` shows each.
pub const SLUGS: &[&str] = &[
    "axis-twice",
    "bad-range",
    "design-mismatch",
    "no-levels",
    "seeds-missing",
    "too-many-points",
    "unknown-output",
    "unknown-point",
];

/// The most points of one experiment; more are several experiments.
pub const MOST_POINTS: usize = 10_000_000;

/// One text, or several.
#[derive(Clone, Debug, PartialEq)]
pub struct Texts(pub Vec<Placed<String>>);

impl Shape for Texts {
    fn kind() -> Kind {
        Kind::Either(Box::new(Kind::Text), Box::new(Vec::<String>::kind()))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Array(_) => Vec::<Placed<String>>::read(node, reader).map(Texts),
            _ => Placed::<String>::read(node, reader).map(|one| Texts(vec![one])),
        }
    }
    fn is_positive(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Seeds, one for each replication: written out, or in a file of one number a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Seeds {
    /// Written out.
    Listed(Vec<u64>),
    /// In a file, from the folder of the experiment.
    InFile(Placed<String>),
}

impl Item for u64 {}
impl Shape for Seeds {
    fn kind() -> Kind {
        Kind::Either(Box::new(Kind::Text), Box::new(Vec::<u64>::kind()))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Array(_) => Vec::<u64>::read(node, reader).map(Seeds::Listed),
            _ => Placed::<String>::read(node, reader).map(Seeds::InFile),
        }
    }
}

/// When measuring begins: at a time, or where a rule finds the warm-up to end.
#[derive(Clone, Debug, PartialEq)]
pub enum WarmUp {
    /// At this time.
    After(Duration),
    /// Where MSER-5 cuts the course of pilot runs.
    Mser5(Mser5),
}

impl Shape for WarmUp {
    fn kind() -> Kind {
        Kind::Either(Box::new(Duration::kind()), Box::new(WarmUpRule::kind()))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let is_rule = node.text() == Some("mser5") || node.entries().is_some();
        match is_rule {
            false => Duration::read(node, reader).map(WarmUp::After),
            true => {
                WarmUpRule::read(node, reader).map(|WarmUpRule::Mser5(rule)| WarmUp::Mser5(rule))
            }
        }
    }
}

spec! {
    /// A rule that finds the end of the warm-up.
    choice WarmUpRule {
        /// MSER-5 (White 1997) on the mean course of pilot runs, which begin at time zero.
        Mser5(Mser5) = "mser5";
    }
}
spec! {
    /// How MSER-5 is applied.
    table Mser5 {
        /// Pilot runs whose courses are averaged before the cut (Welch 1983).
        pilots: u32 = "3" from "assumed: enough to see the course through the noise", positive;
    }
}
spec! {
    /// A question put to one deployment or several: what is varied, how often it is run, what is
    /// asked of the results.
    table Experiment {
        /// The version of the language that the file is written in.
        version: Version;
        /// The question, in a few words.
        title: Option<String>;
        /// What is asked, of whom, and what an answer is good for.
        question: Option<String>;
        /// The topology file, from the folder of this file; several are the first axis.
        topology: Texts, positive;
        /// Settings over the topology at every point, as `--set`: `["users.population=2000"]`.
        set: Vec<Placed<String>> = "[]" from "the topology as it is";
        /// TOML that is merged over the topology at every point, as a file that extends it.
        overlay: Option<Placed<String>>;
        /// What must hold at a point: `["latency_p95 < 500ms"]`.
        objectives: Option<Vec<Objective>> = "those of the topology" from "the topology";
        /// What is varied: `[[axis]]`.
        axes "axis": Vec<Axis> = "[]" from "nothing is varied";
        /// Which combinations of the axes are run.
        design: Design = "\"grid\"" from "assumed: every combination";
        /// Independent runs at each point.
        replications: Option<u32> = "as many as the topology says" from "the topology", positive;
        /// Goes on until a metric is this precise at every point.
        precision: Option<Target> = "the replications are as said" from "no precision is wanted";
        /// The root of all random numbers.
        seed: Option<u64> = "the seed of the topology" from "the topology";
        /// One seed for each replication, instead of `seed` and `replications`.
        seeds: Option<Seeds> = "replications of one seed" from "independent streams of one seed";
        /// Every point meets the same users with the same work, replication by replication.
        common_random_numbers: bool = "true"
            from "assumed: differences are then of the designs, not of chance";
        /// Time before anything is measured, or the rule that finds it.
        warmup: Option<WarmUp> = "as the topology says" from "the topology";
        /// Time that is measured in each replication.
        duration: Option<Duration> = "as the topology says" from "the topology", positive;
        /// Width of one step of the timeline.
        window: Option<Duration> = "as the topology says" from "the topology", positive;
        /// Confidence of all intervals.
        confidence: Ratio = "\"95%\"" from "assumed: the custom of the field", positive;
        /// How the replications of a point become an estimate with an interval.
        intervals: Intervals = "\"student\"" from "assumed: means over independent replications";
        /// What is kept of each run: a metric of the whole (`latency_p95_s`), of an operation or a
        /// component (`pool.pg.utilisation_ratio`), or of all components (`*.utilisation_ratio`).
        outputs: Vec<Placed<String>> = "[\"offered_per_s\", \"throughput_per_s\", \"failed_ratio\", \
            \"latency_mean_s\", \"latency_p50_s\", \"latency_p95_s\", \"latency_p99_s\", \
            \"in_flight\", \"cost_month\", \"*.utilisation_ratio\"]"
            from "assumed: what most questions are about", positive;
        /// The point that the others are compared with: the value of each axis by its name.
        baseline: Option<Point> = "the first point" from "the order of the file";
        /// Which points may be the best.
        rank: Option<Rank> = "nothing is ranked" from "no order is asked for";
    }
}
spec! {
    /// Something that is varied.
    table Axis {
        /// Its name in tables; of one that sets a path, the path if left out.
        name: Option<String> = "the path" from "the path is the plainest name";
        /// The paths that take the value, as in `--set`: `"pool.pg.size"`.
        path: Option<Texts>;
        /// The values, one by one: `[5, 10, 20]`, `["1ms", "5ms"]`.
        values: Option<Vec<Placed<Level>>>;
        /// Values from one to another.
        range: Option<Range>;
        /// Cases, each with a name and any settings: `[[axis.case]]`.
        cases "case": Vec<Case> = "[]" from "an axis of values has no cases";
    }
}
spec! {
    /// Values from one to another; both of one unit. Whole numbers give whole numbers.
    table Range {
        /// The first.
        from: Placed<Level>;
        /// The last.
        to: Placed<Level>;
        /// How many, both ends included; designs that draw their points need none.
        steps: u32 = "5" from "assumed: enough to see a bend", positive;
        /// Whether steps are sums or factors.
        scale: Scale = "\"linear\"" from "assumed: equal distances";
    }
}
spec! {
    /// How values lie between the ends of a range.
    choice Scale {
        /// At equal distances.
        Linear = "linear";
        /// At equal ratios.
        Logarithmic = "logarithmic";
    }
}
spec! {
    /// One case of an axis.
    table Case {
        /// Its name in tables.
        name: String;
        /// Settings, as `--set`.
        set: Vec<Placed<String>> = "[]" from "a case may be an overlay alone";
        /// TOML that is merged over the topology, as a file that extends it.
        overlay: Option<Placed<String>>;
    }
}
spec! {
    /// Which combinations of the axes are run.
    choice Design {
        /// Every combination.
        Grid = "grid";
        /// The first values together, the second values together, and so on.
        List = "list";
        /// A Latin hypercube (McKay, Beckman and Conover 1979).
        LatinHypercube(Drawn) = "latin-hypercube";
        /// Points of Sobol's sequence (Joe and Kuo 2008): more points keep the earlier ones.
        Sobol(Drawn) = "sobol";
        /// Morris's one-at-a-time walks (1991): which axes matter at all.
        Morris(Walks) = "morris";
        /// Saltelli's design (2010): what share of the variance each axis explains.
        Sensitivity(Drawn) = "sobol-indices";
    }
}
spec! {
    /// Points that are drawn.
    table Drawn (short "points") {
        /// How many; of `sobol-indices` the base, which is run (axes + 2) times.
        points: u32, positive;
    }
}
spec! {
    /// Walks through a grid of levels.
    table Walks (short "walks") {
        /// How many walks, each of (axes + 1) points.
        walks: u32, positive;
        /// Levels of each axis; an even number.
        levels: u32 = "4" from "Morris 1991", positive;
    }
}
spec! {
    /// How precise a metric must become.
    table Target {
        /// The metric, one of the outputs.
        of: String = "\"latency_mean_s\"" from "assumed: the mean latency";
        /// How far its estimate may be off, as a share w of the truth: half the width of its interval
        /// is brought down to w / (1 + w) of the estimate, from ten replications on (Law, *Simulation
        /// Modeling and Analysis*, section 9.4.1), and stays there for five more (Hoad, Robinson and
        /// Davies 2010).
        within: Ratio, positive;
        /// Replications of a point at most.
        most: u32 = "200" from "assumed: beyond, a longer run is the better cure", positive;
    }
}
spec! {
    /// How replications become an estimate with an interval.
    choice Intervals {
        /// Their mean, with Student's t.
        Student = "student";
        /// Their mean, with the bootstrap-t (Hall 1988), which leans to the side of their skewness; with
        /// Student's t where they are fewer than eight, or hardly any differ.
        Bootstrap = "bootstrap";
        /// Their median, with the interval of order statistics; no law is assumed.
        Median = "median";
    }
}
spec! {
    /// Which points may be the best, others being worse beyond doubt.
    table Rank {
        /// The metric, one of the outputs.
        by: String;
        /// Which end is the best.
        prefer: Prefer = "\"smallest\"" from "assumed: latencies, failures and costs are better small";
    }
}
spec! {
    /// Which end of a metric is the best.
    choice Prefer {
        /// The smallest.
        Smallest = "smallest";
        /// The largest.
        Largest = "largest";
    }
}

/// A point by the values of its axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The name of the axis and the value, as tables show it.
    pub levels: Vec<(String, Placed<Level>)>,
}

impl Shape for Point {
    fn kind() -> Kind {
        Kind::Named(Box::new(Level::kind()))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(entries) = node.entries() else {
            return reader.wrong_type(node, &Self::kind());
        };
        let mut levels = Vec::new();
        for (key, inner) in entries {
            let level = reader.within(&key.name, |reader| Placed::<Level>::read(inner, reader))?;
            levels.push((key.name.clone(), level));
        }
        Some(Point { levels })
    }
}

/// What came of reading an experiment.
pub struct Read {
    /// The experiment, unless something is wrong.
    pub experiment: Option<Experiment>,
    /// All that is wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// The text.
    pub sources: Vec<Source>,
}

/// Reads an experiment file.
pub fn read(path: &str, text: &str) -> Read {
    let (node, mut diagnostics) = parse(text, SourceId(0));
    let sources = vec![Source { name: path.into(), text: text.into() }];
    let mut experiment = None;
    if let Some(found) = FileKind::Experiment.mistaken(&node) {
        diagnostics = vec![found];
    }
    if diagnostics.is_empty() {
        let mut reader = Reader::default();
        experiment = Experiment::read(&node, &mut reader);
        diagnostics = reader.diagnostics;
        if let Some(experiment) = &experiment {
            diagnostics.extend(check(experiment));
        }
    }
    diagnostics.sort_by_key(|found| found.place.span.start);
    if diagnostics.iter().any(|found| found.severity == Severity::Error) {
        experiment = None;
    }
    Read { experiment, diagnostics, sources }
}

impl Axis {
    /// Its name in tables.
    pub fn name(&self) -> &str {
        match (&self.name, &self.path) {
            (Some(name), _) => name,
            (None, Some(Texts(paths))) => paths.first().map_or("", |path| path.value.as_str()),
            (None, None) => "",
        }
    }
}

/// What is wrong across keys.
fn check(experiment: &Experiment) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = experiment.axes.iter().filter_map(wrong_axis).collect();
    for (index, axis) in experiment.axes.iter().enumerate() {
        let twin = experiment.axes[..index].iter().find(|other| other.name() == axis.name());
        if let Some(twin) = twin.filter(|_| !axis.name().is_empty()) {
            let message = format!("two axes are called `{}`", axis.name());
            let twice = Diagnostic::error("axis-twice", axis.place.clone(), message)
                .help("give each a `name` of its own")
                .related(twin.place.clone(), "the first stands here");
            found.push(twice);
        }
    }
    found
}

fn wrong_axis(axis: &Axis) -> Option<Diagnostic> {
    let ways = [axis.values.is_some(), axis.range.is_some(), !axis.cases.is_empty()];
    let said = ways.into_iter().filter(|way| *way).count();
    let (what, help) = match (said, &axis.path) {
        (0, _) => ("has no values", "give it `values = [1, 2]`, a `range`, or `[[axis.case]]`"),
        (2.., _) => ("has values in two ways", "keep one of `values`, `range` and `[[axis.case]]`"),
        (1, None) if axis.cases.is_empty() => {
            ("does not say what takes its values", "add `path = \"pool.pg.size\"`")
        }
        (1, None) if axis.name.is_none() => ("has cases and no name", "add `name = \"database\"`"),
        (1, Some(_)) if !axis.cases.is_empty() => {
            ("has a path, and cases that set their own", "leave `path` out")
        }
        _ => return axis.range.as_ref().and_then(wrong_range),
    };
    let message = format!("the axis `{}` {what}", axis.name());
    Some(Diagnostic::error("no-levels", axis.place.clone(), message).help(help))
}

fn wrong_range(range: &Range) -> Option<Diagnostic> {
    let wrong = |message: String, help: &str| {
        Some(Diagnostic::error("bad-range", range.place.clone(), message).help(help))
    };
    let (from, to) = (&range.from.value, &range.to.value);
    let Some((a, b)) = from.number().zip(to.number()) else {
        let message = format!("there is nothing between {from} and {to}");
        return wrong(message, "write two numbers, or two quantities: `from = \"1ms\"`");
    };
    if from.unit() != to.unit() {
        let message = format!("{from} and {to} are of different units");
        return wrong(message, "write both in one unit: `from = \"500ms\", to = \"2000ms\"`");
    }
    if matches!(range.scale, Scale::Logarithmic) && (a <= 0.0 || b <= 0.0) {
        return wrong(format!("no ratio leads from {from} to {to}"), "begin above zero");
    }
    None
}

/// The JSON Schema (draft 2020-12) of an experiment file.
pub fn schema() -> serde_json::Value {
    schema_of(&Experiment::kind(), "Experiment", "Loadbearing experiment")
}

/// The whole language of experiments, for the reference manual.
pub fn reference() -> Vec<Entry> {
    reference_of(Experiment::describe())
}
