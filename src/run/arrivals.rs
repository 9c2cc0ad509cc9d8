//! Streams that are more than a rate: phases, batches, crowds, traces, virtual users, sessions.

use super::client::ORDINALS;
use super::event::Kind;
use super::task::{Journey, OK};
use super::world::World;
use crate::kernel::{Event, PendingEvents, Slab};
use crate::model::ids::OperationId;
use crate::model::{Arrivals, Model, RatePhase, TraceMode};
use crate::stream::{Draws, StreamKey};
use crate::units::{Duration, Time};
use crate::variate::exponential;

/// The slot of the crowd's events; visits have those below.
const CROWD: u32 = (1 << 27) - 2;

/// A stream while it runs.
#[derive(Default)]
pub struct ArrivalState {
    /// Phases so far.
    phases: u64,
    /// The present one.
    phase: u32,
    /// When the present one ends.
    phase_ends: Time,
    /// Those of the crowd who have come.
    come: u32,
    /// Virtual users that exist.
    vus: u32,
    /// Those of them that are at work.
    busy: u32,
    /// Arrivals for which no virtual user was free.
    pub dropped: u64,
    /// Sessions that go on.
    visits: Slab<Visit>,
    /// By journey: its session.
    visit_of: Vec<u32>,
    /// The session whose page is being asked for.
    current: u32,
}

/// A session of the open stream: one page after another.
#[derive(Clone, Copy, Default)]
struct Visit {
    user: u32,
    ordinal: u32,
    stream: StreamKey,
    page: u32,
    failures: u32,
    next: OperationId,
}

impl RatePhase {
    /// The phase that follows, where it is the so-manieth change.
    fn follower(&self, key: &StreamKey, change: u64) -> u32 {
        if let [(_, only)] = self.next[..] {
            return only;
        }
        let unit = key.named("next").draw(change).unit();
        let found = self.next.iter().find(|(until, _)| unit < *until);
        found.expect("the last reaches one").1
    }
}

