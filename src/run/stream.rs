//! Streams: what becomes of a message until consumers can see it.
//!
//! A producer of Kafka collects messages of a partition for `linger`, up to a batch, and sends them as
//! one request to the leader of the partition, which appends one request after another. Consumers see
//! what all in-sync copies have (the high watermark), so the slowest follower decides for them, and
//! with `acks = "all"` for the producer too. To Redis a message goes by a command, and is there at once.

mod broker_loss;
mod brokers;
mod shards;

use std::collections::VecDeque;

use super::consumer::{Entry, GroupState, Handler};
use super::event::Kind;
use super::meter::{Counter, MILLI, Part, Still};
use super::task::{NONE, State};
use super::world::World;
use crate::component::shard::{partition_of, spread_of};
use crate::component::shard_throughput::Throughput;
use crate::kernel::{Dense, Event, PendingEvents, Slab};
use crate::model::ids::{ConsumerId, StationId, StreamId};
use crate::model::tape::DrawId;
use crate::model::{Acks, Model, Topic, UnitKind};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};

/// What an event of streams is for; its ordinal is a number and this.
pub(super) mod purpose {
    /// A producer has collected for long enough (request).
    pub const FLUSH: u32 = 0;
    /// A request reaches the leader of its partition (request).
    pub const ARRIVE: u32 = 1;
    /// The leader has appended it (request).
    pub const APPENDED: u32 = 2;
    /// All in-sync copies have it (request).
    pub const VISIBLE: u32 = 3;
    /// A message has been handled (handler).
    pub const HANDLED: u32 = 4;
    /// A member may have been silent for too long (member).
    pub const SILENT: u32 = 5;
    /// A member's heartbeat tells it of a rebalance (member).
    pub const BEAT: u32 = 6;
    /// A rebalance has waited for long enough (group).
    pub const GIVE_UP: u32 = 7;
    /// A group looks for messages that are pending for too long (group).
    pub const CLAIM: u32 = 8;
    /// A subscriber is connected again, or a member's pause after an error is over (member).
    pub const BACK: u32 = 9;
    /// An autoscaler looks, knows, or is polled for (group).
    pub const SCALE: u32 = 10;
    /// A process is ready (member).
    pub const READY: u32 = 11;
    /// A process has had its time to end (member).
    pub const KILL: u32 = 12;
    /// Other brokers lead what one led that is gone (stream).
    pub const ELECT: u32 = 13;
    /// A shard of Kinesis has taken what it was given (stream).
    pub const FREED: u32 = 14;
    /// A shard is read, or a record of it is pushed (group).
    pub const READ: u32 = 15;
    /// A worker looks at all leases (member).
    pub const LOOK: u32 = 16;
    /// A lane of a mapping goes on (group).
    pub const LANE: u32 = 17;
    /// How many bits they take.
    pub const BITS: u32 = 5;
    /// Numbers that fit beside them.
    pub const NUMBERS: u32 = 1 << (31 - BITS);
}

/// Random numbers: where a partition key lies.
const SPREAD: u64 = 0x5b8e;

/// A message that its producer has published.
#[derive(Clone, Copy, Debug)]
struct Published {
    /// The task that waits for it; [`NONE`] when it does not wait.
    task: u32,
    entry: Entry,
}

/// A request of a producer.
#[derive(Clone, Debug, Default)]
struct Request {
    stream: StreamId,
    /// Its partition, among those of all topics.
    partition: u32,
    /// Where it is collected; [`NONE`] when it is not any more.
    collected_at: u32,
    /// Whose: a worker of the service.
    worker: u32,
    /// Tells its flush from those of the slot's earlier tenants.
    number: u32,
    messages: Vec<Published>,
    /// When the producer sent it.
    sent: Time,
    /// When it reached its leader.
    arrived: Time,
    /// How often it has found nobody.
    tries: u32,
    /// How long its producer waits when it does again.
    pause: Duration,
}

/// The leader of a partition.
#[derive(Clone, Debug, Default)]
struct Leader {
    busy: bool,
    /// Nobody leads it.
    headless: bool,
    /// Which of its copies leads it.
    copy: u32,
    queue: VecDeque<u32>,
    /// When consumers see what was appended last.
    visible: Time,
}

