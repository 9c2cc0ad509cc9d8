//! Streams and channels of messages, and the groups that consume them.

use super::cache::{Cache, Keys};
use super::deploy::OnSigterm;
use super::dist::Dist;
use super::flow::Flow;
use super::kinesis::{Kinesis, KinesisGroup, StreamMapping};
use super::names::Ref;
use super::price::Price;
use super::region::Region;
use super::service::Autoscale;
use super::spec::spec;
use crate::units::{Bytes, Duration, Money, Ratio};

spec! {
    /// Where messages are published: a topic of Kafka, a stream of Kinesis, a stream or a channel of Redis.
    component Stream {
        /// The product that it is.
        kind: StreamKind;
        /// Where its brokers stand, spread over the zones; a producer in another region sends over the
        /// route between them. A stream of Redis stands where its cache does.
        region: Option<Ref<Region>> = "the only region" from "assumed: there is no choice";
        /// Size of a message.
        message: Bytes = "\"1KB\"" from "assumed: a small event as JSON", positive;
    }
}
spec! {
    /// A product that messages are published to.
    choice StreamKind {
        /// A topic of Apache Kafka: ordered within each partition, kept, read by groups at their own
        /// pace.
        Kafka(Kafka) = "kafka";
        /// A stream of Amazon Kinesis: ordered within each shard, kept, read by groups at their own pace, with
        /// limits of what a shard takes and gives.
        Kinesis(Kinesis) = "kinesis";
        /// A stream of Redis: whoever of a group asks first gets the next message, which stays pending
        /// until it is acknowledged.
        RedisStream(RedisStream) = "redis-stream";
        /// A channel of Redis: every subscriber gets every message, at most once; nothing is kept.
        RedisPubSub(RedisPubSub) = "redis-pubsub";
    }
}
spec! {
    /// A topic of Kafka.
    table Kafka {
        /// Partitions; within a group each has one consumer at a time.
        partitions: u32 = "1" from "Apache Kafka 3.9 broker (num.partitions)", positive;
        /// What a message's partition follows from.
        keys: Option<Ref<Keys>> = "none: each producer takes the partitions in turn"
            from "kafkajs 2.2.4 (default partitioner, no key)";
        /// Time of a produce request at the leader of its partition, which takes one after another.
        append: Dist = "\"100us\"" from "assumed: a small batch into the page cache";
        /// Round trip between a producer and the leader.
        rtt: Dist = "\"0.5ms\"" from "assumed: same zone";
        /// Copies of each partition, the leader's included.
        replicas: u32 = "3" from "Amazon MSK (default.replication.factor, three zones)", positive;
        /// Brokers that the partitions and their copies are spread over: each is led by another in turn.
        brokers: Option<u32> = "as many as `replicas`" from "Amazon MSK (one in each zone)", positive;
        /// With `acks = "all"` a leader refuses what fewer in-sync copies than this would have; its producer
        /// tries again.
        min_insync: u32 = "1" from "Apache Kafka 3.9 broker (min.insync.replicas 1); Amazon MSK has 2 in three zones", positive;
        /// Time until a follower has fetched what was appended; consumers see what all in-sync copies
        /// have.
        replicate: Dist = "\"2ms\"" from "assumed: a follower's fetch from another zone";
        /// What a producer waits for.
        acks: Acks = "\"all\"" from "kafkajs 2.2.4 (acks -1), Apache Kafka 3.9 producer (acks all)";
        /// How long a producer collects messages of a partition before it sends them as one request.
        linger: Duration = "\"0s\"" from "kafkajs 2.2.4 (send goes at once), Apache Kafka 3.9 producer (linger.ms 0; 5 from 4.0 on)";
        /// The most bytes that it collects.
        batch: Bytes = "\"16KiB\"" from "Apache Kafka 3.9 producer (batch.size)", positive;
        /// Price of one broker. Where several topics are on the same ones, say it at one of them.
        price: Option<Price>;
        /// Price of a gigabyte that a broker keeps for a month.
        per_gb_month: Option<Money> = "not counted" from "Amazon MSK pricing (broker storage: $0.10 in us-east-1)";
        /// How long each copy of a message is kept; for its price alone.
        retention: Duration = "\"7day\"" from "Apache Kafka 3.9 broker (log.retention.hours 168)", positive;
    }
}
spec! {
    /// What a producer waits for.
    choice Acks {
        /// Nothing: it goes on as soon as it has sent.
        None = "none";
        /// That the leader has appended it.
        Leader = "leader";
        /// That all in-sync copies have it.
        All = "all";
    }
}
spec! {
    /// A stream of Redis.
    table RedisStream {
        /// The server; XADD is one command.
        cache: Ref<Cache>;
    }
}
spec! {
    /// A channel of Redis.
    table RedisPubSub {
        /// The server; PUBLISH is one command.
        cache: Ref<Cache>;
        /// What the sockets between it and a subscriber hold; the rest waits in Redis.
        socket_buffer: Bytes = "\"2500KB\"" from "assumed: Linux tcp_wmem at its largest, with what the receiver has announced";
        /// A subscriber for whom more than this waits in Redis is cut off at once.
        hard: Bytes = "\"32MiB\"" from "Redis 7 redis.conf (client-output-buffer-limit pubsub 32mb 8mb 60)", positive;
        /// So is one for whom more than this waits, for longer than `soft_for`.
        soft: Bytes = "\"8MiB\"" from "Redis 7 redis.conf (client-output-buffer-limit pubsub 32mb 8mb 60)", positive;
        /// For how long.
        soft_for: Duration = "\"60s\"" from "Redis 7 redis.conf (client-output-buffer-limit pubsub 32mb 8mb 60)";
        /// How long a subscriber that was cut off takes to come back.
        reconnect: Duration = "\"50ms\"" from "ioredis 5.11.1 (retryStrategy: first delay)";
    }
}
spec! {
    /// Processes that consume a stream: a consumer group, or the subscribers of a channel.
    component Consumer {
        /// What they consume.
        stream: Ref<Stream>;
        /// Where they stand.
        region: Option<Ref<Region>> = "that of their stream" from "assumed: consumers stand beside it";
        /// How many processes.
        members: u32 = "1" from "assumed: one process", positive;
        /// How the number of processes follows what they are behind, such as `metric.lag = 10`.
        autoscale: Option<Autoscale> = "their number stays" from "assumed: a fixed number of processes";
        /// What a process does when it is told to end, because fewer are wanted. One that finishes commits
        /// what it has handled and leaves its group; one that exits is missed when its session ends.
        on_sigterm: OnSigterm = "\"exit\""
            from "Node.js 20 process (SIGTERM without a handler ends the process; one that calls `disconnect` finishes its message)";
        /// Time that a process has to end by itself before it is killed.
        grace: Duration = "\"30s\"" from "Kubernetes (terminationGracePeriodSeconds 30)", positive;
        /// What one of them works on at once: partitions of Kafka, messages of a stream of Redis. A worker of
        /// Kinesis works on all of its shards.
        concurrency: u32 = "1" from "kafkajs 2.2.4 (partitionsConsumedConcurrently)", positive;
        /// Time to handle a message; a subscriber of a channel reads nothing meanwhile. Where a function does it, a `flow` says
        /// so instead.
        work: Option<Dist> = "its `flow` says it" from "assumed: what a function does with it";
        /// The function of AWS Lambda that gets the records of a stream of Kinesis, in place of processes.
        mapping: Option<StreamMapping> = "processes take the messages"
            from "Amazon Kinesis Data Streams (nobody is called unless a mapping says so)";
        /// What a function does with a record, step by step, one record after the other.
        flow: Flow = "[]" from "assumed: processes do the `work`";
        /// The share of handlings that end with an error, each time anew; an error takes as long as
        /// success.
        fail: Ratio = "\"0%\"" from "assumed: handlers do not throw";
        /// The share of messages whose handling ends with an error every time.
        poison: Ratio = "\"0%\"" from "assumed: every message can be handled";
        /// How it takes part in a group of Kafka.
        kafka: KafkaGroup = "{}" from "kafkajs 2.2.4";
        /// How it reads a stream of Kinesis.
        kinesis: KinesisGroup = "{}" from "Kinesis Client Library 2";
        /// What becomes of messages of a stream of Redis that were not acknowledged.
        pending: Pending = "{}" from "assumed";
        /// Price of one process.
        price: Option<Price>;
    }
}
spec! {
    /// A group of Kafka. Its rebalances are eager, unless `assignor` says otherwise: all members stop until the
    /// slowest has joined.
    table KafkaGroup {
        /// The client library: when it sends heartbeats, and when it commits.
        client: KafkaClient = "\"kafkajs\"" from "assumed: the usual client of Node applications";
        /// What a rebalance does to partitions that stay where they are.
        assignor: Assignor = "\"eager\""
            from "kafkajs 2.2.4 (roundRobin); Apache Kafka 3.9 consumer (partition.assignment.strategy: range comes first)";
        /// Whether each process has an id of its own (`group.instance.id`): one that is back within its session
        /// has its partitions as before, without a rebalance, and one that ends is missed when its session is over.
        instance_id: bool = "false" from "Apache Kafka 3.9 consumer (group.instance.id null)";
        /// Messages of a partition that a member is handed at once at most; such a batch is committed at its end.
        fetch: Option<u32> = "as many as `fetch_bytes` holds for kafkajs, 500 for java"
            from "kafkajs 2.2.4 consumer/runner.js (eachBatch gets all of a fetch), Apache Kafka 3.9 consumer \
            (max.poll.records)", positive;
        /// The most bytes of a partition in one fetch; one message is always in it.
        fetch_bytes: Bytes = "\"1MiB\""
            from "kafkajs 2.2.4 consumer/index.js (maxBytesPerPartition 1,048,576), Apache Kafka 3.9 consumer \
            (max.partition.fetch.bytes)", positive;
        /// Time between heartbeats, by which members learn of a rebalance.
        heartbeat: Duration = "\"3s\"" from "kafkajs 2.2.4 (heartbeatInterval), Apache Kafka 3.9 consumer (heartbeat.interval.ms)", positive;
        /// A member that was not heard of for so long is out.
        session: Option<Duration> = "30s for kafkajs, 45s for java"
            from "kafkajs 2.2.4 (sessionTimeout), Apache Kafka 3.9 consumer (session.timeout.ms)", positive;
        /// So is one that did not ask for messages for so long.
        poll: Option<Duration> = "none for kafkajs, 5min for java"
            from "kafkajs 2.2.4, Apache Kafka 3.9 consumer (max.poll.interval.ms)", positive;
        /// How long a rebalance waits for members.
        rebalance: Option<Duration> = "60s for kafkajs, as long as `poll` for java"
            from "kafkajs 2.2.4 (rebalanceTimeout), Apache Kafka 3.9 consumer", positive;
        /// How often a member goes on after an error before it restarts (kafkajs, whichever messages
        /// failed, and however many did not in between), or a message is handled again before it is
        /// put aside (java).
        retries: Option<u32> = "5 for kafkajs, 9 for java"
            from "kafkajs 2.2.4 retry/defaults.js (retries), Spring for Apache Kafka 3 (DefaultErrorHandler, 10 attempts)";
        /// How long a member takes no messages after an error; with kafkajs the next pause is twice as
        /// long, up to 30 s, each by at most a fifth more or less.
        retry_delay: Option<Duration> = "300ms for kafkajs, none for java"
            from "kafkajs 2.2.4 retry/defaults.js (initialRetryTime), Spring for Apache Kafka 3 (FixedBackOff 0)";
    }
}
spec! {
    /// How partitions are given out.
    choice Assignor {
        /// All stop, and partitions are dealt out anew.
        Eager = "eager";
        /// Members keep what they have and go on; what is to move is given back, and given out by a second
        /// rebalance. For the Java client (kafkajs 2 has none).
        Cooperative = "cooperative-sticky";
    }
}
spec! {
    /// A client library of Kafka.
    choice KafkaClient {
        /// kafkajs 2: heartbeats between messages, on the same loop; it joins a rebalance after the
        /// message at hand.
        KafkaJs = "kafkajs";
        /// The Java client: heartbeats from a thread of its own; it joins a rebalance when it polls
        /// next, after the batch at hand.
        Java = "java";
    }
}
spec! {
    /// Messages of a stream of Redis that are pending.
    table Pending {
        /// A message that has been with a consumer for so long is claimed by another.
        claim_after: Option<Duration> = "never" from "Redis 7 (XAUTOCLAIM is the application's to call)", positive;
        /// How often that is looked for.
        claim_every: Duration = "\"30s\"" from "assumed: a timer of the application", positive;
        /// How often a message is delivered before it is put aside.
        deliveries: Option<u32> = "again and again" from "Redis 7 (no dead letters of its own)", positive;
    }
}

impl Consumer {
    /// The most processes that there can be.
    pub fn most_members(&self) -> u32 {
        self.autoscale.as_ref().map_or(self.members, |it| it.max.max(self.members))
    }
}
impl Kafka {
    /// How many brokers there are.
    pub fn all_brokers(&self) -> u32 {
        self.brokers.unwrap_or(self.replicas)
    }
}
