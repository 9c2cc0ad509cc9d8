//! Is the story of a request the story of that request? What it says beside what the run measures,
//! the same trip word by word, and exports that keep to their formats.

#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use loadbearing::model::{Model, compile};
use loadbearing::report::Style;
use loadbearing::report::story::{Told, Trip, chrome, otlp, told, trip};
use loadbearing::run::story::{Story, Wanted, tell};
use loadbearing::run::{Role, Unwatched, replicate};
use loadbearing::topology::load;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn model(path: &str) -> Model {
    let mut read = |path: &str| {
        fs::read_to_string(Path::new(ROOT).join(path)).map_err(|error| error.to_string())
    };
    let loaded = load(path, &[], &mut read);
    compile(&loaded.topology.unwrap_or_else(|| panic!("{path} is not sound")))
}

/// Small deployments that use many kinds of component.
fn examples() -> Vec<String> {
    let mut found =
        vec!["tests/topologies/pressure.toml".into(), "tests/topologies/spread.toml".into()];
    let folder = Path::new(ROOT).join("topologies/components");
    for entry in fs::read_dir(folder).expect("readable") {
        let name = entry.expect("readable").file_name().into_string().expect("plain names");
        if name.ends_with(".toml") {
            found.push(format!("topologies/components/{name}"));
        }
    }
    found.sort();
    found
}

const SLOWEST: Wanted = Wanted::Slowest { count: 2, failed: false, operation: None };
const FAILED: Wanted = Wanted::Slowest { count: 2, failed: true, operation: None };

/// A run that is short enough to be done several times.
fn short(path: &str) -> Model {
    let mut model = model(path);
    model.plan.max_events = 60_000;
    model
}

