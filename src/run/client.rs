//! Users: who comes, how long they wait, what they do after a failure.
//!
//! A closed population of users who think for exponential times needs no event per thinking user.
//! Candidates come as one Poisson stream of rate N / Z, each a user drawn uniformly: a user who is
//! thinking begins a request, one who is not is passed over. By the superposition of Poisson
//! processes this is exactly N independent thinkers, and the candidates are the same for every
//! design that is compared, whatever it does to them.

use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::OperationId;
use crate::model::{Model, Workload};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};
use crate::variate::exponential;

use super::dns::Record;
use super::event::Kind;
use super::interrupting::STOP;
use super::meter::Part;
use super::task::{Journey, NONE, OK, POLLS, Role, State, Task, flag};
use super::world::World;

/// Ordinals have 31 bits in an event; the largest is the line of equal patience.
pub(super) const ORDINALS: u32 = 0x7fff_ffff;
/// The slot of the line of equal patience.
const LINE: u32 = NONE >> 5;

/// How long a virtual user without thinking time takes for an iteration that takes no time.
pub(super) const AT_ONCE: Duration = Duration::millis(1);

/// Users while they run.
pub struct ClientState {
    /// Candidates so far.
    pub candidates: u64,
    /// Users with a request in flight, one bit each (closed populations).
    busy: Vec<u64>,
    /// Requests begun by each user, for users who think one by one.
    pub begun: Vec<u32>,
    /// The line of users with equal patience: first to give up.
    head: u32,
    /// The line of users with equal patience: last to give up.
    tail: u32,
    /// When the head's event is scheduled.
    armed: Time,
    /// Tells the tenants of each task slot apart.
    epochs: Vec<u16>,
    /// By user: when their connection was last used, where connections cost something.
    pub used: Vec<Time>,
    /// By service: what DNS says of it, where others stand in for it.
    pub(super) names: Vec<Option<Record>>,
    /// Streams by purpose.
    arrivals: StreamKey,
    /// See `arrivals`.
    pub requests: StreamKey,
    pub(super) homes: StreamKey,
    /// Largest value of the load curve.
    maximum: f64,
}

