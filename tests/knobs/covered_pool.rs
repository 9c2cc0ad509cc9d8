//! What the tests of pools and poolers turn: a part of the list in `coverage.rs`.

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    (
        "pool",
        "drivers_have_their_own_rules_and_defaults",
        "Pool.driver PoolDriver:node-postgres PoolDriver:sqlalchemy",
    ),
    (
        "pool",
        "the_pools_of_python_open_a_floor_and_grow_in_their_own_way",
        "PoolDriver:neon PoolDriver:asyncpg PoolDriver:psycopg Psycopg.autocommit",
    ),
    (
        "pool",
        "prisma_counts_the_cores_of_its_machine_and_gives_up_after_ten_seconds",
        "PoolDriver:prisma Prisma.cores",
    ),
    (
        "pool",
        "a_driver_gives_up_on_a_statement_and_the_server_does_not",
        "Pool.query_timeout Pool.statement_timeout",
    ),
    ("pool", "an_opening_is_given_up_after_its_time", "Pool.connect_timeout"),
    ("pooler", "a_pooler_gives_up_on_an_opening_after_its_time", "Pooler.connect_timeout"),
    ("pooler", "clients_that_ask_for_nothing_are_disconnected", "Pooler.client_idle_timeout"),
    (
        "pooler",
        "pgbouncer_gives_up_on_statements_and_on_transactions_that_lie_idle",
        "Pooler.query_timeout Pooler.idle_transaction_timeout",
    ),
    ("pooler", "a_transaction_may_take_so_long_in_all", "Pooler.transaction_timeout"),
    ("pooler", "what_has_long_been_idle_is_tried_out", "Pooler.check_after"),
    ("pool", "psycopg_lets_so_many_wait", "Psycopg.max_waiting"),
    ("pool", "connections_are_worn_out_by_uses_and_by_age", "Pool.max_uses Pool.max_lifetime"),
    ("pool", "overflow_is_closed_when_it_comes_back", "Sqlalchemy.max_overflow Sqlalchemy.asyncio"),
    ("pool", "a_used_connection_is_tried_out", "Sqlalchemy.pre_ping Sqlalchemy.autocommit"),
    ("pool", "idle_connections_are_lent_in_turn_or_the_hot_one_always", "Sqlalchemy.use_lifo"),
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
        "Pooler.kind PoolerKind:pgbouncer PoolerKind:supavisor PoolerKind:rds-proxy PoolerKind:neon",
    ),
    (
        "upkeep",
        "shards_become_more_while_they_serve",
        "Database.reshard Reshard.to Reshard.at Reshard.copy Reshard.load Reshard.pause \
         Reshard.rule ReshardRule:consistent ReshardRule:modulo",
    ),
    ("pooler", "statements_and_answers_pass_one_core_after_another", "Pooler.cpu"),
    ("pooler", "clients_log_in_one_after_another", "Pooler.login_cpu"),
    ("pooler", "a_pool_looks_its_server_up_before_it_connects", "Pool.lookup"),
    ("pooler", "rds_proxy_leaves_a_share_of_its_connections_open", "Pooler.idle_share"),
    (
        "pooler",
        "pools_of_one_process_share_its_core_its_clients_and_its_room",
        "Pooler.process Pooler.max_db_connections Pooler.user Pooler.max_user_connections",
    ),
    (
        "pool",
        "a_plan_says_how_many_connections_its_server_accepts",
        "Database.plan Plan:rds Plan:neon Plan:supabase Plan:heroku Plan:digitalocean \
         Plan:cloud-sql SupabasePlan:nano SupabasePlan:micro SupabasePlan:small \
         SupabasePlan:medium SupabasePlan:large SupabasePlan:xl SupabasePlan:2xl \
         SupabasePlan:4xl SupabasePlan:8xl SupabasePlan:12xl SupabasePlan:16xl \
         HerokuPlan:essential-0 HerokuPlan:essential-1 HerokuPlan:essential-2 \
         HerokuPlan:standard-0 HerokuPlan:standard-2 HerokuPlan:standard-3",
    ),
    (
        "dependency",
        "a_dependency_with_yield_keeps_its_connection_until_after_the_reply",
        "Transaction.lazy",
    ),
];
