//! `rate()` of Prometheus: a counter's increase within a range, drawn out to the ends of the range
//! (prometheus 2.53, promql/functions.go, `extrapolatedRate`).

use crate::units::Duration;

/// The end and the value [1/s] of each evaluation, from the true rates of the timeline's steps: a
/// counter of what happened is read every `scrape`, and evaluated every `every`.
pub(super) fn rates(
    steps: &[(f64, f64)],
    range: Duration,
    scrape: Duration,
    every: Duration,
) -> Vec<(f64, f64)> {
    let samples = samples(steps, scrape.seconds());
    let last = steps.last().map_or(0.0, |step| step.0);
    let mut all = Vec::new();
    let mut number = 1.0;
    while number * every.seconds() <= last + 1e-9 {
        let at = number * every.seconds();
        let from = at - range.seconds();
        let within = |sample: &&(f64, f64)| sample.0 > from + 1e-9 && sample.0 <= at + 1e-9;
        let seen: Vec<(f64, f64)> = samples.iter().filter(within).copied().collect();
        all.extend(extrapolated(&seen, from, at).map(|rate| (at, rate)));
        number += 1.0;
    }
    all
}

/// What a counter stood at when it was read: at the ends of steps that are nearest to its times.
fn samples(steps: &[(f64, f64)], scrape: f64) -> Vec<(f64, f64)> {
    let (mut count, mut before, mut due) = (0.0, 0.0, scrape);
    let mut all = Vec::new();
    for (end, rate) in steps {
        count += rate * (end - before);
        before = *end;
        if *end >= due - 1e-9 {
            all.push((*end, count));
            due += scrape;
        }
    }
    all
}

/// One evaluation; nothing with fewer than two samples.
fn extrapolated(samples: &[(f64, f64)], from: f64, to: f64) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    if samples.len() < 2 {
        return None;
    }
    let (gained, lasted) = (last.1 - first.1, last.0 - first.0);
    let between = lasted / (samples.len() - 1) as f64;
    // A counter that would have been below zero at the start began later.
    let mut before = first.0 - from;
    if gained > 0.0 {
        before = before.min(lasted * first.1 / gained);
    }
    let after = to - last.0;
    let reach = |gap: f64| if gap < 1.1 * between { gap } else { between / 2.0 };
    Some(gained * (lasted + reach(before) + reach(after)) / lasted / (to - from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_shown_as_it_is_once_there_are_samples_enough() {
        let steps: Vec<(f64, f64)> = (1..=600).map(|end| (f64::from(end), 10.0)).collect();
        let minute = Duration::secs(60);
        let shown = rates(&steps, Duration::secs(300), minute, minute);
        assert!(shown[4..].iter().all(|(_, rate)| (rate - 10.0).abs() < 1e-9), "{shown:?}");
        // A range of one scrape holds one sample: the panel is empty.
        assert_eq!(rates(&steps, minute, minute, minute), []);
    }

    #[test]
    fn a_burst_between_two_samples_is_spread_over_the_range() {
        // 100 in one second of 60; samples at 60 and 120 s.
        let steps: Vec<(f64, f64)> =
            (1..=120).map(|end| (f64::from(end), if end == 90 { 100.0 } else { 0.0 })).collect();
        let minute = Duration::secs(60);
        let shown = rates(&steps, Duration::secs(120), minute, minute);
        // Two samples a minute apart in a range of two: the counter was zero, so nothing is drawn out.
        assert_eq!(shown, [(120.0, 100.0 / 120.0)]);
    }
}
