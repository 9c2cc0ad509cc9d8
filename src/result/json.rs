//! The JSON result and its schema, both from the same descriptions of metrics.

use serde_json::{Map, Value, json};

use super::metric::{self, Fold, Metric};
use super::{Difference, Measure, RESULTS_VERSION, Subject, Summary};

impl Summary {
    /// The whole result as one object; [`schema`] describes it.
    pub fn to_json(&self) -> Value {
        let mut object = of_measures(&self.overall);
        if object["requests"].get("failed").is_none() {
            object["requests"]["failed"] = json!({});
        }
        let named = |subjects: &[Subject]| {
            let one = |subject: &Subject| {
                let mut object = of_measures(subject);
                object.insert("kind".into(), json!(subject.kind));
                (subject.path.clone(), Value::Object(object))
            };
            Value::Object(subjects.iter().map(one).collect())
        };
        object.insert("title".into(), json!(self.title));
        object.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
        object.insert("results_version".into(), json!(RESULTS_VERSION));
        object.insert("seed".into(), json!(self.seed));
        object.insert("replications".into(), json!(self.replications.len()));
        object.insert("confidence".into(), json!(self.confidence));
        object.insert("warmup_s".into(), json!(self.warmup.seconds()));
        object.insert("duration_s".into(), json!(self.duration.seconds()));
        object.insert("events".into(), json!(self.events));
        object.insert("operations".into(), named(&self.operations));
        object.insert("components".into(), named(&self.components));
        object.insert("attribution".into(), json!(self.attribution));
        object.insert("load_rate_per_s".into(), json!(self.saturation.load_rate_per_s));
        object.insert("load_users".into(), json!(self.saturation.load_users));
        object.insert("saturation".into(), json!(self.saturation.order));
        object.insert("faults".into(), json!(self.faults));
        object.insert("closed_forms".into(), json!(self.closed_forms));
        object.insert("monitors".into(), json!(self.monitors));
        object.insert("costs".into(), json!(self.costs));
        object.insert("objectives".into(), json!(self.verdicts));
        object.insert("objectives_met".into(), json!(self.is_met()));
        let audit = json!({
            "ok": self.broken.is_empty(), "checks": self.checks, "broken": self.broken,
        });
        object.insert("audit".into(), audit);
        object.insert("warnings".into(), json!(self.warnings));
        object.insert("digest".into(), json!(self.digest_text()));
        Value::Object(object)
    }
}

/// A comparison as one object: every result by its name, and the differences from the first.
pub fn comparison_to_json(
    results: &[(&str, &Summary)],
    differences: &[(&str, Vec<Difference>)],
) -> Value {
    let results = results.iter().map(|(name, summary)| {
        let mut object = summary.to_json();
        object["name"] = json!(name);
        object
    });
    let differences = differences.iter().map(|(name, list)| {
        let metrics = list.iter().map(|it| (it.metric.clone(), json!(it))).collect();
        json!({ "name": name, "metrics": Value::Object(metrics) })
    });
    json!({
        "results": results.collect::<Vec<Value>>(),
        "differences_from_first": differences.collect::<Vec<Value>>(),
    })
}

fn of_measures(subject: &Subject) -> Map<String, Value> {
    let mut object = Map::new();
    for measure in &subject.measures {
        insert(&mut object, &measure.metric.path, of_measure(measure));
    }
    object
}

fn of_measure(measure: &Measure) -> Value {
    match (measure.metric.fold, measure.estimate.estimate) {
        // Sums of counts: whole numbers, and written so.
        (Fold::Total, Some(count)) => json!(count as u64),
        (Fold::Greatest, Some(greatest)) => json!(greatest),
        _ => json!(measure.estimate),
    }
}

/// Puts a value where a path says: `latency_s.p95` into the object `latency_s`.
fn insert(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.into(), value);
        }
        Some((head, rest)) => {
            let inner = object.entry(head).or_insert_with(|| json!({}));
            let inner =
                inner.as_object_mut().expect("no metric's path is the beginning of another");
            insert(inner, rest, value);
        }
    }
}

