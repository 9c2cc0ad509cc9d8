//! Are claims judged as they should be?
//!
//! `UPDATE=1 cargo test --test claims` writes the words of `tests/claims/*.txt` anew. Verdicts that
//! take minutes to simulate are not here: the page that the command writes is compared by whoever
//! changes results.
#![cfg(feature = "cli")]

use std::fs;
use std::path::{Path, PathBuf};

use loadbearing::claims::{Bench, By, Judged, Point, SLUGS, Source, Verdict, judge, load, to_json};
use loadbearing::diagnostic::render_plain;
use loadbearing::experiment::Silent;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(Path::new(ROOT).join(path)).map_err(|error| error.to_string())
}

fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).expect("readable");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let toml = paths.filter(|path| path.extension().is_some_and(|it| it == "toml"));
    let relative = |path: PathBuf| {
        path.strip_prefix(ROOT).expect("within").to_str().expect("UTF-8").to_string()
    };
    let mut files: Vec<String> = toml.map(relative).collect();
    files.sort();
    files
}

fn sound(path: &str, text: &str) -> Source {
    let loaded = load(path, &mut |_| Ok(text.to_string()));
    let said = render_plain(&loaded.diagnostics, &loaded.sources);
    Source { path: path.into(), claims: loaded.claims.unwrap_or_else(|| panic!("{path}:\n{said}")) }
}

fn shipped() -> Vec<Source> {
    let one = |path: String| sound(&path, &read(&path).expect("readable"));
    files("experiments/claims").into_iter().map(one).collect()
}

fn judged(sources: &[Source], wanted: &dyn Fn(&str) -> bool) -> Vec<Vec<Judged>> {
    let mut bench = Bench::new(&read, Vec::new(), Some(2), &Silent);
    judge(sources, wanted, &mut bench).expect("judged")
}

