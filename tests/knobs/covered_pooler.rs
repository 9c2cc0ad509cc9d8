//! What the tests of poolers turn: a part of the list in `coverage.rs`.

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    (
        "pooler",
        "a_statement_and_its_answer_pass_the_pooler",
        "Pool.through Pooler.database Pooler.rtt Pooler.connect",
    ),
    (
        "pooler",
        "the_mode_says_for_how_long_a_client_keeps_its_connection",
        "Pooler.mode PoolMode:session PoolMode:transaction PoolMode:statement",
    ),
    (
        "pooler",
        "clients_and_connections_are_counted",
        "Pooler.clients Pooler.size Pooler.min Pooler.reserve Pooler.reserve_after",
    ),
    (
        "pooler",
        "patience_idleness_age_and_failures_have_their_times",
        "Pooler.wait_timeout Pooler.idle_timeout Pooler.max_lifetime Pooler.login_retry",
    ),
    (
        "pooler",
        "products_have_their_own_defaults",
        "Pooler.kind PoolerKind:pgbouncer PoolerKind:supavisor PoolerKind:rds-proxy",
    ),
];
