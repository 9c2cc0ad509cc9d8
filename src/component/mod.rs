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
//! | [`limiter`] | requests per key and time | express-rate-limit 8.7.4, limits 5.8.0, nginx, resilience4j |
//! | [`guard`] | rejection above a threshold of some metric | hand-written middleware |
//! | [`breaker`] | calls that fail fast while what is called is down | opossum 10, resilience4j 2.3 |
//! | [`concurrency`] | how many calls may be under way at once | Netflix concurrency-limits |
//! | [`waiting_room`] | who gets the next place, and who is given up | CoDel, adaptive LIFO |
//! | [`balancer`] | which target takes the next request | ALB, nginx, Envoy |
//! | [`job_queue`] | background jobs, priorities, retries | Bull 4.16.5, BullMQ 6.7.0 |
//! | [`oldest`] | how long the oldest has waited | Amazon CloudWatch, `ApproximateAgeOfOldestMessage` |
//! | [`consumer_group`] | members of a group and their rebalances | Apache Kafka 3.9, kafkajs 2.2.4 |
//! | [`output_buffer`] | subscribers that do not read | Redis 7 |
//! | [`autoscaler`] | how many tasks should run | Application Auto Scaling for ECS |
//! | [`hpa`] | how many pods should run | Kubernetes HorizontalPodAutoscaler |
//! | [`object_store`] | how many requests a prefix takes | Amazon S3 |
//! | [`function_fleet`] | which environment takes a request of a function | AWS Lambda |
//! | [`event_pollers`] | how many batches of messages a function is called with at once | AWS Lambda |
//! | [`rollout`] | how many new instances a deploy starts, and old ones it stops | Kubernetes deployment controller, Amazon ECS |
//! | [`step_scaling`] | the same, by steps of alarms | Application Auto Scaling |
//! | [`cache`] | entry stores, eviction, expiry, single flight | Redis, lru-cache 11 |
//! | [`redis_client`] | commands while Redis is gone | ioredis 5.11.1 and 6.0.0, node-redis 6.3.1 |
//! | [`redis_failover`] | how long until a replica takes over | Redis Sentinel and Cluster |
//! | [`http_client`] | connections of one HTTP client, and who waits for one | httpx 0.28.1, aiohttp 3.14, Node.js 20, Go net/http, OkHttp 5, Apache HttpClient 5 |
//! | [`session_population`] | how many sessions are alive, and of what age | M/G/∞ |
//! | [`session_table`] | login sessions in a table | connect-pg-simple 10.0.0 |
//! | [`shard`] | which shard or partition has a user or a key | consistent and modulo hashing |
//! | [`shard_throughput`] | what a shard takes and gives in a second | Amazon Kinesis |
//! | [`shard_leases`] | which worker has which shard | Kinesis Client Library 2 |
//! | [`table_lock`] | who may use a table, who waits | PostgreSQL 15 lmgr |
//! | [`vacuum`] | what vacuuming a table takes | PostgreSQL 15 autovacuum |
//! | [`checkpoint`] | which pages a checkpoint writes, and what the first change after it logs | PostgreSQL 15 checkpointer |
//! | [`burst_credits`] | how long a burstable instance bursts | AWS T3, T4g |
//! | [`volume`] | how many storage operations are granted | AWS EBS gp2, gp3 |
//! | [`tcp`] | packets that are lost, sent again, given up | Linux TCP |
//! | [`crash_loop`] | how long before a container is started again | Kubernetes kubelet |
//! | [`garbage`] | when a heap of two generations is collected | V8 (Node.js 20) |
//! | [`backoff`] | how long a client waits to retry | AWS Architecture Blog, axios-retry 4.5.0 |
//! | [`retry_budget`] | what keeps a client from retrying too much | AWS SDK, Envoy, Google SRE |

pub mod autoscaler;
pub mod backoff;
pub mod balancer;
pub mod breaker;
pub mod buffer;
pub mod burst_credits;
pub mod cache;
pub mod checkpoint;
pub mod concurrency;
pub mod consumer_group;
pub mod crash_loop;
pub mod event_pollers;
pub mod function_fleet;
pub mod garbage;
pub mod guard;
pub mod hpa;
pub mod http_client;
pub mod job_limiter;
pub mod job_queue;
pub mod limiter;
pub mod object_store;
pub mod oldest;
pub mod output_buffer;
pub mod persistence;
pub mod pool;
pub mod pooler;
pub mod provisioned;
pub mod redis_client;
pub mod redis_failover;
pub mod retry_budget;
pub mod rollout;
pub mod session_population;
pub mod session_table;
pub mod shard;
pub mod shard_leases;
pub mod shard_throughput;
pub mod step_scaling;
pub mod table_lock;
pub mod vacuum;
pub mod volume;
pub mod tcp;
pub mod waiting_room;
