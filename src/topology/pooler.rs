//! Poolers between applications and databases.

use super::database::Database;
use super::dist::Dist;
use super::names::Ref;
use super::plan::Plan;
use super::price::PoolerPrice;
use super::spec::spec;
use crate::units::{Duration, Ratio};

spec! {
    /// A pooler in front of a database: clients' connections end at it, and share its connections to
    /// each server. A `[pool.NAME]` goes `through` it.
    component Pooler {
        /// The product that it is, which sets the defaults.
        kind: PoolerKind = "\"pgbouncer\"" from "assumed: the pooler most used with PostgreSQL";
        /// The database behind it; it stands in that region.
        database: Ref<Database>;
        /// For how long a client keeps a connection to the server.
        mode: Option<PoolMode> = "session; all others transaction"
            from "PgBouncer doc/config.md (pool_mode); Supabase docs (port 6543); RDS Proxy \
            (multiplexing after each transaction); Neon docs (connection pooling)";
        /// Connections to each server.
        size: Option<u32> = "20; supavisor 15, rds-proxy all that the server has, neon 90 %"
            from "PgBouncer doc/config.md (default_pool_size); Supavisor tenants/tenant.ex \
            (default_pool_size); RDS user guide (MaxConnectionsPercent 100); Neon docs (connection \
            pooling)", positive;
        /// Connections that stay open, and are opened as soon as there is a client.
        min: u32 = "0" from "PgBouncer doc/config.md (min_pool_size)";
        /// Further connections, when the first of the line has waited for `reserve_after`.
        reserve: u32 = "0" from "PgBouncer doc/config.md (reserve_pool_size)";
        /// See `reserve`.
        reserve_after: Duration = "\"5s\"" from "PgBouncer doc/config.md (reserve_pool_timeout)";
        /// Connections of clients; further ones are refused.
        clients: Option<u32> = "100; supavisor 1_000 or those of the database's `plan`, neon 10_000, \
            rds-proxy without limit"
            from "PgBouncer doc/config.md (max_client_conn); Supavisor tenants/tenant.ex \
            (default_max_clients); Neon docs (connection pooling)", positive;
        /// The pooler in whose process this is one more pool, for a further user or database: they share
        /// its `cpu`, its `clients`, its `max_db_connections` and its `max_user_connections`.
        process: Option<Ref<Pooler>> = "a process of its own" from "assumed: one user";
        /// Connections to each server that all pools of the process have together. One more is opened
        /// only in the place of one that lies idle in any of them.
        max_db_connections: Option<u32> = "no limit"
            from "PgBouncer doc/config.md (max_db_connections 0)", positive;
        /// The user whose pool it is: pools of one process with the same name, to several databases or
        /// servers, share `max_user_connections`.
        user: Option<String> = "a user of its own" from "assumed: one pool for each user";
        /// Connections to servers that each user of the process has in all of its pools together. As at
        /// `max_db_connections`, one more is opened only in the place of one of that user's that lies idle.
        max_user_connections: Option<u32> = "no limit"
            from "PgBouncer doc/config.md (max_user_connections 0); objects.c \
            (evict_user_connection)", positive;
        /// Time on its one core for each statement, half of it for the answer; with 0 for `login_cpu` too, its
        /// core never fills up.
        cpu: Option<Duration> = "pgbouncer 25us, neon 20us; others 0s"
            from "PgBouncer 1.18: 25us with TLS to its clients, 17 to 21us without (measured: pgbench, two cores \
            of a cloud server); 30us with TLS on both sides (1.25.1, 33_000/s in one process: proxysql.com, \
            PgBouncer to ProxySQL, part 3, 2026); Neon's proxy ends TLS before it; others assumed: many cores";
        /// Time on its core for each client that logs in, beside `connect`: the handshake of TLS and its password.
        login_cpu: Option<Duration> = "pgbouncer 1ms, neon 0.2ms; others 0s"
            from "PgBouncer 1.18: 1.0 ms with TLS (RSA 2048) and a SCRAM secret, 0.17 ms without TLS, 3.3 ms where \
            auth_file has the password in plain text (measured: pgbench -C); others assumed: many cores";
        /// How long a client waits for a connection to the server before it is disconnected.
        wait_timeout: Option<Duration> = "120s; supavisor 60s"
            from "PgBouncer doc/config.md (query_wait_timeout); RDS user guide \
            (ConnectionBorrowTimeout); Supavisor tenants/user.ex (pool_checkout_timeout)", positive;
        /// A statement that has taken so long, its wait for a connection included, is given up: its client is
        /// disconnected and its connection to the server closed, where the statement goes on for nobody. 0 is
        /// never.
        query_timeout: Option<Duration> = "0s; only pgbouncer and neon have it"
            from "PgBouncer doc/config.md (query_timeout 0); janitor.c (pool_client_maint, pool_server_maint)";
        /// A client whose transaction has lain idle for so long is disconnected, and its connection to the
        /// server closed. 0 is never.
        idle_transaction_timeout: Option<Duration> = "0s; only pgbouncer and neon have it"
            from "PgBouncer doc/config.md (idle_transaction_timeout 0); janitor.c (pool_server_maint)";
        /// A transaction that has taken so long, from when its first statement reached the pooler, ends: its client
        /// is disconnected and its connection to the server closed, whether it lies idle or a statement runs,
        /// which then goes on for nobody. Who still waits for a connection is spared until there is one. 0 is
        /// never.
        transaction_timeout: Option<Duration> = "0s; only pgbouncer and neon have it"
            from "PgBouncer 1.25 doc/config.md (transaction_timeout 0); janitor.c (pool_server_maint, xact_start)";
        /// A client that has asked for nothing for so long is disconnected: with pgbouncer and neon since it
        /// sent its last statement, and only while it has no connection to the server; with others since its
        /// last transaction ended. 0 is never.
        client_idle_timeout: Option<Duration> = "0s; rds-proxy 1800s"
            from "PgBouncer doc/config.md (client_idle_timeout 0); janitor.c (request_time, `client->link`); RDS \
            user guide (IdleClientTimeout); Supavisor tenants/tenant.ex (client_idle_timeout 0), client_handler.ex \
            (idle_terminate)";
        /// An idle connection to the server is closed after this time, by RDS Proxy only while more are idle for
        /// so long than `idle_share`; 0 is never.
        idle_timeout: Option<Duration> = "600s; supavisor and rds-proxy 300s"
            from "PgBouncer doc/config.md (server_idle_timeout); Supavisor tenant_supervisor.ex \
            (idle_timeout); RDS user guide (a connection without activity for five minutes is idle)";
        /// The share of `size` that RDS Proxy leaves open though they are idle: MaxIdleConnectionsPercent over
        /// MaxConnectionsPercent. Beyond that the ones that have been idle for longest are closed.
        idle_share: Ratio = "\"50%\"" from "RDS user guide (MaxIdleConnectionsPercent: half of MaxConnectionsPercent)";
        /// A connection to the server that has lain idle for so long is tried out before it is lent, by a
        /// statement that does nothing: its client waits for a round trip. With `"0s"` each is, with
        /// `"365day"` none.
        check_after: Option<Duration> = "30s; supavisor and rds-proxy none"
            from "PgBouncer doc/config.md (server_check_delay 30, server_check_query); janitor.c \
            (check_unused_servers, launch_recheck); Supavisor db_handler.ex (none); rds-proxy assumed: it \
            watches its servers";
        /// At this age a connection to the server is closed; 0 is never.
        max_lifetime: Option<Duration> = "3600s; supavisor and rds-proxy never"
            from "PgBouncer doc/config.md (server_lifetime); Supavisor db_handler.ex (none); RDS user \
            guide (some time after 24 hours, when it is no longer in use)";
        /// How long it tries to open a connection to the server, until that can be used.
        connect_timeout: Option<Duration> = "15s; supavisor 127s, rds-proxy 1s"
            from "PgBouncer doc/config.md (server_connect_timeout); Supavisor db_handler.ex (gen_tcp:connect \
            without a time: as long as Linux tries); rds-proxy assumed: it watches its servers", positive;
        /// How long after a failed opening the next is tried. Meanwhile PgBouncer turns away at once who
        /// needs a connection when none is left; with others they wait.
        login_retry: Option<Duration> = "15s; supavisor 2500ms, rds-proxy 1s"
            from "PgBouncer doc/config.md (server_login_retry); Supavisor db_handler.ex \
            (connect_cooldown_ms); rds-proxy assumed: it watches for the new primary", positive;
        /// Round trip between the application and it, within a region.
        rtt: Dist = "\"0.5ms\"" from "assumed: same zone";
        /// Time to open a connection to it, round trips included.
        connect: Dist = "\"5ms\""
            from "assumed: TCP, TLS and authentication, but no new server process";
        /// What it costs.
        price: Option<PoolerPrice>;
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
        /// The pooled endpoint of Neon: a PgBouncer.
        Neon = "neon";
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
            PoolerKind::Supavisor | PoolerKind::RdsProxy | PoolerKind::Neon => {
                PoolMode::Transaction
            }
        })
    }
    /// Connections to each server of a database, as said or as the product has it.
    pub fn size(&self, database: &Database) -> u32 {
        let all = database.available().max(1);
        self.size.unwrap_or(match self.kind {
            PoolerKind::Pgbouncer => 20,
            PoolerKind::Supavisor => 15,
            PoolerKind::RdsProxy => all,
            PoolerKind::Neon => (database.accepts() * 9 / 10).max(1),
        })
    }
    /// Connections of clients, as said or as the product has it; `None` without limit.
    pub fn most_clients(&self, database: &Database) -> Option<u32> {
        let plan = database.plan.as_ref().and_then(Plan::pooler_clients);
        self.clients.or(match self.kind {
            PoolerKind::Pgbouncer => Some(100),
            PoolerKind::Supavisor => Some(plan.unwrap_or(1_000)),
            PoolerKind::Neon => Some(10_000),
            PoolerKind::RdsProxy => None,
        })
    }
    /// After which time a client that asks for nothing is disconnected; 0 or for ever is never.
    pub fn disconnects_idle(&self) -> Duration {
        let usual = if self.kind == PoolerKind::RdsProxy { 1_800 } else { 0 };
        self.client_idle_timeout.unwrap_or(Duration::secs(usual))
    }
    /// After which time a connection to the server that nobody uses is closed; 0 or for ever is never.
    pub fn closes_idle(&self) -> Duration {
        let usual = if self.is_pgbouncer() { 600 } else { 300 };
        self.idle_timeout.unwrap_or(Duration::secs(usual))
    }
    /// Connections to each server that are left open however long they are idle.
    pub fn keeps_idle(&self, database: &Database) -> u32 {
        match self.kind {
            PoolerKind::RdsProxy => (f64::from(self.size(database)) * self.idle_share.0) as u32,
            _ => 0,
        }
    }
    /// After which time a connection that nobody used is tried out; for ever is never.
    pub fn checks_idle(&self) -> Duration {
        let usual = if self.is_pgbouncer() { Duration::secs(30) } else { Duration::FOREVER };
        self.check_after.unwrap_or(usual)
    }
    /// At which age a connection to the server is closed; 0 or for ever is never.
    pub fn lifetime(&self) -> Duration {
        let usual = if self.is_pgbouncer() { Duration::secs(3_600) } else { Duration::FOREVER };
        self.max_lifetime.unwrap_or(usual)
    }
    /// How long after a failed opening the next is tried.
    pub fn retries_login(&self) -> Duration {
        self.login_retry.unwrap_or(match self.kind {
            PoolerKind::Pgbouncer | PoolerKind::Neon => Duration::secs(15),
            PoolerKind::Supavisor => Duration::millis(2_500),
            PoolerKind::RdsProxy => Duration::secs(1),
        })
    }
    /// Whether its core takes time for anything.
    pub fn works(&self) -> bool {
        !(self.statement_cpu().is_zero() && self.logs_in_for().is_zero())
    }
    /// Time on its core for each statement and its answer.
    pub fn statement_cpu(&self) -> Duration {
        self.cpu.unwrap_or(Duration::micros(match self.kind {
            PoolerKind::Pgbouncer => 25,
            PoolerKind::Neon => 20,
            PoolerKind::Supavisor | PoolerKind::RdsProxy => 0,
        }))
    }
    /// Time on its core for each client that logs in.
    pub fn logs_in_for(&self) -> Duration {
        self.login_cpu.unwrap_or(Duration::micros(match self.kind {
            PoolerKind::Pgbouncer => 1_000,
            PoolerKind::Neon => 200,
            PoolerKind::Supavisor | PoolerKind::RdsProxy => 0,
        }))
    }
    /// How long opening a connection to the server may take.
    pub fn opens_within(&self) -> Duration {
        self.connect_timeout.unwrap_or(Duration::secs(match self.kind {
            PoolerKind::Pgbouncer | PoolerKind::Neon => 15,
            PoolerKind::Supavisor => 127,
            PoolerKind::RdsProxy => 1,
        }))
    }
    /// Whether it is a PgBouncer, whoever runs it.
    pub fn is_pgbouncer(&self) -> bool {
        matches!(self.kind, PoolerKind::Pgbouncer | PoolerKind::Neon)
    }
    /// How long a client waits.
    pub fn patience(&self) -> Duration {
        self.wait_timeout.unwrap_or(match self.kind {
            PoolerKind::Pgbouncer | PoolerKind::RdsProxy | PoolerKind::Neon => Duration::secs(120),
            PoolerKind::Supavisor => Duration::secs(60),
        })
    }
}
