//! Do the pictures of the gallery show what the program measures? Each command of the page is run: its
//! picture must be the one that is committed, and every number of the page comes from its results.
//!
//! `page.md` is the page with holes. `{picture}` is the picture of the section's command. `{1 failed 70-100}`
//! is what that panel shows of the first design, on average over those seconds of measured time (over all,
//! if none are said), and `{most 2 latency_p95}` the most that it shows of the second.
//! `UPDATE=1 cargo test --test gallery` writes `docs/gallery` anew.
#![cfg(feature = "cli")]

use std::fs;
use std::path::Path;
use std::process::Command;

use loadbearing::experiment::{Plan, Silent, replicate_all};
use loadbearing::figure::{Board, Panel};
use loadbearing::model::{Model, compile};
use loadbearing::report::{picture, show};
use loadbearing::result::{Point, Summary};
use loadbearing::run::Outcome;
use loadbearing::topology::load;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const FOLDER: &str = "docs/gallery";

/// A command of the page.
struct Scene {
    files: Vec<String>,
    heading: String,
    panels: Vec<Panel>,
    /// Where its picture goes, from the root.
    path: String,
}

/// The words of a command as a shell reads them.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in command.replace("\\\n", " ").chars() {
        match letter {
            '\'' => quoted = !quoted,
            space if space.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

impl Scene {
    /// The one command of a section, if it has one.
    fn of(section: &str) -> Option<Scene> {
        let block = section.split("```sh\n").nth(1)?.split("```").next()?;
        let mut words = words(block).into_iter();
        assert_eq!(words.next().as_deref(), Some("loadbearing"));
        assert_eq!(words.next().as_deref(), Some("compare"));
        let (mut files, mut panels) = (Vec::new(), Vec::new());
        let (mut heading, mut path) = (None, None);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("an option has a value");
            match word.as_str() {
                "--heading" => heading = Some(value()),
                "--picture" => path = Some(value()),
                "--panel" => panels.push(Panel::parse(&value()).expect("a panel")),
                file => files.push(file.to_string()),
            }
        }
        let (heading, path) = (heading.expect("a heading"), path.expect("a picture"));
        Some(Scene { files, heading, panels, path })
    }
}

/// What the designs of a scene do.
struct Ran {
    models: Vec<Model>,
    results: Vec<(Vec<Outcome>, Summary)>,
}

impl Ran {
    fn new(scene: &Scene) -> Ran {
        let mut read = |path: &str| {
            fs::read_to_string(Path::new(ROOT).join(path)).map_err(|error| error.to_string())
        };
        let topologies = scene.files.iter().map(|it| load(it, &[], &mut read).topology);
        let models: Vec<Model> = topologies.map(|it| compile(&it.expect("sound"))).collect();
        let plan = Plan { threads: None, precision: None, progress: &Silent };
        let all = replicate_all(&models.iter().collect::<Vec<_>>(), &plan).expect("it runs");
        let results = models.iter().zip(all).map(|(model, outcomes)| {
            let summary = Summary::new(model, &outcomes);
            assert!(summary.broken.is_empty(), "{:?}: {:?}", scene.files, summary.broken);
            (outcomes, summary)
        });
        Ran { results: results.collect(), models }
    }

    fn points(&self) -> Vec<Point<'_>> {
        let point = |(model, (outcomes, summary))| Point { name: "", model, outcomes, summary };
        let both = self.models.iter().zip(&self.results);
        both.map(|(model, (outcomes, summary))| point((model, (outcomes, summary)))).collect()
    }

    /// What stands in a hole.
    fn fill(&self, hole: &str) -> String {
        let mut words: Vec<&str> = hole.split_whitespace().collect();
        let most = words.first() == Some(&"most");
        words.drain(..usize::from(most));
        let design: usize =
            words[0].parse().unwrap_or_else(|_| panic!("{{{hole}}}: which design?"));
        let panel = Panel::parse(words[1]).unwrap_or_else(|why| panic!("{{{hole}}}: {why}"));
        let (from, to) = words.get(2).map_or((0.0, f64::INFINITY), |range| {
            let (from, to) = range.split_once('-').expect("from-to");
            (from.parse().expect("seconds"), to.parse().expect("seconds"))
        });
        let points = self.points();
        let course = panel.course(&points[design - 1], points.len());
        let values: Vec<f64> =
            course.iter().filter(|it| (from..=to).contains(&it.0)).map(|it| it.1).collect();
        assert!(!values.is_empty(), "{{{hole}}}: nothing was measured");
        let value = match most {
            true => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            false => values.iter().sum::<f64>() / values.len() as f64,
        };
        show::value(rounded(value), panel.unit())
    }
}

