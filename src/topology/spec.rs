//! One description of every table: struct, decoder, schema and manual come from the same words.
//!
//! [`spec!`] takes a table as a person would describe it (key, type, default, where the default
//! comes
//! from, what it means) and writes the struct and its [`Shape`]. A `Shape` can be read from a
//! [`Node`], saying all that is wrong, and can describe itself as a [`Kind`].

use super::kind::{ChoiceDoc, FieldDoc, Kind, TableDoc};
use super::measured::Files;
use super::names::{Reference, Section};
use super::tree::{Key, Node, Value, parse};
use crate::diagnostic::{Diagnostic, Place, meant_key};

/// What can stand as a value in a topology file.
pub trait Shape: Sized {
    /// True if the key may be left out without a default taking its place.
    const OPTIONAL: bool = false;
    /// What it looks like, for the schema, the manual and merging.
    fn kind() -> Kind;
    /// Reads it; `None` when something was wrong and has been said to the reader.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;
    /// The value of a key that was left out, for shapes that are optional.
    fn absent() -> Option<Self> {
        None
    }
    /// True if the value is more than nothing, for keys that must be.
    fn is_positive(&self) -> bool {
        true
    }
}

/// A value that the file does not say and that is therefore assumed.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultInForce {
    /// The key it stands for: `pool.pg.size`.
    pub path: String,
    /// The value, as TOML or in words.
    pub value: &'static str,
    /// Where it comes from: `pg-pool 3.14.0`.
    pub source: &'static str,
}

/// Walks the tree, collecting what is wrong, what is assumed and who refers to whom.
#[derive(Debug, Default)]
pub struct Reader {
    /// All that is wrong so far.
    pub diagnostics: Vec<Diagnostic>,
    /// All that is assumed so far.
    pub defaults: Vec<DefaultInForce>,
    /// Every name that must exist.
    pub references: Vec<Reference>,
    /// The components that the file has, for what is said about names that it lacks.
    names: Vec<(Section, String)>,
    /// What the files of measurements say that it names.
    pub(crate) files: Files,
    path: Vec<String>,
}

