//! Records of a stream of Kinesis that a function gets (an event source mapping of AWS Lambda).
//!
//! What is read of a shard goes to its lanes by partition keys. A lane has one batch under way, and the next one
//! when that is over: done, or given up. One that has failed is tried again after a pause, whole, or in two halves,
//! or from the record on that the function has named; nothing else of its lane is handled meanwhile. Throttled
//! calls are made again and are no retries (AWS Lambda Developer Guide, kinesis-on-failure-destination).

use std::collections::VecDeque;

use super::super::mapping::Batch;
use super::super::meter::{Counter, MILLI};
use super::super::stream::{handling_key, purpose};
use super::super::task::{NONE, OK, Role, Task};
use super::super::world::World;
use super::{Entry, GroupState};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ShardMapping;
use crate::model::ids::ConsumerId;
use crate::model::tape::Pc;
use crate::units::{Duration, Time};

/// The longest pause before a call is made again.
const LONGEST: Duration = Duration::secs(60);

/// Batches of a shard that come one after another.
#[derive(Default)]
pub(super) struct Lane {
    /// What is read and in no batch.
    waiting: VecDeque<Entry>,
    /// Parts of a batch that was split, the next one last: how many records, and since when they wait again.
    pieces: Vec<(usize, Time)>,
    /// The batch under way.
    batch: Vec<Entry>,
    /// Since when it waits again, if it has been tried.
    again: Option<Time>,
    /// The function has it.
    called: bool,
    /// The record that the handler is at.
    at: usize,
    /// The function says that this one has failed.
    named: bool,
    /// How often the batch has failed, and how often calls with it were throttled since.
    failed: u32,
    throttled: u32,
    /// When it goes on.
    due: Time,
}

impl Lane {
    pub(super) fn idle() -> Lane {
        Lane { due: Time::NEVER, ..Lane::default() }
    }
    /// Since when each record waits that the function does not have.
    pub(super) fn waits(&self) -> impl Iterator<Item = Time> {
        let pieces = self.pieces.iter().rev();
        let split: usize = pieces.clone().map(|(size, _)| size).sum();
        let again = pieces.flat_map(|(size, since)| std::iter::repeat_n(*since, *size));
        let fresh = self.waiting.iter().skip(split).map(|entry| entry.since);
        let batch = if self.called { &[][..] } else { &self.batch[..] };
        let tried = batch.iter().map(|entry| self.again.unwrap_or(entry.since));
        again.chain(fresh).chain(tried)
    }
    /// Whether the function has its batch.
    pub(super) fn is_called(&self) -> bool {
        self.called
    }
    /// Records of the next batch; [`None`]: more are gathered until then.
    fn next(&mut self, now: Time, spec: &ShardMapping) -> Option<usize> {
        if let Some((size, since)) = self.pieces.pop() {
            self.again = Some(since);
            return Some(size);
        }
        self.again = None;
        let there = self.waiting.len().min(spec.batch_size as usize);
        let over = spec.window.is_zero() || self.due <= now;
        (there > 0 && (over || there == spec.batch_size as usize)).then_some(there)
    }
    /// So many of the batch are back at the front of what waits.
    fn put_back(&mut self, from: usize, now: Time) {
        let rest = self.batch.split_off(from);
        self.pieces.push((rest.len(), now));
        rest.into_iter().rev().for_each(|entry| self.waiting.push_front(entry));
    }
}