impl ClientState {
    /// Before the first request.
    pub fn new(model: &Model, key: StreamKey) -> ClientState {
        let (words, begun, maximum) = match &model.workload {
            Workload::Closed { memoryless, .. } => {
                let users = model.users() as usize;
                let begun = if *memoryless { 0 } else { users };
                (users.div_ceil(64), begun, users as f64)
            }
            Workload::Open { rate, .. } => (0, 0, rate.maximum() * model.arrivals.greatest()),
            Workload::Recorded(recording) => (0, recording.users() as usize, 0.0),
        };
        ClientState {
            candidates: 0,
            busy: vec![0; words],
            begun: vec![0; begun],
            head: NONE,
            tail: NONE,
            armed: Time::NEVER,
            epochs: Vec::new(),
            used: Vec::new(),
            names: Vec::new(),
            arrivals: key.named("arrivals"),
            requests: key.named("requests"),
            homes: key.named("homes"),
            maximum,
        }
    }
    /// Tells a new tenant of a task slot from the one before.
    pub fn next_epoch(&mut self, slot: u32) -> u16 {
        if self.epochs.len() <= slot as usize {
            self.epochs.resize(slot as usize + 1, 0);
        }
        let epoch = &mut self.epochs[slot as usize];
        *epoch = epoch.wrapping_add(1).max(1); // 0 is nobody
        *epoch
    }
    fn is_busy(&self, user: u32) -> bool {
        self.busy[user as usize / 64] >> (user % 64) & 1 == 1
    }
    fn set_busy(&mut self, user: u32) {
        self.busy[user as usize / 64] |= 1 << (user % 64);
    }
    pub(super) fn set_thinking(&mut self, user: u32) {
        self.busy[user as usize / 64] &= !(1 << (user % 64));
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// The first arrivals.
    pub fn start_users(&mut self) {
        self.start_letting_go();
        self.start_names();
        match &self.model.workload {
            Workload::Closed { memoryless: false, .. } => {
                for user in 0..self.model.users() {
                    // A user seen at a random instant is at a uniform point of the thinking time.
                    let think = self.thinking_time(user);
                    let stream = self.client.homes.numbered(u64::from(user));
                    let rest = think.scale(stream.draw(1).unit());
                    self.at(Time::ZERO + rest, Kind::Think, user);
                }
            }
            Workload::Recorded(_) => self.start_recording(),
            _ => {
                self.start_crowd();
                self.schedule_candidate();
            }
        }
    }

    pub(super) fn thinking_time(&self, user: u32) -> Duration {
        let Workload::Closed { think, .. } = &self.model.workload else {
            unreachable!("only closed populations think")
        };
        let begun = self.client.begun[user as usize];
        let stream = self.client.arrivals.numbered(u64::from(user));
        self.model.draw_law(*think, stream, begun)
    }

    /// Schedules the next candidate of the arrival stream.
    fn schedule_candidate(&mut self) {
        if self.client.maximum == 0.0 {
            return; // nobody ever comes
        }
        let number = self.client.candidates;
        let mut draws = self.client.arrivals.draw(number);
        let at = match &self.model.workload {
            Workload::Closed { think, .. } => {
                let mean = self.model.laws[*think].mean / self.client.maximum;
                self.now + Duration::from_secs_f64(exponential(&mut draws) * mean)
            }
            Workload::Open { .. } if self.model.arrivals.trace.is_some() => {
                match self.next_of_trace(number, &mut draws) {
                    Some(at) => at,
                    None => return,
                }
            }
            Workload::Open { even: false, .. } => {
                let mean = 1.0 / self.client.maximum;
                self.now + Duration::from_secs_f64(exponential(&mut draws) * mean)
            }
            Workload::Open { rate, even: true, .. } => {
                let now = self.now.since(Time::ZERO);
                match rate.next_unit(now) {
                    Some(at) => Time::ZERO + at,
                    None => return,
                }
            }
            Workload::Recorded(_) => unreachable!("what is recorded is not drawn"),
        };
        self.events.push(Event::new(at, Kind::Candidate as u8, number as u32 & ORDINALS, 0));
    }

    /// A candidate of the arrival stream: does somebody come?
    pub fn candidate(&mut self) {
        if let Workload::Recorded(_) = &self.model.workload {
            return self.arrive();
        }
        let number = self.client.candidates;
        self.client.candidates += 1;
        self.schedule_candidate();
        let mut draws = self.client.requests.draw(number);
        let elapsed = self.now.since(Time::ZERO);
        let factor = self.phase_factor();
        let (user, comes) = match &self.model.workload {
            Workload::Closed { population, .. } => {
                let user = draws.below(self.client.maximum as u32);
                (user, f64::from(user) < population.at(elapsed) && !self.client.is_busy(user))
            }
            Workload::Open { rate, even, users } => {
                let user = draws.below(*users);
                let given = *even || self.model.arrivals.trace.is_some();
                let kept = given || draws.chance(rate.at(elapsed) * factor / self.client.maximum);
                (user, kept)
            }
            Workload::Recorded(_) => unreachable!("what is recorded is not drawn"),
        };
        if !comes {
            return;
        }
        let stream = self.client.requests.numbered(number);
        match &self.model.workload {
            Workload::Open { .. } => self.come(user, number, stream),
            _ => self.begin_drawn(user, number, stream),
        }
    }

    /// A user of a population that thinks one by one has finished thinking.
    pub fn think_done(&mut self, user: u32) {
        if user == STOP {
            return self.stop_users();
        }
        match &self.model.workload {
            Workload::Recorded(_) => return self.take_turn(user),
            Workload::Open { .. } => return self.comes_again(user),
            Workload::Closed { .. } => {}
        }
        let elapsed = self.now.since(Time::ZERO);
        let Workload::Closed { population, .. } = &self.model.workload else {
            unreachable!("only closed populations think")
        };
        if f64::from(user) >= population.at(elapsed) {
            // Not there at present: looks in again after another thinking time.
            self.client.begun[user as usize] += 1;
            let again = self.thinking_time(user);
            if again.is_zero() {
                if let Some(at) = population.exceeds(f64::from(user), elapsed) {
                    self.at((Time::ZERO + at).max(self.now), Kind::Think, user);
                }
                return;
            }
            return self.at(self.now + again, Kind::Think, user);
        }
        let begun = u64::from(self.client.begun[user as usize]);
        self.client.begun[user as usize] += 1;
        let number = self.client.candidates;
        self.client.candidates += 1;
        let stream = self.client.requests.numbered(u64::from(user)).numbered(begun);
        self.begin_drawn(user, number, stream);
    }

    /// A user wants something, by the shares of the operations.
    fn begin_drawn(&mut self, user: u32, number: u64, stream: StreamKey) {
        if !self.client.busy.is_empty() {
            self.client.set_busy(user);
        }
        let operation = match self.course.next_of(user) {
            Some(operation) => operation,
            None => self.drawn_operation(user, stream),
        };
        self.begin_journey(user, number as u32 & ORDINALS, stream, operation);
    }

    /// A user wants something.
    pub fn begin_journey(
        &mut self,
        user: u32,
        ordinal: u32,
        stream: StreamKey,
        operation: OperationId,
    ) {
        let journey = self.new_journey(user, ordinal, stream, operation);
        if self.model.arrivals.session.is_some() && !self.note_visit(journey) {
            self.journeys[journey].fresh = self.model.operations[operation].login;
        }
        self.note_journey(user, journey);
        self.set_out_for(journey);
    }

    /// What a user wants, before anything is done for it.
    #[inline]
    pub(super) fn new_journey(
        &mut self,
        user: u32,
        ordinal: u32,
        stream: StreamKey,
        operation: OperationId,
    ) -> u32 {
        let client = &self.model.client;
        let (visits, returns) = (client.visit_chance, client.returning_chance);
        let in_time = visits > 0.0 && stream.draw(0x71).unit() < visits;
        let begins = self.course.begins(user, in_time);
        let fresh = begins && stream.draw(0x72).unit() >= returns;
        let measured = ordinal.is_multiple_of(self.model.plan.attribution_every);
        let row = if measured { self.attribution.open() } else { NONE };
        self.journeys.insert(Journey {
            intended: self.now,
            started: self.now,
            deadline: Time::NEVER,
            pause: Duration::ZERO,
            asked: Duration::ZERO,
            task: NONE,
            user,
            stream,
            ordinal,
            operation,
            attempt: 0,
            reloads: 0,
            fresh: fresh || self.model.operations[operation].login,
            previous: NONE,
            next: NONE,
            row,
        })
    }

    /// The user is about to ask for it.
    #[inline]
    pub(super) fn set_out_for(&mut self, journey: u32) {
        let Journey { operation, stream, .. } = self.journeys[journey];
        let now = self.now;
        self.observer.offered(operation, now);
        if Q::TELLS {
            self.tell_wish(journey);
        }
        match self.model.client.lateness {
            None => self.begin_attempt(journey),
            Some(law) => {
                let late = self.model.draw_law(law, stream, 0x1a7e);
                self.rest(journey, Part::Service, late);
            }
        }
    }

    /// For so long the user does nothing but wait for the next attempt.
    fn rest(&mut self, journey: u32, part: Part, length: Duration) {
        let Journey { row, ordinal, .. } = self.journeys[journey];
        if Q::TELLS {
            self.tell_rest(ordinal, part, length);
        }
        if row != NONE {
            self.attribution.spend(row, self.pauses, part, length);
        }
        self.events.push(Event::new(self.now + length, Kind::Retry as u8, ordinal, journey));
    }

    /// The user sends the request, once more or for the first time.
    pub(super) fn begin_attempt(&mut self, journey: u32) {
        let record = self.journeys[journey];
        let stream = record.stream.numbered(u64::from(record.attempt) + 1);
        if !self.send_attempt(&record, stream) {
            self.journeys[journey].attempt += 1;
            return self.throttled_at_home(journey);
        }
        let operation = match self.model.client.dns {
            None => record.operation,
            Some(_) => self.answered_where(record.operation, record.user),
        };
        let task = self.new_task(Task {
            stream,
            since: self.now,
            deadline: Time::NEVER,
            pc: self.model.operations[operation].entry,
            owner: journey,
            ordinal: record.ordinal,
            worker: NONE,
            user: record.user,
            row: record.row,
            branch: operation.0 as u16,
            role: Role::Attempt,
            state: State::Away,
            status: OK,
            parked: OK,
            flags: if record.fresh { flag::NEW_SESSION } else { 0 },
            ..Task::default()
        });
        let record = &mut self.journeys[journey];
        record.task = task;
        record.started = self.now;
        record.asked = Duration::ZERO;
        record.attempt += 1;
        self.observer.attempts += 1;
        if Q::TELLS {
            self.tell_sent(task);
        }
        self.arm_patience(journey, stream);
        self.arm_reload(journey);
        self.set_out(task);
    }

    /// Starts the clock of the user's patience with this attempt.
    fn arm_patience(&mut self, journey: u32, stream: StreamKey) {
        let Some(law) = self.model.client.patience else { return };
        let equal = self.patience_is_equal();
        let shared = self.model.client.retry.as_ref().is_some_and(|retry| retry.shares_timeout);
        let deadline = match shared {
            false => self.now + self.model.draw_law(law, stream, 0x9a71),
            true => self.first_deadline(&self.journeys[journey]).unwrap_or(Time::NEVER),
        };
        self.journeys[journey].deadline = deadline;
        if deadline == Time::NEVER {
            return; // it outlasts every run
        }
        if !equal {
            let ordinal = self.journeys[journey].ordinal;
            self.events.push(Event::new(deadline, Kind::Patience as u8, ordinal, journey));
            return;
        }
        let tail = self.client.tail;
        let record = &mut self.journeys[journey];
        (record.previous, record.next) = (tail, NONE);
        match tail {
            NONE => self.client.head = journey,
            tail => self.journeys[tail].next = journey,
        }
        self.client.tail = journey;
        self.arm_line();
    }

    /// Schedules the event of the head of the line of equal patience.
    fn arm_line(&mut self) {
        if self.client.head == NONE || self.client.armed != Time::NEVER {
            return;
        }
        let head = self.journeys[self.client.head];
        self.client.armed = head.deadline;
        self.events.push(Event::new(head.deadline, Kind::Patience as u8, ORDINALS, LINE));
    }

    /// The user waits no longer for this attempt, for whatever reason: out of the line.
    pub(super) fn disarm_patience(&mut self, journey: u32) {
        let record = &mut self.journeys[journey];
        if std::mem::replace(&mut record.deadline, Time::NEVER) == Time::NEVER {
            return;
        }
        let (previous, next) = (record.previous, record.next);
        if !self.patience_is_equal() {
            return; // its event finds the deadline changed
        }
        match previous {
            NONE => self.client.head = next,
            previous => self.journeys[previous].next = next,
        }
        match next {
            NONE => self.client.tail = previous,
            next => self.journeys[next].previous = previous,
        }
    }

    /// The patience of a user, or of the head of the line, may have ended.
    pub fn patience(&mut self, slot: u32, ordinal: u32) {
        if ordinal != ORDINALS || slot != LINE {
            let record = self.journeys.peek(slot);
            if record.ordinal == ordinal && record.deadline == self.now {
                self.give_up(slot);
            } else if record.ordinal == ordinal {
                self.reload_due(slot);
            }
            return;
        }
        self.client.armed = Time::NEVER;
        while self.client.head != NONE && self.journeys[self.client.head].deadline <= self.now {
            self.give_up(self.client.head);
        }
        self.arm_line();
    }

    /// The user gives up on this attempt. What it has set in motion goes on without them.
    fn give_up(&mut self, journey: u32) {
        let task = self.journeys[journey].task;
        self.abandon_attempt(journey);
        self.attempt_over(journey, Failure::GaveUp as u8, 0, 0);
        self.cancel_waiting(task);
    }

    /// Nobody waits for this attempt any more: it is nobody's.
    pub(super) fn abandon_attempt(&mut self, journey: u32) {
        let Journey { task, row, intended, .. } = self.journeys[journey];
        if row != NONE {
            // The attempt is cut off in the middle of something: its time was for nothing.
            self.attribution.lose(row, self.pauses, self.now.since(intended));
        }
        if Q::TELLS {
            self.tell_alone(task);
        }
        self.edge_goes_on(task);
        let record = &mut self.tasks[task];
        (record.owner, record.row) = (NONE, NONE); // what its refusal would have said is not known yet
        self.journeys[journey].asked = Duration::ZERO;
    }

    /// An answer reaches its user, if they still wait for it.
    #[inline]
    pub fn respond(&mut self, task: u32) {
        let record = self.tasks[task];
        if record.owner == NONE {
            self.observer.late += 1;
            return self.end_task(task);
        }
        self.connection_idle(&record);
        self.end_task(task);
        self.attempt_over(record.owner, record.status, record.answered, record.flags);
    }

    /// One attempt is over, well or badly: the journey ends, or goes on after a pause.
    fn attempt_over(&mut self, journey: u32, status: u8, answered: u16, flags: u16) {
        self.disarm_patience(journey);
        let record = &mut self.journeys[journey];
        record.task = NONE;
        let record = *record;
        let length = self.now.since(record.started);
        self.observer.attempt_over(status, length);
        if Q::TELLS {
            self.tell_over(record.ordinal, status, answered);
        }
        if self.model.client.retry.is_some() {
            self.attempt_sent_is_over(&record, status == OK);
        }
        if status != OK
            && let Some(pause) = self.pause_before_retry(journey, status, answered)
        {
            return self.pause_journey(journey, pause);
        }
        if self.model.plan.keep_fates {
            self.keep_fate(&record, status, answered, flags);
        }
        self.end_journey(journey, status, answered);
    }

    /// The user waits before another attempt.
    pub(super) fn pause_journey(&mut self, journey: u32, pause: Duration) {
        self.journeys[journey].pause = pause;
        self.rest(journey, Part::Wait, pause);
    }

    /// The pause is over.
    pub fn retry(&mut self, journey: u32) {
        if self.was_interrupted(journey) {
            return self.end_interrupted(journey);
        }
        if !self.watches.of_journeys.is_empty() {
            self.forget_jobs(journey);
        }
        self.begin_attempt(journey);
    }

    /// The user has what they wanted, or will not get it.
    pub(super) fn end_journey(&mut self, journey: u32, status: u8, answered: u16) {
        let record = self.journeys.remove(journey);
        let latency = self.now.since(record.intended);
        let now = self.now;
        self.observer.finished(&record, (status, answered), latency, now);
        if Q::TELLS {
            self.tell_fate(&record, status);
        }
        if record.row != NONE {
            if status == OK {
                self.attribution.finish(record.row, latency);
            }
            self.attribution.close(record.row);
        }
        if !self.watches.of_journeys.is_empty() {
            self.ask_for_jobs(journey, &record, status);
            if record.reloads & POLLS != 0 {
                return; // it was nobody's turn
            }
        }
        match &self.model.workload {
            Workload::Closed { memoryless, .. } => {
                self.note_journey(record.user, NONE);
                self.course.goes_on(self.model, &record, status);
                self.client.set_thinking(record.user);
                if !memoryless {
                    let think = self.thinking_time(record.user);
                    // Nobody asks twice at one instant, however soon an answer comes.
                    let at_once = (think + latency).is_zero();
                    let think = if at_once { AT_ONCE } else { think };
                    self.at(self.now + think, Kind::Think, record.user);
                }
            }
            Workload::Open { .. } => self.iteration_over(journey, &record, status),
            Workload::Recorded(_) => self.think_on(record.user),
        }
    }
}
