//! The page of findings: what became of every claim, told from the results alone.

use std::fmt::Write as _;

use super::drawing::svg;
use crate::claims::{
    Bought, By, Carried, Counted, Inquiry, Judged, Picture, Side, Source, Verdict, Weighed, round,
    show, show_claimed, show_estimate,
};

/// The page and its figures, each with its path from the page's folder.
pub struct Findings {
    /// The text of the page.
    pub text: String,
    /// Figures: path and SVG.
    pub figures: Vec<(String, String)>,
}

/// The page about all documents; `command` is what to type for it, `folder` where its figures lie.
pub fn findings(
    sources: &[Source],
    judged: &[Vec<Judged>],
    inquiries: &[Inquiry],
    command: &str,
    folder: &str,
) -> Findings {
    let mut text = head(sources, judged, command);
    let mut pictures: Vec<(&Picture, &Judged)> = Vec::new();
    for (inquiry, judged) in inquiries.iter().zip(judged) {
        for picture in &inquiry.pictures {
            let about = judged.iter().find(|it| it.claim.name == picture.claim);
            pictures.extend(about.map(|it| (picture, it)));
        }
    }
    pictures.sort_by_key(|(picture, _)| picture.rank);
    if !pictures.is_empty() {
        text.push_str("\n## What surprises most\n");
    }
    let mut figures = Vec::new();
    for (picture, judged) in pictures {
        let path = format!("{folder}/{}.svg", picture.name);
        surprise(picture, judged, &path, &mut text);
        figures.push((path, svg(picture)));
    }
    for ((source, judged), inquiry) in sources.iter().zip(judged).zip(inquiries) {
        document(source, judged, inquiry, &mut text);
    }
    Findings { text, figures }
}

fn head(sources: &[Source], judged: &[Vec<Judged>], command: &str) -> String {
    let count = judged.iter().map(Vec::len).sum::<usize>();
    let mut text = format!(
        "# What became of {count} claims\n\nThis page is what `{command}` writes; it is never \
         edited. Each claim stands in\n`experiments/claims/` with its formula, the deployments that \
         it is about and what is not known; *confirmed* is within 10 %,\n*plausible* within 30 % of \
         what is claimed. *Undetermined* is what flips inside the range of something that the\n\
         document does not say; what decides is named. How to judge a document of your own: [claims](claims.md).\n\n"
    );
    text.push_str(
        "| Document | claims | confirmed | plausible | refuted | undetermined | simulated |\n",
    );
    text.push_str("|---|---:|---:|---:|---:|---:|---:|\n");
    let mut row = |title: &str, judged: &[&Judged]| {
        let of = |wanted: Verdict| judged.iter().filter(|it| it.verdict == wanted).count();
        let counts: Vec<String> = Verdict::ALL.iter().map(|it| of(*it).to_string()).collect();
        let simulated = judged.iter().filter(|it| it.by == By::Simulation).count();
        let _ =
            writeln!(text, "| {title} | {} | {} | {simulated} |", judged.len(), counts.join(" | "));
    };
    for (source, judged) in sources.iter().zip(judged) {
        row(&source.claims.title, &judged.iter().collect::<Vec<_>>());
    }
    row("all", &judged.iter().flatten().collect::<Vec<_>>());
    text
}

fn surprise(picture: &Picture, judged: &Judged, path: &str, text: &mut String) {
    let spec = &judged.claim.spec;
    let _ = writeln!(text, "\n### {}. {}\n", picture.rank, picture.title);
    let _ = writeln!(
        text,
        "{}, {}: \"{}\". Claimed: {}; found: {}. **{}**{}.\n",
        judged.claim.name,
        spec.section,
        spec.says,
        show_claimed(judged.claimed.0, judged.claimed.1, spec.unit),
        show_estimate(&judged.value, spec.unit),
        judged.verdict.word(),
        judged.decides.as_ref().map(|it| format!(" ({it})")).unwrap_or_default(),
    );
    let _ = writeln!(text, "Why: {}.\n", cell(&judged.why));
    let _ = writeln!(text, "![{}]({path})", picture.title);
}

fn document(source: &Source, judged: &[Judged], inquiry: &Inquiry, text: &mut String) {
    let claims = &source.claims;
    let _ = writeln!(text, "\n## {}\n\n{} (`{}`).", claims.title, claims.document, source.path);
    answer(&inquiry.carried, text);
    bought(&inquiry.bought, text);
    let _ = writeln!(text, "\n### Its claims\n");
    text.push_str("| Claim | | Claimed | Found | Verdict | Why, and what decides |\n|---|---|---:|---:|---|---|\n");
    judged.iter().for_each(|it| verdict(it, text));
    unexpected(judged, text);
    if !inquiry.weighed.is_empty() {
        let _ = writeln!(text, "\n### Its contradictions\n");
        text.push_str("| | On what | One side and the other | Found |\n|---|---|---|---|\n");
        inquiry.weighed.iter().for_each(|it| weighed(it, text));
    }
}

