//! Verdicts: what was computed is held against what is claimed, inside the ranges of what is not known.

use std::collections::BTreeMap;

use super::bench::{Bench, Point, Trouble};
use super::evaluate::Setting;
use super::expression::{Formula, Needs, si};
use super::file::{Claim, Claims, Direction, Doubt, Verdict};
use super::load::{all_calls, is_simulated};
use super::words;
use crate::result::Estimate;
use crate::topology::Named;

/// A claim within this share of what it claims is confirmed.
pub const CONFIRMED: f64 = 0.10;
/// And within this one plausible.
pub const PLAUSIBLE: f64 = 0.30;
/// Confidence of the intervals.
pub const CONFIDENCE: f64 = 0.95;

/// A claims file with its path.
pub struct Source {
    /// Its path, from which those of its topologies start.
    pub path: String,
    /// What it says.
    pub claims: Claims,
}

/// How a verdict came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Something was run.
    Simulation,
    /// Arithmetic over numbers and files.
    Arithmetic,
    /// Nothing can be computed.
    Nothing,
}

impl By {
    /// As results write it.
    pub fn word(self) -> &'static str {
        match self {
            By::Simulation => "simulation",
            By::Arithmetic => "arithmetic",
            By::Nothing => "nothing",
        }
    }
}

/// Another value of what is not known, with what it makes of the claim.
#[derive(Clone, Debug)]
pub struct Tried {
    /// What is not known.
    pub what: String,
    /// Its value.
    pub value: String,
    /// What the formula comes to.
    pub estimate: Estimate,
    /// What that makes of the claim.
    pub verdict: Verdict,
}

/// A claim with what became of it.
pub struct Judged {
    /// The claim, with its id.
    pub claim: Named<Claim>,
    /// The claimed value, or the ends of its range.
    pub claimed: (f64, f64),
    /// How it was judged.
    pub by: By,
    /// What was computed.
    pub value: Estimate,
    /// The verdict, whatever the unknowns may be.
    pub verdict: Verdict,
    /// The verdict with every unknown as the files have it.
    pub as_assumed: Verdict,
    /// What was tried for what is not known.
    pub tried: Vec<Tried>,
    /// What decides, if the verdict flips.
    pub decides: Option<String>,
    /// The formula with its parts.
    pub worked: String,
    /// Why.
    pub why: String,
}

impl Judged {
    /// The result is not what was expected.
    pub fn surprises(&self) -> bool {
        self.claim.spec.prior.as_ref().is_some_and(|prior| prior.verdict != self.verdict)
    }
    /// The claim holds as assumed, at least about.
    pub fn holds(&self) -> bool {
        holds(self.as_assumed)
    }
}

/// At least about right.
pub fn holds(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Confirmed | Verdict::Plausible)
}

/// What a value makes of a claim.
pub fn grade(value: f64, (low, high): (f64, f64), direction: Direction) -> Verdict {
    if value.is_nan() {
        return Verdict::Undetermined;
    }
    let within = |tolerance: f64| {
        let least = low - tolerance * low.abs();
        let most = high + tolerance * high.abs();
        // A hair of rounding decides nothing.
        let hair = 1e-9 * low.abs().max(high.abs());
        match direction {
            Direction::About => (least - hair..=most + hair).contains(&value),
            Direction::AtLeast => value >= least - hair,
            Direction::AtMost => value <= most + hair,
        }
    };
    if within(CONFIRMED) {
        Verdict::Confirmed
    } else if within(PLAUSIBLE) {
        Verdict::Plausible
    } else {
        Verdict::Refuted
    }
}

/// The scenarios of a claims file, as points.
pub fn points(source: &Source) -> BTreeMap<&str, Point> {
    let scenarios = source.claims.scenarios.iter();
    scenarios.map(|it| (it.name.as_str(), Point::of(&source.path, it))).collect()
}

/// A claim with everything that is tried for it.
struct Case<'a> {
    claim: &'a Named<Claim>,
    setting: Setting<'a>,
    /// What is not known, a value of it, and the setting with that value.
    variants: Vec<(&'a Doubt, &'a str, Setting<'a>)>,
}

/// Judges the claims of files that `wanted` picks by their ids.
///
/// # Errors
/// If a topology is wrong or a formula names what is not there.
pub fn judge(
    sources: &[Source],
    wanted: &dyn Fn(&str) -> bool,
    bench: &mut Bench<'_>,
) -> Result<Vec<Vec<Judged>>, Trouble> {
    let mut all = Vec::new();
    for source in sources {
        let mut cases = Vec::new();
        for claim in source.claims.claims.iter().filter(|it| wanted(&it.name)) {
            cases.push(Case::new(source, claim, bench)?);
        }
        all.push(cases);
    }
    let (mut run, mut seek) = (Vec::new(), Vec::new());
    for case in all.iter().flatten() {
        for setting in case.settings() {
            for formula in case.formulas() {
                setting.needs(formula, &mut run, &mut seek);
                prepare(setting, formula, bench)?;
            }
        }
    }
    bench.run(&run)?;
    seek.iter().try_for_each(|point| bench.seek(point))?;
    let judge = |case: &Case<'_>| {
        case.judge(bench).map_err(|why| Trouble::Other(format!("{}: {why}", case.claim.name)))
    };
    all.iter().map(|cases| cases.iter().map(judge).collect()).collect()
}

