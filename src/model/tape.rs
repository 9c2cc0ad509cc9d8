//! The tape: a flow compiled to a flat list of operations.
//!
//! A task is a position on the tape and a few registers; it runs along until an operation makes it
//! wait. Loops of a flow are unrolled, branches are jumps, so the tape needs no counters. Every
//! operation that draws random numbers carries a [`DrawId`] made from its *path in the file*, never
//! from its position, so that inserting a step moves nobody else's numbers.

use crate::failure::Failure;
use crate::model::ids::{
    BreakerId, BulkheadId, CacheId, CdnId, GuardId, JobId, KeysId, LawId, LimitId, PoolId,
    ServiceId, SessionId, SocketId, StreamId,
};
use crate::units::Duration;

/// Sorts and hashes of statements take memory in such units: the least that PostgreSQL lets `work_mem` be.
pub const SORT_UNIT: u64 = 64 << 10;

/// A position on the tape.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Pc(pub u32);

/// Which random numbers an operation draws: a hash of its path in the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct DrawId(pub u32);

/// A law and the numbers to draw from it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Draw {
    /// The distribution.
    pub law: LawId,
    /// The stream.
    pub id: DrawId,
}

/// Which database of a sharded, replicated one a connection is for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Route {
    /// The shard of this request's user.
    User,
    /// A shard at random: the data are spread by a key that is not the user.
    Random(DrawId),
    /// The shard of a key that is drawn by its popularity.
    Keyed(DrawId),
    /// This shard.
    Shard(u16),
    /// The shard that this branch of a scatter is for.
    Branch,
}

/// What a statement does to the database.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Statement {
    /// Reads rows.
    Read,
    /// Changes rows, which replicas replay.
    Write,
    /// A round trip and nothing else: BEGIN, the end of a transaction that only reads.
    Mark,
    /// COMMIT of a transaction that writes.
    Commit,
    /// A round trip that tries out a connection that was used before.
    Ping,
    /// A round trip before a connection goes back to its pool, which is the pool's affair.
    Reset,
}

/// What a plain command to a cache server is for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Command {
    /// GET of a session.
    SessionRead,
    /// SET of a session with its time to live.
    SessionSave,
    /// EXPIRE of a session.
    SessionTouch,
    /// Pushing a message onto a stream.
    Push,
    /// A script that adds a job to a queue, and how long it has the server's thread.
    Add(LawId),
    /// The same of a job that is put before others that wait, which the server looks through.
    Insert {
        /// How long it has the server's thread beside that.
        takes: LawId,
        /// Which kind.
        job: JobId,
    },
    /// A script about a job of a queue, and how long it has the server's thread.
    Script(LawId),
    /// PUBLISH to a channel.
    Publish(StreamId),
    /// PUBLISH of a broadcast, to the processes that hold the sockets.
    Broadcast(SocketId),
    /// DEL of a session.
    SessionDestroy,
    /// INCR of the counter of a limiter's key.
    Count(LimitId),
    /// A command that the author describes.
    Own {
        /// How long it has the server's thread.
        takes: LawId,
        /// It changes what the server holds.
        write: bool,
    },
}

impl Command {
    /// How long it has the server's thread, where it takes a time of its own.
    pub fn takes(self) -> Option<LawId> {
        match self {
            Command::Own { takes, .. }
            | Command::Insert { takes, .. }
            | Command::Script(takes)
            | Command::Add(takes) => Some(takes),
            _ => None,
        }
    }
}

