//! `loadbearing new`

use std::fs::File;
use std::io::{self, Write};

use clap::Args;

use loadbearing::report::manifest::quoted;

use super::{Failure, say};

/// Writes a first topology, to be changed into yours
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing new shop          writes shop.toml
  loadbearing run shop.toml     and it runs")]
pub struct Arguments {
    /// Its name; the file is NAME.toml, and nothing is overwritten
    name: String,
}

/// The topology that beginners start from.
const STARTER: &str = include_str!("starter.toml");

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let name = arguments.name.strip_suffix(".toml").unwrap_or(&arguments.name);
    let path = format!("{name}.toml");
    let title = super::study::stem(&path);
    let text = STARTER.replace("TITLE", &title.escape_default().to_string()).replace("FILE", &path);
    let written = File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        Failure::Failed(match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("`{path}` is there already and stays as it is; take another name")
            }
            io::ErrorKind::NotFound => {
                format!("cannot write `{path}`: the folder that it should lie in is not there")
            }
            _ => format!("cannot write `{path}`: {error}"),
        })
    })?;
    let word = quoted(&path);
    say(&format!("wrote {path}; next: loadbearing explain {word}, loadbearing run {word}\n"))
}
