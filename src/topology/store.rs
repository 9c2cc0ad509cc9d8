//! What keeps data: pools, databases, caches, keys, session stores.

use super::dist::Dist;
use super::names::Ref;
use super::network::{Price, Region};
use super::service::Service;
use super::spec::spec;
use crate::units::{Bytes, Duration, Ratio};

spec! {
    /// A pool of database connections; each worker of its service has one of its own.
    component Pool {
        /// The library that it is: it sets how connections are lent, opened and closed.
        driver: PoolDriver = "\"node-postgres\"" from "assumed: the usual client of Node.js";
        /// The service whose workers hold it.
        service: Ref<Service>;
        /// The database it connects to.
        database: Ref<Database>;
        /// The most connections, per worker.
        size: u32 = "10" from "pg-pool 3.14.0 (max)", positive;
        /// Connections that are not closed for being idle; it opens none in advance.
        min: u32 = "0" from "pg-pool 3.14.0 (min)";
        /// How long a request waits for a connection before it fails.
        acquire_timeout: Option<Duration> = "waits for ever"
            from "pg-pool 3.14.0 (connectionTimeoutMillis 0)", positive;
        /// An idle connection is closed after this time.
        idle_timeout: Duration = "\"10s\"" from "pg-pool 3.14.0 (idleTimeoutMillis)";
        /// What becomes of a connection whose statement failed.
        on_error: OnError = "\"destroy\""
            from "pg-pool 3.14.0 (pool.query releases with the error)";
        /// Where reads outside transactions go.
        reads: Reads = "\"primary\"" from "assumed: the application knows no replicas";
        /// The most connections to each replica, per worker.
        replica_size: Option<u32> = "as `size`"
            from "assumed: the same settings for every pool", positive;
    }
}
spec! {
    /// A library for pooling connections.
    choice PoolDriver {
        /// node-postgres: waiters first come, first served; idle connections last in, first out.
        NodePostgres = "node-postgres";
    }
}
spec! {
    /// What becomes of a connection whose statement failed.
    choice OnError {
        /// It is closed.
        Destroy = "destroy";
        /// It goes back to the pool.
        Keep = "keep";
    }
}
spec! {
    /// Where reads go.
    choice Reads {
        /// To the primary.
        Primary = "primary";
        /// To the replicas, each in turn.
        Replicas = "replicas";
    }
}
spec! {
    /// A database server, with its replicas and shards.
    component Database {
        /// The product that it is.
        driver: DatabaseDriver = "\"postgres\""
            from "assumed: the server that node-postgres speaks to";
        /// Where it stands.
        region: Option<Ref<Region>> = "the only region" from "assumed: there is no choice";
        /// Cores of each server; running statements share them equally.
        cores: f64 = "2" from "assumed: a small server", positive;
        /// Share of a statement's time that is CPU on the server; the rest waits for storage and
        /// does not contend.
        cpu_share: Ratio = "\"100%\"" from "assumed: data in memory";
        /// How much statements slow each other down.
        contention: Contention = "{}" from "assumed";
        /// Round trip between the application and it, within a region.
        rtt: Dist = "\"0.5ms\"" from "assumed: same zone";
        /// Time to open a connection, round trips included.
        connect: Dist = "\"50ms\""
            from "assumed: TCP, TLS, authentication and the start of a backend process";
        /// Connections that each server accepts; further ones are refused.
        max_connections: u32 = "100"
            from "PostgreSQL 15 postgresql.conf.sample (max_connections)", positive;
        /// Of these, kept back for administrators.
        reserved: u32 = "3"
            from "PostgreSQL 15 postgresql.conf.sample (superuser_reserved_connections)";
        /// A statement that takes longer is cancelled by the server.
        statement_timeout: Option<Duration> = "none"
            from "PostgreSQL 15 postgresql.conf.sample (statement_timeout 0)", positive;
        /// Copies of each primary that serve reads.
        replicas: u32 = "0" from "assumed: none";
        /// Time until a write arrives at a replica.
        lag: Dist = "\"20ms\"" from "assumed: asynchronous streaming within a region";
        /// CPU time that a replica spends on replaying a write, as a share of the write's, in a
        /// single process.
        replay: Ratio = "\"30%\"" from "assumed: replay applies changes without planning them";
        /// Independent primaries over which the data is spread.
        shards: u32 = "1" from "assumed: one", positive;
        /// What decides on the shard.
        shard_by: ShardBy = "\"user\"" from "assumed: a user's data lie together";
        /// Price of one primary.
        price: Option<Price>;
        /// Price of one replica.
        replica_price: Option<Price>;
    }
}
spec! {
    /// A database product.
    choice DatabaseDriver {
        /// PostgreSQL: one process per connection; refuses connections above its maximum.
        Postgres = "postgres";
    }
}
spec! {
    /// What decides on the shard.
    choice ShardBy {
        /// The user.
        User = "user";
        /// The key that the operation works on.
        Key = "key";
    }
}
spec! {
    /// How a crowd slows itself down: with m - 1 statements more than cores, all of them together
    /// do 1 / (1 + sigma (m - 1) + kappa m (m - 1)) of the work that the cores could do (the
    /// universal scalability law of Gunther, from the first statement on that must share a core).
    table Contention {
        /// Share of the work that cannot be done side by side.
        sigma: f64 = "0.0" from "assumed: no contention beyond shared cores";
        /// Cost of keeping each pair of statements coherent.
        kappa: f64 = "0.0" from "assumed: no contention beyond shared cores";
    }
}
spec! {
    /// A cache: a server of its own, or memory of each worker.
    component Cache {
        /// What it is.
        kind: CacheKind = "\"redis\"" from "assumed: the usual cache of web applications";
        /// Where it stands.
        region: Option<Ref<Region>> = "the only region" from "assumed: there is no choice";
        /// The service whose workers hold it, if it is memory.
        service: Option<Ref<Service>>;
        /// The most memory that it takes, per node or per worker.
        memory: Option<Bytes> = "no limit" from "redis.conf (maxmemory 0)", positive;
        /// The most entries that it holds, per node or per worker.
        max_entries: Option<u64> = "no limit" from "redis.conf", positive;
        /// Memory that one entry takes beside its value.
        overhead: Bytes = "\"90B\"" from "assumed: Redis takes 50 to 100 bytes for a key";
        /// What gives way when it is full.
        eviction: Option<Eviction> = "noeviction for redis, lru for memory"
            from "redis.conf (maxmemory-policy); lru-cache 11.5.3";
        /// How many entries an approximate policy compares.
        samples: u32 = "5" from "redis.conf (maxmemory-samples)", positive;
        /// Nodes over which the keys are spread; each runs one command at a time.
        nodes: u32 = "1" from "assumed: a single node", positive;
        /// Copies of each node, for price only: reads go to the node itself.
        replicas: u32 = "0" from "assumed: none";
        /// CPU time of one command on its node, or, for memory, on the worker.
        command: Option<Dist> = "20us for redis, 1us for memory"
            from "assumed: a small GET or SET with its system calls; a look into a map";
        /// Round trip between the application and it, within a region; none for memory.
        rtt: Dist = "\"0.5ms\"" from "assumed: same zone";
        /// Whether expired entries are also removed in the background, not only when they are asked
        /// for.
        expire_cycle: bool = "true" from "redis.conf (hz 10)";
        /// Price of one node.
        price: Option<Price>;
    }
}
spec! {
    /// What a cache is.
    choice CacheKind {
        /// Redis: a server that runs one command at a time.
        Redis = "redis";
        /// Memory of each worker: no round trip, nothing shared.
        Memory = "memory";
    }
}
spec! {
    /// What gives way when a cache is full.
    choice Eviction {
        /// Nothing: writes fail.
        NoEviction = "noeviction";
        /// Of a few entries chosen at random, the one unused for longest.
        AllkeysLru = "allkeys-lru";
        /// The same, among entries that expire.
        VolatileLru = "volatile-lru";
        /// Any entry, at random.
        AllkeysRandom = "allkeys-random";
        /// Of a few entries chosen at random, the one that expires first.
        VolatileTtl = "volatile-ttl";
        /// Exactly the one unused for longest.
        Lru = "lru";
        /// The oldest.
        Fifo = "fifo";
    }
}
spec! {
    /// A set of things that operations read and caches hold.
    component Keys {
        /// How many there are.
        count: u64, positive;
        /// How often each is asked for.
        popularity: Popularity = "\"uniform\"" from "assumed: all alike";
        /// Size of the value of each.
        size: Bytes = "\"10KB\"" from "assumed: a page's worth of JSON";
        /// What decides on the key.
        by: KeyBy = "\"popularity\"" from "assumed: users share the keys";
    }
}
spec! {
    /// How often each key is asked for.
    choice Popularity {
        /// All equally often.
        Uniform = "uniform";
        /// The k-th most popular in proportion to 1 / k^exponent.
        Zipf(Zipf) = "zipf";
    }
}
spec! {
    /// Zipf's law.
    table Zipf {
        /// How uneven: 0 is uniform, 1 the classical law.
        exponent: f64 = "0.9"
            from "Breslau et al. 1999 (web requests: 0.64 to 0.83); assumed a little steeper";
    }
}
spec! {
    /// What decides on the key of a request.
    choice KeyBy {
        /// Chance, by popularity.
        Popularity = "popularity";
        /// The user: each user has a key of their own.
        User = "user";
    }
}
spec! {
    /// Session middleware with its store: reads the session before a request, writes it before the
    /// answer ends.
    component Session {
        /// Where sessions are kept.
        store: SessionStore;
        /// How long a session lives after its last use.
        ttl: Duration = "\"1day\""
            from "connect-pg-simple 10.0.0 and connect-redis 9.0.0 (86,400 s)", positive;
        /// Whether an unmodified session is written back to prolong it.
        touch: bool = "true" from "connect-pg-simple 10.0.0 (disableTouch false)";
        /// Whether a request without a session makes one, bots and health checks included.
        save_uninitialized: bool = "true"
            from "express-session 1.19.0 (saveUninitialized undefined is true)";
        /// Size of one session.
        size: Bytes = "\"5KB\"" from "assumed: a user, a basket and a few fields";
        /// Share of requests without a session.
        guests: Ratio = "\"0%\"" from "assumed: everybody is logged in";
    }
}
spec! {
    /// Where sessions are kept.
    choice SessionStore {
        /// In a table, through a pool of connections.
        Postgres(Box<PostgresSessions>) = "postgres";
        /// In a cache.
        Redis(RedisSessions) = "redis";
        /// In a signed token that the client carries: no store, a little CPU time.
        Jwt(Jwt) = "jwt";
    }
}
spec! {
    /// Sessions in a table, as connect-pg-simple keeps them.
    table PostgresSessions {
        /// The pool it shares with the application.
        pool: Option<Ref<Pool>>;
        /// A pool of its own, one per worker, as it makes when it is given only an address.
        own: Option<OwnPool>;
        /// Time of reading a session, on an idle server.
        read: Dist = "\"5ms\"" from "assumed: an indexed read with its planning";
        /// Time of writing or touching a session, on an idle server.
        write: Dist = "\"10ms\"" from "assumed: an indexed write with its commit";
        /// How both grow with the number of rows.
        growth: Option<Growth> = "they do not grow"
            from "PostgreSQL (a B-tree lookup hardly grows)";
        /// How often expired rows are deleted.
        prune: Duration = "\"15min\""
            from "connect-pg-simple 10.0.0 (pruneSessionInterval 900 s)", positive;
        /// What deleting one expired row costs the database server.
        prune_row: Duration = "\"10us\"" from "assumed: an index entry and a dead tuple";
    }
}
spec! {
    /// A session store's own pool of connections.
    table OwnPool {
        /// The database it connects to.
        database: Ref<Database>;
        /// The most connections, per worker.
        size: u32 = "10" from "connect-pg-simple 10.0.0 (a pg-pool with max 10)", positive;
        /// How long a request waits for a connection before it fails.
        acquire_timeout: Option<Duration> = "waits for ever"
            from "connect-pg-simple 10.0.0 (a pg-pool without timeout)", positive;
        /// An idle connection is closed after this time.
        idle_timeout: Duration = "\"10s\"" from "pg-pool 3.14.0 (idleTimeoutMillis)";
    }
}
spec! {
    /// Times multiplied by 1 + (times - 1) (rows / these rows)^power.
    table Growth {
        /// The number of rows at which times are multiplied by `times`.
        rows: u64, positive;
        /// By what factor.
        times: f64, positive;
        /// How steeply.
        power: f64 = "1.0" from "assumed: in proportion", positive;
    }
}
spec! {
    /// Sessions in a cache, as connect-redis keeps them.
    table RedisSessions {
        /// The cache.
        cache: Ref<Cache>;
    }
}
spec! {
    /// Sessions in a signed token.
    table Jwt {
        /// CPU time of verifying a token.
        cpu: Dist = "\"50us\"" from "assumed: HMAC-SHA-256 of a short token";
    }
}
