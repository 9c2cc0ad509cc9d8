//! Verdicts as data.

use serde_json::{Value, json};

use super::judge::{By, Judged, Source, Tried};

/// All verdicts as one object.
pub fn to_json(sources: &[Source], judged: &[Vec<Judged>]) -> Value {
    let files = sources.iter().zip(judged).map(|(source, judged)| {
        json!({
            "file": source.path,
            "title": source.claims.title,
            "document": source.claims.document,
            "claims": judged.iter().map(claim).collect::<Vec<Value>>(),
        })
    });
    json!({ "version": env!("CARGO_PKG_VERSION"), "files": files.collect::<Vec<Value>>() })
}

fn claim(it: &Judged) -> Value {
    let tried = |it: &Tried| {
        json!({
            "what": it.what,
            "value": it.value,
            "measured": it.estimate,
            "verdict": it.verdict.word(),
        })
    };
    let spec = &it.claim.spec;
    json!({
        "id": it.claim.name,
        "says": spec.says,
        "section": spec.section,
        "users": spec.users.word(),
        "claimed": { "low": it.claimed.0, "high": it.claimed.1 },
        "measured": it.value,
        "formula": spec.measured.as_ref().map(|it| it.text.clone()),
        "judged_by": it.by.word(),
        "verdict": it.verdict.word(),
        "as_assumed": it.as_assumed.word(),
        "decides": it.decides,
        "tried": it.tried.iter().map(tried).collect::<Vec<Value>>(),
        "why": it.why,
        "not_simulated_because": (it.by != By::Simulation).then(|| spec.because.clone()),
    })
}
