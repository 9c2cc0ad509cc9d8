//! Every kind of event, in the order in which those of one instant happen.
//!
//! At one instant work ends before work begins, answers arrive before the timers that would have
//! given up on them, and users move before the observer looks. Within a kind the request's ordinal
//! decides, then the slot. Nothing depends on the order in which events were scheduled.

use crate::kernel::Event;

macro_rules! kinds {
    ($($(#[$doc:meta])* $Name:ident,)+) => {
        /// A kind of event. What its slot and ordinal mean stands beside it.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $Name,)+
        }

        /// Kinds by number.
        pub const KINDS: &[Kind] = &[$(Kind::$Name),+];
    };
}

kinds! {
    // Work ends.
    /// A callback's computation on its loop is over (task).
    CpuDone,
    /// A machine whose cores are shared has a departure due (host).
    HostDepart,
    /// A thread of a worker's pool is done (task).
    ThreadDone,
    /// A database node has a departure due (node).
    DatabaseDepart,
    /// A queue's process has a departure due (process).
    ProcessDepart,
    /// A job is over (job).
    JobDone,
    /// A link has a transfer finished (link).
    LinkDepart,
    /// An object is through the bandwidth that all share (store).
    StoreDepart,
    /// The core of a pooler is done with a statement or an answer (pooler).
    PoolerDone,
    /// A statement's storage waits are over (task).
    Stored,
    /// What a task waited for outside is done: its callback becomes ready (task).
    Resume,
    // Connections change.
    /// A connection is open (sub-pool; the ordinal is the connection).
    Connected,
    /// A connection has finished closing (sub-pool).
    Closed,
    /// A database node learns that the client of a connection is gone (node).
    Severed,
    // Requests travel.
    /// A request reaches a CDN's edge (task).
    Edge,
    /// A request reaches a service's balancer (task).
    Land,
    /// A request reaches its instance (task).
    Place,
    /// A statement, or its answer, reaches a pooler (task).
    AtPooler,
    /// A statement reaches its database node (task).
    Statement,
    /// A command reaches its cache node (task).
    Command,
    /// A called service's answer reaches its caller (task of the call).
    Returned,
    /// An answer reaches the user (task).
    Respond,
    // Timers.
    /// A pool's next waiter or idle connection may have expired (sub-pool).
    PoolTimer,
    /// A statement may have run too long (task).
    StatementTimeout,
    /// A statement may have waited too long for a lock, or a transaction been idle (task).
    LockTimer,
    /// A driver may have waited too long for the answer to a statement (task).
    QueryTimeout,
    /// A call may have taken too long (task).
    CallTimeout,
    /// A task may have waited too long for a place in a bulkhead (task).
    PlaceTimeout,
    /// A balancer may have waited too long for a target (task).
    Upstream,
    /// A job may have taken too long (job).
    JobTimeout,
    /// A job is tried again (job).
    JobRetry,
    /// A user's patience may have ended (journey), or that of the head of the line.
    Patience,
    // Users.
    /// A user tries again (journey).
    Retry,
    /// A user has finished thinking (user).
    Think,
    /// A user asks whether a job is done (what is watched).
    Poll,
    /// The next candidate of the arrival stream.
    Candidate,
    // The deployment around it.
    /// Others compute something on a shared machine, or its cores are taken away or given back (host;
    /// the ordinal says what).
    Others,
    /// A target of a balancer: checked, back, or out (instance; the ordinal is node and purpose).
    Target,
    /// A node of a balancer judges its targets (service; the ordinal is node and purpose).
    Balancer,
    /// Edges look for origins that take too long (CDN).
    Origins,
    /// The kubelet probes, or has waited too long (instance; the ordinal says what), or a worker has
    /// run out of memory, is there again, or has a timer due (worker), or looks for bodies that take too
    /// long (service).
    Probe,
    /// A cache runs its expiry cycle (cache).
    Expire,
    /// A cache node without its primary: marked as failed, or taken over (node; the ordinal says what).
    CacheNode,
    /// Something about a process's connection to a cache server (client; the ordinal says what).
    CacheClient,
    /// A session store prunes (session store).
    Prune,
    /// A queue's worker looks for stalled jobs (queue).
    Stalled,
    /// An autoscaler looks (service, or queue after all services).
    Autoscale,
    /// An autoscaler's bounds change (the same).
    Appointment,
    /// A new instance is ready (instance, or worker process after all instances, which is killed too).
    Boot,
    /// A fault begins (its process; ordinal 0) or ends (1).
    Fault,
    /// An instance dies (instance).
    Kill,
    /// An instance that has died is there again (instance).
    Restart,
    /// A deploy's controller looks (deploy).
    Deploy,
    /// Something about an instance that is leaving is due (instance; the ordinal is deploy and purpose).
    Leaving,
    /// Something about a socket is due (connection, or socket; the ordinal is generation and purpose).
    Socket,
    /// Something about a stream or its consumers is due (the ordinal is a number and the purpose).
    Stream,
    /// A replica's replaying process takes its next write (node).
    Replay,
    /// Something that a database does by itself begins, goes on or ends (job; the ordinal says what).
    Maintenance,
    /// Something about a database node is due (node; the ordinal says what).
    NodeTimer,
    // Our looking at it.
    /// A window of the timeline ends.
    Window,
}

const _: () = assert!(KINDS.len() <= 1 << Event::KIND_BITS, "a kind fits into its event");

impl Kind {
    /// The kind of that number.
    #[inline(always)]
    pub fn from_number(number: u8) -> Kind {
        KINDS[number as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_match() {
        for (number, kind) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, number);
        }
    }
}
