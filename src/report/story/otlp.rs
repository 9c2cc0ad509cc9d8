//! Trips as OTLP JSON (OpenTelemetry protocol 1.x, the JSON mapping of `ExportTraceServiceRequest`).
//!
//! Ids are hexadecimal, times strings of nanoseconds. A run begins in simulated time at zero, which
//! trace viewers show as 1970; its spans are told as if it had begun with the year 2024 (UTC).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Told;
use super::spans::{Span, Trip, trip};
use crate::units::Time;

/// The first instant of 2024, UTC (s since 1970).
const BEGINNING_S: u64 = 1_704_067_200;

/// All stories as one export: a resource for each component, as viewers colour by it.
pub fn otlp(stories: &[Told<'_>]) -> Value {
    let mut by_component: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for told in stories {
        let Trip { spans, .. } = trip(told);
        let trace = [mix(told.model.plan.seed, told.replication, 0), mix(0, told.story.number, 1)];
        for (number, span) in spans.iter().enumerate() {
            let value = encode(span, number, trace);
            by_component.entry(span.component.clone()).or_default().push(value);
        }
    }
    let resources: Vec<Value> = by_component
        .into_iter()
        .map(|(component, spans)| {
            json!({
                "resource": { "attributes": [attribute("service.name", &component)] },
                "scopeSpans": [{
                    "scope": { "name": "loadbearing", "version": env!("CARGO_PKG_VERSION") },
                    "spans": spans,
                }],
            })
        })
        .collect();
    json!({ "resourceSpans": resources })
}

fn encode(span: &Span, number: usize, trace: [u64; 2]) -> Value {
    let id = |number: usize| format!("{:016x}", mix(trace[1], number as u32, 2));
    let mut notes: Vec<Value> = vec![attribute("component", &span.component)];
    notes.extend(span.notes.iter().map(|(key, value)| attribute(key, value)));
    let mut value = json!({
        // Viewers name a trace by its first few digits: the request's own come first.
        "traceId": format!("{:016x}{:016x}", trace[1], trace[0]),
        "spanId": id(number),
        "name": span.name,
        "kind": 1,
        "startTimeUnixNano": nanoseconds(span.from),
        "endTimeUnixNano": nanoseconds(span.to),
        "attributes": notes,
        "status": { "code": if span.failed { 2 } else { 0 } },
    });
    if let (true, Some((_, why))) = (span.failed, span.notes.iter().find(|it| it.0 == "failure")) {
        value["status"]["message"] = json!(why);
    }
    if let Some(parent) = span.parent {
        value["parentSpanId"] = json!(id(parent));
    }
    value
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// Whole nanoseconds since 1970, rounded down: spans stay within their parents.
fn nanoseconds(at: Time) -> String {
    (BEGINNING_S * 1_000_000_000 + at.0 / 1_000).to_string()
}

/// An identifier that is never zero, the same in every repetition.
fn mix(seed: u64, number: u32, purpose: u64) -> u64 {
    let mut value = seed ^ (u64::from(number) << 20) ^ purpose.rotate_left(60);
    for _ in 0..2 {
        value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^= value >> 31;
    }
    value.max(1)
}
