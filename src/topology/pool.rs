//! Pools of database connections.

use super::database::Database;
use super::names::Ref;
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
