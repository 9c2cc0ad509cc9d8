//! Names: how components are called and how they refer to one another.

use std::fmt;
use std::marker::PhantomData;

use super::kind::Kind;
use super::spec::{Reader, Shape};
use super::tree::{Node, Value};
use crate::diagnostic::{Diagnostic, Place, did_you_mean};

macro_rules! sections {
    ($($Name:ident $key:literal),+ $(,)?) => {
        /// The sections of a file that hold named components.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Section {
            $(#[doc = concat!("`[", $key, ".NAME]`")] $Name),+
        }
        impl Section {
            /// All of them.
            pub const ALL: &'static [Section] = &[$(Section::$Name),+];
            /// How a file says it.
            pub fn key(self) -> &'static str {
                match self { $(Section::$Name => $key),+ }
            }
        }
    };
}
sections! {
    Region "region", Link "link", Balancer "balancer", Cdn "cdn", Host "host", Service "service", Pool "pool",
    Pooler "pooler", Database "database", Cache "cache", Keys "keys", Session "session", Guard "guard",
    Limit "limit", Bulkhead "bulkhead", Breaker "breaker", Relation "relation",
    Maintenance "maintenance", Queue "queue", Job "job",
    Operation "operation", Fault "fault", Deploy "deploy", Socket "socket", Store "store", Monitor "monitor",
    Stream "stream", Consumer "consumer",
}
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// A table that stands under a name, in its section.
pub trait Component {
    /// Its section.
    const SECTION: Section;
}

/// A component with its name. Lists of them are sorted by name, so that the order of a file means
/// nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T> {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    /// What it is.
    pub spec: T,
}

/// A value that knows where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// The name of a component of a known section.
#[derive(Clone, Debug, PartialEq)]
pub struct Ref<T> {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    section: PhantomData<T>,
}

impl<T> Ref<T> {
    /// A reference by name, made at a place.
    pub fn new(name: impl Into<String>, place: Place) -> Ref<T> {
        Ref { name: name.into(), place, section: PhantomData }
    }
}

/// Which sections an [`Address`] may point into.
pub trait Scope {
    /// The sections.
    const SECTIONS: &'static [Section];
}

/// The name of a component with its section: `limit.global`.
#[derive(Clone, Debug, PartialEq)]
pub struct Address<S> {
    /// Its section.
    pub section: Section,
    /// Its name.
    pub name: String,
    /// Where the address stands.
    pub place: Place,
    scope: PhantomData<S>,
}

/// A name that must exist, noted while reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// In which section.
    pub section: Section,
    /// Under which name.
    pub name: String,
    /// Where it is wanted.
    pub place: Place,
}

impl<T: Component> Shape for Ref<T> {
    fn kind() -> Kind {
        Kind::Name(T::SECTION)
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(text) = node.text() else {
            return reader.wrong_type(node, &Self::kind());
        };
        // `pool = "pool.pg"` is understood: the section is said twice, not wrongly.
        let name = match text.split_once('.') {
            Some((section, name)) if section == T::SECTION.key() => name,
            _ => text,
        };
        let place = node.place.clone();
        reader.references.push(Reference {
            section: T::SECTION,
            name: name.into(),
            place: place.clone(),
        });
        Some(Ref::new(name, place))
    }
}

impl<S: Scope> Shape for Address<S> {
    fn kind() -> Kind {
        Kind::Address(S::SECTIONS)
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(text) = node.text() else {
            return reader.wrong_type(node, &Self::kind());
        };
        let (section, name) = read_address(text, node, S::SECTIONS, reader)?;
        Some(Address { section, name, place: node.place.clone(), scope: PhantomData })
    }
}

/// Splits `limit.global`, notes it as wanted, and says it when the section is none of `sections`.
pub(crate) fn read_address(
    text: &str,
    node: &Node,
    sections: &'static [Section],
    reader: &mut Reader,
) -> Option<(Section, String)> {
    let found = text.split_once('.').and_then(|(key, name)| {
        let section = sections.iter().find(|section| section.key() == key)?;
        Some((*section, name.to_string()))
    });
    if let Some((section, name)) = found {
        let place = node.place.clone();
        reader.references.push(Reference { section, name: name.clone(), place });
        return Some((section, name));
    }
    let kind = Kind::Address(sections).what();
    let message = format!("`{}` cannot be `{text}`: it must be {kind}", reader.path());
    let (head, name) = text.split_once('.').unwrap_or(("", text));
    let likely = sections
        .iter()
        .map(|section| section.key())
        .find(|key| did_you_mean(head, [*key]).is_some())
        .or(sections.first().map(|section| section.key()))
        .unwrap_or_default();
    let help = format!("write the section and the name, such as `\"{likely}.{name}\"`");
    reader.wrong(Diagnostic::error("bad-address", node.place.clone(), message).help(help))
}

impl<T: Shape> Shape for Placed<T> {
    fn kind() -> Kind {
        T::kind()
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Some(Placed { value: T::read(node, reader)?, place: node.place.clone() })
    }
}

impl<T: Shape> Shape for Vec<Named<T>> {
    fn kind() -> Kind {
        Kind::Named(Box::new(T::kind()))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            return reader.wrong_type(node, &Self::kind());
        };
        let mut all = Vec::new();
        let mut complete = true;
        for (key, inner) in entries {
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if key.name.is_empty() || !key.name.chars().all(letters) {
                let message = format!("`{}` is not a name", key.name);
                reader.diagnostics.push(
                    Diagnostic::error("bad-name", key.place.clone(), message)
                        .help("a name has letters, digits, `-` and `_` only"),
                );
                complete = false;
            }
            match reader.within(&key.name, |reader| T::read(inner, reader)) {
                Some(spec) => {
                    all.push(Named { name: key.name.clone(), place: key.place.clone(), spec });
                }
                None => complete = false,
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        complete.then_some(all)
    }
}
