//! Consumers: groups of Kafka and of Redis, subscribers of channels.
//!
//! A member of a group of Kafka has its partitions for itself, handles their messages in order and
//! commits at the end of a batch: what was not committed when it is out is handled again by whoever
//! gets the partition. kafkajs sends heartbeats between messages, the Java client from a thread of its
//! own, but it joins a rebalance only when it polls. Redis hands each message of a stream to who asks,
//! and keeps it pending until it is acknowledged; a channel's subscribers each get every message, or
//! never.

mod cooperative;
mod failing;
mod function;
mod kafka;
mod kinesis;
mod reach;
mod redis;
mod scaling;

use std::collections::VecDeque;

use super::meter::{Counter, MILLI};
use super::stream::{handling_key, purpose};
use super::task::NONE;
use super::world::World;
use crate::component::consumer_group::{Group, dealt};
use crate::component::output_buffer::OutputBuffer;
use crate::kernel::PendingEvents;
use crate::model::ids::{ConsumerId, StationId};
use crate::model::{Consumer, Model, Rules, UnitKind};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};

/// A message as a group has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// When its producer published it.
    pub(super) published: Time,
    /// Since when it waits.
    pub(super) since: Time,
    /// The root of its random numbers.
    pub(super) key: StreamKey,
    /// How often it was handed out before.
    pub(super) deliveries: u16,
    /// It has been handled once.
    pub(super) done: bool,
    /// Where its partition key lies among all, as a share of 2^16; for streams of Kinesis.
    pub(super) spread: u16,
}

/// Messages in order: of a partition, of a stream, or of one subscriber.
#[derive(Default)]
struct Log {
    entries: VecDeque<Entry>,
    /// Of these, handed out and not yet committed.
    taken: usize,
    /// Who has it; [`NONE`]: nobody.
    owner: u32,
    /// One of its messages is being handled, and no other may be.
    busy: bool,
    /// Messages left of the batch at hand.
    batch: u32,
    /// Its owner is to give it back.
    revoked: bool,
    /// Who reads it, if it is a shard of Kinesis.
    reader: kinesis::Reader,
    /// What members of the Java client remember of a message that failed.
    failures: Vec<failing::Failures>,
}

impl Log {
    fn is_ready(&self) -> bool {
        !self.busy && self.taken < self.entries.len()
    }
}

/// A process.
#[derive(Clone, Copy, Debug, Default)]
struct Member {
    down: bool,
    /// Nobody wants it, or it has yet to be ready.
    off: bool,
    /// It is on its way.
    starting: bool,
    /// It has been told to end, and takes no more than it has.
    leaves: bool,
    /// It has been told to end, and goes on until it is killed.
    told: bool,
    /// Tells its present life from earlier ones.
    lives: u32,
    /// A subscriber that was cut off.
    cut: bool,
    /// It does not reach its brokers.
    away: bool,
    /// It is back, but the coordinator has yet to notice that it was gone.
    returns: bool,
    /// It hands out nothing more until it has joined a rebalance.
    joins: bool,
    /// Handlers at work.
    at_work: u32,
    /// When the coordinator last heard of it at its work.
    heard: Time,
    /// When it last sent a heartbeat; with the Java client, when its thread for them began to.
    beat: Time,
    /// When its next heartbeat tells it of the rebalance under way.
    notices: Time,
    /// Tells its present membership from earlier ones.
    epoch: u32,
    /// The log that it looked at last.
    turn: u32,
    /// Errors since it joined or restarted, and its next pause after one.
    failed: u32,
    pause: Duration,
    /// It takes no messages before.
    resumes: Time,
    buffer: OutputBuffer,
}

/// A group while it runs.
pub struct GroupState {
    crew: scaling::Crew,
    coordinator: Group,
    members: Vec<Member>,
    logs: Vec<Log>,
    /// Batches of a mapping that come one after another, shard by shard.
    lanes: Vec<function::Lane>,
}

/// A message that is being handled, or pending.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handler {
    group: ConsumerId,
    member: u32,
    log: u32,
    /// Tells it from the slot's earlier tenants; 0 is nobody's.
    number: u32,
    /// The membership that it is part of.
    epoch: u32,
    state: HandlerState,
    started: Time,
    entry: Entry,
}

/// What a handler is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum HandlerState {
    /// Nobody's.
    #[default]
    Free,
    /// At work.
    Running,
    /// At work on what has been given to another.
    Stale,
    /// Pending, and nobody works at it.
    Orphan,
}

