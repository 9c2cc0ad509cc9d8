//! What was measured, as a distribution: quantiles in the file, or a CSV beside it.

use std::collections::BTreeMap;

use super::dist::{Law, Measure, rising};
use super::kind::Kind;
use super::merge::{ReadText, beside};
use super::spec::{Reader, Shape, spec};
use super::tree::{Node, Value};
use crate::diagnostic::Diagnostic;
use crate::units::{Quantity, Ratio};

spec! {
    /// What was measured: quantiles that are written here, or a file.
    table Empirical<Q> (short "points") {
        /// Quantiles, from `"0%"` to `"100%"`, with straight lines between them.
        points: Option<Vec<(Ratio, Q)>>;
        /// A CSV of samples, its path seen from this file. Its first line names the unit: `ms` over one number a
        /// line are samples, of which the law has the mean and the range; `quantile,ms` are quantiles. Other
        /// columns are passed over, and lines that begin with `#` are remarks.
        file: Option<MeasuredFile>;
    }
}

/// The path of a file of what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredFile(pub String);

impl Shape for MeasuredFile {
    fn kind() -> Kind {
        Kind::Form { what: "the path of a CSV file", example: "\"times.csv\"" }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.text() {
            Some(path) => Some(MeasuredFile(path.into())),
            None => reader.wrong_type(node, &Self::kind()),
        }
    }
}

/// The files of measurements that a topology names, each with what it says.
pub type Files = BTreeMap<String, Result<String, String>>;

