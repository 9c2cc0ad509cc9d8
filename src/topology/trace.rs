//! Recorded arrivals: a CSV of instants, perhaps with what was asked for and by whom.

use super::kind::Kind;
use super::spec::{Reader, Shape, spec};
use super::tree::Node;
use crate::diagnostic::{Diagnostic, Place};
use crate::units::{Duration, Time};

spec! {
    /// Arrivals that are read from a file instead of being drawn.
    table Trace {
        /// A CSV, its path seen from this file: `timestamp` (seconds, ascending), and perhaps
        /// `operation` and `user`, in the order that its first line says. Lines that begin with `#` are
        /// remarks.
        file: TraceFile;
        /// What is taken from it.
        mode: TraceMode = "\"absolute\"" from "assumed: what was recorded is what comes";
    }
}
spec! {
    /// What is taken from recorded arrivals.
    choice TraceMode {
        /// The instants, counted from the first.
        Absolute = "absolute";
        /// The instants, some times as fast.
        Scaled(Scaled) = "scaled";
        /// The times between arrivals, drawn again and again at random.
        Resampled = "resampled";
    }
}
spec! {
    /// Recorded arrivals, faster or slower.
    table Scaled (short "times") {
        /// How many times as fast: 2 doubles the rate.
        times: f64, positive;
    }
}

/// One recorded arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceRow {
    /// When, from the first.
    pub at: Time,
    /// What was asked for, where that is recorded.
    pub operation: Option<String>,
    /// Whose it was, numbered by first appearance, where that is recorded.
    pub user: Option<u32>,
}

/// A file of recorded arrivals.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceFile {
    /// Its path, as written.
    pub path: String,
    /// Where that stands.
    pub place: Place,
    /// What it says, once it has been read.
    pub rows: Vec<TraceRow>,
}

impl Shape for TraceFile {
    fn kind() -> Kind {
        Kind::Form { what: "the path of a CSV file", example: "\"arrivals.csv\"" }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.text() {
            Some(path) => {
                Some(TraceFile { path: path.into(), place: node.place.clone(), rows: Vec::new() })
            }
            None => reader.wrong_type(node, &Self::kind()),
        }
    }
}

impl TraceFile {
    /// Reads the rows; what is wrong is a diagnostic.
    pub(crate) fn fill(&mut self, text: Result<String, String>) -> Option<Diagnostic> {
        let wrong = |message: String, help: &str| {
            Some(Diagnostic::error("bad-trace", self.place.clone(), message).help(help))
        };
        let path = &self.path;
        let text = match text {
            Ok(text) => text,
            Err(why) => {
                return wrong(
                    format!("`{path}` cannot be read: {why}"),
                    "its path is seen from this file",
                );
            }
        };
        match rows(&text) {
            Ok(rows) if rows.is_empty() => {
                wrong(format!("`{path}` has no arrivals"), "give it at least one")
            }
            Ok(rows) => {
                self.rows = rows;
                None
            }
            Err((line, why)) => wrong(
                format!("`{path}`, line {line}: {why}"),
                "write a first line `timestamp,operation,user`, then seconds that never go back",
            ),
        }
    }
}

/// The rows of a CSV; or which line is wrong, and why.
fn rows(text: &str) -> Result<Vec<TraceRow>, (usize, String)> {
    let says = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
    let mut lines = text.lines().enumerate().filter(|(_, line)| says(line));
    let Some((_, head)) = lines.next() else { return Ok(Vec::new()) };
    let columns: Vec<&str> = head.split(',').map(str::trim).collect();
    let column = |names: &[&str]| columns.iter().position(|column| names.contains(column));
    let Some(time) = column(&["timestamp", "time"]) else {
        return Err((1, "no column is called `timestamp`".into()));
    };
    let (operation, user) = (column(&["operation", "class"]), column(&["user"]));
    let mut users: Vec<String> = Vec::new();
    let mut found: Vec<TraceRow> = Vec::new();
    let mut first = None;
    let mut last = 0.0;
    for (number, line) in lines {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).map(|cell| cell.to_string());
        let written = cell(Some(time)).unwrap_or_default();
        let Ok(seconds) = written.parse::<f64>() else {
            return Err((number + 1, format!("`{written}` is not a number of seconds")));
        };
        let start = *first.get_or_insert(seconds);
        if !seconds.is_finite() || seconds - start < last {
            return Err((number + 1, format!("{written} is before the line above")));
        }
        last = seconds - start;
        let user = cell(user).map(|name| {
            let known = users.iter().position(|known| *known == name);
            known.unwrap_or_else(|| {
                users.push(name);
                users.len() - 1
            }) as u32
        });
        let at = Time::ZERO + Duration::from_secs_f64(last);
        found.push(TraceRow { at, operation: cell(operation), user });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_their_names() {
        let rows = rows("user, timestamp, operation\nann,100.5,buy\nbob,101,browse\nann,103,buy\n");
        let rows = rows.expect("a trace");
        let at = |ms: u64| Time::ZERO + Duration::millis(ms);
        assert_eq!(rows[0], TraceRow { at: at(0), operation: Some("buy".into()), user: Some(0) });
        assert_eq!((rows[1].at, rows[1].user), (at(500), Some(1)));
        assert_eq!((rows[2].at, rows[2].user), (at(2_500), Some(0)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(rows("when\n1\n").expect_err("no column").0, 1);
        assert_eq!(rows("time\n1\nsoon\n").expect_err("no number").0, 3);
        assert_eq!(rows("time\n2\n1\n").expect_err("backwards").0, 3);
        assert_eq!(rows("time\n"), Ok(Vec::new()));
    }
}
