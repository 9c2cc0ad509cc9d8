//! What users do: operations, and the steps of their flows.

use super::agent::HttpClient;
use super::breaker::ThroughBreaker;
use super::bulkhead::InBulkhead;
use super::cache::{Cache, Keys};
use super::cdn::Cdn;
use super::dist::Dist;
use super::names::{Placed, Ref};
use super::pool::Pool;
use super::queue::Job;
use super::region::Region;
use super::relation::Relation;
use super::retry::{Retry, Throttle};
use super::service::{Runtime, Service};
use super::session::Growth;
use super::session::Session;
use super::socket::Socket;
use super::spec::spec;
use super::store::StoreUse;
use super::stream::Stream;
use crate::units::{Bytes, Duration, Ratio};

/// Steps in order, each with its place.
pub type Flow = Vec<Placed<Step>>;

spec! {
    /// What a user does: one request, from click to last byte.
    component Operation {
        /// How often it is done, in proportion to the other operations' shares. Only an operation that
        /// is alone need not say it.
        share: f64 = "1.0" from "there is no other operation";
        /// Where those live who do it: with `["us", "canada"]` nobody else does, and its share is one of what
        /// users of these regions do.
        users_in: Vec<Ref<Region>> = "[]" from "assumed: users of all regions do the same";
        /// The service that answers it.
        service: Option<Ref<Service>> = "the only service" from "assumed: there is no choice";
        /// What its users do in its place as long as DNS takes its service for down (`client.dns`): the same at
        /// another service, which its own `failover` may follow. Measurements count it as this operation.
        failover: Option<Ref<Operation>> = "none" from "assumed: one service has the name";
        /// The content delivery network in front of it.
        cdn: Option<Ref<Cdn>> = "none" from "assumed: requests go straight to the service";
        /// What a user of `[users]`, or of a session of `[arrivals]`, does after it: one of these, and with
        /// what is left of 100 % they leave; in a population somebody else then begins a visit in their
        /// place. Empty: as the shares say, or a session's `pages`.
        next: Vec<Next> = "[]" from "assumed: pages are chosen by their shares";
        /// Whether it makes a session.
        login: bool = "false" from "assumed: most operations only use a session";
        /// Whether it may be done twice (GET, PUT, DELETE): nginx passes a request that was sent on to
        /// the next server only then, and axios-retry repeats after an answer only then.
        idempotent: bool = "true" from "assumed: a GET; RFC 9110, 9.2.2: a POST is not";
        /// What a request of it takes of its service's memory, from being accepted to being answered: an upload
        /// that is buffered takes what it is long.
        memory: Option<Bytes> = "`memory.per_request` of its service" from "assumed: requests are alike";
        /// What happens, step by step:
        /// `[{ cpu = "2ms" }, { query = { pool = "pg", read = "10ms" } }, { reply = "10KB" }]`.
        flow: Flow, positive;
    }
}
spec! {
    /// What a user may do next.
    table Next {
        /// The operation.
        to: Ref<Operation>;
        /// How likely it is.
        share: Ratio;
    }
}
spec! {
    /// One thing that happens in a flow.
    choice Step {
        /// CPU time on the worker, which does nothing else meanwhile.
        Cpu(Dist) = "cpu";
        /// Time on a thread of the worker's pool, sharing the instance's cores.
        Threads(Dist) = "threads";
        /// A process that is started for it and computes on one of the instance's cores, beside its loops and
        /// threads: FFmpeg by `child_process`. `{ child = "2s" }`; several at once are `parallel`.
        Child(Child) = "child";
        /// A flow on a thread of the worker's pool, which waits with it: `def` endpoints and
        /// dependencies of FastAPI. It computes under the interpreter's lock, 5 ms at a time.
        Blocking(Flow) = "blocking";
        /// Computation that watches the clock: it has the loop for so long, however much of its core
        /// others take meanwhile.
        Spin(Dist) = "spin";
        /// Time that somebody else takes, costing nothing here.
        Wait(Dist) = "wait";
        /// Writes an object to a store.
        Put(StoreUse) = "put";
        /// Reads an object of a store.
        Get(StoreUse) = "get";
        /// One statement on a database, on a connection of a pool.
        Query(Query) = "query";
        /// Several statements on one connection, which is held meanwhile.
        Transaction(Transaction) = "transaction";
        /// A look into a cache, and what a miss does.
        Cache(CacheLookup) = "cache";
        /// Removes a key from a cache.
        Invalidate(Invalidate) = "invalidate";
        /// Changes the source of a key, and perhaps its value in a cache.
        Update(Update) = "update";
        /// A command that a cache server runs for so long: KEYS, SMEMBERS, LRANGE or DEL of much.
        Command(OwnCommand) = "command";
        /// An explicit use of the session, beyond what the middleware does by itself.
        Session(SessionUse) = "session";
        /// A request to another service, through its balancer.
        Call(Call) = "call";
        /// Adds a job to its queue: `{ enqueue = "email" }`.
        Enqueue(Enqueue) = "enqueue";
        /// Publishes a message: `{ publish = "orders" }`; goes on when it is acknowledged.
        Publish(Ref<Stream>) = "publish";
        /// Asks all processes for their sockets, through the socket's `adapter`: `{ fetch_sockets = "chat" }`, as socket.io's
        /// `fetchSockets` does. Each other process answers, and all decode each answer; it fails if one
        /// has not by the socket's `requests_timeout`.
        FetchSockets(Ref<Socket>) = "fetch_sockets";
        /// Several flows at once; goes on when all are done: `{ parallel = [[…], […]] }`.
        Parallel(Vec<Flow>) = "parallel";
        /// One read on every shard; goes on when the slowest is done.
        Scatter(Scatter) = "scatter";
        /// Steps that are called through a circuit breaker.
        Breaker(ThroughBreaker) = "breaker";
        /// Steps for which a place in a bulkhead is held.
        Bulkhead(InBulkhead) = "bulkhead";
        /// One of several flows, by chance.
        Choose(Vec<Branch>) = "choose";
        /// The same flow several times, one after another.
        Repeat(Repeat) = "repeat";
        /// Data that the user sends, through the link.
        Transfer(Transfer) = "transfer";
        /// The answer to the user: `{ reply = "10KB" }`. Steps after it still cost.
        Reply(Reply) = "reply";
    }
}
spec! {
    /// A child process.
    table Child (short "cpu") {
        /// What it computes.
        cpu: Dist;
        /// CPU time that starting it takes the loop.
        spawn: Dist = "\"2ms\""
            from "assumed: 1 to 6 ms measured (`spawn` of Node.js 20.20.2, two cores that others shared)";
    }
}
spec! {
    /// One statement: give its time on an idle server as `read` or as `write`.
    table Query {
        /// The pool that lends the connection; within a transaction on the same pool, the
        /// transaction's connection.
        pool: Ref<Pool>;
        /// Time of a statement that reads, on an idle server.
        read: Option<Dist>;
        /// Time of a statement that writes, on an idle server.
        write: Option<Dist>;
        /// The table or view that it works on, whose locks it takes: a write also those of a row.
        on: Option<Ref<Relation>> = "no lock" from "assumed: statements do not meet";
        /// Pages that it looks at one after another, where its database has a `buffer`.
        pages: Option<u32> = "2"
            from "assumed: the leaf of an index and a page of the table; the index's other pages are in memory";
        /// Sorts and hashes that it does at the same time, where its database says its `memory`: each takes up to
        /// `work_mem` of that while the statement runs.
        sorts: u32 = "0" from "assumed: an index has the order";
        /// What each of them would take without that bound.
        sort_memory: Option<Bytes> = "at least `work_mem`" from "assumed: the worst case", positive;
        /// How it slows down as its table grows, as one that reads all of it does; with several shards each
        /// has its part.
        growth: Option<Growth> = "it does not slow down" from "PostgreSQL (a B-tree lookup hardly grows)";
        /// Rows that a write adds to its table. One that neither adds nor deletes rows changes one, of which
        /// a dead version stays.
        inserts: u32 = "0" from "assumed: an UPDATE of a row";
        /// Rows that a write takes out of its table; their versions are dead.
        deletes: u32 = "0" from "assumed: an UPDATE of a row";
        /// Whether it is a read that locks its row (SELECT FOR UPDATE).
        for_update: bool = "false" from "assumed: a plain SELECT";
        /// Which of the rows that the operation works on: statements of a request that say the same
        /// number work on the same row of the table.
        row: u32 = "0" from "assumed: one row";
        /// Which shards run it.
        shard: Shard = "\"user\"" from "assumed: the user's data lie on one shard";
        /// Share of statements that fail.
        fail: Ratio = "\"0%\"" from "assumed: statements succeed";
    }
}
spec! {
    /// Which shards run a statement.
    choice Shard {
        /// The one that the database's `shard_by` chooses.
        User = "user";
        /// All of them, one after another.
        All = "all";
    }
}
spec! {
    /// Steps between BEGIN and COMMIT, on one connection; both are round trips.
    table Transaction {
        /// The pool that lends the connection.
        pool: Ref<Pool>;
        /// Whether it writes, and so must run on the primary.
        write: bool = "true" from "assumed: transactions are for writing";
        /// Whether the connection is only held over the steps, without BEGIN and COMMIT: what stands
        /// between `pool.connect()` and `client.release()`.
        bare: bool = "false" from "assumed: a transaction begins and commits";
        /// Whether the connection is got by the first statement only, on whatever thread that runs, and given back
        /// when the steps are over, after a `reply` among them: a dependency of FastAPI with `yield`, whose session of
        /// SQLAlchemy connects when it must. On uvicorn it begins in a thread of the pool, and ends in one of its own,
        /// for which it never waits (FastAPI 0.165.0 concurrency.py, `contextmanager_in_threadpool`; after the reply
        /// since 0.118, before it from 0.106 on). Within another such it is got at once.
        lazy: bool = "false" from "assumed: who begins a transaction gets its connection first";
        /// What happens while the connection is held.
        flow: Flow, positive;
    }
}
spec! {
    /// A look into a cache.
    table CacheLookup {
        /// The cache.
        cache "in": Ref<Cache>;
        /// The keys that one is looked for among.
        keys: Ref<Keys>;
        /// How long a value stays in the cache.
        ttl: Option<Duration> = "until it is evicted or invalidated" from "redis.conf", positive;
        /// Whether a hit renews it: it then stays for a `ttl` from its last use on.
        sliding: bool = "false"
            from "redis.io (GET, not GETEX); lru-cache 11.5.3 (updateAgeOnGet false)";
        /// Whether simultaneous misses of one key in one worker share one computation.
        single_flight: bool = "false" from "assumed: nothing prevents a stampede";
        /// What happens on a miss.
        miss: Flow = "[]" from "assumed: a miss does nothing";
        /// Whether the value is put into the cache after a miss.
        write: bool = "true" from "assumed: cache-aside";
        /// By how much each `ttl` is longer or shorter, at random: values that were stored together
        /// then do not expire together.
        jitter: Ratio = "\"0%\"" from "assumed: every value lives equally long";
        /// How long it is kept that there is nothing (`keys.NAME.absent`).
        negative_ttl: Option<Duration> = "not at all"
            from "assumed: only values are cached", positive;
        /// The beta of probabilistic early expiration: a read loads anew before the value expires,
        /// the likelier the nearer that is and the longer loads take.
        early: f64 = "0" from "assumed: a value is good until it expires (XFetch: 1)";
        /// How long after its `ttl` a value is still served, while a task of its own loads it anew.
        stale_while_revalidate: Duration = "\"0s\"" from "RFC 5861 (an extension that is asked for)";
        /// How long after its `ttl` a value is still served when loading it anew has failed.
        stale_if_error: Duration = "\"0s\"" from "RFC 5861 (an extension that is asked for)";
        /// A lock in the cache itself, so that one process loads a key and others look again.
        lock: Option<CacheLock> = "no lock" from "assumed: nothing prevents a stampede";
    }
}
spec! {
    /// A lock taken with SET NX PX before a load, and released after it.
    table CacheLock {
        /// How long it lasts if it is not released, as when the load fails.
        ttl: Duration = "\"10s\"" from "redlock 5.0.0-beta.2 (using: a duration is asked for; assumed)", positive;
        /// How long who does not get it waits before looking again.
        retry: Duration = "\"200ms\"" from "redlock 5.0.0-beta.2 (retryDelay)", positive;
        /// How long one looks again at most; then one loads all the same.
        wait: Duration = "\"2s\"" from "redlock 5.0.0-beta.2 (retryCount 10 x retryDelay 200 ms)", positive;
        /// By how much each pause is longer or shorter at most.
        jitter: Duration = "\"100ms\"" from "redlock 5.0.0-beta.2 (retryJitter)";
        /// Whether who finds at the end of a load that the lock may be another's by then stores nothing.
        fenced: bool = "false" from "redlock 5.0.0-beta.2 (acquire: its `expiration` is the application's to look at)";
        /// By how much clocks may differ: a lock is taken as over by so much of `ttl`, and 2 ms, too soon.
        drift: Ratio = "\"1%\"" from "redlock 5.0.0-beta.2 (driftFactor)";
    }
}
spec! {
    /// Removes a key from a cache.
    table Invalidate {
        /// The cache.
        cache "in": Ref<Cache>;
        /// The keys that one is chosen among.
        keys: Ref<Keys>;
    }
}
spec! {
    /// Changes the source of a key; copies in other caches are then out of date, and so is that in this one
    /// unless it is written.
    table Update {
        /// The cache.
        cache "in": Ref<Cache>;
        /// The keys that one is chosen among.
        keys: Ref<Keys>;
        /// How it is written to the source.
        write: Flow, positive;
        /// In which order, and whether, the cache is written.
        how: WritePolicy = "\"through\"" from "assumed: the source first, then the cache";
        /// How long a value that is written stays in the cache.
        ttl: Option<Duration> = "until it is evicted or invalidated" from "redis.conf", positive;
        /// How long after the cache the source is written, behind.
        after: Dist = "\"0s\"" from "assumed: as soon as the cache is";
    }
}
spec! {
    /// How a cache and its source are written.
    choice WritePolicy {
        /// The source, then the cache: if that fails, the old value is there until its time is over.
        Through = "through";
        /// The cache; the source later, in the background. What a process has not yet written when it dies is
        /// lost (`lost`), and so is what the source does not take.
        Behind = "behind";
        /// The source alone: what the cache has is old until its time is over.
        Around = "around";
    }
}
spec! {
    /// One command on a server, such as one whose work grows with what it is asked for: nothing else
    /// runs there meanwhile. In a cluster it is always the same node.
    table OwnCommand {
        /// The cache.
        cache "in": Ref<Cache>;
        /// How long it has the server's one thread.
        takes: Option<Dist> = "as any command of that cache" from "assumed: it is one of few elements";
        /// Whether it changes what the server holds.
        write: bool = "false" from "assumed: it reads";
    }
}
spec! {
    /// What is done with the session.
    choice SessionUse {
        /// It is read.
        Read(WhichSession) = "read";
        /// It is written.
        Save(WhichSession) = "save";
        /// It is removed.
        Destroy(WhichSession) = "destroy";
    }
}
spec! {
    /// Which session store.
    table WhichSession {
        /// The session store.
        of: Option<Ref<Session>> = "the only session store" from "assumed: there is no choice";
    }
}
spec! {
    /// A request to another service.
    table Call {
        /// The service.
        service: Ref<Service>;
        /// How long the caller waits before it fails; the work goes on.
        timeout: Option<Duration> = "waits for ever; fetch 300 s, httpx 5 s"
            from "axios 1.21.1 lib/defaults/index.js (timeout 0); requests 2.34.2 sessions.py (timeout None); \
            undici 6.29.1 (headersTimeout); httpx 0.28.1 _config.py (DEFAULT_TIMEOUT_CONFIG)", positive;
        /// What it is made with.
        client: HttpClient = "\"open\"" from "assumed: connections between services stay open";
        /// Whether a failed call is repeated; its retries multiply with those of whoever called the
        /// caller.
        retry: Retry = "\"never\"" from "axios 1 (no retries)";
        /// Whether each calling process turns calls away while few are accepted.
        throttle: Option<Throttle> = "every call is sent" from "axios 1 (no throttling)";
        /// Whether it may be made twice, as an operation's `idempotent`.
        idempotent: bool = "true" from "assumed: a GET; RFC 9110, 9.2.2: a POST is not";
        /// Time to look its name up before the call (getaddrinfo), where each makes a new connection: on
        /// Node a thread of the worker's pool waits for it, one that file reads and hashes want too.
        lookup: Option<Dist> = "its connection stays open, or its address is known"
            from "Node.js 20 (dns.lookup is getaddrinfo on libuv's pool; http.globalAgent keeps \
            connections alive); asyncio has threads of its own for it";
        /// What the other service does.
        flow: Flow, positive;
    }
}
spec! {
    /// Adds a job to its queue.
    table Enqueue (short "job") {
        /// The job.
        job: Ref<Job>;
        /// Whether the flow waits until the job is done.
        wait: bool = "false" from "Bull 4.16.5 (queue.add returns at once)";
        /// How much later the job is due; SQS knows whole seconds up to 15 min.
        delay: Duration = "\"0s\""
            from "Bull 4.16.5 and BullMQ 6.7.0 (delay), Amazon SQS (DelaySeconds)";
        /// How whoever has the answer learns of the job's end: by asking again and again.
        poll: Option<Poll> = "nobody asks" from "assumed: nobody waits for what happens in the background";
    }
}
spec! {
    /// What a user's device does once it has the answer: it asks whether the job is done, until it is or
    /// has failed. These are requests as any other, beside what the user does; one that fails is followed
    /// by the next.
    table Poll {
        /// What is asked.
        operation: Ref<Operation>;
        /// Time from the answer to the next question, and before the first.
        every: Duration = "\"2s\"" from "assumed: a progress bar that moves", positive;
        /// Questions at most.
        most: Option<u32> = "until the job has ended" from "assumed: the page stays open", positive;
    }
}
spec! {
    /// One read on every shard, all at once.
    table Scatter {
        /// The pool that lends the connections.
        pool: Ref<Pool>;
        /// Time of the statement on each shard, on an idle server.
        read: Dist;
    }
}
spec! {
    /// One of several ways a flow may go.
    table Branch {
        /// How often it goes this way; shares of the ways sum to 100 %.
        share: Ratio;
        /// What happens then.
        flow: Flow;
    }
}
spec! {
    /// The same flow several times.
    table Repeat {
        /// How many times.
        times: u32, positive;
        /// What happens each time.
        flow: Flow, positive;
    }
}
spec! {
    /// Data that the user sends.
    table Transfer (short "bytes") {
        /// How much.
        bytes: Dist<Bytes>;
        /// CPU time of the loop for each chunk as it comes, as a callback of its own: an upload that is passed on to
        /// a store, or parsed.
        chunk_cpu: Duration = "\"0us\""
            from "assumed: contained in the operation's own CPU time; a proxied chunk takes 20 to 50 us";
        /// The size of a chunk.
        chunk: Bytes = "\"64KiB\"" from "Node.js 20 (a read of a socket is at most 65,536 bytes)", positive;
    }
}
spec! {
    /// The answer to the user.
    table Reply (short "bytes") {
        /// Its size.
        bytes: Dist<Bytes>;
        /// Its status code.
        status: u16 = "200" from "Node.js 20 http (statusCode)";
    }
}

