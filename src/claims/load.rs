//! Text to [`Claims`], with the place of everything that can be wrong.

use super::expression::{Call, Formula, Needs, Word};
use super::file::{Claims, Figure, Paths};
use crate::diagnostic::{Diagnostic, Place, Severity, Source, SourceId, did_you_mean};
use crate::topology::file_kind::FileKind;
use crate::topology::tree::parse;
use crate::topology::{Entry, Named, ReadText, Reader, Shape, UNREADABLE, reference_of, schema_of};

/// Every kind of diagnostic that [`load`] adds to those of topologies; `tests/claims/` shows each.
pub const SLUGS: &[&str] = &["bad-formula", "no-reason", "unknown-name", "unknown-scenario"];

/// The JSON Schema of a claims file, for editors.
pub fn schema() -> serde_json::Value {
    schema_of(&Claims::kind(), &Claims::describe().name, "Loadbearing claims")
}

/// The manual of claims files.
pub fn reference() -> Vec<Entry> {
    reference_of(Claims::describe())
}

/// What came of reading a claims file.
pub struct LoadedClaims {
    /// The claims, unless something is wrong.
    pub claims: Option<Claims>,
    /// All that is wrong or doubtful, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The text that was read.
    pub sources: Vec<Source>,
}

/// Reads a claims file.
///
/// # Errors
/// None as such: all that is wrong is in the diagnostics, and then there are no claims.
pub fn load(path: &str, read: ReadText<'_>) -> LoadedClaims {
    let (text, mut diagnostics) = match read(path) {
        Ok(text) => (text, Vec::new()),
        Err(why) => {
            let place = Place { source: SourceId(0), span: 0..0 };
            let message = format!("`{path}` cannot be read: {why}");
            let found = Diagnostic::error(UNREADABLE, place, message)
                .help("paths on the command line start from the folder that you are in");
            (String::new(), vec![found])
        }
    };
    let unread = !diagnostics.is_empty();
    let (node, faults) = parse(&text, SourceId(0));
    diagnostics.extend(faults);
    if let Some(found) = FileKind::Claims.mistaken(&node) {
        diagnostics = vec![found];
    }
    let broken = unread || !diagnostics.is_empty();
    let mut claims = None;
    if !broken {
        let mut reader = Reader::default();
        claims = Claims::read(&node, &mut reader);
        diagnostics.append(&mut reader.diagnostics);
        if let Some(claims) = &claims {
            diagnostics.extend(check(claims));
        }
    }
    diagnostics.sort_by_key(|found| found.place.span.start);
    if diagnostics.iter().any(|found| found.severity == Severity::Error) {
        claims = None;
    }
    LoadedClaims { claims, diagnostics, sources: vec![Source { name: path.into(), text }] }
}

/// What is wrong across the parts of a file.
fn check(claims: &Claims) -> Vec<Diagnostic> {
    let mut check = Check { claims, found: Vec::new() };
    check.claims();
    check.contradictions();
    check.states_and_upgrades();
    check.surprises();
    check.found
}

