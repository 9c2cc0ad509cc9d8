//! The plain values: texts, counts, numbers, quantities, lists.

use super::kind::Kind;
use super::names::{Address, Component, Placed, Ref, Scope};
use super::spec::{Reader, Shape};
use super::tree::{Node, Value};
use crate::diagnostic::Diagnostic;
use crate::units::{Bandwidth, Bytes, Duration, Money, Quantity, Rate, Ratio};

impl Shape for String {
    fn kind() -> Kind {
        Kind::Text
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.text() {
            Some(text) if text.trim().is_empty() => {
                let message = format!("`{}` is empty", reader.path());
                reader.wrong(
                    Diagnostic::error("empty", node.place.clone(), message)
                        .help("say something, or leave the key out"),
                )
            }
            Some(text) => Some(text.to_string()),
            None => reader.wrong_type(node, &Self::kind()),
        }
    }
}

impl Shape for bool {
    fn kind() -> Kind {
        Kind::Flag
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Boolean(flag) => Some(flag),
            _ => reader.wrong_type(node, &Self::kind()),
        }
    }
}

macro_rules! counts {
    ($($Type:ty),+) => { $(
        impl Shape for $Type {
            fn kind() -> Kind {
                Kind::Count
            }
            fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
                let Value::Integer(number) = node.value else {
                    return not_a_count(node, reader);
                };
                if let Ok(count) = <$Type>::try_from(number) {
                    return Some(count);
                }
                let message = format!("`{}` cannot be {number}", reader.path());
                let help = match number {
                    ..0 => "write a whole number that is not negative".into(),
                    _ => format!("write a whole number up to {}", <$Type>::MAX),
                };
                reader.wrong(
                    Diagnostic::error("out-of-range", node.place.clone(), message).help(help),
                )
            }
            fn is_positive(&self) -> bool {
                *self > 0
            }
        }
    )+ };
}
counts!(u16, u32, u64);

fn not_a_count<T>(node: &Node, reader: &mut Reader) -> Option<T> {
    let written = match &node.value {
        Value::String(text) => text.replace('_', "").parse::<u64>().ok(),
        Value::Float(number) if number.fract() == 0.0 && *number >= 0.0 => Some(*number as u64),
        _ => None,
    };
    let Some(count) = written else {
        return reader.wrong_type(node, &Kind::Count);
    };
    let message = format!("`{}` is {}; it must be a whole number", reader.path(), node.what());
    reader.wrong(
        Diagnostic::error("wrong-type", node.place.clone(), message)
            .help(format!("write it bare: `{count}`")),
    )
}

impl Shape for f64 {
    fn kind() -> Kind {
        Kind::Number
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let number = match node.value {
            Value::Integer(number) => number as f64,
            Value::Float(number) => number,
            _ => return reader.wrong_type(node, &Self::kind()),
        };
        if number.is_finite() && number >= 0.0 {
            return Some(number);
        }
        let message = format!("`{}` cannot be {number}", reader.path());
        reader.wrong(
            Diagnostic::error("out-of-range", node.place.clone(), message)
                .help("write a number that is not negative"),
        )
    }
    fn is_positive(&self) -> bool {
        *self > 0.0
    }
}

/// Reads a number with its unit.
pub(crate) fn read_quantity<Q: Quantity>(
    node: &Node,
    kind: &Kind,
    reader: &mut Reader,
) -> Option<Q> {
    let bare = match &node.value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    };
    if let Some(number) = bare {
        let message = format!("`{}` is {}, and {number} has no unit", reader.path(), Q::WHAT);
        return reader.wrong(
            Diagnostic::error("bad-unit", node.place.clone(), message).help(Q::with_units(&number)),
        );
    }
    let Some(text) = node.text() else {
        return reader.wrong_type(node, kind);
    };
    match Q::parse(text) {
        Ok(quantity) => Some(quantity),
        Err(error) => {
            let message = format!("`{}`: {}", reader.path(), error.message);
            reader
                .wrong(Diagnostic::error("bad-unit", node.place.clone(), message).help(error.help))
        }
    }
}

