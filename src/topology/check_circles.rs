//! Jobs and messages of streams that would never come to an end.

use super::check::{Cx, Diagnostics, error};
use super::flow::{Flow, Step, steps};
use crate::diagnostic::Place;

/// Messages that leave others behind, which leave the first ones again, would never come to an end.
pub(crate) fn circles(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let leaves = |flow: &Flow| -> Vec<String> {
        let mut found = Vec::new();
        for (_, step) in steps(flow, None) {
            match &step.value {
                Step::Enqueue(it) => found.push(format!("job.{}", it.job.name)),
                Step::Publish(stream) => {
                    let all = topology.consumers.iter();
                    let its = all.filter(|it| it.spec.stream.name == stream.name);
                    found.extend(its.map(|it| format!("consumer.{}", it.name)));
                }
                _ => {}
            }
        }
        found
    };
    let jobs = topology
        .jobs
        .iter()
        .map(|it| (format!("job.{}", it.name), &it.place, leaves(&it.spec.flow)));
    let consumers = topology.consumers.iter();
    let consumers =
        consumers.map(|it| (format!("consumer.{}", it.name), &it.place, leaves(&it.spec.flow)));
    let all: Vec<(String, &Place, Vec<String>)> = jobs.chain(consumers).collect();
    let mut found = Vec::new();
    for (path, place, first) in &all {
        let mut seen = first.clone();
        let mut at = 0;
        while at < seen.len() {
            let next = all.iter().find(|(name, ..)| *name == seen[at]).map(|(.., next)| next);
            for name in next.into_iter().flatten() {
                if !seen.contains(name) {
                    seen.push(name.clone());
                }
            }
            at += 1;
        }
        if seen.contains(path) {
            let message =
                format!("what `{path}` does leaves another of its own kind behind, without end");
            let help = "let it leave another job, or publish to another stream";
            found.push(error("endless-messages", place, message).help(help));
        }
    }
    found
}