impl ArrivalState {
    /// Before the first arrival.
    pub fn new(model: &Model) -> ArrivalState {
        let vus = model.arrivals.vus.map_or(0, |vus| vus.planned);
        ArrivalState { vus, ..ArrivalState::default() }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    fn stream_spec(&self) -> &Arrivals {
        &self.model.arrivals
    }

    /// A crowd sets out.
    pub(super) fn start_crowd(&mut self) {
        if let Some(crowd) = self.stream_spec().crowd {
            self.at(Time::ZERO + crowd.at, Kind::Think, CROWD);
        }
    }

    /// By what the rate is multiplied now: each phase lasts an exponential time.
    pub(super) fn phase_factor(&mut self) -> f64 {
        let model = self.model;
        let phases = &model.arrivals.phases;
        if phases.is_empty() {
            return 1.0;
        }
        let key = self.key.named("arrival-phases");
        let state = &mut self.arrivals;
        while state.phase_ends <= self.now {
            let following = match (state.phases, model.arrivals.stationary) {
                (0, false) => 0,
                (0, true) => {
                    let mut unit = key.draw(u64::MAX).unit();
                    let until = |phase: &RatePhase| {
                        unit -= phase.share;
                        unit < 0.0
                    };
                    phases.iter().position(until).unwrap_or(phases.len() - 1) as u32
                }
                (count, _) => phases[state.phase as usize].follower(&key, count),
            };
            state.phase = following;
            let mean = phases[following as usize].length;
            let length = exponential(&mut key.draw(state.phases)) * mean.seconds();
            state.phase_ends = state.phase_ends + Duration::from_secs_f64(length);
            state.phases += 1;
        }
        phases[state.phase as usize].times
    }

    /// When the next recorded arrival comes; [`None`] when there is no trace, or none any more.
    pub(super) fn next_of_trace(&self, number: u64, draws: &mut Draws) -> Option<Time> {
        let trace = self.model.arrivals.trace.as_ref()?;
        match trace.mode {
            TraceMode::Instants => trace.times.get(number as usize).copied(),
            TraceMode::Gaps => {
                let place = draws.below(trace.times.len() as u32 - 1) as usize;
                Some(self.now + trace.times[place + 1].since(trace.times[place]))
            }
        }
    }

    /// An arrival: a user or a batch of them, as far as virtual users are free.
    pub(super) fn come(&mut self, user: u32, number: u64, stream: StreamKey) {
        let spec = self.stream_spec();
        let users = self.model.users().max(1);
        let (mut user, mut operation) = (user, None);
        if let Some(trace) = spec.trace.as_ref().filter(|it| it.mode == TraceMode::Instants) {
            user = trace.users.get(number as usize).copied().unwrap_or(user);
            operation = trace.operations.get(number as usize).copied();
        }
        for companion in 0..spec.batch {
            let (user, stream) = match companion {
                0 => (user, stream),
                _ => {
                    let stream = stream.numbered(u64::from(companion) << 32);
                    (stream.draw(0xba7c).below(users), stream)
                }
            };
            self.come_alone(user, number as u32 & ORDINALS, stream, operation);
        }
    }

    fn come_alone(
        &mut self,
        user: u32,
        ordinal: u32,
        stream: StreamKey,
        operation: Option<OperationId>,
    ) {
        if let Some(vus) = self.model.arrivals.vus {
            if self.arrivals.busy >= self.arrivals.vus {
                // k6 drops the iteration, and makes one more virtual user if it may.
                self.arrivals.dropped += 1;
                self.arrivals.vus += u32::from(self.arrivals.vus < vus.most);
                return;
            }
            self.arrivals.busy += 1;
        }
        let operation = operation.unwrap_or_else(|| self.drawn_operation(user, stream));
        if self.model.arrivals.session.is_some() {
            let visit =
                Visit { user, ordinal, stream, page: 1, failures: 0, next: OperationId::default() };
            self.arrivals.current = self.arrivals.visits.insert(visit);
        }
        self.begin_journey(user, ordinal, stream, operation);
    }

    /// A session's page has become a journey. Says whether it is the first.
    pub(super) fn note_visit(&mut self, journey: u32) -> bool {
        let current = self.arrivals.current;
        if self.arrivals.visit_of.len() <= journey as usize {
            self.arrivals.visit_of.resize(journey as usize + 1, 0);
        }
        self.arrivals.visit_of[journey as usize] = current;
        self.arrivals.visits[current].page == 1
    }

    /// What an open stream's user wanted is over: they leave, or think about the next page.
    pub(super) fn iteration_over(&mut self, slot: u32, journey: &Journey, status: u8) {
        let model = self.model;
        if let Some(session) = &model.arrivals.session {
            let visit = self.arrivals.visit_of[slot as usize];
            let state = &mut self.arrivals.visits[visit];
            state.failures += u32::from(status != OK);
            let failures = state.failures;
            let stream = state.stream.numbered(u64::from(state.page) | 1 << 40);
            let mut draws = stream.draw(0x9e87);
            let next = &model.operations[journey.operation].next;
            let operation = match next.is_empty() {
                true => {
                    let goes_on = draws.chance(1.0 - 1.0 / session.pages);
                    goes_on.then(|| self.drawn_operation(journey.user, stream))
                }
                false => {
                    let unit = draws.unit();
                    next.iter().find(|(until, _)| unit < *until).map(|(_, operation)| *operation)
                }
            };
            let fed_up = session.abandons_after.is_some_and(|most| failures >= most);
            if let Some(operation) = operation.filter(|_| !fed_up) {
                let state = &mut self.arrivals.visits[visit];
                state.next = operation;
                state.page += 1;
                let (ordinal, think) = (state.ordinal, session.think);
                let think = model.draw_law(think, stream, 0x7417);
                let event = Event::new(self.now + think, Kind::Think as u8, ordinal, visit);
                return self.events.push(event);
            }
            self.arrivals.visits.remove(visit);
        }
        self.free_vu();
    }

    fn free_vu(&mut self) {
        if self.model.arrivals.vus.is_some() {
            self.arrivals.busy -= 1;
        }
    }

    /// What an open stream's user was at is interrupted, and with it their visit.
    pub(super) fn visit_ends(&mut self, slot: u32) {
        if self.stream_spec().session.is_some() {
            self.arrivals.visits.remove(self.arrivals.visit_of[slot as usize]);
        }
        self.free_vu();
    }

    /// The next page of a session, or the next of a crowd.
    pub(super) fn comes_again(&mut self, slot: u32) {
        if slot == CROWD {
            return self.next_of_crowd();
        }
        if self.is_stopped() {
            self.arrivals.visits.remove(slot);
            return self.free_vu();
        }
        let visit = self.arrivals.visits[slot];
        self.arrivals.current = slot;
        let stream = visit.stream.numbered(u64::from(visit.page));
        self.begin_journey(visit.user, visit.ordinal, stream, visit.next);
    }

    fn next_of_crowd(&mut self) {
        let crowd = self.stream_spec().crowd.expect("a crowd comes");
        let number = self.arrivals.come;
        self.arrivals.come += 1;
        if self.arrivals.come < crowd.users {
            // Evenly over the ramp: the n-th of N comes at n / N of it.
            let share = f64::from(self.arrivals.come) / f64::from(crowd.users);
            let at = Time::ZERO + crowd.at + crowd.over.scale(share);
            self.at(at.max(self.now), Kind::Think, CROWD);
        }
        let stream = self.client.requests.named("crowd").numbered(u64::from(number));
        let user = stream.draw(0xba7c).below(self.model.users().max(1));
        self.come_alone(user, (number | 1 << 30) & ORDINALS, stream, None);
    }
}
