//! What the tests of sessions turn: a part of the list in `coverage.rs`.

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    ("session", "every_session_is_saved_again_unless_told_not_to", "Session.resave"),
    (
        "session",
        "a_cookie_ends_at_its_age_unless_every_answer_renews_it",
        "Session.cookie Session.rolling",
    ),
    (
        "session",
        "memory_of_a_worker_is_unknown_to_the_others",
        "SessionStore:memory MemorySessions.cpu",
    ),
    ("session", "revoked_tokens_are_looked_up", "Jwt.revocation"),
    ("session", "a_login_makes_a_session", "Operation.login"),
    (
        "session",
        "sessions_can_be_read_saved_and_destroyed_by_hand",
        "Step:session SessionUse:read SessionUse:save SessionUse:destroy",
    ),
    ("session", "a_step_names_its_store", "WhichSession.of"),
    ("session", "guests_make_sessions_or_none", "Session.guests Session.save_uninitialized"),
    (
        "session",
        "a_store_has_its_own_pool_or_shares_one",
        "PostgresSessions.pool PostgresSessions.own OwnPool.database OwnPool.size \
         OwnPool.acquire_timeout OwnPool.idle_timeout",
    ),
    (
        "session",
        "statements_grow_with_the_table",
        "PostgresSessions.growth Growth.rows Growth.times Growth.power",
    ),
    (
        "session",
        "sessions_end_with_their_time_to_live_and_rows_with_the_prune",
        "Session.ttl PostgresSessions.prune",
    ),
    ("session", "deleting_rows_costs_the_database", "PostgresSessions.prune_row"),
    (
        "session",
        "sessions_in_redis_are_two_commands_and_take_memory",
        "SessionStore:redis Session.size",
    ),
    ("session", "redis_sessions_are_in_the_cache_they_name", "RedisSessions.cache"),
    ("session", "a_signed_token_costs_computing_only", "SessionStore:jwt Jwt.cpu Session.store"),
    (
        "session",
        "visits_begin_with_a_session_unless_users_return_with_one",
        "Arrivals.visit Arrivals.returning",
    ),
    ("session", "closed_users_have_visits_too", "Users.visit Users.returning"),
    ("session", "tables_start_warm_or_cold", "Start.sessions"),
    (
        "session",
        "checks_pass_the_middleware_where_they_say_so",
        "Checks.middleware Probe.middleware",
    ),
    ("session", "a_token_takes_its_way_up_and_guests_bring_none", "Jwt.bytes"),
];
