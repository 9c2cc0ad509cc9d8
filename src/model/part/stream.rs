//! Streams of messages and who consumes them.

use crate::component::output_buffer;
use crate::component::shard_throughput::Limits;
use crate::model::ids::*;
use crate::model::tape::Pc;
use crate::model::{OnSigterm, Scaling};
use crate::units::Duration;

/// Where messages are published.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Where it stands. [`None`] where nothing says so.
    pub region: Option<RegionId>,
    /// As measured.
    pub station: StationId,
    /// Size of a message (bytes).
    pub message: u64,
    /// The topic, if it is one of Kafka; a stream of Kinesis is one whose partitions are its shards.
    pub topic: Option<Topic>,
    /// Who consumes it.
    pub consumers: Vec<ConsumerId>,
}

/// A topic of Kafka.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Partitions.
    pub partitions: u32,
    /// Number of its first partition among those of all topics.
    pub first_partition: u32,
    /// What a message's partition follows from.
    pub keys: Option<KeysId>,
    /// Time of a produce request at its leader.
    pub append: LawId,
    /// Round trip to the leader.
    pub rtt: LawId,
    /// Followers of each partition.
    pub followers: u32,
    /// Number of its first broker among those of all topics.
    pub first_broker: u32,
    /// How many it has.
    pub brokers: u32,
    /// Copies that must be in sync for those who wait for all.
    pub min_insync: u32,
    /// Time until a follower has it.
    pub replicate: LawId,
    /// What a producer waits for.
    pub acks: Acks,
    /// How long a producer collects.
    pub linger: Duration,
    /// The most messages that it collects.
    pub batch: u64,
    /// What its partitions take and give, if they are shards of Kinesis.
    pub shards: Option<Shards>,
}

/// Shards of a stream of Kinesis.
#[derive(Clone, Copy, Debug)]
pub struct Shards {
    /// What each takes and gives.
    pub limits: Limits,
    /// Attempts to put a record.
    pub attempts: u32,
    /// Payload units of a record.
    pub units: u64,
}

/// What a producer waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// Nothing.
    None,
    /// The leader.
    Leader,
    /// All in-sync copies.
    All,
}

/// Processes that consume a stream.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// Where they stand. [`None`] where nothing says so.
    pub region: Option<RegionId>,
    /// As measured.
    pub station: StationId,
    /// What they consume.
    pub stream: StreamId,
    /// How many at most.
    pub members: u32,
    /// How many at the start.
    pub at_start: u32,
    /// How their number follows what they are behind.
    pub autoscale: Option<Scaling>,
    /// What one does that is told to end, and how long it may take.
    pub on_sigterm: OnSigterm,
    /// See `on_sigterm`.
    pub grace: Duration,
    /// Number of the first among all members of all groups.
    pub first_member: u32,
    /// What one works on at once.
    pub concurrency: u32,
    /// Time to handle a message.
    pub work: LawId,
    /// Which numbers that time is drawn from.
    pub draw: u32,
    /// The share of handlings that fail, and that of messages whose handling always does.
    pub fails: (f64, f64),
    /// By whose rules.
    pub rules: Rules,
    /// What limits it where messages are shared out unevenly.
    pub parts: ConsumerParts,
}

impl Consumer {
    /// The function that gets its records, in place of processes.
    pub fn mapping(&self) -> Option<&ShardMapping> {
        match &self.rules {
            Rules::Kinesis(rules) => rules.mapping.as_ref(),
            _ => None,
        }
    }
    /// The part that works on a message of a log.
    #[inline]
    pub fn part_of(&self, log: u32, member: u32) -> u32 {
        if self.parts.by_member { member } else { log }
    }
}

/// Parts of a group of consumers that cannot help one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerParts {
    /// Members that work on one message at a time, each on those of its partitions; else partitions.
    pub by_member: bool,
    /// How many there are; one where everybody takes what comes next.
    pub count: u32,
    /// How many of them work at a time.
    pub servers: u32,
}

/// The rules of a product's consumers.
#[derive(Clone, Debug)]
pub enum Rules {
    /// A group of Kafka.
    Kafka(KafkaRules),
    /// Workers that read a stream of Kinesis.
    Kinesis(KinesisRules),
    /// A group of a stream of Redis.
    RedisStream(PendingRules),
    /// Subscribers of a channel of Redis.
    RedisPubSub(SubscriberRules),
}

/// How members of a group of Kafka behave.
#[derive(Clone, Copy, Debug)]
pub struct KafkaRules {
    /// Heartbeats come from a thread of their own, and a rebalance is joined between batches.
    pub own_thread: bool,
    /// Members keep their partitions in a rebalance, and only those stop that move.
    pub cooperative: bool,
    /// Members have names of their own: one that restarts within its session keeps its partitions.
    pub named: bool,
    /// Messages of a batch.
    pub fetch: u32,
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Who was not heard of for so long is out.
    pub session: Duration,
    /// Who was at work for so long without a word is out.
    pub patience: Duration,
    /// How long a rebalance waits.
    pub rebalance: Duration,
    /// Errors after which a member goes on, or a message is handled again.
    pub retries: u32,
    /// The first pause after an error.
    pub retry_delay: Duration,
}

/// How workers read a stream of Kinesis.
#[derive(Clone, Copy, Debug)]
pub struct KinesisRules {
    /// From one read of a shard to the next.
    pub poll: Duration,
    /// Records of a read at most.
    pub records: u32,
    /// How long a record is on its way that is pushed; [`None`] where shards are read.
    pub pushed: Option<LawId>,
    /// From one look at all leases to the next.
    pub looks: Duration,
    /// The function that gets the records, in place of workers.
    pub mapping: Option<ShardMapping>,
}

/// An event source mapping: which function gets a stream's records, and how.
#[derive(Clone, Copy, Debug)]
pub struct ShardMapping {
    /// The function.
    pub function: ServiceId,
    /// What it does with a record.
    pub entry: Pc,
    /// Records in a call at most.
    pub batch_size: u32,
    /// How long they are gathered.
    pub window: Duration,
    /// Batches of a shard at once.
    pub lanes: u32,
    /// How often a batch that has failed is tried again; [`None`]: again and again.
    pub retries: Option<u32>,
    /// Records that are older are given up.
    pub oldest: Duration,
    /// A batch that has failed is split.
    pub bisects: bool,
    /// The first pause before a call is made again.
    pub pause: Duration,
}

/// What becomes of pending messages.
#[derive(Clone, Copy, Debug)]
pub struct PendingRules {
    /// After how long they are claimed.
    pub claim_after: Option<Duration>,
    /// How often that is looked for.
    pub claim_every: Duration,
    /// Deliveries at most.
    pub deliveries: Option<u32>,
}

/// What becomes of slow subscribers.
#[derive(Clone, Copy, Debug)]
pub struct SubscriberRules {
    /// Messages that the sockets hold.
    pub in_socket: usize,
    /// Limits of what waits in Redis.
    pub limits: output_buffer::Limits,
    /// Time to come back.
    pub reconnect: Duration,
}
