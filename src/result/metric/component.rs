//! Metrics of a component.

use super::{Fold, Metric, QUANTILES, Seen, Unit, share_of};
use crate::model::StationKind;
use crate::run::{Counter, StationOutcome};
use crate::stats::Histogram;
use crate::units::Duration;

/// Metrics of a component.
pub fn component() -> Vec<Metric> {
    let mut metrics = occupation();
    metrics.extend(of_histogram!(
        "wait_s",
        "waiting times before being served, zeros included",
        Seen::wait
    ));
    metrics.extend(of_histogram!(
        "handling_s",
        "times from the sending of a socket's message to the end of its handler, of those that ended well",
        Seen::handling
    ));
    metrics.extend(shares());
    for counter in Counter::ALL {
        if matches!(counter, Counter::LagMicros | Counter::LagShownMicros) {
            continue; // Reported as the means `lag_s` and `lag_shown_s`.
        }
        let meaning = format!("{}, in the measured time of all replications.", counted(counter));
        let metric = Metric::new(counter.slug(), Unit::Count, meaning, |seen, index| {
            seen.is_built().then(|| seen.station().counters[index] as f64)
        })
        .index(counter as usize)
        .fold(Fold::Total);
        let always = matches!(counter, Counter::Rejected | Counter::TimedOut);
        metrics.push(if always { metric } else { metric.sparse() });
    }
    metrics
}

fn occupation() -> Vec<Metric> {
    let count = |path, meaning, of| Metric::new(path, Unit::Count, meaning, of);
    let mut metrics = vec![
        Metric::new(
            "utilisation_ratio",
            Unit::Ratio,
            "Busy servers over servers: cores, connections, workers or loops.",
            |seen, _| of_servers(seen, seen.station().utilisation()),
        ),
        count("busy", "Busy servers on average.", |seen, _| {
            of_servers(seen, seen.station().busy_mean)
        }),
        count("capacity", "Servers on average.", |seen, _| {
            of_servers(seen, seen.station().capacity)
        }),
        count("peak", "Busy servers at most.", |seen, _| {
            of_servers(seen, seen.station().busy_peak)
        })
        .fold(Fold::Greatest),
        count("waiting", "Requests waiting on average.", |seen, _| {
            seen.has_queue().then(|| seen.station().waiting_mean)
        }),
        count("waiting_peak", "Requests waiting at most.", |seen, _| {
            seen.has_queue().then(|| seen.station().waiting_peak as f64)
        })
        .fold(Fold::Greatest),
        count(
            "held",
            "Open connections, live sessions, used bytes, running instances or workers that come and go on average.",
            |seen, _| Some(seen.station().held_mean),
        )
        .sparse(),
        count("held_peak", "The same at most.", |seen, _| Some(seen.station().held_peak as f64))
            .fold(Fold::Greatest)
            .sparse(),
    ];
    metrics.extend(of_jobs());
    for (index, percent) in [75, 85, 95, 100].into_iter().enumerate() {
        let metric = Metric::new(
            format!("time_above_ratio.{percent}"),
            Unit::Ratio,
            format!("Share of the time with at least {percent} % of the servers busy."),
            |seen, index| of_servers(seen, seen.station().time_above[index]),
        );
        metrics.push(metric.index(index));
    }
    metrics
}

/// What is known of the jobs of a queue.
fn of_jobs() -> Vec<Metric> {
    vec![
        Metric::new(
            "delayed",
            Unit::Count,
            "Jobs that their queue keeps until they are due, on average: delayed ones and those to be tried again.",
            |seen, _| of_queue(seen, |it| it.delayed.map(|delayed| delayed.0)),
        )
        .sparse(),
        Metric::new("delayed_peak", Unit::Count, "The same at most.", |seen, _| {
            of_queue(seen, |it| it.delayed.map(|delayed| delayed.1 as f64))
        })
        .fold(Fold::Greatest)
        .sparse(),
        Metric::new(
            "oldest_s",
            Unit::Seconds,
            "How long the job has waited that waits for longest, on average over time; nothing while none waits.",
            |seen, _| of_queue(seen, |it| it.oldest_s.map(|oldest| oldest.0)),
        ),
        Metric::new("oldest_peak_s", Unit::Seconds, "The same at most.", |seen, _| {
            of_queue(seen, |it| it.oldest_s.map(|oldest| oldest.1))
        })
        .fold(Fold::Greatest),
    ]
}

