//! What a page of findings tells beside the verdicts: both sides of contradictions, what each state of
//! a deployment carries, what upgrades buy, and the figures.

use std::collections::BTreeMap;

use super::bench::{Bench, Point, Trouble};
use super::evaluate::{Setting, series_of};
use super::expression::{Formula, si};
use super::file::{
    Contradiction, Counted, Figure, Line, Paths, State, Sweep, Timeline, Upgrade, Verdict,
};
use super::judge::{CONFIDENCE, Source, grade, points, prepare};
use super::words;
use crate::result::Estimate;
use crate::topology::Named;

/// A contradiction with what the simulation says of each side.
pub struct Weighed {
    /// The contradiction, with its id.
    pub contradiction: Named<Contradiction>,
    /// What was computed, if anything was.
    pub value: Option<Estimate>,
    /// For each side what the value makes of it, if it claims one.
    pub sides: Vec<Option<Verdict>>,
}

/// A state of a deployment with what it carries.
pub struct Carried {
    /// The scenario.
    pub scenario: String,
    /// What it is.
    pub what: String,
    /// The load that the document states.
    pub stated: Option<f64>,
    /// The load that it carries.
    pub load: Estimate,
    /// The load is a population.
    pub closed: bool,
    /// What fails above it.
    pub limit: String,
    /// What is full first, second and third, with the load at which each is.
    pub order: Vec<(String, f64)>,
    /// What it costs a month there.
    pub cost: Estimate,
}

/// What an upgrade buys.
pub struct Bought {
    /// What it is.
    pub what: String,
    /// Users that the deployment carries more.
    pub more: f64,
    /// What it costs a month more.
    pub cost: f64,
}

impl Bought {
    /// What a thousand users more cost a month; for ever too much if there are none.
    pub fn per_thousand(&self) -> f64 {
        if self.more > 0.0 { self.cost / self.more * 1_000.0 } else { f64::INFINITY }
    }
}

/// A line of a figure.
pub struct Drawn {
    /// Its name.
    pub name: String,
    /// It is what the document claims.
    pub claimed: bool,
    /// Its points: values across and upwards.
    pub points: Vec<(f64, f64)>,
}

/// A figure with its values.
pub struct Picture {
    /// Its name, for its file.
    pub name: String,
    /// The claim that it is about.
    pub claim: String,
    /// Its heading.
    pub title: String,
    /// Its rank among all.
    pub rank: u32,
    /// What is across, if anything is.
    pub across: String,
    /// The names of the values across, where they are names.
    pub ticks: Vec<String>,
    /// What is upwards.
    pub upwards: String,
    /// What that counts.
    pub unit: Counted,
    /// One bar for each line.
    pub is_bars: bool,
    /// Its lines.
    pub lines: Vec<Drawn>,
}

/// All that is told of one document beside its verdicts.
pub struct Inquiry {
    /// Contradictions.
    pub weighed: Vec<Weighed>,
    /// States, in the order of the file.
    pub carried: Vec<Carried>,
    /// Upgrades, the cheapest thousand users first.
    pub bought: Vec<Bought>,
    /// Figures.
    pub pictures: Vec<Picture>,
}

/// Finds out all that a page tells of a document beside its verdicts.
///
/// # Errors
/// If a topology is wrong or a formula names what is not there.
pub fn inquire(source: &Source, bench: &mut Bench<'_>) -> Result<Inquiry, Trouble> {
    let setting = Setting { points: points(source), given: &[], instead: BTreeMap::new() };
    let mut weighed = Vec::new();
    for contradiction in &source.claims.contradictions {
        weighed.push(weigh(contradiction, &setting, bench)?);
    }
    let mut carried = Vec::new();
    for state in &source.claims.states {
        carried.push(carry(source, state, &setting, bench)?);
    }
    let mut bought = Vec::new();
    for upgrade in &source.claims.upgrades {
        bought.push(buy(&upgrade.spec, &setting, bench)?);
    }
    bought.sort_by(|a, b| a.per_thousand().total_cmp(&b.per_thousand()));
    let mut pictures = Vec::new();
    for surprise in &source.claims.surprises {
        let claim = source.claims.claims.iter().find(|it| it.name == surprise.spec.claim);
        let given = claim.map_or(&[][..], |it| &it.spec.given);
        let setting = Setting { given, ..setting.clone() };
        let mut picture = Picture {
            name: surprise.name.clone(),
            claim: surprise.spec.claim.clone(),
            title: surprise.spec.title.clone(),
            rank: surprise.spec.rank,
            across: String::new(),
            ticks: Vec::new(),
            upwards: String::new(),
            unit: Counted::Count,
            is_bars: false,
            lines: Vec::new(),
        };
        match &surprise.spec.figure {
            Figure::Sweep(sweep) => draw_sweep(sweep, &setting, &mut picture, bench)?,
            Figure::Timeline(timeline) => draw_timeline(timeline, &setting, &mut picture, bench)?,
            Figure::Bars(bars) => {
                (picture.upwards, picture.unit) = (bars.upwards.clone(), bars.unit);
                picture.is_bars = true;
                for line in &bars.lines {
                    let value = computed(&line.of, &setting, bench)?;
                    picture.lines.push(drawn(line, vec![(0.0, centre(&value))]));
                }
            }
        }
        pictures.push(picture);
    }
    Ok(Inquiry { weighed, carried, bought, pictures })
}

