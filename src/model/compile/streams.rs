//! Streams and their consumers.

use super::{Compiler, draw_id, find, named};
use crate::component::output_buffer::Limits;
use crate::component::shard_throughput;
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::tape::{Command, Op, Pc};
use crate::model::{
    Acks, Consumer, ConsumerParts, KafkaRules, KinesisRules, PendingRules, Rules, ShardMapping,
    Shards, Station, StationKind, Stream, SubscriberRules, Topic,
};
use crate::topology::{self, Named, StreamKind};
use crate::units::Duration;
use crate::variate::Law;

use super::flow::Place;

/// Records of a request at most (PutRecords).
const PUT_MOST: u64 = 500;
/// What a payload unit holds (bytes).
const PAYLOAD_UNIT: f64 = 25e3;
/// Bytes of one read at most (GetRecords).
const READ_MOST: f64 = 10e6;
/// Bytes that a function is called with at most (AWS Lambda, with-kinesis: 6 MB), and what base64 makes of a byte.
const PAYLOAD_MOST: f64 = 6e6;
const BASE64: f64 = 4.0 / 3.0;

impl Compiler<'_> {
    pub(super) fn stream_stations(&self, all: &mut Vec<Station>) {
        let topology = self.topology;
        for stream in &topology.streams {
            let leaders = match &stream.spec.kind {
                StreamKind::Kafka(topic) => f64::from(topic.partitions),
                StreamKind::Kinesis(its) => f64::from(its.shards),
                _ => 0.0,
            };
            let path = format!("stream.{}", stream.name);
            all.push(Station { path, kind: StationKind::Stream, capacity: leaders });
        }
        for consumer in &topology.consumers {
            let spec = &consumer.spec;
            // Members beyond the partitions of a topic have nothing to do.
            let most = spec.most_members() * spec.concurrency;
            let lanes = spec.mapping.as_ref().map_or(1, |it| it.parallelization_factor);
            let at_once = match &named(&topology.streams, &spec.stream.name).spec.kind {
                StreamKind::Kafka(topic) => topic.partitions.min(most),
                StreamKind::Kinesis(its) => its.shards * lanes,
                StreamKind::RedisStream(_) => most,
                StreamKind::RedisPubSub(_) => spec.members,
            };
            let path = format!("consumer.{}", consumer.name);
            let capacity = f64::from(at_once);
            all.push(Station { path, kind: StationKind::Consumer, capacity });
        }
    }

    pub(super) fn streams(&mut self) -> Dense<StreamId, Stream> {
        let topology = self.topology;
        let (mut first_partition, mut first_broker) = (0, 0);
        let mut all = Dense::default();
        for stream in &topology.streams {
            let consumers = topology.consumers.iter().enumerate();
            let its = consumers.filter(|(_, it)| it.spec.stream.name == stream.name);
            let topic = match &stream.spec.kind {
                StreamKind::Kafka(topic) => {
                    Some(self.topic(topic, (first_partition, first_broker), stream))
                }
                StreamKind::Kinesis(its) => Some(self.shards(its, first_partition, stream)),
                _ => None,
            };
            first_partition += topic.as_ref().map_or(0, |topic| topic.partitions);
            first_broker += topic.as_ref().map_or(0, |topic| topic.brokers);
            all.push(Stream {
                name: stream.name.clone(),
                region: self.place_of(topology::Section::Stream, &stream.name),
                station: self.station(&format!("stream.{}", stream.name)),
                message: stream.spec.message.0 as u64,
                topic,
                consumers: its.map(|(number, _)| ConsumerId(number as u32)).collect(),
            });
        }
        all
    }

    fn topic(
        &mut self,
        spec: &topology::Kafka,
        (first_partition, first_broker): (u32, u32),
        stream: &Named<topology::Stream>,
    ) -> Topic {
        Topic {
            partitions: spec.partitions,
            first_partition,
            keys: spec.keys.as_ref().map(|keys| find(&self.topology.keys, &keys.name)),
            append: self.law(&spec.append),
            rtt: self.law(&spec.rtt),
            followers: spec.replicas.saturating_sub(1),
            first_broker,
            brokers: spec.all_brokers(),
            min_insync: spec.min_insync,
            replicate: self.law(&spec.replicate),
            acks: match spec.acks {
                topology::Acks::None => Acks::None,
                topology::Acks::Leader => Acks::Leader,
                topology::Acks::All => Acks::All,
            },
            linger: spec.linger,
            batch: ((spec.batch.0 / stream.spec.message.0) as u64).max(1),
            shards: None,
        }
    }

    /// A stream of Kinesis: its shards are partitions that nobody's leader keeps waiting.
    fn shards(
        &mut self,
        spec: &topology::Kinesis,
        first_partition: u32,
        stream: &Named<topology::Stream>,
    ) -> Topic {
        let bytes = stream.spec.message.0;
        let at_once = self.add_law(Law::Constant(0.0));
        Topic {
            partitions: spec.shards,
            first_partition,
            keys: spec.keys.as_ref().map(|keys| find(&self.topology.keys, &keys.name)),
            append: self.law(&spec.put),
            rtt: at_once,
            followers: 0,
            first_broker: 0,
            brokers: 0,
            min_insync: 1,
            replicate: at_once,
            acks: Acks::Leader,
            linger: spec.linger,
            batch: ((spec.batch.0 / bytes) as u64).clamp(1, PUT_MOST),
            shards: Some(Shards {
                limits: shard_throughput::Limits {
                    record: Duration::from_secs_f64(1.0 / spec.records.0),
                    byte_s: 8.0 / spec.write.0,
                    read: Duration::from_secs_f64(1.0 / spec.reads.0),
                    read_byte_s: 8.0 / spec.read.0,
                },
                attempts: spec.attempts,
                units: (bytes / PAYLOAD_UNIT).ceil() as u64,
            }),
        }
    }

    pub(super) fn consumers(&mut self) -> Dense<ConsumerId, Consumer> {
        let topology = self.topology;
        let mut first_member = 0;
        let mut all = Dense::default();
        for consumer in &topology.consumers {
            let spec = &consumer.spec;
            let stream = named(&topology.streams, &spec.stream.name);
            let path = format!("consumer.{}", consumer.name);
            all.push(Consumer {
                name: consumer.name.clone(),
                region: self.place_of(topology::Section::Consumer, &consumer.name),
                station: self.station(&path),
                stream: find(&topology.streams, &spec.stream.name),
                members: spec.most_members(),
                at_start: spec.members,
                autoscale: spec.autoscale.as_ref().map(|it| self.scaling(1.0, it)),
                on_sigterm: super::deploys::sigterm(&spec.on_sigterm),
                grace: spec.grace,
                first_member,
                concurrency: spec.concurrency,
                work: spec.work.as_ref().map_or(LawId(0), |work| self.law(work)),
                draw: draw_id(&path).0,
                fails: (spec.fail.0, spec.poison.0),
                rules: self.rules(spec, &stream.spec),
                parts: parts(spec, &stream.spec),
            });
            first_member += spec.most_members();
        }
        all
    }

    /// A step that publishes: to Redis by a command.
    pub(super) fn publish(&mut self, name: &str, place: &Place<'_>) {
        let spec = &named(&self.topology.streams, name).spec;
        let stream = find(&self.topology.streams, name);
        let cache = match &spec.kind {
            StreamKind::Kafka(_) | StreamKind::Kinesis(_) => None,
            StreamKind::RedisStream(its) => Some((&its.cache.name, Command::Push)),
            StreamKind::RedisPubSub(its) => Some((&its.cache.name, Command::Publish(stream))),
        };
        if let Some((cache, command)) = cache {
            let cache = find(&self.topology.caches, cache);
            let bytes = spec.message.0 as u32;
            self.emit(Op::Command { cache, command, draw: place.draw("push"), bytes });
        }
        self.emit(Op::Publish { stream, draw: place.draw("publish") });
    }
}