impl Reader {
    /// The path to the value being read.
    pub fn path(&self) -> String {
        self.path.join(".")
    }
    /// Notes which components a file has.
    pub(crate) fn names_of(&mut self, root: &Node) {
        for section in Section::ALL {
            let entries = root.entry(section.key()).and_then(Node::entries).unwrap_or_default();
            self.names.extend(entries.iter().map(|(key, _)| (*section, key.name.clone())));
        }
    }
    /// Reads under one more name of the path.
    pub fn within<R>(&mut self, name: &str, read: impl FnOnce(&mut Reader) -> R) -> R {
        self.path.push(name.to_string());
        let result = read(self);
        self.path.pop();
        result
    }
    /// Says that something is wrong; always `None`.
    pub fn wrong<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.diagnostics.push(diagnostic);
        None
    }
    /// Says that a value is not of its kind; always `None`.
    pub fn wrong_type<T>(&mut self, node: &Node, kind: &Kind) -> Option<T> {
        let mut message = format!("`{}` is {}", self.path(), node.what());
        message.push_str(&format!("; it must be {}", kind.what()));
        let bare = match (kind, node.text()) {
            (Kind::Number, Some(text)) => text.parse::<f64>().ok().map(|_| text),
            _ => None,
        };
        let help = match bare {
            Some(number) => format!("write it bare: `{number}`"),
            None => format!("for example `{}`", self.example(kind)),
        };
        self.wrong(Diagnostic::error("wrong-type", node.place.clone(), message).help(help))
    }
    fn example(&self, kind: &Kind) -> String {
        match self.path.last() {
            Some(key) if key.parse::<usize>().is_err() => format!("{key} = {}", kind.example()),
            _ => kind.example(),
        }
    }

    /// The entries of a table with known keys; unknown ones are said and left out.
    pub fn table(&mut self, node: &Node, doc: &TableDoc) -> Option<Vec<(Key, Node)>> {
        let known = |name: &str| doc.fields.iter().any(|field| field.key == name);
        if let Some(short) = doc.shorthand {
            let is_full = match node.entries() {
                Some(entries) => {
                    entries.is_empty() || entries.iter().any(|(key, _)| known(&key.name))
                }
                None => false,
            };
            if !is_full {
                let key = Key { name: short.into(), place: node.place.clone() };
                return Some(vec![(key, node.clone())]);
            }
        }
        let Some(entries) = node.entries() else {
            let mut fields: Vec<&FieldDoc> =
                doc.fields.iter().filter(|field| field.is_required()).collect();
            if fields.is_empty() {
                fields.extend(doc.fields.first());
            }
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{} = {}", field.key, field.kind.example()))
                .collect();
            let message = format!("`{}` is {}; it must be a table", self.path(), node.what());
            let help = match self.path.as_slice() {
                // A component that was written without its name.
                [section, key] if Section::ALL.iter().any(|s| s.key() == section) && known(key) => {
                    format!("give it a name: write `{key}` under `[{section}.main]`")
                }
                [.., key] if key.parse::<usize>().is_err() => {
                    format!("for example `{key} = {{ {} }}`", fields.join(", "))
                }
                _ => format!("for example `{{ {} }}`", fields.join(", ")),
            };
            return self
                .wrong(Diagnostic::error("wrong-type", node.place.clone(), message).help(help));
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known(&key.name)) {
            self.unknown_key(key, doc);
        }
        Some(entries.iter().filter(|(key, _)| known(&key.name)).cloned().collect())
    }

    fn unknown_key(&mut self, key: &Key, doc: &TableDoc) {
        let keys: Vec<&str> = doc.fields.iter().map(|field| field.key).collect();
        let place_in_file = if self.path.is_empty() {
            "the file".to_string()
        } else {
            format!("`{}`", self.path())
        };
        let help =
            meant_key(&key.name, &keys).unwrap_or_else(|| format!("it has: {}", keys.join(", ")));
        self.diagnostics.push(
            Diagnostic::error(
                "unknown-key",
                key.place.clone(),
                format!("{place_in_file} has no key `{}`", key.name),
            )
            .help(help),
        );
    }

    /// The value of a key of a table, or its default.
    pub fn field<T: Shape>(
        &mut self,
        table: &Place,
        entries: &[(Key, Node)],
        doc: &TableDoc,
        key: &'static str,
    ) -> Option<T> {
        let field = doc.fields.iter().find(|field| field.key == key).expect("a key of the table");
        let said = entries.iter().find(|(entry, _)| entry.name == key);
        self.within(key, |reader| match said {
            // A shorthand adds nothing to the path of what it stands for, but reads the same.
            Some((_, node)) => reader.checked(node, field),
            None if T::OPTIONAL => {
                if let (Some(value), Some(source)) = (field.default, field.source) {
                    reader.defaults.push(DefaultInForce { path: reader.path(), value, source });
                }
                T::absent()
            }
            None => match (field.default, field.source) {
                (Some(value), Some(source)) => {
                    let node = default_node(value, table);
                    let path = reader.path();
                    // Sections that are not there are no assumptions; their keys may be.
                    let is_section = value == "{}" || (value == "[]" && reader.path.len() == 1);
                    if !is_section {
                        reader.defaults.push(DefaultInForce { path, value, source });
                    }
                    reader.checked(&node, field)
                }
                _ => reader.missing(table, field),
            },
        })
    }

    fn checked<T: Shape>(&mut self, node: &Node, field: &FieldDoc) -> Option<T> {
        let value = T::read(node, self)?;
        if field.positive && !value.is_positive() {
            let message = format!("`{}` must be more than zero", self.path());
            return self.wrong(
                Diagnostic::error("out-of-range", node.place.clone(), message)
                    .help(format!("for example `{}`", self.example(&field.kind))),
            );
        }
        Some(value)
    }

    fn missing<T>(&mut self, table: &Place, field: &FieldDoc) -> Option<T> {
        let around = match self.path.split_last() {
            Some((_, [])) | None => "the file".to_string(),
            Some((_, around)) => format!("`{}`", around.join(".")),
        };
        let mut help =
            format!("add `{}`: {}", self.example(&field.kind), first_sentence(&field.doc));
        if let Kind::Name(section) = field.kind {
            let names: Vec<&str> =
                self.names.iter().filter(|(of, _)| *of == section).map(|(_, it)| &**it).collect();
            match names[..] {
                [] => help.push_str(&format!(", which you describe under `[{section}.NAME]`")),
                [only] => help = help.replacen("NAME", only, 1),
                [first, ..] => {
                    help = help.replacen("NAME", first, 1);
                    help.push_str(&format!(" (there are: {})", names.join(", ")));
                }
            }
        }
        self.wrong(
            Diagnostic::error(
                "missing-key",
                table.clone(),
                format!("{around} does not say its `{}`", field.key),
            )
            .help(help),
        )
    }

    /// The possibility that a value names, and what it carries.
    pub fn variant(
        &mut self,
        node: &Node,
        doc: &ChoiceDoc,
        kind: &Kind,
    ) -> Option<(&'static str, Node)> {
        let (name, place, payload) = match &node.value {
            Value::String(name) => (name, &node.place, None),
            Value::Table(entries) => match entries.as_slice() {
                [(key, payload)] => (&key.name, &key.place, Some(payload)),
                _ => return self.not_one(node, entries, doc),
            },
            _ => return self.wrong_type(node, kind),
        };
        let Some(variant) = doc.variants.iter().find(|variant| variant.name == name.as_str())
        else {
            let names: Vec<&str> = doc.variants.iter().map(|variant| variant.name).collect();
            let help = meant_key(name, &names).unwrap_or_else(|| format!("write {}", doc.one_of()));
            let message = format!("`{}` cannot be `{name}`", self.path());
            return self
                .wrong(Diagnostic::error("unknown-variant", place.clone(), message).help(help));
        };
        let payload = payload.cloned().unwrap_or_else(|| Node::empty(node.place.clone()));
        if variant.payload.is_none() && payload.entries().is_none_or(|inner| !inner.is_empty()) {
            let message = format!("`{name}` takes no options");
            return self.wrong(
                Diagnostic::error("wrong-type", payload.place.clone(), message)
                    .help(format!("write `\"{name}\"`")),
            );
        }
        Some((variant.name, payload))
    }

    fn not_one<T>(&mut self, node: &Node, entries: &[(Key, Node)], doc: &ChoiceDoc) -> Option<T> {
        let path = self.path();
        let (place, message) = match entries {
            [_, (second, _), ..] => (
                second.place.clone(),
                format!("`{path}` names {} things; it must name exactly one", entries.len()),
            ),
            _ => (node.place.clone(), format!("`{path}` is empty; it must name exactly one thing")),
        };
        self.wrong(
            Diagnostic::error("not-one", place, message).help(format!("write {}", doc.one_of())),
        )
    }
}

