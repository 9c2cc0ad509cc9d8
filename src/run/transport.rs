//! Connections of users: setting them up, slow start, lost packets.

use super::carried::place;
use super::task::{DIALLED, NONE, Role, Task};
use super::world::World;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::RegionId;
use crate::model::tape::Op;
use crate::units::{Duration, Time};

/// The largest segment on an Ethernet path without options (bytes).
const SEGMENT: f64 = 1460.0;
/// The least time after which Linux sends a segment again that nobody has acknowledged.
const RETRANSMISSION: Duration = Duration::millis(200);

impl<Q: PendingEvents> World<'_, Q> {
    /// One way between a user and whoever answers first: the edge, or the service's region.
    fn way_to_first(&self, record: &Task, region: RegionId) -> Duration {
        match self.cdn_of_operation(record) {
            Some(cdn) => {
                self.model.draw_law(self.model.cdns[cdn].edge, record.stream, 0xed6e).half()
            }
            None => self.way_from_home(record, region),
        }
    }

    /// The round trips before a request can be sent, if its user has no connection that is open.
    pub(super) fn set_up(
        &mut self,
        task: u32,
        way: Duration,
        (service_keeps, carries): (Duration, Option<u32>),
    ) -> Duration {
        let Some(spec) = self.model.client.connection else { return Duration::ZERO };
        let record = self.tasks[task];
        let user = record.user as usize;
        if self.client.used.len() <= user {
            self.client.used.resize(user + 1, Time::NEVER);
        }
        let keeps = spec.keep_alive.min(service_keeps);
        let used = self.client.used[user];
        let open = used != Time::NEVER
            && self.now.since(used.min(self.now)) < keeps
            && !self.ended_with_process(record.user, used);
        if !self.carried.units.is_empty()
            && let Op::Enter { service, .. } = self.op_at(task)
        {
            let since = if used == Time::NEVER { self.now } else { used.min(self.now) };
            self.charge_connection(service, self.now.since(since).min(keeps), !open);
        }
        self.client.used[user] = self.now;
        self.user_sends(record.user, !open, carries);
        if record.role == Role::Attempt && record.owner != NONE {
            self.journeys[record.owner].reloads &= !DIALLED;
        }
        if open {
            return Duration::ZERO;
        }
        if record.role == Role::Attempt && record.owner != NONE {
            self.journeys[record.owner].reloads |= DIALLED;
        }
        self.observer.connections += 1;
        Duration(way.0 * 2 * u64::from(spec.rounds)) + self.lost_syn(&record, spec.loss)
    }

    /// What setting up took an attempt that had to.
    pub(super) fn set_up_took(&self, record: &Task, region: RegionId) -> Duration {
        let Some(spec) = self.model.client.connection else { return Duration::ZERO };
        let dialled = record.role == Role::Attempt
            && record.owner != NONE
            && self.journeys[record.owner].reloads & DIALLED != 0;
        if !dialled {
            return Duration::ZERO;
        }
        let way = self.way_to_first(record, region);
        Duration(way.0 * 2 * u64::from(spec.rounds)) + self.lost_syn(record, spec.loss)
    }

    /// A SYN that is lost is sent again after 1 s, and after 2 s more, and 4 s more (RFC 6298).
    fn lost_syn(&self, record: &Task, loss: f64) -> Duration {
        let mut draws = record.stream.draw(0x5111);
        let mut wait = Duration::ZERO;
        for repetition in 0..6 {
            if loss == 0.0 || !draws.chance(loss) {
                break;
            }
            wait += Duration::secs(1 << repetition);
        }
        wait
    }

    /// A user has their answer: their connection is idle from now on, or closed with it.
    pub(super) fn connection_idle(&mut self, record: &Task) {
        if !self.carried.units.is_empty() {
            self.charge_use(record);
        }
        if self.model.client.connection.is_none() {
            return;
        }
        // Whoever is connected to a balancer or an edge has been answered by that.
        let why = Failure::ALL.get(usize::from(record.status));
        let unanswered = record.answered == 0 && why.is_some_and(|why| why.is_silence());
        let closes = unanswered || self.user_is_let_go(record.user);
        if let Some(used) = self.client.used.get_mut(record.user as usize) {
            *used = if closes { Time::NEVER } else { self.now };
        }
        let end = self.process_answered(record);
        if end != NONE || !self.carried.workers.is_empty() {
            *place(&mut self.carried.workers, record.user, NONE) = end;
        }
    }

    /// The process that a user is connected to who has got this answer; [`NONE`] if it is a balancer, an
    /// edge or a platform.
    fn process_answered(&self, record: &Task) -> u32 {
        if record.worker == NONE || self.cdn_of_operation(record).is_some() {
            return NONE;
        }
        let spec = &self.model.services[self.service_of_worker(record.worker)];
        match spec.is_fronted() || spec.function.is_some() {
            true => NONE,
            false => record.worker,
        }
    }

    /// Whether the process is gone at which a user's connection ends that was used last at that time.
    pub(super) fn ended_with_process(&self, user: u32, used: Time) -> bool {
        let end = self.carried.workers.get(user as usize).copied();
        end.is_some_and(|worker| worker != NONE && !self.keeps_connection(worker, used))
    }

    /// How much later than its first segments the last of a body reaches the user: rounds of slow
    /// start, lost segments, and the throughput that a loss rate allows (Mathis and others, 1997).
    pub(super) fn body_takes(&self, task: u32, bytes: f64, region: RegionId) -> Duration {
        let Some(spec) = self.model.client.connection else { return Duration::ZERO };
        let record = &self.tasks[task];
        if record.role != Role::Attempt || bytes <= 0.0 {
            return Duration::ZERO;
        }
        let way = self.way_to_first(record, region);
        let rtt = way + way;
        let segments = (bytes / SEGMENT).ceil();
        // The window doubles each round trip: after r of them, window x (2^r - 1) have been sent.
        let mut sent = f64::from(spec.window);
        let mut window = sent;
        let mut took = Duration::ZERO;
        while sent < segments {
            window *= 2.0;
            sent += window;
            took += rtt;
        }
        if spec.loss > 0.0 {
            took += self.recovery(record, segments, spec.loss, rtt);
            // An average over many losses says nothing of a flow that expects none.
            let few = segments * spec.loss < 1.0;
            let per_s = SEGMENT / (rtt.seconds().max(1e-6) * (2.0 * spec.loss / 3.0).sqrt());
            took = if few { took } else { took.max(Duration::from_secs_f64(bytes / per_s)) };
        }
        if let Some(flow) = spec.bandwidth {
            took = took.max(Duration::from_secs_f64(bytes * 8.0 / flow.0));
        }
        took
    }

    /// A lost segment that three others follow costs a round trip; one of the last three waits for the
    /// timer.
    fn recovery(&self, record: &Task, segments: f64, loss: f64, rtt: Duration) -> Duration {
        let mut draws = record.stream.draw(0x0105_57c9);
        let tail = segments.min(3.0) as u32;
        let tail_lost = (0..tail).any(|_| draws.chance(loss));
        let mut took = if tail_lost { RETRANSMISSION.max(rtt) } else { Duration::ZERO };
        // The gaps between losses are geometric; by inversion, not by a draw for each segment.
        let mut left = segments - f64::from(tail);
        let scale = libm::log1p(-loss.min(0.999));
        while left > 0.0 {
            left -= (libm::log(draws.unit_open()) / scale).floor() + 1.0;
            if left >= 0.0 {
                took += rtt;
            }
        }
        took
    }
}
