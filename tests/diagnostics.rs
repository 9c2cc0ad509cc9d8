//! Do we help? One wrong file per kind of diagnostic, and what is said about it, word by word. Where a kind has
//! several causes that cannot stand in one file, there are more: `SLUG.CAUSE.toml`.
//!
//! `UPDATE=1 cargo test --test diagnostics` writes the words anew.

use std::fs;
use std::path::Path;

use loadbearing::diagnostic::render_plain;
use loadbearing::topology::{Loaded, SLUGS, load};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/diagnostics");

/// Loads a file of the folder; lines `# --set path=value` at its top are its settings.
fn load_file(name: &str) -> Loaded {
    let mut read = |path: &str| {
        fs::read_to_string(Path::new(FOLDER).join(path)).map_err(|_| "no such file".to_string())
    };
    let text = read(name).expect("the file of a slug");
    let sets: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("# --set ")).map(String::from).collect();
    load(name, &sets, &mut read)
}

#[test]
fn every_slug_has_its_wrong_file_and_its_words() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let stems = stems();
    for slug in SLUGS {
        assert!(stems.iter().any(|stem| stem == slug), "{slug} has no wrong file");
    }
    for stem in stems {
        let slug = slug_of(&stem);
        let loaded = load_file(&format!("{stem}.toml"));
        let said = render_plain(&loaded.diagnostics, &loaded.sources);
        assert!(said.contains(&format!("[{slug}]")), "{stem}.toml is not told so:\n{said}");
        for found in &loaded.diagnostics {
            assert!(found.help.is_some(), "{stem}.toml: no cure for: {}", found.message);
        }
        let golden = Path::new(FOLDER).join(format!("{stem}.txt"));
        if update {
            fs::write(&golden, &said).expect("writable");
        } else if fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("--- {stem}\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "other words than before:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_lacks_its_slug() {
    for entry in fs::read_dir(FOLDER).expect("readable") {
        let path = entry.expect("readable").path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        assert!(path.is_dir() || SLUGS.contains(&slug_of(stem)), "{stem} is no slug");
    }
}

/// The wrong files, without their endings, in order.
fn stems() -> Vec<String> {
    let entries = fs::read_dir(FOLDER).expect("readable");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let stem = |name: std::ffi::OsString| Some(name.to_str()?.strip_suffix(".toml")?.to_string());
    let mut stems: Vec<String> = names.filter_map(stem).collect();
    stems.sort();
    stems
}

/// The slug that a wrong file shows: `missing-key.buffer` another cause of `missing-key`.
fn slug_of(stem: &str) -> &str {
    stem.split('.').next().unwrap_or(stem)
}

#[test]
fn sound_files_are_told_nothing() {
    for name in ["base/shop.toml", "base/two-regions.toml"] {
        let loaded = load_file(name);
        let said = render_plain(&loaded.diagnostics, &loaded.sources);
        assert_eq!(said, "", "{name}");
        assert!(loaded.topology.is_some(), "{name}");
    }
}

#[test]
fn the_order_of_a_file_means_nothing() {
    let text = fs::read_to_string(Path::new(FOLDER).join("base/shop.toml")).expect("readable");
    let mut sections: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') || sections.is_empty() {
            sections.push(String::new());
        }
        let last = sections.last_mut().expect("just pushed");
        last.push_str(line);
        last.push('\n');
    }
    // The head of the file stays first; everything else turns round.
    sections[1..].reverse();
    let turned = sections.concat();
    let names = |text: &str| {
        let loaded = load("a.toml", &[], &mut |_| Ok(text.to_string()));
        let topology = loaded.topology.expect("sound");
        let services: Vec<String> = topology.services.iter().map(|it| it.name.clone()).collect();
        let operations: Vec<String> =
            topology.operations.iter().map(|it| it.name.clone()).collect();
        (services, operations, loaded.defaults)
    };
    let (straight, turned) = (names(&text), names(&turned));
    assert_eq!(straight.0, turned.0);
    assert_eq!(straight.1, turned.1);
    let sorted = |mut defaults: Vec<loadbearing::topology::DefaultInForce>| {
        defaults.sort_by(|a, b| a.path.cmp(&b.path));
        defaults
    };
    assert_eq!(sorted(straight.2), sorted(turned.2));
}
