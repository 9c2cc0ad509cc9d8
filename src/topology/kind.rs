//! The form of everything a file may say, as data: for messages, merging, the schema and the
//! manual.

use super::names::Section;

/// The form of a value, as data.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Free text.
    Text,
    /// Text of a certain form, with what it is and an example.
    Form {
        /// What it is: `a metric with its bound`.
        what: &'static str,
        /// A value that is right, as TOML.
        example: &'static str,
    },
    /// True or false.
    Flag,
    /// A whole number.
    Count,
    /// A number.
    Number,
    /// A number with its unit.
    Quantity {
        /// What it is: `a duration`.
        what: &'static str,
        /// Examples, for people.
        examples: &'static str,
        /// The text of an example.
        example: &'static str,
        /// The regular expression of its texts.
        pattern: &'static str,
    },
    /// The name of a component of a section.
    Name(Section),
    /// A component of one of several sections, with its section: `limit.global`.
    Address(&'static [Section]),
    /// Values in a row.
    List(Box<Kind>),
    /// Two values in a row.
    Pair(Box<Kind>, Box<Kind>),
    /// Tables under names that the author chooses.
    Named(Box<Kind>),
    /// A table with known keys.
    Table(fn() -> TableDoc),
    /// One of several, externally tagged.
    Choice(fn() -> ChoiceDoc),
    /// A law of a distribution: a choice whose parts do not mix.
    Law(fn() -> ChoiceDoc),
    /// A short form or a full one.
    Either(Box<Kind>, Box<Kind>),
}

impl Kind {
    /// A right value of this kind as TOML, for help lines.
    pub fn example(&self) -> String {
        match self {
            Kind::Text => "\"…\"".into(),
            Kind::Form { example, .. } => (*example).into(),
            Kind::Flag => "true".into(),
            Kind::Count => "10".into(),
            Kind::Number => "1.5".into(),
            Kind::Quantity { example, .. } => format!("\"{example}\""),
            Kind::Name(_) => "\"NAME\"".into(),
            Kind::Address(sections) => {
                let first = sections.first().copied().unwrap_or(Section::Service);
                format!("\"{first}.NAME\"")
            }
            Kind::List(inner) => format!("[{}]", inner.example()),
            Kind::Pair(a, b) => format!("[{}, {}]", a.example(), b.example()),
            Kind::Named(_) => "{ NAME = { … } }".into(),
            Kind::Table(describe) => {
                let required: Vec<String> = describe()
                    .fields
                    .iter()
                    .filter(|field| field.is_required())
                    .map(|field| format!("{} = {}", field.key, field.kind.example()))
                    .collect();
                format!("{{ {} }}", required.join(", "))
            }
            Kind::Choice(describe) | Kind::Law(describe) => {
                let choice = describe();
                match choice.variants.first() {
                    Some(VariantDoc { name, payload: Some(inner), .. }) => {
                        format!("{{ {name} = {} }}", inner.example())
                    }
                    Some(VariantDoc { name, .. }) => format!("\"{name}\""),
                    None => String::new(),
                }
            }
            Kind::Either(short, _) => short.example(),
        }
    }
    /// What it is, for messages: `a whole number`.
    pub fn what(&self) -> String {
        match self {
            Kind::Text => "a text".into(),
            Kind::Form { what, .. } | Kind::Quantity { what, .. } => (*what).into(),
            Kind::Flag => "true or false".into(),
            Kind::Count => "a whole number".into(),
            Kind::Number => "a number".into(),
            Kind::Name(section) => format!("the name of a {section}"),
            Kind::Address(sections) => {
                let names: Vec<String> =
                    sections.iter().map(|section| format!("`{section}.NAME`")).collect();
                names.join(" or ")
            }
            Kind::List(_) => "a list".into(),
            Kind::Pair(a, b) => format!("a list of {} and {}", a.what(), b.what()),
            Kind::Named(_) => "a table of named tables".into(),
            Kind::Table(_) => "a table".into(),
            Kind::Choice(describe) => describe().one_of(),
            Kind::Law(describe) => format!("a law: {}", describe().one_of()),
            Kind::Either(short, full) => format!("{} or {}", short.what(), full.what()),
        }
    }
}

/// A table, as data.
#[derive(Clone, Debug)]
pub struct TableDoc {
    /// The name of its type, unique among all.
    pub name: String,
    /// What it is.
    pub doc: String,
    /// Its keys, in the order to read them.
    pub fields: Vec<FieldDoc>,
    /// The key whose value may stand for the whole table.
    pub shorthand: Option<&'static str>,
}

/// A key of a table, as data.
#[derive(Clone, Debug)]
pub struct FieldDoc {
    /// The key.
    pub key: &'static str,
    /// What it means.
    pub doc: String,
    /// What its value looks like.
    pub kind: Kind,
    /// True if nothing need take its place.
    pub optional: bool,
    /// The default: TOML, or, for an optional key, what its absence means in words.
    pub default: Option<&'static str>,
    /// Where the default comes from.
    pub source: Option<&'static str>,
    /// True if the value must be more than nothing.
    pub positive: bool,
}

impl FieldDoc {
    /// True if the file must say it.
    pub fn is_required(&self) -> bool {
        !self.optional && self.default.is_none()
    }
}

/// One of several, as data.
#[derive(Clone, Debug)]
pub struct ChoiceDoc {
    /// The name of its type, unique among all.
    pub name: String,
    /// What it is.
    pub doc: String,
    /// The possibilities.
    pub variants: Vec<VariantDoc>,
}

impl ChoiceDoc {
    /// The possibilities, for messages.
    pub fn one_of(&self) -> String {
        let names: Vec<String> =
            self.variants.iter().map(|variant| format!("`{}`", variant.name)).collect();
        match names.as_slice() {
            [one] => one.clone(),
            names => format!("one of {}", names.join(", ")),
        }
    }
}

/// A possibility, as data.
#[derive(Clone, Debug)]
pub struct VariantDoc {
    /// How a file says it.
    pub name: &'static str,
    /// What it means.
    pub doc: String,
    /// What it carries.
    pub payload: Option<Kind>,
}

/// The lines of a doc comment as one text.
pub(crate) fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_string()
}
