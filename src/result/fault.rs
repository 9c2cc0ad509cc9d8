//! When faults, deploys and failovers of DNS began and ended: marks on a timeline.

use serde::Serialize;

use crate::model::Model;
use crate::run::Outcome;
use crate::units::Time;

/// A fault, a deploy or a failover of DNS that has happened in a replication.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// In which replication.
    pub replication: u32,
    /// Its name.
    pub name: String,
    /// What happened to what: `cache.redis stop`.
    pub what: String,
    /// Since when, from the start of the run (s).
    pub from_s: f64,
    /// Until when, from the start of the run (s); nothing if it lasted to the end.
    pub until_s: Option<f64>,
    /// How many instances, nodes or processes it struck, or how many users it moved.
    pub units: u32,
}

/// What a deploy did: `service.web deploy, rolled back, 4 starts failed`.
fn deployed_what(model: &Model, mark: &crate::run::DeployMark) -> String {
    let mut what = model.deploys[mark.deploy].label.clone();
    if mark.undone.is_some() {
        what.push_str(", rolled back");
    }
    match mark.failed {
        0 => {}
        1 => what.push_str(", 1 start failed"),
        failed => what.push_str(&format!(", {failed} starts failed")),
    }
    what
}

/// All faults and deploys of all replications, in the order of their beginning.
pub fn faults(model: &Model, outcomes: &[Outcome]) -> Vec<Fault> {
    let seconds = |at: Time| at.since(Time::ZERO).seconds();
    let of_one = |outcome: &Outcome| {
        let replication = outcome.replication;
        let one = move |mark: &crate::run::FaultMark| Fault {
            replication,
            name: model.faults[mark.fault].name.clone(),
            what: model.faults[mark.fault].label.clone(),
            from_s: seconds(mark.from),
            until_s: mark.until.map(seconds),
            units: mark.units,
        };
        let deployed = move |mark: &crate::run::DeployMark| Fault {
            replication,
            name: model.deploys[mark.deploy].name.clone(),
            what: deployed_what(model, mark),
            from_s: seconds(mark.from),
            until_s: mark.until.map(seconds),
            units: mark.units,
        };
        let moved = move |mark: &crate::run::NameMark| {
            let service = &model.services[mark.service].name;
            Fault {
                replication,
                name: "dns".into(),
                what: format!("dns takes service.{service} for down"),
                from_s: seconds(mark.from),
                until_s: mark.until.map(seconds),
                units: mark.users,
            }
        };
        let crashed = move |mark: &crate::run::CrashMark| {
            let name = &model.databases[mark.database].name;
            Fault {
                replication,
                name: format!("database.{name}"),
                what: format!("database.{name} out of memory"),
                from_s: seconds(mark.from),
                until_s: Some(seconds(mark.until)),
                units: 1,
            }
        };
        let faults = outcome.faults.iter().map(one);
        let faults = faults.chain(outcome.deploys.iter().map(deployed));
        let faults = faults.chain(outcome.failovers.iter().map(moved));
        let mut all: Vec<Fault> = faults.chain(outcome.crashes.iter().map(crashed)).collect();
        all.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
        all
    };
    outcomes.iter().flat_map(of_one).collect()
}
