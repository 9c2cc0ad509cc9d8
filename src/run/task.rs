//! The records of a request: the user's wish, and the attempts at it.

use crate::component::pool::Connection;
use crate::model::ids::OperationId;
use crate::model::tape::Pc;
use crate::stream::StreamKey;
use crate::units::{Duration, Time};

/// No such number.
pub const NONE: u32 = u32::MAX;

/// What a user wants: one operation, from the intended start to the answer that the user sees,
/// retries included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Journey {
    /// When the user wanted it.
    pub intended: Time,
    /// When the present attempt was sent.
    pub started: Time,
    /// When patience with the present attempt ends.
    pub deadline: Time,
    /// The last pause before a retry.
    pub pause: Duration,
    /// The `Retry-After` that the present attempt's refusal carries; zero for none.
    pub asked: Duration,
    /// The present attempt's task; [`NONE`] between attempts.
    pub task: u32,
    /// Who.
    pub user: u32,
    /// The root of its random numbers: which candidate of the arrival stream, or which request of
    /// which user.
    pub stream: StreamKey,
    /// Which request of the run, for the order of simultaneous events.
    pub ordinal: u32,
    /// What.
    pub operation: OperationId,
    /// Attempts so far.
    pub attempt: u16,
    /// How often the user has loaded the page anew.
    pub reloads: u8,
    /// The first request of a visit: it brings no session, unless the user returns with one.
    pub fresh: bool,
    /// Neighbours in the line of equal patience.
    pub previous: u32,
    /// See `previous`.
    pub next: u32,
    /// Where its path is measured; [`NONE`] if it is not.
    pub row: u32,
}

/// One connection held: which sub-pool, and which of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The sub-pool; [`NONE`] for none.
    pub pool: u32,
    /// The connection.
    pub connection: Connection,
}

impl Default for Lease {
    fn default() -> Self {
        Lease { pool: NONE, connection: Connection { slot: 0, generation: 0 } }
    }
}

/// Whose task it is, and so who hears of its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// An attempt of a journey (the owner).
    #[default]
    Attempt,
    /// A branch of a task (the owner) on the same worker.
    Branch,
    /// A call by a task (the owner) to another service.
    Call,
    /// What a task (the owner) calls through a breaker, on the same worker.
    Protected,
    /// What a flow still does after its reply; nobody waits.
    Tail,
    /// A health check of an instance (the owner), by a node of its balancer (the owner's epoch).
    Probe,
    /// A call of a function with a batch of messages (the owner).
    Batch,
    /// The handler of a job (the owner) on a loop of a service.
    Job,
    /// Something of a socket: the owner is its client or its message, the owner's epoch what it is.
    Socket,
}

/// Where a task is, as far as timers and audits must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// The slot is free.
    #[default]
    Free,
    /// Between stations: travelling, or waiting for somebody outside.
    Away,
    /// Waits in its balancer for a connection to its target.
    Pending,
    /// Waits in a service's accept backlog.
    Backlog,
    /// Its callback waits for its loop.
    Ready,
    /// Its callback is running.
    Running,
    /// Computes on a core of its instance.
    Computing,
    /// Waits for a thread.
    ThreadQueue,
    /// Works in a thread.
    InThread,
    /// Waits until one more child process may run.
    ChildQueue,
    /// Waits for its child process, which computes.
    InChild,
    /// Waits for a place in a bulkhead.
    PlaceQueue,
    /// Waits for a connection.
    PoolQueue,
    /// Waits for the connection that is being opened for it.
    Connecting,
    /// Its statement waits in its client for the end of another, which was given up.
    StatementQueue,
    /// Its statement waits at a pooler for a connection to the server.
    PoolerQueue,
    /// On a core of a database node.
    InDatabase,
    /// Its statement waits for a lock.
    LockQueue,
    /// Its statement waits for storage, or for standbys.
    Storing,
    /// Its statement is done with the cores: waits for storage, or for the answer to arrive.
    Answering,
    /// Its command waits in its client for a connection.
    WithClient,
    /// Its command waits for its cache node.
    CacheQueue,
    /// Its command is being run by a cache node.
    InCache,
    /// A cache node has run its command: the answer travels back.
    Returning,
    /// Waits for somebody else's load of the same key.
    Joined,
    /// Waits for branches, or a call.
    Forked,
    /// Its call waits in its HTTP client for a connection.
    ClientQueue,
    /// Waits for a job, or for what other processes answer about their sockets.
    JobQueue,
    /// Its body is on a link.
    OnLink,
}

