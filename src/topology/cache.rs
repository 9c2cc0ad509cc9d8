//! Caches, and the keys in them.

use super::dist::Dist;
use super::host::{Host, Priority};
use super::names::Ref;
use super::price::Price;
use super::redis::{CacheClient, CacheFailover, CacheReads};
use super::region::Region;
use super::service::Service;
use super::spec::spec;
use crate::units::{Bandwidth, Bytes, Duration, Ratio};

spec! {
    /// A cache: a server of its own, or memory of each worker.
    component Cache {
        /// What it is.
        kind: CacheKind = "\"redis\"" from "assumed: the usual cache of web applications";
        /// Where it stands.
        region: Option<Ref<Region>> = "the only region" from "assumed: there is no choice";
        /// The machine that its nodes are processes of: commands share its cores with its other work.
        host: Option<Ref<Host>> = "nodes have cores of their own"
            from "assumed: a managed cache";
        /// Who goes first on that machine.
        priority: Priority = "\"normal\"" from "Linux (SCHED_OTHER: all are equal)";
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
        /// Copies of each node, which can take over from it and may be read from.
        replicas: u32 = "0" from "assumed: none";
        /// Who lets a replica take over from a node that is lost.
        failover: Option<CacheFailover> = "nobody: a node that is lost is gone until it is back"
            from "redis.conf (neither cluster-enabled nor a sentinel)";
        /// Which copies answer reads.
        reads: CacheReads = "\"primary\"" from "ioredis 5.11.1 (scaleReads master)";
        /// How far replicas are behind: what was written later is lost in a failover, and not yet
        /// read from them.
        lag: Duration = "\"1ms\"" from "assumed: asynchronous replication within a zone";
        /// CPU time of one command on its node, or, for memory, on the worker.
        command: Option<Dist> = "20us for redis, 1us for memory"
            from "assumed: a small GET or SET with its system calls; a look into a map";
        /// A command that has the server's thread for so long, or longer, is in its slow log, which
        /// `slow_commands` counts; waiting and the way do not count.
        slowlog: Duration = "\"10ms\"" from "redis.conf (slowlog-log-slower-than 10000)", positive;
        /// The most connections that a node accepts; who comes then is told so, and closed.
        max_clients: u32 = "10_000" from "redis.conf (maxclients 10000)", positive;
        /// How many files its process may have open: it keeps 32 of them, and accepts no more connections
        /// than there are others.
        open_files: Option<u32> = "as many as `max_clients` needs"
            from "Redis 7 server.c (adjustOpenFilesLimit raises the limit, where it may)", positive;
        /// Connections that each process of a service opens to each node: with its first command.
        connections: u32 = "1" from "ioredis 5.11.1 and node-redis 6.3.1 (one a client; `duplicate` makes more)", positive;
        /// Threads of a node that read from and write to its connections, the main one among them. They
        /// help where at least two commands wait for each.
        io_threads: u32 = "1" from "redis.conf (io-threads 1); Redis 7 networking.c (stopThreadedIOIfNeeded)", positive;
        /// The share of `command` that they divide among them; the rest runs on the main thread.
        io_share: Ratio = "\"50%\""
            from "redis.conf 7 (io-threads: easily speedup two times; writes alone); \
            assumed for others: Valkey 8 reads, parses and writes there, and does more";
        /// What each subscriber adds to a command that publishes to a channel: its reply is a system call of
        /// its own.
        per_subscriber: Duration = "\"4us\""
            from "measured: redis-server 7.0.15 over loopback, 200 B and 1 KB to 1, 10, 50 and 100 subscribers (CPU time \
            of the server: 3 to 5 us each; 5 to 6 us of 200)";
        /// What each kilobyte of a value beyond the first 16 adds to a command that sets or gets it; smaller
        /// ones are part of `command`.
        per_kb: Duration = "\"0.1us\""
            from "measured: redis-server 7.0.15 over loopback, GET and SET (CPU time of the server: 10 us up to 10 KB, \
            20 us of 100 KB, 110 us of 1 MB)";
        /// What the network of a node carries each way, one value after another; `rtt` has the way alone.
        bandwidth: Option<Bandwidth> = "values take no time on their way"
            from "assumed: values are small; Amazon ElastiCache (nodes have 10 Gbit/s for a while at least)", positive;
        /// What evicting one entry takes beside the command that needs the room; a command evicts for
        /// 500 us at most, and the next ones go on.
        evicting: Duration = "\"0s\"" from "assumed: contained in `command`; Redis evict.c (500 us at maxmemory-eviction-tenacity 10)";
        /// What the expiry cycle needs to remove one entry; it takes a quarter of the time at most,
        /// and no command runs meanwhile.
        expiring: Duration = "\"0s\"" from "assumed: contained in `command`; Redis expire.c (25 % of the time)";
        /// Round trip between the application and it, within a region; none for memory.
        rtt: Dist = "\"0.5ms\"" from "assumed: same zone";
        /// The library through which each process uses it, which decides what becomes of commands while
        /// it is gone.
        client: Option<CacheClient> = "ideal"
            from "assumed: no library is named; `check` warns where a fault strikes the cache";
        /// Looking up the server's name before its `client` connects again; on Node.js a thread of libuv's pool
        /// waits for it, as at `call.lookup`. The client's time to connect begins anew when it is known.
        lookup: Option<Dist> = "its address is known"
            from "assumed: an address, or a resolver on the machine; Node.js 20 net.connect (dns.lookup is \
            getaddrinfo on libuv's pool; lib/net.js: a socket's timeout starts anew then)";
        /// Whether expired entries are also removed in the background, not only when they are asked
        /// for.
        expire_cycle: bool = "true" from "redis.conf (hz 10)";
        /// How it is written to disk, which keeps it from its commands.
        persistence: Option<Persistence> = "it is not, or takes no time"
            from "assumed: a cache; redis.conf itself saves after 3600 s 1, 300 s 100, 60 s 10000 changes";
        /// Price of one node.
        price: Option<Price>;
    }
}
spec! {
    /// How Redis is written to disk. A snapshot forks the server, which stands still while the tables of
    /// its pages are copied; with an append-only file it stands still where an fsync takes longer than
    /// 2 s.
    table Persistence {
        /// When a snapshot is made; none where the list is empty.
        save: Vec<SavePoint> = "[{ after = \"3600s\", changes = 1 }, { after = \"300s\", changes = 100 }, { after = \"60s\", changes = 10_000 }]"
            from "redis.conf (save 3600 1 300 100 60 10000)";
        /// How long forking takes for a gigabyte of data.
        fork: Duration = "\"10ms\""
            from "redis.io, latency (fork: 9 to 13 ms per GB on machines and new EC2, 24 and more on others)";
        /// What the child writes; there is one at a time.
        disk: Bandwidth = "\"1Gbit/s\"" from "AWS (gp3: 125 MiB/s)", positive;
        /// How long an fsync of the append-only file takes; one is begun each second.
        fsync: Option<Dist> = "there is no append-only file" from "redis.conf (appendonly no)";
    }
}
spec! {
    /// When a snapshot is made.
    table SavePoint {
        /// More than so long after the last one, in whole seconds.
        after: Duration;
        /// And so many changes.
        changes: u64, positive;
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
        /// Of a few entries chosen at random, the one used least often, by a counter that decays.
        AllkeysLfu = "allkeys-lfu";
        /// The same, among entries that expire.
        VolatileLfu = "volatile-lfu";
        /// Any entry that expires, at random.
        VolatileRandom = "volatile-random";
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
        /// Share of keys for which there is nothing: a miss finds no value.
        absent: Ratio = "\"0%\"" from "assumed: whatever is asked for exists";
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
