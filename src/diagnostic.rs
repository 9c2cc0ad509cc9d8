//! What is wrong with a file, as plain data: the place, the reason, the cure.
//!
//! The library only makes diagnostics; the command line draws them. They are collected, so that an
//! author sees all of them at once.

use std::ops::Range;

/// Which text a place is in: an index into the topology's list of [`Source`]s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct SourceId(pub u32);

/// A text that was read: a file, or the arguments of `--set`.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// How people know it: a path, or `--set`.
    pub name: String,
    /// Its whole text.
    pub text: String,
}

/// A place in a source: a range of bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Which text.
    pub source: SourceId,
    /// Bytes within it.
    pub span: Range<usize>,
}

/// Whether a run can go on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but is likely not what its author meant.
    Warning,
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Its kind, a slug such as `unknown-key`; `tests/diagnostics/<slug>.toml` shows it.
    pub slug: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence: what is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What to write instead.
    pub help: Option<String>,
    /// Other places that matter, each with a remark ("first defined here").
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(slug: &'static str, place: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            slug,
            severity: Severity::Error,
            message: message.into(),
            place,
            help: None,
            related: Vec::new(),
        }
    }
    /// A warning at a place.
    pub fn warning(slug: &'static str, place: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(slug, place, message) }
    }
    /// The same, with what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
    /// The same, pointing at another place too.
    pub fn related(mut self, place: Place, remark: impl Into<String>) -> Diagnostic {
        self.related.push((place, remark.into()));
        self
    }
}

/// "did you mean `x`?": the candidate nearest to `word`, if one is near enough to be a slip.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(word.len()) / 4)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        assert_eq!(did_you_mean("sise", ["size", "idle"]), Some("did you mean `size`?".into()));
        assert_eq!(did_you_mean("wombat", ["size", "idle"]), None);
    }
}
