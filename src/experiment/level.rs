//! One value of an axis: any value that a setting can have.

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

#[cfg(test)]
mod tests {
    use super::*;

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
