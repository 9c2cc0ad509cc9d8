//! Topologies as text, run by the whole engine with its books checked.

use loadbearing::diagnostic::render_plain;
use loadbearing::model::{Model, compile};
use loadbearing::run::{Ended, Outcome, Unwatched, replicate};
use loadbearing::topology::load;

/// The model of a sound topology file, with settings over it.
pub fn model(text: &str, sets: &[&str]) -> Model {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    let loaded = load("test.toml", &sets, &mut |_| Ok(text.to_string()));
    let said = render_plain(&loaded.diagnostics, &loaded.sources);
    compile(&loaded.topology.unwrap_or_else(|| panic!("not sound:\n{said}")))
}

/// One replication, run to its end, in which everything adds up.
pub fn run(model: &Model, replication: u32) -> Outcome {
    let outcome = replicate(model, replication, &mut Unwatched);
    assert_in_order(&outcome);
    outcome
}

/// The run has reached its end, and its audit has found nothing.
pub fn assert_in_order(outcome: &Outcome) {
    assert_eq!(outcome.ended, Ended::Completed);
    assert!(outcome.audit.broken.is_empty(), "{:?}", outcome.audit.broken);
}
