//! The page of claims: what documents say, and what became of it.

use super::{Block, Page, Section, Tile, Tone};
use crate::claims::{By, Judged, Source, Verdict, show_claimed, show_estimate};
use crate::figure::{Bar, Words, intervals};
use crate::report::show;
use crate::result::{Estimate, Unit};

/// The page of the verdicts of claims files; `again` is what to type to get it again.
pub fn claims_page(sources: &[Source], judged: &[Vec<Judged>], again: &str) -> Page {
    let files: Vec<(&Source, &Vec<Judged>)> =
        sources.iter().zip(judged).filter(|(_, judged)| !judged.is_empty()).collect();
    let all = || judged.iter().flatten();
    let title = match files.as_slice() {
        [(source, _)] => format!("Claims: {}", source.claims.title),
        _ => format!("{} claims of {} documents", all().count(), files.len()),
    };
    let mut sections = vec![Section {
        id: "verdicts",
        heading: "Every claim".into(),
        blocks: vec![table(&files)],
    }];
    sections.push(Section {
        id: "beside",
        heading: "Measured beside claimed".into(),
        blocks: files.iter().enumerate().map(|(at, it)| beside(at, it)).collect(),
    });
    sections.push(Section {
        id: "decides",
        heading: "What decides".into(),
        blocks: vec![decides(&files)],
    });
    let documents = files.iter().map(|(source, _)| {
        vec![source.claims.title.clone(), source.claims.document.clone(), source.path.clone()]
    });
    sections.push(Section {
        id: "origin",
        heading: "How it came about".into(),
        blocks: vec![
            Block::Words(vec!["of", "document", "file"], documents.collect()),
            Block::Code(again.into()),
        ],
    });
    Page {
        title,
        lead: "Within 10 % of what is claimed it is confirmed, within 30 % plausible; where what \
               nobody knows would flip the verdict, it is undetermined."
            .into(),
        tiles: tiles(judged),
        sections,
    }
}

fn tiles(judged: &[Vec<Judged>]) -> Vec<Tile> {
    let all: Vec<&Judged> = judged.iter().flatten().collect();
    let count = |wanted: Verdict| all.iter().filter(|it| it.verdict == wanted).count();
    let tile = |verdict: &Verdict| {
        let number = count(*verdict);
        let share = number as f64 / all.len().max(1) as f64;
        let share = format!("{} of {} claims", show::value(share, Unit::Ratio), all.len());
        Tile::new(verdict.word(), show::value(number as f64, Unit::Count), share, tone(*verdict))
    };
    Verdict::ALL.iter().map(tile).collect()
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Confirmed | Verdict::Plausible => Tone::Good,
        Verdict::Refuted => Tone::Bad,
        Verdict::Undetermined => Tone::Doubtful,
    }
}

/// Every claim with its verdict, to be filtered.
fn table(files: &[(&Source, &Vec<Judged>)]) -> Block {
    let row = |it: &Judged| {
        let spec = &it.claim.spec;
        let measured = match it.by {
            By::Nothing => "-".to_string(),
            _ => show_estimate(&it.value, spec.unit),
        };
        vec![
            it.claim.name.clone(),
            it.verdict.word().to_string(),
            format!("{} ({})", spec.says, spec.section),
            show_claimed(it.claimed.0, it.claimed.1, spec.unit),
            measured,
            it.by.word().to_string(),
            it.why.clone(),
        ]
    };
    let rows = files.iter().flat_map(|(_, judged)| judged.iter().map(row));
    let columns = vec!["claim", "verdict", "says", "claimed", "measured", "by", "why"];
    Block::Filtered(columns, rows.collect(), 1)
}

/// Measured over claimed, with intervals, claim by claim.
fn beside(at: usize, (source, judged): &(&Source, &Vec<Judged>)) -> Block {
    let ratio = |it: &Judged| {
        let (low, high) = it.claimed;
        // A range is held against its nearer end.
        let value = it.value.estimate?;
        let base = if value < low {
            low
        } else if value > high {
            high
        } else {
            value
        };
        let of = |value: Option<f64>| {
            let ratio = value? / base;
            (ratio.is_finite() && ratio > 0.0).then_some(ratio)
        };
        let value = Estimate {
            estimate: Some(of(it.value.estimate)?),
            low: of(it.value.low),
            high: of(it.value.high),
        };
        Some(Bar { label: it.claim.name.clone(), group: it.verdict.word().into(), value })
    };
    let bars: Vec<Bar> =
        judged.iter().filter(|it| it.by != By::Nothing).filter_map(ratio).collect();
    let words = Words {
        name: format!("beside-{}", at + 1),
        title: source.claims.title.clone(),
        caption:
            "What was measured as a multiple of what is claimed, with its interval: 1 is what \
                  the document says. A claimed range counts from its nearer end."
                .into(),
        varied: String::new(),
        measured: "measured over claimed".into(),
        unit: Unit::Count,
    };
    let groups = [
        ("confirmed", "#009E73"),
        ("plausible", "#56B4E9"),
        ("refuted", "#D55E00"),
        ("undetermined", "#E69F00"),
    ];
    Block::Figure(intervals(&words, &bars, Some(1.0), &groups))
}

/// What flips verdicts.
fn decides(files: &[(&Source, &Vec<Judged>)]) -> Block {
    let rows = files.iter().flat_map(|(_, judged)| judged.iter()).filter_map(|it| {
        let decides = it.decides.clone()?;
        Some(vec![it.claim.name.clone(), it.as_assumed.word().to_string(), decides])
    });
    Block::Words(vec!["claim", "as assumed", "what decides"], rows.collect())
}
