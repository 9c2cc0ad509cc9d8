//! When a monitor's alarm calls somebody, and whether it should have.
//!
//! As Amazon CloudWatch does it (User Guide, "Configuring how CloudWatch alarms treat missing data"): M of the
//! last N periods must be beyond the bound. Where some have no value, the last N that have one decide, of
//! those that are looked back at, which are two more than N here (the guide's examples have five for three);
//! where these are too few, what is missing counts as the alarm says. Missing data that count as nothing let
//! an alarm call early: where the oldest period beyond the bound is at least M back, and nothing that is looked
//! back at was within it. Before the measured time all was well.

use super::Alarmed;
use crate::model::{Alarm, Missing, Monitor};

/// How many more periods than those that decide are looked back at.
const LOOK_BACK: usize = 2;

/// What an alarm is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Quiet,
    Calling,
    Unknown,
}

/// When it calls somebody (s of the measured time): each time that it begins to. `values` are those that
/// periods have, with their ends.
pub(super) fn calls(
    alarm: &Alarm,
    monitor: &Monitor,
    values: &[(f64, f64)],
    length_s: f64,
) -> Vec<f64> {
    let every = monitor.every.seconds();
    let reach = alarm.among as usize + LOOK_BACK;
    let mut seen = vec![Some(false); reach];
    let mut state = State::Quiet;
    let mut calls = Vec::new();
    let mut left = values.iter().peekable();
    for number in 1..=(length_s / every + 1e-9) as u64 {
        let end = number as f64 * every;
        let value = left.next_if(|(at, _)| *at <= end + 1e-6).map(|(_, value)| *value);
        seen.push(value.map(|value| alarm.is_beyond(value)));
        let next = judge(alarm, &seen[seen.len() - reach..]).unwrap_or(state);
        if next == State::Calling && state != State::Calling {
            calls.push(end + monitor.delay.seconds());
        }
        state = next;
    }
    calls
}

/// What the last periods say, the latest at the end; [`None`] leaves everything as it was.
fn judge(alarm: &Alarm, lately: &[Option<bool>]) -> Option<State> {
    let (most, least) = (alarm.among as usize, alarm.points as usize);
    let mut known: Vec<bool> = lately.iter().rev().flatten().copied().collect();
    known.truncate(most);
    let beyond = known.iter().filter(|it| **it).count();
    let absent = most - known.len();
    let calling = |calls: bool| Some(if calls { State::Calling } else { State::Quiet });
    match alarm.missing {
        _ if absent == 0 || beyond >= least => calling(beyond >= least),
        Missing::NotBreaching => calling(false),
        Missing::Breaching => calling(beyond + absent >= least),
        Missing::Ignore if known.contains(&false) => calling(false),
        Missing::Ignore => None,
        Missing::Missing if known.is_empty() => Some(State::Unknown),
        Missing::Missing if known.contains(&false) => calling(false),
        Missing::Missing => {
            let recent = lately.iter().rev().take(most);
            calling(recent.skip(least - 1).any(|it| *it == Some(true)))
        }
    }
}

/// What calls are worth: they belong to the episode that lasts, or ended no longer ago than it takes to call.
/// With it the delay of each episode that called (s).
pub(super) fn judged(
    alarm: &Alarm,
    monitor: &Monitor,
    steps: &[(f64, Option<f64>)],
    calls: Vec<f64>,
) -> (Alarmed, Vec<f64>) {
    let mut episodes: Vec<(f64, f64)> = Vec::new();
    let mut begun = None;
    let mut before = 0.0;
    for (end, value) in steps {
        let beyond = match value {
            Some(value) => alarm.is_beyond(*value),
            None if alarm.missing == Missing::Breaching => true,
            None => begun.is_some(),
        };
        match (begun, beyond) {
            (None, true) => begun = Some(before),
            (Some(from), false) => {
                episodes.push((from, before));
                begun = None;
            }
            _ => {}
        }
        before = *end;
    }
    episodes.extend(begun.map(|from| (from, before)));
    let late = monitor.every.seconds() * f64::from(alarm.among) + monitor.delay.seconds();
    let meant = |call: f64, episode: &(f64, f64)| episode.0 < call && call <= episode.1 + late;
    let delays: Vec<f64> = episodes
        .iter()
        .filter_map(|episode| {
            calls.iter().find(|call| meant(**call, episode)).map(|call| call - episode.0)
        })
        .collect();
    let wrong = calls.iter().filter(|call| !episodes.iter().any(|it| meant(**call, it))).count();
    let alarmed = Alarmed {
        calls: calls.len() as u32,
        episodes: episodes.len() as u32,
        missed: (episodes.len() - delays.len()) as u32,
        false_alarms: wrong as u32,
        delay_mean_s: None,
    };
    (alarmed, delays)
}

