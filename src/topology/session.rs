//! Session stores.

use super::cache::Cache;
use super::database::Database;
use super::dist::Dist;
use super::names::Ref;
use super::pool::Pool;
use super::spec::spec;
use crate::units::{Bytes, Duration, Ratio};

spec! {
    /// Session middleware with its store: reads the session before a request, writes it before the
    /// answer ends.
    component Session {
        /// Where sessions are kept.
        store: SessionStore;
        /// How long a session lives after its last use. In memory without a `cookie` none ever ends, but with its
        /// process: then this is how long that has kept them when the run begins.
        ttl: Duration = "\"1day\""
            from "connect-pg-simple 10.0.0 and connect-redis 9.0.0 (86,400 s)", positive;
        /// Whether an unmodified session is saved again at the end of every request.
        resave: bool = "true" from "express-session 1.19.0 (resave undefined is true)";
        /// Whether a session that is not saved again is touched to prolong it.
        touch: bool = "true" from "connect-pg-simple 10.0.0 (disableTouch false)";
        /// How long the browser keeps the cookie, counted from its making; it takes the place of
        /// `ttl`.
        cookie: Option<Duration> = "until the browser closes"
            from "express-session 1.19.0 (cookie.maxAge null)", positive;
        /// Whether every answer sets the cookie anew.
        rolling: bool = "false" from "express-session 1.19.0 (rolling)";
        /// Whether a request without a session makes one, those of bots included, and of health checks
        /// that pass the middleware (`checks.middleware`).
        save_uninitialized: bool = "true"
            from "express-session 1.19.0 (saveUninitialized undefined is true)";
        /// Size of one session.
        size: Bytes = "\"5KB\"" from "assumed: a user, a basket and a few fields";
        /// Share of requests without a session.
        guests: Ratio = "\"0%\"" from "assumed: everybody is logged in";
    }
}
spec! {
    /// Where sessions are kept.
    choice SessionStore {
        /// In a table, through a pool of connections.
        Postgres(Box<PostgresSessions>) = "postgres";
        /// In a cache.
        Redis(RedisSessions) = "redis";
        /// In the memory of the worker that made it: no other worker knows it.
        Memory(MemorySessions) = "memory";
        /// In a signed token that the client carries: no store, a little CPU time.
        Jwt(Jwt) = "jwt";
    }
}
spec! {
    /// Sessions in a table, as connect-pg-simple keeps them.
    table PostgresSessions {
        /// The pool it shares with the application.
        pool: Option<Ref<Pool>>;
        /// A pool of its own, one per worker, as it makes when it is given only an address.
        own: Option<OwnPool>;
        /// Time of reading a session, on an idle server.
        read: Dist = "\"5ms\"" from "assumed: an indexed read with its planning";
        /// Time of writing or touching a session, on an idle server.
        write: Dist = "\"10ms\"" from "assumed: an indexed write with its commit";
        /// How both grow with the number of rows.
        growth: Option<Growth> = "they do not grow"
            from "PostgreSQL (a B-tree lookup hardly grows)";
        /// How often expired rows are deleted.
        prune: Duration = "\"15min\""
            from "connect-pg-simple 10.0.0 (pruneSessionInterval 900 s)", positive;
        /// What deleting one expired row costs the database server.
        prune_row: Duration = "\"10us\"" from "assumed: an index entry and a dead tuple";
    }
}
spec! {
    /// A session store's own pool of connections.
    table OwnPool {
        /// The database it connects to.
        database: Ref<Database>;
        /// The most connections, per worker.
        size: u32 = "10" from "connect-pg-simple 10.0.0 (a pg-pool with max 10)", positive;
        /// How long a request waits for a connection before it fails.
        acquire_timeout: Option<Duration> = "waits for ever"
            from "connect-pg-simple 10.0.0 (a pg-pool without timeout)", positive;
        /// An idle connection is closed after this time.
        idle_timeout: Duration = "\"10s\"" from "pg-pool 3.14.0 (idleTimeoutMillis)";
    }
}
spec! {
    /// Times multiplied by 1 + (times - 1) (rows / these rows)^power.
    table Growth {
        /// The number of rows at which times are multiplied by `times`.
        rows: u64, positive;
        /// By what factor.
        times: f64, positive;
        /// How steeply.
        power: f64 = "1.0" from "assumed: in proportion", positive;
    }
}
spec! {
    /// Sessions in a cache, as connect-redis keeps them.
    table RedisSessions {
        /// The cache.
        cache: Ref<Cache>;
    }
}
spec! {
    /// Sessions in the memory of a worker, as express-session's MemoryStore keeps them.
    table MemorySessions {
        /// CPU time of reading or writing one.
        cpu: Dist = "\"20us\"" from "assumed: JSON of a few kilobytes";
    }
}
spec! {
    /// Sessions in a signed token.
    table Jwt {
        /// CPU time of verifying a token.
        cpu: Dist = "\"50us\"" from "assumed: HMAC-SHA-256 of a short token";
        /// What it adds to each request that users send, which comes up through the service's link.
        bytes: Option<Bytes> = "nothing: it fits into the request's first packet"
            from "assumed: a few hundred bytes", positive;
        /// The cache that lists revoked tokens, asked at every request.
        revocation: Option<Ref<Cache>> = "a token is good until it expires"
            from "assumed: nobody can take it back";
    }
}