/// Compiles what a formula needs that is not run.
pub fn prepare(
    setting: &Setting<'_>,
    formula: &Formula,
    bench: &mut Bench<'_>,
) -> Result<(), Trouble> {
    for call in all_calls(formula, setting.given) {
        let point = call.scenario().and_then(|it| setting.points.get(it.text.as_str()));
        if let (Needs::Model, Some(point)) = (call.function.needs, point) {
            bench.prepare(point)?;
        }
    }
    Ok(())
}

impl<'a> Case<'a> {
    fn new(
        source: &'a Source,
        claim: &'a Named<Claim>,
        bench: &mut Bench<'_>,
    ) -> Result<Case<'a>, Trouble> {
        let setting =
            Setting { points: points(source), given: &claim.spec.given, instead: BTreeMap::new() };
        let mut variants = Vec::new();
        for doubt in &claim.spec.assume {
            for value in &doubt.values {
                let varied = vary(claim, &setting, doubt, value, bench)?;
                variants.push((doubt, value.as_str(), varied));
            }
        }
        Ok(Case { claim, setting, variants })
    }

    fn settings(&self) -> impl Iterator<Item = &Setting<'a>> {
        std::iter::once(&self.setting).chain(self.variants.iter().map(|(_, _, it)| it))
    }

    fn formulas(&self) -> impl Iterator<Item = &'a Formula> {
        let spec = &self.claim.spec;
        [Some(&spec.claimed), spec.to.as_ref(), spec.measured.as_ref()].into_iter().flatten()
    }

    /// The claimed range in a setting.
    fn claimed(&self, setting: &Setting<'_>, bench: &Bench<'_>) -> Result<(f64, f64), String> {
        let low = setting.value(&self.claim.spec.claimed, bench)?.centre();
        let high = match &self.claim.spec.to {
            Some(to) => setting.value(to, bench)?.centre(),
            None => low,
        };
        Ok((low, high))
    }

    fn judge(&self, bench: &Bench<'_>) -> Result<Judged, String> {
        let spec = &self.claim.spec;
        let claimed = self.claimed(&self.setting, bench)?;
        let Some(measured) = &spec.measured else {
            return Ok(self.unjudged(claimed));
        };
        let by = match is_simulated(measured, &spec.given) {
            true => By::Simulation,
            false => By::Arithmetic,
        };
        let value = self.setting.value(measured, bench)?.estimate(CONFIDENCE);
        let as_assumed = grade(value.estimate.unwrap_or(f64::NAN), claimed, spec.claims);
        let mut tried = Vec::new();
        for (doubt, text, setting) in &self.variants {
            let estimate = setting.value(measured, bench)?.estimate(CONFIDENCE);
            let claimed = self.claimed(setting, bench)?;
            let verdict = grade(estimate.estimate.unwrap_or(f64::NAN), claimed, spec.claims);
            let (what, value) = (doubt.what.clone(), text.to_string());
            tried.push(Tried { what, value, estimate, verdict });
        }
        let decides = decider(as_assumed, &value, claimed, spec.claims, &tried);
        let verdict = if decides.is_some() { Verdict::Undetermined } else { as_assumed };
        Ok(Judged {
            claim: self.claim.clone(),
            claimed,
            by,
            value,
            verdict,
            as_assumed,
            tried,
            decides,
            worked: words::worked(measured, &self.setting, bench),
            why: words::why(measured, &self.setting, bench),
        })
    }

    fn unjudged(&self, claimed: (f64, f64)) -> Judged {
        Judged {
            claim: self.claim.clone(),
            claimed,
            by: By::Nothing,
            value: Estimate::default(),
            verdict: Verdict::Undetermined,
            as_assumed: Verdict::Undetermined,
            tried: Vec::new(),
            decides: None,
            worked: String::new(),
            why: self.claim.spec.because.clone().unwrap_or_default(),
        }
    }
}

