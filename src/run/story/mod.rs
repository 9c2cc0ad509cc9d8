//! The stories of chosen requests: what happened to each, when, where, and behind whom it waited.
//!
//! Stories are told on the reference event list only: its runs are for looking closely. On the
//! other list every hook here is compiled away ([`PendingEvents::TELLS`]), so that runs cost
//! nothing. And since a replication is always the same, it can be run once to find the slowest
//! request, and once more to tell what became of it.

mod around;

use super::task::{Lease, NONE, OK, Role, State, Task};
use super::world::World;
use super::{LOOK_EVERY, Part, Watcher};
use crate::failure::Failure;
use crate::kernel::{PendingEvents, ReferenceEventList};
use crate::model::Model;
use crate::model::ids::{OperationId, StationId};
use crate::model::tape::{Op, Pc};
use crate::units::{Duration, Time};

/// Which stories are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// That of the request of this number.
    Number(u32),
    /// Those of the slowest of the measured time.
    Slowest {
        /// How many.
        count: usize,
        /// Of those that failed.
        failed: bool,
        /// Of this operation.
        operation: Option<OperationId>,
    },
}

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Story {
    /// Its number in the replication.
    pub number: u32,
    /// What was wanted.
    pub operation: OperationId,
    /// By whom.
    pub user: u32,
    /// When.
    pub intended: Time,
    /// How it ended; [`None`] if the run ended first.
    pub end: Option<End>,
    /// Everything that was done for it: attempts, branches, calls.
    pub threads: Vec<Thread>,
    /// What happened, in the order of its beginning.
    pub moments: Vec<Moment>,
}

/// How a request, or an attempt at it, ended for its user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// When.
    pub at: Time,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The status code of the answer; 0 if it has none of its own.
    pub status: u16,
}

/// One execution of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thread {
    /// What it is.
    pub role: Role,
    /// Which attempt, or which branch.
    pub number: u32,
    /// The thread that began it; [`None`] for attempts.
    pub parent: Option<usize>,
    /// When it began.
    pub from: Time,
    /// When it was over; [`None`] if the run ended first.
    pub to: Option<Time>,
    /// From when on nobody waited for it.
    pub alone: Option<Time>,
}

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Moment {
    /// When it began.
    pub at: Time,
    /// How long it took.
    pub took: Duration,
    /// In which thread; [`None`] is the user.
    pub thread: Option<usize>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum What {
    /// Time was spent at a component.
    Spent {
        /// Where.
        at: StationId,
        /// Waiting or being served.
        part: Part,
        /// The operation that the thread stood at; [`None`] on the way of a failure.
        op: Option<Op>,
    },
    /// An operation began.
    Does {
        /// Where on the tape.
        pc: Pc,
        /// Which.
        op: Op,
    },
    /// It must wait, or share.
    Waits(Behind),
    /// It had a connection for so long.
    Held {
        /// Of which pool.
        pool: StationId,
    },
    /// It failed, or its failure was caught.
    Fails(Failure),
    /// An attempt was sent.
    Sent,
    /// It asks for this in place of what is wanted.
    Instead(OperationId),
    /// An attempt was over for the user.
    Over(End),
}

/// Behind whom a task waits: what it meets in the instant in which it begins to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Behind {
    /// What it waits for, or shares.
    pub state: State,
    /// Those who stand before it.
    pub ahead: u32,
    /// Servers that are taken: connections lent, places taken, others on the same cores.
    pub busy: u32,
    /// How many there are; 0 where that is not counted.
    pub servers: f64,
    /// The one that has been at it for longest.
    pub whom: Option<Other>,
}

/// Another request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Other {
    /// Its number.
    pub number: u32,
    /// What its user wants; [`None`] if nobody waits for it any more.
    pub operation: Option<OperationId>,
    /// What has begun it: an attempt, or somebody who is no user.
    pub role: Role,
    /// What it does.
    pub state: State,
    /// Since when.
    pub since: Time,
}

/// Tells the stories that are wanted of one replication; none if there is no such request.
pub fn tell(
    model: &Model,
    replication: u32,
    wanted: Wanted,
    watcher: &mut dyn Watcher,
) -> Vec<Story> {
    let numbers = match wanted {
        Wanted::Number(number) => vec![number],
        Wanted::Slowest { count, failed, operation } => {
            let seeker = Seeker { count, failed, operation, found: Vec::new() };
            match follow(model, replication, Recorder::Seeks(seeker), watcher) {
                Recorder::Seeks(seeker) => {
                    seeker.found.into_iter().map(|(_, number)| number).collect()
                }
                Recorder::Tells(_) => unreachable!("who seeks goes on seeking"),
            }
        }
    };
    let teller = Teller { numbers, ..Teller::default() };
    match follow(model, replication, Recorder::Tells(teller), watcher) {
        Recorder::Tells(teller) => teller.into_stories(),
        Recorder::Seeks(_) => unreachable!("who tells goes on telling"),
    }
}

