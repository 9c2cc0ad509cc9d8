//! Whether a value is as a JSON Schema says, as far as our schemas go.

use serde_json::Value;

/// What of a value is not as the schema says; the keywords that our schemas use.
pub fn validate(value: &Value, schema: &Value, root: &Value, at: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(reference.trim_start_matches('#')).expect("a definition");
        faults.extend(validate(value, target, root, at));
    }
    if let Some(forms) = schema.get("oneOf").and_then(Value::as_array) {
        let fits = forms.iter().filter(|form| validate(value, form, root, at).is_empty()).count();
        if fits != 1 {
            faults.push(format!("{at}: fits {fits} of its forms"));
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|name| is_of_type(value, name)) {
        faults.push(format!("{at}: {value} is none of {types:?}"));
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (index, value) in values.iter().enumerate() {
            faults.extend(validate(value, items, root, &format!("{at}[{index}]")));
        }
    }
    let Some(object) = value.as_object() else { return faults };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            faults.push(format!("{at}: no `{name}`"));
        }
    }
    for (name, value) in object {
        let known = schema.get("properties").and_then(|properties| properties.get(name));
        match (known, schema.get("additionalProperties")) {
            (Some(inner), _) | (None, Some(inner @ Value::Object(_))) => {
                faults.extend(validate(value, inner, root, &format!("{at}.{name}")));
            }
            (None, Some(Value::Bool(false))) => faults.push(format!("{at}: `{name}` is unknown")),
            _ => {}
        }
    }
    faults
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        _ => false,
    }
}