fn of_queue(seen: Seen<'_>, of: fn(&StationOutcome) -> Option<f64>) -> Option<f64> {
    (seen.kind() == StationKind::Queue).then(|| of(seen.station())).flatten()
}

/// The value, if the component has servers that can be busy.
fn of_servers(seen: Seen<'_>, value: f64) -> Option<f64> {
    (seen.is_built() && seen.station().capacity > 0.0).then_some(value)
}

fn shares() -> Vec<Metric> {
    vec![
        Metric::new(
            "hit_ratio",
            Unit::Ratio,
            "Look-ups that found what they looked for, over all look-ups; of a database pages of its `buffer`.",
            |seen, _| {
                let hits = seen.counter(Counter::Hits);
                // Those who joined somebody else's load are among the misses.
                share_of(hits, hits + seen.counter(Counter::Misses))
            },
        ),
        Metric::new(
            "byte_hit_ratio",
            Unit::Ratio,
            "Bytes that an edge answered by itself, over all bytes.",
            |seen, _| {
                let edge = seen.kind() == StationKind::Cdn;
                let hits = seen.counter(Counter::HitBytes);
                share_of(hits, seen.counter(Counter::Bytes)).filter(|_| edge)
            },
        ),
        Metric::new(
            "turned_away_ratio",
            Unit::Ratio,
            "Requests rejected, refused or timed out here, over all that came.",
            |seen, _| turned_away(seen.station()),
        )
        .sparse(),
        Metric::new(
            "lag_s",
            Unit::Seconds,
            "Mean time that something is behind: from a write's commit to its replay on a replica, from a message's \
             publishing until it has been handled, from a job's wish to its end, from a message to a socket's members.",
            |seen, _| {
                let replayed = seen.counter(Counter::Replayed);
                share_of(seen.counter(Counter::LagMicros), replayed).map(|micros| micros * 1e-6)
            },
        ),
        Metric::new(
            "lag_shown_s",
            Unit::Seconds,
            "Mean of the lag that the product shows once a minute: the time since the commit replayed last.",
            |seen, _| {
                let shown = seen.counter(Counter::LagShown);
                share_of(seen.counter(Counter::LagShownMicros), shown).map(|micros| micros * 1e-6)
            },
        )
        .sparse(),
        Metric::new(
            "memory_ratio",
            Unit::Ratio,
            "What the processes of database servers take of their `memory`, shared buffers and the system included, the page cache aside.",
            |seen, _| seen.station().memory.map(|(mean, _)| mean),
        )
        .sparse(),
        Metric::new(
            "memory_peak_ratio",
            Unit::Ratio,
            "The same at most, of any of the servers.",
            |seen, _| seen.station().memory.map(|(_, peak)| peak),
        )
        .fold(Fold::Greatest)
        .sparse(),
        Metric::new(
            "part_busiest_ratio",
            Unit::Ratio,
            "Utilisation of its busiest node, shard, partition or member, where it has several.",
            |seen, _| seen.station().imbalance.map(|_| seen.station().busiest()),
        )
        .sparse(),
        Metric::new(
            "part_imbalance_ratio",
            Unit::Ratio,
            "What its busiest node, shard, partition or member works over the mean of all: 1 is even.",
            |seen, _| seen.station().imbalance,
        )
        .sparse(),
        Metric::new(
            "worker_busiest_ratio",
            Unit::Ratio,
            "Share of the time that the busiest worker computes.",
            |seen, _| seen.station().worker_busiest.map(|(busiest, _)| busiest),
        ),
        Metric::new(
            "worker_imbalance_ratio",
            Unit::Ratio,
            "The busiest worker's computing time over the mean of all workers: 1 is even.",
            |seen, _| {
                let (busiest, mean) = seen.station().worker_busiest?;
                (mean > 0.0).then(|| busiest / mean)
            },
        ),
    ]
}

