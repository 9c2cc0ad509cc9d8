//! Stories as data: what `trace --json` prints, and its schema.

use serde_json::{Value, json};

use super::Told;
use super::words::{Line, lines};

/// The stories, the slowest first.
pub fn stories_to_json(stories: &[Told<'_>]) -> Value {
    let first = stories.first();
    json!({
        "title": first.map(|it| it.model.title.as_str()),
        "seed": first.map(|it| it.model.plan.seed),
        "replication": first.map(|it| it.replication),
        "stories": stories.iter().map(story).collect::<Vec<_>>(),
    })
}

fn story(told: &Told<'_>) -> Value {
    let story = told.story;
    let end = story.end.as_ref();
    let status = end.map(|end| match (end.failure, end.status) {
        (None, _) => 200,
        (Some(why), 0) => why.status(),
        (Some(_), status) => status,
    });
    json!({
        "request": story.number,
        "operation": told.operation(),
        "user": story.user,
        "attempts": story.threads.iter().filter(|it| it.parent.is_none()).count(),
        "intended_s": story.intended.seconds(),
        "latency_s": end.map(|end| end.at.since(story.intended).seconds()),
        "failure": end.and_then(|end| end.failure).map(|why| why.slug()),
        "status": status.filter(|it| *it != 0),
        "lines": lines(told).iter().map(|it| line(told, it)).collect::<Vec<_>>(),
    })
}

fn line(told: &Told<'_>, line: &Line) -> Value {
    json!({
        "after_s": line.at.since(told.story.intended.min(line.at)).seconds(),
        "took_s": line.took.seconds(),
        "component": line.place,
        "what": line.text,
        "awaited": line.counts,
    })
}

/// The JSON Schema of [`stories_to_json`].
pub fn stories_schema() -> Value {
    let of = |kind: &str, what: &str| json!({ "type": kind, "description": what });
    let or_null = |kind: &str, what: &str| json!({ "type": [kind, "null"], "description": what });
    let exact = |properties: Value| {
        let names: Vec<String> =
            properties.as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default();
        json!({
            "type": "object", "properties": properties, "required": names,
            "additionalProperties": false,
        })
    };
    let line = exact(json!({
        "after_s": of("number", "Since the instant in which the user wanted it (s)."),
        "took_s": of("number", "How long it lasted (s); 0 for what takes no time."),
        "component": of("string", "Where, as a path: `pool.pg`."),
        "what": of("string", "What happened, and behind whom it waited, in words."),
        "awaited": of("boolean", "The user waits for it."),
    }));
    let story = exact(json!({
        "request": of("integer", "Its number, as `--request` takes it."),
        "operation": of("string", "What was wanted."),
        "user": of("integer", "By whom."),
        "attempts": of("integer", "How often it was sent."),
        "intended_s": of("number", "When it was wanted, from the start of the run (s)."),
        "latency_s": or_null("number", "Until its end (s); null if the run ended first."),
        "failure": or_null("string", "Why it failed, if it did."),
        "status": or_null("integer", "The status of its answer, if it had one."),
        "lines": { "type": "array", "items": line, "description": "What happened, in order." },
    }));
    let mut schema = exact(json!({
        "title": of("string", "The title of the topology."),
        "seed": of("integer", "The seed of all random numbers."),
        "replication": of("integer", "Of which replication."),
        "stories": { "type": "array", "items": story, "description": "The requests that were asked for." },
    }));
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("What `trace --json` prints");
    schema
}
