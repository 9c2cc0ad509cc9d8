//! `loadbearing completions`

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Failure, say};

/// Prints completions for a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing completions bash > ~/.local/share/bash-completion/completions/loadbearing
  loadbearing completions fish > ~/.config/fish/completions/loadbearing.fish")]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut super::Arguments::command(), "loadbearing", &mut script);
    say(&String::from_utf8_lossy(&script))
}
