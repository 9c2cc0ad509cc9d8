//! Pools of database connections.

use super::database::Database;
use super::dist::Dist;
use super::names::Ref;
use super::pooler::Pooler;
use super::service::Service;
use super::spec::spec;
use crate::units::Duration;

spec! {
    /// A pool of database connections; each worker of its service has one of its own.
    component Pool {
        /// The library that it is: it sets how connections are lent, opened and closed.
        driver: PoolDriver = "\"node-postgres\"" from "assumed: the usual client of Node.js";
        /// The service whose workers hold it.
        service: Ref<Service>;
        /// The database it connects to.
        database: Ref<Database>;
        /// The pooler that its connections end at, on their way to the database.
        through: Option<Ref<Pooler>> = "straight to the database" from "assumed: no pooler";
        /// Looking up the server's name before each connection is opened; on Node.js a thread of libuv's
        /// pool waits for it, as at `call.lookup`.
        lookup: Option<Dist> = "its address is known"
            from "assumed: an address, or a resolver on the machine; Node.js 20 net.connect (dns.lookup is \
            getaddrinfo on libuv's pool)";
        /// The most connections, per worker; SQLAlchemy lends `max_overflow` more.
        size: Option<u32> = "10; sqlalchemy 5, psycopg 4, prisma two for each core and one"
            from "pg-pool 3.14.0 (max), SQLAlchemy 2.1.9 (pool_size), asyncpg 0.32.0 (max_size), \
            psycopg_pool 3.3.3 (max_size, as min_size), prisma-engines quaint pooled.rs \
            (connection_limit)", positive;
        /// Connections that are not closed for being idle. node-postgres opens none in advance; asyncpg
        /// and psycopg open so many at the start.
        min: Option<u32> = "0; asyncpg 10, psycopg 4"
            from "pg-pool 3.14.0 (min), asyncpg 0.32.0 (min_size), psycopg_pool 3.3.3 (min_size)";
        /// How long a request waits for a connection before it fails.
        acquire_timeout: Option<Duration> = "waits for ever; sqlalchemy and psycopg 30s, prisma 10s"
            from "pg-pool 3.14.0 (connectionTimeoutMillis 0), SQLAlchemy 2.1.9 (timeout), \
            asyncpg 0.32.0 (acquire without timeout), psycopg_pool 3.3.3 (timeout), \
            prisma-engines quaint postgres/url.rs (pool_timeout)", positive;
        /// How long the driver tries to open a connection, until it can be used, before it fails.
        /// node-postgres has one time for this and for the wait, `acquire_timeout`.
        connect_timeout: Option<Duration> = "asyncpg and sqlalchemy 60s, psycopg 130s, prisma 5s"
            from "asyncpg 0.31.0 (connect, timeout=60), which SQLAlchemy 2.1.9 leaves as it is; psycopg \
            3.2.9 (conninfo.py, _DEFAULT_CONNECT_TIMEOUT), with SQLAlchemy without asyncio, too; \
            prisma-engines quaint postgres/url.rs (connect_timeout)", positive;
        /// An idle connection is closed after this time; 0 is never.
        idle_timeout: Option<Duration> = "10s; sqlalchemy never, asyncpg and prisma 300s, psycopg 600s"
            from "pg-pool 3.14.0 (idleTimeoutMillis), SQLAlchemy 2.1.9 (no such option), asyncpg \
            0.32.0 (max_inactive_connection_lifetime), psycopg_pool 3.3.3 (max_idle), \
            prisma-engines quaint postgres/url.rs (max_idle_connection_lifetime)";
        /// A connection is closed when it comes back after so many uses.
        max_uses: Option<u32> = "never; asyncpg 50_000"
            from "pg-pool 3.14.0 (maxUses Infinity), asyncpg 0.32.0 (max_queries)", positive;
        /// At this age a connection is closed once it is not in use; by SQLAlchemy, which calls it
        /// `recycle`, at its next checkout.
        max_lifetime: Option<Duration> = "never; psycopg 3600s"
            from "pg-pool 3.14.0 (maxLifetimeSeconds 0), SQLAlchemy 2.1.9 (recycle -1), \
            psycopg_pool 3.3.3 (max_lifetime)", positive;
        /// What becomes of a connection whose statement failed. Where nothing is said node-postgres
        /// destroys that of a `query`, and in a `transaction` the application gives it back
        /// (`client.release()` in `finally`).
        on_error: Option<OnError> = "destroy that of a query; keep elsewhere"
            from "pg-pool 3.14.0 (pool.query releases with the error); SQLAlchemy 2.1.9, asyncpg \
            0.32.0 and psycopg_pool 3.3.3 close only what is disconnected";
        /// How long the driver waits for the answer to a statement; then the request fails. In node-postgres
        /// the statement goes on at the server. Its connection is closed or kept as `on_error` says: a
        /// closed one keeps its place at the server until the statement has ended, and in one that is kept
        /// the next statement waits for that.
        /// asyncpg (`command_timeout`) has the server cancel it, over another connection, waits for that
        /// and keeps the connection.
        query_timeout: Option<Duration> = "none" from "pg 8.16.3 client.js (query_timeout false), \
            asyncpg 0.32.0 (command_timeout None; connection.py, _cancel)", positive;
        /// A statement that takes longer is cancelled by the server, which is told so at the start of
        /// each connection.
        statement_timeout: Option<Duration> = "that of the database"
            from "pg 8.16.3 client.js (statement_timeout false)", positive;
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
        /// SQLAlchemy's QueuePool or AsyncAdaptedQueuePool: whoever asks first takes a connection that
        /// came back, woken waiters queue again at the tail; overflow is closed when it comes back.
        /// Every checkout is a transaction: BEGIN before the first statement, ROLLBACK at the end.
        Sqlalchemy(Sqlalchemy) = "sqlalchemy";
        /// The pool of Neon's serverless driver: node-postgres' own class over a WebSocket.
        Neon = "neon";
        /// Prisma up to version 6, whose engine pools by itself (mobc): waiters first come, first served,
        /// whoever has a turn lends the hot connection or opens one; the wait ends with P2024. Version 7
        /// uses the pool of its driver: write that.
        Prisma(Prisma) = "prisma";
        /// asyncpg's own pool: woken waiters queue again at the tail if somebody was faster; the hot
        /// connection is lent first. Giving back takes a round trip, which resets the connection (pool.py, release: Connection.reset).
        Asyncpg = "asyncpg";
        /// psycopg_pool: connections are given to the oldest waiter and lent in turn; it grows by one
        /// connection at a time. Every checkout is a transaction: BEGIN before the first statement,
        /// COMMIT at the end.
        Psycopg(Psycopg) = "psycopg";
    }
}
spec! {
    /// What is particular to SQLAlchemy.
    table Sqlalchemy {
        /// Connections beyond `size`, closed as soon as they come back to `size` idle ones.
        max_overflow: u32 = "10" from "SQLAlchemy 2.1.9 QueuePool (max_overflow)";
        /// Idle connections are lent last in, first out.
        use_lifo: bool = "false" from "SQLAlchemy 2.1.9 QueuePool (use_lifo)";
        /// A connection that was used before is tried out at every checkout: three round trips with
        /// asyncpg (BEGIN, an empty statement, ROLLBACK), one otherwise or with `autocommit`. One that was
        /// cut is opened anew, and so is every older one when it is lent next; without `pre_ping` the
        /// first statement over such a connection fails, and the rest is the same.
        pre_ping: bool = "false" from "SQLAlchemy 2.1.9 Pool (pre_ping)";
        /// No BEGIN and no ROLLBACK around the statements.
        autocommit: bool = "false"
            from "SQLAlchemy 2.1.9 (a connection begins by itself; isolation level AUTOCOMMIT)";
        /// With asyncio and asyncpg, who gives an overflow connection back waits until it is closed;
        /// without, with psycopg, not.
        asyncio: bool = "true" from "assumed: create_async_engine (FastAPI)";
    }
}
spec! {
    /// What is particular to Prisma.
    table Prisma {
        /// Physical cores of the machine that a worker is on, those of a container's host included: the
        /// size of the pool follows from them.
        cores: u32 = "1" from "assumed: a machine of one core (num_cpus::get_physical)", positive;
    }
}
spec! {
    /// What is particular to psycopg.
    table Psycopg {
        /// No BEGIN and no COMMIT around the statements.
        autocommit: bool = "false" from "psycopg 3 (a connection begins by itself)";
        /// With so many waiting whoever else needs a connection fails at once (`TooManyRequests`).
        max_waiting: Option<u32> = "no limit" from "psycopg_pool 3.3.3 (max_waiting 0)", positive;
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
        /// To the replicas, each in turn, wherever they stand.
        Replicas = "replicas";
        /// To the replicas in the region that is nearest to its service, each in turn; to the primary where that
        /// is nearer.
        Nearest = "nearest";
    }
}

