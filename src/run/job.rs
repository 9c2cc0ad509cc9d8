//! Jobs: what a queue knows of each.

use crate::model::ids::JobId;
use crate::stream::StreamKey;
use crate::units::Time;

use super::queue_scripts::Stage;
use super::task::NONE;

/// A job that waits or runs.
#[derive(Clone, Copy, Debug)]
pub struct JobRecord {
    /// What kind.
    pub(super) kind: JobId,
    /// Attempts that have failed.
    pub(super) failed: u32,
    /// Bull's rate limiter has put it aside.
    pub(super) aside: bool,
    /// Its queue has it among those that are due later.
    pub(super) delayed: bool,
    /// How often it has stalled.
    pub(super) stalls: u32,
    /// The task that waits for it; [`NONE`] when nobody does.
    pub(super) waiter: u32,
    /// Who will ask whether it is done; [`NONE`] when nobody does.
    pub(super) watch: u32,
    /// The waiter's epoch.
    pub(super) waiter_epoch: u16,
    /// The process that works at it.
    pub(super) process: u32,
    /// Whose request it comes from.
    pub(super) user: u32,
    /// When it was put on the queue, first or again.
    pub(super) queued: Time,
    /// Tells this job's events from those of the slot's earlier tenants, 31 bits.
    pub(super) number: u32,
    /// When the present attempt, or the last, was begun.
    pub(super) started: Time,
    /// When its handler ends.
    pub(super) due: Time,
    /// When its lock was renewed last, as far as has been looked.
    pub(super) renewed: Time,
    /// A renewal has come too late.
    pub(super) lost: bool,
    /// Its queue has lost it.
    pub(super) erased: bool,
    /// When a check for stalled jobs found it at work last.
    pub(super) suspect: Time,
    /// Where it is.
    pub(super) state: JobState,
    /// What its worker is at.
    pub(super) stage: Stage,
    /// Its script was not run, and is sent again.
    pub(super) unheard: bool,
    /// Its handler has failed, not only by chance.
    pub(super) broke: bool,
    /// When Bull renews its lock next.
    pub(super) renews: Time,
    /// The root of its random numbers.
    pub(super) stream: StreamKey,
}

/// Where a job is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    /// Nowhere: the slot is free.
    Free,
    /// In the queue.
    Waiting,
    /// Until its next attempt.
    Delayed,
    /// At work.
    Running,
    /// Its handler is gone, or cannot end it for want of its lock; for the queue it is at work.
    Orphan,
    /// The handler of an attempt that is over already, without a slot: its timeout has passed.
    Runaway,
    /// The same, and it still has its slot: the job was given to another.
    Duplicate,
}

impl Default for JobRecord {
    /// Nobody's: what a free slot holds.
    fn default() -> Self {
        JobRecord {
            kind: JobId(0),
            failed: 0,
            aside: false,
            delayed: false,
            stalls: 0,
            waiter: NONE,
            watch: NONE,
            waiter_epoch: 0,
            process: NONE,
            user: NONE,
            queued: Time::ZERO,
            started: Time::ZERO,
            due: Time::NEVER,
            renewed: Time::ZERO,
            lost: false,
            erased: false,
            suspect: Time::NEVER,
            number: 0,
            state: JobState::Free,
            stage: Stage::Works,
            unheard: false,
            broke: false,
            renews: Time::NEVER,
            stream: StreamKey::default(),
        }
    }
}

impl JobRecord {
    /// The root of the random numbers of its present attempt.
    pub(super) fn attempt_stream(&self) -> StreamKey {
        self.stream.numbered(u64::from(self.failed))
    }
}