/// Runs a replication under the eyes of a recorder, for as long as that has something to see.
fn follow(
    model: &Model,
    replication: u32,
    recorder: Recorder,
    watcher: &mut dyn Watcher,
) -> Recorder {
    let mut world = World::<ReferenceEventList>::new(model, replication);
    world.recorder = Some(Box::new(recorder));
    let horizon = world.horizon();
    let (most_events, most_bytes) = (model.plan.max_events, model.plan.max_memory_bytes);
    let mut events: u64 = 0;
    while let Some(event) = world.events.pop() {
        if event.at() > horizon || events >= most_events {
            break;
        }
        world.step(event);
        world.look_around();
        events += 1;
        if world.recorder.as_ref().is_some_and(|it| it.is_done()) {
            break;
        }
        if events.is_multiple_of(LOOK_EVERY)
            && (world.bytes_in_flight() > most_bytes || !watcher.watch(world.now, horizon, events))
        {
            break;
        }
    }
    *world.recorder.take().expect("it was put there")
}

/// Watches a run.
pub enum Recorder {
    /// For the requests that are worth a story.
    Seeks(Seeker),
    /// For what becomes of some requests.
    Tells(Teller),
}

impl Recorder {
    fn is_done(&self) -> bool {
        match self {
            Recorder::Seeks(_) => false,
            Recorder::Tells(teller) => teller.is_done(),
        }
    }
}

/// Looks for the slowest requests.
pub struct Seeker {
    count: usize,
    failed: bool,
    operation: Option<OperationId>,
    /// Latency and number, the slowest first; of equals the earliest.
    found: Vec<(Duration, u32)>,
}

impl Seeker {
    fn consider(&mut self, number: u32, operation: OperationId, failed: bool, latency: Duration) {
        if self.operation.is_some_and(|it| it != operation) || self.failed && !failed {
            return;
        }
        let place = self.found.partition_point(|(length, _)| *length >= latency);
        if place < self.count {
            self.found.insert(place, (latency, number));
            self.found.truncate(self.count);
        }
    }
}

/// Writes down what happens to some requests.
#[derive(Default)]
pub struct Teller {
    numbers: Vec<u32>,
    stories: Vec<Story>,
    live: Vec<Live>,
}

/// A task that is followed.
struct Live {
    slot: u32,
    story: usize,
    thread: usize,
    /// Up to when its time is accounted for.
    covered: Time,
    /// The operation that it stands at; [`None`] on the way of a failure.
    op: Option<Op>,
    /// What it did when it was last looked at, and since when.
    seen: (State, Time),
    /// Connections that it holds, since when, and of which pool.
    held: Vec<(Lease, Time, StationId)>,
    /// The sub-pool that it has asked for a connection.
    asked: Option<u32>,
}

impl Teller {
    fn is_done(&self) -> bool {
        self.stories.len() == self.numbers.len()
            && self.live.is_empty()
            && self.stories.iter().all(|story| story.end.is_some())
    }

    fn into_stories(self) -> Vec<Story> {
        let mut stories = self.stories;
        for story in &mut stories {
            // What was written down together in advance goes to its place.
            story.moments.sort_by_key(|moment| moment.at);
        }
        let place = |story: &Story| self.numbers.iter().position(|it| *it == story.number);
        stories.sort_by_key(place);
        stories
    }

    fn of(&mut self, slot: u32) -> Option<&mut Live> {
        self.live.iter_mut().find(|live| live.slot == slot)
    }

    fn story_of(&self, number: u32) -> Option<usize> {
        self.stories.iter().position(|story| story.number == number && story.end.is_none())
    }

    fn note(&mut self, slot: u32, at: Time, what: What) {
        if let Some(Live { story, thread, .. }) = self.of(slot) {
            let (story, thread) = (*story, Some(*thread));
            self.stories[story].moments.push(Moment { at, took: Duration::ZERO, thread, what });
        }
    }

