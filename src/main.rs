//! The `loadbearing` program: arguments in, exit code out. Everything else is the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
