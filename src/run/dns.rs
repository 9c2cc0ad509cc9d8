//! Names of services that others stand in for: health checkers find a service down, its records change,
//! and users follow as their resolvers forget the old ones.
//!
//! Checkers do not wait for each other. Each changes its mind after so many checks in a row, and the records
//! change when too few, or enough again, find the service well (Amazon Route 53 Developer Guide).

use super::cut::Party;
use super::service::Phase;
use super::world::World;
use crate::component::balancer::health::Checked;
use crate::kernel::PendingEvents;
use crate::model::UnitKind;
use crate::model::ids::{OperationId, RegionId, ServiceId};
use crate::units::Time;

/// What is known of a service whose operations are done elsewhere while it is down.
#[derive(Debug)]
pub struct Record {
    /// What each checker says.
    checkers: Vec<Checked>,
    /// What the records say.
    well: bool,
    /// Since when; from the start, if they never changed.
    since: Time,
    /// How often they have changed.
    changes: u64,
    /// When the records said that it is down, the last time at the end.
    marks: Vec<NameMark>,
    /// Users who have gone elsewhere since then, one bit each.
    moved: Vec<u64>,
}

/// A time in which DNS took a service for down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameMark {
    /// Which.
    pub service: ServiceId,
    /// Since when.
    pub from: Time,
    /// Until when; [`None`] if it lasted to the end of the run.
    pub until: Option<Time>,
    /// Users who went elsewhere, until their resolvers heard that it is back.
    pub users: u32,
    /// Attempts that they made there.
    pub attempts: u64,
}

impl Record {
    /// The records change.
    fn changes_to(&mut self, well: bool, service: ServiceId, now: Time) {
        (self.well, self.since) = (well, now);
        self.changes += 1;
        match self.marks.last_mut() {
            Some(mark) if well => mark.until = Some(now),
            _ => {
                self.moved.clear();
                let mark = NameMark { service, from: now, until: None, users: 0, attempts: 0 };
                self.marks.push(mark);
            }
        }
    }

    /// A user's attempt goes elsewhere.
    fn moves(&mut self, user: u32) {
        let mark = self.marks.last_mut().expect("it was taken for down");
        let (place, bit) = (user as usize / 64, 1u64 << (user % 64));
        if self.moved.len() <= place {
            self.moved.resize(place + 1, 0);
        }
        mark.attempts += 1;
        mark.users += u32::from(self.moved[place] & bit == 0);
        self.moved[place] |= bit;
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// The first check of every checker, at some time of an interval.
    pub(super) fn start_names(&mut self) {
        let Some(dns) = self.model.client.dns else { return };
        let stood_in_for = |id| {
            let mut operations = self.model.operations.iter();
            operations.any(|it| it.failover.is_some_and(|(service, _)| service == id))
        };
        let record = |_| Record {
            checkers: vec![Checked::UP; dns.checkers as usize],
            well: true,
            since: Time::ZERO,
            changes: 0,
            marks: Vec::new(),
            moved: Vec::new(),
        };
        let services = self.model.services.ids();
        self.client.names = services.map(|id| stood_in_for(id).then_some(id).map(record)).collect();
        for id in self.model.services.ids().filter(|id| stood_in_for(*id)).collect::<Vec<_>>() {
            let key = self.key.named("dns").named(&self.model.services[id].name);
            for checker in 0..dns.checkers {
                let unit = key.draw(u64::from(checker)).unit();
                self.time_name(Time::ZERO + dns.checks.interval.scale(unit), id, checker);
            }
        }
    }

    /// A checker asks whether a service is well.
    pub(super) fn check_name(&mut self, service: ServiceId, checker: u32) {
        let dns = self.model.client.dns.expect("it has checkers");
        self.time_name(self.now + dns.checks.interval, service, checker);
        let ok = self.answers_checker(service, checker);
        let now = self.now;
        let record = self.client.names[service.0 as usize].as_mut().expect("it has a record");
        if !record.checkers[checker as usize].told(&dns.checks, ok) {
            return;
        }
        let well = record.checkers.iter().filter(|it| it.up).count();
        let well = well as f64 > dns.quorum * f64::from(dns.checkers);
        if well != record.well {
            record.changes_to(well, service, now);
        }
    }

    /// Whether a checker finds an instance behind the service's balancer.
    fn answers_checker(&self, service: ServiceId, checker: u32) -> bool {
        let from = RegionId(checker % self.model.regions.len() as u32);
        if self.is_unreachable(Party::Users(from), service) {
            return false;
        }
        if self.condition(UnitKind::Balancer, service.0).down {
            return false;
        }
        let state = &self.services[service];
        let first = state.first_instance;
        if self.model.services[service].function.is_some() {
            let slots = 0..self.model.services[service].slots;
            return slots.into_iter().any(|slot| !self.is_kept_down(first + slot));
        }
        let takes = |target: u32| {
            let phase = self.instances[(first + target) as usize].phase;
            matches!(phase, Phase::Up | Phase::Leaving)
        };
        state.nodes.iter().any(|node| {
            let targets = &node.targets;
            (0..targets.len()).any(|target| targets.get(target).available && takes(target))
        })
    }

    /// What a user gets for what they want: the same of another service, if their resolver takes the
    /// first one for down. Where all that could answer are down, it is the first.
    pub(super) fn answered_where(&mut self, wanted: OperationId, user: u32) -> OperationId {
        let mut operation = wanted;
        for _ in 0..self.model.operations.len() {
            match self.model.operations[operation].failover {
                Some((service, other)) if !self.resolves(service, user) => operation = other,
                _ if operation == wanted => return wanted,
                _ => {
                    self.observer.elsewhere += 1;
                    let (service, _) = self.model.operations[wanted].failover.expect("it has one");
                    let record = self.client.names[service.0 as usize].as_mut();
                    record.expect("it has a record").moves(user);
                    return operation;
                }
            }
        }
        wanted
    }

    /// When DNS took services for down, in the order of the model.
    pub(super) fn name_marks(&self) -> Vec<NameMark> {
        let records = self.client.names.iter().flatten();
        records.flat_map(|record| record.marks.iter().copied()).collect()
    }

    /// Whether a user's resolver takes a service for well: it keeps what it knew for up to `ttl`.
    fn resolves(&self, service: ServiceId, user: u32) -> bool {
        let dns = self.model.client.dns.expect("names are resolved");
        let record = self.client.names[service.0 as usize].as_ref().expect("it has a record");
        if record.changes == 0 {
            return true;
        }
        let key = self.key.named("resolver").named(&self.model.services[service].name);
        let key = key.numbered(u64::from(user));
        let unit = key.draw(record.changes).unit();
        // Numbers of changes are smaller.
        let (share, longer) = dns.stale;
        let stale = share > 0.0 && key.draw(u64::MAX).chance(share);
        let ttl = if stale { longer } else { dns.ttl };
        let knows = self.now >= record.since + ttl.scale(unit);
        record.well == knows
    }
}
