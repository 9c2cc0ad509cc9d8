//! Workers that read shards of Kinesis (Kinesis Client Library 2): leases, reads, batches, handlers that throw.
//!
//! A worker reads each of its shards every `poll`, or records are pushed to it. What it has read of one it
//! handles in order, batch by batch, and its checkpoint is the end of a batch: who has the shard next begins
//! there (`ShardConsumer`, `ProcessTask`). Up to three batches are read ahead (`PrefetchRecordsPublisher`,
//! maxPendingProcessRecordsInput). An exception is caught, and the rest of its batch is skipped (`ProcessTask`).

use std::collections::VecDeque;

use super::super::meter::Counter;
use super::super::stream::purpose;
use super::super::task::NONE;
use super::super::world::World;
use super::{HandlerState, Log};
use crate::component::shard_leases::{Lease, to_take};
use crate::kernel::PendingEvents;
use crate::model::ids::ConsumerId;
use crate::model::{KinesisRules, Rules};
use crate::units::{Duration, Time};

/// Batches that are read ahead at most.
const AHEAD: usize = 3;

/// What a shard's reader has of it.
#[derive(Default)]
pub(super) struct Reader {
    /// Messages that were read, those handed out included.
    read: usize,
    /// Batches that were read and are not begun.
    batches: VecDeque<u32>,
    /// When the last record was pushed.
    pushed: Time,
    /// Since when nobody renews its lease.
    left: Option<Time>,
}

