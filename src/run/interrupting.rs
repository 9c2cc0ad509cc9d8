//! Virtual users that a load generator lets go: they may finish what they are at, for so long.
//!
//! When the population falls below a user's number, k6 stops the user gracefully: it begins nothing
//! more. After `gracefulRampDown` it is stopped hard, unless the population has risen above it again;
//! and all that are left when the executor has been over for `gracefulStop` are too
//! (lib/executor/ramping_vus.go, `reserveVUsForGracefulRampDowns`, `GetExecutionRequirements`). What is
//! interrupted is cancelled: its connection closes, the server works on for nobody, and it counts
//! neither as served nor as failed (samples are pushed only while the context lasts).

use super::client::AT_ONCE;
use super::event::Kind;
use super::task::NONE;
use super::world::World;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::{Grace, Workload};
use crate::units::{Duration, Time};

/// The slot of the events of this file, among those of users and visits.
pub(super) const STOP: u32 = (1 << 27) - 3;
/// In place of a user's journey: it is to end as soon as its pause does.
const INTERRUPTED: u32 = NONE - 1;

/// Who is let go next, where they are interrupted.
#[derive(Debug, Default)]
pub struct LettingGo {
    /// The line of the curve in which the population falls, and the user after whom the next goes.
    line: usize,
    after: Option<u32>,
    /// When the next is interrupted, and who.
    next: Option<(Time, Time, u32)>,
    /// By user: the journey that they are on.
    journeys: Vec<u32>,
    /// The executor is over: nothing goes on.
    stopped: bool,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// The first who will be interrupted.
    pub(super) fn start_letting_go(&mut self) {
        match (&self.model.client.grace, &self.model.workload) {
            (Some(Grace { end: Some(end), stop: Some(stop), .. }), Workload::Open { .. }) => {
                self.at(Time::ZERO + (*end + *stop), Kind::Think, STOP);
            }
            (Some(_), Workload::Closed { .. }) => {
                self.letting_go.journeys = vec![NONE; self.model.users() as usize];
                self.time_interruption();
            }
            _ => {}
        }
    }

    /// A user who may be interrupted has begun something.
    #[inline]
    pub(super) fn note_journey(&mut self, user: u32, journey: u32) {
        if let Some(known) = self.letting_go.journeys.get_mut(user as usize) {
            *known = journey;
        }
    }

    /// Finds out who is let go next, and when that user's time is over.
    fn time_interruption(&mut self) {
        let Some((at, user)) = self.let_go_next() else { return };
        let grace = self.model.client.grace.as_ref().expect("who is let go has a time");
        let by_itself = grace.ramp_down.map(|length| at + length);
        let with_all = grace.end.zip(grace.stop).map(|(end, stop)| end + stop);
        let due = by_itself.into_iter().chain(with_all.filter(|due| *due >= at)).min();
        let due = due.map_or(Time::NEVER, |due| Time::ZERO + due);
        self.letting_go.next = Some((Time::ZERO + at, due, user));
        if due < Time::NEVER {
            self.at(due.max(self.now), Kind::Think, STOP);
        }
    }

    /// The next user below whom the population falls, and when, from the start of the run.
    fn let_go_next(&mut self) -> Option<(Duration, u32)> {
        let Workload::Closed { population, .. } = &self.model.workload else {
            unreachable!("only a population falls")
        };
        let state = &mut self.letting_go;
        loop {
            let [(from, high), (to, low)] = population.knots.get(state.line..state.line + 2)?
            else {
                unreachable!("a line has two ends")
            };
            let highest = match state.after {
                Some(user) => i64::from(user) - 1,
                None => high.ceil() as i64 - 1,
            };
            if high <= low || highest < low.ceil() as i64 {
                (state.line, state.after) = (state.line + 1, None);
                continue;
            }
            let user = highest as u32;
            state.after = Some(user);
            let share = ((high - f64::from(user)) / (high - low)).clamp(0.0, 1.0);
            return Some((*from + (*to - *from).scale(share), user));
        }
    }

    /// Somebody's time is over, or everybody's.
    pub(super) fn stop_users(&mut self) {
        let Workload::Closed { population, .. } = &self.model.workload else {
            return self.stop_executor();
        };
        while let Some((let_go, due, user)) = self.letting_go.next.filter(|next| next.1 <= self.now)
        {
            // A little later the curve is below them, however their time was rounded.
            let from = let_go.since(Time::ZERO) + Duration::micros(1);
            let to = due.since(Time::ZERO);
            let back = population.exceeds(f64::from(user), from).is_some_and(|back| back <= to);
            if !back {
                self.interrupt_user(user);
            }
            self.letting_go.next = None;
            self.time_interruption();
        }
    }

    fn interrupt_user(&mut self, user: u32) {
        let known = self.letting_go.journeys[user as usize];
        if known >= INTERRUPTED {
            return;
        }
        self.letting_go.journeys[user as usize] = INTERRUPTED;
        if self.journeys[known].task != NONE {
            self.interrupt(known);
        }
    }

    /// The executor of an open stream is over, and so is the time of all that it has begun.
    fn stop_executor(&mut self) {
        self.letting_go.stopped = true;
        for journey in self.journeys.occupied() {
            if self.journeys[journey].task != NONE {
                self.interrupt(journey);
            }
        }
    }

    /// Whether the executor of an open stream is over.
    #[inline]
    pub(super) fn is_stopped(&self) -> bool {
        self.letting_go.stopped
    }

    /// Whether a journey that has paused does not go on: its user was interrupted meanwhile.
    #[inline]
    pub(super) fn was_interrupted(&self, journey: u32) -> bool {
        let user = self.journeys[journey].user as usize;
        self.letting_go.stopped || self.letting_go.journeys.get(user) == Some(&INTERRUPTED)
    }

    /// What a user has in flight is cancelled.
    fn interrupt(&mut self, journey: u32) {
        let task = self.journeys[journey].task;
        self.abandon_attempt(journey);
        self.disarm_patience(journey);
        self.cancel_waiting(task);
        self.end_interrupted(journey);
    }

    /// A journey is over that was interrupted.
    pub(super) fn end_interrupted(&mut self, journey: u32) {
        let record = self.journeys.remove(journey);
        self.observer.interrupted(self.now);
        if Q::TELLS {
            self.tell_fate(&record, Failure::GaveUp as u8);
        }
        if record.row != NONE {
            self.attribution.close(record.row);
        }
        match &self.model.workload {
            Workload::Closed { memoryless, .. } => {
                self.letting_go.journeys[record.user as usize] = NONE;
                self.client.set_thinking(record.user);
                self.course.leaves(record.user);
                if !memoryless {
                    let think = self.thinking_time(record.user).max(AT_ONCE);
                    self.at(self.now + think, Kind::Think, record.user);
                }
            }
            Workload::Open { .. } => self.visit_ends(journey),
            Workload::Recorded(_) => unreachable!("what is recorded is not interrupted"),
        }
    }
}