/// One operation of the tape. The fields are what the operation's sentence speaks of; `Pc`s are where
/// it jumps.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Op {
    /// Ask the CDN's edge first; a hit jumps.
    Edge { cdn: CdnId, key: DrawId, hit: Pc },
    /// Travel to a service: network, balancer, accept queue, event loop. A request that fails there
    /// keeps its session first, as the epilogue says.
    Enter { service: ServiceId, epilogue: Option<Pc> },
    /// Compute on the event loop, run to completion.
    Cpu { work: Draw },
    /// Work in the process's thread pool (libuv).
    Threads { work: Draw },
    /// Wait for a child process, which computes for so long.
    Child { work: Draw },
    /// Go on in a thread of the worker's pool, as soon as one is free.
    ThreadEnter,
    /// Go on on the worker's loop again.
    ThreadLeave,
    /// Give the thread back.
    ThreadFree,
    /// Go on in a thread of its own, of which there are enough.
    ThreadBeside,
    /// A timer's callback begins: it is due again from now on.
    Again { timer: u16 },
    /// A message of a function's batch is done with, or has failed: the next one, or the call is over.
    Message { failed: bool },
    /// The handler of a socket's message broadcasts it.
    Emit,
    /// Ask the other processes of a socket, or wait for answers once that is sent; who is alone jumps.
    Inquire { socket: SocketId, sent: bool, done: Pc },
    /// Be answered 503, if the worker has so many requests.
    Admit { most: u32 },
    /// Have the loop for so long on the wall, however fast the core is.
    Spin { work: Draw },
    /// Look an object store's name up, for each connection to it that has still to be opened.
    Dial { usage: u32 },
    /// Ask an object store.
    Store { usage: u32 },
    /// Wait for somebody else.
    Wait { length: Draw, looks: bool },
    /// Pass a rate limiter, or be answered.
    Limit { limit: LimitId, draw: DrawId },
    /// Pass a guard, or be answered.
    Guard { guard: GuardId, draw: DrawId },
    /// Is a value that a guard has read still good? Then jump.
    GuardFresh { guard: GuardId, known: Pc },
    /// A guard could not read what it watches.
    GuardBroken { guard: GuardId },
    /// A limiter could not count.
    LimitBroken { limit: LimitId },
    /// Get a place in a bulkhead, of which this operation may take a share, or be answered.
    Permit { bulkhead: BulkheadId, share: f32 },
    /// Give the place taken last back.
    PermitBack,
    /// Stop if nobody waits any more.
    Deadline,
    /// Call what stands at the entry through a breaker, and wait for its end.
    Protect { breaker: BreakerId, entry: Pc, draw: DrawId },
    /// Fail.
    Raise { why: Failure },
    /// Has this request a session to read? Otherwise jump.
    SessionSeek { session: SessionId, draw: DrawId, none: Pc },
    /// The session was looked up: found, or expired.
    SessionFound { session: SessionId },
    /// What must be written back at the end: a save goes on, a touch and nothing jump.
    SessionEnd { session: SessionId, touch: Pc, nothing: Pc },
    /// The session was saved or touched.
    SessionKept { session: SessionId },
    /// The session was destroyed.
    SessionGone { session: SessionId },
    /// The session could not be saved or touched; the answer leaves all the same.
    SessionUnkept { session: SessionId },
    /// Get a connection; `awaited` by the application's own code, which goes on in a promise.
    Acquire { pool: PoolId, route: Route, write: bool, awaited: bool },
    /// Run a statement on the connection acquired last: within a transaction that goes on
    /// afterwards, or not.
    Query {
        work: Draw,
        kind: Statement,
        fail: f32,
        slowed_by: Option<SessionId>,
        locks: LocksId,
        within: bool,
        open: bool,
        pages: u16,
        sorts: u16,
    },
    /// Jump, if more than so many connections are held, or if no more are.
    IfHeld { depth: u8, held: bool, to: Pc },
    /// Give the connection acquired last back.
    Release,
    /// Look a key up; a hit jumps, a miss goes on.
    CacheGet {
        cache: CacheId,
        keys: KeysId,
        key: DrawId,
        hit: Pc,
        single_flight: bool,
        policy: PolicyId,
    },
    /// Store what a miss has loaded.
    CacheSet {
        cache: CacheId,
        keys: KeysId,
        key: DrawId,
        ttl: TtlId,
        single_flight: bool,
        policy: PolicyId,
    },
    /// End a load that stores nothing.
    CacheLand { cache: CacheId, keys: KeysId, key: DrawId },
    /// Lock a key in the cache before it is loaded, or look it up again.
    CacheLock { cache: CacheId, keys: KeysId, key: DrawId, policy: PolicyId, get: Pc },
    /// Release the lock.
    CacheUnlock { cache: CacheId, keys: KeysId, key: DrawId },
    /// End a load that was made for the cache alone.
    CacheRefreshed,
    /// Remove a key.
    CacheDelete { cache: CacheId, keys: KeysId, key: DrawId },
    /// The source of a key has changed.
    CacheChanged { cache: CacheId, keys: KeysId, key: DrawId },
    /// Begin, after a time, a task of its own that writes what a cache has to its source.
    WriteBehind { cache: CacheId, slot: u32, after: Draw },
    /// Send a cache server a command that concerns this request's user.
    Command { cache: CacheId, command: Command, draw: DrawId, bytes: u32 },
    /// Start branches side by side and wait for all of them.
    Fork { first: u32, count: u32 },
    /// Start one branch a shard and wait for the slowest.
    Scatter { pool: PoolId, entry: Pc },
    /// Call another service and wait for its answer; a failure may be followed by another call. It ends when
    /// nobody waits for the caller any more, if that `looks`.
    Call { entry: Pc, timeout: TtlId, draw: DrawId, retry: RetryId, agent: AgentId, looks: bool },
    /// Jump to one of several places.
    Choose { choice: u32, draw: DrawId },
    /// Jump.
    Jump { to: Pc },
    /// Put a job on a queue, and perhaps wait for its end, or have it asked for.
    Enqueue { job: JobId, draw: DrawId, wait: bool, poll: PollId, delay: Duration },
    /// Publish a message, and perhaps wait until it is acknowledged.
    Publish { stream: StreamId, draw: DrawId },
    /// Bring a body up to the service through its link.
    Transfer { bytes: Draw },
    /// Read a chunk of the body that comes, for so long; of the request itself: wait until all are read.
    Chunks { cpu: Duration, chunk: u32, bytes: LawId },
    /// A chunk is read.
    Chunked,
    /// Answer.
    Reply { bytes: Draw, status: u16 },
    /// Answer with the failure that has been put aside.
    Refuse,
    /// The flow is over.
    End,
}

