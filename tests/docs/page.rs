//! A page as a script: the files that it has its reader write, the commands that it has them type, and
//! what it shows of the answers.

use std::ops::Range;

/// What a reader does next.
#[derive(Debug, PartialEq)]
pub enum Part {
    /// Writes a file, or more of one.
    File {
        /// Its name.
        name: String,
        /// What is written.
        text: String,
        /// Behind what is there already.
        more: bool,
    },
    /// Types a command.
    Command {
        /// It, on one line.
        line: String,
        /// Which lines of the page show its answer.
        shown: Range<usize>,
    },
}

/// A page of the documents.
pub struct Page {
    /// Its path from the root.
    pub path: String,
    /// Its lines.
    pub lines: Vec<String>,
    /// What its reader does, in order.
    pub parts: Vec<Part>,
    /// Blocks of commands that are not run: the line of each, and whether it says so.
    pub unrun: Vec<(usize, bool)>,
}

/// What a block says whose commands are not run.
pub const MARKER: &str = "the tests only parse it";

/// How a line begins that is a command of ours.
const OURS: [&str; 2] = ["loadbearing ", "cargo run --release -- "];

/// A number that says something: of three digits or more, without the marks between them.
fn numbers(text: &str) -> Vec<String> {
    let is_number = |it: char| it.is_ascii_digit() || [',', '.', '_'].contains(&it);
    let words = text.split(|it| !is_number(it)).map(|it| it.trim_matches([',', '.', '_']));
    let plain = words.map(|it| it.replace([',', '_'], ""));
    plain.filter(|it| it.bytes().filter(u8::is_ascii_digit).count() >= 3).collect()
}

impl Page {
    /// Numbers of the text that none of the page's blocks has, each with its line.
    pub fn numbers_from_nowhere(&self) -> Vec<(usize, String)> {
        let (mut known, mut said, mut inside) = (Vec::new(), Vec::new(), false);
        for (at, line) in self.lines.iter().enumerate() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if inside {
                known.extend(numbers(line));
            } else {
                // What stands in code letters is a name or a value, and no result.
                let text: Vec<&str> = line.split('`').step_by(2).collect();
                said.extend(numbers(&text.join(" ")).into_iter().map(|it| (at + 1, it)));
            }
        }
        said.retain(|(_, number)| !known.contains(number));
        said
    }

    /// Reads a page.
    pub fn read(path: &str, text: &str) -> Page {
        let lines: Vec<String> = text.lines().map(String::from).collect();
        let mut page = Page { path: path.into(), lines, parts: Vec::new(), unrun: Vec::new() };
        let mut open: Option<(usize, String)> = None;
        for number in 0..page.lines.len() {
            let Some(info) = page.lines[number].trim_start().strip_prefix("```") else { continue };
            match open.take() {
                None => open = Some((number + 1, info.to_string())),
                Some((first, language)) => page.block(&language, first..number),
            }
        }
        page
    }

    fn block(&mut self, language: &str, lines: Range<usize>) {
        let first = lines.start;
        match language {
            "console" => self.console(lines),
            "sh" => {
                let block = &self.lines[lines];
                if block.iter().any(|line| OURS.iter().any(|ours| line.starts_with(ours))) {
                    let says = block.iter().any(|line| line.contains(MARKER));
                    self.unrun.push((first, says));
                }
            }
            _ => {
                let Some((name, more)) =
                    self.lines[lines.clone()].first().and_then(|it| file_name(it))
                else {
                    return;
                };
                let text: String =
                    self.lines[lines].iter().map(|line| format!("{line}\n")).collect();
                self.parts.push(Part::File { name: name.into(), text, more });
            }
        }
    }

    fn console(&mut self, lines: Range<usize>) {
        let mut at = lines.start;
        while at < lines.end {
            let typed = self.lines[at].strip_prefix("$ ");
            let typed = typed.unwrap_or_else(|| panic!("{}:{}: no command", self.path, at + 1));
            let mut line = typed.to_string();
            while line.ends_with('\\') && at + 1 < lines.end {
                at += 1;
                line.truncate(line.len() - 1);
                line.push_str(self.lines[at].trim_start());
            }
            let start = at + 1;
            let length = self.lines[start..lines.end].iter().position(|it| it.starts_with("$ "));
            at = length.map_or(lines.end, |length| start + length);
            self.parts.push(Part::Command { line, shown: start..at });
        }
    }

    /// The text with other answers: what lines show, from the last to the first.
    pub fn with(&self, answers: &[(Range<usize>, Vec<String>)]) -> String {
        let mut lines = self.lines.clone();
        for (range, answer) in answers.iter().rev() {
            lines.splice(range.clone(), answer.iter().cloned());
        }
        lines.join("\n") + "\n"
    }
}

