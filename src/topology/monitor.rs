//! Monitors: what a product's own metric would show, beside the truth.

use super::names::{Address, Scope, Section};
use super::spec::spec;
use crate::units::{Duration, Ratio};

/// What a monitor can look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched;
impl Scope for Watched {
    const SECTIONS: &'static [Section] =
        &[Section::Service, Section::Pool, Section::Database, Section::Cache, Section::Queue];
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
        /// connecting ones included.
        Open = "open";
        /// Answers a second, as `rate()` of Prometheus has them from a counter.
        Rate(RateShown) = "rate";
        /// A quantile of the latency that users see.
        Latency(LatencyShown) = "latency";
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
        /// By `histogram_quantile` of Prometheus, which interpolates within the buckets of prom-client 15
        /// and client_golang: 5, 10, 25, 50, 100, 250, 500 ms, 1, 2.5, 5 and 10 s.
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
        /// The value that must be passed.
        above: Ratio, positive;
        /// How many periods in a row.
        points: u32 = "3" from "AWS Application Auto Scaling (3 data points); alarms of one's own have 1", positive;
    }
}