impl State {
    /// Whether it is served at once, beside others.
    pub fn is_shared(self) -> bool {
        use State::{Computing, InChild, InDatabase, InThread, OnLink};
        matches!(self, Computing | InThread | InChild | InDatabase | OnLink)
    }
}

/// What a task remembers of its request, as bits.
pub mod flag {
    /// The request came with a session that was found.
    pub const SESSION: u16 = 1;
    /// The request must save a new session.
    pub const NEW_SESSION: u16 = 2;
    /// It leads a single flight.
    pub const LEADS: u16 = 4;
    /// It has been counted in at its instance.
    pub const ADMITTED: u16 = 8;
    /// It was counted as outstanding at its balancer.
    pub const OUTSTANDING: u16 = 16;
    /// The body on the link goes to the service, not to the user.
    pub const UPLOAD: u16 = 32;
    /// Its CDN's edge did not have it: the answer fills the edge.
    pub const EDGE_MISS: u16 = 64;
    /// A packet of the body on the link is lost.
    pub const LOST: u16 = 128;
    /// The session middleware has seen it: its end keeps the session, also when it fails.
    pub const SEEN: u16 = 512;
    /// It keeps no cookie: its session, if one is saved, is nobody's.
    pub const GUEST: u16 = 256;
    /// A cache did not have what it looked up.
    pub const MISSED: u16 = 1024;
    /// It has waited for somebody else's load of the key that it missed.
    pub const JOINED: u16 = 2048;
    /// Its process has died; it is only what was under way for it, and nobody's.
    pub const GHOST: u16 = 4096;
    /// It has a thread of its worker's pool.
    pub const THREAD: u16 = 8192;
    /// It runs in that thread, not on the loop.
    pub const IN_THREAD: u16 = 16384;
    /// It has computed for as long as one may before the lock is offered to others, and is not done.
    pub const SLICED: u16 = 32768;
}

/// In the number of a call's attempt: the caller pauses before it.
pub const PAUSED: u16 = 1 << 15;
/// In the number of a call's attempt: what it followed, if it is a retry (two bits).
pub const FOLLOWED_AT: u32 = 13;
/// The number of a call's attempt alone.
pub const ATTEMPT: u16 = (1 << FOLLOWED_AT) - 1;
/// In the number of a request's SYNs: its balancer opens a connection for it.
pub const DIALS: u16 = 1 << 15;
/// In the number of a request's SYNs: it is on its way from its edge to a shield.
pub const ASKS_SHIELD: u16 = 1 << 14;
/// In the number of a request's SYNs: the shield has what it asked for.
pub const SHIELD_HAS: u16 = 1 << 13;
/// In the number of a journey's reloads: it asks whether a job is done, and is nobody's turn.
pub const POLLS: u8 = 1 << 6;
/// In the number of a journey's reloads: its attempt had to set up a connection.
pub const DIALLED: u8 = 1 << 7;
/// In the number of a journey's reloads: what its attempt followed, if it is a retry (two bits).
pub const RETRIED_AT: u32 = 4;
/// There: it followed nothing, its user has loaded the page anew.
pub const RELOADED: u8 = 3;
/// The number of a journey's reloads alone.
pub const RELOADS: u8 = (1 << RETRIED_AT) - 1;

/// In the number of a tail's branch: it writes to the source what a cache has, whose number is that of its
/// owner's epoch.
pub const WRITER: u16 = u16::MAX - 2;
/// In the number of a tail's branch: it only loads a value for a cache.
pub const REFRESHER: u16 = u16::MAX;

/// In the number of a tail's branch: it only looks a name up for a pool.
pub const DIALLER: u16 = u16::MAX - 1;

/// In the number of a tail's branch: it only looks a name up for a client of a cache.
pub const RECONNECTS: u16 = u16::MAX - 3;

/// No failure.
pub const OK: u8 = u8::MAX;

