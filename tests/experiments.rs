//! Are experiments understood, and do they say what their runs say?
#![cfg(feature = "cli")]

use std::fs;
use std::path::Path;

use loadbearing::diagnostic::render_plain;
use loadbearing::experiment::Silent;
use loadbearing::experiment::file::{SLUGS, read};
use loadbearing::experiment::findings::{Findings, Influence};
use loadbearing::experiment::prepare::{Files, Prepared, Problem};
use loadbearing::experiment::store::{NoNotes, Rows};
use loadbearing::model::compile;
use loadbearing::report::sweep_page;
use loadbearing::result::Summary;
use loadbearing::run::{Unwatched, replicate};
use loadbearing::topology::load;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A queue that is run in an instant.
const QUEUE: &str = r#"
version = 1
title = "A queue"
objectives = ["latency_mean < 60ms"]
[run]
warmup = "2s"
duration = "20s"
replications = 4
[arrivals]
rate = "40/s"
[service.web]
[operation.ask]
share = 1
flow = [{ cpu.exponential = "10ms" }]
"#;

fn disk(path: &str) -> Result<String, String> {
    match path {
        "queue.toml" => Ok(QUEUE.into()),
        "seeds.txt" => Ok("# three seeds\n11\n22\n33 # the last\n".into()),
        _ => fs::read_to_string(Path::new(ROOT).join(path)).map_err(|_| "no such file".into()),
    }
}

fn prepared<'a>(
    path: &str,
    text: &str,
    sets: &[String],
    read_file: &'a (dyn Fn(&str) -> Result<String, String> + Sync),
) -> Result<Prepared<'a>, String> {
    let found = read(path, text);
    let said = render_plain(&found.diagnostics, &found.sources);
    let experiment = found.experiment.ok_or(said)?;
    let files = Files::new(read_file);
    let ready = Prepared::new(path, experiment, sets, files, &NoNotes);
    ready.map_err(|problem| match problem {
        Problem::Wrong(found, sources) => render_plain(&found, &sources),
        Problem::Failed(why) => why,
    })
}

fn answered(text: &str) -> (Prepared<'static>, Findings) {
    static DISK: fn(&str) -> Result<String, String> = disk;
    let prepared =
        prepared("experiment.toml", text, &[], &DISK).unwrap_or_else(|it| panic!("{it}"));
    let mut rows = Rows::new();
    prepared.complete(&mut rows, None, &Silent).expect("sound");
    let found = Findings::new("experiment.toml", &prepared, &rows).expect("complete");
    (prepared, found)
}

fn told(name: &str) -> String {
    let path = format!("tests/diagnostics/experiments/{name}.toml");
    let text = fs::read_to_string(Path::new(ROOT).join(&path)).expect("the file of a slug");
    let read_file = |wanted: &str| match wanted == path {
        true => Ok(text.clone()),
        false => disk(wanted),
    };
    let ready = match prepared(&path, &text, &[], &read_file) {
        Err(said) => return said,
        Ok(ready) => ready,
    };
    match Findings::new(&path, &ready, &Rows::new()) {
        Err(Problem::Wrong(found, sources)) => render_plain(&found, &sources),
        _ => {
            let mut rows = Rows::new();
            let _ = ready.complete(&mut rows, None, &Silent);
            match Findings::new(&path, &ready, &rows) {
                Err(Problem::Wrong(found, sources)) => render_plain(&found, &sources),
                _ => String::new(),
            }
        }
    }
}

