//! Database servers.

use super::dist::Dist;
use super::names::Ref;
use super::price::Price;
use super::region::Region;
use super::spec::spec;
use crate::units::{Duration, Ratio};

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