fn drawn(line: &Line, points: Vec<(f64, f64)>) -> Drawn {
    Drawn { name: line.name.clone(), claimed: line.claimed, points }
}

fn centre(value: &Estimate) -> f64 {
    value.estimate.unwrap_or(f64::NAN)
}

/// Runs what a formula needs and computes it.
fn computed(
    formula: &Formula,
    setting: &Setting<'_>,
    bench: &mut Bench<'_>,
) -> Result<Estimate, Trouble> {
    let (mut run, mut seek) = (Vec::new(), Vec::new());
    setting.needs(formula, &mut run, &mut seek);
    prepare(setting, formula, bench)?;
    bench.run(&run)?;
    seek.iter().try_for_each(|point| bench.seek(point))?;
    let sample = setting.value(formula, bench).map_err(Trouble::Other)?;
    Ok(sample.estimate(CONFIDENCE))
}

fn weigh(
    contradiction: &Named<Contradiction>,
    setting: &Setting<'_>,
    bench: &mut Bench<'_>,
) -> Result<Weighed, Trouble> {
    let spec = &contradiction.spec;
    let value = match &spec.measured {
        Some(measured) => Some(computed(measured, setting, bench)?),
        None => None,
    };
    let mut sides = Vec::new();
    for side in &spec.sides {
        let (Some(value), Some(claimed)) = (&value, &side.claimed) else {
            sides.push(None);
            continue;
        };
        let low = centre(&computed(claimed, setting, bench)?);
        let high = match &side.to {
            Some(to) => centre(&computed(to, setting, bench)?),
            None => low,
        };
        sides.push(Some(grade(centre(value), (low, high), side.claims)));
    }
    Ok(Weighed { contradiction: contradiction.clone(), value, sides })
}

fn carry(
    source: &Source,
    state: &State,
    setting: &Setting<'_>,
    bench: &mut Bench<'_>,
) -> Result<Carried, Trouble> {
    let point = &setting.points[state.scenario.as_str()];
    bench.seek(point)?;
    let stated = match &state.stated {
        Some(stated) => Some(centre(&computed(stated, setting, bench)?)),
        None => None,
    };
    let scenario = source.claims.scenarios.iter().find(|it| it.name == state.scenario);
    let sought = bench.sought(point).ok_or_else(|| Trouble::Other("it was not sought".into()))?;
    let values: Vec<Option<f64>> = sought.loads.iter().copied().map(Some).collect();
    let fold = crate::result::Fold::Mean;
    Ok(Carried {
        scenario: state.scenario.clone(),
        what: scenario.and_then(|it| it.spec.what.clone()).unwrap_or_default(),
        stated,
        load: Estimate::fold(&values, fold, CONFIDENCE, &[]),
        closed: sought.closed,
        limit: sought.limits.first().map(|(limit, _)| limit.clone()).unwrap_or_default(),
        order: words::order(&sought.at).into_iter().take(3).collect(),
        cost: sought.at.estimate("cost_month"),
    })
}

