//! The language as data: a JSON Schema for editors, and the facts of the reference manual.

use serde_json::{Map, Value, json};

use super::file::Topology;
use super::kind::{ChoiceDoc, FieldDoc, Kind, TableDoc};
use super::spec::Shape;

/// The JSON Schema (draft 2020-12) of a topology file.
pub fn schema() -> Value {
    schema_of(&Topology::kind(), &Topology::describe().name, "Loadbearing topology")
}

/// The JSON Schema of a file of some kind, whose table has that name.
pub(crate) fn schema_of(kind: &Kind, name: &str, title: &str) -> Value {
    let mut definitions = Map::new();
    let mut whole = of_kind(kind, &mut definitions);
    if let Some(Value::Object(root)) = definitions.remove(name) {
        whole = Value::Object(root);
    }
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["title"] = json!(title);
    whole["$defs"] = Value::Object(definitions);
    whole
}

fn of_kind(kind: &Kind, definitions: &mut Map<String, Value>) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Form { what, example } => json!({
            "type": ["string", "integer"], "title": what, "examples": [plain(example)],
        }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0 }),
        Kind::Number => json!({ "type": "number", "minimum": 0 }),
        Kind::Quantity { pattern, example, .. } => {
            json!({ "type": "string", "pattern": pattern, "examples": [example] })
        }
        Kind::Name(_) => json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]+$" }),
        Kind::Address(sections) => {
            let keys: Vec<&str> = sections.iter().map(|section| section.key()).collect();
            let pattern = format!("^({})\\.[A-Za-z0-9_-]+$", keys.join("|"));
            json!({ "type": "string", "pattern": pattern })
        }
        Kind::List(inner) => json!({ "type": "array", "items": of_kind(inner, definitions) }),
        Kind::Pair(first, second) => json!({
            "type": "array",
            "prefixItems": [of_kind(first, definitions), of_kind(second, definitions)],
            "minItems": 2,
            "maxItems": 2,
        }),
        Kind::Named(inner) => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9_-]+$" },
            "additionalProperties": of_kind(inner, definitions),
        }),
        Kind::Table(describe) => {
            let doc = describe();
            define(&doc.name.clone(), definitions, |definitions| of_table(&doc, definitions))
        }
        Kind::Choice(describe) | Kind::Law(describe) => {
            let doc = describe();
            define(&doc.name.clone(), definitions, |definitions| of_choice(&doc, definitions))
        }
        Kind::Either(short, full) => {
            json!({ "anyOf": [of_kind(short, definitions), of_kind(full, definitions)] })
        }
    }
}

