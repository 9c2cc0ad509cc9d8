//! The topologies that ship with the program are sound, and say where what they assume comes from.

mod components;

use std::fs;
use std::path::{Path, PathBuf};

use loadbearing::diagnostic::render_plain;
use loadbearing::topology::{Loaded, load};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies");

fn load_with(path: &Path, sets: &[&str]) -> Loaded {
    let mut read = |path: &str| fs::read_to_string(path).map_err(|error| error.to_string());
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    load(path.to_str().expect("a path in UTF-8"), &sets, &mut read)
}

fn load_file(path: &Path) -> Loaded {
    load_with(path, &[])
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(FOLDER).join(folder)).expect("readable");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    files.sort();
    files
}

/// Every topology that ships.
fn all() -> Vec<PathBuf> {
    let folders = [
        "examples",
        "components",
        "theory",
        "max-booster",
        "manas360",
        "tutoring",
        "capsule",
        "reality",
        "gallery",
    ];
    folders.map(files).concat()
}

#[test]
fn every_topology_is_sound() {
    for path in all() {
        let loaded = load_file(&path);
        let said = render_plain(&loaded.diagnostics, &loaded.sources);
        assert!(loaded.topology.is_some(), "{}:\n{said}", path.display());
        // The plan's pools exceed what its databases accept: a finding, not a slip.
        let slips = loaded.diagnostics.iter().filter(|it| it.slug != "too-many-connections");
        assert_eq!(slips.count(), 0, "{}:\n{said}", path.display());
    }
}

#[test]
fn every_topology_opens_with_what_it_shows_and_every_assumption_with_its_reason() {
    for path in all() {
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("# "), "{} does not say what it shows", path.display());
        let topology = load_file(&path).topology.expect("sound");
        for assumption in &topology.assume {
            let what = &assumption.what;
            assert!(assumption.why.is_some(), "{}: why `{what}`?", path.display());
            assert!(assumption.knob.is_some(), "{}: what carries `{what}`?", path.display());
        }
    }
}

#[test]
fn what_their_comments_invite_to_set_can_be_set() {
    for path in all() {
        let text = fs::read_to_string(&path).expect("readable");
        // What stands on one line is set together.
        for line in text.lines().filter(|line| line.contains("--set ")) {
            let sets = line.split("--set ").skip(1).filter_map(|rest| {
                rest.split_whitespace().next().map(|set| set.trim_end_matches(['"', ',']))
            });
            let sets: Vec<&str> = sets.collect();
            let loaded = load_with(&path, &sets);
            let said = render_plain(&loaded.diagnostics, &loaded.sources);
            assert!(loaded.topology.is_some(), "{} with {sets:?}:\n{said}", path.display());
        }
    }
}

#[test]
fn the_map_shows_every_topology() {
    let map = fs::read_to_string(Path::new(FOLDER).join("README.md")).expect("readable");
    for path in
        all().into_iter().filter(|path| !path.starts_with(Path::new(FOLDER).join("components")))
    {
        let name = path.strip_prefix(FOLDER).expect("within").to_str().expect("UTF-8");
        assert!(map.contains(&format!("({name})")), "{name} is not on the map");
    }
}
