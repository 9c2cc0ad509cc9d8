//! Users whose requests are written down: who comes when is read, not drawn.

use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::{Recording, Workload};

use super::event::Kind;
use super::outcome::Fate;
use super::task::{Journey, OK, flag};
use super::world::World;

impl<'m, Q: PendingEvents> World<'m, Q> {
    fn recording(&self) -> &'m Recording {
        match &self.model.workload {
            Workload::Recorded(recording) => recording,
            _ => unreachable!("this workload is drawn"),
        }
    }

    /// The first arrival, or the first thoughts of all users.
    pub fn start_recording(&mut self) {
        match self.recording() {
            Recording::Open(_) => self.schedule_arrival(),
            Recording::Closed(turns) => (0..turns.users()).for_each(|user| self.think_on(user)),
        }
    }

    fn schedule_arrival(&mut self) {
        let Recording::Open(arrivals) = self.recording() else {
            unreachable!("users of a closed population come after thinking")
        };
        let number = self.client.candidates;
        if let Some(next) = arrivals.get(number as usize) {
            self.events.push(Event::new(next.at, Kind::Candidate as u8, number as u32, 0));
        }
    }

    /// The next recorded request of an open stream comes.
    pub fn arrive(&mut self) {
        let Recording::Open(arrivals) = self.recording() else {
            unreachable!("users of a closed population come after thinking")
        };
        let number = self.client.candidates;
        self.client.candidates += 1;
        self.schedule_arrival();
        let arrival = arrivals[number as usize];
        let stream = self.client.requests.numbered(number);
        self.begin_journey(arrival.user, number as u32, stream, arrival.operation);
    }

    /// A user of a closed population thinks before their next turn, if they have one.
    pub fn think_on(&mut self, user: u32) {
        if let Recording::Closed(turns) = self.recording()
            && let Some((_, turn)) = turns.of(user, self.client.begun[user as usize])
        {
            self.at(self.now + turn.think, Kind::Think, user);
        }
    }

    /// A user has finished thinking.
    pub fn take_turn(&mut self, user: u32) {
        let Recording::Closed(turns) = self.recording() else {
            unreachable!("nobody thinks in an open stream")
        };
        let begun = &mut self.client.begun[user as usize];
        let (number, turn) = turns.of(user, *begun).expect("thinking is before a turn");
        *begun += 1;
        let stream = self.client.requests.numbered(u64::from(number));
        self.begin_journey(user, number, stream, turn.operation);
    }

    /// Writes down what has become of a request.
    pub fn keep_fate(&mut self, journey: &Journey, status: u8, answered: u16, flags: u16) {
        let failure = (status != OK).then(|| Failure::ALL[status as usize]);
        let status = match failure {
            Some(_) if answered != 0 => answered,
            Some(failure) => failure.status(),
            None => 200,
        };
        self.observer.fates.push(Fate {
            number: journey.ordinal,
            intended: journey.intended,
            latency: self.now.since(journey.intended),
            operation: journey.operation,
            failure,
            status,
            attempts: journey.attempt,
            missed: flags & flag::MISSED != 0,
            joined: flags & flag::JOINED != 0,
        });
    }
}