/// A reference to a definition, which is made the first time.
fn define(
    name: &str,
    definitions: &mut Map<String, Value>,
    make: impl FnOnce(&mut Map<String, Value>) -> Value,
) -> Value {
    if !definitions.contains_key(name) {
        // Flows contain steps that contain flows: the name must be taken before its content is
        // made.
        definitions.insert(name.into(), Value::Null);
        let definition = make(definitions);
        definitions.insert(name.into(), definition);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn of_table(doc: &TableDoc, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in &doc.fields {
        let mut property = of_kind(&field.kind, definitions);
        property["description"] = json!(description(field));
        if field.positive && matches!(field.kind, Kind::Count) {
            property["minimum"] = json!(1);
        }
        if field.positive && matches!(field.kind, Kind::Number) {
            property["minimum"] = Value::Null;
            property["exclusiveMinimum"] = json!(0);
            property.as_object_mut().map(|property| property.remove("minimum"));
        }
        if field.positive && matches!(field.kind, Kind::List(_)) {
            property["minItems"] = json!(1);
        }
        if let (Some(default), false) = (field.default, field.optional) {
            property["default"] = plain(default);
        }
        if field.is_required() {
            required.push(field.key);
        }
        properties.insert(field.key.into(), property);
    }
    json!({
        "type": "object",
        "description": doc.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn description(field: &FieldDoc) -> String {
    match (field.default, field.source) {
        (Some(value), Some(source)) if field.optional => {
            format!("{} If left out: {value} ({source}).", field.doc)
        }
        (Some(value), Some(source)) if !matches!(value, "{}" | "[]") => {
            format!("{} Default: {value} ({source}).", field.doc)
        }
        _ => field.doc.clone(),
    }
}

fn of_choice(doc: &ChoiceDoc, definitions: &mut Map<String, Value>) -> Value {
    let mut forms = Vec::new();
    for variant in &doc.variants {
        let Some(payload) = &variant.payload else {
            forms.push(json!({ "const": variant.name, "description": variant.doc }));
            continue;
        };
        if takes_nothing(payload) {
            forms.push(json!({ "const": variant.name, "description": variant.doc }));
        }
        let mut properties = Map::new();
        properties.insert(variant.name.into(), of_kind(payload, definitions));
        forms.push(json!({
            "type": "object",
            "description": variant.doc,
            "properties": properties,
            "required": [variant.name],
            "additionalProperties": false,
        }));
    }
    json!({ "description": doc.doc, "oneOf": forms })
}

/// True for a table that may be left empty, so that its name alone says it.
fn takes_nothing(payload: &Kind) -> bool {
    match payload {
        Kind::Table(describe) => describe().fields.iter().all(|field| !field.is_required()),
        _ => false,
    }
}

/// A TOML value as JSON.
fn plain(toml: &str) -> Value {
    let (node, _) = super::tree::parse(&format!("it = {toml}"), Default::default());
    node.entry("it").map_or(Value::Null, of_node)
}

fn of_node(node: &super::tree::Node) -> Value {
    use super::tree::Value as Toml;
    match &node.value {
        Toml::Table(entries) => Value::Object(
            entries.iter().map(|(key, node)| (key.name.clone(), of_node(node))).collect(),
        ),
        Toml::Array(items) => Value::Array(items.iter().map(of_node).collect()),
        Toml::String(text) | Toml::Datetime(text) => json!(text),
        Toml::Integer(number) => json!(number),
        Toml::Float(number) => json!(number),
        Toml::Boolean(flag) => json!(flag),
    }
}

/// A table or a choice of the language, for the reference manual.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands: `[pool.NAME]`; for parts of other tables, the name of its type.
    pub heading: String,
    /// What it is.
    pub form: Form,
}

/// What an entry of the manual describes.
#[derive(Clone, Debug)]
pub enum Form {
    /// A table with its keys.
    Table(TableDoc),
    /// One of several.
    Choice(ChoiceDoc),
}

impl Form {
    fn name(&self) -> &str {
        match self {
            Form::Table(doc) => &doc.name,
            Form::Choice(doc) => &doc.name,
        }
    }
}

/// The whole language, for the reference manual: the file, then its sections in order, each
/// followed
/// by the parts that are first needed there.
pub fn reference() -> Vec<Entry> {
    reference_of(Topology::describe())
}

/// The manual of a file of some kind.
pub(crate) fn reference_of(file: TableDoc) -> Vec<Entry> {
    let mut entries = Vec::new();
    entries.push(Entry { heading: "the file".into(), form: Form::Table(file.clone()) });
    for field in &file.fields {
        let heading = match &field.kind {
            Kind::Named(_) if field.key == "route" => "[route.NAME.NAME]".into(),
            Kind::Named(_) => format!("[{}.NAME]", field.key),
            Kind::List(_) => format!("[[{}]]", field.key),
            _ => format!("[{}]", field.key),
        };
        describe(&field.kind, Some(heading), &mut entries);
    }
    entries
}

/// Adds the parts of a kind that were not yet described.
fn describe(kind: &Kind, heading: Option<String>, entries: &mut Vec<Entry>) {
    let (form, parts): (Form, Vec<Kind>) = match kind {
        Kind::Table(describe) => {
            let doc = describe();
            let parts = doc.fields.iter().map(|field| field.kind.clone()).collect();
            (Form::Table(doc), parts)
        }
        Kind::Choice(describe) | Kind::Law(describe) => {
            let doc = describe();
            let parts = doc.variants.iter().filter_map(|variant| variant.payload.clone()).collect();
            (Form::Choice(doc), parts)
        }
        Kind::List(inner) | Kind::Named(inner) => return describe(inner, heading, entries),
        Kind::Pair(first, second) | Kind::Either(first, second) => {
            describe(first, None, entries);
            return describe(second, heading, entries);
        }
        _ => return,
    };
    if entries.iter().any(|entry| entry.form.name() == form.name()) {
        return;
    }
    let heading = heading.unwrap_or_else(|| form.name().to_string());
    entries.push(Entry { heading, form });
    for part in parts {
        describe(&part, None, entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_defines_all_that_it_refers_to() {
        let schema = schema();
        let text = schema.to_string();
        let definitions = schema["$defs"].as_object().expect("definitions");
        for part in text.split("\"#/$defs/").skip(1) {
            let name = part.split('"').next().unwrap_or("");
            assert!(definitions.get(name).is_some_and(|it| it.is_object()), "{name}");
        }
        assert_eq!(schema["required"], json!(["version"]));
        assert_eq!(schema["$defs"]["Pool"]["properties"]["size"]["minimum"], json!(1));
        assert_eq!(schema["$defs"]["Pool"]["required"], json!(["service", "database"]));
    }

    #[test]
    fn every_default_is_valid_and_says_where_it_comes_from() {
        for entry in reference() {
            let Form::Table(doc) = entry.form else { continue };
            for field in doc.fields {
                assert!(!field.doc.is_empty(), "{}.{}", doc.name, field.key);
                if let (Some(value), false) = (field.default, field.optional) {
                    assert_ne!(plain(value), Value::Null, "{}.{}", doc.name, field.key);
                    assert!(field.source.is_some_and(|source| source.len() > 3));
                }
            }
        }
    }

    #[test]
    fn the_manual_has_every_section() {
        let headings: Vec<String> = reference().into_iter().map(|entry| entry.heading).collect();
        for section in super::super::names::Section::ALL {
            assert!(headings.contains(&format!("[{section}.NAME]")), "{section} in {headings:?}");
        }
    }
}
