//! Connection pools of one process, each by the rules of its product.
//!
//! A pool lends connections to requests, has some opened and some closed, and lets requests wait. Who
//! wakes whom, who may overtake, when a connection is closed and what a failed opening does differs
//! from product to product, and each has a file of its own. What they say to their owner is the same
//! few words; a pool never connects or closes anything itself: its answers say what its owner must
//! start. Requests are known by the number of their task, which may be used again as soon as the pool
//! has let go of it.

mod asyncpg;
mod node_postgres;
mod places;
mod psycopg;
mod sqlalchemy;
#[cfg(test)]
mod testing;
mod warm;

use crate::units::{Duration, Time};
use places::Places;
pub use warm::{Keeping, Lending};

/// One connection of a pool, from the start of its opening on. Its slot is used again later, under
/// another generation, so that news about an opening that was given up is recognised as stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Its place in the pool.
    pub slot: u32,
    /// How many connections had this place before.
    pub generation: u32,
}

/// What becomes of a request for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquire {
    /// It has this one at once.
    Granted(Connection),
    /// Start to open this one; the request is bound to it.
    Connect(Connection),
    /// Close the old connection, then open a new one in its stead; the request is bound to it.
    Reconnect {
        /// It is out of the pool.
        old: Connection,
        /// What to open.
        new: Connection,
    },
    /// It is in the queue.
    Wait,
    /// Its time is up, and it has looked for the last time.
    TimedOut,
}

/// What the oldest request of the queue gets when the queue is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Served {
    /// It has an idle connection.
    Granted {
        /// Whose wait has ended.
        task: u32,
        /// What it holds now.
        connection: Connection,
    },
    /// Start to open this one; the request is bound to it and keeps the deadline of its queuing.
    Connect {
        /// Who waits for it.
        task: u32,
        /// What to open.
        connection: Connection,
    },
    /// Its callback becomes ready, and will ask again.
    Woken {
        /// Who asks again.
        task: u32,
    },
}

/// What becomes of a connection that its holder gave back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Released {
    /// The oldest waiting request holds it now, and goes on within this callback.
    Handed {
        /// Whose wait has ended.
        task: u32,
    },
    /// The oldest waiting request holds it now; its callback becomes ready.
    Passed {
        /// Whose wait has ended.
        task: u32,
    },
    /// It lies idle, and the oldest waiting request's callback becomes ready: it will ask again.
    Woken {
        /// Who asks again.
        task: u32,
    },
    /// It lies idle.
    Idle,
    /// It is out of the pool: start to close it, and report [`Pool::closed`] afterwards.
    Close,
}

/// What becomes of a connection that has opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connected {
    /// The request that it was opened for holds it.
    Granted {
        /// Whose wait has ended.
        task: u32,
    },
    /// That request gave up before, or there was none; the connection goes the way of one that was
    /// given back.
    Unclaimed(Released),
    /// The opening itself was given up before: the pool knows nothing of it any more.
    Stale,
}

/// What follows from an opening that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectFailed {
    /// Who gets the error, unless it gave up before.
    pub owner: Option<u32>,
    /// The queue was served once, *before* the owner learns of the error.
    pub served: Option<Served>,
}

/// A deadline that has passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expired {
    /// A request that queued gets its error. If a connection was already opening for it, that goes on
    /// without an owner.
    Acquire {
        /// Who gives up.
        task: u32,
    },
    /// A request has waited for long enough: its callback becomes ready and will ask for the last time.
    Woken {
        /// Who asks again.
        task: u32,
    },
    /// An opening took too long and was cut off.
    Connect {
        /// What was opening; what is still heard of it is stale.
        connection: Connection,
        /// Who gets the error and who is served: as for any failed opening.
        failed: ConnectFailed,
    },
}

/// The options of a pool.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PoolConfig {
    /// Whose rules it follows.
    pub driver: Driver,
    /// The most connections that it keeps: opening ones included, those beyond it (`overflow`) not.
    pub size: u32,
    /// Connections beyond `size` that are closed when they come back (SQLAlchemy's `max_overflow`).
    pub overflow: u32,
    /// How many connections the idle timeout leaves alone; asyncpg and psycopg also open so many.
    pub min: u32,
    /// How long a request waits; for ever without one.
    pub acquire_timeout: Option<Duration>,
    /// How long a connection stays open unused; for ever without one.
    pub idle_timeout: Option<Duration>,
    /// After how many uses a connection is closed.
    pub max_uses: Option<u32>,
    /// At what age a connection is closed, once it is not in use.
    pub max_lifetime: Option<Duration>,
    /// Idle connections are lent last in, first out (where the product lets one choose).
    pub lifo: bool,
    /// Requests that may wait at a time; further ones fail at once.
    pub max_waiting: Option<u32>,
}

/// Whether a pool wants to hear of the end of a connection that has left it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It does: [`Pool::closed`].
    Yes,
    /// It does not.
    No,
}

