//! What the tests of Redis, caches and streams turn: a part of the list in `coverage.rs`.

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    (
        "cache",
        "a_miss_loads_and_the_next_hit_does_not",
        "CacheLookup.miss CacheLookup.write CacheLookup.ttl Step:cache",
    ),
    (
        "cache",
        "steps_use_the_cache_and_the_keys_they_name",
        "CacheLookup.in CacheLookup.keys Invalidate.in",
    ),
    (
        "updates",
        "a_write_goes_through_around_or_behind_a_cache",
        "Step:update Update.in Update.keys Update.write Update.how Update.ttl Update.after \
         WritePolicy:through WritePolicy:behind WritePolicy:around",
    ),
    ("cache", "an_invalidated_key_is_missed", "Step:invalidate Invalidate.keys"),
    ("cache", "a_command_takes_a_round_trip_and_time_on_its_node", "Cache.command Cache.rtt"),
    ("cache", "a_node_runs_one_command_at_a_time", "Cache.nodes"),
    (
        "cache",
        "memory_belongs_to_each_worker_and_computes_on_it",
        "Cache.kind Cache.service CacheKind:redis CacheKind:memory",
    ),
    (
        "cache",
        "a_full_cache_refuses_writes_or_lets_something_go",
        "Cache.eviction Eviction:noeviction Eviction:allkeys-lru Eviction:volatile-lru \
         Eviction:allkeys-random Eviction:allkeys-lfu Eviction:volatile-lfu \
         Eviction:volatile-random Eviction:volatile-ttl Eviction:lru Eviction:fifo",
    ),
    (
        "cache",
        "entries_take_their_size_and_overhead_or_are_counted",
        "Cache.memory Cache.overhead Cache.max_entries Keys.size",
    ),
    ("cache", "what_is_let_go_decides_on_hits", "Cache.samples"),
    (
        "cache",
        "popularity_and_count_decide_on_hits",
        "Keys.popularity Keys.count Popularity:uniform Popularity:zipf Zipf.exponent",
    ),
    ("cache", "a_key_may_be_the_users_own", "Keys.by KeyBy:popularity KeyBy:user"),
    ("cache", "a_stampede_or_a_single_flight", "CacheLookup.single_flight"),
    ("cache", "what_has_expired_is_removed_in_the_background", "Cache.expire_cycle"),
    (
        "redis_memory",
        "jobs_take_memory_while_they_are_kept",
        "Job.size Job.keep_completed Job.keep_failed",
    ),
    ("redis_size", "each_subscriber_of_a_channel_takes_its_time", "Cache.per_subscriber"),
    ("redis_size", "each_kilobyte_of_a_large_value_takes_its_time", "Cache.per_kb"),
    ("redis_size", "a_wire_carries_one_value_after_another_each_way", "Cache.bandwidth"),
    ("redis_memory", "eviction_takes_its_time_in_the_command", "Cache.evicting"),
    (
        "redis_seats",
        "a_process_without_room_at_the_server_is_refused",
        "Cache.max_clients Cache.open_files Cache.connections",
    ),
    (
        "redis_seats",
        "threads_take_reading_and_writing_off_the_main_one_where_many_wait",
        "Cache.io_threads Cache.io_share",
    ),
    ("redis_server", "the_slow_log_has_what_keeps_the_thread_for_long", "Cache.slowlog"),
    ("redis_memory", "the_expiry_cycle_keeps_commands_waiting", "Cache.expiring"),
    ("cache", "caches_start_warm_or_cold", "Run.start Start.caches Warmth:warm Warmth:cold"),
    (
        "redis",
        "commands_wait_in_their_client_or_fail_at_once",
        "Cache.client CacheClient:ioredis-5 CacheClient:ideal Ioredis.offline_queue \
         NodeRedis.offline_queue",
    ),
    ("redis", "used_up_retries_fail_all_that_waits", "Ioredis.max_retries CacheClient:ioredis-6"),
    (
        "redis",
        "an_attempt_to_connect_lasts_until_its_timeout_where_nobody_answers",
        "Ioredis.connect_timeout NodeRedis.connect_timeout",
    ),
    ("redis", "a_command_is_given_up_wherever_it_is", "Ioredis.command_timeout"),
    ("redis", "a_client_looks_its_server_up_before_it_connects_again", "Cache.lookup"),
    (
        "redis",
        "node_redis_gives_up_what_it_has_not_written",
        "CacheClient:node-redis NodeRedis.command_timeout NodeRedis.max_queue",
    ),
    (
        "redis",
        "a_replica_takes_over_once_the_loss_is_seen",
        "Cache.failover CacheFailover:sentinel Sentinel.down_after Sentinel.sentinels \
         Sentinel.quorum",
    ),
    (
        "redis",
        "a_cluster_votes_and_may_stop_meanwhile",
        "CacheFailover:cluster RedisCluster.node_timeout RedisCluster.full_coverage",
    ),
    (
        "redis",
        "copies_answer_reads_and_are_behind",
        "Cache.reads Cache.lag CacheReads:primary CacheReads:replicas CacheReads:all",
    ),
    ("policies", "times_to_live_are_spread", "CacheLookup.jitter"),
    ("policies", "that_there_is_nothing_is_kept_or_not", "Keys.absent CacheLookup.negative_ttl"),
    ("policies", "loads_come_early_as_the_paper_says", "CacheLookup.early"),
    (
        "policies",
        "a_stale_value_is_served_while_it_is_loaded",
        "CacheLookup.stale_while_revalidate",
    ),
    ("policies", "a_stale_value_is_served_if_its_load_fails", "CacheLookup.stale_if_error"),
    (
        "policies",
        "a_lock_lets_one_process_load",
        "CacheLookup.lock CacheLock.ttl CacheLock.retry CacheLock.wait",
    ),
    ("policies", "who_finds_a_key_locked_looks_again_at_times_of_its_own", "CacheLock.jitter"),
    ("policies", "who_may_have_lost_its_lock_stores_nothing", "CacheLock.fenced CacheLock.drift"),
];

/// The sources of these tests.
pub const SOURCES: &[(&str, &str)] = &[
    ("cache", include_str!("cache.rs")),
    ("policies", include_str!("policies.rs")),
    ("redis", include_str!("redis.rs")),
    ("redis_memory", include_str!("redis_memory.rs")),
    ("redis_seats", include_str!("redis_seats.rs")),
    ("updates", include_str!("updates.rs")),
    ("redis_size", include_str!("redis_size.rs")),
];
