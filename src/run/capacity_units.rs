//! What load balancers of AWS are charged for by the hour: capacity units (LCU, NLCU).
//!
//! An hour counts by whichever is the most of four (AWS, Elastic Load Balancing pricing): new connections (25 a
//! second are a unit of an ALB, 800 of an NLB), open connections (3,000, 100,000), bytes (1 GB an hour), and requests
//! times the rules beyond ten that each is compared with (1,000 a second; an NLB compares none). An hour ends with the
//! first window of the timeline by whose end it is over.

use super::meter::Counter;
use super::task::{NONE, Role, Task};
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::Charged;
use crate::model::ids::ServiceId;
use crate::units::{Duration, Time};

/// One balancer that is charged so.
#[derive(Clone, Debug)]
pub struct CapacityUnits {
    /// The service behind it.
    service: ServiceId,
    /// What a unit is.
    unit: Charged,
    /// Connections of users that were opened in this hour.
    opened: u64,
    /// How long connections were open in it, or requests under way where connections cost nothing (ticks).
    ticks: u128,
    /// When it began, and what had been carried, asked and opened, and how long sockets had been open, by then.
    since: Time,
    before: [u128; 4],
    /// Units times hours since the measurements began.
    total: f64,
}

const HOUR_S: f64 = 3_600.0;

impl<Q: PendingEvents> World<'_, Q> {
    /// Those that are charged so.
    pub(super) fn build_capacity_units(&mut self) {
        for (service, spec) in self.model.services.enumerate() {
            let Some(unit) = spec.health.charged else { continue };
            self.carried.units.push(CapacityUnits {
                service,
                unit,
                opened: 0,
                ticks: 0,
                since: Time::ZERO,
                before: [0; 4],
                total: 0.0,
            });
        }
    }

    fn units_of(&mut self, service: ServiceId) -> Option<&mut CapacityUnits> {
        self.carried.units.iter_mut().find(|units| units.service == service)
    }

    /// A user sends a request: over a connection that has been idle for so long, until it closed or now, and
    /// perhaps over a new one.
    pub(super) fn charge_connection(&mut self, service: ServiceId, idle: Duration, opens: bool) {
        if let Some(units) = self.units_of(service) {
            units.ticks += u128::from(idle.0);
            units.opened += u64::from(opens);
        }
    }

    /// A user has an answer, over a connection that was open for as long as it took.
    pub(super) fn charge_use(&mut self, record: &Task) {
        let since = self.client.used.get(record.user as usize).copied();
        let Some(since) = since.filter(|since| *since < self.now) else { return };
        if record.worker != NONE {
            let service = self.service_of_worker(record.worker);
            self.charge_connection(service, self.now.since(since), false);
        }
    }

    /// A request is over that had been under way for so long: its connection was open.
    pub(super) fn charge_request(&mut self, task: u32, record: &Task, service: ServiceId) {
        let Some(at) = self.landed_at(task, record) else { return };
        let length = u128::from(self.now.since(at).0);
        // Its user's connection is counted whole.
        if record.role == Role::Attempt && self.model.client.connection.is_some() {
            return;
        }
        if let Some(units) = self.units_of(service) {
            units.ticks += length;
        }
    }

    /// Measurements begin: so does an hour.
    pub(super) fn reset_capacity_units(&mut self) {
        let now = self.now;
        for place in 0..self.carried.units.len() {
            let before = self.used_so_far(place);
            let units = &mut self.carried.units[place];
            (units.opened, units.ticks, units.since, units.total) = (0, 0, now, 0.0);
            units.before = before;
        }
    }

    /// Bytes, requests and sockets, and how long sockets were open.
    fn used_so_far(&self, place: usize) -> [u128; 4] {
        let service = self.carried.units[place].service;
        let spec = &self.model.services[service];
        let count =
            |station, counter: Counter| u128::from(self.meters[station].counters[counter as usize]);
        let (mut opened, mut open) = (0, 0);
        for socket in self.model.sockets.iter().filter(|socket| socket.service == service) {
            opened += count(socket.station, Counter::Opened);
            open += self.meters[socket.station].held.total(self.now);
        }
        let balancer = spec.balancer_station.expect("it is charged");
        if spec.health.passes.is_some() {
            opened += count(balancer, Counter::Opened);
        }
        [count(spec.station, Counter::Bytes), count(balancer, Counter::Arrivals), opened, open]
    }

    /// A window ends, and perhaps an hour; or the run does.
    pub(super) fn close_capacity_units(&mut self, ends: bool) {
        for place in 0..self.carried.units.len() {
            let since = self.carried.units[place].since;
            let seconds = self.now.since(since).seconds();
            if seconds == 0.0 || seconds < HOUR_S && !ends {
                continue;
            }
            let after = self.used_so_far(place);
            let units = &self.carried.units[place];
            let used = |part: usize| (after[part] - units.before[part]) as f64;
            let spec = &self.model.services[units.service];
            let unit = units.unit;
            let second = Duration::secs(1).0 as f64;
            // Who passes connections through has counted them.
            let users = if spec.health.passes.is_some() { 0 } else { units.opened };
            let new = (users as f64 + used(2)) / seconds / unit.new;
            let open = (units.ticks as f64 + used(3)) / second / seconds / unit.open;
            let carried = used(0) / seconds * HOUR_S / unit.bytes;
            let compared = used(1) / seconds * f64::from(unit.rules) / 1_000.0;
            let most = new.max(open).max(carried).max(compared);
            let units = &mut self.carried.units[place];
            units.total += most * seconds / HOUR_S;
            (units.opened, units.ticks, units.since, units.before) = (0, 0, self.now, after);
        }
    }

    /// Units times hours since the measurements began, by service behind the balancer.
    pub(super) fn capacity_unit_hours(&self) -> Vec<(ServiceId, f64)> {
        self.carried.units.iter().map(|units| (units.service, units.total)).collect()
    }
}