/// A default, written as TOML, as if it stood at `place`.
fn default_node(text: &'static str, place: &Place) -> Node {
    let (node, faults) = parse(&format!("it = {text}"), place.source);
    assert!(faults.is_empty(), "a default is valid TOML: {text}");
    node.entry("it").expect("just written").clone().relocated(place)
}

/// The first sentence of a doc comment, without its full stop, starting small.
fn first_sentence(doc: &str) -> String {
    let sentence = doc.split(". ").next().unwrap_or(doc);
    let sentence = sentence.split("; ").next().unwrap_or(sentence).trim_end_matches('.');
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Describes a table or a choice once; writes its type and its [`Shape`].
///
/// A key is
/// `name "key in the file": Type = "default as TOML" from "where it comes from", positive;`
/// where the quoted key (for keys that are words of Rust), the default and `positive` may be left
/// out. A key without default is required, unless its type is an `Option`: then the "default" is
/// what
/// absence means, in words.
macro_rules! spec {
    (
        $(#[doc = $doc:literal])+
        component $Name:ident { $($body:tt)* }
    ) => {
        spec! { $(#[doc = $doc])+ table $Name { $($body)* } }
        impl $crate::topology::names::Component for $Name {
            const SECTION: $crate::topology::names::Section =
                $crate::topology::names::Section::$Name;
        }
    };
    (
        $(#[doc = $doc:literal])+
        table $Name:ident $(<$Q:ident>)? $((short $short:literal))? {
            $(
                $(#[doc = $field_doc:literal])+
                $field:ident $($key:literal)? : $Type:ty
                    $(= $default:literal from $source:literal)? $(, $positive:ident)?;
            )*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Name $(<$Q>)? {
            $( $(#[doc = $field_doc])+ pub $field: $Type, )*
            /// Where it stands.
            pub place: $crate::diagnostic::Place,
        }
        impl $(<$Q: $crate::topology::dist::Measure>)? $crate::topology::shape::Item
            for $Name $(<$Q>)? {}
        impl $(<$Q: $crate::topology::dist::Measure>)? $Name $(<$Q>)? {
            /// This table, as data.
            pub fn describe() -> $crate::topology::kind::TableDoc {
                use $crate::topology::kind::{FieldDoc, TableDoc, joined};
                use $crate::topology::spec::Shape;
                TableDoc {
                    name: [stringify!($Name) $(, $Q::NAME)?].concat(),
                    doc: joined(&[$($doc),+]),
                    fields: vec![$(FieldDoc {
                        key: spec!(@key $field $($key)?),
                        doc: joined(&[$($field_doc),+]),
                        kind: <$Type as Shape>::kind(),
                        optional: <$Type as Shape>::OPTIONAL,
                        default: spec!(@option $($default)?),
                        source: spec!(@option $($source)?),
                        positive: spec!(@flag $($positive)?),
                    }),*],
                    shorthand: spec!(@option $($short)?),
                }
            }
        }
        impl $(<$Q: $crate::topology::dist::Measure>)? $crate::topology::spec::Shape
            for $Name $(<$Q>)?
        {
            fn kind() -> $crate::topology::kind::Kind {
                spec!(@kind Self::describe $(, $short)?)
            }
            fn read(
                node: &$crate::topology::tree::Node,
                reader: &mut $crate::topology::spec::Reader,
            ) -> Option<Self> {
                let doc = Self::describe();
                let entries = reader.table(node, &doc)?;
                $(
                    let $field = reader.field::<$Type>(
                        &node.place, &entries, &doc, spec!(@key $field $($key)?),
                    );
                )*
                Some($Name { $($field: $field?,)* place: node.place.clone() })
            }
        }
    };
    (
        $(#[doc = $doc:literal])+
        choice $Name:ident $(<$Q:ident>)? {
            $(
                $(#[doc = $variant_doc:literal])+
                $Variant:ident $(($Payload:ty))? = $name:literal;
            )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub enum $Name $(<$Q>)? {
            $( $(#[doc = $variant_doc])+ $Variant $(($Payload))?, )+
        }
        impl $(<$Q: $crate::topology::dist::Measure>)? $crate::topology::shape::Item
            for $Name $(<$Q>)? {}
        impl $(<$Q: $crate::topology::dist::Measure>)? $Name $(<$Q>)? {
            /// This choice, as data.
            pub fn describe() -> $crate::topology::kind::ChoiceDoc {
                use $crate::topology::kind::{ChoiceDoc, VariantDoc, joined};
                ChoiceDoc {
                    name: [stringify!($Name) $(, $Q::NAME)?].concat(),
                    doc: joined(&[$($doc),+]),
                    variants: vec![$(VariantDoc {
                        name: $name,
                        doc: joined(&[$($variant_doc),+]),
                        payload: spec!(@payload $($Payload)?),
                    }),+],
                }
            }
        }
        impl $(<$Q: $crate::topology::dist::Measure>)? $crate::topology::spec::Shape
            for $Name $(<$Q>)?
        {
            fn kind() -> $crate::topology::kind::Kind {
                $crate::topology::kind::Kind::Choice(Self::describe)
            }
            fn read(
                node: &$crate::topology::tree::Node,
                reader: &mut $crate::topology::spec::Reader,
            ) -> Option<Self> {
                let (name, payload) = reader.variant(node, &Self::describe(), &Self::kind())?;
                reader.within(name, |reader| match name {
                    $( $name => spec!(@variant $Name $Variant payload reader $($Payload)?), )+
                    _ => unreachable!("the reader knows the variants"),
                })
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@option) => { None };
    (@option $value:literal) => { Some($value) };
    (@flag) => { false };
    (@flag positive) => { true };
    (@kind $describe:expr) => { $crate::topology::kind::Kind::Table($describe) };
    (@kind $describe:expr, $short:literal) => {{
        let doc = $describe();
        let short = doc.fields.iter().find(|field| field.key == $short).expect("a key of the table");
        $crate::topology::kind::Kind::Either(
            Box::new(short.kind.clone()),
            Box::new($crate::topology::kind::Kind::Table($describe)),
        )
    }};
    (@payload) => { None };
    (@payload $Payload:ty) => { Some(<$Payload as $crate::topology::spec::Shape>::kind()) };
    (@variant $Name:ident $Variant:ident $payload:ident $reader:ident) => {{
        let _ = ($payload, $reader);
        Some($Name::$Variant)
    }};
    (@variant $Name:ident $Variant:ident $payload:ident $reader:ident $Payload:ty) => {
        <$Payload as $crate::topology::spec::Shape>::read(&$payload, $reader).map($Name::$Variant)
    };
}
pub(crate) use spec;