/// What every driver does. `now` never goes back.
pub trait Rules {
    /// A pool as it is when its process starts.
    fn new(config: PoolConfig) -> Self;
    /// Puts `count` idle connections into an empty pool: the initial state of a run that starts warm.
    fn prefill(&mut self, now: Time, count: u32);
    /// A request wants a connection; or a woken one asks again.
    fn acquire(&mut self, now: Time, task: u32) -> Acquire;
    /// Whether this task has been woken and has not asked again yet.
    fn is_woken(&self, _task: u32) -> bool {
        false
    }
    /// What it wants to be opened for nobody in particular, at this time; to be asked until `None`
    /// whenever something has happened.
    fn open_more(&mut self, _now: Time) -> Option<Connection> {
        None
    }
    /// A connection has opened.
    fn connected(&mut self, now: Time, connection: Connection) -> Connected;
    /// A connection could not be opened (refused, or too many at the server). `None`: the opening was
    /// given up before.
    fn connect_failed(&mut self, now: Time, connection: Connection) -> Option<ConnectFailed>;
    /// The holder gives a connection back in good order.
    fn release(&mut self, now: Time, connection: Connection) -> Released;
    /// The holder gives a connection back broken: it is out of the pool; start to close it.
    fn discard(&mut self, now: Time, connection: Connection) -> Option<Served>;
    /// Its holder has found that the server has cut this connection: those opened before are suspect.
    fn invalidate(&mut self, _now: Time, _connection: Connection) {}
    /// The same, found when it was tried out: start to open this one in its stead, for the same task.
    fn replace(&mut self, _now: Time, _connection: Connection, _task: u32) -> Connection {
        unreachable!("no other pool tries its connections out")
    }
    /// The closing of a connection has ended.
    fn closed(&mut self, now: Time) -> Option<Served>;
    /// The next deadline of a request or an opening that has passed; to be asked until `None`.
    fn expire(&mut self, now: Time) -> Option<Expired>;
    /// When [`Rules::expire`] has something to say next.
    fn next_deadline(&self) -> Option<Time>;
    /// A queued request is not wanted any more: it leaves the queue. Says whether it stood there.
    fn cancel(&mut self, task: u32) -> bool;
    /// A connection that has been idle or alive for too long, now out of the pool: start to close it,
    /// and report [`Rules::closed`] afterwards. To be asked until `None`.
    fn expire_idle(&mut self, now: Time) -> Option<Connection>;
    /// When [`Rules::expire_idle`] has something to say next.
    fn next_idle_expiry(&self) -> Option<Time>;
    /// The server has cut an idle connection: it is out of the pool. To be asked until `None`.
    fn sever_idle(&mut self) -> Option<Connection>;
    /// The process has died: all connections are gone, and so is the queue. Says how many connections
    /// there were. News of openings that were under way is stale.
    fn lose_all(&mut self) -> u32;
    /// The far end has cut this connection: if it is idle, it is out of the pool. Says so.
    fn sever(&mut self, connection: Connection) -> bool;
    /// Requests in the queue; those that wait for their own connection are not.
    fn waiting(&self) -> u32;
    /// Its connections.
    fn places(&self) -> &Places;
    /// The options it was made with.
    fn config(&self) -> &PoolConfig;
}

