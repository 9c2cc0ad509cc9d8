//! Monitors.

use super::{Compiler, find};
use crate::model::{Alarm, Missing, Monitor, Reading, Shown};
use crate::topology::{self, Named, Section};

impl Compiler<'_> {
    pub(super) fn monitors(&self) -> Vec<Monitor> {
        self.topology.monitors.iter().map(|monitor| self.monitor(monitor)).collect()
    }

    /// How many connections may be open: those of a pool, or those that the primaries of a database accept.
    fn most_open(&self, spec: &topology::Monitor) -> f64 {
        let of = spec.of.as_ref().expect("the checker has asked for it");
        if of.section == Section::Database {
            let database = &super::named(&self.topology.databases, &of.name).spec;
            return f64::from(database.accepts()) * f64::from(database.most_shards());
        }
        self.stations[self.station(&format!("{}.{}", of.section, of.name))].capacity
    }

    /// A share of memory: of what a cache may hold, or of what the instances of a service or the servers of a
    /// database have.
    fn memory_shown(&self, spec: &topology::Monitor) -> Shown {
        let of = spec.of.as_ref().expect("the checker has asked for it");
        if of.section == Section::Service {
            return Shown::MemoryOfService(find(&self.topology.services, &of.name));
        }
        if of.section == Section::Database {
            return Shown::MemoryOfDatabase(find(&self.topology.databases, &of.name));
        }
        Shown::MemoryOfCache(find(&self.topology.caches, &of.name))
    }

    fn shown(&self, spec: &topology::Monitor) -> Shown {
        let station = || {
            let of = spec.of.as_ref().expect("the checker has asked for it");
            self.station(&format!("{}.{}", of.section, of.name))
        };
        match &spec.shows {
            topology::Shows::Busy => Shown::Busy(station()),
            topology::Shows::Open => Shown::Open(station(), self.most_open(spec)),
            topology::Shows::Waiting => Shown::Waiting(station()),
            topology::Shows::Delayed => Shown::Delayed(station()),
            topology::Shows::Oldest => Shown::Oldest(station()),
            topology::Shows::Held => match &spec.of {
                Some(of) if of.section == Section::Cache => Shown::Memory(station()),
                _ => Shown::Held(station()),
            },
            topology::Shows::Bandwidth => {
                let of = spec.of.as_ref().expect("the checker has asked for it");
                let link = super::named(&self.topology.links, &of.name);
                Shown::Bandwidth(station(), link.spec.bandwidth.0)
            }
            topology::Shows::Hits => Shown::Hits(station()),
            topology::Shows::Evictions => Shown::Evictions(station()),
            topology::Shows::Lag => {
                let of = spec.of.as_ref().expect("the checker has asked for it");
                Shown::Lag(find(&self.topology.databases, &of.name))
            }
            topology::Shows::Memory => self.memory_shown(spec),
            topology::Shows::InFlight => Shown::InFlight,
            topology::Shows::Errors => Shown::Errors,
            topology::Shows::Uptime(shown) => Shown::Uptime(shown.down_above.0, shown.target.0),
            topology::Shows::Rate(shown) => Shown::Rate(shown.range, shown.scrape),
            topology::Shows::Latency(shown) => match shown.how {
                topology::Estimation::MeanOfWindows => Shown::MeanOfWindows,
                topology::Estimation::MeanOfInstances => {
                    let of = spec.of.as_ref().expect("the checker has asked for it");
                    let service = find(&self.topology.services, &of.name);
                    Shown::MeanOfInstances(service, shown.quantile.0)
                }
                topology::Estimation::Histogram => Shown::Histogram(shown.quantile.0),
                topology::Estimation::FromSending => Shown::FromSending(shown.quantile.0),
            },
        }
    }

    fn monitor(&self, monitor: &Named<topology::Monitor>) -> Monitor {
        let spec = &monitor.spec;
        Monitor {
            name: monitor.name.clone(),
            shows: self.shown(spec),
            buckets: match &spec.shows {
                topology::Shows::Latency(shown) => {
                    shown.buckets.iter().map(|bound| bound.seconds()).collect()
                }
                _ => Vec::new(),
            },
            every: spec.every,
            delay: spec.delay,
            reads: match spec.reads {
                topology::Reading::Average => Reading::Average,
                topology::Reading::Sample => Reading::Sample,
                topology::Reading::Greatest => Reading::Greatest,
            },
            alarm: spec.alarm.as_ref().map(|it| alarm(spec, it)),
        }
    }
}

fn alarm(spec: &topology::Monitor, alarm: &topology::Alarm) -> Alarm {
    let bound = alarm.above.as_ref().or(alarm.below.as_ref());
    let bound = bound.expect("the checker has asked for one").value(spec.measure());
    Alarm {
        bound: bound.expect("the checker has read it"),
        below: alarm.below.is_some(),
        points: alarm.points,
        among: alarm.among.unwrap_or(alarm.points),
        missing: match alarm.missing {
            topology::MissingData::Missing => Missing::Missing,
            topology::MissingData::NotBreaching => Missing::NotBreaching,
            topology::MissingData::Breaching => Missing::Breaching,
            topology::MissingData::Ignore => Missing::Ignore,
        },
    }
}
