//! Poolers between applications and databases.

use super::database::Database;
use super::dist::Dist;
use super::names::Ref;
use super::spec::spec;
use crate::units::Duration;

spec! {
    /// A pooler in front of a database: clients' connections end at it, and share its connections to
    /// each server. A `[pool.NAME]` goes `through` it.
    component Pooler {
        /// The product that it is, which sets the defaults.
        kind: PoolerKind = "\"pgbouncer\"" from "assumed: the pooler most used with PostgreSQL";
        /// The database behind it; it stands in that region.
        database: Ref<Database>;
        /// For how long a client keeps a connection to the server.
        mode: Option<PoolMode> = "session; supavisor and rds-proxy transaction"
            from "PgBouncer doc/config.md (pool_mode); Supabase docs (port 6543); RDS Proxy \
            (multiplexing after each transaction)";
        /// Connections to each server.
        size: Option<u32> = "20; supavisor 15, rds-proxy all that the server has"
            from "PgBouncer doc/config.md (default_pool_size); Supavisor tenants/tenant.ex \
            (default_pool_size); RDS user guide (MaxConnectionsPercent 100)", positive;
        /// Connections that stay open, and are opened as soon as there is a client.
        min: u32 = "0" from "PgBouncer doc/config.md (min_pool_size)";
        /// Further connections, when the first of the line has waited for `reserve_after`.
        reserve: u32 = "0" from "PgBouncer doc/config.md (reserve_pool_size)";
        /// See `reserve`.
        reserve_after: Duration = "\"5s\"" from "PgBouncer doc/config.md (reserve_pool_timeout)";
        /// Connections of clients; further ones are refused.
        clients: Option<u32> = "100; supavisor 1_000, rds-proxy without limit"
            from "PgBouncer doc/config.md (max_client_conn); Supavisor tenants/tenant.ex \
            (default_max_clients)", positive;
        /// How long a client waits for a connection to the server before it is disconnected.
        wait_timeout: Option<Duration> = "120s; supavisor 60s"
            from "PgBouncer doc/config.md (query_wait_timeout); RDS user guide \
            (ConnectionBorrowTimeout); supavisor assumed", positive;
        /// An idle connection to the server is closed after this time; 0 is never.
        idle_timeout: Duration = "\"600s\"" from "PgBouncer doc/config.md (server_idle_timeout)";
        /// At this age a connection to the server is closed; 0 is never.
        max_lifetime: Duration = "\"3600s\"" from "PgBouncer doc/config.md (server_lifetime)";
        /// How long after a failed opening the next is tried.
        login_retry: Duration = "\"15s\"" from "PgBouncer doc/config.md (server_login_retry)";
        /// Round trip between the application and it, within a region.
        rtt: Dist = "\"0.5ms\"" from "assumed: same zone";
        /// Time to open a connection to it, round trips included.
        connect: Dist = "\"5ms\""
            from "assumed: TCP, TLS and authentication, but no new server process";
    }
}
spec! {
    /// A pooler as a product.
    choice PoolerKind {
        /// PgBouncer: opens one connection at a time.
        Pgbouncer = "pgbouncer";
        /// Supavisor, Supabase's pooler.
        Supavisor = "supavisor";
        /// Amazon RDS Proxy.
        RdsProxy = "rds-proxy";
    }
}
spec! {
    /// For how long a client keeps a connection to the server.
    choice PoolMode {
        /// As long as it is connected itself; then the connection is reset over a round trip.
        Session = "session";
        /// For a transaction.
        Transaction = "transaction";
        /// For a statement: transactions of several statements are refused.
        Statement = "statement";
    }
}

impl Pooler {
    /// The mode, as said or as the product has it.
    pub fn mode(&self) -> PoolMode {
        self.mode.clone().unwrap_or(match self.kind {
            PoolerKind::Pgbouncer => PoolMode::Session,
            PoolerKind::Supavisor | PoolerKind::RdsProxy => PoolMode::Transaction,
        })
    }
    /// Connections to each server of a database, as said or as the product has it.
    pub fn size(&self, database: &Database) -> u32 {
        let all = database.max_connections.saturating_sub(database.reserved).max(1);
        self.size.unwrap_or(match self.kind {
            PoolerKind::Pgbouncer => 20,
            PoolerKind::Supavisor => 15,
            PoolerKind::RdsProxy => all,
        })
    }
    /// Connections of clients, as said or as the product has it; `None` without limit.
    pub fn most_clients(&self) -> Option<u32> {
        self.clients.or(match self.kind {
            PoolerKind::Pgbouncer => Some(100),
            PoolerKind::Supavisor => Some(1_000),
            PoolerKind::RdsProxy => None,
        })
    }
    /// How long a client waits.
    pub fn patience(&self) -> Duration {
        self.wait_timeout.unwrap_or(match self.kind {
            PoolerKind::Pgbouncer | PoolerKind::RdsProxy => Duration::secs(120),
            PoolerKind::Supavisor => Duration::secs(60),
        })
    }
}
