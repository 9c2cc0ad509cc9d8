//! The parts of a deployment as pure state machines, each by the rules of one named product.
//!
//! Facts go in (a request came, a connection opened, a minute passed) and decisions come out
//! (grant, wait, connect, reject). Nothing here schedules an event, draws a random number or knows
//! another part: whoever owns a part turns its decisions into events, and hands it the draws it
//! needs. So the tests at the foot of each file are the product's own rules, and can be read beside
//! its source.
//!
//! | module | what it is | follows |
//! |---|---|---|
//! | [`pool`] | connection pools of one process | pg-pool 3.14.0, SQLAlchemy 2.1.9, asyncpg 0.32.0, psycopg_pool 3.3.3 |
//! | [`limiter`] | requests per client and window | express-rate-limit 8.7.4 |
//! | [`guard`] | rejection above a threshold of some metric | hand-written middleware |
//! | [`balancer`] | which target takes the next request | ALB, nginx, Envoy |
//! | [`job_queue`] | background jobs, priorities, retries | Bull 4.16.5, BullMQ 6.7.0 |
//! | [`autoscaler`] | how many tasks should run | Application Auto Scaling for ECS |
//! | [`cache`] | entry stores, eviction, expiry, single flight | Redis, lru-cache 11 |
//! | [`session_table`] | login sessions in a table | connect-pg-simple 10.0.0 |
//! | [`tcp`] | packets that are lost, sent again, given up | Linux TCP |
//! | [`backoff`] | how long a client waits to retry | AWS Architecture Blog, axios-retry 4.5.0 |
//! | [`retry_budget`] | what keeps a client from retrying too much | AWS SDK, Envoy, Google SRE |

pub mod autoscaler;
pub mod backoff;
pub mod balancer;
pub mod cache;
pub mod guard;
pub mod job_queue;
pub mod limiter;
pub mod pool;
pub mod retry_budget;
pub mod session_table;
pub mod tcp;