/// How many, what gives first and what next.
fn answer(carried: &[Carried], text: &mut String) {
    if carried.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n### How many, and what gives first\n");
    text.push_str(
        "| Deployment | Stated | Carries | Above that fails | Gives first | Then | A month |\n\
         |---|---:|---:|---|---|---|---:|\n",
    );
    for it in carried {
        let unit = if it.closed { Counted::Users } else { Counted::PerSecond };
        let gives = |at: usize| match it.order.get(at) {
            Some((component, load)) => format!("{component} at {}", show(round(*load), unit)),
            None => "-".into(),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            cell(if it.what.is_empty() { &it.scenario } else { &it.what }),
            it.stated.map_or("-".into(), |stated| show(stated, unit)),
            show_estimate(&rounded(&it.load), unit),
            if it.limit.is_empty() { "-".into() } else { format!("`{}`", it.limit) },
            gives(0),
            gives(1),
            it.cost.estimate.map_or("-".into(), |cost| show(cost.round(), Counted::Dollars)),
        );
    }
}

/// Three digits of each part.
fn rounded(estimate: &crate::result::Estimate) -> crate::result::Estimate {
    let part = |value: Option<f64>| value.map(round);
    let half = estimate.half_width().map(round);
    let centre = part(estimate.estimate);
    let high = centre.zip(half).map(|(centre, half)| centre + half);
    crate::result::Estimate { estimate: centre, low: part(estimate.low), high }
}

/// What to change first for the money.
fn bought(bought: &[Bought], text: &mut String) {
    if bought.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n### What to change first for the money\n");
    text.push_str(
        "| Upgrade | Users more | A month more | For a thousand users more |\n|---|---:|---:|---:|\n",
    );
    for it in bought {
        let each = match it.per_thousand() {
            each if each.is_finite() => show(each, Counted::Dollars),
            _ => "no user more".into(),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {each} |",
            cell(&it.what),
            show(round(it.more), Counted::Users).trim_end_matches(" users"),
            show(it.cost.round(), Counted::Dollars),
        );
    }
}

fn verdict(it: &Judged, text: &mut String) {
    let spec = &it.claim.spec;
    let meant = match spec.users.word() {
        "" => String::new(),
        word => format!(" (users: {word})"),
    };
    let found = match it.by {
        By::Nothing => "-".to_string(),
        By::Arithmetic => format!("{}, by arithmetic", show_estimate(&it.value, spec.unit)),
        By::Simulation => show_estimate(&it.value, spec.unit),
    };
    let mut why = vec![cell(&it.why)];
    if let (By::Arithmetic, Some(because)) = (it.by, &spec.because) {
        why.push(format!("not simulated: {}", cell(because)));
    }
    why.extend(it.decides.as_ref().map(|it| format!("*decides:* {}", cell(it))));
    let _ = writeln!(
        text,
        "| {} | {}{meant}. *{}* | {} | {found} | **{}** | {} |",
        it.claim.name,
        cell(&spec.says),
        cell(&spec.section),
        show_claimed(it.claimed.0, it.claimed.1, spec.unit),
        it.verdict.word(),
        why.join("; "),
    );
}

/// Where the result is not what one would have expected, and who is right.
fn unexpected(judged: &[Judged], text: &mut String) {
    let mut surprising = judged.iter().filter(|it| it.surprises()).peekable();
    if surprising.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n### Where the result is not what one expects\n");
    for it in surprising {
        let Some(prior) = &it.claim.spec.prior else { continue };
        let why = prior.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let settled = it.claim.spec.settled.as_deref();
        let settled = settled.map(|it| it.to_string()).unwrap_or_else(|| match &it.decides {
            Some(decides) => {
                format!("As assumed it is {}; what flips it is {decides}.", it.as_assumed.word())
            }
            None => format!("What was found: {}.", it.why),
        });
        let _ = writeln!(
            text,
            "- **{}**: {} was expected{why}, and it is {}. {}",
            it.claim.name,
            prior.verdict.word(),
            it.verdict.word(),
            cell(&settled)
        );
    }
}

fn weighed(it: &Weighed, text: &mut String) {
    let spec = &it.contradiction.spec;
    let side = |(side, judged): (&Side, &Option<Verdict>)| {
        let verdict = judged.map(|verdict| format!(" - **{}**", verdict.word()));
        format!("{}{}", cell(&side.says), verdict.unwrap_or_default())
    };
    let sides: Vec<String> = spec.sides.iter().zip(&it.sides).map(side).collect();
    let found = match &it.value {
        Some(value) => show_estimate(value, spec.unit),
        None => spec.remark.as_deref().map(cell).unwrap_or_default(),
    };
    let _ = writeln!(
        text,
        "| {} | {} | {} | {found} |",
        it.contradiction.name,
        cell(&spec.about),
        sides.join("<br>"),
    );
}

/// Text that can stand in a cell of a table: no markup but between backticks.
fn cell(text: &str) -> String {
    let text = text.trim().replace('|', "\\|").replace('\n', " ");
    let parts = text.split('`').enumerate();
    let part = |(index, part): (usize, &str)| match index % 2 {
        0 => part.replace('<', "&lt;"),
        _ => part.to_string(),
    };
    parts.map(part).collect::<Vec<_>>().join("`")
}