/// The regular expression of a number and one of some units.
macro_rules! pattern {
    ($units:literal) => {
        concat!("^[0-9][0-9_]*([.][0-9_]+)?(e[+-]?[0-9]+)? ?(", $units, ")$")
    };
}

macro_rules! quantities {
    ($($Type:ty, $example:literal, $pattern:expr);+ $(;)?) => { $(
        impl Shape for $Type {
            fn kind() -> Kind {
                Kind::Quantity {
                    what: <$Type as Quantity>::WHAT,
                    examples: <$Type as Quantity>::EXAMPLES,
                    example: $example,
                    pattern: $pattern,
                }
            }
            fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
                read_quantity(node, &Self::kind(), reader)
            }
            fn is_positive(&self) -> bool {
                *self > <$Type>::default()
            }
        }
    )+ };
}
quantities! {
    Duration, "30s", pattern!("ps|ns|us|µs|ms|s|min|h|days?|d");
    Rate, "100/s", pattern!("/s|/min|/h|/day");
    Bytes, "10KB", pattern!("B|[kK]B|MB|GB|TB|KiB|MiB|GiB|TiB");
    Bandwidth, "100Mbit/s", pattern!("[kKMG]?bit/s|[kKMG]bps|MB/s|MiB/s");
    Money, "$20", "^([$][0-9][0-9_]*([.][0-9_]+)?(/month)?|[0-9][0-9_]*([.][0-9_]+)? ?USD(/month)?)$";
}

/// A share of a whole: from nothing to all of it.
impl Shape for Ratio {
    fn kind() -> Kind {
        Kind::Quantity {
            what: Ratio::WHAT,
            examples: Ratio::EXAMPLES,
            example: "30%",
            pattern: pattern!("%|‰"),
        }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let share: Ratio = read_quantity(node, &Self::kind(), reader)?;
        if share.0 <= 1.0 {
            return Some(share);
        }
        let message = format!("`{}` is a share, and {share} is more than the whole", reader.path());
        reader.wrong(
            Diagnostic::error("out-of-range", node.place.clone(), message)
                .help("write a share from `\"0%\"` to `\"100%\"`"),
        )
    }
    fn is_positive(&self) -> bool {
        self.0 > 0.0
    }
}

impl<T: Shape> Shape for Option<T> {
    const OPTIONAL: bool = true;
    fn kind() -> Kind {
        T::kind()
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::read(node, reader).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn is_positive(&self) -> bool {
        self.as_ref().is_none_or(T::is_positive)
    }
}

impl<T: Shape> Shape for Box<T> {
    fn kind() -> Kind {
        T::kind()
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::read(node, reader).map(Box::new)
    }
}

/// Values that may stand in lists; a list of named tables is another thing (see `names`).
pub trait Item: Shape {}
impl Item for String {}
impl Item for u32 {}
impl Item for crate::units::Ratio {}
impl Item for crate::units::Duration {}
impl<T: Component> Item for Ref<T> {}
impl<S: Scope> Item for Address<S> {}
impl<T: Shape> Item for Placed<T> {}
impl<T: Item> Item for Vec<T> {}
impl<A: Shape, B: Shape> Item for (A, B) {}

impl<T: Item> Shape for Vec<T> {
    fn kind() -> Kind {
        Kind::List(Box::new(T::kind()))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Array(items) = &node.value else {
            return reader.wrong_type(node, &Self::kind());
        };
        let mut all = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            all.extend(reader.within(&index.to_string(), |reader| T::read(item, reader)));
        }
        (all.len() == items.len()).then_some(all)
    }
    fn is_positive(&self) -> bool {
        !self.is_empty()
    }
}

impl<A: Shape, B: Shape> Shape for (A, B) {
    fn kind() -> Kind {
        Kind::Pair(Box::new(A::kind()), Box::new(B::kind()))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Array(items) if items.len() == 2 => {
                let first = reader.within("0", |reader| A::read(&items[0], reader));
                let second = reader.within("1", |reader| B::read(&items[1], reader));
                Some((first?, second?))
            }
            _ => reader.wrong_type(node, &Self::kind()),
        }
    }
}