/// Two digits, or three of what is above a hundred: more would say what the next seed does not.
fn rounded(value: f64) -> f64 {
    let digits = if value.abs() >= 100.0 { 2 } else { 1 };
    format!("{value:.digits$e}").parse().expect("a number")
}

/// A section with its holes filled.
fn filled(section: &str, scene: &Scene, ran: &Ran) -> String {
    let mut out = String::new();
    let mut rest = section;
    while let Some((before, behind)) = rest.split_once('{') {
        let (hole, behind) = behind.split_once('}').expect("a hole ends");
        out.push_str(before);
        let name = Path::new(&scene.path).file_name().expect("a file").to_string_lossy();
        match hole {
            "picture" => out.push_str(&format!("![{}]({name})", scene.heading)),
            hole => out.push_str(&ran.fill(hole)),
        }
        rest = behind;
    }
    out + rest
}

/// Compares a file with the one in the repository, or writes it.
fn fresh(path: &str, text: &str) {
    let file = Path::new(ROOT).join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, text).expect("writable");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == text, "{path} is out of date: UPDATE=1 cargo test --test gallery");
}

fn template() -> String {
    fs::read_to_string(Path::new(ROOT).join("tests/gallery/page.md")).expect("readable")
}

#[test]
fn the_gallery_is_fresh() {
    let template = template();
    let mut page = String::new();
    let mut shown = Vec::new();
    for (number, section) in template.split("\n## ").enumerate() {
        page.push_str(if number > 0 { "\n## " } else { "" });
        let Some(scene) = Scene::of(section) else {
            page.push_str(section);
            continue;
        };
        let ran = Ran::new(&scene);
        let board = Board::new(&scene.heading, &ran.points(), &scene.panels).expect("it is drawn");
        fresh(&scene.path, &picture(&board));
        page.push_str(&filled(section, &scene, &ran));
        shown.extend(scene.files.iter().map(|it| it.replace("topologies/gallery/", "")));
    }
    fresh(&format!("{FOLDER}/README.md"), &page);
    let entries = fs::read_dir(Path::new(ROOT).join("topologies/gallery")).expect("readable");
    for entry in entries {
        let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
        assert!(shown.contains(&name), "{name} is not in the gallery");
    }
    assert_eq!(shown.len(), 16, "eight scenes, each with its cure");
}

/// The command of the page is the way to its picture.
#[test]
fn a_command_of_the_page_draws_its_picture() {
    let template = template();
    let section =
        template.split("\n## ").find(|it| it.contains("guard-latch.svg")).expect("it is there");
    let block = section.split("```sh\n").nth(1).and_then(|it| it.split("```").next());
    let scene = Scene::of(section).expect("it has a command");
    let drawn =
        std::env::temp_dir().join(format!("loadbearing-gallery-{}.svg", std::process::id()));
    let mut words = words(block.expect("it is there"));
    for word in &mut words {
        if *word == scene.path {
            *word = drawn.to_string_lossy().into_owned();
        }
    }
    let output = Command::new(env!("CARGO_BIN_EXE_loadbearing"))
        .args(&words[1..])
        .args(["--no-files", "--quiet"])
        .current_dir(ROOT)
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!([Some(0), Some(99)].contains(&output.status.code()), "{said}");
    let text = fs::read_to_string(&drawn).expect("it was drawn");
    let _ = fs::remove_file(&drawn);
    if std::env::var_os("UPDATE").is_some() {
        return; // it is being written
    }
    assert!(text == fs::read_to_string(Path::new(ROOT).join(&scene.path)).expect("it is there"));
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let why = Panel::parse("pool.pg.happiness").expect_err("there is no such level");
    assert!(why.contains("latency_p95") && why.contains("waiting"), "{why}");
    let output = Command::new(env!("CARGO_BIN_EXE_loadbearing"))
        .args([
            "run",
            "topologies/examples/hello.toml",
            "--no-files",
            "--quiet",
            "--duration",
            "1s",
        ])
        .args(["--picture", "/nowhere/at/all.svg", "--panel", "pool.gp.waiting"])
        .current_dir(ROOT)
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`pool.gp.waiting`") && said.contains("pool.pg"), "{said}");
}

#[test]
fn words_are_read_as_a_shell_reads_them() {
    assert_eq!(words("a 'b c' \\\n   --d e\n"), ["a", "b c", "--d", "e"]);
    assert_eq!(
        [rounded(0.04321), rounded(1234.0), rounded(0.0), rounded(7.26)],
        [0.043, 1230.0, 0.0, 7.3]
    );
}