#[test]
fn a_wrong_file_is_told_so() {
    let mut wrong = Vec::new();
    for slug in SLUGS {
        let path = format!("tests/claims/{slug}.toml");
        let loaded = load(&path, &mut |path| read(path));
        let said = render_plain(&loaded.diagnostics, &loaded.sources);
        assert!(loaded.claims.is_none() && said.contains(&format!("[{slug}]")), "{slug}:\n{said}");
        assert!(loaded.diagnostics.iter().all(|found| found.help.is_some()), "{said}");
        let golden = Path::new(ROOT).join(format!("tests/claims/{slug}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, &said).expect("writable");
        } else if fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("--- {slug}\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "other words than before:\n{}", wrong.join("\n"));
}

#[test]
fn shipped_claims_are_sound_and_unique() {
    let mut ids = Vec::new();
    for source in shipped() {
        for scenario in &source.claims.scenarios {
            let Point { file, sets, .. } = Point::of(&source.path, scenario);
            let loaded = loadbearing::topology::load(&file, &sets, &mut |path| read(path));
            let said = render_plain(&loaded.diagnostics, &loaded.sources);
            assert!(loaded.topology.is_some(), "{}, {}:\n{said}", source.path, scenario.name);
        }
        ids.extend(source.claims.claims.iter().map(|it| it.name.clone()));
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id is used twice");
}

/// Wherever a verdict is not the one that was expected, the page says which of them is wrong: an assumption flips it, or
/// a sentence of ours in the claims file, never only what was measured.
#[test]
fn the_findings_settle_every_verdict_that_was_not_expected() {
    let page = read("docs/findings.md").expect("it is committed");
    let of_claims = |line: &&str| line.starts_with("- **") && line.contains(" was expected");
    assert!(page.lines().filter(of_claims).count() > 20);
    let open: Vec<&str> =
        page.lines().filter(of_claims).filter(|line| line.contains("What was found:")).collect();
    assert!(open.is_empty(), "to be read again:\n{}", open.join("\n"));
}

/// A loop of 10 ms under an open stream: everything about it is known.
const LOOP: &str = "version = 1\narrivals.rate = \"50/s\"\nobjectives = [\"latency_p95 < 60ms\"]\n\
    run = { warmup = \"10s\", duration = \"60s\", replications = 4 }\n[service.web]\n\
    [operation.ask]\nshare = 1\nflow = [{ cpu.exponential = \"10ms\" }]\n";

const ABOUT_IT: &str = r#"
version = 1
title = "A loop"
document = "A plan"
[scenario.half]
topology = "loop.toml"
[claim.A-1]
says = "half of the loop is busy"
section = "1"
claimed = "50%"
unit = "share"
measured = "of(half, service.web, utilisation_ratio)"
[claim.A-2]
says = "a request takes 10 ms"
section = "2"
claimed = "10ms"
unit = "seconds"
measured = "of(half, latency_mean_s)"
[claim.A-3]
says = "it takes at most 18 ms"
section = "3"
claimed = "18ms"
claims = "at-most"
unit = "seconds"
measured = "of(half, latency_mean_s)"
[[claim.A-3.assume]]
what = "requests a second"
knob = "arrivals.rate"
values = ["40/s", "60/s"]
[claim.A-4]
says = "100 requests a second fill it"
section = "4"
claimed = "100/s"
unit = "per-second"
measured = "1 / demand(half, service.web)"
because = "a quotient"
[claim.A-5]
says = "the service is the first to be full"
section = "5"
claimed = 1
unit = "count"
measured = "place(half, service.web)"
[claim.A-6]
says = "it is well designed"
section = "6"
claimed = 1
unit = "count"
because = "nobody can compute that"
[claim.A-7]
says = "it carries 50 requests a second with 95 % of them below 60 ms"
section = "7"
claimed = "50/s"
unit = "per-second"
measured = "capacity(half)"
"#;

fn about_the_loop() -> (Vec<Source>, Vec<Judged>) {
    let sources = vec![sound("loop-claims.toml", ABOUT_IT)];
    let read = |path: &str| match path {
        "loop.toml" => Ok(LOOP.to_string()),
        _ => Err("no such file".into()),
    };
    let mut bench = Bench::new(&read, Vec::new(), Some(2), &Silent);
    let judged = judge(&sources, &|_| true, &mut bench).expect("judged").remove(0);
    (sources, judged)
}

#[test]
fn a_loop_is_judged_as_theory_has_it() {
    let (sources, judged) = about_the_loop();
    let verdicts: Vec<Verdict> = judged.iter().map(|it| it.verdict).collect();
    use Verdict::{Confirmed, Refuted, Undetermined};
    // M/M/1 at half load: 20 ms; 16.7 ms at 40/s, 25 ms at 60/s: 18 ms within 30 % is 23.4 ms.
    assert_eq!(verdicts[..4], [Confirmed, Refuted, Undetermined, Confirmed]);
    // 95 % below 60 ms: 1 / (0.01) - ln(20) / 0.06 = 50.07/s.
    assert_eq!(verdicts[4..], [Confirmed, Undetermined, Confirmed]);
    let decides = judged[2].decides.as_deref().expect("something decides");
    assert_eq!(decides, "requests a second: plausible as assumed, refuted with 60/s");
    let exact = judged[1].value;
    assert!(exact.low < Some(0.02) && Some(0.02) < exact.high, "{exact:?}");
    assert_eq!((judged[3].by, judged[5].by), (By::Arithmetic, By::Nothing));
    assert_eq!(judged[5].why, "nobody can compute that");
    assert!(judged[6].why.contains("`latency_p95 < 60ms` fails in 4 of 4"), "{}", judged[6].why);
    assert!(
        judged[1].why.contains("service.web gives first, full from 99.1/s on"),
        "{}",
        judged[1].why
    );
    let again = about_the_loop();
    let text = |sources: &[Source], judged: Vec<Judged>| to_json(sources, &[judged]).to_string();
    assert_eq!(text(&sources, judged), text(&again.0, again.1), "the same seed, the same verdicts");
}

#[test]
fn what_arithmetic_decides_is_decided_the_same_again() {
    let sources = shipped();
    let is_arithmetic = |id: &str| {
        let claims = sources.iter().flat_map(|it| &it.claims.claims);
        claims
            .into_iter()
            .any(|it| it.name == id && it.spec.because.is_some() && it.spec.measured.is_some())
    };
    let once = judged(&sources, &is_arithmetic);
    assert!(once.iter().flatten().all(|it| it.by == By::Arithmetic && !it.why.is_empty()));
    let text = |judged: &[Vec<Judged>]| to_json(&sources, judged).to_string();
    assert_eq!(text(&once), text(&judged(&sources, &is_arithmetic)));
}