struct Check<'a> {
    claims: &'a Claims,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    fn claims(&mut self) {
        for claim in &self.claims.claims {
            let spec = &claim.spec;
            let given: Vec<&str> = spec.given.iter().map(|it| it.name.as_str()).collect();
            let formulas = [Some(&spec.claimed), spec.to.as_ref(), spec.measured.as_ref()];
            for formula in formulas.into_iter().flatten() {
                self.formula(formula, &given);
            }
            for (index, one) in spec.given.iter().enumerate() {
                // Names are sorted, so a formula may use those before it.
                self.formula(&one.spec, &given[..index]);
            }
            for doubt in &spec.assume {
                self.knob(&doubt.knob, &given, &doubt.place);
                for scenario in &doubt.within {
                    self.scenario(scenario, &doubt.place);
                }
            }
            let is_run = spec.measured.as_ref().is_some_and(|it| is_simulated(it, &spec.given));
            if !is_run && spec.because.is_none() {
                let message = format!("`{}` is not simulated, and nothing says why", claim.name);
                self.found.push(
                    Diagnostic::error("no-reason", claim.place.clone(), message).help(
                        "add `because = \"…\"`: why only arithmetic, or nothing, can judge it",
                    ),
                );
            }
        }
    }

    fn contradictions(&mut self) {
        for one in &self.claims.contradictions {
            if let Some(measured) = &one.spec.measured {
                self.formula(measured, &[]);
            } else if one.spec.remark.is_none() {
                let message = format!("nothing is measured for `{}`, and nothing said", one.name);
                self.found.push(
                    Diagnostic::error("no-reason", one.place.clone(), message)
                        .help("add `measured = \"…\"`, or `remark = \"…\"`: what to think of it"),
                );
            }
            for side in &one.spec.sides {
                for formula in [&side.claimed, &side.to].into_iter().flatten() {
                    self.formula(formula, &[]);
                }
            }
        }
    }

    fn states_and_upgrades(&mut self) {
        for state in &self.claims.states {
            self.scenario(&state.scenario, &state.place);
            if let Some(stated) = &state.stated {
                self.formula(stated, &[]);
            }
        }
        for upgrade in &self.claims.upgrades {
            self.scenario(&upgrade.spec.before, &upgrade.spec.place);
            self.scenario(&upgrade.spec.after, &upgrade.spec.place);
            if let Some(cost) = &upgrade.spec.cost {
                self.formula(cost, &[]);
            }
        }
    }

    fn surprises(&mut self) {
        for surprise in &self.claims.surprises {
            let place = &surprise.spec.place;
            let wanted = &surprise.spec.claim;
            let Some(claim) = self.claims.claims.iter().find(|it| it.name == *wanted) else {
                let names = self.claims.claims.iter().map(|it| it.name.as_str());
                let help = did_you_mean(wanted, names)
                    .unwrap_or_else(|| "write the id of a claim of this file".into());
                let message = format!("there is no claim `{wanted}`");
                self.found
                    .push(Diagnostic::error("unknown-name", place.clone(), message).help(help));
                continue;
            };
            let given: Vec<&str> = claim.spec.given.iter().map(|it| it.name.as_str()).collect();
            match &surprise.spec.figure {
                Figure::Sweep(sweep) => {
                    self.knob(&sweep.knob, &given, &sweep.place);
                    sweep.lines.iter().for_each(|it| self.formula(&it.of, &given));
                }
                Figure::Bars(bars) => {
                    bars.lines.iter().for_each(|it| self.formula(&it.of, &given));
                }
                Figure::Timeline(timeline) => {
                    timeline.lines.iter().for_each(|it| self.scenario(&it.scenario, &it.place));
                }
            }
        }
    }

    fn formula(&mut self, formula: &Formula, given: &[&str]) {
        for word in formula.names() {
            if !given.contains(&word.text.as_str()) {
                self.unknown_name(word, given);
            }
        }
        for call in formula.calls() {
            if let Some(word) = call.scenario() {
                self.scenario(&word.text, &word.place);
            }
        }
    }

    fn unknown_name(&mut self, word: &Word, given: &[&str]) {
        let help = did_you_mean(&word.text, given.iter().copied()).unwrap_or_else(|| match given {
            [] => "give it a value: `given.NAME = \"10\"`".into(),
            names => format!("there is: {}", names.join(", ")),
        });
        let message = format!("nothing is called `{}`", word.text);
        self.found.push(Diagnostic::error("unknown-name", word.place.clone(), message).help(help));
    }

    fn knob(&mut self, knob: &Paths, given: &[&str], place: &Place) {
        for path in &knob.0 {
            let Some(name) = path.strip_prefix("given.") else { continue };
            if !given.contains(&name) {
                self.unknown_name(&Word { text: name.into(), place: place.clone() }, given);
            }
        }
    }

    fn scenario(&mut self, name: &str, place: &Place) {
        let names = || self.claims.scenarios.iter().map(|it| it.name.as_str());
        if names().any(|known| known == name) {
            return;
        }
        let help = did_you_mean(name, names()).unwrap_or_else(|| {
            match names().collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "add `[scenario.NAME]` with its topology".into(),
                all => format!("there is: {all}"),
            }
        });
        let message = format!("there is no scenario `{name}`");
        self.found.push(Diagnostic::error("unknown-scenario", place.clone(), message).help(help));
    }
}

/// Something is run for a formula, or for a name that it uses.
pub fn is_simulated(formula: &Formula, given: &[Named<Formula>]) -> bool {
    let runs = |call: &&Call| matches!(call.function.needs, Needs::Run | Needs::Capacity);
    formula.calls().iter().any(runs)
        || formula.names().iter().any(|word| {
            let inner = given.iter().find(|it| it.name == word.text);
            inner.is_some_and(|it| is_simulated(&it.spec, given))
        })
}

/// All calls of a formula and of the names that it uses.
pub fn all_calls<'a>(formula: &'a Formula, given: &'a [Named<Formula>]) -> Vec<&'a Call> {
    let mut found = formula.calls();
    for word in formula.names() {
        if let Some(inner) = given.iter().find(|it| it.name == word.text) {
            found.extend(all_calls(&inner.spec, given));
        }
    }
    found
}
