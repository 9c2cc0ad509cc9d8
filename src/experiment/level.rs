//! One value of an axis: any value that a setting can have.

use std::collections::BTreeSet;
use std::fmt;

use crate::topology::kind::Kind;
use crate::topology::shape::Item;
use crate::topology::spec::{Reader, Shape};
use crate::topology::tree::{Node, Value};

/// One value of an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Level {
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A text: a quantity, a name, or TOML.
    Text(String),
    /// True or false.
    Flag(bool),
}

impl Item for Level {}
impl Shape for Level {
    fn kind() -> Kind {
        let number = Kind::Either(Box::new(Kind::Number), Box::new(Kind::Flag));
        Kind::Either(Box::new(Kind::Text), Box::new(number))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(text) => Some(Level::Text(text.clone())),
            Value::Integer(number) => Some(Level::Whole(*number)),
            Value::Float(number) if number.is_finite() => Some(Level::Number(*number)),
            Value::Boolean(flag) => Some(Level::Flag(*flag)),
            _ => reader.wrong_type(node, &Self::kind()),
        }
    }
}

/// As tables show it: without quotes.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Level::Whole(number) => write!(f, "{number}"),
            Level::Number(number) => write!(f, "{number}"),
            Level::Text(text) => f.write_str(text),
            Level::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

impl Level {
    /// As TOML.
    pub fn toml(&self) -> String {
        match self {
            Level::Text(text) => toml::Value::from(text.as_str()).to_string(),
            Level::Number(number) => toml::Value::from(*number).to_string(),
            other => other.to_string(),
        }
    }

    /// The number in it, if it is a number or a quantity.
    pub fn number(&self) -> Option<f64> {
        match self {
            Level::Whole(number) => Some(*number as f64),
            Level::Number(number) => Some(*number),
            Level::Text(text) => split(text).map(|(_, number, _)| number),
            Level::Flag(_) => None,
        }
    }

    /// What stands before and behind the number.
    pub fn unit(&self) -> Option<(&str, &str)> {
        match self {
            Level::Whole(_) | Level::Number(_) => Some(("", "")),
            Level::Text(text) => split(text).map(|(before, _, after)| (before, after)),
            Level::Flag(_) => None,
        }
    }

    /// Another number in the same form: whole where this one is, with the same unit.
    pub fn like(&self, number: f64) -> Level {
        // Twelve digits: what is computed between two ends has noise in its last ones.
        let short: f64 = format!("{number:.11e}").parse().expect("a number was just written");
        match self {
            Level::Whole(_) => Level::Whole(libm::round(number) as i64),
            Level::Text(text) => match split(text) {
                Some((before, _, after)) => Level::Text(format!("{before}{short}{after}")),
                None => self.clone(),
            },
            _ => Level::Number(short),
        }
    }
}

/// `$20/month` is `$`, 20 and `/month`.
fn split(text: &str) -> Option<(&str, f64, &str)> {
    let (before, rest) = match text.strip_prefix('$') {
        Some(rest) => ("$", rest),
        None => ("", text),
    };
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_')));
    let (number, after) = rest.split_at(end.unwrap_or(rest.len()));
    let number: f64 = number.replace('_', "").parse().ok()?;
    number.is_finite().then_some((before, number, after))
}

/// Digits that an author may have written: as many are shown as they are.
const WRITTEN: usize = 5;

/// The values of an axis for people: what was computed between two ends is rounded to four digits,
/// or to as many as tell its values apart. Tables for programs keep them all.
pub fn for_people(labels: &[&str]) -> Vec<String> {
    let different = |labels: &[String]| labels.iter().collect::<BTreeSet<_>>().len();
    let all: Vec<String> = labels.iter().map(|label| label.to_string()).collect();
    let rounded = (4..12).map(|digits| labels.iter().map(|label| round(label, digits)).collect());
    let mut telling = rounded.filter(|some: &Vec<String>| different(some) == different(&all));
    telling.next().unwrap_or(all)
}

/// A quantity with so many digits, if it has more than anybody writes.
fn round(label: &str, digits: i32) -> String {
    let Some((before, number, after)) = split(label) else { return label.into() };
    let text = &label[before.len()..label.len() - after.len()];
    let significant = text.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit);
    if !text.contains('.') || significant.count() <= WRITTEN {
        return label.into();
    }
    // Whole parts stay whole.
    let magnitude = libm::floor(libm::log10(number.max(f64::MIN_POSITIVE))) as i32;
    let places = (digits - 1 - magnitude).max(0) as usize;
    let short: f64 = format!("{number:.places$}").parse().expect("a number was just written");
    format!("{before}{short}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_shown_no_more_digits_than_tell_values_apart() {
        let shown = for_people(&["1ms", "1.48333333333ms", "1.96666666667ms", "$3.5/month"]);
        assert_eq!(shown, ["1ms", "1.483ms", "1.967ms", "$3.5/month"]);
        // What an author writes stays, and so does what only later digits tell apart.
        assert_eq!(
            for_people(&["0.99995", "allkeys-lru", "true"]),
            ["0.99995", "allkeys-lru", "true"]
        );
        assert_eq!(for_people(&["1.00001234", "1.00001299"]), ["1.000012", "1.000013"]);
        assert_eq!(for_people(&["123456.789/s", "0.000123456789"]), ["123457/s", "0.0001235"]);
    }

    #[test]
    fn a_quantity_keeps_its_unit_and_a_count_stays_whole() {
        let text = |text: &str| Level::Text(text.into());
        assert_eq!(text("1_000ms").number(), Some(1_000.0));
        assert_eq!(text("1ms").like(2.5), text("2.5ms"));
        assert_eq!(text("$20/month").like(30.0), text("$30/month"));
        assert_eq!(Level::Whole(1).like(2.6), Level::Whole(3));
        assert_eq!(Level::Number(0.1).like(0.1 + 0.2), Level::Number(0.3));
        assert_eq!(text("allkeys-lru").number(), None);
        assert_eq!(text("a\"b").toml(), "'a\"b'");
        assert_eq!(Level::Number(1.0).toml(), "1.0");
    }
}
