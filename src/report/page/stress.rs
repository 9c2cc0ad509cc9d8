//! The page of a stress: how it went, and whether the deployment came back.

use super::run::{assumption_section, origin_section, timeline_section, title_of};
use super::{Block, Page, Section, Tile, Tone};
use crate::experiment::stress::{Arm, Shown as Seen, Spread, Stressed};
use crate::figure::{Bar, CourseShown, Words, course, diagram, intervals, latency};
use crate::report::ran::setting;
use crate::report::show;
use crate::report::stress::{arm_name, event, percent, table};
use crate::result::{Estimate, Point, Unit};

/// The page of a stress; `again` is what to type to get it again.
pub fn stress_page(found: &Stressed, again: &str) -> Page {
    let points = points(found);
    Page {
        title: format!("{} under stress", title_of(&points[1])),
        lead: format!("{}. {}", event(found), setting(&points[1])),
        tiles: found.arms.iter().flat_map(tiles).collect(),
        sections: vec![
            Section {
                id: "course",
                heading: "How it went".into(),
                blocks: courses(found).into_iter().map(Block::Figure).collect(),
            },
            Section {
                id: "recovery",
                heading: "Whether it comes back".into(),
                blocks: vec![Block::Table(table(found)), Block::Figure(recoveries(found))],
            },
            Section {
                id: "latency",
                heading: "Latency".into(),
                blocks: vec![Block::Figure(latency(&points))],
            },
            Section {
                id: "deployment",
                heading: "The deployment, calm and under stress".into(),
                blocks: vec![Block::Diagrams(points[..2].iter().map(diagram).collect())],
            },
            timeline_section(&points[1..2]),
            assumption_section(&points[..1]),
            origin_section(&points, again),
        ],
    }
}

/// Calm and stressed, arm by arm.
fn points(found: &Stressed) -> Vec<Point<'_>> {
    let names = ["calm", "stressed", "calm without retries", "stressed without retries"];
    let twins = found.arms.iter().flat_map(|arm| [&arm.calm, &arm.stressed]);
    names
        .iter()
        .zip(twins)
        .map(|(name, twin)| Point {
            name,
            model: &twin.model,
            outcomes: &twin.outcomes,
            summary: &twin.summary,
        })
        .collect()
}

fn tiles(arm: &Arm) -> Vec<Tile> {
    let all = arm.replications.len();
    let back = arm.replications.iter().filter(|it| it.time_to_recover_s.is_some()).count();
    let tone = match back {
        0 => Tone::Bad,
        back if back == all => Tone::Good,
        _ => Tone::Doubtful,
    };
    let time = match back {
        0 => "never".to_string(),
        _ => show::estimate(&arm.time_to_recover_s, Unit::Seconds),
    };
    let name = arm_name(arm);
    let mut first = name.to_string();
    if let Some(letter) = first.get_mut(..1) {
        letter.make_ascii_uppercase();
    }
    let peak = &arm.peak;
    let known = |value: &Estimate, unit| show::estimate(value, unit);
    let failed = known(&peak.failed_ratio, Unit::Ratio);
    vec![
        Tile::new(
            &format!("{first}: comes back"),
            format!("{back} of {all} replications"),
            format!("probability {}", percent(&arm.recovers)),
            tone,
        ),
        Tile::new(&format!("{first}: after"), time, "", tone),
        Tile::new(
            &format!("{first}: at worst"),
            known(&peak.latency_s, Unit::Seconds),
            format!("p95 in a window; {failed} failed"),
            Tone::Plain,
        ),
    ]
}

/// When the stress began and ended, from the start of the measured time (s).
fn when(found: &Stressed) -> (f64, f64) {
    let begins = found.stress.at.seconds();
    let arm = &found.arms[0];
    let warmup = arm.stressed.model.plan.warmup.seconds();
    let ends = arm
        .replications
        .iter()
        .filter_map(|it| it.ends_s)
        .fold(begins, |last, it| if it - warmup > last { it - warmup } else { last });
    (begins, ends)
}

fn courses(found: &Stressed) -> Vec<crate::figure::Figure> {
    type Of = fn(&Seen) -> Spread;
    let quantities: [(&str, &str, &str, Unit, Of); 4] = [
        ("load", "Load", "requests begun a second", Unit::PerSecond, |it| it.offered_per_s),
        ("latency", "Latency", "latency p95", Unit::Seconds, |it| it.latency_p95_s),
        ("failures", "Failures", "failed", Unit::Ratio, |it| it.failed_ratio),
        ("in-flight", "In flight", "requests in flight", Unit::Count, |it| it.in_flight),
    ];
    let one = |(name, title, measured, unit, of): &(&str, &str, &str, Unit, Of)| {
        let mut steps = Vec::new();
        for arm in &found.arms {
            for (stressed, word) in [(true, "under stress"), (false, "calm")] {
                for step in &arm.course.steps {
                    let spread = of(if stressed { &step.stressed } else { &step.calm });
                    let whose = match found.arms.len() {
                        1 => word.to_string(),
                        _ => format!("{word}, {}", arm_name(arm)),
                    };
                    let at_s = (step.start_s + step.end_s) / 2.0;
                    let spread = [spread.low, spread.middle, spread.high];
                    steps.push(CourseShown { at_s, whose, spread });
                }
            }
        }
        let words = Words {
            name: format!("course-{name}"),
            title: title.to_string(),
            caption: "Half of the replications are below the line, eight in ten within the band; \
                      the stress is shaded. Time counts from the start of measuring."
                .into(),
            varied: "time (s)".into(),
            measured: measured.to_string(),
            unit: *unit,
        };
        course(&words, &steps, when(found), &found.words)
    };
    quantities.iter().map(one).collect()
}

/// When each replication was back.
fn recoveries(found: &Stressed) -> crate::figure::Figure {
    let bars: Vec<Bar> = found
        .arms
        .iter()
        .flat_map(|arm| {
            arm.replications.iter().map(|it| Bar {
                label: format!("replication {}", it.replication),
                group: arm_name(arm).to_string(),
                value: it.time_to_recover_s.map_or(Estimate::default(), Estimate::exact),
            })
        })
        .collect();
    let words = Words {
        name: "recoveries".into(),
        title: "Time to recover".into(),
        caption:
            "From the end of the stress until the replication is back for good; what does not \
                  come back has no dot."
                .into(),
        varied: String::new(),
        measured: "time to recover".into(),
        unit: Unit::Seconds,
    };
    intervals(&words, &bars, Some(0.0), &[])
}
