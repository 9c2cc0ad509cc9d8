//! The law of the list: a module uses only modules that `src/lib.rs` declares above it.

use std::collections::BTreeMap;

use crate::{Text, is_name, none, read, texts};

/// The modules of the library in layer order, from the text of `src/lib.rs`.
pub fn modules(lib: &str) -> Vec<String> {
    let declared = lib.lines().filter_map(|line| {
        let line = line.trim();
        line.strip_prefix("pub mod ").or(line.strip_prefix("mod "))?.strip_suffix(';')
    });
    declared.map(String::from).collect()
}

/// The module of the library that a file belongs to, if it does.
pub fn module_of<'a>(path: &'a str, modules: &[String]) -> Option<&'a str> {
    let inside = path.strip_prefix("src/")?;
    let name = inside.split('/').next().expect("a path has a first part");
    let name = name.strip_suffix(".rs").unwrap_or(name);
    modules.iter().any(|module| module == name).then_some(name)
}

/// The names behind every `marker` of a line, each with what follows it.
fn names_after<'a>(line: &'a str, marker: &str) -> Vec<(&'a str, &'a str)> {
    let starts = line.match_indices(marker).filter(|(at, _)| {
        *at == 0 || !(is_name(line.as_bytes()[at - 1]) || line.as_bytes()[at - 1] == b':')
    });
    let names = starts.map(|(at, _)| {
        let rest = &line[at + marker.len()..];
        let end = rest.bytes().position(|byte| !is_name(byte)).unwrap_or(rest.len());
        rest.split_at(end)
    });
    names.collect()
}

/// In which module each macro is defined.
fn macros(files: &[Text], modules: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in files {
        let Some(module) = module_of(&file.path, modules) else { continue };
        for (name, _) in file.text.lines().flat_map(|line| names_after(line, "macro_rules! ")) {
            found.insert(name.to_string(), module.to_string());
        }
    }
    found
}

/// Every path to a module below its user's, and every path that does not say its module.
fn breaches(files: &[Text], modules: &[String]) -> Vec<String> {
    let macros = macros(files, modules);
    let layer = |name: &str| modules.iter().position(|module| module == name);
    let mut found = Vec::new();
    for file in files {
        let Some(own) = module_of(&file.path, modules).and_then(layer) else { continue };
        for (number, line) in file.text.lines().enumerate() {
            let place = format!("{}:{}", file.path, number + 1);
            for (name, rest) in names_after(line, "crate::") {
                let module = match macros.get(name) {
                    Some(module) if rest.starts_with('!') => module,
                    _ => name,
                };
                match layer(module) {
                    None => found.push(format!("{place}: names no module: {}", line.trim())),
                    Some(used) if used > own => {
                        found.push(format!("{place}: `{}` uses `{module}`", modules[own]));
                    }
                    Some(_) => {}
                }
            }
            // A file next to lib.rs could reach its neighbours through `super`.
            let top = [format!("src/{}.rs", modules[own]), format!("src/{}/mod.rs", modules[own])];
            if top.contains(&file.path) && line.starts_with("use super::") {
                found.push(format!("{place}: say `crate::`: {}", line.trim()));
            }
        }
    }
    found
}

#[test]
fn a_module_uses_only_modules_declared_above_it() {
    let modules = modules(&read("src/lib.rs"));
    assert!(modules.len() >= 10, "the list was not understood: {modules:?}");
    none("the law of the list", breaches(&texts("src", "rs"), &modules));
}

#[test]
fn every_file_of_the_library_is_on_the_list() {
    let modules = modules(&read("src/lib.rs"));
    // The program stands on the library and is no part of it.
    let outside =
        |path: &str| path == "src/lib.rs" || path == "src/main.rs" || path.starts_with("src/cli/");
    let files = texts("src", "rs").into_iter().map(|file| file.path);
    none(
        "in no module",
        files.filter(|path| !outside(path) && module_of(path, &modules).is_none()).collect(),
    );
}

#[test]
fn planted_breaches_are_found() {
    let modules = modules("/// First.\npub mod low;\n#[cfg(feature = \"x\")]\nmod high;\n");
    assert_eq!(modules, ["low", "high"]);
    let check = |path: &str, line: &str| {
        let defines = Text::planted("src/high.rs", "macro_rules! made { () => {} }");
        breaches(&[Text::planted(path, line), defines], &modules)
    };
    assert_eq!(check("src/low.rs", "use crate::high::Thing;"), ["src/low.rs:1: `low` uses `high`"]);
    assert_eq!(check("src/low/part.rs", "\n    crate::high::f(crate::low::g());").len(), 1);
    assert_eq!(check("src/low.rs", "crate::made! {}").len(), 1);
    assert_eq!(check("src/low.rs", "use crate::{high, low};").len(), 1);
    assert_eq!(check("src/low.rs", "use super::high::Thing;").len(), 1);
    for sound in ["use crate::low::Thing;", "crate::made! {}", "pub(crate) use high;"] {
        assert_eq!(check("src/high/part.rs", sound), [""; 0], "{sound}");
    }
}
