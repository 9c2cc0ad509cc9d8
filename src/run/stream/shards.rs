//! Shards of Kinesis: what they take, what they refuse, and who tries again.
//!
//! Each record of a request is taken or refused by itself (PutRecords). Those refused are put again after a
//! pause, as requests are that an SDK finds throttled, until there have been enough attempts.

use crate::component::backoff::Backoff;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::StreamId;
use crate::run::meter::{Counter, MILLI};
use crate::run::world::World;
use crate::units::{Duration, Time};

use super::{NONE, Request, purpose};

/// How a client waits that was throttled (@smithy/core 3.41.0, `throttlingDelay` 1 s, `MAXIMUM_RETRY_DELAY`
/// 20 s).
const BACKOFF: Backoff = Backoff::FullJitter { base: Duration::secs(1), cap: Duration::secs(20) };

impl<Q: PendingEvents> World<'_, Q> {
    /// A request reaches its shard.
    pub(super) fn put_records(&mut self, slot: u32) {
        let now = self.now;
        let Request { stream, partition, .. } = self.streams.requests[slot as usize];
        let spec = &self.model.streams[stream];
        let shards = spec.topic.as_ref().and_then(|it| it.shards).expect("asked before");
        let count = self.streams.requests[slot as usize].messages.len();
        let shard = &mut self.streams.shards[partition as usize];
        let taken = (0..count).take_while(|_| shard.put(now, spec.message, &shards.limits)).count();
        let refused = self.streams.requests[slot as usize].messages.split_off(taken);
        let mut again = slot;
        if taken > 0 {
            self.records_are_taken(slot, taken as u64);
            if refused.is_empty() {
                return;
            }
            again = self.streams.request();
            let Request { worker, tries, sent, .. } = self.streams.requests[slot as usize];
            let one = &mut self.streams.requests[again as usize];
            (one.stream, one.partition, one.worker) = (stream, partition, worker);
            (one.tries, one.sent, one.collected_at) = (tries, sent, NONE);
        }
        self.streams.requests[again as usize].messages = refused;
        self.records_are_refused(again, shards.attempts);
    }

    /// So many records of a request are kept: their shard is taken up for as long as they take of its rates.
    fn records_are_taken(&mut self, slot: u32, taken: u64) {
        let now = self.now;
        let Request { stream, partition, tries, .. } = self.streams.requests[slot as usize];
        let spec = &self.model.streams[stream];
        let topic = spec.topic.as_ref().expect("only topics have requests");
        let shards = topic.shards.expect("only shards take records");
        let part = partition - topic.first_partition;
        let meter = &mut self.meters[spec.station];
        meter.pass();
        meter.add(Counter::Writes, taken * shards.units);
        let cost = Duration(shards.limits.cost(spec.message).0 * taken);
        if let Some(until) = self.streams.shards[partition as usize].occupy(now, cost) {
            meter.add_busy(now, part, MILLI);
            self.time_stream(until, purpose::FREED, part, stream.0);
        }
        let request = &mut self.streams.requests[slot as usize];
        if tries > 0 {
            (request.tries, request.sent) = (0, now);
        }
        let kept = now + self.draw_for_stream(stream, topic.append);
        self.time_stream(kept, purpose::VISIBLE, 0, slot);
        let back = kept + self.far_way(slot);
        self.acknowledge(slot, spec.station, back);
    }

    /// A shard may be through with what it has taken.
    pub(super) fn shard_is_freed(&mut self, stream: StreamId, part: u32) {
        let place = self.topic(stream).first_partition + part;
        if let Err(until) = self.streams.shards[place as usize].frees(self.now) {
            return self.time_stream(until, purpose::FREED, part, stream.0);
        }
        let station = self.model.streams[stream].station;
        self.meters[station].add_busy(self.now, part, -MILLI);
    }

    /// All records of a request are refused: they are put again later, or fail.
    fn records_are_refused(&mut self, slot: u32, attempts: u32) {
        let request = &mut self.streams.requests[slot as usize];
        request.tries += 1;
        let (stream, tries, count) = (request.stream, request.tries, request.messages.len() as u64);
        let station = self.model.streams[stream].station;
        self.meters[station].add(Counter::Rejected, count);
        if tries >= attempts {
            return self.give_up_request(slot, Failure::SlowDown);
        }
        self.meters[station].add(Counter::Retried, count);
        self.streams.drawn += 1;
        let key = self.key.named("stream").named("refused").numbered(self.streams.drawn);
        let pause = BACKOFF.delay(tries - 1, Duration::ZERO, key.draw(0).unit());
        self.time_stream(self.now + pause, purpose::ARRIVE, 0, slot);
    }

    /// Whether somebody may read a shard now.
    pub(in crate::run) fn shard_gives(&mut self, stream: StreamId, shard: u32) -> bool {
        let topic = self.model.streams[stream].topic.as_ref().expect("it has shards");
        let shards = topic.shards.expect("only shards are read");
        let place = (topic.first_partition + shard) as usize;
        self.streams.shards[place].read(self.now, &shards.limits)
    }

    /// So many records of a shard have been read.
    pub(in crate::run) fn shard_gave(&mut self, stream: StreamId, shard: u32, records: u64) {
        let spec = &self.model.streams[stream];
        let topic = spec.topic.as_ref().expect("it has shards");
        let shards = topic.shards.expect("only shards are read");
        let place = (topic.first_partition + shard) as usize;
        self.streams.shards[place].gave(self.now, records * spec.message, &shards.limits);
    }

    /// When a record is there that is pushed from now on, after others that were there last.
    pub(in crate::run) fn pushed_at(&self, stream: StreamId, last: Time, way: Duration) -> Time {
        let spec = &self.model.streams[stream];
        let shards = spec.topic.as_ref().and_then(|it| it.shards).expect("it has shards");
        let takes = Duration::from_secs_f64(spec.message as f64 * shards.limits.read_byte_s);
        (self.now + way).max(last + takes)
    }
}