/// Requests rejected, refused or timed out at a component, over all that came to it.
pub(in crate::result) fn turned_away(station: &StationOutcome) -> Option<f64> {
    let count = |counter: Counter| station.counters[counter as usize];
    let away = count(Counter::Rejected) + count(Counter::TimedOut) + count(Counter::Refused);
    let came = count(Counter::Arrivals).max(away);
    share_of(away, came)
}

/// What a counter counts.
fn counted(counter: Counter) -> &'static str {
    match counter {
        Counter::Arrivals => "Requests that came to be served",
        Counter::Served => "Requests that were served",
        Counter::Rejected => "Requests that were turned away",
        Counter::TimedOut => "Requests that waited too long",
        Counter::Opened => "Connections opened, or instances started",
        Counter::Closed => "Connections closed, or instances stopped",
        Counter::Refused => "Connections that the server refused",
        Counter::Hits => "Look-ups that found what they looked for",
        Counter::Misses => "Look-ups that found nothing",
        Counter::Joined => "Misses that waited for somebody else's load",
        Counter::Evicted => "Entries evicted for lack of room",
        Counter::Expired => "Entries, rows, sessions, messages or addresses whose time was over",
        Counter::OutOfMemory => "Writes, or processes, that found no memory",
        Counter::Reads => "Reads",
        Counter::Writes => "Writes",
        Counter::StaleReads => {
            "Reads that may have missed the reader's own last write, or answers given after their time"
        }
        Counter::Errors => "Statements, evaluations, writes, answers or checks that failed",
        Counter::Bytes => "Bytes carried",
        Counter::LagMicros => "Sum of replication lags",
        Counter::Replayed => "Writes replayed on replicas",
        Counter::Created => "Sessions or entries created",
        Counter::Retried => "Jobs, uploads or messages tried again",
        Counter::Wasted => "Work done for nobody",
        Counter::Lost => "Transfers hit by loss, or writes lost in a failover",
        Counter::Stalled => "Jobs run again because their lock was lost",
        Counter::ThrottledMicros => "Time at the baseline for lack of burst credits (us)",
        Counter::SurplusMillis => "Core time above what burst credits were earned for (ms)",
        Counter::RepaidMillis => "Surplus core time that later earnings have paid back (ms)",
        Counter::LagShownMicros => "Sum of the lags shown once a minute",
        Counter::LagShown => "Replication lags shown, one a minute and replica",
        Counter::Deadlocks => "Statements that failed in a deadlock",
        Counter::Conflicts => "Queries cancelled because replay conflicted with them",
        Counter::Stale => "Values served after their time to live",
        Counter::Early => "Values loaded anew before their time to live was over",
        Counter::Killed => "Processes killed because they did not answer, or found no memory",
        Counter::Collections => "Collections of garbage",
        Counter::PausedMicros => "Time that event loops stood still for collections (us)",
        Counter::BilledMillis => "Time that executions of a function are charged for (ms)",
        Counter::Recycled => "Workers that ended because they had answered enough requests",
        Counter::Slow => "Commands that the server's slow log has",
        Counter::Left => "Bytes of uploads that were begun and never completed",
        Counter::Handled => "Messages of sockets whose handlers ended well",
        Counter::Unhandled => {
            "Messages of sockets whose handlers failed or died with their process"
        }
        Counter::Stored => "Bytes of objects that were put into a store",
        Counter::HitBytes => "Bytes that an edge answered by itself",
    }
}