#[test]
fn stories_are_told_as_they_were() {
    let golden = [
        ("tests/topologies/pressure.toml", FAILED, "pressure"),
        ("topologies/components/database-hot-row.toml", SLOWEST, "hot-row"),
    ];
    for (path, wanted, name) in golden {
        let model = model(path);
        let stories = tell(&model, 0, wanted, &mut Unwatched);
        let tell_one =
            |story: &Story| told(&Told { model: &model, replication: 0, story }, Style::Plain);
        let text: Vec<String> = stories.iter().map(tell_one).collect();
        let text = text.join("\n\n");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let file = Path::new(ROOT).join(format!("tests/stories/{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &text).expect("writable");
        }
        assert_eq!(text, fs::read_to_string(&file).unwrap_or_default(), "{name}");
    }
}

#[test]
fn the_slowest_request_is_the_one_that_the_run_has_measured() {
    for path in ["tests/topologies/pressure.toml", "topologies/components/limiter.toml"] {
        let mut model = model(path);
        model.plan.keep_fates = true;
        let outcome = replicate(&model, 0, &mut Unwatched);
        let start = loadbearing::units::Time::ZERO + model.plan.warmup;
        let ended = outcome.fates.iter().filter(|fate| fate.intended + fate.latency > start);
        let slowest = ended.max_by_key(|fate| (fate.latency, std::cmp::Reverse(fate.intended)));
        let slowest = slowest.expect("somebody came");
        let story = &tell(&model, 0, SLOWEST, &mut Unwatched)[0];
        let end = story.end.expect("it has ended");
        assert_eq!(end.at.since(story.intended), slowest.latency, "{path}");
        assert_eq!((story.number, end.failure), (slowest.number, slowest.failure), "{path}");
        // Asked for by its number it is the same story.
        let again = tell(&model, 0, Wanted::Number(story.number), &mut Unwatched);
        assert_eq!(again[0].moments, story.moments, "{path}");
    }
}

/// Time spent in a story's only thread, if it has no other: it must fill its latency to the tick.
fn accounted(trip: &Trip) -> u64 {
    let is_parent = |at: usize| trip.spans.iter().any(|span| span.parent == Some(at));
    let leaves = trip.spans.iter().enumerate().filter(|(at, _)| !is_parent(*at));
    leaves.map(|(_, span)| span.to.since(span.from).0).sum()
}

#[test]
fn spans_lie_within_one_another_and_leave_no_time_unaccounted_for() {
    let mut filled = 0;
    for path in examples() {
        let model = short(&path);
        let wanted = [SLOWEST, FAILED];
        let stories = wanted.map(|it| tell(&model, 0, it, &mut Unwatched)).concat();
        for story in &stories {
            let trip = trip(&Told { model: &model, replication: 0, story });
            check_nesting(&trip, &path);
            let end = story.end.expect("what was slow has ended").at;
            let alone = story.threads.iter().any(|thread| thread.alone.is_some());
            let branched = story.threads.iter().any(|thread| thread.role != Role::Attempt);
            if !alone && !branched {
                filled += 1;
                let whole = end.since(story.intended).0;
                assert_eq!(accounted(&trip), whole, "{path}: request {}", story.number);
            }
        }
    }
    assert!(filled >= 30, "only {filled} stories were simple enough to be summed up");
}

fn check_nesting(trip: &Trip, path: &str) {
    for (at, span) in trip.spans.iter().enumerate() {
        assert!(span.from <= span.to, "{path}: {span:?}");
        assert!(span.lane < trip.lanes.len(), "{path}: {span:?}");
        let Some(parent) = span.parent else { continue };
        assert!(parent < at, "{path}: parents come first");
        let parent = &trip.spans[parent];
        assert!(parent.from <= span.from && span.to <= parent.to, "{path}: {span:?} in {parent:?}");
    }
    // Any two spans of a lane lie beside or within one another.
    for (at, one) in trip.spans.iter().enumerate() {
        for other in trip.spans[..at].iter().filter(|other| other.lane == one.lane) {
            let beside = one.to <= other.from || other.to <= one.from;
            let within = |a: &loadbearing::report::story::Span,
                          b: &loadbearing::report::story::Span| {
                b.from <= a.from && a.to <= b.to
            };
            assert!(
                beside || within(one, other) || within(other, one),
                "{path}: {one:?} cuts {other:?}"
            );
        }
    }
}

#[test]
fn otlp_has_valid_ids_and_times() {
    let model = model("tests/topologies/pressure.toml");
    let stories = tell(&model, 0, FAILED, &mut Unwatched);
    let all: Vec<Told<'_>> =
        stories.iter().map(|story| Told { model: &model, replication: 0, story }).collect();
    let json = otlp(&all);
    let resources = json["resourceSpans"].as_array().expect("resources");
    let mut spans: BTreeMap<String, Value> = BTreeMap::new();
    for resource in resources {
        let name = &resource["resource"]["attributes"][0];
        assert_eq!(name["key"], "service.name");
        assert!(name["value"]["stringValue"].as_str().is_some_and(|it| !it.is_empty()));
        for span in resource["scopeSpans"][0]["spans"].as_array().expect("spans") {
            let id = span["spanId"].as_str().expect("text").to_string();
            assert!(spans.insert(id, span.clone()).is_none(), "ids are unique");
        }
    }
    let hex = |value: &Value, length: usize| {
        let text = value.as_str().expect("text");
        text.len() == length
            && text.bytes().all(|it| it.is_ascii_hexdigit() && !it.is_ascii_uppercase())
            && text.bytes().any(|it| it != b'0')
    };
    let nanos = |span: &Value, key: &str| -> u64 {
        span[key].as_str().expect("a string, as the mapping wants").parse().expect("a number")
    };
    let mut roots = 0;
    for span in spans.values() {
        assert!(hex(&span["traceId"], 32) && hex(&span["spanId"], 16), "{span}");
        assert!(nanos(span, "startTimeUnixNano") <= nanos(span, "endTimeUnixNano"));
        let Some(parent) = span.get("parentSpanId") else {
            roots += 1;
            continue;
        };
        let parent = &spans[parent.as_str().expect("text")];
        assert_eq!(parent["traceId"], span["traceId"]);
        assert!(nanos(parent, "startTimeUnixNano") <= nanos(span, "startTimeUnixNano"));
        assert!(nanos(span, "endTimeUnixNano") <= nanos(parent, "endTimeUnixNano"));
    }
    assert!(roots >= 2 && spans.len() > 20);
    let traces: std::collections::BTreeSet<&str> =
        spans.values().filter_map(|span| span["traceId"].as_str()).collect();
    assert_eq!(traces.len(), 2, "a trace for each request");
    let short: std::collections::BTreeSet<&str> = traces.iter().map(|it| &it[..7]).collect();
    assert_eq!(short.len(), 2, "viewers show the first digits: {traces:?}");
}

/// The fields of a message of opentelemetry-proto 1 in its JSON mapping.
const OTLP: [(&str, &[&str]); 9] = [
    ("TracesData", &["resourceSpans"]),
    ("ResourceSpans", &["resource", "scopeSpans", "schemaUrl"]),
    ("Resource", &["attributes", "droppedAttributesCount", "entityRefs"]),
    ("ScopeSpans", &["scope", "spans", "schemaUrl"]),
    ("InstrumentationScope", &["name", "version", "attributes", "droppedAttributesCount"]),
    (
        "Span",
        &[
            "traceId",
            "spanId",
            "traceState",
            "parentSpanId",
            "flags",
            "name",
            "kind",
            "startTimeUnixNano",
            "endTimeUnixNano",
            "attributes",
            "droppedAttributesCount",
            "events",
            "droppedEventsCount",
            "links",
            "droppedLinksCount",
            "status",
        ],
    ),
    ("Status", &["message", "code"]),
    ("KeyValue", &["key", "value"]),
    (
        "AnyValue",
        &[
            "stringValue",
            "boolValue",
            "intValue",
            "doubleValue",
            "arrayValue",
            "kvlistValue",
            "bytesValue",
        ],
    ),
];

/// Fields of a value that its message has not.
fn unknown(value: &Value, message: &str) -> Vec<String> {
    let Some(object) = value.as_object() else { return vec![format!("{message}: {value}")] };
    let known = OTLP.iter().find(|(name, _)| *name == message).expect("a message").1;
    let mut found: Vec<String> = object
        .keys()
        .filter(|key| !known.contains(&key.as_str()))
        .map(|key| format!("{message}.{key}"))
        .collect();
    let within = [
        ("resourceSpans", "ResourceSpans"),
        ("resource", "Resource"),
        ("scopeSpans", "ScopeSpans"),
        ("scope", "InstrumentationScope"),
        ("spans", "Span"),
        ("attributes", "KeyValue"),
        ("status", "Status"),
        ("value", "AnyValue"),
    ];
    for (key, message) in within {
        match object.get(key) {
            Some(Value::Array(many)) => {
                found.extend(many.iter().flat_map(|it| unknown(it, message)))
            }
            Some(one) => found.extend(unknown(one, message)),
            None => {}
        }
    }
    found
}

#[test]
fn otlp_is_the_json_of_its_messages() {
    let model = model("tests/topologies/pressure.toml");
    let stories = [SLOWEST, FAILED].map(|it| tell(&model, 0, it, &mut Unwatched)).concat();
    let all: Vec<Told<'_>> =
        stories.iter().map(|story| Told { model: &model, replication: 0, story }).collect();
    let json = otlp(&all);
    assert_eq!(unknown(&json, "TracesData"), [""; 0]);
    let mut planted = json.clone();
    planted["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["trace_id"] = "00".into();
    assert_eq!(unknown(&planted, "TracesData"), ["Span.trace_id"], "the mapping has camelCase");
    let resources = json["resourceSpans"].as_array().expect("resources");
    let spans = resources.iter().flat_map(|it| it["scopeSpans"][0]["spans"].as_array());
    let (mut failed, mut seen) = (0, 0);
    for span in spans.flatten() {
        // SPAN_KIND_INTERNAL to CONSUMER and STATUS_CODE_UNSET to ERROR, as numbers.
        assert!(span["kind"].as_u64().is_some_and(|kind| (1..=5).contains(&kind)), "{span}");
        let code = span["status"]["code"].as_u64().expect("a number");
        assert!(code <= 2 && span["name"].as_str().is_some_and(|it| !it.is_empty()), "{span}");
        failed += usize::from(code == 2);
        seen += 1;
        let mut keys = Vec::new();
        for attribute in span["attributes"].as_array().expect("attributes") {
            assert_eq!(attribute["value"].as_object().map(|it| it.len()), Some(1), "a oneof");
            keys.push(attribute["key"].as_str().expect("text"));
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "keys are unique: {span}");
    }
    assert!(failed >= 2 && failed < seen, "{failed} of {seen} spans failed");
}

#[test]
fn chrome_events_are_complete() {
    let model = model("tests/topologies/pressure.toml");
    let stories = [SLOWEST, FAILED].map(|it| tell(&model, 0, it, &mut Unwatched)).concat();
    let all: Vec<Told<'_>> =
        stories.iter().map(|story| Told { model: &model, replication: 0, story }).collect();
    let json = chrome(&all);
    let events = json["traceEvents"].as_array().expect("events");
    let named: Vec<&Value> =
        events.iter().filter(|it| it["name"] == "thread_name").map(|it| &it["tid"]).collect();
    let mut complete = 0;
    for event in events {
        assert!(event["pid"].is_u64() && event["tid"].is_u64() && event["args"].is_object());
        match event["ph"].as_str() {
            // A name of a process or a track.
            Some("M") => assert!(event["args"]["name"].is_string(), "{event}"),
            Some("X") => {
                let at_least_zero = |key: &str| event[key].as_f64().is_some_and(|it| it >= 0.0);
                assert!(at_least_zero("ts") && at_least_zero("dur"), "{event}");
                assert!(event["name"].is_string() && event["cat"].is_string(), "{event}");
                assert!(named.contains(&&event["tid"]), "a track without a name: {event}");
                complete += 1;
            }
            other => panic!("{other:?} is no phase of ours"),
        }
    }
    assert!(complete > 20 && json["displayTimeUnit"] == "ms");
}

#[test]
fn chrome_has_a_track_for_each_request() {
    let model = model("tests/topologies/pressure.toml");
    let stories = tell(&model, 0, SLOWEST, &mut Unwatched);
    let all: Vec<Told<'_>> =
        stories.iter().map(|story| Told { model: &model, replication: 0, story }).collect();
    let json = chrome(&all);
    let events = json["traceEvents"].as_array().expect("events");
    for story in &stories {
        let name = format!("request {} (", story.number);
        let tracks = events.iter().filter(|event| {
            event["name"] == "thread_name"
                && event["args"]["name"].as_str().is_some_and(|it| it.starts_with(&name))
        });
        assert_eq!(tracks.count(), 1);
    }
    // In whole nanoseconds: within a track everything is nested.
    let mut tracks: BTreeMap<i64, Vec<(u64, u64)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let nanos = |key: &str| (event[key].as_f64().expect("a number") * 1e3 + 0.5) as u64;
        let track = event["tid"].as_i64().expect("a track");
        tracks.entry(track).or_default().push((nanos("ts"), nanos("ts") + nanos("dur")));
    }
    for spans in tracks.values() {
        for (at, one) in spans.iter().enumerate() {
            for other in &spans[..at] {
                let beside = one.1 <= other.0 || other.1 <= one.0;
                let within = one.0 >= other.0 && one.1 <= other.1;
                let around = one.0 <= other.0 && one.1 >= other.1;
                assert!(beside || within || around, "{one:?} cuts {other:?}");
            }
        }
    }
}
