//! One broker of a topic that is gone, while the others are there.
//!
//! Copies of a partition lie on as many brokers in a row, and the first of them leads it. When its broker is
//! gone nobody does: producers try again, consumers stand still. The controller misses the broker's
//! heartbeats for its session (KRaft, `broker.session.timeout.ms`), fences it, and takes it out of the in-sync
//! copies; the next in-sync copy leads from then on. Until then leaders of other partitions wait for the
//! copy that lies there. With too few in-sync copies they refuse who wants all (`NOT_ENOUGH_REPLICAS`,
//! which producers take for a reason to try again). One that is stopped as planned hands its
//! partitions over first (`controlled.shutdown.enable`): what waits there is sent again, and nothing else stops. Who is back follows, and leads only what nobody else can:
//! the preferred leader is elected again after minutes (`leader.imbalance.check.interval.seconds` 300), which is
//! not told here. The coordinator of groups is another broker.

use crate::kernel::PendingEvents;
use crate::model::ids::StreamId;
use crate::model::{Acks, BrokerLoss, Topic};
use crate::run::world::World;
use crate::units::{Duration, Time};

use super::purpose;

/// A broker that is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    since: Time,
    session: Duration,
    /// Others lead.
    missed: bool,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Which broker of its topic has a copy of a partition.
    fn broker_of(topic: &Topic, partition: u32, copy: u32) -> u32 {
        (partition - topic.first_partition + copy) % topic.brokers
    }

    fn gone(&self, topic: &Topic, broker: u32) -> Option<Gone> {
        self.streams.gone.get((topic.first_broker + broker) as usize).copied().flatten()
    }

    /// Copies of a partition that are in sync, those included whose broker is not missed yet.
    fn in_sync(&self, topic: &Topic, partition: u32) -> u32 {
        let is = |copy: &u32| {
            let broker = Self::broker_of(topic, partition, *copy);
            self.gone(topic, broker).is_none_or(|gone| !gone.missed)
        };
        (0..=topic.followers).filter(is).count() as u32
    }

    /// Whether the leader of a partition is not there, or refuses a request.
    #[inline]
    pub(super) fn is_refused(&self, stream: StreamId, partition: u32) -> bool {
        if self.streams.gone.is_empty() {
            return false;
        }
        let topic = self.topic(stream);
        self.streams.leaders[partition as usize].headless
            || topic.acks == Acks::All && self.in_sync(topic, partition) < topic.min_insync
    }

    /// Before when what is appended now is not everywhere where it must be.
    #[inline]
    pub(super) fn in_sync_from(&self, stream: StreamId, partition: u32) -> Time {
        if self.streams.gone.is_empty() {
            return Time::ZERO;
        }
        let topic = self.topic(stream);
        let waits = |copy: u32| {
            let broker = Self::broker_of(topic, partition, copy);
            let gone = self.gone(topic, broker).filter(|gone| !gone.missed)?;
            Some(gone.since + gone.session)
        };
        (0..=topic.followers).filter_map(waits).max().unwrap_or(Time::ZERO)
    }

    /// Whether a partition of a stream has nobody who leads it.
    #[inline]
    pub(in crate::run) fn is_headless(&self, stream: StreamId, log: u32) -> bool {
        !self.streams.gone.is_empty() && {
            let partition = self.topic(stream).first_partition + log;
            self.streams.leaders[partition as usize].headless
        }
    }

    /// A broker is gone.
    pub(in crate::run) fn broker_dies(&mut self, stream: StreamId, loss: BrokerLoss) {
        let model = self.model;
        let topic = model.streams[stream].topic.as_ref().expect("only Kafka has brokers");
        let station = model.streams[stream].station;
        let all: u32 =
            model.streams.iter().filter_map(|it| it.topic.as_ref()).map(|it| it.brokers).sum();
        self.streams.gone.resize(all as usize, None);
        let session = if loss.planned { Duration::ZERO } else { loss.session };
        let gone = Gone { since: self.now, session, missed: loss.planned };
        self.streams.gone[(topic.first_broker + loss.broker) as usize] = Some(gone);
        for partition in topic.first_partition..topic.first_partition + topic.partitions {
            let leader = &mut self.streams.leaders[partition as usize];
            if leader.headless || Self::broker_of(topic, partition, leader.copy) != loss.broker {
                continue;
            }
            leader.headless = true;
            for slot in std::mem::take(&mut leader.queue) {
                let since = self.streams.requests[slot as usize].arrived;
                self.meters[station].leave(self.now, since);
                self.find_nobody(slot);
            }
        }
        if loss.planned {
            return self.leaders_change(stream, loss.broker);
        }
        let missed = self.now + loss.session + loss.election;
        self.time_stream(missed, purpose::ELECT, loss.broker, stream.0);
    }

    /// The controller has missed a broker: others lead what it led.
    pub(super) fn leaders_change(&mut self, stream: StreamId, broker: u32) {
        let model = self.model;
        let topic = model.streams[stream].topic.as_ref().expect("only Kafka has brokers");
        let place = (topic.first_broker + broker) as usize;
        let Some(gone) = &mut self.streams.gone[place] else { return };
        if self.now.since(gone.since) < gone.session {
            return; // it was back meanwhile, and is gone again
        }
        gone.missed = true;
        for partition in topic.first_partition..topic.first_partition + topic.partitions {
            self.elect(stream, topic, partition);
        }
    }

    /// The first copy on a broker that is there leads a partition that nobody leads.
    fn elect(&mut self, stream: StreamId, topic: &Topic, partition: u32) {
        let leader = &self.streams.leaders[partition as usize];
        let old = Self::broker_of(topic, partition, leader.copy);
        let waits = self.gone(topic, old).is_some_and(|gone| !gone.missed);
        if !leader.headless || waits {
            return;
        }
        let there =
            |copy: &u32| self.gone(topic, Self::broker_of(topic, partition, *copy)).is_none();
        let Some(copy) = (0..=topic.followers).find(there) else { return };
        let leader = &mut self.streams.leaders[partition as usize];
        (leader.copy, leader.headless) = (copy, false);
        for number in 0..self.model.streams[stream].consumers.len() {
            let group = self.model.streams[stream].consumers[number];
            self.work_at_partition(group, partition - topic.first_partition);
        }
    }

    /// A broker is back: it leads what nobody else could, or what it was not missed for.
    pub(in crate::run) fn broker_is_back(&mut self, stream: StreamId, loss: BrokerLoss) {
        let model = self.model;
        let topic = model.streams[stream].topic.as_ref().expect("only Kafka has brokers");
        self.streams.gone[(topic.first_broker + loss.broker) as usize] = None;
        for partition in topic.first_partition..topic.first_partition + topic.partitions {
            self.elect(stream, topic, partition);
        }
    }
}