/// The JSON Schema (2020-12) of what `run --json` prints, and under `$defs` of `compare --json`.
pub fn schema() -> Value {
    let mut properties = properties_of(&metric::overall());
    properties.extend(fixed_properties());
    // A metric that nothing was measured of is left out; what is always there is required.
    let always = [
        "title",
        "version",
        "results_version",
        "seed",
        "replications",
        "confidence",
        "warmup_s",
        "duration_s",
        "events",
        "requests",
        "throughput_per_s",
        "offered_per_s",
        "operations",
        "components",
        "attribution",
        "load_rate_per_s",
        "load_users",
        "saturation",
        "faults",
        "closed_forms",
        "cost_month",
        "costs",
        "monitors",
        "objectives",
        "objectives_met",
        "audit",
        "warnings",
        "digest",
    ];
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Loadbearing result",
        "description": "What `loadbearing run --json` prints. Names end in their unit. \
            `loadbearing compare --json` prints `$defs/comparison`.",
        "type": "object",
        "properties": properties,
        "required": always,
        "additionalProperties": false,
        "$defs": {
            "estimate": estimate_schema(),
            "operation": subject_schema(&metric::operation(), "What was measured of an operation."),
            "component": subject_schema(&metric::component(), "What was measured of a component."),
            "reached": reached_schema(),
            "comparison": comparison_schema(),
        },
    })
}

fn subject_schema(metrics: &[Metric], description: &str) -> Value {
    let mut properties = properties_of(metrics);
    properties.insert("kind".into(), json!({ "type": "string", "description": "Its kind." }));
    json!({
        "type": "object", "description": description, "properties": properties,
        "required": ["kind"], "additionalProperties": false,
    })
}

fn properties_of(metrics: &[Metric]) -> Map<String, Value> {
    let mut properties = Map::new();
    for metric in metrics {
        let described = format!("{} [{}]", metric.meaning, metric.unit.symbol());
        let leaf = match metric.fold {
            Fold::Total => json!({ "type": "integer", "minimum": 0, "description": described }),
            Fold::Greatest => json!({ "type": "number", "description": described }),
            Fold::Mean => json!({ "$ref": "#/$defs/estimate", "description": described }),
        };
        insert_property(&mut properties, &metric.path, leaf);
    }
    properties
}

fn insert_property(properties: &mut Map<String, Value>, path: &str, leaf: Value) {
    let Some((head, rest)) = path.split_once('.') else {
        properties.insert(path.into(), leaf);
        return;
    };
    let inner = properties.entry(head).or_insert_with(
        || json!({ "type": "object", "properties": {}, "additionalProperties": false }),
    );
    let inner = inner["properties"].as_object_mut().expect("made with properties above");
    insert_property(inner, rest, leaf);
}

fn estimate_schema() -> Value {
    let number = |what: &str| json!({ "type": ["number", "null"], "description": what });
    json!({
        "type": "object",
        "description": "An estimate with its interval over replications, at `confidence`.",
        "properties": {
            "estimate": number("The best single value."),
            "low": number("Lower end; null where replications are too few for an interval."),
            "high": number("Upper end; null where replications are too few for an interval."),
        },
        "required": ["estimate", "low", "high"],
        "additionalProperties": false,
    })
}

/// An object whose every property is required.
fn exact_object(description: &str, properties: Value) -> Value {
    let names: Vec<&String> =
        properties.as_object().map(|object| object.keys().collect()).unwrap_or_default();
    json!({
        "type": "object", "description": description, "required": names,
        "properties": properties, "additionalProperties": false,
    })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}
fn number(description: &str) -> Value {
    json!({ "type": "number", "description": description })
}
fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}
fn count(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": description })
}
fn list(description: &str, items: Value) -> Value {
    json!({ "type": "array", "description": description, "items": items })
}

