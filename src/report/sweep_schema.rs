//! The JSON Schema of what `sweep --json` prints.

use serde_json::{Map, Value, json};

/// An object of which every property is there, but for those that may be left out.
fn exact(what: &str, properties: &[(&str, Value)], optional: &[&str]) -> Value {
    let required = properties.iter().map(|(name, _)| *name).filter(|it| !optional.contains(it));
    let required: Vec<&str> = required.collect();
    let all: Map<String, Value> =
        properties.iter().map(|(name, of)| (name.to_string(), of.clone())).collect();
    json!({
        "type": "object", "description": what, "properties": all, "required": required,
        "additionalProperties": false,
    })
}

fn text(what: &str) -> Value {
    json!({ "type": "string", "description": what })
}
fn maybe_text(what: &str) -> Value {
    json!({ "type": ["string", "null"], "description": what })
}
fn number(what: &str) -> Value {
    json!({ "type": "number", "description": what })
}
fn maybe(what: &str) -> Value {
    json!({ "type": ["number", "null"], "description": what })
}
fn count(what: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": what })
}
fn flag(what: &str) -> Value {
    json!({ "type": "boolean", "description": what })
}
fn list(items: Value, what: &str) -> Value {
    json!({ "type": "array", "items": items, "description": what })
}
fn named(values: Value, what: &str) -> Value {
    json!({ "type": "object", "additionalProperties": values, "description": what })
}
fn estimate(what: &str) -> Value {
    json!({ "$ref": "#/$defs/estimate", "description": what })
}
fn or_null(of: Value) -> Value {
    json!({ "oneOf": [of, { "type": "null" }] })
}

fn point() -> Value {
    let level = exact(
        "One.",
        &[
            ("text", text("As tables show it.")),
            ("number", maybe("The number in it, if there is one.")),
        ],
        &[],
    );
    let difference = exact(
        "One.",
        &[
            ("difference", estimate("By pairs of replications, in the unit of the output.")),
            ("p_value", number("How likely it is by chance if there is none (Student's t).")),
            ("differs", flag("It is there, all points taken together (Holm).")),
        ],
        &[],
    );
    let objective = exact(
        "One.",
        &[
            ("objective", text("As it was written.")),
            ("value", estimate("What it bounds, in SI units.")),
            ("met", flag("The estimate keeps the bound.")),
            ("certain", flag("The whole interval is on one side of it.")),
        ],
        &[],
    );
    exact(
        "One.",
        &[
            ("levels", named(level, "The value of each axis, by its name.")),
            ("topology", text("The topology file.")),
            ("settings", list(text("`path=value`"), "The settings over it.")),
            ("model", text("The digest of the model.")),
            ("replications", count("Runs.")),
            ("grows", count("Of these, runs in which something grows without end.")),
            ("collapse_ratio", or_null(estimate("Probability to collapse (Clopper, Pearson)."))),
            ("estimates", named(estimate("One."), "Those of each output, by its name.")),
            ("differences_from_baseline", named(difference, "Those of each output.")),
            ("objectives", list(objective, "All that are in force.")),
        ],
        &[],
    )
}

/// The JSON Schema (2020-12) of what `sweep --json` prints.
pub fn sweep_schema() -> Value {
    let axis =
        exact("One.", &[("name", text("Its name.")), ("meaning", text("What is varied."))], &[]);
    let output = exact(
        "One.",
        &[
            ("name", text("Its name, with its unit at its end.")),
            ("unit", text("s, 1/s, ratio, count or $ (a month).")),
            ("meaning", text("What it is.")),
        ],
        &[],
    );
    let rank = exact(
        "Which points may be the best.",
        &[
            ("output", text("By which output.")),
            ("prefer", text("smallest or largest.")),
            ("order", list(count("The number of a point."), "The best estimate first.")),
            ("possibly_best", list(count("One."), "With the confidence of the experiment.")),
        ],
        &[],
    );
    let sensitivity = exact(
        "What an axis does to an output: by Morris's walks or by Sobol's indices.",
        &[
            ("output", text("The output.")),
            ("axis", text("The axis.")),
            ("effect_mean", number("Mean effect over the whole axis, in the output's unit.")),
            ("effect_size", number("The mean of its size.")),
            ("effect_deviation", number("Its standard deviation.")),
            ("first", estimate("Share of the variance that the axis explains alone.")),
            ("total", estimate("The same with its interactions.")),
        ],
        &["effect_mean", "effect_size", "effect_deviation", "first", "total"],
    );
    let mut whole = exact(
        "What `loadbearing sweep --json` prints.",
        &[
            ("name", text("The name of the experiment file, without its ending.")),
            ("title", maybe_text("The experiment's title.")),
            ("question", maybe_text("What it asks.")),
            ("version", text("The version of the program.")),
            ("results_version", count("Changes when the same files and seed give other numbers.")),
            ("confidence", number("Confidence of the intervals, 0 to 1.")),
            ("axes", list(axis, "What is varied.")),
            ("outputs", list(output, "What was measured.")),
            ("points", list(point(), "All of them, in the order of the design.")),
            ("baseline", count("The point that the others are compared with.")),
            ("rank", or_null(rank)),
            ("sensitivities", list(sensitivity, "If the design tells.")),
            ("answers", list(text("A sentence."), "The answer in words.")),
            ("runs", count("Runs behind it.")),
            ("digest", text("Of every request of every run.")),
        ],
        &[],
    );
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["title"] = json!("Loadbearing sweep");
    whole["$defs"] = json!({ "estimate": crate::result::schema()["$defs"]["estimate"] });
    whole
}
