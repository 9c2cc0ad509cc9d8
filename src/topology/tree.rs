//! A file as a tree whose every key and value knows its place.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Place, SourceId};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands. For a table under a header, the header.
    pub place: Place,
}

/// A key and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its text, without quotes.
    pub name: String,
    /// Where it stands.
    pub place: Place,
}

/// The values that TOML has.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Keys and values, in the order of the file.
    Table(Vec<(Key, Node)>),
    /// Values in a row.
    Array(Vec<Node>),
    /// A text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A date or a time of day, which no key of a topology takes.
    Datetime(String),
}

impl Node {
    /// An empty table at a place.
    pub fn empty(place: Place) -> Node {
        Node { value: Value::Table(Vec::new()), place }
    }
    /// The kind of value, for messages: `a string`.
    pub fn what(&self) -> &'static str {
        match self.value {
            Value::Table(_) => "a table",
            Value::Array(_) => "a list",
            Value::String(_) => "a string",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Datetime(_) => "a date",
        }
    }
    /// The entries, if it is a table.
    pub fn entries(&self) -> Option<&[(Key, Node)]> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }
    /// The text, if it is a string.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
    /// The entry of a key of a table, or of an index of a list.
    pub fn entry(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(entries) => {
                entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
            }
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            _ => None,
        }
    }
    /// The value at a dotted path such as `pool.pg.size` or `operation.browse.flow.0.cpu`.
    pub fn at(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, name| node.entry(name))
    }
    /// Where a dotted path stands, or, where the file does not say it, the nearest table around it.
    pub fn place_of(&self, path: &str) -> Place {
        let mut node = self;
        for name in path.split('.') {
            match node.entry(name) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        node.place.clone()
    }
    /// The same values, all at one place.
    pub fn relocated(self, place: &Place) -> Node {
        let value = match self.value {
            Value::Table(entries) => Value::Table(
                entries
                    .into_iter()
                    .map(|(key, node)| (Key { place: place.clone(), ..key }, node.relocated(place)))
                    .collect(),
            ),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| item.relocated(place)).collect())
            }
            other => other,
        };
        Node { value, place: place.clone() }
    }
}

/// Reads a whole text.
///
/// # Errors
/// Every fault of syntax, each at its place; what could be understood is returned beside them.
pub fn parse(text: &str, source: SourceId) -> (Node, Vec<Diagnostic>) {
    let (table, errors) = toml::de::DeTable::parse_recoverable(text);
    let mut diagnostics = Vec::new();
    let mut known_to = 0;
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        if span.start < known_to {
            continue; // it follows from the one before
        }
        match list_in_braces(text, span.start) {
            Some(list) => {
                known_to = list.end;
                let place = Place { source, span: list.start..list.start + 1 };
                let message = "a list stands in square brackets, this one in braces";
                let help = "write `[` here and `]` at its end: `flow = [{ cpu = \"5ms\" }, ...]`";
                diagnostics.push(Diagnostic::error("syntax", place, message).help(help));
            }
            None => diagnostics.push(syntax_diagnostic(error.message(), Place { source, span })),
        }
    }
    let span = table.span();
    let value = from_table(table.into_inner(), source, &mut diagnostics);
    (Node { value, place: Place { source, span } }, diagnostics)
}

fn overlaps(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start <= b.end && b.start <= a.end
}

/// The list in braces in which a text goes wrong at `at`: its brace opens right before another one.
fn list_in_braces(text: &str, at: usize) -> Option<Range<usize>> {
    let start = text.get(..at)?.trim_end().strip_suffix('{')?.len();
    let inner = text[start + 1..].trim_start().starts_with('{');
    let mut open = 0;
    let closes = text[start..].find(|letter| {
        open += i32::from(letter == '{') - i32::from(letter == '}');
        open == 0
    });
    // Who does not close it has the rest of the text in it.
    inner.then_some(start..closes.map_or(text.len(), |end| start + end + 1))
}

