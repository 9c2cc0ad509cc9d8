//! Monitors: what a product's own metric would show, beside the truth.

use super::kind::Kind;
use super::names::{Address, Scope, Section};
use super::spec::{Reader, Shape, spec};
use super::tree::{Node, Value};
use crate::units::{Bandwidth, Bytes, Duration, Quantity, Rate, Ratio, UnitError};

/// What a monitor can look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched;
impl Scope for Watched {
    const SECTIONS: &'static [Section] = &[
        Section::Service,
        Section::Pool,
        Section::Pooler,
        Section::Database,
        Section::Cache,
        Section::Queue,
        Section::Link,
        Section::Session,
        Section::Socket,
        Section::Stream,
        Section::Consumer,
        Section::Host,
        Section::Cdn,
    ];
}
spec! {
    /// A metric as a monitoring product shows it, beside what was really so. It changes nothing.
    component Monitor {
        /// What it looks at, where it shows use, or latency by instance.
        of: Option<Address<Watched>> = "what users see" from "assumed: latency is measured at the edge";
        /// What it shows.
        shows: Shows;
        /// The period of one value.
        every: Duration = "\"60s\"" from "Amazon CloudWatch (basic metrics of one minute)", positive;
        /// What becomes of a period.
        reads: Reading = "\"average\"" from "Amazon CloudWatch (statistic Average)";
        /// How long after its end a period is known: until then nobody can be called. Metrics of AWS services
        /// reach CloudWatch one to three minutes late.
        delay: Duration = "\"0s\"" from "assumed: a period is known when it is over";
        /// When somebody is called.
        alarm: Option<Alarm> = "nobody is called" from "assumed: a dashboard";
    }
}
spec! {
    /// What a monitor shows.
    choice Shows {
        /// Busy servers as a share of all: cores, connections in use, slots.
        Busy = "busy";
        /// What is open as a share of the most that may be: of node-postgres totalCount / max, idle and
        /// connecting ones included; of a database the backends of its primaries / `max_connections`.
        Open = "open";
        /// Requests that wait at a component.
        Waiting = "waiting";
        /// What a component holds: a pool's connections, those to a database (PostgreSQL
        /// `numbackends`), sessions of a store, a cache's bytes, a service's instances, connections of a
        /// socket, members of a group, workers of a queue that has an `autoscale`.
        Held = "held";
        /// Jobs of a queue that are due later: delayed ones and those to be tried again.
        Delayed = "delayed";
        /// How long the job of a queue has waited that waits for longest; of SQS
        /// `ApproximateAgeOfOldestMessage`.
        Oldest = "oldest";
        /// What a link carries; of one that is full duplex what goes out.
        Bandwidth = "bandwidth";
        /// Look-ups of a cache or an edge that find what they look for, as a share; no value while nobody
        /// looks anything up.
        Hits = "hits";
        /// Entries a second that a cache lets go for lack of room.
        Evictions = "evictions";
        /// How long the write has been committed that a replica of a database should have replayed first and
        /// has not, of the replica that is furthest behind (PostgreSQL `now() - pg_last_xact_replay_timestamp()`
        /// on a busy primary), at the end of each step of the timeline.
        Lag = "lag";
        /// Memory in use as a share of what there is: of a cache of its `memory`, of a service of that of its
        /// instances, of a database that of its fullest server, page cache aside (of RDS what is not
        /// `FreeableMemory`), at the end of each step of the timeline.
        Memory = "memory";
        /// Requests of users that are under way: concurrent requests.
        InFlight = "in-flight";
        /// Answers with a 5xx status as a share of all requests that end.
        Errors = "errors";
        /// The share of periods in which it was up, as a status page has it, with the time that a
        /// target leaves for being down.
        Uptime(UptimeShown) = "uptime";
        /// Answers a second, as `rate()` of Prometheus has them from a counter.
        Rate(RateShown) = "rate";
        /// A quantile of the latency that users see.
        Latency(LatencyShown) = "latency";
    }
}
spec! {
    /// Uptime, and the budget that is left of it: 95 % leave 36 h in 30 days, 99 % 7.2 h, 99.5 % 3.6 h,
    /// 99.9 % 43 min, 99.99 % 4.3 min.
    table UptimeShown (short "target") {
        /// What was promised.
        target: Ratio = "\"99.9%\"" from "assumed: three nines", positive;
        /// A period with a greater share of failed requests than this counts as down.
        down_above: Ratio = "\"50%\"" from "assumed: most probes of a status page fail then", positive;
    }
}
spec! {
    /// A rate as Prometheus comes by it: from the first and the last sample within a range, drawn out
    /// to its ends.
    table RateShown (short "range") {
        /// The range: `rate(http_requests_total[5m])`.
        range: Duration = "\"5min\"" from "Prometheus 2.53 (querying examples: [5m])", positive;
        /// Time between samples.
        scrape: Duration = "\"1min\"" from "Prometheus 2.53 (scrape_interval)", positive;
    }
}
spec! {
    /// A quantile as a monitor comes by it.
    table LatencyShown (short "quantile") {
        /// The quantile.
        quantile: Ratio = "\"95%\"" from "assumed: what most dashboards show", positive;
        /// How it is come by.
        how: Estimation = "\"mean-of-windows\"" from "assumed: an average over a graph of p95";
        /// Upper bounds of the buckets of a `histogram`, ascending; what is beyond the last is shown as
        /// the last.
        buckets: Vec<Duration> = "[\"5ms\", \"10ms\", \"25ms\", \"50ms\", \"100ms\", \"250ms\", \"500ms\", \"1s\", \"2.5s\", \"5s\", \"10s\"]"
            from "prom-client 15 (Histogram defaultBuckets) and client_golang (DefBuckets)", positive;
    }
}
spec! {
    /// How a quantile is come by.
    choice Estimation {
        /// The mean of the p95 of every step of the timeline (p95 only).
        MeanOfWindows = "mean-of-windows";
        /// The mean of what the instances of a service, `of`, each measure of their own requests in a
        /// period, from when the balancer has one to its answer: an average over hosts of a quantile.
        MeanOfInstances = "mean-of-instances";
        /// By `histogram_quantile` of Prometheus, which interpolates within `buckets`.
        Histogram = "histogram";
        /// Of single attempts, each from when it was sent rather than from when it was wanted: what a load
        /// generator sees that waits for answers (coordinated omission).
        FromSending = "from-sending";
    }
}
spec! {
    /// What becomes of a period.
    choice Reading {
        /// Its mean.
        Average = "average";
        /// The value at its end.
        Sample = "sample";
        /// The greatest value of the timeline within it.
        Greatest = "greatest";
    }
}
spec! {
    /// When somebody is called.
    table Alarm {
        /// The value that must be passed, in the unit of what is shown: `"90%"` of what is busy, open
        /// or errors, `"500ms"` of a latency, `"800/s"` of a rate, `"75Mbit/s"` of a bandwidth, `3_000`
        /// of what waits, is held or in flight, `"12GB"` of what a cache holds.
        above: Option<Threshold> = "see `below`" from "Amazon CloudWatch (GreaterThanThreshold)", positive;
        /// The same of a value that must not be fallen below, as of `hits`.
        below: Option<Threshold> = "see `above`" from "Amazon CloudWatch (LessThanThreshold)", positive;
        /// How many periods must be so.
        points: u32 = "3" from "AWS Application Auto Scaling (3 data points); alarms of one's own have 1", positive;
        /// Among how many of the last periods: M out of N.
        among: Option<u32> = "`points`: all of them, in a row" from "Amazon CloudWatch (DatapointsToAlarm is EvaluationPeriods)", positive;
        /// What a period without a value counts as: without a request there is no latency and no share of
        /// errors, without a look-up no share of hits.
        missing: MissingData = "\"missing\"" from "Amazon CloudWatch (TreatMissingData missing)";
    }
}
spec! {
    /// What periods without a value count as, where the two more that are looked back at do not make up for
    /// them.
    choice MissingData {
        /// As nothing: those that there are decide. Without any nothing is known, and an alarm ends.
        Missing = "missing";
        /// As within the bound.
        NotBreaching = "not-breaching";
        /// As beyond the bound.
        Breaching = "breaching";
        /// Whatever was so before goes on, unless those that there are decide.
        Ignore = "ignore";
    }
}