impl<Q: PendingEvents> World<'_, Q> {
    fn kinesis(&self, id: ConsumerId) -> Option<KinesisRules> {
        match &self.model.consumers[id].rules {
            Rules::Kinesis(rules) => Some(*rules),
            _ => None,
        }
    }

    /// Workers look at leases and read shards, each beginning at a time of its own.
    pub(super) fn start_workers(&mut self, id: ConsumerId) {
        let Some(rules) = self.kinesis(id) else { return };
        let spec = &self.model.consumers[id];
        let key = self.key.named("kinesis").named(&spec.name);
        let workers = if rules.mapping.is_some() { 0 } else { spec.at_start };
        for member in 0..workers {
            let first = rules.looks.scale(key.draw(u64::from(member)).unit());
            let number = spec.first_member + member;
            self.time_stream(Time::ZERO + first, purpose::LOOK, 0, number);
        }
        if rules.pushed.is_some() {
            return;
        }
        for shard in 0..self.streams.groups[id].logs.len() as u32 {
            let first = rules.poll.scale(key.numbered(1).draw(u64::from(shard)).unit());
            self.time_stream(Time::ZERO + first, purpose::READ, shard, id.0);
        }
    }

    /// A record is kept in a shard: it may be pushed to who has that.
    pub(super) fn push_record(&mut self, id: ConsumerId, shard: u32) {
        let Some(law) = self.kinesis(id).and_then(|it| it.pushed) else { return };
        let stream = self.model.consumers[id].stream;
        let number = self.streams.next_number();
        let key = self.key.named("pushed").numbered(u64::from(id.0)).numbered(u64::from(number));
        let way = self.model.draw_law(law, key, 0);
        let last = self.streams.groups[id].logs[shard as usize].reader.pushed;
        let at = self.pushed_at(stream, last, way);
        self.streams.groups[id].logs[shard as usize].reader.pushed = at;
        self.time_stream(at, purpose::READ, shard, id.0);
    }

    /// A shard is read, or a record of it is pushed.
    pub(in crate::run) fn read_shard(&mut self, id: ConsumerId, shard: u32) {
        let Some(rules) = self.kinesis(id) else { return };
        if rules.pushed.is_some() {
            if let Some(mapping) = &rules.mapping {
                return self.fill_lanes(id, shard, 1, mapping);
            }
            let log = &mut self.streams.groups[id].logs[shard as usize];
            log.reader.read = (log.reader.read + 1).min(log.entries.len());
            return self.work_at_shard(id, shard);
        }
        self.time_stream(self.now + rules.poll, purpose::READ, shard, id.0);
        let log = &self.streams.groups[id].logs[shard as usize];
        let waits = match &rules.mapping {
            Some(mapping) => self.lanes_are_full(id, shard, mapping),
            None => log.reader.batches.len() >= AHEAD,
        };
        if waits || self.reader_of(id, shard).is_none() {
            return;
        }
        let (station, stream) = (self.model.consumers[id].station, self.model.consumers[id].stream);
        if !self.shard_gives(stream, shard) {
            return self.count(station, Counter::Refused);
        }
        self.count(station, Counter::Reads);
        let log = &mut self.streams.groups[id].logs[shard as usize];
        let found = (log.entries.len() - log.reader.read).min(rules.records as usize);
        if found == 0 {
            return;
        }
        self.shard_gave(stream, shard, found as u64);
        if let Some(mapping) = &rules.mapping {
            return self.fill_lanes(id, shard, found, mapping);
        }
        let log = &mut self.streams.groups[id].logs[shard as usize];
        log.reader.read += found;
        log.reader.batches.push_back(found as u32);
        self.work_at_shard(id, shard);
    }

    /// Who reads a shard now.
    fn reader_of(&self, id: ConsumerId, shard: u32) -> Option<u32> {
        let group = &self.streams.groups[id];
        let log = &group.logs[shard as usize];
        let there = log.owner != NONE && log.reader.left.is_none() && {
            let who = &group.members[log.owner as usize];
            !who.down && !who.away
        };
        there.then_some(log.owner)
    }

    /// The worker of a shard handles its next record, if it has read one.
    pub(super) fn work_at_shard(&mut self, id: ConsumerId, shard: u32) {
        let (Some(worker), Some(rules)) = (self.reader_of(id, shard), self.kinesis(id)) else {
            return;
        };
        if rules.mapping.is_some() {
            return; // it reads when it does
        }
        let group = &mut self.streams.groups[id];
        let log = &mut group.logs[shard as usize];
        if log.busy {
            return;
        }
        if log.batch == 0 {
            if group.members[worker as usize].leaves {
                return;
            }
            let Some(batch) = next_batch(log, &rules) else { return };
            log.batch = batch;
            let last = log.entries[log.taken + batch as usize - 1].since;
            self.show_age(id, last);
        }
        let log = &mut self.streams.groups[id].logs[shard as usize];
        let entry = log.entries[log.taken];
        (log.taken, log.busy) = (log.taken + 1, true);
        self.begin(id, shard, worker, entry);
    }

    /// The age of a batch is the time since its last record was kept (MillisBehindLatest, IteratorAge).
    pub(super) fn show_age(&mut self, id: ConsumerId, last: Time) {
        let station = self.model.consumers[id].station;
        let age = self.now.since(last).0 / Duration::micros(1).0;
        self.count(station, Counter::LagShown);
        self.meters[station].add(Counter::LagShownMicros, age);
    }

    /// After a record: the next one of its batch, or the next batch.
    pub(super) fn shard_goes_on(&mut self, id: ConsumerId, shard: u32) {
        let log = &mut self.streams.groups[id].logs[shard as usize];
        let taken = log.taken;
        log.entries[taken - 1].done = true;
        (log.busy, log.batch) = (false, log.batch.saturating_sub(1));
        if log.batch == 0 {
            checkpoint(log, taken);
        }
        self.work_at_shard(id, shard);
    }

    /// A handler has thrown: what is left of its batch is skipped.
    pub(super) fn batch_is_skipped(&mut self, id: ConsumerId, shard: u32) {
        let station = self.model.consumers[id].station;
        let log = &mut self.streams.groups[id].logs[shard as usize];
        let rest = log.batch.saturating_sub(1) as usize;
        for place in log.taken..log.taken + rest {
            self.meters[station].leave(self.now, log.entries[place].since);
        }
        self.meters[station].add(Counter::Lost, rest as u64 + 1);
        let end = log.taken + rest;
        (log.busy, log.batch) = (false, 0);
        checkpoint(log, end);
        self.work_at_shard(id, shard);
    }

    /// A worker is there, and looks at all leases for the first time.
    pub(super) fn worker_starts(&mut self, id: ConsumerId, member: u32) {
        let number = self.model.consumers[id].first_member + member;
        let who = &mut self.streams.groups[id].members[member as usize];
        who.heard = Time::ZERO;
        let epoch = who.epoch % purpose::NUMBERS;
        self.time_stream(self.now, purpose::LOOK, epoch, number);
    }

    /// A worker is gone: nobody renews its leases. Who finishes says nothing, either: it forgets them, and its name
    /// stays on them (amazon-kinesis-client 2.7.3, DynamoDBLeaseRenewer, `dropLease`; nobody calls `evictLease`).
    pub(super) fn worker_dies(&mut self, id: ConsumerId, member: u32) {
        let now = self.now;
        let group = &mut self.streams.groups[id];
        group.members[member as usize].epoch += 1;
        for log in group.logs.iter_mut().filter(|log| log.owner == member) {
            log.reader.left.get_or_insert(now);
            log.busy = false;
        }
    }

    /// A worker looks at all leases, and takes some.
    pub(in crate::run) fn look_at_leases(&mut self, number: u32, epoch: u32) {
        let (id, member) = self.member_place(number);
        let Some(rules) = self.kinesis(id) else { return };
        let now = self.now;
        let group = &mut self.streams.groups[id];
        let who = &mut group.members[member as usize];
        if who.down || who.epoch % purpose::NUMBERS != epoch {
            return;
        }
        let before = std::mem::replace(&mut who.heard, now);
        let (away, leaves) = (who.away, who.leaves);
        self.time_stream(now + rules.looks, purpose::LOOK, epoch, number);
        if away || leaves {
            return;
        }
        let group = &self.streams.groups[id];
        let lease = |log: &Log| match log.reader.left {
            Some(since) if since <= before => Lease::Free,
            _ => Lease::Of(log.owner),
        };
        let leases: Vec<Lease> = group.logs.iter().map(lease).collect();
        for shard in to_take(&leases, member, group.members.len() as u32) {
            self.take_lease(id, shard, member);
        }
    }

    /// A worker has a shard from now on, and begins at its last checkpoint.
    fn take_lease(&mut self, id: ConsumerId, shard: u32, member: u32) {
        let (now, station) = (self.now, self.model.consumers[id].station);
        for slot in 0..self.streams.handlers.capacity() as u32 {
            let handler = self.streams.handlers.peek(slot);
            let runs = handler.state == HandlerState::Running;
            if runs && handler.group == id && handler.log == shard {
                self.streams.handlers[slot].state = HandlerState::Stale;
            }
        }
        let pushes = self.kinesis(id).is_some_and(|it| it.pushed.is_some());
        let log = &mut self.streams.groups[id].logs[shard as usize];
        for entry in log.entries.iter_mut().take(log.taken) {
            (entry.since, entry.deliveries) = (now, entry.deliveries + 1);
        }
        let again = std::mem::take(&mut log.taken);
        (log.batch, log.busy, log.owner) = (0, false, member);
        log.reader.left = None;
        log.reader.batches.clear();
        if !pushes {
            log.reader.read = 0;
        }
        (0..again).for_each(|_| self.meters[station].enter(now));
        self.meters[station].add(Counter::Retried, again as u64);
        self.count(station, Counter::Opened);
        self.work_at_shard(id, shard);
    }
}

/// The records of the batch that is handled next.
fn next_batch(log: &mut Log, rules: &KinesisRules) -> Option<u32> {
    match rules.pushed {
        None => log.reader.batches.pop_front(),
        Some(_) => {
            let there = (log.reader.read - log.taken).min(rules.records as usize);
            (there > 0).then_some(there as u32)
        }
    }
}

/// So many messages from the beginning are done with.
fn checkpoint(log: &mut Log, end: usize) {
    log.entries.drain(..end);
    log.reader.read -= end;
    log.taken = 0;
}