/// Where a task goes on that fails within a stretch of the tape. Stretches nest as the flows do that
/// they were made from, so which one catches a failure follows from the position alone.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Catch {
    /// Where the stretch begins.
    pub first: Pc,
    /// What comes behind it.
    pub last: Pc,
    /// Where the task goes on.
    pub to: Pc,
    /// Connections that it held before, and goes on to hold.
    pub leases: u8,
    /// Only where this look-up has a stale value to go on with.
    pub stale: Option<Pc>,
}

/// A policy of look-ups, by number in the model's list; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PolicyId(pub u16);

/// What a statement locks, by number among [`crate::model::Model::wants`]; 0 is nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LocksId(pub u16);

/// An optional duration of the model, by number; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TtlId(pub u16);

/// How the end of a job is asked for, by number in the model's list plus one; 0: it is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PollId(pub u16);

/// Who opens the connections for a call, by number in the model's list plus one; 0: they are open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AgentId(pub u16);

/// What follows the failure of a call, by number in the model's list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryId(pub u16);

impl RetryId {
    /// A failure is final.
    pub const NEVER: RetryId = RetryId(u16::MAX);
}

/// The durations that [`TtlId`]s name.
#[derive(Clone, Debug)]
pub struct Spans(Vec<Duration>);

impl Default for Spans {
    fn default() -> Self {
        Spans(vec![Duration::FOREVER])
    }
}
impl Spans {
    /// The number of a duration, which is added if it is new.
    pub fn id(&mut self, length: Option<Duration>) -> TtlId {
        let length = length.unwrap_or(Duration::FOREVER);
        let found = self.0.iter().position(|known| *known == length);
        TtlId(found.unwrap_or_else(|| {
            self.0.push(length);
            self.0.len() - 1
        }) as u16)
    }
    /// The duration; [`None`] for none.
    #[inline(always)]
    pub fn get(&self, id: TtlId) -> Option<Duration> {
        (id.0 != 0).then(|| self.0[id.0 as usize])
    }
}

impl Statement {
    /// Whether it does anything but go there and back.
    #[inline(always)]
    pub fn works(self) -> bool {
        matches!(self, Statement::Read | Statement::Write)
    }
}

impl Op {
    /// The numbers that accompany the operation: its round trip, what serving it takes.
    #[inline(always)]
    pub fn numbers(&self) -> u32 {
        match self {
            Op::Query { work, .. } => work.id.0,
            Op::CacheGet { key, .. } => key.0 ^ 0x1,
            Op::CacheSet { key, .. } => key.0 ^ 0x2,
            Op::CacheDelete { key, .. } => key.0 ^ 0x3,
            Op::CacheLock { key, .. } => key.0 ^ 0x4,
            Op::CacheUnlock { key, .. } => key.0 ^ 0x5,
            Op::Command { draw, .. } => draw.0,
            other => unreachable!("{other:?} goes nowhere"),
        }
    }
}

const _: () = assert!(size_of::<Op>() <= 32, "an operation stays within half a cache line");
