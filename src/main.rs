//! The `loadbearing` program.
fn main() {}
