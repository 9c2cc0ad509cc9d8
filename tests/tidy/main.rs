//! Is the house clean? The layers, the lines, and everything that is written twice.
//!
//! `UPDATE=1 cargo test --test tidy` writes the generated pages anew. Each rule is a function over
//! texts, so that a planted breach shows that it bites.

mod documents;
mod generated;
mod layers;
mod lines;
mod packages;
mod reference;

use std::fs;
use std::path::Path;

/// A text of the repository.
pub struct Text {
    /// Its path from the root, with `/`.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl Text {
    /// A text that exists only in a test.
    pub fn planted(path: &str, text: &str) -> Text {
        Text { path: path.into(), text: text.into() }
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text at a path from the root.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All texts with an extension under a folder, in order of their paths; none if there is no folder.
pub fn texts(folder: &str, extension: &str) -> Vec<Text> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return found };
    for entry in entries {
        let entry = entry.expect("a readable folder");
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(texts(&path, extension));
        } else if path.ends_with(&format!(".{extension}")) {
            found.push(Text { text: read(&path), path });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Fails with all breaches of a rule, one a line.
pub fn none(rule: &str, breaches: Vec<String>) {
    assert!(breaches.is_empty(), "{rule}:\n{}", breaches.join("\n"));
}

/// Whether a byte can be part of a name.
pub fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
