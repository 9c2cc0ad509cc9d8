//! What is wrong with a file, as plain data: the place, the reason, the cure.
//!
//! The library only makes diagnostics; the command line draws them. They are collected, so that an
//! author sees all of them at once.

use std::ops::Range;

/// Which text a place is in: an index into the topology's list of [`Source`]s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct SourceId(pub u32);

/// A text that was read: a file, or the arguments of `--set`.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// How people know it: a path, or `--set`.
    pub name: String,
    /// Its whole text.
    pub text: String,
}

/// A place in a source: a range of bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Which text.
    pub source: SourceId,
    /// Bytes within it.
    pub span: Range<usize>,
}

/// Whether a run can go on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but is likely not what its author meant.
    Warning,
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Its kind, a slug such as `unknown-key`; `tests/diagnostics/<slug>.toml` shows it.
    pub slug: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence: what is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What to write instead.
    pub help: Option<String>,
    /// Other places that matter, each with a remark ("first defined here").
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(slug: &'static str, place: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            slug,
            severity: Severity::Error,
            message: message.into(),
            place,
            help: None,
            related: Vec::new(),
        }
    }
    /// A warning at a place.
    pub fn warning(slug: &'static str, place: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(slug, place, message) }
    }
    /// The same, with what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
    /// The same, pointing at another place too.
    pub fn related(mut self, place: Place, remark: impl Into<String>) -> Diagnostic {
        self.related.push((place, remark.into()));
        self
    }
}

/// "did you mean `x`?": the candidate nearest to `word`, if one is near enough to be a slip.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(word.len()) / 5)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// What people call a key that has another name here.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("alb", "balancer"),
    ("algorithm", "policy"),
    ("api", "service"),
    ("app", "service"),
    ("backend", "service"),
    ("cache_get", "cache"),
    ("concurrency", "workers"),
    ("cpus", "cores"),
    ("db", "database"),
    ("db", "query"),
    ("delay", "wait"),
    ("error_rate", "errors"),
    ("fetch", "call"),
    ("http", "call"),
    ("insert", "query"),
    ("latency", "rtt"),
    ("lb", "balancer"),
    ("load_balancer", "balancer"),
    ("max", "size"),
    ("max_size", "size"),
    ("memcached", "cache"),
    ("mysql", "database"),
    ("nginx", "balancer"),
    ("nodes", "instances"),
    ("pg", "node-postgres"),
    ("pgbouncer", "pooler"),
    ("p50", "latency_p50"),
    ("p95", "latency_p95"),
    ("p99", "latency_p99"),
    ("pods", "instances"),
    ("postgres", "database"),
    ("postgresql", "database"),
    ("processes", "workers"),
    ("redis", "cache"),
    ("redis_get", "cache"),
    ("replicas", "instances"),
    ("respond", "reply"),
    ("response", "reply"),
    ("return", "reply"),
    ("select", "query"),
    ("server", "service"),
    ("sleep", "wait"),
    ("sticky", "policy"),
    ("sql", "query"),
    ("statement", "query"),
    ("target_cpu", "target"),
    ("tasks", "instances"),
    ("update", "query"),
    ("vcpu", "cores"),
    ("vcpus", "cores"),
    ("web", "service"),
    ("weight", "share"),
    ("worker", "consumer"),
];

/// "did you mean `x`?" of a key: a slip, another word for it, or a part of its name (`timeout` of
/// `acquire_timeout`).
pub fn meant_key(word: &str, keys: &[&str]) -> Option<String> {
    let mut others = OTHER_WORDS.iter().filter(|(other, _)| *other == word);
    if let Some((_, name)) = others.find(|(_, name)| keys.contains(name)) {
        return Some(format!("it is called `{name}` here"));
    }
    if let Some(slip) = did_you_mean(word, keys.iter().copied()) {
        return Some(slip);
    }
    let ends_word = |key: &&&str| word.strip_suffix(**key).is_some_and(|rest| rest.ends_with('_'));
    if let Some(part) = keys.iter().filter(ends_word).max_by_key(|key| key.len()) {
        return Some(format!("did you mean `{part}`?"));
    }
    let longer: Vec<String> = keys
        .iter()
        .filter(|key| key.split('_').any(|part| part == word))
        .map(|key| format!("`{key}`"))
        .collect();
    (!longer.is_empty()).then(|| format!("did you mean {}?", longer.join(" or ")))
}

/// Diagnostics as plain text, without colours: the place, the line, the reason, the cure.
pub fn render_plain(diagnostics: &[Diagnostic], sources: &[Source]) -> String {
    diagnostics.iter().map(|found| render_one(found, sources) + "\n").collect()
}

fn render_one(found: &Diagnostic, sources: &[Source]) -> String {
    let severity = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut text = format!("{severity}[{}]: {}\n", found.slug, found.message);
    // A file that is not there has no lines to point at.
    if found.slug != "unreadable" {
        text.push_str(&render_place(&found.place, sources));
    }
    if let Some(help) = &found.help {
        text.push_str(&format!("  help: {help}\n"));
    }
    for (place, remark) in &found.related {
        text.push_str(&format!("  note: {remark}\n"));
        text.push_str(&render_place(place, sources));
    }
    text
}

/// `file:line:column`, the line, and carets under the place; columns count characters from 1.
fn render_place(place: &Place, sources: &[Source]) -> String {
    let Some(source) = sources.get(place.source.0 as usize) else {
        return String::new();
    };
    let mut start = place.span.start.min(source.text.len());
    while !source.text.is_char_boundary(start) {
        start -= 1;
    }
    let line_start = source.text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line = source.text[line_start..].lines().next().unwrap_or("");
    let number = source.text[..start].matches('\n').count() + 1;
    let before = source.text[line_start..start].chars().count();
    let end = place.span.end.min(line_start + line.len()).max(start);
    // A place of several lines is underlined in its first.
    let width = source.text.get(start..end).map_or(1, |marked| marked.chars().count()).max(1);
    let margin = " ".repeat(number.to_string().len());
    let (indent, carets) = (" ".repeat(before), "^".repeat(width));
    let head = format!("{margin}--> {}:{number}:{}\n", source.name, before + 1);
    if line.trim().is_empty() {
        return head;
    }
    format!("{head}{margin} |\n{number} | {line}\n{margin} | {indent}{carets}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_underlined_by_characters_not_bytes() {
        let text = "title = \"größe\"\nrtt = 75\n".to_string();
        let span = text.find("75").map_or(0..0, |at| at..at + 2);
        let sources = [Source { name: "a.toml".into(), text }];
        let found = Diagnostic::error("bad-unit", Place { source: SourceId(0), span }, "no unit");
        let expected =
            "error[bad-unit]: no unit\n --> a.toml:2:7\n  |\n2 | rtt = 75\n  |       ^^\n\n";
        assert_eq!(render_plain(&[found], &sources), expected);
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        assert_eq!(did_you_mean("sise", ["size", "idle"]), Some("did you mean `size`?".into()));
        assert_eq!(did_you_mean("wombat", ["size", "idle"]), None);
    }
}
