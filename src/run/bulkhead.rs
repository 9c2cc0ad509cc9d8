//! Bulkheads: places that requests hold, and where the others wait for one.

use super::event::Kind;
use super::gate::Counted;
use super::meter::{Counter, MILLI};
use super::task::{NONE, OK, Role, State};
use super::world::World;
use crate::component::concurrency::{Limit, LimitConfig, Sample};
use crate::component::waiting_room::{Next, WaitingRoom};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::BulkheadId;
use crate::model::tape::{Catch, Op, Pc};
use crate::units::{Duration, Time};

/// A bulkhead while it runs: one for each worker process.
#[derive(Default)]
pub struct BulkheadState {
    per_worker: Vec<Option<Bulkhead>>,
    /// Limits that have been moved so far, which numbers their draws.
    draws: u64,
}

/// The bulkhead of one worker process.
struct Bulkhead {
    limit: Limit,
    inside: u32,
    room: Option<WaitingRoom>,
}

/// A place that a task has taken.
#[derive(Clone, Copy, Default)]
pub struct Permit {
    bulkhead: BulkheadId,
    worker: u32,
    since: Time,
    /// Places that were taken then, this one included.
    inside: u32,
    /// Where it was taken.
    at: Pc,
    /// The place that the task took before, plus one; zero for none.
    outer: u32,
    /// It is no place, but what a limiter may take back of its count.
    counted: Option<Counted>,
}

/// Failures that say that somebody further on had no room or no time.
const DROPS: [Failure; 11] = [
    Failure::AcquireTimeout,
    Failure::PoolTimeout,
    Failure::TooManyConnections,
    Failure::StatementTimeout,
    Failure::QueryTimeout,
    Failure::Refused,
    Failure::UpstreamTimeout,
    Failure::UpstreamError,
    Failure::Shed,
    Failure::BreakerOpen,
    Failure::BreakerTimeout,
];

