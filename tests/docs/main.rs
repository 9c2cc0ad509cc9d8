//! Do the documents tell the truth? What a page has its reader type is typed, in a folder of its own for
//! each page, and what it shows of the answers is what the program says.
//!
//! A page is a script. A block whose first line is `# shop.toml` is that file (`# shop.toml, continued`
//! more of it); in a block of `console` a line `$ command` is typed, and the lines below it are the answer,
//! in which a line of three dots leaves lines out, and dots within a line a part of it. The folder has the
//! repository's `topologies`, `experiments` and `reality` in it. A command ends with 0 or 99 (an objective
//! is not met), or its code is asked for below it, with `echo $?`.
//!
//! `UPDATE=1 cargo test --test docs` writes the answers anew. `ONLY=tutorial` keeps to pages with that in
//! their path, `PROGRAM=target/release/loadbearing` takes a faster program.
#![cfg(all(feature = "cli", unix))]

mod page;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use page::{MARKER, Page, Part, renewed, shows};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a page may type beside the program: readers have it, and its answers depend on nothing else.
const TOOLS: [&str; 12] = [
    "loadbearing",
    "cat",
    "cut",
    "diff",
    "echo",
    "grep",
    "head",
    "ls",
    "mkdir",
    "sort",
    "tail",
    "wc",
];

/// So many blocks of commands may be that are only parsed.
const MOST_UNRUN: usize = 8;