impl GroupState {
    /// With everybody there, and nothing to do.
    pub fn new(model: &Model, spec: &Consumer) -> GroupState {
        let logs = match &spec.rules {
            Rules::Kafka(_) | Rules::Kinesis(_) => {
                let topic = model.streams[spec.stream].topic.as_ref();
                topic.expect("a group reads a topic").partitions
            }
            Rules::RedisStream(_) => 1,
            Rules::RedisPubSub(_) => spec.members,
        };
        let members: Vec<u32> = (0..spec.at_start).collect();
        let owners = match &spec.rules {
            Rules::Kafka(_) | Rules::Kinesis(_) => dealt(&members, logs),
            Rules::RedisStream(_) => vec![None],
            Rules::RedisPubSub(_) => members.iter().map(|member| Some(*member)).collect(),
        };
        let log = |owner: Option<u32>| Log { owner: owner.unwrap_or(NONE), ..Log::default() };
        let member = |number: u32| {
            let off = number >= spec.at_start;
            Member { off, down: off, ..Member::default() }
        };
        let lanes = spec.mapping().map_or(0, |it| it.lanes * logs);
        GroupState {
            crew: scaling::Crew::new(spec),
            coordinator: Group::settled(spec.at_start, spec.members),
            members: (0..spec.members).map(member).collect(),
            logs: owners.into_iter().map(log).collect(),
            lanes: (0..lanes).map(|_| function::Lane::idle()).collect(),
        }
    }
    /// How many of its subscribers a message is sent to.
    pub(super) fn connected(&self) -> u32 {
        self.members.iter().filter(|it| !it.down && !it.cut).count() as u32
    }
    /// Since when each message waits that nobody has taken.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Time> {
        let of = |log: &'_ Log| log.taken..log.entries.len();
        let in_lanes = self.lanes.iter().flat_map(function::Lane::waits);
        let in_logs =
            self.logs.iter().flat_map(move |log| of(log).map(|place| log.entries[place].since));
        in_logs.chain(in_lanes)
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Members are there from the start.
    pub fn build_consumers(&mut self) {
        for (id, spec) in self.model.consumers.enumerate() {
            if spec.mapping().is_none() {
                self.meters[spec.station].held.add(self.now, i64::from(spec.at_start));
            }
            self.start_group_scaler(id);
            self.start_workers(id);
            if let Rules::RedisStream(rules) = &spec.rules
                && rules.claim_after.is_some()
            {
                self.time_stream(Time::ZERO + rules.claim_every, purpose::CLAIM, 0, id.0);
            }
        }
    }

    /// A message comes for a group.
    pub(super) fn message_comes(&mut self, id: ConsumerId, partition: u32, entry: Entry) {
        let spec = &self.model.consumers[id];
        match &spec.rules {
            Rules::Kafka(_) => {
                self.queue_message(id, partition, entry);
                self.work_at_partition(id, partition);
            }
            Rules::Kinesis(_) => {
                self.queue_message(id, partition, entry);
                self.push_record(id, partition);
            }
            Rules::RedisStream(_) => {
                self.queue_message(id, 0, entry);
                self.hand_out(id);
            }
            Rules::RedisPubSub(_) => {
                for member in 0..spec.members {
                    self.push_to_subscriber(id, member, entry);
                }
            }
        }
    }

    fn queue_message(&mut self, id: ConsumerId, log: u32, entry: Entry) {
        let station = self.model.consumers[id].station;
        self.count(station, Counter::Arrivals);
        self.meters[station].enter(self.now);
        self.streams.groups[id].logs[log as usize].entries.push_back(entry);
    }

    /// The group and the place in it of a member, by its number among all.
    fn member_place(&self, number: u32) -> (ConsumerId, u32) {
        let all = self.model.consumers.enumerate();
        let (id, spec) =
            all.take_while(|(_, it)| it.first_member <= number).last().expect("a member's group");
        (id, number - spec.first_member)
    }

    /// A member begins to handle a message of a log.
    fn begin(&mut self, id: ConsumerId, log: u32, member: u32, entry: Entry) {
        let spec = &self.model.consumers[id];
        self.meters[spec.station].leave(self.now, entry.since);
        self.meters[spec.station].add_busy(self.now, spec.part_of(log, member), MILLI);
        let unit = spec.first_member + member;
        let alone = self.model.draw_law(spec.work, handling_key(&entry), spec.draw);
        let takes = self.condition(UnitKind::Member, unit).stretch(alone);
        let number = self.streams.next_number();
        let its = &mut self.streams.groups[id].members[member as usize];
        its.at_work += 1;
        let handler = Handler {
            group: id,
            member,
            log,
            number,
            epoch: its.epoch,
            state: HandlerState::Running,
            started: self.now,
            entry,
        };
        let slot = self.streams.handlers.insert(handler);
        self.time_stream(self.now + takes, purpose::HANDLED, number, slot);
        self.watch(id, member, self.now + takes);
    }

    /// Handlers at work in the group of a station.
    pub(super) fn handlers_at(&self, station: StationId) -> u64 {
        let works = |slot: &u32| {
            let handler = self.streams.handlers.peek(*slot);
            let runs = matches!(handler.state, HandlerState::Running | HandlerState::Stale);
            runs && self.model.consumers[handler.group].station == station
        };
        let handlers = (0..self.streams.handlers.capacity() as u32).filter(works).count();
        let groups = self.model.consumers.enumerate().filter(|(_, it)| it.station == station);
        let lanes = groups.flat_map(|(id, _)| &self.streams.groups[id].lanes);
        (handlers + lanes.filter(|lane| lane.is_called()).count()) as u64
    }