    /// A task begins for a request that is followed.
    fn begin(&mut self, slot: u32, task: &Task, number: u32, now: Time) {
        let owner = self.live.iter().find(|live| live.slot == task.owner);
        let owner = owner.map(|live| (live.story, live.thread));
        let (followed, parent) = match task.role {
            Role::Attempt => (self.story_of(task.ordinal), None),
            // Nobody's request.
            Role::Probe | Role::Socket => (None, None),
            _ => owner.unzip(),
        };
        let Some(story) = followed else { return };
        let thread = Thread { role: task.role, number, parent, from: now, to: None, alone: None };
        self.stories[story].threads.push(thread);
        self.live.push(Live {
            slot,
            story,
            thread: self.stories[story].threads.len() - 1,
            covered: now,
            op: None,
            seen: (State::Free, now),
            held: Vec::new(),
            asked: None,
        });
    }

    /// A task is over.
    fn end(&mut self, slot: u32, now: Time) {
        let Some(place) = self.live.iter().position(|live| live.slot == slot) else { return };
        let live = self.live.swap_remove(place);
        let thread = &mut self.stories[live.story].threads[live.thread];
        thread.to = Some(now);
    }

    /// A task has spent time, or is about to: what it spends fills its time without gaps.
    fn spend(&mut self, slot: u32, at: StationId, part: Part, length: Duration) {
        let Some(live) = self.of(slot).filter(|_| !length.is_zero()) else { return };
        let (story, thread, from, op) = (live.story, live.thread, live.covered, live.op);
        live.covered = from + length;
        let what = What::Spent { at, part, op };
        let moment = Moment { at: from, took: length, thread: Some(thread), what };
        self.stories[story].moments.push(moment);
    }

    /// A task comes to its next operation: what it has waited for outside is over, however long that
    /// was meant to take.
    fn goes_on(&mut self, slot: u32, op: Option<Op>, now: Time) {
        let Some(live) = self.of(slot) else { return };
        live.op = op;
        live.covered = now;
        let (story, thread) = (live.story, live.thread);
        let story = &mut self.stories[story];
        cut_short(story, thread, now);
        for child in story.threads.iter_mut().filter(|child| child.parent == Some(thread)) {
            // It goes on without those that are not over.
            if child.to.is_none() && child.alone.is_none() {
                child.alone = Some(now);
            }
        }
    }

    /// The answer of a task goes on in another one; this one works on for nobody.
    fn split(&mut self, worker: u32, answer: u32, now: Time) {
        let Some(mine) = self.live.iter().position(|live| live.slot == worker) else { return };
        let Some(other) = self.live.iter().position(|live| live.slot == answer) else { return };
        (self.live[mine].slot, self.live[other].slot) = (answer, worker);
        let held = std::mem::take(&mut self.live[mine].held);
        let Live { story, thread, .. } = self.live[other];
        let parent = self.live[mine].thread;
        for (lease, since, pool) in held {
            let what = What::Held { pool };
            let took = now.since(since);
            let moment = Moment { at: since, took, thread: Some(parent), what };
            self.stories[story].moments.push(moment);
            // In the thread that has it from now on.
            self.live[other].held.push((lease, now, pool));
        }
        let thread = &mut self.stories[story].threads[thread];
        (thread.role, thread.parent, thread.alone) = (Role::Tail, Some(parent), Some(now));
    }
}

/// Time of a thread that was accounted for in advance, and has been cut short.
fn cut_short(story: &mut Story, thread: usize, now: Time) {
    for moment in story.moments.iter_mut().rev() {
        if moment.thread == Some(thread) && matches!(moment.what, What::Spent { .. }) {
            if moment.at + moment.took <= now {
                return;
            }
            moment.took = now.since(moment.at.min(now));
            moment.at = moment.at.min(now);
        }
    }
}

