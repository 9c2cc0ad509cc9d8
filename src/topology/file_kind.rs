//! Which of the three kinds of file it is, so that one that is handed to the wrong command is told
//! so, and not, key by key, that it is wrong.

use super::tree::Node;
use crate::diagnostic::Diagnostic;

/// The kinds of file that people write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A deployment and who uses it.
    Topology,
    /// A question to many runs.
    Experiment,
    /// What a document asserts.
    Claims,
}

impl FileKind {
    /// Keys of the top level that no file of another kind has.
    fn marks(self) -> &'static [&'static str] {
        match self {
            FileKind::Topology => {
                &["users", "arrivals", "service", "operation", "pool", "database", "region"]
            }
            FileKind::Experiment => &["axis", "design", "replications", "precision", "seeds"],
            FileKind::Claims => &["claim", "scenario", "contradiction", "document"],
        }
    }
    fn name(self) -> &'static str {
        match self {
            FileKind::Topology => "a topology",
            FileKind::Experiment => "an experiment",
            FileKind::Claims => "a file of claims",
        }
    }
    fn commands(self) -> &'static str {
        match self {
            FileKind::Topology => {
                "topologies are for `loadbearing run`, `compare`, `capacity`, `stress`, `explain` and `trace`"
            }
            FileKind::Experiment => "experiments are for `loadbearing sweep`",
            FileKind::Claims => "claims are for `loadbearing claims`",
        }
    }
    /// What to say of a file that is of another kind than wanted, by its top-level keys.
    pub(crate) fn mistaken(self, root: &Node) -> Option<Diagnostic> {
        let has = |kind: FileKind| kind.marks().iter().any(|key| root.entry(key).is_some());
        if has(self) {
            return None;
        }
        let kinds = [FileKind::Topology, FileKind::Experiment, FileKind::Claims];
        let other = kinds.into_iter().find(|kind| has(*kind))?;
        let mark = other.marks().iter().find(|key| root.entry(key).is_some())?;
        let message = format!("this is {}, by its `{mark}`, and not {}", other.name(), self.name());
        let place = root.place_of(mark);
        Some(Diagnostic::error("other-kind", place, message).help(other.commands()))
    }
}
