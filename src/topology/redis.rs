//! How Redis is used: the client library of each process.

use super::kind::Kind;
use super::spec::{Reader, Shape, spec};
use super::tree::{Node, Value};
use crate::units::Duration;

spec! {
    /// The library through which processes use a Redis server: what becomes of commands while there
    /// is no connection.
    choice CacheClient {
        /// ioredis 5: commands wait while it reconnects, n x 50 ms after the n-th failure, up to 2 s
        /// apart; all of them fail together whenever its retries are used up.
        Ioredis5(Ioredis) = "ioredis-5";
        /// ioredis 6: the same, 50 ms x 2^(n-1) after the n-th failure, up to 5 s, and up to 200 ms
        /// more.
        Ioredis6(Ioredis) = "ioredis-6";
        /// node-redis 6: what is on its way fails with the connection; what comes later waits, each
        /// command for its own timeout.
        NodeRedis(NodeRedis) = "node-redis";
        /// An ideal one, which keeps nobody waiting: a command fails as soon as it finds its server gone.
        Ideal = "ideal";
    }
}
spec! {
    /// The options of ioredis.
    table Ioredis {
        /// Whether commands wait while there is no connection; otherwise they fail at once.
        offline_queue: bool = "true" from "ioredis 5.11.1 and 6.0.0 (enableOfflineQueue)";
        /// After how many failed attempts to connect all commands that wait fail: they fail with
        /// every (n + 1)-th one. `"unlimited"` is null: they wait until it is back, as BullMQ demands.
        max_retries: MaxRetries = "20"
            from "ioredis 5.11.1 and 6.0.0 (maxRetriesPerRequest)";
        /// How long an attempt to connect may take, where nobody answers.
        connect_timeout: Duration = "\"10s\""
            from "ioredis 5.11.1 and 6.0.0 (connectTimeout)", positive;
        /// How long a command may take, waiting for a connection included.
        command_timeout: Option<Duration> = "for ever"
            from "ioredis 5.11.1 and 6.0.0 (commandTimeout undefined)", positive;
    }
}
spec! {
    /// The options of node-redis.
    table NodeRedis {
        /// Whether commands wait while there is no connection; otherwise they fail at once.
        offline_queue: bool = "true" from "@redis/client 6.3.1 (disableOfflineQueue)";
        /// How long an attempt to connect may take, where nobody answers.
        connect_timeout: Duration = "\"5s\"" from "@redis/client 6.3.1 (connectTimeout)", positive;
        /// How long a command waits to be written; once it is, it waits for ever.
        command_timeout: Duration = "\"5s\""
            from "@redis/client 6.3.1 (DEFAULT_COMMAND_TIMEOUT)", positive;
        /// The most commands that it holds; more fail at once.
        max_queue: Option<u32> = "no limit"
            from "@redis/client 6.3.1 (commandsQueueMaxLength)", positive;
    }
}

spec! {
    /// Who sees that a node is lost, and lets a replica take over.
    choice CacheFailover {
        /// Redis Sentinel.
        Sentinel(Sentinel) = "sentinel";
        /// Redis Cluster: its masters agree that one has failed, and vote for one of its replicas.
        Cluster(RedisCluster) = "cluster";
    }
}
spec! {
    /// Redis Sentinel: from the loss of a master `down_after` and about a second pass.
    table Sentinel {
        /// How long a master gives no answer until a sentinel holds it for down.
        down_after: Duration = "\"30s\"" from "sentinel.conf (down-after-milliseconds)", positive;
        /// How many sentinels there are.
        sentinels: u32 = "3" from "redis.io, Sentinel (at least three)", positive;
        /// How many of them must hold a master for down.
        quorum: u32 = "2" from "sentinel.conf (sentinel monitor mymaster ... 2)", positive;
    }
}
spec! {
    /// Redis Cluster: at least three masters that share 16,384 slots.
    table RedisCluster {
        /// How long a node gives no answer until another suspects it.
        node_timeout: Duration = "\"15s\"" from "redis.conf (cluster-node-timeout)", positive;
        /// Whether the whole cluster stops answering while a single slot is not covered.
        full_coverage: bool = "true" from "redis.conf (cluster-require-full-coverage)";
    }
}
spec! {
    /// Who answers reads.
    choice CacheReads {
        /// The primaries.
        Primary = "primary";
        /// The replicas, chosen at random; they may not have heard of the last writes.
        Replicas = "replicas";
        /// Both.
        All = "all";
    }
}

/// A number of retries, or no end of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaxRetries(pub Option<u32>);

/// What `"unlimited"` looks like.
const UNLIMITED: Kind = Kind::Form { what: "`\"unlimited\"`", example: "\"unlimited\"" };

impl Shape for MaxRetries {
    fn kind() -> Kind {
        Kind::Either(Box::new(Kind::Count), Box::new(UNLIMITED))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(text) if text == "unlimited" => Some(MaxRetries(None)),
            Value::Integer(_) => u32::read(node, reader).map(|count| MaxRetries(Some(count))),
            _ => reader.wrong_type(node, &Self::kind()),
        }
    }
}