impl Pool {
    /// The most connections that it keeps, as said or as the driver has it.
    pub fn kept(&self) -> u32 {
        self.size.unwrap_or(match &self.driver {
            PoolDriver::NodePostgres | PoolDriver::Neon | PoolDriver::Asyncpg => 10,
            PoolDriver::Prisma(its) => its.cores.saturating_mul(2).saturating_add(1),
            PoolDriver::Sqlalchemy(_) => 5,
            PoolDriver::Psycopg(_) => self.min.unwrap_or(4).max(1),
        })
    }
    /// Connections beyond those.
    pub fn overflow(&self) -> u32 {
        match &self.driver {
            PoolDriver::Sqlalchemy(its) => its.max_overflow,
            _ => 0,
        }
    }
    /// The most connections to the primary.
    pub fn most(&self) -> u32 {
        self.kept().saturating_add(self.overflow())
    }
    /// The most connections to each replica.
    pub fn most_to_replica(&self) -> u32 {
        self.replica_size.unwrap_or(self.kept()).saturating_add(self.overflow())
    }
    /// Round trips of trying a used connection out.
    pub fn pings(&self) -> u32 {
        match &self.driver {
            PoolDriver::Sqlalchemy(its) if its.pre_ping => {
                if its.asyncio && !its.autocommit {
                    3
                } else {
                    1
                }
            }
            _ => 0,
        }
    }
    /// How long opening a connection may take, as said or as the driver has it, if that is a time of its own.
    pub fn opens_within(&self) -> Option<Duration> {
        let usual = match &self.driver {
            PoolDriver::NodePostgres | PoolDriver::Neon => None,
            PoolDriver::Prisma(_) => Some(5),
            PoolDriver::Asyncpg => Some(60),
            PoolDriver::Sqlalchemy(its) if its.asyncio => Some(60),
            PoolDriver::Sqlalchemy(_) | PoolDriver::Psycopg(_) => Some(130),
        };
        self.connect_timeout.or(usual.map(Duration::secs))
    }
    /// Whether every use of a connection is a transaction, asked for or not.
    pub fn always_begins(&self) -> bool {
        match &self.driver {
            PoolDriver::Sqlalchemy(its) => !its.autocommit,
            PoolDriver::Psycopg(its) => !its.autocommit,
            _ => false,
        }
    }
    /// Whether a connection is reset over a round trip before it is given back.
    pub fn resets(&self) -> bool {
        self.driver == PoolDriver::Asyncpg
    }
}