/// What the engine tells a recorder. Every caller asks [`PendingEvents::TELLS`] first.
impl<Q: PendingEvents> World<'_, Q> {
    fn teller(&mut self) -> Option<&mut Teller> {
        match self.recorder.as_deref_mut() {
            Some(Recorder::Tells(teller)) => Some(teller),
            _ => None,
        }
    }

    /// A user wants something.
    pub(super) fn tell_wish(&mut self, journey: u32) {
        let record = self.journeys[journey];
        let Some(teller) = self.teller() else { return };
        if teller.numbers.contains(&record.ordinal) {
            teller.stories.push(Story {
                number: record.ordinal,
                operation: record.operation,
                user: record.user,
                intended: record.intended,
                end: None,
                threads: Vec::new(),
                moments: Vec::new(),
            });
        }
    }

    /// A task has begun.
    pub(super) fn tell_task(&mut self, slot: u32) {
        let (task, now) = (self.tasks[slot], self.now);
        let number = match task.role {
            Role::Attempt if task.owner != NONE => u32::from(self.journeys[task.owner].attempt) + 1,
            _ => u32::from(task.branch) + 1,
        };
        let Some(teller) = self.teller() else { return };
        teller.begin(slot, &task, number, now);
    }

    /// An attempt sets out.
    pub(super) fn tell_sent(&mut self, slot: u32) {
        let now = self.now;
        if let Some(teller) = self.teller() {
            teller.note(slot, now, What::Sent);
        }
        let record = self.tasks[slot];
        let asked = record.operation();
        if self.journeys[record.owner].operation != asked
            && let Some(teller) = self.teller()
        {
            teller.note(slot, now, What::Instead(asked));
        }
    }

    /// A task is over.
    pub(super) fn tell_end(&mut self, slot: u32) {
        let now = self.now;
        let Some(teller) = self.teller() else { return };
        if teller.of(slot).is_none() {
            return;
        }
        self.look_at(slot);
        if let Some(teller) = self.teller() {
            teller.end(slot, now);
        }
    }

    /// A task comes to an operation of its tape.
    pub(super) fn tell_op(&mut self, slot: u32) {
        let (record, now) = (self.tasks[slot], self.now);
        let (pc, op) = (record.pc, self.op_at(slot));
        let Some(teller) = self.teller() else { return };
        teller.goes_on(slot, Some(op), now);
        teller.note(slot, now, What::Does { pc, op });
    }

    /// A task fails.
    pub(super) fn tell_failure(&mut self, slot: u32, why: Failure) {
        let now = self.now;
        let Some(teller) = self.teller() else { return };
        teller.goes_on(slot, None, now);
        teller.note(slot, now, What::Fails(why));
    }

    /// Time that a task spends.
    pub(super) fn tell_time(&mut self, slot: u32, at: StationId, part: Part, length: Duration) {
        if let Some(teller) = self.teller() {
            teller.spend(slot, at, part, length);
        }
    }

    /// A task asks a sub-pool for a connection.
    pub(super) fn tell_asked(&mut self, slot: u32, sub: u32) {
        if let Some(live) = self.teller().and_then(|teller| teller.of(slot)) {
            live.asked = Some(sub);
        }
    }

    /// A task's answer goes on in another task.
    pub(super) fn tell_split(&mut self, worker: u32, answer: u32) {
        let now = self.now;
        if let Some(teller) = self.teller() {
            teller.split(worker, answer, now);
        }
    }

    /// Nobody waits for a task any more.
    pub(super) fn tell_alone(&mut self, slot: u32) {
        let now = self.now;
        let Some(teller) = self.teller() else { return };
        if let Some(Live { story, thread, .. }) = teller.of(slot) {
            let (story, thread) = (*story, *thread);
            teller.stories[story].threads[thread].alone = Some(now);
        }
    }

    /// The user pauses before another attempt, or leaves late.
    pub(super) fn tell_rest(&mut self, number: u32, part: Part, took: Duration) {
        let (at, users) = (self.now, self.pauses);
        let Some(teller) = self.teller() else { return };
        if let Some(story) = teller.story_of(number) {
            let what = What::Spent { at: users, part, op: None };
            teller.stories[story].moments.push(Moment { at, took, thread: None, what });
        }
    }

    /// An attempt is over for its user.
    pub(super) fn tell_over(&mut self, number: u32, status: u8, answered: u16) {
        let at = self.now;
        let Some(teller) = self.teller() else { return };
        if let Some(story) = teller.story_of(number) {
            let failure = (status != OK).then(|| Failure::ALL[status as usize]);
            let what = What::Over(End { at, failure, status: answered });
            let moment = Moment { at, took: Duration::ZERO, thread: None, what };
            teller.stories[story].moments.push(moment);
        }
    }

    /// A request is over for its user.
    pub(super) fn tell_fate(&mut self, journey: &super::task::Journey, status: u8) {
        let (now, measuring) = (self.now, self.observer.measuring);
        let latency = now.since(journey.intended);
        match self.recorder.as_deref_mut() {
            Some(Recorder::Seeks(seeker)) if measuring => {
                seeker.consider(journey.ordinal, journey.operation, status != OK, latency);
            }
            Some(Recorder::Tells(teller)) => {
                let Some(story) = teller.story_of(journey.ordinal) else { return };
                let story = &mut teller.stories[story];
                let last = story.moments.iter().rev().find_map(|moment| match moment.what {
                    What::Over(end) => Some(end),
                    _ => None,
                });
                let failure = (status != OK).then(|| Failure::ALL[status as usize]);
                let status = last.map_or(0, |end| end.status);
                story.end = Some(End { at: now, failure, status });
            }
            _ => {}
        }
    }
}
