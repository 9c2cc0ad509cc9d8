//! Users of a population whose requests follow one another: what they do next, when they have had
//! enough.
//!
//! A population has a given size: whoever leaves makes room for somebody who begins a visit.

use super::task::{Journey, OK};
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::ids::OperationId;
use crate::model::{Model, Workload};
use crate::stream::StreamKey;

/// Where the users of a population are in their visits; empty where nothing depends on it.
#[derive(Debug, Default)]
pub struct Course {
    users: Vec<Place>,
}

/// Where a user is in their visit.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// What comes next; by the shares if nothing is known.
    next: Option<OperationId>,
    /// Failures of this visit.
    failures: u32,
    /// The next request is somebody else's, the first of a visit.
    left: bool,
}

impl Course {
    /// Before the first request.
    pub fn new(model: &Model) -> Course {
        let chained = model.operations.iter().any(|operation| !operation.next.is_empty());
        let needed = chained || model.client.abandons_after.is_some();
        match model.workload {
            Workload::Closed { .. } if needed => {
                Course { users: vec![Place::default(); model.users() as usize] }
            }
            _ => Course::default(),
        }
    }

    /// What the user does next, if that is known.
    #[inline]
    pub fn next_of(&self, user: u32) -> Option<OperationId> {
        self.users.get(user as usize)?.next
    }

    /// Whether a visit begins with the user's next request: because a visit has run its time, or
    /// because somebody has left.
    #[inline]
    pub fn begins(&mut self, user: u32, in_time: bool) -> bool {
        let Some(place) = self.users.get_mut(user as usize) else { return in_time };
        let begins = in_time || place.left;
        place.left = false;
        if begins {
            place.failures = 0;
        }
        begins
    }

    /// What a user wanted is over: they go on, or make room.
    #[inline]
    pub fn goes_on(&mut self, model: &Model, journey: &Journey, status: u8) {
        let Some(place) = self.users.get_mut(journey.user as usize) else { return };
        place.failures += u32::from(status != OK);
        let fed_up = model.client.abandons_after.is_some_and(|most| place.failures >= most);
        let next = &model.operations[journey.operation].next;
        let unit = journey.stream.draw(0x9e87).unit();
        let known = next.iter().find(|(until, _)| unit < *until).map(|(_, operation)| *operation);
        place.next = known.filter(|_| !fed_up);
        place.left = fed_up || (known.is_none() && !next.is_empty());
    }

    /// The user is let go in the middle of something.
    pub fn leaves(&mut self, user: u32) {
        if let Some(place) = self.users.get_mut(user as usize) {
            *place = Place { left: true, ..Place::default() };
        }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// What a user does, by the shares of the operations.
    #[inline]
    pub(super) fn drawn_operation(&self, user: u32, stream: StreamKey) -> OperationId {
        let table = match &self.model.mix[..] {
            [all] => all,
            by_home => &by_home[self.home(user).0 as usize],
        };
        OperationId(table.draw(&mut stream.draw(0x0b)))
    }
}