impl Step {
    /// Whether it takes a thread of its worker's pool.
    pub fn takes_threads(&self, on: &Runtime) -> bool {
        match self {
            Step::Threads(_) | Step::Blocking(_) => true,
            Step::Transaction(it) => it.lazy && matches!(on, Runtime::Uvicorn(_)),
            Step::Call(call) => call.lookup.is_some() && matches!(on, Runtime::Node(_)),
            _ => false,
        }
    }
    /// The flows within it, each with the service it runs on if that is another.
    pub fn flows(&self) -> Vec<(&Flow, Option<&Ref<Service>>)> {
        match self {
            Step::Transaction(inner) => vec![(&inner.flow, None)],
            Step::Cache(inner) => vec![(&inner.miss, None)],
            Step::Update(inner) => vec![(&inner.write, None)],
            Step::Call(inner) => vec![(&inner.flow, Some(&inner.service))],
            Step::Repeat(inner) => vec![(&inner.flow, None)],
            Step::Bulkhead(inner) => vec![(&inner.flow, None)],
            Step::Breaker(inner) => {
                let flows = [Some(&inner.flow), inner.fallback.as_ref()];
                flows.into_iter().flatten().map(|flow| (flow, None)).collect()
            }
            Step::Blocking(flow) => vec![(flow, None)],
            Step::Parallel(flows) => flows.iter().map(|flow| (flow, None)).collect(),
            Step::Choose(branches) => branches.iter().map(|branch| (&branch.flow, None)).collect(),
            _ => Vec::new(),
        }
    }
}

impl SessionUse {
    /// Which session store is used.
    pub fn which(&self) -> &WhichSession {
        let (SessionUse::Read(which) | SessionUse::Save(which) | SessionUse::Destroy(which)) = self;
        which
    }
}

/// All steps of a flow, outer ones first, each with the service it runs on as far as that is said.
pub fn steps<'a>(
    flow: &'a Flow,
    service: Option<&'a str>,
) -> Vec<(Option<&'a str>, &'a Placed<Step>)> {
    let mut all = Vec::new();
    for step in flow {
        all.push((service, step));
        for (inner, other) in step.value.flows() {
            all.extend(steps(inner, other.map_or(service, |other| Some(other.name.as_str()))));
        }
    }
    all
}