/// The setting with another value of something that is not known.
fn vary<'a>(
    claim: &Named<Claim>,
    setting: &Setting<'a>,
    doubt: &Doubt,
    value: &str,
    bench: &mut Bench<'_>,
) -> Result<Setting<'a>, Trouble> {
    let mut varied = setting.clone();
    let mut sets = Vec::new();
    for path in &doubt.knob.0 {
        match path.strip_prefix("given.") {
            Some(name) => {
                let number = si(value).ok_or_else(|| {
                    Trouble::Other(format!("{}: `{value}` is no number", claim.name))
                })?;
                varied.instead.insert(name.into(), number);
            }
            None => sets.push(format!("{path}={value}")),
        }
    }
    if sets.is_empty() {
        return Ok(varied);
    }
    let mut reached = 0;
    let mut wrong = None;
    for name in scenarios_of(claim) {
        if !doubt.within.is_empty() && !doubt.within.contains(&name) {
            continue;
        }
        let Some(point) = varied.points.get_mut(name.as_str()) else { continue };
        let turned = point.with(&sets);
        match bench.prepare(&turned) {
            Ok(_) => {
                reached += 1;
                *point = turned;
            }
            Err(trouble) => wrong = Some(trouble),
        }
    }
    match (reached, wrong) {
        (0, Some(trouble)) => Err(trouble),
        (0, None) => Err(Trouble::Other(format!(
            "{}: `{}` is set in no scenario of the claim",
            claim.name,
            doubt.knob.0.join(", ")
        ))),
        _ => Ok(varied),
    }
}

/// The names of the scenarios that a claim's formulas use.
pub fn scenarios_of(claim: &Named<Claim>) -> Vec<String> {
    let spec = &claim.spec;
    let formulas = [Some(&spec.claimed), spec.to.as_ref(), spec.measured.as_ref()];
    let mut names = Vec::new();
    for formula in formulas.into_iter().flatten() {
        for call in all_calls(formula, &spec.given) {
            if let Some(word) = call.scenario()
                && !names.contains(&word.text)
            {
                names.push(word.text.clone());
            }
        }
    }
    names
}

/// What flips the verdict: a value of something that is not known, or chance.
fn decider(
    as_assumed: Verdict,
    value: &Estimate,
    claimed: (f64, f64),
    direction: Direction,
    tried: &[Tried],
) -> Option<String> {
    let flips =
        |verdict: Verdict| verdict != Verdict::Undetermined && holds(verdict) != holds(as_assumed);
    if let Some(found) = tried.iter().find(|it| flips(it.verdict)) {
        return Some(format!(
            "{}: {} as assumed, {} with {}",
            found.what,
            as_assumed.word(),
            found.verdict.word(),
            found.value
        ));
    }
    let ends = [value.low, value.high].into_iter().flatten();
    let by_chance = ends.map(|end| grade(end, claimed, direction)).any(flips);
    by_chance.then(|| format!("chance: {} by its mean, not by its interval", as_assumed.word()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_per_cent_confirm_and_thirty_make_plausible() {
        let about = |value| grade(value, (100.0, 100.0), Direction::About);
        assert_eq!(about(110.0), Verdict::Confirmed);
        assert_eq!(about(90.0), Verdict::Confirmed);
        assert_eq!(about(111.0), Verdict::Plausible);
        assert_eq!(about(70.0), Verdict::Plausible);
        assert_eq!(about(69.9), Verdict::Refuted);
        assert_eq!(about(f64::INFINITY), Verdict::Refuted);
        assert_eq!(about(f64::NAN), Verdict::Undetermined);
        let range = |value| grade(value, (100.0, 200.0), Direction::About);
        assert_eq!((range(150.0), range(220.0)), (Verdict::Confirmed, Verdict::Confirmed));
        assert_eq!((range(250.0), range(65.0)), (Verdict::Plausible, Verdict::Refuted));
    }

    #[test]
    fn bounds_are_broken_on_one_side_only() {
        let least = |value| grade(value, (100.0, 100.0), Direction::AtLeast);
        assert_eq!((least(1e6), least(90.0)), (Verdict::Confirmed, Verdict::Confirmed));
        assert_eq!((least(70.0), least(69.0)), (Verdict::Plausible, Verdict::Refuted));
        let most = |value| grade(value, (100.0, 100.0), Direction::AtMost);
        assert_eq!((most(0.0), most(131.0)), (Verdict::Confirmed, Verdict::Refuted));
        assert_eq!(grade(0.0, (0.0, 0.0), Direction::AtMost), Verdict::Confirmed);
    }

    #[test]
    fn what_flips_a_verdict_is_named_and_chance_is_one_of_the_suspects() {
        let tried = |verdict| Tried {
            what: "think time".into(),
            value: "20s".into(),
            estimate: Estimate::exact(1.0),
            verdict,
        };
        let sure = Estimate::exact(100.0);
        let decide = |value: &Estimate, tried: &[Tried]| {
            decider(Verdict::Confirmed, value, (100.0, 100.0), Direction::About, tried)
        };
        assert_eq!(decide(&sure, &[tried(Verdict::Plausible)]), None);
        let found = decide(&sure, &[tried(Verdict::Refuted)]).unwrap();
        assert_eq!(found, "think time: confirmed as assumed, refuted with 20s");
        let unsure = Estimate { estimate: Some(100.0), low: Some(60.0), high: Some(140.0) };
        assert!(decide(&unsure, &[]).unwrap().starts_with("chance"));
    }
}