impl<Q: PendingEvents> World<'_, Q> {
    fn bulkhead_of(&mut self, bulkhead: BulkheadId, worker: u32) -> &mut Bulkhead {
        let spec = &self.model.bulkheads[bulkhead];
        let place = worker as usize;
        let all = &mut self.bulkheads[bulkhead].per_worker;
        if all.len() <= place {
            all.resize_with(place + 1, || None);
        }
        let meter = &mut self.meters[spec.station];
        let now = self.now;
        all[place].get_or_insert_with(|| {
            let limit = Limit::new(spec.limit);
            meter.held.add(now, i64::from(limit.now()));
            Bulkhead { limit, inside: 0, room: spec.room.map(WaitingRoom::new) }
        })
    }

    /// A request wants a place. Says whether it has it; otherwise it waits, or has been answered.
    pub fn enter_bulkhead(&mut self, task: u32, bulkhead: BulkheadId, share: f32) -> bool {
        let spec = &self.model.bulkheads[bulkhead];
        let (now, worker) = (self.now, self.tasks[task].worker);
        self.meters[spec.station].count(Counter::Arrivals);
        let state = self.bulkhead_of(bulkhead, worker);
        let places = state.limit.now();
        let low = share < 1.0;
        let open = if low {
            // In the precision of the share: 60 % of 10 places are 6, not a little more.
            (state.inside as f32) < places as f32 * share
        } else {
            state.inside < places
        };
        if open {
            self.meters[spec.station].pass();
            self.take_place(task, bulkhead);
            return true;
        }
        let joined = state.room.as_mut().filter(|_| !low).map(|room| room.join(now, task));
        let Some(Ok(until)) = joined else {
            self.meters[spec.station].count(Counter::Rejected);
            self.turn_away(task, bulkhead);
            self.fail(task, Failure::Shed);
            return false;
        };
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::PlaceQueue, now);
        record.deadline = until.unwrap_or(Time::NEVER);
        self.meters[spec.station].enter(now);
        if let Some(until) = until {
            self.at_task(until, Kind::PlaceTimeout, task);
        }
        false
    }

    fn turn_away(&mut self, task: u32, bulkhead: BulkheadId) {
        let spec = &self.model.bulkheads[bulkhead];
        self.refuse(task, spec.status, spec.retry_after.unwrap_or(Duration::ZERO));
    }

    fn take_place(&mut self, task: u32, bulkhead: BulkheadId) {
        let record = self.tasks[task];
        let state = self.bulkhead_of(bulkhead, record.worker);
        state.inside += 1;
        let inside = state.inside;
        let (at, outer, worker) = (record.pc, record.permit, record.worker);
        let since = self.now;
        let permit = Permit { bulkhead, worker, since, inside, at, outer, counted: None };
        let permit = self.permits.insert(permit);
        let record = &mut self.tasks[task];
        (record.permit, record.deadline) = (permit + 1, Time::NEVER);
        record.pc.0 += 1;
        self.meters[self.model.bulkheads[bulkhead].station].busy.add(self.now, MILLI);
    }

    /// A limiter has counted a request, and may take that back when it is answered.
    pub(super) fn hold_count(&mut self, task: u32, counted: Counted) {
        let record = &self.tasks[task];
        let (at, outer, worker) = (record.pc, record.permit, record.worker);
        let counted = Some(counted);
        let permit = Permit { worker, since: self.now, at, outer, counted, ..Permit::default() };
        self.tasks[task].permit = self.permits.insert(permit) + 1;
    }

    /// A flow is rid of the place that it took last, and goes on.
    pub(super) fn give_permit_back(&mut self, task: u32) {
        self.leave_bulkhead(task);
        self.tasks[task].pc.0 += 1;
    }

    /// A task gives the place back that it took last; the next ones come in.
    pub fn leave_bulkhead(&mut self, task: u32) {
        let record = &self.tasks[task];
        let Some(slot) = record.permit.checked_sub(1) else { return };
        let dropped = record.status != OK && DROPS.contains(&Failure::ALL[record.status as usize]);
        let ignored = record.status != OK && !dropped;
        let permit = self.permits[slot];
        self.permits.remove(slot);
        self.tasks[task].permit = permit.outer;
        if let Some(counted) = permit.counted {
            return self.take_count_back(task, counted);
        }
        let station = self.model.bulkheads[permit.bulkhead].station;
        self.meters[station].busy.add(self.now, -MILLI);
        self.meters[station].count(Counter::Served);
        let took = self.now.since(permit.since);
        self.bulkhead_of(permit.bulkhead, permit.worker).inside -= 1;
        if !ignored && !took.is_zero() {
            self.learn(permit, Sample { took, in_flight: permit.inside, dropped });
        }
        self.let_in(permit.bulkhead, permit.worker);
    }

    /// The limit moves by how long a request took.
    fn learn(&mut self, permit: Permit, sample: Sample) {
        let spec = &self.model.bulkheads[permit.bulkhead];
        if matches!(spec.limit, LimitConfig::Fixed(_)) {
            return;
        }
        let stream = self.key.named("bulkhead").named(&spec.name);
        let state = &mut self.bulkheads[permit.bulkhead];
        state.draws += 1;
        let number = state.draws;
        let limit = &mut self.bulkhead_of(permit.bulkhead, permit.worker).limit;
        let before = i64::from(limit.now());
        limit.learn(sample, || stream.draw(number).unit());
        let moved = i64::from(limit.now()) - before;
        self.meters[spec.station].held.add(self.now, moved);
    }

    /// Whoever waits gets the places that are free, within the running callback.
    fn let_in(&mut self, bulkhead: BulkheadId, worker: u32) {
        let spec = &self.model.bulkheads[bulkhead];
        let now = self.now;
        loop {
            let state = self.bulkhead_of(bulkhead, worker);
            if state.inside >= state.limit.now() {
                return;
            }
            let Some(next) = state.room.as_mut().and_then(|room| room.next(now)) else { return };
            let (who, serve) = match next {
                Next::Serve(who) => (who, !(spec.drop_expired && self.user_has_gone(who))),
                Next::Drop(who) => (who, false),
            };
            self.leave(who, spec.station);
            if serve {
                self.take_place(who, bulkhead);
            } else {
                self.give_up_waiting(who, bulkhead);
            }
            self.go_on_within(who);
        }
    }

    /// Whether nobody waits for a request any more.
    pub(super) fn user_has_gone(&self, task: u32) -> bool {
        let record = &self.tasks[task];
        record.role == Role::Attempt
            && (record.owner == NONE || self.journeys[record.owner].deadline <= self.now)
    }

    fn give_up_waiting(&mut self, task: u32, bulkhead: BulkheadId) {
        self.count(self.model.bulkheads[bulkhead].station, Counter::TimedOut);
        self.turn_away(task, bulkhead);
        let record = &mut self.tasks[task];
        (record.status, record.deadline) = (Failure::Shed as u8, Time::NEVER);
    }

    /// A task may have waited too long for its place.
    pub fn place_timeout(&mut self, task: u32) {
        let record = self.tasks[task];
        let (State::PlaceQueue, Op::Permit { bulkhead, .. }) = (record.state, self.op_at(task))
        else {
            return;
        };
        if let Some(room) = &mut self.bulkhead_of(bulkhead, record.worker).room {
            room.leave(task);
        }
        self.leave(task, self.model.bulkheads[bulkhead].station);
        self.give_up_waiting(task, bulkhead);
        self.resume(task);
    }

    /// A task gives all of its places back: its answer leaves.
    pub fn leave_bulkheads(&mut self, task: u32) {
        while self.tasks[task].permit != 0 {
            self.leave_bulkhead(task);
        }
    }

    /// A task whose failure is caught gives the places back that it took within that stretch.
    pub fn leave_bulkheads_within(&mut self, task: u32, stretch: Catch) {
        while let Some(slot) = self.tasks[task].permit.checked_sub(1) {
            let at = self.permits[slot].at;
            if at < stretch.first || at >= stretch.last {
                return;
            }
            self.leave_bulkhead(task);
        }
    }

    /// A task of a dead process held places there.
    pub fn forget_permits(&mut self, task: u32) {
        while let Some(slot) = self.tasks[task].permit.checked_sub(1) {
            let permit = self.permits[slot];
            self.permits.remove(slot);
            self.tasks[task].permit = permit.outer;
            if permit.counted.is_some() {
                continue;
            }
            let station = self.model.bulkheads[permit.bulkhead].station;
            self.meters[station].busy.add(self.now, -MILLI);
        }
    }

    /// A process has died with its bulkheads.
    pub fn forget_bulkheads(&mut self, worker: u32) {
        for (id, spec) in self.model.bulkheads.enumerate() {
            let state = self.bulkheads[id].per_worker.get_mut(worker as usize);
            if let Some(lost) = state.and_then(Option::take) {
                let limit = i64::from(lost.limit.now());
                self.meters[spec.station].held.add(self.now, -limit);
            }
        }
    }
}