/// All replications together.
pub(super) fn summed(each: Vec<(Alarmed, Vec<f64>)>) -> Alarmed {
    let mut sum = Alarmed::default();
    let mut delays = Vec::new();
    for (one, its) in each {
        sum.calls += one.calls;
        sum.episodes += one.episodes;
        sum.missed += one.missed;
        sum.false_alarms += one.false_alarms;
        delays.extend(its);
    }
    let mean = || delays.iter().sum::<f64>() / delays.len() as f64;
    sum.delay_mean_s = (!delays.is_empty()).then(mean);
    sum
}

#[cfg(test)]
mod tests {
    use super::super::monitor::readings;
    use super::*;
    use crate::model::{Reading, Shown};
    use crate::units::Duration;

    fn alarm(points: u32, among: u32, missing: Missing) -> Alarm {
        Alarm { bound: 0.8, below: false, points, among, missing }
    }
    fn monitor(every: Duration) -> Monitor {
        Monitor {
            buckets: Vec::new(),
            name: String::new(),
            shows: Shown::MeanOfWindows,
            every,
            reads: Reading::Average,
            delay: Duration::ZERO,
            alarm: None,
        }
    }

    #[test]
    fn an_alarm_comes_late_or_never_or_for_nothing() {
        let steps: Vec<(f64, f64)> = (1..=600)
            .map(|end| {
                let busy = (60..90).contains(&end) || (240..540).contains(&end);
                (f64::from(end), if busy { 1.0 } else { 0.2 })
            })
            .collect();
        let monitor = monitor(Duration::secs(60));
        let values = readings(&monitor, &steps, &vec![1.0; steps.len()]);
        assert_eq!(values.len(), 10);
        let three = alarm(3, 3, Missing::Missing);
        let calls = calls(&three, &monitor, &values, 600.0);
        let steps: Vec<_> = steps.into_iter().map(|(end, value)| (end, Some(value))).collect();
        let (alarm, delays) = judged(&three, &monitor, &steps, calls);
        // Half a minute is not seen; five minutes are, after the three that it takes.
        assert_eq!((alarm.episodes, alarm.missed, alarm.false_alarms), (2, 1, 0));
        assert_eq!(delays, [420.0 - 239.0]);
    }

    /// The two tables of the user guide: what five periods come to, the latest last.
    #[test]
    fn missing_data_are_treated_as_cloudwatch_says() {
        use State::{Calling as A, Quiet as O, Unknown as I};
        let all = [Missing::Missing, Missing::Ignore, Missing::Breaching, Missing::NotBreaching];
        let lately = |text: &str| -> Vec<Option<bool>> {
            let one = |sign| match sign {
                '-' => None,
                sign => Some(sign == 'X'),
            };
            text.chars().map(one).collect()
        };
        let rows = [
            (3, "0-X-X", [Some(O); 4]),
            (3, "----0", [Some(O); 4]),
            (3, "-----", [Some(I), None, Some(A), Some(O)]),
            (3, "0XX-X", [Some(A); 4]),
            (3, "--X--", [Some(A), None, Some(A), Some(O)]),
            (2, "0-X-X", [Some(A); 4]),
            (2, "00X0X", [Some(A); 4]),
            (2, "0-X--", [Some(O), Some(O), Some(A), Some(O)]),
            (2, "----0", [Some(O), Some(O), Some(A), Some(O)]),
            (2, "-----", [Some(I), None, Some(A), Some(O)]),
            (2, "---X-", [Some(A), None, Some(A), Some(O)]),
        ];
        for (points, seen, expected) in rows {
            let found = all.map(|missing| judge(&alarm(points, 3, missing), &lately(seen)));
            assert_eq!(found, expected, "{points} of 3, {seen}");
        }
    }
}
