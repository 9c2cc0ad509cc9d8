//! Bodies that a process reads as they come and passes on: a callback for each chunk (Node.js 20, lib/net.js: a read
//! of a socket is at most 64 KiB, libuv `alloc_cb`).
//!
//! A task of its own reads beside the request: it is due when the next chunk is there, at the pace that the body has
//! alone, and where a shared link is slower looks again when it is there at that pace. The request goes on when its
//! body is whole and read.

use super::event::Kind;
use super::meter::Part;
use super::task::{OK, State, Task, flag};
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::tape::{Draw, Op, Pc};
use crate::units::{Duration, Time};
use std::collections::BTreeMap;

/// Bodies that are read, by the task that reads and by the request's.
#[derive(Debug, Default)]
pub struct Readings {
    of_readers: BTreeMap<u32, Reading>,
    of_requests: BTreeMap<u32, u32>,
}

/// A body that is read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Whose it is, and how both slots are told from their earlier tenants.
    request: u32,
    epochs: (u16, u16),
    /// Chunks in all, and read.
    all: u32,
    read: u32,
    /// How long one takes to come, alone; and since when they come.
    each: Duration,
    begun: Time,
    /// The request has its body, and waits until it is read.
    waits: bool,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A body begins to come that takes so long alone: where its flow says what a chunk costs, it is read so.
    pub(super) fn begin_reading(&mut self, task: u32, bytes: f64, alone: Duration) {
        let record = self.tasks[task];
        let next = Pc(record.pc.0 + 1);
        let Op::Chunks { chunk, .. } = self.model.tape[next.0 as usize] else { return };
        let all = (bytes / f64::from(chunk)).ceil() as u32;
        if all == 0 {
            return;
        }
        let reader = self.new_task(Task::aside(record.stream, next, record.worker, self.now));
        let epochs = (record.epoch, self.tasks[reader].epoch);
        let each = Duration(alone.0.div_ceil(u64::from(all)));
        let (read, begun, waits) = (0, self.now, false);
        let reading = Reading { request: task, epochs, all, read, each, begun, waits };
        self.carried.readings.of_readers.insert(reader, reading);
        self.carried.readings.of_requests.insert(task, reader);
        self.at_task(self.now + each, Kind::Resume, reader);
    }

    /// The body that a task reads.
    fn reading_of(&self, reader: u32) -> Option<Reading> {
        let reading = self.carried.readings.of_readers.get(&reader)?;
        (reading.epochs.1 == self.tasks[reader].epoch).then_some(*reading)
    }

    /// How many chunks are there, and after what time to look for the next.
    fn chunks_there(&mut self, reading: &Reading) -> (u32, Duration) {
        let request = *self.tasks.peek(reading.request);
        if reading.waits {
            return (reading.all, reading.each);
        }
        let alone = Duration(reading.each.0 * u64::from(reading.all));
        let service = self.service_of_worker(request.worker);
        let link = self.model.services[service].link;
        let came = match link.filter(|_| request.state == State::OnLink) {
            Some(link) => alone.0.saturating_sub(self.left_on_link(link, reading.request).0),
            None => self.now.since(reading.begun).0,
        };
        let slower = match link.filter(|_| request.state == State::OnLink) {
            Some(link) => self.dilation_on_link(link, reading.request),
            None => 1.0,
        };
        let missing = (reading.each.0 * u64::from(reading.read + 1)).saturating_sub(came);
        let next = Duration((missing as f64 * slower).ceil() as u64);
        let next = next.min(reading.each).max(Duration(1));
        // Both are rounded to ticks.
        let there = (came + u64::from(reading.all)) / reading.each.0.max(1);
        (there.min(u64::from(reading.all)) as u32, next)
    }

    /// At a chunk, or behind one: the reader reads the next or waits for it, the request goes on if nothing is left
    /// to read. Says whether the task computes, if it stops here.
    pub(super) fn chunk_step(&mut self, task: u32) -> Option<bool> {
        let Some(mut reading) = self.reading_of(task) else { return self.body_is_whole(task) };
        let request = *self.tasks.peek(reading.request);
        let op = self.op_at(task);
        let place = self.tasks[task].pc.0 - u32::from(op == Op::Chunked);
        // It may have been given up meanwhile.
        let alive = request.state != State::Free
            && request.epoch == reading.epochs.0
            && request.status == OK
            && (request.pc.0 == place || request.pc.0 + 1 == place);
        if let Op::Chunks { cpu, .. } = op {
            if !alive {
                return self.stop_reading(task, &reading);
            }
            let (there, next) = self.chunks_there(&reading);
            if there <= reading.read {
                self.tasks[task].state = State::Away;
                let due = reading.begun + Duration(reading.each.0 * u64::from(reading.read + 1));
                self.at_task(due.max(self.now + next), Kind::Resume, task);
                return Some(false);
            }
            let worker = self.tasks[task].worker;
            let index = self.workers[worker as usize].instance;
            let work = self.pace(worker, index, cpu);
            let record = &mut self.tasks[task];
            record.work = work;
            record.flags |= flag::SLICED;
            return Some(self.compute(task, Draw::default(), false));
        }
        reading.read += 1;
        self.carried.readings.of_readers.insert(task, reading);
        if reading.read < reading.all && alive {
            self.tasks[task].pc.0 -= 1;
            // Others that are ready go first.
            self.resume(task);
            return Some(false);
        }
        if reading.waits && alive {
            let (request, since) = (reading.request, request.since);
            let station = self.station_of_worker(self.tasks[request].worker);
            self.spend(request, station, Part::Wait, self.now.since(since));
            self.tasks[request].pc.0 += 2;
            self.resume(request);
        }
        self.stop_reading(task, &reading)
    }

    fn stop_reading(&mut self, reader: u32, reading: &Reading) -> Option<bool> {
        self.carried.readings.of_readers.remove(&reader);
        if self.carried.readings.of_requests.get(&reading.request) == Some(&reader) {
            self.carried.readings.of_requests.remove(&reading.request);
        }
        self.end_task(reader);
        Some(false)
    }

    /// A request has its body: it goes on, or waits until the last chunk is read.
    fn body_is_whole(&mut self, task: u32) -> Option<bool> {
        let reader = self.carried.readings.of_requests.get(&task).copied();
        let epoch = self.tasks[task].epoch;
        let live = reader.and_then(|reader| self.carried.readings.of_readers.get_mut(&reader));
        match live.filter(|reading| reading.epochs.0 == epoch) {
            Some(reading) => {
                reading.waits = true;
                let record = &mut self.tasks[task];
                (record.state, record.since) = (State::Forked, self.now);
                Some(false)
            }
            None => {
                self.tasks[task].pc.0 += 2;
                None
            }
        }
    }
}
