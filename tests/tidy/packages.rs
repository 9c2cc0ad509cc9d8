//! What the packages that we stand on must not do.

use std::process::Command;

use crate::{none, read, root};

/// Lines of a feature tree that let platform mathematics in: `num-traits` with `std` computes
/// logarithms by the system's library, whose last bit differs from platform to platform.
fn platform_mathematics(tree: &str) -> Vec<String> {
    tree.lines()
        .filter(|line| line.contains("num-traits feature \"std\""))
        .map(String::from)
        .collect()
}

#[test]
fn no_package_of_the_program_uses_platform_mathematics() {
    // Tests may: what development packages switch on does not reach the program.
    let arguments = ["tree", "--offline", "--locked", "--edges", "normal,features"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output();
    let output = output.expect("cargo runs");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.contains("libm"), "{}", String::from_utf8_lossy(&output.stderr));
    none("platform mathematics", platform_mathematics(&tree));
}

#[test]
fn every_dependency_says_why_it_is_here() {
    let manifest = read("Cargo.toml");
    let mut inside = false;
    let mut silent = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && line.contains(" = ") && !line.contains("  # ") {
            silent.push(line.to_string());
        }
    }
    none("no reason given", silent);
}

#[test]
fn a_planted_breach_is_found() {
    let tree = "loadbearing\n├── num-traits feature \"libm\"\n│   └── num-traits feature \"std\"\n";
    assert_eq!(platform_mathematics(tree).len(), 1);
}