/// Reads all of them, seen from the topology's own path.
pub(crate) fn files(tree: &Node, path: &str, read: ReadText<'_>, into: &mut Files) {
    match &tree.value {
        Value::Table(entries) => {
            for (key, node) in entries {
                let file = node.entry("file").and_then(Node::text);
                if let Some(name) = file.filter(|_| key.name == "empirical") {
                    let read = || read(&beside(path, name));
                    into.entry(name.into()).or_insert_with(read);
                }
                files(node, path, read, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| files(item, path, read, into)),
        _ => {}
    }
}

impl<Q: Measure> Empirical<Q> {
    /// Its law, in seconds or bytes.
    pub(crate) fn law(self, reader: &mut Reader) -> Option<Law> {
        let place = &self.place;
        match (&self.points, &self.file) {
            (Some(points), None) => {
                let points = points.iter().map(|(share, value)| (share.0, value.si())).collect();
                rising(points, place, reader)
            }
            (None, Some(MeasuredFile(name))) => {
                let (message, help) = match reader.files.get(name) {
                    Some(Ok(text)) => match law_of::<Q>(text) {
                        Ok(law) => return Some(law),
                        Err((line, why)) => (
                            format!("`{name}`, line {line}: {why}"),
                            format!(
                                "write a first line that is a unit, for example `{}`, and then one number a line; or \
                                 `quantile,{0}` over quantiles from 0 to 1",
                                Q::UNITS[0]
                            ),
                        ),
                    },
                    Some(Err(why)) => (
                        format!("`{name}` cannot be read: {why}"),
                        "its path is seen from this file".into(),
                    ),
                    None => (format!("`{name}` was not read"), "name it in the file itself".into()),
                };
                reader.wrong(Diagnostic::error("bad-samples", place.clone(), message).help(help))
            }
            _ => {
                let message = format!("`{}` takes `points` or `file`", reader.path());
                let wrong = Diagnostic::error("one-of", place.clone(), message);
                reader.wrong(wrong.help("write exactly one of them"))
            }
        }
    }
}

/// The law of a CSV; or which line is wrong, and why.
fn law_of<Q: Measure>(text: &str) -> Result<Law, (usize, String)> {
    let says = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
    let mut lines = text.lines().enumerate().filter(|(_, line)| says(line));
    let Some((first, head)) = lines.next() else { return Err((1, "there is nothing".into())) };
    let columns: Vec<&str> = head.split(',').map(str::trim).collect();
    let is_unit = |column: &&str| !column.is_empty() && Q::from_parts(1.0, column).is_some();
    let Some(value) = columns.iter().position(is_unit) else {
        return Err((first + 1, format!("no column is called by a unit of {}", Q::WHAT)));
    };
    let unit = columns[value];
    let share = columns.iter().position(|column| *column == "quantile");
    let (mut found, mut last) = (Vec::<(f64, f64)>::new(), first);
    for (number, line) in lines {
        let wrong = |why: String| (number + 1, why);
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        let written = cell(value).parse().ok().filter(|it: &f64| it.is_finite() && *it >= 0.0);
        let quantity = written.and_then(|it| Q::from_parts(it, unit));
        let Some(quantity) = quantity else {
            return Err(wrong(format!("`{}` is not a number of {unit}", cell(value))));
        };
        let level = match share {
            Some(at) => level(cell(at)).map_err(wrong)?,
            None => 0.0,
        };
        let before = found.last().copied();
        let falls = |(share, value)| level <= share || quantity.si() < value;
        if share.is_some() && before.is_some_and(falls) {
            return Err((number + 1, "it does not rise above the line before".into()));
        }
        found.push((level, quantity.si()));
        last = number;
    }
    let values: Vec<f64> = found.iter().map(|(_, value)| *value).collect();
    match (share, &found[..]) {
        (_, []) => Err((last + 1, "no number follows".into())),
        (None, _) => Ok(Law::from_samples(&values)),
        (Some(_), [(0.0, _), .., (1.0, _)]) => Ok(Law::Empirical(found)),
        (Some(_), _) => Err((last + 1, "quantiles go from 0 to 1".into())),
    }
}

/// A share of the values, as `0.5` or `50%`.
fn level(cell: &str) -> Result<f64, String> {
    let plain = cell.parse::<f64>().ok();
    let said = plain.or_else(|| Ratio::parse(cell).ok().map(|share| share.0));
    said.filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("`{cell}` is not a quantile between 0 and 1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Bytes, Duration};

    #[test]
    fn samples_have_their_mean_and_their_range() {
        let law = law_of::<Duration>("# measured\n ms\n30\n\n10\n").expect("two");
        // Each stands in the middle of its half (Hazen).
        let points = [(0.0, 0.01), (0.25, 0.01), (0.75, 0.03), (1.0, 0.03)];
        assert_eq!(law, Law::Empirical(points.to_vec()));
        let law = law_of::<Bytes>("when,KB\n1,2\n2,2\n").expect("sizes beside something else");
        assert!(matches!(law, Law::Empirical(points) if points.iter().all(|it| it.1 == 2_000.0)));
    }

    #[test]
    fn quantiles_are_taken_as_they_are() {
        let law = law_of::<Duration>("quantile,s\n0,1\n50%,2\n1,4\n").expect("three");
        assert_eq!(law, Law::Empirical(vec![(0.0, 1.0), (0.5, 2.0), (1.0, 4.0)]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let line = |text: &str| law_of::<Duration>(text).expect_err(text).0;
        assert_eq!((line(""), line("times\n1\n"), line("KB\n1\n"), line("ms\n")), (1, 1, 1, 1));
        assert_eq!((line("ms\n1\nsoon\n"), line("ms\n1\n\n-2\n"), line("ms\n1ms\n")), (3, 4, 2));
        let quantiles = |rows: &str| line(&format!("quantile,ms\n{rows}"));
        assert_eq!((quantiles("0,1\n0,2\n"), quantiles("0,2\n1,1\n")), (3, 3), "they rise");
        assert_eq!((quantiles("0,1\n0.5,2\n"), quantiles("10%,1\n1,2\n")), (3, 3), "from 0 to 1");
        assert_eq!(quantiles("0,1\n101%,2\n"), 3);
    }
}