#[test]
fn every_slug_of_experiments_has_its_wrong_file_and_its_words() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for slug in SLUGS {
        let said = told(slug);
        assert!(said.contains(&format!("[{slug}]")), "{slug}.toml is not told so:\n{said}");
        assert!(said.contains("  help: "), "{slug}: no cure\n{said}");
        let golden = Path::new(ROOT).join(format!("tests/diagnostics/experiments/{slug}.txt"));
        if update {
            fs::write(&golden, &said).expect("writable");
        } else if fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("--- {slug}\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "other words than before:\n{}", wrong.join("\n"));
}

#[test]
fn a_point_is_what_run_would_say_with_the_same_settings() {
    let (ready, found) = answered(
        "version = 1\ntopology = \"queue.toml\"\nseed = 5\n\
         outputs = [\"latency_p95_s\", \"service.web.utilisation_ratio\"]\n\
         [[axis]]\npath = \"arrivals.rate\"\nvalues = [\"40/s\", \"60/s\"]\n",
    );
    let sets = ["run.seed=5".to_string(), "arrivals.rate=60/s".to_string()];
    let loaded = load("queue.toml", &sets, &mut |path| disk(path));
    let model = compile(loaded.topology.as_ref().expect("sound"));
    let outcomes: Vec<_> = (0..4).map(|it| replicate(&model, it, &mut Unwatched)).collect();
    let summary = Summary::new(&model, &outcomes);
    assert_eq!(found.estimate(1, "latency_p95_s"), Some(summary.estimate("latency_s.p95")));
    let web = summary.component("service.web").expect("there").estimate("utilisation_ratio");
    assert_eq!(found.estimate(1, "service.web.utilisation_ratio"), Some(web));
    // The objective's metric is kept though nobody asked for it, and judged.
    assert_eq!(found.points[1].verdicts[0].value, summary.estimate("latency_s.mean"));
    assert_eq!(found.is_met(1), summary.is_met());
    assert_eq!(ready.points[0].seed, 5);
    // At 40/s the mean is 16.7 ms, at 60/s 25 ms: the paired difference must see it.
    let paired = found.points[1].differences[0].expect("pairs");
    assert!(paired.differs && paired.difference.low > Some(0.0), "{paired:?}");
}

#[test]
fn common_random_numbers_can_be_switched_off() {
    let text = |common: bool| {
        format!(
            "version = 1\ntopology = \"queue.toml\"\ncommon_random_numbers = {common}\n\
             outputs = [\"latency_mean_s\"]\n\
             [[axis]]\npath = \"service.web.backlog\"\nvalues = [511, 512]\n"
        )
    };
    let latency = |found: &Findings| [0, 1].map(|point| found.points[point].rows[0].values[0]);
    let (_, common) = answered(&text(true));
    let [a, b] = latency(&common);
    assert_eq!(a, b, "the same users come to both");
    let (ready, apart) = answered(&text(false));
    let [a, b] = latency(&apart);
    assert_ne!(a, b, "others come to each");
    assert_ne!(ready.points[0].seed, ready.points[1].seed);
}

#[test]
fn seeds_may_be_listed_or_stand_in_a_file() {
    for seeds in ["[11, 22, 33]", "\"seeds.txt\""] {
        let (_, found) = answered(&format!(
            "version = 1\ntopology = \"queue.toml\"\nseeds = {seeds}\noutputs = [\"in_flight\"]\n"
        ));
        let keys = &found.points[0].keys;
        let seeds: Vec<(u64, u32)> = keys.iter().map(|key| (key.seed, key.replication)).collect();
        assert_eq!(seeds, [(11, 0), (22, 0), (33, 0)]);
        let digests: Vec<u64> = found.points[0].rows.iter().map(|row| row.digest).collect();
        let sets = ["run.seed=22".to_string()];
        let loaded = load("queue.toml", &sets, &mut |path| disk(path));
        let model = compile(loaded.topology.as_ref().expect("sound"));
        assert_eq!(digests[1], replicate(&model, 0, &mut Unwatched).digest);
    }
}

#[test]
fn a_wanted_precision_is_reached_and_not_passed_by_much() {
    let (_, found) = answered(
        "version = 1\ntopology = \"queue.toml\"\noutputs = [\"latency_mean_s\"]\n\
         precision = { within = \"2%\", most = 200 }\n",
    );
    let point = &found.points[0];
    let width = point.estimates[0].relative_half_width();
    assert!(width <= 0.02, "{width} after {}", point.rows.len());
    assert!((6..=150).contains(&point.rows.len()), "{}", point.rows.len());
}

#[test]
fn one_long_run_has_an_interval_by_batch_means_that_covers() {
    let mut covered = 0;
    for seed in 0..20 {
        let (_, found) = answered(&format!(
            "version = 1\ntopology = \"queue.toml\"\nreplications = 1\nseed = {seed}\n\
             duration = \"600s\"\nwindow = \"2s\"\noutputs = [\"in_flight\"]\n"
        ));
        // M/M/1 at 0.4: 2/3 in the system on average.
        let of = found.points[0].estimates[0];
        covered += u32::from(of.low <= Some(2.0 / 3.0) && Some(2.0 / 3.0) <= of.high);
    }
    // 19 of 20 on average; 15 or fewer are 1 in 400, and one of three times the width covers all.
    assert!((16..=20).contains(&covered), "{covered}");
}

#[test]
fn a_rule_finds_the_warm_up() {
    let text = "version = 1\ntopology = \"queue.toml\"\nwarmup = \"mser5\"\nduration = \"200s\"\noutputs = [\"in_flight\"]\n";
    let (ready, _) = answered(text);
    let found = ready.points[0].sets.iter().find(|set| set.starts_with("run.warmup="));
    assert!(found.is_some(), "{:?}", ready.points[0].sets);
}

#[test]
fn sensitivities_name_what_matters() {
    let axes = "[[axis]]\npath = \"arrivals.rate\"\nrange = { from = \"20/s\", to = \"60/s\" }\n\
                [[axis]]\npath = \"service.web.backlog\"\nrange = { from = 400, to = 600 }\n";
    let head = "version = 1\ntopology = \"queue.toml\"\nreplications = 2\n\
                outputs = [\"latency_mean_s\"]\n";
    let (_, found) = answered(&format!("{head}design.morris = 6\n{axes}"));
    let size = |index: usize| match &found.sensitivities[index].found {
        Influence::Morris(effect) => effect.size,
        Influence::Sobol { .. } => f64::NAN,
    };
    assert!(size(0) > 0.005 && size(1) == 0.0, "{} {}", size(0), size(1));
    let (_, found) = answered(&format!("{head}design.sobol-indices = 32\n{axes}"));
    let Influence::Sobol { total, .. } = &found.sensitivities[0].found else { panic!() };
    assert!(total.estimate > Some(0.8), "{total:?}");
    let Influence::Sobol { total, .. } = &found.sensitivities[1].found else { panic!() };
    assert_eq!(total.estimate, Some(0.0), "the length of a queue that is never full");
}

#[test]
fn designs_have_the_points_that_they_promise() {
    let count = |design: &str| {
        let text = format!(
            "version = 1\ntopology = [\"queue.toml\", \"queue.toml\"]\nreplications = 1\n\
             design = {design}\n\
             [[axis]]\npath = \"service.web.backlog\"\nrange = {{ from = 10, to = 1000, steps = 3, scale = \"logarithmic\" }}\n"
        );
        prepared("experiment.toml", &text, &[], &disk).map(|it| it.points.len())
    };
    assert_eq!(count("\"grid\""), Ok(6));
    assert_eq!(count("{ latin-hypercube = 7 }"), Ok(7));
    assert_eq!(count("{ sobol = 8 }"), Ok(8));
    assert_eq!(count("{ morris = { walks = 3 } }"), Ok(9));
    assert_eq!(count("{ sobol-indices = 4 }"), Ok(16));
    assert!(count("\"list\"").is_err());
    let text = "version = 1\ntopology = \"queue.toml\"\n[[axis]]\npath = \"service.web.backlog\"\n\
                range = { from = 10, to = 1000, steps = 3, scale = \"logarithmic\" }\n";
    let ready = prepared("experiment.toml", text, &[], &disk).expect("sound");
    let labels: Vec<&str> = ready.points.iter().map(|it| it.chosen[0].text.as_str()).collect();
    assert_eq!(labels, ["10", "100", "1000"]);
}

#[test]
fn a_remark_keeps_the_digest_of_a_model_and_a_value_does_not() {
    let key = |set: &str| {
        let text = "version = 1\ntopology = \"queue.toml\"\n";
        let sets: Vec<String> = [set.to_string()].into_iter().filter(|it| !it.is_empty()).collect();
        prepared("experiment.toml", text, &sets, &disk).expect("sound").points[0].key.clone()
    };
    let plain = key("");
    for harmless in ["title=Another", "run.replications=9", "run.seed=3", "objectives=[]"] {
        assert_eq!(key(harmless), plain, "{harmless}");
    }
    for matters in ["arrivals.rate=41/s", "run.duration=21s", "service.web.backlog=512"] {
        assert_ne!(key(matters), plain, "{matters}");
    }
}

/// The experiment that is small enough to be run again here.
const RUN_AGAIN: &str = "experiments/shards-under-skew";

/// Pages of results are made by `loadbearing sweep FILE --page experiments/results/NAME.md`. A page that was made from
/// other files, or from an engine that gave other results for its topologies, is stale, and the map of the pages names
/// it until it is made again; so does `UPDATE=1`. One that is not is run again, to the byte.
#[test]
fn experiments_are_sound_and_their_results_are_fresh_or_named() {
    let mut gathered = String::from(
        "# What the experiments answer\n\nThe answers of the pages beside this one, as `loadbearing sweep` \
         prints them. Gathered by `UPDATE=1 cargo test --test\nexperiments`.\n",
    );
    let (mut answers, mut stale, mut count) = (String::new(), Vec::new(), 0);
    for name in shipped() {
        let path = format!("{name}.toml");
        let text = disk(&path).expect("readable");
        assert!(text.starts_with("# "), "{path} does not say what it shows");
        let ready = prepared(&path, &text, &[], &disk);
        let ready = ready.unwrap_or_else(|said| panic!("{path}:\n{said}"));
        assert!(ready.experiment.question.is_some(), "{path} asks nothing");
        let short = name.rsplit('/').next().expect("a name");
        let page = disk(&format!("experiments/results/{short}.md"));
        let Ok(page) = page else {
            stale.push(format!("- {short}: not run yet; `{}`", again(&path, short)));
            continue;
        };
        assert!(disk(&format!("experiments/results/{short}.csv")).is_ok(), "{name} has no table");
        let of_files = format!("digest of its files {},", sweep_page::files(&ready));
        let of_engine = format!("its topologies {},", sweep_page::engine(&ready));
        if !page.contains(&of_files) {
            stale.push(format!(
                "- [{short}]({short}.md): of other files; `{}`",
                again(&path, short)
            ));
        } else if !page.contains(&of_engine) {
            stale.push(format!(
                "- [{short}]({short}.md): of another engine; `{}`",
                again(&path, short)
            ));
        } else if name == RUN_AGAIN {
            let mut rows = Rows::new();
            ready.complete(&mut rows, None, &Silent).expect("it runs");
            let found = Findings::new(&path, &ready, &rows).expect("complete");
            assert_eq!(sweep_page::page(short, &path, &ready, &found), page, "{name} is stale");
        }
        let answer = page.split("## Answer\n\n").nth(1).and_then(|it| it.split("\n\n").next());
        let title = page.lines().next().unwrap_or_default().trim_start_matches("# ");
        let question = page.lines().nth(2).unwrap_or_default();
        answers.push_str(&format!(
            "\n## [{title}]({short}.md)\n\n{question}\n\n{}\n",
            answer.expect("an answer")
        ));
        count += 1;
    }
    assert!(count >= 8, "{count} experiments with results");
    if !stale.is_empty() {
        gathered.push_str(&format!(
            "\n**Stale or missing**: made before something changed that may change them, or not made yet.\n\n{}\n",
            stale.join("\n")
        ));
    }
    gathered.push_str(&answers);
    let file = Path::new(ROOT).join("experiments/results/README.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &gathered).expect("writable");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == gathered,
        "experiments/results/README.md is out of date (UPDATE=1); stale are:\n{}",
        stale.join("\n")
    );
}

/// What makes a page again.
fn again(path: &str, short: &str) -> String {
    format!("loadbearing sweep {path} --page experiments/results/{short}.md")
}

/// The experiments and scenarios that ship, from the root, without their endings, sorted.
fn shipped() -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["experiments", "experiments/scenarios"] {
        for entry in fs::read_dir(Path::new(ROOT).join(folder)).expect("readable") {
            let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".toml").map(|name| format!("{folder}/{name}")));
        }
    }
    names.sort();
    names
}