fn buy(upgrade: &Upgrade, setting: &Setting<'_>, bench: &mut Bench<'_>) -> Result<Bought, Trouble> {
    let carried = |name: &str, bench: &mut Bench<'_>| -> Result<(f64, f64), Trouble> {
        let point: &Point = &setting.points[name];
        bench.seek(point)?;
        let sought =
            bench.sought(point).ok_or_else(|| Trouble::Other("it was not sought".into()))?;
        let load = sought.loads.iter().sum::<f64>() / sought.loads.len() as f64;
        Ok((load, centre(&sought.at.estimate("cost_month"))))
    };
    let before = carried(&upgrade.before, bench)?;
    let after = carried(&upgrade.after, bench)?;
    let cost = match &upgrade.cost {
        Some(cost) => centre(&computed(cost, setting, bench)?),
        None => after.1 - before.1,
    };
    Ok(Bought { what: upgrade.what.clone(), more: after.0 - before.0, cost })
}

/// The setting with a knob at a value, in all scenarios or in some.
fn turned<'a>(
    setting: &Setting<'a>,
    knob: &Paths,
    value: &str,
    within: &[String],
    bench: &mut Bench<'_>,
    used: &[String],
) -> Setting<'a> {
    let mut turned = setting.clone();
    let mut sets = Vec::new();
    for path in &knob.0 {
        match (path.strip_prefix("given."), si(value)) {
            (Some(name), Some(number)) => {
                turned.instead.insert(name.into(), number);
            }
            _ => sets.push(format!("{path}={value}")),
        }
    }
    for (name, point) in &mut turned.points {
        let wanted = within.is_empty() || within.iter().any(|it| it == name);
        if sets.is_empty() || !wanted || !used.iter().any(|it| it == name) {
            continue;
        }
        let with = point.with(&sets);
        // A scenario that lacks the key stays as it is.
        if bench.prepare(&with).is_ok() {
            *point = with;
        }
    }
    turned
}

fn draw_sweep(
    sweep: &Sweep,
    setting: &Setting<'_>,
    picture: &mut Picture,
    bench: &mut Bench<'_>,
) -> Result<(), Trouble> {
    (picture.across, picture.upwards) = (sweep.across.clone(), sweep.upwards.clone());
    (picture.unit, picture.ticks) = (sweep.unit, sweep.values.clone());
    picture.lines = sweep.lines.iter().map(|line| drawn(line, Vec::new())).collect();
    let mut settings = Vec::new();
    let used: Vec<String> = sweep
        .lines
        .iter()
        .flat_map(|line| line.of.calls())
        .filter_map(|call| call.scenario().map(|it| it.text.clone()))
        .collect();
    for value in &sweep.values {
        settings.push(turned(setting, &sweep.knob, value, &sweep.within, bench, &used));
    }
    // All of them at once, so that no thread waits.
    let (mut run, mut seek) = (Vec::new(), Vec::new());
    for (setting, line) in
        settings.iter().flat_map(|it| sweep.lines.iter().map(move |line| (it, line)))
    {
        setting.needs(&line.of, &mut run, &mut seek);
    }
    bench.run(&run)?;
    for (index, setting) in settings.iter().enumerate() {
        for (line, drawn) in sweep.lines.iter().zip(&mut picture.lines) {
            let value = computed(&line.of, setting, bench)?;
            drawn.points.push((index as f64, centre(&value)));
        }
    }
    Ok(())
}

fn draw_timeline(
    timeline: &Timeline,
    setting: &Setting<'_>,
    picture: &mut Picture,
    bench: &mut Bench<'_>,
) -> Result<(), Trouble> {
    (picture.across, picture.upwards) = ("seconds".into(), timeline.upwards.clone());
    picture.unit = timeline.unit;
    for trace in &timeline.lines {
        let point = &setting.points[trace.scenario.as_str()];
        bench.run(std::slice::from_ref(point))?;
        let ran = bench.ran(point).ok_or_else(|| Trouble::Other("it was not run".into()))?;
        let pick = series_of(ran, &trace.subject, &trace.series).map_err(Trouble::Other)?;
        // One replication tells a story; the mean of several would tell none.
        let windows = ran.timelines.first().map(Vec::as_slice).unwrap_or_default();
        let measured: Vec<_> = windows.iter().filter(|it| it.measured).collect();
        let Some(first) = measured.first() else { continue };
        let points =
            measured.iter().filter_map(|it| Some((it.end.since(first.start).seconds(), pick(it)?)));
        let points = points.collect();
        picture.lines.push(Drawn { name: trace.name.clone(), claimed: false, points });
    }
    Ok(())
}
