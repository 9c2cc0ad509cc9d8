//! Links: a bandwidth that all transfers on it share equally, in each direction by itself, or in both.

use std::collections::VecDeque;

use crate::kernel::{PendingEvents, ProcessorSharing};
use crate::model;
use crate::model::UnitKind;
use crate::model::ids::LinkId;
use crate::model::tape::Draw;
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::{Counter, MILLI, Part};
use super::task::{Role, State, flag};
use super::world::World;

/// Utilisation for the loss rule is looked at over this long.
const LOSS_WINDOW: Duration = Duration::secs(1);

/// What a loss costs where the file does not say (Linux, `TCP_RTO_MIN`).
const RETRANSMISSION: Duration = Duration::millis(200);

/// A link while it runs: its way out, and its way in if that is another.
pub struct LinkState {
    ways: [Way; 2],
}

/// A direction of a link.
struct Way {
    /// Transfers under way; the work of one is its time alone on the link.
    transfers: ProcessorSharing,
    /// When the next departure is scheduled.
    armed: Time,
    /// Transfers begun within the loss window: when, and their time alone.
    recent: VecDeque<(Time, Duration)>,
    /// Sum of their times alone.
    recent_work: Duration,
}

impl LinkState {
    /// An idle link.
    pub fn new(spec: &model::Link) -> LinkState {
        LinkState { ways: [Way::new(spec), Way::new(spec)] }
    }
}

impl Way {
    fn new(spec: &model::Link) -> Way {
        Way {
            // A transfer that can have a third of the link is a job on one of three cores.
            transfers: ProcessorSharing::new(spec.bandwidth.0 / spec.per_flow.0, 0.0, 0.0),
            armed: Time::NEVER,
            recent: VecDeque::new(),
            recent_work: Duration::ZERO,
        }
    }
    /// Offered load over the last second, as a share of the bandwidth.
    fn load(&mut self, now: Time) -> f64 {
        while let Some((begun, work)) = self.recent.front().copied() {
            if now.since(begun) <= LOSS_WINDOW {
                break;
            }
            self.recent_work = self.recent_work - work;
            self.recent.pop_front();
        }
        self.recent_work.seconds() / LOSS_WINDOW.seconds()
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A body begins its way through a link.
    pub fn enter_link(&mut self, task: u32, link: LinkId, bytes: f64) {
        let spec = &self.model.links[link];
        let work = Duration::from_secs_f64(bytes * 8.0 / spec.per_flow.0);
        let now = self.now;
        let errors = self.condition(UnitKind::Link, link.0).errors;
        let stumbles = self.stumbles(errors);
        let way = spec.way(self.tasks[task].has(flag::UPLOAD));
        let state = &mut self.links[link].ways[way];
        let meter = &mut self.meters[spec.station_of(way)];
        meter.count(Counter::Arrivals);
        meter.add(Counter::Bytes, bytes as u64);
        meter.held.add(now, 1);
        let mut lost = false;
        if let Some((above, share, _)) = spec.loss {
            let whole = Duration::from_secs_f64(bytes * 8.0 / spec.bandwidth.0);
            state.recent.push_back((now, whole));
            state.recent_work += whole;
            let hit = self.tasks[task].stream.draw(0x1055).chance(share);
            if state.load(now) > above && hit {
                lost = true;
            }
        }
        let lost = lost || stumbles;
        meter.add(Counter::Lost, u64::from(lost));
        state.transfers.add(now, work, task);
        self.link_busy(link, way);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::OnLink, now);
        record.deadline = now + work;
        record.flags = if lost { record.flags | flag::LOST } else { record.flags & !flag::LOST };
        self.arm_link(link, way);
    }

    /// How fast a link is, as a share of its bandwidth.
    pub(super) fn set_link_speed(&mut self, link: LinkId, speed: f64) {
        let now = self.now;
        for way in 0..2 {
            self.links[link].ways[way].transfers.set_cores(now, speed);
            self.arm_link(link, way);
        }
    }

    fn arm_link(&mut self, link: LinkId, way: usize) {
        let state = &mut self.links[link].ways[way];
        if let Some(at) = state.transfers.next_departure().filter(|at| *at != state.armed) {
            state.armed = at;
            self.at(at, Kind::LinkDepart, 2 * link.0 + way as u32);
        }
    }

    /// Transfers may be through.
    pub fn link_depart(&mut self, link: LinkId, way: usize) {
        if self.links[link].ways[way].armed != self.now {
            return; // superseded
        }
        self.links[link].ways[way].armed = Time::NEVER;
        let station = self.model.links[link].station_of(way);
        while let Some(task) = self.links[link].ways[way].transfers.depart(self.now) {
            self.meters[station].count(Counter::Served);
            self.leave_link(task, link);
        }
        // Whoever gets the place of a request that is through may have sent something already.
        self.link_busy(link, way);
        self.arm_link(link, way);
    }

