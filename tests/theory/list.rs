//! What the command `theory` shows: each row agrees and has teeth, and the page about it is fresh.

use std::fs;
use std::path::Path;

use loadbearing::experiment::coverage::{DIGESTED, coverage};
use loadbearing::experiment::{Plan, Silent, replicate_all};
use loadbearing::model::Model;
use loadbearing::report::{Style, believed};
use loadbearing::validation::{CASES, Finding};

use crate::runs::assert_in_order;

/// `docs/theory.md` around the table.
const HEAD: &str = "\
# Why believe it: theory beside simulation

Below is, byte for byte, what `loadbearing theory` prints: models that have an exact answer, run by the
whole engine, each figure beside its closed form. Every model is an ordinary file in
[topologies/theory](../topologies/README.md); the command below its name runs it alone.
S is a mean service time, rho a utilisation, lambda a rate of arrivals, c a number of servers, N users
who think for Z, X a throughput, W0 the mean wait for the server, s1 to s3 the utilisation by the first
one to three classes, ca2 and cs2 the squared variation of arrivals and service, theta the rate at which one who
waits leaves, L how many wait, a the height of a wave and w its 2 pi / period, H the integral of exp(-i w u) over the
chance to stay longer than u, r a rate of reads, delta the time of a load, b its beta delta, W how long a breaker waits
until its trials are over, p how often a call fails, q how often at least half of its trials do. A formula that begins with ~
is an approximation, held to within a tenth (M/G/c) or a fifth (D/M/c). `--json` says who found each closed
form, and when.

A test asserts every row, and that the same figures reject a theory whose parameter is a few per cent
off. `tests/theory/` has many more such checks. This page is made by
`UPDATE=1 cargo test --test theory list`.

```text
";

fn findings() -> Vec<Finding> {
    let models: Vec<Model> = CASES.iter().map(|case| case.compile(0, false)).collect();
    let models: Vec<&Model> = models.iter().collect();
    let plan = Plan { threads: None, precision: None, progress: &Silent };
    let outcomes = replicate_all(&models, &plan).expect("threads");
    let mut findings = Vec::new();
    for ((case, model), outcomes) in CASES.iter().zip(models).zip(&outcomes) {
        outcomes.iter().for_each(assert_in_order);
        findings.extend(case.judge(model, outcomes));
    }
    findings
}

#[test]
fn every_row_of_the_list_agrees_and_is_on_its_page() {
    let findings = findings();
    assert!(findings.len() >= 30 && CASES.len() >= 25);
    let wrong = findings.iter().filter_map(|finding| {
        let (case, row) = (finding.case, finding.row);
        let what = format!("{}, {}: t = {}", case.model, row.figure, finding.t);
        match (finding.agrees(), finding.has_teeth()) {
            (true, true) => None,
            (false, _) => Some(format!("{what}: {:?} is not {}", finding.estimate, finding.theory)),
            _ => Some(format!("{what}: {:?} could be a model that is wrong", finding.estimate)),
        }
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let page = format!("{HEAD}{}```\n", believed(&findings, Style::Plain));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/theory.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &page).expect("writable");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == page, "docs/theory.md is out of date: UPDATE=1 cargo test --test theory list");
}

/// The study itself takes minutes; its page is stale as soon as the first repetition gives other intervals.
#[test]
fn the_page_of_coverage_is_of_the_intervals_that_are_made_now() {
    let digest = coverage(DIGESTED, &Silent).digest;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coverage.md");
    let page = fs::read_to_string(path).expect("it is committed");
    assert!(
        page.contains(&format!("digest of the first {DIGESTED}: {digest}\n")),
        "{digest}: `loadbearing theory --coverage` has another table than docs/coverage.md"
    );
}