/// `# shop.toml`, or `# shop.toml, continued`: the file that a block is.
fn file_name(line: &str) -> Option<(&str, bool)> {
    let name = line.strip_prefix("# ")?;
    let (name, more) = match name.strip_suffix(", continued") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let known = [".toml", ".csv", ".yml"].iter().any(|ending| name.ends_with(ending));
    (known && name.bytes().all(is_part)).then_some((name, more))
}

/// What leaves lines out, or a part of one.
const DOTS: &str = "...";

/// Whether a page shows what was said.
pub fn shows(shown: &[String], said: &[String]) -> bool {
    let pieces: Vec<&[String]> = shown.split(|line| line.trim() == DOTS).collect();
    let ([first, between @ ..], false) = (&pieces[..], pieces.is_empty()) else { return false };
    if said.len() < first.len() || !alike(first, &said[..first.len()]) {
        return false;
    }
    let Some((last, between)) = between.split_last() else { return first.len() == said.len() };
    let mut rest = &said[first.len()..];
    for piece in between {
        let at = (0..=rest.len().saturating_sub(piece.len()))
            .find(|at| rest.len() >= piece.len() && alike(piece, &rest[*at..at + piece.len()]));
        let Some(at) = at else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.len() >= last.len() && alike(last, &rest[rest.len() - last.len()..])
}

fn alike(shown: &[String], said: &[String]) -> bool {
    shown.iter().zip(said).all(|(shown, said)| line_is(shown, said))
}

/// Whether a line is another, but for what dots leave out of it.
fn line_is(shown: &str, said: &str) -> bool {
    let (shown, said) = (shown.trim_end(), said.trim_end());
    let Some((start, rest)) = shown.split_once(DOTS) else { return shown == said };
    let Some(mut said) = said.strip_prefix(start) else { return false };
    let mut pieces: Vec<&str> = rest.split(DOTS).collect();
    let last = pieces.pop().expect("what is split has a last piece");
    for piece in pieces {
        let Some((_, after)) = said.split_once(piece) else { return false };
        said = after;
    }
    said.ends_with(last)
}

/// What a page should show now: as much as it showed, where that can be found by its words, else all.
pub fn renewed(shown: &[String], said: &[String]) -> Vec<String> {
    let pieces: Vec<&[String]> = shown.split(|line| line.trim() == DOTS).collect();
    if pieces.len() == 1 {
        return said.to_vec();
    }
    let mut answer: Vec<String> = Vec::new();
    let mut from = 0;
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            answer.push(DOTS.into());
        }
        if piece.is_empty() {
            continue;
        }
        let score = |at: &usize| {
            let pairs = piece.iter().zip(&said[*at..]);
            pairs
                .filter(|(shown, said)| line_is(shown, said) || words(shown) == words(said))
                .count()
        };
        let most = said.len().saturating_sub(piece.len()).max(from);
        let places = from..most + 1;
        let best = match number {
            0 => 0,
            _ => places.rev().max_by_key(score).unwrap_or(from),
        };
        if best > said.len() || score(&best) * 2 < piece.len() {
            return said.to_vec();
        }
        let end = if number + 1 == pieces.len() { said.len() } else { best + piece.len() };
        let end = end.min(said.len());
        if number + 1 == pieces.len() && end - best > 2 * piece.len() + 2 {
            return said.to_vec();
        }
        for (at, line) in said[best..end].iter().enumerate() {
            let kept = piece.get(at).filter(|shown| line_is(shown, line));
            answer.push(kept.unwrap_or(line).clone());
        }
        from = end;
    }
    answer
}

/// The words of a line, without its numbers and its spaces.
fn words(line: &str) -> String {
    line.chars().filter(|it| it.is_alphabetic()).collect()
}