    /// How much of the bandwidth of a direction is used.
    fn link_busy(&mut self, link: LinkId, way: usize) {
        let transfers = &self.links[link].ways[way].transfers;
        let share = transfers.busy_cores() / transfers.cores();
        let station = self.model.links[link].station_of(way);
        self.meters[station].busy.set(self.now, (MILLI as f64 * share) as u64);
    }

    /// A body is through: its own time on the link is service, the rest waiting.
    fn leave_link(&mut self, task: u32, link: LinkId) {
        let spec = &self.model.links[link];
        let record = self.tasks[task];
        let alone = record.deadline.since(record.since);
        let on_link = self.now.since(record.since);
        let waited = Duration(on_link.0.saturating_sub(alone.0));
        let station = spec.station_of(spec.way(record.has(flag::UPLOAD)));
        self.meters[station].held.add(self.now, -1);
        self.meters[station].shared(waited);
        self.spend(task, station, Part::Wait, waited);
        self.spend(task, station, Part::Service, on_link - waited);
        let delay = spec.loss.map_or(RETRANSMISSION, |(_, _, delay)| delay);
        let late = if record.has(flag::LOST) { delay } else { Duration::ZERO };
        self.tasks[task].deadline = Time::NEVER;
        if record.role == Role::Socket {
            return self.message_off_link(task, late);
        }
        let bytes = alone.seconds() * spec.per_flow.0 / 8.0;
        let service = self.service_of_worker(self.tasks[task].worker);
        let took = self.body_takes(task, bytes, self.model.services[service].region);
        if record.has(flag::UPLOAD) {
            self.body_has_come(task, record.since, late, took);
        } else {
            self.travel(task, late + took);
            self.answer_travels(task, late + took);
        }
    }

    /// How much longer a transfer would take alone.
    pub(super) fn left_on_link(&mut self, link: LinkId, task: u32) -> Duration {
        let way = self.model.links[link].way(self.tasks[task].has(flag::UPLOAD));
        self.links[link].ways[way].transfers.left(self.now, task).unwrap_or(Duration::ZERO)
    }

    /// How many times slower than alone a body comes through its link at present.
    pub(super) fn dilation_on_link(&self, link: LinkId, task: u32) -> f64 {
        let way = self.model.links[link].way(self.tasks[task].has(flag::UPLOAD));
        self.links[link].ways[way].transfers.dilation()
    }

    /// The process at the near end of a transfer has died: the rest of the body never comes.
    pub fn cut_transfer(&mut self, task: u32) {
        let service = self.service_of_worker(self.tasks[task].worker);
        let link = self.model.services[service].link.expect("a body is on its service's link");
        let way = self.model.links[link].way(self.tasks[task].has(flag::UPLOAD));
        let left = self.links[link].ways[way].transfers.remove(self.now, task);
        assert!(left.is_some(), "a body on a link is among its transfers");
        let meter = &mut self.meters[self.model.links[link].station_of(way)];
        meter.held.add(self.now, -1);
        self.link_busy(link, way);
        self.arm_link(link, way);
    }

    /// A body comes up to the service through its link. True: there is no link to wait for.
    pub fn upload(&mut self, task: u32, bytes: Draw) -> bool {
        let record = self.tasks[task];
        let bytes = self.model.draw_bytes(bytes, record.stream);
        let service = self.service_of_worker(record.worker);
        self.meters[self.model.services[service].station].add(Counter::Bytes, bytes as u64);
        match self.model.services[service].link.filter(|_| bytes > 0.0) {
            Some(link) => {
                self.tasks[task].flags |= flag::UPLOAD;
                let alone = bytes * 8.0 / self.model.links[link].per_flow.0;
                self.begin_reading(task, bytes, Duration::from_secs_f64(alone));
                self.enter_link(task, link, bytes);
                false
            }
            None => {
                let region = self.model.services[service].region;
                let took = self.body_takes(task, bytes, region);
                self.begin_reading(task, bytes, took);
                if took.is_zero() {
                    self.tasks[task].pc.0 += 1;
                    return true;
                }
                self.body_has_come(task, self.now, Duration::ZERO, took);
                false
            }
        }
    }

    /// A body that began its way `at` is through with the link; it is whole when its user's line has
    /// carried it, and what was lost has come again.
    fn body_has_come(&mut self, task: u32, at: Time, late: Duration, took: Duration) {
        let rest = self.rest_of_body(task, at, late + took);
        self.travel(task, rest);
        let record = &mut self.tasks[task];
        record.flags &= !flag::UPLOAD;
        record.state = State::Away;
        record.pc.0 += 1;
        self.at_task(self.now + rest, Kind::Resume, task);
    }
}