/// One execution of a flow: an attempt, a branch, a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Task {
    /// The root of its random numbers.
    pub stream: StreamKey,
    /// When it began what it is doing: waiting, computing, travelling.
    pub since: Time,
    /// When what it is doing would end undisturbed, or is cut short.
    pub deadline: Time,
    /// What its present statement takes on an idle server. While it calls: its last pause, or, where all
    /// attempts share a timeout, when that ends.
    pub work: Duration,
    /// Connections held, innermost last.
    pub leases: [Lease; 2],
    /// Where on the tape.
    pub pc: Pc,
    /// Journey or task that waits for it, by role; [`NONE`] when nobody does any more.
    pub owner: u32,
    /// Of its journey.
    pub ordinal: u32,
    /// The worker that runs it; [`NONE`] outside of services.
    pub worker: u32,
    /// Whose request it is.
    pub user: u32,
    /// Where its path is measured; [`NONE`] if it is not.
    pub row: u32,
    /// Where a failing request keeps its session before it is answered; 0, where every tape begins,
    /// for nowhere.
    pub epilogue: Pc,
    /// The place in a bulkhead that it took last, plus one; zero for none.
    pub permit: u32,
    /// Which branch of its owner; of an attempt, which operation; of a call through a breaker, which.
    pub branch: u16,
    /// Branches that it waits for; of a call, which attempt it is.
    pub pending: u16,
    /// Told from the slot's earlier tenants.
    pub epoch: u16,
    /// The owner's epoch.
    pub owner_epoch: u16,
    /// Whose it is.
    pub role: Role,
    /// Where it is.
    pub state: State,
    /// How it will be answered: [`OK`], or a failure's number.
    pub status: u8,
    /// The failure that it will be answered with once its session is kept.
    pub parked: u8,
    /// See [`flag`].
    pub flags: u16,
    /// The status code of its answer, where a limit, a guard or the flow has chosen it; 0 elsewhere.
    /// While it calls: the `Retry-After` that it has been told (s).
    pub answered: u16,
}

impl Task {
    /// What a process does by itself, or does for somebody who is no user, from there on.
    pub fn aside(stream: StreamKey, pc: Pc, worker: u32, now: Time) -> Task {
        Task {
            stream,
            since: now,
            deadline: Time::NEVER,
            pc,
            owner: NONE,
            worker,
            row: NONE,
            role: Role::Tail,
            state: State::Away,
            status: OK,
            parked: OK,
            ..Task::default()
        }
    }
    /// Its request is sent once more, from there on; a `fresh` one brings no session.
    pub fn begin_anew(&mut self, pc: Pc, fresh: bool) {
        (self.status, self.parked, self.answered, self.pending) = (OK, OK, 0, 0);
        (self.epilogue, self.deadline, self.state) = (Pc(0), Time::NEVER, State::Away);
        self.flags &= flag::EDGE_MISS | flag::GUEST;
        self.flags |= if fresh { flag::NEW_SESSION } else { 0 };
        self.pc = pc;
    }
    /// Which operation it attempts.
    pub fn operation(&self) -> OperationId {
        debug_assert!(self.role == Role::Attempt, "others attempt none");
        OperationId(u32::from(self.branch))
    }
    /// What goes on of it at a server when nobody waits any more: without a process, an owner or
    /// connections.
    pub fn ghost(self) -> Task {
        Task {
            leases: Default::default(),
            role: Role::Tail,
            owner: NONE,
            row: NONE,
            permit: 0,
            worker: NONE,
            epilogue: Pc(0),
            flags: flag::GHOST,
            ..self
        }
    }
    /// Whether all of these flags are set.
    #[inline(always)]
    pub fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }
    /// The lease acquired last.
    ///
    /// # Panics
    /// If it holds none: the compiler pairs every statement with an acquisition.
    #[inline(always)]
    pub fn lease(&self) -> Lease {
        let lease = if self.leases[1].pool != NONE { self.leases[1] } else { self.leases[0] };
        assert!(lease.pool != NONE, "a statement runs on a connection");
        lease
    }
    /// Adds a lease.
    ///
    /// # Panics
    /// If it holds two: the checker refuses deeper nesting.
    pub fn push_lease(&mut self, lease: Lease) {
        let place = usize::from(self.leases[0].pool != NONE);
        assert!(self.leases[place].pool == NONE, "at most two connections at once");
        self.leases[place] = lease;
    }
    /// How many leases it holds.
    pub fn leases_held(&self) -> u8 {
        self.leases.iter().map(|lease| u8::from(lease.pool != NONE)).sum()
    }
    /// Takes the lease acquired last.
    pub fn pop_lease(&mut self) -> Option<Lease> {
        let place = usize::from(self.leases[1].pool != NONE);
        let lease = std::mem::take(&mut self.leases[place]);
        (lease.pool != NONE).then_some(lease)
    }
}

const _: () = assert!(size_of::<Task>() <= 104, "a task stays small: millions are in flight");
const _: () = assert!(size_of::<Journey>() <= 80, "a journey stays small: millions are in flight");