impl GroupState {
    fn lane(&mut self, lane: u32) -> &mut Lane {
        &mut self.lanes[lane as usize]
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    fn lane(&mut self, id: ConsumerId, lane: u32) -> &mut Lane {
        self.streams.groups[id].lane(lane)
    }

    /// Whether a mapping has as much of a shard as it can use.
    pub(super) fn lanes_are_full(&self, id: ConsumerId, shard: u32, spec: &ShardMapping) -> bool {
        let first = (shard * spec.lanes) as usize;
        let lanes = &self.streams.groups[id].lanes[first..first + spec.lanes as usize];
        lanes.iter().all(|lane| lane.waiting.len() >= spec.batch_size as usize)
    }

    /// So many records of a shard have been read.
    pub(super) fn fill_lanes(
        &mut self,
        id: ConsumerId,
        shard: u32,
        read: usize,
        spec: &ShardMapping,
    ) {
        let group = &mut self.streams.groups[id];
        let first = shard * spec.lanes;
        for entry in group.logs[shard as usize].entries.drain(..read) {
            let lane = (u32::from(entry.spread) * spec.lanes) >> u16::BITS;
            group.lanes[(first + lane) as usize].waiting.push_back(entry);
        }
        (first..first + spec.lanes).for_each(|lane| self.lane_goes_on(id, lane, spec));
    }

    /// The next batch of a lane, if none is under way.
    fn lane_goes_on(&mut self, id: ConsumerId, number: u32, spec: &ShardMapping) {
        let now = self.now;
        let lane = self.lane(id, number);
        if lane.called || !lane.batch.is_empty() || lane.waiting.is_empty() {
            return;
        }
        let Some(size) = lane.next(now, spec) else {
            if lane.due == Time::NEVER {
                lane.due = now + spec.window;
                let due = lane.due;
                self.time_stream(due, purpose::LANE, number, id.0);
            }
            return;
        };
        lane.batch.extend(lane.waiting.drain(..size));
        (lane.failed, lane.throttled) = (0, 0);
        self.call_with_records(id, number, spec);
    }

    /// A lane's time has come: what it gathers is enough, or its batch is tried again.
    pub(in crate::run) fn lane_is_due(&mut self, id: ConsumerId, number: u32) {
        let Some(spec) = self.model.consumers[id].mapping() else { return };
        let now = self.now;
        let lane = self.lane(id, number);
        if lane.due != now || lane.called {
            return;
        }
        match lane.batch.is_empty() {
            true => self.lane_goes_on(id, number, spec),
            false => self.call_with_records(id, number, spec),
        }
    }

    /// The function is called with a batch, less what is too old.
    fn call_with_records(&mut self, id: ConsumerId, number: u32, spec: &ShardMapping) {
        let (now, station) = (self.now, self.model.consumers[id].station);
        let lane = self.lane(id, number);
        lane.due = Time::NEVER;
        let again = lane.again;
        let mut batch = std::mem::take(&mut lane.batch);
        for entry in &batch {
            self.meters[station].leave(now, again.unwrap_or(entry.since));
        }
        let all = batch.len();
        batch.retain(|entry| now.since(entry.since) <= spec.oldest);
        self.meters[station].add(Counter::Rejected, (all - batch.len()) as u64);
        let Some(last) = batch.last().map(|entry| entry.since) else {
            return self.lane_goes_on(id, number, spec);
        };
        self.show_age(id, last);
        self.meters[station].add_busy(now, number, MILLI);
        let lane = self.lane(id, number);
        (lane.batch, lane.called, lane.at, lane.named) = (batch, true, 0, false);
        let task = self.record_task(id, number, spec.entry);
        let owner = self.batches.insert(Batch::of_shard(id, number));
        let task = self.new_task(Task { owner, role: Role::Batch, ..task });
        self.invoke(task, spec.function);
    }

    /// What the handler does with the record that a batch is at, from its beginning.
    fn record_task(&mut self, id: ConsumerId, number: u32, entry: Pc) -> Task {
        let now = self.now;
        let lane = self.lane(id, number);
        let stream = handling_key(&lane.batch[lane.at]).numbered(u64::from(lane.throttled));
        Task::aside(stream, entry, NONE, now)
    }

    /// The handler is done with a record, or has caught its failure. Says whether another one follows.
    pub(in crate::run) fn record_over(
        &mut self,
        task: u32,
        (id, number): (ConsumerId, u32),
        failed: bool,
    ) -> bool {
        let lane = self.lane(id, number);
        let (entry, left) = (lane.batch[lane.at], lane.batch.len() - lane.at);
        lane.named = failed;
        if !failed && self.fails(id, &entry) {
            return self.raise(task, Failure::JobFailed);
        }
        if failed || left == 1 {
            self.answer(task, 0.0);
            return false;
        }
        self.lane(id, number).at += 1;
        let next = self.record_task(id, number, Pc(0));
        let entry = self.model.consumers[id].mapping().expect("it has a lane").entry;
        let record = &mut self.tasks[task];
        (record.stream, record.pc) = (next.stream, Pc(entry.0 + 1));
        true
    }

    /// A call of the function is over, or was throttled.
    pub(in crate::run) fn records_answered(&mut self, task: u32, (id, number): (ConsumerId, u32)) {
        let record = self.tasks[task];
        let spec = self.model.consumers[id].mapping().expect("it has a lane");
        let station = self.model.consumers[id].station;
        self.batches.remove(record.owner);
        self.meters[station].add_busy(self.now, number, -MILLI);
        self.lane(id, number).called = false;
        if record.worker == NONE {
            self.end_task(task);
            self.lane(id, number).throttled += 1;
            return self.wait_in_lane(id, number, spec);
        }
        self.depart_instance(task);
        self.end_task(task);
        let lane = self.lane(id, number);
        let (at, all, named) = (lane.at, lane.batch.len(), lane.named);
        match (record.status == OK, named) {
            (true, false) => self.records_are_done(id, number, all),
            (true, true) => {
                self.records_are_done(id, number, at);
                self.batch_failed(id, number, at > 0, spec);
            }
            (false, _) => {
                self.meters[station].add(Counter::Wasted, at as u64);
                self.batch_failed(id, number, false, spec);
            }
        }
        self.lane_goes_on(id, number, spec);
    }

    /// The first so many records of a batch are handled.
    fn records_are_done(&mut self, id: ConsumerId, number: u32, count: usize) {
        let (now, station) = (self.now, self.model.consumers[id].station);
        let late = |entry: Entry| now.since(entry.published).0 / Duration::micros(1).0;
        let late: u64 = self.lane(id, number).batch.drain(..count).map(late).sum();
        for (counter, by) in [
            (Counter::Served, count as u64),
            (Counter::Replayed, count as u64),
            (Counter::LagMicros, late),
        ] {
            self.meters[station].add(counter, by);
        }
    }

    /// What is left of a batch has failed; its beginning is done, or not.
    fn batch_failed(&mut self, id: ConsumerId, number: u32, begun: bool, spec: &ShardMapping) {
        let (now, station) = (self.now, self.model.consumers[id].station);
        self.count(station, Counter::Errors);
        let lane = self.lane(id, number);
        let left = lane.batch.len();
        let splits = spec.bisects && (begun || left > 1);
        lane.failed += u32::from(!splits);
        let gives_up = spec.retries.is_some_and(|most| lane.failed > most);
        if gives_up {
            lane.batch.clear();
            return self.meters[station].add(Counter::Rejected, left as u64);
        }
        for entry in &mut lane.batch {
            entry.deliveries = entry.deliveries.wrapping_add(1);
        }
        (lane.again, lane.throttled) = (Some(now), 0);
        if splits {
            // The record that the function has named begins a part.
            if !begun {
                lane.put_back(left / 2, now);
            }
            lane.put_back(0, now);
        }
        self.meters[station].add(Counter::Retried, left as u64);
        match splits {
            true => (0..left).for_each(|_| self.meters[station].enter(now)),
            false => self.wait_in_lane(id, number, spec),
        }
    }

    /// A batch is tried again after a pause, which doubles.
    fn wait_in_lane(&mut self, id: ConsumerId, number: u32, spec: &ShardMapping) {
        let (now, station) = (self.now, self.model.consumers[id].station);
        let lane = self.lane(id, number);
        let times = (lane.failed + lane.throttled - 1).min(16);
        lane.again = Some(now);
        lane.due = now + spec.pause.scale(f64::from(1_u32 << times)).min(LONGEST.max(spec.pause));
        let (due, count) = (lane.due, lane.batch.len());
        (0..count).for_each(|_| self.meters[station].enter(now));
        self.time_stream(due, purpose::LANE, number, id.0);
    }
}