/// All pages that people read, by path, but the gallery, whose commands `tests/gallery` runs.
fn pages() -> Vec<Page> {
    let mut paths = vec!["README.md".to_string()];
    let mut folders = vec!["docs".to_string()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(ROOT).join(&folder)).expect("readable") {
            let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
            let path = format!("{folder}/{name}");
            if Path::new(ROOT).join(&path).is_dir() {
                folders.push(path);
            } else if path.ends_with(".md") && folder != "docs/gallery" {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let text = |path: &str| fs::read_to_string(Path::new(ROOT).join(path)).expect("readable");
    paths.iter().map(|path| Page::read(path, &text(path))).collect()
}

/// A folder for a page, removed at its end.
struct Desk {
    folder: PathBuf,
    /// How the last command ended.
    code: i32,
}

impl Desk {
    fn new(number: usize) -> Desk {
        let name = format!("loadbearing-docs-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        for name in ["topologies", "experiments", "reality"] {
            let there = Path::new(ROOT).join(name);
            std::os::unix::fs::symlink(there, folder.join(name)).expect("writable");
        }
        Desk { folder, code: 0 }
    }

    fn write(&self, name: &str, text: &str, more: bool) {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("writable");
        let before =
            if more { fs::read_to_string(&path).expect("written above") } else { String::new() };
        fs::write(&path, before + text).expect("writable");
    }

    /// What a command answers, line by line.
    fn answer(&mut self, line: &str) -> Vec<String> {
        let program = std::env::var_os("PROGRAM")
            .map_or(env!("CARGO_BIN_EXE_loadbearing").into(), |it| Path::new(ROOT).join(it));
        let here = program.parent().expect("a program lies in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("exec 2>&1; (exit {}); {line}", self.code))
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{path}", here.display()))
            .env("LC_ALL", "C")
            .output()
            .expect("a shell");
        self.code = output.status.code().unwrap_or(-1);
        String::from_utf8_lossy(&output.stdout).lines().map(String::from).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Words of a command line that begin a command in it.
fn programs(line: &str) -> Vec<&str> {
    let pieces = line.split(['|', ';']).flat_map(|piece| piece.split("&&"));
    pieces.filter_map(|piece| piece.split_whitespace().next()).collect()
}

/// What is wrong with a page; and its text as it should be.
fn work_through(page: &Page, number: usize) -> (Vec<String>, Option<String>) {
    let mut desk = Desk::new(number);
    let (mut faults, mut answers) = (Vec::new(), Vec::new());
    for (at, part) in page.parts.iter().enumerate() {
        let (line, shown) = match part {
            Part::File { name, text, more } => {
                desk.write(name, text, *more);
                continue;
            }
            Part::Command { line, shown } => (line, shown),
        };
        let place = format!("{}:{}: `{line}`", page.path, shown.start);
        if let Some(other) = programs(line).into_iter().find(|word| !TOOLS.contains(word)) {
            faults.push(format!("{place}: `{other}` is none of {TOOLS:?}"));
            continue;
        }
        let said = desk.answer(line);
        let asked = matches!(page.parts.get(at + 1),
            Some(Part::Command { line, .. }) if line.contains("$?"));
        if ![0, 99].contains(&desk.code) && !asked {
            faults.push(format!("{place} ends with {}:\n{}", desk.code, said.join("\n")));
        }
        let lines = &page.lines[shown.clone()];
        if !shows(lines, &said) {
            faults.push(format!("{place} says otherwise:\n{}", said.join("\n")));
            answers.push((shown.clone(), renewed(lines, &said)));
        }
    }
    let answers: &[(Range<usize>, Vec<String>)] = &answers;
    (faults, (!answers.is_empty()).then(|| page.with(answers)))
}

#[test]
fn every_command_says_what_its_page_shows() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut pages = pages();
    pages.retain(|page| !page.parts.is_empty() && page.path.contains(&only));
    // The longest first, so that no thread is left with one at the end.
    pages.sort_by_key(|page| std::cmp::Reverse(page.parts.len()));
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, |it| it.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let number = pages.iter().position(|it| it.path == page.path);
                    let (faults, text) = work_through(page, number.expect("it is one of them"));
                    if let (Some(text), Some(_)) = (text, std::env::var_os("UPDATE")) {
                        fs::write(Path::new(ROOT).join(&page.path), text).expect("writable");
                    }
                    wrong.lock().expect("no thread died").extend(faults);
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().expect("no thread died");
    wrong.sort();
    let help = "UPDATE=1 cargo test --test docs";
    assert!(wrong.is_empty(), "out of date ({help}):\n{}", wrong.join("\n\n"));
}

#[test]
fn few_commands_are_not_run_and_their_pages_say_so() {
    let mut unrun = 0;
    for page in pages() {
        for (line, says) in &page.unrun {
            assert!(
                *says,
                "{}:{line}: run it in a block of `console`, or say `{MARKER}`",
                page.path
            );
            unrun += 1;
        }
    }
    assert!(unrun <= MOST_UNRUN, "{unrun} blocks are not run");
}

#[test]
fn every_file_of_a_page_is_used_by_it() {
    let mut idle = Vec::new();
    for page in pages() {
        for (at, part) in page.parts.iter().enumerate() {
            let Part::File { name, .. } = part else { continue };
            let used = page.parts[at + 1..].iter().any(|part| match part {
                Part::Command { line, .. } => line.contains(name.as_str()),
                Part::File { text, .. } => text.contains(&format!("\"{name}\"")),
            });
            let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
            let named = page.parts[..at].iter().any(|part| {
                matches!(part, Part::File { text, .. } if text.contains(&format!("\"{stem}.")))
            });
            if !used && !named {
                idle.push(format!("{}: {name}", page.path));
            }
        }
    }
    assert!(idle.is_empty(), "written and not used:\n{}", idle.join("\n"));
}

#[test]
fn the_text_says_no_number_that_no_block_shows() {
    let mut wrong = Vec::new();
    for page in pages() {
        if page.path != "docs/tutorial.md" && !page.path.starts_with("docs/howto/") {
            continue;
        }
        for (line, number) in page.numbers_from_nowhere() {
            wrong.push(format!("{}:{line}: {number}", page.path));
        }
    }
    assert!(wrong.is_empty(), "no answer has it:\n{}", wrong.join("\n"));
    let planted = "It took 10,500 ms, not `105` or 12, says [a](b).\n```text\n10_500 ms and 1.03 s\n```\n\
                   It took 1.04 s.\n";
    let found = Page::read("page.md", planted).numbers_from_nowhere();
    assert_eq!(found, [(5, "1.04".to_string())]);
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(String::from).collect()
}

#[test]
fn a_page_is_read_as_its_reader_reads_it() {
    let text = "Text.\n\n```toml\n# a.toml\nx = 1\n```\n```toml\nno = \"file\"\n```\n```csv\n# a.toml, continued\n\
                y = 2\n```\n```console\n$ cat a.toml \\\n    | head -1\n# a.toml\n$ ls\n```\n\
                ```sh\nloadbearing run a.toml\n```\n```sh\n# long: the tests only parse it\n\
                loadbearing sweep a.toml\n```\n";
    let page = Page::read("page.md", text);
    let file = |text: &str, more| Part::File { name: "a.toml".into(), text: text.into(), more };
    let command = |line: &str, shown| Part::Command { line: line.into(), shown };
    let expected = [
        file("# a.toml\nx = 1\n", false),
        file("# a.toml, continued\ny = 2\n", true),
        command("cat a.toml | head -1", 16..17),
        command("ls", 18..18),
    ];
    assert_eq!(page.parts, expected);
    assert_eq!(page.unrun.iter().map(|(_, says)| *says).collect::<Vec<_>>(), [false, true]);
    let renewed = page.with(&[(16..17, lines("# b.toml\n...")), (18..18, lines("a.toml"))]);
    assert!(renewed.contains("head -1\n# b.toml\n...\n$ ls\na.toml\n```\n"), "{renewed}");
}

#[test]
fn planted_untruths_are_found_and_mended() {
    let said = lines("shop\nmean  5 ms\np95  9 ms\nmax  30 ms\ncost  $9\nall well");
    for shown in [
        "shop\nmean  5 ms\np95  9 ms\nmax  30 ms\ncost  $9\nall well",
        "...",
        "shop\n...\np95  9 ms\n...\nall well",
        "...\np95  ... ms\nmax  30 ms\n...",
        "...\nall ...",
    ] {
        assert!(shows(&lines(shown), &said), "{shown}");
        assert_eq!(renewed(&lines(shown), &said).len(), lines(shown).len(), "{shown}");
    }
    for shown in [
        "",
        "shop",
        "shop\n...\np95  8 ms\n...",
        "...\nmax  30 ms\n...\np95  9 ms\n...",
        "...\np95  9 ms",
        "...\np95  9 ... s ms\n...",
    ] {
        assert!(!shows(&lines(shown), &said), "{shown}");
        assert!(shows(&renewed(&lines(shown), &said), &said), "{shown}");
    }
    let old = lines("shop\n...\np95  8 ms\n...\nall  well");
    assert_eq!(renewed(&old, &said), lines("shop\n...\np95  9 ms\n...\nall well"));
}

#[test]
fn a_planted_page_is_worked_through() {
    let text = "```toml\n# a.toml\nversion = 1\n```\n```console\n$ cat a.toml\n# a.toml\nversion = 2\n\
                $ loadbearing check a.toml\n...\n$ rm a.toml\n$ loadbearing check b.toml\n...\n$ echo $?\n1\n```\n";
    let (faults, mended) = work_through(&Page::read("page.md", text), usize::MAX);
    assert_eq!(faults.len(), 3, "{faults:#?}");
    assert!(
        faults[0].contains("says otherwise") && faults[1].contains("ends with 1"),
        "{faults:#?}"
    );
    assert!(faults[2].contains("`rm` is none of"), "{faults:#?}");
    assert!(mended.expect("mended").contains("$ cat a.toml\n# a.toml\nversion = 1\n$ loadbearing"));
}
