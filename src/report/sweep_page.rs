//! What an experiment has found, in sentences and as a page.

use super::layout::Style;
use super::show;
use super::sweep::{called, columns_that_fit, heading, told};
use crate::experiment::findings::{Findings, Influence};
use crate::experiment::prepare::Prepared;
use crate::result::{Estimate, Unit};
use crate::stats::paired_difference;

/// Sentences about one axis at most.
const GROUPS: usize = 12;
/// Outputs that sentences are made of at most.
const OUTPUTS: usize = 3;

/// The answer in sentences: where each output is best along the last axis, what is no worse beyond
/// doubt and by how much the rest is; what meets the objectives; what collapses; what decides.
pub fn answers(prepared: &Prepared<'_>, found: &Findings) -> Vec<String> {
    let mut sentences = Vec::new();
    if found.sensitivities.is_empty() {
        let groups = groups(found);
        let columns = columns(found);
        // The chance of any false alarm among all comparisons of the page is held to 1 - confidence.
        // Which point the others are held against is seen in the data only, so all pairs of a group
        // count, and not just those that are told.
        let comparisons: usize =
            groups.iter().map(|group| group.len() * (group.len() - 1) / 2).sum();
        let comparisons = (comparisons * columns.len()).max(1) as f64;
        let confidence = 1.0 - (1.0 - prepared.experiment.confidence.0) / comparisons;
        for column in columns {
            let of = groups.iter().filter_map(|group| along(found, group, column, confidence));
            sentences.extend(of);
        }
    }
    sentences.extend(met(found));
    sentences.extend(collapsing(found));
    sentences.extend(deciding(found));
    sentences
}