/// All streams while they run.
#[derive(Default)]
pub struct Streams {
    /// By worker: which partition its next message without a key goes to.
    turns: Vec<u32>,
    /// By worker and partition: the request that is being collected.
    collecting: Vec<u32>,
    requests: Vec<Request>,
    free: Vec<u32>,
    leaders: Vec<Leader>,
    /// What shards of Kinesis have taken and given; empty where there are none.
    shards: Vec<Throughput>,
    /// Draws of requests, one after another.
    drawn: u64,
    /// Who consumes.
    pub(super) groups: Dense<ConsumerId, GroupState>,
    /// Messages at work or pending.
    pub(super) handlers: Slab<Handler>,
    /// Of each broker since when it is gone, and whether it is missed; empty while all are there.
    gone: Vec<Option<broker_loss::Gone>>,
    /// The last number that something was given.
    number: u32,
}

impl Streams {
    /// Before the first message.
    pub fn new(model: &Model, workers: usize) -> Streams {
        let topics = || model.streams.iter().filter_map(|stream| stream.topic.as_ref());
        let partitions: u32 = topics().map(|topic| topic.partitions).sum();
        let shards = topics().any(|topic| topic.shards.is_some());
        let collects = topics().any(|topic| !topic.linger.is_zero());
        let places = if collects { workers * partitions as usize } else { 0 };
        Streams {
            turns: vec![0; if partitions > 0 { workers } else { 0 }],
            collecting: vec![NONE; places],
            leaders: vec![Leader::default(); partitions as usize],
            shards: vec![Throughput::default(); if shards { partitions as usize } else { 0 }],
            groups: model.consumers.iter().map(|it| GroupState::new(model, it)).collect(),
            ..Streams::default()
        }
    }
    /// A number that nothing has had for long.
    pub(super) fn next_number(&mut self) -> u32 {
        self.number = (self.number + 1) % purpose::NUMBERS;
        self.number
    }
    fn request(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.requests.push(Request::default());
            self.requests.len() as u32 - 1
        })
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    pub(super) fn time_stream(&mut self, at: Time, purpose: u32, number: u32, slot: u32) {
        if at < Time::NEVER {
            let ordinal = number << purpose::BITS | purpose;
            self.events.push(Event::new(at, Kind::Stream as u8, ordinal, slot));
        }
    }

    /// Something about streams is due.
    pub fn stream_event(&mut self, slot: u32, ordinal: u32) {
        let number = ordinal >> purpose::BITS;
        match ordinal & ((1 << purpose::BITS) - 1) {
            purpose::FLUSH => {
                let request = &self.streams.requests[slot as usize];
                if request.collected_at != NONE && request.number == number {
                    self.send_request(slot);
                }
            }
            purpose::ARRIVE => self.request_arrives(slot),
            purpose::APPENDED => self.appended(slot),
            purpose::VISIBLE => self.visible(slot),
            purpose::HANDLED => self.handled(slot, number),
            purpose::SILENT => self.silent(slot, number),
            purpose::BEAT => self.hears_of_rebalance(slot, number),
            purpose::GIVE_UP => self.rebalance_gives_up(ConsumerId(slot), number),
            purpose::CLAIM => self.claim(ConsumerId(slot)),
            purpose::SCALE => self.group_scaler_due(ConsumerId(slot), number),
            purpose::READY => self.member_is_ready(slot, number),
            purpose::ELECT => self.leaders_change(StreamId(slot), number),
            purpose::KILL => self.member_is_killed(slot, number),
            purpose::FREED => self.shard_is_freed(StreamId(slot), number),
            purpose::READ => self.read_shard(ConsumerId(slot), number),
            purpose::LOOK => self.look_at_leases(slot, number),
            purpose::LANE => self.lane_is_due(ConsumerId(slot), number),
            _ => {
                self.subscriber_is_back(slot, number);
                self.member_goes_on(slot);
            }
        }
    }

    /// A running callback publishes a message. True: it does not wait for it.
    pub fn publish(&mut self, task: u32, id: StreamId, draw: DrawId) -> bool {
        let spec = &self.model.streams[id];
        let key = self.tasks[task].stream.numbered(u64::from(draw.0));
        let mut entry = Entry { published: self.now, since: self.now, key, ..Entry::default() };
        self.count(spec.station, Counter::Arrivals);
        self.meters[spec.station].add(Counter::Bytes, spec.message);
        self.tasks[task].pc.0 += 1;
        let Some(topic) = &spec.topic else {
            self.count(spec.station, Counter::Served);
            self.deliver(id, 0, entry);
            return true;
        };
        let waits = topic.acks != Acks::None;
        if topic.shards.is_some() {
            entry.spread = match topic.keys {
                Some(keys) => spread_of(self.rank_of(task, keys, draw)),
                None => key.numbered(SPREAD).draw(0).next_u64() as u16,
            };
        }
        let partition = topic.first_partition + self.partition_of(task, topic, draw);
        let message = Published { task: if waits { task } else { NONE }, entry };
        if waits {
            let record = &mut self.tasks[task];
            (record.state, record.since) = (State::Away, self.now);
        }
        let worker = self.tasks[task].worker;
        self.collect(id, topic, partition, worker, message);
        !waits
    }

    /// By its key, or in turn.
    fn partition_of(&mut self, task: u32, topic: &Topic, draw: DrawId) -> u32 {
        match topic.keys {
            Some(keys) => partition_of(self.rank_of(task, keys, draw), topic.partitions),
            None => {
                let turn = &mut self.streams.turns[self.tasks[task].worker as usize];
                *turn = turn.wrapping_add(1);
                *turn % topic.partitions
            }
        }
    }

    /// A message joins the request that its producer collects, or begins one.
    fn collect(
        &mut self,
        stream: StreamId,
        topic: &Topic,
        partition: u32,
        worker: u32,
        message: Published,
    ) {
        let collects = !topic.linger.is_zero();
        let place = worker as usize * self.streams.leaders.len() + partition as usize;
        let open = if collects { self.streams.collecting[place] } else { NONE };
        let slot = if open == NONE { self.streams.request() } else { open };
        if open == NONE {
            let number = self.streams.next_number();
            let request = &mut self.streams.requests[slot as usize];
            (request.stream, request.partition, request.number) = (stream, partition, number);
            request.worker = worker;
            request.collected_at = if collects { place as u32 } else { NONE };
            if collects {
                self.streams.collecting[place] = slot;
                self.time_stream(self.now + topic.linger, purpose::FLUSH, number, slot);
            }
        }
        let messages = &mut self.streams.requests[slot as usize].messages;
        messages.push(message);
        if !collects || messages.len() as u64 >= topic.batch {
            self.send_request(slot);
        }
    }

    fn topic(&self, stream: StreamId) -> &Topic {
        self.model.streams[stream].topic.as_ref().expect("only Kafka has requests")
    }

    fn draw_for_stream(&mut self, stream: StreamId, law: crate::model::ids::LawId) -> Duration {
        self.streams.drawn += 1;
        let key = self.key.named("stream").numbered(u64::from(stream.0));
        self.model.draw_law(law, key.numbered(self.streams.drawn), 0)
    }

    fn send_request(&mut self, slot: u32) {
        let now = self.now;
        let request = &mut self.streams.requests[slot as usize];
        request.sent = now;
        let (stream, place) = (request.stream, std::mem::replace(&mut request.collected_at, NONE));
        if place != NONE {
            self.streams.collecting[place as usize] = NONE;
        }
        let rtt = self.topic(stream).rtt;
        let way = self.draw_for_stream(stream, rtt).half() + self.far_way(slot);
        self.time_stream(now + way, purpose::ARRIVE, 0, slot);
    }

    /// Half of what the route between a producer and brokers in another region takes.
    fn far_way(&mut self, slot: u32) -> Duration {
        let Request { stream, worker, .. } = self.streams.requests[slot as usize];
        let model = self.model;
        let Some(there) = model.streams[stream].region else { return Duration::ZERO };
        let here = model.services[self.service_of_worker(worker)].region;
        match here == there {
            true => Duration::ZERO,
            false => self.draw_for_stream(stream, model.route(here, there)).half(),
        }
    }

    fn request_arrives(&mut self, slot: u32) {
        let now = self.now;
        let request = &mut self.streams.requests[slot as usize];
        request.arrived = now;
        let (stream, partition) = (request.stream, request.partition);
        if self.brokers_are_down(stream) || self.is_refused(stream, partition) {
            return self.find_nobody(slot);
        }
        if self.topic(stream).shards.is_some() {
            return self.put_records(slot);
        }
        self.streams.requests[slot as usize].tries = 0;
        let station = self.model.streams[stream].station;
        let leader = &mut self.streams.leaders[partition as usize];
        if leader.busy {
            leader.queue.push_back(slot);
            return self.meters[station].enter(now);
        }
        leader.busy = true;
        self.meters[station].pass();
        self.append(slot);
    }

    fn append(&mut self, slot: u32) {
        let stream = self.streams.requests[slot as usize].stream;
        let station = self.model.streams[stream].station;
        let partition = self.streams.requests[slot as usize].partition;
        let part = partition - self.topic(stream).first_partition;
        self.meters[station].add_busy(self.now, part, MILLI);
        let append = self.topic(stream).append;
        let takes = self.draw_for_stream(stream, append);
        let takes = self.condition(UnitKind::Stream, stream.0).stretch(takes);
        let request = &mut self.streams.requests[slot as usize];
        // What it waited for its leader is known now; kept as the instant from which it is served.
        let waited = self.now.since(request.arrived);
        request.sent = request.sent + waited;
        self.time_stream(self.now + takes, purpose::APPENDED, 0, slot);
    }

    /// The leader has it; the next request is appended, and followers fetch this one.
    fn appended(&mut self, slot: u32) {
        let now = self.now;
        let request = &self.streams.requests[slot as usize];
        let (stream, partition) = (request.stream, request.partition as usize);
        let (station, topic) = (self.model.streams[stream].station, self.topic(stream));
        let (followers, replicate, rtt, acks) =
            (topic.followers, topic.replicate, topic.rtt, topic.acks);
        let part = partition as u32 - topic.first_partition;
        self.meters[station].add_busy(now, part, -MILLI);
        if self.streams.leaders[partition].headless {
            // It was gone before it could answer.
            self.streams.leaders[partition].busy = false;
            return self.find_nobody(slot);
        }
        let slowest = (0..followers).map(|_| self.draw_for_stream(stream, replicate)).max();
        let visible = now + slowest.unwrap_or_default();
        let visible = visible.max(self.in_sync_from(stream, partition as u32));
        let leader = &mut self.streams.leaders[partition];
        leader.visible = visible.max(leader.visible);
        let visible = leader.visible;
        let next = leader.queue.pop_front();
        leader.busy = next.is_some();
        if let Some(next) = next {
            let since = self.streams.requests[next as usize].arrived;
            self.meters[station].leave(now, since);
            self.append(next);
        }
        self.time_stream(visible, purpose::VISIBLE, 0, slot);
        let acked = match acks {
            Acks::None => return,
            Acks::Leader => now,
            Acks::All => visible,
        };
        let back = acked + self.draw_for_stream(stream, rtt).half() + self.far_way(slot);
        self.acknowledge(slot, station, back);
    }

    /// Producers go on when they hear of it.
    fn acknowledge(&mut self, slot: u32, station: StationId, at: Time) {
        let request = &mut self.streams.requests[slot as usize];
        let served_from = request.sent;
        let mut messages = std::mem::take(&mut request.messages);
        for message in &mut messages {
            let task = std::mem::replace(&mut message.task, NONE);
            let since = self.tasks[task].since;
            self.spend(task, station, Part::Wait, served_from.since(since));
            self.spend(task, station, Part::Service, at.since(served_from));
            self.at_task(at, Kind::Resume, task);
        }
        self.streams.requests[slot as usize].messages = messages;
    }

    /// Consumers see what was appended.
    fn visible(&mut self, slot: u32) {
        let request = &mut self.streams.requests[slot as usize];
        let (stream, partition) = (request.stream, request.partition);
        let mut messages = std::mem::take(&mut request.messages);
        let station = self.model.streams[stream].station;
        let partition = partition - self.topic(stream).first_partition;
        for message in messages.drain(..) {
            self.count(station, Counter::Served);
            self.deliver(stream, partition, message.entry);
        }
        self.streams.requests[slot as usize].messages = messages;
        self.streams.free.push(slot);
    }

    /// A message is there for everybody who consumes the stream.
    fn deliver(&mut self, stream: StreamId, partition: u32, entry: Entry) {
        for number in 0..self.model.streams[stream].consumers.len() {
            let group = self.model.streams[stream].consumers[number];
            self.message_comes(group, partition, Entry { since: self.now, ..entry });
        }
    }

    /// Requests that wait for a leader, and messages that wait for a consumer.
    pub fn streams_wait(&self, still: &mut Dense<StationId, Still>) {
        for leader in &self.streams.leaders {
            for slot in &leader.queue {
                let request = &self.streams.requests[*slot as usize];
                still[self.model.streams[request.stream].station].add(request.arrived);
            }
        }
        for (id, group) in self.streams.groups.enumerate() {
            for since in group.waiting() {
                still[self.model.consumers[id].station].add(since);
            }
        }
    }
}

/// The numbers that a message's handling is drawn from.
pub(super) fn handling_key(entry: &Entry) -> StreamKey {
    entry.key.numbered(u64::from(entry.deliveries))
}
