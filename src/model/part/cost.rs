//! What the deployment costs.

use crate::model::ids::*;

/// A part of what the deployment costs.
#[derive(Clone, Debug)]
pub struct Cost {
    /// The component's path, or the name of a further cost.
    pub path: String,
    /// Dollars a unit and month.
    pub monthly: f64,
    /// Units at the start.
    pub units: f64,
    /// The service whose running instances are the units.
    pub service: Option<ServiceId>,
    /// The queue whose running workers are the units.
    pub workers: Option<StationId>,
    /// Dollars a gigabyte that passes the station.
    pub per_gigabyte: f64,
    /// Dollars a million requests.
    pub per_million: f64,
    /// Dollars a million requests that read from a store.
    pub per_million_reads: f64,
    /// Dollars a million requests that write to a store.
    pub per_million_writes: f64,
    /// Dollars a gigabyte of uploads that were never completed.
    pub per_gigabyte_left: f64,
    /// Dollars a gigabyte that is put into a store.
    pub per_gigabyte_stored: f64,
    /// Dollars a million that were served.
    pub per_million_served: f64,
    /// Dollars a million minutes of what is held.
    pub per_million_minutes: f64,
    /// Dollars an hour of a capacity unit of an Application Load Balancer.
    pub per_lcu_hour: f64,
    /// The service behind it.
    pub balanced: Option<ServiceId>,
    /// Dollars a second that executions of a function are charged for.
    pub per_billed_second: f64,
    /// Units that are committed to, and dollars a month for each.
    pub committed: (f64, f64),
    /// Which share of the traffic is charged.
    pub share: f64,
    /// Dollars an hour of a core above what burst credits were earned for.
    pub per_surplus_hour: f64,
    /// Whose traffic the gigabytes and the requests are.
    pub station: Option<StationId>,
    /// Where the price is stated.
    pub source: Option<String>,
}