/// Members or partitions of a group of Kafka; others take what comes next, or have all the same.
fn parts(spec: &topology::Consumer, stream: &topology::Stream) -> ConsumerParts {
    let topic = match &stream.kind {
        StreamKind::Kafka(topic) => topic,
        StreamKind::Kinesis(its) => {
            let lanes = spec.mapping.as_ref().map_or(1, |it| it.parallelization_factor);
            let count = its.shards * lanes;
            return ConsumerParts { by_member: false, count, servers: count };
        }
        _ => return ConsumerParts { by_member: true, count: 1, servers: 1 },
    };
    let members = spec.most_members();
    let by_member = spec.concurrency == 1 && members < topic.partitions;
    let count = if by_member { members } else { topic.partitions };
    ConsumerParts { by_member, count, servers: count.min(members * spec.concurrency) }
}

impl Compiler<'_> {
    fn rules(&mut self, spec: &topology::Consumer, stream: &topology::Stream) -> Rules {
        let StreamKind::Kinesis(_) = &stream.kind else { return rules(spec, stream) };
        let its = &spec.kinesis;
        Rules::Kinesis(KinesisRules {
            poll: its.poll,
            records: its.records.min((READ_MOST / stream.message.0) as u32).max(1),
            pushed: its
                .fan_out
                .unwrap_or(spec.mapping.is_none())
                .then(|| self.law(&its.propagation)),
            looks: Duration(2 * (its.failover + Duration::millis(25)).0),
            mapping: spec.mapping.as_ref().map(|it| self.shard_mapping(it, stream.message.0)),
        })
    }

    fn shard_mapping(&self, spec: &topology::StreamMapping, message: f64) -> ShardMapping {
        let fit = (PAYLOAD_MOST / (message * BASE64)) as u32;
        ShardMapping {
            function: find(&self.topology.services, &spec.function.name),
            entry: Pc(0), // until its flow is compiled
            batch_size: spec.batch_size.min(fit.max(1)),
            window: spec.batching_window,
            lanes: spec.parallelization_factor,
            retries: spec.maximum_retry_attempts,
            oldest: spec.maximum_record_age,
            bisects: spec.bisect_batch_on_function_error,
            pause: spec.retry_pause,
        }
    }
}