fn syntax_diagnostic(message: &str, place: Place) -> Diagnostic {
    let message = message.trim_end_matches('.');
    if message.contains("duplicate key") {
        return Diagnostic::error("duplicate", place, "this key is written twice")
            .help("keep one of the two; a table with the same name is one table");
    }
    Diagnostic::error("syntax", place, format!("this is not TOML: {message}"))
        .help("keys are bare words, texts and quantities stand in double quotes: `rtt = \"75ms\"`")
}

fn from_table(
    table: toml::de::DeTable<'_>,
    source: SourceId,
    faults: &mut Vec<Diagnostic>,
) -> Value {
    Value::Table(
        table
            .into_iter()
            .map(|(key, value)| {
                let place = Place { source, span: key.span() };
                let key = Key { name: key.into_inner().into_owned(), place };
                (key, from_value(value, source, faults))
            })
            .collect(),
    )
}

fn from_value(
    spanned: toml::Spanned<toml::de::DeValue<'_>>,
    source: SourceId,
    faults: &mut Vec<Diagnostic>,
) -> Node {
    use toml::de::DeValue;
    let place = Place { source, span: spanned.span() };
    let value = match spanned.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => {
            match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(error) if *error.kind() == std::num::IntErrorKind::InvalidDigit => {
                    // The parser says so itself, but not of `1_000/s`.
                    if !faults.iter().any(|fault| overlaps(&fault.place.span, &place.span)) {
                        faults.push(syntax_diagnostic("invalid number", place.clone()));
                    }
                    Value::String(number.as_str().into())
                }
                // Beyond 64 bits: as a float it is too large for every key, which is then said.
                Err(_) => Value::Float(number.as_str().parse().unwrap_or(f64::INFINITY)),
            }
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Boolean(flag),
        DeValue::Datetime(date) => Value::Datetime(date.to_string()),
        DeValue::Array(items) => {
            Value::Array(items.into_iter().map(|item| from_value(item, source, faults)).collect())
        }
        DeValue::Table(table) => from_table(table, source, faults),
    };
    Node { value, place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_point_at_the_text() {
        let text = "[pool.pg]\nsize = 10\nidle.timeout = \"5s\"\n";
        let (node, diagnostics) = parse(text, SourceId(0));
        assert!(diagnostics.is_empty());
        let size = node.at("pool.pg.size").expect("present");
        assert_eq!(&text[size.place.span.clone()], "10");
        let pool = node.at("pool.pg").expect("present");
        assert_eq!(&text[pool.place.span.clone()], "[pool.pg]");
        assert_eq!(node.place_of("pool.pg.absent"), pool.place);
    }

    #[test]
    fn a_number_with_a_unit_and_without_quotes_is_a_fault() {
        for text in ["rate = 1000/s\n", "rate = 1_000/s\n"] {
            assert_eq!(parse(text, SourceId(0)).1.len(), 1, "{text}");
        }
        assert!(parse("rate = 1_000\n", SourceId(0)).1.is_empty());
    }

    #[test]
    fn a_list_in_braces_is_one_fault_at_its_brace() {
        let steps = "\n  { cpu = '1ms' },\n  { reply = '2KB' },\n";
        for close in ["}", "]", ""] {
            let text = format!("a = 1\nflow = {{{steps}{close}\n[x]\nb = ]\n");
            let (_, found) = parse(&text, SourceId(0));
            let at: Vec<usize> = found.iter().map(|it| it.place.span.start).collect();
            let wanted = [text.find('{').unwrap(), text.rfind(']').unwrap()];
            assert_eq!(at, wanted[..if close == "}" { 2 } else { 1 }], "{found:?}");
            assert!(found[0].message.contains("square brackets"), "{found:?}");
        }
    }

    #[test]
    fn every_fault_of_syntax_is_reported_at_once() {
        let (_, diagnostics) = parse("a = \nb = ]\nc = 1\nc = 2\n", SourceId(0));
        assert!(diagnostics.len() >= 3, "{diagnostics:?}");
        assert!(diagnostics.iter().any(|d| d.slug == "duplicate"));
    }
}