fn reached_schema() -> Value {
    exact_object(
        "A value for each share of capacity.",
        json!({
            "at_75": number("At 75 % of capacity."),
            "at_85": number("At 85 % of capacity."),
            "at_95": number("At 95 % of capacity."),
            "at_100": number("At capacity."),
        }),
    )
}

fn fixed_properties() -> Map<String, Value> {
    let subjects = |what: &str, name: &str| {
        json!({
            "type": "object", "description": what,
            "additionalProperties": { "$ref": format!("#/$defs/{name}") },
        })
    };
    let properties = json!({
        "name": text("In a comparison: the name of the file."),
        "title": text("The topology's title."),
        "version": text("The version of the program."),
        "results_version": count("Changes when the same files and seed give other numbers."),
        "seed": count("The root of all random numbers."),
        "replications": count("Independent runs behind every estimate."),
        "confidence": number("Confidence of the intervals, 0 to 1."),
        "warmup_s": number("Time before anything is measured [s]."),
        "duration_s": number("Time measured in each replication [s]."),
        "events": count("Events of all replications."),
        "operations": subjects("By the name of the operation.", "operation"),
        "components": subjects("By the path of the component.", "component"),
        "attribution": attribution_schema(),
        "load_rate_per_s": number("Requests a second that the present load stands for [1/s]."),
        "load_users": {
            "type": ["number", "null"],
            "description": "Users that the present load stands for, of a closed population.",
        },
        "saturation": saturation_schema(),
        "faults": list("What went wrong by the scenario, and when DNS took a service for down.", exact_object("One.", json!({
            "replication": count("In which replication."),
            "name": text("Its name."),
            "what": text("What happened to what."),
            "from_s": number("Since when, from the start of the run."),
            "until_s": {
                "type": ["number", "null"],
                "description": "Until when; null if it lasted to the end of the run.",
            },
            "units": count("Instances, nodes or processes that it struck; of `dns`, users that went elsewhere."),
        }))),
        "closed_forms": list("What closed forms say beside it.", exact_object("One.", json!({
            "component": text("The component's path, or `all`."),
            "model": text("The model in Kendall's notation, or whose bounds these are."),
            "metric": text("The metric that both are values of."),
            "low": number("What the formula says; the lower end if it is a bound."),
            "high": {
                "type": ["number", "null"],
                "description": "The same; the upper end if it is a bound, null if there is none.",
            },
            "simulated": { "$ref": "#/$defs/estimate" },
        }))),
        "monitors": list("What products' own metrics would show.", exact_object("One.", json!({
            "name": text("Its name."),
            "what": text("`latency`, `oldest` or `lag` [s], `rate` or `evictions` [1/s], `bandwidth` [bit/s], `memory` \
                [bytes], `waiting`, `held`, `delayed` or `in_flight` [count], `busy`, `open`, `errors`, `hits`, \
                `memory_share` or `uptime` [ratio]."),
            "shown_mean": number("The mean of its values."),
            "shown_most": number("The greatest of them."),
            "true_mean": number("The true mean, or the true quantile."),
            "true_most": number("The greatest value of the timeline, or the true quantile."),
            "alarm": {
                "type": ["object", "null"],
                "description": "Calls and episodes beyond its bound in all replications, those missed, calls \
                    for nothing, and the mean time to the call [s].",
            },
            "budget": {
                "type": ["object", "null"],
                "description": "Of an uptime: what was promised, the time that it leaves for being \
                    down in 30 days, and what was used of it [s].",
            },
        }))),
        "costs": list("The bill.", exact_object("A line.", json!({
            "of": text("The component's path, or the name of a further cost."),
            "dollars_month": number("Dollars a month."),
            "source": { "type": ["string", "null"], "description": "Where the price is stated." },
        }))),
        "objectives": list("Whether the objectives are met.", exact_object("One.", json!({
            "objective": text("As the file says it."),
            "metric": text("The name of the bounded metric."),
            "value": { "$ref": "#/$defs/estimate" },
            "bound": number("The bound, in the metric's unit."),
            "met": flag("The estimate keeps the bound, and requests end as fast as they come."),
            "growing": flag("Requests come faster than they end: the value is of those that ended."),
            "certain": flag("The whole interval is on the same side of the bound."),
        }))),
        "objectives_met": flag("All objectives are met."),
        "audit": exact_object("The self-audit at the end of every replication.", json!({
            "ok": flag("Everything adds up."),
            "checks": count("Checks made."),
            "broken": list("What does not add up.", json!({ "type": "string" })),
        })),
        "warnings": list("What a reader must know.", exact_object("One.", json!({
            "slug": text("Its kind."),
            "message": text("One sentence."),
        }))),
        "digest": json!({
            "type": "string", "pattern": "^[0-9a-f]{16}$",
            "description": "A digest of every request of every replication.",
        }),
    });
    properties.as_object().cloned().unwrap_or_default()
}