/// The outputs that the answer is about: the one that ranks, then those that the table shows.
fn columns(found: &Findings) -> Vec<usize> {
    let mut columns: Vec<usize> = found.rank.iter().map(|rank| rank.column).collect();
    for column in columns_that_fit(found) {
        if columns.len() < OUTPUTS && !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

/// Points that differ in the last axis only, where each has at least two.
fn groups(found: &Findings) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for index in 0..found.points.len() {
        let lead = |index: usize| found.points[index].labels.split_last().map(|(_, lead)| lead);
        match groups.iter_mut().find(|group| lead(group[0]) == lead(index)) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups.retain(|group| group.len() > 1);
    if groups.len() > GROUPS { Vec::new() } else { groups }
}

/// More of it is better.
fn more_is_better(name: &str) -> bool {
    ["throughput", "served", "hit_ratio"].iter().any(|word| name.contains(word))
}

/// Where along the last axis an output is best.
fn along(found: &Findings, group: &[usize], column: usize, confidence: f64) -> Option<String> {
    let unit = found.columns[column].metric.unit;
    let values = |index: usize| -> Option<Vec<f64>> {
        found.points[index].rows.iter().map(|row| row.values[column]).collect()
    };
    let estimate = |index: usize| found.points[index].estimates[column];
    let known: Vec<usize> =
        group.iter().copied().filter(|index| estimate(*index).estimate.is_some()).collect();
    let better = |index: &usize| {
        let value = estimate(*index).estimate.unwrap_or(0.0);
        if more_is_better(&found.columns[column].name) { -value } else { value }
    };
    let best = *known.iter().min_by(|a, b| better(a).total_cmp(&better(b)))?;
    let axis = found.axes.last().map_or("", |(name, _)| name.as_str());
    let label = |index: usize| found.points[index].shown.last().map_or("", String::as_str);
    let (mut alike, mut worse) = (Vec::new(), Vec::new());
    for index in known.iter().copied().filter(|index| *index != best) {
        let pairs = values(best).zip(values(index));
        let pairs = pairs.filter(|(before, after)| before.len() == after.len());
        let interval =
            pairs.and_then(|(before, after)| paired_difference(&before, &after, confidence));
        match interval {
            Some(it) if it.low > 0.0 || it.high < 0.0 => {
                let difference = Estimate {
                    estimate: Some(it.estimate),
                    low: Some(it.low),
                    high: Some(it.high),
                };
                worse.push(format!("{} {}", label(index), show::difference(&difference, unit)));
            }
            _ => alike.push(label(index)),
        }
    }
    let lead = found.points[best].shown.split_last().map_or(&[][..], |(_, lead)| lead);
    let lead: Vec<String> =
        found.axes.iter().zip(lead).map(|((name, _), label)| format!("{name} {label}")).collect();
    let lead = if lead.is_empty() { String::new() } else { format!("{}: ", lead.join(", ")) };
    let heading = heading(&found.columns[column]);
    let what = if more_is_better(&found.columns[column].name) { "highest" } else { "lowest" };
    if worse.is_empty() {
        let value = show::estimate(&estimate(best), unit);
        return Some(format!(
            "{lead}{heading} does not differ beyond doubt with {axis} ({value})."
        ));
    }
    let mut text = format!(
        "{lead}{heading} is {what} with {axis} {} ({})",
        label(best),
        show::estimate(&estimate(best), unit)
    );
    if !alike.is_empty() {
        text.push_str(&format!(", no different beyond doubt with {}", alike.join(", ")));
    }
    Some(format!("{text}; against it {}.", worse.join(", ")))
}

/// What meets the objectives.
fn met(found: &Findings) -> Option<String> {
    let objectives: Vec<&str> =
        found.points.first()?.verdicts.iter().map(|it| it.objective.as_str()).collect();
    if objectives.is_empty() {
        return None;
    }
    let met: Vec<usize> = (0..found.points.len()).filter(|index| found.is_met(*index)).collect();
    let names: Vec<String> = met.iter().map(|index| called(found, *index)).collect();
    let objectives = objectives.join(", ");
    Some(match met.len() {
        0 => format!("No point meets {objectives}."),
        count if count == found.points.len() => format!("Every point meets {objectives}."),
        count if count <= GROUPS => format!("{objectives}: met with {}.", names.join("; ")),
        count => format!("{objectives}: met at {count} of {} points.", found.points.len()),
    })
}

/// Where replications collapse.
fn collapsing(found: &Findings) -> Vec<String> {
    let collapsed = |index: usize| {
        let rows = &found.points[index].rows;
        (rows.iter().filter(|row| row.collapsed).count(), rows.len())
    };
    let mut sentences = Vec::new();
    let all: Vec<String> = (0..found.points.len())
        .filter(|index| matches!(collapsed(*index), (count, of) if count == of && of > 0))
        .map(|index| called(found, index))
        .collect();
    if !all.is_empty() && all.len() < found.points.len() && all.len() <= GROUPS {
        sentences.push(format!("Every replication collapses with {}.", all.join("; ")));
    }
    for index in 0..found.points.len() {
        let (count, of) = collapsed(index);
        if let (Some(chance), true) = (found.points[index].collapse, 0 < count && count < of) {
            sentences.push(format!(
                "{}: {count} of {of} replications collapse, a probability of {} to {}.",
                called(found, index),
                show::value(chance.low, Unit::Ratio),
                show::value(chance.high, Unit::Ratio)
            ));
        }
    }
    sentences
}

/// What decides on each output, by a design that tells.
fn deciding(found: &Findings) -> Vec<String> {
    let mut columns: Vec<usize> = found.sensitivities.iter().map(|it| it.column).collect();
    columns.dedup();
    let sentence = |column: usize| {
        let unit = found.columns[column].metric.unit;
        let of = found.sensitivities.iter().filter(|it| it.column == column);
        let mut all: Vec<(f64, String)> = of
            .map(|it| {
                let name = &found.axes[it.axis].0;
                match &it.found {
                    Influence::Morris(effect) => {
                        (effect.size, format!("{name} ({})", show::value(effect.size, unit)))
                    }
                    Influence::Sobol { total, .. } => {
                        let share = total.estimate.unwrap_or(0.0);
                        (share, format!("{name} ({})", show::value(share, Unit::Ratio)))
                    }
                }
            })
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let most = all.first().map(|(size, _)| *size).filter(|size| *size > 0.0)?;
        let (much, little): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(size, _)| *size > 0.1 * most);
        let names = |of: Vec<(f64, String)>| {
            of.into_iter().map(|(_, name)| name).collect::<Vec<String>>().join(", ")
        };
        let rest =
            if little.is_empty() { String::new() } else { format!("; little: {}", names(little)) };
        Some(format!("On {} decide {}{rest}.", heading(&found.columns[column]), names(much)))
    };
    columns.into_iter().filter_map(sentence).collect()
}

/// A digest of all files of an experiment: a page that was made from others has another one.
pub fn files(prepared: &Prepared<'_>) -> String {
    let mut hash = blake3::Hasher::new();
    for (path, text) in prepared.inputs() {
        hash.update(path.as_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().to_hex()[..16].to_string()
}

/// What the engine gives for the topologies of an experiment: a digest of their lines among the runs
/// that it is tested to give. Where it changes, so may what the experiment has found.
pub fn engine(prepared: &Prepared<'_>) -> String {
    let golden = include_str!("../../tests/golden.txt");
    let inputs = prepared.inputs();
    let is_of_one = |line: &&str| {
        let of = line.split(' ').next().unwrap_or_default();
        inputs.iter().any(|(path, _)| path == of || path.ends_with(&format!("/{of}")))
    };
    let mut hash = blake3::Hasher::new();
    for line in golden.lines().filter(is_of_one) {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().to_hex()[..16].to_string()
}

/// The experiment with its answer as a page of Markdown.
pub fn page(name: &str, file: &str, prepared: &Prepared<'_>, found: &Findings) -> String {
    let experiment = &prepared.experiment;
    let title = experiment.title.as_deref().unwrap_or(name);
    let question = experiment.question.as_deref().unwrap_or("What is it like?");
    let mut text = format!("# {title}\n\n*{question}*\n\n## Answer\n\n");
    for sentence in answers(prepared, found) {
        text.push_str(&format!("- {sentence}\n"));
    }
    text.push_str(&format!(
        "\nDifferences are of pairs of replications that met the same users; all that are told hold \
         together with a\nconfidence of {}. The table as data is [{name}.csv]({name}.csv).\n\n```text\n",
        show::value(experiment.confidence.0, Unit::Ratio),
    ));
    text.push_str(told(name, prepared, found, Style::Plain).trim_end());
    text.push_str(&format!(
        "\n```\n\nMade by `loadbearing sweep {file} --page ...`; digest of its files {}, of the tested runs of\nits \
         topologies {}, of all runs {}.\n",
        files(prepared),
        engine(prepared),
        found.digest
    ));
    text
}