    /// A message has been handled.
    pub(super) fn handled(&mut self, slot: u32, number: u32) {
        let handler = *self.streams.handlers.peek(slot);
        let runs = matches!(handler.state, HandlerState::Running | HandlerState::Stale);
        if !runs || handler.number != number {
            return; // it died with its process
        }
        self.streams.handlers.remove(slot);
        let Handler { group: id, member, log, .. } = handler;
        let spec = &self.model.consumers[id];
        let station = spec.station;
        self.meters[station].add_busy(self.now, spec.part_of(log, member), -MILLI);
        let its = &mut self.streams.groups[id].members[member as usize];
        its.at_work -= 1;
        let stale = handler.state == HandlerState::Stale || handler.epoch != its.epoch;
        let wasted = stale || handler.entry.done;
        if wasted {
            self.count(station, Counter::Wasted);
        } else if self.fails(id, &handler.entry) {
            self.count(station, Counter::Errors);
            self.handler_failed(&handler);
            return self.member_may_leave(id, member);
        } else {
            self.count(station, Counter::Served);
            let late = self.now.since(handler.entry.published).0 / Duration::micros(1).0;
            self.count(station, Counter::Replayed);
            self.meters[station].add(Counter::LagMicros, late);
        }
        match &spec.rules {
            Rules::Kafka(_) if stale => self.evicted_is_done(id, member),
            Rules::Kafka(_) => self.partition_goes_on(id, log, member),
            Rules::Kinesis(_) if stale => {}
            Rules::Kinesis(_) => self.shard_goes_on(id, log),
            Rules::RedisStream(_) => self.hand_out(id),
            Rules::RedisPubSub(_) => self.subscriber_goes_on(id, member),
        }
        self.member_may_leave(id, member);
    }

    /// A process dies with what it was at.
    pub(super) fn kill_member(&mut self, number: u32) {
        let (id, member) = self.member_place(number);
        let spec = &self.model.consumers[id];
        let station = spec.station;
        if spec.mapping().is_some() {
            self.streams.groups[id].members[member as usize].down = true;
            return;
        }
        if self.streams.groups[id].members[member as usize].down {
            return;
        }
        for slot in 0..self.streams.handlers.capacity() as u32 {
            let handler = *self.streams.handlers.peek(slot);
            let works = matches!(handler.state, HandlerState::Running | HandlerState::Stale);
            if !works || handler.group != id || handler.member != member {
                continue;
            }
            self.meters[station].add_busy(self.now, spec.part_of(handler.log, member), -MILLI);
            self.count(station, Counter::Wasted);
            let pending = matches!(spec.rules, Rules::RedisStream(_));
            if pending && handler.state == HandlerState::Running {
                self.streams.handlers[slot].state = HandlerState::Orphan;
            } else {
                self.streams.handlers.remove(slot);
            }
        }
        let group = &mut self.streams.groups[id];
        group.forget_failures(member);
        let who = &mut group.members[member as usize];
        (who.down, who.at_work, who.joins, who.returns) = (true, 0, false, false);
        (who.failed, who.resumes) = (0, Time::ZERO);
        let (epoch, cut) = (who.epoch % purpose::NUMBERS, who.cut);
        match &spec.rules {
            Rules::Kafka(rules) => {
                // A member that has joined is known by its connection, and forgotten all the same
                // only when its session ends.
                self.time_stream(self.now + rules.session, purpose::SILENT, epoch, number);
            }
            Rules::Kinesis(_) => {
                self.meters[station].held.add(self.now, -1);
                self.worker_dies(id, member);
            }
            Rules::RedisStream(_) => self.meters[station].held.add(self.now, -1),
            Rules::RedisPubSub(_) => {
                (who.epoch, who.cut, who.buffer) = (who.epoch + 1, false, OutputBuffer::default());
                self.lose_messages(id, member, 0);
                if !cut {
                    self.meters[station].held.add(self.now, -1);
                }
            }
        }
    }

    /// A process is there again.
    pub(super) fn restart_member(&mut self, number: u32) {
        let (id, member) = self.member_place(number);
        let spec = &self.model.consumers[id];
        let group = &mut self.streams.groups[id];
        let who = &mut group.members[member as usize];
        if who.away || who.off {
            return; // it starts when it reaches its brokers, or is wanted
        }
        who.down = false;
        match &spec.rules {
            Rules::Kafka(rules) if rules.named && group.coordinator.has(member) => {
                self.named_member_returns(id, member);
            }
            Rules::Kafka(_) => {
                // Its old membership stands until its session ends; meanwhile all wait for it.
                let begins = if group.coordinator.has(member) {
                    who.returns = true;
                    group.coordinator.begin()
                } else {
                    self.asks(id, member)
                };
                match begins {
                    true => self.rebalance_begins(id),
                    false => self.rebalance_may_end(id),
                }
            }
            Rules::Kinesis(rules) if rules.mapping.is_some() => {}
            Rules::Kinesis(_) => {
                self.meters[spec.station].held.add(self.now, 1);
                self.worker_starts(id, member);
            }
            Rules::RedisStream(_) => {
                self.meters[spec.station].held.add(self.now, 1);
                self.hand_out(id);
            }
            Rules::RedisPubSub(_) => self.meters[spec.station].held.add(self.now, 1),
        }
    }
}