fn attribution_schema() -> Value {
    let part = json!({
        "component": text("Its path."),
        "wait_mean_s": number("Waiting, over all requests [s]."),
        "service_mean_s": number("Being served, over all requests [s]."),
        "wait_slowest_s": number("Waiting, over the slowest 1 % [s]."),
        "service_slowest_s": number("Being served, over the slowest 1 % [s]."),
    });
    exact_object(
        "Where the time of requests goes.",
        json!({
            "requests": count("Requests whose path was measured."),
            "mean_s": number("Their mean time from the intended start to the end [s]."),
            "slowest_s": number("The same of the slowest 1 % of them [s]."),
            "parts": list("By component, the largest first.", exact_object("One.", part)),
        }),
    )
}

fn saturation_schema() -> Value {
    let mut bearing = exact_object(
        "How near a component is to its limit.",
        json!({
            "component": text("Its path."),
            "kind": text("Its kind."),
            "utilisation_ratio": number(
                "Busy over capacity now; for a guard, what it watches over its threshold."
            ),
            "imbalance_ratio": number("What its busiest node, shard, partition or member works over the mean: 1 is even."),
            "saturated_now": flag("At its limit now, or turning requests away."),
            "turned_away_ratio": number("Share of what comes to it that it turns away."),
            "load_factor": { "$ref": "#/$defs/reached" },
            "rate_per_s": { "$ref": "#/$defs/reached" },
            "users": {
                "oneOf": [{ "$ref": "#/$defs/reached" }, { "type": "null" }],
                "description": "Users at which it is reached, of a closed population.",
            },
        }),
    );
    let what = "Multiples of the present load at which each share of capacity is reached.";
    bearing["properties"]["load_factor"]["description"] = json!(what);
    list("What reaches its limit first as load grows, in order.", bearing)
}

fn comparison_schema() -> Value {
    let mut difference = exact_object(
        "A difference from the first design, on common random numbers.",
        json!({
            "metric": text("The metric's name."),
            "difference": { "$ref": "#/$defs/estimate" },
            "pairs": count("Pairs of replications."),
        }),
    );
    difference = json!({ "type": "object", "additionalProperties": difference });
    exact_object(
        "What `loadbearing compare --json` prints.",
        json!({
            "results": list("One result for each file, in order.", json!({ "$ref": "#" })),
            "differences_from_first": list("For each further file.", exact_object("One.", json!({
                "name": text("The name of the file."),
                "metrics": difference,
            }))),
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_place_in_the_schema() {
        let schema = schema();
        for (metrics, root) in [
            (metric::overall(), &schema),
            (metric::operation(), &schema["$defs"]["operation"]),
            (metric::component(), &schema["$defs"]["component"]),
        ] {
            for metric in metrics {
                let place = metric.path.split('.').fold(root, |at, name| &at["properties"][name]);
                let words = place["description"].as_str().expect("a description");
                assert!(words.contains(&metric.meaning), "{}: {words}", metric.path);
            }
        }
    }

    #[test]
    fn what_is_required_exists() {
        let schema = schema();
        for name in schema["required"].as_array().expect("a list") {
            let name = name.as_str().expect("a name");
            assert!(schema["properties"].get(name).is_some(), "{name}");
        }
    }
}
