//! What the tests of Redis, caches and streams turn: a part of the list in `coverage.rs`.

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    (
        "redis",
        "commands_wait_in_their_client_or_fail_at_once",
        "Cache.client CacheClient:ioredis-5 Ioredis.offline_queue NodeRedis.offline_queue",
    ),
    ("redis", "used_up_retries_fail_all_that_waits", "Ioredis.max_retries CacheClient:ioredis-6"),
    (
        "redis",
        "an_attempt_to_connect_lasts_until_its_timeout_where_nobody_answers",
        "Ioredis.connect_timeout NodeRedis.connect_timeout",
    ),
    ("redis", "a_command_is_given_up_wherever_it_is", "Ioredis.command_timeout"),
    (
        "redis",
        "node_redis_gives_up_what_it_has_not_written",
        "CacheClient:node-redis NodeRedis.command_timeout NodeRedis.max_queue",
    ),
];

/// The sources of these tests.
pub const SOURCES: &[(&str, &str)] = &[("redis", include_str!("redis.rs"))];