/// A threshold as the file says it; what it is a value of, its monitor says.
#[derive(Clone, Debug, PartialEq)]
pub enum Threshold {
    /// A number with its unit.
    Quantity(String),
    /// A number of things.
    Number(f64),
}

/// What a threshold can be a value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// A share of a whole.
    Share,
    /// A length of time (s).
    Time,
    /// Things a second.
    Rate,
    /// What is carried (bit/s).
    Bandwidth,
    /// Memory (bytes).
    Memory,
    /// Things.
    Count,
}

impl Shape for Threshold {
    fn kind() -> Kind {
        let text = Kind::Form { what: "a value of what is shown", example: "\"90%\"" };
        Kind::Either(Box::new(text), Box::new(Kind::Number))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(text) => Some(Threshold::Quantity(text.clone())),
            Value::Integer(_) | Value::Float(_) => f64::read(node, reader).map(Threshold::Number),
            _ => reader.wrong_type(node, &Self::kind()),
        }
    }
    fn is_positive(&self) -> bool {
        !matches!(self, Threshold::Number(number) if *number <= 0.0)
    }
}

impl Threshold {
    /// Its value in SI units.
    pub fn value(&self, of: Measure) -> Result<f64, UnitError> {
        let text = match self {
            Threshold::Number(number) if of == Measure::Count => return Ok(*number),
            Threshold::Number(number) => &number.to_string(),
            Threshold::Quantity(text) => text,
        };
        match of {
            Measure::Share => Ratio::parse(text).map(|it| it.0),
            Measure::Time => Duration::parse(text).map(Duration::seconds),
            Measure::Rate => Rate::parse(text).map(|it| it.0),
            Measure::Bandwidth => Bandwidth::parse(text).map(|it| it.0),
            Measure::Memory => Bytes::parse(text).map(|it| it.0),
            Measure::Count => Err(UnitError {
                message: format!("`{text}` is no number of things"),
                help: "write a bare number, such as `3_000`".into(),
            }),
        }
    }
}

impl Monitor {
    /// What its values are.
    pub fn measure(&self) -> Measure {
        match &self.shows {
            Shows::Busy
            | Shows::Open
            | Shows::Errors
            | Shows::Uptime(_)
            | Shows::Hits
            | Shows::Memory => Measure::Share,
            Shows::Latency(_) | Shows::Oldest | Shows::Lag => Measure::Time,
            Shows::Rate(_) | Shows::Evictions => Measure::Rate,
            Shows::Bandwidth => Measure::Bandwidth,
            Shows::Held if self.of.as_ref().is_some_and(|it| it.section == Section::Cache) => {
                Measure::Memory
            }
            Shows::Held | Shows::Delayed | Shows::Waiting | Shows::InFlight => Measure::Count,
        }
    }
}
