//! Verdicts over claims, for people.

use super::layout::{Look, Style, wrap};
use crate::claims::{By, Judged, Source, Tried, Verdict, show, show_claimed, show_estimate};

/// Verdicts as text of at most 100 columns, file by file.
pub fn claimed(sources: &[Source], judged: &[Vec<Judged>], style: Style) -> String {
    let mut out = String::new();
    for (source, judged) in sources.iter().zip(judged).filter(|(_, judged)| !judged.is_empty()) {
        out.push_str(&format!("{}\n", style.paint(&source.claims.title, Look::Bold)));
        let from = format!("{} ({})", source.claims.document, source.path);
        out.push_str(&format!("{}\n\n", style.paint(&wrap(&from, 0), Look::Dim)));
        judged.iter().for_each(|it| one(it, style, &mut out));
    }
    out + &total(judged.iter().flatten(), style)
}

fn one(it: &Judged, style: Style, out: &mut String) {
    let spec = &it.claim.spec;
    let word = format!("{:<12}", it.verdict.word());
    let head = format!("{:<8}", it.claim.name);
    let values = match it.by {
        By::Nothing => "nothing can be computed".to_string(),
        _ => format!(
            "{} claimed, {} {}",
            show_claimed(it.claimed.0, it.claimed.1, spec.unit),
            show_estimate(&it.value, spec.unit),
            if it.by == By::Simulation { "simulated" } else { "by arithmetic" },
        ),
    };
    out.push_str(&format!(
        "{}{}  {values}\n",
        style.paint(&head, Look::Bold),
        style.paint(&word, look(it.verdict))
    ));
    let mut line = |label: &str, text: &str, look: Look| {
        if !text.is_empty() {
            let text = format!("        {}", wrap(&format!("{label}{text}"), 10));
            out.push_str(&format!("{}\n", style.paint(&text, look)));
        }
    };
    let says = format!("{} ({})", spec.says, spec.section);
    line("", &says, Look::Usual);
    line("users: ", spec.users.word(), Look::Dim);
    line("why: ", &it.why, Look::Usual);
    if it.worked != it.why {
        line("formula: ", &it.worked, Look::Dim);
    }
    line("decides: ", it.decides.as_deref().unwrap_or_default(), Look::Doubtful);
    for tried in &it.tried {
        line("with ", &told(tried, it), Look::Dim);
    }
    if let (By::Arithmetic, Some(because)) = (it.by, &spec.because) {
        line("not simulated: ", because, Look::Dim);
    }
    out.push('\n');
}

fn told(tried: &Tried, it: &Judged) -> String {
    let value = tried.estimate.estimate.unwrap_or(f64::NAN);
    format!(
        "{} {}: {}, {}",
        tried.what,
        tried.value,
        show(value, it.claim.spec.unit),
        tried.verdict.word()
    )
}

fn look(verdict: Verdict) -> Look {
    match verdict {
        Verdict::Confirmed | Verdict::Plausible => Look::Good,
        Verdict::Refuted => Look::Bad,
        Verdict::Undetermined => Look::Doubtful,
    }
}

fn total<'a>(judged: impl Iterator<Item = &'a Judged>, style: Style) -> String {
    let verdicts: Vec<Verdict> = judged.map(|it| it.verdict).collect();
    let count = |wanted: Verdict| verdicts.iter().filter(|it| **it == wanted).count();
    let parts: Vec<String> = Verdict::ALL
        .iter()
        .map(|it| style.paint(&format!("{} {}", count(*it), it.word()), look(*it)))
        .collect();
    format!("{} claims: {}\n", verdicts.len(), parts.join(", "))
}