/// Messages of a batch: what a fetch holds, of which the Java client hands out so many at once.
fn fetch_of(spec: &topology::KafkaGroup, stream: &topology::Stream) -> u32 {
    let usual = if spec.client == topology::KafkaClient::Java { 500 } else { u32::MAX };
    let holds = (spec.fetch_bytes.0 / stream.message.0) as u32;
    spec.fetch.unwrap_or(usual).min(holds.max(1))
}

fn rules(spec: &topology::Consumer, stream: &topology::Stream) -> Rules {
    match &stream.kind {
        StreamKind::Kinesis(_) => unreachable!("a law is to be made for them"),
        StreamKind::Kafka(_) => {
            let its = &spec.kafka;
            let own_thread = its.client == topology::KafkaClient::Java;
            let usual = |js, java| Duration::secs(if own_thread { java } else { js });
            let session = its.session.unwrap_or(usual(30, 45));
            let poll = its.poll.or(own_thread.then(|| Duration::secs(300)));
            // Without a thread for heartbeats, a member that is at work for longer than its session
            // is not heard of.
            let patience = match (own_thread, poll) {
                (true, poll) => poll.unwrap_or(Duration::FOREVER),
                (false, poll) => poll.map_or(session, |poll| poll.min(session)),
            };
            let usual = if own_thread { patience } else { Duration::secs(60) };
            Rules::Kafka(KafkaRules {
                own_thread,
                cooperative: own_thread && its.assignor == topology::Assignor::Cooperative,
                named: own_thread && its.instance_id,
                fetch: fetch_of(its, stream),
                heartbeat: its.heartbeat,
                session,
                patience,
                rebalance: its.rebalance.unwrap_or(usual),
                retries: its.retries.unwrap_or(if own_thread { 9 } else { 5 }),
                retry_delay: its.retry_delay.unwrap_or(match own_thread {
                    true => Duration::ZERO,
                    false => Duration::millis(300),
                }),
            })
        }
        StreamKind::RedisStream(_) => Rules::RedisStream(PendingRules {
            claim_after: spec.pending.claim_after,
            claim_every: spec.pending.claim_every,
            deliveries: spec.pending.deliveries,
        }),
        StreamKind::RedisPubSub(its) => Rules::RedisPubSub(SubscriberRules {
            in_socket: (its.socket_buffer.0 / stream.message.0) as usize,
            limits: Limits {
                hard: its.hard.0 as u64,
                soft: its.soft.0 as u64,
                soft_for: its.soft_for,
            },
            reconnect: its.reconnect,
        }),
    }
}