/// The family: one word for each driver, one enum over their pools.
macro_rules! drivers {
    ($($(#[$doc:meta])* $Driver:ident($module:ident),)+) => {
        /// Whose rules a pool follows.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Driver {
            $($(#[$doc])* $Driver,)+
        }

        /// One pool: of one process, to one database.
        pub enum Pool {
            $($(#[$doc])* $Driver($module::$Driver),)+
        }

        impl Pool {
            /// A pool as it is when its process starts.
            pub fn new(config: PoolConfig) -> Pool {
                match config.driver {
                    $(Driver::$Driver => Pool::$Driver($module::$Driver::new(config)),)+
                }
            }
        }

        macro_rules! of {
            ($pool:expr, $it:ident => $what:expr) => {
                match $pool { $(Pool::$Driver($it) => $what,)+ }
            };
        }

        #[cfg(test)]
        const ALL: &[Driver] = &[$(Driver::$Driver),+];
    };
}

drivers! {
    /// node-postgres (pg-pool 3.14.0).
    NodePostgres(node_postgres),
    /// SQLAlchemy's QueuePool (2.1.9).
    Sqlalchemy(sqlalchemy),
    /// asyncpg's own pool (0.32.0).
    Asyncpg(asyncpg),
    /// psycopg_pool (3.3.3).
    Psycopg(psycopg),
}

#[allow(missing_docs, reason = "they are the rules' own words")]
impl Pool {
    pub fn prefill(&mut self, now: Time, count: u32) {
        of!(self, it => it.prefill(now, count));
    }
    #[inline]
    pub fn acquire(&mut self, now: Time, task: u32) -> Acquire {
        of!(self, it => it.acquire(now, task))
    }
    pub fn is_woken(&self, task: u32) -> bool {
        of!(self, it => it.is_woken(task))
    }
    pub fn open_more(&mut self, now: Time) -> Option<Connection> {
        of!(self, it => it.open_more(now))
    }
    pub fn connected(&mut self, now: Time, connection: Connection) -> Connected {
        of!(self, it => it.connected(now, connection))
    }
    pub fn connect_failed(&mut self, now: Time, connection: Connection) -> Option<ConnectFailed> {
        of!(self, it => it.connect_failed(now, connection))
    }
    #[inline]
    pub fn release(&mut self, now: Time, connection: Connection) -> Released {
        of!(self, it => it.release(now, connection))
    }
    pub fn discard(&mut self, now: Time, connection: Connection) -> Option<Served> {
        of!(self, it => it.discard(now, connection))
    }
    pub fn invalidate(&mut self, now: Time, connection: Connection) {
        of!(self, it => it.invalidate(now, connection));
    }
    pub fn replace(&mut self, now: Time, connection: Connection, task: u32) -> Connection {
        of!(self, it => it.replace(now, connection, task))
    }
    pub fn closed(&mut self, now: Time) -> Option<Served> {
        of!(self, it => it.closed(now))
    }
    pub fn expire(&mut self, now: Time) -> Option<Expired> {
        of!(self, it => it.expire(now))
    }
    pub fn next_deadline(&self) -> Option<Time> {
        of!(self, it => it.next_deadline())
    }
    pub fn cancel(&mut self, task: u32) -> bool {
        of!(self, it => it.cancel(task))
    }
    pub fn expire_idle(&mut self, now: Time) -> Option<Connection> {
        of!(self, it => it.expire_idle(now))
    }
    pub fn next_idle_expiry(&self) -> Option<Time> {
        of!(self, it => it.next_idle_expiry())
    }
    pub fn sever_idle(&mut self) -> Option<Connection> {
        of!(self, it => it.sever_idle())
    }
    pub fn sever(&mut self, connection: Connection) -> bool {
        of!(self, it => it.sever(connection))
    }
    pub fn lose_all(&mut self) -> u32 {
        of!(self, it => it.lose_all())
    }
    pub fn waiting(&self) -> u32 {
        of!(self, it => it.waiting())
    }
    pub fn config(&self) -> &PoolConfig {
        of!(self, it => it.config())
    }
    fn places(&self) -> &Places {
        of!(self, it => it.places())
    }

    /// Connections that are opening, idle or in use.
    pub fn total(&self) -> u32 {
        self.places().total()
    }
    /// Connections that nobody uses.
    pub fn idle(&self) -> u32 {
        self.places().idle()
    }
    /// Connections that somebody holds.
    pub fn busy(&self) -> u32 {
        self.places().busy()
    }
    /// Connections that are opening.
    pub fn connecting(&self) -> u32 {
        self.places().connecting()
    }
    /// Connections that nobody uses.
    pub fn idle_ones(&self) -> impl Iterator<Item = Connection> + '_ {
        self.places().idle_ones()
    }
    /// Whether this connection is open still, idle or in somebody's hands.
    pub fn is_open(&self, connection: Connection) -> bool {
        self.places().is_open(connection)
    }
    /// Whether nobody has used this connection since it was opened.
    pub fn is_fresh(&self, connection: Connection) -> bool {
        self.places().uses(connection) == 0
    }
}

impl Driver {
    /// Whether waiters are woken, and ask again when their callback runs.
    #[inline(always)]
    pub fn wakes(self) -> bool {
        matches!(self, Driver::Sqlalchemy | Driver::Asyncpg)
    }
    /// Whether the pool has connections opened for nobody in particular.
    #[inline(always)]
    pub fn opens_by_itself(self) -> bool {
        matches!(self, Driver::Asyncpg | Driver::Psycopg)
    }
    /// Whether an idle connection that its server cuts leaves the pool at once. SQLAlchemy and
    /// psycopg_pool read nothing from idle ones: their next user finds out.
    #[inline(always)]
    pub fn notices_cuts(self) -> bool {
        matches!(self, Driver::NodePostgres | Driver::Asyncpg)
    }
    /// Whether the pool wants to hear of the end of a connection that was given back broken.
    pub fn hears_of_discarded(self) -> Heard {
        match self {
            Driver::NodePostgres => Heard::Yes,
            Driver::Sqlalchemy | Driver::Asyncpg | Driver::Psycopg => Heard::No,
        }
    }
}

/// The end of a timeout; for ever without one.
fn after(start: Time, timeout: Option<Duration>) -> Time {
    match timeout {
        Some(length) if length < Duration::FOREVER => start + length,
        _ => Time::NEVER,
    }
}
