//! The tables in files, each described once: tidy, one row for each thing measured.

use super::Point;
use crate::result::{Metric, Subject};
use crate::run::Window;

/// A column.
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub meaning: &'static str,
}

/// A table.
pub struct Table {
    /// The name of its file.
    pub file: &'static str,
    /// Its columns.
    pub columns: &'static [Column],
    write: fn(&[Point<'_>], &mut Rows),
}

pub(super) const fn column(name: &'static str, meaning: &'static str) -> Column {
    Column { name, meaning }
}

const MODEL: Column = column("model", "name of the topology file, without its ending");
const REPLICATION: Column = column("replication", "number of the replication, from 0");
const SUBJECT: Column =
    column("subject", "`all`, the name of an operation, or the path of a component");
const METRIC: Column = column("metric", "name of the metric, with its unit at its end");
const UNIT: Column = column("unit", "unit: s, 1/s, ratio, count or $ (a month)");

/// All tables of a run.
pub const TABLES: [Table; 3] = [
    Table {
        file: "runs.csv",
        columns: &[
            MODEL,
            REPLICATION,
            SUBJECT,
            METRIC,
            UNIT,
            column("value", "value in this replication"),
        ],
        write: runs,
    },
    Table {
        file: "summary.csv",
        columns: &[
            MODEL,
            SUBJECT,
            column("kind", "`deployment`, `operation`, or the kind of the component"),
            METRIC,
            UNIT,
            column("estimate", "mean over replications; counts: sum; peaks and maxima: greatest"),
            column("low", "lower end of the interval, where there is one"),
            column("high", "upper end of the interval, where there is one"),
            column("confidence_ratio", "confidence of the interval"),
            column("replications", "replications in which it was measured"),
        ],
        write: summary,
    },
    Table {
        file: "timeline.csv",
        columns: &[
            MODEL,
            REPLICATION,
            column("start_s", "start of the window in simulated time [s]"),
            column("end_s", "end of the window [s]"),
            column("measured", "false during the warm-up"),
            SUBJECT,
            METRIC,
            column("value", "value in this window"),
        ],
        write: timeline,
    },
];

impl Table {
    /// The table as CSV (RFC 4180, lines ending in LF).
    pub fn to_csv(&self, points: &[Point<'_>]) -> Vec<u8> {
        let mut rows = Rows::new(self.columns);
        (self.write)(points, &mut rows);
        rows.into_bytes()
    }
}

/// Where rows go.
pub(super) struct Rows {
    writer: csv::Writer<Vec<u8>>,
}

impl Rows {
    /// A table with the names of its columns.
    pub(super) fn new(columns: &[Column]) -> Rows {
        let mut rows = Rows { writer: csv::Writer::from_writer(Vec::new()) };
        rows.add(columns.iter().map(|column| column.name));
        rows
    }
    /// The table as CSV (RFC 4180, lines ending in LF).
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.writer.into_inner().expect("memory takes everything")
    }
    pub(super) fn add<T: AsRef<[u8]>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.writer.write_record(cells).expect("rows of a table are of one length, in memory");
    }
}

/// The shortest text that reads back as the same number; the same on every platform.
pub(super) fn number(value: f64) -> String {
    format!("{value}")
}

pub(super) fn optional(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}

fn runs(points: &[Point<'_>], rows: &mut Rows) {
    for point in points {
        for (index, replication) in point.summary.replications.iter().enumerate() {
            let replication = replication.to_string();
            for Subject { path, measures, .. } in point.summary.subjects() {
                for measure in measures {
                    let Some(value) = measure.values[index] else { continue };
                    let Metric { unit, .. } = &measure.metric;
                    let (name, value) = (measure.metric.name(), number(value));
                    rows.add([point.name, &replication, path, &name, unit.symbol(), &value]);
                }
            }
        }
    }
}

fn summary(points: &[Point<'_>], rows: &mut Rows) {
    for point in points {
        let confidence = number(point.summary.confidence);
        for Subject { path, kind, measures } in point.summary.subjects() {
            for measure in measures {
                let known = measure.values.iter().flatten().count().to_string();
                let found = &measure.estimate;
                rows.add([
                    point.name,
                    path,
                    kind,
                    &measure.metric.name(),
                    measure.metric.unit.symbol(),
                    &optional(found.estimate),
                    &optional(found.low),
                    &optional(found.high),
                    &confidence,
                    &known,
                ]);
            }
        }
    }
}

fn timeline(points: &[Point<'_>], rows: &mut Rows) {
    for point in points {
        for outcome in point.outcomes {
            let replication = outcome.replication.to_string();
            for window in &outcome.windows {
                let (start, end) = (number(window.start.seconds()), number(window.end.seconds()));
                let measured = window.measured.to_string();
                let mut add = |subject: &str, metric: &str, value: f64| {
                    let value = number(value);
                    rows.add([
                        point.name,
                        &replication,
                        &start,
                        &end,
                        &measured,
                        subject,
                        metric,
                        &value,
                    ]);
                };
                for (metric, value) in of_window(window) {
                    add("all", metric, value);
                }
                for (station, seen) in point.model.stations.iter().zip(&window.stations) {
                    // What a component never has is no row: most hold nothing.
                    for (metric, value) in [
                        ("busy", seen.busy),
                        ("waiting", seen.waiting),
                        ("held", seen.held),
                        ("delayed", seen.delayed),
                        ("oldest_s", seen.oldest_s),
                    ] {
                        if value != 0.0 {
                            add(&station.path, metric, value);
                        }
                    }
                }
            }
        }
    }
}

fn of_window(window: &Window) -> impl Iterator<Item = (&'static str, f64)> {
    let seconds = window.end.since(window.start).seconds();
    let rate = |count: u64| Some(count as f64 / seconds);
    [
        ("offered_per_s", rate(window.offered)),
        ("throughput_per_s", rate(window.ok)),
        ("failed_per_s", rate(window.failed)),
        ("latency_mean_s", window.latency_mean_s),
        ("latency_p95_s", window.latency_p95_s),
        ("in_flight", Some(window.in_flight)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}
