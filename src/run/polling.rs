//! Users who ask whether a job is done, until it is.
//!
//! Whoever has the answer to the request that left the job behind asks after a while, and again a while
//! after each answer. These are requests like any other, beside what the user does otherwise. A request
//! that sets out when the job has ended brings the news.

use crate::kernel::{Event, PendingEvents, Slab};
use crate::model::ids::{JobId, QueueId};
use crate::model::tape::PollId;
use crate::stream::StreamKey;
use crate::units::{Duration, Time};

use super::client::ORDINALS;
use super::event::Kind;
use super::meter::Counter;
use super::task::{Journey, NONE, OK, POLLS, Role};
use super::world::World;

/// A job whose end somebody asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    poll: PollId,
    queue: QueueId,
    user: u32,
    stream: StreamKey,
    /// When the user wanted what the job is for.
    since: Time,
    /// Questions so far.
    asked: u32,
    /// The job has ended.
    over: bool,
    /// Nobody asks any more, or nobody ever will.
    forsaken: bool,
    /// The present question set out after the job had ended.
    told: bool,
    /// Another one of the same journey; [`NONE`]: there is none.
    next: u32,
}

/// All of them.
#[derive(Default)]
pub struct Watches {
    all: Slab<Watch>,
    /// By journey: the first watch that it left behind, or asks for. Empty while nobody watches anything.
    pub(super) of_journeys: Vec<u32>,
    /// Questions so far.
    asked: u32,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A task leaves behind a job whose end will be asked for.
    pub(super) fn watch_job(&mut self, task: u32, kind: JobId, poll: PollId) -> u32 {
        let journey = self.journey_of(task);
        let record = self.tasks[task];
        let since = journey.map_or(self.now, |it| self.journeys[it].intended);
        let watch = self.watches.all.insert(Watch {
            poll,
            queue: self.model.jobs[kind].queue,
            user: record.user,
            stream: record.stream.named("polls").numbered(u64::from(record.pc.0)),
            since,
            next: NONE,
            ..Watch::default()
        });
        match journey {
            Some(journey) => {
                self.watches.all[watch].next = self.watches.first(journey);
                self.watches.of_journeys[journey as usize] = watch;
            }
            None => self.ask_later(watch), // the answer is there already
        }
        watch
    }

    /// The journey that a task is for, if its answer is still to come.
    fn journey_of(&self, mut task: u32) -> Option<u32> {
        loop {
            let record = &self.tasks[task];
            match record.role {
                Role::Attempt => return (record.owner != NONE).then_some(record.owner),
                Role::Branch | Role::Call | Role::Protected => {
                    if !self.awaits(record.owner, record.owner_epoch) {
                        return None;
                    }
                    task = record.owner;
                }
                _ => return None,
            }
        }
    }

    fn ask_later(&mut self, watch: u32) {
        let poll = self.model.polls[usize::from(self.watches.all[watch].poll.0) - 1];
        let at = self.now + poll.every;
        self.events.push(Event::new(at, Kind::Poll as u8, 0, watch));
    }

    /// A user asks whether a job is done.
    pub(super) fn poll_job(&mut self, watch: u32) {
        let number = self.watches.asked;
        self.watches.asked += 1;
        let state = &mut self.watches.all[watch];
        state.asked += 1;
        state.told = state.over;
        let Watch { user, stream, asked, poll, .. } = *state;
        let operation = self.model.polls[usize::from(poll.0) - 1].operation;
        let stream = stream.numbered(u64::from(asked));
        // Beside the numbers of what users do otherwise.
        let ordinal = (number | 1 << 30) & ORDINALS;
        let journey = self.new_journey(user, ordinal, stream, operation);
        self.watches.first(journey);
        self.watches.of_journeys[journey as usize] = watch;
        let record = &mut self.journeys[journey];
        record.reloads |= POLLS;
        record.fresh = self.model.operations[operation].login;
        self.set_out_for(journey);
    }

    /// A journey has ended: its user begins to ask for what it has left behind, or has heard of it.
    pub(super) fn ask_for_jobs(&mut self, slot: u32, journey: &Journey, status: u8) {
        let Some(first) = self.watches.of_journeys.get_mut(slot as usize) else { return };
        let mut watch = std::mem::replace(first, NONE);
        if journey.reloads & POLLS != 0 {
            return self.poll_answered(watch, status == OK);
        }
        while watch != NONE {
            let next = self.watches.all[watch].next;
            match status {
                OK => self.ask_later(watch),
                _ => self.forsake(watch), // who has no answer knows of no job
            }
            watch = next;
        }
    }

    /// The user sends a request once more: the answer will be about what that leaves behind.
    pub(super) fn forget_jobs(&mut self, journey: u32) {
        let Some(first) = self.watches.of_journeys.get_mut(journey as usize) else { return };
        if self.journeys[journey].reloads & POLLS != 0 {
            return;
        }
        let mut watch = std::mem::replace(first, NONE);
        while watch != NONE {
            let next = self.watches.all[watch].next;
            self.forsake(watch);
            watch = next;
        }
    }

    fn poll_answered(&mut self, watch: u32, ok: bool) {
        let Watch { poll, queue, since, asked, told, .. } = self.watches.all[watch];
        if ok && told {
            let station = self.model.queues[queue].station;
            self.count(station, Counter::Replayed);
            let late = self.now.since(since).0 / Duration::micros(1).0;
            self.meters[station].add(Counter::LagMicros, late);
        } else if asked < self.model.polls[usize::from(poll.0) - 1].most {
            return self.ask_later(watch);
        }
        self.forsake(watch);
    }

    /// Nobody will ask for it any more.
    fn forsake(&mut self, watch: u32) {
        self.watches.all[watch].forsaken = true;
        self.watches.settle(watch);
    }

    /// A job that is watched has ended.
    pub(super) fn watched_job_over(&mut self, watch: u32) {
        self.watches.all[watch].over = true;
        self.watches.settle(watch);
    }
}

impl Watches {
    /// What a journey has left behind so far.
    fn first(&mut self, journey: u32) -> u32 {
        let place = journey as usize;
        if self.of_journeys.len() <= place {
            self.of_journeys.resize(place + 1, NONE);
        }
        self.of_journeys[place]
    }

    /// What has ended and is asked for by nobody is forgotten.
    fn settle(&mut self, watch: u32) {
        let state = &self.all[watch];
        if state.over && state.forsaken {
            self.all.remove(watch);
        }
    }
}
