//! Trips as Chrome trace events ("Trace Event Format", complete events), which Perfetto opens.
//!
//! One track a request; what happens beside it has a track of its own below.

use serde_json::{Value, json};

use super::Told;
use super::spans::{Trip, trip};
use crate::units::Time;

/// The track of the first request. A track with the number of its process would be taken for the
/// main thread of a program.
const FIRST: usize = 2;

/// All stories as one file.
pub fn chrome(stories: &[Told<'_>]) -> Value {
    let mut events = Vec::new();
    let title = stories.first().map_or("", |told| told.model.title.as_str());
    events.push(meta("process_name", 1, &format!("loadbearing: {title}")));
    let mut track = FIRST;
    for told in stories {
        let Trip { spans, lanes } = trip(told);
        for (lane, name) in lanes.iter().enumerate() {
            events.push(meta("thread_name", track + lane, name));
        }
        for span in &spans {
            let mut notes = serde_json::Map::new();
            notes.insert("component".into(), json!(span.component));
            notes.extend(span.notes.iter().map(|(key, value)| (key.to_string(), json!(value))));
            let (from, to) = (nanoseconds(span.from), nanoseconds(span.to));
            events.push(json!({
                "ph": "X",
                "pid": 1,
                "tid": track + span.lane,
                "name": format!("{} {}", span.component, span.name),
                "cat": if span.failed { "failed" } else { "ok" },
                "ts": microseconds(from),
                "dur": microseconds(to - from),
                "args": notes,
            }));
        }
        track += lanes.len();
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ms" })
}

fn meta(what: &str, track: usize, name: &str) -> Value {
    json!({ "ph": "M", "pid": 1, "tid": track, "name": what, "args": { "name": name } })
}

/// Whole nanoseconds, rounded down: spans stay within one another.
fn nanoseconds(at: Time) -> u64 {
    at.0 / 1_000
}

/// Microseconds with three decimals, as the format has them.
fn microseconds(nanoseconds: u64) -> Value {
    json!(nanoseconds as f64 / 1_000.0)
}
